"""When a mailing is due: a person's words → wall time, zone and the moment they mean.

Wall time and zone are what people mean and what is stored; the moment follows, each time it is asked for: a country
may change its clocks after a mailing was prepared. A wall time that a change of clocks skips means the time after the
gap, one that comes twice means its first coming.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broadcaster.errors import BadData

# too late for a start so long after the time given, where --expires says nothing else (seconds)
GRACE: Final = 12 * 3600

# who names a time that is farther off has mistyped it (seconds)
_FAR: Final = 10 * 366 * 24 * 3600

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORDS = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2}|today|tomorrow|[a-z]+)(?: at |t| )"
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r" ?(?P<zone>z|utc|[+-]\d{2}:?\d{2}|[a-z_]+(?:/[a-z0-9_+-]+)+)?",
    re.IGNORECASE | re.ASCII,
)
_STORED = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})?) (\S.*)", re.ASCII)
_ALLOWED = (
    'write "2026-12-01 09:00", "tomorrow 9:00" or "friday 18:00", with a zone if it is not yours: "… Asia/Baghdad"'
)


@dataclass(frozen=True, slots=True)
class Window:
    """When a mailing may be started. `words` is the wall time and zone that a person gave, and they are what counts:
    the epoch seconds are as they were reckoned on that day.
    """

    due: int | None = None
    words: str = ""
    expires: int | None = None
    closes: bool = False  # a person said when it expires: what has not gone by then does not go any more
    note: str = field(default="", compare=False)  # what the clocks made of a person's words

    @property
    def moment(self) -> int | None:
        """When it is due by the clocks' rules of today; as it was reckoned where the words name no zone known here."""
        wall = _wall(self.words)
        if self.due is None or wall is None:
            return self.due
        meant = int(wall.timestamp())
        # words of old have no seconds
        return self.due if abs(meant - self.due) < 60 else meant

    @property
    def ends(self) -> int | None:
        """When it is too late: as long after its time as was said."""
        if self.due is None or self.expires is None or self.moment is None:
            return None
        return self.expires + self.moment - self.due

    @property
    def shown(self) -> str:
        """Wall time, zone and UTC, with what the clocks do on that day; "" for what has no time."""
        if self.due is None or self.moment is None or self.words.endswith(" UTC"):
            return self.words
        wall, utc = _wall(self.words), datetime.fromtimestamp(self.moment, UTC)
        near = wall is not None and wall.date() == utc.date()
        told = [f"{_clock(utc)[11:] if near else _clock(utc)} UTC"]
        if wall is not None and wall.utcoffset() != wall.replace(fold=1).utcoffset():
            told.append("it comes twice that day: the first")
        if self.moment != self.due:
            told.append(f"not {_clock(datetime.fromtimestamp(self.due, UTC))} UTC: the clocks' rules have changed")
        return f"{self.words} ({'; '.join(told)})"


def window(
    words: str,
    *,
    zone: str | None,
    now: int,
    expires: int | None = None,
    opens: Callable[[int], int] = lambda due: due,
) -> Window:
    """The window of `--at` and `--expires` (seconds after it). `now`: seconds since the epoch.

    `opens`: when what is due then may go at the earliest. Raises BadData for words that mean no time, for a time that
    has passed or is years away, and where all is over before anything may go.
    """
    found = _WORDS.fullmatch(" ".join(_plain(words).split()))
    if found is None:
        raise _no_time(words)
    place = _zone(found["zone"] or zone)
    try:
        here = datetime.fromtimestamp(now, UTC).astimezone(place)
        clock = time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0), tzinfo=place)
        meant = datetime.combine(_day(found["day"].lower(), here.date()), clock)
        # through UTC and back: a wall time in a gap comes out as the time after it
        wall = meant.astimezone(UTC).astimezone(place)
    except (ValueError, OverflowError):
        raise _no_time(words) from None
    told = f"{_clock(wall)} {_name(found['zone'] or zone, wall)}"
    due = int(wall.timestamp())
    if due < now - 60:
        raise BadData(f"{told} has passed", where="--at", hint="name a time to come")
    if due > now + _FAR:
        raise BadData(f"{told} is more than ten years away", where="--at", hint="is it the year that was meant?")
    note = ""
    if wall.replace(tzinfo=None) != meant.replace(tzinfo=None):
        note = f"{meant:%H:%M} does not exist that day, for the clocks are put forward: {wall:%H:%M}"
    first = opens(due)
    if expires is None:
        return Window(due, told, first + GRACE, note=note)
    if first > due + expires:
        when = datetime.fromtimestamp(first, UTC).astimezone(place)
        raise BadData(
            f"it would be too late before it may go: it is quiet until {_clock(when)}",
            where="--expires",
            hint="see `quiet` and `days_off` in broadcaster.toml; or give it another time, or longer",
        )
    return Window(due, told, due + expires, closes=True, note=note)


def stamp(at: int | None) -> str | None:
    """A moment for JSON, as RFC 3339 has it: 2026-12-01T06:00:00Z."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _no_time(words: str) -> BadData:
    return BadData(f"{words!r} is no time", where="--at", hint=_ALLOWED)


def _plain(words: str) -> str:
    """With the digits of every script as 0 to 9."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in words)


def _clock(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M}" + (f":{when:%S}" if when.second else "")


def _wall(words: str) -> datetime | None:
    """Stored words as a time in their zone; None where there is no such zone here."""
    found = _STORED.fullmatch(words)
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=_zone(found[2])) if found else None
    except (BadData, ValueError):
        return None


def _zone(name: str | None) -> tzinfo | None:
    """The zone of a name or a distance to UTC. None is the machine's own."""
    if name is None:
        return None
    if name.lower() in ("z", "utc"):
        return UTC
    try:
        if name[0] in "+-":
            hours, minutes = int(name[1:3]), int(name[-2:])
            return timezone((1 if name[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadData(f"{name!r} is no time zone", where="--at", hint="zones are like Asia/Baghdad") from None


def _name(given: str | None, wall: datetime) -> str:
    """What a zone is called: where the machine's has no name, its distance to UTC on that day."""
    if given is None:
        return f"{wall:%z}"[:3] + ":" + f"{wall:%z}"[3:5]
    return "UTC" if given.lower() in ("z", "utc") else given


def _day(words: str, today: date) -> date:
    if words == "today":
        return today
    if words == "tomorrow":
        return today + timedelta(days=1)
    if words[:1].isdigit():
        return date.fromisoformat(words)
    for number, day in enumerate(_DAYS):
        if len(words) >= 3 and day.startswith(words):
            # the day's name on the day itself means in a week
            return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    raise ValueError(words)
