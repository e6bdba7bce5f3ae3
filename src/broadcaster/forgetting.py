"""Forgetting a person: out of the database, the outbox and every freed page; and letting one back in who asks.

First what waits for them is closed, in the transaction that takes their rows: so no sender writes another MAIL to
them. What is on a wire at that moment is waited for, and only then is the disk cleaned of what it wrote.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from broadcaster import mailing as m
from broadcaster.consent import Proof
from broadcaster.delivery import NEXT, Event
from broadcaster.remains import Remains, clear, search

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.erasure import Carried, Erasure, Known
    from broadcaster.guise import Guise
    from broadcaster.ledger import Ledger
    from broadcaster.roster import Details, Roster
    from broadcaster.subscriber import MailingList, Subscriber

# how long a message that is on a wire is waited for (seconds), and how often somebody looks
PATIENCE: Final = 15.0
GLANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where a person is looked for. `maildirs` hold rehearsals, `ours` are the files of the workspace that SQLite
    and we keep.
    """

    root: Path
    maildirs: Sequence[Path]
    ours: Sequence[Path]


@dataclass(slots=True)
class Forgotten:
    """What was done, and what is left."""

    known: Known
    figures: Mapping[str, int] = field(default_factory=dict)  # table → rows
    closed: int = 0  # deliveries that waited, and are suppressed now
    on_a_wire: int = 0  # handed over at this moment, and not answered yet
    rehearsals: int = 0  # files that were deleted
    quoted: Sequence[int] = ()  # mailings whose authors wrote the address into the text
    clean: bool = True  # no byte of it is left in the database's files
    remains: Remains = field(default_factory=Remains)

    @property
    def nothing(self) -> bool:
        return self.known.nothing and not self.rehearsals and not self.figures


def forget(
    erasure: Erasure,
    ledger: Ledger,
    guise: Guise,
    grounds: Grounds,
    *,
    trial: Callable[[], AbstractContextManager[None]] | None = None,
    scrub: bool = True,
    seen: Callable[[str, int], None] = lambda _what, _number: None,
) -> Forgotten:
    """Erase whoever has an address. In a `trial`, all is tried inside of it and no file is touched.

    `scrub`: the database is written anew; of several it is enough when the last one is erased.
    """
    db = erasure.db
    with trial() if trial is not None else db.atomic(durable=True):
        known = erasure.known(guise.address)
        done = Forgotten(known)
        carried = erasure.deliveries(known.subscriber) if known.subscriber is not None else []
        done.closed = _close(ledger, carried, erasure.now())
        ids = {each.id for each in carried}
        done.figures = erasure.erase(guise, known, ids)
        if not done.nothing:
            db.note("subscriber erase", erasure.now(), subscriber=known.subscriber, rows={**done.figures})
    done.quoted = erasure.quoted(guise)
    if trial is None and erasure.handed(ids):
        done.on_a_wire = _wait(erasure, ids)
        with db.atomic(durable=True):
            # an answer may have stopped the whole mailing, and be the reason that it gives
            erasure.erase(guise, known, ids)
    for maildir in grounds.maildirs:
        done.rehearsals += clear(
            maildir, ids, guise, lambda number: seen("rehearsals", number), trial=trial is not None
        )
    if trial is None and scrub:
        seen("database", 0)
        done.clean = erasure.scrub()
    done.remains = search(grounds.root, guise, {*grounds.maildirs, *grounds.ours}, lambda number: seen("files", number))
    return done


def _close(ledger: Ledger, carried: Sequence[Carried], now: int) -> int:
    """Nothing that waits goes out to them any more: who holds it finds it moved. How many."""
    closed = 0
    for number in sorted({each.mailing for each in carried}):
        waiting = [each.id for each in carried if each.mailing == number and (each.state, Event.LEAVE) in NEXT]
        if waiting:
            closed += ledger.shift(number, waiting, Event.LEAVE)
            if ledger.state(number) is m.State.SENDING:
                ledger.finish_if_done(number, now)
    return closed


def _wait(erasure: Erasure, deliveries: set[int]) -> int:
    """Until what is on a wire has its answer, for a while; how many have none yet."""
    end = time.monotonic() + PATIENCE
    while (number := erasure.handed(deliveries)) and time.monotonic() < end:
        time.sleep(GLANCE)
    return number


def welcome(
    roster: Roster,
    erasure: Erasure,
    address: Address,
    details: Details,
    to: MailingList,
    consent: str,
    proof: Proof,
) -> tuple[Subscriber, bool]:
    """Put a person on a list by their own word, also one who had been erased; whether they are new to it.

    Raises NotAllowed for who complained, or whose address bounced.
    """
    with roster.db.atomic(durable=True):
        if erasure.admit(address):
            proof = replace(proof, after="erased")
        return roster.add(address, details, to, consent, proof)
