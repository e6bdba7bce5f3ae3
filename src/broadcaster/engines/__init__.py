"""What carries lots to couriers and outcomes back. Nothing else crosses this door.

An engine knows no database, template or clock of the ledger: it is handed lots, asks `start` before
it touches one, tries what it was given, and reports each delivery once. So a fleet of machines can
one day stand where the local engine stands now.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from broadcaster.delivery import Outcome
from broadcaster.transports import Transport


@dataclass(frozen=True, slots=True)
class Lot:
    """Some deliveries of one mailing that change hands together: at most what one connection sends in a second."""

    mailing: int
    deliveries: tuple[int, ...]


class Row(Protocol):
    """One delivery of a claim. What else it holds is between the story and its courier."""

    @property
    def delivery(self) -> int: ...


R = TypeVar("R", bound=Row)
R_contra = TypeVar("R_contra", bound=Row, contravariant=True)


@dataclass(frozen=True, slots=True)
class Claim(Generic[R]):
    """What `start` gave: these rows are claimed, on disk, and ours to try; who has left meanwhile is not among them.

    `at(i)` is asked once, when row i is about to be tried and the connection stands: the time (seconds
    since the epoch) before which its MAIL may not be written. Asked that late, a pace can count what
    really happens rather than what was planned.
    """

    rows: Sequence[R]
    at: Callable[[int], float]


# The fence, asked for a lot and a relay's name: yes with a claim, or no (somebody else's, or its mailing is paused).
Start = Callable[[Lot, str], Awaitable[Claim[R] | None]]


class Attempt(Protocol[R_contra]):
    """The courier: tries one row over an open transport of the named relay and says what became of it."""

    async def __call__(self, row: R_contra, transport: Transport, relay: str, /) -> Outcome: ...


class Engine(Protocol[R]):
    """Carries lots. Nothing of a lot goes on the wire before `start` has said yes to it."""

    def run(self, lots: AsyncIterator[Lot], start: Start[R]) -> AsyncGenerator[Outcome, None]:
        """Try every row of every lot once and yield each one's outcome as it comes. Closing it cuts everything off.

        A row that was claimed and not tried (stopped, relay gone) comes back as Event.MISS. An error of
        the courier or of `start` ends the run after the other open transactions have ended, and is raised.
        """
        ...

    def stop(self) -> None:
        """Let open transactions finish, try nothing more, return."""
        ...
