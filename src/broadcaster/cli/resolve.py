"""resolve: deliveries in doubt, settled by a person's word or by the relay's log."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import IO, TYPE_CHECKING, cast

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House, tried
from broadcaster.cli.say import (
    Progress,
    ask,
    clean,
    count,
    counts,
    dry_run_option,
    dump,
    json_option,
    moment,
    say,
    warn,
    yes_option,
)
from broadcaster.errors import BadData, SenderAtWork, Unanswered

if TYPE_CHECKING:
    from broadcaster.mailing import Mailing
    from broadcaster.maillog import Log, Span
    from broadcaster.settling import Told

BLOCK = 1 << 20


@click.command()
@click.argument("mailing", type=int, shell_complete=complete.mailings)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option("--resend", is_flag=True, help="They are sent once more; somebody may get it twice.")
@click.option("--accept", is_flag=True, help="They are taken as accepted; somebody may have got nothing.")
@click.option(
    "--from-log",
    "logs",
    metavar="FILE...",
    multiple=True,
    help="They are looked up in the relay's log (Postfix), plain or gzipped; - reads standard input.",
)
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def resolve(
    house: House,
    mailing: int,
    addresses: tuple[str, ...],
    resend: bool,
    accept: bool,
    logs: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Settle the deliveries in doubt of MAILING.

    In doubt is what was handed over without an answer: it may have been delivered, or not. The relay's log
    knows, by Message-ID: with --from-log, what was queued there is accepted, what bounced there is bounced, what was
    refused there goes back to what a refusal means, and what is not in it stays in doubt. Several files may follow
    --from-log, in any order. A copy that is sent again carries the same Message-ID, so that most mailboxes drop
    the twin.

    \b
    Examples:
      broadcaster resolve 12 --from-log /var/log/mail.log.1 /var/log/mail.log
      ssh relay journalctl -u 'postfix*' --since yesterday | broadcaster resolve 12 --from-log - --yes
      broadcaster resolve 12 --accept
      broadcaster resolve 12 samira@example.org --resend

    \b
    Exit statuses: 0 settled, 2 not confirmed, 65 no such mailing or delivery, or a log that cannot be read.
    """
    from broadcaster import settling

    if resend + accept + bool(logs) != 1:
        raise click.UsageError("say --resend, --accept or --from-log FILE")
    if logs:
        # what a shell makes of --from-log mail.log*: only addresses have an @
        logs += tuple(word for word in addresses if "@" not in word)
        addresses = tuple(word for word in addresses if "@" in word)
    if "-" in logs and not yes and not dry_run:
        raise Unanswered("standard input is the log, so nobody can be asked", hint="add --yes, or --dry-run to look")
    with tried(house.db, dry_run=dry_run):
        catch_up(house)
        of = house.ledger.remembered(mailing)
        doubtful = settling.named(house.ledger, house.roster, of.id, addresses)
    if not doubtful:
        say(f"mailing {of.id} has nothing in doubt")
        if as_json:
            dump({**of.figures(), **({"log": settling.Told().counts()} if logs else {})})
        return
    if logs:
        _by_log(house, of, doubtful, logs, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    _by_word(house, of, doubtful, resend=resend, dry_run=dry_run, yes=yes, as_json=as_json)


def _by_word(
    house: House, of: Mailing, doubtful: Sequence[int], *, resend: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Ask, and settle deliveries in doubt by that word."""
    from broadcaster import settling
    from broadcaster.delivery import Event

    if not dry_run:
        verb = "Send once more to" if resend else "Take as accepted"
        ask(f"{verb} {count(len(doubtful), 'person', 'people')} in doubt of mailing {of.id}?", yes=yes)
    with tried(house.db, dry_run=dry_run):
        catch_up(house, quiet=True)
        event = Event.RESEND if resend else Event.ACCEPT
        settled = settling.resolve(house.ledger, of.id, doubtful, event, house.now)
        of = house.ledger.mailing(of.id)
    if as_json:
        dump(of.figures())
    if not resend:
        say(f"{settled:,} taken as accepted; mailing {of.id} is {of.state.word}")
    elif of.state.word == "paused":
        say(f"{settled:,} wait again; the mailing is paused ({of.reason}): `broadcaster resume {of.id}` lets it go on")
    else:
        say(f"{settled:,} wait again: `broadcaster send {of.id}` or cron's `run` sends them")


def catch_up(house: House, *, quiet: bool = False) -> None:
    """What a dead sender held is settled, and what a restored database may have sent is known, without sending."""
    from broadcaster import broadcast
    from broadcaster.cli.send import tell_recovered
    from broadcaster.lock import Lock

    if not house.mark.ahead() and not house.ledger.in_hand():
        return
    lock = Lock(house.workspace.lock)
    try:
        found = broadcast.take_over(house.ledger, lock, house.config, house.now, house.mark)
    except SenderAtWork:
        return  # who has seen to it
    finally:
        lock.release()
    if not quiet:
        tell_recovered(house, found)


def _by_log(
    house: House, of: Mailing, doubtful: Sequence[int], logs: Sequence[str], *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Look deliveries in doubt up in logs, show what that would settle, ask, and settle it."""
    from broadcaster import settling
    from broadcaster.doubts import Doubts
    from broadcaster.maillog import Log

    doubts = Doubts(house.db)
    log = Log(settling.asked_for(house.signer, doubtful), house.clock(), datetime.timestamp)
    spans = _read(log, logs)
    told = settling.compared(doubts, of, doubtful, log.findings(), spans)
    _show(house, of, told, spans)
    if told.events:
        if not dry_run:
            ask(f"Settle {count(len(told.events), 'delivery', 'deliveries')} of mailing {of.id} so?", yes=yes)
        with tried(house.db, dry_run=dry_run):
            catch_up(house, quiet=True)
            settled = settling.settle(house.ledger, doubts, of.id, told, house.now)
            of = house.ledger.mailing(of.id)
        done = "would be settled" if dry_run else "settled"
        say(f"{settled:,} {done}; mailing {of.id}: {counts(of.words())}; {of.state.word}")
    if as_json:
        dump({**of.figures(), "log": told.counts()})


def _show(house: House, of: Mailing, told: Told, spans: Sequence[Span]) -> None:
    """What the log says: how many go where; what is not in it, and why that may be."""
    zone = house.config.time.zone
    for span in spans:
        say(f"the log is from {moment(int(span.first), zone)} to {moment(int(span.last), zone)}")
    say("  " + ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in told.counts().items()))
    if not told.missing:
        return
    missing, apart = len(told.missing), len(told.missing) - told.covered
    if not apart:
        say(f"  {missing:,} not in this log, which covers the time they were tried: most likely never taken")
    elif told.covered:
        say(f"  {missing:,} not in this log, which does not cover the time when {apart:,} of them were tried")
    else:
        say(f"  {missing:,} not in this log, which does not cover the time they were tried")
    say(f"  after this, `broadcaster resolve {of.id} --resend` sends those again, --accept lets them be")


# reading


def _read(log: Log, names: Sequence[str]) -> list[Span]:
    """Read logs in the order of their first lines, whatever the order they are named in. Raises BadData."""
    progress = Progress()
    spans: list[Span] = []
    with ExitStack() as stack:
        opened: list[tuple[float, int, str, bytes, IO[bytes]]] = []
        for place, name in enumerate(dict.fromkeys(names)):
            file = _opened(name, stack)
            first = _block(name, file)
            opened.append((log.start(first), place, name, first, file))
        for _, _, name, first, file in sorted(opened, key=lambda one: one[:2]):
            span = log.read(_blocks(name, first, file, progress))
            progress.done()
            if span is not None:
                spans.append(span)
            else:
                warn(
                    f"{clean(name)}: no line in it has a time that can be read",
                    "it should be Postfix's log, as syslog has it",
                )
    return spans


def _blocks(name: str, first: bytes, file: IO[bytes], progress: Progress) -> Iterator[bytes]:
    """What is in a log, a block at a time."""
    done, block = 0, first
    while block:
        done += len(block)
        line = f"{clean(name)}: {done >> 20:,} MB read"
        progress.show(line.__str__)
        yield block
        block = _block(name, file)


def _opened(name: str, stack: ExitStack) -> IO[bytes]:
    """A log, unpacked as it is read where it is gzipped."""
    import gzip

    try:
        # standard input is the caller's: it stays open
        plain = open(sys.stdin.fileno() if name == "-" else name, "rb", closefd=name != "-")  # noqa: SIM115
        file = stack.enter_context(plain)
        packed = plain.peek(2)[:2] == b"\x1f\x8b"
    except OSError as error:
        raise BadData((error.strerror or str(error)).lower(), where=name) from None
    return cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=file))) if packed else file


def _block(name: str, file: IO[bytes]) -> bytes:
    import zlib

    try:
        return file.read(BLOCK)
    except (EOFError, zlib.error, OSError) as error:
        # a gzipped file that is cut off or damaged, or a disk that is
        raise BadData(str(getattr(error, "strerror", None) or error).lower(), where=name) from None
