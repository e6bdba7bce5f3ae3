"""A file of people → rows, as real files are: any dialect of CSV, title rows, stray quotes, untidy cells.

Streams, so that a file of any size needs the memory of one row. A row that cannot be used is reported with
its line and a reason, and keeps nobody else out; only what makes every row unreadable is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple, Protocol

from broadcaster import language
from broadcaster.address import fast
from broadcaster.cell import is_address, mailbox, plain, tidy, tidy_line
from broadcaster.errors import BadData, SheetError
from broadcaster.heading import (
    COLUMNS_LIMIT,
    OWN,
    Column,
    columns,
    field_name,
    hints_at_email,
    mapped,
    meaning,
    place_of,
)
from broadcaster.origin import NOTHING, Past, recognised

TEXT_LIMIT = 100  # of a spoilt row shown in a report


class Table(Protocol):
    """Rows of cells, whatever kind of file they stand in. `kind` names it, `ours` is a listing of our own."""

    kind: str
    ours: bool

    def head(self) -> Sequence[tuple[int, list[str]]]:
        """(line, cells) of the first rows, a heading among them."""

    def rows(self, alone: Callable[[list[str]], bool]) -> Iterator[tuple[int, list[str], str]]:
        """(line, cells, what is wrong or "") of every row; `alone` tells cells that are a row by themselves."""


class Person(NamedTuple):
    """One usable row. `line` is where it starts in the file; values are tidy, "" where there is none."""

    line: int
    address: str
    key: str
    name: str
    language: str
    timezone: str
    fields: dict[str, str]
    past: Past = NOTHING


class Spoilt(NamedTuple):
    """A row that cannot be used, and why; `text` is what stands for its address."""

    line: int
    reason: str
    text: str


class Sheet:
    """A file of people, opened: its dialect and heading are known. Iterate over it for its rows."""

    def __init__(
        self, table: Table, *, mapping: Mapping[str, str] | None = None, file: str = "", into: str = ""
    ) -> None:
        """`mapping` is heading → field; `file` is its name, `into` the list that the people come to.

        Raises SheetError when no column holds addresses.
        """
        self._table = table
        rows = [(line, [plain(cell) for cell in cells]) for line, cells in table.head()]
        self._heading, found = _layout(rows, mapping or {})
        header = [column.header for column in found]
        mapped = {place_of(header, name) for name in mapping or {}}
        self.origin = recognised(header, file=file, into=into, ours=table.ours, mapped=mapped)
        unwanted = self.origin.unwanted - mapped if self.origin else ()
        self.columns = tuple(
            Column(column.header, "") if number in unwanted else column for number, column in enumerate(found)
        )
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
        for line, cells, wrong in self._table.rows(self._stands_alone):
            if line <= self._heading:
                continue
            try:
                if wrong:
                    raise SheetError(wrong)
                person = self._person(line, cells)
            except BadData as error:
                text = cells[email] if email < len(cells) else " ".join(cells)
                # the same heading again, where several files were put together
                if plain(text) != self.columns[email].header and meaning(text[:TEXT_LIMIT]) != "email":
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
        if self.origin is None:
            return Person(line, *found, name or said, tag, zone, fields)
        past = self.origin.past(cells)
        tag, zone = self._taken_over(past.fields, fields, tag, zone)
        return Person(line, *found, name or said, tag, zone, fields, past)

    def _taken_over(self, said: Mapping[str, str], fields: dict[str, str], tag: str, zone: str) -> tuple[str, str]:
        """Lay what one cell says in many names over the fields of a row; (language, timezone)."""
        if len(said) > COLUMNS_LIMIT:
            raise SheetError(f"{len(said):,} fields in one row, {COLUMNS_LIMIT:,} are allowed")
        for name, value in said.items():
            own, field = meaning(name), field_name(name)
            if own == "language" and not tag:
                tag = self._tag(value)
            elif own == "timezone" and not zone:
                zone = tidy_line(value)
            elif field and (text := tidy(value)):
                fields[f"{field}_2" if field in OWN else field] = text
        return tag, zone

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

    def _stands_alone(self, cells: list[str]) -> bool:
        """Whether one line is a row by itself: then the quotation mark before it was never meant to reach this far."""
        return len(cells) == self._width and fast(cells[self._email].strip()) is not None


class _Layout(NamedTuple):
    line: int  # of the heading; 0 when there is none
    columns: tuple[Column, ...]


def _layout(rows: Sequence[tuple[int, list[str]]], mapping: Mapping[str, str]) -> _Layout:
    """Find the heading below any titles, and the column of addresses. Raises SheetError when there is none."""
    asked = next((header for header, field in mapping.items() if field == "email"), None)
    # a heading holds no address, nor is it below one
    head = list(takewhile(lambda row: not any(map(is_address, row[1])), rows))
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
        email = next((n for n, cell in enumerate(cells) if is_address(cell)), None)
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
    return any(place < len(row) and is_address(row[place]) for row in rows)
