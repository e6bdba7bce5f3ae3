"""A shell completes names and numbers of the workspace: read only, silent, quick, harmless, and without an address."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pexpect
import pytest

from broadcaster.cli.completion import PLACES
from tests.lab.world import World, world


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = world(tmp_path_factory.mktemp("shell") / "workspace")
    made.run("lists", "create", "board", "--title", "The board")
    made.run("segments", "save", "newcomers", "--where", "has name")
    for name in ("$(touch harm)", "`id`", "a b", "x;y", "مناشدة"):
        (made.root / "statements" / name).mkdir()
        (made.root / "statements" / name / "en.md").write_text("---\nsubject: x\n---\nx\n")
    return made


def offered(root: Path, line: str, **env: str) -> list[str]:
    """What is offered for a line, as Bash asks for it."""
    asked = {"COMP_LINE": line, "COMP_BREAKS": " \t\n\"'@><=;|&(:", "_BROADCASTER_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-m", "broadcaster"],
        env={**os.environ, "BROADCASTER_WORKSPACE": str(root), **asked, **env},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("broadcaster sus", []),
        ("broadcaster stat", ["plain,status"]),
        ("broadcaster lists ", ["plain,show", "plain,create", "plain,edit", "plain,delete"]),
        ("broadcaster resume ", ["plain,1"]),
        ("broadcaster status 2", []),
        ("broadcaster prepare june --list ", ["plain,board", "plain,news"]),
        ("broadcaster prepare june --list=n", ["plain,news"]),
        ("broadcaster subscribers anna --list b", ["plain,board"]),
        ("broadcaster send june --exclude @", ["plain,@newcomers"]),
        ("broadcaster send june --exclude mailing:", ["plain,1"]),
        ("broadcaster segments edit n", ["plain,newcomers"]),
        ("broadcaster status 1 --deliveries --state in", ["plain,in_doubt"]),
        ("broadcaster check ju", ["plain,june"]),
        ("broadcaster send 'ju", ["plain,june"]),
        ("broadcaster subscribers show ", []),
        ("broadcaster why p", []),
    ],
)
def test_what_is_offered(here: World, line: str, words: list[str]) -> None:
    assert [word for word in offered(here.root, line) if word] == words


def test_nothing_is_offered_that_a_shell_would_run(here: World) -> None:
    found = offered(here.root, "broadcaster check ")
    assert found == ["plain,clean-water", "plain,june", "plain,مناشدة"]


def test_the_database_is_only_looked_at(here: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(here.root, copy)
    with closing(sqlite3.connect(copy / "subscribers" / "broadcaster.db")) as conn:
        conn.execute("pragma wal_checkpoint(truncate)")

    def state() -> dict[str, tuple[int, int]]:
        return {each.name: (each.stat().st_size, each.stat().st_mtime_ns) for each in (copy / "subscribers").iterdir()}

    before = state()
    assert offered(copy, "broadcaster resume ") == ["plain,1"]
    assert state() == before
    # while somebody writes, nobody waits
    with closing(sqlite3.connect(copy / "subscribers" / "broadcaster.db", isolation_level=None)) as conn:
        conn.execute("begin exclusive")
        assert offered(copy, "broadcaster prepare june --list b") == ["plain,board"]
        conn.execute("rollback")
        conn.execute("pragma user_version = 1")
        conn.execute("pragma wal_checkpoint(truncate)")
    assert [word for word in offered(copy, "broadcaster resume ") if word] == []
    with closing(sqlite3.connect(copy / "subscribers" / "broadcaster.db")) as conn:
        assert conn.execute("pragma user_version").fetchone() == (1,)
    (copy / "subscribers" / "broadcaster.db").unlink()
    assert [word for word in offered(copy, "broadcaster resume ") if word] == []
    assert not (copy / "subscribers" / "broadcaster.db").exists()
    (copy / "subscribers" / "broadcaster.db").write_bytes(os.urandom(5000))
    assert [word for word in offered(copy, "broadcaster resume ") if word] == []


def test_no_workspace_and_a_broken_one_are_no_trouble(tmp_path: Path) -> None:
    assert [word for word in offered(tmp_path, "broadcaster resume ") if word] == []
    (tmp_path / "broadcaster.toml").write_text("no toml")
    assert [word for word in offered(tmp_path, "broadcaster send ") if word] == []
    assert offered(tmp_path, "broadcaster stat") == ["plain,status"]


@pytest.fixture
def bash(here: World, tmp_path: Path) -> Iterator[pexpect.spawn[str]]:
    """A real Bash that has read the script."""
    command = tmp_path / "bin" / "broadcaster"
    command.parent.mkdir()
    # asked, it is the program; run, it tells with what
    program = f'exec {sys.executable} -m broadcaster "$@"'
    command.write_text(f'#!/bin/sh\n[ "$_BROADCASTER_COMPLETE" ] && {program}\necho "<$*>"\n')
    command.chmod(0o755)
    made = here.run("completion", "bash").out
    (tmp_path / "script").write_text(made)
    env = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PS1": "ready> ", "TERM": "dumb"}
    (tmp_path / "rc").write_text(f"PS1='ready> '\nbind 'set enable-bracketed-paste off'\n. {tmp_path / 'script'}\n")
    child = pexpect.spawn(
        "bash", ["--rcfile", str(tmp_path / "rc"), "-i"], env=env, cwd=here.root, encoding="utf-8", timeout=20
    )
    child.expect_exact("ready> ")
    yield child
    child.close(force=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("broadcaster stat", "broadcaster status"),
        ("broadcaster send --exclude @new", "broadcaster send --exclude @newcomers"),
        ("broadcaster send --exclude mailing:", "broadcaster send --exclude mailing:1"),
        ("broadcaster prepare june --list=bo", "broadcaster prepare june --list=board"),
        ("broadcaster status ", "broadcaster status 1"),
    ],
)
def test_a_real_bash_completes(bash: pexpect.spawn[str], typed: str, becomes: str) -> None:
    bash.send(f"{typed}\t\r")
    bash.expect(r"<(.*)>\r\n")
    assert isinstance(bash.match, re.Match)
    assert f"broadcaster {bash.match[1]}" == becomes


@pytest.mark.parametrize("shell", sorted(PLACES))
def test_a_script_is_printed_and_installed_over_nothing_else(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    printed = here.run("completion").out
    assert "_BROADCASTER_COMPLETE" in printed
    file = tmp_path / PLACES[shell]
    assert here.run("completion", "--install", "--dry-run").out == f"{file}\n"
    assert not file.exists()
    told = here.run("completion", shell, "--install", "--json").json
    assert (told["shell"], told["file"]) == (shell, str(file))
    assert file.read_text() == told["script"]
    assert not stat.S_IMODE(file.stat().st_mode) & 0o022
    here.run("completion", "--install")
    file.write_text("# mine")
    assert "not ours" in here.run("completion", "--install", status=73).err
    assert file.read_text() == "# mine"
    monkeypatch.setenv("SHELL", "/usr/bin/tcsh")
    assert "name a shell" in here.run("completion", status=2).err
