"""Merge template → Program; Program and recipient → the bytes of one message, ready for SMTP.

Compiling does once what does not depend on the recipient: it parses, encodes and folds. A copy is then
little more than a join of finished text: some thirty microseconds for 30 kB. `plain` makes
the same copy the slow way; that both agree is the law that the tests of this room are about.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, NamedTuple

from broadcaster import encoding, headers
from broadcaster.errors import StatementError
from broadcaster.links import mailto
from broadcaster.merge import PLACES, ROOTS, MergeTemplate, as_header
from broadcaster.subscriber import Subscriber

# what a copy may grow to: a field of a megabyte in a loop is an accident
_COPY_LIMIT: Final = 5_000_000
# How mail programs should open a file; the system's own table differs from machine to machine.
_TYPES: Final[Mapping[str, str]] = {
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "gif": "image/gif",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "webp": "image/webp",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the HTML shows as `cid:` and its Content-ID."""

    name: str
    kind: str  # MIME type
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """What every copy's header has in common. `name` is the sender's in the language of the part."""

    name: str
    address: str  # ASCII domain
    reply_to: str = ""
    prefix: str = ""  # before the subject: "[Test] "
    files: Mapping[str, bytes] = field(default_factory=dict)  # attachments by name
    images: Mapping[str, Image] = field(default_factory=dict)  # by Content-ID, without <>


class Copy(NamedTuple):
    """One recipient's copy."""

    subscriber: Subscriber
    list_title: str  # in the language of the part
    list_id: str  # "news.example.org", without <>
    list_name: str
    message_id: str  # "<left@right>"
    leave: str  # the URI behind links.leave
    unsubscribe: tuple[str, ...]  # URIs of List-Unsubscribe, the most preferred first, without <>
    date: int  # seconds since the epoch, UTC
    web_copy: str = ""
    mailing: int = 0  # its number; 0: a copy that is in none
    files: tuple[tuple[str, bytes], ...] = ()  # attachments of this copy alone: name, content
    one_click: bool = False  # the first of `unsubscribe` is https and takes a POST (RFC 8058)


class Rendered(NamedTuple):
    """What a person sees: by plain Jinja, for eyes and tests."""

    subject: str
    preheader: str
    html: str
    text: str


