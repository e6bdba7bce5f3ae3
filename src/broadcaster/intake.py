"""A file of people → the roster, in three steps: staged, compared, and only then applied in one transaction.

Rows wait in temporary tables, whose files lie in the workspace's own folder and have no name: nothing is left
behind by a crash, and other processes are not kept waiting while a person thinks about what the file would do.
Those of an encrypted database stay in memory: nobody encrypts such files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from broadcaster.db import LAST_GIVEN, Db
from broadcaster.sheet import Person, Spoilt
from broadcaster.subscriber import MailingList

BATCH = 5_000

_TABLES = """
    create temp table staged (
        id integer primary key,  -- the order of the file
        line integer not null,
        key text not null,
        address text not null,
        name text not null,
        language text not null,
        timezone text not null,
        fields text not null
    ) strict;
    create temp table spoilt (
        id integer primary key,
        line integer not null,
        reason text not null,
        text text not null
    ) strict;
    create temp table compared (
        id integer primary key,  -- of staged
        verdict integer not null,
        subscriber integer  -- who has this address already
    ) strict;
"""

NEW, CHANGED, UNCHANGED, LEFT, SUPPRESSED = range(5)
ERASED = 7


@dataclass(frozen=True, slots=True)
class Figures:
    """What a file would do, or has done; all but `rows` add up to `rows`."""

    rows: int
    new: int
    changed: int
    unchanged: int
    left_before: int
    suppressed: int
    duplicates: int
    invalid: int
    erased: int = 0

    @property
    def moves(self) -> int:
        """How many people's standing or details are written."""
        return self.new + self.changed


@dataclass(frozen=True, slots=True)
class Change:
    """One person who is known already, and what the file would change of them: field → (before, after)."""

    address: str
    fields: Mapping[str, tuple[str, str]]


