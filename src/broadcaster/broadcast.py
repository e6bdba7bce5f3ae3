"""The verbs: prepare, send, run; pause, resume, cancel. Read this file first.

A statement is compiled into one program per language; an audience is written down once, one row per
recipient, as a mailing; a round carries what is due; what came of each row is written beside it.
Every hand (workspace, roster, ledger, lock …) is an argument.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from broadcaster import choosing, enrolment, gathering, quiet, release
from broadcaster import mailing as m
from broadcaster.approval import Person
from broadcaster.db import damaged
from broadcaster.delivery import Event, State
from broadcaster.enclosure import Enclosed
from broadcaster.errors import BadData, EmptyAudience, NotAllowed, NotFound, SenderAtWork, StatementError
from broadcaster.lock import Lock, boot_id
from broadcaster.mailing import Draft, Mailing, Part, Rule, Stamp, digest_of_content
from broadcaster.schedule import Window

if TYPE_CHECKING:
    from broadcaster.audience import Audience, Row
    from broadcaster.config import Config
    from broadcaster.enclosure import Names
    from broadcaster.ledger import Ledger
    from broadcaster.mark import Mark, Marks
    from broadcaster.merge import MergeTemplate
    from broadcaster.press import Frozen
    from broadcaster.roster import Roster
    from broadcaster.statement import Statement
    from broadcaster.subscriber import Subscriber
    from broadcaster.workspace import Workspace


# people who are read at once
LOT: Final = 500


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asked for. Lists by name, in order of precedence; `exclude` and `where` as they are written."""

    slug: str
    lists: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    where: str = ""
    window: Window = field(default_factory=Window)
    who: Person = field(default_factory=Person)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent to whom: everything but the writing down."""

    order: Order
    rule: Rule
    parts: tuple[Part, ...]
    files: dict[str, bytes]
    content: str
    people: Audience
    left_out: dict[str, int]
    enclosed: Callable[[Sequence[Row]], Iterator[Enclosed]] | None

    @property
    def audience(self) -> int:
        return self.people.number

    @property
    def chosen(self) -> dict[str, int]:
        return self.people.chosen

    @property
    def fallbacks(self) -> dict[str, int]:
        return self.people.fallbacks


# preparing


def plan(workspace: Workspace, config: Config, roster: Roster, ledger: Ledger, order: Order) -> Plan:
    """Compile the statement and gather its audience, for this connection alone; nothing is written.

    Raises NotFound, FilterError, StatementError, and EmptyAudience where nobody would get it.
    """
    rule = choosing.find_rule(roster, ledger, order.lists, order.exclude, order.where)
    parts, files = frozen(workspace, config, roster, order.slug, rule)
    found = choosing.gather(config, roster, ledger, rule)
    audience = choosing.audience(config, roster, found, [part.language for part in parts])
    if not audience.number:
        raise EmptyAudience(
            f"nobody on {' or '.join(order.lists)} would get this", hint=_why_empty(found.left_out, order.lists)
        )
    return Plan(
        order=order,
        rule=rule,
        parts=parts,
        files=files,
        content=_digest(parts),
        people=audience,
        left_out=dict(found.left_out),
        enclosed=enclosed(workspace, roster, parts, files),
    )


def prepare(config: Config, roster: Roster, ledger: Ledger, mark: Mark, of: Plan, now: int) -> Mailing:
    """Freeze a plan as a mailing: who was gathered for it is enrolled, with what they alone get. Once for a plan.

    Who has left meanwhile is suppressed when their turn comes; who has joined was not shown, and is not in it.
    Raises StatementError for a person's file that is not there.
    """
    mark.give_above(mark.read())
    draft = Draft(
        statement=of.order.slug,
        parts=of.parts,
        files=of.files,
        content=of.content,
        rule=of.rule,
        window=of.order.window,
        rehearsal=config.rehearsal,
        who=of.order.who,
    )
    number = enrolment.enrol(ledger.db, draft, of.people, of.left_out, now, of.enclosed)
    gathering.release(roster.db)
    return ledger.mailing(number)


def enclosed(
    workspace: Workspace, roster: Roster, parts: Sequence[Part], files: Mapping[str, bytes]
) -> Callable[[Sequence[Row]], Iterator[Enclosed]] | None:
    """What gives the files of some rows of an audience that one person alone gets, one after the other; where any do.

    `files` is what everybody gets, by digest.
    """
    from broadcaster.enclosure import Names
    from broadcaster.press import Frozen

    frozen = {part.number: Frozen.from_json(part.template) for part in parts}
    names = {number: Names(of.merge.enclosures, of.merge.file) for number, of in frozen.items() if of.merge.enclosures}
    if not names:
        return None
    carried = {number: sum(len(files[digest]) for digest in of.carried) for number, of in frozen.items()}

    def theirs(rows: Sequence[Row]) -> Iterator[Enclosed]:
        concerned = [row for row in rows if row[2] in names]
        for start in range(0, len(concerned), LOT):
            lot = concerned[start : start + LOT]
            people = roster.people([subscriber for subscriber, _, _ in lot])
            for subscriber, _, part in lot:
                if (person := people.get(subscriber)) is not None:
                    yield from enclosures(workspace, frozen[part], names[part], person, carried[part])

    return theirs


def enclosures(
    workspace: Workspace, frozen: Frozen, names: Names, person: Subscriber, carried: int = 0
) -> Iterator[Enclosed]:
    """The files that one person alone gets, beside octets that every copy carries.

    Raises StatementError for one that is not there, and for too much.
    """
    from broadcaster.press import shown, too_large

    whole = carried
    for place, name in enumerate(names.of(person)):
        body = workspace.asset(f"{frozen.merge.folder}/{name}")
        whole += len(body)
        too_large(whole, f"{frozen.merge.folder}/{name}")
        yield Enclosed(person.id, place, shown(name), hashlib.sha256(body).hexdigest(), body)


def frozen(
    workspace: Workspace, config: Config, roster: Roster, slug: str, rule: Rule
) -> tuple[tuple[Part, ...], dict[str, bytes]]:
    """The statement laid out in each of its languages with all that its header will say."""
    from broadcaster import press

    lists = [found for found in roster.lists() if found.id in rule.lists]
    parts: list[Part] = []
    files: dict[str, bytes] = {}
    statement = workspace.statement(slug)
    merges, faults = laid_out(workspace, config, roster.fields(), statement)
    if faults:
        raise faults[0]
    for number, merge in enumerate(merges):
        whole, bodies = press.freeze(merge, config, lists, workspace.asset)
        whole = replace(whole, empty=not statement.parts[merge.language].body.strip())
        parts.append(Part(number, merge.language, whole.to_json()))
        files.update(bodies)
    return tuple(parts), files


def laid_out(
    workspace: Workspace, config: Config, known: frozenset[str], statement: Statement
) -> tuple[list[MergeTemplate], list[BadData]]:
    """The merge template of each language of a statement, by tag, and what is wrong with those that there is none of.

    `known` is every custom field that any subscriber has.
    """
    from broadcaster.reads import reads
    from broadcaster.template import lay_out

    layouts = workspace.layouts()
    merges: list[MergeTemplate] = []
    faults: list[BadData] = []
    for tag, part in sorted(statement.parts.items()):
        try:
            merge = lay_out(part, language=tag, layouts=layouts, settings=settings(config, tag), known=known)
            # a tree too deep to be walked is too deep to be compiled
            for text in (merge.subject, merge.html, merge.text):
                reads(text)
            merges.append(merge)
        except BadData as error:
            faults.append(error)
        except RecursionError:
            faults.append(StatementError("is nested too deep", where=part.file))
    return merges, faults


def settings(config: Config, tag: str) -> dict[str, dict[str, str]]:
    """What layouts may know of the sender and the theme, in one language."""
    default = config.languages.default
    sender = {
        "name": config.sender.name.into(tag, default),
        "address": str(config.sender.address),
        "postal_address": config.sender.postal_address.into(tag, default),
    }
    return {"sender": sender, "theme": dict(config.theme)}


def _why_empty(left_out: Mapping[str, int], lists: Sequence[str]) -> str:
    if left_out:
        return "left out: " + ", ".join(f"{reason} {number:,}" for reason, number in left_out.items())
    return f"`broadcaster subscribers import FILE --list {lists[0]}` brings people in"


def _digest(parts: Sequence[Part]) -> str:
    # the digests of attachments are in the parts
    return digest_of_content({part.language: part.template for part in parts}, {})


# which mailing a statement means


def earlier(ledger: Ledger, slug: str, rule: Rule | None, *, rehearsal: bool) -> list[Mailing]:
    """Mailings of this statement, to these lists where named, the newest first; rehearsals are their own kind."""
    return [
        found
        for found in ledger.mailings(statement=slug)
        if (rule is None or found.rule == rule) and (found.rehearsal == rehearsal or found.untouched)
    ]


def unfinished(found: Sequence[Mailing]) -> Mailing | None:
    """The one that is to be resumed. Raises NotAllowed where that is not clear."""
    going = [one for one in found if not one.state.over]
    if len(going) > 1:
        numbers = ", ".join(str(one.id) for one in going)
        raise NotAllowed(
            f"mailings {numbers} of {going[0].statement} are unfinished",
            hint="`broadcaster send NUMBER` names one",
        )
    return going[0] if going else None


def changed_since(workspace: Workspace, config: Config, roster: Roster, of: Mailing) -> bool:
    """Whether the statement says something else now than was frozen. What cannot be read any more has changed."""
    try:
        parts, _ = frozen(workspace, config, roster, of.statement, of.rule)
    except (StatementError, NotFound):
        return True
    return _digest(parts) != of.content


# sending


def begin(ledger: Ledger, config: Config, number: int, now: int) -> Mailing:
    """Let a mailing be sent: what a `send` of it, or its time, does. Raises NotAllowed, of which one is NotApproved."""
    of = ledger.mailing(number)
    if config.rehearsal != of.rehearsal:
        if not of.untouched:
            kind = "a rehearsal" if of.rehearsal else "sent to real mailboxes"
            raise NotAllowed(
                f"mailing {number} was begun as {kind}, and the relays say otherwise now",
                hint=f"`broadcaster cancel {number}`, or set the relays as they were",
            )
        ledger.rehearse(number, config.rehearsal, now)
    if of.state is m.State.PAUSED:
        why = f" ({of.reason})" if of.reason else ""
        raise NotAllowed(f"mailing {number} is paused{why}", hint=f"`broadcaster resume {number}` lets it go on")
    if of.state is m.State.CANCELLED:
        raise NotAllowed(f"mailing {number} was cancelled")
    if of.window.moment is not None and of.window.moment > now and of.state is m.State.SCHEDULED:
        return of
    release.refuse_unapproved(ledger, config, of)
    if of.state in (m.State.READY, m.State.SCHEDULED, m.State.HELD):
        return _moved(ledger, of, m.Event.START, now)
    ledger.touch(number, now)
    return of


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a new sender found: what a dead one left behind, and what a restored database has forgotten."""

    back: int = 0  # not sent, and pending again
    doubt: int = 0  # handed over by the dead one, who heard no answer
    restored: Mapping[int, int] = field(default_factory=dict)  # mailing → how many may have been sent since
    lost: tuple[Stamp, ...] = ()  # mailings that are not in this database at all
    damaged: tuple[int, ...] = ()  # mailings of which the mark cannot be read
    last: int = 0  # when the last sending that it has forgotten was (epoch seconds)


