"""init: a new workspace."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from broadcaster.cli.say import clean, dry_run_option, dump, json_option, out, say
from broadcaster.errors import CannotWrite

SAMPLE = "clean-water"
IGNORED = """\
/backups/
/outbox/
/returns/
/statements/*/private/
/*.csv*
/*.jsonl*
/*.xlsx*
/subscribers/*
!/subscribers/README.md
!/subscribers/sample.csv
*.password
*.pem
"""
README = """\
# A workspace of broadcaster

    broadcaster.toml   settings: who writes, through which relay
    statements/        what you write: a folder per statement, a file per language
    templates/         how it looks
    subscribers/       files of people to import; the database and the key (in your backups, never in git)
    outbox/            where mail goes as long as the relay is maildir:outbox

The first steps, with people who do not exist and mail that goes to nobody:

    broadcaster lists create supporters --title "Our supporters"
    broadcaster subscribers import subscribers/sample.csv --list supporters --consent "signed up at the spring fair"
    broadcaster check clean-water
    broadcaster send clean-water --list supporters
"""


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(readable=False, path_type=Path))
@dry_run_option
@json_option
@click.pass_context
def init(ctx: click.Context, directory: Path | None, dry_run: bool, as_json: bool) -> None:
    """Make a new workspace with a small working example.

    DIR is the current folder where none is named. It may hold other files, but nothing of a workspace.
    Its secret.key signs the leave links of all mail you will send: make it part of your backups.

    \b
    Examples:
      broadcaster init appeals
      cd appeals && broadcaster check clean-water

    \b
    Exit statuses: 0 made, 73 there is something already or it cannot be written, 77 a synchronised or network folder.
    """
    above = ctx.parent.params.get("directory") if ctx.parent else None
    place: Path = directory or above or Path()
    files = made(place, dry_run=dry_run)
    if as_json:
        dump({"workspace": str(place.resolve()), "files": files})
        return
    for file in files:
        out(clean(file))
    if not dry_run:
        go = "" if place.resolve() == Path.cwd() else f"cd {clean(place)} && "
        say(f"A workspace is in {clean(place.resolve())}. Its README.md tells the first steps:")
        say(f"  {go}broadcaster lists create supporters")
        say("`broadcaster backup` keeps all of it, with people and keys, in one file.")


def made(place: Path, *, dry_run: bool = False) -> list[str]:
    """Make a workspace, whole or not at all; the files that are in it. Raises CannotWrite, NotAllowed."""
    from broadcaster.custody import staged
    from broadcaster.workspace import refuse_elsewhere

    try:
        root = place.resolve()
        refuse_elsewhere(root)
        _refuse_occupied(root)
        if dry_run:
            return sorted([*(name for name, _ in _contents()), ".gitignore", "README.md", "subscribers/secret.key"])
        with staged(root) as folder:
            _fill(folder)
            _keep_what_is_there(root, folder)
            files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    except (OSError, ValueError, RuntimeError) as error:
        # a name too long or with NUL, a loop of links, no permission
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CannotWrite(words.lower(), where=str(place), hint="name another folder") from None
    return files


def _refuse_occupied(root: Path) -> None:
    if (root / "broadcaster.toml").exists():
        raise CannotWrite("is a workspace already", where=str(root), hint="nothing was changed")
    if root.exists() and not root.is_dir():
        raise CannotWrite("is no folder", where=str(root), hint="name another one")
    for name in ("broadcaster.toml", "templates", "statements", "subscribers", "outbox"):
        if os.path.lexists(root / name):
            raise CannotWrite("is there already", where=str(root / name), hint="take an empty folder")


def _contents() -> Iterator[tuple[str, Path]]:
    """What is copied: its name in the workspace, and where it comes from."""
    from broadcaster.workspace import samples

    source = samples()
    for name in ("templates", f"statements/{SAMPLE}"):
        for path in sorted((source / name).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(source).as_posix(), path
    for name in ("broadcaster.toml", "subscribers/README.md", "subscribers/sample.csv"):
        yield name, source / name


def _fill(folder: Path) -> None:
    from broadcaster.custody import create_private, make_folder, write_private
    from broadcaster.links import KEY_OCTETS

    for name, source in _contents():
        target = folder / name
        make_folder(target.parent)
        # as nobody else's: who wants others to read a layout may say so
        with source.open("rb") as original, os.fdopen(create_private(target), "wb") as copy:
            shutil.copyfileobj(original, copy)
    write_private(folder / ".gitignore", IGNORED.encode())
    write_private(folder / "README.md", README.encode())
    with os.fdopen(create_private(folder / "subscribers" / "secret.key"), "wb") as key:
        key.write(secrets.token_bytes(KEY_OCTETS))
        key.flush()
        os.fsync(key.fileno())


def _keep_what_is_there(root: Path, folder: Path) -> None:
    """A README stays as it is; a .gitignore gets our lines: people must not end up in a repository."""
    if os.path.lexists(root / "README.md"):
        (folder / "README.md").unlink()
    if os.path.lexists(root / ".gitignore"):
        (folder / ".gitignore").unlink()
        lines = (root / ".gitignore").read_text("utf-8", "surrogateescape")
        lacking = [line for line in IGNORED.splitlines() if line not in lines.splitlines()]
        with (root / ".gitignore").open("a", encoding="utf-8") as file:
            file.write(("" if lines.endswith("\n") or not lines else "\n") + "".join(f"{line}\n" for line in lacking))
