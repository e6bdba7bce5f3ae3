"""SMTP (RFC 5321): aiosmtplib opens the connection, then a pipe of ours talks.

The library has no pipelining, hides whether the final dot went out, and takes a late reply for the
next one. Here every reply belongs to its command: one too many, one that is malformed or one that
does not end closes the connection, and nobody is charged with somebody else's answer.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from broadcaster.delivery import Answer, Envelope, Reply, Silence, Stage
from broadcaster.errors import ConfigError, RelayUnavailable
from broadcaster.relay import Relay, unrepeated
from broadcaster.transports import Hand

MAX_LINE = 8192
MAX_REPLY = 32768
MAX_TEXT = 1000  # of a reply is kept
CHUNK = 65536

# A name for EHLO that says nothing of this machine: it ends up in the headers of every message.
NAMELESS = "[127.0.0.1]"

# What is outside of it would end the path, or the command and begin another one.
_PLAIN = re.compile(r"[!-;=?-~]*").fullmatch
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>]").search
_XTEXT = re.compile(r"[!-*,-<>-~]*").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait in each phase, after RFC 5321 §4.5.3.2. A shorter one at the dot makes doubts out of nothing."""

    connect: float = 30.0  # TCP, TLS and the greeting, each
    hello: float = 60.0  # each command up to AUTH
    mail: float = 300.0  # MAIL, RCPT and RSET, each
    data: float = 120.0
    block: float = 180.0  # a piece of the message that does not fit into the socket
    dot: float = 600.0
    quit: float = 2.0


# A reply: its code, and its text as it came.
_Said = tuple[int, bytes]

# RFC 5321 §4.2: all that can begin a reply, and nothing else.
_CODES = {str(code).encode(): code for code in range(200, 600)}


