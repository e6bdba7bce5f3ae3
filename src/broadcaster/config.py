"""broadcaster.toml as values: every key known, of the right type and checked, or an error that says what is allowed.

A typing mistake in a settings file must not mail ten thousand people in the wrong way, so nothing is
guessed and nothing is ignored. No secret is in here: only where to find it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, cast
from urllib.parse import unquote, urlsplit

from broadcaster import language
from broadcaster.address import Address
from broadcaster.errors import AddressError
from broadcaster.links import LOCAL_OCTETS, TOKEN_LENGTH
from broadcaster.pace import Limit
from broadcaster.relay import RELAY_KEYS, SECRETS, Relay, Secret, authority, is_loopback, relay, secret_of
from broadcaster.settings import Source, Table, duration, percentage, times

__all__ = ["THEME", "Config", "Relay", "Secret", "Words", "parse"]

DAY: Final = 86_400
IMAPS: Final = 993
# where the key of an encrypted database can be: never in a variable or an argument, which others may see
KEYS: Final = ("key_file", "key_command", "keyring")
# Canada's law asks for sixty days in which a person can leave (CASL s. 11(2)), the United States' for thirty
LEAST_KEPT: Final = 60 * DAY
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Words:
    """A text that may differ by language. The tag "" stands for every language."""

    by_language: Mapping[str, str]

    def into(self, tag: str, default: str) -> str:
        """The text for a reader of `tag`: theirs or a near one, else the default language's, else any."""
        if "" in self.by_language:
            return self.by_language[""]
        fallback = default if default in self.by_language else next(iter(self.by_language), "")
        return self.by_language.get(language.choose(tag, self.by_language, fallback), "")

    def __bool__(self) -> bool:
        return any(self.by_language.values())


@dataclass(frozen=True, slots=True)
class Sender:
    """[sender]: who writes."""

    name: Words
    address: Address
    reply_to: Address | None = None
    postal_address: Words = field(default_factory=lambda: Words({}))
    staff: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Languages:
    """[languages]: normalised tags; the default one is always offered."""

    default: str = "en"
    offered: tuple[str, ...] = ("en",)


@dataclass(frozen=True, slots=True)
class Time:
    """[time]: `zone` is an IANA name, None for the machine's. `quiet` in minutes after midnight, may run past it."""

    zone: str | None = None
    quiet: tuple[tuple[int, int], ...] = ()
    weekdays_off: frozenset[int] = frozenset()  # 0 is Monday
    dates_off: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Links:
    """[links]: how people leave, and the bases of web links and of images (without a slash at the end)."""

    leave_mailto: Address | None = None
    site: str = ""
    one_click: bool = False
    images: str = ""  # empty: they travel with the mail


@dataclass(frozen=True, slots=True)
class Destination:
    """[destinations."DOMAIN"]: what one recipient domain bears, on top of the relay's limits."""

    domain: str  # "default": each other domain
    connections: int | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """[retry], in seconds. The last of `after` repeats."""

    after: tuple[int, ...] = (300, 900, 3_600, 7_200, 14_400)
    give_up: int = 2 * DAY


