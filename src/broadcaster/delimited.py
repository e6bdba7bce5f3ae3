"""CSV in any dialect → rows of cells: delimiters that nobody names, stray quotes, lines that never end.

Streams, so that a file of any size needs the memory of one row. A stray quotation mark costs its own row.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from typing import BinaryIO

from broadcaster.cell import is_address
from broadcaster.errors import SheetError
from broadcaster.formula import bare
from broadcaster.heading import meaning

ROW_LIMIT = 1_000_000  # characters; a row over several lines that is longer is a quotation mark that was never closed
HEAD_LINES = 60  # how far down a heading is looked for
TEXT_LIMIT = 100  # of a spoilt row shown in a report

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}

# Excel's own way to name the delimiter, on a line before all others
_DECLARED = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?[\r\n]*', re.IGNORECASE)


class Csv:
    """A file of delimited text, its dialect known."""

    kind = "CSV"
    ours = False

    def __init__(self, stream: BinaryIO, encoding: str, delimiter: str = "") -> None:
        """`stream` can seek. A delimiter that is not named is told from the first lines."""
        self._stream = stream
        self._encoding = encoding
        self._first = self._head()
        declared = _DECLARED.fullmatch(self._first[0]) if self._first else None
        self.delimiter = delimiter or (declared["delimiter"] if declared else _delimiter(self._first))
        self._declared = 1 if declared else 0

    def head(self) -> list[tuple[int, list[str]]]:
        """(line, cells) of the first rows."""
        rows = [(line, cells) for line, cells, _ in _split(_Lines(self._first), self.delimiter)]
        return rows[self._declared :]

    def rows(self, alone: Callable[[list[str]], bool]) -> Iterator[tuple[int, list[str], str]]:
        """(line, cells, what is wrong or "") of each row; `alone` tells cells that are a row by themselves."""

        def stands_alone(line: str) -> bool:
            return alone(next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True), []))

        rows = _split(_Lines(self._lines()), self.delimiter, stands_alone)
        return islice(rows, self._declared, None)

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


def _delimiter(head: Sequence[str]) -> str:
    """The delimiter under which the head of a file makes most sense: a heading with addresses, rows of one width."""

    def sense(delimiter: str) -> tuple[int, int, int]:
        rows = [cells for _, cells, wrong in _split(_Lines(head), delimiter) if cells and not wrong]
        widths = Counter(len(cells) for cells in rows if len(cells) > 1)
        width, number = max(widths.items(), key=lambda each: (each[1], each[0]), default=(0, 0))
        cells = [cell for row in rows for cell in row]
        known = any(meaning(cell) == "email" for cell in cells) or any(is_address(cell) for cell in cells)
        return known, number, width

    return max(DELIMITERS.values(), key=sense)
