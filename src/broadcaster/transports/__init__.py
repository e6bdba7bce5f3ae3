"""The ways out: an envelope goes in, an answer comes out.

One transport is one connection, used by one task at a time. It opens itself when it is needed and
again after it was lost; whoever wants to know whether it would, before claiming anybody, opens it first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from broadcaster.delivery import Answer, Envelope

Hand = Callable[[], Awaitable[None]]


class Transport(Protocol):
    """A way out. It reports what it was told; it never retries, waits for its turn, or touches the ledger."""

    async def open(self) -> Answer | None:
        """Be ready for a MAIL. None when it is, else what went wrong: a Reply up to AUTH, or a Silence."""
        ...

    async def deliver(self, envelope: Envelope, hand: Hand) -> Answer:
        """Offer one message to one recipient and tell what was answered.

        `hand` is awaited at most once: when the message may go (after 354) and before the bytes that
        end in the final dot are written. If it raises, or this is cancelled, the message was not
        completed, the connection is gone, and the exception goes on.
        """
        ...

    async def close(self) -> None:
        """Say goodbye, if there is anybody to say it to. Never raises; may be called twice."""
        ...
