"""Subscribers × statement × suppressions → who gets a mailing, in which language; who does not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

Row = tuple[int, int, int]
"""Subscriber id, list id, number of the part (language) they get."""


class Audience:
    """Chooses a part for each candidate while they stream by, and counts.

    `parts` are the languages of the statement, in the order of their numbers; `choose` maps a subscriber's
    language tag to one of them. `chosen` counts by language given, `fallbacks` by language that was wanted
    and missing, `excluded` those who already had an excluded mailing.
    """

    def __init__(self, parts: Sequence[str], choose: Callable[[str], str]) -> None:
        self._parts = {language: number for number, language in enumerate(parts)}
        self._choose = choose
        self._known: dict[str, tuple[int, str]] = {}
        self._wanted: Counter[str] = Counter()
        self.excluded = 0

    def of(self, candidates: Iterable[tuple[int, str, int]], had: Iterable[int] = ()) -> Iterator[Row]:
        """Rows for candidates (subscriber id, language, list id), both inputs ascending by subscriber id."""
        known, wanted = self._known, self._wanted
        already = iter(had)
        skip = next(already, None)
        for subscriber, language, list_id in candidates:
            while skip is not None and skip < subscriber:
                skip = next(already, None)
            if skip == subscriber:
                self.excluded += 1
                continue
            found = known.get(language)
            if found is None:
                given = self._choose(language)
                found = known[language] = (self._parts[given], given)
            wanted[language] += 1
            yield (subscriber, list_id, found[0])

    @property
    def number(self) -> int:
        return self._wanted.total()

    @property
    def chosen(self) -> dict[str, int]:
        """How many get each language."""
        total: Counter[str] = Counter()
        for language, number in self._wanted.items():
            total[self._known[language][1]] += number
        return dict(total)

    @property
    def fallbacks(self) -> dict[str, int]:
        """How many wanted a language that the statement lacks; people without a language are none of them."""
        return {
            language: number
            for language, number in self._wanted.items()
            if language and language.split("-")[0] != self._known[language][1].split("-")[0]
        }
