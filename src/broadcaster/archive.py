"""A backup's own form: a tar archive, packed by gzip; what it is comes first, and last the digests of its files.

So it is made in one pass, can be unpacked where there is no broadcaster, and what was cut off or altered is known
before anything is put in place. It is read as it comes, piece by piece, and only what we write is understood: a link, a
device or a name that leads out of the folder cannot even be said.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import unicodedata
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple, Protocol

from broadcaster.errors import ArchiveError

FORMAT: Final = 1
HEAD: Final = "broadcaster-backup.json"
MANIFEST: Final = "manifest.json"
DATABASE: Final = "subscribers/broadcaster.db"
PACKED: Final = b"\x1f\x8b"  # the first octets of what gzip has packed

# octets that are looked at together
PIECE: Final = 1 << 18
BLOCK: Final = tarfile.BLOCKSIZE
# of a name, of the head, of all names and digests together; and how many files
NAME_LIMIT: Final = 1_000
HEAD_LIMIT: Final = 10_000
MANIFEST_LIMIT: Final = 1 << 28
MANY: Final = 1_000_000
# faster packing would be no faster: reading and hashing take as long; slower gains a tenth
LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class About:
    """What a backup is. `made`: epoch seconds; `schema`: how many steps its database has gone."""

    program: str
    made: int
    schema: int
    format: int = FORMAT


class File(NamedTuple):
    """A file in a backup. `digest`: SHA-256 of its octets."""

    name: str
    size: int
    digest: str


class Item(NamedTuple):
    """A file to be kept. `at`: when it was written last (epoch seconds); the chunks together have `size` octets."""

    name: str
    size: int
    at: int
    chunks: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is in a backup."""

    about: About
    files: tuple[File, ...]

    @property
    def octets(self) -> int:
        return sum(file.size for file in self.files)


class Sink(Protocol):
    """Where the files of a backup go, one after the other."""

    def begin(self, name: str, size: int, at: int) -> None: ...
    def take(self, chunk: bytes) -> None: ...
    def end(self) -> None: ...


class Nowhere:
    """A sink for whoever only wants to know whether all is there."""

    def begin(self, name: str, size: int, at: int) -> None:
        """It is named in the manifest."""

    def take(self, chunk: bytes) -> None:
        """It is counted and hashed already."""

    def end(self) -> None:
        """Nothing is open."""


def fault(name: str) -> str:
    """What is wrong with the name of a file in a backup; "" where nothing is."""
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "surrogatepass")) > NAME_LIMIT:
        return "is too long" if name else "is empty"
    if "" in parts or "." in parts or ".." in parts or "\\" in name:
        return "leads out of the folder"
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        return "is no text"
    # SQLite would believe a log of changes that lies beside its file, and a sender a lock
    first, _, rest = same(name).partition("/")
    ours = ("broadcaster.db", "secret.key", "ledger.mark")
    if first == "subscribers" and rest not in ours and (rest.startswith(ours) or rest.endswith(".lock")):
        return "is not for a backup"
    return ""


