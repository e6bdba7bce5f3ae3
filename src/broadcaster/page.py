"""What mail programs, and people who cannot see, make of a part's HTML: links, images, styles, headings.

The page is read with its Jinja taken out: both branches of a condition are there, and a value is one sign.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from broadcaster import pictures
from broadcaster.markup import VOID
from broadcaster.rules import Finding, found
from broadcaster.statement import JINJA, Part

# a value filled in later: what it leads to was decided by the one who wrote the field's name
FILLED: Final = "\ue000"
# where an address begins with a value, that is a whole one or nothing: what follows can only lead further on
_GIVEN: Final = rf"{FILLED}+(?=\Z|[/?#&]|https?://|mailto:|tel:|sms:|geo:)"
_WHOLE: Final = re.compile(rf"(?:https?://[^\s/?#]+|mailto:[^\s@]+@|tel:\+?\d|sms:\+?\d|geo:|{_GIVEN})", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"(?:https?://)?(?:www\.)?((?:[\w-]+\.)+[a-z]{2,})(?:[/?#]\S*)?", re.IGNORECASE)
# who listens to the links of a mail hears only these words
_VAGUE: Final = re.compile(
    "(?:click )?here|click|(?:this )?link|(?:read )?more|(?:cliquez )?ici|lien|en savoir plus"
    "|(?:اضغط |انقر )?هنا|الرابط|المزيد|اینجا(?: کلیک کنید)?|بیشتر|لینک|ئێرە|لێرە(?: کلیک بکە)?|کلیک بکە",
    re.IGNORECASE,
)
# Markdown that was not read as a link, and so is shown as it was typed
_UNREAD: Final = re.compile(
    r"\]\(\s*<?\s*((?:(?:[a-z][a-z0-9+.-]*:|www\.|/)(?:[^\n()]|\([^\n()]*\))*?(?=>?\))|https?://[^\s()<>]*))",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(r"\s*([a-z][a-z0-9+.-]*)\s*:", re.IGNORECASE)
# what runs, or carries a page of its own: mail programs cut it out, and filters know it
_SCRIPTS: Final = frozenset(["javascript", "vbscript", "data", "blob", "livescript", "mocha"])
# small letters of other alphabets that nobody can tell from Latin ones
_LOOKALIKES: Final = frozenset("аеорсухіјѕԁԛԝһӏο")
# a link without an address, in Markdown and in HTML
_NOWHERE: Final = r"(?<!!)\[[^\[\]]*+\]\(\s*(?:<>)?\s*\)|<a\s[^>]*\bhref(?!\s*=\s*[\"']?\s*[^\s\"'>])"
_SHORTENERS: Final = re.compile(
    r"(?:www\.)?(?:bit\.ly|bl\.ink|buff\.ly|cutt\.ly|goo\.gl|is\.gd|ow\.ly|rb\.gy|rebrand\.ly|shorturl\.at|t\.co|t\.ly"
    r"|tiny\.cc|tinyurl\.com)"
)
_DROPPED: Final = {
    r"position\s*:\s*(?:absolute|fixed|sticky)": "position: Gmail and Outlook drop it",
    r"display\s*:\s*(?:inline-)?(?:flex|grid)": "flexible boxes and grids: Outlook shows them one below the other",
    r"\bvar\(\s*--": "var(--…): Outlook and Gmail drop the rule",
    r"\bcalc\(": "calc(…): Outlook drops the rule",
    r"\b(?:min|max|clamp)\(": "min(), max() and clamp(): Outlook drops the rule",
    r"@import": "@import: no mail program follows it",
}
_REFUSED: Final = {
    "script": "scripts are taken out, and filters refuse mail that has them",
    "iframe": "frames are taken out",
    "object": "embedded objects are taken out",
    "embed": "embedded objects are taken out",
    "applet": "embedded objects are taken out",
    "form": "forms are taken out, or warned of: link to a page that has it",
    "input": "form fields are taken out: link to a page that has them",
    "video": "films are shown by hardly any program: link to it from an image",
    "audio": "sound is played by hardly any program: link to it",
    "svg": "drawings as SVG are taken out by Gmail and Outlook: use a PNG",
    "canvas": "drawings by script are taken out",
    "base": "a <base> is taken out, and makes filters suspicious",
    "math": "formulas are taken out",
}
# what stands for a background in a style
_GROUND: Final = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]+))\s*\)""", re.IGNORECASE)
# all that HTML has ever had (WHATWG HTML, HTML 4, presentational ones that mail programs still read)
_ELEMENTS: Final = frozenset(
    "a abbr acronym address area article aside b base basefont bdi bdo big blink blockquote body br"  # noqa: SIM905
    " button caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt"
    " em fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup"
    " hr html i img ins kbd label legend li link main map mark marquee menu meta meter nav nobr noframes"
    " noscript ol optgroup option output p param picture pre progress q rp rt ruby s samp search section"
    " select slot small source span strike strong style sub summary sup table tbody td template textarea"
    " tfoot th thead time title tr track tt u ul var wbr xml xmp".split()
)
# Gmail drops the whole of a <style> beyond this many characters
_STYLE: Final = 16_384
_DEEP: Final = 150
_DEEP_TABLES: Final = 12


