"""An import, taken back: what it changed and nothing that was done since.

A value that is no more what the import wrote was written by somebody after it, and stays; so does how a person stands
to the list, once they or staff have had a word. What a later import found as this one had left it, it finds as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from broadcaster.db import Db
from broadcaster.errors import NotAllowed, NotFound
from broadcaster.subscriber import CUSTOM, KEPT_DAYS

BATCH = 5_000
OWN = ("name", "language", "timezone")

_TABLES = {
    # whom a mailing names; of whom the record has an entry that is younger than the import
    "mailed": "subscriber integer primary key",
    "heard": """
        subscriber integer primary key,
        here integer not null  -- 1: about its list
    """,
    # the people who are there because of it
    "made": """
        subscriber integer primary key,
        touched integer not null,  -- 1: something was done with them since
        stands integer not null  -- 1: they stand to the list as it made them
    """,
    # people who were known before, as they will be
    "restored": """
        subscriber integer primary key,
        name text not null,
        language text not null,
        timezone text not null,
        fields text not null,
        changed integer not null,
        stands integer not null,  -- 1: how they stand to the list is taken back too
        standing integer,
        since integer
    """,
    # what later imports found, as they would have found it
    "chained": """
        import integer not null,
        subscriber integer not null,
        standing integer,
        since integer,
        changed integer,
        said text not null,
        primary key (import, subscriber)
    """,
}


@dataclass(frozen=True, slots=True)
class Import:
    """One file that was taken in. `at` and `undone` are epoch seconds; `first` to `last` are whom it made."""

    number: int
    list: str
    file: str
    at: int
    who: str
    consent: str
    figures: Mapping[str, int]
    undone: int | None


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking an import back does, in people; `kept` are those of whom something stays because it came later."""

    deleted: int  # it had made them, and nobody has done anything with them
    taken_off: int  # it had made them, and something was done since: they stay, off the list
    restored: int  # they were known before
    kept: int
    lifted: int  # suppressions that it had brought

    @property
    def moves(self) -> int:
        return self.deleted + self.taken_off + self.restored + self.lifted


