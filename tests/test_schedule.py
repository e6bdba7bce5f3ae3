"""When a mailing is due: what people write, and what clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.config import Time
from broadcaster.errors import BadData
from broadcaster.quiet import over
from broadcaster.schedule import Window, window
from tests.test_quiet import ZONES, transitions

# Thursday, 2026-11-26 12:00 UTC
NOW = int(datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp())


def moment(words: str, zone: str = "Asia/Baghdad") -> datetime:
    due = window(words, zone=zone, now=NOW).due
    assert due is not None
    return datetime.fromtimestamp(due, ZoneInfo(zone))


@given(
    st.datetimes(datetime(2027, 1, 1), datetime(2030, 12, 31)),
    st.sampled_from(["Asia/Baghdad", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe"]),
)
def test_a_wall_time_is_kept_or_moved_past_the_gap(wall: datetime, zone: str) -> None:
    wall = wall.replace(second=0, microsecond=0)
    found = moment(f"{wall:%Y-%m-%d %H:%M}", zone).replace(tzinfo=None)
    exists = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
    assert found == wall if exists else wall < found <= wall + timedelta(hours=1)


def test_a_wall_time_that_comes_twice_means_its_first_coming() -> None:
    due = window("2027-10-31 02:30 Europe/Berlin", zone=None, now=NOW).due
    assert due == datetime(2027, 10, 31, 0, 30, tzinfo=UTC).timestamp()


def test_a_gap_is_shown_as_what_it_means() -> None:
    assert window("2027-03-28 02:30", zone="Europe/Berlin", now=NOW).words == "2027-03-28 03:30 Europe/Berlin"


def test_days_are_told_by_name() -> None:
    assert moment("tomorrow 9:00") == datetime(2026, 11, 27, 9, tzinfo=ZoneInfo("Asia/Baghdad"))
    assert moment("today 18:30").day == 26
    assert moment("friday 18:00").day == 27
    assert moment("friday at 18:00").day == 27
    assert moment("thu 18:00") == datetime(2026, 12, 3, 18, tzinfo=ZoneInfo("Asia/Baghdad"))


def test_a_zone_in_the_words_wins() -> None:
    for words in (
        "2026-12-01 09:00 Asia/Baghdad",
        "2026-12-01T06:00Z",
        "2026-12-01 09:00 +03:00",
        "2026-12-01T09:00+0300",
    ):
        assert window(words, zone="America/New_York", now=NOW).due == datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("zone", ZONES)
def test_what_is_stored_means_the_same_around_each_change_of_clocks(zone: str) -> None:
    """Wall times before, in and after what is skipped or comes twice: kept, or moved past the gap; the first of two."""
    place = ZoneInfo(zone)
    for change in transitions(zone):
        before = datetime.fromtimestamp(change - 1, UTC).astimezone(place).replace(tzinfo=None) + timedelta(seconds=1)
        for minutes in (-121, -61, -30, -1, 0, 1, 29, 31, 59, 61, 121):
            wall = before + timedelta(minutes=minutes)
            found = window(f"{wall:%Y-%m-%d %H:%M:%S}", zone=zone, now=change - 90_000)
            assert found.due is not None
            shown = datetime.fromtimestamp(found.due, UTC).astimezone(place).replace(tzinfo=None)
            moments = _shows(wall, change, place)
            if moments:
                assert (found.due, shown, found.note) == (moments[0], wall, "")
                assert ("comes twice" in found.shown) == (len(moments) == 2)
            else:
                assert wall < shown <= wall + timedelta(hours=2)
                assert f"{wall:%H:%M} does not exist" in found.note
            # the words alone give it back
            assert Window(found.due + 7200, found.words, found.due + 9000).moment == found.due
            assert Window(found.due + 7200, found.words, found.due + 9000).ends == found.due + 1800


def _shows(wall: datetime, change: int, place: ZoneInfo) -> list[int]:
    """All the moments at which a clock there shows that, found by both distances to UTC around a change."""
    offsets = {datetime.fromtimestamp(at, UTC).astimezone(place).utcoffset() for at in (change - 1, change)}
    found = {int((wall - offset).replace(tzinfo=UTC).timestamp()) for offset in offsets if offset is not None}
    return sorted(at for at in found if datetime.fromtimestamp(at, UTC).astimezone(place).replace(tzinfo=None) == wall)


def test_a_time_is_shown_with_zone_and_utc() -> None:
    for words, shown in (
        ("2026-12-01 09:00 Asia/Baghdad", "2026-12-01 09:00 Asia/Baghdad (06:00 UTC)"),
        ("2026-12-01 02:00 Asia/Baghdad", "2026-12-01 02:00 Asia/Baghdad (2026-11-30 23:00 UTC)"),
        ("2026-12-01 09:00:30 +03:30", "2026-12-01 09:00:30 +03:30 (05:30:30 UTC)"),
        ("2026-12-01 09:00 utc", "2026-12-01 09:00 UTC"),
        (
            "2027-10-31 02:30 Europe/Berlin",
            "2027-10-31 02:30 Europe/Berlin (00:30 UTC; it comes twice that day: the first)",
        ),
    ):
        assert window(words, zone=None, now=NOW).shown == shown
    assert Window().shown == ""


def test_the_words_decide_and_not_what_was_reckoned_from_them() -> None:
    nine = int(datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp())
    stored = Window(nine - 3600, "2026-12-01 09:00 Asia/Baghdad", nine + 3600)
    assert (stored.moment, stored.ends) == (nine, nine + 7200)
    assert "not 2026-12-01 05:00 UTC: the clocks' rules have changed" in stored.shown
    # of words that mean no zone here nothing can be reckoned anew
    for words in ("2026-12-01 09:00 local time", "2026-12-01 09:00 Mars/Base", "", "soon"):
        assert Window(nine - 3600, words, nine).moment == nine - 3600
    # before seconds were kept
    assert Window(nine + 30, "2026-12-01 09:00 Asia/Baghdad").moment == nine + 30


def test_a_machine_whose_zone_has_no_name_gives_its_distance() -> None:
    found = window("2026-12-01 09:00", zone=None, now=NOW)
    offset = datetime(2026, 12, 1, 9).astimezone().strftime("%z")
    assert found.words == f"2026-12-01 09:00 {offset[:3]}:{offset[3:]}"
    assert Window(0, found.words).moment == found.due


def test_without_an_expiry_it_is_too_late_in_half_a_day() -> None:
    found = window("tomorrow 9:00", zone="UTC", now=NOW)
    assert found.due is not None
    assert (found.expires, found.closes) == (found.due + 12 * 3600, False)
    # from when it may go: a night of quiet hours is not the machine's fault
    found = window("tomorrow 9:00", zone="UTC", now=NOW, opens=lambda due: due + 86400)
    assert found.due is not None
    assert found.expires == found.due + 86400 + 12 * 3600


def test_what_would_be_too_late_before_it_may_go_is_refused() -> None:
    with pytest.raises(BadData, match="it is quiet until 2026-11-28 09:00"):
        window("tomorrow 9:00", zone="UTC", now=NOW, expires=3600, opens=lambda due: due + 86400)


def test_digits_of_every_script_are_digits() -> None:
    for words in ("٢٠٢٦-١٢-٠١ ٠٩:٠٠", "۲۰۲۶-۱۲-۰۱ ۰۹:۰۰"):
        assert window(words, zone="Asia/Baghdad", now=NOW).words == "2026-12-01 09:00 Asia/Baghdad"


def test_expiry_counts_from_the_time_given() -> None:
    found = window("tomorrow 9:00", zone="UTC", now=NOW, expires=3600)
    assert found.due is not None
    assert (found.expires, found.closes) == (found.due + 3600, True)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "soon",
        "9:00",
        "2026-13-01 09:00",
        "2026-12-01 25:00",
        "2026-12-01",
        "someday 9:00",
        "tomorrow 9:00 Mars/Base",
        "9999-12-31 23:00 -12:00",
        "0001-01-01 00:00 +12:00",
        "tomorrow 9:00 +99:99",
        "tomorrow ²:00",
    ],
)
def test_what_is_no_time_is_said_to_be_none(words: str) -> None:
    with pytest.raises(BadData, match="no time"):
        window(words, zone="UTC", now=NOW)


@pytest.mark.parametrize("words", ["9999-12-31 23:59", "2062-12-01 09:00"])
def test_a_time_that_only_a_slip_of_the_finger_can_mean_is_refused(words: str) -> None:
    """Also where no calendar has the end of the quiet after it."""
    with pytest.raises(BadData, match="more than ten years away"):
        window(words, zone="UTC", now=NOW, opens=lambda due: over(Time("UTC", weekdays_off=frozenset({4})), due) or due)


def test_a_time_that_has_passed_is_refused() -> None:
    with pytest.raises(BadData, match="has passed"):
        window("2026-11-26 11:00", zone="UTC", now=NOW)
