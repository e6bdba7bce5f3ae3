"""A file of people → rows, as real files are: any dialect of CSV, title rows, stray quotes, untidy cells.

Streams, so that a file of any size needs the memory of one row. A row that cannot be used is reported with
its line and a reason, and keeps nobody else out; only what makes every row unreadable is an error.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice, takewhile
from typing import BinaryIO, NamedTuple

from broadcaster import language
from broadcaster.address import fast
from broadcaster.cell import mailbox, tidy, tidy_line
from broadcaster.errors import AddressError, BadData, SheetError
from broadcaster.formula import bare
from broadcaster.heading import OWN, Column, columns, hints_at_email, mapped, meaning, place_of

ROW_LIMIT = 1_000_000  # characters; a row over several lines that is longer is a quotation mark that was never closed
HEAD_LINES = 60  # how far down a heading is looked for
TEXT_LIMIT = 100  # of a spoilt row shown in a report

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}

# Excel's own way to name the delimiter, on a line before all others
_DECLARED = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?[\r\n]*', re.IGNORECASE)


class Person(NamedTuple):
    """One usable row. `line` is where it starts in the file; values are tidy, "" where there is none."""

    line: int
    address: str
    key: str
    name: str
    language: str
    timezone: str
    fields: dict[str, str]


class Spoilt(NamedTuple):
    """A row that cannot be used, and why; `text` is what stands for its address."""

    line: int
    reason: str
    text: str


class Sheet:
    """A file of people, opened: its dialect and heading are known. Iterate over it for its rows."""

    def __init__(
        self, stream: BinaryIO, encoding: str, *, delimiter: str = "", mapping: Mapping[str, str] | None = None
    ) -> None:
        """`stream` can seek; `mapping` is heading → field. Raises SheetError when no column holds addresses."""
        self._stream = stream
        self._encoding = encoding
        head = self._head()
        declared = _DECLARED.fullmatch(head[0]) if head else None
        self.delimiter = delimiter or (declared["delimiter"] if declared else _delimiter(head))
        rows = [(line, [_plain(cell) for cell in cells]) for line, cells, _ in _split(_Lines(head), self.delimiter)]
        layout = _layout(rows[1:] if declared else rows, mapping or {})
        self._heading, self.columns = max(layout.line, 1 if declared else 0), layout.columns
        self._width = len(self.columns)
        place = {column.field: number for number, column in enumerate(self.columns) if column.field}
        if "email" not in place:
            raise SheetError("no column of addresses is left", hint="name it with --map HEADING=email")
        self._email = place["email"]
        self._name, self._language, self._timezone = (place.get(each) for each in ("name", "language", "timezone"))
        parts = {column.part: number for number, column in enumerate(self.columns) if column.part}
        self._parts = (parts.get("first"), parts.get("last"))
        self._fields = [(number, field) for field, number in place.items() if field not in OWN]
        self._nameless = [number for number, column in enumerate(self.columns) if not column.header]
        self._dropped: set[int] = set()
        self._tags: dict[str, str] = {"": ""}
        self._unknown: Counter[str] = Counter()

    @property
    def notes(self) -> Sequence[str]:
        """What was passed over: complete once the rows have been read."""
        notes = [f"column {number + 1} has no heading and is left out" for number in sorted(self._dropped)]
        for words, number in self._unknown.most_common(5):
            rows = "1 row has" if number == 1 else f"{number:,} rows have"
            notes.append(f"{words[:40]!r} is no language we know: {rows} none")
        return notes

    def __iter__(self) -> Iterator[Person | Spoilt]:
        email = self._email
        for line, cells, wrong in _split(_Lines(self._lines()), self.delimiter, self._stands_alone):
            if line <= self._heading:
                continue
            try:
                if wrong:
                    raise SheetError(wrong)
                person = self._person(line, cells)
            except BadData as error:
                text = cells[email] if email < len(cells) else " ".join(cells)
                # the same heading again, where several files were put together
                if _plain(text) != self.columns[email].header and meaning(text[:TEXT_LIMIT]) != "email":
                    shown = text[:TEXT_LIMIT].strip().encode("utf-8", "backslashreplace").decode()
                    yield Spoilt(line, error.message, shown)
            else:
                if person is not None:
                    yield person

    def _person(self, line: int, cells: list[str]) -> Person | None:
        if len(cells) != self._width:
            cells = self._fitted(cells)
        written = cells[self._email]
        found, said = fast(written), ""
        if found is None:
            if not any(cell.strip() for cell in cells):
                return None
            address, said = mailbox(written)
            found = str(address), address.key
        name = tidy_line(cells[self._name]) if self._name is not None else ""
        if self._parts != (None, None):
            name = self._full_name(name, cells)
        tag = "" if self._language is None else self._tag(cells[self._language])
        zone = "" if self._timezone is None else tidy_line(cells[self._timezone])
        fields = {field: value for place, field in self._fields if cells[place] and (value := tidy(cells[place]))}
        for place in self._nameless:
            if cells[place]:
                self._dropped.add(place)
        return Person(line, *found, name or said, tag, zone, fields)

    def _fitted(self, cells: list[str]) -> list[str]:
        """A row with as many cells as the heading. Raises SheetError when more of them hold something."""
        if any(cell.strip() for cell in cells[self._width :]):
            raise SheetError(f"{len(cells)} cells under a heading of {self._width}")
        return [*cells[: self._width], *[""] * (self._width - len(cells))]

    def _full_name(self, name: str, cells: list[str]) -> str:
        """A name from its parts. "Nom" beside a first name is the last name, unless it holds the first one too."""
        first, last = (tidy_line(cells[place]) if place is not None else "" for place in self._parts)
        if name and ((first and last) or all(part.casefold() in name.casefold() for part in (first, last))):
            return name
        return " ".join(part for part in ((first, last) if first and last else (first, name, last)) if part)

    def _tag(self, cell: str) -> str:
        tag = self._tags.get(cell)
        if tag is None:
            words = tidy_line(cell)
            tag = language.tag_of(words) or "" if words else ""
            if len(self._tags) < 10_000 and (tag or not words):
                self._tags[cell] = tag
            elif len(self._unknown) < 1_000:
                self._unknown[words] += 1
        return tag

    def _stands_alone(self, line: str) -> bool:
        """Whether one line is a row by itself: then the quotation mark before it was never meant to reach this far."""
        cells = next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True), [])
        return len(cells) == self._width and fast(cells[self._email].strip()) is not None

    def _head(self) -> list[str]:
        with closing(self._lines()) as lines:
            head = list(islice(lines, HEAD_LINES))
        # a million columns are no heading to look through sixty times
        return head if sum(map(len, head)) <= ROW_LIMIT else head[:1]

    def _lines(self) -> Generator[str, None, None]:
        """The physical lines of the file, their ends kept; of one that is too long, ROW_LIMIT characters."""
        self._stream.seek(0)
        wide = self._encoding.startswith(("utf-16", "utf-32"))
        # a byte that is no text spoils its row alone, where letters are bytes
        errors = "strict" if wide else "surrogateescape"
        encoding = "utf-8-sig" if self._encoding == "utf-8" else self._encoding
        text = io.TextIOWrapper(self._stream, encoding, errors, newline="")
        try:
            while line := text.readline(ROW_LIMIT):
                rest = line
                while len(rest) == ROW_LIMIT and rest[-1] not in "\r\n":
                    rest = text.readline(ROW_LIMIT)
                yield line
        except UnicodeError as error:
            raise SheetError(f"is damaged: not {self._encoding}") from error
        finally:
            # whoever is interrupted may have closed the stream already
            with suppress(ValueError):
                text.detach()


class _Open(Exception):
    """A quotation mark was opened, and too much has followed without another."""


class _Lines:
    """Lines that are counted, and can be given back. `taken` are those of the row being read."""

    def __init__(self, lines: Iterator[str] | Sequence[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.taken:
            self._size = len(self.taken[0]) if len(self.taken) == 1 else self._size + len(self.taken[-1])
        line = self._back.popleft() if self._back else next(self._lines, "")
        if self.taken and (not line or self._size + len(line) > ROW_LIMIT):
            if line:
                self._back.appendleft(line)
            raise _Open
        if not line:
            raise StopIteration
        self.taken.append(line)
        self.number += 1
        return line

    def give_back(self) -> str:
        """The first line taken; the others will come again."""
        first, *others = self.taken
        self._back.extendleft(reversed(others))
        self.number -= len(others)
        self.taken.clear()
        return first


def _split(
    lines: _Lines, delimiter: str, stands_alone: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[int, list[str], str]]:
    """(line, cells, what is wrong or "") of each row. A stray quotation mark costs its own line and no other."""
    csv.field_size_limit(max(csv.field_size_limit(), 2 * ROW_LIMIT))
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    while True:
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except _Open:
            yield start, [lines.give_back()[:TEXT_LIMIT]], "a quotation mark that is never closed"
            continue
        if len(lines.taken) > 1 and _loose(lines.taken, delimiter) and any(map(stands_alone, lines.taken[1:])):
            yield start, [lines.give_back()[:TEXT_LIMIT]], "a quotation mark that is not closed in its row"
            continue
        long = len(lines.taken[0]) >= ROW_LIMIT
        lines.taken.clear()
        yield start, bare(cells), f"a line of more than {ROW_LIMIT:,} characters" if long else ""


def _loose(lines: Sequence[str], delimiter: str) -> bool:
    """Whether a row is no proper CSV: text follows a closing quotation mark, which was meant to open a cell.

    What is properly quoted is one cell, even with lines in it that look like rows: somebody may have written
    them there to be taken for people.
    """
    try:
        next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return True
    return False


class _Layout(NamedTuple):
    line: int  # of the heading; 0 when there is none
    columns: tuple[Column, ...]


def _delimiter(head: Sequence[str]) -> str:
    """The delimiter under which the head of a file makes most sense: a heading with addresses, rows of one width."""

    def sense(delimiter: str) -> tuple[int, int, int]:
        rows = [cells for _, cells, wrong in _split(_Lines(head), delimiter) if cells and not wrong]
        widths = Counter(len(cells) for cells in rows if len(cells) > 1)
        width, number = max(widths.items(), key=lambda each: (each[1], each[0]), default=(0, 0))
        cells = [cell for row in rows for cell in row]
        known = any(meaning(cell) == "email" for cell in cells) or any(_is_address(cell) for cell in cells)
        return known, number, width

    return max(DELIMITERS.values(), key=sense)


def _layout(rows: Sequence[tuple[int, list[str]]], mapping: Mapping[str, str]) -> _Layout:
    """Find the heading below any titles, and the column of addresses. Raises SheetError when there is none."""
    asked = next((header for header, field in mapping.items() if field == "email"), None)
    # a heading holds no address, nor is it below one
    head = list(takewhile(lambda row: not any(map(_is_address, row[1])), rows))
    for kind in (_known, _vague):
        for place, (line, cells) in enumerate(head):
            below = [row for _, row in rows[place + 1 :]]
            told = None if asked is None else place_of(cells, asked)
            found = kind(cells, mapping, below) if asked is None else [told] if told is not None else []
            if found:
                email = next((n for n in found if _filled(below, n)), found[0])
                return _Layout(line, columns(cells, mapped(cells, mapping), email))
    if asked is not None and head:
        mapped(max((cells for _, cells in head), key=len), mapping)
    return _layout_by_cells(rows, mapping)


def _known(cells: Sequence[str], mapping: Mapping[str, str], _: Sequence[Sequence[str]]) -> list[int]:
    """The columns whose heading means e-mail, and that were not asked to be something else."""
    other = {place_of(cells, header) for header in mapping}
    return [n for n, cell in enumerate(cells) if n not in other and meaning(cell) == "email"]


def _vague(cells: Sequence[str], mapping: Mapping[str, str], below: Sequence[Sequence[str]]) -> list[int]:
    """The columns whose heading speaks of e-mail, with addresses below it."""
    other = {place_of(cells, header) for header in mapping}
    return [n for n, cell in enumerate(cells) if n not in other and hints_at_email(cell) and _filled(below, n)]


def _layout_by_cells(rows: Sequence[tuple[int, list[str]]], mapping: Mapping[str, str]) -> _Layout:
    """Where no heading speaks of addresses, the first address shows their column; the row above may be a heading."""
    for place, (_, cells) in enumerate(rows):
        email = next((n for n, cell in enumerate(cells) if _is_address(cell)), None)
        if email is None:
            continue
        above = next(((line, row) for line, row in reversed(rows[:place]) if any(row)), None)
        if above is not None and len(above[1]) == len(cells) and above[1][email] and len(cells) > 1:
            return _Layout(above[0], columns(above[1], mapped(above[1], mapping), email))
        numbers = [str(n + 1) for n in range(len(cells))]
        wanted = mapped(numbers, mapping)
        others = [n for n, cell in enumerate(cells) if cell and n != email]
        if not wanted and len(others) > 1:
            raise SheetError(
                "has no heading that says what its columns are", hint="add a first line like: email,name,language"
            )
        names = {n: wanted.get(n, "" if wanted else "name") for n in others} | {email: "email"}
        line = above[0] if above is not None else 0
        return _Layout(line, tuple(Column(number, names.get(n, "")) for n, number in enumerate(numbers)))
    shown = next((row for _, row in rows if any(row)), [])
    mapped(shown, mapping)
    raise SheetError(
        "no column of addresses" if shown else "holds no rows",
        hint=f"name it with --map HEADING=email; the first line is: {', '.join(shown)[:200]}" if shown else None,
    )


def _filled(rows: Sequence[Sequence[str]], place: int) -> bool:
    return any(place < len(row) and _is_address(row[place]) for row in rows)


def _is_address(cell: str) -> bool:
    if "@" not in cell:
        return False
    try:
        mailbox(cell)
    except (AddressError, SheetError):
        return False
    return True


def _plain(cell: str) -> str:
    """A cell of the heading; one that may not be read is as good as empty."""
    try:
        return tidy_line(cell)
    except SheetError:
        return ""
