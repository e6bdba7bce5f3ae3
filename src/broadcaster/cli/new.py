"""new: start a statement."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import clean, dry_run_option, dump, json_option, out, say
from broadcaster.errors import BadData, CannotWrite

# what a first draft says; other languages start from the English one
DRAFTS = {
    "en": ("A subject that says what it is about", "One line that makes people open it", "Dear {name},", "friend"),
    "ar": ("عنوان يقول ما الموضوع", "سطر واحد يدعو إلى القراءة", "{name} العزيز/ة،", "صديقنا"),
    "ckb": ("ناونیشانێک کە بابەتەکە دەڵێت", "یەک دێڕ کە خوێنەر بانگ دەکات", "{name}ی بەڕێز،", "هاوڕێ"),
    "fa": ("عنوانی که موضوع را می‌گوید", "یک سطر که خواننده را فرامی‌خواند", "{name} گرامی،", "دوست"),
    "fr": (
        "Un objet qui dit de quoi il s’agit",
        "Une ligne qui donne envie de lire",
        "Chère, cher {name},",
        "amie, ami",
    ),
}
DRAFT = """---
subject: {subject}
preheader: {preheader}
---
{greeting}

…
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
@dry_run_option
@json_option
@click.pass_obj
def new(house: House, slug: str, languages: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Start a statement: a folder with one file per language.

    SLUG is its name in commands and folders: letters, digits, - and _, with at least one letter.

    \b
    Examples:
      broadcaster new clean-water
      broadcaster new june-2026 --language en --language ar

    \b
    Exit statuses: 0 made, 65 not a name, 73 it is there already or cannot be written.
    """
    from broadcaster import language as tags
    from broadcaster.cli.init import staged

    name = slug_of(slug)
    wanted = dict.fromkeys(map(tags.normalise, languages)) or house.config.languages.offered
    statements = house.workspace.root / "statements"
    for place in (statements / name, statements / f"{name}.md"):
        if place.exists() or place.is_symlink():
            raise CannotWrite(
                "is there already", where=str(place.relative_to(house.workspace.root)), hint="take another name"
            )
    files = {f"{tag}.md": draft(tag).encode() for tag in wanted}
    if not dry_run:
        with staged(statements) as folder:
            (folder / name).mkdir()
            for file, content in files.items():
                (folder / name / file).write_bytes(content)
    paths = [str(Path("statements") / name / file) for file in files]
    if as_json:
        dump({"statement": name, "files": paths})
        return
    for path in paths:
        out(clean(path))
    say(f"Write them, then: broadcaster check {name}")


def slug_of(text: str) -> str:
    """A statement's name. Raises BadData for what cannot be a folder's name everywhere."""
    name = unicodedata.normalize("NFC", text)
    if not re.fullmatch(r"[^\W_][\w-]{0,63}", name) or not any(sign.isalpha() for sign in name):
        raise BadData(
            f"{text[:80]!r} cannot be a statement's name",
            hint="letters, digits, - and _, with at least one letter, at most 64: like clean-water",
        )
    return name


def draft(tag: str) -> str:
    """A first draft in a language, as far as we know it."""
    subject, preheader, greeting, friend = DRAFTS.get(tag) or DRAFTS.get(tag.split("-")[0]) or DRAFTS["en"]
    name = f'{{{{ subscriber.name | default("{friend}") }}}}'
    return DRAFT.format(subject=subject, preheader=preheader, greeting=greeting.format(name=name))
