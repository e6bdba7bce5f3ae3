"""Sending as staff see it: the real program against a server that does what relays do."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message

import pytest

from tests.conftest import Place
from tests.lab.clocks import time_comes
from tests.lab.server import Lab, Rule, running

STATEMENT = "---\nsubject: Hello\npreheader: A short one\n---\nHello {{ subscriber.name | default('you') }}\n"


@pytest.fixture
def june(place: Place) -> Place:
    """A workspace with a statement and nobody in it."""
    place.statement("june", en=STATEMENT)
    return place


def people(place: Place, number: int, *, prefix: str = "p", name: str = "news") -> None:
    rows = "".join(f"{prefix}{i}@example.org,Person {i}\n" for i in range(number))
    place.people("email,name\n" + rows, name)


def configured(place: Place, lab: Lab, connections: int = 2, limits: str = "[]", more: str = "") -> None:
    place.configure(lab.port, connections, more)
    file = place.root / "broadcaster.toml"
    file.write_text(file.read_text().replace("limits = []", f"limits = {limits}"))


def ids(lab: Lab) -> list[str]:
    return [message_from_bytes(message.data)["Message-ID"] for message in lab.messages]


def plain(data: bytes) -> str:
    """The text part of a message."""
    part = message_from_bytes(data).get_payload(0)
    assert isinstance(part, Message)
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    return body.decode()


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def ended(process: subprocess.Popen[str], seconds: float = 15.0) -> tuple[int, str]:
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err
    return process.returncode, out + err


def test_what_is_put_off_goes_later_with_the_same_message_id(june: Place) -> None:
    with running(Rule("dot", reply="451 4.3.0 try later", address="p1@example.org", tries=(1,))) as lab:
        configured(june, lab, more='[retry]\nafter = ["3s"]\n')
        people(june, 3)
        done = june.run("send", "june", "--list", "news", "--yes", "--json", status=75)
        assert (done.json["accepted"], done.json["deferred"], done.json["state"]) == (2, 1, "sending")
        assert "nobody yet" in done.err
        assert june.run("run").err == ""
        time.sleep(3)
        assert "finished" in june.run("run").err
        assert Counter(lab.addresses()) == {f"p{i}@example.org": 1 for i in range(3)}
        assert len(ids(lab)) == 4
        assert len(set(ids(lab))) == 3


def test_waiting_stays_until_nothing_waits(june: Place) -> None:
    with running(Rule("rcpt", reply="450 4.2.0 greylisted", tries=(1, 2))) as lab:
        configured(june, lab, more='[retry]\nafter = ["1s"]\n')
        people(june, 3)
        done = june.run("send", "june", "--list", "news", "--yes", "--json", "--wait").json
        assert (done["state"], done["accepted"]) == ("finished", 3)


def test_a_refusal_is_recorded_and_the_rest_goes_on(june: Place) -> None:
    with running(Rule("rcpt", reply="550 5.1.1 no such \x1b[31muser", address="p0@example.org")) as lab:
        configured(june, lab)
        people(june, 3)
        done = june.run("send", "june", "--list", "news", "--yes", "--json").json
        assert (done["state"], done["accepted"], done["rejected"]) == ("finished", 2, 1)
        told = june.run("status", "1", "--deliveries", "--state", "rejected").out
        assert "p0@example.org" in told
        assert "5.1.1" in told
        assert "\x1b" not in told
        assert "\x1b" not in june.run("why", "p0@example.org").out


def test_silence_after_the_dot_is_doubt_until_a_person_decides(june: Place) -> None:
    with running(Rule("dot", then="close", address="p1@example.org", tries=(1,))) as lab:
        configured(june, lab, connections=1)
        people(june, 3)
        done = june.run("send", "june", "--list", "news", "--yes", "--json", status=75)
        assert (done.json["accepted"], done.json["in_doubt"]) == (2, 1)
        assert "may have been delivered, or not" in done.err
        june.run("send", "1", "--yes", status=75)
        june.run("run")
        assert len(lab.messages) == 3
        assert june.run("resolve", "1", "p0@example.org", "--resend", "--yes", status=65)
        june.run("resolve", "1", "--resend", status=2)
        june.run("resolve", "1", "--resend", "--yes")
        assert june.run("send", "1", "--yes", "--json").json["state"] == "finished"
        assert len(ids(lab)) == 4
        assert len(set(ids(lab))) == 3


def test_a_doubt_taken_as_accepted_finishes_the_mailing(june: Place) -> None:
    with running(Rule("dot", then="close", address="p1@example.org")) as lab:
        configured(june, lab)
        people(june, 2)
        june.run("send", "june", "--list", "news", "--yes", status=75)
        done = june.run("resolve", "1", "p1@example.org", "--accept", "--yes", "--json").json
        assert (done["state"], done["accepted"], done["in_doubt"]) == ("finished", 2, 0)


def test_three_silences_in_a_row_pause_the_mailing(june: Place) -> None:
    with running(Rule("dot", then="close")) as lab:
        configured(june, lab, connections=1)
        people(june, 20)
        done = june.run("send", "june", "--list", "news", "--yes", "--json", status=75).json
        assert (done["state"], done["in_doubt"], done["pending"]) == ("paused", 3, 17)


def test_a_relay_that_refuses_us_pauses_and_blames_nobody(june: Place) -> None:
    with running(Rule("mail", reply="550 5.7.1 sender refused")) as lab:
        configured(june, lab)
        people(june, 5)
        done = june.run("send", "june", "--list", "news", "--yes", "--json", status=75)
        assert (done.json["state"], done.json["pending"]) == ("paused", 5)
        assert "sender refused" in done.json["reason"]
        assert "sender refused" in june.run("send", "1", "--yes", status=77).err
        lab.rules.clear()
        june.run("resume", "1")
        assert june.run("send", "1", "--yes", "--json").json["accepted"] == 5


def test_too_many_refusals_pause_where_that_is_wanted(june: Place) -> None:
    with running(Rule("rcpt", reply="550 5.1.1 unknown")) as lab:
        configured(june, lab, connections=1, more='[safety]\nstop_after = { rejected = "20%", of_at_least = 4 }\n')
        people(june, 30)
        done = june.run("send", "june", "--list", "news", "--yes", "--json", status=75).json
        assert done["state"] == "paused"
        assert 4 <= done["rejected"] <= 6


def test_no_relay_no_harm(june: Place) -> None:
    with running() as lab:
        port = lab.port
    june.configure(port)
    people(june, 3)
    done = june.run("send", "june", "--list", "news", "--yes", "--json", status=69)
    assert (done.json["pending"], done.json["state"]) == (3, "sending")
    with running(port=port) as lab:
        june.run("run")
        assert len(lab.addresses()) == 3


def test_a_wrong_password_stops_at_once_and_is_not_repeated(june: Place) -> None:
    with running(users={"news": "right"}) as lab:
        june.configure(lab.port, 5, 'user = "news"\npassword_env = "RELAY_PASSWORD"\n')
        people(june, 300)
        done = june.run("send", "june", "--list", "news", "--yes", status=69, RELAY_PASSWORD="canary-4711")
        assert [session.verbs for session in lab.sessions] == [["EHLO", "AUTH"]]
        assert "535" in done.err
        assert "canary-4711" not in done.err + done.out
        assert june.run("send", "1", "--yes", "--json", RELAY_PASSWORD="right").json["accepted"] == 300


def test_a_pause_is_heard_within_a_second_and_nobody_is_mailed_twice(june: Place) -> None:
    with running() as lab:
        configured(june, lab, limits='["40/s"]')
        people(june, 150)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 10)
        june.run("pause", "1")
        paused = time.monotonic()
        status, said = ended(sender)
        assert time.monotonic() - paused < 2
        assert status == 75, said
        assert "resume" in said
        at = len(lab.messages)
        assert june.run("status", "1", "--json").json["accepted"] == at < 150
        june.run("run")
        june.run("send", "1", "--yes", status=77)
        assert len(lab.messages) == at
        june.run("resume", "1")
        assert june.run("send", "1", "--yes", "--json").json["state"] == "finished"
        assert set(Counter(lab.addresses()).values()) == {1}


def test_a_cancel_ends_it_for_good(june: Place) -> None:
    with running() as lab:
        configured(june, lab, limits='["40/s"]')
        people(june, 150)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 10)
        june.run("cancel", "1", status=2)
        june.run("cancel", "1", "--yes")
        assert ended(sender)[0] == 77
        done = june.run("status", "1", "--json").json
        assert done["state"] == "cancelled"
        assert done["accepted"] + done["cancelled"] == 150
        assert done["accepted"] == len(lab.messages)
        june.run("send", "1", "--yes", status=77)


def test_who_leaves_during_sending_gets_nothing_more(june: Place) -> None:
    with running() as lab:
        configured(june, lab, connections=1, limits='["20/s"]')
        people(june, 60)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 3)
        june.run("subscribers", "unsubscribe", "p59@example.org")
        june.run("suppressions", "add", "p58@example.org", "--reason", "asked by phone")
        assert ended(sender)[0] == 0
        assert not {"p58@example.org", "p59@example.org"} & set(lab.addresses())
        done = june.run("status", "1", "--json").json
        assert (done["accepted"], done["suppressed"], done["state"]) == (58, 2, "finished")


def test_a_second_send_hands_its_mailing_over(june: Place) -> None:
    june.statement("july", en=STATEMENT)
    # the first sender is held up long enough for a second one to start
    with running(Rule("dot", delay=6.0, tries=(1,), address="p50@example.org")) as lab:
        configured(june, lab)
        people(june, 60)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 5)
        second = june.run("send", "july", "--list", "news", "--yes", "--json", status=75)
        assert "handed over" in second.err
        assert second.json["mailing"] == 2
        assert ended(sender)[0] == 0
        assert [one["state"] for one in june.run("mailings", "--json").json] == ["finished", "finished"]
        assert set(Counter(lab.addresses()).values()) == {2}


def test_many_runs_at_once_do_nothing_twice(june: Place) -> None:
    with running() as lab:
        configured(june, lab, limits='["40/s"]')
        people(june, 60)
        june.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
        come(june)
        runs = [june.start("run") for _ in range(6)]
        statuses = Counter(ended(one)[0] for one in runs)
        assert statuses[0] >= 1
        assert set(statuses) <= {0, 75}
        assert Counter(lab.addresses()) == {f"p{i}@example.org": 1 for i in range(60)}


def come(place: Place, *, late: int = 0) -> None:
    """The time of every scheduled mailing has come."""
    time_comes(place.root / "subscribers/broadcaster.db", late=late)


def test_a_time_is_waited_for_and_run_keeps_it(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        done = june.run("send", "june", "--list", "news", "--at", "tomorrow 9:00", "--yes", "--json")
        assert done.json["state"] == "scheduled"
        assert june.run("run").err == ""
        assert june.run("send", "1", "--yes", "--json").json["state"] == "scheduled"
        assert not lab.messages
        come(june)
        assert "finished" in june.run("run").err
        assert len(lab.messages) == 3
        assert june.run("run").err == ""


def test_too_late_is_held_and_not_blasted(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        june.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "1h")
        come(june, late=7200)
        june.run("run")
        held = june.run("status", "1", "--json").json
        assert (held["state"], len(lab.messages)) == ("held", 0)
        assert "too late" in held["reason"]
        june.run("resume", "1")
        june.run("run")
        assert len(lab.messages) == 3


def test_stopping_is_clean_and_the_same_command_goes_on(june: Place) -> None:
    with running() as lab:
        configured(june, lab, limits='["40/s"]')
        people(june, 100)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 5)
        sender.send_signal(signal.SIGINT)
        status, said = ended(sender)
        assert status == 130
        assert "send 1" in said
        done = june.run("status", "1", "--json").json
        assert done["accepted"] == len(lab.messages)
        assert done["pending"] == 100 - done["accepted"]
        assert june.run("send", "june", "--list", "news", "--yes", "--json").json["state"] == "finished"
        assert set(Counter(lab.addresses()).values()) == {1}


def test_an_interrupted_mailing_does_not_go_with_another(june: Place) -> None:
    june.statement("july", en=STATEMENT)
    with running() as lab:
        configured(june, lab, limits='["40/s"]')
        people(june, 60)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 5)
        sender.send_signal(signal.SIGINT)
        ended(sender)
        time.sleep(1.1)
        june.run("send", "july", "--list", "news", "--yes")
        assert june.run("status", "1", "--json").json["pending"] > 0


def test_a_finished_mailing_is_repeated_only_on_request(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 2)
        june.run("send", "june", "--list", "news", "--yes")
        assert "--again" in june.run("send", "june", "--list", "news", "--yes", status=77).err
        june.run("send", "1", "--yes", status=77)
        assert len(lab.messages) == 2
        june.run("send", "june", "--list", "news", "--yes", "--again")
        assert len(lab.messages) == 4


def test_a_rehearsal_never_counts_as_sent(june: Place) -> None:
    people(june, 2)
    done = june.run("send", "june", "--list", "news", "--yes", "--json")
    assert done.json["rehearsal"] is True
    assert "rehearsal" in done.err
    assert len(list((june.root / "outbox/new").iterdir())) == 2
    with running() as lab:
        configured(june, lab)
        real = june.run("send", "june", "--list", "news", "--yes", "--json").json
        assert (real["rehearsal"], real["mailing"], len(lab.messages)) == (False, 2, 2)


def test_what_was_frozen_is_what_is_sent(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 2)
        june.run("prepare", "june", "--list", "news")
        june.statement("june", en=STATEMENT.replace("Hello {{", "Goodbye {{"))
        people(june, 5)
        assert "changed" in june.run("send", "june", "--list", "news", "--yes", status=77).err
        assert not lab.messages
        june.run("send", "1", "--yes")
        assert len(lab.messages) == 2
        assert all("Hello Person" in plain(message.data) for message in lab.messages)


def test_one_copy_for_each_person_over_several_lists(june: Place) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 4)
        people(june, 6, name="members")
        people(june, 1, name="board")
        june.run("send", "june", "--list", "members", "--list", "news", "--exclude", "board", "--yes")
        lists = Counter(message_from_bytes(message.data)["List-Id"] for message in lab.messages)
        assert sum(lists.values()) == 5
        assert all("members" in name for name in lists)
        june.statement("july", en=STATEMENT)
        people(june, 8)
        done = june.run("send", "july", "--list", "news", "--exclude", "mailing:1", "--yes", "--json").json
        assert done["audience"] == 3
        assert done["left_out"] == {"excluded": 5}


def test_a_limit_holds_over_connections_and_runs(june: Place) -> None:
    with running() as lab:
        configured(june, lab, connections=4, limits='["20/s", "1000/h"]')
        people(june, 70)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 20)
        sender.send_signal(signal.SIGINT)
        ended(sender)
        june.run("send", "1", "--yes")
        times = sorted(message.at for message in lab.messages)
        assert len(times) == 70
        assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[20:], strict=False))


def test_a_person_that_cannot_be_rendered_is_skipped_and_named(june: Place) -> None:
    june.statement(
        "june", en="---\nsubject: Hello\npreheader: p\n---\n{{ 10 // (subscriber.share | default('1') | int) }} parts\n"
    )
    with running() as lab:
        configured(june, lab)
        june.people("email,share\na@example.org,2\nb@example.org,5\n")
        june.run("prepare", "june", "--list", "news")
        june.people("email,share\na@example.org,0\n")
        done = june.run("send", "1", "--yes", "--json").json
        assert (done["accepted"], done["skipped"], done["state"]) == (1, 1, "finished")
        assert re.search(r"a@example\.org +skipped .*(zero|division)", june.run("status", "1", "--deliveries").out)


def test_a_dry_run_writes_nothing(june: Place) -> None:
    people(june, 2)
    for words in (("prepare", "june", "--list", "news"), ("send", "june", "--list", "news")):
        done = june.run(*words, "--dry-run", "--json").json
        assert (done["audience"], done["mailing"]) == (2, None)
    assert june.run("mailings", "--json").json == []
    assert not (june.root / "outbox/new").exists()


def test_without_a_yes_and_nobody_to_ask_nothing_happens(june: Place) -> None:
    people(june, 2)
    june.run("send", "june", "--list", "news", status=2)
    assert june.run("mailings", "--json").json == []


def test_what_was_cancelled_half_way_is_not_begun_again_by_chance(june: Place) -> None:
    with running(Rule("rcpt", reply="450 4.2.0 later", address="p0@example.org")) as lab:
        configured(june, lab)
        people(june, 3)
        june.run("send", "june", "--list", "news", "--yes", status=75)
        june.run("cancel", "1", "--yes")
        assert "--again" in june.run("send", "june", "--list", "news", "--yes", status=77).err
        assert len(lab.messages) == 2


def test_a_frozen_time_is_not_changed_by_asking_again(june: Place) -> None:
    people(june, 2)
    done = june.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--dry-run", "--json").json
    assert (done["state"], done["rehearsal"]) == ("scheduled", True)
    june.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    june.run("send", "june", "--list", "news", "--at", "tomorrow 10:00", "--yes", status=77)
    june.run("send", "june", "--exclude", "news", "--yes", status=77)
    assert "09:00" in june.run("status", "1").out


def test_a_dry_run_ends_as_the_real_one_would(june: Place) -> None:
    people(june, 2)
    june.run("send", "june", "--list", "news", "--yes")
    for verb in ("pause", "resume", "cancel"):
        june.run(verb, "1", "--dry-run", status=77)
        june.run(verb, "1", *(["--yes"] if verb == "cancel" else []), status=77)
    june.statement("july", en=STATEMENT)
    june.run("prepare", "july", "--list", "news")
    assert june.run("cancel", "2", "--dry-run", "--json").json["state"] == "cancelled"
    assert june.run("status", "2", "--json").json["state"] == "ready"
