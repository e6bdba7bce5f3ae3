"""The whole sender beside public tools on the same work: `python -m bench.send [NUMBER] [CONNECTIONS]`.

30 kB of personalised mail in two parts, an instant sink (smtp-sink of Postfix) in a process of its own, everything
recorded in the ledger. Beside it Postfix's `smtp-source -d` with messages of the same size, and what most programs do:
`EmailMessage` and `aiosmtplib.send_message`. Figures are ratios of one run; single times mean little.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.message
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SINK = "/usr/sbin/smtp-sink"
SOURCE = "/usr/sbin/smtp-source"
WORDS = "Wasser für alle, und zwar {n}: the pumps stopped on Monday, and nobody came to mend them before the summer. "
CONFIG = """
[sender]
name = "Water for All"
address = "news@water.example"
postal_address = "12 River Street, Basra"
[links]
leave_mailto = "leave@water.example"
[relays.main]
url = "smtp://127.0.0.1:{port}"
tls = "none"
limits = []
connections = {connections}
messages_per_connection = 1000
"""


@dataclass(frozen=True)
class Figures:
    """One way of sending: messages, seconds on the wall and of the processor in the sending process."""

    name: str
    number: int
    wall: float
    cpu: float

    def __str__(self) -> str:
        rate, each = self.number / self.wall, self.cpu / self.number * 1e6
        return f"{self.name:<34}{self.number:>8,} messages {rate:>9,.0f}/s {each:>9,.0f} µs of processor each"


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """An instant sink on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [SINK, "-u", "nobody", f"127.0.0.1:{port}", "1000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(5)


def timed(name: str, number: int, work: Callable[[], object]) -> Figures:
    """Run something that starts processes, and take their times."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    work()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Figures(name, number, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def broadcaster(root: Path, *words: str) -> str:
    command = [sys.executable, "-m", "broadcaster", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout


def prepared(root: Path, port: int, number: int, connections: int) -> int:
    """A workspace with people and a prepared mailing; the size of its messages in octets."""
    subprocess.run([sys.executable, "-m", "broadcaster", "init", str(root)], capture_output=True, check=True)
    (root / "broadcaster.toml").write_text(CONFIG.format(port=port, connections=connections), encoding="utf-8")
    body = "\n\n".join(WORDS.format(n=n) for n in range(85))
    (root / "statements/june.md").write_text(
        "---\nsubject: Clean water, {{ subscriber.name }}\npreheader: Now\n---\nDear {{ subscriber.name }},\n\n"
        f'{{% if subscriber.city == "Basra" %}}\nCome to the river.\n{{% endif %}}\n\n{body}\n',
        encoding="utf-8",
    )
    with (root / "people.csv").open("w", encoding="utf-8") as file:
        file.write("email,name,city\n")
        file.writelines(f"person{n}@example.org,Person {n},{'Basra' if n % 3 else 'Erbil'}\n" for n in range(number))
    broadcaster(root, "lists", "create", "news")
    broadcaster(root, "subscribers", "import", str(root / "people.csv"), "--list", "news", "--yes")
    broadcaster(root, "prepare", "june", "--list", "news")
    broadcaster(root, "render", "june", "-o", str(root / "seen"))
    return next((root / "seen").rglob("*.eml")).stat().st_size


def usual(port: int, number: int, size: int, connections: int) -> None:
    """The usual way: a new EmailMessage for each person, sent by aiosmtplib over some connections."""
    import aiosmtplib

    text = "Wasser für alle. " * (size // 3 // 17)

    async def connection(numbers: range) -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        await client.connect()
        for n in numbers:
            message = email.message.EmailMessage()
            message["From"] = "Water for All <news@water.example>"
            message["To"] = f"Person {n} <person{n}@example.org>"
            message["Subject"] = f"Clean water, Person {n}"
            message.set_content(f"Dear Person {n},\n{text}", cte="quoted-printable")
            message.add_alternative(f"<p>Dear Person {n},</p>{text}{text}", subtype="html", cte="quoted-printable")
            await client.send_message(message)
        await client.quit()

    async def all_of_them() -> None:
        await asyncio.gather(*(connection(range(n, number, connections)) for n in range(connections)))

    asyncio.run(all_of_them())


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    root = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with sink() as port:
            size = prepared(root / "w", port, number, connections)
            print(f"{size:,} octets a message, {connections} connections, Python {sys.version.split()[0]}")
            idle = timed("start", 1, lambda: broadcaster(root / "w", "status", "1", "--json"))
            ours = timed("broadcaster send", number, lambda: broadcaster(root / "w", "send", "1", "--yes", "--json"))
            told = json.loads(broadcaster(root / "w", "status", "1", "--json"))
            assert told["accepted"] == number, told
            source = [SOURCE, "-d", "-s", str(connections), "-m", str(number), "-l", str(size)]
            peer = timed(
                "smtp-source -d",
                number,
                lambda: subprocess.run([*source, "-t", "x@example.org", f"127.0.0.1:{port}"], check=True),
            )
            few = max(200, number // 20)
            script = f"from bench.send import usual; usual({port}, {few}, {size}, {connections})"
            slow = timed(
                "EmailMessage, aiosmtplib", few, lambda: subprocess.run([sys.executable, "-c", script], check=True)
            )
        print(ours, peer, slow, sep="\n")
        print(f"rate beside smtp-source: {ours.number / ours.wall / (peer.number / peer.wall):.2f}")
        print(f"rate beside the usual way: {ours.number / ours.wall / (slow.number / slow.wall):.1f}")
        print(f"(starting the program took {idle.wall:.2f} s of the {ours.wall:.2f} s)")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
