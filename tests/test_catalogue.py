"""A .po file is read whole, or is an error with its line: what other programs keep in it is theirs."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import catalogue
from broadcaster.errors import StatementError
from tests.test_template import BODY, laid, page, refused, shown

FILE = "templates/locale/ar.po"
TEXTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"], include_characters='\n\t"\\'), min_size=1)


def read(text: str, language: str = "ar") -> catalogue.Catalogue:
    return catalogue.read(text, FILE, language)


def heading(*lines: str) -> str:
    return 'msgid ""\nmsgstr ""\n' + "".join(f'"{line}\\n"\n' for line in lines)


LEAVE = '\nmsgid "Leave"\nmsgstr "إلغاء"\n'


@given(st.dictionaries(TEXTS, TEXTS, max_size=5), st.dictionaries(TEXTS, st.tuples(TEXTS, TEXTS), max_size=3))
def test_what_another_program_wrote_is_read_as_it_was_meant(
    words: dict[str, str], counted: dict[str, tuple[str, str]]
) -> None:
    made = Catalog(locale="de", charset="utf-8")
    for text, said in words.items():
        made.add(text, said)
    for one, forms in counted.items():
        if one not in words:
            made.add((one, "x"), forms)
    write_po(file := io.BytesIO(), made, width=20)
    found = read(file.getvalue().decode(), "de")
    assert found.words == words
    for one, forms in counted.items():
        if one not in words:
            assert (found.said_of(1, one), found.said_of(2, one)) == forms


@pytest.mark.parametrize(
    "line",
    [
        "POT-Creation-Date: notadate",
        "PO-Revision-Date: 2020-99-99",
        "POT-Creation-Date: YEAR-MO-DA HO:MI+ZONE",
        "Content-Type: text/plain; charset=foo",
        "Content-Type: text/plain; charset=CHARSET",
        "Content-Type: text/plain; charset=iso-8859-6",
        "Language: !!",
        "no colon",
    ],
)
def test_what_a_heading_tells_other_programs_costs_nothing(line: str) -> None:
    assert read(heading(line) + LEAVE).said("Leave") == "إلغاء"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('msgid "x', 1),
        ('msgid "x"', 1),
        ('msgid "x"\nmsgstr "y\n', 2),
        ('msgid "x"\nmsgid "y"\nmsgstr "z"\n', 1),
        ('msgid "x"\nmsgstr "y"\nmsgstr "z"\n', 3),
        ('msgid "x"\nmsgstr[1] "y"\n', 1),
        ('msgstr "y"\n', 1),
        ('# a\n\n"y"\n', 3),
        ("msgid x\n", 1),
        ('msgid "x"\nmsgstr "y" z\n', 2),
        ('msgid "x"\nmsgstr[1000000000] "y"\n', 2),
        ('msgid "x"\nmsgstr "y\0"\n', 2),
        (heading("A: b", "Plural-Forms: nplurals=999999999; plural=0;"), 4),
        (heading("Plural-Forms: nplurals=2; plural=__import__('os');"), 3),
        (heading("Plural-Forms: nplurals=2; plural=" + "(" * 300 + "n;"), 3),
        (heading("Plural-Forms: nplurals=2; plural=n>1;") + 'msgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\n', 0),
        (
            heading("Plural-Forms: nplurals=1; plural=0;")
            + 'msgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\nmsgstr[1] "d"\n',
            3,
        ),
    ],
)
def test_what_is_no_catalogue_is_an_error_with_its_line(
    text: str, line: int, capsys: pytest.CaptureFixture[str]
) -> None:
    if not line:
        assert read(text).said_of(2, "a") is None
        return
    with pytest.raises(StatementError) as error:
        read(text)
    assert error.value.where == f"{FILE}:{line}"
    # whoever asked for JSON gets nothing else
    assert capsys.readouterr() == ("", "")


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(['msgid "', "msgstr ", '"', "\n", "\\", "x", "#, fuzzy", "[1]"])).map("".join)
)
def test_any_text_is_a_catalogue_or_an_error_of_ours(text: str) -> None:
    with suppress(StatementError):
        read(text)


def test_what_is_guessed_or_not_translated_is_said_in_english() -> None:
    found = read('#, fuzzy\nmsgid "a"\nmsgstr "b"\n\nmsgid "c"\nmsgstr ""\n\n#~ msgid "d"\n#~ msgstr "e"\n' + LEAVE)
    assert dict(found.words) == {"Leave": "إلغاء"}
    assert found.said("a") is None


def test_a_catalogue_without_plural_forms_has_those_of_its_language() -> None:
    six = "".join(f'msgstr[{place}] "{place}"\n' for place in range(6))
    found = read(f'msgid "day"\nmsgid_plural "days"\n{six}')
    assert [found.said_of(number, "day") for number in (0, 1, 2, 3, 11, 100)] == ["0", "1", "2", "3", "4", "5"]


def test_an_error_in_a_catalogue_is_said_with_its_file() -> None:
    layouts = {**page("{{ _('Leave') }}{{ statement.body }}"), "locale/ar.po": 'msgid "x'}
    assert refused("x\n", layouts, language="ar").where == "templates/locale/ar.po:1"
    layouts["locale/ar.po"] = heading("POT-Creation-Date: notadate") + LEAVE
    assert "إلغاء" in shown(laid("x\n", layouts, language="ar"))


@pytest.mark.parametrize(
    ("layout", "body", "where"),
    [
        (BODY + "\n\n<p>\0</p>", "", "templates/statement.html:4"),
        (BODY + r'{{ "\x00" }}', "", "templates/statement.html"),
        (BODY + r'{{ "\r" }}', "", "templates/statement.html"),
        (BODY, r'{{ "\x00" }}', "statements/june/en.md:4"),
        (BODY, r"""{% set x = "\x00" %}{{ x }}""", "statements/june/en.md:4"),
        (BODY, r'{{ "\ufdd1" }}', "statements/june/en.md:4"),
    ],
)
def test_neither_layout_nor_statement_prints_a_control_character(layout: str, body: str, where: str) -> None:
    error = refused(body, page(layout))
    assert error.where == where
    assert "control character" in error.message
