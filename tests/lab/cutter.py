"""Between us and a real relay: passes everything on, and loses the relay's answer to the dot."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def cutting(onward: int, lose: Callable[[bytes], bool]) -> Iterator[int]:
    """The port of a proxy. `lose` is asked with each body whether its answer is to be lost."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener, onward, lose), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _serve(listener: socket.socket, onward: int, lose: Callable[[bytes], bool]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(client, onward, lose), daemon=True).start()


def _pass_on(client: socket.socket, onward: int, lose: Callable[[bytes], bool]) -> None:
    """One connection. Each turn: what the client says until it waits, then what the relay answers."""
    with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", onward), 10) as relay:
        for each in (client, relay):
            each.settimeout(20)
        client.sendall(relay.recv(65_536))
        body = b""
        while data := client.recv(65_536):
            relay.sendall(data)
            body += data
            if body.endswith(b"\r\n.\r\n"):
                answer = relay.recv(65_536)
                if lose(body):
                    return
                client.sendall(answer)
                body = b""
            elif body.endswith((b"DATA\r\n", b"QUIT\r\n")) or b"DATA\r\n" not in body:
                # a command, or some that are pipelined up to DATA: as many answers
                wanted = body.count(b"\r\n")
                answer = b""
                while sum(line[3:4] == b" " for line in answer.split(b"\r\n")) < wanted:
                    if not (more := relay.recv(65_536)):
                        return
                    answer += more
                client.sendall(answer)
                body = b""
