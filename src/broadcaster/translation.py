"""Whether the parts of a statement say the same, each in its own language and script.

Nobody who sends in five languages reads all five, so what can be counted is compared: headings, links,
images, fields, conditions, the letters themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from broadcaster import bidi
from broadcaster import language as tags
from broadcaster.page import emptied
from broadcaster.rules import Finding, found
from broadcaster.statement import JINJA, Part, Statement

_IMAGE: Final = r"!\[[^\[\]\n]*+\]\("
_COUNTED: Final[Mapping[str, str]] = {
    "heading": r"^ {0,3}#{1,6}\s",
    # not the lines of a list, a table or a quotation, which one language may set apart and another not
    "paragraph": r"(?:\A|^[ \t]*\n) {0,3}(?!(?:[-*+]|\d{1,9}[.)])\s|[>|#<]|(?:[-*_] *){3}|~~~|```|!\[|\[\^|\{%)\S",
    "link": rf"(?<!!)\[(?:[^\[\]\n]|{_IMAGE}[^)\n]*\))*+\]\([^)\s]+|<(?:https?|mailto|tel):[^>\s]+>|<a\s",
    "image": rf"{_IMAGE}[^)\s]+|<img\s",
    "condition": r"\{%-?\s*(?:if|for)\b",
}
_FIELD: Final = re.compile(r"subscriber\s*(?:\.\s*([^\W\d]\w*)|\[\s*['\"]([^'\"]+)['\"]\s*\])")
_CODE: Final = re.compile(r"`[^`\n]*`")
_FENCED: Final = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)
_TARGET: Final = re.compile(r"\]\((?:[^()\n]|\([^()\n]*+\))*+\)|<[^<>\n]*+>|https?://\S+")
# U+202A–E and U+2066–9 turn what follows (UAX #9); the marks U+200E and U+200F turn nothing
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PAIRS: Final = {")": "(", "]": "[", "»": "«"}
# what closes nothing: 1) and أ) before an item, and :) whichever way it looks
_LIST_MARK: Final = re.compile(r"(?:^|\s)\w{1,3}[)\]](?=\s)", re.MULTILINE)
_SMILEY: Final = re.compile(r"[:;=8]['’^-]?[()\[\]]|[()\[\]]['’^-]?[:;=8]")
# a file that is saved with another one is as old as that
_MEANWHILE: Final = 60
# fewer letters may be a name; fewer still than these an address or a quotation
_FEW: Final = 20
_LONG: Final = 60


def prove(statement: Statement, default: str, changed: Mapping[str, float]) -> Iterator[Finding]:
    """What is wrong with parts beside the default one. `changed`: language → when its file was (epoch seconds)."""
    for part in statement.parts.values():
        yield from _signs(part)
        yield from _script(part)
    first = statement.parts.get(default)
    for part in statement.parts.values() if first is not None else ():
        if part is not first and first is not None:
            yield from _compared(part, first)
            yield from _older(part, first, changed)


def _compared(part: Part, first: Part) -> Iterator[Finding]:
    if part.language.split("-")[0] != first.language.split("-")[0]:
        if part.body.strip() and part.body == first.body:
            yield found("untranslated", f"the text is that of {first.file}, word for word", part.file, part.first_line)
            return
        if copied := _copied(part, first):
            message = f"{len(copied)} paragraphs are those" if len(copied) > 1 else "a paragraph is that"
            yield found("untranslated", f"{message} of {first.file}, word for word", part.file, copied[0])
        if part.subject == first.subject and any(map(str.isalpha, emptied(part.subject, ""))):
            message = f"the subject is that of {first.file}"
            yield found("untranslated", message, part.file, part.lines.get("subject"))
    fewer = []
    for thing, pattern in _COUNTED.items():
        here, there = (len(re.findall(pattern, each.body, re.MULTILINE)) for each in (part, first))
        if here < there:
            fewer.append(f"{here} of {there} {thing}s")
    if fewer:
        message = f"has fewer than {first.file}: {', '.join(fewer)}"
        yield found("stale-translation", message, part.file)
    lacking = _fields(first) - _fields(part)
    if lacking:
        message = f"does not read {', '.join(sorted(lacking))}, as {first.file} does"
        yield found("stale-translation", message, part.file)
    lost = [name for name in first.attachments if name not in part.attachments]
    if lost and len(part.attachments) < len(first.attachments):
        message = f"has fewer attachments than {first.file}: it lacks {', '.join(lost)}"
        yield found("stale-translation", message, part.file, part.lines.get("attachments"))


def _copied(part: Part, first: Part) -> list[int]:
    """The lines of paragraphs that are the same in two languages, and too long for a name or an address."""
    theirs = {" ".join(text.split()) for _, text in _paragraphs(first)}
    return [
        line
        for line, text in _paragraphs(part)
        if " ".join(text.split()) in theirs and sum(map(str.isalpha, text)) >= _LONG
    ]


def _fields(part: Part) -> frozenset[str]:
    return frozenset(one or other for one, other in _FIELD.findall(part.subject + part.body))


def _older(part: Part, first: Part, changed: Mapping[str, float]) -> Iterator[Finding]:
    here, there = changed.get(part.language), changed.get(first.language)
    if here is not None and there is not None and there - here > _MEANWHILE:
        yield found("stale-translation", f"{first.file} has changed since: is this still what it says?", part.file)


def _script(part: Part) -> Iterator[Finding]:
    """Arabic in Latin letters is a file that was copied and never translated."""
    words = _TARGET.sub(" ", _CODE.sub(" ", emptied(part.body, " ")))
    if sum(map(str.isalpha, words)) < _FEW:
        return
    own = tags.direction(part.language)
    if bidi.lean(words, own) != own:
        kind = "from right to left" if own == "rtl" else "from left to right"
        message = f"{tags.name(part.language)} runs {kind}, and most letters here run the other way"
        yield found("untranslated", message, part.file, part.first_line)


def _signs(part: Part) -> Iterator[Finding]:
    """Brackets the wrong way round, and invisible signs that turn the text."""
    lines = list(enumerate(part.body.split("\n"), start=part.first_line))
    lines += [
        (part.lines.get(key, 1), value) for key, value in (("subject", part.subject), ("preheader", part.preheader))
    ]
    for number, line in lines:
        if turning := _TURNING.search(line):
            message = f"an invisible sign (U+{ord(turning[0]):04X}) turns the direction of the text"
            yield found("direction-mark", message, part.file, number)
    if tags.direction(part.language) == "rtl":
        for number, text in _paragraphs(part):
            if place := reversed_brackets(text):
                start, end = place
                shown = " ".join(text[start:end].split())[:40]
                message = f"the brackets of “{shown}” are the wrong way round"
                yield found("brackets", message, part.file, number + text.count("\n", 0, start))


def _paragraphs(part: Part) -> Iterator[tuple[int, str]]:
    """The texts of a part with their lines: code, Jinja and where links lead are blank, and as long as they were."""

    def blank(of: re.Match[str]) -> str:
        return (of[0][0] if of[0][0] == "]" else "x") + re.sub(r"[^\n]", " ", of[0][1:])

    def plain(text: str) -> str:
        return _TARGET.sub(blank, _CODE.sub(blank, JINJA.sub(blank, text)))

    lines: list[str] = []
    for number, line in enumerate([*plain(_FENCED.sub(blank, part.body)).split("\n"), ""], part.first_line):
        if line.strip():
            lines.append(line)
        elif lines:
            yield number - len(lines), "\n".join(lines)
            lines = []
    for key in ("subject", "preheader"):
        yield part.lines.get(key, 1), plain(getattr(part, key))


def reversed_brackets(text: str) -> tuple[int, int] | None:
    """Where a bracket that closes nothing comes before one that nothing closes, with words between them."""
    for pattern in (_LIST_MARK, _SMILEY):
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    for close, opening in _PAIRS.items():
        opened: list[int] = []
        closing = -1
        for at, sign in enumerate(text):
            if sign == opening:
                opened.append(at)
            elif sign == close and opened:
                opened.pop()
            elif sign == close and closing < 0:
                closing = at
        after = next((at for at in opened if at > closing >= 0), -1)
        if after > 0 and any(map(str.isalnum, text[closing:after])):
            return closing, after + 1
    return None


def around(
    part: Part, default: str, remarks: Sequence[str], worded: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    """Words around the text that are in another language. `worded`: what it is → its words by language."""
    for remark in remarks:
        yield found("catalogue", remark, part.file)
    if tags.locale(part.language).language == "en" and not part.language.startswith("en"):
        message = (
            f"nobody has written down how {tags.name(part.language)} writes dates and numbers: they are as in English"
        )
        yield found("catalogue", message, part.file)
    for what, by_language in worded.items():
        # one text for all, or a table: only who has begun to translate it is told
        if len(by_language) > 1 and "" not in by_language:
            chosen = tags.choose(part.language, by_language, default)
            if chosen.split("-")[0] != part.language.split("-")[0]:
                yield found("catalogue", f"{what} has no {tags.name(part.language)} wording", part.file)
