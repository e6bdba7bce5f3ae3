"""Release by two: who prepared a mailing, who approved it, and whether these are two people.

What is approved is a digest, so one changed byte is something that nobody has approved. A person is who has logged in,
whatever account they work through: on a server, all of a staff run this program as one user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# a mailing that is older than this capability was prepared by nobody we know
UNKNOWN: Final = -1
# why a mailing is held
NOT_APPROVED: Final = "not approved"


@dataclass(frozen=True, slots=True)
class Person:
    """A system user. `uid` says who it is, `account` as whom the program runs.

    `known`: the system knows who uses that account; otherwise `uid` is the account itself.
    """

    name: str = ""
    uid: int = UNKNOWN
    account: int = UNKNOWN
    known: bool = False

    def other_than(self, other: Person) -> bool:
        """Whether these are certainly two people: an account that nobody vouches for may be used by anybody."""
        if UNKNOWN in (self.uid, other.uid) or self.uid == other.uid:
            return False
        return (self.known and other.known) or self.account != other.account


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word that exactly this may go out. `at`: epoch seconds."""

    person: Person
    digest: str
    at: int


def standing(approvals: Sequence[Approval], digest: str, preparer: Person) -> list[Approval]:
    """Those that count: of this very digest, by somebody other than who prepared it."""
    return [each for each in approvals if each.digest == digest and each.person.other_than(preparer)]


def short(digest: str) -> str:
    """As much of a digest as two people compare by eye, in groups of four."""
    return " ".join(digest[start : start + 4] for start in range(0, 16, 4))
