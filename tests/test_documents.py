"""Documents are executed: the tutorial is followed word by word, the reference is what the code says."""

from __future__ import annotations

import fnmatch
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broadcaster.cli import COMMANDS, SUMMARIES, broadcaster
from tests.lab.server import running

DOCS = Path(__file__).parents[1] / "docs"
RELAY = "smtp://smtp.river.example"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is the text of (if any), its lines and where it starts."""

    language: str
    file: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    for found in re.finditer(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2] or "", found[3], page[: found.start()].count("\n") + 1)


def steps(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it should say."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, said = part.partition("\n")
        yield command, said


def matches(expected: str, said: str) -> bool:
    """Every expected line is said, in this order; … stands for anything, on a line or for whole lines.

    How wide a column is does not count.
    """
    lines = (" ".join(line.split()) for line in said.splitlines())
    for wanted in expected.splitlines():
        if wanted.strip() in ("", "…"):
            continue
        pattern = re.sub(r"([\[\]?*])", r"[\1]", " ".join(wanted.split())).replace("…", "*")
        if not any(fnmatch.fnmatchcase(line, pattern) for line in lines):
            return False
    return True


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    here = tmp_path
    followed = 0
    with running() as lab:
        for block in blocks(page):
            if block.file:
                text = block.text.replace(f'"{RELAY}"', f'"smtp://127.0.0.1:{lab.port}"\ntls = "none"')
                target = here / block.file
                target.parent.mkdir(parents=True, exist_ok=True)
                # what a spreadsheet program saves is not what a page shows
                target.write_text(text, encoding="utf-16" if target.suffix == ".csv" else "utf-8")
            elif block.language == "console":
                for command, expected in steps(block):
                    done = _followed(command, here, path)
                    here = done.here
                    assert matches(expected, done.said), f"tutorial.md:{block.line}: $ {command}\n{done.said}"
                    followed += 1
        assert followed > 10
        assert lab.messages


@dataclass(frozen=True)
class Followed:
    said: str
    here: Path


def _followed(command: str, here: Path, path: str) -> Followed:
    """Run one line as a shell would, and remember where it went."""
    read, write = os.pipe()
    done = subprocess.run(
        ["bash", "-c", f"{command}\npwd >&{write}"],
        cwd=here,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        pass_fds=(write,),
        timeout=60,
    )
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        return Followed(done.stdout, Path(pipe.read().strip()))


@pytest.mark.parametrize(
    "name",
    [
        "json.md",
        "rooms.md",
        "commands.md",
        "states.md",
        "schema.md",
        "errors.md",
        "checks.md",
        "doctor.md",
        "reasons.md",
        "log.md",
    ],
)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    generator = runpy.run_path(str(DOCS / "generate.py"))
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == generator["NOTE"] + generator["MADE"][name](), "run `make docs`"


def test_the_summaries_in_the_top_help_are_the_commands_own() -> None:
    import click

    context = click.Context(broadcaster, info_name="broadcaster")
    for name in COMMANDS:
        command = broadcaster.get_command(context, name)
        assert command is not None
        assert command.help is not None
        first = " ".join(command.help.partition("\n\n")[0].split())
        assert first == SUMMARIES[name], name


def test_every_command_has_examples_statuses_and_json() -> None:
    import click

    def walk(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            for verb in command.list_commands(context):
                found = command.get_command(context, verb)
                assert found is not None
                yield from walk(found, click.Context(found, info_name=verb, parent=context))
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield context.command_path, command

    top = click.Context(broadcaster, info_name="broadcaster")
    found = [(path, command) for path, command in walk(broadcaster, top) if path != "broadcaster"]
    assert len(found) > 25
    for path, command in found:
        assert command.help, path
        assert "Example" in command.help, path
        assert "Exit status" in command.help, path
        assert any(parameter.name == "as_json" for parameter in command.params), path


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target