def take_over(ledger: Ledger, lock: Lock, config: Config, now: int, mark: Mark, named: Sequence[int] = ()) -> Recovery:
    """Become the one sender of this workspace, and settle what a dead one or a lost database left behind.

    `named`: the mailings that a person asked for. Others of which more was sent than this database knows are
    paused: they may have been paused or cancelled too. Raises SenderAtWork (75).
    """
    if not lock.take():
        before = ledger.sender()
        who = f" (process {before[0]} on {before[1]})" if before else ""
        raise SenderAtWork(f"another process is sending from this workspace{who}")
    try:
        return _inherit(ledger, config, now, mark, named)
    except BaseException:
        lock.release()
        raise


def _inherit(ledger: Ledger, config: Config, now: int, mark: Mark, named: Sequence[int]) -> Recovery:
    """With the lock in hand: become the sender, and settle what the last one left."""
    _refuse_damaged(ledger)
    boot = boot_id()
    _stop_unapproved(ledger, config, now)
    mark.open()
    marks = mark.read()
    # together: whoever is killed in the middle leaves the boot of the dead one to the next
    with ledger.db.atomic(durable=True):
        # read now that the lock is ours: another one may have come and gone
        before = ledger.sender()
        rebooted = before is not None and (not boot or before[2] != boot)
        ledger.name_sender(os.getpid(), socket.gethostname(), boot, now)
        restored = _restored(ledger, mark, marks, now, named)
        back, doubt = ledger.recover(now, rebooted=rebooted)
        if config.safety.in_doubt == "resend":
            for number in ledger.resendable():
                if again := ledger.shift(number, ledger.doubtful(number), Event.RESEND):
                    ledger.db.note("mailing resolve", now, mailing=number, how="resend", settled=again, by="settings")
    return replace(restored, back=back, doubt=doubt)


