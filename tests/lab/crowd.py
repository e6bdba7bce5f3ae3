"""Made-up people on a list, gathered for a mailing, with nobody's file to import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from broadcaster import gathering
from broadcaster.audience import Audience
from broadcaster.db import Db
from broadcaster.subscriber import MailingList


def gathered(db: Db, people: Iterable[int], parts: Mapping[int, str] | None = None) -> Audience:
    """The people with these ids, and nobody else, in English; `parts` says who gets another language."""
    with db.atomic() as conn:
        conn.execute("insert or ignore into list (id, name, list_id, created) values (1, 'news', 'news.example', 1)")
        conn.execute("delete from subscription")
        for person in people:
            conn.execute(
                "insert into subscriber (id, key, address, language, created, changed) values (?1, ?2, ?2, ?3, 1, 1)"
                " on conflict do update set language = excluded.language",
                (person, f"p{person}@example.org", (parts or {}).get(person, "en")),
            )
            conn.execute("insert into subscription values (1, ?, 1, 1)", (person,))
    turn = gathering.gather(db, [1]).turn
    return Audience.of(turn, {tag: of.number for tag, of in gathering.languages(db).items()}, lambda tag: tag)


def reached(db: Db, *lists: MailingList, exclude: Iterable[MailingList] = ()) -> list[tuple[int, str, int]]:
    """Whom a mailing to these lists would reach: subscriber, language, list."""
    gathering.gather(db, [each.id for each in lists], [each.id for each in exclude])
    return db.conn.execute("select subscriber, language, list from temp.gathered order by 1").fetchall()


def left_out(db: Db, *lists: MailingList, exclude: Iterable[MailingList] = ()) -> Mapping[str, int]:
    """Whom it would not reach, by reason."""
    return gathering.gather(db, [each.id for each in lists], [each.id for each in exclude]).left_out
