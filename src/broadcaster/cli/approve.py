"""approve: a second person's release of exactly what somebody else has prepared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli import release as gate
from broadcaster.cli.house import House, tried
from broadcaster.cli.prepare import tell_people, whose_turn
from broadcaster.cli.say import clean, count, dry_run_option, dump, json_option, moment, say, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broadcaster.mailing import Mailing
    from broadcaster.surprise import Surprise


def _prefix(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """The beginning of a digest, however it is parted."""
    digest = "".join((value or "").split()).lower()
    if value is not None and not (len(digest) >= 8 and set(digest) <= set("0123456789abcdef")):
        raise click.BadParameter("give at least the first eight of its letters and figures")
    return digest


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings)
@click.option("--digest", metavar="PREFIX", callback=_prefix, help="Only if its digest begins so: what you looked at.")
@dry_run_option
@json_option
@click.pass_obj
def approve(house: House, mailing: int, digest: str, dry_run: bool, as_json: bool) -> None:
    """Release a mailing that somebody else has prepared: exactly what it is now.

    With approvals = 1 in [safety], nothing goes out without it. It is of the mailing's digest: text, attachments,
    people, their lists and languages, filter and time; one byte that is changed later voids it. You are who logged in,
    also behind sudo. Nothing is sent by this: `send MAILING` does, or cron when the time has come.

    \b
    Examples:
      broadcaster approve 12 --dry-run
      broadcaster approve 12 --digest 4f0c12ab

    \b
    Exit statuses: 0 approved, 65 no such mailing, 77 you prepared it yourself, it has begun, or its digest is another,
    78 what is in the database is not what was prepared.
    """
    from broadcaster import release

    with tried(house.db, dry_run=dry_run):
        done = release.approve(house.ledger, house.config, mailing, house.person, digest, house.now)
        of = house.ledger.mailing(mailing)
        figures = {**of.figures(), **_told(house, of, done.surprises), **gate.figures(house, of)}
    if as_json:
        dump(figures)
    if dry_run:
        say("nothing was approved: without --dry-run it is, and as long as it is this digest")
        return
    say(f"mailing {of.id} {'is' if done.new else 'was already'} approved by {house.who}")
    if of.state.word == "scheduled":
        say(f"It is due at {of.window.shown}, {whose_turn(house)}")
    else:
        say(f"Next: broadcaster {'resume' if of.state.word in ('paused', 'held') else 'send'} {of.id}")


def _told(house: House, of: Mailing, unusual: Sequence[Surprise]) -> dict[str, Any]:
    """Say what a mailing is, so that whoever approves it knows; and the same for JSON."""
    from broadcaster import precedents
    from broadcaster.approval import short
    from broadcaster.press import Frozen

    parts = house.ledger.parts(of.id)
    chosen, fallbacks = Counter[str](), Counter[str]()
    for (tag, place), number in precedents.readers(house.db, of).items():
        given = parts[place].language
        chosen[given] += number
        if tag and tag.split("-")[0] != given.split("-")[0]:
            fallbacks[tag] += number
    names = precedents.named(house.db)
    where = f" where {clean(of.rule.where)}" if of.rule.where else ""
    lists = ", ".join(names.get(each, "?") for each in of.rule.lists)
    say(f"mailing {of.id}: {of.statement}, prepared {moment(of.created, house.config.time.zone)} by {of.who}")
    say(f"  to:        {count(of.audience, 'person', 'people')} on {lists}{where}")
    tell_people(chosen, fallbacks, of.left_out)
    for part in parts:
        frozen = Frozen.from_json(part.template)
        files = f", with {clean(', '.join(frozen.files))}" if frozen.files else ""
        say(f"  subject:   {clean(frozen.merge.subject)} ({part.language}{files})")
    say(f"  goes out:  {f'at {of.window.shown}' if of.window.words else 'when somebody sends it'}")
    say(f"  digest:    {short(of.digest)}")
    _tell_changed(house, of)
    gate.tell(unusual)
    return {
        "languages": dict(chosen),
        "fallbacks": dict(fallbacks),
        "surprises": gate.listed(unusual),
    }


def _tell_changed(house: House, of: Mailing) -> None:
    """Whether the files still say what was frozen, so that looking at them is looking at this."""
    from broadcaster import broadcast

    if broadcast.changed_since(house.workspace, house.config, house.roster, of):
        warn(
            f"statements/{of.statement} says something else now than what was prepared, and what was prepared is sent",
            hint=f"`broadcaster cancel {of.id}`, and prepare it again, if it should say what it says now",
        )
    else:
        say(f"  look:      broadcaster render {of.statement} -o DIR shows it; so does `test` in your mailbox")