class Intake:
    """One file on its way into a list. Use `opened`."""

    def __init__(self, db: Db, into: MailingList, now: Callable[[], int], veil: Callable[[str], bytes]) -> None:
        self.db = db
        self._veil = veil
        self._conn = db.conn
        self._into = into
        self._now = now
        self._rows = self._spoilt = self._duplicates = 0
        self._names: set[str] = set()
        self._compared: tuple[tuple[int, int], Figures] | None = None

    def stage(self, rows: Iterable[Person | Spoilt], seen: Callable[[int], None] = lambda _: None) -> None:
        """Take in every row of a file; `seen` is told how many there have been."""
        people: list[tuple[Any, ...]] = []
        spoilt: list[Spoilt] = []
        conn = self._conn
        # not atomic(): this writes to no file that anybody else has open
        conn.execute("begin")
        for row in rows:
            self._rows += 1
            if isinstance(row, Spoilt):
                self._spoilt += 1
                spoilt.append(row)
            else:
                line, address, key, name, language, timezone, fields = row
                self._names.update(fields)
                people.append((line, key, address, name, language, timezone, _object(fields) if fields else "{}"))
            if self._rows % BATCH == 0:
                self._keep(people, spoilt)
                seen(self._rows)
        self._keep(people, spoilt)
        conn.execute("create index temp.staged_by_key on staged(key)")
        self._merge_duplicates()
        conn.execute("commit")

    def _keep(self, people: list[tuple[Any, ...]], spoilt: list[Spoilt]) -> None:
        self._conn.executemany(
            "insert into temp.staged (line, key, address, name, language, timezone, fields)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            people,
        )
        self._conn.executemany("insert into temp.spoilt (line, reason, text) values (?, ?, ?)", spoilt)
        people.clear()
        spoilt.clear()

    def _merge_duplicates(self) -> None:
        """Rows of one person become the first of them, as if they had been imported one after the other."""
        rows = self._conn.execute(
            "select key, id, name, language, timezone, fields from temp.staged where key in"
            " (select key from temp.staged group by key having count(*) > 1) order by key, id"
        )
        merged = []
        for _, group in groupby(rows, key=lambda row: row[0]):
            first = None
            for _, number, name, language, timezone, fields in group:
                if first is None:
                    first, said, custom = number, [name, language, timezone], json.loads(fields)
                    continue
                said = [after or before for before, after in zip(said, (name, language, timezone), strict=True)]
                custom |= json.loads(fields)
            merged.append((*said, _object(custom), first))
        self._conn.executemany(
            "update temp.staged set name = ?, language = ?, timezone = ?, fields = ? where id = ?", merged
        )
        if merged:
            self._duplicates = self._conn.execute(
                "delete from temp.staged where id in (select id from (select id, row_number() over"
                " (partition by key order by id) as turn from temp.staged) where turn > 1)"
            ).rowcount

    def compare(self) -> Figures:
        """What the file would do to the roster as it is now."""
        conn = self._conn
        if self._compared is not None and self._compared[0] == self._version():
            return self._compared[1]
        conn.execute("delete from temp.compared")
        # who left or is suppressed stays so, whatever else is true of them
        conn.execute(
            "insert into temp.compared (id, verdict, subscriber)"
            " select g.id, case when u.state = 2 or p.reason = 'left' then 3 when p.key is not null then 4"
            " when u.state is not 1 then 0"
            " when (g.name <> '' and g.name <> s.name) or (g.language <> '' and g.language <> s.language)"
            " or (g.timezone <> '' and g.timezone <> s.timezone)"
            " or (g.fields <> '{}' and g.fields <> s.fields and json_patch(s.fields, g.fields) <> s.fields)"
            " then 1 else 2 end, s.id"
            " from temp.staged g left join subscriber s on s.key = g.key"
            " left join subscription u on u.list = ? and u.subscriber = s.id"
            " left join suppression p on p.key = g.key",
            (self._into.id,),
        )
        self._keep_erased()
        number = dict(conn.execute("select verdict, count(*) from temp.compared group by 1"))
        figures = Figures(
            rows=self._rows,
            new=number.get(NEW, 0),
            changed=number.get(CHANGED, 0),
            unchanged=number.get(UNCHANGED, 0),
            left_before=number.get(LEFT, 0),
            suppressed=number.get(SUPPRESSED, 0),
            duplicates=self._duplicates,
            invalid=self._spoilt,
            erased=number.get(ERASED, 0),
        )
        self._compared = (self._version(), figures)
        return figures

    def _keep_erased(self) -> None:
        """Who was erased is in no row of ours: of those whom nobody knows each is asked for by hash, if anybody was."""
        known = {row[0] for row in self._conn.execute("select hash from erased")}
        if not known:
            return
        unknown = self._conn.execute(
            "select c.id, g.key from temp.compared c join temp.staged g on g.id = c.id"
            " where c.subscriber is null and c.verdict not in (3, 4)"
        )
        found = [(ERASED, number) for number, key in unknown if self._veil(key) in known]
        self._conn.executemany("update temp.compared set verdict = ? where id = ?", found)

    def _version(self) -> tuple[int, int]:
        """Moves when another process has written, or this one."""
        return self._conn.execute("pragma data_version").fetchone()[0], self._conn.total_changes

    def invalid(self) -> Iterator[Spoilt]:
        """The rows that cannot be used, in the order of the file."""
        for row in self._conn.execute("select line, reason, text from temp.spoilt order by id"):
            yield Spoilt(*row)

    def changes(self, number: int) -> Iterator[Change]:
        """Some of the people whose details would change."""
        rows = self._conn.execute(
            "select s.address, s.name, g.name, s.language, g.language, s.timezone, g.timezone, s.fields, g.fields"
            " from temp.compared c join temp.staged g on g.id = c.id join subscriber s on s.id = c.subscriber"
            " where c.verdict = 1 order by c.id limit ?",
            (number,),
        )
        for address, *own, before, after in rows:
            pairs = zip(("name", "language", "timezone"), own[::2], own[1::2], strict=True)
            fields = {field: (old, new) for field, old, new in pairs if new and new != old}
            known = json.loads(before)
            for field, new in json.loads(after).items():
                if known.get(field, "") != new:
                    fields[field] = (known.get(field, ""), new)
            yield Change(address, fields)

    def apply(self, *, file: str, digest: str, who: str, consent: str, language: str = "") -> tuple[int, Figures]:
        """Write it down, in one transaction: all of it or nothing. The number of the import, and what it did.

        Compares again where the roster has changed: somebody may have left since the figures were shown.
        """
        now, into = self._now(), self._into.id
        with self.db.atomic(durable=True) as conn:
            figures = self.compare()
            told = {name: getattr(figures, name) for name in figures.__slots__}
            number = conn.execute(
                "insert into import (list, file, digest, at, who, consent, figures, language)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                (into, file, digest, now, who, consent, json.dumps(told), language),
            ).lastrowid
            assert number is not None
            conn.executemany("insert or ignore into field (name) values (?)", [(name,) for name in self._names])
            self._update(now)
            self._insert(now)
            conn.execute(
                "insert into subscription (list, subscriber, state, since)"
                " select ?, subscriber, 1, ? from temp.compared where verdict = 0"
                " on conflict do update set state = 1, since = excluded.since",
                (into, now),
            )
            conn.execute(
                "insert into consent (subscriber, list, at, how, wording, import)"
                " select subscriber, ?, ?, 'import', '', ? from temp.compared where verdict = 0",
                (into, now, number),
            )
            self.db.note("subscriber import", now, on=into, intake=number, **told)
        return number, figures

    def _update(self, now: int) -> None:
        """Those who are in the roster already: an empty cell says nothing, so it changes nothing."""
        self._conn.execute(
            "update subscriber set name = iif(g.name = '', subscriber.name, g.name),"
            " language = iif(g.language = '', subscriber.language, g.language),"
            " timezone = iif(g.timezone = '', subscriber.timezone, g.timezone),"
            " fields = iif(g.fields = '{}', subscriber.fields, json_patch(subscriber.fields, g.fields)), changed = ?"
            " from temp.compared c join temp.staged g on g.id = c.id"
            " where c.verdict in (0, 1) and c.subscriber = subscriber.id",
            (now,),
        )

    def _insert(self, now: int) -> None:
        """Those whom nobody knew. Their ids follow the file, and so does the order they are mailed in."""
        base = self._conn.execute(LAST_GIVEN).fetchone()[0]
        self._conn.execute(
            "update temp.compared set subscriber = ? + id where subscriber is null and verdict = 0", (base,)
        )
        self._conn.execute(
            "insert into subscriber (id, key, address, name, language, timezone, fields, created, changed)"
            " select c.subscriber, g.key, g.address, g.name, g.language, g.timezone, g.fields, ?1, ?1"
            " from temp.compared c join temp.staged g on g.id = c.id where c.subscriber > ?2 and c.verdict = 0"
            " order by c.id",
            (now, base),
        )


