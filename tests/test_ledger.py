"""The ledger's promises: nobody twice, the sum rule, one claim per delivery, and what a crash leaves behind."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broadcaster import mailing as m
from broadcaster.approval import Person
from broadcaster.db import Db, open_database
from broadcaster.delivery import NEXT, Event, Outcome, Reply, Stage, State
from broadcaster.enrolment import enrol
from broadcaster.errors import CannotWrite, NotAllowed, NotFound
from broadcaster.ledger import Ledger, Slip
from broadcaster.mailing import Draft, Mailing, Part, Rule, digest_of_content
from broadcaster.schedule import Window
from tests.lab.crowd import gathered


@pytest.fixture
def ledger(opened: Callable[[Path], Db], tmp_path: Path) -> Iterator[Ledger]:
    db = opened(tmp_path / "broadcaster.db")
    yield Ledger(db)
    db.close()


def draft() -> Draft:
    content = digest_of_content({"en": "{}"}, {})
    return Draft("june", [Part(0, "en", "{}")], {"abc": b"x"}, content, Rule((1,)), Window(), False, Person("tester"))


def enrolled(ledger: Ledger, number: int = 10) -> Mailing:
    audience = gathered(ledger.db, range(1, number + 1))
    return ledger.mailing(enrol(ledger.db, draft(), audience, {"left": 2, "suppressed": 0}, 1000))


def outcome(slip: Slip, event: Event, code: int = 250) -> Outcome:
    return Outcome(slip.id, event, Reply(Stage.DOT, code, "2.0.0 fine"), "main", 2000.0)


def counted(db: Db, of: Mailing) -> dict[State, int]:
    rows = db.conn.execute("select state, count(*) from delivery where mailing = ? group by 1", (of.id,))
    return {State(state): number for state, number in rows}


def claimed(ledger: Ledger, of: Mailing, number: int) -> Sequence[Slip]:
    slips = ledger.slips(ledger.pending(of, 0, number), 1000)
    assert ledger.shift(of.id, [slip.id for slip in slips], Event.CLAIM) == len(slips)
    return slips


def test_a_mailing_is_read_back_as_it_was_enrolled(ledger: Ledger) -> None:
    of = enrolled(ledger)
    assert (of.audience, of.state, of.left_out, of.last - of.first) == (10, m.State.READY, {"left": 2}, 9)
    assert of.tally == {State.PENDING: 10}
    assert ledger.content("abc") == b"x"
    rows = ledger.db.conn.execute("select subscriber from delivery where mailing = ? order by id", (of.id,))
    assert [row[0] for row in rows] == list(range(1, 11))


def test_a_delivery_is_claimed_once(ledger: Ledger) -> None:
    of = enrolled(ledger)
    slips = claimed(ledger, of, 4)
    assert ledger.slips([slip.id for slip in slips], 1000) == []
    assert ledger.shift(of.id, [slip.id for slip in slips], Event.CLAIM) == 0


def test_only_what_is_claimed_may_be_handed_over(ledger: Ledger) -> None:
    of = enrolled(ledger)
    first, second = claimed(ledger, of, 2)
    ledger.shift(of.id, [second.id], Event.CANCEL)
    assert ledger.record([first, second], []) == {second}
    assert ledger.record([first], []) == {first}


def test_a_second_report_is_no_news(ledger: Ledger) -> None:
    of = enrolled(ledger)
    (slip,) = claimed(ledger, of, 1)
    ledger.record([slip], [])
    for _ in range(2):
        ledger.record([], [(slip, outcome(slip, Event.ACCEPT), 0)])
    assert ledger.mailing(of.id).tally == {State.PENDING: 9, State.ACCEPTED: 1}
    (page,) = ledger.deliveries(of)
    assert page[0]["attempts"] == 1
    assert (page[0]["code"], page[0]["status"], page[0]["relay"]) == (250, "2.0.0", "main")


def test_a_crash_gives_back_what_was_not_handed_and_doubts_the_rest(ledger: Ledger) -> None:
    of = enrolled(ledger)
    slips = claimed(ledger, of, 5)
    ledger.record(slips[:2], [])
    assert ledger.recover(0, rebooted=False) == (3, 2)
    assert ledger.mailing(of.id).tally == {State.PENDING: 8, State.IN_DOUBT: 2}
    assert ledger.doubtful(of.id) == [slips[0].id, slips[1].id]


def test_a_power_cut_doubts_all_that_was_claimed(ledger: Ledger) -> None:
    of = enrolled(ledger)
    claimed(ledger, of, 5)
    assert ledger.recover(0, rebooted=True) == (0, 5)


def test_what_is_deferred_comes_when_it_is_due_and_not_before(ledger: Ledger) -> None:
    of = enrolled(ledger)
    (slip,) = claimed(ledger, of, 1)
    ledger.record([], [(slip, outcome(slip, Event.DEFER, 450), 5000)])
    assert ledger.ripened(of.id, 4999, (0, 0), 10) == []
    assert ledger.ripened(of.id, 5000, (0, 0), 10) == [(slip.id, "example.org", 5000)]
    assert ledger.ripened(of.id, 5000, (5000, slip.id), 10) == []
    assert ledger.next_ripe(of.id) == 5000
    assert ledger.slips([slip.id], 4999) == []
    (again,) = ledger.slips([slip.id], 5000)
    assert again.attempts == 1
    ledger.shift(of.id, [slip.id], Event.CLAIM)
    assert ledger.ripened(of.id, 5000, (0, 0), 10) == []


def test_cancelling_settles_all_that_waits(ledger: Ledger) -> None:
    of = enrolled(ledger)
    slips = claimed(ledger, of, 3)
    ledger.record([], [(slips[0], outcome(slips[0], Event.DEFER, 450), 9000)])
    assert ledger.close(of, Event.CANCEL) == 8
    assert ledger.mailing(of.id).tally == {State.CLAIMED: 2, State.CANCELLED: 8}
    assert ledger.next_ripe(of.id) is None


def test_a_mailing_moves_only_by_its_table(ledger: Ledger) -> None:
    of = enrolled(ledger)
    with pytest.raises(NotAllowed, match="mailing 1 is ready: it cannot pause"):
        ledger.move(of.id, m.Event.PAUSE, 1)
    assert ledger.move(of.id, m.Event.START, 1).state is m.State.SENDING
    with pytest.raises(NotFound, match="no mailing 99"):
        ledger.move(99, m.Event.START, 1)


def test_finished_is_what_has_nothing_open(ledger: Ledger) -> None:
    of = enrolled(ledger, 2)
    ledger.move(of.id, m.Event.START, 1)
    slips = claimed(ledger, of, 2)
    ledger.record(slips, [])
    ledger.record([], [(slips[0], outcome(slips[0], Event.ACCEPT), 0), (slips[1], outcome(slips[1], Event.LOSE), 0)])
    assert ledger.finish_if_done(of.id, 2).state is m.State.SENDING
    ledger.shift(of.id, [slips[1].id], Event.ACCEPT)
    assert ledger.finish_if_done(of.id, 2).state is m.State.FINISHED


def test_what_one_person_got_is_looked_up_in_each_mailing(ledger: Ledger) -> None:
    numbers = [enrolled(ledger).id for _ in range(3)]
    asked: list[str] = []
    ledger.db.conn.set_trace_callback(asked.append)
    assert [row["mailing"] for row in ledger.history(4)] == numbers[::-1]
    ledger.db.conn.set_trace_callback(None)
    plan = [row[3] for row in ledger.db.conn.execute(f"explain query plan {asked[0]}")]
    assert "SEARCH d USING INDEX delivery_once (<expr>=? AND subscriber=?)" in plan


@pytest.mark.parametrize(
    "harm",
    [
        "update delivery set state = 4 where id = 3",
        "update delivery set mailing = 7 where id = 3",
        "delete from delivery where id = 3",
        "update tally set number = number + 1",
        "update mailing set audience = audience + 1",
        "update mailing set last = last - 1",
    ],
)
def test_what_does_not_add_up_is_not_sound(ledger: Ledger, harm: str) -> None:
    of = enrolled(ledger)
    assert ledger.sound(of.id)
    ledger.db.conn.execute(harm)
    assert not ledger.sound(of.id)


@pytest.mark.parametrize(
    "sql",
    [
        "select d.id from delivery d, mailing m where m.id = 1 and d.id between m.first and m.last and d.state = 6",
        "select id from delivery where id > 5 and id <= 10 and state = 0 order by id limit 5",
        "select delivery from due where mailing = 1 and at <= 5 order by at limit 5",
        "select at from attempt where delivery = 1 and number = 1",
        "select id from delivery where subscriber = 1 and mailing + 0 = 1",
        "select id from delivery indexed by delivery_once where mailing + 0 = 1 and subscriber = 1 and id = 1",
        "update delivery set state = 1 where id in (1, 2) and mailing = 1 and state = 0",
        "update delivery set state = 8 where id between 1 and 9 and mailing = 1 and state = 0",
    ],
)
def test_hot_queries_search_and_never_scan(ledger: Ledger, sql: str) -> None:
    plan = " ".join(row[3] for row in ledger.db.conn.execute(f"explain query plan {sql}"))
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


class Sums(RuleBasedStateMachine):
    """Whatever happens in whatever order: the tally is what the rows say, and its sum is the audience."""

    def __init__(self) -> None:
        super().__init__()
        conn = sqlite3.connect(":memory:", isolation_level=None)
        from broadcaster.db import _migrate

        self.db = Db(conn, Path(":memory:"))
        _migrate(self.db)
        self.ledger = Ledger(self.db)
        self.of = enrolled(self.ledger, 12)
        self.hands: dict[int, Slip] = {}

    @rule(number=st.integers(1, 4))
    def claim(self, number: int) -> None:
        self.hands |= {slip.id: slip for slip in claimed(self.ledger, self.of, number)}

    @rule(data=st.data())
    def hand(self, data: st.DataObject) -> None:
        if self.hands:
            slip = self.hands[data.draw(st.sampled_from(sorted(self.hands)))]
            self.ledger.record([slip], [])

    @rule(data=st.data(), event=st.sampled_from([e for e in Event if e is not Event.CLAIM]))
    def report(self, data: st.DataObject, event: Event) -> None:
        if self.hands:
            slip = self.hands[data.draw(st.sampled_from(sorted(self.hands)))]
            self.ledger.record([], [(slip, outcome(slip, event), 3000)])

    @rule(ids=st.lists(st.integers(1, 12)), event=st.sampled_from(Event))
    def shift(self, ids: list[int], event: Event) -> None:
        before = counted(self.db, self.of)
        moved = self.ledger.shift(self.of.id, ids, event)
        assert moved <= sum(before.get(state, 0) for state, e in NEXT if e is event)

    @rule(rebooted=st.booleans())
    def crash(self, rebooted: bool) -> None:
        self.ledger.recover(0, rebooted=rebooted)
        self.hands.clear()

    @invariant()
    def the_sum_rule_holds(self) -> None:
        of = self.ledger.mailing(self.of.id)
        assert dict(of.tally) == counted(self.db, self.of)
        assert sum(of.tally.values()) == of.audience
        assert self.ledger.sound(of.id)

    @invariant()
    def only_what_is_deferred_has_a_next_time(self) -> None:
        stray = "select count(*) from due left join delivery d on d.id = due.delivery where d.state is not 3"
        assert self.db.conn.execute(stray).fetchone() == (0,)

    def teardown(self) -> None:
        self.db.close()


TestSums = Sums.TestCase
TestSums.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.integers(1, 50), unique=True, max_size=30), st.integers(1, 7))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_of_deliveries_hold_everyone_once(tmp_path: Path, people: list[int], page: int) -> None:
    db = open_database(tmp_path / "broadcaster.db")
    ledger = Ledger(db)
    of = ledger.mailing(enrol(db, draft(), gathered(db, people), {}, 1))
    assert [row["subscriber"] for rows in ledger.deliveries(of, page) for row in rows] == sorted(people)
    db.close()


def test_what_must_be_on_the_disk_is_written_so_and_the_rest_is_not(ledger: Ledger) -> None:
    for durable in (True, False, False, True, True, False):
        with ledger.db.atomic(durable=durable) as conn:
            assert conn.execute("pragma synchronous").fetchone()[0] == (2 if durable else 1)


def test_settling_writes_the_log_out_and_drops_no_lock(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = []
    write_out = os.fdatasync

    def noticed(file: int) -> None:
        written.append(Path(f"/proc/self/fd/{file}").readlink())
        write_out(file)

    monkeypatch.setattr(os, "fdatasync", noticed)

    def locks() -> list[str]:
        """What nobody else may do, as the system keeps it."""
        lines = (line.partition(": ")[2] for line in Path("/proc/locks").read_text().splitlines())
        return sorted(line for line in lines if f" {os.getpid()} " in line)

    with ledger.db.atomic():
        before = locks()
        with ThreadPoolExecutor() as beside:
            beside.submit(ledger.db.settle).result(10)
        assert locks() == before != []
    assert written == [ledger.db.path.with_name("broadcaster.db-wal")]


def test_a_disk_that_does_not_keep_the_log_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(CannotWrite, match="input/output error"):
        ledger.db.settle()
