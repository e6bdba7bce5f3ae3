"""Laws of asking links: only what is public, over a real server, each redirection looked at anew, never for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from broadcaster.probe import Answer, probe, public


class Pages(BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        status, elsewhere = {
            "/fine": (200, ""),
            "/moved": (302, "/fine"),
            "/away": (302, "http://10.0.0.1/secret"),
            "/script": (302, "/الماء?q=ب"),
            "/%D8%A7%D9%84%D9%85%D8%A7%D8%A1?q=%D8%A8": (200, ""),
            "/file": (302, "file:///etc/passwd"),
            "/round": (302, "/round"),
            "/shy": (405 if self.command == "HEAD" else 200, ""),
            "/closed": (403, ""),
            "/broken": (500, ""),
        }.get(self.path, (404, ""))
        self.send_response(status)
        if elsewhere:
            self.send_header("Location", elsewhere.encode().decode("latin-1"))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def site() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Pages,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def here(address: str) -> bool:
    return address == "127.0.0.1"


def test_what_is_there_is_fine_and_what_is_not_is_dead() -> None:
    with site() as (base, _):
        answers = probe([f"{base}/{name}" for name in ("fine", "moved", "shy", "script", "gone")], allowed=here)
    assert [*answers.values()] == [*[Answer()] * 4, Answer("the page is not there (404)", dead=True)]


def test_what_refuses_us_is_not_surely_dead() -> None:
    with site() as (base, _):
        answers = probe([f"{base}/{name}" for name in ("closed", "broken", "round", "file")], allowed=here)
    assert all(answer.why and not answer.dead for answer in answers.values())


def test_nothing_private_is_asked_not_even_by_a_redirection() -> None:
    with site() as (base, asked):
        assert "private" in probe([f"{base}/fine"])[f"{base}/fine"].why
        assert not asked
        assert "private" in probe([f"{base}/away"], allowed=here)[f"{base}/away"].why


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_on_the_open_internet_is_not_public(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e"])
def test_an_address_on_the_open_internet_is_public(address: str) -> None:
    assert public(address)


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        assert probe([link], allowed=here, patience=0.2, altogether=0.5)[link].why == "no answer in time"
        assert time.monotonic() - began < 2


def test_a_server_that_never_ends_what_it_says_is_not_waited_for() -> None:
    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                connection.sendall(b"X-Y: z\r\n")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        link = f"http://127.0.0.1:{server.getsockname()[1]}/"
        began = time.monotonic()
        # it has said 200 by then
        assert probe([link], allowed=here, patience=0.3, altogether=5)[link] == Answer()
        assert time.monotonic() - began < 2


def test_what_went_wrong_is_said_without_the_words_of_a_protocol() -> None:
    def mumble(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1_000)
                    connection.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=mumble, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        answers = probe(
            [f"http://127.0.0.1:{port}/", f"https://127.0.0.1:{port}/", "http://127.0.0.1:1/"], allowed=here
        )
        assert [answer.why for answer in answers.values()] == [
            "what answers is no web server, or a broken one",
            "no answer: its server does not speak https as it should",
            "nobody is there",
        ]
        assert not any(answer.dead for answer in answers.values())
        server.shutdown(socket.SHUT_RDWR)


def test_each_link_is_asked_once_and_none_that_is_no_address_breaks_it() -> None:
    with site() as (base, asked):
        strange = ["http://", "http://[::1", "http://127.0.0.1:99999/", "http://a..b/", "https://127.0.0.1:1/"]
        answers = probe([f"{base}/fine", f"{base}/fine", *strange], allowed=here)
    assert asked == ["HEAD /fine"]
    assert all(answers[link].why for link in strange)
