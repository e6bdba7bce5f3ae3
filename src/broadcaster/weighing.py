"""What a report or a refusal does: whose copy it is about, whether that can be believed, and what follows.

A report is believed only with a token that was signed here, for the purpose that the place where it stands has, of a
copy that was handed over not too long ago; and once. All else is written down for staff, and changes nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from broadcaster import verdict
from broadcaster.address import Address
from broadcaster.bounces import Copy, Entry
from broadcaster.consent import Proof
from broadcaster.delivery import About, Event, Reply, Stage, State, judge
from broadcaster.effect import (
    ARRIVED,
    EXPIRES,
    FAILED,
    MANY,
    OURS,
    SHARE,
    TELLING,
    Effect,
    Past,
    Patience,
    failed,
    main,
)
from broadcaster.errors import AddressError
from broadcaster.guise import addresses
from broadcaster.links import Purpose
from broadcaster.reasons import REASONS
from broadcaster.returns import Action, Kind, Notice, Returned, Traces

if TYPE_CHECKING:
    from broadcaster.bounces import Bounces, Refusal
    from broadcaster.erasure import Erasure
    from broadcaster.ledger import Ledger
    from broadcaster.links import Signer
    from broadcaster.roster import Roster
    from broadcaster.subscriber import Subscriber

# a token as it may stand in an address that others have rewritten, in a subject or in a link
_TOKEN: Final = re.compile(r"(?<![A-Za-z2-7])[A-Za-z2-7]{26,39}(?![A-Za-z2-7])")
# texts in one place, and letters in one text, that are looked at
_TEXTS, _LETTERS = 50, 1000
LOT: Final = 500


@dataclass(frozen=True, slots=True)
class Scales:
    """What reports are weighed with. `clock`: seconds since the epoch."""

    roster: Roster
    ledger: Ledger
    bounces: Bounces
    signer: Signer
    patience: Patience
    clock: Callable[[], float]
    erasure: Erasure

    @property
    def now(self) -> int:
        return int(self.clock())


def whose(traces: Traces, signer: Signer) -> tuple[int, Purpose] | None:
    """The copy that a token of ours names, the most trusted place first, and what that token is for."""
    places = (
        (Purpose.RETURN, traces.return_paths),
        (Purpose.MESSAGE, traces.message_ids),
        (Purpose.LEAVE, traces.leaves),
        (Purpose.ENVELOPE, traces.envelope_ids),
    )
    for purpose, texts in places:
        for text in texts[:_TEXTS]:
            for token in _TOKEN.findall(text[:_LETTERS]):
                if (delivery := signer.read(purpose, token)) is not None:
                    return delivery, purpose
    return None


def hidden(scales: Scales, returned: Returned | None, octets: bytes) -> bool:
    """Whether a message names somebody who was erased, or is about a copy of theirs: it is not kept."""
    if not scales.erasure.any():
        return False
    if scales.erasure.among(addresses(octets)):
        return True
    found = whose(returned.traces, scales.signer) if returned is not None else None
    copy = scales.bounces.copy(found[0]) if found else None
    return copy is not None and not scales.roster.people([copy.subscriber])


def weigh(scales: Scales, returned: Returned, source: str, message: int | None, *, hide: bool = False) -> list[Entry]:
    """Write down what a report says of each recipient, and do what follows. Inside a transaction.

    `hide`: nothing that it says in words, and nobody whom it names and who was erased.
    """
    found = whose(returned.traces, scales.signer)
    copy = scales.bounces.copy(found[0]) if found else None
    notices = returned.notices
    if copy is None:
        entries = [Entry(source, each, _untied(each), scales.now) for each in notices]
    else:
        entries = _Report(scales, copy, source).entries(notices)
    if hide:
        entries = [_hushed(scales, each) for each in entries]
    for entry in entries:
        scales.bounces.write(entry, message)
    return entries


def _hushed(scales: Scales, entry: Entry) -> Entry:
    """An entry without the words of others, and without an address that no person of ours has."""
    named = entry.notice.recipient
    known = entry.key is not None or (entry.delivery is None and not scales.erasure.among([_key(named)]))
    return replace(entry, notice=entry.notice._replace(recipient=named if known else "", also=(), words=""))


def _untied(notice: Notice) -> Effect:
    """What is tied to no copy of ours may be forged, or a report of somebody's own mail."""
    telling = failed(notice) or notice.kind in (Kind.COMPLAINT, Kind.UNSUBSCRIBE) or notice.reason in TELLING
    return Effect.ADVICE if telling else Effect.NOTED


