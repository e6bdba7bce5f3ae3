"""Whether this machine keeps what is ours: the folder and who may look into it, the database, the clock, cron."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from broadcaster import folder
from broadcaster import mailing as m
from broadcaster.db import Db
from broadcaster.delivery import State
from broadcaster.diagnosis import Finding, Level, fine, found
from broadcaster.dkim import Key
from broadcaster.errors import BadData, BroadcasterError, CannotWrite, ConfigError, NotAllowed
from broadcaster.ledger import Ledger
from broadcaster.mark import Mark
from broadcaster.workspace import CONFIG, Workspace, refuse_elsewhere

if TYPE_CHECKING:
    from broadcaster.config import Config, Mailbox, Relay

# seconds that the clock may be behind what was written down: two processes may write at once
BEHIND: Final = 60
# cron's `run` should have been here
HOUR: Final = 3600
# of SQLite between two looks at the clock
STEPS: Final = 10_000
# what has no database yet should find so much room (octets)
ROOM: Final = 50_000_000
# findings of one kind that are told one by one
_NAMED: Final = 5
# what is in every file of subscribers/ that must be private wherever it is copied to
_SECRET: Final = ("broadcaster.db", "broadcaster.db-wal", "broadcaster.db-shm", "ledger.mark")
# the first versions with the fault mended, each for its line of versions; from the last on it is in none
_MENDED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


@dataclass(frozen=True, slots=True)
class Books:
    """The database, open, and what goes with it; how many people it knows."""

    db: Db
    people: int
    ledger: Ledger
    mark: Mark


# files


def files(workspace: Workspace, config: Config | None) -> list[Finding]:
    """The folder: to be looked at before the database is opened, which closes it to others."""
    parts = [_place(workspace), _writable(workspace), _private(workspace, config), _owners(workspace), _key(workspace)]
    if config is not None and config.dkim is not None:
        parts.append(_signing_key(workspace, config.dkim.key_file))
    return [finding for part in parts for finding in part]


def _place(workspace: Workspace) -> Iterator[Finding]:
    try:
        refuse_elsewhere(workspace.root)
    except NotAllowed as error:
        yield found("place", str(workspace.root), error.message)
    else:
        yield fine("place", str(workspace.root), "is on a disk of this machine")


def _writable(workspace: Workspace) -> Iterator[Finding]:
    root = workspace.root
    above = [each for path in root.parents if (each := folder.entry(path)) is not None]
    inside = [each for path in (root, root / CONFIG) if (each := folder.entry(path)) is not None]
    for name in ("templates", "statements", "subscribers"):
        inside += folder.entries(root / name)
    wrong = [each for each in inside if folder.writable_by_others(each)]
    wrong += [each for each in above if folder.writable_by_others(each, above=True)]
    yield from _each("writable", wrong, root, "can be written by others", "chmod go-w")
    if not wrong:
        yield fine("writable", str(root), "nobody else can write there")


def _private(workspace: Workspace, config: Config | None) -> Iterator[Finding]:
    root, wrong = workspace.root, []
    keys = ["secret.key", *([Path(config.dkim.key_file).name] if config is not None and config.dkim else ())]
    inner = folder.entry(root / "subscribers")
    if inner is not None and inner.open:
        wrong.append(inner)
    for each in folder.entries(root / "subscribers"):
        # in a folder that is closed nobody reaches the others; the secret ones are copied elsewhere with their modes
        bare = inner is not None and inner.open and each.path.suffix != ".md" and not each.folder
        # of the keys their own rules tell
        if each.open and (each.path.name in _SECRET or bare) and each.path.name not in keys:
            wrong.append(each)
    boxes: list[Relay | Mailbox] = [] if config is None else [*config.relays, *config.returns.mailboxes]
    mail = [each.path for each in boxes if each.kind in ("maildir", "mbox")]
    secrets = [each.secret.source for each in boxes if each.secret is not None and each.secret.kind == "file"]
    for name in dict.fromkeys((*mail, *secrets)):
        # what is no file is not told: it may be the password itself, where somebody took one for the other
        entry = folder.entry(root / name, follow=True)
        if entry is not None and entry.open:
            wrong.append(entry)
    known = {each.path: each for each in wrong}
    yield from _each("private", list(known.values()), root, "can be read by others", "chmod go=")
    if not wrong:
        yield fine("private", str(root), "people, keys and mail are ours alone")


def _owners(workspace: Workspace) -> Iterator[Finding]:
    root = workspace.root
    entries = [each for path in (root, root / CONFIG) if (each := folder.entry(path)) is not None]
    for name in ("templates", "statements", "subscribers"):
        entries += folder.entries(root / name)
    wrong = [each for each in entries if not folder.ours(each)]
    yield from _each("owner", wrong, root, "belongs to somebody else", f"chown {os.geteuid()}")
    if not wrong:
        yield fine("owner", str(root), "everything is ours")


def _each(rule: str, wrong: Sequence[folder.Entry], root: Path, what: str, mend: str) -> Iterator[Finding]:
    for each in wrong[:_NAMED]:
        inside = each.path.is_relative_to(root) and each.path != root
        name = each.path.relative_to(root).as_posix() if inside else str(each.path)
        yield found(rule, name, f"{what} ({each.shown})", f"{mend} {name}")
    if len(wrong) > _NAMED:
        recursive = mend.replace(" ", " -R ", 1)
        yield found(
            rule,
            "others",
            f"{len(wrong) - _NAMED:,} more files and folders: {what}",
            f"{recursive} templates statements …",
        )


def _key(workspace: Workspace) -> Iterator[Finding]:
    try:
        workspace.key()
    except ConfigError as error:
        yield found("secret-key", "subscribers/secret.key", error.message, error.hint or "")
    else:
        yield fine("secret-key", "subscribers/secret.key", "is there, and private")


def _signing_key(workspace: Workspace, file: str) -> Iterator[Finding]:
    try:
        Key.parse(workspace.signing_key(file), where=file)
    except ConfigError as error:
        yield found("dkim-key", file, error.message, error.hint or "")
    else:
        yield fine("dkim-key", file, "is a private key that can sign")


# the machine


def disk(workspace: Workspace, books: Books | None) -> Iterator[Finding]:
    """Whether the disk has room for a mailing to everybody."""
    root = workspace.database.parent if workspace.database.parent.is_dir() else workspace.root
    free = folder.room(root)
    try:
        if books is not None:
            books.db.want_room(books.people)
        elif free < ROOM:
            raise CannotWrite(f"the disk is nearly full: {free / 1e6:,.1f} MB are free")
    except CannotWrite as error:
        yield found("disk", str(root), error.message)
    else:
        yield fine("disk", str(root), f"{free / 1e9:,.1f} GB are free")


def _clock(books: Books, now: int) -> Iterator[Finding]:
    """Whether the clock has gone back since something was written down."""
    behind = books.ledger.latest() - now
    if behind > BEHIND:
        yield found("clock", "clock", f"is {behind / 60:,.0f} min behind what was written down: it was put back")
    else:
        yield fine("clock", "clock", "is not behind what was written down")


# the database


def database(books: Books, config: Config | None, now: int, patience: float) -> list[Finding]:
    """Everything about an open database. All of it is read, for `patience` seconds at the most."""
    findings = [*_sqlite(books.db), *whole(books.db, patience)]
    if all(each.level is not Level.ERROR for each in findings):
        # of one that is damaged the rest says nothing
        findings += [*_clock(books, now), *_heard(books), *_cron(books, config, now)]
    return findings


def has_reset_fault(version: str) -> bool:
    """Whether a version of SQLite (3.7.0 and later) may lose a write when its log starts anew."""
    words = version.split(".")
    number = tuple(int(each) for each in words[:3] if each.isdigit())
    return number < _MENDED[-1] and not any(number >= each and number[:2] == each[:2] for each in _MENDED)


def _sqlite(db: Db) -> Iterator[Finding]:
    (version,) = db.conn.execute("select sqlite_version()").fetchone()
    if has_reset_fault(version):
        yield found("sqlite", f"SQLite {version}", "may very rarely lose a write when several processes are at work")
    else:
        yield fine("sqlite", f"SQLite {version}", "has no fault that we know to damage a database")
    if db.encrypted:
        yield fine("encryption", db.path.name, "is encrypted")
    else:
        yield found("encryption", db.path.name, "is not encrypted: whoever has the file has everybody in it")


def whole(db: Db, patience: float) -> Iterator[Finding]:
    """Whether all of the database is as it was written, as far as can be read in so many seconds."""
    until, late = time.monotonic() + patience, False

    def stop() -> bool:
        nonlocal late
        late = time.monotonic() > until
        return late

    db.conn.set_progress_handler(stop, STEPS)
    try:
        damage = db.damage()
    finally:
        db.conn.set_progress_handler(None, 0)
    if late:
        # whatever it then complains of is that it was stopped
        yield found("unread", db.path.name, f"was not read to its end within {patience:g} s")
    elif damage:
        yield found("database", db.path.name, f"is damaged: {damage}")
    else:
        yield fine("database", db.path.name, "is whole")


def _heard(books: Books) -> Iterator[Finding]:
    try:
        ahead, damaged = books.mark.ahead(), books.mark.read().damaged
    except BroadcasterError as error:
        yield found("mark", "subscribers/ledger.mark", error.message, error.hint or "")
        return
    if ahead:
        numbers = ", ".join(str(each.mailing) for each in ahead[:_NAMED])
        what = f"does not know what was last sent of mailing {numbers}: it is older than that"
        yield found("mark", books.db.path.name, what)
    elif damaged:
        yield found("mark", "subscribers/ledger.mark", "has records that cannot be read: leave it as it is")
    else:
        yield fine("mark", books.db.path.name, "knows of everything that was sent")


def _cron(books: Books, config: Config | None, now: int) -> Iterator[Finding]:
    waiting = [
        f"mailing {of.id}"
        for of in books.ledger.mailings(states=(m.State.SCHEDULED, m.State.SENDING))
        if of.state is m.State.SCHEDULED or of.tally.get(State.DEFERRED, 0)
    ]
    if config is not None and config.returns.mailboxes:
        waiting.append("returned mail")
    last = books.ledger.seen("run")
    if last is not None and now - last < HOUR:
        yield fine("cron", "run", "was here within the hour")
    elif waiting:
        ago = "was never here" if last is None else f"was last here {(now - last) / HOUR:,.0f} h ago"
        more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
        yield found("cron", "run", f"{ago}, and it is what {', '.join(waiting[:_NAMED])}{more} waits for")
    else:
        yield fine("cron", "run", "has nothing to wait for it")


# settings


def settings(config: Config) -> Iterator[Finding]:
    """Whether they can be read, and whether anything leaves this machine."""
    yield fine("configuration", CONFIG, "can be read, and every key is right")
    if config.rehearsal:
        yield found("rehearsal", "relays", "mail goes into a folder, to nobody: relays and DNS were not looked at")


def largest(workspace: Workspace) -> int:
    """The octets that a copy of our largest statement has as a message: about, and rather too many."""
    most = 0
    for slug in workspace.slugs():
        try:
            statement = workspace.statement(slug)
        except (BadData, OSError):
            continue  # `check` tells
        for part in statement.parts.values():
            most = max(most, _octets(workspace, part.file, part.body, part.attachments))
    return most


# a layout, the headers, and each text once as it is and once as HTML
_AROUND: Final = 60_000
_BESIDE: Final = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"))


def _octets(workspace: Workspace, file: str, body: str, attachments: Sequence[str]) -> int:
    place = file.rpartition("/")[0]
    images: Mapping[str, None] = dict.fromkeys(
        name for name in workspace.beside(place) if Path(name).suffix.lower() in _BESIDE and name in body
    )
    size = 0
    for name in (*attachments, *images):
        try:
            size += workspace.asset_size(f"{place}/{name}")
        except BadData:
            continue
    # base64 in lines
    return int(size * 1.37) + 6 * len(body.encode()) + _AROUND
