"""HTML as a browser reads it: which stretch is text, an attribute's value, a comment, a style or a script.

Escaping depends on the place, and a parser that builds a tree has forgotten the places. This one keeps
every offset, repairs nothing, and takes time in proportion to the text.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
# where a browser looks for an address, in today's HTML and in that of old mail programs
URL_ATTRIBUTES = frozenset(
    "action archive background cite classid codebase data dynsrc formaction href icon longdesc lowsrc manifest ping"  # noqa: SIM905
    " poster profile src usemap xlink:href xml:base".split()
)
# what is between their tags is no markup (WHATWG HTML §13.1.2); in the second group entities still count
_RAW = frozenset(["script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext"])
_RAW_TEXT = frozenset(["title", "textarea"])

_OPEN = re.compile(r"<([a-zA-Z][^\s/>]*)")
_CLOSE = re.compile(r"</([a-zA-Z][^\s/>]*)[^>]*>")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+(?P<name>[^\s/>=]++)(?:\s*+=\s*+(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s>"']++)))?"""
)
# A tag as a browser reads it: to the > that is in no quotes. Quotes with markup in them were opened by a slip.
_MARKED = r"(?![^{0}<]*<[/a-zA-Z][^{0}>]*>)"
_WHOLE_TAG = re.compile(
    rf"""<[a-zA-Z](?:=\s*+(?:"{_MARKED.format('"')}[^"]*+"|'{_MARKED.format("'")}[^']*+'|(?!["']))|[^>=])*+>"""
)
_COMMENT_END = re.compile(r"--!?>")
# Outlook reads what is between conditional comments as markup, so we do too
_CONDITION = re.compile(r"<!--\[if[^\]]*\]>(?:<!-->)?|<!\[endif\](?:--)?>|<!--<!\[endif\]-->", re.IGNORECASE)
_COMMENT = re.compile(r"<!--(?P<inside>.*?)(?:--!?>|\Z)", re.DOTALL)
_OTHER = re.compile(r"<[!?/][^>]*+>?")


class Where(Enum):
    """What a stretch of HTML is."""

    TEXT = auto()
    ATTRIBUTE = auto()  # a value in quotes
    BARE = auto()  # a value without
    TAG = auto()  # the rest of a tag
    COMMENT = auto()
    RAW = auto()  # a style or a script


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch. `element` is the tag it belongs to, `inside` the number of the innermost element open around it."""

    where: Where
    start: int
    end: int
    element: str = ""
    attribute: str = ""
    inside: int = 0


def spans(text: str) -> Iterator[Span]:
    """Every stretch of an HTML text, in order, without gaps that could hold text."""
    opened: list[tuple[str, int]] = []  # elements that are open, and their numbers
    conditional = False
    at = 0
    while at < len(text):
        inside = opened[-1][1] if opened else 0
        start = text.find("<", at)
        if start != at:
            end = len(text) if start < 0 else start
            yield Span(Where.TEXT, at, end, opened[-1][0] if opened else "", inside=inside)
            at = end
        elif found := _OPEN.match(text, at):
            name = found[1].lower()
            end, attributes = _attributes(text, found.end(), name, inside)
            yield from attributes
            yield Span(Where.TAG, at, end, name, inside=inside)
            alone = name in VOID or (":" in name and text.endswith("/>", at, end))
            if name in _RAW or name in _RAW_TEXT:
                close = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, end)
                stop = close.start() if close else len(text)
                yield Span(Where.RAW if name in _RAW else Where.TEXT, end, stop, name, inside=at)
                end = stop
                opened.append((name, at))
            elif not alone and not conditional:
                opened.append((name, at))
            at = end
        elif found := _CLOSE.match(text, at):
            names = [name for name, _ in opened]
            if not conditional and (name := found[1].lower()) in names:
                del opened[len(names) - 1 - names[::-1].index(name) :]
            yield Span(Where.TAG, at, found.end(), f"/{found[1].lower()}", inside=inside)
            at = found.end()
        elif found := _CONDITION.match(text, at):
            conditional = "endif" not in found[0].lower() and not found[0].endswith("<!-->")
            at = found.end()
        elif found := _COMMENT.match(text, at):
            yield Span(Where.COMMENT, *found.span("inside"), inside=inside)
            at = found.end()
        elif found := _OTHER.match(text, at):
            yield Span(Where.COMMENT, at, found.end(), inside=inside)
            at = found.end()
        else:
            yield Span(Where.TEXT, at, at + 1, inside=inside)
            at += 1


def _attributes(text: str, at: int, element: str, inside: int) -> tuple[int, list[Span]]:
    """The end of a tag, and the values in it."""
    values: list[Span] = []
    while found := _ATTRIBUTE.match(text, at):
        for group, where in (("double", Where.ATTRIBUTE), ("single", Where.ATTRIBUTE), ("bare", Where.BARE)):
            if found[group] is not None:
                values.append(Span(where, *found.span(group), element, found["name"].lower(), inside))
        at = found.end()
    end = text.find(">", at)
    return (len(text) if end < 0 else end + 1), values


def left_open(text: str) -> str:
    """From where on a text would hide what comes after it: a comment, a tag or a script without its end; else ""."""
    at = 0
    while (at := text.find("<", at)) >= 0:
        begin = at
        if text.startswith("<!--", at):
            end = _COMMENT_END.search(text, at + 2)
        elif found := _OPEN.match(text, at):
            end, name = _WHOLE_TAG.match(text, at), found[1].lower()
            if end and (name in _RAW or name in _RAW_TEXT or name == "template"):
                end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(text, end.end())
        else:
            at += 1
            continue
        if end is None:
            return text[begin:]
        at = end.end()
    return ""


def strays(text: str) -> Iterator[str]:
    """End tags of what was not opened in a text: in a page they would end what is around it."""
    opened: Counter[str] = Counter()
    for span in spans(text):
        if span.where is not Where.TAG:
            continue
        name = span.element
        if not name.startswith("/"):
            opened[name] += 1
        elif opened[name[1:]]:
            opened[name[1:]] -= 1
        elif name not in ("/p", "/br"):  # a browser makes an element of these
            yield text[span.start : span.end]


def named_characters(text: str) -> str:
    """`&hellip;` and the like as characters; those with a meaning in markup stay as they are."""

    def character(found: re.Match[str]) -> str:
        plain = html.unescape(found[0])
        return found[0] if plain in "<>&\"'" or plain == found[0] else plain

    return re.sub(r"&[a-zA-Z][a-zA-Z0-9]*;", character, text)


def content(text: str) -> tuple[str, Counter[str]]:
    """What must survive inlining: all text without its spaces, and how often each tag occurs."""
    words: list[str] = []
    tags: Counter[str] = Counter()
    for span in spans(text):
        if span.where is Where.TEXT:
            words.append(html.unescape(text[span.start : span.end]))
        elif span.where is Where.TAG and not span.element.startswith("/"):
            tags[span.element] += 1
    return "".join("".join(words).split()), tags
