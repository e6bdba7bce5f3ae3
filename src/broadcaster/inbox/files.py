"""Returned mail on this machine: Maildirs, mboxes, files with one message and folders of them, standard input.

Nothing is changed. A Maildir needs no lock; an mbox is locked for the moment in which its size is asked, and read up
to there: so its last message is whole. Only regular files are read, so that no pipe is waited for.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
import sys
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final

from broadcaster.errors import BadData, ConfigError, NotFound
from broadcaster.inbox import LARGEST, Found, Place

# what begins a message in an mbox: nobody writes such a line into a letter
_FROM: Final = re.compile(
    rb"From \S+(?: \S+)?\s+(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +\d\d?:\d\d(?::\d\d)?(?: \S+)* +\d{4}\b"
)
# a From line of Postfix's `pipe` may have no date that we know: at the very start it is one all the same
_FIRST: Final = re.compile(rb"From \S+")
# of what stands before the place where an mbox was read to (octets)
_BEFORE: Final = 1024
_BLOCK: Final = 1 << 16


class Maildir:
    """A Maildir: `new` and `cur`. With `move`, what is understood goes from `new` to `cur`, as read."""

    def __init__(self, url: str, path: Path, *, move: bool = False) -> None:
        self.name = self.url = url
        self._path = path
        self._move = move

    def messages(self, place: Place, known: Container[str]) -> Iterator[Found]:
        """What is not known, the oldest first: a unique name begins with the time of its delivery."""
        unread: BadData | None = None
        for name, path in sorted(self._all(), key=lambda one: _age(one[0])):
            if name in known:
                continue
            try:
                octets = self._read(name, path)
            except BadData as error:
                unread = unread or error
                continue
            if octets is not None:
                yield Found(_legible(f"{self._path.name}/{path.parent.name}/{path.name}"), octets, name)
        # one that cannot be read keeps no other from it
        if unread is not None:
            raise unread

    def names(self) -> list[str] | None:
        return [name for name, _ in self._all()]

    def look(self) -> None:
        for _ in self._all():
            pass
        if self._move and not os.access(self._path / "new", os.W_OK):
            raise ConfigError("what is understood cannot be moved to cur: permission denied", where=self.url)

    def understood(self, found: Found) -> None:
        if not self._move:
            return
        path = self._path / "new" / found.name
        try:
            # flag S: somebody has seen it. Another program may have moved it, which is as well
            path.rename(self._path / "cur" / f"{found.name}:2,S")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigError(
                f"what is understood cannot be moved to cur: {(error.strerror or str(error)).lower()}", where=self.url
            ) from None

    def close(self) -> None:
        pass

    def _all(self) -> Iterator[tuple[str, Path]]:
        """Unique name and path. The flags behind the colon change; the name does not."""
        if not self._path.exists():
            raise NotFound("there is no such Maildir yet", where=self.url, hint="it is made when the first mail comes")
        if not (self._path / "new").is_dir() or not (self._path / "cur").is_dir():
            raise ConfigError(
                "is no Maildir: it has no folders new and cur",
                where=self.url,
                hint="is the path right, seen from here?",
            )
        for folder in ("cur", "new"):
            try:
                with os.scandir(self._path / folder) as entries:
                    for entry in entries:
                        if not entry.name.startswith("."):
                            yield entry.name.partition(":")[0], Path(entry.path)
            except OSError as error:
                raise ConfigError((error.strerror or str(error)).lower(), where=self.url) from None

    def _read(self, name: str, path: Path) -> bytes | None:
        try:
            return _octets(path)
        except FileNotFoundError:
            pass
        # another program has moved or marked it since we looked
        for other in (self._path / "cur").glob(f"{_escaped(name)}:*"):
            try:
                return _octets(other)
            except FileNotFoundError:
                continue
        return None


class Mbox:
    """An mbox, read on from where it was read to, if what stands before that place is still the same."""

    def __init__(self, url: str, path: Path, source: str = "") -> None:
        self.url = url
        self.name = self._source = source or path.name
        self._path = path

    def messages(self, place: Place, known: Container[str]) -> Iterator[Found]:
        with self._opened() as file:
            size = _settled(file)
            start = place.last if 0 < place.last <= size and _mark(file, place.last) == place.mark else 0
            file.seek(start)
            for at, octets, end in _split(file, start, size):
                yield Found(f"{self._source}:{at}", octets, "", Place(0, end, _mark(file, end)))

    def _opened(self) -> BinaryIO:
        if self.url and not self._path.exists():
            raise NotFound("there is no such mbox yet", where=self.url, hint="it is made when the first mail comes")
        return _open(self._path, self.url or self._source)

    def look(self) -> None:
        self._opened().close()

    def names(self) -> list[str] | None:
        return None

    def understood(self, found: Found) -> None:
        """Nothing is moved out of an mbox: that would be to delete it there."""

    def close(self) -> None:
        pass


class Files:
    """What is named on the command line: files with one message, mboxes, Maildirs, and folders of files."""

    url = ""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self.name = self._source = _legible(source)

    def messages(self, place: Place, known: Container[str]) -> Iterator[Found]:
        try:
            folder = stat.S_ISDIR(self._path.stat().st_mode)
        except OSError as error:
            raise BadData((error.strerror or str(error)).lower(), where=self._source) from None
        if not folder:
            yield from _file(self._path, self._source)
        elif (self._path / "new").is_dir() and (self._path / "cur").is_dir():
            for found in Maildir(self._source, self._path).messages(place, known):
                yield found._replace(source=f"{self._source}/{found.source.partition('/')[2]}", name="")
        else:
            yield from self._folder()

    def _folder(self) -> Iterator[Found]:
        everything = sorted(self._path.rglob("*"))
        # MH gives its messages numbers
        paths = [path for path in everything if path.suffix.lower() in (".eml", ".mbox") or path.name.isdecimal()]
        if everything and not paths:
            raise BadData(
                "holds no mail that we know: no .eml or .mbox files, not the folders of a Maildir", where=self._source
            )
        unread: BadData | None = None
        for path in paths:
            if not path.is_file():
                continue
            try:
                yield from _file(path, f"{self._source}/{_legible(path.relative_to(self._path).as_posix())}")
            except BadData as error:
                unread = unread or error
        if unread is not None:
            raise unread

    def names(self) -> list[str] | None:
        return None

    def understood(self, found: Found) -> None:
        """Somebody named it: it stays where it is."""

    def close(self) -> None:
        pass


class Stream:
    """Standard input: one message, as a mail server pipes it, or an mbox."""

    name = "-"
    url = ""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def messages(self, place: Place, known: Container[str]) -> Iterator[Found]:
        first = self._file.read(_BLOCK)
        if not _FIRST.match(first):
            octets = first + self._file.read(LARGEST - len(first))
            while self._file.read(_BLOCK):
                pass  # who writes to us must not find the pipe closed
            if octets.strip():
                yield Found("-", octets[:LARGEST])
            return
        for at, octets, _ in _split(_Ahead(first, self._file), 0, sys.maxsize):
            yield Found(f"-:{at}" if at else "-", octets)

    def names(self) -> list[str] | None:
        return None

    def understood(self, found: Found) -> None:
        """It has gone by."""

    def close(self) -> None:
        pass


class _Ahead:
    """A stream of which something was read already."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def readline(self, limit: int) -> bytes:
        if not self._first:
            return self._rest.readline(limit)
        end = self._first.find(b"\n") + 1 or len(self._first)
        line, self._first = self._first[: min(end, limit)], self._first[min(end, limit) :]
        return line if line.endswith(b"\n") or len(line) == limit else line + self._rest.readline(limit - len(line))


