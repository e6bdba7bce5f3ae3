"""A relay looked at: reached, logged in to, asked about a return path, and left. Nobody is named, nothing is sent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from broadcaster.config import Config
from broadcaster.delivery import Answer, Reply, Silence, Stage, told
from broadcaster.diagnosis import Finding, fine, found
from broadcaster.errors import BroadcasterError
from broadcaster.links import TOKEN_LENGTH, marked
from broadcaster.relay import Relay, is_loopback
from broadcaster.transports.smtp import SmtpTransport, Timeouts

# seconds in each phase: a person waits
PATIENCE: Final = Timeouts(connect=8.0, hello=8.0, mail=8.0, quit=1.0)
# a certificate that ends in so many seconds is told
SOON: Final = 21 * 86_400
# of a copy that does not exist: as long as the longest
_TOKEN: Final = "a" * TOKEN_LENGTH

# extension → the rule that tells of it, what works, what does not
_EXTENSIONS: Final = {
    "pipelining": ("relay-pipelining", "takes several commands at once", "takes one command at a time"),
    "smtputf8": ("relay-8bit", "takes addresses in any script", "takes no addresses with letters of other scripts"),
    "dsn": ("relay-dsn", "tells what becomes of copies (DSN)", "does not offer DSN"),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a relay offers, by name in small letters; until when its certificate is valid (epoch seconds, 0: none)."""

    offers: dict[str, str]
    until: int
    answer: Answer  # to MAIL FROM


class Visit(SmtpTransport):
    """A connection that carries nothing."""

    async def look(self, path: str) -> Seen | Answer:
        """Open it, offer a return path, take that back. An answer: so far it came, and no further."""
        if (trouble := await self.open()) is not None:
            return trouble
        pipe = self._pipe
        assert pipe is not None
        replies = await pipe.ask(f"MAIL FROM:<{path}>\r\n".encode(), 1, self._timeouts.mail)
        answer: Answer = Silence(after_dot=False, why=pipe.lost)
        if replies:
            answer = Reply(Stage.MAIL, replies[0][0], replies[0][1].decode("utf-8", "replace").strip()[:300])
        seen = Seen(dict(self._offers), self._until(), answer)
        await pipe.ask(b"RSET\r\n", 1, self._timeouts.mail)
        return seen

    def _until(self) -> int:
        assert self._pipe is not None
        secure: ssl.SSLObject | None = self._pipe.transport.get_extra_info("ssl_object")
        certificate = secure.getpeercert() if secure is not None else None
        return int(ssl.cert_time_to_seconds(str(certificate["notAfter"]))) if certificate else 0


def offered_path(config: Config, relay: Relay) -> str:
    """What MAIL FROM will hold, with the mark of a copy that does not exist where copies are marked."""
    base = str(config.returns.return_path or config.sender.address)
    return marked(base, _TOKEN) if config.marks(relay) else base


async def visit(relay: Relay, config: Config, through: Visit, *, largest: int, now: int) -> list[Finding]:
    """All that can be seen of a relay. `largest`: octets of the largest statement as a message."""
    name = f"relays.{relay.name}"
    plain = list(_plaintext(relay, name))
    try:
        seen = await through.look(path := offered_path(config, relay))
    except BroadcasterError as error:
        # a password that is not where it should be
        return [*plain, found("relay-login", name, str(error), error.hint or "")]
    finally:
        await through.close()
    if not isinstance(seen, Seen):
        return [*plain, _unreached(seen, name)]
    return [*plain, *_seen(seen, relay, name, config.marks(relay), path, largest, now)]


def _plaintext(relay: Relay, name: str) -> Iterator[Finding]:
    if relay.kind == "smtp" and relay.tls == "none" and not is_loopback(relay.host):
        yield found("relay-plaintext", name, f"speaks to {relay.host} in the clear")


def _unreached(answer: Answer, name: str) -> Finding:
    words = told(answer)
    if isinstance(answer, Silence):
        unknown = "this name is not known" in answer.why
        return found("relay-name" if unknown else "relay-silent", name, words, away=True)
    if answer.stage is Stage.AUTH:
        # 4yz: the login itself could not be asked now
        return found("relay-login", name, f"refused the login: {words}", away=answer.code < 500)
    if answer.status in ("5.7.4", "5.7.5"):
        return found("relay-tls", name, words.partition(" ")[2].partition(" ")[2])
    return found("relay-refuses", name, f"said {words}", away=answer.code < 500)


def _seen(seen: Seen, relay: Relay, name: str, marks: bool, path: str, largest: int, now: int) -> Iterator[Finding]:
    yield fine("relay-silent", name, f"{relay.host}:{relay.port} answers")
    if relay.user:
        yield fine(
            "relay-login", name, f"takes user and {'token' if relay.secret and relay.secret.token else 'password'}"
        )
    if seen.until:
        days = (seen.until - now) // 86_400
        yield fine("relay-tls", name, "has a valid certificate")
        if seen.until - now < SOON:
            yield found("relay-expiry", name, f"its certificate ends in {days} days")
        else:
            yield fine("relay-expiry", name, f"its certificate is valid for {days:,} days more")
    for extension, (rule, well, ill) in _EXTENSIONS.items():
        yield fine(rule, name, well) if extension in seen.offers else found(rule, name, ill)
    most = seen.offers.get("size", "")
    size = int(most) if most.isascii() and most.isdigit() else 0
    if 0 < size < largest:
        said = f"takes {size / 1e6:,.1f} MB, and our largest statement has about {largest / 1e6:,.1f}"
        yield found("relay-size", name, said)
    else:
        yield fine("relay-size", name, f"takes messages of {size / 1e6:,.1f} MB" if size else "names no largest size")
    how = "a marked return path" if marks else "our return path"
    if isinstance(seen.answer, Reply) and seen.answer.code // 100 == 2:
        yield fine("relay-return-path", name, f"takes {how}")
    elif isinstance(seen.answer, Reply):
        yield found(
            "relay-return-path", name, f"refuses {how}, {path}: {told(seen.answer)}", away=seen.answer.code < 500
        )
    else:
        yield found("relay-silent", name, f"hung up at {how}: {told(seen.answer)}", away=True)
    if relay.own_return_path:
        yield found("relay-own-path", name, f"{relay.host} writes a return path of its own, or of the account")
