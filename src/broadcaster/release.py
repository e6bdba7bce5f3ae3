"""Whether a mailing may begin: approved by a second person where that is asked for, and no surprise to anybody.

Both are asked before the first of it is claimed. Of an approval nothing is believed: what it is of is digested anew,
from every row and every file as they are in the database at that moment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broadcaster import approvals, enrolment, precedents
from broadcaster import mailing as m
from broadcaster.approval import NOT_APPROVED, Approval, Person, standing
from broadcaster.db import damaged
from broadcaster.errors import NotAllowed, NotApproved, NotFound
from broadcaster.mailing import digest_of_content
from broadcaster.press import Frozen
from broadcaster.surprise import Prospect, Surprise, surprises

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broadcaster.config import Config
    from broadcaster.ledger import Ledger
    from broadcaster.mailing import Mailing, Part


@dataclass(frozen=True, slots=True)
class Approved:
    """What came of approving: whether it was news, and what is unusual about the mailing."""

    new: bool
    surprises: Sequence[Surprise]


# approving


def intact(ledger: Ledger, of: Mailing) -> bool:
    """Whether all that a mailing's digest covers is in the database as it was prepared, to the byte.

    A second or two for a million people, and as long as it takes to read the files that each of them alone gets.
    """
    parts = ledger.parts(of.id)
    tags = [part.language for part in parts]
    # who gets which part is said by its number
    if [part.number for part in parts] != [*range(len(parts))] or tags != sorted(tags):
        return False
    if not _said(parts, of) or not ledger.sound(of.id):
        return False
    for digest in {digest for part in parts for digest in Frozen.from_json(part.template).carried}:
        try:
            if hashlib.sha256(ledger.content(digest)).hexdigest() != digest:
                return False
        except NotFound:
            return False
    return enrolment.roll(ledger.db, of).seal(of.content, of.rule, of.window) == of.digest


def _said(parts: Sequence[Part], of: Mailing) -> bool:
    """Whether these parts say what was frozen."""
    return digest_of_content({part.language: part.template for part in parts}, {}) == of.content


def valid(ledger: Ledger, of: Mailing) -> list[Approval]:
    """The approvals of a mailing that count, as far as its own digest tells."""
    found = approvals.given(ledger.db, of.id)
    return standing(found, of.digest, approvals.preparer(ledger.db, of.id)) if found else []


def needed(config: Config, of: Mailing) -> bool:
    """Whether nothing of a mailing may go without a second person's word."""
    return config.safety.approvals > 0 and not config.rehearsal and not of.gone and not of.state.over


def awaited(ledger: Ledger, config: Config, of: Mailing) -> bool:
    """Whether a mailing waits for somebody to approve it."""
    return needed(config, of) and not valid(ledger, of)


def lacking(ledger: Ledger, config: Config, of: Mailing) -> str:
    """Why a mailing may not begin for want of an approval: what it is; "" where it may."""
    if not needed(config, of):
        return ""
    if not (found := valid(ledger, of)):
        return NOT_APPROVED
    return "" if intact(ledger, of) else f"not what {found[-1].person.name} approved: it was changed since"


def refuse_unapproved(ledger: Ledger, config: Config, of: Mailing) -> None:
    """Raises NotApproved for a mailing that may not begin for want of an approval."""
    if why := lacking(ledger, config, of):
        again = f"`broadcaster cancel {of.id}` drops it; then prepare it again"
        raise NotApproved(f"mailing {of.id} is {why}", hint=may_approve(of) if why == NOT_APPROVED else again)


def may_approve(of: Mailing) -> str:
    """Who may approve a mailing, and how."""
    return f"anybody but {of.who}, who prepared it, may approve it: `broadcaster approve {of.id}`"


def approve(ledger: Ledger, config: Config, number: int, person: Person, digest: str, now: int) -> Approved:
    """Approve a mailing. `digest`: as much of it as the person knows.

    One that was held waits for its time again, and what is surprising about it has been seen. Raises NotAllowed, and
    ConfigError where what is in the database is not what was prepared.
    """
    of = ledger.mailing(number)
    if of.state.over or of.gone:
        began = of.state.word if of.state.over else "begun"
        raise NotAllowed(f"mailing {number} is {began} already: there is nothing to approve")
    _refuse_preparer(person, approvals.preparer(ledger.db, number), of)
    if not of.digest.startswith(digest):
        raise NotAllowed(
            f"mailing {number} has another digest: {of.digest[:16]}…", hint="is it another mailing that was looked at?"
        )
    if not intact(ledger, of):
        raise damaged(ledger.db.path, f"mailing {number} is not what was prepared")
    with ledger.db.atomic(durable=True):
        given = any(each.person.uid == person.uid for each in valid(ledger, of))
        if not given:
            approvals.give(ledger.db, number, Approval(person, of.digest, now))
        found = unusual(ledger, config, of, now)
        approvals.confirm(ledger.db, number, {each.name for each in found}, now)
        if of.state is m.State.HELD and not of.late(now):
            ledger.move(number, m.Event.SCHEDULE, now)
    return Approved(not given, found)


def _refuse_preparer(person: Person, by: Person, of: Mailing) -> None:
    if person.other_than(by):
        return
    if by == Person():
        raise NotAllowed(
            f"mailing {of.id} is older than approvals: who prepared it is not known well enough",
            hint=f"`broadcaster cancel {of.id}`, and prepare it again",
        )
    if person.uid == by.uid:
        raise NotAllowed(
            f"mailing {of.id} was prepared by {by.name}, who cannot approve it too",
            hint="somebody else may, with their own login",
        )
    raise NotAllowed(
        f"whether {person.name} and {by.name}, who prepared mailing {of.id}, are two people cannot be told: both used"
        " the same account",
        hint="log in as yourself and use sudo, both of you",
    )


# surprises


def foreseen(ledger: Ledger, config: Config, of: Prospect, now: int, number: int | None = None) -> list[Surprise]:
    """What is unusual about a mailing. Nothing is in a rehearsal: nobody gets it."""
    if config.rehearsal:
        return []
    past = precedents.sent(ledger.db, number)
    found = surprises(of, past, factor=config.safety.surprise, offered=config.languages.offered, now=now)
    return list(found)


def unusual(ledger: Ledger, config: Config, of: Mailing, now: int) -> list[Surprise]:
    """What is unusual about a prepared mailing of which nothing has gone, and nobody has said yes to."""
    if of.gone or config.rehearsal:
        return []
    known = approvals.confirmed(ledger.db, of.id)
    found = foreseen(ledger, config, _prospect(ledger, of), now, of.id)
    return [each for each in found if each.name not in known]


def _prospect(ledger: Ledger, of: Mailing) -> Prospect:
    parts = ledger.parts(of.id)
    tags = {part.number: part.language for part in parts}
    readers: dict[tuple[str, str], int] = {}
    for (tag, part), number in precedents.readers(ledger.db, of).items():
        readers[tag, tags.get(part, "")] = number
    return Prospect(
        statement=of.statement,
        content=of.content,
        lists=of.rule.lists,
        audience=of.audience,
        readers=readers,
        # what is damaged may be no part at all, and is refused by whoever sends
        empty=empty(parts) if _said(parts, of) else frozenset(),
        shared=lambda past: precedents.shared(ledger.db, of, past),
        named=precedents.named(ledger.db),
    )


def empty(parts: Sequence[Part]) -> frozenset[str]:
    """The languages that have a heading, and no text."""
    return frozenset(part.language for part in parts if Frozen.from_json(part.template).empty)
