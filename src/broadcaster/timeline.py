"""A timeline: how many in each minute, or in coarser steps where there would be too many to keep or to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
# each is a multiple of the one before, so that steps can be joined; beyond the last they double
_STEPS: Final = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, DAY, 7 * DAY)


class Timeline:
    """Numbers over time: at most `most` steps from the first to the last, whatever it is told.

    `offset`: of the wall clock from UTC (seconds), so that days begin at midnight.
    """

    def __init__(self, most: int, offset: int = 0, step: int = MINUTE) -> None:
        self.step = step
        # what lies on both sides of the beginning of time never comes into one step
        self._most = max(2, most)
        self._offset = offset
        self._counts: Counter[int] = Counter()
        self._ends = (0, 0)  # the first and the last step

    def add(self, at: int, number: int = 1) -> None:
        """So many at a time (epoch seconds)."""
        place = (at + self._offset) // self.step
        first, last = self._ends if self._counts else (place, place)
        self._ends = (min(first, place), max(last, place))
        self._counts[place] += number
        while self._ends[1] - self._ends[0] >= self._most:
            self._widen()

    def _widen(self) -> None:
        step = next((each for each in _STEPS if each > self.step), 2 * self.step)
        joined: Counter[int] = Counter()
        for place, number in self._counts.items():
            joined[place * self.step // step] += number
        self._ends = (self._ends[0] * self.step // step, self._ends[1] * self.step // step)
        self._counts, self.step = joined, step

    @property
    def total(self) -> int:
        return self._counts.total()

    @property
    def slots(self) -> list[tuple[int, int]]:
        """Every step from the first to the last, the empty ones too: when it began (epoch seconds), how many."""
        if not self._counts:
            return []
        first, last = self._ends
        return [(place * self.step - self._offset, self._counts[place]) for place in range(first, last + 1)]

    def coarser(self, most: int) -> Timeline:
        """The same in at most so many steps."""
        return self._like(most, self._counts)

    def _like(self, most: int, counts: Mapping[int, int]) -> Timeline:
        made = Timeline(most, self._offset, self.step)
        for place, number in counts.items():
            made.add(place * self.step - self._offset, number)
        return made

    def until(self, share: float, most: int) -> Timeline:
        """The same in at most so many steps, without its end where that lets them be much finer.

        What is left holds at least such a share of all: a few who were tried again for days must not make one column
        of the minutes in which all the others went.
        """
        whole = self.coarser(most)
        enough, sofar = share * self.total, 0
        kept: dict[int, int] = {}
        for place in sorted(self._counts):
            if sofar >= enough:
                break
            kept[place] = self._counts[place]
            sofar += kept[place]
        shorter = self._like(most, kept)
        return shorter if 4 * shorter.step <= whole.step else whole

    def busiest(self, window: int) -> int | None:
        """The most in any full minute, hour or day by the clock. None where that is not known so finely any more."""
        if window % self.step:
            return None
        windows: Counter[int] = Counter()
        for place, number in self._counts.items():
            windows[place * self.step // window] += number
        return max(windows.values(), default=0)
