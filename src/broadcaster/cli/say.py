"""How we speak to a person: data to standard output, talk to standard error, nothing foreign unescaped."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Final, NamedTuple, TextIO, TypeVar

import click

from broadcaster.errors import Unanswered

# of the states of a mailing, and of a delivery
COLOURS: Final[Mapping[str, str]] = {
    "scheduled": "cyan",
    "sending": "green",
    "paused": "yellow",
    "held": "yellow",
    "finished": "blue",
    "cancelled": "red",
    "accepted": "green",
    "deferred": "yellow",
    "in_doubt": "yellow",
    "rejected": "red",
    "bounced": "red",
    "skipped": "red",
    "expired": "red",
}
# what is no further away is told by how long it takes (seconds)
SOON: Final = 6 * 3600
# rows of a table that are aligned together
PAGE: Final = 500
# columns of a terminal that a cell is left, however narrow it is
LEAST: Final = 8
# and what should be left of it
READABLE: Final = 16
# after letters that run from right to left, so that what follows does not run along (UAX #9)
_MARK: Final = "\u200e"

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
    """Colour, on a terminal that has any (NO_COLOR is obeyed)."""
    return click.style(text, **how) if lively(sys.stderr if err else sys.stdout) and not _plain() else text


def lively(stream: TextIO) -> bool:
    """Whether that is a terminal which can be drawn on."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _plain() -> bool:
    return bool(os.environ.get("NO_COLOR"))


def width(text: str) -> int:
    """How many columns a terminal needs for the text: East Asian wide is two, marks and what joins letters none."""
    return len(text) if text.isascii() else sum(_wide(before, each) for before, each in pairwise(f" {text}"))


def _wide(before: str, character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or character in _JAMO:
        return 0
    if unicodedata.east_asian_width(character) not in "WF":
        return 1
    # a family is one picture
    return 0 if before == "\u200d" else 2


# vowels and finals of Hangul that is written in parts: they stand in the syllable's square
_JAMO: Final = frozenset(map(chr, (*range(0x1160, 0x1200), *range(0xD7B0, 0xD7FC))))


def clip(text: str, columns: int) -> str:
    """Cleaned text that needs no more than so many columns; what was cut off is shown by an ellipsis."""
    text = clean(text)
    if width(text) <= columns:
        return text
    room = columns - 1
    for place, (before, character) in enumerate(pairwise(f" {text}")):
        room -= _wide(before, character)
        if room < 0:
            return text[:place] + "…"
    return text


def pointed(text: str, place: int, columns: int = 72) -> tuple[str, str]:
    """The part of a text around a place (characters, from 0), and a line with a mark under it."""
    start = max(0, place - columns // 2)
    before = ("…" if start else "") + clean(text[start:place])
    return clip(before + clean(text[place : place + columns]), columns + width(before)), " " * width(before) + "^"


class Tint(NamedTuple):
    """A cell of a table with a colour; None for none."""

    text: object
    colour: str | None


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    keep: Sequence[str] = (),
    spare: Sequence[str] = (),
    loose: Sequence[str] = (),
) -> None:
    """Aligned columns on standard output; numbers to the right; cells cleaned. Nothing at all without rows.

    A terminal's width is kept: columns in `loose` are left out where there is no room, then the widest are cut, those
    in `keep` last. A column in `spare` is left out where nothing is in it. Rows are taken a page at a time: a million
    of them cost no memory.
    """
    rest = iter(rows)
    drawn: _Drawn | None = None
    while page := list(islice(rest, PAGE)):
        cells = [[_cell(cell) for cell in row] for row in page]
        if drawn is None:
            empty = {i for i, name in enumerate(columns) if name in spare and not any(line[i][0] for line in cells)}
            used = [i for i in range(len(columns)) if i not in empty or len(page) == PAGE]
            drawn = _Drawn(columns, used, keep, loose)
            drawn.fit(cells)
            out(style(drawn.line([(name, None) for name in columns]), bold=True))
        else:
            drawn.fit(cells)
        for line in cells:
            out(drawn.line(line))


_Cell = tuple[str, str | None]


def _cell(value: object) -> _Cell:
    text, colour = value if isinstance(value, Tint) else (value, None)
    return ("" if text is None else clean(text)), colour


class _Drawn:
    """The columns of a table: which are used, how wide they are, and which hold numbers."""

    def __init__(self, names: Sequence[str], used: Sequence[int], keep: Sequence[str], loose: Sequence[str]) -> None:
        self._used = list(used)
        self._keep = {i for i in used if names[i] in keep}
        self._loose = [i for i in used if names[i] in loose]
        self._natural = {i: width(names[i]) for i in used}
        self._widths = dict(self._natural)
        self._numeric: set[int] | None = None

    def fit(self, lines: Sequence[Sequence[_Cell]]) -> None:
        """Make room for some more rows; the first ones tell what is a number, and what there is no room for."""
        for i in self._used:
            self._natural[i] = max(self._natural[i], *(width(line[i][0]) for line in lines))
        if self._numeric is None:
            self._numeric = {i for i in self._used if all(_numeric(line[i][0]) for line in lines)}
            soft = set(self._used) - self._numeric - self._keep
            for i in self._loose:
                if self._over({j: min(self._natural[j], READABLE if j in soft else 1000) for j in self._used}):
                    self._used.remove(i)
        self._widths = {i: self._natural[i] for i in self._used}
        over = self._over(self._widths)
        for soft in (set(self._used) - self._numeric - self._keep, self._keep & set(self._used)):
            while over > 0 and (wide := [i for i in soft if self._widths[i] > LEAST]):
                self._widths[max(wide, key=self._widths.__getitem__)] -= 1
                over -= 1

    def _over(self, widths: Mapping[int, int]) -> int:
        """By how much the columns are wider than the terminal, where there is one."""
        return max(0, sum(widths.values()) + 2 * (len(widths) - 1) - columns()) if sys.stdout.isatty() else 0

    def line(self, cells: Sequence[_Cell]) -> str:
        """One row, padded and coloured."""
        padded = []
        for i in self._used:
            text = clip(cells[i][0], self._widths[i])
            space = " " * (self._widths[i] - width(text))
            if sys.stdout.isatty():
                text = apart(text)
            coloured = style(text, fg=cells[i][1]) if cells[i][1] else text
            padded.append(space + coloured if self._numeric and i in self._numeric else coloured + space)
        return "  ".join(padded).rstrip()


def _numeric(text: str) -> bool:
    return not text or text.replace(",", "").isdigit()


def apart(text: str) -> str:
    """Text whose direction ends with it, for a terminal that turns what runs from right to left."""
    turns = any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text)
    return f"{_MARK}{text}{_MARK}" if turns and not text.isascii() else text