@dataclass(frozen=True, slots=True)
class Safety:
    """[safety]: `stop_rejected` is a fraction, None where it was not asked for."""

    stop_rejected: float | None = None
    stop_of_at_least: int = 20
    surprise: float | None = None
    in_doubt: Literal["hold", "resend"] = "hold"
    approvals: int = 0


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One of [returns] mailboxes: imaps://HOST/FOLDER, or kind and path of a local one.

    `move_to`: where what was understood goes; nothing is moved without it, and nothing is ever deleted.
    """

    kind: Literal["imaps", "maildir", "mbox"]
    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    secret: Secret | None = None
    ca_file: str = ""
    move_to: str = ""

    @property
    def url(self) -> str:
        """What names it: one string for one mailbox, without user and password."""
        if self.kind != "imaps":
            return f"{self.kind}:{self.path}"
        return f"imaps://{self.host}{'' if self.port == IMAPS else f':{self.port}'}/{self.path}"


@dataclass(frozen=True, slots=True)
class Returns:
    """[returns]: where bounces go and who reads them. Durations in seconds."""

    return_path: Address | None = None
    verp: Literal["auto", "on", "off"] = "auto"
    mailboxes: tuple[Mailbox, ...] = ()
    hard: int = 1
    soft_mailings: int = 5
    soft_within: int = 30 * DAY


@dataclass(frozen=True, slots=True)
class Dkim:
    """[dkim]: our own signature (RFC 6376)."""

    domain: str
    selector: str
    key_file: str


@dataclass(frozen=True, slots=True)
class Retention:
    """[retention], in seconds; None: for ever."""

    deliveries: int | None = None
    returns: int = 30 * DAY  # raw returned mail is full of addresses: not for ever because nobody thought of it


@dataclass(frozen=True, slots=True)
class Config:
    """All of broadcaster.toml."""

    sender: Sender
    relays: tuple[Relay, ...]
    languages: Languages = Languages()
    time: Time = Time()
    links: Links = Links()
    destinations: tuple[Destination, ...] = ()
    retry: Retry = Retry()
    safety: Safety = Safety()
    returns: Returns = Returns()
    dkim: Dkim | None = None
    theme: Mapping[str, str] = field(default_factory=dict)
    retention: Retention = Retention()
    encryption: Secret | None = None  # where the key of the database is; None: it is not encrypted

    @property
    def rehearsal(self) -> bool:
        """No relay would carry anything off this machine."""
        return all(relay.rehearsal for relay in self.relays)

    def marks(self, relay: Relay) -> bool:
        """Whether copies through this relay carry a marked return path (VERP)."""
        if self.returns.return_path is None or self.returns.verp == "off":
            return False
        return self.returns.verp == "on" or not relay.own_return_path

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the environment that hold passwords: for us, and for no program that we start."""
        secrets = [*(of.secret for of in self.relays), *(of.secret for of in self.returns.mailboxes)]
        return frozenset(each.source for each in secrets if each is not None and each.kind == "env")


_NO_EFFECT: Final = "has no effect yet"
_UNBUILT: Final[tuple[tuple[str, Callable[[Config], bool], Literal["error", "warning"], str], ...]] = ()


_SECTIONS: Final = (
    *("sender", "languages", "time", "links", "relays", "destinations"),
    *("retry", "safety", "returns", "dkim", "theme", "retention", "encryption"),
)


def parse(text: str, *, file: str = "broadcaster.toml") -> Config:
    """The configuration in a text. Raises ConfigError at the first thing that is wrong."""
    source = Source(text, file)
    whole = Table(source.read(), source, _SECTIONS)
    for needed in ("sender", "relays"):
        if needed not in whole:
            whole.fail(needed, "is missing", f"add a table [{needed}{'.main' if needed == 'relays' else ''}]")
    return Config(
        sender=_sender(whole.table("sender", ("name", "address", "reply_to", "postal_address", "staff"))),
        relays=_relays(whole),
        languages=_languages(whole.table("languages", ("default", "offered"))),
        time=_time(whole.table("time", ("zone", "quiet", "days_off"))),
        links=_links(whole.table("links", ("leave_mailto", "site", "one_click", "images"))),
        destinations=tuple(_destinations(whole)),
        retry=_retry(whole.table("retry", ("after", "give_up"))),
        safety=_safety(whole.table("safety", ("stop_after", "surprise", "in_doubt", "approvals"))),
        returns=_returns(whole.table("returns", ("return_path", "verp", "mailboxes", "hard", "soft"))),
        dkim=_dkim(whole.table("dkim", ("domain", "selector", "key_file"))) if "dkim" in whole else None,
        theme=_theme(whole.table("theme", tuple(THEME))),
        retention=_retention(whole.table("retention", ("deliveries", "returns"))),
        encryption=_encryption(whole.table("encryption", KEYS)) if "encryption" in whole else None,
    )


