"""why: everything known of an address, and why it does or does not get mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.house import House
from broadcaster.cli.people import mailbox_of, record, shown
from broadcaster.cli.say import clean, count, dump, json_option, moment, out, table

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.subscriber import Standing, Subscriber, Suppression

LEFT = {"left": "they left all lists", "complained": "they complained", "bounced": "their mail came back"}


@click.command()
@click.argument("address")
@json_option
@click.pass_obj
def why(house: House, address: str, as_json: bool) -> None:
    """Tell everything known of ADDRESS, and why it does or does not get mail.

    \b
    Examples:
      broadcaster why anna@example.org
      broadcaster why anna@example.org --json

    \b
    Exit statuses: 0 told, 65 not an address, or nobody has it (look-alikes are offered), 78 configuration.
    """
    wanted = mailbox_of(address)
    roster = house.roster
    barred = roster.suppression(wanted)
    of = roster.find(wanted)
    erased = house.erasure.since(wanted.key) if of is None else None
    if of is None and barred is None and erased is None:
        of = roster.known(str(wanted))  # raises, with look-alikes
    reason = _reason(house, wanted, of, barred, erased)
    if as_json:
        told = {"address": str(wanted), "why": reason, **_told(house, of, barred), "erased": erased}
        dump({**told, "returned": _returned(house, wanted), "forgotten": house.ledger.forgotten()})
        return
    out(f"{clean(wanted.shown)} {clean(reason)}")
    if of is not None:
        _person(house, of)
    _came_back(house, wanted)


def _returned(house: House, wanted: Address) -> list[dict[str, Any]]:
    """What came back of mail to this address, the newest first."""
    from broadcaster.bounces import Wanted

    names = ("at", "mailing", "kind", "action", "status", "reason", "words", "effect", "source", "address")
    return [{name: row[name] for name in names} for row in house.bounces.log(Wanted(key=wanted.key))]


def _came_back(house: House, wanted: Address) -> None:
    if not (rows := _returned(house, wanted)):
        return
    out()
    table(
        ["came back", "mailing", "kind", "status", "reason", "done", "words"],
        (
            (
                moment(row["at"], house.config.time.zone),
                row["mailing"] or "",
                row["kind"].replace("_", " "),
                row["status"],
                row["reason"].replace("_", " "),
                # an address may be named in a report of somebody else's copy
                row["effect"] + (f" ({row['address']})" if row["address"] not in (None, wanted.key) else ""),
                row["words"][:120],
            )
            for row in rows
        ),
    )


def _reason(
    house: House, wanted: Address, of: Subscriber | None, barred: Suppression | None, erased: int | None
) -> str:
    """A plain sentence, the address its subject."""
    zone = house.config.time.zone
    if erased is not None:
        return f"gets nothing: they were erased, {moment(erased, zone)}, and no file brings them back"
    if barred is not None:
        said = f" ({barred.detail})" if barred.detail else ""
        return f"gets nothing: {LEFT.get(barred.reason, barred.reason)}, {moment(barred.since, zone)}{said}"
    assert of is not None
    stands = house.roster.since(of)
    on = [name for name, (standing, _) in stands.items() if standing.word == "active"]
    if on:
        smtputf8 = ", by relays that take addresses beyond ASCII" if wanted.needs_smtputf8 else ""
        return f"gets what is sent to {', '.join(on)}{smtputf8}"
    if not stands:
        return "gets nothing: they are on no list"
    ways = {"left": "they left", "removed": "they were taken off"}
    gone = (f"{ways[standing.word]} {name}, {moment(since, zone)}" for name, (standing, since) in stands.items())
    return f"gets nothing: {'; '.join(gone)}"


def _told(house: House, of: Subscriber | None, barred: Suppression | None) -> dict[str, Any]:
    suppression = (
        None
        if barred is None
        else {"reason": barred.reason, "detail": barred.detail, "since": barred.since, "address": barred.address}
    )
    if of is None:
        return {"subscriber": None, "suppression": suppression, "lists": [], "consents": [], "deliveries": []}
    stands: dict[str, tuple[Standing, int]] = house.roster.since(of)
    person = shown(of, {name: standing for name, (standing, _) in stands.items()}, barred.reason if barred else None)
    return {
        "subscriber": person,
        "suppression": suppression,
        "lists": [{"list": name, "state": standing.word, "since": since} for name, (standing, since) in stands.items()],
        "consents": [each.as_json() for each in house.roster.consents(of)],
        "deliveries": house.ledger.history(of.id),
    }


def _person(house: House, of: Subscriber) -> None:
    zone = house.config.time.zone
    for name, value in of.values().items():
        if name != "email":
            out(f"  {clean(name)}: {clean(value)}")
    for name, (standing, since) in house.roster.since(of).items():
        out(f"  list {name}: {standing.word} since {moment(since, zone)}")
    for line in record(house.roster.consents(of), zone):
        out(f"  {line}")
    history = house.ledger.history(of.id)
    if forgotten := house.ledger.forgotten():
        known = count(len(forgotten), "older mailing")
        out(f"  whether they got {known} (up to {forgotten[0]}) is forgotten: see [retention]")
    if not history:
        out("  nothing has been sent to them yet" if not forgotten else "  nothing else has been sent to them yet")
        return
    out()
    table(
        ["mailing", "statement", "state", "tries", "when", "answer"],
        (
            (
                each["mailing"],
                each["statement"] + (" (rehearsal)" if each["rehearsal"] else ""),
                each["state"].replace("_", " "),
                each["attempts"],
                moment(each["at"], zone) if each["at"] else "",
                f"{each['code'] or ''} {each['reply'] or ''}".strip()[:120],
            )
            for each in history
        ),
    )
