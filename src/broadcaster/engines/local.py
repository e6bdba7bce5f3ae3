"""The engine of one machine: some connections to each relay, as tasks that pull lots from one source.

A connection stands before anything is claimed, so a dead relay claims nobody. How many there are
follows Postfix's feedback (pace.Window): fewer on connection errors and 421, more again on success.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from broadcaster.delivery import About, Answer, Event, Outcome, Reply, Silence, Stage, crowded, judge
from broadcaster.engines import Attempt, Claim, Lot, R, Start
from broadcaster.pace import Window
from broadcaster.transports import Transport

PATIENCE = 3.0  # rounds of failures without a success before a relay is left alone
SILENCES = 3  # after the dot, in a row: something in between is broken
LONGEST_NAP = 60.0
COOLING, LONGEST_COOLING = 60.0, 600.0  # how long a dead relay is left alone, doubled each time
IDLE = 30.0  # seconds without work before a connection says goodbye
FULL = 256  # outcomes that nobody has fetched: the connections wait
LATELY = 2.0  # a relay that took a lot within so many seconds is at work
SOON = 0.25  # whoever lets another one go first looks again
A_MOMENT = 0.01


@dataclass(frozen=True, slots=True)
class Way:
    """One relay as the engine sees it: how many connections at most, how to make one, its share of the lots."""

    name: str
    connections: int
    connect: Callable[[], Transport]
    weight: int = 1


class LocalEngine(Generic[R]):
    """Carries lots over its relays; made for one run.

    A relay that is dead or refuses us is in `down`. The dead one is tried again after a while, as long as another
    one is not; when all are, the run ends, and what was not claimed stays as it was.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        attempt: Attempt[R],
        *,
        clock: Callable[[], float] = time.time,
        nap: float = 1.0,
        cooling: float = COOLING,
    ) -> None:
        """`nap`: seconds of rest after a relay's first failure, doubled with each round of them, up to a minute.

        `cooling`: seconds for which a dead one is left alone.
        """
        self.down: dict[str, Answer] = {}
        self.gone: set[str] = set()  # of them those that do not come back
        self.stopping = False
        self.attempt = attempt
        self.clock = clock
        self.nap = nap
        self.cooling = cooling
        self._ways = ways
        self._naps: set[asyncio.Future[None]] = set()
        self.free: set[asyncio.Task[None]] = set()  # connections that hold no claim
        self._source: _Source | None = None
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Let open transactions finish, try nothing more. Who only waits, connects or asks for a claim is cut off."""
        self.stopping = True
        if self._source:
            self._source.close()
        for nap in self._naps:
            if not nap.done():
                nap.set_result(None)
        for waiting in self.free:
            waiting.cancel()

    def leave(self, relay: str, answer: Answer) -> None:
        """Use this relay no more in this run: it refuses us."""
        self.gone.add(relay)
        self.down.setdefault(relay, answer)
        if self._source:
            self._source.ring()

    async def run(self, lots: AsyncIterator[Lot], start: Start[R]) -> AsyncGenerator[Outcome, None]:
        """See Engine.run. Closing the iterator (contextlib.aclosing) cuts everything off at once."""
        outbox = _Outbox(sum(way.connections for way in self._ways))
        self._source = source = _Source(lots, self.fail)
        if self.stopping:
            source.close()
        relays = [_Relay(way, self, source, outbox, start) for way in self._ways]
        for relay in relays:
            relay.rivals = [other for other in relays if other is not relay]
        tasks = [asyncio.create_task(relay.connection(n)) for relay in relays for n in range(relay.way.connections)]
        self.free.update(tasks)
        for task in tasks:
            # not in the task: one that is cut off before its first step never runs
            task.add_done_callback(outbox.leave)
        try:
            while batch := await outbox.fetch():
                for outcome in batch:
                    yield outcome
            if self._failure is not None:
                raise self._failure
        finally:
            source.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(source.feeder, *tasks, return_exceptions=True)

    def fail(self, error: Exception) -> None:
        """Something that is not an answer: the others finish what they have begun, then it is raised."""
        self._failure = self._failure or error
        self.stop()

    @property
    def over(self) -> bool:
        """No relay is left that could be used."""
        return len(self.down) == len(self._ways)

    async def rest(self, seconds: float) -> None:
        """Wait, unless it is time to stop."""
        if self.stopping:
            return
        loop = asyncio.get_running_loop()
        nap: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _end, nap)
        self._naps.add(nap)
        try:
            await nap
        finally:
            timer.cancel()
            self._naps.discard(nap)


def _end(nap: asyncio.Future[None]) -> None:
    if not nap.done():
        nap.set_result(None)


class _Relay(Generic[R]):
    """One relay's connections and what they have learnt together. Times are those of the event loop's clock."""

    def __init__(self, way: Way, engine: LocalEngine[R], source: _Source, outbox: _Outbox, start: Start[R]) -> None:
        self.way = way
        self.rivals: list[_Relay[R]] = []
        self._engine = engine
        self._source = source
        self._outbox = outbox
        self._start = start
        self._window = Window(way.connections, initial=1)
        self._proven = False  # it talks to us: what one connection finds out, five need not
        self._busy = 0
        self._row_of_failures = 0
        self._silences = 0
        self._until = 0.0  # nobody connects before
        self._cooling = 0.0  # how long it was left alone, 0 when it was not
        self._later = self._later_by_the_wall = 0.0  # its pace allows nothing before
        self._share = 0.0  # what it took, by weight
        self._took = float("-inf")  # when
        self._idle = 0  # connections that stand and want work
        self._each = 0.0  # seconds that a message takes one of them

    async def connection(self, number: int) -> None:
        """The life of one connection."""
        transport: Transport | None = None
        try:
            transport = self.way.connect()
            stands = False
            while await self._turn(number, transport, stands):
                trouble = await transport.open()
                stands = trouble is None
                if trouble is not None:
                    self._failed(trouble, opening=True)
                elif not self._proven:
                    self._prove()
                elif (lot := self._take()) is not None:
                    await self._try(lot, transport)
        except Exception as error:
            self._engine.free.discard(_this_task())
            self._engine.fail(error)
        finally:
            self._engine.free.discard(_this_task())
            if transport is not None:
                await transport.close()

    async def _turn(self, number: int, transport: Transport, stands: bool) -> bool:
        """Wait until this connection has something to do. False: never again. Without work, it does not stand long."""
        since = 0.0
        while True:
            bell = self._source.bell
            if self.way.name in self._engine.gone or self._engine.over or self._source.over:
                return False
            now = _monotonic()
            # fewer connections for a while: this one is the one to go
            surplus = number >= self._window.size
            if not surplus:
                if self._resting(now):
                    self._source.ring_at(min(max(self._until, self._later), now + IDLE))
                else:
                    # a dead one that has cooled down is no more left alone
                    self._engine.down.pop(self.way.name, None)
                    if self._source.ready and self._mine(now):
                        return True
            since = since or now
            if stands and (surplus or now >= since + IDLE):
                await transport.close()
                stands = False
                continue  # there may be work by now
            if stands:
                self._source.ring_at(since + IDLE)
            idle = stands and not surplus and not self._resting(now)
            # who rests after a failure asks too: there may be nothing any more to rest for
            wants = not surplus and not self._paced(now)
            self._idle += idle
            self._source.want(wants)
            try:
                await bell.wait()
            finally:
                self._source.want(-wants)
                self._idle -= idle

    def _prove(self) -> None:
        """The first connection stands: now the others, unless it was alone because the relay had failed before."""
        self._proven = True
        if not self._cooling:
            self._window = Window(self.way.connections)
            self._source.ring()

    # whose turn it is

    def _mine(self, now: float) -> bool:
        """Whether this relay may take the next lot: not when it is ahead of one that would take it now."""
        return not self.rivals or not any(self._waits_for(rival, now) for rival in self.rivals)

    def _waits_for(self, rival: _Relay[R], now: float) -> bool:
        """Whether a rival has had less than its share, and is able to have more: slow or paced, it holds up nobody."""
        if rival._share >= self._share or rival._resting(now) or rival.way.name in self._engine.down:
            return False
        if rival._idle:
            self._source.ring_at(now + SOON)
            return True
        lot = self._source.head
        slack = len(lot.deliveries) / self.way.weight if lot is not None else 0.0
        # of which nothing is known yet is given the benefit of the doubt
        slow = rival._speed and 2 * rival._speed < self._speed
        if slow or now - rival._took >= LATELY or self._share - rival._share <= slack:
            return False
        self._source.ring_at(rival._took + LATELY)
        return True

    def _resting(self, now: float) -> bool:
        """Whether it may not be used yet."""
        return self._until > now or self._paced(now)

    def _paced(self, now: float) -> bool:
        """Whether its pace allows nothing yet. It goes by the wall's clock, which may jump: the earlier one counts."""
        return self._later > now and self._later_by_the_wall > self._engine.clock()

    @property
    def _speed(self) -> float:
        """Messages a second that all its connections together could carry, as seen in this run."""
        return self._window.size / self._each if self._each else 0.0

    def _take(self) -> Lot | None:
        """The next lot, unless another connection was faster."""
        now = _monotonic()
        lot = self._source.head
        if lot is None or not self._mine(now):
            return None
        part = len(lot.deliveries) / self.way.weight
        # who is behind and does not want this one has no right to it later
        for rival in self.rivals:
            rival._share = max(rival._share, self._share - part)
        self._share += part
        self._took = now
        return self._source.take()

    async def _try(self, lot: Lot, transport: Transport) -> None:
        """Ask for a claim, and carry it."""
        claim = await self._start(lot, self.way.name)
        if isinstance(claim, Claim):
            self._share -= (len(lot.deliveries) - len(claim.rows)) / self.way.weight
            await self._carry(claim, transport)
            return
        self._share -= len(lot.deliveries) / self.way.weight
        if claim is not None:
            self._later_by_the_wall = claim.at
            self._later = _monotonic() + max(A_MOMENT, claim.at - self._engine.clock())
            self._source.put_back(lot)

    # the work

    async def _carry(self, claim: Claim[R], transport: Transport) -> None:
        """Try the rows of a claim; those that are not reached are missed."""
        engine, name, rows, outbox = self._engine, self.way.name, claim.rows, self._outbox
        tried, begun, task = 0, _monotonic(), _this_task()
        self._busy += 1
        engine.free.discard(task)
        try:
            for row in rows:
                if engine.stopping or name in engine.down:
                    return
                # who connects has nothing of it on a wire
                engine.free.add(task)
                trouble = await transport.open()
                engine.free.discard(task)
                if trouble is not None:
                    self._failed(trouble, opening=True)
                    return
                while seconds := claim.wait(tried):
                    await engine.rest(seconds)
                    if engine.stopping:
                        return
                if seconds is None:
                    return
                tried += 1
                outcome = await engine.attempt(row, transport, name)
                self._learn(outcome)
                outbox.put(outcome)
                if outbox.full:
                    await outbox.room()
        finally:
            self._busy -= 1
            engine.free.add(task)
            if tried:
                each = (_monotonic() - begun) / tried
                self._each = 0.7 * self._each + 0.3 * each if self._each else each
            for row in rows[tried:]:
                outbox.put(Outcome(row.delivery, Event.MISS, None, name, engine.clock(), "not tried"))

    def _learn(self, outcome: Outcome) -> None:
        """What an outcome says about the relay, whatever it says about the person."""
        answer = outcome.answer
        if answer is None:
            return
        if outcome.event is Event.DEFER and judge(answer).event is Event.MISS:
            # broken off again and again, as no other: that is no sign of a dead relay, which may rest all the same
            self._until = max(self._until, _monotonic() + self._engine.nap)
            return
        if isinstance(answer, Silence):
            if answer.after_dot:
                self._silences += 1
            self._failed(answer, fatal=self._silences >= SILENCES)
        elif outcome.event is Event.ACCEPT:
            self._silences = 0
            self._answered()
        elif answer.stage <= Stage.AUTH or answer.code == 421 or crowded(answer):
            self._failed(answer)
        elif answer.stage is Stage.MAIL and judge(answer).about is About.US:
            self._failed(answer, fatal=True)
        else:
            if answer.stage is Stage.DOT:
                self._silences = 0
            self._answered()

    def _answered(self) -> None:
        self._row_of_failures = 0
        self._cooling = 0.0
        before = self._window.size
        self._window.succeed(self._busy)
        if self._window.size > before:
            self._source.ring()

    def _failed(self, answer: Answer, *, opening: bool = False, fatal: bool = False) -> None:
        """A connection that failed. A relay that refuses us is left for good, one that only fails is left for a while.

        One that was closed in the middle is opened again at once: many relays close after so many
        messages. What cannot be opened, or fails again, gets a rest.
        """
        self._window.fail()
        self._row_of_failures += 1
        refused = isinstance(answer, Reply) and answer.stage <= Stage.AUTH and judge(answer).about is About.US
        if fatal or refused:
            self._engine.leave(self.way.name, answer)
        elif self._window.cohorts >= PATIENCE or (opening and self._cooling):
            self._cool(answer)
        elif opening or self._row_of_failures > 1:
            nap = min(LONGEST_NAP, self._engine.nap * 2 ** int(self._window.cohorts))
            self._until = max(self._until, _monotonic() + nap)

    def _cool(self, answer: Answer) -> None:
        """Leave a dead relay alone; then one connection finds out whether it is alive again."""
        if self.way.name in self._engine.down:
            return  # another connection of it has died as well
        self._cooling = min(2 * self._cooling, LONGEST_COOLING) or self._engine.cooling
        self._until = _monotonic() + self._cooling
        self._window = Window(self.way.connections, initial=1)
        self._engine.down[self.way.name] = answer
        self._source.ring()


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


