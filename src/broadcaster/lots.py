"""Which deliveries go next: what waits is read just in time, and cut into lots of one pace class each.

A destination whose turn is not now is passed over: its deliveries are kept, as bare ids, and others are read on.
So a slow one holds nobody up. Without [destinations] there is one class, and no more is read than one lot.
"""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from broadcaster.engines import Lot
from broadcaster.flows import REST, Flows

if TYPE_CHECKING:
    from broadcaster.ledger import Ledger
    from broadcaster.mailing import Mailing

# rows that are read, and classes that are looked at, at once: a millisecond or some, while all connections wait
READ, AT_ONCE = 500, 50
# ids of one class that are kept; a class with more of them is read a second time, on its own
KEPT = 1_000
# ids of one mailing that are kept: some megabytes
AHEAD = 100_000
# A destination's lot is drawn so long before its turn (it must be claimed, and find a connection), and holds what has
# its turn within so long: whoever carries it hardly waits (seconds).
LEAD, SPAN = 0.03, 0.1


class Lots:
    """The deliveries of several mailings that wait in this round. Each is drawn once, unless it is given back."""

    def __init__(self, ledger: Ledger, flows: Flows, began: int) -> None:
        """`began`: only what was deferred until then (epoch seconds) is tried again in this round."""
        self._ledger = ledger
        self._flows = flows
        self._began = began
        self._shelves: dict[int, _Shelf] = {}
        self.tried: set[int] = set()  # missed after an answer: not again in this round, even if its mailing is resumed

    def draw(self, mailings: Sequence[int], size: int, now: float) -> Lot | float | None:
        """The next lot of the first of these mailings that has one; else when to ask again, or None: nothing waits.

        `inf`: when a lot is over. A mailing that is not among them is forgotten, and begun anew when it comes back.
        """
        for number in self._shelves.keys() - set(mailings):
            del self._shelves[number]
        again: float | None = None
        for number in mailings:
            shelf = self._shelves.get(number)
            if shelf is None:
                reader = _Reader(self._ledger, self._ledger.mailing(number), self._began, sorts=self._flows.sorts)
                shelf = self._shelves[number] = _Shelf(number, reader, self._flows, self.tried)
            found = shelf.draw(size, now)
            if isinstance(found, Lot):
                if (flow := self._flows.of(found.destination)) is not None:
                    flow.lots += 1
                    flow.pace.promised += len(found.deliveries)
                return found
            if found is not None:
                again = found if again is None else min(again, found)
        return again

    def give_back(self, mailing: int, destination: str, deliveries: Sequence[int]) -> None:
        """These were not tried: they are the next ones of their class."""
        if (shelf := self._shelves.get(mailing)) is not None:
            shelf.put(destination, deliveries)

    def wait_for(self, mailing: int, destination: str, delivery: int, due: int) -> None:
        """This one may be tried again in this round, should it still go on then (epoch seconds)."""
        if (shelf := self._shelves.get(mailing)) is not None:
            shelf.put_off(destination, delivery, due)

    def over(self, destination: str) -> None:
        """A lot of this class has ended."""
        if (flow := self._flows.of(destination)) is not None:
            flow.lots -= 1
            for shelf in self._shelves.values():
                shelf.freed(destination)


@dataclass(slots=True)
class _Reader:
    """Reads one mailing to its end: first what is pending, by id, then what is deferred and due, by time."""

    ledger: Ledger
    of: Mailing
    began: int
    sorts: bool
    after: int = 0
    ripe_after: tuple[int, int] = (0, 0)
    ripe: bool = False
    done: bool = False

    def read(self, limit: int) -> list[tuple[int, str]]:
        """The next ones, with their domains where destinations matter; fewer than `limit` only where a part ends."""
        if not self.ripe:
            if self.sorts:
                found = self.ledger.waiting(self.of, self.after, limit)
            else:
                found = [(each, "") for each in self.ledger.pending(self.of, self.after, limit)]
            self.ripe = len(found) < limit
            self.after = found[-1][0] if found else self.after
            return found
        rows = self.ledger.ripened(self.of.id, self.began, self.ripe_after, limit)
        self.done = len(rows) < limit
        if rows:
            self.ripe_after = (rows[-1][2], rows[-1][0])
        return [(each, domain) for each, domain, _ in rows]

    def copy(self) -> _Reader:
        return replace(self)


@dataclass(slots=True)
class _Line:
    """What waits of one class, in the order in which it goes."""

    first: Sequence[int] = ()  # given back
    ids: array[int] = field(default_factory=lambda: array("q"))
    head: int = 0
    later: list[tuple[int, int]] | None = None  # a heap: not before, id
    reader: _Reader | None = None  # of a class too long to be kept: what is behind the ids
    queued: bool = False  # somebody will look at it

    def __len__(self) -> int:
        return len(self.first) + len(self.ids) - self.head

    def ripen(self, now: float) -> int:
        """What may be tried once more by now is like all others. How many that are."""
        ripe = []
        while self.later and self.later[0][0] <= now:
            ripe.append(heapq.heappop(self.later)[1])
        if ripe:
            self.first = [*self.first, *ripe]
        return len(ripe)

    def cut(self, most: int) -> tuple[int, ...]:
        """The next ones, at most so many."""
        taken, self.first = [*self.first[:most]], self.first[most:]
        end = min(self.head + most - len(taken), len(self.ids))
        taken += self.ids[self.head : end]
        self.head = end
        if self.head > KEPT // 2 or self.head == len(self.ids):
            del self.ids[: self.head]
            self.head = 0
        return tuple(taken)


