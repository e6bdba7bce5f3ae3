"""What carries lots to couriers and outcomes back. Nothing else crosses this door.

An engine knows no database, template or clock of the ledger: it is handed lots, asks `start` before
it touches one, tries what it was given, and reports each delivery once. So a fleet of machines can
one day stand where the local engine stands now.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from broadcaster.delivery import Answer, Outcome
from broadcaster.transports import Transport


@dataclass(frozen=True, slots=True)
class Lot:
    """Some deliveries of one mailing that change hands together: at most what one connection sends in a second.

    All go to one `destination`: a pace class, whose name means nothing to an engine.
    """

    mailing: int
    deliveries: tuple[int, ...]
    destination: str = ""


class Row(Protocol):
    """One delivery of a claim. What else it holds is between the story and its courier."""

    @property
    def delivery(self) -> int: ...


R = TypeVar("R", bound=Row)
R_contra = TypeVar("R_contra", bound=Row, contravariant=True)


@dataclass(frozen=True, slots=True)
class Claim(Generic[R]):
    """What `start` gave: these rows are claimed, on disk, and ours to try; who has left meanwhile is not among them.

    `wait(i)` is asked when row i is about to be tried and the connection stands: how many seconds its MAIL
    may not be written yet. It is asked again after so long, until it says 0. None: neither this row nor those
    behind it, for a long time; they go back. Asked that late, a pace counts what happens and not what was planned.
    """

    rows: Sequence[R]
    wait: Callable[[int], float | None]


@dataclass(frozen=True, slots=True)
class Later:
    """The lot may not go through this relay before `at` (seconds since the epoch). Through another one it may."""

    at: float


# The fence, asked for a lot and a relay's name: yes with a claim, not yet, or no (somebody else's, or its mailing is
# paused). A lot that was told "later" is still the engine's, and none of it is claimed.
Start = Callable[[Lot, str], Awaitable[Claim[R] | Later | None]]


class Attempt(Protocol[R_contra]):
    """The courier: tries one row over an open transport of the named relay and says what became of it."""

    async def __call__(self, row: R_contra, transport: Transport, relay: str, /) -> Outcome: ...


class Engine(Protocol[R]):
    """Carries lots. Nothing of a lot goes on the wire before `start` has said yes to it.

    Lots are shared among relays by their weights, as far as each takes them; one that is dead rests, and is tried
    again. `down` names the relays that are not used now, each with the answer that decided it.
    """

    down: dict[str, Answer]

    def run(self, lots: AsyncIterator[Lot], start: Start[R]) -> AsyncGenerator[Outcome, None]:
        """Try every row of every lot once and yield each one's outcome as it comes. Closing it cuts everything off.

        A row that was claimed and not tried (stopped, relay gone) comes back as Event.MISS. An error of
        the courier or of `start` ends the run after the other open transactions have ended, and is raised.
        """
        ...

    def leave(self, relay: str, answer: Answer) -> None:
        """Use this relay no more in this run: it refuses us."""
        ...

    def stop(self) -> None:
        """Let open transactions finish, try nothing more, return."""
        ...
