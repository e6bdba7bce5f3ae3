"""What is frozen of a mailing, and envelopes made from it: frozen parts and a consignment in, a finished copy out.

Everything that a copy's text and header say is frozen: sender, list names, leave address. Only the
person's own address and fields, and where bounces go, are as they are when it is sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from broadcaster.courier import Consignment
from broadcaster.delivery import Envelope
from broadcaster.errors import StatementError
from broadcaster.mailing import canonical
from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy, Mail, Program
from broadcaster.message import compile as compiled

if TYPE_CHECKING:
    from broadcaster.config import Config
    from broadcaster.dkim import Seal
    from broadcaster.ledger import Part
    from broadcaster.links import Signer
    from broadcaster.subscriber import MailingList


@dataclass(frozen=True, slots=True)
class ListFacts:
    """A list as a copy names it."""

    name: str
    list_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """One language of a mailing, whole. `files`: attachment name → SHA-256 of its bytes."""

    merge: MergeTemplate
    name: str
    address: str
    reply_to: str
    leave: str
    site: str  # where one click is answered; empty: nowhere
    lists: Mapping[int, ListFacts]
    files: Mapping[str, str]

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
        )


def freeze(
    merge: MergeTemplate, config: Config, lists: Sequence[MailingList], asset: Callable[[str], bytes]
) -> tuple[Frozen, dict[str, bytes]]:
    """A merge template with all that its header will say, and the bytes of its attachments by digest."""
    files = {name: asset(name) for name in merge.attachments}
    digests = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    language, default = merge.language, config.languages.default
    frozen = Frozen(
        merge=merge,
        name=config.sender.name.into(language, default),
        address=str(config.sender.address),
        reply_to=str(config.sender.reply_to or ""),
        leave=str(config.links.leave_mailto or ""),
        site=config.links.site if config.links.one_click else "",
        lists={of.id: ListFacts(of.name, of.list_id, of.title(language, default)) for of in lists},
        files=digests,
    )
    return frozen, {digests[name]: body for name, body in files.items()}


class Press:
    """Makes the envelopes of one mailing. Each language is compiled when its first copy is made."""

    def __init__(
        self,
        parts: Sequence[Part],
        content: Callable[[str], bytes],
        signer: Signer,
        config: Config,
        *,
        seal: Seal | None = None,
        prefix: str = "",
    ) -> None:
        self._frozen = {part.number: Frozen.from_json(part.template) for part in parts}
        self._content = content
        self._signer = signer
        self._return_path = str(config.returns.return_path or "")
        self._marks = {relay.name: config.marks(relay) for relay in config.relays}
        self._seal = seal
        self._prefix = prefix
        self._programs: dict[int, Program] = {}

    def compose(self, row: Consignment, relay: str, date: datetime) -> Envelope:
        """The envelope with its message. Raises BadData where this person's copy cannot be rendered."""
        frozen = self._frozen[row.part]
        program = self._programs.get(row.part) or self._compile(row.part, frozen)
        facts = frozen.lists[row.list]
        mail = self._signer.leave(frozen.leave, row.delivery) if frozen.leave else ""
        page = self._signer.leave_page(frozen.site, row.delivery) if frozen.site else ""
        now = int(date.timestamp())
        message = program.render(
            Copy(
                subscriber=row.subscriber,
                list_title=facts.title,
                list_id=facts.list_id,
                list_name=facts.name,
                message_id=self._signer.message_id(row.delivery, frozen.address.rpartition("@")[2]),
                leave=page or mail,
                unsubscribe=tuple(uri for uri in (page, mail) if uri),
                date=now,
                mailing=row.mailing,
                one_click=bool(page),
            )
        )
        if self._seal is not None:
            message = self._seal.sealed(message, now)
        return Envelope(
            delivery=row.delivery,
            sender=self.return_path(row.delivery, relay, frozen),
            recipient=row.subscriber.address,
            message=message,
            smtputf8=not row.subscriber.address.isascii(),
        )

    def message_id(self, delivery: int) -> str:
        """The Message-ID of a delivery: the same on every attempt."""
        domain = next(iter(self._frozen.values())).address.rpartition("@")[2]
        return self._signer.message_id(delivery, domain)

    def return_path(self, delivery: int, relay: str, frozen: Frozen) -> str:
        """MAIL FROM: marked with the copy where the relay lets us, else the return path, else the sender."""
        if self._return_path and self._marks.get(relay):
            return self._signer.return_path(self._return_path, delivery)
        return self._return_path or frozen.address

    def _compile(self, number: int, frozen: Frozen) -> Program:
        files = {name: self._content(digest) for name, digest in frozen.files.items()}
        mail = Mail(frozen.name, frozen.address, frozen.reply_to, self._prefix, files)
        try:
            program = self._programs[number] = compiled(frozen.merge, mail)
        except RecursionError:
            raise StatementError("is nested too deep", where=frozen.merge.file) from None
        return program
