"""What a report does to somebody, and how many verdicts an address bears.

A dead address is given up soon, since mail to it harms everybody else's; a full mailbox, a bad day or a filter only
when they go on for several mailings on several days. What is our own fault counts against nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from broadcaster.returns import Action, Kind, Notice

DAY: Final = 86_400
# a copy that was taken, and has not come back for so long, has arrived (seconds)
ARRIVED: Final = 7 * DAY
# a report of a copy that was handed over longer ago is not believed: who forges has had time, and mail servers give
# up after five days
EXPIRES: Final = 30 * DAY

# so many copies of a mailing that come back as dead, and that share of what was handed over, are more likely a server
# that is wrong than a list that is dead
MANY: Final = 20
SHARE: Final = 0.5

# reasons that are about the message, our set-up or our speed: no person is charged with them, and staff must act
OURS: Final = frozenset(
    {
        *("size", "spam", "virus", "content"),
        *("spf", "dkim", "dmarc", "authentication", "reverse_name", "blocklist"),
        *("policy", "sender", "relaying", "login", "security", "syntax", "rate"),
    }
)
# nothing that a copy's fate hangs on, and still something that staff would want to see
TELLING: Final = frozenset({"gone", "challenge", "not_spam"})

# kinds that say that a copy did not arrive
FAILED: Final = (Kind.HARD, Kind.SOFT, Kind.UNKNOWN)
_MILDEST: Final = (Kind.OTHER, Kind.AUTO_REPLY, Kind.UNKNOWN, Kind.SOFT, Kind.HARD, Kind.COMPLAINT, Kind.UNSUBSCRIBE)


class Effect(StrEnum):
    """What we did."""

    SUPPRESSED = "suppressed"  # nobody mails this address any more
    LEFT = "left"  # the person has left the list of that copy
    COUNTED = "counted"  # towards the address being suppressed
    WARNED = "warned"  # it is about us: staff must mend something
    NOTED = "noted"  # nothing follows from it
    REPEATED = "repeated"  # a second report of one copy is no news
    HELD = "held"  # most of its mailing came back as dead: staff must say whether that is true
    ADVICE = "advice"  # tied to no copy of ours, or to one of long ago: for staff to judge


class Past(NamedTuple):
    """A verdict that counts: of which mailing, and when its copy was handed over (epoch seconds)."""

    kind: Kind
    mailing: int
    sent: int


@dataclass(frozen=True, slots=True)
class Patience:
    """[returns] hard and soft: how many verdicts an address bears. `within` in seconds."""

    hard: int = 1
    mailings: int = 5
    within: int = 30 * DAY

    def over(self, verdicts: Sequence[Past], arrived: int) -> bool:
        """Whether these verdicts are too many. `arrived`: when the last copy that did not come back was taken.

        Only what was sent after that one counts; of soft ones at most one a mailing and one a day, and only those
        that are near the newest in time.
        """
        since = [each for each in verdicts if each.sent > arrived]
        if len({each.mailing for each in since if each.kind is Kind.HARD}) >= self.hard:
            return True
        soft = [each for each in since if each.kind is not Kind.HARD]
        newest = max((each.sent for each in soft), default=0)
        near = [each for each in soft if each.sent > newest - self.within]
        days = {each.sent // DAY for each in near}
        return min(len(days), len({each.mailing for each in near})) >= self.mailings


def failed(notice: Notice) -> bool:
    """Whether it says that a copy did not arrive, for good. A delay says nothing yet: the server still tries."""
    return notice.kind in FAILED and notice.action in (Action.FAILED, Action.NONE)


def main(notices: Sequence[Notice], key: str) -> int:
    """Which of several notices is about a copy that went to `key`: the one that names it, else the mildest.

    An address may have been expanded to several: while one of them got it, nobody is given up.
    """
    named = [i for i, notice in enumerate(notices) if key and key in (notice.recipient, *notice.also)]
    return min(named or range(len(notices)), key=lambda i: (_weight(notices[i]), i))


def _weight(notice: Notice) -> int:
    return _MILDEST.index(notice.kind) if failed(notice) or notice.kind not in FAILED else 0
