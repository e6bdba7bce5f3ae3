"""What a first draft says, in the languages we know: whoever starts one writes over it, and what is left is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from broadcaster.statement import Part


class Words(NamedTuple):
    """The words of a draft; `greeting` has a gap for the name."""

    subject: str
    preheader: str
    greeting: str
    friend: str


# other languages start from the English one
WORDS: Final = {
    "en": Words("A subject that says what it is about", "One line that makes people open it", "Dear {name},", "friend"),
    "ar": Words("عنوان يقول ما الموضوع", "سطر واحد يدعو إلى القراءة", "{name} العزيز/ة،", "صديقنا"),
    "ckb": Words("ناونیشانێک کە بابەتەکە دەڵێت", "یەک دێڕ کە خوێنەر بانگ دەکات", "{name}ی بەڕێز،", "هاوڕێ"),
    "fa": Words("عنوانی که موضوع را می‌گوید", "یک سطر که خواننده را فرامی‌خواند", "{name} گرامی،", "دوست"),
    "fr": Words(
        "Un objet qui dit de quoi il s’agit", "Une ligne qui donne envie de lire", "Chère, cher {name},", "amie, ami"
    ),
}
GAP: Final = "…"  # where the text goes
_PAGE: Final = """---
subject: {subject}
preheader: {preheader}
---
{greeting}

{gap}
"""


def draft(tag: str) -> str:
    """A first draft in a language, as far as we know it."""
    words = WORDS.get(tag) or WORDS.get(tag.split("-")[0]) or WORDS["en"]
    name = f'{{{{ subscriber.name | default("{words.friend}") }}}}'
    return _PAGE.format(
        subject=words.subject, preheader=words.preheader, greeting=words.greeting.format(name=name), gap=GAP
    )


def untouched(part: Part) -> Iterator[tuple[str, int | None]]:
    """What of a part is still as the draft had it, and in which line."""
    subjects = {words.subject for words in WORDS.values()}
    preheaders = {words.preheader for words in WORDS.values()}
    if part.subject in subjects:
        yield "the subject is still the draft's", part.lines.get("subject")
    if part.preheader in preheaders:
        yield "the preheader is still the draft's", part.lines.get("preheader")
    for number, line in enumerate(part.body.split("\n"), start=part.first_line):
        if line.strip() == GAP:
            yield f"there is nothing yet where the draft has {GAP}", number
