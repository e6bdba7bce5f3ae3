"""What a shell may offer: the names and numbers of the workspace at hand. No addresses: they would be on the screen.

The database is only looked at, never made, brought up to date or waited for. Whatever is wrong, nothing is offered:
a shell that scolds between two letters is no help.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from broadcaster.db import Db
    from broadcaster.workspace import Workspace

Offer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]

# Bash writes what is chosen into the command line as it is: a folder called $(reboot) is not offered.
_HARMLESS: Final = re.compile(r"[\w@:.+-]+")


def _offered(*sources: Callable[[Workspace], Iterable[tuple[str, str]]]) -> Offer:
    """Offer words with a few words of help each, those that begin as the one that was begun."""

    def offer(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from broadcaster import workspace
        from broadcaster.cli.say import clip

        try:
            here = workspace.find(ctx.find_root().params.get("directory"), os.environ)
            return [
                CompletionItem(word, help=clip(about, 60) or None)
                for source in sources
                for word, about in source(here)
                if word.startswith(begun) and _HARMLESS.fullmatch(word)
            ]
        except Exception:
            return []

    return offer


def _glanced(look: Callable[[Db], Iterable[tuple[str, str]]]) -> Callable[[Workspace], Iterator[tuple[str, str]]]:
    """What the database tells, where it can be looked at."""

    def looked(here: Workspace) -> Iterator[tuple[str, str]]:
        from broadcaster.db import glance

        with glance(here.database) as db:
            if db is not None:
                yield from look(db)

    return looked


def _mailings(db: Db) -> Iterator[tuple[str, str]]:
    from broadcaster.ledger import Ledger

    # what goes on is meant more often than what is over
    for of in sorted(Ledger(db).mailings(), key=lambda of: (of.state.over, -of.id)):
        yield str(of.id), f"{of.statement} ({of.state.word})"


def _lists(db: Db) -> Iterator[tuple[str, str]]:
    from broadcaster.roster import Roster

    for of in Roster(db, lambda: 0).lists():
        yield of.name, next(iter(of.titles.values()), "")


def _segments(db: Db, sign: str = "") -> Iterator[tuple[str, str]]:
    from broadcaster import segments

    for of in segments.every(db):
        yield f"{sign}{of.name}", of.where


def _exclusions(db: Db) -> Iterator[tuple[str, str]]:
    yield from _lists(db)
    yield from _segments(db, "@")
    yield from ((f"mailing:{number}", about) for number, about in _mailings(db))


def _statements(here: Workspace) -> Iterator[tuple[str, str]]:
    return ((slug, "statement") for slug in here.slugs())


def _states(_: Workspace) -> Iterator[tuple[str, str]]:
    from broadcaster.delivery import State

    return ((state.word, "") for state in State)


mailings = _offered(_glanced(_mailings))
lists = _offered(_glanced(_lists))
segments = _offered(_glanced(_segments))
exclusions = _offered(_glanced(_exclusions))
statements = _offered(_statements)
statements_and_mailings = _offered(_statements, _glanced(_mailings))
states = _offered(_states)
