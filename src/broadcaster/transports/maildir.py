"""A rehearsal: every message becomes a file in a Maildir, and goes to nobody.

A file is written under tmp/, is on the disk, and only then moves to new/: a reader never sees half
a message, and what is answered as accepted is there after a power cut. Files 0600, folders 0700.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from broadcaster.custody import create_private, make_folder
from broadcaster.delivery import Answer, Envelope, Reply, Stage
from broadcaster.errors import CannotWrite
from broadcaster.transports import Hand


class MaildirTransport:
    """The folder as a way out. Files are named as Maildir wants it, with the delivery's number at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self._ready = False

    async def open(self) -> Answer | None:
        """Make the folders. Raises CannotWrite, and NotAllowed for a link or one that others may write into."""
        if not self._ready:
            for folder in (self._path, *(self._path / name for name in ("tmp", "new", "cur"))):
                make_folder(folder)
            self._ready = True
        return None

    async def deliver(self, envelope: Envelope, hand: Hand) -> Answer:
        """Write the message with the lines of a file. Raises CannotWrite."""
        await self.open()
        self._number += 1
        name = f"{time.time_ns()}.P{os.getpid()}Q{self._number}.{envelope.delivery}"
        draft, final = self._path / "tmp" / name, self._path / "new" / name
        head = f"Return-Path: <{envelope.sender}>\nDelivered-To: {envelope.recipient}\n".encode()
        try:
            _write(draft, head + envelope.message.replace(b"\r\n", b"\n"))
            await hand()
            _move(draft, final)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        return Reply(Stage.DOT, 250, f"2.0.0 written to {self._path.name}/new")

    async def close(self) -> None:
        """Nothing is open."""


def _write(path: Path, content: bytes) -> None:
    try:
        with os.fdopen(create_private(path), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot(path, error) from error


def _move(draft: Path, final: Path) -> None:
    try:
        draft.rename(final)
    except OSError as error:
        raise _cannot(final, error) from error


def _cannot(path: Path, error: OSError) -> CannotWrite:
    return CannotWrite(error.strerror or str(error), where=str(path), hint="the outbox must be a folder of yours")
