"""What staff is told of by mail: SQL over what happened, what is wrong and lasts, and who was told.

What happened is read from the audit log, which is written together with what it tells of: nothing is missed by a
process that dies. Whom we told is known by a fingerprint: staff stand in broadcaster.toml alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from broadcaster.db import Db


class Event(NamedTuple):
    """A line of the audit log that staff should hear of."""

    name: str
    what: str
    mailing: int
    at: int


class Trouble(NamedTuple):
    """What is wrong since a time, and maybe was until another (epoch seconds). `refused`: waiting will not mend it."""

    name: str
    why: str
    refused: bool
    since: int
    until: int | None


class Digests:
    """All SQL about them, on one connection."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._conn = db.conn

    def events(self, since: int) -> list[Event]:
        """What happened to mailings from a time on (epoch seconds), and nobody did on purpose."""
        # word for word the condition of the index audit_news, which is small where the log is not
        rows = self._conn.execute(
            "select 'audit ' || id, what, mailing, at from audit"
            " where what in ('mailing finish', 'mailing hold', 'mailing pause') and at >= ?"
            " and (what <> 'mailing pause' or details ->> 'by' in ('alarm', 'restore')) order by id",
            (since,),
        )
        return [Event(*row) for row in rows]

    def troubles(self) -> list[Trouble]:
        """What is wrong, or was."""
        rows = self._conn.execute("select event, why, refused, since, until from trouble order by since, event")
        return [Trouble(name, why, bool(refused), since, until) for name, why, refused, since, until in rows]

    def trouble(self, name: str, why: str, now: int, *, refused: bool = False) -> None:
        """Something is wrong. Since when, the first one to say so tells."""
        with self._db.atomic() as conn:
            conn.execute(
                "insert into trouble (event, why, refused, since) values (?, ?, ?, ?) on conflict do update"
                " set why = excluded.why, refused = excluded.refused,"
                " since = iif(until is null, since, excluded.since), until = null",
                (name, why, refused, now),
            )

    def over(self, names: Sequence[str], now: int) -> None:
        """These are wrong no more."""
        whom = json.dumps(names)
        if self._conn.execute(
            "select 1 from trouble where event in (select value from json_each(?)) and until is null", (whom,)
        ).fetchone():
            with self._db.atomic() as conn:
                conn.execute(
                    "update trouble set until = ? where event in (select value from json_each(?)) and until is null",
                    (now, whom),
                )

    def untold(self, names: Sequence[str], staff: str) -> frozenset[str]:
        """Those of the events that somebody was not told of yet."""
        rows = self._conn.execute(
            "select value from json_each(?) where value not in (select event from told where staff = ?)",
            (json.dumps(names), staff),
        )
        return frozenset(row[0] for row in rows)

    def take(self, names: Sequence[str], staff: str, now: int) -> bool:
        """Write down that somebody is told of these now: on the disk before the mail is. No: they were told."""
        with self._db.atomic(durable=True) as conn:
            if len(self.untold(names, staff)) < len(names):
                return False
            conn.executemany("insert into told values (?, ?, ?)", [(name, staff, now) for name in names])
        return True

    def give_back(self, names: Sequence[str], staff: str) -> None:
        """They were not told after all."""
        with self._db.atomic() as conn:
            conn.executemany("delete from told where event = ? and staff = ?", [(name, staff) for name in names])

    def forget(self, troubles: Sequence[str], before: int) -> None:
        """Drop troubles, and what was told of mailings before a time (epoch seconds)."""
        old = "select 1 from told where event like 'audit %' and at < ?"
        if not troubles and self._conn.execute(old, (before,)).fetchone() is None:
            return
        names = json.dumps(troubles)
        with self._db.atomic() as conn:
            conn.execute("delete from trouble where event in (select value from json_each(?))", (names,))
            conn.execute("delete from told where event in (select value from json_each(?))", (names,))
            conn.execute("delete from told where event like 'audit %' and at < ?", (before,))
