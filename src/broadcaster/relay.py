"""A relay as broadcaster.toml describes it: a way out, its limits, and where its password is kept.

Providers differ in host, pace and whether they let us choose the return path; what is known of them
is the table PROFILES, and a key that is written out wins over it. TLS is explicit, never opportunistic:
a relay that is asked for it and has none gets no mail.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, cast
from urllib.parse import quote, urlsplit

from broadcaster.pace import Limit
from broadcaster.settings import Table

SECRETS: Final = ("password_file", "password_env", "password_command", "token_command")
RELAY_KEYS: Final = (
    *("profile", "url", "user", "tls", "allow_plaintext", "ca_file", *SECRETS),
    *("connections", "limits", "messages_per_connection", "weight"),
)


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a password, token or key is found; never what it is."""

    kind: Literal["file", "env", "command", "keyring"]
    source: str
    token: bool = False  # for XOAUTH2

    def __repr__(self) -> str:
        return f"Secret({self.kind})"  # a command line may hold what it should not


def unrepeated(said: str, user: str, secret: str) -> str:
    """What a relay answered to a password, without all its words where it repeats that, as some do for debugging."""
    plain, bearer = f"\0{user}\0{secret}", f"user={user}\1auth=Bearer {secret}\1\1"
    packed = (base64.b64encode(each.encode("utf-8", "replace")).decode("ascii") for each in (secret, plain, bearer))
    if not secret or not any(
        form.rstrip("=").lower() in said.lower() for form in (secret, quote(secret, safe=""), *packed)
    ):
        return said
    status = re.match(r"[245]\.\d{1,3}\.\d{1,3} ", said)
    return f"{status[0] if status else ''}its words are not repeated here, for the password is among them"


@dataclass(frozen=True, slots=True)
class Relay:
    """[relays.NAME]: one way out. `path` is for maildir only, host and port for the others."""

    name: str
    kind: Literal["smtp", "smtps", "maildir"]
    host: str = ""
    port: int = 0
    user: str = ""
    tls: Literal["required", "none"] = "required"
    ca_file: str = ""
    secret: Secret | None = None
    connections: int = 3
    limits: tuple[Limit, ...] = ()
    messages_per_connection: int = 100
    weight: int = 1
    path: str = ""
    own_return_path: bool = False  # insists on its own or the account's MAIL FROM: no mark survives

    @property
    def rehearsal(self) -> bool:
        """Nothing leaves this machine."""
        return self.kind == "maildir"


class Profile(NamedTuple):
    """What a provider of mail relays asks of everyone, by its own figures. An empty url must be given."""

    url: str
    limits: tuple[str, ...]
    connections: int
    messages_per_connection: int
    own_return_path: bool = False
    tls: Literal["required", "none"] = "required"
    example: str = ""


PROFILES: Final[Mapping[str, Profile]] = {
    "microsoft365": Profile("smtp://smtp.office365.com:587", ("30/m", "10000/d"), 3, 100, True),
    "google": Profile("smtp://smtp.gmail.com:587", ("1/s", "2000/d"), 2, 50, True),
    "google_relay": Profile("smtp://smtp-relay.gmail.com:587", ("5/s", "10000/d"), 5, 100, True),
    "ses": Profile("", ("14/s", "50000/d"), 5, 100, True, example="smtp://email-smtp.eu-west-1.amazonaws.com:587"),
    "mailgun": Profile("smtp://smtp.mailgun.org:587", ("10/s",), 5, 100, True),
    "postmark": Profile("smtp://smtp-broadcasts.postmarkapp.com:587", ("10/s",), 5, 100, True),
    "brevo": Profile("smtp://smtp-relay.brevo.com:587", ("5/s",), 3, 100, True),
    # a web host's mailbox: few connections, an hourly cap
    "hosting": Profile("", ("20/m", "200/h"), 1, 50, example="smtps://mail.example.org"),
    # our own mail server on this machine, which queues and paces by itself
    "local": Profile("smtp://localhost:25", (), 10, 1_000, tls="none"),
}


