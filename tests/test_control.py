"""pause, resume, cancel, leaving and handing over, while the sender waits for a slow relay or a long pace.

By real processes: what is asked from another terminal is heard within a second, whatever the sender waits for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest

from broadcaster import broadcast
from broadcaster.address import Address
from broadcaster.cli.house import House
from tests.conftest import Place
from tests.lab.server import Lab, Rule, running
from tests.test_sending import STATEMENT, configured, ended, people, until

SLOW = 3.0  # seconds that the relay thinks before it answers a dot


@pytest.fixture
def june(place: Place) -> Place:
    place.statement("june", en=STATEMENT)
    return place


def ask(place: Place, verb: Callable[[House], object]) -> float:
    """Do what a command does, without the time that a process takes to start. When it was done."""
    with House(place.root) as house:
        verb(house)
    return time.monotonic()


def pause(house: House) -> None:
    broadcast.pause(house.ledger, 1, "tester", house.now)


def cancel(house: House) -> None:
    broadcast.cancel(house.ledger, 1, "tester", house.now)


def started(
    place: Place, lab: Lab, *, messages: int, words: tuple[str, ...] = ("send", "1", "--yes")
) -> subprocess.Popen[str]:
    """A sender that has had so many messages taken, and now waits."""
    sender = place.start(*words)
    until(lambda: len(lab.messages) >= messages)
    return sender


def begun(lab: Lab) -> int:
    """How many messages were begun."""
    return sum(session.verbs.count("MAIL") for session in lab.sessions)


@pytest.mark.parametrize(("verb", "status"), [(pause, 75), (cancel, 77)])
def test_a_sender_that_waits_for_its_pace_hears_it_at_once(
    june: Place, verb: Callable[[House], None], status: int
) -> None:
    with running() as lab:
        # the next one would go in ten seconds
        configured(june, lab, connections=2, limits='["6/m"]')
        people(june, 20)
        june.run("prepare", "june", "--list", "news")
        sender = started(june, lab, messages=1)
        at = ask(june, verb)
        assert ended(sender)[0] == status
        assert time.monotonic() - at < 1.5
        assert len(lab.messages) == begun(lab)


@pytest.mark.parametrize(("verb", "status"), [(pause, 75), (cancel, 77)])
def test_while_a_relay_thinks_nothing_more_is_begun(june: Place, verb: Callable[[House], None], status: int) -> None:
    with running(Rule("dot", delay=SLOW)) as lab:
        configured(june, lab, connections=2)
        people(june, 20)
        june.run("prepare", "june", "--list", "news")
        sender = started(june, lab, messages=2)
        at = ask(june, verb)
        before = begun(lab)
        assert ended(sender)[0] == status
        # what was on the wire ends as it ends, and is known
        assert time.monotonic() - at < SLOW + 1.5
        assert begun(lab) <= before
        done = june.run("status", "1", "--json").json
        assert done["accepted"] == len(lab.messages)
        assert done["in_doubt"] == done["claimed"] == done["handed"] == 0


def test_who_leaves_while_a_relay_thinks_gets_nothing(june: Place) -> None:
    with running(Rule("dot", delay=1.0, tries=(1,))) as lab:
        configured(june, lab, connections=1)
        people(june, 4)
        june.run("prepare", "june", "--list", "news")
        sender = started(june, lab, messages=1)
        leaving = Address.parse("p2@example.org")
        ask(june, lambda house: house.roster.suppress(leaving, "left"))
        assert ended(sender)[0] == 0
        assert Counter(lab.addresses()) == {f"p{i}@example.org": 1 for i in (0, 1, 3)}


def test_a_second_send_hands_over_to_a_sender_that_waits_and_resume_is_heard(june: Place) -> None:
    june.statement("july", en=STATEMENT)
    with running() as lab:
        configured(june, lab, connections=2, limits='["240/m"]')
        people(june, 20)
        june.run("prepare", "june", "--list", "news")
        june.run("prepare", "july", "--list", "news")
        sender = started(june, lab, messages=2)
        at = time.monotonic()
        second = june.run("send", "2", "--yes", status=75)
        assert "handed over" in second.err
        ask(june, pause)
        then = len(lab.messages)
        # one more may have been on its way
        until(lambda: len(lab.messages) > then + 2)
        ask(june, lambda house: broadcast.resume(house.ledger, house.config, 1, house.now))
        assert ended(sender, 30)[0] == 0
        assert [one["state"] for one in june.run("mailings", "--json").json] == ["finished", "finished"]
        assert set(Counter(lab.addresses()).values()) == {2}
        assert time.monotonic() - at < 20


@pytest.mark.parametrize("second", [True, False])
def test_what_is_resumed_while_the_last_message_before_the_pause_ends_is_gone_on_with(
    june: Place, second: bool
) -> None:
    with running(Rule("dot", delay=4.0, address="p0@example.org")) as lab:
        configured(june, lab, connections=1)
        people(june, 6)
        june.run("prepare", "june", "--list", "news")
        sender = started(june, lab, messages=1)
        ask(june, pause)
        time.sleep(0.6)  # the sender has heard it
        ask(june, lambda house: broadcast.resume(house.ledger, house.config, 1, house.now))
        if second:
            assert "handed over" in june.run("send", "1", "--yes", status=75).err
        assert ended(sender, 30)[0] == 0
        assert Counter(lab.addresses()) == {f"p{i}@example.org": 1 for i in range(6)}


def test_a_terminal_that_has_gone_ends_no_sending(june: Place) -> None:
    with running(Rule("dot", delay=0.03)) as lab:
        configured(june, lab, connections=1)
        people(june, 60)
        june.run("prepare", "june", "--list", "news")
        ours, theirs = os.openpty()
        # as a job of a shell that has ended: no signal tells it
        sender = subprocess.Popen(
            june.command("send", "1", "--yes"), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        with sender:
            os.close(theirs)
            until(lambda: len(lab.messages) > 5)
            os.close(ours)
            assert sender.wait(30) == 0
        assert june.run("status", "1", "--json").json["accepted"] == len(lab.messages) == 60


def test_who_stops_does_not_wait_for_a_command_that_tells_the_password(june: Place) -> None:
    with running(users={"news": "right"}) as lab:
        configured(june, lab, connections=2, more='user = "news"\ntoken_command = "touch asked; exec sleep 20"\n')
        people(june, 3)
        june.run("prepare", "june", "--list", "news")
        sender = june.start("send", "1", "--yes")
        until((june.root / "asked").exists)
        at = time.monotonic()
        sender.send_signal(signal.SIGINT)
        # not `communicate`: the command may still hold the pipes
        assert sender.wait(15) == 130
        assert time.monotonic() - at < 5
        assert june.run("status", "1", "--json").json["pending"] == 3


def test_a_password_that_a_command_does_not_tell_leaves_the_mail_to_the_other_relay(june: Place) -> None:
    with running(users={"news": "right"}) as shut, running() as well:
        spare = f'[relays.spare]\nurl = "smtp://127.0.0.1:{well.port}"\ntls = "none"\nlimits = []\n'
        secret = 'user = "news"\npassword_command = "test -e there && echo right"\n'
        configured(june, shut, connections=2, more=secret + spare)
        people(june, 6)
        assert june.run("send", "june", "--list", "news", "--yes", "--json").json["accepted"] == 6
        assert len(well.messages) == 6
        configured(june, shut, connections=2, more=secret)
        said = june.run("send", "june", "--list", "news", "--again", "--yes", status=69).err
        assert "the command that should tell the password failed" in said
        (june.root / "there").touch()
        assert june.run("send", "2", "--yes", "--json").json["accepted"] == 6


def test_what_is_handed_over_or_resumed_after_the_clock_was_set_back_is_heard(june: Place) -> None:
    june.statement("july", en=STATEMENT)
    with running() as lab:
        configured(june, lab, connections=2, limits='["300/m"]')
        people(june, 15)
        june.run("prepare", "june", "--list", "news")
        june.run("prepare", "july", "--list", "news")
        sender = started(june, lab, messages=2)
        ask(june, lambda house: broadcast.begin(house.ledger, house.config, 2, house.now - 3600))
        assert ended(sender, 30)[0] == 0
        assert set(Counter(lab.addresses()).values()) == {2}
        assert [one["state"] for one in june.run("mailings", "--json").json] == ["finished", "finished"]
