"""Who did what, and when: each change writes its line in its own transaction, and the log of them only grows."""

from __future__ import annotations

import ast
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadcaster import mailing as m
from broadcaster.cli.house import House
from broadcaster.db import open_database
from broadcaster.deeds import DEEDS
from broadcaster.errors import BroadcasterError
from broadcaster.roster import Roster
from tests.lab.clocks import time_comes
from tests.lab.server import Rule, running
from tests.lab.world import World, world
from tests.test_house import HOUSE

P1, P2 = "p1@example.org", "p2@example.org"
COLUMNS = ("what", "subscriber", "list", "mailing", "import")


@pytest.fixture
def here(tmp_path: Path) -> World:
    """Four people on the list news, and mailing 1, ready."""
    return world(tmp_path / "workspace")


def lines(of: World) -> list[dict[str, Any]]:
    """The log, the oldest first."""
    with closing(sqlite3.connect(of.database)) as conn:
        rows = conn.execute("select who, what, subscriber, list, mailing, import, details from audit order by id")
        return [{**dict(zip(("who", *COLUMNS), row[:-1], strict=True)), "details": json.loads(row[-1])} for row in rows]


def added(of: World, *words: str, status: int | Sequence[int] = 0) -> list[dict[str, Any]]:
    """What a command adds to the log."""
    before = len(lines(of))
    of.run(*words, status=status)
    return lines(of)[before:]


def rehearsing(of: World) -> None:
    of.configure(9)
    file = of.root / "broadcaster.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('"smtp://127.0.0.1:9"\ntls = "none"', '"maildir:outbox"'))


def csv(of: World, text: str) -> str:
    file = of.root / "anna@example.org.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


# every write command, with what must have happened before, and what it leaves in the log
WRITES: dict[str, tuple[list[tuple[str, ...]], tuple[str, ...], list[str]]] = {
    "create": ([], ("lists", "create", "board"), ["list create"]),
    "edit": ([], ("lists", "edit", "news", "--title", "News"), ["list edit"]),
    "delete": ([], ("lists", "delete", "news", "--yes"), ["list delete"]),
    "add": ([], ("subscribers", "add", "z@example.org", "--list", "news", "--consent", "paper"), ["subscriber add"]),
    "change": ([], ("subscribers", "edit", P1, "--name", "Zed", "--set", "city=Basra"), ["subscriber edit"]),
    "move": ([], ("subscribers", "edit", P1, "--address", "new@example.org"), ["subscriber edit"]),
    "remove": ([], ("subscribers", "remove", P1), ["subscriber remove"]),
    "leave": ([], ("subscribers", "unsubscribe", P1, "--list", "news"), ["subscriber unsubscribe"]),
    "leave all": ([], ("subscribers", "unsubscribe", P1, "--reason", "by phone"), ["subscriber unsubscribe"]),
    "import": ([], ("subscribers", "import", "FILE", "--list", "news", "--yes"), ["subscriber import"]),
    "suppress": ([], ("suppressions", "add", P1, "--reason", "by phone"), ["suppression add"]),
    "suppress nobody": ([], ("suppressions", "add", "x@example.org", "--reason", "no"), ["suppression add"]),
    "lift": ([("suppressions", "add", P1, "--reason", "no")], ("suppressions", "remove", P1), ["suppression remove"]),
    "prepare": ([], ("prepare", "june", "--list", "news"), ["mailing prepare"]),
    "pause": (
        [("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")],
        ("pause", "2"),
        ["mailing pause"],
    ),
    "resume": (
        [("prepare", "june", "--list", "news", "--at", "tomorrow 9:00"), ("pause", "2")],
        ("resume", "2"),
        ["mailing schedule"],
    ),
    "cancel": ([], ("cancel", "1", "--yes"), ["mailing cancel"]),
    "send": ([], ("send", "1", "--yes"), ["mailing rehearse", "mailing start", "mailing finish"]),
    "believe": ([], ("collect", "--believe", "1"), ["mailing believe"]),
}


