"""A mailing that was sent, and what comes back of it: reports with the tokens that the copies themselves carry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

from tests.lab.record import Message
from tests.lab.server import running
from tests.lab.world import World, world

RETURNS = '[returns]\nreturn_path = "bounces@water.example"\n'


@dataclass(frozen=True)
class Copy:
    """One copy as its reader has it."""

    sender: str  # MAIL FROM
    recipient: str
    data: bytes

    @property
    def message_id(self) -> str:
        return str(message_from_bytes(self.data)["Message-ID"])

    @property
    def token(self) -> str:
        """That of the return path."""
        return self.sender.partition("+")[2].partition("@")[0]

    @property
    def leave(self) -> str:
        """The subject of a wish to leave."""
        found = re.search(rb"subject=(leave-[a-z2-7]+)", self.data.replace(b"\r\n ", b""))
        assert found is not None
        return found[1].decode()

    @property
    def header(self) -> str:
        return self.data.decode("utf-8", "replace").partition("\r\n\r\n")[0].replace("\r\n", "\n")


@dataclass(frozen=True)
class Sent:
    """The workspace, and each copy by its recipient."""

    world: World
    copies: Mapping[str, Copy]

    def put(self, name: str, message: str | bytes) -> str:
        """A file with a message."""
        path = self.world.root / "back" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message)
        return str(path)


def settings(of: World, more: str = "") -> None:
    """The workspace with a return path."""
    file = of.root / "broadcaster.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("[returns]\n", RETURNS + more), encoding="utf-8")


def taken(messages: list[Message]) -> dict[str, Copy]:
    """What a server took, by recipient; of several the last."""
    return {one: Copy(m.sender, one, m.data) for m in messages if m.accepted for one in m.recipients}


def sent(into: Path, number: int = 4, more: str = "") -> Sent:
    """Mailing 1, taken by a relay: p1@example.org … have it."""
    made = world(into, number)
    with running() as lab:
        made.configure(lab.port)
        settings(made, more)
        made.run("send", "1", "--yes")
        return Sent(made, taken(lab.messages))


def again(of: Sent, slug: str = "june") -> dict[str, Copy]:
    """Another mailing to everybody who may still be mailed."""
    with running() as lab:
        file = of.world.root / "broadcaster.toml"
        file.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{lab.port}", file.read_text(encoding="utf-8")))
        of.world.run("send", slug, "--list", "news", "--again", "--yes")
        return taken(lab.messages)


def dsn(
    to: str,
    recipient: str,
    status: str = "5.1.1",
    words: str = "550 5.1.1 User unknown",
    *,
    action: str = "failed",
    returned: str = "",
    more: str = "",
) -> str:
    """A report as Postfix writes it (RFC 3464). `to`: whom it is for; `returned`: the header of what was."""
    return (
        f"Return-Path: <>\nDelivered-To: {to}\nFrom: MAILER-DAEMON@mx.example (Mail Delivery System)\n"
        f"Subject: Undelivered Mail Returned to Sender\nTo: {to}\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b/1"\n\n'
        "--b/1\nContent-Type: text/plain; charset=us-ascii\n\nThis is the mail system at host mx.example.\n\n"
        f"<{recipient}>: host mx.example said: {words}\n\n"
        f"--b/1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {words}\n{more}\n"
        f"--b/1\nContent-Type: text/rfc822-headers\n\n{returned or 'Subject: Hello'}\n\n--b/1--\n"
    )


def complaint(returned: str, recipient: str = "") -> str:
    """A report of abuse (RFC 5965). Many name nobody."""
    named = f"Original-Rcpt-To: {recipient}\n" if recipient else ""
    return (
        "From: feedback@isp.example\nTo: abuse@water.example\nSubject: Abuse report\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="c"\n\n'
        "--c\nContent-Type: text/plain\n\nThis is an abuse report.\n\n"
        f"--c\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: X/1\nVersion: 1\n{named}\n"
        f"--c\nContent-Type: message/rfc822\n\n{returned}\n\nHello\n\n--c--\n"
    )


def wish(subject: str, sender: str = "p1@example.org") -> str:
    """A wish to leave, as a mail program sends it."""
    return f"From: {sender}\nTo: leave@water.example\nSubject: {subject}\n\n\n"


def vacation(to: str) -> str:
    """Somebody is away (RFC 3834)."""
    return (
        f"From: p1@example.org\nTo: {to}\nSubject: Out of office\nAuto-Submitted: auto-replied\n\n"
        "I am on holiday until Monday.\n"
    )
