"""What a command says with --json has the shape that is written down in docs/shapes.py: no key more, and none less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from docs import shapes
from docs.shapes import SHAPES, Shape
from jsonschema import Draft202012Validator

from broadcaster import delivery, mailing, notice
from broadcaster.subscriber import Standing
from tests.lab.server import running
from tests.lab.world import world
from tests.test_canary import COMMANDS, FILE, REFUSED, ROWS, Aviary, aviary, configured, refusing_imap

__all__ = ["aviary"]  # a fixture

# what no row of the canaries comes to: who asks for JSON is not asked, and what is possible should be seen
MORE = (
    "init {new}",
    "demo {new}",
    "lists edit news --title x",
    "lists delete news --yes",
    "subscribers add new@leser.example --list news --consent paper",
    "subscribers undo 1 --yes",
    "subscribers import {file} --list news --dry-run",
    "suppressions add ako@leser.example --reason staff",
    "suppressions remove p4@example.org",
    "prepare june --list news --dry-run",
    "send june --list news --where 'has name' --dry-run --yes",
    "send 1 --dry-run --yes",
    "status",
    "status 2",
    "status 2 --watch",
    "run --dry-run",
    "resolve 2 --dry-run --resend",
    "resolve 2 --from-log {empty} --dry-run",
)
# each of them has a test of its own
ELSEWHERE = ("encrypt", "rekey", "decrypt", "backup", "restore")
VALIDATORS = {each: Draft202012Validator(shapes.schema(each.of)) for each in SHAPES}


def command_of(row: str) -> str:
    """The command that a row calls, by its path: a noun without a verb means its first."""
    words = row.split()
    whole = (path for path in (" ".join(words[:2]), words[0]) if path in COMMANDS)
    return next(whole, "") or next(path for path in COMMANDS if path.startswith(f"{words[0]} "))


def values(said: str) -> tuple[list[Any], bool]:
    """The JSON values in an output, and whether they are a line each."""
    try:
        return [json.loads(said)], False
    except ValueError:
        return [json.loads(line) for line in said.splitlines()], True


def fits(shape: Shape, said: str) -> bool:
    found, lines = values(said)
    return (shape.lines or not lines) and all(VALIDATORS[shape].is_valid(value) for value in found)


def wrong(command: str, said: str) -> list[str]:
    """Why an output is none of the shapes of its command."""
    found, _ = values(said)
    return [
        f"{error.json_path}: {error.message[:200]}"
        for shape in SHAPES
        if shape.command == command
        for value in found[:1]
        for error in VALIDATORS[shape].iter_errors(value)
    ]


def rows() -> Iterator[str]:
    for path, each in ROWS.items():
        # another format, and a file, are none of this
        other = path in ELSEWHERE
        yield from (row for row in each if not other and "--csv" not in row and "export -o" not in row)
    yield from MORE


def test_every_command_says_json_of_the_shape_that_is_written_down(
    aviary: Aviary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_WORD", "x")
    (tmp_path / "empty").write_text("")
    seen: set[Shape] = set()
    odd: list[str] = []
    with running(*REFUSED, users={"anna": FILE}) as lab, refusing_imap() as imap:
        for number, row in enumerate(rows()):
            of = aviary.copied(tmp_path / str(number))
            configured(of.here.root, lab.port, imap)
            words = of.words(row.replace("{empty}", str(tmp_path / "empty")))
            said = of.here.run(*words, *(["--json"] if "--json" not in words else []), status=None)
            if not said.out or said.status == 2:
                continue
            found = {shape for shape in SHAPES if shape.command == command_of(row) and fits(shape, said.out)}
            if not found:
                odd.append(f"{row}: {wrong(command_of(row), said.out)}\n    {said.out[:500]}")
            seen |= found
    assert not odd, "\n".join(odd)
    beyond = {each for each in SHAPES if each.command in ELSEWHERE or "--as-in" in each.when}
    assert not {(each.command, each.when) for each in set(SHAPES) - seen - beyond}


def test_so_does_every_command_about_encrypting(tmp_path: Path) -> None:
    here = world(tmp_path / "workspace")
    file = here.root / "broadcaster.toml"
    file.write_text(file.read_text() + '\n[encryption]\nkey_file = "database.key"\n')
    for words in (["encrypt"], ["encrypt", "--dry-run"], ["rekey", "--dry-run"], ["rekey"], ["decrypt"]):
        said = here.run(*words, "--json")
        assert [shape for shape in SHAPES if shape.command == words[0] and fits(shape, said.out)], (words, said)


def test_so_does_keeping(tmp_path: Path) -> None:
    here = world(tmp_path / "workspace")
    kept, there = tmp_path / "kept", tmp_path / "there"
    for words in (
        ["backup", "--dry-run", "-o", str(kept)],
        ["backup", "-o", str(kept)],
        ["backup", "--check", str(kept)],
        ["restore", str(kept), str(there), "--dry-run"],
        ["restore", str(kept), str(there)],
    ):
        said = here.run(*words, "--json")
        when = next((each for each in ("--dry-run", "--check") if each in words), "")
        (shape,) = (
            each for each in SHAPES if each.command == words[0] and each.when == (f"with {when}" if when else "")
        )
        assert fits(shape, said.out), (words, said, wrong(words[0], said.out))


def test_erasing_as_another_database_has_it_says_a_list(tmp_path: Path) -> None:
    here, other = world(tmp_path / "a"), world(tmp_path / "b")
    (other.root / "subscribers" / "secret.key").write_bytes((here.root / "subscribers" / "secret.key").read_bytes())
    other.run("subscribers", "erase", "p1@example.org", "--yes")
    said = here.run("subscribers", "erase", "--as-in", str(other.database), "--yes", "--json")
    (shape,) = (each for each in SHAPES if "--as-in" in each.when)
    assert said.json
    assert fits(shape, said.out), wrong("subscribers erase", said.out)


def test_every_command_has_a_shape_and_every_shape_a_command() -> None:
    assert {shape.command for shape in SHAPES} == set(COMMANDS)


def test_the_words_are_those_of_the_tables() -> None:
    assert set(get_args(shapes.MailingState)) == {state.word for state in mailing.State}
    assert set(get_args(shapes.DeliveryState)) == {state.word for state in delivery.State}
    assert set(get_args(shapes.Standing)) == {standing.word for standing in Standing}
    assert set(get_args(shapes.ReturnedKind)) == set(notice.Kind)
    assert set(get_args(shapes.Action)) == set(notice.Action) - {""}


def test_a_key_more_or_less_is_seen() -> None:
    of = next(shape for shape in SHAPES if shape.command == "lists create")
    good = {"name": "news", "list_id": "news.water.example", "titles": {"en": "News"}}
    assert fits(of, json.dumps(good))
    assert not fits(of, json.dumps({**good, "more": 1}))
    assert not fits(of, json.dumps({"name": "news", "titles": {}}))
    assert not fits(of, json.dumps({**good, "titles": {"en": 3}}))
    assert not fits(of, json.dumps({**good, "name": True}))
