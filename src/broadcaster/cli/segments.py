"""segments: show, save, edit, delete filters that have a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House, tried
from broadcaster.cli.people import Noun
from broadcaster.cli.say import (
    ask,
    clean,
    count,
    dry_run_option,
    dump,
    json_option,
    moment,
    number,
    out,
    say,
    table,
    yes_option,
)

if TYPE_CHECKING:
    from broadcaster.segments import Segment

meaning_option = click.option(
    "--where", required=True, metavar="FILTER", help='Whom it means: "city = Basra and has tag member".'
)


@click.group(cls=Noun, subcommand_metavar="[VERB] [ARGS]...")
def segments() -> None:
    """Show, save, edit and delete segments: filters that have a name.

    Without a verb: show them. Wherever a filter stands, @NAME is a segment's, and --exclude @NAME leaves its
    people out. A segment is read anew each time; a mailing that is prepared keeps what it meant that day.

    \b
    Examples:
      broadcaster segments save members --where "has tag member and not city = Erbil"
      broadcaster segments
      broadcaster audience --list news --where "@members and language is ar"

    \b
    Exit statuses: 0 done, 2 wrong usage or not confirmed, 65 no such segment or a filter that cannot be read,
    77 there is one already, 78 configuration.
    """


@segments.command("show")
@json_option
@click.pass_obj
def show(house: House, as_json: bool) -> None:
    """Show every segment, what it means, and how many of those who can be mailed it means now.

    \b
    Examples:
      broadcaster segments
      broadcaster segments --json

    \b
    Exit statuses: 0 told, 78 configuration.
    """
    from broadcaster import segments

    found = [_told(house, each) for each in segments.every(house.db)]
    if as_json:
        dump(found)
    elif not found:
        say("no segments yet: `broadcaster segments save NAME --where FILTER` makes one")
    else:
        zone = house.config.time.zone
        table(
            ["segment", "people", "where", "changed"],
            (
                (f"@{each['name']}", number(each["people"]), each["where"], moment(each["changed"], zone))
                for each in found
            ),
        )


@segments.command("save")
@click.argument("name")
@meaning_option
@dry_run_option
@json_option
@click.pass_obj
def save(house: House, name: str, where: str, dry_run: bool, as_json: bool) -> None:
    """Give a filter a name. The filter itself cannot name other segments.

    \b
    Examples:
      broadcaster segments save members --where "has tag member"
      broadcaster segments save newcomers --where "joined after 2026-06-30"

    \b
    Exit statuses: 0 saved, 65 a filter that cannot be read or not a usable name, 77 there is one already,
    78 configuration.
    """
    from broadcaster import segments

    with tried(house.db, dry_run=dry_run):
        told = _told(house, segments.save(house.db, name.removeprefix("@"), _spelled(house, where), house.now))
    _conclude(told, "would be saved" if dry_run else "is saved", as_json=as_json)


@segments.command("edit")
@click.argument("name", shell_complete=complete.segments)
@meaning_option
@dry_run_option
@json_option
@click.pass_obj
def edit(house: House, name: str, where: str, dry_run: bool, as_json: bool) -> None:
    """Let a segment mean something else from now on. Mailings that are prepared keep their people.

    \b
    Examples:
      broadcaster segments edit members --where "has tag member or has tag board"

    \b
    Exit statuses: 0 changed, 65 no such segment or a filter that cannot be read, 78 configuration.
    """
    from broadcaster import segments

    of = segments.find(house.db, name.removeprefix("@"))
    with tried(house.db, dry_run=dry_run):
        told = _told(house, segments.edit(house.db, of, _spelled(house, where), house.now))
    _conclude(told, "would be changed" if dry_run else "is changed", as_json=as_json)


@segments.command("delete")
@click.argument("name", shell_complete=complete.segments)
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def delete(house: House, name: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Forget a segment. Nobody leaves a list by that, and mailings that are prepared keep their people.

    \b
    Examples:
      broadcaster segments delete newcomers

    \b
    Exit statuses: 0 deleted, 2 not confirmed, 65 no such segment, 78 configuration.
    """
    from broadcaster import segments

    of = segments.find(house.db, name.removeprefix("@"))
    if not dry_run:
        ask(f"Delete the segment @{of.name} ({clean(of.where)})?", yes=yes)
    with tried(house.db, dry_run=dry_run):
        segments.delete(house.db, of, house.now)
    if as_json:
        dump({"name": of.name, "where": of.where})
    else:
        out(f"the segment @{of.name} {'would be' if dry_run else 'is'} deleted")


def _spelled(house: House, where: str) -> str:
    """A filter in its one spelling. Raises FilterError for what is wrong with it, and for one that names segments."""
    from broadcaster import filters

    said = filters.parse(where)
    if named := said.segments:
        raise said.wrong("a segment cannot be made of others", named[0].place, "write out what that one says")
    house.condition(where)
    return str(said)


def _told(house: House, of: Segment) -> dict[str, Any]:
    people = house.roster.number(where=house.condition(f"@{of.name}"))
    return {"name": of.name, "where": of.where, "people": people, "created": of.created, "changed": of.changed}


def _conclude(told: dict[str, Any], did: str, *, as_json: bool) -> None:
    if as_json:
        dump(told)
    else:
        out(f"the segment @{told['name']} {did}: {count(told['people'], 'person', 'people')} now")
