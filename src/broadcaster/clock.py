"""The machine's clock: what its zone is called, and what it calls for us, by crontab(1) or a timer of systemd's.

Only the user's own: nothing here asks for more rights than whoever sends has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from broadcaster.errors import CannotWrite, NotAllowed

# what the programs we ask may know: no variable that holds a password
_KNOWN: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SYSTEMD_OFFLINE")
_BUS: Final = "DBUS_SESSION_BUS_ADDRESS"
_LONG: Final = 30  # seconds; none of them should take one


def zone_name(environ: Mapping[str, str]) -> str | None:
    """The IANA name of the machine's zone, where it can be known."""
    if "TZ" in environ:
        found = environ["TZ"].removeprefix(":") or "UTC"
    else:
        local = Path("/etc/localtime")
        found = str(local.resolve()) if local.exists() else "UTC"
    name = found.rpartition("zoneinfo/")[2].removeprefix("posix/")
    if name.startswith("/"):
        name = _written(Path("/etc/timezone"))
    if name in ("Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "Universal", "Zulu", "UCT"):
        return "UTC"
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _written(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Cron:
    """The user's crontab."""

    @property
    def is_here(self) -> bool:
        return shutil.which("crontab") is not None

    def read(self) -> str:
        """Nothing where there is none, or the user may have none. Raises CannotWrite (73) where there is no cron."""
        done = _run(["crontab", "-l"])
        words = _words(done.stderr)
        if done.returncode and not any(each in words.lower() for each in ("no crontab", "not allowed")):
            raise self._refused(words)
        return "" if done.returncode else done.stdout.decode("utf-8", "surrogateescape")

    def write(self, text: str) -> None:
        """Raises NotAllowed (77) where the user may have none, else as `read` does; then nothing has changed."""
        done = _run(["crontab", "-"], text.encode("utf-8", "surrogateescape"))
        if done.returncode:
            raise self._refused(_words(done.stderr))

    @staticmethod
    def _refused(words: str) -> NotAllowed | CannotWrite:
        return (NotAllowed if "not allowed" in words else CannotWrite)(words, where="crontab")


class Timers:
    """The user's own units of systemd."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = Path(environ["XDG_CONFIG_HOME"]) if environ.get("XDG_CONFIG_HOME") else Path.home() / ".config"
        self.folder = home / "systemd" / "user"

    @property
    def are_here(self) -> bool:
        """Whether the user's systemd answers."""
        return shutil.which("systemctl") is not None and _run([*_ASK, "show-environment"]).returncode == 0

    def read(self, names: Sequence[str]) -> dict[str, str]:
        """The units that there are, of these names."""
        texts = {}
        for name in names:
            path = self.folder / name
            if path.is_file():
                texts[name] = path.read_text(encoding="utf-8", errors="replace")
        return texts

    def put(self, units: Mapping[str, str]) -> None:
        """Write units, and let their timers run from now on. Raises CannotWrite (73); then nothing has changed."""
        before = self.read(list(units))
        try:
            for name, text in units.items():
                self._write(name, text)
            self._asked("daemon-reload")
            for name in units:
                if name.endswith(".timer"):
                    self._asked("enable", name)
                    self._asked("restart", name)
        except CannotWrite:
            for name in units:
                if name in before:
                    self._write(name, before[name])
                else:
                    (self.folder / name).unlink(missing_ok=True)
            _run([*_ASK, "daemon-reload"])
            raise

    def take_away(self, names: Sequence[str]) -> None:
        """Stop timers, and delete units. Raises CannotWrite (73)."""
        for name in names:
            if name.endswith(".timer"):
                self._asked("stop", name)
                self._asked("disable", name)
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        self._asked("daemon-reload")

    def linger(self, user: str) -> bool:
        """Whether they run while nobody is logged in (loginctl(1))."""
        return (Path("/var/lib/systemd/linger") / user).exists()

    def _write(self, name: str, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / name
        fresh = path.with_name(f".{name}.new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)

    @staticmethod
    def _asked(*words: str) -> None:
        done = _run([*_ASK, *words])
        if done.returncode:
            raise CannotWrite(_words(done.stderr), where="systemctl --user")


_ASK: Final = ["systemctl", "--user"]


def _run(words: Sequence[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    known = {name: os.environ[name] for name in (*_KNOWN, _BUS) if name in os.environ}
    try:
        return subprocess.run(
            words, input=given, capture_output=True, env={**known, "LC_ALL": "C"}, timeout=_LONG, check=False
        )
    except FileNotFoundError:
        raise CannotWrite("there is no such program here", where=words[0]) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotWrite(type(error).__name__, where=words[0]) from None


def _words(said: bytes) -> str:
    """What a program complained of, in one line."""
    return " ".join(said.decode("utf-8", "replace").split())[:300] or "it failed, and did not say why"
