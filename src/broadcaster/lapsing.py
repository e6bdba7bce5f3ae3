"""Lapsing: what [retention] no longer keeps of mailings that are over, and of returned mail; a piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from broadcaster.effect import DAY
from broadcaster.subscriber import KEPT_DAYS

if TYPE_CHECKING:
    from broadcaster.bounces import Bounces
    from broadcaster.config import Config
    from broadcaster.oblivion import Oblivion

# rows of the log that are forgotten in one transaction
LOT: Final = 5_000


@dataclass(slots=True)
class Lapsed:
    """What was forgotten, or would be. `whole`: nothing is left that should be."""

    mailings: list[int] = field(default_factory=list)
    deliveries: int = 0
    entries: int = 0  # rows of the bounce log
    messages: int = 0  # returned mail, as it came
    changes: int = 0  # what imports had changed of people
    whole: bool = True

    @property
    def anything(self) -> bool:
        return bool(self.mailings or self.entries or self.messages or self.changes)


def due(oblivion: Oblivion, bounces: Bounces, config: Config, now: int) -> Lapsed:
    """What `lapse` would forget."""
    found = Lapsed(
        messages=bounces.expired(now - config.retention.returns), changes=oblivion.changes(now - KEPT_DAYS * DAY)
    )
    if config.retention.deliveries is not None:
        for number, deliveries in oblivion.due(now - config.retention.deliveries):
            found.mailings.append(number)
            found.deliveries += deliveries
        found.entries = oblivion.entries(_entries_before(config, now))
    return found


def lapse(
    oblivion: Oblivion,
    bounces: Bounces,
    config: Config,
    now: int,
    *,
    most: int | None = None,
    progress: Callable[[int], None] = lambda _deliveries: None,
) -> Lapsed:
    """Forget it. After `most` deliveries the rest is left for another time, where that is given."""
    told = Lapsed(messages=bounces.forget(now - config.retention.returns))
    # an import that can be undone no more needs no old values; nobody may import again, and take them away
    while lot := oblivion.forget_changes(now - KEPT_DAYS * DAY, LOT):
        told.changes += lot
    if config.retention.deliveries is not None:
        for number, _ in oblivion.due(now - config.retention.deliveries):
            if not told.whole:
                break
            told.mailings.append(number)
            while lot := oblivion.forget(number, now):
                told.deliveries += lot
                progress(told.deliveries)
                if most is not None and told.deliveries >= most:
                    told.whole = False
                    break
        before = _entries_before(config, now)
        while lot := oblivion.forget_entries(before, LOT):
            told.entries += lot
        while oblivion.forget_sources(before, LOT):
            pass
    if told.anything:
        oblivion.bring_home()
    return told


def _entries_before(config: Config, now: int) -> int:
    """What still counts against an address is not forgotten before it stops to."""
    assert config.retention.deliveries is not None
    return now - max(config.retention.deliveries, config.returns.soft_within)
