"""test: copies to ourselves, now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House
from broadcaster.cli.say import count, dry_run_option, dump, json_option, say, table
from broadcaster.errors import AddressError, BadData, NotAllowed, NotFound, Unfinished
from broadcaster.posting import Letter

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.merge import MergeTemplate
    from broadcaster.subscriber import Subscriber

PREFIX = "[Test] "
# copies for a whole list are no test
MOST = 50


@dataclass(slots=True, kw_only=True)
class Trial(Letter):
    """One copy to one address."""

    address: str
    language: str

    @property
    def state(self) -> str:
        from broadcaster.delivery import NEXT, State, judge

        if self.answer is None:
            return "pending"
        return NEXT.get((State.HANDED, judge(self.answer).event), State.PENDING).word

    @property
    def words(self) -> str:
        from broadcaster.delivery import told

        return told(self.answer) if self.answer is not None else ""


@click.command()
@click.argument("statement", shell_complete=complete.statements)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.option("--as", "reader", metavar="SUBSCRIBER", help="With the fields of this subscriber.")
@click.option("--language", metavar="LANG", help="Only this part.")
@dry_run_option
@json_option
@click.pass_obj
def test(
    house: House,
    statement: str,
    addresses: tuple[str, ...],
    reader: str | None,
    language: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Mail STATEMENT in every language to these addresses now, as a test.

    The subject begins with [Test], the links do nothing, and no figures count it. Works also while `check` finds
    errors, with the parts that can be made. Who is a subscriber sees their own fields, unless --as names another.

    \b
    Examples:
      broadcaster test clean-water office@example.org
      broadcaster test clean-water me@example.org --as ako@example.org --language ckb

    \b
    Exit statuses: 0 accepted, 65 a part cannot be made, or no such statement or subscriber, 69 no relay would
    talk to us, 75 some copies were not accepted, 77 the address must not be mailed.
    """
    from broadcaster.cli.render import chosen, complain, known

    allowed = _allowed(house, addresses)
    person = known(house, reader) if reader else None
    merges, faults = chosen(house, statement, language)
    trials, more = _written(house, statement, merges, allowed, person)
    if not dry_run and trials:
        try:
            asyncio.run(house.post(house.config.relays, trials))
        except Unfinished:
            _tell(house, trials, dry_run=dry_run, as_json=as_json)
            raise
    _tell(house, trials, dry_run=dry_run, as_json=as_json)
    complain(statement, [*faults, *more])
    missed = sum(trial.state != "accepted" for trial in trials)
    if missed and not dry_run:
        raise Unfinished(
            f"{missed} of {count(len(trials), 'copy', 'copies')} not accepted", hint="nothing is tried again"
        )


def _allowed(house: House, addresses: Sequence[str]) -> list[Address]:
    """The addresses, each once. Raises AddressError, and NotAllowed for who must not be mailed."""
    found = {address.key: address for address in map(_parsed, addresses)}
    if len(found) > MOST:
        raise BadData(f"{len(found)} addresses are no test: at most {MOST}", hint="`broadcaster send` mails a list")
    for address in found.values():
        barred = house.roster.suppression(address)
        if barred is not None:
            raise NotAllowed(
                f"must not be mailed ({barred.reason})",
                where=str(address),
                hint=f"`broadcaster why {address}` tells more",
            )
    return list(found.values())


def _parsed(text: str) -> Address:
    from broadcaster.address import Address

    try:
        return Address.parse(text)
    except AddressError as error:
        error.where = error.where or text[:80] or "''"
        raise


def _written(
    house: House, slug: str, merges: Sequence[MergeTemplate], to: Sequence[Address], person: Subscriber | None
) -> tuple[list[Trial], list[BadData]]:
    """A copy of each part for each address, and what is wrong with the parts that cannot be made."""
    from broadcaster.cli.copies import Copies, nobody

    trials: list[Trial] = []
    faults: list[BadData] = []
    for merge in merges:
        tag = merge.language
        try:
            copies = Copies(house, slug, [merge], prefix=PREFIX)
            for address in to:
                reader = person or house.roster.find(address) or nobody(str(address), tag)
                # whoever lends the fields, the mail goes to the one who asked for it
                envelope = copies.of(reader._replace(address=str(address)), tag, house.now)
                trials.append(Trial(address=str(address), language=tag, envelope=envelope))
        except BadData as error:
            if isinstance(error, NotFound):
                raise
            faults.append(error)
    return trials, faults


def _tell(house: House, trials: Sequence[Trial], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        dump(
            [
                {"address": trial.address, "language": trial.language, "state": trial.state, "reply": trial.words}
                for trial in trials
            ]
        )
    else:
        table(
            ("address", "language", "state", "reply"),
            [(trial.address, trial.language, trial.state, trial.words) for trial in trials],
        )
    if dry_run:
        say(f"{count(len(trials), 'copy', 'copies')} would be mailed")
    elif trials and house.config.rehearsal:
        say(f"This was a rehearsal: nothing was mailed to anybody. Look into {house.config.relays[0].path}/")
