"""Workbooks are read as a person sees them, and a hostile one takes neither the memory nor the day."""

from __future__ import annotations

import io
import re
import time
import zipfile
from contextlib import suppress
from datetime import date, datetime
from datetime import time as clock_time
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.errors import SheetError
from broadcaster.parcel import unpacked
from broadcaster.reading import Asked, File, opened
from broadcaster.sheet import Person
from broadcaster.workbook import Workbook


def book(*rows: list[Any], formats: dict[str, str] | None = None, more: tuple[str, ...] = ()) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "People"
    for row in rows:
        sheet.append(row)
    for cell, form in (formats or {}).items():
        sheet[cell].number_format = form
    for name in more:
        other = made.create_sheet(name)
        other.append(["email"])
        other.append([f"{name.lower()}@example.org"])
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def file_of(data: bytes, sheet: str = "") -> File:
    stream = io.BytesIO(data)
    with unpacked(stream, "people.xlsx", sheet) as parts:
        return opened(stream, parts, Asked(sheet=sheet), lambda text: "utf-8")


def people(data: bytes, sheet: str = "") -> list[tuple[str, dict[str, str]]]:
    return [(row.address, row.fields) for row in file_of(data, sheet).rows() if isinstance(row, Person)]


@pytest.mark.parametrize(
    ("value", "form", "seen"),
    [
        (7, "General", "7"),
        (7.0, "General", "7"),
        (1234567890123, "General", "1234567890123"),
        (0.1 + 0.2, "General", "0.3"),
        (1.5e-7, "General", "0.00000015"),
        (12.5, "0.00", "12.50"),
        (25000, "#,##0", "25000"),
        (25000.5, '#,##0.00 "IQD"', "25000.50"),
        (0.25, "0%", "25%"),
        (0.125, "0.0%", "12.5%"),
        (123, "00000", "00123"),
        (7701234567, "0000 000 0000", "0770 123 4567"),
        (33123456, "00-00-00-00-00", "00-33-12-34-56"),
        (123456, "0000", "123456"),
        (-5, "0000", "-5"),
        (date(2026, 5, 4), "yyyy-mm-dd", "2026-05-04"),
        (date(2026, 5, 4), "d/m/yy", "2026-05-04"),
        (datetime(2026, 5, 4, 13, 30), "yyyy-mm-dd hh:mm", "2026-05-04 13:30"),
        (clock_time(9, 5), "h:mm", "09:05"),
        (True, "General", "TRUE"),
        ("007", "@", "007"),
        ("+964 770", "@", "+964 770"),
        ("#N/A", "General", ""),
    ],
)
def test_a_cell_says_what_is_seen_in_it(value: Any, form: str, seen: str) -> None:
    data = book(["email", "what"], ["anna@example.org", value], formats={"B2": form})
    assert people(data) == [("anna@example.org", {"what": seen} if seen else {})]


def test_a_formula_is_its_value() -> None:
    data = book(["email", "sum"], ["anna@example.org", "=1+1"])
    filled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(filled, "w") as new:
        for name in old.namelist():
            words = old.read(name)
            if name.startswith("xl/worksheets/"):
                words = re.sub(rb"<v\s*/>|<v></v>", b"<v>2</v>", words)
            new.writestr(name, words)
    assert people(filled.getvalue()) == [("anna@example.org", {"sum": "2"})]


def test_the_first_sheet_is_read_or_the_one_that_is_named() -> None:
    data = book(["email"], ["anna@example.org"], more=("Board", "Staff"))
    assert people(data) == [("anna@example.org", {})]
    assert "sheet 'People' is read" in file_of(data).notes[0]
    made = book(["email"], ["anna@example.org"], more=("Board",))
    assert people(made, "BOARD") == [("board@example.org", {})]
    with pytest.raises(SheetError, match="no sheet 'Nobody'"):
        file_of(made, "Nobody")


def test_a_workbook_in_an_archive_is_read() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("people.xlsx", book(["email"], ["anna@example.org"]))
    stream = io.BytesIO(packed.getvalue())
    with unpacked(stream, "people.zip") as parts:
        file_read = opened(stream, parts, Asked(), lambda text: "utf-8")
        assert [row.address for row in file_read.rows() if isinstance(row, Person)] == ["anna@example.org"]


def remade(data: bytes, part: str, words: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in {*old.namelist(), part}:
            new.writestr(name, words if name == part else old.read(name))
    return made.getvalue()


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'


def cells(reference: str, line: str, value: str) -> str:
    return f'<row r="{line}"><c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c></row>'


@pytest.mark.parametrize(
    "rows",
    [
        cells("A1", "1", "email") + cells("XFD1048576", "1048576", "a@example.org"),
        cells("A1", "1", "email") + cells("A99999999999", "99999999999", "a@example.org"),
        cells("A1", "1", "email") + cells("ZZZZ2", "2", "a@example.org"),
    ],
)
def test_a_cell_in_the_last_corner_takes_no_memory(rows: str) -> None:
    words = SHEET.format(f'<dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData>').encode()
    data = remade(book(["email"], ["a@example.org"]), "xl/worksheets/sheet1.xml", words)
    start = time.perf_counter()
    with suppress(SheetError):
        people(data)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("part", ["xl/sharedStrings.xml", "xl/styles.xml", "xl/worksheets/sheet1.xml", "xl/other.xml"])
def test_a_part_that_is_a_bomb_is_refused(part: str) -> None:
    data = book(["email"], ["a@example.org"])
    data = remade(data, part, b" " * 60_000_000)
    with pytest.raises(SheetError, match=r"200 times|too large"):
        people(data)


def test_entities_do_not_grow() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
    words = f'<!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]>' + SHEET.format(
        f"<sheetData>{cells('A1', '1', '&l8;')}</sheetData>"
    )
    data = remade(book(["email"], ["a@example.org"]), "xl/worksheets/sheet1.xml", words.encode())
    with pytest.raises(SheetError):
        people(data)


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_no_workbook_whatever_is_more_than_a_sheet_error(place: int, octet: int) -> None:
    data = bytearray(SAMPLE)
    data[place % len(data)] = octet
    with suppress(SheetError):
        people(bytes(data))


SAMPLE = book(["email", "name"], ["anna@example.org", "Anna"])


def test_a_workbook_can_be_read_twice() -> None:
    made = Workbook(io.BytesIO(SAMPLE))
    assert list(made.rows()) == list(made.rows()) != []
