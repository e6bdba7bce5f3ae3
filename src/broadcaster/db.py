"""The database file: opened privately, with the right pragmas, brought up to date.

One SQLite file holds the roster and the ledger, so that one transaction can cover both. It is
created 0600 before SQLite sees it (SQLite would create it 0644; the -wal and -shm files inherit
the mode). sqlite-utils is imported only when there is something to migrate: `run` from cron
starts in a blink. Where [encryption] asks for it the file is opened with SQLCipher, which is
imported for nobody else; behind this door nobody sees a difference.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from broadcaster.custody import create_private, keep_folder, keep_private
from broadcaster.errors import CannotWrite, ConfigError
from broadcaster.schema import SCHEMA

# how long a write waits for another: an import of a million is one transaction, and no sender may die of it
BUSY_SECONDS = 120.0
# pages that the log of the database grows to, before they are brought home
LOG_PAGES = 4000
# what a row that moves asks of the disk: in the log, and for ever; and what all else does (octets)
LOGGED, KEPT, BESIDE = 12_000, 100, 256_000
# what SQLite makes beside the file, with the file's own mode
BESIDE_IT = ("-wal", "-shm", "-journal")

# what a database starts with that anybody can read
PLAIN: Final = b"SQLite format 3\0"
# what is named so beside it while it is written anew, and what waits to be overwritten: a killed process leaves it
NEW: Final = (".new", ".new-wal", ".new-shm", ".new-journal")
GONE: Final = (".gone", "-wal.gone")
# (-KiB) a page that was dropped is decrypted again: with the usual 2 MB, people by address take twice as long
CIPHER_CACHE: Final = -65_536
# how often a file may be put in the place of another while it is opened
TURNS: Final = 10
# the keys to try; asked for only where there is something to decrypt
Keys = Callable[[], Iterator[str]]

# the highest id that anybody in the roster has or had
LAST_GIVEN = "select max(given.subscriber, coalesce((select max(id) from subscriber), 0)) from given"


class Db:
    """An open database. `conn` is in autocommit; every write happens inside `atomic()`.

    What is `encrypted` must not be written elsewhere as plain text: temporary tables stay in memory.
    """

    def __init__(self, conn: sqlite3.Connection, path: Path, who: str = "", *, encrypted: bool = False) -> None:
        self.conn = conn
        self.path = path
        self.who = who
        self.encrypted = encrypted
        self._synchronous = ""

    @contextmanager
    def atomic(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One write transaction. `durable`: on the disk when this returns (synchronous=FULL).

        Others are atomic and survive the death of the process, but the last of them may be rolled back
        by a power cut. BEGIN IMMEDIATE: a reader that becomes a writer would fail without waiting.
        """
        if self.conn.in_transaction:
            yield self.conn
            return
        synchronous = "full" if durable else "normal"
        try:
            if synchronous != self._synchronous:
                # the pragma is ignored inside a transaction
                self.conn.execute(f"pragma synchronous = {synchronous}")
                self._synchronous = synchronous
            self.conn.execute("begin immediate")
        except sqlite3.OperationalError as error:
            raise translated(error, self.path) from error
        try:
            yield self.conn
            self.conn.execute("commit")
        except BaseException as error:
            if self.conn.in_transaction:
                self.conn.execute("rollback")
            if from_outside(error):
                raise translated(error, self.path) from error
            raise

    def settle(self) -> None:
        """Returns when all that was committed until now is on the disk, however it was committed.

        For a thread beside the one that works on with this connection: it asks no SQLite. What has left the log for the
        database is there already, and whatever of this is lost takes with it all that came later. Raises CannotWrite.
        """
        try:
            # SQLite's locks are on the other files: closing this one drops none of them
            log = os.open(self.path.with_name(f"{self.path.name}-wal"), os.O_RDONLY)
        except FileNotFoundError:
            return  # on a disk where there can be no log, each commit waits for it
        try:
            getattr(os, "fdatasync", os.fsync)(log)
        except OSError as error:
            raise CannotWrite((error.strerror or str(error)).lower(), where=str(self.path)) from None
        finally:
            os.close(log)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One moment for several questions. Nobody waits for it, and temporary tables may be written meanwhile."""
        if self.conn.in_transaction:
            yield self.conn
            return
        try:
            self.conn.execute("begin")
            yield self.conn
            self.conn.execute("commit")
        except BaseException as error:
            if self.conn.in_transaction:
                self.conn.execute("rollback")
            if from_outside(error):
                raise translated(error, self.path) from error
            raise

    def teach(self, functions: Mapping[str, tuple[int, Callable[..., Any]]]) -> None:
        """Let SQL on this connection call these, by name: how many arguments each takes, and what it gives for them."""
        for name, (arguments, function) in functions.items():
            self.conn.create_function(name, arguments, function, deterministic=True)

    def note(
        self,
        what: str,
        at: int,
        *,
        subscriber: int | None = None,
        on: int | None = None,
        mailing: int | None = None,
        intake: int | None = None,
        **details: object,
    ) -> None:
        """Add a line to the audit log, as a part of the transaction that it tells of.

        `what` is a noun and a verb. `on` is a list's id, `intake` an import's number. Neither addresses nor anything
        a person wrote: what is in the log stays there for ever.
        """
        self.conn.execute(
            "insert into audit (at, who, what, subscriber, list, mailing, import, details)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (at, self.who, what, subscriber, on, mailing, intake, json.dumps(details)),
        )

    @contextmanager
    def scratch(self, tables: Mapping[str, str], folder: Path) -> Iterator[None]:
        """Temporary tables (name → columns) whose files lie in `folder` and go in the end, however it ends.

        Those of an encrypted database stay in memory: nobody encrypts such files.
        """
        conn = self.conn
        if not self.encrypted:
            # deprecated, and the only way to say it after SQLite has started; where it is not built in, memory will do
            conn.execute(f"pragma temp_store_directory = '{str(folder).replace(chr(39), chr(39) * 2)}'")
            said = conn.execute("pragma temp_store_directory").fetchone()
            conn.execute(f"pragma temp_store = {'file' if said and said[0] == str(folder) else 'memory'}")
        cache = conn.execute("pragma cache_size").fetchone()[0]
        conn.execute("pragma cache_size = -65536")
        conn.execute("pragma temp.cache_size = -24576")
        # a file without a name goes with its last descriptor: overwriting it first protects nothing
        conn.execute("pragma temp.secure_delete = off")
        try:
            for name, columns in tables.items():
                conn.execute(f"create temp table {name} ({columns}) strict")
            yield
        finally:
            if conn.in_transaction:
                conn.execute("rollback")
            for name in tables:
                conn.execute(f"drop table if exists temp.{name}")
            conn.execute(f"pragma cache_size = {cache}")
            if not self.encrypted:
                conn.execute("pragma temp_store_directory = ''")

    def copy_to(self, path: Path) -> None:
        """Write the whole database, as it is at one moment, into an empty private file: nobody who writes waits.

        Raises ConfigError where it is damaged: a copy of that would push a good one out. CannotWrite.
        """
        free = shutil.disk_usage(path.parent).free
        # SQLCipher tells the size of a page as text
        needed = int(self.conn.execute("pragma page_count").fetchone()[0])
        needed *= int(self.conn.execute("pragma page_size").fetchone()[0])
        if free < needed + BESIDE:
            raise CannotWrite(
                f"the disk is nearly full: {free / 1e6:,.1f} MB are free, and {needed / 1e6:,.1f} are needed"
                " for a copy of the database",
                where=str(path.parent),
                hint="free some space",
            )
        try:
            if self.encrypted:
                # under its own key, which nobody need know for that
                self.conn.execute("vacuum into ?", (str(path),))
            else:
                with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                    # a copy that is not whole is thrown away
                    copy.execute("pragma synchronous = off")
                    self.conn.backup(copy)
                    copy.execute("pragma journal_mode = delete")
            self.conn.execute("attach ? as copy", (str(path),))
            try:
                (said,) = self.conn.execute("pragma copy.quick_check(1)").fetchone()
            finally:
                self.conn.execute("detach copy")
        except sqlite3.DatabaseError as error:
            raise translated(error, path) from error
        if said != "ok":
            raise damaged(self.path, " ".join(said.split()))

    def bring_home(self) -> None:
        """Let what was deleted be gone from the log beside the file too, unless somebody is reading it this moment."""
        self.conn.execute("pragma busy_timeout = 1000")
        self.conn.execute("pragma wal_checkpoint(truncate)").fetchone()
        self.conn.execute(f"pragma busy_timeout = {int(BUSY_SECONDS * 1000)}")

    def want_room(self, rows: int) -> None:
        """Raises CannotWrite where the disk may not hold what it takes to move so many rows."""
        needed = BESIDE + min(rows * LOGGED, LOG_PAGES * 4096) + rows * KEPT
        free = shutil.disk_usage(self.path.parent).free
        if free < needed:
            raise CannotWrite(
                f"the disk is nearly full: {free / 1e6:,.1f} MB are free, and {needed / 1e6:,.1f} may be needed",
                where=str(self.path.parent),
                hint="free some space; nothing was sent",
            )

    def broken(self) -> str:
        """What is wrong with the pages of the file, in SQLite's words; "" where nothing is. Ten seconds a gigabyte."""
        try:
            (said,) = self.conn.execute("pragma integrity_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            said = str(error)
        return "" if said == "ok" else " ".join(said.split())

    def damage(self) -> str:
        """What in the file cannot be as we wrote it, in a few words; "" where nothing is found. Reads all of it."""
        from sqlite_utils import Database

        try:
            if said := self.broken():
                return said
            with closing(sqlite3.connect(":memory:")) as fresh:
                fresh.executescript(";".join(SCHEMA.values()))
                made = fresh.execute("select name, sql from sqlite_master").fetchall()
            found = set(self.conn.execute("select name, sql from sqlite_master"))
            for each in made:
                if each not in found:
                    return f"{each[0]} is not as it was made"
            if self.conn.execute(
                "select 1 from (select titles as text from list union all select fields from subscriber"
                " union all select figures from import union all select rule from mailing"
                " union all select left_out from mailing union all select template from part"
                " union all select details from audit"
                " union all select state from pace) where not json_valid(text)"
            ).fetchone():
                return "text that is no JSON"
            for table in Database(self.conn).tables:
                for _ in table.rows:
                    pass  # text that is none is refused when it is read
        except sqlite3.DatabaseError as error:
            words = str(error)
            if "UTF-8" in words:
                # Python's words quote it, and it may be an address
                return "text that is none"
            return words if "malformed" in words else ""
        return ""

    def close(self) -> None:
        self.conn.close()


def from_outside(error: BaseException) -> TypeGuard[sqlite3.Error]:
    """Whether the disk, the file or another process is to blame, and not a query of ours."""
    # the primary code is in the low byte; only what is raised by SQLite itself has one
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    )


