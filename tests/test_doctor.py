"""doctor: each thing that can be wrong with the set-up is told, and what is well is not complained about."""

from __future__ import annotations

import re
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from broadcaster import folder, upkeep
from broadcaster.cli.house import House
from broadcaster.diagnosis import RULES, Group, Level
from broadcaster.resolver import Resolver
from tests.lab.names import serving
from tests.lab.server import TLS, Rule, running
from tests.lab.world import World, world
from tests.test_authentication import CONFIG as TEXT
from tests.test_authentication import NO_DKIM, OUTWARD, ZONE

RETURNS = "maildir:returns"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All questions go to a server of ours, where all is well."""
    with serving(ZONE) as port:
        monkeypatch.setattr(House, "resolver", Resolver(["127.0.0.1"], port, patience=0.5))
        monkeypatch.setattr("broadcaster.resolver.outward", lambda: OUTWARD)
        yield


@pytest.fixture
def here(tmp_path: Path) -> World:
    return world(tmp_path / "workspace")


def configure(of: World, relay: str, more: str = "", text: str = NO_DKIM) -> None:
    text = text.replace('url = "smtp://localhost"\ntls = "none"', relay)
    text = text.replace("[returns]\n", f'[returns]\nmailboxes = ["{RETURNS}"]\n')
    (of.root / "broadcaster.toml").write_text(text + more, encoding="utf-8")
    made = of.root / "returns"
    for name in ("cur", "new", "tmp"):
        (made / name).mkdir(parents=True, exist_ok=True)
    made.chmod(0o700)


def plain(port: int) -> str:
    return f'url = "smtp://127.0.0.1:{port}"\ntls = "none"'


def seen_by_cron(of: World, ago: int = 60) -> None:
    with closing(sqlite3.connect(of.database)) as conn, conn:
        conn.execute("insert or replace into seen values ('run', ?)", (int(time.time()) - ago,))


def told(of: World, *words: str, status: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of.run("doctor", "--json", *words, status=status).json
    return found


def rules(found: Sequence[Mapping[str, Any]], *levels: str) -> set[str]:
    """What is told to be wrong: errors and warnings, unless levels are named."""
    return {each["rule"] for each in found if each["level"] in (levels or ("error", "warning"))}


# SQLite of this machine
USUAL = {"sqlite"} if upkeep.has_reset_fault(sqlite3.sqlite_version) else set()


def test_of_a_set_up_that_is_well_nothing_is_wrong_and_nobody_is_mailed(here: World) -> None:
    with running(offers=("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN")) as lab:
        configure(here, plain(lab.port))
        seen_by_cron(here)
        found = told(here, "--all", status=0)
    assert rules(found) == USUAL
    assert {each["group"] for each in found} == {group.value for group in Group} - {"leaving"}
    assert not lab.messages
    said = [line for session in lab.sessions for line in session.lines]
    assert not [line for line in said if line.upper().startswith(("RCPT", "DATA"))]
    # the return path is offered as a copy would have it, and taken back
    assert [line for line in said if re.fullmatch(r"MAIL FROM:<bounces\+a{39}@water\.example>", line)]
    assert "RSET" in said


# relays


def answered(of: World, relay: str, more: str = "") -> set[str]:
    configure(of, relay, more)
    return rules(told(of, "relays"), "error", "warning", "note")


OFFERS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN")


@pytest.mark.parametrize(
    ("settings", "lab_rules", "expected", "status"),
    [
        ({}, (), set(), 0),
        ({"offers": ("SIZE 52428800", "SMTPUTF8", "DSN")}, (), {"relay-pipelining"}, 0),
        ({"offers": ("PIPELINING",)}, (), {"relay-8bit", "relay-dsn"}, 0),
        ({"offers": ("SIZE 1000", *OFFERS[:1], *OFFERS[2:])}, (), {"relay-size"}, 78),
        ({}, (Rule("mail", "550 5.7.1 not your address"),), {"relay-return-path"}, 78),
        ({}, (Rule("mail", "451 4.3.0 later"),), {"relay-return-path"}, 69),
        ({}, (Rule("mail", then="close"),), {"relay-silent"}, 69),
        ({}, (Rule("connect", "554 5.7.1 not from there"),), {"relay-refuses"}, 78),
        ({}, (Rule("connect", "421 4.7.0 busy"),), {"relay-refuses"}, 69),
        ({}, (Rule("connect", then="close"),), {"relay-silent"}, 69),
    ],
)
def test_what_a_relay_does_not_do_is_told(
    here: World, settings: dict[str, Any], lab_rules: Sequence[Rule], expected: set[str], status: int
) -> None:
    with running(*lab_rules, **{"offers": OFFERS, **settings}) as lab:
        configure(here, plain(lab.port))
        found = told(here, "relays", status=status)
    assert rules(found, "error", "warning", "note") == expected
    assert not lab.messages


@pytest.mark.parametrize(
    ("tls", "certificate", "expected"),
    [
        ("implicit", "good", set()),
        ("starttls", "good", set()),
        ("implicit", "expired", {"relay-tls"}),
        ("starttls", "elsewhere", {"relay-tls"}),
        ("none", "good", {"relay-tls"}),
    ],
)
def test_a_certificate_is_judged(here: World, tls: str, certificate: str, expected: set[str]) -> None:
    with running(tls=tls, certificate=certificate, offers=OFFERS) as lab:
        scheme = "smtps" if tls == "implicit" else "smtp"
        relay = f'url = "{scheme}://localhost:{lab.port}"\nca_file = "{TLS / "ca.pem"}"'
        assert answered(here, relay) == expected
        if not expected:
            ends = [each for each in told(here, "relays", "--all") if each["rule"] == "relay-expiry"]
            assert [each["level"] for each in ends] == ["ok"]


def test_a_certificate_that_ends_soon_is_told(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tls="implicit", offers=OFFERS) as lab:
        configure(here, f'url = "smtps://localhost:{lab.port}"\nca_file = "{TLS / "ca.pem"}"')
        until = ssl.cert_time_to_seconds("Jan  1 00:00:00 2120 GMT")
        monkeypatch.setattr(House, "clock", lambda _: until - 3 * 86_400.0)
        found = [each for each in told(here, "relays") if each["rule"] == "relay-expiry"]
    assert found[0]["what"] == "its certificate ends in 3 days"


def test_a_login_is_tried(here: World) -> None:
    word = here.root / "relay.password"
    word.write_text("right")
    word.chmod(0o600)
    with running(users={"anna": "right"}, offers=OFFERS) as lab:
        relay = f'{plain(lab.port)}\nuser = "anna"\npassword_file = "relay.password"'
        assert answered(here, relay) == set()
        word.write_text("wrong-W5")
        said = here.run("doctor", "relays", status=78)
        assert "[relay-login]" in said.out
        assert "wrong-W5" not in said.out + said.err
        word.unlink()
        assert answered(here, relay) == {"relay-login"}
        assert answered(here, relay.replace("password_file", "password_command").replace("relay.", "false ")) == {
            "relay-login"
        }


def test_a_relay_that_nobody_finds_is_away(here: World) -> None:
    configure(here, 'url = "smtp://relay.invalid:25"\ntls = "none"\nallow_plaintext = true')
    found = told(here, "relays", status=69)
    assert rules(found, "error", "warning") == {"relay-name", "relay-plaintext"}
    configure(here, plain(9))
    assert rules(told(here, "relays", status=69)) == {"relay-silent"}


def test_a_provider_with_a_return_path_of_its_own_is_known(here: World) -> None:
    with running(offers=OFFERS) as lab:
        relay = f'profile = "ses"\n{plain(lab.port)}'
        assert answered(here, relay) == {"relay-own-path"}
        # no mark would survive, so none is offered
        assert "MAIL FROM:<bounces@water.example>" in lab.sessions[-1].lines


def test_every_rule_of_relays_was_tried_above() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{name}"' in text for name, rule in RULES.items() if rule.group is Group.RELAYS)


# files


def test_what_others_can_read_or_write_is_told(here: World) -> None:
    configure(here, 'url = "maildir:outbox"')
    assert rules(told(here, "files", status=0)) == set()
    (here.root / "subscribers" / "secret.key").chmod(0o640)
    found = told(here, "files", status=78)
    assert rules(found) == {"secret-key"}
    (here.root / "subscribers" / "secret.key").chmod(0o600)
    for name, mode in (("subscribers", 0o755), ("returns", 0o755)):
        (here.root / name).chmod(mode)
        found = told(here, "files", status=78)
        assert [each["subject"] for each in found if each["rule"] == "private"] == [name]
        (here.root / name).chmod(0o700)
    here.database.chmod(0o644)
    assert rules(told(here, "files", status=78)) == {"private"}
    for name in ("broadcaster.toml", "templates", "statements/june/en.md"):
        before = (here.root / name).stat().st_mode
        (here.root / name).chmod(before | 0o002)
        found = told(here, "files", status=78)
        assert [(each["rule"], each["subject"]) for each in found] == [("writable", name)]
        assert f"chmod go-w {name}" in found[0]["do"]
        (here.root / name).chmod(before)


def test_a_folder_above_that_others_can_write_is_told(here: World) -> None:
    configure(here, 'url = "maildir:outbox"')
    here.root.parent.chmod(0o777)
    assert rules(told(here, "files", status=78)) == {"writable"}
    # in /tmp nobody may move what is not his
    here.root.parent.chmod(0o1777)
    assert rules(told(here, "files", status=0)) == set()
    # but within the workspace anybody may add a template
    (here.root / "templates").chmod(0o1777)
    assert rules(told(here, "files", status=78)) == {"writable"}


def test_many_of_a_kind_are_told_in_a_few_lines(here: World) -> None:
    for number in range(40):
        (here.root / "statements" / f"n{number}.txt").touch()
        (here.root / "statements" / f"n{number}.txt").chmod(0o666)
    assert len([each for each in told(here, "files") if each["rule"] == "writable"]) == 6


def test_files_of_somebody_else_are_told(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    entry = folder.entry(here.root)
    assert entry is not None
    assert folder.ours(entry) is (here.root.stat().st_uid == 0)
    assert not folder.ours(folder.Entry(here.root, 0o40700, 4712, 4712))
    monkeypatch.setattr(folder, "ours", lambda of: False)
    assert "owner" in rules(told(here, "files", status=78))


def test_a_synchronised_folder_is_told(tmp_path: Path) -> None:
    of = world(tmp_path / "Dropbox" / "workspace")
    assert "place" in rules(told(of, "files", status=78))


def test_a_link_is_not_followed_out_of_the_workspace(here: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "open").touch(0o666)
    (outside / "open").chmod(0o666)
    (here.root / "statements" / "link").symlink_to(outside)
    configure(here, 'url = "maildir:outbox"')
    assert rules(told(here, "files", status=0)) == set()


def test_a_full_disk_is_told(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert "disk" in rules(told(here, "files", status=78))


# the database and the clock


def test_a_clock_that_was_put_back_is_told(here: World) -> None:
    configure(here, 'url = "maildir:outbox"')
    seen_by_cron(here, ago=-4 * 3600)
    found = told(here, "files", status=78)
    assert [each["what"] for each in found] == ["is 240 min behind what was written down: it was put back"]


def test_a_damaged_database_is_told(here: World) -> None:
    whole = bytearray(here.database.read_bytes())
    for place in range(9000, len(whole), 997):
        whole[place] ^= 0xFF
    here.database.write_bytes(whole)
    assert "database" in rules(told(here, "database", status=78))


def test_a_database_that_takes_too_long_is_not_called_damaged(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "STEPS", 10)
    with House(here.root) as house:
        assert [each.rule for each in upkeep.whole(house.db, 0.0)] == ["unread"]
        # and is as good as before
        assert [each.level for each in upkeep.whole(house.db, 60.0)] == [Level.OK]


def test_without_a_database_none_is_made(here: World) -> None:
    here.database.unlink()
    told(here)
    assert not here.database.exists()


def test_a_database_from_before_the_last_sending_is_told(here: World) -> None:
    kept = here.database.read_bytes()
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute("pragma wal_checkpoint(truncate)")
    here.database.write_bytes(kept)
    assert "mark" in rules(told(here, "database", status=78))


def test_cron_that_does_not_come_is_told(here: World) -> None:
    configure(here, 'url = "maildir:outbox"')
    assert rules(told(here, "database")) == {"cron"} | USUAL
    seen_by_cron(here, ago=2 * 3600)
    assert rules(told(here, "database")) == {"cron"} | USUAL
    seen_by_cron(here)
    assert rules(told(here, "database")) == USUAL


@pytest.mark.parametrize(
    ("version", "faulty"),
    [
        *(("3.40.1", True), ("3.44.5", True), ("3.44.6", False), ("3.45.0", True), ("3.50.6", True)),
        *(("3.50.7", False), ("3.51.2", True), ("3.51.3", False), ("3.52.0", False), ("4.0.0", False)),
    ],
)
def test_versions_of_sqlite_with_the_fault_are_known(version: str, faulty: bool) -> None:
    assert upkeep.has_reset_fault(version) is faulty


def test_a_database_that_is_not_encrypted_is_noted(here: World) -> None:
    pytest.importorskip("sqlcipher3")
    configure(here, 'url = "maildir:outbox"', '[encryption]\nkey_file = "database.key"\n')
    key = here.root / "database.key"
    key.write_text("5e" * 32)
    key.chmod(0o600)
    assert rules(told(here, "database", status=78)) == {"database"}
    here.run("encrypt")
    assert "encryption" in rules(told(here, "database", "--all", status=0), "ok")


# settings


def test_settings_that_cannot_be_read_are_a_finding(here: World) -> None:
    with (here.root / "broadcaster.toml").open("a") as file:
        file.write("\n[sennder]\n")
    found = told(here, status=78)
    assert "configuration" in rules(found)
    assert found[0]["subject"].startswith("broadcaster.toml")


def test_a_rehearsal_is_told(here: World) -> None:
    configure(here, 'url = "maildir:outbox"', "[retention]\ndeliveries = '1y'\n")
    found = told(here, "settings", status=0)
    assert rules(found, "note") == {"rehearsal"}


def test_a_private_key_that_is_missing_is_told(here: World) -> None:
    with running(offers=OFFERS) as lab:
        configure(here, plain(lab.port), text=TEXT)
        assert rules(told(here, "files", "--offline", status=78)) == {"dkim-key"}
        assert "dkim" not in rules(told(here, "dns"))


# what comes back


def test_mailboxes_are_opened(here: World) -> None:
    configure(here, 'url = "maildir:outbox"')
    assert rules(told(here, "returns", status=0)) == set()
    (here.root / "returns" / "new").rmdir()
    assert rules(told(here, "returns", status=78)) == {"mailbox"}
    text = (here.root / "broadcaster.toml").read_text().replace(f'mailboxes = ["{RETURNS}"]\n', "")
    (here.root / "broadcaster.toml").write_text(text)
    assert rules(told(here, "returns", status=0)) == {"mailbox-none"}


def test_a_mailbox_that_is_away_is_no_fault_of_the_settings(here: World) -> None:
    box = '{ url = "imaps://localhost:9/INBOX", user = "anna", password_command = "echo x" }'
    configure(here, 'url = "maildir:outbox"')
    text = (here.root / "broadcaster.toml").read_text().replace(f'"{RETURNS}"', box)
    (here.root / "broadcaster.toml").write_text(text)
    assert rules(told(here, "returns", status=69)) == {"mailbox"}


def test_whether_the_return_path_ends_in_a_mailbox_is_called_unknown(here: World) -> None:
    with running(offers=OFFERS) as lab:
        configure(here, plain(lab.port))
        assert rules(told(here, "returns", status=0), "note") == {"mailbox-unknown"}


# how people leave


@contextmanager
def site(status: int, location: str = "", date: str = "") -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A web server that answers every POST alike; its address, and what it was sent."""
    posted: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response_only(status)
            self.send_header("Date", date or self.date_time_string())
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posted
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (200, "", set()),
        (204, "", set()),
        (403, "", set()),
        (302, "/bye", {"one-click"}),
        (301, "https://www.elsewhere.example/", {"one-click"}),
        (404, "", {"one-click-answer"}),
        (405, "", {"one-click-answer"}),
        (500, "", {"one-click-answer"}),
    ],
)
def test_the_leave_link_must_answer_a_post_itself(here: World, status: int, location: str, expected: set[str]) -> None:
    with site(status, location) as (base, posted):
        configure(here, 'url = "maildir:outbox"')
        text = (here.root / "broadcaster.toml").read_text()
        (here.root / "broadcaster.toml").write_text(
            text.replace("[links]\n", f'[links]\nsite = "{base}"\none_click = true\n')
        )
        assert rules(told(here, "leaving")) == expected
        # once, by nobody's token
        assert posted == [("/leave/" + "a" * 39, b"List-Unsubscribe=One-Click")]


