"""backup: all of a workspace in one file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import Progress, clean, count, dry_run_option, dump, json_option, moment, out, say, warn
from broadcaster.cli.unlock import Passphrase, passphrase_options, recipients, unlocked
from broadcaster.errors import Unfinished

if TYPE_CHECKING:
    from broadcaster.archive import Manifest
    from broadcaster.keeping import Contents

# what locks octets as they come, and writes them
Lock = Callable[[Iterator[bytes], Callable[[bytes], object]], None]


@click.command()
@click.option(
    "-o", "output", metavar="FILE", help="Where to; - is standard output. Otherwise a dated file in backups/."
)
@click.option(
    "--to", "to", multiple=True, metavar="RECIPIENT", help="Lock it for age1…, ssh-…, or a file of such lines."
)
@passphrase_options
@click.option("--with-passwords", is_flag=True, help="Password files of the workspace too.")
@click.option("--plain", is_flag=True, help="It is not locked, and that is meant: no warning.")
@click.option("--check", "checked", metavar="FILE", help="Make none; see whether all of FILE is there and unaltered.")
@click.option("--identity", "identities", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="With --check: the file with the key.")  # fmt: skip
@dry_run_option
@json_option
@click.pass_obj
def backup(
    house: House,
    output: str | None,
    to: tuple[str, ...],
    passphrase: Passphrase,
    with_passwords: bool,
    plain: bool,
    checked: str | None,
    identities: tuple[Path, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Keep all of the workspace in one file: people, ledger, keys, settings, layouts and statements.

    It may be made at any time, also while somebody sends or imports; nobody waits for it. Whoever has the file has the
    list, unless it is locked: with --to for holders of a key (made by age-keygen), or with a passphrase. An existing
    file is never overwritten, and half a file never has the name. Left out are passwords, the outbox, returned mail in
    folders and files of people that were imported. `restore` makes a workspace of it.

    \b
    Examples:
      broadcaster backup --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kud3mwpxqs65zw2
      broadcaster backup -o /media/stick/june.tar.gz.locked --passphrase
      broadcaster backup -o - --to keys.txt | ssh archive@example.org 'cat > appeals.age'
      broadcaster backup --check backups/broadcaster-20261127T231502Z.tar.gz.age --identity key.txt

    \b
    Exit statuses: 0 made, or all is there; 2 wrong usage; 65 no recipient, or FILE is damaged; 73 cannot write;
    75 another backup is being made; 77 a link, or others may write there; 78 configuration, or a damaged database.
    """
    if checked is not None:
        _check(checked, identities, passphrase, as_json=as_json)
        return
    if to and passphrase.given:
        raise click.UsageError("lock it with --to or with a passphrase, not with both")
    if output == "-" and (as_json or sys.stdout.isatty()):
        raise click.UsageError("-o - writes the backup to standard output: send it into a pipe, without --json")
    from broadcaster import keeping

    of = keeping.contents(house.workspace, house.config, passwords=with_passwords)
    if keeping.KEY not in of.names:
        warn(
            "subscribers/secret.key is missing, and will be missing from the backup",
            "leave links cannot be read without",
        )
    lock = None if dry_run else _lock(to, passphrase)
    path = _path(house, output, ".age" if to else ".locked" if passphrase.given else "")
    if dry_run:
        _foreseen(path, of, as_json=as_json)
        return
    octets = _made(house, of, path, lock)
    if lock is None and not plain:
        warn("this backup is not locked: whoever has the file has the list", "lock it: --to RECIPIENT, or --passphrase")
    if as_json:
        left_out = [{"file": name, "why": why} for name, why in of.left_out]
        dump({"file": str(path), "octets": octets, "locked": lock is not None, "left_out": left_out})
    elif sys.stderr.isatty():
        _tell(path, octets, of)


def _lock(to: tuple[str, ...], passphrase: Passphrase) -> Lock | None:
    from broadcaster import vault

    if to:
        whom = recipients(to)
        return lambda chunks, write: vault.lock(chunks, whom, write)
    if passphrase.given:
        words = passphrase.told(twice=True)
        return lambda chunks, write: vault.lock_by_passphrase(chunks, words, write)
    return None


