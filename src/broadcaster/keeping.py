"""Keeping: all that is needed to send again in one file, and out of it into an empty folder.

A backup is older than what was sent after it, and nobody is mailed twice for that. Where the mark of the workspace that
was lost is at hand, it tells what was sent since; where it is lost too, all that was not over may have been sent, and
is in doubt. Every digest is compared, and the database looked through, before anything is where it will stay.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from broadcaster import __version__, broadcast
from broadcaster.archive import DATABASE, PIECE, About, Item, Manifest, Sink, Unpacking, fault, packed
from broadcaster.custody import create_private, make_folder, staged, write_private
from broadcaster.db import BESIDE_IT, Db
from broadcaster.errors import ArchiveError, CannotWrite, NotAllowed
from broadcaster.ledger import Ledger
from broadcaster.mark import Mark
from broadcaster.schema import SCHEMA
from broadcaster.workspace import CONFIG, Workspace

if TYPE_CHECKING:
    from broadcaster.config import Config
    from broadcaster.mailing import Stamp

KEY: Final = "subscribers/secret.key"
MARK: Final = "subscribers/ledger.mark"
# what a database that was lost may have given since: more than anybody sends between two backups
DELIVERIES: Final = 1_000_000_000
MAILINGS: Final = 1_000

Pour = Callable[[Callable[[bytes], object]], None]
"""What gives the octets of a backup, unlocked, to whoever takes them."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a backup, by its name in the workspace, and what does not, with the reason."""

    names: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of restoring. `sent`: of which mailings more was, or may have been, sent than the database knows."""

    manifest: Manifest
    people: int
    mailings: int
    sent: tuple[Stamp, ...]
    lost: tuple[Stamp, ...]  # those of them that it does not know at all
    stopped: tuple[int, ...] = ()  # mailings that would go by themselves, and wait for a person's word now


# into a file


def contents(workspace: Workspace, config: Config, *, passwords: bool) -> Contents:
    """What a backup of this workspace holds. Passwords only where they are wanted."""
    root = workspace.root
    names = dict.fromkeys(
        name
        for name in (CONFIG, ".gitignore", "README.md", KEY, DATABASE, MARK)
        if name == DATABASE or os.path.lexists(root / name)
    )
    left_out: dict[str, str] = {}
    for name, secret in _referred(config):
        inside = _inside(root, name)
        if inside is None:
            left_out[name] = "it lies outside of the workspace"
        elif secret and not passwords:
            left_out[inside] = "it is a password"
        elif not (root / inside).is_file():
            left_out[inside] = "it is not there"
        else:
            names.setdefault(inside)
    for top in ("templates", "statements"):
        for name, wrong in _below(root, top):
            if wrong:
                left_out[name] = wrong
            else:
                names.setdefault(name)
    return Contents(tuple(names), tuple(left_out.items()))


def _referred(config: Config) -> Iterator[tuple[str, bool]]:
    """The files that the configuration names, and whether they are passwords."""
    if config.dkim is not None:
        yield config.dkim.key_file, False
    if config.encryption is not None and config.encryption.kind == "file":
        yield config.encryption.source, True
    places = [(of.ca_file, of.secret) for of in config.relays]
    places += [(of.ca_file, of.secret) for of in config.returns.mailboxes]
    for ca_file, secret in places:
        if ca_file:
            yield ca_file, False
        if secret is not None and secret.kind == "file":
            yield secret.source, True


def _inside(root: Path, name: str) -> str | None:
    """The name of a file in the workspace, or None for one that is elsewhere, or is a link to there."""
    try:
        (root / name).resolve().relative_to(root)
        return Path(os.path.normpath(root / name)).relative_to(root).as_posix()
    except (ValueError, OSError, RuntimeError):
        return None


def _below(root: Path, top: str) -> Iterator[tuple[str, str]]:
    """Every file in a folder, and what keeps it out, if anything does."""
    for folder, folders, files in os.walk(root / top):
        # half of what another command is writing just now, and git's own
        folders[:] = sorted(name for name in folders if name != ".git" and not name.startswith(".broadcaster-"))
        for each in sorted([*files, *(name for name in folders if Path(folder, name).is_symlink())]):
            path = Path(folder) / each
            name = path.relative_to(root).as_posix()
            if path.is_symlink() and (not path.is_file() or _inside(root, name) is None):
                yield name, "it is a link that leads elsewhere"
            elif not path.is_file():
                yield name, "it is no file"
            else:
                yield name, fault(name)


def keep(workspace: Workspace, db: Db, of: Contents, now: int) -> Generator[bytes, None, None]:
    """The octets of a backup, made as they are asked for; nobody who sends or imports waits meanwhile.

    Nothing is left beside the database when the iterator has ended, or is closed.
    """
    try:
        yield from packed(About(__version__, now, len(SCHEMA)), _items(workspace, db, of, now))
    finally:
        _clear(workspace.copy)


def _items(workspace: Workspace, db: Db, of: Contents, now: int) -> Iterator[Item]:
    # the mark comes after the database: so it is never the older of the two
    for name in sorted(of.names, key=(CONFIG, KEY, DATABASE, MARK).__contains__, reverse=True):
        path = workspace.root / name
        if name == DATABASE:
            _clear(workspace.copy)
            os.close(create_private(workspace.copy))
            db.copy_to(workspace.copy)
            path = workspace.copy
        yield from _item(name, path, now if name == DATABASE else None)


def _item(name: str, path: Path, at: int | None) -> Iterator[Item]:
    try:
        # a link was looked at before; a pipe would be waited for
        descriptor = os.open(path.resolve(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(
            (error.strerror or str(error)).lower(), where=name, hint="run the same command again"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ArchiveError("is no file", where=name)
        yield Item(name, found.st_size, int(found.st_mtime) if at is None else at, _chunks(file, found.st_size))


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """What was in a file when it was opened: the mark may grow meanwhile."""
    while size and (chunk := file.read(min(size, PIECE))):
        size -= len(chunk)
        yield chunk


def _clear(copy: Path) -> None:
    """Take away what a backup left that was killed."""
    for beside in ("", *BESIDE_IT):
        copy.with_name(copy.name + beside).unlink(missing_ok=True)


# and out of it


def check(pour: Pour, sink: Sink) -> Manifest:
    """Read a backup to its end, and compare every digest. Raises ArchiveError."""
    unpacking = Unpacking(sink)
    pour(unpacking.feed)
    manifest = unpacking.finish()
    if manifest.about.schema > len(SCHEMA):
        raise ArchiveError("was made by a newer broadcaster", hint="upgrade broadcaster")
    names = {file.name for file in manifest.files}
    if not {CONFIG, DATABASE} <= names:
        raise ArchiveError("holds no whole workspace", hint="take another one")
    return manifest


def restore(pour: Pour, root: Path, mark: bytes | None, opened: Callable[[Workspace], Db], now: int) -> Restored:
    """Make a workspace of a backup, in a folder that is new or empty; whole, or not at all.

    `mark` is the ledger.mark of the workspace that was lost; `opened` opens the database, whatever it is encrypted
    with. Raises ArchiveError, CannotWrite where anything is in that
    folder, NotAllowed for another's mark.
    """
    refuse_occupied(root)
    with staged(root) as folder:
        manifest = check(pour, _Shelf(folder))
        if mark is not None:
            (folder / MARK).unlink(missing_ok=True)
            write_private(folder / MARK, mark)
        with closing(opened(Workspace(folder))) as db:
            if found := db.broken():
                raise ArchiveError(f"the database in it is damaged: {found}", hint="take another one")
            restored = _caught_up(Workspace(folder), db, manifest, now, known=mark is not None)
    return restored


def refuse_occupied(root: Path) -> None:
    """Raises CannotWrite where anything is in a folder: a workspace that is in use is never written over."""
    if root.exists() and not root.is_dir():
        raise CannotWrite("is no folder", where=str(root), hint="name another one")
    if root.is_dir() and any(root.iterdir()):
        raise CannotWrite(
            "is not empty", where=str(root), hint="name a new folder, and let it take the old one's place afterwards"
        )


def _caught_up(of: Workspace, db: Db, manifest: Manifest, now: int, *, known: bool) -> Restored:
    """Let a restored database know that more was sent, or may have been, than it knows."""
    with closing(Mark(of.mark, db)) as mark:
        marks = mark.read()
        with db.atomic(durable=True):
            if known:
                if mark.behind(marks):
                    raise NotAllowed(
                        "that mark is another database's, or older than the backup",
                        where="ledger.mark",
                        hint="leave it out: then all that was not over is in doubt",
                    )
            else:
                mark.suppose(now)
                mark.skip(DELIVERIES, MAILINGS)
                for slug in of.slugs():
                    Ledger(db).saw(broadcast.restored(slug), manifest.about.made)
            sent = tuple(mark.ahead())
            stopped = broadcast.stop_restored(Ledger(db), now, [stamp.mailing for stamp in sent])
            people, mailings = db.conn.execute(
                "select (select count(*) from subscriber), (select count(*) from mailing)"
            ).fetchone()
            db.note("workspace restore", now, made=manifest.about.made, mark=known)
        lost = tuple(stamp for stamp in mark.lost(marks.stamps) if stamp in sent)
    return Restored(manifest, people, mailings, sent, lost, stopped)


class _Shelf:
    """A new folder that the files of a backup are put into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1
        self._at = 0

    def begin(self, name: str, size: int, at: int) -> None:
        path = self._folder / name
        make_folder(path.parent)
        self._descriptor, self._at = create_private(path), at

    def take(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def end(self) -> None:
        os.utime(self._descriptor, (self._at, self._at))
        os.fsync(self._descriptor)
        os.close(self._descriptor)