def test_a_leave_link_where_nobody_answers_and_a_clock_that_differs_are_told(here: World) -> None:
    with site(200, date="Mon, 04 May 2026 10:00:00 GMT") as (base, _):
        configure(here, 'url = "maildir:outbox"')
        text = (here.root / "broadcaster.toml").read_text()
        (here.root / "broadcaster.toml").write_text(
            text.replace("[links]\n", f'[links]\nsite = "{base}"\none_click = true\n')
        )
        assert "clock" in rules(told(here))
    assert rules(told(here, "leaving", status=69)) == {"one-click-away"}


# the command


def test_offline_nobody_is_asked(here: World) -> None:
    with running() as lab:
        configure(here, plain(lab.port))
        found = told(here, "--offline", "--all")
        assert not lab.sessions
    assert {each["group"] for each in found} == {"settings", "files", "database"}


def test_the_worst_comes_first_and_each_has_a_why_and_what_to_do(here: World) -> None:
    configure(here, plain(9), "[time]\nquiet = ['21:00-08:00']\n")
    found = told(here, "--all", status=None)
    levels = [list(Level).index(Level(each["level"])) for each in found]
    assert levels == sorted(levels)
    for each in found:
        assert set(each) == {"level", "rule", "group", "subject", "what", "why", "do", "write"}
        assert RULES[each["rule"]].group == each["group"]
        assert each["why"]
        assert each["level"] == "ok" or each["do"]


