"""Header fields as RFC 5322 and RFC 2047 have them, each as finished lines.

Our own, since the library folds List-Unsubscribe into encoded-words (which Gmail ignores), makes them a
character too long and loses a space beside some emoji. A value that could begin another field is
refused here, whatever was done before.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from broadcaster.errors import StatementError

LINE: Final = 76  # RFC 2047 §2, of a line with encoded-words
WORD: Final = 75  # RFC 2047 §2, of an encoded-word
LONGEST: Final = 998  # RFC 5322 §2.1.1

_REFUSED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# before an address it would show another (UTS 39; Unicode TR 36 §2.10.1)
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NAME: Final = re.compile(r"[!-9;-~]{1,76}")
_URI: Final = re.compile(rf"[!-;=?-~]{{1,{LONGEST - 40}}}")
# what cannot end an address: nearly every address there is, and an identifier of a list
_ADDRESS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]+")
# one atom of a phrase after another (RFC 5322 §3.2.3), as most names in Latin letters are
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# what Q leaves as it is in a phrase, the strictest place (RFC 2047 §5(3))
_Q_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/"
_Q_SHORT: Final = _Q_PLAIN + b" "  # one character each
_Q: Final = tuple(chr(octet) if octet in _Q_PLAIN else "_" if octet == 32 else f"={octet:02X}" for octet in range(256))
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def unstructured(name: str, value: str) -> str:
    """A field of free text, such as Subject. Every character comes back from a reader, spaces too."""
    _refuse(name, value)
    if value.isascii() and "=?" not in value and value.strip(" ") == value:
        if len(name) + 2 + len(value) <= LINE:
            return f"{name}: {value}\r\n"
        first, *rest = value.split(" ")
        # a fold right behind the name gives a space to some readers, and of several spaces they drop some
        if "  " not in value and len(name) + 2 + len(first) <= LINE and all(len(word) < LINE for word in rest):
            return _folded(f"{name}: {value}")
    return f"{name}: {_encoded(value, len(name) + 2)}\r\n"


def mailbox(name: str, phrase: str, address: str) -> str:
    """A field with one mailbox, such as From; the same with `phrase <id>`, such as List-Id (RFC 2919 §3).

    Raises StatementError for an address with anything in it that could end it, and for a phrase that could show
    what follows it backwards.
    """
    _refuse(name, phrase)
    if not phrase.isprintable() and (turning := _TURNING.search(phrase)):
        raise StatementError(
            f"{name}: holds a sign that turns what follows (U+{ord(turning[0]):04X})", hint="delete it"
        )
    if not _ADDRESS.fullmatch(address):
        _refuse(name, address)
        domain = address.rpartition("@")[2]
        if not domain.isascii() or not address or _outside_quotes(address).intersection(" <>,;"):
            raise StatementError(f"{name}: not an address: {address!r}", hint="correct the address")
    if not phrase:
        return f"{name}: {address}\r\n" if "@" in address else f"{name}: <{address}>\r\n"
    if len(phrase) < 60 and phrase.isascii() and "=?" not in phrase:
        if _ATOMS.fullmatch(phrase):
            words = phrase
        else:
            escaped = phrase.replace("\\", "\\\\").replace('"', '\\"')
            words = f'"{escaped}"'
    else:
        words = _encoded(phrase, len(name) + 2)
    last = len(words) - words.rfind("\n") - 1 + (len(name) + 2 if "\n" not in words else 0)
    space = " " if last + len(address) + 3 <= LINE else "\r\n "
    return f"{name}: {words}{space}<{address}>\r\n"


def raw(name: str, value: str) -> str:
    """A field that no reader decodes, such as Message-ID: ASCII on one line."""
    _refuse(name, value)
    if not value.isascii() or len(name) + 2 + len(value) > LONGEST:
        raise StatementError(f"{name}: not ASCII, or longer than {LONGEST} characters", hint="shorten it")
    return f"{name}: {value}\r\n"


def uris(name: str, values: Sequence[str]) -> str:
    """A List-* field (RFC 2369 §2): URIs in angle brackets, a line each, never encoded and never broken."""
    _named(name)
    for value in values:
        if not _URI.fullmatch(value):
            _refuse(name, value)
            raise StatementError(f"{name}: not a URI: {value[:60]!r}", hint="percent-encode it")
    return f"{name}: " + ",\r\n ".join(f"<{value}>" for value in values) + "\r\n"


def date(seconds: int) -> str:
    """A Date field (RFC 5322 §3.3) in UTC: a zone would tell where the sender sits."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"Date: {_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} {at:%H:%M:%S} +0000\r\n"


