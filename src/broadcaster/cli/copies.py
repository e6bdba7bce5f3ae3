"""Copies that are in no mailing: for eyes and tests, made by the very press that makes the real ones.

Their links and Message-IDs are signed with a key that is thrown away, so they can do nothing: a
test copy that is forwarded unsubscribes nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from broadcaster.courier import Consignment
from broadcaster.delivery import Envelope
from broadcaster.enclosure import Names
from broadcaster.links import KEY_OCTETS, Signer
from broadcaster.mailing import Part
from broadcaster.press import Frozen, Press, freeze
from broadcaster.subscriber import MailingList, Subscriber

if TYPE_CHECKING:
    from broadcaster.cli.house import House
    from broadcaster.merge import MergeTemplate


class Copies:
    """The copies of some parts of one statement. Raises StatementError for an attachment that is not there.

    `enclosing`: with the files that the person alone gets, where the person is a subscriber.
    """

    def __init__(
        self, house: House, slug: str, merges: Sequence[MergeTemplate], *, prefix: str = "", enclosing: bool = True
    ) -> None:
        config = house.config
        lists = house.roster.lists()
        # a new workspace has none yet
        self._list = lists[0] if lists else MailingList(0, "test", f"test.{config.sender.address.domain}")
        self.languages = [merge.language for merge in merges]
        self.files = files = dict[str, bytes]()
        self.frozen: list[Frozen] = []
        parts: list[Part] = []
        for number, merge in enumerate(merges):
            frozen, bodies = freeze(merge, config, [self._list], house.workspace.asset)
            self.frozen.append(frozen)
            parts.append(Part(number, merge.language, frozen.to_json()))
            files.update(bodies)
        self._house = house
        self._names = [Names(of.merge.enclosures, of.merge.file) for of in self.frozen]
        signer = Signer(secrets.token_bytes(KEY_OCTETS))
        self._press = Press(
            parts,
            files.__getitem__,
            signer,
            config,
            enclosed=self._enclosed if enclosing else None,
            prefix=prefix,
        )
        self._seal = house.seal
        self._relay = config.relays[0].name

    def of(self, person: Subscriber, language: str, now: int, relay: str | None = None) -> Envelope:
        """A person's copy of the part in `language`. Raises BadData where it cannot be rendered."""
        number = self.languages.index(language)
        row = Consignment(secrets.randbits(62), 0, number, self._list.id, person)
        envelope = self._press.compose(row, relay or self._relay, now)
        if self._seal is None:
            return envelope
        return envelope._replace(message=self._seal.sealed(envelope.message, now))

    def _enclosed(self, row: Consignment) -> list[tuple[str, bytes]]:
        """What the person alone gets, as it lies there now."""
        from broadcaster.broadcast import enclosures

        if not row.subscriber.id:
            return []
        found = enclosures(self._house.workspace, self.frozen[row.part], self._names[row.part], row.subscriber)
        return [(file.name, file.body) for file in found]


def nobody(address: str, language: str) -> Subscriber:
    """A reader of whom nothing is known: defaults show."""
    return Subscriber(0, address, language=language)
