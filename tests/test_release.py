"""Release by two: nothing goes without a second person's word, and that word is of exactly what goes, to the byte."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import approvals, broadcast, enrolment, login, release
from broadcaster.approval import UNKNOWN, Approval, Person, short, standing
from broadcaster.cli.house import House
from broadcaster.errors import ConfigError, NotApproved
from broadcaster.lock import Lock
from tests.conftest import Place
from tests.lab.clocks import time_comes
from tests.lab.server import Lab, Rule, running
from tests.lab.world import STATEMENT, World, world

TWO = "[safety]\napprovals = 1\n"
REAL = Path("/proc/self/loginuid")
ANNA, OMAR, SAMIRA = 60001, 60002, 60003

LAYOUT = """<!doctype html><html lang="{{ language }}" dir="{{ direction }}"><head><title>x</title></head><body>
{{ statement.body }} <p>{{ sender.name }}, {{ sender.postal_address }} <a href="{{ links.leave }}">Leave</a></p>
</body></html>
"""

Users = Callable[[int | None], None]


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Users:
    """Who is logged in from now on; None: nobody knows."""
    file = tmp_path / "loginuid"
    monkeypatch.setattr(login, "LOGIN", file)
    monkeypatch.delenv("SUDO_UID", raising=False)

    def log_in(uid: int | None) -> None:
        file.write_text(str(2**32 - 1 if uid is None else uid), encoding="ascii")

    log_in(ANNA)
    return log_in


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running() as lab:
        yield lab


def kept(of: World) -> World:
    """All of it is in the files that are copied."""
    with closing(sqlite3.connect(of.database)) as conn:
        conn.execute("pragma wal_checkpoint(truncate)")
    return of


def copied(of: World, into: Path) -> World:
    return World(shutil.copytree(of.root, into / "workspace"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Four people on news, of whom two read Arabic; june has a file for all and one for each. Mailing 1 is no more."""
    made = world(tmp_path_factory.mktemp("model") / "workspace")
    # styles are most of what it costs to lay out
    (made.root / "templates" / "statement.html").write_text(LAYOUT, encoding="utf-8")
    folder = made.root / "statements" / "june"
    head = "attachments: [plan.txt, 'for-{{ subscriber.name }}.txt']\n---\n"
    for tag, word in (("en", "Hello"), ("ar", "مرحبا")):
        (folder / f"{tag}.md").write_text(f"---\nsubject: {word}\npreheader: {word} you\n{head}{word} all\n")
    (folder / "plan.txt").write_text("At noon, by the river")
    for number in range(1, 5):
        (folder / f"for-Person {number}.txt").write_text(f"Yours, {number}")
        if number > 2:
            made.run("subscribers", "edit", f"p{number}@example.org", "--language", "ar")
    made.run("cancel", "1", "--yes")
    made.configure(9, more=TWO)
    return kept(made)