def unasked(_: str) -> bytes:
    """In place of a veil, where nobody can have been erased."""
    raise RuntimeError("somebody was erased, and the key was not brought")


def _object(fields: Mapping[str, str]) -> str:
    """A JSON object as json_patch writes it; json.dumps takes four times as long, a million times over."""
    return "{" + ",".join([f"{encode_basestring(name)}:{encode_basestring(fields[name])}" for name in fields]) + "}"


@contextmanager
def opened(
    db: Db, into: MailingList, now: Callable[[], int], folder: Path, veil: Callable[[str], bytes] = unasked
) -> Iterator[Intake]:
    """An intake whose temporary files lie in `folder` and go when it ends, however it ends.

    `veil` makes the hash of a folded address, by which those are known who were erased.
    """
    conn = db.conn
    if not db.encrypted:
        # deprecated, and the only way to say it after SQLite has started; where it is not built in, memory will do
        conn.execute(f"pragma temp_store_directory = '{str(folder).replace(chr(39), chr(39) * 2)}'")
        said = conn.execute("pragma temp_store_directory").fetchone()
        conn.execute(f"pragma temp_store = {'file' if said and said[0] == str(folder) else 'memory'}")
    cache = conn.execute("pragma cache_size").fetchone()[0]
    conn.execute("pragma cache_size = -65536")
    conn.execute("pragma temp.cache_size = -32768")
    # a file without a name goes with its last descriptor: overwriting it first protects nothing
    conn.execute("pragma temp.secure_delete = off")
    try:
        for statement in _TABLES.split(";\n"):
            conn.execute(statement)
        yield Intake(db, into, now, veil)
    finally:
        if conn.in_transaction:
            conn.execute("rollback")
        for table in ("staged", "spoilt", "compared"):
            conn.execute(f"drop table if exists temp.{table}")
        conn.execute(f"pragma cache_size = {cache}")
        if not db.encrypted:
            conn.execute("pragma temp_store_directory = ''")
