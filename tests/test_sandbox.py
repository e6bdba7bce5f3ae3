"""Hostile authors and hostile people: Python, disk and network are out of reach, and no value is a template."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from broadcaster import message, sandbox
from broadcaster.errors import StatementError
from tests.test_message import MAIL, copy_for, same
from tests.test_template import laid, page, refused

# 720,000 letters in lines of ten, 20,000 in one line, and what is done very often, which alone is no crime
LONG = "{% set n = namespace(s='aaaaaaaaaa\\n') %}{% for i in range(16) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
LINE = "{% set n = namespace(s='aaaaaaaaaa') %}{% for i in range(11) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
OFTEN = "{{% for i in range(9999) %}}{}{{% endfor %}}"
DOUBLED = (
    "{{% set n = namespace(l={}) %}}{{% for i in range(40) %}}{{% set n.l = {} %}}{{% endfor %}}{{{{ n.l ~ 'x' }}}}"
)


@contextmanager
def bounded() -> Iterator[None]:
    """Two seconds, and 200 MB more than are in use: what would take the machine fails before it does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if (used := Path("/proc/self/statm")).exists():
        pages = int(used.read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 200_000_000, hard))
    began = time.process_time()
    try:
        yield
    finally:
        took = time.process_time() - began
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert took < 2


