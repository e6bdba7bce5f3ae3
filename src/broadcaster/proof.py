"""Everything that can be found wrong with a statement before the first recipient finds it.

Each rule of rules.py is looked at here, or in page.py and translation.py for what is in a part. Nothing
opens a file or a database: what is to be read is in a Case, so the same proof serves `check`, `send` and a preview.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from broadcaster import contrast, page, translation
from broadcaster import language as tags
from broadcaster.draft import untouched
from broadcaster.errors import BadData
from broadcaster.markdown import DELIMITERS
from broadcaster.merge import MergeTemplate
from broadcaster.page import emptied, line_of
from broadcaster.reads import reads
from broadcaster.rules import RULES, Finding, Level, found
from broadcaster.statement import HEADING, JINJA, Part, Statement
from broadcaster.trial import SUBJECT_WIDTH, sized

if TYPE_CHECKING:
    from broadcaster.config import Config
    from broadcaster.subscriber import MailingList

__all__ = ["RULES", "Case", "Finding", "Level", "Misread", "aligned", "fields", "prove", "unread"]


ATTACHED: Final = 10_000_000
# beside an image, fewer letters say nothing
_FEW_LETTERS: Final = 30
# what Gmail and Outlook refuse, by the end of the name
_BLOCKED: Final = frozenset(
    "apk appx bat chm cmd com cpl dll dmg docm exe hta img iso jar js jse lnk mde msc msi msp pif ps1 reg scr sh sys vb"  # noqa: SIM905
    " vbe vbs vhd vxd wsc wsf wsh xlsm".split()
)
# who tells everyone to refuse their mail from other servers, and which relay is theirs
_FREE_MAIL: Final = {
    "gmail.com": "gmail.com",
    "googlemail.com": "gmail.com",
    "yahoo.com": "yahoo.com",
    "ymail.com": "yahoo.com",
    "aol.com": "aol.com",
    "hotmail.com": "office365.com",
    "outlook.com": "office365.com",
    "live.com": "office365.com",
    "msn.com": "office365.com",
    "icloud.com": "me.com",
    "me.com": "me.com",
    "gmx.net": "gmx.net",
    "gmx.de": "gmx.net",
    "web.de": "web.de",
    "mail.ru": "mail.ru",
    "proton.me": "protonmail.ch",
    "protonmail.com": "protonmail.ch",
}
# the second-level names below which countries register
_REGISTRIES: Final = frozenset("ac co com edu gov gob gouv go gen info ltd mil name ne net nom or org plc sch".split())  # noqa: SIM905


class Misread(NamedTuple):
    """A field whose values a filter cannot read: for how many people, and one of the values."""

    field: str
    filter: str
    number: int
    example: str


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be proved.

    `merges` are the parts that could be laid out, `faults` what was said of the others and of attachments.
    `audience` counts by language tag whom a mailing would reach; None where no list was looked at.
    `lacking` counts those of them who lack a field. `attached` is the size of each attachment, in octets.
    `tried` is what trial copies came to, `changed` when each language's file was (epoch seconds), `untried` how many
    combinations of branches there are in a language where not all were tried. `layouts` is path below templates/ →
    text.
    """

    statement: Statement
    config: Config
    merges: Sequence[MergeTemplate] = ()
    faults: Sequence[tuple[str, BadData]] = ()  # rule, error
    audience: Mapping[str, int] | None = None
    lacking: Mapping[str, int] = field(default_factory=dict)
    attached: Mapping[str, int] = field(default_factory=dict)
    misread: Sequence[Misread] = ()
    tried: Sequence[Finding] = ()
    untried: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, float] = field(default_factory=dict)
    lists: Sequence[MailingList] = ()
    layouts: Mapping[str, str] = field(default_factory=dict)


def prove(case: Case) -> list[Finding]:
    """Everything that is wrong, errors first, then by file and line."""
    findings = [
        *_said(case.faults),
        *_leaving(case),
        *_settings(case),
        *_languages(case),
        *_fields(case),
        *_colours(case),
        *case.tried,
        *translation.prove(case.statement, case.config.languages.default, case.changed),
        *(finding for merge in case.merges for finding in _part(case, merge)),
    ]
    return sorted(dict.fromkeys(findings), key=lambda f: (f.level is not Level.ERROR, f.file, f.line or 0, f.rule))


def unread(error: BadData) -> list[Finding]:
    """The finding about a statement that could not be read at all."""
    return list(_said([("template", error)]))


def rule_of(error: BadData) -> str:
    """Which rule an error of laying out breaks."""
    if re.search(r"nested (?:too|\d+) deep", error.message):
        return "nesting"
    return "inlining" if error.message.startswith("writing styles into the elements") else "template"


def _said(faults: Iterable[tuple[str, BadData]]) -> Iterator[Finding]:
    for rule, error in faults:
        file, line = _place(error.where or "")
        yield found(rule, error.message + (f" ({error.hint})" if error.hint else ""), file, line)


def _place(where: str) -> tuple[str, int | None]:
    place = re.fullmatch(r"(.*?):(\d+)(?::\d+)?", where)
    return (place[1], int(place[2])) if place else (where, None)


def _leaving(case: Case) -> Iterator[Finding]:
    """Who cannot leave reports as spam, and may sue."""
    links = case.config.links
    if links.leave_mailto is None:
        if not links.one_click:
            yield found("no-way-to-leave", "links.leave_mailto is not set: nobody could leave", "broadcaster.toml")
    elif not case.config.returns.mailboxes:
        yield found(
            "unread-leave",
            f"{links.leave_mailto} is read by none of returns.mailboxes: look into it",
            "broadcaster.toml",
        )
    for merge in case.merges:
        layout = case.statement.parts[merge.language].layout
        for kind, text in (("html", merge.html), ("txt", merge.text)):
            if "leave" not in reads(text).links:
                message = f"the {merge.language} part has no links.leave in its {'HTML' if kind == 'html' else 'text'}"
                yield found("no-way-to-leave", message, f"templates/{layout}.{kind}")


def _settings(case: Case) -> Iterator[Finding]:
    config = case.config
    yield from _signing(config)
    if not config.sender.postal_address:
        yield found("no-postal-address", "sender.postal_address is not set", "broadcaster.toml")
        return
    for merge in case.merges:
        written = config.sender.postal_address.into(merge.language, config.languages.default)
        if _flat(written) not in _flat(merge.text):
            layout = case.statement.parts[merge.language].layout
            message = f"the {merge.language} part does not show sender.postal_address"
            yield found("no-postal-address", message, f"templates/{layout}.txt")


def _signing(config: Config) -> Iterator[Finding]:
    """What makes mailbox programs trust a copy, or its leave link, less."""
    if config.links.one_click and not config.links.site.startswith("https:"):
        message = "links.site is not https: no mail program will offer one click"
        yield found("one-click", message, "broadcaster.toml")
    if config.links.one_click:
        yield found(
            "leave-page",
            f"leave links lead to {config.links.site}/leave/TOKEN, and broadcaster answers nothing on the web:"
            " what runs there must take people off when it gets a POST, or take one_click out",
            "broadcaster.toml",
        )
    elif config.links.site:
        message = "links.site has no effect without links.one_click: there are no other links to the web yet"
        yield found("no-effect", message, "broadcaster.toml")
    if config.links.one_click and config.dkim is None:
        yield found(
            "one-click",
            "links.one_click counts only below a DKIM signature that covers it: set [dkim],"
            " or ask whoever runs the relay whether it signs List-Unsubscribe and List-Unsubscribe-Post",
            "broadcaster.toml",
        )
    theirs = config.sender.address.domain
    if config.dkim is not None and not aligned(config.dkim.domain, theirs):
        message = f"dkim.domain is {config.dkim.domain}, and mail comes from {theirs}: the signature speaks for another"
        yield found("unaligned", message, "broadcaster.toml")
    back = config.returns.return_path
    if config.dkim is None and back is not None and not aligned(back.domain, theirs):
        message = (
            f"bounces go to {back.domain}, and mail comes from {theirs}: SPF speaks for another, and no [dkim] is set"
        )
        yield found("unaligned", message, "broadcaster.toml")
    home = _FREE_MAIL.get(theirs.lower())
    if home and any(not relay.rehearsal and not f".{relay.host}".endswith(f".{home}") for relay in config.relays):
        message = f"{config.sender.address} is at {theirs}, which tells everyone to refuse its mail from other servers"
        yield found("free-mail", message, "broadcaster.toml")


def aligned(one: str, other: str) -> bool:
    """Whether two domains are of one organisation, as far as their names can tell (RFC 9989 asks the DNS)."""
    labels, others = one.lower().rstrip(".").split("."), other.lower().rstrip(".").split(".")
    shared = 0
    for a, b in zip(reversed(labels), reversed(others), strict=False):
        if a != b:
            break
        shared += 1
    if shared == min(len(labels), len(others)) and shared > 1:
        return True
    # org.iq and co.uk are shared by everybody there
    registry = shared >= 2 and len(labels[-1]) == 2 and labels[-2] in _REGISTRIES
    return shared >= (3 if registry else 2)


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
                yield found("missing-language", f"there is no part in {tag}, which languages.offered names", folder)
        return
    if not sum(case.audience.values()):
        yield found("nobody", "nobody would get it: the lists are empty")
    given: Counter[tuple[str, str]] = Counter()
    for tag, number in case.audience.items():
        chosen = tags.choose(tag or default, parts, default)
        if chosen not in parts or (tag and tag.split("-")[0] != chosen.split("-")[0]):
            given[tag, chosen] += number
    nothing: list[str] = []
    for (tag, chosen), number in sorted(given.items()):
        read = tags.name(tag) if tag else "no language we know"
        people = f"{number:,} {'person reads' if number == 1 else 'people read'} {read}"
        if chosen in parts:
            yield found("missing-language", f"{people} and would get {tags.name(chosen)}", folder)
        else:
            nothing.append(people)
    if nothing:
        message = f"{', '.join(nothing)}, and there is no part in {tags.name(default)}, the default"
        yield found("no-default-language", message, folder)


def _fields(case: Case) -> Iterator[Finding]:
    """Holes in the text, counted over the people who would see them."""
    if not case.audience:
        return
    everybody = sum(case.audience.values())
    holes: dict[str, list[str]] = {}
    read: dict[str, list[str]] = {}
    for merge in case.merges:
        for name in sorted(printed(merge)):
            holes.setdefault(name, []).append(merge.language)
        for name in sorted(looked_at(merge)):
            read.setdefault(name, []).append(merge.language)
    for name, where in read.items():
        part = case.statement.parts[where[0]]
        number = case.lacking.get(name, 0)
        if number and number >= everybody:
            yield found(
                "always-empty", f"none of {everybody:,} people has any {name}", part.file, _field_line(part, name)
            )
        elif number and name in holes:
            part = case.statement.parts[holes[name][0]]
            # the count is over all languages: a bound where only some print the name
            bound = "up to " if len(holes[name]) < len(case.merges) else ""
            yield found(
                "empty-field",
                f"{bound}{number:,} of {everybody:,} people have no {name}: they would see nothing there;"
                f" write {_written(name)}",
                part.file,
                _hole_line(part, name),
            )
    for each in case.misread:
        place = case.statement.parts[read[each.field][0]] if each.field in read else None
        kind = {"date": "day", "url": "link"}.get(each.filter, "number")
        message = f'{each.number:,} of {everybody:,} people have no clear {kind} in {each.field}: "{each.example}"'
        yield found(
            "misread-field", message, place.file if place else "", _field_line(place, each.field) if place else None
        )


def _written(name: str) -> str:
    field = f"subscriber.{name}" if name.isidentifier() else f'subscriber["{name}"]'
    return f'{{{{ {field} | default("…") }}}}'


def _field_line(part: Part, name: str) -> int | None:
    return line_of(part, _mention(name))


def _hole_line(part: Part, name: str) -> int | None:
    """Where a field is printed that has no default there, else where it is first read."""
    bare = rf"\{{\{{(?:(?!\}}\}}|\bdefault\b|\bd\().)*{_mention(name)}(?:(?!\}}\}}|\bdefault\b|\bd\().)*\}}\}}"
    return line_of(part, bare) or _field_line(part, name)


def _mention(name: str) -> str:
    return rf"subscriber\s*(?:\.\s*{re.escape(name)}\b|\[\s*['\"]{re.escape(name)}['\"])"


def _colours(case: Case) -> Iterator[Finding]:
    """Text that is hard to read on its ground: said of the setting that gives the colour, else where it is used."""
    theme = {key: case.config.theme[key] for key in contrast.KEYS if key in case.config.theme}
    given = {key: contrast.parsed(value) for key, value in theme.items()}
    for key, value in theme.items():
        if given[key] is None:
            message = f'theme.{key} is "{value}", which is no colour: write it like #0a5c8a'
            yield found("contrast", message, "broadcaster.toml")
    settings: dict[str, list[contrast.Faint]] = {}
    for merge in case.merges:
        part = case.statement.parts[merge.language]
        for each in contrast.faint(emptied(merge.html)):
            line = line_of(part, contrast.spellings(each.colour))
            keys = [key for key in theme if given[key] == (each.ground if key in _GROUNDS else each.colour)]
            if keys and not line:
                settings.setdefault(keys[0], []).append(each)
                continue
            told = _faint(contrast.written(each.colour), contrast.written(each.ground), each)
            shade = contrast.readable(each.colour, [(each.ground, each.needed)])
            file = part.file if line else f"templates/{part.layout}.html"
            yield found("contrast", f"“{each.words[:40]}” is {told}{_shade(shade)}", file, line)
    for key, cases in settings.items():
        worst = min(cases, key=lambda each: each.ratio / each.needed)
        on_ground = key in _GROUNDS
        beside = {(each.colour if on_ground else each.ground, each.needed) for each in cases}
        other = contrast.written(worst.colour if on_ground else worst.ground)
        message = f"theme.{key} is {_faint(theme[key], other, worst, 'under' if on_ground else 'on')}"
        mine = given[key]
        shade = contrast.readable(mine, beside) if mine is not None else None
        yield found("contrast", message + _shade(shade), "broadcaster.toml")


# the settings that are behind text
_IN_LAYOUT: Final = re.compile(r"(?P<file>templates/[^:]+):(?P<line>\d+): (?P<says>.*)")
_GROUNDS: Final = frozenset(["background", "colour"])


def _faint(colour: str, other: str, of: contrast.Faint, where: str = "on") -> str:
    return f"{colour} {where} {other}: a contrast of {math.floor(of.ratio * 10) / 10:g}, and {of.needed:g} is needed"


def _shade(colour: contrast.Colour | None) -> str:
    return f"; {contrast.written(colour)} would do" if colour is not None else ""


def _part(case: Case, merge: MergeTemplate) -> Iterator[Finding]:
    part = case.statement.parts[merge.language]
    for what, line in untouched(part):
        yield found("draft", what, part.file, line)
    yield from _waiting(part)
    yield from _left_out(part, case.layouts)
    yield from _around(case, merge, part)
    if not part.body.strip():
        yield found("empty-body", "there is no text below the heading", part.file, part.first_line)
    yield from _heading(merge, part)
    if merge.language in case.untried:
        message = f"there are {case.untried[merge.language]:,} combinations of branches: not all were tried"
        yield found("branches", message, part.file)
    if not any(finding.file == part.file and finding.rule in ("size", "clipped") for finding in case.tried):
        yield from sized(len(merge.html.encode("utf-8", "replace")), part.file)
    yield from _attached(case, merge, part)
    # what an image shows is not read by everybody
    words = re.sub(r"!\[[^\]\n]*\]\([^)]*\)|<[^>]*>|\]\([^)]*\)", " ", emptied(part.body, ""))
    if re.search(r"!\[|<img\b", part.body) and sum(map(str.isalpha, words)) < _FEW_LETTERS:
        yield found("image-only", "there is hardly a word beside the images", part.file, part.first_line)
    yield from page.prove(part, merge.html, merge.images, case.layouts)


# fields as other programs write them, and what stands where a text is still to come
_NAMED: Final = r"(?:your |the )?(?:first|last|full)?[ _-]?name|e?[ _-]?mail|recipient|subscriber"
_WAITING: Final = re.compile(
    r"\*\|[A-Z][\w:]*\|\*|%%[A-Za-z][\w .-]*%%|\[\[[A-Za-z][\w .-]*\]\]|<<[A-Za-z][\w .-]*>>|\$\{[A-Za-z][\w.]*\}"
    r"|\b(?i:lorem ipsum)\b|\bTODO\b|\bFIXME\b|\bTBD\b|\bXXXX+\b"
    rf"|(?<!\{{)\{{(?:{_NAMED})\}}(?!\}})|(?<!!)\[(?i:{_NAMED})\](?![(\[:])|%(?i:{_NAMED})%",
)


def _waiting(part: Part) -> Iterator[Finding]:
    lines = [(part.lines.get(key), getattr(part, key)) for key in ("subject", "preheader")]
    lines += [*enumerate(re.sub(r"`[^`\n]*`", "", part.body).split("\n"), part.first_line)]
    for line, text in lines:
        if waiting := _WAITING.search(emptied(text, "")):
            message = f"“{waiting[0][:40]}” stands there as it is: nothing fills it in"
            yield found("placeholder", message, part.file, line)


# what layouts know by the name of a key
_TAKEN: Final = {"body": "the text below the heading", "notes": "its footnotes", "language": "that of the file's name"}
# a footnote where it is written, and where the text calls it
_NOTE: Final = re.compile(r"^[ \t>]*\[\^(?P<name>[^\]\s]+)\]:", re.MULTILINE)
_CALL: Final = re.compile(r"\[\^(?P<name>[^\]\s]+)\]")
# a link by the name of its address, and what names one
_BY_NAME: Final = re.compile(r"(?<![\]!\\])\[[^\[\]\n]+\]\[(?P<name>[^\[\]\n^]*[^\W\d][^\[\]\n]*)\]")
_NAMED_LINK: Final = re.compile(r"^[ \t>]*\[(?P<name>[^\[\]^]+)\]:[ \t]*\S", re.MULTILINE)
_CODED: Final = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1|\Z)|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_BAR: Final = re.compile(r"(?<!\\)\|")


def _left_out(part: Part, layouts: Mapping[str, str]) -> Iterator[Finding]:
    """What stands in the file and in no copy: keys that nothing reads, footnotes and cells that have no place."""
    texts = [*layouts.values(), part.subject, part.preheader, part.body, *part.extra.values(), *part.attachments]
    for key in part.extra.keys() & _TAKEN.keys():
        message = f"“{key}:” is seen by nobody: statement.{key} is {_TAKEN[key]}"
        yield found("left-out", message, part.file, part.lines.get(key))
    for key in sorted(part.extra.keys() - _TAKEN.keys()) if layouts else ():
        name = re.escape(key)
        reading = re.compile(rf"statement\s*(?:\.\s*{name}\b|\[\s*(?:(['\"]){name}\1|[^'\"\s]))")
        if not any(map(reading.search, texts)):
            message = f"nothing reads “{key}:”, so nobody sees it{_meant(key)}"
            yield found("left-out", message, part.file, part.lines.get(key))
    body = JINJA.sub(_blank, _CODED.sub(_blank, part.body))
    notes = {each["name"]: each for each in _NOTE.finditer(body)}
    calls = {each["name"]: each for each in _CALL.finditer(_NOTE.sub(_blank, body))}
    for name, place in [*notes.items(), *calls.items()]:
        line = part.first_line + body.count("\n", 0, place.end())
        if name not in calls:
            message = f"nothing in the text calls the footnote [^{name}], so nobody sees it"
            yield found("left-out", message, part.file, line)
        elif name not in notes and place is calls[name]:
            yield found("left-out", f"there is no footnote {place[0]}: readers see the brackets", part.file, line)
    named = {" ".join(each["name"].split()).casefold() for each in _NAMED_LINK.finditer(body)}
    for link in _BY_NAME.finditer(body):
        if " ".join(link["name"].split()).casefold() not in named:
            message = f"nothing says where [{link['name'][:40]}] leads: readers see the brackets"
            line = part.first_line + body.count("\n", 0, link.start())
            yield found("left-out", message, part.file, line)
    yield from _cells(part, body)


def _cells(part: Part, body: str) -> Iterator[Finding]:
    """Rows that are longer than the head of their table."""
    lines = body.split("\n")
    columns = 0
    for number, line in enumerate(lines):
        if DELIMITERS.fullmatch(line) and "|" in line and number:
            columns = len(_row(line)) if len(_row(line)) == len(_row(lines[number - 1])) else 0
        elif not line.strip():
            columns = 0
        elif columns and any(extra := _row(line)[columns:]):
            text = next(filter(None, extra))
            message = f"“{text[:40]}” stands beyond the last column of its table, so nobody sees it"
            yield found("left-out", message, part.file, part.first_line + number)


def _row(line: str) -> list[str]:
    """The cells of a row."""
    cells = [cell.strip() for cell in _BAR.split(line.strip(" \t>"))]
    return cells[not cells[0] : len(cells) - (not cells[-1])]


def _blank(found: re.Match[str]) -> str:
    """As long, and says nothing."""
    return re.sub(r"[^\n]", "x" if found[0].startswith("{{") else " ", found[0])


def _meant(key: str) -> str:
    near = difflib.get_close_matches(key, [*HEADING, "signature", "title"], n=1)
    return f": did you mean {near[0]}?" if near else ""


def _around(case: Case, merge: MergeTemplate, part: Part) -> Iterator[Finding]:
    """Remarks of laying out: on words that are in another language, and on styles."""
    words = [remark for remark in merge.remarks if remark.startswith("templates/locale/")]
    for remark in merge.remarks:
        if remark not in words:
            place = _IN_LAYOUT.fullmatch(remark)
            yield (
                found("layout", place["says"], place["file"], int(place["line"]))
                if place
                else found("layout", remark, part.file)
            )
    sender = case.config.sender
    worded = {"sender.name": sender.name.by_language, "sender.postal_address": sender.postal_address.by_language}
    worded |= {f"the title of the list {of.name}": of.titles for of in case.lists}
    yield from translation.around(part, case.config.languages.default, words, worded)


def _heading(merge: MergeTemplate, part: Part) -> Iterator[Finding]:
    line = part.lines.get("subject")
    subject = emptied(merge.subject, "")
    if len(subject) > SUBJECT_WIDTH:
        message = f"the subject has {len(subject)} letters: most programs cut it off after {SUBJECT_WIDTH}"
        yield found("subject", message, part.file, line)
    if _shouts(subject, part.body):
        yield found("shouting", "the subject shouts: capitals, or rows of signs", part.file, line)
    if re.match(r"\s*(?:re|fwd?|aw|wg|tr|رد|ردّ)\s*:", subject, re.IGNORECASE):
        yield found("false-reply", "the subject pretends to answer something", part.file, line)
    if not part.preheader:
        message = "there is no preheader: mailboxes show the first words of the text after the subject"
        yield found("preheader", message, part.file)
    elif part.preheader == part.subject:
        yield found("preheader", "the preheader says what the subject says", part.file, part.lines.get("preheader"))


# !! and $$, and a row of the same picture
_ROWS: Final = re.compile(r"[!?¡¿؟]{2}|[$€£]{2}|!.*!|([^\w\s.·…=*_~-])\1\1")


def _shouts(subject: str, body: str) -> bool:
    """Capitals, but for names that the text writes so too, or rows of signs."""
    names = {word for word in re.findall(r"\w+", body) if word.isupper()}
    words = [word for word in re.findall(r"[^\W\d_]+", subject) if word not in names]
    cased = [sign for word in words for sign in word if sign.isupper() or sign.islower()]
    capitals = sum(map(str.isupper, cased))
    return (len(cased) >= 8 and capitals > 0.7 * len(cased)) or _ROWS.search(subject) is not None


def _attached(case: Case, merge: MergeTemplate, part: Part) -> Iterator[Finding]:
    line = part.lines.get("attachments")
    octets = sum(case.attached.get(name, 0) for name in merge.attachments)
    if octets > ATTACHED:
        message = f"the attachments have {octets / 1e6:.0f} MB for each copy: link to them instead"
        yield found("heavy", message, part.file, line)
    for name in part.attachments:
        if name.rpartition(".")[2].lower().strip() in _BLOCKED and "." in name:
            yield found("blocked-attachment", f"mail servers refuse files like {name}", part.file, line)


def printed(merge: MergeTemplate) -> frozenset[str]:
    """The fields that a part prints with neither a default nor a condition that looks at them first."""
    return frozenset[str]().union(*(reads(text).holes for text in (merge.subject, merge.html, merge.text)))


def fields(merges: Iterable[MergeTemplate]) -> frozenset[str]:
    """Every field that some part reads: whom to count before `prove`."""
    return frozenset[str]().union(*map(looked_at, merges))


def looked_at(merge: MergeTemplate) -> frozenset[str]:
    """The fields that a part reads in any way."""
    own = frozenset(["email", "language"])
    return frozenset[str]().union(*(reads(text).fields for text in (merge.subject, merge.html, merge.text))) - own
