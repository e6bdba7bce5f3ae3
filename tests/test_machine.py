"""Anything may happen, in any order: the contract of sending, as what is true after every step.

The commands are the real ones, over the real ledger, round and engine; time, the relay's far end and death are
pretended (tests.lab.pretend), so that a thousand lives pass in a minute and each can end between any two statements.
"""

from __future__ import annotations

import functools
import shutil
import signal
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conftest import Ran
from tests.lab.audit import OPEN, UNSURE, Books, audit
from tests.lab.pretend import MOODS, Dead, Life
from tests.lab.world import world

PEOPLE = 6
TODO = {"421", "before", "deaf"}
SHM = Path("/dev/shm")

people = st.integers(1, PEOPLE).map("p{}@example.org".format)
# what others do, between senders and while one is at work
happenings = st.one_of(
    st.tuples(st.just("mood"), st.sampled_from(MOODS)),
    st.tuples(st.just("leave"), people),
    st.tuples(st.sampled_from(["pause", "resume", "interrupt", "run"]), st.just("")),
    st.tuples(st.just("clock"), st.sampled_from(["-10800", "-2", "3600"])),
)
plans = st.dictionaries(st.integers(1, 40), happenings, max_size=2)
# from when it meets the relay, a sender of six has some two hundred steps
fuses = st.sampled_from(range(1, 180))


