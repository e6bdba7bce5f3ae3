"""Drawings of a report: shapes as SVG, without a word in them. What they mean stands beside them, as text.

So letters keep their size on a phone and run the way their language does, and a drawing has no name in it that
anybody chose. Colours are classes: the page says what they look like by day, at night and on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from drawsvg import Drawing

# of a bar, and of columns; the page stretches them
LONG, THICK = 100, 10
HIGH: Final = 100
GAP: Final = 0.12  # between columns, of one
# whatever is anything is seen
LEAST: Final = 0.6


def bar(parts: Sequence[tuple[str, float]], lines: Sequence[float] = (), *, rtl: bool = False) -> str:
    """Parts of the whole width one after the other, each a kind and a share of it; lines across at other shares.

    `rtl`: it grows from the right. What it shows stands in the row beside it: nothing is read out.
    """
    from drawsvg import Line, Rectangle

    made = _drawing(LONG, THICK, "bar")
    made.append(Rectangle(0, 0, LONG, THICK, class_="ground"))
    begin = 0.0
    for kind, share in parts:
        long = min(max(share * LONG, LEAST if share > 0 else 0.0), LONG - begin)
        if long > 0:
            left = LONG - begin - long if rtl else begin
            made.append(Rectangle(_round(left), 0, _round(long), THICK, class_=kind))
            begin += long
    for share in lines:
        at = _round(LONG * (1 - share if rtl else share))
        made.append(Line(at, 0, at, THICK, class_="line"))
    return _text(made)


def columns(stacks: Sequence[Sequence[tuple[str, int]]], name: str, *, title: str, describes: str, rtl: bool) -> str:
    """Columns over time, each a stack of parts from below, as high as they are many beside the highest.

    `name`: an id that nothing else on the page has; `title` and `describes` are read out.
    """
    from drawsvg import Line, Raw, Rectangle
    from markupsafe import escape

    made = _drawing(len(stacks), HIGH, "columns", f"{name}-title {name}-desc")
    made.append(Raw(f'<title id="{name}-title">{escape(title)}</title>'))
    made.append(Raw(f'<desc id="{name}-desc">{escape(describes)}</desc>'))
    most = max((sum(number for _, number in stack) for stack in stacks), default=0) or 1
    for at in (0, HIGH / 2, HIGH):
        made.append(Line(0, at, len(stacks), at, class_="grid"))
    for place, stack in enumerate(stacks):
        left = _round((len(stacks) - 1 - place if rtl else place) + GAP / 2)
        below = 0.0
        for kind, number in stack:
            if number:
                high = max(number / most * HIGH, LEAST)
                below += high
                made.append(Rectangle(left, _round(max(HIGH - below, 0)), 1 - GAP, _round(high), class_=kind))
    return _text(made)


def _drawing(width: float, height: float, kind: str, labelled: str = "") -> Drawing:
    from drawsvg import Drawing

    told = {"role": "img", "aria-labelledby": labelled} if labelled else {"aria-hidden": "true", "focusable": "false"}
    return Drawing(width, height, preserveAspectRatio="none", class_=kind, **told)


def _text(made: Drawing) -> str:
    """The element alone: a page needs neither a heading of XML nor names of spaces, nor a place for definitions."""
    text = made.as_svg(header="", skip_js=True, skip_css=True)
    start = text.index("<svg")
    for unwanted in (' xmlns="http://www.w3.org/2000/svg"', ' xmlns:xlink="http://www.w3.org/1999/xlink"'):
        text = text.replace(unwanted, "", 1)
    return " ".join(text[start:].replace("<defs>\n</defs>", "").split())


def _round(value: float) -> float:
    return round(value, 3)
