"""Places in a sender where it kills itself, when it comes there for the n-th time.

Nothing of this is in the program: what it calls is wrapped, in the process that is to die.
"""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from broadcaster import db
from broadcaster.delivery import Event
from broadcaster.ledger import Ledger
from broadcaster.transports.smtp import SmtpTransport, _Pipe

Die = Callable[[], None]


def kill() -> None:
    """As `kill -9` does it: nothing more of this process happens."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, die: Die) -> None:
    wrapped = getattr(owner, name)

    def call(*words: Any, **more: Any) -> Any:
        die()
        return wrapped(*words, **more)

    setattr(owner, name, call)


def after(owner: Any, name: str, die: Die, when: Callable[..., bool] = lambda *_: True) -> None:
    wrapped = getattr(owner, name)

    def call(*words: Any, **more: Any) -> Any:
        result = wrapped(*words, **more)
        if when(*words):
            die()
        return result

    setattr(owner, name, call)


def claims(_ledger: Ledger, _number: int, _ids: Sequence[int], event: Event) -> bool:
    return event is Event.CLAIM


def around_commits(die: Die, *, early: bool) -> None:
    """Just before a transaction is written down, or just after: any one, whoever makes it."""

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *words: Any) -> sqlite3.Cursor:
            commits = sql == "commit"
            if commits and early:
                die()
            result = super().execute(sql, *words)
            if commits and not early:
                die()
            return result

    connect = sqlite3.connect

    def watched(*words: Any, **more: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*words, **{**more, "factory": Watched})
        return made

    sqlite3.connect = watched  # type: ignore[assignment]


# statements that change a file, or are about to
CHANGES = ("attach", "begin", "commit", "detach", "insert", "select sqlcipher_export", "pragma fresh.user_version")


def on_the_disk(die: Die) -> None:
    """Just before a file changes, by our own hand or by SQLCipher's."""
    for name in ("link", "rename", "replace", "unlink", "pwrite", "fsync"):
        before(os, name, die)
    cipher = db._cipher()

    class Watched(cipher.Connection):  # type: ignore[misc, name-defined]
        def execute(self, sql: str, *words: Any) -> Any:
            if sql.startswith(CHANGES) or "journal_mode =" in sql:
                die()
            return super().execute(sql, *words)

    driver = SimpleNamespace(connect=functools.partial(cipher.connect, factory=Watched))
    db._cipher = lambda: driver  # type: ignore[assignment]


# In the order of a delivery's life.
POINTS: dict[str, Callable[[Die], None]] = {
    "taking over": lambda die: after(Ledger, "name_sender", die),
    "recovered": lambda die: after(Ledger, "recover", die),
    "connecting": lambda die: before(SmtpTransport, "open", die),
    "before the claim": lambda die: before(Ledger, "slips", die),
    "in the claim": lambda die: after(Ledger, "shift", die, claims),
    "after the claim": lambda die: before(SmtpTransport, "deliver", die),
    "after MAIL": lambda die: after(_Pipe, "ask", die),
    "before the mark": lambda die: before(Ledger, "record", die),
    "before the dot": lambda die: before(_Pipe, "finish", die),
    "after the dot": lambda die: after(_Pipe, "finish", die),
    "after 250": lambda die: after(_Pipe, "_complete", die),
    "before a commit": lambda die: around_commits(die, early=True),
    "after a commit": lambda die: around_commits(die, early=False),
    "after the outcome": lambda die: after(Ledger, "record", die),
    "finishing": lambda die: before(Ledger, "finish_if_done", die),
    "saying goodbye": lambda die: before(SmtpTransport, "close", die),
}


# of other commands than `send`
OTHERS: dict[str, Callable[[Die], None]] = {"on the disk": on_the_disk}


def arm(point: str, nth: int) -> None:
    """Make this process die at the n-th coming to a point."""
    left = nth

    def die() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            kill()

    {**POINTS, **OTHERS}[point](die)
