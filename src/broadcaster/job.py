"""What the machine is asked to call again and again: `run` in one workspace, as a line of a crontab or as units of
systemd.

Both have signs of their own in a command: cron ends it at %, systemd reads % and $ as names of values. A path may
hold them.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broadcaster.errors import BadData

# octets of a command: some crons cut off what is behind 999
_LONGEST: Final = 900
_MARK: Final = "# broadcaster"
_MINUTES: Final = tuple(minutes for minutes in range(1, 31) if 60 % minutes == 0)
_HOURS: Final = tuple(hours for hours in range(1, 13) if 24 % hours == 0)


@dataclass(frozen=True, slots=True)
class Job:
    """`run` of a program (its words) in a workspace (absolute), each so many seconds."""

    program: tuple[str, ...]
    workspace: str
    every: int = 300

    def __post_init__(self) -> None:
        """Raises BadData for a span that does not come at the same minutes each day."""
        if self.every not in [*(60 * each for each in _MINUTES), *(3600 * each for each in _HOURS)]:
            raise BadData(
                "is no part of an hour or a day",
                where="--every",
                hint=f"minutes: {', '.join(map(str, _MINUTES))}; hours: {', '.join(map(str, _HOURS))}",
            )

    @property
    def words(self) -> tuple[str, ...]:
        """What is called."""
        return (*self.program, "-C", self.workspace, "run")

    @property
    def mark(self) -> str:
        """What ends the line of this workspace, and of no other."""
        return f"{_MARK} {self._digest}"

    @property
    def name(self) -> str:
        """Of its units."""
        return f"broadcaster-{self._digest}"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(self.workspace.encode("utf-8", "surrogateescape")).hexdigest()[:12]

    # crontab

    @property
    def line(self) -> str:
        """The line of a crontab. Raises BadData for a path that no crontab can hold."""
        command = shlex.join(self.words)
        # what becomes of a backslash differs from cron to cron
        if found := re.search(r"[\x00-\x1f\x7f\\]", command):
            raise BadData(
                f"a crontab cannot hold {found[0]!r}",
                where=self.workspace,
                hint="call the folder something else, or let systemd call it: --systemd",
            )
        if len(command.encode("utf-8", "surrogateescape")) > _LONGEST:
            raise BadData("is too long for a crontab", where=self.workspace, hint="let systemd call it: --systemd")
        minutes = self.every // 60
        when = "* * * *" if minutes < 60 else "* * *" if minutes == 60 else f"*/{minutes // 60} * * *"
        first = ("*" if minutes == 1 else f"*/{minutes}") if minutes < 60 else "0 *" if minutes == 60 else "0"
        return f"{first} {when} {command.replace('%', chr(92) + '%')}  {self.mark}"

    def put_into(self, crontab: str) -> str:
        """The crontab with its line: where it was, or at the end. No other line is touched."""
        lines = _lines(crontab)
        ours = [number for number, line in enumerate(lines) if self._is_ours(line)]
        if not ours:
            end = "" if not crontab or crontab.endswith("\n") else "\n"
            return f"{crontab}{end}{self.line}\n"
        lines[ours[0]] = f"{self.line}\n"
        return "".join(line for number, line in enumerate(lines) if number not in ours[1:])

    def taken_from(self, crontab: str) -> str:
        """The crontab without its line."""
        return "".join(line for line in _lines(crontab) if not self._is_ours(line))

    def found_in(self, crontab: str) -> str:
        """Its line; "" where there is none."""
        return next((line.strip() for line in _lines(crontab) if self._is_ours(line)), "")

    def others_in(self, crontab: str) -> Sequence[str]:
        """Lines by other hands that call `run` in this workspace too."""
        spelled = {self.workspace, shlex.quote(self.workspace)}
        return [
            line.strip()
            for line in _lines(crontab)
            if not line.lstrip().startswith("#")
            and not self._is_ours(line)
            and re.search(r"\brun\b", line)
            and any(f"{each} " in line.replace("\\%", "%") for each in spelled)
        ]

    def _is_ours(self, line: str) -> bool:
        return line.rstrip().endswith(f" {self.mark}") and not line.lstrip().startswith("#")

    # systemd

    @property
    def units(self) -> Mapping[str, str]:
        """The texts of its service and its timer, by their names."""
        about = "".join(c if c.isprintable() and c != "\\" else "?" for c in self.workspace).replace("%", "%%")
        # ":": no word is read as the name of a variable
        command = " ".join(_quoted(word) for word in self.words)
        minutes = self.every // 60
        when = f"*-*-* *:00/{minutes}:00" if minutes < 60 else f"*-*-* 00/{minutes // 60}:00:00"
        service = f"""[Unit]
Description=broadcaster: send what is due in {about}

[Service]
Type=oneshot
ExecStart=:{command}
# another process is sending: no failure
SuccessExitStatus=75
"""
        timer = f"""[Unit]
Description=broadcaster: when to look what is due in {about}

[Timer]
OnCalendar={when}
AccuracySec=1s
# what was missed while the machine was off is made up for once
Persistent=true

[Install]
WantedBy=timers.target
"""
        return {f"{self.name}.service": service, f"{self.name}.timer": timer}


def _lines(crontab: str) -> list[str]:
    """With their ends. Nothing else than a line feed ends a line for cron."""
    return re.findall(r"[^\n]*\n|[^\n]+", crontab)


def _quoted(word: str) -> str:
    """A word as systemd reads it (systemd.service(5), systemd.syntax(7)), octet by octet where it is unusual."""
    return '"' + "".join(_escaped(c) for c in word) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "%":
        return "%%"
    if character.isprintable():
        return character
    return "".join(f"\\x{octet:02x}" for octet in character.encode("utf-8", "surrogateescape"))
