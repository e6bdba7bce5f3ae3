"""A DNS server on loopback, over UDP and TCP, for a zone that a test writes down; it knows nothing else.

with serving({("water.example", "TXT"): ["v=spf1 mx ~all"]}) as port:
    ...
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

# name and type → values; of TXT the text, of others as a zone has them. None: no answer at all. "FAIL": SERVFAIL
Zone = Mapping[tuple[str, str], Sequence[str] | None]
# what fits into a datagram; more is asked for again over TCP
ROOM = 1232


@contextlib.contextmanager
def serving(zone: Zone) -> Iterator[int]:
    """The port of a server for a zone, which may be changed while it runs."""
    while True:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            datagrams.bind(("127.0.0.1", port))
            break
        except OSError:
            listener.close()
            datagrams.close()
    threading.Thread(target=_hear, args=(datagrams, zone), daemon=True).start()
    threading.Thread(target=_accept, args=(listener, zone), daemon=True).start()
    try:
        yield port
    finally:
        # closing alone wakes nobody who reads
        for each in (datagrams, listener):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _hear(datagrams: socket.socket, zone: Zone) -> None:
    with contextlib.suppress(OSError):
        while True:
            octets, sender = datagrams.recvfrom(65_535)
            if not octets:
                return
            answer = _answer(octets, zone)
            if answer is None:
                continue
            wire = answer.to_wire()
            if len(wire) > ROOM:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
                wire = answer.to_wire()
            datagrams.sendto(wire, sender)


def _accept(listener: socket.socket, zone: Zone) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError, struct.error):
                stream = client.makefile("rb")
                (size,) = struct.unpack("!H", stream.read(2))
                if (answer := _answer(stream.read(size), zone)) is not None:
                    wire = answer.to_wire(max_size=65_535)
                    client.sendall(struct.pack("!H", len(wire)) + wire)


def _answer(octets: bytes, zone: Zone) -> dns.message.Message | None:
    asked = dns.message.from_wire(octets)
    question = asked.question[0]
    name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
    answer = dns.message.make_response(asked)
    if (name, kind) not in zone:
        if not any(other == name or other.endswith(f".{name}") for other, _ in zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
    values = zone[name, kind]
    if values is None:
        return None
    if values == ["FAIL"]:
        answer.set_rcode(dns.rcode.SERVFAIL)
        return answer
    if values:
        rows = [_quoted(value) for value in values] if kind == "TXT" else values
        found = [dns.rdata.from_text(dns.rdataclass.IN, question.rdtype, row) for row in rows]
        answer.answer.append(dns.rrset.from_rdata_list(question.name, 60, found))
    return answer


def _quoted(text: str) -> str:
    """A text in pieces of 255, as zones have them."""
    escaped = [text[at : at + 255].replace("\\", "\\\\").replace('"', '\\"') for at in range(0, len(text), 255)]
    return " ".join(f'"{piece}"' for piece in escaped or [""])
