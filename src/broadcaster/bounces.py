"""The bounce log: all SQL about what came back, and about how far each mailbox was read.

What a report says and what we did is kept as long as the deliveries are; the message itself, packed, as long as
[retention] returns wants. It lies in the database and not in a folder beside it: so it is there exactly when its row
is, whoever is killed when, and is private as the rest is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

from broadcaster.db import Db
from broadcaster.delivery import State
from broadcaster.effect import Effect, Past
from broadcaster.returns import Action, Kind, Notice


class Fate(IntEnum):
    """What a message was. The numbers are stored: never renumber."""

    UNDERSTOOD = 1
    ORDINARY = 2
    SET_ASIDE = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log: what one report says of one recipient, and what we did. Times in epoch seconds."""

    source: str
    notice: Notice
    effect: Effect
    at: int
    mailing: int | None = None
    delivery: int | None = None
    key: str | None = None
    verdict: str | None = None
    sent: int | None = None
    counts: bool = False


class Copy(NamedTuple):
    """A copy that a report is about. `sent`: when it was handed over last, None: it never was (epoch seconds)."""

    delivery: int
    mailing: int
    subscriber: int
    list: int
    state: State
    sent: int | None


class Refusal(NamedTuple):
    """A refusal that was heard while sending, and is still to be weighed."""

    delivery: int
    mailing: int
    at: int
    relay: str
    code: int
    reply: str
    stage: int
    over: int  # 1: nothing more of its mailing will be sent


class Wanted(NamedTuple):
    """Which rows of the log. Empty: any."""

    mailing: int | None = None
    since: int = 0
    domain: str = ""
    kind: str = ""
    reason: str = ""
    effect: str = ""
    key: str = ""


_COLUMNS: Final = (
    *("at", "source", "recipient", "mailing", "kind", "action", "status", "reason", "words", "effect"),
    *("delivery", "key", "message"),
)