@dataclass(slots=True)
class _Report:
    """One report, tied to one copy."""

    scales: Scales
    copy: Copy
    source: str

    def entries(self, notices: Sequence[Notice]) -> list[Entry]:
        person = self.scales.roster.people([self.copy.subscriber]).get(self.copy.subscriber)
        key = Address.parse(person.address).key if person else ""
        folded = [each._replace(recipient=_key(each.recipient), also=tuple(map(_key, each.also))) for each in notices]
        chosen = main(folded, key) if notices else -1
        entries = []
        for number, stated in enumerate(notices):
            # a complaint often names nobody: the copy does
            notice = stated if stated.recipient or person is None else stated._replace(recipient=person.address)
            if number != chosen:
                entries.append(self._entry(notice, Effect.NOTED))
            elif failed(notice):
                named = key in (folded[number].recipient, *folded[number].also)
                entries.append(self._failed(notice, person, named=named))
            elif person is not None and notice.kind in (Kind.COMPLAINT, Kind.UNSUBSCRIBE):
                entries.append(self._wish(notice, person))
            else:
                entries.append(self._entry(notice, Effect.ADVICE if notice.reason in TELLING else Effect.NOTED))
        return entries

    def _entry(self, notice: Notice, effect: Effect, heard: str | None = None, key: str | None = None) -> Entry:
        at, copy = self.scales.now, self.copy
        return Entry(self.source, notice, effect, at, copy.mailing, copy.delivery, key, heard, copy.sent)

    def _failed(self, notice: Notice, person: Subscriber | None, *, named: bool) -> Entry:
        """It did not arrive."""
        scales, copy = self.scales, self.copy
        if copy.sent is None or copy.sent < scales.now - EXPIRES:
            # never handed over, or so long ago that nobody reports on it any more
            return self._entry(notice, Effect.ADVICE)
        if scales.bounces.heard(copy.delivery, "failed"):
            return self._entry(notice, Effect.REPEATED)
        scales.ledger.shift(copy.mailing, [copy.delivery], Event.BOUNCE)
        if person is None:
            return self._entry(notice, Effect.NOTED, "failed")
        # a person who was changed since may have had another address then: only one that is named is charged
        if not named and scales.roster.changed(person.id) > copy.sent:
            return self._entry(notice, Effect.ADVICE, "failed")
        return charged(scales, self._entry(notice, Effect.NOTED, "failed"), person)

    def _wish(self, notice: Notice, person: Subscriber) -> Entry:
        """A complaint, or a wish to leave. Those never expire: whoever has the copy may still say so."""
        scales, copy = self.scales, self.copy
        heard = str(notice.kind)
        key = Address.parse(person.address).key
        if scales.bounces.heard(copy.delivery, heard):
            return self._entry(notice, Effect.REPEATED)
        if notice.kind is Kind.COMPLAINT:
            done = Effect.SUPPRESSED if _complained(scales, person, copy.mailing) else Effect.NOTED
            return self._entry(notice, done, heard, key)
        of = scales.roster.mailed(copy.list)
        why, proof = f"wrote to leave, after mailing {copy.mailing}", Proof(message=self.source)
        left = scales.roster.leave(person, [of] if of else [], why, proof, mailing=copy.mailing)
        return self._entry(notice, Effect.LEFT if left else Effect.NOTED, heard, key)


def _key(text: str) -> str:
    """An address as we compare them."""
    try:
        return Address.parse(text).key
    except AddressError:
        return text.lower()


def _complained(scales: Scales, person: Subscriber, mailing: int) -> bool:
    """All lists, at once (RFC 6650 §4). It outweighs a bounce: who lifts that must see it."""
    address = Address.parse(person.address)
    barred = scales.roster.suppression(address)
    if barred is not None and barred.reason == "bounced":
        scales.roster.lift(address, mailing=mailing)
    return scales.roster.suppress(address, "complained", f"about mailing {mailing}", mailing=mailing)


def charged(scales: Scales, entry: Entry, person: Subscriber) -> Entry:
    """The entry of a copy that did not arrive, with what follows for its address."""
    notice, address = entry.notice, Address.parse(person.address)
    assert entry.mailing is not None
    assert entry.sent is not None
    if notice.reason in OURS:
        return _with(entry, Effect.WARNED, address.key)
    barred = scales.roster.suppression(address)
    if barred is not None and barred.intake is None:
        return _with(entry, Effect.NOTED, address.key)
    past = [*scales.bounces.counted(address.key), Past(notice.kind, entry.mailing, entry.sent)]
    arrived = 0
    if scales.patience.over(past, 0):
        arrived = scales.bounces.arrived(person.id, scales.now - ARRIVED)
    if not scales.patience.over(past, arrived):
        return _with(entry, Effect.COUNTED, address.key, counts=True)
    if barred is not None:
        # a file said so first, and that may be undone
        scales.roster.confirm(address)
        return _with(entry, Effect.NOTED, address.key, counts=True)
    said = " ".join(word for word in (notice.status, notice.reason.replace("_", " ")) if word)
    why = f"mailing {entry.mailing}: {said or notice.words[:80]}"
    scales.roster.suppress(address, "bounced", why, mailing=entry.mailing)
    return _with(entry, Effect.SUPPRESSED, address.key, counts=True)


def _with(entry: Entry, effect: Effect, key: str, *, counts: bool = False) -> Entry:
    return replace(entry, effect=effect, key=key, counts=counts)


