"""run: what cron calls."""

from __future__ import annotations

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import counts, dry_run_option, dump, json_option, say
from broadcaster.errors import Interrupted, SenderAtWork


@click.command()
@dry_run_option
@json_option
@click.pass_context
def run(ctx: click.Context, dry_run: bool, as_json: bool) -> None:
    """Send what is due and retry what waits: for cron.

    Starts mailings whose time has come (or holds them when it is too late), goes on with those that were
    interrupted, tries deferred deliveries again. Does nothing twice, may overlap, and says nothing when there is
    nothing to say.

    \b
    Examples:
      broadcaster run
      */5 * * * * broadcaster -C /srv/appeals run

    \b
    Exit statuses: 0 done, or nothing was due; 69 no relay would talk to us; 75 another process is sending;
    78 configuration; 130 interrupted.
    """
    house: House = ctx.obj
    if not house.workspace.database.exists():
        if as_json:
            dump({"mailings": []})
        return
    from broadcaster import broadcast
    from broadcaster.cli.resolve import catch_up

    if dry_run:
        found = broadcast.ripe(house.ledger, house.now) + broadcast.begun(house.ledger, house.config, house.now)
        numbers = [of.id for of in found]
        if as_json:
            dump({"mailings": numbers})
        elif numbers:
            say(f"due: mailing {', '.join(map(str, numbers))}")
        return
    house.ledger.saw("run", house.now)
    broadcast.start_ripe(house.ledger, house.config, house.now)
    due = broadcast.begun(house.ledger, house.config, house.now)
    if not due:
        catch_up(house)
        if as_json:
            dump({"mailings": []})
        return
    _send(ctx, house, [of.id for of in due], as_json=as_json)


def _send(ctx: click.Context, house: House, numbers: list[int], *, as_json: bool) -> None:
    import sys

    from broadcaster import broadcast
    from broadcaster.cli.send import refuse_if_nobody_talked, refuse_unbuilt, released, tell_recovered
    from broadcaster.lock import Lock
    from broadcaster.workspace import refuse_elsewhere

    refuse_elsewhere(house.workspace.root)
    refuse_unbuilt(house)
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
    ended = [house.ledger.mailing(number) for number in numbers]
    if as_json:
        dump({"mailings": [of.figures() for of in ended]})
    for of in ended:
        reason = f" ({of.reason})" if of.reason else ""
        say(f"mailing {of.id} of {of.statement}: {counts(of.words())}; {of.state.word}{reason}")
    if turn.stopped:
        raise Interrupted("stopped cleanly; nobody is lost", hint="the next `run` goes on")
    refuse_if_nobody_talked(house, turn, "the next `run` tries again")
