"""Whom a mailing would reach, gathered on a table of one connection: counted, looked into, shown and then enrolled.

A table, so that a million people are never held; and one that nobody else sees, so that whoever was counted is
who is enrolled, however long a person thinks about it. There is one at a time: temp.gathered has a row for
each subscriber, with a list and a language.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from broadcaster.audience import Gathered, Speakers

if TYPE_CHECKING:
    from broadcaster.db import Db

# people who are looked through at once
PIECE: Final = 20_000


def gather(db: Db, lists: Sequence[int], exclude: Sequence[int] = (), mailings: Sequence[int] = ()) -> Gathered:
    """Everybody whom a mailing to these lists would reach at this moment, each with the first list they are on.

    On a list, not suppressed, on no excluded list and in no excluded mailing. Others who were gathered are forgotten.
    """
    with db.reading() as conn:
        release(db)
        conn.execute(
            "create temp table gathered (subscriber integer primary key, list integer not null,"
            " language text not null) strict"
        )
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
            "left": _left(db, lists) + _barred(db, left=True),
            "suppressed": _barred(db, left=False),
            "excluded": _excluded(db, exclude, mailings),
        }
    return Gathered(turn, {reason: number for reason, number in left_out.items() if number})


def _left(db: Db, lists: Sequence[int]) -> int:
    """How many left one of the lists and are on no other of them: asked of the few who left."""
    number: int = db.conn.execute(
        "select count(distinct u.subscriber) from subscription u"
        " where u.list in (select value from json_each(?1)) and u.state = 2"
        " and not exists (select 1 from subscription a where a.subscriber = u.subscriber and a.state = 1"
        " and a.list in (select value from json_each(?1)))",
        (json.dumps([*lists]),),
    ).fetchone()[0]
    return number


def _barred(db: Db, *, left: bool) -> int:
    """Take out who must not be mailed, by their own word or for another reason; how many."""
    return db.conn.execute(
        "delete from temp.gathered where subscriber in"
        " (select s.id from suppression p cross join subscriber s on s.key = p.key where (p.reason = 'left') = ?)",
        (left,),
    ).rowcount


def _excluded(db: Db, lists: Sequence[int], mailings: Sequence[int]) -> int:
    """Take out who is on one of these lists or in one of these mailings; how many."""
    on = db.conn.execute(
        "delete from temp.gathered where subscriber in"
        " (select subscriber from subscription where state = 1 and list in (select value from json_each(?)))",
        (json.dumps([*lists]),),
    ).rowcount
    had = db.conn.execute(
        "delete from temp.gathered where subscriber in (select d.subscriber from mailing m"
        " join delivery d on d.id between m.first and m.last where m.id in (select value from json_each(?)))",
        (json.dumps([*mailings]),),
    ).rowcount
    return on + had


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


def release(db: Db) -> None:
    """Forget who was gathered."""
    db.conn.execute("drop table if exists temp.gathered")