class _Shelf:
    """One mailing, sorted by class as far as it was read.

    A class that has anything is at one place: `_ready` to be looked at, `_waiting` for its turn, or `_full`.
    """

    def __init__(self, number: int, reader: _Reader, flows: Flows, tried: set[int]) -> None:
        self._number = number
        self._reader = reader
        self._flows = flows
        self._tried = tried
        self._rest = _Line()
        self._lines: dict[str, _Line] = {REST: self._rest}
        self._ready: deque[str] = deque()
        self._waiting: list[tuple[float, str]] = []  # a heap by time
        self._full: set[str] = set()  # as many of its lots are out as may be
        self._long: set[str] = set()  # not read to the end
        self._kept = 0
        self._rest_next = False
        self._seen = float("-inf")

    def draw(self, size: int, now: float) -> Lot | float | None:
        """See Lots.draw."""
        while self._waiting and (self._waiting[0][0] <= now or now < self._seen):
            # a clock that was set back: all are looked at again
            self._ready.append(heapq.heappop(self._waiting)[1])
        self._seen = now
        for _ in range(4):
            if (lot := self._next(size, now)) is not None:
                return lot
            if self._ready or self._reader.done or self._kept >= AHEAD:
                break
            self._read(READ if self._flows.sorts else size)
        if self._ready or not (self._reader.done or self._kept >= AHEAD):
            return now  # others may do something meanwhile, and then it is read on
        if not self._kept and not self._long:
            return None
        return self._waiting[0][0] if self._waiting else float("inf")

    def _next(self, size: int, now: float) -> Lot | None:
        """One of those without a pace after one of those with: neither waits for the other."""
        if self._rest_next and (lot := self._of_the_rest(size, now)) is not None:
            return lot
        for _ in range(min(len(self._ready), AT_ONCE)):
            if (lot := self._of_class(self._ready.popleft(), size, now)) is not None:
                self._rest_next = True
                return lot
        return None if self._rest_next else self._of_the_rest(size, now)

    def _of_the_rest(self, size: int, now: float) -> Lot | None:
        self._rest_next = False
        self._kept += self._rest.ripen(now)
        return self._cut(REST, self._rest, size)

    def _of_class(self, name: str, size: int, now: float) -> Lot | None:
        """A lot of a class if its turn is now; otherwise it is put where it belongs."""
        line, flow = self._lines[name], self._flows.of(name)
        assert flow is not None
        self._kept += line.ripen(now)
        if flow.full:
            self._full.add(name)
            return None
        if (turn := flow.pace.turn(now)) > now + LEAD:
            heapq.heappush(self._waiting, (turn - LEAD, name))
            return None
        if not len(line) and name in self._long:
            self._refill(name, line)
        lot = self._cut(name, line, min(size, max(1, flow.pace.room(now, SPAN))))
        if len(line) or name in self._long:
            self._ready.append(name)
        elif line.later:
            heapq.heappush(self._waiting, (line.later[0][0], name))
        else:
            line.queued = False
            if line.reader is None:
                del self._lines[name]
        return lot

    def _cut(self, name: str, line: _Line, size: int) -> Lot | None:
        ids = line.cut(size)
        self._kept -= len(ids)
        return Lot(self._number, ids, name) if ids else None

    # reading

    def _read(self, limit: int) -> None:
        """The next rows, each behind those of its class."""
        touched: set[str] = set()
        for delivery, domain in self._reader.read(limit):
            name = self._flows.destination(domain)
            line = self._lines.get(name)
            if line is None:
                line = self._lines[name] = _Line()
            if line.reader is None and delivery not in self._tried:
                line.ids.append(delivery)
                self._kept += 1
                touched.add(name)
        for name in touched - {REST}:
            line = self._lines[name]
            if len(line) > KEPT and not self._reader.done:
                line.reader = self._reader.copy()
                self._long.add(name)
            self._queue(name, line)

    def _refill(self, name: str, line: _Line) -> None:
        """Read on for one class alone."""
        assert line.reader is not None
        for delivery, domain in line.reader.read(READ):
            if self._flows.destination(domain) == name and delivery not in self._tried:
                line.ids.append(delivery)
                self._kept += 1
        if line.reader.done:
            self._long.discard(name)

    # what comes back

    def put(self, name: str, deliveries: Sequence[int]) -> None:
        """First of their class again."""
        line = self._lines.setdefault(name, _Line())
        line.first = [*line.first, *deliveries]
        self._kept += len(deliveries)
        self._queue(name, line)

    def put_off(self, name: str, delivery: int, due: int) -> None:
        """Not before, and only if anything else keeps the round going."""
        line = self._lines.setdefault(name, _Line())
        if line.later is None:
            line.later = []
        heapq.heappush(line.later, (due, delivery))
        self._queue(name, line)

    def freed(self, name: str) -> None:
        """A lot of this class is over."""
        if name in self._full:
            self._full.discard(name)
            self._ready.append(name)

    def _queue(self, name: str, line: _Line) -> None:
        if name != REST and not line.queued:
            line.queued = True
            self._ready.append(name)
