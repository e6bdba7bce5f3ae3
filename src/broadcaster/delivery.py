"""One message to one recipient: its envelope, what was answered, and its table of states.

The ledger stores states and never chooses them: every move is looked up in NEXT. "Accepted"
means that the relay took the message (RFC 5321 §4.2.5); whether it arrived we cannot know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum


class State(IntEnum):
    """Where a delivery is. The numbers are stored: never renumber."""

    PENDING = 0
    CLAIMED = 1
    HANDED = 2
    DEFERRED = 3
    ACCEPTED = 4
    REJECTED = 5
    IN_DOUBT = 6
    BOUNCED = 7
    SUPPRESSED = 8
    SKIPPED = 9
    EXPIRED = 10
    CANCELLED = 11

    @property
    def word(self) -> str:
        """The name used in JSON, help and reports."""
        return self.name.lower()


# A mailing with a delivery in one of these is not finished.
OPEN = (State.PENDING, State.CLAIMED, State.HANDED, State.DEFERRED, State.IN_DOUBT)


class Event(Enum):
    """What can happen to a delivery."""

    CLAIM = "claim"  # a sender takes it, on disk, before anything goes on a wire
    HAND = "hand"  # the next bytes end in the final dot
    ACCEPT = "2yz, a late answer, a log, or resolve --accept"
    DEFER = "4yz: try later"
    REJECT = "5yz"
    MISS = "nothing was sent (connection lost before the dot, crash)"
    LOSE = "silence after the dot, or a crash between handing and hearing"
    LEAVE = "left, complained or bounced elsewhere"
    SKIP = "cannot be rendered"
    CANCEL = "the mailing was cancelled"
    EXPIRE = "its window is over"
    BOUNCE = "a failure DSN of this copy, or a log that tells of one"
    RESEND = "resolve --resend"
    RESTORE = "this database was restored from before the last sending"


NEXT: dict[tuple[State, Event], State] = {
    (State.PENDING, Event.CLAIM): State.CLAIMED,
    (State.DEFERRED, Event.CLAIM): State.CLAIMED,
    **{
        (state, event): end
        for state in (State.PENDING, State.CLAIMED, State.DEFERRED)
        for event, end in (
            (Event.LEAVE, State.SUPPRESSED),
            (Event.SKIP, State.SKIPPED),
            (Event.CANCEL, State.CANCELLED),
            (Event.EXPIRE, State.EXPIRED),
        )
    },
    (State.CLAIMED, Event.HAND): State.HANDED,
    (State.CLAIMED, Event.DEFER): State.DEFERRED,
    (State.CLAIMED, Event.REJECT): State.REJECTED,
    (State.CLAIMED, Event.MISS): State.PENDING,
    # after a power cut the mark of handing may be lost with the page cache
    (State.CLAIMED, Event.LOSE): State.IN_DOUBT,
    (State.HANDED, Event.DEFER): State.DEFERRED,
    (State.HANDED, Event.REJECT): State.REJECTED,
    (State.HANDED, Event.ACCEPT): State.ACCEPTED,
    (State.HANDED, Event.LOSE): State.IN_DOUBT,
    (State.IN_DOUBT, Event.ACCEPT): State.ACCEPTED,
    # a log shows that the relay refused it at the end, which nobody heard
    (State.IN_DOUBT, Event.DEFER): State.DEFERRED,
    (State.IN_DOUBT, Event.REJECT): State.REJECTED,
    (State.IN_DOUBT, Event.RESEND): State.PENDING,
    # sent meanwhile or not: this database cannot know
    **{
        (state, Event.RESTORE): State.IN_DOUBT for state in (State.PENDING, State.CLAIMED, State.HANDED, State.DEFERRED)
    },
    (State.HANDED, Event.BOUNCE): State.BOUNCED,
    (State.ACCEPTED, Event.BOUNCE): State.BOUNCED,
    (State.IN_DOUBT, Event.BOUNCE): State.BOUNCED,
}


class Stage(IntEnum):
    """How far the conversation was when an answer came, in the order of RFC 5321 §3."""

    CONNECT = 0  # TCP, TLS and the greeting
    HELLO = 1
    AUTH = 2
    MAIL = 3
    RCPT = 4
    DATA = 5
    DOT = 6


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on its way to one recipient. `message` is CRLF-clean and has no line that starts with a dot."""

    delivery: int
    sender: str  # MAIL FROM without <>; RFC 5321 §4.5.5 allows ""
    recipient: str  # RCPT TO without <>: ASCII unless smtputf8
    message: bytes
    smtputf8: bool = False  # RFC 6531: only where the local part needs it
    envid: str = ""  # RFC 3461 §4.4, sent only where DSN is offered