BOMBS = [
    "{{ 'A' * 2000000000 }}",
    "{{ 10 ** 10 ** 7 }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'x' | indent(1000000000) }}",
    "{{ 'x' | center(1000000000) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>1000000000}'.format('x') }}",
    "{{ 'x'.ljust(1000000000) }}",
    "{{ (1).to_bytes(1000000000, 'big') | length }}",
    "{{ 5 | round(1000000000, 'floor') }}",
    "{{ range(1000000000) | list | length }}",
    "{{ [1] | batch(1000000000, 'x') | list | length }}",
    "{{ [1] | slice(1000000000) | list | length }}",
    "{{ lipsum(n=1000000) }}",
    # what is doubled, or put in place of each of its own letters
    "{% set n = namespace(x='xxxxxxxxxx') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='xxxxxxxxxx') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='xxx') %}{% for i in range(9) %}{% set n.x = n.x.replace('x', n.x) %}{% endfor %}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = [n.x, n.x] | join(n.x) %}{% endfor %}",
    "{% set n = namespace(x=10) %}{% for i in range(40) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x % 7 }}",
    "{% set n = namespace(x=10) %}{% for i in range(40) %}{% set n.x = n.x ** 16 %}{% endfor %}{{ n.x % 7 }}",
    "{% set n = namespace(x='f') %}{% for i in range(19) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x | int(0, 16) }}",
    DOUBLED.format("['a']", "[n.l, n.l]"),
    DOUBLED.format("['a']", "n.l + n.l"),
    DOUBLED.format("{'a': 1}", "{'a': n.l.values(), 'b': n.l.items()}"),
    DOUBLED.format("{'a': 1}", "{'a': n.l.keys().mapping, 'b': n.l.keys().mapping}"),
    DOUBLED.format("['a']", "cycler(n.l, n.l).items"),
    DOUBLED.format("{'a': 1}", "dict(a=n.l, b=n.l)"),
    "{% set n = namespace(l={}) %}{% for i in range(90) %}{% set n.l = {'a': n.l} %}{% endfor %}{{ n.l ~ 'x' }}",
    "{% set a = [1] %}" + "{% set a = (a, a) %}" * 40 + "{{ a | string }}",
    LONG + "{{ n.s.replace('a', n.s) | length }}",
    LONG + "{{ n.s | replace('a', n.s) | length }}",
    LONG + "{{ n.s | replace(old='a', new=n.s) | length }}",
    LONG + "{{ n.s | replace('a', '&') | replace('m' | safe, n.s) | length }}",
    LONG + "{{ n.s.join(range(9999) | map('string')) | length }}",
    LONG + "{{ range(9999) | join(n.s) | length }}",
    LONG + "{{ range(9999) | join(d=n.s) | length }}",
    LONG + "{{ n.s | indent(9999) | length }}",
    LONG + "{{ n.s | indent(n.s) | length }}",
    LONG + "{{ n.s | wordwrap(1) | length }}",
    LONG + "{{ n.s | wordwrap(1, wrapstring=n.s) | length }}",
    LONG + "{{ [1] | batch(9999, n.s) | list | string | length }}",
    LONG + "{{ dict.fromkeys(range(9999), n.s) | string | length }}",
    LONG + "{{ (" + " ~ ".join(["n.s"] * 1_000) + ") | length }}",
    LONG + "{{ _('%(x)s' ~ n.s.replace('a', '%(x)s'), x=n.s) | length }}",
    LONG + "{{ range(9999) | map('default', n.s) | map('replace', '', n.s) | list | length }}",
    # what is printed again and again, now or for each person
    LONG + "{% for i in range(9999) %}{{ n.s }}{% endfor %}",
    LONG + "{% for i in range(9999) %}{{ n.s | safe }}{% endfor %}",
    LONG + "{% set x %}{{ n.s }}{% endset %}" + OFTEN.format("{{ x }}"),
    LONG + "{% for i in range(99) %}{{ subscriber.city ~ n.s }}{% endfor %}",
    LONG + "{{ subscriber.city ~ n.s }}{{ subscriber.city ~ n.s }}",
    OFTEN.format("x" * 5_000),
    # what runs again and again, the more often for each level
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(d) %}{% if d %}{{ m(d - 1) }}{{ m(d - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{% macro m() %}{{ caller() ~ caller() }}{% endmacro %}" + "{% call m() %}" * 30 + "x" + "{% endcall %}" * 30,
    "{% set l = range(999) | list %}{% for x in l recursive %}{{ loop(l) if loop.depth < 4 }}{% endfor %}",
    "{% set l = range(999) | list %}{% for x in l if x > 990 recursive %}{{ loop(l) if loop.depth < 9 }}{% endfor %}",
    "{% set l = range(999) | list %}" + OFTEN.format("{% for x in l if x > 999 %}{% endfor %}"),
    "{% macro m(s) %}" + "{% set x = s | title %}" * 999 + "{% endmacro %}" + OFTEN.format("{{ m('abc def ghi') }}"),
    "{% macro m() %}" + OFTEN.format("{{ caller() }}") + "{% endmacro %}"
    "{% set s = 'abc' %}{% call m() %}" + "{% set x = s | title %}" * 999 + "{% endcall %}",
    OFTEN.format("{% set x = [1] | map('(spent)', -99999999) | list %}"),
    # what is slow in one step
    LINE + "{% set p = n.s[:5000] ~ 'b' ~ n.s[:5000] %}" + OFTEN.format("{% set x = n.s.rfind(p) %}"),
    LONG + "{% set p = n.s[:99999] ~ 'b' ~ n.s[:99999] %}{{ n.s.rsplit(sep=p) | length }}",
    LONG + "{% set m = n.s ~ '' %}" + OFTEN.format("{% if m == n.s %}{% endif %}"),
    LINE + "{% set p = n.s[:999] ~ 'b' %}" + OFTEN.format("{% if p in n.s %}{% endif %}"),
    LINE + "{% set p = n.s[:999] ~ 'b' %}" + OFTEN.format("{% if p is in n.s %}{% endif %}"),
    LONG + OFTEN.format("{% set x = n.s[1:] %}"),
    "{% set l = range(9999) | list %}" + OFTEN.format("{% if 'a' in l %}{% endif %}"),
    "{% set l = range(9999) | list %}" + OFTEN.format("{% set x = l.count('a') %}"),
    "{% set l = range(9999) | batch(1) | list %}" + OFTEN.format("{% set x = l | sum(start=[]) %}"),
    LINE + "{{ range(9999) | map(attribute=n.s | replace('a', 'x.'), default='y') | list | length }}",
    OFTEN.format("{% set x = i | money('IQD') %}"),
]


@pytest.mark.parametrize("body", BOMBS)
def test_a_template_cannot_burn_the_machine(body: str) -> None:
    with bounded():
        error = refused(f"{body}\n")
    assert "memory" not in error.message


def twice(tag: str) -> dict[str, str]:
    """Layouts of which each uses the next one two times."""
    return {f"{number}.html": tag.format(number + 1) * 2 for number in range(40)} | {"40.html": ""}


BLOCK = "{{% block b{} %}}{{{{ self.b{}() }}}}{{{{ self.b{}() }}}}{{% endblock %}}"


@pytest.mark.parametrize(
    "layouts",
    [
        {**page("{% include '0.html' %}"), **twice("{{% include '{}.html' %}}")},
        {**page("{% include '0.html' %}"), **twice("{{% import '{}.html' as m with context %}}")},
        page("{% include 'statement.html' %}"),
        page("{% block b0 %}x{% endblock %}" + "".join(map(BLOCK.format, range(1, 40), range(40), range(40)))),
        {**page("{% import 'm.html' as m %}{{ m ~ '' }}"), "m.html": OFTEN.format("x" * 99_999)},
        {**page("{% import 'm.html' as m %}{{ [1] | batch(9999, m) | first | join }}"), "m.html": "x" * 900_000},
        page("{% for i in range(999) %}{{ statement.body }}{% endfor %}"),
    ],
)
def test_a_layout_cannot_burn_the_machine(layouts: dict[str, str]) -> None:
    # each time that it is shown the recipient comes with a long text
    with bounded():
        error = refused(LINE + "{{ subscriber.city ~ n.s }}\n", layouts)
    assert re.search("more than|includes itself", error.message)


def test_a_namespace_is_one_word_whatever_it_holds() -> None:
    doubled = "{% set a = namespace(x=a, y=a) %}" * 40
    assert laid(f"{doubled}{{% set a.x = a %}}{{{{ a ~ '' }}}}\n").text == "namespace\n"


def test_texts_of_the_heading_spend_together() -> None:
    texts = [f"{OFTEN.format('')}{{{{ statement.a{number + 1} }}}}" for number in range(50)]
    assert laid(extra={"a0": texts[0], "a1": "x"})
    assert "more than" in refused(extra={f"a{number}": text for number, text in enumerate([*texts, "x"])}).message


# each once, as it is at its worst; those that are not here need no more than a value
CALLS = {
    **{f"| {name}": "" for name in sandbox.for_lay_out(lambda _name: None, {}).filters if name.isidentifier()},
    **{f".{name}": "()" for name in sandbox.TEXT_METHODS},
    "| attr": "('x')",
    "| batch": "(9, n.p)",
    "| center": "(9999)",
    "| groupby": "(0)",
    "| indent": "(9)",
    "| join": "('bb')",
    "| map": "('upper')",
    "| money": "('IQD')",
    "| reject": "('ne', n.p)",
    "| rejectattr": "(0, 'ne', n.p)",
    "| replace": "(n.p, n.p)",
    "| select": "('eq', n.p)",
    "| selectattr": "(0, 'eq', n.p)",
    "| slice": "(99, n.p)",
    "| sum": "(start=[])",
    "| trim": "('b' ~ n.s)",
    ".index": "('a')",
    ".join": "(n.s)",
    ".replace": "(n.p, n.p)",
    ".rindex": "('a')",
    ".strip": "('b' ~ n.s)",
    **{f".{name}": "(n.p)" for name in ("count", "endswith", "find", "partition", "removeprefix", "removesuffix")},
    **{f".{name}": "(n.p)" for name in ("rfind", "rpartition", "rsplit", "split", "startswith")},
}
# what takes no long text
VALUES = {
    **dict.fromkeys(["| abs", "| filesizeformat", "| round"], "i"),
    **dict.fromkeys(["| dictsort", "| items"], "dict(n.l)"),
    "| sum": "n.l ",
    ".join": "n.p",
}


@pytest.mark.parametrize("step", sorted(CALLS))
def test_no_step_takes_long_done_very_often(step: str) -> None:
    source = LINE + "{% set n.p = n.s[:5000] ~ 'b' ~ n.s[:99] %}{% set n.l = n.s[:2000] | batch(2) | list %}"
    often = OFTEN.format(f"{{% set x = {VALUES.get(step, 'n.s')}{step}{CALLS[step]} %}}")
    message = ""
    with bounded():
        try:
            laid(f"{source}{often}\n")
        except StatementError as error:
            message = error.message
    # it was refused for nothing else
    assert not message or "more than" in message


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
        "{{ subscriber.city | turns }}",
        "{{ subscriber.city | short }}",
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


@pytest.mark.parametrize(
    "source",
    [
        '{{ subscriber.city | replace("a", subscriber.city) | replace("a", subscriber.city) | length }}',
        "{% set s = subscriber.city %}" + "{% set s = s ~ s %}" * 40 + "{{ s | length }}",
        "{% set s = [subscriber.city] %}" + "{% set s = [s, s] %}" * 39 + "{{ s | string | length }}",
        "{% set s = subscriber.city | replace('a', 'aaaaaaaaaa') %}" + "{{ s }}" * 99,
        "{% for each in subscriber.items | split %}{{ subscriber.city }}{% endfor %}",
        "{% for a in subscriber.items | split %}{% for b in subscriber.items | split %}{% endfor %}{% endfor %}",
        "{% for each in subscriber.topics | split %}{{ loop.index | money('IQD') }}{% endfor %}",
    ],
)
def test_no_person_has_more_text_than_a_mail(source: str) -> None:
    program = message.compile(laid(f"{source}\n"), MAIL)
    with bounded(), pytest.raises(StatementError, match="more than"):
        program.render(copy_for("", {"city": "a" * 5_000, "items": "a," * 1_500, "topics": "a," * 5_000}))


def test_the_longest_cell_is_printed_wherever_it_stands() -> None:
    cell = "ب" * 32_767
    merge = laid(
        "Here is what you wrote to us:\n\n{{ subscriber.city }}\n\n{% set s = subscriber.city %}{{ s }}\n\n"
        "{% for each in subscriber.items | split %}\n- {{ each }}: {{ subscriber.city }}\n{% endfor %}\n"
    )
    copy = copy_for("", {"city": cell, "items": "a,b"})
    rendered = message.plain(merge, copy)
    assert rendered.text.count(cell) == 4
    same(message.compile(merge, MAIL).render(copy), rendered, copy, MAIL)


def test_a_long_table_is_no_bomb() -> None:
    row = '| {{ i }} | {{ (i * 1000) | money("IQD") }} | {{ sender.name | title }} |\n'
    rows = f"{{% for i in range(999) %}}{row}{{% endfor %}}"
    assert laid(f"| a | b | c |\n|---|---|---|\n{rows}").html.count("<tr") == 1_000


def test_what_fills_a_gap_has_none() -> None:
    text = laid("""{{ _("%(a)s and %(b)s, %(c)s", a="%(b)s", b="b") }}\n""").text
    assert text == "%(b)s and b, %(c)s\n"
