"""Signatures of the sender's domain over whole messages (DKIM, RFC 6376): a key's text in, a header field out.

Signing has three steps, since only the middle one costs: `draft` hashes a message, `sign` is the RSA
operation, which a thread pool may do ahead (it lets other threads run), `Draft.sealed` puts the field
on top. Fields are named once more than they occur, so that nobody can add a second From or Subject, and
never a length: whoever could append to a body could replace it.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from broadcaster.errors import ConfigError
from broadcaster.taglist import tags

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# RFC 8301 §3.2 lets 1024 pass, which is within reach of an attacker; verifiers need not read more than 4096
BITS: Final = (2048, 4096)
# a signature that is older says nothing: who kept a copy cannot mail it to others in our name for ever
LIFE: Final = 14 * 86_400

# What is signed where it is there (RFC 6376 §5.4.1). A relay may add to the others, or take them off.
SIGNED: Final = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type "
    b"content-transfer-encoding content-disposition list-id list-help list-owner list-post list-archive "
    b"list-unsubscribe list-unsubscribe-post feedback-id auto-submitted".split()
)
# What no one may add once more, whether it is there or not: it would decide what a reader sees, or where a click goes.
# Not what a list server writes anew when somebody passes a copy on to it.
OVERSIGNED: Final = (
    *(b"from", b"subject", b"date", b"to", b"reply-to", b"message-id", b"mime-version", b"content-type"),
    *(b"content-transfer-encoding", b"list-unsubscribe", b"list-unsubscribe-post", b"feedback-id"),
)

# two spaces in the pattern, since it is found several times faster by what is constant in it
_RUNS: Final = re.compile(rb"  +")
_TRAILING: Final = re.compile(rb" \r\n")
_LINE: Final = 72


class Key:
    """A private key. `sign` may be called from several threads at once."""

    __slots__ = ("_key", "_way")

    def __init__(self, key: RSAPrivateKey) -> None:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        self._key = key
        self._way = PKCS1v15(), SHA256()

    def __repr__(self) -> str:
        return f"Key({self._key.key_size} bits)"  # the key itself is in no log

    @classmethod
    def parse(cls, pem: bytes, *, where: str = "dkim.key_file") -> Key:
        """The key in a PEM text. Raises ConfigError for anything but an unlocked RSA key of 2048 to 4096 bits."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        make = f"make one: openssl genrsa -out {where} {BITS[0]}"
        try:
            key = load_pem_private_key(pem, password=None)
        except TypeError:
            raise ConfigError(
                "is locked with a passphrase, which nobody is there to type", where=where, hint=make
            ) from None
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigError("holds no private key as PEM", where=where, hint=make) from None
        if not isinstance(key, RSAPrivateKey):
            # RFC 8463 §3: many verifiers know nothing else
            raise ConfigError("holds no RSA key, the only kind that everybody can check", where=where, hint=make)
        if not BITS[0] <= key.key_size <= BITS[1]:
            message = f"has {key.key_size} bits: {BITS[0]} to {BITS[1]} are needed"
            raise ConfigError(message, where=where, hint=make)
        return cls(key)

    def sign(self, octets: bytes) -> bytes:
        """The signature of these octets (rsa-sha256)."""
        return self._key.sign(octets, *self._way)

    @property
    def public(self) -> tuple[str, str]:
        """What belongs behind p= in the DNS: the public key as base64, and its older form, which verifiers read too."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key = self._key.public_key()
        forms = (key.public_bytes(Encoding.DER, of) for of in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1))
        first, second = (b2a_base64(octets, newline=False).decode("ascii") for octets in forms)
        return first, second


def flaws(text: str, key: Key) -> list[str]:
    """What keeps a text in the DNS from vouching for a key, each a word: none, revoked, type, hash, service, differs.

    `testing` is the one that keeps nobody from it (RFC 6376 §3.6.1).
    """
    found = tags(text)
    if found is None or found.get("v", "DKIM1") != "DKIM1" or "p" not in found:
        return ["none"]
    published = "".join(found["p"].split())
    if not published:
        return ["revoked"]
    words = ["type"] if found.get("k", "rsa") != "rsa" else []
    words += ["hash"] if "h" in found and "sha256" not in _choices(found["h"]) else []
    words += ["service"] if "s" in found and not {"*", "email"}.intersection(_choices(found["s"])) else []
    words += ["differs"] if not words and published.rstrip("=") not in (each.rstrip("=") for each in key.public) else []
    return words + (["testing"] if "y" in _choices(found.get("t", "")) else [])


def _choices(value: str) -> list[str]:
    return [each.strip().lower() for each in value.split(":")]


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that waits for its signature. `octets` are what is to be signed."""

    octets: bytes
    field: bytes  # up to b=
    message: bytes

    def sealed(self, signature: bytes) -> bytes:
        """The message with its signature on top."""
        text = b2a_base64(signature, newline=False)
        lines = b"\r\n ".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
        return b"%b%b\r\n%b" % (self.field, lines, self.message)


