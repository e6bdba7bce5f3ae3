"""The whole sender beside public tools on the same work.

    python -m bench.send [plain] [latency] [tls] [dkim] [encrypted] [--number N] [--connections N]

30 kB of personalised mail in two parts, an instant sink in a process of its own, everything recorded in the ledger.
Beside it Postfix's `smtp-source -d` with messages of the same size, and what most programs do: `EmailMessage` and
`aiosmtplib.send_message`. Figures are ratios of one run; single times mean little.

plain: Postfix's smtp-sink. latency: a sink whose replies travel for 20 ms. tls: a sink that speaks TLS at once.
dkim: signed with RSA-2048, beside dkimpy. encrypted: the database in SQLCipher, beside our own without it.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import contextlib
import email.message
import functools
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SINK = "/usr/sbin/smtp-sink"
SOURCE = "/usr/sbin/smtp-source"
TLS = Path(__file__).parent.parent / "tests/lab/tls"
LATENCY = 20
WORDS = "Wasser für alle, und zwar {n}: the pumps stopped on Monday, and nobody came to mend them before the summer. "
CONFIG = """
[sender]
name = "Water for All"
address = "news@water.example"
postal_address = "12 River Street, Basra"
[links]
leave_mailto = "leave@water.example"
[relays.main]
url = "{url}"
{security}
limits = []
connections = {connections}
messages_per_connection = 1000
"""
DKIM = '[dkim]\ndomain = "water.example"\nselector = "news"\nkey_file = "dkim.pem"\n'


@dataclass(frozen=True)
class Figures:
    """One way of sending: messages, seconds on the wall and of the processor in the sending process."""

    name: str
    number: int
    wall: float
    cpu: float

    def __str__(self) -> str:
        each = self.cpu / self.number * 1e6
        return f"  {self.name:<32}{self.number:>8,} messages {self.rate:>9,.0f}/s {each:>9,.0f} µs of processor each"

    @property
    def rate(self) -> float:
        return self.number / self.wall


@contextlib.contextmanager
def postfix() -> Iterator[int]:
    """Postfix's instant sink on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([SINK, *user, f"127.0.0.1:{port}", "1000"])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(5)


@contextlib.contextmanager
def ours(*arguments: str) -> Iterator[int]:
    """The sink beside this file."""
    command = [sys.executable, "-m", "bench.sink", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="ascii")
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=5)


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
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.run(command, stdout=pipe, stderr=null, encoding="utf-8", check=True).stdout


def settle(root: Path, port: int, connections: int, *, tls: bool = False, dkim: bool = False) -> None:
    """Write the configuration for one relay."""
    url = f"{'smtps' if tls else 'smtp'}://127.0.0.1:{port}"
    security = f'ca_file = "{TLS / "ca.pem"}"' if tls else 'tls = "none"'
    text = CONFIG.format(url=url, security=security, connections=connections) + (DKIM if dkim else "")
    (root / "broadcaster.toml").write_text(text, encoding="utf-8")


def peopled(root: Path, number: int) -> None:
    """A workspace with people and a statement."""
    broadcaster(root.parent, "init", str(root))
    settle(root, 25, 1)
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


def sent(root: Path, name: str, number: int) -> Figures:
    """A mailing prepared, and sent through what is configured; everybody must have been accepted."""
    prepared = json.loads(broadcaster(root, "prepare", "june", "--list", "news", "--json"))["mailing"]
    figures = timed(name, number, lambda: broadcaster(root, "send", str(prepared), "--yes", "--json"))
    told = json.loads(broadcaster(root, "status", str(prepared), "--json"))
    assert told["accepted"] == number, told
    return figures


def source(port: int, number: int, size: int, connections: int) -> Figures:
    """What Postfix's own load generator does at the same sink."""
    command = [SOURCE, "-d", "-s", str(connections), "-m", str(number), "-l", str(size), f"127.0.0.1:{port}"]
    return timed("smtp-source -d", number, lambda: subprocess.run(command, check=True))


