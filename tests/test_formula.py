"""A cell of ours is text in every program, however it parts the file; and import gives back what was written."""

from __future__ import annotations

import csv
import io
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broadcaster.formula import as_csv, bare, guarded

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫−"
# what some program or other skips before it looks for a formula
PASSED = " \t\r\n\0\x0b\x1f\"'\u00a0\u200b\u200e\u202e\ufeff"

pieces = st.sampled_from([*SIGNS, *PASSED, *",;|", "1+1", "a", "ب", "cmd|' /C calc'!A0", "+964 770"])
cells = st.lists(pieces, max_size=9).map("".join) | st.text(max_size=9)
rows = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=4)

ATTACKS = (
    "=cmd|'/C calc'!A0", "+1", "-1", "@SUM(1+1)*cmd|' /C calc'!A0", "\t=1", "\r=1", "\n=1", "\0=1", "\tx", "\rx", "\nx",
    "＝1", "＋1", "－1", "＠SUM", '"=1', "'=1", " =1", "\ufeff=1", "\u200e=1", "a;=1+cmd|'/C calc'!A0;b", 'a;"=1',
    "a\n=1", "a\t=1", "a|=1", "x,=1",
)  # fmt: skip
HARMLESS = (
    "", "Peter O'Brien", "'", "it's, -b", "Doe, John", "a - b", "1+1=2", "a@example.org", "'n Vriend", "\"Rosa\"",
    "محمد-علي", "سلام: =)", "two\n\nlines", "a; b", "''",
)  # fmt: skip


@given(st.lists(cells, max_size=5))
@example(["'=1", "''=1", "'", "\t'=1", "a;''=1"])
def test_what_is_guarded_is_bare_again(row: list[str]) -> None:
    assert bare(list(guarded(row))) == row


@given(rows)
@settings(max_examples=300)
@example([["a;=1", 'b;"=1', 'c;"";=1']])
def test_no_cell_is_a_formula_whichever_sign_parts_them(table: list[list[str]]) -> None:
    text = "".join(as_csv(table))
    for delimiter in ",;\t|":
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            for cell in row:
                # a program may drop the marks around a cell a second time
                assert cell.lstrip('"')[:1] not in {*SIGNS}, (delimiter, cell)
        for cell in re.split(f"[\r\n{delimiter}]", text):
            assert cell.lstrip('"')[:1] not in {*SIGNS}, (delimiter, cell)


@given(rows)
def test_the_file_says_what_was_guarded_to_whoever_reads_it_rightly(table: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO("".join(as_csv(table)), newline="")))
    assert read == [list(guarded(row)) for row in table]


@pytest.mark.parametrize("cell", ATTACKS)
def test_what_may_be_reckoned_is_guarded(cell: str) -> None:
    (guard,) = guarded([cell])
    assert guard != cell
    assert len(guard) == len(cell) + guard.count("'") - cell.count("'")
    assert bare([guard]) == [cell]


@pytest.mark.parametrize("cell", HARMLESS)
def test_ordinary_words_stay_as_they_are(cell: str) -> None:
    assert list(guarded(["x", cell, ""])) == ["x", cell, ""]
    assert bare([cell]) == [cell]


def test_a_cell_that_another_careful_program_wrote_loses_one_apostrophe() -> None:
    assert bare(["'+964 770 123 4567", "'-5", "'=1", "''=1", "'n Vriend"]) == [
        "+964 770 123 4567", "-5", "=1", "'=1", "'n Vriend",
    ]  # fmt: skip


@pytest.mark.parametrize("evil", ["\t", ',"', '"', "'", ";", "'\t", ",'\"", " "])
def test_no_cell_takes_long(evil: str) -> None:
    cell = evil * (32_000 // len(evil)) + "x"
    start = time.process_time()
    assert bare(list(guarded([cell] * 10))) == [cell] * 10
    assert time.process_time() - start < 2
