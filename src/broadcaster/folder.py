"""What lies in a workspace's folder: whose it is, who else may read or write it, how much room the disk has.

Only looked at: names and modes, never what is in a file, and no link is followed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broadcaster.custody import alone

# of a Maildir with a million copies the first will do
MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder. `owner` is a user's number."""

    path: Path
    mode: int
    owner: int
    group: int

    @property
    def folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def open(self) -> bool:
        """Others may read it."""
        return not self.link and bool(self.mode & 0o077)

    @property
    def shown(self) -> str:
        """Its mode as chmod takes it."""
        return f"{stat.S_IMODE(self.mode):04o}"


def entry(path: Path, *, follow: bool = False) -> Entry | None:
    """What lies there, None where nothing does or we may not look."""
    try:
        found = path.stat() if follow else path.lstat()
    except OSError:
        return None
    return Entry(path, found.st_mode, found.st_uid, found.st_gid)


def entries(folder: Path) -> Iterator[Entry]:
    """A folder and all in it, so many at the most. Links are told and not followed."""
    waiting, number = [folder], 0
    while waiting and number < MOST:
        here = entry(waiting.pop())
        if here is None:
            continue
        number += 1
        yield here
        if here.folder:
            try:
                waiting += sorted(here.path.iterdir())[: MOST - number]
            except OSError:
                continue


def writable_by_others(of: Entry, *, above: bool = False) -> bool:
    """Whether somebody else may write there. In a folder above with the sticky bit (/tmp) nobody may move ours away."""
    if of.link or (above and of.mode & stat.S_ISVTX):
        return False
    return bool(of.mode & stat.S_IWOTH) or bool(of.mode & stat.S_IWGRP and not alone(of.group))


def ours(of: Entry) -> bool:
    """Whether it belongs to whoever works here. Root may work for somebody; what root made is as good as ours."""
    return os.geteuid() == 0 or of.owner in (os.geteuid(), 0)


def room(folder: Path) -> int:
    """The octets that are free for us on the disk of a folder."""
    return shutil.disk_usage(folder).free
