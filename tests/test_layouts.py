"""The layouts and their words, the sample statement in them: right in every language, with and without <style>."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from broadcaster import contrast, message, statement, template
from broadcaster.language import direction
from broadcaster.merge import MergeTemplate
from broadcaster.subscriber import Subscriber

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "ar", "ckb")
CATALOGUES = ("en", "ar", "ckb", "fa", "fr")
ADDRESSES = {"en": "12 River Street", "ar": "شارع النهر 12", "ckb": "شەقامی ڕووبار ١٢"}
VOID = {"meta", "br", "hr", "img", "link", "input"}


def layouts() -> dict[str, str]:
    folder = ROOT / "templates"
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.*")}


def laid_out(tag: str, theme: Mapping[str, str] | None = None, own: Mapping[str, str] | None = None) -> MergeTemplate:
    files = {f"{tag}.md": (ROOT / "statements" / "clean-water" / f"{tag}.md").read_text("utf-8")}
    part = statement.parse("clean-water", files, default="en").parts[tag]
    sender = {"name": "Water for All", "address": "news@water.example", "postal_address": ADDRESSES[tag]}
    return template.lay_out(
        part,
        language=tag,
        layouts={**layouts(), **(own or {})},
        settings={"sender": sender, "theme": dict(theme or {})},
        known=frozenset({"city", "chapter"}),
    )


def copy_of(merge: MergeTemplate, **fields: str) -> message.Rendered:
    person = Subscriber(7, "zainab@example.org", name=fields.pop("name", ""), fields=fields)
    copy = message.Copy(
        subscriber=person,
        list_title="Friends",
        list_id="friends.water.example",
        list_name="friends",
        message_id="<1@water.example>",
        leave="mailto:leave@water.example?subject=leave-abc&x=1",
        unsubscribe=(),
        date=1_777_888_999,
    )
    return message.plain(merge, copy)


class Page(HTMLParser):
    """Elements with their attributes, and how deep the deepest is."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.text = ""
        self.feed(source)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "head"} & set(self._open):
            self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", params=LANGUAGES)
def merge(request: pytest.FixtureRequest) -> MergeTemplate:
    return laid_out(request.param)


@pytest.fixture(scope="module")
def page(merge: MergeTemplate) -> Page:
    return Page(copy_of(merge, name="زينب", city="Basra").html)


def test_language_and_direction_stand_on_the_document_and_inside_it(merge: MergeTemplate, page: Page) -> None:
    # webmail drops html and body with their attributes
    want = {"lang": merge.language, "dir": direction(merge.language)}
    wrapper = next(attributes for _, attributes in page.elements if attributes.get("role") == "article")
    for attributes in (page.of("html")[0], wrapper):
        assert {name: attributes.get(name) for name in want} == want


def test_what_is_inlined_is_mirrored(merge: MergeTemplate, page: Page) -> None:
    start, end = ("left", "right") if merge.direction == "ltr" else ("right", "left")
    assert f"border-{start}:4px" in page.of("blockquote")[0]["style"]
    assert f"margin-{start}:24px" in page.of("ul")[0]["style"]
    cells = page.of("th")
    assert cells
    for cell in cells:
        assert f"text-align:{start}" in cell["style"]
    inlined = " ".join(attributes.get("style", "") for _, attributes in page.elements)
    assert f"border-{end}:" not in inlined
    assert f"margin-{end}:24px" in page.of("a")[-1]["style"]
    assert "inline-start" not in inlined


def test_layout_tables_are_no_tables_to_a_screen_reader(page: Page) -> None:
    tables = page.of("table")
    data = [table for table in tables if table.get("role") != "presentation"]
    assert len(data) == 1
    assert all(
        table["cellpadding"] == table["cellspacing"] == table["border"] == "0" for table in tables if table not in data
    )


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_it_is_styled_where_programs_drop_the_style_element(page: Page) -> None:
    for tag in ("h1", "h2", "p", "li", "a", "blockquote", "th", "td"):
        assert page.of(tag)
        assert all(attributes.get("style") for attributes in page.of(tag) if attributes.get("class") != "footnote-ref")


