"""Twenty `run`s at once, as often as one likes: one works, nineteen exit with 75, say nothing, and nothing is doubled.

    python -m tests.long.runs --rounds 200

The relay is stopped while they start, so that the one at work is still there when the last of the others comes.
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.lab.clocks import time_comes
from tests.lab.nursery import Nursery, nursery
from tests.lab.server import Remote, spawned
from tests.lab.world import World, world

RUNS = 20
PEOPLE = 8


def at_once(here: World, born: Nursery, relay: Remote) -> None:
    """One round, in a fresh workspace."""
    here.configure(relay.port, connections=3)
    with closing(sqlite3.connect(here.database)) as conn, conn:
        conn.execute("update mailing set state = 1")
    time_comes(here.database)
    before = len(relay.messages)
    relay.process.send_signal(signal.SIGSTOP)
    try:
        children = [born.start("-C", str(here.root), "run") for _ in range(RUNS)]
        end = time.monotonic() + 60
        while sum(child.over for child in children) < RUNS - 1:
            assert time.monotonic() < end, "more than one is at work"
            time.sleep(0.01)
    finally:
        relay.process.send_signal(signal.SIGCONT)
    ended = Counter(child.wait() for child in children)
    assert ended == {0: 1, 75: RUNS - 1}, (ended, [child.words for child in children])
    said = [child.words for child in children if child.words]
    assert len(said) == 1, said
    assert "finished" in said[0]
    taken = Counter(to for message in relay.messages[before:] for to in message.recipients)
    assert taken == {f"p{number}@example.org": 1 for number in range(1, PEOPLE + 1)}
    assert born.run("-C", str(here.root), "run") == (0, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder)
        with nursery(kept / "said") as born, spawned(kept / "record") as relay:
            for number in range(1, rounds + 1):
                at_once(world(kept / str(number), PEOPLE), born, relay)
                print(f"{number} rounds of {RUNS}: nothing doubled, nobody waited", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
