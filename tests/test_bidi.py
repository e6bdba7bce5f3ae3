"""Which way text runs: what is in the other direction, or in any, keeps its own order and disturbs no other's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import bidi
from broadcaster.language import Direction
from broadcaster.markdown import parse, to_html
from broadcaster.sentinel import Kind, Sentinels


def html_of(markdown: str, document: Direction) -> str:
    """The HTML of isolated Markdown, with ‹name› and ‹if› … ‹end› where sentinels stand."""
    kinds = {"name": Kind.VALUE, "if": Kind.IF, "end": Kind.END}
    sentinels = Sentinels([markdown])
    source = re.sub("‹([a-z]+)›", lambda found: sentinels.make(kinds[found[1]], 7), markdown)
    tokens = parse(source, sentinels)
    bidi.isolate(tokens, document, sentinels)
    html = to_html(tokens)
    for word, kind in kinds.items():
        html = html.replace(sentinels.make(kind, 7), f"‹{word}›")
    return html.strip()


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("على +964 770 123 4567 الآن", '<span dir="ltr" style="white-space:nowrap">+964 770 123 4567</span> الآن'),
        ("في 2026-05-04 مساءً", 'في <span dir="ltr" style="white-space:nowrap">2026-05-04</span> مساءً'),
        ("من 8:00–12:00 صباحًا", "من 8:00–12:00 صباحًا"),
        ("دفع 40,000 دينار", "دفع 40,000 دينار"),
        ("قالت Water for All (WFA): لا", '<span dir="ltr">Water for All</span> (<span dir="ltr">WFA</span>)'),
        ("بلغة C++، ثم", '<span dir="ltr">C++</span>،'),
        ("جائحة COVID-19 انتهت", '<span dir="ltr">COVID-19</span>'),
        ("راسل office@water.example الآن", '<span dir="ltr">office@water.example</span>'),
        ("زر https://water.example/ar?x=1 الآن", '<span dir="ltr">https://water.example/ar?x=1</span>'),
        ("زر <https://water.example/> الآن", '<a href="https://water.example/" dir="ltr">'),
        ("اكتب `ls -l` هنا", '<code dir="ltr">ls -l</code>'),
        ("انظر [the letter](https://w.example/) الآن", '<a href="https://w.example/" dir="ltr">'),
        ("تحية ‹name›،", "تحية <bdi>‹name›</bdi>،"),
        ("‹if›نعم UNICEF‹end› لا", '‹if›نعم <span dir="ltr">UNICEF</span>‹end› لا'),
    ],
)  # fmt: skip
def test_a_right_to_left_page_isolates_what_runs_to_the_right(markdown: str, html: str) -> None:
    assert html in html_of(markdown, "rtl")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("He said مرحبا بكم, and left", 'He said <span dir="rtl">مرحبا بكم</span>, and left'),
        ("Call +964 770 123 4567 now", "Call +964 770 123 4567 now"),
        ("Dear ‹name›, hello", "Dear <bdi>‹name›</bdi>, hello"),
        ("<https://water.example/>", '<a href="https://water.example/">'),
    ],
)
def test_a_left_to_right_page_isolates_what_runs_to_the_left(markdown: str, html: str) -> None:
    assert html in html_of(markdown, "ltr")


def test_a_block_of_the_other_direction_says_so() -> None:
    assert html_of("All of this is English.", "rtl") == '<p dir="ltr">All of this is English.</p>'
    assert html_of("## All English", "rtl") == '<h2 dir="ltr">All English</h2>'
    assert html_of("كل هذا عربي", "ltr") == '<p dir="rtl">كل هذا عربي</p>'


def test_a_name_alone_stays_on_the_side_of_its_page() -> None:
    assert html_of("UNICEF", "rtl") == '<p><span dir="ltr">UNICEF</span></p>'


def test_a_cell_or_an_item_is_isolated_within_its_column() -> None:
    assert html_of("- Water for All\n- نعم", "rtl").startswith('<ul>\n<li><span dir="ltr">Water for All</span></li>')
    assert '<td><span dir="ltr">Water for All</span></td>' in html_of(
        "| أ | ب |\n|---|---|\n| Water for All | نعم |", "rtl"
    )


@given(st.text("ab 12+-().,:،ابچ «»", max_size=40), st.sampled_from(["ltr", "rtl"]))
def test_isolation_adds_no_word_and_takes_none(words: str, document: Direction) -> None:
    def plain(html: str) -> str:
        return re.sub(r"</?(?:span|bdi)[^>]*>|(?<=<[ph]) dir=\"...\"|(?<=<h[12]) dir=\"...\"", "", html)

    sentinels = Sentinels([words])
    assert plain(html_of(words, document)) == plain(to_html(parse(words, sentinels)).strip())


@given(st.text("ab 12+-().,:،ابچ «»", min_size=1, max_size=40), st.sampled_from(["ltr", "rtl"]))
def test_an_ordered_line_begins_the_way_most_of_it_runs(line: str, document: Direction) -> None:
    sentinels = Sentinels([line])
    ordered = bidi.ordered(line, document, sentinels)
    first = next((found for sign in ordered if (found := bidi.way(sign)) is not None), "ltr")
    if line.strip():
        assert first == bidi.lean(line, document)
    assert re.sub("[\u200e\u200f]", "", ordered) == line
