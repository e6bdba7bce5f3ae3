"""A value stays in the place it stands in, whatever somebody has typed into it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcaster import cell
from broadcaster.merge import as_plain
from tests.test_template import laid, seen, shown

ENDS = st.sampled_from(["\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\n\n"])
LINES = st.lists(
    ENDS | st.sampled_from(["-- ", "--", "> ", "- ", "1. ", " ", "\t", "To leave: https://evil.example", "x"])
)
BODY = """{{ subscriber.city }}

> A quote of {{ subscriber.city }}

- one {{ subscriber.city }}
- two

1. {{ subscriber.city }}

| a | b |
|---|---|
| {{ subscriber.city }} | {{ subscriber.age }} |

[{{ subscriber.city }}](https://water.example/{{ subscriber.city }})
"""
MERGE = laid(BODY)


@given(LINES.map("".join))
@example("line1\n\n-- \nTo leave: https://evil.example")
@example("--\n")
def test_the_lines_of_a_field_stay_inside_what_they_stand_in(value: str) -> None:
    expected = seen(MERGE, city="x").split("\n")
    lines = seen(MERGE, city=value).split("\n")
    assert len(lines) == len(expected)
    for line, like in zip(lines, expected, strict=True):
        assert line.startswith(like.partition("x")[0])
    # as the roster keeps it
    assert "-- " not in seen(MERGE, city=cell.tidy(value)).split("\n")
    assert not {"\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"}.intersection("".join(lines))


@pytest.mark.parametrize(
    ("value", "written"),
    [("a\nb", "a b"), ("a  \n\n\tb", "a b"), ("\na\n", "a"), ("a  b", "a  b"), ("a\tb", "a\tb"), (None, ""), (7, "7")],
)
def test_a_line_end_is_a_space_as_in_html(value: object, written: str) -> None:
    assert as_plain(value) == written


def test_who_wants_lines_says_so() -> None:
    merge = laid('{% for line in subscriber.city | split("\\n") %}\n- {{ line }}\n{% endfor %}\n')
    assert seen(merge, city="12 River Street\nBasra").split("\n")[:2] == ["- 12 River Street", "- Basra"]
    assert "<li>Basra</li>" in shown(merge, city="12 River Street\nBasra")
