"""Laying out: what the recipient decides is put aside and comes back, and nothing else is touched."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broadcaster import message
from broadcaster.errors import StatementError
from broadcaster.merge import MergeTemplate
from broadcaster.statement import Part
from broadcaster.template import lay_out
from tests.test_message import MAIL, VALUES, copy_for, fit_for_smtp, same

TITLE = "<title>{{ statement.subject }}</title>"
BODY = "{{ statement.body }}"
SENDER = {"name": "Water *for* <All>", "address": "news@water.example", "postal_address": "12 River Street"}
KNOWN = frozenset(["city", "topics", "site", "items", "age"])


def page(body: str = BODY, head: str = "") -> dict[str, str]:
    return {"statement.html": f"<!DOCTYPE html>\n<html><head>{head}</head><body>{body}</body></html>\n"}


LAYOUTS = {**page(head=TITLE), "statement.txt": BODY}


def laid(
    body: str = "Text.\n",
    layouts: Mapping[str, str] | None = None,
    *,
    subject: str = "Hello",
    language: str = "en",
    theme: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    first_line: int = 4,
) -> MergeTemplate:
    part = Part("statements/june/en.md", language, subject, body, first_line, extra=extra or {}, lines={"subject": 2})
    return lay_out(
        part,
        language=language,
        layouts={**LAYOUTS, **(layouts or {})},
        settings={"sender": SENDER, "theme": theme or {}},
        known=KNOWN,
    )


def seen(merge: MergeTemplate, name: str = "", **fields: str) -> str:
    """The text part for a person, without the marks that order mixed scripts."""
    return re.sub("[\u200e\u200f]", "", message.plain(merge, copy_for(name, fields)).text)


def shown(merge: MergeTemplate, name: str = "", **fields: str) -> str:
    """The HTML for a person, likewise."""
    html = message.plain(merge, copy_for(name, fields)).html
    html = re.sub(r"\s*\n\s*", "", html.partition("<body>")[2].partition("</body>")[0])
    return re.sub('</?bdi>| dir="ltr"| scope="col"', "", html)


def refused(*args: Any, **options: Any) -> StatementError:
    with pytest.raises(StatementError) as error:
        laid(*args, **options)
    assert error.value.where
    assert "\n" not in error.value.message
    return error.value


# what is put aside


def test_values_come_back_with_the_filter_of_their_place() -> None:
    merge = laid(
        "{{ subscriber.city }} [a]({{ subscriber.site }}) "
        "[b](https://x.example/{{ subscriber.city }}?n={{ subscriber.name|upper }})\n\n"
        "![{{ subscriber.name }}](https://x.example/a.png) "
        "[c](mailto:{{ subscriber.email }}?subject={{ subscriber.city }})\n"
    )
    assert "<bdi>{{ subscriber.city | as_text }}</bdi>" in merge.html
    assert 'href="{{ subscriber.site | as_url }}"' in merge.html
    assert (
        'href="https://x.example/{{ subscriber.city | as_url_part }}?n={{ subscriber.name|upper | as_url_part }}"'
        in merge.html
    )
    assert 'alt="{{ subscriber.name | as_attribute }}"' in merge.html
    assert (
        'href="mailto:{{ subscriber.email | as_mailbox_part }}?subject={{ subscriber.city | as_url_part }}"'
        in merge.html
    )
    assert "{{ subscriber.city | as_plain }} a" in merge.text
    assert "https://x.example/{{ subscriber.city | as_url_part }}?n=" in merge.text


def test_an_expression_keeps_its_meaning_before_the_filter() -> None:
    merge = laid('{{ subscriber.city or "?" }}{{ "a" if subscriber.city else "b" }}{{ subscriber.city ~ "<" }}\n')
    assert shown(merge, city="B") == "<p>BaB&lt;</p>"
    assert shown(merge) == "<p>?b&lt;</p>"


def test_constants_are_filled_in_and_mean_nothing_in_markdown() -> None:
    merge = laid("{{ sender.name }} and {{ statement.place }}\n", extra={"place": "_Basra_ | `x`"})
    assert shown(merge) == "<p>Water *for* &lt;All&gt; and _Basra_ | `x`</p>"
    assert seen(merge) == "Water *for* <All> and _Basra_ | `x`\n"
    assert seen(laid('{{ "*a*" }} and {{ "*b*" if sender.name }}\n')) == "*a* and *b*\n"


def test_a_deferred_tag_takes_the_constants_it_reads_with_it() -> None:
    merge = laid(
        '{% for place in ["Bas\'ra", "Mosul"] %}\n{% if subscriber.city == place ~ statement.mark %}'
        "\nIn {{ place }}\n{% endif %}\n{% endfor %}\n",
        extra={"mark": "!"},
    )
    assert "subscriber.city == \"Bas'ra\" ~ '!'" in merge.html
    assert shown(merge, city="Mosul!") == "<p>In Mosul</p>"


def test_names_set_or_looped_from_the_recipient_count_as_the_recipient() -> None:
    merge = laid(
        "{% set first = subscriber.name.split()[0] %}\nDear {{ first | default('friend') }},\n\n"
        "{% for topic in subscriber.topics.split(',') %}\n- {{ loop.index }} {{ topic }}\n{% endfor %}\n"
    )
    assert shown(merge, "Ali Hassan", topics="a,b") == "<p>Dear Ali,</p><ul><li>1 a</li><li>2 b</li></ul>"
    assert shown(merge) == "<p>Dear friend,</p><ul></ul>"


def test_what_is_set_in_a_branch_over_the_recipient_depends_on_the_recipient() -> None:
    merge = laid(
        '{% if subscriber.city %}{% set word = "Hi" %}{% else %}{% set word = "Hello" %}{% endif %}{{ word }}\n'
    )
    assert seen(merge, city="B").strip() == "Hi"
    assert seen(merge).strip() == "Hello"


def test_the_same_name_in_two_scopes_stays_two_names() -> None:
    layout = page("{% block a %}{% set n = subscriber.city %}{{ n }}{% endblock %}/{{ statement.body }}/")
    merge = laid("{% set n = subscriber.name %}{{ n }}\n", layout)
    assert shown(merge, "Ali", city="Basra") == "Basra/<p>Ali</p>/"


def test_a_name_that_shadows_a_root_is_not_the_root() -> None:
    merge = laid(
        "{% for list in ['x'] %}{{ list }}{% endfor %}"
        "{% for links in subscriber.topics.split() %}{{ links }}{% endfor %}\n"
    )
    assert shown(merge, topics="a b") == "<p>xab</p>"


def test_the_subject_may_read_the_recipient_and_stand_anywhere() -> None:
    merge = laid("{{ statement.subject }}\n", subject="For {{ subscriber.name | default('you') }}: *now*")
    assert merge.subject == "For {{ subscriber.name | default('you') | as_header }}: *now*"
    assert "<title>For {{ subscriber.name | default('you') | as_text }}: *now*</title>" in merge.html
    assert shown(merge, "A<b>") == "<p>For A&lt;b&gt;: *now*</p>"


def test_a_text_that_reads_the_recipient_cannot_be_looked_into() -> None:
    for use in (
        "statement.subject | upper",
        "statement.subject[:3]",
        "statement.subject == 'a'",
        "statement.subject | length",
    ):
        error = refused(layouts=page(f"{{{{ {use} }}}}"), subject="{{ subscriber.name }}")
        assert "reads the recipient" in error.message
        assert error.where == "templates/statement.html:2"


def test_words_with_gaps_for_the_recipient_are_filled_later() -> None:
    words = (
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "On %(list)s"\nmsgstr "على %(list)s"\n'
    )
    merge = laid(
        "x\n",
        {**page("{{ _('On %(list)s', list=list.title) }} {{ _('On %(list)s', list='y') }}"), "locale/ar.po": words},
        language="ar",
    )
    assert shown(merge) == "على News على y"
    assert merge.direction == "rtl"


def test_without_words_for_a_language_the_footer_is_english_and_that_is_said() -> None:
    merge = laid("x\n", page(f"{{{{ _('Leave') }}}}{BODY}"), language="ckb")
    assert "Leave" in merge.html
    assert merge.remarks == ("templates/locale/ has no words for ckb: the footer is in English",)


def test_braces_that_are_no_jinja_stay_braces() -> None:
    merge = laid(
        "{% raw %}{{ 7 * 7 }} {% if %}{% endraw %} `{#`\n".replace("{#", "{{ '{#' }}"), theme={"logo": "{{ 1 }}"}
    )
    assert shown(merge) == "<p>{{ 7 * 7 }} {% if %} <code>{#</code></p>"
    assert seen(laid("{{ sender.x }}\n".replace("sender.x", "'{{ 7*7 }}'"))) == "{{ 7*7 }}\n"


def test_fields_may_be_named_like_methods() -> None:
    assert shown(laid("{{ subscriber.items }}\n"), items="three") == "<p>three</p>"


def test_a_missing_field_is_false_empty_and_replaced_by_a_default() -> None:
    body = (
        "{{ subscriber.city }}|{{ subscriber.city | default('d') }}|{{ subscriber.city | upper }}|"
        "{{ subscriber.age | int + 1 }}|"
        "{{ subscriber.city.split()[0].upper() }}|{{ 'a' ~ subscriber.city }}|{{ 'a' + subscriber.city }}|"
        "{% if subscriber.city %}1{% endif %}{% if subscriber.city == 'B' %}2{% endif %}"
        "{% if subscriber.city < 'B' %}3{% endif %}"
        "{% if 'B' in subscriber.city %}4{% endif %}{% if subscriber.city == subscriber.site %}5{% endif %}"
        "{% if subscriber.city is defined %}6{% endif %}{% for x in subscriber.city | split %}7{% endfor %}\n"
    )
    assert seen(laid(body)) == "|d||1||a|a|\n"


def test_the_same_in_is_the_same_out() -> None:
    assert laid("{{ subscriber.name }}\n").to_json() == laid("{{ subscriber.name }}\n").to_json()


# lines


def test_a_tag_alone_on_its_line_takes_paragraph_item_and_row_with_it() -> None:
    merge = laid(
        "One\n{% if subscriber.city %}\nTwo\n{% endif %}\nThree\n\n"
        "- a\n{% if subscriber.city %}\n- b\n{% endif %}\n- c\n\n"
        "| h |\n|---|\n| 1 |\n{% if subscriber.city %}\n| two |\n{% endif %}\n| three |\n"
    )
    head = '<div class="scroll"><table><thead><tr><th>h</th></tr></thead><tbody><tr><td class="figure">1</td></tr>'
    rest = "<tr><td>three</td></tr></tbody></table></div>"
    assert shown(merge) == f"<p>One</p><p>Three</p><ul><li>a</li><li>c</li></ul>{head}{rest}"
    assert "<li>b</li>" in shown(merge, city="B")
    assert "<tr><td>two</td></tr>" in shown(merge, city="B")
    assert "\n\n\n" not in seen(merge)


def test_a_constant_tag_alone_on_its_line_leaves_no_trace() -> None:
    merge = laid(
        "- a\n{% if statement.place %}\n- b\n{% endif %}\n- c\n\n{% set x = 1 %}\nEnd {{ x }}\n", extra={"place": "y"}
    )
    assert shown(merge) == "<ul><li>a</li><li>b</li><li>c</li></ul><p>End 1</p>"


@pytest.mark.parametrize(
    ("body", "with_city", "without"),
    [
        ("{% if subscriber.city %}Whole.{% endif %}\n", "<p>Whole.</p>", ""),
        ("{% if subscriber.city %}A{% else %}B{% endif %}\n", "<p>A</p>", "<p>B</p>"),
        ("- {% if subscriber.city %}a{% endif %}\n- b\n", "<ul><li>a</li><li>b</li></ul>", "<ul><li>b</li></ul>"),
        ("{% if subscriber.city %}- a{% endif %}\n- b\n", "<ul><li>a</li><li>b</li></ul>", "<ul><li>b</li></ul>"),
        (
            "1. a\n{% if subscriber.city %}\n2. b\n{% else %}\n2. c\n{% endif %}\n3. d\n",
            "<ol><li>a</li><li>b</li><li>d</li></ol>",
            "<ol><li>a</li><li>c</li><li>d</li></ol>",
        ),
        ("## {% if subscriber.city %}Head{% endif %}\n\nx\n", "<h2>Head</h2><p>x</p>", "<p>x</p>"),
        ("a {% if subscriber.city %}_b_{% endif %} c\n", "<p>a <em>b</em> c</p>", "<p>a  c</p>"),
        (
            "a **{% if subscriber.city %}b{% endif %}** c\n",
            "<p>a <strong>b</strong> c</p>",
            "<p>a <strong></strong> c</p>",
        ),
        (
            "```\n{% if subscriber.city %}\nx\n{% endif %}\n```\n",
            "<pre><code>x</code></pre>",
            "<pre><code></code></pre>",
        ),
        (
            "{% if subscriber.city %}\n| a |\n|---|\n| b |\n{% endif %}\n\nend\n",
            (
                '<div class="scroll"><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody>'
                "</table></div><p>end</p>"
            ),
            "<p>end</p>",
        ),
        (
            "> a\n{% if subscriber.city %}\n> b\n{% endif %}\n",
            "<blockquote><p>a</p></blockquote><blockquote><p>b</p></blockquote>",
            "<blockquote><p>a</p></blockquote>",
        ),
        (
            "> {% if subscriber.city %}\n> b\n> {% endif %}\n\nend\n",
            "<blockquote><p>b</p></blockquote><p>end</p>",
            "<p>end</p>",
        ),
        (
            "- a\n- {% if subscriber.city %}\n  b\n  {% endif %}\n- c\n",
            "<ul><li>a</li><li>b</li><li>c</li></ul>",
            "<ul><li>a</li><li>c</li></ul>",
        ),
        (
            "> {% if subscriber.city %}\n> a\n> {% else %}\n> b\n> {% endif %}\n",
            "<blockquote><p>a</p></blockquote>",
            "<blockquote><p>b</p></blockquote>",
        ),
        (
            "> {% if subscriber.city %}\n> a\n> {% endif %}\n> {% if subscriber.age %}\n> b\n> {% endif %}\n",
            "<blockquote><p>a</p></blockquote>",
            "<blockquote></blockquote>",
        ),
    ],
)
def test_branches_leave_whole_blocks(body: str, with_city: str, without: str) -> None:
    merge = laid(body)
    assert shown(merge, city="B") == with_city
    assert shown(merge) == without


# errors


NOT_POSSIBLE = {
    "{{ subscriber.nmae }}": ("no subscriber has subscriber.nmae", "did you mean subscriber.name?"),
    "{{ subscriber['citi'] }}": ("no subscriber has subscriber.citi", "did you mean subscriber.city?"),
    "{{ links.leav }}": ("there is no links.leav", "did you mean links.leave?"),
    "{{ subscriber }}": ("subscriber alone says nothing", "there are"),
    "{{ statment.date }}": ("no such name: statment", "did you mean statement?"),
    "{{ sender.phone }}": ("no such name: phone", "there are"),
    "{{ subscriber.city | safe }}": ("no filter 'safe' over a recipient", "is no HTML"),
    "{{ subscriber.city | uper }}": ("no filter 'uper' over a recipient", "did you mean upper?"),
    "{{ subscriber.city.__class__ }}": ("there is no .__class__ here", "text"),
    "{% if subscriber.age > 18 %}x{% endif %}": (
        "compares the text subscriber.age with a number",
        "subscriber.age | int",
    ),
    "{% if subscriber.city %}x": ("the {% if %} is never closed", "endif"),
    "{% endif %}": ("{% endif %} closes nothing here", ""),
    "{% if subscriber.city %}{% endfor %}": ("{% endfor %} closes nothing here", "{% if %}"),
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(subscriber.city) }}": ("hands a recipient to a macro", "macro"),
    "{% filter upper %}{{ subscriber.city }}{% endfilter %}": ("inside {% filter %}", "without"),
    "{% set x %}{{ subscriber.city }}{% endset %}": ("inside {% set %}", "without"),
    "{% with x = subscriber.city %}{% endwith %}": ("{% with %} reads the recipient", "set"),
    "{% for x in subscriber.topics recursive %}{% endfor %}": ("cannot be recursive", "without"),
    "{{ subscriber.city": ("", ""),
    "{{ range(subscriber.age | int) }}": ("hands a recipient to a macro or function", ""),
    "{% include subscriber.city %}": ("{% include %} reads the recipient", ""),
    "{% include '../../etc/passwd' %}": ("there is no templates/../../etc/passwd", ""),
    "{% include '/etc/passwd' %}": ("there is no templates//etc/passwd", ""),
    "{% if true %}{% elif subscriber.city %}{% endif %}{{ 1 / 0 }}": ("division by zero", ""),
    "<div class={{ subscriber.city }}>x</div>": ("an attribute without quotes", "quotes"),
    '<p style="color: {{ subscriber.city }}">x</p>': ("the attribute style=", ""),
    '<p onclick="{{ subscriber.city }}">x</p>': ("the attribute onclick=", ""),
    "<script>{{ subscriber.city }}</script>": ("a style or script", ""),
    "<style>{{ subscriber.city }}</style>": ("a style or script", ""),
    "<p {{ subscriber.city }}>x</p>": ("a tag itself", ""),
    "<p {% if subscriber.city %}hidden{% endif %}>x</p>": ("a tag itself", ""),
}


@pytest.mark.parametrize("body", NOT_POSSIBLE)
def test_what_cannot_be_deferred_is_an_error_with_its_line_and_a_way_out(body: str) -> None:
    words, hint = NOT_POSSIBLE[body]
    error = refused(f"First.\n\n{body}\n")
    assert words in error.message
    assert hint in (error.hint or "")
    assert error.where == "statements/june/en.md:6"


def test_an_error_in_a_layout_names_the_layout_and_its_line() -> None:
    assert refused(layouts=page("\n\n{{ subscriber.nobody }}")).where == "templates/statement.html:4"
    assert refused(layouts=page("\n\n{{ sender.nothing }}")).where == "templates/statement.html:4"
    assert refused(layouts={"statement.html": "{% extends 'x.html' %}"}).message == "there is no templates/x.html"
    part = Part("statements/june/en.md", "en", "S", "x\n", layout="wide", lines={"layout": 3})
    with pytest.raises(StatementError, match=r"statements/june/en\.md:3: there is no layout templates/wide\.html"):
        lay_out(part, language="en", layouts=LAYOUTS, settings={}, known=KNOWN)


def test_layouts_extend_import_and_call_one_another() -> None:
    layouts = {
        "base.html": "<html><head></head><body>{% block top %}T{% endblock %}{{ statement.body }}</body></html>",
        "macros.html": '{% macro link(text, url) -%}\n<a href="{{ url }}">{{ text }}{{ caller() if caller }}'
        " {{ subscriber.name | default('you') }}</a>\n{%- endmacro %}",
        "bit.html": "<i>{{ subscriber.city }}/{{ language }}</i>",
        "statement.html": '{% extends "base.html" %}{% from "macros.html" import link %}{% block top %}{{ super() }}'
        '{% include "bit.html" %}{{ link("A & B", "https://x.example/?a=1&b") }}'
        '{% call link("C", "https://y.example") %}<b>{{ subscriber.city }}</b>{% endcall %}{% endblock %}',
    }
    first = '<a href="https://x.example/?a=1&amp;b">A &amp; B Ali</a>'
    second = '<a href="https://y.example">C<b>Basra</b> Ali</a>'
    assert shown(laid("x\n", layouts), "Ali", city="Basra") == f"T<i>Basra/en</i>{first}{second}<p>x</p>"


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("", "is empty"),
        ("{% extends 'statement.html' %}", "includes itself"),
        ("<p>{% include 'statement.html' %}</p>", "includes itself"),
        ("{% extends 'base.html' %}{% set x = subscriber.name %}", "outside any block"),
        ("{% call m(links.leave) %}x{% endcall %}", "reads the recipient"),
    ],
)
def test_a_layout_that_cannot_be_is_an_error(layout: str, words: str) -> None:
    assert words in refused(layouts={"statement.html": layout, "base.html": "x"}).message


def test_an_error_in_the_heading_names_its_line() -> None:
    assert refused(subject="For {{ subscriber.nmae }}").where == "statements/june/en.md:2"
    assert refused(subject="{% if subscriber.name %}").where == "statements/june/en.md:2"
    assert refused(subject="{{ sender.nothing }}").where == "statements/june/en.md:2"


def test_a_field_with_a_hyphen_is_written_in_brackets() -> None:
    part = Part("statements/june/en.md", "en", "S", "{{ subscriber.first-name }}\n")
    with pytest.raises(StatementError) as error:
        lay_out(part, language="en", layouts=LAYOUTS, settings={}, known=frozenset(["first-name"]))
    assert error.value.hint == 'did you mean subscriber["first-name"]?'


SIGNS = (
    "{{ }} {% %} {# #} - = | ( ) [ ] ' \" , < > ` \\ if endif for in endfor set else elif raw endraw subscriber .name"
)
BITS = ["{% if subscriber.city %}", "{% endif %}", "{{ subscriber.name }}", "- ", "|---|", "> ", "<a href=", "\n"]
NOISE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=5)
JINJA = st.lists(st.sampled_from([*SIGNS.split(), *BITS]) | NOISE).map(" ".join)


@settings(max_examples=80)
@given(JINJA, JINJA)
def test_any_statement_is_laid_out_or_is_an_error_with_a_place(body: str, subject: str) -> None:
    where = ""
    try:
        merge = laid(body + "\n", subject=subject.replace("\n", " "))
    except StatementError as error:
        where = error.where or ""
        assert where.startswith(("statements/june/en.md", "templates/statement"))
    else:
        octets = message.compile(merge, MAIL).render(copy_for("Ali", {"city": "Basra"}))
        fit_for_smtp(octets)


def test_lines_are_counted_through_what_is_stripped() -> None:
    layout = {"statement.html": "a\n\n   {%- if subscriber.city -%}\n\n b {%- endif %}\n{{ sender.nothing }}\n"}
    assert refused(layouts=layout).where == "templates/statement.html:6"


def test_tags_that_markdown_puts_into_different_elements_are_an_error() -> None:
    error = refused("- a\n\n  {% if subscriber.city %}\n  b\n\nc\n{% endif %}\n")
    assert "ends inside another element" in error.message
    assert error.where == "statements/june/en.md:10"


# the law


WORDS = st.sampled_from(
    [
        "Water",
        "ماء",
        "ئاو",
        "**bold**",
        "_em_",
        "`{`",
        "a & b",
        "<b>raw</b>",
        "5 * 3",
        "{{ sender.name }}",
        ".",
        "From here",
        "[1]",
        "1. x",
        "&hellip;",
    ]
)
FIELD = st.sampled_from(
    [
        "{{ subscriber.name }}",
        '{{ subscriber.name | default("friend") }}',
        "{{ subscriber.city | upper }}",
        "{{ subscriber.city ~ sender.name }}",
        "[site]({{ subscriber.site }})",
        "[x](https://x.example/{{ subscriber.city }})",
        "![{{ subscriber.name }}](https://x.example/y.png)",
        "{% if subscriber.city %}yes{% else %}no{% endif %}",
        "{% for t in subscriber.topics.split() %}{{ t }},{% endfor %}",
        "{{ statement.subject }}",
    ]
)
LINE = st.lists(WORDS | FIELD, min_size=1, max_size=5).map(" ".join)


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lines = st.lists(inner, min_size=1, max_size=3)
    return (
        st.builds("{{% if subscriber.city == 'Basra' %}}\n{}\n{{% endif %}}".format, inner)
        | st.builds("{{% if subscriber.city %}}\n{}\n{{% else %}}\n{}\n{{% endif %}}".format, inner, inner)
        | st.builds("{{% for t in subscriber.topics.split() %}}\n{}\n{{% endfor %}}".format, inner)
        | lines.map("\n\n".join)
    )


BLOCK = st.recursive(
    LINE
    | st.lists(LINE, min_size=1, max_size=3).map(lambda items: "\n".join(f"- {item}" for item in items))
    | LINE.map(lambda line: f"- {line}\n{{% if subscriber.city %}}\n- {line}\n{{% endif %}}\n- end")
    | st.just("| a | b |\n|---|---|\n| {{ subscriber.name }} | x |\n{% if subscriber.city %}\n| y | z |\n{% endif %}"),
    blocks,
    max_leaves=5,
)


@settings(max_examples=40)
@given(
    st.lists(BLOCK, min_size=1, max_size=3).map("\n\n".join),
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(["name", "city", "topics"], VALUES | st.just("Basra")),
            "site": VALUES | st.just("https://e.example/?a=b"),
        },
    ),
)
@example("{% if subscriber.city == 'Basra' %}\n- .\n{% endif %}", {"city": "Basra", "name": "\n.\n"})
def test_for_every_statement_and_person_the_fast_message_is_the_slow_one(body: str, person: Mapping[str, str]) -> None:
    style = "<style>p{margin:0}td{padding:1px}@media (max-width:1px){p{margin:1px}}</style>"
    layout = {
        **page(BODY + '<a href="{{ links.leave }}">x</a>', style),
        "statement.txt": "{{ statement.body }}\n{{ links.leave }}\n",
    }
    merge = laid(body + "\n", layout, subject="For {{ subscriber.name | default('you') }}")
    copy = copy_for(person.get("name", ""), {key: value for key, value in person.items() if key != "name"})
    octets = message.compile(merge, MAIL).render(copy)
    fit_for_smtp(octets)
    rendered = message.plain(merge, copy)
    same(octets, rendered, copy, MAIL)
    assert not re.search(r"Q[0-9a-f]{10}|<li>\s*</li>", rendered.html)


def test_every_key_of_the_heading_can_read_the_subscriber() -> None:
    layouts = {**page("{{ statement.motto }}"), "statement.txt": "{{ statement.motto }}"}
    merge = laid(layouts=layouts, extra={"motto": 'Keep {{ subscriber.city | default("it") }} & all'})
    assert "Keep <Basra> & all" in seen(merge, city="<Basra>")
    assert "Keep it &amp; all" in shown(merge)
    with pytest.raises(StatementError, match="citty"):
        laid(layouts=layouts, extra={"motto": "{{ subscriber.citty }}"})


def test_a_key_of_the_heading_may_read_another_in_any_order() -> None:
    keys = {
        "motto": "{{ statement.place }} keeps {{ subscriber.city | default('it') }}",
        "place": "_{{ sender.name }}_",
    }
    merge = laid("{{ statement.motto }}\n", subject="{{ statement.motto }}: {{ statement.place | upper }}", extra=keys)
    rendered = message.plain(merge, copy_for("", {"city": "Basra"}))
    assert rendered.subject == "_Water *for* <All>_ keeps Basra: _WATER *FOR* <ALL>_"
    assert "<bdi>_Water *for* &lt;All&gt;_ keeps Basra</bdi>" in rendered.html


def test_a_key_of_the_heading_that_reads_itself_is_an_error_with_its_line() -> None:
    error = refused(subject="{{ statement.motto }}", extra={"motto": "a {{ statement.subject }}"})
    assert (error.where, error.message) == ("statements/june/en.md:2", "'subject' reads itself, by way of 'motto'")
    assert refused(extra={"motto": "{{ statement.motto }}"}).message == "'motto' reads itself"
    error = refused(subject="{{ statement.moto }}", extra={"motto": "a"})
    assert (error.where, error.hint) == ("statements/june/en.md:2", "did you mean motto?")
    assert (
        "cannot be changed"
        in refused(subject="{{ statement.m | upper }}", extra={"m": "{{ subscriber.city }}"}).message
    )


@pytest.mark.parametrize(
    "link",
    [
        "[x]({{ subscriber.site }})",
        "See [x]({{ subscriber.site }}) there",
        '<a href="{{ subscriber.site }}">x</a>',
        "{% if subscriber.city %}a{% endif %} [x]({{ subscriber.site }})",
    ],
)
def test_the_address_of_a_link_is_no_script_in_the_text_part_either(link: str) -> None:
    merge = laid(link + "\n")
    assert "javascript" not in seen(merge, site="javascript:alert(1)")
    assert "https://e.example/?%22%3E&b" in seen(merge, site='https://e.example/?">&b')
    assert not re.search("[\u200e\u200f\ufdd0-\ufdef]", merge.text)


@pytest.mark.parametrize(
    ("link", "with_one", "without"),
    [
        ("See [x]({{ subscriber.site }}) there.", "See x <LINK> there.", "See x there."),
        ("[x]({{ subscriber.site | url }})", "x:\nLINK", "x"),
        ("> **[x?]({{ subscriber.site | url }})**", "> x?\n> LINK", "> x?"),
        ("Go to <a href='{{ subscriber.site }}'>x</a>", "Go to x <LINK>", "Go to x"),
        ("<p><a href='{{ subscriber.site }}'>x</a></p>", "x <LINK>", "x"),
        ("See [x]({{ subscriber.site }}/a) [y](https://y.example)", "See x <LINK/a> y [1]", "See x y [1]"),
        (
            "See [x]({% if subscriber.city %}https://y.example{% else %}{{ subscriber.site }}{% endif %})",
            "See x <LINK>",
            "See x",
        ),
    ],
)
def test_where_a_field_gives_no_link_nothing_is_said_of_one(link: str, with_one: str, without: str) -> None:
    merge = laid(link + "\n")
    site = "https://e.example/me"
    assert seen(merge, site=site).startswith(with_one.replace("LINK", site) + "\n")
    for none in ("", "javascript:alert(1)", "none"):
        assert seen(merge, site=none).startswith(without + "\n")
    for value in ("", site, "x"):
        copy = copy_for("", {"site": value})
        same(message.compile(merge, MAIL).render(copy), message.plain(merge, copy), copy, MAIL)


def test_a_link_may_differ_by_branch() -> None:
    merge = laid("[x]({% if subscriber.city %}https://y.example/{% else %}{{ subscriber.site }}{% endif %})\n")
    assert 'href="https://e.example/"' in shown(merge, site="https://e.example/")
    assert 'href="https://y.example/"' in shown(merge, city="Basra", site="https://e.example/")


def test_more_values_than_a_mail_can_show_are_refused_before_they_cost_minutes() -> None:
    began = time.process_time()
    error = refused("{{ subscriber.city }}\n" * 10_000)
    assert (error.where, time.process_time() - began < 5) == ("statements/june/en.md:3004", True)


def test_what_is_no_character_is_not_taken_for_a_mark_of_ours() -> None:
    assert refused("a\n\nb \ufdd2 c\n").where == "statements/june/en.md:6"


def nested_lists(depth: int) -> str:
    return "".join(f"{'  ' * level}- item {level}\n" for level in range(depth))


@pytest.mark.parametrize("body", [nested_lists(25), "> " * 50 + "deep\n"])
def test_what_is_nested_deep_is_there_to_the_last_word(body: str) -> None:
    merge = laid(f"{body}\nEND\n")
    for said in (merge.html, merge.text):
        assert "END" in said
        assert all(words in said for words in re.findall(r"item \d+|deep", body))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (nested_lists(300), 35),
        ("> " * 300 + "deep\n", 6),
        ("- " * 300 + "deep {{ subscriber.name }}\n", 6),
        (f"{{% if subscriber.city %}}\n{'>' * 300}deep\n{{% endif %}}\n", 7),
    ],
)
def test_nothing_is_left_out_because_it_is_nested_too_deep(body: str, line: int) -> None:
    error = refused(f"First.\n\n{body}\nEND\n")
    assert "too deep" in error.message
    assert error.where == f"statements/june/en.md:{line}"
    assert error.hint


@pytest.mark.parametrize(
    "place",
    [
        '<object data="{}"></object>',
        '<a ping="{}" href="https://x.example">x</a>',
        '<img lowsrc="{}" alt="x" src="https://x.example/x.png">',
        '<blockquote cite="{}">x</blockquote>',
    ],
)
def test_every_attribute_that_leads_somewhere_is_escaped_as_a_link(place: str) -> None:
    merge = laid(place.format("{{ subscriber.site }}") + "\n")
    assert "javascript" not in shown(merge, site="javascript:alert(1)")
    assert "https://ok.example" in shown(merge, site="https://ok.example")


@pytest.mark.parametrize(
    "slip",
    [
        "<!-- a note\n\nmore\n",
        "<!--[if mso]>a note\n\nmore\n",
        "<p>a <!-- note\n\nmore\n",
        '<div class="x>hello</div>\n\nmore\n',
        '<div class="x>hello</div> <p class="y">more</p>\n',
        "<div title='{{ subscriber.city }}>hello</div>\n\nmore\n",
        '<div class="x"\n\nmore\n',
        "<title>\n\nmore\n",
        "a <title>b *c*\n\nmore\n",
        "<template>\n\nmore\n",
        "<style>p { color: red }\n\nmore\n",
        "<script>\n\nmore\n",
    ],
)
def test_a_slip_in_html_hides_nothing_that_follows(slip: str) -> None:
    error = refused(f"First.\n\n{slip}")
    assert error.where == "statements/june/en.md:6"
    assert "hides all that follows" in error.message


@pytest.mark.parametrize("slip", ["</td></tr></table>", "<div>x</div></div>", "*x*</DIV >", "</body>", "- a\n\n</ul>"])
def test_a_statement_does_not_close_what_the_layout_opened(slip: str) -> None:
    error = refused(f"Hi\n\n{slip}\n\nafter\n")
    assert str(error.where).startswith("statements/june/en.md:")
    assert "was not opened here" in error.message


@pytest.mark.parametrize(
    "body",
    [
        "<table><tr><td>x</td></tr></table>",
        "<div>\n\n*x*\n\n</div>",
        "{% if subscriber.city %}\n<div>x</div>\n{% endif %}",
        "<p>a<br></br>b</p>",
        "<ul><li>a<li>b</ul>",
        "<details><summary>x</summary>y</details>",
    ],
)
def test_a_statement_closes_what_it_opened(body: str) -> None:
    assert "after" in laid(f"{body}\n\nafter\n").html


def test_a_slip_in_a_layout_hides_nothing_either() -> None:
    assert refused(layouts=page(BODY + "<!-- footer <p>leave</p>")).where == "templates/statement.html"


@pytest.mark.parametrize(
    "html",
    [
        "<!-- a note -->\n\nmore\n",
        "<!--[if mso]><table><tr><td><![endif]-->\n\nmore\n",
        "<!--[if !mso]><!-->\n\nmore\n\n<!--<![endif]-->\n",
        "<p title=\"a > b 'c'\" class=x data-a='\"'>more</p>\n",
        "a < b, 3<5, x <- y, <3, more\n",
        '`<!--` and `<div class="x>`: more\n',
        "<div\n  class='x'\n  id=y>more</div>\n",
        "<style>p > a { color: red }</style>\n\nmore\n",
    ],
)
def test_html_that_is_closed_is_left_alone(html: str) -> None:
    merge = laid(html)
    assert "more" in merge.html
    assert "more" in merge.text
