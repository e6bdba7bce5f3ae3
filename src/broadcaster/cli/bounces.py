"""bounces: the bounce log."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House
from broadcaster.cli.people import stream
from broadcaster.cli.say import clip, json_option, moment, say, table

if TYPE_CHECKING:
    from broadcaster.bounces import Wanted

COLUMNS = ("at", "recipient", "mailing", "kind", "action", "status", "reason", "effect", "address", "words", "source")
# of the words of the other side, on a terminal
WORDS = 60


@click.command()
@click.option("--mailing", type=int, metavar="M", shell_complete=complete.mailings, help="Only of this mailing.")
@click.option("--since", metavar="D", help="Only since then: 3d, 12h, or a date like 2026-05-04.")
@click.option("--domain", metavar="DOMAIN", help="Only addresses there.")
@click.option("--kind", metavar="KIND", help="hard, soft, complaint, unsubscribe, auto_reply, other or unknown.")
@click.option("--reason", metavar="REASON", help="Only for this reason: full, blocklist …")
@click.option("--effect", metavar="EFFECT", help="Only what we did: suppressed, left, counted, warned, advice …")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on standard output.")
@json_option
@click.pass_obj
def bounces(
    house: House,
    mailing: int | None,
    since: str | None,
    domain: str | None,
    kind: str | None,
    reason: str | None,
    effect: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show what came back, the newest first: of whom, why, in whose words, and what we did.

    `suppressed`: not mailed any more; `left`: off the list of that copy; `counted`: towards being suppressed;
    `warned`: it is about us, and staff must mend something; `repeated`: a second report of one copy; `held`: most of
    its mailing came back as dead, which staff must believe first; `advice`: tied to no copy of ours, so that nobody was
    changed; `noted`: nothing follows from it.

    \b
    Examples:
      broadcaster bounces --mailing 12
      broadcaster bounces --since 7d --kind hard
      broadcaster bounces --effect advice
      broadcaster bounces --domain example.org --csv > bounces.csv

    \b
    Exit statuses: 0 told, 2 wrong usage, 65 no such mailing, 78 configuration.
    """
    if as_csv and as_json:
        raise click.UsageError("--json or --csv: take one of them")
    if mailing is not None and house.ledger.mailing(mailing).forgotten is not None:
        say(f"whose mail of mailing {mailing} came back is forgotten: why, and how often, is kept")
    wanted = _wanted(house, mailing, since, domain, kind, reason, effect)
    rows = house.bounces.log(wanted)
    if as_json:
        stream({name: row[name] if row[name] != "" else None for name in COLUMNS} for row in rows)
    elif as_csv:
        _csv(house, rows)
    else:
        _table(house, rows)


def _wanted(
    house: House,
    mailing: int | None,
    since: str | None,
    domain: str | None,
    kind: str | None,
    reason: str | None,
    effect: str | None,
) -> Wanted:
    from broadcaster.bounces import Wanted
    from broadcaster.effect import Effect
    from broadcaster.reasons import REASONS
    from broadcaster.returns import Kind

    return Wanted(
        mailing=mailing,
        since=beginning(house, since) if since else 0,
        domain=_domain(domain) if domain else "",
        kind=_one("--kind", kind, [str(each) for each in Kind]),
        reason=_one("--reason", reason, list(REASONS)),
        effect=_one("--effect", effect, [str(each) for each in Effect]),
    )


def _one(option: str, given: str | None, allowed: list[str]) -> str:
    found = (given or "").strip().lower().replace(" ", "_").replace("-", "_")
    if found and found not in allowed:
        raise click.BadParameter(f"{given!r} is none of {', '.join(allowed)}", param_hint=option)
    return found


def _domain(text: str) -> str:
    from broadcaster.address import Address
    from broadcaster.errors import AddressError

    try:
        return Address.parse(f"x@{text.lstrip('@')}").domain
    except AddressError:
        raise click.BadParameter(f"{text!r} is no domain", param_hint="--domain") from None


def beginning(house: House, text: str) -> int:
    """What --since means: a duration back from now, or a date, as epoch seconds."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from broadcaster.settings import duration

    try:
        return house.now - duration(text)
    except ValueError:
        pass
    zone = house.config.time.zone
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: write it like 3d, 12h or 2026-05-04", param_hint="--since"
        ) from None
    try:
        return int((when if when.tzinfo else when.replace(tzinfo=ZoneInfo(zone) if zone else None)).timestamp())
    except (ValueError, OverflowError):
        return 0  # before there were seconds to count


def _table(house: House, rows: Iterator[dict[str, Any]]) -> None:
    zone = house.config.time.zone
    found = [
        (
            moment(row["at"], zone),
            clip(whom(row), 80),
            row["mailing"] or "",
            row["kind"].replace("_", " "),
            row["status"],
            row["reason"].replace("_", " "),
            row["effect"],
            clip(row["words"], WORDS),
        )
        for row in rows
    ]
    table(["when", "recipient", "mailing", "kind", "status", "reason", "done", "words"], found)
    if not found:
        say("nothing came back")


def whom(row: dict[str, Any]) -> str:
    """Whom a report names; and whose copy it was of, where that is somebody else: to them was done what was done."""
    named, ours = str(row["recipient"]), row["address"]
    return f"{ours} (as {named})" if ours and ours != named.lower() else named


def _csv(house: House, rows: Iterator[dict[str, Any]]) -> None:
    """For a spreadsheet: others wrote much of it, and none of that may be taken for a formula."""
    from broadcaster.formula import as_csv

    zone = house.config.time.zone
    cells = (
        [moment(row["at"], zone), *("" if row[name] is None else str(row[name]) for name in COLUMNS[1:])]
        for row in rows
    )
    for text in as_csv(chain([COLUMNS], cells), end="\n"):
        sys.stdout.write(text)
