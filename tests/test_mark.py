"""A database that was restored from an older copy sends nobody again what was sent after it was taken."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broadcaster import broadcast
from broadcaster.cli.house import House
from broadcaster.db import Db, open_database
from broadcaster.delivery import Event
from broadcaster.errors import CannotWrite, NotAllowed
from broadcaster.lock import Lock
from broadcaster.mailing import Stamp, fingerprint
from broadcaster.mark import RECORD, Mark, Marks
from tests.conftest import Place
from tests.lab.server import Lab, Rule, running
from tests.test_ledger import enrolled
from tests.test_sending import STATEMENT, configured, ended, people, until

DATABASE = "subscribers/broadcaster.db"
NO_DATABASE = cast("Db", None)  # what only reads and writes the file asks it nothing
numbers = st.integers(0, 2**63 - 1)
stamps = st.builds(
    Stamp,
    database=st.text("0123456789abcdef", min_size=32, max_size=32),
    claims=numbers,
    mailing=st.integers(1, 50),
    delivery=numbers,
    at=st.integers(0, 2**35),
    rehearsal=st.booleans(),
    statement=st.text(max_size=40).map(fingerprint),
)


@pytest.fixture
def june(place: Place) -> Place:
    place.statement("june", en=STATEMENT)
    return place


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Mark]:
    db = open_database(tmp_path / "broadcaster.db")
    made = Mark(tmp_path / "ledger.mark", db)
    yield made
    made.close()
    db.close()


def copied(place: Place, name: str = "copy.db") -> Path:
    """A copy of the database while somebody may be writing, as a careful person makes one."""
    copy = place.root.parent / name
    with closing(sqlite3.connect(place.root / DATABASE)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def put_back(place: Place, copy: Path) -> None:
    for rest in ("-wal", "-shm"):
        (place.root / (DATABASE + rest)).unlink(missing_ok=True)
    shutil.copy(copy, place.root / DATABASE)


def ids(lab: Lab) -> Counter[str]:
    return Counter(str(message_from_bytes(message.data)["Message-ID"]) for message in lab.messages)


# the file


@given(st.lists(stamps, max_size=8))
@settings(max_examples=40)
def test_what_is_written_is_read_back_and_of_each_mailing_the_last(
    tmp_path_factory: pytest.TempPathFactory, all_: list[Stamp]
) -> None:
    folder = tmp_path_factory.mktemp("mark")
    with closing(Mark(folder / "ledger.mark", NO_DATABASE)) as mark:
        for stamp in all_:
            mark.write(stamp)
        last = {stamp.mailing: stamp for stamp in all_}
        assert mark.read() == Marks(tuple(last[number] for number in sorted(last)))


@given(stamps, st.integers(0, RECORD - 1), st.integers(1, 255))
def test_a_damaged_record_is_known_and_never_read_as_another(
    tmp_path_factory: pytest.TempPathFactory, stamp: Stamp, place: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("mark")
    path = folder / "ledger.mark"
    with closing(Mark(path, NO_DATABASE)) as mark:
        mark.write(stamp)
        octets = bytearray(path.read_bytes())
        octets[stamp.mailing * RECORD + place] ^= flip
        path.write_bytes(octets)
        assert mark.read() == Marks((), (stamp.mailing,))


def test_a_file_that_is_not_there_or_empty_or_all_zeros_says_nothing(mark: Mark, tmp_path: Path) -> None:
    assert mark.read() == Marks()
    for content in (b"", b"\0" * 1000, b"\0" * 5):
        (tmp_path / "ledger.mark").write_bytes(content)
        assert mark.read() == Marks()


def test_the_file_is_private_and_a_link_is_not_followed(mark: Mark, tmp_path: Path) -> None:
    path, other = tmp_path / "ledger.mark", tmp_path / "precious"
    mark.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    mark.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    other.write_text("keep me")
    path.symlink_to(other)
    for touch in (mark.open, mark.read):
        with pytest.raises(NotAllowed, match="symbolic link"):
            touch()
    assert other.read_text() == "keep me"
    path.unlink()
    path.mkdir()
    for refused in (mark.open, mark.read):
        with pytest.raises((NotAllowed, CannotWrite)):
            refused()


def test_a_claim_costs_one_record_and_the_file_is_never_ahead_of_its_own_database(mark: Mark) -> None:
    db = mark._db
    with db.atomic() as conn:
        conn.execute(
            "insert into mailing (id, statement, state, digest, content, rule, left_out, audience, first, last,"
            " rehearsal, created, who, changed) values (3, 'june', 2, '', '', '', '', 9, 1, 9, 0, 1, '', 1)"
        )
    for lot in (4, 9, 2):
        (stamp,) = mark.count({3: lot}, 1000)
        assert not mark.unheard(mark.read().stamps)
        mark.write(stamp)
        assert not mark.unheard(mark.read().stamps)
    (found,) = mark.read().stamps
    assert (found.claims, found.delivery, found.mailing, found.at) == (3, 9, 3, 1000)
    assert mark.unheard([replace(found, claims=4)]) == [replace(found, claims=4)]
    assert not mark.unheard([replace(found, claims=4, database="0" * 32)])


# by the real program


def test_what_was_sent_after_the_copy_is_in_doubt_and_nobody_gets_it_twice(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 30)
        june.run("prepare", "june", "--list", "news")
        copy = copied(june)
        june.run("send", "1", "--yes")
        put_back(june, copy)
        told = june.run("status", "1")
        assert "older than the last sending" in told.err
        done = june.run("send", "1", "--yes", "--json", status=75)
        assert "older than the last sending" in done.err
        assert "resolve 1 --from-log" in done.err
        assert (done.json["in_doubt"], done.json["pending"]) == (30, 0)
        assert "older" not in june.run("send", "1", "--yes", status=75).err  # it is said once
        assert set(ids(lab).values()) == {1}
        june.run("resolve", "1", "--accept", "--yes")
        assert june.run("status", "1", "--json").json["state"] == "finished"
        june.run("send", "june", "--list", "news", "--yes", status=77)
        assert len(lab.messages) == 30


def halted(place: Place, sender: subprocess.Popen[str], verb: Callable[..., object]) -> None:
    """Pause or cancel mailing 1 at once, and wait for the sender's end."""
    with House(place.root) as house:
        verb(house.ledger, 1, "tester", house.now)
    ended(sender)