class Sending(RuleBasedStateMachine):
    """One mailing, and all that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(dir=SHM if SHM.exists() else None))
        self.world = world(self._folder / "workspace", PEOPLE)
        self.life = Life(self.world.root)
        self.left: dict[str, int] = {}  # who left → at which step
        self.held: list[tuple[int, float]] = []  # paused from this step on, to that one
        self.resent: Counter[str] = Counter()
        self.by_word: set[str] = set()
        self.doubts = 0  # so many there may be
        self.cut: set[str] = set()  # claimed when the power went
        self.jumped = False
        self.limits: tuple[tuple[int, int], ...] = ()

    @initialize(
        connections=st.integers(1, 3),
        limits=st.sampled_from([(), ((5, 1),), ((2, 1), (20, 3600))]),
    )
    def begin(self, connections: int, limits: tuple[tuple[int, int], ...]) -> None:
        self.connections, self.limits = connections, limits
        words = [f"{number}/{'s' if seconds == 1 else 'h'}" for number, seconds in limits]
        self.world.configure(9, connections, limits=str(words).replace("'", '"'))

    # what people and cron do

    def command(self, *words: str) -> Ran | None:
        """Run a command to its end, or to its death."""
        try:
            with self.life.around():
                return self.world.run(*words, status=None)
        except Dead:
            return None

    @precondition(lambda self: not self.over)
    @rule(cron=st.booleans(), plans=plans)
    def send(self, cron: bool, plans: dict[int, tuple[str, str]]) -> None:
        """A sender that lives, while others do this and that."""
        ran = self.sender(cron, plans)
        assert ran is not None
        assert ran.status in (0, 69, 75, 77, 130), ran
        if ran.status == 0 and not cron:
            assert self.world.books().state == "finished", ran

    @precondition(lambda self: not self.over)
    @rule(cron=st.booleans(), plans=plans, fuse=fuses)
    def killed(self, cron: bool, plans: dict[int, tuple[str, str]], fuse: int) -> None:
        """kill -9, between any two statements."""
        self.life.fuse = fuse
        self.sender(cron, plans)

    @precondition(lambda self: not self.over)
    @rule(step=st.sampled_from(range(30, 150)), power=st.one_of(st.none(), st.floats(0, 1)))
    def killed_at_once(self, step: int, power: float | None) -> None:
        """Before it meets the relay, while it takes over from the dead one before it."""
        self.life.end, self.life.power = self.life.steps + step, power
        self.sender(False, {})

    @precondition(lambda self: not self.over)
    @rule(cron=st.booleans(), plans=plans, fuse=fuses, power=st.floats(0, 1))
    def cut_off(self, cron: bool, plans: dict[int, tuple[str, str]], fuse: int, power: float) -> None:
        """The power goes, and what was not on the disk with it, all or some of it."""
        self.life.fuse, self.life.power = fuse, power
        self.sender(cron, plans)

    def sender(self, cron: bool, plans: dict[int, tuple[str, str]]) -> Ran | None:
        life = self.life
        life.plans = {at: functools.partial(self.happen, *what) for at, what in plans.items()}
        begun = self.world.books().state == "sending"
        ran = self.command("run") if cron and begun else self.command("send", "1", "--yes")
        power, died = life.power, life.dead
        life.rise()
        if died:
            self.died(power)
        return ran

    def died(self, power: float | None) -> None:
        books = self.world.books()
        assert books.counted["handed"] <= self.connections
        self.doubts += self.connections
        if power is not None:
            # the marks of handing may be gone: all that was claimed is a doubt, as soon as somebody looks
            self.cut |= books.people("claimed")
            self.doubts += books.counted["claimed"]

    def happen(self, what: str, which: str) -> None:
        """Whatever the mailing's state allows."""
        if what == "mood":
            self.life.far.mood = which
        elif what == "clock":
            self.life.clock.ahead += float(which)
            self.jumped = True
        elif what == "interrupt":
            signal.raise_signal(signal.SIGINT)
        elif what == "leave":
            self.world.run("subscribers", "unsubscribe", which)
            self.left.setdefault(which, self.life.steps)
        elif what == "run":
            # somebody else is at work: it says so by its status alone
            self.world.run("run", status=(0, 75))
        else:
            self.control(what)

    def control(self, what: str) -> None:
        words = (what, "1", "--yes") if what == "cancel" else (what, "1")
        ran = self.world.run(*words, status=(0, 77))
        if ran.status == 0 and what in ("pause", "cancel"):
            self.held.append((self.life.steps, float("inf")))
        if ran.status == 0 and what == "resume":
            self.held = [(since, min(until, self.life.steps)) for since, until in self.held]

    @rule(happening=happenings.filter(lambda one: one[0] not in ("interrupt", "run")))
    def between(self, happening: tuple[str, str]) -> None:
        with self.life.around():
            self.happen(*happening)

    @rule(seconds=st.sampled_from([1.0, 400.0, 4000.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.life.clock.passed += seconds

    @precondition(lambda self: self.life.steps > 600)
    @rule()
    def cancelled(self) -> None:
        with self.life.around():
            self.control("cancel")

    @precondition(lambda self: self.world.books().people(*UNSURE))
    @rule(resend=st.booleans())
    def resolve(self, resend: bool) -> None:
        """What a dead sender held is a doubt as well, or waits again: that is seen to first."""
        before = self.world.books()
        ran = self.command("resolve", "1", "--resend" if resend else "--accept", "--yes")
        assert ran is not None
        assert ran.status == 0, ran
        after = self.world.books()
        assert not after.people(*UNSURE)
        if resend:
            self.resent.update((before.people(*UNSURE) | self.cut) & after.people("pending", "cancelled"))
        else:
            self.by_word |= after.people("accepted") - before.people("accepted")

    @property
    def over(self) -> bool:
        return self.world.books().state in ("finished", "cancelled")

    # the contract

    @invariant()
    def the_books_are_true(self) -> None:
        books, far = self.world.books(), self.life.far
        taken = far.addresses()
        for address, times in taken.items():
            assert times <= 1 + self.resent[address], f"{address} got {times} copies"
        known = {address for address in taken if not self.resent[address]} - (self.cut & books.people("claimed"))
        audit(books, known | self.by_word | (set(self.resent) & books.people("accepted")))
        assert len(books.people(*UNSURE)) <= self.doubts + far.silences
        assert all(len(ids) == 1 for ids in far.ids.values()), "one Message-ID for all copies"

    @invariant()
    def who_left_gets_nothing_more(self) -> None:
        for said in self.life.far.mails:
            assert said.step <= self.left.get(said.address, said.step), f"{said.address} had left"

    @invariant()
    def who_is_paused_says_nothing_more(self) -> None:
        for said in self.life.far.mails:
            assert not any(since < said.step < until for since, until in self.held), f"{said.address}: it was paused"

    @invariant()
    def the_pace_is_kept(self) -> None:
        if self.jumped:
            return  # nobody knows then how much time has passed
        times = [said.at for said in self.life.far.mails]
        for number, seconds in self.limits:
            assert all(later - earlier >= seconds for earlier, later in zip(times, times[number:], strict=False))

    def teardown(self) -> None:
        try:
            if self.limits is not None and hasattr(self, "connections"):
                self.come_to_an_end()
        finally:
            shutil.rmtree(self._folder)

    def come_to_an_end(self) -> None:
        """The relay is well, nobody holds anything up: then nobody is left who still waits."""
        self.life.far.mood = "ok"
        with self.life.around():
            self.control("resume")
        self.life.clock.passed += 10
        # what a dead sender of a cancelled mailing held is settled by whoever comes next
        ran = self.command("run") if self.over else self.command("send", "1", "--yes", "--wait")
        assert ran is not None
        books: Books = self.world.books()
        assert books.people(*OPEN) <= books.people("in_doubt"), ran
        self.the_books_are_true()
        self.who_left_gets_nothing_more()


TestSending = Sending.TestCase
# what it finds is told as it is: to find the shortest way there takes minutes, and `python -m tests.long.machine`
TestSending.settings = settings(
    max_examples=40, stateful_step_count=12, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
