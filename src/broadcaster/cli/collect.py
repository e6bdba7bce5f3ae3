"""collect: returned mail, read and acted on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House, tried
from broadcaster.cli.say import Progress, clean, count, counts, dry_run_option, dump, json_option, say, warn
from broadcaster.errors import ConfigError, Unfinished

if TYPE_CHECKING:
    from broadcaster.bounces import Entry
    from broadcaster.collecting import Collected
    from broadcaster.inbox import Inbox


@click.command()
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option(
    "--believe",
    type=int,
    metavar="M",
    shell_complete=complete.mailings,
    help="Read nothing; what was held of mailing M is true.",
)
@dry_run_option
@json_option
@click.pass_obj
def collect(house: House, sources: tuple[str, ...], believe: int | None, dry_run: bool, as_json: bool) -> None:
    """Read returned mail: bounces, complaints, wishes to leave.

    A SOURCE is a Maildir, an mbox, a file with one message, a folder of such files, or - for standard input; without
    one, the mailboxes of [returns] are read. Nothing is deleted or marked, ordinary mail is left alone, and each
    message counts once, however often it is read. Only a report with a token of ours changes anybody: a dead address
    is suppressed, a complaint or a wish to leave is obeyed at once. All else is kept as advice: see `bounces`.
    Where most of a mailing comes back as dead, nobody is suppressed until staff say that it is true (--believe).

    \b
    Examples:
      broadcaster collect
      broadcaster collect ~/Maildir returned.eml
      broadcaster collect - < message
      broadcaster collect --dry-run --json
      broadcaster collect --believe 12

    \b
    Exit statuses: 0 read; 2 wrong usage; 65 a SOURCE cannot be read, or no such mailing; 69 a mailbox cannot be read;
    73 cannot write; 75 another process reads the mailboxes; 78 configuration. What can be read is read in any case.
    """
    from broadcaster.lock import Lock

    if believe is not None:
        if sources:
            raise click.UsageError("--believe reads no SOURCE")
        _believe(house, believe, dry_run=dry_run, as_json=as_json)
        return
    inboxes = _named(house, sources) if sources else _configured(house)
    lock = Lock(house.workspace.collecting)
    # what is named is read by whoever names it: its digests are enough for two at once
    if not sources and not lock.take():
        raise Unfinished("another process is reading the mailboxes", hint="see `broadcaster bounces` in a minute")
    try:
        told, refused = collected(house, inboxes, dry_run=dry_run)
    finally:
        lock.release()
    if as_json:
        dump(figures(told))
    tell(told, refused, dry_run=dry_run)
    if told.failures:
        raise told.failures[0]


def collected(
    house: House, inboxes: Sequence[Inbox], *, dry_run: bool = False, until: float | None = None
) -> tuple[Collected, list[Entry]]:
    """Read mailboxes, at most until then (epoch seconds). What came of it, and of refusals while sending."""
    from broadcaster import collecting
    from broadcaster.reader import Reader

    progress = Progress()

    def read(source: str, number: int) -> None:
        progress.show(lambda: f"{clean(source)}: {count(number, 'message')}")

    with Reader() as reader:
        told = collecting.collect(
            house.scales,
            inboxes,
            reader,
            keep=house.config.retention.returns,
            trial=(lambda: tried(house.db, dry_run=True)) if dry_run else None,
            progress=read,
            until=until,
        )
    progress.done()
    with tried(house.db, dry_run=dry_run):
        return told, refusals(house)


def _believe(house: House, number: int, *, dry_run: bool, as_json: bool) -> None:
    from broadcaster.effect import Effect
    from broadcaster.weighing import believe

    house.ledger.mailing(number)
    with tried(house.db, dry_run=dry_run):
        done = believe(house.scales, number)
    if as_json:
        dump({"mailing": number, "bounces": [shown(entry) for entry in done]})
    gone = sum(entry.effect is Effect.SUPPRESSED for entry in done)
    would = "would be " if dry_run else ""
    say(f"mailing {number} is believed: {count(gone, 'address', 'addresses')} {would}suppressed")


def refusals(house: House) -> list[Entry]:
    """Weigh what was refused while sending, unless somebody is sending."""
    from broadcaster.lock import Lock
    from broadcaster.weighing import weigh_refusals

    if not house.scales.bounces.refusals(0, 1) or Lock(house.workspace.lock).held():
        return []
    return weigh_refusals(house.scales)


def _configured(house: House) -> list[Inbox]:
    if not house.config.returns.mailboxes:
        raise ConfigError(
            "no mailboxes are set",
            where="broadcaster.toml: returns.mailboxes",
            hint="name a SOURCE, or set them: docs/returns.md tells how",
        )
    return [house.inbox(of) for of in house.config.returns.mailboxes]


def _named(house: House, sources: Sequence[str]) -> list[Inbox]:
    """What the command line names; a mailbox of the configuration by its url."""
    from broadcaster.inbox.files import Files, Stream

    boxes = house.config.returns.mailboxes
    found: list[Inbox] = []
    for source in dict.fromkeys(sources):
        kind, _, path = source.partition(":")
        if of := [each for each in boxes if each.url == source]:
            found.extend(map(house.inbox, of))
        elif source == "-":
            found.append(Stream(sys.stdin.buffer))
        elif source.startswith("imaps://"):
            raise ConfigError(
                "is no mailbox of the configuration: only there it has a user and a password",
                where=source,
                hint="add it to returns.mailboxes",
            )
        else:
            name = path if kind in ("maildir", "mbox") and path else source
            found.append(Files(Path(name).expanduser(), name))
    return found


# telling


def figures(told: Collected) -> dict[str, Any]:
    """The JSON of `collect`. What is not stated is null."""
    return {
        "messages": told.messages,
        "ordinary": told.ordinary,
        "bounces": [shown(entry) for entry in told.entries],
        "set_aside": [aside.source for aside in told.set_aside],
        "failures": [str(failure) for failure in told.failures],
    }


def shown(entry: Entry) -> dict[str, Any]:
    """One row of the log as JSON has it."""
    notice = entry.notice
    return {
        "source": entry.source,
        "recipient": notice.recipient or None,
        "mailing": entry.mailing,
        "kind": notice.kind,
        "action": notice.action or None,
        "status": notice.status or None,
        "reason": notice.reason or None,
        "effect": entry.effect,
        "words": notice.words,
    }


def tell(told: Collected, refused: Sequence[Entry], *, dry_run: bool = False) -> None:
    """What came of it, in one line that names the next command; then what staff must mend."""
    if not told.messages and not told.set_aside:
        say("nothing new came back")
        tell_refused(refused)
        return
    kinds = Counter(str(entry.notice.kind).replace("_", " ") for entry in told.entries)
    effects = {str(effect): number for effect, number in told.effects().most_common()}
    words = f"{count(told.messages, 'message')}: {counts(dict(kinds.most_common()))}"
    if effects:
        words += f"; {'would be ' if dry_run else ''}{counts(effects)}"
    if told.entries:
        words += "; `broadcaster bounces --since 1d` tells more"
    say(words)
    tell_refused(refused)
    for aside in told.set_aside:
        warn(
            f"{clean(aside.source)}: {aside.why}; it is set aside", "it is kept; please report this, without addresses"
        )
    _warn(told.entries)
    _advise(told.entries)
    _tell_held(told.entries)


def _tell_held(entries: Sequence[Entry]) -> None:
    """Mailings of which most came back as dead: nobody was changed, and somebody must look."""
    from broadcaster.effect import Effect

    numbers = Counter(entry.mailing for entry in entries if entry.effect is Effect.HELD)
    for mailing, number in numbers.items():
        warn(
            f"mailing {mailing}: most of it came back as dead addresses ({number} now): nobody is suppressed for that",
            f"a mail server may be wrong: see `broadcaster bounces --mailing {mailing}`; if they are dead indeed,"
            f" `broadcaster collect --believe {mailing}`",
        )


def _advise(entries: Sequence[Entry]) -> None:
    """Wishes and complaints that name no copy of ours: nobody was changed, and somebody must look."""
    from broadcaster.effect import Effect
    from broadcaster.returns import Kind

    for kind, one, many in (
        (Kind.UNSUBSCRIBE, "wish to leave", "wishes to leave"),
        (Kind.COMPLAINT, "complaint", "complaints"),
    ):
        number = sum(entry.effect is Effect.ADVICE and entry.notice.kind is kind for entry in entries)
        if number:
            warn(
                f"{count(number, one, many)} without proof of whose copy it is about: nobody was changed",
                f"`broadcaster bounces --effect advice --kind {kind}` names them;"
                " `subscribers unsubscribe ADDRESS` obeys",
            )


def tell_refused(refused: Sequence[Entry]) -> None:
    """What became of those whom relays refused while sending."""
    from broadcaster.effect import Effect

    _tell_held(refused)
    gone = sum(entry.effect is Effect.SUPPRESSED for entry in refused)
    if gone:
        say(
            f"{count(gone, 'address', 'addresses')} refused as dead while sending, and suppressed;"
            " `broadcaster bounces --since 1d` tells more"
        )


def _warn(entries: Sequence[Entry]) -> None:
    """What came back because of us: a line for each reason, with what to mend."""
    from broadcaster.effect import Effect
    from broadcaster.reasons import REASONS

    ours = Counter(entry.notice.reason for entry in entries if entry.effect is Effect.WARNED)
    for reason, number in ours.most_common():
        if (of := REASONS.get(reason)) is not None:
            warn(f"{count(number, 'copy', 'copies')} came back: {of.means} [{reason}]", of.advice or None)
