"""Whom a mailing would reach: everybody who may be mailed, once, in their language; and why nobody else."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import enrolment, filters, gathering
from broadcaster.address import Address
from broadcaster.approval import Person
from broadcaster.audience import Speakers
from broadcaster.census import Census
from broadcaster.conditions import Scope, compiled
from broadcaster.db import Db, open_database
from broadcaster.ledger import Ledger
from broadcaster.mailing import Draft, Part, Rule
from broadcaster.roster import Details, Roster
from broadcaster.schedule import Window
from broadcaster.subscriber import MailingList
from tests.lab.crowd import gathered, left_out, reached

ENROLLED = "select subscriber from delivery where mailing = ? order by id"


@pytest.fixture
def db(opened: Callable[[Path], Db], tmp_path: Path) -> Iterator[Db]:
    db = opened(tmp_path / "people.db")
    yield db
    db.close()


@pytest.fixture
def roster(db: Db) -> Roster:
    return Roster(db, lambda: 7)


@pytest.fixture
def news(roster: Roster) -> MailingList:
    return roster.create_list("news", "example.org", {"en": "News"})


@pytest.fixture
def board(roster: Roster) -> MailingList:
    return roster.create_list("Board", "example.org", {})


def a(text: str) -> Address:
    return Address.parse(text)


def join(roster: Roster, to: MailingList, address: str, **details: str) -> int:
    fields = {name: details.pop(name) for name in [*details] if name not in ("name", "language", "timezone")}
    person, _ = roster.add(a(address), Details(fields=fields, **details), to, "said so")
    return person.id


def spoken(db: Db) -> dict[str, int]:
    return {tag: speakers.number for tag, speakers in gathering.languages(db).items()}


def test_one_copy_per_person_over_several_lists_by_the_first_they_are_on(
    roster: Roster, db: Db, news: MailingList, board: MailingList
) -> None:
    anna = join(roster, news, "anna@example.org", language="ar")
    peter = join(roster, board, "peter@example.org", language="en")
    join(roster, board, "anna@example.org")
    assert reached(db, news, board) == [(anna, "ar", news.id), (peter, "en", board.id)]
    assert reached(db, board, news) == [(anna, "ar", board.id), (peter, "en", board.id)]
    assert reached(db, board, exclude=(news,)) == [(peter, "en", board.id)]
    assert left_out(db, board, exclude=(news,)) == {"excluded": 1}
    assert reached(db) == []


Role = st.sampled_from(["none", "active", "left", "removed"])


@given(st.lists(st.tuples(Role, Role, Role, st.sampled_from(["", "left", "bounced"])), min_size=1, max_size=12))
def test_everybody_is_reached_or_left_out_for_one_reason(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str, str, str]]
) -> None:
    db = open_database(tmp_path_factory.mktemp("roster") / "people.db")
    roster = Roster(db, lambda: 7)
    lists = [roster.create_list(name, "example.org", {}) for name in ("one", "two", "three")]
    reach, left = [], {"left": 0, "suppressed": 0, "excluded": 0}
    for number, (*roles, barred) in enumerate(people):
        address = f"p{number}@example.org"
        for role, to in zip(roles, lists, strict=True):
            if role != "none":
                join(roster, to, address)
                if role != "active":
                    (roster.leave if role == "left" else roster.remove)(roster.known(address), [to], "")
        if barred:
            roster.suppress(a(address), barred)
        if "active" in roles[:2]:
            if barred:
                left["left" if barred == "left" else "suppressed"] += 1
            elif roles[2] == "active":
                left["excluded"] += 1
            else:
                reach.append((roster.known(address).id, lists[0 if roles[0] == "active" else 1].id))
        elif "left" in roles[:2]:
            left["left"] += 1
    one, two, three = lists
    rows = reached(db, one, two, exclude=(three,))
    found = [(person, to) for person, _, to in rows]
    assert found == sorted(reach)
    assert sum(spoken(db).values()) == len(found)
    assert [person for person, _ in gathering.readers(db)] == [person for person, _ in found]
    assert left_out(db, one, two, exclude=(three,)) == {reason: number for reason, number in left.items() if number}
    assert roster.barred(found) == set()
    everybody = {each.id for each in roster.search()}
    without = {person for person, _, _ in reached(db, one)}
    assert roster.barred([(person, one.id) for person in everybody]) == everybody - without
    db.close()


@given(st.lists(st.tuples(Role, Role, st.sampled_from(["Basra", "Erbil", ""]), st.booleans()), max_size=10))
@settings(max_examples=40)
def test_whom_a_filter_is_not_true_of_is_passed_over_and_told_so(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str, str, bool]]
) -> None:
    db = open_database(tmp_path_factory.mktemp("roster") / "people.db")
    roster = Roster(db, lambda: 7)
    lists = [roster.create_list(name, "example.org", {}) for name in ("one", "two")]
    reach, passed = [], []
    for number, (*roles, city, barred) in enumerate(people):
        address = f"p{number}@example.org"
        for role, to in zip(roles, lists, strict=True):
            if role != "none":
                join(roster, to, address, city=city)
                if role != "active":
                    (roster.leave if role == "left" else roster.remove)(roster.known(address), [to], "")
        if barred:
            roster.suppress(a(address), "bounced")
        if roles[0] not in ("active", "left"):
            continue
        person = roster.known(address).id
        if roles[0] == "left":
            passed.append((person, "left"))
        elif barred:
            passed.append((person, "suppressed"))
        elif roles[1] == "active" or city == "Erbil":
            passed.append((person, "excluded"))
        elif city != "Basra":
            passed.append((person, "filtered"))
        else:
            reach.append((person, lists[0].id, ""))
    scope = Scope({"city"})
    found = gathering.gather(
        db,
        [lists[0].id],
        [lists[1].id],
        where=compiled(filters.parse("city = basra"), scope),
        but=compiled(filters.parse("city = erbil"), scope),
    )
    assert [*gathering.reached(db)] == reach
    assert [*gathering.passed(db)] == passed
    assert found.left_out == Counter(reason for _, reason in passed)
    db.close()


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
@settings(max_examples=25)
def test_who_is_in_an_earlier_mailing_too_is_counted(people: set[int], had: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(Path(folder) / "people.db")
        draft = Draft("june", [Part(0, "en", "{}")], {}, "content", Rule((1,)), Window(), False, Person("tester"))
        of = Ledger(db).mailing(enrolment.enrol(db, draft, gathered(db, had), {}, 1))
        gathered(db, people)
        assert gathering.shared(db, of.first, of.last) == len(people & had)
        db.close()


def test_a_filter_asks_each_person_by_their_keys(roster: Roster, db: Db, news: MailingList) -> None:
    asked: list[str] = []
    said = "not sent mailing 1 and joined after 2026-01-01 and city = Basra and has tag a"
    for lists in ([], [news.id]):
        where = compiled(filters.parse(said), Scope({"city", "tags"}, {}, {1}, lists=lists))
        db.conn.set_trace_callback(asked.append)
        gathering.gather(db, [news.id], where=where)
        db.conn.set_trace_callback(None)
        (sql,) = (sql for sql in asked if "tagged(" in sql)
        plan = [row[3] for row in db.conn.execute(f"explain query plan {sql}")]
        # those who were gathered are walked, and what a value of JSON holds
        assert [step for step in plan if step.startswith("SCAN") and "VIRTUAL" not in step] == ["SCAN g"]
        assert any("delivery_once (<expr>=? AND subscriber=?)" in step for step in plan), plan
        assert not [step for step in plan if "TEMP B-TREE" in step]
        asked.clear()


def test_what_people_have_is_counted_over_who_would_be_mailed(roster: Roster, db: Db, news: MailingList) -> None:
    join(roster, news, "anna@example.org", name="Anna", language="ar", city="Basra", شهر="مايو")
    join(roster, news, "peter@example.org", language="en", city="Al-Hartha", timezone="Asia/Baghdad", note='a "b"')
    join(roster, news, "john@example.org", language="en", name="John")
    join(roster, news, "eve@example.org", name="Evelyn")
    roster.suppress(a("eve@example.org"), "bounced")
    assert [language for _, language, _ in reached(db, news)] == ["ar", "en", "en"]
    assert spoken(db) == {"ar": 1, "en": 2}
    census = Census(db)
    assert sorted(census.profile(["name", "city", "شهر", "unknown"])) == [
        ("ar", "city", 1, "Basra"),
        ("ar", "name", 1, "Anna"),
        ("ar", "شهر", 1, "مايو"),
        ("en", "city", 1, "Al-Hartha"),
        ("en", "name", 1, "John"),
    ]
    assert [*census.profile(["timezone"])] == [("en", "timezone", 1, "Asia/Baghdad")]
    assert [*census.profile([])] == []
    assert sorted(census.values("city")) == [("Al-Hartha", 1), ("Basra", 1)]


def test_many_are_counted_in_pieces_as_if_at_once(
    roster: Roster, db: Db, news: MailingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = ["en", "ar", "en", "en", "ckb", "", "en", "en"]
    ids = [join(roster, news, f"p{n}@example.org", language=tag, city="x" * n) for n, tag in enumerate(tags, 1)]
    reached(db, news)
    whole = gathering.languages(db)
    monkeypatch.setattr("broadcaster.gathering.PIECE", 3)
    monkeypatch.setattr("broadcaster.census.PIECE", 3)
    assert gathering.languages(db) == whole
    assert whole == {
        "en": Speakers(5, ids[0]),
        "ar": Speakers(1, ids[1]),
        "ckb": Speakers(1, ids[4]),
        "": Speakers(1, ids[5]),
    }
    found = [*Census(db).profile(["city"])]
    assert sum(number for _, _, number, _ in found) == len(tags)
    assert max(len(value) for tag, _, _, value in found if tag == "en") == 8


@given(st.lists(st.sampled_from(["en", "ar", "ckb", ""]), max_size=12), st.integers(0, 6))
@settings(max_examples=25)
def test_a_sample_has_every_language_before_it_has_two_of_one(tags: list[str], number: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(Path(folder) / "people.db")
        gathered(db, range(1, len(tags) + 1), dict(enumerate(tags, 1)))
        speakers = gathering.languages(db)
        found = [tags[person - 1] for person in gathering.sample(db, number, speakers)]
        assert len(found) == min(number, len(tags))
        seen = [found.count(tag) for tag in speakers]
        # whoever has fewer has no more to give
        assert all(n == tags.count(tag) for tag, n in zip(speakers, seen, strict=True) if n < max(seen) - 1)
        db.close()


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
@settings(max_examples=25)
def test_who_had_an_excluded_mailing_is_left_out_and_counted(people: set[int], had: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(Path(folder) / "people.db")
        draft = Draft("june", [Part(0, "en", "{}")], {}, "content", Rule((1,)), Window(), False, Person("tester"))
        number = enrolment.enrol(db, draft, gathered(db, had), {}, 1)
        gathered(db, people)
        found = gathering.gather(db, [1], mailings=[number])
        assert [person for person, _ in gathering.readers(db)] == sorted(people - had)
        assert found.left_out == ({"excluded": len(people & had)} if people & had else {})
        assert [row[0] for row in db.conn.execute(ENROLLED, (number,))] == sorted(had)
        db.close()


def test_who_comes_or_goes_after_the_gathering_changes_nothing(roster: Roster, db: Db, news: MailingList) -> None:
    anna = join(roster, news, "anna@example.org", language="ar")
    before = reached(db, news)
    join(roster, news, "peter@example.org")
    roster.leave(roster.people([anna])[anna], [news], "by post")
    assert [person for person, _ in gathering.readers(db)] == [person for person, _, _ in before]


def test_others_may_write_while_people_are_gathered(
    opened: Callable[[Path], Db], roster: Roster, db: Db, news: MailingList
) -> None:
    join(roster, news, "anna@example.org")
    other = opened(db.path)
    other.conn.execute("pragma busy_timeout = 0")
    with db.reading():
        reached(db, news)
        join(Roster(other, lambda: 8), news, "peter@example.org")
        # one moment: who came meanwhile is not seen
        assert len(reached(db, news)) == 1
    assert len(reached(db, news)) == 2
    other.close()
