"""The vault: locks a backup for those who may open it, and opens it again, by age (age-encryption.org, X25519).

Nothing is ever held whole. age hashes a passphrase for a second or more, and its library locks with one only what is
held whole: so what a passphrase locks is a key made for this one file, and that stands in front of it, as text. With
age at hand both halves can be opened without us: docs/backup.md tells how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from broadcaster.errors import ArchiveError, BadData

if TYPE_CHECKING:
    from pyrage import ssh, x25519

    Recipient: TypeAlias = x25519.Recipient | ssh.Recipient
    Identity: TypeAlias = x25519.Identity | ssh.Identity

# what a file begins with that is locked for recipients, and with a passphrase; and where the key of the latter ends
LOCKED: Final = b"age-encryption.org/v1"
KEY_FIRST: Final = b"-----BEGIN AGE ENCRYPTED FILE-----\n"
KEY_LAST: Final = b"-----END AGE ENCRYPTED FILE-----\n"
_KEY_LIMIT: Final = 4_000
# a copy of the file can be tried for years
SHORTEST: Final = 12

_SSH: Final = ("ssh-ed25519 ", "ssh-rsa ")


def recipients(lines: Iterable[str], where: str) -> list[Recipient]:
    """Whom something can be locked for: age1…, ssh-ed25519 … or ssh-rsa …, one on a line; # begins a remark.

    Raises BadData for a line that is none.
    """
    from pyrage import RecipientError, ssh, x25519

    found: list[Recipient] = []
    for text in _lines(lines):
        try:
            kind = ssh.Recipient if text.startswith(_SSH) else x25519.Recipient
            found.append(kind.from_str(text))
        except RecipientError:
            said = "a secret key, not its public half" if "SECRET" in text.upper() else "no recipient"
            raise BadData(f"holds {said}", where=where, hint="write one like age1… or ssh-ed25519 …") from None
    if not found:
        raise BadData("names no recipient", where=where, hint="write one like age1… or ssh-ed25519 …")
    return found


def identities(octets: bytes, where: str) -> list[Identity]:
    """The secret keys in a file, as age-keygen or ssh-keygen writes it. Raises BadData."""
    from pyrage import IdentityError, ssh, x25519

    try:
        if octets.lstrip().startswith(b"-----BEGIN"):
            return [ssh.Identity.from_buffer(octets)]
        found = [x25519.Identity.from_str(text) for text in _lines(octets.decode("utf-8", "replace").splitlines())]
    except IdentityError:
        # its own words may quote the key
        raise BadData("holds no key that can be used", where=where, hint="name a file of age-keygen") from None
    if not found:
        raise BadData("holds no key", where=where, hint="name a file of age-keygen")
    return list(found)


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if (text := line.strip()) and not text.startswith("#"):
            yield text


def lock(chunks: Iterable[bytes], to: Sequence[Recipient], write: Callable[[bytes], object]) -> None:
    """Lock what comes for each of these, and write it."""
    import pyrage

    _carried(pyrage.encrypt_io, chunks, write, to)


def lock_by_passphrase(chunks: Iterable[bytes], passphrase: str, write: Callable[[bytes], object]) -> None:
    """Lock what comes with a passphrase, and write it. Raises BadData for one that is soon guessed."""
    from pyrage import passphrase as by
    from pyrage import x25519

    if len(passphrase) < SHORTEST:
        raise BadData(
            f"the passphrase has fewer than {SHORTEST} characters", hint="take five words that nobody would guess"
        )
    key = x25519.Identity.generate()
    write(by.encrypt(f"{key}\n".encode(), passphrase, armored=True))
    lock(chunks, [key.to_public()], write)


def unlock(chunks: Iterable[bytes], keys: Sequence[Identity], write: Callable[[bytes], object]) -> None:
    """Open what was locked for one of these keys. Raises ArchiveError: then what was written is not to be trusted."""
    import pyrage

    try:
        _carried(pyrage.decrypt_io, chunks, write, keys)
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise ArchiveError(
                "is locked for somebody else", hint="name the file with the right key: --identity"
            ) from None
        raise ArchiveError("is cut off or damaged", hint="take another one") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveError("is cut off, damaged or altered", hint="take another one") from None


def unlock_by_passphrase(chunks: Iterable[bytes], passphrase: str, write: Callable[[bytes], object]) -> None:
    """Open what was locked with a passphrase. Raises ArchiveError as `unlock` does."""
    from pyrage import DecryptError
    from pyrage import passphrase as by

    rest = iter(chunks)
    front = b""
    while KEY_LAST not in front:
        chunk = next(rest, b"")
        if not chunk or len(front) > _KEY_LIMIT:
            raise ArchiveError("is cut off or damaged", hint="take another one")
        front += chunk
    key, end, begun = front.partition(KEY_LAST)
    try:
        keys = identities(by.decrypt(key + end, passphrase), "the key in front of it")
    except DecryptError:
        raise ArchiveError("is locked with another passphrase", hint="was it typed right?") from None

    def following() -> Iterator[bytes]:
        yield begun
        yield from rest

    unlock(following(), keys, write)


def _carried(work: Any, chunks: Iterable[bytes], write: Callable[[bytes], object], keys: Sequence[object]) -> None:
    """Let age read and write. What goes wrong on our side of it is raised as it was, not as age tells it."""
    ends = _Ends(iter(chunks), write)
    try:
        work(ends, ends, list(keys))
    except BaseException:
        if ends.failed is not None:
            raise ends.failed from None
        raise


class _Ends:
    """What age reads from and writes to."""

    def __init__(self, chunks: Iterator[bytes], write: Callable[[bytes], object]) -> None:
        self._chunks = chunks
        self._write = write
        self._rest = memoryview(b"")
        self.failed: BaseException | None = None

    def read(self, size: int) -> bytes:
        try:
            while not self._rest and (chunk := next(self._chunks, None)) is not None:
                self._rest = memoryview(chunk)
        except BaseException as error:
            self.failed = error
            raise
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def write(self, octets: bytes) -> int:
        try:
            self._write(octets)
        except BaseException as error:
            self.failed = error
            raise
        return len(octets)

    def flush(self) -> None:
        """Whoever owns the file does that."""
