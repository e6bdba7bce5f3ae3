"""A report on a terminal: aligned tables, bars and a timeline in block characters. Elsewhere the tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from broadcaster.cli.report_speech import Speech
from broadcaster.cli.report_told import (
    ACCEPTED,
    FAILED,
    OPEN,
    UNSENT,
    Picture,
    Row,
    Section,
    heading,
    meaning,
    sections,
)
from broadcaster.cli.say import clip, style, width
from broadcaster.report import STEPS, Report

# Parts are told apart by their sign, too: not everybody sees colours, and not every terminal has them.
SIGNS: Final = {
    ACCEPTED: ("█", "green"),
    FAILED: ("▓", "red"),
    OPEN: ("▒", "yellow"),
    UNSENT: ("░", "bright_black"),
    "hard": ("█", "red"),
    "soft": ("▓", "yellow"),
    "unknown": ("▒", "bright_black"),
    "complaint": ("▚", "magenta"),
    "unsubscribe": ("░", "cyan"),
}
LINE: Final = "│"
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
HIGH: Final = 6  # lines of a timeline
# columns of a bar: fewer show nothing, and more are a long way for the eye
LEAST, MOST = 10, 40
# of a name, where the terminal is narrow
NAME: Final = 16
GAP: Final = "  "
MARGIN: Final = 14  # beside a picture


@dataclass(frozen=True, slots=True)
class Screen:
    """What is written on: so many columns. `drawn`: with bars and pictures, as on a terminal."""

    columns: int
    drawn: bool

    def lines(self, report: Report, speech: Speech) -> Iterator[str]:
        """The whole report."""
        of = report.of
        name = self._fit(of.statement, speech)
        yield style(speech.words("Mailing %(number)s: %(name)s", number=f"{of.id}", name=name), bold=True)
        yield from (self._clipped(line) for line in heading(report, speech))
        for section in sections(report, speech, self._steps):
            yield ""
            title = f"{section.title} ({speech.words('rehearsal')})" if of.rehearsal else section.title
            yield style(self._clipped(title), bold=True)
            yield from self._section(section)
        yield ""
        for line in meaning(speech):
            yield from self._folded(line, "")

    @property
    def _steps(self) -> int:
        """Columns of a picture, beside which a number stands."""
        return max(8, min(STEPS, self.columns - MARGIN))

    def _fit(self, name: str, speech: Speech) -> str:
        return clip(name, max(NAME, self.columns - 20)) if self.drawn else speech.foreign(name)

    def _clipped(self, line: str) -> str:
        return clip(line, self.columns) if self.drawn else line

    def _section(self, of: Section) -> Iterator[str]:
        if of.picture is not None and self.drawn:
            if of.picture.title != of.title:
                yield GAP + self._clipped(of.picture.title)
            yield from self._picture(of.picture)
        used = {kind for row in of.rows for kind, _ in row.bar}
        if self.drawn and of.legend and (of.picture is not None or len(used) > 1):
            shown = [(kind, label) for kind, label in of.legend if of.picture is not None or kind in used]
            yield from self._folded(GAP.join(f"{SIGNS[kind][0]} {label}" for kind, label in shown), GAP)
        yield from self._table(of)
        for note in of.notes:
            yield from self._folded(note, GAP)

    def _folded(self, text: str, indent: str) -> Iterator[str]:
        """A sentence on lines of the terminal; elsewhere on one."""
        if not self.drawn:
            yield indent + text
            return
        line = indent
        for word in text.split(" "):
            if line.strip() and width(line) + 1 + width(word) > self.columns:
                yield line
                line = indent
            line += word if line == indent else f" {word}"
        yield line

    def _table(self, of: Section) -> Iterator[str]:
        if not of.rows:
            return
        cells = [list(of.columns), *(list(row.cells) for row in of.rows)]
        if self.drawn:
            self._narrow(cells)
        widths = [max(width(line[i]) for line in cells) for i in range(len(of.columns))]
        words = {0, *of.texts}
        taken = len(GAP) + sum(widths) + len(GAP) * len(widths)
        room = min(MOST, self.columns - taken)
        bars = self.drawn and room >= LEAST and any(row.bar or row.lines for row in of.rows)
        for number, line in enumerate(cells):
            padded = [
                cell + " " * (widths[i] - width(cell)) if i in words else " " * (widths[i] - width(cell)) + cell
                for i, cell in enumerate(line)
            ]
            text = GAP + GAP.join(padded)
            if number == 0:
                yield style(self._clipped(text.rstrip()), dim=True)
            elif bars:
                yield f"{text}{GAP}{bar(of.rows[number - 1], room)}".rstrip()
            else:
                yield self._clipped(text.rstrip())

    def _narrow(self, cells: list[list[str]]) -> None:
        """Make what is too wide for the terminal fit: the names give way first, other words then."""
        for column in (0, *range(len(cells[0]) - 1, 0, -1)):
            widths = [max(width(line[i]) for line in cells) for i in range(len(cells[0]))]
            over = len(GAP) * (1 + len(widths)) + sum(widths) + LEAST - self.columns
            if over <= 0:
                return
            if column == 0 or widths[column] > NAME:
                for line in cells:
                    line[column] = clip(line[column], max(NAME, widths[column] - over))

    def _picture(self, of: Picture) -> Iterator[str]:
        margin = width(of.most)
        columns = of.columns
        wide = max(1, min(4, self._steps // len(columns)))
        for number, line in enumerate(drawn(columns, HIGH, wide)):
            label = of.most if number == 0 else "0" if number == HIGH - 1 else ""
            yield f"{GAP}{' ' * (margin - width(label))}{label} {line}".rstrip()
        first, last = of.ends
        across = len(columns) * wide
        gap = across - width(first) - width(last)
        ends = first + " " * gap + last if gap > 0 else f"{first} – {last}" if first != last else first
        yield f"{GAP}{' ' * margin} {ends}"


def bar(row: Row, columns: int) -> str:
    """Parts one after the other, each at least one sign wide where it is anything at all, and lines across."""
    lengths = [max(1, round(share * columns)) if share > 0 else 0 for _, share in row.bar]
    while sum(lengths) > columns:
        lengths[lengths.index(max(lengths))] -= 1
    signs: list[tuple[str, str | None]] = []
    for (kind, _), long in zip(row.bar, lengths, strict=True):
        signs += [SIGNS[kind]] * long
    signs += [(" ", None)] * (columns - len(signs))
    for share in row.lines:
        signs[min(columns - 1, round(share * columns))] = (LINE, None)
    return coloured(signs)


def coloured(signs: Sequence[tuple[str, str | None]]) -> str:
    """Signs with their colours: one change of colour for each run."""
    runs: list[tuple[str, str | None]] = []
    for sign, colour in signs:
        if runs and runs[-1][1] == colour:
            runs[-1] = (runs[-1][0] + sign, colour)
        else:
            runs.append((sign, colour))
    return "".join(style(text, fg=colour) if colour else text for text, colour in runs)


def drawn(columns: Sequence[Sequence[tuple[str, int]]], high: int, wide: int) -> list[str]:
    """Columns over time as lines from the top. A column of one part ends in an eighth of a sign."""
    most = max((sum(number for _, number in column) for column in columns), default=0) or 1
    lines = []
    for level in range(high - 1, -1, -1):
        signs: list[tuple[str, str | None]] = []
        for column in columns:
            signs += [_sign(column, level, high, most)] * wide
        lines.append(coloured(signs))
    return lines


def _sign(column: Sequence[tuple[str, int]], level: int, high: int, most: int) -> tuple[str, str | None]:
    """What a column shows in one line: `level` 0 is the lowest."""
    total = sum(number for _, number in column)
    # in eighths of a line; whatever is anything is seen
    reach = max(1, round(8 * high * total / most)) if total else 0
    full = reach - 8 * level
    if full <= 0:
        return " ", None
    # whose part the middle of this line is in
    below, shown = 0, column[-1][0]
    for kind, number in column:
        below += number
        if number and below * 8 * high / most > 8 * level + 4:
            shown = kind
            break
        shown = kind if number else shown
    sign, colour = SIGNS[shown]
    return (EIGHTHS[full] if full < 8 else sign if len(column) > 1 else "█"), colour
