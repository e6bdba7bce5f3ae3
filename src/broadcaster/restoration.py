"""Sentinels become Jinja again, each value with the filter that makes it safe where it stands.

Here it is decided whether a value is text, an attribute, a link or part of one; what has no safe
place (a style, a script, a tag itself) is an error with the line of the statement or layout that put it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from broadcaster import bulk, markup
from broadcaster.deferral import Deferral, Deferred
from broadcaster.errors import StatementError
from broadcaster.markup import Span, Where
from broadcaster.merge import Place
from broadcaster.sentinel import ADDRESS, GIVEN, GIVEN_END, TAGS, Kind, Sentinels

# a text that looks like Jinja's own signs, and is not
_BRACES = re.compile(r"\{[{%#]")
_MAILTO = re.compile(r"mailto:[^?]*", re.IGNORECASE)
_LINK_IN_TEXT = re.compile(r"""(?:^|[\s<>()\[\]"'«»“”،])((?:https?|mailto|tel):[^\s<>"]*)\Z""", re.IGNORECASE)
_NO_PLACE = {
    Where.RAW: "a style or script",
    Where.BARE: "an attribute without quotes",
    Where.TAG: "a tag itself",
}
# within a link the place escapes: the filter that makes a whole link would take away what is only a part
_WHOLE_LINK = re.compile(r"\s*\|\s*url\s*(?=\||\Z)")
_NO_ATTRIBUTE = re.compile(r"on.*|style|srcset|srcdoc")


class Restoration:
    """Puts back what a deferral put aside."""

    def __init__(self, sentinels: Sentinels, deferral: Deferral, file: str) -> None:
        self._sentinels = sentinels
        self._deferral = deferral
        self._file = file

    def line(self, text: str) -> str:
        """A text of the heading, which goes into a header field."""
        return self._restored(text, lambda _at: (Place.HEADER, 0))

    def file_name(self, text: str) -> str:
        """The name of a file for one person alone."""
        return self._restored(text, lambda _at: (Place.FILE, 0))

    def text(self, text: str) -> str:
        """The text part. A value further on in a link is escaped for it."""

        def place(at: int) -> tuple[Place, int]:
            before = self._before(text[max(at - 2_000, 0) : at])
            if before.endswith(ADDRESS):
                return Place.ADDRESS, 0
            link = _LINK_IN_TEXT.search(before)
            return (_further_on(link[1]) if link else Place.PLAIN), 0

        return self._restored(text, place).replace(ADDRESS, "")

    def html(self, text: str) -> str:
        """The HTML part, whose tags must begin and end in the same element."""
        stretches = _Stretches(text)

        def place(at: int) -> tuple[Place, int]:
            span = stretches.around(at)
            return self._place(text, at, span), span.inside if span.where is not Where.ATTRIBUTE else span.start

        return self._restored(text, place)

    def check(self, text: str) -> None:
        """Raise StatementError for what has no safe place in an HTML text as the author wrote it.

        The inliner puts quotes around every attribute and drops what it does not know: afterwards it is too late.
        """
        stretches = _Stretches(text)
        for found in self._sentinels.any.finditer(text):
            self._place(text, found.start(), stretches.around(found.start()))

    def _place(self, text: str, at: int, span: Span) -> Place:
        found = self._sentinels.any.match(text, at)
        word = _NO_PLACE.get(span.where)
        if span.where is Where.ATTRIBUTE and _NO_ATTRIBUTE.fullmatch(span.attribute):
            word = f"the attribute {span.attribute}="
        if word and found:
            deferred, source = self._deferral.read(found[0])
            hint = (
                "put the value in quotes"
                if span.where is Where.BARE
                else "use it in text, a quoted attribute or a link"
            )
            raise StatementError(
                f"reads the recipient in {word}: {source or deferred.word}", where=deferred.where, hint=hint
            )
        if span.where is not Where.ATTRIBUTE:
            return Place.TEXT
        if span.attribute not in markup.URL_ATTRIBUTES:
            return Place.ATTRIBUTE
        before = self._before(text[span.start : at]).strip()
        return _further_on(before) if before else Place.URL

    def _before(self, text: str) -> str:
        """What stands before a place when a copy comes to it: without tags, and without the branches beside its own."""
        before = ""
        opened: list[int] = []
        end = 0
        for found in self._sentinels.tag.finditer(text):
            before, end = before + text[end : found.start()], found.end()
            kind = Kind(found["kind"])
            if kind in (Kind.IF, Kind.FOR):
                opened.append(len(before))
            elif kind is Kind.MIDDLE and opened:
                before = before[: opened[-1]]
            elif kind is Kind.END and opened:
                opened.pop()
        return before + text[end:]

    def _restored(self, text: str, place: Callable[[int], tuple[Place, int]]) -> str:
        """A text with its sentinels as Jinja again: each may stand for a long one."""
        return bulk.joined(self._pieces(text, place), where=self._file)

    def _pieces(self, text: str, place: Callable[[int], tuple[Place, int]]) -> Iterator[str]:
        open_tags: list[tuple[Deferred, int]] = []
        end = 0
        for start, stop in _signs(text, self._sentinels):
            yield text[end:start]
            sign, end = text[start:stop], stop
            if _BRACES.fullmatch(sign):
                yield f"{{{{ '{sign}' }}}}"
                continue
            if sign[0] in (GIVEN, GIVEN_END):
                yield self._condition(sign[1:])
                continue
            deferred, source = self._deferral.read(sign)
            where, inside = place(start)
            if deferred.kind in TAGS:
                _nest(open_tags, deferred, inside)
                yield f"{{% {' '.join([deferred.word, source]).strip()} %}}"
            else:
                if where in (Place.URL_PART, Place.MAILBOX_PART):
                    source = _WHOLE_LINK.sub(" ", source).strip()
                yield f"{{{{ {_operand(deferred, source)} | {where} }}}}"
        if open_tags:
            deferred = open_tags[-1][0]
            raise StatementError(f"the {{% {deferred.word} %}} is never closed", where=deferred.where)
        yield text[end:]

    def _condition(self, sentinel: str) -> str:
        """What begins, and without a sentinel ends, what is said of a link only where the value is one."""
        if not sentinel:
            return "{% endif %}"
        return f"{{% if {_operand(*self._deferral.read(sentinel))} | {Place.ADDRESS} %}}"


def _operand(deferred: Deferred, source: str) -> str:
    """A value's source, behind which a filter can follow."""
    return source if deferred.simple else f"({source})"