def same(name: str) -> str:
    """One spelling for the names that some disks take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def packed(about: About, items: Iterable[Item]) -> Iterator[bytes]:
    """The octets of a backup, made as they are asked for. Raises ArchiveError for a file that changes meanwhile."""
    squeeze = zlib.compressobj(LEVEL, zlib.DEFLATED, 31)
    for chunk in _written(about, items):
        if out := squeeze.compress(chunk):
            yield out
    yield squeeze.flush()


def _written(about: About, items: Iterable[Item]) -> Iterator[bytes]:
    yield from _small(HEAD, about.made, _json(asdict(about)))
    files: list[File] = []
    for item in items:
        digest, left = hashlib.sha256(), item.size
        yield _header(item.name, item.size, item.at)
        for chunk in item.chunks:
            digest.update(chunk)
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left:
            raise ArchiveError("was changed while it was read", where=item.name, hint="run the same command again")
        yield bytes(-item.size % BLOCK)
        files.append(File(item.name, item.size, digest.hexdigest()))
    yield from _small(MANIFEST, about.made, _json({"files": [file._asdict() for file in files]}))
    yield bytes(2 * BLOCK)


def _small(name: str, at: int, body: bytes) -> Iterator[bytes]:
    yield _header(name, len(body), at) + body + bytes(-len(body) % BLOCK)


def _header(name: str, size: int, at: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, max(0, at), 0o600
    return info.tobuf(tarfile.PAX_FORMAT)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode("ascii") + b"\n"


class Unpacking:
    """A backup that is read as it comes. Whatever is wrong with it raises ArchiveError."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._unzip = zlib.decompressobj(31)
        self._waiting = bytearray()
        self._about: About | None = None
        self._files: list[File] = []
        self._names: set[str] = set()
        self._manifest: Manifest | None = None
        self._steps = self._parsed()
        self._wanted = next(self._steps)

    def feed(self, chunk: bytes) -> None:
        """The next octets."""
        try:
            while chunk:
                self._understand(self._unzip.decompress(chunk, PIECE))
                chunk = self._unzip.unconsumed_tail
        except zlib.error:
            raise ArchiveError("is damaged, or no backup", hint="take another one") from None
        if self._unzip.unused_data:
            raise ArchiveError("is followed by something else", hint="take another one")

    def finish(self) -> Manifest:
        """There is no more: everything that is in it, as it was written."""
        while not self._unzip.eof and (rest := self._unzip.decompress(self._unzip.unconsumed_tail, PIECE)):
            self._understand(rest)
        if self._manifest is None or not self._unzip.eof or self._waiting:
            raise ArchiveError("is cut off", hint="take another one, or copy it once more")
        return self._manifest

    def _understand(self, plain: bytes) -> None:
        self._waiting += plain
        while len(self._waiting) >= self._wanted:
            piece = bytes(self._waiting[: self._wanted])
            del self._waiting[: self._wanted]
            self._wanted = self._steps.send(piece)

    def _parsed(self) -> Generator[int, bytes, None]:
        """Asks for octets by number, and is sent them."""
        self._about = _about((yield from self._whole(HEAD, HEAD_LIMIT)))
        while True:
            info = yield from self._next()
            if info.name == MANIFEST:
                break
            yield from self._file(info)
        listed = _listed((yield from self._body(info, MANIFEST_LIMIT)))
        if listed != self._files:
            raise ArchiveError("is not what was written: a digest is another", hint="take another one")
        self._manifest = Manifest(self._about, tuple(self._files))
        while True:
            if (yield BLOCK).strip(b"\0"):
                raise ArchiveError("goes on behind its end", hint="take another one")

    def _file(self, info: tarfile.TarInfo) -> Generator[int, bytes, None]:
        if (wrong := fault(info.name)) or same(info.name) in self._names:
            raise ArchiveError(f"a name in it {wrong or 'comes twice'}: {info.name[:100]!r}")
        self._names.add(same(info.name))
        if len(self._files) >= MANY:
            raise ArchiveError("holds more files than any backup")
        digest, left = hashlib.sha256(), info.size
        self._sink.begin(info.name, info.size, int(info.mtime))
        while left:
            chunk = yield min(left, PIECE)
            digest.update(chunk)
            self._sink.take(chunk)
            left -= len(chunk)
        self._sink.end()
        if info.size % BLOCK:
            yield -info.size % BLOCK
        self._files.append(File(info.name, info.size, digest.hexdigest()))

    def _whole(self, name: str, limit: int) -> Generator[int, bytes, bytes]:
        info = yield from self._next()
        if info.name != name:
            raise ArchiveError("is no backup of broadcaster")
        return (yield from self._body(info, limit))

    def _body(self, info: tarfile.TarInfo, limit: int) -> Generator[int, bytes, bytes]:
        if info.size > limit:
            raise ArchiveError(f"{info.name} in it is too large")
        padded = -(-info.size // BLOCK) * BLOCK
        return (yield padded)[: info.size] if padded else b""

    def _next(self) -> Generator[int, bytes, tarfile.TarInfo]:
        """The next header, with what a record before it says of a long name, or of a size beyond eight gigabytes."""
        info = _info((yield BLOCK))
        if info.type != tarfile.XHDTYPE:
            return _plain(info)
        records = _records((yield from self._body(info, 4 * NAME_LIMIT)))
        info = _info((yield BLOCK))
        info.name = records.get("path", info.name)
        if "size" in records:
            info.size = _number(records["size"])
        return _plain(info)


def _info(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError):
        raise ArchiveError("is damaged, or no backup", hint="take another one") from None


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    if info.type != tarfile.REGTYPE or info.size < 0:
        raise ArchiveError(f"holds what is no file: {info.name[:100]!r}")
    return info


def _records(body: bytes) -> dict[str, str]:
    """The records of an extended header (POSIX pax): "LENGTH KEY=VALUE\\n"."""
    found = {}
    while body:
        length, _, _ = body.partition(b" ")
        size = _number(length.decode("ascii", "replace"))
        record, body = body[len(length) + 1 : size], body[size:]
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise ArchiveError("is damaged, or no backup", hint="take another one")
        found[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "replace")
    return found


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 20):
        raise ArchiveError("is damaged, or no backup", hint="take another one")
    return int(text)


def _about(body: bytes) -> About:
    try:
        value: dict[str, Any] = json.loads(body)
        form = value["format"]
        if isinstance(form, int) and form > FORMAT:
            raise ArchiveError("was made by a newer broadcaster", hint="upgrade broadcaster")
        about = About(str(value["program"])[:100], int(value["made"]), int(value["schema"]), int(form))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArchiveError("is damaged, or no backup", hint="take another one") from None
    return about


def _listed(body: bytes) -> Sequence[File]:
    """What the manifest says is in it."""
    try:
        return [File(each["name"], each["size"], each["digest"]) for each in json.loads(body)["files"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArchiveError("is damaged, or no backup", hint="take another one") from None
