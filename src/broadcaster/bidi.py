"""Which way text runs: marks that keep a plain line in order, isolation that keeps a run of HTML in order.

The bidirectional algorithm (UAX #9) orders a line by its first strong letter, and shows digits in
groups last to first behind Arabic letters: a phone number comes out backwards. HTML can say what
belongs together; plain text has only U+200E and U+200F, which are letters nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from broadcaster.language import Direction
from broadcaster.sentinel import ADDRESS, GIVEN, GIVEN_END, TAGS, Sentinels

if TYPE_CHECKING:
    from markdown_it.token import Token

_LRM, _RLM = "\u200e", "\u200f"
_MARKS: Final[dict[Direction, str]] = {"ltr": _LRM, "rtl": _RLM}
_OTHER: Final[dict[Direction, Direction]] = {"ltr": "rtl", "rtl": "ltr"}

_LEFTWARD: Final = "A-Za-z\u00aa\u00ba\u00c0-\u02b8\u0370-\u0588\u1e00-\u1fff"
# Digits that a reader takes in from the left: phone numbers, ISO dates, sums, what has a sign. Not the dash of a range:
# in Arabic 8–12 is read from the right.
_SUM: Final = r"\d+(?:[.,٫٬]\d+)*+"
_MONEY: Final = rf"[$€£]\u00a0?{_SUM}"
# a bracket only with the one that closes it: half a pair would be mirrored and its other half not
_PHONE: Final = (
    r"(?:\+?\(\+?\d+\)|\+?\d+)(?:[ \u00a0\u202f-]{0,3}\(\d+\)[ \u00a0\u202f-]{0,3}\d+|[ \u00a0\u202f-]{1,3}\d+){1,20}"
)
# none begins within a sum: looking at what is left of a long one from each of its commas would take minutes
_GROUPS: Final = (
    rf"(?<![{_LEFTWARD}\d+$€£\u200e])(?<!\d[.,٫٬])(?:{_MONEY}|{_SUM}[ \u00a0]?°[CF]?"
    rf"|(?:[-−±][$€£]?{_SUM}[%٪]?|{_SUM}[$€£]|{_PHONE}|\+\d+)(?![{_LEFTWARD}\d]))"
)
_RIGHTWARD: Final = "\u05d0-\u05f4\u0620-\u065f\u066e-\u06dc\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
# what the patterns see of a value, whose direction nobody knows; of code; of what no run goes past
_VALUE, _CODE, _WALL = "\ufffa", "x", "\ufffc"


def _further(letters: str, commas: str) -> str:
    """The words that follow one in `letters` and belong to it. A comma of the page's own script parts them."""
    word = rf"[\d{letters}]++"
    before = rf"[.{commas}:!'’\"”»&+/@_#=%~–-]{{0,3}}[ \n\u00a0]?"
    joint = rf"{before}(?:[\"“«'+@#$€£]|[–—&/-][ \n\u00a0]?|{_VALUE}[ {commas}.:]{{1,2}})?"
    return rf"(?:{joint}(?:{word}|\({word}(?:{joint}{word})*+\)))*+"


# Some words of the other direction, with what is between them, and the number of a name (COVID-19) or before one
# ($3.5 million, 50°C).
_RUNS: Final[dict[Direction, re.Pattern[str]]] = {
    "rtl": re.compile(
        rf"(?<![{_LEFTWARD}\d@])(?<!\d[.,:/])(?:{_MONEY}[ \u00a0]?|[@#]?\d{{0,9}}°?)[{_LEFTWARD}][\d{_LEFTWARD}]*+"
        rf"{_further(_LEFTWARD, ',;?')}[+#]{{0,2}}|{_GROUPS}"
    ),
    "ltr": re.compile(rf"[{_RIGHTWARD}]++{_further(_RIGHTWARD, '،؛؟')}"),
}
# the groups of a plain line, and what a mark would become part of: addresses, and codes like WATER-2026-06
_CODED: Final = rf"[\d{_LEFTWARD}{_VALUE}]"
_PLAIN_GROUPS: Final = re.compile(
    rf"(?P<whole>(?:https?://|www\.)\S++|(?<![^\s@])[^\s@]++@\S++"
    rf"|(?<!{_CODED})[{_LEFTWARD}{_VALUE}]{_CODED}*+(?:[-/.:_#+=]{_CODED}++)++)|{_GROUPS}"
)
# the letters of an address say nothing of the text it stands in
_ADDRESSES: Final = re.compile(r"(?:https?://|www\.)[^\s\0]+|(?<![^\s@\0])[^\s@\0]++@[\w-]+\.[\w.-]+")
# A phone number stays on one line; what is longer may not, or a phone would have to scroll.
_UNBROKEN: Final = 24
_BLOCKS: Final = ("paragraph_open", "heading_open")
_CELLS: Final = ("th_open", "td_open")


