"""status --watch: how a mailing comes on, drawn in place, until it stops or nobody sends."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import COLOURS, bar, clip, counts, encoded, lively, moment, out, span, style, width

if TYPE_CHECKING:
    from broadcaster.mailing import Mailing

EVERY: Final = 1.0  # seconds between two looks
WINDOW: Final = 10.0  # the rate is that of so many last seconds
IDLE: Final = 3.0  # nobody sends for so long: nothing more is to be seen
LOOK: Final = 0.1  # how soon a new size of the terminal is seen
WIDEST: Final = 76


class Rate:
    """How many a second, over the last seconds."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, at: float, done: int) -> None:
        """Note how many were done at a time (seconds of any clock that does not jump)."""
        self._seen.append((at, done))
        while len(self._seen) > 2 and self._seen[1][0] <= at - self._window:
            self._seen.popleft()

    @property
    def a_second(self) -> float:
        """0 until two looks have been taken."""
        if len(self._seen) < 2:
            return 0.0
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return max(0.0, (after - before) / (last - first)) if last > first else 0.0


class View:
    """One mailing as it was seen last."""

    def __init__(self) -> None:
        self.rate = Rate()
        self.of: Mailing | None = None
        self.changed = True

    def look(self, of: Mailing, at: float) -> None:
        """See it once more."""
        self.changed = self.of is None or (of.state, of.tally, of.reason) != (
            self.of.state,
            self.of.tally,
            self.of.reason,
        )
        self.of = of
        self.rate.take(at, of.audience - _untried(of))

    @property
    def left(self) -> float | None:
        """Seconds until all is tried, at this rate."""
        assert self.of is not None
        untried = _untried(self.of)
        return untried / self.rate.a_second if untried and self.rate.a_second else None

    @property
    def speed(self) -> str:
        """ "82.4/s, 41 s left", or nothing when nothing moves."""
        if not self.rate.a_second or (self.of is not None and self.of.state.word != "sending"):
            return ""
        left = f", {span(self.left)} left" if self.left is not None else ""
        return f"{self.rate.a_second:,.1f}/s{left}"

    def line(self, at: int, zone: str | None) -> str:
        """All in one line, for a log."""
        assert self.of is not None
        speed = f"; {self.speed}" if self.speed else ""
        return f"{moment(at, zone)} mailing {self.of.id}: {counts(self.of.words())}; {self.of.state.word}{speed}"

    def json(self, at: int) -> str:
        assert self.of is not None
        left = None if self.left is None else round(self.left, 1)
        figures = {**self.of.figures(), "at": at, "rate": round(self.rate.a_second, 2), "left": left}
        return encoded(figures)

    def lines(self, columns: int) -> list[tuple[str, str | None]]:
        """The picture of a terminal so wide: lines with their colours."""
        assert self.of is not None
        of = self.of
        part = (of.audience - of.open) / of.audience if of.audience else 1.0
        figure = f" {part:6.1%}  {of.audience - of.open:,} of {of.audience:,}"
        kind = ", a rehearsal" if of.rehearsal else ""
        reason = f" ({of.reason})" if of.reason else ""
        drawn = [
            (f"mailing {of.id}: {of.statement}, {of.state.word}{kind}{reason}", COLOURS.get(of.state.word)),
            (bar(part, max(8, min(48, columns - len(figure)))) + figure, None),
            (f"{counts(of.words())}", None),
        ]
        if self.speed:
            drawn.append((self.speed, None))
        return [(clip(line, columns), colour) for line, colour in drawn]


def _untried(of: Mailing) -> int:
    from broadcaster.delivery import State

    return sum(of.tally.get(state, 0) for state in (State.PENDING, State.CLAIMED, State.HANDED))


class Canvas:
    """Some lines at the bottom of a terminal that are drawn again and again, whatever its size has become."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write
        self._widths: list[int] = []

    def draw(self, lines: Sequence[tuple[str, str | None]], columns: int, rows: int) -> None:
        """Draw instead of what was drawn before. Lines that a narrower terminal has broken count as often as it did."""
        above = sum(max(1, -(-wide // columns)) for wide in self._widths)
        up = f"\x1b[{min(above, rows - 1)}F" if above else ""
        shown = lines[: max(1, rows - 1)]
        self._widths = [width(line) for line, _ in shown]
        self._write(up + "\x1b[J" + "".join(style(line, fg=colour) + "\n" for line, colour in shown))


def watch(house: House, number: int | None, *, as_json: bool) -> list[Mailing]:
    """Look on until nothing moves any more. The mailings as they were seen last. Exits with 130 on Ctrl-C."""
    terminal = lively(sys.stdout) and not as_json
    try:
        return _look_on(house, number, Canvas(sys.stdout.write) if terminal else None, as_json=as_json)
    except KeyboardInterrupt:
        if terminal:
            out()  # the ^C is there already
        raise click.exceptions.Exit(130) from None


def _look_on(house: House, number: int | None, canvas: Canvas | None, *, as_json: bool) -> list[Mailing]:
    from broadcaster.lock import Lock

    lock = Lock(house.workspace.lock)
    zone = house.config.time.zone
    views: dict[int, View] = {}
    at_work = time.monotonic()
    while True:
        now = time.monotonic()
        # before the mailings: what a sender wrote last is seen when it has gone
        if lock.held():
            at_work = now
        seen = [house.ledger.mailing(number)] if number is not None else _going(house, views)
        for of in seen:
            views.setdefault(of.id, View()).look(of, now)
        shown = [views[of.id] for of in seen]
        if canvas is not None:
            _draw(canvas, shown)
        else:
            for view in shown:
                if view.changed:
                    out(view.json(house.now) if as_json else view.line(house.now, zone))
            sys.stdout.flush()
        moving = any(of.state.word in ("sending", "ready", "scheduled") for of in seen)
        if not moving or now - at_work >= IDLE:
            return seen
        _wait(canvas, shown, now + EVERY)


def _going(house: House, views: dict[int, View]) -> list[Mailing]:
    """What goes on, and what has ended since it was seen going on."""
    found = house.ledger.mailings()
    return [of for of in reversed(found) if not of.state.over or of.id in views]


def _size() -> os.terminal_size:
    """The terminal's size now, whatever the shell said when we began."""
    try:
        return os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return os.terminal_size((80, 24))


def _draw(canvas: Canvas, views: Sequence[View]) -> None:
    size = _size()
    lines = [line for view in views for line in view.lines(min(size.columns - 1, WIDEST))]
    canvas.draw(lines, size.columns, size.lines)
    sys.stdout.flush()


def _wait(canvas: Canvas | None, views: Sequence[View], until: float) -> None:
    """Until the next look; a terminal of another size is drawn on at once."""
    size = _size()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, LOOK))
        if canvas is not None and _size() != size:
            size = _size()
            _draw(canvas, views)
