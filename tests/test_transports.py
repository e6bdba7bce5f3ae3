"""The contract of a way out, run over every member. A new way out joins WAYS_OUT."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broadcaster.delivery import Answer, Envelope, Event, Reply, Stage, judge
from broadcaster.errors import CannotWrite
from broadcaster.relay import Relay
from broadcaster.transports import Transport
from broadcaster.transports.maildir import MaildirTransport
from broadcaster.transports.smtp import SmtpTransport
from tests.lab.server import OFFERS, running

Received = Callable[[], list[bytes]]
WayOut = Callable[[Path], contextlib.AbstractAsyncContextManager[tuple[Transport, Received]]]
CA = Path(__file__).parent / "lab" / "tls" / "ca.pem"


def message(text: str = "Hello", lines: int = 3) -> bytes:
    return (f"Subject: {text}\r\nTo: p@y.example\r\n\r\n" + f"{text} =2E\r\n" * lines).encode()


@contextlib.asynccontextmanager
async def through_smtp(_: Path) -> AsyncIterator[tuple[Transport, Received]]:
    with running() as lab:
        relay = Relay("main", "smtp", host="127.0.0.1", port=lab.port, tls="none")
        yield SmtpTransport(relay), lambda: [message.data for message in lab.messages]


@contextlib.asynccontextmanager
async def through_plain_smtp(_: Path) -> AsyncIterator[tuple[Transport, Received]]:
    with running(offers=[]) as lab:
        relay = Relay("main", "smtp", host="127.0.0.1", port=lab.port, tls="none")
        yield SmtpTransport(relay), lambda: [message.data for message in lab.messages]
        assert not any(session.faults for session in lab.sessions)


@contextlib.asynccontextmanager
async def through_starttls(_: Path) -> AsyncIterator[tuple[Transport, Received]]:
    with running(offers=OFFERS, tls="starttls") as lab:
        relay = Relay("main", "smtp", host="localhost", port=lab.port, ca_file=str(CA))
        yield SmtpTransport(relay), lambda: [message.data for message in lab.messages if message.tls]


@contextlib.asynccontextmanager
async def through_smtps(_: Path) -> AsyncIterator[tuple[Transport, Received]]:
    with running(tls="implicit") as lab:
        relay = Relay("main", "smtps", host="localhost", port=lab.port, ca_file=str(CA))
        yield SmtpTransport(relay), lambda: [message.data for message in lab.messages if message.tls]


@contextlib.asynccontextmanager
async def through_maildir(folder: Path) -> AsyncIterator[tuple[Transport, Received]]:
    def received() -> list[bytes]:
        # the two lines that every local delivery adds (RFC 5321 §4.4) are not the sender's
        files = sorted((folder / "box" / "new").iterdir()) if (folder / "box").exists() else []
        return [file.read_bytes().split(b"\n", 2)[2].replace(b"\n", b"\r\n") for file in files]

    yield MaildirTransport(folder / "box"), received


WAYS_OUT: list[WayOut] = [through_smtp, through_plain_smtp, through_starttls, through_smtps, through_maildir]

ways_out = pytest.mark.parametrize("way_out", WAYS_OUT)


async def no_mark() -> None:
    pass


async def send(transport: Transport, number: int, body: bytes) -> Answer:
    return await transport.deliver(Envelope(number, "b@x.example", f"p{number}@y.example", body), no_mark)


@ways_out
@pytest.mark.parametrize("lines", [0, 1, 3000, 200_000], ids=["empty", "small", "big", "huge"])
async def test_what_goes_in_comes_out_once(way_out: WayOut, tmp_path: Path, lines: int) -> None:
    body = message("In and out", lines)
    async with way_out(tmp_path) as (transport, received):
        answer = await send(transport, 1, body)
        await transport.close()
        assert isinstance(answer, Reply)
        assert judge(answer).event is Event.ACCEPT
        assert received() == [body]


@ways_out
async def test_many_go_one_after_another_in_order(way_out: WayOut, tmp_path: Path) -> None:
    bodies = [message(f"Number {number}") for number in range(30)]
    async with way_out(tmp_path) as (transport, received):
        for number, body in enumerate(bodies):
            answer = await send(transport, number, body)
            assert isinstance(answer, Reply)
            assert (answer.stage, answer.code) == (Stage.DOT, 250)
        await transport.close()
        assert received() == bodies


@ways_out
async def test_the_mark_is_made_once_and_before_the_message_is_complete(way_out: WayOut, tmp_path: Path) -> None:
    async with way_out(tmp_path) as (transport, received):
        seen = []

        async def hand() -> None:
            await asyncio.sleep(0.05)
            seen.append(list(received()))

        await transport.deliver(Envelope(1, "b@x.example", "p@y.example", message()), hand)
        assert seen == [[]]
        assert len(received()) == 1
        await transport.close()


@ways_out
async def test_where_the_mark_cannot_be_made_nothing_is_sent(way_out: WayOut, tmp_path: Path) -> None:
    async def hand() -> None:
        raise RuntimeError("the disk is full")

    async with way_out(tmp_path) as (transport, received):
        with pytest.raises(RuntimeError, match="disk is full"):
            await transport.deliver(Envelope(1, "b@x.example", "p@y.example", message()), hand)
        # and the next one is not mixed up with it
        assert judge(await send(transport, 2, message("Second"))).event is Event.ACCEPT
        await transport.close()
        assert received() == [message("Second")]


@ways_out
async def test_a_cancelled_delivery_leaves_no_trace_in_the_next(way_out: WayOut, tmp_path: Path) -> None:
    waiting = asyncio.Event()

    async def hand() -> None:
        waiting.set()
        await asyncio.sleep(60)

    async with way_out(tmp_path) as (transport, received):
        task = asyncio.ensure_future(
            transport.deliver(Envelope(1, "b@x.example", "p@y.example", message("First")), hand)
        )
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert judge(await send(transport, 2, message("Second"))).event is Event.ACCEPT
        await transport.close()
        assert received() == [message("Second")]


@ways_out
async def test_it_opens_by_itself_or_before_and_closes_as_often_as_one_likes(way_out: WayOut, tmp_path: Path) -> None:
    async with way_out(tmp_path) as (transport, received):
        await transport.close()
        assert await transport.open() is None
        assert await transport.open() is None
        await send(transport, 1, message())
        await transport.close()
        await transport.close()
        await send(transport, 2, message())
        await transport.close()
        assert len(received()) == 2


async def test_a_rehearsal_is_private(tmp_path: Path) -> None:
    transport = MaildirTransport(tmp_path / "box")
    await send(transport, 7, message())
    [file] = (tmp_path / "box" / "new").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in (tmp_path / "box").iterdir()} == {0o700}
    assert not list((tmp_path / "box" / "tmp").iterdir())
    assert file.read_bytes().startswith(b"Return-Path: <b@x.example>\nDelivered-To: p7@y.example\nSubject: Hello\n")


async def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "box").write_text("a file")
    with pytest.raises(CannotWrite, match="box"):
        await MaildirTransport(tmp_path / "box").open()
