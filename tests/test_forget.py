"""What [retention] no longer keeps is forgotten: who got old mailings, and returned mail. Figures stay right."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from broadcaster import config as configs
from broadcaster.bounces import Bounces, Fate
from broadcaster.db import Db, open_database
from broadcaster.errors import ConfigError
from broadcaster.oblivion import PIECE, Oblivion
from tests.conftest import CONFIG, Place
from tests.test_backup import Near
from tests.test_sending import STATEMENT

DATABASE = "subscribers/broadcaster.db"
DAY = 86_400
RETENTION = '[retention]\ndeliveries = "1y"\nreturns = "30d"\n'


def aged(place: Place, days: int) -> None:
    """Let all that happened have happened so many days earlier."""
    with closing(sqlite3.connect(place.root / DATABASE)) as conn, conn:
        conn.execute("update mailing set changed = changed - ?", (days * DAY,))
        for table in ("attempt", "bounce", "returned"):
            conn.execute(f"update {table} set at = at - ?", (days * DAY,))


def octets(place: Place) -> bytes:
    """Everything that is in the private folder."""
    return b"".join(path.read_bytes() for path in (place.root / "subscribers").iterdir())


@pytest.fixture
def old(place: Place) -> Place:
    """A mailing to three people, with a file for one of them alone; it was over two years ago."""
    here = Near(place.root, place.started)
    text = (here.root / "broadcaster.toml").read_text()
    (here.root / "broadcaster.toml").write_text(text + RETENTION)
    here.statement("june", en=STATEMENT.replace("---\n", '---\nattachments: ["{{ subscriber.name }}.txt"]\n', 1))
    for name in ("Ako", "Huda", "Rana"):
        (here.root / "statements" / "june" / f"{name}.txt").write_text(f"the account of {name} alone")
    here.people("email,name\nako@example.org,Ako\nhuda@example.org,Huda\nrana@example.org,Rana\n")
    here.run("send", "june", "--list", "news", "--yes")
    aged(here, 730)
    return here


def test_who_got_an_old_mailing_is_forgotten_and_its_figures_stay(old: Place) -> None:
    before = old.run("status", "1", "--json").json
    assert b"the account of Ako alone" in octets(old)
    tried = old.run("forget", "--dry-run", "--json").json
    assert old.run("status", "1", "--deliveries", "--json").out.count("\n") == 3
    done = old.run("forget", "--json").json
    assert tried == done == {"mailings": [1], "deliveries": 3, "bounces": 0, "messages": 0, "changes": 0}
    after = old.run("status", "1", "--json").json
    assert (before.pop("forgotten"), after.pop("forgotten") is None) == (None, False)
    assert after == before
    assert (after["accepted"], after["state"]) == (3, "finished")
    assert b"the account of" not in octets(old)
    with closing(sqlite3.connect(old.root / DATABASE)) as conn:
        for table in ("delivery", "attempt", "enclosure"):
            assert conn.execute(f"select count(*) from {table}").fetchone() == (0,), table
        assert conn.execute("select count(*) from part").fetchone() == (1,)
        told = conn.execute("select mailing, details from audit where what = 'mailing forget'").fetchall()
        assert [(number, json.loads(details)) for number, details in told] == [(1, {"deliveries": 3})]
        assert conn.execute("pragma foreign_key_check").fetchall() == []
    assert old.run("forget", "--json").json["mailings"] == []


def test_who_asks_is_told_that_it_is_forgotten(old: Place) -> None:
    old.run("forget")
    assert "forgotten since" in old.run("status", "1").out
    assert "forgotten" in old.run("status", "1", "--deliveries", status=65).err
    assert "forgotten" in old.run("resolve", "1", "--accept", "--yes", status=65).err
    assert "whether they got 1 older mailing (up to 1) is forgotten" in old.run("why", "ako@example.org").out
    assert old.run("why", "ako@example.org", "--json").json["forgotten"] == [1]
    assert "is forgotten" in old.run("bounces", "--mailing", "1").err
    refused = old.run("prepare", "june", "--list", "news", "--exclude", "mailing:1", status=65)
    assert "who got mailing 1 is forgotten" in refused.err
    words = ("prepare", "june", "--list", "news", "--where", "sent mailing 1")
    assert "who got mailing 1 is forgotten" in old.run(*words, status=65).err
    # it was sent all the same
    assert "was sent as mailing" not in old.run("status").err
    assert [of["mailing"] for of in old.run("mailings", "--json").json] == [1]


def test_old_values_are_kept_no_longer_than_an_import_can_be_undone(old: Place) -> None:
    """Also where nobody imports any more, and without any setting."""
    text = (old.root / "broadcaster.toml").read_text()
    (old.root / "broadcaster.toml").write_text(text.replace(RETENTION, ""))
    number = old.people("email,name\nako@example.org,Somebody Else\n").json["import"]
    assert old.run("forget", "--dry-run", "--json").json["changes"] == 0
    with closing(sqlite3.connect(old.root / DATABASE)) as conn, conn:
        conn.execute("update import set at = at - ?", (91 * DAY,))
    assert old.run("forget", "--dry-run", "--json").json["changes"] == 1
    assert old.run("forget", "--json").json["changes"] == 1
    with closing(sqlite3.connect(old.root / DATABASE)) as conn:
        assert conn.execute("select count(*) from reversal").fetchone() == (0,)
    assert "too old" in old.run("subscribers", "undo", str(number), "--yes", status=77).err


def test_ids_of_what_is_forgotten_are_not_given_again(old: Place) -> None:
    old.run("forget")
    old.run("send", "june", "--list", "news", "--yes", "--again")
    with closing(sqlite3.connect(old.root / DATABASE)) as conn:
        assert conn.execute("select min(id) from delivery").fetchone() == (4,)
        # the same files, once more
        assert conn.execute("select count(*) from content").fetchone() == (3,)


def test_what_is_young_or_not_over_is_kept(old: Place) -> None:
    with closing(sqlite3.connect(old.root / DATABASE)) as conn, conn:
        conn.execute("update mailing set state = 3")
    assert old.run("forget", "--json").json["mailings"] == []
    with closing(sqlite3.connect(old.root / DATABASE)) as conn, conn:
        conn.execute("update mailing set state = 5, changed = changed + ?", (366 * DAY,))
    assert old.run("forget", "--json").json["mailings"] == []


def test_without_the_setting_nothing_is_forgotten(old: Place) -> None:
    text = (old.root / "broadcaster.toml").read_text()
    (old.root / "broadcaster.toml").write_text(text.replace(RETENTION, ""))
    old.run("run")
    assert "nothing is older" in old.run("forget").err
    assert old.run("status", "1", "--deliveries", "--json").out.count("\n") == 3


def test_run_forgets_by_itself_once_a_day_and_says_nothing(old: Place) -> None:
    said = old.run("run")
    assert (said.out, said.err) == ("", "")
    assert "forgotten" in old.run("status", "1").out
    old.run("send", "june", "--list", "news", "--yes", "--again")
    aged(old, 730)
    old.run("run")
    assert old.run("status", "2", "--deliveries", "--json").out.count("\n") == 3


def test_a_clock_that_was_years_ahead_once_keeps_nothing_that_long(old: Place) -> None:
    with closing(sqlite3.connect(old.root / DATABASE)) as conn, conn:
        conn.execute("insert or replace into seen values ('forget', unixepoch() + 10 * 365 * 86400)")
    old.run("run")
    assert "forgotten" in old.run("status", "1").out


def test_a_file_that_everybody_gets_is_kept_also_where_it_was_one_persons_own(old: Place) -> None:
    """The same octets, once as a person's own and once for all: the second mailing still has them."""
    (old.root / "statements" / "june" / "all.txt").write_text("the account of Ako alone")
    old.statement("july", en=STATEMENT.replace("---\n", "---\nattachments: [all.txt]\n", 1))
    (old.root / "statements" / "july" / "all.txt").write_text("the account of Ako alone")
    old.run("prepare", "july", "--list", "news")
    old.run("forget")
    with closing(sqlite3.connect(old.root / DATABASE)) as conn:
        assert conn.execute("select body from content").fetchall() == [(b"the account of Ako alone",)]
    assert old.run("send", "july", "--yes", "--json").json["accepted"] == 3


