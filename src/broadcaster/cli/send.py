"""send: prepare if needed, ask, and send what is due; what cron's `run` shares is here too."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli import release as gate
from broadcaster.cli.house import House
from broadcaster.cli.prepare import (
    Asked,
    audience_options,
    describe,
    foreseen,
    hushed,
    ordered,
    planned,
    prepared_words,
    whose_turn,
)
from broadcaster.cli.say import (
    Progress,
    ask,
    bar,
    count,
    counts,
    dry_run_option,
    dump,
    interactive,
    json_option,
    moment,
    say,
    span,
    warn,
    yes_option,
)
from broadcaster.cli.staff import note_relays, tell_staff
from broadcaster.errors import (
    Interrupted,
    NotAllowed,
    NotApproved,
    RelayUnavailable,
    SenderAtWork,
    Unanswered,
    Unfinished,
)

if TYPE_CHECKING:
    from broadcaster.broadcast import Order, Recovery
    from broadcaster.lock import Lock
    from broadcaster.mailing import Mailing
    from broadcaster.sending import Turn, Watch


@click.command()
@click.argument("statement", metavar="STATEMENT|MAILING", shell_complete=complete.statements_and_mailings)
@audience_options
@click.option("--now", is_flag=True, help="In quiet hours and on days off, too.")
@click.option("--wait", is_flag=True, help="Stay until nothing waits any more: deferred deliveries are tried again.")
@click.option("--again", is_flag=True, help="Make a new mailing although this one was sent already.")
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def send(
    house: House,
    statement: str,
    lists: tuple[str, ...],
    exclude: tuple[str, ...],
    where: str,
    at: str | None,
    expires: str | None,
    force: tuple[str, ...],
    now: bool,
    wait: bool,
    again: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send a mailing: prepare it if needed, then send what is due, once through.

    Says first how many get it, in which languages, who is left out and why, and how long it takes; then asks. What is
    unusual (far more people than last time, a list that was long silent, the same once more) is asked about by itself.
    An unfinished mailing is resumed, never repeated; a finished one only with --again. Through a maildir: relay
    it is a rehearsal and counts as nothing sent. Ctrl-C stops cleanly; the same command goes on. In quiet hours and
    on days off nothing goes but with --now: `run` from cron sends it then, or this command with --wait.

    \b
    Examples:
      broadcaster send clean-water --list news
      broadcaster send 12 --wait
      broadcaster send clean-water --list news --at "tomorrow 9:00" --yes

    \b
    Exit statuses: 0 done or scheduled, 2 not confirmed, 65 the statement has errors or nobody would get it,
    69 no relay would talk to us, 75 not finished: run it again, 77 paused, not approved or already sent,
    130 interrupted.
    """
    from broadcaster.workspace import refuse_elsewhere

    if not yes and not dry_run and not interactive():
        raise Unanswered("nobody is here to be asked, so nothing was sent", hint="add --yes")
    refuse_elsewhere(house.workspace.root)
    if now:
        if at:
            raise click.UsageError("--now is not --at")
        house.hurry()
    if statement.isdigit():
        if lists or exclude or where or at or again or force:
            raise click.UsageError(
                "a mailing's number takes no --list, --exclude, --where, --at, --force or --again: it is frozen"
            )
        of: Mailing | dict[str, Any] = _numbered(house, int(statement), yes=yes, dry_run=dry_run)
    else:
        asked = Asked(statement, lists, exclude, where, at, expires)
        of = _found_or_made(house, asked, force=force, again=again, yes=yes, dry_run=dry_run)
    if not isinstance(of, dict) and not dry_run:
        carry(house, of, wait=wait, as_json=as_json)
    elif as_json:
        dump(of if isinstance(of, dict) else of.figures())


def _numbered(house: House, number: int, *, yes: bool, dry_run: bool) -> Mailing:
    """The mailing of a number: by that a person means this one, also when it is too late."""
    of = house.ledger.mailing(number)
    if of.state.word == "finished":
        raise already_sent(of)
    resuming(house, of, yes=yes, dry_run=dry_run)
    return of


