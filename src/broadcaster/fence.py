"""The fence: a lot goes on no wire before it is claimed, on the disk, at its turn; and each row waits for its own.

It counts what is in hand: drawn and not claimed, claimed and without an outcome. Paces are told of both, so that a
crash may cost us speed and never a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broadcaster import mailing as m
from broadcaster.courier import Consignment
from broadcaster.delivery import Event, Reply, Stage, too_fast
from broadcaster.engines import Claim, Later, Lot
from broadcaster.flows import Flow, Flows
from broadcaster.ledger import Ledger, Slip
from broadcaster.lots import Lots
from broadcaster.pace import Backoff

if TYPE_CHECKING:
    from broadcaster.mailing import Stamp
    from broadcaster.mark import Mark
    from broadcaster.roster import Roster

# what has its turn within so many seconds may be claimed; less where destinations have a pace of their own: then a lot
# of theirs must soon find a relay that has not promised all its turns to others
REACH, SHORT_REACH = 1.0, 0.2
# who claims less than so many waits a moment for others who do: a transaction costs more than what is in it (seconds)
FEW, MOMENT = 10, 0.001
# who would have to wait so much longer than foreseen goes back (seconds)
PATIENCE = 2.0
# A relay leaves whom it broke off to the others that may send within so long, and looks so often whether they still
# can (seconds).
WITHIN, OFTEN = 60.0, 0.25


@dataclass(slots=True)
class Hold:
    """A lot in hand: where it goes, and how many of it have no outcome yet."""

    mailing: int
    destination: str
    relay: Flow
    to: Flow | None
    left: int


@dataclass(slots=True, eq=False)
class Ticket:
    """A delivery in hand: claimed, and no outcome yet. `version`: what was seen when it was last looked at."""

    slip: Slip
    hold: Hold
    version: tuple[int, int]
    went: bool = False  # its turn was taken
    turn: float = 0.0  # when it was, where there is a pace to keep (epoch seconds)
    written: bool = False  # a MAIL in that turn
    owed: bool = False  # a second try
    shut: bool = False  # there was no connection for a second try


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A lot that is to be claimed, and who waits for that."""

    lot: Lot
    relay: Flow
    to: Flow | None
    answer: asyncio.Future[Claim[Consignment] | None]


_Row = tuple[Slip, Consignment]


