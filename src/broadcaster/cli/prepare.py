"""prepare: freeze a statement and its audience. `send` shows and asks the same first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from broadcaster.cli import complete
from broadcaster.cli import release as gate
from broadcaster.cli.house import House
from broadcaster.cli.people import where_option
from broadcaster.cli.say import Command, clean, count, dry_run_option, dump, json_option, moment, say, span, warn

if TYPE_CHECKING:
    from broadcaster.broadcast import Order, Plan
    from broadcaster.mailing import Mailing
    from broadcaster.schedule import Window
    from broadcaster.surprise import Surprise


def _rules(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The rules of --force, looked up only where there are any."""
    from broadcaster.cli.check import forced

    return forced(context, parameter, values)


def who_options(command: Command) -> Command:
    """--list, --exclude, --where: who is meant."""
    for option in (
        where_option,
        click.option(
            "--exclude",
            shell_complete=complete.exclusions,
            metavar="LIST|@SEGMENT|mailing:N",
            multiple=True,
            help="Not who is on this list, in this segment, or in that mailing; may be given several times.",
        ),
        click.option(
            "--list",
            "lists",
            metavar="LIST",
            multiple=True,
            shell_complete=complete.lists,
            help="Who is on it; may be given several times.",
        ),
    ):
        command = option(command)
    return command


def audience_options(command: Command) -> Command:
    """--list, --exclude, --where, --at, --expires, --force: what `prepare` and `send` share."""
    for option in (
        click.option(
            "--force",
            metavar="RULE",
            multiple=True,
            callback=_rules,
            help="Go on although `check` finds errors of this rule; may be given several times.",
        ),
        click.option(
            "--expires",
            metavar="DURATION",
            help="Too late so long after --at, also for what has not gone by then: 90s, 5m, 12h, 3d. Without it, 12h:"
            " too late to begin.",
        ),
        click.option("--at", metavar="TIME", help='Not before: "2026-12-01 09:00", "tomorrow 9:00", "friday 18:00".'),
        who_options,
    ):
        command = option(command)
    return command


