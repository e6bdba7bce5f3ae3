"""Which way text runs: what is in the other direction, or in any, keeps its own order and disturbs no other's."""

from __future__ import annotations

import re
import time

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
        ("قالت Water for All (WFA): لا", '<span dir="ltr">Water for All (WFA)</span>: لا'),
        ("قالت UNICEF (اليونيسف) لا", '<span dir="ltr">UNICEF</span> (اليونيسف)'),
        ("قالت UNICEF، IOM لا", '<span dir="ltr">UNICEF</span>، <span dir="ltr">IOM</span>'),
        ("قال: We stand by you, and come. ثم", 'قال: <span dir="ltr">We stand by you, and come</span>. ثم'),
        ('قال: He said "go (all) home" now ثم', '<span dir="ltr">He said &quot;go (all) home&quot; now</span>'),
        ("قال: We stand\nby you ثم", '<span dir="ltr">We stand\nby you</span>'),
        ("قال: We **stand** by you ثم", '<span dir="ltr">We <strong>stand</strong> by you</span>'),
        ("قال: **We stand** by you ثم", '<span dir="ltr"><strong>We stand</strong> by you</span>'),
        ("قال: run `ls -l` now ثم", '<span dir="ltr">run <code dir="ltr">ls -l</code> now</span>'),
        ("قال: see [the site](https://w.example/) now", '<span dir="ltr">see <a href="https://w.example/" dir="ltr">'),
        ("قال: Dear ‹name›, come ثم", '<span dir="ltr">Dear <bdi>‹name›</bdi>, come</span>'),
        # what bold cuts in two is left to the algorithm, which keeps it together
        ("قال: We **stand نحن** معكم", "قال: We <strong>stand نحن</strong>"),
        ("قال: We ‹if›really ‹end›stand ثم", "قال: We ‹if›really ‹end›stand ثم"),
        ("دفع IQD 25,000 ثم", '<span dir="ltr">IQD 25,000</span> ثم'),
        ("دفع 3.5 million ثم", '3.5 <span dir="ltr">million</span>'),
        ("دفع $12,500. ثم", '<span dir="ltr" style="white-space:nowrap">$12,500</span>. ثم'),
        ("دفع 12,500€ ثم", '<span dir="ltr" style="white-space:nowrap">12,500€</span> ثم'),
        ("دفع €3.5m ثم", '<span dir="ltr">€3.5m</span> ثم'),
        ("دفع $3.5 million. ثم", '<span dir="ltr">$3.5 million</span>. ثم'),
        ("بلغت −3%، ثم", '<span dir="ltr" style="white-space:nowrap">−3%</span>، ثم'),
        ("بلغت 36.5°C ثم", '<span dir="ltr">36.5°C</span> ثم'),
        ("بلغت 50° ثم", '<span dir="ltr" style="white-space:nowrap">50°</span> ثم'),
        ("على (+964) 770 123، ثم", '<span dir="ltr" style="white-space:nowrap">(+964) 770 123</span>، ثم'),
        ("على +44 (0) 20 794، ثم", '<span dir="ltr" style="white-space:nowrap">+44 (0) 20 794</span>، ثم'),
        ("على (0770 123) ثم", '(<span dir="ltr" style="white-space:nowrap">0770 123</span>) ثم'),
        ("المادة 12 (3) ثم", "المادة 12 (3) ثم"),
        ("وUNICEF للأطفال", 'و<span dir="ltr">UNICEF</span> للأطفال'),
        ("قال و**Bold words** ثم", 'و<strong><span dir="ltr">Bold words</span></strong>'),
        ("على ل+964 770 123م", 'ل<span dir="ltr" style="white-space:nowrap">+964 770 123</span>م'),
        ("بلغت -5.5 درجة", '<span dir="ltr" style="white-space:nowrap">-5.5</span> درجة'),
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
        ("Said: لا يصلح للشرب، ونحن معها. He", 'Said: <span dir="rtl">لا يصلح للشرب، ونحن معها</span>. He'),
        ("Said: في 2026 عام. He", '<span dir="rtl">في 2026 عام</span>. He'),
        ("The words ماء, نهر are", '<span dir="rtl">ماء</span>, <span dir="rtl">نهر</span>'),
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


def test_a_foreign_name_makes_no_block_its_own() -> None:
    letter = "This is a long letter in English by حنان, who is home."
    assert html_of(letter, "rtl").startswith('<p dir="ltr">This is a long letter in English by <span dir="rtl">حنان')
    assert html_of("Water for All في العراق", "rtl").startswith('<p><span dir="ltr">')


def test_a_name_alone_stays_on_the_side_of_its_page() -> None:
    assert html_of("UNICEF", "rtl") == '<p><span dir="ltr">UNICEF</span></p>'