def usual(port: int, number: int, size: int, connections: int, tls: bool = False, key: str = "") -> None:
    """The usual way: a new EmailMessage for each person, sent by aiosmtplib over some connections."""
    import aiosmtplib
    import dkim as dkimpy

    text = "Wasser für alle. " * (size // 3 // 17)
    context = ssl.create_default_context(cafile=str(TLS / "ca.pem")) if tls else None
    secret = Path(key).read_bytes() if key else b""

    async def connection(numbers: range) -> None:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=port, use_tls=tls, start_tls=False if not tls else None, tls_context=context
        )
        await client.connect()
        for n in numbers:
            message = email.message.EmailMessage()
            message["From"] = "Water for All <news@water.example>"
            message["To"] = f"Person {n} <person{n}@example.org>"
            message["Subject"] = f"Clean water, Person {n}"
            message.set_content(f"Dear Person {n},\n{text}", cte="quoted-printable")
            message.add_alternative(f"<p>Dear Person {n},</p>{text}{text}", subtype="html", cte="quoted-printable")
            if secret:
                octets = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
                octets = dkimpy.sign(octets, b"news", b"water.example", secret) + octets
                await client.sendmail("news@water.example", [f"person{n}@example.org"], octets)
            else:
                await client.send_message(message)
        await client.quit()

    async def all_of_them() -> None:
        await asyncio.gather(*(connection(range(n, number, connections)) for n in range(connections)))

    asyncio.run(all_of_them())


def as_usual(name: str, number: int, *arguments: object) -> Figures:
    port, size, connections, *rest = arguments
    script = f"from bench.send import usual; usual({port}, {number}, {size}, {connections}, *{rest!r})"
    return timed(name, number, lambda: subprocess.run([sys.executable, "-c", script], check=True))


def compared(title: str, own: Figures, *others: Figures) -> None:
    print(title, own, *others, sep="\n")
    for other in others:
        print(f"  {own.rate / other.rate:6.2f} times the rate of {other.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all unless named")
    parser.add_argument("--number", type=int, default=20_000, help="messages")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    number, connections = options.number, options.connections
    few = max(200, number // 20)
    # as it is where it is installed: the others' libraries are
    compileall.compile_dir(Path(__file__).parent.parent / "src", quiet=2)
    with contextlib.ExitStack() as leaving:
        root = Path(tempfile.mkdtemp(prefix="bench-")) / "w"
        leaving.callback(functools.partial(shutil.rmtree, root.parent, ignore_errors=True))
        peopled(root, number)
        broadcaster(root, "render", "june", "-o", str(root / "seen"))
        size = next((root / "seen").rglob("*.eml")).stat().st_size
        print(f"{size:,} octets a message, {connections} connections, Python {sys.version.split()[0]}")
        idle = timed("start", 1, lambda: broadcaster(root, "lists", "--json"))
        print(f"(starting the program takes {idle.wall:.2f} s of each)")
        for kind in options.kinds or KINDS:
            KINDS[kind](root, number, few, size, connections)


def plain(root: Path, number: int, few: int, size: int, connections: int) -> None:
    with postfix() as port:
        settle(root, port, connections)
        own = sent(root, "broadcaster", number)
        peer = source(port, number, size, connections)
        compared("plain", own, peer, as_usual("EmailMessage, aiosmtplib", few, port, size, connections))


def latency(root: Path, number: int, few: int, size: int, connections: int) -> None:
    with ours("--latency", str(LATENCY)) as port:
        settle(root, port, connections)
        own = sent(root, "broadcaster", number)
        peer = source(port, number, size, connections)
        usual = as_usual("EmailMessage, aiosmtplib", few, port, size, connections)
        compared(f"latency: {LATENCY} ms", own, peer, usual)


def tls(root: Path, number: int, few: int, size: int, connections: int) -> None:
    with ours("--tls", str(TLS / "good.pem")) as port:
        settle(root, port, connections, tls=True)
        own = sent(root, "broadcaster", number)
        compared("tls", own, as_usual("EmailMessage, aiosmtplib", few, port, size, connections, True))


def dkim(root: Path, number: int, few: int, size: int, connections: int) -> None:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(65537, 2048)
    path = root / "dkim.pem"
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with postfix() as port:
        settle(root, port, connections, dkim=True)
        own = sent(root, "broadcaster", number)
        usual = as_usual("EmailMessage, dkimpy, aiosmtplib", few // 4, port, size, connections, False, str(path))
        compared("dkim", own, usual)


def encrypted(root: Path, number: int, _few: int, _size: int, connections: int) -> None:
    with postfix() as port:
        settle(root, port, connections)
        peer = sent(root, "not encrypted", number)
        with (root / "broadcaster.toml").open("a") as file:
            file.write('[encryption]\nkey_file = "the.key"\n')
        broadcaster(root, "encrypt")
        compared("encrypted", sent(root, "broadcaster", number), peer)
        broadcaster(root, "decrypt")


KINDS = {"plain": plain, "latency": latency, "tls": tls, "dkim": dkim, "encrypted": encrypted}

if __name__ == "__main__":
    main()
