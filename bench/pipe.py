"""The pipe alone: 30 kB messages over some connections to an instant server in another process.

    python bench/pipe.py                     # beside the lab's server
    python bench/pipe.py --sink              # beside Postfix's smtp-sink, then smtp-source at the same sink
    python bench/pipe.py --sink --library    # the same through aiosmtplib's own sendmail

Prints messages per second and the sender's CPU per message.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiosmtplib
import uvloop

from broadcaster.delivery import Envelope, Reply
from broadcaster.relay import Relay
from broadcaster.transports.smtp import SmtpTransport

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.lab.server import spawned

SINK = "/usr/sbin/smtp-sink"
BODY = b"Subject: A line of mail\r\n\r\n" + (b"x" * 74 + b"\r\n") * 390


async def no_mark() -> None:
    pass


async def through_the_pipe(port: int, number: int) -> None:
    relay = Relay("main", "smtp", host="127.0.0.1", port=port, tls="none", messages_per_connection=10**9)
    transport = SmtpTransport(relay)
    for i in range(number):
        envelope = Envelope(i, "bounces+aaaaaaaaaaaaaaaa@x.example", f"person{i}@y.example", BODY)
        answer = await transport.deliver(envelope, no_mark)
        assert isinstance(answer, Reply), answer
        assert answer.code == 250, answer
    await transport.close()


async def through_the_library(port: int, number: int) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, local_hostname="[127.0.0.1]")
    await client.connect()
    for i in range(number):
        await client.sendmail("bounces+aaaaaaaaaaaaaaaa@x.example", [f"person{i}@y.example"], BODY)
    await client.quit()


async def measure(port: int, options: argparse.Namespace) -> None:
    send = through_the_library if options.library else through_the_pipe
    await send(port, 10)
    begun, before = time.perf_counter(), os.times()
    await asyncio.gather(*(send(port, options.number // options.connections) for _ in range(options.connections)))
    took, after = time.perf_counter() - begun, os.times()
    user, system = after.user - before.user, after.system - before.system
    each = 1e6 / options.number
    print(
        f"{options.number} messages of {len(BODY)} octets, {options.connections} connections: "
        f"{options.number / took:.0f}/s, CPU {(user + system) * each:.0f} µs each "
        f"({user * each:.0f} in Python, {system * each:.0f} in the kernel)"
    )


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """Postfix's smtp-sink on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen([SINK, *user, f"127.0.0.1:{port}", "1000"])
    try:
        time.sleep(0.3)
        yield port
    finally:
        process.terminate()
        process.wait()


def smtp_source(port: int, options: argparse.Namespace) -> None:
    """What Postfix's own sender does at the same sink."""
    begun, before = time.perf_counter(), os.times()
    sessions, number = str(options.connections), str(options.number)
    command = ["-d", "-s", sessions, "-m", number, "-l", str(len(BODY)), f"127.0.0.1:{port}"]
    subprocess.run([SINK.replace("sink", "source"), *command], check=True)
    took, after = time.perf_counter() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"smtp-source: {options.number / took:.0f}/s, CPU {cpu * 1e6 / options.number:.0f} µs each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--sink", action="store_true", help="smtp-sink in place of the lab's server")
    parser.add_argument("--library", action="store_true", help="aiosmtplib's sendmail in place of the pipe")
    options = parser.parse_args()
    if options.sink:
        with sink() as port:
            uvloop.run(measure(port, options))
            smtp_source(port, options)
    else:
        with tempfile.TemporaryDirectory() as folder, spawned(Path(folder) / "record") as lab:
            uvloop.run(measure(lab.port, options))


if __name__ == "__main__":
    main()
