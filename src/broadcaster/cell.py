"""One cell of a file of people → a tidy value, or the address among whatever surrounds it.

What people paste carries marks nobody sees: no-break spaces, direction marks, half a line break. Two values
that look alike become equal here, so that a second import of the same people finds nothing changed.
"""

from __future__ import annotations

import re
import unicodedata

from broadcaster.address import Address
from broadcaster.errors import AddressError, SheetError

CELL_LIMIT = 32_767  # characters: a spreadsheet's own limit
LINE_LIMIT = 1_000  # of a name, a title or a reason: more is no name, and a header would hold it

_BREAKS = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")

# Controls but tab and line feed; marks that reorder what follows (one left open turns a whole line about), and
# those that are invisible and mean nothing. Joiners stay: Persian words and emoji are made with them.
_DROPPED = dict.fromkeys(
    [
        *(each for each in range(0xA0) if (each < 0x20 or each >= 0x7F) and each not in (9, 10)),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        *(0x200B, 0x2060, 0xFEFF, 0xFFF9, 0xFFFA, 0xFFFB),
        *(0xFFFE, 0xFFFF),  # no letters, and no XML holds them
    ]
)

# Stripped from both ends: all white space, direction marks and stray joiners
_EDGES = "".join(chr(each) for each in range(0x3001) if chr(each).isspace()) + "\u200c\u200d\u200e\u200f\u061c"

# Everything invisible that may have crept into an address
_UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_BRACKETED = re.compile(r"(?P<before>[^<>]*)<\s*(?P<address>[^<>]*?)\s*>(?P<after>[^<>]*)", re.DOTALL)
_COMMENTED = re.compile(r"(?P<address>[^()\s]+)\s*\((?P<name>[^()]*)\)")
# Outlook's way
_NAMED = re.compile(r"(?P<name>[^()]*)\((?P<address>[^()\s]+)\)")
_QUOTES = "\"'`«»“”„‘’"


def tidy(cell: str) -> str:
    """A value without invisible marks, with plain line feeds, in NFC. Raises SheetError for what no cell may hold."""
    if cell.isprintable() and len(cell) <= CELL_LIMIT:
        return cell.strip() if cell.isascii() else unicodedata.normalize("NFC", cell.strip())
    if len(cell) > CELL_LIMIT:
        raise SheetError(f"{len(cell):,} characters in one cell, {CELL_LIMIT:,} are allowed")
    if "\0" in cell:
        raise SheetError("a NUL character")
    if any("\ud800" <= sign <= "\udfff" for sign in cell):
        raise SheetError("bytes that are not text in this encoding")
    text = _BREAKS.sub("\n", cell).translate(_DROPPED)
    return unicodedata.normalize("NFC", text).strip(_EDGES)


def tidy_line(cell: str) -> str:
    """The same on one line, words one space apart: for names, which stand in headers."""
    text = tidy(cell)
    if len(text) > LINE_LIMIT:
        raise SheetError(f"{len(text):,} characters on one line, {LINE_LIMIT:,} are allowed")
    return text if text.isprintable() and "  " not in text else " ".join(text.split())


def mailbox(cell: str) -> tuple[Address, str]:
    """The address in a cell, and the name written beside it, if any: `mailto:`, `Name <address>`, `address (Name)` …

    Raises AddressError with the reason, SheetError for what no cell may hold.
    """
    text = tidy(_UNSEEN.sub("", cell)).replace("\uff20", "@")
    name = ""
    if (found := _BRACKETED.fullmatch(text)) is not None:
        text, name = found["address"], found["before"]
    elif (found := _COMMENTED.fullmatch(text) or _NAMED.fullmatch(text)) is not None:
        text, name = found["address"], found["name"]
    text = text.strip(_QUOTES + " \t\n,;")
    if text[:7].lower() == "mailto:":
        from urllib.parse import unquote

        text = unquote(text[7:].partition("?")[0])
    name = tidy_line(name.strip(_QUOTES + " \t\n"))
    # "a@b.org <a@b.org>" names nobody
    return Address.parse(text), "" if "@" in name else name


def is_address(cell: str) -> bool:
    """Whether a cell holds an address, and nothing that is not about it."""
    if "@" not in cell:
        return False
    try:
        mailbox(cell)
    except (AddressError, SheetError):
        return False
    return True


def plain(cell: str) -> str:
    """A cell of the heading; one that may not be read is as good as empty."""
    try:
        return tidy_line(cell)
    except SheetError:
        return ""
