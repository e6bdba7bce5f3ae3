"""An XLSX workbook → rows of cells as a person sees them: dates as dates, leading zeros kept, formulas as their values.

openpyxl reads row by row. A faster library holds the whole sheet, and one cell in the last corner of an
otherwise empty sheet takes all the memory there is.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, BinaryIO, Final

from broadcaster.errors import SheetError
from broadcaster.parcel import looked_through

HEAD_ROWS = 60
ROWS_LIMIT = 1_048_576  # what a spreadsheet program has
MIDNIGHT = time()

# texts that every cell refers to are held in memory, and so is what is no sheet
_LARGEST: Final = {"xl/sharedStrings.xml": 128 << 20}
_SHEET_LIMIT, _OTHER_LIMIT = 1 << 30, 16 << 20

_LITERAL = re.compile(r'"([^"]*)"|\\(.)|_.|\*.|\[[^\]]*\]')
_PADDED = re.compile(r"0[-0 ./()+]*0|0")
_DECIMALS = re.compile(r"[#0,]*0(?:\.(?P<decimals>0+))?(?P<percent>%?)")


class Workbook:
    """One worksheet of a workbook: the first, unless another is named. `sheet` and `sheets` are their names."""

    kind = "XLSX"
    ours = False

    def __init__(self, stream: BinaryIO, wanted: str = "") -> None:
        """Raises SheetError for what is damaged, too large, protected, or has no such sheet."""
        import openpyxl

        looked_through(stream, lambda name: _LARGEST.get(name, _limit(name)))
        with _readable(), warnings.catch_warnings():
            # of what it leaves out: pictures, rules, extensions
            warnings.simplefilter("ignore")
            self._book: Any = openpyxl.load_workbook(
                stream, read_only=True, data_only=True, keep_links=False, rich_text=False
            )
            found = {each.title: each for each in self._book.worksheets}
        self.sheets = list(found)
        if not found:
            raise SheetError("is a workbook without a sheet of cells")
        near = [each for each in found if each.casefold() == wanted.casefold()]
        if wanted and not near:
            raise SheetError(f"has no sheet {wanted!r}", hint=f"its sheets are {', '.join(found)[:200]}")
        self.sheet = near[0] if wanted else self.sheets[0]
        self._cells: Any = found[self.sheet]
        # what a file says of its size is often wrong, and may be made to cost a million empty cells
        self._cells.reset_dimensions()

    def head(self) -> list[tuple[int, list[str]]]:
        """(row, cells) of the first rows."""
        return [(line, cells) for line, cells, _ in islice(self.rows(), HEAD_ROWS)]

    def rows(self, _: Callable[[list[str]], bool] | None = None) -> Iterator[tuple[int, list[str], str]]:
        """(row, cells, "") of each row; a cell says what is seen in it."""
        with _readable(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = self._cells.iter_rows(max_row=ROWS_LIMIT)
            for line, row in enumerate(rows, start=1):
                cells = [_seen(cell) if cell.value is not None else "" for cell in row]
                # below the last person there may be a million rows that were once formatted
                if any(cells):
                    yield line, cells, ""


class _readable:  # noqa: N801
    """What a reader says of a workbook that is none is one error of ours."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, SheetError):
            hint = "open it in a spreadsheet program and save it anew"
            raise SheetError("is a damaged workbook", hint=hint) from error


def _limit(name: str) -> int:
    return _SHEET_LIMIT if name.startswith("xl/worksheets/") else _OTHER_LIMIT


def _seen(cell: Any) -> str:
    """The value of a cell as text."""
    from openpyxl.utils.escape import unescape

    value = cell.value
    if isinstance(value, str):
        # #N/A and the like are no values; a letter that XML cannot hold is written by its number (ECMA-376 22.9.2.19)
        return "" if cell.data_type == "e" else unescape(value) if "_x" in value else value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        if not cell.number_format or value.time() == MIDNIGHT:
            return value.date().isoformat()
        return value.isoformat(" ", "minutes" if not value.second else "seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.isoformat("minutes" if not value.second else "seconds")
    if isinstance(value, timedelta):
        return str(value)
    return _number(value, cell.number_format or "General")


def _number(value: float, form: str) -> str:
    """A number in its format, as far as that keeps what it says; never with an exponent, or signs between thousands."""
    padding, decimals, percent = _form(form)
    if padding and value >= 0 and value == int(value):
        return _padded(str(int(value)), padding)
    if percent:
        return f"{value * 100:.{decimals or 0}f}%"
    if decimals is not None and decimals > 0:
        return f"{value:.{decimals}f}"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    # 15 digits are what a spreadsheet has; 0.1 + 0.2 is 0.3 there
    words = f"{value:.15g}"
    return f"{value:.20f}".rstrip("0") if "e-" in words else words


@lru_cache(maxsize=1024)
def _form(form: str) -> tuple[str, int | None, bool]:
    """A number format: its zeros and what stands between them, its decimals, and whether it is in hundredths."""
    first = _LITERAL.sub(lambda found: found[1] or found[2] or "", form.split(";")[0]).strip()
    if _PADDED.fullmatch(first) and first != "0" and first.count(".") != 1:
        return first, None, False
    found = _DECIMALS.search(first)
    if found is None:
        return "", None, False
    return "", len(found["decimals"] or ""), bool(found["percent"])


def _padded(digits: str, form: str) -> str:
    """Digits in a row of zeros: 7701234567 in 0000 000 0000 is 0770 123 4567."""
    rest = digits.rjust(form.count("0"), "0")
    head, rest = rest[: len(rest) - form.count("0")], rest[len(rest) - form.count("0") :]
    signs = iter(rest)
    return head + "".join(next(signs) if sign == "0" else sign for sign in form)