class Undoing:
    """All SQL that takes imports back. Use `opened` to undo."""

    def __init__(self, db: Db, now: Callable[[], int]) -> None:
        self.db = db
        self._conn = db.conn
        self._now = now
        self._planned: tuple[tuple[int, int], Undone] | None = None

    def imports(self, of: int | None = None) -> Iterator[Import]:
        """Every import, or those of a list, the last first."""
        rows = self._conn.execute(
            "select i.id, l.name, i.file, i.at, i.who, i.consent, i.figures, i.undone from import i"
            " join list l on l.id = i.list where :of is null or i.list = :of order by i.id desc",
            {"of": of},
        )
        for number, name, file, at, who, consent, figures, undone in rows:
            yield Import(number, name, file, at, who, consent, json.loads(figures), undone)

    def known(self, number: int) -> Import:
        """An import that can be undone. Raises NotFound for none, NotAllowed for one that cannot be."""
        found = next((each for each in self.imports() if each.number == number), None)
        if found is None:
            raise NotFound(f"no import {number}", hint="`broadcaster subscribers imports` lists them")
        made, deleted = self._conn.execute(
            "select i.first, l.deleted from import i join list l on l.id = i.list where i.id = ?", (number,)
        ).fetchone()
        if found.undone is not None:
            raise NotAllowed(f"import {number} is undone already", hint="import the file again to have it back")
        if made is None or found.at < self._now() - KEPT_DAYS * 86400:
            raise NotAllowed(f"import {number} is too old: what there was before is kept for {KEPT_DAYS} days")
        if deleted is not None:
            raise NotAllowed(
                f"the list of import {number} is deleted",
                hint=f"`broadcaster lists create {found.list}` brings it back",
            )
        return found

    def plan(self, of: Import) -> Undone:
        """What undoing would do to the roster as it is now."""
        if self._planned is not None and self._planned[0] == self._version():
            return self._planned[1]
        conn = self._conn
        conn.execute("delete from temp.mailed")
        conn.execute("delete from temp.heard")
        conn.execute("delete from temp.made")
        conn.execute("delete from temp.restored")
        conn.execute("delete from temp.chained")
        asked = self._asked(of)
        # what an import that is undone had written says nothing any more, nor that their list was deleted
        conn.execute(
            "insert into temp.heard select c.subscriber, max(c.list = :list) from consent c"
            " left join import i on i.id = c.import where c.id > :consents and i.undone is null and c.how <> 'delete'"
            " group by c.subscriber",
            asked,
        )
        self._find_mailed(asked)
        self._find_made(asked)
        kept = self._find_restored(asked)
        deleted, taken_off = conn.execute(
            "select coalesce(sum(not touched), 0), coalesce(sum(touched and stands), 0) from temp.made"
        ).fetchone()
        (restored,) = conn.execute("select count(*) from temp.restored").fetchone()
        (lifted,) = conn.execute("select count(*) from suppression where import = ?", (of.number,)).fetchone()
        kept += conn.execute("select count(*) from temp.made where touched").fetchone()[0]
        figures = Undone(deleted, taken_off, restored, kept, lifted)
        self._planned = (self._version(), figures)
        return figures

    def undo(self, of: Import) -> Undone:
        """Take it back, in one transaction. Looks again where the roster has changed since `plan`."""
        now = self._now()
        with self.db.atomic(durable=True):
            of = self.known(of.number)
            figures, asked = self.plan(of), {**self._asked(of), "now": now}
            self._restore(asked)
            self._unmake(asked)
            self._conn.execute("delete from suppression where import = :number", asked)
            self._hear_no_more(asked)
            self._conn.execute("delete from reversal where import = :number", asked)
            self._conn.execute("update import set undone = :now where id = :number", asked)
            counts = {name: value for name, value in asdict(figures).items() if value}
            self.db.note("subscriber undo", now, on=asked["list"], intake=of.number, **counts)
        return figures

    def names(self, number: int) -> Iterator[str]:
        """Some of those who would be deleted or taken off, the first of the file first."""
        for row in self._conn.execute(
            "select s.address from temp.made m join subscriber s on s.id = m.subscriber"
            " where not m.touched or m.stands order by m.subscriber limit ?",
            (number,),
        ):
            yield row[0]

    def _version(self) -> tuple[int, int]:
        return self._conn.execute("pragma data_version").fetchone()[0], self._conn.total_changes

    def _asked(self, of: Import) -> dict[str, Any]:
        row = self._conn.execute("select list, first, last, consents from import where id = ?", (of.number,)).fetchone()
        return {"number": of.number, "at": of.at, **dict(zip(("list", "first", "last", "consents"), row, strict=True))}

    def _find_mailed(self, asked: Mapping[str, Any]) -> None:
        """Look for those whom it made, or put on the list, and who stand in a mailing since: by people is no index."""
        conn = self._conn
        for (mailing,) in conn.execute("select id from mailing where created >= :at", asked).fetchall():
            conn.execute(
                "insert or ignore into temp.mailed select subscriber from delivery"
                " where mailing + 0 = ? and subscriber > ? and subscriber <= ?",
                (mailing, asked["first"], asked["last"]),
            )
            conn.execute(
                "insert or ignore into temp.mailed select r.subscriber from reversal r cross join delivery d"
                " on d.mailing + 0 = ?1 and d.subscriber = r.subscriber and d.list = ?2"
                " where r.import = ?3 and r.given = 1 and r.standing is null",
                (mailing, asked["list"], asked["number"]),
            )

    def _find_made(self, asked: Mapping[str, Any]) -> None:
        """Look through the people whom it made: whether anything was done with them since."""
        conn = self._conn
        conn.execute(
            "insert into temp.made select s.id, s.changed > :at or s.id in (select subscriber from temp.mailed)"
            " or s.id in (select subscriber from temp.heard)"
            " or exists (select 1 from subscription o where o.subscriber = s.id and o.list <> :list)"
            " or exists (select 1 from suppression p where p.key = s.key"
            " and iif(p.import is null, p.since > :at, p.import > :number)),"
            " coalesce(u.state in (1, 2) and s.id not in (select subscriber from temp.heard where here), 0)"
            " from subscriber s left join subscription u on u.list = :list and u.subscriber = s.id"
            " where s.id > :first and s.id <= :last",
            asked,
        )

    def _find_restored(self, asked: Mapping[str, Any]) -> int:
        """Look through the people who were known; of how many something stays as it came later."""
        rows = self._conn.execute(
            "select r.subscriber, r.given, r.standing, r.since, r.changed, r.became, r.said,"
            " s.name, s.language, s.timezone, s.fields, s.changed, coalesce(u.state, 0),"
            " s.id in (select subscriber from temp.heard where here), s.id in (select subscriber from temp.mailed)"
            " from reversal r join subscriber s on s.id = r.subscriber"
            " left join subscription u on u.list = :list and u.subscriber = s.id"
            " where r.import = :number order by r.subscriber",
            asked,
        )
        kept = 0
        found: list[tuple[Any, ...]] = []
        for subscriber, given, standing, since, changed, became, said, *now, state, word, mailed in rows:
            if mailed and standing is None:
                # they have a mail of that list, and may answer that they leave it: it must know them
                standing, since = 3, self._now()
            own, fields, last = now[:3], now[3], now[4]
            back, stays = _laid_back(json.loads(said), own, fields)
            stands = bool(given) and state == given and not word
            untouched = changed is not None and last == became
            if stays or (given and not stands) or (changed is not None and not untouched):
                self._chain(asked, subscriber, stays, None if stands else (given, standing, since), (changed, became))
            kept += bool(stays or (given and not stands))
            if back or stands or untouched:
                # where others have changed them since, that remains the last time that anybody did
                moment = changed if untouched else last
                after = back or (*own, fields)
                found.append((subscriber, *after, moment, stands, standing, since))
            if len(found) == BATCH:
                self._put(found)
        self._put(found)
        return kept

    def _put(self, found: list[tuple[Any, ...]]) -> None:
        self._conn.executemany("insert into temp.restored values (?, ?, ?, ?, ?, ?, ?, ?, ?)", found)
        found.clear()

    def _chain(
        self,
        asked: Mapping[str, Any],
        subscriber: int,
        stays: Mapping[str, tuple[str, str]],
        stood: tuple[int, int | None, int | None] | None,
        moments: tuple[int | None, int | None],
    ) -> None:
        """What the next import found and this one had written, it finds as it was before either."""
        later = self._conn.execute(
            "select r.import, i.list, r.given, r.standing, r.since, r.changed, r.said from reversal r"
            " join import i on i.id = r.import where r.subscriber = ? and r.import > ? order by r.import",
            (subscriber, asked["number"]),
        ).fetchall()
        (changed, became), open_fields = moments, dict(stays)
        for number, of, given, standing, since, before, written in later:
            said: dict[str, list[str]] = json.loads(written)
            for field in [*said]:
                pair = open_fields.pop(field, None)
                if pair is not None and said[field][0] == pair[1]:
                    said[field][0] = pair[0]
            if stood is not None and of == asked["list"] and given:
                if standing == stood[0]:
                    standing, since = stood[1:]
                stood = None
            if before is not None and before == became:
                before, became = changed, None
            self._conn.execute(
                "insert into temp.chained values (?, ?, ?, ?, ?, ?)",
                (number, subscriber, standing, since, before, json.dumps(said, ensure_ascii=False)),
            )

    def _restore(self, asked: Mapping[str, Any]) -> None:
        """People who were known are as they were."""
        conn = self._conn
        conn.execute(
            "update subscriber set name = r.name, language = r.language, timezone = r.timezone, fields = r.fields,"
            " changed = r.changed from temp.restored r where r.subscriber = subscriber.id"
        )
        conn.execute(
            "delete from subscription where list = :list and subscriber in"
            " (select subscriber from temp.restored where stands and standing is null)",
            asked,
        )
        conn.execute(
            "update subscription set state = r.standing, since = r.since from temp.restored r"
            " where subscription.list = :list and r.subscriber = subscription.subscriber"
            " and r.stands and r.standing is not null",
            asked,
        )
        conn.execute(
            "insert into consent (subscriber, list, at, how, wording, import)"
            " select subscriber, :list, :now, 'undo', 'the import was undone', :number from temp.restored where stands",
            asked,
        )
        conn.execute(
            "update reversal set standing = c.standing, since = c.since, changed = c.changed, said = c.said"
            " from temp.chained c where c.import = reversal.import and c.subscriber = reversal.subscriber"
        )

    def _unmake(self, asked: Mapping[str, Any]) -> None:
        """People whom it made go, with their entries in the record; those of whom more is known stay, off the list."""
        conn = self._conn
        conn.execute(
            "insert into consent (subscriber, list, at, how, wording, import)"
            " select subscriber, :list, :now, 'undo', 'the import was undone', :number"
            " from temp.made where touched and stands",
            asked,
        )
        conn.execute(
            "delete from subscription where list = :list and state = 2 and subscriber in"
            " (select subscriber from temp.made where touched and stands)",
            asked,
        )
        conn.execute(
            "update subscription set state = 3, since = :now where list = :list and subscriber in"
            " (select subscriber from temp.made where touched and stands)",
            asked,
        )
        # a later import of whom it had put on the list found them there, and would not have
        conn.execute(
            "update reversal set standing = 3, since = :now where import > :number and given <> 0 and standing = 1"
            " and subscriber in (select subscriber from temp.made where touched) and import = (select min(r.import)"
            " from reversal r join import i on i.id = r.import where r.subscriber = reversal.subscriber"
            " and r.import > :number and r.given <> 0 and i.list = :list)",
            asked,
        )
        conn.execute(
            "delete from subscription where subscriber in (select subscriber from temp.made where not touched)"
        )
        # they never agreed to anything but by that file
        conn.execute("insert into erasing select subscriber from temp.made where not touched")
        conn.execute("delete from consent where subscriber in (select subscriber from temp.made where not touched)")
        conn.execute("delete from erasing")
        conn.execute("delete from subscriber where id in (select subscriber from temp.made where not touched)")

    def _hear_no_more(self, asked: Mapping[str, Any]) -> None:
        """Fields that came with it and that nobody has are unknown again: a slip in a statement must show."""
        names: list[str] = json.loads(
            self._conn.execute("select fields from import where id = :number", asked).fetchone()[0]
        )
        if not names:
            return
        wanted = json.dumps(names)
        used = {
            row[0]
            for row in self._conn.execute(
                "select distinct f.key from subscriber s, json_each(s.fields) f where s.fields <> '{}'"
                " and f.key in (select value from json_each(?))",
                (wanted,),
            )
        }
        self._conn.executemany("delete from field where name = ?", [(name,) for name in names if name not in used])


def _laid_back(
    said: Mapping[str, tuple[str, str]], own: list[str], fields: str
) -> tuple[tuple[str, ...] | None, dict[str, tuple[str, str]]]:
    """(name, language, timezone, fields) with what was written taken back, None where nothing is; and what stays."""
    if not said:
        return None, {}
    now = dict(zip(OWN, own, strict=True))
    custom: dict[str, str] = json.loads(fields)
    stays, back = {}, False
    for name, (old, new) in said.items():
        values, key = (custom, name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else (now, name)
        if values.get(key, "") != new:
            stays[name] = (old, new)
            continue
        back = True
        if old or values is now:
            values[key] = old
        else:
            del values[key]
    words = json.dumps(custom, ensure_ascii=False, separators=(",", ":"))
    return ((now["name"], now["language"], now["timezone"], words) if back else None), stays


@contextmanager
def opened(db: Db, now: Callable[[], int]) -> Iterator[Undoing]:
    """Undoing, with the temporary tables that it plans in."""
    with db.scratch(_TABLES, db.path.parent):
        yield Undoing(db, now)
