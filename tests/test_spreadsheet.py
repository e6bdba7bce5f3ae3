"""A spreadsheet of ours holds text and nothing else, and every program reads what was written."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from broadcaster import spreadsheet
from broadcaster.errors import BadData
from broadcaster.formula import as_csv
from tests.test_formula import ATTACKS, HARMLESS

# as they are kept: without controls, and with plain line feeds
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"]) | st.just("\n"), max_size=12)
OFFICE = shutil.which("soffice")


def book(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    stream = io.BytesIO()
    spreadsheet.write(heading, rows, stream)
    return stream.getvalue()


def cells(octets: bytes) -> list[list[str]]:
    """What openpyxl reads; escapes it leaves to whoever asks it."""
    sheet = openpyxl.load_workbook(io.BytesIO(octets)).active
    return [[unescape(str(cell.value or "")) for cell in row] for row in sheet.iter_rows()]


@given(st.lists(st.tuples(values, values.filter(bool)), min_size=1, max_size=4))
@example([("_x0041_", "_x005F_x0041_"), ("<a>&amp;", "]]>"), ("=1+1", "  ' "), ("\n", "\n\n x \n")])
@settings(max_examples=60)
def test_what_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    octets = book(["email", "naïve"], rows)
    assert cells(octets) == [["email", "naïve"], *map(list, rows)]


def test_a_formula_a_number_and_a_link_are_text() -> None:
    shown = [*ATTACKS, "5", "007", "+964 770 123 4567", "1/2", "https://evil.example", "TRUE", "1e5", "#REF!"]
    kept = [cell for cell in shown if not {"\r", "\0"} & {*cell}]
    octets = book(["email"], [[cell] for cell in kept])
    sheet = openpyxl.load_workbook(io.BytesIO(octets)).active
    column = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [(cell.value, cell.data_type, cell.number_format, cell.hyperlink) for cell in column] == [
        (cell, "s", "@", None) for cell in kept
    ]
    part = zipfile.ZipFile(io.BytesIO(octets)).read("xl/worksheets/sheet1.xml").decode()
    assert "<f" not in part
    assert "hyperlink" not in part


def test_the_heading_is_bold_and_stays_in_sight() -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(book(["email", "name"], [["a@example.org", ""]]))).active
    assert (sheet.title, sheet.freeze_panes) == ("people", "A2")
    assert [cell.font.b for cell in sheet[1]] == [True, True]
    assert not sheet["A2"].font.b


def test_columns_are_named_as_a_spreadsheet_names_them() -> None:
    heading = [f"f{number}" for number in range(800)]
    sheet = openpyxl.load_workbook(io.BytesIO(book(heading, [heading]))).active
    assert [cell.value for cell in sheet[2]] == heading
    assert sheet["ADT2"].value == "f799"


def test_equal_people_make_equal_files_and_nothing_tells_who_made_them() -> None:
    first, second = (book(["email"], [["a@example.org"]]) for _ in range(2))
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert not [name for name in archive.namelist() if "docProps" in name]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_what_no_sheet_holds_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadData, match=r"16,385 columns: 16,384"):
        book([f"f{number}" for number in range(16_385)], [])
    book(["note"], [["😀" * 16_383]])
    with pytest.raises(BadData, match=r"'note' with 16,384 characters: 32,767"):
        book(["note"], [["😀" * 16_384]])
    monkeypatch.setattr(spreadsheet, "ROWS", 1_000)
    book(["email"], [["a"]] * 999)
    with pytest.raises(BadData, match=r"so many people: 999"):
        book(["email"], [["a"]] * 1_000)
    monkeypatch.setattr(spreadsheet, "PART", 2_000)
    with pytest.raises(BadData, match="1 GB"):
        book(["email"], [["a"]] * 900)


@pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed (Debian: apt install libreoffice-calc-nogui)")
def test_libreoffice_reckons_with_nothing(tmp_path: Path) -> None:
    kept = [cell for cell in (*ATTACKS, *HARMLESS, "+964 770 123 4567", "_x0041_") if not {"\r", "\0"} & {*cell}]
    table = [["who", "what"], *([f"p{number}", cell] for number, cell in enumerate(kept))]
    careless = io.StringIO(newline="")
    csv.writer(careless).writerows(table)
    assert {sign for sign in ",;\t" if reckoned(careless.getvalue(), sign, tmp_path / f"careless{ord(sign)}")} == {
        *",;\t"
    }
    for sign in ",;\t":
        assert not reckoned("".join(as_csv(table)), sign, tmp_path / f"careful{ord(sign)}")
    (tmp_path / "book.xlsx").write_bytes(book(table[0], table[1:]))
    office(tmp_path, "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,true", "book.xlsx")
    with (tmp_path / "book.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == table


def office(folder: Path, *words: str) -> None:
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    subprocess.run(
        ["soffice", "--headless", *words], cwd=folder, env=home, check=True, capture_output=True, timeout=120
    )


def reckoned(text: str, delimiter: str, folder: Path) -> list[str]:
    """The formulas that LibreOffice finds in CSV, where its cells are parted by that sign."""
    folder.mkdir()
    (folder / "people.csv").write_text("\ufeff" + text, encoding="utf-8", newline="")
    reading = f"--infilter=Text - txt - csv (StarCalc):{ord(delimiter)},34,76,1,,1033,false,true"
    office(folder, reading, "--convert-to", "fods", "people.csv")
    said = (folder / "people.fods").read_text("utf-8")
    assert "p1" in said
    return re.findall('table:formula="([^"]*)"', said)
