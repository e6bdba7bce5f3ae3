"""Staff are told by mail how a mailing ended, and what is wrong: each of them once, in one letter with all that is new.

At most once: what is told is written down before the final dot, so whoever is killed then is silent rather than
twice as loud. `status` tells the same at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broadcaster import digest
from broadcaster import mailing as m
from broadcaster.courier import Fenced
from broadcaster.delivery import Envelope, Event, Silence, State, judge, told
from broadcaster.digest import Kind, News, Reader
from broadcaster.posting import Letter
from broadcaster.steps import ahead, lately

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.delivery import Answer
    from broadcaster.digests import Digests
    from broadcaster.ledger import Ledger
    from broadcaster.mailing import Mailing

# what happened longer ago is no news, as where somebody has just written [sender] staff (seconds)
OLD: Final = 3 * 86_400
# what is wrong for less may be over in a moment (seconds)
LASTS: Final = 3600
# told so long ago, nobody asks whether it was (seconds)
FORGOTTEN: Final = 30 * 86_400

_KINDS: Final = {"mailing finish": Kind.FINISHED, "mailing hold": Kind.HELD, "mailing pause": Kind.PAUSED}
_STATES: Final = {Kind.FINISHED: m.State.FINISHED, Kind.HELD: m.State.HELD, Kind.PAUSED: m.State.PAUSED}


def news(ledger: Ledger, digests: Digests, now: int, *, at_work: bool) -> list[News]:
    """What there is to tell, the oldest first. `at_work`: somebody is sending, and doubts may still be answered."""
    cron = lately(ledger.seen("run"), now)

    def of_mailing(event: str, kind: Kind, at: int, of: Mailing) -> News:
        found = ahead(of, now=now, ripe=ledger.next_ripe(of.id), cron=cron, at_work=at_work)
        return News(event, kind, at, of, found, why=of.reason)

    found: dict[object, News] = {}
    for event in digests.events(now - OLD):
        kind, of = _KINDS[event.what], ledger.mailing(event.mailing)
        # whoever has let it go on since knows; and of a rehearsal there is nothing to know
        if of.state is _STATES[kind] and not of.rehearsal:
            found[of.id] = of_mailing(event.name, kind, event.at, of)
    for of in ledger.mailings() if not at_work else ():
        # one that stands still tells of its doubts, too
        if of.tally.get(State.IN_DOUBT) and not of.rehearsal and of.id not in found:
            found[of.id] = of_mailing(f"doubt {of.id}", Kind.DOUBT, of.changed, of)
    for trouble in digests.troubles():
        if trouble.refused or (trouble.until or now) - trouble.since >= LASTS:
            name, _, place = trouble.name.partition(" ")
            kind = Kind.MAILBOX if name == "mailbox" else Kind.RELAY
            found[trouble.name] = News(
                trouble.name, kind, trouble.since, place=place, why=trouble.why, until=trouble.until
            )
    return sorted(found.values(), key=lambda each: each.at)


def heard_of_relays(
    digests: Digests, relays: Iterable[str], down: Mapping[str, Answer], now: int, *, took: bool
) -> None:
    """What a turn of sending knows of the relays: which would not talk to us, and where any `took` mail, which did."""
    for name, answer in down.items():
        if isinstance(answer, Silence):
            digests.trouble(f"relay {name}", answer.why[:200], now)
        else:
            # its words may be about a person
            why = f"{answer.code} {answer.status}".strip()
            digests.trouble(f"relay {name}", why, now, refused=answer.code >= 500)
    if took:
        digests.over([f"relay {name}" for name in relays if name not in down], now)


def heard_of_mailboxes(digests: Digests, read: Iterable[str], away: Mapping[str, str], now: int) -> None:
    """Which mailboxes were read, and which are away, and why."""
    for place, why in away.items():
        digests.trouble(f"mailbox {place}", why[:200], now)
    digests.over([f"mailbox {place}" for place in read if place not in away], now)


def forget(digests: Digests, told: Sequence[News], staff: Sequence[Address], now: int) -> None:
    """Drop what is over, and was told or not worth it; when it begins anew, it is news."""
    untold = {name for person in staff for name in digests.untold([each.event for each in told], fingerprint(person))}
    gone = [each.name for each in digests.troubles() if each.until is not None and each.name not in untold]
    digests.forget(gone, now - FORGOTTEN)


def fingerprint(of: Address) -> str:
    """What a member of staff is known by in the database."""
    return hashlib.sha256(of.key.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Office:
    """From whom a digest comes, and how its reader reads. `identity`: chance for its Message-ID, hexadecimal."""

    name: str
    address: str
    reader: Reader
    seal: Callable[[bytes, int], bytes]
    identity: Callable[[], str]


@dataclass(slots=True, kw_only=True)
class Notice(Letter):
    """A letter to one of the staff, and the events that it tells of."""

    digests: Digests
    events: Sequence[str]
    staff: str
    at: int

    def handed(self) -> None:
        """Raises Fenced where somebody else has told them meanwhile."""
        if not self.digests.take(self.events, self.staff, self.at):
            raise Fenced

    def settle(self) -> str:
        """Write down what follows from the answer. What is to be said of it; nothing where it went."""
        if self.answer is None:
            return "nobody asked for it"
        event = judge(self.answer).event
        if event is Event.ACCEPT:
            return ""
        if event in (Event.DEFER, Event.MISS):
            self.digests.give_back(self.events, self.staff)
        elif event is Event.REJECT:
            # for good: cron would be told the same every five minutes
            self.digests.take(self.events, self.staff, self.at)
        return told(self.answer)


def letters(
    digests: Digests, found: Sequence[News], staff: Sequence[Address], office: Callable[[], Office], now: int
) -> list[Notice]:
    """A letter to each of the staff with what they were not told of yet. Raises StatementError."""
    made = []
    # whoever is named twice is one person
    for person in {fingerprint(each): each for each in staff}.values():
        fresh = digests.untold([each.event for each in found], fingerprint(person))
        if not fresh:
            continue
        of = office()
        message = digest.message(
            [digest.section(each, of.reader) for each in found if each.event in fresh],
            of.reader,
            sender=(of.name, of.address),
            to=str(person),
            identity=of.identity(),
            at=now,
        )
        envelope = Envelope(0, of.address, str(person), of.seal(message, now), person.needs_smtputf8)
        made.append(Notice(envelope=envelope, digests=digests, events=sorted(fresh), staff=fingerprint(person), at=now))
    return made