def _found_or_made(
    house: House, asked: Asked, *, force: tuple[str, ...], again: bool, yes: bool, dry_run: bool
) -> Mailing | dict[str, Any]:
    """The mailing that a statement means: the unfinished one, or a new one. A dry run's is only foreseen."""
    from broadcaster import broadcast, choosing, release

    config, roster, ledger, slug = house.config, house.roster, house.ledger, asked.slug
    house.workspace.statement(slug)  # an unknown name is told before anything else
    wanted = ordered(house, asked) if asked.lists else None
    rule = choosing.find_rule(roster, ledger, asked.lists, asked.exclude, asked.where) if wanted else None
    found = broadcast.earlier(ledger, slug, rule, rehearsal=config.rehearsal)
    going = broadcast.unfinished(found)
    if going is not None and not again:
        if asked.at or asked.expires or ((asked.exclude or asked.where) and not asked.lists):
            raise NotAllowed(
                f"{slug} is prepared already, as mailing {going.id}: its time and audience are frozen",
                hint=f"`broadcaster cancel {going.id}` drops it; `broadcaster send {going.id}` goes on with it",
            )
        if broadcast.changed_since(house.workspace, config, roster, going):
            _sure(f"{slug} has changed", going, "text")
        if others := choosing.meant_since(roster, going.rule):
            _sure(f"what {', '.join(f'@{name}' for name in others)} means has changed", going, "audience")
        if going.state.word == "held" or (going.state.word == "scheduled" and going.late(house.now)):
            release.refuse_unapproved(ledger, config, going)
            _refuse_late(going)
        resuming(house, going, yes=yes, dry_run=dry_run)
        return going
    over = [one for one in found if one.state.over and not one.rehearsal and not one.untouched]
    if over and not again:
        raise already_sent(over[0])
    if not again and (lost := broadcast.forgotten(ledger, house.mark, slug)):
        raise NotAllowed(
            f"{slug} was sent as mailing {lost.mailing} until {moment(lost.at, config.time.zone)}, and this database"
            " knows nothing of it: it was restored from an older copy",
            hint="--again makes a new mailing to everyone",
        )
    if not again and not config.rehearsal and (made := broadcast.perhaps_sent(ledger, slug)):
        raise NotAllowed(
            f"this workspace was restored from a backup of {moment(made, config.time.zone)}, and {slug} may have been"
            " sent since",
            hint="where it was not, --again makes a new mailing to everyone: docs/backup.md tells how to find out",
        )
    return _made(house, wanted or ordered(house, asked), force, yes=yes, dry_run=dry_run)


def _made(house: House, order: Order, force: tuple[str, ...], *, yes: bool, dry_run: bool) -> Mailing | dict[str, Any]:
    from broadcaster import broadcast

    plan = planned(house, order, force)
    describe(house, plan)
    unusual = gate.unusual(house, plan)
    if dry_run:
        gate.tell(unusual)
        return foreseen(house, plan, unusual)
    gate.sure(unusual, yes=yes)
    people = count(plan.audience, "person", "people")
    if plan.order.window.due is not None:
        ask(f"Schedule it for {plan.order.window.words}?", yes=yes)
    elif house.config.safety.approvals and not house.config.rehearsal:
        ask(f"Prepare it for {people}, so that somebody else can approve it?", yes=yes)
    else:
        ask(f"Send to {people} {_when(house)}?", yes=yes)
    made = broadcast.prepare(house.config, house.roster, house.ledger, house.mark, plan, house.now)
    gate.confirmed(house, made, unusual)
    say(f"mailing {made.id} is prepared; who joins now is not in it.")
    return made