class Seal:
    """The signature of one domain. `domain` in ASCII; the record is SELECTOR._domainkey.DOMAIN."""

    def __init__(self, domain: str, selector: str, key: Key) -> None:
        for name, value in (("domain", domain), ("selector", selector)):
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", value):
                raise ConfigError(f"is no {name}: {value[:80]!r}", where=f"dkim.{name}")
        self._key = key
        self._head = (f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain};\r\n s={selector}; t=").encode(
            "ascii"
        )
        self._names: dict[tuple[bytes, ...], bytes] = {}

    def draft(self, message: bytes, now: int) -> Draft:
        """What is to be signed of a finished message (CRLF only). `now`: seconds since the epoch."""
        head, _, body = message.partition(b"\r\n\r\n")
        # from the bottom up: so a verifier takes fields of the same name (RFC 6376 §5.4.2)
        fields = [each for each in relaxed_fields(head + b"\r\n") if each[0] in SIGNED]
        fields.reverse()
        names = tuple([name for name, _ in fields])
        # few kinds of header in a mailing, so each list of names is folded once
        if (signed := self._names.get(names)) is None:
            signed = self._names[names] = _folded(names + OVERSIGNED)
        digest = b2a_base64(sha256(relaxed_body(body)).digest(), newline=False)
        field = b"%b%d; x=%d;\r\n h=%b;\r\n bh=%b;\r\n b=" % (self._head, now, now + LIFE, signed, digest)
        fields += relaxed_fields(field + b"\r\n")
        return Draft(b"\r\n".join([b"%b:%b" % each for each in fields]), field, message)

    def sign(self, draft: Draft) -> bytes:
        """The RSA operation alone, for any thread."""
        return self._key.sign(draft.octets)

    def sealed(self, message: bytes, now: int) -> bytes:
        """A message with its signature: all three steps."""
        draft = self.draft(message, now)
        return draft.sealed(self.sign(draft))


def relaxed_fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and value of each field of a header in their relaxed form (RFC 6376 §3.4.2), without line ends."""
    if b"\t" in head:
        head = head.replace(b"\t", b" ")
    for line in _RUNS.sub(b" ", head.replace(b"\r\n ", b" ")).split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        yield name.rstrip(b" ").lower(), value.strip(b" ")


def relaxed_body(body: bytes) -> bytes:
    """A body in its relaxed form (RFC 6376 §3.4.4). Ours is so already, but for spaces that indent."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    body = _RUNS.sub(b" ", body)
    if _TRAILING.search(body):
        body = body.replace(b" \r\n", b"\r\n")
    if body.endswith(b"\r\n\r\n") or body == b"\r\n":
        body = body.rstrip(b"\r\n")
    return body + b"\r\n" if body and not body.endswith(b"\r\n") else body


def _folded(names: Sequence[bytes]) -> bytes:
    """Names with colons between them, on lines of a usual length."""
    lines, line = [], b""
    for name in names:
        if len(line) + len(name) > _LINE:
            lines.append(line)
            line = b""
        line += name + b":"
    return b"\r\n ".join([*lines, line[:-1]])
