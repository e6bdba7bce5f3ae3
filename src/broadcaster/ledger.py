"""The ledger: all SQL about sending. It stores states and never chooses them: every move is looked up in a table.

What a claim writes is on the disk before anything goes on a wire; marks of handing and outcomes survive the
death of the process and may be lost with the power. The sum of a mailing's tally is its audience, always.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from broadcaster import mailing as m
from broadcaster.db import Db, damaged
from broadcaster.delivery import NEXT, Answer, Event, Outcome, Reply, State
from broadcaster.errors import NotAllowed, NotFound
from broadcaster.mailing import Mailing, Part, Rule
from broadcaster.schedule import Window


class Slip(NamedTuple):
    """A claimed delivery: what a courier needs of its row. `attempts` counts those that were answered."""

    id: int
    mailing: int
    subscriber: int
    list: int
    part: int
    attempts: int


# Where an event can come from.
FROM: dict[Event, list[State]] = {event: [before for before, e in NEXT if e is event] for event in Event}

# What a courier's report can find: nobody reports on what is not out. The most likely comes first.
IN_HAND = (State.HANDED, State.CLAIMED, State.IN_DOUBT)

# Events that end an attempt: the relay was asked.
ATTEMPTS = (Event.ACCEPT, Event.DEFER, Event.REJECT, Event.LOSE)

# One mailing by number, or some by statement and state: a table of some hundred rows at the most.
_MAILINGS = (
    "select id, statement, state, digest, content, rule, left_out, audience, first, last, rehearsal, created, who,"
    " due, due_words, expires, reason, changed, forgotten, guard from mailing"
    " where (?1 is null or id = ?1) and (?2 is null or statement = ?2)"
    " and (?3 = '[]' or state in (select value from json_each(?3))) order by id desc"
)


class Ledger:
    """All SQL about sending, on one connection."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self._conn = db.conn

    # mailings

    def mailing(self, number: int) -> Mailing:
        """One mailing. Raises NotFound."""
        # SQLite's integers end at 2⁶³
        row = self._conn.execute(_MAILINGS, (number, None, "[]")).fetchone() if number < 2**63 else None
        if row is None:
            raise NotFound(f"no mailing {number}", hint="`broadcaster mailings` lists them")
        return self._mailing(row)

    def mailings(self, *, statement: str | None = None, states: Sequence[m.State] = ()) -> list[Mailing]:
        """Mailings, the newest first, of one statement or in some states where asked."""
        rows = self._conn.execute(_MAILINGS, (None, statement, json.dumps([int(s) for s in states]))).fetchall()
        return [self._mailing(row) for row in rows]

    def numbers(self) -> frozenset[int]:
        """The numbers of all mailings."""
        return frozenset(row[0] for row in self._conn.execute("select id from mailing"))

    def _mailing(self, row: tuple[Any, ...]) -> Mailing:
        try:
            tally = {
                State(state): number
                for state, number in self._conn.execute(
                    "select state, number from tally where mailing = ? and number > 0", (row[0],)
                )
            }
            return Mailing(
                id=row[0],
                statement=row[1],
                state=m.State(row[2]),
                digest=row[3],
                content=row[4],
                rule=Rule.from_json(row[5]),
                left_out=json.loads(row[6]),
                audience=row[7],
                first=row[8],
                last=row[9],
                rehearsal=bool(row[10]),
                created=row[11],
                who=row[12],
                window=Window(row[13], row[14], row[15], closes=row[19] > 0),
                reason=row[16],
                changed=row[17],
                forgotten=row[18],
                lifted=row[19] > 1,
                tally=tally,
            )
        except (KeyError, TypeError, ValueError):
            raise damaged(self.db.path, f"mailing {row[0]} cannot be read") from None

    def move(self, number: int, event: m.Event, now: int, reason: str = "", **details: Any) -> Mailing:
        """Move a mailing by its table. Raises NotAllowed where the table has no such move.

        `details` are for the audit log; `reason`, which may quote a relay, is not.
        On the disk: who was told that it is paused must not find it sent after a power cut.
        """
        with self.db.atomic(durable=True) as conn:
            state = self.mailing(number).state
            end = m.NEXT.get((state, event))
            if end is None:
                raise NotAllowed(f"mailing {number} is {state.word}: it cannot {event.name.lower()}")
            # no earlier than the sender at work began, who asks for that: the clock may have been set back
            conn.execute(
                "update mailing set state = ?, reason = ?,"
                " changed = max(?, coalesce((select since from sender), 0)) where id = ?",
                (end, reason, now, number),
            )
            self.db.note(f"mailing {event.name.lower()}", now, mailing=number, **details)
        return self.mailing(number)

    def state(self, number: int) -> m.State:
        """The state alone: asked before each lot."""
        return m.State(self._conn.execute("select state from mailing where id = ?", (number,)).fetchone()[0])

    def remembered(self, number: int) -> Mailing:
        """A mailing of which it is known who got it. Raises NotFound for one whose deliveries were forgotten."""
        of = self.mailing(number)
        if of.forgotten is not None:
            raise NotFound(
                f"who got mailing {number} is forgotten: only its figures are kept",
                hint="[retention] deliveries says for how long it is known",
            )
        return of

    def forgotten(self) -> list[int]:
        """The mailings whose deliveries were forgotten, the newest first."""
        return [
            row[0] for row in self._conn.execute("select id from mailing where forgotten is not null order by 1 desc")
        ]

    def touch(self, number: int, now: int) -> None:
        """Let the sender at work know that a mailing is to be gone on with."""
        with self.db.atomic() as conn:
            conn.execute(
                "update mailing set changed = max(?, coalesce((select since from sender), 0)) where id = ?",
                (now, number),
            )

    def lift(self, number: int) -> None:
        """Let a mailing go on although it is too late: what has not gone expires no more."""
        with self.db.atomic() as conn:
            conn.execute("update mailing set guard = 2 where id = ?", (number,))

    def rehearse(self, number: int, rehearsal: bool, now: int) -> None:
        """Whether what is sent of it is a rehearsal: fixed when the first of it is sent."""
        with self.db.atomic() as conn:
            conn.execute("update mailing set rehearsal = ? where id = ?", (rehearsal, number))
            self.db.note("mailing rehearse", now, mailing=number, rehearsal=rehearsal)

    def finish_if_done(self, number: int, now: int) -> Mailing:
        """Finished is what has nothing open."""
        found = self.mailing(number)
        if found.open == 0 and (found.state, m.Event.FINISH) in m.NEXT:
            return self.move(number, m.Event.FINISH, now)
        return found

    def sound(self, number: int) -> bool:
        """Whether a mailing's rows add up, and its index knows each of them: whoever lost a state, or became somebody
        else, would be mailed again. Three quarters of a second for a million.
        """
        with self.db.reading():
            of = self.mailing(number)
            rows = self._conn.execute(
                "select state, count(*) from delivery d where id between ? and ? and mailing = ? and exists"
                " (select 1 from delivery indexed by delivery_once where mailing + 0 = ? and subscriber = d.subscriber"
                " and id = d.id) group by state",
                (of.first, of.last, number, number),
            )
            found = dict(rows.fetchall())
        return found == of.tally and sum(found.values()) == of.audience

    def parts(self, number: int) -> list[Part]:
        """What was frozen, by part number."""
        rows = self._conn.execute("select number, language, template from part where mailing = ? order by 1", (number,))
        return [Part(*row) for row in rows]

    def content(self, digest: str) -> bytes:
        """A frozen attachment. Raises NotFound."""
        row = self._conn.execute("select body from content where digest = ?", (digest,)).fetchone()
        if row is None:
            raise NotFound(f"the frozen attachment {digest[:12]} is gone", hint="restore the database from a backup")
        body: bytes = row[0]
        return body

    def enclosed(self, mailing: int, subscriber: int) -> list[tuple[str, bytes]]:
        """Name and content of the files that one person of a mailing alone gets."""
        return self._conn.execute(
            "select name, body from enclosure join content using (digest) where mailing = ? and subscriber = ?"
            " order by place",
            (mailing, subscriber),
        ).fetchall()

    # choosing and claiming

    def pending(self, of: Mailing, after: int, limit: int) -> list[int]:
        """The next pending deliveries by id: a walk along the primary key, no index and no offset."""
        rows = self._conn.execute(
            "select id from delivery where id > ? and id <= ? and state = 0 order by id limit ?",
            (max(after, of.first - 1), of.last, limit),
        )
        return [row[0] for row in rows]

    def waiting(self, of: Mailing, after: int, limit: int) -> list[tuple[int, str]]:
        """The same with the domain each goes to: a join that pays only where destinations have a pace of their own."""
        return self._conn.execute(
            "select d.id, coalesce(substr(s.address, instr(s.address, '@') + 1), '')"
            " from delivery d left join subscriber s on s.id = d.subscriber"
            " where d.id > ? and d.id <= ? and d.state = 0 order by d.id limit ?",
            (max(after, of.first - 1), of.last, limit),
        ).fetchall()

    def ripened(self, number: int, now: int, after: tuple[int, int], limit: int) -> list[tuple[int, str, int]]:
        """Deferred deliveries whose time has come, with domain and time, the longest waiting first, from behind a
        (time, id) on: so each is found once, whatever becomes of it."""
        return self._conn.execute(
            "select due.delivery, coalesce(substr(s.address, instr(s.address, '@') + 1), ''), due.at"
            " from due join delivery d on d.id = due.delivery left join subscriber s on s.id = d.subscriber"
            " where due.mailing = ? and due.at <= ?"
            " and (due.at, due.delivery) > (?, ?) order by due.at, due.delivery limit ?",
            (number, now, *after, limit),
        ).fetchall()

    def next_ripe(self, number: int) -> int | None:
        """When the next deferred delivery of a mailing may be tried (epoch seconds)."""
        at: int | None = self._conn.execute("select min(at) from due where mailing = ?", (number,)).fetchone()[0]
        return at

    def slips(self, ids: Sequence[int], now: int) -> list[Slip]:
        """Those of the deliveries that can be claimed now. Inside the transaction of the claim."""
        rows = self._conn.execute(
            "select id, mailing, subscriber, list, part, attempts from delivery d"
            " where id in (select value from json_each(?)) and (state = 0 or state = 3 and"
            " exists (select 1 from due where delivery = d.id and at <= ?)) order by id",
            (json.dumps(ids), now),
        )
        return [Slip(*row) for row in rows]

    def deferrals(self, delivery: int) -> list[tuple[int, int, str]]:
        """When a delivery was put off, with code and text; only since a person last had it sent again."""
        return self._conn.execute(
            "select at, code, reply from attempt where delivery = ?1 and state = 3 and number >"
            " (select coalesce(max(number), 0) from attempt where delivery = ?1 and state = 6) order by number",
            (delivery,),
        ).fetchall()

    def refused(self, delivery: int) -> bool:
        """Whether a delivery was refused before, and pardoned."""
        sql = "select 1 from attempt where delivery = ? and state = 5"
        return self._conn.execute(sql, (delivery,)).fetchone() is not None

    def broken_off(self, delivery: int) -> bool:
        """Whether a delivery was put off because the connection ended each time: no relay stands beside what only a
        log tells of."""
        sql = "select 1 from attempt where delivery = ? and state = 3 and code = 0 and relay <> ''"
        return self._conn.execute(sql, (delivery,)).fetchone() is not None

    def taken(self, number: int) -> bool:
        """Whether a relay has taken any copy of a mailing."""
        sql = "select 1 from tally where mailing = ? and state in (?, ?) and number > 0"
        return self._conn.execute(sql, (number, State.ACCEPTED, State.BOUNCED)).fetchone() is not None

    def close_cancelled(self) -> None:
        """Nothing of a cancelled mailing waits: neither what a sender gave back, nor what a dead one held."""
        for of in self.mailings(states=(m.State.CANCELLED,)):
            if of.tally.get(State.PENDING) or of.tally.get(State.DEFERRED):
                self.close(of, Event.CANCEL)

    def shift(self, number: int, ids: Sequence[int], event: Event) -> int:
        """Move deliveries of one mailing that share an event; those it does not apply to stay. How many moved."""
        moved = 0
        with self.db.atomic(durable=True) as conn:
            for before in FROM[event]:
                after = NEXT[before, event]
                rows = conn.execute(
                    "update delivery set state = ? where id in (select value from json_each(?)) and mailing = ?"
                    " and state = ?",
                    (after, json.dumps(ids), number, before),
                ).rowcount
                if rows and before is State.DEFERRED:
                    conn.execute(
                        "delete from due where delivery in (select value from json_each(?))", (json.dumps(ids),)
                    )
                moved += self._tallied(conn, number, before, after, rows)
        return moved

    def close(self, of: Mailing, event: Event) -> int:
        """Cancel or expire all of a mailing that waits. Lots in hand end as they end; what comes back of them
        unsent is closed by the sender that held them, or by the next one.
        """
        moved = 0
        with self.db.atomic(durable=True) as conn:
            for before in (State.PENDING, State.DEFERRED):
                after = NEXT[before, event]
                rows = conn.execute(
                    "update delivery set state = ? where id between ? and ? and mailing = ? and state = ?",
                    (after, of.first, of.last, of.id, before),
                ).rowcount
                moved += self._tallied(conn, of.id, before, after, rows)
            conn.execute("delete from due where mailing = ?", (of.id,))
        return moved

    @staticmethod
    def _tallied(conn: sqlite3.Connection, number: int, before: State, after: State, rows: int) -> int:
        if rows:
            conn.execute("update tally set number = number - ? where mailing = ? and state = ?", (rows, number, before))
            conn.execute(
                "insert into tally values (?, ?, ?) on conflict do update set number = number + excluded.number",
                (number, after, rows),
            )
        return rows

    # marks and outcomes: the hot path

    def record(self, handed: Sequence[Slip], outcomes: Sequence[tuple[Slip, Outcome, int]]) -> set[Slip]:
        """Write marks of handing and outcomes of several connections in one transaction.

        The third of an outcome is when a deferred one may be tried again. Returns those that may not be
        handed over: somebody else has moved them. A second report of one attempt is no news.
        """
        shifts: Counter[tuple[int, State]] = Counter()
        refused: set[Slip] = set()
        with self.db.atomic() as conn:
            for slip, outcome, due in outcomes:
                self._settle(conn, slip, outcome, due, shifts)
            for slip in handed:
                if conn.execute("update delivery set state = 2 where id = ? and state = 1", (slip.id,)).rowcount:
                    shifts[slip.mailing, State.CLAIMED] -= 1
                    shifts[slip.mailing, State.HANDED] += 1
                else:
                    refused.add(slip)
            conn.executemany(
                "insert into tally values (?, ?, ?) on conflict do update set number = number + excluded.number",
                [(number, state, by) for (number, state), by in shifts.items() if by],
            )
        return refused

    @staticmethod
    def _settle(
        conn: sqlite3.Connection, slip: Slip, outcome: Outcome, due: int, shifts: Counter[tuple[int, State]]
    ) -> None:
        tried = outcome.event in ATTEMPTS
        for before in IN_HAND:
            after = NEXT.get((before, outcome.event))
            if after is None:
                continue
            if conn.execute(
                "update delivery set state = ?, attempts = attempts + ? where id = ? and state = ?",
                (after, tried, slip.id, before),
            ).rowcount:
                break
        else:
            return
        shifts[slip.mailing, before] -= 1
        shifts[slip.mailing, after] += 1
        if after is State.DEFERRED:
            conn.execute("insert or replace into due values (?, ?, ?)", (slip.id, slip.mailing, due))
        if tried or outcome.event is Event.SKIP:
            code, status, reply = _words(outcome.answer, outcome.note)
            # the words are likely to name the person: not of one who was erased while this was on a wire
            conn.execute(
                "insert or ignore into attempt values (?, ?, ?, ?, ?, ?, ?,"
                " iif(exists (select 1 from subscriber where id = ?), ?, ''))",
                (
                    *(slip.id, slip.attempts + 1, int(outcome.at), outcome.relay, after, code, status),
                    *(slip.subscriber, reply),
                ),
            )
        if after is State.REJECTED and isinstance(outcome.answer, Reply):
            conn.execute("insert or replace into refusal values (?, ?)", (slip.id, outcome.answer.stage))

    def recover(self, now: int, *, rebooted: bool) -> tuple[int, int]:
        """After a crash, with the lock in hand: claimed → pending (nothing was sent), handed → in doubt.

        After a reboot the marks of handing may be lost: claimed → in doubt too. Returns (back to pending, in doubt).
        """
        found: dict[int, Counter[str]] = defaultdict(Counter)
        with self.db.atomic() as conn:
            for number, before in conn.execute(
                "select mailing, state from tally where state in (1, 2) and number > 0"
            ).fetchall():
                ids = self._in_state(number, before)
                if before == State.CLAIMED and not rebooted:
                    found[number]["back"] += self.shift(number, ids, Event.MISS)
                else:
                    found[number]["doubt"] += self.shift(number, ids, Event.LOSE)
                    self._attempted(conn, number, ids)
            for number, moved in found.items():
                self.db.note("mailing recover", now, mailing=number, **moved)
            self.close_cancelled()
        return sum(moved["back"] for moved in found.values()), sum(moved["doubt"] for moved in found.values())

    @staticmethod
    def _attempted(conn: sqlite3.Connection, number: int, ids: Sequence[int]) -> None:
        """Write down an attempt that nobody could tell of. Its time is that of the mailing's last claim: each
        mark of handing would pay for a time of its own, and only a crash asks for it."""
        conn.execute(
            "insert or ignore into attempt select d.id, d.attempts + 1, coalesce(m.claimed_at, m.changed), '', d.state,"
            " 0, '', 'the sender was cut off before an answer came' from delivery d, mailing m"
            " where m.id = ? and d.id in (select value from json_each(?))",
            (number, json.dumps(ids)),
        )
        conn.execute(
            "update delivery set attempts = attempts + 1 where id in (select value from json_each(?))",
            (json.dumps(ids),),
        )

    def _in_state(self, number: int, state: int) -> list[int]:
        """The deliveries of a mailing in a rare state. The tally says whether there are any: no index is worth
        its price, which every message would pay twice, when only a crash or a person's question needs it."""
        if not self._conn.execute(
            "select number from tally where mailing = ? and state = ? and number > 0", (number, state)
        ).fetchone():
            return []
        rows = self._conn.execute(
            "select d.id from delivery d, mailing m where m.id = ? and d.id between m.first and m.last and d.state = ?",
            (number, state),
        )
        return [row[0] for row in rows]

    def in_hand(self) -> bool:
        """Whether a sender holds anything, or a dead one did."""
        return bool(self._conn.execute("select 1 from tally where state in (1, 2) and number > 0").fetchone())

    def doubtful(self, number: int) -> list[int]:
        """The deliveries in doubt, by id."""
        return self._in_state(number, State.IN_DOUBT)

    def resendable(self) -> list[int]:
        """The mailings being sent whose doubts may be sent again without asking, where that is wanted.

        Not those that a lost database has sent of: there, nearly all in doubt were sent.
        """
        rows = self._conn.execute("select id from mailing where state = ? and restored = 0", (m.State.SENDING,))
        return [row[0] for row in rows]

    def version(self) -> int:
        """Changes when another process commits anything. Asking costs almost nothing."""
        version: int = self._conn.execute("pragma data_version").fetchone()[0]
        return version

    # telling

    def deliveries(self, of: Mailing, page: int = 500) -> Iterator[list[dict[str, Any]]]:
        """Every delivery of a mailing in pages by id, with its last attempt. Subscribers are ids here."""
        after = of.first - 1
        while rows := self._conn.execute(
            "select d.id, d.subscriber, d.state, d.attempts, a.code, a.status, a.reply, a.relay, a.at, due.at"
            " from delivery d left join attempt a on a.delivery = d.id and a.number ="
            " (select max(number) from attempt where delivery = d.id) left join due on due.delivery = d.id"
            " where d.id > ? and d.id <= ? and d.mailing = ? order by d.id limit ?",
            (after, of.last, of.id, page),
        ).fetchall():
            after = rows[-1][0]
            yield [
                {
                    "id": row[0],
                    "subscriber": row[1],
                    "state": State(row[2]).word,
                    "attempts": row[3],
                    "code": row[4],
                    "status": row[5],
                    "reply": row[6],
                    "relay": row[7],
                    "at": row[8],
                    "next": row[9],
                }
                for row in rows
            ]

    def history(self, subscriber: int) -> list[dict[str, Any]]:
        """Every delivery to one person, the newest first, with its last answer: one look for each mailing."""
        # + before the id: an expression's index knows no type, and is passed over for a column, which has one
        rows = self._conn.execute(
            "select m.id, m.statement, m.rehearsal, d.state, d.attempts, a.code, a.status, a.reply, a.at, d.id"
            " from mailing m cross join delivery d on d.mailing + 0 = +m.id and d.subscriber = ?"
            " left join attempt a on a.delivery = d.id and a.number ="
            " (select max(number) from attempt where delivery = d.id)"
            " order by m.id desc",
            (subscriber,),
        )
        names = ("mailing", "statement", "rehearsal", "state", "attempts", "code", "status", "reply", "at", "delivery")
        return [
            {**dict(zip(names, row, strict=True)), "state": State(row[3]).word, "rehearsal": bool(row[2])}
            for row in rows
        ]

    def delivery_of(self, number: int, subscriber: int) -> int | None:
        """The delivery of a mailing to a person."""
        row = self._conn.execute(
            "select id from delivery where subscriber = ? and mailing + 0 = ?", (subscriber, number)
        ).fetchone()
        return row[0] if row else None

    # pace, the sender, what was seen

    def pace(self, scope: str) -> Any:
        """The stored state of a pace, or None."""
        row = self._conn.execute("select state from pace where scope = ?", (scope,)).fetchone()
        return json.loads(row[0]) if row else None

    def paces(self) -> list[tuple[str, Any]]:
        """Every scope with its stored pace that is slowed down."""
        rows = self._conn.execute("select scope, state from pace where state ->> 'brake' is not null order by scope")
        return [(scope, json.loads(state)) for scope, state in rows]

    def forget_paces(self, before: float) -> None:
        """Drop the paces of destinations that nothing has gone to since then (epoch seconds)."""
        with self.db.atomic() as conn:
            conn.execute("delete from pace where scope like 'destination:%' and state ->> 'clock' < ?", (before,))

    def keep_pace(self, scope: str, state: object) -> None:
        """Store the state of a pace, in the transaction of the claim that used it."""
        with self.db.atomic() as conn:
            conn.execute("insert or replace into pace values (?, ?)", (scope, json.dumps(state)))

    def sender(self) -> tuple[int, str, str, int] | None:
        """Who holds the lock, or held it last: process id, host, boot id, since when."""
        row: tuple[int, str, str, int] | None = self._conn.execute(
            "select pid, host, boot, since from sender"
        ).fetchone()
        return row

    def name_sender(self, pid: int, host: str, boot: str, since: int) -> None:
        """Write beside the lock who holds it, before anything is claimed under it."""
        with self.db.atomic(durable=True) as conn:
            conn.execute("insert or replace into sender values (1, ?, ?, ?, ?)", (pid, host, boot, since))

    def saw(self, what: str, at: int) -> None:
        """Note that something happened: that cron's `run` was here, for one."""
        with self.db.atomic() as conn:
            conn.execute("insert or replace into seen values (?, ?)", (what, at))

    def latest(self) -> int:
        """The last moment at which anything was written down; 0: never."""
        rows = self._conn.execute(
            "select max(at) from seen union all select at from (select at from audit order by id desc limit 1)"
            " union all select max(claimed_at) from mailing"
        )
        return max((row[0] or 0 for row in rows), default=0)

    def seen(self, what: str) -> int | None:
        """When something was last noted (epoch seconds)."""
        row = self._conn.execute("select at from seen where what = ?", (what,)).fetchone()
        return row[0] if row else None


def _words(answer: Answer | None, note: str) -> tuple[int, str, str]:
    """Code, enhanced status and text of an answer, bounded."""
    if isinstance(answer, Reply):
        return answer.code, answer.status, answer.text[:1000]
    return 0, "", (note or (answer.why if answer else ""))[:1000]
