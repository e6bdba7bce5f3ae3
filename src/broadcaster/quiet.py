"""Quiet hours and days off: whether mail may go now, and when again.

What counts is what a clock on the wall shows. An hour that comes twice is quiet twice; where the clocks skip the end
of the quiet, it ends with the skip. A day off is a date of the zone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from broadcaster.config import Config, Time

DAY: Final = 24 * 3600  # seconds


def until(of: Config, now: float) -> int | None:
    """When mail may go again (epoch seconds). None: it may go now, as a rehearsal always may."""
    return None if of.rehearsal else over(of.time, now)


def over(of: Time, now: float) -> int | None:
    """When the quiet that holds now is over (epoch seconds). None: there is none."""
    if not (of.quiet or of.weekdays_off or of.dates_off):
        return None
    at = begun = int(now)
    while left := _left(of, _wall(of, at)):
        at = _later(of, at, left)
    return None if at == begun else at


def _left(of: Time, wall: datetime) -> int:
    """How far the clock on the wall has to go until one reason for quiet is over, in seconds; 0 where there is none."""
    second = wall.hour * 3600 + wall.minute * 60 + wall.second
    if wall.weekday() in of.weekdays_off or wall.date() in of.dates_off:
        return DAY - second
    for start, end in of.quiet:
        start, end = start * 60, end * 60
        if start <= second < end if start < end else not end <= second < start:
            return (end - second) % DAY
    return 0


def _later(of: Time, at: int, left: int) -> int:
    """So many seconds later, or when the clocks change before that: what they show then must be looked at again."""
    if _offset(of, at) == _offset(of, at + left):
        return at + left
    before, after = at, at + left
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(of, middle) == _offset(of, at):
            before = middle
        else:
            after = middle
    return after


def _wall(of: Time, at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(of.zone) if of.zone else None)


def _offset(of: Time, at: int) -> timedelta | None:
    return _wall(of, at).utcoffset()
