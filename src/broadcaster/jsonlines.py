"""JSON lines, one person an object → rows of cells under one heading: our own export, or anybody's.

What is nested becomes columns: `attribs`, `fields` and the like by the names within. The file is read twice, since
every object may have keys that no other has.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Final

from broadcaster.errors import SheetError
from broadcaster.heading import COLUMNS_LIMIT, OWN

LINE_LIMIT: Final = 1_000_000  # characters of one object
HEAD_ROWS: Final = 60
LISTING: Final = ("lists", "suppressed")  # what our own listing says beside a person's details

# whose keys are columns by their own names
_OPENED: Final = frozenset(["attribs", "attributes", "fields", "merge_fields", "custom_fields", "customfields"])


class JsonLines:
    """A file of one JSON object a line; commas and brackets of an array around them do no harm."""

    kind = "JSON"

    def __init__(self, stream: BinaryIO) -> None:
        """`stream` can seek. Raises SheetError where no line holds an object."""
        self._stream = stream
        keys: dict[tuple[str, str], None] = {}
        self._first: list[tuple[int, Mapping[tuple[str, str], str]]] = []
        for line, cells, _ in self._objects():
            if cells is not None:
                keys.update(dict.fromkeys(cells))
                if len(keys) > COLUMNS_LIMIT:
                    raise SheetError(f"has more than {COLUMNS_LIMIT:,} different keys")
                if len(self._first) < HEAD_ROWS:
                    self._first.append((line, cells))
        if not keys:
            raise SheetError("holds no JSON objects", hint="one object a line, or an array with one on each line")
        names = {name for of, name in keys if not of}
        # which calls it address
        self.ours = {"address", *LISTING} <= names and "email" not in names
        # what is said of a person comes before what is within
        self._keys = _ordered(keys) if self.ours else sorted(keys, key=lambda key: bool(key[0]))
        self.heading = ["email" if self.ours and key == ("", "address") else key[1] for key in self._keys]

    def head(self) -> list[tuple[int, list[str]]]:
        """(line, cells) of the heading, which has no line, and of the first rows."""
        return [(0, self.heading), *((line, self._cells(cells)) for line, cells in self._first)]

    def rows(self, _: Callable[[list[str]], bool] | None = None) -> Iterator[tuple[int, list[str], str]]:
        """(line, cells, what is wrong or "") of each row."""
        for line, cells, wrong in self._objects():
            yield (line, [wrong and "?"], wrong) if cells is None else (line, self._cells(cells), "")

    def _cells(self, cells: Mapping[tuple[str, str], str]) -> list[str]:
        return [cells.get(key, "") for key in self._keys]

    def _objects(self) -> Iterator[tuple[int, Mapping[tuple[str, str], str] | None, str]]:
        """(line, values by where they stand, what is wrong) of each line that holds anything."""
        self._stream.seek(0)
        text = io.TextIOWrapper(self._stream, "utf-8-sig", "surrogateescape", newline="\n")
        try:
            number = 0
            while line := text.readline(LINE_LIMIT):
                number += 1
                if len(line) == LINE_LIMIT and not line.endswith("\n"):
                    while (rest := text.readline(LINE_LIMIT)) and not rest.endswith("\n"):
                        pass
                    yield number, None, f"a line of more than {LINE_LIMIT:,} characters"
                    continue
                words = line.strip().removeprefix("[").lstrip().removesuffix(",").removesuffix("]").rstrip()
                if words in ("", ","):
                    continue
                try:
                    yield number, _flat(words), ""
                except (ValueError, RecursionError):
                    yield number, None, "is no JSON object on a line of its own"
        finally:
            with suppress(ValueError):
                text.detach()


def begins(stream: BinaryIO) -> bool:
    """Whether a file looks like JSON: it begins with an object, or an array of them."""
    stream.seek(0)
    start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    stream.seek(0)
    return start.startswith((b'{"', b"{ ", b"{\n", b"{\r")) or (start[:1] == b"[" and start[1:].lstrip()[:1] == b"{")


def text_of(value: Any) -> str:
    """A value of JSON as the text of one cell; a list of words has commas between them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def opened(text: str) -> dict[str, Any]:
    """One object; numbers as they are written. Raises ValueError for what is none, RecursionError for the deep."""
    value = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _flat(text: str) -> dict[tuple[str, str], str]:
    """(within, key) → value. Within an object that nobody opens, keys are joined."""
    cells = {}
    for key, value in opened(text).items():
        if not isinstance(value, dict) or key in LISTING:
            cells["", key] = text_of(value)
        elif key.lower() in _OPENED:
            cells.update({(key, name): text_of(inner) for name, inner in value.items()})
        else:
            cells.update({(key, f"{key}_{name}"): text_of(inner) for name, inner in value.items()})
    return cells


def _ordered(keys: Mapping[tuple[str, str], None]) -> list[tuple[str, str]]:
    """Our own listing in the order of our own CSV: it is read by the letter, and what is no detail comes last."""
    own = [("", "address" if name == "email" else name) for name in OWN]
    listing = [("", name) for name in LISTING]
    return [*own, *(key for key in keys if key not in own and key not in listing), *listing]
