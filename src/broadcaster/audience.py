"""Subscribers × statement × suppressions → who gets a mailing, in which language; who does not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Row = tuple[int, int, int]
"""Subscriber id, list id, number of the part (language) they get."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The people whom a mailing would reach were put on temp.gathered: subscriber, list, language.

    A table of the connection alone, so that a million people are never held, and whoever was counted is who is
    enrolled. `turn` counts such tables; `left_out` says why others on the lists are not on it (`left`, `suppressed`,
    `excluded`, `filtered`), each counted once.
    """

    turn: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Speakers:
    """How many of those who were gathered have a language, and the first of them by id."""

    number: int
    first: int


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets a mailing, in which language.

    `wanted` counts those who were gathered at that `turn` by their language ("" where none is known), `given` is the
    language of the statement that each of these gets.
    """

    turn: int
    wanted: Mapping[str, int]
    given: Mapping[str, str]

    @classmethod
    def of(cls, turn: int, wanted: Mapping[str, int], choose: Callable[[str], str]) -> Audience:
        """Give each language that is wanted one of the statement's."""
        return cls(turn, wanted, {tag: choose(tag) for tag in wanted})

    @property
    def number(self) -> int:
        return sum(self.wanted.values())

    @property
    def chosen(self) -> dict[str, int]:
        """How many get each language."""
        total: Counter[str] = Counter()
        for tag, number in self.wanted.items():
            total[self.given[tag]] += number
        return dict(total)

    @property
    def fallbacks(self) -> dict[str, int]:
        """How many wanted a language that the statement lacks; people without a language are none of them."""
        return {
            tag: number
            for tag, number in self.wanted.items()
            if tag and tag.split("-")[0] != self.given[tag].split("-")[0]
        }
