"""Files of a workspace in which an address still stands: our own rehearsals go, all others are named and left alone.

What others wrote may be somebody's only copy. Archives are looked into as they are read, never unpacked to the disk.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol

from broadcaster.errors import CannotWrite
from broadcaster.guise import Guise

BLOCK: Final = 1 << 20
# an address is not cut in two where one block ends: in the longest guise it has some thousand octets
OVERLAP: Final = 1 << 13
# octets that are looked at of one archive: some are made to never end
LARGEST: Final = 4_000_000_000
# a file of a rehearsal as transports/maildir.py names it; the last number is the delivery's
_OURS: Final = re.compile(r"\d+\.P\d+Q\d+\.(\d+)(?::.*)?")
# what begins a file that only its key opens, or that we cannot unpack
_SEALED: Final = (
    b"age-encryption.org/",
    b"-----BEGIN AGE",
    b"-----BEGIN PGP MESSAGE",
    b"7z\xbc\xaf'\x1c",
    b"Rar!\x1a\x07",
)
_PACKED: Final = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zX", b"7z\xbc\xaf", b"Rar!")
_SEALED_NAMES: Final = (".age", ".gpg", ".pgp", ".kdbx")


class Readable(Protocol):
    """A file, or what comes out of one that is packed."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(slots=True)
class Remains:
    """Paths below the workspace: where the address stands, and what could not be looked into, with the reason."""

    found: list[str] = field(default_factory=list)
    unseen: list[tuple[str, str]] = field(default_factory=list)


def clear(maildir: Path, deliveries: Collection[int], guise: Guise, seen: Callable[[int], None], *, trial: bool) -> int:
    """Delete the rehearsals of these deliveries, and others that hold the address; how many. In a trial none goes.

    Raises CannotWrite where one cannot be deleted.
    """
    gone = 0
    for number, path in enumerate(_rehearsals(maildir), start=1):
        seen(number)
        ours = _OURS.fullmatch(path.name)
        if ours is None or not (int(ours[1]) in deliveries or _holds(path, guise)):
            continue
        gone += 1
        if not trial:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise CannotWrite((error.strerror or str(error)).lower(), where=str(path)) from None
    return gone


def _rehearsals(maildir: Path) -> Iterator[Path]:
    for folder in ("tmp", "new", "cur"):
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(maildir / folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)


def _holds(path: Path, guise: Guise) -> bool:
    try:
        with _open(path) as file:
            return _within(file, guise)
    except OSError:
        return False  # it has gone


def search(root: Path, guise: Guise, ours: Collection[Path], seen: Callable[[int], None]) -> Remains:
    """Look into every file of a workspace but `ours`. Links are not followed."""
    remains = Remains()
    for number, path in enumerate(_files(root, ours, remains), start=1):
        seen(number)
        name = os.fsencode(path.relative_to(root)).decode("utf-8", "backslashreplace")
        try:
            with _open(path) as file:
                held, why = _looked(file, path.name, guise)
        except OSError as error:
            held, why = False, (error.strerror or str(error)).lower()
        if held or guise.without(name) != name:
            remains.found.append(name)
        elif why:
            remains.unseen.append((name, why))
    return remains


def _files(root: Path, ours: Collection[Path], remains: Remains) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        here = Path(folder)
        if ".git" in names:
            remains.unseen.append((f"{(here / '.git').relative_to(root)}/", "a history is packed in its own way"))
        names[:] = sorted(name for name in names if name != ".git" and here / name not in ours)
        for name in sorted(files):
            path = here / name
            with suppress(OSError):
                if path not in ours and stat.S_ISREG(path.lstat().st_mode):
                    yield path


def _open(path: Path) -> IO[bytes]:
    # whatever has taken the file's place since: no link is followed, no pipe waited for
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _looked(file: IO[bytes], name: str, guise: Guise) -> tuple[bool, str]:
    """Whether a file holds the address, packed or not, and why that cannot be told."""
    head = file.read(32)
    file.seek(0)
    if head.startswith(_SEALED) or name.lower().endswith(_SEALED_NAMES):
        return False, "it is encrypted, or packed in a way that we cannot read"
    try:
        if head.startswith(b"\x1f\x8b"):
            return _within(gzip.GzipFile(fileobj=file), guise), ""
        if head.startswith(b"BZh"):
            return _within(bz2.BZ2File(file), guise), ""
        if head.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
            return _within(lzma.LZMAFile(file), guise), ""
        if head.startswith(b"PK\x03\x04"):
            return _in_zip(file, guise)
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
    ):
        return _again(file, guise), "it is packed, and damaged or too large to look through"
    return _within(file, guise), ""


def _again(file: IO[bytes], guise: Guise) -> bool:
    """As it lies there."""
    file.seek(0)
    return _within(file, guise)


def _in_zip(file: IO[bytes], guise: Guise) -> tuple[bool, str]:
    """The members of a zip, of which a spreadsheet is one."""
    why = ""
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if guise.within(member.filename.encode("utf-8", "replace")):
                return True, ""
            if member.flag_bits & 1:
                why = "it is encrypted"
                continue
            with archive.open(member) as inside:
                if inside.read(4).startswith(_PACKED):
                    why = "there is an archive in the archive"
                inside.seek(0)
                if _within(inside, guise):
                    return True, ""
    return False, why


def _within(file: Readable, guise: Guise) -> bool:
    """Whether the address is in what a file gives. Raises ValueError for one that does not end."""
    kept, total = b"", 0
    while block := file.read(BLOCK):
        total += len(block)
        if total > LARGEST:
            raise ValueError("too large")
        if guise.within(kept + block):
            return True
        kept = block[-OVERLAP:]
    return False
