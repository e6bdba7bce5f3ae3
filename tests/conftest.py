"""A workspace to try things in, and the command line as a person runs it."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from broadcaster.cli import _run
from broadcaster.db import Db, open_database
from tests.lab.server import Remote, spawned

settings.register_profile("steady", deadline=None, print_blob=True)
settings.load_profile("steady")

CONFIG = """
[sender]
name = { en = "Water for All", ar = "الماء للجميع", ckb = "ئاو بۆ هەمووان" }
address = "news@water.example"
reply_to = "office@water.example"
postal_address = "12 River Street, Basra"

[languages]
default = "en"
offered = ["en", "ar", "ckb"]

[links]
leave_mailto = "leave@water.example"

[returns]
mailboxes = ["maildir:returns"]

[relays.main]
url = "smtp://127.0.0.1:PORT"
tls = "none"
limits = []
connections = CONNECTIONS
"""


# of an encrypted database
KEY = "5e" * 32


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A workspace of a test. `run` is the real program in a process of its own."""

    root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "broadcaster", "-C", str(self.root), *words]

    def run(self, *words: str, status: int | None = 0, stdin: str | None = None, **env: str) -> Ran:
        """Run a command to its end, and expect this status (None: any). No traceback, whatever happens."""
        done = subprocess.run(
            self.command(*words),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **env},
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert "a defect of ours" not in done.stderr, done.stderr
        if status is not None:
            assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run a command beside the test; it does not outlive it."""
        process = subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.started.append(process)
        return process

    def configure(self, port: int, connections: int = 3, more: str = "") -> None:
        """Send through a server on loopback."""
        text = CONFIG.replace("PORT", str(port)).replace("CONNECTIONS", str(connections))
        (self.root / "broadcaster.toml").write_text(text + more, encoding="utf-8")

    def statement(self, slug: str, **parts: str) -> None:
        """Write a statement: language → text."""
        folder = self.root / "statements" / slug
        folder.mkdir(parents=True, exist_ok=True)
        for language, text in parts.items():
            (folder / f"{language}.md").write_text(text, encoding="utf-8")

    def people(self, csv: str, name: str = "news", status: int = 0) -> Ran:
        """Import people into a list that is made if needed."""
        self.run("lists", "create", name, status=None)
        file = self.root / "people.csv"
        file.write_text(csv, encoding="utf-8")
        return self.run("subscribers", "import", str(file), "--list", name, "--yes", "--json", status=status)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A fresh workspace, made by `init`, with a rehearsal relay."""
    made = Place(tmp_path / "workspace")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert _run(["init", str(made.root)]) == 0
    yield made
    for process in made.started:
        with process:
            process.kill()


Here = Callable[..., Ran]
"""A command's words → what it said; `status` is what it has to end with."""


@pytest.fixture
def commands(place: Place, capsys: pytest.CaptureFixture[str]) -> Here:
    """Commands in this process, in the workspace of the test: many small ones are quick."""

    def run(*words: str | Path, status: int = 0) -> Ran:
        ended = _run(["-C", str(place.root), *map(str, words)])
        said = capsys.readouterr()
        assert ended == status, (words, ended, said)
        assert "Traceback" not in said.err
        return Ran(ended, said.out, said.err)

    return run


@pytest.fixture(params=["plain", "encrypted"])
def opened(request: pytest.FixtureRequest) -> Callable[[Path], Db]:
    """Opens a database: what holds of one holds of an encrypted one."""
    if request.param == "plain":
        return open_database
    pytest.importorskip("sqlcipher3")
    return functools.partial(open_database, keys=lambda: iter((KEY,)))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Remote]:
    """The lab's SMTP server in a process of its own, recording every message. It takes everything."""
    with spawned(tmp_path / "record") as remote:
        yield remote


# What speaks SMTP is tested on both event loops.
BOTH_LOOPS = ("test_smtp.py", "test_transports.py")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loops an async test runs on."""
    plain = {"asyncio": asyncio.new_event_loop}
    return {**plain, "uvloop": uvloop.new_event_loop} if item.path.name in BOTH_LOOPS else plain
