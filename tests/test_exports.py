"""subscribers export: private from the first instant, whole or not there, the same again when it is imported."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import resource
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import intake, spreadsheet
from broadcaster.address import Address
from broadcaster.cell import tidy, tidy_line
from broadcaster.cli.house import House
from broadcaster.cli.subscribers_export import FORMATS, _noted, _Order, _rows, _text
from broadcaster.conditions import EVERYBODY
from broadcaster.custody import private_file
from broadcaster.db import open_database
from broadcaster.delimited import Csv
from broadcaster.errors import CannotWrite
from broadcaster.heading import OWN, field_name
from broadcaster.jsonlines import JsonLines
from broadcaster.roster import Details, Roster
from broadcaster.sheet import Sheet, Table
from broadcaster.workbook import Workbook
from tests.conftest import Here, Place
from tests.test_formula import ATTACKS, HARMLESS

PEOPLE = (
    "email,name,language,city\n"
    "ako@example.org,'=1+1,ckb,Erbil\nhuda@example.org,هدى,ar,+964 770 123\neve@example.org,Eve,en,\n"
)


@pytest.fixture
def here(place: Place, commands: Here) -> Here:
    """Commands in this process, in a workspace with a list of three people."""

    commands("lists", "create", "news")
    (place.root / "people.csv").write_text(PEOPLE, encoding="utf-8")
    commands("subscribers", "import", place.root / "people.csv", "--list", "news", "--yes")
    return commands


@pytest.fixture
def mask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o077)
    yield os.umask
    os.umask(before)


def noted(place: Place) -> list[tuple[int | None, dict[str, object]]]:
    """What the audit log has of exports: list, details."""
    db = open_database(place.root / "subscribers" / "broadcaster.db")
    rows = db.conn.execute("select list, details from audit where what = 'subscriber export' order by id").fetchall()
    db.close()
    return [(of, json.loads(details)) for of, details in rows]


# what is in it


def test_an_export_is_private_and_overwrites_nothing(here: Here, place: Place) -> None:
    path = place.root / "out.csv"
    here("subscribers", "export", "-o", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith("\ufeffemail,name,language,timezone,city\r\n".encode())
    before = path.read_bytes()
    here("subscribers", "export", "-o", path, status=73)
    assert path.read_bytes() == before
    here("subscribers", "export", "-o", place.root / "no" / "folder.csv", status=73)
    told = here("subscribers", "import", path, "--list", "news", "--yes", "--json").json
    assert (told["rows"], told["unchanged"]) == (3, 3)
    assert not [*place.root.rglob("*.part")]


def test_an_export_holds_only_who_would_be_mailed(here: Here) -> None:
    here("subscribers", "unsubscribe", "ako@example.org", "--list", "news")
    here("suppressions", "add", "eve@example.org", "--reason", "bounced")
    said = "huda@example.org,هدى,ar,,'+964 770 123"
    assert here("subscribers", "export", "--list", "news").out.splitlines()[1:] == [said]
    assert here("subscribers", "export", "-o", "-").out.splitlines()[1:] == [said]
    lines = here("subscribers", "export", "--json").out.splitlines()
    assert [json.loads(line)["fields"]["city"] for line in lines] == ["+964 770 123"]


def test_an_export_is_of_those_whom_the_filter_means(here: Here, place: Place) -> None:
    here("lists", "create", "other")
    for words in (["--where", "language is ar or city = Erbil"], ["--list", "news", "--where", "not name = Eve"]):
        rows = here("subscribers", "export", *words).out.splitlines()[1:]
        assert [row.split("@")[0] for row in rows] == ["ako", "huda"]
    assert len(here("subscribers", "export", "--list", "other", "--where", "language is ar").out.splitlines()) == 1
    path = place.root / "out.csv"
    assert "bogus" in here("subscribers", "export", "--where", "bogus = 1", "-o", path, status=65).err
    here("subscribers", "export", "--where", "", "-o", path, status=65)
    assert not path.exists()


def test_the_ending_says_what_is_written_unless_it_is_asked_for(here: Here, place: Place) -> None:
    for name, *words in (("a.csv",), ("a",), ("a.txt",), ("x.jsonl", "--format", "csv"), ("A.CSV.GZ",)):
        here("subscribers", "export", "-o", place.root / name, *words)
        octets = (place.root / name).read_bytes()
        text = (gzip.decompress(octets) if name.endswith("GZ") else octets).decode("utf-8-sig")
        assert [row[1] for row in csv.reader(io.StringIO(text))] == ["name", "'=1+1", "هدى", "Eve"]
    for name, *words in (
        ("b.jsonl",),
        ("b.NDJSON",),
        ("b.csv", "--json"),
        ("c.csv", "--format", "jsonl"),
        ("b.jsonl.gz",),
    ):
        here("subscribers", "export", "-o", place.root / name, *words)
        octets = (place.root / name).read_bytes()
        text = (gzip.decompress(octets) if name.endswith("gz") else octets).decode()
        assert [json.loads(line)["name"] for line in text.splitlines()] == ["=1+1", "هدى", "Eve"]
    for name, *words in (("d.xlsx",), ("d", "--format", "xlsx")):
        here("subscribers", "export", "-o", place.root / name, *words)
        sheet = openpyxl.load_workbook(io.BytesIO((place.root / name).read_bytes())).active
        assert [cell.value for cell in sheet["B"]] == ["name", "=1+1", "هدى", "Eve"]
    for name in ("e.json", "e.ods", "e.xls", "e.zip", "e.xlsx.gz"):
        assert "-o" in here("subscribers", "export", "-o", place.root / name, status=2).err
        assert not (place.root / name).exists()
    here("subscribers", "export", "--format", "xlsx", status=2)
    here("subscribers", "export", "--json", "--format", "csv", status=2)


def test_what_is_packed_tells_neither_name_nor_time(here: Here, place: Place) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        here("subscribers", "export", "-o", place.root / name)
    assert (place.root / "a.csv.gz").read_bytes() == (place.root / "b.csv.gz").read_bytes()


values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=15)
values |= st.sampled_from([*ATTACKS, *HARMLESS, "+964 770 123 4567", "-5", "'-5", "''", "'=", "\u202e=1"])
values |= st.lists(values, max_size=3).map(";".join)
kept = values.map(lambda text: text.replace("\0", ""))
names = st.sampled_from(["city", "first", "first_name", "naam", "note", "mail", "خانه", "e_mail", "nom"]) | values.map(
    field_name
)
locals_ = st.sampled_from(["'=p", "''+p", "+p", "-p", "=p", "'p", "p"])
subscribers = st.dictionaries(
    st.tuples(locals_, st.integers(0, 99)),
    st.tuples(
        kept.map(tidy_line),
        st.sampled_from(["", "en", "ar-IQ", "ckb"]),
        st.sampled_from(["", "Asia/Baghdad"]),
        st.dictionaries(names.filter(lambda name: name not in ("", *OWN)), kept.map(tidy).filter(bool), max_size=3),
    ),
    max_size=6,
)


def read_back(form: str, roster: Roster) -> Table:
    """What an export writes, as import reads it."""
    house = cast("House", SimpleNamespace(roster=roster))
    if form == "xlsx":
        file = io.BytesIO()
        spreadsheet.write(*_rows(house, roster.members()), file)
        return Workbook(file)
    written = io.BytesIO("".join(_text(house, form, roster.members())).encode())
    return JsonLines(written) if form == "jsonl" else Csv(written, "utf-8")


@settings(max_examples=40)
@given(subscribers)
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_and_imported_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    people: dict[tuple[str, int], tuple[str, str, str, dict[str, str]]],
) -> None:
    if form == "jsonl" and not people:
        return  # an empty file is no export of anybody
    folder = tmp_path_factory.mktemp("round")
    first, second = (Roster(open_database(folder / f"{n}.db"), lambda: 7) for n in (1, 2))
    lists = [each.create_list("news", "example.org", {}) for each in (first, second)]
    for (local, number), (name, language, timezone, fields) in people.items():
        address = Address.parse(f"{local}{number}@example.org")
        first.add(address, Details(name, language, timezone, fields), lists[0], "x")
    for again in (False, True):
        with intake.opened(second.db, lists[1], lambda: 7, folder) as job:
            job.stage(Sheet(read_back(form, first)))
            _, done = job.apply(file="x", digest="", who="me", consent="")
        assert (done.unchanged if again else done.new) == len(people)
        assert done.invalid == done.duplicates == 0
    assert [(p.address, p.name, p.language, p.timezone, p.fields) for p in first.search()] == [
        (p.address, p.name, p.language, p.timezone, p.fields) for p in second.search()
    ]
    first.db.close()
    second.db.close()


# who reads it


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_file_is_private_from_its_first_instant_whatever_the_umask(
    tmp_path: Path, mask: Callable[[int], int], umask: int
) -> None:
    mask(umask)
    path, modes = tmp_path / "out.csv", set[int]()
    with private_file(path) as file:
        file.write(b"a")
        file.flush()
        modes |= {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
        assert path.read_bytes() == b""
    assert modes | {stat.S_IMODE(path.stat().st_mode)} == {0o600}
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]


def test_no_link_is_followed_and_nothing_is_written_into_what_is_there(here: Here, place: Place) -> None:
    goal = place.root / "goal.csv"
    for name, make in (
        ("link.csv", lambda path: path.symlink_to(goal)),
        ("known.csv.part", lambda path: path.symlink_to(goal)),
        ("folder.csv", lambda path: path.mkdir()),
        ("pipe.csv", os.mkfifo),
    ):
        make(place.root / name)
        there = place.root / name.removesuffix(".part")
        said = here("subscribers", "export", "-o", there, status=73).err
        assert name in said
    assert not goal.exists()
    assert not (place.root / "known.csv").exists()
    assert (place.root / "known.csv.part").is_symlink()
    assert "is a pipe or a device" in here("subscribers", "export", "-o", "/dev/null", status=73).err
    here("subscribers", "export", "-o", place.root / ("x" * 300), status=73)
    here("subscribers", "export", "-o", place.root / ("x" * 252), status=73)
    assert not [*place.root.glob("xx*")]
    assert noted(place) == []


def test_whoever_is_killed_leaves_nothing_that_others_read_or_that_looks_whole(place: Place) -> None:
    place.people("email,name\n" + "".join(f"p{n}@example.org,P\n" for n in range(40_000)))
    path = place.root / "out.csv"
    command = f"umask 000; exec {shlex.join(place.command('subscribers', 'export', '-o', str(path)))}"
    with subprocess.Popen(["sh", "-c", command], stderr=subprocess.DEVNULL) as process:
        part = path.with_name("out.csv.part")
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, part)} == {0o600}
    assert path.read_bytes() == b""
    assert noted(place) == []
    assert "out.csv: is there already" in place.run("subscribers", "export", "-o", str(path), status=73).err


@pytest.mark.parametrize("name", ["out.csv", "out.xlsx", "out.csv.gz", "out.jsonl"])
def test_a_disk_that_is_full_leaves_nothing(here: Here, place: Place, name: str) -> None:
    big = "email,note\n" + "".join(f"p{n}@example.org,{os.urandom(30).hex()}\n" for n in range(3_000))
    (place.root / "people.csv").write_text(big)
    here("subscribers", "import", place.root / "people.csv", "--list", "news", "--yes")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        here("subscribers", "export", "-o", place.root / name, status=73)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [*place.root.glob("out.*")]
    assert noted(place) == []


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    for error, told in ((KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), CannotWrite)):
        with pytest.raises(told), private_file(path):
            raise error
        assert not [*tmp_path.iterdir()]


def test_the_audit_log_says_who_exported_how_many_and_no_address(here: Here, place: Place) -> None:
    here("subscribers", "export", "-o", place.root / "a.xlsx", "--list", "news")
    here("subscribers", "export")
    here("subscribers", "export", "--json", "--where", "email = huda@example.org")
    assert noted(place) == [
        (1, {"number": 3, "format": "xlsx", "filtered": False}),
        (None, {"number": 3, "format": "csv", "filtered": False}),
        (None, {"number": 1, "format": "jsonl", "filtered": True}),
    ]


def test_a_closed_pipe_is_no_error_and_is_in_the_log(place: Place) -> None:
    place.people(PEOPLE + "".join(f"p{n}@example.org,P,,\n" for n in range(9_000)))
    command = " ".join([*place.command("subscribers", "export"), "| head -1"])
    done = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout.startswith("email,")
    assert done.stderr == ""
    assert sys.executable in command
    ((_, details),) = noted(place)
    assert 0 < cast("int", details["number"]) < 9_003


def test_the_log_is_written_although_another_has_written_while_people_were_read(here: Here, place: Place) -> None:
    here("lists")
    path = place.root / "subscribers" / "broadcaster.db"
    mine, theirs = open_database(path), open_database(path)
    house = cast("House", SimpleNamespace(db=mine, roster=Roster(mine, lambda: 7), now=7))
    with _noted(house, _Order("csv", None, EVERYBODY), in_part=True) as people:
        next(iter(people))
        Roster(theirs, lambda: 8).create_list("other", "example.org", {})
    mine.close()
    theirs.close()
    assert noted(place) == [(None, {"number": 0, "format": "csv", "filtered": False})]
