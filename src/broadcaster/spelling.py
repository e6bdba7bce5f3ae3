"""Spellings of one text: `plain` is without case, for what must be the same; `fold` also without accents, for finding.

Whoever types a name types it in their own way, and means what is written in another.
"""

from __future__ import annotations

import json
import unicodedata


def plain(text: str) -> str:
    """Text without case: "BASRA" is basra, and "é" is one sign however it was put together. Accents count."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def fold(text: str) -> str:
    """Text without case and accents, for finding: "Jose" finds José, "احمد" finds أحمد."""
    if text.isascii():
        return text.lower()
    # first apart, then folded: mathematical and enclosed capitals have no lower case of their own
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return flat.translate(_MARKS)


class _Marks(dict[int, int | None]):
    """For str.translate: drops every mark that sits on a letter, and every invisible one; learns as it goes."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code)) in ("Mn", "Cf") else code
        return self[code]


_MARKS = _Marks()


def any_value(fields: str, needle: str) -> bool:
    """Whether any value of a JSON object holds the folded text; its names do not count."""
    # most rows have it nowhere; in JSON a quote, a backslash and a line break look otherwise
    if needle.isprintable() and not {'"', "\\"} & set(needle) and needle not in fold(fields):
        return False
    return any(needle in fold(value) for value in json.loads(fields).values())
