"""One message to one recipient: its envelope, what was answered, and its table of states.

The ledger stores states and never chooses them: every move is looked up in NEXT. "Accepted"
means that the relay took the message (RFC 5321 §4.2.5); whether it arrived we cannot know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple


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
# One in these was on its way to a relay, or a relay has heard of it.
GONE = (State.CLAIMED, State.HANDED, State.DEFERRED, State.ACCEPTED, State.REJECTED, State.IN_DOUBT, State.BOUNCED)

# Who did not get it, though it was tried.
FAILED = (State.REJECTED, State.BOUNCED, State.SKIPPED)


class Event(Enum):
    """What can happen to a delivery."""

    CLAIM = "claim"  # a sender takes it, on disk, before anything goes on a wire
    HAND = "hand"  # the next bytes end in the final dot
    ACCEPT = "2yz, a late answer, a log, or resolve --accept"
    DEFER = "4yz, or broken off again and again: try later"
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
    PARDON = "5yz that was about the message or our set-up: it may go when that is mended"

    # by identity, in C: that of Enum is a call of Python, and each delivery is looked up some times
    __hash__ = object.__hash__


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
    (State.REJECTED, Event.PARDON): State.PENDING,
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


class Envelope(NamedTuple):
    """One message on its way to one recipient.

    `message` is CRLF-clean, has no line that starts with a dot, and is 7 bit unless `smtputf8`.
    """

    delivery: int
    sender: str  # MAIL FROM without <>; RFC 5321 §4.5.5 allows ""
    recipient: str  # RCPT TO without <>: ASCII unless smtputf8
    message: bytes
    smtputf8: bool = False  # RFC 6531: only where the local part needs it
    envid: str = ""  # RFC 3461 §4.4, sent only where DSN is offered


# RFC 3463 §2: class "." subject "." detail
# of an address; its domain tells more about a refusal, and nothing about a person
_LOCAL_PART = re.compile(r"[^\s<>\"'(),;]+@(?=[^\s@])")
_ENHANCED = re.compile(r"^([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")


class Reply(NamedTuple):
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


def told(answer: Answer) -> str:
    """An answer in a few words, fit for what is only said: a relay likes to quote whom it refuses."""
    words = f"{answer.code} {answer.text}" if isinstance(answer, Reply) else answer.why
    return _LOCAL_PART.sub("…@", words)[:300]


class About(Enum):
    """Whom a refusal is about: who is blamed decides who must act."""

    NOBODY = "nobody"
    PERSON = "the person"
    MESSAGE = "the message"
    US = "our set-up"
    WAY = "this address over this relay"
    RATE = "our speed"
    TIME = "the time"


class Verdict(NamedTuple):
    """What an answer does to its delivery, and whom it is about."""

    event: Event
    about: About


# what nearly every answer comes to
_TAKEN = Verdict(Event.ACCEPT, About.NOBODY)


def judge(answer: Answer) -> Verdict:
    """What follows from an answer: the stage first, then known texts, the enhanced status, the code.

    Up to MAIL it is never the person: their delivery goes back untouched. 421 closes the
    channel at any stage (RFC 5321 §3.8) and says nothing of the person either, unless the dot
    was out: then the message was refused for now, and is deferred. A complaint of our speed is
    about nobody: the delivery waits, and that was no try of the person's.
    """
    if isinstance(answer, Silence):
        return Verdict(Event.LOSE if answer.after_dot else Event.MISS, About.TIME)
    kind = answer.code // 100
    if answer.stage is Stage.DOT and kind == 2:
        return _TAKEN
    if answer.stage <= Stage.MAIL:
        return _refused_early(answer)
    if answer.stage is Stage.RCPT and answer.code == 552 and not answer.status.startswith("5.2."):
        # RFC 5321 §4.5.3.1.10: an old way to say "too many recipients", to be read as 452
        return Verdict(Event.DEFER, About.TIME)
    if kind == 4:
        if too_fast(answer):
            return Verdict(Event.DEFER, About.RATE)
        closing = answer.code == 421 and answer.stage < Stage.DOT
        return Verdict(Event.MISS if closing else Event.DEFER, About.TIME)
    if kind == 5:
        return Verdict(Event.REJECT, _blamed(answer))
    # 2yz or 3yz where none is allowed: nothing that we may build on
    return Verdict(Event.LOSE if answer.stage is Stage.DOT else Event.MISS, About.TIME)


def _refused_early(reply: Reply) -> Verdict:
    """A refusal up to MAIL. What SIZE or BODY announced (RFC 1870, 6152) may be refused there: that is the message."""
    closing = reply.stage < Stage.MAIL or reply.code == 421
    if reply.code >= 500:
        size = reply.code == 552 and not reply.status
        large = reply.stage is Stage.MAIL and (size or _blamed(reply) is About.MESSAGE)
        return Verdict(Event.DEFER, About.MESSAGE) if large else Verdict(Event.MISS, About.US)
    return Verdict(Event.MISS if closing else Event.DEFER, About.RATE if too_fast(reply) else About.TIME)


def _blamed(reply: Reply) -> About:
    """Whom a 5yz is about, after RFC 3463 §3: X.1 and X.2 the address and the mailbox, X.7 policy and authentication,
    X.6 and X.3.4 the content; without one of these, RCPT is about the person, what comes later about the message."""
    status = reply.status
    if status == "5.6.7":
        # RFC 6531 §3.5: an address beyond ASCII, and somebody who cannot carry it
        return About.WAY
    if status.startswith("5.7.") or status in ("5.1.7", "5.1.8", "5.4.5") or reply.code in (530, 535):
        return About.US
    if status.startswith("5.6.") or status in ("5.3.4", "5.2.3"):
        return About.MESSAGE
    if status.startswith(("5.1.", "5.2.")) or reply.stage is Stage.RCPT:
        return About.PERSON
    return About.MESSAGE if reply.stage > Stage.MAIL else About.US


# What providers say to whom is too fast: none of it is about one person or one mailbox.
_FAST_STATUS = frozenset({"4.7.28", "4.7.500", "4.7.650", "4.7.651", "4.7.700"})
_FAST = re.compile(
    r"\brates?\b|rate-?limit|throttl|too (?:many|much|fast|quickly|frequent)|slow(?:ing)? down|frequency"
    r"|(?:send|sent|messages?|mails?|recipients?|hourly|daily|minute)\b.{0,40}\b(?:quota|limit)"
    r"|(?:quota|limit)\b.{0,40}\b(?:send|sent|messages?|mails?|per (?:hour|day|minute|second))"
    r"|(?:unusual|unexpected|excessive|high) (?:volume|traffic|amount)|server busy"
    r"|\[(?:TSS?\d\d|IPTS\d\d|HCM\d|CS01|BS\d\d)\]|\bRL0000\d\d\b|\bRP-00\d\b|\((?:S775|AS\d+)\)",
    re.IGNORECASE,
)
_LATER = re.compile(r"try again later|temporarily deferred|4\.7\.0 .*\blater\b", re.IGNORECASE)
# Greylisting and full mailboxes pass by themselves; somebody may be mailed too fast by all the world.
_OTHERWISE = re.compile(
    r"gr[ae]y-?list|mailbox|over ?quota|\b(?:user|recipient|account|inbox)\b.{0,60}\b(?:receiv|full|quota)"
    r"|\b(?:hops|loop|errors|unknown|size|large|big|storage|tls|starttls|authenticat\w*|password|login)\b",
    re.IGNORECASE,
)
_CROWDED = re.compile(
    r"(?:too many|concurrent|simultaneous|parallel|maximum|max|limit|exceed\w*|number of)\b.{0,40}"
    r"\b(?:connections?|sessions?|threads?|connexions)\b"
    r"|\b(?:connections?|sessions?|thread|connexions)\b.{0,20}\b(?:limit|exceed\w*|rate)|trop de connexions"
    r"|\b(?:per|one|this|single) (?:connection|session)\b",
    re.IGNORECASE,
)


def crowded(reply: Reply) -> bool:
    """Whether a 4yz says that there are too many connections, or too many messages on this one."""
    return reply.code // 100 == 4 and _CROWDED.search(reply.text) is not None


def too_fast(reply: Reply) -> bool:
    """Whether a 4yz complains of how fast we send: policy or rate (RFC 3463 §3.8), or a text that providers use.

    Not of how many connections there are, and not of one person's mailbox.
    """
    if reply.code // 100 != 4 or _CROWDED.search(reply.text):
        return False
    if reply.status in _FAST_STATUS:
        return True
    if reply.status.startswith("4.2.2") or _OTHERWISE.search(reply.text):
        return False
    return bool(_FAST.search(reply.text) or (reply.status == "4.7.0" and _LATER.search(reply.text)))


class Outcome(NamedTuple):
    """What became of one attempt: the event, the answer behind it (none when nothing was asked), when and where."""

    delivery: int
    event: Event
    answer: Answer | None
    relay: str
    at: float  # seconds since the epoch, UTC
    note: str = ""  # why, where no answer says so: a render error

    @property
    def broken_off(self) -> bool:
        """Whether the connection ended before the dot, and not because of us: it was idle for long, or worse."""
        return self.event is Event.MISS and self.answer is not None and judge(self.answer).about is About.TIME