class Fence:
    """What a round has in hand. `news` is set when that has become less, and when something is to be drawn again."""

    def __init__(
        self,
        ledger: Ledger,
        roster: Roster,
        mark: Mark,
        flows: Flows,
        lots: Lots,
        backoff: Backoff,
        clock: Callable[[], float],
        left_out: Callable[[Event, int], None],
        hushed: Callable[[float], bool] = lambda _now: False,
    ) -> None:
        """`left_out` is told how many are not claimed, and why. `hushed`: whether nothing more may be at this time."""
        self._ledger = ledger
        self._roster = roster
        self._mark = mark
        self._flows = flows
        self._lots = lots
        self._backoff = backoff
        self._clock = clock
        self._left_out = left_out
        self._hushed = hushed
        self._asked: list[_Asked] = []
        self._giving: asyncio.Future[None] | None = None  # those who asked before, as soon as that is on the disk
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="settle")  # the loop's own may wait for a dead name
        self._drawn = 0
        self._owed: set[int] = set()
        self._missed: dict[int, set[str]] = {}  # delivery → relays that broke off before its dot
        self.down: Container[str] = ()  # relays that are not used now
        self._reach = SHORT_REACH if flows.sorts else REACH
        self.tickets: dict[int, Ticket] = {}
        self.closed = False
        self.pauses = 0
        self.news = asyncio.Event()

    @property
    def empty(self) -> bool:
        """Nothing is drawn or claimed."""
        return not self.tickets and not self._drawn

    def version(self) -> tuple[int, int]:
        """Changes when anybody wrote, and when we ourselves paused something."""
        return self._ledger.version(), self.pauses

    def drawn(self) -> None:
        """A lot is on its way to `start`."""
        self._drawn += 1

    async def start(self, lot: Lot, relay: str) -> Claim[Consignment] | Later | None:
        """Claim a lot when its turn has come: on the disk before anything goes on a wire."""
        now = self._clock()
        self.closed = self.closed or self._hushed(now)
        flow, to = self._flows.relays[relay], self._flows.of(lot.destination)
        if self.closed or (to is not None and to.pace.next(now) > now + PATIENCE):
            self._refuse(lot, to)
            return None
        if (turn := flow.pace.turn(now)) > now + self._reach:
            return Later(turn - self._reach / 2)
        ours = lot.deliveries
        if self._missed and not (ours := tuple(each for each in ours if not self._left_to_others(each, relay))):
            return Later(now + OFTEN)
        ours = ours[: max(1, flow.pace.room(now, self._reach))]
        if len(ours) < len(lot.deliveries):
            taken = set(ours)
            rest = [each for each in lot.deliveries if each not in taken]
            lot = Lot(lot.mailing, ours, lot.destination)
            _promise(to, -len(rest))
            self._lots.give_back(lot.mailing, lot.destination, rest)
            self.news.set()
        _promise(flow, len(lot.deliveries))
        loop = asyncio.get_running_loop()
        asked = _Asked(lot, flow, to, loop.create_future())
        self._asked.append(asked)
        if len(self._asked) == 1 and self._giving is None:
            # one transaction, and one wait for the disk, for all connections that ask in this turn of the loop
            soon = (self.tickets or self._drawn > 1) and len(lot.deliveries) < FEW
            loop.call_later(MOMENT, self._claim_all) if soon else loop.call_soon(self._claim_all)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            self._abandon(asked)
            raise

    def _refuse(self, lot: Lot, to: Flow | None) -> None:
        """Nothing of a lot is claimed: it is drawn again, if its mailing is still sent."""
        _promise(to, -len(lot.deliveries))
        self._lots.over(lot.destination)
        self._lots.give_back(lot.mailing, lot.destination, lot.deliveries)
        self._drawn -= 1
        self.news.set()

    def _abandon(self, asked: _Asked) -> None:
        """Whoever asked is cut off. What was claimed for him just now is settled with all that is left in the end."""
        if asked.answer.cancelled():
            self._take_back(asked)

    def _take_back(self, asked: _Asked) -> None:
        """Whoever asked claims nothing."""
        _promise(asked.relay, -len(asked.lot.deliveries))
        self._refuse(asked.lot, asked.to)

    def _claim_all(self) -> None:
        """One transaction for all who ask. They wait for the disk; who carries a claim already does not."""
        asked, self._asked = [each for each in self._asked if not each.answer.done()], []
        if not asked:
            return
        now = self._clock()
        lots: dict[int, list[_Asked]] = {}
        for each in asked:
            lots.setdefault(each.lot.mailing, []).append(each)
        found: dict[int, _Row] = {}
        refused: set[int] = set()
        highest: dict[int, int] = {}
        try:
            with self._ledger.db.atomic():
                for number, theirs in lots.items():
                    if self.closed or self._ledger.state(number) is not m.State.SENDING:
                        refused.add(number)
                    elif rows := self._claim(number, theirs, now):
                        found.update(rows)
                        highest[number] = max(rows)
                stamps = self._mark.count(highest, int(now))
                # inside: who writes from here on is heard before MAIL
                version = self.version()
        except Exception as error:
            self._fail(asked, error)
            return
        for each in asked:
            if each.lot.mailing in refused:
                self._take_back(each)
                each.answer.set_result(None)
        asked = [each for each in asked if each.lot.mailing not in refused]
        if asked:
            self._giving = asyncio.ensure_future(self._give(asked, found, stamps, version, now))

    async def _give(
        self, asked: list[_Asked], found: dict[int, _Row], stamps: list[Stamp], version: tuple[int, int], now: float
    ) -> None:
        """Hand out what was claimed when that is on the disk, and marked. One after the other, as the marks count."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._beside, self._ledger.db.settle)
            for stamp in stamps:
                self._mark.write(stamp)
            for each in asked:
                given = [found[delivery] for delivery in each.lot.deliveries if delivery in found]
                if not each.answer.done():
                    each.answer.set_result(self._given(each, given, version, now))
                elif given:
                    # cut off meanwhile: they wait again
                    self._ledger.shift(each.lot.mailing, [slip.id for slip, _ in given], Event.MISS)
        except Exception as error:
            self._fail(asked, error)
        finally:
            self._giving = None
            self._claim_all()

    def _fail(self, asked: list[_Asked], error: Exception) -> None:
        """Nothing of these goes, and nothing more: a disk that has once lost something says of it that all is well."""
        self.closed = True
        for each in asked:
            if not each.answer.done():
                self._take_back(each)
                each.answer.set_exception(error)

    async def rest(self) -> None:
        """Wait for the disk, should a claim still do: nothing is written behind the back of whoever comes next."""
        self.closed = True
        try:
            while self._giving is not None:
                await asyncio.wait((self._giving,))
        finally:
            self._beside.shutdown(wait=False)

    def _claim(self, number: int, asked: list[_Asked], now: float) -> dict[int, _Row]:
        """Inside the transaction: who has left is suppressed, who was tried too long expires, the rest is claimed."""
        slips = self._ledger.slips([delivery for each in asked for delivery in each.lot.deliveries], int(now))
        late = {slip.id for slip in slips if slip.attempts and self._too_late(slip, now)}
        self._shift(number, late, Event.EXPIRE)
        barred = self._roster.barred([(slip.subscriber, slip.list) for slip in slips])
        left = {slip.id for slip in slips if slip.subscriber in barred} - late
        self._shift(number, left, Event.LEAVE)
        going = [slip for slip in slips if slip.id not in left and slip.id not in late]
        if going:
            self._ledger.shift(number, [slip.id for slip in going], Event.CLAIM)
        # with what is promised: a pace that is lost with the process must be lost on the slow side
        flows = {flow.scope: flow for each in asked for flow in (each.relay, each.to) if flow is not None}
        self._flows.keep(*flows.values())
        people = self._roster.people([slip.subscriber for slip in going])
        return {s.id: (s, Consignment(s.id, s.mailing, s.part, s.list, people[s.subscriber])) for s in going}

    def _given(
        self, asked: _Asked, rows: list[_Row], version: tuple[int, int], now: float
    ) -> Claim[Consignment] | None:
        """The claim, now that it is on the disk."""
        lot, relay, to = asked.lot, asked.relay, asked.to
        self._drawn -= 1
        self.news.set()
        for flow in (relay, to):
            _promise(flow, len(rows) - len(lot.deliveries))
            if flow is not None and rows:
                flow.claimed(now, len(rows))
        if not rows:
            self._lots.over(lot.destination)
            return None
        hold = Hold(lot.mailing, lot.destination, relay, to, len(rows))
        tickets = [Ticket(slip, hold, version) for slip, _ in rows]
        self.tickets.update((ticket.slip.id, ticket) for ticket in tickets)
        return Claim([row for _, row in rows], lambda i: self._wait(tickets[i]))

    def _wait(self, ticket: Ticket) -> float | None:
        """How long until a message may go; its turn is taken as soon as only the relay's pace is waited for.

        Before that, nothing is taken: who waits for a destination must not keep the relay from others.
        """
        if ticket.went:
            return 0.0
        relay, to = ticket.hold.relay.pace, ticket.hold.to
        if relay.free and (to is None or to.pace.free):
            _go(ticket)
            return 0.0
        now = self._clock()
        turn = relay.next(now)
        theirs = turn if to is None else to.pace.next(now)
        if max(turn, theirs) > now + PATIENCE:
            return None
        if theirs > turn:
            return theirs - now
        relay.take(turn)
        if to is not None:
            to.pace.take(turn)
        ticket.turn = turn
        _go(ticket)
        return turn - now

    def writing(self, delivery: int) -> None:
        """Its MAIL is written in this moment: the paces count that, and not what was planned."""
        ticket = self.tickets[delivery]
        if ticket.turn:
            now = self._clock()
            for flow in (ticket.hold.relay, ticket.hold.to):
                if flow is not None:
                    flow.pace.wrote(ticket.turn, now)
            ticket.written = True

    async def again(self, delivery: int) -> bool:
        """Wait for the turn of a second try: its MAIL is one like any other. No: that would be long, or we stop.

        Who would have to wait is drawn again instead, once.
        """
        ticket = self.tickets[delivery]
        if self.closed or not ticket.written:
            return not self.closed
        now = self._clock()
        flows = [flow for flow in (ticket.hold.relay, ticket.hold.to) if flow is not None]
        turn = max(flow.pace.next(now) for flow in flows)
        if turn > now + self._reach:
            ticket.owed = delivery not in self._owed
            self._owed.add(delivery)
            return False
        for flow in flows:
            flow.pace.take(turn)
        ticket.turn, ticket.written = turn, False
        self._flows.keep(*flows)
        await asyncio.sleep(turn - now)
        return not self.closed

    def missed(self, delivery: int, relay: str) -> bool:
        """A relay broke off before the dot, twice. Whether another one may take it in this round."""
        self._missed.setdefault(delivery, set()).add(relay)
        return self._elsewhere(delivery)

    def hopeless(self, delivery: int) -> bool:
        """Whether every relay that there is has broken it off."""
        return self._missed.get(delivery, set()) >= self._flows.relays.keys()

    def _left_to_others(self, delivery: int, relay: str) -> bool:
        return relay in self._missed.get(delivery, ()) and self._elsewhere(delivery)

    def _elsewhere(self, delivery: int) -> bool:
        missed, now = self._missed[delivery], self._clock()
        return any(
            name not in missed and name not in self.down and flow.pace.next(now) <= now + WITHIN
            for name, flow in self._flows.relays.items()
        )

    def settled(self, delivery: int) -> Ticket:
        """It has its outcome, and is in hand no more."""
        ticket = self.tickets.pop(delivery)
        if not ticket.went:
            _go(ticket)
        hold = ticket.hold
        hold.left -= 1
        if not hold.left:
            self._lots.over(hold.destination)
            self.news.set()
        return ticket

    def _shift(self, number: int, ids: set[int], event: Event) -> None:
        if ids:
            self._ledger.shift(number, sorted(ids), event)
            self._left_out(event, len(ids))

    def _too_late(self, slip: Slip, now: float) -> bool:
        tries = self.tries(slip)
        return bool(tries) and self._backoff.over(tries[0], now)

    def tries(self, slip: Slip) -> list[int]:
        """When a delivery was put off (epoch seconds), but for our being too fast: that was no try of the person's."""
        if not slip.attempts:
            return []
        found = self._ledger.deferrals(slip.id)
        return [at for at, code, text in found if not too_fast(Reply(Stage.RCPT, code, text))]


def _promise(flow: Flow | None, number: int) -> None:
    if flow is not None:
        flow.pace.promised += number


def _go(ticket: Ticket) -> None:
    """Its turn is taken, or it will have none: it is promised no more."""
    ticket.went = True
    _promise(ticket.hold.relay, -1)
    _promise(ticket.hold.to, -1)