def _path(house: House, output: str | None, locked: str) -> Path | None:
    """Where to, None for standard output."""
    if output == "-":
        return None
    root = house.workspace.root
    if output is None:
        at = datetime.fromtimestamp(house.now, UTC).strftime("%Y%m%dT%H%M%SZ")
        return root / "backups" / f"broadcaster-{at}.tar.gz{locked}"
    path = Path(output).absolute()
    if path.parent.resolve().is_relative_to(root) and not path.is_relative_to(root / "backups"):
        warn(f"{clean(output)} lies in the workspace, where git may take it along", "backups/ is ignored by git")
    return path


def _made(house: House, of: Contents, path: Path | None, lock: Lock | None) -> int:
    """Make it, unless another one is being made; its octets."""
    from broadcaster import keeping
    from broadcaster.custody import private_file
    from broadcaster.lock import Lock as Turn

    db = house.db
    turn = Turn(house.workspace.keeping)
    if not turn.take():
        raise Unfinished("another backup of this workspace is being made", hint="try again in a minute")
    try:
        with closing(keeping.keep(house.workspace, db, of, house.now)) as chunks:
            if path is None:
                return _written(chunks, sys.stdout.buffer, lock)
            if path.parent == house.workspace.root / "backups":
                _folder(path.parent)
            with private_file(path) as file:
                return _written(chunks, file, lock)
    finally:
        turn.release()


def _folder(backups: Path) -> None:
    """The folder of backups, which git never sees, without what was half written by one that was killed."""
    import os

    from broadcaster.custody import make_folder, write_private

    make_folder(backups)
    if not os.path.lexists(backups / ".gitignore"):
        write_private(backups / ".gitignore", b"*\n")
    for part in backups.glob("broadcaster-*.part"):
        # its name is still taken by an empty file
        for left in (part, part.with_suffix("")):
            left.unlink(missing_ok=True)


def _written(chunks: Iterator[bytes], file: BinaryIO, lock: Lock | None) -> int:
    progress = Progress()
    done = 0

    def write(octets: bytes) -> None:
        nonlocal done
        file.write(octets)
        done += len(octets)
        if sys.stderr.isatty():  # cron hears nothing
            progress.show(lambda: f"{done >> 20:,} MB written")

    if lock is None:
        for chunk in chunks:
            write(chunk)
    else:
        lock(chunks, write)
    file.flush()
    progress.done()
    return done


def _foreseen(path: Path | None, of: Contents, *, as_json: bool) -> None:
    if as_json:
        left_out = [{"file": name, "why": why} for name, why in of.left_out]
        dump({"file": str(path or "-"), "files": list(of.names), "left_out": left_out})
        return
    for name in of.names:
        out(clean(name))
    _left_out(of)


def _left_out(of: Contents) -> None:
    for name, why in of.left_out:
        say(f"left out: {clean(name)}: {why}")


def _tell(path: Path | None, octets: int, of: Contents) -> None:
    _left_out(of)
    where = clean(path) if path is not None else "standard output"
    say(f"{count(len(of.names), 'file')} in {octets / 1e6:,.1f} MB: {where}")
    if path is not None and path.parent.name == "backups":
        say("What lies beside the workspace is lost with it: take the file to another place.")


def _check(file: str, identities: tuple[Path, ...], passphrase: Passphrase, *, as_json: bool) -> None:
    from broadcaster import keeping
    from broadcaster.archive import Nowhere

    manifest = keeping.check(unlocked(file, identities, passphrase), Nowhere())
    if as_json:
        dump(told(manifest))
    else:
        say(f"all of it is there, and as it was written: {words(manifest)}")


def told(manifest: Manifest) -> dict[str, Any]:
    """What is in a backup, as JSON."""
    about = manifest.about
    files = [file._asdict() for file in manifest.files]
    return {"made": about.made, "by": about.program, "schema": about.schema, "octets": manifest.octets, "files": files}


def words(manifest: Manifest) -> str:
    """What is in a backup, in few words."""
    files = count(len(manifest.files), "file")
    return f"{files} of {moment(manifest.about.made)}, {manifest.octets / 1e6:,.1f} MB unpacked"
