"""Signed tokens, and what carries them: leave links, return paths and Message-IDs.

A token is the delivery's id and a MAC that binds it to one purpose: a leave link is no return path. Whoever holds
a copy holds its tokens, and can report that one copy as returned; nobody else can. It is base32 in small letters:
some relays fold the case of local parts, and the longest token with a short name before it fits in 64 octets
(RFC 5321 §4.5.3.1.1). Nothing in it names a person; leave links never expire.
"""

from __future__ import annotations

import hmac
from base64 import b32decode
from binascii import Error as Undecodable
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from broadcaster.errors import ConfigError

KEY_OCTETS: Final = 32
# 128 bits: nobody guesses a token in the life of a list
_MAC_OCTETS: Final = 16
_ID_OCTETS: Final = 8
LOCAL_OCTETS: Final = 64
TOKEN_LENGTH: Final = 39  # of the longest: 24 octets in base32


class Purpose(StrEnum):
    """What a token is good for. What is made for one purpose is no proof for another."""

    MESSAGE = "message-id"
    RETURN = "return"
    LEAVE = "leave"
    ENVELOPE = "envelope"  # ENVID (RFC 3461 §4.4)
    ERASED = "erased"  # no token: what stands for somebody who was erased


class Signer:
    """Makes and reads tokens with the workspace's secret key."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_OCTETS:
            raise ConfigError(
                f"the key has {len(key)} octets, {KEY_OCTETS} are needed",
                where="secret.key",
                hint="restore secret.key from a backup: with another key the leave links already sent stop working",
            )
        # HMAC (RFC 2104 §4): what is hashed before the id is the same each time, and is hashed once
        block = sha256().block_size
        padded = (key if len(key) <= block else sha256(key).digest()).ljust(block, b"\0")
        self._outer = sha256(bytes(octet ^ 0x5C for octet in padded))
        inner = bytes(octet ^ 0x36 for octet in padded)
        # a purpose never holds NUL, so no two pairs share a text
        self._inner = {each: sha256(inner + f"broadcaster {each}\0".encode()) for each in Purpose}

    def __repr__(self) -> str:
        return "Signer()"  # the key is in no log

    def token(self, purpose: Purpose, number: int) -> str:
        """A token for an id (0 to 2⁶³−1): at most 39 of a–z and 2–7."""
        return self.tokens(number, purpose)[0]

    def tokens(self, number: int, *purposes: Purpose) -> list[str]:
        """A token for each of at most three purposes, which together cost little more than one."""
        octets = number.to_bytes(_ID_OCTETS, "big").lstrip(b"\0")
        return base32(*[octets + self._mac(purpose, octets) for purpose in purposes])

    def veil(self, key: str) -> bytes:
        """What stands for a folded address that must not be kept: told again by who has the key, read by nobody."""
        return self._mac(Purpose.ERASED, key.encode())

    def read(self, purpose: Purpose, token: str) -> int | None:
        """The id that was signed for this purpose, or None. In any case; a near miss takes as long as a far one."""
        if len(token) > TOKEN_LENGTH or not token.isascii():
            return None
        folded = token.lower()
        try:
            octets = b32decode(folded.upper() + "=" * (-len(folded) % 8))
        except Undecodable:
            return None
        # the last letter may hold spare bits: only one spelling is ours
        if base32(octets) != [folded]:
            return None
        octets, mac = octets[:-_MAC_OCTETS], octets[-_MAC_OCTETS:]
        if octets.startswith(b"\0") or not hmac.compare_digest(mac, self._mac(purpose, octets)):
            return None
        return int.from_bytes(octets, "big")

    def _mac(self, purpose: Purpose, octets: bytes) -> bytes:
        inner, outer = self._inner[purpose].copy(), self._outer.copy()
        inner.update(octets)
        outer.update(inner.digest())
        return outer.digest()[:_MAC_OCTETS]


def _halvings(digits: int) -> Iterator[tuple[int, int, int]]:
    """How groups of bits are halved until each octet holds five: of each step the upper halves, the lower, the way."""
    bits, room = 5 * digits, 8 * digits
    while bits > 5:
        bits //= 2
        low = sum(((1 << bits) - 1) << at for at in range(0, 8 * digits, room))
        room //= 2
        yield low << bits, low, room - bits


_DIGITS: Final = 128  # what all steps are made for: a power of two
_APART: Final = 40  # from one token's first digit to the next one's: whole octets, and more than a token has
_HALVINGS: Final = tuple(_halvings(_DIGITS))
_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz234567".ljust(256)


def base32(*several: bytes) -> list[str]:
    """At most three times 25 octets in base32 (RFC 4648 §6), in small letters and without padding: all digits at once.

    A letter at a time, as the library does, they would be a quarter of what a whole copy costs.
    """
    octets = b"".join([each.ljust(_APART * 5 // 8, b"\0") for each in several])
    bits = int.from_bytes(octets.ljust(_DIGITS * 5 // 8, b"\0"), "big")
    for high, low, way in _HALVINGS:
        bits = (bits & high) << way | bits & low
    digits = bits.to_bytes(_DIGITS, "big").translate(_LETTERS).decode("ascii")
    return [digits[at * _APART :][: -(-8 * len(each) // 5)] for at, each in enumerate(several)]


def message_id(token: str, domain: str) -> str:
    """The Message-ID of a copy (RFC 5322 §3.6.4): the same on every attempt, so that a mailbox can drop a twin."""
    return f"<{token}@{domain}>"


def ways_to_leave(token: str, *, site: str = "", address: str = "") -> tuple[str, ...]:
    """The better first: a page of `site` (RFC 8058), a mail to `address` (RFC 2369 §3.2).

    The page has a button, and answers a mail program's own; of the mail the subject carries the token.
    """
    page = (f"{site}/leave/{token}",) if site else ()
    return (*page, leave_uri(address, token)) if address else page


def marked(base: str, token: str) -> str:
    """A return path with a token. Raises ConfigError when the local part would pass 64 octets."""
    local, _, domain = base.rpartition("@")
    if len(local) + 1 + len(token) > LOCAL_OCTETS:
        raise ConfigError(
            f"{base} is too long to carry a token before the @",
            where="returns.return_path",
            hint=f"take at most {LOCAL_OCTETS - 1 - TOKEN_LENGTH} letters before the @",
        )
    return f"{local}+{token}@{domain}"


def leave_uri(address: str, token: str) -> str:
    """A mailto URI with the token in its subject."""
    return f"{mailto(address)}?subject=leave-{token}"


@lru_cache(maxsize=256)  # the same few in every copy
def mailto(address: str) -> str:
    """A mailto URI (RFC 6068 §2); characters with a meaning in URIs are escaped."""
    local, _, domain = address.rpartition("@")
    escaped = "".join(c if c.isalnum() or c in "-._~+!$'*" else f"%{ord(c):02X}" for c in local)
    return f"mailto:{escaped}@{domain}"
