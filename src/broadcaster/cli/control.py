"""pause, resume, cancel: from another terminal, heard within a second."""

from __future__ import annotations

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House, tried
from broadcaster.cli.prepare import hushed, whose_turn
from broadcaster.cli.say import ask, count, counts, dry_run_option, dump, json_option, say, warn, yes_option


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings)
@dry_run_option
@json_option
@click.pass_obj
def pause(house: House, mailing: int, dry_run: bool, as_json: bool) -> None:
    """Hold a running mailing within a second.

    What is on the wire ends; nothing more is claimed, by `send` or by cron, until `resume`.

    \b
    Examples:
      broadcaster pause 12

    \b
    Exit statuses: 0 paused, 65 no such mailing, 77 it is not running.
    """
    from broadcaster import broadcast

    with tried(house.db, dry_run=dry_run):
        of = broadcast.pause(house.ledger, mailing, house.who, house.now)
    if as_json:
        dump(of.figures())
    say(f"mailing {of.id} is {of.state.word}: {counts(of.words())}")


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings)
@dry_run_option
@json_option
@click.pass_obj
def resume(house: House, mailing: int, dry_run: bool, as_json: bool) -> None:
    """Let a paused or held mailing go on.

    This sends nothing by itself: a sender at work takes it up, else cron's `run`, or `send MAILING`.

    \b
    Examples:
      broadcaster resume 12

    \b
    Exit statuses: 0 it may go on, 65 no such mailing, 77 it is not paused.
    """
    from broadcaster import broadcast

    late = house.ledger.mailing(mailing).late(house.now)
    with tried(house.db, dry_run=dry_run):
        of = broadcast.resume(house.ledger, house.config, mailing, house.now)
    if as_json:
        dump(of.figures())
    if of.state.word == "scheduled":
        say(f"mailing {of.id} is scheduled: due {of.window.shown}, {whose_turn(house)}")
        return
    if late:
        warn(f"it was due at {of.window.words}, and goes on although it is too late for it")
    until = hushed(house)
    quiet = f"; quiet until {until}" if until else ""
    say(f"mailing {of.id} is {of.state.word}: `broadcaster send {of.id}` or cron's `run` goes on{quiet}")


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings)
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def cancel(house: House, mailing: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Stop a mailing for good: who has not got it will not.

    \b
    Examples:
      broadcaster cancel 12

    \b
    Exit statuses: 0 cancelled, 2 not confirmed, 65 no such mailing, 77 it is finished.
    """
    from broadcaster import broadcast
    from broadcaster.cli.resolve import catch_up

    of = house.ledger.mailing(mailing)
    if of.state.word != "cancelled" and not dry_run:
        ask(f"Cancel mailing {of.id}: {count(of.open, 'person', 'people')} will not get it?", yes=yes)
    with tried(house.db, dry_run=dry_run):
        broadcast.cancel(house.ledger, mailing, house.who, house.now)
        # nobody may ever send from here again: what a dead sender held would stay in its hands
        catch_up(house)
        of = house.ledger.mailing(mailing)
    if as_json:
        dump(of.figures())
    say(f"mailing {of.id} is {of.state.word}: {counts(of.words())}")
