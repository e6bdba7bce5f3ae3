"""A file of people, of whatever kind and however it is packed → its sheets, ready to be read row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from broadcaster import jsonlines, parcel
from broadcaster.charset import CHUNK, Text, examine
from broadcaster.delimited import Csv
from broadcaster.errors import SheetError
from broadcaster.parcel import Part
from broadcaster.sheet import Person, Sheet, Spoilt, Table
from broadcaster.workbook import Workbook


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person says of a file, where it does not speak for itself. `into` is the list it comes to."""

    encoding: str | None = None
    delimiter: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)
    sheet: str = ""
    into: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was opened: its sheets, each with the name it has among several; its SHA-256; what to know of it."""

    sheets: Sequence[tuple[str, Sheet]]
    digest: str
    notes: Sequence[str]

    def rows(self) -> Iterator[Person | Spoilt]:
        """Every row of every sheet; where there are several, a reason says which it is of."""
        for name, sheet in self.sheets:
            for row in sheet:
                if isinstance(row, Spoilt) and len(self.sheets) > 1:
                    yield row._replace(reason=f"{row.reason} ({name})")
                else:
                    yield row


def opened(
    stream: BinaryIO,
    parts: Sequence[Part],
    asked: Asked,
    which: Callable[[Text], str],
    seen: Callable[[int], None] = lambda _: None,
) -> File:
    """Open the parts of a file; `which` chooses an encoding where it is a guess, `seen` is told the octets that pass.

    Raises SheetError for what cannot be read as people.
    """
    digest = ""
    notes: list[str] = []
    sheets = []
    for part in parts:
        table, read = _table(part, asked, which, seen)
        if not part.within:
            digest = read
        if isinstance(table, Workbook) and len(table.sheets) > 1:
            others = ", ".join(each for each in table.sheets if each != table.sheet)
            notes.append(f"sheet {table.sheet!r} is read; --sheet names another: {others[:200]}")
        sheet = Sheet(table, mapping=asked.mapping, file=part.name, into=asked.into)
        if part.within:
            notes.append(f"{part.name} is read")
        if sheet.origin is not None and sheet.origin.name:
            notes.append(f"an export of {sheet.origin.name}: who left or bounced there stays away here")
        sheets.append((part.name, sheet))
    return File(sheets, digest or _digest(stream), notes)


def _table(part: Part, asked: Asked, which: Callable[[Text], str], seen: Callable[[int], None]) -> tuple[Table, str]:
    """The rows of one part, and the digest of what was read of it, if all was."""
    if parcel.is_workbook(part.stream):
        return Workbook(part.stream, "" if asked.sheet == part.name else asked.sheet), ""
    if asked.sheet and not part.within:
        raise SheetError("has no sheets to choose from", hint="--sheet is for workbooks and archives")
    if not asked.delimiter and jsonlines.begins(part.stream):
        return jsonlines.JsonLines(part.stream), ""
    text = examine(part.stream, asked.encoding, seen)
    return Csv(part.stream, text.encoding or which(text), asked.delimiter), text.digest


def _digest(stream: BinaryIO) -> str:
    stream.seek(0)
    found = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()
