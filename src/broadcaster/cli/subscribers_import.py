"""subscribers import: what a file would do is shown, asked, and only then done."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from broadcaster.cli.house import House
from broadcaster.cli.people import language_tag, list_option, pair
from broadcaster.cli.say import (
    Progress,
    ask,
    choose,
    clean,
    count,
    dry_run_option,
    encoded,
    interactive,
    json_option,
    out,
    say,
    yes_option,
)
from broadcaster.errors import SheetError

if TYPE_CHECKING:
    from broadcaster.charset import Text
    from broadcaster.intake import Figures, Intake
    from broadcaster.sheet import Sheet

SHOWN = 10  # spoilt rows and changes listed for a person
COLUMNS = 24


@click.command("import", short_help="Put the people of a CSV file on a list.")
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True, readable=False, path_type=Path))
@list_option(required=True, help="The list they join.")
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="HEADING=FIELD",
    callback=pair,
    help="Which column is which field, where the heading does not say; an empty FIELD leaves it out.",
)
@click.option("--consent", default="", metavar="TEXT", help="How these people agreed, for the record.")
@click.option("--consent-language", metavar="LANGUAGE", help="The language in which that was put to them.")
@click.option("--encoding", metavar="ENCODING", help="Where it is not UTF-8 or UTF-16: windows-1252, windows-1256 …")
@click.option("--delimiter", metavar="SIGN", help="Where it cannot be told: comma, semicolon, tab, pipe or the sign.")
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def import_(
    house: House,
    file: Path,
    to: str,
    mapping: dict[str, str],
    consent: str,
    consent_language: str | None,
    encoding: str | None,
    delimiter: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put the people of a CSV file on a list: first what would change, then a question, then all of it or nothing.

    A row that cannot be used is told with its line and keeps nobody else out. An empty cell changes nothing.
    Nobody is brought back who left, complained, bounced, or was erased. FILE may be - for standard input.

    \b
    Examples:
      broadcaster subscribers import members.csv --list news --dry-run
      broadcaster subscribers import members.csv --list news --consent "spring fair, 3 May 2026"
      broadcaster subscribers import old.csv --list news --encoding windows-1256 --map "Contact=email"

    \b
    Exit statuses: 0 imported (rows left out are told), 2 not confirmed, 65 the file cannot be read as people,
    no such list, or not one row can be used, 73 cannot write, 78 configuration.
    """
    from broadcaster import intake
    from broadcaster.cell import tidy_line
    from broadcaster.charset import examine
    from broadcaster.sheet import Sheet

    tongue = language_tag(consent_language)
    into, folder = house.roster.list(to), house.workspace.database.parent
    sign = _sign(delimiter)
    taking = intake.opened(house.db, into, lambda: house.now, folder, house.erasure.veil)
    with _about(file), _opened(file, folder) as stream, taking as job:
        text = examine(stream, encoding)
        sheet = Sheet(stream, text.encoding or _asked(text), delimiter=sign, mapping=mapping)
        progress = Progress()
        job.stage(sheet, lambda rows: progress.show(lambda: f"{rows:,} rows read"))
        progress.done()
        figures, number = job.compare(), None
        if not as_json:
            _show(job, sheet, figures, into.name)
        if figures.rows and figures.invalid == figures.rows:
            if as_json:
                _json(job, sheet, figures, None)
            raise SheetError("not one row can be used", hint="is the right column taken for the address? See --map")
        # off a terminal --yes is needed always: a script must not depend on what is in the file
        if not dry_run and (figures.moves or not interactive()):
            ask(f"Import {count(figures.moves, 'person', 'people')} into {into.name!r}?", yes=yes)
        if not dry_run:
            number, figures = job.apply(
                file=clean(file.name),
                digest=text.digest,
                who=house.who,
                consent=tidy_line(consent),
                language=tongue,
            )
        if as_json:
            _json(job, sheet, figures, number)
        elif number is not None:
            out(f"import {number}: {figures.new:,} new, {figures.changed:,} changed")


def _sign(delimiter: str | None) -> str:
    from broadcaster.sheet import DELIMITERS

    if delimiter is None:
        return ""
    sign = DELIMITERS.get(delimiter.lower(), "\t" if delimiter == "\\t" else delimiter)
    if len(sign) != 1 or sign.isalnum() or sign in "\"\r\n\0 @'":
        raise click.BadParameter(
            f"{delimiter!r} is none: {', '.join(DELIMITERS)}, or one sign", param_hint="--delimiter"
        )
    return sign