def _refuse_damaged(ledger: Ledger) -> None:
    """Raises ConfigError before anything is sent by a ledger that cannot be believed."""
    for of in ledger.mailings(states=(m.State.SENDING,)):
        if not ledger.sound(of.id):
            raise damaged(ledger.db.path, f"mailing {of.id} does not add up, and nothing was sent")
        if _digest(ledger.parts(of.id)) != of.content:
            raise damaged(ledger.db.path, f"the text of mailing {of.id} is not what was frozen, and nothing was sent")


def _stop_unapproved(ledger: Ledger, config: Config, now: int) -> None:
    """Before the first claim: what was begun, and is not what was approved, is paused. Staff hear of it."""
    for of in ledger.mailings(states=(m.State.SENDING,)):
        if not of.rehearsal and (why := release.lacking(ledger, config, of)):
            ledger.move(of.id, m.Event.PAUSE, now, why, by="alarm")


def _restored(ledger: Ledger, mark: Mark, marks: Marks, now: int, named: Sequence[int]) -> Recovery:
    """Put in doubt what may have been sent since this database was copied, and count on from there."""
    unheard = mark.unheard(marks.stamps)
    lost = [stamp for stamp in mark.lost(marks.stamps) if stamp in unheard]
    restored = {}
    for stamp in unheard:
        if stamp in lost:
            continue
        restored[stamp.mailing] = sum(
            ledger.shift(stamp.mailing, ids, Event.RESTORE) for ids in mark.perhaps_sent(stamp)
        )
        if doubt := restored[stamp.mailing]:
            ledger.db.note("mailing recover", now, mailing=stamp.mailing, restored=doubt)
        if stamp.mailing not in named:
            _hold_back(ledger, ledger.mailing(stamp.mailing), now)
    mark.catch_up(marks.stamps)
    mark.give_above(marks)
    last = max((stamp.at for stamp in unheard), default=0)
    return Recovery(restored=restored, lost=tuple(lost), damaged=marks.damaged, last=last)


