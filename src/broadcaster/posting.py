"""Letters of our own, in no ledger: tests and digests. Through the first relay that talks to us, at its pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broadcaster.delivery import Answer, Envelope, told
from broadcaster.errors import RelayUnavailable, Unfinished
from broadcaster.pace import Pace

if TYPE_CHECKING:
    from broadcaster.ledger import Ledger
    from broadcaster.relay import Relay
    from broadcaster.transports import Transport

# who has to wait longer for the relay's limit is told so instead (seconds)
PATIENCE: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Letter:
    """One letter, and what became of it."""

    envelope: Envelope
    answer: Answer | None = None

    def handed(self) -> None:
        """It goes now: the next bytes end in the dot. Most letters are written down nowhere."""


async def post(
    letters: Sequence[Letter],
    relays: Sequence[Relay],
    connect: Callable[[Relay], Transport],
    ledger: Ledger,
    clock: Callable[[], float],
    when: Callable[[int], str],
) -> None:
    """Hand all over to the first relay that talks to us. `clock`: epoch seconds; `when`: how a time is written.

    Raises RelayUnavailable, and Unfinished where the relay's limits are used up.
    """
    last: tuple[Relay, Answer] | None = None
    for relay in relays:
        transport = connect(relay)
        try:
            refused = await transport.open()
            if refused is None:
                await _delivered(letters, relay, transport, ledger, clock, when)
                return
            last = (relay, refused)
        finally:
            await transport.close()
    assert last is not None
    raise RelayUnavailable(
        f"no relay would talk to us: {told(last[1])}", where=f"relays.{last[0].name}", hint="nothing was mailed"
    )


async def _delivered(
    letters: Sequence[Letter],
    relay: Relay,
    transport: Transport,
    ledger: Ledger,
    clock: Callable[[], float],
    when: Callable[[int], str],
) -> None:
    """One after the other, as fast as the relay's limits allow: these count as any other mail does."""
    scope = f"relay:{relay.name}"
    pace = Pace(relay.limits, ledger.pace(scope))
    try:
        for letter in letters:
            turn = pace.next(clock())
            if (wait := turn - clock()) > PATIENCE:
                raise Unfinished(
                    f"the limits of {relay.name} are used up until {when(int(turn))}", hint="try again then"
                )
            await asyncio.sleep(max(0.0, wait))
            pace.take(turn)

            async def hand(letter: Letter = letter) -> None:
                letter.handed()

            letter.answer = await transport.deliver(letter.envelope, hand)
    finally:
        if pace.state:
            ledger.keep_pace(scope, pace.state)
