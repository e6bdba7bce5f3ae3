"""Files that are ours alone: made so from their first instant, and never through a link that somebody has laid.

A mode that is set after a file was made comes too late, and a name can be taken before we take it. So what is opened
is looked at: a link, a second name of another file or what is no file is refused, and what others could read is
closed. A folder in which others may write is refused too: there any name could be swapped under us.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from broadcaster.errors import BroadcasterError, CannotWrite, NotAllowed


def create_private(path: Path) -> int:
    """Create a file that only we can read, from its first instant; the descriptor is open for writing.

    Raises CannotWrite when something is there already: nothing is overwritten and no link is followed.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if path.is_symlink() or path.is_file() or path.is_dir():
            raise CannotWrite("is there already", where=str(path), hint="name another file") from None
        raise CannotWrite(
            "is a pipe or a device", where=str(path), hint="name a new file, or - where that is allowed"
        ) from None
    except OSError as error:
        raise _failed(path, error) from None


def write_private(path: Path, octets: bytes) -> None:
    """Create such a file with this in it. Raises CannotWrite as `create_private` does."""
    with os.fdopen(create_private(path), "wb") as file:
        file.write(octets)


def open_private(path: Path, flags: int) -> int:
    """Open a file that is ours alone, or with O_CREAT make it; closed to others if it was not.

    Raises FileNotFoundError, NotAllowed for what is no file of ours, CannotWrite.
    """
    try:
        # O_NONBLOCK: a pipe of that name must not hold us up
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise _link(path) from None
        raise _failed(path, error) from None
    try:
        if _checked(os.fstat(descriptor), path):
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def keep_private(path: Path, *, names: int = 1) -> bool:
    """Look at a file that somebody else will open for us, without opening it; closed to others. False: none is there.

    It may have so many names.

    Whoever closes a descriptor of a file gives up all locks that this process has on it (fcntl(2)): so SQLite's own
    are not opened here. Raises NotAllowed for what is no file of ours.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failed(path, error) from None
    if _checked(found, path, names):
        path.chmod(0o600)
    return True


def keep_folder(path: Path) -> None:
    """Look at a folder of private files, and close it to others.

    Raises NotAllowed where others may write, or for a link; CannotWrite for what is no folder.
    """
    try:
        found = path.lstat()
    except OSError as error:
        raise _failed(path, error) from None
    if stat.S_ISLNK(found.st_mode):
        raise _link(path)
    if not stat.S_ISDIR(found.st_mode):
        raise CannotWrite("is no folder", where=str(path), hint="move it away")
    refuse_shared(path)
    if stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == os.geteuid():
        path.chmod(0o700)


def make_folder(path: Path) -> None:
    """A folder of private files, made if it is not there, with those above it. Raises NotAllowed, CannotWrite."""
    missing = [path, *path.parents]
    missing = missing[: next((place for place, folder in enumerate(missing) if os.path.lexists(folder)), 0)]
    try:
        for folder in reversed(missing):
            with suppress(FileExistsError):  # another process made it just now
                folder.mkdir(mode=0o700)
    except OSError as error:
        raise _failed(path, error) from None
    keep_folder(path)


def refuse_shared(path: Path) -> None:
    """Raises NotAllowed for a file or folder that somebody else owns, or may write into. One not there is no fault."""
    try:
        found = path.stat()
    except OSError:
        return
    us = os.geteuid()
    # root may work for somebody, as in a container; what root made is as good as ours
    if us != 0 and found.st_uid not in (us, 0):
        raise NotAllowed("belongs to somebody else", where=str(path), hint="work as the user whose it is")
    if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not alone(found.st_gid)):
        raise NotAllowed(
            "can be written by others",
            where=str(path),
            hint=f"chmod go-w {path}, or take a disk that knows whose files are whose",
        )


def alone(group: int) -> bool:
    """Whether nobody but us is in a group: many systems give each user one, and let it write."""
    import grp
    import pwd

    try:
        us, of = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return of.gr_gid == us.pw_gid and of.gr_name == us.pw_name and not set(of.gr_mem) - {us.pw_name}


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only we can read, and that is whole when it is there: half a list of people looks like all of it.

    Until then its name is taken by an empty one, and what is written lies in NAME.part. An error takes both away.
    Raises CannotWrite when one of them is there already, or the disk fails.
    """
    part = path.with_name(f"{path.name}.part")
    os.close(create_private(path))
    try:
        descriptor = create_private(part)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            part.replace(path)
            _sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _failed(path, error) from None
        raise


def _sync(folder: Path) -> None:
    """Let a new name be on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems have no such thing
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """A folder whose entries appear in `parent` when the block ends well, and else not at all. Raises CannotWrite."""
    before = next(folder for folder in (parent, *parent.parents) if folder.exists())
    draft = parent / f".broadcaster-{secrets.token_hex(6)}"
    moved: list[Path] = []
    try:
        make_folder(draft)
        yield draft
        # the settings come last: until they are there it is no workspace
        for entry in sorted(draft.iterdir(), key=lambda path: path.name == "broadcaster.toml"):
            target = parent / entry.name
            if os.path.lexists(target):
                raise CannotWrite("is there already", where=str(target))
            entry.rename(target)
            moved.append(target)
    except BaseException as error:
        for target in moved:
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        _unmake(parent, before)
        if isinstance(error, OSError) and not isinstance(error, BroadcasterError):
            words = (error.strerror or str(error)).lower()
            raise CannotWrite(words, where=str(parent), hint="nothing was made") from None
        raise
    draft.rmdir()


def _unmake(parent: Path, before: Path) -> None:
    """Take the folders away that were made for nothing."""
    for folder in (parent, *parent.parents):
        if folder == before:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def _checked(found: os.stat_result, path: Path, names: int = 1) -> bool:
    """Whether others could open it. Raises NotAllowed for what is no file of ours alone."""
    if stat.S_ISLNK(found.st_mode):
        raise _link(path)
    if not stat.S_ISREG(found.st_mode):
        raise NotAllowed("is no file", where=str(path), hint="move it away")
    if found.st_nlink > names:
        raise NotAllowed(
            "is another file too (a hard link)", where=str(path), hint="copy it, and put the copy in its place"
        )
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise NotAllowed("belongs to somebody else", where=str(path), hint="work as the user whose it is")
    return bool(stat.S_IMODE(found.st_mode) & 0o077)


def _link(path: Path) -> NotAllowed:
    return NotAllowed("is a symbolic link", where=str(path), hint="put the file itself there, or remove the link")


def _failed(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite((error.strerror or str(error)).lower(), where=str(path))
