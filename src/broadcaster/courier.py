"""One delivery, from row to outcome: look once more whether it may go, render, sign, hand over, judge what came back.

A courier knows no SQL: what it must ask or write down it asks of the desk it is bound to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from broadcaster.delivery import Envelope, Event, Outcome, judge
from broadcaster.errors import BadData
from broadcaster.subscriber import Subscriber
from broadcaster.transports import Transport


class Consignment(NamedTuple):
    """A claimed delivery with the person it is for: what an engine calls a row."""

    delivery: int
    mailing: int
    part: int
    list: int
    subscriber: Subscriber


class Desk(Protocol):
    """Where a courier asks and reports."""

    def barred(self, row: Consignment) -> Event | None:
        """Why this row may not go after all, now: LEAVE, MISS when its mailing was paused, or nothing."""

    def compose(self, row: Consignment, relay: str, at: float) -> Envelope:
        """The envelope with its message, dated `at` (epoch seconds). Raises BadData where it cannot be rendered."""

    @property
    def seal(self) -> Callable[[Envelope, float], Awaitable[Envelope]] | None:
        """What signs an envelope, at a time (epoch seconds); none where nothing is signed by us."""

    def offer(self, row: Consignment) -> None:
        """Its MAIL is written in this moment."""

    async def again(self, row: Consignment, transport: Transport) -> bool:
        """Wait for the turn of a second try, and for a connection. No: there is to be none."""

    async def hand(self, row: Consignment) -> None:
        """Write down that the next bytes end in the dot. Returns when that is written."""

    def note(self, row: Consignment, outcome: Outcome) -> Outcome:
        """Take an outcome; it is written before the next `hand` returns, or in a moment. What it comes to."""


@dataclass(frozen=True, slots=True)
class Courier:
    """Carries one row at a time. `clock`: seconds since the epoch."""

    desk: Desk
    clock: Callable[[], float]

    async def __call__(self, row: Consignment, transport: Transport, relay: str, /) -> Outcome:
        """Try a row once; a miss before the dot once more, on a fresh connection."""
        outcome = await self._try(row, transport, relay)
        if outcome.broken_off and await self.desk.again(row, transport):
            outcome = await self._try(row, transport, relay)
        return self.desk.note(row, outcome)

    async def _try(self, row: Consignment, transport: Transport, relay: str) -> Outcome:
        # first: to connect may take a minute, and whoever leaves meanwhile must not get it
        trouble = await transport.open()
        now = self.clock()
        if trouble is not None:
            return Outcome(row.delivery, judge(trouble).event, trouble, relay, now)
        if event := self.desk.barred(row):
            return Outcome(row.delivery, event, None, relay, now)
        try:
            envelope = self.desk.compose(row, relay, now)
        except BadData as error:
            return Outcome(row.delivery, Event.SKIP, None, relay, now, note=str(error))
        if (seal := self.desk.seal) is not None:
            envelope = await seal(envelope, now)
            # that took a moment: the connection may have gone, and whoever left meanwhile must not get it
            if (trouble := await transport.open()) is not None:
                return Outcome(row.delivery, judge(trouble).event, trouble, relay, now)
            if event := self.desk.barred(row):
                return Outcome(row.delivery, event, None, relay, now)
        self.desk.offer(row)
        try:
            answer = await transport.deliver(envelope, lambda: self.desk.hand(row))
        except Fenced:
            # the transport has cut the connection: nothing was sent
            return Outcome(row.delivery, Event.MISS, None, relay, self.clock())
        return Outcome(row.delivery, judge(answer).event, answer, relay, self.clock())


T = TypeVar("T")


class Journal(Generic[T]):
    """Marks and outcomes of many connections, written down together: one commit serves all that are ready at once.

    `write` takes the slips to mark as handed and the slips with their outcomes, and returns those that may not go.
    `coming` tells how many others are about to ask for their mark: those who are ready wait a moment until they are as
    many, since a commit costs more than what is in it. Not for all of them: one half is on the wires while the other
    half is made ready.

    An outcome is written no later than its connection's next mark, so that after a crash no more
    deliveries are in doubt than connections were open.
    """

    def __init__(
        self,
        write: Callable[[list[T], list[tuple[T, Outcome]]], Collection[T]],
        coming: Callable[[], int] = lambda: 0,
        *,
        patience: float = 0.001,
        linger: float = 0.05,
    ) -> None:
        """`patience`: how long a mark waits for others, `linger`: an outcome for a mark, both in seconds."""
        self._write = write
        self._coming = coming
        self._patience = patience
        self._linger = linger
        self._handed: list[tuple[T, asyncio.Future[None]]] = []
        self._outcomes: list[tuple[T, Outcome]] = []
        self._timer: asyncio.Handle | None = None  # of the outcomes
        self._bell: asyncio.Handle | None = None  # of the marks
        self._soon = False
        self.failure: BaseException | None = None

    def hand(self, slip: T) -> Awaitable[None]:
        """Done when the mark is written. Raises what writing raised, or Fenced when somebody moved the row."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        if self.failure is not None:
            written.set_exception(self.failure)
            return written
        self._handed.append((slip, written))
        if not self._soon:
            if len(self._handed) >= self._coming():
                # every connection that is ready in this turn of the loop still joins
                self._soon = True
                loop.call_soon(self.flush)
            elif self._bell is None:
                self._bell = loop.call_later(self._patience, self.flush)
        return written

    def note(self, slip: T, outcome: Outcome) -> None:
        """Write an outcome with the next marks, or after a moment."""
        self._outcomes.append((slip, outcome))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger, self.flush)

    def flush(self) -> None:
        """Write all that is waiting. A failure is kept: nothing is handed over any more."""
        for waiting in (self._timer, self._bell):
            if waiting is not None:
                waiting.cancel()
        # who was cut off while he waited has sent nothing, and will not
        handed = [each for each in self._handed if not each[1].cancelled()]
        outcomes = self._outcomes
        self._handed, self._outcomes, self._timer, self._bell, self._soon = [], [], None, None, False
        if not handed and not outcomes:
            return
        try:
            refused = self._write([slip for slip, _ in handed], outcomes)
        except BaseException as error:  # given to everyone who waits, and raised by the story
            self.failure = error
            # what was answered is kept for the next time: there may be room again
            self._outcomes = outcomes + self._outcomes
            for _, written in handed:
                if not written.done():
                    written.set_exception(error)
            return
        for slip, written in handed:
            if written.done():
                continue
            if slip in refused:
                written.set_exception(Fenced())
            else:
                written.set_result(None)


class Fenced(Exception):
    """Somebody else has moved this delivery: it must not go."""