def undecipherable(error: sqlite3.Error) -> bool:
    """Whether it is no database to whoever has this key."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_NOTADB


def damaged(path: Path, what: str) -> ConfigError:
    """The file is not what we wrote."""
    return ConfigError(f"the database is damaged: {what}", where=str(path), hint="restore it from a backup")


def unreadable(path: Path) -> ConfigError:
    """No key fits."""
    return ConfigError(
        "cannot be read with the key that [encryption] names, or is damaged",
        where=str(path),
        hint="is it the key of another backup? Put the right one there, or restore the database that it belongs to",
    )


def translated(error: sqlite3.Error, path: Path) -> CannotWrite | ConfigError:
    """SQLite's complaint in our words."""
    words = str(error)
    if "malformed" in words or "not a database" in words:
        hint = "restore it from a backup; nothing was changed"
        if "not a database" in words:
            hint = f"if it is encrypted, [encryption] must say where the key is; else {hint}"
        return ConfigError(f"not a database of ours ({words})", where=str(path), hint=hint)
    if "locked" in words or "busy" in words:
        return CannotWrite("another process is writing to the database", where=str(path), hint="try again in a moment")
    # where the index of the log cannot grow, SQLite speaks of a disk that fails
    if "full" in words or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return CannotWrite("the disk is full", where=str(path), hint="free some space; nothing was half done")
    return CannotWrite(words, where=str(path))


