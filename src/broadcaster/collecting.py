"""Collecting: messages out of mailboxes, read by a child, weighed, and written down in lots.

Of each lot first is written what it meant, then what is ours is moved (where that is wanted), then how far the mailbox
is read. Killed anywhere in between, the same messages are given again, and are known by their digests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from broadcaster.bounces import Entry, Fate
from broadcaster.effect import Effect
from broadcaster.errors import BadData, BroadcasterError, ConfigError, MailboxUnavailable
from broadcaster.inbox import LARGEST, Found, Inbox, Place
from broadcaster.reader import Poison
from broadcaster.returns import Returned
from broadcaster.weighing import brake, held, hidden, weigh

if TYPE_CHECKING:
    from broadcaster.reader import Reader
    from broadcaster.weighing import Scales

# a lot is so many messages, or octets: one transaction is soon over, and nobody who sends waits for it
MANY: Final = 100
MUCH: Final = 8 * LARGEST


@dataclass(frozen=True, slots=True)
class Aside:
    """A message that could not be read. `new`: since now."""

    source: str
    why: str
    new: bool = True


@dataclass(slots=True)
class Collected:
    """What came of collecting. `messages` were read for the first time; `ordinary` of them are none of our business."""

    messages: int = 0
    ordinary: int = 0
    entries: list[Entry] = field(default_factory=list)
    set_aside: list[Aside] = field(default_factory=list)
    failures: list[BroadcasterError] = field(default_factory=list)  # of mailboxes that could not be read

    def effects(self) -> Counter[Effect]:
        """How often we did what."""
        return Counter(entry.effect for entry in self.entries)

    @property
    def news(self) -> bool:
        """Whether there is anything that staff should hear of."""
        return bool(self.entries or self.failures or any(aside.new for aside in self.set_aside))


@dataclass(frozen=True, slots=True)
class _Read:
    """A message, and what it says: nothing where it was known, a reason where it could not be read."""

    found: Found
    says: Returned | str | None


def collect(
    scales: Scales,
    inboxes: Sequence[Inbox],
    reader: Reader,
    *,
    keep: int,
    trial: Callable[[], AbstractContextManager[None]] | None = None,
    progress: Callable[[str, int], None] = lambda _source, _number: None,
    until: float | None = None,
) -> Collected:
    """Read what is new in all these mailboxes, and do what follows from it.

    Messages are kept for `keep` seconds. After `until` (epoch seconds) no further lot is read. In a `trial` all is read
    first, and what follows is done inside of it at once, so that nobody waits for that transaction while a mailbox is
    read; nothing is moved. A mailbox that cannot be read does not keep the others from being read.
    """
    told = Collected()
    waiting: list[_Read] | None = [] if trial is not None else None
    for inbox in inboxes:
        try:
            _collect(scales, inbox, reader, told, waiting, progress, until)
        except (MailboxUnavailable, ConfigError, BadData) as error:
            told.failures.append(error)
        finally:
            inbox.close()
    if trial is not None:
        # of all mailboxes together: a second report of a copy may lie in another one
        with trial():
            _written(scales, waiting or [], told)
    else:
        scales.bounces.forget(scales.now - keep)
    return told


def _collect(
    scales: Scales,
    inbox: Inbox,
    reader: Reader,
    told: Collected,
    waiting: list[_Read] | None,
    progress: Callable[[str, int], None],
    until: float | None,
) -> None:
    """One mailbox. In a trial, nothing is written down: what was read goes to those `waiting`."""
    bounces, number = scales.bounces, 0
    place = Place(*bounces.place(inbox.url)) if inbox.url else Place()
    known = bounces.known(inbox.url) if inbox.url else set()
    unmoved: ConfigError | None = None
    for lot in _lots(inbox.messages(place, known)):
        number += len(lot)
        progress(inbox.name, number)
        reads = _read(scales, reader, lot)
        if waiting is not None:
            waiting.extend(reads)
            continue
        with bounces.db.atomic(durable=True):
            ours = _written(scales, reads, told)
        try:
            for found in ours if unmoved is None else ():
                inbox.understood(found)
        except ConfigError as error:
            unmoved = error
        # what could not be moved is given again, known, and moved when that can be done
        if inbox.url and unmoved is None:
            bounces.read_to(inbox.url, lot[-1].after, [found.name for found in lot if found.after is None])
        if until is not None and scales.clock() > until:
            break
    if unmoved is not None:
        raise unmoved
    if waiting is None and inbox.url and known and (there := inbox.names()) is not None:
        bounces.forget_gone(inbox.url, there)


def _lots(messages: Iterator[Found]) -> Iterator[list[Found]]:
    lot: list[Found] = []
    much = 0
    try:
        for found in messages:
            lot.append(found)
            much += len(found.octets)
            if len(lot) >= MANY or much >= MUCH:
                yield lot
                lot, much = [], 0
    except BroadcasterError:
        # what was read before a mailbox failed is not lost for that
        if lot:
            yield lot
        raise
    if lot:
        yield lot


def _read(scales: Scales, reader: Reader, lot: Sequence[Found]) -> list[_Read]:
    """What the messages say, outside of any transaction: to read may take its time."""
    fates = scales.bounces.fates([found.digest for found in lot])
    reads = []
    for found in lot:
        says: Returned | str | None = None
        if found.digest not in fates:
            try:
                says = reader.read(found.octets)
            except Poison as error:
                says = str(error)
        reads.append(_Read(found, says))
    return reads


def _written(scales: Scales, reads: Sequence[_Read], told: Collected) -> list[Found]:
    """Write down what messages say, each once, and do what follows. Those that are ours, known ones too."""
    ours: list[Found] = []
    bounces, now = scales.bounces, scales.now
    begun = len(told.entries)
    for each in reads:
        found, says = each.found, each.says
        fate = _fate(says)
        hide = fate is not None and hidden(scales, says if isinstance(says, Returned) else None, found.octets)
        raw = None if fate is Fate.ORDINARY or hide else found.octets
        source = "" if fate is Fate.ORDINARY else found.source
        message = None if fate is None else bounces.take(found.digest, fate, now, source, raw)
        if fate is None or message is None:
            # read before, or by somebody else just now
            fate = bounces.fates([found.digest]).get(found.digest)
            if fate is Fate.SET_ASIDE:
                told.set_aside.append(Aside(found.source, "set aside before", new=False))
        else:
            told.messages += 1
            if isinstance(says, str):
                told.set_aside.append(Aside(found.source, says))
            elif fate is Fate.ORDINARY:
                told.ordinary += 1
            elif says is not None:
                told.entries.extend(weigh(scales, says, found.source, message, hide=hide))
        if fate is Fate.UNDERSTOOD:
            ours.append(found)
    if stopped := brake(scales, told.entries[begun:]):
        # of lots before, too
        told.entries = held(told.entries, stopped)
    # a mailing whose last doubt is settled so is finished
    for number in dict.fromkeys(entry.mailing for entry in told.entries[begun:] if entry.mailing):
        scales.ledger.finish_if_done(number, now)
    return ours


def _fate(says: Returned | str | None) -> Fate | None:
    if says is None:
        return None
    if isinstance(says, str):
        return Fate.SET_ASIDE
    return Fate.UNDERSTOOD if says.notices else Fate.ORDINARY
