"""A scriptable SMTP server: a thread of the test, or a process of its own.

    with running(Rule("rcpt", reply="450 4.2.0 later", tries=(1,))) as lab:
        ...                       # greylists every address once
        lab.messages              # what came, byte for byte

    python -m tests.lab.server --port 0 --record FILE      # prints its port, records until it is ended

Without rules it takes everything at once, fast enough to measure a sender against.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

from tests.lab.record import Message, Session, read

TLS = Path(__file__).parent / "tls"
OFFERS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")

ORDINARY = {
    "connect": "220 lab.example ESMTP",
    "mail": "250 2.1.0 Ok",
    "rcpt": "250 2.1.5 Ok",
    "data": "354 End data with <CR><LF>.<CR><LF>",
    "dot": "250 2.0.0 Ok: queued",
    "rset": "250 2.0.0 Ok",
    "noop": "250 2.0.0 Ok",
    "quit": "221 2.0.0 Bye",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens otherwise than usual, and when.

    `at`: connect, ehlo, helo, starttls, auth, mail, rcpt, data, body, dot, rset, noop, quit, or byte: when `after`
    bytes of the connection have come. body: when `after` bytes of a message have come.
    """

    at: str
    reply: str = ""  # lines divided by \n, instead of the usual ones; with a second reply behind, it is a surplus one
    raw: str = ""  # latin-1, as it is
    then: str = "go"  # go on; close; reset (RST); hang: say nothing more, whatever comes
    after: int = 0
    delay: float = 0.0  # seconds before all that
    address: str = ""  # only for this recipient: rcpt, data, body, dot
    tries: tuple[int, ...] = ()  # only these times, counted from 1: per recipient from rcpt on, else per server

    @property
    def silent(self) -> bool:
        return not self.reply and not self.raw and self.then != "go"


class Lab:
    """The server: its rules, what it offers, and all it saw. Rules may be added while it runs."""

    def __init__(
        self,
        *rules: Rule,
        offers: Iterable[str] = OFFERS,
        tls: str = "none",
        certificate: str = "good",
        users: Mapping[str, str] | None = None,
        mechanisms: Iterable[str] = ("PLAIN", "LOGIN", "XOAUTH2"),
        most_connections: int = 10_000,
        most_messages: int = 10**9,
        record: IO[bytes] | None = None,
        keep: bool = True,
    ) -> None:
        """`tls`: none, starttls, implicit. With `users`, AUTH is required. Beyond the two `most_` it answers 421."""
        self.rules = list(rules)
        self.offers = tuple(offers)
        self.tls = tls
        self.users = users
        self.mechanisms = tuple(mechanisms)
        self.most_connections = most_connections
        self.most_messages = most_messages
        self.messages: list[Message] = []
        self.sessions: list[Session] = []
        self.port = 0
        self.connections: set[_Connection] = set()
        self.peak = 0
        self._record = record
        self._keep = keep
        self._seen: Counter[tuple[str, str]] = Counter()
        self.context: ssl.SSLContext | None = None
        if tls != "none":
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(TLS / f"{certificate}.pem")

    async def start(self, port: int = 0) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        implicit = self.context if self.tls == "implicit" else None
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, ssl=implicit, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def rule(self, at: str, address: str) -> Rule | None:
        """The first rule for this moment."""
        if not self.rules:
            return None
        self._seen[at, address] += 1
        for rule in self.rules:
            here = rule.at == at and (not rule.address or rule.address == address)
            if here and (not rule.tries or self._seen[at, address] in rule.tries):
                return rule
        return None

    async def stop(self) -> None:
        """Drop every connection, also those that were accepted a moment ago and are not made yet."""
        for _ in range(5):
            await asyncio.sleep(0)
        while self.connections:
            for connection in list(self.connections):
                connection.transport.abort()
            await asyncio.sleep(0.001)

    def keep(self, message: Message) -> None:
        if self._keep:
            self.messages.append(message)
        if self._record:
            self._record.write(message.frame())
            self._record.flush()

    def addresses(self, *, accepted: bool = True) -> list[str]:
        """The recipients of the messages that came (and were taken), as often as they came."""
        return [one for message in self.messages if message.accepted or not accepted for one in message.recipients]


