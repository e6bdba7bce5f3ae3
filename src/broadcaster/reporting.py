"""Reporting: from the rows of a mailing to its report. All is counted at one moment, also while it is being sent."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from broadcaster import delivery, verdict
from broadcaster.counting import QUARTER
from broadcaster.delivery import State
from broadcaster.report import (
    LEAST,
    MOST_OF_IT,
    NAMED,
    STEPS,
    Accepted,
    Before,
    Details,
    Domains,
    Group,
    Reasons,
    Report,
    Returned,
    Used,
    comparable,
)
from broadcaster.timeline import MINUTE, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broadcaster.bounces import Bounces
    from broadcaster.counting import Answered, Counting
    from broadcaster.ledger import Ledger
    from broadcaster.mailing import Mailing
    from broadcaster.pace import Limit

# minutes that are kept: two weeks of them
KEPT: Final = 20_160

# addresses, ids of queues and numbers of lines: without them many answers are one
_OWN: Final = re.compile(
    r"<?[\w.+=-]++@[\w.-]++>?|(?<!\S)(?=[A-Za-z_.-]*+\d)[\w.-]{8,}+(?!\S)|(?<![\w.-])(?:\d{4,}+|\d{1,2})(?![\w.-])"
)
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)
# answers with words of their own that are looked into
LOOKED_INTO: Final = 5_000


def report(
    number: int,
    ledger: Ledger,
    counting: Counting,
    bounces: Bounces,
    limits: Mapping[str, Sequence[Limit]],
    lists: Callable[[Sequence[int]], Sequence[str]],
    now: int,
    local: Callable[[int], datetime],
) -> Report:
    """The report of a mailing. `limits`: of each relay, as it is configured; `lists`: the names of lists by their ids;
    `local`: epoch seconds → wall time.

    Raises NotFound.
    """
    with counting.db.reading():
        of = ledger.mailing(number)
        returned = Returned()
        for quarter, kind, reason, count in counting.returned(of):
            returned.add(local(quarter * QUARTER).date(), kind, reason or "undefined", count)
        earlier = comparable(of, ledger.mailings())
        return Report(
            of,
            lists(of.rule.lists),
            now,
            _details(of, counting, limits, local),
            returned,
            [Before(each, bounces.tally(each.id)) for each in earlier],
        )


def _details(
    of: Mailing, counting: Counting, limits: Mapping[str, Sequence[Limit]], local: Callable[[int], datetime]
) -> Details | None:
    states: defaultdict[str, Counter[State]] = defaultdict(Counter)
    for language, state, number in counting.deliveries(of):
        states[language][state] += number
    whole = sum(states.values(), Counter[State]())
    if whole.total() != of.audience:
        # [retention] has taken some, or all of them
        return None
    over = _over_time(of, counting, local)
    return Details(
        languages=sorted((Group(tag, found) for tag, found in states.items()), key=lambda each: -each.audience),
        domains=_domains(of, counting, whole),
        accepted=_accepted(of, over.accepted),
        put_off=_reasons(counting.put_off(of), of.tally.get(State.DEFERRED, 0)),
        rejected=_reasons(counting.refused(of), 0),
        doubts_settled=counting.settled_doubts(of) if over.lost else 0,
        relays=[
            Used(name, over.tries[name], over.taken[name], limits.get(name)) for name in sorted(over.tries) if name
        ],
        first=over.first,
        last=over.last,
    )


def _domains(of: Mailing, counting: Counting, whole: Counter[State]) -> Domains:
    with counting.destined(of) as destined:
        named = [Group(name, states) for name, states in destined.most(LEAST, NAMED).items()]
        gone = Group("", destined.gone())
        rest = Counter(whole)
        for each in (*named, gone):
            rest.subtract(each.states)
        return Domains(named, Group("", +rest), destined.number() - len(named), gone)


@dataclass(slots=True)
class _OverTime:
    """What was asked of each relay, what was accepted, how much of it by whom, and whether an answer was ever lost."""

    accepted: Timeline = field(default_factory=lambda: Timeline(KEPT))
    tries: dict[str, Timeline] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    lost: bool = False
    first: int | None = None
    last: int | None = None


def _over_time(of: Mailing, counting: Counting, local: Callable[[int], datetime]) -> _OverTime:
    found = _OverTime()
    for relay, minute, state, number in counting.attempts(of):
        if state is State.SKIPPED:
            continue  # nobody was asked
        at = minute * MINUTE
        if found.first is None:
            shift = local(at).utcoffset()
            offset = int(shift.total_seconds()) if shift else 0
            found.accepted = Timeline(KEPT, offset)
        found.first = min(at, at if found.first is None else found.first)
        found.last = max(at, at if found.last is None else found.last)
        found.tries.setdefault(relay, Timeline(KEPT, offset)).add(at, number)
        found.lost = found.lost or state is State.IN_DOUBT
        if state is State.ACCEPTED:
            found.accepted.add(at, number)
            found.taken[relay] += number
    return found


def _accepted(of: Mailing, found: Timeline) -> Accepted:
    shown = found.until(MOST_OF_IT, STEPS)
    told = of.tally.get(State.ACCEPTED, 0) + of.tally.get(State.BOUNCED, 0)
    slots = found.slots
    return Accepted(shown, found.total - shown.total, max(0, told - found.total), slots[-1][0] if slots else None)


class _Judge:
    """Why, from the words of answers. Looked into are so many different ones; of others it is what most answers with
    the same code meant, so that a million refusals which each have an id of their own take seconds and not minutes."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, str, int | None], str] = {}
        self._usual: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)

    def reason(self, of: Answered) -> str:
        if not (of.code or of.reply):
            return "undefined"
        key = (of.code, of.status, _OWN.sub("@", of.reply), of.stage)
        usual = self._usual[of.code, of.status]
        if key not in self._known:
            if len(self._known) >= LOOKED_INTO and usual:
                return usual.most_common(1)[0][0]
            text = key[2] if of.status in key[2] else f"{of.status} {key[2]}"
            stage = None if of.stage is None else delivery.Stage(of.stage)
            self._known[key] = verdict.replied(of.code, text, stage).reason
        reason = self._known[key]
        usual[reason] += of.number
        return reason


def _reasons(answers: Iterable[Answered], waiting: int) -> Reasons:
    """Answers by what they mean. `waiting`: how many must be told of as waiting."""
    found = Reasons()
    judge = _Judge()
    for each in answers:
        reason = each.reason or judge.reason(each)
        # whatever a log told as a status: only what is one gets into a report
        status = each.status if _STATUS.fullmatch(each.status) else ""
        code = f"{each.code or ''} {status}".strip()
        found.add(reason, each.number, waiting=each.waiting, code=code)
    unheard = waiting - found.waiting.total()
    if unheard > 0:
        found.add("undefined", 0, waiting=unheard)
    return found
