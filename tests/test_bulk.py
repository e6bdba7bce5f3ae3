"""What is reckoned before it is done is never less than what is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from markupsafe import Markup

from broadcaster import bulk
from broadcaster.errors import StatementError

JINJA = Environment(autoescape=True)
TEXTS = st.text("ab \n&<", max_size=30)
NUMBERS = st.integers(-3, 30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("aé '", max_size=9),
    lambda held: st.lists(held, max_size=4) | st.dictionaries(st.text("ab", max_size=3), held, max_size=3),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_weighs_what_it_would_be_written_out(value: Any) -> None:
    assert bulk.weight([value]) >= len(str(value))


def test_what_is_held_twice_weighs_twice() -> None:
    held: Any = ["abc"]
    for _ in range(30):
        held = {"a": held, "b": held}
    assert bulk.weight(held) > 3 * 2**30
    assert bulk.weight([held.values(), held.items()]) > bulk.weight([held])


def test_what_holds_itself_weighs_nothing_that_could_be_told() -> None:
    held: list[Any] = []
    held.append(held)
    with pytest.raises(StatementError, match="lists within lists"):
        bulk.weight(held)


def test_nobody_reads_a_number_of_thousands_of_digits() -> None:
    with pytest.raises(StatementError, match="digits"):
        bulk.weight([10**2_000])


HTML = TEXTS | TEXTS.map(Markup)
STEPS = st.one_of(
    st.tuples(st.just("indent"), TEXTS, st.tuples(NUMBERS | TEXTS, st.booleans(), st.booleans())),
    st.tuples(st.just("join"), st.lists(TEXTS), st.tuples(TEXTS)),
    st.tuples(st.just("replace"), HTML, st.tuples(st.text("a&mp;", max_size=2) | HTML, HTML)),
    st.tuples(st.just("replace"), TEXTS, st.tuples(TEXTS, TEXTS, NUMBERS)),
    st.tuples(st.just("wordwrap"), TEXTS, st.tuples(st.integers(1, 30), st.booleans(), TEXTS)),
    st.tuples(st.just("center"), TEXTS, st.tuples(NUMBERS)),
)


@given(STEPS)
def test_a_step_makes_no_more_than_was_reckoned(step: tuple[str, Any, tuple[Any, ...]]) -> None:
    name, value, handed = step
    made = JINJA.call_filter(name, value, handed)
    assert len(made) <= max(len(value), bulk.growth(name, value, *handed))


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("indent", "a\nb", {"width": 9_999}),
        ("join", ["a", "b"], {"d": "x" * 9_999}),
        ("replace", "aaa", {"old": "a", "new": "x" * 9_999}),
        ("wordwrap", "a b", {"width": 1, "break_long_words": True, "wrapstring": "x" * 9_999}),
        ("center", "a", {"width": 9_999}),
        ("batch", ["a"], {"linecount": 9_999, "fill_with": "x"}),
        ("slice", ["a"], {"slices": 9_999}),
    ],
)
def test_what_is_handed_over_by_name_is_reckoned_too(name: str, value: Any, options: dict[str, Any]) -> None:
    assert bulk.growth(name, value, **options) >= 9_999
    assert bulk.growth(name, value, **options) == bulk.growth(name, value, *options.values())


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("wordwrap", "a" * 9_999, (1,)),
        ("striptags", "<>" * 9_999, ()),
        ("title", "a " * 9_999, ()),
        ("sort", "ab" * 9_999, ()),
        ("sum", [["a"]] * 9_999, (None, [])),
        ("map", ["a"] * 99, ("x." * 99,)),
        ("rsplit", "a" * 9_999, ("b" * 999,)),
        ("round", 5, (9_999, "floor")),
        ("money", 5, ("IQD",)),
    ],
)
def test_what_python_takes_long_for_has_its_price(name: str, value: Any, options: tuple[Any, ...]) -> None:
    assert bulk.price(name, value, *options) > bulk.size(value) // bulk.TURN
    assert not bulk.price("upper", value)


@given(st.lists(TEXTS), TEXTS)
def test_gaps_are_filled_as_an_expression_fills_them(parts: list[str], text: str) -> None:
    gap = re.compile("[ab]")
    assert bulk.filled(gap, lambda found: found[0] * 3, text) == gap.sub(lambda found: found[0] * 3, text)
    assert bulk.joined(parts) == "".join(parts)


def test_what_grows_too_long_is_told_where_it_grows() -> None:
    def pieces() -> Iterator[str]:
        try:
            while True:
                yield "x" * 99_999
        except StatementError as error:
            raise StatementError(error.message, where="here", hint=error.hint) from None

    with pytest.raises(StatementError, match="here: makes a text"):
        bulk.joined(pieces())