@pytest.mark.parametrize("name", WRITES)
def test_every_write_leaves_its_line_once_and_a_dry_run_none(here: World, name: str) -> None:
    before, words, expected = WRITES[name]
    rehearsing(here)
    file = csv(here, "email,name\np1@example.org,Ako\nnew@example.org,Huda\n")
    words = tuple(file if word == "FILE" else word for word in words)
    for each in before:
        here.run(*each)
    assert added(here, *words, "--dry-run", status=(0, 2)) == []
    assert [line["what"] for line in added(here, *words)] == expected


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("lists", "create", "news"), 77),
        (("lists", "edit", "nobody", "--title", "x"), 65),
        (("lists", "delete", "news"), 2),
        (("subscribers", "add", "no address", "--list", "news", "--consent", "x"), 65),
        (("subscribers", "edit", P1, "--address", P2), 77),
        (("subscribers", "unsubscribe", "nobody@example.org"), 65),
        (("subscribers", "import", "FILE", "--list", "news"), 2),
        (("suppressions", "remove", P1), 65),
        (("prepare", "june", "--list", "nobody"), 65),
        (("pause", "1"), 77),
        (("resume", "1"), 77),
        (("cancel", "1"), 2),
        (("send", "1"), 2),
        (("resolve", "7", "--accept", "--yes"), 65),
        (("collect", "--believe", "7"), 65),
    ],
)
def test_what_is_refused_leaves_no_line(here: World, words: tuple[str, ...], status: int) -> None:
    file = csv(here, "email\nnew@example.org\n")
    assert added(here, *(file if word == "FILE" else word for word in words), status=status) == []


@pytest.mark.parametrize(
    "words",
    [
        ("subscribers", "edit", P1, "--name", "Person 1"),
        ("subscribers", "unsubscribe", P2),
        ("subscribers", "remove", P2),
        ("suppressions", "add", P2, "--reason", "again"),
        ("lists", "edit", "news", "--title", "fr="),
    ],
)
def test_what_changes_nothing_leaves_no_line(here: World, words: tuple[str, ...]) -> None:
    here.run("subscribers", "unsubscribe", P2)
    assert added(here, *words) == []


def test_a_line_says_who_and_of_whom_and_what_in_numbers(here: World) -> None:
    who = House(here.root).who
    first, second, third = lines(here)
    assert {line["who"] for line in lines(here)} == {who}
    assert (first["what"], first["list"]) == ("list create", 1)
    assert (second["what"], second["list"], second["import"]) == ("subscriber import", 1, 1)
    assert second["details"]["new"] == 4
    assert (third["what"], third["mailing"]) == ("mailing prepare", 1)
    assert third["details"]["audience"] == 4
    assert third["details"]["lists"] == [1]
    assert third["details"]["digest"] == here.run("status", "1", "--json").json["digest"]
    (line,) = added(here, "subscribers", "edit", P1, "--address", "new@example.org", "--set", "city=Basra")
    assert line["subscriber"] == 1
    assert line["details"] == {"fields": ["address", "city"]}
    (line,) = added(here, "suppressions", "add", "new@example.org", "--reason", "bounced")
    assert (line["subscriber"], line["details"]) == (1, {"reason": "bounced"})
    (line,) = added(here, "suppressions", "add", P2, "--reason", "their mother called")
    assert (line["subscriber"], line["details"]) == (2, {"reason": "staff"})


# what the program does by itself


def test_a_mailing_that_goes_wrong_says_who_stopped_it_and_how_its_doubts_were_settled(here: World) -> None:
    with running(Rule("dot", then="close", address=P1)) as lab:
        here.configure(lab.port)
        assert [line["what"] for line in added(here, "send", "1", "--yes", status=75)] == ["mailing start"]
        settled, finished = added(here, "resolve", "1", "--accept", "--yes")
    assert (settled["what"], settled["mailing"]) == ("mailing resolve", 1)
    assert settled["details"] == {"how": "accept", "settled": 1}
    assert finished["what"] == "mailing finish"
    here.run("prepare", "june", "--list", "news")
    with running(Rule("dot", then="close")) as lab:
        here.configure(lab.port)
        # the same once more within a day
        confirmed, started, paused = added(here, "send", "2", "--yes", status=75)
    assert (confirmed["what"], confirmed["details"]) == ("mailing confirm", {"surprises": ["repeated 1"]})
    assert started["what"] == "mailing start"
    assert (paused["what"], paused["details"]) == ("mailing pause", {"by": "alarm"})
    (resumed,) = added(here, "resume", "2")
    assert (resumed["what"], resumed["mailing"]) == ("mailing resume", 2)


