"""What goes wrong around a sender, as the world does it: docs/faults.md names each fault and the tests that show it."""

from __future__ import annotations

import asyncio
import os
import random
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from broadcaster.address import Address
from broadcaster.cli.house import House
from broadcaster.db import open_database
from broadcaster.errors import CannotWrite
from broadcaster.schema import SCHEMA
from broadcaster.transports.smtp import Timeouts
from tests.conftest import CONFIG, Ran
from tests.lab.failing import Fault, statement
from tests.lab.nursery import Child, Nursery, nursery
from tests.lab.server import Lab, Rule, running
from tests.lab.world import World, world

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Processes of their own that start in a moment."""
    with nursery(tmp_path_factory.mktemp("said")) as made:
        yield made


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


# disks


@contextmanager
def small_disk(at: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of its own; only root can have one."""
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(at)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield at
    finally:
        # lazily: whatever a failed test has left open there
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def moved(model: World, disk: Path, kilobytes: int) -> Iterator[World]:
    """A copy of a workspace on a disk of its own, with so much room beside it."""
    size = sum(file.stat().st_blocks for file in model.root.rglob("*")) // 2
    with small_disk(disk, size + kilobytes) as there:
        here = World(there / "workspace")
        shutil.copytree(model.root, here.root)
        yield here


def fill(ballast: Path, but: int = 0) -> None:
    """Take all the room there is on a disk, but for some bytes."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        file.write(bytes(shutil.disk_usage(ballast.parent).free - but))
        while not but:  # others write too
            file.write(bytes(4096))


# what 300 people need is some megabytes
ENOUGH = 8_000


@pytest.mark.parametrize("room", [0, 16, 60, 120, 1000])
def test_a_disk_that_is_nearly_full_sends_nothing_and_room_lets_it_go_on(
    born: Nursery, tmp_path: Path, room: int
) -> None:
    """F16: who could not write down what comes of it does not begin."""
    with moved(world(tmp_path / "model", 300), tmp_path / "disk", ENOUGH) as here, running() as lab:
        here.configure(lab.port, 2)
        fill(ballast := tmp_path / "disk" / "ballast", room * 1024)
        status, said = born.run("-C", str(here.root), "send", "1", "--yes")
        assert (status, lab.messages) == (73, []), said
        assert re.search("disk is (nearly )?full|no space left", said, re.IGNORECASE), said
        assert here.audit([]).counted == {"pending": 300}
        ballast.unlink()
        status, said = born.run("-C", str(here.root), "send", "1", "--yes")
        assert status == 0, said
        assert here.audit(lab.addresses()).counted == {"accepted": 300}


@pytest.mark.parametrize("at", [1, 100])
def test_a_disk_that_becomes_full_stops_the_sender_and_room_lets_it_go_on(
    born: Nursery, tmp_path: Path, at: int
) -> None:
    """F16: nothing is sent that could not be written down, and the same command goes on."""
    with (
        moved(world(tmp_path / "model", 300), tmp_path / "disk", ENOUGH) as here,
        running(Rule("dot", delay=0.01)) as lab,
    ):
        here.configure(lab.port, 2)
        sender = born.start("-C", str(here.root), "send", "1", "--yes")
        until(lambda: len(lab.messages) >= at)
        fill(ballast := tmp_path / "disk" / "ballast")
        assert sender.wait() == 73, sender.words
        assert re.search("disk is full|no space left", sender.words, re.IGNORECASE), sender.words
        here.audit(lab.addresses(), doubts=2)
        ballast.unlink()
        status, said = born.run("-C", str(here.root), "send", "1", "--yes")
        books = here.audit(lab.addresses(), doubts=2)
        assert status == (75 if books.people("in_doubt") else 0), said
        assert books.people("accepted", "in_doubt") == set(books.rows)


def test_a_file_that_may_not_grow_stops_the_sender(tmp_path: Path) -> None:
    """F16, without a disk of one's own: a limit of the system."""
    here = world(tmp_path / "workspace", 300)
    with running() as lab:
        here.configure(lab.port, 2)
        most = here.database.stat().st_size + 64 * 1024

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        command = [sys.executable, "-m", "broadcaster", "-C", str(here.root), "send", "1", "--yes"]
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, check=False)
        assert done.returncode == 73, done.stderr
        assert "a defect" not in done.stderr
        here.audit(lab.addresses(), doubts=2)
        here.run("send", "1", "--yes", status=(0, 75))
        books = here.audit(lab.addresses(), doubts=2)
        assert books.people("accepted", "in_doubt") == set(books.rows)