class Bounces:
    """All SQL about what came back, on one connection."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self._conn = db.conn

    # mailboxes

    def place(self, url: str) -> tuple[int, int, str]:
        """How far a mailbox was read: IMAP's validity, the last of it, a mark of what stands before."""
        row: tuple[int, int, str] | None = self._conn.execute(
            "select validity, last, mark from mailbox where url = ?", (url,)
        ).fetchone()
        return row or (0, 0, "")

    def known(self, url: str) -> set[str]:
        """The names of the messages in a mailbox that were read."""
        rows = self._conn.execute(
            "select name from known join mailbox on mailbox.id = known.mailbox where url = ?", (url,)
        )
        return {row[0] for row in rows}

    def read_to(self, url: str, place: tuple[int, int, str] | None, names: Iterable[str]) -> None:
        """How far a mailbox is read now, and which of its messages were."""
        with self.db.atomic() as conn:
            conn.execute("insert or ignore into mailbox (url) values (?)", (url,))
            (number,) = conn.execute("select id from mailbox where url = ?", (url,)).fetchone()
            if place is not None:
                # who reads at the same time may be farther; another validity, or a smaller mbox, begins anew
                conn.execute(
                    "update mailbox set last = ?2, mark = ?3, validity = ?1 where id = ?4"
                    " and (validity <> ?1 or last < ?2 or mark <> ?3)",
                    (*place, number),
                )
            rows = [(number, _plain(name)) for name in names if name]
            conn.executemany("insert or ignore into known values (?, ?)", rows)

    def forget_gone(self, url: str, there: Sequence[str]) -> None:
        """Names of a mailbox that are no longer in it need not be known."""
        with self.db.atomic() as conn:
            conn.execute(
                "delete from known where mailbox = (select id from mailbox where url = ?)"
                " and name not in (select value from json_each(?))",
                (url, json.dumps([*there])),
            )

    # messages

    def fates(self, digests: Sequence[bytes]) -> dict[bytes, Fate]:
        """What these messages were, those that were read before."""
        found = {}
        for digest in digests:
            row = self._conn.execute("select fate from returned where digest = ?", (digest,)).fetchone()
            if row is not None:
                found[digest] = Fate(row[0])
        return found

    def take(self, digest: bytes, fate: Fate, at: int, source: str, raw: bytes | None) -> int | None:
        """Write a message down, once: its number, or None where somebody has written it down already."""
        with self.db.atomic() as conn:
            packed = None if raw is None else zlib.compress(raw)
            written = conn.execute(
                "insert or ignore into returned (digest, at, fate, source, raw) values (?, ?, ?, ?, ?)",
                (digest, at, fate, source, packed),
            )
            return written.lastrowid if written.rowcount else None

    def raw(self, message: int) -> bytes | None:
        """A message as it came, as long as it is kept."""
        row = self._conn.execute("select raw from returned where id = ?", (message,)).fetchone()
        return zlib.decompress(row[0]) if row and row[0] is not None else None

    def set_aside(self) -> list[tuple[int, str, int]]:
        """The messages that could not be read and are kept: number, source, when."""
        return self._conn.execute(
            "select id, source, at from returned where fate = 3 and raw is not null order by id"
        ).fetchall()

    def expired(self, before: int) -> int:
        """How many messages from before a time are still kept as they came."""
        row = self._conn.execute("select count(*) from returned where raw is not null and at < ?", (before,)).fetchone()
        return int(row[0])

    def forget(self, before: int) -> int:
        """Forget the messages that were read before a time, but for what is in the log. How many."""
        with self.db.atomic() as conn:
            # of ordinary mail there is only the digest: its mailbox remembers that it was read
            conn.execute("delete from returned where fate = 2 and at < ?", (before,))
            return conn.execute("update returned set raw = null where raw is not null and at < ?", (before,)).rowcount

    # the log

    def write(self, entry: Entry, message: int | None) -> None:
        """Add a row to the log."""
        notice = entry.notice
        with self.db.atomic() as conn:
            conn.execute(
                "insert into bounce (message, source, at, mailing, delivery, key, recipient, kind, action, status,"
                " reason, words, effect, verdict, sent, counts)"
                " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    message,
                    entry.source,
                    entry.at,
                    entry.mailing,
                    entry.delivery,
                    entry.key,
                    _plain(notice.recipient),
                    notice.kind,
                    notice.action,
                    _plain(notice.status),
                    _plain(notice.reason),
                    _plain(notice.words),
                    entry.effect,
                    entry.verdict,
                    entry.sent,
                    entry.counts,
                ),
            )

    def heard(self, delivery: int, verdict: str) -> bool:
        """Whether that was heard of a copy before."""
        return (
            self._conn.execute(
                "select 1 from bounce where delivery = ? and verdict = ?", (delivery, verdict)
            ).fetchone()
            is not None
        )

    def counted(self, key: str) -> list[Past]:
        """The verdicts that count against an address."""
        rows = self._conn.execute("select kind, mailing, sent from bounce where key = ? and counts = 1", (key,))
        return [Past(Kind(kind), mailing, sent) for kind, mailing, sent in rows]

    def pardon(self, key: str) -> int:
        """Count nothing against an address that was heard so far. How many that were."""
        with self.db.atomic() as conn:
            return conn.execute("update bounce set counts = 0 where key = ? and counts = 1", (key,)).rowcount

    def dead(self, mailing: int) -> int:
        """How many copies of a mailing came back because the address is dead."""
        row = self._conn.execute(
            "select count(*) from bounce where mailing = ? and verdict = 'failed' and kind = 'hard'", (mailing,)
        ).fetchone()
        return int(row[0])

    def hold(self, mailing: int) -> list[str]:
        """Let no dead address of a mailing count: the keys of those that were suppressed for it."""
        with self.db.atomic() as conn:
            rows = conn.execute(
                # of who was erased since there is none
                "select key from bounce where mailing = ? and verdict = 'failed' and kind = 'hard'"
                " and effect = 'suppressed' and key is not null",
                (mailing,),
            ).fetchall()
            conn.execute(
                "update bounce set effect = 'held', counts = 0 where mailing = ? and verdict = 'failed'"
                " and kind = 'hard' and effect in ('suppressed', 'counted')",
                (mailing,),
            )
            return [row[0] for row in rows]

    def held(self, mailing: int) -> list[tuple[int, Entry]]:
        """The rows of a mailing that are held, to be weighed again."""
        rows = self._conn.execute(
            "select id, source, kind, action, recipient, status, reason, words, at, delivery, key, sent from bounce"
            " where mailing = ? and effect = 'held' order by id",
            (mailing,),
        )
        return [
            (
                number,
                Entry(
                    source,
                    Notice(Kind(kind), Action(action), recipient, (), status, reason, words),
                    Effect.HELD,
                    at,
                    mailing,
                    delivery,
                    key,
                    "failed",
                    sent,
                ),
            )
            for number, source, kind, action, recipient, status, reason, words, at, delivery, key, sent in rows
        ]

    def amend(self, row: int, entry: Entry) -> None:
        """What follows of a row has changed."""
        with self.db.atomic() as conn:
            conn.execute("update bounce set effect = ?, counts = ? where id = ?", (entry.effect, entry.counts, row))

    def log(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """Rows of the log, the newest first."""
        rows = self._conn.execute(
            "select at, source, recipient, mailing, kind, action, status, reason, words, effect, delivery, key, message"
            " from bounce where (:mailing is null or mailing = :mailing) and at >= :since"
            " and (:kind = '' or kind = :kind) and (:reason = '' or reason = :reason)"
            " and (:effect = '' or effect = :effect)"
            " and (:key = '' or key = :key or recipient = :key) and (:domain = '' or"
            " substr(recipient, instr(recipient, '@') + 1) = :domain or substr(key, instr(key, '@') + 1) = :domain)"
            " order by id desc",
            wanted._asdict(),
        )
        for row in rows:
            found = dict(zip(_COLUMNS, row, strict=True))
            yield {**found, "address": found["key"]}

    def tally(self, mailing: int) -> Mapping[str, int]:
        """What came back of a mailing, by kind; each copy once."""
        rows = self._conn.execute(
            "select kind, count(*) from bounce where mailing = ? and verdict is not null and message is not null"
            " group by kind order by 2 desc",
            (mailing,),
        )
        return dict(rows.fetchall())

    # copies, and what was said of them while sending

    def copy(self, delivery: int) -> Copy | None:
        """The copy with this number. One that nobody heard of yet was handed over after its mailing's last claim."""
        row = self._conn.execute(
            "select d.id, d.mailing, d.subscriber, d.list, d.state, (select max(at) from attempt"
            " where delivery = d.id and state in (4, 6)), coalesce(m.claimed_at, m.changed)"
            " from delivery d join mailing m on m.id = d.mailing where d.id = ?",
            (delivery,),
        ).fetchone()
        if row is None:
            return None
        state = State(row[4])
        unheard = state in (State.HANDED, State.IN_DOUBT, State.BOUNCED)
        return Copy(row[0], row[1], row[2], row[3], state, row[6] if row[5] is None and unheard else row[5])

    def arrived(self, subscriber: int, before: int) -> int:
        """When the newest copy to a person was taken that has not come back, of those before a time. 0: none was."""
        # one look for each mailing, as in `history`
        row = self._conn.execute(
            "select max(a.at) from mailing m cross join delivery d on d.mailing + 0 = +m.id and d.subscriber = ?"
            " join attempt a on a.delivery = d.id and a.state = 4 where d.state = 4 and m.rehearsal = 0 and a.at < ?",
            (subscriber, before),
        ).fetchone()
        return row[0] or 0

    def refusals(self, after: int, limit: int) -> list[Refusal]:
        """Refusals to be weighed, by delivery. What was pardoned meanwhile is none."""
        rows = self._conn.execute(
            "select r.delivery, d.mailing, a.at, a.relay, a.code, a.reply, r.stage, m.state in (5, 6) from refusal r"
            " join delivery d on d.id = r.delivery and d.state = 5 join mailing m on m.id = d.mailing"
            " join attempt a on a.delivery = d.id and a.number = d.attempts"
            " where r.delivery > ? order by r.delivery limit ?",
            (after, limit),
        )
        return [Refusal(*row) for row in rows]

    def weighed(self, deliveries: Sequence[int]) -> None:
        """These refusals are weighed; and so is what was pardoned."""
        with self.db.atomic() as conn:
            conn.execute(
                "delete from refusal where delivery in (select value from json_each(?))"
                " or not exists (select 1 from delivery where id = refusal.delivery and state = 5)",
                (json.dumps([*deliveries]),),
            )

    def took(self, number: int, relay: str) -> bool:
        """Whether a relay has accepted anything of a mailing: only then its refusals are about people."""
        row = self._conn.execute(
            "select 1 from mailing m cross join attempt a on a.delivery between m.first and m.last"
            " where m.id = ? and a.relay = ? and a.state = 4 limit 1",
            (number, relay),
        ).fetchone()
        return row is not None


def _plain(text: str) -> str:
    """What SQLite can keep: half characters are not text."""
    return text.encode("utf-8", "replace").decode("utf-8")
