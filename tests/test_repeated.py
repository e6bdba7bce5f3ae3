"""The same once more within a day: asked about each time that it is, whichever list it goes to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.clocks import time_comes
from tests.lab.server import Lab, running
from tests.lab.world import World, world


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running() as lab:
        yield lab


@pytest.fixture
def here(tmp_path: Path, lab: Lab) -> World:
    """Three people on news, to whom june goes as mailing 1, and july."""
    made = world(tmp_path / "workspace", 3)
    made.configure(lab.port)
    shutil.copytree(made.root / "statements" / "june", made.root / "statements" / "july")
    file = made.root / "statements" / "july" / "en.md"
    file.write_text(file.read_text(encoding="utf-8").replace("Hello", "July"), encoding="utf-8")
    return made


def test_a_yes_to_one_repetition_is_none_to_the_next(here: World, lab: Lab) -> None:
    here.run("send", "1", "--yes")
    here.run("send", "june", "--list", "news", "--again", "--at", "tomorrow 9:00", "--yes")
    # nothing new: it would go at its time
    here.run("send", "2", "--yes")
    here.run("send", "june", "--list", "news", "--where", "name = 'Person 1'", "--again", "--yes")
    assert len(lab.messages) == 4
    time_comes(here.database)
    said = here.run("run", status=77).err
    assert "1 of these 3 people got june less than an hour ago, as mailing 3" in said
    assert "as mailing 1" not in said
    assert len(lab.messages) == 4
    # and to that one, too
    here.run("send", "2", "--yes")
    assert len(lab.messages) == 7


def test_who_is_on_two_lists_gets_an_appeal_twice_only_by_a_persons_word(here: World, lab: Lab) -> None:
    here.run("lists", "create", "board")
    here.run("send", "1", "--yes")
    here.run("send", "july", "--list", "news", "--yes")
    for name in ("p1", "z"):
        here.run("subscribers", "add", f"{name}@example.org", "--list", "board", "--consent", "paper")
    said = here.run("prepare", "june", "--list", "board", "--at", "tomorrow 9:00").err
    assert "1 of these 2 people got june less than an hour ago, as mailing 1" in said
    time_comes(here.database)
    here.run("run", status=77)
    assert len(lab.messages) == 6
    # nobody of them has it
    told = here.run("send", "june", "--list", "board", "--again", "--exclude", "mailing:1", "--dry-run").err
    assert "got june" not in told
