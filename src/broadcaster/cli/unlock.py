"""How a backup is locked and unlocked, as a person says it: whom for, by which key, with which passphrase."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.say import Progress, clean, interactive
from broadcaster.errors import ArchiveError, BadData, ConfigError, RelayUnavailable, Unanswered

if TYPE_CHECKING:
    from broadcaster.keeping import Pour

# octets of a backup that are read at once, and of a file of keys at all
BLOCK = 1 << 18
KEYS = 100_000


def passphrase_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The three ways to tell a passphrase; an argument or the environment, which others can see, is none of them.

    The command is handed them as one: `passphrase`.
    """

    @functools.wraps(command)
    def called(
        *words: Any, asked: bool, passphrase_file: Path | None, passphrase_command: str | None, **named: Any
    ) -> Any:
        return command(*words, passphrase=Passphrase(asked, passphrase_file, passphrase_command), **named)

    for option in (
        click.option("--passphrase-command", metavar="COMMAND", help="What this prints is the passphrase."),
        click.option("--passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="It is in this file."),
        click.option("--passphrase", "asked", is_flag=True, help="By a passphrase, which you are asked for."),
    ):
        called = option(called)
    return called


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where a passphrase comes from, if any does."""

    asked: bool
    file: Path | None
    command: str | None

    def __post_init__(self) -> None:
        if self.asked + (self.file is not None) + (self.command is not None) > 1:
            raise click.UsageError("take one of --passphrase, --passphrase-file and --passphrase-command")

    @property
    def given(self) -> bool:
        return self.asked or self.file is not None or self.command is not None

    def told(self, *, twice: bool = False) -> str:
        """The passphrase. `twice`: asked for again, since a mistyped one locks for ever.

        Raises Unanswered where nobody is there to tell it, ConfigError.
        """
        from broadcaster.relay import Secret
        from broadcaster.workspace import Workspace

        here = Workspace(Path.cwd())
        if self.file is not None:
            return here.secret(Secret("file", str(self.file)))
        if self.command is not None:
            try:
                return here.secret(Secret("command", self.command))
            except RelayUnavailable:
                raise ConfigError("it failed", where="--passphrase-command", hint="try it by itself") from None
        if not interactive():
            raise Unanswered("nobody is here to tell the passphrase", hint="name a --passphrase-file")
        text: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
        return text


def recipients(words: tuple[str, ...]) -> list[Any]:
    """Whom to lock it for: age1…, ssh-… or files of such lines. Raises BadData."""
    from broadcaster import vault

    found = []
    for word in words:
        if word.startswith(("age1", "ssh-")):
            found += vault.recipients([word], "--to")
        else:
            found += vault.recipients(_file(Path(word)).decode("utf-8", "replace").splitlines(), word)
    return found


def _file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BadData("is no file", where=str(path), hint="write a recipient like age1…, or the name of a file")
        with path.open("rb") as file:
            return file.read(KEYS)
    except OSError as error:
        raise BadData((error.strerror or str(error)).lower(), where=str(path)) from None


def unlocked(file: str, keys: tuple[Path, ...], passphrase: Passphrase) -> Pour:
    """What gives the octets of a backup, whatever it is locked with; - is standard input."""

    def pour(take: Callable[[bytes], object]) -> None:
        chunks = _read(file)
        first = next(chunks, b"")

        def all_of_it() -> Iterator[bytes]:
            yield first
            yield from chunks

        try:
            _poured(all_of_it(), first, keys, passphrase, take)
        except ArchiveError as error:
            error.where = f"{file}: {error.where}" if error.where else file
            raise

    return pour


def _poured(
    chunks: Iterator[bytes],
    first: bytes,
    keys: tuple[Path, ...],
    passphrase: Passphrase,
    take: Callable[[bytes], object],
) -> None:
    from broadcaster import vault
    from broadcaster.archive import PACKED

    if first.startswith(PACKED):
        for chunk in chunks:
            take(chunk)
    elif first.startswith(vault.LOCKED):
        if not keys:
            raise ArchiveError("is locked", hint="name the file with the key: --identity")
        vault.unlock(chunks, [key for path in keys for key in vault.identities(_file(path), str(path))], take)
    elif first.startswith(vault.KEY_FIRST):
        if not passphrase.given and not interactive():
            raise ArchiveError("is locked with a passphrase", hint="name a --passphrase-file")
        vault.unlock_by_passphrase(chunks, passphrase.told(), take)
    else:
        raise ArchiveError("is no backup of broadcaster" if first else "is empty")


def _read(file: str) -> Iterator[bytes]:
    """A backup in blocks, with a line that tells how far it is."""
    progress = Progress()
    done = 0
    try:
        # standard input is the caller's: it stays open
        with open(sys.stdin.fileno() if file == "-" else file, "rb", closefd=file != "-") as stream:
            while chunk := stream.read(BLOCK):
                done += len(chunk)
                line = f"{clean(file)}: {done >> 20:,} MB read"
                progress.show(line.__str__)
                yield chunk
    except (OSError, ValueError) as error:
        raise ArchiveError((getattr(error, "strerror", None) or "is no usable file name").lower()) from None
    finally:
        with suppress(ValueError):
            progress.done()
