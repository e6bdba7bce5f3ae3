"""restore: a workspace out of a backup."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.backup import told, words
from broadcaster.cli.house import House
from broadcaster.cli.say import clean, count, dry_run_option, dump, json_option, moment, say, warn
from broadcaster.cli.unlock import Passphrase, passphrase_options, unlocked
from broadcaster.errors import ArchiveError, BadData, ConfigError

if TYPE_CHECKING:
    from broadcaster.db import Db
    from broadcaster.keeping import Restored
    from broadcaster.workspace import Workspace

# a mark has a record of 128 octets for each mailing
MARK_LIMIT = 1 << 28


@click.command()
@click.argument("file", metavar="FILE")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(readable=False, path_type=Path))
@click.option("--identity", "identities", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The file with the key it is locked for, as age-keygen or ssh-keygen wrote it.")  # fmt: skip
@passphrase_options
@click.option("--mark", type=click.Path(path_type=Path), metavar="FILE",
              help="subscribers/ledger.mark of the workspace that was lost: it knows what was sent since.")  # fmt: skip
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The key of an encrypted database, where it does not lie where [encryption] says.",
)
@dry_run_option
@json_option
@click.pass_context
def restore(
    ctx: click.Context,
    file: str,
    directory: Path | None,
    identities: tuple[Path, ...],
    passphrase: Passphrase,
    mark: Path | None,
    key_file: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a workspace of a backup, in a new or empty folder.

    FILE is a backup, - is standard input. DIR is the current folder where none is named. A workspace that is in use is
    never written over: restore beside it, look, and let the new folder take its place. Every digest is compared, and
    the database looked through, before anything is there. With --dry-run that is all.

    What was sent after the backup nobody may get twice. With --mark it is known how far that went. Without, all that
    was not over may have been sent: it is in doubt, and `resolve` settles it.

    \b
    Examples:
      broadcaster restore broadcaster-20261127T231502Z.tar.gz appeals
      broadcaster restore june.tar.gz.age appeals --identity key.txt --mark old/subscribers/ledger.mark
      ssh archive@example.org cat appeals.age | broadcaster restore - appeals --identity key.txt

    \b
    Exit statuses: 0 restored; 2 wrong usage; 65 FILE is damaged, cut off, altered, of a newer broadcaster or locked for
    somebody else; 73 DIR is not empty, or cannot be written; 77 a synchronised or network folder, or another's mark;
    78 no key for an encrypted database.
    """
    from broadcaster import keeping
    from broadcaster.archive import Nowhere
    from broadcaster.workspace import refuse_elsewhere

    above = ctx.parent.params.get("directory") if ctx.parent else None
    root = Path(directory or above or Path()).resolve()
    pour = unlocked(file, identities, passphrase)
    refuse_elsewhere(root)
    keeping.refuse_occupied(root)
    known = _mark(mark) if mark is not None else None
    if dry_run:
        manifest = keeping.check(pour, Nowhere())
        if as_json:
            dump(told(manifest))
        say(f"would be restored into {clean(root)}: {words(manifest)}")
        return
    house: House = ctx.obj
    try:
        restored = keeping.restore(pour, root, known, functools.partial(_opened, house, key_file), house.now)
    except ArchiveError as error:
        error.where = error.where or file
        raise
    if as_json:
        dump({"workspace": str(root), **told(restored.manifest), **_figures(restored)})
    _tell(root, restored, known=known is not None)


def _opened(house: House, key_file: Path | None, of: Workspace) -> Db:
    """The database of a workspace that is not where it will stay."""
    from broadcaster.db import open_database
    from broadcaster.keys import candidates, from_file, keeper

    if key_file is not None:
        key = from_file(key_file)
        return open_database(of.database, create=False, who=house.who, keys=lambda: iter((key,)))
    try:
        encryption = of.config().encryption
    except ConfigError:
        # settings that an older program took, perhaps: that keeps nobody from their people
        encryption = None
    keys = None if encryption is None else functools.partial(candidates, keeper(encryption, of))
    return open_database(of.database, create=False, who=house.who, keys=keys)


def _figures(restored: Restored) -> dict[str, Any]:
    sent = [stamp.mailing for stamp in restored.sent]
    figures = {"people": restored.people, "mailings": restored.mailings}
    return {**figures, "sent_since": sent, "stopped": list(restored.stopped)}


def _mark(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BadData("is no file", where=str(path), hint="it is subscribers/ledger.mark of the old workspace")
        with path.open("rb") as file:
            return file.read(MARK_LIMIT)
    except OSError as error:
        raise BadData((error.strerror or str(error)).lower(), where=str(path)) from None


def _tell(root: Path, restored: Restored, *, known: bool) -> None:
    """What there is now, and what it cannot know."""
    made = moment(restored.manifest.about.made)
    who = count(restored.people, "person", "people")
    say(f"{who} and {count(restored.mailings, 'mailing')} restored as of {made}: {clean(root)}")
    sent = [str(stamp.mailing) for stamp in restored.sent if stamp not in restored.lost]
    lost = [str(stamp.mailing) for stamp in restored.lost]
    if not known:
        warn(
            f"what was sent after {made} is not known here",
            "if the old subscribers/ledger.mark is anywhere, put it in place of the new one, or restore with --mark",
        )
        if sent:
            say(f"  mailing {', '.join(sent)}: whoever waited then may have got it, and is in doubt once you go on")
        say("  a statement of then is not sent as a new mailing without --again")
    elif sent or lost:
        warn(f"more was sent after {made}: what that was is in doubt once you go on")
        if sent:
            say(f"  mailing {', '.join(sent)}: settle it with `broadcaster resolve NUMBER`")
        if lost:
            say(f"  mailing {', '.join(lost)} is not in the backup at all: who got it is not known here")
    if restored.stopped:
        numbers = ", ".join(map(str, restored.stopped))
        say(f"  mailing {numbers} is paused, for it may have been cancelled since: `resume NUMBER` lets it go")
    say(f"  who left or joined after {made} is not in it: `broadcaster collect` first, and see docs/backup.md")
    say(f"Next: broadcaster -C {clean(root)} status")
