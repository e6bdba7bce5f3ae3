"""An instant SMTP sink in a process of its own: TLS and a distance where they are wanted.

    python -m bench.sink [--tls PEM] [--latency MILLISECONDS]

Prints its port and serves until it is terminated. It takes all that is offered and keeps nothing. Every reply
travels for so many milliseconds, as if the relay stood elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from typing import cast

import uvloop

END = b"\r\n.\r\n"
HELLO = b"250-sink\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250 8BITMIME\r\n"
REPLIES = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n", b"EHLO": HELLO}


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._rest = bytearray()
        self._body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no children of asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self.say(b"220 sink ESMTP\r\n")

    def say(self, words: bytes) -> None:
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, words)
        else:
            self._transport.write(words)

    def data_received(self, data: bytes) -> None:
        rest = self._rest
        seen = max(0, len(rest) - len(END))
        rest += data
        said = b""
        while rest:
            if self._body:
                if (end := rest.find(END, seen)) < 0:
                    break
                del rest[: end + len(END)]
                self._body = False
                said += b"250 2.0.0 taken\r\n"
            else:
                if (end := rest.find(b"\n")) < 0:
                    break
                verb = bytes(rest[:4]).upper()
                del rest[: end + 1]
                self._body = verb == b"DATA"
                said += REPLIES.get(verb, b"250 2.1.0 yes\r\n")
            seen = 0
        if said:
            self.say(said)


async def serve(tls: str | None, latency: float) -> None:
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(latency), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls", help="certificate and key: TLS at once")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds that a reply travels")
    options = parser.parse_args()
    uvloop.run(serve(options.tls, options.latency / 1000))


if __name__ == "__main__":
    main()
