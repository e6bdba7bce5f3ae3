"""What the commands promise to people and to cron jobs, whatever they are handed: a status, and nothing half done."""

from __future__ import annotations

import os
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from broadcaster.cli import _run
from tests.conftest import Place, Ran
from tests.lab.server import Rule, running

STATEMENT = """---
subject: Water
---
Dear {{ subscriber.name | default("friend") }}. {{ links.leave }}
"""
PEOPLE = "email,name\nako@example.org,Ako\nhuda@example.org,هدى\n"
# no integer of SQLite, and none of a process id
HUGE = "9" * 23


@pytest.fixture
def here(place: Place, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Commands in this process: many small ones are quick. Nobody is there to be asked."""

    def run(*words: str, status: int = 0) -> Ran:
        ended = _run(["-C", str(place.root), *words])
        said = capfd.readouterr()
        assert ended == status, (words, ended, said)
        assert "Traceback" not in said.err
        assert "a defect of ours" not in said.err
        return Ran(ended, said.out, said.err)

    return run


@pytest.fixture
def peopled(place: Place, here: Callable[..., Ran]) -> Place:
    """A workspace with a list of two people and a statement."""
    place.statement("june", en=STATEMENT)
    file = place.root / "people.csv"
    file.write_text(PEOPLE, encoding="utf-8")
    here("lists", "create", "news")
    here("subscribers", "import", str(file), "--list", "news", "--yes")
    return place


# numbers and names that are none


@pytest.mark.parametrize(
    "words",
    [
        ("status", HUGE),
        ("pause", HUGE),
        ("resume", HUGE),
        ("cancel", HUGE, "--yes"),
        ("resolve", HUGE, "--accept", "--yes"),
        ("send", HUGE, "--yes"),
        ("prepare", "june", "--list", "news", "--exclude", f"mailing:{HUGE}"),
    ],
)
def test_a_number_no_mailing_can_have_is_no_mailing(
    peopled: Place, here: Callable[..., Ran], words: tuple[str]
) -> None:
    assert "no mailing" in here(*words, status=65).err


def test_a_file_whose_column_of_addresses_is_left_out_cannot_be_read(peopled: Place, here: Callable[..., Ran]) -> None:
    file = str(peopled.root / "people.csv")
    said = here("subscribers", "import", file, "--list", "news", "--yes", "--map", "email=", status=65)
    assert "no column of addresses" in said.err


def test_what_is_wrong_with_a_file_of_the_workspace_names_it_from_the_workspace(
    peopled: Place, here: Callable[..., Ran]
) -> None:
    (peopled.root / "statements" / "june" / "en.md").write_bytes(b"---\nsubject: x\n---\n\xff\n")
    assert "statements/june/en.md:4" in here("check", "june", status=65).out


# asking


def test_importing_what_changes_nothing_needs_a_yes_too(peopled: Place, here: Callable[..., Ran]) -> None:
    file = str(peopled.root / "people.csv")
    before = here("subscribers", "--json").out
    here("subscribers", "import", file, "--list", "news", status=2)
    here("subscribers", "import", file, "--list", "news", "--yes")
    assert here("subscribers", "--json").out == before


# JSON


def test_run_in_a_workspace_without_anything_is_one_value(here: Callable[..., Ran]) -> None:
    assert here("run", "--json").json == {"mailings": []}


# what a workspace should have and has not


def folder(key: Path) -> None:
    key.mkdir()


def pipe(key: Path) -> None:
    os.mkfifo(key, 0o600)


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize("made", [folder, pipe, nothing])
def test_without_a_key_nothing_is_begun(peopled: Place, here: Callable[..., Ran], made: Callable[[Path], None]) -> None:
    here("prepare", "june", "--list", "news")
    key = peopled.root / "subscribers" / "secret.key"
    key.unlink()
    made(key)
    here("send", "1", "--yes", status=78)
    assert here("status", "1", "--json").json["state"] == "ready"


@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, 13])
def test_a_damaged_database_is_a_configuration_error(peopled: Place, here: Callable[..., Ran], at: int) -> None:
    file = peopled.root / "subscribers" / "broadcaster.db"
    whole = bytearray(file.read_bytes())
    for place in range(997 * at, len(whole), 997):
        whole[place] ^= 0xFF
    file.write_bytes(whole)
    for words in (("lists",), ("status",), ("subscribers",), ("run",), ("send", "june", "--list", "news", "--yes")):
        assert _run(["-C", str(peopled.root), *words]) in (0, 65, 78)


def test_a_folder_that_cannot_be_looked_into_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(["-C", "a" * 5000, "status"]) == 78
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert _run(["status"]) == 78


# the world around a command


def ended(place: Place, shell: str, **env: str) -> tuple[int, bytes, bytes]:
    """The status of the program within a line of shell; `$B` is its name."""
    script = f"{shlex.join(place.command())} {shell}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        capture_output=True,
        env={**os.environ, **env},
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert b"a defect of ours" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("shell", "status"),
    [
        ("subscribers --json | head -c 5", 0),
        ("subscribers --json > /dev/full", 73),
        ("lists --json >&-", 0),
        ("status 7 2> /dev/full", 65),
        ("status 7 2>&-", 65),
        ("subscribers import - --list news --yes <&-", 65),
        ("send june --list news --yes <&- >&- 2>&-", 0),
        ("subscribers $'\\xff'", 2),
        ("prepare june --list news --exclude $'\\xff'", 2),
        ("check $'\\xff'", 65),
    ],
)
def test_streams_that_are_closed_full_or_no_text_are_told_by_the_status(
    peopled: Place, shell: str, status: int
) -> None:
    if "/dev/full" in shell and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    assert ended(peopled, shell)[0] == status


def test_data_is_utf_8_in_any_locale(peopled: Place) -> None:
    strange = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for shell in ("subscribers --json", "subscribers export", "subscribers"):
        status, out, _ = ended(peopled, shell, **strange)
        assert status == 0
        assert "هدى" in out.decode("utf-8")


# two at once


def until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_what_was_handed_over_ends_as_finished(peopled: Place) -> None:
    peopled.statement("july", en=STATEMENT)
    with running(Rule("dot", delay=1.0)) as lab:
        peopled.configure(lab.port, connections=1)
        first = peopled.start("send", "june", "--list", "news", "--yes")
        until(lambda: bool(lab.messages))
        # it waits for an answer: however long the other one takes to start, it is there
        first.send_signal(signal.SIGSTOP)
        peopled.run("send", "july", "--list", "news", "--yes", status=75)
        first.send_signal(signal.SIGCONT)
        assert first.wait(30) == 0, first.communicate()
        first.communicate()
    assert [of["state"] for of in peopled.run("mailings", "--json").json] == ["finished", "finished"]


def test_who_is_stopped_says_so_by_the_status(peopled: Place) -> None:
    with running(Rule("dot", delay=1.0)) as lab:
        peopled.configure(lab.port, connections=1)
        peopled.run("prepare", "june", "--list", "news")
        for number, words in enumerate((("send", "1", "--yes"), ("run",)), start=1):
            going = peopled.start(*words)
            until(lambda number=number: len(lab.sessions) == number and "DATA" in lab.sessions[-1].verbs)  # type: ignore[misc]
            going.send_signal(signal.SIGINT)
            going.communicate(timeout=30)
            assert going.returncode == 130, words
    assert peopled.run("status", "1", "--json").json["accepted"] == 2


def test_a_statement_is_not_named_like_a_mailing(peopled: Place, here: Callable[..., Ran]) -> None:
    (peopled.root / "statements" / "12.md").write_text(STATEMENT, encoding="utf-8")
    for words in (("check", "12"), ("prepare", "12", "--list", "news"), ("send", "12", "--yes")):
        here(*words, status=65)


def test_a_demo_that_is_only_foreseen_is_one_value(here: Callable[..., Ran]) -> None:
    assert len(here("demo", "--dry-run", "--json").json["commands"]) == 4


def test_a_long_import_ends_no_sending(peopled: Place) -> None:
    """Half a minute of another's transaction is waited for: what was accepted meanwhile is written down after it."""
    from broadcaster.db import BUSY_SECONDS

    assert BUSY_SECONDS >= 60
    with running() as lab:
        peopled.configure(lab.port)
        peopled.run("prepare", "june", "--list", "news")
        with closing(sqlite3.connect(peopled.root / "subscribers" / "broadcaster.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            going = peopled.start("send", "1", "--yes")
            time.sleep(1.5)
            other.execute("rollback")
        going.communicate(timeout=30)
    assert going.returncode == 0