def open_database(path: Path, *, create: bool = True, who: str = "", keys: Keys | None = None) -> Db:
    """Open the database of a workspace, creating and migrating it where needed. `who` is named in the audit log.

    With `keys` it is an encrypted one, made so where there is none. Raises ConfigError when it is missing, damaged,
    newer than this program, or not encrypted as asked; NotAllowed when it is a link; CannotWrite when it cannot be
    written.
    """
    for _ in range(TURNS):
        found = private(path, create=create)
        try:
            conn, version = _opened(path, found, keys)
        except ConfigError:
            if _at(path) == found.at:
                raise
            continue
        # who waited for one that was being encrypted has the old file in hand: what he wrote would be lost with it.
        # From here on nobody puts another in its place: for that it must be open nowhere
        if _at(path) == found.at:
            break
        conn.close()
    else:
        raise CannotWrite("is being put in place of another", where=str(path), hint="try again in a moment")
    db = Db(conn, path, who, encrypted=keys is not None)
    if version > len(SCHEMA):
        conn.close()
        raise ConfigError("was written by a newer broadcaster", where=str(path), hint="upgrade broadcaster")
    if version < len(SCHEMA):
        _migrate(db)
    return db


@contextmanager
def glance(path: Path) -> Iterator[Db | None]:
    """The database to be looked at for a moment: never made, brought up to date, written to or waited for.

    None where that cannot be: it is not there, encrypted, or of another version.
    """
    try:
        with path.open("rb") as file:
            plain = file.read(len(PLAIN)) == PLAIN
        # without a log nobody has it open: nothing is put beside it then
        how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        conn = sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=0) if plain else None
    except (OSError, sqlite3.Error):
        conn = None
    if conn is None:
        yield None
        return
    with closing(conn):
        try:
            known = conn.execute("pragma user_version").fetchone()[0] == len(SCHEMA)
        except sqlite3.Error:
            known = False
        yield Db(conn, path) if known else None


