"""mailings: the list of them."""

from __future__ import annotations

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import dump, json_option, moment, number, say, table


@click.command()
@click.option("--all", "everything", is_flag=True, help="Cancelled ones too.")
@json_option
@click.pass_obj
def mailings(house: House, everything: bool, as_json: bool) -> None:
    """List the mailings, the newest first.

    \b
    Examples:
      broadcaster mailings
      broadcaster mailings --json

    \b
    Exit statuses: 0 told, 78 configuration.
    """
    from broadcaster.delivery import State

    found = [of for of in house.ledger.mailings() if everything or as_json or of.state.word != "cancelled"]
    if as_json:
        dump([of.figures() for of in found])
        return
    if not found:
        say("no mailings yet: `broadcaster send STATEMENT --list LIST` makes one")
        return
    zone = house.config.time.zone
    table(
        ["mailing", "statement", "state", "prepared", "audience", "accepted", "rejected", "waiting", "in doubt"],
        (
            (
                of.id,
                of.statement,
                of.state.word + (", rehearsal" if of.rehearsal else ""),
                moment(of.created, zone),
                number(of.audience),
                number(of.tally.get(State.ACCEPTED, 0)),
                number(of.tally.get(State.REJECTED, 0)),
                number(of.open - of.tally.get(State.IN_DOUBT, 0)),
                number(of.tally.get(State.IN_DOUBT, 0)),
            )
            for of in found
        ),
    )
