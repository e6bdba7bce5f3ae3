"""Merge template → Program; Program and recipient → the bytes of one message, ready for SMTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from broadcaster.merge import MergeTemplate
from broadcaster.subscriber import Subscriber

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Mail:
    """What every copy's header has in common. `name` is the sender's in the language of the part."""

    name: str
    address: str  # ASCII domain
    reply_to: str = ""
    prefix: str = ""  # before the subject: "[Test] "
    files: Mapping[str, bytes] = field(default_factory=dict)  # attachments by name


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient's copy."""

    subscriber: Subscriber
    list_title: str  # in the language of the part
    list_id: str  # "news.example.org", without <>
    list_name: str
    message_id: str  # "<left@right>"
    leave: str  # the URI behind links.leave
    unsubscribe: tuple[str, ...]  # URIs of List-Unsubscribe, the most preferred first, without <>
    date: int  # seconds since the epoch, UTC
    web_copy: str = ""


class Rendered(NamedTuple):
    """What a person sees: by plain Jinja, for eyes and tests."""

    subject: str
    preheader: str
    html: str
    text: str


class Program:
    """A compiled message: `render` makes one copy of it."""

    def render(self, copy: Copy) -> bytes:
        """The whole message: CRLF, 7 bit, no line over 998 octets, none that starts with a dot.

        Raises StatementError when this person's copy cannot be rendered.
        """
        raise NotImplementedError


def compile(merge: MergeTemplate, mail: Mail) -> Program:  # noqa: A001  the verb of the house
    """Compile a merge template. Raises StatementError for what is no merge template."""
    raise NotImplementedError


def plain(merge: MergeTemplate, copy: Copy) -> Rendered:
    """A copy by plain Jinja: slow, and the yardstick of `Program.render`."""
    raise NotImplementedError
