"""What a file comes packed in: gzip and zip → the files of people within, without one of them touching the disk.

An archive is hostile until proven otherwise: it is looked through as a whole before anything of it is read, and
what comes out is counted while it comes, since what it says of itself may be a lie.
"""

from __future__ import annotations

import gzip
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, NamedTuple

from broadcaster.errors import SheetError

UNPACKED_LIMIT: Final = 2 << 30  # octets that may come out of an archive
RATIO_LIMIT: Final = 200  # times its packed size; people repeat themselves, but not so often
RATIO_FROM: Final = 16 << 20  # octets that may come out whatever the ratio
ENTRIES_LIMIT: Final = 200
WORKBOOK_LIMIT: Final = 32 << 20  # octets of a workbook within an archive, which is held in memory
DIRECTORY_LIMIT: Final = 1 << 20  # octets of an archive's list of contents

_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
_EMPTY_ZIP = b"PK\x05\x06"
_PACKED = (_ZIP, _GZIP, _EMPTY_ZIP, b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
# what systems add beside the files that people packed
_BESIDE = re.compile(r"(?:__MACOSX/.*|(?:.*/)?(?:\.[^/]*|Thumbs\.db|desktop\.ini))", re.IGNORECASE)
_TEXT = re.compile(r".*\.(?:csv|tsv|tab|txt|jsonl?|ndjson|xlsx)", re.IGNORECASE)


# what the standard library says of archives that are none
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError, struct.error)


class Part(NamedTuple):
    """One file of people. `name` is what it is called, `within` is whether it lies in an archive."""

    name: str
    stream: BinaryIO
    within: bool


def is_workbook(stream: BinaryIO) -> bool:
    """Whether this is an Office Open XML workbook, which is a zip too."""
    stream.seek(0)
    start = stream.read(4)
    stream.seek(0)
    if start != _ZIP:
        return False
    with _directory(stream) as archive:
        names = set(archive.namelist())
    stream.seek(0)
    return "xl/workbook.xml" in names and "[Content_Types].xml" in names


def looked_through(stream: BinaryIO, largest: Callable[[str], int]) -> None:
    """A workbook as an archive: every part within its limit. Raises SheetError."""
    with _directory(stream) as archive:
        entries = _checked(archive)
        if sum(each.file_size for each in entries) > UNPACKED_LIMIT:
            raise SheetError(f"unpacks to more than {UNPACKED_LIMIT >> 20:,} MB")
        for each in entries:
            _believable(each.file_size, each.compress_size)
            if each.file_size > largest(each.filename):
                raise SheetError(f"its part {each.filename!r} is too large ({each.file_size >> 20:,} MB)")
    stream.seek(0)


@contextmanager
def unpacked(stream: BinaryIO, name: str, wanted: str = "") -> Iterator[Sequence[Part]]:
    """The files of people in a stream that can seek: itself, what gzip holds, or the entries of a zip.

    Of a zip with several it is the one called `wanted`, or those that together are the export of one audience.
    Raises SheetError for archives that are damaged, hostile, encrypted, nested, or leave a choice.
    """
    stream.seek(0)
    start = stream.read(4)
    stream.seek(0)
    if start[:2] == _GZIP:
        inner = name[:-3] if name.lower().endswith(".gz") else name
        size = stream.seek(0, io.SEEK_END)
        yield [Part(inner, _flat(lambda: gzip.GzipFile(fileobj=_rewound(stream)), size), True)]
    elif start in (_ZIP, _EMPTY_ZIP) and not is_workbook(stream):
        with _directory(stream) as archive:
            yield [
                Part(each.filename, _flat(lambda each=each: archive.open(each), each.compress_size), True)  # type: ignore[misc]
                for each in _chosen(_checked(archive), wanted)
            ]
    else:
        yield [Part(name, stream, False)]