def _hold_back(ledger: Ledger, of: Mailing, now: int) -> None:
    """Pause a mailing of which more was sent than is known here."""
    if of.state in (m.State.READY, m.State.SCHEDULED, m.State.HELD):
        of = ledger.move(of.id, m.Event.START, now)
    if of.state is m.State.SENDING:
        why = "this database is older than the last sending: see what is in doubt"
        ledger.move(of.id, m.Event.PAUSE, now, why, by="restore")


def stop_restored(ledger: Ledger, now: int, known: Sequence[int]) -> tuple[int, ...]:
    """Pause what would go by itself from a restored database: after the backup somebody may have cancelled it.

    `known`: of those more was sent since, and whoever sends next settles that.
    """
    going = [of for of in ledger.mailings(states=(m.State.SCHEDULED, m.State.SENDING)) if not of.rehearsal]
    stopped = tuple(sorted(of.id for of in going if of.id not in known))
    for number in stopped:
        why = "it is from a backup, and may have been paused or cancelled since"
        ledger.move(number, m.Event.PAUSE, now, why, by="restore")
    return stopped


def forgotten(ledger: Ledger, mark: Mark, slug: str) -> Stamp | None:
    """The mailing of a statement that a restored database has lost, unless the statement was sent again since."""
    since = max((of.id for of in ledger.mailings(statement=slug) if not of.untouched), default=0)
    for stamp in reversed(mark.lost(mark.read().stamps)):
        if stamp.statement == m.fingerprint(slug) and not stamp.rehearsal:
            return stamp if stamp.mailing > since else None
    return None


def perhaps_sent(ledger: Ledger, slug: str) -> int | None:
    """From which backup a statement was restored that may have been sent after it was made (epoch seconds)."""
    made = ledger.seen(restored(slug))
    if made is None or any(of.created > made and not of.rehearsal for of in ledger.mailings(statement=slug)):
        return None
    return made


def restored(slug: str) -> str:
    """Under which name it is noted that a statement was in a backup."""
    return f"restored {slug}"


def ripe(ledger: Ledger, now: int) -> list[Mailing]:
    """The scheduled mailings whose time has come."""
    scheduled = ledger.mailings(states=(m.State.SCHEDULED,))
    return [of for of in scheduled if of.window.moment is not None and of.window.moment <= now]


