"""Whether links answer. Asked for by a person, never when sending; what is private is not asked at all.

An address in a statement may have come from anywhere, so this is no way into our network: http and https only, each
name resolved once and only public addresses of it spoken to, each redirection looked at anew, little read.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

# seconds for one answer, and for all
PATIENCE: Final = 8.0
ALTOGETHER: Final = 60.0
MOST: Final = 200
_AT_ONCE: Final = 8
_REDIRECTS: Final = 5
_QUERY: Final = "/%:@!$&'()*+,;=?~-._"
_GONE: Final = frozenset([404, 410])
# some servers answer HEAD wrongly, or not at all
_AGENT: Final = "Mozilla/5.0 (compatible; broadcaster link check)"
# RFC 6052 and RFC 3056: addresses that carry an IPv4 address within
_CARRIERS: Final = ((ipaddress.ip_network("64:ff9b::/96"), 0), (ipaddress.ip_network("2002::/16"), 80))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a link. `dead`: surely; else, where `why` says something, perhaps."""

    why: str = ""
    dead: bool = False


class _Unreachable(Exception):
    """Not asked, or no answer: why, and whether that is for good."""

    def __init__(self, why: str, *, dead: bool = False) -> None:
        super().__init__(why)
        self.answer = Answer(why, dead)


def public(address: str) -> bool:
    """Whether an IP address is on the open internet: not of this machine, its network, or anything in between."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        for network, shift in _CARRIERS:
            if ip in network:
                inner = ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)
        if inner is not None:
            return public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def probe(
    links: Iterable[str],
    *,
    allowed: Callable[[str], bool] = public,
    patience: float = PATIENCE,
    altogether: float = ALTOGETHER,
) -> Mapping[str, Answer]:
    """Ask each link once. Never raises; what was not answered in time says so."""
    asked = list(dict.fromkeys(links))
    answers = {link: Answer(f"not asked: more than {MOST} links") for link in asked[MOST:]}
    answers |= {link: Answer("no answer in time") for link in asked[:MOST]}
    until = time.monotonic() + altogether
    waiting = iter(asked[:MOST])

    def work() -> None:
        # next() of a list's iterator is one step: no two threads get the same link
        for link in waiting:
            answers[link] = _asked(link, allowed, patience, until)

    # as daemons: a server that sends a letter a minute must not keep the program from ending
    threads = [threading.Thread(target=work, daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(answers)


@dataclass(frozen=True, slots=True)
class Posted:
    """What was answered to a POST: a status, where it leads on, its Date; or why there was no answer."""

    status: int = 0
    elsewhere: str = ""
    date: str = ""
    why: str = ""


def post(link: str, body: str, *, patience: float = PATIENCE) -> Posted:
    """Post a form to an address of ours, and follow nothing. Never raises."""
    try:
        answer = _spoken(link, "POST", lambda _: True, patience, body)
    except (OSError, http.client.HTTPException, ValueError, _Unreachable) as error:
        return Posted(why=_why(error).why)
    return Posted(answer.status, _utf8(answer.getheader("Location") or ""), answer.getheader("Date") or "")


def _asked(link: str, allowed: Callable[[str], bool], patience: float, until: float) -> Answer:
    try:
        for _ in range(_REDIRECTS + 1):
            status, elsewhere = _status(link, "HEAD", allowed, min(patience, until - time.monotonic()))
            if status >= 400:
                status, elsewhere = _status(link, "GET", allowed, min(patience, until - time.monotonic()))
            if not (300 <= status < 400 and elsewhere):
                return _told(status)
            link = urljoin(link, elsewhere)
    except (OSError, http.client.HTTPException, ValueError, _Unreachable) as error:
        return _why(error)
    return Answer(f"it leads on more than {_REDIRECTS} times")


def _why(error: Exception) -> Answer:
    return error.answer if isinstance(error, _Unreachable) else Answer(_said(error))


def _said(error: Exception) -> str:
    """What went wrong, in words that need no protocol."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case TimeoutError():
            return "no answer in time"
        case http.client.RemoteDisconnected() | ConnectionError():
            return (
                "no answer: the server hung up" if not isinstance(error, ConnectionRefusedError) else "nobody is there"
            )
        case ssl.SSLError():
            return "no answer: its server does not speak https as it should"
        case http.client.HTTPException():
            return "what answers is no web server, or a broken one"
        case OSError():
            return f"no answer: {(error.strerror or 'the network failed').lower()}"
    return "is no address that can be asked"


def _told(status: int) -> Answer:
    if status in _GONE:
        return Answer(f"the page is not there ({status})", dead=True)
    return Answer() if status < 400 else Answer(f"it answers {status} {http.client.responses.get(status, '')}".rstrip())


def _status(link: str, verb: str, allowed: Callable[[str], bool], patience: float) -> tuple[int, str]:
    """The status of one answer, and where it sends us."""
    answer = _spoken(link, verb, allowed, patience)
    return answer.status, _utf8(answer.getheader("Location") or "")


def _spoken(
    link: str, verb: str, allowed: Callable[[str], bool], patience: float, body: str | None = None
) -> http.client.HTTPResponse:
    """The head of one answer. The connection goes to the address that was looked at."""
    if patience <= 0:
        raise TimeoutError
    parts = urlsplit(link)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise _Unreachable("it leads on to what is no web page", dead=False)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    raw = socket.create_connection((_resolved(host, port, allowed), port), timeout=patience)
    # a server that sends a letter a second is never silent
    late = threading.Event()
    timer = threading.Timer(patience, lambda: _hang_up(raw, late))
    timer.daemon = True
    timer.start()
    try:
        if secure:
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        connection = http.client.HTTPConnection(host, port, timeout=patience)
        connection.sock = raw
        path = quote(parts.path or "/", safe=_QUERY) + ("?" + quote(parts.query, safe=_QUERY) if parts.query else "")
        headers = {"User-Agent": _AGENT, "Accept": "*/*", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(verb, path, body, headers)
        return connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        raw.close()


def _hang_up(connection: socket.socket, late: threading.Event) -> None:
    late.set()  # first: who reads wakes up at once, and asks why
    with suppress(OSError):
        # of the socket below TLS, which another thread is reading
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _utf8(header: str) -> str:
    """A header that holds letters as they are, which http.client reads as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _resolved(host: str, port: int, allowed: Callable[[str], bool]) -> str:
    try:
        found = socket.getaddrinfo(host.encode("idna").decode(), port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        gone = error.errno == socket.EAI_NONAME
        raise _Unreachable(f"there is no {host}" if gone else f"{host} is not found now", dead=gone) from None
    except UnicodeError:
        raise _Unreachable(f"{host[:60]} is no host's name", dead=True) from None
    addresses = [str(each[4][0]) for each in found]
    # one private address among them is enough: the next answer may be that one
    if not addresses or not all(map(allowed, addresses)):
        raise _Unreachable("it is in a private network: not asked")
    return addresses[0]
