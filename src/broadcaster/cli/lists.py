"""lists: show, create, edit, delete."""

from __future__ import annotations

import re
from typing import Any

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House, tried
from broadcaster.cli.people import Noun
from broadcaster.cli.say import ask, count, dry_run_option, dump, json_option, out, say, table, yes_option

_BY_LANGUAGE = re.compile(r"([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)=(.*)", re.DOTALL)

title_option = click.option(
    "--title",
    "titles",
    multiple=True,
    metavar="[LANGUAGE=]TITLE",
    help="What readers see; once for each language. Without a language, in the default one.",
)


@click.group(cls=Noun, subcommand_metavar="[VERB] [ARGS]...")
def lists() -> None:
    """Show, create, edit and delete lists.

    Without a verb: show them.

    \b
    Examples:
      broadcaster lists
      broadcaster lists create news --title "Our news" --title ar="أخبارنا"
      broadcaster lists edit news --title ckb="هەواڵەکانمان"

    \b
    Exit statuses: 0 done, 2 wrong usage or not confirmed, 65 no such list, 77 there is one already,
    78 configuration.
    """


@lists.command("show")
@json_option
@click.pass_obj
def show(house: House, as_json: bool) -> None:
    """Show every list and how many people are on it.

    \b
    Examples:
      broadcaster lists
      broadcaster lists --json

    \b
    Exit statuses: 0 told, 78 configuration.
    """
    from broadcaster.subscriber import Standing

    sizes = house.roster.sizes()
    found = [
        {
            "name": of.name,
            "title": of.title(house.config.languages.default, house.config.languages.default),
            "titles": dict(of.titles),
            "list_id": of.list_id,
            **{standing.word: sizes.get(of.id, {}).get(standing, 0) for standing in Standing},
        }
        for of in house.roster.lists()
    ]
    if as_json:
        dump(found)
    elif not found:
        say("no lists yet: `broadcaster lists create NAME` makes one")
    else:
        columns = ["name", "title", *(standing.word for standing in Standing), "list_id"]
        rows = (
            [f"{each[name]:,}" if isinstance(each[name], int) else each[name] for name in columns] for each in found
        )
        table(["list", "title", "people", "left", "removed", "List-Id"], rows, keep=["list"])
        for each in found:
            if not each["active"]:
                say(f"nobody is on {each['name']} yet: `broadcaster subscribers import FILE --list {each['name']}`")


@lists.command("create")
@click.argument("name")
@title_option
@dry_run_option
@json_option
@click.pass_obj
def create(house: House, name: str, titles: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Make a list. Its List-Id, NAME under the sender's domain, is fixed now and never changes.

    \b
    Examples:
      broadcaster lists create news
      broadcaster lists create board --title "The board" --title ar="المجلس"

    \b
    Exit statuses: 0 made, 65 not a usable name, 77 there is one already, 78 configuration.
    """
    with tried(house.db, dry_run=dry_run):
        of = house.roster.create_list(name, house.config.sender.address.domain, _titles(house, titles))
    if as_json:
        dump({"name": of.name, "list_id": of.list_id, "titles": dict(of.titles)})
    else:
        out(f"{'would make' if dry_run else 'made'} the list {of.name!r}, List-Id {of.list_id}")
    if not dry_run:
        say(f"next: broadcaster subscribers import FILE --list {of.name}")


@lists.command("edit")
@click.argument("name", shell_complete=complete.lists)
@title_option
@dry_run_option
@json_option
@click.pass_obj
def edit(house: House, name: str, titles: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Change a list's titles; an empty one is taken away. Its name and its List-Id stay.

    \b
    Examples:
      broadcaster lists edit news --title "The news" --title fr=

    \b
    Exit statuses: 0 changed, 2 wrong usage, 65 no such list, 78 configuration.
    """
    if not titles:
        raise click.UsageError("say what to change: --title")
    with tried(house.db, dry_run=dry_run):
        of = house.roster.edit_list(house.roster.list(name), _titles(house, titles))
    if as_json:
        dump({"name": of.name, "list_id": of.list_id, "titles": dict(of.titles)})
    else:
        words = ", ".join(f"{tag}: {title}" for tag, title in of.titles.items())
        out(f"the list {of.name!r} {'would be' if dry_run else 'is'} called {words or of.name}")


@lists.command("delete")
@click.argument("name", shell_complete=complete.lists)
@dry_run_option
@yes_option
@json_option
@click.pass_obj
def delete(house: House, name: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete a list: nobody is on it any more.

    The people themselves, past mailings, and who left it stay known: a list that is made again under
    this name has nobody on it, and brings nobody back who left.

    \b
    Examples:
      broadcaster lists delete spring-fair

    \b
    Exit statuses: 0 deleted, 2 not confirmed, 65 no such list, 78 configuration.
    """
    of = house.roster.list(name)
    if not dry_run:
        ask(f"Delete the list {of.name!r} with {count(_active(house, of.id), 'person', 'people')} on it?", yes=yes)
    with tried(house.db, dry_run=dry_run):
        gone = house.roster.delete_list(of)
    if as_json:
        dump({"name": of.name, "removed": gone})
    else:
        did = "would be deleted" if dry_run else "is deleted"
        out(f"the list {of.name!r} {did}: {count(gone, 'person', 'people')} taken off it")


def _active(house: House, list_id: int) -> int:
    from broadcaster.subscriber import Standing

    return house.roster.sizes().get(list_id, {}).get(Standing.ACTIVE, 0)


def _titles(house: House, given: tuple[str, ...]) -> dict[str, str]:
    """Titles by language tag; text before a = is a language only where it looks like one."""
    from broadcaster.cell import tidy_line
    from broadcaster.language import normalise

    titles: dict[str, str] = {}
    for text in given:
        found: Any = _BY_LANGUAGE.fullmatch(text)
        tag, title = (normalise(found[1]), found[2]) if found else (house.config.languages.default, text)
        titles[tag] = tidy_line(title)
    return titles
