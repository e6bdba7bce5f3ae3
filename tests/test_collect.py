"""What comes back changes only whom it is proved to be about, once, and as little as is needed; all is written down."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.cli.house import House
from broadcaster.collecting import collect
from broadcaster.delivery import State
from broadcaster.effect import DAY, OURS, Past, Patience, main
from broadcaster.inbox.files import Files, Maildir
from broadcaster.links import Purpose, Signer
from broadcaster.reader import Poison, Reader
from broadcaster.returns import REASONS, Action, Kind, Notice, Traces, read
from broadcaster.weighing import whose
from tests.conftest import Place as Workspace
from tests.lab.circle import Sent, again, complaint, dsn, sent, settings, taken, vacation, wish
from tests.lab.server import Rule, running
from tests.lab.world import world
from tests.test_inbox import maildir, mbox
from tests.test_sending import until

P1, P2, P3, P4 = (f"p{n}@example.org" for n in range(1, 5))


@pytest.fixture
def june(tmp_path: Path) -> Sent:
    return sent(tmp_path / "workspace")


def house(of: Sent) -> House:
    return House(of.world.root)


def told(of: Sent, *files: str, status: int = 0) -> Any:
    return of.world.run("collect", *files, "--json", status=status).json


def effects(of: Sent, *files: str) -> list[tuple[str | None, str, str]]:
    """Recipient, kind and effect of each row."""
    return [(row["recipient"], row["kind"], row["effect"]) for row in told(of, *files)["bounces"]]


def suppressed(of: Sent) -> dict[str, str]:
    return {row["address"]: row["reason"] for row in of.world.run("suppressions", "--json").json}


def changed(of: Sent) -> tuple[Any, ...]:
    """All of the people and of the mailing that a report could change."""
    with closing(sqlite3.connect(of.world.database)) as conn:
        return tuple(
            conn.execute(f"select * from {table} order by 1, 2").fetchall()
            for table in ("suppression", "subscription", "consent", "delivery", "tally")
        )


def aged(of: Sent, seconds: int, mailing: int = 1) -> None:
    """Let a mailing have been sent so long ago."""
    with closing(sqlite3.connect(of.world.database)) as conn:
        conn.execute(
            "update attempt set at = at - ? where delivery in (select id from delivery where mailing = ?)",
            (seconds, mailing),
        )
        conn.execute("update mailing set claimed_at = claimed_at - ? where id = ?", (seconds, mailing))
        conn.execute("update subscriber set changed = changed - ?", (seconds,))
        conn.execute("update bounce set sent = sent - ? where mailing = ?", (seconds, mailing))
        conn.commit()


# what each kind does


def test_a_dead_address_is_suppressed_and_why_tells_the_story(june: Sent) -> None:
    file = june.put("1.eml", dsn(june.copies[P1].sender, P1))
    row = told(june, file)["bounces"][0]
    assert row == {
        "source": file,
        "recipient": P1,
        "mailing": 1,
        "kind": "hard",
        "action": "failed",
        "status": "5.1.1",
        "reason": "unknown_user",
        "effect": "suppressed",
        "words": "550 5.1.1 User unknown",
    }
    assert suppressed(june) == {P1: "bounced"}
    books = june.world.audit([P1, P2, P3, P4])
    assert books.people("bounced") == {P1}
    why = june.world.run("why", P1)
    assert "gets nothing: their mail came back" in why.out
    assert "mailing 1: 5.1.1 unknown user" in why.out
    assert "550 5.1.1 User unknown" in why.out
    (line,) = june.world.run("why", P1, "--json").json["returned"]
    assert (line["mailing"], line["effect"], line["source"]) == (1, "suppressed", file)
    assert june.world.run("status", "1", "--json").json["returned"] == {"hard": 1}
    assert "came back: hard 1" in june.world.run("status", "1").out
    assert again(june).keys() == {P2, P3, P4}


def test_it_can_be_undone_and_is_counted_from_anew(june: Sent) -> None:
    told(june, june.put("1.eml", dsn(june.copies[P1].sender, P1)))
    june.world.run("suppressions", "remove", P1)
    copies = again(june)
    assert P1 in copies
    assert effects(june, june.put("2.eml", dsn(copies[P1].sender, P1))) == [(P1, "hard", "suppressed")]


@pytest.mark.parametrize("trace", ["return path", "message id", "leave link"])
def test_any_one_token_is_proof(june: Sent, trace: str) -> None:
    copy = june.copies[P2]
    head = {
        "return path": "Subject: x",
        "message id": f"Message-ID: {copy.message_id}",
        "leave link": f"List-Unsubscribe: <mailto:leave@water.example?subject={copy.leave}>",
    }[trace]
    to = copy.sender if trace == "return path" else "bounces@water.example"
    assert effects(june, june.put("1.eml", dsn(to, P2, returned=head))) == [(P2, "hard", "suppressed")]


def test_a_complaint_ends_all_lists_and_outweighs_a_bounce(june: Sent) -> None:
    head = june.copies[P1].header
    told(june, june.put("0.eml", dsn(june.copies[P1].sender, P1)))
    assert effects(june, june.put("1.eml", complaint(head))) == [(P1, "complaint", "suppressed")]
    assert suppressed(june) == {P1: "complained"}
    assert effects(june, june.put("2.eml", complaint(head, "redacted"))) == [(P1, "complaint", "repeated")]
    # whoever it names: the copy says who complained
    assert effects(june, june.put("3.eml", complaint(june.copies[P2].header, P3)))[0][2] == "suppressed"
    assert suppressed(june) == {P1: "complained", P2: "complained"}


def test_a_wish_to_leave_ends_the_list_of_that_copy_and_no_other(june: Sent) -> None:
    june.world.run("lists", "create", "other")
    june.world.run("subscribers", "add", P1, "--list", "other", "--consent", "x")
    assert effects(june, june.put("1.eml", wish(june.copies[P1].leave))) == [(P1, "unsubscribe", "left")]
    assert june.world.run("why", P1, "--json").json["why"] == "gets what is sent to other"
    assert suppressed(june) == {}
    # a replay undoes no later word of theirs
    june.world.run("subscribers", "add", P1, "--list", "news", "--consent", "by phone")
    assert effects(june, june.put("2.eml", wish(f"Re: {june.copies[P1].leave}")))[0][2] == "repeated"
    assert "news" in june.world.run("why", P1, "--json").json["why"]


def test_a_wish_to_leave_a_list_that_is_deleted_is_remembered_when_it_is_made_again(june: Sent) -> None:
    june.world.run("lists", "delete", "news", "--yes")
    assert effects(june, june.put("1.eml", wish(june.copies[P1].leave))) == [(P1, "unsubscribe", "left")]
    june.world.run("lists", "create", "news")
    file = june.put("people.csv", f"email\n{P1}\n{P2}\n")
    june.world.run("subscribers", "import", file, "--list", "news", "--yes")
    assert again(june).keys() == {P2}


def test_what_came_back_meanwhile_outlasts_the_file_that_said_so_first(june: Sent) -> None:
    """A file says that they bounced elsewhere, then mail of ours comes back: to undo the import is no pardon."""
    heading = "Email Address,OPTIN_TIME,CONFIRM_TIME,CLEAN_TIME,LEID,EUID"
    rows = [f"{each},2026-01-01 10:00:00,2026-01-01 10:00:00,2026-02-01 10:00:00,1,x" for each in (P1, P2)]
    file = june.put("cleaned_members_export_1.csv", "\n".join([heading, *rows]))
    number = june.world.run("subscribers", "import", file, "--list", "news", "--yes", "--json").json["import"]
    assert suppressed(june) == {P1: "bounced", P2: "bounced"}
    assert effects(june, june.put("1.eml", dsn(june.copies[P1].sender, P1))) == [(P1, "hard", "noted")]
    june.world.run("subscribers", "undo", str(number), "--yes")
    assert suppressed(june) == {P1: "bounced"}


def test_a_wish_is_obeyed_however_old_the_copy_is(june: Sent) -> None:
    aged(june, 900 * DAY)
    assert effects(june, june.put("1.eml", wish(june.copies[P1].leave))) == [(P1, "unsubscribe", "left")]
    assert effects(june, june.put("2.eml", complaint(june.copies[P2].header)))[0][2] == "suppressed"


def test_who_is_away_or_waits_is_changed_in_nothing(june: Sent) -> None:
    before = changed(june)
    files = [june.put("v.eml", vacation(june.copies[P1].sender))]
    files += [
        june.put(f"{n}.eml", dsn(june.copies[P2].sender, P2, "4.4.1", f"timed out {n}", action="delayed"))
        for n in range(9)
    ]
    files += [
        june.put(f"{a}.eml", dsn(june.copies[P3].sender, P3, "2.0.0", "250 ok", action=a))
        for a in ("delivered", "relayed")
    ]
    assert {effect for _, _, effect in effects(june, *files)} == {"noted"}
    assert changed(june) == before
    # and a delay is no verdict: that may still come
    assert effects(june, june.put("f.eml", dsn(june.copies[P2].sender, P2)))[0][2] == "suppressed"


def test_what_is_our_fault_warns_staff_and_counts_against_nobody(june: Sent) -> None:
    for number, copy in enumerate(june.copies.values()):
        june.put(
            f"{number}.eml",
            dsn(copy.sender, copy.recipient, "5.7.26", "550 5.7.26 unauthenticated: SPF and DKIM failed"),
        )
    done = june.world.run("collect", str(june.world.root / "back"))
    assert "warned 4" in done.err
    assert done.err.count("warning:") == 1
    assert "4 copies came back: " in done.err
    assert "hint:" in done.err
    assert suppressed(june) == {}
    assert june.world.books().people("bounced") == {P1, P2, P3, P4}


# whose


def test_a_report_without_proof_changes_nobody(june: Sent) -> None:
    copy = june.copies[P1]
    with house(june) as hands:
        signer = hands.signer
    unsent = signer.token(Purpose.RETURN, 999)
    elsewhere = Signer(b"another key, which is not this one").token(Purpose.RETURN, 1)
    cases = {
        "plain": "bounces@water.example",
        "bad mac": copy.sender.replace(
            "+" + copy.token, "+" + copy.token[:-2] + ("aa" if copy.token[-2:] != "aa" else "bb")
        ),
        "envelope": f"bounces+{signer.token(Purpose.ENVELOPE, 1)}@water.example",
        "never sent": f"bounces+{unsent}@water.example",
        "another key": f"bounces+{elsewhere}@water.example",
        "another purpose": f"bounces+{copy.leave.removeprefix('leave-')}@water.example",
        "message id as path": f"bounces+{copy.message_id[1:].partition('@')[0]}@water.example",
        "number": "bounces+1@water.example",
    }
    before = changed(june)
    files = [june.put(f"{name}.eml", dsn(to, P1)) for name, to in cases.items()]
    files.append(june.put("leave.eml", wish("unsubscribe")))
    files.append(june.put("complaint.eml", complaint("Message-ID: <x@y.example>\nSubject: x", P1)))
    done = june.world.run("collect", *files, "--json")
    assert "1 wish to leave without proof" in done.err
    assert "1 complaint without proof" in done.err
    found = [(row["recipient"], row["kind"], row["effect"]) for row in done.json["bounces"]]
    assert len(found) == len(files)
    assert {effect for _, _, effect in found} == {"advice"}
    assert changed(june) == before
    assert len(june.world.run("bounces", "--effect", "advice", "--json").json) == len(files)
    assert "advice" in june.world.run("why", P1).out


def test_a_token_of_another_copy_is_about_that_copy(june: Sent) -> None:
    victim, own = june.copies[P1], june.copies[P2]
    # whoever has a copy of his own may harm nobody but himself
    effects(june, june.put("1.eml", dsn(own.sender, P1, returned=f"To: {P1}")))
    assert suppressed(june) == {P2: "bounced"}
    # the most trusted place says whose it is
    effects(june, june.put("2.eml", dsn(june.copies[P3].sender, P1, returned=victim.header)))
    assert suppressed(june) == {P2: "bounced", P3: "bounced"}


def test_a_report_counts_once_and_a_second_of_the_same_copy_is_no_news(june: Sent) -> None:
    file = june.put("1.eml", dsn(june.copies[P1].sender, P1, "4.2.2", "452 4.2.2 mailbox full"))
    assert effects(june, file) == [(P1, "soft", "counted")]
    again_it_is = june.put("2.eml", Path(file).read_bytes().replace(b"\n", b"\r\n"))
    assert told(june, file, again_it_is)["messages"] == 0
    assert effects(june, june.put("3.eml", dsn(june.copies[P1].sender, P1))) == [(P1, "hard", "repeated")]
    assert suppressed(june) == {}
    assert june.world.books().people("bounced") == {P1}


def test_after_thirty_days_nobody_is_believed(june: Sent) -> None:
    aged(june, 31 * DAY)
    before = changed(june)
    assert effects(june, june.put("1.eml", dsn(june.copies[P1].sender, P1))) == [(P1, "hard", "advice")]
    assert changed(june) == before
    aged(june, -2 * DAY)
    assert effects(june, june.put("2.eml", dsn(june.copies[P1].sender, P1, more="X: 1\n"))) == [
        (P1, "hard", "suppressed")
    ]


def test_whose_address_has_changed_since_is_not_charged_with_the_old_one(june: Sent) -> None:
    with closing(sqlite3.connect(june.world.database)) as conn:
        conn.execute("update subscriber set changed = changed - 100")
        conn.commit()
    june.world.run("subscribers", "edit", P1, "--address", "new@example.org")
    with closing(sqlite3.connect(june.world.database)) as conn:
        conn.execute("update subscriber set changed = changed + 100 where address = 'new@example.org'")
        conn.commit()
    assert effects(june, june.put("1.eml", dsn(june.copies[P1].sender, P1))) == [(P1, "hard", "advice")]
    assert suppressed(june) == {}
    # forwarded: another address in the report, and nobody changed
    assert effects(june, june.put("2.eml", dsn(june.copies[P2].sender, "p2@elsewhere.example")))[0][2] == "suppressed"
    assert suppressed(june) == {P2: "bounced"}


def test_while_one_of_several_got_it_nobody_is_given_up(june: Sent) -> None:
    two = "\nFinal-Recipient: rfc822; b@x.example\nAction: delivered\nStatus: 2.0.0\n"
    assert {
        e for _, _, e in effects(june, june.put("1.eml", dsn(june.copies[P1].sender, "a@x.example", more=two)))
    } == {"noted"}
    # unless it says what became of the very address
    found = effects(june, june.put("2.eml", dsn(june.copies[P1].sender, P1, more=two)))
    assert (P1, "hard", "suppressed") in found


def test_who_was_never_sent_to_has_not_bounced(tmp_path: Path) -> None:
    made = Sent(world(tmp_path / "workspace"), {})
    settings(made.world)
    with house(made) as hands:
        token = hands.signer.token(Purpose.RETURN, 1)
    before = changed(made)
    assert effects(made, made.put("1.eml", dsn(f"bounces+{token}@water.example", P1))) == [(P1, "hard", "advice")]
    assert changed(made) == before


def test_a_report_may_come_before_the_answer(june: Sent) -> None:
    with closing(sqlite3.connect(june.world.database)) as conn:
        conn.execute("update delivery set state = 2, attempts = 0 where id = 1")
        conn.execute("update delivery set state = 6 where id = 2")
        conn.execute("delete from attempt where delivery = 1")
        conn.execute("update tally set number = number - 2 where state = 4")
        conn.executemany("insert or replace into tally values (1, ?, 1)", [(2,), (6,)])
        conn.execute("update mailing set state = 2")
        conn.commit()
    for n, person in enumerate((P1, P2)):
        assert effects(june, june.put(f"{n}.eml", dsn(june.copies[person].sender, person)))[0][2] == "suppressed"
    # the last doubt is settled
    assert june.world.run("status", "1", "--json").json["state"] == "finished"
    assert june.world.books().tally == Counter(bounced=2, accepted=2)


keys = st.binary(min_size=32, max_size=40)
purposes = st.sampled_from(Purpose)
PLACES = {"return": "return_paths", "message-id": "message_ids", "leave": "leaves", "envelope": "envelope_ids"}


@given(keys, keys, purposes, st.sampled_from(list(PLACES)), st.integers(0, 2**63 - 1), st.booleans())
def test_a_token_proves_something_only_where_it_belongs(
    key: bytes, other: bytes, purpose: Purpose, place: str, number: int, shout: bool
) -> None:
    token = Signer(key).token(purpose, number)
    token = token.upper() if shout else token
    traces = Traces(**{PLACES[place]: (f"<x+{token}@y>", "nothing")})
    wanted = (number, purpose) if purpose == place else None
    assert whose(traces, Signer(key)) == wanted
    assert key == other or whose(traces, Signer(other)) is None


@given(st.text(max_size=60), st.integers(0, 38), st.characters(codec="ascii"))
def test_a_token_with_one_other_letter_is_none(text: str, at: int, letter: str) -> None:
    signer = Signer(b"k" * 32)
    token = signer.token(Purpose.RETURN, 7)
    at %= len(token)
    forged = token[:at] + letter + token[at + 1 :]
    if forged.lower() != token:
        assert whose(Traces((f"b+{forged}@x", text)), signer) is None


def test_an_envelope_id_is_proof_where_the_return_path_cannot_be(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace", 2)
    with running() as lab:
        made.configure(lab.port)
        settings(made, 'verp = "off"\n')
        made.run("send", "1", "--yes")
        options = {one: m.mail_options for m in lab.messages for one in m.recipients}
        june = Sent(made, taken(lab.messages))
    assert june.copies[P1].sender == "bounces@water.example"
    envid = options[P1].partition("ENVID=")[2].split()[0]
    report = dsn("bounces@water.example", P1).replace("Reporting-MTA", f"Original-Envelope-Id: {envid}\nReporting-MTA")
    assert effects(june, june.put("1.eml", report)) == [(P1, "hard", "suppressed")]


# how much an address bears


verdicts = st.lists(
    st.builds(Past, st.sampled_from([Kind.SOFT, Kind.UNKNOWN]), st.integers(1, 9), st.integers(0, 60 * DAY)),
    max_size=30,
)


@given(verdicts, st.integers(1, 6), st.integers(0, 70 * DAY))
def test_soft_verdicts_are_too_many_only_over_that_many_mailings_and_days(
    past: list[Past], mailings: int, arrived: int
) -> None:
    patience = Patience(1, mailings, 30 * DAY)
    if patience.over(past, arrived):
        later = [each for each in past if each.sent > arrived]
        newest = max(each.sent for each in later)
        near = [each for each in later if newest - each.sent < 30 * DAY]
        assert len({each.mailing for each in near}) >= mailings
        assert len({each.sent // DAY for each in near}) >= mailings
        # more of them make it no better, a success makes it good
        assert patience.over([*past, past[0]], arrived)
        assert not patience.over(past, newest)


@given(st.lists(st.builds(Past, st.just(Kind.HARD), st.integers(1, 9), st.just(5)), max_size=9), st.integers(1, 4))
def test_hard_ones_are_too_many_when_that_many_copies_came_back(past: list[Past], hard: int) -> None:
    assert Patience(hard).over(past, 0) == (len({each.mailing for each in past}) >= hard)


def test_reasons_are_known_and_no_dead_address_is_our_fault() -> None:
    assert set(REASONS) >= OURS
    assert not {reason for reason in OURS if REASONS[reason].kind is not Kind.SOFT}


@given(
    st.lists(
        st.builds(
            Notice,
            st.sampled_from(list(Kind)),
            st.sampled_from(list(Action)),
            st.sampled_from(["a@x", "b@x", ""]),
            st.just(()),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_of_several_notices_the_one_that_names_the_copy_decides(notices: list[Notice]) -> None:
    named = [each for each in notices if each.recipient == "a@x"]
    assert notices[main(notices, "a@x")] in (named or notices)


def test_soft_ones_count_by_mailing_and_day_and_a_copy_that_arrives_clears_them(tmp_path: Path) -> None:
    june = sent(tmp_path / "workspace", 2, 'soft = { mailings = 3, within = "30d" }\n')
    copies = [june.copies]

    def full(number: int) -> str:
        report = dsn(copies[-1][P1].sender, P1, "5.2.2", "552 5.2.2 mailbox full")
        return effects(june, june.put(f"{number}.eml", report))[0][2]

    assert full(1) == "counted"
    for number in (2, 3, 4):
        copies.append(again(june))
        # the same day: one of them counts
        assert full(number) == "counted"
    aged(june, 12 * DAY, 1)
    aged(june, 11 * DAY, 2)
    copies.append(again(june))
    aged(june, 10 * DAY, 5)  # it has not come back since
    copies.append(again(june))
    assert full(6) == "counted"
    for mailing, days in ((3, 4), (4, 3), (6, 2)):
        aged(june, days * DAY, mailing)
    copies.append(again(june))
    assert full(7) == "suppressed"
    assert suppressed(june) == {P1: "bounced"}


# what relays say while sending


def refusing(tmp_path: Path, *rules: Rule, number: int = 4) -> tuple[Sent, str]:
    made = world(tmp_path / "workspace", number)
    with running(*rules) as lab:
        made.configure(lab.port)
        settings(made)
        done = made.run("send", "1", "--yes", status=None)
        return Sent(made, taken(lab.messages)), done.err


def test_who_is_refused_as_dead_is_suppressed_when_the_relay_takes_others(tmp_path: Path) -> None:
    june, said = refusing(
        tmp_path,
        Rule("rcpt", reply="550 5.1.1 no such user", address=P1),
        Rule("rcpt", reply="552 5.2.2 mailbox full", address=P2),
        Rule("dot", reply="554 5.7.1 looks like spam", address=P3),
    )
    assert "1 address refused as dead while sending, and suppressed" in said
    assert suppressed(june) == {P1: "bounced"}
    rows = {row["recipient"]: row for row in june.world.run("bounces", "--json").json}
    assert {who: row["effect"] for who, row in rows.items()} == {P1: "suppressed", P2: "counted", P3: "warned"}
    assert rows[P1]["source"] == "relay main"
    assert "550 5.1.1 no such user" in june.world.run("why", P1).out
    # they are weighed once
    june.world.run("collect", june.put("x.eml", wish("hello")))
    assert len(june.world.run("bounces", "--json").json) == len(rows)


def test_a_relay_that_takes_nothing_refuses_us_and_nobody_is_blamed(tmp_path: Path) -> None:
    june, _ = refusing(tmp_path, Rule("rcpt", reply="550 5.1.1 no such user"))
    assert suppressed(june) == {}
    assert not [row for row in june.world.run("bounces", "--json").json if row["effect"] != "noted"]


# mailboxes, and who is sending meanwhile


def test_where_most_of_a_mailing_comes_back_as_dead_nobody_is_suppressed_until_staff_believe_it(tmp_path: Path) -> None:
    of = sent(tmp_path / "workspace", 40)
    everybody = list(of.copies)
    back = [of.put(f"{n}.eml", dsn(of.copies[each].sender, each)) for n, each in enumerate(everybody)]
    of.world.run("suppressions", "add", everybody[0], "--reason", "asked by phone")
    # half of them may be dead; one more is too many, and then it is true of none, those of an earlier run too
    assert {row["effect"] for row in told(of, *back[1:21])["bounces"]} == {"suppressed"}
    assert suppressed(of).keys() == set(everybody[:21])
    done = of.world.run("collect", *back[21:30])
    assert "held 9" in done.err
    assert "warning: mailing 1: most of it came back as dead addresses" in done.err
    assert suppressed(of) == {everybody[0]: "asked by phone"}
    assert of.world.run("bounces", "--effect", "held").out.count("held") == 29
    assert "gets what is sent to news" in of.world.run("why", everybody[1]).out
    # a complaint is none of it, and a report is still heard once
    told(of, of.put("c.eml", complaint(of.copies[everybody[1]].header)))
    assert suppressed(of)[everybody[1]] == "complained"
    assert effects(of, of.put("r.eml", dsn(of.copies[everybody[2]].sender, everybody[2], "5.1.2")))[0][2] == "repeated"
    before = changed(of)
    assert "28 addresses would be suppressed" in of.world.run("collect", "--believe", "1", "--dry-run").err
    assert changed(of) == before
    assert "28 addresses suppressed" in of.world.run("collect", "--believe", "1").err
    assert suppressed(of).keys() == set(everybody[:30])
    # what comes later of that mailing is believed as well
    assert {row["effect"] for row in told(of, *back[30:])["bounces"]} == {"suppressed"}
    of.world.audit(everybody)


def test_a_mailing_is_held_the_same_in_one_run_and_over_lots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.collecting.MANY", 7)
    of = sent(tmp_path / "workspace", 40)
    back = [of.put(f"{n}.eml", dsn(copy.sender, each)) for n, (each, copy) in enumerate(of.copies.items())]
    assert {row["effect"] for row in told(of, *back, "--dry-run")["bounces"]} == {"held"}
    assert {row["effect"] for row in told(of, *back)["bounces"]} == {"held"}
    assert suppressed(of) == {}


def test_mailboxes_are_read_once_by_collect_and_run_which_is_quiet_when_nothing_came(june: Sent) -> None:
    assert june.world.run("run").err == ""
    assert "no such Maildir yet" in june.world.run("collect", status=65).err
    path = maildir(june.world.root / "returns", dsn(june.copies[P1].sender, P1).encode())
    done = june.world.run("run", "--json")
    assert done.json["collected"] == {"messages": 1, "bounces": 1, "suppressed": 1, "set_aside": 0}
    assert "1 message: hard 1; suppressed 1; `broadcaster bounces" in done.err
    assert june.world.run("run").err == ""
    assert told(june)["messages"] == 0
    maildir(path, wish(june.copies[P2].leave).encode(), b"Subject: Hello\nFrom: a@b.example\n\nHow are you?\n")
    found = told(june)
    assert (found["messages"], found["ordinary"], len(found["bounces"])) == (2, 1, 1)
    assert len(list((path / "new").iterdir())) == 3
    # of ordinary mail nothing is kept
    with closing(sqlite3.connect(june.world.database)) as conn:
        assert conn.execute("select source, raw from returned where fate = 2").fetchall() == [("", None)]
        assert conn.execute("select count(*) from known").fetchone() == (3,)
    shutil.rmtree(path / "new")
    (path / "new").mkdir()
    told(june)
    with closing(sqlite3.connect(june.world.database)) as conn:
        assert conn.execute("select count(*) from known").fetchone() == (0,)


@pytest.mark.parametrize("kind", ["maildir", "folder"])
def test_one_file_that_cannot_be_read_keeps_no_other_from_being_read(june: Sent, tmp_path: Path, kind: str) -> None:
    path = maildir(tmp_path / "box") / "new" if kind == "maildir" else tmp_path / "box"
    path.mkdir(exist_ok=True)
    (path / "1.eml").write_text(dsn(june.copies[P1].sender, P1))
    if kind == "maildir":
        os.mkfifo(path / "2.eml")
    else:
        # it is gone before it is opened, as far as anybody can tell
        (path / "2.eml").write_text("x")
    (path / "3.eml").write_text(dsn(june.copies[P2].sender, P2))
    with pytest.MonkeyPatch.context() as patched:
        opened = os.open

        def refused(name: Any, *more: Any, **how: Any) -> int:
            if str(name).endswith("2.eml") and kind == "folder":
                raise PermissionError(13, "Permission denied")
            return opened(name, *more, **how)

        patched.setattr(os, "open", refused)
        with House(june.world.root) as of, Reader() as reader:
            found = collect(of.scales, [Files(tmp_path / "box", "box")], reader, keep=DAY)
    assert [entry.effect for entry in found.entries] == ["suppressed", "suppressed"]
    (failure,) = found.failures
    assert "2.eml: " in str(failure)


def test_a_file_whose_octets_cannot_be_had_is_named_and_the_rest_read(june: Sent, tmp_path: Path) -> None:
    path = maildir(tmp_path / "box", dsn(june.copies[P1].sender, P1).encode())
    # opens like a file, and fails to be read like one on a worn-out disk
    (path / "new" / "1.x.host").symlink_to("/proc/self/mem")
    done = june.world.run("collect", str(path), "--json", status=65)
    assert [row["effect"] for row in done.json["bounces"]] == ["suppressed"]
    assert "1.x.host: input/output error" in done.err


def test_a_name_that_is_no_text_is_read_and_shown_like_any_other(june: Sent, tmp_path: Path) -> None:
    path = maildir(tmp_path / "Maildir", dsn(june.copies[P1].sender, P1).encode())
    (path / "new" / "1000.x.host").rename(path / "new" / os.fsdecode(b"1000.\xff\x1b[31m"))
    file = june.world.root / "broadcaster.toml"
    file.write_text(file.read_text().replace('["maildir:returns"]', f'["maildir:{path}"]'))
    (row,) = told(june)["bounces"]
    assert row["effect"] == "suppressed"
    assert row["source"].endswith("/1000.\\xff\\x1b[31m")
    assert "\x1b" not in june.world.run("bounces", "--csv").out + june.world.run("bounces").out
    assert told(june)["messages"] == 0
    other = tmp_path / os.fsdecode(b"\xfe")
    other.mkdir()
    (other / os.fsdecode(b"\xff.eml")).write_text(dsn(june.copies[P2].sender, P2))
    (row,) = told(june, str(other))["bounces"]
    assert row["source"].endswith("/\\xfe/\\xff.eml")


def test_one_mailbox_that_cannot_be_read_keeps_no_other_from_being_read(june: Sent) -> None:
    file = june.world.root / "broadcaster.toml"
    boxes = '["imaps://127.0.0.1:1/INBOX", "mbox:box"]'
    file.write_text(file.read_text().replace('["maildir:returns"]', boxes))
    (june.world.root / "box").write_bytes(mbox(dsn(june.copies[P1].sender, P1).encode()))
    done = june.world.run("collect", "--json", status=78)
    assert len(done.json["bounces"]) == 1
    assert done.json["bounces"][0]["source"] == "box:0"
    assert len(done.json["failures"]) == 1
    assert "has no user and no password" in done.err
    assert june.world.run("collect", "mbox:box", "--json").json["messages"] == 0
    june.world.run("collect", "imaps://elsewhere.example/INBOX", status=78)


def test_a_mailbox_whose_password_nobody_tells_holds_up_neither_others_nor_what_is_due(june: Sent) -> None:
    june.world.run("run")
    file = june.world.root / "broadcaster.toml"
    box = '{ url = "imaps://127.0.0.1:1/INBOX", user = "u", password_command = "exit 3" }'
    file.write_text(file.read_text().replace('["maildir:returns"]', f'[{box}, "mbox:box"]'))
    (june.world.root / "box").write_bytes(mbox(dsn(june.copies[P1].sender, P1).encode()))
    done = june.world.run("collect", "--json", status=69)
    assert [row["effect"] for row in done.json["bounces"]] == ["suppressed"]
    assert "imaps://127.0.0.1:1/INBOX: the command that should tell the password failed" in done.err
    # as one that is away: `run` goes on, and tells after an hour
    assert june.world.run("run").err == ""


def test_where_nothing_can_be_moved_all_is_read_and_moved_later(
    june: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadcaster.collecting.MANY", 1)
    path = maildir(tmp_path / "box", *(dsn(june.copies[each].sender, each).encode() for each in (P1, P2, P3)))

    def read() -> Any:
        with House(june.world.root) as of, Reader() as reader:
            return collect(of.scales, [Maildir("maildir:box", path, move=True)], reader, keep=DAY)

    with monkeypatch.context() as patched:

        def refused(*_: Any) -> None:
            raise PermissionError(13, "Permission denied")

        patched.setattr(Path, "rename", refused)
        found = read()
    assert [entry.effect for entry in found.entries] == ["suppressed"] * 3
    assert "maildir:box: what is understood cannot be moved to cur: permission denied" in str(found.failures[0])
    found = read()
    assert (found.messages, found.failures, len(list((path / "cur").iterdir()))) == (0, [], 3)


def test_the_log_says_to_whom_it_was_done_and_not_only_whom_a_report_names(june: Sent) -> None:
    (row,) = told(june, june.put("1.eml", dsn(june.copies[P1].sender, P2)))["bounces"]
    assert (row["recipient"], row["effect"]) == (P2, "suppressed")
    assert suppressed(june).keys() == {P1}
    assert f"{P1} (as {P2})" in june.world.run("bounces").out
    (row,) = june.world.run("bounces", "--json").json
    assert (row["recipient"], row["address"]) == (P2, P1)
    assert f"suppressed ({P1})" in june.world.run("why", P2).out
    assert f"suppressed ({P1})" not in june.world.run("why", P1).out
    assert f",suppressed,{P1}," in june.world.run("bounces", "--since", "0001-01-01", "--csv").out


def test_cron_hears_of_a_mailbox_that_is_away_after_an_hour(june: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P", "secret")
    file = june.world.root / "broadcaster.toml"
    assert june.world.run("run").err == ""
    box = '{ url = "imaps://127.0.0.1:1/INBOX", user = "u", password_env = "P" }'
    file.write_text(file.read_text().replace('["maildir:returns"]', f"[{box}]"))
    assert june.world.run("run").err == ""
    assert "refused" in june.world.run("collect", status=69).err
    with closing(sqlite3.connect(june.world.database)) as conn:
        conn.execute("update seen set at = at - 3601 where what = 'collect'")
        conn.commit()
    assert "imaps://127.0.0.1:1/INBOX: connection refused" in june.world.run("run", status=69).err


def test_a_sender_at_work_skips_who_is_suppressed_meanwhile(place: Workspace) -> None:
    place.statement("june", en="---\nsubject: Hello\npreheader: A short one\n---\nHello\n")
    place.people("email\n" + "".join(f"p{n}@example.org\n" for n in range(1, 31)))
    with running() as lab:
        place.configure(lab.port, 1)
        file = place.root / "broadcaster.toml"
        file.write_text(file.read_text().replace("[returns]", '[returns]\nreturn_path = "bounces@water.example"'))
        place.run("send", "june", "--list", "news", "--yes")
        first = taken(lab.messages)
        lab.messages.clear()
        file.write_text(file.read_text().replace("limits = []", 'limits = ["5/s"]'))
        sender = place.start("send", "june", "--list", "news", "--again", "--yes")
        until(lambda: lab.messages)
        last = "p30@example.org"
        report = place.root / "report.eml"
        report.write_text(dsn(first[last].sender, last))
        assert place.run("collect", str(report), "--json").json["bounces"][0]["effect"] == "suppressed"
        sender.communicate(timeout=60)
        assert last not in lab.addresses()
    figures = place.run("status", "2", "--json").json
    assert (figures["suppressed"], figures["accepted"], figures["state"]) == (1, 29, "finished")


def test_killed_at_any_moment_each_report_counts_once(june: Sent, tmp_path: Path) -> None:
    reports = [
        dsn(june.copies[p].sender, p, "4.2.2", f"452 4.2.2 mailbox full {n}").encode()
        for n in range(150)
        for p in (P1, P2, P3)
    ]
    path = maildir(june.world.root / "returns", *reports)
    workspace = Workspace(june.world.root)
    kills = 0
    for wait in (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6):
        running_one = workspace.start("collect")
        time.sleep(wait)
        if running_one.poll() is None:
            running_one.send_signal(signal.SIGKILL)
            kills += 1
        running_one.communicate()
    told(june)
    assert kills
    rows = june.world.run("bounces", "--json").json
    assert len(rows) == len(reports) == len(list((path / "new").iterdir()))
    assert Counter(row["effect"] for row in rows) == {"counted": 3, "repeated": len(reports) - 3}
    june.world.audit([P1, P2, P3, P4])
    assert june.world.books().tally == Counter(bounced=3, accepted=1)


def test_two_at_once_read_the_mailboxes_one_after_the_other(june: Sent) -> None:
    from broadcaster.lock import Lock

    lock = Lock(june.world.root / "subscribers" / "collect.lock")
    assert lock.take()
    assert "another process is reading" in june.world.run("collect", status=75).err
    assert june.world.run("run").err == ""
    told(june, june.put("x.eml", wish("hello")))
    lock.release()


def test_a_dry_run_tells_the_same_and_changes_nothing(june: Sent) -> None:
    maildir(june.world.root / "returns", *(dsn(june.copies[p].sender, p).encode() for p in (P1, P2)))
    before = changed(june)
    tried = june.world.run("collect", "--dry-run", "--json")
    assert [row["effect"] for row in tried.json["bounces"]] == ["suppressed"] * 2
    assert "would be suppressed 2" in tried.err
    assert changed(june) == before
    assert june.world.run("bounces", "--json").json == []
    assert told(june) == tried.json


# poison, safety


def test_a_dry_run_over_several_sources_tells_the_same(june: Sent) -> None:
    files = [
        june.put("1.eml", dsn(june.copies[P1].sender, P1)),
        june.put("2.eml", dsn(june.copies[P1].sender, P1, "5.1.2")),
    ]
    wanted = [(P1, "hard", "suppressed"), (P1, "hard", "repeated")]
    assert effects(june, *files, "--dry-run") == wanted
    assert effects(june, *files) == wanted


def test_what_cannot_be_read_is_set_aside_and_named_and_stops_nothing(june: Sent) -> None:
    good, bad = dsn(june.copies[P1].sender, P1), dsn(june.copies[P2].sender, P2)
    june.put("1.eml", bad)
    june.put("2.eml", good)
    tries = []

    class Picky(Reader):
        """Real, but for one message that its child never comes back from."""

        def _asked(self, message: bytes) -> Any:
            if P2.encode() in message:
                tries.append(1)
                self.close()
                raise Poison("it was not read")
            return super()._asked(message)

    def once() -> Any:
        with house(june) as hands, Picky() as reader:
            box = Files(june.world.root / "back", "back")
            return collect(hands.scales, [box], reader, keep=DAY)

    first = once()
    assert len(tries) == 3
    assert [(aside.source, aside.new) for aside in first.set_aside] == [("back/1.eml", True)]
    assert [entry.notice.recipient for entry in first.entries] == [P1]
    second = once()
    assert [(aside.source, aside.new) for aside in second.set_aside] == [("back/1.eml", False)]
    assert (len(tries), second.messages, second.news) == (3, 0, False)
    with house(june) as hands:
        ((number, source, _),) = hands.bounces.set_aside()
        assert (source, hands.bounces.raw(number)) == ("back/1.eml", bad.encode())


def test_a_reader_that_takes_too_long_or_falls_is_replaced() -> None:
    message = dsn("b@x.example", "a@y.example").encode()
    expected = read(message)
    with Reader() as reader:
        assert reader.read(message) == expected
        first = reader._child
        assert first is not None
        first.kill()
        first.wait()
        assert reader.read(message) == expected
        assert reader._child is not first
    with Reader(seconds=0.000001) as slow, pytest.raises(Poison, match="of computing"):
        slow.read(bytes(range(256)) * 20_000)
    with Reader(patience=0.0) as late, pytest.raises(Poison, match="within 0 s"):
        late.read(message)


@pytest.mark.parametrize(
    "hostile",
    [
        b"Content-Type: multipart/mixed; boundary=a\n\n"
        + b"--a\nContent-Type: multipart/mixed; boundary=a\n\n" * 20_000,
        b"To: " + b"a@b.example, " * 60_000 + b"\n\nx",
        b"Subject: " + b" <" * 400_000 + b"\n\n" + b" " * 90_000 + b"@" * 90_000,
        b"Content-Type: text/plain; charset=no-such\nContent-Transfer-Encoding: base64\n\n" + b"QUFB" * 300_000,
        bytes(range(256)) * 4000,
        b"",
        b"\0",
    ],
    ids=["nested", "addresses", "spaces", "base64", "bytes", "empty", "nul"],
)
def test_hostile_mail_takes_bounded_time(june: Sent, hostile: bytes) -> None:
    began = time.monotonic()
    june.put("1.eml", hostile)
    june.put("2.eml", dsn(june.copies[P1].sender, P1))
    assert (P1, "hard", "suppressed") in effects(june, str(june.world.root / "back"))
    assert time.monotonic() - began < 15


def test_hostile_words_reach_neither_terminal_nor_spreadsheet(june: Sent) -> None:
    words = "550 5.1.1 \x1b[2J\x1b]0;owned\x07 =HYPERLINK(1)\u202egnp"
    june.put("1.eml", dsn(june.copies[P1].sender, P1, words=words))
    june.put("2.eml", dsn("bounces@water.example", "=cmd|'/C calc'!A0@x.example", words="=1+1"))
    for command in (["collect", str(june.world.root / "back")], ["bounces"], ["why", P1], ["bounces", "--csv"]):
        done = june.world.run(*command)
        assert not set(done.out + done.err) & {"\x1b", "\x07", "\u202e", "\r"}
    rows = list(csv.reader(io.StringIO(june.world.run("bounces", "--csv").out)))
    assert rows[0][:4] == ["at", "recipient", "mailing", "kind"]
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]


def test_the_log_is_filtered_and_wrong_filters_are_named(june: Sent) -> None:
    told(june, june.put("1.eml", dsn(june.copies[P1].sender, P1)), june.put("2.eml", wish(june.copies[P2].leave)))

    def rows(*words: str) -> int:
        return len(june.world.run("bounces", *words, "--json").json)

    assert rows() == rows("--mailing", "1") == rows("--since", "1d") == rows("--domain", "EXAMPLE.org") == 2
    assert rows("--kind", "hard") == rows("--reason", "unknown-user") == rows("--effect", "left") == 1
    assert rows("--domain", "other.example") == rows("--since", "2099-01-01") == 0
    assert "nothing came back" in june.world.run("bounces", "--since", "2099-01-01").err
    june.world.run("bounces", "--mailing", "9", status=65)
    for words in (["--kind", "dead"], ["--since", "soon"], ["--domain", "a b"], ["--csv", "--json"]):
        june.world.run("bounces", *words, status=2)


def test_raw_mail_is_kept_privately_for_as_long_as_is_wanted(june: Sent) -> None:
    file = june.world.root / "broadcaster.toml"
    file.write_text(file.read_text() + '[retention]\nreturns = "2d"\n')
    report = dsn(june.copies[P1].sender, P1)
    path = maildir(june.world.root / "returns", report.encode(), b"Subject: hi\n\nhello\n")
    told(june)
    for each in (june.world.root / "subscribers").iterdir():
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0 or each.name in ("README.md", "sample.csv"), each
    with house(june) as hands:
        (row,) = hands.bounces.log(_anything())
        assert hands.bounces.raw(row["message"]) == report.encode()
    with closing(sqlite3.connect(june.world.database)) as conn:
        conn.execute("update returned set at = at - ?", (3 * DAY,))
        conn.commit()
    told(june)
    with house(june) as hands:
        (row,) = hands.bounces.log(_anything())
        assert hands.bounces.raw(row["message"]) is None
    # it lies there still, and is not read again
    assert told(june)["messages"] == 0
    assert len(list((path / "new").iterdir())) == 2


def _anything() -> Any:
    from broadcaster.bounces import Wanted

    return Wanted()


def test_a_pipe_is_one_message_on_standard_input(june: Sent) -> None:
    place = Workspace(june.world.root)
    piped = "From MAILER-DAEMON\n" + dsn(june.copies[P1].sender, P1)
    found = place.run("collect", "-", "--json", stdin=piped).json["bounces"]
    assert [(row["source"], row["effect"]) for row in found] == [("-", "suppressed")]
    assert place.run("collect", "-", "--json", stdin=piped).json["messages"] == 0


def test_what_is_understood_is_moved_only_where_that_is_wanted_also_after_a_kill(june: Sent) -> None:
    file = june.world.root / "broadcaster.toml"
    file.write_text(file.read_text().replace('"maildir:returns"', '{ url = "maildir:returns", move_to = "cur" }'))
    path = maildir(june.world.root / "returns", dsn(june.copies[P1].sender, P1).encode(), b"Subject: hi\n\nhello\n")
    # killed after it was written down, before it was moved
    with house(june) as hands, Reader() as reader:
        collect(hands.scales, [Maildir("", path)], reader, keep=DAY)
    assert len(list((path / "new").iterdir())) == 2
    assert told(june)["messages"] == 0
    assert [each.name[:4] for each in (path / "cur").iterdir()] == ["1000"]
    assert [each.name[:4] for each in (path / "new").iterdir()] == ["1001"]


def test_states_are_those_of_the_table(june: Sent) -> None:
    with house(june) as hands:
        states: Callable[[int], State] = lambda number: hands.bounces.copy(number).state  # type: ignore[union-attr]  # noqa: E731
        assert [states(n) for n in (1, 2, 3, 4)] == [State.ACCEPTED] * 4
        assert hands.bounces.copy(999) is None
