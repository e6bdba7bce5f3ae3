"""What flows where: each relay and each destination has its pace, and knows what is on its way there.

A destination is the pace class of a recipient's domain ([destinations]): a domain that is named there; with
"default" each other domain too; else the rest, which has no pace of its own. Paces are counted in the database.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broadcaster.delivery import Reply, Stage
from broadcaster.pace import Pace

if TYPE_CHECKING:
    from broadcaster.config import Config, Destination
    from broadcaster.ledger import Ledger

# from how long on one knows how fast one was (seconds)
LONG_ENOUGH = 5.0
# what nobody limits: the destination of all domains that have no class
REST = ""
# how far back one looks to know how fast one was (seconds)
LOOK_BACK = 30.0
# destinations that are kept in mind, of which there may be a hundred thousand; the others are in the database
REMEMBERED, AT_ONCE = 5_000, 100
# what counts no more: the longest window is a day (seconds)
STALE = 2 * 86_400
# so many destinations that complain within a minute mean the relay
SEVERAL, TOGETHER = 3, 60.0


@dataclass(slots=True)
class Flow:
    """One relay or destination: its pace, and its lots that are drawn and not over. `connections`: lots at once."""

    scope: str
    pace: Pace
    connections: int = 0  # 0: as many as there are
    lots: int = 0
    _claims: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))
    _speed: tuple[float, float] = (float("-inf"), 0.0)  # when it was counted last, and what it was

    @property
    def full(self) -> bool:
        """It has as many lots as it may."""
        return 0 < self.connections <= self.lots

    def claimed(self, now: float, number: int) -> None:
        """So many messages begin their way."""
        self._claims.append((now, number))

    def speed(self, now: float) -> float:
        """Messages a second, lately, to a tenth of a second."""
        if not 0 <= now - self._speed[0] < 0.1:
            lately = [(at, number) for at, number in self._claims if at >= now - LOOK_BACK]
            count = sum(number for _, number in lately)
            self._speed = now, count / max(1.0, now - lately[0][0]) if lately else 0.0
        return self._speed[1]

    def complained(self, now: float) -> float:
        """Somebody there said that we are too fast. Until when nothing goes there (epoch seconds)."""
        young = not self._claims or now - self._claims[0][0] < LONG_ENOUGH
        return self.pace.slow(now, float("inf") if young and self.pace.even else self.speed(now))


class Flows:
    """All relays and destinations of a round."""

    def __init__(
        self, ledger: Ledger, config: Config, told: Callable[[str, float], None] = lambda _scope, _until: None
    ) -> None:
        """`told` hears of a scope that is slowed down, and until when nothing goes there (epoch seconds)."""
        self._ledger = ledger
        self._told = told
        self._named: Mapping[str, Destination] = {each.domain: each for each in config.destinations}
        self._default = self._named.get("default")
        self.relays = {
            relay.name: Flow(f"relay:{relay.name}", Pace(relay.limits, ledger.pace(f"relay:{relay.name}")))
            for relay in config.relays
        }
        self.sorts = bool(config.destinations)
        self._destinations: dict[str, Flow] = {}
        self._complaints: dict[str, dict[str, float]] = {}  # relay → destination → when
        self.slowed = any(flow.pace.brake for flow in self.relays.values())

    def destination(self, domain: str) -> str:
        """The pace class of a recipient's domain."""
        return domain if self._default is not None or domain in self._named else REST

    def of(self, destination: str) -> Flow | None:
        """The flow of a pace class; none of the rest."""
        if destination == REST:
            return None
        flow = self._destinations.get(destination)
        if flow is None:
            limits = self._named.get(destination, self._default)
            assert limits is not None
            if len(self._destinations) >= REMEMBERED:
                self._forget()
            scope = f"destination:{destination}"
            flow = Flow(scope, Pace(limits.limits, self._ledger.pace(scope)), limits.connections or 0)
            self._destinations[destination] = flow
            self.slowed = self.slowed or flow.pace.brake is not None
        return flow

    def _forget(self) -> None:
        """What nothing is on its way to is in the database alone."""
        idle = (name for name, flow in self._destinations.items() if not flow.lots and not flow.pace.promised)
        self._keep([self._destinations.pop(name) for name in list(itertools.islice(idle, AT_ONCE))])

    # written down

    def keep(self, *flows: Flow | None) -> None:
        """Write paces down, with what is promised: a crash may cost us speed and never a limit."""
        for flow in flows:
            if flow is not None and not flow.pace.free:
                self._ledger.keep_pace(flow.scope, flow.pace.state)

    def _keep(self, flows: list[Flow]) -> None:
        if any(not flow.pace.free for flow in flows):
            with self._ledger.db.atomic():
                self.keep(*flows)

    def close(self, now: float) -> None:
        """Write down where every pace is, and drop what counts no more."""
        self._keep([*self.relays.values(), *self._destinations.values()])
        if self.sorts:
            self._ledger.forget_paces(now - STALE)

    # complaints of our speed

    def complained(self, reply: Reply, relay: str, destination: str, now: float) -> float:
        """Slow down whoever a complaint of our speed is about. Until when nothing goes there (epoch seconds).

        Up to MAIL that is the relay, later the destination; but the relay too where several say it.
        """
        flow = self.of(destination) if reply.stage > Stage.MAIL else None
        if flow is None:
            return self._slow(self.relays[relay], now)
        said = self._complaints.setdefault(relay, {})
        said[destination] = now
        if sum(now - at < TOGETHER for at in said.values()) >= SEVERAL:
            said.clear()
            self._slow(self.relays[relay], now)
        return self._slow(flow, now)

    def _slow(self, flow: Flow, now: float) -> float:
        before = flow.pace.brake.until if flow.pace.brake else 0.0
        until = flow.complained(now)
        self.slowed = True
        if until > before:
            self._ledger.keep_pace(flow.scope, flow.pace.state)
            self._told(flow.scope, until)
        return until

    def accepted(self, relay: str, destination: str, now: float) -> None:
        """A message was taken: where we were slowed down, we may be a little faster."""
        for flow in (self.relays[relay], self.of(destination)):
            if flow is not None and flow.pace.heal(now):
                self._ledger.keep_pace(flow.scope, flow.pace.state or {"clock": now, "windows": {}})
                self.slowed = any(each.pace.brake for each in (*self.relays.values(), *self._destinations.values()))
