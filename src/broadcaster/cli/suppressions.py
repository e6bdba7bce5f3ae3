"""suppressions: who must not be mailed, whatever list they are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from broadcaster.cli.house import House, tried
from broadcaster.cli.people import Noun, mailbox_of, stream
from broadcaster.cli.say import dry_run_option, dump, json_option, moment, out, say, table
from broadcaster.errors import NotFound

if TYPE_CHECKING:
    from broadcaster.address import Address


@click.group(cls=Noun, subcommand_metavar="[TEXT | VERB [ARGS]...]")
def suppressions() -> None:
    """Show and change who must not be mailed.

    An address here gets nothing from any list, now or later, and no file brings it back. Without a verb: show them.

    \b
    Examples:
      broadcaster suppressions
      broadcaster suppressions add anna@example.org --reason "asked by phone"
      broadcaster suppressions remove anna@example.org

    \b
    Exit statuses: 0 done, 2 wrong usage, 65 no such address, 78 configuration.
    """


@suppressions.command("show", short_help="Show every suppressed address.")
@click.argument("text", required=False, default="")
@json_option
@click.pass_obj
def show(house: House, text: str, as_json: bool) -> None:
    """Show every suppressed address, or those with TEXT in the address or the reason.

    \b
    Examples:
      broadcaster suppressions
      broadcaster suppressions bounced --json

    \b
    Exit statuses: 0 told, 78 configuration.
    """
    from broadcaster.spelling import fold

    needle = fold(text)
    found = (
        each for each in house.roster.suppressions() if needle in fold(f"{each.address}\n{each.reason}\n{each.detail}")
    )
    if as_json:
        stream(
            {"address": each.address, "reason": each.reason, "detail": each.detail, "since": each.since}
            for each in found
        )
        return
    zone = house.config.time.zone
    rows = [(each.address, each.reason, each.detail, moment(each.since, zone)) for each in found]
    table(["address", "reason", "said", "since"], rows)
    if not rows:
        say(f"nobody with {text!r} is suppressed" if text else "nobody is suppressed")


@suppressions.command("add")
@click.argument("address")
@click.option("--reason", required=True, metavar="REASON", help="Why; left, complained and bounced have a meaning.")
@dry_run_option
@json_option
@click.pass_obj
def add(house: House, address: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Never mail ADDRESS again, whether anybody has it or not.

    \b
    Examples:
      broadcaster suppressions add anna@example.org --reason "asked by phone"
      broadcaster suppressions add peter@example.org --reason complained

    \b
    Exit statuses: 0 suppressed (or was so already), 2 wrong usage, 65 not an address, 77 they were erased and get
    nothing anyway, 78 configuration.
    """
    from broadcaster.cell import tidy_line

    found, why = mailbox_of(address), tidy_line(reason)
    if not why:
        raise click.BadParameter("say why", param_hint="--reason")
    house.erasure.refuse(found)
    with tried(house.db, dry_run=dry_run):
        new = house.roster.suppress(found, why)
        now = house.roster.suppression(found)
    assert now is not None
    if as_json:
        dump({"address": now.address, "reason": now.reason, "since": now.since, "new": new})
    elif new:
        out(f"{found.shown} {'would not' if dry_run else 'will not'} be mailed any more")
    else:
        out(f"{found.shown} was suppressed already ({now.reason}, {moment(now.since, house.config.time.zone)})")


@suppressions.command("remove")
@click.argument("address")
@dry_run_option
@json_option
@click.pass_obj
def remove(house: House, address: str, dry_run: bool, as_json: bool) -> None:
    """Allow mail to ADDRESS again. Lists that the person has left stay left; who was erased stays so.

    \b
    Examples:
      broadcaster suppressions remove anna@example.org

    \b
    Exit statuses: 0 allowed again, 65 it is not suppressed, 78 configuration.
    """
    found = mailbox_of(address)
    if house.roster.suppression(found) is None and house.erasure.since(found.key) is not None:
        _pardon(house, found, dry_run=dry_run, as_json=as_json)
        return
    with tried(house.db, dry_run=dry_run):
        was = house.roster.lift(found)
        house.bounces.pardon(found.key)  # what came back so far is looked into
    if as_json:
        dump({"address": was.address, "reason": was.reason, "since": was.since})
    else:
        out(f"{found.shown} {'would be' if dry_run else 'is'} allowed again (it was suppressed: {was.reason})")


def _pardon(house: House, found: Address, *, dry_run: bool, as_json: bool) -> None:
    """Of who was erased only the reason is known: without it, their own word brings them back."""
    with tried(house.db, dry_run=dry_run):
        reason = house.erasure.pardon(found.key)
    if not reason:
        raise NotFound("whoever had that address was erased, and is not suppressed besides")
    if as_json:
        dump({"address": str(found), "reason": reason, "since": house.erasure.since(found.key)})
    else:
        out(f"{found.shown} {'might' if dry_run else 'may'} come back by their own word (it was suppressed: {reason})")
