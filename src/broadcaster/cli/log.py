"""log: who changed what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli.bounces import beginning
from broadcaster.cli.house import House
from broadcaster.cli.people import known, list_option, stream
from broadcaster.cli.say import json_option, moment, say, table
from broadcaster.errors import NotFound

if TYPE_CHECKING:
    from broadcaster.audit import Line, Wanted

SHOWN = 100
# of a digest; who compares two has enough of it
DIGEST = 12


@click.command()
@click.option(
    "--mailing", type=int, metavar="N", shell_complete=complete.mailings, help="Only what concerns this mailing."
)
@click.option("--subscriber", metavar="ADDRESS|ID", help="Only what concerns this person; a number is an id.")
@list_option(help="Only what concerns LIST, also one that was deleted.")
@click.option("--import", "intake", type=click.IntRange(min=1), metavar="N", help="Only what concerns this import.")
@click.option("--who", metavar="USER", help="Only what this system user did.")
@click.option("--since", metavar="D", help="Only since then: 3d, 12h, or a date like 2026-05-04.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help=f"At most N; {SHOWN:,} unless --json, 0 for no limit."
)
@json_option
@click.pass_obj
def log(
    house: House,
    mailing: int | None,
    subscriber: str | None,
    of: str | None,
    intake: int | None,
    who: str | None,
    since: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show who changed what of people, lists and mailings, the newest first.

    Nothing is ever taken out of this log. So people are ids in it, not addresses: --subscriber finds the lines about
    one of them. `docs/log.md` tells what each line means.

    \b
    Examples:
      broadcaster log
      broadcaster log --mailing 12
      broadcaster log --subscriber anna@example.org
      broadcaster log --who samira --since 7d --json

    \b
    Exit statuses: 0 told, 2 wrong usage, 65 no such mailing, import, list or person, 78 configuration.
    """
    from itertools import islice

    wanted = _wanted(house, mailing, subscriber, of, intake, who, since)
    most = limit if limit is not None else 0 if as_json else SHOWN
    found = house.audit.lines(wanted)
    if as_json:
        stream(map(_shown, islice(found, most or None)))
        return
    lines = list(islice(found, most + 1 if most else None))
    _table(house, lines[: most or None])
    if not lines:
        say("nobody has changed anything" + (" like that" if any(wanted) else " yet"))
    elif most and len(lines) > most:
        say(f"… and more: these are the last {most:,}; --limit 0 shows all")


def _wanted(
    house: House,
    mailing: int | None,
    subscriber: str | None,
    of: str | None,
    intake: int | None,
    who: str | None,
    since: str | None,
) -> Wanted:
    """What is asked for, in ids. Raises NotFound for what there is not and never was."""
    from broadcaster.audit import Wanted

    if mailing is not None:
        house.ledger.mailing(mailing)
    if intake is not None and not house.audit.imported(intake):
        raise NotFound(f"no import {intake}", hint="`broadcaster log` shows their numbers")
    return Wanted(
        subscriber=_person(house, subscriber) if subscriber is not None else None,
        list=(house.audit.list_id(of) or house.roster.list(of).id) if of is not None else None,
        mailing=mailing,
        intake=intake,
        who=who or "",
        since=beginning(house, since) if since else 0,
    )


def _person(house: House, text: str) -> int:
    """The id of a person: by their address, or as it is, since those who are gone have no other name."""
    if not (text.isascii() and text.isdigit()):
        return known(house, text).id
    number = int(text) if len(text) < 20 else 2**63
    if number >= 2**63:
        raise NotFound(f"nobody has the id {text}")
    return number


def _shown(line: Line) -> dict[str, Any]:
    """A line as JSON has it."""
    return {
        "id": line.id,
        "at": line.at,
        "who": line.who,
        "what": line.what,
        "subscriber": line.subscriber,
        "lists": line.lists,
        "mailing": line.mailing,
        "import": line.intake,
        "details": line.details,
    }


def _table(house: House, lines: Sequence[Line]) -> None:
    """The lines in columns; a column that is empty everywhere is left out."""
    zone = house.config.time.zone
    rows = [
        (
            moment(line.at, zone),
            line.who,
            line.what,
            line.subscriber,
            ", ".join(line.lists),
            line.mailing,
            line.intake,
            _described(line.details),
        )
        for line in lines
    ]
    titles = ("when", "who", "what", "subscriber", "lists", "mailing", "import", "details")
    used = [i for i in range(len(titles)) if any(row[i] not in (None, "") for row in rows)]
    table([titles[i] for i in used], ([row[i] for i in used] for row in rows))


def _described(details: Mapping[str, Any]) -> str:
    """Details in a few words: "new 12, invalid 1"; what is nothing is not said."""
    words = []
    for name, value in details.items():
        if value is True:
            words.append(name)
        elif isinstance(value, dict):
            words.append(f"{name} {' '.join(f'{each}={number}' for each, number in value.items())}" if value else "")
        elif isinstance(value, list):
            words.append(f"{name} {' '.join(map(str, value))}" if value else "")
        elif isinstance(value, int):
            words.append(f"{name} {value:,}" if value else "")
        else:
            words.append(f"{name} {str(value)[:DIGEST]}" if value else "")
    return ", ".join(word.replace("_", " ") for word in words if word)
