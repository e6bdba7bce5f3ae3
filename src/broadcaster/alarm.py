"""When to stop: a relay that refuses everyone, a message that nobody takes, silence after silence.

It hears what became of each delivery of a round and says what must stop, and why. Whoever was refused on the way
there is not to blame, and is named so that the refusal can be taken back.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from broadcaster.delivery import About, Event, Outcome, Reply, Silence, Stage, judge, told

# so many messages in a row without an answer, and something in between is broken
SILENCES = 3
# a relay that refuses so many and takes none, always with the same words, refuses us
EVERYONE = 10
# so many in a row are refused for what they are, or for who we are
FEW = 3
# the same at one domain, among others that take them
MANY = 20

# What differs from one person to the next in what is the same refusal: addresses, names of queues.
_THEIRS = re.compile(r"\S*[@\d]\S*")


@dataclass(frozen=True, slots=True)
class Refused:
    """A delivery that was refused, and the domain it was for."""

    delivery: int
    domain: str


@dataclass(frozen=True, slots=True)
class Stop:
    """What must stop, why, and whose refusals were about something else than them.

    `relay`: that relay must; others may go on.
    """

    reason: str
    relay: bool = False
    pardoned: Sequence[Refused] = ()


@dataclass(slots=True)
class _Standing:
    """What one relay said in one mailing."""

    choosy: bool = False  # it took one, or had different words for different people
    gist: str = ""
    everyone: list[Refused] = field(default_factory=list)  # all so far, unless it is choosy
    for_us: list[Refused] = field(default_factory=list)  # since it last took one
    ringing: bool = False


class Alarm:
    """What a round has heard. `share` of at least so many rejected is too much, where somebody wished it."""

    def __init__(self, share: float | None = None, at_least: int = 1) -> None:
        self._share = share
        self._at_least = at_least
        self._standings: defaultdict[tuple[int, str], _Standing] = defaultdict(_Standing)
        self._domains: defaultdict[tuple[int, str], list[Refused]] = defaultdict(list)
        self._silences: Counter[str] = Counter()
        self._rejected: Counter[int] = Counter()
        self._tried: Counter[int] = Counter()

    def forget(self, mailing: int) -> None:
        """Somebody looked into it, and lets it go on."""
        for key in [key for key in self._standings if key[0] == mailing]:
            del self._standings[key]
        for key in [key for key in self._domains if key[0] == mailing]:
            del self._domains[key]
        self._rejected.pop(mailing, None)
        self._tried.pop(mailing, None)

    def accepted(self, mailing: int, relay: str, domain: str) -> Stop | None:
        """A message was taken."""
        standing = self._standings[mailing, relay]
        if not standing.choosy or standing.for_us:
            standing.choosy = True
            standing.everyone.clear()
            standing.for_us.clear()
        self._tried[mailing] += 1
        if self._silences:
            self._silences.pop(relay, None)
        if self._domains:
            self._domains.pop((mailing, domain), None)
        return self._too_many(mailing) if self._rejected else None

    def heard(self, mailing: int, outcome: Outcome, domain: str, *, again: bool = False) -> Stop | None:
        """Anything else became of one. `again`: it was pardoned before, and a person has let the mailing go on."""
        answer, relay = outcome.answer, outcome.relay
        if isinstance(answer, Silence):
            return self._silent(mailing, answer, relay)
        if answer is None:
            return None
        if answer.stage is Stage.DOT:
            self._silences.pop(relay, None)
        about = judge(answer).about
        if answer.stage <= Stage.MAIL and about is About.US:
            return Stop(f"{relay} refuses us: {told(answer)}", relay=True)
        stop = None
        if not again and answer.code >= 500 and about is not About.WAY:
            stop = self._refused(mailing, answer, relay, Refused(outcome.delivery, domain), about)
        if outcome.event is Event.REJECT:
            self._tried[mailing] += 1
            self._rejected[mailing] += 1
        return stop or self._too_many(mailing)

    def _silent(self, mailing: int, answer: Silence, relay: str) -> Stop | None:
        if not answer.after_dot:
            return None
        self._tried[mailing] += 1
        self._silences[relay] += 1
        if self._silences[relay] < SILENCES:
            return None
        return Stop(f"{SILENCES} messages in a row got no answer from {relay} ({answer.why})")

    def _refused(self, mailing: int, reply: Reply, relay: str, whom: Refused, about: About) -> Stop | None:
        standing = self._standings[mailing, relay]
        gist = f"{reply.code} {reply.status} {_THEIRS.sub('', reply.text)}"
        if standing.ringing and (gist == standing.gist or about in (About.US, About.MESSAGE)):
            # one that was on its way when the others were refused
            return Stop(f"{relay}: {told(reply)}", relay=True, pardoned=(whom,))
        if standing.gist and gist != standing.gist:
            standing.choosy = True
        standing.gist = gist
        if not standing.choosy:
            standing.everyone.append(whom)
            if len(standing.everyone) >= EVERYONE:
                standing.ringing = True
                return Stop(f"{relay} refuses everyone: {told(reply)}", relay=True, pardoned=standing.everyone)
        if about not in (About.US, About.MESSAGE):
            return None
        standing.for_us.append(whom)
        if len(standing.for_us) >= FEW:
            standing.ringing = True
            what = "us" if about is About.US else "this message"
            relay_alone = about is About.US and reply.stage is Stage.RCPT
            return Stop(f"{relay} refuses {what}: {told(reply)}", relay=relay_alone, pardoned=standing.for_us)
        there = self._domains[mailing, whom.domain]
        there.append(whom)
        if len(there) >= MANY:
            return Stop(f"{whom.domain} refuses this message: {told(reply)}", pardoned=there)
        return None

    def _too_many(self, mailing: int) -> Stop | None:
        rejected, tried = self._rejected[mailing], self._tried[mailing]
        if self._share is None or not rejected or tried < self._at_least or rejected / tried < self._share:
            return None
        return Stop(f"{rejected} of {tried} were rejected (safety.stop_after)")
