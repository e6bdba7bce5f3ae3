"""How much a value is, and what a step would make of it and take for it: reckoned before it is done.

A text that is doubled forty times, or put in place of each of its own letters, fills any machine before
anybody can measure it. So what multiplies is multiplied first in numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, ItemsView, Iterable, Iterator, Mapping
from typing import Any, Final

from markupsafe import escape

from broadcaster.errors import StatementError

# No text of a mail has more letters: Gmail clips it at 102 KB, and what is far beyond is an accident or an attack.
MOST: Final = 1_000_000
# Work is counted in turns, each of some ten microseconds: enough for so many letters …
TURN: Final = 256
# … and for so few where Python looks at each
_WALK: Final = 8
# what a list takes for a member, beside what that is
_MEMBER: Final = 32
# pairs of letters that are compared in one turn
_PAIRS: Final = 8_192
# of a number: some 1,200 digits
_BITS: Final = 4_096
# of one value within another
_DEEP: Final = 40
_PAIRED: Final[type[ItemsView[Any, Any]]] = type({}.items())
VIEWS: Final[tuple[type[Collection[Any]], ...]] = (type({}.keys()), type({}.values()), _PAIRED)
_HELD: Final[tuple[type[Collection[Any]], ...]] = (list, tuple, set, frozenset, dict, *VIEWS)
BULKY: Final[tuple[type[Collection[Any]], ...]] = (str, range, *_HELD)


def weight(value: object) -> int:
    """Letters, as it would be written out: what is held twice counts twice.

    Raises StatementError for what holds itself, and for a number that nobody reads.
    """
    return _weight(value, {}, 0)


def _weight(value: object, known: dict[int, int], depth: int) -> int:
    """`known` are the lists that were weighed: each is walked once, however often it is held."""
    if isinstance(value, (str, range)):
        return size(value)
    if isinstance(value, int):
        if value.bit_length() > _BITS:
            raise StatementError("makes a number of more than a thousand digits")
        return value.bit_length() // 3 + _MEMBER
    if not isinstance(value, _HELD):
        # what was imported is written out as all that it says
        return len(value.__html__()) if hasattr(value, "__html__") else _MEMBER
    if depth > _DEEP:
        raise StatementError(f"holds lists within lists, {_DEEP} deep")
    if (found := known.get(id(value))) is None:
        members: Iterable[Any] = value
        if isinstance(value, (dict, _PAIRED)):
            # its pairs are made as they are read: another may have the same id as soon as one is gone
            members = [each for pair in (value.items() if isinstance(value, dict) else value) for each in pair]
        found = known[id(value)] = sum(_weight(each, known, depth + 1) + _MEMBER for each in members)
    return found


def size(value: object) -> int:
    """How many letters or members there are; none in what is neither a text nor a list."""
    if isinstance(value, str):
        # a text that reads the recipient may be measured, though not looked at
        return str.__len__(value)
    return len(value) if isinstance(value, BULKY) else 0


def multiplied(left: float, right: float) -> bool:
    """Whether two numbers may be multiplied or divided. Those that are not whole are never long."""
    whole = isinstance(left, int) and isinstance(right, int)
    return not whole or int(left).bit_length() + int(right).bit_length() <= _BITS


def growth(step: str, /, *values: object, **options: object) -> int:
    """What a filter or method of that name makes of its value, if it makes much of it."""
    reckon = _GROWTH.get(step)
    return reckon(*values, **options) if reckon and values else 0


def price(step: str, /, *values: object, **options: object) -> int:
    """The turns that a filter or method of that name takes, beside those for what it reads and makes."""
    reckon = _PRICES.get(step)
    return reckon(*values, **options) if reckon and values else 0


def joined(pieces: Iterable[str], *, where: str | None = None) -> str:
    """The pieces as one text. Raises StatementError before it grows too long."""
    kept: list[str] = []
    length = 0
    for piece in pieces:
        kept.append(piece)
        if (length := length + len(piece)) > MOST:
            error = too_much(MOST, where=where)
            if isinstance(pieces, Generator):
                # a template that is running knows in which line it is
                pieces.throw(error)
            raise error
    return "".join(kept)


def filled(
    gap: re.Pattern[str], filling: Callable[[re.Match[str]], str], text: str, *, where: str | None = None
) -> str:
    """`gap.sub(filling, text)`. Raises StatementError before it grows too long."""

    def pieces() -> Iterator[str]:
        end = 0
        for found in gap.finditer(text):
            yield text[end : found.start()]
            yield filling(found)
            end = found.end()
        yield text[end:]

    return joined(pieces(), where=where)


def too_much(most: int, *, where: str | None = None) -> StatementError:
    return StatementError(
        f"makes a text or list of more than {most:,} characters",
        where=where,
        hint="Gmail shows 102,400 characters of a mail",
    )


# Their arguments have the names that Jinja gives them: each may be handed over by its name.


def _batch(_items: object, /, linecount: object = 0, fill_with: object = None, *_rest: object, **_more: object) -> int:
    return _count(linecount) * (weight(fill_with) + _MEMBER) if fill_with is not None else 0


def _center(_text: object, /, width: object = 80, *_rest: object, **_more: object) -> int:
    return _count(width)


def _indent(text: object, /, width: object = 4, *_rest: object, **_more: object) -> int:
    return (size(text) + 1) * (size(width) + _count(width) + 1)


def _join(parts: object, /, d: object = "", *_rest: object, **_more: object) -> int:
    return weight(parts) + size(parts) * weight(d)


def _replace(
    text: object, /, old: object = "", new: object = "", count: object = None, *_rest: object, **_more: object
) -> int:
    before, sign, after = str(text), str(old), str(new)
    if any(hasattr(each, "__html__") for each in (text, old, new)):
        # where one of them is HTML, Jinja escapes the others first: there may be more of the sign in them then
        before, after = str(escape(text)), str(escape(new))
    times = before.count(sign) if sign else len(before) + 1
    return len(before) + (min(times, count) if isinstance(count, int) and count >= 0 else times) * len(after)


def _slice(_items: object, /, slices: object = 0, *_rest: object, **_more: object) -> int:
    return _count(slices) * _MEMBER


def _wordwrap(
    text: object,
    /,
    _width: object = 79,
    _long: object = True,
    wrapstring: object = None,
    *_rest: object,
    **_more: object,
) -> int:
    """Whatever the width, each line has a letter, or is empty."""
    return (size(text) + 1) * (1 if wrapstring is None else weight(wrapstring) + 1)


def _count(number: object) -> int:
    return max(number, 0) if isinstance(number, int) else 0


_GROWTH: Final[Mapping[str, Callable[..., int]]] = {
    "batch": _batch,
    "center": _center,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "slice": _slice,
    "wordwrap": _wordwrap,
}


def _walked(value: object, /, *rest: object, **options: object) -> int:
    """Each letter or member is looked at, and what is handed over besides may be read each time."""
    return size(value) * (_WALK + sum(map(weight, (*rest, *options.values())))) // _WALK**2


def _sought(text: object, /, sign: object = "", *_rest: object, **_more: object) -> int:
    """Python looks for a text from its end in the slow way: each letter of one may meet each of the other."""
    return size(text) * size(sign) // _PAIRS


def _parted(text: object, /, sep: object = "", *rest: object, **options: object) -> int:
    return _walked(text, sep, *rest, **options) + _sought(text, sep)


def _summed(parts: object, /, *rest: object, **options: object) -> int:
    """A sum of lists copies for each of them all that was there before."""
    return _walked(parts, *rest, **options) + size(parts) * weight(parts) // _PAIRS // _MEMBER


def _rounded(_number: object, /, precision: object = 0, *_rest: object, **_more: object) -> int:
    """A number with as many digits is made on the way."""
    return abs(precision) // _WALK if isinstance(precision, int) else 0


def _wrapped(text: object, /, *_rest: object, **_more: object) -> int:
    """Python cuts a long line by copying what is left of it for each piece."""
    return _WALK + size(text)


def _written(_value: object, /, *_rest: object, **_more: object) -> int:
    """A sum or a date that nobody has written before."""
    return 2


_PRICES: Final[Mapping[str, Callable[..., int]]] = {
    **dict.fromkeys(("batch", "dictsort", "groupby", "join", "list", "map", "max", "min", "slice", "sort"), _walked),
    **dict.fromkeys(("reject", "rejectattr", "select", "selectattr", "split", "splitlines", "unique"), _walked),
    **dict.fromkeys(("striptags", "title", "wordcount"), _walked),
    **dict.fromkeys(("rfind", "rindex", "rpartition"), _sought),
    **dict.fromkeys(("date", "money", "number"), _written),
    "round": _rounded,
    "rsplit": _parted,
    "sum": _summed,
    "wordwrap": _wrapped,
}
