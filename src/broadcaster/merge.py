"""The merge template: a statement laid out in one language, with only the recipient left to fill in.

It is readable Jinja, and it is what "frozen" means: `render` shows it, the digest covers it, the
database keeps it. Each value passes through a filter that escapes it for its place, written where
everybody can see it, so plain Jinja renders the same text that message.py compiles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class MergeTemplate:
    """A part after lay-out. Reads only `subscriber`, `links` and `list`.

    `subject`, `html` and `text` are Jinja; so is `preheader`, which the HTML holds already. `file` is the statement's,
    for errors, and its folder is where attachments lie. `enclosures` are Jinja for the names of what one person alone
    gets. `images` are paths in the workspace, which the HTML names as `cid:PATH` until it is frozen. `remarks` are
    notes for `check`, no part of what is frozen.
    """

    file: str
    language: str
    direction: str  # "ltr" or "rtl"
    subject: str
    preheader: str
    html: str
    text: str
    attachments: tuple[str, ...] = ()
    enclosures: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> str:
        """One text for the same template, always: it is hashed."""
        values = asdict(self)
        del values["remarks"]
        for name in ("enclosures", "images"):
            if not values[name]:
                # what was frozen before there were any stays what it was
                del values[name]
        return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> MergeTemplate:
        values: dict[str, Any] = json.loads(text)
        for name in ("attachments", "enclosures", "images"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @property
    def folder(self) -> str:
        """Where the files beside the statement lie: a path in the workspace."""
        return self.file.rpartition("/")[0]


ROOTS: Final = ("subscriber", "links", "list")


class Place(StrEnum):
    """Where a value stands, by the name of the filter that makes it safe there."""

    TEXT = "as_text"  # of HTML
    ATTRIBUTE = "as_attribute"  # in quotes
    URL = "as_url"  # a link from its first letter on
    ADDRESS = "as_address"  # the same where it is read, in the text part
    URL_PART = "as_url_part"  # further on in a link
    MAILBOX_PART = "as_mailbox_part"  # of a mailto link
    PLAIN = "as_plain"  # the text part
    HEADER = "as_header"
    FILE = "as_file"  # part of the name of a file


# Controls, the line ends of other alphabets, what turns the direction of all that follows (Unicode TR 36 §2.10.1),
# halves of characters. A value is one person's data: none of it may reach beyond its place.
_UNTIDY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"[ \t\n]+")
_LINES = re.compile(r"[ \t]*+\n[ \t\n]*+")
_SCHEME = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
_PLAIN_URL = re.compile(r"(?:https?|mailto|tel):[A-Za-z0-9._~:/?#@!$*+,;=%-]*+")
_NOT_IN_URL = re.compile(r'[\x00-\x20"<>\\^`{|}]')


def tidy(value: object) -> str:
    """The value as text without control characters; None is no text."""
    # what is untidy does not print, so most texts are not searched
    if type(value) is str and value.isprintable():
        return value
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if not _UNTIDY.search(text):
        return text
    return _UNTIDY.sub("", _SURROGATE.sub("\ufffd", _LINE_END.sub("\n", text)))


def as_text(value: object) -> str:
    text = tidy(value)
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def as_attribute(value: object) -> str:
    return as_text(value).replace('"', "&#34;").replace("'", "&#39;")


def as_url(value: object) -> str:
    """A whole link; nothing, where it is none that a mail may hold: never `javascript:` or a relative one."""
    if isinstance(value, str) and _PLAIN_URL.fullmatch(value):
        return value
    return as_attribute(as_address(value))


def as_address(value: object) -> str:
    """A whole link to be read, likewise."""
    if isinstance(value, str) and _PLAIN_URL.fullmatch(value):
        return value
    text = _SPACES.sub("", tidy(value))
    return _NOT_IN_URL.sub(lambda found: f"%{ord(found[0]):02X}", text) if _SCHEME.match(text) else ""


def as_url_part(value: object) -> str:
    return quote(tidy(value), safe="-._~")


def as_mailbox_part(value: object) -> str:
    """Of a mailto link, where an address keeps its @ (RFC 6068 §2)."""
    return quote(tidy(value), safe="-._~@+")


def as_plain(value: object) -> str:
    """In the text part, on one line as in HTML: a second would leave the quote or item it is in, or forge a footer."""
    text = tidy(value)
    return text if "\n" not in text else _LINES.sub(" ", text).strip(" ")


def as_header(value: object) -> str:
    """On one line: a line end would begin another header field."""
    text = tidy(value)
    return text if text.isprintable() and "  " not in text else _SPACES.sub(" ", text)


def as_file(value: object) -> str:
    """In the name of a file, where it leads into no other folder."""
    return as_header(value).strip().replace("/", "_").replace("\\", "_")


PLACES: Mapping[str, Callable[[object], str]] = {
    Place.TEXT: as_text,
    Place.ATTRIBUTE: as_attribute,
    Place.URL: as_url,
    Place.ADDRESS: as_address,
    Place.URL_PART: as_url_part,
    Place.MAILBOX_PART: as_mailbox_part,
    Place.PLAIN: as_plain,
    Place.HEADER: as_header,
    Place.FILE: as_file,
}
