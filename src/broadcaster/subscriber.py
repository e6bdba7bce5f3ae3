"""A person as templates and mailings know them, the lists they are on, and how they stand to these.

A value is text and never empty: an empty cell is no value. Nothing here is ever a template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from broadcaster.errors import BadData

# Part of a List-Id (RFC 2919 §2: a dot-atom), so ASCII; a digit alone would read as a mailing's number
_LIST_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*", re.ASCII)
LIST_NAME_LIMIT: Final = 63
# octets of a List-Id and what is written before it (RFC 2919 §3), as they stand in the header
_LIST_ID_LIMIT: Final = 255
# before the name of a custom field, where it stands among those that everybody has
CUSTOM: Final = "fields."
# how long what an import changed can be taken back: old values of people are kept for no longer
KEPT_DAYS: Final = 90


class Subscriber(NamedTuple):
    """One person. `language` is a normalised BCP 47 tag or "", `fields` holds the custom fields."""

    id: int
    address: str
    name: str = ""
    language: str = ""
    timezone: str = ""
    fields: Mapping[str, str] = MappingProxyType({})

    def values(self) -> dict[str, str]:
        """What `subscriber.*` means in a statement. What is empty is not in it."""
        own = {"email": self.address, "name": self.name, "language": self.language, "timezone": self.timezone}
        return {name: value for name, value in {**self.fields, **own}.items() if value}


@dataclass(frozen=True, slots=True)
class MailingList:
    """A list of subscribers. `list_id` was fixed when it was created (RFC 2919 §2); `titles` are by language."""

    id: int
    name: str
    list_id: str
    titles: Mapping[str, str] = field(default_factory=dict)

    def title(self, language: str, default: str) -> str:
        """The title in a language, else in its base language, else in the default one, else any, else the name."""
        for tag in (language, language.split("-")[0], default):
            if tag in self.titles:
                return self.titles[tag]
        return next(iter(self.titles.values()), self.name)


class Standing(IntEnum):
    """How a person stands to a list. The numbers are stored: never renumber."""

    ACTIVE = 1
    LEFT = 2  # sticky: only their own word brings them back
    REMOVED = 3  # by staff: a file may bring them back

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address that must not be mailed. `since` is in seconds since the epoch, UTC."""

    address: str
    reason: str
    detail: str
    since: int
    intake: int | None = None  # the import that alone says so


def refuse_name(name: str) -> None:
    """Raises BadData for what cannot be a list's name."""
    if _LIST_NAME.fullmatch(name) is None or len(name) > LIST_NAME_LIMIT:
        raise BadData(
            f"{name!r} cannot be a list's name: letters a-z, digits, - and _, with at least one letter",
            hint="the name is part of mail headers; --title takes any words",
        )


def refuse_long(titles: Mapping[str, str], list_id: str) -> None:
    """Raises BadData for a title that its header has no room for: an Arabic letter takes three octets there."""
    from broadcaster.headers import mailbox

    for title in ("", *titles.values()):
        over = len(mailbox("List-Id", title, list_id)) - len("List-Id: ") - _LIST_ID_LIMIT
        if over > 0:
            raise BadData(
                f"{title[:40]!r}… is {over} octets too long for its header (List-Id)",
                hint="some forty letters are enough",
            )