# RFC 3463 §2: class "." subject "." detail
_ENHANCED = re.compile(r"^([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the relay said, and when. `text` has no control characters; lines are joined by a space."""

    stage: Stage
    code: int
    text: str

    @property
    def status(self) -> str:
        """The enhanced status code (RFC 2034) at the start of the text, or ""."""
        found = _ENHANCED.match(self.text)
        return found.group(0) if found and found.group(1) == str(self.code)[0] else ""


@dataclass(frozen=True, slots=True)
class Silence:
    """The other side said nothing. Before the final dot nothing was sent; after it, who knows."""

    after_dot: bool
    why: str


Answer = Reply | Silence


class About(Enum):
    """Whom a refusal is about: who is blamed decides who must act."""

    NOBODY = "nobody"
    PERSON = "the person"
    MESSAGE = "the message"
    US = "our set-up"
    TIME = "the time"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer does to its delivery, and whom it is about."""

    event: Event
    about: About


def judge(answer: Answer) -> Verdict:
    """What follows from an answer: the stage first, then the enhanced status, then the code.

    Up to MAIL it is never the person: their delivery goes back untouched. 421 closes the
    channel at any stage (RFC 5321 §3.8) and says nothing of the person either, unless the dot
    was out: then the message was refused for now, and is deferred.
    """
    if isinstance(answer, Silence):
        return Verdict(Event.LOSE if answer.after_dot else Event.MISS, About.TIME)
    kind = answer.code // 100
    if answer.stage is Stage.DOT and kind == 2:
        return Verdict(Event.ACCEPT, About.NOBODY)
    if answer.stage <= Stage.MAIL:
        if kind == 5:
            return Verdict(Event.MISS, About.US)
        return Verdict(Event.DEFER if answer.stage is Stage.MAIL and answer.code != 421 else Event.MISS, About.TIME)
    if answer.code == 421 and answer.stage < Stage.DOT:
        return Verdict(Event.MISS, About.TIME)
    if answer.stage is Stage.RCPT and answer.code == 552:
        # RFC 5321 §4.5.3.1.10: an old way to say "too many recipients", to be read as 452
        return Verdict(Event.DEFER, About.TIME)
    if kind == 4:
        return Verdict(Event.DEFER, About.TIME)
    if kind == 5:
        return Verdict(Event.REJECT, _blamed(answer))
    # 2yz or 3yz where none is allowed: nothing that we may build on
    return Verdict(Event.LOSE if answer.stage is Stage.DOT else Event.MISS, About.TIME)


def _blamed(reply: Reply) -> About:
    """5.7.x is policy or authentication (RFC 3463 §3.8), 5.6.x and 5.3.4 the content: not the address."""
    if reply.status.startswith("5.7.") or reply.code in (530, 535):
        return About.US
    if reply.stage is not Stage.RCPT or reply.status.startswith("5.6.") or reply.status == "5.3.4":
        return About.MESSAGE
    return About.PERSON


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: the event, the answer behind it (none when nothing was asked), when and where."""

    delivery: int
    event: Event
    answer: Answer | None
    relay: str
    at: float  # seconds since the epoch, UTC
    note: str = ""  # why, where no answer says so: a render error
