"""Which encoding a file of text is in: UTF-8 and UTF-16 show in its bytes, anything else is a guess to be asked about.

Old spreadsheets write one byte a letter and do not say which alphabet was meant. Two readings of
"Müller" are both text, so we rank the readings by how much they look like words and let a person choose.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import BinaryIO

from broadcaster.errors import SheetError

CHUNK = 1 << 18
SAMPLE_BYTES = 32_768

# The likeliest first: a tie is decided by the order.
CANDIDATES = {
    "windows-1252": "Western Europe",
    "windows-1256": "Arabic, Persian, Urdu",
    "windows-1250": "Central Europe",
    "windows-1251": "Cyrillic",
    "windows-1254": "Turkish",
    "windows-1253": "Greek",
    "windows-1255": "Hebrew",
    "macintosh": "Western Europe, old Mac",
    "cp850": "Western Europe, DOS",
    "cp720": "Arabic, DOS",
    "cp866": "Cyrillic, DOS",
    "koi8-r": "Cyrillic, Unix",
    "iso-8859-6": "Arabic, Unix",
    "gb18030": "Chinese",
    "big5": "Chinese, traditional",
    "shift_jis": "Japanese",
    "euc-kr": "Korean",
}

# What a file that is no text begins with, and what to do about it.
_NOT_TEXT = (
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook, or one with a password", "open it and save it as XLSX"),
    (b"Rar!", "is an archive of a kind that is not read here", "unpack it first"),
    (b"7z\xbc\xaf", "is an archive of a kind that is not read here", "unpack it first"),
    (b"PK", "is an archive, not a file of people", "unpack it first"),
    (b"\x1f\x8b", "is compressed twice", "unpack it first"),
    (b"%PDF", "is a PDF, not a CSV file", "export the list as CSV"),
    (b"SQLite format 3\x00", "is a database, not a CSV file", "export the list as CSV"),
)

# Codecs that are no alphabets, or that a text can use to become something else.
_NO_ALPHABET = frozenset(
    ["idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7", "mbcs", "oem"]
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the file: an encoding, where it is used, and some of the words it makes."""

    encoding: str
    where: str
    words: str


@dataclass(frozen=True, slots=True)
class Text:
    """What one reading of all the bytes found: the encoding, or else the three likeliest; the SHA-256 of the bytes."""

    encoding: str | None
    readings: tuple[Reading, ...]
    digest: str


def examine(stream: BinaryIO, encoding: str | None = None, seen: Callable[[int], None] = lambda _: None) -> Text:
    """Read a stream to its end and tell its encoding; `encoding` is what a person says it is.

    `seen` is told the number of bytes as they pass. Raises SheetError for what is empty, not text, or not in the
    named encoding; single bytes that a UTF-8 or one-byte encoding lacks are left to the rows they stand in.
    """
    head = stream.read(CHUNK)
    _text_at_all(head)
    found = _named(encoding) if encoding else _told(head)
    if found in ("utf-16", "utf-32") and _told(head) != found:
        # named by a person, without a byte order mark: Windows writes the low byte first
        found += "-le"
    wide = found is not None and found.startswith(("utf-16", "utf-32"))
    # a person who names UTF-8 gets its broken rows reported one by one; nobody named it: then it may be something else
    strict = found if wide else None if encoding else "utf-8"
    decoder = codecs.getincrementaldecoder(strict)() if strict else None
    digest, sample, total, valid = hashlib.sha256(), bytearray(), 0, True
    chunk = head
    while chunk:
        digest.update(chunk)
        total += len(chunk)
        seen(total)
        if not chunk.isascii() and len(sample) < SAMPLE_BYTES:
            sample += b"\n".join(_FOREIGN.findall(chunk))[:SAMPLE_BYTES]
        ahead = stream.read(CHUNK)
        if decoder is not None and valid:
            try:
                decoder.decode(chunk, final=not ahead)
            except UnicodeDecodeError as error:
                if wide:
                    raise SheetError(f"is damaged: not {found} at byte {total - len(chunk) + error.start}") from None
                valid = False
        chunk = ahead
    if found is not None or valid:
        return Text(found or "utf-8", (), digest.hexdigest())
    return Text(None, readings(bytes(sample)), digest.hexdigest())


