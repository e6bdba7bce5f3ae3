"""Once through all that is due: lots go out to couriers, outcomes come in and are written down.

Three things decide whether a delivery goes: its mailing is being sent, the pace allows it, and the
person has not left. All are asked when a lot is claimed, and again just before its MAIL.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from broadcaster import mailing as m
from broadcaster.broadcast import begun
from broadcaster.courier import Consignment, Courier, Journal
from broadcaster.delivery import About, Answer, Envelope, Event, Outcome, Reply, Silence, Stage, State, judge
from broadcaster.engines import Claim, Engine, Lot
from broadcaster.ledger import Slip
from broadcaster.mailing import Mailing
from broadcaster.pace import Backoff, Pace

if TYPE_CHECKING:
    from broadcaster.config import Config, Relay
    from broadcaster.engines.local import LocalEngine
    from broadcaster.ledger import Ledger
    from broadcaster.mark import Mark
    from broadcaster.press import Press
    from broadcaster.roster import Roster

# how often somebody who waits for the pace looks whether the mailing still runs (seconds)
GLANCE = 0.25
# how often a sender with nothing to do looks whether somebody handed a mailing over (seconds)
LOOK = 1.0
# a lot is what one connection sends in a second, and never more than this
LOT = 100
# so many messages in a row without an answer, and something in between is broken
SILENCES = 3


@dataclass(slots=True)
class Watch:
    """What a round has done so far, for whoever looks on."""

    started: float = 0.0
    outcomes: Counter[Event] = field(default_factory=Counter)
    changed: Callable[[], None] = lambda: None

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
        self._relays: Mapping[str, Relay] = {relay.name: relay for relay in hands.config.relays}
        self._paces = {
            relay.name: Pace(relay.limits, hands.ledger.pace(f"relay:{relay.name}")) for relay in hands.config.relays
        }
        self._backoff = Backoff(hands.config.retry.after, hands.config.retry.give_up)
        self._cursor: dict[int, int] = {}
        self._tried: set[int] = set()  # missed or deferred in this round: not again in it
        self._slips: dict[int, Slip] = {}  # claimed, and no outcome yet
        self._starting = 0  # lots that wait for their turn to be claimed
        self._untried: list[Slip] = []  # claimed in vain: to be drawn again
        self._news = asyncio.Event()  # one of these three has changed
        self._presses: dict[int, Press] = {}
        self._version: dict[int, tuple[int, int]] = {}
        self._pauses = 0
        self._silences: Counter[str] = Counter()
        self._tally: defaultdict[int, Counter[Event]] = defaultdict(Counter)
        self._stopped = False
        self._offered: set[int] = set()  # composed, and neither handed nor settled: their marks are coming
        self._journal: Journal[Slip] = Journal(self._write, lambda: self._offered)

    async def run(self, engine: Engine[Consignment]) -> None:
        """Carry all that is due. What waits afterwards is in the ledger. Raises what writing raised."""
        self.watch.started = self._hands.clock()
        try:
            # closed whatever happens here: nothing may be on a wire when the last outcomes are written
            async with contextlib.aclosing(engine.run(self._lots(), self._start)) as outcomes:
                async for outcome in outcomes:
                    if outcome.delivery in self._slips:
                        # claimed and not tried (stopped, or the relay is gone): no courier saw it
                        self._settle(outcome)
                    self.watch.outcomes[outcome.event] += 1
                    self.watch.changed()
        finally:
            self._journal.flush()
            self._keep_paces()
        if self._journal.failure is not None:
            raise self._journal.failure

    def courier(self) -> Courier:
        """The courier whose desk this round is."""
        return Courier(self, self._hands.clock)

    def stop(self) -> None:
        """Draw no more lots."""
        self._stopped = True

    # lots

    async def _lots(self) -> AsyncIterator[Lot]:
        """The next deliveries, drawn just in time: what is drawn ahead would be stale when it goes."""
        while not self._stopped:
            self._take_back()
            if (lot := self._next()) is not None:
                yield lot
            elif self._slips or self._starting:
                # not over yet: what a dying relay does not try goes through another one
                self._news.clear()
                await self._news.wait()
            else:
                return

    def _take_back(self) -> None:
        """What was claimed and not tried is pending again, and is drawn again."""
        if self._untried:
            untried, self._untried = self._untried, []
            self._journal.flush()
            for slip in untried:
                self._give_back(slip.mailing, (slip.id,))

    def _next(self) -> Lot | None:
        for number in self._running():
            of = self._ledger.mailing(number)
            size = self._lot_size()
            after = self._cursor.get(number, of.first - 1)
            while ids := self._ledger.pending(of, after, size):
                self._cursor[number] = after = ids[-1]
                if fresh := tuple(i for i in ids if i not in self._tried):
                    return Lot(number, fresh)
            ripe = self._ledger.ripe(number, self._began, size + len(self._tried))
            if fresh := tuple(i for i in ripe if i not in self._tried)[:size]:
                self._tried.update(fresh)
                return Lot(number, fresh)
        return None

    def _running(self) -> list[int]:
        """The mailings being sent: ours first, then those handed over to us since we began, the oldest first.

        One that was interrupted earlier is not ours to go on with: somebody may have meant to stop it.
        """
        going = {
            of.id
            for of in self._ledger.mailings(states=(m.State.SENDING,))
            if (of.id in self._order or of.changed >= self._since)
            # a rehearsal is not finished with real mail, nor the other way round
            and of.rehearsal is self._hands.config.rehearsal
        }
        for number in list(self._cursor):
            if number not in going:
                del self._cursor[number]  # if it is resumed, from the start
        return [n for n in self._order if n in going] + sorted(going.difference(self._order))

    def _lot_size(self) -> int:
        """What one connection sends in about a second, as seen in this round."""
        connections = sum(relay.connections for relay in self._relays.values())
        elapsed = self._hands.clock() - self.watch.started
        seen = self.watch.tried / elapsed if elapsed > 0.2 else 5 * connections
        allowed = sum(_most_a_second(relay) for relay in self._relays.values())
        return max(1, int(min(LOT, seen / connections, allowed / connections)))

    # the fence

    async def _start(self, lot: Lot, relay: str) -> Claim[Consignment] | None:
        """Claim a lot when its turn has come: on the disk before anything goes on a wire."""
        self._starting += 1
        try:
            return await self._claimed(lot, relay)
        finally:
            self._starting -= 1
            self._news.set()

    async def _claimed(self, lot: Lot, relay: str) -> Claim[Consignment] | None:
        pace = self._paces[relay]
        while (at := pace.next(self._hands.clock())) > (now := self._hands.clock()):
            if self._stopped or self._ledger.state(lot.mailing) is not m.State.SENDING:
                self._give_back(lot.mailing, lot.deliveries)
                return None
            await asyncio.sleep(min(GLANCE, at - now))
        with self._ledger.db.atomic(durable=True):
            going = self._ledger.state(lot.mailing) is m.State.SENDING
            rows = self._claim(lot, pace, relay) if going else None
            stamp = self._hands.mark.count(lot.mailing, rows[-1].delivery, int(self._hands.clock())) if rows else None
            # inside: who writes from here on is heard before MAIL
            version = self._seen_version()
        if stamp is not None:
            self._hands.mark.write(stamp)
        if rows is None:
            self._give_back(lot.mailing, lot.deliveries)
            return None
        for row in rows:
            self._version[row.delivery] = version

        def at_its_turn(_: int) -> float:
            turn = pace.next(self._hands.clock())
            pace.take(turn)
            return turn

        return Claim(rows, at_its_turn)

    def _claim(self, lot: Lot, pace: Pace, relay: str) -> list[Consignment]:
        """Inside the transaction: who has left is suppressed, who was tried too long expires, the rest is claimed."""
        slips = self._ledger.slips(lot.deliveries)
        late = {slip.id for slip in slips if slip.attempts and self._too_late(slip)}
        self._shift(lot.mailing, late, Event.EXPIRE)
        barred = self._hands.roster.barred([(slip.subscriber, slip.list) for slip in slips])
        left = {slip.id for slip in slips if slip.subscriber in barred} - late
        self._shift(lot.mailing, left, Event.LEAVE)
        going = [slip for slip in slips if slip.id not in left and slip.id not in late]
        self._ledger.shift(lot.mailing, [slip.id for slip in going], Event.CLAIM)
        people = self._hands.roster.people([slip.subscriber for slip in going])
        self._slips.update((slip.id, slip) for slip in going)
        if limits := self._relays[relay].limits:
            # a pace that is lost with the process must be lost on the slow side: as if all that is claimed had gone
            ahead = Pace(limits, pace.state)
            ahead.book(self._hands.clock(), len(self._slips), within=float("inf"))
            self._ledger.keep_pace(f"relay:{relay}", ahead.state)
        return [Consignment(s.id, s.mailing, s.part, s.list, people[s.subscriber]) for s in going]

    def _shift(self, number: int, ids: set[int], event: Event) -> None:
        if ids:
            self._ledger.shift(number, sorted(ids), event)
            self.watch.outcomes[event] += len(ids)

    def _too_late(self, slip: Slip) -> bool:
        first = self._ledger.first_attempt(slip.id)
        return first is not None and self._backoff.over(first, self._hands.clock())

    def _give_back(self, number: int, deliveries: Sequence[int]) -> None:
        """Nothing was tried: a later draw finds these again."""
        self._tried.difference_update(deliveries)
        if number in self._cursor:
            self._cursor[number] = min(self._cursor[number], min(deliveries) - 1)

    # the courier's desk

    def barred(self, row: Consignment) -> Event | None:
        """Whether it is time to stop, or somebody wrote since the claim; then, whether the row still may go."""
        if self._stopped:
            return Event.MISS
        version = self._seen_version()
        if version == self._version.get(row.delivery):
            return None
        if self._ledger.state(row.mailing) is not m.State.SENDING:
            return Event.MISS
        if self._hands.roster.barred([(row.subscriber.id, row.list)]):
            return Event.LEAVE
        self._version[row.delivery] = version
        return None

    def _seen_version(self) -> tuple[int, int]:
        """Changes when anybody wrote, and when we ourselves paused something."""
        return self._ledger.version(), self._pauses

    def compose(self, row: Consignment, relay: str, date: datetime) -> Envelope:
        press = self._presses.get(row.mailing)
        if press is None:
            press = self._presses[row.mailing] = self._hands.press(self._ledger.mailing(row.mailing))
        envelope = press.compose(row, relay, date)
        self._offered.add(row.delivery)
        return envelope

    async def hand(self, row: Consignment) -> None:
        self._offered.discard(row.delivery)
        await self._journal.hand(self._slips[row.delivery])

    def note(self, row: Consignment, outcome: Outcome) -> None:
        if outcome.event in (Event.MISS, Event.DEFER) and outcome.answer is not None:
            self._tried.add(outcome.delivery)
        self._settle(outcome)
        self._heed(row.mailing, outcome)

    def _settle(self, outcome: Outcome) -> None:
        self._version.pop(outcome.delivery, None)
        self._offered.discard(outcome.delivery)
        slip = self._slips.pop(outcome.delivery)
        self._journal.note(slip, outcome)
        if outcome.event is Event.MISS and outcome.answer is None:
            self._untried.append(slip)
        if self._untried or not self._slips:
            self._news.set()

    def _write(self, handed: list[Slip], outcomes: list[tuple[Slip, Outcome]]) -> set[Slip]:
        return self._ledger.record(handed, [(slip, outcome, self._due(slip, outcome)) for slip, outcome in outcomes])

    def _due(self, slip: Slip, outcome: Outcome) -> int:
        if outcome.event is not Event.DEFER:
            return 0
        return int(outcome.at + self._backoff.next(slip.attempts + 1, self._hands.dice))

    def _keep_paces(self) -> None:
        for name, pace in self._paces.items():
            if self._relays[name].limits and pace.state:
                self._ledger.keep_pace(f"relay:{name}", pace.state)

    # what an outcome means for the whole mailing

    def _heed(self, number: int, outcome: Outcome) -> None:
        """Stop a mailing that goes wrong, before it burns through the list."""
        self._tally[number][outcome.event] += 1
        answer, relay = outcome.answer, outcome.relay
        if isinstance(answer, Silence) and answer.after_dot:
            self._silences[relay] += 1
            if self._silences[relay] >= SILENCES:
                self._pause(number, f"{SILENCES} messages in a row got no answer from {relay} ({answer.why})")
        elif isinstance(answer, Reply):
            if answer.stage is Stage.DOT:
                self._silences[relay] = 0
            if answer.stage <= Stage.MAIL and judge(answer).about is About.US:
                self._pause(number, f"{relay} refuses us: {told(answer)}")
        self._stop_thresholds(number)

    def _stop_thresholds(self, number: int) -> None:
        share = self._hands.config.safety.stop_rejected
        if share is None:
            return
        tally = self._tally[number]
        tried = tally[Event.ACCEPT] + tally[Event.REJECT] + tally[Event.LOSE]
        if tried < self._hands.config.safety.stop_of_at_least:
            return
        if tally[Event.REJECT] / tried >= share:
            self._pause(number, f"{tally[Event.REJECT]} of {tried} were rejected (safety.stop_after)")

    def _pause(self, number: int, reason: str) -> None:
        # together: somebody may cancel it in between
        with self._ledger.db.atomic():
            if self._ledger.state(number) is m.State.SENDING:
                self._ledger.move(number, m.Event.PAUSE, int(self._hands.clock()), reason)
                self._pauses += 1


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
                self._begun = self._begun + more
                continue
            until = self._until(began) if wait else None
            if until is None:
                return
            idle(until)
            await self._rest(until)

    def handed_over(self) -> list[int]:
        """Mailings that others began meanwhile and left to us: asked again when the lock is given back."""
        hands = self._hands
        found = begun(hands.ledger, hands.config, int(hands.clock()), since=self._since)
        return [of.id for of in found if of.id not in self._begun]

    async def _round(self) -> None:
        running = Round(self._hands, self._begun, self._watch, self._since)
        engine = self._build(running.courier())
        self._now = running, engine
        try:
            await running.run(engine)
        finally:
            self._now = None
            self.down = dict(engine.down)
            # what the engine could not give back (an aborted connection) is settled as after a crash
            self._hands.ledger.recover(rebooted=False)
        now = int(self._hands.clock())
        # also what was handed over and sent meanwhile
        for of in self._hands.ledger.mailings(states=(m.State.SENDING,)):
            self._hands.ledger.finish_if_done(of.id, now)

    def _until(self, began: int) -> int | None:
        """When the next round is worth while: the next deferred one, or a first wait for what could not be tried.

        What was due when the last round began and still is was not tried: no relay would talk to us.
        """
        first = int(self._hands.clock() + self._hands.config.retry.after[0])
        times: list[int] = []
        for number in self._begun:
            of = self._hands.ledger.mailing(number)
            if of.state is not m.State.SENDING:
                continue
            if (ripe := self._hands.ledger.next_ripe(number)) is not None:
                times.append(ripe if ripe > began else first)
            if of.tally.get(State.PENDING):
                times.append(first)
        return min(times) if times else None

    async def _rest(self, until: int) -> None:
        """Until then, or until somebody hands a mailing over."""
        while not self.stopped and (left := until - self._hands.clock()) > 0 and not self.handed_over():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), min(left, LOOK))


def _most_a_second(relay: Relay) -> float:
    return min((limit.number / limit.seconds for limit in relay.limits), default=float("inf"))


def told(answer: Answer) -> str:
    """An answer in a few words."""
    if isinstance(answer, Reply):
        return f"{answer.code} {answer.text}"[:300]
    return answer.why[:300]
