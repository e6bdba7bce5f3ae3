"""What a person reads: tables that fit their terminal in any script, and the next action in every state."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import delivery
from broadcaster.cli import say
from broadcaster.mailing import State
from broadcaster.steps import TEXTS, ahead, lately
from tests.lab.mailings import mailing

NAMES = [
    "أحمد الخطيب",
    "山田太郎",
    "Zoë",
    "e\u0301",
    "한국어",
    "\u1112\u1161\u11ab",
    "👨‍👩‍👧",
    "שלום 12",
    "می‌خواهم",
    "a" * 300,
]
# as tmux has them, looked at one by one
WIDE = [11, 8, 3, 1, 6, 2, 2, 7, 7, 300]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, columns: int, draw: object, **env: str) -> list[str]:
    """The lines that are written to a terminal so wide."""
    for name, value in {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "", **env}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    assert callable(draw)
    draw()
    return screen.getvalue().splitlines()


def test_a_text_is_as_wide_as_a_terminal_shows_it() -> None:
    assert [say.width(name) for name in NAMES] == WIDE


@given(st.text(max_size=40), st.integers(1, 30))
def test_what_is_cut_needs_no_more_room_than_there_is(text: str, columns: int) -> None:
    cut = say.clip(text, columns)
    assert say.width(cut) <= columns
    assert cut == say.clean(text) or cut.endswith("…")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_table_is_no_wider_than_the_terminal_and_its_columns_stand_in_line(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    rows = [
        (name, number, say.Tint(other, "red"), "") for name, other, number in zip(NAMES, NAMES[::-1], WIDE, strict=True)
    ]
    lines = drawn(
        monkeypatch, columns, lambda: say.table(["name", "number", "other", "nothing"], rows, spare=["nothing"])
    )
    plain = [click.unstyle(line) for line in lines]
    assert len(plain) == len(rows) + 1
    assert "nothing" not in plain[0]
    assert all(say.width(line) <= columns for line in plain)
    # numbers end in one column
    ends = {
        say.width(line[: line.index(f" {number}  ") + len(str(number)) + 1])
        for line, number in zip(plain[1:], WIDE, strict=True)
    }
    assert len(ends) == 1
    # what runs from right to left ends where it ends: a terminal that turns it takes nothing along
    assert "\u200eأحمد الخطيب\u200e" in plain[1] or columns == 40


def test_elsewhere_a_table_is_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    say.table(["name", "state"], [(name, say.Tint("paused", "yellow")) for name in NAMES], keep=["state"])
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)
    assert not {"\x1b", "\u200e", "…"} & set(said)


def test_a_table_of_a_million_is_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    alive = itertools.count()
    say.table(["n", "spare"], ((next(alive), "x" if n == 5000 else "") for n in range(6000)), spare=["spare"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6001
    assert lines[5001].split() == ["5000", "x"]


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_there_should_be_none(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    rows = [("a", say.Tint("paused", "yellow"))]
    assert "\x1b" in "".join(drawn(monkeypatch, 80, lambda: say.table(["name", "state"], rows)))
    assert "\x1b" not in "".join(drawn(monkeypatch, 80, lambda: say.table(["name", "state"], rows), **env))


def test_a_command_is_not_broken_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "2 in doubt: `broadcaster resolve 12 --from-log FILE` asks the relay's log, and 山田太郎山田太郎山田太郎 too"
    lines = drawn(monkeypatch, 60, lambda: say.out(say.wrapped(text)))
    assert len(lines) > 1
    assert all(say.width(line) <= 60 for line in lines)
    assert any("`broadcaster resolve 12 --from-log FILE`" in line for line in lines)
    assert " ".join(line.strip() for line in lines) == text


@pytest.mark.parametrize("columns", [20, 80])
def test_no_word_is_lost_where_lines_are_broken(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    for text in ("can`t say `a b c` and don`t", "`", "``", "a  b", "x" * 200 + " y", "`" + "long " * 40 + "`"):
        lines = drawn(monkeypatch, columns, lambda text=text: say.out(say.wrapped(text)))
        assert " ".join(lines).split() == text.split()


def test_a_time_is_told_as_one_says_it() -> None:
    now = int(datetime(2026, 11, 28, 12, 0, tzinfo=UTC).timestamp())
    told = {
        "in 12 min": now + 720,
        "in 2 h": now + 7200,
        "today 21:30": now - 9000 + 32400,  # in Baghdad, three hours on
        "today 13:00": now - 7200,
        "yesterday 18:00": now - 75600,
        "tomorrow 15:00": now + 86400,
        "25 Nov 15:00": now - 3 * 86400,
        "2025-11-28": now - 365 * 86400,
    }
    assert {words: say.when(at, now, "Asia/Baghdad") for words, at in told.items()} == {words: words for words in told}


# the next action


@given(
    st.sampled_from([state for state in State if not state.over]),
    st.dictionaries(st.sampled_from(list(delivery.State)), st.integers(1, 9)),
    st.booleans(),
    st.booleans(),
)
def test_for_everything_that_is_not_over_something_is_to_be_done(
    state: State, tally: dict[delivery.State, int], cron: bool, at_work: bool
) -> None:
    found = ahead(mailing(state, tally, due=2000), now=1000, ripe=1500, cron=cron, at_work=at_work)
    assert found
    for each in found:
        assert each.text in TEXTS
        words = each.said(lambda at: f"at {at}", str)
        assert "%(" not in words
        assert "cron" not in words or cron or "nobody" in words
    doubts = [each for each in found if "resolve" in each.text]
    assert len(doubts) == (delivery.State.IN_DOUBT in tally)


def test_for_what_is_over_nothing_is_to_be_done_but_to_settle_doubts() -> None:
    for state in (State.FINISHED, State.CANCELLED):
        assert not ahead(mailing(state, {delivery.State.ACCEPTED: 3}), now=1, ripe=None, cron=True, at_work=False)
    left = ahead(mailing(State.CANCELLED, {delivery.State.IN_DOUBT: 3}), now=1, ripe=None, cron=True, at_work=False)
    assert [each.number for each in left] == [3]


@pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.HELD, State.PAUSED])
def test_what_waits_for_approval_says_so_first_and_never_that_it_can_be_sent(state: State) -> None:
    of = mailing(state, {delivery.State.PENDING: 3}, due=2000)
    found = ahead(of, now=1000, ripe=None, cron=True, at_work=False, awaited=True)
    assert found[0].said(str, str) == "it waits for approval, by anybody but anna: `broadcaster approve 7`."
    assert not any("`broadcaster send" in each.text for each in found)


def test_who_waits_for_cron_is_told_when_there_is_none() -> None:
    scheduled = mailing(State.SCHEDULED, {delivery.State.PENDING: 3}, due=2000)
    (none,) = ahead(scheduled, now=1000, ripe=None, cron=lately(None, 1000), at_work=False)
    (some,) = ahead(scheduled, now=1000, ripe=None, cron=lately(900, 1000), at_work=False)
    assert "nobody starts it" in none.text
    assert some.said(lambda at: f"at {at}", str) == "cron's `run` starts it at 2000."
    assert not lately(900, 900 + 3600)
    # by a clock that was an hour and more ahead
    assert not lately(900 + 3600, 900)
    assert lately(901, 900)
