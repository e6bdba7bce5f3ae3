"""What to do about a mailing next, in every state: one place for the terminal and for the mail to staff.

The texts are English with gaps, as gettext has them, so that a catalogue can say them in another language.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from broadcaster import delivery
from broadcaster.approval import NOT_APPROVED
from broadcaster.mailing import Mailing, State

# cron calls `run` every few minutes: who was not seen for so long does not come (seconds)
LATELY: Final = 3600

APPROVE: Final = "it waits for approval, by anybody but %(who)s: `broadcaster approve %(mailing)s`."
SEND: Final = "`broadcaster send %(mailing)s` sends it."
CRON_STARTS: Final = "cron's `run` starts it %(when)s."
OVERDUE: Final = "its time has come: the next `run` starts it, or holds it if that is too late."
NOBODY_STARTS: Final = (
    "nobody starts it: no `broadcaster run` was seen in the last hour; let cron call it every five minutes."
)
RESUME: Final = "`broadcaster resume %(mailing)s` lets it go on, `broadcaster cancel %(mailing)s` ends it."
ALL_THE_SAME: Final = (
    "`broadcaster resume %(mailing)s` sends it all the same, `broadcaster cancel %(mailing)s` drops it."
)
LOOK_ON: Final = "it is being sent: `broadcaster status %(mailing)s --watch` looks on."
CRON_GOES_ON: Final = "the next `run` goes on with it; `broadcaster send %(mailing)s` does so now."
GO_ON: Final = "nobody sends it now: `broadcaster send %(mailing)s` goes on with it."
CRON_RETRIES: Final = "%(count)s deferred: cron's `run` tries again, %(when)s."
NOBODY_RETRIES: Final = (
    "%(count)s deferred: to be tried again %(when)s, by nobody yet. `broadcaster send %(mailing)s` does it, or cron's"
    " `run`."
)
RESOLVE: Final = (
    "%(count)s in doubt may have got it, or not: `broadcaster resolve %(mailing)s --from-log FILE` asks the relay's"
    " log; `--accept` or `--resend` settles them."
)
TEXTS: Final = (
    *(APPROVE, SEND, CRON_STARTS, OVERDUE, NOBODY_STARTS, RESUME, ALL_THE_SAME, LOOK_ON, CRON_GOES_ON, GO_ON),
    *(CRON_RETRIES, NOBODY_RETRIES, RESOLVE),
)


class Step(NamedTuple):
    """One thing to do, or who does it. `at`: when (epoch seconds); `who`: who prepared the mailing."""

    text: str
    mailing: int
    number: int = 0
    at: int | None = None
    who: str = ""

    def said(
        self, when: Callable[[int], str], number: Callable[[int], str], words: Callable[[str], str] = lambda text: text
    ) -> str:
        """In words; how a time and a number are written, and how the text is said, is the reader's."""
        values = {
            "mailing": str(self.mailing),  # as it is typed
            "count": number(self.number),
            "who": self.who,
            "when": when(self.at) if self.at is not None else "",
        }
        return words(self.text) % values


def lately(seen: int | None, now: int) -> bool:
    """Whether cron's `run`, seen last at a time, comes every now and then. Epoch seconds.

    Far ahead of now it was seen by a clock that was wrong.
    """
    return seen is not None and abs(now - seen) < LATELY


def ahead(of: Mailing, *, now: int, ripe: int | None, cron: bool, at_work: bool, awaited: bool = False) -> list[Step]:
    """What to do next about a mailing, the most urgent first; nothing where nothing is to be done.

    `ripe`: when the next deferred delivery may be tried (epoch seconds); `cron`: its `run` was seen lately;
    `at_work`: somebody is sending from this workspace; `awaited`: nobody has approved it, and somebody must.
    """

    def one(text: str, state: delivery.State | None = None, at: int | None = None) -> Step:
        return Step(text, of.id, of.tally.get(state, 0) if state is not None else 0, at, of.who)

    found: list[Step] = []
    held_for_it = of.state is State.HELD and of.reason == NOT_APPROVED
    if awaited or held_for_it:
        found.append(one(APPROVE))
    if of.state is State.READY:
        found += [] if awaited else [one(SEND)]
    elif of.state is State.SCHEDULED:
        due = of.window.moment
        starts = one(OVERDUE) if due is not None and due <= now else one(CRON_STARTS, at=due)
        found.append(starts if cron else one(NOBODY_STARTS))
    elif of.state is State.PAUSED:
        found.append(one(RESUME))
    elif of.state is State.HELD:
        found += [] if held_for_it else [one(ALL_THE_SAME)]
    elif of.state is State.SENDING:
        untried = of.open - sum(of.tally.get(each, 0) for each in (delivery.State.DEFERRED, delivery.State.IN_DOUBT))
        if at_work:
            found.append(one(LOOK_ON))
        elif untried or not of.open:
            found.append(one(CRON_GOES_ON if cron else GO_ON))
        if of.tally.get(delivery.State.DEFERRED) and not at_work:
            found.append(one(CRON_RETRIES if cron else NOBODY_RETRIES, delivery.State.DEFERRED, ripe or now))
    if of.tally.get(delivery.State.IN_DOUBT):
        found.append(one(RESOLVE, delivery.State.IN_DOUBT))
    return found
