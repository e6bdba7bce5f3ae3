"""new: start a statement."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import clean, dry_run_option, dump, json_option, out, say
from broadcaster.errors import BadData, CannotWrite

# what a layout of one's own begins with
HTML = """\
{# A layout of your own. It is base.html but for the blocks that stand here: change them, add others, delete these. -#}
{% extends "base.html" %}

{# {{ super() }} is what base.html has here. Styles are written into the elements; `start` and `end` are left and right
   as the language reads, and `isolated` keeps names and sums of the other direction in order. #}
{% block style %}
<style>
.motto { margin: 0 0 20px 0; padding-{{ start }}: 14px; border-{{ start }}: 4px solid {{ theme.colour or "#0b6470" }}; }
</style>
{% endblock %}

{% block body %}
{{ super() }}
{% if statement.motto %}
<p class="motto">{{ isolated(statement.motto) }}</p>
{% endif %}
{% endblock %}
"""
TEXT = """\
{# The same as plain text: without mark-up. What a block holds ends in an empty line. -#}
{% extends "base.txt" %}

{% block body %}
{{ super() -}}
{% if statement.motto %}
{{ statement.motto }}

{% endif %}
{% endblock %}
"""


@click.command()
@click.argument("slug")
@click.option(
    "--language",
    "languages",
    metavar="LANG",
    multiple=True,
    help="Only these parts; all of languages.offered by default.",
)
@click.option(
    "--layout", metavar="NAME", help="In a layout of your own: templates/NAME.html and .txt are begun if not there yet."
)
@dry_run_option
@json_option
@click.pass_obj
def new(house: House, slug: str, languages: tuple[str, ...], layout: str | None, dry_run: bool, as_json: bool) -> None:
    """Start a statement: a folder with one file per language.

    SLUG is its name in commands and folders: letters, digits, - and _, with at least one letter.

    \b
    Examples:
      broadcaster new clean-water
      broadcaster new june-2026 --language en --language ar
      broadcaster new june-appeal --layout appeal

    \b
    Exit statuses: 0 made, 65 not a name, 73 it is there already or cannot be written.
    """
    from broadcaster import language as tags
    from broadcaster.custody import make_folder, staged, write_private
    from broadcaster.draft import draft

    name = slug_of(slug)
    wanted = dict.fromkeys(map(tags.normalise, languages)) or house.config.languages.offered
    statements = house.workspace.root / "statements"
    for place in (statements / name, statements / f"{name}.md"):
        if place.exists() or place.is_symlink():
            raise CannotWrite(
                "is there already", where=str(place.relative_to(house.workspace.root)), hint="take another name"
            )
    layouts = _layouts(house, layout) if layout else {}
    heading = f"\nlayout: {layout}\n---\n" if layout else "\n---\n"
    files = {f"{tag}.md": draft(tag).replace("\n---\n", heading, 1).encode() for tag in wanted}
    if not dry_run:
        if layouts:
            with staged(house.workspace.root / "templates") as folder:
                for file, text in layouts.items():
                    write_private(folder / file, text.encode())
        with staged(statements) as folder:
            make_folder(folder / name)
            for file, content in files.items():
                write_private(folder / name / file, content)
    paths = [*(f"templates/{file}" for file in layouts), *(str(Path("statements") / name / file) for file in files)]
    if as_json:
        dump({"statement": name, "files": paths})
        return
    for path in paths:
        out(clean(path))
    say(f"Write them, then: broadcaster check {name}")


def _layouts(house: House, name: str) -> dict[str, str]:
    """The beginning of a layout, as far as it is not there: file in templates/ → text. Raises BadData."""
    if not re.fullmatch(r"[^\W_][\w-]{0,63}", name):
        raise BadData(
            f"{name[:80]!r} cannot be a layout's name", hint="letters, digits, - and _, at most 64: like appeal"
        )
    there = house.workspace.layouts()
    if f"{name}.html" in there:
        return {}
    return {file: text for file, text in ((f"{name}.html", HTML), (f"{name}.txt", TEXT)) if file not in there}


def slug_of(text: str) -> str:
    """A statement's name. Raises BadData for what cannot be a folder's name everywhere."""
    name = unicodedata.normalize("NFC", text)
    if not re.fullmatch(r"[^\W_][\w-]{0,63}", name) or not any(sign.isalpha() for sign in name):
        raise BadData(
            f"{text[:80]!r} cannot be a statement's name",
            hint="letters, digits, - and _, with at least one letter, at most 64: like clean-water",
        )
    return name
