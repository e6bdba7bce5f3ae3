"""A report: what came of one mailing, in figures. Counted rows in, no addresses: nobody can be told from it.

*Accepted* means that the relay took a copy; whether it arrived, or was read, nobody knows. What is forgotten after
[retention] deliveries is None and never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

from broadcaster.delivery import OPEN, State
from broadcaster.mailing import Mailing
from broadcaster.pace import Limit
from broadcaster.timeline import DAY, HOUR, MINUTE, Timeline

# People who must share a domain before it is named: one of one person names them.
LEAST: Final = 5
# domains that are named
NAMED: Final = 12
# Complaints for each accepted copy: Google asks all senders to stay below the first, and never to reach the second.
WARN: Final = 0.001
STOP: Final = 0.003
# earlier mailings to compare with
EARLIER: Final = 5
# steps that a timeline is shown in
STEPS: Final = 120
# of what was accepted, and is shown as finely as that allows
MOST_OF_IT: Final = 0.95
# codes that are named of one reason
CODES: Final = 3

# kinds of what comes back that a report tells of
KINDS: Final = ("hard", "soft", "unknown", "complaint", "unsubscribe")


class Level(StrEnum):
    """Where complaints stand between the two lines."""

    OK = "ok"
    WARN = "warn"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Group:
    """Some of the audience by state. `name`: a language's tag, a domain; "" for nobody in particular."""

    name: str
    states: Mapping[State, int]

    @property
    def audience(self) -> int:
        return sum(self.states.values())

    def of(self, *states: State) -> int:
        return sum(self.states.get(state, 0) for state in states)

    @property
    def waiting(self) -> int:
        """Not settled, and not in doubt."""
        return self.of(*OPEN) - self.of(State.IN_DOUBT)

    @property
    def unsent(self) -> int:
        """Settled without the relay being asked, or before it would have been."""
        return self.of(State.SUPPRESSED, State.SKIPPED, State.EXPIRED, State.CANCELLED)

    def figures(self) -> dict[str, int]:
        return {
            "audience": self.audience,
            "accepted": self.of(State.ACCEPTED),
            "bounced": self.of(State.BOUNCED),
            "rejected": self.of(State.REJECTED),
            "in_doubt": self.of(State.IN_DOUBT),
            "waiting": self.waiting,
            "unsent": self.unsent,
        }


@dataclass(frozen=True, slots=True)
class Domains:
    """Where it went. `others`: how many domains the rest is spread over."""

    named: Sequence[Group]
    rest: Group
    others: int
    gone: Group  # people who are in the roster no more

    def figures(self) -> dict[str, Any]:
        return {
            "named": [{"domain": each.name, **each.figures()} for each in self.named],
            "other": {"domains": self.others, **self.rest.figures()},
            "gone": self.gone.figures(),
        }