class Program:
    """A compiled message. Not for several threads at once: its Jinja counts what it spends."""

    def __init__(self, merge: MergeTemplate, mail: Mail) -> None:
        self._file = merge.file
        self._names = _Names()
        self._subject = _subject(merge, mail, self._names)
        self._text = _Part(merge.text, merge.language, self._names)
        self._html = _Part(merge.html, merge.language, self._names)
        # what is the same in every copy, from the top to the bottom
        self._from = headers.mailbox("From", mail.name, mail.address)
        if mail.reply_to:
            self._from += headers.mailbox("Reply-To", "", mail.reply_to)
        # "=_" is in no quoted-printable and no base64, so no line of a part can be a boundary (RFC 2045 §6.7)
        mark = hashlib.sha256(merge.to_json().encode()).hexdigest()[:20]
        inner, outer = f"=_{mark}.a", f"=_{mark}.m"
        alternative = f'Content-Type: multipart/alternative; boundary="{inner}"\r\n'
        self._mixed = f'Content-Type: multipart/mixed; boundary="{outer}"\r\n\r\n--{outer}\r\n'
        office = mailto(mail.reply_to or mail.address)
        self._mime = (
            headers.uris("List-Help", (f"{office}?subject=help",))
            + headers.uris("List-Owner", (office,))
            + "List-Post: NO\r\n"  # RFC 2369 §3.4: nobody but us writes to the list
            + headers.raw("Content-Language", merge.language)
            + "X-Auto-Response-Suppress: OOF, AutoReply\r\nMIME-Version: 1.0\r\n"
        )
        self._top = f"{alternative}\r\n--{inner}\r\n{_part_head('plain', self._text.encoding)}"
        html = _part_head("html", self._html.encoding)
        related, images = _related(f"=_{mark}.r", mail.images)
        self._between = f"\r\n--{inner}\r\n{related}{html}"
        self._files = b"".join(_attached(outer, name, content) for name, content in mail.files.items())
        self._outer = outer
        self._end = f"{images}\r\n--{inner}--\r\n"
        self._dates: tuple[int, str] = (-1, "")
        self._sender_id = sender_id(mail.address)
        self._lists: dict[tuple[str, str, int], str] = {}

    def render(self, copy: Copy) -> bytes:
        """The whole message: CRLF, 7 bit (but for a non-ASCII address), no line over 998 octets or with a dot first.

        Raises StatementError when this person's copy cannot be rendered.
        """
        try:
            names = self._names.of(copy)
            subject = self._subject(names)
            text = self._text.render(names)
            html = self._html.render(names)
            head = self._head(copy, subject)
            mixed = self._mixed if self._files or copy.files else ""
            # of text and once: its 30 kB are moved as seldom as can be
            whole = "".join([head, mixed, self._top, *text, self._between, *html, self._end])
            message = whole.encode("ascii" if copy.subscriber.address.isascii() else "utf-8")
        except StatementError as error:
            raise StatementError(error.message, where=error.where or self._file, hint=error.hint) from None
        except (MemoryError, RecursionError) as error:
            raise StatementError("takes too much memory for this person", where=self._file) from error
        except Exception as error:  # whatever a template comes to with this person's data is about this copy alone
            raise StatementError(f"cannot be written for this person: {error}"[:300], where=self._file) from error
        if len(whole) - len(self._end) > _COPY_LIMIT:
            raise StatementError(f"is longer than {_COPY_LIMIT:,} characters for this person", where=self._file)
        if not mixed:
            return message
        own = (_attached(self._outer, name, content) for name, content in copy.files)
        return b"".join([message, self._files, *own, f"--{self._outer}--\r\n".encode()])

    def _head(self, copy: Copy, subject: str) -> str:
        at, date = self._dates
        if at != copy.date:
            date = headers.date(copy.date)
            self._dates = copy.date, date
        key = (copy.list_title, copy.list_id, copy.mailing)
        if (of_list := self._lists.get(key)) is None:
            of_list = headers.mailbox("List-Id", as_header(copy.list_title), copy.list_id)
            # counts of complaints at Gmail go by these words; none may stand in two places, or name a person
            campaign = f"mailing-{copy.mailing}" if copy.mailing else "test"
            of_list += headers.raw("Feedback-ID", f"{campaign}:list-{copy.list_name}:{self._sender_id}")
            self._lists[key] = of_list
        to = headers.mailbox("To", as_header(copy.subscriber.name).strip(), copy.subscriber.address)
        message_id = headers.raw("Message-ID", copy.message_id)
        leave = headers.uris("List-Unsubscribe", copy.unsubscribe) if copy.unsubscribe else ""
        if copy.one_click:
            leave += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"  # RFC 8058 §3.1, to the letter
        return f"{date}{self._from}{to}{subject}{message_id}{of_list}{leave}{self._mime}"


def compile(merge: MergeTemplate, mail: Mail) -> Program:  # noqa: A001  the verb of the house
    """Compile a merge template. Raises StatementError for what is no merge template, or a header that cannot be."""
    from jinja2 import TemplateSyntaxError

    try:
        return Program(merge, mail)
    except TemplateSyntaxError as error:
        raise StatementError(f"is no merge template: {error.message}", where=merge.file) from None
    except StatementError as error:
        raise StatementError(error.message, where=error.where or merge.file, hint=error.hint) from None


def plain(merge: MergeTemplate, copy: Copy) -> Rendered:
    """A copy by plain Jinja: slow, and the yardstick of `Program.render`. Raises StatementError."""
    from broadcaster.sandbox import for_merging

    sandbox = for_merging(merge.language)
    names = named(copy)

    def rendered(source: str) -> str:
        sandbox.refill()
        return sandbox.from_string(source).render(names)

    try:
        return Rendered(*map(rendered, (merge.subject, merge.preheader, merge.html, merge.text)))
    except Exception as error:  # see Program.render
        raise StatementError(f"cannot be written for this person: {error}"[:300], where=merge.file) from error


def named(copy: Copy) -> Mapping[str, Mapping[str, str]]:
    """What a merge template reads, as it is written: plain data, in which anything may be missing."""
    from broadcaster.sandbox import Fields

    found = {name: Fields() for name in ROOTS}
    found["subscriber"].update(copy.subscriber.values())
    for (root, field_), fact in _FACTS.items():
        if value := fact(copy):
            found[root][field_] = value
    return found


class _Names:
    """The variables that stand for fields in a compiled template: each that is read is looked up once a copy."""

    def __init__(self) -> None:
        self._variables: dict[tuple[str, str], str] = {}
        self._fields: list[tuple[str, str]] = []  # custom ones, which are looked up in a mapping
        self._facts: list[tuple[str, Callable[[Copy], str]]] = []

    def variable(self, root: str, field: str) -> str:
        """The variable of a field, by a name that no template uses."""
        if name := self._variables.get((root, field)):
            return name
        name = self._variables[root, field] = f"__{len(self._variables)}"
        if fact := _FACTS.get((root, field)):
            self._facts.append((name, fact))
        elif root == "subscriber":
            self._fields.append((name, field))
        return name

    def of(self, copy: Copy) -> dict[str, Any]:
        names: dict[str, Any] = {}
        for name, fact in self._facts:
            if value := fact(copy):
                names[name] = value
        fields = copy.subscriber.fields
        for name, field_ in self._fields:
            if custom := fields.get(field_):
                names[name] = custom
        return names


