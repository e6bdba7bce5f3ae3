"""Erasing a person: all SQL that takes somebody out of every table there is, and that knows them again by a hash.

No table is named that could be forgotten: rows of a person are found by a column `subscriber`, words that hold the
address by looking into every column of text. What must not be found so is named here, with its reason.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from broadcaster.address import Address
from broadcaster.db import Db, Keys, looked_into
from broadcaster.delivery import State
from broadcaster.errors import BadData, CannotWrite, NotAllowed
from broadcaster.guise import Guise

# how long those who still read the old pages are waited for (milliseconds)
PATIENCE: Final = 10_000

# Tables with a column `subscriber` whose rows stay: a mailing's figures are of everybody it went to, the log of
# changes names numbers, and a number is never given again.
FIGURES: Final = frozenset(["delivery", "audit", "given", "erasing"])

# Columns of text that are not looked into: the log of changes holds no address; what authors wrote and a second person
# has approved stays as it is, and is told; a folded address is one person's, and no text.
OTHERS: Final = frozenset(
    [
        *(("audit", name) for name in ("who", "what", "details")),
        *(("part", "template"), ("mailbox", "url"), ("list", "list_id"), ("mailing", "who"), ("import", "who")),
        ("approval", "who"),
        *((table, name) for table in ("subscriber", "suppression") for name in ("key", "address")),
    ]
)


class Carried(NamedTuple):
    """A delivery to the person."""

    id: int
    mailing: int
    state: State


@dataclass(frozen=True, slots=True)
class Known:
    """What there is of an address, before it is erased. `erased`: since when it was so already (epoch seconds)."""

    subscriber: int | None
    lists: Sequence[str]
    deliveries: int
    suppressed: str | None
    bounces: int
    erased: int | None

    @property
    def nothing(self) -> bool:
        return self.subscriber is None and self.suppressed is None and not self.bounces and self.erased is None


class Erasure:
    """All SQL of erasing, on one connection. `veil` makes the hash of a folded address, and is asked when needed."""

    def __init__(self, db: Db, veil: Callable[[str], bytes], now: Callable[[], int]) -> None:
        self.db = db
        self.veil = veil
        self.now = now
        self._conn = db.conn

    # who was erased

    def any(self) -> bool:
        """Whether anybody ever was: if not, nobody needs the key."""
        return self._conn.execute("select 1 from erased").fetchone() is not None

    def since(self, key: str) -> int | None:
        """When the folded address was erased (epoch seconds)."""
        if not self.any():
            return None
        row = self._conn.execute("select at from erased where hash = ?", (self.veil(key),)).fetchone()
        return row[0] if row else None

    def refuse(self, address: Address) -> None:
        """Raises NotAllowed for who was erased."""
        if self.since(address.key) is not None:
            raise NotAllowed(
                "whoever had that address was erased, and stays so",
                hint=f"if they ask to come back: `broadcaster subscribers add {address} --list … --consent …`",
            )

    def among(self, keys: Iterable[str]) -> bool:
        """Whether any of these folded addresses was erased."""
        return self.any() and any(self.since(key) is not None for key in keys)

    def admit(self, address: Address) -> bool:
        """They ask to come back: whether they had been erased. Raises NotAllowed for who complained or bounced."""
        if self.since(address.key) is None:
            return False
        with self.db.atomic(durable=True) as conn:
            (reason,) = conn.execute("select reason from erased where hash = ?", (self.veil(address.key),)).fetchone()
            if reason:
                raise NotAllowed(
                    f"{address} must not be mailed: {reason}, before they were erased",
                    hint=f"`broadcaster suppressions remove {address}` lifts that, if you are sure",
                )
            conn.execute("delete from erased where hash = ?", (self.veil(address.key),))
        return True

    def pardon(self, key: str) -> str:
        """Forget what barred an erased address besides: what it was, "" where nothing did. It stays erased."""
        if self.since(key) is None:
            return ""
        with self.db.atomic(durable=True) as conn:
            reason: str = conn.execute("select reason from erased where hash = ?", (self.veil(key),)).fetchone()[0]
            if reason:
                conn.execute("update erased set reason = '' where hash = ?", (self.veil(key),))
                self.db.note("suppression remove", self.now())
        return reason

    def learn(self, other: Path, keys: Keys | None) -> int:
        """Take over who was erased in another copy of this database, which is only read; how many are new here.

        `keys` are to be tried where it is encrypted. Raises BadData where it is none.
        """
        try:
            with closing(looked_into(other, keys)) as copy:
                (theirs,) = copy.execute("select id from mark").fetchone()
                hashes = copy.execute("select hash, at, reason from erased").fetchall()
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            raise BadData(f"cannot be read as a database of ours ({error})", where=str(other)) from None
        if (theirs,) != self._conn.execute("select id from mark").fetchone():
            raise BadData("is another workspace's: its hashes mean nobody here", where=str(other))
        with self.db.atomic(durable=True) as conn:
            # who was erased twice may have complained in between
            return conn.executemany(
                "insert into erased values (?, ?, ?) on conflict do update set reason = excluded.reason"
                " where reason = ''",
                hashes,
            ).rowcount

    def returned(self) -> Iterator[str]:
        """Addresses of people who were erased and are here all the same: from a copy that is older than that."""
        if self.any():
            known = {row[0] for row in self._conn.execute("select hash from erased")}
            for key, address in self._conn.execute(
                "select key, address from subscriber union select key, address from suppression"
            ).fetchall():
                if self.veil(key) in known:
                    yield address

    # what there is of somebody

    def known(self, address: Address) -> Known:
        """What is known of an address at first sight."""
        conn = self._conn
        row = conn.execute("select id from subscriber where key = ?", (address.key,)).fetchone()
        number = row[0] if row else None
        lists = conn.execute(
            "select l.name from subscription u join list l on l.id = u.list where u.subscriber = ? order by 1",
            (number,),
        )
        barred = conn.execute("select reason from suppression where key = ?", (address.key,)).fetchone()
        (bounces,) = conn.execute(
            "select count(*) from bounce where key = ?1 or recipient = ?1", (address.key,)
        ).fetchone()
        return Known(
            number,
            [name for (name,) in lists],
            len(self.deliveries(number)) if number is not None else 0,
            barred[0] if barred else None,
            bounces,
            self.since(address.key),
        )

    def deliveries(self, subscriber: int) -> list[Carried]:
        """Every delivery to a person: one look for each mailing."""
        rows = self._conn.execute(
            "select d.id, d.mailing, d.state from mailing m cross join delivery d on d.mailing + 0 = +m.id"
            " and d.subscriber = ?",
            (subscriber,),
        )
        return [Carried(number, mailing, State(state)) for number, mailing, state in rows]

    # erasing

    def erase(self, guise: Guise, known: Known, deliveries: Collection[int]) -> Mapping[str, int]:
        """Take a person out of every table, and write down their hash. What was changed: table → rows.

        Inside a transaction in which what waits for them has been closed already.
        """
        figures: dict[str, int] = {}
        conn, address = self._conn, guise.address
        conn.execute("delete from erasing")
        # without a person of that address too: others' records may quote it
        conn.execute("insert into erasing values (?)", (known.subscriber or 0,))
        self._returned(guise, deliveries, figures)
        _count(figures, "attempt", conn.execute(
            "update attempt set reply = '' where reply <> '' and delivery in (select value from json_each(?))",
            (json.dumps([*deliveries]),),
        ))  # fmt: skip
        conn.execute(
            "delete from refusal where delivery in (select value from json_each(?))", (json.dumps([*deliveries]),)
        )
        if known.subscriber is not None:
            self._person(known.subscriber, figures)
        _count(figures, "suppression", conn.execute("delete from suppression where key = ?", (address.key,)))
        self._words(guise, figures)
        # what barred them when they were erased before still does
        conn.execute(
            "insert into erased values (?, ?, ?) on conflict do update"
            " set reason = iif(excluded.reason = '', reason, excluded.reason)",
            (self.veil(address.key), self.now(), _lasting(known.suppressed)),
        )
        conn.execute("delete from erasing")
        return figures

    def _person(self, number: int, figures: dict[str, int]) -> None:
        """All rows that are theirs, and files that they alone were sent."""
        conn = self._conn
        alone = conn.execute(
            "select digest from enclosure e where subscriber = ?1 and not exists (select 1 from enclosure o"
            " where o.digest = e.digest and o.subscriber <> ?1)"
            " and not exists (select 1 from part where instr(template, e.digest))",
            (number,),
        ).fetchall()
        for table, columns in self._tables():
            if "subscriber" in columns and table not in FIGURES:
                deleted = conn.execute(f"delete from {_name(table)} where subscriber = ?", (number,))  # noqa: S608
                _count(figures, table, deleted)
        _count(figures, "content", conn.executemany("delete from content where digest = ?", alone))
        _count(figures, "subscriber", conn.execute("delete from subscriber where id = ?", (number,)))

    def _returned(self, guise: Guise, deliveries: Collection[int], figures: dict[str, int]) -> None:
        """What came back of their mail, or names them: its figures stay, its words and the mails go."""
        conn, key = self._conn, guise.address.key
        theirs = json.dumps([*deliveries])
        rows = conn.execute(
            "select id, message from bounce where key = ?1 or recipient = ?1"
            " or delivery in (select value from json_each(?2))",
            (key, theirs),
        ).fetchall()
        messages = {message for _, message in rows if message is not None}
        for number, raw in conn.execute("select id, raw from returned where raw is not null"):
            if number not in messages and guise.within(unpacked(raw)):
                messages.add(number)
        _count(figures, "returned", conn.execute(
            "update returned set raw = null where raw is not null and id in (select value from json_each(?))",
            (json.dumps([*messages]),),
        ))  # fmt: skip
        _count(figures, "bounce", conn.execute(
            "update bounce set key = null, recipient = '', words = '', counts = 0"
            " where id in (select value from json_each(?))",
            (json.dumps([number for number, _ in rows]),),
        ))  # fmt: skip

    def _words(self, guise: Guise, figures: dict[str, int]) -> None:
        """The address out of every text that others, or we, wrote in any other row."""
        conn, patterns = self._conn, guise.patterns()
        conn.create_function("without", 1, lambda text: text and guise.without(text), deterministic=True)
        for table, columns in self._tables():
            for column, kind in columns.items():
                if kind != "TEXT" or (table, column) in OTHERS:
                    continue
                name = _name(column)
                like = " or ".join([f"{name} like ? escape '\\'"] * len(patterns))
                # `or replace`: two rows may be alike without it
                changed = conn.execute(
                    f"update or replace {_name(table)} set {name} = without({name})"  # noqa: S608
                    f" where ({like}) and without({name}) <> {name}",
                    patterns,
                )
                _count(figures, table, changed)

    def quoted(self, guise: Guise) -> list[int]:
        """The mailings whose own frozen text has the address: their authors' words, which stay."""
        return [
            number
            for number, template in self._conn.execute("select mailing, template from part order by 1")
            if guise.without(template) != template
        ]

    def _tables(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Every table with its columns and their types."""
        names = self._conn.execute(
            "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' escape '\\'"
            " order by name"
        ).fetchall()
        for (name,) in names:
            columns = self._conn.execute("select name, type from pragma_table_info(?)", (name,)).fetchall()
            yield name, {column: kind.upper() for column, kind in columns}

    # what is left on the disk

    def handed(self, deliveries: Collection[int]) -> int:
        """How many of these are on a wire at this moment."""
        (number,) = self._conn.execute(
            "select count(*) from delivery where state = ? and id in (select value from json_each(?))",
            (State.HANDED, json.dumps([*deliveries])),
        ).fetchone()
        return int(number)

    def scrub(self) -> bool:
        """Write the file anew, without what was in it once, and empty its log; False where somebody still reads that.

        `secure_delete` overwrites what is deleted; but where rows have moved from page to page before, their old
        places are not known any more, and only a fresh copy is free of them. That copy is made in our own folder.
        Raises CannotWrite where there is no room for it.
        """
        try:
            with self.db.scratch({}, self.db.path.parent):
                self._conn.execute("vacuum")
            (wait,) = self._conn.execute("pragma busy_timeout").fetchone()
            self._conn.execute(f"pragma busy_timeout = {PATIENCE}")
            try:
                busy, _, _ = self._conn.execute("pragma wal_checkpoint(truncate)").fetchone()
            finally:
                self._conn.execute(f"pragma busy_timeout = {wait}")
        except sqlite3.OperationalError as error:
            raise CannotWrite(
                f"they are erased, but what was there before may still be in the file: {error}",
                where=str(self.db.path),
                hint="see that there is room for a second copy of it, and run the same command once more",
            ) from None
        return not busy


def _lasting(reason: str | None) -> str:
    """What of a suppression outlives a person: whoever complained is not brought back by a form that somebody else
    filled in. Staff's own words may name them, and do not stay.
    """
    if reason in ("complained", "bounced"):
        return reason
    return "" if reason in (None, "left") else "staff"


def unpacked(raw: bytes) -> bytes:
    """A returned message as it came."""
    import zlib

    return zlib.decompress(raw)


def _count(figures: dict[str, int], table: str, cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount > 0:
        figures[table] = figures.get(table, 0) + cursor.rowcount


def _name(text: str) -> str:
    """A name from the schema, as SQL takes it."""
    return '"' + text.replace('"', '""') + '"'