# a command in backticks stays whole: it is to be copied
_WORDS: Final = re.compile(r"(?:`[^`]{0,60}`|[^ ])+")


def wrapped(text: str, indent: str = "  ", behind: str = "    ") -> str:
    """Text in lines that are no wider than the terminal; elsewhere in one, for `grep`. Colours take no room."""
    if not sys.stdout.isatty():
        return indent + text
    lines, room = [indent], columns()
    for word in _WORDS.findall(text):
        wide = width(click.unstyle(word))
        if width(click.unstyle(lines[-1])) + wide + 1 > room and lines[-1].strip():
            lines.append(behind)
        lines[-1] += word if not lines[-1].strip() else f" {word}"
    return "\n".join(lines)


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


def when(at: int, now: int, zone: str | None = None) -> str:
    """A point in time as one says it: "in 2 h", "today 09:00", "yesterday 18:30", "12 Nov 09:00", "2025-11-12"."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    if 0 < at - now <= SOON:
        return f"in {span(at - now)}"
    there = ZoneInfo(zone) if zone else None
    then, today = (datetime.fromtimestamp(each, UTC).astimezone(there) for each in (at, now))
    day = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get((then.date() - today.date()).days)
    if day:
        return f"{day} {then:%H:%M}"
    return f"{then.day} {then:%b %H:%M}" if abs(at - now) < 180 * 86_400 else f"{then:%Y-%m-%d}"


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
        self._terminal = lively(sys.stderr)
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


def counts(by_state: Mapping[str, int], *, coloured: bool = False) -> str:
    """ "accepted 12, deferred 3": what is not zero, in the order given."""
    words = (
        style(f"{name.replace('_', ' ')} {value:,}", fg=COLOURS.get(name) if coloured else None)
        for name, value in by_state.items()
        if value
    )
    return ", ".join(words) or "nothing"
