"""The n-th operation fails, for n = 1, 2, … until a run passes whole: a clear word, and a plain second run is enough.

After SQLite's own tests (sqlite.org/testing.html): what can go wrong once can go wrong at every place.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from broadcaster.engines.local import LocalEngine
from tests.conftest import Ran
from tests.lab.failing import Fault, files, statement, wires
from tests.lab.pretend import Life
from tests.lab.server import Lab, Rule, running
from tests.lab.world import World, world

PEOPLE = 3
EVERYBODY = {f"p{number}@example.org" for number in range(1, PEOPLE + 1)}
# more than a run has, so that a loop ends
MOST = 2000

WORDS = {
    "full": "full|No space left",
    "broken": "I/O error|Input/output error",
    "locked": "another process is writing",
    "read-only": "read-?only",
    "quota": "quota",
}


def told(ran: Ran, kind: str, at: str) -> None:
    """One line that says what is wrong, and a status that says whose business it is."""
    # without the key nothing is begun
    assert ran.status == (78 if "secret.key" in at else 73), (at, ran)
    complaint = ran.err.splitlines()[-1 if not ran.err.splitlines()[-1].startswith("  hint") else -2]
    assert complaint.startswith("broadcaster: "), (at, ran.err)
    assert re.search(WORDS[kind], complaint, re.IGNORECASE), (at, complaint)


def all_is_well(here: World, run: Callable[..., Ran], taken: Callable[[], Counter[str]]) -> None:
    """The same command once more: everybody has it once, or is in doubt, and rightly."""
    doubtful = here.audit(taken().elements(), doubts=1).people("handed", "in_doubt")
    ran = run("send", "1", "--yes", status=None)
    books = here.audit(taken().elements(), doubts=1)
    assert books.people("in_doubt") == doubtful, "what was in doubt stays so, and nobody joins them"
    assert books.people("accepted") | doubtful == EVERYBODY, ran
    # one that failed when all was done has left nothing to send
    assert ran.status in ((75,) if doubtful else (0, 77)), ran
    assert doubtful or here.books().state == "finished"


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from then on"])
def test_whatever_the_database_cannot_write(for_ever: bool, tmp_path: Path) -> None:
    every_statement(tmp_path, for_ever=for_ever, writing=True)


def every_statement(tmp_path: Path, *, for_ever: bool, writing: bool = False) -> int:
    """Fail at each statement, or at each that writes. How many there are."""
    kinds = ("full", "broken", "locked", "read-only")
    for nth in range(1, MOST):
        kind, fault = kinds[nth % len(kinds)], Fault(nth, for_ever)
        here = world(tmp_path / str(nth), PEOPLE)
        here.configure(9)
        life = Life(here.root)

        def fails(sql: str, fault: Fault = fault, kind: str = kind) -> None:
            if not writing or sql.split()[0] in ("begin", "commit", "insert", "update", "delete"):
                statement(fault, kind, sql)

        with life.around():
            life.disk = fails
            ran = here.run("send", "1", "--yes", status=None)
            life.disk = lambda sql: None
            if not fault.met:
                assert ran.status == 0
                break
            told(ran, kind, fault.at)
            all_is_well(here, here.run, life.far.addresses)
    else:
        raise AssertionError("it never passed")
    assert nth > 20
    return nth


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from then on"])
def test_whatever_file_cannot_be_written(for_ever: bool, tmp_path: Path) -> None:
    kinds = ("full", "broken", "quota", "read-only")
    for nth in range(1, MOST):
        kind, fault = kinds[nth % len(kinds)], Fault(nth, for_ever)
        here = world(tmp_path / str(nth), PEOPLE)
        here.configure(9)
        config = here.root / "broadcaster.toml"
        config.write_text(config.read_text().replace("smtp://127.0.0.1:9", "maildir:outbox"))
        with files(fault, kind, here.root):
            ran = here.run("send", "1", "--yes", status=None)
        if not fault.met:
            assert ran.status == 0
            break
        told(ran, kind, fault.at)
        assert not list((here.root / "outbox").glob("tmp/*")), "no half of a message is left"
        all_is_well(here, here.run, lambda here=here: in_the_outbox(here))  # type: ignore[misc]
    else:
        raise AssertionError("it never passed")
    assert nth > 10


def in_the_outbox(here: World) -> Counter[str]:
    heads = [file.read_text(encoding="utf-8").split("\n\n")[0] for file in (here.root / "outbox").glob("new/*")]
    found = [re.search(r"^Delivered-To: (\S+)$", head, re.MULTILINE) for head in heads]
    return Counter(each[1] for each in found if each)


# connections


@pytest.fixture
def briskly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine rests a moment only between failures."""
    defaults = LocalEngine.__init__.__kwdefaults__
    assert defaults
    for name in ("nap", "cooling"):
        if name in defaults:
            monkeypatch.setitem(defaults, name, 0.005)


def lost(here: World, lab: Lab, broken: AbstractContextManager[None]) -> None:
    """A run whose connection is lost somewhere, and one whose is not."""
    here.configure(lab.port)
    with broken:
        ran = here.run("send", "1", "--yes", status=(0, 69, 75))
    books = here.books()
    # one lost connection holds up nobody: only whom it carried just then may be in doubt
    assert books.people("accepted", "in_doubt") == EVERYBODY, ran
    for address in books.people("in_doubt"):
        assert books.replies[address], "why is told"
    all_is_well(here, here.run, lambda: Counter(lab.addresses()))


@pytest.mark.usefixtures("briskly")
@pytest.mark.parametrize("early", [True, False], ids=["before", "after"])
def test_whatever_write_the_connection_is_lost_at(early: bool, tmp_path: Path) -> None:
    for nth in range(1, MOST):
        fault = Fault(nth)
        here = world(tmp_path / str(nth), PEOPLE)
        with running() as lab:
            lost(here, lab, wires(fault, early=early))
        if not fault.met:
            break
    else:
        raise AssertionError("it never passed")
    assert nth > 2 * PEOPLE


def bytes_of_a_session(here: World) -> list[int]:
    """So many bytes of ours: around the end of each greeting, envelope and message, and in the middle of it."""
    with running() as lab:
        here.configure(lab.port)
        here.run("send", "1", "--yes")
        [session] = lab.sessions
        lines = [len(line) + 2 for line in session.lines]
        pieces = [lines[0]]
        for number, message in enumerate(lab.messages):
            pieces += [sum(lines[1 + 3 * number : 4 + 3 * number]), len(message.data) + 3]
    ends = list(itertools.accumulate(pieces))
    return sorted(
        {at for end, size in zip(ends, pieces, strict=True) for at in (end - size // 2, end - 3, end - 1, end)}
    )


@pytest.mark.usefixtures("briskly")
@pytest.mark.parametrize("then", ["close", "reset"])
def test_after_whatever_byte_the_relay_hangs_up(then: str, tmp_path: Path) -> None:
    for after in bytes_of_a_session(world(tmp_path / "whole", PEOPLE)):
        here = world(tmp_path / str(after), PEOPLE)
        with running(Rule("byte", after=after, then=then, tries=(1,))) as lab:
            lost(here, lab, nullcontext())
