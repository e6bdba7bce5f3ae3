"""How fast, and when again: limits that hold in every window, a brake, back-off, and how many connections.

Everything here is a pure function of the times it is handed. A pace survives its process: its
state is plain JSON that the ledger keeps, so that a limit counts over runs and restarts.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broadcaster.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8})\s*/\s*([smhd])")

# In hundredths of its window: messages of a limit are spread over this much more than it asks for …
_SLACK = 1.03

# … as many as it allows are always this far apart, as they were written and not as they were planned …
_APART = 1.02

# … and one that takes its turn so much late does not put off those behind it. Where too many are allowed to keep the
# times of all, less is forgiven: what then may come together still is no more than is allowed.
_LATE, _HARDLY_LATE = 0.05, 0.01
_REMEMBERED = 10_000

# A long window is counted in this many buckets. It is as if it were one bucket longer: 2 % slower, never faster.
_BUCKETS = 50

# Of messages, before a connection more is tried.
_ROUNDS = 10

# Who complains of our speed gets nothing for a minute, then twice as long each time, up to an hour (seconds) …
_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0

# … and then half the speed, down to this share of it or one message a minute …
_LEAST_SHARE, _LEAST_SPEED = 1 / 64, 1 / 60

# … which grows again by so much with each success that ten minutes at full speed would be enough for all of it.
_HEALING = 600.0

# What was complained of a day ago says nothing of now (seconds).
_FORGOTTEN = 86_400.0

# Without a limit there is room for as many as one likes.
_ENDLESS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `number` messages in any window of `seconds`."""

    number: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read `30/m`: a whole number per s, m, h or d. Raises ConfigError."""
        found = _RATE.fullmatch(text.strip())
        if not found:
            raise ConfigError(f"{text!r} is not a rate", hint="write N/s, N/m, N/h or N/d, like 30/m")
        return cls(int(found[1]), _UNITS[found[2]])

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in _UNITS.items() if seconds == self.seconds), None)
        return f"{self.number}/{unit}" if unit else f"{self.number}/{self.seconds}s"

    @property
    def gap(self) -> float:
        """Seconds from one message to the next. 0: an hour's or a day's messages may go at once."""
        return self.seconds * _SLACK / self.number if self.seconds <= 60 else 0.0


@dataclass(slots=True)
class _Even:
    """A limit per second or minute: evenly spaced, and never too many in any window of any place.

    `log` has the times of the last N. Without it, gaps of 1.03/N of a window and turns taken up to 0.01 of it late
    let at most 1.01/1.03·N + 1 into any window, which is less than N + 1.
    """

    limit: Limit
    free: float = float("-inf")  # the earliest time of the next message
    strict: float = float("-inf")  # the same if nothing that was late is forgiven
    log: deque[float] = field(init=False)
    late: float = field(init=False)

    def __post_init__(self) -> None:
        kept = self.limit.number <= _REMEMBERED
        self.log = deque(maxlen=self.limit.number if kept else 0)
        self.late = self.limit.seconds * (_LATE if kept else _HARDLY_LATE)

    def _slot(self, at: float) -> float:
        """Whose turn it is at a time: the next one's, if that is only a little late."""
        return at if at - self.free > self.late else self.free

    def next(self, now: float, ahead: int = 0) -> float:
        at = max(now, self._slot(now) + ahead * self.limit.gap)
        if ahead < len(self.log) == self.limit.number:
            return max(at, self.log[ahead] + self.limit.seconds * _APART)
        return at

    def room(self, now: float, until: float) -> int:
        return int((until - self._slot(now)) / self.limit.gap) + 1 if self.next(now) <= until else 0

    def take(self, at: float) -> None:
        self.free = self._slot(at) + self.limit.gap
        self.strict = max(self.strict, at) + self.limit.gap
        self.log.append(at)

    def wrote(self, turn: float, at: float) -> None:
        log = self.log
        for behind in range(1, len(log) + 1):
            if log[-behind] == turn:
                log[-behind] = at
                self.strict = max(self.strict, at + behind * self.limit.gap)
                return

    def lose(self, now: float, _: int) -> None:
        # whatever went, the last of it went before now
        self.free = self.strict = max(self.free, now + self.limit.gap)

    def shift(self, seconds: float) -> None:
        self.free += seconds
        self.strict += seconds
        self.log = deque((at + seconds for at in self.log), self.log.maxlen)

    def dump(self) -> Any:
        # who has no log any more must not forgive
        return None if self.strict == float("-inf") else self.strict

    def load(self, stored: Any) -> None:
        self.free = self.strict = float("-inf") if stored is None else float(stored)


