"""subscribers dossier: everything that is kept of one person, for whoever has the right to ask."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.house import House
from broadcaster.cli.people import known, mailbox_of, record
from broadcaster.cli.say import clean, dump, json_option, moment, out, say

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.consent import Consent

# names of values that are moments
TIMES = frozenset(["at", "since", "created", "changed", "erased"])


@click.command("dossier", short_help="Write down everything that is kept of one person.")
@click.argument("address")
@click.option(
    "-o",
    "output",
    metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="A new file, for your eyes only; .json is written as with --json.",
)
@json_option
@click.pass_obj
def dossier(house: House, address: str, output: Path | None, as_json: bool) -> None:
    """Write down everything that is kept of one person: for themselves, or for a regulator who asks.

    Their fields, lists, and the whole record of what they agreed to, with what shows it; suppression; every mail to
    them with each attempt and answer; what came back; the files they came with; what was changed of them, by whom.
    As text to read, or as JSON with times in seconds since the epoch (UTC).

    \b
    Examples:
      broadcaster subscribers dossier anna@example.org
      broadcaster subscribers dossier anna@example.org -o anna.json

    \b
    Exit statuses: 0 written, 65 nothing is known of that address (look-alikes are offered), 73 FILE is there already
    or cannot be written, 78 configuration.
    """
    wanted = mailbox_of(address)
    told, consents = _everything(house, wanted)
    if told["person"] is None and told["suppression"] is None and not told["bounces"]:
        known(house, address)  # raises, with look-alikes
    as_json = as_json or (output is not None and output.suffix.lower() == ".json")
    if output is None:
        if as_json:
            dump(told)
        else:
            for line in _legible(house, told, consents):
                out(line)
        return
    from broadcaster.custody import create_private

    with os.fdopen(create_private(output), "w", encoding="utf-8") as file:
        if as_json:
            json.dump(told, file, ensure_ascii=False, indent=2)
        else:
            file.writelines(f"{line}\n" for line in _legible(house, told, consents))
    say(f"everything kept of {clean(wanted.shown)} is in {clean(output)}")


def _everything(house: House, wanted: Address) -> tuple[dict[str, Any], list[Consent]]:
    """All there is, and the record of consents as it is told in words."""
    from broadcaster.dossier import Dossier

    of, person = Dossier(house.db), house.roster.find(wanted)
    consents = [*house.roster.consents(person)] if person is not None else []
    number = person.id if person is not None else None
    told = {
        "address": str(wanted),
        "at": house.now,
        "by": house.config.sender.address.domain,
        "person": of.person(wanted),
        "lists": []
        if person is None
        else [
            {"list": name, "state": standing.word, "since": since}
            for name, (standing, since) in house.roster.since(person).items()
        ],
        "consents": [each.as_json() for each in consents],
        "suppression": of.suppression(wanted),
        "imports": of.imports(number) if number is not None else [],
        "changes": of.kept(number) if number is not None else [],
        "deliveries": of.deliveries(number) if number is not None else [],
        "bounces": of.bounces(wanted, number),
        "audit": of.audit(number) if number is not None else [],
    }
    return told, consents


def _legible(house: House, told: Mapping[str, Any], consents: list[Consent]) -> Iterator[str]:
    """The same for a person to read."""
    zone = house.config.time.zone
    yield f"Everything that {clean(told['by'])} keeps of {clean(told['address'])}, {moment(told['at'], zone)}"
    person = told["person"]
    for title, values in (
        ("Person", [] if person is None else [{**person, **person["fields"], "fields": ""}]),
        ("Lists", told["lists"]),
        ("Must not be mailed", [] if told["suppression"] is None else [told["suppression"]]),
    ):
        yield from _section(title, values, zone)
    if consents:
        yield from ("", "What they agreed to, or took back")
        yield from (f"  {line}" for line in record(consents, zone))
    for title, values in (
        ("Files they came with", told["imports"]),
        ("What files changed of them, kept until that cannot be undone any more", told["changes"]),
        ("Mail to them", told["deliveries"]),
        ("What came back", told["bounces"]),
        ("What was changed, and by whom", told["audit"]),
    ):
        yield from _section(title, values, zone)


def _section(title: str, values: list[dict[str, Any]], zone: str | None) -> Iterator[str]:
    if values:
        yield from ("", title)
    for value in values:
        yield from _lines(value, zone, "  - ")


def _lines(value: Mapping[str, Any], zone: str | None, lead: str) -> Iterator[str]:
    """A record as lines of name and value; what is empty is left out, a list of records stands below."""
    below = " " * len(lead)
    for name, each in value.items():
        if each in (None, "", [], {}):
            continue
        if isinstance(each, list):
            yield f"{lead}{clean(name)}:"
            for one in each:
                yield from _lines(one, zone, f"{below}  - ")
        else:
            words = moment(each, zone) if name in TIMES and isinstance(each, int) else _words(each)
            first, *rest = words.split("\n")
            yield f"{lead}{clean(name)}: {clean(first)}"
            yield from (f"{below}    {clean(line)}" for line in rest)
        lead = below


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return str(value)
