"""subscribers imports, subscribers undo: what came with which file, and how it goes again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.house import House
from broadcaster.cli.people import list_option, stream
from broadcaster.cli.say import (
    ask,
    clean,
    count,
    dry_run_option,
    dump,
    interactive,
    json_option,
    moment,
    out,
    say,
    table,
    yes_option,
)

if TYPE_CHECKING:
    from broadcaster.undoing import Import, Undone

SHOWN = 10


@click.command("imports", short_help="List the files that were imported.")
@list_option(help="Only those into LIST.")
@json_option
@click.pass_obj
def imports(house: House, of: str | None, as_json: bool) -> None:
    """List the files that were imported, the last first: their number is what `subscribers undo` takes.

    \b
    Examples:
      broadcaster subscribers imports --list news

    \b
    Exit statuses: 0 told, 65 no such list, 78 configuration.
    """
    from broadcaster.undoing import Undoing

    found = Undoing(house.db, lambda: house.now).imports(house.roster.list(of).id if of else None)
    if as_json:
        stream(_plain(each) for each in found)
        return
    zone = house.config.time.zone
    rows = [
        (
            str(each.number),
            each.list,
            each.file,
            moment(each.at, zone),
            each.who,
            _words(each) + (f" (undone {moment(each.undone, zone)})" if each.undone else ""),
        )
        for each in found
    ]
    table(["import", "list", "file", "when", "who", "what it did"], rows)
    if not rows:
        say("nothing was imported yet")


@click.command("undo", short_help="Take an import back.")
@click.argument("number", metavar="IMPORT", type=int)
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def undo(house: House, number: int, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take an import back: what it changed, and nothing that was done since.

    Whoever it brought is deleted; those of whom there is more (they were edited, are on another list, left, or stand
    in a mailing) stay, off the list. Who was known before gets back what the file changed, unless it was changed again.
    Who left the list with --sync is on it again. The number is in `subscribers imports`. It can be done for 90 days.

    \b
    Examples:
      broadcaster subscribers undo 3 --dry-run
      broadcaster subscribers undo 3

    \b
    Exit statuses: 0 undone, 2 not confirmed, 65 no such import, 73 cannot write, 77 it is undone already or too old,
    78 configuration.
    """
    from broadcaster import undoing

    with undoing.opened(house.db, lambda: house.now) as job:
        of = job.known(number)
        done = job.plan(of)
        if not as_json:
            zone = house.config.time.zone
            say(f"import {of.number}: {clean(of.file)} into {of.list!r}, {moment(of.at, zone)} by {clean(of.who)}")
            _show(done, list(job.names(SHOWN)), of)
        if not dry_run:
            if done.moves or not interactive():
                ask(f"Undo import {number}?", yes=yes)
            done = job.undo(of)
    if as_json:
        dump({"import": number, **asdict(done)})
    elif not dry_run:
        out(f"import {number} is undone")


def _show(done: Undone, names: list[str], of: Import) -> None:
    """What it takes to undo an import."""
    for number, what in (
        (done.deleted, "came with it, and are deleted"),
        (done.taken_off, f"came with it, and leave {of.list!r}: something was done with them since"),
        (done.restored, "were known before, and are as they were"),
        (done.lifted, "are not suppressed any more"),
        (done.kept, "keep something that was done since"),
    ):
        if number:
            out(f"  {number:>9,}  {what}")
    for address in names:
        out(f"  - {clean(address)}")
    if done.deleted + done.taken_off > len(names):
        out(f"  - … and {done.deleted + done.taken_off - len(names):,} more")
    if not done.moves:
        out("  nothing of it is left to undo")


def _words(of: Import) -> str:
    figures = of.figures
    parts = [f"{figures.get('new', 0):,} new", f"{figures.get('changed', 0):,} changed"]
    if gone := figures.get("leaves", 0) + figures.get("removed", 0):
        parts.append(f"{gone:,} gone")
    if barred := figures.get("barred", 0):
        parts.append(f"{barred:,} suppressed")
    return f"{', '.join(parts)} of {count(figures.get('rows', 0), 'row')}"


def _plain(of: Import) -> dict[str, Any]:
    return {"import": of.number, **{name: value for name, value in asdict(of).items() if name != "number"}}