def resuming(house: House, of: Mailing, *, yes: bool, dry_run: bool) -> None:
    """Say what is left of a mailing, and ask."""
    from broadcaster import release
    from broadcaster.cli.prepare import duration, ways

    if of.state.word == "paused":
        why = f" ({of.reason})" if of.reason else ""
        raise NotAllowed(f"mailing {of.id} is paused{why}", hint=f"`broadcaster resume {of.id}` lets it go on")
    if of.state.word == "cancelled":
        raise NotAllowed(f"mailing {of.id} was cancelled", hint="`broadcaster send STATEMENT --again` makes a new one")
    if of.state.word == "scheduled" and of.window.moment is not None and of.window.moment > house.now:
        say(f"mailing {of.id} of {of.statement} is due {of.window.shown}: {counts(of.words())}")
        _meant(house, of, yes=yes, dry_run=dry_run)
        return
    release.refuse_unapproved(house.ledger, house.config, of)
    verb = "begins" if of.untouched else "goes on"
    say(f"mailing {of.id} of {of.statement} {verb}: {counts(of.words())}")
    say(f"  through: {ways(house)}")
    say(f"  takes:   {duration(house, of.open)}")
    late = of.state.word in ("scheduled", "held") and of.late(house.now)
    if late:
        warn(f"it was due at {of.window.words}, and it is too late for it")
    _meant(house, of, yes=yes, dry_run=dry_run)
    if not dry_run:
        ask(f"Send to {count(of.open, 'person', 'people')} {_when(house)}{' all the same' if late else ''}?", yes=yes)


def _when(house: House) -> str:
    until = hushed(house)
    return f"from {until} on" if until else "now"


def _refuse_late(of: Mailing) -> None:
    """A script that means a statement does not mean it at any time. Raises NotAllowed where there is nobody to ask."""
    if not interactive():
        raise NotAllowed(
            f"mailing {of.id} is held ({of.reason})" if of.reason else f"mailing {of.id} was due at {of.window.words}",
            hint=f"`broadcaster send {of.id}` sends it all the same, `broadcaster cancel {of.id}` drops it",
        )


def _meant(house: House, of: Mailing, *, yes: bool, dry_run: bool) -> None:
    """Tell what is unusual about a prepared mailing, and have a person say that it is meant."""
    from broadcaster import release

    unusual = release.unusual(house.ledger, house.config, of, house.now)
    if dry_run:
        gate.tell(unusual)
        return
    gate.sure(unusual, yes=yes)
    gate.confirmed(house, of, unusual)


def _sure(changed: str, going: Mailing, what: str) -> None:
    """Go on with what was frozen, only by a person's word. Raises NotAllowed where there is nobody to ask."""
    words = f"{changed} since mailing {going.id} was prepared"
    if not interactive():
        raise NotAllowed(
            words,
            hint=f"`broadcaster send {going.id}` sends the {what} as it was, `broadcaster cancel {going.id}` drops it",
        )
    ask(f"{words}. Go on with the {what} as it was?", yes=False)


def already_sent(of: Mailing) -> NotAllowed:
    """A mailing that is over is not gone on with."""
    if of.rehearsal:
        return NotAllowed(
            f"mailing {of.id} was a rehearsal, and is over",
            hint=f"`broadcaster send {of.statement} --list LIST` makes another",
        )
    ended = "cancelled after some of it went out" if of.state.word == "cancelled" else "sent"
    return NotAllowed(
        f"{of.statement} was {ended} as mailing {of.id}",
        hint=f"`broadcaster status {of.id}` tells how; --again makes a new mailing to everyone",
    )


def carry(house: House, of: Mailing, *, wait: bool, as_json: bool) -> None:
    """Begin a mailing and send, or hand it over to the sender at work. Raises what the exit status says."""
    from broadcaster import broadcast
    from broadcaster.lock import Lock

    click.get_current_context().call_on_close(lambda: tell_staff(house))
    _ = house.signer, house.seal  # without the keys nothing is begun
    since = house.now
    tell_clock(house)
    try:
        of = broadcast.begin(house.ledger, house.config, of.id, since)
    except NotApproved:
        if as_json:
            dump(of.figures())
        raise
    if of.state.word == "scheduled":
        if as_json:
            dump(of.figures())
        say(prepared_words(house, of))
        return
    tell_expired(broadcast.close_late(house.ledger, since))
    lock = Lock(house.workspace.lock)
    house.urgent = of.id
    try:
        recovered = broadcast.take_over(house.ledger, lock, house.config, house.now, house.mark, (of.id,))
    except SenderAtWork as error:
        if as_json:
            dump(house.ledger.mailing(of.id).figures())
        raise SenderAtWork(
            f"mailing {of.id} was handed over: {error.message}", hint=f"`broadcaster status {of.id}` tells how it goes"
        ) from None
    tell_recovered(house, recovered)
    turn = released(house, lock, [of.id], since=since, wait=wait)
    weigh(house)
    of = house.ledger.mailing(of.id)
    if as_json:
        dump(of.figures())
    conclude(house, of, turn)


