"""mailings: the list of them."""

from __future__ import annotations

import click

from broadcaster.cli import release as gate
from broadcaster.cli.house import House
from broadcaster.cli.say import COLOURS, Tint, dump, json_option, number, say, table, when, wrapped


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
    from broadcaster.delivery import FAILED, State

    found = [of for of in house.ledger.mailings() if everything or as_json or of.state.word != "cancelled"]
    if as_json:
        dump([{**of.figures(), **gate.figures(house, of)} for of in found])
        return
    if not found:
        say("no mailings yet: `broadcaster send STATEMENT --list LIST` makes one")
        return
    from broadcaster.cli.status import next_steps

    now, zone = house.now, house.config.time.zone
    table(
        ["mailing", "statement", "state", "prepared", "people", "accepted", "failed", "waiting", "doubt"],
        (
            (
                of.id,
                of.statement,
                Tint(of.state.word + ("*" if of.rehearsal else ""), COLOURS.get(of.state.word)),
                when(of.created, now, zone),
                number(of.audience),
                number(of.tally.get(State.ACCEPTED, 0)),
                _some(sum(of.tally.get(state, 0) for state in FAILED)),
                _some(of.open - of.tally.get(State.IN_DOUBT, 0)),
                _some(of.tally.get(State.IN_DOUBT, 0)),
            )
            for of in found
        ),
        keep=["state", "prepared"],
        spare=["failed", "waiting", "doubt"],
        loose=["prepared"],
    )
    if any(of.rehearsal for of in found):
        say("* a rehearsal: nothing was mailed to anybody")
    for of in found:
        if of.state.word == "scheduled":
            say(wrapped(f"mailing {of.id}: due {of.window.shown}", ""))
        for step in next_steps(house, of):
            say(wrapped(f"mailing {of.id}: {step}", ""))


def _some(value: int) -> str:
    return number(value) if value else ""