def test_a_copy_from_the_middle_goes_on_after_what_was_sent(june: Place) -> None:
    with running() as lab:
        configured(june, lab, connections=1, limits='["40/s"]')
        people(june, 90)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 10)
        # as cp would, with what is not in the main file yet
        for rest in ("-wal", ""):
            shutil.copy(june.root / (DATABASE + rest), june.root.parent / ("copy.db" + rest))
        at_copy = len(lab.messages)
        until(lambda: len(lab.messages) > 40)
        halted(june, sender, broadcast.pause)
        at_loss = len(lab.messages)
        put_back(june, june.root.parent / "copy.db")
        shutil.copy(june.root.parent / "copy.db-wal", june.root / (DATABASE + "-wal"))
        done = june.run("send", "1", "--yes", "--json", status=75).json
        assert set(ids(lab).values()) == {1}
        assert done["accepted"] + done["in_doubt"] == 90
        # no more is doubted than what was claimed meanwhile, and was not sent when it was paused
        assert 0 <= done["in_doubt"] - (at_loss - at_copy) <= 40
        assert len(lab.messages) + done["in_doubt"] >= 90


def test_cron_pauses_what_it_was_not_asked_for(june: Place) -> None:
    with running() as lab:
        configured(june, lab, connections=1, limits='["50/s"]')
        people(june, 60)
        june.run("prepare", "june", "--list", "news")
        with House(june.root) as house:
            broadcast.begin(house.ledger, house.config, 1, house.now)
        copy = copied(june)
        sender = june.start("send", "1", "--yes")
        until(lambda: len(lab.messages) > 10)
        halted(june, sender, broadcast.cancel)
        sent = len(lab.messages)
        put_back(june, copy)
        said = june.run("run").err
        assert "older than the last sending" in said
        assert len(lab.messages) == sent
        told = june.run("status", "1", "--json").json
        assert (told["state"], told["in_doubt"] >= sent) == ("paused", True)
        assert "older" in told["reason"]