def _settled(file: BinaryIO) -> int:
    """The size of an mbox at a moment when nobody is writing to it. 0: somebody is, and it is read another time."""
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return 0
    try:
        return os.fstat(file.fileno()).st_size
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def _split(file: IO[bytes] | _Ahead, start: int, stop: int) -> Iterator[tuple[int, bytes, int]]:
    """The messages of an mbox, each with the place where it begins and where it ends. `>From` was `From` (mboxrd)."""
    at, here = start, start
    kept: list[bytes] = []
    room, blank, begun, whole = LARGEST, True, False, True
    while here < stop and (line := file.readline(min(_BLOCK, stop - here))):
        if whole and blank and (_FROM.match(line) or (not begun and _FIRST.match(line))):
            if begun:
                yield at, b"".join(kept), here
            at, kept, room, begun = here, [], LARGEST, True
        elif begun and room > 0:
            text = line[1:] if whole and re.match(rb">+From ", line) else line
            kept.append(text[:room])
            room -= len(text)
        here += len(line)
        blank = whole and line in (b"\n", b"\r\n")
        whole = line.endswith(b"\n")  # what follows begins a line
    if begun:
        yield at, b"".join(kept), here


def _file(path: Path, source: str) -> Iterator[Found]:
    octets = _beginning(path, source)
    if _FROM.match(octets):
        yield from (each._replace(after=None) for each in Mbox("", path, source).messages(Place(), ()))
    else:
        yield Found(source, octets)


def _octets(path: Path) -> bytes:
    """The beginning of a file. Raises FileNotFoundError when it is no longer there."""
    return _beginning(path, _legible(path.name))


def _beginning(path: Path, where: str) -> bytes:
    with _open(path, where) as file:
        try:
            return file.read(LARGEST)
        except OSError as error:
            # a disk that is worn out, a server of files that is away
            raise BadData((error.strerror or str(error)).lower(), where=where) from None


def _open(path: Path, where: str) -> BinaryIO:
    """A regular file. Raises FileNotFoundError for one of a Maildir that has gone, BadData otherwise."""
    try:
        # a pipe of that name would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadData("is no file", where=where)
        return os.fdopen(descriptor, "rb")
    except OSError as error:
        if error.errno == errno.ENOENT and path.parent.name in ("new", "cur"):
            raise
        raise BadData((error.strerror or str(error)).lower(), where=where) from None


def _mark(file: BinaryIO, at: int) -> str:
    """A digest of what stands before a place. Where the file is read on is not changed."""
    begin = max(0, at - _BEFORE)
    return hashlib.sha256(os.pread(file.fileno(), at - begin, begin)).hexdigest()


def _age(name: str) -> tuple[int, str]:
    first = name.partition(".")[0]
    return (int(first) if first.isascii() and first.isdigit() and len(first) < 20 else 0), name


def _legible(name: str) -> str:
    """A file's name as text on one line: it may hold octets that are none, and signs that a terminal obeys."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


def _escaped(name: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", name)
