"""`kill -9` a thousand times, at random and at named points: nobody lost, nobody mailed twice, doubts are named.

    python -m tests.long.kills --rounds 1000

One mailing after another is sent to a relay that remembers every byte, through moods a relay may have. Its senders
are killed until it is through. After each kill the books are held against what the relay took. Totals are kept
in a file: the same command goes on with them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.audit import UNSURE, Books, audit
from tests.lab.failpoints import POINTS
from tests.lab.nursery import Nursery, nursery
from tests.lab.record import Tail
from tests.lab.server import Rule, spawned
from tests.lab.world import World, world

PEOPLE = 150
ANYWHERE = "anywhere"

# What relays are like, without making doubts of their own.
MOODS: dict[str, tuple[tuple[Rule, ...], tuple[str, ...]]] = {
    "instant": ((), ()),
    "slow to answer": ((Rule("dot", delay=0.01),), ()),
    "slow to ask": ((Rule("data", delay=0.005),), ()),
    "no pipelining": ((), ("--offers", "8BITMIME,ENHANCEDSTATUSCODES")),
    "a few at a time": ((), ("--most-messages", "5")),
    "greylisting": ((Rule("rcpt", reply="450 4.2.0 come again", tries=(1,)),), ()),
    "going down": ((Rule("mail", reply="421 4.3.2 later", tries=tuple(range(7, 10_000, 11))),), ()),
}


@dataclass
class Totals:
    """What came of all rounds so far."""

    kills: int = 0
    starts: int = 0
    mailings: int = 0
    people: int = 0
    accepted: int = 0
    in_doubt: int = 0
    in_doubt_and_taken: int = 0
    most_in_doubt_by_one_kill: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0
    at: Counter[str] = field(default_factory=Counter)

    @classmethod
    def load(cls, path: Path | None) -> Totals:
        if path is None or not path.exists():
            return cls()
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**found, "at": Counter(found["at"])})

    def save(self, path: Path | None) -> None:
        if path is not None:
            path.write_text(json.dumps(vars(self), indent=2) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        words = [f"{name.replace('_', ' ')} {value:,}" for name, value in vars(self).items() if name != "at"]
        points = ", ".join(f"{point} {number}" for point, number in self.at.most_common())
        return f"{'; '.join(words)}\n  {points}"


class Mailing:
    """One mailing, sent by senders that do not live long."""

    def __init__(
        self, folder: Path, born: Nursery, dice: random.Random, totals: Totals, people: int, mood: str = ""
    ) -> None:
        self.here: World = world(folder / "workspace", people)
        self.record = folder / "record"
        self.record.touch()
        self.mood = mood or dice.choice(sorted(MOODS))
        self.connections = dice.choice((1, 2, 4, 8))
        self._born = born
        self._dice = dice
        self._totals = totals
        self._people = people
        self._taken: Counter[str] = Counter()
        self._tail = Tail(self.record)
        self._unsure = 0

    @property
    def taken(self) -> Counter[str]:
        """Who was given a 2yz so far."""
        new = self._tail.new()
        self._taken.update(one for message in new if message.accepted for one in message.recipients)
        return self._taken

    def send(self, most: int) -> None:
        """Kill senders, at the most so many, then let one come to its end."""
        with self.relay():
            while most > 0 and self.killed():
                most -= 1
            self.settled()

    @contextlib.contextmanager
    def relay(self) -> Iterator[None]:
        """Somebody to send to."""
        rules, arguments = MOODS[self.mood]
        with spawned(self.record, *rules, arguments=arguments) as relay:
            self.here.configure(relay.port, self.connections, '[retry]\nafter = ["1s"]\n')
            yield

    def settled(self) -> None:
        """Let a sender live, and see what has become of everybody."""
        books = self._ended()
        totals = self._totals
        totals.mailings += 1
        totals.people += self._people
        totals.accepted += books.counted["accepted"]
        totals.in_doubt += books.counted["in_doubt"]
        totals.in_doubt_and_taken += len(books.people("in_doubt") & set(self.taken))
        totals.lost += len(set(books.rows) - set(self.taken) - books.people("in_doubt"))
        totals.doubled += sum(1 for times in self.taken.values() if times > 1)

    def killed(self, point: str = "", nth: int = 0) -> bool:
        """Start a sender, kill it, look into the books. False: it came to its end."""
        point = point or self._dice.choice((*POINTS, *[ANYWHERE] * (len(POINTS) // 2)))
        words = ("-C", str(self.here.root), "send", "1", "--yes", "--wait")
        self._totals.starts += 1
        if point == ANYWHERE:
            ended = self._at_random(words)
        else:
            # most places are come to once for each message, some once for each lot, or once at all
            nth = nth or self._dice.choice((1, 2, 3, self._dice.randrange(1, 2 + self._people // 4)))
            ended = self._born.start(*words, point=(point, nth)).wait()
        if ended >= 0:
            # the one before was killed when all was done
            assert ended in (0, 75) or (ended == 77 and self.here.books().state == "finished"), ended
            return False
        self._totals.kills += 1
        self._totals.at[point] += 1
        self._look()
        return True

    def _at_random(self, words: tuple[str, ...]) -> int:
        """Kill after so many messages or so long; now and then a process that was not born grown up."""
        if self._dice.random() < 0.1:
            process = subprocess.Popen(
                [sys.executable, "-m", "broadcaster", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._dice.random())
            process.kill()
            return process.wait()
        child = self._born.start(*words)
        goal = self.taken.total() + self._dice.randrange(1, 1 + self._people // 8)
        until = time.monotonic() + self._dice.expovariate(5)
        while self.taken.total() < goal and time.monotonic() < until and not child.over:
            time.sleep(self._dice.random() * 0.005)
        child.kill()
        return child.wait()

    def _look(self) -> None:
        books = self.here.books()
        audit(books, self.taken.elements())
        handed, unsure = books.counted["handed"], len(books.people(*UNSURE))
        assert handed <= self.connections, f"{handed} handed on {self.connections} connections"
        assert unsure <= self._unsure + self.connections, f"{unsure - self._unsure} more in doubt by one kill"
        self._totals.most_in_doubt_by_one_kill = max(self._totals.most_in_doubt_by_one_kill, unsure - self._unsure)
        self._unsure = unsure

    def _ended(self) -> Books:
        """Let a sender live; then a person settles the doubts."""
        place = ("-C", str(self.here.root))
        status, said = self._born.run(*place, "send", "1", "--yes", "--wait")
        books = self.here.audit(self.taken.elements())
        assert set(books.counted) <= {"accepted", "in_doubt"}, said
        # one that was killed when all was done has left nothing to send
        finished = not books.counted["in_doubt"]
        assert status in ((0, 77) if finished else (75,)), said
        if not finished:
            assert self._born.run(*place, "resolve", "1", "--accept", "--yes")[0] == 0
            assert self.here.books().state == "finished"
        return books


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill senders, and look into the books after each kill.")
    parser.add_argument("--rounds", type=int, default=1000, help="kills, with those of earlier runs")
    parser.add_argument("--people", type=int, default=PEOPLE, help="of each mailing")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--totals", type=Path, help="a file that keeps them: the next run goes on")
    options = parser.parse_args()
    totals = Totals.load(options.totals)
    seed = options.seed if options.seed is not None else time.time_ns()
    dice = random.Random(seed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kept = Path(tempfile.mkdtemp(prefix="kills-"))
    with nursery(kept / "said") as born:
        while totals.kills < options.rounds:
            begun, folder = time.monotonic(), kept / f"{totals.mailings}"
            mailing = Mailing(folder, born, dice, totals, options.people)
            try:
                mailing.send(options.rounds - totals.kills)
            except AssertionError as error:
                say(f"seed {seed}, {mailing.mood}, {mailing.connections} connections, in {folder}: {error}")
                return 1
            totals.seconds += time.monotonic() - begun
            totals.save(options.totals)
            say(f"{mailing.mood}, {mailing.connections} connections: {totals.kills:,} kills")
    say(str(totals))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
