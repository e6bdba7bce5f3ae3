"""completion: what lets a shell complete commands, options, names and numbers."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

from broadcaster.cli.say import clean, dry_run_option, dump, json_option, out, say
from broadcaster.errors import CannotWrite

NAME: Final = "broadcaster"
VARIABLE: Final = "_BROADCASTER_COMPLETE"
MARK: Final = "# written by `broadcaster completion`"
# shell → where it looks for such a file, below a person's home
PLACES: Final = {
    "bash": ".local/share/bash-completion/completions/broadcaster",
    "zsh": ".zfunc/_broadcaster",
    "fish": ".config/fish/completions/broadcaster.fish",
}
AFTERWARDS: Final = {
    "bash": "a new shell completes, where the package bash-completion is installed; else add to ~/.bashrc: . {file}",
    "zsh": "add to ~/.zshrc, before compinit: fpath+=~/.zfunc",
    "fish": "a new shell completes",
}


class Bash(BashComplete):
    """Bash parts words at @ and : too, and would not know @SEGMENT and mailing:12: so we part the line ourselves."""

    source_template = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case "${line%%%%,*}" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${line#*,}") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        begun = "" if line[-1:].isspace() or len(words) < 2 else words.pop()
        typed = begun.partition("=")[2] if begun.startswith("--") else begun
        self._there = typed.rfind(":") + 1 if ":" in os.environ.get("COMP_BREAKS", "") else 0
        return words[1:], begun

    def format_completion(self, item: CompletionItem) -> str:
        # what stands before a colon stays as it is
        return f"{item.type},{item.value[self._there :] if item.type == 'plain' else item.value}"

    @staticmethod
    def _check_version() -> None:
        """The script needs nothing that a Bash of ten years ago has not."""


add_completion_class(Bash, "bash")


def answer(program: click.Command, instruction: str) -> int:
    """What a shell asks between two letters: only what is offered is said, whatever else happens."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception):
        return shell_complete(program, {}, NAME, VARIABLE, instruction)
    return 1


@click.command()
@click.argument("shell", required=False, type=click.Choice(sorted(PLACES)))
@click.option("--install", is_flag=True, help="Write it where that shell looks for it.")
@dry_run_option
@json_option
def completion(shell: str | None, install: bool, dry_run: bool, as_json: bool) -> None:
    """Print what lets SHELL complete commands, options, names and numbers: bash, zsh or fish, by default your own.

    Completed are also mailings, lists, segments and statements of the workspace at hand, and never an address.
    Nothing is offered from an encrypted database.

    \b
    Examples:
      broadcaster completion --install
      broadcaster completion bash >> ~/.bashrc
      broadcaster completion fish > ~/.config/fish/completions/broadcaster.fish

    \b
    Exit statuses: 0 printed or written, 2 no shell that we know, 73 it cannot be written, or another file is there.
    """
    of = shell or Path(os.environ.get("SHELL", "")).name
    if of not in PLACES:
        raise click.UsageError(f"name a shell: {', '.join(sorted(PLACES))}")
    script = f"{MARK}\n{_script(of)}"
    # what begins otherwise is not seen as a completion by zsh
    script = script if of != "zsh" else f"#compdef {NAME}\n{MARK}\n{_script(of).partition(chr(10))[2]}"
    file = Path.home() / PLACES[of]
    if install and not dry_run:
        _write(file, script)
    told: dict[str, Any] = {"shell": of, "file": str(file) if install else None, "script": script}
    if as_json:
        dump(told)
    elif not install:
        out(script)
    else:
        out(clean(file))
        say(AFTERWARDS[of].format(file=clean(file)))


def _script(shell: str) -> str:
    made: type[ShellComplete] | None = get_completion_class(shell)
    assert made is not None
    return made(click.Command(NAME), {}, NAME, VARIABLE).source().strip("\n") + "\n"


def _write(file: Path, script: str) -> None:
    """Write it anew, over what we wrote earlier and nothing else. Raises CannotWrite."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and MARK not in file.read_text("utf-8", "replace"):
            raise CannotWrite("is there already, and not ours", where=str(file), hint="move it away")
        file.write_text(script, encoding="utf-8")
    except OSError as error:
        raise CannotWrite((error.strerror or str(error)).lower(), where=str(file)) from None
