"""resolve: a person's word on deliveries in doubt."""

from __future__ import annotations

import click

from broadcaster.cli.house import House, tried
from broadcaster.cli.say import ask, count, dry_run_option, dump, json_option, say, yes_option


@click.command()
@click.argument("mailing", type=int)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option("--resend", is_flag=True, help="They are sent once more; somebody may get it twice.")
@click.option("--accept", is_flag=True, help="They are taken as accepted; somebody may have got nothing.")
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def resolve(
    house: House,
    mailing: int,
    addresses: tuple[str, ...],
    resend: bool,
    accept: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Settle the deliveries in doubt of MAILING.

    In doubt is what was handed over without an answer: it may have been delivered, or not. The relay's log
    knows, by Message-ID (`status MAILING --deliveries --state in_doubt --json` shows it). A copy that is sent again
    carries the same Message-ID, so that most mailboxes drop the twin.

    \b
    Examples:
      broadcaster resolve 12 --accept
      broadcaster resolve 12 samira@example.org --resend

    \b
    Exit statuses: 0 settled, 2 not confirmed, 65 no such mailing or delivery.
    """
    from broadcaster import broadcast
    from broadcaster.delivery import Event

    if resend == accept:
        raise click.UsageError("say --resend or --accept")
    of = house.ledger.mailing(mailing)
    doubtful = len(addresses) or len(house.ledger.doubtful(mailing))
    if doubtful:
        verb = "Send once more to" if resend else "Take as accepted"
        if not dry_run:
            ask(f"{verb} {count(doubtful, 'person', 'people')} in doubt of mailing {of.id}?", yes=yes)
        event = Event.RESEND if resend else Event.ACCEPT
        with tried(house.db, dry_run=dry_run):
            doubtful = broadcast.resolve(house.ledger, house.roster, mailing, addresses, event, house.now)
            of = house.ledger.mailing(mailing)
    if as_json:
        dump(of.figures())
    if not doubtful:
        say(f"mailing {of.id} has nothing in doubt")
    elif resend:
        say(f"{doubtful:,} wait again: `broadcaster send {of.id}` or cron's `run` sends them")
    else:
        say(f"{doubtful:,} taken as accepted; mailing {of.id} is {of.state.word}")