# returned mail and the log of it


def entry(db: Db, at: int, recipient: str) -> None:
    db.conn.execute(
        "insert into bounce (source, at, mailing, key, recipient, kind, action, status, reason, words, effect, verdict)"
        " values ('box/1', ?, 1, ?, ?, 'hard', 'failed', '5.1.1', 'unknown', ?, 'noted', 'failed')",
        (at, recipient, recipient, f"no {recipient}"),
    )


def test_the_log_of_old_bounces_forgets_whom_it_is_about_and_counts_on(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "broadcaster.db")) as db:
        bounces, oblivion = Bounces(db), Oblivion(db)
        number = bounces.take(os.urandom(32), Fate.UNDERSTOOD, 100, "box/ako@example.org", b"x")
        for at, who in ((100, "ako@example.org"), (900, "huda@example.org")):
            entry(db, at, who)
        db.conn.execute("update bounce set message = ?", (number,))
        before = bounces.tally(1)
        assert oblivion.entries(500) == 1
        assert oblivion.forget_entries(500, 10) == 1
        assert oblivion.forget_entries(500, 10) == 0
        assert oblivion.forget_sources(500, 10) == 1
        assert bounces.tally(1) == before
        oblivion.bring_home()
    whole = (tmp_path / "broadcaster.db").read_bytes()
    assert b"ako@example.org" not in whole
    assert b"huda@example.org" in whole


