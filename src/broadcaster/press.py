"""What is frozen of a mailing, and envelopes made from it: frozen parts and a consignment in, a finished copy out.

Everything that a copy's text and header say is frozen: sender, list names, leave address. Only the
person's own address and fields, and where bounces go, are as they are when it is sent.
"""

from __future__ import annotations

import hashlib
import html
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from broadcaster import pictures
from broadcaster.courier import Consignment
from broadcaster.delivery import Envelope
from broadcaster.errors import StatementError
from broadcaster.links import Purpose, marked, message_id, ways_to_leave
from broadcaster.mailing import canonical
from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy, Image, Mail, Program
from broadcaster.message import compile as compiled

if TYPE_CHECKING:
    from broadcaster.config import Config
    from broadcaster.links import Signer
    from broadcaster.mailing import Part
    from broadcaster.subscriber import MailingList


# Gmail and most others take 25 MB, and a relay may take less; text and header are of no account beside that
LARGEST: Final = 25_000_000
# the column of the default layouts without its padding, for the programs that heed no style
_COLUMN: Final = 72
_WIDTH: Final = 600


@dataclass(frozen=True, slots=True)
class ListFacts:
    """A list as a copy names it."""

    name: str
    list_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """One language of a mailing, whole.

    `files`: attachment name → SHA-256 of its bytes; `images`: Content-ID → name, MIME type, SHA-256.
    """

    merge: MergeTemplate
    name: str
    address: str
    reply_to: str
    leave: str
    site: str  # where one click is answered; empty: nowhere
    lists: Mapping[int, ListFacts]
    files: Mapping[str, str]
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    empty: bool = False  # there is no text below its heading

    @property
    def carried(self) -> tuple[str, ...]:
        """The digests of what every copy carries, as often as it does."""
        return (*self.files.values(), *(digest for _, _, digest in self.images.values()))

    def to_json(self) -> str:
        """One text for the same content, always: the digest covers it."""
        return canonical(
            {
                "merge": json.loads(self.merge.to_json()),
                "from": [self.name, self.address],
                "reply_to": self.reply_to,
                "leave": self.leave,
                "lists": {str(i): [facts.name, facts.list_id, facts.title] for i, facts in self.lists.items()},
                "files": dict(self.files),
                # not written where there is none: what was frozen earlier stays what it was
                **({"site": self.site} if self.site else {}),
                **({"images": {cid: list(facts) for cid, facts in self.images.items()}} if self.images else {}),
                **({"empty": True} if self.empty else {}),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Frozen:
        value: dict[str, Any] = json.loads(text)
        return cls(
            merge=MergeTemplate.from_json(json.dumps(value["merge"])),
            name=value["from"][0],
            address=value["from"][1],
            reply_to=value["reply_to"],
            leave=value["leave"],
            site=value.get("site", ""),
            lists={int(i): ListFacts(*facts) for i, facts in value["lists"].items()},
            files=value["files"],
            images=value.get("images", {}),
            empty=value.get("empty", False),
        )


def freeze(
    merge: MergeTemplate, config: Config, lists: Sequence[MailingList], asset: Callable[[str], bytes]
) -> tuple[Frozen, dict[str, bytes]]:
    """A merge template with all that its header will say, and the bytes of its attachments and images by digest.

    `asset` gives a file of the workspace by its path. Raises StatementError for one that is not there, an image that is
    none, and for more than any mailbox takes.
    """
    contents: dict[str, bytes] = {}

    def kept(path: str) -> str:
        body = asset(path)
        contents[digest := hashlib.sha256(body).hexdigest()] = body
        return digest

    files = {shown(name): kept(f"{merge.folder}/{name}") for name in merge.attachments}
    merge, images = _pictured(merge, config, asset, kept)
    language, default = merge.language, config.languages.default
    frozen = Frozen(
        merge=merge,
        name=config.sender.name.into(language, default),
        address=str(config.sender.address),
        reply_to=str(config.sender.reply_to or ""),
        leave=str(config.links.leave_mailto or ""),
        site=config.links.site if config.links.one_click else "",
        lists={of.id: ListFacts(of.name, of.list_id, of.title(language, default)) for of in lists},
        files=files,
        images=images,
    )
    too_large(sum(len(contents[digest]) for digest in frozen.carried), merge.file)
    return frozen, contents


def shown(path: str) -> str:
    """The name of an attachment as its reader sees it: of whatever folder, and composed (a Mac's disk is not)."""
    return unicodedata.normalize("NFC", path.rpartition("/")[2])


def hosted(base: str, path: str) -> str:
    """Where an image of the workspace lies on the web, below links.images."""
    return f"{base}/{quote(path)}"


def too_large(octets: int, where: str) -> None:
    """Raises StatementError for files that no mailbox takes together."""
    if octets * 4 // 3 * 78 // 76 > LARGEST:
        raise StatementError(
            f"its attachments and images have {octets / 1e6:.1f} MB: mailboxes take {LARGEST * 57 / 78 / 1e6:.0f}",
            where=where,
            hint="put them on the web and link to them",
        )


def _pictured(
    merge: MergeTemplate, config: Config, asset: Callable[[str], bytes], kept: Callable[[str], str]
) -> tuple[MergeTemplate, dict[str, tuple[str, str, str]]]:
    """The merge template with the final addresses of its images, and those that travel with the mail."""
    if not merge.images:
        return merge, {}
    found = {path: pictures.look(asset(path), path) for path in merge.images}
    most = int(config.theme.get("width", _WIDTH)) - _COLUMN
    addresses: dict[str, str] = {}
    images: dict[str, tuple[str, str, str]] = {}
    for path, picture in found.items():
        if config.links.images:
            addresses[path] = html.escape(hosted(config.links.images, path))
            continue
        digest = kept(path)
        # the same bytes, the same name, and no others: RFC 2045 §7
        cid = f"{digest[:32]}@{config.sender.address.domain}"
        addresses[path] = f"cid:{cid}"
        images[cid] = (shown(path), picture.kind, digest)
    return replace(merge, html=pictures.settled(merge.html, addresses, found, most), images=()), images


class Press:
    """Makes the envelopes of one mailing. Each language is compiled when its first copy is made."""

    def __init__(
        self,
        parts: Sequence[Part],
        content: Callable[[str], bytes],
        signer: Signer,
        config: Config,
        *,
        enclosed: Callable[[Consignment], Sequence[tuple[str, bytes]]] | None = None,
        prefix: str = "",
    ) -> None:
        self._frozen = {part.number: Frozen.from_json(part.template) for part in parts}
        self._content = content
        self._enclosed = enclosed
        self._signer = signer
        self._return_path = str(config.returns.return_path or "")
        self._marks = {relay.name: config.marks(relay) for relay in config.relays}
        self._prefix = prefix
        self._programs: dict[int, Program] = {}

    def compose(self, row: Consignment, relay: str, at: float) -> Envelope:
        """The envelope with its message, dated `at` (epoch seconds). Raises BadData where it cannot be rendered."""
        frozen = self._frozen[row.part]
        program = self._programs.get(row.part) or self._compile(row.part, frozen)
        facts = frozen.lists[row.list]
        # MAIL FROM names the copy where the relay lets us; where it does, the envelope need not
        in_path = bool(self._return_path and self._marks.get(relay))
        proof = Purpose.RETURN if in_path else Purpose.ENVELOPE
        known, leave, proven = self._signer.tokens(row.delivery, Purpose.MESSAGE, Purpose.LEAVE, proof)
        ways = ways_to_leave(leave, site=frozen.site, address=frozen.leave)
        message = program.render(
            Copy(
                subscriber=row.subscriber,
                list_title=facts.title,
                list_id=facts.list_id,
                list_name=facts.name,
                message_id=message_id(known, frozen.address.rpartition("@")[2]),
                leave=ways[0] if ways else "",
                unsubscribe=ways,
                date=int(at),
                mailing=row.mailing,
                files=self._files(row, frozen),
                one_click=bool(frozen.site),
            )
        )
        return Envelope(
            delivery=row.delivery,
            sender=marked(self._return_path, proven) if in_path else self._return_path or frozen.address,
            recipient=row.subscriber.address,
            message=message,
            smtputf8=not row.subscriber.address.isascii(),
            envid="" if in_path else proven,
        )

    def _files(self, row: Consignment, frozen: Frozen) -> tuple[tuple[str, bytes], ...]:
        """What this person alone gets: read now and for this copy, so that no more than one is held."""
        if self._enclosed is None or not frozen.merge.enclosures:
            return ()
        return tuple(self._enclosed(row))

    def message_id(self, delivery: int) -> str:
        """The Message-ID of a delivery: the same on every attempt."""
        domain = next(iter(self._frozen.values())).address.rpartition("@")[2]
        return message_id(self._signer.token(Purpose.MESSAGE, delivery), domain)

    def _compile(self, number: int, frozen: Frozen) -> Program:
        files = {name: self._content(digest) for name, digest in frozen.files.items()}
        images = {cid: Image(name, kind, self._content(digest)) for cid, (name, kind, digest) in frozen.images.items()}
        mail = Mail(frozen.name, frozen.address, frozen.reply_to, self._prefix, files, images)
        try:
            program = self._programs[number] = compiled(frozen.merge, mail)
        except RecursionError:
            raise StatementError("is nested too deep", where=frozen.merge.file) from None
        return program
