"""A person's values as a language writes them: sums, numbers, dates, names, links. The filters of a statement.

A value is what somebody once typed into a sheet, so each filter reads what can be read in one way only, and
leaves the rest as it was typed: a sum that is wrong by a thousand is worse than a plain one.
`check` counts whom that concerns (`understood`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from broadcaster import language as tags

# no sum, date or name is longer; parsing more would cost every copy
_LONGEST: Final = 64
# of a number, on each side of its point and altogether: no sum has more, and decimal arithmetic keeps 28
_DIGITS: Final = 18
_DIGIT: Final = re.compile(r"\d")
_SPACES: Final = re.compile(r"[\s\u00a0\u202f\u2009'’]")
_PLAIN: Final = re.compile(r"[+-]?\d+(?:\.\d+)?")
_GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}(?P<sign>[.,])\d{3}(?:(?P=sign)\d{3})*(?:(?!(?P=sign))[.,]\d+)?")
_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
# 1.125 is a decimal in one sheet and a thousand in another; a group never begins with 0
_EITHER: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
# where a currency's letters stand against the number
_AGAINST: Final = re.compile(r"(?<=[^\W\d_])(?=\d)")
_LATIN_MONEY: Final = re.compile(r"[A-Za-z]+[$€£]")
_ISO: Final = re.compile(
    r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
)
_DOTTED: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SLASHED: Final = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_STYLES: Final = ("short", "medium", "long", "full", "weekday", "month", "year")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LINK: Final = re.compile(r"(?:https?://[^\s/]|mailto:[^\s@]+@|tel:\+?\d)", re.IGNORECASE)
_WORD: Final = re.compile(r"(?P<after>(?<=\w['’]))?[^\W\d_]+")

Filter = Callable[..., Any]


def as_number(value: object) -> Decimal | None:
    """What a person's cell says, None where it says nothing, or two things: 25000, 25,000.50, ٢٥٬٠٠٠, 25 000."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return _exact(Decimal(value) if isinstance(value, int) else Decimal(str(value)))
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    text = _western(value).replace("٫", ".").replace("٬", ",").replace("\u2212", "-")
    text = _SPACES.sub("", text.strip("\u200e\u200f\u061c \t"))
    if _EITHER.fullmatch(text):
        # where Arabic signs stood there is no doubt
        return _exact(Decimal(text)) if "٫" in value else None
    if _PLAIN.fullmatch(text):
        return _exact(Decimal(text))
    if found := _GROUPED.fullmatch(text):
        return _exact(Decimal(text.replace(found["sign"], "").replace(",", ".")))
    return _exact(Decimal(text.replace(",", "."))) if _COMMA.fullmatch(text) else None


def _exact(number: Decimal) -> Decimal | None:
    """The number, None where writing it would round what was typed, or fail: an identifier, or an accident."""
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent < -_DIGITS or len(digits) + max(exponent, 0) > _DIGITS:
        return None
    return number


def as_date(value: object) -> datetime.date | None:
    """What a person's cell says: 2026-05-04, 4.5.2026, 25/12/2026; None where day and month could be either."""
    if isinstance(value, datetime.date):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    text = _western(value.strip())
    if found := _ISO.fullmatch(text):
        year, month, day = found[1], found[3], found[4]
    elif found := _DOTTED.fullmatch(text):
        day, month, year = found.groups()
    elif found := _SLASHED.fullmatch(text):
        day, month, year = found.groups()
        if int(month) > 12:
            day, month = month, day
        elif int(day) <= 12 and day != month:
            return None
    else:
        return None
    try:
        return datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None


def as_link(value: object) -> str | None:
    """A whole link, `https://` before a bare www.; None where it is none, or one that no mail may hold."""
    text = value.strip() if isinstance(value, str) else ""
    if text.lower().startswith("www.") and not _SPACES.search(text):
        return f"https://{text}"
    return text if _LINK.match(text) and not _SPACES.search(text) else None


def titled(value: object) -> str:
    """A name as one writes it: ALI HASSAN and ali hassan are Ali Hassan; McDonald and van der Berg stay."""
    text = value if isinstance(value, str) else str(value)
    if text != text.upper() and text != text.lower():
        return text
    # O'BRIEN is O'Brien; the one letter of MARY'S is small
    return _WORD.sub(
        lambda found: found[0].lower() if found["after"] is not None and len(found[0]) == 1 else found[0].capitalize(),
        text,
    )


def _western(text: str) -> str:
    """Any script's digits as 0 to 9."""
    return text if text.isascii() else _DIGIT.sub(lambda found: str(int(found[0])), text)