def _own(text: str) -> Address:
    """An address of ours: letters that every relay takes (RFC 6531 is not everywhere)."""
    address = Address.parse(text)
    if address.needs_smtputf8:
        raise ValueError(f"{text} has letters before the @ that many relays refuse: use a–z, digits and . - _ +")
    return address


def _markable(text: str) -> Address:
    """An address that can carry a token before its @ (RFC 5321 §4.5.3.1.1)."""
    address = _own(text)
    if len(address.local) + 1 + TOKEN_LENGTH > LOCAL_OCTETS:
        raise ValueError(f"{text} leaves no room for a token: at most {LOCAL_OCTETS - 1 - TOKEN_LENGTH} before the @")
    return address


def _words(table: Table, key: str, *, needed: bool) -> Words:
    if not table.is_table(key):
        if not table.is_text(key):
            table.fail(key, 'must be text in quotes, or texts by language: { en = "…", ar = "…" }')
        text = table.text(key, None if needed else "", empty=not needed)
        return Words({"": text} if text else {})
    inner = table.table(key, None)
    by_language = {}
    for tag in inner:
        by_language[inner.keyed(tag, language.normalise)] = inner.text(tag)
    if not by_language and needed:
        table.fail(key, "is empty", 'write a text, or one by language: { en = "…", ar = "…" }')
    return Words(by_language)


# what turns the direction of all that follows, and what turns its neighbours: no name looks like another (UTS 39)
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SIDES: Final = re.compile("[\u200e\u200f\u061c]")


def _name(table: Table) -> Words:
    """The sender's name, without signs that nobody sees."""
    names = _words(table, "name", needed=True)
    for name in names.by_language.values():
        if found := _TURNING.search(name):
            table.fail("name", f"holds a sign that turns the direction of text (U+{ord(found[0]):04X})", "delete it")
    return Words({tag: _SIDES.sub("", name) for tag, name in names.by_language.items()})


def _sender(table: Table) -> Sender:
    return Sender(
        name=_name(table),
        address=table.parsed("address", _own),
        reply_to=table.maybe("reply_to", _own),
        postal_address=_words(table, "postal_address", needed=False),
        staff=table.list_of("staff", Address.parse),
    )


def _languages(table: Table) -> Languages:
    default = table.parsed("default", language.normalise, "en")
    offered = tuple(dict.fromkeys(table.list_of("offered", language.normalise, (default,))))
    if default not in offered:
        table.fail("offered", f"must hold the default language, {default}")
    return Languages(default, offered)


def _time(table: Table) -> Time:
    days = table.list_of("days_off", _day)
    quiet = table.list_of("quiet", _hours)
    weekdays = frozenset(day for day in days if isinstance(day, int))
    if len(weekdays) == len(WEEKDAYS):
        table.fail("days_off", "leaves no day to send on", "leave one of the seven out")
    if all(any(_within(minute, *span) for span in quiet) for minute in range(24 * 60)):
        table.fail("quiet", "leaves no hour to send in", "make one of the spans shorter")
    return Time(
        zone=table.maybe("zone", _zone),
        quiet=quiet,
        weekdays_off=weekdays,
        dates_off=frozenset(day for day in days if isinstance(day, date)),
    )


def _zone(text: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'"{text[:60]}" is no time zone: write it like Asia/Baghdad or UTC') from None
    return text


def _hours(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])", text)
    if not found or (found[1], found[2]) == (found[3], found[4]):
        raise ValueError(f'"{text[:60]}" is no span of hours: write it like 21:00-08:00')
    first, minute, last, end = (int(part) for part in found.groups())
    return first * 60 + minute, last * 60 + end


def _within(minute: int, start: int, end: int) -> bool:
    """Whether a minute of the day is in a span, which may run past midnight."""
    return start <= minute < end if start < end else not end <= minute < start


def _day(text: str) -> int | date:
    if text.lower() in WEEKDAYS:
        return WEEKDAYS.index(text.lower())
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f'"{text[:60]}" is no day: write one of {", ".join(WEEKDAYS)}, or a date like 2026-08-15')


