"""Transfer encodings (RFC 2045 §6) in pieces, so that what is the same for everyone is encoded once.

Every piece of quoted-printable ends with a line end, mostly a soft one, so the next begins at column 0,
whatever it is. Base64 has no such seam: each constant is kept in the three ways it can begin, and only the
few octets around a value are encoded per message.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable
from typing import Final

_WIDTH: Final = 75  # and the "=" of a soft line end makes 76
_OCTETS: Final = 57  # that fill a line of base64
# begins with no dot and no F (of "From "), and fits on one line
_EASY: Final = re.compile(r"[!-\-/-EG-~][ -~]{0,74}")
_QUOTED: Final = tuple(
    chr(octet) if (32 <= octet <= 126 and octet != 61) or octet == 9 else f"={octet:02X}" for octet in range(256)
)


def quoted(text: str) -> str:
    """A piece of quoted-printable. None of its lines starts with a dot or `From `, or ends with a space."""
    if _EASY.fullmatch(text):
        easy = text.replace("=", "=3D")
        if len(easy) <= _WIDTH:
            return f"{easy}=\r\n"
    lines: list[str] = []
    *whole, rest = text.split("\n")
    for line in whole:
        encoded = "".join([_QUOTED[octet] for octet in line.encode()])
        if encoded.endswith((" ", "\t")):
            encoded = f"{encoded[:-1]}={ord(encoded[-1]):02X}"
        lines += _cut(encoded)
        lines.append("\r\n")
    if rest:
        lines += _cut("".join([_QUOTED[octet] for octet in rest.encode()]))
        lines.append("=\r\n")
    return "".join(lines)


def _cut(encoded: str) -> list[str]:
    """A line in pieces of at most 75, with soft line ends between them."""
    pieces: list[str] = []
    while True:
        if encoded.startswith("."):
            # a lone dot would end the message, and others would be doubled (RFC 5321 §4.5.2)
            encoded = f"=2E{encoded[1:]}"
        elif encoded.startswith("From "):
            # mailboxes of the mbox kind write >From
            encoded = f"=46{encoded[1:]}"
        if len(encoded) <= _WIDTH:
            pieces.append(encoded)
            return pieces
        at = encoded.find("=", _WIDTH - 2, _WIDTH)
        at = _WIDTH if at < 0 else at
        pieces += [encoded[:at], "=\r\n"]
        encoded = encoded[at:]


def lines64(octets: bytes) -> str:
    """Base64 in lines of 76, each with its end."""
    if len(octets) <= _OCTETS:
        return b2a_base64(octets, newline=False).decode() + "\r\n" if octets else ""
    text = b2a_base64(octets, newline=False).decode()
    return "\r\n".join([text[at : at + 76] for at in range(0, len(text), 76)]) + "\r\n"


class Base64:
    """The constants of one part. `constant` gives the word that stands for one among the pieces of `joined`."""

    def __init__(self) -> None:
        self._ways: dict[str, tuple[tuple[bytes, str, bytes], ...]] = {}

    def constant(self, text: str) -> str:
        octets = _canonical(text)
        if len(octets) < 2 * _OCTETS:
            return text
        # NUL is in no text, see merge.tidy
        word = f"\0{len(self._ways)}"
        ways = []
        for lack in range(3):
            end = len(octets) - (len(octets) - lack) % 3
            ways.append((octets[:lack], lines64(octets[lack:end]), octets[end:]))
        self._ways[word] = tuple(ways)
        return word

    def joined(self, pieces: Iterable[str]) -> str:
        """The part, encoded. Lines around a value are short, which RFC 2045 §6.8 allows."""
        lines: list[str] = []
        carry = b""
        waiting: list[str] = []
        find = self._ways.get
        for piece in pieces:
            ways = find(piece)
            if ways is None:
                waiting.append(piece)
                continue
            if waiting:
                carry += _canonical("".join(waiting))
                waiting.clear()
            head, whole, tail = ways[-len(carry) % 3]
            lines.append(lines64(carry + head))
            lines.append(whole)
            carry = tail
        lines.append(lines64(carry + _canonical("".join(waiting))))
        return "".join(lines)


def _canonical(text: str) -> bytes:
    """With the line ends that base64 of a text has (RFC 2045 §6.8)."""
    return text.replace("\n", "\r\n").encode()