@click.command()
@click.argument("statement", shell_complete=complete.statements)
@audience_options
@dry_run_option
@json_option
@click.pass_obj
def prepare(
    house: House,
    statement: str,
    lists: tuple[str, ...],
    exclude: tuple[str, ...],
    where: str,
    at: str | None,
    expires: str | None,
    force: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Freeze STATEMENT and its audience as a mailing with a number.

    Who joins the list afterwards is not in it, and later changes of the files do not reach it. Nothing is
    mailed until `send NUMBER`; with --at, `run` from cron sends it when its time has come, or holds it when it is
    too late. In quiet hours and on days off nothing goes.

    \b
    Examples:
      broadcaster prepare clean-water --list news
      broadcaster prepare clean-water --list news --list members --exclude mailing:12
      broadcaster prepare clean-water --list news --where "city = Basra and not has tag staff"
      broadcaster prepare clean-water --list news --at "tomorrow 9:00" --expires 12h

    \b
    Exit statuses: 0 prepared, 65 the statement has errors or nobody would get it, 78 configuration.
    """
    from broadcaster import broadcast

    order = ordered(house, Asked(statement, lists, exclude, where, at, expires))
    found = planned(house, order, force)
    describe(house, found)
    unusual = gate.unusual(house, found)
    gate.tell(unusual)
    if dry_run:
        if as_json:
            dump(foreseen(house, found, unusual))
        return
    made = broadcast.prepare(house.config, house.roster, house.ledger, house.mark, found, house.now)
    if as_json:
        dump(made.figures())
    say(prepared_words(house, made))
    if unusual and made.window.due is not None:
        say(f"`run` holds what is unusual: `broadcaster send {made.id}` asks about it before, and sends nothing early")


class Asked(NamedTuple):
    """A statement, and the options about its audience and time as they were given."""

    slug: str
    lists: tuple[str, ...]
    exclude: tuple[str, ...]
    where: str
    at: str | None
    expires: str | None


def ordered(house: House, asked: Asked) -> Order:
    """What the options ask for. Raises UsageError where no list is named."""
    from broadcaster.broadcast import Order

    need_lists(house, asked.lists)
    window = _window(house, asked.at, asked.expires)
    return Order(asked.slug, asked.lists, asked.exclude, asked.where, window, house.person)


def need_lists(house: House, lists: Sequence[str]) -> None:
    """Raises UsageError where no list is named."""
    if not lists:
        names = [of.name for of in house.roster.lists()]
        hint = f"; there is {', '.join(names)}" if names else ": `broadcaster lists create NAME` makes one"
        raise click.UsageError(f"--list LIST is needed{hint}")


def _window(house: House, at: str | None, expires: str | None) -> Window:
    from broadcaster import quiet, schedule
    from broadcaster.settings import seconds

    if at is None:
        if expires is not None:
            raise click.UsageError("--expires goes with --at")
        return schedule.Window()
    return schedule.window(
        at,
        zone=house.zone,
        now=house.now,
        expires=seconds(expires, "--expires") if expires else None,
        opens=lambda due: quiet.until(house.config, due) or due,
    )


def planned(house: House, order: Order, force: Sequence[str] = ()) -> Plan:
    """The plan, after everything that can be found wrong before the first recipient.

    Raises CheckFailed (65) for errors of rules that `force` does not name.
    """
    from broadcaster import broadcast
    from broadcaster.cli.check import refuse_errors

    _ = house.signer, house.seal  # without the keys nothing can be mailed: say so before anything else
    refuse_errors(house, order, force)
    return broadcast.plan(house.workspace, house.config, house.roster, house.ledger, order)


def describe(house: House, plan: Plan) -> None:
    """How many, in which languages, who is left out and why, and how long it takes."""
    where = f" where {clean(plan.rule.where)}" if plan.rule.where else ""
    say(f"{plan.order.slug}: to {count(plan.audience, 'person', 'people')} on {', '.join(plan.order.lists)}{where}")
    tell_people(plan.chosen, plan.fallbacks, plan.left_out)
    say(f"  through:   {ways(house)}")
    say(f"  takes:     {duration(house, plan.audience)}")
    for word, told in _times(house, plan.order.window):
        say(f"  {word + ':':<10} {told}")
    for of, number in _repeated(house, plan):
        words = f"{count(number, 'of them is', 'of them are')} in mailing {of.id} of {of.statement} too"
        warn(f"{words}, and may get it twice", hint=f"--exclude mailing:{of.id} leaves them out")


def _times(house: House, of: Window) -> Iterator[tuple[str, str]]:
    """When it goes, and when it is too late."""
    from broadcaster import quiet

    if of.moment is not None and of.ends is not None:
        yield "due", of.shown + (f"; {of.note}" if of.note else "")
        ends = f"{moment(of.ends, house.zone)} {house.zone or 'here'}"
        late = "what has not gone by then expires" if of.closes else "later it is not begun, but held"
        yield "until", f"{ends}: {late}"
    if (until := quiet.until(house.config, of.moment or house.now)) is not None:
        now = "" if of.moment else "; `send --now` does not wait for that"
        yield "quiet", f"until {moment(until, house.config.time.zone)}: nothing goes before{now}"


def tell_people(chosen: Mapping[str, int], fallbacks: Mapping[str, int], left_out: Mapping[str, int]) -> None:
    """How many get which language, for want of their own or not, and who is left out and why."""
    from broadcaster import language

    def named(tags: Iterable[tuple[str, int]]) -> str:
        return ", ".join(f"{language.name(tag) if tag else 'none known'} {number:,}" for tag, number in tags)

    if chosen:
        say(f"  languages: {named(sorted(chosen.items(), key=lambda item: -item[1]))}")
    if fallbacks:
        say(f"  fallback:  {named(sorted(fallbacks.items()))} get another language, for want of their own")
    if left_out:
        say("  left out:  " + ", ".join(f"{reason} {number:,}" for reason, number in left_out.items()))


def _repeated(house: House, plan: Plan) -> Iterator[tuple[Mailing, int]]:
    """The earlier mailings of the same statement that went, or will go, to people of this plan; to how many."""
    from broadcaster import gathering

    for of in house.ledger.mailings(statement=plan.order.slug):
        gone = of.rehearsal or (of.untouched and of.state.over)
        if not gone and of.rule != plan.rule and (number := gathering.shared(house.db, of.first, of.last)):
            yield of, number


def ways(house: House) -> str:
    """The relays with their limits, in words."""
    if house.config.rehearsal:
        return f"{house.config.relays[0].path}/ (a rehearsal: nothing is mailed to anybody)"
    return ", ".join(
        f"{relay.name} ({relay.host}; {', '.join(map(str, relay.limits)) or 'no limit'})"
        for relay in house.config.relays
    )


def duration(house: House, number: int) -> str:
    """How long so many take at the limits of all relays together: who has used up a limit hands over to the others."""
    from broadcaster.pace import duration_together

    slower = any(each.limits for each in house.config.destinations)
    more = "; a destination with limits of its own may take longer" if slower else ""
    time = house.config.time
    if not house.config.rehearsal and (time.quiet or time.weekdays_off or time.dates_off):
        more += "; quiet hours and days off come on top"
    if not all(relay.limits for relay in house.config.relays):
        return f"as long as the relay needs: no limit is set{more}"
    seconds = duration_together([relay.limits for relay in house.config.relays], number)
    return f"{'about ' + span(seconds) if seconds >= 1 else 'less than a second'} at these limits{more}"


def foreseen(house: House, plan: Plan, unusual: Sequence[Surprise]) -> dict[str, Any]:
    """The JSON of a dry run: what a mailing would be."""
    from broadcaster.delivery import State
    from broadcaster.schedule import stamp

    tally = {state.word: 0 for state in State}
    return {
        "mailing": None,
        "statement": plan.order.slug,
        "state": "ready" if plan.order.window.due is None else "scheduled",
        "audience": plan.audience,
        "rehearsal": house.config.rehearsal,
        "where": plan.rule.where or None,
        "due": plan.order.window.words or None,
        "due_utc": stamp(plan.order.window.moment),
        "expires_utc": stamp(plan.order.window.ends),
        **tally,
        "pending": plan.audience,
        "left_out": plan.left_out,
        "languages": plan.chosen,
        "fallbacks": plan.fallbacks,
        "surprises": gate.listed(unusual),
    }


def prepared_words(house: House, made: Mailing) -> str:
    """What was prepared, and what to do next."""
    words = f"mailing {made.id} is prepared for {count(made.audience, 'person', 'people')}; who joins now is not in it."
    if made.window.due is not None:
        words = f"{words}\nIt is due at {made.window.shown}, {whose_turn(house)}"
    if gate.awaited(house, made):
        return f"{words}\nIt waits for approval, by anybody but {made.who}: broadcaster approve {made.id}"
    return words if made.window.due is not None else f"{words}\nNext: broadcaster send {made.id}"


def whose_turn(house: House) -> str:
    """Who will send what waits."""
    from broadcaster.steps import lately

    if lately(house.ledger.seen("run"), house.now):
        return "sent by `broadcaster run` from cron"
    return (
        "sent by nobody yet: no `broadcaster run` was seen in the last hour;"
        " `broadcaster schedule install` lets cron call it every five minutes"
    )


def hushed(house: House) -> str:
    """Until when it is quiet, as a clock shows it, where that holds up what would go now; else ""."""
    from broadcaster import quiet

    until = quiet.until(house.config, house.now)
    return moment(until, house.config.time.zone) if until is not None else ""
