"""Laws of what a person's values look like: read in one way or left alone, written as the language writes."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcaster import message, phrasing
from broadcaster.errors import StatementError
from tests.test_message import MAIL, copy_for, same
from tests.test_template import laid, shown

TAGS = st.sampled_from(["en", "ar", "ar-IQ", "ckb", "fa", "fr", "de", "xx"])


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("25000", "25000"),
        ("25,000", "25000"),
        ("25,000.50", "25000.50"),
        ("25.000,50", "25000.50"),
        ("1.234.567", "1234567"),
        ("25 000", "25000"),
        ("25\u202f000", "25000"),
        ("1'000", "1000"),
        ("12,5", "12.5"),
        ("0.125", "0.125"),
        ("-3", "-3"),
        ("٢٥٬٠٠٠", "25000"),
        ("١٢٫٥٠٠", "12.500"),
        ("۲۵۰۰۰", "25000"),
        # a thousand in one sheet, a decimal in another
        ("25.000", None),
        ("1,2,3", None),
        ("12 apples", None),
        ("1e5", None),
        ("NaN", None),
        ("Infinity", None),
        ("9" * 100, None),
        ("", None),
    ],
)
def test_a_sum_is_read_where_it_means_one_thing(value: str, number: str | None) -> None:
    assert phrasing.as_number(value) == (Decimal(number) if number is not None else None)


@given(st.integers(-(10**12), 10**12))
def test_every_whole_number_is_read_as_it_is_typed_plain_or_in_groups(number: int) -> None:
    assert phrasing.as_number(str(number)) == number
    assert phrasing.as_number(f"{number:,}") == number


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2026-05-04", (2026, 5, 4)),
        ("2026-05-04T10:00:00Z", (2026, 5, 4)),
        ("2026-05-04 10:00", (2026, 5, 4)),
        ("4.5.2026", (2026, 5, 4)),
        ("25/12/2026", (2026, 12, 25)),
        ("12/25/2026", (2026, 12, 25)),
        ("5/5/2026", (2026, 5, 5)),
        ("٢٠٢٦-٠٥-٠٤", (2026, 5, 4)),
        ("4/5/2026", None),
        ("2026-02-30", None),
        ("soon", None),
    ],
)
def test_a_date_is_read_where_it_means_one_day(value: str, date: tuple[int, int, int] | None) -> None:
    assert phrasing.as_date(value) == (datetime.date(*date) if date else None)


@given(st.text(max_size=40), TAGS)
def test_no_value_breaks_a_filter_and_what_is_not_read_is_left_alone(value: str, tag: str) -> None:
    made = phrasing.filters(tag, lambda _: False, "")
    for name, arguments in (("money", ("IQD",)), ("number", ()), ("number", (2,)), ("date", ("full",))):
        written = made[name](value, *arguments)
        assert written == value or phrasing.understood(name, value)


@given(
    st.from_regex(r"[+-]?[0-9٠-٩]{1,40}([.,٫][0-9]{0,30})?", fullmatch=True) | st.floats() | st.integers(),
    TAGS,
)
@example("9" * 26, "en")
@example(1e300, "en")
@example(1e-300, "ar")
def test_a_number_of_any_length_is_written_whole_or_as_it_was_typed(value: object, tag: str) -> None:
    made = phrasing.filters(tag, lambda _: False, "")
    known = phrasing.as_number(value)
    for name, arguments in (("money", ("IQD",)), ("number", (0,)), ("number", (9,))):
        written = made[name](value, *arguments)
        assert known is not None or written == str(value)
    if known is not None:
        digits = "".join(str(int(sign)) for sign in made["number"](value) if sign.isdigit())
        assert digits.strip("0") == f"{abs(known):f}".replace(".", "").strip("0")


@given(st.decimals(-(10**9), 10**9, places=2), TAGS)
def test_a_number_is_the_same_in_every_language(number: Decimal, tag: str) -> None:
    from broadcaster import language

    written = phrasing.filters(tag, lambda _: False, "")["number"](str(number), 2)
    assert language.digits("0", tag) == "0" or not any(sign in "0123456789" for sign in written)
    digits = "".join(str(int(sign)) for sign in written if sign.isdigit())
    assert digits.lstrip("0") == f"{abs(number):.2f}".replace(".", "").lstrip("0")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ALI HASSAN", "Ali Hassan"),
        ("ali hassan", "Ali Hassan"),
        ("O'BRIEN", "O'Brien"),
        ("o’brien", "O’Brien"),
        ("MARY'S", "Mary's"),
        ("jean-paul", "Jean-Paul"),
        ("McDonald", "McDonald"),
        ("van der Berg", "van der Berg"),
        ("هدى", "هدى"),
        ("", ""),
    ],
)
def test_a_name_is_written_as_one_writes_it(name: str, written: str) -> None:
    assert phrasing.titled(name) == written


@pytest.mark.parametrize("tag", ["en", "ar-IQ", "ckb"])
def test_a_copy_is_written_in_the_language_of_its_part(tag: str) -> None:
    merge = laid('{{ subscriber.age | money("IQD") }} {{ subscriber.items | date("full") }}\n', language=tag)
    copy = copy_for("", {"age": "25,000", "items": "2026-05-04"})
    rendered = message.plain(merge, copy)
    assert {"en": "IQD\u00a025,000", "ar-IQ": "٢٥٬٠٠٠", "ckb": "٢٥٬٠٠٠"}[tag] in rendered.text
    assert {"en": "Monday, May 4, 2026", "ar-IQ": "الاثنين", "ckb": "٢٠٢٦"}[tag] in rendered.text
    same(message.compile(merge, MAIL).render(copy), rendered, copy, MAIL)


@pytest.mark.parametrize(
    ("value", "currency", "tag", "written"),
    [
        ("25000", "IQD", "en", "IQD\u00a025,000"),
        ("25000", "USD", "en", "$25,000.00"),
        ("-5", "CHF", "en", "-CHF\u00a05.00"),
        ("25000", "USD", "ar", "\u200f25,000.00\u00a0US$\u200e"),
        ("-25000", "IQD", "ar", "\u200f\u200e-25,000\u00a0د.ع.\u200f"),
        ("25000", "USD", "ckb", "US$\u200e\u00a0٢٥٬٠٠٠٫٠٠"),
        ("-5", "USD", "fa", "\u200e−\u200e$\u00a0۵٫۰۰"),
    ],
)
def test_a_sum_has_its_currency_and_its_sign_where_the_language_has_them(
    value: str, currency: str, tag: str, written: str
) -> None:
    assert phrasing.filters(tag, lambda _: False, None)["money"](value, currency) == written


@pytest.mark.parametrize(
    ("tag", "written"), [("en", "-5.5"), ("ar", "\u200e-5.5"), ("fa", "\u200e−۵٫۵"), ("sv", "−5,5")]
)
def test_a_number_below_zero_has_the_languages_minus(tag: str, written: str) -> None:
    assert phrasing.filters(tag, lambda _: False, None)["number"]("-5.5") == written


def test_constants_are_written_in_the_language_too() -> None:
    assert "٢٥٬٠٠٠" in laid('{{ 25000 | money("IQD") }}\n', language="ckb").text


def test_what_is_missing_stays_missing_so_that_a_default_is_told() -> None:
    for name in ('money("IQD")', "number", "date", "title", "url", "upper", "trim", "truncate(9)", 'replace("a", "b")'):
        assert shown(laid(f'{{{{ subscriber.age | {name} | default("nothing") }}}}\n')) == "<p>nothing</p>"


@pytest.mark.parametrize("value", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "x", "a b", "mailto:"])
def test_a_link_that_is_none_is_replaced_by_the_default(value: str) -> None:
    merge = laid('[a]({{ subscriber.site | url | default("https://water.example/") }})\n')
    assert 'href="https://water.example/"' in shown(merge, site=value)


def test_a_bare_www_becomes_a_link_and_a_part_of_one_is_only_escaped() -> None:
    assert 'href="https://www.water.example/a"' in shown(
        laid("[a]({{ subscriber.site | url }})\n"), site="www.water.example/a"
    )
    within = laid("[a](https://water.example/?q={{ subscriber.city | url }}&r={{ subscriber.city | urlencode }})\n")
    assert "q=Al%20Faw%26&amp;r=Al%20Faw%26" in shown(within, city="Al Faw&")


def test_a_field_in_parts_can_be_looped_over() -> None:
    merge = laid('{% for each in subscriber.site | split(",") %}({{ each | upper }}){% endfor %}\n')
    assert shown(merge, site="a, b") == "<p>(A)</p><p>(B)</p>"
    assert shown(merge) == ""


@pytest.mark.parametrize(
    "call",
    [
        "money",
        'money("dinar")',
        "money(5)",
        'money("IQD", 2)',
        'number("two")',
        "number(99)",
        'date("soon")',
        "date(format='x')",
        "title(1)",
        "upper(1)",
        "replace",
        "truncate(1, 2, 3, 4, 5, 6)",
    ],
)
def test_a_filter_called_in_another_way_is_an_error_with_its_line(call: str) -> None:
    with pytest.raises(StatementError) as caught:
        laid(f"a\n\n{{{{ subscriber.city | {call} }}}}\n")
    assert caught.value.where is not None
    assert caught.value.where[-1].isdigit()
    assert caught.value.hint


def test_a_value_is_never_a_template_whatever_filter_it_goes_through() -> None:
    value = "{{ 7 * 7 }}{% for i in range(9) %}x{% endfor %}"
    for call in ('money("IQD")', "number", "date", "title", "split | join", "urlencode"):
        text = shown(laid(f"{{{{ subscriber.city | {call} }}}}\n"), city=value)
        assert "49" not in text
        assert "xxx" not in text
