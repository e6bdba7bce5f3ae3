"""encrypt, rekey, decrypt: who can read the database on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import clean, count, dry_run_option, dump, json_option, say, warn
from broadcaster.errors import ConfigError

if TYPE_CHECKING:
    from broadcaster.encryption import Vault

# what people are imported from
SHEETS = (".csv", ".tsv", ".txt", ".xlsx", ".jsonl", ".gz", ".zip")
# a database that takes more than a moment (octets)
SLOW = 20_000_000
LATER = "older backups and exports are as they were"


@click.command()
@dry_run_option
@json_option
@click.pass_obj
def encrypt(house: House, dry_run: bool, as_json: bool) -> None:
    """Keep the whole database encrypted from now on, with the key that [encryption] names.

    Write [encryption] into broadcaster.toml first (docs/encryption.md). A key file or an entry of the keyring is made
    where there is none: keep a copy of the key elsewhere, for without it nobody ever reads the database again. May be
    interrupted at any moment. The plain file is overwritten.

    \b
    Examples:
      broadcaster encrypt --dry-run
      broadcaster encrypt

    \b
    Exit statuses: 0 it is encrypted, 73 cannot write, 75 a sender or another command has the database,
    78 configuration, or no key.
    """
    from broadcaster import encryption

    vault = _vault(house)
    _announce(vault, dry_run=dry_run)
    done = encryption.encrypt(vault, dry_run=dry_run)
    if as_json:
        dump({"encrypted": not dry_run or not done, "changed": done and not dry_run})
    if not done:
        say("the database is encrypted already")
        return
    say("the database would be encrypted" if dry_run else f"the database is encrypted; {LATER}")
    say(f"the key: {_place(house)}")
    warn("without the key nobody can read the database", "keep a copy of it where no copy of the database is")
    _advise(house)


@click.command()
@click.option(
    "--new-key-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file that holds the new key, 64 hexadecimal digits. Otherwise one is made.",
)
@dry_run_option
@json_option
@click.pass_obj
def rekey(house: House, new_key_file: Path | None, dry_run: bool, as_json: bool) -> None:
    """Encrypt the database under a new key: when somebody may know the old one.

    The new key takes the place of the old one in the key file or the keyring. Where a command tells the key, name a
    file with the new one, and let the command tell that afterwards. May be interrupted at any moment. Keep the old key
    for as long as there are backups from before.

    \b
    Examples:
      broadcaster rekey
      broadcaster rekey --new-key-file /media/stick/new.key

    \b
    Exit statuses: 0 done, 2 wrong usage, 73 cannot write, 75 a sender or another command has the database,
    78 configuration, or it is not encrypted.
    """
    from broadcaster import encryption
    from broadcaster.keys import from_file

    vault = _vault(house)
    commanded = house.config.encryption is not None and house.config.encryption.kind == "command"
    if commanded and new_key_file is None:
        raise click.UsageError("the key that a command tells is not ours to change: name the new one, --new-key-file")
    key = from_file(new_key_file) if new_key_file else None
    _announce(vault, dry_run=dry_run)
    encryption.rekey(vault, key, dry_run=dry_run)
    if as_json:
        dump({"encrypted": True, "changed": not dry_run})
    if dry_run:
        say("the database would be encrypted under a new key")
        return
    say(f"the database is encrypted under a new key; {LATER}, under the old one")
    if commanded:
        warn("nothing opens it until key_command tells the new key", f"it is in {clean(new_key_file)}")
    else:
        say(f"the new key: {_place(house)}")


@click.command()
@dry_run_option
@json_option
@click.pass_obj
def decrypt(house: House, dry_run: bool, as_json: bool) -> None:
    """Keep the database as plain text again: whoever has the disk can read it.

    Take [encryption] out of broadcaster.toml afterwards. The key stays where it is, for older backups. May be
    interrupted at any moment.

    \b
    Examples:
      broadcaster decrypt --dry-run
      broadcaster decrypt

    \b
    Exit statuses: 0 it is plain, 73 cannot write, 75 a sender or another command has the database,
    78 configuration, or the key does not fit.
    """
    from broadcaster import encryption

    vault = _vault(house)
    _announce(vault, dry_run=dry_run)
    done = encryption.decrypt(vault, dry_run=dry_run)
    if as_json:
        dump({"encrypted": dry_run and done, "changed": done and not dry_run})
    if not done:
        say("the database is not encrypted")
    else:
        say("the database would be plain text" if dry_run else "the database is plain text: anybody can read the file")
    if not dry_run:
        warn("[encryption] is still in broadcaster.toml", "take it out: nothing else works before")


def _vault(house: House) -> Vault:
    from broadcaster.encryption import Vault
    from broadcaster.lock import Lock

    keeper = house.keeper
    if keeper is None:
        raise ConfigError(
            "there is no [encryption]: nobody knows where the key is to be",
            where="broadcaster.toml",
            hint='add [encryption] and, for example, key_file = "/media/stick/broadcaster.key"',
        )
    return Vault(house.workspace.database, Lock(house.workspace.lock), keeper, house.who, house.now)


def _announce(vault: Vault, *, dry_run: bool) -> None:
    """What takes some seconds is not done in silence."""
    if not dry_run and vault.path.exists() and (size := vault.path.stat().st_size) > SLOW:
        say(f"writing {size / 1e6:,.0f} MB anew …")


def _advise(house: House) -> None:
    """What is still open: a key beside what it locks, and files that people came from."""
    from broadcaster.keys import KeyFile

    keeper = house.keeper
    if isinstance(keeper, KeyFile) and keeper.path.resolve().is_relative_to(house.workspace.root):
        warn(
            "the key lies in the workspace: whoever copies the folder has both",
            "move it to another disk or a stick, and let [encryption] key_file say where",
        )
    folder = house.workspace.database.parent
    others = [each for each in folder.glob("*.*") if each.suffix.lower() in SHEETS]
    if others:
        warn(
            f"{count(len(others), 'file')} of people in subscribers/ can be read as before",
            "keep them elsewhere, or delete them: the outbox, exports and backups are not encrypted either",
        )


def _place(house: House) -> str:
    """Where the key is, in a person's words."""
    of = house.config.encryption
    assert of is not None
    # a command line may hold what it should not
    ways = {"keyring": f"in the system's keyring, as {of.source}", "command": "told by key_command", "file": of.source}
    return clean(ways[of.kind])
