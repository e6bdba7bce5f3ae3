"""Pace, back-off and window: laws, with times that nobody waits for."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.errors import ConfigError
from broadcaster.pace import Backoff, Limit, Pace, Window, duration_of, duration_together

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
        # what was late is forgiven by those who know how late: a twentieth of a second, or of a minute
        assert one.next(now) <= other.next(now) <= one.next(now) + 0.05 * 60
        now = other.next(now)
        one.take(now)
        other.take(now)


def test_a_changed_limit_goes_on_from_what_was_counted() -> None:
    before = Pace([Limit(100, 86400)])
    times = drive(before, 100)
    after = Pace([Limit(50, 86400)], before.state)
    assert after.next(times[-1] + 60) > START + 86400


def test_seconds_and_minutes_are_spread_and_hours_may_burst() -> None:
    spread = drive(Pace([Limit(60, 60)]), 3)
    assert [round(b - a, 2) for a, b in itertools.pairwise(spread)] == [1.03, 1.03]
    assert drive(Pace([Limit(60, 3600)]), 60) == [START] * 60


def test_without_limits_nothing_waits() -> None:
    assert drive(Pace([]), 5) == [START] * 5
    assert Pace([]).free
    assert Pace([]).room(START, 1) > 1_000_000
    assert Pace([]).state == {}


@given(limits, st.floats(1, 10_000_000))
def test_a_clock_set_back_neither_stops_the_mail_nor_lets_more_through(limit: Limit, back: float) -> None:
    pace = Pace([limit])
    last = drive(pace, limit.number + 1)[-1]
    # nothing of the true time has passed: the wait is the same as before, to a bucket
    expected = pace.next(last) - last
    after = pace.next(last - back) - (last - back)
    assert expected - 0.01 <= after <= expected + limit.seconds * 0.05 + 0.01


# what is promised, and what goes late


@given(st.lists(limits, min_size=1, max_size=3), st.integers(0, 100), st.integers(0, 30), st.floats(0, 90))
def test_what_is_promised_has_its_turn_before_what_is_not(
    several: list[Limit], before: int, promised: int, passed: float
) -> None:
    pace = Pace(several)
    now = drive(pace, before)[-1] + passed if before else START
    pace.promised = min(promised, pace.room(now, 60.0))
    turn = pace.turn(now)
    twin = Pace(several, {**pace.state, "promised": 0}) if pace.state else Pace(several)
    twin.next(now)
    last = now
    for _ in range(pace.promised + 1):
        last = twin.next(last)
        twin.take(last)
    assert turn <= last + 1e-4
    assert (pace.room(now, 1.0) > 0) == (turn <= now + 1.0) or abs(turn - now - 1.0) < 1e-4


class Sender:
    """One process after the other at one pace: claims, waits, writes late, and is killed."""

    def __init__(self, several: list[Limit]) -> None:
        self.limits = several
        self.stored: str = "{}"
        self.now = START
        self.pace = Pace(several)
        self.times: list[float] = []

    def claim(self, number: int) -> None:
        if number <= self.pace.room(self.now, 1.0):
            self.pace.promised += number
            self.pace.next(self.now)
            self.stored = json.dumps(self.pace.state)

    def write(self, late: float) -> None:
        """One of the promised goes at its turn, or a while after it."""
        if self.pace.promised:
            turn = self.pace.next(self.now)
            self.pace.take(turn)
            self.pace.promised -= 1
            self.now = max(self.now, turn + late)
            self.pace.wrote(turn, self.now)
            self.times.append(self.now)

    def killed(self, after: float) -> None:
        self.now += after
        self.pace = Pace(self.limits, json.loads(self.stored))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.integers(1, 40)),
        st.tuples(st.just("write"), st.floats(0, 3)),
        st.tuples(st.just("write"), st.just(0.0)),
        st.tuples(st.just("pass"), st.floats(0, 400)),
        st.tuples(st.just("killed"), st.floats(0, 2)),
        st.tuples(st.just("complain"), st.floats(0, 100)),
        st.tuples(st.just("heal"), st.just(0.0)),
    ),
    max_size=150,
)


@settings(max_examples=200)
@given(st.lists(limits, min_size=1, max_size=3), steps)
def test_no_kill_no_delay_and_no_brake_lets_more_through_in_any_window(
    several: list[Limit], what: list[tuple[str, float]]
) -> None:
    sender = Sender(several)
    for verb, value in what:
        if verb == "claim":
            sender.claim(int(value))
        elif verb == "write":
            sender.write(value)
        elif verb == "pass":
            sender.now += value
        elif verb == "killed":
            sender.killed(value)
        elif verb == "complain":
            sender.pace.slow(sender.now, value)
        else:
            sender.pace.heal(sender.now)
    for limit in several:
        assert not sender.times or most_in_any_window(sender.times, limit.seconds) <= limit.number


@given(limits.filter(lambda limit: limit.seconds <= 60), st.floats(0, 0.01))
def test_who_is_always_a_little_late_reaches_the_limit_all_the_same(limit: Limit, share: float) -> None:
    pace, now, times = Pace([limit]), START, []
    late = min(share * limit.seconds, limit.gap / 2)
    for _ in range(3 * limit.number + 1):
        now = pace.next(now) + late
        pace.take(now)
        times.append(now)
    assert times[-1] - times[0] <= 3 * limit.seconds * 1.05
    assert most_in_any_window(times, limit.seconds) <= limit.number


# the brake


def test_who_complains_gets_nothing_for_a_minute_and_then_half() -> None:
    pace = Pace([Limit(10, 1)])
    drive(pace, 50)
    until = pace.slow(START + 6, seen=9.5)
    assert until == START + 66
    assert pace.next(START + 7) == until
    times = drive(pace, 31, until)
    assert times[0] == until
    assert 5.7 <= times[-1] - times[0] <= 6.5


def test_each_complaint_after_a_pause_makes_the_next_one_longer_up_to_an_hour() -> None:
    pace, now, pauses = Pace([]), START, []
    for _ in range(9):
        until = pace.slow(now, seen=100)
        assert pace.slow(now + 1, seen=100) == until  # about what went before
        pauses.append(until - now)
        now = until
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert pace.brake is not None
    assert pace.brake.share == 1 / 64


def test_success_brings_the_full_speed_back_in_about_ten_minutes() -> None:
    pace = Pace([])
    now = pace.slow(START, seen=20)
    began, taken = now, 0
    while pace.brake is not None:
        now = pace.next(now)
        pace.take(now)
        pace.heal(now)
        taken += 1
    assert 300 <= now - began <= 900
    assert pace.free
    assert pace.next(now) == now


@given(st.floats(1, 200), st.integers(1, 4))
def test_a_slowed_pace_is_reached_within_five_percent(seen: float, complaints: int) -> None:
    pace, now = Pace([]), START
    for _ in range(complaints):
        now = pace.slow(now, seen)
    times = drive(pace, 50, now)
    speed = max(seen / 2**complaints, 1 / 60)
    assert 49 / speed - 1e-4 <= times[-1] - times[0] <= 49 / speed * 1.05


def test_a_brake_outlives_its_process_and_is_forgotten_after_a_day() -> None:
    pace = Pace([Limit(5, 1)])
    until = pace.slow(START, seen=5)
    stored = json.loads(json.dumps(pace.state))
    assert Pace([Limit(5, 1)], stored).next(START + 1) == until
    again = Pace([], stored)
    assert again.slow(until, seen=5) == until + 120
    late = Pace([Limit(5, 1)], stored)
    assert late.next(until + 2 * 86400) == until + 2 * 86400
    assert late.brake is None


@given(st.lists(limits, max_size=3), st.integers(1, 120))
def test_the_estimate_is_near_what_happens(several: list[Limit], count: int) -> None:
    times = drive(Pace(several), count)
    took = times[-1] - times[0]
    longest = max((limit.seconds for limit in several), default=0)
    assert abs(duration_of(several, count) - took) <= 0.1 * took + 0.1 * longest + sum(limit.gap for limit in several)


@given(st.lists(st.lists(limits, min_size=1, max_size=2), min_size=1, max_size=3), st.integers(1, 200))
def test_relays_side_by_side_are_no_slower_than_the_quickest_and_share_the_work(
    several: list[list[Limit]], count: int
) -> None:
    together = duration_together(several, count)
    assert together <= min(duration_of(each, count) for each in several) + 0.01
    assert together >= min(duration_of(each, -(-count // len(several))) for each in several) - 0.1


def test_a_limit_of_five_and_one_of_ten_a_second_make_fifteen() -> None:
    assert 64 <= duration_together([[Limit(5, 1)], [Limit(10, 1)]], 1000) <= 70


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
