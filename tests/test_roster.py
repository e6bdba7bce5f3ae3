"""The roster: who is reached, who is not and why; nobody who left comes back."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import gathering
from broadcaster.address import Address
from broadcaster.db import Db
from broadcaster.errors import AddressError, BadData, NotAllowed, NotFound
from broadcaster.headers import mailbox
from broadcaster.roster import Details, Roster
from broadcaster.spelling import fold
from broadcaster.subscriber import MailingList, Standing
from tests.lab.crowd import left_out, reached


@pytest.fixture
def db(opened: Callable[[Path], Db], tmp_path: Path) -> Iterator[Db]:
    db = opened(tmp_path / "people.db")
    yield db
    db.close()


@pytest.fixture
def roster(db: Db) -> Roster:
    clock = iter(range(1_000, 1_000_000))
    return Roster(db, lambda: next(clock))


def a(text: str) -> Address:
    return Address.parse(text)


def join(roster: Roster, to: MailingList, address: str, **details: str) -> int:
    fields = {name: details.pop(name) for name in [*details] if name not in ("name", "language", "timezone")}
    person, _ = roster.add(a(address), Details(fields=fields, **details), to, "said so")
    return person.id


@pytest.fixture
def news(roster: Roster) -> MailingList:
    return roster.create_list("news", "example.org", {"en": "News"})


@pytest.fixture
def board(roster: Roster) -> MailingList:
    return roster.create_list("Board", "example.org", {})


# lists


def test_a_list_is_found_in_any_case_and_keeps_its_list_id(roster: Roster, board: MailingList) -> None:
    assert roster.list("bOARD") == board
    assert (board.name, board.list_id) == ("Board", "board.example.org")
    assert roster.edit_list(board, {"en": "The board", "ar": "المجلس"}).titles == {"en": "The board", "ar": "المجلس"}
    assert roster.edit_list(board, {"ar": ""}).titles == {"en": "The board"}
    with pytest.raises(NotAllowed):
        roster.create_list("BOARD", "other.example", {})


@pytest.mark.parametrize("letter", ["a", "a ", "ä", "الماء ", "👩‍👩‍👧‍👦"])
def test_a_title_fits_its_header_or_is_refused(roster: Roster, board: MailingList, letter: str) -> None:
    fitting = [length for length in range(1, 400) if _fits(roster, board, (letter * length).strip())]
    # what is shorter fits too
    assert fitting == [*range(1, len(fitting) + 1)]
    title = (letter * len(fitting)).strip()
    assert 200 < len(mailbox("List-Id", title, board.list_id)) <= len("List-Id: ") + 255
    with pytest.raises(BadData):
        roster.create_list("other", "example.org", {"ar": title * 2})
    with pytest.raises(BadData):
        roster.create_list("other", "a." * 120 + "example.org", {})
    assert [each.name for each in roster.lists()] == ["Board"]


def _fits(roster: Roster, of: MailingList, title: str) -> bool:
    with suppress(BadData):
        return roster.edit_list(of, {"en": title}).titles == {"en": title}
    return False


@pytest.mark.parametrize("name", ["", "7", "2026", "a b", "-a", "a-", "a.b", "ä", "a\n", "<a>", "a" * 64, "a--b"])
def test_a_name_that_cannot_be_a_list_id_is_refused(roster: Roster, name: str) -> None:
    with pytest.raises(BadData):
        roster.create_list(name, "example.org", {})


def test_an_unknown_list_offers_look_alikes(roster: Roster, news: MailingList) -> None:
    with pytest.raises(NotFound) as caught:
        roster.list("nwes")
    assert "news" in (caught.value.hint or "")


def test_a_deleted_list_comes_back_without_its_people_but_knows_who_left(roster: Roster, news: MailingList) -> None:
    anna, peter = join(roster, news, "anna@example.org"), join(roster, news, "peter@example.org")
    roster.leave(roster.people([peter])[peter], [news], "by post")
    assert roster.delete_list(news) == 1
    assert roster.lists() == []
    with pytest.raises(NotFound):
        roster.list("news")
    again = roster.create_list("News", "other.example", {})
    assert (again.id, again.list_id) == (news.id, "news.example.org")
    assert reached(roster.db, again) == []
    assert roster.sizes()[again.id] == {Standing.LEFT: 1, Standing.REMOVED: 1}
    assert roster.barred([(anna, again.id), (peter, again.id)]) == {anna, peter}


# people


def test_one_person_has_one_row_however_they_are_spelled(roster: Roster, news: MailingList) -> None:
    first = join(roster, news, "Anna.Weiss@Example.org", name="Anna", city="Basra")
    second = join(roster, news, "ANNA.WEISS@example.ORG", language="en", chapter="South")
    assert first == second
    found = roster.find("anna.weiss@EXAMPLE.org")
    assert found is not None
    assert (found.address, found.name, found.language) == ("Anna.Weiss@example.org", "Anna", "en")
    assert found.fields == {"city": "Basra", "chapter": "South"}
    assert roster.fields() == {"city", "chapter"}


def test_an_unknown_address_offers_look_alikes(roster: Roster, news: MailingList) -> None:
    join(roster, news, "hanna@example.org")
    join(roster, news, "anna@other.example")
    with pytest.raises(NotFound) as caught:
        roster.known("hana@example.org")
    assert "hanna@example.org" in (caught.value.hint or "")
    with pytest.raises(NotFound) as caught:
        roster.known("ahnna@example.org")
    assert "hanna@example.org" in (caught.value.hint or "")
    with pytest.raises(AddressError):
        roster.known("hanna")


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("jose", ["jose@example.org"]),
        ("JOSÉ", ["jose@example.org"]),
        ("احمد", ["ahmad@example.org"]),
        ("basra", ["jose@example.org"]),
        ("city", []),
        ("example.org", ["jose@example.org", "ahmad@example.org"]),
        ("%", ["ahmad@example.org"]),
        ("_", []),
        ("", ["jose@example.org", "ahmad@example.org"]),
    ],
)
def test_people_are_found_by_a_part_of_what_is_known(
    roster: Roster, news: MailingList, text: str, addresses: list[str]
) -> None:
    join(roster, news, "jose@example.org", name="José Müller", city="Basra")
    join(roster, news, "ahmad@example.org", name="أحمد", note="50% off")
    assert [each.address for each in roster.search(text)] == addresses
    assert [each.address for each in roster.search(text, news)] == addresses


def test_search_within_a_list_shows_only_who_is_on_it(roster: Roster, news: MailingList, board: MailingList) -> None:
    join(roster, news, "anna@example.org")
    join(roster, board, "peter@example.org")
    assert [each.address for each in roster.search("", board)] == ["peter@example.org"]


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_an_edited_person_keeps_their_place(roster: Roster, news: MailingList) -> None:
    anna = join(roster, news, "anna@example.org", name="Anna", city="Basra", phone="1")
    person = roster.known("anna@example.org")
    after = roster.edit(
        person, Details(name="Anna W", fields={"city": "Mosul"}), address=a("anna@new.example"), drop=["phone"]
    )
    assert (after.id, after.address, after.name, after.fields) == (
        anna,
        "anna@new.example",
        "Anna W",
        {"city": "Mosul"},
    )
    assert roster.find("anna@example.org") is None
    assert roster.known("anna@new.example") == after
    # only the spelling
    assert roster.edit(after, Details(), address=a("Anna@new.example")).address == "Anna@new.example"


def test_an_address_cannot_become_somebody_elses_or_shed_a_suppression(roster: Roster, news: MailingList) -> None:
    join(roster, news, "anna@example.org")
    join(roster, news, "peter@example.org")
    with pytest.raises(NotAllowed):
        roster.edit(roster.known("anna@example.org"), Details(), address=a("PETER@example.org"))
    roster.suppress(a("anna@example.org"), "complained")
    with pytest.raises(NotAllowed):
        roster.edit(roster.known("anna@example.org"), Details(), address=a("anna@new.example"))


def test_who_left_a_list_does_not_shed_that_with_their_address(
    roster: Roster, news: MailingList, board: MailingList
) -> None:
    join(roster, news, "anna@example.org")
    join(roster, board, "anna@example.org")
    person = roster.known("anna@example.org")
    roster.leave(person, [news], "by phone")
    with pytest.raises(NotAllowed, match="has left news"):
        roster.edit(person, Details(), address=a("anna@new.example"))
    # only the spelling
    assert roster.edit(person, Details(), address=a("Anna@example.org")).address == "Anna@example.org"


# leaving


def test_a_list_that_is_deleted_can_be_left_before_it_is_made_again(roster: Roster, news: MailingList) -> None:
    anna, peter = join(roster, news, "anna@example.org"), join(roster, news, "peter@example.org")
    roster.delete_list(news)
    # they have its mail, and answer it
    assert roster.mailed(news.id) == news
    assert roster.leave(roster.people([anna])[anna], [news], "") == ["news"]
    roster.leave_all(roster.people([peter])[peter], "")
    again = roster.create_list("news", "example.org", {})
    roster.lift(a("peter@example.org"))
    assert roster.sizes()[again.id] == {Standing.LEFT: 2}


def test_who_comes_back_to_one_list_comes_back_to_no_other(
    roster: Roster, news: MailingList, board: MailingList
) -> None:
    anna = join(roster, news, "anna@example.org")
    join(roster, board, "anna@example.org")
    # as a file says it: of all lists, and none is named
    roster.suppress(a("anna@example.org"), "left", "import 3")
    join(roster, news, "anna@example.org")
    assert reached(roster.db, news) == [(anna, "", news.id)]
    assert reached(roster.db, board) == []
    assert roster.standings([anna])[anna] == {"Board": Standing.LEFT, "news": Standing.ACTIVE}


def test_who_leaves_one_list_stays_on_the_others(roster: Roster, news: MailingList, board: MailingList) -> None:
    anna = join(roster, news, "anna@example.org")
    join(roster, board, "anna@example.org")
    person = roster.known("anna@example.org")
    assert roster.leave(person, [news], "by phone") == ["news"]
    assert roster.leave(person, [news], "again") == []
    assert roster.remove(person, [news], "tidied") == []
    assert roster.standings([anna])[anna] == {"Board": Standing.ACTIVE, "news": Standing.LEFT}
    assert reached(roster.db, news) == []
    assert reached(roster.db, board) == [(anna, "", board.id)]
    assert roster.barred([(anna, news.id)]) == {anna}
    assert roster.barred([(anna, board.id)]) == set()


def test_who_leaves_all_lists_has_left_those_to_come_too(roster: Roster, news: MailingList) -> None:
    anna = join(roster, news, "anna@example.org")
    roster.leave_all(roster.known("anna@example.org"), "by post")
    later = roster.create_list("later", "example.org", {})
    suppression = roster.suppression(a("ANNA@example.org"))
    assert suppression is not None
    assert (suppression.reason, suppression.detail) == ("left", "by post")
    assert reached(roster.db, news, later) == []
    assert left_out(roster.db, news, later) == {"left": 1}
    assert roster.barred([(anna, news.id), (anna, later.id)]) == {anna}


def test_only_their_own_word_brings_back_who_left(roster: Roster, news: MailingList, board: MailingList) -> None:
    anna = join(roster, news, "anna@example.org")
    join(roster, board, "anna@example.org")
    roster.leave_all(roster.known("anna@example.org"), "")
    join(roster, news, "anna@example.org")
    assert reached(roster.db, news) == [(anna, "", news.id)]
    assert reached(roster.db, board) == []
    hows = [(each.list, each.how) for each in roster.consents(roster.known("anna@example.org"))]
    assert hows == [("news", "add"), ("Board", "add"), ("Board", "leave"), ("news", "leave"), ("news", "add")]


def test_a_complaint_or_bounce_outlasts_an_add(roster: Roster, news: MailingList) -> None:
    roster.suppress(a("anna@example.org"), "complained")
    assert not roster.suppress(a("ANNA@example.org"), "bounced")
    with pytest.raises(NotAllowed):
        join(roster, news, "anna@example.org")
    assert roster.find("anna@example.org") is None
    assert roster.lift(a("Anna@example.org")).reason == "complained"
    with pytest.raises(NotFound):
        roster.lift(a("Anna@example.org"))
    assert join(roster, news, "anna@example.org")


# a lot at a time


def test_who_is_gone_is_barred(roster: Roster, news: MailingList) -> None:
    assert roster.barred([(12345, news.id)]) == {12345}
    assert roster.people([12345]) == {}


def test_a_lot_of_people_is_read_in_a_blink(roster: Roster, db: Db, news: MailingList) -> None:
    with db.atomic():
        ids = [join(roster, news, f"p{n}@example.org", city="Basra") for n in range(500)]
    start = time.perf_counter()
    assert len(roster.people(ids)) == 500
    assert roster.barred([(each, news.id) for each in ids]) == set()
    assert time.perf_counter() - start < 500 * 30e-6 * 4  # four times the time allowed: the machine may be busy


def test_the_hot_questions_never_scan(roster: Roster, db: Db, news: MailingList) -> None:
    asked: list[str] = []
    db.conn.set_trace_callback(asked.append)
    roster.people([1, 2])
    roster.barred([(1, news.id)])
    gathering.gather(db, [news.id], [news.id])
    db.conn.set_trace_callback(None)
    # what is left out is asked of the few rows that can be: p are the suppressions
    for sql in (sql for sql in asked if sql.startswith(("select s.", "select a.", "insert"))):
        plan = [row[3] for row in db.conn.execute(f"explain query plan {sql}")]
        assert not [
            step
            for step in plan
            if step.startswith("SCAN") and step != "SCAN p" and "json_each" not in step and "a VIRTUAL" not in step
        ]
        assert not [step for step in plan if "TEMP B-TREE" in step]


def test_the_file_is_private(db: Db) -> None:
    assert stat.S_IMODE(db.path.stat().st_mode) == 0o600