def test_a_person_reads_what_is_wrong_why_and_what_to_write(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({}) as port:
        monkeypatch.setattr(House, "resolver", Resolver(["127.0.0.1"], port, patience=0.5))
        with running(offers=OFFERS) as lab:
            configure(here, plain(lab.port))
            said = here.run("doctor", status=78)
    assert "error    water.example: has no SPF record [spf]\n" in said.out
    assert f'water.example.  TXT  "v=spf1 ip4:{OUTWARD} ~all"' in said.out
    assert "→ Write the record" in said.out
    assert "\x1b" not in said.out
    assert max(len(line) for line in said.out.splitlines() if "TXT" not in line) <= 100
    assert said.err.startswith("broadcaster: ")


HARM = "\x1b]0;owned\x07\x1b[2J"


def test_what_strangers_write_into_the_dns_commands_no_terminal(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for record in (f"v=spf1 {HARM} -all", f"v=spf1 include:{HARM} a:{HARM}.example -all", "v=spf1 " + "x" * 5000):
        with serving({("water.example", "TXT"): [record]}) as port:
            monkeypatch.setattr(House, "resolver", Resolver(["127.0.0.1"], port, patience=0.5))
            configure(here, plain(9))
            said = here.run("doctor", "dns", "--all", status=78)
            as_json = here.run("doctor", "dns", "--json", status=78)
        assert "[spf-syntax]" in said.out
        assert not {"\x1b", "\x07"} & set(said.out + as_json.out)
        assert len(said.out) < 10_000


def test_a_relay_that_never_answers_holds_nobody_up_for_long(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.checkup.EACH", 0.5)
    with running(Rule("connect", delay=60)) as lab:
        configure(here, plain(lab.port))
        start = time.monotonic()
        assert rules(told(here, "relays", status=69)) == {"relay-silent"}
        assert time.monotonic() - start < 8


def test_no_rule_is_without_a_test() -> None:
    texts = [Path(__file__), Path(__file__).with_name("test_authentication.py")]
    text = "".join(each.read_text(encoding="utf-8") for each in texts)
    assert not [name for name in RULES if f'"{name}"' not in text]
