"""Deliveries in doubt, settled: by a person's word, or by what the relay's log tells.

A log that does not mention a copy proves nothing: it may be another relay's, or end too early. So what is not found
stays in doubt, and a person is told how far the log reaches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from broadcaster import mailing as m
from broadcaster.delivery import NEXT, Event, State
from broadcaster.doubts import Times, Word
from broadcaster.errors import NotFound
from broadcaster.links import Purpose
from broadcaster.maillog import Fate, Finding

if TYPE_CHECKING:
    from broadcaster.doubts import Doubts
    from broadcaster.ledger import Ledger
    from broadcaster.links import Signer
    from broadcaster.mailing import Mailing
    from broadcaster.maillog import Span
    from broadcaster.roster import Roster

# how much a log must have before and after the time of a doubt, to be said to cover it (seconds): clocks differ,
# a relay may think for ten minutes, and what a crash left has only about the time of its claim
MARGIN: Final = 900
# logs that follow one another so closely are taken as one (seconds): nobody writes into a log without end
GAP: Final = 3600
LOT: Final = 5000


@dataclass(frozen=True, slots=True)
class Told:
    """What a log tells of some deliveries in doubt."""

    events: Mapping[int, Event] = field(default_factory=dict)
    findings: Mapping[int, Finding] = field(default_factory=dict)
    missing: Sequence[int] = ()  # the log tells nothing that decides
    covered: int = 0  # so many of those were tried in a time that the log covers

    def counts(self) -> dict[str, int]:
        """How many go where, by the name of the state, and `not_found`."""
        ends = Counter(NEXT[State.IN_DOUBT, event] for event in self.events.values())
        states = (State.ACCEPTED, State.BOUNCED, State.REJECTED, State.DEFERRED)
        return {**{state.word: ends[state] for state in states}, "not_found": len(self.missing)}


def named(ledger: Ledger, roster: Roster, number: int, addresses: Sequence[str]) -> list[int]:
    """The deliveries of a mailing in doubt, all of them or those to these addresses. Raises NotFound."""
    doubtful = ledger.doubtful(number)
    if not addresses:
        return doubtful
    found, known = [], set(doubtful)
    for address in addresses:
        person = roster.find(address)
        delivery = ledger.delivery_of(number, person.id) if person else None
        if delivery is None or delivery not in known:
            raise NotFound(
                f"no delivery in doubt to that address in mailing {number}",
                where=address,
                hint=f"`broadcaster status {number} --deliveries --state in_doubt` lists them",
            )
        found.append(delivery)
    return list(dict.fromkeys(found))


def resolve(ledger: Ledger, number: int, doubtful: Sequence[int], event: Event, now: int) -> int:
    """Settle deliveries in doubt by a person's word. How many."""
    with ledger.db.atomic(durable=True):
        moved = ledger.shift(number, doubtful, event)
        if moved:
            ledger.db.note("mailing resolve", now, mailing=number, how=event.name.lower(), settled=moved)
        _conclude(ledger, number, now)
    return moved


def asked_for(signer: Signer, doubtful: Sequence[int]) -> Callable[[str], int | None]:
    """What tells a token of a Message-ID in doubt: checked with the key, since anybody can write into a log."""
    wanted = frozenset(doubtful)

    def ours(token: str) -> int | None:
        delivery = signer.read(Purpose.MESSAGE, token)
        return delivery if delivery in wanted else None

    return ours


def compared(
    doubts: Doubts, of: Mailing, doubtful: Sequence[int], findings: Mapping[int, Finding], spans: Sequence[Span]
) -> Told:
    """What the findings in a log mean for deliveries in doubt."""
    times = doubts.times(of.id)
    last = doubts.last_claim(of.id)
    reach = _joined(spans)
    events: dict[int, Event] = {}
    missing: list[int] = []
    covered = 0
    for delivery in doubtful:
        when = times.get(delivery, _UNTRIED)
        event = _event(findings.get(delivery), when)
        if event is not None:
            events[delivery] = event
            continue
        missing.append(delivery)
        first = of.created if when.doubted is None else when.doubted
        end = last if when.doubted is None else when.doubted
        covered += end is not None and any(a <= first - MARGIN and end + MARGIN <= b for a, b in reach)
    return Told(events, findings, missing, covered)


def settle(ledger: Ledger, doubts: Doubts, number: int, told: Told, now: int) -> int:
    """Write what a log tells of deliveries that are in doubt. How many were settled."""
    settled = Counter[str]()
    with ledger.db.atomic(durable=True):
        still = set(ledger.doubtful(number))
        for event in dict.fromkeys(told.events.values()):
            ids = [delivery for delivery, each in told.events.items() if each is event and delivery in still]
            for start in range(0, len(ids), LOT):
                lot = ids[start : start + LOT]
                settled[NEXT[State.IN_DOUBT, event].word] += ledger.shift(number, lot, event)
                doubts.answer(_word(delivery, event, told.findings[delivery]) for delivery in lot)
                if event is Event.DEFER:
                    doubts.put_off(number, lot, now)
        if settled.total():
            ledger.db.note("mailing resolve", now, mailing=number, how="log", settled=settled.total(), **settled)
        _conclude(ledger, number, now)
    return settled.total()


def _conclude(ledger: Ledger, number: int, now: int) -> None:
    """What waits again of a cancelled mailing is cancelled; what has nothing open is finished."""
    of = ledger.mailing(number)
    if of.state is m.State.CANCELLED:
        ledger.close(of, Event.CANCEL)
    ledger.finish_if_done(number, now)


_UNTRIED: Final = Times()


def _event(finding: Finding | None, when: Times) -> Event | None:
    """What became of a delivery, or None where the log does not tell."""
    if finding is None or finding.fate is Fate.SEEN:
        return None
    if finding.fate is Fate.TAKEN:
        return Event.ACCEPT
    if finding.fate is Fate.BOUNCED:
        return Event.BOUNCE
    # we heard of an earlier attempt's refusal: it is not that of the one in doubt
    if finding.at <= when.before:
        return None
    return Event.REJECT if finding.status.startswith("5") else Event.DEFER


def _word(delivery: int, event: Event, finding: Finding) -> Word:
    return Word(
        delivery, NEXT[State.IN_DOUBT, event], int(finding.at), finding.status, f"the relay's log: {finding.text}"
    )


def _joined(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """The times that some logs cover together."""
    reach: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.first):
        if reach and span.first <= reach[-1][1] + GAP:
            reach[-1] = reach[-1][0], max(reach[-1][1], span.last)
        else:
            reach.append((span.first, span.last))
    return reach
