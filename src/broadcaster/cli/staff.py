"""The mail to staff after a round of sending: whatever goes wrong with it is said, and changes nothing else."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from broadcaster.cli.house import House
from broadcaster.cli.say import clean, warn
from broadcaster.errors import BroadcasterError, Interrupted

if TYPE_CHECKING:
    from broadcaster.sending import Turn
    from broadcaster.telling import Office


def tell_staff(house: House) -> None:
    """Mail [sender] staff what is new: how a mailing ended, what is wrong. Nothing of a rehearsal.

    Called when a command ends, however it does; who was told to stop mails nothing more.
    """
    if not _wanted(house) or isinstance(sys.exception(), Interrupted | KeyboardInterrupt):
        return
    try:
        _tell(house)
    except BroadcasterError as error:
        warn(f"staff were not told by mail: {clean(error)}", error.hint)
    except Exception as error:  # what was sent is sent, and the exit status says so
        warn(f"staff were not told by mail: a defect of ours, {type(error).__name__}")


def note_relays(house: House, turn: Turn) -> None:
    """Remember which relays would not talk to us: staff hear of it."""
    if _wanted(house):
        from broadcaster.telling import heard_of_relays

        names = [relay.name for relay in house.config.relays]
        heard_of_relays(house.digests, names, turn.down, house.now, took=turn.accepted > 0)


def note_mailboxes(house: House, away: Mapping[str, str]) -> None:
    """Remember which of the configured mailboxes are away, and why: staff hear of it."""
    if _wanted(house):
        from broadcaster.telling import heard_of_mailboxes

        heard_of_mailboxes(house.digests, [each.url for each in house.config.returns.mailboxes], away, house.now)


def _wanted(house: House) -> bool:
    return bool(house.config.sender.staff) and not house.config.rehearsal


def _tell(house: House) -> None:
    from broadcaster import telling
    from broadcaster.courier import Fenced
    from broadcaster.lock import Lock

    lock = Lock(house.workspace.telling)
    if not lock.take():
        return  # whoever holds it tells
    try:
        staff, now = house.config.sender.staff, house.now
        found = telling.news(house.ledger, house.digests, now, at_work=Lock(house.workspace.lock).held())
        letters = telling.letters(house.digests, found, staff, lambda: _office(house), now)
        if letters:
            try:
                asyncio.run(house.post([relay for relay in house.config.relays if not relay.rehearsal], letters))
            except Fenced:
                pass  # somebody else has told them meanwhile; whoever comes next is told next time
            finally:
                for letter in letters:
                    if letter.answer is not None and (said := letter.settle()):
                        warn(f"a digest to staff was not taken: {said}")
        telling.forget(house.digests, found, staff, now)
    finally:
        lock.release()


def _office(house: House) -> Office:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from broadcaster import language
    from broadcaster.digest import Reader
    from broadcaster.telling import Office

    config = house.config
    default = config.languages.default
    tag, words = _words(house, default)
    zone = ZoneInfo(config.time.zone) if config.time.zone else None

    def when(at: int) -> str:
        return language.moment(datetime.fromtimestamp(at, UTC).astimezone(zone), tag)

    seal = house.seal
    return Office(
        name=config.sender.name.into(tag, default),
        address=str(config.sender.address),
        reader=Reader(tag, words, when),
        seal=seal.sealed if seal is not None else lambda message, _at: message,
        identity=lambda: secrets.token_hex(16),
    )


def _words(house: House, tag: str) -> tuple[str, Callable[[str], str]]:
    """The language of the staff and its words, from templates/locale/staff/; English where nobody wrote any."""
    from broadcaster import catalogue

    layouts = house.workspace.layouts()
    near = (f"locale/staff/{each}.po" for each in (tag, tag.partition("-")[0]))
    path = next((each for each in near if each in layouts), None)
    if path is None:
        return "en", lambda text: text
    said = catalogue.read(layouts[path], f"templates/{path}", tag).words
    return tag, lambda text: said.get(text, text)
