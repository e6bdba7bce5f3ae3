"""subscribers import: what a file would do is shown, asked, and only then done."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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
    interactive,
    json_option,
    out,
    say,
    warn,
    yes_option,
)
from broadcaster.errors import NotAllowed, SheetError

if TYPE_CHECKING:
    from broadcaster.advice import Adviser
    from broadcaster.charset import Text
    from broadcaster.intake import Figures, Intake
    from broadcaster.parcel import Part
    from broadcaster.reading import Asked, File

# more people than this, and more of a list than one in so many, leave it by no mistake
FEW, ONE_IN = 5, 4


@click.command("import", short_help="Put the people of a file on a list.")
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
@click.option("--sheet", default="", metavar="NAME", help="Which sheet of a workbook, or file of an archive.")
@click.option("--sync", is_flag=True, help="The file is the whole list: who is not in it leaves.")
@click.option(
    "--at-most", type=click.IntRange(min=0), metavar="N", help="With --sync: refuse it if more than N would leave."
)
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
    sheet: str,
    sync: bool,
    at_most: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Put the people of a file on a list: first what would change, then a question, then all of it or nothing.

    A row that cannot be used is told with its line and keeps nobody else out. An empty cell changes nothing.
    Nobody is brought back who left, complained, bounced, or was erased. `subscribers undo` takes an import back.

    FILE is CSV in any dialect, an XLSX workbook, JSON lines, any of them in gzip or zip, or an export of Mailchimp
    or listmonk: who left or bounced there stays away here. It may be - for standard input.

    \b
    Examples:
      broadcaster subscribers import members.csv --list news --dry-run
      broadcaster subscribers import members.xlsx --list news --consent "spring fair, 3 May 2026"
      broadcaster subscribers import members.csv --list members --sync
      broadcaster subscribers import audience_export.zip --list news
      broadcaster subscribers import old.csv --list news --encoding windows-1256 --map "Contact=email"

    \b
    Exit statuses: 0 imported (rows left out are told), 2 not confirmed, 65 the file cannot be read as people,
    no such list, or not one row can be used, 73 cannot write, 77 more would leave than is believable,
    78 configuration.
    """
    from broadcaster import intake, reading
    from broadcaster.cell import tidy_line
    from broadcaster.cli import difference
    from broadcaster.parcel import unpacked

    if at_most is not None and not sync:
        raise click.UsageError("--at-most is for --sync")
    tongue = language_tag(consent_language)
    into, folder = house.roster.list(to), house.workspace.database.parent
    asked = reading.Asked(encoding, _sign(delimiter), mapping, sheet, into.name)
    with (
        _about(file),
        _opened(file, folder) as stream,
        unpacked(stream, file.name, sheet) as parts,
        intake.opened(house.db, into, lambda: house.now, folder, house.erasure.veil, whole=sync) as job,
    ):
        found, adviser = _read(house, job, stream, parts, asked)
        figures, number = job.compare(), None
        if not as_json:
            difference.show(job, found, adviser, into.name)
        if figures.rows and figures.invalid == figures.rows:
            if as_json:
                difference.write(job, found, adviser, figures, None)
            raise SheetError("not one row can be used", hint="is the right column taken for the address? See --map")
        if not dry_run:
            _agree(job, into.name, consent, at_most, yes=yes)
            number, figures = job.apply(
                file=clean(file.name),
                digest=found.digest,
                who=house.who,
                consent=tidy_line(consent),
                language=tongue,
            )
        if as_json:
            difference.write(job, found, adviser, figures, number)
        elif number is not None:
            _done(figures, number)


def _read(house: House, job: Intake, stream: BinaryIO, parts: Sequence[Part], asked: Asked) -> tuple[File, Adviser]:
    """Take a file in as far as its rows wait to be compared, and look for slips in it."""
    from broadcaster import reading
    from broadcaster.advice import Adviser

    progress, adviser = Progress(), Adviser(house.db)
    found = reading.opened(
        stream, parts, asked, _asked, lambda size: progress.show(lambda: f"{size / 1e6:,.0f} MB looked at")
    )
    job.stage(found.rows(), lambda rows: progress.show(lambda: f"{rows:,} rows read"))
    progress.show(lambda: "comparing with who is known")
    job.compare()
    adviser.look(lambda rows: progress.show(lambda: f"{rows:,} new addresses looked at"))
    progress.done()
    return found, adviser


def _agree(job: Intake, name: str, consent: str, at_most: int | None, *, yes: bool) -> None:
    """Ask whether it shall be done. Raises Unanswered where it shall not, NotAllowed for what is not believable."""
    figures = job.compare()
    _believable(job, figures, name, at_most, yes=yes)
    # off a terminal --yes is needed always: a script must not depend on what is in the file
    if figures.moves or not interactive():
        ask(f"Import {count(figures.moves, 'person', 'people')} into {name!r}?", yes=yes)
    if figures.new and not consent:
        warn("nothing says how these people agreed", hint='next time: --consent "paper form, 3 May 2026"')


def _done(figures: Figures, number: int) -> None:
    """What was done, in one line."""
    parts = [f"{figures.new:,} new", f"{figures.changed:,} changed"]
    for value, words in ((figures.leaves + figures.removed, "gone from it"), (figures.barred, "suppressed")):
        if value:
            parts.append(f"{value:,} {words}")
    out(f"import {number}: {', '.join(parts)}")
    say(f"`broadcaster subscribers undo {number}` takes it back")


def _believable(job: Intake, figures: Figures, name: str, at_most: int | None, *, yes: bool) -> None:
    """Somebody has said that so many may leave. Raises NotAllowed where it is left to a script, Unanswered for no."""
    gone = figures.removed
    if at_most is not None and gone > at_most:
        raise NotAllowed(f"{gone:,} people would leave {name!r}, and --at-most {at_most} are allowed")
    if at_most is not None or gone <= FEW or gone * ONE_IN <= job.listed():
        return
    words = f"{gone:,} of the {job.listed():,} people on {name!r} are not in this file"
    if yes or not interactive():
        raise NotAllowed(f"{words}; nothing was done", hint=f"if it is the whole list, say so: --at-most {gone}")
    ask(f"{words}. Is it the whole list?", yes=False)


def _sign(delimiter: str | None) -> str:
    from broadcaster.delimited import DELIMITERS

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
