"""A person as templates and mailings know them: an address, a name, a language, and fields of any name.

A value is text and never empty: an empty cell is no value. Nothing here is ever a template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


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
