"""Commands in processes of their own that start in a moment: one that has imported everything forks a child for each.

    with nursery() as born:
        child = born.start("-C", place, "send", "1", "--yes", point=("after the dot", 3))
        child.wait()         # -9

A child is a whole process: it is killed, locks, and dies like any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parent.parent.parent


@dataclass(slots=True)
class Child:
    """One command under way. What it said is in `said` when it has ended."""

    pid: int
    said: Path
    ended: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)
    status: int | None = None

    def wait(self, seconds: float = 60.0) -> int:
        """The exit status, or the number of the signal that ended it, negative."""
        if self.status is None:
            self.status = self.ended.get(timeout=seconds)
        return self.status

    @property
    def over(self) -> bool:
        if self.status is None:
            with contextlib.suppress(queue.Empty):
                self.status = self.ended.get_nowait()
        return self.status is not None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        if not self.over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def words(self) -> str:
        return self.said.read_text(encoding="utf-8")


class Nursery:
    """The parent, as the test sees it."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._born: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, *words: str, point: tuple[str, int] | None = None, env: Mapping[str, str] | None = None) -> Child:
        """Run a command; kill it where it comes to a point (tests.lab.failpoints) for the n-th time."""
        self._number += 1
        said = self._folder / f"said-{self._number}"
        assert self._process.stdin
        order = {"words": words, "point": point, "env": dict(env or {}), "said": str(said)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._born.get(timeout=30)

    def run(self, *words: str, point: tuple[str, int] | None = None) -> tuple[int, str]:
        """Run a command to its end: its status and all it said."""
        child = self.start(*words, point=point)
        return child.wait(), child.words

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            news = json.loads(line)
            if "born" in news:
                child = self._children[news["born"]] = Child(news["born"], Path(news["said"]))
                self._born.put(child)
            else:
                self._children.pop(news["ended"]).ended.put(news["status"])


@contextlib.contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """`folder` keeps what the commands say."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin
    assert process.stdout
    try:
        yield Nursery(process, folder)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def child(order: dict[str, Any], orders: IO[bytes]) -> None:
    """In the new process: what a person's shell would have begun."""
    orders.close()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(order["env"])
    from broadcaster.cli import main as broadcaster
    from tests.lab.failpoints import arm

    if order["point"]:
        arm(*order["point"])
    status = 70
    try:
        broadcaster(order["words"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def grow_up() -> None:
    """Import what commands import when they are called, and fill what is computed once: by doing it all once."""
    import broadcaster.cli.control
    import broadcaster.cli.encryption
    import broadcaster.cli.resolve
    import broadcaster.cli.run
    import broadcaster.cli.status
    import broadcaster.encryption
    import broadcaster.transports.smtp  # noqa: F401
    import tests.lab.failpoints  # noqa: F401
    from tests.lab.world import world

    with tempfile.TemporaryDirectory() as folder:
        here = world(Path(folder) / "workspace", 1)
        (here.root / "broadcaster.toml").write_text(
            (here.root / "broadcaster.toml").read_text().replace("smtp://127.0.0.1:9", "maildir:outbox")
        )
        here.run("send", "1", "--yes")
        here.run("status", "1", "--json")


def main() -> None:
    """Fork for each order, tell who was born and who has ended, until nobody gives orders any more."""
    grow_up()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deaths, death = os.pipe()
    os.set_blocking(death, False)
    signal.set_wakeup_fd(death)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    orders = sys.stdin.buffer.raw  # type: ignore[union-attr]
    pending = b""
    living: set[int] = set()

    def tell(news: dict[str, Any]) -> None:
        print(json.dumps(news), flush=True)  # noqa: T201

    over = False
    while not over or living:
        ready = select.select([deaths] if over else [deaths, orders], [], [])[0]
        if orders in ready:
            came = orders.read(65536)
            over = not came
            pending += came or b""
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                child(order, orders)
            living.add(pid)
            tell({"born": pid, "said": order["said"]})
        if deaths in ready:
            os.read(deaths, 4096)
        for pid in list(living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                living.discard(pid)
                tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
