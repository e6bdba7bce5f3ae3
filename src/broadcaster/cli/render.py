"""render: a statement as it will be mailed, into a folder."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House
from broadcaster.cli.say import clean, dry_run_option, dump, json_option, out, say
from broadcaster.custody import write_private
from broadcaster.errors import BadData, CannotWrite, CheckFailed, NotFound

if TYPE_CHECKING:
    from broadcaster.cli.copies import Copies
    from broadcaster.merge import MergeTemplate
    from broadcaster.subscriber import Subscriber


@click.command()
@click.argument("statement", shell_complete=complete.statements)
@click.option(
    "--as", "reader", metavar="ADDRESS", help="As this subscriber gets it; otherwise for nobody in particular."
)
@click.option("--language", metavar="LANG", help="Only this part.")
@click.option(
    "-o",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(readable=False, path_type=Path),
    help="Where the files go; it is made if it is not there.",
)
@dry_run_option
@json_option
@click.pass_obj
def render(
    house: House,
    statement: str,
    reader: str | None,
    language: str | None,
    folder: Path,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write STATEMENT as it will be mailed into a folder, to look at.

    For each language: LANG.html and LANG.txt as a person sees them, LANG.eml as it goes to the relay, and
    LANG.merge.html and LANG.merge.txt, which are what `prepare` freezes: all but the person is filled in.
    Images that travel with the mail lie beside them. Leave links in these copies do nothing.

    \b
    Examples:
      broadcaster render clean-water -o /tmp/look
      broadcaster render clean-water --as ako@example.org --language ckb -o look

    \b
    Exit statuses: 0 written, 65 no such statement or subscriber, or a part cannot be made (the others are
    written), 73 cannot write.
    """
    merges, faults = chosen(house, statement, language)
    person = known(house, reader) if reader else None
    files, more = rendered(house, statement, merges, person)
    if not dry_run:
        write(folder, files)
    paths = [str(folder / name) for name in files]
    if as_json:
        dump({"statement": statement, "files": paths})
    else:
        for path in paths:
            out(clean(path))
    complain(statement, [*faults, *more])


def chosen(house: House, slug: str, language: str | None) -> tuple[list[MergeTemplate], list[BadData]]:
    """The parts asked for, laid out, and what is wrong with those that could not be.

    Raises NotFound, LanguageError, StatementError.
    """
    from broadcaster import language as tags
    from broadcaster.broadcast import laid_out

    found = house.workspace.statement(slug)
    if language is not None:
        tag = tags.choose(tags.normalise(language), found.parts, "")
        if not tag:
            raise NotFound(f"{slug} has no part in {language!r}", hint=f"it has {', '.join(found.parts)}")
        found = replace(found, parts={tag: found.parts[tag]})
    return laid_out(house.workspace, house.config, house.roster.fields(), found)


def known(house: House, address: str) -> Subscriber:
    """The subscriber with this address. Raises NotFound with look-alikes."""
    return house.roster.known(address)


def rendered(
    house: House, slug: str, merges: Sequence[MergeTemplate], person: Subscriber | None
) -> tuple[dict[str, bytes], list[BadData]]:
    """File name → content for each part, and what is wrong with those that could not be made."""
    from email import message_from_bytes, policy

    from broadcaster.cli.copies import Copies, nobody

    files: dict[str, bytes] = {}
    faults: list[BadData] = []
    for merge in merges:
        tag = merge.language
        try:
            copies = Copies(house, slug, [merge])
            merge = copies.frozen[0].merge  # its images have got their addresses
        except BadData as error:
            faults.append(error)
            copies = None
        files[f"{tag}.merge.html"] = merge.html.encode()
        files[f"{tag}.merge.txt"] = f"{merge.subject}\n\n{merge.text}".encode()
        if copies is None:
            continue
        try:
            reader = person or nobody(f"reader@{house.config.sender.address.domain}", tag)
            message = copies.of(reader, tag, house.now).message
        except BadData as error:
            faults.append(error)
            continue
        files[f"{tag}.eml"] = message
        read = message_from_bytes(message, policy=policy.default)
        for kind, suffix in (("html", "html"), ("plain", "txt")):
            body = read.get_body((kind,))
            assert body is not None
            files[f"{tag}.{suffix}"] = body.get_content().encode()
        page, images = _shown(files[f"{tag}.html"], copies)
        files.update({f"{tag}.html": page, **images})
    return files, faults


def _shown(page: bytes, copies: Copies) -> tuple[bytes, dict[str, bytes]]:
    """A page that a browser shows, which knows no `cid:`, and the images it then shows from beside it."""
    images: dict[str, bytes] = {}
    for cid, (name, _, digest) in copies.frozen[0].images.items():
        file = f"{cid[:8]}{Path(name).suffix.lower()}"
        images[file] = copies.files[digest]
        page = page.replace(f'"cid:{cid}"'.encode(), f'"{file}"'.encode())
    return page, images


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, each whole or not at all; what was there under the same name is replaced, a link is not followed.

    Raises CannotWrite.
    """
    try:
        # it may be one person's copy
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in files.items():
            draft = folder / f".{name}.{secrets.token_hex(6)}"
            try:
                write_private(draft, content)
                draft.replace(folder / name)
            finally:
                draft.unlink(missing_ok=True)
    except OSError as error:
        where = str(error.filename or folder)
        raise CannotWrite((error.strerror or str(error)).lower(), where=where, hint="name another folder") from None


def complain(slug: str, faults: Sequence[BadData]) -> None:
    """Say what could not be made. Raises CheckFailed where there is anything."""
    for error in dict.fromkeys(map(str, faults)):
        say(clean(error))
    if faults:
        raise CheckFailed(f"{slug} cannot be made in every language", hint=f"`broadcaster check {slug}` tells all")