def test_raw_mail_that_was_set_aside_goes_after_its_time_too_and_without_any_mailbox(old: Place) -> None:
    text = (old.root / "broadcaster.toml").read_text().replace('mailboxes = ["maildir:returns"]', "")
    (old.root / "broadcaster.toml").write_text(text)
    with closing(open_database(old.root / DATABASE)) as db:
        bounces = Bounces(db)
        bounces.take(b"1" * 32, Fate.SET_ASIDE, 100, "box/1", b"written to ako@example.org")
        bounces.take(b"2" * 32, Fate.UNDERSTOOD, 100, "box/2", b"written to ako@example.org")
    assert old.run("forget", "--dry-run", "--json").json["messages"] == 2
    assert "\nmailboxes" not in text
    old.run("run")
    with closing(open_database(old.root / DATABASE)) as db:
        assert Bounces(db).set_aside() == []
        assert db.conn.execute("select count(*) from returned").fetchone() == (2,)


# in pieces


def many(db: Db, people: int) -> None:
    with db.atomic() as conn:
        conn.execute(
            "insert into mailing (id, statement, state, digest, content, rule, left_out, audience, first, last,"
            " rehearsal, created, who, changed) values (1, 'june', 5, '', '', '{}', '{}', ?1, 1, ?1, 0, 1, '', 1)",
            (people,),
        )
        conn.execute(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)"
            " insert into delivery (id, mailing, subscriber, list, part, state, attempts)"
            " select i, 1, i, 1, 0, 4, 1 from n",
            (people,),
        )
        conn.execute("insert into attempt select id, 1, 1, 'main', 4, 250, '', 'ok' from delivery")


def test_whoever_is_killed_while_forgetting_goes_on_where_it_ended(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "broadcaster.db")) as db:
        many(db, 3 * PIECE + 7)
        assert Oblivion(db).forget(1, 500) == PIECE
        assert db.conn.execute("select count(*) from delivery").fetchone() == (2 * PIECE + 7,)
    with closing(open_database(tmp_path / "broadcaster.db")) as db:
        oblivion = Oblivion(db)
        assert [number for number, _ in oblivion.due(100)] == [1]
        lots = []
        while lot := oblivion.forget(1, 900):
            lots.append(lot)
        assert lots == [PIECE, PIECE, 7]
        assert oblivion.due(100) == []
        assert db.conn.execute("select forgotten from mailing").fetchone() == (500,)
        assert db.conn.execute("select count(*) from audit").fetchone() == (1,)
        assert db.conn.execute("select count(*) from attempt").fetchone() == (0,)


def test_leave_links_are_known_for_as_long_as_the_law_asks() -> None:
    text = CONFIG.replace("PORT", "1").replace("CONNECTIONS", "1")
    with pytest.raises(ConfigError, match="at least 60d"):
        configs.parse(text + '[retention]\ndeliveries = "59d"\n')
    parsed = configs.parse(text + '[retention]\ndeliveries = "60d"\n')
    assert parsed.retention.deliveries == 60 * DAY
