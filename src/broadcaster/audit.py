"""The audit log, as it is read: who changed what of people, lists and mailings, and when.

Nothing here writes: a line belongs to the transaction that it tells of (`Db.note`), and the file itself refuses to have
one changed or taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from broadcaster.db import Db

# lines that are read at once: whoever reads on slowly keeps no transaction open
PAGE: Final = 500


class Wanted(NamedTuple):
    """Which lines. None, "" and 0: any. `list` is a list's id, `intake` an import's number, `since` epoch seconds."""

    subscriber: int | None = None
    list: int | None = None
    mailing: int | None = None
    intake: int | None = None
    who: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody did. `lists` are their names; `at` is in seconds since the epoch."""

    id: int
    at: int
    who: str
    what: str
    subscriber: int | None
    lists: Sequence[str]
    mailing: int | None
    intake: int | None
    details: Mapping[str, Any]


class Audit:
    """All SQL that reads the audit log, on one connection."""

    def __init__(self, db: Db) -> None:
        self._conn = db.conn

    def list_id(self, name: str) -> int | None:
        """A list by its name, in any case: one that was deleted, too."""
        row = self._conn.execute("select id from list where name = ?", (name,)).fetchone()
        return row[0] if row else None

    def imported(self, number: int) -> bool:
        """Whether there was such an import."""
        # SQLite's integers end at 2⁶³
        sql = "select 1 from import where id = ?"
        return number < 2**63 and self._conn.execute(sql, (number,)).fetchone() is not None

    def lines(self, wanted: Wanted) -> Iterator[Line]:
        """The newest first; streaming."""
        names = dict(self._conn.execute("select id, name from list"))
        before = 2**63 - 1
        # one walk along the primary key: a million lines, of which none is wanted, are a quarter of a second
        while rows := self._conn.execute(
            "select id, at, who, what, subscriber, list, mailing, import, details from audit where id < :before"
            " and (:subscriber is null or subscriber = :subscriber) and (:mailing is null or mailing = :mailing)"
            " and (:intake is null or import = :intake) and (:who = '' or who = :who) and at >= :since"
            # what concerns several lists names them in its details
            " and (:list is null or :list in (select list union all select value from json_each(details, '$.lists')))"
            " order by id desc limit :page",
            {**wanted._asdict(), "before": before, "page": PAGE},
        ).fetchall():
            for number, at, who, what, subscriber, on, mailing, intake, text in rows:
                details = json.loads(text)
                lists = details.pop("lists", [] if on is None else [on])
                known = [names[each] for each in lists if each in names]
                yield Line(number, at, who, what, subscriber, known, mailing, intake, details)
            before = rows[-1][0]
