"""A filter as SQL: its tests as fixed words about a row of people, whatever a person wrote as parameters beside them.

Every test is 1 or 0, never null: what somebody lacks is unequal to everything, and false in every other comparison.
Values are text as they were typed; what can be read as a number or a day in one way only is compared as that.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from broadcaster import filters as f
from broadcaster import language as tags
from broadcaster.address import Address
from broadcaster.cell import tidy
from broadcaster.delivery import State
from broadcaster.errors import AddressError
from broadcaster.heading import field_name
from broadcaster.phrasing import as_date, as_number
from broadcaster.slips import near
from broadcaster.spelling import fold, plain

# accepted by a relay, whatever came back later, or perhaps: on its way, or never answered
WAS_SENT: Final = (State.CLAIMED, State.HANDED, State.ACCEPTED, State.IN_DOUBT, State.BOUNCED)
# the field that holds tags, with a comma or semicolon between them
TAGS: Final = "tags"

_TAG_SIGNS: Final = re.compile("[,;،؛]")
# a decimal in one country and thousands in another
_EITHER: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")
_WRITTEN: Final = "write it like 2026-01-31"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a filter can be about: the custom fields that there are, segments by `key_of`, numbers of mailings.

    `zone` is where days begin, None for the machine's. `joined` is about `lists`, or about any where none is named.
    """

    fields: Collection[str]
    segments: Mapping[str, str] = field(default_factory=dict)
    mailings: Collection[int] = ()
    zone: str | None = None
    lists: Sequence[int] = ()
    forgotten: Collection[int] = ()  # of these it is not known any more who got them


class Condition(NamedTuple):
    """What stands behind `where` about a row `s` of subscriber, and its parameters. It wants FUNCTIONS."""

    sql: str
    values: tuple[object, ...] = ()


EVERYBODY: Final = Condition("1")
NOBODY: Final = Condition("0")


class _Column(NamedTuple):
    """A field in SQL: as it is compared and as it is shown (text, never null), each with the parameters `values`."""

    name: str
    same: str
    shown: str
    values: tuple[object, ...] = ()
    custom: bool = False


_OWN: Final = {
    "email": _Column("email", "s.key", "s.address"),
    "domain": _Column("domain", *("substr(s.key, instr(s.key, '@') + 1)",) * 2),
    "name": _Column("name", "plain(s.name)", "s.name"),
    "language": _Column("language", "plain(s.language)", "s.language"),
    "timezone": _Column("timezone", "plain(s.timezone)", "s.timezone"),
}
_DAYS: Final = ("joined", "created")
_ORDER: Final = {"before": "<", "after": ">", "on": "="}


def compiled(of: f.Filter, scope: Scope) -> Condition:
    """A filter in SQL. Raises FilterError for a field, segment or mailing that is not there, and for a wrong value."""
    return _Compiler(of, scope).test(of.test)


def either(parts: Sequence[Condition]) -> Condition:
    """What any of these says."""
    return _joined(" or ", parts)


def opposite(of: Condition) -> Condition:
    """True of everybody else: a condition is never null."""
    return Condition(f"(not {of.sql})", of.values)


def key_of(name: str) -> str:
    """What tells segments apart: their names in any case."""
    return plain(name)


