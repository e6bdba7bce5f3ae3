"""The command line: one file per command, or per noun with its verbs; each is imported only when it is called."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster import __version__
from broadcaster.errors import BroadcasterError, Interrupted, Unanswered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

# command → the module that holds it; the order is that of `--help`
COMMANDS = {
    "init": "init",
    "demo": "demo",
    "doctor": "doctor",
    "lists": "lists",
    "subscribers": "subscribers",
    "segments": "segments",
    "audience": "audience",
    "suppressions": "suppressions",
    "why": "why",
    "log": "log",
    "new": "new",
    "check": "check",
    "render": "render",
    "test": "test",
    "prepare": "prepare",
    "approve": "approve",
    "send": "send",
    "mailings": "mailings",
    "status": "status",
    "pause": "control",
    "resume": "control",
    "cancel": "control",
    "resolve": "resolve",
    "report": "report",
    "collect": "collect",
    "bounces": "bounces",
    "run": "run",
    "schedule": "schedule",
    "backup": "backup",
    "restore": "restore",
    "forget": "forget",
    "encrypt": "encryption",
    "rekey": "encryption",
    "decrypt": "encryption",
    "completion": "completion",
}

# The first line of each command's help, so that `--help` imports none of them; a test compares the two.
SUMMARIES = {
    "init": "Make a new workspace with a small working example.",
    "demo": "Try the whole job in a throw-away workspace: nothing is mailed to anybody.",
    "doctor": "Find what is wrong with the set-up, and say what to do.",
    "lists": "Show, create, edit and delete lists.",
    "subscribers": "Find, add, import and export people.",
    "segments": "Show, save, edit and delete segments: filters that have a name.",
    "audience": "Show who would get a mailing, in which language; who would not, and why.",
    "suppressions": "Show and change who must not be mailed.",
    "why": "Tell everything known of ADDRESS, and why it does or does not get mail.",
    "log": "Show who changed what of people, lists and mailings, the newest first.",
    "new": "Start a statement: a folder with one file per language.",
    "check": "Find everything wrong with STATEMENT before the first recipient does.",
    "render": "Write STATEMENT as it will be mailed into a folder, to look at.",
    "test": "Mail STATEMENT in every language to these addresses now, as a test.",
    "prepare": "Freeze STATEMENT and its audience as a mailing with a number.",
    "approve": "Release a mailing that somebody else has prepared: exactly what it is now.",
    "send": "Send a mailing: prepare it if needed, then send what is due, once through.",
    "mailings": "List the mailings, the newest first.",
    "status": "Tell where a mailing is, or what is going on.",
    "pause": "Hold a running mailing within a second.",
    "resume": "Let a paused or held mailing go on.",
    "cancel": "Stop a mailing for good: who has not got it will not.",
    "resolve": "Settle the deliveries in doubt of MAILING.",
    "report": "Tell what came of MAILING, in figures and pictures.",
    "collect": "Read returned mail: bounces, complaints, wishes to leave.",
    "bounces": "Show what came back, the newest first: of whom, why, in whose words, and what we did.",
    "run": "Send what is due, retry what waits, collect what came back: for cron.",
    "schedule": "Let the machine call `run` again and again, and show what is due when.",
    "backup": "Keep all of the workspace in one file: people, ledger, keys, settings, layouts and statements.",
    "restore": "Make a workspace of a backup, in a new or empty folder.",
    "forget": "Forget what [retention] no longer keeps: who got old mailings, and returned mail.",
    "encrypt": "Keep the whole database encrypted from now on, with the key that [encryption] names.",
    "rekey": "Encrypt the database under a new key: when somebody may know the old one.",
    "decrypt": "Keep the database as plain text again: whoever has the disk can read it.",
    "completion": (
        "Print what lets SHELL complete commands, options, names and numbers: bash, zsh or fish, by default your own."
    ),
}


class Menu(click.Group):
    """A group that knows its commands by name and imports them one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(f"broadcaster.cli.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=SUMMARIES[name]) for name in COMMANDS if name.startswith(incomplete)]
        # options, and none of what a group would import
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            did = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{did}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error that nobody foresaw may come from a damaged database: here that is still open."""
        try:
            return super().invoke(ctx)
        except (BroadcasterError, click.ClickException, click.Abort, click.exceptions.Exit, OSError):
            raise
        except Exception as error:
            if ctx.obj is not None and (blamed := ctx.obj.blamed(error)) is not None:
                raise blamed from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=Menu, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="broadcaster", message="%(prog)s %(version)s")
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    type=click.Path(readable=False, path_type=Path),
    help="The workspace, or a folder in it. Otherwise BROADCASTER_WORKSPACE, else the current folder or one above it.",
)
@click.pass_context
def broadcaster(ctx: click.Context, directory: Path | None) -> None:
    """Keep lists of people, and mail them statements: nobody lost, nobody mailed twice.

    A workspace is a folder with a broadcaster.toml. `broadcaster demo` shows the whole job in a minute;
    `broadcaster init DIR` starts your own.

    \b
    Exit statuses: 0 done, 1 a defect of ours, 2 wrong usage, 65 bad data, 69 no relay or mailbox would talk to us,
    73 cannot write, 75 not finished, 77 not allowed, 78 configuration, 130 interrupted.
    """
    from broadcaster.cli.house import House

    ctx.obj = ctx.with_resource(House(directory))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status; no traceback reaches a person."""
    os.umask(0o077)
    _leave_no_core()
    _open_streams()
    if asked := os.environ.get("_BROADCASTER_COMPLETE"):
        from broadcaster.cli.completion import answer

        sys.exit(answer(broadcaster, asked))
    sys.exit(_run(arguments))


def _leave_no_core() -> None:
    """What the system writes of a process that falls would hold people and passwords, and lie about for ever."""
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _open_streams() -> None:
    """Data is UTF-8 wherever it goes; a terminal that cannot show a character is shown its number."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # closed by whoever called us: the next file we open would take its place, and be written into
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            nowhere = open(descriptor, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status: Any = broadcaster.main(arguments, prog_name="broadcaster", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _misused(error)
    except BroadcasterError as error:
        return _complain(error)
    except (KeyboardInterrupt, click.Abort):
        return _complain(Interrupted("interrupted", hint="nothing is half done; run the same command again"))
    except (BrokenPipeError, SystemExit):
        # the reader of a pipe has gone (`| head`), or click says so in its way; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UnicodeEncodeError as error:
        return _strange(arguments, error)
    except Exception as error:
        return _defect(error)


def _strange(arguments: Sequence[str] | None, error: UnicodeEncodeError) -> int:
    """Bytes that are no text come in as half characters, which nothing can keep or print."""
    given = sys.argv[1:] if arguments is None else arguments
    if any("\udc80" <= character <= "\udcff" for word in given for character in word):
        return _complain(
            Unanswered("an argument is not text in UTF-8", hint="see `locale`; a terminal should be UTF-8")
        )
    return _defect(error)


def _misused(error: click.ClickException) -> int:
    """It may quote an argument, and that may be the name of a file which somebody else has made."""
    from broadcaster.cli.say import clean

    said = io.StringIO()
    error.show(said)
    with contextlib.suppress(OSError):
        for line in said.getvalue().splitlines():
            print(clean(line), file=sys.stderr)  # noqa: T201
    return error.exit_code


def _complain(error: BroadcasterError) -> int:
    from broadcaster.cli.say import clean, pointed
    from broadcaster.errors import FilterError

    with contextlib.suppress(OSError):  # nobody can be told; the status still says it
        print(f"broadcaster: {clean(str(error))}", file=sys.stderr)  # noqa: T201
        for line in pointed(error.text, error.place) if isinstance(error, FilterError) and error.text else ():
            print(f"  {line}", file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f"  hint: {clean(error.hint)}", file=sys.stderr)  # noqa: T201
    return error.status


def _defect(error: Exception) -> int:
    """A defect of ours. The trace holds places, never values: a message may hold an address."""
    import errno
    import traceback

    from broadcaster.errors import CannotWrite

    if isinstance(error, OSError) and error.errno in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
    ):
        return _complain(CannotWrite(error.strerror or "cannot write", where=str(error.filename or "disk")))
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)][-4:]
    trail = " < ".join(reversed(places))
    print(f"broadcaster: a defect of ours: {type(error).__name__} at {trail}", file=sys.stderr)  # noqa: T201
    print("  hint: nothing is half done; please report this line", file=sys.stderr)  # noqa: T201
    return 1
