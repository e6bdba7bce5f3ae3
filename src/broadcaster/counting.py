"""Counting: all SQL that counts what came of a mailing, for a report. Only counts leave it, no addresses.

A mailing is counted in pieces, and each piece is grouped on its own: to group a million rows at once SQLite sorts
them, in all the memory of its cache. Whoever asks does so within one `reading`, so that all is of one moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from broadcaster.db import Db
from broadcaster.delivery import State
from broadcaster.mailing import Mailing

# deliveries that are counted at once
PIECE: Final = 20_000
# Domains are counted in memory that is given back, and never on the disk: one may name a person. Kilobytes; a million
# different ones take half of it.
ROOM: Final = 128_000
# what came back is counted by quarters of an hour: every zone's days begin with one
QUARTER: Final = 900


class Answered(NamedTuple):
    """So many tries that ended alike. `waiting`: the last word so far to so many who wait for another try."""

    number: int
    waiting: int
    code: int
    status: str
    reply: str
    stage: int | None  # of delivery.Stage, where that is still known
    reason: str  # what was found in it before, or ""


class Counting:
    """All SQL that counts, on one connection."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self._conn = db.conn

    @staticmethod
    def _pieces(of: Mailing) -> Iterator[tuple[int, int]]:
        for first in range(of.first, of.last + 1, PIECE):
            yield first, min(first + PIECE - 1, of.last)

    def deliveries(self, of: Mailing) -> Iterator[tuple[str, State, int]]:
        """Language of the part, state, number; a pair may come several times."""
        for first, last in self._pieces(of):
            for language, state, number in self._conn.execute(
                "select coalesce(p.language, ''), g.state, g.number from (select part, state, count(*) as number"
                " from delivery where id between ?1 and ?2 and mailing = ?3 group by part, state) g"
                " left join part p on p.mailing = ?3 and p.number = g.part",
                (first, last, of.id),
            ):
                yield language, State(state), number

    @contextmanager
    def destined(self, of: Mailing) -> Iterator[Destined]:
        """The domains that a mailing went to, until the end of the block."""
        self._conn.execute(f"pragma temp.cache_size = -{ROOM}")
        self._conn.execute(
            "create temp table destined (domain text not null, state integer not null, number integer not null,"
            " primary key (domain, state)) strict, without rowid"
        )
        try:
            for first, last in self._pieces(of):
                # who is gone has no address any more: ""
                self._conn.execute(
                    "insert into temp.destined select coalesce(substr(s.key, instr(s.key, '@') + 1), ''), d.state,"
                    " count(*) from delivery d left join subscriber s on s.id = d.subscriber"
                    " where d.id between ? and ? and d.mailing = ? group by 1, 2"
                    " on conflict do update set number = number + excluded.number",
                    (first, last, of.id),
                )
            yield Destined(self.db)
        finally:
            self._conn.execute("drop table temp.destined")

    def attempts(self, of: Mailing) -> Iterator[tuple[str, int, State, int]]:
        """Relay, minute (epoch seconds / 60), what came of it, number."""
        for first, last in self._pieces(of):
            for relay, minute, state, number in self._conn.execute(
                "select relay, at / 60, state, count(*) from attempt where delivery between ? and ? group by 1, 2, 3",
                (first, last),
            ):
                yield relay, minute, State(state), number

    def put_off(self, of: Mailing) -> Iterator[Answered]:
        """Every time somebody was told to come back later."""
        for first, last in self._pieces(of):
            for row in self._conn.execute(
                "select count(*), sum(d.state = 3 and a.number ="
                " (select max(number) from attempt where delivery = a.delivery)), a.code, a.status, a.reply, null,"
                # no relay stands beside what only a log tells of
                " iif(a.code = 0 and a.relay <> '', 'broken_off', '')"
                " from attempt a join delivery d on d.id = a.delivery where a.delivery between ? and ? and a.state = 3"
                " group by a.code, a.status, a.reply, 7",
                (first, last),
            ):
                yield Answered(*row)

    def refused(self, of: Mailing) -> Iterator[Answered]:
        """Everybody who is rejected now, by the last answer. What was weighed has its reason in the bounce log."""
        for first, last in self._pieces(of):
            for row in self._conn.execute(
                "select count(*), 0, coalesce(a.code, 0), coalesce(a.status, ''),"
                " case when b.reason is null then coalesce(a.reply, '') else '' end as reply, r.stage,"
                " coalesce(b.reason, '') from delivery d"
                " left join attempt a on a.delivery = d.id and a.number ="
                " (select max(number) from attempt where delivery = d.id)"
                " left join bounce b on b.delivery = d.id and b.verdict = 'failed'"
                " left join refusal r on r.delivery = d.id"
                " where d.id between ? and ? and d.mailing = ? and d.state = 5 group by 3, 4, 5, 6, 7",
                (first, last, of.id),
            ):
                yield Answered(*row)

    def settled_doubts(self, of: Mailing) -> int:
        """How many were in doubt once, and are not any more."""
        return sum(
            self._conn.execute(
                "select count(distinct a.delivery) from attempt a join delivery d on d.id = a.delivery"
                " where a.delivery between ? and ? and a.state = 6 and d.state <> 6",
                piece,
            ).fetchone()[0]
            for piece in self._pieces(of)
        )

    def returned(self, of: Mailing) -> Iterator[tuple[int, str, str, int]]:
        """Quarter of an hour (epoch seconds / 900), kind, reason, number: what came back of its copies, each once.

        What was refused while sending is not among it.
        """
        after = 0
        while rows := self._conn.execute(
            "select at / ?, kind, reason, count(*), max(id) from (select id, at, kind, reason from bounce"
            " where mailing = ? and id > ? and verdict is not null and message is not null order by id limit ?)"
            " group by 1, 2, 3",
            (QUARTER, of.id, after, PIECE),
        ).fetchall():
            after = max(row[4] for row in rows)
            yield from (row[:4] for row in rows)


class Destined:
    """The domains that a mailing went to, counted."""

    def __init__(self, db: Db) -> None:
        self._conn = db.conn

    def most(self, least: int, limit: int) -> dict[str, dict[State, int]]:
        """Those that most people share, at least `least` each: domain → its states."""
        names = [
            row[0]
            for row in self._conn.execute(
                "select domain, sum(number) from temp.destined where domain <> '' group by domain"
                " having sum(number) >= ? order by 2 desc, 1 limit ?",
                (least, limit),
            )
        ]
        found: dict[str, dict[State, int]] = {name: {} for name in names}
        for name, state, number in self._conn.execute(
            "select domain, state, number from temp.destined where domain in (select value from json_each(?))",
            (json.dumps(names),),
        ):
            found[name][State(state)] = number
        return found

    def gone(self) -> dict[State, int]:
        """The states of those who are in the roster no more."""
        rows = self._conn.execute("select state, number from temp.destined where domain = ''")
        return {State(state): number for state, number in rows}

    def number(self) -> int:
        """How many different ones there are."""
        row = self._conn.execute("select count(distinct domain) from temp.destined where domain <> ''").fetchone()
        return int(row[0])
