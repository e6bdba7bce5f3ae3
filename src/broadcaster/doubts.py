"""What is written down of deliveries in doubt: when they were tried, and what was found out since.

Whether and where a delivery moves the ledger says; here are only the attempts beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broadcaster.db import Db
from broadcaster.delivery import State


@dataclass(frozen=True, slots=True)
class Times:
    """When a delivery in doubt was answered last before (0: never), and when the doubt arose. Epoch seconds."""

    before: int = 0
    doubted: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """The late answer to an attempt, as something else than the relay's own voice tells it."""

    delivery: int
    state: State
    at: int
    status: str
    reply: str


class Doubts:
    """All SQL about what nobody heard, on one connection."""

    def __init__(self, db: Db) -> None:
        self._db = db

    def times(self, number: int) -> dict[int, Times]:
        """When those in doubt were tried. Of the rest nothing is known: a database that was lost has sent them."""
        rows = self._db.conn.execute(
            "select d.id, coalesce(before.at, 0), a.at"
            " from mailing m join delivery d on d.id between m.first and m.last"
            " left join attempt a on a.delivery = d.id and a.number = d.attempts and a.state = 6"
            " left join attempt before on before.delivery = d.id and before.number = d.attempts - (a.at is not null)"
            " where m.id = ? and d.state = 6 and d.attempts > 0",
            (number,),
        )
        return {delivery: Times(before, doubted) for delivery, before, doubted in rows}

    def last_claim(self, number: int) -> int | None:
        """When a lot of a mailing was claimed last, in whatever database (epoch seconds)."""
        row = self._db.conn.execute("select claimed_at from mailing where id = ?", (number,)).fetchone()
        return row[0] if row else None

    def put_off(self, number: int, deliveries: Iterable[int], due: int) -> None:
        """When those that were deferred, as it turned out, may be tried again (epoch seconds)."""
        with self._db.atomic() as conn:
            conn.executemany(
                "insert or replace into due values (?, ?, ?)", [(each, number, due) for each in deliveries]
            )

    def answer(self, words: Iterable[Word]) -> None:
        """Write late answers into the attempts that had none, or as attempts that nobody here knew of."""
        with self._db.atomic() as conn:
            for word in words:
                attempts, known = conn.execute(
                    "select attempts, exists (select 1 from subscriber where id = d.subscriber)"
                    " from delivery d where id = ?",
                    (word.delivery,),
                ).fetchone()
                # the words are likely to name the person: not of one who was erased
                reply = word.reply if known else ""
                told = conn.execute(
                    "update attempt set state = ?, at = ?, status = ?, reply = ? where delivery = ? and number = ?"
                    " and state = 6",
                    (word.state, word.at, word.status, reply, word.delivery, attempts),
                ).rowcount
                if not told:
                    conn.execute("update delivery set attempts = attempts + 1 where id = ?", (word.delivery,))
                    conn.execute(
                        "insert into attempt values (?, ?, ?, '', ?, 0, ?, ?)",
                        (word.delivery, attempts + 1, word.at, word.state, word.status, reply),
                    )