@contextmanager
def _about(file: Path) -> Iterator[None]:
    """Errors of the file say which."""
    try:
        yield
    except SheetError as error:
        error.where = error.where or file.name or str(file)
        raise
    except UnicodeError as error:
        raise SheetError("cannot be read in this encoding", where=file.name) from error


@contextmanager
def _opened(file: Path, folder: Path) -> Iterator[BinaryIO]:
    """The file, or a nameless private copy of what comes through a pipe: it is read twice.

    Raises SheetError for what is missing, may not be read, or is no file: a device may never end.
    """
    with ExitStack() as stack:
        try:
            if str(file) == "-":
                stream = sys.stdin.buffer
            else:
                kind = file.stat().st_mode
                if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
                    raise SheetError("is a folder" if stat.S_ISDIR(kind) else "is no file")
                stream = stack.enter_context(file.open("rb"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "is no usable file name"
            raise SheetError(reason.lower(), hint="is the name right?") from None
        if not stream.seekable():
            copy = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            shutil.copyfileobj(stream, copy)
            copy.seek(0)
            stream = copy
        yield stream


def _asked(text: Text) -> str:
    """Ask which of the likely encodings reads right. Raises SheetError where nobody is there."""
    names = [each.encoding for each in text.readings]
    if not interactive():
        # not how they read: what a script says ends in a log, and this is somebody's name or address
        seen = ", ".join(f"{each.encoding} ({each.where})" for each in text.readings)
        raise SheetError(
            f"is neither UTF-8 nor UTF-16, so its letters are a guess: {seen}",
            hint=f"name the one that reads right: --encoding {names[0]}",
        )
    say("This file is neither UTF-8 nor UTF-16. Which of these reads right?")
    for each in text.readings:
        say(f"  {each.encoding:14} {each.where:24} {clean(each.words)}")
    return choose("Encoding", names)


def _show(job: Intake, sheet: Sheet, figures: Figures, name: str) -> None:
    """The difference that the file would make."""
    read = [f"{clean(c.header)} → {c.field}" for c in sheet.columns if c.field]
    more = f", … and {len(read) - COLUMNS} more" if len(read) > COLUMNS else ""
    say(f"columns: {', '.join(read[:COLUMNS])}{more}")
    for note in sheet.notes:
        say(f"note: {clean(note)}")
    out(count(figures.rows, "row"))
    for number, what in (
        (figures.new, f"new on {name!r}"),
        (figures.changed, "changed"),
        (figures.unchanged, "unchanged"),
        (figures.left_before, "left before, and stay away"),
        (figures.suppressed, "suppressed, and stay so"),
        (figures.erased, "erased before, and stay so"),
        (figures.duplicates, "the same person again, merged"),
        (figures.invalid, "cannot be used"),
    ):
        if number:
            out(f"  {number:>9,}  {what}")
    for change in job.changes(SHOWN):
        words = ", ".join(f"{field}: {old or '(none)'} → {new}" for field, (old, new) in change.fields.items())
        out(f"  ~ {clean(change.address)}  {clean(words)[:160]}")
    if figures.changed > SHOWN:
        out(f"  ~ … and {figures.changed - SHOWN:,} more")
    for shown, row in enumerate(job.invalid()):
        if shown == SHOWN:
            out(f"  ! … and {figures.invalid - SHOWN:,} more; --json lists them all")
            break
        out(f"  ! line {row.line:,}: {clean(row.reason)[:160]}")


def _json(job: Intake, sheet: Sheet, figures: Figures, number: int | None) -> None:
    """The outcome as one JSON object, of which a million invalid rows may be a part: written as it goes."""
    counted: dict[str, Any] = asdict(figures)
    del counted["invalid"]
    rest = {
        **counted,
        "import": number,
        "notes": list(sheet.notes),
        "columns": {c.header: c.field for c in sheet.columns if c.field},
    }
    stdout = sys.stdout
    stdout.write(encoded(rest)[:-1] + ', "invalid": [')
    for place, row in enumerate(job.invalid()):
        told = {"line": row.line, "reason": row.reason, "text": row.text}
        stdout.write((", " if place else "") + encoded(told))
    stdout.write("]}\n")