def test_dark_mode_and_phones_survive_inlining(merge: MergeTemplate) -> None:
    styles = "".join(
        re.findall("<style[^>]*>(.*?)</style>", re.sub("<!--.*?-->", "", merge.html, flags=re.DOTALL), re.DOTALL)
    )
    assert "@media (prefers-color-scheme: dark)" in styles
    assert "@media (max-width: 620px)" in styles
    assert "!important" in styles
    assert len(styles) < 16_000
    assert "data-premailer" not in merge.html


def test_a_dark_button_has_an_edge_at_night() -> None:
    night = laid_out("en", {"colour": "#14213d"}).html.partition("prefers-color-scheme: dark")[2]
    edge = re.search(r"\.button td { border: 1px solid (#\w{6}) !important; }", night)
    assert edge
    edge_colour, night_colour = contrast.parsed(edge[1]), contrast.parsed(contrast.NIGHT)
    assert edge_colour
    assert night_colour
    assert contrast.contrast(edge_colour, night_colour) > 3


def test_html_and_text_name_the_sender_the_address_the_list_and_the_way_out(merge: MergeTemplate) -> None:
    copy = copy_of(merge, name="زينب", city="Basra")
    for text in (Page(copy.html).text, copy.text):
        for words in ("Water for All", ADDRESSES[merge.language], "Friends"):
            assert words in text
    assert "mailto:leave@water.example?subject=leave-abc&x=1\n" in copy.text
    assert "mailto:leave@water.example?subject=leave-abc&x=1" in [link.get("href") for link in Page(copy.html).of("a")]
    assert "\n-- \n" in copy.text


def test_the_person_is_greeted_and_the_branch_is_taken(merge: MergeTemplate) -> None:
    city = "Erbil" if merge.language == "ckb" else "Basra"
    here, elsewhere = copy_of(merge, name="Zainab & Co", city=city), copy_of(merge, city="Leeds")
    assert "Zainab & Co" in here.text
    assert "Zainab &amp; Co" in here.html
    assert "Zainab" not in elsewhere.html
    assert len(here.text) > len(elsewhere.text) + 60
    assert "\n\n\n" not in elsewhere.text
    assert not re.search(r"<(p|li|td)[^>]*>\s*</\1>", elsewhere.html)


def test_the_preheader_comes_first_and_only_in_html(merge: MergeTemplate, page: Page) -> None:
    assert page.text.strip().startswith(merge.preheader)
    assert merge.preheader not in merge.text


def test_a_sample_is_far_below_what_gmail_clips(merge: MergeTemplate) -> None:
    assert len(copy_of(merge, name="زينب", city="Basra").html.encode()) < 30_000


def test_a_theme_changes_colour_logo_and_type() -> None:
    theme = {"colour": "#f2c14e", "logo": "https://water.example/logo.png", "font": "Georgia, 'Times New Roman'"}
    page = Page(copy_of(laid_out("en", theme)).html)
    assert page.of("img")[0]["alt"] == "Water for All"
    assert any("f2c14e" in cell.get("style", "") and not cell.get("class") for cell in page.of("td"))
    # dark letters on a light colour
    button = next(link for link in page.of("a") if "padding:13px 28px" in link["style"])
    assert "color:#1d2327" in button["style"].replace(" ", "")
    assert any("Georgia" in cell.get("style", "") for cell in page.of("td"))


def test_a_layout_of_ones_own_replaces_blocks() -> None:
    own = {"statement.html": '{% extends "base.html" %}\n{% block masthead %}{% endblock %}'}
    html = copy_of(laid_out("en", own=own)).html
    assert 'class="masthead"' not in html
    assert 'class="footer"' in html


def test_every_word_of_the_layouts_is_in_every_catalogue() -> None:
    words = {words for text in layouts().values() for words in re.findall(r'\b_\("([^"]+)"', text)} - {"words"}
    assert words
    for tag in CATALOGUES:
        catalogue = read_po(StringIO(layouts()[f"locale/{tag}.po"]), locale=tag)
        said = {str(entry.id): str(entry.string) for entry in catalogue if entry.id}
        assert set(said) == words, tag
        for words_of, translated in said.items():
            assert translated.strip(), (tag, words_of)
            assert re.findall(r"%\(\w+\)s", translated) == re.findall(r"%\(\w+\)s", words_of)
        assert not [error for entry in catalogue for error in entry.check(catalogue)]
        if tag != "en":
            assert not set(said.values()) & words


