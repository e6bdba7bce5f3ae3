"""report: what came of a mailing, in figures and pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House
from broadcaster.cli.say import clean, columns, dry_run_option, dump, json_option, out, say

if TYPE_CHECKING:
    from broadcaster.report import Report

# where templates/ has the words of reports
WORDS = "report/"
HEADING = ("section", "key", "value")


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings)
@click.option(
    "-o",
    "file",
    metavar="FILE.html",
    type=click.Path(readable=False, path_type=Path),
    help="One page with pictures, for a browser or a printer. A new file, which only you can read.",
)
@click.option("--csv", "as_csv", is_flag=True, help="CSV on standard output: section, key, value.")
@dry_run_option
@json_option
@click.pass_obj
def report(house: House, mailing: int, file: Path | None, as_csv: bool, dry_run: bool, as_json: bool) -> None:
    """Tell what came of MAILING, in figures and pictures.

    By language and domain, over time, by reason; what came back, complaints against the lines that providers draw,
    pace against limits, and earlier mailings beside it. There are no addresses in it, and a domain only where several
    people share it. The page is in the default language as far as it is translated. `docs/report.md` tells what each
    figure means and what it does not.

    \b
    Examples:
      broadcaster report 12
      broadcaster report 12 -o june.html
      broadcaster report 12 --json
      broadcaster report 12 --csv > june.csv

    \b
    Exit statuses: 0 told, 2 wrong usage, 65 no such mailing, 73 FILE is there already or cannot be written, 78
    configuration.
    """
    if as_csv and as_json:
        raise click.UsageError("--json or --csv: take one of them")
    made = made_of(house, mailing)
    if file is not None:
        _write(house, made, file, dry_run=dry_run)
    if as_json:
        dump(made.figures())
    elif as_csv:
        _csv(made)
    elif file is None:
        _shown(house, made)


def made_of(house: House, mailing: int) -> Report:
    """The report of a mailing. Raises NotFound."""
    from broadcaster.cli.report_speech import local
    from broadcaster.counting import Counting
    from broadcaster.reporting import report as counted

    names = {each.id: each.name for each in house.roster.lists()}

    def named(ids: Sequence[int]) -> list[str]:
        return [names[each] for each in ids if each in names]

    limits = {relay.name: relay.limits for relay in house.config.relays}
    place = local(house.config.time.zone)
    return counted(mailing, house.ledger, Counting(house.db), house.bounces, limits, named, house.now, place)


def _shown(house: House, made: Report) -> None:
    from broadcaster.cli.report_screen import Screen
    from broadcaster.cli.report_speech import Speech

    screen = Screen(columns(), drawn=sys.stdout.isatty())
    for line in screen.lines(made, Speech(house.config.time.zone)):
        out(line)


def _csv(made: Report) -> None:
    from broadcaster.formula import as_csv
    from broadcaster.report import flat

    for text in as_csv([HEADING, *flat(made.figures())], end="\n"):
        sys.stdout.write(text)


def _write(house: House, made: Report, file: Path, *, dry_run: bool) -> None:
    """The page into a new file. Raises CannotWrite where there is one."""
    text = written(house, made)
    if dry_run:
        say(f"would write {clean(file)}")
        return
    from broadcaster.custody import private_file

    with private_file(file) as stream:
        stream.write(text.encode())
    say(f"{clean(file)} is written")


def written(house: House, made: Report) -> str:
    """The page, in the default language of the workspace."""
    from broadcaster import catalogue, language
    from broadcaster.cli.report_page import PageSpeech, page
    from broadcaster.cli.report_speech import local

    config = house.config
    tag = config.languages.default
    layouts = house.workspace.layouts()
    there = {name.removeprefix(WORDS).removesuffix(".po"): name for name in layouts if name.startswith(WORDS)}
    chosen = language.choose(tag, there, "")
    words = catalogue.read(layouts[there[chosen]], there[chosen], chosen) if chosen else catalogue.Catalogue()
    return page(
        made, PageSpeech(config.time.zone, tag, local(config.time.zone), words), config.sender.name.into(tag, tag)
    )
