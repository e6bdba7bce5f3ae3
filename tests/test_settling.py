"""Deliveries in doubt and the relay's log: what it tells is shown, asked, and only then written down."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from broadcaster.delivery import Event
from broadcaster.doubts import Doubts, Times
from broadcaster.links import Purpose
from broadcaster.maillog import Fate, Finding, Span
from broadcaster.settling import MARGIN, compared
from tests.conftest import Place
from tests.lab import postfix
from tests.lab.cutter import cutting
from tests.lab.server import Rule, running
from tests.test_ledger import enrolled
from tests.test_mark import opened
from tests.test_sending import STATEMENT, people


@pytest.fixture
def doubted(tmp_path: Path) -> Place:
    """Eight deliveries of a mailing, all in doubt since this minute."""
    place = Place(tmp_path / "workspace")
    (place.root / "subscribers").mkdir(parents=True)
    (place.root / "subscribers/secret.key").write_bytes(b"k" * 32)
    (place.root / "subscribers/secret.key").chmod(0o600)
    place.configure(1)
    with opened(place) as house, house.db.atomic():
        of = enrolled(house.ledger, 8)
        house.db.conn.execute("update mailing set state = 2")
        for column in ("key", "address"):
            house.db.conn.execute(f"update subscriber set {column} = 'p' || id || '@example.org'")
        found = house.ledger.pending(of, 0, 8)
        house.ledger.shift(of.id, found, Event.CLAIM)
        house.mark.count({of.id: found[-1]}, house.now)
        house.ledger.shift(of.id, found, Event.HAND)
        house.ledger.recover(house.now, rebooted=False)
    return place


def log(place: Place, *words: tuple[int, str]) -> str:
    """A log with the Message-ID of these deliveries, and a line about each, a second apart."""
    with opened(place) as house:
        signer = house.signer
    lines = []
    for number, rest in words:
        token, queue = signer.token(Purpose.MESSAGE, number), f"4jXm1D50gjz1SdK{number}"
        lines.append(f"cleanup[8]: {queue}: message-id=<{token}@water.example>")
        lines += [rest.replace("QUEUE", queue)] if rest else []
    began = time.time() - len(lines)
    return "".join(
        f"{datetime.fromtimestamp(began + i).astimezone().isoformat()} relay postfix/{line}\n"
        for i, line in enumerate(lines)
    )


QUEUED = "qmgr[9]: QUEUE: from=<a@b>, size=9, nrcpt=1 (queue active)"
BOUNCED = "smtp[9]: QUEUE: to=<a@b>, relay=x, dsn=5.1.1, status=bounced (host x said: 550 5.1.1 unknown)"
REFUSED = "cleanup[8]: QUEUE: milter-reject: END-OF-MESSAGE from x[::1]: {}.7.1 not you; from=<a@b> to=<c@d>"


def test_each_goes_where_the_log_says_and_what_it_does_not_mention_stays(doubted: Place) -> None:
    text = log(doubted, (1, QUEUED), (2, BOUNCED), (3, REFUSED.format(5)), (4, REFUSED.format(4)), (5, ""))
    first, second = text.splitlines(keepends=True)[:3], text.splitlines(keepends=True)[3:]
    (doubted.root / "mail.log").write_text("".join(second))
    # in any order, plain or packed
    (doubted.root / "mail.log.1").write_bytes(gzip.compress("".join(first).encode()))
    names = [str(doubted.root / name) for name in ("mail.log", "mail.log.1")]
    tried = doubted.run("resolve", "1", "--from-log", *names, "--dry-run", "--json")
    assert tried.json["log"] == {"accepted": 1, "bounced": 1, "rejected": 1, "deferred": 1, "not_found": 4}
    doubted.run("resolve", "1", "--from-log", *names, status=2)
    assert doubted.run("status", "1", "--json").json["in_doubt"] == 8
    done = doubted.run("resolve", "1", "--from-log", *names, "--yes", "--json")
    assert {state: done.json[state] for state in ("accepted", "bounced", "rejected", "deferred", "in_doubt")} == {
        "accepted": 1, "bounced": 1, "rejected": 1, "deferred": 1, "in_doubt": 4,
    }  # fmt: skip
    assert "4 not in this log" in done.err
    assert "--resend" in done.err
    told = rows(doubted)
    assert told[2]["status"] == "5.1.1"
    assert told[2]["reply"] == "the relay's log: host x said: 550 5.1.1 unknown"
    assert [told[i]["attempts"] for i in range(1, 9)] == [1] * 8
    assert told[4]["next"] is not None
    with opened(doubted) as house:
        assert house.db.conn.execute("select count(*) from due").fetchone() == (1,)
        # the same code as of one whose connection ended each time, and another reason
        assert [code for _, code, _ in house.ledger.deferrals(4)] == [0]
        assert not house.ledger.broken_off(4)


def rows(place: Place) -> dict[int, dict[str, Any]]:
    """What is told of each person's delivery."""
    with opened(place) as house:
        (page,) = house.ledger.deliveries(house.ledger.mailing(1))
        return {row["subscriber"]: row for row in page}


