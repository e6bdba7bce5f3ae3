"""The text part: a document of its own, in the order its readers read, with nothing left of what is not shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.markdown import parse
from broadcaster.plaintext import to_text
from broadcaster.sentinel import Kind, Sentinels

LRM, RLM = "\u200e", "\u200f"
KINDS = {"if": Kind.IF, "else": Kind.MIDDLE, "end": Kind.END, "name": Kind.VALUE}


def text_of(markdown: str, language: str = "en") -> str:
    """The text part, with ‹if›, ‹else›, ‹end› and ‹name› where sentinels stand."""
    sentinels = Sentinels([markdown])
    source = re.sub("‹([a-z]+)›", lambda found: sentinels.make(KINDS[found[1]], 7), markdown)
    text = to_text(parse(source, sentinels), language=language, sentinels=sentinels)
    for word, kind in KINDS.items():
        text = text.replace(sentinels.make(kind, 7), f"‹{word}›")
    assert not sentinels.wounded(text)
    return text


def taken(text: str, *, yes: bool) -> str:
    """The text once the branches are known."""
    return re.sub("‹if›(.*?)‹end›", r"\1" if yes else "", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Title\n\nText\nof one *paragraph* **here**.", "Title\n=====\n\nText of one paragraph here.\n\n"),
        ("## Second\n\n### Third", "Second\n------\n\nThird\n\n"),
        ("- a\n- b\n  - c\n\nd", "- a\n- b\n  - c\n\nd\n\n"),
        ("3. a\n4. b", "3. a\n4. b\n\n"),
        ("- a\n\n  b\n\n- c", "- a\n\n  b\n\n- c\n\n"),
        ("> a\n> b\n>\n> > c", "> a b\n>\n> > c\n\n"),
        ("hard\\\nbreak<br>again", "hard\nbreak\nagain\n\n"),
        ("    x = 1\n    y", "    x = 1\n    y\n\n"),
        ("a `code` & <b>raw</b> &lt; \\*", "a code & raw < *\n\n"),
        ("<div>\n<style>p{}</style><p>raw &amp; bare</p></div>", "raw & bare\n\n"),
        ("![a pump](p.png) ![](pixel.gif)", "[a pump]\n\n"),
        ("one[^1] two[^2]\n\n[^1]: first\n[^2]: second", "one¹ two²\n\n¹ first\n\n² second\n\n"),
        ("a\n\n---\n\nb", "a\n\n* * *\n\nb\n\n"),
        ("水は\n命です\nand", "水は命です and\n\n"),
    ],
)
def test_what_markdown_says_is_said_in_plain_text(markdown: str, text: str) -> None:
    assert text_of(markdown) == text


def test_the_address_of_a_link_stands_below_its_block() -> None:
    text = text_of(
        "See [the letter](https://w.example/a) and [us](mailto:o@w.example).\n\n- third [one](https://w.example/c)"
    )
    assert text == (
        "See the letter [1] and us [2].\n[1] https://w.example/a\n[2] o@w.example\n\n"
        "- third one [3]\n  [3] https://w.example/c\n\n"
    )


def test_a_link_alone_has_its_address_on_the_next_line() -> None:
    assert text_of("**[Sign now](https://w.example/)**") == "Sign now:\nhttps://w.example/\n\n"
    assert text_of("[Will you sign?](https://w.example/)") == "Will you sign?\nhttps://w.example/\n\n"


def test_an_address_is_not_said_twice() -> None:
    assert text_of("go to <https://w.example/x> or <o@w.example>") == "go to https://w.example/x or o@w.example\n\n"


def test_the_address_of_a_link_in_a_branch_stays_in_the_branch() -> None:
    text = text_of("Come ‹if›[here](https://w.example/)‹end› soon")
    assert text == "Come ‹if›here <https://w.example/>‹end› soon\n\n"


def test_a_table_is_read_row_by_row() -> None:
    table = "| Place | When | What |\n|---|---|---|\n| School | 8–12 | tank |\n| Mosque | | tap |"
    assert text_of(table) == "- School\n  When: 8–12\n  What: tank\n- Mosque\n  What: tap\n\n"
    assert text_of("| Year | Sum |\n|---|---|\n| 2025 | 40 |") == "- 2025 — Sum: 40\n\n"


BRANCHES = {
    "paragraph": "before\n\n‹if›\nhere\n‹end›\n\nafter",
    "last paragraph": "before\n\n‹if›\nhere\n‹end›",
    "first paragraph": "‹if›\nhere\n‹end›\n\nafter",
    "heading": "before\n\n‹if›\n## here\n\nmore\n‹end›\n\nafter",
    "item": "- before\n‹if›\n- here\n‹end›\n- after\n\nend",
    "last item": "- before\n‹if›\n- here\n‹end›\n\nend",
    "row": "| a | b |\n|---|---|\n| before | 1 |\n‹if›\n| here | 2 |\n‹end›\n| after | 3 |\n\nend",
    "quote": "before\n\n‹if›\n> here\n‹end›\n\nafter",
}


@pytest.mark.parametrize("markdown", BRANCHES.values(), ids=BRANCHES)
def test_a_branch_that_is_not_taken_leaves_nothing(markdown: str) -> None:
    text = text_of(markdown)
    without = re.sub("‹if›.*?‹end›\n?", "", markdown, flags=re.DOTALL)
    assert "here" in taken(text, yes=True)
    assert taken(text, yes=False) == text_of(without)
    assert "\n\n\n" not in taken(text, yes=True)


def test_items_are_not_numbered_when_their_number_is_not_known() -> None:
    assert text_of("1. a\n‹if›\n1. b\n‹end›\n1. c").startswith("- a\n")


@pytest.mark.parametrize(
    ("line", "language", "starts"),
    [
        ("الماء حياة", "ar", "ا"),
        ("Water for All منظمة مستقلة في البصرة", "ar", RLM),
        ("This is English.", "ar", "T"),
        ("This is ماء in English.", "ar", "T"),
        ("‹name›، توقفت المضخات", "ar", RLM),
        ("‹name›, the pumps stopped", "en", LRM),
        ("ماء is the Arabic word", "en", LRM),
        ("الماء حياة", "en", "ا"),
        ("‹name›", "ckb", "‹"),
        ("The pumps", "en", "T"),
        ("40,000", "en", "4"),
    ],
)
def test_a_line_begins_with_a_letter_of_its_own_direction(line: str, language: str, starts: str) -> None:
    assert text_of(line, language).startswith(starts)


def test_an_underline_stands_on_the_side_of_its_heading() -> None:
    assert text_of("# المضخات", "ar") == f"المضخات\n{RLM}=======\n\n"
    assert text_of("# The pumps", "ar") == "The pumps\n=========\n\n"


def test_groups_of_digits_keep_their_order_behind_arabic() -> None:
    text = text_of("اتصلوا على +964 770 123 4567 قبل 2026-05-04 أو 40,000", "ar")
    assert text == f"اتصلوا على {LRM}+964 770 123 4567 قبل {LRM}2026-05-04 أو 40,000\n\n"


def test_an_address_stands_alone_so_that_it_can_be_followed() -> None:
    text = text_of("وقّعوا [الرسالة](https://w.example/ar/) اليوم", "ar")
    assert text == "وقّعوا الرسالة [1] اليوم\n[1] https://w.example/ar/\n\n"


words = st.text("abcxyz ابجكڕ李،.!", min_size=1).map(str.strip).filter(bool)
blocks = st.one_of(
    words,
    words.map(lambda each: f"- {each}\n- ‹name› x"),
    words.map(lambda each: f"‹if›\n{each}\n‹end›"),
    words.map(lambda each: f"> {each}\n\n‹if›\n## {each}\n‹end›"),
    words.map(lambda each: f"| 1 | 2 |\n|---|---|\n| {each} | ‹name› |\n‹if›\n| {each} | 2 |\n‹end›"),
)


@given(st.lists(blocks, min_size=1, max_size=5), st.sampled_from(["en", "ar", "ckb"]))
def test_every_word_and_every_sentinel_is_there_in_order(parts: list[str], language: str) -> None:
    markdown = "\n\n".join(parts)
    text = text_of(markdown, language)
    assert re.findall("‹[a-z]+›", text) == re.findall("‹[a-z]+›", markdown)
    assert set(re.findall(r"[abcxyz]+|[ابجكڕ]+|李", markdown)) <= set(re.findall(r"[abcxyz]+|[ابجكڕ]+|李", text))
    assert text.removesuffix("‹end›").endswith("\n")
    assert not re.search(r"[ \t]\n", text)


@given(st.text(max_size=60), st.sampled_from(["en", "ar"]))
def test_any_text_has_a_text_part(markdown: str, language: str) -> None:
    assert "\r" not in text_of(markdown.replace("‹", "").replace("\r", ""), language)


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        (
            'See <a class="x" href="https://e.example/?a=1&amp;b=2">this</a>.',
            "See this [1].\n[1] https://e.example/?a=1&b=2\n\n",
        ),
        ("<a href='#note'>this</a> and </a>", "this and\n\n"),
        ("<table><tr><th>Wells</th><td>12</td></tr><tr><td>a</td><td>b</td></tr></table>", "Wells 12\na b\n\n"),
        ('One <img src="a.png" alt="a well">', "One [a well]\n\n"),
        ('<div><a href="https://e.example/">Give</a></div>', "Give <https://e.example/>\n\n"),
        ('See [x <a href="https://e.example/a">y](https://e.example/b)', "See x y [1]\n[1] https://e.example/b\n\n"),
    ],
)
def test_links_and_images_written_as_html_are_not_lost(markdown: str, text: str) -> None:
    assert text_of(markdown) == text


def test_numbers_and_colons_are_those_of_the_language() -> None:
    source = "1. [a](https://e.example/a)\n1. b\n\n[Donner](https://e.example/)\n"
    assert text_of(source, "ckb") == "١. a:\n   https://e.example/a\n٢. b\n\nDonner:\nhttps://e.example/\n\n"
    assert text_of("Go [a](https://e.example/a) now", "fa") == "Go a [۱] now\n[۱] https://e.example/a\n\n"
    assert "Donner\u00a0:\nhttps://e.example/" in text_of(source, "fr")
    assert "Lieu\u00a0: Bassora" in text_of("| a | Lieu |\n|---|---|\n| x | Bassora |\n", "fr-CA")
