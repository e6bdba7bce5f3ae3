"""Postfix's smtp-sink in each of its bad moods: what the ledger says afterwards is known beforehand, to the row.

A relay that is not of our making, so that we and our own lab are not wrong in the same way.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from broadcaster.engines.local import LocalEngine
from tests.lab.server import running
from tests.lab.world import World, world

SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/libexec/postfix")

pytestmark = pytest.mark.skipif(SINK is None, reason="Postfix's smtp-sink is not here")


@dataclass(frozen=True)
class Cell:
    """What is left of four people: exit status, the mailing's state, rows by state, attempts, and what is said."""

    status: int
    state: str
    rows: dict[str, int]
    attempts: int
    said: str
    reply: str = ""  # kept with those who have an attempt


def waiting(said: str) -> Cell:
    """Up to MAIL, and wherever the connection goes before the dot, it is about nobody: all wait."""
    return Cell(69, "sending", {"pending": 4}, 0, f"no relay would talk to us: {said}")


SOFT = "450 4.3.0 Error: command failed"
HARD = "500 5.3.0 Error: command failed"
BYE = "421 4.0.0 Server closing connection"
GONE = "the relay closed the connection"
LATER = Cell(75, "sending", {"deferred": 4}, 4, "4 deferred until", SOFT[4:])

CELLS = {
    ("-r", "CONNECT"): waiting(SOFT),
    ("-r", "EHLO"): waiting(SOFT),
    ("-r", "MAIL"): LATER,
    ("-r", "RCPT"): LATER,
    ("-r", "DATA"): LATER,
    ("-r", "."): LATER,
    ("-f", "CONNECT"): waiting(HARD),
    # it knows no EHLO: it is greeted the old way
    ("-f", "EHLO"): Cell(0, "finished", {"accepted": 4}, 4, "accepted 4 of 4; finished", "2.0.0 Ok"),
    ("-f", "MAIL"): Cell(75, "paused", {"pending": 4}, 0, f"mailing 1 was paused: main refuses us: {HARD}"),
    ("-f", "RCPT"): Cell(0, "finished", {"rejected": 4}, 4, "rejected 4 of 4; finished", HARD[4:]),
    # after RCPT it is about the message: three in a row are enough, and nobody is to blame
    ("-f", "DATA"): Cell(75, "paused", {"pending": 4}, 3, f"main refuses this message: {HARD}", HARD[4:]),
    ("-f", "."): Cell(75, "paused", {"pending": 4}, 3, f"main refuses this message: {HARD}", HARD[4:]),
    ("-q", "CONNECT"): waiting("Error connecting to 127.0.0.1"),
    ("-q", "EHLO"): waiting("127.0.0.1"),
    ("-q", "MAIL"): waiting(GONE),
    ("-q", "RCPT"): waiting(GONE),
    ("-q", "DATA"): waiting(GONE),
    ("-q", "."): Cell(
        75, "paused", {"in_doubt": 3, "pending": 1}, 3, f"3 messages in a row got no answer from main ({GONE})", GONE
    ),
    ("-Q", "CONNECT"): waiting(BYE),
    ("-Q", "EHLO"): waiting(BYE),
    ("-Q", "MAIL"): waiting(BYE),
    ("-Q", "RCPT"): waiting(BYE),
    ("-Q", "DATA"): waiting(BYE),
    # the message was refused for now: that much is known
    ("-Q", "."): Cell(69, "sending", {"deferred": 3, "pending": 1}, 3, f"no relay would talk to us: {BYE}", BYE[4:]),
}


@contextmanager
def sink(*mood: str) -> Iterator[int]:
    """A smtp-sink on a port of its own; it can take no port 0."""
    assert SINK
    for _ in range(5):
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # it wants to be somebody else than root
        who = ["-u", pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"]
        process = subprocess.Popen([SINK, *who, *mood, f"127.0.0.1:{port}", "10"], stderr=subprocess.DEVNULL)
        try:
            if listens(port, process):
                yield port
                return
        finally:
            process.kill()
            process.wait()
    raise AssertionError("smtp-sink does not start")


def listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + 5
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.005)
        else:
            return True
    return False


def mended(here: World, cell: Cell, port: int) -> None:
    """The relay is well again, and somebody has looked into what was paused."""
    here.configure(port)
    if cell.state == "paused":
        here.run("resume", "1")
    with closing(sqlite3.connect(here.database)) as conn, conn:
        conn.execute("update due set at = 1")


@pytest.fixture
def briskly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine rests a moment only between failures."""
    defaults = LocalEngine.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "nap", 0.005)


@pytest.mark.usefixtures("briskly")
@pytest.mark.parametrize(("mood", "at"), CELLS)
def test_each_mood_at_each_command_leaves_exactly_this(mood: str, at: str, tmp_path: Path) -> None:
    cell = CELLS[mood, at]
    here = world(tmp_path / "workspace")
    with sink(mood, at) as port:
        here.configure(port)
        said = here.run("send", "1", "--yes", "--json", status=cell.status)
    assert cell.said in said.err
    # it keeps no books of its own: who was accepted is held against the cell below
    books = here.audit(here.books().people("accepted"), doubts=3)
    assert (books.state, dict(books.counted)) == (cell.state, cell.rows)
    assert {state: number for state, number in said.json.items() if state in cell.rows} == cell.rows
    assert sum(books.attempts.values()) == cell.attempts
    assert {reply for address, reply in books.replies.items() if books.attempts[address]} == (
        {cell.reply} if cell.attempts else set()
    )
    if cell.state == "finished":
        return
    with running() as lab:
        mended(here, cell, lab.port)
        here.run("send", "1", "--yes", status=75 if "in_doubt" in cell.rows else 0)
        assert Counter(lab.addresses()) == Counter(books.people("pending", "deferred"))
        after = here.books()
        assert after.people("in_doubt") == books.people("in_doubt")
        assert after.counted["accepted"] == 4 - cell.rows.get("in_doubt", 0)


@pytest.mark.usefixtures("briskly")
@pytest.mark.parametrize("lines", [1, 600], ids=["small", "big"])
def test_a_refusal_that_comes_while_the_message_is_written_is_heard(lines: int, tmp_path: Path) -> None:
    """`-A 0`: 354, then 550 at once, and nothing is read any more. It must not pass for a lost connection."""
    body = "".join(f"Line {number} of many, {'and another word, ' * 5}that is all.\n\n" for number in range(lines))
    here = world(tmp_path / "workspace", 2, f"---\nsubject: Hello\npreheader: A short one\n---\n{body}")
    with sink("-A", "0") as port:
        here.configure(port)
        here.run("send", "1", "--yes", status=None)
    books = here.books()
    assert books.counted == {"rejected": 2}
    assert set(books.replies.values()) == {"This violates SMTP"}