class _Connection(asyncio.Protocol):
    """One client. Commands are taken from the buffer one by one, so that pipelined and single ones are the same."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.session = Session(0)
        self.buffer = bytearray()
        self.came = 0
        self.scanned = 0
        self.state = "greeting"  # greeting, command, auth, body, held, upgrading, over
        self.auth: Callable[[str], None] | None = None
        self.user = ""
        self.taken = 0
        self.said_hello = False
        self.interruption: Rule | None = None
        self.fresh()

    def fresh(self) -> None:
        """No transaction."""
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.mail_options = ""
        self.rcpt_options: list[str] = []
        self.at = 0.0
        self.last_recipient = ""  # also a refused one: rules at data and dot are told by it

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        if self.state == "upgrading":
            return
        lab = self.lab
        self.session.number = len(lab.sessions) + 1
        lab.sessions.append(self.session)
        self.session.tls = lab.tls == "implicit"
        lab.connections.add(self)
        lab.peak = max(lab.peak, len(lab.connections))
        self.state = "command"
        if len(lab.connections) > lab.most_connections:
            self.say("421 4.7.0 too many connections")
            self.end("close")
            return
        self.answer("connect", ORDINARY["connect"])

    def connection_lost(self, exc: Exception | None) -> None:
        self.lab.connections.discard(self)
        self.session.open = False
        self.state = "over"

    def data_received(self, data: bytes) -> None:
        if self.state == "over":
            return
        before, self.came = self.came, self.came + len(data)
        for rule in self.lab.rules:
            here = rule.at == "byte" and before < rule.after <= self.came
            if here and (not rule.tries or self.session.number in rule.tries):
                self.buffer += data[: rule.after - before]
                self.work()
                self.perform(rule, "")
                return
        self.buffer += data
        self.work()

    # the conversation

    def work(self) -> None:
        """Take what is there."""
        while self.buffer and self.state in ("command", "auth", "body"):
            if self.state == "body":
                if not self.body():
                    return
                continue
            end = self.buffer.find(b"\n")
            if end < 0:
                return
            line = bytes(self.buffer[: end + 1])
            del self.buffer[: end + 1]
            if not line.endswith(b"\r\n"):
                self.session.faults.append(f"a line without CRLF: {line!r}")
            if self.buffer and "PIPELINING" not in self.lab.offers:
                self.session.faults.append(f"did not wait for the answer to {line!r}")
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if self.state == "auth":
                assert self.auth
                self.auth(text)
            else:
                self.command(text)

    def command(self, line: str) -> None:
        verb = line.split(" ")[0].upper()
        if self.lab._keep:
            self.session.lines.append(line if verb != "AUTH" else " ".join(line.split(" ")[:2]))
        handler = getattr(self, f"on_{verb.lower()}", None)
        if handler is None:
            self.say("500 5.5.2 what?")
        else:
            handler(line)

    def on_ehlo(self, line: str) -> None:
        offers = list(self.lab.offers)
        if self.lab.tls == "starttls" and not self.session.tls:
            offers.append("STARTTLS")
        if self.lab.users is not None and (self.session.tls or self.lab.tls == "none"):
            offers.append("AUTH " + " ".join(self.lab.mechanisms))
        lines = ["lab.example", *offers]
        self.fresh()
        self.said_hello = True
        self.answer("ehlo", "\n".join(["250-" + each for each in lines[:-1]] + ["250 " + lines[-1]]))

    def on_helo(self, line: str) -> None:
        self.fresh()
        self.said_hello = True
        self.answer("helo", "250 lab.example")

    def on_starttls(self, line: str) -> None:
        if self.lab.tls != "starttls" or self.session.tls:
            self.say("502 5.5.1 no TLS here")
        elif self.answer("starttls", "220 2.0.0 go ahead") == 2:
            if self.buffer:
                self.session.faults.append("spoke before the TLS handshake")
            self.state = "upgrading"
            self.upgrade = asyncio.ensure_future(self.start_tls())

    async def start_tls(self) -> None:
        assert self.lab.context
        loop = asyncio.get_running_loop()
        try:
            new = await loop.start_tls(self.transport, self, self.lab.context, server_side=True)
        except (OSError, ssl.SSLError):
            return
        self.transport = cast(asyncio.Transport, new)
        self.session.tls = True
        self.said_hello = False
        self.fresh()
        self.state = "command"
        self.work()

    def on_auth(self, line: str) -> None:
        mechanism, _, initial = line[5:].partition(" ")
        mechanism = mechanism.upper()
        if self.lab.users is None or mechanism not in self.lab.mechanisms:
            self.say("504 5.5.4 no such mechanism")
        elif mechanism == "LOGIN":
            self.ask(lambda text: self.judge_login(initial, text)) if initial else self.ask(
                lambda name: self.ask(lambda text: self.judge_login(name, text))
            )
        elif mechanism == "PLAIN":
            self.judge(*decoded(initial).split("\0")[1:])
        else:
            fields = dict(part.partition("=")[::2] for part in decoded(initial).split("\1") if part)
            self.judge(fields.get("user", ""), fields.get("auth", "").removeprefix("Bearer "), challenge=True)

    def ask(self, then: Callable[[str], None]) -> None:
        self.say("334 VXNlcm5hbWU6")
        self.auth = then
        self.state = "auth"

    def judge_login(self, name: str, text: str) -> None:
        self.state = "command"
        self.judge(decoded(name), decoded(text))

    def judge(self, user: str = "", secret: str = "", *_: str, challenge: bool = False) -> None:
        good = bool(self.lab.users) and user in (self.lab.users or {}) and (self.lab.users or {})[user] == secret
        if good:
            if self.answer("auth", "235 2.7.0 welcome") == 2:
                self.user = user
        elif challenge:
            # XOAUTH2: an error comes as a challenge, and the client answers with an empty line
            self.say("334 eyJzdGF0dXMiOiI0MDEifQ==")
            self.state = "auth"
            self.auth = lambda _: self.refuse()
        else:
            self.refuse()

    def refuse(self) -> None:
        self.state = "command"
        self.answer("auth", "535 5.7.8 no")

    def on_mail(self, line: str) -> None:
        if self.lab.users is not None and not self.user:
            self.say("530 5.7.0 authenticate first")
        elif self.sender is not None or not self.said_hello:
            self.say("503 5.5.1 out of order")
        elif self.taken >= self.lab.most_messages:
            self.say("421 4.7.0 enough for one connection")
            self.end("close")
        else:
            path, options = split_path(line[5:])
            at = time.time()
            if self.answer("mail", ORDINARY["mail"], path) == 2:
                self.sender, self.mail_options, self.at = path, options, at

    def on_rcpt(self, line: str) -> None:
        if self.sender is None:
            self.say("503 5.5.1 need MAIL")
            return
        path, options = split_path(line[5:])
        self.last_recipient = path
        if self.answer("rcpt", ORDINARY["rcpt"], path) == 2:
            self.recipients.append(path)
            self.rcpt_options.append(options)

    def on_data(self, line: str) -> None:
        rule_first = any(rule.at == "data" for rule in self.lab.rules)
        if not self.recipients and not rule_first:
            self.say("554 5.5.1 no valid recipients" if self.sender is not None else "503 5.5.1 need MAIL")
        elif self.answer("data", ORDINARY["data"], self.last_recipient) == 3:
            self.scanned = 0
            self.interruption = self.lab.rule("body", self.last_recipient)
            if self.state == "command":
                self.state = "body"
            else:
                self.resume_as = "body"

    def on_rset(self, line: str) -> None:
        if self.answer("rset", ORDINARY["rset"]) == 2:
            self.fresh()

    def on_noop(self, line: str) -> None:
        self.answer("noop", ORDINARY["noop"])

    def on_quit(self, line: str) -> None:
        self.answer("quit", ORDINARY["quit"])
        if self.state != "held":
            self.end("close")

    def body(self) -> bool:
        """Look for the dot; whether to go on."""
        buffer = self.buffer
        if self.interruption and len(buffer) >= max(self.interruption.after, 1):
            del buffer[:]
            self.perform(self.interruption, "")
            return False
        if buffer.startswith(b".\r\n"):
            end, size = 0, 3
        else:
            end = buffer.find(b"\r\n.\r\n", max(0, self.scanned - 4))
            if end < 0:
                self.scanned = len(buffer)
                return False
            end, size = end + 2, 3
        data = bytes(buffer[:end])
        del buffer[: end + size]
        self.state = "command"
        self.taken += 1
        rule = self.lab.rule("dot", self.last_recipient)
        answer = ORDINARY["dot"] if rule is None else "" if rule.silent else rule.reply or rule.raw or ORDINARY["dot"]
        recipients = tuple(self.recipients)
        if not recipients and rule is None:
            answer = "554 5.5.1 no valid recipients"
        self.lab.keep(
            Message(
                session=self.session.number,
                sender=self.sender or "",
                recipients=recipients,
                data=data,
                answer=answer,
                tls=self.session.tls,
                at=self.at,
                mail_options=self.mail_options,
                rcpt_options=tuple(self.rcpt_options),
            )
        )
        self.fresh()
        if rule is None:
            self.say(answer)
        else:
            self.perform(rule, ORDINARY["dot"])
        return True

    # answering

    def answer(self, at: str, ordinary: str, address: str = "") -> int:
        """Say the usual thing, or what a rule wants instead. The first digit of what is said, 0 when nothing is."""
        rule = self.lab.rule(at, address)
        if rule is None:
            self.say(ordinary)
            return int(ordinary[0])
        self.perform(rule, ordinary)
        if rule.silent:
            return 0
        said = rule.reply or rule.raw or ordinary
        return int(said[0]) if said[:1].isdigit() else 0

    def perform(self, rule: Rule, ordinary: str) -> None:
        """What a rule wants, after its delay."""
        if rule.delay:
            self.resume_as, self.state = self.state, "held"
            asyncio.get_running_loop().call_later(rule.delay, self.after_delay, rule, ordinary)
        else:
            self.do(rule, ordinary)

    def after_delay(self, rule: Rule, ordinary: str) -> None:
        if self.state == "held":
            self.state = self.resume_as
            self.do(rule, ordinary)
            self.work()

    def do(self, rule: Rule, ordinary: str) -> None:
        if rule.raw:
            self.transport.write(rule.raw.encode("latin-1"))
        elif rule.reply:
            self.say(rule.reply)
        elif rule.then == "go" and ordinary:
            self.say(ordinary)
        if rule.then != "go":
            self.end(rule.then)

    def say(self, text: str) -> None:
        if self.state != "over":
            self.transport.write(text.replace("\n", "\r\n").encode("utf-8") + b"\r\n")

    def end(self, how: str) -> None:
        self.state = "over"
        if how == "close":
            self.transport.close()
        elif how == "reset":
            self.transport.abort() if self.session.tls else reset(self.transport)


def reset(transport: asyncio.Transport) -> None:
    """Close with RST: linger of no seconds."""
    import socket
    import struct

    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def split_path(text: str) -> tuple[str, str]:
    """`FROM:<a@b> SIZE=3` → a@b and SIZE=3."""
    path, _, options = text.partition(":")[2].strip().partition(">")
    return path.removeprefix("<"), options.strip()


@contextlib.contextmanager
def running(*rules: Rule, port: int = 0, **settings: Any) -> Iterator[Lab]:
    """A lab in a thread of this process."""
    lab = Lab(*rules, **settings)
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    ended: list[asyncio.Event] = []

    async def serve() -> None:
        server = await lab.start(port)
        loops.append(asyncio.get_running_loop())
        ended.append(asyncio.Event())
        ready.set()
        await ended[0].wait()
        server.close()
        await lab.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield lab
    finally:
        loops[0].call_soon_threadsafe(ended[0].set)
        thread.join(10)


@dataclass(slots=True)
class Remote:
    """A lab in another process."""

    port: int
    record: Path
    process: subprocess.Popen[str]

    @property
    def messages(self) -> list[Message]:
        return list(read(self.record))


@contextlib.contextmanager
def spawned(record: Path, *rules: Rule, arguments: Iterable[str] = ()) -> Iterator[Remote]:
    """A lab in a process of its own, which records into this file."""
    command = [sys.executable, "-m", "tests.lab.server", "--record", str(record), *arguments]
    if rules:
        command += ["--rules", json.dumps([asdict(rule) for rule in rules])]
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout
    try:
        yield Remote(int(process.stdout.readline()), record, process)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A scriptable SMTP server on loopback. Prints its port.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path, help="the file that every message is written to")
    parser.add_argument("--rules", default="[]", help="JSON: a list of rules, fields as in Rule")
    parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
    parser.add_argument("--certificate", choices=["good", "elsewhere", "expired"], default="good")
    parser.add_argument("--offers", default=",".join(OFFERS), help="EHLO keywords, divided by commas")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:SECRET", help="AUTH is required")
    parser.add_argument("--most-connections", type=int, default=10_000)
    parser.add_argument("--most-messages", type=int, default=10**9, help="on one connection")
    options = parser.parse_args()
    rules = [Rule(**{**rule, "tries": tuple(rule.get("tries", ()))}) for rule in json.loads(options.rules)]

    async def serve() -> None:
        with contextlib.ExitStack() as stack:
            record = stack.enter_context(options.record.open("ab", buffering=1 << 20)) if options.record else None
            lab = Lab(
                *rules,
                offers=[each for each in options.offers.split(",") if each],
                tls=options.tls,
                certificate=options.certificate,
                users=dict(user.split(":", 1) for user in options.user) or None,
                most_connections=options.most_connections,
                most_messages=options.most_messages,
                record=record,
                keep=False,
            )
            ended = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, ended.set)
            server = await lab.start(options.port)
            print(lab.port, flush=True)  # noqa: T201
            await ended.wait()
            server.close()
            await lab.stop()

    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve())


if __name__ == "__main__":
    main()
