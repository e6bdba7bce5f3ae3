"""Returned mail: what a report, a complaint, a leave wish or an automatic reply says, and of whom.

Nothing here is believed: a report changes somebody only when one of its tokens is ours and names a copy that we
sent (whoever holds the key can tell). What it says of the address is read from what machines write for machines
(RFC 3464, RFC 5965) first, and from prose only where there is nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from broadcaster import bounce, feedback, mime, notification, replies, traces
from broadcaster.bounce import Report
from broadcaster.notice import Action, Kind, Notice, Returned, Traces
from broadcaster.reasons import REASONS

__all__ = ["REASONS", "Action", "Kind", "Notice", "Returned", "Traces", "read"]

NOTICES: Final = 200
WORDS: Final = 500  # letters of a notice
ADDRESS: Final = 320  # letters of an address

_SPACES: Final = re.compile(r"\s++")


def read(message: bytes) -> Returned:
    """What a message that came back says. Never raises; of what it cannot read there are no notices."""
    try:
        return understand(message)
    except Exception:  # whoever can write to the mailbox must not be able to stop it
        return Returned((), Traces())


def understand(message: bytes) -> Returned:
    """The same, with what is a defect of ours raised."""
    parts = mime.read(message)
    if not parts:
        return Returned((), Traces())
    report = Report(parts)
    notices = next((found for reader in _READERS if (found := reader(report))), ())
    top = parts[0]
    return Returned(
        tuple(_clean(each) for each in notices[:NOTICES]),
        traces.read(parts, message, [report.text.said, report.text.returned, notification.read(report.text.said)[1]]),
        line(top.get("subject")),
        line(replies.address_of(top.get("from"))),
    )


# The first that has something to say: what machines wrote before what people did.
_READERS: Final[tuple[Callable[[Report], tuple[Notice, ...]], ...]] = (
    lambda report: feedback.read(report.parts),
    lambda report: replies.leave(report.parts),
    lambda report: replies.receipts(report.parts),
    bounce.machine,
    lambda report: notification.read(report.text.said)[0],
    bounce.in_prose,
    lambda report: replies.read(report.parts),
)


def _clean(notice: Notice) -> Notice:
    """Fit to be shown: texts on one line, without signs that nobody sees."""
    return notice._replace(
        recipient=line(notice.recipient, ADDRESS).lower(),
        also=tuple(line(each, ADDRESS).lower() for each in notice.also[:20]),
        status=line(notice.status, 20),
        words=line(notice.words),
    )


def line(text: str, most: int = WORDS) -> str:
    """A text on one line: nothing in it that a terminal obeys, that turns others round, or that nobody sees."""
    text = text[: 4 * most]
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    return _SPACES.sub(" ", text).strip()[:most]