@pytest.fixture(scope="module")
def ready(model: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same with mailing 2, prepared by Anna and approved by Omar."""
    made = copied(model, tmp_path_factory.mktemp("ready"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(login, "_logged_in", lambda: ANNA)
        made.run("prepare", "june", "--list", "news")
        patch.setattr(login, "_logged_in", lambda: OMAR)
        made.run("approve", "2")
    return kept(made)


@pytest.fixture
def here(model: World, tmp_path: Path, user: Users, lab: Lab) -> World:
    """The model, for Anna to begin with."""
    made = copied(model, tmp_path)
    made.configure(lab.port, more=TWO)
    return made


def change(of: World, *statements: str) -> None:
    """Somebody writes into the database with another program."""
    with closing(sqlite3.connect(of.database)) as conn:
        for statement in statements:
            conn.execute(statement)
        conn.commit()


def come_as_prepared(of: World, *, late: int = 0) -> None:
    """The time of mailing 2 has come, as if it had been prepared for that: what is stored agrees with itself."""
    time_comes(of.database, late=late)
    with House(of.root) as house:
        mailing = house.ledger.mailing(2)
        digest = enrolment.roll(house.db, mailing).seal(mailing.content, mailing.rule, mailing.window)
        house.db.conn.execute("update mailing set digest = ? where id = 2", (digest,))


# two people


PERSONS = st.builds(Person, st.just("x"), st.integers(0, 3), st.integers(0, 3), st.booleans()) | st.integers(0, 3).map(
    lambda uid: Person("x", uid, uid, False)
)


@given(PERSONS, PERSONS)
def test_nobody_is_two_people_and_both_see_it_alike(one: Person, other: Person) -> None:
    assert not one.other_than(one)
    assert one.other_than(other) == other.other_than(one)
    assert not one.other_than(Person())
    if one.uid == other.uid:
        assert not one.other_than(other)
    if one.account == other.account and not (one.known and other.known):
        assert not one.other_than(other)


def test_an_approval_counts_for_its_digest_alone_and_not_from_who_prepared_it() -> None:
    anna, omar = Person("anna", ANNA, 5, True), Person("omar", OMAR, 5, True)
    assert standing([Approval(omar, "a", 1)], "a", anna)
    assert not standing([Approval(omar, "a", 1)], "b", anna)
    assert not standing([Approval(anna, "a", 1)], "a", anna)
    assert not standing([Approval(omar, "a", 1)], "a", Person())
    assert short("0123456789abcdef0123") == "0123 4567 89ab cdef"


def test_who_logged_in_counts_before_what_sudo_says_and_that_before_the_account(
    user: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", str(OMAR))
    assert login.person(7) == Person(str(ANNA), ANNA, 7, True)
    user(None)
    assert login.person(7) == Person(str(OMAR), OMAR, 7, True)
    for nonsense in ("", "x", "-1", "4294967295", "٧"):
        monkeypatch.setenv("SUDO_UID", nonsense)
        assert (login.person(7).uid, login.person(7).known) == (7, False)
    assert login.person(0).name == "root"


# the command


def test_nothing_goes_before_a_second_person_has_approved_it(here: World, lab: Lab, user: Users) -> None:
    said = here.run("send", "june", "--list", "news", "--yes", "--json", status=77)
    assert (said.json["mailing"], said.json["state"], said.json["pending"]) == (2, "ready", 4)
    assert f"anybody but {ANNA}, who prepared it, may approve it: `broadcaster approve 2`" in said.err
    for words in (("send", "2", "--yes"), ("send", "june", "--list", "news", "--yes")):
        assert "mailing 2 is not approved" in here.run(*words, status=77).err
    assert here.run("run").err == ""
    assert not lab.messages
    user(OMAR)
    said = here.run("approve", "2")
    digest = here.run("status", "2", "--json").json["digest"]
    for told in ("mailing 2: june", f"by {ANNA}", "4 people on news", "Hello (en, with plan.txt)", short(digest)):
        assert told in said.err
    assert "Arabic 2" in said.err
    assert "English 2" in said.err
    assert here.run("send", "2", "--yes", "--json").json["accepted"] == 4
    assert len(lab.messages) == 4
    line = here.run("log", "--mailing", "2", "--json").json
    (approved,) = [each for each in line if each["what"] == "mailing approve"]
    assert (approved["who"], approved["details"]) == (str(OMAR), {"digest": digest, "uid": OMAR})


def test_who_prepared_it_cannot_approve_it_by_whatever_account(
    here: World, user: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.run("prepare", "june", "--list", "news")
    assert "cannot approve it too" in here.run("approve", "2", status=77).err
    monkeypatch.setattr(os, "getuid", lambda: OMAR)
    assert "cannot approve it too" in here.run("approve", "2", status=77).err
    # the login is forgotten, and the account is the one that it was prepared with
    monkeypatch.undo()
    monkeypatch.setattr(login, "LOGIN", here.root / "nothing")
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert "are two people cannot be told" in here.run("approve", "2", status=77).err
    assert here.run("status", "2", "--json").json["awaits_approval"] is True


def test_approving_shows_tries_and_wants_the_digest_that_was_looked_at(here: World, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    digest = here.run("status", "2", "--json").json["digest"]
    user(OMAR)
    shown = here.run("approve", "2", "--dry-run", "--json")
    assert shown.json["languages"] == {"en": 2, "ar": 2}
    assert shown.json["approvals"][0]["by"] == str(OMAR)
    assert here.run("status", "2", "--json").json["approvals"] == []
    wrong = f"{(int(digest[:8], 16) + 1) % 2**32:08x}"
    assert "another digest" in here.run("approve", "2", "--digest", wrong, status=77).err
    for nonsense in ("", "abc", "ghijklmnop"):
        here.run("approve", "2", "--digest", nonsense, status=2)
    assert here.run("approve", "2", "--digest", short(digest).upper(), "--json").json["awaits_approval"] is False
    assert "was already approved" in here.run("approve", "2").err
    assert len(here.run("status", "2", "--json").json["approvals"]) == 1
    user(SAMIRA)
    here.run("approve", "2")
    assert f"approved by {OMAR}, " in here.run("status", "2").out
    assert [each["uid"] for each in here.run("mailings", "--json").json[0]["approvals"]] == [OMAR, SAMIRA]


def test_only_what_has_not_begun_is_approved(here: World, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    user(OMAR)
    here.run("approve", "9", status=65)
    here.run("approve", "1", status=77)  # cancelled
    here.run("approve", "2")
    here.run("send", "2", "--yes")
    assert "finished already" in here.run("approve", "2", status=77).err


def test_what_waits_is_told_with_whom_it_does_not_wait_for(here: World) -> None:
    here.run("prepare", "june", "--list", "news")
    waits = f"waits for approval, by anybody but {ANNA}: "
    assert waits in here.run("status", "2").out
    assert f"next: it {waits}`broadcaster approve 2`" in here.run("status", "2").out
    assert f"mailing 2: it {waits}" in here.run("mailings").err
    assert waits in here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00").err
    here.configure(9)
    assert waits not in here.run("mailings").err


# one byte


NOON = "instr(body, x'6e6f6f6e')"
CHANGES = {
    "text": ["update part set template = replace(template, 'Hello all', 'Hello alL')"],
    "subject": ['update part set template = replace(template, \'"subject":"Hello"\', \'"subject":"Hellp"\')'],
    "sender": ["update part set template = replace(template, 'news@water', 'newt@water')"],
    "language": ["update part set language = 'fr' where language = 'en'"],
    "languages swapped": ["update part set number = 7 - number", "update part set number = number - 6"],
    "attachment": [f"update content set body = cast(replace(body, 'noon', 'noom') as blob) where {NOON}"],
    "no attachment": [f"delete from content where {NOON}"],
    "enclosure": ["update content set body = cast('Yours, 4' as blob) where body = cast('Yours, 3' as blob)"],
    "whose enclosure": ["update enclosure set subscriber = 9 where subscriber = 3"],
    "name of an enclosure": ["update enclosure set name = name || ' ' where subscriber = 2"],
    "no enclosure": ["delete from enclosure where subscriber = 4"],
    "an id": ["update delivery set subscriber = 7 where mailing = 2 and subscriber = 4"],
    "a list": ["update delivery set list = 2 where mailing = 2 and subscriber = 1"],
    "a language": ["update delivery set part = 1 - part where mailing = 2 and subscriber = 1"],
    "a mailing": ["update delivery set mailing = 9 where mailing = 2 and subscriber = 1"],
    "one fewer": ["delete from delivery where mailing = 2 and subscriber = 1"],
    "the last": ["update mailing set last = last - 1 where id = 2"],
    "rule": ["update mailing set rule = json_set(rule, '$.where', 'name is set') where id = 2"],
    "lists": ["update mailing set rule = json_set(rule, '$.lists', json('[1,2]')) where id = 2"],
    "a time": ["update mailing set due = 5 where id = 2"],
    "words of a time": ["update mailing set due_words = 'later' where id = 2"],
    "an end": ["update mailing set expires = 99999999999 where id = 2"],
    "digest": ["update mailing set digest = substr(digest, 2) || 'g' where id = 2"],
    "content": ["update mailing set content = 'x' where id = 2"],
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_changed_byte_voids_an_approval(ready: World, tmp_path: Path, what: str) -> None:
    here = copied(ready, tmp_path)
    with House(here.root) as house:
        assert not release.lacking(house.ledger, house.config, house.ledger.mailing(2))
        for statement in CHANGES[what]:
            assert house.db.conn.execute(statement).rowcount > 0
        with pytest.raises(NotApproved) as refused:
            broadcast.begin(house.ledger, house.config, 2, house.now)
        assert ("it was changed since" in refused.value.message) is (what != "digest")
        # nor can what is there now be approved
        with pytest.raises(ConfigError, match="not what was prepared"):
            release.approve(house.ledger, house.config, 2, Person("samira", SAMIRA, 0, True), "", house.now)
        assert house.ledger.mailing(2).state.word == "ready"


def test_one_changed_byte_holds_what_cron_would_send(here: World, lab: Lab, user: Users) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "12h")
    user(OMAR)
    here.run("approve", "2")
    # another time than was approved
    time_comes(here.database)
    said = here.run("run", status=77)
    assert said.err.startswith(f"mailing 2 of june is held (not what {OMAR} approved: it was changed since): ")
    assert len(said.err.splitlines()) == 1
    assert here.run("run").err == ""
    here.run("resume", "2", status=77)
    assert not lab.messages


def test_what_is_changed_between_the_start_and_the_first_claim_does_not_go(here: World, lab: Lab, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    user(OMAR)
    here.run("approve", "2")
    with House(here.root) as house:
        broadcast.begin(house.ledger, house.config, 2, house.now)
    change(here, *CHANGES["enclosure"])
    here.run("run")
    assert not lab.messages
    assert here.run("status", "2", "--json").json["state"] == "paused"
    here.run("resume", "2", status=77)
    here.run("send", "2", "--yes", status=77)


def test_the_database_takes_no_approval_back_and_changes_none(here: World, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    user(OMAR)
    here.run("approve", "2")
    for statement in (
        "update approval set digest = 'x'",
        "delete from approval",
        "insert or replace into approval select id, 1, digest, at, who, uid, account, known from approval",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            change(here, statement)


def test_who_is_erased_leaves_approvals_as_they_are(here: World, lab: Lab, user: Users) -> None:
    (here.root / "statements" / "june" / "en.md").write_text(STATEMENT)
    (here.root / "statements" / "june" / "ar.md").unlink()
    here.run("prepare", "june", "--list", "news")
    user(OMAR)
    with House(here.root) as house:
        # in some houses users are called like their addresses
        omar = Person("p3@example.org", OMAR, OMAR, True)
        release.approve(house.ledger, house.config, 2, omar, "", house.now)
    here.run("subscribers", "erase", "p3@example.org", "--yes")
    assert here.run("status", "2", "--json").json["approvals"][0]["by"] == "p3@example.org"
    # who is gone was no byte of what was approved
    assert here.run("send", "2", "--yes", "--json").json["accepted"] == 3


@pytest.mark.parametrize("template", ["{}", "[", '{"merge":1}'])
def test_a_part_that_is_none_any_more_is_damage_and_no_defect(
    here: World, lab: Lab, user: Users, template: str
) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    change(here, f"update part set template = '{template}' where mailing = 2")
    user(OMAR)
    here.run("approve", "2", status=78)
    here.run("send", "2", "--yes")
    here.run("status", "2")
    here.configure(lab.port)
    time_comes(here.database)
    here.run("run", status=78)
    assert not lab.messages


def test_what_an_approver_has_looked_at_is_told_when_the_files_say_something_else(here: World, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    user(OMAR)
    assert "broadcaster render june" in here.run("approve", "2", "--dry-run").err
    (here.root / "statements" / "june" / "en.md").write_text(STATEMENT)
    assert "says something else now" in here.run("approve", "2", "--dry-run").err


# on schedule


def test_what_is_due_and_not_approved_is_held_told_once_and_goes_when_it_is(here: World, lab: Lab, user: Users) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    come_as_prepared(here)
    said = here.run("run", status=77)
    assert said.err == (
        f"mailing 2 of june is held (not approved): anybody but {ANNA}, who prepared it, may approve it:"
        " `broadcaster approve 2`\n"
    )
    assert here.run("run").err == ""
    held = here.run("status", "2", "--json").json
    assert (held["state"], held["reason"]) == ("held", "not approved")
    here.run("resume", "2", status=77)
    user(OMAR)
    assert here.run("approve", "2", "--json").json["state"] == "scheduled"
    here.run("run")
    assert len(lab.messages) == 4
    assert here.run("status", "2", "--json").json["state"] == "finished"


def test_what_is_approved_before_its_time_goes_at_its_time(here: World, lab: Lab, user: Users) -> None:
    here.run("send", "june", "--list", "news", "--at", "tomorrow 9:00", "--yes")
    user(OMAR)
    here.run("approve", "2")
    assert here.run("run").err == ""
    assert not lab.messages
    assert here.run("status", "2", "--json").json["state"] == "scheduled"


def test_what_is_too_late_is_not_let_go_by_approving_it(here: World, lab: Lab, user: Users) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "1h")
    come_as_prepared(here, late=7200)
    here.run("run")
    user(OMAR)
    here.run("approve", "2")
    assert here.run("status", "2", "--json").json["state"] == "held"
    here.run("resume", "2")
    here.run("run")
    assert len(lab.messages) == 4


# who needs none


def test_a_rehearsal_needs_no_approval_and_what_becomes_real_does(here: World, lab: Lab) -> None:
    here.run("prepare", "june", "--list", "news")
    file = here.root / "broadcaster.toml"
    real = file.read_text(encoding="utf-8")
    file.write_text(real.replace(f'"smtp://127.0.0.1:{lab.port}"\ntls = "none"', '"maildir:outbox"'), encoding="utf-8")
    assert "waits for approval" not in here.run("mailings").err
    with House(here.root) as house:
        broadcast.begin(house.ledger, house.config, 2, house.now)
    file.write_text(real, encoding="utf-8")
    # begun as a rehearsal of which nothing went
    here.run("send", "2", "--yes", status=77)
    file.write_text(real.replace(f'"smtp://127.0.0.1:{lab.port}"\ntls = "none"', '"maildir:outbox"'), encoding="utf-8")
    assert here.run("send", "2", "--yes", "--json").json["accepted"] == 4
    assert not lab.messages


def test_what_was_paused_after_it_began_needs_no_other_approval(tmp_path: Path, user: Users) -> None:
    here = world(tmp_path / "workspace")
    with running(Rule("rcpt", raw="451 later\r\n", address="p2@example.org", tries=(1,))) as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes", status=75)
        here.run("pause", "1")
        # asked for only now: what has begun goes on
        here.configure(lab.port, more=TWO)
        here.run("resume", "1")
        change(here, "update due set at = 1")
        here.run("run")
        assert len(lab.messages) == 4


def test_a_mailing_that_is_older_than_approvals_is_prepared_again(here: World, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    change(here, "delete from preparer")
    user(OMAR)
    assert "older than approvals" in here.run("approve", "2", status=77).err


def test_who_takes_over_lets_go_what_was_approved_and_nothing_else(here: World, user: Users) -> None:
    here.run("prepare", "june", "--list", "news")
    with House(here.root) as house:
        of = house.ledger.mailing(2)
        with pytest.raises(NotApproved):
            broadcast.begin(house.ledger, house.config, 2, house.now)
        # as if a database that is older had been put back: it is paused first, and asked when it is resumed
        change(here, "update mailing set state = 2 where id = 2")
        broadcast.take_over(house.ledger, Lock(house.workspace.lock), house.config, house.now, house.mark)
        assert house.ledger.mailing(2).state.word == "paused"
        assert approvals.given(house.db, 2) == []
        assert approvals.preparer(house.db, 2).uid == ANNA != UNKNOWN
        assert release.intact(house.ledger, of)


# real users of the system


def as_login(place: Place, uid: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of which the kernel says that this user has logged in."""
    words = ("-c", 'echo "$0" > /proc/self/loginuid && exec "$@"', str(uid), *place.command(*words))
    return subprocess.run(["/bin/sh", *words], capture_output=True, encoding="utf-8", timeout=60, check=False)


def may_say_who_logged_in() -> bool:
    if not REAL.exists() or os.getuid():
        return False
    tried = subprocess.run(["/bin/sh", "-c", "echo 1 > /proc/self/loginuid"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.skipif(not may_say_who_logged_in(), reason="only root may, on a Linux that keeps it")
def test_two_people_behind_one_account_are_known_by_their_logins(tmp_path: Path) -> None:
    here = world(tmp_path / "workspace")
    here.configure(9, more=TWO)
    place = Place(here.root)
    assert as_login(place, ANNA, "prepare", "june", "--list", "news").returncode == 0
    # whatever she says of herself, and whoever's account she goes through
    own = as_login(place, ANNA, "approve", "2")
    assert (own.returncode, "cannot approve it too" in own.stderr) == (77, True)
    os.environ["SUDO_UID"] = str(OMAR)
    try:
        assert as_login(place, ANNA, "approve", "2").returncode == 77
    finally:
        del os.environ["SUDO_UID"]
    other = as_login(place, OMAR, "approve", "2")
    assert (other.returncode, f"approved by {OMAR}" in other.stderr) == (0, True), other.stderr


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root becomes somebody else")
def test_two_accounts_are_two_people_where_nobody_knows_who_logged_in(tmp_path: Path) -> None:
    if REAL.exists() and REAL.read_text() != str(2**32 - 1):
        pytest.skip("somebody has logged in")
    here = world(tmp_path / "workspace")
    here.configure(9, more=TWO)
    for path in (here.root, *here.root.rglob("*")):
        os.chown(path, 1234, 1234)
    # pytest's own folders are root's alone; those above them, which may be somebody's home, stay as they are
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        above.chmod(0o755)
    if any(above.stat().st_mode & 0o005 != 0o005 for above in tmp_path.parents):
        pytest.skip("other users cannot walk into the folder for temporary files")
    place = Place(here.root)
    become = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"]
    env = {name: value for name, value in os.environ.items() if name != "SUDO_UID"}

    def run(*command: str) -> int:
        # where they may be
        return subprocess.run(command, capture_output=True, env=env, timeout=60, check=False, cwd="/").returncode

    if run(*become, sys.executable, "-c", "import broadcaster"):
        pytest.skip("other users cannot read this program")
    assert run(*become, *place.command("prepare", "june", "--list", "news")) == 0
    assert run(*become, *place.command("approve", "2")) == 77
    # root may open the file, and is somebody else
    assert run(*place.command("approve", "2")) == 0
