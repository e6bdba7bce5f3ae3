"""Hostile authors and hostile people: Python, disk and network are out of reach, and no value is a template."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from broadcaster import message, sandbox
from broadcaster.errors import StatementError
from tests.test_message import MAIL, copy_for, same
from tests.test_template import laid, page, refused


@pytest.mark.parametrize(
    "body",
    [
        "{{ 'A' * 2000000000 }}",
        "{{ 10 ** 10 ** 7 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' | indent(1000000000) }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format('x') }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set n = namespace(x='xxxxxxxxxx') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x='xxxxxxxxxx') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
        "{% set n = namespace(x='xxx') %}{% for i in range(9) %}{% set n.x = n.x.replace('x', n.x) %}{% endfor %}",
        "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = [n.x, n.x] | join(n.x) %}{% endfor %}",
        "{{ lipsum(n=1000000) }}",
        "{{ [1] | batch(1000000000, 'x') | list }}",
    ],
)
def test_a_template_cannot_burn_the_machine(body: str) -> None:
    began = time.process_time()
    refused(f"{body}\n")
    assert time.process_time() - began < 2


@contextmanager
def watched() -> Iterator[list[str]]:
    """What Python opens, connects to or starts, meanwhile."""
    events: list[str] = []
    on = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if on and event in ("open", "socket.connect", "subprocess.Popen", "os.system", "socket.getaddrinfo"):
            events.append(f"{event} {args[:1]}")

    sys.addaudithook(hook)
    try:
        yield events
    finally:
        on = False


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id') }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ 'x' | attr('__class__') }}",
    "{{ '' | attr('format') }}",
    "{{ '{0.__class__}' | format(1) }}",
    "{{ ['x'] | map(attribute='__class__') | list }}",
    "{{ _.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ statement.__class__ }}",
    "{% set x = {} %}{{ x.update({'a': 1}) }}",
]


@pytest.mark.parametrize("body", ESCAPES)
def test_a_template_cannot_reach_python(body: str) -> None:
    laid("{{ ['warm up'] | map('upper') | join }}\n")
    with watched() as events:
        try:
            text = laid(f"{body}\n").text
        except StatementError:
            text = ""
    assert not events
    assert "class" not in text
    assert "built" not in text


# data is never a template


HOSTILE = "{{config}}{{7*7}}{% for i in range(9) %}x{% endfor %}{#"


@pytest.mark.parametrize("place", ["name", "city", "title"])
def test_what_a_person_is_called_is_never_read_as_a_template(place: str) -> None:
    layout = page('{{ statement.subject }}{{ statement.body }}<a title="{{ subscriber.city }}">{{ list.title }}</a>')
    merge = laid(
        "{{ subscriber.name }} {{ subscriber.city }} {{ list.title }}\n", layout, subject="{{ subscriber.name }}"
    )
    copy = copy_for(
        HOSTILE if place == "name" else "",
        {"city": HOSTILE} if place == "city" else {},
        HOSTILE if place == "title" else "N",
    )
    octets = message.compile(merge, MAIL).render(copy)
    rendered = message.plain(merge, copy)
    assert HOSTILE in rendered.text
    for text in rendered:
        assert "49" not in text
        assert "xxx" not in text
    same(octets, rendered, copy, MAIL)


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " java\nscript:x",
        "data:text/html,x",
        "//evil.example",
        "vbscript:x",
        "/x",
        "x",
    ],
)
def test_a_link_from_a_field_is_a_link_or_nothing(value: str) -> None:
    merge = laid("[a]({{ subscriber.site }}) [b](https://x.example/{{ subscriber.site }})\n")
    html = message.plain(merge, copy_for("", {"site": value})).html
    assert 'href=""' in html
    assert "script:" not in html.lower().replace("https://x.example/", "")


@pytest.mark.parametrize("value", ['" onmouseover="alert(1)', "' x='", "</title><script>", "--><b>", "a\u202eb"])
def test_a_value_does_not_leave_its_place(value: str) -> None:
    body = '<!-- {{ subscriber.city }} --><p title="{{ subscriber.city }}">{{ subscriber.city }}</p>'
    merge = laid("x\n", page(body, "<title>{{ subscriber.city }}</title>"))
    safe = message.plain(merge, copy_for("", {"city": "x"})).html
    html = message.plain(merge, copy_for("", {"city": value})).html
    assert re.findall(r"<[^>]*?[\s>]", html) == re.findall(r"<[^>]*?[\s>]", safe)
    assert "\u202e" not in html


@pytest.mark.parametrize(
    ("tag", "hint"),
    [
        ("{{ subscriber.city | uper }}", "did you mean upper?"),
        ("{{ subscriber.city | currency('IQD') }}", "did you mean money?"),
        ("{{ sender.name | Title_Case }}", "did you mean title?"),
        ("{{ subscriber.city | as_text }}", None),
        ("{{ subscriber.city | zzz }}", None),
        ("{{ sender.name | zzz }}", None),
        ("{% if subscriber.city is zzz %}{% endif %}", None),
        ("{% if subscriber.city is empty %}{% endif %}", "did you mean defined?"),
    ],
)
def test_a_hint_tells_a_writer_only_what_a_writer_may_use(tag: str, hint: str | None) -> None:
    error = refused(f"{tag}\n")
    assert error.where == "statements/june/en.md:4"
    assert error.hint is not None
    assert error.hint == hint if hint else error.hint.startswith(("there are default, ", "there are defined, "))
    assert not re.search(r"as_|turns|short|escape|[<>]", error.hint)
    if not hint:
        kinds = sandbox.for_merging()
        there = kinds.filters if "filter" in error.message else kinds.tests
        assert set(error.hint.removeprefix("there are ").split(", ")) <= set(there)


@pytest.mark.parametrize(
    "tag",
    [
        "{{ subscriber[subscriber.city] }}",
        '{{ subscriber["ci" ~ "ty"] }}',
        "{{ subscriber[subscriber.city] | default('?') }}",
        "{% for each in subscriber.topics | split %}{{ subscriber[each] }}{% endfor %}",
        "{% if subscriber[subscriber.city] %}x{% endif %}",
        "{{ links[subscriber.city] }}",
    ],
)
def test_a_field_is_read_by_its_name_or_not_at_all(tag: str) -> None:
    """A compiled template looks up the fields that it names; plain Jinja would find another."""
    error = refused(f"Hi\n\n{tag}\n")
    assert error.where == "statements/june/en.md:6"
    assert "name" in error.message
    assert error.hint


@pytest.mark.parametrize(
    "tag",
    [
        "{{ subscriber.city | list }}",
        "{{ subscriber.city | split }}",
        "{{ subscriber.city.split() }}",
        "{{ subscriber.city | abs }}",
        "{{ subscriber.city | round }}",
        "{{ subscriber.city | sum }}",
        "{{ dict }}",
        "{{ gettext }}",
        "{{ sender }}",
        "{{ theme }}",
        "{{ namespace(a=1) }}",
        "{{ [1, 2] }}",
        "{{ range(3) }}",
        "{{ 'a b' | list }}",
    ],
)
def test_nothing_is_printed_as_python_writes_it(tag: str) -> None:
    error = refused(f"{tag}\n")
    assert error.where == "statements/june/en.md:4"
    assert error.hint
    assert not re.search("object|<|positional|bad operand", error.message)


@pytest.mark.parametrize(
    "filters", ["list | length", "list | first", "list | join('-')", "unique | join", "sort | last"]
)
def test_a_filter_that_jinja_has_twice_takes_what_it_takes(filters: str) -> None:
    merge = laid(f"{{{{ subscriber.city | {filters} }}}}\n")
    assert message.plain(merge, copy_for("", {"city": "Basra"})).text
