"""Whom a mailing would reach, gathered on a table of one connection: counted, looked into, shown and then enrolled.

A table, so that a million people are never held; and one that nobody else sees, so that whoever was counted is
who is enrolled, however long a person thinks about it. There is one at a time: temp.gathered has a row for
each subscriber, with a list and a language; temp.passed has those on the lists who are not reached, with a reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from broadcaster.audience import Gathered, Speakers
from broadcaster.conditions import EVERYBODY, FUNCTIONS, NOBODY, Condition, opposite

if TYPE_CHECKING:
    from broadcaster.db import Db

# people who are looked through at once
PIECE: Final = 20_000


def gather(
    db: Db,
    lists: Sequence[int],
    exclude: Sequence[int] = (),
    mailings: Sequence[int] = (),
    *,
    where: Condition = EVERYBODY,
    but: Condition = NOBODY,
) -> Gathered:
    """Everybody whom a mailing to these lists would reach at this moment, each with the first list they are on.

    On a list, not suppressed, on no excluded list, in no excluded mailing and not one of `but`, and one of `where`.
    Others who were gathered are forgotten.
    """
    db.teach(FUNCTIONS)
    with db.reading() as conn:
        release(db)
        conn.execute(
            "create temp table gathered (subscriber integer primary key, list integer not null,"
            " language text not null) strict"
        )
        conn.execute("create temp table passed (subscriber integer primary key, reason text not null) strict")
        turn = conn.execute("pragma temp.user_version").fetchone()[0] + 1
        conn.execute(f"pragma temp.user_version = {turn}")
        for each in lists:
            # along both primary keys: nothing is sorted, and who is there already stays
            conn.execute(
                "insert or ignore into temp.gathered select u.subscriber, u.list, s.language"
                " from subscription u cross join subscriber s on s.id = u.subscriber"
                " where u.list = ? and u.state = 1 order by u.subscriber",
                (each,),
            )
        left_out = {
            "left": _pass_who_left(db, lists) + _pass(db, "left", Condition(_BARRED, (True,))),
            "suppressed": _pass(db, "suppressed", Condition(_BARRED, (False,))),
            "excluded": _pass(db, "excluded", Condition(_ON, (json.dumps([*exclude]),)))
            + _pass(db, "excluded", Condition(_HAD, (json.dumps([*mailings]),)))
            + (_pass(db, "excluded", _about(but)) if but != NOBODY else 0),
            "filtered": _pass(db, "filtered", _about(opposite(where))) if where != EVERYBODY else 0,
        }
    return Gathered(turn, {reason: number for reason, number in left_out.items() if number})


def _pass_who_left(db: Db, lists: Sequence[int]) -> int:
    """Pass over who left one of the lists and is on no other of them: asked of the few who left. How many."""
    return db.conn.execute(
        "insert or ignore into temp.passed select u.subscriber, 'left' from subscription u"
        " where u.list in (select value from json_each(?1)) and u.state = 2"
        " and not exists (select 1 from subscription a where a.subscriber = u.subscriber and a.state = 1"
        " and a.list in (select value from json_each(?1)))",
        (json.dumps([*lists]),),
    ).rowcount


def _pass(db: Db, reason: str, who: Condition) -> int:
    """Put those of whom a condition is true on temp.passed instead; how many."""
    number = db.conn.execute(
        f"insert into temp.passed select g.subscriber, ? from temp.gathered g where {who.sql}",  # noqa: S608 our words
        (reason, *who.values),
    ).rowcount
    if number:
        db.conn.execute("delete from temp.gathered where subscriber in (select subscriber from temp.passed)")
    return number


# barred by their own word, or for another reason; on one of these lists; in one of these mailings
_BARRED: Final = (
    "g.subscriber in (select s.id from suppression p cross join subscriber s on s.key = p.key"
    " where (p.reason = 'left') = ?)"
)
_ON: Final = (
    "g.subscriber in (select subscriber from subscription where state = 1 and list in (select value from json_each(?)))"
)
_HAD: Final = (
    "g.subscriber in (select d.subscriber from mailing m join delivery d on d.id between m.first and m.last"
    " where m.id in (select value from json_each(?)))"
)


def _about(who: Condition) -> Condition:
    """A condition about people, of those who were gathered."""
    return Condition(
        f"exists (select 1 from subscriber s where s.id = g.subscriber and {who.sql})",  # noqa: S608 our words
        who.values,
    )


def languages(db: Db) -> dict[str, Speakers]:
    """Language tag ("" where none is known) → those of the people who were gathered."""
    found: dict[str, Speakers] = {}
    last = 0
    # in pieces: to group a million rows at once SQLite sorts them, in all the memory of its cache
    while rows := db.conn.execute(
        "select language, count(*), min(subscriber), max(subscriber) from (select subscriber, language"
        " from temp.gathered where subscriber > ? order by subscriber limit ?) group by 1",
        (last, PIECE),
    ).fetchall():
        for language, number, first, _ in rows:
            known = found.get(language, Speakers(0, first))
            found[language] = Speakers(known.number + number, known.first)
        last = max(row[3] for row in rows)
    return found


def reached(db: Db) -> Iterator[tuple[int, int, str]]:
    """Subscriber, list and language tag of those who were gathered, ascending."""
    return db.conn.execute("select subscriber, list, language from temp.gathered order by subscriber")


def passed(db: Db) -> Iterator[tuple[int, str]]:
    """Those on the lists who are not reached, ascending, and why."""
    return db.conn.execute("select subscriber, reason from temp.passed order by subscriber")


def readers(db: Db) -> Iterator[tuple[int, str]]:
    """Subscriber and language tag of those who were gathered, ascending."""
    return db.conn.execute("select subscriber, language from temp.gathered order by subscriber")


def sample(db: Db, number: int, speakers: Mapping[str, Speakers]) -> Sequence[int]:
    """Some of those who were gathered, from each language in turn: rare ones are not forgotten."""
    found: list[tuple[int, int]] = []
    for language, of in speakers.items():
        # the first is always among them; further ones only if they are near, for nobody walks a million rows
        rows = db.conn.execute(
            "select subscriber from temp.gathered where subscriber >= ?1 and subscriber < ?1 + ?2 and language = ?3"
            " order by subscriber limit ?4",
            (of.first, PIECE, language, number),
        )
        found += [(turn, row[0]) for turn, row in enumerate(rows)]
    return [subscriber for _, subscriber in sorted(found)[:number]]


def shared(db: Db, first: int, last: int) -> int:
    """How many of those who were gathered have one of these deliveries."""
    number: int = db.conn.execute(
        "select count(*) from delivery d cross join temp.gathered g on g.subscriber = d.subscriber"
        " where d.id between ? and ?",
        (first, last),
    ).fetchone()[0]
    return number


def release(db: Db) -> None:
    """Forget who was gathered."""
    db.conn.execute("drop table if exists temp.gathered")
    db.conn.execute("drop table if exists temp.passed")