def tell_clock(house: House) -> None:
    """Whether the clock was set back: told once."""
    from broadcaster import broadcast

    if back := broadcast.set_back(house.ledger, house.now):
        warn(f"the clock moved back {span(back)}: what was put off waits so much longer, and nothing goes twice")


def tell_expired(closed: Mapping[int, int]) -> None:
    """Who does not get a mailing any more, because its time is over."""
    for number, people in closed.items():
        say(f"mailing {number}: its time is over, and {count(people, 'person does', 'people do')} not get it")


def weigh(house: House) -> None:
    """Who was refused as dead is not mailed again."""
    from broadcaster.cli.collect import refusals, tell_refused

    tell_refused(refusals(house))


def released(house: House, lock: Lock, numbers: list[int], *, since: int, wait: bool, quiet: bool = False) -> Turn:
    """Work, and give the lock back. Who handed a mailing over in the very last moment is not forgotten.

    `since`: a moment before the lock was taken (epoch seconds).
    """
    from broadcaster import broadcast

    while True:
        try:
            turn = worked(house, numbers, since=since, wait=wait, quiet=quiet)
        finally:
            lock.release()
        if turn.stopped or not (more := turn.handed_over()):
            return turn
        try:
            broadcast.take_over(house.ledger, lock, house.config, house.now, house.mark, (*numbers, *more))
        except SenderAtWork:
            return turn
        numbers = list(dict.fromkeys(numbers + more))


def tell_recovered(house: House, recovered: Recovery) -> None:
    """What the last sender left behind, and, loudly, what a restored database has forgotten."""
    if recovered.back or recovered.doubt:
        say(f"the last sender died: {recovered.back} were not sent and wait again, {recovered.doubt} in doubt, 0 lost")
    if recovered.restored or recovered.lost:
        tell_restored(house, recovered)
    if recovered.damaged:
        warn(
            f"subscribers/ledger.mark is damaged: whether this database knows all that was sent of mailing"
            f" {', '.join(map(str, recovered.damaged))} cannot be told"
        )


def tell_restored(house: House, recovered: Recovery) -> None:
    """This database was restored from before the last sending: who may have got it, and what to do."""
    from broadcaster.mailing import fingerprint

    warn(f"this database is older than the last sending ({moment(recovered.last, house.config.time.zone)})")
    for number, doubt in recovered.restored.items():
        of = house.ledger.mailing(number)
        say(f"  mailing {number} of {of.statement}: {doubt:,} may have got it and are in doubt; it is {of.state.word}")
    for stamp in recovered.lost:
        name = next((slug for slug in house.workspace.slugs() if fingerprint(slug) == stamp.statement), "a statement")
        say(f"  mailing {stamp.mailing} of {name} is not in it at all: who got it is not known here")
    if any(recovered.restored.values()):
        number = next(number for number, doubt in recovered.restored.items() if doubt)
        say(f"  hint: `broadcaster resolve {number} --from-log FILE` asks the relay's log; or --accept, or --resend")


def worked(house: House, numbers: list[int], *, since: int, wait: bool, quiet: bool = False) -> Turn:
    """Send under way, with progress, until it is through or somebody presses Ctrl-C."""
    from broadcaster.sending import Turn, Watch

    watch = Watch()
    progress = Progress()
    totals = sum(house.ledger.mailing(number).open for number in numbers)
    # who stops in the middle leaves doubts behind
    house.db.want_room(totals)
    turn = Turn(house.hands, house.engine, watch, since)

    def drawn() -> str:
        return _progress_line(watch, totals, house.clock())

    def slowed(scope: str, until: float) -> None:
        progress.done()
        kind, _, name = scope.partition(":")
        who = f"the relay {name}" if kind == "relay" else name
        say(f"{who} says that we are too fast: nothing goes there until {moment(int(until), house.config.time.zone)}")

    if not quiet:
        watch.changed = lambda: progress.show(drawn)
        watch.slowed = slowed

    def idle(until: int) -> None:
        progress.done()
        why = "while it is quiet" if hushed(house) else "for what was deferred"
        say(f"waiting until {moment(until, house.config.time.zone)} {why}; Ctrl-C stops")

    async def work() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def pressed() -> None:
            if turn.stopped:
                task.cancel()
                return
            turn.stop()
            # last: the terminal may be what has gone
            progress.done()
            say("stopping: what is on the wire ends first; Ctrl-C again breaks it off")

        # a terminal that is closed stops us too, unless we are to outlive it (nohup)
        hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
        for kind in (signal.SIGINT, signal.SIGTERM, *hangup):
            loop.add_signal_handler(kind, pressed)
        await turn.work(numbers, wait=wait, idle=idle)

    try:
        looped(work())
    except asyncio.CancelledError:
        pass  # broken off: what was on the wire is in doubt, and the ledger says so
    finally:
        progress.done()
    note_relays(house, turn)
    return turn


