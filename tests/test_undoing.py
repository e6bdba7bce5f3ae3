"""An import that is undone leaves the roster as it was, but for what was done since; nobody who is gone comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broadcaster import intake, undoing
from broadcaster.address import Address
from broadcaster.consent import Proof
from broadcaster.db import open_database
from broadcaster.erasure import Erasure
from broadcaster.errors import NotAllowed, NotFound
from broadcaster.forgetting import welcome
from broadcaster.guise import Guise
from broadcaster.origin import NOTHING, Past
from broadcaster.roster import Details, Roster
from broadcaster.sheet import Person
from broadcaster.subscriber import MailingList

WHO = ("anna", "bo", "cem", "dina", "eve")
WORDS = st.sampled_from(["", "x", "y", "z"])
GONE = st.sampled_from([NOTHING] * 6 + [Past("left"), Past("left all"), Past("bounced"), Past("staff")])


class World:
    """A roster with two lists in a folder of its own. All that happens in one second is told apart all the same."""

    def __init__(self, folder: Path) -> None:
        self.db = open_database(folder / "people.db", who="tester")
        self.clock = 1_000_000
        self.roster = Roster(self.db, lambda: self.clock)
        self.erasure = Erasure(self.db, str.encode, lambda: self.clock)
        self.lists = [self.roster.create_list(name, "example.org", {}) for name in ("news", "board")]

    def close(self) -> None:
        self.db.close()

    def take_in(self, rows: Sequence[Person], into: MailingList, *, whole: bool = False) -> int:
        with intake.opened(self.db, into, self.roster.now, self.db.path.parent, self.erasure.veil, whole=whole) as job:
            job.stage(rows)
            return job.apply(file="people.csv", digest="d", who="tester", consent="a form")[0]

    def undo(self, number: int) -> undoing.Undone:
        with undoing.opened(self.db, self.roster.now) as job:
            shown = job.plan(job.known(number))
            done = job.undo(job.known(number))
        assert shown == done
        return done

    def erase(self, who: str) -> None:
        with self.db.atomic():
            self.erasure.erase(Guise(address(who)), self.erasure.known(address(who)), [])

    def make_anew(self, of: int) -> None:
        """Delete a list, and make it again."""
        name = self.lists[of].name
        self.roster.delete_list(self.lists[of])
        self.lists[of] = self.roster.create_list(name, "example.org", {})

    def state(self) -> dict[str, list[Any]]:
        """Everything but the record, the audit log and the list of imports."""
        questions = {
            "people": "select key, address, name, language, timezone, fields, created, changed from subscriber",
            "lists": "select s.key, u.list, u.state, u.since from subscription u join subscriber s"
            " on s.id = u.subscriber",
            "barred": "select key, address, reason, detail, since from suppression",
            "fields": "select name from field",
        }
        return {name: sorted(self.db.conn.execute(sql)) for name, sql in questions.items()}

    def on(self, of: MailingList) -> set[str]:
        return {each.address for each in self.roster.members(of)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def address(who: str) -> Address:
    return Address.parse(f"{who}@example.org")


def row(who: str, name: str = "", language: str = "", past: Past = NOTHING, **fields: str) -> Person:
    given = {field: value for field, value in fields.items() if value}
    return Person(2, f"{who}@example.org", f"{who}@example.org", name, language, "", given, past)


rows = st.lists(
    st.builds(row, st.sampled_from(WHO), WORDS, WORDS, GONE, city=WORDS, chapter=WORDS), min_size=1, max_size=5
)
files = st.tuples(rows, st.sampled_from([0, 0, 1]), st.booleans())
acts = st.tuples(
    st.sampled_from(["add", "edit", "remove", "leave", "leave all", "bounce"]),
    st.sampled_from(WHO),
    st.sampled_from([0, 1]),
    WORDS,
)


def act(world: World, what: str, who: str, of: MailingList, word: str) -> None:
    """Something that somebody does with one person, if they can."""
    roster, person = world.roster, world.roster.find(address(who))
    with suppress(NotAllowed):
        if what == "add":
            details = Details(name=word, fields={"city": word} if word else None)
            welcome(roster, world.erasure, address(who), details, of, "by phone", Proof())
        elif what == "bounce":
            roster.suppress(address(who), "bounced", "mailing 1")
        elif person is None:
            return
        elif what == "edit":
            roster.edit(person, Details(fields={"city": word} if word else None), drop=() if word else ("city",))
        elif what == "remove":
            roster.remove(person, [of], "")
        elif what == "leave":
            roster.leave(person, [of], "")
        else:
            roster.leave_all(person, "")


@given(st.lists(acts, max_size=8), st.lists(files, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_undoing_what_was_imported_leaves_the_roster_as_it_was(
    before: list[tuple[str, str, int, str]], given_files: list[tuple[list[Person], int, bool]]
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for what, who, of, word in before:
            act(world, what, who, world.lists[of], word)
            world.clock += 1
        states, numbers = [], []
        for people, of, whole in given_files:
            states.append(world.state())
            numbers.append(world.take_in(people, world.lists[of], whole=whole))
        # the last first
        told_twice = any(
            world.db.conn.execute("select 1 from suppression where import is null and detail like 'import %'")
        )
        for number, state in zip(reversed(numbers), reversed(states), strict=True):
            world.undo(number)
            if not told_twice:
                assert world.state() == state
        world.close()


@given(st.lists(acts, max_size=6), st.lists(files, min_size=2, max_size=2))
@settings(max_examples=40, deadline=None)
def test_imports_may_be_undone_in_any_order(
    before: list[tuple[str, str, int, str]], given_files: list[tuple[list[Person], int, bool]]
) -> None:
    """Whoever was known before either is as they were; whom the first made may stay, but on no list."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for what, who, of, word in before:
            act(world, what, who, world.lists[of], word)
        known = {each.address for each in world.roster.search()}
        plain = [[one._replace(past=NOTHING) for one in people] for people, _, _ in given_files]
        state = world.state()
        numbers = [
            world.take_in(people, world.lists[of], whole=whole)
            for people, (_, of, whole) in zip(plain, given_files, strict=True)
        ]
        for number in numbers:
            world.undo(number)
        after = world.state()
        for what in ("people", "lists", "barred"):
            assert [one for one in after[what] if one[0] in known] == [one for one in state[what] if one[0] in known]
        for each in world.lists:
            assert world.on(each) <= known
        world.close()


