"""A slip of the pen in a tag is an error with its line, in words that a writer knows, and with a way out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.slips import told
from tests.test_template import laid, refused, seen

# what no writer needs to know
JARGON = re.compile(r"token|statement block|print statement|template|expression|positional|undefined|operand")


@pytest.mark.parametrize(
    ("tag", "message", "hint"),
    [
        ("{{ }}", "something is missing", "{{ subscriber.name }}"),
        ("{% if %}x{% endif %}", "something is missing", "{% if subscriber.city"),
        ("{{ | upper }}", "something is missing", "{{ subscriber.name }}"),
        ("{{ subscriber.name\n\nand more", "a {{ is never closed", "add }}"),
        ("{{ subscriber.name\n\nand {{ subscriber.city }}", "a {{ is never closed", "add }}"),
        ("{% if subscriber.name\n\nand {% endif %}", "a {% is never closed", "add %}"),
        ("{{ subscriber.name }", "a } stands alone", "}}"),
        ("{# note", "a {# is never closed", "add #}"),
        ("{{{ subscriber.name }}}", "a brace too many", "two on each side"),
        ("{{ subscriber.first name }}", "side by side", 'subscriber["first name"]'),
        ("{{ subscriber.name | default(“friend”) }}", "“ is no straight quote", '"…"'),
        ("{{ subscriber.na\u200cme }}", "a sign that nobody sees (U+200c)", "again"),
        ("{{ subscriber.name | default('friend }}", "a quote in a tag is never closed", "the same sign"),
        ('{{ subscriber.name | default("friend }}', "a quote in a tag is never closed", "the same sign"),
        ("{{ subscriber.name | default 'x' }}", "side by side", 'default("friend")'),
        ("{{ subscriber.name | default:'x' }}", "side by side", 'default("friend")'),
        ("{{ subscriber.name | default(friend) }}", "no such name: friend", 'stands in quotes, "friend"'),
        ("{{ subscriber.city | safe }}", "no filter 'safe'", "is no HTML"),
        ("{{ subscriber.name | }}", "the name of a filter is missing", "title"),
        ("{{ subscriber.city | replace('a') }}", "replace", 'replace("old", "new")'),
        ("{{ subscriber.name, }}", "prints a list", "one value"),
        ("{{ subscriber.city() }}", "subscriber.city is no function", "without brackets"),
        ("{% for x in subscriber.topics %}{{ x }}{% endfor %}", "loops over the letters", "split"),
        ("{% for subscriber.x %}{% endfor %}", "not over what", "split"),
        ("{% xyz %}", "no tag {% xyz %}", "{% if %}"),
        ("{% ifsubscriber.city %}", "no tag {% ifsubscriber %}", "write {% if … %}"),
        ("{% elif subscriber.city %}", "belongs to nothing", "begin one"),
        ("{% endif %}", "closes nothing", "begin one"),
        ("{% if subscriber.city %}x{% end %}", "closes nothing", "{% endif %} closes it"),
        ("{% if subscriber.city = 'x' %}{% endif %}", "= means nothing", "=="),
        ("{% if subscriber.city === 'x' %}{% endif %}", "=== means nothing", "=="),
        ("{% if !subscriber.city %}{% endif %}", "! means nothing", "not"),
        ("{{ subscriber.city && 'x' }}", "& means nothing", "and"),
        ("{{ subscriber.city || 'x' }}", "|| means nothing", "or"),
        ("{{ subscriber.city ? 'x' : 'y' }}", "? means nothing", "if subscriber.city else"),
        ("{{ $city }}", "$ means nothing", "{{ subscriber.city }}"),
        ("{{#if city}}x{{/if}}", "{{# means nothing", "{% if subscriber.city %}"),
        ("{{ city }}", "no such name: city", "did you mean subscriber.city?"),
        ("{{ Name }}", "no such name: Name", "did you mean subscriber.name?"),
        ("{% if topic %}{% endif %}", "no such name: topic", "did you mean subscriber.topics?"),
    ],
)
def test_a_slip_is_said_in_the_words_of_a_writer(tag: str, message: str, hint: str) -> None:
    error = refused(f"One\n\n{tag}\n\nTwo\n")
    assert error.where == "statements/june/en.md:6"
    assert message in error.message
    assert hint in (error.hint or "")
    assert not JARGON.search(error.message + (error.hint or ""))


def test_braces_can_be_written() -> None:
    assert seen(laid("{{ '{{ x }}' }} {% raw %}{% y %}{% endraw %} { z }\n")) == "{{ x }} {% y %} { z }\n"


@given(st.text() | st.from_regex(r"(Expected|unexpected) (token|char) '.' at \d"))
def test_whatever_is_said_is_said_on(message: str) -> None:
    words, hint = told(message)
    assert words or not message.removesuffix(".")
    assert hint is None or hint
