"""How a mailing is written down with its audience: once, whole or not at all. From then on it is the ledger's.

Those on temp.gathered go from table to table inside the database: a million people take seconds, and no memory.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from broadcaster import mailing as m
from broadcaster.audience import Audience, Row
from broadcaster.db import Db
from broadcaster.delivery import State
from broadcaster.enclosure import Enclosed
from broadcaster.mailing import Draft, Mailing, Roll

# deliveries that are looked at together
PIECE: Final = 5000


def enrol(
    db: Db,
    draft: Draft,
    audience: Audience,
    left_out: Mapping[str, int],
    now: int,
    enclosed: Callable[[Sequence[Row]], Iterable[Enclosed]] | None = None,
) -> int:
    """Write a mailing and its audience; the mailing's number.

    `enclosed` gives the files that one person of some rows alone gets, one at a time, where there are any.
    """
    roll = Roll()
    with db.atomic(durable=True) as conn:
        first, number = _fresh(conn)
        last = first - 1 + _write_down(conn, draft, audience, number, first)
        _call(conn, roll, first, last)
        if enclosed is not None:
            for rows in _rows(conn, first, last):
                for file in enclosed(rows):
                    roll.enclosed(file)
                    _enclose(conn, number, file)
        digest = roll.seal(draft.content, draft.rule, draft.window)
        _file(conn, draft, (number, first, last), digest, audience.number, left_out, now)
        db.note(
            "mailing prepare",
            now,
            mailing=number,
            audience=audience.number,
            lists=draft.rule.lists,
            rehearsal=draft.rehearsal,
            digest=digest,
        )
    return number


def _file(
    conn: sqlite3.Connection,
    draft: Draft,
    place: tuple[int, int, int],
    digest: str,
    audience: int,
    left_out: Mapping[str, int],
    now: int,
) -> None:
    """The mailing's own rows. `place` is its number, its first delivery and its last."""
    number, first, last = place
    conn.execute(
        "insert into mailing (id, statement, state, digest, content, rule, left_out, audience, first, last,"
        " rehearsal, created, who, due, due_words, expires, changed, guard)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            draft.statement,
            m.State.READY if draft.window.due is None else m.State.SCHEDULED,
            digest,
            draft.content,
            draft.rule.to_json(),
            json.dumps({reason: n for reason, n in left_out.items() if n}),
            audience,
            first,
            last,
            draft.rehearsal,
            now,
            draft.who.name,
            draft.window.due,
            draft.window.words,
            draft.window.expires,
            now,
            draft.window.closes,
        ),
    )
    conn.execute("insert into tally values (?, ?, ?)", (number, State.PENDING, audience))
    by = draft.who
    conn.execute("insert into preparer values (?, ?, ?, ?)", (number, by.uid, by.account, by.known))
    conn.executemany(
        "insert into part values (?, ?, ?, ?)",
        [(number, part.number, part.language, part.template) for part in draft.parts],
    )
    conn.executemany("insert or ignore into content values (?, ?)", list(draft.files.items()))


def roll(db: Db, of: Mailing) -> Roll:
    """Who is enrolled and what they alone get, taken anew: every row and file is read as it is in the database now."""
    found = Roll()
    with db.reading() as conn:
        _call(conn, found, of.first, of.last)
        for subscriber, place, name, body in conn.execute(
            "select e.subscriber, e.place, e.name, c.body from enclosure e left join content c using (digest)"
            " where e.mailing = ? order by e.subscriber, e.place",
            (of.id,),
        ):
            digest = hashlib.sha256(body).hexdigest() if body is not None else ""
            found.enclosed(Enclosed(subscriber, place, name, digest, b""))
    return found


def _fresh(conn: sqlite3.Connection) -> tuple[int, int]:
    """The next delivery and the next mailing: none that a database which was lost has given."""
    row: tuple[int, int] = conn.execute(
        "select max(mark.delivery, coalesce(max(last), 0)) + 1, max(mark.mailing, coalesce(max(mailing.id), 0)) + 1"
        " from mark left join mailing"
    ).fetchone()
    return row


def _write_down(conn: sqlite3.Connection, draft: Draft, audience: Audience, number: int, first: int) -> int:
    """One delivery for each of the audience, ascending by subscriber and by id from `first` on; how many."""
    if conn.execute("pragma temp.user_version").fetchone()[0] != audience.turn:
        raise RuntimeError("others were gathered since this audience was")
    numbers = {part.language: part.number for part in draft.parts}
    # indexed, for there may be many languages
    conn.execute("create temp table given (language text primary key, part integer not null) strict, without rowid")
    conn.executemany(
        "insert into temp.given values (?, ?)", [(tag, numbers[language]) for tag, language in audience.given.items()]
    )
    # the first alone is told its id: each of the others takes the next one, for less than counting them would cost
    written = conn.execute(
        "insert into delivery (id, mailing, subscriber, list, part)"
        " select iif(g.subscriber = (select min(subscriber) from temp.gathered), ?, null), ?,"
        " g.subscriber, g.list, given.part from temp.gathered g cross join temp.given using (language)"
        " order by g.subscriber",
        (first, number),
    ).rowcount
    conn.execute("drop table temp.given")
    if written != audience.number:
        raise RuntimeError(f"{audience.number} people were counted, and {written} enrolled")
    return written


def _call(conn: sqlite3.Connection, roll: Roll, first: int, last: int) -> None:
    """Take the deliveries from `first` to `last` into the roll."""
    for start in range(first, last + 1, PIECE):
        roll.take(
            *conn.execute(
                "select group_concat(subscriber), group_concat(list), group_concat(part) from"
                " (select subscriber, list, part from delivery where id between ? and ? order by id)",
                (start, min(start + PIECE - 1, last)),
            ).fetchone()
        )


def _rows(conn: sqlite3.Connection, first: int, last: int) -> Iterator[list[Row]]:
    for start in range(first, last + 1, PIECE):
        yield conn.execute(
            "select subscriber, list, part from delivery where id between ? and ? order by id",
            (start, min(start + PIECE - 1, last)),
        ).fetchall()


def _enclose(conn: sqlite3.Connection, number: int, file: Enclosed) -> None:
    conn.execute("insert or ignore into content values (?, ?)", (file.digest, file.body))
    conn.execute(
        "insert into enclosure values (?, ?, ?, ?, ?)", (number, file.subscriber, file.place, file.name, file.digest)
    )
