"""Rows → a spreadsheet in XLSX (ECMA-376) whose every cell is text: nothing in it is reckoned, linked or guessed at.

Written as it goes, into the archive itself. XlsxWriter takes three times as long, and keeps what it writes in
temporary files meanwhile: whoever kills it leaves a million people in a folder that nobody looks into.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Final
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from broadcaster.errors import BadData

# what Excel itself opens: rows, columns, and UTF-16 units of a cell
ROWS: Final = 1_048_576
COLUMNS: Final = 16_384
CELL: Final = 32_767
# octets of the one part that grows: far from 2 GB, where archives take a form that Excel wants to repair
PART: Final = 2**30
PIECE: Final = 500

# What XML has no room for, and what would be read as an escape of it (§22.9.2.19); readers turn \r into \n
_UNSAID: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\ufffe\\uffff]|_(?=x[0-9A-Fa-f]{4}_)")

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_KIND: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS: Final = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="people" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    # the first style is for what is typed later; 1 is text (49), so that nothing is reckoned when somebody edits it;
    # 2 is the same in bold
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><fonts count="2">'
    '<font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1"/>'
    '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" quotePrefix="1" applyNumberFormat="1"'
    ' applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}


def write(heading: Sequence[str], rows: Iterable[Sequence[str]], stream: BinaryIO) -> None:
    """One sheet, its heading kept in sight. Raises BadData for what no sheet can hold."""
    if len(heading) > COLUMNS:
        raise _too_much(f"{len(heading):,} columns", f"{COLUMNS:,} of them")
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, text in _PARTS.items():
            archive.writestr(_part(name), _XML + text)
        written = 0
        with archive.open(_part("xl/worksheets/sheet1.xml"), "w") as part:
            for piece in _sheet(heading, rows):
                octets = piece.encode()
                written += len(octets)
                if written > PART:
                    raise _too_much("so much", "1 GB")
                part.write(octets)


def _part(name: str) -> ZipInfo:
    """An entry of 1980: when a file was written is nobody's business, and equal people make equal files."""
    entry = ZipInfo(name)
    entry.compress_type = ZIP_DEFLATED
    return entry


def _sheet(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The sheet, some hundred rows at a time."""
    names = [_letters(number) for number in range(len(heading))]
    yield (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f'<cols><col min="1" max="{len(names)}" width="24" style="1" customWidth="1"/></cols><sheetData>'
        + _row(1, names, heading, 2)
    )
    rest = enumerate(rows, start=2)
    while piece := list(islice(rest, PIECE)):
        if piece[-1][0] > ROWS:
            raise _too_much("so many people", f"{ROWS - 1:,} of them")
        for _, row in piece:
            _refuse_long(heading, row)
        yield "".join([_row(number, names, row, 1) for number, row in piece])
    yield "</sheetData></worksheet>"


def _row(number: int, names: Sequence[str], cells: Sequence[str], style: int) -> str:
    said = "".join(
        [
            f'<c r="{name}{number}" s="{style}" t="inlineStr"><is>{_text(cell)}</is></c>'
            for name, cell in zip(names, cells, strict=True)
            if cell
        ]
    )
    return f'<row r="{number}">{said}</row>'


def _text(cell: str) -> str:
    if cell.isprintable() and "_x" not in cell and cell == cell.strip():
        return f"<t>{escape(cell)}</t>"
    said = _UNSAID.sub(lambda found: f"_x{ord(found[0]):04X}_", cell)
    return f'<t xml:space="preserve">{escape(said)}</t>'


def _refuse_long(heading: Sequence[str], row: Sequence[str]) -> None:
    """Raises BadData for a cell that Excel would call damaged: a sign beyond the first 65,536 counts twice there."""
    for name, cell in zip(heading, row, strict=True):
        if len(cell) * 2 > CELL and len(cell.encode("utf-16-le")) // 2 > CELL:
            raise _too_much(f"a value of {name!r} with {len(cell):,} characters", f"{CELL:,} of them")


def _letters(number: int) -> str:
    """0 → A, 25 → Z, 26 → AA: how a spreadsheet names its columns."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + last)


def _too_much(what: str, most: str) -> BadData:
    return BadData(
        f"no spreadsheet holds {what}: {most} at the most",
        hint="write CSV or JSON lines, or fewer people",
    )
