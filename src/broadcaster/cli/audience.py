"""audience: who would get a mailing, in which language; who would not, and why, before anything is prepared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House
from broadcaster.cli.people import PAGE, stream
from broadcaster.cli.prepare import need_lists, tell_people, who_options
from broadcaster.cli.say import clean, count, encoded, json_option, out, say, table

if TYPE_CHECKING:
    from broadcaster.audience import Audience, Gathered

SHOWN = 100


@click.command()
@click.argument("statement", required=False, shell_complete=complete.statements)
@who_options
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"At most N of each; {SHOWN} unless --json, 0 for no limit.",
)
@json_option
@click.pass_obj
def audience(
    house: House,
    statement: str | None,
    lists: tuple[str, ...],
    exclude: tuple[str, ...],
    where: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show who would get a mailing, in which language; who would not, and why.

    Nothing is prepared or written. With STATEMENT, each language is the one of its parts that a person gets;
    without, the one they want. Each who would not get it is told for one reason, the first of: left, suppressed,
    excluded, filtered (--where is not true of them).

    \b
    Examples:
      broadcaster audience --list news
      broadcaster audience clean-water --list news --where "city = Basra" --exclude mailing:12
      broadcaster audience --list news --list members --exclude @staff --json --limit 0

    \b
    Exit statuses: 0 told (also when there is nobody), 2 wrong usage, 65 no such list, segment, mailing or
    statement, or a filter that cannot be read, 78 configuration.
    """
    from broadcaster import choosing

    need_lists(house, lists)
    languages = [*house.workspace.statement(statement).parts] if statement else None
    rule = choosing.find_rule(house.roster, house.ledger, lists, exclude, where)
    with house.db.reading():
        found = choosing.gather(house.config, house.roster, house.ledger, rule)
        people = choosing.audience(house.config, house.roster, found, languages)
        most = limit if limit is not None else 0 if as_json else SHOWN
        reach, passed = islice(_reached(house, people), most or None), islice(_passed(house), most or None)
        if as_json:
            _dump(people, found, reach, passed)
        else:
            _tell(people, found, lists, rule.where)
            _show([*reach], [*passed], people.number, sum(found.left_out.values()))


def _reached(house: House, of: Audience) -> Iterator[dict[str, Any]]:
    """Those who would get it, by id."""
    from broadcaster import gathering

    names = {each.id: each.name for each in house.roster.lists()}
    rest = gathering.reached(house.db)
    while page := list(islice(rest, PAGE)):
        people = house.roster.people([subscriber for subscriber, _, _ in page])
        for subscriber, on, language in page:
            person = people[subscriber]
            yield {
                "address": person.address,
                "name": person.name,
                "language": language,
                "gets": of.given[language],
                "list": names[on],
            }


def _passed(house: House) -> Iterator[dict[str, Any]]:
    """Those on the lists who would not, by id. `because` is why somebody is suppressed."""
    from broadcaster import gathering

    rest = gathering.passed(house.db)
    while page := list(islice(rest, PAGE)):
        ids = [subscriber for subscriber, _ in page]
        people, barred = house.roster.people(ids), house.roster.reasons(ids)
        for subscriber, reason in page:
            person = people[subscriber]
            because = barred.get(subscriber) if reason == "suppressed" else None
            yield {"address": person.address, "name": person.name, "reason": reason, "because": because}


def _dump(people: Audience, found: Gathered, reach: Iterator[dict[str, Any]], passed: Iterator[dict[str, Any]]) -> None:
    """One JSON value, however many they are."""
    head = {
        "audience": people.number,
        "languages": people.chosen,
        "fallbacks": people.fallbacks,
        "left_out": dict(found.left_out),
    }
    sys.stdout.write(encoded(head)[:-1] + ', "people": ')
    stream(reach)
    sys.stdout.write(', "without": ')
    stream(passed)
    sys.stdout.write("}\n")


def _tell(people: Audience, found: Gathered, lists: tuple[str, ...], where: str) -> None:
    only = f" where {clean(where)}" if where else ""
    say(f"{count(people.number, 'person', 'people')} on {', '.join(lists)}{only} would get it")
    tell_people(people.chosen, people.fallbacks, found.left_out)


def _show(reach: list[dict[str, Any]], passed: list[dict[str, Any]], number: int, without: int) -> None:
    columns = ("address", "name", "language", "gets", "list")
    table(columns, ([each[column] for column in columns] for each in reach))
    if number > len(reach):
        say(f"… and {number - len(reach):,} more; --limit 0 shows all")
    if passed:
        out()
    rows = (
        (each["address"], each["name"], each["reason"] + (f": {each['because']}" if each["because"] else ""))
        for each in passed
    )
    table(("without", "name", "why not"), rows)
    if without > len(passed):
        say(f"… and {without - len(passed):,} more without it; --limit 0 shows all")
