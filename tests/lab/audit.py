"""The books of a workspace, read without a line of our own, and held against what the relay saw.

The database is read from a copy: to open it would mend what a killed process left behind.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

WORDS = (
    *("pending", "claimed", "handed", "deferred", "accepted", "rejected", "in_doubt", "bounced"),
    *("suppressed", "skipped", "expired", "cancelled"),
)
# of a mailing
STATES = ("ready", "scheduled", "sending", "paused", "held", "finished", "cancelled")
# nobody knows whether these were delivered
UNSURE = ("handed", "in_doubt")
OPEN = ("pending", "claimed", "handed", "deferred", "in_doubt")


@dataclass(frozen=True, slots=True)
class Books:
    """One mailing as its database tells it. People by address."""

    state: str
    audience: int
    tally: Counter[str]
    rows: dict[str, str]
    attempts: dict[str, int]
    replies: dict[str, str]  # of the last attempt

    def people(self, *states: str) -> set[str]:
        return {address for address, state in self.rows.items() if state in states}

    @property
    def counted(self) -> Counter[str]:
        return Counter(self.rows.values())


def copied(database: Path, into: Path) -> Path:
    """The files of a database as they lie on the disk this moment."""
    into.mkdir(parents=True, exist_ok=True)
    for name in (database.name, f"{database.name}-wal"):
        if (database.parent / name).exists():
            shutil.copyfile(database.parent / name, into / name)
    return into / database.name


def books(database: Path, mailing: int = 1) -> Books:
    """Read what a mailing has come to. The file must be whole."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(copied(database, Path(folder)))) as conn:
        assert conn.execute("pragma integrity_check").fetchone() == ("ok",)
        state, audience = conn.execute("select state, audience from mailing where id = ?", (mailing,)).fetchone()
        rows = conn.execute(
            "select s.address, d.state, d.attempts, (select count(*) from attempt where delivery = d.id),"
            " (select reply from attempt where delivery = d.id order by number desc limit 1)"
            " from delivery d left join subscriber s on s.id = d.subscriber where d.mailing = ?",
            (mailing,),
        ).fetchall()
        assert all(attempts == written for _, _, attempts, written, _ in rows)
        tally = conn.execute("select state, number from tally where mailing = ? and number <> 0", (mailing,)).fetchall()
    return Books(
        state=STATES[state],
        audience=audience,
        tally=Counter({WORDS[number]: count for number, count in tally}),
        rows={address: WORDS[number] for address, number, _, _, _ in rows},
        attempts={address: attempts for address, _, attempts, _, _ in rows},
        replies={address: reply or "" for address, _, _, _, reply in rows},
    )


def audit(found: Books, taken: Iterable[str], *, doubts: int | None = None) -> None:
    """What is true at every moment, whatever has happened. `taken`: each recipient whom the relay said 2yz for.

    `doubts`: how many may be unsure, at the most.
    """
    assert found.tally == found.counted, "the tally is what the rows say"
    assert found.tally.total() == found.audience == len(found.rows), "the sum is the audience"
    got = Counter(taken)
    doubled = {address for address, times in got.items() if times > 1}
    assert not doubled, f"mailed twice: {sorted(doubled)}"
    invented = found.people("accepted") - set(got)
    assert not invented, f"called accepted, and never taken: {sorted(invented)}"
    forgotten = set(got) - found.people("accepted", "bounced", *UNSURE)
    assert not forgotten, f"taken, and not known to be: {sorted(forgotten)}"
    if found.state == "finished":
        assert not found.people(*OPEN), "finished is what has nothing open"
    if doubts is not None:
        unsure = found.people(*UNSURE)
        assert len(unsure) <= doubts, f"in doubt: {sorted(unsure)}"
