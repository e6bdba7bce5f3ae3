"""The DNS, as `doctor` asks it: texts, mail hosts, addresses and reverse names, each question once and not for long.

"There is nothing" and "nobody answered" are two answers: the first is a fact to mend, of the second nothing follows.
dnspython is imported when the first question is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver as Asker

# seconds for one question, all tries of it together
PATIENCE: Final = 5.0
# questions in all: names of others decide whom we ask next
MOST: Final = 400


class MailHost(NamedTuple):
    """An MX. An empty host takes no mail (RFC 7505)."""

    preference: int
    host: str


class Resolver:
    """Asks the servers of this machine, or those given. Every answer is None where nobody answered."""

    def __init__(self, servers: Sequence[str] = (), port: int = 53, *, patience: float = PATIENCE) -> None:
        self._servers, self._port = list(servers), port
        self._patience = patience
        self._asker: Asker | None = None
        self._asked: dict[tuple[str, str], asyncio.Future[list[str] | None]] = {}
        self.unheard: list[str] = []  # the questions that nobody answered

    async def texts(self, name: str) -> Sequence[str] | None:
        """The TXT records of a name, each in one piece."""
        return await self._ask(name, "TXT")

    async def mail(self, name: str) -> Sequence[MailHost] | None:
        """The MX records of a name, the first choice first."""
        lines = await self._ask(name, "MX")
        if lines is None:
            return None
        found = (line.partition(" ") for line in lines)
        return sorted(MailHost(int(preference), host.rstrip(".")) for preference, _, host in found)

    async def addresses(self, name: str) -> Sequence[str] | None:
        """The IPv4 and IPv6 addresses of a name."""
        four, six = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        return None if four is None and six is None else [*(four or ()), *(six or ())]

    async def names(self, address: str) -> Sequence[str] | None:
        """The reverse names of an address."""
        from dns.reversename import from_address

        lines = await self._ask(from_address(address).to_text(omit_final_dot=True), "PTR")
        return None if lines is None else [line.rstrip(".") for line in lines]

    async def _ask(self, name: str, kind: str) -> list[str] | None:
        """The records as text; the same question is asked once, whoever asks it."""
        key = name.lower().rstrip("."), kind
        if key not in self._asked:
            if len(self._asked) >= MOST:
                return None
            future = self._asked[key] = asyncio.get_running_loop().create_future()
            answer = None
            try:
                answer = await self._answered(*key)
            finally:
                future.set_result(answer)
            if answer is None:
                self.unheard.append(f"{kind} {key[0]}")
        return await asyncio.shield(self._asked[key])

    async def _answered(self, name: str, kind: str) -> list[str] | None:
        from dns.exception import DNSException
        from dns.name import from_text
        from dns.rdatatype import RdataType
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            target = from_text(name)
        except (DNSException, UnicodeError):
            return []  # what cannot be a name has no records
        try:
            answer = await self._resolver().resolve(target, RdataType.make(kind), search=False)
        except (NXDOMAIN, NoAnswer):
            return []
        except (DNSException, OSError):
            return None
        if kind == "TXT":
            return [b"".join(each.strings).decode("utf-8", "replace") for each in answer]
        return [each.to_text() for each in answer]

    def _resolver(self) -> Asker:
        from dns.asyncresolver import Resolver as Asker

        if self._asker is None:
            self._asker = Asker(configure=not self._servers)
            if self._servers:
                self._asker.nameservers = self._servers
                self._asker.port = self._port
            self._asker.timeout = self._patience / 2
            self._asker.lifetime = self._patience
        return self._asker


def outward() -> str:
    """The address that this machine shows to the internet, "" where it cannot be seen from here. Nothing is sent."""
    import ipaddress
    import socket

    for family, target in ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                # of a datagram, this only looks up the way that it would take
                asked.connect((target, 9))
                address = asked.getsockname()[0]
        except OSError:
            continue
        if ipaddress.ip_address(address).is_global:
            return str(address)
    return ""
