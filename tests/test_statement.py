"""The author's files: what a heading may hold, and where each error is."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import StatementError
from broadcaster.statement import Part, parse

# a value of one line; what a heading refuses is tested by itself
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).map(str.strip).filter(bool)


def one(text: str) -> Part:
    return parse("june", {"en.md": text}, default="en").parts["en"]


def test_a_value_is_the_rest_of_its_line() -> None:
    part = one('---\nsubject: Re: "water": *now* # today\npreheader:   40,000 {{ x }}: cut off  \n---\nText.\n')
    assert part.subject == 'Re: "water": *now* # today'
    assert part.preheader == "40,000 {{ x }}: cut off"
    assert part.body == "Text.\n"


@given(VALUES, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_any_value_comes_back_whatever_the_line_ends(value: str, end: str, bom: bool) -> None:
    text = end.join(["---", f"subject: {value}", "---", "One", "", "Two", ""])
    part = one("\ufeff" + text if bom else text)
    assert part.subject == value
    assert part.body == "One\n\nTwo\n"
    assert part.first_line == 4


def test_a_comma_in_quotes_parts_no_names() -> None:
    names = """["a, b.pdf", c.pdf, 'd, "e".pdf', {{ subscriber.f | default("g, h") }}.pdf]"""
    assert one(f"---\nsubject: x\nattachments: {names}\n---\n").attachments == (
        "a, b.pdf",
        "c.pdf",
        'd, "e".pdf',
        '{{ subscriber.f | default("g, h") }}.pdf',
    )


def test_dates_attachments_and_layouts_may_have_a_comment() -> None:
    part = one(
        "---\nsubject: S\ndate: 2026-05-04   # optional\nattachments: [a b.pdf, ب.pdf] # two\nlayout: wide\n---\n"
    )
    assert part.date == datetime.date(2026, 5, 4)
    assert part.attachments == ("a b.pdf", "ب.pdf")
    assert part.layout == "wide"
    assert part.where("date") == "statements/june/en.md:3"


def test_other_keys_are_the_authors_own() -> None:
    assert one("---\nsubject: S\nplace: Basra: the river\n---\n").extra == {"place": "Basra: the river"}


def test_files_are_named_after_their_language() -> None:
    text = "---\nsubject: S\n---\n"
    statement = parse("june", {"en.md": text, "ar_IQ.md": text, "june.md": text}, default="fr")
    assert {tag: part.file for tag, part in statement.parts.items()} == {
        "en": "statements/june/en.md",
        "ar-IQ": "statements/june/ar_IQ.md",
        "fr": "statements/june.md",
    }


WRONG = {
    "no heading at all\n": ("statements/june/en.md:1", "no subject"),
    "---\nsubject:\n---\n": ("statements/june/en.md:2", "no subject"),
    "---\nsubjct: S\n---\n": ("statements/june/en.md:1", "no subject"),
    "---\nsubject: S\n": ("statements/june/en.md:1", "does not end"),
    "---\nsubject: S\nnonsense\n---\n": ("statements/june/en.md:3", "key: value"),
    "---\nsubject: S\nsubject: T\n---\n": ("statements/june/en.md:3", "twice"),
    "---\nsubject: S\ndate: May 4\n---\n": ("statements/june/en.md:3", "not a date"),
    "---\nsubject: S\nlayout: ../x\n---\n": ("statements/june/en.md:3", "layout"),
    "---\nsubject: S\nattachments: [a.pdf\n---\n": ("statements/june/en.md:3", "bracket"),
    "---\nsubject: S\nattachments: a.pdf, a.pdf\n---\n": ("statements/june/en.md:3", "twice"),
    "---\nsubject: S\n---\nText\0\n": ("statements/june/en.md:4", "U+0000"),
    "---\nsubject: S\x1b[2J\n---\n": ("statements/june/en.md:2", "U+001B"),
    "---\nsubject: S\u2028Bcc: x\n---\n": ("statements/june/en.md:2", "U+2028"),
    "---\nsubject: S\x85Bcc: x\n---\n": ("statements/june/en.md:2", "U+0085"),
}


@pytest.mark.parametrize("text", WRONG)
def test_each_error_has_its_line(text: str) -> None:
    where, words = WRONG[text]
    with pytest.raises(StatementError) as error:
        one(text)
    assert error.value.where == where
    assert words in error.value.message
    assert error.value.hint


def test_a_misspelt_subject_is_recognised() -> None:
    with pytest.raises(StatementError) as error:
        one("---\nsubjct: S\n---\n")
    assert error.value.hint == "did you mean 'subject:' by 'subjct:'?"


def test_a_file_that_is_no_language_and_two_of_one_are_refused() -> None:
    text = "---\nsubject: S\n---\n"
    with pytest.raises(StatementError, match="not a language"):
        parse("june", {"english.md": text}, default="en")
    with pytest.raises(StatementError, match="same language"):
        parse("june", {"ar-IQ.md": text, "ar_iq.md": text}, default="en")
    with pytest.raises(StatementError, match="has no text"):
        parse("june", {}, default="en")


@given(st.text())
def test_any_text_is_a_part_or_an_error_with_a_place(text: str) -> None:
    place = "statements/june/en.md:1"
    try:
        place = one(text).where("subject")
    except StatementError as error:
        place = error.where or ""
    assert place.startswith("statements/june/en.md:")
