"""Once through all that is due: lots go out to couriers, outcomes come in and are written down.

Three things decide whether a delivery goes: its mailing is being sent, the pace allows it, and the
person has not left. All are asked when a lot is claimed, and again just before its MAIL.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broadcaster import mailing as m
from broadcaster import quiet
from broadcaster.alarm import Alarm, Refused, Stop
from broadcaster.broadcast import begun, close_late
from broadcaster.courier import Consignment, Courier, Journal
from broadcaster.delivery import About, Answer, Envelope, Event, Outcome, Reply, Silence, State, judge, told
from broadcaster.engines import Engine, Lot
from broadcaster.fence import Fence, Hold, Ticket
from broadcaster.flows import Flows
from broadcaster.ledger import Slip
from broadcaster.lots import Lots
from broadcaster.mailing import Mailing
from broadcaster.pace import Backoff

if TYPE_CHECKING:
    from broadcaster.config import Config, Time
    from broadcaster.engines.local import LocalEngine
    from broadcaster.ledger import Ledger
    from broadcaster.mark import Mark
    from broadcaster.press import Press
    from broadcaster.roster import Roster
    from broadcaster.sealing import Sealing
    from broadcaster.transports import Transport

# how often somebody looks whether anything is to be sent any more (seconds)
GLANCE = 0.25
# how often a sender with nothing to do looks up: somebody may have handed a mailing over (seconds)
LOOK = 1.0
# a lot is what one connection sends in about a second, and never more than this many
LOT = 100
# how soon one of the connections should be free (seconds)
SOON = 0.02


@dataclass(slots=True)
class Watch:
    """What a round has done so far, for whoever looks on."""

    started: float = 0.0
    outcomes: Counter[Event] = field(default_factory=Counter)
    changed: Callable[[], None] = lambda: None
    # somebody said that we are too fast: what was slowed down, and until when nothing goes there (epoch seconds)
    slowed: Callable[[str, float], None] = lambda _scope, _until: None

    @property
    def tried(self) -> int:
        """How many were tried and answered."""
        return sum(self.outcomes[e] for e in (Event.ACCEPT, Event.DEFER, Event.REJECT, Event.LOSE))


@dataclass(frozen=True, slots=True)
class Hands:
    """What a round works with. `clock`: seconds since the epoch; `dice`: [0, 1)."""

    roster: Roster
    ledger: Ledger
    mark: Mark
    config: Config
    press: Callable[[Mailing], Press]
    clock: Callable[[], float] = time.time
    dice: Callable[[], float] = random.random
    sealing: Sealing | None = None  # where we sign our mail ourselves
    # the quiet that `urgent` alone does not wait for: what others hand over meanwhile does
    night: Time | None = None
    urgent: int = 0

    @property
    def alone(self) -> bool:
        """Whether nothing but `urgent` may go now."""
        return self.night is not None and quiet.over(self.night, self.clock()) is not None


class Round:
    """One time through: every delivery that waits is tried once. Made anew for each round."""

    def __init__(self, hands: Hands, begun: list[int], watch: Watch, since: int | None = None) -> None:
        """`since` (epoch seconds): what others began from then on is ours too; without it from now on."""
        self._hands = hands
        self._ledger = hands.ledger
        self._order = begun
        self.watch = watch
        self._began = int(hands.clock())
        self._since = self._began if since is None else since
        self._flows = Flows(hands.ledger, hands.config, watch.slowed)
        self._lots = Lots(hands.ledger, self._flows, self._began)
        self._backoff = Backoff(hands.config.retry.after, hands.config.retry.give_up)
        self._going: tuple[tuple[tuple[int, int], bool], list[int]] | None = None
        self._closing = math.inf  # when the first of them is over
        self._fence = Fence(
            *(
                hands.ledger,
                hands.roster,
                hands.mark,
                self._flows,
                self._lots,
                self._backoff,
                hands.clock,
                self._left_out,
                self._hushed,
            )
        )
        self._untried: list[tuple[Hold, int]] = []  # claimed in vain: to be drawn again
        self._astray: dict[int, Hold] = {}  # a relay broke off: through another one, when nothing else waits
        self._cut: dict[int, Hold] = {}  # the last relay broke off too: once more, when nobody else waits
        self._cut_again: set[int] = set()  # of them those that were drawn once more
        self._presses: dict[int, Press] = {}
        self._dues: dict[int, int] = {}  # of what was put off, until that is written
        self._alarm = Alarm(hands.config.safety.stop_rejected, hands.config.safety.stop_of_at_least)
        self._engine: Engine[Consignment] | None = None
        self.last: Sequence[int] | None = None  # the mailings that were being sent when it was drawn last
        self._opening: set[asyncio.Future[Answer | None]] = set()  # connections for second tries
        self._offered: set[int] = set()  # offered, and neither handed nor settled: their marks are coming
        self._journal: Journal[Slip] = Journal(self._write, lambda: len(self._offered))

    async def run(self, engine: Engine[Consignment]) -> None:
        """Carry all that is due. What waits afterwards is in the ledger. Raises what writing raised."""
        self.watch.started = self._hands.clock()
        self._engine = engine
        self._fence.down = engine.down
        self._fence.closed = self._fence.closed or self._hushed(self.watch.started)
        lookout = asyncio.ensure_future(self._look_out(engine))
        try:
            # closed whatever happens here: nothing may be on a wire when the last outcomes are written
            async with contextlib.aclosing(engine.run(self._drawn(), self._fence.start)) as outcomes:
                async for outcome in outcomes:
                    if outcome.delivery in self._fence.tickets:
                        # claimed and not tried (stopped, or the relay is gone): no courier saw it
                        self._settle(outcome)
                    self.watch.outcomes[outcome.event] += 1
                    self.watch.changed()
        finally:
            lookout.cancel()
            # before anything is waited for: who breaks that off loses no answer
            self._journal.flush()
            try:
                await self._fence.rest()
            finally:
                self._flows.close(self._hands.clock())
        if self._journal.failure is not None:
            raise self._journal.failure

    def courier(self) -> Courier:
        """The courier whose desk this round is."""
        return Courier(self, self._hands.clock)

    def stop(self) -> None:
        """Draw no more lots, and connect for no second try."""
        self._fence.closed = True
        for opening in self._opening:
            opening.cancel()

    def _left_out(self, event: Event, number: int) -> None:
        self.watch.outcomes[event] += number

    def _hushed(self, now: float) -> bool:
        """Quiet hours have begun: nothing more goes on a wire."""
        return quiet.until(self._hands.config, now) is not None

    async def _look_out(self, engine: Engine[Consignment]) -> None:
        """A pause is heard while everybody waits for a pace: that may be for hours. Nothing goes on unwatched."""
        try:
            seen = self._fence.version(), self._hands.alone
            while True:
                await asyncio.sleep(GLANCE)
                now = self._hands.clock()
                if self._hushed(now):
                    self.stop()
                    engine.stop()
                    return
                self._close_late(now)
                if (seeing := (self._fence.version(), self._hands.alone)) != seen:
                    seen = seeing
                    if not self._running():
                        # who resumes one while the wires end is not heard in this round any more
                        self.last = ()
                        self.stop()
                        engine.stop()
        except Exception as error:  # raised when the others have ended
            self._journal.failure = self._journal.failure or error
            self.stop()
            engine.stop()

    def _close_late(self, now: float) -> bool:
        """Whether a mailing is over, by the end that a person set it: what has not gone of it is closed."""
        if now <= self._closing:
            return False
        close_late(self._ledger, int(now))
        self._fence.pauses += 1
        return True

    # lots

    async def _drawn(self) -> AsyncIterator[Lot]:
        """The next deliveries, drawn just in time: what is drawn ahead would be stale when it goes."""
        while not self._fence.closed:
            self._fence.news.clear()
            self._take_back()
            now = self._hands.clock()
            self.last = self._running()
            if self._close_late(now):
                self.last = self._running()
            found = self._lots.draw(self.last, self._lot_size(now), now)
            if isinstance(found, Lot):
                self._fence.drawn()
                yield found
            elif self._astray and (found is None or found > now):
                self._untried += [(hold, delivery) for delivery, hold in self._astray.items()]
                self._astray.clear()
            elif found is None and self._fence.empty:
                if not (once_more := self._broken_off()):
                    return
                self._untried += once_more
            else:
                # until then, or not over yet: what a dying relay does not try goes through another one
                await self._rest(None if found is None or math.isinf(found) else found - now)

    async def _rest(self, seconds: float | None) -> None:
        """Until there is news, at most so long."""
        if seconds is not None and seconds <= 0:
            await asyncio.sleep(0)
            return
        # not longer than a second: the clock may jump
        loop = asyncio.get_running_loop()
        timer = None if seconds is None else loop.call_later(min(seconds, LOOK), self._fence.news.set)
        try:
            await self._fence.news.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _broken_off(self) -> list[tuple[Hold, int]]:
        """Whom every relay broke off, where others of the mailing were taken: once more, and it is known what is to
        blame.
        """
        self._journal.flush()
        choosy = {number for number in {hold.mailing for hold in self._cut.values()} if self._ledger.taken(number)}
        found = [(hold, delivery) for delivery, hold in self._cut.items() if hold.mailing in choosy]
        for _, delivery in found:
            del self._cut[delivery]
            self._cut_again.add(delivery)
            self._lots.tried.discard(delivery)
        return found

    def _take_back(self) -> None:
        """What was claimed and not tried is pending again, and is drawn again."""
        if self._untried:
            untried, self._untried = self._untried, []
            self._journal.flush()
            for hold, delivery in untried:
                self._lots.give_back(hold.mailing, hold.destination, (delivery,))

    def _running(self) -> list[int]:
        """The mailings being sent: ours first, then those handed over to us since we began, the oldest first.

        One that was interrupted earlier is not ours to go on with: somebody may have meant to stop it.
        """
        seeing = self._fence.version(), self._hands.alone
        if self._going is not None and self._going[0] == seeing:
            return self._going[1]
        mailings = self._ledger.mailings(states=(m.State.SENDING,))
        self._closing = min((of.closing for of in mailings if of.closing is not None and of.waiting), default=math.inf)
        going = {
            of.id
            for of in mailings
            if (of.id in self._order or of.changed >= self._since)
            and (not seeing[1] or of.id == self._hands.urgent)
            # a rehearsal is not finished with real mail, nor the other way round
            and of.rehearsal is self._hands.config.rehearsal
        }
        for number in going.difference(self._going[1] if self._going else ()):
            self._alarm.forget(number)  # whoever has resumed it has looked into it
        found = [n for n in self._order if n in going] + sorted(going.difference(self._order))
        self._going = seeing, found
        return found

    def _lot_size(self, now: float) -> int:
        """What one connection sends in about a second, as seen lately.

        Less where destinations have a pace of their own: when the turn of one comes, a connection must soon be free.
        """
        relays = self._hands.config.relays
        connections = sum(relay.connections for relay in relays)
        seen = sum(flow.speed(now) for flow in self._flows.relays.values())
        if now - self.watch.started < 1.0:
            seen = max(seen, 5.0 * connections)
        seconds = min(1.0, SOON * connections) if self._flows.sorts else 1.0
        return max(1, int(min(LOT, seconds * seen / connections)))

    # the courier's desk

    def barred(self, row: Consignment) -> Event | None:
        """Whether it is time to stop, or somebody wrote since the claim; then, whether the row still may go."""
        if self._fence.closed:
            return Event.MISS
        version = self._fence.version()
        ticket = self._fence.tickets[row.delivery]
        if version == ticket.version:
            return None
        if self._ledger.state(row.mailing) is not m.State.SENDING:
            return Event.MISS
        if self._hands.roster.barred([(row.subscriber.id, row.list)]):
            return Event.LEAVE
        ticket.version = version
        return None

    def compose(self, row: Consignment, relay: str, at: float) -> Envelope:
        press = self._presses.get(row.mailing)
        if press is None:
            press = self._presses[row.mailing] = self._hands.press(self._ledger.mailing(row.mailing))
        return press.compose(row, relay, at)

    @property
    def seal(self) -> Callable[[Envelope, float], Awaitable[Envelope]] | None:
        return self._hands.sealing.sealed if self._hands.sealing else None

    def offer(self, row: Consignment) -> None:
        self._offered.add(row.delivery)
        self._fence.writing(row.delivery)

    async def again(self, row: Consignment, transport: Transport) -> bool:
        if not await self._fence.again(row.delivery):
            return False
        opening = asyncio.ensure_future(transport.open())
        self._opening.add(opening)
        try:
            await asyncio.wait((opening,))
        finally:
            self._opening.discard(opening)
            opening.cancel()
        stands = not opening.cancelled() and opening.result() is None
        self._fence.tickets[row.delivery].shut = not stands
        return stands

    async def hand(self, row: Consignment) -> None:
        self._offered.discard(row.delivery)
        await self._journal.hand(self._fence.tickets[row.delivery].slip)

    def note(self, row: Consignment, outcome: Outcome) -> Outcome:
        relay, domain = outcome.relay, row.subscriber.address.rpartition("@")[2]
        if outcome.event is Event.ACCEPT:
            if self._flows.slowed:
                destination = self._fence.tickets[row.delivery].hold.destination
                self._flows.accepted(relay, destination, self._hands.clock())
            stop = self._alarm.accepted(row.mailing, relay, domain)
        else:
            ticket = self._fence.tickets[row.delivery]
            if outcome.broken_off and not ticket.owed:
                outcome = self._missed(ticket, outcome)
            stop = self._weigh(ticket, outcome, domain)
        self._settle(outcome)
        if stop is not None:
            self._obey(row.mailing, stop, outcome)
        return outcome

    def _missed(self, ticket: Ticket, outcome: Outcome) -> Outcome:
        """A relay broke off, twice: through another one, or in the end once more. The same outcome, or put off.

        A message that always ends the connection, where others of its mailing went, is no fault of the relay's: tried
        as often as any other it would wait for ever, and its mailing with it. A relay that takes nobody any more is
        soon left alone, and then nobody is tried once more.
        """
        slip, hold, relay = ticket.slip, ticket.hold, outcome.relay
        if self._fence.missed(slip.id, relay):
            self._astray[slip.id] = hold
            return outcome
        if self._fence.hopeless(slip.id) and not ticket.shut:
            if slip.id in self._cut_again or (slip.attempts and self._ledger.broken_off(slip.id)):
                # as a silence, whatever was said last: a code would be taken for a word about the person
                why = "" if outcome.answer is None else told(outcome.answer)
                return outcome._replace(event=Event.DEFER, answer=Silence(after_dot=False, why=why))
            self._cut[slip.id] = hold
        self._lots.tried.add(slip.id)
        return outcome

    def _weigh(self, ticket: Ticket, outcome: Outcome, domain: str) -> Stop | None:
        """What it means that a message was not taken: for its own next time, for a pace, for the whole mailing."""
        slip, hold, answer = ticket.slip, ticket.hold, outcome.answer
        about = judge(answer).about if answer is not None else About.NOBODY
        if isinstance(answer, Reply) and about is About.RATE:
            until = self._flows.complained(answer, outcome.relay, hold.destination, self._hands.clock())
            if outcome.event is Event.DEFER:
                self._dues[slip.id] = math.ceil(until)
                self._lots.wait_for(hold.mailing, hold.destination, slip.id, math.ceil(until))
        elif outcome.event is Event.DEFER:
            wait = self._backoff.next(len(self._fence.tries(slip)) + 1, self._hands.dice)
            self._dues[slip.id] = int(outcome.at + wait)
        again = slip.attempts > 0 and outcome.event is Event.REJECT and self._ledger.refused(slip.id)
        return self._alarm.heard(hold.mailing, outcome, domain, again=again)

    def _settle(self, outcome: Outcome) -> None:
        self._offered.discard(outcome.delivery)
        ticket = self._fence.settled(outcome.delivery)
        self._journal.note(ticket.slip, outcome)
        if outcome.event is Event.MISS and outcome.delivery not in self._lots.tried:
            if outcome.delivery not in self._astray:
                self._untried.append((ticket.hold, outcome.delivery))
            self._fence.news.set()

    def _write(self, handed: list[Slip], outcomes: list[tuple[Slip, Outcome]]) -> set[Slip]:
        refused = self._ledger.record(
            handed, [(slip, outcome, self._dues.get(slip.id, 0)) for slip, outcome in outcomes]
        )
        if self._dues:
            # not before: what could not be written is written again
            for slip, _ in outcomes:
                self._dues.pop(slip.id, None)
        return refused

    # what an outcome means for the whole mailing

    def _obey(self, number: int, stop: Stop, outcome: Outcome) -> None:
        """Stop a relay, or the mailing, before it burns through the list; nobody is to blame for that."""
        assert self._engine is not None
        answer, down = outcome.answer, self._engine.down
        alone = all(name == outcome.relay or name in down for name in self._flows.relays)
        if stop.relay and answer is not None and not alone:
            self._engine.leave(outcome.relay, answer)
            self._pardon(number, stop.pardoned)
            return
        with self._ledger.db.atomic():
            # together: somebody may cancel it in between
            if self._ledger.state(number) is m.State.SENDING:
                self._ledger.move(number, m.Event.PAUSE, int(self._hands.clock()), stop.reason, by="alarm")
                self._fence.pauses += 1
        self._pardon(number, stop.pardoned)

    def _pardon(self, number: int, pardoned: Sequence[Refused]) -> None:
        """Who was refused for something that was not about them waits again; through another relay they go at once."""
        if not pardoned:
            return
        self._journal.flush()
        if self._journal.failure is not None:
            return
        with self._ledger.db.atomic():
            if self._ledger.state(number) is m.State.CANCELLED:
                return
            self._ledger.shift(number, [each.delivery for each in pardoned], Event.PARDON)
        for each in pardoned:
            self._lots.give_back(number, self._flows.destination(each.domain), (each.delivery,))
        self._fence.news.set()


class Turn:
    """One process's turn as the sender: one round, or rounds until nothing waits."""

    def __init__(
        self,
        hands: Hands,
        build: Callable[[Courier], LocalEngine[Consignment]],
        watch: Watch,
        since: int | None = None,
    ) -> None:
        """`since`: a moment before the lock was taken (epoch seconds). Who found it taken began his mailing later."""
        self._hands = hands
        self._build = build
        self._watch = watch
        self._since = int(hands.clock()) if since is None else since
        self._begun: list[int] = []
        self._passed: frozenset[int] = frozenset()  # of them those that were paused when the last round ended
        self._now: tuple[Round, LocalEngine[Consignment]] | None = None
        self._stop = asyncio.Event()
        self.down: Mapping[str, Answer] = {}

    @property
    def stopped(self) -> bool:
        """Whether somebody asked us to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End what is on a wire, claim nothing more, return."""
        self._stop.set()
        if self._now is not None:
            running, engine = self._now
            running.stop()
            engine.stop()

    @property
    def accepted(self) -> int:
        """How many this turn was given a 2yz for."""
        return self._watch.outcomes[Event.ACCEPT]

    async def work(self, begun: list[int], *, wait: bool = False, idle: Callable[[int], None] = lambda _: None) -> None:
        """Send what is due, and what is handed over meanwhile. With `wait` until nothing of it waits.

        `idle` is told until when (epoch seconds) there is nothing to do.
        """
        self._begun = begun
        while not self.stopped:
            began = int(self._hands.clock())
            await self._round()
            if more := self.handed_over():
                self._begun = list(dict.fromkeys(self._begun + more))
                continue
            until = self._until(began) if wait else None
            if until is None:
                return
            idle(until)
            await self._rest(until)

    def handed_over(self) -> list[int]:
        """Mailings that others began or resumed meanwhile and left to us: asked again when the lock is given back."""
        hands = self._hands
        if hands.alone:
            return []
        found = begun(hands.ledger, hands.config, int(hands.clock()), since=self._since)
        return [of.id for of in found if of.id not in self._begun or of.id in self._passed]

    async def _round(self) -> None:
        running = Round(self._hands, self._begun, self._watch, self._since)
        engine = self._build(running.courier())
        self._now = running, engine
        try:
            await running.run(engine)
        finally:
            self._now = None
            self._passed = frozenset(self._begun).difference(self._begun if running.last is None else running.last)
            self.down = dict(engine.down)
            # what the engine could not give back (an aborted connection) is settled as after a crash
            now = int(self._hands.clock())
            self._hands.ledger.recover(now, rebooted=False)
            close_late(self._hands.ledger, now)
        # also what was handed over and sent meanwhile
        for of in self._hands.ledger.mailings(states=(m.State.SENDING,)):
            self._hands.ledger.finish_if_done(of.id, now)

    def _until(self, began: int) -> int | None:
        """When the next round is worth while: the next deferred one, or a first wait for what could not be tried; not
        in quiet hours.

        What was due when the last round began and still is was not tried: no relay would talk to us.
        """
        loud = quiet.until(self._hands.config, self._hands.clock())
        first = int(self._hands.clock() + self._hands.config.retry.after[0])
        times: list[int] = []
        for number in self._begun:
            of = self._hands.ledger.mailing(number)
            if of.state is not m.State.SENDING:
                continue
            if (ripe := self._hands.ledger.next_ripe(number)) is not None:
                times.append(ripe if ripe > began else first)
            if of.tally.get(State.PENDING):
                times.append(loud or first)
        return max(min(times), loud or 0) if times else None

    async def _rest(self, until: int) -> None:
        """Until then, or until somebody hands a mailing over."""
        while not self.stopped and (left := until - self._hands.clock()) > 0 and not self.handed_over():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(left, LOOK))