class _Pipe(asyncio.Protocol):
    """The conversation after AUTH. `lost` says why it is over; "" while it stands.

    One thing is waited for at a time: the replies to what was just written. This is the hottest part of
    a send, so futures are handed out as they are, and the usual reply of one line takes the short way.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self.transport = transport
        self.lost = ""
        self.replies: list[_Said] = []  # to what was asked last
        self._wanted = 0  # replies that are still to come
        self._body_next = False
        self._rest = b""
        self._text = b""  # of the lines of an unfinished reply
        self._waiter: asyncio.Future[list[_Said]] | None = None
        self._full = False  # asyncio has enough for now
        self._pushing = False
        self._deadline = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        transport.set_protocol(self)

    # what the story of a delivery asks

    def ask(self, commands: bytes, wanted: int, seconds: float, *, data: bool = False) -> Awaitable[list[_Said]]:
        """Write commands and hear their replies: fewer than `wanted` when the connection was lost or closed by a 421.

        `data`: the last command is DATA. After its 354 one more reply is expected, which may come at any time.
        """
        self.replies = []
        self._wanted = wanted
        self._body_next = data
        if not self.lost:
            self.transport.write(commands)
        return self._wait(seconds)

    async def push(self, piece: bytes, seconds: float) -> None:
        """Write a piece of the message that does not end it, and wait for room, or for news."""
        self.transport.write(piece)
        self._pushing = True
        await asyncio.sleep(0)  # a turn for what was said meanwhile
        while self._full and not self.troubled:
            await self._wait(seconds)
        self._pushing = False

    def finish(self, piece: bytes, seconds: float) -> Awaitable[list[_Said]]:
        """Write the end of the message and the dot, and hear the answer, if there is one."""
        self.transport.writelines((piece, b".\r\n"))
        return self._wait(seconds)

    @property
    def troubled(self) -> bool:
        """Before the end of a message: it makes no sense to go on writing."""
        return bool(self.lost or self.replies)

    @property
    def flushed(self) -> bool:
        """Everything that was written is at least in the socket."""
        return self.transport.get_write_buffer_size() == 0

    async def quit(self, seconds: float) -> None:
        """Part as friends, and do not wait long for the other to say so."""
        if not self.lost:
            await self.ask(b"QUIT\r\n", 1, seconds)
            self.abort("closed")
        await self._gone

    def abort(self, why: str) -> None:
        """Cut the connection: what is half said stays half said. The first reason counts."""
        if not self.lost:
            self.lost = why
            if self._watch:
                self._watch.cancel()
            self.transport.abort()
            self._wake()

    # waiting

    def _wait(self, seconds: float) -> asyncio.Future[list[_Said]]:
        """The replies, when they are there or will never be; after so long, the connection is lost."""
        self._waiter = waiter = self._loop.create_future()
        if self.lost:
            waiter.set_result(self.replies)
            return waiter
        self._deadline = deadline = self._loop.time() + seconds
        # one timer for a whole conversation: it moves itself on when it comes too early
        if self._watch is None or self._watch.when() > deadline:
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self._loop.call_at(deadline, self._look, seconds)
        return waiter

    def _look(self, seconds: float) -> None:
        self._watch = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline - 0.001:
            self._watch = self._loop.call_at(self._deadline, self._look, seconds)
        else:
            self.abort(f"no answer for {seconds:g} s")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(self.replies)

    # what asyncio calls

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data if self._rest else data
        start = 0
        while (end := rest.find(b"\n", start)) >= 0:
            line = rest[start:end]
            start = end + 1
            if self._wanted and line[3:4] == b" " and not self._text and (code := _CODES.get(line[:3])):
                self.replies.append((code, line[4:]))
                self._wanted -= 1
                if self._wanted and code != 421:
                    continue
                self._complete(code)
            else:
                self._take(line)
            if self.lost:
                return
        if start < len(rest) or self._rest:
            self._rest = rest = rest[start:]
            if len(rest) > MAX_LINE:
                self.abort("an endless line")
            elif rest and not self._wanted:
                self.abort(f"spoke out of turn: {_clean(rest)}")

    def _take(self, line: bytes) -> None:
        """A line that is not a whole reply of its own, or not as it should be."""
        code, mark = _CODES.get(line[:3]), line[3:4]
        if not self._wanted:
            self.abort(f"spoke out of turn: {_clean(line)}")
        elif code is None or mark not in (b" ", b"-", b"\r", b""):
            self.abort(f"a malformed reply: {_clean(line)}")
        elif len(line) > MAX_LINE:
            self.abort("an endless line")
        elif len(self._text) + len(line) > MAX_REPLY:
            self.abort("an endless reply")
        elif mark == b"-":
            self._text += line[4:] + b" "
        else:
            self.replies.append((code, self._text + line[4:]))
            self._text = b""
            self._wanted -= 1
            if not self._wanted or code == 421:
                self._complete(code)

    def _complete(self, code: int) -> None:
        """All that was asked is answered; or 421, RFC 5321 §3.8: the channel is closing, whatever was asked."""
        if code == 421:
            self.abort("closed by the relay (421)")
            return
        self._wake()
        if self._body_next and code == 354:
            # a refusal may come while the message is being written
            self._body_next = False
            self.replies = []
            self._wanted = 1

    def eof_received(self) -> None:
        self.abort("the relay closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._wanted and not self.lost:
            self._last_words()
        self.abort(f"connection lost: {exc}" if exc else "connection lost")
        if not self._gone.done():
            self._gone.set_result(None)

    def _last_words(self) -> None:
        """Who refuses a message half-way and hangs up is heard: writing failed, but the refusal lies in the socket."""
        if self.transport.get_extra_info("sslcontext") is None:
            with suppress(OSError):
                self.data_received(os.read(self.transport.get_extra_info("socket").fileno(), MAX_REPLY))

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._pushing:
            self._wake()


class SmtpTransport:
    """One connection to one relay. Opens itself, pipelines where it may, never retries."""

    def __init__(
        self,
        relay: Relay,
        *,
        secret: Callable[[], str] | None = None,
        context: ssl.SSLContext | None = None,
        timeouts: Timeouts | None = None,
        hello: str = NAMELESS,
    ) -> None:
        """`secret` gives the password or token, in a thread, for each new connection. `context`: see tls_context."""
        self._relay = relay
        self._secret = secret
        self._context = context
        self._timeouts = timeouts or Timeouts()
        self._hello = hello
        self._pipe: _Pipe | None = None
        self._offers: dict[str, str] = {}
        self._pipelining = self._sized = False
        self._largest = 0  # octets of a message; 0: no limit is known
        self._most = 0  # messages on this connection
        self._sent = 0
        self._reset = False  # a transaction failed half-way: RSET before the next one

    async def open(self) -> Answer | None:
        """Connect unless that was done; also when this connection has carried as many messages as it may."""
        if self._pipe is not None:
            if not self._pipe.lost and self._sent < self._most:
                return None
            await self.close()
        door = _Door(self._relay, self._secret, self._context, self._timeouts, self._hello)
        trouble = await door.enter()
        if trouble is not None:
            return trouble
        self._pipe = _Pipe(cast(asyncio.Transport, door.client.transport))
        self._offers = door.client.esmtp_extensions
        self._pipelining = "pipelining" in self._offers
        self._sized = "size" in self._offers
        largest = self._offers.get("size", "")
        self._largest = int(largest) if largest.isascii() and largest.isdigit() else 0
        self._most = self._relay.messages_per_connection
        if limit := re.search(r"\bMAILMAX=(\d{1,6})\b", self._offers.get("limits", "")):
            self._most = min(self._most, max(1, int(limit[1])))  # RFC 9422
        self._sent = 0
        self._reset = False
        return None

    async def deliver(self, envelope: Envelope, hand: Hand) -> Answer:
        """Offer one message. An error of ours cuts the connection: to end DATA politely would send half of it."""
        pipe = self._pipe
        try:
            if pipe is None or pipe.lost or self._sent >= self._most:
                if (trouble := await self.open()) is not None:
                    return trouble
                pipe = self._pipe
                assert pipe is not None
            if (unfit := self._unfit(envelope)) is not None:
                return unfit
            self._sent += 1
            if self._pipelining and not self._reset:
                replies = await pipe.ask(self._commands(envelope), 3, self._timeouts.mail, data=True)
            else:
                replies = await self._offer(pipe, self._commands(envelope))
            if [code for code, _ in replies] != [250, 250, 354] and (refused := await self._heard(pipe, replies)):
                return refused
            message = envelope.message if envelope.message[-2:] == b"\r\n" else envelope.message + b"\r\n"
            if len(message) > 2 * CHUNK:
                message = await self._push(pipe, message)
            if pipe.lost or pipe.replies:
                return self._interrupted(pipe, handed=False)
            await hand()
            if pipe.lost or pipe.replies:
                return self._interrupted(pipe, handed=True)
            replies = await pipe.finish(message, self._timeouts.dot)
            if not replies or not pipe.flushed or replies[0][0] // 100 == 3:
                return self._interrupted(pipe, handed=True)
            return _reply(Stage.DOT, replies[0])
        except BaseException:
            if pipe is not None:
                pipe.abort("given up")
            raise

    async def close(self) -> None:
        """QUIT, best effort."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            try:
                await pipe.quit(self._timeouts.quit)
            finally:
                pipe.abort("closed")

    # one transaction

    async def _push(self, pipe: _Pipe, message: bytes) -> bytes:
        """Write most of a big message piece by piece, listening; what is left of it."""
        start = 0
        while len(message) - start > 2 * CHUNK and not pipe.troubled:
            await pipe.push(message[start : start + CHUNK], self._timeouts.block)
            start += CHUNK
        return message[start:]

    def _interrupted(self, pipe: _Pipe, *, handed: bool) -> Answer:
        """The relay vanished, or spoke before the message was out. A refusal is heard; anything else is no answer.

        From `hand` on a silence is a doubt, even if the dot did not go out: the ledger says handed.
        """
        replies = pipe.replies
        pipe.abort("an answer out of place")
        if replies and replies[0][0] // 100 in (4, 5):
            return _reply(Stage.DOT, replies[0])
        return Silence(after_dot=handed, why=pipe.lost)

    async def _offer(self, pipe: _Pipe, commands: bytes) -> list[_Said]:
        """The replies to MAIL, RCPT and DATA where they are asked one by one, or an RSET must go first."""
        reset, self._reset = self._reset, False
        if reset:
            commands = b"RSET\r\n" + commands
        lines = commands.splitlines(keepends=True)
        mail, data = self._timeouts.mail, self._timeouts.data
        replies: list[_Said] = []
        if self._pipelining:
            replies = await pipe.ask(commands, len(lines), mail, data=True)
        else:
            for line in lines:
                last = line is lines[-1]
                replies += await pipe.ask(line, 1, data if last else mail, data=last)
                if not replies or replies[-1][0] // 100 != 2:
                    break
        if reset and replies and replies[0][0] // 100 != 2:
            pipe.abort("refused RSET")
            return []
        return replies[1:] if reset else replies

    async def _heard(self, pipe: _Pipe, replies: list[_Said]) -> Answer | None:
        """What the replies to MAIL, RCPT and DATA come to: the first that is not a yes decides. None: go on."""
        codes = [code for code, _ in replies]
        for stage, code in zip((Stage.MAIL, Stage.RCPT, Stage.DATA), codes, strict=False):
            if code == 354 if stage is Stage.DATA else code // 100 == 2:
                continue
            later = codes[stage - Stage.MAIL + 1 :]
            after_no_mail = stage is Stage.MAIL and 354 in later
            if code // 100 not in (4, 5) or after_no_mail or 2 in [each // 100 for each in later]:
                # a yes to what cannot be a yes: we do not know which reply is whose
                pipe.abort(f"answers out of step: {', '.join(map(str, codes))}")
                return Silence(after_dot=False, why=pipe.lost)
            if 354 in later and not pipe.lost:
                # It wants a message for nobody. RFC 2920 §3.1: a lone dot; what is answered to it means nothing.
                await pipe.finish(b"", self._timeouts.mail)
            # after a refused MAIL there is no transaction to put back
            self._reset = stage is not Stage.MAIL
            return _reply(stage, replies[stage - Stage.MAIL])
        return None if len(codes) == 3 else Silence(after_dot=False, why=pipe.lost)

    def _commands(self, envelope: Envelope) -> bytes:
        mail = f" SIZE={len(envelope.message)}" if self._sized else ""
        rcpt = ""
        if envelope.smtputf8:
            mail += " BODY=8BITMIME SMTPUTF8"
        if envelope.envid and "dsn" in self._offers:
            mail += f" RET=HDRS ENVID={_xtext(envelope.envid)}"
            rcpt = " NOTIFY=FAILURE"
            if envelope.recipient.isascii():
                rcpt += f" ORCPT=rfc822;{_xtext(envelope.recipient)}"
        return f"MAIL FROM:<{envelope.sender}>{mail}\r\nRCPT TO:<{envelope.recipient}>{rcpt}\r\nDATA\r\n".encode()

    def _unfit(self, envelope: Envelope) -> Reply | None:
        """What the relay has already said it would not take, and addresses that would be more than an address."""
        sender, recipient, size = envelope.sender, envelope.recipient, len(envelope.message)
        if not (_PLAIN(recipient) or (envelope.smtputf8 and not _UNSAFE(recipient))):
            return Reply(Stage.RCPT, 553, "5.1.3 not an address that can be sent to (not asked)")
        if not (_PLAIN(sender) or (envelope.smtputf8 and not _UNSAFE(sender))):
            return Reply(Stage.MAIL, 553, "5.1.7 not an address that can be sent from (not asked)")
        if envelope.smtputf8 and "smtputf8" not in self._offers:
            return Reply(Stage.RCPT, 553, "5.6.7 the relay does not offer SMTPUTF8 (not asked)")
        if 0 < self._largest < size:
            return Reply(Stage.MAIL, 552, f"5.3.4 larger than the {self._largest} octets the relay takes (not asked)")
        if envelope.smtputf8 and "8bitmime" not in self._offers:
            return Reply(Stage.MAIL, 554, "5.6.3 the relay does not offer 8BITMIME (not asked)")
        return None


