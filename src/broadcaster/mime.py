"""A message as parts (RFC 2045, RFC 2046), read in one pass and within bounds, whatever its bytes are.

Our own, since the library descends into what is nested, once for each depth, and takes seconds for a message that
was made to take them. Nothing is refused: a line that is no field is passed over, an unknown charset is guessed.
"""

from __future__ import annotations

import codecs
import html
import re
from binascii import Error as Undecodable
from binascii import a2b_base64, a2b_qp, a2b_uu
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

OCTETS: Final = 2_000_000  # of a message: what a report says stands before what was returned
PARTS: Final = 200
DEPTH: Final = 40  # boundaries that are open at once
MESSAGES: Final = 6  # one within the other
RULES: Final = 20_000  # lines of a body that might be a boundary
FIELDS: Final = 500  # of a part
VALUE: Final = 20_000  # octets of a field
TEXT: Final = 200_000  # octets of a part that are decoded

_FIELD: Final = re.compile(rb"([!-9;-~]{1,80})[ \t]{0,20}:[ \t]*+([^\n]*+)\n?")
_LINE: Final = re.compile(rb"[^\n]*+\n?")
_RULE: Final = re.compile(rb"^--[^\n]*+", re.MULTILINE)
_PARAMETER: Final = re.compile(r";\s*+([\w-]{1,40})(?:\*\d{0,2}\*?)?\s*+=\s*+(?:\"([^\"]*+)\"?|([^;\s]*+))")
_WORD: Final = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*+)\?=")
_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_BEGIN: Final = re.compile(rb"^begin [0-7]{3,4} [^\n]{1,200}\n", re.MULTILINE)

# names that decode to something else than text, or that take their time (punycode)
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})
_ALIASES: Final = {
    "unicode-1-1-utf-7": "utf-7",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
    "x-gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "us-ascii": "",
    "ascii": "",
    "ansi_x3.4-1968": "",
    "unknown-8bit": "",
}
_NARROW: Final = dict.fromkeys(range(128))
# what ends a line when a page is read as text
_BLOCKS: Final = frozenset(
    {
        "br", "p", "/p", "div", "/div", "tr", "/tr", "li", "/li", "h1", "/h1", "h2", "/h2", "h3", "/h3", "h4", "/h4",
        "ul", "/ul", "table", "/table", "hr", "pre", "/pre", "td", "blockquote",
    }
)  # fmt: skip
_HIDDEN: Final = frozenset({"style", "script", "title"})


