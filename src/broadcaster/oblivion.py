"""Oblivion: all SQL that forgets who got what. The figures stay, and so do the text and the audit log.

A million rows go in pieces, each a transaction of its own that is soon over, so that nobody who sends waits; whoever is
killed in between goes on where it ended. `secure_delete` writes zeros over what was there.
"""

from __future__ import annotations

import json
from typing import Final

from broadcaster.db import Db

# deliveries, or rows of the log, that are forgotten in one transaction; and of a mailing with files of people's own
PIECE: Final = 5_000
HEAVY: Final = 100


class Oblivion:
    """All SQL that forgets, on one connection."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._carried: set[str] = set()  # digests of files that every copy of some mailing carries
        self._looked = 0  # at the parts of mailings up to this number

    def due(self, before: int) -> list[tuple[int, int]]:
        """Mailings that were over before a time (epoch seconds) and are still known: number, deliveries."""
        return self._db.conn.execute(
            "select id, audience from mailing m where state in (5, 6) and changed < ? and (forgotten is null"
            " or exists (select 1 from delivery where id between m.first and m.last)) order by id",
            (before,),
        ).fetchall()

    def forget(self, number: int, now: int) -> int:
        """Forget the next piece of a mailing; how many deliveries that were, 0: there are none any more."""
        with self._db.atomic() as conn:
            began = conn.execute(
                "update mailing set forgotten = ? where id = ? and forgotten is null", (now, number)
            ).rowcount
            if began:
                (audience,) = conn.execute("select audience from mailing where id = ?", (number,)).fetchone()
                self._db.note("mailing forget", now, mailing=number, deliveries=audience)
            enclosing = conn.execute("select 1 from enclosure where mailing = ?", (number,)).fetchone()
            first, last, lot = conn.execute(
                "select min(id), max(id), count(*) from (select d.id from mailing m join delivery d"
                " on d.id between m.first and m.last where m.id = ? order by d.id limit ?)",
                (number, HEAVY if enclosing else PIECE),
            ).fetchone()
            if not lot:
                return 0
            if enclosing:
                self._disclose(number, first, last)
            conn.execute("delete from attempt where delivery between ? and ?", (first, last))
            conn.execute("delete from due where delivery between ? and ?", (first, last))
            conn.execute("delete from refusal where delivery between ? and ?", (first, last))
            # what came back of them is told by kind alone: figures need no more
            conn.execute(
                "update bounce set delivery = null, key = null, recipient = '', words = '', source = '', counts = 0"
                " where mailing = ? and delivery between ? and ?",
                (number, first, last),
            )
            conn.execute("delete from delivery where id between ? and ?", (first, last))
            return int(lot)

    def _disclose(self, number: int, first: int, last: int) -> None:
        """Forget the files that some people of a mailing alone got, unless somebody else has the very same."""
        conn = self._db.conn
        digests = {
            row[0]
            for row in conn.execute(
                "delete from enclosure where mailing = ? and subscriber in"
                " (select subscriber from delivery where id between ? and ?) returning digest",
                (number, first, last),
            )
        }
        # within the transaction: a mailing that is prepared just now may carry the same file
        self._carried.update(
            row[0]
            for row in conn.execute(
                "select f.value from part p, json_each(p.template, '$.files') f where p.mailing > ?1"
                " union all select i.value ->> '$[2]' from part p, json_each(p.template, '$.images') i"
                " where p.mailing > ?1",
                (self._looked,),
            )
        )
        (self._looked,) = conn.execute("select coalesce(max(mailing), 0) from part").fetchone()
        conn.execute(
            "delete from content where digest in (select value from json_each(?))"
            " and not exists (select 1 from enclosure where digest = content.digest)",
            (json.dumps(sorted(digests - self._carried)),),
        )

    def entries(self, before: int) -> int:
        """How many rows of the bounce log from before a time (epoch seconds) still say whom they are about."""
        row = self._db.conn.execute(
            "select count(*) from bounce where at < ? and (delivery is not null or key is not null"
            " or recipient <> '' or words <> '' or source <> '')",
            (before,),
        ).fetchone()
        return int(row[0])

    def forget_entries(self, before: int, limit: int) -> int:
        """Forget whom rows of the bounce log are about, and what a server wrote of them; how many."""
        with self._db.atomic() as conn:
            return conn.execute(
                "update bounce set delivery = null, key = null, recipient = '', words = '', source = '', counts = 0"
                " where id in (select id from bounce where at < ? and (delivery is not null or key is not null"
                " or recipient <> '' or words <> '' or source <> '') order by id limit ?)",
                (before, limit),
            ).rowcount

    def forget_sources(self, before: int, limit: int) -> int:
        """Forget where messages lay; their digests stay, so that none counts twice. How many."""
        with self._db.atomic() as conn:
            return conn.execute(
                "update returned set source = '' where id in"
                " (select id from returned where at < ? and source <> '' order by id limit ?)",
                (before, limit),
            ).rowcount

    def changes(self, before: int) -> int:
        """Of how many people it is still kept what imports from before a time (epoch seconds) changed."""
        row = self._db.conn.execute(
            "select count(*) from import i cross join reversal r on r.import = i.id where i.at < ?", (before,)
        ).fetchone()
        return int(row[0])

    def forget_changes(self, before: int, limit: int) -> int:
        """Forget the next of these; how many."""
        with self._db.atomic() as conn:
            return conn.execute(
                "delete from reversal where (import, subscriber) in (select r.import, r.subscriber from import i"
                " cross join reversal r on r.import = i.id where i.at < ? limit ?)",
                (before, limit),
            ).rowcount

    def bring_home(self) -> None:
        """Let it be gone from the log beside the database too."""
        self._db.bring_home()
