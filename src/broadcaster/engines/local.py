"""The engine of one machine: some connections to each relay, as tasks that pull lots from one source.

A connection stands before anything is claimed, so a dead relay claims nobody. How many there are
follows Postfix's feedback (pace.Window): fewer on connection errors and 421, more again on success.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from broadcaster.delivery import About, Answer, Event, Outcome, Reply, Silence, Stage, judge
from broadcaster.engines import Attempt, Claim, Lot, R, Start
from broadcaster.pace import Window
from broadcaster.transports import Transport

PATIENCE = 3.0  # rounds of failures without a success before a relay is left alone
SILENCES = 3  # after the dot, in a row: something in between is broken
LONGEST_NAP = 60.0
IDLE = 30.0  # seconds without work before a connection says goodbye
FULL = 256  # outcomes that nobody has fetched: the connections wait


@dataclass(frozen=True, slots=True)
class Way:
    """One relay as the engine sees it: how many connections at most, and how to make one."""

    name: str
    connections: int
    connect: Callable[[], Transport]


class LocalEngine(Generic[R]):
    """Carries lots over its relays; made for one run.

    `down` names the relays that were given up, each with the answer that decided it. When all are, the
    run ends; what was not claimed stays as it was.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        attempt: Attempt[R],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        nap: float = 1.0,
    ) -> None:
        """`nap`: seconds of rest after a relay's first failure, doubled with each round of them, up to a minute."""
        self.down: dict[str, Answer] = {}
        self.stopping = False
        self.attempt = attempt
        self.clock = clock
        self.nap = nap
        self._ways = ways
        self._sleep = sleep
        self._naps: set[asyncio.Future[None]] = set()
        self.free: set[asyncio.Task[None]] = set()  # connections that hold no claim
        self._source: _Source | None = None
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Let open transactions finish, try nothing more. Who only waits, connects or asks for a claim is cut off."""
        self.stopping = True
        if self._source:
            self._source.close()
        for waiting in (*self._naps, *self.free):
            waiting.cancel()

    async def run(self, lots: AsyncIterator[Lot], start: Start[R]) -> AsyncGenerator[Outcome, None]:
        """See Engine.run. Closing the iterator (contextlib.aclosing) cuts everything off at once."""
        outbox = _Outbox(sum(way.connections for way in self._ways))
        self._source = source = _Source(lots, self.fail)
        if self.stopping:
            source.close()
        relays = [_Relay(way, self, source, outbox, start) for way in self._ways]
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

    async def rest(self, seconds: float) -> None:
        """Wait, unless it is time to stop."""
        if self.stopping or seconds <= 0:
            return
        nap: asyncio.Future[None] = asyncio.ensure_future(self._sleep(seconds))
        self._naps.add(nap)
        try:
            await asyncio.wait({nap})
        finally:
            nap.cancel()
            self._naps.discard(nap)


class _Relay(Generic[R]):
    """One relay's connections and what they have learnt together."""

    def __init__(self, way: Way, engine: LocalEngine[R], source: _Source, outbox: _Outbox, start: Start[R]) -> None:
        self.way = way
        self._engine = engine
        self._source = source
        self._outbox = outbox
        self._start = start
        self._window = Window(way.connections)
        self._busy = 0
        self._row_of_failures = 0
        self._silences = 0
        self._until = 0.0  # nobody connects before

    async def connection(self, number: int) -> None:
        """The life of one connection."""
        transport: Transport | None = None
        try:
            transport = self.way.connect()
            while await self._turn(number, transport):
                trouble = await transport.open()
                if trouble is not None:
                    self._failed(trouble, opening=True)
                elif lot := self._source.take():
                    claim = await self._start(lot, self.way.name)
                    if claim is not None:
                        await self._carry(claim, transport)
        except Exception as error:
            self._engine.free.discard(_this_task())
            self._engine.fail(error)
        finally:
            self._engine.free.discard(_this_task())
            if transport is not None:
                await transport.close()

    async def _turn(self, number: int, transport: Transport) -> bool:
        """Wait until this connection has something to do. False: never again."""
        while True:
            bell = self._source.bell
            if self.way.name in self._engine.down or self._source.over:
                return False
            if number >= self._window.size:
                # fewer connections for a while: this one is the one to go
                await transport.close()
                await bell.wait()
            elif (wait := self._until - _monotonic()) > 0:
                await self._rest(wait, bell)
            elif self._source.ready:
                return True
            else:
                await self._idle(transport, bell)

    async def _rest(self, seconds: float, bell: asyncio.Event) -> None:
        """So long, or until something has changed."""
        either = {asyncio.ensure_future(self._engine.rest(seconds)), asyncio.ensure_future(bell.wait())}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    async def _idle(self, transport: Transport, bell: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(IDLE):
                await bell.wait()
        except TimeoutError:
            await transport.close()

    async def _carry(self, claim: Claim[R], transport: Transport) -> None:
        """Try the rows of a claim; those that are not reached are missed."""
        engine, name, rows = self._engine, self.way.name, claim.rows
        tried = 0
        self._busy += 1
        engine.free.discard(_this_task())
        try:
            for i, row in enumerate(rows):
                if engine.stopping or name in engine.down:
                    return
                if (trouble := await transport.open()) is not None:
                    self._failed(trouble, opening=True)
                    return
                # once: a clock that is set back meanwhile must not keep anybody waiting
                await engine.rest(claim.at(i) - engine.clock())
                if engine.stopping:
                    return
                tried = i + 1
                outcome = await engine.attempt(row, transport, name)
                self._learn(outcome)
                await self._outbox.put(outcome)
        finally:
            self._busy -= 1
            engine.free.add(_this_task())
            if tried < len(rows):
                now = engine.clock()
                self._outbox.add(
                    Outcome(row.delivery, Event.MISS, None, name, now, "not tried") for row in rows[tried:]
                )

    def _learn(self, outcome: Outcome) -> None:
        """What an outcome says about the relay, whatever it says about the person."""
        answer = outcome.answer
        if answer is None:
            return
        if isinstance(answer, Silence) and answer.after_dot:
            self._silences += 1
            self._failed(answer, fatal=self._silences >= SILENCES)
        elif isinstance(answer, Silence) or answer.stage <= Stage.AUTH or answer.code == 421:
            self._failed(answer)
        elif answer.stage is Stage.MAIL and answer.code >= 500:
            self._failed(answer, fatal=True)
        else:
            self._row_of_failures = 0
            if answer.stage is Stage.DOT:
                self._silences = 0
            before = self._window.size
            self._window.succeed(self._busy)
            if self._window.size > before:
                self._source.ring()

    def _failed(self, answer: Answer, *, opening: bool = False, fatal: bool = False) -> None:
        """A connection that failed. A relay that refuses us, or only fails, is left alone.

        One that was closed in the middle is opened again at once: many relays close after so many
        messages. What cannot be opened, or fails again, gets a rest.
        """
        self._window.fail()
        self._row_of_failures += 1
        refused = isinstance(answer, Reply) and answer.stage <= Stage.AUTH and judge(answer).about is About.US
        if fatal or refused or self._window.cohorts >= PATIENCE:
            self._engine.down.setdefault(self.way.name, answer)
            self._source.ring()
        elif opening or self._row_of_failures > 1:
            nap = min(LONGEST_NAP, self._engine.nap * 2 ** int(self._window.cohorts))
            self._until = max(self._until, _monotonic() + nap)


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


class _Source:
    """The lots, one looked at ahead, and a bell for all who wait for something to change."""

    def __init__(self, lots: AsyncIterator[Lot], fail: Callable[[Exception], None]) -> None:
        self._lots = lots
        self._fail = fail
        self._head: Lot | None = None
        self._ended = False
        self.bell = asyncio.Event()
        self._room = asyncio.Event()
        self.feeder = asyncio.ensure_future(self._feed())

    async def _feed(self) -> None:
        try:
            async for lot in self._lots:
                self._head = lot
                self.ring()
                self._room.clear()
                await self._room.wait()
        except Exception as error:
            self._fail(error)
        finally:
            self._ended = True
            self.ring()

    @property
    def ready(self) -> bool:
        """There is a lot to take."""
        return self._head is not None

    @property
    def over(self) -> bool:
        """There is none and there will be none."""
        return self._ended and self._head is None

    def take(self) -> Lot | None:
        """The lot, unless another connection was faster."""
        lot, self._head = self._head, None
        self._room.set()
        return lot

    def close(self) -> None:
        """No more lots. The one that was looked at is given to nobody."""
        self._head = None
        self._ended = True
        self.feeder.cancel()
        self.ring()

    def ring(self) -> None:
        """Wake all who wait, to look again. A bell rings once: who took it before he looked misses nothing."""
        self.bell.set()
        self.bell = asyncio.Event()


class _Outbox:
    """Outcomes on their way to the story. It is empty for good when the last connection has left."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._waiting: list[Outcome] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    def add(self, outcomes: Iterable[Outcome]) -> None:
        self._waiting += outcomes
        self._filled.set()

    async def put(self, outcome: Outcome) -> None:
        """Add one; wait where too many are waiting."""
        self._waiting.append(outcome)
        self._filled.set()
        while len(self._waiting) >= FULL:
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
