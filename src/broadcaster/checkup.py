"""doctor's round: everything that can be wrong with the set-up, looked at side by side and within a minute or so.

Nothing is changed and nothing is mailed. Each look has its own bound of time, and one that does not end is told as
one that nobody answered.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final

from broadcaster import probe, upkeep
from broadcaster.authentication import Sender, authenticate
from broadcaster.config import Config, Mailbox
from broadcaster.diagnosis import Finding, fine, found
from broadcaster.dkim import Key
from broadcaster.errors import BroadcasterError, MailboxUnavailable, NotFound
from broadcaster.inbox import Lasting
from broadcaster.links import TOKEN_LENGTH
from broadcaster.relay import Relay
from broadcaster.resolver import Resolver
from broadcaster.visit import Visit, visit
from broadcaster.workspace import Workspace

# seconds for each of the looks at the outside world, and for all of the questions to the DNS
EACH: Final = 30.0
# seconds that our clock may differ from another's
APART: Final = 60
# a token of nobody's: no signature is all letters a, so nobody leaves by it
NOBODY: Final = "a" * TOKEN_LENGTH


@dataclass(frozen=True, slots=True)
class Hands:
    """What a round works with. `visits` and `inboxes` are opened here, and closed."""

    workspace: Workspace
    visit: Callable[[Relay], Visit]
    inbox: Callable[[Mailbox], Lasting]
    resolver: Resolver
    outward: Callable[[], str]
    key: Callable[[], Key | None]
    clock: Callable[[], float]


def outside(hands: Hands, config: Config) -> list[Finding]:
    """Relays, DNS, mailboxes and the leave link, all at once."""
    beside = [_Aside(partial(_mailbox, hands, of)) for of in config.returns.mailboxes]
    clicked = _Aside(partial(_one_click, config, hands.clock())) if config.links.one_click else None
    findings = list(_returns(config))
    if not config.rehearsal:
        findings += asyncio.run(_network(hands, config))
    until = time.monotonic() + EACH
    for of, each in zip(config.returns.mailboxes, beside, strict=True):
        findings += each.wait(until, found("mailbox", of.url, "did not answer in time", away=True))
    if clicked is not None:
        findings += clicked.wait(until, found("one-click-away", config.links.site, "did not answer in time", away=True))
    return findings


async def _network(hands: Hands, config: Config) -> list[Finding]:
    findings: list[Finding] = []
    key = None
    with suppress(BroadcasterError):  # `dkim-key` tells
        key = hands.key()
    sender = Sender(config, key, hands.resolver, hands.outward)
    size, now = upkeep.largest(hands.workspace), int(hands.clock())
    looks = [
        _bounded(
            visit(relay, config, hands.visit(relay), largest=size, now=now),
            found("relay-silent", f"relays.{relay.name}", "did not answer in time", away=True),
        )
        for relay in config.relays
        if not relay.rehearsal
    ]
    late = found("dns", "DNS", f"our questions were not answered within {EACH:g} s")
    for told in await asyncio.gather(*looks, _bounded(authenticate(sender), late)):
        findings += told
    return findings


async def _bounded(look: Awaitable[list[Finding]], late: Finding) -> list[Finding]:
    try:
        return await asyncio.wait_for(look, EACH)
    except TimeoutError:
        return [late]


class _Aside:
    """A look that blocks, in a thread of its own that holds up neither the others nor the end of the process."""

    def __init__(self, look: Callable[[], list[Finding]]) -> None:
        self._told: list[Finding] | None = None
        self._failed: BaseException | None = None
        self._look = look
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._told = self._look()
        except BaseException as error:
            self._failed = error

    def wait(self, until: float, late: Finding) -> list[Finding]:
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._failed is not None:
            raise self._failed
        return [late] if self._told is None else self._told


# what comes back


def _returns(config: Config) -> Iterator[Finding]:
    boxes, path = config.returns.mailboxes, config.returns.return_path
    if not boxes:
        yield found("mailbox-none", "returns.mailboxes", "names no mailbox: nobody reads bounces and wishes to leave")
    elif path is not None and not config.rehearsal:
        marked = f"{path.local}+TOKEN@{path.domain}" if config.returns.verp != "off" else str(path)
        yield found(
            "mailbox-unknown", str(path), f"whether mail to {marked} ends in a mailbox of ours only mail can show"
        )


def _mailbox(hands: Hands, of: Mailbox) -> list[Finding]:
    inbox = hands.inbox(of)
    try:
        inbox.look()
    except NotFound as error:
        return [fine("mailbox", of.url, f"{error.message}: {error.hint}")]
    except BroadcasterError as error:
        away = isinstance(error, MailboxUnavailable)
        return [found("mailbox", of.url, error.message, error.hint or "", away=away)]
    finally:
        inbox.close()
    return [fine("mailbox", of.url, "can be opened and read")]


# how people leave


def _one_click(config: Config, now: float) -> list[Finding]:
    link = f"{config.links.site}/leave/{NOBODY}"
    answer = probe.post(link, "List-Unsubscribe=One-Click")
    if answer.why:
        return [found("one-click-away", config.links.site, answer.why, away=True)]
    findings = list(_hour(answer.date, now))
    if 300 <= answer.status < 400:
        where = f" to {answer.elsewhere[:200]}" if answer.elsewhere else ""
        return [*findings, found("one-click", link, f"leads on{where} ({answer.status})")]
    findings.append(fine("one-click", link, "leads nowhere else"))
    # it may well refuse a token that is none
    if answer.status < 300 or answer.status in (400, 403, 410, 422):
        return [*findings, fine("one-click-answer", link, f"answers a POST ({answer.status})")]
    what = f"answers a POST with {answer.status}"
    return [*findings, found("one-click-answer", link, what)]


def _hour(date: str, now: float) -> Iterator[Finding]:
    """What the clock of our web server says of ours."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(UTC).timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    apart = now - theirs
    if abs(apart) > APART:
        which = "ahead of" if apart > 0 else "behind"
        yield found("clock", "clock", f"is {abs(apart) / 60:,.0f} min {which} the clock of links.site")
    else:
        yield fine("clock", "clock", "agrees with that of links.site")
