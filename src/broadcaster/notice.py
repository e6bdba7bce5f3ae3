"""What a returned message comes to: of whom it speaks, what it means, and where a token of ours may stand.

Nothing here is believed: a notice changes somebody only when a token beside it is ours and names a copy that we
sent (whoever holds the key can tell).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a returned message means for one recipient."""

    HARD = "hard"  # the address is dead
    SOFT = "soft"  # the mailbox, the time, a policy, our message or our set-up
    COMPLAINT = "complaint"  # reported as unwanted (RFC 5965)
    UNSUBSCRIBE = "unsubscribe"  # wishes to leave
    AUTO_REPLY = "auto_reply"  # a holiday, a challenge: nobody has read it (RFC 3834)
    OTHER = "other"  # delivered, a receipt, a report of authentication: no bounce
    UNKNOWN = "unknown"  # failed, and nobody can tell why


class Action(StrEnum):
    """RFC 3464 §2.3.3. NONE: nothing is said of a delivery."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"
    DELIVERED = "delivered"
    EXPANDED = "expanded"
    NONE = ""


class Notice(NamedTuple):
    """What a returned message says of one recipient. Texts are clean: no control or direction marks, not too long."""

    kind: Kind
    action: Action = Action.NONE
    recipient: str = ""  # the address that was mailed, in lower case, as far as that is told
    also: tuple[str, ...] = ()  # other names of the same recipient: where it was forwarded or expanded to
    status: str = ""  # enhanced status code (RFC 3463), where one is stated
    reason: str = ""  # one of REASONS
    words: str = ""  # those of the other side


class Traces(NamedTuple):
    """Where a token of ours may stand, as text to be checked with the key; in each the most trusted place first."""

    return_paths: tuple[str, ...] = ()  # addresses that the report was sent to: bounces+TOKEN@example.org
    message_ids: tuple[str, ...] = ()  # of what was returned, "<TOKEN@example.org>"
    leaves: tuple[str, ...] = ()  # tokens of leave links and of subjects
    envelope_ids: tuple[str, ...] = ()  # ENVID (RFC 3461 §4.4)


class Returned(NamedTuple):
    """A message as it came back. Without notices it is ordinary mail, and none of our business."""

    notices: tuple[Notice, ...]
    traces: Traces
    subject: str = ""
    sender: str = ""  # the address in From