def way(sign: str) -> Direction | None:
    """The direction of a strong letter, None of all else."""
    kind = unicodedata.bidirectional(sign)
    return "ltr" if kind == "L" else "rtl" if kind in ("R", "AL") else None


def lean(text: str, default: Direction) -> Direction:
    """The direction of most letters; the default where there are none, or as many of each."""
    letters = _letters(text)
    right = letters.count("rtl")
    return default if right * 2 == len(letters) else "rtl" if right * 2 > len(letters) else "ltr"


def _letters(text: str) -> list[Direction]:
    """The direction of each letter, those of addresses left out where there are others."""
    text = text.replace(_LRM, "").replace(_RLM, "")
    found = [[each for sign in some if (each := way(sign)) is not None] for some in (_ADDRESSES.sub("", text), text)]
    return found[0] or found[1]


def ordered(line: str, default: Direction, sentinels: Sentinels) -> str:
    """A plain line that mail programs order rightly: they go by its first strong letter (UAX #9 P2, P3).

    It goes the way of its page, unless it is foreign. A value may be a name in any script: it must not decide.
    Ordering twice changes nothing.
    """

    def bare(text: str) -> str:
        return sentinels.any.sub(lambda found: "" if sentinels.read(found[0])[0] in TAGS else "\0", text)

    wanted = _OTHER[default] if _foreign(bare(line), _OTHER[default]) else default
    if wanted == "rtl":
        line = _marked(line, sentinels)
    values = bare(line)
    first = next((sign for sign in values if sign == "\0" or way(sign) is not None), None)
    settled = wanted == "ltr" if first is None else way(first) == wanted
    return line if settled or not values.strip(f"\0 {ADDRESS}{GIVEN}{GIVEN_END}") else _MARKS[wanted] + line


def _marked(line: str, sentinels: Sentinels) -> str:
    """A mark before each group of digits. What is copied whole has none: it would lead nowhere, or be another code."""
    seen = sentinels.any.sub(lambda found: _VALUE * len(found[0]), line)
    places = [found.start() for found in _PLAIN_GROUPS.finditer(seen) if found["whole"] is None]
    return _LRM.join(line[start:end] for start, end in pairwise([0, *places, len(line)]))


def isolate(tokens: Sequence[Token], document: Direction, sentinels: Sentinels) -> None:
    """Write into tokens what orders mixed text in HTML: `dir` for what runs the other way, `bdi` for values."""
    for number, token in enumerate(tokens):
        if token.type == "inline" and token.children:
            block = tokens[number - 1] if tokens[number - 1].type in _BLOCKS and not tokens[number - 1].hidden else None
            words = "".join(child.content for child in token.children if child.type in ("text", "code_inline"))
            plain = sentinels.any.sub("", words)
            # a name alone may as well be at home here
            inner = block is not None and len(plain.split()) > 1 and _foreign(plain, _OTHER[document])
            if inner and block is not None:
                block.attrSet("dir", _OTHER[document])
            token.children = _parted(token.children, _OTHER[document] if inner else document, sentinels)
        elif token.type in ("fence", "code_block"):
            token.attrSet("dir", "ltr")
        elif token.type in _CELLS and document == "rtl" and token.attrs.get("style") == "text-align:left":
            # whoever translates a table copies its :---, which is where a line begins
            token.attrSet("style", "text-align:right")


def _foreign(words: str, other: Direction) -> bool:
    """Whether a text is of the other direction: all of it, or a sentence but for a name."""
    letters = _letters(words)
    share = letters.count(other) / len(letters) if letters else 0
    return share == 1 or (share > 0.8 and letters[0] == other and len(words.split()) >= 5)


@dataclass(slots=True)
class _Piece:
    """A token, and what the patterns see of it: nothing of what only marks up."""

    token: Token
    seen: str = ""
    barred: bool = False  # no element goes around it

    @property
    def nesting(self) -> int:
        return self.token.nesting


