"""What a spreadsheet would take for a formula, and the apostrophe that keeps it text (CWE-1236, OWASP "CSV injection").

People choose their own names, and staff open files with a double click. Excel parts cells where the language of
the machine does (a semicolon in German, French or Arabic), and quotation marks in the middle of a cell keep
nothing together there: so a cell is guarded wherever another might begin, and not at its start alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

# rows that are written at once
PIECE: Final = 500

# What begins a formula in some program, also in the wide and small forms of East Asian keyboards, which some fold
_SIGNS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
_CONTROLS: Final = "\\x00-\\x1f"
# where a cell may begin in another reading of the file
_PARTING: Final = f",;|{_CONTROLS}"
_QUOTES: Final = "\"'"
# what some programs pass over at the start of a cell
_PASSED: Final = (
    f"{_QUOTES}{_CONTROLS}\\s\\x7f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
)

_START: Final = f"[{_PASSED}]*[{_SIGNS}]|[{_QUOTES}]*[{_CONTROLS}]"
_INSIDE: Final = f"[{_QUOTES}]*[{_SIGNS}]"
# Where an apostrophe is wanting, and where it is one of ours: what begins with apostrophes already gets one more, so
# that one can be taken away.
_WANTING: Final = re.compile(f"^(?={_START})|(?<=[{_PARTING}])(?={_INSIDE})")
_GUARD: Final = re.compile(f"^'(?={_START})|(?<=[{_PARTING}])'(?={_INSIDE})")
# Whether any cell of a row that is joined by commas may have to be looked at. It looks for the sign first, and back
# from there: what begins with a set of letters is found seven times as fast.
_SUSPECT: Final = re.compile(f"[{_SIGNS}{_CONTROLS}](?<![^{_PASSED}{_PARTING}].)", re.DOTALL)


def guarded(cells: Sequence[str]) -> Sequence[str]:
    """The cells of a row, with an apostrophe before all that a spreadsheet might reckon."""
    # one look at a row: seven at its cells would cost two seconds for a million people
    return [_WANTING.sub("'", cell) for cell in cells] if _SUSPECT.search(",".join(cells)) else cells


def bare(cells: list[str]) -> list[str]:
    """The cells without the apostrophes that `guarded`, or another careful program, put before them."""
    return [_GUARD.sub("", cell) if "'" in cell else cell for cell in cells]


def as_csv(rows: Iterable[Sequence[str]], end: str = "\r\n") -> Iterator[str]:
    """Rows as CSV (RFC 4180) that no spreadsheet reckons with, some hundred at a time. `end` is that of a line."""
    line = io.StringIO(newline="")
    write = csv.writer(line, lineterminator=end).writerows
    rest = iter(rows)
    while piece := [guarded(row) for row in islice(rest, PIECE)]:
        write(piece)
        yield line.getvalue()
        line.seek(0)
        line.truncate()
