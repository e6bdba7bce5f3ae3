"""Sentinels: words that stand for what is filled in later, while Markdown, layouts and the inliner do their work.

Raw Jinja would be mangled by all three: a table cell ends at `|`, quotes become entities, braces in a
link are percent-encoded. A sentinel is letters and digits, and survives anywhere (text, attribute, URL,
comment). A tag's sentinel stands between semicolons, which are punctuation to Markdown, so
that `{% if %}_emphasis_{% endif %}` still is one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from broadcaster.errors import StatementError


class Kind(StrEnum):
    """What a sentinel stands for."""

    VALUE = "x"  # {{ … }}
    CONSTANT = "c"  # a value that is known already, kept away from Markdown
    IF = "i"
    FOR = "f"
    MIDDLE = "m"  # elif, else
    END = "e"
    SET = "s"


# before a value in the text part that is a whole link: no character, so nobody types it (Unicode §23.7)
ADDRESS: Final = "\ufdd0"
# around what is said of such a link: behind the first comes the value, and if that is no link, nothing is said of it
GIVEN: Final = "\ufdd1"
GIVEN_END: Final = "\ufdd2"
_MOST = 99_999
TAGS = frozenset([Kind.IF, Kind.FOR, Kind.MIDDLE, Kind.END, Kind.SET])
_TAG_LETTERS = "".join(sorted(TAGS))


class Sentinels:
    """The sentinels of one lay-out. Their salt follows from the texts they stand in: the same in, the same out."""

    __slots__ = ("_salt", "any", "tag")

    def __init__(self, texts: Iterable[str]) -> None:
        whole = "\0".join(texts)
        salt = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        while salt in whole.lower():
            salt = hashlib.sha256(salt.encode()).hexdigest()[:10]
        self._salt = salt
        self.tag = re.compile(rf";Q{salt}(?P<kind>[{_TAG_LETTERS}])(?P<number>[0-9]{{5}})Z;")
        self.any = re.compile(rf";Q{salt}[{_TAG_LETTERS}][0-9]{{5}}Z;|Q{salt}[{Kind.VALUE}{Kind.CONSTANT}][0-9]{{5}}Z")

    def make(self, kind: Kind, number: int) -> str:
        if number > _MOST:
            raise StatementError(f"has more than {_MOST:,} values and tags", hint="shorten its loops")
        word = f"Q{self._salt}{kind}{number:05}Z"
        return f";{word};" if kind in TAGS else word

    def read(self, sentinel: str) -> tuple[Kind, int]:
        """What a match of `any` stands for."""
        word = sentinel.strip(";")
        return Kind(word[1 + len(self._salt)]), int(word[-6:-1])

    def wounded(self, text: str) -> bool:
        """Whether some filter has changed a sentinel, which would then stand in the mail as it is."""
        return text.lower().count(self._salt) != len(self.any.findall(text))
