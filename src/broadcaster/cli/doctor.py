"""doctor: what is wrong with the set-up, and what to do."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import clean, count, dump, json_option, out, say, style
from broadcaster.diagnosis import Finding, Group, Level, Record, found, ranked
from broadcaster.errors import BroadcasterError, ConfigError, RelayUnavailable

if TYPE_CHECKING:
    from broadcaster.config import Config

COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan", "ok": "green"}
# groups that need the network
OUTSIDE: Final = {Group.RELAYS, Group.DNS, Group.RETURNS, Group.LEAVING}
# seconds that reading all of the database may take, and that a mailbox may take for an answer
PATIENCE: Final = 30
ANSWER: Final = 8.0
# columns before the text, and of the text
_INDENT: Final = " " * 9
_WIDTH: Final = 100


@click.command()
@click.argument("groups", metavar="[GROUP]...", nargs=-1, type=click.Choice([group.value for group in Group]))
@click.option("--offline", is_flag=True, help="Only what can be seen on this machine.")
@click.option("--all", "everything", is_flag=True, help="Also what is as it should be.")
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.IntRange(1, 86_400),
    default=PATIENCE,
    show_default=True,
    help="How long reading all of the database may take.",
)
@json_option
@click.pass_obj
def doctor(house: House, groups: Sequence[str], offline: bool, everything: bool, patience: int, as_json: bool) -> None:
    """Find what is wrong with the set-up, and say what to do.

    Looks at settings, files and who may read them, the database, disk and clock; asks each relay whether it would
    take mail, the DNS whether receivers can tell that it is yours, the mailboxes whether they can be read. Says what
    to write into the DNS, word by word. Nothing is mailed, nothing is changed. docs/reference/doctor.md has every rule.

    GROUP: settings, files, database, relays, dns, returns, leaving. All of them where none is named.

    \b
    Examples:
      broadcaster doctor
      broadcaster doctor dns relays --all
      broadcaster doctor --offline --json

    \b
    Exit statuses: 0 no errors (there may be warnings), 78 something must be mended, 69 all that is wrong is that a
    relay, a mailbox or the site of leave links does not answer now.
    """
    wanted = {Group(name) for name in groups} or set(Group)
    findings = [each for each in _examined(house, wanted, patience, offline=offline) if each.group in wanted]
    shown = [each for each in ranked(findings) if everything or each.level is not Level.OK]
    if as_json:
        dump([each.to_dict() for each in shown])
    else:
        for finding in shown:
            for line in _told(finding):
                out(line)
    _conclude(findings, everything=everything)


def _examined(house: House, wanted: set[Group], patience: int, *, offline: bool) -> list[Finding]:
    """The round: files first, since who opens the database closes it to others."""
    from broadcaster import upkeep

    workspace, findings = house.workspace, []
    config: Config | None = None
    try:
        config = house.config
    except BroadcasterError as error:
        findings.append(found("configuration", error.where or "broadcaster.toml", error.message, error.hint or ""))
    else:
        findings += upkeep.settings(config)
    findings += upkeep.files(workspace, config)
    findings += _database(house, config, patience)
    if config is not None and not offline and wanted & OUTSIDE:
        from broadcaster import checkup
        from broadcaster.resolver import outward

        hands = checkup.Hands(
            workspace=workspace,
            visit=house.visit,
            inbox=partial(house.inbox, patience=ANSWER),
            resolver=house.resolver,
            outward=outward,
            key=house.signing_key,
            clock=house.clock,
        )
        findings += checkup.outside(hands, config)
    return findings


def _database(house: House, config: Config | None, patience: int) -> list[Finding]:
    """Whatever is wrong with the database is a finding; it is not made where there is none."""
    from broadcaster import upkeep

    path = house.workspace.database
    if config is None or not path.exists():
        return list(upkeep.disk(house.workspace, None))
    try:
        books = upkeep.Books(house.db, house.roster.number(), house.ledger, house.mark)
        return [*upkeep.disk(house.workspace, books), *upkeep.database(books, config, house.now, patience)]
    except BroadcasterError as error:
        return [found("database", path.name, error.message, error.hint or "")]
    except Exception as error:
        if (blamed := house.blamed(error)) is None:
            raise
        return [found("database", path.name, blamed.message, blamed.hint or "")]


def _told(finding: Finding) -> Iterator[str]:
    """What is wrong on one line; beneath it why that matters and what to do."""
    level = style(f"{finding.level.value:<7}", fg=COLOURS[finding.level.value], bold=finding.level is Level.ERROR)
    head = f"{clean(finding.subject)}: {clean(finding.what)} [{finding.rule}]"
    first, *more = _wrapped(head)
    yield f"{level}  {first}"
    yield from (f"{_INDENT}{line}" for line in more)
    if finding.level is Level.OK:
        return
    for line in _wrapped(finding.why):
        yield style(f"{_INDENT}{line}", dim=True)
    for number, line in enumerate(_wrapped(clean(finding.todo), 2)):
        yield f"{_INDENT}{'  ' if number else '→ '}{line}"
    for record in finding.write:
        yield style(f"{_INDENT}    {_written(record)}", bold=True)


def _written(record: Record) -> str:
    """A record as a zone has it: a text of more than 255 octets in several (RFC 1035 §3.3.14)."""
    text = record.text
    if record.type == "TXT":
        text = " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))
    return clean(f"{record.name}.  {record.type}  {text}")


def _wrapped(text: str, less: int = 0) -> list[str]:
    columns = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
    width = max(40, min(columns, _WIDTH) - len(_INDENT) - less)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _conclude(findings: Sequence[Finding], *, everything: bool) -> None:
    levels = Counter(each.level for each in findings)
    kinds = ((Level.ERROR, "error"), (Level.WARNING, "warning"), (Level.NOTE, "note"))
    told = ", ".join(count(levels[level], word) for level, word in kinds if levels[level])
    well = "" if everything or not levels[Level.OK] else f"; {count(levels[Level.OK], 'thing is', 'things are')} well"
    errors = [each for each in findings if each.level is Level.ERROR]
    if not errors:
        say(f"{told or 'nothing to complain about'}{well}")
    elif all(each.away for each in errors):
        raise RelayUnavailable(f"{told}{well}", hint="what is wrong is that somebody does not answer: try again")
    else:
        raise ConfigError(f"{told}{well}", hint="mend the errors; then `broadcaster doctor` again")