class _Counted(io.RawIOBase):
    """What comes out of something packed, from its start as often as one likes. Raises SheetError beyond limits."""

    def __init__(self, opening: Callable[[], io.BufferedIOBase], packed: int) -> None:
        self._opening = opening
        self._packed = packed
        self._inner: io.BufferedIOBase | None = None
        self._count = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if (place, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("only to the start")
        if self._inner is not None:
            self._inner.close()
        self._inner, self._count = None, 0
        return 0

    def tell(self) -> int:
        return self._count

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            if self._inner is None:
                self._inner = self._opening()
            found = self._inner.read(len(view))
        except _DAMAGE as error:
            raise SheetError("is a damaged archive") from error
        self._count += len(found)
        _believable(self._count, self._packed)
        view[: len(found)] = found
        return len(found)


def _flat(opening: Callable[[], object], packed: int) -> BinaryIO:
    """A stream of what is within, which is no archive itself."""
    stream = io.BufferedReader(_Counted(opening, packed), 1 << 18)  # type: ignore[arg-type]
    start = stream.peek(8)[:8]
    if not start.startswith(_PACKED):
        return stream
    if start.startswith(_ZIP):
        # a workbook is read here and there
        whole = io.BytesIO(stream.read(WORKBOOK_LIMIT + 1))
        if is_workbook(whole) and len(whole.getbuffer()) <= WORKBOOK_LIMIT:
            return whole
    raise SheetError("is an archive within an archive", hint="unpack it first")


def _rewound(stream: BinaryIO) -> BinaryIO:
    stream.seek(0)
    return stream


def _believable(size: int, packed: int) -> None:
    """Raises SheetError where more comes out than anybody would have put in."""
    if size > UNPACKED_LIMIT:
        raise SheetError(f"unpacks to more than {UNPACKED_LIMIT >> 20:,} MB")
    if size > RATIO_FROM and size > packed * RATIO_LIMIT:
        raise SheetError(f"unpacks to more than {RATIO_LIMIT} times its size, as no file of people does")


class _Short(io.RawIOBase):
    """A stream of which no more than an archive's list of contents is read at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.limit = DIRECTORY_LIMIT

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        if size > self.limit:
            raise SheetError("is an archive of far too many files")
        return self._stream.read(min(size, self.limit) if size >= 0 else self.limit)


@contextmanager
def _directory(stream: BinaryIO) -> Iterator[zipfile.ZipFile]:
    stream.seek(0)
    try:
        # nothing is read through it but the list: 64 kB of comment and as much as the limit allows
        archive = zipfile.ZipFile(_Short(stream))
    except _DAMAGE as error:
        raise SheetError("is a damaged archive") from error
    with archive:
        yield archive


def _checked(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive, every one of them harmless. Raises SheetError."""
    entries = archive.infolist()
    if len(entries) > ENTRIES_LIMIT:
        raise SheetError(f"is an archive of {len(entries):,} files, {ENTRIES_LIMIT} are allowed")
    seen = set[str]()
    for each in entries:
        name = each.orig_filename
        parts = name.replace("\\", "/").split("/")
        if not name.isprintable() or ".." in parts or parts[0] == "" or ":" in parts[0]:
            raise SheetError(f"holds a file with a name that would lead elsewhere: {name[:80]!r}")
        kind = stat.S_IFMT(each.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise SheetError(f"holds what is no file: {name[:80]!r}", hint="a link, perhaps; pack the file itself")
        if each.flag_bits & 0x1:
            raise SheetError("is encrypted", hint="unpack it with its password first")
        if each.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SheetError("is packed in an unusual way", hint="unpack it first")
        if name.casefold() in seen:
            raise SheetError(f"holds two files of one name: {name[:80]!r}")
        seen.add(name.casefold())
    return [each for each in entries if not each.is_dir()]


def _chosen(entries: Sequence[zipfile.ZipInfo], wanted: str) -> Sequence[zipfile.ZipInfo]:
    """Which of them hold the people. Raises SheetError where that is not clear."""
    files = [each for each in entries if _BESIDE.fullmatch(each.filename) is None]
    listed = ", ".join(each.filename for each in files[:8]) + (" …" if len(files) > 8 else "")
    if wanted:
        found = [each for each in files if wanted in (each.filename, each.filename.rpartition("/")[2])]
        if not found and len(files) == 1:
            # the sheet of a workbook, perhaps
            return files
        if len(found) != 1:
            raise SheetError(f"holds no file {wanted!r}" if not found else f"holds several {wanted!r}", hint=listed)
        return found
    people = [each for each in files if _TEXT.fullmatch(each.filename)] or files
    if len(people) > 1 and one_audience([each.filename for each in people]):
        return people
    if len(people) != 1:
        raise SheetError(
            f"holds {len(people):,} files of people" if people else "is an archive without a file",
            hint=f"choose one with --sheet: {listed}" if people else None,
        )
    return people


def one_audience(names: Sequence[str]) -> bool:
    """Whether these are the files of one export of Mailchimp: one for each standing, of one number."""
    found = [AUDIENCE.fullmatch(name.rpartition("/")[2].lower()) for name in names]
    kinds = [each["standing"] for each in found if each]
    return len({each["number"] for each in found if each}) == 1 and len(set(kinds)) == len(names)


# subscribed_members_export_0e633f6c70.csv of old, subscribed_email_audience_export_1a10653875.csv today
AUDIENCE: Final = re.compile(
    r"(?P<standing>subscribed|unsubscribed|cleaned|nonsubscribed)_(?:members|(?:email_)?audience)_export_(?P<number>\w+)\.csv"
)
