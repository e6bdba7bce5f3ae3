"""Staff are told by mail how a mailing ended and what is wrong: once each, in their language, without an address."""

from __future__ import annotations

import email
import email.policy
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from email.message import EmailMessage
from io import StringIO
from pathlib import Path

import click
import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import digest
from broadcaster import mailing as m
from broadcaster.cli.house import House
from broadcaster.cli.staff import tell_staff
from broadcaster.delivery import State
from broadcaster.digest import Kind, News, Reader
from broadcaster.errors import BroadcasterError, Interrupted, Unfinished
from tests.conftest import CONFIG
from tests.lab.mailings import mailing
from tests.lab.record import Message
from tests.lab.server import Rule as Answer
from tests.lab.server import running
from tests.lab.world import World, world

STAFF = "office@water.example"
OTHER = "chair@water.example"
LOCALE = Path(__file__).parents[1] / "templates" / "locale" / "staff"


def configure(here: World, port: int, *staff: str, default: str = "en", limits: str = "[]", more: str = "") -> None:
    text = CONFIG.replace("PORT", str(port)).replace("CONNECTIONS", "1").replace("limits = []", f"limits = {limits}")
    text = text.replace('mailboxes = ["maildir:returns"]', "mailboxes = []")
    text = text.replace('default = "en"', f'default = "{default}"')
    told = ", ".join(f'"{each}"' for each in staff or (STAFF,))
    text = text.replace('address = "news@water.example"', f'address = "news@water.example"\nstaff = [{told}]')
    (here.root / "broadcaster.toml").write_text(text + '[time]\nzone = "Asia/Baghdad"\n' + more, encoding="utf-8")


def digests(messages: Iterable[Message], *staff: str) -> list[EmailMessage]:
    """What was mailed to staff, the first first."""
    wanted = staff or (STAFF,)
    found = [each for each in messages if each.recipients[0] in wanted and each.accepted]
    return [email.message_from_bytes(each.data, policy=email.policy.default) for each in found]


def body(of: EmailMessage, kind: str = "plain") -> str:
    part = of.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def people(messages: Iterable[Message]) -> list[str]:
    return sorted(each.recipients[0] for each in messages if each.recipients[0].endswith("@example.org"))


@pytest.fixture
def here(tmp_path: Path) -> World:
    return world(tmp_path / "workspace")


@pytest.mark.parametrize("tag", ["en", "ar"])
def test_when_a_mailing_has_finished_staff_are_told_once(here: World, tag: str) -> None:
    with running(Answer("rcpt", reply="550 5.1.1 <p2@example.org> unknown", address="p2@example.org")) as lab:
        configure(here, lab.port, STAFF, OTHER, default=tag)
        here.run("send", "1", "--yes")
        here.run("run")
        here.run("run")
        assert people(lab.messages) == [f"p{i}@example.org" for i in (1, 3, 4)]
        told = digests(lab.messages, STAFF, OTHER)
    assert [str(each["To"]) for each in told] == [STAFF, OTHER]
    for each in told:
        assert each["Auto-Submitted"] == "auto-generated"
        assert each["From"].addresses[0].addr_spec == "news@water.example"
        assert not [name for name in each if name.startswith("List-")]
        for kind in ("plain", "html"):
            text = body(each, kind)
            assert "@" not in text
            assert "june" in text
            assert {"en": "Accepted by the mail server", "ar": "قبلها خادم البريد"}[tag] in text
        assert 'dir="rtl"' in body(each, "html") or tag == "en"
    assert {"en": "Mailing 1, june, is finished", "ar": "اكتملت الرسالة 1، june"}[tag] == told[0]["Subject"]
    assert told[0]["Message-ID"] != told[1]["Message-ID"]


