"""The words of the layouts in one language: a .po file, as gettext and its editors write it.

Of its heading only the plural forms count: dates, charset and names are for other programs, and what they say
there must cost nobody a mailing. What is no .po file is an error with its line.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NoReturn

from broadcaster import language as tags
from broadcaster.errors import StatementError
from broadcaster.statement import refuse_untyped

_LINE: Final = re.compile(
    r'(?:(?P<key>msgctxt|msgid|msgid_plural|msgstr)(?:\[(?P<form>\d)\])?[ \t]*)?"(?P<text>(?:[^"\\]|\\.)*+)"'
)
_ESCAPED: Final = re.compile(r"\\(.)")
_ESCAPES: Final[Mapping[str, str]] = {"n": "\n", "t": "\t", "r": ""}
_PLURALS: Final = re.compile(r"^Plural-Forms:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
_FORMS: Final = re.compile(r"nplurals\s*=\s*([1-9])\s*;\s*plural\s*=([^;]+);?\s*")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is said for each text, and for each number of things. What is not there is None."""

    words: Mapping[str, str] = field(default_factory=dict)
    counted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plural: Callable[[int], int] = lambda number: int(number != 1)

    def said(self, text: str) -> str | None:
        return self.words.get(text)

    def said_of(self, number: int, one: str) -> str | None:
        """The form for a number, of a text that is known by its singular."""
        forms = self.counted.get(one, ())
        place = self.plural(number) if forms else 0
        return forms[place] if 0 <= place < len(forms) else None


@lru_cache(maxsize=16)
def read(text: str, file: str, language: str) -> Catalogue:
    """The words of a .po file. Raises StatementError with the line for what is none."""
    return _Reader(text, file, language).read()


@dataclass(slots=True)
class _Entry:
    """One text and its translations, as far as they are read."""

    line: int
    fuzzy: bool
    texts: dict[str, str] = field(default_factory=dict)  # by key: msgid, msgstr0 …


class _Reader:
    def __init__(self, text: str, file: str, language: str) -> None:
        self._text = text
        self._file = file
        self._language = language
        self._words: dict[str, str] = {}
        self._counted: dict[str, tuple[str, ...]] = {}
        self._heading = ""

    def read(self) -> Catalogue:
        refuse_untyped(self._text, self._file)
        for entry in self._entries():
            self._keep(entry)
        plural, most = self._plurals()
        for one, forms in self._counted.items():
            if len(forms) > most:
                message = f"“{one}” has {len(forms)} forms, and Plural-Forms says {most}"
                self._fail(message, self._line_of("Plural-Forms"))
        return Catalogue(self._words, self._counted, plural)

    def _entries(self) -> Iterator[_Entry]:
        entry: _Entry | None = None
        key = ""
        fuzzy = False
        for number, line in enumerate(map(str.strip, self._text.split("\n")), start=1):
            if not line or line.startswith("#"):
                # a translation that a program guessed, and nobody has looked at
                fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
                continue
            found = _LINE.fullmatch(line)
            if found is None or not (key or found["key"]):
                self._fail('is no line of a .po file: write msgid "…" or msgstr "…"', number)
            if found["key"]:
                if entry is None or (found["key"] in ("msgctxt", "msgid") and key != "msgctxt"):
                    if entry is not None:
                        yield entry
                    entry, fuzzy = _Entry(number, fuzzy), False
                key = f"msgstr{found['form'] or 0}" if found["key"] == "msgstr" else found["key"]
                if key in entry.texts:
                    self._fail(f"a second {found['key']} for one text", number)
                entry.texts[key] = ""
            if entry is not None:
                entry.texts[key] += _unescaped(found["text"])
        if entry is not None:
            yield entry

    def _keep(self, entry: _Entry) -> None:
        texts = entry.texts
        forms = [texts[key] for key in sorted(texts) if key.startswith("msgstr")]
        if "msgid" not in texts or not all(f"msgstr{place}" in texts for place in range(len(forms) or 1)):
            self._fail(f"a text without {'its msgstr' if 'msgid' in texts else 'msgid'}", entry.line)
        name = texts["msgid"]
        if not name:
            self._heading = self._heading or forms[0]
        elif "msgctxt" in texts or entry.fuzzy or not all(forms):
            # of another meaning, or not translated yet
            return
        elif "msgid_plural" in texts:
            self._counted[name] = tuple(forms)
        else:
            self._words[name] = forms[0]

    def _plurals(self) -> tuple[Callable[[int], int], int]:
        """Which form a number has, and how many there are: as the heading says, else those of the language."""
        told = _PLURALS.search(self._heading)
        if told is None:
            from babel.messages.plurals import get_plural

            number, rule = get_plural(tags.locale(self._language))[:2]
            return gettext.c2py(rule), number
        found = _FORMS.fullmatch(told[1])
        try:
            if found is None:
                raise ValueError
            return gettext.c2py(found[2].strip()), int(found[1])
        except ValueError:
            self._fail(
                f"Plural-Forms: {told[1][:60]!r} is no rule of gettext's: write nplurals=2; plural=(n != 1);",
                self._line_of("Plural-Forms"),
            )

    def _line_of(self, word: str) -> int:
        return next((n for n, line in enumerate(self._text.split("\n"), start=1) if word in line), 1)

    def _fail(self, message: str, line: int) -> NoReturn:
        raise StatementError(message, where=f"{self._file}:{line}", hint="an editor for .po files, like Poedit, helps")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)
