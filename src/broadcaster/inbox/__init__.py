"""Where returned mail comes from: what every mailbox promises.

An inbox gives messages and never deletes any. What was read is remembered outside of it: by how far a mailbox was
read (`Place`) or by the names of its messages, and of each message by a digest, so that a message counts once
wherever it lies. Whoever reads writes down what a message meant first, then lets it be moved, then remembers the
place: killed in between, it is given again, and known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from typing import Final, NamedTuple, Protocol

# as much of a message is read (octets): a report says what it has to say first, and what was returned comes last
LARGEST: Final = 1 << 18


class Place(NamedTuple):
    """How far a mailbox was read. `validity` is IMAP's; `last` a UID, or octets of an mbox, before which is `mark`."""

    validity: int = 0
    last: int = 0
    mark: str = ""


class Found(NamedTuple):
    """A message. `octets`: at most LARGEST of it."""

    source: str  # where it is, as a person is told
    octets: bytes
    name: str = ""  # in its mailbox
    after: Place | None = None  # how far the mailbox is read with it

    @property
    def digest(self) -> bytes:
        """The same for the same message, however its lines end: over IMAP it is CR and LF, on a disk LF.

        Of a long one half is enough, since with CR and LF less of it was read; an mbox adds a blank line at the end.
        """
        return hashlib.sha256(self.octets.replace(b"\r\n", b"\n")[: LARGEST // 2].rstrip(b"\n")).digest()


class Inbox(Protocol):
    """A place that messages are read from. `name`: as a person is told; `url`: what it is remembered by.

    With an empty `url` nothing is remembered of it but its messages.
    """

    name: str
    url: str

    def messages(self, place: Place, known: Container[str]) -> Iterator[Found]:
        """What came since `place`, but for `known` names, in the order that it came. Raises BroadcasterError."""

    def names(self) -> list[str] | None:
        """The names of all that lie there, where names are what is remembered."""

    def understood(self, found: Found) -> None:
        """It is ours and written down: move it, where that is wanted."""

    def close(self) -> None:
        """Let go of whatever is open. Closing twice is no error."""


class Lasting(Inbox, Protocol):
    """A mailbox of the configuration, which is read again and again."""

    def look(self) -> None:
        """See that it could be read, and moved from where that is asked. Raises BroadcasterError."""
