"""`kill -9` at any moment: nobody lost, nobody mailed twice, and who is in doubt is named.

`python -m tests.long.kills --rounds 1000` does it as often as one likes.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests.lab.failpoints import POINTS
from tests.lab.nursery import nursery
from tests.long.kills import ANYWHERE, Mailing, Totals

PEOPLE = 60


def test_a_sender_killed_at_every_point_and_at_any_loses_nobody_and_doubles_nobody(tmp_path: Path) -> None:
    """After each kill no more are in doubt than connections were open; the sums are right; the next one goes on."""
    totals = Totals()
    with nursery(tmp_path / "said") as born:
        mailing = Mailing(tmp_path / "1", born, random.Random(), totals, PEOPLE, "slow to answer")
        with mailing.relay():
            for point in POINTS:
                assert mailing.killed(point, 1), point
            for _ in range(4):
                mailing.killed(ANYWHERE)
            mailing.settled()
    assert (totals.lost, totals.doubled) == (0, 0)
    assert totals.kills >= len(POINTS)
    assert totals.accepted + totals.in_doubt == PEOPLE