@dataclass(frozen=True)
class Part:
    """One part: its fields, and its body as it stands there. `depth`: within how many messages it lies."""

    fields: tuple[tuple[str, bytes], ...]  # names in small letters, values unfolded
    body: bytes
    depth: int
    message: bool  # whether its fields are those of a message

    def all(self, name: str) -> list[str]:
        """The values of every such field, decoded (RFC 2047)."""
        return [unworded(value) for key, value in self.fields if key == name]

    def get(self, name: str) -> str:
        """The value of the first such field, or ""."""
        return next((unworded(value) for key, value in self.fields if key == name), "")

    @cached_property
    def type(self) -> str:
        """Type and subtype, in small letters."""
        named = self.get("content-type").partition(";")[0].strip().lower()
        return named if "/" in named else "text/plain"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Those of the content type."""
        return {
            found[1].lower(): found[2] if found[2] is not None else found[3]
            for found in islice(_PARAMETER.finditer(self.get("content-type")[:4000]), 20)
        }

    @property
    def named(self) -> str:
        """The file name, where it has one."""
        place = _PARAMETER.search(self.get("content-disposition")[:2000])
        return self.parameters.get("name", "") or ((place[2] or place[3] or "") if place else "")

    @cached_property
    def text(self) -> str:
        """The body as text, without transfer encoding, NUL and byte order mark; a page without its tags."""
        octets = _decoded(self.body[:TEXT], self.get("content-transfer-encoding").strip().lower())
        text = decoded(octets, self.parameters.get("charset", ""))
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if self.type == "text/html" or text[:200].lstrip().lower().startswith(("<html", "<!doctype html")):
            return plain(text)
        return text


def read(message: bytes) -> list[Part]:
    """The message and all its parts, in their order. Containers are among them, with what stands before their parts."""
    data = message[:OCTETS].replace(b"\0", b"")
    if b"\r" in data:
        data = data.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\n")
    if data.startswith((b"From ", b">From ")):  # an mbox's line
        data = data.partition(b"\n")[2]
    return list(islice(_Reading(data).parts(), PARTS))


class _Reading:
    """One pass over a message. Boundaries that may still come are kept with the depth of their parts."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._open: dict[bytes, int] = {}  # outermost first

    def parts(self) -> Iterator[Part]:
        """Each part once its end is known."""
        data = self._data
        part: Part | None
        part, at = self._begin(0, 0, message=True)
        while part is not None:
            if _inner(part) and part.depth < MESSAGES:  # it ends where what it holds ends
                yield part
                part, at = self._begin(at, part.depth + 1, message=True)
                continue
            end, following = self._end(at)
            yield Part(part.fields, data[at:end], part.depth, part.message)
            part, at = self._begin(*following, message=False) if following else (None, at)

    def _begin(self, at: int, depth: int, *, message: bool) -> tuple[Part, int]:
        fields, start = _fields(self._data, at)
        part = Part(fields, b"", depth, message)
        if part.type.startswith("multipart/"):
            boundary = part.parameters.get("boundary", "").strip().encode("latin-1", "replace")
            if not boundary and (found := _RULE.search(self._data, start)):
                boundary = found[0][2:].rstrip()
            if boundary and len(self._open) < DEPTH:
                self._open.setdefault(boundary, depth)
        return part, start

    def _end(self, at: int) -> tuple[int, tuple[int, int] | None]:
        """Where a body ends, and where the next part begins with its depth."""
        end = -1
        if not self._open:
            return len(self._data), None
        for found in islice(_RULE.finditer(self._data, at), RULES):
            line = found[0][2:].rstrip()
            closing = line not in self._open and line.endswith(b"--") and line[:-2] in self._open
            if not closing and line not in self._open:
                continue
            end = found.start() if end < 0 else end
            boundary = line[:-2] if closing else line
            depth = self._open[boundary]
            while next(reversed(self._open)) != boundary:  # what was opened within it is over
                self._open.popitem()
            if not closing:
                return end, (found.end() + 1, depth)
            del self._open[boundary]
            if not self._open:
                break
        return (end if end >= 0 else len(self._data)), None


def _inner(part: Part) -> bool:
    """Whether the body is itself a message, as it stands there."""
    if part.type not in ("message/rfc822", "message/global", "message/news", "message/x-rfc822"):
        return False
    return part.get("content-transfer-encoding").strip().lower() not in ("base64", "quoted-printable")


def fields(text: bytes) -> tuple[tuple[str, bytes], ...]:
    """The fields at the beginning of a text that is nothing but a message or its head."""
    return _fields(text.lstrip(b"\n"), 0)[0]


def _fields(data: bytes, at: int) -> tuple[tuple[tuple[str, bytes], ...], int]:
    """Fields up to a blank line, and where the body begins. A line that is no field is passed over before another."""
    found: list[tuple[str, bytes]] = []
    while at < len(data):
        if data[at] == 10:
            return tuple(found), at + 1
        if (field := _FIELD.match(data, at)) is not None:
            at = field.end()
            value = field[2]
            if at < len(data) and data[at] in b" \t":
                value, at = _unfolded(data, at, value)
            if len(found) < FIELDS:
                found.append((field[1].decode("ascii").lower(), value[:VALUE].strip()))
            continue
        line = _LINE.match(data, at)
        assert line is not None
        after = line.end()
        if not line[0].strip():  # nothing but spaces: blank for those who wrote it
            if not found or _FIELD.match(data, after) is None:
                return tuple(found), after
        elif _FIELD.match(data, after) is None and data[after : after + 1] not in (b" ", b"\t", b"\n"):
            return tuple(found), at
        at = after
    return tuple(found), len(data)


