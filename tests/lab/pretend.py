"""A world in which time passes only when nobody has anything to do, and everything can end at any step.

The program runs as it is, down to its commands. Pretended are: the clock and the event loop's waiting, the far end
of a relay's connection, and death. What a killed process leaves is a copy of its files at that instant; from then on
nothing that still unwinds in this one can reach a file of the next, or the relay.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import selectors
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from broadcaster.cli.house import House
from broadcaster.delivery import Answer, Envelope, Reply, Silence, Stage
from broadcaster.relay import Relay
from broadcaster.transports import Hand

START = 1_790_000_000.0
LATENCY = 0.01
NEVER = 10**12


class Dead(BaseException):
    """This process is no more: whatever it still does is done by nobody."""


class Stuck(AssertionError):
    """Everybody waits for somebody else, for ever."""


@dataclass
class Clock:
    """Time that passes when it is told to. `ahead`: how far the wall clock was set forward, or back."""

    passed: float = 0.0
    ahead: float = 0.0

    def wall(self) -> float:
        return START + self.passed + self.ahead


class _Selector(selectors.DefaultSelector):
    """Nothing to read: then the time that would have been waited has passed."""

    clock: Clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stuck("nobody will ever wake anybody")
            self.clock.passed += max(timeout, 0.0)
        return ready


class Loop(asyncio.SelectorEventLoop):
    """An event loop on such a clock."""

    def __init__(self, clock: Clock, over: Callable[[], None]) -> None:
        """`over` is told of what was done beside the loop, each time."""
        selector = _Selector()
        selector.clock = clock
        self._pretended = clock
        self._over = over
        super().__init__(selector)

    def time(self) -> float:
        return self._pretended.passed

    async def run_in_executor(self, _: Any, work: Callable[..., Any], *words: Any) -> Any:  # type: ignore[override]
        """No thread knows of our clock: it is done at once, and over when the others have gone on for a while."""
        result = work(*words)
        await asyncio.sleep(LATENCY / 2)
        self._over()
        return result


@dataclass(frozen=True, slots=True)
class Said:
    """Something that came to the relay: MAIL for somebody, or a message."""

    address: str
    at: float  # passed
    step: int


@dataclass
class FarEnd:
    """A relay and its mood, and what came to it. `mood` is asked for each message's moment.

    Moods: ok, later and refused at RCPT; busy and spam at the dot; 421 at MAIL; closes before or after the dot, the
    message taken or not; deaf: it does not answer at all; no: it refuses the connection; shy: 421 for a greeting.
    """

    mood: str = "ok"
    mails: list[Said] = field(default_factory=list)
    taken: list[Said] = field(default_factory=list)
    ids: dict[str, set[bytes]] = field(default_factory=dict)  # Message-IDs by address
    silences: int = 0  # after the dot
    moods: set[str] = field(default_factory=set)  # seen

    def addresses(self) -> Counter[str]:
        return Counter(said.address for said in self.taken)


MOODS = ("ok", "later", "refused", "busy", "spam", "421", "before", "after", "swallows", "deaf", "no", "shy")


class Connection:
    """A way out to the far end: what SmtpTransport is to a socket."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._open = False

    async def _step(self, what: str) -> None:
        await asyncio.sleep(LATENCY)
        self._life.step(what)

    async def open(self) -> Answer | None:
        if self._open:
            return None
        await self._step("connect")
        mood = self._life.far.mood
        if mood == "no":
            return Silence(after_dot=False, why="connection refused")
        if mood == "shy":
            return Reply(Stage.CONNECT, 421, "4.3.2 not now")
        self._open = True
        return None

    async def deliver(self, envelope: Envelope, hand: Hand) -> Answer:
        if (trouble := await self.open()) is not None:
            return trouble
        try:
            return await self._deliver(envelope, hand)
        except BaseException:
            self._open = False
            raise

    async def _deliver(self, envelope: Envelope, hand: Hand) -> Answer:
        life, far = self._life, self._life.far
        # in one go with what was asked before: who leaves from here on left too late
        far.moods.add(far.mood)
        far.mails.append(Said(envelope.recipient, life.clock.passed, life.steps))
        found = re.search(rb"^Message-ID: *(\S+)", envelope.message, re.MULTILINE | re.IGNORECASE)
        far.ids.setdefault(envelope.recipient, set()).add(found[1] if found else b"")
        life.step("mail")
        await self._step("asked")
        if far.mood == "421":
            return self._closed(Reply(Stage.MAIL, 421, "4.3.2 going down"))
        if far.mood == "later":
            return Reply(Stage.RCPT, 450, "4.2.0 come again")
        if far.mood == "refused":
            return Reply(Stage.RCPT, 550, "5.1.1 no such person")
        if far.mood == "before":
            return self._closed(Silence(after_dot=False, why="the relay closed the connection"))
        if far.mood == "deaf":
            await asyncio.sleep(300)
            life.step("deaf")
            return self._closed(Silence(after_dot=False, why="no answer for 300 s"))
        await self._step("body")
        await hand()
        life.step("marked")
        # what is written now arrives, even if we are no more: no step lies between
        mood = far.mood
        if mood not in ("busy", "spam", "after"):
            far.taken.append(Said(envelope.recipient, life.clock.passed, life.steps))
        if mood in ("after", "swallows"):
            far.silences += 1
        await self._step("dot")
        if mood == "busy":
            return Reply(Stage.DOT, 451, "4.3.0 later")
        if mood == "spam":
            return Reply(Stage.DOT, 550, "5.1.1 no such person")
        if mood == "after":
            return self._closed(Silence(after_dot=True, why="the relay closed the connection"))
        if mood == "swallows":
            await asyncio.sleep(600)
            life.step("swallowed")
            return self._closed(Silence(after_dot=True, why="no answer for 600 s"))
        return Reply(Stage.DOT, 250, "2.0.0 Ok")

    def _closed(self, answer: Answer) -> Answer:
        self._open = False
        return answer

    async def close(self) -> None:
        if self._open:
            self._open = False
            await asyncio.sleep(LATENCY)


