"""The mark: how far was sent, in the database and in a small file beside it that is not restored with it.

The database cannot know that it is a copy from before the last sending; the file can. A claim is on the disk first
and in the file after, so the file is ahead only of a database that has forgotten something, whatever was killed or lost
its power meanwhile. One record for each mailing, at a place of its own: a claim costs one pwrite, and no fsync.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from broadcaster.custody import open_private
from broadcaster.db import Db
from broadcaster.errors import CannotWrite
from broadcaster.mailing import Stamp, fingerprint

# a record never crosses the sector of a disk, so the power cannot leave half of one
RECORD: Final = 128
# the place of mailing 0, which there is none of: whoever opens the file is told what it is
HEAD: Final = (
    b"broadcaster.db restored from a copy is older than what was sent. This file knows: leave it as it is.".ljust(
        RECORD - 1
    )
    + b"\n"
)

_RECORD: Final = re.compile(
    rb"([0-9a-f]{32}) (\d{1,9}) (\d{1,19}) (\d{1,19}) (\d{1,12}) ([mr]) ([0-9a-f]{16}) ([0-9a-f]{8}) *\n"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """What the file says: the last claim of each mailing, and the mailings whose record cannot be read."""

    stamps: tuple[Stamp, ...] = ()
    damaged: tuple[int, ...] = ()


class Mark:
    """The file and its row. The file is made when it is first written; one that is not there is no fault."""

    def __init__(self, path: Path, db: Db) -> None:
        self._path = path
        self._db = db
        self._descriptor: int | None = None

    # the row: what this database knows

    def count(self, highest: Mapping[int, int], now: int) -> list[Stamp]:
        """Count a claim, in its transaction. `highest`: mailing → the highest delivery of its lots. To be written when
        that is over.

        As one, however many mailings are in it: whoever is killed before it is written leaves the file one behind.
        """
        if not highest:
            return []
        with self._db.atomic() as conn:
            conn.execute("update mark set claims = claims + 1")
            conn.executemany(
                "update mailing set claimed = max(claimed, ?), claimed_at = ? where id = ?",
                [(delivery, now, number) for number, delivery in highest.items()],
            )
            rows = conn.execute(
                "select mark.id, claims, mailing.id, claimed, claimed_at, rehearsal, statement from mark, mailing"
                " where mailing.id in (select value from json_each(?))",
                (json.dumps(list(highest)),),
            ).fetchall()
        return [
            Stamp(database, claims, number, claimed, at, bool(rehearsal), fingerprint(statement))
            for database, claims, number, claimed, at, rehearsal, statement in rows
        ]

    def unheard(self, stamps: Sequence[Stamp]) -> list[Stamp]:
        """Those of later claims than this database knows of: it was restored from before them."""
        ours, claims = self._db.conn.execute("select id, claims from mark").fetchone()
        return [stamp for stamp in stamps if stamp.database == ours and stamp.claims > claims]

    def ahead(self) -> list[Stamp]:
        """What the file says was sent, and this database does not know. Settled by whoever sends next."""
        return self.unheard(self.read().stamps)

    def lost(self, stamps: Sequence[Stamp]) -> list[Stamp]:
        """Those of mailings that this database has forgotten whole."""
        (ours,) = self._db.conn.execute("select id from mark").fetchone()
        known = {row[0] for row in self._db.conn.execute("select id from mailing")}
        return [stamp for stamp in stamps if stamp.database == ours and stamp.mailing not in known]

    def perhaps_sent(self, stamp: Stamp, lot: int = 20_000) -> Iterator[list[int]]:
        """The deliveries up to a stamp that still wait here, in lots by id: they may have been sent since."""
        after = 0
        while rows := self._db.conn.execute(
            "select d.id from mailing m join delivery d on d.id >= m.first and d.id <= ?2"
            " where m.id = ?1 and d.mailing = ?1 and d.id > ?3 and d.state in (0, 1, 2, 3) order by d.id limit ?4",
            (stamp.mailing, stamp.delivery, after, lot),
        ).fetchall():
            yield [row[0] for row in rows]
            after = rows[-1][0]

    def catch_up(self, stamps: Sequence[Stamp]) -> None:
        """Count on from the file, and keep in mind which mailings were sent of by a database that was lost.

        One more than the file says: who was killed between a claim and its record had counted that.
        """
        if not (unheard := self.unheard(stamps)):
            return
        with self._db.atomic() as conn:
            conn.execute("update mark set claims = ?", (max(stamp.claims for stamp in unheard) + 1,))
            conn.executemany(
                "update mailing set restored = 1, claimed = max(claimed, ?), claimed_at = ? where id = ?",
                [(stamp.delivery, stamp.at, stamp.mailing) for stamp in unheard],
            )

    def give_above(self, marks: Marks) -> None:
        """Let no id or number be given again that the file has seen: it is in mail that is out."""
        delivery = max((stamp.delivery for stamp in marks.stamps), default=0)
        number = max((*(stamp.mailing for stamp in marks.stamps), *marks.damaged), default=0)
        known = self._db.conn.execute(
            "select max(mark.delivery, coalesce(max(last), 0)), max(mark.mailing, coalesce(max(mailing.id), 0))"
            " from mark left join mailing"
        ).fetchone()
        if delivery > known[0] or number > known[1]:
            with self._db.atomic() as conn:
                conn.execute(
                    "update mark set delivery = max(delivery, ?), mailing = max(mailing, ?)", (delivery, number)
                )

    def suppose(self, now: int) -> list[Stamp]:
        """Write of each mailing that is not over that all of it was sent. Where the file of a database that was lost is
        lost too, nobody knows better: so this one finds out that it is older, as from the file itself.
        """
        rows = self._db.conn.execute(
            "select mark.id, claims + 1, m.id, m.last, m.rehearsal, m.statement from mark, mailing m"
            " where m.state not in (5, 6) and exists"
            " (select 1 from tally where mailing = m.id and state in (0, 1, 2, 3) and number > 0) order by m.id"
        ).fetchall()
        stamps = [
            Stamp(database, claims, number, last, now, bool(rehearsal), fingerprint(statement))
            for database, claims, number, last, rehearsal, statement in rows
        ]
        for stamp in stamps:
            self.write(stamp)
        return stamps

    def skip(self, deliveries: int, mailings: int) -> None:
        """Leave out so many ids and numbers: a database that was lost may have given them."""
        with self._db.atomic() as conn:
            conn.execute(
                "update mark set delivery = ? + max(delivery, coalesce((select max(last) from mailing), 0)),"
                " mailing = ? + max(mailing, coalesce((select max(id) from mailing), 0))",
                (deliveries, mailings),
            )

    def behind(self, marks: Marks) -> bool:
        """Whether the file knows less than this database: it is another's, or an older copy."""
        ours, claims = self._db.conn.execute("select id, claims from mark").fetchone()
        heard = max((stamp.claims for stamp in marks.stamps if stamp.database == ours), default=0)
        # whoever is killed between a claim and its record leaves the file one behind
        return bool(heard < claims - 1 or (claims and not heard))

    # the file

    def read(self) -> Marks:
        """What it says. Raises NotAllowed for a link or what is no file, CannotWrite for one that cannot be read."""
        try:
            descriptor = open_private(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return Marks()
        try:
            with os.fdopen(descriptor, "rb") as file:
                whole = file.read()
        except OSError as error:
            raise self._failed(error) from None
        stamps, damaged = [], []
        for number in range(1, -(-len(whole) // RECORD)):
            record = whole[number * RECORD : (number + 1) * RECORD]
            stamp = _parsed(record)
            if stamp is not None and stamp.mailing == number:
                stamps.append(stamp)
            elif record.strip(b"\0"):
                # never written, and after a power cut perhaps not kept, is all zeros
                damaged.append(number)
        return Marks(tuple(stamps), tuple(damaged))

    def open(self) -> None:
        """Make sure that it can be written, before anything is claimed. Raises NotAllowed, CannotWrite."""
        self.close()
        self._descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        self._put(HEAD, 0)

    def write(self, stamp: Stamp) -> None:
        """Note the last claim of a mailing: after the claim, before anything of it goes on a wire."""
        if self._descriptor is None:
            self.open()
        self._put(_record(stamp), stamp.mailing * RECORD)

    def close(self) -> None:
        """Let go of the file; the next `write` opens what is there then."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _put(self, record: bytes, place: int) -> None:
        assert self._descriptor is not None
        try:
            written = os.pwrite(self._descriptor, record, place)
        except OSError as error:
            raise self._failed(error) from None
        if written != len(record):
            raise CannotWrite("the disk is full", where=str(self._path), hint="free some space; nothing was half done")

    def _failed(self, error: OSError) -> CannotWrite:
        return CannotWrite((error.strerror or str(error)).lower(), where=str(self._path))


def _record(stamp: Stamp) -> bytes:
    words = (
        *(stamp.database, stamp.mailing, stamp.delivery, stamp.claims, stamp.at),
        *("r" if stamp.rehearsal else "m", stamp.statement, ""),
    )
    text = " ".join(map(str, words)).encode()
    return (text + f"{crc32(text):08x}".encode()).ljust(RECORD - 1) + b"\n"


def _parsed(record: bytes) -> Stamp | None:
    found = _RECORD.fullmatch(record)
    if found is None or crc32(record[: found.start(8)]) != int(found[8], 16):
        return None
    return Stamp(
        database=found[1].decode(),
        mailing=int(found[2]),
        delivery=int(found[3]),
        claims=int(found[4]),
        at=int(found[5]),
        rehearsal=found[6] == b"r",
        statement=found[7].decode(),
    )
