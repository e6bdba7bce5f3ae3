"""What would surprise whoever sends a mailing, told in figures before the first of it goes.

A mistake that is right in every single copy shows only beside what was sent before: the wrong list, a filter that was
forgotten, the same appeal once more. None of it is an error, so a person is asked; cron asks nobody, and holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from broadcaster import language

DAY: Final = 86_400
# addresses that heard nothing for so long are given up, sold, or made into traps (days)
LONG: Final = 365


class Kind(StrEnum):
    """What is unusual. The words are stored, and in the audit log: never change them."""

    LARGER = "larger"
    SILENT = "silent"
    REPEATED = "repeated"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Surprise:
    """One thing to be sure of, in a person's words without a full stop."""

    kind: Kind
    words: str
    of: int | None = None  # the earlier mailing that it is about, where a yes to another one would mean nothing

    @property
    def name(self) -> str:
        """What a yes to it is remembered by."""
        return self.kind.value if self.of is None else f"{self.kind.value} {self.of}"


@dataclass(frozen=True, slots=True)
class Past:
    """A mailing that was sent. `at`: when the last of it was (epoch seconds)."""

    id: int
    statement: str
    content: str
    lists: Sequence[int]
    audience: int
    at: int


@dataclass(frozen=True, slots=True)
class Prospect:
    """A mailing before the first of it is sent.

    `readers`: by the language that people have and the one they get, how many. `empty`: languages without a text.
    `shared`: how many of its people got an earlier one. `named`: what lists are called.
    """

    statement: str
    content: str
    lists: Sequence[int]
    audience: int
    readers: Mapping[tuple[str, str], int]
    empty: frozenset[str]
    shared: Callable[[Past], int]
    named: Mapping[int, str]


def surprises(
    of: Prospect, past: Sequence[Past], *, factor: float | None, offered: Sequence[str], now: int
) -> Iterator[Surprise]:
    """What is unusual about a mailing. `past`: those sent before, the newest first; `factor`: of safety.surprise."""
    yield from _larger(of, past, factor)
    yield from _silent(of, past, now)
    yield from _repeated(of, past, now)
    yield from _empty(of, offered)


def _larger(of: Prospect, past: Sequence[Past], factor: float | None) -> Iterator[Surprise]:
    last = next((each for each in past if set(each.lists) == set(of.lists)), None)
    if factor is not None and last is not None and of.audience > factor * last.audience:
        times = f"{of.audience / last.audience:,.1f} times" if last.audience else "more than"
        words = f"{_people(of.audience)} would get it, {times} the {last.audience:,} of mailing {last.id}"
        yield Surprise(Kind.LARGER, f"{words}, the last one to {'this list' if len(of.lists) == 1 else 'these lists'}")


def _silent(of: Prospect, past: Sequence[Past], now: int) -> Iterator[Surprise]:
    if not past:
        return  # in a new workspace, every list is new
    for each in of.lists:
        last = max((one for one in past if each in one.lists), key=lambda one: one.at, default=None)
        name = of.named.get(each, "a list")
        if last is None:
            yield Surprise(Kind.SILENT, f"{name} was never mailed before")
        elif now - last.at >= LONG * DAY:
            days = (now - last.at) // DAY
            yield Surprise(Kind.SILENT, f"{name} was not mailed for {days:,} days, since mailing {last.id}")


def _repeated(of: Prospect, past: Sequence[Past], now: int) -> Iterator[Surprise]:
    for each in past:
        same = each.statement == of.statement
        recent = now - each.at < DAY and (same or each.content == of.content)
        if recent and (number := of.shared(each)):
            what = each.statement if same else f"the same text as {each.statement}"
            words = f"{number:,} of these {_people(of.audience)} got {what} {_ago(now - each.at)}, as mailing {each.id}"
            yield Surprise(Kind.REPEATED, words, each.id)


def _empty(of: Prospect, offered: Sequence[str]) -> Iterator[Surprise]:
    got: dict[str, int] = {}
    wanted: dict[str, int] = {}
    ours = {_plain(tag): tag for tag in offered}
    for (tag, given), number in of.readers.items():
        got[given] = got.get(given, 0) + number
        if _plain(tag) in ours and _plain(tag) != _plain(given):
            wanted[ours[_plain(tag)]] = wanted.get(ours[_plain(tag)], 0) + number
    for tag in sorted(of.empty & got.keys()):
        words = f"the text in {language.name(tag)} is empty, and {_people(got[tag])} would get it"
        yield Surprise(Kind.EMPTY, words)
    for tag, number in sorted(wanted.items()):
        read = "reads" if number == 1 else "read"
        words = f"{_people(number)} {read} {language.name(tag)}, which is offered, and there is no text in it"
        yield Surprise(Kind.EMPTY, words)


def _plain(tag: str) -> str:
    """The language alone, without script and place."""
    return tag.split("-")[0]


def _people(number: int) -> str:
    return f"{number:,} {'person' if number == 1 else 'people'}"


def _ago(seconds: int) -> str:
    hours = max(0, seconds) // 3600
    return "less than an hour ago" if not hours else "an hour ago" if hours == 1 else f"{hours} hours ago"
