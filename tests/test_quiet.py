"""Quiet hours and days off: what a clock on the wall shows, through every change of clocks of seven years."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import config
from broadcaster.config import Time
from broadcaster.errors import ConfigError
from broadcaster.quiet import over, until
from tests.test_config import SMALL

# Half an hour at once, clocks that jump at midnight, offsets of three quarters of an hour, two hours at the pole,
# a month of winter time in summer, and zones that have given up changing
ZONES = (
    *("Asia/Baghdad", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe"),
    *("Pacific/Apia", "Asia/Tehran", "America/St_Johns", "Africa/Casablanca", "Antarctica/Troll", "Asia/Gaza"),
    *("Pacific/Chatham", "America/Santiago", "America/Nuuk", "Asia/Kathmandu", "Europe/Dublin", "UTC"),
)


@cache
def transitions(zone: str) -> tuple[int, ...]:
    """Every change of a zone's clocks from 2024 to 2030, to the second."""
    place = ZoneInfo(zone)

    def offset(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, UTC).astimezone(place).utcoffset()

    found = []
    step = 6 * 3600
    for at in range(int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2031, 1, 1).timestamp()), step):
        before, after = at, at + step
        while offset(before) != offset(after) and after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if offset(middle) == offset(at) else (before, middle)
        if offset(before) != offset(after):
            found.append(after)
    return tuple(found)


def is_quiet(of: Time, at: int) -> bool:
    """What somebody would say who looks at the clock and the calendar on the wall."""
    wall = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(of.zone or "UTC"))
    shown = wall.hour * 60 + wall.minute
    hushed = any(
        shown in range(start, end) or (start > end and shown not in range(end, start)) for start, end in of.quiet
    )
    return hushed or wall.weekday() in of.weekdays_off or wall.date() in of.dates_off


def check(of: Time, now: int) -> None:
    """It is quiet until the moment that is named, and in no minute sooner is it not."""
    end = over(of, now)
    if not is_quiet(of, now):
        assert end is None
        return
    assert end is not None
    assert end > now
    assert not is_quiet(of, end)
    assert is_quiet(of, end - 1)
    # a few hours minute by minute: longer is it for days off, which have no gaps
    assert all(is_quiet(of, at) for at in range(now, end, 60 if end - now < 8 * 3600 else 1200))


@pytest.mark.parametrize("zone", ZONES)
def test_at_each_change_of_clocks_the_quiet_ends_when_the_wall_says_so(zone: str) -> None:
    """Spans before, over, in and behind what is skipped or comes twice, asked for all around it."""
    for change in transitions(zone):
        wall = datetime.fromtimestamp(change - 1, UTC).astimezone(ZoneInfo(zone))
        jump = wall.hour * 60 + wall.minute + 1
        for start, end in ((-90, 20), (-20, 40), (10, 50), (-60, 0), (0, 60), (0, 61), (-400, 300)):
            of = Time(zone, quiet=(((jump + start) % 1440, (jump + end) % 1440),))
            for hours in (-7, -1, 0):
                check(of, change + hours * 3600)
            check(of, change - 1)
        of = Time(zone, dates_off=frozenset({wall.date()}))
        for hours in (-20, -1, 0, 1):
            check(of, change + hours * 3600)


spans = st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda span: span[0] != span[1])


@settings(max_examples=60)
@given(
    st.sampled_from(ZONES),
    st.lists(spans, max_size=2),
    st.frozensets(st.integers(0, 6), max_size=3),
    st.frozensets(st.dates(date(2026, 1, 1), date(2026, 1, 12)), max_size=4),
    st.integers(0, 7 * 24 * 3600 * 52),
    st.data(),
)
def test_the_next_moment_is_the_first_that_is_not_quiet(
    zone: str,
    quiet: list[tuple[int, int]],
    weekdays: frozenset[int],
    dates: frozenset[date],
    after: int,
    data: st.DataObject,
) -> None:
    near = transitions(zone)
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) + after
    if near:
        # half of them near a change of clocks
        begin = data.draw(st.one_of(st.just(begin), st.sampled_from(near))) + data.draw(st.integers(-90_000, 90_000))
    of = Time(zone, tuple(quiet), weekdays, dates)
    if all(is_quiet(Time("UTC", tuple(quiet)), minute * 60) for minute in range(1440)):
        return  # the settings refuse it
    check(of, begin)


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    of = Time("Europe/Berlin", quiet=((2 * 60, 2 * 60 + 30),))
    first = int(datetime(2026, 10, 25, 0, 15, tzinfo=UTC).timestamp())  # 02:15 in summer
    assert over(of, first) == first + 15 * 60
    assert over(of, first + 3600) == first + 3600 + 15 * 60
    assert over(of, first + 1800) is None


def test_a_day_off_is_a_date_of_the_zone() -> None:
    of = Time("Asia/Baghdad", weekdays_off=frozenset({4, 5}))
    friday = int(datetime(2026, 11, 26, 21, tzinfo=UTC).timestamp())
    assert over(of, friday - 1) is None
    assert over(of, friday) == friday + 2 * 86400


def test_a_rehearsal_wakes_nobody() -> None:
    at = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())
    off = '\n[time]\nzone = "UTC"\ndays_off = ["fri"]\n'
    real = config.parse(SMALL.replace("maildir:outbox", "smtps://smtp.example.net") + off)
    assert until(real, at) == at + 12 * 3600
    rehearsal = config.parse(SMALL + off)
    assert rehearsal.rehearsal
    assert until(rehearsal, at) is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('days_off = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]', "leaves no day"),
        ('quiet = ["21:00-08:00", "07:30-21:00"]', "leaves no hour"),
    ],
)
def test_settings_that_leave_no_moment_are_refused(lines: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.parse(SMALL + "\n[time]\n" + lines)
    config.parse(SMALL + '\n[time]\nquiet = ["21:00-08:00", "08:01-21:00"]')
