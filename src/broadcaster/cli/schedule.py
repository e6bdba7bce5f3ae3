"""schedule: let the machine call `run` again and again, and show what is due when."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from broadcaster.cli.house import House
from broadcaster.cli.people import Noun
from broadcaster.cli.say import clean, dry_run_option, dump, json_option, moment, out, say, span, warn
from broadcaster.errors import CannotWrite

if TYPE_CHECKING:
    from broadcaster.clock import Cron, Timers
    from broadcaster.job import Job

Kind = Literal["cron", "systemd"]


@click.group(cls=Noun, subcommand_metavar="[VERB] [ARGS]...")
def schedule() -> None:
    """Let the machine call `run` again and again, and show what is due when.

    Without a verb: show what calls `run` in this workspace, when it was seen last, and the mailings that have a time.

    \b
    Examples:
      broadcaster schedule
      broadcaster schedule install
      broadcaster schedule remove

    \b
    Exit statuses: 0 done, 2 wrong usage, 65 no such span of time, or a path that no crontab can hold, 73 there is
    no cron or systemd that would take it, 77 cron is not for this user, 78 configuration.
    """


@schedule.command("show")
@json_option
@click.pass_obj
def show(house: House, as_json: bool) -> None:
    """Show what calls `run` in this workspace, when it was seen last, and the mailings that have a time.

    \b
    Examples:
      broadcaster schedule
      broadcaster schedule show --json

    \b
    Exit statuses: 0 told, 78 configuration.
    """
    from broadcaster import quiet
    from broadcaster.mailing import State

    job, cron, timers = _hands(house)
    line, others = _crontab(job, cron)
    units = timers.read(list(job.units))
    seen = house.ledger.seen("run")
    until = quiet.until(house.config, house.now)
    waiting = [of for of in house.ledger.mailings(states=(State.SCHEDULED,)) if of.window.moment is not None]
    waiting.sort(key=lambda of: of.window.moment or 0)
    if as_json:
        kinds = {"cron": bool(line), "systemd": bool(units)}
        dump(
            {
                "installed": [kind for kind, there in kinds.items() if there],
                "line": line or None,
                "units": list(units),
                "others": others,
                "last_run": seen,
                "quiet_until": until,
                "mailings": [of.figures() for of in waiting],
            }
        )
        return
    if line:
        out(f"cron: {clean(line)}")
    for name in units:
        out(f"systemd: {clean(timers.folder / name)}")
    for other in others:
        out(f"cron, by another hand: {clean(other)}")
    if not (line or units or others):
        say("nothing here calls `run`: `broadcaster schedule install` lets cron or systemd do so")
    out(f"run was seen last: {_ago(house, seen)}")
    if until is not None:
        out(f"quiet until {moment(until, house.config.time.zone)}")
    for of in waiting:
        out(f"mailing {of.id} of {of.statement}: {of.window.shown}")


@schedule.command("install")
@click.option("--cron", "kind", flag_value="cron", help="In the user's crontab; the default where there is one.")
@click.option("--systemd", "kind", flag_value="systemd", help="As a timer of the user's systemd.")
@click.option("--every", metavar="DURATION", default="5m", show_default=True, help="How often: 1m to 30m, 1h to 12h.")
@dry_run_option
@json_option
@click.pass_obj
def install(house: House, kind: Kind | None, every: str, dry_run: bool, as_json: bool) -> None:
    """Let cron, or systemd, call `run` in this workspace.

    Writes one line into your crontab, with a mark at its end, or a service and a timer into your systemd folder, and
    shows them. No other line is touched. Once more replaces what is there; one workspace has one line or one timer.

    \b
    Examples:
      broadcaster schedule install
      broadcaster schedule install --every 1m
      broadcaster schedule install --systemd --dry-run

    \b
    Exit statuses: 0 done, or it was so already; 65 no such span of time, or a path that no crontab can hold; 73 there
    is no cron or systemd that would take it; 77 cron is not for this user; 78 configuration.
    """
    from broadcaster.settings import seconds

    job, cron, timers = _hands(house, seconds(every, "--every"))
    _ = house.config  # a mistake in it would be told by mail every five minutes
    if kind is None:
        kind = _which(cron, timers, dry_run=dry_run)
    if kind == "cron":
        changed = _into_crontab(job, cron, dry_run=dry_run)
        out(clean(job.line)) if not as_json else None
    else:
        changed = timers.read(list(job.units)) != dict(job.units)
        if changed and not dry_run:
            timers.put(job.units)
        for name, text in job.units.items() if not as_json else ():
            out(f"# {clean(timers.folder / name)}\n{text}")
    replaced = _taken_away(job, cron, timers, not_of=kind, dry_run=dry_run)
    if as_json:
        line, units = (job.line, {}) if kind == "cron" else (None, dict(job.units))
        figures = {"kind": kind, "every": job.every, "changed": changed, "replaced": replaced}
        dump({**figures, "line": line, "units": units})
    _tell_installed(house, timers, job, kind, changed=changed, dry_run=dry_run)


@schedule.command("remove")
@dry_run_option
@json_option
@click.pass_obj
def remove(house: House, dry_run: bool, as_json: bool) -> None:
    """Let nothing call `run` in this workspace any more that `schedule install` has set up.

    \b
    Examples:
      broadcaster schedule remove

    \b
    Exit statuses: 0 removed, or there was nothing; 73 cron or systemd would not; 77 cron is not for this user;
    78 configuration.
    """
    job, cron, timers = _hands(house)
    removed = _taken_away(job, cron, timers, not_of=None, dry_run=dry_run)
    if as_json:
        dump({"removed": removed})
    would = "would be " if dry_run else ""
    say(f"{would}removed from {' and '.join(removed)}" if removed else "there was nothing to remove")
    for other in _crontab(job, cron)[1]:
        warn(f"a line of another hand calls `run` here too: {clean(other)}", "`crontab -e` changes it")


def _hands(house: House, every: int = 300) -> tuple[Job, Cron, Timers]:
    from broadcaster.clock import Cron, Timers
    from broadcaster.job import Job

    return Job(_program(), str(house.workspace.root.absolute()), every), Cron(), Timers(os.environ)


def _program() -> tuple[str, ...]:
    """How this program is called from anywhere: by the script beside our Python, or by Python itself."""
    # not resolved: the Python of a virtual environment is a link
    python = Path(sys.executable).absolute()
    script = python.with_name("broadcaster")
    return (str(script),) if os.access(script, os.X_OK) else (str(python), "-m", "broadcaster")


def _crontab(job: Job, cron: Cron) -> tuple[str, list[str]]:
    """Our line, and those of other hands; nothing where there is no cron."""
    if not cron.is_here:
        return "", []
    text = cron.read()
    return job.found_in(text), list(job.others_in(text))


def _which(cron: Cron, timers: Timers, *, dry_run: bool) -> Kind:
    if cron.is_here:
        return "cron"
    if timers.are_here:
        return "systemd"
    if dry_run:
        return "cron"
    raise CannotWrite(
        "neither cron nor a systemd of yours is here",
        hint="install cron; or see `broadcaster schedule install --dry-run`, and let something else call it",
    )


def _into_crontab(job: Job, cron: Cron, *, dry_run: bool) -> bool:
    """Whether that changed anything. Raises CannotWrite where there is no cron, with a way out."""
    line = job.line
    if dry_run and not cron.is_here:
        return True
    if not cron.is_here:
        raise CannotWrite("there is no program `crontab` here", hint="install cron, or take --systemd")
    before = cron.read()
    after = job.put_into(before)
    if after != before and not dry_run:
        cron.write(after)
        if job.found_in(cron.read()) != line:
            raise CannotWrite("the line was written, and is not there", where="crontab")
    return after != before


def _taken_away(job: Job, cron: Cron, timers: Timers, *, not_of: Kind | None, dry_run: bool) -> list[str]:
    """Take away what calls `run` here, but for one kind; what that was."""
    removed = []
    if not_of != "cron" and cron.is_here and (after := job.taken_from(before := cron.read())) != before:
        removed.append("cron")
        if not dry_run:
            cron.write(after)
    if not_of != "systemd" and timers.read(list(job.units)):
        removed.append("systemd")
        if not dry_run:
            timers.take_away(list(job.units))
    return removed


def _tell_installed(house: House, timers: Timers, job: Job, kind: Kind, *, changed: bool, dry_run: bool) -> None:
    if dry_run:
        say("nothing was written")
        return
    where = "your crontab" if kind == "cron" else "your systemd"
    words = "is in" if changed else "was already in"
    say(f"this {words} {where}: `run` is called every {span(job.every)}")
    if kind == "systemd" and not timers.linger(house.who):
        warn(
            "systemd stops it while you are not logged in",
            f"`loginctl enable-linger {house.who}` lets it run all the time",
        )
    if kind == "cron":
        say("cron mails you what `run` says; it knows none of your shell's variables")
    else:
        say(f"what `run` says is in the journal: journalctl --user -u {job.name}")


def _ago(house: House, seen: int | None) -> str:
    if seen is None:
        return "never"
    return f"{moment(seen, house.config.time.zone)}, {span(house.now - seen)} ago"
