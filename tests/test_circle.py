"""The full circle, with a real Postfix and a real Dovecot: out, refused, put off, bounced, back, acted on, told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Place
from tests.lab import dovecot, postfix
from tests.lab.circle import Sent, dsn, sent
from tests.lab.server import Lab, Rule, running
from tests.test_inbox import maildir

pytestmark = pytest.mark.skipif(
    not (postfix.there() and dovecot.there()), reason="needs root, postfix and dovecot-imapd"
)

# whom Postfix refuses at RCPT, and whom it puts off; the host behind it refuses others later, so that they bounce
MAIN = """
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ refused@people.example = 550 5.1.1 no such user }},
  {{ later@people.example = 450 4.2.1 try again later }} }}, permit_mynetworks, reject
recipient_delimiter = +
virtual_mailbox_domains = water.example
virtual_mailbox_maps = inline:{{ bounces@water.example=Maildir/ }}
virtual_mailbox_base = {base}
virtual_minimum_uid = 1
virtual_uid_maps = static:{user}
virtual_gid_maps = static:{group}
virtual_transport = virtual
"""
MASTER = """
virtual unix - n n - - virtual
"""
CONFIG = """
[sender]
name = "Water for All"
address = "news@water.example"
postal_address = "12 River Street, Basra"

[links]
leave_mailto = "leave@water.example"

[relays.main]
url = "smtp://127.0.0.1:{port}"
tls = "none"
limits = []