class _Compiler:
    def __init__(self, of: f.Filter, scope: Scope) -> None:
        self._of = of
        self._scope = scope

    def test(self, test: f.Test) -> Condition:
        match test:
            case f.Not(inner):
                return opposite(self.test(inner))
            case f.All(tests):
                return _joined(" and ", [self.test(each) for each in tests])
            case f.Any(tests):
                return _joined(" or ", [self.test(each) for each in tests])
            case f.Compare(of) if _name(of) in _DAYS:
                return self._day(test)
            case f.Compare(of, sign, value) if _name(of) == "language":
                if sign not in ("=", "!="):
                    raise self._of.wrong(f"a language is not {sign} another", value.place, "write language is ar")
                found = self._languages([value])
                return found if sign == "=" else opposite(found)
            case f.Compare():
                return self._compared(test)
            case f.Among(of, values):
                return self._among(of, values)
            case f.Like(of, pattern):
                column = self._column(of)
                return Condition(f"(fold({column.shown}) like ? escape '\\')", (*column.values, _folded(pattern)))
            case f.Has(of):
                return self._has(of)
            case f.Tagged(tag):
                return self._tagged(tag)
            case f.Sent(number, place):
                return self._sent(number, place)
            case f.Segment(name, place):
                return self._segment(name, place)
        raise TypeError(test)

    def _column(self, of: f.Field) -> _Column:
        """Where the values of a field are."""
        name = _name(of)
        if name in _OWN:
            return _OWN[name]
        if name in _DAYS:
            raise self._of.wrong(f"{name} is a day", of.place, f"write {name} before 2026-01-31, or after, or on")
        there = self._scope.fields
        found = next((each for each in (of.name, field_name(of.name)) if each in there), None)
        if found is None:
            raise self._of.wrong(f"no subscriber has {of.name!r}", of.place, near(of.name, {*there, *f.OWN}))
        value = "coalesce((select value from json_each(s.fields) where key = ?), '')"
        return _Column(found, f"plain({value})", value, (found,), custom=True)

    def _compared(self, test: f.Compare) -> Condition:
        column = self._column(test.of)
        text = tidy(test.value.text)
        sign = _ORDER.get(test.sign, test.sign)
        if test.sign in _ORDER:
            if not column.custom:
                raise self._of.wrong(f"{column.name} is no day", test.of.place, f"write {column.name} = …")
            return _read("dated", column, sign, self._date(test.value).isoformat())
        if sign in ("=", "!="):
            found = _equal(column, [text])
            return found if sign == "=" else opposite(found)
        if column.custom:
            if (number := self._number(test.value)) is not None:
                return _read("numeric", column, sign, number)
            if (day := as_date(text)) is not None:
                return _read("dated", column, sign, day.isoformat())
        return Condition(
            f"({column.shown} <> '' and {column.same} {sign} ?)", (*column.values, *column.values, plain(text))
        )

    def _among(self, of: f.Field, values: Sequence[f.Value]) -> Condition:
        if _name(of) == "language":
            return self._languages(values)
        return _equal(self._column(of), [tidy(value.text) for value in values])

    def _languages(self, values: Sequence[f.Value]) -> Condition:
        """A language covers what is more exact: ar has ar-IQ in it."""
        parts = []
        for value in values:
            tag = tags.tag_of(tidy(value.text)) if value.text else ""
            if tag is None:
                raise self._of.wrong(
                    f"{value.text!r} is no language we know", value.place, "write it like ar, ckb or ar-IQ"
                )
            parts.append(Condition("s.language = ?", (tag,)))
            if tag:
                parts.append(Condition("substr(s.language, 1, ?) = ?", (len(tag) + 1, f"{tag}-")))
        return either(parts)

    def _has(self, of: f.Field) -> Condition:
        if _name(of) in _DAYS:
            sql, values = self._moment(of)
            return Condition(f"({sql} is not null)", values)
        column = self._column(of)
        return Condition(f"({column.shown} <> '')", column.values)

    def _tagged(self, tag: f.Value) -> Condition:
        wanted = plain(tidy(tag.text))
        if not wanted or _TAG_SIGNS.search(wanted):
            raise self._of.wrong(f"{tag.text!r} is no tag", tag.place, "one tag, without a comma or semicolon")
        column = self._column(f.Field(TAGS, True, tag.place))
        return Condition(f"tagged({column.shown}, ?)", (*column.values, wanted))

    def _sent(self, number: int, place: int) -> Condition:
        if number not in self._scope.mailings:
            raise self._of.wrong(f"no mailing {number}", place, "`broadcaster mailings` lists them")
        if number in self._scope.forgotten:
            raise self._of.wrong(
                f"who got mailing {number} is forgotten", place, "[retention] says how long it is known"
            )
        states = json.dumps([int(state) for state in WAS_SENT])
        # asked of the index of who is in which mailing, for each person; a rehearsal was sent to nobody
        return Condition(
            "(exists (select 1 from mailing where id = ? and not rehearsal) and exists (select 1 from delivery d"
            " where d.mailing + 0 = ? and d.subscriber = s.id and d.state in (select value from json_each(?))))",
            (number, number, states),
        )

    def _segment(self, name: str, place: int) -> Condition:
        meaning = self._scope.segments.get(key_of(name))
        if meaning is None:
            hint = near(name, self._scope.segments)
            raise self._of.wrong(f"no segment @{name}", place, f"{hint}; `broadcaster segments` shows them")
        inner = f.parse(meaning, f"@{name}")
        if inner.segments:
            raise self._of.wrong(f"@{name} is made of other segments", place, "write out what they say")
        return compiled(inner, self._scope)

    # days

    def _moment(self, of: f.Field) -> Condition:
        """When that was, in seconds since the epoch; null where it never was."""
        if _name(of) == "created":
            return Condition("s.created")
        if not self._scope.lists:
            return Condition("(select min(u.since) from subscription u where u.subscriber = s.id and u.state = 1)")
        return Condition(
            "(select min(u.since) from json_each(?) l cross join subscription u on u.list = l.value"
            " and u.subscriber = s.id and u.state = 1)",
            (json.dumps([*self._scope.lists]),),
        )

    def _day(self, test: f.Compare) -> Condition:
        sql, values = self._moment(test.of)
        day = self._date(test.value)
        start, end = _midnight(day, self._scope.zone), _midnight(day + datetime.timedelta(1), self._scope.zone)
        match _ORDER.get(test.sign, test.sign):
            case "<":
                return Condition(f"coalesce({sql} < ?, 0)", (*values, start))
            case ">":
                return Condition(f"coalesce({sql} >= ?, 0)", (*values, end))
            case "<=":
                return Condition(f"coalesce({sql} < ?, 0)", (*values, end))
            case ">=":
                return Condition(f"coalesce({sql} >= ?, 0)", (*values, start))
        negated = "not " if test.sign == "!=" else ""
        return Condition(f"({negated}coalesce({sql} between ? and ?, 0))", (*values, start, end - 1))

    def _date(self, value: f.Value) -> datetime.date:
        day = as_date(tidy(value.text))
        if day is None or not 1 < day.year < datetime.MAXYEAR:
            raise self._of.wrong(f"{value.text!r} is no day", value.place, _WRITTEN)
        return day

    def _number(self, value: f.Value) -> int | float | None:
        text = tidy(value.text)
        if _EITHER.fullmatch(text):
            raise self._of.wrong(
                f"{text} is one number here and another there",
                value.place,
                f"write {text.replace('.', '')}, or {text}0",
            )
        return numeric(text)