def test_a_disk_that_cannot_be_written_sends_nothing_and_says_so(born: Nursery, tmp_path: Path) -> None:
    """F17."""
    with moved(world(tmp_path / "model"), tmp_path / "disk", 2000) as here, running() as lab:
        here.configure(lab.port)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "disk")], check=True)
        status, said = born.run("-C", str(here.root), "send", "1", "--yes")
        assert (status, lab.messages) == (73, []), said
        assert re.search("read-only", said, re.IGNORECASE), said
        subprocess.run(["mount", "-o", "remount,rw", str(tmp_path / "disk")], check=True)
        assert born.run("-C", str(here.root), "send", "1", "--yes")[0] == 0
        assert len(lab.messages) == 4


# databases


def test_twenty_who_write_at_once_hinder_no_sender(born: Nursery, tmp_path: Path) -> None:
    """F18: everybody waits for everybody, and nobody is told `database is locked`."""
    here = world(tmp_path / "workspace", 40)
    with running(Rule("dot", delay=0.002)) as lab:
        here.configure(lab.port, 2)
        failed: list[BaseException] = []
        over = threading.Event()

        def write(who: int) -> None:
            try:
                with House(here.root) as house:
                    for number in range(1000):
                        if over.wait(0.002):
                            return
                        house.roster.suppress(Address.parse(f"w{who}-{number}@example.net"), "staff")
            except BaseException as error:
                failed.append(error)

        writers = [threading.Thread(target=write, args=(who,)) for who in range(20)]
        for writer in writers:
            writer.start()
        status, said = born.run("-C", str(here.root), "send", "1", "--yes")
        over.set()
        for writer in writers:
            writer.join()
        assert (status, failed) == (0, []), said
        assert here.audit(lab.addresses()).counted == {"accepted": 40}


@pytest.mark.parametrize("harm", ["gone", "cut", "empty", "noise", "index"])
def test_a_log_of_the_database_that_is_lost_or_damaged_doubles_nobody(born: Nursery, tmp_path: Path, harm: str) -> None:
    """F19: what the log held is forgotten, and that is known: it is in doubt, and never sent again by itself."""
    here = world(tmp_path / "workspace", 60)
    log, index = (here.database.with_name(f"{here.database.name}-{kind}") for kind in ("wal", "shm"))
    with running(Rule("dot", delay=0.01)) as lab:
        here.configure(lab.port, 2)
        sender = born.start("-C", str(here.root), "send", "1", "--yes")
        until(lambda: len(lab.messages) >= 15)
        sender.kill()
        assert sender.wait() == -signal.SIGKILL
        whole = log.read_bytes()
        if harm == "gone":
            log.unlink()
            index.unlink()
        elif harm == "index":
            index.write_bytes(random.Random(7).randbytes(index.stat().st_size))
        else:
            middle = len(whole) // 2
            rest = {"cut": b"", "empty": b"", "noise": random.Random(7).randbytes(len(whole) - middle)}[harm]
            log.write_bytes((b"" if harm == "empty" else whole[:middle]) + rest)
        status, said = born.run("-C", str(here.root), "send", "1", "--yes")
        got = Counter(lab.addresses())
        assert max(got.values()) == 1, said
        if status == 77:
            # what was prepared is forgotten too, or what was begun: a person must look
            return
        assert status in (0, 75), said
        assert set(got) | here.books().people("in_doubt") == set(here.books().rows)


