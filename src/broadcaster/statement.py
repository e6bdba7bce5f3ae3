"""The author's files: one Markdown file per language, each with a heading of keys (front matter).

The heading is read line by line rather than as YAML: a subject with a colon, a quote or a leading
`*` is what authors write, and every error can then name its line. Jinja in the values is left
as it stands; template.py reads it.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from broadcaster import language as tags
from broadcaster.errors import LanguageError, StatementError

_FENCE = re.compile(r"---[ \t]*")
_KEY = re.compile(r"(?P<key>[^\W\d][\w-]*)[ \t]*:(?P<value>.*)", re.DOTALL)
# the keys of a heading that have a meaning of their own
HEADING = ("subject", "preheader", "date", "attachments", "layout")
# what no line of a heading may hold: controls, and the separators that some readers take for line ends (RFC 5322 §2.2)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
# controls, and what is no character (Unicode §23.7): the latter are marks of our own
_UNTYPED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufdd0-\ufdef\ufffe\uffff]")
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_QUOTED = r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'"""
# A value, a tag, a comment of Jinja: what ends one, ends none within quotes. One without an end is no Jinja to come
# back to, so that a text of nothing else is read once.
JINJA = re.compile(
    rf"\{{\{{(?:{_QUOTED}|[^\"'}}]|\}}(?!\}}))*+(?:\}}\}}|\Z|(?=[\"']))"
    rf"|\{{%(?:{_QUOTED}|[^\"'%]|%(?!\}}))*+(?:%\}}|\Z|(?=[\"']))|\{{#.*?(?:#\}}|\Z)",
    re.DOTALL,
)
# a comma inside a tag, or in a name in quotes, parts no names
_NAMES = re.compile(rf"\s*(?:{_QUOTED})\s*(?=,|\Z)|(?:{JINJA.pattern}|[^,])+", re.DOTALL)
# what shows a name otherwise than it is: gpj.exe as exe.jpg (Unicode TR 36 §2.10.1)
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LAYOUT = re.compile(r"[^\W_][\w-]*(?:/[^\W_][\w-]*)*")


@dataclass(frozen=True, slots=True)
class Part:
    """A statement in one language. `file` is its path as people see it, `lines` where each key stands.

    `body` is Markdown with Jinja and ends in a line feed; `first_line` is the line of the file where it begins.
    """

    file: str
    language: str
    subject: str
    body: str
    first_line: int = 1
    preheader: str = ""
    date: datetime.date | None = None
    attachments: tuple[str, ...] = ()
    layout: str = "statement"
    extra: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """The place of a key of the heading, as errors name it."""
        return f"{self.file}:{self.lines.get(key, 1)}"


@dataclass(frozen=True, slots=True)
class Statement:
    """What an author wrote, by language."""

    slug: str
    parts: Mapping[str, Part]


def parse(slug: str, files: Mapping[str, str], *, default: str) -> Statement:
    """Read the files of a statement: "LANG.md" by language, or "SLUG.md" in the default one.

    Raises StatementError with file and line.
    """
    parts: dict[str, Part] = {}
    for name, text in files.items():
        stem = name.removesuffix(".md")
        file = f"statements/{name}" if stem == slug else f"statements/{slug}/{name}"
        try:
            language = tags.normalise(default if stem == slug else stem)
        except LanguageError:
            raise StatementError(
                f"{stem!r} is not a language", where=file, hint="name the file after its language: en.md, ar.md, ckb.md"
            ) from None
        if language in parts:
            raise StatementError(
                f"is the same language as {parts[language].file}", where=file, hint="keep one of the two files"
            )
        parts[language] = _part(file, language, text)
    if not parts:
        raise StatementError(
            "has no text", where=f"statements/{slug}", hint="write one file per language: en.md, ar.md"
        )
    return Statement(slug, parts)


