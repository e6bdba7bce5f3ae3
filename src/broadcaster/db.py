"""The database file: opened privately, with the right pragmas, brought up to date.

One SQLite file holds the roster and the ledger, so that one transaction can cover both. It is
created 0600 before SQLite sees it (SQLite would create it 0644; the -wal and -shm files inherit
the mode). sqlite-utils is imported only when there is something to migrate: `run` from cron
starts in a blink.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeGuard

from broadcaster.errors import CannotWrite, ConfigError, NotAllowed

# how long a write waits for another: an import of a million is one transaction, and no sender may die of it
BUSY_SECONDS = 120.0
# pages that the log of the database grows to, before they are brought home
LOG_PAGES = 4000
# what a row that moves asks of the disk: in the log, and for ever; and what all else does (octets)
LOGGED, KEPT, BESIDE = 12_000, 100, 256_000

# Name of the migration → its statements. One that has been released is never edited: add another.
SCHEMA: dict[str, str] = {
    "people": """
        create table list (
            id integer primary key,
            name text not null unique collate nocase,
            list_id text not null,
            titles text not null default '{}',  -- JSON: language → title
            created integer not null,
            deleted integer  -- its row stays: who left it is remembered, and making it again revives it
        ) strict;

        create table subscriber (
            id integer primary key,
            key text not null unique,  -- the folded address: two spellings of one mailbox are one person
            address text not null,
            name text not null default '',
            language text not null default '',
            timezone text not null default '',
            fields text not null default '{}',  -- JSON: custom field → text
            created integer not null,
            changed integer not null
        ) strict;

        create table subscription (
            list integer not null references list(id),
            subscriber integer not null references subscriber(id),
            state integer not null,  -- 1 active, 2 left (sticky), 3 removed by staff (a file may bring them back)
            since integer not null,
            primary key (list, subscriber)
        ) strict, without rowid;
        create index subscription_by_subscriber on subscription(subscriber);

        create table consent (  -- only ever added to
            id integer primary key,
            subscriber integer not null references subscriber(id),
            list integer not null references list(id),
            at integer not null,
            how text not null,
            wording text not null,
            import integer
        ) strict;
        create index consent_by_subscriber on consent(subscriber);

        create table suppression (  -- by folded address: it outlives the person's row
            key text primary key,
            address text not null,
            reason text not null,  -- left (from all lists), complained, bounced, staff
            detail text not null default '',
            since integer not null
        ) strict, without rowid;

        create table import (
            id integer primary key,
            list integer not null references list(id),
            file text not null,
            digest text not null,
            at integer not null,
            who text not null,
            consent text not null,
            figures text not null  -- JSON
        ) strict;

        -- every field that anybody ever had
        create table field (name text primary key) strict, without rowid;
    """,
    "ledger": """
        create table mailing (
            id integer primary key,
            statement text not null,
            state integer not null,
            digest text not null,  -- of content, audience and schedule: what a second person approves
            content text not null,  -- digest of the merge templates and attachments alone
            rule text not null,  -- JSON: lists, exclude, where
            left_out text not null,  -- JSON: reason → number
            audience integer not null,
            first integer not null,  -- its deliveries have the ids first … last
            last integer not null,
            rehearsal integer not null,
            created integer not null,
            who text not null,
            due integer,  -- not before; epoch seconds
            due_words text not null default '',  -- the same as wall time and zone
            expires integer,
            reason text not null default '',  -- why it is paused or held
            changed integer not null
        ) strict;

        create table tally (  -- deliveries by state, moved in the same transaction: status never counts rows
            mailing integer not null references mailing(id),
            state integer not null,
            number integer not null,
            primary key (mailing, state)
        ) strict, without rowid;

        create table part (  -- what is frozen: one merge template per language
            mailing integer not null references mailing(id),
            number integer not null,
            language text not null,
            template text not null,
            primary key (mailing, number)
        ) strict, without rowid;

        -- attachments
        create table content (digest text primary key, body blob not null) strict;

        create table delivery (
            id integer primary key,
            mailing integer not null,
            subscriber integer not null,
            list integer not null,
            part integer not null,
            state integer not null default 0,
            attempts integer not null default 0
        ) strict;
        -- nobody is enrolled twice
        create unique index delivery_once on delivery(subscriber, mailing);

        create table due (  -- deferred deliveries only
            delivery integer primary key,
            mailing integer not null,
            at integer not null
        ) strict;
        create index due_at on due(mailing, at);

        create table attempt (
            delivery integer not null,
            number integer not null,
            at integer not null,
            relay text not null,
            state integer not null,
            code integer not null,
            status text not null,
            reply text not null,
            primary key (delivery, number)
        ) strict, without rowid;

        create table pace (scope text primary key, state text not null) strict, without rowid;

        create table sender (  -- who holds, or last held, the lock
            one integer primary key check (one = 1),
            pid integer not null,
            host text not null,
            boot text not null,
            since integer not null
        ) strict;

        create table seen (what text primary key, at integer not null) strict, without rowid;
    """,
    "enclosures": """
        create table enclosure (  -- files that one person of a mailing alone gets
            mailing integer not null references mailing(id) deferrable initially deferred,
            subscriber integer not null,
            place integer not null,  -- first, second …
            name text not null,
            digest text not null references content(digest),
            primary key (mailing, subscriber, place)
        ) strict, without rowid;
    """,
    "mark": """
        create table mark (  -- which database this is, and how far it has sent: compared with subscribers/ledger.mark
            one integer primary key check (one = 1),
            id text not null,
            claims integer not null,  -- lots ever claimed
            delivery integer not null,  -- ids and numbers up to these may be in mail that is out: never given again
            mailing integer not null
        ) strict;
        insert into mark values (1, lower(hex(randomblob(16))), 0, 0, 0);

        -- the highest delivery that was ever claimed, and when the last claim was
        alter table mailing add column claimed integer not null default 0;
        alter table mailing add column claimed_at integer;
        -- 1: a database that was lost has sent of it, so that only a person settles its doubts
        alter table mailing add column restored integer not null default 0;
        update mailing set claimed = last, claimed_at = changed where state >= 2;
    """,
    "enrolled in order": """
        -- people are enrolled by ascending id: so the index only grows at its end, where by subscriber every mailing
        -- wrote all pages of all mailings again. + 0: only who asks for it has it, or SQLite would take it for
        -- whatever names a mailing, and walk along all its people
        drop index delivery_once;
        create unique index delivery_once on delivery(mailing + 0, subscriber);
    """,
    "returns": """
        create table mailbox (  -- how far each place that returned mail comes from was read
            id integer primary key,
            url text not null unique,
            validity integer not null default 0,  -- IMAP's UIDVALIDITY: with another one, all numbers are new
            last integer not null default 0,  -- the last UID of IMAP, or octets of an mbox
            mark text not null default ''  -- of an mbox: a digest of what stands before that place
        ) strict;

        create table known (  -- the messages of a Maildir that were read, as long as they lie there
            mailbox integer not null references mailbox(id),
            name text not null,
            primary key (mailbox, name)
        ) strict, without rowid;

        create table returned (  -- each message counts once, wherever and however often it is found
            id integer primary key,
            digest blob not null unique,  -- SHA-256 of as much of it as is read, whatever its line ends
            at integer not null,
            fate integer not null,  -- 1 understood, 2 ordinary mail, 3 set aside
            source text not null,  -- of ordinary mail nothing is kept but the digest
            raw blob  -- packed; until retention.returns is over
        ) strict;

        create table bounce (  -- one row for each recipient of each report, and for each refusal while sending
            id integer primary key,
            message integer references returned(id),  -- none: a refusal while sending
            source text not null,
            at integer not null,
            mailing integer,  -- none: it is tied to no copy of ours
            delivery integer,
            key text,  -- the folded address that the copy went to
            recipient text not null,
            kind text not null,
            action text not null,
            status text not null,
            reason text not null,
            words text not null,
            effect text not null,
            verdict text,  -- what is heard of a copy once: failed, complaint, unsubscribe
            sent integer,  -- when that copy was handed over
            counts integer not null default 0  -- 1: towards the address being suppressed
        ) strict;
        -- a second report of one copy is no news
        create unique index bounce_once on bounce(delivery, verdict) where verdict is not null;
        create index bounce_by_key on bounce(key) where key is not null;
        create index bounce_by_mailing on bounce(mailing);

        create table refusal (  -- refusals while sending that are still to be weighed
            delivery integer primary key,
            stage integer not null
        ) strict;
    """,
}


class Db:
    """An open database. `conn` is in autocommit; every write happens inside `atomic()`."""

    def __init__(self, conn: sqlite3.Connection, path: Path) -> None:
        self.conn = conn
        self.path = path
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

    def damage(self) -> str:
        """What in the file cannot be as we wrote it, in a few words; "" where nothing is found. Reads all of it."""
        from sqlite_utils import Database

        try:
            (said,) = self.conn.execute("pragma integrity_check(1)").fetchone()
            if said != "ok":
                return " ".join(said.split())
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


def damaged(path: Path, what: str) -> ConfigError:
    """The file is not what we wrote."""
    return ConfigError(f"the database is damaged: {what}", where=str(path), hint="restore it from a backup")


def translated(error: sqlite3.Error, path: Path) -> CannotWrite | ConfigError:
    """SQLite's complaint in our words."""
    words = str(error)
    if "malformed" in words or "not a database" in words:
        return ConfigError(
            f"not a database of ours ({words})", where=str(path), hint="restore it from a backup; nothing was changed"
        )
    if "locked" in words or "busy" in words:
        return CannotWrite("another process is writing to the database", where=str(path), hint="try again in a moment")
    # where the index of the log cannot grow, SQLite speaks of a disk that fails
    if "full" in words or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return CannotWrite("the disk is full", where=str(path), hint="free some space; nothing was half done")
    return CannotWrite(words, where=str(path))