def test_what_is_too_late_is_held(here: World) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00", "--expires", "5m")
    time_comes(here.database, late=600)
    (line,) = added(here, "run")
    assert (line["what"], line["mailing"]) == ("mailing hold", 2)


def test_what_a_dead_sender_left_behind_is_told_once(here: World) -> None:
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute("update delivery set state = 1 where id = 1")
        conn.execute("update delivery set state = 2 where id = 2")
        conn.executemany("insert or replace into tally values (1, ?, ?)", [(0, 2), (1, 1), (2, 1)])
        conn.commit()
        (boot,) = Path("/proc/sys/kernel/random/boot_id").read_text().split()
        conn.execute("insert into sender values (1, 1, 'here', ?, 0)", (boot,))
        conn.commit()
    (line,) = added(here, "run")
    assert (line["what"], line["mailing"], line["details"]) == ("mailing recover", 1, {"back": 1, "doubt": 1})
    assert added(here, "run") == []


# the names


def literals() -> Iterator[str]:
    """Every name that is handed to `note`."""
    for path in sorted(HOUSE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "note":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def test_every_name_of_the_log_is_explained_and_used() -> None:
    named = set(literals()) | {f"mailing {event.name.lower()}" for event in m.Event}
    assert named == set(DEEDS)


# both or neither


def asis(of: Path) -> tuple[str, int]:
    """All that a database holds but its log, and how long that is."""
    with closing(sqlite3.connect(of)) as conn:
        tables = [row[0] for row in conn.execute("select name from sqlite_master where type = 'table' order by 1")]
        whole = [conn.execute(f"select * from {name} order by 1").fetchall() for name in tables if name != "audit"]
        return repr(whole), conn.execute("select count(*) from audit").fetchone()[0]


def write(house: House, name: str) -> None:
    """The command, up to where it would speak."""
    from broadcaster import broadcast, settling
    from broadcaster.address import Address
    from broadcaster.delivery import Event
    from broadcaster.roster import Details

    roster, ledger, news = house.roster, house.ledger, house.roster.list("news")
    person = roster.known(P1)
    acts: dict[str, Callable[[], object]] = {
        "list create": lambda: roster.create_list("board", "example.org", {}),
        "list edit": lambda: roster.edit_list(news, {"en": "x"}),
        "list delete": lambda: roster.delete_list(news),
        "subscriber add": lambda: roster.add(Address.parse("z@example.org"), Details(fields={"a": "b"}), news, "x"),
        "subscriber edit": lambda: roster.edit(person, Details(name="x"), address=Address.parse("y@example.org")),
        "subscriber remove": lambda: roster.remove(person, [news], ""),
        "subscriber unsubscribe": lambda: roster.leave_all(person, ""),
        "suppression add": lambda: roster.suppress(Address.parse(P2), "staff"),
        "suppression remove": lambda: roster.lift(Address.parse("p3@example.org")),
        "mailing start": lambda: broadcast.begin(ledger, house.config, 1, 5),
        "mailing cancel": lambda: broadcast.cancel(ledger, 1, "me", 5),
        "mailing resolve": lambda: settling.resolve(ledger, 1, [1], Event.ACCEPT, 5),
        "mailing recover": lambda: ledger.recover(5, rebooted=False),
    }
    acts[name]()


BOTH = (
    *("list create", "list edit", "list delete", "subscriber add", "subscriber edit", "subscriber remove"),
    *("subscriber unsubscribe", "suppression add", "suppression remove"),
    *("mailing start", "mailing cancel", "mailing resolve", "mailing recover"),
)


@pytest.mark.parametrize("name", BOTH)
def test_who_is_killed_anywhere_leaves_the_change_and_its_line_or_neither(here: World, name: str) -> None:
    here.run("suppressions", "add", "p3@example.org", "--reason", "no")
    with closing(sqlite3.connect(here.database)) as conn:
        state = {"mailing resolve": 6, "mailing recover": 2}.get(name)
        if state is not None:
            conn.execute("update delivery set state = ? where id = 1", (state,))
            conn.executemany("insert or replace into tally values (1, ?, ?)", [(0, 3), (state, 1)])
            conn.execute("update mailing set state = 2")
            conn.commit()
        conn.execute("pragma wal_checkpoint(truncate)")
    untouched, model = asis(here.database), here.database.read_bytes()
    left, statement = set(), 0
    while True:
        statement += 1
        for beside in ("-wal", "-shm"):
            Path(f"{here.database}{beside}").unlink(missing_ok=True)
        here.database.write_bytes(model)
        child = os.fork()
        if child == 0:
            _dies(here, name, statement)
        _, status = os.waitpid(child, 0)
        now = asis(here.database)
        changed, told = now[0] != untouched[0], now[1] - untouched[1]
        assert changed == bool(told), (name, statement)
        left.add((changed, told))
        if os.waitstatus_to_exitcode(status) == 0:
            break
    assert left == {(False, 0), (True, 1)}
    assert statement > 3


def _dies(of: World, name: str, nth: int) -> None:
    """In a process of its own: the n-th statement of SQL is not lived to see."""
    left = nth

    def die(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)

    try:
        with House(of.root) as house:
            house.db.conn.set_trace_callback(die)
            write(house, name)
            house.db.conn.set_trace_callback(None)
        os._exit(0)
    finally:
        os._exit(1)


# nothing that a person wrote

HOSTILE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).map(
    lambda text: f"kanarienvogel{text}"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(word=HOSTILE)
def test_no_word_of_a_person_is_in_the_log(tmp_path: Path, word: str) -> None:
    from broadcaster.address import Address
    from broadcaster.cell import tidy, tidy_line
    from broadcaster.intake import opened
    from broadcaster.roster import Details
    from broadcaster.sheet import Person, Spoilt

    file = tmp_path / "people.db"
    file.unlink(missing_ok=True)
    db = open_database(file, who="anna")
    with closing(db.conn):
        roster = Roster(db, lambda: 1)
        said = tidy_line(word)
        news = roster.create_list("news", "example.org", {})
        roster.edit_list(news, {"en": said[:20]})
        address = Address.parse("kanarienvogel@example.org")
        details = Details(name=said, fields={"city": tidy(word)})
        person, _ = roster.add(address, details, news, said)
        roster.edit(person, Details(name=f"{said}!"), address=Address.parse("kanarienvogel2@example.org"))
        person = roster.known("kanarienvogel2@example.org")
        roster.suppress(Address.parse(person.address), said, said)
        roster.lift(Address.parse(person.address))
        roster.remove(person, [news], said)
        roster.leave_all(person, said)
        rows: list[Person | Spoilt] = [
            Person(1, "kanarienvogel3@example.org", "kanarienvogel3@example.org", said, "", "", {"city": said}),
            Spoilt(2, "kanarienvogel", word),
        ]
        with opened(db, news, lambda: 1, tmp_path) as intake:
            intake.stage(rows)
            intake.compare()
            intake.apply(file=f"{word}.csv", digest="", who="anna", consent=said)
        log = repr(db.conn.execute("select * from audit").fetchall())
    assert log.count("subscriber") > 4
    assert "kanarienvogel" not in log.casefold()


# it only grows


@pytest.mark.parametrize(
    "sql",
    [
        "update audit set who = 'nobody'",
        "update audit set id = 1000 where id = 1",
        "delete from audit",
        "delete from audit where id = 1",
        "insert or replace into audit (id, at, who, what) values (1, 1, 'nobody', 'nothing')",
        "replace into audit (id, at, who, what) values (1, 1, 'nobody', 'nothing')",
        "insert into audit (id, at, who, what) values (1, 1, '', '') on conflict do update set who = excluded.who",
        "update or replace audit set id = 2 where id = 1",
    ],
)
def test_the_log_only_grows_also_by_our_own_hand(here: World, sql: str) -> None:
    before = lines(here)
    with House(here.root) as house, suppress(sqlite3.IntegrityError):
        with house.db.atomic() as conn:
            conn.execute(sql)
        pytest.fail("it was let")
    assert lines(here) == before


def test_a_line_that_cannot_be_written_takes_its_change_back(here: World) -> None:
    with House(here.root) as house:
        house.db.conn.execute(
            "create temp trigger full before insert on main.audit begin select raise(abort, 'x'); end"
        )
        with pytest.raises((sqlite3.IntegrityError, BroadcasterError)):
            house.roster.suppress(house.config.sender.address, "staff")
        assert house.roster.suppression(house.config.sender.address) is None


# `log`


def shown(of: World, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of.run("log", "--json", *words).json
    return found


def test_log_shows_what_concerns_a_mailing_a_person_a_list_or_an_import(here: World) -> None:
    here.run("lists", "create", "board")
    here.run("subscribers", "add", P1, "--list", "board", "--consent", "paper")
    here.run("subscribers", "unsubscribe", P1)
    here.run("suppressions", "add", P2, "--reason", "no")
    here.run("cancel", "1", "--yes")
    everything = shown(here)
    assert [line["id"] for line in everything] == sorted((line["id"] for line in everything), reverse=True)
    assert len(everything) == len(lines(here)) == 8

    def whats(*words: str) -> list[str]:
        return [line["what"] for line in shown(here, *words)]

    assert whats("--mailing", "1") == ["mailing cancel", "mailing prepare"]
    assert whats("--subscriber", P1) == ["subscriber unsubscribe", "subscriber add"]
    assert whats("--subscriber", "1") == whats("--subscriber", P1)
    assert whats("--subscriber", P2) == ["suppression add"]
    assert whats("--list", "BOARD") == ["subscriber unsubscribe", "subscriber add", "list create"]
    assert whats("--import", "1") == ["subscriber import"]
    assert whats("--who", House(here.root).who) == [line["what"] for line in everything]
    assert whats("--who", "nobody") == []
    assert whats("--since", "2999-01-01") == []
    assert whats("--since", "1h", "--list", "news", "--subscriber", P1) == ["subscriber unsubscribe"]
    assert whats("--limit", "2") == [line["what"] for line in everything[:2]]
    (left,) = shown(here, "--subscriber", P1, "--list", "news")
    assert (left["lists"], left["details"]) == (["board", "news"], {"all": True})
    here.run("lists", "delete", "board", "--yes")
    assert whats("--list", "board")[0] == "list delete"


def test_log_tells_what_there_is_not(here: World) -> None:
    for words in (
        ("--mailing", "7"),
        ("--mailing", "9" * 23),
        ("--import", "7"),
        ("--import", "9" * 23),
        ("--list", "nobody"),
        ("--subscriber", "nobody@example.org"),
        ("--subscriber", "9" * 23),
        ("--subscriber", str(2**63)),
    ):
        here.run("log", *words, status=65)
    assert shown(here, "--subscriber", str(2**63 - 1)) == []
    for words in (("--limit", "-1"), ("--since", "soon"), ("--mailing", "x")):
        here.run("log", *words, status=2)
    assert "nobody has changed anything like that" in here.run("log", "--who", "nobody").err


def test_log_prints_no_address_and_is_aligned_whatever_the_names(here: World) -> None:
    here.run("subscribers", "edit", P1, "--set", "محافظة=Basra", "--address", "new@example.org")
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute(
            "insert into audit (at, who, what, details) values (1, ?, 'list edit', ?)",
            ("\x1b]0;pwned\x07\nanna\u202e", json.dumps({"fields": ["\x1b[2J\n"]})),
        )
        conn.commit()
    for words in (("log",), ("log", "--subscriber", "new@example.org"), ("log", "--json")):
        said = here.run(*words)
        assert "@" not in said.out + said.err
        assert not {"\x1b", "\x07", "\u202e"} & set(said.out + said.err)
    rows = here.run("log").out.splitlines()
    assert len(rows) == 1 + 5
    assert all(row[:2] in ("wh", "20", "19") for row in rows)


def test_a_long_log_is_read_in_pages_and_shown_in_part(here: World) -> None:
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute(
            "insert into audit (at, who, what) with recursive n(i) as (select 1 union all select i + 1 from n"
            " where i < 1234) select i, 'anna', 'list edit' from n"
        )
        conn.commit()
    assert len({line["id"] for line in shown(here)}) == 1237
    few = here.run("log")
    assert len(few.out.splitlines()) == 101
    assert "these are the last 100" in few.err
    assert len(here.run("log", "--limit", "0").out.splitlines()) == 1238