def looped(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, which halves what a message costs; on asyncio's own loop where it cannot be had."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        from uvloop import new_event_loop as factory
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


def _progress_line(watch: Watch, total: int, now: float) -> str:
    elapsed = max(now - watch.started, 0.001)
    done = sum(watch.outcomes.values())
    rate = done / elapsed
    left = f", {span((total - done) / rate)} left" if rate and done < total else ""
    words = {event.name.lower(): number for event, number in watch.outcomes.items()}
    names = {"accept": "accepted", "defer": "deferred", "reject": "rejected", "lose": "in doubt", "miss": "missed"}
    told = counts({names.get(name, name): number for name, number in words.items()})
    return f"{bar(done / total if total else 1)} {done:,} of {total:,}: {told}; {rate:,.1f}/s{left}"


def conclude(house: House, of: Mailing, turn: Turn) -> None:
    """The last words of a `send`, and its exit status."""
    from broadcaster.delivery import told

    say(f"mailing {of.id}: {counts(of.words())} of {of.audience:,}; {of.state.word}")
    if of.rehearsal:
        say(f"This was a rehearsal: nothing was mailed to anybody. Look into {house.config.relays[0].path}/")
    for relay, answer in turn.down.items():
        warn(f"relay {relay}: {told(answer)}")
    again = f"`broadcaster send {of.id}` goes on"
    if turn.stopped:
        raise Interrupted(
            "stopped cleanly; nobody is lost", hint=f"{again}; so does cron's `run`, unless you `pause {of.id}`"
        )
    if of.state.word == "paused":
        raise Unfinished(f"mailing {of.id} was paused: {of.reason}", hint=f"`broadcaster resume {of.id}`, then {again}")
    if of.state.word == "cancelled":
        raise NotAllowed(f"mailing {of.id} was cancelled")
    if of.state.word == "finished":
        return
    refuse_if_nobody_talked(house, turn, again)
    _say_what_waits(house, of)
    raise Unfinished(f"mailing {of.id} is not finished", hint=again)


def refuse_if_nobody_talked(house: House, turn: Turn, hint: str) -> None:
    """Raises RelayUnavailable (69) when every relay is down and none took anything."""
    from broadcaster.delivery import told

    if len(turn.down) == len(house.config.relays) and not turn.accepted:
        relay, answer = next(iter(turn.down.items()))
        raise RelayUnavailable(f"no relay would talk to us: {told(answer)}", where=f"relays.{relay}", hint=hint)


def _say_what_waits(house: House, of: Mailing) -> None:
    from broadcaster.delivery import State

    if of.waiting and (quiet := hushed(house)):
        say(f"quiet until {quiet}: {of.waiting:,} wait, {whose_turn(house)}; `send {of.id} --now` does not wait")
    elif of.tally.get(State.DEFERRED):
        until = house.ledger.next_ripe(of.id)
        when = f" until {moment(until, house.config.time.zone)}" if until is not None else ""
        say(f"{of.tally[State.DEFERRED]:,} deferred{when}, {whose_turn(house)}")
    if of.tally.get(State.IN_DOUBT):
        say(
            f"{of.tally[State.IN_DOUBT]:,} in doubt: may have been delivered, or not."
            f" `broadcaster status {of.id} --deliveries` names them, `broadcaster resolve {of.id}` settles them"
        )