def _part(file: str, language: str, text: str) -> Part:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    refuse_untyped(text, file)
    lines = text.split("\n")
    values, places, end = _heading(file, lines)
    if not values.get("subject"):
        near = difflib.get_close_matches("subject", values.keys() - set(HEADING), n=1)
        raise StatementError(
            "no subject",
            where=f"{file}:{places.get('subject', 1)}",
            hint=f"did you mean 'subject:' by '{near[0]}:'?" if near else "add 'subject:' to the heading",
        )
    body = "\n".join(lines[end:]).strip("\n")
    return Part(
        file=file,
        language=language,
        subject=values["subject"],
        preheader=values.get("preheader", ""),
        date=_date(values.get("date", ""), f"{file}:{places.get('date', 1)}"),
        attachments=_attachments(values.get("attachments", ""), f"{file}:{places.get('attachments', 1)}"),
        layout=_layout(values.get("layout", ""), f"{file}:{places.get('layout', 1)}"),
        extra={key: value for key, value in values.items() if key not in HEADING},
        lines=places,
        body=body + "\n",
        first_line=end + 1 + next((number for number, line in enumerate(lines[end:]) if line), 0),
    )


def refuse_untyped(text: str, file: str) -> None:
    """Raise StatementError, with the line, for what nobody types: controls such as NUL, and what is no character."""
    if bad := _UNTYPED.search(text):
        raise StatementError(
            f"holds a control character (U+{ord(bad[0]):04X})",
            where=f"{file}:{text.count(chr(10), 0, bad.start()) + 1}",
            hint="is this a text file?",
        )


def _heading(file: str, lines: list[str]) -> tuple[dict[str, str], dict[str, int], int]:
    """The keys between the two fences, the line of each, and how many lines there are up to the body."""
    values: dict[str, str] = {}
    places: dict[str, int] = {}
    if not _FENCE.fullmatch(lines[0]):
        return values, places, 0
    for number, line in enumerate(lines[1:], start=2):
        where = f"{file}:{number}"
        if _FENCE.fullmatch(line):
            return values, places, number
        if not line.strip() or line.startswith("#"):
            continue
        found = _KEY.fullmatch(line)
        if found is None:
            raise StatementError(
                "is no 'key: value' line", where=where, hint="write 'key: value'; '---' alone ends the heading"
            )
        if bad := _CONTROL.search(line):
            raise StatementError(f"holds a control character (U+{ord(bad[0]):04X})", where=where, hint="delete it")
        key = found["key"].lower()
        if key in values:
            raise StatementError(f"'{key}' is there twice", where=where, hint=f"the other is in line {places[key]}")
        values[key], places[key] = found["value"].strip(), number
    raise StatementError(
        "the heading that begins with '---' does not end", where=f"{file}:1", hint="put '---' on a line after its keys"
    )


def _date(value: str, where: str) -> datetime.date | None:
    value = _plain(value)
    try:
        return datetime.date.fromisoformat(value) if value else None
    except ValueError:
        raise StatementError(f"{value!r} is not a date", where=where, hint="write it like 2026-05-04") from None


def _attachments(value: str, where: str) -> tuple[str, ...]:
    """Names in brackets or without, parted by commas; each once. A name may hold Jinja."""
    value = _plain(value)
    if value.startswith("[") != value.endswith("]"):
        raise StatementError(
            "the list of attachments lacks a bracket", where=where, hint="write it like [one.pdf, two.pdf]"
        )
    names = [name.strip().strip("\"'") for name in _NAMES.findall(value.removeprefix("[").removesuffix("]"))]
    found = tuple(name for name in names if name)
    for name in found:
        if _TURNING.search(name):
            raise StatementError(
                f"{_TURNING.sub('', name)!r} holds a sign that turns the direction of a name",
                where=where,
                hint="delete it",
            )
        if found.count(name) > 1:
            raise StatementError(f"{name!r} is attached twice", where=where, hint="name it once")
    return found


def _layout(value: str, where: str) -> str:
    value = _plain(value)
    if value and not _LAYOUT.fullmatch(value):
        raise StatementError(
            f"{value!r} is not the name of a layout",
            where=where,
            hint="layout: statement means templates/statement.html",
        )
    return value or "statement"


def _plain(value: str) -> str:
    """The value of a key that is no text: a comment after it is none of it."""
    return _COMMENT.sub("", value).strip()
