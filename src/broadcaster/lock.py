"""One sender per workspace: an OS lock whose descriptor dies with its holder.

A row in a table would outlive a killed process, and a process id is used again. flock(2) cannot
be forgotten: the kernel gives it back. The row beside it (the ledger's `sender`) only names the holder.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from broadcaster.custody import open_private
from broadcaster.errors import CannotWrite

# somebody who only looks whether a sender is at work is in the way for some millionths of a second
GLANCES: Final = 3
GLANCE: Final = 0.01  # seconds


class Lock:
    """A lock on a file. Held from `take` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether the lock is ours now; waits for no sender.

        Raises CannotWrite when there can be no lock here, NotAllowed for a link.
        """
        if self._descriptor is not None:
            return True
        descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
        for left in reversed(range(GLANCES)):
            if self._locked(descriptor, fcntl.LOCK_EX):
                self._descriptor = descriptor
                return True
            if left:
                time.sleep(GLANCE)
        os.close(descriptor)
        return False

    def held(self) -> bool:
        """Whether a sender is at work, here or in another process. Raises CannotWrite as `take` does."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = open_private(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False  # nobody ever sent from here
        free = self._locked(descriptor, fcntl.LOCK_SH)
        os.close(descriptor)
        return not free

    def _locked(self, descriptor: int, how: int) -> bool:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            os.close(descriptor)
            raise CannotWrite(
                f"cannot be locked ({error.strerror})", where=str(self._path), hint="move the workspace to a local disk"
            ) from None
        return True

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def boot_id() -> str:
    """Which run of this machine it is, or "". Another one than at a claim: the power was cut."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _boot_time()


def _boot_time() -> str:
    """macOS has no boot id; the moment of the last boot serves as well."""
    import subprocess

    try:
        command = ["/usr/sbin/sysctl", "-n", "kern.boottime"]
        found = subprocess.run(command, env={}, capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.decode("ascii", "replace").split("}")[0]