_FACTS: Final[Mapping[tuple[str, str], Callable[[Copy], str]]] = {
    ("subscriber", "email"): attrgetter("subscriber.address"),
    ("subscriber", "name"): attrgetter("subscriber.name"),
    ("subscriber", "language"): attrgetter("subscriber.language"),
    ("subscriber", "timezone"): attrgetter("subscriber.timezone"),
    ("links", "leave"): attrgetter("leave"),
    ("links", "web_copy"): attrgetter("web_copy"),
    ("list", "title"): attrgetter("list_title"),
}


class _Part:
    """A text or HTML part, in the encoding that makes it shorter: quoted-printable for Latin, base64 for Arabic."""

    def __init__(self, source: str, language: str, names: _Names) -> None:
        from broadcaster.sandbox import Workings, for_merging

        if len(encoding.quoted(source)) <= len(encoding.lines64(source.encode())):
            self.encoding = "quoted-printable"
            values = {place: _quoted(work) for place, work in PLACES.items()}
            self._finished: Callable[[Iterator[str]], list[str]] = list
            self._run = for_merging(language).program(source, Workings(encoding.quoted, values, names.variable))
        else:
            self.encoding = "base64"
            base64 = encoding.Base64()
            self._finished = base64.finished
            self._run = for_merging(language).program(source, Workings(base64.constant, PLACES, names.variable))

    def render(self, names: dict[str, Any]) -> list[str]:
        """In pieces, which the whole message joins: once is enough for 30 kB."""
        return self._finished(self._run(names))


def _quoted(work: Callable[[object], str]) -> Callable[[object], str]:
    """The filter of a place, and the encoding behind it."""
    quoted = encoding.quoted
    return lambda value: quoted(work(value))


def _subject(merge: MergeTemplate, mail: Mail, names: _Names) -> Callable[[dict[str, Any]], str]:
    """The field that a person's Subject is. One that is the same for everyone is folded once."""
    from broadcaster.sandbox import Workings, for_merging

    run = for_merging(merge.language).program(merge.subject, Workings(str, PLACES, names.variable))
    prefix = mail.prefix
    if "{{" not in merge.subject and "{%" not in merge.subject:
        whole = headers.unstructured("Subject", prefix + merge.subject)
        return lambda _names: whole
    return lambda names: headers.unstructured("Subject", prefix + "".join(run(names)).strip())


def sender_id(address: str) -> str:
    """The last word of Feedback-ID: the same in all mail of a domain, 5 to 15 of a-z, 0-9 and -."""
    return address.rpartition("@")[2].lower().replace(".", "-")[:15].strip("-").ljust(5, "0")


def _part_head(subtype: str, cte: str) -> str:
    return f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {cte}\r\n\r\n'


def _attached(boundary: str, name: str, content: bytes) -> bytes:
    """An attachment as a part of the message, encoded once for all copies."""
    kind = _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    if kind.startswith("text/") and _is_utf8(content):
        # without it a text is ASCII (RFC 2046 §4.1.2); of any other we know no more than its bytes
        kind += '; charset="utf-8"'
    head = (
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment; {headers.file_name(name)}\r\n\r\n"
    )
    return head.encode() + _lines(content)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _related(boundary: str, images: Mapping[str, Image]) -> tuple[str, str]:
    """What comes before and after an HTML part that shows images (RFC 2387), encoded once for all copies."""
    if not images:
        return "", ""
    head = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'
    parts = ["\r\n"]
    for cid, image in images.items():
        fields = (
            f"--{boundary}\r\nContent-Type: {image.kind}\r\nContent-Transfer-Encoding: base64\r\n"
            f"{headers.raw('Content-ID', f'<{cid}>')}"
            f"Content-Disposition: inline; {headers.file_name(image.name)}\r\n\r\n"
        )
        parts += [fields, _lines(image.content).decode("ascii")]
    return head, "".join([*parts, f"--{boundary}--\r\n"])


def _lines(content: bytes) -> bytes:
    text = b2a_base64(content, newline=False)
    return b"".join(text[at : at + 76] + b"\r\n" for at in range(0, len(text), 76))
