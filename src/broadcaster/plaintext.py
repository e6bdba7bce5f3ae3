"""The text part: a statement's tokens → plain text that reads as if it had been written so.

Made from the Markdown itself, since text scraped off HTML is soup. A paragraph is one line: columns
are the reader's own (a phone has 40), and cutting by columns is wrong in Arabic or Chinese.
Addresses of links stand right below the block that names them and not at the end, where a link of
a branch that is not taken would be listed too.
"""

from __future__ import annotations

import html
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from broadcaster import bidi
from broadcaster import language as tags
from broadcaster.sentinel import ADDRESS, GIVEN, GIVEN_END, Sentinels

if TYPE_CHECKING:
    from markdown_it.token import Token

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNDERLINES = {"h1": "=", "h2": "-"}
_LONGEST_UNDERLINE = 60

_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|tr|h[1-6])\s*>", re.IGNORECASE)
_CELL_END = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<(script|style|head|title)\b.*?</\1\s*>|<!--.*?-->|<[a-zA-Z/!?][^>]*>", re.IGNORECASE | re.DOTALL
)
# HTML that a reader of text would miss: where it leads, what it shows
_ANCHOR = re.compile(r"""<a\s(?:[^<>]*?\s)?href\s*=\s*(["'])((?!#)[^<>]*?)\1[^<>]*>""", re.IGNORECASE | re.DOTALL)
_ANCHOR_END = re.compile(r"</a\s*>", re.IGNORECASE)
_WHOLE_ANCHOR = re.compile(_ANCHOR.pattern + r"(?P<words>(?:(?!<a\s).)*?)</a\s*>", re.IGNORECASE | re.DOTALL)
_IMAGE = re.compile(r"""<img\s(?:[^<>]*?\s)?alt\s*=\s*(["'])([^<>]*?)\1[^<>]*>""", re.IGNORECASE | re.DOTALL)


class _Piece(NamedTuple):
    """A line; or a tag, which stands bare, so that a branch that is not taken leaves no empty line."""

    text: str
    tag: bool = False


_BLANK = _Piece("")


def to_text(tokens: Iterable[Token], *, language: str, sentinels: Sentinels) -> str:
    """Plain text of tokens, each block with a blank line behind it. Its tags are those of the tokens, in order."""
    return to_texts([tokens], language=language, sentinels=sentinels)[0]


def to_texts(parts: Iterable[Iterable[Token]], *, language: str, sentinels: Sentinels) -> list[str]:
    """The same of several parts of one text, whose links are numbered throughout."""
    writer = _Writer(language, sentinels)
    texts = [writer.blocks(iter(tokens), tight=False) for tokens in parts]
    return ["".join(piece.text if piece.tag else piece.text.rstrip() + "\n" for piece in text) for text in texts]


