"""A file of people → the roster, in three steps: staged, compared, and only then applied in one transaction.

Rows wait in temporary tables, whose files lie in the workspace's own folder and have no name: nothing is left
behind by a crash, and other processes are not kept waiting while a person thinks about what the file would do.
Those of an encrypted database stay in memory: nobody encrypts such files.
What is changed of people who are known is written down beside it, so that undoing.py can take it back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from broadcaster.db import LAST_GIVEN, Db
from broadcaster.errors import NotFound
from broadcaster.origin import NOTHING
from broadcaster.sheet import Person, Spoilt
from broadcaster.subscriber import CUSTOM, KEPT_DAYS, MailingList

BATCH = 5_000

_TABLES = {
    "staged": """
        id integer primary key,  -- the order of the file
        line integer not null,
        key text not null,
        address text not null,
        name text not null,
        language text not null,
        timezone text not null,
        fields text not null,
        gone text not null,  -- what another system says: "" they want mail, left, or why they must get none
        agreed_at integer,  -- epoch seconds: when they agreed there, if it says so
        agreed_ip text not null,
        agreed text not null
    """,
    "spoilt": """
        id integer primary key,
        line integer not null,
        reason text not null,
        text text not null
    """,
    "compared": """
        id integer primary key,  -- of staged
        verdict integer not null,
        subscriber integer  -- who has this address already
    """,
    "missing": "subscriber integer primary key",
}

NEW, CHANGED, UNCHANGED, LEFT, SUPPRESSED, LEAVES, BARRED = range(7)
ERASED = 7


@dataclass(frozen=True, slots=True)
class Figures:
    """What a file would do, or has done; all but `rows` and `removed` add up to `rows`.

    `leaves` and `barred` are those whom another system's export tells of: they left its list, or must get nothing.
    `removed` are those on the list that a file which is all of it does not name.
    """

    rows: int
    new: int
    changed: int
    unchanged: int
    left_before: int
    suppressed: int
    duplicates: int
    invalid: int
    erased: int = 0
    leaves: int = 0
    barred: int = 0
    removed: int = 0

    @property
    def moves(self) -> int:
        """How many people's standing or details are written."""
        return self.new + self.changed + self.leaves + self.barred + self.removed


@dataclass(frozen=True, slots=True)
class Change:
    """One person who is known already, and what the file would change of them: field → (before, after)."""

    address: str
    fields: Mapping[str, tuple[str, str]]


