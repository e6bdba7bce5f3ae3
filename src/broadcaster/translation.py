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
from broadcaster.statement import Part, Statement

_COUNTED: Final[Mapping[str, str]] = {
    "heading": r"^ {0,3}#{1,6}\s",
    "link": r"(?<!!)\[[^\]\n]*\]\([^)\s]+|<(?:https?|mailto|tel):[^>\s]+>|<a\s",
    "image": r"!\[[^\]\n]*\]\([^)\s]+|<img\s",
    "condition": r"\{%-?\s*(?:if|for)\b",
}
_FIELD: Final = re.compile(r"subscriber\s*(?:\.\s*([^\W\d]\w*)|\[\s*['\"]([^'\"]+)['\"]\s*\])")
_CODE: Final = re.compile(r"`[^`\n]*`")
_TARGET: Final = re.compile(r"\]\([^)]*\)|<[^>\n]*>|https?://\S+")
# U+202A–E and U+2066–9 turn what follows (UAX #9); the marks U+200E and U+200F turn nothing
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
# ) before its ( on a line, with something between: not 1) and not :)
_REVERSED: Final = re.compile(r"(?<![\w:;=-])[)\]»](?=\w)[^()\[\]«»]*?\w\s*[(\[«](?!\w)")
# a file that is saved with another one is as old as that
_MEANWHILE: Final = 60
# fewer letters may be a name
_FEW: Final = 20


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
    right = tags.direction(part.language) == "rtl"
    for number, line in lines:
        if turning := _TURNING.search(line):
            message = f"an invisible sign (U+{ord(turning[0]):04X}) turns the direction of the text"
            yield found("direction-mark", message, part.file, number)
        plain = _TARGET.sub("", _CODE.sub("", emptied(line, "x")))
        if right and (wrong := _REVERSED.search(plain)):
            shown = " ".join(wrong[0].split())[:40]
            yield found("brackets", f"the brackets of “{shown}” are the wrong way round", part.file, number)


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
