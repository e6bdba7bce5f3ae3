"""What a relay's log tells of our copies: Postfix's lines, as syslog, rsyslog, journalctl or Postfix itself write them.

A copy is known by its Message-ID, which carries a signed token: nothing else in a log is believed. Each stay in
the queue has an id of its own, and a content filter makes two stays of one message; the newest stay that the
relay took decides. Lines are read in their order, so that a queue id that is used again is another message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"  # RFC 5424 §6.4 lets it stand before UTF-8
# of one line; what is longer is no line of Postfix's, and is passed over
LINE: Final = 65_536
TEXT: Final = 500
_NAMES: Final = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS: Final = {name: number for number, name in enumerate(_NAMES.split(), 1)}

# syslog (RFC 3164), ISO 8601 as rsyslog, RFC 5424 and journalctl write it, and journalctl's short-full and short-unix
_STAMP: Final = re.compile(
    rb"(?:<\d{1,3}>(?:1 )?)?(?:"
    rb"(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<time>\d\d:\d\d:\d\d)(?:\.\d{1,9})?"
    rb"|(?:[A-Z][a-z]{2} )?(?P<date>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?"
    rb" ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d|[A-Z]{3,5})?"
    rb"|(?P<unix>\d{9,11})\.\d{1,9}"
    rb") "
)
# host, program with the daemon as its last part, process id: as syslog or RFC 5424 has them; then the queue id
_LINE: Final = re.compile(
    rb"(?:\S+ )?[^\s\[\]]*/(?P<daemon>[a-z]+)(?:\[\d+\]:| \d+ \S+ (?:-|\[[^\]]*\]) ?(?:\xef\xbb\xbf)?) ?"
    rb"(?P<queue>[0-9A-Za-z]{5,20}): (?P<rest>.*)",
    re.DOTALL,
)
_MESSAGE_ID: Final = re.compile(rb"message-id=<?([A-Za-z2-7]{20,39})@")
_STATUS: Final = re.compile(rb"to=<.*?, dsn=([245]\.\d{1,3}\.\d{1,3}), status=([A-Za-z-]+) (?:\((.*)\))?", re.DOTALL)
_RETURNED: Final = re.compile(rb"from=<.*>, status=(?:force-)?expired, returned to sender", re.DOTALL)
# cleanup's: a milter's word at the end of the message, or a rule of the administrator's about its content
_MILTER: Final = re.compile(rb"milter-reject: END-OF-MESSAGE from \S+: ([45]\.\d{1,3}\.\d{1,3}) ([^;]*)")
_RULE: Final = re.compile(rb"reject: .* helo=<[^>]*>: ([45]\.\d{1,3}\.\d{1,3}) (.*)", re.DOTALL)

_PLAIN: Final = bytes(octet if 32 <= octet < 127 else ord("?") for octet in range(256))
_DELIVERING: Final = frozenset((b"smtp", b"lmtp", b"local", b"virtual", b"pipe", b"error", b"retry", b"discard"))
_QUEUE: Final = frozenset((b"qmgr", b"nqmgr", b"oqmgr"))


class Fate(IntEnum):
    """How far a copy came, as the log has it. What is taken outranks what is not."""

    SEEN = 0  # its header came, and it was neither queued nor refused: most likely the connection broke
    REFUSED = 1
    TAKEN = 2
    BOUNCED = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """What a log tells of one copy: its fate, when that was logged, and the words."""

    fate: Fate
    at: float  # seconds since the epoch
    status: str = ""  # enhanced status code (RFC 3463)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """The time from the first line of a log to its last (epoch seconds)."""

    first: float
    last: float


@dataclass(slots=True)
class _Stay:
    """One stay of a copy in the relay's queue, as far as it was read."""

    delivery: int
    order: int  # among all stays
    at: float
    fate: Fate = Fate.SEEN
    status: str = ""
    text: str = ""
    reached: bool = False  # somebody got it: an address may stand for several

    @property
    def weight(self) -> tuple[bool, int]:
        """The newest stay that the relay took decides; where it took none, the newest."""
        return self.fate >= Fate.TAKEN, self.order

    def hear(self, daemon: bytes, rest: bytes, at: float) -> None:
        """What a line says of it."""
        if daemon == b"cleanup":
            if refused := _MILTER.match(rest) or _RULE.match(rest):
                self._is(Fate.REFUSED, at, refused[1], refused[2])
            elif rest.startswith((b"discard: ", b"milter-discard: ")):
                self._is(Fate.TAKEN, at, b"2.0.0", b"discarded by the relay")
        elif daemon in _QUEUE:
            if _RETURNED.match(rest):
                self._is(Fate.BOUNCED, at, b"4.4.7", b"expired in the relay's queue")
            elif self.fate < Fate.TAKEN:
                self._is(Fate.TAKEN, at, b"2.0.0", b"queued by the relay")
        elif daemon in _DELIVERING and (said := _STATUS.match(rest)):
            if said[2] == b"sent":
                self.reached = True
                self._is(Fate.TAKEN, at, said[1], said[3] or b"")
            elif said[2] == b"bounced" and not self.reached:
                self._is(Fate.BOUNCED, at, said[1], said[3] or b"")
            elif self.fate < Fate.TAKEN:
                self._is(Fate.TAKEN, at, b"2.0.0", b"queued by the relay")

    def _is(self, fate: Fate, at: float, status: bytes, text: bytes) -> None:
        self.fate, self.at, self.status, self.text = fate, at, status.decode("ascii"), _words(text)