class _Source:
    """The lots, and a bell for all who wait for something to change. One is drawn when a connection wants it, and not
    before: what goes first may be another one by then."""

    def __init__(self, lots: AsyncIterator[Lot], fail: Callable[[Exception], None]) -> None:
        self._lots = lots
        self._fail = fail
        self._next: Lot | None = None
        self._back: list[Lot] = []  # not yet, said a relay's pace
        self._ended = self._closed = False
        self.bell = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0  # when; uvloop's handle cannot tell of what is due at once
        self._wanting = 0
        self._call = asyncio.Event()
        self.feeder = asyncio.ensure_future(self._feed())

    async def _feed(self) -> None:
        try:
            await self._call.wait()
            async for lot in self._lots:
                self._next = lot
                self.ring()
                while self._next is not None or not self._wanting:
                    self._call.clear()
                    await self._call.wait()
        except Exception as error:
            self._fail(error)
        finally:
            self._ended = True
            self.ring()

    @property
    def head(self) -> Lot | None:
        """The lot that would be taken."""
        return self._back[-1] if self._back else self._next

    @property
    def ready(self) -> bool:
        """There is a lot to take."""
        return self.head is not None

    @property
    def over(self) -> bool:
        """There is none and there will be none."""
        return self._ended and self.head is None

    def take(self) -> Lot | None:
        """The lot, unless another connection was faster."""
        if self._back:
            return self._back.pop()
        lot, self._next = self._next, None
        self._call.set()
        return lot

    def want(self, connections: int) -> None:
        """So many connections more, or less, wait for a lot."""
        self._wanting += connections
        if connections > 0:
            self._call.set()

    def put_back(self, lot: Lot) -> None:
        """Not yet, or through another relay."""
        if not self._closed:
            self._back.append(lot)
        self.ring()

    def close(self) -> None:
        """No more lots. Those that were looked at are given to nobody."""
        self._next = None
        self._back.clear()
        self._ended = self._closed = True
        self.feeder.cancel()
        self.ring()
        if self._timer is not None:
            self._timer.cancel()

    def ring(self) -> None:
        """Wake all who wait, to look again. A bell rings once: who took it before he looked misses nothing."""
        self.bell.set()
        self.bell = asyncio.Event()

    def ring_at(self, when: float) -> None:
        """Ring then, or before. Whoever wants it later asks again."""
        if self._timer is None or self._rings > when:
            if self._timer is not None:
                self._timer.cancel()
            self._rings = when
            self._timer = asyncio.get_running_loop().call_at(when, self._rung)

    def _rung(self) -> None:
        self._timer = None
        self.ring()


class _Outbox:
    """Outcomes on their way to the story. It is empty for good when the last connection has left."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._waiting: list[Outcome] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def put(self, outcome: Outcome) -> None:
        self._waiting.append(outcome)
        self._filled.set()

    @property
    def full(self) -> bool:
        """So many are waiting that the connections should."""
        return len(self._waiting) >= FULL

    async def room(self) -> None:
        """Wait until it is not full."""
        while self.full:
            self._emptied.clear()
            await self._emptied.wait()

    def leave(self, _: object) -> None:
        """A connection has ended."""
        self._connections -= 1
        self._filled.set()

    async def fetch(self) -> list[Outcome]:
        """What has come, at least one; none when nothing will come any more."""
        while not self._waiting and self._connections > 0:
            self._filled.clear()
            await self._filled.wait()
        batch, self._waiting = self._waiting, []
        self._emptied.set()
        return batch