def _unfolded(data: bytes, at: int, value: bytes) -> tuple[bytes, int]:
    lines, size = [value], len(value)
    while at < len(data) and data[at] in b" \t":
        line = _LINE.match(data, at)
        assert line is not None
        if not line[0].strip():
            break
        if size < VALUE:
            lines.append(line[0].strip())
            size += len(line[0])
        at = line.end()
    return b" ".join(lines), at


def _decoded(octets: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return _unbased(octets)
    if encoding == "quoted-printable":
        return a2b_qp(octets)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _un_uu(octets)
    begun = _BEGIN.search(octets)  # a file in the text, as before MIME
    return octets[: begun.start()] + _un_uu(octets[begun.start() :]) if begun else octets


def _unbased(octets: bytes) -> bytes:
    digits = octets.translate(None, _BASE64)
    digits = digits[: len(digits) - 1] if len(digits) % 4 == 1 else digits
    try:
        return a2b_base64(digits + b"=" * (-len(digits) % 4))
    except Undecodable:
        return b""


def _un_uu(octets: bytes) -> bytes:
    pieces = []
    begun = _BEGIN.search(octets)
    for line in octets[begun.end() if begun else 0 :].split(b"\n"):
        if line.rstrip() in (b"end", b"`"):
            break
        try:
            pieces.append(a2b_uu(line))
        except Undecodable:
            continue
    return b"".join(pieces)


def decoded(octets: bytes, charset: str = "") -> str:
    """Octets as text. What is not in the charset that is named, or has none, is guessed; nothing is refused."""
    name = charset.strip().strip("\"'").lower()
    name = _ALIASES.get(name, name)
    if name and name not in ("utf-8", "utf8"):
        try:
            info = codecs.lookup(name[:40])
            if info.name not in _NO_CHARSETS:
                return octets.decode(info.name, "replace").removeprefix("\ufeff").replace("\0", "")
        except (LookupError, ValueError):
            pass
    if b"\x1b$" in octets:
        return octets.decode("iso2022_jp", "replace").replace("\0", "")
    try:
        return octets.decode("utf-8").removeprefix("\ufeff").replace("\0", "")
    except UnicodeDecodeError:
        # cut in the middle of a letter it is still UTF-8, with nothing but odd octets it never was
        text = octets.decode("utf-8", "replace")
        odd = text.count("\ufffd")
        wide = len(text.translate(_NARROW)) - odd
        return text if odd <= wide or name else octets.decode("cp1252", "replace")


def unworded(value: bytes) -> str:
    """A field's value without encoded words (RFC 2047); raw UTF-8 (RFC 6532) is taken as it is."""
    text = value.decode("ascii") if value.isascii() else decoded(value)
    if "=?" not in text:
        return text
    pieces: list[str] = []
    held, charset, at = b"", "", 0  # a letter may lie in two words of one charset
    for word in islice(_WORD.finditer(text), 1000):
        between = text[at : word.start()]
        if held and (between.strip() or word[1].lower() != charset):
            pieces.append(decoded(held, charset))
            held = b""
        if between.strip() or not at:
            pieces.append(between)
        charset = word[1].lower()
        octets = word[3].encode("ascii", "replace")
        held += _unbased(octets) if word[2] in "bB" else a2b_qp(octets, header=True)
        at = word.end()
    return "".join(pieces) + decoded(held, charset) + text[at:]


def plain(page: str) -> str:
    """The text of a page of HTML, with a line where a block begins or ends."""
    pieces: list[str] = []
    hidden = ""
    first, *rest = page.split("<")
    pieces.append(first)
    for piece in rest:
        tag, closed, text = piece.partition(">")
        name = tag[:20].split(None, 1)[0].rstrip("/").lower() if tag[:20].strip() else ""
        if hidden:
            hidden = "" if name == f"/{hidden}" else hidden
            text = text if not hidden else ""
        elif name in _HIDDEN:
            hidden, text = name, ""
        if name in _BLOCKS:
            pieces.append("\n")
        elif not closed and "@" in tag[:100]:  # an address in angle brackets that nobody escaped
            text = tag
        elif "@" in name:
            text = f"<{tag}>{text}"
        pieces.append(text)
    text = html.unescape("".join(pieces)).replace("\xa0", " ")
    return "\n".join(line.strip() for line in text.split("\n"))
