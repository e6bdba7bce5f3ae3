"""Looking on: what is drawn and told while a mailing comes on, and when that ends."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.cli.say import clip, width
from broadcaster.cli.watch import Canvas, Rate, View
from broadcaster.delivery import Event, State
from broadcaster.lock import GLANCES, Lock
from broadcaster.mailing import State as MailingState
from tests.conftest import Place
from tests.lab.mailings import mailing
from tests.test_ledger import enrolled
from tests.test_mark import opened

OF = replace(mailing(MailingState.SENDING, {}), id=12, audience=100, last=100)


class Terminal:
    """What is seen of a terminal that breaks long lines and knows three commands."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        while text.startswith("\x1b["):
            command, text = text[2:].split("F", 1) if text[2:3].isdigit() else ("", text[3:])
            if command:
                del self.lines[max(0, len(self.lines) - int(command)) :]
        for line in text.splitlines():
            line = line.replace("\x1b[0m", "")
            self.lines += [line[i : i + self.columns] for i in range(0, max(1, len(line)), self.columns)]

    def resize(self, columns: int, frame: list[str], before: list[str]) -> None:
        self.columns = columns
        self.lines = []
        for line in (*before, *frame):
            self.write(line + "\n")


@given(
    st.lists(st.text("abc", max_size=40), max_size=5),
    st.lists(st.text("xyz", max_size=40), max_size=5),
    st.integers(5, 60),
)
def test_a_frame_replaces_the_last_one_and_nothing_above_it(first: list[str], second: list[str], columns: int) -> None:
    terminal = Terminal(60)
    terminal.write("what was there\n")
    canvas = Canvas(terminal.write)
    canvas.draw([(line, None) for line in first], 60, 100)
    # a narrower terminal has broken what was drawn
    terminal.resize(columns, first, ["what was there"])
    canvas.draw([(clip(line, columns - 1), None) for line in second], columns, 100)
    expected = Terminal(columns)
    for line in ("what was there", *(clip(line, columns - 1) for line in second)):
        expected.write(line + "\n")
    assert terminal.lines == expected.lines


@given(st.text(max_size=60), st.integers(1, 30))
def test_what_is_clipped_fits(text: str, columns: int) -> None:
    assert width(clip(text, columns)) <= columns


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate(window=10)
    assert rate.a_second == 0
    for second in range(60):
        rate.take(float(second), 5 * second if second < 30 else 150 + 2 * (second - 30))
    assert rate.a_second == pytest.approx(2)
    for second in range(60, 80):
        rate.take(float(second), 208)
    assert rate.a_second == 0


def test_the_time_left_is_that_of_what_was_not_tried() -> None:
    view = View()
    view.look(replace(OF, tally={State.PENDING: 100}), 0.0)
    view.look(replace(OF, tally={State.PENDING: 40, State.ACCEPTED: 55, State.DEFERRED: 5}), 10.0)
    assert (view.changed, view.speed) == (True, "6.0/s, 7 s left")
    view.look(replace(OF, tally={State.PENDING: 40, State.ACCEPTED: 55, State.DEFERRED: 5}), 11.0)
    assert not view.changed
    view.look(replace(OF, state=MailingState.PAUSED, tally={State.PENDING: 40, State.ACCEPTED: 60}), 12.0)
    assert (view.changed, view.speed) == (True, "")
    for columns in (10, 20, 40, 200):
        assert all(width(line) <= columns for line, _ in view.lines(columns))


def test_a_glance_at_the_lock_takes_it_from_nobody(tmp_path: Path) -> None:
    path = tmp_path / "sender.lock"
    assert not Lock(path).held()
    assert not path.exists()
    lock = Lock(path)
    assert lock.take()
    assert lock.held()
    assert Lock(path).held()
    assert not Lock(path).take()
    lock.release()
    assert not Lock(path).held()
    # somebody looks just now
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    began = time.monotonic()
    assert not lock.take()
    assert time.monotonic() - began < GLANCES
    os.close(looking)
    assert lock.take()
    lock.release()


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Lock]:
    """The lock of a sender at work, whom we play."""
    (tmp_path / "workspace/subscribers").mkdir(parents=True)
    lock = Lock(tmp_path / "workspace/subscribers/sender.lock")
    assert lock.take()
    yield lock
    lock.release()


@pytest.fixture
def moving(tmp_path: Path, at_work: Lock) -> Place:
    """A mailing of four people that is being sent."""
    place = Place(tmp_path / "workspace")
    place.configure(1)
    with opened(place) as house:
        enrolled(house.ledger, 4)
        house.db.conn.execute("update mailing set state = 2")
    return place


def come_on(place: Place, number: int) -> None:
    with opened(place) as house:
        found = house.ledger.pending(house.ledger.mailing(1), 0, number)
        for event in (Event.CLAIM, Event.HAND, Event.ACCEPT):
            house.ledger.shift(1, found, event)
        house.ledger.finish_if_done(1, house.now)


def test_off_a_terminal_it_is_a_line_for_each_change_until_all_is_over(moving: Place) -> None:
    watcher = moving.start("status", "1", "--watch", "--json")
    assert watcher.stdout
    lines = [watcher.stdout.readline()]
    for _ in range(2):
        come_on(moving, 2)
        lines.append(watcher.stdout.readline())
    assert watcher.wait(10) == 0
    assert [line.count('"accepted": ') for line in lines] == [1] * 3
    assert ['"accepted": 0,' in lines[0], '"accepted": 2,' in lines[1], '"state": "finished"' in lines[2]] == [True] * 3
    assert watcher.communicate()[0] == ""


def test_on_a_terminal_it_is_drawn_in_place_until_ctrl_c(moving: Place) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    watcher = subprocess.Popen(
        moving.command("status", "--watch"), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = read_until(ours, "0 of 4")
    come_on(moving, 1)
    seen += read_until(ours, "1 of 4")
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    seen += read_until(ours, "\x1b[")
    watcher.send_signal(signal.SIGINT)
    assert watcher.wait(10) == 130
    assert "june, sending" in seen
    assert "Traceback" not in seen
    os.close(ours)


def read_until(descriptor: int, words: str) -> str:
    """What a terminal shows until it has shown these words."""
    seen = ""
    while words not in seen:
        seen += os.read(descriptor, 65_536).decode()
    return seen


def test_it_ends_when_nobody_sends(moving: Place, at_work: Lock) -> None:
    watcher = moving.start("status", "1", "--watch")
    assert watcher.stdout
    watcher.stdout.readline()
    at_work.release()
    _, err = watcher.communicate(timeout=15)
    assert "`broadcaster send 1` goes on" in err
    assert watcher.returncode == 0