def test_a_cell_or_an_item_is_isolated_within_its_column() -> None:
    assert html_of("- Water for All\n- نعم", "rtl").startswith('<ul>\n<li><span dir="ltr">Water for All</span></li>')
    assert '<td><span dir="ltr">Water for All</span></td>' in html_of(
        "| أ | ب |\n|---|---|\n| Water for All | نعم |", "rtl"
    )


@given(st.text("ab 12+-().,:،ابچ «»*`[$\n", max_size=40), st.sampled_from(["ltr", "rtl"]))
def test_isolation_adds_no_word_and_takes_none(words: str, document: Direction) -> None:
    def plain(html: str) -> str:
        return re.sub(r"</?(?:span|bdi)[^>]*>| dir=\"...\"", "", html)

    sentinels = Sentinels([words])
    assert plain(html_of(words, document)) == plain(to_html(parse(words, sentinels)).strip())


def test_a_column_begins_where_its_lines_do() -> None:
    table = "| أ | ب | ج |\n|:--|:-:|--:|\n| أ | ب | ج |"
    assert re.findall('<td style="text-align:(.*?)">', html_of(table, "rtl")) == ["right", "center", "right"]
    assert re.findall('<td style="text-align:(.*?)">', html_of(table, "ltr")) == ["left", "center", "right"]


@given(st.text("ab 12+-().,:،ابچ «»", min_size=1, max_size=40), st.sampled_from(["ltr", "rtl"]))
def test_an_ordered_line_begins_the_way_its_page_runs_unless_it_is_foreign(line: str, document: Direction) -> None:
    sentinels = Sentinels([line])
    ordered = bidi.ordered(line, document, sentinels)
    first = next((found for sign in ordered if (found := bidi.way(sign)) is not None), "ltr")
    letters = {found for sign in line if (found := bidi.way(sign)) is not None}
    if line.strip() and len(line.split()) < 5:
        assert first == (letters.pop() if len(letters) == 1 else document)
    assert re.sub("[\u200e\u200f]", "", ordered) == line
    assert bidi.ordered(ordered, document, sentinels) == ordered


def test_a_line_with_much_of_another_script_is_still_of_its_page() -> None:
    sentinels = Sentinels([])
    for line in ("قالت Water for All (WFA): We stand with you, and come.", "رابط 40 we all"):
        assert bidi.ordered(line, "rtl", sentinels) == line
    assert bidi.ordered("UNICEF: ماء نظيف", "rtl", sentinels) == "\u200fUNICEF: ماء نظيف"
    letter = "This is a long letter in English by حنان, who is home."
    assert bidi.ordered(letter, "rtl", sentinels) == letter


def test_an_address_does_not_turn_the_line_it_stands_in() -> None:
    sentinels = Sentinels([])
    for line in ("رابط: https://water.example/a/long/way", "راسلوا: the.whole.office@water.example"):
        assert bidi.ordered(line, "rtl", sentinels) == line
    assert bidi.ordered("https://water.example/", "rtl", sentinels) == "https://water.example/"


@pytest.mark.parametrize(
    "whole",
    [
        "https://water.example/report-2026-05-04",
        "https://water.example/x(1)-2-3?at=+964",
        "www.water.example/a/10-12-2026",
        "team-24-7@water.example",
        "WATER-2026-06",
        "A-12-2026-06",
        "ISO:9001-2015",
    ],
)
def test_what_is_copied_from_a_line_has_no_mark_inside(whole: str) -> None:
    sentinels = Sentinels([])
    assert bidi.ordered(f"انظروا {whole} الآن", "rtl", sentinels) == f"انظروا {whole} الآن"


def test_an_address_with_a_value_has_no_mark_inside() -> None:
    sentinels = Sentinels([])
    town = sentinels.make(Kind.VALUE, 1)
    line = f"انظروا https://water.example/{town}-2026-05-04 أو {town}-2026-06 الآن"
    assert bidi.ordered(line, "rtl", sentinels) == line


@pytest.mark.parametrize("group", ["+964 770 123 4567", "$12,500", "€3.5m", "-5", "2026-05-04", "50°C", "(+964) 770 1"])
def test_a_group_of_digits_has_one_mark_before_it(group: str) -> None:
    assert bidi.ordered(f"دفع {group} ثم", "rtl", Sentinels([])) == f"دفع \u200e{group} ثم"


@pytest.mark.parametrize("piece", ["1,", "1 ", "(1) ", "12(34)", "a-", "a@", "$1", "+(", "www.", "x.y:"])
def test_long_lines_are_ordered_in_no_time(piece: str) -> None:
    line = "ماء " + piece * 20_000
    began = time.perf_counter()
    bidi.ordered(line, "rtl", Sentinels([]))
    html_of(line, "rtl")
    assert time.perf_counter() - began < 10