def open_database(path: Path, *, create: bool = True) -> Db:
    """Open the database of a workspace, creating and migrating it where needed.

    Raises ConfigError when it is missing, damaged or newer than this program, NotAllowed when it is a
    link, CannotWrite when it cannot be written.
    """
    _private(path, create)
    try:
        conn = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        conn.execute("pragma journal_mode = wal")
        conn.execute("pragma foreign_keys = on")
        conn.execute("pragma secure_delete = on")
        conn.execute("pragma cache_size = -16384")
        conn.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
        version = conn.execute("pragma user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise translated(error, path) from error
    except UnicodeDecodeError:
        # what SQLite says of a damaged schema quotes it
        raise translated(sqlite3.DatabaseError("malformed schema"), path) from None
    db = Db(conn, path)
    if version > len(SCHEMA):
        conn.close()
        raise ConfigError("was written by a newer broadcaster", where=str(path), hint="upgrade broadcaster")
    if version < len(SCHEMA):
        _migrate(db)
    return db


def _private(path: Path, create: bool) -> None:
    """The file exists, is ours alone and is no link, before SQLite opens it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        raise ConfigError("no database here yet", where=str(path), hint="import somebody first") from None
    except OSError as error:
        if path.is_symlink():
            raise NotAllowed("is a symbolic link", where=str(path), hint="put the file itself there") from None
        raise CannotWrite(error.strerror or str(error), where=str(path)) from None
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


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
