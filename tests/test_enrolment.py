"""A mailing is written down whole or not at all: with everybody who was counted, once, under ids of their own."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import enrolment
from broadcaster.approval import Person
from broadcaster.audience import Audience, Row
from broadcaster.db import Db, open_database
from broadcaster.enclosure import Enclosed
from broadcaster.errors import StatementError
from broadcaster.ledger import Ledger
from broadcaster.mailing import Draft, Mailing, Part, Rule
from broadcaster.schedule import Window
from tests.lab.crowd import gathered

PARTS = [Part(0, "ar", "{}"), Part(1, "en", "{}")]


@pytest.fixture
def db(opened: Callable[[Path], Db], tmp_path: Path) -> Iterator[Db]:
    db = opened(tmp_path / "broadcaster.db")
    yield db
    db.close()


def draft(due: int | None = None, content: str = "content") -> Draft:
    return Draft("june", PARTS, {}, content, Rule((1,)), Window(due), False, Person("tester"))


def enrol(db: Db, audience: Audience, of: Draft | None = None) -> Mailing:
    return Ledger(db).mailing(enrolment.enrol(db, of or draft(), audience, {}, 1))


def rows(db: Db, of: Mailing) -> list[tuple[int, int, int]]:
    return db.conn.execute(
        "select id, subscriber, part from delivery where mailing = ? order by id", (of.id,)
    ).fetchall()


@given(st.lists(st.sets(st.integers(1, 40)), min_size=1, max_size=4))
@settings(max_examples=25)
def test_everybody_has_one_delivery_and_ids_follow_one_another_over_all_mailings(audiences: list[set[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(Path(folder) / "broadcaster.db")
        following = 1
        for people in audiences:
            of = enrol(db, gathered(db, people))
            ids = range(following, following + len(people))
            assert rows(db, of) == list(zip(ids, sorted(people), [1] * len(people), strict=True))
            assert (of.first, of.last, of.audience) == (ids.start, ids.stop - 1, len(people))
            following = ids.stop
        db.close()


def test_ids_are_not_given_again_although_their_rows_are_gone(db: Db) -> None:
    before = enrol(db, gathered(db, [1, 2, 3]))
    db.conn.execute("delete from delivery")
    after = enrol(db, gathered(db, [2, 3]))
    assert [number for number, _, _ in rows(db, after)] == [before.last + 1, before.last + 2]


def test_everybody_gets_the_part_in_their_language(db: Db) -> None:
    of = enrol(db, gathered(db, [3, 5, 9], {5: "ar"}))
    assert [(person, part) for _, person, part in rows(db, of)] == [(3, 1), (5, 0), (9, 1)]


def test_the_digest_covers_content_people_languages_and_schedule(db: Db) -> None:
    def digest(*people: int, of: Draft | None = None, parts: dict[int, str] | None = None) -> str:
        return enrol(db, gathered(db, people, parts), of).digest

    base = digest(1, 2)
    assert digest(1, 2) == base
    others = [digest(1), digest(1, 12), digest(1, 2, parts={2: "ar"}), digest(1, 2, of=draft(5000))]
    others.append(digest(1, 2, of=draft(content="other")))
    assert len({base, *others}) == 6


def test_nobody_is_enrolled_in_the_stead_of_others_who_were_gathered_since(db: Db) -> None:
    audience = gathered(db, [1, 2])
    gathered(db, [3, 4])
    with pytest.raises(RuntimeError):
        enrol(db, audience)
    assert Ledger(db).mailings() == []


def test_as_many_are_enrolled_as_were_counted(db: Db) -> None:
    audience = gathered(db, [1, 2])
    db.conn.execute("delete from temp.gathered where subscriber = 2")
    with pytest.raises(RuntimeError):
        enrol(db, audience)
    assert db.conn.execute("select count(*) from delivery").fetchone() == (0,)


def test_nobody_is_in_a_mailing_twice(db: Db) -> None:
    of = enrol(db, gathered(db, [1, 2]))
    with pytest.raises(sqlite3.IntegrityError):
        db.conn.execute("insert into delivery (mailing, subscriber, list, part) values (?, 1, 1, 1)", (of.id,))


def test_a_file_that_is_missing_leaves_nothing_behind(db: Db) -> None:
    def missing(lot: Sequence[Row]) -> Iterator[Enclosed]:
        yield Enclosed(lot[0][0], 0, "a.pdf", "d", b"x")
        raise StatementError("no file")

    with pytest.raises(StatementError):
        enrolment.enrol(db, draft(), gathered(db, [1, 2]), {}, 1, missing)
    for table in ("mailing", "delivery", "part", "content", "enclosure"):
        assert db.conn.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_everybody_is_asked_for_files_of_their_own_once(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "PIECE", 3)
    asked: list[Row] = []

    def own(lot: Sequence[Row]) -> Iterator[Enclosed]:
        asked.extend(lot)
        return iter(())

    enrolment.enrol(db, draft(), gathered(db, range(1, 9)), {}, 1, own)
    assert asked == [(person, 1, 1) for person in range(1, 9)]


def test_an_audience_goes_from_table_to_table_without_being_sorted(db: Db) -> None:
    asked: list[str] = []
    audience = gathered(db, [1, 2])
    db.conn.set_trace_callback(asked.append)
    enrol(db, audience)
    db.conn.set_trace_callback(None)
    (sql,) = [sql for sql in asked if sql.startswith("insert into delivery")]
    db.conn.execute("create temp table given (language text primary key, part integer) without rowid")
    plan = [row[3] for row in db.conn.execute(f"explain query plan {sql}")]
    assert any("given USING PRIMARY KEY" in step for step in plan)
    assert not [step for step in plan if "TEMP B-TREE" in step]
