"""What stands between a mailing and its first copy, as `send`, `approve`, `status` and `run` tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from broadcaster.cli.house import House
from broadcaster.cli.say import ask, clean, moment, warn

if TYPE_CHECKING:
    from broadcaster.broadcast import Plan
    from broadcaster.mailing import Mailing
    from broadcaster.surprise import Surprise


def unusual(house: House, plan: Plan) -> list[Surprise]:
    """What is unusual about a plan."""
    from broadcaster import gathering, precedents, release
    from broadcaster.surprise import Past, Prospect

    def shared(past: Past) -> int:
        of = house.ledger.mailing(past.id)
        return gathering.shared(house.db, of.first, of.last)

    people = plan.people
    prospect = Prospect(
        statement=plan.order.slug,
        content=plan.content,
        lists=plan.rule.lists,
        audience=plan.audience,
        readers={(tag, people.given[tag]): number for tag, number in people.wanted.items()},
        empty=release.empty(plan.parts),
        shared=shared,
        named=precedents.named(house.db),
    )
    return release.foreseen(house.ledger, house.config, prospect, house.now)


def tell(found: Sequence[Surprise]) -> None:
    """Say what is unusual."""
    for each in found:
        warn(clean(each.words))


def listed(found: Sequence[Surprise]) -> list[dict[str, str]]:
    """The same for JSON."""
    return [{"kind": each.kind.value, "message": each.words} for each in found]


def sure(found: Sequence[Surprise], *, yes: bool) -> None:
    """Go on only where each of these is meant. Raises Unanswered."""
    if yes:
        tell(found)
    for each in () if yes else found:
        ask(clean(f"{each.words[:1].upper()}{each.words[1:]}. Is that meant?"), yes=False)


def confirmed(house: House, of: Mailing, found: Sequence[Surprise]) -> None:
    """Keep in mind that somebody said yes, for whoever sends it when its time has come."""
    if found:
        from broadcaster import approvals

        approvals.confirm(house.db, of.id, {each.name for each in found}, house.now)


def awaited(house: House, of: Mailing) -> bool:
    """Whether a mailing waits for somebody to approve it."""
    from broadcaster import release

    return release.awaited(house.ledger, house.config, of)


def approved(house: House, of: Mailing) -> str:
    """Who approved a mailing, and when; "" where nobody did."""
    from broadcaster import release

    zone = house.config.time.zone
    found = [f"{each.person.name}, {moment(each.at, zone)}" for each in release.valid(house.ledger, of)]
    return f"approved by {'; '.join(found)}" if found else ""


def figures(house: House, of: Mailing) -> dict[str, Any]:
    """What JSON says of it."""
    from broadcaster import release

    return {
        "awaits_approval": awaited(house, of),
        "approvals": [
            {"by": each.person.name, "uid": each.person.uid, "at": each.at, "digest": each.digest}
            for each in release.valid(house.ledger, of)
        ],
    }