def _links(table: Table) -> Links:
    links = Links(
        leave_mailto=table.maybe("leave_mailto", _own),
        site=table.parsed("site", _site, ""),
        one_click=table.flag("one_click", False),
        images=table.parsed("images", _site, ""),
    )
    if links.one_click and not links.site:
        table.fail(
            "one_click", "needs links.site, the https address that answers", "set links.site, or one_click = false"
        )
    return links


def _site(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    # over http a link that proves who clicks would be read on its way
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ValueError("must be an https address like https://news.example.org")
    if parts.query or parts.fragment or parts.username is not None or not text.isascii() or '"' in text or " " in text:
        raise ValueError("must be an address without user, query or spaces, like https://news.example.org")
    return text.rstrip("/")


def _relays(whole: Table) -> tuple[Relay, ...]:
    relays = tuple(relay(name, table) for name, table in whole.tables("relays", RELAY_KEYS))
    if not relays:
        whole.fail("relays", "is empty", "add a table [relays.main] with a url or a profile")
    return relays


def _destinations(whole: Table) -> Iterator[Destination]:
    outer = whole.table("destinations", None)
    for name in outer:
        table = outer.table(name, ("connections", "limits"))
        yield Destination(
            domain=outer.keyed(name, _domain),
            connections=table.integer("connections", 0, 1, 1_000) or None,
            limits=table.list_of("limits", Limit.parse),
        )


def _domain(text: str) -> str:
    try:
        return text if text == "default" else Address.parse(f"x@{text}").domain
    except AddressError:
        raise ValueError('is no domain: write it like [destinations."gmail.com"]') from None


def _retry(table: Table) -> Retry:
    usual = Retry()
    after = table.list_of("after", duration, usual.after)
    if not after:
        table.fail("after", "needs at least one duration", 'write it like after = ["5m", "1h"]')
    return Retry(after, table.parsed("give_up", duration, usual.give_up))


def _safety(table: Table) -> Safety:
    stop = table.table("stop_after", ("rejected", "of_at_least"))
    if "of_at_least" in stop and "rejected" not in stop:
        stop.fail("rejected", "is missing", 'write it like stop_after = { rejected = "20%", of_at_least = 20 }')
    return Safety(
        stop_rejected=stop.maybe("rejected", percentage),
        stop_of_at_least=stop.integer("of_at_least", Safety().stop_of_at_least, 1, 1_000_000_000),
        surprise=table.maybe("surprise", times),
        in_doubt=cast(Literal["hold", "resend"], table.choice("in_doubt", ("hold", "resend"), "hold")),
        approvals=table.integer("approvals", 0, 0, 1),
    )


def _returns(table: Table) -> Returns:
    usual = Returns()
    soft = table.table("soft", ("mailings", "within"))
    verp = cast(Literal["auto", "on", "off"], table.choice("verp", ("auto", "on", "off"), usual.verp))
    return Returns(
        return_path=table.maybe("return_path", _own if verp == "off" else _markable),
        verp=verp,
        mailboxes=tuple(_mailbox(table, item) for item in table.items("mailboxes") or ()),
        hard=table.integer("hard", usual.hard, 1, 1_000),
        soft_mailings=soft.integer("mailings", usual.soft_mailings, 1, 1_000),
        soft_within=soft.parsed("within", duration, usual.soft_within),
    )


def _mailbox(table: Table, item: object) -> Mailbox:
    """A mailbox to read: a url, or a table with one."""
    values = {"url": item} if isinstance(item, str) else item
    if not isinstance(values, dict):
        table.fail("mailboxes", 'must be a list of texts like "maildir:returns", or of tables with a url')
    inner = table.nested("mailboxes", values, ("url", "user", *SECRETS, "ca_file", "move_to"))
    url = inner.text("url")
    kind, colon, path = url.partition(":")
    if colon and kind in ("maildir", "mbox") and path.strip("/. "):
        return _local(inner, cast(Literal["maildir", "mbox"], kind), path)
    allowed = "must be imaps://HOST/FOLDER, maildir:FOLDER or mbox:FILE"
    kind, host, port, path = authority(inner, "url", url, allowed)
    if kind != "imaps":
        inner.fail("url", allowed)
    secret, user = secret_of(inner), inner.text("user", "")
    if bool(user) != (secret is not None):
        inner.fail("user", f"needs one of {', '.join(SECRETS)}" if user else "is missing: a password belongs to a user")
    folder = unquote(path).strip("/") or "INBOX"
    ca_file, move_to = inner.text("ca_file", ""), inner.text("move_to", "")
    return Mailbox("imaps", host, port or IMAPS, folder, user, secret, ca_file, move_to)


def _local(table: Table, kind: Literal["maildir", "mbox"], path: str) -> Mailbox:
    """A mailbox on this machine."""
    for key in ("user", *SECRETS, "ca_file"):
        if key in table:
            table.fail(key, f"is for imaps only: {kind} is read from the disk")
    move_to = table.text("move_to", "")
    if move_to and (kind, move_to) != ("maildir", "cur"):
        table.fail("move_to", 'of a Maildir can only be "cur", of an mbox nothing')
    return Mailbox(kind, path=path, move_to=move_to)


def _dkim(table: Table) -> Dkim:
    return Dkim(table.parsed("domain", _signing), table.parsed("selector", _selector), table.text("key_file"))


def _signing(text: str) -> str:
    return Address.parse(f"x@{text}").domain


def _selector(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63}){0,4}", text):
        raise ValueError("must be letters, digits, - and dots, like news (RFC 6376 §3.1)")
    return text.lower()