[returns]
return_path = "bounces@water.example"
mailboxes = [{mailbox}]
"""
PEOPLE = ("fine", "refused", "later", "gone", "full", "blocked")


@contextmanager
def relayed(base: Path) -> Iterator[tuple[postfix.Postfix, Lab]]:
    """A relay that hands on to a host that has no `gone`, whose `full` is full, and that thinks ill of us."""
    import pwd

    user = pwd.getpwnam("dovecot")
    with running(
        Rule(
            "rcpt",
            reply="550 5.1.1 <gone@people.example>: Recipient address rejected: User unknown",
            address="gone@people.example",
        ),
        Rule("rcpt", reply="552 5.2.2 <full@people.example>: mailbox is full", address="full@people.example"),
        Rule("dot", reply="550 5.7.26 unauthenticated: SPF and DKIM did not pass", address="blocked@people.example"),
    ) as lab:
        main = MAIN.format(base=base, user=user.pw_uid, group=user.pw_gid)
        with postfix.relaying(lab.port, main, MASTER) as relay:
            yield relay, lab


def mailed(place: Place, relay: postfix.Postfix, mailbox: str) -> None:
    """One mailing to everybody, and all of its bounces in the mailbox."""
    (place.root / "broadcaster.toml").write_text(CONFIG.format(port=relay.port, mailbox=mailbox))
    place.statement("june", en="---\nsubject: Hello\npreheader: A short one\n---\nHello\n")
    place.people("email\n" + "".join(f"{who}@people.example\n" for who in PEOPLE))
    place.run("send", "june", "--list", "news", "--yes", status=75)
    # four went on to the host behind, which refused three of them
    relay.wait_for("status=bounced", 3)
    relay.wait_for("delivered to maildir", 3)


def circled(place: Place) -> None:
    """What must have come of it, whatever the mailbox was."""
    done = place.run("collect", "--json")
    found = {row["recipient"].partition("@")[0]: row for row in done.json["bounces"]}
    assert {who: (row["kind"], row["status"], row["effect"]) for who, row in found.items()} == {
        "gone": ("hard", "5.1.1", "suppressed"),
        "full": ("soft", "5.2.2", "counted"),
        "blocked": ("soft", "5.7.26", "warned"),
    }
    assert {row["mailing"] for row in found.values()} == {1}
    assert {row["action"] for row in found.values()} == {"failed"}
    assert "1 copy came back:" in done.err
    figures = place.run("status", "1", "--json").json
    assert {state: figures[state] for state in ("accepted", "bounced", "rejected", "deferred")} == {
        "accepted": 1, "bounced": 3, "rejected": 1, "deferred": 1,
    }  # fmt: skip
    assert figures["returned"] == {"soft": 2, "hard": 1}
    assert {row["address"] for row in place.run("suppressions", "--json").json} == {
        "gone@people.example",
        "refused@people.example",
    }
    told = place.run("why", "gone@people.example").out
    assert "their mail came back" in told
    assert "User unknown" in told
    assert "bounced" in told
    assert "rejected: no such user" in place.run("why", "refused@people.example").out
    assert place.run("collect", "--json").json["messages"] == 0
    assert Counter(row["source"].partition(" ")[0] for row in place.run("bounces", "--json").json)["relay"] == 1
    # the next mailing goes to those who are left
    again = place.run("prepare", "june", "--list", "news", "--json").json
    assert again["audience"] == 4
    assert again["left_out"]["suppressed"] == 2


def test_through_a_maildir(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    with dovecot.storing() as store, relayed(store.root / "mail") as (relay, lab):
        mailed(place, relay, f'"maildir:{store.maildir}"')
        circled(place)
        assert sorted(lab.addresses()) == ["fine@people.example"]
        assert len(list((store.maildir / "new").iterdir())) == 3


def test_over_imap_with_tls(place: Place) -> None:
    with dovecot.storing() as store, relayed(store.root / "mail") as (relay, _):
        (place.root / "ca.pem").write_bytes((dovecot.TLS / "ca.pem").read_bytes())
        password = place.root / "imap.password"
        password.write_text(dovecot.PASSWORD, encoding="utf-8")
        password.chmod(0o600)
        box = f'{{ url = "{store.url()}", user = "{dovecot.USER}", password_file = "imap.password", ca_file = "ca.pem"'
        store.deliver(b"Subject: Lunch?\nFrom: a@b.example\n\nAt noon?\n")
        mailed(place, relay, box + " }")
        circled(place)
        assert not [line for line in store.flags() if "Seen" in line or "Deleted" in line]
        # and where it is wanted, what was understood moves away; nothing counts twice by that
        settings = place.root / "broadcaster.toml"
        settings.write_text(settings.read_text().replace(" }]", ', move_to = "Read" }]'))
        with_new = len(place.run("bounces", "--json").json)
        store.deliver(dsn("bounces@water.example", "nobody@people.example").encode())
        assert place.run("collect", "--json").json["messages"] == 1
        assert len(place.run("bounces", "--json").json) == with_new + 1
        assert (len(store.flags()), len(store.flags("Read"))) == (4, 1)


# over IMAP, with fewer people


@pytest.fixture
def june(tmp_path: Path) -> Iterator[tuple[Sent, dovecot.Dovecot]]:
    made = sent(tmp_path / "workspace")
    with dovecot.storing() as store:
        (made.world.root / "ca.pem").write_bytes((dovecot.TLS / "ca.pem").read_bytes())
        (made.world.root / "p").write_text(dovecot.PASSWORD, encoding="utf-8")
        (made.world.root / "p").chmod(0o600)
        box = f'[{{ url = "{store.url()}", user = "{dovecot.USER}", password_file = "p", ca_file = "ca.pem" }}]'
        file = made.world.root / "broadcaster.toml"
        file.write_text(file.read_text().replace('["maildir:returns"]', box))
        yield made, store


def test_with_another_uidvalidity_all_is_read_and_nothing_counts_again(june: tuple[Sent, dovecot.Dovecot]) -> None:
    made, store = june
    reports = [dsn(copy.sender, copy.recipient).encode() for copy in made.copies.values()]
    store.deliver(*reports[:2], b"Subject: hi\n\nhello\n")
    assert made.world.run("collect", "--json").json["messages"] == 3
    for name in store.maildir.glob("dovecot*"):
        name.unlink()
    store.deliver(reports[2])
    time.sleep(1.1)  # validities are seconds
    found = made.world.run("collect", "--json").json
    assert (found["messages"], len(found["bounces"])) == (1, 1)
    assert len(made.world.run("bounces", "--json").json) == 3
    assert made.world.books().tally == Counter(bounced=3, accepted=1)


def test_a_collect_that_is_killed_goes_on_where_it_was(june: tuple[Sent, dovecot.Dovecot]) -> None:
    made, store = june
    place = Place(made.world.root)
    sender = made.copies["p1@example.org"].sender
    reports = [dsn(sender, "p1@example.org", "4.2.2", f"452 4.2.2 full {n}").encode() for n in range(400)]
    store.deliver(*reports)
    kills = 0
    for wait in (0.35, 0.45, 0.55, 0.7):
        running_one = place.start("collect")
        time.sleep(wait)
        kills += running_one.poll() is None
        running_one.kill()
        running_one.communicate()
    made.world.run("collect")
    assert kills
    effects = Counter(row["effect"] for row in made.world.run("bounces", "--json").json)
    assert effects == {"counted": 1, "repeated": 399}
    assert len(store.flags()) == 400
    assert not [line for line in store.flags() if "Seen" in line]


def test_the_same_message_on_the_disk_and_over_imap_counts_once(
    june: tuple[Sent, dovecot.Dovecot], tmp_path: Path
) -> None:
    made, store = june
    report = dsn(made.copies["p1@example.org"].sender, "p1@example.org").encode()
    store.deliver(report)
    assert made.world.run("collect", "--json").json["messages"] == 1
    path = maildir(tmp_path / "M", report)
    assert made.world.run("collect", str(path), "--json").json["messages"] == 0
