"""How a report is said: numbers, days and names, in English on a terminal. A page has a speech of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import date, datetime

from broadcaster import language as tags
from broadcaster.cli.say import clean, moment, span


class Speech:
    """How it is said: in English, on a terminal. A page has its own."""

    def __init__(self, zone: str | None) -> None:
        self.zone = zone

    def words(self, text: str, **given: str) -> str:
        """One of our own sentences, with `%(name)s` filled in."""
        return text % given if given else text.replace("%%", "%")

    def joined(self, parts: Iterable[str], by: str = " ") -> str:
        """Several things that were said, one after the other."""
        return by.join(parts)

    def number(self, value: float) -> str:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"

    def percent(self, share: float | None) -> str:
        """A share of something; nothing where there is nothing to have a share of."""
        if share is None:
            return ""
        value, decimals = rounded(share)
        return f"{value:,.{decimals}f} %"

    def moment(self, at: int) -> str:
        return moment(at, self.zone)

    def day(self, day: date) -> str:
        return day.isoformat()

    def span(self, seconds: float) -> str:
        return span(seconds)

    def language(self, tag: str) -> str:
        return tags.name(tag) if tag else ""

    def foreign(self, text: str) -> str:
        """What somebody wrote: a name."""
        return clean(text)

    def technical(self, text: str) -> str:
        """What runs from left to right whatever is around it: a domain, a code, a limit."""
        return clean(text)


def rounded(share: float) -> tuple[float, int]:
    """A share in hundredths as one reads it, and its decimals: small ones finer, and nearly all is never all."""
    value = 100 * share
    if value in (0, 100):
        return value, 0
    if value < 1:
        decimals = min(4, max(2, 1 - math.floor(math.log10(value))))
        return max(round(value, decimals), 0.0001), decimals
    return (99.9 if 99.9 < value < 100 else value), 1


def local(zone: str | None) -> Callable[[int], datetime]:
    """Epoch seconds → wall time in a zone, the machine's by default."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    place = ZoneInfo(zone) if zone else None
    return lambda at: datetime.fromtimestamp(at, UTC).astimezone(place)
