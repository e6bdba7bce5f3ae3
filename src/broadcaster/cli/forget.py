"""forget: what is no longer kept."""

from __future__ import annotations

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import Progress, count, dry_run_option, dump, json_option, say


@click.command()
@dry_run_option
@json_option
@click.pass_obj
def forget(house: House, dry_run: bool, as_json: bool) -> None:
    """Forget what [retention] no longer keeps: who got old mailings, and returned mail.

    Of a mailing that has been over for longer than [retention] deliveries, its figures and its text stay; who got it,
    what relays said of each delivery, files for one person alone and whom the bounce log is about are overwritten. Of
    returned mail, what it meant stays, and its text goes after [retention] returns. `run` does the same once a day.
    One person is forgotten by `subscribers erase`.

    \b
    Examples:
      broadcaster forget --dry-run
      broadcaster forget

    \b
    Exit statuses: 0 forgotten, or there was nothing to forget; 73 cannot write; 78 configuration.
    """
    from broadcaster import lapsing
    from broadcaster.oblivion import Oblivion

    oblivion = Oblivion(house.db)
    if dry_run:
        told = lapsing.due(oblivion, house.bounces, house.config, house.now)
    else:
        progress = Progress()

        def show(done: int) -> None:
            progress.show(lambda: f"{count(done, 'delivery', 'deliveries')} forgotten")

        told = lapsing.lapse(oblivion, house.bounces, house.config, house.now, progress=show)
        progress.done()
        if told.anything:
            # where rows have moved from page to page before, only a fresh copy is free of them
            house.erasure.scrub()
    if as_json:
        dump(
            {
                "mailings": told.mailings,
                "deliveries": told.deliveries,
                "bounces": told.entries,
                "messages": told.messages,
                "changes": told.changes,
            }
        )
        return
    if not told.anything:
        say("nothing is older than [retention] wants it")
        return
    would = "would be forgotten" if dry_run else "forgotten"
    deliveries = count(told.deliveries, "delivery", "deliveries")
    say(
        f"{would}: {deliveries} of {count(len(told.mailings), 'mailing')}, {count(told.entries, 'other row')} of the"
        f" bounce log, the text of {count(told.messages, 'returned message')}, what imports changed of"
        f" {count(told.changes, 'person', 'people')}"
    )
