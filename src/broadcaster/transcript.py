"""The database file written anew under another key, put in the place of the old one, and the old one overwritten.

SQLCipher could change pages where they are, but not from plain text and back, and not so that a killed process leaves
either the old file or the new one. Here the new file is whole, compared row by row and on the disk before one rename
makes it the database. What is to be overwritten gets a second name first: it can be found again whoever is killed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Final

from broadcaster.db import (
    CIPHER_CACHE,
    GONE,
    NEW,
    Db,
    Keys,
    damaged,
    from_outside,
    left_behind,
    open_database,
    private,
    through_cipher,
    translated,
    undecipherable,
)
from broadcaster.errors import CannotWrite, Unfinished

# a command that has the database open is waited for so long (seconds)
PATIENCE: Final = 5.0
# what is written over a file, a piece at a time
PIECE: Final = 1 << 20
# of the size of the database: what must be free beside it
ROOM: Final = 1.1


def clear_up(path: Path) -> None:
    """Finish what was left behind. Only for who holds the lock of the workspace: else it may be in use."""
    for name in left_behind(path):
        origin = name.with_suffix("")
        if name.suffix == ".gone" and origin.exists() and name.samefile(origin):
            # its second name came, and no new file in its place
            name.unlink()
        else:
            wipe(name)


def readable(path: Path, key: str) -> bool:
    """Whether the file is there and `key` opens it ("": it is plain)."""
    if not path.exists():
        return False
    if not key:
        return private(path, create=False).plain
    with closing(through_cipher(path, key, timeout=PATIENCE)) as conn:
        try:
            conn.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            if undecipherable(error):
                return False
            raise translated(error, path) from error
    return True


@contextmanager
def alone(path: Path, key: str) -> Iterator[sqlite3.Connection]:
    """The database, opened by us and by nobody else until the block ends.

    Raises Unfinished when another command has it open and goes on having it.
    """
    with closing(through_cipher(path, key, timeout=PATIENCE)) as conn:
        try:
            # before the first look at it: the lock is kept from then on
            conn.execute("pragma locking_mode = exclusive")
            conn.execute("begin exclusive")
            conn.execute("commit")
            conn.execute(f"pragma cache_size = {CIPHER_CACHE}")
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Unfinished(
                    "another command has the database open", where=str(path), hint="run it again when that has ended"
                ) from None
            raise translated(error, path) from error
        yield conn


def gather(conn: sqlite3.Connection, path: Path) -> None:
    """Bring home what is in the log, which is overwritten. Only for who is alone. Raises CannotWrite."""
    try:
        with _overwritten(path.with_name(f"{path.name}-wal")):
            conn.execute("pragma journal_mode = delete")
        # whoever is alone keeps the journal of the last change, until he wants none
        (mode,) = conn.execute("pragma journal_mode = memory").fetchone()
    except sqlite3.DatabaseError as error:
        raise translated(error, path) from error
    if mode != "memory":
        raise CannotWrite("its log cannot be put away", where=str(path), hint="nothing was changed")
    # what belongs to the old file would be taken for the new one's
    for end in ("-wal", "-journal"):
        wipe(path.with_name(path.name + end))


def write(
    conn: sqlite3.Connection, path: Path, key: str, note: Callable[[Db], None] = lambda _: None, who: str = ""
) -> Path:
    """All that is in the database, in a new file beside it under `key` ("": plain), compared and on the disk.

    `note` is what `who` writes into its audit log. Raises CannotWrite; ConfigError for a database that is damaged.
    """
    new = path.with_name(path.name + NEW[0])
    want_room(path)
    private(new, create=True)
    # "" in the end: it is plain, whatever the other is
    conn.execute("attach ? as fresh key ?", (str(new), f"x'{key}'" if key else ""))
    try:
        # no journal: who is killed leaves a file that nobody wants
        conn.execute("pragma fresh.journal_mode = off")
        conn.execute("pragma fresh.synchronous = off")
        conn.execute(f"pragma fresh.cache_size = {CIPHER_CACHE}")
        conn.execute("begin")
        conn.execute("select sqlcipher_export('fresh')").fetchone()
        conn.execute(f"pragma fresh.user_version = {conn.execute('pragma main.user_version').fetchone()[0]}")
        conn.execute("commit")
    except sqlite3.DatabaseError as error:
        if conn.in_transaction:
            conn.execute("rollback")
        # what does not fit into a table as it was made was not written by us
        raise translated(error, path) if from_outside(error) else damaged(path, str(error)) from error
    finally:
        conn.execute("detach fresh")
    with closing(through_cipher(new, key, timeout=PATIENCE)) as copy:
        _compare(conn, copy, path)
    keys: Keys | None = (lambda: iter((key,))) if key else None
    with closing(open_database(new, create=False, who=who, keys=keys)) as db, db.atomic(durable=True):
        note(db)
    _to_disk(new)
    return new


def want_room(path: Path) -> None:
    """Raises CannotWrite where the disk has no room for another one."""
    needed = int(path.stat().st_size * ROOM) + PIECE
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise CannotWrite(
            f"the disk is nearly full: {free / 1e6:,.1f} MB are free, and {needed / 1e6:,.1f} are needed",
            where=str(path.parent),
            hint="free some space; nothing was changed",
        )


def replace(path: Path, new: Path, turn: Callable[[], None] = lambda: None) -> None:
    """The new file becomes the database, its key is given its `turn`, and the old file is overwritten."""
    with _overwritten(path):
        new.rename(path)
        _to_disk(path.parent)
        turn()


def wipe(path: Path) -> None:
    """Overwrite a file and remove it, as far as the file system writes where it is told to.

    What has no room of its own any more is not reached: copies that an SSD, a snapshot or the journal of a file system
    keeps, and what was deleted before. A link is removed and not followed.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        path.unlink(missing_ok=True)
        return
    try:
        _overwrite(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()


@contextmanager
def _overwritten(path: Path) -> Iterator[None]:
    """What loses its name inside the block is overwritten after it, or by `clear_up` if we are killed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield
        return
    second = path.with_name(path.name + GONE[0])
    try:
        # some file systems know no second names (FAT): there, whoever is killed now leaves the octets on the disk
        with suppress(OSError):
            second.hardlink_to(path)
            _to_disk(path.parent)
        yield
        _overwrite(descriptor)
        second.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int) -> None:
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        return
    # not zeros, which may be kept as a hole; and whoever has it open must not take it for an empty database
    piece = os.urandom(PIECE)
    for place in range(0, about.st_size, PIECE):
        os.pwrite(descriptor, piece[: about.st_size - place], place)
    os.fsync(descriptor)


def _compare(old: sqlite3.Connection, new: sqlite3.Connection, path: Path) -> None:
    """Raises CannotWrite unless the two say the same, in every table and row, and SQLite finds the new one sound."""

    def differs(how: str) -> CannotWrite:
        return CannotWrite(f"the new file is no true copy: {how}", where=str(path), hint="nothing was changed")

    (said,) = new.execute("pragma integrity_check(1)").fetchone()
    if said != "ok":
        raise differs(" ".join(said.split()))
    # text that is none is compared as well
    old.text_factory = new.text_factory = bytes
    schema = "select type, name, tbl_name, sql from sqlite_master order by 1, 2"
    tables = old.execute(schema).fetchall()
    if tables != new.execute(schema).fetchall():
        raise differs("it has another schema")
    for kind, octets, *_ in tables:
        if kind == b"table":
            name = octets.decode("utf-8", "replace")
            rows = f'select * from "{name}"'  # noqa: S608 - a name that was read from the schema
            if any(one != other for one, other in zip_longest(old.execute(rows), new.execute(rows))):
                raise differs(f"it has other rows in {name}")
    old.text_factory = new.text_factory = str


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
