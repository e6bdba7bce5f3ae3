"""How we speak to a person: data to standard output, talk to standard error, nothing foreign unescaped."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from broadcaster.errors import Unanswered

# of the states of a mailing
COLOURS = {"sending": "green", "paused": "yellow", "held": "yellow", "cancelled": "red", "finished": "blue"}

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask: for scripts and cron.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would happen.")


def clean(text: object) -> str:
    """Foreign text made safe for a terminal and a log: control, bidi and unassigned characters are shown as escapes.

    Names, replies and subjects come from outside: an escape sequence in one would rewrite the screen.
    """
    words = str(text)
    if words.isascii() and words.isprintable():
        return words
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode("ascii") for c in words)


def _harmless(character: str) -> bool:
    category = unicodedata.category(character)
    # zero-width joiners shape Persian and emoji; the other format characters (Cf) reorder or hide text
    return (category[0] != "C" and category not in ("Zl", "Zp")) or character in ("\u200c", "\u200d")


def encoded(value: object) -> str:
    """As JSON that is harmless on a terminal, too: readable, but with every such character as its number."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    # they can only stand in strings, where the number means the same
    return "".join(c if _harmless(c) else json.dumps(c)[1:-1] for c in text)


def out(text: str = "") -> None:
    """One line of data."""
    click.echo(text)


def say(text: str = "", *, nl: bool = True) -> None:
    """One line of talk. Where nobody listens any more, work goes on, and ends with the status that it has."""
    try:
        click.echo(text, nl=nl, err=True)
    except OSError:
        # a terminal that was closed, a pipe that nobody reads: what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def warn(text: str, hint: str | None = None) -> None:
    """Something to know that stops nothing."""
    say(f"{style('warning', fg='yellow', err=True)}: {text}")
    if hint:
        say(f"  hint: {hint}")


def dump(value: object) -> None:
    """One JSON value on standard output."""
    click.echo(encoded(value))


def style(text: str, *, err: bool = False, **how: Any) -> str:
    """Colour, on a terminal only (NO_COLOR is obeyed)."""
    stream = sys.stderr if err else sys.stdout
    return click.style(text, **how) if stream.isatty() and not os.environ.get("NO_COLOR") else text


def width(text: str) -> int:
    """How many columns a terminal needs for the text (East Asian wide is two, combining marks none)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def clip(text: str, columns: int) -> str:
    """Cleaned text that needs no more than so many columns; what was cut off is shown by an ellipsis."""
    text = clean(text)
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def pointed(text: str, place: int, columns: int = 72) -> tuple[str, str]:
    """The part of a text around a place (characters, from 0), and a line with a mark under it."""
    start = max(0, place - columns // 2)
    before = ("…" if start else "") + clean(text[start:place])
    return clip(before + clean(text[place : place + columns]), columns + width(before)), " " * width(before) + "^"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns on standard output; numbers to the right; cells cleaned. Nothing at all without rows."""
    cells = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    if not cells:
        return
    lines = [list(columns), *cells]
    widths = [max(width(line[i]) for line in lines) for i in range(len(columns))]
    numeric = [all(line[i].replace(",", "").isdigit() or not line[i] for line in cells) for i in range(len(columns))]
    for number, line in enumerate(lines):
        padded = [
            " " * (widths[i] - width(cell)) + cell if numeric[i] else cell + " " * (widths[i] - width(cell))
            for i, cell in enumerate(line)
        ]
        text = "  ".join(padded).rstrip()
        out(style(text, bold=True) if number == 0 else text)


def number(value: int) -> str:
    """1234567 → 1,234,567."""
    return f"{value:,}"


def count(value: int, one: str, many: str | None = None) -> str:
    """ "1 person", "1,204 people"."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def span(seconds: float) -> str:
    """A duration in a person's words, two units at the most: "42 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"."""
    whole = max(0, round(seconds))
    for size, big, next_size, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def moment(at: int, zone: str | None = None) -> str:
    """A point in time (epoch seconds) as wall time in a zone, the machine's by default."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    when = datetime.fromtimestamp(at, UTC)
    return when.astimezone(ZoneInfo(zone) if zone else None).strftime("%Y-%m-%d %H:%M")


def interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, *, yes: bool) -> None:
    """Go on only with a yes.

    Raises Unanswered (2) when the answer is no, or when there is nobody to ask and no --yes.
    """
    if yes:
        return
    if not interactive():
        raise Unanswered(f"{question} Nobody is here to answer, so nothing was done", hint="add --yes")
    if not click.confirm(question, err=True):
        raise Unanswered("nothing was done")


def choose(question: str, options: Sequence[str]) -> str:
    """One of a few, on a terminal. Raises Unanswered elsewhere."""
    if not interactive():
        raise Unanswered(question)
    answer: str = click.prompt(question, type=click.Choice(list(options)), err=True)
    return answer


class Progress:
    """How far a job is: one line that is redrawn on a terminal, a line every `every` seconds elsewhere."""

    def __init__(self, *, every: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._terminal = sys.stderr.isatty()
        self._every = 0.1 if self._terminal else every
        self._next = 0.0 if self._terminal else clock() + every
        self._drawn = False

    def show(self, line: Callable[[], str], *, last: bool = False) -> None:
        """Draw the line when its time has come; `line` is called only then."""
        now = self._clock()
        if now < self._next and not last:
            return
        self._next = now + self._every
        if self._terminal:
            say("\r\x1b[2K" + line()[: columns() - 1], nl=False)
            self._drawn = True
        elif not last:
            say(line())

    def done(self) -> None:
        """Leave the line: what follows starts on a fresh one."""
        if self._drawn:
            say("\r\x1b[2K", nl=False)
            self._drawn = False


def bar(part: float, columns: int = 24) -> str:
    """A bar of the given width, `part` between 0 and 1."""
    full = min(columns, max(0, round(part * columns)))
    return "█" * full + "░" * (columns - full)


def columns() -> int:
    """How wide the terminal is."""
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


def counts(by_state: Mapping[str, int]) -> str:
    """ "accepted 12, deferred 3": what is not zero, in the order given."""
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in by_state.items() if value) or "nothing"
