"""subscribers import, undo and imports as a person runs them: what is shown first, what is refused, what comes back."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.conftest import Here, Place


@pytest.fixture
def here(place: Place, commands: Here) -> Here:
    """Commands in this process, in a workspace with a list of twenty people."""

    commands("lists", "create", "news")
    commands("subscribers", "import", people(place, range(20)), "--list", "news", "--consent", "forms", "--yes")
    return commands


def people(place: Place, numbers: Any, city: str = "Basra") -> Path:
    path = place.root / "people.csv"
    rows = "".join(f"p{number}@example.org,{city}\n" for number in numbers)
    path.write_text(f"email,city\n{rows}", encoding="utf-8")
    return path


def on(here: Here) -> set[str]:
    found = here("subscribers", "--list", "news", "--json").json
    return {each["address"] for each in found}


def test_who_is_not_in_a_whole_file_leaves_and_is_shown_first(here: Here, place: Place) -> None:
    file = people(place, range(3, 22))
    shown = here("subscribers", "import", file, "--list", "news", "--sync", "--dry-run").out
    assert "3 people of 20 on 'news' not in the file, and leave it" in shown
    assert all(f"  - p{number}@example.org" in shown for number in range(3))
    assert len(on(here)) == 20
    told = here("subscribers", "import", file, "--list", "news", "--sync", "--yes", "--json").json
    assert (told["new"], told["unchanged"], told["removed"]) == (2, 17, 3)
    assert told["leaving"] == [f"p{number}@example.org" for number in range(3)]
    assert on(here) == {f"p{number}@example.org" for number in range(3, 22)}
    record = here("subscribers", "show", "p0@example.org").out
    assert "list news: removed" in record
    assert "was missing in a file, and taken off, news" in record
    # it was not their own word
    assert here("subscribers", "import", people(place, [0]), "--list", "news", "--yes", "--json").json["new"] == 1


def test_who_left_is_not_touched_by_a_whole_file(here: Here, place: Place) -> None:
    here("subscribers", "unsubscribe", "p0@example.org", "--list", "news")
    told = here(
        "subscribers", "import", people(place, range(1, 20)), "--list", "news", "--sync", "--yes", "--json"
    ).json
    assert told["removed"] == 0
    assert "left" in here("subscribers", "show", "p0@example.org").out


def test_a_whole_file_that_lacks_most_people_is_not_believed(here: Here, place: Place) -> None:
    words = ("subscribers", "import", people(place, range(5)), "--list", "news", "--sync")
    refused = here(*words, "--yes", status=77)
    assert "15 of the 20 people on 'news' are not in this file" in refused.err
    assert "--at-most 15" in refused.err
    assert "14 are allowed" in here(*words, "--yes", "--at-most", "14", status=77).err
    assert len(on(here)) == 20
    here(*words, "--yes", "--at-most", "15")
    assert len(on(here)) == 5
    assert "--sync" in here("subscribers", "import", "x.csv", "--list", "news", "--at-most", "1", status=2).err


def test_whoever_joins_while_one_thinks_is_not_missing(here: Here, place: Place) -> None:
    words = place.command("subscribers", "import", str(people(place, range(18))), "--list", "news", "--sync")
    child = pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=60)
    child.expect("Import 2 people into 'news'")
    here("subscribers", "add", "late@example.org", "--list", "news", "--consent", "by phone")
    child.sendline("y")
    child.expect(pexpect.EOF)
    assert "2 gone" in (child.before or "")
    assert on(here) == {f"p{number}@example.org" for number in range(18)} | {"late@example.org"}


def test_a_whole_file_with_rows_that_cannot_be_used_warns(here: Here, place: Place) -> None:
    file = people(place, range(18))
    file.write_text(file.read_text().replace("p5@", "p5"), encoding="utf-8")
    said = here("subscribers", "import", file, "--list", "news", "--sync", "--dry-run").err
    assert "1 row cannot be used: who is in them may be among those who leave" in said


def test_an_import_is_undone_and_says_first_what_that_does(here: Here, place: Place) -> None:
    before = here("subscribers", "--json").json
    here(
        "subscribers",
        "import",
        people(place, range(10, 30), city="Erbil"),
        "--list",
        "news",
        "--sync",
        "--at-most",
        "10",
        "--yes",
    )
    here("subscribers", "edit", "p12@example.org", "--set", "city=Mosul")
    here("subscribers", "unsubscribe", "p25@example.org")
    here("subscribers", "edit", "p26@example.org", "--name", "Sara")
    shown = here("subscribers", "undo", "2", "--dry-run").out
    for words in (
        "8  came with it, and are deleted",
        "1  came with it, and leave 'news'",
        "19  were known before, and are as they were",
        "3  keep something that was done since",
    ):
        assert words in shown
    assert "Nobody is here" in here("subscribers", "undo", "2", status=2).err
    assert here("subscribers", "undo", "2", "--yes", "--json").json == {
        "import": 2,
        "deleted": 8,
        "taken_off": 1,
        "restored": 19,
        "kept": 3,
        "lifted": 0,
    }
    found = {each["address"]: each for each in here("subscribers", "--json").json}
    assert found.keys() == {f"p{number}@example.org" for number in (*range(20), 25, 26)}
    assert found["p12@example.org"]["fields"] == {"city": "Mosul"}
    assert found["p25@example.org"]["lists"] == {"news": "left"}
    assert found["p26@example.org"]["lists"] == {"news": "removed"}
    assert "undone already" in here("subscribers", "undo", "2", "--yes", status=77).err
    assert "no import 9" in here("subscribers", "undo", "9", "--yes", status=65).err
    here("subscribers", "edit", "p12@example.org", "--set", "city=Basra")
    assert here("subscribers", "--json").json[:20] == before


def test_who_stands_in_a_mailing_stays_off_the_list(here: Here, place: Place) -> None:
    here("subscribers", "import", people(place, [50, 51]), "--list", "news", "--yes")
    here("subscribers", "remove", "p51@example.org")
    here("prepare", "clean-water", "--list", "news")
    told = here("subscribers", "undo", "2", "--yes", "--json").json
    assert (told["deleted"], told["taken_off"]) == (0, 1)
    assert "p50@example.org" not in on(here) or here("subscribers", "show", "p50@example.org").out.count("removed")


def test_imports_are_listed_with_what_they_did(here: Here, place: Place) -> None:
    here("subscribers", "import", people(place, range(25)), "--list", "news", "--yes")
    here("subscribers", "undo", "1", "--yes")
    listed = here("subscribers", "imports").out
    assert "5 new, 0 changed of 25 rows" in listed
    assert "undone" in listed
    first, second = here("subscribers", "imports", "--list", "news", "--json").json
    assert (first["import"], first["file"], first["undone"], first["figures"]["new"]) == (2, "people.csv", None, 5)
    assert second["undone"] is not None
    assert here("subscribers", "imports", "--list", "nobody", status=65)


def test_a_field_that_came_with_a_file_goes_with_it(here: Here, place: Place) -> None:
    file = place.root / "more.csv"
    file.write_text("email,chapter,cty\np0@example.org,north,x\nq@example.org,north,\n", encoding="utf-8")
    here("subscribers", "import", file, "--list", "news", "--yes")
    here("subscribers", "edit", "q@example.org", "--name", "Q")
    here("subscribers", "undo", "2", "--yes")
    said = here("subscribers", "export").out.splitlines()[0]
    assert said == "email,name,language,timezone,chapter,city"


def test_advice_is_shown_and_told_in_json(here: Here, place: Place) -> None:
    file = place.root / "more.csv.gz"
    rows = "email\nanna.weiss@example.org\nanna.wiess@example.org\nbo@gmial.com\ninfo@river.example\n"
    file.write_bytes(gzip.compress(rows.encode()))
    shown = here("subscribers", "import", file, "--list", "news", "--dry-run").out
    assert "? line 3: anna.wiess@example.org ~ anna.weiss@example.org, two letters swapped" in shown
    assert "? line 4: bo@gmial.com ~ bo@gmail.com, a slip in the domain" in shown
    told = here("subscribers", "import", file, "--list", "news", "--yes", "--json").json
    assert told["look_alikes"][0]["other"] == "anna.weiss@example.org"
    assert told["typing_errors"] == [
        {"line": 4, "address": "bo@gmial.com", "other": "bo@gmail.com", "why": "a slip in the domain"}
    ]
    assert [each["line"] for each in told["role_addresses"]] == [5]


def test_changes_are_told_field_by_field(here: Here, place: Place) -> None:
    file = people(place, [1], city="Erbil")
    wanted = [{"address": "p1@example.org", "fields": {"city": ["Basra", "Erbil"]}}]
    assert here("subscribers", "import", file, "--list", "news", "--dry-run", "--json").json["changes"] == wanted
    assert here("subscribers", "import", file, "--list", "news", "--yes", "--json").json["changes"] == wanted


def test_the_log_holds_no_address(here: Here, place: Place) -> None:
    from broadcaster.db import open_database

    here("subscribers", "undo", "1", "--yes")
    db = open_database(place.root / "subscribers" / "broadcaster.db")
    lines = db.conn.execute(
        "select what, import, details from audit where what like 'subscriber %' and import is not null order by id"
    ).fetchall()
    db.close()
    assert [line[:2] for line in lines] == [("subscriber import", 1), ("subscriber undo", 1)]
    assert "@" not in str(lines)
