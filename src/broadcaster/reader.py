"""Reads returned mail in a process of its own, which may hang, burst or fall without harm to ours.

Anybody can write to a return path, and what parses their mail may meet what nobody foresaw. A time limit inside of
our own process would bound neither a long call into C nor memory; a child that is killed bounds both. It gets
a message at a time and gives back what `returns.read` makes of it. Without a message there is no child.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, Final

from broadcaster.returns import Action, Kind, Notice, Returned, Traces

# of processor time for one message: some thousand times of what a usual one takes
SECONDS: Final = 3.0
# by the clock, whatever else the machine is doing
PATIENCE: Final = 30.0
# of memory for the whole child (octets)
MEMORY: Final = 1 << 30
# how often a message is tried
TRIES: Final = 3

_SIZE: Final = struct.Struct("!I")


class Poison(Exception):
    """A message that could not be read, and why. No error of a command: the rest is read all the same."""


class Reader:
    """Who reads. `close` ends the child; it is started when it is needed."""

    def __init__(self, *, seconds: float = SECONDS, patience: float = PATIENCE) -> None:
        self._seconds = seconds
        self._patience = patience
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, message: bytes) -> Returned:
        """What a message says. Raises Poison when that could not be found out, three times over."""
        why = ""
        for _ in range(TRIES):
            try:
                return _value(self._asked(message))
            except Poison as error:
                why = str(error)
        raise Poison(why)

    def close(self) -> None:
        """End the child. Closing twice is no error."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        child.wait()

    def _asked(self, message: bytes) -> Any:
        child = self._child = self._child or _started(self._seconds)
        assert child.stdin is not None
        assert child.stdout is not None
        end = time.monotonic() + self._patience
        try:
            # it reads all of it before it answers: both pipes are never full at once
            _write(child.stdin.fileno(), _SIZE.pack(len(message)) + message, end)
            (size,) = _SIZE.unpack(_read(child.stdout.fileno(), _SIZE.size, end))
            answer = json.loads(_read(child.stdout.fileno(), size, end))
        except TimeoutError:
            self.close()
            raise Poison(f"it was not read within {self._patience:g} s") from None
        except (OSError, EOFError):
            raise Poison(self._fallen()) from None
        if isinstance(answer, str):
            self.close()  # nobody knows what it left behind
            raise Poison(answer)
        return answer

    def _fallen(self) -> str:
        """Why the child is no more."""
        assert self._child is not None
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        signalled = self._child.returncode
        self.close()
        if signalled == -signal.SIGPROF:
            return f"it was not read in {self._seconds:g} s of computing"
        return "who read it fell" + (f" (signal {-signalled})" if signalled is not None and signalled < 0 else "")


def _started(seconds: float) -> subprocess.Popen[bytes]:
    # of the environment only what is needed: it may hold the relay's password
    env = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PATH": os.environ.get("PATH", "")}
    # -P: an email.py in the folder that somebody happens to be in is not the library
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "broadcaster.reader", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
        # Ctrl-C is for us to hear
        start_new_session=True,
        bufsize=0,
    )
    assert child.stdin is not None
    os.set_blocking(child.stdin.fileno(), False)
    return child


def _write(descriptor: int, octets: bytes, end: float) -> None:
    rest = memoryview(octets)
    while rest:
        left = end - time.monotonic()
        if left <= 0 or not select.select([], [descriptor], [], left)[1]:
            raise TimeoutError
        rest = rest[os.write(descriptor, rest[: 1 << 16]) :]


def _read(descriptor: int, size: int, end: float) -> bytes:
    octets = bytearray()
    while len(octets) < size:
        left = end - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError
        if not (piece := os.read(descriptor, min(size - len(octets), 1 << 16))):
            raise EOFError
        octets += piece
    return bytes(octets)


def _value(answer: Any) -> Returned:
    notices, traces, subject, sender = answer
    return Returned(
        tuple(
            Notice(Kind(kind), Action(action), recipient, tuple(also), *rest)
            for kind, action, recipient, also, *rest in notices
        ),
        Traces(*(tuple(texts) for texts in traces)),
        subject,
        sender,
    )


# the child


def _serve(seconds: float, requests: BinaryIO, answers: BinaryIO) -> None:
    from broadcaster.returns import understand

    while size := requests.read(_SIZE.size):
        message = requests.read(_SIZE.unpack(size)[0])
        # its usual end is that of the process
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            text = json.dumps(understand(message))
        except Exception as error:
            # where, and never what: a message may hold an address
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f" in line {trace.tb_lineno}" if trace is not None else ""
            text = json.dumps(f"it could not be read: {type(error).__name__}{place}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        octets = text.encode("ascii")
        answers.write(_SIZE.pack(len(octets)) + octets)
        answers.flush()


def main() -> None:
    """Read messages from standard input until it ends."""
    import resource

    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
    answers = os.fdopen(os.dup(1), "wb")
    # what anybody prints must not be taken for an answer
    os.dup2(2, 1)
    _serve(float(sys.argv[1]), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
