"""What the lab server received, in memory and in a file that another process can read meanwhile.

The file is one frame per message: a line of JSON, then the bytes exactly as they came, then a line end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Message:
    """One message whose final dot arrived. `data` is what was between DATA and the dot, dots still doubled."""

    session: int
    sender: str
    recipients: tuple[str, ...]
    data: bytes
    answer: str  # what we said to the dot; "" when we said nothing
    tls: bool
    at: float  # when its MAIL arrived, seconds since the epoch
    mail_options: str = ""
    rcpt_options: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.answer.startswith("2")

    def frame(self) -> bytes:
        """These bytes in the file."""
        head = {name: getattr(self, name) for name in self.__slots__ if name != "data"}
        return json.dumps({**head, "size": len(self.data)}).encode() + b"\n" + self.data + b"\n"


@dataclass(slots=True)
class Session:
    """One connection: the commands that came, in order, without message data or secrets."""

    number: int
    lines: list[str] = field(default_factory=list)
    tls: bool = False
    open: bool = True
    faults: list[str] = field(default_factory=list)  # what no client may do

    @property
    def verbs(self) -> list[str]:
        return [line.split(" ")[0].split(":")[0].upper() for line in self.lines]


def read(path: Path) -> Iterator[Message]:
    """The messages of a file, up to the last whole one."""
    return Tail(path).new()


def _next(file: IO[bytes]) -> Message | None:
    """The message that begins here, when all of it is there."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    data = file.read(head.pop("size"))
    if file.read(1) != b"\n":
        return None
    head["recipients"] = tuple(head["recipients"])
    head["rcpt_options"] = tuple(head["rcpt_options"])
    return Message(data=data, **head)


class Tail:
    """The messages that were added to a file since it was last asked, as far as they are whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def new(self) -> Iterator[Message]:
        with self._path.open("rb") as file:
            file.seek(self._at)
            while (message := _next(file)) is not None:
                self._at = file.tell()
                yield message
