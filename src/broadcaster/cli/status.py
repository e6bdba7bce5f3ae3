"""status: where one mailing is, with every delivery on request; or what is going on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli import release as gate
from broadcaster.cli.house import House
from broadcaster.cli.prepare import hushed
from broadcaster.cli.say import (
    COLOURS,
    Tint,
    bar,
    clean,
    counts,
    dump,
    encoded,
    json_option,
    moment,
    number,
    out,
    say,
    style,
    table,
    warn,
    when,
    wrapped,
)
from broadcaster.errors import BroadcasterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broadcaster.mailing import Mailing


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings, required=False)
@click.option("--deliveries", is_flag=True, help="Every delivery with its last answer; with --json, JSON lines.")
@click.option(
    "--state",
    "only",
    metavar="STATE",
    shell_complete=complete.states,
    help="With --deliveries: only those in this state.",
)
@click.option(
    "--watch", "watching", is_flag=True, help="Look on until it stops, or nobody sends; with --json, JSON lines."
)
@json_option
@click.pass_obj
def status(
    house: House, mailing: int | None, deliveries: bool, only: str | None, watching: bool, as_json: bool
) -> None:
    """Tell where a mailing is, or what is going on.

    With --watch it is drawn in place each second, with how many go a second and how long that takes; where the
    output is no terminal, it is a line whenever something has changed. Ctrl-C ends the watching, and nothing else.

    \b
    Examples:
      broadcaster status
      broadcaster status 12
      broadcaster status 12 --watch
      broadcaster status 12 --deliveries --state in_doubt
      broadcaster status 12 --deliveries --json > record.jsonl

    \b
    Exit statuses: 0 told, 65 no such mailing, 78 configuration, 130 watching was interrupted.
    """
    _tell_older(house)
    if watching:
        if deliveries:
            raise click.UsageError("--watch shows figures, --deliveries each delivery: take one of them")
        _watched(house, mailing, as_json=as_json)
        return
    if mailing is None:
        if deliveries:
            raise click.UsageError("--deliveries needs a mailing's number")
        _going_on(house, as_json=as_json)
        return
    of = house.ledger.remembered(mailing) if deliveries else house.ledger.mailing(mailing)
    if deliveries:
        _deliveries(house, of, _state(only), as_json=as_json)
    elif as_json:
        returned = dict(house.bounces.tally(of.id))
        dump({**of.figures(), **gate.figures(house, of), **_now(house), "returned": returned})
    else:
        _told(house, of)


def _tell_older(house: House) -> None:
    """Whether this database was restored: what was sent since is not in these figures."""
    try:
        unheard = house.mark.ahead()
    except BroadcasterError as error:
        warn(str(error), error.hint)
        return
    if unheard:
        last = moment(max(stamp.at for stamp in unheard), house.config.time.zone)
        numbers = ", ".join(str(stamp.mailing) for stamp in unheard)
        warn(
            f"this database is older than the last sending ({last}): it was restored, and knows less of mailing"
            f" {numbers} than was sent",
            "the next `send`, `run` or `resolve` puts in doubt what may have been sent, so that nobody gets it twice",
        )


def _watched(house: House, mailing: int | None, *, as_json: bool) -> None:
    from broadcaster.cli.watch import watch

    seen = watch(house, mailing, as_json=as_json)
    if not seen:
        say("nothing is going on")
    for of in seen:
        for step in () if as_json else next_steps(house, of):
            say(f"next: {step}")


def _state(only: str | None) -> str | None:
    from broadcaster.delivery import State

    words = [state.word for state in State]
    if only is not None and only.replace(" ", "_") not in words:
        raise click.UsageError(f"--state takes one of {', '.join(words)}")
    return only.replace(" ", "_") if only else None


def _going_on(house: House, *, as_json: bool) -> None:
    going = [of for of in house.ledger.mailings() if not of.state.over]
    if as_json:
        dump([{**of.figures(), **gate.figures(house, of), **_now(house)} for of in going])
        return
    if not going:
        say("nothing is going on")
        return
    for of in going:
        _told(house, of)


def _told(house: House, of: Mailing) -> None:
    zone = house.config.time.zone
    state = style(of.state.word, fg=COLOURS.get(of.state.word), bold=True)
    kind = ", a rehearsal" if of.rehearsal else ""
    why = f" ({clean(of.reason)})" if of.reason else ""
    out(wrapped(f"mailing {of.id}: {clean(of.statement)} is {state}{kind}{why}", ""))
    due = f", due {of.window.shown}" if of.window.words else ""
    out(wrapped(f"prepared {when(of.created, house.now, zone)} by {of.who}{due}"))
    if words := gate.approved(house, of):
        out(wrapped(words))
    if of.state.word in ("scheduled", "sending") and (until := hushed(house)):
        out(f"  quiet until {until}")
    settled = of.audience - of.open
    out(f"  {bar(settled / of.audience if of.audience else 1)} {settled:,} of {of.audience:,} settled")
    out(wrapped(counts(of.words(), coloured=True)))
    if returned := house.bounces.tally(of.id):
        out(wrapped(f"came back: {counts(returned)}; `broadcaster bounces --mailing {of.id}` tells more"))
    if of.rule.where:
        out(wrapped(f"only where {clean(of.rule.where)}"))
    if of.left_out:
        out(wrapped("left out: " + ", ".join(f"{reason} {number:,}" for reason, number in of.left_out.items())))
    for each in _slowed(house) if of.state.word == "sending" else ():
        out(wrapped(_slow_words(each, house.now, zone)))
    if of.forgotten is not None:
        since = moment(of.forgotten, zone)
        out(wrapped(f"who got it is forgotten since {since}: these figures are all that is kept"))
    for step in next_steps(house, of):
        out(wrapped(f"{style('next:', bold=True)} {step}"))


def _now(house: House) -> dict[str, Any]:
    """What holds everything up at the moment."""
    from broadcaster import quiet

    return {"slowed": _slowed(house), "quiet_until": quiet.until(house.config, house.now)}


def _slowed(house: House) -> list[dict[str, Any]]:
    """The relays and destinations that said we are too fast: nothing goes there before `until`, then less."""
    from broadcaster.pace import Brake

    found = []
    for scope, state in house.ledger.paces():
        brake = Brake.of(state)
        if brake is not None and not brake.forgotten(house.now):
            kind, _, name = scope.partition(":")
            found.append({"kind": kind, "name": name, "until": int(brake.until), "share": round(brake.share, 3)})
    return found


def _slow_words(slow: dict[str, Any], now: int, zone: str | None) -> str:
    name = slow["name"] if slow["kind"] == "destination" else f"the relay {slow['name']}"
    rest = f"nothing goes there until {moment(slow['until'], zone)}, then " if slow["until"] > now else ""
    return f"slowed: {name} said we are too fast; {rest}{max(1, round(100 * slow['share']))} % of the usual pace"


def next_steps(house: House, of: Mailing) -> list[str]:
    """What to do next about a mailing, or who does it; nothing where nothing is to be done."""
    from broadcaster.lock import Lock
    from broadcaster.steps import ahead, lately

    found = ahead(
        of,
        now=house.now,
        ripe=house.ledger.next_ripe(of.id),
        cron=lately(house.ledger.seen("run"), house.now),
        at_work=Lock(house.workspace.lock).held(),
        awaited=gate.awaited(house, of),
    )
    return [each.said(lambda at: when(at, house.now, house.config.time.zone), number) for each in found]


def records(house: House, of: Mailing) -> Iterator[dict[str, Any]]:
    """Each delivery as JSON shows it; `address` is null for a person who is gone."""
    from broadcaster.press import Press

    press = Press(house.ledger.parts(of.id), house.ledger.content, house.signer, house.config)
    for page in house.ledger.deliveries(of):
        people = house.roster.people([row["subscriber"] for row in page])
        for row in page:
            person = people.get(row.pop("subscriber"))
            delivery = row.pop("id")
            yield {"address": person.address if person else None, **row, "message_id": press.message_id(delivery)}


def _deliveries(house: House, of: Mailing, only: str | None, *, as_json: bool) -> None:
    found = (row for row in records(house, of) if only in (None, row["state"]))
    if as_json:
        for row in found:
            out(encoded(row))
        return
    now, zone = house.now, house.config.time.zone
    table(
        ["address", "state", "tries", "when", "next", "relay", "answer"],
        (
            (
                row["address"] or "(gone)",
                Tint(row["state"].replace("_", " "), COLOURS.get(row["state"])),
                row["attempts"],
                when(row["at"], now, zone) if row["at"] else "",
                when(row["next"], now, zone) if row["next"] else "",
                row["relay"],
                f"{row['code'] or ''} {row['reply'] or ''}".strip(),
            )
            for row in found
        ),
        keep=["address", "state"],
        spare=["next"],
    )