def left_behind(path: Path) -> list[Path]:
    """What a killed process has left beside the database: see transcript.py."""
    return [each for end in (*NEW, *GONE) if os.path.lexists(each := path.with_name(path.name + end))]


class Found(NamedTuple):
    """A file before it is opened: which one it is."""

    path: Path
    at: tuple[int, int]

    @property
    def plain(self) -> bool:
        """Whether anybody can read it. Asked before it is opened: to look into it would give up what locks we have."""
        with self.path.open("rb") as file:
            return file.read(len(PLAIN)) == PLAIN


def private(path: Path, *, create: bool) -> Found:
    """The file exists, is ours alone and is no link, and so are those beside it, before SQLite opens them."""
    if os.path.lexists(path.parent):
        keep_folder(path.parent)
        for beside in BESIDE_IT:
            _kept(path.with_name(path.name + beside))
        if not _kept(path) and create:
            try:
                os.close(create_private(path))
            except CannotWrite:
                # another process made it just now
                if not _kept(path):
                    raise
    if (at := _at(path)) is None:
        raise ConfigError("no database here yet", where=str(path), hint="import somebody first")
    if not os.access(path, os.W_OK):
        alone = os.statvfs(path).f_flag & os.ST_RDONLY
        raise CannotWrite("read-only file system" if alone else "permission denied", where=str(path))
    return Found(path, at)


def _kept(path: Path) -> bool:
    """Whether it is there, and ours alone; the second name that it has while it is put aside is ours too."""
    second = path.with_name(path.name + GONE[0])
    try:
        ours = 2 if second.samefile(path) else 1
    except OSError:
        ours = 1
    return keep_private(path, names=ours)


