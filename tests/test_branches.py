"""Laws of what is tried: every branch that anybody could see is seen by somebody who is made up."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from broadcaster.branches import MOST, OTHER, choices, filtered
from broadcaster.sandbox import for_merging

FIELDS = ("a", "b")
WORDS = ("x", "y")
UNIVERSE = ("", "x", "y", "z", "3", "7", "-1", "100")

FIELD = st.sampled_from([f"subscriber.{name}" for name in FIELDS])
ATOMS = st.one_of(
    FIELD,
    st.builds('{} {} "{}"'.format, FIELD, st.sampled_from(["==", "!="]), st.sampled_from(WORDS)),
    st.builds('{} in ["{}", "{}"]'.format, FIELD, st.sampled_from(WORDS), st.sampled_from(WORDS)),
    st.builds("{} | int {} {}".format, FIELD, st.sampled_from(["<", ">", "=="]), st.integers(2, 8)),
    st.builds("{} is defined".format, FIELD),
)
TESTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=3,
)


@st.composite
def templates(draw: st.DrawFn, depth: int = 2) -> str:
    """Branches in branches, each with a mark of its own once they are numbered."""
    if depth == 0 or draw(st.booleans()):
        return "#"
    then, other = draw(templates(depth - 1)), draw(templates(depth - 1))
    return f"{{% if {draw(TESTS)} %}}#{then}{{% elif {draw(TESTS)} %}}#{{% else %}}#{other}{{% endif %}}"


def numbered(text: str) -> str:
    pieces = text.split("#")
    return "".join(f"{piece}<{number}>" for number, piece in enumerate(pieces))


@given(templates())
def test_every_branch_that_anybody_could_see_is_tried(source: str) -> None:
    sandbox = for_merging()
    template = sandbox.from_string(numbered(source))

    def seen(values: dict[str, str]) -> str:
        from broadcaster.sandbox import Fields

        sandbox.refill()
        return template.render(subscriber=Fields({name: value for name, value in values.items() if value}))

    everybody = {seen(dict(zip(FIELDS, row, strict=True))) for row in itertools.product(UNIVERSE, repeat=len(FIELDS))}
    found = choices([numbered(source)])
    tried = {seen(dict(values)) for values in found.tried({})}
    # of many combinations only the pairs are tried, and these are all
    assert everybody <= tried


def test_numbers_are_tried_on_both_sides_and_texts_as_they_are() -> None:
    found = choices(
        ['{% if subscriber.age | int > 17 and subscriber.city == "Basra" %}x{% endif %}{{ subscriber.name }}']
    )
    assert {"16", "17", "18", ""} <= set(found.deciding["age"])
    assert {"Basra", "", OTHER} <= set(found.deciding["city"])
    assert found.plain == ("name",)


def test_names_that_stand_for_a_field_are_followed() -> None:
    source = '{% set near = subscriber.city == "Basra" %}{% if near %}x{% endif %}'
    assert "Basra" in choices([source]).deciding["city"]
    loop = '{% for each in subscriber.topics | split %}{% if each == "water" %}x{% endif %}{% endfor %}'
    assert "water" in choices([loop]).deciding["topics"]


def test_the_longest_and_the_empty_value_of_each_field_are_tried() -> None:
    found = choices(["{{ subscriber.name }}{{ subscriber.city }}"])
    tried = [*found.tried({"name": "Maximiliana", "city": "Al-Qurnah"})]
    assert tried == [{}, {"name": "Maximiliana", "city": "Al-Qurnah"}]


@given(st.integers(6, 14))
def test_of_too_many_combinations_every_pair_is_tried_while_it_lasts_and_no_more(fields: int) -> None:
    found = choices(["".join(f'{{% if subscriber.f{n} == "x" %}}a{{% endif %}}' for n in range(fields))])
    tried = [*found.tried({})]
    assert found.number == 3**fields
    assert len(tried) <= MOST
    assert {value for row in tried for value in row.items()} == {
        (f"f{n}", value) for n in range(fields) for value in ("x", OTHER)
    }
    if fields <= 7:
        pairs = {(one, other) for row in tried for one, other in itertools.permutations(row.items(), 2)}
        assert (("f0", "x"), ("f5", OTHER)) in pairs


def test_the_filters_of_a_field_are_known() -> None:
    source = '{{ subscriber.a | trim | money("IQD") }}{% set b = subscriber.b %}{{ b | date }}{{ "x" | upper }}'
    assert filtered([source]) == {("a", "trim"), ("a", "money"), ("b", "date")}
    assert Environment().parse(source)


def test_a_field_that_opens_many_branches_alone_is_tried_with_each_value() -> None:
    source = "".join(f'{{% if subscriber.city == "c{n}" %}}a{{% endif %}}' for n in range(500))
    found = choices([source])
    assert found.whole
    assert {f"c{n}" for n in range(500)} <= {each.get("city") for each in found.tried({})}