@dataclass(slots=True)
class _Counted:
    """A limit per hour or day: counted in buckets.

    Any window that ends in bucket i lies within the buckets i-50 … i; they hold at most `number`.
    """

    limit: Limit
    counts: dict[int, int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        # whole seconds for an hour and a day: the arithmetic of times stays exact
        return self.limit.seconds // _BUCKETS

    def _held(self, at: float) -> dict[int, int]:
        oldest = int(at // self.width) - _BUCKETS
        return {number: count for number, count in self.counts.items() if number >= oldest}

    def next(self, now: float, ahead: int = 0) -> float:
        held = self._held(now)
        total = sum(held.values())
        most = self.limit.number - ahead
        if total < most:
            return now
        # the buckets leave the window one by one
        for number in sorted(held):
            total -= held[number]
            if total < most:
                return max(now, (number + _BUCKETS + 1) * self.width)
        return float((int(now // self.width) + _BUCKETS + 1) * self.width)

    def room(self, now: float, until: float) -> int:
        return max(0, self.limit.number - sum(self._held(until).values()))

    def take(self, at: float) -> None:
        self._count(int(at // self.width), 1)

    def lose(self, now: float, number: int) -> None:
        self._count(int(now // self.width), number)

    def _count(self, bucket: int, messages: int) -> None:
        if bucket not in self.counts:
            newest = max(self.counts, default=bucket)
            for number in [number for number in self.counts if number < newest - 2 * _BUCKETS]:
                del self.counts[number]
            self.counts[bucket] = 0
        self.counts[bucket] += messages

    def shift(self, seconds: float) -> None:
        # up, never down: a message must not leave the window too early
        buckets = int(seconds // self.width) + (1 if seconds % self.width else 0)
        self.counts = {number + buckets: count for number, count in self.counts.items()}

    def dump(self) -> Any:
        return sorted([number, count] for number, count in self.counts.items())

    def load(self, stored: Any) -> None:
        self.counts = {int(number): int(count) for number, count in stored or ()}


@dataclass(slots=True)
class Brake:
    """Somebody complained of our speed: nothing for a while, then slower, then step by step as before.

    Times are seconds since the epoch.
    """

    speed: float  # the full one: messages a second
    share: float = 1.0  # of it, now
    pause: float = 0.0  # how long the last one was
    until: float = float("-inf")  # nothing goes before
    free: float = float("-inf")

    @property
    def gap(self) -> float:
        return 1 / max(self.speed * self.share, _LEAST_SPEED)

    def next(self, now: float, ahead: int = 0) -> float:
        return max(now, self.until, self.free) + ahead * self.gap

    def room(self, now: float, until: float) -> int:
        start = self.next(now)
        return int((until - start) / self.gap) + 1 if start <= until else 0

    def take(self, at: float) -> None:
        self.free = (at if at - self.free > self.gap else self.free) + self.gap

    def lose(self, now: float, _: int) -> None:
        self.free = max(self.free, now + self.gap)

    def shift(self, seconds: float) -> None:
        self.until += seconds
        self.free += seconds

    def complain(self, now: float) -> None:
        """What is said during a pause is about what went before it, and known."""
        if now < self.until:
            return
        self.share = max(self.share / 2, _LEAST_SHARE)
        self.pause = min(max(_PAUSE, 2 * self.pause), _LONGEST_PAUSE)
        self.until = self.free = now + self.pause

    def heal(self, now: float) -> bool:
        """A message was taken. Whether all is well again."""
        if now >= self.until:
            self.share += min(0.25, 1 / (_HEALING * self.speed))
        return self.share >= 1

    def forgotten(self, now: float) -> bool:
        """Whether that was too long ago to say anything of now."""
        return now > self.until + _FORGOTTEN

    def dump(self) -> Any:
        return [self.speed, self.share, self.pause, self.until, self.free]

    @classmethod
    def load(cls, stored: Any) -> Brake:
        return cls(*map(float, stored))

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Brake | None:
        """The brake in the state of a pace, if there is one."""
        return cls.load(state["brake"]) if "brake" in state else None


class Pace:
    """Several limits at once, and a brake. All times are seconds since the epoch.

    `promised` counts messages that are claimed and whose turn was not taken yet. It is stored too: whoever
    finds some, after a crash, counts them as gone at that moment, since nobody knows which did.
    A clock that was set back does not stop the mail: what was counted moves back with it.
    """

    def __init__(self, limits: Sequence[Limit], state: Mapping[str, Any] | None = None) -> None:
        """`state` is what `Pace.state` gave earlier. A limit that was changed since goes on from what was counted."""
        strictest = {limit.seconds: limit for limit in sorted(limits, key=lambda limit: -limit.number)}
        self._limits: list[_Even | _Counted] = [
            _Even(limit) if limit.gap else _Counted(limit) for limit in strictest.values()
        ]
        self.brake: Brake | None = None
        self.promised = 0
        self._lost = 0
        self._clock = float("-inf")
        if state:
            self._clock = float(state["clock"])
            self._lost = int(state.get("promised", 0))
            self.brake = Brake.of(state)
            for gate in self._limits:
                gate.load(state["windows"].get(str(gate.limit.seconds)))
        self._gates: list[_Even | _Counted | Brake] = []
        self._gather()

    def _gather(self) -> None:
        self._gates = [*self._limits, *([self.brake] if self.brake else ())]
        # nothing to ask: the usual case beside a relay of one's own
        self.free = not self._gates

    @property
    def state(self) -> dict[str, Any]:
        """JSON: the newest time seen, what each limit has counted, what is promised, and the brake."""
        if self._clock == float("-inf"):
            return {}
        state = {"clock": self._clock, "windows": {str(gate.limit.seconds): gate.dump() for gate in self._limits}}
        if self.promised or self._lost:
            state["promised"] = self.promised + self._lost
        if self.brake:
            state["brake"] = self.brake.dump()
        return state

    def _see(self, now: float) -> None:
        if now < self._clock:
            for gate in self._gates:
                gate.shift(now - self._clock)
        self._clock = now
        if self.brake is not None and self.brake.forgotten(now):
            self.brake = None
            self._gather()
        if self._lost:
            for gate in self._gates:
                gate.lose(now, self._lost)
            self._lost = 0

    def next(self, now: float) -> float:
        """The earliest time at which the next MAIL may be written: `now`, or later."""
        self._see(now)
        # a limit that lets a message go at some time lets it go at any later one
        return max([now, *(gate.next(now) for gate in self._gates)])

    def turn(self, now: float) -> float:
        """The same for the next message that is not promised yet: as if all that are had gone."""
        self._see(now)
        return max([now, *(gate.next(now, self.promised) for gate in self._gates)])

    def room(self, now: float, within: float) -> int:
        """How many more may be promised whose turn comes within so many seconds."""
        self._see(now)
        return max(0, min([_ENDLESS, *(gate.room(now, now + within) for gate in self._gates)]) - self.promised)

    @property
    def even(self) -> float:
        """Messages a second that the limits per second and minute allow; 0 without such."""
        return min((1 / gate.limit.gap for gate in self._limits if isinstance(gate, _Even)), default=0.0)

    def take(self, at: float) -> None:
        """Count one message at this time."""
        if self._clock == float("-inf"):
            self._clock = at
        for gate in self._gates:
            gate.take(at)

    def wrote(self, turn: float, at: float) -> None:
        """The message that took this turn is written only now."""
        if at > turn:
            for gate in self._limits:
                if isinstance(gate, _Even):
                    gate.wrote(turn, at)

    def slow(self, now: float, seen: float) -> float:
        """Somebody complained of our speed, `seen` messages a second. Until when nothing goes."""
        self._see(now)
        if self.brake is None:
            self.brake = Brake(max(min(seen, self.even or seen), _LEAST_SPEED))
            self._gather()
        self.brake.complain(now)
        return self.brake.until

    def heal(self, now: float) -> bool:
        """A message was taken. Whether that was the end of the brake."""
        if self.brake is None or not self.brake.heal(now):
            return False
        self.brake = None
        self._gather()
        return True


def duration_of(limits: Sequence[Limit], number: int) -> float:
    """About how many seconds so many messages take at these limits, from an unused start; 0 without limits."""
    gap = max((limit.gap for limit in limits), default=0.0)
    counted = sorted((limit for limit in limits if not limit.gap), key=lambda limit: limit.seconds)

    def needed(count: int, longest: int) -> float:
        """At the gaps, and at so many of the others: whole windows of each, and what is left at the shorter ones."""
        found = gap * max(0, count - 1)
        for place, limit in enumerate(counted[:longest]):
            windows, rest = divmod(max(0, count - 1), limit.number)
            found = max(found, windows * limit.seconds * (1 + 1 / _BUCKETS) + needed(rest + 1, place))
        return found

    return needed(number, len(counted))


def duration_together(several: Sequence[Sequence[Limit]], number: int) -> float:
    """The same for relays side by side, each as fast as its limits let it."""

    def sent_by(limits: Sequence[Limit], seconds: float) -> int:
        low, high = 0, number
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if duration_of(limits, middle) <= seconds else (low, middle - 1)
        return low

    low, high = 0.0, min(duration_of(limits, number) for limits in several)
    while high - low > max(0.001 * high, 0.01):
        middle = (low + high) / 2
        enough = sum(sent_by(limits, middle) for limits in several) >= number
        low, high = (low, middle) if enough else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Backoff:
    """When a deferred delivery is tried again. Seconds; the last wait repeats."""

    after: Sequence[float] = (300.0, 900.0, 3600.0, 7200.0, 14400.0)
    give_up: float = 172800.0

    def next(self, attempt: int, dice: Callable[[], float]) -> float:
        """Seconds to wait after the attempt of this number (from 1). `dice` gives [0, 1): they are spread by ±15 %.

        Without it, all that a relay put off at once would come back at once.
        """
        wait = self.after[min(max(attempt, 1), len(self.after)) - 1]
        return wait * (0.85 + 0.3 * dice())

    def over(self, since: float, now: float) -> bool:
        """Whether it is time to give up what was first tried at `since`."""
        return now - since >= self.give_up


class Window:
    """How many connections to one relay, after Postfix's scheduler (SCHEDULER_README, feedback 1/N).

    A failure is a connection that fails or a 421, never a refused recipient. The first of a run of
    failures takes one connection away at once, then each full round takes another; ten rounds of
    messages that got an answer give one back (Postfix counts deliveries of up to fifty recipients, we
    count messages). `cohorts` counts rounds of failures without any success.
    """

    def __init__(self, most: int, initial: int = 5) -> None:
        self.most = max(1, most)
        self.initial = min(self.most, max(1, initial))
        self.size = self.initial
        self.cohorts = 0.0
        self._success = 0.0
        self._failure = 0.0

    def succeed(self, busy: int) -> None:
        """A message got its answer while so many connections were busy. Grows only where it is used."""
        self.cohorts = 0.0
        if self.size >= self.most or self.size >= busy + self.initial:
            return
        self._success += 1 / (self.size * _ROUNDS)
        if self._success >= 1:
            self.size += 1
            self._success = self._failure = 0.0

    def fail(self) -> None:
        """A connection failed."""
        self.cohorts += 1 / self.size
        self._failure -= 1 / self.size
        if self._failure < 0:
            self._failure += 1
            self._success = 0.0
            self.size = max(1, self.size - 1)
