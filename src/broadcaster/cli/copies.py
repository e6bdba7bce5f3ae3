"""Copies that are in no mailing: for eyes and tests, made by the very press that makes the real ones.

Their links and Message-IDs are signed with a key that is thrown away, so they can do nothing: a
test copy that is forwarded unsubscribes nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from broadcaster.courier import Consignment
from broadcaster.delivery import Envelope
from broadcaster.ledger import Part
from broadcaster.links import KEY_OCTETS, Signer
from broadcaster.press import Press, freeze
from broadcaster.subscriber import MailingList, Subscriber

if TYPE_CHECKING:
    from broadcaster.cli.house import House
    from broadcaster.merge import MergeTemplate


class Copies:
    """The copies of some parts of one statement. Raises StatementError for an attachment that is not there."""

    def __init__(self, house: House, slug: str, merges: Sequence[MergeTemplate], *, prefix: str = "") -> None:
        config = house.config
        lists = house.roster.lists()
        # a new workspace has none yet
        self._list = lists[0] if lists else MailingList(0, "test", f"test.{config.sender.address.domain}")
        self.languages = [merge.language for merge in merges]
        files: dict[str, bytes] = {}
        parts: list[Part] = []
        for number, merge in enumerate(merges):
            frozen, bodies = freeze(merge, config, [self._list], lambda name: house.workspace.asset(slug, name))
            parts.append(Part(number, merge.language, frozen.to_json()))
            files.update(bodies)
        signer = Signer(secrets.token_bytes(KEY_OCTETS))
        self._press = Press(parts, files.__getitem__, signer, config, seal=house.seal, prefix=prefix)
        self._relay = config.relays[0].name

    def of(self, person: Subscriber, language: str, now: int, relay: str | None = None) -> Envelope:
        """A person's copy of the part in `language`. Raises BadData where it cannot be rendered."""
        number = self.languages.index(language)
        row = Consignment(secrets.randbits(62), 0, number, self._list.id, person)
        return self._press.compose(row, relay or self._relay, datetime.fromtimestamp(now, UTC))


def nobody(address: str, language: str) -> Subscriber:
    """A reader of whom nothing is known: defaults show."""
    return Subscriber(0, address, language=language)