@lru_cache(maxsize=8192)
def _money(number: Decimal, currency: str, tag: str) -> str:
    from babel.numbers import format_currency

    written = format_currency(number, currency, locale=tags.locale(tag), numbering_system="default")
    # CLDR's spacing, which Babel leaves out: IQD 25,000 beside $25,000
    written = _AGAINST.sub("\u00a0", written)
    if tags.direction(tag) == "rtl":
        # behind Latin letters a $ at the end of a run would turn to their other side
        written = _LATIN_MONEY.sub("\\g<0>\u200e", written)
    return tags.digits(_signed(written, tag), tag)


@lru_cache(maxsize=8192)
def _number(number: Decimal, decimals: int | None, tag: str) -> str:
    from babel.numbers import format_decimal

    if decimals is not None:
        number = round(number, max(0, min(decimals, 9)))
    pattern = None if decimals is None else "#,##0" + ("." + "0" * decimals if decimals > 0 else "")
    written = format_decimal(
        number, format=pattern, locale=tags.locale(tag), decimal_quantization=False, numbering_system="default"
    )
    return tags.digits(_signed(written, tag), tag)


def _signed(written: str, tag: str) -> str:
    """The minus as the language writes it: in Arabic with a mark, so that it stays before its number."""
    from babel.numbers import get_minus_sign_symbol

    return written.replace("-", get_minus_sign_symbol(tags.locale(tag), numbering_system="default"))


@lru_cache(maxsize=8192)
def _date(value: datetime.date, style: str, tag: str) -> str:
    from babel.dates import format_date

    pattern = {"weekday": "EEEE", "month": "LLLL", "year": "y"}.get(style, style)
    return tags.digits(format_date(value, pattern, tags.locale(tag)), tag)


def filters(tag: str, missing: Callable[[object], bool], nothing: object) -> dict[str, Filter]:
    """The filters of a statement in a language. `missing` says whether a person lacks the value, which stays so."""

    def kept(work: Filter) -> Filter:
        return lambda value, *rest, **options: value if missing(value) else work(value, *rest, **options)

    def money(value: object, currency: str) -> str:
        number = as_number(value)
        known = isinstance(currency, str) and _CURRENCY.fullmatch(currency)
        return _money(number, currency, tag) if number is not None and known else str(value)

    def number(value: object, decimals: int | None = None) -> str:
        found = as_number(value)
        return _number(found, decimals, tag) if found is not None else str(value)

    def date(value: object, style: str = "long") -> str:
        found = as_date(value)
        return _date(found, style if style in _STYLES else "long", tag) if found is not None else str(value)

    def url(value: object) -> object:
        return nothing if (link := as_link(value)) is None else link

    def split(value: object, sign: str = ",") -> list[str]:
        return [part.strip() for part in str(value).split(sign or ",") if part.strip()]

    made: Mapping[str, Filter] = {
        "money": money,
        "number": number,
        "date": date,
        "title": titled,
        "url": url,
        "split": split,
        # what stands in a link is escaped for it: an author's own escaping has nothing to do
        "urlencode": lambda value: value,
    }
    return {name: kept(work) for name, work in made.items()}


# how each is called: at least and at most so many arguments, and how it is written
_CALLS: Final[Mapping[str, tuple[int, int, str]]] = {
    "money": (1, 1, 'money("IQD")'),
    "number": (0, 1, "number or number(2)"),
    "date": (0, 1, 'date or date("full")'),
    "title": (0, 0, "title"),
    "url": (0, 0, "url"),
    "split": (0, 1, 'split(",")'),
    "urlencode": (0, 0, "urlencode"),
}
NAMES: Final = frozenset(_CALLS)
# whose arguments may be given by name
_BY_NAME: Final = {"money": "currency", "number": "decimals", "date": "style", "split": "sign"}


def complaint(name: str, arguments: Sequence[object], options: Mapping[str, object]) -> tuple[str, str] | None:
    """What is wrong with how a filter is called, and how it is written. None stands for what is not known yet."""
    least, most, written = _CALLS[name]
    strange = set(options) - {_BY_NAME.get(name, "")}
    given = [*arguments, *options.values()]
    if strange or not least <= len(given) <= most:
        return f"{name} is called in another way", f"write {written}"
    value = given[0] if given else None
    if value is None:
        return None
    if name == "money" and not (isinstance(value, str) and _CURRENCY.fullmatch(value)):
        return f"{value!r} is no currency", 'write its three letters: money("IQD"), money("USD")'
    if name == "date" and value not in _STYLES:
        return f"there is no date {value!r}", f"there are {', '.join(_STYLES)}"
    if name == "number" and (not isinstance(value, int) or not 0 <= value <= 9):
        return f"{value!r} is no number of decimals", "write number(0) to number(9)"
    return None


# what reads a value, rather than only writing it
_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "money": as_number,
    "number": as_number,
    "date": as_date,
    "url": as_link,
}
READING: Final = frozenset(_READERS)


def understood(name: str, value: str) -> bool:
    """Whether a filter can read a value; else it is shown as it was typed, and a link not at all."""
    return _READERS[name](value) is not None
