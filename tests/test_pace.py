"""Pace, back-off and window: laws, with times that nobody waits for."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import ConfigError
from broadcaster.pace import Backoff, Limit, Pace, Window, duration_of

START = 1_780_000_000.0

limits = st.builds(Limit, st.integers(1, 40), st.sampled_from([1, 60, 3600, 86400]))


def drive(pace: Pace, count: int, now: float = START) -> list[float]:
    """The times of `count` messages sent as early as the pace lets."""
    times = []
    for _ in range(count):
        now = pace.next(now)
        pace.take(now)
        times.append(now)
    return times


def most_in_any_window(times: list[float], seconds: float) -> int:
    return max(sum(1 for other in times if time <= other < time + seconds) for time in times)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("30/m", Limit(30, 60)), ("1/s", Limit(1, 1)), ("5 / h", Limit(5, 3600)), ("9/d", Limit(9, 86400))],
)
def test_a_rate_is_read(text: str, limit: Limit) -> None:
    assert Limit.parse(text) == limit
    assert Limit.parse(str(limit)) == limit


@pytest.mark.parametrize(
    "text", ["", "30", "30/w", "0/s", "-1/s", "1.5/s", "30/min", "/s", "1/s;", "٣/m", "9999999999/s"]
)
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ConfigError, match="not a rate"):
        Limit.parse(text)


@given(st.lists(limits, max_size=3), st.integers(1, 90), st.floats(0, 100_000))
def test_no_window_of_any_limit_ever_holds_too_many(several: list[Limit], count: int, offset: float) -> None:
    times = drive(Pace(several), count, START + offset)
    for limit in several:
        assert most_in_any_window(times, limit.seconds) <= limit.number


@given(limits, st.integers(2, 5))
def test_the_limit_is_reached_within_five_percent(limit: Limit, windows: int) -> None:
    times = drive(Pace([limit]), limit.number * windows + 1)
    assert times[-1] - times[0] <= limit.seconds * windows * 1.05


@given(st.lists(limits, min_size=1, max_size=3), st.lists(st.floats(0, 5000), min_size=1, max_size=40))
def test_a_restart_forgets_nothing(several: list[Limit], waits: list[float]) -> None:
    one, now = Pace(several), START
    other = Pace(several)
    for wait in waits:
        now += wait
        other = Pace(several, json.loads(json.dumps(other.state)))
        assert other.next(now) == one.next(now)
        now = one.next(now)
        one.take(now)
        other.take(now)


def test_a_changed_limit_goes_on_from_what_was_counted() -> None:
    before = Pace([Limit(100, 86400)])
    times = drive(before, 100)
    after = Pace([Limit(50, 86400)], before.state)
    assert after.next(times[-1] + 60) > START + 86400


def test_seconds_and_minutes_are_spread_and_hours_may_burst() -> None:
    spread = drive(Pace([Limit(60, 60)]), 3)
    assert [round(b - a, 2) for a, b in itertools.pairwise(spread)] == [1.02, 1.02]
    assert drive(Pace([Limit(60, 3600)]), 60) == [START] * 60


def test_without_limits_nothing_waits() -> None:
    assert drive(Pace([]), 5) == [START] * 5
    assert Pace([]).book(START, 400) == [START] * 400


@given(limits, st.floats(1, 10_000_000))
def test_a_clock_set_back_neither_stops_the_mail_nor_lets_more_through(limit: Limit, back: float) -> None:
    pace = Pace([limit])
    last = drive(pace, limit.number + 1)[-1]
    # nothing of the true time has passed: the wait is the same as before, to a bucket
    expected = pace.next(last) - last
    after = pace.next(last - back) - (last - back)
    assert expected - 0.01 <= after <= expected + limit.seconds * 0.05 + 0.01


def test_booking_takes_what_lies_within_a_second_and_at_least_one() -> None:
    pace = Pace([Limit(10, 1)])
    assert len(pace.book(START, 50)) == 10
    assert pace.next(START) > START + 1
    assert len(Pace([Limit(1, 60)]).book(START, 50)) == 1
    assert Pace([Limit(1, 60)]).book(START, 0) == []


@given(st.lists(limits, max_size=3), st.integers(1, 120))
def test_the_estimate_is_near_what_happens(several: list[Limit], count: int) -> None:
    times = drive(Pace(several), count)
    took = times[-1] - times[0]
    longest = max((limit.seconds for limit in several), default=0)
    assert abs(duration_of(several, count) - took) <= 0.1 * took + 0.1 * longest + sum(limit.gap for limit in several)


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_waits_follow_the_schedule_within_fifteen_percent(attempt: int, throw: float) -> None:
    backoff = Backoff(after=[300, 900, 3600])
    wait = [300, 900, 3600][min(attempt, 3) - 1]
    assert 0.85 * wait <= backoff.next(attempt, lambda: throw) <= 1.15 * wait


def test_it_gives_up_in_the_end() -> None:
    backoff = Backoff(give_up=100)
    assert not backoff.over(since=START, now=START + 99)
    assert backoff.over(since=START, now=START + 100)


def test_the_first_failure_of_a_run_takes_a_connection_at_once_and_then_each_round_one() -> None:
    window = Window(5)
    sizes = []
    for _ in range(12):
        window.fail()
        sizes.append(window.size)
    assert sizes[0] == 4
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 2
    assert window.cohorts > 3


def test_ten_rounds_of_successes_give_one_back_and_only_where_it_is_used() -> None:
    window = Window(20, initial=2)
    for _ in range(21):
        window.succeed(busy=2)
    assert window.size == 3
    for _ in range(1000):
        window.succeed(busy=1)
    assert window.size == 3


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 30))
def test_the_window_stays_between_one_and_its_most(fortune: list[bool], most: int) -> None:
    window = Window(most)
    for good in fortune:
        if good:
            window.succeed(busy=window.size)
        else:
            window.fail()
        assert 1 <= window.size <= most