class _Writer:
    """Walks the tokens once. `_links` are the addresses named in the block at hand."""

    def __init__(self, language: str, sentinels: Sentinels) -> None:
        self._language = language
        self._way = tags.direction(language)
        # French writes a space before it, at which no line breaks
        self._colon = "\u00a0:" if language.split("-")[0] == "fr" else ":"
        self._sentinels = sentinels
        self._links: list[str] = []
        self._numbered = 0

    def blocks(self, tokens: Iterator[Token], *, tight: bool) -> list[_Piece]:
        """The blocks up to the end of the one they are in. In a tight item there are no blank lines."""
        pieces: list[_Piece] = []
        for token in tokens:
            if token.nesting < 0:
                break
            if token.type == "tag":
                pieces.append(_Piece(token.content, tag=True))
            elif block := self._block(token, tokens):
                lines = [piece for piece in block if not piece.tag]
                pieces += block if tight or token.hidden or lines[-1:] == [_BLANK] else [*block, _BLANK]
        return pieces

    def _block(self, token: Token, rest: Iterator[Token]) -> list[_Piece]:
        match token.type:
            case "paragraph_open":
                return self._noted(self._lines(self._paragraph(_inside(rest))))
            case "heading_open":
                return self._noted(self._heading(token.tag, _inside(rest)))
            case "bullet_list_open" | "ordered_list_open":
                return self._list(token, _upto_close(rest))
            case "blockquote_open":
                return _prefixed(_trimmed(self.blocks(rest, tight=False)), "> ", "> ")
            case "table_open":
                return self._table(_upto_close(rest))
            case "footnote_open":
                mark = _footnote_mark(token)
                return _prefixed(_trimmed(self.blocks(rest, tight=False)), f"{mark} ", "  ")
            case "fence" | "code_block":
                return [_Piece(f"    {line}") for line in token.content.rstrip("\n").split("\n")]
            case "html_block":
                return self._lines(self._bare(token.content))
            case "hr":
                return [_Piece(self._ordered("* * *"))]
            case _ if token.nesting > 0:
                return _trimmed(self.blocks(rest, tight=False))
            case _:
                return self._lines(token.content)

    def _lines(self, text: str) -> list[_Piece]:
        """Lines of running text; one that holds nothing but tags is a tag."""
        pieces: list[_Piece] = []
        for line in text.split("\n"):
            if line := re.sub(r"[ \t]+", " ", line).strip():
                bare = not self._sentinels.tag.sub("", line).strip()
                pieces.append(_Piece(line.replace(" ", ""), tag=True) if bare else _Piece(self._ordered(line)))
        return pieces

    def _paragraph(self, inline: Sequence[Token]) -> str:
        """A paragraph that is one link, a button in HTML, has the address on a line of its own."""
        link = _lone_link(inline)
        if link is None:
            return self._inline(inline)
        words, href = self._inline(inline, plain=True), _shown(str(link.attrs.get("href", "")))
        if not words or words == href or not href:
            return self._given("", href) or words
        return words + self._given("\n" if words[-1] in ":.!?؟…" else f"{self._colon}\n", href)

    def _heading(self, level: str, inline: Sequence[Token]) -> list[_Piece]:
        lines = self._lines(self._inline(inline))
        if level not in _UNDERLINES or not any(not piece.tag for piece in lines):
            return lines
        texts = [self._sentinels.any.sub("a name", piece.text) for piece in lines]
        underline = _UNDERLINES[level] * max(3, min(max(map(_width, texts)), _LONGEST_UNDERLINE))
        return [*lines, _Piece(bidi.ordered(underline, bidi.lean(texts[0], self._way), self._sentinels))]

    def _list(self, opening: Token, inner: Sequence[Token]) -> list[_Piece]:
        tight = any(token.hidden and token.level == opening.level + 2 for token in inner)
        # with a tag among the items nobody knows the numbers before the recipient is known
        bullets = opening.type == "bullet_list_open" or any(token.type == "tag" for token in inner)
        number = int(opening.attrs.get("start", 1))
        pieces: list[_Piece] = []
        rest = iter(inner)
        for token in rest:
            if token.type == "tag":
                pieces.append(_Piece(token.content, tag=True))
                continue
            bullet = "- " if bullets else f"{self._digits(number)}. "
            number += 1
            item = _trimmed(self.blocks(rest, tight=tight))
            pieces += _prefixed(item, bullet, " " * len(bullet)) or [_Piece(bullet)]
            pieces += [] if tight else [_BLANK]
        return _trimmed(pieces)

    def _table(self, inner: Sequence[Token]) -> list[_Piece]:
        """A row is an item, its further cells named by their heading: columns align in no proportional font."""
        heads: list[str] = []
        cells: list[str] = []
        pieces: list[_Piece] = []
        rest = iter(inner)
        for token in rest:
            match token.type:
                case "tag":
                    pieces.append(_Piece(token.content, tag=True))
                case "tr_open":
                    cells = []
                case "th_open" | "td_open":
                    cells.append(" ".join(self._inline(_inside(rest)).split("\n")).strip())
                case "tr_close" if not heads:
                    heads = cells
                case "tr_close":
                    pieces += self._row(heads, cells)
        return pieces or [_Piece(self._ordered(" | ".join(filter(None, heads))))]

    def _row(self, heads: Sequence[str], cells: Sequence[str]) -> list[_Piece]:
        filled = [(head, cell) for head, cell in zip(heads, cells, strict=False) if cell]
        lines = [
            f"{head}{self._colon} {cell}" if head and number else cell for number, (head, cell) in enumerate(filled)
        ]
        joined = [" — ".join(lines)] if len(heads) == 2 and lines else lines
        return _prefixed(self._noted([_Piece(self._ordered(line)) for line in joined]), "- ", "  ")

    def _inline(self, inline: Sequence[Token], *, plain: bool = False) -> str:
        """Running text, lines at hard breaks only. `plain`: words alone, no address of any link."""
        branching = any(self._sentinels.tag.search(token.content) for token in inline if token.type == "text")
        text = ""
        links: list[tuple[str, int]] = []
        anchors: list[tuple[str, int]] = []
        for token in inline:
            match token.type:
                case "softbreak":
                    text += "\n"
                case "hardbreak":
                    text += "\v"
                case "image":
                    text += f"[{alt}]" if (alt := self._inline(token.children or [], plain=True)) else ""
                case "link_open":
                    links.append((str(token.attrs.get("href", "")), len(text)))
                case "link_close":
                    href, start = links.pop()
                    text = text[:start] + (text[start:] if plain else self._link(text[start:], href, branching))
                case "footnote_ref":
                    text += _footnote_mark(token)
                case "html_inline" if found := _ANCHOR.match(token.content):
                    anchors.append((html.unescape(found[2]), len(text)))
                case "html_inline" if anchors and _ANCHOR_END.match(token.content):
                    href, start = anchors.pop()
                    text = text[:start] + (text[start:] if plain else self._link(text[start:], href, branching))
                case "html_inline":
                    text += "\v" if _BREAK.match(token.content) else _bare(token.content)
                case _:
                    text += token.content
        return _unwrapped(text).strip()

    def _link(self, words: str, href: str, branching: bool) -> str:
        """Words and a number, the address going below.

        Beside a tag it stays in the text, where its branch is; so does one that a field gives, or does not.
        """
        shown = _shown(href)
        if not shown or shown.startswith("#"):
            return words
        if words.strip() in ("", href, shown):
            return self._given("", shown)
        if branching or self._sentinels.any.match(shown):
            return words + self._given(" <", shown, ">")
        self._links.append(shown)
        self._numbered += 1
        return f"{words} [{self._digits(self._numbered)}]"

    def _given(self, before: str, shown: str, after: str = "") -> str:
        """An address with what is written around it, all of which goes where a field or branch gives none."""
        if self._is_tag(shown):
            ends = [0, *(at for found in self._sentinels.tag.finditer(shown) for at in found.span()), len(shown)]
            parts = [shown[start:end] for start, end in itertools.pairwise(ends)]
            return "".join(
                part if not part or self._is_tag(part) else self._given(before, part, after) for part in parts
            )
        value = self._sentinels.any.match(shown)
        if value is None:
            return f"{before}{shown}{after}"
        if not before:
            return ADDRESS + shown
        return f"{GIVEN}{value[0]}{before}{ADDRESS}{shown}{after}{GIVEN_END}"

    def _is_tag(self, text: str) -> bool:
        return self._sentinels.tag.match(text) is not None

    def _bare(self, source: str) -> str:
        """What is left of HTML for a reader: its text, where its links lead, what its images show."""

        def link(found: re.Match[str]) -> str:
            return f"{found['words']}{self._given(' &lt;', found[2], '&gt;')}"

        return _bare(_WHOLE_ANCHOR.sub(link, source))

    def _noted(self, pieces: list[_Piece]) -> list[_Piece]:
        """The block, and below it the addresses it names."""
        first = self._numbered - len(self._links) + 1
        notes = [_Piece(f"[{self._digits(number)}] {href}") for number, href in enumerate(self._links, start=first)]
        self._links.clear()
        return pieces + notes

    def _digits(self, number: int) -> str:
        return tags.digits(str(number), self._language)

    def _ordered(self, line: str) -> str:
        return bidi.ordered(line, self._way, self._sentinels)