def readings(sample: bytes, number: int = 3) -> tuple[Reading, ...]:
    """The likeliest readings of bytes that are not UTF-8; different ones first, where there are."""
    scored = []
    for place, (encoding, where) in enumerate(CANDIDATES.items()):
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            # a truncated last character of a two-byte encoding is no evidence against it; much damage is
            text = sample.decode(encoding, "replace")
        scored.append((-_likeness(text), place, Reading(encoding, where, _words(text))))
    scored.sort(key=lambda each: each[:2])
    ranked = [reading for _, _, reading in scored]
    first = {reading.words: reading for reading in reversed(ranked)}
    distinct = [reading for reading in ranked if first[reading.words] is reading]
    return tuple([*distinct, *(each for each in ranked if each not in distinct)][:number])


# A word or two around each byte beyond ASCII: enough to recognise a name
_FOREIGN = re.compile(rb"[^\r\n,;\t|\"<>]{0,40}[\x80-\xff][^\r\n,;\t|\"<>]{0,40}")

# Signs beyond letters that people do write
_TYPOGRAPHY = frozenset("\u00a0«»“”„‘’‚–—…·•°€£©®؟،؛ـ¡¿")


def _likeness(text: str) -> float:
    """How much a text looks like words: its foreign letters stand in words of one script, in a sane case."""
    score, signs = 0.0, 0
    for word in re.findall(r"\w*[^\W\x00-\x7f]\w*", text):
        letters = [sign for sign in word if sign.isalpha()]
        foreign = [sign for sign in letters if not sign.isascii()]
        signs += len(foreign)
        scripts = Counter(_script(sign) for sign in letters)
        score += len(foreign) if len(scripts) == 1 else -2 * len(foreign)
        if any(a.islower() and b.isupper() for a, b in pairwise(word)):
            score -= len(foreign)
        if "LATIN" in scripts and len(foreign) * 2 > len(letters):
            score -= 1.5 * len(foreign)
        if "CJK" in scripts:
            # nearly any two bytes are some Chinese character: those everybody uses come first in the block
            score -= 0.7 * len(foreign)
    for sign in text:
        if not sign.isascii() and not sign.isalpha() and not unicodedata.category(sign).startswith("M"):
            signs += 1
            score += 0.3 if sign in _TYPOGRAPHY else -2
    return score / max(1, signs)


@lru_cache(maxsize=4096)
def _script(sign: str) -> str:
    return unicodedata.name(sign, "?").partition(" ")[0]


def _words(text: str) -> str:
    """Three short examples, on one line."""
    found = dict.fromkeys(" ".join(line.split())[:40] for line in text.split("\n"))
    return ", ".join([each for each in found if not each.isascii()][:3])


def _text_at_all(head: bytes) -> None:
    if not head:
        raise SheetError("is empty")
    for start, what, hint in _NOT_TEXT:
        if head.startswith(start):
            raise SheetError(what, hint=hint)
    if head.count(0) * 10 > len(head) and _told(head) is None:
        raise SheetError("is not text", hint="export the list as CSV")


def _told(head: bytes) -> str | None:
    """The encoding that the first bytes tell: a byte order mark, or the zeros of UTF-16 between Latin letters."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return encoding if encoding != "utf-8" else None
    part = head[: len(head) // 2 * 2]
    even, odd = part[::2].count(0), part[1::2].count(0)
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros * 5 > len(part) and others * 50 < len(part):
            return encoding
    return None


def _named(encoding: str) -> str:
    """A person's name for an encoding as Python calls it. Raises SheetError."""
    try:
        found = codecs.lookup(encoding.strip())
    except (LookupError, ValueError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", False) or found.name.replace("_", "-") in _NO_ALPHABET:
        near = ", ".join([*CANDIDATES][:3])
        raise SheetError(f"{encoding!r} is no encoding", hint=f"--encoding takes utf-8, utf-16, {near} …")
    # who says Latin-1 has a file of Windows': the signs between 0x80 and 0x9F are quotes and dashes, not controls
    return "cp1252" if found.name == "iso8859-1" else found.name