def test_resolve_finds_a_restored_database_before_any_sender_does(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        june.run("prepare", "june", "--list", "news")
        copy = copied(june)
        june.run("send", "1", "--yes")
        put_back(june, copy)
        tried = june.run("resolve", "1", "--accept", "--dry-run", "--json")
        assert tried.json["accepted"] == 3
        assert june.run("status", "1", "--json").json["pending"] == 3
        done = june.run("resolve", "1", "--accept", "--yes", "--json")
        assert (done.json["accepted"], done.json["state"]) == (3, "finished")
        assert "older than the last sending" in done.err
        assert len(lab.messages) == 3


def test_a_mailing_that_the_copy_never_knew_is_not_sent_again_by_name(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        copy = copied(june)
        june.run("send", "june", "--list", "news", "--yes")
        put_back(june, copy)
        refused = june.run("send", "june", "--list", "news", "--yes", status=77)
        assert "june was sent as mailing 1" in refused.err
        assert len(lab.messages) == 3
        again = june.run("send", "june", "--list", "news", "--yes", "--again", "--json")
        assert (again.json["mailing"], again.json["accepted"]) == (2, 3)
        assert "mailing 1 of june is not in it at all" in again.err
        # no token is given twice: a bounce of the first is no bounce of the second
        assert len(ids(lab)) == 6
        assert "was sent as mailing 2" in june.run("send", "june", "--list", "news", "--yes", status=77).err


def test_a_new_database_beside_an_old_mark_gives_no_id_again(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        june.run("send", "june", "--list", "news", "--yes")
        for rest in ("", "-wal", "-shm"):
            (june.root / (DATABASE + rest)).unlink(missing_ok=True)
        people(june, 3)
        done = june.run("send", "june", "--list", "news", "--yes", "--json")
        assert (done.json["mailing"], done.json["accepted"]) == (2, 3)
        assert "older" not in done.err
        assert len(ids(lab)) == 6


def test_a_mark_that_is_gone_is_made_anew_and_a_damaged_one_is_said(june: Place) -> None:
    mark = june.root / "subscribers/ledger.mark"
    with running(Rule("rcpt", reply="450 4.2.0 later", address="p0@example.org")) as lab:
        configured(june, lab, more='[retry]\nafter = ["1s"]\n')
        people(june, 3)
        june.run("send", "june", "--list", "news", "--yes", status=75)
        mark.unlink()
        assert "mark" not in june.run("send", "1", "--yes", status=None).err
        assert mark.exists()
        mark.write_bytes(b"x" * 300)
        june.statement("july", en=STATEMENT)
        said = june.run("send", "july", "--list", "news", "--yes", status=None).err
        assert "ledger.mark is damaged" in said
        assert set(ids(lab).values()) == {1}
        mark.unlink()
        mark.symlink_to(june.root / "broadcaster.toml")
        for words in (("prepare", "june", "--list", "news"), ("send", "1", "--yes")):
            assert "symbolic link" in june.run(*words, status=77).err
        june.run("status", "1")


def test_where_the_mark_cannot_be_written_nothing_is_sent(june: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 5)
        june.run("prepare", "june", "--list", "news")
        with House(june.root) as house:
            of = broadcast.begin(house.ledger, house.config, 1, house.now)
            broadcast.take_over(house.ledger, Lock(house.workspace.lock), house.config, house.now, house.mark)

            def full(stamp: Stamp) -> None:
                raise CannotWrite("the disk is full")

            monkeypatch.setattr(house.mark, "write", full)
            from broadcaster.cli.send import worked

            with pytest.raises(CannotWrite):
                worked(house, [1], since=house.now, wait=False, quiet=True)
            assert house.ledger.mailing(of.id).words() == {"pending": 5}
        assert not lab.messages


# in one process


@contextmanager
def opened(place: Place) -> Iterator[House]:
    with House(place.root) as house:
        yield house
        house.__dict__.pop("mark", None)


def taken(place: Place) -> broadcast.Recovery:
    """What a sender finds, who then goes away."""
    with opened(place) as house:
        lock = Lock(house.workspace.lock)
        found = broadcast.take_over(house.ledger, lock, house.config, house.now, house.mark)
        lock.release()
        return found


def claim(place: Place, number: int, lot: int) -> None:
    """Claim the next of a mailing as a round does, and say that all of it was taken."""
    with opened(place) as house, house.db.atomic():
        house.db.conn.execute("update mailing set state = 2 where id = ?", (number,))
        found = house.ledger.pending(house.ledger.mailing(number), 0, lot)
        house.ledger.shift(number, found, Event.CLAIM)
        (stamp,) = house.mark.count({number: found[-1]}, house.now)
        for event in (Event.HAND, Event.ACCEPT):
            house.ledger.shift(number, found, event)
    with opened(place) as house:
        house.mark.write(stamp)


@pytest.fixture
def two(tmp_path: Path) -> Place:
    """Two mailings of twenty people each."""
    place = Place(tmp_path / "workspace")
    (place.root / "subscribers").mkdir(parents=True)
    place.configure(1)
    with opened(place) as house:
        for _ in range(2):
            enrolled(house.ledger, 20)
    return place


def test_only_what_was_claimed_since_is_doubted(two: Place) -> None:
    claim(two, 2, 5)
    copy = copied(two)
    claim(two, 2, 7)
    put_back(two, copy)
    found = taken(two)
    assert (found.restored, found.lost) == ({2: 7}, ())
    with opened(two) as house:
        assert house.ledger.mailing(1).words() == {"pending": 20}
        assert house.ledger.mailing(2).words() == {"pending": 8, "accepted": 5, "in_doubt": 7}
    assert not taken(two).restored


def test_whichever_copy_is_put_back_and_however_often_it_is_found_out(two: Place) -> None:
    """Two branches of one database: each is older than what the other sent."""
    old = copied(two, "old.db")
    claim(two, 1, 5)
    newer = copied(two, "newer.db")
    put_back(two, old)
    assert taken(two).restored == {1: 5}
    claim(two, 1, 2)
    branch = copied(two, "branch.db")
    put_back(two, newer)
    assert taken(two).restored == {1: 2}
    claim(two, 1, 1)
    put_back(two, branch)
    assert taken(two).restored == {1: 1}


@pytest.mark.parametrize("claimed", [{1: 9}, {1: 9, 2: 12}], ids=["of one mailing", "of two at once"])
def test_a_branch_of_somebody_who_was_killed_is_older_than_what_the_other_branch_sent(
    claimed: dict[int, int], two: Place
) -> None:
    old = copied(two, "old.db")
    claim(two, 1, 5)
    with opened(two) as house, house.db.atomic():
        house.mark.count(claimed, house.now)  # and killed: the file never heard of it
    killed = copied(two, "killed.db")
    put_back(two, old)
    taken(two)
    claim(two, 1, 3)
    put_back(two, killed)
    assert taken(two).restored == {1: 3}


def test_killed_between_a_claim_and_its_record_is_no_alarm(two: Place) -> None:
    claim(two, 1, 5)
    with opened(two) as house, house.db.atomic():
        house.mark.count({1: 9}, house.now)
    assert taken(two).restored == {}


def test_doubts_of_a_restored_database_are_never_sent_again_without_a_word(two: Place) -> None:
    two.configure(1, more='[safety]\nin_doubt = "resend"\n')
    copy = copied(two)
    claim(two, 1, 5)
    put_back(two, copy)
    taken(two)
    with opened(two) as house:
        broadcast.resume(house.ledger, house.config, 1, house.now)
    taken(two)
    with opened(two) as house:
        assert house.ledger.mailing(1).words() == {"pending": 15, "in_doubt": 5}


class Branches(RuleBasedStateMachine):
    """Whatever copy is put back whenever, and whoever is killed in between: nobody is sent anything twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place(Path(self.folder.name) / "workspace")
        (self.place.root / "subscribers").mkdir(parents=True)
        self.place.configure(1)
        with opened(self.place) as house:
            for _ in range(2):
                enrolled(house.ledger, 9)
        self.sent: Counter[int] = Counter()
        self.copies = [copied(self.place, "copy0.db")]

    @rule(number=st.integers(1, 2), lot=st.integers(1, 4), killed=st.sampled_from(["", "before the mark", "after it"]))
    def send(self, number: int, lot: int, killed: str) -> None:
        """One lot of a mailing that a person asked for. Killed before the mark nothing has gone, after it anything."""
        with opened(self.place) as house:
            lock = Lock(house.workspace.lock)
            house.db.conn.execute("update mailing set state = 2 where id = ? and state = 0", (number,))
            broadcast.take_over(house.ledger, lock, house.config, house.now, house.mark, (number,))
            lock.release()
            found = house.ledger.pending(house.ledger.mailing(number), 0, lot)
            if not found:
                return
            with house.db.atomic():
                house.ledger.shift(number, found, Event.CLAIM)
                (stamp,) = house.mark.count({number: found[-1]}, house.now)
            if killed == "before the mark":
                return
            house.mark.write(stamp)
            house.ledger.shift(number, found, Event.HAND)
            self.sent.update(found)
            if not killed:
                house.ledger.shift(number, found, Event.ACCEPT)

    @rule()
    def copy(self) -> None:
        self.copies.append(copied(self.place, f"copy{len(self.copies)}.db"))

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        # what is there now may be wanted again
        self.copy()
        put_back(self.place, data.draw(st.sampled_from(self.copies)))

    @invariant()
    def nobody_is_sent_anything_twice(self) -> None:
        assert max(self.sent.values(), default=1) == 1

    def teardown(self) -> None:
        self.folder.cleanup()


TestBranches = Branches.TestCase
TestBranches.settings = settings(max_examples=20, stateful_step_count=14, deadline=None)