class _Door:
    """From nothing to a session that may say MAIL. Its answers are what the relay said, or 5.7.x where we refuse it."""

    def __init__(
        self,
        relay: Relay,
        secret: Callable[[], str] | None,
        context: ssl.SSLContext | None,
        timeouts: Timeouts,
        hello: str,
    ) -> None:
        self.relay = relay
        self.secret, self.told = secret, ""  # `told`: the secret, once it was said
        self.timeouts = timeouts
        self.stage = Stage.CONNECT
        self.secure = relay.kind == "smtps" or relay.tls == "required"
        self.client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.kind == "smtps",
            start_tls=False,  # done below: never opportunistic
            tls_context=(context or tls_context(relay.ca_file)) if self.secure else None,
            local_hostname=hello,
            timeout=timeouts.hello,
        )

    async def enter(self) -> Answer | None:
        """None when the session stands."""
        try:
            answer = await self._steps()
        except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:
            answer = self._translated(error)
        except BaseException:
            self.client.close()
            raise
        if answer is not None:
            self.client.close()
        return answer

    async def _steps(self) -> Answer | None:
        client, relay = self.client, self.relay
        await client.connect(timeout=self.timeouts.connect)
        self.stage = Stage.HELLO
        await self._greet()
        if self.secure and relay.kind != "smtps":
            if not client.supports_extension("starttls"):
                # nothing was said yet that somebody in between should not hear
                return Reply(Stage.HELLO, 554, "5.7.4 the relay offers no TLS, and this relay's tls is required")
            await client.starttls()
            await self._greet()
        if not relay.user:
            return None
        self.stage = Stage.AUTH
        try:
            self.told = await _aside(self.secret) if self.secret else ""
        except RelayUnavailable as error:
            return Silence(after_dot=False, why=error.message)
        return await self._authenticate(self.told)

    async def _greet(self) -> None:
        """EHLO, or HELO for a very old relay."""
        try:
            await self.client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            if error.code not in (500, 501, 502, 504) or not self.client.is_connected:
                raise
            await self.client.helo()

    async def _authenticate(self, secret: str) -> Answer | None:
        client, user = self.client, self.relay.user
        offered = client.server_auth_methods
        if self.relay.secret is not None and self.relay.secret.token:
            if "xoauth2" in offered:
                await client.auth_xoauth2(user, secret)
                return None
        elif "plain" in offered:
            await client.auth_plain(user, secret)
            return None
        elif "login" in offered:
            await client.auth_login(user, secret)
            return None
        names = " ".join(offered).upper() or "nothing"
        return Reply(Stage.AUTH, 554, f"5.7.4 no way to log in that we both know: the relay offers {_clean(names)}")

    def _translated(self, error: Exception) -> Answer:
        """A foreign exception in our words: this is the one door where they enter."""
        cause = error if isinstance(error, ssl.SSLError) else error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Reply(Stage.CONNECT, 554, f"5.7.5 the relay's certificate is not valid: {cause.verify_message}")
        words = unrepeated(str(getattr(error, "message", "") or error), self.relay.user, self.told)
        if isinstance(error, aiosmtplib.SMTPResponseException) and 200 <= error.code < 600:
            return _reply(self.stage, (error.code, words.encode("utf-8", "surrogateescape")))
        where = f"{self.relay.host}:{self.relay.port}"
        if isinstance(cause, OSError) and (cause.errno or 0) > 0 and not isinstance(cause, socket.gaierror):
            return Silence(after_dot=False, why=f"{where}: {os.strerror(cause.errno or 0).lower()}")
        if isinstance(cause, socket.gaierror):
            return Silence(after_dot=False, why=f"{where}: this name is not known ({_clean(str(cause.strerror))})")
        why = _clean(words or type(error).__name__)
        return Silence(after_dot=False, why=why if where in why or self.relay.host in why else f"{where}: {why}")