def is_loopback(host: str) -> bool:
    """Whether a host name can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain")


def relay(name: str, table: Table) -> Relay:
    chosen = table.choice("profile", tuple(PROFILES), "") if "profile" in table else ""
    profile = PROFILES[chosen] if chosen else Profile("", ("1/s",), 3, 100)
    url = table.text("url", profile.url or None) if chosen == "" or profile.url or "url" in table else ""
    if not url:
        table.fail("url", f"is missing: the profile {chosen} has none", f'write it like url = "{profile.example}"')
    kind, host, port, path = _way(table, url)
    user = table.text("user", "")
    secret = secret_of(table)
    if bool(user) != (secret is not None):
        table.fail("user", f"needs one of {', '.join(SECRETS)}" if user else "is missing: a password belongs to a user")
    tls = cast(
        Literal["required", "none"],
        table.choice("tls", ("required", "none"), "required" if "url" in table else profile.tls),
    )
    if kind != "maildir" and tls == "none":
        _plaintext(table, kind, host)
    return Relay(
        name=name,
        kind=kind,
        host=host,
        port=port or {"smtps": 465, "smtp": 25 if tls == "none" else 587}.get(kind, 0),
        user=user,
        tls=tls,
        ca_file=table.text("ca_file", ""),
        secret=secret,
        connections=table.integer("connections", profile.connections, 1, 1_000),
        limits=table.list_of("limits", Limit.parse, tuple(map(Limit.parse, profile.limits))),
        messages_per_connection=table.integer("messages_per_connection", profile.messages_per_connection, 1, 1_000_000),
        weight=table.integer("weight", 1, 1, 1_000),
        path=path,
        own_return_path=profile.own_return_path,
    )


def _plaintext(table: Table, kind: str, host: str) -> None:
    """Names, addresses and passwords in the clear: on this machine, or because somebody wrote that they want it."""
    if kind == "smtps":
        table.fail("tls", "smtps:// is TLS from the first byte", 'write smtp://, or tls = "required"')
    if not is_loopback(host) and not table.flag("allow_plaintext", False):
        table.fail(
            "tls",
            f'"none" is for this machine only, and {host} is another: everybody on the way could read the mail',
            'write tls = "required"; where that cannot be, allow_plaintext = true',
        )


def _way(table: Table, url: str) -> tuple[Literal["smtp", "smtps", "maildir"], str, int, str]:
    """Kind, host, port (0: the usual one) and path of a relay's url. The url is in no error: it may hold a password."""
    allowed = "must be smtp://HOST, smtps://HOST or maildir:FOLDER"
    if url.startswith("maildir:"):
        path = url.removeprefix("maildir:")
        if not path.strip("/. "):
            table.fail("url", "maildir: needs a folder", 'write it like url = "maildir:outbox"')
        return "maildir", "", 0, path
    kind, host, port, path = authority(table, "url", url, allowed)
    if kind not in ("smtp", "smtps") or path.strip("/"):
        table.fail("url", allowed)
    return cast(Literal["smtp", "smtps"], kind), host, port, ""


def authority(table: Table, key: str, url: str, allowed: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        table.fail(key, allowed)
    if parts.username is not None:
        table.fail(key, "must not hold a user or password", "write user = … and password_file = … below it")
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host) or parts.query or parts.fragment:
        table.fail(key, allowed)
    return parts.scheme, host, port, parts.path


def secret_of(table: Table, keys: Sequence[str] = SECRETS) -> Secret | None:
    given = [key for key in keys if key in table]
    if len(given) > 1:
        table.fail(given[1], f"only one of {', '.join(keys)} can be")
    if not given:
        return None
    kind, _, how = given[0].partition("_")
    how = cast(Literal["file", "env", "command", "keyring"], how or kind)
    return Secret(how, table.text(given[0]), token=kind == "token")