def test_the_parts_of_the_sample_have_the_same_shape() -> None:
    shapes = set()
    for tag in LANGUAGES:
        source = (ROOT / "statements" / "clean-water" / f"{tag}.md").read_text("utf-8")
        marks = re.findall(r"^(?:#+|- |> |\|)|\]\(|\{%|\{\{|\*\*|\[\^", source, re.MULTILINE)
        shapes.add(tuple(marks))
    assert len(shapes) == 1


# own layouts, words and plurals


def in_layout(
    text: str, language: str = "ar", *, body: str = "Text.\n", subject: str = "S", **extra: str
) -> MergeTemplate:
    part = statement.Part("statements/june/x.md", language, subject, body, extra=extra)
    return template.lay_out(
        part,
        language=language,
        layouts={**layouts(), "statement.txt": text} if text else layouts(),
        settings={"sender": {"name": "W", "address": "news@water.example", "postal_address": "12 River"}, "theme": {}},
        known=frozenset(),
    )


def test_a_signature_stands_below_the_text_in_both_parts() -> None:
    merge = in_layout("", "en", signature="Hanan & team")
    assert 'class="signature"' in merge.html
    assert "Text.\n\nHanan & team\n\n-- \n" in merge.text
    assert "signature" not in re.sub("<style.*?</style>", "", in_layout("", "en").html, flags=re.DOTALL)


NOTED = "Text.[^1]\n\n[^1]: A note.\n"


def test_a_signature_stands_above_the_footnotes() -> None:
    merge = in_layout("", "en", body=NOTED, signature="Hanan")
    assert "Text.¹\n\nHanan\n\n¹ A note.\n\n-- \n" in merge.text
    assert merge.html.index("Hanan") < merge.html.index("A note.") < merge.html.index("12 River")


def test_a_layout_that_knows_no_footnotes_has_them_below_the_text() -> None:
    merge = in_layout("{{ statement.body }}{{ statement.signature }}\n", "en", body=NOTED, signature="Hanan")
    assert merge.text == "Text.¹\n\n¹ A note.\n\nHanan\n"


def test_lines_of_a_layout_and_the_subject_are_ordered_as_the_text_is() -> None:
    merge = in_layout("{{ statement.title }}\n-- \n12\n", "ar", subject="UNICEF: ماء نظيف للبصرة")
    assert merge.subject == "\u200fUNICEF: ماء نظيف للبصرة"
    assert merge.text == "\u200fUNICEF: ماء نظيف للبصرة\n-- \n\u200f12\n"
    assert "<h1" in merge.html
    assert "\u200f" not in merge.html


def test_what_stands_around_the_text_is_isolated_as_the_text_is() -> None:
    subject = "حنان & $12,500 {{ subscriber.name }}"
    page = copy_of(in_layout("", "ar", subject=subject, signature="هاتف +964 770 123"), name="<Kai>").html
    assert 'حنان &amp; <span dir="ltr" style="white-space:nowrap">$12,500</span> <bdi>&lt;Kai&gt;</bdi></h1>' in page
    assert 'هاتف <span dir="ltr" style="white-space:nowrap">+964 770 123</span></p>' in page
    assert "<title>حنان &amp; $12,500 &lt;Kai&gt;</title>" in page


def test_what_is_isolated_in_a_text_part_is_what_it_was() -> None:
    layout = "{{ isolated(statement.title) }}\n{{ statement.body }}"
    merge = in_layout(layout, "ar", subject="حنان & {{ subscriber.name }}")
    assert copy_of(merge, name="<Kai>").text.startswith("حنان & <Kai>\n")