def emptied(text: str, filled: str = FILLED) -> str:
    """Jinja taken out: values become one sign, tags nothing."""
    return JINJA.sub(lambda part: filled if part[0].startswith("{{") else "", text)


@dataclass(slots=True)
class _Link:
    target: str
    words: str = ""


@dataclass(slots=True)
class _Table:
    role: str
    data: bool = False  # has header cells


@dataclass(slots=True)
class Page(HTMLParser):
    """What is in an HTML page: where it leads, what it shows, how it is built."""

    links: list[_Link] = field(default_factory=list)
    pictures: list[tuple[str, str | None]] = field(default_factory=list)  # source, alternative text
    grounds: list[str] = field(default_factory=list)  # sources of backgrounds
    headings: list[int] = field(default_factory=list)
    strange: dict[str, str] = field(default_factory=dict)  # element → what becomes of it
    styles: list[str] = field(default_factory=list)
    tables: list[_Table] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # Markdown links that became none
    places: set[str] = field(default_factory=set)  # what a link within the page can lead to
    deepest: int = 0  # the line of the element that lies deepest
    whole: bool = False  # has an <html>
    inner: bool = False  # says its language and direction below <body>
    depth: int = 0
    table_depth: int = 0
    _open: list[str] = field(default_factory=list)
    _link: _Link | None = None
    _nested: list[_Table] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    @classmethod
    def of(cls, html: str) -> Page:
        """The page of a merge template's HTML."""
        page = cls()
        page.feed(emptied(html))
        page.close()
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self._open.append(tag)
            if len(self._open) > self.depth:
                self.depth, self.deepest = len(self._open), self.getpos()[0]
        self._read(tag, values)
        if tag in _REFUSED and not (tag == "script" and values.get("type") == "application/ld+json"):
            self.strange.setdefault(tag, _REFUSED[tag])
        elif (
            tag not in _REFUSED
            and tag not in _ELEMENTS
            and not {":", "-"}.intersection(tag)
            and "svg" not in self._open
        ):
            self.strange.setdefault(
                tag, f"<{tag}> is no HTML, so nobody sees it: write &lt;{tag}&gt;, or in backquotes"
            )
        if tag == "meta" and (values.get("http-equiv") or "").lower() == "refresh":
            self.strange.setdefault("meta", "a page that leads elsewhere by itself is refused by filters")
        for name in values:
            if name.startswith("on") and len(name) > 3:
                self.strange.setdefault(name, f"{name}= is a script, which is taken out")

    def _read(self, tag: str, values: dict[str, str | None]) -> None:
        self.places.update(values.get(name) or "" for name in ("id", "name") if name in values)
        if style := values.get("style"):
            self.styles.append(style)
        if ground := values.get("background"):
            self.grounds.append(ground.strip())
        self.grounds += [each.split()[0] for each in (values.get("srcset") or "").split(",") if each.strip()]
        if tag in ("a", "area") and values.get("href") is not None:
            self._link = _Link((values["href"] or "").strip())
            self.links.append(self._link)
        elif tag == "img":
            seen = (values["alt"] or "") if "alt" in values else None
            self.pictures.append(((values.get("src") or "").strip(), seen))
            if self._link is not None:
                self._link.words += values.get("alt") or ""
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        elif tag == "table":
            self._nested.append(_Table((values.get("role") or "").lower()))
            self.tables.append(self._nested[-1])
            self.table_depth = max(self.table_depth, len(self._nested))
        elif tag == "th" and self._nested:
            self._nested[-1].data = True
        elif tag == "link" and "stylesheet" in (values.get("rel") or "").lower():
            self.styles.append("@import")
        elif tag == "html":
            self.whole = True
        if "body" in self._open and tag != "body" and values.get("lang") and values.get("dir"):
            self.inner = True

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag in ("a", "area"):
            self._link = None
        if tag == "table" and self._nested:
            self._nested.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles.append(data)
            return
        if "code" not in self._open:
            self.unread += [each[1] for each in _UNREAD.finditer(data)]
        if self._link is not None:
            self._link.words += data


