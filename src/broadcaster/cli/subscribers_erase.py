"""subscribers erase: somebody asked to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.house import House, tried
from broadcaster.cli.people import mailbox_of
from broadcaster.cli.say import (
    Progress,
    ask,
    clean,
    count,
    dry_run_option,
    dump,
    json_option,
    moment,
    out,
    say,
    warn,
    yes_option,
)
from broadcaster.errors import NotFound, Unfinished

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.erasure import Known
    from broadcaster.forgetting import Forgotten, Grounds

NAMED = 20  # files listed for a person

# what is counted, in words; the rest is told together
WORDS = {
    "consent": ("entry of the record of consents", "entries of the record of consents"),
    "bounce": ("line of the bounce log emptied", "lines of the bounce log emptied"),
    "returned": ("returned mail", "returned mails"),
    "attempt": ("answer of a relay", "answers of relays"),
    "enclosure": ("file that they alone were sent", "files that they alone were sent"),
}


@click.command("erase", short_help="Somebody asked to be forgotten.")
@click.argument("address", required=False)
@click.option(
    "--as-in",
    "other",
    metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="Everybody who was erased in this newer copy of broadcaster.db: after a backup was restored.",
)
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def erase(house: House, address: str | None, other: Path | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Somebody asked to be forgotten: they go from all that broadcaster has written, and no file brings them back.

    It counts from this moment, also for a mailing that is running; its figures stay, without them. A keyed hash is
    kept, which names nobody, so that a later file cannot bring them back. Files of others in the workspace that
    still hold the address are named, not touched. It cannot be undone; `subscribers dossier` writes down first what
    there is. What no program here can reach is told in docs/consent.md: old backups, the relay's log, mail that is out.

    \b
    Examples:
      broadcaster subscribers erase anna@example.org --dry-run
      broadcaster subscribers erase anna@example.org
      broadcaster subscribers erase --as-in old/subscribers/broadcaster.db

    \b
    Exit statuses: 0 erased (files named on standard error still hold the address), 2 not confirmed, 65 nobody of that
    address (look-alikes are offered), 73 cannot write, 75 erased, but a message is on its way or another process
    still reads the old pages: run it again, 78 configuration.
    """
    if (address is None) == (other is None):
        raise click.UsageError("name an address, or with --as-in a newer database")
    _ = house.signer  # without the key nobody could be known again
    if other is not None:
        _again(house, other, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    wanted = mailbox_of(address or "")
    known = house.erasure.known(wanted)
    if dry_run or known.nothing:
        done = _forgotten(house, wanted, trial=True)
        if done.nothing:
            raise _nobody(house, wanted)
    if not dry_run:
        ask(f"Erase {wanted.shown} for ever ({_words(house, known)})?", yes=yes)
        done = _forgotten(house, wanted)
    if as_json:
        dump(_json(wanted, done, dry_run=dry_run))
    else:
        _tell(wanted, done, dry_run=dry_run)
    _refuse_unfinished([done])


def _again(house: House, other: Path, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erase everybody here whom another copy of the database knows as erased."""
    with tried(house.db, dry_run=dry_run):
        house.erasure.learn(other, house.keys)
        found = [mailbox_of(address) for address in house.erasure.returned()]
    if found and not dry_run:
        ask(f"Erase {count(len(found), 'person', 'people')} for ever, as it was done there?", yes=yes)
    done = [
        _forgotten(house, each, trial=dry_run, scrub=number == len(found)) for number, each in enumerate(found, start=1)
    ]
    if as_json:
        dump([_json(address, each, dry_run=dry_run) for address, each in zip(found, done, strict=True)])
    else:
        for address, each in zip(found, done, strict=True):
            _tell(address, each, dry_run=dry_run)
        if not found:
            say("nobody is here who was erased there")
    _refuse_unfinished(done)


def _forgotten(house: House, address: Address, *, trial: bool = False, scrub: bool = True) -> Forgotten:
    from broadcaster.forgetting import forget
    from broadcaster.guise import Guise

    progress = Progress()

    def seen(what: str, number: int) -> None:
        progress.show(lambda: f"looking through the {what}: {number:,}" if number else f"writing the {what} anew")

    try:
        return forget(
            house.erasure,
            house.ledger,
            Guise(address),
            _grounds(house),
            trial=(lambda: tried(house.db, dry_run=True)) if trial else None,
            scrub=scrub,
            seen=seen,
        )
    finally:
        progress.done()


def _refuse_unfinished(done: list[Forgotten]) -> None:
    """Raises Unfinished (75) where something of them may still be written, or read."""
    wires = sum(each.on_a_wire for each in done)
    if wires or not all(each.clean for each in done):
        why = (
            f"{count(wires, 'message')} to them is on its way at this moment"
            if wires
            else "another process still reads what was there before"
        )
        raise Unfinished(f"erased, but {why}", hint="run it once more when that has ended: it finds what is left")


def _grounds(house: House) -> Grounds:
    """Where to look: rehearsals of all relays that there are, and the files that are ours."""
    from broadcaster.forgetting import Grounds

    workspace = house.workspace
    maildirs = {workspace.root / "outbox"} | {
        (workspace.root / relay.path).resolve() for relay in house.config.relays if relay.kind == "maildir"
    }
    database = workspace.database
    beside = [database.with_name(f"{database.name}{suffix}") for suffix in ("", "-wal", "-shm")]
    return Grounds(
        workspace.root,
        sorted(maildirs),
        [*beside, workspace.lock, workspace.collecting, workspace.mark, database.with_name("secret.key")],
    )


def _nobody(house: House, wanted: Address) -> NotFound:
    near = house.roster.near(str(wanted))
    hint = f"did you mean {' or '.join(near)}?" if near else "`broadcaster subscribers TEXT` finds people by a part"
    return NotFound(f"nothing is known of {wanted}", hint=hint)


def _words(house: House, known: Known) -> str:
    """What there is of somebody, for the question."""
    words = [
        f"on {', '.join(map(repr, known.lists))}" if known.lists else "on no list",
        count(known.deliveries, "delivery", "deliveries"),
        count(known.bounces, "line of the bounce log", "lines of the bounce log") if known.bounces else "",
        f"suppressed: {clean(known.suppressed)}" if known.suppressed else "",
        f"erased before, {moment(known.erased, house.config.time.zone)}" if known.erased else "",
    ]
    return "; ".join(word for word in words if word)


def _json(wanted: Address, done: Forgotten, *, dry_run: bool) -> dict[str, Any]:
    return {
        "address": str(wanted),
        "erased": not dry_run,
        "subscriber": done.known.subscriber,
        "lists": list(done.known.lists),
        "deliveries": done.known.deliveries,
        "closed": done.closed,
        "rows": dict(done.figures),
        "rehearsals": done.rehearsals,
        "on_a_wire": done.on_a_wire,
        "clean": done.clean,
        "quoted_in_mailings": list(done.quoted),
        "still_in": list(done.remains.found),
        "not_looked_into": [{"file": name, "why": why} for name, why in done.remains.unseen],
    }


def _tell(wanted: Address, done: Forgotten, *, dry_run: bool) -> None:
    out(f"{wanted.shown} {'would be' if dry_run else 'is'} erased")
    for number, one, many in (
        *((done.figures.get(table, 0), *words) for table, words in WORDS.items()),
        (done.known.deliveries, "delivery stays as a figure", "deliveries stay as figures"),
        (done.closed, "of them waited, and is suppressed", "of them waited, and are suppressed"),
        (done.rehearsals, "rehearsal in the outbox", "rehearsals in the outbox"),
    ):
        if number:
            out(f"  {count(number, one, many)}")
    if done.quoted:
        numbers = ", ".join(map(str, done.quoted))
        warn(f"the authors' own text of mailing {numbers} has the address, and stays as it was approved")
    _named("these files still hold the address; they are not ours to change", done.remains.found)
    _named(
        "these could not be looked into, and may hold it",
        [f"{clean(name)} ({why})" for name, why in done.remains.unseen],
    )


def _named(what: str, names: list[str]) -> None:
    if names:
        warn(f"{what}:")
        for name in names[:NAMED]:
            say(f"  {clean(name)}")
        if len(names) > NAMED:
            say(f"  … and {len(names) - NAMED:,} more; --json lists them all")
