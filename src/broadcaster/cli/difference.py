"""What a file of people would change, shown to a person or written as JSON, before and after it is done."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from broadcaster.cli.say import clean, count, encoded, out, say, warn

if TYPE_CHECKING:
    from broadcaster.advice import Adviser
    from broadcaster.intake import Figures, Intake
    from broadcaster.reading import File

SHOWN = 10  # of each kind of row, for a person
COLUMNS = 24


def show(job: Intake, file: File, adviser: Adviser, name: str) -> None:
    """The difference that the file would make, for a person."""
    figures = job.compare()
    for label, sheet in file.sheets:
        read = [f"{clean(c.header)} → {c.field}" for c in sheet.columns if c.field]
        more = f", … and {len(read) - COLUMNS} more" if len(read) > COLUMNS else ""
        of = f" of {clean(label)}" if len(file.sheets) > 1 else ""
        say(f"columns{of}: {', '.join(read[:COLUMNS])}{more}")
    for note in _notes(file):
        say(f"note: {clean(note)}")
    out(count(figures.rows, "row"))
    for number, what in (
        (figures.new, f"new on {name!r}"),
        (figures.changed, "changed"),
        (figures.unchanged, "unchanged"),
        (figures.left_before, "left before, and stay away"),
        (figures.suppressed, "suppressed, and stay so"),
        (figures.erased, "erased before, and stay so"),
        (figures.leaves, f"left there, and leave {name!r}"),
        (figures.barred, "must not be written to any more, as is told there"),
        (figures.duplicates, "the same person again, merged"),
        (figures.invalid, "cannot be used"),
    ):
        if number:
            out(f"  {number:>9,}  {what}")
    for change in job.changes(SHOWN):
        words = ", ".join(f"{field}: {old or '(none)'} → {new}" for field, (old, new) in change.fields.items())
        out(f"  ~ {clean(change.address)}  {clean(words)[:160]}")
    _more("~", figures.changed)
    for shown, row in enumerate(job.invalid()):
        if shown == SHOWN:
            break
        out(f"  ! line {row.line:,}: {clean(row.reason)[:160]}")
    _more("!", figures.invalid)
    for kind in adviser.kinds:
        if number := adviser.number(kind):
            out(f"  {number:>9,}  new ones {kind.words}")
            for each in adviser.of(kind, SHOWN):
                other = f" ~ {clean(each.other)}" if each.other else ""
                out(f"  ? line {each.line:,}: {clean(each.address)}{other}, {each.why}")
            _more("?", number)
    _leaving(job, figures, name)


def _more(sign: str, number: int) -> None:
    if number > SHOWN:
        out(f"  {sign} … and {number - SHOWN:,} more; --json lists them all")


def _leaving(job: Intake, figures: Figures, name: str) -> None:
    """Who is on the list and not in the file."""
    if not figures.removed:
        return
    out(f"{count(figures.removed, 'person', 'people')} of {job.listed():,} on {name!r} not in the file, and leave it")
    for shown, address in enumerate(job.missing()):
        if shown == SHOWN:
            break
        out(f"  - {clean(address)}")
    _more("-", figures.removed)
    if figures.invalid:
        warn(f"{count(figures.invalid, 'row')} cannot be used: who is in them may be among those who leave")


def write(job: Intake, file: File, adviser: Adviser, figures: Figures, number: int | None) -> None:
    """The same as one JSON object, of which a million rows may be a part: written as it goes."""
    counted: dict[str, Any] = asdict(figures)
    del counted["invalid"]
    rest = {
        **counted,
        "import": number,
        "notes": list(_notes(file)),
        "columns": {c.header: c.field for _, sheet in file.sheets for c in sheet.columns if c.field},
    }
    sys.stdout.write(encoded(rest)[:-1])
    # once it is done, nobody differs from the file any more
    changes = job.changes() if number is None else job.changed(number)
    _array("changes", ({"address": each.address, "fields": dict(each.fields)} for each in changes))
    _array("leaving", job.missing())
    for kind in adviser.kinds:
        _array(kind.name.lower(), (each._asdict() for each in adviser.of(kind)))
    _array("invalid", ({"line": row.line, "reason": row.reason, "text": row.text} for row in job.invalid()))
    sys.stdout.write("}\n")


def _array(key: str, values: Iterable[object]) -> None:
    sys.stdout.write(f', "{key}": [')
    for place, value in enumerate(values):
        sys.stdout.write((", " if place else "") + encoded(value))
    sys.stdout.write("]")


def _notes(file: File) -> Iterator[str]:
    yield from file.notes
    for _, sheet in file.sheets:
        yield from sheet.notes