class Log:
    """Reads one log after the other, and keeps what is told of the copies that are asked for."""

    def __init__(self, ours: Callable[[str], int | None], now: float, wall: Callable[[datetime], float]) -> None:
        """`ours`: a token → the delivery, where it is one that is asked for. `wall`: the wall time of the relay's
        machine → seconds since the epoch. `now` tells of which year a line without one is."""
        self._ours = ours
        self._now = now
        self._wall = wall
        self._stays: dict[bytes, _Stay] = {}  # by queue id; what is over is in the findings
        self._weights: dict[int, tuple[bool, int]] = {}
        self._found: dict[int, Finding] = {}
        self._order = 0
        self._last: tuple[bytes, float | None] = b"", None  # the last stamp that was read, and its time

    def read(self, blocks: Iterable[bytes]) -> Span | None:
        """Read one log to its end. The time that it covers, None where no line has one."""
        first: float | None = None
        last: float | None = None
        stays = self._stays
        for lines in _lines(blocks):
            for line in lines:
                if b": message-id=" in line:
                    token = _MESSAGE_ID.search(line)
                    delivery = self._ours(token[1].decode("ascii")) if token else None
                    if stays or delivery is not None:
                        self._note(line, delivery)
                elif stays:
                    # no more than this for each line: most logs are of other people's mail
                    parts = line.split(b": ", 2)
                    if len(parts) > 1 and (
                        parts[1] in stays or parts[0].rpartition(b" ")[2].removeprefix(_BOM) in stays
                    ):
                        self._note(line)
            if first is None:
                first = next(self._moments(lines), None)
            last = next(self._moments(reversed(lines)), last)
        return Span(first, max(first, last)) if first is not None and last is not None else None

    def start(self, block: bytes) -> float:
        """The time of the first line in the beginning of a log; of a log without times that of the end of days."""
        return next(self._moments(block.split(b"\n")), float("inf"))

    def findings(self) -> dict[int, Finding]:
        """What is known by now of each delivery that was found."""
        for stay in self._stays.values():
            self._keep(stay)
        return self._found

    def _note(self, line: bytes, delivery: int | None = None) -> None:
        """A line that may be about a copy of ours; `delivery` is the one whose token it holds."""
        stamp = _STAMP.match(line)
        found = _LINE.match(line, stamp.end()) if stamp else None
        if stamp is None or found is None:
            return
        daemon, queue, rest = found["daemon"], found["queue"], found["rest"].rstrip()
        at = self._moment(stamp) or 0.0
        stay = self._stays.get(queue)
        if daemon == b"cleanup" and rest.startswith(b"message-id="):
            if stay is not None:  # whoever had this queue id before is gone
                self._keep(self._stays.pop(queue))
            if delivery is not None and _MESSAGE_ID.match(rest):
                self._order += 1
                self._stays[queue] = _Stay(delivery, self._order, at)
        elif stay is not None:
            stay.hear(daemon, rest, at)
            if rest == b"removed":
                self._keep(self._stays.pop(queue))

    def _keep(self, stay: _Stay) -> None:
        if stay.weight >= self._weights.get(stay.delivery, (False, 0)):
            self._weights[stay.delivery] = stay.weight
            self._found[stay.delivery] = Finding(stay.fate, stay.at, stay.status, stay.text)

    def _moments(self, lines: Iterable[bytes]) -> Iterator[float]:
        for line in lines:
            stamp = _STAMP.match(line)
            if stamp and (at := self._moment(stamp)) is not None:
                yield at

    def _moment(self, stamp: re.Match[bytes]) -> float | None:
        """Seconds since the epoch, or None for a time that there is not. Many lines in a row have the same."""
        if stamp[0] != self._last[0]:
            self._last = stamp[0], self._seconds(stamp)
        return self._last[1]

    def _seconds(self, stamp: re.Match[bytes]) -> float | None:
        try:
            if stamp["unix"]:
                return float(stamp["unix"])
            if stamp["date"]:
                local = datetime.fromisoformat(f"{stamp['date'].decode()} {stamp['clock'].decode()}")
                zone = _zone(stamp["zone"] or b"")
                return self._wall(local) if zone is None else local.replace(tzinfo=zone).timestamp()
            return self._without_year(f"{_MONTHS[stamp['month']]:02}-{int(stamp['day']):02} {stamp['time'].decode()}")
        except (ValueError, KeyError, OverflowError, OSError):
            return None

    def _without_year(self, words: str) -> float | None:
        """The newest such moment that does not lie ahead; a day is allowed for clocks and zones."""
        year = datetime.fromtimestamp(self._now, UTC).year
        for candidate in range(year + 1, year - 9, -1):
            try:
                at = self._wall(datetime.fromisoformat(f"{candidate:04}-{words}"))
            except ValueError:
                continue  # the 29th of February
            if at <= self._now + 86_400:
                return at
        return None


def _zone(word: bytes) -> timezone | None:
    """A zone as a log has it; None for none, and for letters that several zones share."""
    if word in (b"Z", b"UTC", b"GMT"):
        return UTC
    if word[:1] not in (b"+", b"-"):
        return None
    digits = word[1:].replace(b":", b"")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-away if word.startswith(b"-") else away)


def _lines(blocks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, as many at a time as a block has. What is longer than any line is passed over."""
    rest, skipping = b"", False
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if skipping and lines:
            del lines[0]
            skipping = False
        if len(rest) > LINE:
            rest, skipping = b"", True
        if lines:
            yield lines
    if rest and not skipping:
        yield [rest]


def _words(text: bytes) -> str:
    """What the log says, on one line and in ASCII."""
    return text[:TEXT].translate(_PLAIN).decode("ascii")
