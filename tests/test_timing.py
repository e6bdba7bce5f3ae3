"""What the clock decides: when mailings start, wait, are too late or over; what `run` says, and what twenty do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from broadcaster.clock import zone_name
from tests.conftest import Place
from tests.lab.clocks import time_comes
from tests.lab.nursery import nursery
from tests.lab.server import running, spawned
from tests.lab.world import World, world
from tests.long.runs import PEOPLE, at_once
from tests.test_round import Shop, shop
from tests.test_sending import STATEMENT, configured, ended, people

__all__ = ["shop"]

DATABASE = "subscribers/broadcaster.db"


@pytest.fixture
def june(place: Place) -> Place:
    place.statement("june", en=STATEMENT)
    return place


@pytest.fixture
def here(tmp_path: Path) -> World:
    """Some people, and two statements that are not prepared."""
    made = world(tmp_path / "workspace", 30)
    made.run("cancel", "1", "--yes")
    shutil.copytree(made.root / "statements" / "june", made.root / "statements" / "july")
    return made


def around_now(before: int = 60, after: int = 60) -> str:
    """Quiet hours that hold now, by so many minutes."""
    now = datetime.now(UTC)
    first, last = now - timedelta(minutes=before), now + timedelta(minutes=after)
    return f'[time]\nzone = "UTC"\nquiet = ["{first:%H:%M}-{last:%H:%M}"]\n'


# shown


def test_a_time_is_shown_back_as_wall_time_zone_and_utc(here: World) -> None:
    with running() as lab:
        here.configure(lab.port, more='[time]\nzone = "Europe/Berlin"\n')
        told = here.run("prepare", "june", "--list", "news", "--at", "2027-03-28 02:30", "--dry-run", "--json")
        assert told.json["due"] == "2027-03-28 03:30 Europe/Berlin"
        assert told.json["due_utc"] == "2027-03-28T01:30:00Z"
        assert told.json["expires_utc"] == "2027-03-28T13:30:00Z"
        assert "02:30 does not exist that day" in told.err
        shown = "2027-10-31 02:30 Europe/Berlin (00:30 UTC; it comes twice that day: the first)"
        made = here.run(
            "send", "june", "--list", "news", "--at", "2027-10-31 02:30", "--expires", "1h", "--yes", "--json"
        )
        assert (made.json["due_utc"], made.json["expires_utc"]) == ("2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z")
        assert shown in made.err
        assert "no `broadcaster run` was seen in the last hour" in made.err
        assert shown in here.run("status", "2").out
        assert shown in here.run("mailings").err
        assert shown in here.run("schedule").out
        listed = here.run("mailings", "--json").json[0]
        assert listed["due_utc"] == "2027-10-31T00:30:00Z"


def test_without_a_zone_the_machines_own_is_named(june: Place) -> None:
    people(june, 1)
    june.configure(9)
    for zone, words in (
        ("Asia/Baghdad", "Asia/Baghdad"),
        (":America/St_Johns", "America/St_Johns"),
        ("XYZ-3", "+03:00"),
    ):
        ran = june.run("prepare", "june", "--list", "news", "--at", "2027-06-01 09:00", "--dry-run", "--json", TZ=zone)
        assert ran.json["due"] == f"2027-06-01 09:00 {words}"


def test_the_machines_zone_is_found_by_its_name() -> None:
    assert zone_name({"TZ": "Asia/Tehran"}) == "Asia/Tehran"
    assert zone_name({"TZ": ":/usr/share/zoneinfo/Asia/Tehran"}) == "Asia/Tehran"
    assert zone_name({"TZ": ""}) == zone_name({"TZ": "Etc/UTC"}) == "UTC"
    assert zone_name({"TZ": "CET-1CEST"}) is None
    here = zone_name({})
    assert here is not None
    now = datetime.now(UTC)
    assert now.astimezone(ZoneInfo(here)).utcoffset() == now.astimezone().utcoffset()


def other_rules(folder: Path) -> str:
    """A time zone database of after a country has changed its clocks: in Baghdad they show what they do in Kolkata."""
    found = next(path for path in map(Path, zoneinfo.TZPATH) if (path / "Asia" / "Kolkata").is_file())
    (folder / "Asia").mkdir(parents=True)
    shutil.copy(found / "Asia" / "Kolkata", folder / "Asia" / "Baghdad")
    return os.pathsep.join([str(folder), str(found)])


def test_when_a_country_changes_its_clocks_the_wall_time_counts(june: Place, tmp_path: Path) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 2)
        soon = datetime.now(ZoneInfo("Asia/Baghdad")) + timedelta(hours=2)
        made = june.run("prepare", "june", "--list", "news", "--at", f"{soon:%Y-%m-%d %H:%M} Asia/Baghdad", "--json")
        assert june.run("run").err == ""
        # two and a half hours sooner
        rules = other_rules(tmp_path / "zones")
        after = june.run("status", "1", "--json", PYTHONTZPATH=rules).json
        sooner = datetime.fromisoformat(made.json["due_utc"]) - datetime.fromisoformat(after["due_utc"])
        assert sooner == timedelta(hours=2, minutes=30)
        assert after["due"] == made.json["due"]
        assert "the clocks' rules have changed" in june.run("status", "1", PYTHONTZPATH=rules).out
        assert "finished" in june.run("run", PYTHONTZPATH=rules).err
        assert len(lab.messages) == 2


# too late


def test_a_machine_that_wakes_up_late_holds_it_and_says_so_once(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "june", "--list", "news", "--at", "tomorrow 9:00", "--yes")
        time_comes(here.database, late=13 * 3600)
        assert here.run("run", "--dry-run", "--json").json == {"mailings": []}
        ran = here.run("run", "--json")
        assert ran.json["held"] == [2]
        assert "held (too late: it was due at" in ran.err
        assert "resume 2" in ran.err
        assert here.run("run").err == ""
        # whoever means the statement does not mean it at any time
        assert "held" in here.run("send", "june", "--list", "news", "--yes", status=77).err
        assert not lab.messages
        # by its number a person means this one
        assert here.run("send", "2", "--yes", "--json").json["state"] == "finished"
        assert len(lab.messages) == 30


def test_just_in_time_is_not_too_late(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
        time_comes(here.database, late=11 * 3600)
        assert "finished" in here.run("run").err


def test_a_script_does_not_blast_what_nobody_has_held_yet(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
        time_comes(here.database, late=13 * 3600)
        assert "was due at" in here.run("send", "june", "--list", "news", "--yes", status=77).err
        assert not lab.messages


def test_what_has_not_gone_by_the_end_that_was_set_does_not_go(here: World) -> None:
    with running() as lab:
        here.configure(lab.port, limits='["5/s"]')
        here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "3s")
        time_comes(here.database)
        ran = here.run("run", "--json")
        told = ran.json["mailings"][0]
        assert told["state"] == "finished"
        assert told["accepted"] == len(lab.messages)
        assert 0 < told["accepted"] < 25
        assert told["expired"] == 30 - told["accepted"]
        assert here.run("run").err == ""
        deeds = here.run("log", "--mailing", "2", "--json").json
        assert {"open": told["expired"]} in [deed["details"] for deed in deeds if deed["what"] == "mailing expire"]


def interrupted_long_ago(database: Path) -> None:
    """What waits for its time was begun then, stopped in the middle, and is found again much later."""
    time_comes(database, late=30 * 86400)
    with closing(sqlite3.connect(database)) as conn, conn:
        conn.execute("update mailing set state = 2 where state = 1")


@pytest.mark.parametrize("words", [("run",), ("send", "2", "--yes")])
def test_what_was_interrupted_expires_only_where_somebody_set_an_end(here: World, words: tuple[str, ...]) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "1h")
        interrupted_long_ago(here.database)
        ran = here.run(*words)
        assert "its time is over, and 30 people do not get it" in ran.err
        told = here.run("status", "2", "--json").json
        assert (told["state"], told["expired"], len(lab.messages)) == ("finished", 30, 0)
        here.run("prepare", "july", "--list", "news", "--at", "tomorrow 9:00")
        interrupted_long_ago(here.database)
        here.run("run")
        assert len(lab.messages) == 30


def test_who_lets_it_go_all_the_same_lets_all_of_it_go(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "1h")
        time_comes(here.database, late=2 * 3600)
        here.run("run")
        assert "too late" in here.run("resume", "2").err
        here.run("run")
        assert here.run("status", "2", "--json").json["accepted"] == len(lab.messages) == 30
        (deed,) = [deed for deed in here.run("log", "--json").json if deed["what"] == "mailing resume"]
        assert deed["details"] == {"late": True}


# quiet


def test_in_quiet_hours_nothing_goes_and_run_says_nothing(here: World) -> None:
    with running() as lab:
        here.configure(lab.port, more=around_now())
        done = here.run("send", "june", "--list", "news", "--yes", "--json", status=75)
        assert (done.json["state"], done.json["pending"]) == ("sending", 30)
        assert "quiet until" in done.err
        assert "quiet until" in here.run("status", "2").out
        until = here.run("status", "2", "--json").json["quiet_until"]
        assert 3500 < until - time.time() <= 3600
        assert here.run("run", "--json").json["mailings"] == []
        here.run("prepare", "july", "--list", "news", "--at", "tomorrow 9:00")
        time_comes(here.database)
        ran = here.run("run")
        assert (ran.out, ran.err) == ("", "")
        assert here.run("status", "3", "--json").json["state"] == "scheduled"
        assert not lab.messages
        # by a person's word, this one only
        assert here.run("send", "2", "--now", "--yes", "--json").json["state"] == "finished"
        assert len(lab.messages) == 30


def test_who_is_in_a_hurry_takes_nothing_along_that_others_begin_in_the_quiet(here: World) -> None:
    with running() as lab:
        here.configure(lab.port, more=around_now(), limits='["10/s"]')
        here.run("prepare", "june", "--list", "news")
        command = [sys.executable, "-m", "broadcaster", "-C", str(here.root), "send", "2", "--now", "--yes"]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as hurried:
            while not lab.messages:
                assert hurried.poll() is None
                time.sleep(0.01)
            here.run("send", "july", "--list", "news", "--yes", status=75)
            hurried.communicate(timeout=60)
        assert hurried.returncode == 0
        assert len(lab.messages) == 30
        assert here.run("status", "3", "--json").json["pending"] == 30
        # whom nobody is in a hurry for has its turn with the next one of its own
        assert here.run("send", "3", "--now", "--yes", "--json").json["accepted"] == 30


def test_on_a_day_off_nothing_goes_and_rehearsals_do(here: World) -> None:
    today = datetime.now(UTC).date()
    off = f'[time]\nzone = "UTC"\ndays_off = ["{today}", "{today + timedelta(days=1)}"]\n'
    with running() as lab:
        here.configure(lab.port, more=off)
        here.run("send", "june", "--list", "news", "--yes", status=75)
        here.run("test", "june", "staff@water.example")
        assert len(lab.messages) == 1
        file = here.root / "broadcaster.toml"
        file.write_text(file.read_text().replace(f"smtp://127.0.0.1:{lab.port}", "maildir:outbox"))
        here.run("send", "2", "--yes")
        assert len(list((here.root / "outbox" / "new").iterdir())) == 30


def test_a_time_in_the_quiet_is_told_and_too_late_counts_from_its_end(here: World) -> None:
    with running() as lab:
        here.configure(lab.port, more='[time]\nzone = "UTC"\nquiet = ["21:00-08:00"]\ndays_off = ["2027-06-02"]\n')
        words = ("prepare", "june", "--list", "news", "--at", "2027-06-01 22:00", "--dry-run", "--json")
        told = here.run(*words)
        assert "until 2027-06-03 08:00" in told.err
        assert told.json["expires_utc"] == "2027-06-03T20:00:00Z"
        assert "quiet until 2027-06-03 08:00" in here.run(*words, "--expires", "12h", status=65).err


class Clock:
    """A clock that somebody may put forward; it ticks."""

    def __init__(self, at: datetime) -> None:
        self.ahead = at.timestamp() - time.time()

    def __call__(self) -> float:
        return time.time() + self.ahead


QUIET = '[time]\nzone = "UTC"\nquiet = ["21:00-08:00"]\n'


@pytest.mark.parametrize("limit", ["5/s", "2/h"])
def test_when_the_quiet_begins_what_runs_waits_for_its_end(shop: Shop, limit: str) -> None:
    """Also where everybody waits for a pace, for longer than that."""
    evening = datetime(2027, 6, 1, 20, 59, 58, tzinfo=UTC)
    with running() as lab:
        shop.relays(("main", lab.port), limits=f'["{limit}"]', more=QUIET)
        number = shop.mailing(40)
        clock = Clock(evening)
        asyncio.run(shop.work(shop.turn(clock=clock), number))
        gone = len(lab.messages)
        assert 0 < gone < 20
        assert clock() < evening.timestamp() + 5
        assert shop.tally(number) == {"accepted": gone, "pending": 40 - gone}
        # in the night nothing
        asyncio.run(shop.work(shop.turn(clock=clock), number))
        assert len(lab.messages) == gone
        shop.relays(("main", lab.port), more=QUIET)
        asyncio.run(shop.work(shop.turn(clock=Clock(evening + timedelta(hours=11, seconds=3))), number))
        assert shop.tally(number) == {"accepted": 40}


def test_who_waits_waits_for_the_end_of_the_quiet(shop: Shop) -> None:
    night = datetime(2027, 6, 1, 23, tzinfo=UTC)
    with running() as lab:
        shop.relays(("main", lab.port), more=QUIET)
        number = shop.mailing(3)
        clock = Clock(night)
        told: list[int] = []

        def idle(until: int) -> None:
            assert not lab.messages
            told.append(until)
            clock.ahead += until - clock() - 0.5

        async def wait() -> None:
            async with asyncio.timeout(20):
                await shop.turn(clock=clock).work([number], wait=True, idle=idle)

        asyncio.run(wait())
        assert told == [int(datetime(2027, 6, 2, 8, tzinfo=UTC).timestamp())]
        assert shop.tally(number) == {"accepted": 3}


def test_what_is_over_before_the_quiet_is_does_not_go_to_anybody(shop: Shop) -> None:
    """Not to the first of them either, whom nobody looked after yet."""
    night = datetime(2027, 6, 1, 23, tzinfo=UTC)
    with running() as lab:
        shop.relays(("main", lab.port), more=QUIET)
        number = shop.mailing(30)
        due = int(night.timestamp()) - 3600
        with shop.house.db.atomic() as conn:
            conn.execute(
                "update mailing set due = ?, due_words = '2027-06-01 22:00 UTC', expires = ?, guard = 1 where id = ?",
                (due, due + 3 * 3600, number),
            )
        clock = Clock(night)

        def idle(until: int) -> None:
            clock.ahead += until - clock() + 1

        async def wait() -> None:
            async with asyncio.timeout(20):
                await shop.turn(clock=clock).work([number], wait=True, idle=idle)

        asyncio.run(wait())
        assert shop.tally(number) == {"expired": 30}
        assert not lab.messages


# run


def test_a_clock_that_was_set_back_is_told_once_and_nothing_is_done_twice(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "june", "--list", "news", "--yes")
        with closing(sqlite3.connect(here.database)) as conn, conn:
            conn.execute("insert or replace into seen values ('clock', ?)", (int(time.time()) + 3 * 3600 + 30,))
        assert "the clock moved back 3 h" in here.run("run").err
        assert here.run("run").err == ""
        assert len(lab.messages) == 30


def test_what_was_missed_while_the_machine_was_off_is_done_once(june: Place) -> None:
    june.statement("july", en=STATEMENT)
    with running() as lab:
        configured(june, lab)
        people(june, 2)
        for slug in ("june", "july"):
            june.run("prepare", slug, "--list", "news", "--at", "tomorrow 9:00")
        time_comes(june.root / DATABASE, late=3600)
        runs = [june.start("run"), june.start("run")]
        assert {ended(each)[0] for each in runs} <= {0, 75}
        june.run("run")
        assert len(lab.messages) == 4
        assert [each["state"] for each in june.run("mailings", "--json").json] == ["finished", "finished"]


def test_of_twenty_runs_at_once_one_works_and_nineteen_say_nothing(tmp_path: Path) -> None:
    """`python -m tests.long.runs` does it as often as one likes."""
    with nursery(tmp_path / "said") as born, spawned(tmp_path / "record") as relay:
        for number in range(3):
            at_once(world(tmp_path / str(number), PEOPLE), born, relay)


def test_who_has_seen_no_run_for_an_hour_is_told_so(here: World) -> None:
    warned: Callable[[str], bool] = lambda said: "no `broadcaster run` was seen" in said  # noqa: E731
    words = ("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    assert warned(here.run(*words).err)
    here.run("run")
    assert not warned(here.run(*words).err)
    with closing(sqlite3.connect(here.database)) as conn, conn:
        conn.execute("update seen set at = at - 3600 where what = 'run'")
    assert warned(here.run(*words).err)
    assert warned(here.run("status", "2").out)