def _signs(text: str, sentinels: Sentinels) -> Iterator[tuple[int, int]]:
    """The sentinels, and what must be kept from being read as Jinja, in order."""
    both = re.compile(f"{GIVEN}?(?:{sentinels.any.pattern})|{GIVEN_END}|{_BRACES.pattern}")
    return (found.span() for found in both.finditer(text))


def _further_on(link: str) -> Place:
    return Place.MAILBOX_PART if _MAILTO.fullmatch(link) else Place.URL_PART


def _nest(open_tags: list[tuple[Deferred, int]], deferred: Deferred, inside: int) -> None:
    """Follow one tag. A branch that is not taken must leave whole elements, whatever Markdown made of the lines."""
    if deferred.kind in (Kind.IF, Kind.FOR):
        open_tags.append((deferred, inside))
    elif deferred.kind in (Kind.MIDDLE, Kind.END):
        opening, there = open_tags[-1] if open_tags else (None, 0)
        if opening is not deferred.opening or there != inside:
            first = deferred.opening.where if deferred.opening else ""
            raise StatementError(
                f"the tag that begins at {first} ends inside another element than it began in",
                where=deferred.where,
                hint="put both tags on lines of their own, indented alike",
            )
        if deferred.kind is Kind.END:
            open_tags.pop()


class _Stretches:
    """The spans of an HTML text, asked for in ascending order."""

    def __init__(self, text: str) -> None:
        self._spans = sorted(markup.spans(text), key=lambda span: (span.start, span.end - span.start))
        self._next = 0

    def around(self, at: int) -> Span:
        """The narrowest span around a place: a value rather than its tag."""
        best: Span | None = None
        while self._next < len(self._spans) and self._spans[self._next].end <= at:
            self._next += 1
        for span in self._spans[self._next :]:
            if span.start > at:
                break
            if span.end > at and (best is None or span.end - span.start <= best.end - best.start):
                best = span
        return best or Span(Where.TEXT, at, at)
