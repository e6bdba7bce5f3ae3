"""The mail that tells staff how a mailing ended and what is wrong: news → one letter, in their language.

It holds figures and what to do, and nobody's address: a mailbox of staff is easier to come by than a list.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from broadcaster import encoding, headers
from broadcaster import language as tags
from broadcaster.delivery import State
from broadcaster.mailing import Mailing
from broadcaster.steps import TEXTS, Step


class Kind(StrEnum):
    """What staff are told of."""

    FINISHED = "Mailing %(mailing)s, %(statement)s, is finished"
    PAUSED = "Mailing %(mailing)s, %(statement)s, was stopped: something is wrong"
    HELD = "Mailing %(mailing)s, %(statement)s, is held"
    DOUBT = "Mailing %(mailing)s, %(statement)s: some may have got it, or not"
    MAILBOX = "A mailbox cannot be read: %(place)s"
    RELAY = "A mail server does not take our mail: %(place)s"


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened, or is wrong. `event` names it; times are epoch seconds.

    `place`: the relay or mailbox that is meant; `until`: when it was over.
    """

    event: str
    kind: Kind
    at: int
    of: Mailing | None = None
    steps: Sequence[Step] = ()
    place: str = ""
    why: str = ""
    until: int | None = None


_LABELS: Final = {
    State.ACCEPTED: "accepted by the mail server",
    State.REJECTED: "refused by the mail server",
    State.BOUNCED: "came back",
    State.SUPPRESSED: "left meanwhile, or must not be mailed",
    State.SKIPPED: "could not be written",
    State.EXPIRED: "too late",
    State.CANCELLED: "cancelled",
    State.DEFERRED: "to be tried again",
    State.IN_DOUBT: "in doubt",
}
_WAITING: Final = "waiting"
_PEOPLE: Final = "people"
_WHY: Final = "Why"
_WHEN: Final = "When"
_SINCE: Final = "Since"
_UNTIL: Final = "Until"
_TO_DO: Final = "What to do"
_NOTHING: Final = "Nothing is to be done."
_MAILBOX: Final = (
    "What came back, and who wishes to leave, is not heard of meanwhile. `broadcaster collect` tries now, and says what"
    " is wrong."
)
_RELAY: Final = "Nobody is lost: what waits is tried again. If it lasts, ask whoever keeps that mail server."
_FOOTER: Final = (
    "broadcaster wrote this for the staff of %(sender)s. It holds figures, and nobody's address. `broadcaster status`"
    " tells more."
)
# everything that a catalogue should say
WORDS: Final = (
    *(kind.value for kind in Kind),
    *_LABELS.values(),
    *(_WAITING, _PEOPLE, _WHY, _WHEN, _SINCE, _UNTIL, _TO_DO, _NOTHING, _MAILBOX, _RELAY, _FOOTER),
    *TEXTS,
)
# a reply of a relay that ends a reason: of its words only the codes, for they may quote a person
_QUOTED: Final = re.compile(r": (\d{3}(?: \d\.\d{1,3}\.\d{1,3})?)\b.*", re.DOTALL)
_ADDRESS: Final = re.compile(r"\S*@\S*")
_COMMAND: Final = re.compile(r"`([^`]*)`")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads it: the language, its words, and how a time (epoch seconds) is written there."""

    tag: str
    words: Callable[[str], str]
    when: Callable[[int], str]

    def number(self, value: int) -> str:
        return tags.number(value, self.tag)


@dataclass(frozen=True, slots=True)
class Section:
    """One of the news, as it is read."""

    heading: str
    rows: Sequence[tuple[str, str]]
    to_do: Sequence[str]


def safe(reason: str) -> str:
    """Why a mailing stands still, without the words of a relay, and without any address."""
    return _ADDRESS.sub("…", _QUOTED.sub(r": \1", _line(reason)))


def _line(text: str) -> str:
    """Foreign text on one line, without signs that end it or turn it about."""
    return " ".join("".join(c if c.isprintable() or c in "\u200c\u200d" else " " for c in text).split())


def section(news: News, reader: Reader) -> Section:
    """One of the news in the words of its reader."""
    of = news.of
    gaps = {"place": _line(news.place)}
    if of is not None:
        gaps |= {"mailing": str(of.id), "statement": _line(of.statement)}
    to_do = [each.said(reader.when, reader.number, reader.words) for each in news.steps]
    if news.kind in (Kind.MAILBOX, Kind.RELAY) and news.until is None:
        to_do = [reader.words(_MAILBOX if news.kind is Kind.MAILBOX else _RELAY)]
    rows = [(label[:1].upper() + label[1:], value) for label, value in _rows(news, reader)]
    return Section(reader.words(news.kind.value) % gaps, rows, to_do)


def _rows(news: News, reader: Reader) -> Iterator[tuple[str, str]]:
    words = reader.words
    if why := safe(news.why):
        yield words(_WHY), why
    yield words(_WHEN if news.of is not None else _SINCE), reader.when(news.at)
    if news.until is not None:
        yield words(_UNTIL), reader.when(news.until)
    if (of := news.of) is None:
        return
    yield words(_PEOPLE), reader.number(of.audience)
    told = {words(label): of.tally.get(state, 0) for state, label in _LABELS.items()}
    told[words(_WAITING)] = sum(of.tally.get(state, 0) for state in (State.PENDING, State.CLAIMED, State.HANDED))
    for label, number in told.items():
        if number:
            yield label, reader.number(number)


def subject(sections: Sequence[Section]) -> str:
    """The first of the news, and how many more there are."""
    more = f" (+{len(sections) - 1})" if len(sections) > 1 else ""
    return sections[0].heading + more


def text(sections: Sequence[Section], reader: Reader, sender: str) -> str:
    """The plain part. A command keeps its order among words that run the other way."""
    mark = "\u200e" if tags.direction(reader.tag) == "rtl" else ""
    command = rf"{mark}`\1`{mark}"
    lines: list[str] = []
    for each in sections:
        lines += [each.heading, ""]
        lines += [f"  {label}: {value}" for label, value in each.rows]
        if each.to_do:
            lines += ["", f"{reader.words(_TO_DO)}:"]
            lines += [f"  - {_COMMAND.sub(command, do)}" for do in each.to_do]
        else:
            lines += ["", reader.words(_NOTHING)]
        lines += ["", ""]
    lines += ["-- ", _COMMAND.sub(command, reader.words(_FOOTER) % {"sender": sender})]
    return "\n".join(lines) + "\n"


_CELL: Final = "padding:6px 0;border-bottom:1px solid #d9d6cf"
_STYLE: Final = {
    "body": "margin:0;padding:24px 16px;font:16px/1.6 'Segoe UI',Tahoma,Arial,sans-serif;color:#1d2327;background:#fff",
    "page": "max-width:640px;margin:0 auto",
    "h2": "margin:0 0 12px;font-size:20px;line-height:1.4",
    "table": "border-collapse:collapse;width:100%;margin:0 0 16px",
    "th": f"width:40%;{_CELL};padding-inline-end:16px;font-weight:normal;color:#5b6168",
    "td": _CELL,
    "h3": "margin:0 0 4px;font-size:16px",
    "ul": "margin:0 0 36px;padding:0;padding-inline-start:20px",
    "p": "margin:0 0 36px",
    "code": "font-family:Consolas,Menlo,monospace;font-size:14px;background:#f2f0eb;padding:1px 4px",
    "footer": "border-top:1px solid #d9d6cf;padding-top:12px;font-size:14px;color:#5b6168",
}


def page(sections: Sequence[Section], reader: Reader, sender: str) -> str:
    """The HTML part: no image, no link, no style that a mail program must know."""
    way = tags.direction(reader.tag)
    start = "right" if way == "rtl" else "left"
    parts = [
        f'<!DOCTYPE html>\n<html lang="{reader.tag}" dir="{way}"><head><meta charset="utf-8">',
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(subject(sections))}</title></head>\n',
        f'<body dir="{way}" style="{_STYLE["body"]};text-align:{start}"><div style="{_STYLE["page"]}">\n',
    ]
    for each in sections:
        parts.append(f'<h2 style="{_STYLE["h2"]}">{_marked(each.heading)}</h2>\n<table style="{_STYLE["table"]}">\n')
        parts += [
            f'<tr><th scope="row" align="{start}" style="{_STYLE["th"]}">{_marked(label)}</th>'
            f'<td align="{start}" style="{_STYLE["td"]}"><bdi>{html.escape(value)}</bdi></td></tr>\n'
            for label, value in each.rows
        ]
        parts.append("</table>\n")
        if each.to_do:
            items = "".join(f"<li>{_marked(do)}</li>" for do in each.to_do)
            parts.append(f'<h3 style="{_STYLE["h3"]}">{_marked(reader.words(_TO_DO))}</h3>\n')
            parts.append(f'<ul style="{_STYLE["ul"]}">{items}</ul>\n')
        else:
            parts.append(f'<p style="{_STYLE["p"]}">{_marked(reader.words(_NOTHING))}</p>\n')
    footer = _marked(reader.words(_FOOTER) % {"sender": sender})
    parts.append(f'<p style="{_STYLE["footer"]}">{footer}</p>\n</div></body></html>\n')
    return "".join(parts)


def _marked(words: str) -> str:
    """Words as HTML, with commands that keep their order."""
    code = rf'<code dir="ltr" style="{_STYLE["code"]}">\1</code>'
    return _COMMAND.sub(code, html.escape(words, quote=False))


def message(
    sections: Sequence[Section], reader: Reader, *, sender: tuple[str, str], to: str, identity: str, at: int
) -> bytes:
    """The whole mail: CRLF, no line with a dot first. `sender`: name and address; `identity`: of its Message-ID.

    Nobody and nothing should answer it (RFC 3834 §5), and there is no list to leave. Raises StatementError.
    """
    name, address = sender
    mark = f"=_{identity[:32]}"
    head = (
        headers.date(at)
        + headers.mailbox("From", name, address)
        + headers.mailbox("To", "", to)
        + headers.unstructured("Subject", subject(sections))
        + headers.raw("Message-ID", f"<{identity}@{address.rpartition('@')[2]}>")
        + headers.raw("Content-Language", reader.tag)
        + "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n"
        + f'Content-Type: multipart/alternative; boundary="{mark}"\r\n\r\n'
    ).encode()
    for subtype, body in (("plain", text(sections, reader, name)), ("html", page(sections, reader, name))):
        head += (
            f'--{mark}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        ).encode()
        head += encoding.lines64(body.replace("\n", "\r\n").encode()).encode()
    return head + f"--{mark}--\r\n".encode()