def links(html: str) -> list[str]:
    """Where a page leads by http, as far as it is the same for everybody, and what it loads; each once."""
    page = Page.of(html)
    every = [*(link.target for link in page.links), *(source for source, _ in page.pictures)]
    return [each for each in dict.fromkeys(every) if re.match("https?://", each, re.IGNORECASE) and FILLED not in each]


def prove(
    part: Part, html: str, images: Collection[str] = (), layouts: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Finding]:
    """Everything that is wrong with a part's page. `images` are the paths of those that travel with it.

    `layouts` is path below templates/ → text: what is not written in the part itself is looked for there.
    """
    page = Page.of(html)
    layout = f"templates/{part.layout}.html"

    def placed(pattern: str) -> tuple[str, int | None]:
        """The file and line of what is wrong: of the part, else of its layout, or of the frame that this fills."""
        if line := line_of(part, pattern):
            return part.file, line
        for name in (f"{part.layout}.html", "base.html"):
            if there := re.search(pattern, layouts.get(name, ""), re.MULTILINE):
                return f"templates/{name}", layouts[name].count("\n", 0, there.start()) + 1
        return layout, None

    for link in page.links:
        yield from _link(part, link, page.places)
    for target in page.unread:
        why = _wrong(target) or (
            "stands in a link that was not read as one" if _WHOLE.match(target) else "is no address"
        )
        message = f"{_short(target)} {why}: readers see the brackets and all"
        yield found("link", message, part.file, _line_with(part, target))
    for source, alternative in page.pictures:
        yield from _picture(part, source, alternative, images)
    yield from _styles(page, layout, placed)
    for name, what in page.strange.items():
        yield found("element", f"{name}: {what}", *placed(rf"<{re.escape(name)}\b|\b{re.escape(name)}\s*="))
    yield from _built(part, page, layout)


def _wrong(target: str) -> str:
    """What is wrong with an address that is none a mail may hold, "" where it is merely not whole."""
    scheme = _SCHEME.match(target)
    if scheme and scheme[1].lower() in _SCRIPTS:
        return f"is {scheme[1].lower()}:, which mail programs cut out and filters refuse"
    if scheme and scheme[1].lower() not in ("http", "https", "mailto", "tel", "sms", "geo"):
        return f"is {scheme[1].lower()}:, which opens in no mail program"
    return ""