@given(st.lists(acts, max_size=6), files, st.lists(acts, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_was_done_since_stays(
    before: list[tuple[str, str, int, str]],
    file: tuple[list[Person], int, bool],
    since: list[tuple[str, str, int, str]],
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for what, who, of, word in before:
            act(world, what, who, world.lists[of], word)
        state = world.state()
        number = world.take_in(file[0], world.lists[file[1]], whole=file[2])
        edited = set()
        for what, who, of, word in since:
            was = world.state()["people"]
            act(world, what, who, world.lists[of], word)
            # whoever writes what is there already has changed nothing
            if what == "edit" and world.state()["people"] != was:
                edited.add(who)
        then = world.state()
        world.undo(number)
        after = world.state()
        touched = {f"{who}@example.org" for _, who, _, _ in since}
        for what in ("people", "lists", "barred"):
            # nobody else is other than before
            assert [one for one in after[what] if one[0] not in touched] == [
                one for one in state[what] if one[0] not in touched
            ]
        # each act that said how somebody stands to a list has the last word
        acted = {(f"{who}@example.org", of + 1) for what, who, of, _ in since if what in ("add", "remove", "leave")}
        acted |= {(f"{who}@example.org", of) for what, who, _, _ in since if what == "leave all" for of in (1, 2)}
        standing = {one[:2]: one[2] for one in then["lists"]}
        # add is refused for whom the file has barred
        barred = {one[0] for one in then["barred"]}
        assert all(
            {one[:2]: one[2] for one in after["lists"]}[each] == standing[each]
            for each in acted & standing.keys()
            if each[0] not in barred
        )
        assert {one[0] for one in after["barred"]} >= {
            f"{who}@example.org" for what, who, *_ in since if what == "bounce"
        } - {f"{who}@example.org" for what, who, *_ in since if what == "add"}
        city = {one[0]: json.loads(one[5]).get("city") for one in then["people"]}
        for who in edited:
            key = f"{who}@example.org"
            if key in city:
                assert {one[0]: json.loads(one[5]).get("city") for one in after["people"]}[key] == city[key]
        world.close()


class NobodyComesBack(RuleBasedStateMachine):
    """Imports, whole files, undoing, and people who go: only their own word brings anybody back."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.imports: list[int] = []
        self.gone: dict[tuple[str, int], set[int]] = {}  # (who, list) → the imports that say so; 0: they themselves
        self.barred: dict[str, set[int]] = {}
        self.erased: set[str] = set()

    def teardown(self) -> None:
        self.world.close()
        self.folder.cleanup()

    @rule(file=files)
    def take_in(self, file: tuple[list[Person], int, bool]) -> None:
        people, of, whole = file
        number = self.world.take_in(people, self.world.lists[of], whole=whole)
        self.imports.append(number)
        for one in people:
            who = one.address.partition("@")[0]
            if who in self.erased:
                continue
            if one.past.gone == "left":
                self.gone.setdefault((who, of), set()).add(number)
            elif one.past.gone:
                self.barred.setdefault(who, set()).add(number)

    @rule(which=st.integers(0, 20))
    def undo(self, which: int) -> None:
        if self.imports:
            number = self.imports.pop(which % len(self.imports))
            self.world.undo(number)
            for told in (*self.gone.values(), *self.barred.values()):
                told.discard(number)

    @rule(what=acts)
    def somebody_does(self, what: tuple[str, str, int, str]) -> None:
        verb, who, of, word = what
        person = self.world.roster.find(address(who))
        standings = self.world.roster.standings([person.id])[person.id] if person else {}
        act(self.world, verb, who, self.world.lists[of], word)
        if verb == "leave" and self.world.lists[of].name in standings:
            self.gone.setdefault((who, of), set()).add(0)
        elif verb == "bounce" or (verb == "leave all" and person):
            self.barred.setdefault(who, set()).add(0)
        elif verb == "add" and f"{who}@example.org" in self.world.on(self.world.lists[of]):
            self.gone.pop((who, of), None)
            if self.barred.pop(who, None):
                # back on this list: of the other that they had left nothing was said
                self.gone.setdefault((who, 1 - of), set()).add(0)
            self.erased.discard(who)

    @rule(who=st.sampled_from(WHO))
    def is_erased(self, who: str) -> None:
        self.world.erase(who)
        self.erased.add(who)
        for of in (0, 1):
            self.gone.pop((who, of), None)
        self.barred.pop(who, None)

    @rule(who=st.sampled_from(WHO))
    def is_allowed_again(self, who: str) -> None:
        """Staff lift what barred somebody: the lists that they left stay left."""
        with suppress(NotFound):
            self.world.roster.lift(address(who))
            self.barred.pop(who, None)

    @rule(of=st.sampled_from([0, 1]))
    def a_list_is_made_anew(self, of: int) -> None:
        self.world.make_anew(of)
        assert self.world.on(self.world.lists[of]) == set()

    @rule(seconds=st.integers(1, 3))
    def time_passes(self, seconds: int) -> None:
        self.world.clock += seconds

    @invariant()
    def who_is_gone_is_gone(self) -> None:
        for of in (0, 1):
            on = self.world.on(self.world.lists[of])
            gone = {who for (who, which), told in self.gone.items() if told and which == of}
            gone |= {who for who, told in self.barred.items() if told} | self.erased
            assert not {f"{who}@example.org" for who in gone} & on


TestNobodyComesBack = NobodyComesBack.TestCase
TestNobodyComesBack.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)


def test_who_left_all_lists_and_comes_back_to_one_is_brought_to_no_other_by_a_file(world: World) -> None:
    news, board = world.lists
    world.take_in([row("bo", past=Past("left all"))], news)
    act(world, "add", "bo", board, "")
    world.take_in([row("bo")], news)
    assert (world.on(news), world.on(board)) == (set(), {"bo@example.org"})


def test_numbers_of_entries_that_went_with_somebody_hide_no_later_word(world: World) -> None:
    news, _ = world.lists
    number = world.take_in([row("anna"), row("bo")], news)
    act(world, "leave", "bo", news, "")
    act(world, "add", "bo", news, "")
    # the record's last entries go, and their numbers are given again
    world.erase("bo")
    act(world, "leave", "anna", news, "")
    world.undo(number)
    world.take_in([row("anna"), row("bo")], news)
    assert world.on(news) == set()


def test_who_left_by_a_files_word_while_suppressed_has_left_when_that_is_lifted(world: World) -> None:
    news, _ = world.lists
    world.take_in([row("anna")], news)
    for who in ("anna", "bo"):
        world.roster.suppress(address(who), "bounced", "mailing 1")
    world.take_in([row("anna", past=Past("left")), row("bo", past=Past("left"))], news)
    for who in ("anna", "bo"):
        world.roster.lift(address(who))
    world.take_in([row("anna"), row("bo")], news)
    assert world.on(news) == set()


def test_a_list_that_is_made_anew_does_not_get_its_people_back_by_undoing(world: World) -> None:
    first = world.take_in([row("anna"), row("bo")], world.lists[0])
    number = world.take_in([row("bo")], world.lists[0], whole=True)
    world.make_anew(0)
    assert world.undo(number).restored == 0
    assert world.on(world.lists[0]) == set()
    hows = [each.how for each in world.roster.consents(world.roster.known("bo@example.org"))]
    assert hows == ["import", "delete"]
    # and whom a file brought goes with it all the same
    assert world.undo(first).deleted == 2


def test_a_file_does_not_come_into_a_list_that_is_deleted_while_somebody_thinks(world: World) -> None:
    news, _ = world.lists
    with intake.opened(world.db, news, world.roster.now, world.db.path.parent) as job:
        job.stage([row("anna")])
        job.compare()
        world.roster.delete_list(news)
        with pytest.raises(NotFound):
            job.apply(file="people.csv", digest="d", who="tester", consent="a form")
    assert world.state()["people"] == []


def test_who_complained_by_a_files_word_and_then_leaves_has_complained_all_the_same(world: World) -> None:
    news, _ = world.lists
    world.take_in([row("anna")], news)
    world.take_in([row("anna", past=Past("complained"))], news)
    act(world, "leave all", "anna", news, "")
    act(world, "add", "anna", news, "")
    assert world.on(news) == set()


def test_whoever_has_a_mail_of_the_list_can_leave_it_after_it_is_undone(world: World) -> None:
    news, board = world.lists
    world.take_in([row("anna")], board)
    number = world.take_in([row("anna")], news)
    anna = world.roster.known("anna@example.org")
    with world.db.atomic() as conn:
        conn.execute(
            "insert into mailing (statement, state, digest, content, rule, left_out, audience, first, last, rehearsal,"
            " created, who, changed) values ('june', 5, '', '', '{}', '{}', 1, 1, 1, 0, ?1, '', ?1)",
            (world.clock,),
        )
        conn.execute("insert into delivery values (1, 1, ?, ?, 0, 5, 1)", (anna.id, news.id))
    world.undo(number)
    assert world.on(news) == set()
    assert world.roster.leave(anna, [news], "wrote to leave") == ["news"]
    world.take_in([row("anna")], news)
    assert world.on(news) == set()