async def _aside(work: Callable[[], str]) -> str:
    """What takes a while, in a thread of its own that holds nobody up: who is cut off does not wait for its end, and
    neither does the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def tell(value: str, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def run() -> None:
        value, error = "", None
        try:
            value = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell, value, error)

    threading.Thread(target=run, daemon=True).start()
    return await done


@functools.lru_cache(maxsize=8)
def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name checked; against one CA file, else the system's. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot be read as certificates ({error.strerror or error})",
            where=ca_file,
            hint="ca_file is a PEM file with the certificate of the relay's authority",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _clean(text: str | bytes) -> str:
    """What a stranger said, fit for a terminal, a log and the ledger: no control or direction marks, not too long."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if not text.isascii() or not text.isprintable():
        # aiosmtplib leaves what is not UTF-8 as surrogates: no database keeps them
        text = _CONTROL.sub(" ", text).encode("utf-8", "backslashreplace").decode()
        text = " ".join(text.split())
    return text[:MAX_TEXT]


def _reply(stage: Stage, said: _Said) -> Reply:
    return Reply(stage, said[0], _clean(said[1].strip()))


def _xtext(text: str) -> str:
    """RFC 3461 §4: printable ASCII as it is, but + and = and all else as +HH."""
    if _XTEXT(text):
        return text  # as nearly all is
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}" for byte in text.encode("utf-8")
    )