def _parted(inline: Sequence[Token], document: Direction, sentinels: Sentinels) -> list[Token]:
    """Running text, with each run of the other direction in an element of its own, and values in `bdi`."""
    pieces = _pieces(inline, document, sentinels)
    whole = "".join(piece.seen for piece in pieces)
    runs = [found.span() for found in _RUNS[document].finditer(whole)]
    pieces = _cut(pieces, {place for run in runs for place in run})
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    at = 0
    for number, piece in enumerate(pieces):
        if piece.seen:
            starts[at] = number
            at += len(piece.seen)
            ends[at] = number + 1
    for start, end in reversed(runs):
        first, last = _balanced(pieces, starts[start], ends[end])
        if first < last and not _said(pieces, first, last):
            pieces[first:last] = _wrapped(pieces[first:last], "span", _attributes(whole[start:end], document))
    return [piece.token for piece in pieces]


def _pieces(inline: Sequence[Token], document: Direction, sentinels: Sentinels) -> list[_Piece]:
    pieces: list[_Piece] = []
    for number, token in enumerate(inline):
        match token.type:
            case "text":
                pieces += _valued(token, sentinels)
            case "softbreak":
                pieces.append(_Piece(token, "\n"))
            case "code_inline":
                token.attrSet("dir", "ltr")
                pieces.append(_Piece(token, _CODE if document == "rtl" else _WALL))
            case "link_open":
                words = "".join(child.content for child in inline[number + 1 : number + 2] if child.type == "text")
                runs: Direction = "ltr" if token.markup == "autolink" else lean(words, document)
                if runs != document:
                    token.attrSet("dir", runs)
                pieces.append(_Piece(token))
            case "html_inline":
                pieces.append(_Piece(token, barred=True))
            case _:
                pieces.append(_Piece(token, "" if token.nesting else _WALL))
    return pieces


def _valued(text: Token, sentinels: Sentinels) -> Iterator[_Piece]:
    """A text in parts: values in `bdi`, whose direction is their own; tags, around which nothing else goes."""
    end = 0
    for found in sentinels.any.finditer(text.content):
        yield from _plain(text, text.content[end : found.start()])
        end = found.end()
        word = text.copy(content=found[0])
        if sentinels.read(found[0])[0] in TAGS:
            yield _Piece(word, barred=True)
        else:
            yield from _wrapped([_Piece(word, _VALUE)], "bdi", {})
    yield from _plain(text, text.content[end:])


def _plain(text: Token, words: str) -> Iterator[_Piece]:
    if words:
        yield _Piece(text.copy(content=words), words)


def _cut(pieces: Sequence[_Piece], places: Set[int]) -> list[_Piece]:
    """The pieces, with texts cut where a run begins or ends."""
    parts: list[_Piece] = []
    at = 0
    for piece in pieces:
        cuts = [0, *(place for place in range(1, len(piece.seen)) if at + place in places), len(piece.seen)]
        at += len(piece.seen)
        if len(cuts) == 2:
            parts.append(piece)
        else:
            parts += [part for a, b in pairwise(cuts) for part in _plain(piece.token, piece.seen[a:b])]
    return parts


def _balanced(pieces: Sequence[_Piece], first: int, last: int) -> tuple[int, int]:
    """The run, with the marks right around it that it opens or closes; empty where an element cannot go around it.

    The algorithm itself then keeps a run together that begins or ends within a stretch of bold.
    """
    deep = low = 0
    for piece in pieces[first:last]:
        deep += piece.nesting
        low = min(low, deep)
    while low < 0 and first and pieces[first - 1].nesting > 0:
        first, low, deep = first - 1, low + 1, deep + 1
    while deep > 0 and last < len(pieces) and pieces[last].nesting < 0:
        last, deep = last + 1, deep - 1
    inside = pieces[first:last]
    words = [piece for piece in inside if piece.seen.strip() and piece.token.type == "text"]
    return (first, last) if words and low == deep == 0 and not any(piece.barred for piece in inside) else (0, 0)


def _said(pieces: Sequence[_Piece], first: int, last: int) -> bool:
    """Whether the run is all of a link that says its direction itself."""
    around = [piece.token for piece in pieces[max(first - 1, 0) : last + 1]]
    return around[-1].type == "link_close" and "dir" in around[0].attrs


def _attributes(words: str, document: Direction) -> dict[str, str | int | float]:
    unbroken = len(words) <= _UNBROKEN and not any(sign.isalpha() for sign in words)
    return {"dir": _OTHER[document], **({"style": "white-space:nowrap"} if unbroken else {})}


def _wrapped(inside: Sequence[_Piece], tag: str, attributes: dict[str, str | int | float]) -> list[_Piece]:
    from markdown_it.token import Token

    opening = Token(f"{tag}_open", tag, 1, attrs=attributes)
    return [_Piece(opening), *inside, _Piece(Token(f"{tag}_close", tag, -1))]