class Intake:
    """One file on its way into a list. Use `opened`. `whole`: the file is the whole list, who is missing leaves it."""

    def __init__(
        self,
        db: Db,
        into: MailingList,
        now: Callable[[], int],
        veil: Callable[[str], bytes],
        *,
        whole: bool = False,
    ) -> None:
        self.db = db
        self._veil = veil
        self._conn = db.conn
        self._into = into
        self._now = now
        self._whole = whole
        self._rows = self._spoilt = self._duplicates = 0
        self._names: set[str] = set()
        self._compared: tuple[tuple[int, int], Figures] | None = None
        db.teach({"difference": (8, _difference)})

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
                people.append(self._staged(row))
            if self._rows % BATCH == 0:
                self._keep(people, spoilt)
                seen(self._rows)
        self._keep(people, spoilt)
        conn.execute("create index temp.staged_by_key on staged(key)")
        self._merge_duplicates()
        conn.execute("commit")

    def _staged(self, row: Person) -> tuple[Any, ...]:
        line, address, key, name, language, timezone, fields, past = row
        if past is NOTHING:
            self._names.update(fields)
            return line, key, address, name, language, timezone, _object(fields) if fields else "{}", "", None, "", ""
        if past.gone:
            # of who is gone nothing is needed but that
            return line, key, address, "", "", "", "{}", past.gone, None, "", ""
        self._names.update(fields)
        agreed = past.agreed or (None, "", "")
        return line, key, address, name, language, timezone, _object(fields) if fields else "{}", "", *agreed

    def _keep(self, people: list[tuple[Any, ...]], spoilt: list[Spoilt]) -> None:
        self._conn.executemany(
            "insert into temp.staged (line, key, address, name, language, timezone, fields, gone,"
            " agreed_at, agreed_ip, agreed) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            people,
        )
        self._conn.executemany("insert into temp.spoilt (line, reason, text) values (?, ?, ?)", spoilt)
        people.clear()
        spoilt.clear()

    def _merge_duplicates(self) -> None:
        """Rows of one person become the first of them, as if they had been imported one after the other.

        Who is gone in one of them is gone.
        """
        rows = self._conn.execute(
            "select key, id, name, language, timezone, fields, gone from temp.staged where key in"
            " (select key from temp.staged group by key having count(*) > 1) order by key, id"
        )
        merged = []
        for _, group in groupby(rows, key=lambda row: row[0]):
            first = None
            for _, number, name, language, timezone, fields, away in group:
                if first is None:
                    first, gone, said, custom = number, away, [name, language, timezone], json.loads(fields)
                    continue
                gone = max(gone, away, key=lambda word: (bool(word), word != "left"))
                said = [after or before for before, after in zip(said, (name, language, timezone), strict=True)]
                custom |= json.loads(fields)
            details = ("", "", "", "{}") if gone else (*said, _object(custom))
            merged.append((*details, gone, first))
        self._conn.executemany(
            "update temp.staged set name = ?, language = ?, timezone = ?, fields = ?, gone = ? where id = ?", merged
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
            " select g.id, case when p.key is null and g.gone not in ('', 'left') then 6"
            # of who is suppressed too: that may be lifted one day
            " when g.gone = 'left' and u.state is not 2 then 5"
            " when u.state = 2 or p.reason = 'left' then 3 when p.key is not null then 4"
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
            leaves=number.get(LEAVES, 0),
            barred=number.get(BARRED, 0),
            removed=self._miss() if self._whole else 0,
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

    def _miss(self) -> int:
        """Find who is on the list and not in the file; how many. Who left is on no list.

        Who has joined since that was shown is not among them: the file may be older than they are.
        """
        if self._compared is not None:
            self._conn.execute(
                "delete from temp.missing where subscriber not in"
                " (select subscriber from subscription where list = ? and state = 1)",
                (self._into.id,),
            )
            left: int = self._conn.execute("select count(*) from temp.missing").fetchone()[0]
            return left
        return self._conn.execute(
            "insert into temp.missing select u.subscriber from subscription u join subscriber s on s.id = u.subscriber"
            " where u.list = ? and u.state = 1 and not exists (select 1 from temp.staged g where g.key = s.key)",
            (self._into.id,),
        ).rowcount

    def _version(self) -> tuple[int, int]:
        """Moves when another process has written, or this one."""
        return self._conn.execute("pragma data_version").fetchone()[0], self._conn.total_changes

    def listed(self) -> int:
        """How many are on the list now."""
        found: int = self._conn.execute(
            "select count(*) from subscription where list = ? and state = 1", (self._into.id,)
        ).fetchone()[0]
        return found

    def missing(self) -> Iterator[str]:
        """The addresses of those whom the file does not name."""
        for row in self._conn.execute(
            "select s.address from temp.missing m join subscriber s on s.id = m.subscriber order by m.subscriber"
        ):
            yield row[0]

    def invalid(self) -> Iterator[Spoilt]:
        """The rows that cannot be used, in the order of the file."""
        for row in self._conn.execute("select line, reason, text from temp.spoilt order by id"):
            yield Spoilt(*row)

    def changes(self, number: int = -1) -> Iterator[Change]:
        """Some of the people whose details would change, or all of them."""
        return _told(
            self._conn.execute(
                "select s.address, difference(s.name, g.name, s.language, g.language, s.timezone, g.timezone,"
                " s.fields, g.fields) from temp.compared c join temp.staged g on g.id = c.id"
                " join subscriber s on s.id = c.subscriber where c.verdict = 1 order by c.id limit ?",
                (number,),
            )
        )

    def changed(self, number: int) -> Iterator[Change]:
        """Those whose details an import that is done has changed."""
        return _told(
            self._conn.execute(
                "select s.address, r.said from reversal r join subscriber s on s.id = r.subscriber"
                " where r.import = ? and r.said <> '{}' and r.given = 0 order by r.subscriber",
                (number,),
            )
        )

    def apply(self, *, file: str, digest: str, who: str, consent: str, language: str = "") -> tuple[int, Figures]:
        """Write it down, in one transaction: all of it or nothing. The number of the import, and what it did.

        Compares again where the roster has changed: somebody may have left since the figures were shown.
        """
        now, into = self._now(), self._into.id
        with self.db.atomic(durable=True) as conn:
            if conn.execute("select 1 from list where id = ? and deleted is not null", (into,)).fetchone():
                raise NotFound(f"the list {self._into.name!r} was deleted meanwhile; nothing was done")
            figures = self.compare()
            number = conn.execute(
                "insert into import (list, file, digest, at, who, consent, figures, language)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                (into, file, digest, now, who, consent, json.dumps(asdict(figures)), language),
            ).lastrowid
            assert number is not None
            self._forget(now)
            heard = [
                name
                for name in sorted(self._names)
                if conn.execute("insert or ignore into field (name) values (?)", (name,)).rowcount
            ]
            self._remember(number, now)
            self._update(now)
            first, last = self._insert(now)
            self._stand(number, now)
            self._bar(number, now)
            self._record(number, now, consent)
            conn.execute(
                "update import set first = ?, last = ?, fields = ?,"
                " consents = (select coalesce(max(id), 0) from consent) where id = ?",
                (first, last, json.dumps(heard, ensure_ascii=False), number),
            )
            self.db.note("subscriber import", now, on=into, intake=number, **asdict(figures))
        return number, figures

    def _forget(self, now: int) -> None:
        """What old imports changed is not kept for ever."""
        self._conn.execute(
            "delete from reversal where import in (select id from import where at < ?)", (now - KEPT_DAYS * 86400,)
        )

    def _remember(self, number: int, now: int) -> None:
        """What is about to be changed of people who are known."""
        into = self._into.id
        self._conn.execute(
            "insert into reversal (import, subscriber, given, standing, since, changed, became, said)"
            " select ?1, c.subscriber, case c.verdict when 0 then 1 when 5 then 2 else 0 end, u.state, u.since,"
            " iif(c.verdict = 5, null, s.changed), iif(c.verdict = 5, null, max(?3, s.changed + 1)),"
            " difference(s.name, g.name, s.language, g.language, s.timezone, g.timezone, s.fields, g.fields)"
            " from temp.compared c join temp.staged g on g.id = c.id join subscriber s on s.id = c.subscriber"
            " left join subscription u on u.list = ?2 and u.subscriber = s.id"
            " where c.verdict in (0, 1, 5) order by c.subscriber",
            (number, into, now),
        )
        if self._whole:
            self._conn.execute(
                "insert into reversal (import, subscriber, given, standing, since, said)"
                " select ?1, m.subscriber, 3, u.state, u.since, '{}' from temp.missing m"
                " join subscription u on u.list = ?2 and u.subscriber = m.subscriber order by m.subscriber",
                (number, into),
            )

    def _update(self, now: int) -> None:
        """Those who are in the roster already: an empty cell says nothing, so it changes nothing."""
        self._conn.execute(
            "update subscriber set name = iif(g.name = '', subscriber.name, g.name),"
            " language = iif(g.language = '', subscriber.language, g.language),"
            " timezone = iif(g.timezone = '', subscriber.timezone, g.timezone),"
            " fields = iif(g.fields = '{}', subscriber.fields, json_patch(subscriber.fields, g.fields)),"
            " changed = max(?, subscriber.changed + 1)"
            " from temp.compared c join temp.staged g on g.id = c.id"
            " where c.verdict in (0, 1) and c.subscriber = subscriber.id",
            (now,),
        )

    def _insert(self, now: int) -> tuple[int, int]:
        """Those whom nobody knew; their ids are above the first number and up to the last.

        They follow the file, and so does the order they are mailed in.
        """
        base: int = self._conn.execute(LAST_GIVEN).fetchone()[0]
        self._conn.execute(
            "update temp.compared set subscriber = ? + id where subscriber is null and verdict in (0, 5)", (base,)
        )
        self._conn.execute(
            "insert into subscriber (id, key, address, name, language, timezone, fields, created, changed)"
            " select c.subscriber, g.key, g.address, g.name, g.language, g.timezone, g.fields, ?1, ?1"
            " from temp.compared c join temp.staged g on g.id = c.id where c.subscriber > ?2 and c.verdict in (0, 5)"
            " order by c.id",
            (now, base),
        )
        last: int = self._conn.execute("select max(?, coalesce(max(id), 0)) from subscriber", (base,)).fetchone()[0]
        return base, last

    def _stand(self, number: int, now: int) -> None:
        """How everybody stands to the list from now on."""
        self._conn.execute(
            "insert into subscription (list, subscriber, state, since)"
            " select ?, subscriber, iif(verdict = 0, 1, 2), ? from temp.compared where verdict in (0, 5)"
            " on conflict do update set state = excluded.state, since = excluded.since",
            (self._into.id, now),
        )
        if self._whole:
            self._conn.execute(
                "update subscription set state = 3, since = ? where list = ? and subscriber in"
                " (select subscriber from reversal where import = ? and given = 3)",
                (now, self._into.id, number),
            )

    def _bar(self, number: int, now: int) -> None:
        """Whom another system must not write to any more. Who is told of a second time stays so, whatever is undone."""
        self._conn.execute(
            "insert into suppression (key, address, reason, detail, since, import)"
            " select g.key, g.address, iif(g.gone = 'left all', 'left', g.gone), 'import ' || ?1, ?2, ?1"
            " from temp.compared c join temp.staged g on g.id = c.id where c.verdict = 6",
            (number, now),
        )
        self._conn.execute(
            "update suppression set import = null where import <> ? and key in (select g.key"
            " from temp.compared c join temp.staged g on g.id = c.id where c.verdict in (3, 4) and g.gone <> '')",
            (number,),
        )

    def _record(self, number: int, now: int, consent: str) -> None:
        """What each of them agreed to, or that they did not: the record of it is only ever added to."""
        self._conn.execute(
            "insert into consent (subscriber, list, at, how, wording, evidence, import)"
            " select c.subscriber, ?1, ?2, iif(c.verdict = 0, 'import', 'leave'),"
            " case when c.verdict <> 0 then 'had left there' when g.agreed = '' or ?4 = '' then g.agreed"
            " else g.agreed || '; ' || ?4 end,"
            " case when c.verdict <> 0 or g.agreed_at is null then '{}' when g.agreed_ip = ''"
            " then json_object('given', datetime(g.agreed_at, 'unixepoch')) else"
            " json_object('given', datetime(g.agreed_at, 'unixepoch'), 'ip', g.agreed_ip) end, ?3"
            " from temp.compared c join temp.staged g on g.id = c.id where c.verdict in (0, 5)"
            # who had left before is told of again, so that they stay away when it is undone that they had
            " or (c.verdict = 3 and g.gone = 'left' and c.subscriber is not null)",
            (self._into.id, now, number, consent),
        )
        if self._whole:
            self._conn.execute(
                "insert into consent (subscriber, list, at, how, wording, import)"
                " select subscriber, ?, ?, 'sync', 'no longer in the file', ?"
                " from reversal where import = ? and given = 3",
                (self._into.id, now, number, number),
            )


def _told(rows: Iterable[tuple[str, str]]) -> Iterator[Change]:
    for address, said in rows:
        yield Change(address, {name.removeprefix(CUSTOM): (old, new) for name, (old, new) in json.loads(said).items()})


def _difference(*own: str) -> str:
    """What a row changes of a person, as JSON: field → [before, after]. An empty cell changes nothing."""
    pairs = zip(("name", "language", "timezone"), own[:6:2], own[1:6:2], strict=True)
    said = {field: (old, new) for field, old, new in pairs if new and new != old}
    before, after = own[6:]
    if after not in ("{}", before):
        known = json.loads(before)
        for field, new in json.loads(after).items():
            if (old := known.get(field, "")) != new:
                said[CUSTOM + field] = (old, new)
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else "{}"


def unasked(_: str) -> bytes:
    """In place of a veil, where nobody can have been erased."""
    raise RuntimeError("somebody was erased, and the key was not brought")


def _object(fields: Mapping[str, str]) -> str:
    """A JSON object as json_patch writes it; json.dumps takes four times as long, a million times over."""
    return "{" + ",".join([f"{encode_basestring(name)}:{encode_basestring(fields[name])}" for name in fields]) + "}"


@contextmanager
def opened(
    db: Db,
    into: MailingList,
    now: Callable[[], int],
    folder: Path,
    veil: Callable[[str], bytes] = unasked,
    *,
    whole: bool = False,
) -> Iterator[Intake]:
    """An intake whose temporary files lie in `folder` and go when it ends, however it ends.

    `veil` makes the hash of a folded address, by which those are known who were erased. `whole`: the file is the
    whole list, and who is not in it leaves.
    """
    with db.scratch(_TABLES, folder):
        yield Intake(db, into, now, veil, whole=whole)