@contextmanager
def half_sent(root: Path) -> Iterator[tuple[World, Lab]]:
    """20 of 40 people have it, the others wait. All of it is in the one file."""
    here = world(root, 40)
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
        with closing(sqlite3.connect(here.database)) as conn, conn:
            conn.execute("update delivery set state = 0, attempts = 0 where id > 20")
            conn.execute("delete from attempt where delivery > 20")
            conn.execute("insert or replace into tally values (1, 0, 20), (1, 4, 20)")
            conn.execute("update mailing set state = 2")
        with closing(sqlite3.connect(here.database)) as conn:
            conn.execute("pragma wal_checkpoint(truncate)")
        del lab.messages[20:]
        yield here, lab


def goes_on(half: World, lab: Lab, root: Path, data: bytes) -> Ran:
    """The other half, from a database that was damaged: whatever is noticed, and when, nobody gets it twice, no error
    is a defect of ours, and no new database is begun in place of the old one."""
    here = World(root)
    shutil.copytree(half.root, here.root)
    here.database.write_bytes(data)
    ended = here.run("send", "1", "--yes", status=(0, 65, 73, 75, 77, 78))
    assert "no database here yet" not in ended.err
    assert max(Counter(lab.addresses()).values()) == 1, ended
    del lab.messages[20:]
    return ended


def pages(database: Path) -> Iterator[tuple[str, int]]:
    """The first page of each table and index, and the first leaf behind it."""
    with closing(sqlite3.connect(f"file:{database}?immutable=1", uri=True)) as conn:
        roots = conn.execute("select name, rootpage from sqlite_master where rootpage > 0").fetchall()
    data = database.read_bytes()
    for name, root in [("schema", 1), *roots]:
        yield name, root - 1
        start = (root - 1) * 4096 + (100 if root == 1 else 0)
        if data[start] in (2, 5):
            # an inner page: its first child
            yield f"{name}, a leaf", int.from_bytes(data[start + 8 :][:4], "big") - 1


@pytest.mark.parametrize("part", ["head", "cells"])
def test_a_damaged_page_mails_nobody_twice(tmp_path: Path, part: str) -> None:
    """F19: whatever the page is for."""
    with half_sent(tmp_path / "half") as (half, lab):
        whole = half.database.read_bytes()
        ended = {}
        for what, page in pages(half.database):
            data = bytearray(whole)
            start = page * 4096 + (100 if page == 0 else 0)
            end = (page + 1) * 4096
            for place in range(start, start + 8) if part == "head" else range(end - 900, end, 7):
                data[place] ^= 0xFF if part == "head" else 0x04
            ended[what] = goes_on(half, lab, tmp_path / what, bytes(data)).status
        # a mailing's number may be another one now: then it is not found
        refused = {what for what, status in ended.items() if status in (65, 78)}
        assert refused >= {"schema, a leaf", "mailing", "part", "delivery", "delivery_once", "tally", "sender", "mark"}