def _name(of: f.Field) -> str:
    """Of a field of our own, its name; else ""."""
    name = plain(of.name)
    return name if name in f.OWN and not of.custom else ""


def _joined(word: str, parts: Sequence[Condition]) -> Condition:
    return Condition(
        f"({word.join(part.sql for part in parts)})", tuple(value for part in parts for value in part.values)
    )


def _equal(column: _Column, texts: Sequence[str]) -> Condition:
    """The same text in any case, or the same number or day."""
    parts = [_in(column.same, column.values, [_spelled(column, text) for text in texts])]
    if column.custom:
        numbers = [number for text in texts if (number := numeric(text)) is not None]
        days = [day for text in texts if (day := dated(text)) is not None]
        parts += [
            _in(f"{function}({column.shown})", column.values, there)
            for function, there in (("numeric", numbers), ("dated", days))
            if there
        ]
    return either(parts)


def _in(sql: str, values: tuple[object, ...], there: Sequence[object]) -> Condition:
    return Condition(f"coalesce({sql} in ({', '.join('?' * len(there))}), 0)", (*values, *there))


def _read(function: str, column: _Column, sign: str, value: object) -> Condition:
    """A comparison with those values that can be read as a number or a day; of the others it is false."""
    return Condition(f"coalesce({function}({column.shown}) {sign} ?, 0)", (*column.values, value))


def _spelled(column: _Column, text: str) -> str:
    """A text as the column has it: domains are in A-labels there."""
    try:
        if column.name == "email":
            return Address.parse(text).key
        if column.name == "domain":
            return Address.parse(f"x@{text}").domain
    except AddressError:
        pass  # then nobody has it
    return plain(text)


def _folded(pattern: str) -> str:
    """A pattern without case and accents. What folding makes of other signs is no % or _ of the person's."""
    pieces = re.split(r"(\\.|[%_])", pattern, flags=re.DOTALL)
    return "".join(
        piece if place % 2 else re.sub(r"([\\%_])", r"\\\1", fold(piece)) for place, piece in enumerate(pieces)
    )


def _midnight(day: datetime.date, zone: str | None) -> int:
    """When a day begins in a zone, None for the machine's (seconds since the epoch, UTC)."""
    start = datetime.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone) if zone else datetime.UTC)
    if zone is None and 1970 < day.year < 2970:
        # naive means the machine's; where it has no table, a day more or less concerns nobody
        start = start.replace(tzinfo=None)
    return int(start.timestamp())


# what SQL asks of us, by name: the number of arguments and the function


@lru_cache(maxsize=8192)
def numeric(text: str) -> int | float | None:
    """The number that a text is, where it is one in one way only."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    number = as_number(text)
    if number is None:
        return None
    return int(number) if number == number.to_integral_value() else float(number)


@lru_cache(maxsize=8192)
def dated(text: str) -> str | None:
    """The day that a text is, as 2026-01-31, where it is one in one way only."""
    day = as_date(text)
    return None if day is None else day.isoformat()


def tagged(text: str, wanted: str) -> bool:
    """Whether a list of tags holds one, given as `plain` has it."""
    return any(part.strip() == wanted for part in _TAG_SIGNS.split(plain(text)))


FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "plain": (1, plain),
    "fold": (1, fold),
    "numeric": (1, numeric),
    "dated": (1, dated),
    "tagged": (2, tagged),
}
