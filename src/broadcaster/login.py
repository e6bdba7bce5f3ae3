"""Who sits at the keyboard, whatever `sudo` or `su` came since: only the system can say, and not always.

Linux keeps the user who logged in with every process, and only root can change that (/proc/self/loginuid); macOS keeps
one for each session. Where neither knows (a container, some of WSL) it is the user that called sudo, by sudo's word;
and else the account alone, which may be anybody's who uses it.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Final

from broadcaster.approval import Person

LOGIN: Final = Path("/proc/self/loginuid")
# the kernel's word for nobody: 32 bits of -1
_UNSET: Final = 2**32 - 1


def person(account: int | None = None) -> Person:
    """The person who runs this process. The real user id counts: nobody should make this program set-uid."""
    account = os.getuid() if account is None else account
    uid = _logged_in()
    if uid is None:
        uid = _called_sudo()
    return Person(_name(account if uid is None else uid), account if uid is None else uid, account, uid is not None)


def _logged_in() -> int | None:
    if sys.platform == "darwin":
        try:
            return pwd.getpwnam(os.getlogin()).pw_uid
        except (OSError, KeyError):
            return None
    try:
        uid = int(LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return uid if 0 <= uid < _UNSET else None


def _called_sudo() -> int | None:
    words = os.environ.get("SUDO_UID", "")
    return int(words) if words.isascii() and words.isdigit() and int(words) < _UNSET else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