@dataclass(slots=True)
class Reasons:
    """Why, in the words of REASONS: how often, of how many it is the last word so far, and with which codes."""

    number: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    codes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, reason: str, number: int, *, waiting: int = 0, code: str = "") -> None:
        self.number[reason] += number
        self.waiting[reason] += waiting
        if code:
            self.codes.setdefault(reason, Counter())[code] += number

    def most(self) -> list[str]:
        """The reasons, the most frequent first."""
        return [reason for reason, _ in sorted(self.number.items(), key=lambda each: (-each[1], each[0]))]

    def common(self, reason: str) -> dict[str, int]:
        """The most frequent codes of a reason."""
        return dict(self.codes.get(reason, Counter()).most_common(CODES))

    def figures(self, *, waiting: bool = False) -> list[dict[str, Any]]:
        return [
            {
                "reason": reason,
                "number": self.number[reason],
                **({"waiting": self.waiting[reason]} if waiting else {}),
                "codes": self.common(reason),
            }
            for reason in self.most()
        ]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the relays took, over time. `later`: after the last of the steps; `untimed`: by a person's word, a relay's
    log or a report of the copy, which tell no time of it."""

    shown: Timeline
    later: int
    untimed: int
    last: int | None  # when the last one was taken, to the minute (epoch seconds)

    def figures(self) -> dict[str, Any]:
        return {
            "step": self.shown.step,
            "series": [{"at": at, "number": number} for at, number in self.shown.slots],
            "later": self.later,
            "untimed": self.untimed,
            "last": self.last,
        }


@dataclass(slots=True)
class Returned:
    """What came back of its copies, each once, by the day it was read on."""

    days: dict[date, Counter[str]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Reasons = field(default_factory=Reasons)

    def add(self, day: date, kind: str, reason: str, number: int) -> None:
        kind = kind if kind in KINDS else "unknown"
        self.days.setdefault(day, Counter())[kind] += number
        self.kinds[kind] += number
        if kind not in ("complaint", "unsubscribe"):
            self.reasons.add(reason, number)

    def steps(self, most: int) -> tuple[int, list[tuple[date, Counter[str]]]]:
        """How many days a step is, and all steps from the first to the last, the empty ones too."""
        if not self.days:
            return 1, []
        first, last = min(self.days).toordinal(), max(self.days).toordinal()
        step = 1
        while (last - first) // step >= most:
            step = 7 if step == 1 else 2 * step
        found = [(date.fromordinal(first + step * i), Counter[str]()) for i in range((last - first) // step + 1)]
        for day, kinds in self.days.items():
            found[(day.toordinal() - first) // step][1].update(kinds)
        return step, found

    def figures(self) -> dict[str, Any]:
        return {
            **{kind: self.kinds[kind] for kind in KINDS},
            "days": [
                {"day": day.isoformat(), **{kind: kinds[kind] for kind in KINDS}}
                for day, kinds in sorted(self.days.items())
            ],
            "reasons": self.reasons.figures(),
        }


@dataclass(frozen=True, slots=True)
class Complaints:
    """How many of those whose copy was accepted reported it as unwanted."""

    number: int
    of: int

    @property
    def rate(self) -> float | None:
        return self.number / self.of if self.of else None

    @property
    def level(self) -> Level:
        """Compared in whole numbers: three of a thousand are the line, and not a hair below it."""
        if self.number and self.number * 1000 >= 3 * self.of:
            return Level.STOP
        return Level.WARN if self.number and self.number * 1000 >= self.of else Level.OK

    @property
    def few(self) -> bool:
        """Whether a single one would be above a line: then the share says little."""
        return self.of * WARN < 1

    def figures(self) -> dict[str, Any]:
        rate = self.rate
        return {
            "number": self.number,
            "of": self.of,
            "rate": None if rate is None else round(rate, 6),
            "warn": WARN,
            "stop": STOP,
            "level": self.level.value,
        }


@dataclass(frozen=True, slots=True)
class Reached:
    """How much of a limit was used. `most`: in the fullest of its windows, or None where that is not known any more."""

    limit: Limit
    most: float | None

    @property
    def share(self) -> float | None:
        return None if self.most is None else self.most / self.limit.number

    def figures(self) -> dict[str, Any]:
        share = self.share
        return {
            "limit": str(self.limit),
            "reached": None if self.most is None else round(self.most, 3),
            "share": None if share is None else round(share, 4),
        }


@dataclass(frozen=True, slots=True)
class Used:
    """One relay: what was asked of it, and how fast. `limits` are those of today, or None where it is configured
    no more."""

    relay: str
    tries: Timeline
    accepted: int
    limits: Sequence[Limit] | None

    @property
    def reached(self) -> list[Reached]:
        return [Reached(limit, self._most(limit)) for limit in self.limits or ()]

    def _most(self, limit: Limit) -> float | None:
        # tries are known by the minute: of a second only the mean of the fullest minute is
        window = max(limit.seconds, MINUTE)
        most = self.tries.busiest(window)
        return None if most is None else most * limit.seconds / window

    def figures(self) -> dict[str, Any]:
        return {
            "relay": self.relay,
            "tries": self.tries.total,
            "accepted": self.accepted,
            "busiest_minute": self.tries.busiest(MINUTE),
            "busiest_hour": self.tries.busiest(HOUR),
            "busiest_day": self.tries.busiest(DAY),
            "limits": None if self.limits is None else [each.figures() for each in self.reached],
        }


@dataclass(frozen=True, slots=True)
class Before:
    """A mailing to compare with."""

    of: Mailing
    returned: Mapping[str, int]

    @property
    def complaints(self) -> Complaints:
        return Complaints(self.returned.get("complaint", 0), self.of.tally.get(State.ACCEPTED, 0))

    def figures(self) -> dict[str, Any]:
        return {
            "mailing": self.of.id,
            "statement": self.of.statement,
            "state": self.of.state.word,
            "prepared": self.of.created,
            **Group("", self.of.tally).figures(),
            "complaints": self.returned.get("complaint", 0),
            "leave_wishes": self.returned.get("unsubscribe", 0),
        }


@dataclass(frozen=True, slots=True)
class Details:
    """What is known as long as it is known who got which copy. Times in epoch seconds."""

    languages: Sequence[Group]
    domains: Domains
    accepted: Accepted
    put_off: Reasons
    rejected: Reasons
    doubts_settled: int
    relays: Sequence[Used]
    first: int | None  # the minute of the first answer, and of the last one
    last: int | None

    def figures(self) -> dict[str, Any]:
        return {
            "first_answer": self.first,
            "last_answer": self.last,
            "languages": [{"language": each.name, **each.figures()} for each in self.languages],
            "domains": self.domains.figures(),
            "accepted_over_time": self.accepted.figures(),
            "put_off_reasons": self.put_off.figures(waiting=True),
            "rejected_reasons": self.rejected.figures(),
            "doubts_settled": self.doubts_settled,
            "relays": [each.figures() for each in self.relays],
        }


FORGOTTEN: Final = (
    *("first_answer", "last_answer", "languages", "domains", "accepted_over_time", "put_off_reasons"),
    *("rejected_reasons", "doubts_settled", "relays"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """One mailing in figures. `details`: None where it is forgotten who got what. `made`: epoch seconds."""

    of: Mailing
    lists: Sequence[str]
    made: int
    details: Details | None
    returned: Returned
    before: Sequence[Before]

    @property
    def whole(self) -> Group:
        return Group("", self.of.tally)

    @property
    def complaints(self) -> Complaints:
        return Complaints(self.returned.kinds["complaint"], self.whole.of(State.ACCEPTED))

    @property
    def duration(self) -> int | None:
        """From the first answer to the last one (seconds; both are known to the minute)."""
        details = self.details
        if details is None or details.first is None or details.last is None:
            return None
        return details.last - details.first

    def figures(self) -> dict[str, Any]:
        """All of it, as `--json` tells it."""
        of = self.of
        details = self.details.figures() if self.details is not None else dict.fromkeys(FORGOTTEN)
        return {
            "mailing": of.id,
            "statement": of.statement,
            "state": of.state.word,
            "rehearsal": of.rehearsal,
            "lists": list(self.lists),
            "made": self.made,
            "prepared": of.created,
            "due": of.window.words or None,
            "forgotten": self.details is None,
            "duration": self.duration,
            "audience": of.audience,
            "states": {state.word: of.tally.get(state, 0) for state in State},
            "left_out": dict(of.left_out),
            "returned": self.returned.figures(),
            "complaints": self.complaints.figures(),
            "leave_wishes": self.returned.kinds["unsubscribe"],
            "doubts": self.whole.of(State.IN_DOUBT),
            **details,
            "earlier": [each.figures() for each in self.before],
        }


def comparable(of: Mailing, others: Sequence[Mailing]) -> list[Mailing]:
    """Earlier mailings of the same statement or to one of the same lists, the newest first; a rehearsal is compared
    with rehearsals. What nothing was sent of is none."""
    found = [
        each
        for each in sorted(others, key=lambda each: -each.id)
        if each.id < of.id
        and each.rehearsal == of.rehearsal
        and not each.untouched
        and each.tally.get(State.CANCELLED, 0) < each.audience
        and (each.statement == of.statement or set(each.rule.lists) & set(of.rule.lists))
    ]
    return found[:EARLIER]


def flat(figures: Mapping[str, Any], section: str = "mailing") -> list[tuple[str, str, str]]:
    """Figures as rows of section, key and value: for a spreadsheet. What is not known is an empty value."""
    rows: list[tuple[str, str, str]] = []
    for key, value in figures.items():
        if isinstance(value, Mapping):
            rows += [(f"{key}", name, text) for name, text in _leaves(value)]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            rows += [(key, name, text) for name, text in _leaves({"": value})]
        else:
            rows += [(section, name, text) for name, text in _leaves({key: value})]
    return rows


# what a row of a list is called by
_NAMES: Final = ("language", "domain", "reason", "relay", "limit", "day", "at", "mailing")


def _leaves(value: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, each in value.items():
        name = ".".join(part for part in (path, str(key)) if part)
        if isinstance(each, Mapping):
            rows += _leaves(each, name)
        elif isinstance(each, list):
            for row in each:
                if isinstance(row, Mapping):
                    called = next((label for label in _NAMES if label in row), "")
                    rest = {label: item for label, item in row.items() if label != called}
                    rows += _leaves(rest, ".".join(part for part in (name, str(row.get(called, ""))) if part))
                else:
                    rows.append((name, str(row)))
        else:
            rows.append((name, "" if each is None else str(each).lower() if isinstance(each, bool) else str(each)))
    return rows