def file_name(name: str) -> str:
    """The parameters that name an attachment: RFC 2231 where ASCII will not do, with a plain name for old readers."""
    _refuse("filename", name)
    plain = "".join(each if " " <= each < "\x7f" and each not in '"\\/' else "_" for each in name)
    if plain == name and len(name) <= 60:
        return f'filename="{name}"'
    stem, dot, suffix = plain.rpartition(".")
    plain = f"{stem[:50] or 'file'}{dot}{suffix[:10]}" if dot else plain[:60]
    # the real one first: some readers take the first they can read, some prefer it wherever it is
    return f"filename*=UTF-8''{quote(name, safe='')};\r\n filename=\"{plain}\""


def _refuse(name: str, value: str) -> None:
    """Nothing that could end the line, in the name (where the library lets it pass) or in the value."""
    _named(name)
    # what is refused does not print, so most values are not searched
    if value.isprintable():
        return
    if found := _REFUSED.search(value):
        raise StatementError(f"{name}: holds a control character (U+{ord(found[0]):04X})", hint="delete it")


@lru_cache(maxsize=64)  # the same few in every message
def _named(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StatementError(f"{name!r} is not the name of a header field", hint="use letters and hyphens")


def _outside_quotes(address: str) -> set[str]:
    """The characters of an address, but those of a quoted local part (RFC 5321 §4.1.2)."""
    local, _, domain = address.rpartition("@")
    quoted = len(local) > 1 and local.startswith('"') and local.endswith('"')
    return set(domain if quoted else address)


def _folded(line: str) -> str:
    """Folded before spaces (RFC 5322 §2.2.3), so that no line is too long. Each word must fit on one."""
    lines: list[str] = []
    while len(line) > LINE:
        at = line.rfind(" ", 1, LINE + 1)
        lines.append(line[:at])
        line = line[at:]
    return "\r\n".join([*lines, line]) + "\r\n"


def _encoded(value: str, column: int) -> str:
    """Encoded-words (RFC 2047), B or Q, whichever is shorter. Space between two of them is lost, so it is inside."""
    octets = value.encode()
    b_size = -(-len(octets) // 3) * 4
    q_size = _size("q", octets)
    letter = "b" if b_size <= q_size else "q"
    if min(b_size, q_size) + len("=?utf-8?b??=") <= min(WORD, LINE - column):
        return _word(letter, octets)
    words: list[str] = []
    word = b""
    for piece in _clusters(value):
        room = min(WORD, LINE - (column if not words else 1)) - len("=?utf-8?b??=")
        if word and _size(letter, word + piece) > room:
            words.append(_word(letter, word))
            word = b""
            room = WORD - len("=?utf-8?b??=")
        # a cluster of dozens of accents: between characters at least
        for part in [piece] if _size(letter, word + piece) <= room else [each.encode() for each in piece.decode()]:
            if word and _size(letter, word + part) > room:
                words.append(_word(letter, word))
                word = b""
            word += part
    words.append(_word(letter, word))
    return "\r\n ".join(words)


def _size(letter: str, octets: bytes) -> int:
    if letter == "b":
        return -(-len(octets) // 3) * 4
    return len(octets) + 2 * len(octets.translate(None, _Q_SHORT))


def _word(letter: str, octets: bytes) -> str:
    text = b2a_base64(octets, newline=False).decode() if letter == "b" else "".join(_Q[octet] for octet in octets)
    return f"=?utf-8?{letter}?{text}?="


def _clusters(text: str) -> Iterator[bytes]:
    """What a reader sees as one character, in UTF-8: letters with their marks, joined emoji, flags."""
    cluster = ""
    flags = 0
    for each in text:
        flag = "\U0001f1e6" <= each <= "\U0001f1ff"
        joined = cluster and (
            unicodedata.category(each) in ("Mn", "Me", "Mc")
            or each in "\u200d\ufe0e\ufe0f"
            or "\U0001f3fb" <= each <= "\U0001f3ff"
            or cluster[-1] == "\u200d"
            or (flag and flags % 2 == 1)
        )
        if cluster and not joined:
            yield cluster.encode()
            cluster = ""
        flags = flags + 1 if flag else 0
        cluster += each
    if cluster:
        yield cluster.encode()