def _colour(text: str) -> str:
    if not re.fullmatch(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})|[A-Za-z]{3,24}", text):
        raise ValueError(f'"{text[:60]}" is no colour: write it like #0a5c8a')
    return text


def _font(text: str) -> str:
    # it lands inside style="…": whatever could end the value or the rule is refused
    if not re.fullmatch(r"[\w ,'-]{1,200}", text):
        raise ValueError("must be names of fonts, like Georgia, serif")
    return text


def _pixels(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{2,3}", text):
        raise ValueError('must be a number of pixels, like "600"')
    return text


def _logo(text: str) -> str:
    if text.startswith("https://"):
        return _site(text)
    # a file of templates/
    if not re.fullmatch(r"[\w][\w. -]*(?:/[\w][\w. -]*)*\.(?:png|jpe?g|gif|webp)", text, re.IGNORECASE):
        raise ValueError("must be an https address, or a PNG, JPEG or GIF file in templates/, like logo.png")
    return text


def _theme(table: Table) -> Mapping[str, str]:
    return {key: table.parsed(key, parse) for key, parse in THEME.items() if key in table}


# what the layouts know as theme.NAME
THEME: Final[Mapping[str, Callable[[str], str]]] = {
    "logo": _logo,
    "logo_alt": str,
    "colour": _colour,
    "background": _colour,
    "text_colour": _colour,
    "link_colour": _colour,
    "font": _font,
    "width": _pixels,
}


def _kept(text: str) -> int:
    """How long it is known who got what. A leave link works as long as that, and no law is content with less."""
    seconds = duration(text)
    if seconds < LEAST_KEPT:
        raise ValueError(f'"{text[:60]}" is too short: leave links in mail work as long as this, so take at least 60d')
    return seconds


def _retention(table: Table) -> Retention:
    return Retention(table.maybe("deliveries", _kept), table.parsed("returns", duration, Retention().returns))


def _encryption(table: Table) -> Secret:
    key = secret_of(table, KEYS)
    if key is None:
        table.fail("", f"needs one of {', '.join(KEYS)}", "see docs/encryption.md")
    if re.search("[0-9a-fA-F]{64}", key.source):
        # an error about a file of that name would repeat it
        table.fail(next(name for name in KEYS if name in table), "must say where the key is, and not the key itself")
    return key
