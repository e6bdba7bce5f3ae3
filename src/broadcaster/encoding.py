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
_LONG: Final = 2 * 57  # two lines of base64: less is as quickly encoded as found again
_LINES: Final = re.compile(r".{1,76}").findall
_QUOTED: Final = tuple(
    chr(octet) if (32 <= octet <= 126 and octet != 61) or octet == 9 else f"={octet:02X}" for octet in range(256)
)


def quoted(text: str) -> str:
    """A piece of quoted-printable. None of its lines starts with a dot or `From `, or ends with a space."""
    if text.isascii() and text.isprintable():
        if "=" not in text and len(text) <= _WIDTH and text[:1] not in ".F":
            return f"{text}=\r\n"  # as most values are
        return f"{_cut(text.replace('=', '=3D'))}=\r\n" if text else ""
    lines: list[str] = []
    *whole, rest = text.split("\n")
    for line in whole:
        encoded = _octets(line)
        if encoded.endswith((" ", "\t")):
            encoded = f"{encoded[:-1]}={ord(encoded[-1]):02X}"
        lines += (_cut(encoded), "\r\n")
    if rest:
        lines += (_cut(_octets(rest)), "=\r\n")
    return "".join(lines)


def _octets(line: str) -> str:
    """Each octet that quoted-printable does not leave as it is, in hexadecimal."""
    return line.encode().decode("latin-1").translate(_QUOTED)


def _cut(encoded: str) -> str:
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
            return "=\r\n".join([*pieces, encoded])
        at = encoded.find("=", _WIDTH - 2, _WIDTH)
        at = _WIDTH if at < 0 else at
        pieces.append(encoded[:at])
        encoded = encoded[at:]


def lines64(octets: bytes) -> str:
    """Base64 in lines of 76, each with its end; of nothing no line."""
    text = b2a_base64(octets, newline=False).decode("ascii")
    if len(text) <= 76:
        return f"{text}\r\n" if text else ""
    return "\r\n".join(_LINES(text)) + "\r\n"


class Base64:
    """A part in base64. `constant` gives what stands for a text among the pieces of `finished`."""

    def __init__(self) -> None:
        self._ways: dict[bytes, tuple[tuple[bytes, str, bytes], ...]] = {}

    def constant(self, text: str) -> str:
        # NUL marks what is kept: no mail may hold it (RFC 2045 §2.7), and no value does, see merge.tidy
        text = text.replace("\0", "\ufffd")
        octets = _canonical(text)
        if len(octets) < _LONG:
            return text
        name = str(len(self._ways))
        self._ways[name.encode()] = tuple(_split(octets, lack) for lack in range(3))
        return f"\0{name}\0"

    def finished(self, pieces: Iterable[str]) -> list[str]:
        """The part, to be joined. Lines around a value are short, which RFC 2045 §6.8 allows."""
        texts = iter(_canonical("".join(pieces)).split(b"\0"))
        run = next(texts)
        lines: list[str] = []
        for name in texts:
            head, whole, tail = self._ways[name][-len(run) % 3]
            lines += (lines64(run + head), whole)
            run = tail + next(texts)
        lines.append(lines64(run))
        return lines


def _split(octets: bytes, lack: int) -> tuple[bytes, str, bytes]:
    """What fills up the three octets before, what is encoded once for all, and the one or two that are left."""
    end = len(octets) - (len(octets) - lack) % 3
    return octets[:lack], lines64(octets[lack:end]), octets[end:]


def _canonical(text: str) -> bytes:
    """With the line ends that base64 of a text has (RFC 2045 §6.8)."""
    return text.replace("\n", "\r\n").encode()