def test_a_button_has_room_in_outlook_and_a_table_has_something_to_scroll_in() -> None:
    merge = in_layout("", "en", body="**[Sign](https://water.example/)**\n\n| a |\n|---|\n| 8:00–12:00 |\n")
    button = next(table for table in Page(merge.html).of("table") if table.get("class") == "button")
    assert button["role"] == "presentation"
    # Outlook heeds padding of a cell, and none of a link
    assert "mso-padding-alt:13px 28px" in merge.html
    assert re.search(r'<div class="scroll"[^>]*overflow-x:auto[^>]*>\s*<table', merge.html)
    assert re.search(r'<td class="figure"[^>]*white-space:nowrap', merge.html)
    assert "tabindex" not in merge.html
    wide = in_layout("", "en", body="| a | b | c | d | e |\n|---|---|---|---|---|\n| 1 | 2 | 3 | 4 | 5 |\n")
    assert 'class="scroll" tabindex="0"' in wide.html


@pytest.mark.parametrize(
    ("layout", "remark"),
    [
        (
            "{% extends 'base.txt' %}\n\n{% block boby %}x{% endblock %}",
            "templates/statement.txt:3: base.txt has no block boby (did you mean body?)",
        ),
        (
            "{% extends 'base.txt' %}\n<p>Hello</p>",
            "templates/statement.txt:2: text outside of blocks is not shown: put it into one",
        ),
        (
            "{{ statement.title }}",
            "templates/statement.txt does not show the text: it has no {{ statement.body }}",
        ),
    ],
)
def test_what_a_layout_leaves_out_is_told_to_the_author(layout: str, remark: str) -> None:
    assert in_layout(layout, "en").remarks == (remark,)


def test_a_block_within_a_block_is_at_its_place() -> None:
    block = "{% block body %}{{ super() }}{% block more %}x{% endblock %}{% endblock %}"
    assert not in_layout(f"{{# c #}}\n{{% extends 'base.txt' %}}\n{{# c #}}\n{block}\n", "en").remarks


def test_lists_and_footnotes_have_the_languages_digits() -> None:
    merge = in_layout("", "ckb", body="1. one\n2. two[^1]\n\n[^1]: A note.\n")
    assert "list-style-type:arabic-indic" in Page(merge.html).of("ol")[0]["style"]
    assert re.search(r'<a href="#fn1"[^>]*>١</a>', merge.html)


def test_a_language_without_a_catalogue_is_told_to_the_author() -> None:
    assert any("no words for sw" in remark for remark in in_layout("", "sw").remarks)
    assert not in_layout("", "fa").remarks


def test_a_word_that_a_catalogue_lacks_is_told_to_the_author() -> None:
    merge = in_layout('{{ _("Donate") }}\n{{ _("Leave this list") }}\n')
    assert [remark for remark in merge.remarks if "words for" in remark] == [
        "templates/locale/ has no ar words for “Donate”"
    ]
    assert merge.text.startswith("Donate")


# Arabic has six forms (CLDR): 0, 1, 2, few, many, other
FORMS = {0: "لا أيام", 1: "يوم", 2: "يومان", 3: "3 أيام", 11: "11 يومًا", 100: "100 يوم"}


@pytest.mark.parametrize("number", FORMS)
def test_plurals_are_those_of_the_language(number: int) -> None:
    one, two, few, many = FORMS[1], FORMS[2], "%(number)s أيام", "%(number)s يومًا"
    forms = [FORMS[0], one, two, few, many, "%(number)s يوم"]
    words = "".join(f'msgstr[{place}] "{form}"\n' for place, form in enumerate(forms))
    catalogue = layouts()["locale/ar.po"] + f'\nmsgid "%(number)s day"\nmsgid_plural "%(number)s days"\n{words}'
    own = {**layouts(), "locale/ar.po": catalogue}
    own["statement.txt"] = f'{{{{ ngettext("%(number)s day", "%(number)s days", {number}) }}}}\n'
    part = statement.Part("statements/june/ar.md", "ar", "S", "Text.\n")
    sender = {"name": "W", "address": "news@water.example", "postal_address": ""}
    merge = template.lay_out(part, language="ar", layouts=own, settings={"sender": sender}, known=frozenset())
    assert merge.text.strip() == FORMS[number]
