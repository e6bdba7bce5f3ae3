"""A settings file (TOML) read table by table: each key by name and type, each error with its place and what is allowed.

`tomllib` gives values but no lines, so an error looks its key up in the text again; where the way
of writing defeats that, it names the key alone.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

from broadcaster.errors import BadData, BroadcasterError, ConfigError

Parsed = TypeVar("Parsed")

# no honest value is longer; the whole file is bounded by whoever reads it
_TEXT_LIMIT: Final = 4_000
_LIST_LIMIT: Final = 1_000
_KINDS: Final = {str: "text in quotes", bool: "true or false", int: "a whole number", list: "a list", dict: "a table"}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_CENTURY: Final = 100 * _SECONDS["y"]


class Source:
    """The text of a settings file, and where in it a key stands."""

    __slots__ = ("_text", "file")

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self.file = file

    def read(self) -> dict[str, Any]:
        """The whole file as nested dicts. Raises ConfigError with the line where it is no TOML."""
        try:
            return tomllib.loads(self._text.removeprefix("\ufeff"))
        except tomllib.TOMLDecodeError as error:
            words = str(error)
            found = re.search(r" \(at line (\d+), column \d+\)$", words)
            where = f"{self.file}:{found[1]}" if found else self.file
            message = words[: found.start()] if found else words
            raise ConfigError(
                f"is not TOML: {message[:1].lower()}{message[1:200]}",
                where=where,
                hint="texts need quotes, lists square brackets: see https://toml.io",
            ) from None
        except (RecursionError, ValueError):
            # hundreds of brackets in brackets, a number of thousands of digits
            raise ConfigError("is not TOML that anybody would write", where=self.file) from None

    def place(self, path: Sequence[str]) -> str:
        """ "FILE:LINE" of a key or of the table that lacks it, else "FILE"."""
        best, line = 0, 0
        for number, found in _keys(self._text):
            common = sum(1 for _ in _common(found, path))
            if common == len(found) > best:
                best, line = common, number
        return f"{self.file}:{line}" if line else self.file


def _common(one: Sequence[str], other: Sequence[str]) -> Iterator[str]:
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            return
        yield mine


_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_PATH: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"^\s*\[\[?\s*({_PATH})\s*\]")
_KEY: Final = re.compile(rf"^\s*({_PATH})\s*=")


def _keys(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each table and key of the text with its line, as far as one line shows."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if found := _HEADER.match(line):
            table = _split(found[1])
            yield number, table
        elif found := _KEY.match(line):
            yield number, table + _split(found[1])


def _split(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, path))


class Table:
    """One table of the file. A key that is not in `allowed` is an error at once: it may be a misspelt needed one."""

    def __init__(
        self, values: Mapping[str, Any], source: Source, allowed: Sequence[str] | None, path: tuple[str, ...] = ()
    ) -> None:
        self._values = values
        self._source = source
        self._path = path
        if allowed is not None:
            for key in values:
                if key not in allowed:
                    self._unknown(key, allowed)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def fail(self, key: str, message: str, hint: str | None = None) -> NoReturn:
        """Raise ConfigError about a key of this table ("": about the table)."""
        path = (*self._path, key) if key else self._path
        raise ConfigError(f"{_dotted(path)}: {message}", where=self._source.place(path), hint=hint)

    def _unknown(self, key: str, allowed: Sequence[str]) -> NoReturn:
        near = difflib.get_close_matches(key, allowed, n=1)
        what = "table" if isinstance(self._values[key], dict) and not self._path else "key"
        self.fail(
            key, f"no such {what}; allowed here: {', '.join(allowed)}", f"did you mean {near[0]}?" if near else None
        )

    def _get(self, key: str, kind: type[Parsed]) -> Parsed | None:
        if key not in self._values:
            return None
        value = self._values[key]
        # true is an int to Python, not to a reader
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(key, f"must be {_KINDS[kind]}, not {_shown(value)}")
        return value

    def text(self, key: str, default: str | None = None, *, empty: bool = False) -> str:
        """A text on one line. Needed when there is no default."""
        value = self._get(key, str)
        if value is not None:
            return self._plain(key, value, empty=empty)
        if default is None:
            self.fail(key, "is missing", f"add {key} = …" + (f" below [{_dotted(self._path)}]" if self._path else ""))
        return default

    def _plain(self, key: str, value: str, *, empty: bool = False) -> str:
        if not empty and not value.strip():
            self.fail(key, "is empty", "give it a value, or leave the key out")
        if len(value) > _TEXT_LIMIT:
            self.fail(key, f"is longer than {_TEXT_LIMIT:,} letters")
        # most of them end in a header or a command to a relay
        if any(sign < " " or "\x7f" <= sign <= "\x9f" or sign in "\u2028\u2029" for sign in value):
            self.fail(key, "must be one line without control characters")
        return value.strip()

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key, bool)
        return default if value is None else value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self._get(key, int)
        if value is None:
            return default
        if not low <= value <= high:
            self.fail(key, f"must be from {low:,} to {high:,}")
        return value

    def choice(self, key: str, options: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in options:
            near = difflib.get_close_matches(value, options, n=1)
            self.fail(
                key,
                f"{_shown(value)} is not one of {', '.join(options)}",
                f"did you mean {near[0]}?" if near else None,
            )
        return value

    def parsed(self, key: str, parse: Callable[[str], Parsed], default: Parsed | None = None) -> Parsed:
        """A text that means something; needed when there is no default.

        What `parse` says against it (ValueError, BroadcasterError) is said of the key.
        """
        return default if default is not None and key not in self._values else self._parse(key, self.text(key), parse)

    def maybe(self, key: str, parse: Callable[[str], Parsed]) -> Parsed | None:
        """Such a text, None where it is not there."""
        return self._parse(key, self.text(key), parse) if key in self._values else None

    def list_of(self, key: str, parse: Callable[[str], Parsed], default: Sequence[Parsed] = ()) -> tuple[Parsed, ...]:
        """A list of such texts."""
        if key not in self._values:
            return tuple(default)
        return tuple(self._parse(key, self._item(key, item), parse) for item in self.items(key) or ())

    def items(self, key: str) -> list[Any] | None:
        """A list as it is, None when it is not there."""
        values = self._get(key, list)
        if values is not None and len(values) > _LIST_LIMIT:
            self.fail(key, f"has more than {_LIST_LIMIT:,} entries")
        return values

    def _item(self, key: str, item: object) -> str:
        if not isinstance(item, str):
            self.fail(key, f"must be a list of texts in quotes, and {_shown(item)} is none")
        return self._plain(key, item)

    def _parse(self, key: str, text: str, parse: Callable[[str], Parsed]) -> Parsed:
        try:
            return parse(text)
        except BroadcasterError as error:
            self.fail(key, error.message, error.hint)
        except ValueError as error:
            self.fail(key, str(error))

    def keyed(self, key: str, parse: Callable[[str], Parsed]) -> Parsed:
        """A key that means something itself, like a language or a domain."""
        return self._parse(key, key, parse)

    def table(self, key: str, allowed: Sequence[str] | None) -> Table:
        """A table below this one; empty when it is not there."""
        return Table(self._get(key, dict) or {}, self._source, allowed, (*self._path, key))

    def tables(self, key: str, allowed: Sequence[str]) -> Iterator[tuple[str, Table]]:
        """Tables below a table, each with its name."""
        outer = self.table(key, None)
        for name in outer:
            yield name, outer.table(name, allowed)

    def nested(self, key: str, value: Mapping[str, Any], allowed: Sequence[str]) -> Table:
        """A table inside a list of this table."""
        return Table(value, self._source, allowed, (*self._path, key))

    def is_text(self, key: str) -> bool:
        """Whether a text stands there, or nothing."""
        return isinstance(self._values.get(key, ""), str)

    def is_table(self, key: str) -> bool:
        """Whether a table stands where a text could."""
        return isinstance(self._values.get(key), dict)


def duration(text: str) -> int:
    """Seconds of "90s", "5m", "2h", "3d", also weeks and years. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdwy])", text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _CENTURY:
        raise ValueError(f"{_shown(text)} is no duration: write 90s, 5m, 2h or 3d")
    return seconds


def seconds(text: str, where: str) -> int:
    """A duration from a person's own hand, like an option. Raises BadData."""
    try:
        return duration(text)
    except ValueError as error:
        raise BadData(str(error), where=where) from None


def percentage(text: str) -> float:
    """The fraction that "20%" is. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", text)
    if not found or not 0 < float(found[1]) <= 100:
        raise ValueError(f"{_shown(text)} is no share: write it like 20%")
    return float(found[1]) / 100


def times(text: str) -> float:
    """The factor that "3x" is: 1 or more. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)x", text)
    if not found or float(found[1]) < 1:
        raise ValueError(f"{_shown(text)} is no factor: write it like 3x")
    return float(found[1])


def _dotted(path: Sequence[str]) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part[:80]}"' for part in path)


def _shown(value: object) -> str:
    """A value in an error: short, and of foreign depth only its kind."""
    if isinstance(value, str):
        return f'"{value[:60]}{"…" if len(value) > 60 else ""}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.15g}" if isinstance(value, float) or abs(value) < 10**15 else "a huge number"
    return _KINDS.get(type(value), "a date or time")