def _at(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def _opened(path: Path, found: Found, keys: Keys | None) -> tuple[sqlite3.Connection, int]:
    """A connection with our pragmas, and the version of the schema."""
    if keys is not None and found.plain:
        raise ConfigError(
            "is not encrypted, and [encryption] says that it is",
            where=str(path),
            hint="run `broadcaster encrypt`, or take [encryption] out of broadcaster.toml",
        )
    conn = None
    try:
        if keys is None:
            conn = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            conn.execute("pragma cache_size = -16384")
        else:
            conn = _unlocked(path, keys)
            conn.execute(f"pragma cache_size = {CIPHER_CACHE}")
        conn.execute("pragma journal_mode = wal")
        conn.execute("pragma foreign_keys = on")
        conn.execute("pragma secure_delete = on")
        conn.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
        return conn, conn.execute("pragma user_version").fetchone()[0]
    except BaseException as error:
        if conn is not None:
            conn.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise translated(error, path) from error
        if isinstance(error, UnicodeDecodeError):
            # what SQLite says of a damaged schema quotes it
            raise translated(sqlite3.DatabaseError("malformed schema"), path) from None
        raise


def looked_into(path: Path, keys: Keys | None) -> sqlite3.Connection:
    """A database beside the workspace's own, for reading alone: it is not made where there is none.

    `keys` are tried where it is encrypted. Raises OSError or sqlite3.Error where it is none, ConfigError where no key
    fits.
    """
    with path.open("rb") as file:
        plain = file.read(len(PLAIN)) == PLAIN
    if plain or keys is None:
        return sqlite3.connect(_uri(path), uri=True)
    return _unlocked(path, keys, read_only=True)


def _uri(path: Path) -> str:
    # without a log beside it nobody writes to it: then nothing is made beside it, and it may lie where nobody can write
    alone = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    return f"{path.resolve().as_uri()}?mode=ro{alone}"


def _unlocked(path: Path, keys: Keys, *, read_only: bool = False) -> sqlite3.Connection:
    """The encrypted file, opened with the first of the keys that fits."""
    for key in keys():
        conn = through_cipher(path, key, timeout=BUSY_SECONDS, read_only=read_only)
        try:
            conn.execute("select count(*) from sqlite_master").fetchone()
            return conn
        except sqlite3.DatabaseError as error:
            conn.close()
            if not undecipherable(error):
                raise
    raise unreadable(path)


def through_cipher(path: Path, key: str, *, timeout: float, read_only: bool = False) -> sqlite3.Connection:
    """A connection by SQLCipher, and nothing read through it yet. `key`: 64 hexadecimal digits, "" for a plain file.

    Two copies of SQLite in one process must not have the same file open: its locks belong to the process, and the
    first to close it would drop those of the other. Raises ConfigError where SQLCipher is not installed.
    """
    assert re.fullmatch("(?:[0-9a-f]{64})?", key)
    name = _uri(path) if read_only else path
    conn: sqlite3.Connection = _cipher().connect(name, timeout=timeout, isolation_level=None, uri=read_only)
    # it would write to standard error what we say in our own words
    conn.execute("pragma cipher_log_level = none")
    if key:
        # the key itself: made from a password, it would cost a tenth of a second each time
        conn.execute(f"pragma key = \"x'{key}'\"")
    # temporary files would be plain
    conn.execute("pragma temp_store = memory")
    return conn


@functools.cache
def _cipher() -> Any:
    """SQLCipher's driver, whose errors are SQLite's errors to whoever catches those."""
    try:
        from sqlcipher3 import dbapi2
    except ImportError:
        raise ConfigError(
            "an encrypted database needs SQLCipher, which is not installed",
            where="encryption",
            hint="pip install 'broadcaster[encrypted]'",
        ) from None
    for name in (
        *("DatabaseError", "InterfaceError", "DataError", "OperationalError", "IntegrityError"),
        *("InternalError", "ProgrammingError", "NotSupportedError"),
    ):
        theirs = getattr(dbapi2, name)
        theirs.__bases__ = (*theirs.__bases__, getattr(sqlite3, name))
    return dbapi2


def _migrate(db: Db) -> None:
    """Apply what is missing, one transaction per migration; two processes at once are safe."""
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    migrations = Migrations("broadcaster")
    for number, (name, script) in enumerate(SCHEMA.items(), start=1):

        def step(target: Database, script: str = script, number: int = number) -> None:
            # not executescript: it commits what is open first
            for statement in script.split(";\n"):
                target.conn.execute(statement)
            target.conn.execute(f"pragma user_version = {number}")

        migrations(name=name)(step)
    with db.atomic(durable=True):
        # inside our own transaction: a second process waits, then finds nothing to do
        migrations.apply(Database(db.conn))
