"""When a mailing is due: a person's words → wall time, zone and the moment they mean.

Wall time and zone are what people mean and what is stored; the moment follows. A wall time that a
change of clocks skips means the time after the gap, one that comes twice means its first coming.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broadcaster.errors import BadData
from broadcaster.mailing import Window

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORDS = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2}|today|tomorrow|[a-z]+)(?:[ t]+)"
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"\s*(?P<zone>z|utc|[+-]\d{2}:?\d{2}|[a-z_]+(?:/[a-z0-9_+-]+)+)?",
    re.IGNORECASE,
)
_ALLOWED = (
    'write "2026-12-01 09:00", "tomorrow 9:00" or "friday 18:00", with a zone if it is not yours: "… Asia/Baghdad"'
)


def window(words: str, *, zone: str | None, now: int, expires: int | None = None) -> Window:
    """The window of `--at` and `--expires` (seconds after it). `now`: seconds since the epoch.

    Raises BadData for words that mean no time, and for a time that has passed.
    """
    found = _WORDS.fullmatch(" ".join(words.split()))
    if found is None:
        raise BadData(f"{words!r} is no time", where="--at", hint=_ALLOWED)
    place, name = _zone(found["zone"], zone)
    here = datetime.fromtimestamp(now, UTC).astimezone(place)
    try:
        wall = datetime(
            *_day(found["day"].lower(), here.date()).timetuple()[:3],
            int(found["hour"]),
            int(found["minute"]),
            int(found["second"] or 0),
            tzinfo=place,
        )
    except ValueError:
        raise BadData(f"{words!r} is no time", where="--at", hint=_ALLOWED) from None
    # through UTC and back: a wall time in a gap comes out as the time after it
    wall = wall.astimezone(UTC).astimezone(place)
    if wall.timestamp() < now - 60:
        raise BadData(f"{wall:%Y-%m-%d %H:%M} {name} has passed", where="--at", hint="name a time to come")
    due = int(wall.timestamp())
    return Window(due, f"{wall:%Y-%m-%d %H:%M} {name}", due + expires if expires is not None else None)


def _zone(given: str | None, configured: str | None) -> tuple[tzinfo | None, str]:
    """The zone and its name. None is the machine's own."""
    if given is None and configured is None:
        return None, "local time"
    name = given or configured or ""
    if name.lower() in ("z", "utc"):
        return UTC, "UTC"
    if name[0] in "+-":
        hours, minutes = int(name[1:3]), int(name[-2:])
        return timezone((1 if name[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes)), name
    try:
        return ZoneInfo(name), name
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadData(f"{name!r} is no time zone", where="--at", hint="zones are like Asia/Baghdad") from None


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