def test_whatever_bits_flip_nobody_gets_it_twice_and_it_is_no_defect_of_ours(tmp_path: Path) -> None:
    """F19: anywhere, one or some of a page."""
    with half_sent(tmp_path / "half") as (half, lab):
        whole = half.database.read_bytes()
        for seed in range(60):
            dice = random.Random(seed)
            data = bytearray(whole)
            start = dice.randrange(len(data) // 4096) * 4096
            used = [place for place in range(start, start + 4096) if data[place]]
            for _ in range(dice.choice([1, 3, 30]) if used else 0):
                data[dice.choice(used)] ^= 1 << dice.randrange(8)
            goes_on(half, lab, tmp_path / str(seed), bytes(data))


@pytest.mark.parametrize(
    ("row", "harmed"),
    # as SQLite writes them: what each value is, then those that are neither 0 nor 1
    [
        (b"\x08\0\x09\x01\x09\x08\x01\x09\x02\x04", b"\x08\0\x09\x01\x09\x08\x01\x09\x02\0"),
        (b"\x08\0\x09\x01\x09\x08\x08\x08\x28", b"\x08\0\x09\x01\x09\x08\x08\x08\x02"),
    ],
    ids=["the second, accepted, is pending", "the fortieth, pending, is the second"],
)
def test_a_row_that_lost_its_state_or_became_somebody_else_is_noticed(
    tmp_path: Path, row: bytes, harmed: bytes
) -> None:
    """F19: every page is as it should be; but it does not add up, or the index says otherwise."""
    with half_sent(tmp_path / "half") as (half, lab):
        whole = half.database.read_bytes()
        assert whole.count(row) == 1
        ended = goes_on(half, lab, tmp_path / "harmed", whole.replace(row, harmed))
        assert (ended.status, "mailing 1 does not add up" in ended.err) == (78, True)


@pytest.mark.parametrize(
    "harm",
    [
        "update mailing set statement = cast(x'c3' as text)",
        "update mailing set rule = '{'",
        "update mailing set rule = '{}'",
        "update mailing set state = 77",
        "update part set template = replace(template, 'Hello', 'Hullo')",
        "update mark set id = cast(x'c3' as text)",
        "update subscriber set fields = '{' where id = 30",
        "update subscriber set address = 'p2@example.org' where id = 30",
        "alter table sender rename column since to until",
        "drop table due",
    ],
)
def test_what_cannot_be_as_we_wrote_it_is_damage_and_no_defect(tmp_path: Path, harm: str) -> None:
    """F19: SQLite finds nothing wrong with it."""
    with half_sent(tmp_path / "half") as (half, lab):
        with closing(sqlite3.connect(half.database)) as conn, conn:
            conn.execute(harm)
        ended = goes_on(half, lab, tmp_path / "harmed", half.database.read_bytes())
        assert ended.status == 78
        assert "the database is damaged: " in ended.err
        assert "restore it from a backup" in ended.err


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from then on"])
def test_a_migration_that_fails_anywhere_is_made_whole_the_next_time(for_ever: bool, tmp_path: Path) -> None:
    """F36: a database is of the old version or of the new one."""
    connect = sqlite3.connect
    for nth in range(1, 400):
        fault, path = Fault(nth, for_ever), tmp_path / f"{nth}.db"

        class Failing(sqlite3.Connection):
            def execute(self, sql: str, *words: Any, fault: Fault = fault) -> sqlite3.Cursor:
                statement(fault, "full", sql.strip())
                return super().execute(sql, *words)

        def failing(*words: Any, **more: Any) -> Any:
            return connect(*words, **{**more, "factory": Failing})

        with mock.patch("sqlite3.connect", failing), suppress(CannotWrite):
            open_database(path).close()
        with closing(connect(path)) as conn:
            version = conn.execute("pragma user_version").fetchone()[0]
            tables = conn.execute("select count(*) from sqlite_master").fetchone()[0]
            assert version in (0, len(SCHEMA)), "half of a schema"
            assert bool(tables) == bool(version)
        if not fault.met:
            break
        db = open_database(path)
        assert db.conn.execute("pragma user_version").fetchone()[0] == len(SCHEMA)
        db.close()
    else:
        raise AssertionError("it never passed")


def test_an_older_program_leaves_a_newer_database_alone(tmp_path: Path) -> None:
    """F36."""
    here = world(tmp_path / "workspace")
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute(f"pragma user_version = {len(SCHEMA) + 1}")
    before = here.database.read_bytes()
    for words in (("send", "1", "--yes"), ("status",), ("run",)):
        assert "a newer broadcaster" in here.run(*words, status=78).err
    assert here.database.read_bytes() == before


# senders


def test_of_twenty_senders_that_start_at_once_one_sends(born: Nursery, tmp_path: Path) -> None:
    """F23."""
    for turn in range(3):
        here = world(tmp_path / str(turn), 30)
        with running(Rule("dot", delay=0.02)) as lab:
            here.configure(lab.port, 2)
            senders = [born.start("-C", str(here.root), "send", "1", "--yes") for _ in range(20)]
            ended = Counter(sender.wait() for sender in senders)
            assert ended[0] >= 1
            # handed over to the one, or too late
            assert set(ended) <= {0, 75, 77}, [sender.words for sender in senders]
            assert here.audit(lab.addresses()).counted == {"accepted": 30}
            handed = [sender.words for sender in senders if sender.wait() == 75]
            assert all("another process is sending from this workspace" in words for words in handed)
            # who came in the very moment of the taking over finds no name yet
            assert not handed or any(re.search(r"sending .*process \d+", words) for words in handed)


def test_a_number_of_a_process_that_is_used_again_holds_up_nobody(tmp_path: Path) -> None:
    """F23: the row names the holder, and only the lock holds."""
    here = world(tmp_path / "workspace")
    with running() as lab:
        here.configure(lab.port)
        with House(here.root) as house:
            house.ledger.name_sender(os.getpid(), socket.gethostname(), "", house.now)
        here.run("send", "1", "--yes")
        assert len(lab.messages) == 4


def test_a_holder_that_is_stopped_for_long_keeps_its_lock_and_goes_on_when_it_wakes(
    born: Nursery, tmp_path: Path
) -> None:
    """F24, F25: a suspended machine, a process that got no turn: others do not take what is its own."""
    here = world(tmp_path / "workspace", 60)
    with running(Rule("dot", delay=0.02)) as lab:
        here.configure(lab.port, 2)
        first = born.start("-C", str(here.root), "send", "1", "--yes")
        until(lambda: len(lab.messages) > 10)
        asleep(first, here)
        at = len(lab.messages)
        assert born.run("-C", str(here.root), "send", "1", "--yes")[0] == 75
        assert len(lab.messages) == at
        first.kill(signal.SIGCONT)
        assert first.wait() == 0
        assert here.audit(lab.addresses()).counted == {"accepted": 60}


def asleep(sender: Child, here: World) -> None:
    """Stop a process, but not while it writes to the database: that, others would wait for."""
    while True:
        sender.kill(signal.SIGSTOP)
        time.sleep(0.1)
        try:
            with closing(sqlite3.connect(here.database, timeout=0)) as conn, conn:
                conn.execute("begin immediate")
            return
        except sqlite3.OperationalError:
            sender.kill(signal.SIGCONT)


# relays


def test_no_phase_is_given_less_time_than_the_standard_says() -> None:
    """F09: RFC 5321 §4.5.3.2. A shorter one at the dot makes doubts, and then second copies, out of nothing."""
    patience = Timeouts()
    assert patience.mail >= 300
    assert patience.data >= 120
    assert patience.block >= 180
    assert patience.dot >= 600


# longer than a busy machine takes for an answer
SHORT = Timeouts(connect=3.0, hello=3.0, mail=0.4, data=0.4, block=0.4, dot=0.4, quit=0.4)


@pytest.mark.parametrize("at", ["mail", "data", "body", "dot"])
def test_a_relay_that_takes_one_and_then_says_nothing_is_left_alone(tmp_path: Path, at: str) -> None:
    """F11: a clock for each phase, and an end to knocking; nobody waits for hours, and nobody is lost."""
    here = world(tmp_path / "workspace", 6)
    hangs = Rule(at, then="hang", tries=tuple(range(2, 100)) if at == "mail" else ())
    with running(hangs) as lab, mock.patch("broadcaster.transports.smtp.Timeouts", return_value=SHORT):
        if at != "mail":
            lab.rules[:] = [Rule(at, then="hang", address=f"p{number}@example.org") for number in range(2, 7)]
        here.configure(lab.port)
        with mock.patch("broadcaster.engines.local.LONGEST_NAP", 0.01):
            begun = time.monotonic()
            ended = here.run("send", "1", "--yes", status=(69, 75))
        assert time.monotonic() - begun < 20
        assert "no answer for 0.4 s" in ended.err
        books = here.audit([address for address in lab.addresses() if address == "p1@example.org"], doubts=3)
        assert books.people("accepted") == {"p1@example.org"}
        assert books.counted["pending"] + books.counted["in_doubt"] == 5
        # a small message is written whole, dot and all; before that, everybody knows
        assert books.counted["in_doubt"] == (3 if at in ("body", "dot") else 0)


def test_where_one_relay_hangs_the_other_takes_all(tmp_path: Path) -> None:
    """F11, F35."""
    here = world(tmp_path / "workspace", 20)
    ill = Rule("mail", then="hang", tries=tuple(range(2, 1000)))
    with (
        running(ill) as sick,
        running(Rule("dot", delay=0.01)) as well,
        mock.patch("broadcaster.transports.smtp.Timeouts", return_value=SHORT),
        mock.patch("broadcaster.engines.local.LONGEST_NAP", 0.01),
    ):
        second = f'[relays.second]\nurl = "smtp://127.0.0.1:{well.port}"\ntls = "none"\nlimits = []\n'
        here.configure(sick.port, 1, second)
        here.run("send", "1", "--yes")
        books = here.audit(sick.addresses() + well.addresses())
        assert books.counted == {"accepted": 20}


def test_a_name_that_is_not_found_for_a_while_blames_nobody(tmp_path: Path) -> None:
    """F15: not our relay's name, and not that of anybody's mailbox."""
    here = world(tmp_path / "workspace")
    find = socket.getaddrinfo
    asked = []

    def flapping(host: Any, *words: Any, **more: Any) -> Any:
        if host == "relay.example":
            asked.append(host)
            if len(asked) <= lost:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return find(host, *words, **more)

    def plain(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run(work)

    with (
        running() as lab,
        mock.patch("socket.getaddrinfo", flapping),
        mock.patch("broadcaster.cli.send.looped", plain),
        mock.patch("broadcaster.engines.local.LONGEST_NAP", 0.01),
    ):
        text = CONFIG.replace("127.0.0.1:PORT", f"relay.example:{lab.port}").replace("CONNECTIONS", "1")
        text = text.replace('tls = "none"', 'tls = "none"\nallow_plaintext = true')
        (here.root / "broadcaster.toml").write_text(text, encoding="utf-8")
        lost = 1000
        ended = here.run("send", "1", "--yes", status=69)
        assert "this name is not known" in ended.err
        assert here.audit([]).counted == {"pending": 4}
        lost = len(asked) + 1
        here.run("send", "1", "--yes")
        assert here.audit(lab.addresses()).counted == {"accepted": 4}


# memory


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much a process held")
def test_a_large_audience_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """F31: rows are drawn just in time."""
    held = {}
    for people in (100, 100_000):
        here = world(tmp_path / str(people))
        with closing(sqlite3.connect(here.database)) as conn, conn:
            conn.execute("delete from delivery")
            conn.execute(
                "insert into subscriber (id, key, address, created, changed)"
                " with recursive n(i) as (select 5 union all select i + 1 from n where i < ?)"
                " select i, 'p' || i || '@example.org', 'p' || i || '@example.org', 1, 1 from n",
                (people,),
            )
            conn.execute("insert into subscription select 1, id, 1, 1 from subscriber where id > 4")
            conn.execute(
                "insert into delivery (id, mailing, subscriber, list, part) select id, 1, id, 1, part from subscriber,"
                " (select min(number) as part from part where mailing = 1)"
            )
            conn.execute("update mailing set audience = ?1, last = ?1", (people,))
            conn.execute("update tally set number = ?", (people,))
        # after some hundred it is enough
        with running(Rule("mail", reply="550 5.7.1 not you", tries=(80,))) as lab:
            here.configure(lab.port)
            # not getrusage: it also counts what the parent of a process held
            script = (
                "import sys; from broadcaster.cli import _run; status = _run(sys.argv[1:]);"
                "sys.stderr.write(open('/proc/self/status').read()); sys.exit(status)"
            )
            command = [sys.executable, "-c", script, "-C", str(here.root), "send", "1", "--yes"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 75, done.stderr
        held[people] = int(re.findall(r"^VmHWM:\s+(\d+) kB$", done.stderr, re.MULTILINE)[0]) // 1000
    assert held[100_000] <= 120, held
    assert held[100_000] - held[100] <= 16, held


# the page


def test_every_test_that_the_page_of_faults_names_is_there() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([FB]\d\d) \|(.*)$", page, re.MULTILINE)
    assert [number for number, _ in rows if number[0] == "F"] == [f"F{number:02}" for number in range(1, 37)]
    assert [number for number, _ in rows if number[0] == "B"] == [f"B{number:02}" for number in range(1, 5)]
    for number, row in rows:
        named = re.findall(r"`(test_\w+)::(test_\w+|Test\w+)`", row)
        assert named or "not built" in row, number
        for module, name in named:
            text = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
            assert re.search(rf"^((async )?def {name}\(|{name} = )", text, re.MULTILINE), f"{number}: {module}::{name}"