# where most of a mailing came back as dead


def brake(scales: Scales, entries: Sequence[Entry]) -> set[int]:
    """The mailings of these entries of which most came back as dead: nobody is suppressed for them any more.

    A server that has lost its list of users calls everybody unknown, for an hour: to believe that would end the list.
    Inside a transaction.
    """
    stopped = {number for number in {each.mailing for each in entries} if number and _unlikely(scales, number)}
    for number in stopped:
        for key in scales.bounces.hold(number):
            address = Address.parse(key)
            barred = scales.roster.suppression(address)
            # what somebody else said of that address stays
            if barred is not None and barred.reason == "bounced" and barred.detail.startswith(f"mailing {number}:"):
                scales.roster.lift(address, mailing=number)
    return stopped


def held(entries: Sequence[Entry], stopped: set[int]) -> list[Entry]:
    """These entries as the log has them once those mailings are stopped."""
    return [
        replace(each, effect=Effect.HELD, counts=False)
        if each.mailing in stopped
        and each.notice.kind is Kind.HARD
        and each.effect in (Effect.SUPPRESSED, Effect.COUNTED)
        else each
        for each in entries
    ]


def _unlikely(scales: Scales, number: int) -> bool:
    """Whether so many copies of a mailing came back as dead that staff must say whether that is true."""
    tally = scales.ledger.mailing(number).tally
    failed = sum(tally.get(state, 0) for state in (State.BOUNCED, State.REJECTED))
    gone = failed + sum(tally.get(state, 0) for state in (State.ACCEPTED, State.HANDED, State.IN_DOUBT))
    # the tally is at hand, the log must be counted
    if failed < MANY or failed <= gone * SHARE or scales.ledger.seen(_believed(number)) is not None:
        return False
    dead = scales.bounces.dead(number)
    return dead >= MANY and dead > gone * SHARE


def believe(scales: Scales, number: int) -> list[Entry]:
    """Staff say that they are dead indeed: what was held of a mailing is done."""
    done = []
    with scales.ledger.db.atomic(durable=True):
        scales.ledger.saw(_believed(number), scales.now)
        for row, waits in scales.bounces.held(number):
            person = scales.roster.find(Address.parse(waits.key)) if waits.key else None
            entry = charged(scales, waits, person) if person is not None else replace(waits, effect=Effect.NOTED)
            scales.bounces.amend(row, entry)
            done.append(entry)
        scales.ledger.db.note("mailing believe", scales.now, mailing=number, reports=len(done))
    return done


def _believed(number: int) -> str:
    return f"believed {number}"


# what relays said while sending


def weigh_refusals(scales: Scales) -> list[Entry]:
    """What was refused while sending, weighed as reports are. Not while somebody sends: he may yet pardon it.

    About people it is only what a relay says that has accepted something in the same mailing: one that refuses
    everybody refuses us.
    """
    entries: list[Entry] = []
    after = 0
    while found := scales.bounces.refusals(after, LOT):
        after = found[-1].delivery
        with scales.ledger.db.atomic(durable=True):
            lot = [*_refused(scales, found)]
            entries = held([*entries, *lot], brake(scales, lot))
    return entries


def _refused(scales: Scales, found: Sequence[Refusal]) -> Iterator[Entry]:
    took = {pair: scales.bounces.took(*pair) for pair in {(each.mailing, each.relay) for each in found}}
    done = []
    for each in found:
        believed = took[each.mailing, each.relay]
        if not believed and not each.over:
            continue
        done.append(each.delivery)
        if scales.bounces.heard(each.delivery, "failed"):
            continue
        entry = _weighed(scales, each, believed=believed)
        if entry is not None:
            scales.bounces.write(entry, None)
            yield entry
    scales.bounces.weighed(done)


def _weighed(scales: Scales, each: Refusal, *, believed: bool) -> Entry | None:
    copy = scales.bounces.copy(each.delivery)
    assert copy is not None
    assert copy.state is State.REJECTED
    person = scales.roster.people([copy.subscriber]).get(copy.subscriber)
    if person is None:
        return None
    stage = Stage(each.stage)
    said = verdict.replied(each.code, each.reply, stage)
    kind = REASONS[said.reason].kind if said.reason in REASONS else Kind.UNKNOWN
    words = f"{each.code} {each.reply}"
    notice = Notice(kind, Action.FAILED, person.address, (), said.status, said.reason, words[:500])
    source, at = f"relay {each.relay}", scales.now
    entry = Entry(source, notice, Effect.NOTED, at, copy.mailing, copy.delivery, None, "failed", each.at)
    about = judge(Reply(stage, each.code, each.reply)).about
    person_alone = kind is Kind.HARD or (kind in FAILED and about is About.PERSON)
    if not believed or scales.roster.changed(person.id) > each.at:
        return entry
    return charged(scales, entry, person) if person_alone or notice.reason in OURS else entry