def _inside(rest: Iterator[Token]) -> list[Token]:
    """The running text of the block that has just been opened; its end is consumed."""
    inline: list[Token] = []
    for token in rest:
        if token.nesting < 0:
            break
        inline += token.children or []
    return inline


def _upto_close(rest: Iterator[Token]) -> list[Token]:
    """The tokens of the block that has just been opened, without its end."""
    inner: list[Token] = []
    depth = 1
    for token in rest:
        depth += token.nesting
        if depth == 0:
            break
        inner.append(token)
    return inner


def _lone_link(inline: Sequence[Token]) -> Token | None:
    """The link that is all there is, if one is; bold or not."""
    solid = [token for token in inline if token.nesting == 0 or token.type.startswith("link")]
    solid = [token for token in solid if token.type != "text" or token.content.strip()]
    links = [token for token in solid if token.type == "link_open"]
    whole = bool(solid) and solid[0].type == "link_open" and solid[-1].type == "link_close"
    return links[0] if whole and len(links) == 1 else None


def _shown(href: str) -> str:
    """An address as a reader can use it: mail programs make links of bare mail addresses and numbers themselves."""
    scheme, colon, rest = href.partition(":")
    return rest if colon and scheme in ("mailto", "tel") and "?" not in rest else href


def _footnote_mark(token: Token) -> str:
    """¹ rather than [1], which numbers the links."""
    return str(int(token.meta["id"]) + 1).translate(_SUPERSCRIPT)


def _prefixed(pieces: Sequence[_Piece], first: str, rest: str) -> list[_Piece]:
    """Every line with a prefix, tags as they are."""
    result: list[_Piece] = []
    prefix = first
    for piece in pieces:
        result.append(piece if piece.tag else _Piece(prefix + piece.text))
        prefix = prefix if piece.tag else rest
    return result


def _trimmed(pieces: list[_Piece]) -> list[_Piece]:
    while pieces and pieces[-1] == _BLANK:
        pieces.pop()
    return pieces


def _bare(source: str) -> str:
    """HTML without its tags, and with what its images show."""
    source = _IMAGE.sub(lambda found: f"[{found[2]}]" if found[2] else "", source)
    return html.unescape(_UNSEEN.sub("", _CELL_END.sub(" ", _BREAK.sub("\n", source))))


def _unwrapped(text: str) -> str:
    """One line where the author's ended softly: joined by a space, but not in scripts that write none."""

    def joint(found: re.Match[str]) -> str:
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        wide = all(sign and unicodedata.east_asian_width(sign) in "WF" for sign in (before, after))
        return "" if wide and not _is_hangul(before) else " "

    return re.sub(r"[ \t]*\n[ \t]*", joint, text).replace("\v", "\n")


def _is_hangul(sign: str) -> bool:
    """Korean is as wide as Chinese, and has spaces."""
    return "\uac00" <= sign <= "\ud7a3"


def _width(text: str) -> int:
    """Columns, more or less: marks take none, wide signs two."""
    return sum(
        0
        if unicodedata.category(sign) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )
