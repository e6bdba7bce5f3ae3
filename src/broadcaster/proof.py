"""Everything that can be found wrong with a statement before the first recipient finds it.

The rules are a table; each has a level and one line of explanation. An error stops a mailing, a
warning is for the author to judge. Nothing here opens a file or a database: what is to be read is in
a Case, so the same proof serves `check`, `send` and a preview.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from broadcaster import language as tags
from broadcaster.errors import BadData
from broadcaster.merge import MergeTemplate
from broadcaster.reads import reads
from broadcaster.statement import Part, Statement

if TYPE_CHECKING:
    from broadcaster.config import Config


class Level(StrEnum):
    """Whether a finding stops a mailing."""

    ERROR = "error"
    WARNING = "warning"


class Rule(NamedTuple):
    """A level, and what is looked for."""

    level: Level
    about: str


RULES: Final[Mapping[str, Rule]] = {
    "template": Rule(
        Level.ERROR, "The file, its tags and names can be read: no name that nobody has, no tag left open."
    ),
    "attachment": Rule(Level.ERROR, "Every attachment is there, beside the statement, and of a size that arrives."),
    "no-way-to-leave": Rule(
        Level.ERROR, "Every part holds links.leave, and links.leave_mailto or links.one_click says where wishes go."
    ),
    "link": Rule(Level.ERROR, "Links and images are whole addresses: in a mailbox there is no page to be relative to."),
    "no-default-language": Rule(Level.ERROR, "Who reads none of the languages gets the default one, so it is there."),
    "not-built": Rule(Level.ERROR, "No setting is needed whose absence would change the mail itself."),
    "empty-field": Rule(Level.WARNING, "Fields that are printed without a default are filled in for everybody."),
    "missing-language": Rule(Level.WARNING, "People get the statement in a language they read."),
    "unread-leave": Rule(Level.WARNING, "The address for leave wishes is one of the mailboxes that are read."),
    "one-click": Rule(
        Level.WARNING, "Mail programs offer one click: the link is https, and a DKIM signature covers it (RFC 8058)."
    ),
    "unaligned": Rule(
        Level.WARNING, "The domain that signs is the sender's: else DMARC counts mail as unsigned (RFC 9989)."
    ),
    "no-postal-address": Rule(Level.WARNING, "The sender's postal address is set and shown: many laws ask for it."),
    "no-effect": Rule(Level.WARNING, "No setting is relied on that does nothing yet."),
    "subject": Rule(Level.WARNING, "The subject is not cut off in a list of mails."),
    "preheader": Rule(Level.WARNING, "The line that mailboxes show after the subject is written by you."),
    "empty-body": Rule(Level.WARNING, "There is a text below the heading."),
    "image-alt": Rule(Level.WARNING, "Images have a text for who does not see them."),
    "size": Rule(Level.WARNING, "The HTML stays below the size at which Gmail cuts a mail off."),
    "layout": Rule(Level.WARNING, "What the layout does survives the mailbox programs."),
    "nobody": Rule(Level.WARNING, "There is somebody to send it to."),
}

# Gmail shows the first 102 KB of HTML; 10 % are left for names and fields
CLIPPED: Final = 102_400
# wider subjects are cut by most programs on a desk, narrower ones by phones
SUBJECT_WIDTH: Final = 90
ATTACHED: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where. `file` may be empty and `line` unknown."""

    level: Level
    rule: str
    file: str
    line: int | None
    message: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `check`."""
        return {**asdict(self), "level": self.level.value}


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be proved.

    `merges` are the parts that could be laid out, `faults` what was said of the others and of attachments.
    `audience` counts by language tag whom a mailing would reach; None where no list was looked at.
    `lacking` counts those of them who lack a field. `attached` is the size of each attachment, in octets.
    """

    statement: Statement
    config: Config
    merges: Sequence[MergeTemplate] = ()
    faults: Sequence[tuple[str, BadData]] = ()  # rule, error
    audience: Mapping[str, int] | None = None
    lacking: Mapping[str, int] = field(default_factory=dict)
    attached: Mapping[str, int] = field(default_factory=dict)


def prove(case: Case) -> list[Finding]:
    """Everything that is wrong, errors first, then by file and line."""
    found = [
        *_said(case.faults),
        *_leaving(case),
        *_settings(case),
        *_languages(case),
        *_fields(case),
        *(finding for merge in case.merges for finding in _part(case, merge)),
    ]
    return sorted(dict.fromkeys(found), key=lambda f: (f.level is not Level.ERROR, f.file, f.line or 0, f.rule))


def unread(error: BadData) -> list[Finding]:
    """The finding about a statement that could not be read at all."""
    return list(_said([("template", error)]))


def _found(rule: str, message: str, file: str = "", line: int | None = None) -> Finding:
    return Finding(RULES[rule].level, rule, file, line, message)


def _said(faults: Iterable[tuple[str, BadData]]) -> Iterator[Finding]:
    for rule, error in faults:
        file, line = _place(error.where or "")
        yield _found(rule, error.message + (f" ({error.hint})" if error.hint else ""), file, line)


def _place(where: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*?):(\d+)(?::\d+)?", where)
    return (found[1], int(found[2])) if found else (where, None)


def _leaving(case: Case) -> Iterator[Finding]:
    """Who cannot leave reports as spam, and may sue."""
    links = case.config.links
    if links.leave_mailto is None:
        if not links.one_click:
            yield _found("no-way-to-leave", "links.leave_mailto is not set: nobody could leave", "broadcaster.toml")
    elif not case.config.returns.mailboxes:
        yield _found(
            "unread-leave",
            f"{links.leave_mailto} is read by none of returns.mailboxes: look into it",
            "broadcaster.toml",
        )
    for merge in case.merges:
        layout = case.statement.parts[merge.language].layout
        for kind, text in (("html", merge.html), ("txt", merge.text)):
            if "leave" not in reads(text).links:
                message = f"the {merge.language} part has no links.leave in its {'HTML' if kind == 'html' else 'text'}"
                yield _found("no-way-to-leave", message, f"templates/{layout}.{kind}")


def _settings(case: Case) -> Iterator[Finding]:
    config = case.config
    yield from _signing(config)
    for key, level, why in config.unbuilt():
        yield _found("not-built" if level == "error" else "no-effect", f"{key} {why}", "broadcaster.toml")
    if not config.sender.postal_address:
        yield _found("no-postal-address", "sender.postal_address is not set", "broadcaster.toml")
        return
    for merge in case.merges:
        written = config.sender.postal_address.into(merge.language, config.languages.default)
        if _flat(written) not in _flat(merge.text):
            layout = case.statement.parts[merge.language].layout
            message = f"the {merge.language} part does not show sender.postal_address"
            yield _found("no-postal-address", message, f"templates/{layout}.txt")


def _signing(config: Config) -> Iterator[Finding]:
    """What makes mailbox programs trust a copy, or its leave link, less."""
    if config.links.one_click and not config.links.site.startswith("https:"):
        message = "links.site is not https: no mail program will offer one click"
        yield _found("one-click", message, "broadcaster.toml")
    if config.links.one_click and config.dkim is None:
        yield _found(
            "one-click",
            "links.one_click counts only below a DKIM signature that covers it: set [dkim],"
            " or ask whoever runs the relay whether it signs List-Unsubscribe and List-Unsubscribe-Post",
            "broadcaster.toml",
        )
    if config.dkim is not None:
        ours, theirs = config.dkim.domain, config.sender.address.domain
        if not (f".{ours}".endswith(f".{theirs}") or f".{theirs}".endswith(f".{ours}")):
            message = f"dkim.domain is {ours}, and mail comes from {theirs}: the signature speaks for somebody else"
            yield _found("unaligned", message, "broadcaster.toml")


def _flat(text: str) -> str:
    """Letters alone: lines may be broken anew, and direction marks put around a foreign name."""
    return "".join(sign for sign in text if sign.isalnum())


def _languages(case: Case) -> Iterator[Finding]:
    """Who gets what, and who gets a fallback."""
    languages, default = case.config.languages, case.config.languages.default
    parts = tuple(case.statement.parts)
    folder = f"statements/{case.statement.slug}"
    if case.audience is None:
        for tag in languages.offered:
            if tag not in parts:
                yield _found("missing-language", f"there is no part in {tag}, which languages.offered names", folder)
        return
    if not sum(case.audience.values()):
        yield _found("nobody", "nobody would get it: the lists are empty")
    given: Counter[tuple[str, str]] = Counter()
    for tag, number in case.audience.items():
        chosen = tags.choose(tag or default, parts, default)
        if chosen not in parts or (tag and tag.split("-")[0] != chosen.split("-")[0]):
            given[tag, chosen] += number
    for (tag, chosen), number in sorted(given.items()):
        read = tags.name(tag) if tag else "no language we know"
        people = f"{number:,} {'person reads' if number == 1 else 'people read'} {read}"
        if chosen in parts:
            yield _found("missing-language", f"{people} and would get {tags.name(chosen)}", folder)
        else:
            yield _found(
                "no-default-language", f"{people}, and there is no part in {tags.name(chosen)}, the default", folder
            )


def _fields(case: Case) -> Iterator[Finding]:
    """Holes in the text, counted over the people who would see them."""
    if not case.audience:
        return
    everybody = sum(case.audience.values())
    holes: dict[str, list[str]] = {}
    for merge in case.merges:
        for name in sorted(printed(merge)):
            holes.setdefault(name, []).append(merge.language)
    for name, where in holes.items():
        number = case.lacking.get(name, 0)
        if not number:
            continue
        part = case.statement.parts[where[0]]
        # the count is over all languages: a bound where only some print the name
        bound = "up to " if len(where) < len(case.merges) else ""
        yield _found(
            "empty-field",
            f"{bound}{number:,} of {everybody:,} people have no {name}: they would see nothing there;"
            f' write {{{{ subscriber.{name} | default("…") }}}}',
            part.file,
            line_of(part, rf"subscriber\s*(?:\.\s*{re.escape(name)}\b|\[\s*['\"]{re.escape(name)}['\"])"),
        )


def _part(case: Case, merge: MergeTemplate) -> Iterator[Finding]:
    part = case.statement.parts[merge.language]
    for remark in merge.remarks:
        yield _found("layout", remark, part.file)
    if not part.body.strip():
        yield _found("empty-body", "there is no text below the heading", part.file, part.first_line)
    shown = len(_emptied(merge.subject, ""))
    if shown > SUBJECT_WIDTH:
        message = f"the subject has {shown} letters: most programs cut it off after {SUBJECT_WIDTH}"
        yield _found("subject", message, part.file, part.lines.get("subject"))
    if not part.preheader:
        message = "there is no preheader: mailboxes show the first words of the text after the subject"
        yield _found("preheader", message, part.file)
    size = len(merge.html.encode("utf-8", "replace"))
    if size > CLIPPED * 0.9:
        message = f"the HTML has {size / 1024:.0f} KB: Gmail cuts mails off at {CLIPPED // 1024} KB"
        yield _found("size", message, part.file)
    attached = sum(case.attached.get(name, 0) for name in merge.attachments)
    if attached > ATTACHED:
        message = f"the attachments have {attached / 1e6:.0f} MB for each copy: link to them instead"
        yield _found("size", message, part.file, part.lines.get("attachments"))
    yield from _links(part, merge.html)


# a value filled in later: what it leads to was decided by the one who wrote the field's name
_FILLED: Final = "\ue000"
_WHOLE: Final = re.compile(rf"(?:https?://[^\s/?#]+|mailto:[^\s@]+@|tel:\+?\d|sms:\+?\d|geo:|{_FILLED})", re.IGNORECASE)
_JINJA: Final = re.compile(r"""\{\{(?:"[^"]*"|'[^']*'|[^"'}]|\}(?!\}))*\}\}|\{%.*?%\}|\{#.*?#\}""", re.DOTALL)


def _emptied(text: str, filled: str = _FILLED) -> str:
    """Jinja taken out: values become one sign, tags nothing."""
    return _JINJA.sub(lambda found: filled if found[0].startswith("{{") else "", text)


class _Page(HTMLParser):
    """Collects where an HTML page leads, and its images."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("a", "area") and values.get("href") is not None:
            self.links.append((values["href"] or "").strip())
        if tag == "img":
            self.pictures.append((values.get("src") or "").strip())
            if "alt" not in values:
                self.silent.append(values.get("src") or "")

    handle_startendtag = handle_starttag


def _links(part: Part, html: str) -> Iterator[Finding]:
    page = _Page()
    page.feed(_emptied(html))
    page.close()
    for link in page.links:
        if not (_WHOLE.match(link) or (link.startswith("#") and len(link) > 1)):
            message = f"the link {_short(link)} leads nowhere from a mailbox: write it whole, like https://…"
            yield _found("link", message, part.file, _line_with(part, link))
    for source in page.pictures:
        if source.startswith("cid:"):
            continue
        if not re.match(rf"https?://|{_FILLED}", source, re.IGNORECASE):
            message = f"the image {_short(source)} cannot be shown in a mailbox: give it a whole https address"
            yield _found("link", message, part.file, _line_with(part, source))
    for source in page.silent:
        message = f"the image {_short(source)} has no alternative text"
        yield _found("image-alt", message, part.file, _line_with(part, source))


def _short(text: str) -> str:
    shown = text.replace(_FILLED, "…")
    return f'"{shown[:60]}{"…" if len(shown) > 60 else ""}"'


def _line_with(part: Part, text: str) -> int | None:
    """The line of the statement's text that holds a link, as far as it is written there as it is."""
    longest = max(text.split(_FILLED), key=len)
    return line_of(part, re.escape(longest)) if longest else None


def line_of(part: Part, pattern: str) -> int | None:
    """The first line of a part where a pattern is found: in its text, else in its heading."""
    for number, line in enumerate(part.body.split("\n"), start=part.first_line):
        if re.search(pattern, line):
            return number
    for key, value in (("subject", part.subject), ("preheader", part.preheader), *part.extra.items()):
        if re.search(pattern, value):
            return part.lines.get(key)
    return None


def printed(merge: MergeTemplate) -> frozenset[str]:
    """The fields that a part prints with neither a default nor a condition that looks at them first."""
    return frozenset[str]().union(*(reads(text).holes for text in (merge.subject, merge.html, merge.text)))


def fields(merges: Iterable[MergeTemplate]) -> frozenset[str]:
    """Every field that some part prints so: whom to count before `prove`."""
    return frozenset[str]().union(*map(printed, merges))
