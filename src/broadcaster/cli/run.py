"""run: what cron calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from broadcaster.cli.house import House
from broadcaster.cli.prepare import hushed
from broadcaster.cli.say import clean, counts, dry_run_option, dump, json_option, say
from broadcaster.cli.staff import note_mailboxes, tell_staff
from broadcaster.errors import BroadcasterError, Interrupted, MailboxUnavailable, NotAllowed, NotFound, SenderAtWork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broadcaster.mailing import Mailing

# mailboxes are read for so long at the most; the rest has its turn next time (seconds)
LONGEST: Final = 60.0
# a mailbox may be away for so long before somebody is told (seconds)
AWAY: Final = 3600
# how often it is looked whether there is anything to forget (seconds), and how many deliveries at once
DAY: Final = 86_400
SOME: Final = 200_000


@click.command()
@dry_run_option
@json_option
@click.pass_context
def run(ctx: click.Context, dry_run: bool, as_json: bool) -> None:
    """Send what is due, retry what waits, collect what came back: for cron.

    Reads the mailboxes of [returns], starts mailings whose time has come (or holds them when it is too late, nobody has
    approved them, or they would surprise somebody), goes on with those that were interrupted, tries deferred deliveries
    again, and forgets what [retention] no longer keeps. In quiet hours and on days off it sends nothing. Does nothing
    twice, may overlap, and says nothing when there is
    nothing to say.

    \b
    Examples:
      broadcaster run
      broadcaster -C /srv/appeals run --dry-run

    \b
    Exit statuses: 0 done, or nothing was due; 69 no relay or mailbox would talk to us; 75 another process is sending;
    77 a mailing was held that nobody has approved, or that is unusual; 78 configuration; 130 interrupted.
    """
    house: House = ctx.obj
    if not house.workspace.database.exists():
        if as_json:
            dump({"mailings": []})
        return
    from broadcaster import broadcast
    from broadcaster.cli.resolve import catch_up
    from broadcaster.cli.send import tell_clock

    if dry_run:
        ripe = [] if hushed(house) else [of for of in broadcast.ripe(house.ledger, house.now) if not of.late(house.now)]
        numbers = [of.id for of in ripe + broadcast.begun(house.ledger, house.config, house.now)]
        if as_json:
            dump({"mailings": numbers})
        elif numbers:
            say(f"due: mailing {', '.join(map(str, numbers))}")
        return
    tell_clock(house)
    house.ledger.saw("run", house.now)
    ctx.call_on_close(lambda: tell_staff(house))
    # first: who has left meanwhile must not get what is due now
    news, trouble = _collect(house)
    _forget(house)
    held = broadcast.start_ripe(house.ledger, house.config, house.now)
    news |= _timed(house, held)
    due = broadcast.begun(house.ledger, house.config, house.now)
    if due:
        _send(ctx, house, [of.id for of in due], news, as_json=as_json)
    else:
        catch_up(house)
        if as_json:
            dump({"mailings": [], **news})
    if trouble is not None:
        raise trouble
    if any(not of.late(house.now) for of in held):
        ctx.exit(NotAllowed.status)


def _way_on(of: Mailing) -> str:
    """What lets a held mailing go, once a person wants it to."""
    from broadcaster.approval import NOT_APPROVED
    from broadcaster.release import may_approve

    if of.reason == NOT_APPROVED:
        return may_approve(of)
    return f"`broadcaster resume {of.id}` lets it go all the same, `broadcaster cancel {of.id}` drops it"


def _forget(house: House) -> None:
    """Once a day, and a little at a time: what is due must not wait."""
    from broadcaster import lapsing
    from broadcaster.oblivion import Oblivion

    # a time to come is a clock's that was wrong
    if abs(house.now - (house.ledger.seen("forget") or 0)) < DAY:
        return
    if lapsing.lapse(Oblivion(house.db), house.bounces, house.config, house.now, most=SOME).whole:
        house.ledger.saw("forget", house.now)


def _collect(house: House) -> tuple[dict[str, Any], BroadcasterError | None]:
    """Read the mailboxes, unless somebody does, and not for long: what is due must not wait. What came of it."""
    from broadcaster.cli.collect import collected, tell
    from broadcaster.effect import Effect
    from broadcaster.lock import Lock

    boxes = house.config.returns.mailboxes
    lock = Lock(house.workspace.collecting)
    if not boxes or not lock.take():
        return {}, None
    try:
        told, refused = collected(house, [house.inbox(of) for of in boxes], until=house.clock() + LONGEST)
    finally:
        lock.release()
    if not any(isinstance(failure, MailboxUnavailable) for failure in told.failures):
        house.ledger.saw("collect", house.now)
    note_mailboxes(house, {e.where or "": e.message for e in told.failures if isinstance(e, MailboxUnavailable)})
    told.failures = [failure for failure in told.failures if not _passes(house, failure)]
    if told.news or refused:
        tell(told, refused)
    figures = {
        "messages": told.messages,
        "bounces": len(told.entries),
        "suppressed": told.effects()[Effect.SUPPRESSED],
        "set_aside": len(told.set_aside),
    }
    return {"collected": figures}, next(iter(told.failures), None)


def _timed(house: House, held: Sequence[Mailing]) -> dict[str, Any]:
    """Tell what the clock does: mailings that were to start are held, others are over. The same for JSON."""
    from broadcaster import broadcast
    from broadcaster.cli.send import tell_expired

    closed = broadcast.close_late(house.ledger, house.now)
    for of in held:
        say(f"mailing {of.id} of {of.statement} is held ({clean(of.reason)}): {_way_on(of)}")
    tell_expired(closed)
    news = {"held": [of.id for of in held], "expired": list(closed)}
    return {name: numbers for name, numbers in news.items() if numbers}


def _passes(house: House, failure: BroadcasterError) -> bool:
    """Whether cron need not tell: nothing has come yet, or a mailbox is away for less than an hour."""
    away = isinstance(failure, MailboxUnavailable) and abs(house.now - (house.ledger.seen("collect") or 0)) < AWAY
    return away or isinstance(failure, NotFound)


def _send(ctx: click.Context, house: House, numbers: list[int], news: dict[str, Any], *, as_json: bool) -> None:
    import sys

    from broadcaster import broadcast
    from broadcaster.cli.send import refuse_if_nobody_talked, released, tell_recovered, weigh
    from broadcaster.lock import Lock
    from broadcaster.workspace import refuse_elsewhere

    refuse_elsewhere(house.workspace.root)
    _ = house.signer, house.seal  # without the keys nothing is begun
    lock = Lock(house.workspace.lock)
    since = house.now
    try:
        recovered = broadcast.take_over(house.ledger, lock, house.config, house.now, house.mark)
    except SenderAtWork:
        # the usual case when a night's mailing takes longer than cron's five minutes: it takes the others along
        for number in numbers:
            house.ledger.touch(number, house.now)
        if sys.stderr.isatty():
            raise
        ctx.exit(SenderAtWork.status)
    tell_recovered(house, recovered)
    turn = released(house, lock, numbers, since=since, wait=False, quiet=not sys.stderr.isatty())
    weigh(house)
    ended = [house.ledger.mailing(number) for number in numbers]
    if as_json:
        dump({"mailings": [of.figures() for of in ended], **news})
    for of in ended:
        reason = f" ({of.reason})" if of.reason else ""
        say(f"mailing {of.id} of {of.statement}: {counts(of.words())}; {of.state.word}{reason}")
    if turn.stopped:
        raise Interrupted("stopped cleanly; nobody is lost", hint="the next `run` goes on")
    refuse_if_nobody_talked(house, turn, "the next `run` tries again")