def _link(part: Part, link: _Link, places: Collection[str]) -> Iterator[Finding]:
    target, words = link.target, " ".join(link.words.split())

    def told(rule: str, message: str) -> Finding:
        return found(rule, message, part.file, _line_with(part, target) if target else line_of(part, _NOWHERE))

    if wrong := _wrong(target):
        yield told("link", f"the link {_short(target)} {wrong}: write https://…")
        return
    if not (_WHOLE.match(target) or (target.startswith("#") and len(target) > 1)):
        yield told("link", f"the link {_short(target)} leads nowhere from a mailbox: write it whole, like https://…")
        return
    yield from _target(target, told)
    if target.startswith("#"):
        if target[1:] not in places and FILLED not in target:
            yield told("link", f"the link {_short(target)} leads to no place in this mail")
        return
    if not words.replace(FILLED, "x").strip():
        yield told("link-text", f"the link {_short(target)} has no words")
    elif _VAGUE.fullmatch(words.strip(" .…→←>»")):
        yield told("link-text", f"the words {_short(words)} do not say where the link leads")
    shown, host = _ADDRESS.fullmatch(words), _host(target)
    if shown and host and FILLED not in target and not _akin(shown[1].lower(), host):
        yield told("link-text", f"the link shows {_short(words)} and leads to {host}: that is how phishing looks")


def _target(target: str, told: Callable[[str, str], Finding]) -> Iterator[Finding]:
    if target.lower().startswith("http://"):
        yield told("insecure-link", f"{_short(target)} is not https")
    host = _host(target)
    if not host:
        return
    user, at, _ = target.split("/")[2].rpartition("@")
    if at and ":" in user:
        yield told("link-host", f"the link {_short(target)} tells everybody a password")
    elif at:
        yield told("link-host", f"the link {_short(target)} has a name before its host")
    elif _is_number(host):
        yield told("link-host", f"the link {_short(target)} leads to a number instead of a name")
    elif "." not in host or host.endswith((".local", ".localhost", ".internal", ".lan", ".home.arpa")):
        yield told("link-host", f"the link {_short(target)} leads to {host}, which only one network knows")
    elif _SHORTENERS.fullmatch(host):
        yield told("link-host", f"the link {_short(target)} hides where it leads")
    elif looks := _disguised(host):
        yield told("link-host", f"the link {_short(target)} leads to {looks}, which looks like a name in Latin letters")


def _host(target: str) -> str:
    """The host of a web link, "" where there is none that is known now."""
    if not target.lower().startswith(("http://", "https://")):
        return ""
    try:
        host = urlsplit(target).hostname or ""
    except ValueError:
        return ""
    return "" if FILLED in host else host


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # browsers read 0xc0a80101 and 3232235777 as addresses too
        return re.fullmatch(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+))*\.?", host, re.IGNORECASE) is not None
    return True


def _disguised(host: str) -> str:
    """A label of a host's name that mixes alphabets, or is made of lookalikes (Unicode TR 39 §5), as it is read."""
    *labels, top = host.split(".")
    for label in labels if top.isascii() and not top.startswith("xn--") else ():
        try:
            name = label[4:].encode().decode("punycode") if label.startswith("xn--") else label
        except UnicodeError:
            continue
        foreign = {sign for sign in name.lower() if sign in _LOOKALIKES}
        letters = [sign for sign in name.lower() if sign.isalpha()]
        if foreign and (any(map(str.isascii, letters)) or len(foreign) == len(set(letters))):
            return name
    return ""


def _akin(one: str, other: str) -> bool:
    return one == other or f".{one}".endswith(f".{other}") or f".{other}".endswith(f".{one.removeprefix('www.')}")


def _picture(part: Part, source: str, alternative: str | None, images: Collection[str]) -> Iterator[Finding]:
    # the author wrote a name; the path is ours
    name = unquote(source.rpartition("/")[2]) if source in map(pictures.named, images) else source
    line = _line_with(part, name)
    if alternative is None:
        element = line_of(part, rf"<img\b[^>]*{re.escape(_longest(name))}")
        yield found("image-alt", f"the image {_short(name)} has no alternative text", part.file, element or line)
    elif not alternative and (empty := line_of(part, rf"!\[\s*\]\([^)\n]*{re.escape(_longest(name))}")):
        message = f"the image {_short(name)} has no words between its brackets: say what it shows"
        yield found("image-alt", message, part.file, empty)
    if source.startswith("cid:"):
        if source not in map(pictures.named, images):
            message = f"the image {_short(source)} is none of this mail: name a file that lies beside the statement"
            yield found("link", message, part.file, line)
    elif source.startswith(FILLED) and not _WHOLE.match(source):
        message = f"the image {_short(source)} begins with a field, which is a whole https address or nothing"
        yield found("link", message, part.file, line)
    elif not re.match(rf"https?://|{FILLED}", source, re.IGNORECASE):
        message = f"the image {_short(source)} cannot be shown in a mailbox: give it a whole https address"
        yield found("link", message, part.file, line)
    elif source.lower().startswith("http://"):
        yield found("insecure-link", f"the image {_short(source)} is not https", part.file, line)