class Life:
    """One process after another in one workspace. Each step of the one that lives can be its last."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.far = FarEnd()
        self.boot = 1
        self.steps = 0
        self.dead = False
        self.end = NEVER  # the step of its death
        self.fuse = NEVER  # or so many steps after it has first met the relay
        self.power: float | None = None
        self.meetings = 0  # with the relay, where others may do something meanwhile
        self.plans: dict[int, Callable[[], None]] = {}
        self.disk: Callable[[str], None] = lambda sql: None  # may raise what SQLite would, before each statement
        self.on_disk = 0  # bytes of the WAL that a power cut leaves
        self._on_its_way = 0  # of them that somebody waits for
        self._image = root / "image"

    def step(self, what: str, *, busy: bool = False) -> None:
        """One more thing happens; what is planned for this moment happens first. `busy`: a transaction is open."""
        del what  # seen in a debugger
        if self.dead:
            raise Dead
        self.steps += 1
        if self.steps >= self.end:
            self.end = NEVER
            self.die(power=self.power)
            raise Dead
        if not busy:
            self.meetings += 1
            if self.meetings == 1 and self.fuse != NEVER:
                self.end = self.steps + self.fuse
            if (plan := self.plans.pop(self.meetings, None)) is not None:
                plan()
                if self.dead:
                    raise Dead

    # death

    @property
    def _folder(self) -> Path:
        return self.root / "subscribers"

    @property
    def _log(self) -> Path:
        return self._folder / "broadcaster.db-wal"

    def die(self, *, power: float | None = None) -> None:
        """kill -9. With `power` (0 … 1) the machine too: of what was not on the disk for sure, so much is."""
        shutil.rmtree(self._image, ignore_errors=True)
        shutil.copytree(self._folder, self._image, ignore=shutil.ignore_patterns("*-shm"))
        log = self._image / self._log.name
        if power is not None:
            self.boot += 1
            if log.exists():
                size = log.stat().st_size
                os.truncate(log, self.on_disk + int((size - self.on_disk) * power))
        self.dead = True
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])

    def rise(self) -> None:
        """The next process finds what the dead one left."""
        if self.dead:
            shutil.rmtree(self._folder)
            self._image.rename(self._folder)
            self.on_disk = self._on_its_way = self._log.stat().st_size if self._log.exists() else 0
            self.dead = False
        self.plans.clear()
        self.meetings, self.end, self.fuse, self.power = 0, NEVER, NEVER, None

    # the world around the program

    @contextmanager
    def around(self) -> Iterator[None]:
        """Within: commands run on our clock, send to our far end, and may die."""
        life = self

        class Shelter(House):
            def clock(self) -> float:
                return life.clock.wall()

            @property
            def now(self) -> int:
                return int(life.clock.wall())

            def transport(self, relay: Relay) -> Any:
                return Connection(life)

        with (
            mock.patch("broadcaster.cli.house.House", Shelter),
            mock.patch("broadcaster.cli.send.looped", self._looped),
            mock.patch("broadcaster.broadcast.boot_id", return_value=f"boot {self.boot}"),
            mock.patch("sqlite3.connect", self._connect),
            mock.patch("os.fdatasync", self._write_out),
        ):
            yield

    def _looped(self, work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: Loop(self.clock, self._reached)) as runner:
            runner.run(work)

    def _write_out(self, _: int) -> None:
        """Nothing but the log of the database is written out so."""
        self.step("committed, and on no disk yet")
        try:
            self.disk("fdatasync")
        except sqlite3.OperationalError as error:
            raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
        self._on_its_way = self._log.stat().st_size

    def _reached(self) -> None:
        """What was committed when somebody began to wait for the disk is on it; not what was committed since."""
        self.on_disk = max(self.on_disk, self._on_its_way)
        self.step("on the disk")

    def _connect(self, *words: Any, **more: Any) -> sqlite3.Connection:
        life = self
        if not self._log.exists():
            self.on_disk = self._on_its_way = 0

        class Mortal(sqlite3.Connection):
            """Each statement is a step; each commit that is to be on the disk is."""

            full = False

            def execute(self, sql: str, *words: Any) -> sqlite3.Cursor:
                life.step(sql, busy=True)
                life.disk(sql)
                result = super().execute(sql, *words)
                if sql.startswith("pragma synchronous ="):
                    self.full = sql.endswith("full")
                if sql == "commit":
                    if self.full and life._log.exists():
                        life.on_disk = life._log.stat().st_size
                    life.step("committed", busy=True)
                return result

            def executemany(self, sql: str, *words: Any) -> sqlite3.Cursor:
                life.step(sql, busy=True)
                life.disk(sql)
                return super().executemany(sql, *words)

        made: sqlite3.Connection = _connect(*words, **{**more, "factory": Mortal})
        return made


_connect = sqlite3.connect