def begun(ledger: Ledger, config: Config, now: int, *, since: int = 0) -> list[Mailing]:
    """The mailings that have something to send now, of those that were begun or changed since then. None in quiet
    hours.
    """
    if quiet.until(config, now) is not None:
        return []
    return [
        of
        for of in ledger.mailings(states=(m.State.SENDING,))
        if of.changed >= since and of.rehearsal is config.rehearsal and _something_due(ledger, of, now)
    ]


def start_ripe(ledger: Ledger, config: Config, now: int) -> list[Mailing]:
    """Start the mailings whose time has come, or hold those that may not; those that were held.

    In quiet hours none starts.
    """
    hushed = quiet.until(config, now) is not None
    held = []
    for of in ripe(ledger, now):
        if hushed and not of.late(now):
            continue
        why = _obstacle(ledger, config, of, now)
        with ledger.db.atomic(durable=True):
            if ledger.state(of.id) is not m.State.SCHEDULED:
                continue  # another `run` was faster
            if why:
                held.append(ledger.move(of.id, m.Event.HOLD, now, why))
            else:
                begin(ledger, config, of.id, now)
    return held


def close_late(ledger: Ledger, now: int) -> dict[int, int]:
    """What has not gone of a mailing by the end that a person set it does not go any more; how many, by mailing."""
    closed = {}
    for of in ledger.mailings(states=(m.State.SENDING,)):
        if of.closing is None or now <= of.closing or not of.waiting:
            continue
        with ledger.db.atomic(durable=True):
            if number := ledger.close(of, Event.EXPIRE):
                ledger.db.note("mailing expire", now, mailing=of.id, open=number)
                closed[of.id] = number
            ledger.finish_if_done(of.id, now)
    return closed


def set_back(ledger: Ledger, now: int) -> int:
    """By how many seconds the clock was set back since somebody last sent or looked; 0 for less than a minute."""
    before = ledger.seen("clock") or 0
    ledger.saw("clock", now)
    return before - now if before - now >= 60 else 0


def _obstacle(ledger: Ledger, config: Config, of: Mailing, now: int) -> str:
    """Why a mailing may not start by itself, now that its time has come; "" where it may."""
    if of.late(now):
        return f"too late: it was due at {of.window.words}"
    if why := release.lacking(ledger, config, of):
        return why
    return "; ".join(each.words for each in release.unusual(ledger, config, of, now))


def _something_due(ledger: Ledger, of: Mailing, now: int) -> bool:
    # nothing is open: the last sender was killed before it could say so
    if not of.open:
        return True
    unsettled = (State.PENDING, State.CLAIMED, State.HANDED)
    at = ledger.next_ripe(of.id)
    return any(of.tally.get(state) for state in unsettled) or (at is not None and at <= now)


# controlling


def pause(ledger: Ledger, number: int, who: str, now: int) -> Mailing:
    """A running mailing stops within a second; one that has a time does not start. Pausing twice is no error."""
    of = ledger.mailing(number)
    if of.state is m.State.PAUSED:
        return of
    return ledger.move(number, m.Event.PAUSE, now, f"by {who}")


def resume(ledger: Ledger, config: Config, number: int, now: int) -> Mailing:
    """A paused or held mailing may go on: whoever sends (cron's `run`, or `send`) takes it up. Raises NotAllowed."""
    of = ledger.mailing(number)
    if of.state is m.State.SENDING:
        return of
    waits = of.state is m.State.PAUSED and of.window.moment is not None and of.window.moment > now
    if not waits:
        release.refuse_unapproved(ledger, config, of)
    return _moved(ledger, of, m.Event.SCHEDULE if waits else m.Event.RESUME, now)


def _moved(ledger: Ledger, of: Mailing, event: m.Event, now: int) -> Mailing:
    """A person's word moves a mailing, also one that is too late: then its end counts no more."""
    if not of.late(now):
        return ledger.move(of.id, event, now)
    with ledger.db.atomic(durable=True):
        if of.window.closes:
            ledger.lift(of.id)
        return ledger.move(of.id, event, now, late=True)


def cancel(ledger: Ledger, number: int, who: str, now: int) -> Mailing:
    """Whoever has not got it will not. What is on a wire this moment ends as it ends."""
    # together: who is killed in between would leave a cancelled mailing with people who wait
    with ledger.db.atomic(durable=True):
        of = ledger.mailing(number)
        closed = ledger.close(of, Event.CANCEL)
        if of.state is not m.State.CANCELLED:
            ledger.move(number, m.Event.CANCEL, now, f"by {who}", open=closed)
    return ledger.mailing(number)