def test_addresses_narrow_it_and_a_second_time_there_is_nothing_to_do(doubted: Place) -> None:
    text = log(doubted, *((i, QUEUED) for i in range(1, 9)))
    some = doubted.run("resolve", "1", "p3@example.org", "--from-log", "-", "--yes", "--json", stdin=text).json
    assert (some["accepted"], some["in_doubt"]) == (1, 7)
    assert (
        "no delivery in doubt"
        in doubted.run("resolve", "1", "p3@example.org", "--from-log", "-", "--yes", stdin=text, status=65).err
    )
    rest = doubted.run("resolve", "1", "--from-log", "-", "--yes", "--json", stdin=text).json
    assert (rest["accepted"], rest["state"]) == (8, "finished")
    again = doubted.run("resolve", "1", "--from-log", "-", "--yes", "--json", stdin=text)
    assert "nothing in doubt" in again.err
    assert again.json["log"]["not_found"] == 0


def test_what_cannot_be_read_is_said_and_nothing_is_settled(doubted: Place) -> None:
    packed = gzip.compress(log(doubted, (1, QUEUED)).encode())
    (doubted.root / "cut.gz").write_bytes(packed[:-12])
    (doubted.root / "strange").write_bytes(bytes(range(256)) * 100)
    assert "cut.gz" in doubted.run("resolve", "1", "--from-log", str(doubted.root / "cut.gz"), "--yes", status=65).err
    assert "no such file" in doubted.run("resolve", "1", "--from-log", "nowhere.log", "--yes", status=65).err
    assert "a directory" in doubted.run("resolve", "1", "--from-log", str(doubted.root), "--yes", status=65).err
    said = doubted.run("resolve", "1", "--from-log", str(doubted.root / "strange"), "--yes").err
    assert "no line in it has a time" in said
    for words in (["--accept", "--resend"], ["--from-log", "x", "--accept"], []):
        doubted.run("resolve", "1", *words, "--yes", status=2)
    assert doubted.run("status", "1", "--json").json["in_doubt"] == 8


def test_a_log_covers_a_doubt_only_with_some_time_before_and_after(doubted: Place) -> None:
    with opened(doubted) as house:
        of, ids = house.ledger.mailing(1), house.ledger.doubtful(1)
        at = Doubts(house.db).times(1)[ids[0]].doubted
        assert at is not None

        def covered(*spans: tuple[float, float]) -> int:
            return compared(Doubts(house.db), of, ids, {}, [Span(*span) for span in spans]).covered

        assert covered((at - MARGIN, at + MARGIN)) == 8
        assert covered((at - MARGIN, at + MARGIN - 1)) == 0
        assert covered((at - MARGIN + 1, at + MARGIN)) == 0
        assert covered((at - 9999, at - 10), (at + 10, at + 9999)) == 8
        assert covered((at - 9999, at - 4000), (at + 10, at + 9999)) == 0
        assert covered() == 0


def test_a_refusal_that_we_heard_is_not_that_of_the_attempt_in_doubt(doubted: Place) -> None:
    class Tried(Doubts):
        def times(self, number: int) -> dict[int, Times]:
            return {each: Times(before=5000, doubted=6000) for each in range(1, 9)}

    with opened(doubted) as house:
        of = house.ledger.mailing(1)
        findings = {1: Finding(Fate.REFUSED, 5000, "4.7.1"), 2: Finding(Fate.REFUSED, 5001, "4.7.1")}
        told = compared(Tried(house.db), of, [1, 2, 3], findings, [])
        assert (dict(told.events), told.missing) == ({2: Event.DEFER}, [1, 3])


def test_a_doubt_has_the_time_of_its_attempt(doubted: Place) -> None:
    for row in rows(doubted).values():
        assert abs(row["at"] - time.time()) < 60
        assert row["state"] == "in_doubt"
        assert "cut off" in row["reply"]


@pytest.mark.skipif(not postfix.there(), reason="only root can start a Postfix")
def test_a_real_relay_s_log_settles_what_it_never_answered(place: Place) -> None:
    place.statement("june", en=STATEMENT)
    gone = Rule("rcpt", reply="550 5.1.1 no such user", address="p1@example.org")
    with running(gone) as lab, postfix.relaying(lab.port) as relay:
        with cutting(relay.port, lambda body: b"Person 0" in body or b"Person 1" in body) as port:
            place.configure(port, connections=1)
            people(place, 4)
            done = place.run("send", "june", "--list", "news", "--yes", "--json", status=75).json
            assert (done["accepted"], done["in_doubt"]) == (2, 2)
        relay.wait_for("status=bounced")
        relay.wait_for("status=sent", 3)
        done = place.run("resolve", "1", "--from-log", str(relay.log), "--yes", "--json").json
        assert (done["accepted"], done["bounced"], done["state"]) == (3, 1, "finished")
        assert done["log"] == {"accepted": 1, "bounced": 1, "rejected": 0, "deferred": 0, "not_found": 0}
        ours = [a for message in lab.messages for a in message.recipients if a.startswith("p")]
        assert Counter(ours) == {"p0@example.org": 1, "p2@example.org": 1, "p3@example.org": 1}
