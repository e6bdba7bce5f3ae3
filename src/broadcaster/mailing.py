"""A mailing: a statement prepared for one audience, frozen, with its digest, its window and its table of states."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from broadcaster import delivery
from broadcaster.schedule import Window, stamp

if TYPE_CHECKING:
    from broadcaster.approval import Person
    from broadcaster.enclosure import Enclosed


class State(IntEnum):
    """Where a mailing is. The numbers are stored: never renumber."""

    READY = 0
    SCHEDULED = 1
    SENDING = 2
    PAUSED = 3
    HELD = 4
    FINISHED = 5
    CANCELLED = 6

    @property
    def word(self) -> str:
        """The name used in JSON, help and reports."""
        return self.name.lower()

    @property
    def over(self) -> bool:
        """Nothing more will be sent of it."""
        return self in (State.FINISHED, State.CANCELLED)


class Event(Enum):
    """What can happen to a mailing."""

    SCHEDULE = "it was given a time"
    START = "send, or its time has come"
    PAUSE = "pause, or something is wrong with our set-up"
    HOLD = "too late, not approved, or surprising"
    RESUME = "resume"
    FINISH = "nothing is pending, claimed, handed, deferred or in doubt"
    CANCEL = "cancel"


NEXT: dict[tuple[State, Event], State] = {
    (State.READY, Event.SCHEDULE): State.SCHEDULED,
    (State.READY, Event.START): State.SENDING,
    (State.READY, Event.CANCEL): State.CANCELLED,
    (State.SCHEDULED, Event.START): State.SENDING,
    (State.SCHEDULED, Event.PAUSE): State.PAUSED,
    (State.SCHEDULED, Event.HOLD): State.HELD,
    (State.SCHEDULED, Event.CANCEL): State.CANCELLED,
    (State.SENDING, Event.PAUSE): State.PAUSED,
    (State.SENDING, Event.FINISH): State.FINISHED,
    (State.SENDING, Event.CANCEL): State.CANCELLED,
    (State.PAUSED, Event.RESUME): State.SENDING,
    (State.PAUSED, Event.SCHEDULE): State.SCHEDULED,  # resumed before its time
    (State.PAUSED, Event.FINISH): State.FINISHED,  # its last doubt was settled while it was paused
    (State.PAUSED, Event.CANCEL): State.CANCELLED,
    (State.HELD, Event.SCHEDULE): State.SCHEDULED,  # approved meanwhile
    (State.HELD, Event.RESUME): State.SENDING,
    (State.HELD, Event.START): State.SENDING,
    (State.HELD, Event.CANCEL): State.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is meant: list ids in order of precedence, excluded list ids, mailings and segments, and a filter.

    `segments` are the names of those used, as `key_of` has them, and what each meant that day: no part of what tells
    two rules apart, for whoever gives the same order again means the same mailing.
    """

    lists: tuple[int, ...]
    exclude: tuple[int, ...] = ()
    exclude_mailings: tuple[int, ...] = ()
    exclude_segments: tuple[str, ...] = ()
    where: str = ""
    segments: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def to_json(self) -> str:
        later = {"exclude_segments": self.exclude_segments, "where": self.where, "segments": self.segments}
        return canonical(
            {
                "lists": self.lists,
                "exclude": self.exclude,
                "exclude_mailings": self.exclude_mailings,
                # a rule that is older than these is spelled as it was
                **{name: value for name, value in later.items() if value},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Rule:
        value = json.loads(text)
        return cls(
            tuple(value["lists"]),
            tuple(value["exclude"]),
            tuple(value["exclude_mailings"]),
            tuple(value.get("exclude_segments", ())),
            value.get("where", ""),
            tuple((name, where) for name, where in value.get("segments", ())),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One frozen language of a mailing."""

    number: int
    language: str
    template: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A mailing before its audience is enrolled."""

    statement: str
    parts: Sequence[Part]
    files: Mapping[str, bytes]  # digest → bytes
    content: str
    rule: Rule
    window: Window
    rehearsal: bool
    who: Person


@dataclass(frozen=True, slots=True)
class Mailing:
    """A row of the ledger with its tally."""

    id: int
    statement: str
    state: State
    digest: str
    content: str
    rule: Rule
    left_out: Mapping[str, int]
    audience: int
    first: int
    last: int
    rehearsal: bool
    created: int
    who: str
    window: Window
    reason: str
    changed: int
    tally: Mapping[delivery.State, int] = field(default_factory=dict)
    forgotten: int | None = None  # since when its deliveries are forgotten: then the figures are all that is known
    lifted: bool = False  # a person let it go on although it was too late

    @property
    def open(self) -> int:
        """How many deliveries are not settled."""
        return sum(self.tally.get(state, 0) for state in delivery.OPEN)

    @property
    def untouched(self) -> bool:
        """Nothing of it was ever sent: all of it waits, or was cancelled or over before."""
        unsent = (delivery.State.PENDING, delivery.State.CANCELLED, delivery.State.EXPIRED)
        return sum(self.tally.get(state, 0) for state in unsent) == self.audience

    @property
    def waiting(self) -> int:
        """How many have not gone, and are in nobody's hand."""
        return self.tally.get(delivery.State.PENDING, 0) + self.tally.get(delivery.State.DEFERRED, 0)

    def late(self, now: int) -> bool:
        """It is too late for it."""
        return self.window.ends is not None and now > self.window.ends

    @property
    def closing(self) -> int | None:
        """What of it has not gone by then does not go any more (epoch seconds)."""
        return self.window.ends if self.window.closes and not self.lifted else None

    @property
    def gone(self) -> bool:
        """A relay was asked to take some of it: people who left before that do not count."""
        return any(self.tally.get(state) for state in delivery.GONE)

    def words(self) -> dict[str, int]:
        """Deliveries by the name of their state; no zeros."""
        return {state.word: number for state, number in sorted(self.tally.items()) if number}

    def figures(self) -> dict[str, Any]:
        """The JSON of `prepare`, `send` and `status MAILING`."""
        return {
            "mailing": self.id,
            "statement": self.statement,
            "state": self.state.word,
            "reason": self.reason,
            "audience": self.audience,
            "rehearsal": self.rehearsal,
            "where": self.rule.where or None,
            "due": self.window.words or None,
            "due_utc": stamp(self.window.moment),
            "expires_utc": stamp(self.window.ends),
            "created": self.created,
            "by": self.who,
            "digest": self.digest,
            "forgotten": self.forgotten,
            **{state.word: self.tally.get(state, 0) for state in delivery.State},
            "left_out": dict(self.left_out),
        }


@dataclass(frozen=True, slots=True)
class Stamp:
    """How far a mailing was sent when a lot of it was last claimed, and in which database."""

    database: str  # its id
    claims: int  # the lots ever claimed in it, this one too
    mailing: int
    delivery: int  # the highest of the mailing's that was ever claimed
    at: int  # epoch seconds
    rehearsal: bool
    statement: str  # its `fingerprint`


def fingerprint(statement: str) -> str:
    """A short digest of a statement's name, to know it again."""
    return hashlib.sha256(statement.encode()).hexdigest()[:16]


def canonical(value: object) -> str:
    """JSON with one spelling for one value, so that equal things have equal digests."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest_of_content(parts: Mapping[str, str], files: Mapping[str, str]) -> str:
    """SHA-256 of what is said: the merge templates by language, and the digests of attachments by name."""
    return hashlib.sha256(canonical([dict(parts), dict(files)]).encode()).hexdigest()


class Roll:
    """The digest of who is enrolled, and of what they alone get, taken in the order of their deliveries."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def take(self, subscribers: str, lists: str, parts: str) -> None:
        """Take in some deliveries: the numbers of each column, with commas between them."""
        self._hash.update(f"{subscribers};{lists};{parts}\n".encode())

    def enclosed(self, file: Enclosed) -> None:
        """Take in what one of them alone gets."""
        self._hash.update(repr((file.subscriber, file.place, file.name, file.digest)).encode())

    def seal(self, content: str, rule: Rule, window: Window) -> str:
        """The mailing's digest: content, audience rule, ids and schedule. One changed byte changes it."""
        when = [window.due, window.words, window.expires, *(["closes"] if window.closes else [])]
        whole = canonical([content, rule.to_json(), self._hash.hexdigest(), *when])
        return hashlib.sha256(whole.encode()).hexdigest()
