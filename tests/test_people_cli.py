"""lists, subscribers, suppressions, why: as a person runs them, rightly and wrongly."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pexpect
import pytest

from broadcaster import intake
from broadcaster.db import open_database
from broadcaster.delimited import Csv
from broadcaster.roster import Roster
from broadcaster.sheet import Sheet
from broadcaster.workspace import samples
from tests.conftest import Here, Place, Ran

PEOPLE = "email,name,language,city\nako@example.org,Ako,ckb,Erbil\nhuda@example.org,هدى,ar,\neve@example.org,Eve,en,\n"


@pytest.fixture
def here(place: Place, commands: Here) -> Here:
    """Commands in this process, in a workspace with a list of three people."""

    commands("lists", "create", "news", "--title", "The news", "--title", "ar=الأخبار")
    commands("subscribers", "import", file(place, PEOPLE), "--list", "news", "--consent", "paper forms", "--yes")
    return commands


def file(place: Place, text: str | bytes, name: str = "people.csv") -> Path:
    path = place.root / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def figures(ran: Ran) -> dict[str, Any]:
    """The figures of an import; they always add up."""
    told = cast("dict[str, Any]", ran.json)
    parts = ("new", "changed", "unchanged", "left_before", "suppressed", "duplicates")
    assert sum(told[part] for part in parts) + len(told["invalid"]) == told["rows"]
    return {name: told[name] for name in ("rows", *parts) if told[name]} | {"invalid": len(told["invalid"])}


def everybody(here: Here) -> dict[str, Any]:
    return {each["address"]: each for each in here("subscribers", "--json").json}


# lists


def test_a_list_is_made_shown_retitled_and_deleted(here: Here) -> None:
    assert here("lists", "--json").json == [
        {
            "name": "news",
            "title": "The news",
            "titles": {"en": "The news", "ar": "الأخبار"},
            "list_id": "news.water.example",
            "active": 3,
            "left": 0,
            "removed": 0,
        }
    ]
    assert "The news" in here("lists").out
    here("lists", "edit", "NEWS", "--title", "ar=", "--title", "Now: a=b")
    assert here("lists", "--json").json[0]["titles"] == {"en": "Now: a=b"}
    assert "nobody is here" in here("lists", "delete", "news", status=2).err.lower()
    assert here("lists", "delete", "news", "--yes", "--json").json == {"name": "news", "removed": 3}
    assert here("lists", "--json").json == []
    here("lists", "create", "news")
    assert here("lists", "--json").json[0]["removed"] == 3


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["create", "news"], 77, "already"),
        (["create", "7"], 65, "letter"),
        (["create", "a b"], 65, "letters"),
        (["create", "x", "--title", "zz-zz-zz-zz=t"], 65, "language"),
        (["edit", "nwes", "--title", "x"], 65, "did you mean news"),
        (["edit", "news"], 2, "--title"),
        (["delete", "gone", "--yes"], 65, "no list"),
        (["show", "x"], 2, ""),
    ],
)
def test_a_list_that_cannot_be_is_refused(here: Here, words: list[str], status: int, said: str) -> None:
    assert said in here("lists", *words, status=status).err


# importing


def test_the_difference_is_shown_and_asked_about_first(here: Here, place: Place) -> None:
    path = file(place, PEOPLE + "new@example.org,New,en,\nHUDA@example.org,Huda,,\nnobody,,,\n")
    words = ("subscribers", "import", path, "--list", "news")
    before = everybody(here)
    for more, status in (((), 2), (("--dry-run",), 0)):
        ran = here(*words, *more, status=status)
        assert "1  new on 'news'" in ran.out
        assert "~ huda@example.org  name: هدى → Huda" in ran.out
        assert "! line 7: no @ in 'nobody'" in ran.out
        assert everybody(here) == before
    assert figures(here(*words, "--yes", "--json")) == {
        "rows": 6,
        "new": 1,
        "changed": 1,
        "unchanged": 2,
        "duplicates": 1,
        "invalid": 1,
    }
    assert everybody(here)["huda@example.org"]["name"] == "Huda"
    assert everybody(here)["huda@example.org"]["language"] == "ar"


def test_importing_twice_changes_nothing(here: Here, place: Place) -> None:
    words = ("subscribers", "import", file(place, PEOPLE), "--list", "news", "--json")
    here(*words, status=2)
    again = here(*words, "--yes")
    assert figures(again) == {"rows": 3, "unchanged": 3, "invalid": 0}


def test_the_sample_is_imported(here: Here) -> None:
    sample = samples() / "subscribers" / "sample.csv"
    told = here("subscribers", "import", sample, "--list", "news", "--yes", "--json").json
    assert told["new"] > 290
    assert {each["line"] for each in told["invalid"]} >= {244, 250}
    assert {each["language"] for each in everybody(here).values()} >= {"en", "ar", "ckb", ""}


def test_nobody_who_left_is_brought_back_by_a_file(here: Here, place: Place) -> None:
    here("lists", "create", "board")
    here("subscribers", "import", file(place, PEOPLE), "--list", "board", "--yes")
    here("subscribers", "unsubscribe", "ako@example.org", "--list", "news", "--reason", "by phone")
    here("subscribers", "unsubscribe", "huda@example.org")
    here("suppressions", "add", "eve@example.org", "--reason", "bounced")
    here("suppressions", "add", "stranger@example.org", "--reason", "complained")
    path = file(place, PEOPLE.replace("Ako", "Other") + "Stranger@example.org,S,,\n")
    for name, expected in (
        ("news", {"rows": 4, "left_before": 2, "suppressed": 2, "invalid": 0}),
        ("board", {"rows": 4, "changed": 1, "left_before": 1, "suppressed": 2, "invalid": 0}),
    ):
        assert figures(here("subscribers", "import", path, "--list", name, "--yes", "--json")) == expected
    assert everybody(here)["ako@example.org"]["lists"] == {"board": "active", "news": "left"}
    assert everybody(here)["huda@example.org"]["lists"] == {"board": "left", "news": "left"}
    here("lists", "create", "later")
    assert figures(here("subscribers", "import", path, "--list", "later", "--yes", "--json"))["left_before"] == 1


def test_who_was_removed_by_staff_may_come_back(here: Here, place: Place) -> None:
    here("subscribers", "remove", "ako@example.org", "--reason", "tidied")
    assert everybody(here)["ako@example.org"]["lists"] == {"news": "removed"}
    again = here("subscribers", "import", file(place, PEOPLE), "--list", "news", "--yes", "--json")
    assert figures(again) == {"rows": 3, "new": 1, "unchanged": 2, "invalid": 0}


def test_an_empty_cell_takes_nothing_away(here: Here, place: Place) -> None:
    path = file(place, "email,name,city,phone\nako@example.org,,,7\n")
    here("subscribers", "import", path, "--list", "news", "--yes")
    ako = everybody(here)["ako@example.org"]
    assert (ako["name"], ako["fields"]) == ("Ako", {"city": "Erbil", "phone": "7"})


def test_the_record_says_how_they_came(here: Here) -> None:
    shown = here("subscribers", "show", "ako@example.org", "--json").json
    assert [(each["how"], each["wording"]) for each in shown["consents"]] == [("import people.csv", "paper forms")]


@pytest.mark.parametrize(
    ("words", "data", "status", "said"),
    [
        ((), None, 65, "no such file"),
        ((), b"", 65, "empty"),
        ((), b"PK\x03\x04", 65, "damaged archive"),
        ((), b"name\nAnna\n", 65, "--map"),
        ((), b"email\nnobody\n", 65, "not one row"),
        ((), "email,name\na@example.org,Müller\n".encode("latin-1"), 65, "windows-1252"),
        (("--encoding", "rot13"), b"email\n", 65, "no encoding"),
        (("--delimiter", "word"), b"email\n", 2, "--delimiter"),
        (("--map", "x"), b"email\n", 2, "HEADING=FIELD"),
        (("--map", "x=name"), b"email\na@example.org\n", 65, "no column"),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing(
    here: Here, place: Place, words: tuple[str, ...], data: bytes | None, status: int, said: str
) -> None:
    path = place.root / "gone.csv" if data is None else file(place, data, "bad.csv")
    before = everybody(here)
    ran = here("subscribers", "import", path, "--list", "news", "--yes", *words, status=status)
    assert said in ran.err
    assert everybody(here) == before


def test_devices_folders_and_odd_names_are_no_files(here: Here, place: Place) -> None:
    for path in ("/dev/zero", "/dev/null", str(place.root), "", "x" * 300):
        assert here("subscribers", "import", path, "--list", "news", "--yes", status=65).err


def test_the_encoding_is_named_or_asked_for(here: Here, place: Place) -> None:
    path = file(place, "email;name\nmo@example.org;محمد الكعبي\n".encode("cp1256"))
    here("subscribers", "import", path, "--list", "news", "--yes", "--encoding", "windows-1256")
    assert everybody(here)["mo@example.org"]["name"] == "محمد الكعبي"


def test_on_a_terminal_both_questions_are_asked(here: Here, place: Place) -> None:
    path = file(place, "email;name\nmo@example.org;محمد الكعبي\n".encode("cp1256"))
    command = place.command("subscribers", "import", str(path), "--list", "news")
    child = pexpect.spawn(command[0], command[1:], encoding="utf-8", timeout=20, dimensions=(40, 160))
    child.expect("Which of these reads right")
    child.expect("windows-1256.*محمد")
    child.expect("Encoding")
    child.sendline("windows-1256")
    child.expect(r"Import 1 person into 'news'\?")
    child.sendline("y")
    child.expect("import 2: 1 new")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert everybody(here)["mo@example.org"]["name"] == "محمد الكعبي"


def test_people_come_through_a_pipe(here: Here, place: Place) -> None:
    ran = place.run(
        "subscribers", "import", "-", "--list", "news", "--yes", "--json", stdin="email\npipe@example.org\n"
    )
    assert figures(ran) == {"rows": 1, "new": 1, "invalid": 0}
    fifo = place.root / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"email\nfifo@example.org\n"))
    writer.start()
    assert figures(here("subscribers", "import", fifo, "--list", "news", "--yes", "--json"))["new"] == 1
    writer.join()


def test_foreign_text_is_shown_harmlessly(here: Here, place: Place) -> None:
    path = file(place, "email,name,\x1b[2Jx\nako@example.org,\u202eevil\x1b[31m,\n\x1b]0;title\x07,x,\n<script>,y,\n")
    ran = here("subscribers", "import", path, "--list", "news", "--yes")
    for text in (ran.out, ran.err, here("subscribers").out, here("why", "ako@example.org").out):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_nothing_is_left_beside_the_database(here: Here, place: Place) -> None:
    folder = place.root / "subscribers"
    assert {each.name for each in folder.iterdir()} <= {
        "README.md",
        "sample.csv",
        "secret.key",
        "broadcaster.db",
        "broadcaster.db-wal",
        "broadcaster.db-shm",
    }
    assert here("lists")


@pytest.mark.parametrize("after", [0.5, 0.9, 1.3, 1.8, 2.4])
def test_an_import_that_is_killed_did_all_or_nothing(place: Place, after: float) -> None:
    place.run("lists", "create", "news")
    path = file(place, "email,name\n" + "".join(f"p{n}@example.org,P\n" for n in range(60_000)))
    child = place.start("subscribers", "import", str(path), "--list", "news", "--yes")
    time.sleep(after)
    child.kill()
    child.communicate()
    people = place.run("lists", "--json").json[0]["active"]
    assert people in (0, 60_000)
    assert not [each for each in (place.root / "subscribers").iterdir() if "stag" in each.name or "etilqs" in each.name]


def test_an_import_that_is_interrupted_says_so(place: Place) -> None:
    place.run("lists", "create", "news")
    path = file(place, "email,name\n" + "".join(f"p{n}@example.org,P\n" for n in range(300_000)))
    child = place.start("subscribers", "import", str(path), "--list", "news", "--yes")
    time.sleep(1.2)
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130
    assert "Traceback" not in said
    assert place.run("lists", "--json").json[0]["active"] == 0


# people


def test_people_are_found_by_a_part(here: Here) -> None:
    assert [each["address"] for each in here("subscribers", "erBIL", "--json").json] == ["ako@example.org"]
    assert [each["address"] for each in here("subscribers", "هدي", "--json").json] == []
    assert [each["address"] for each in here("subscribers", "هدى", "--list", "news", "--json").json] == [
        "huda@example.org"
    ]
    assert here("subscribers", "zzz", "--json").json == []
    assert "nobody has 'zzz'" in here("subscribers", "zzz").err
    assert len(here("subscribers", "--limit", "2").out.splitlines()) == 3
    here("subscribers", "--list", "nope", status=65)


def test_one_person_is_added_shown_edited(here: Here) -> None:
    added = here(
        "subscribers", "add", "Anna Weiß <Anna@BÜCHER.example>", "--list", "news", "--language", "German",
        "--set", "Home town=Basra", "--timezone", "Asia/Baghdad", "--consent", "by phone", "--json",
    ).json  # fmt: skip
    assert added == {
        "address": "Anna@xn--bcher-kva.example",
        "name": "Anna Weiß",
        "language": "de",
        "timezone": "Asia/Baghdad",
        "fields": {"home_town": "Basra"},
        "lists": {"news": "active"},
        "suppressed": None,
        "new": True,
    }
    here("subscribers", "edit", "anna@bücher.example", "--name", "", "--set", "home_town=", "--set", "x=1")
    here("subscribers", "edit", "anna@bücher.example", "--address", "anna@example.org")
    shown = here("subscribers", "show", "anna@example.org", "--json").json
    assert (shown["name"], shown["fields"], shown["language"]) == ("", {"x": "1"}, "de")
    assert "x: 1" in here("subscribers", "show", "anna@example.org").out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["add", "anna", "--list", "news", "--consent", "x"], 65, "no @"),
        (["add", "a@example.org", "--list", "nwes", "--consent", "x"], 65, "did you mean news"),
        (["add", "a@example.org", "--list", "news"], 2, "--consent"),
        (["add", "a@example.org", "--list", "news", "--consent", " "], 2, "--consent"),
        (["add", "a@example.org", "--list", "news", "--consent", "x", "--language", "qqqq"], 65, "language"),
        (["add", "a@example.org", "--list", "news", "--consent", "x", "--timezone", "Mars"], 2, "time zone"),
        (["add", "a@example.org", "--list", "news", "--consent", "x", "--set", "email=x"], 2, "--email"),
        (["add", "a@example.org", "--list", "news", "--consent", "x", "--set", "x"], 2, "FIELD=VALUE"),
        (["edit", "ako@example.org"], 2, "say what"),
        (["edit", "ako@example.org", "--address", "eve@example.org"], 77, "somebody else"),
        (["edit", "akko@example.org", "--name", "x"], 65, "did you mean ako@example.org"),
        (["unsubscribe", "akko@example.org"], 65, "did you mean ako@example.org"),
        (["unsubscribe", "ako@example.org", "--list", "nope"], 65, "no list"),
        (["remove", "nobody@else.example"], 65, "nobody has"),
        (["show", "ako@"], 65, "nothing after"),
        (["show"], 2, "ADDRESS"),
        (["export", "--list", "nope"], 65, "no list"),
    ],
)
def test_what_cannot_be_done_to_people_is_refused(here: Here, words: list[str], status: int, said: str) -> None:
    before = everybody(here)
    assert said in here("subscribers", *words, status=status).err
    assert everybody(here) == before


def test_only_the_list_they_are_on_can_be_left(here: Here) -> None:
    here("lists", "create", "board")
    assert (
        "is not on 'board'" in here("subscribers", "unsubscribe", "ako@example.org", "--list", "board", status=65).err
    )


def test_who_asks_twice_has_left_once(here: Here) -> None:
    assert here("subscribers", "unsubscribe", "ako@example.org", "--json").json["left"] == ["news"]
    assert here("subscribers", "unsubscribe", "ako@example.org", "--json").json["left"] == []
    assert here("suppressions", "--json").json[0]["reason"] == "left"


def test_who_left_comes_back_by_their_own_word_alone(here: Here) -> None:
    here("subscribers", "unsubscribe", "ako@example.org")
    here("subscribers", "add", "ako@example.org", "--list", "news", "--consent", "asked in person")
    assert everybody(here)["ako@example.org"]["lists"] == {"news": "active"}
    here("suppressions", "add", "eve@example.org", "--reason", "complained")
    assert (
        "complained" in here("subscribers", "add", "eve@example.org", "--list", "news", "--consent", "x", status=77).err
    )


def test_a_dry_run_changes_nothing(here: Here, place: Place) -> None:
    def state() -> tuple[Any, ...]:
        return (everybody(here), here("lists", "--json").json, here("suppressions", "--json").json)

    before = state()
    for words in (
        ["lists", "create", "x"],
        ["lists", "edit", "news", "--title", "x"],
        ["lists", "delete", "news"],
        ["subscribers", "add", "a@example.org", "--list", "news", "--consent", "x"],
        ["subscribers", "edit", "ako@example.org", "--name", "x"],
        ["subscribers", "remove", "ako@example.org"],
        ["subscribers", "unsubscribe", "ako@example.org"],
        ["subscribers", "import", str(file(place, "email\nb@example.org\n")), "--list", "news"],
        ["suppressions", "add", "ako@example.org", "--reason", "x"],
    ):
        here(*words, "--dry-run")
        assert state() == before


# suppressions and why


def test_suppressions_come_and_go(here: Here) -> None:
    here("suppressions", "add", "Eve@example.org", "--reason", "asked by phone")
    assert "already" in here("suppressions", "add", "eve@EXAMPLE.org", "--reason", "x").out
    told = here("suppressions", "--json").json
    assert [(each["address"], each["reason"]) for each in told] == [("Eve@example.org", "asked by phone")]
    assert here("suppressions", "phone", "--json").json == told
    assert here("suppressions", "zzz", "--json").json == []
    assert "Eve@example.org" in here("suppressions", "remove", "evee@example.org", status=65).err
    here("suppressions", "remove", "eve@example.org")
    here("suppressions", "remove", "eve@example.org", status=65)
    here("suppressions", "add", "eve", "--reason", "x", status=65)
    here("suppressions", "add", "eve@example.org", status=2)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([], "gets what is sent to news"),
        (["subscribers", "unsubscribe", "ako@example.org", "--reason", "by post"], "gets nothing: they left all lists"),
        (["subscribers", "unsubscribe", "ako@example.org", "--list", "news"], "gets nothing: they left news"),
        (["subscribers", "remove", "ako@example.org"], "gets nothing: they were taken off news"),
        (["suppressions", "add", "ako@example.org", "--reason", "bounced"], "gets nothing: their mail came back"),
        (["lists", "delete", "news", "--yes"], "gets nothing: they are on no list"),
    ],
)
def test_why_says_it_in_a_sentence(here: Here, before: list[str], said: str) -> None:
    if before:
        here(*before)
    told = here("why", "AKO@example.org")
    assert said in told.out.splitlines()[0]
    assert said in here("why", "ako@example.org", "--json").json["why"]


def test_why_knows_whom_nobody_else_does(here: Here) -> None:
    here("suppressions", "add", "gone@example.org", "--reason", "complained")
    assert "they complained" in here("why", "gone@example.org").out
    assert "did you mean huda@example.org" in here("why", "hudda@example.org", status=65).err
    assert "no @" in here("why", "huda", status=65).err


def test_why_shows_each_delivery(here: Here) -> None:
    here("send", "clean-water", "--list", "news", "--yes")
    told = here("why", "ako@example.org", "--json").json
    assert [(each["mailing"], each["statement"], each["state"]) for each in told["deliveries"]] == [
        (1, "clean-water", "accepted")
    ]
    assert "clean-water" in here("why", "ako@example.org").out


# while others work


def test_who_leaves_while_the_question_is_open_stays_away(here: Here, place: Place) -> None:
    here("subscribers", "remove", "ako@example.org")
    database = place.root / "subscribers" / "broadcaster.db"
    mine, theirs = open_database(database), open_database(database)
    roster, other = Roster(mine, lambda: 7), Roster(theirs, lambda: 8)
    with intake.opened(mine, roster.list("news"), lambda: 7, place.root) as job:
        job.stage(Sheet(Csv(io.BytesIO(PEOPLE.encode()), "utf-8")))
        assert job.compare().new == 1
        other.leave_all(other.known("ako@example.org"), "just now")
        _, done = job.apply(file="x", digest="", who="me", consent="")
    assert (done.new, done.left_before) == (0, 1)
    mine.close()
    theirs.close()
    assert everybody(here)["ako@example.org"]["lists"] == {"news": "left"}


# the program itself


def test_every_command_about_people_has_help_with_examples(here: Here) -> None:
    for words in (
        ["lists"], ["lists", "show"], ["lists", "create"], ["lists", "edit"], ["lists", "delete"],
        ["subscribers"], ["subscribers", "find"], ["subscribers", "show"], ["subscribers", "add"],
        ["subscribers", "edit"], ["subscribers", "remove"], ["subscribers", "unsubscribe"],
        ["subscribers", "import"], ["subscribers", "export"],
        ["suppressions"], ["suppressions", "show"], ["suppressions", "add"], ["suppressions", "remove"], ["why"],
    ):  # fmt: skip
        told = here(*words, "--help").out
        assert "Examples:" in told
        assert "Exit statuses:" in told
        if words != [words[0]] or words == ["why"]:
            assert "--json" in told