def _styles(page: Page, layout: str, placed: Callable[[str], tuple[str, int | None]]) -> Iterator[Finding]:
    written = "\n".join(page.styles)
    for pattern, what in _DROPPED.items():
        if re.search(pattern, written, re.IGNORECASE):
            yield found("css", what, *placed(f"(?i){pattern}"))
    grounds = [*page.grounds, *("".join(each.groups("")).strip() for each in _GROUND.finditer(written))]
    for source in dict.fromkeys(filter(None, grounds)):
        place = placed(re.escape(_longest(source)))
        if not re.match(rf"https?://|{FILLED}", source, re.IGNORECASE):
            message = (
                f"{_short(source)}, a background or srcset, cannot be shown in a mailbox: give it a whole https address"
            )
            yield found("link", message, *place)
        elif source.lower().startswith("http://"):
            yield found("insecure-link", f"{_short(source)}, a background or srcset, is not https", *place)
    longest = max((len(style) for style in page.styles), default=0)
    if longest > _STYLE:
        yield found("css", f"a <style> of {longest:,} characters: Gmail drops it whole beyond {_STYLE:,}", layout)


def _built(part: Part, page: Page, layout: str) -> Iterator[Finding]:
    if page.depth > _DEEP:
        file, line = deepest(part) or (layout, None)
        yield found("nesting", f"elements are nested {page.depth} deep: programs stop reading", file, line)
    elif page.table_depth > _DEEP_TABLES:
        yield found("nesting", f"tables are nested {page.table_depth} deep: Outlook stops at some twenty", layout)
    for before, after in zip(page.headings, page.headings[1:], strict=False):
        if after > before + 1:
            line = line_of(part, rf"^ {{0,3}}#{{{after}}}\s")
            yield found("headings", f"a heading of level {after} follows one of level {before}", part.file, line)
            break
    if page.headings.count(1) > 1:
        yield found(
            "headings", "there are two first headings: the title is one", part.file, line_of(part, r"^ {0,3}#\s")
        )
    if page.whole and not page.inner:
        yield found("markup", "no element inside the body says its language and direction (lang, dir)", layout)
    bare = sum(not table.data and table.role not in ("presentation", "none") for table in page.tables)
    if bare:
        yield found("markup", f'{bare} tables without header cells lack role="presentation"', layout)


def nested(html: str) -> int:
    """How deep the deepest element of a page lies."""
    return Page.of(html).depth


def deepest(part: Part) -> tuple[str, int] | None:
    """Where a part's own HTML is nested deep, if it is that rather than its layout."""
    own = Page.of(part.body)
    return (part.file, part.first_line + own.deepest - 1) if own.depth > _DEEP // 2 else None


def _short(text: str) -> str:
    shown = text.replace(FILLED, "…")
    return f'"{shown[:60]}{"…" if len(shown) > 60 else ""}"'


def _line_with(part: Part, text: str) -> int | None:
    """The line of the statement's text that holds a link, as far as it is written there as it is."""
    longest = _longest(text)
    return line_of(part, re.escape(longest)) if longest else None


def _longest(text: str) -> str:
    """The longest piece of an address that is written as it is."""
    return max(text.split(FILLED), key=len)


def line_of(part: Part, pattern: str) -> int | None:
    """The first line of a part where a pattern is found: in its text, else in its heading."""
    if there := re.search(pattern, part.body, re.MULTILINE):
        return part.first_line + part.body.count("\n", 0, there.start())
    for key, value in (("subject", part.subject), ("preheader", part.preheader), *part.extra.items()):
        if re.search(pattern, value):
            return part.lines.get(key)
    return None
