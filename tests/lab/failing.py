"""The n-th operation fails, once or from then on: of the database, of files, of a connection.

for fault in faults():
    with wires(fault): ...
    if not fault.met:
        break             # it never came to so many: all of it was tried
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from broadcaster.transports import smtp

# how SQLite tells what the system told it
SAID = {
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "broken": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "locked": (sqlite3.SQLITE_BUSY, "database is locked"),
    "read-only": (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
}
NUMBERS = {"full": errno.ENOSPC, "broken": errno.EIO, "quota": errno.EDQUOT, "read-only": errno.EROFS}


@dataclass
class Fault:
    """The n-th operation, and all behind it if `for_ever`."""

    nth: int
    for_ever: bool = False
    seen: int = 0
    at: str = ""  # what failed first

    @property
    def met(self) -> bool:
        return self.seen >= self.nth

    def now(self, what: str) -> bool:
        """One more operation: whether it fails."""
        self.seen += 1
        fails = self.seen == self.nth or (self.for_ever and self.met)
        if self.seen == self.nth:
            self.at = what
        return fails


def statement(fault: Fault, kind: str, sql: str) -> None:
    """What SQLite raises for a statement. To take back and to let go always succeeds."""
    if sql.startswith("rollback") or not fault.now(sql):
        return
    code, words = SAID[kind]
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    raise error


@contextmanager
def files(fault: Fault, kind: str, root: Path) -> Iterator[None]:
    """What the system answers for a file of ours: opened, made, written, moved, brought to the disk."""

    def ours(words: tuple[Any, ...]) -> bool:
        # a number: of a file that was opened, and only we write through numbers
        return isinstance(words[0], int) or str(words[0]).startswith(str(root))

    def failing(name: str) -> Any:
        real = getattr(os, name)

        def call(*words: Any, **more: Any) -> Any:
            if ours(words) and fault.now(f"{name} {words[0]}"):
                raise OSError(NUMBERS[kind], os.strerror(NUMBERS[kind]), str(words[0]))
            return real(*words, **more)

        return mock.patch.object(os, name, call)

    def written(descriptor: int, *words: Any, **more: Any) -> Any:
        file = fdopen(descriptor, *words, **more)
        if "w" in file.mode and fault.now(f"write {descriptor}"):
            file.write = mock.Mock(side_effect=OSError(NUMBERS[kind], os.strerror(NUMBERS[kind])))
        return file

    fdopen = os.fdopen
    with (
        failing("open"),
        failing("mkdir"),
        failing("rename"),
        failing("fsync"),
        failing("pwrite"),
        mock.patch.object(os, "fdopen", written),
    ):
        yield


class _Wire:
    """asyncio's transport, which is cut before or after one of its writes."""

    def __init__(self, transport: Any, fault: Fault, *, early: bool) -> None:
        self._transport = transport
        self._fault = fault
        self._early = early

    def write(self, data: bytes) -> None:
        self._cut(lambda: self._transport.write(data))

    def writelines(self, data: Any) -> None:
        self._cut(lambda: self._transport.writelines(data))

    def _cut(self, write: Any) -> None:
        fails = self._fault.now("write")
        if not (fails and self._early):
            write()
        if fails:
            self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@contextmanager
def wires(fault: Fault, *, early: bool) -> Iterator[None]:
    """Connections lost at the n-th write of ours: before a byte of it is out, or (mostly) after all of them are."""
    begin = smtp._Pipe.__init__

    def begun(self: Any, transport: Any, *words: Any, **more: Any) -> None:
        wire: Any = _Wire(transport, fault, early=early)
        begin(self, wire, *words, **more)

    with mock.patch.object(smtp._Pipe, "__init__", begun):
        yield
