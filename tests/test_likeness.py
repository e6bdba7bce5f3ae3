"""What looks like a slip is told, what is right is left alone, and a million addresses cost little."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import intake
from broadcaster.advice import Adviser, Kind
from broadcaster.db import open_database
from broadcaster.likeness import PROVIDERS, alike, form, meant, neighbours
from broadcaster.roster import Roster
from broadcaster.sheet import Person


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.nna+news@gmail.com", "anna@googlemail.com"),
        ("anna@gmail.com", "an.na@gmail.com"),
        ("anna+x@example.org", "anna@example.org"),
        ("anna+x@example.org", "anna+y@example.org"),
        ("amnira@example.org", "amnria@example.org"),
    ],
)
def test_addresses_that_are_nearly_equal_look_alike(one: str, other: str) -> None:
    assert alike(one, other)
    assert alike(other, one)
    assert form(*one.split("@")) == form(*other.split("@"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna@example.org", "anna@example.org"),
        ("a.nna@example.org", "anna@example.org"),
        ("member12@example.org", "member21@example.org"),
        ("anna@example.org", "anna@example.net"),
        ("ali@example.org", "ail@example.org"),
        ("nadia@example.org", "diana@example.org"),
    ],
)
def test_addresses_of_two_people_do_not(one: str, other: str) -> None:
    assert not alike(one, other)


local = st.text("abc123.+", min_size=1, max_size=7)
domain = st.sampled_from(["gmail.com", "googlemail.com", "example.org"])


@given(local, domain, local, domain)
def test_whatever_is_alike_has_one_form(a: str, here: str, b: str, there: str) -> None:
    if alike(f"{a}@{here}", f"{b}@{there}"):
        assert form(a, here) == form(b, there)


@pytest.mark.parametrize(
    ("domain", "right"),
    [
        ("gmial.com", "gmail.com"),
        ("gmal.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("yahoo.co", "yahoo.com"),
        ("yaho.com", "yahoo.com"),
        ("outlok.com", "outlook.com"),
        ("water.example.con", "water.example.com"),
        ("river.ogr", "river.org"),
        ("waterforal.example", "waterforall.example"),
    ],
)
def test_a_slip_in_a_domain_is_seen(domain: str, right: str) -> None:
    assert meant(domain, neighbours(["waterforall.example"])) == right


@pytest.mark.parametrize(
    "domain",
    [*sorted(PROVIDERS), "hotmail.gr", "yahoo.fr", "live.be", "example.org", "we.com", "gmx.li", "waterforall.example"],
)
def test_a_domain_that_is_right_is_left_alone(domain: str) -> None:
    assert meant(domain, neighbours(["waterforall.example"])) == ""


def advised(folder: Path, keys: list[str], known: list[str]) -> dict[Kind, list[tuple[int, str, str]]]:
    db = open_database(folder / "people.db")
    roster = Roster(db, lambda: 1)
    news = roster.create_list("news", "example.org", {})

    def rows(addresses: list[str]) -> list[Person]:
        return [Person(n, key, key, "", "", "", {}) for n, key in enumerate(addresses, start=2)]

    with intake.opened(db, news, roster.now, folder) as job:
        job.stage(rows(known))
        job.apply(file="a", digest="", who="", consent="")
    with intake.opened(db, news, roster.now, folder) as job:
        job.stage(rows(keys))
        job.compare()
        adviser = Adviser(db)
        adviser.look()
        found = {kind: [(each.line, each.other, each.why) for each in adviser.of(kind)] for kind in Kind}
    db.close()
    return found


def test_new_rows_are_measured_against_the_roster_and_each_other(tmp_path: Path) -> None:
    known = ["amira.hassan@example.org", "known@gmail.com", *(f"p{n}@harbour.example" for n in range(100))]
    keys = [
        "amira.hassan@example.org",
        "amira.hasasn@example.org",
        "know.n@gmail.com",
        "twin+a@example.net",
        "twin@example.net",
        "known@gmial.com",
        "someone@harbuor.example",
        "info@river.example",
        "x@mailinator.com",
    ]
    found = advised(tmp_path, keys, known)
    assert [(line, other) for line, other, _ in found[Kind.LOOK_ALIKES]] == [
        (3, "amira.hassan@example.org"),
        (4, "known@gmail.com"),
        (6, "twin+a@example.net"),
    ]
    assert found[Kind.TYPING_ERRORS] == [
        (7, "known@gmail.com", "who is known already"),
        (8, "someone@harbour.example", "a slip in the domain"),
    ]
    assert [line for line, *_ in found[Kind.ROLE_ADDRESSES]] == [9]
    assert [line for line, *_ in found[Kind.DISPOSABLE]] == [10]


def test_thousands_that_are_all_alike_cost_no_more_than_others(tmp_path: Path) -> None:
    start = time.perf_counter()
    found = advised(tmp_path, [f"anna+{n}@gmail.com" for n in range(20_000)], [])
    assert len(found[Kind.LOOK_ALIKES]) == 19_999
    assert time.perf_counter() - start < 10
