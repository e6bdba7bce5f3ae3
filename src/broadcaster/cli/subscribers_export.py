"""subscribers export: people as a file that can be imported again, and that no spreadsheet reckons with."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import click

from broadcaster.cli.house import House
from broadcaster.cli.people import PAGE, list_option, pages, where_option
from broadcaster.cli.say import Progress, clean, count, encoded, json_option, say

if TYPE_CHECKING:
    from broadcaster.conditions import Condition
    from broadcaster.subscriber import MailingList, Subscriber

FORMATS = ("csv", "jsonl", "xlsx")
ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xlsx": "xlsx"}
# endings that would promise something else than what is in the file
OTHERS = (".json", ".ods", ".xls", ".xlsm", ".zip")
PACKED = ".gz"


@click.command("export", short_help="Write people as CSV, JSON lines or a spreadsheet.")
@list_option(help="Only who is on LIST; otherwise everybody who is on any.")
@where_option
@click.option(
    "-o",
    "output",
    metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="A new file, for your eyes only; - is standard output.",
)
@click.option(
    "--format",
    "wanted",
    type=click.Choice(FORMATS),
    help="Otherwise what FILE ends in says it: .csv, .jsonl or .xlsx, and .gz after the first two; else csv.",
)
@json_option
@click.pass_obj
def export(house: House, of: str | None, where: str, output: Path | None, wanted: str | None, as_json: bool) -> None:
    """Write the people who would be mailed: who left or is suppressed is not among them.

    What is written can be imported again, and is the same then. People choose their own names: a cell of CSV that a
    spreadsheet would take for a formula (=, +, -, @ …) begins with an apostrophe, which import takes away. In XLSX
    every cell is text. The audit log keeps who exported how many.

    \b
    Examples:
      broadcaster subscribers export --list news -o news.csv
      broadcaster subscribers export --where "city = Basra and language is ar" -o basra.xlsx
      broadcaster subscribers export --json | jq .address

    \b
    Exit statuses: 0 written, 2 wrong usage, 65 no such list, a filter that cannot be read, or too much for a
    spreadsheet, 73 FILE is there already or cannot be written, 78 configuration.
    """
    if as_json and wanted not in (None, "jsonl"):
        raise click.UsageError(f"--json or --format {wanted}: take one of them")
    file = None if output is None or str(output) == "-" else output
    form = "jsonl" if as_json else wanted or (_promised(file.name) if file else "csv")
    if form == "xlsx" and (file is None or file.name.lower().endswith(PACKED)):
        raise click.UsageError("a spreadsheet needs a file, and is packed already: -o FILE.xlsx")
    to = house.roster.list(of) if of else None
    order = _Order(form, to, house.condition(where, [to.id] if to else ()))
    if file is not None:
        number = _into(house, file, order)
        say(f"{count(number, 'person', 'people')} written to {clean(file)}")
        return
    # what the reader of a pipe has taken they have, also where they go in the middle
    with _noted(house, order, in_part=True) as people:
        for text in _text(house, form, people):
            sys.stdout.write(text)


class _Order(NamedTuple):
    """Who is to be written, and how."""

    form: str
    to: MailingList | None
    where: Condition


def _promised(name: str) -> str:
    """The format that the name of a file promises. Raises a usage error for what we do not write."""
    ending = PurePath(name.lower().removesuffix(PACKED)).suffix
    if ending in OTHERS:
        raise click.BadParameter(f"{ending} is none of what we write: --format says which", param_hint="-o")
    return ENDINGS.get(ending, "csv")


def _into(house: House, path: Path, order: _Order) -> int:
    """A new file; how many people are in it. Raises CannotWrite for what is there already."""
    from broadcaster.custody import private_file

    # the log has its line before the file has its name
    with private_file(path) as file, _noted(house, order) as people:
        if order.form == "xlsx":
            from broadcaster import spreadsheet

            heading, rows = _rows(house, people)
            spreadsheet.write(heading, rows, file)
        else:
            with _packed(file) if path.name.lower().endswith(PACKED) else nullcontext(file) as stream:
                if order.form == "csv":
                    # the mark that tells Excel it is UTF-8
                    stream.write(BOM_UTF8)
                for text in _text(house, order.form, people):
                    stream.write(text.encode())
    return people.number


def _packed(file: BinaryIO) -> BinaryIO:
    """The same through gzip, which is told neither a name nor a time."""
    from gzip import GzipFile

    return cast("BinaryIO", GzipFile("", "wb", 6, file, mtime=0))


def _text(house: House, form: str, people: Iterable[Subscriber]) -> Iterator[str]:
    """People as JSON lines or CSV, piece by piece."""
    if form == "jsonl":
        return (encoded(each) + "\n" for each in pages(house.roster, people))
    from broadcaster.formula import as_csv

    heading, rows = _rows(house, people)
    return as_csv(chain([heading], rows))


def _rows(house: House, people: Iterable[Subscriber]) -> tuple[Sequence[str], Iterator[Sequence[str]]]:
    """A heading, and a row for each person."""
    from broadcaster.heading import OWN

    custom = sorted(house.roster.fields())
    return [*OWN, *custom], (
        [address, name, language, timezone, *[fields.get(each, "") for each in custom]]
        for _, address, name, language, timezone, fields in people
    )


class _Counted:
    """People on their way out; `number` have gone."""

    def __init__(self, people: Iterable[Subscriber], progress: Progress) -> None:
        self.number = 0
        self._people = people
        self._progress = progress

    def __iter__(self) -> Iterator[Subscriber]:
        for each in self._people:
            yield each
            self.number += 1
            if self.number % PAGE == 0:
                self._progress.show(lambda: f"{self.number:,} people written")


@contextmanager
def _noted(house: House, order: _Order, *, in_part: bool = False) -> Iterator[_Counted]:
    """The people to write, and a line in the audit log of how many they were; of a part of them where that counts."""
    members, progress = house.roster.members(order.to, order.where), Progress()
    people = _Counted(members, progress)
    done = in_part
    try:
        yield people
        done = True
    finally:
        progress.done()
        # who still reads cannot become a writer where another has written meanwhile
        members.close()
        if done:
            from broadcaster.conditions import EVERYBODY

            with house.db.atomic(durable=True):
                house.db.note(
                    "subscriber export",
                    house.now,
                    on=order.to.id if order.to else None,
                    number=people.number,
                    format=order.form,
                    filtered=order.where != EVERYBODY,
                )
