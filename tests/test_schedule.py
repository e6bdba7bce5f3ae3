"""When a mailing is due: what people write, and what clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import BadData
from broadcaster.schedule import window

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
    assert moment("thu 18:00") == datetime(2026, 12, 3, 18, tzinfo=ZoneInfo("Asia/Baghdad"))


def test_a_zone_in_the_words_wins() -> None:
    for words in (
        "2026-12-01 09:00 Asia/Baghdad",
        "2026-12-01T06:00Z",
        "2026-12-01 09:00 +03:00",
        "2026-12-01T09:00+0300",
    ):
        assert window(words, zone="America/New_York", now=NOW).due == datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp()


def test_expiry_counts_from_the_time_given() -> None:
    found = window("tomorrow 9:00", zone="UTC", now=NOW, expires=3600)
    assert found.due is not None
    assert found.expires == found.due + 3600


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
    ],
)
def test_what_is_no_time_is_said_to_be_none(words: str) -> None:
    with pytest.raises(BadData, match="no time"):
        window(words, zone="UTC", now=NOW)


def test_a_time_that_has_passed_is_refused() -> None:
    with pytest.raises(BadData, match="has passed"):
        window("2026-11-26 11:00", zone="UTC", now=NOW)