def test_no_staff_no_digest_and_none_of_a_rehearsal(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
        assert len(lab.messages) == 4
        configure(here, lab.port)
        text = (here.root / "broadcaster.toml").read_text()
        (here.root / "broadcaster.toml").write_text(text.replace(f"smtp://127.0.0.1:{lab.port}", "maildir:outbox"))
        here.run("send", "june", "--list", "news", "--yes")
        assert len(list((here.root / "outbox").rglob("*:2,*")) + list((here.root / "outbox" / "new").iterdir())) == 4
        # what was a rehearsal is none of their business later, and what was sent is told
        configure(here, lab.port)
        here.run("run")
        (told,) = digests(lab.messages)
    assert "Mailing 1," in body(told)
    assert "Mailing 2," not in body(told)


def test_an_alarm_a_doubt_and_a_hold_are_told_with_what_to_do_and_without_a_relays_words(here: World) -> None:
    said = "550 5.7.1 <p1@example.org> blocked: tell p1 at example.org\n"
    with running(Answer("mail", reply=said.strip()), Answer("dot", then="close")) as lab:
        configure(here, lab.port)
        here.run("send", "1", "--yes", status=None)
        assert here.run("status", "1", "--json").json["state"] == "paused"
    with running() as lab:
        configure(here, lab.port)
        here.run("run")
        here.run("run")
        (told,) = digests(lab.messages)
    for text in (body(told), body(told, "html")):
        assert "p1" not in text
        assert "main refuses us: 550 5.7.1" in text
        assert "broadcaster resume 1" in text
    assert told["Subject"].startswith("Mailing 1, june, was stopped")


def test_who_is_named_twice_is_told_once(here: World) -> None:
    with running() as lab:
        configure(here, lab.port, STAFF, "Office@Water.example", OTHER)
        assert "staff" not in here.run("send", "1", "--yes").err
        assert len(digests(lab.messages, STAFF, "Office@Water.example", "Office@water.example")) == 1
        assert len(digests(lab.messages, OTHER)) == 1
        here.run("run")
        assert len(lab.messages) == len(people(lab.messages)) + 2


def test_what_was_begun_and_is_not_what_was_approved_is_stopped_and_told(here: World) -> None:
    with running() as lab:
        configure(here, 9)
        here.run("send", "1", "--yes", status=69)
        configure(here, lab.port, more="[safety]\napprovals = 1\n")
        assert "paused (not approved)" in here.run("run").err
        (told,) = digests(lab.messages)
        assert told["Subject"] == "Mailing 1, june, was stopped: something is wrong"
        assert "Why: not approved" in body(told)
        assert not people(lab.messages)
        assert here.run("run").err == ""


def test_doubts_are_told_once_and_again_when_there_are_new_ones(here: World) -> None:
    with running(Answer("dot", then="close", address="p2@example.org", tries=(1, 2))) as lab:
        configure(here, lab.port)
        here.run("send", "1", "--yes", status=75)
        here.run("run")
        (first,) = digests(lab.messages)
        assert "broadcaster resolve 1 --from-log FILE" in body(first)
        assert "In doubt: 1" in body(first)
        here.run("resolve", "1", "--resend", "--yes")
        here.run("send", "1", "--yes", status=75)
        assert len(digests(lab.messages)) == 2
        here.run("resolve", "1", "--accept", "--yes")
        here.run("run")
        *_, last = digests(lab.messages)
        assert last["Subject"] == "Mailing 1, june, is finished"
        assert len(digests(lab.messages)) == 3


def test_the_pace_of_the_relay_counts_digests_too(here: World) -> None:
    with running() as lab:
        configure(here, lab.port, limits='["4/h"]')
        ended = here.run("send", "1", "--yes")
        assert len(lab.messages) == 4
        assert "staff were not told by mail: the limits of main are used up" in ended.err
        configure(here, lab.port, limits='["5/h"]')
        here.run("run")
        assert len(digests(lab.messages)) == 1


def test_a_digest_that_cannot_be_mailed_changes_no_status_and_is_tried_again(here: World) -> None:
    later = Answer("rcpt", reply="450 4.2.0 later", address=STAFF)
    with running(later) as lab:
        configure(here, lab.port)
        ended = here.run("send", "1", "--yes")
        assert "a digest to staff was not taken: 450 4.2.0 later" in ended.err
        assert not digests(lab.messages)
    (here.root / "templates" / "locale" / "staff" / "en.po").write_text("no catalogue")
    with running() as lab:
        configure(here, lab.port)
        assert "staff were not told by mail: templates/locale/staff/en.po:1" in here.run("run").err
        (here.root / "templates" / "locale" / "staff" / "en.po").unlink()
        here.run("run")
        assert len(digests(lab.messages)) == 1


def test_who_is_refused_for_good_is_not_tried_every_five_minutes(here: World) -> None:
    with running(Answer("rcpt", reply="550 5.1.1 nobody", address=STAFF)) as lab:
        configure(here, lab.port, STAFF, OTHER)
        assert "a digest to staff was not taken: 550 5.1.1 nobody" in here.run("send", "1", "--yes").err
        assert not here.run("run").err
        assert len(digests(lab.messages, OTHER)) == 1


def test_after_silence_behind_the_dot_nobody_is_told_twice(here: World) -> None:
    with running(Answer("dot", then="close", address=STAFF)) as lab:
        configure(here, lab.port)
        here.run("send", "1", "--yes")
    with running() as lab:
        configure(here, lab.port)
        here.run("run")
        assert not digests(lab.messages)


def test_runs_that_overlap_tell_once(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
        configure(here, lab.port)
        command = [sys.executable, "-m", "broadcaster", "-C", str(here.root), "run"]
        started = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(5)]
        assert {each.wait(60) for each in started} == {0}
        assert len(digests(lab.messages)) == 1


def test_who_is_told_to_stop_mails_nothing_more(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
        configure(here, lab.port)
        with House(here.root) as house:

            def ending(error: BroadcasterError) -> None:
                with click.Context(click.Command("send")) as context:
                    context.call_on_close(lambda: tell_staff(house))
                    raise error

            for error, number in ((Interrupted("stopped"), 0), (Unfinished("not finished"), 1)):
                with pytest.raises(type(error)):
                    ending(error)
                assert len(digests(lab.messages)) == number


def test_a_relay_that_is_down_is_told_after_an_hour_also_when_it_is_over(here: World) -> None:
    with running() as lab:
        port = lab.port
    configure(here, port)
    here.run("send", "1", "--yes", status=69)
    with closing(sqlite3.connect(here.database)) as conn, conn:
        assert conn.execute("select event, refused, until from trouble").fetchall() == [("relay main", 0, None)]
        conn.execute("update trouble set since = since - 7200")
    with running() as lab:
        configure(here, lab.port)
        here.run("run")
        (told,) = digests(lab.messages)
        assert "A mail server does not take our mail: main" in body(told)
        assert "Until: " in body(told)
        assert "Mailing 1, june, is finished" in body(told)
        here.run("run")
        assert len(digests(lab.messages)) == 1
    with closing(sqlite3.connect(here.database)) as conn:
        assert not conn.execute("select * from trouble").fetchall()


def test_a_mailbox_that_is_away_is_told_after_an_hour(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_WORD", "x")
    box = '[returns]\nmailboxes = [{ url = "imaps://127.0.0.1:1/INBOX", user = "anna", password_env = "BOX_WORD" }]\n'
    with running() as lab:
        configure(here, lab.port)
        file = here.root / "broadcaster.toml"
        file.write_text(file.read_text().replace("[returns]\nmailboxes = []\n", box))
        here.run("run", status=None)
        assert not digests(lab.messages)
        with closing(sqlite3.connect(here.database)) as conn, conn:
            conn.execute("update trouble set since = since - 3600")
        here.run("run", status=None)
        here.run("run", status=None)
        (told,) = digests(lab.messages)
        assert told["Subject"] == "A mailbox cannot be read: imaps://127.0.0.1:1/INBOX"
        assert "broadcaster collect" in body(told)


def test_the_log_of_years_is_not_told_to_new_staff(here: World) -> None:
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
        with House(here.root) as house:
            day = 86_400
            assert house.digests.events(house.now - 3 * day)
            assert not house.digests.events(house.now + 1)
            plan = house.db.conn.execute(
                "explain query plan select id from audit where what in"
                " ('mailing finish', 'mailing hold', 'mailing pause') and at >= 1"
            ).fetchall()
            assert "audit_news" in plan[0][3]


# the letter


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXT, TEXT, st.sampled_from(["en", "ar", "fa"]), st.sampled_from(list(Kind)))
def test_whatever_is_told_it_is_one_sound_mail(slug: str, reason: str, tag: str, kind: Kind) -> None:
    of = mailing(m.State.PAUSED, {State.ACCEPTED: 3, State.PENDING: 1}, slug=slug, reason=reason)
    news = News("audit 1", kind, 100, of if kind not in (Kind.MAILBOX, Kind.RELAY) else None, place=slug, why=reason)
    reader = Reader(tag, lambda words: words, lambda at: f"at {at}")
    made = digest.message(
        [digest.section(news, reader)],
        reader,
        sender=("Water", "news@water.example"),
        to="office@water.example",
        identity="0" * 32,
        at=int(time.time()),
    )
    assert all(len(line) <= 998 and not line.startswith(b".") for line in made.split(b"\r\n"))
    assert b"\n" not in made.replace(b"\r\n", b"")
    read = email.message_from_bytes(made, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    assert [part.get_content_type() for part in read.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert "<script" not in body(read, "html").lower()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("main refuses everyone: 550 5.7.1 <anna@example.org> and anna at example", "main refuses everyone: 550 5.7.1"),
        (
            "3 messages in a row got no answer from main (timed out)",
            "3 messages in a row got no answer from main (timed out)",
        ),
        ("too late: it was due at 2026-11-27 09:00", "too late: it was due at 2026-11-27 09:00"),
        ("for anna@example.org alone", "for … alone"),
    ],
)
def test_a_reason_names_nobody(reason: str, told: str) -> None:
    assert digest.safe(reason) == told


def test_every_word_of_a_digest_is_in_every_catalogue() -> None:
    files = sorted(LOCALE.glob("*.po"))
    assert [file.stem for file in files] == ["ar", "ckb", "en", "fa", "fr"]
    for file in files:
        catalogue = read_po(StringIO(file.read_text(encoding="utf-8")), locale=file.stem)
        said = {str(entry.id): str(entry.string) for entry in catalogue if entry.id}
        assert set(said) == set(digest.WORDS), file
        for words, translated in said.items():
            for pattern in (r"%\(\w+\)s", r"`[^`]*broadcaster[^`]*`"):
                assert sorted(re.findall(pattern, translated)) == sorted(re.findall(pattern, words)), (file, words)
            assert (translated == words) == (file.stem == "en"), (file, words)
