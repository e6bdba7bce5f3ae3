"""`kill -9` at any moment: nobody lost, nobody mailed twice, and who is in doubt is named."""

from __future__ import annotations

import random
import re
import signal
import sqlite3
import time
from collections import Counter

from tests.conftest import Place
from tests.lab.server import Remote

ROUNDS = 10
CONNECTIONS = 4
NUMBER = 1500
STATEMENT = "---\nsubject: Hello\n---\nHello {{ subscriber.name }}\n"


def mailed(server: Remote) -> Counter[str]:
    return Counter(recipient for message in server.messages if message.accepted for recipient in message.recipients)


def test_a_sender_killed_again_and_again_loses_nobody_and_doubles_nobody(place: Place, server: Remote) -> None:
    place.configure(server.port, connections=CONNECTIONS, more='[retry]\nafter = ["1s"]\n')
    place.statement("june", en=STATEMENT)
    rows = "".join(f"p{number}@example.org,Person {number}\n" for number in range(NUMBER))
    place.people("email,name\n" + rows)
    place.run("prepare", "june", "--list", "news")
    dice = random.Random()
    killed = 0
    for _ in range(ROUNDS):
        before = mailed(server).total()
        sender = place.start("send", "1", "--yes")
        # from the very start to the middle of the work
        until = time.monotonic() + 10
        goal = before + dice.randrange(1, NUMBER // ROUNDS)
        while mailed(server).total() < goal and time.monotonic() < until and sender.poll() is None:
            time.sleep(dice.random() * 0.01)
        sender.send_signal(signal.SIGKILL)
        sender.communicate()
        killed += sender.returncode == -signal.SIGKILL
        assert max(mailed(server).values(), default=1) == 1
    assert killed >= ROUNDS // 2

    place.run("send", "1", "--yes", status=None)
    status = place.run("status", "1", "--json").json
    states = [
        *("pending", "claimed", "handed", "deferred", "accepted", "rejected", "in_doubt", "bounced"),
        *("suppressed", "skipped", "expired", "cancelled"),
    ]
    assert sum(status[state] for state in states) == status["audience"] == NUMBER
    assert status["accepted"] + status["in_doubt"] == NUMBER
    assert status["in_doubt"] <= killed * CONNECTIONS

    got = mailed(server)
    assert max(got.values()) == 1
    named = place.run("status", "1", "--deliveries", "--state", "in_doubt").out
    doubted = set(re.findall(r"p\d+@example\.org", named))
    assert len(doubted) == status["in_doubt"]
    # who was not reached is in doubt, and everybody else was
    assert {f"p{number}@example.org" for number in range(NUMBER)} - set(got) <= doubted

    if status["in_doubt"]:
        place.run("resolve", "1", "--accept", "--yes")
    assert place.run("status", "1", "--json").json["state"] == "finished"
    database = sqlite3.connect(place.root / "subscribers/broadcaster.db")
    assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
