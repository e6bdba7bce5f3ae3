"""How fast, and when again: limits that hold in every window, back-off, and how many connections.

Everything here is a pure function of the times it is handed. A pace survives its process: its
state is plain JSON that the ledger keeps, so that a limit counts over runs and restarts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broadcaster.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([1-9][0-9]{0,8})\s*/\s*([smhd])")

# The last moments before a MAIL is on the wire are not ours to time: 2 % of the window is left for them.
_SLACK = 1.02

# A long window is counted in this many buckets. It is as if it were one bucket longer: 2 % slower, never faster.
_BUCKETS = 50

# Of messages, before a connection more is tried.
_ROUNDS = 10


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
    """A limit per second or minute: evenly spaced, so no window of any place holds too many."""

    limit: Limit
    free: float = float("-inf")  # the earliest time of the next message

    def next(self, now: float) -> float:
        return max(now, self.free)

    def take(self, at: float) -> None:
        self.free = max(self.free, at) + self.limit.gap

    def shift(self, seconds: float) -> None:
        self.free += seconds

    def dump(self) -> Any:
        return None if self.free == float("-inf") else self.free

    def load(self, stored: Any) -> None:
        self.free = float("-inf") if stored is None else float(stored)


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

    def next(self, now: float) -> float:
        bucket = int(now // self.width)
        held = {number: count for number, count in self.counts.items() if number >= bucket - _BUCKETS}
        total = sum(held.values())
        if total < self.limit.number:
            return now
        # the buckets leave the window one by one
        for number in sorted(held):
            total -= held[number]
            if total < self.limit.number:
                return max(now, (number + _BUCKETS + 1) * self.width)
        return now

    def take(self, at: float) -> None:
        bucket = int(at // self.width)
        if bucket not in self.counts:
            newest = max(self.counts, default=bucket)
            for number in [number for number in self.counts if number < newest - 2 * _BUCKETS]:
                del self.counts[number]
            self.counts[bucket] = 0
        self.counts[bucket] += 1

    def shift(self, seconds: float) -> None:
        # up, never down: a message must not leave the window too early
        buckets = int(seconds // self.width) + (1 if seconds % self.width else 0)
        self.counts = {number + buckets: count for number, count in self.counts.items()}

    def dump(self) -> Any:
        return sorted([number, count] for number, count in self.counts.items())

    def load(self, stored: Any) -> None:
        self.counts = {int(number): int(count) for number, count in stored or ()}


class Pace:
    """Several limits at once. All times are seconds since the epoch.

    A clock that was set back does not stop the mail: what was counted moves back with it.
    """

    def __init__(self, limits: Sequence[Limit], state: Mapping[str, Any] | None = None) -> None:
        """`state` is what `Pace.state` gave earlier. A limit that was changed since goes on from what was counted."""
        strictest = {limit.seconds: limit for limit in sorted(limits, key=lambda limit: -limit.number)}
        self._gates = [_Even(limit) if limit.gap else _Counted(limit) for limit in strictest.values()]
        self._clock = float("-inf")
        if state:
            self._clock = float(state["clock"])
            for gate in self._gates:
                gate.load(state["windows"].get(str(gate.limit.seconds)))

    @property
    def state(self) -> dict[str, Any]:
        """JSON: the newest time seen, and what each limit has counted."""
        if self._clock == float("-inf"):
            return {}
        return {"clock": self._clock, "windows": {str(gate.limit.seconds): gate.dump() for gate in self._gates}}

    def next(self, now: float) -> float:
        """The earliest time at which the next MAIL may be written: `now`, or later."""
        if now < self._clock:
            for gate in self._gates:
                gate.shift(now - self._clock)
        self._clock = now
        at = now
        while True:
            later = at
            for gate in self._gates:
                later = gate.next(later)
            if later == at:
                return at
            at = later

    def take(self, at: float) -> None:
        """Count one message at this time."""
        if self._clock == float("-inf"):
            self._clock = at
        for gate in self._gates:
            gate.take(at)

    def book(self, now: float, most: int, within: float = 1.0) -> list[float]:
        """Take the times of the next messages: at most `most`, only those within so many seconds, at least one."""
        times: list[float] = []
        while len(times) < most:
            at = self.next(now)
            if times and at > now + within:
                break
            self.take(at)
            times.append(at)
        return times


def duration_of(limits: Sequence[Limit], number: int) -> float:
    """About how many seconds so many messages take at these limits, from an unused start; 0 without limits."""
    even = [limit for limit in limits if limit.gap]

    def at_gaps(count: int) -> float:
        return max((limit.gap * max(0, count - 1) for limit in even), default=0.0)

    longest = at_gaps(number)
    for limit in limits:
        if not limit.gap and number > 0:
            windows, rest = divmod(number - 1, limit.number)
            longest = max(longest, windows * limit.seconds * (1 + 1 / _BUCKETS) + at_gaps(rest + 1))
    return longest


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
