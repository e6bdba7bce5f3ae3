"""Which way text runs: marks that keep a plain line in order, isolation that keeps a run of HTML in order.

The bidirectional algorithm (UAX #9) orders a line by its first strong letter, and shows digits in
groups last to first behind Arabic letters: a phone number comes out backwards. HTML can say what
belongs together; plain text has only U+200E and U+200F, which are letters nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from broadcaster.language import Direction
from broadcaster.sentinel import ADDRESS, GIVEN, GIVEN_END, TAGS, Sentinels

if TYPE_CHECKING:
    from markdown_it.token import Token

_LRM, _RLM = "\u200e", "\u200f"
_MARKS: Final[dict[Direction, str]] = {"ltr": _LRM, "rtl": _RLM}
_OTHER: Final[dict[Direction, Direction]] = {"ltr": "rtl", "rtl": "ltr"}

# Digits in groups: phone numbers, ISO dates. Not the dash of a range: in Arabic 8–12 is read from the right.
_GROUPS: Final = r"(?<![\w+])(?:\+?\(?\d+\)?(?:[ \u00a0\u202f()-]{1,3}\d+){1,20}|\+\d+)(?!\w)"
_LEFTWARD: Final = "A-Za-z\u00aa\u00ba\u00c0-\u02b8\u0370-\u0588\u1e00-\u1fff"
_RIGHTWARD: Final = "\u05d0-\u05f4\u0620-\u065f\u066e-\u06dc\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_JOINTS: Final = r"[.'’&+/@:_#?=%~–-]{0,3}[ \u00a0]?"
# Some words of the other direction, with what is between them, and the number of a name (COVID-19); no comma ends them.
_RUNS: Final[dict[Direction, re.Pattern[str]]] = {
    "rtl": re.compile(
        rf"(?<![\w@])[@#]?\d{{0,9}}[{_LEFTWARD}][\d{_LEFTWARD}]*(?:{_JOINTS}[\d{_LEFTWARD}]+)*[+#]{{0,2}}|{_GROUPS}"
    ),
    "ltr": re.compile(rf"[{_RIGHTWARD}]+(?:{_JOINTS}[{_RIGHTWARD}]+)*"),
}
_PLAIN_GROUPS: Final = re.compile(_GROUPS)
# A phone number stays on one line; what is longer may not, or a phone would have to scroll.
_UNBROKEN: Final = 24
_BLOCKS: Final = ("paragraph_open", "heading_open")


def way(sign: str) -> Direction | None:
    """The direction of a strong letter, None of all else."""
    kind = unicodedata.bidirectional(sign)
    return "ltr" if kind == "L" else "rtl" if kind in ("R", "AL") else None


def lean(text: str, default: Direction) -> Direction:
    """The direction of most letters; the default where there are none, or as many of each."""
    letters = [found for sign in text if (found := way(sign)) is not None]
    right = sum(found == "rtl" for found in letters)
    return default if right * 2 == len(letters) else "rtl" if right * 2 > len(letters) else "ltr"


def ordered(line: str, default: Direction, sentinels: Sentinels) -> str:
    """A plain line that mail programs order rightly: they go by its first strong letter (UAX #9 P2, P3).

    It goes the way of most of its letters. A value may be a name in any script: it must not decide.
    """

    def bare(text: str) -> str:
        return sentinels.any.sub(lambda found: "" if sentinels.read(found[0])[0] in TAGS else "\0", text)

    wanted = lean(bare(line), default)
    if wanted == "rtl":
        line = _PLAIN_GROUPS.sub(lambda found: _LRM + found[0], line)
    values = bare(line)
    first = next((sign for sign in values if sign == "\0" or way(sign) is not None), None)
    settled = wanted == "ltr" if first is None else way(first) == wanted
    return line if settled or not values.strip(f"\0 {ADDRESS}{GIVEN}{GIVEN_END}") else _MARKS[wanted] + line


def isolate(tokens: Sequence[Token], document: Direction, sentinels: Sentinels) -> None:
    """Write into tokens what orders mixed text in HTML: `dir` for what runs the other way, `bdi` for values."""
    for number, token in enumerate(tokens):
        if token.type == "inline" and token.children:
            block = tokens[number - 1] if tokens[number - 1].type in _BLOCKS and not tokens[number - 1].hidden else None
            words = "".join(child.content for child in token.children if child.type in ("text", "code_inline"))
            inner = block is not None and _only(words, _OTHER[document], sentinels)
            if inner and block is not None:
                block.attrSet("dir", _OTHER[document])
            token.children = list(_parted(token.children, _OTHER[document] if inner else document, sentinels))
        elif token.type in ("fence", "code_block"):
            token.attrSet("dir", "ltr")


def _only(words: str, other: Direction, sentinels: Sentinels) -> bool:
    """Whether all letters are of the other direction: two or more words of it, since one may be a name at home here."""
    plain = sentinels.any.sub("", words)
    letters = {way(sign) for sign in plain} - {None}
    return letters == {other} and len(plain.split()) > 1


def _parted(inline: Sequence[Token], document: Direction, sentinels: Sentinels) -> Iterator[Token]:
    for number, token in enumerate(inline):
        if token.type == "link_open":
            words = "".join(child.content for child in inline[number + 1 : number + 2] if child.type == "text")
            runs: Direction = "ltr" if token.markup == "autolink" else lean(words, document)
            if runs != document:
                token.attrSet("dir", runs)
            yield token
        elif token.type == "code_inline":
            token.attrSet("dir", "ltr")
            yield token
        elif token.type == "text":
            yield from _isolated(token, document, sentinels)
        else:
            yield token


def _isolated(text: Token, document: Direction, sentinels: Sentinels) -> Iterator[Token]:
    """A text in parts: values in `bdi`, whose direction is their own; runs of the other direction in a `span`."""
    end = 0
    for found in sentinels.any.finditer(text.content):
        yield from _runs(text, text.content[end : found.start()], document)
        end = found.end()
        if sentinels.read(found[0])[0] in TAGS:
            yield text.copy(content=found[0])
        else:
            yield from _wrapped(text, found[0], "bdi", {})
    yield from _runs(text, text.content[end:], document)


def _runs(text: Token, words: str, document: Direction) -> Iterator[Token]:
    end = 0
    for found in _RUNS[document].finditer(words):
        yield text.copy(content=words[end : found.start()])
        attributes: dict[str, str | int | float] = {"dir": _OTHER[document]}
        if len(found[0]) <= _UNBROKEN and not any(sign.isalpha() for sign in found[0]):
            attributes["style"] = "white-space:nowrap"
        yield from _wrapped(text, found[0], "span", attributes)
        end = found.end()
    yield text.copy(content=words[end:])


def _wrapped(text: Token, words: str, tag: str, attributes: dict[str, str | int | float]) -> Iterator[Token]:
    yield text.copy(type=f"{tag}_open", tag=tag, nesting=1, content="", attrs=attributes)
    yield text.copy(content=words)
    yield text.copy(type=f"{tag}_close", tag=tag, nesting=-1, content="")
