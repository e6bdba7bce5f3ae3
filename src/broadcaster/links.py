"""Signed tokens, and what carries them: leave links, return paths and Message-IDs.

A token is the delivery's id and a MAC that binds it to one purpose, so that a leave link shown
to a stranger is no proof of a bounce. It is base32 in small letters: some relays fold the case of
local parts, and the longest token with a short name before it fits in 64 octets (RFC 5321 §4.5.3.1.1).
Nothing in it names a person; leave links never expire.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode
from binascii import Error as Undecodable
from enum import StrEnum
from typing import Final

from broadcaster.errors import ConfigError

KEY_OCTETS: Final = 32
# 128 bits: nobody guesses a token in the life of a list
_MAC_OCTETS: Final = 16
_ID_OCTETS: Final = 8
LOCAL_OCTETS: Final = 64
TOKEN_LENGTH: Final = 39  # of the longest: 24 octets in base32


class Purpose(StrEnum):
    """What a token is good for. A test copy's is good for nothing: no code reads it."""

    MESSAGE = "message-id"
    RETURN = "return"
    LEAVE = "leave"
    TEST = "test"


class Signer:
    """Makes and reads tokens with the workspace's secret key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_OCTETS:
            raise ConfigError(
                f"the key has {len(key)} octets, {KEY_OCTETS} are needed",
                where="secret.key",
                hint="restore secret.key from a backup: with another key the leave links already sent stop working",
            )
        self._key = key

    def __repr__(self) -> str:
        return "Signer()"  # the key is in no log

    def token(self, purpose: str, number: int) -> str:
        """A token for an id (0 to 2⁶³−1): at most 39 of a–z and 2–7."""
        octets = number.to_bytes(_ID_OCTETS, "big").lstrip(b"\0")
        return b32encode(octets + self._mac(purpose, octets)).rstrip(b"=").decode("ascii").lower()

    def read(self, purpose: str, token: str) -> int | None:
        """The id that was signed for this purpose, or None. In any case; a near miss takes as long as a far one."""
        if len(token) > TOKEN_LENGTH or not token.isascii():
            return None
        folded = token.lower()
        try:
            octets = b32decode(folded.upper() + "=" * (-len(folded) % 8))
        except Undecodable:
            return None
        # the last letter may hold spare bits: only one spelling is ours
        if b32encode(octets).rstrip(b"=").decode("ascii").lower() != folded:
            return None
        octets, mac = octets[:-_MAC_OCTETS], octets[-_MAC_OCTETS:]
        if octets.startswith(b"\0") or not hmac.compare_digest(mac, self._mac(purpose, octets)):
            return None
        return int.from_bytes(octets, "big")

    def message_id(self, number: int, domain: str) -> str:
        """The Message-ID of a copy (RFC 5322 §3.6.4): the same on every attempt, so that a mailbox can drop a twin."""
        return f"<{self.token(Purpose.MESSAGE, number)}@{domain}>"

    def return_path(self, base: str, number: int) -> str:
        """`base` marked with the copy (VERP): bounces@example.org → bounces+TOKEN@example.org."""
        return marked(base, self.token(Purpose.RETURN, number))

    def leave(self, address: str, number: int) -> str:
        """The URI in the footer and in List-Unsubscribe (RFC 2369 §3.2): a mail whose subject carries the token."""
        return leave_uri(address, self.token(Purpose.LEAVE, number))

    def leave_page(self, site: str, number: int) -> str:
        """The same on the web: a page with a button, which also answers a mail program's own (RFC 8058)."""
        return f"{site}/leave/{self.token(Purpose.LEAVE, number)}"

    def _mac(self, purpose: str, octets: bytes) -> bytes:
        # a purpose never holds NUL, so no two pairs share a text
        return hmac.digest(self._key, f"broadcaster {purpose}".encode() + b"\0" + octets, "sha256")[:_MAC_OCTETS]


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


def mailto(address: str) -> str:
    """A mailto URI (RFC 6068 §2); characters with a meaning in URIs are escaped."""
    local, _, domain = address.rpartition("@")
    escaped = "".join(c if c.isalnum() or c in "-._~+!$'*" else f"%{ord(c):02X}" for c in local)
    return f"mailto:{escaped}@{domain}"
