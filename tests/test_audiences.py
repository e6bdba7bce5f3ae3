"""Audiences as staff make them: filters, segments, exclusions; shown before, frozen after, nobody mailed twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import segments
from broadcaster.cli.say import pointed, width
from broadcaster.db import Db, open_database
from broadcaster.errors import BadData, NotAllowed, NotFound
from broadcaster.mailing import Roll, Rule
from broadcaster.schedule import Window
from tests.conftest import Here, Place, Ran

PEOPLE = """email,name,language,city,tags
anna@example.org,Anna,en,Basra,"member, board"
huda@example.org,هدى,ar-IQ,basra,member
ako@example.org,Ako,ckb,Erbil,
eve@example.com,Eve,en,Paris,staff
"""
JUNE = "---\nsubject: June\n---\nHello.\n"


@pytest.fixture
def place(place: Place) -> Place:
    """A fresh workspace with a statement."""
    place.statement("june", en=JUNE, ar="---\nsubject: حزيران\n---\nمرحبا.\n")
    return place


@pytest.fixture
def here(place: Place, commands: Here) -> Here:
    """Commands in this process, in a workspace with two lists."""

    file = place.root / "people.csv"
    file.write_text(PEOPLE, encoding="utf-8")
    for name in ("news", "board"):
        commands("lists", "create", name)
    commands("subscribers", "import", file, "--list", "news", "--consent", "paper forms", "--yes")
    return commands


def addresses(found: Ran) -> list[str]:
    return [each["address"].partition("@")[0] for each in found.json["people"]]


def rules(place: Place) -> list[Rule]:
    with closing(open_database(place.root / "subscribers" / "broadcaster.db")) as db:
        return [Rule.from_json(row[0]) for row in db.conn.execute("select rule from mailing order by id")]


def enrolled(place: Place, number: int) -> int:
    with closing(open_database(place.root / "subscribers" / "broadcaster.db")) as db:
        found: int = db.conn.execute("select count(*) from delivery where mailing + 0 = ?", (number,)).fetchone()[0]
        return found


def test_everybody_on_the_lists_is_shown_once_with_their_language_or_why_not(here: Here) -> None:
    here("subscribers", "unsubscribe", "huda@example.org", "--list", "news")
    here("suppressions", "add", "ako@example.org", "--reason", "staff")
    found = here("audience", "june", "--list", "news", "--where", "city = basra", "--json").json
    assert found["audience"] == 1
    assert found["people"] == [
        {"address": "anna@example.org", "name": "Anna", "language": "en", "gets": "en", "list": "news"}
    ]
    assert [(each["address"], each["reason"], each["because"]) for each in found["without"]] == [
        ("huda@example.org", "left", None),
        ("ako@example.org", "suppressed", "staff"),
        ("eve@example.com", "filtered", None),
    ]
    assert found["left_out"] == {"left": 1, "suppressed": 1, "filtered": 1}
    told = here("audience", "--list", "news", "--limit", "1")
    assert "anna@example.org" in told.out
    assert "eve@example.com" not in told.out
    assert "1 more; --limit 0 shows all" in told.err


def test_a_fallback_is_shown_as_what_they_get(here: Here) -> None:
    found = here("audience", "june", "--list", "news", "--json").json
    assert {each["address"]: each["gets"] for each in found["people"]} == {
        "anna@example.org": "en",
        "huda@example.org": "ar",
        "ako@example.org": "en",
        "eve@example.com": "en",
    }
    assert (found["languages"], found["fallbacks"]) == ({"en": 3, "ar": 1}, {"ckb": 1})
    wanted = here("audience", "--list", "news", "--json").json
    assert wanted["languages"] == {"en": 2, "ar-IQ": 1, "ckb": 1}


def test_nothing_is_written_by_looking(here: Here, place: Place) -> None:
    before = (place.root / "subscribers" / "broadcaster.db").read_bytes()
    here("audience", "june", "--list", "news", "--where", "has city", "--exclude", "board")
    assert (place.root / "subscribers" / "broadcaster.db").read_bytes() == before


def test_who_is_shown_is_who_is_prepared_for(here: Here, place: Place) -> None:
    here("segments", "save", "basrans", "--where", "city = basra")
    for number, options in enumerate(
        (
            ["--where", "city = Basra"],
            ["--where", "@basrans and language is ar"],
            ["--where", "not has tag staff", "--exclude", "@basrans"],
            ["--where", "not sent mailing 1", "--exclude", "mailing:2"],
        ),
        1,
    ):
        shown = here("audience", "june", "--list", "news", *options, "--json").json
        made = here("prepare", "june", "--list", "news", *options, "--json").json
        assert made["audience"] == shown["audience"] == enrolled(place, number) > 0
        assert made["left_out"] == shown["left_out"]


@pytest.mark.parametrize("command", [("check", "june"), ("audience",), ("prepare", "june"), ("subscribers",)])
def test_an_empty_filter_never_means_everybody(here: Here, place: Place, command: tuple[str, ...]) -> None:
    for where in ("", "  "):
        told = here(*command, "--list", "news", "--where", where, status=65)
        assert "--where:1: says nothing" in told.err
    assert rules(place) == []


def test_a_slip_in_a_filter_is_pointed_at(here: Here) -> None:
    told = here("subscribers", "--where", "name = هدى and citty = Basra", status=65)
    lines = told.err.splitlines()
    assert lines[0] == "broadcaster: --where:16: no subscriber has 'citty'"
    assert lines[1].strip() == "name = هدى and citty = Basra"
    assert lines[2].index("^") == lines[1].index("citty")
    assert lines[3] == "  hint: did you mean city?"
    told = here("audience", "--list", "news", "--where", "city = \x1b[31mred", status=65)
    assert "\x1b" not in told.err


@given(st.text(max_size=300), st.integers(0, 300))
def test_a_mark_stands_under_its_place_whatever_the_text(text: str, place: int) -> None:
    place = min(place, len(text))
    line, mark = pointed(text, place)
    assert mark.strip() == "^"
    assert width(line) <= 72 + width(mark)
    assert "\x1b" not in line
    assert "\n" not in line


# segments


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Db]:
    db = open_database(tmp_path / "people.db")
    yield db
    db.close()


def test_a_segment_is_found_in_any_case_and_its_changes_are_in_the_audit_log(db: Db) -> None:
    of = segments.save(db, "Über-40", "age > 40", 7)
    assert segments.find(db, "ÜBER-40") == of
    for _ in range(2):  # the second time changes nothing
        segments.edit(db, of, "age >= 40", 8)
    assert segments.meanings(db) == {"über-40": "age >= 40"}
    with pytest.raises(NotAllowed):
        segments.save(db, "über-40", "age > 1", 9)
    with pytest.raises(NotFound) as caught:
        segments.find(db, "über-4")
    assert "Über-40" in (caught.value.hint or "")
    segments.delete(db, of, 9)
    assert segments.every(db) == []
    assert segments.save(db, "other", "age > 1", 10).id != of.id
    noted = db.conn.execute("select what, details from audit order by id").fetchall()
    assert [what for what, _ in noted] == ["segment save", "segment edit", "segment delete", "segment save"]
    # a filter may hold an address
    assert all(set(json.loads(details)) == {"segment"} for _, details in noted)


@pytest.mark.parametrize("name", ["", "12", "a b", "a'b", "@", "a)", "x" * 64, "-", "a\n", '"'])
def test_a_name_that_no_filter_could_write_is_refused(db: Db, name: str) -> None:
    with pytest.raises(BadData):
        segments.save(db, name, "a = 1", 7)


def test_segments_are_saved_shown_changed_and_deleted(here: Here) -> None:
    assert "2 people now" in here("segments", "save", "basrans", "--where", "City == 'basra'").out
    assert here("segments", "--json").json[0] | {"created": 0, "changed": 0} == {
        "name": "basrans",
        "where": "City = basra",
        "people": 2,
        "created": 0,
        "changed": 0,
    }
    here("segments", "save", "basrans", "--where", "city = x", status=77)
    here("segments", "save", "x", "--where", "@basrans", status=65)
    here("segments", "save", "x", "--where", "town = x", status=65)
    here("segments", "save", "x", "--where", "city = x", "--dry-run")
    here("segments", "edit", "x", "--where", "city = x", status=65)
    assert "1 person now" in here("segments", "edit", "@Basrans", "--where", "city = Erbil").out
    assert addresses(here("audience", "--list", "news", "--where", "@basrans", "--json")) == ["ako"]
    assert "hint: the segment is @basrans" in here("audience", "--list", "news", "--exclude", "basrans", status=65).err
    here("segments", "delete", "basrans", status=2)
    here("segments", "delete", "basrans", "--yes", "--dry-run")
    here("segments", "delete", "basrans", "--yes")
    assert here("segments", "--json").json == []
    here("audience", "--list", "news", "--where", "@basrans", status=65)
    here("audience", "--list", "news", "--exclude", "@basrans", status=65)


# what is frozen


def test_what_becomes_of_a_segment_changes_no_mailing(here: Here, place: Place) -> None:
    here("segments", "save", "basrans", "--where", "city = Basra")
    made = here("prepare", "june", "--list", "news", "--where", "@basrans", "--json").json
    before = rules(place)
    here("segments", "edit", "basrans", "--where", "city = Paris")
    assert here("status", "1", "--json").json["digest"] == made["digest"]
    here("segments", "delete", "basrans", "--yes")
    assert rules(place) == before
    assert before[0].segments == (("basrans", "city = Basra"),)
    assert enrolled(place, 1) == 2


def test_the_same_filter_resumes_and_another_is_another_mailing(here: Here, place: Place) -> None:
    here("prepare", "june", "--list", "news", "--where", "city = Basra")
    # however it is spelled
    here("send", "june", "--list", "news", "--where", "city  ==  'Basra'", "--yes")
    assert len(rules(place)) == 1
    assert enrolled(place, 1) == 2
    here("send", "june", "--list", "news", "--where", "city = Erbil", "--yes")
    assert [rule.where for rule in rules(place)] == ["city = Basra", "city = Erbil"]


def test_a_filter_goes_with_no_mailing_that_is_prepared(here: Here, place: Place) -> None:
    here("prepare", "june", "--list", "news")
    here("send", "1", "--where", "city = Basra", "--yes", status=2)
    here("send", "june", "--where", "city = Basra", "--yes", status=77)
    assert enrolled(place, 1) == 4


def test_a_segment_that_means_something_else_now_is_not_resumed_unasked(here: Here, place: Place) -> None:
    here("segments", "save", "basrans", "--where", "city = Basra")
    order = ("send", "june", "--list", "news", "--where", "@basrans", "--yes")
    here("prepare", "june", "--list", "news", "--where", "@basrans")
    here("segments", "edit", "basrans", "--where", "city = Erbil")
    told = here(*order, status=77)
    assert "what @basrans means has changed" in told.err
    here("segments", "edit", "basrans", "--where", "city = Basra")
    here(*order)
    assert len(rules(place)) == 1


def test_who_would_get_a_statement_twice_is_told_before(here: Here, place: Place) -> None:
    place.configure(9)  # not a rehearsal
    here("prepare", "june", "--list", "news", "--where", "city = Basra")
    told = here("prepare", "june", "--list", "news")
    assert "2 of them are in mailing 1 of june too" in told.err
    assert "--exclude mailing:1" in told.err
    assert (
        "twice"
        not in here(
            "prepare",
            "june",
            "--list",
            "news",
            "--exclude",
            "mailing:1",
            "--exclude",
            "mailing:2",
            "--where",
            "has name",
            "--dry-run",
            status=65,
        ).err
    )


def test_the_digest_covers_the_filter_and_what_its_segments_meant() -> None:
    rule = Rule((1,), where="@a", segments=(("a", "x = 1"),))
    seals = {
        Roll().seal("", each, Window())
        for each in (
            Rule((1,)),
            Rule((1,), where="x = 1"),
            Rule((1,), exclude_segments=("a",)),
            rule,
            Rule((1,), where="@a", segments=(("a", "x = 2"),)),
        )
    }
    assert len(seals) == 5
    assert Rule.from_json(rule.to_json()) == rule
    assert Rule.from_json(rule.to_json()).segments == rule.segments


def test_a_rule_without_a_filter_is_spelled_as_before_there_were_filters() -> None:
    old = '{"exclude":[2],"exclude_mailings":[],"lists":[1]}'
    assert Rule.from_json(old).to_json() == old


def test_check_looks_at_those_whom_a_filter_means(here: Here) -> None:
    everybody = here("check", "june", "--list", "news", "--json").json["findings"]
    assert "missing-language" in [finding["rule"] for finding in everybody]
    few = here("check", "june", "--list", "news", "--where", "not language is ckb", "--json").json["findings"]
    assert "missing-language" not in [finding["rule"] for finding in few]
    here("check", "june", "--where", "citty = a", status=65)
