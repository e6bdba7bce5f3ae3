"""What machines write for machines of a delivery (RFC 3464, RFC 6533), in the dialects that are about.

Fields stand with a space before their colon, groups without a blank line between them or with blank lines inside,
types of addresses are misspelt or missing, and many write such fields into their prose. All of it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from broadcaster.notice import Action

GROUPS: Final = 200  # recipients of one report
LINES: Final = 20_000
VALUE: Final = 4000

Group = dict[str, str]  # fields by their names in small letters

_FIELD: Final = re.compile(r"[ \t>|]{0,8}([A-Za-z][A-Za-z-]{1,38}[A-Za-z])[ \t]{0,8}:(?!//)[ \t]*+(.*+)")
_RECIPIENT: Final = ("original-recipient", "final-recipient", "x-actual-recipient")
# those that begin a group where they come again
_ONCE: Final = frozenset({"final-recipient", "action", "status", "original-recipient", "diagnostic-code"})
_OF_ONE: Final = _ONCE | {
    "x-actual-recipient", "remote-mta", "last-attempt-date", "final-log-id", "will-retry-until",
    "x-supplementary-info", "x-display-name", "localized-action",
}  # fmt: skip
_KNOWN: Final = _OF_ONE | {
    "reporting-mta", "arrival-date", "original-envelope-id", "received-from-mta", "dsn-gateway",
    "x-original-message-id", "x-postfix-sender",
}  # fmt: skip
_TYPE: Final = re.compile(r"^\s*+(?:[A-Za-z][\w/-]{0,20})\s*+;\s*+")
_HEX: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_XTEXT: Final = re.compile(r"\+(2B|3D|40)", re.IGNORECASE)
_ROUTE: Final = re.compile(r"^@[^:@]{1,255}:")

_ACTIONS: Final = {
    "failed": Action.FAILED,
    "failure": Action.FAILED,
    "fail": Action.FAILED,
    "error": Action.FAILED,
    "expired": Action.FAILED,
    "bounced": Action.FAILED,
    "delayed": Action.DELAYED,
    "delay": Action.DELAYED,
    "deferred": Action.DELAYED,
    "relayed": Action.RELAYED,
    "delivered": Action.DELIVERED,
    "deliverable": Action.DELIVERED,
    "success": Action.DELIVERED,
    "expanded": Action.EXPANDED,
}


def read(text: str) -> tuple[Group, list[Group]]:
    """The fields about the message, and those about each recipient."""
    about: Group = {}
    groups: list[Group] = []
    blank = True
    for name, value in _fields(text):
        if not name:
            blank = True
            continue
        if name not in _OF_ONE and not (groups and name.startswith("x-")):
            about.setdefault(name, value)
        elif not groups or _begins(groups[-1], name, blank=blank):
            groups.append({name: value})
        else:
            groups[-1].setdefault(name, value)
        blank = False
    return about, [group for group in groups[:GROUPS] if any(group.get(name) for name in (*_RECIPIENT, "action"))]


def _begins(group: Group, name: str, *, blank: bool) -> bool:
    """Whether a field begins another recipient. A blank line alone does not: some write one after each field."""
    if name in group:
        return name in _ONCE
    return blank and name in _RECIPIENT and any(each in group for each in _RECIPIENT) and "action" in group


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Names and values, unfolded; a blank line is ("", "")."""
    name, value = "", ""
    for line in text.split("\n", LINES)[:LINES]:
        found = _FIELD.match(line)
        if found is not None and not (name and line[:1] in " \t" and found[1].lower() not in _KNOWN):
            if name:
                yield name, value.strip()
            name, value = found[1].lower(), found[2]
            name = "action" if name == "ction" else name
        elif not line.strip():
            if name:
                yield name, value.strip()
            name, value = "", ""
            yield "", ""
        elif name and len(value) < VALUE:
            value = f"{value} {line.strip()}"
    if name:
        yield name, value.strip()


def action(group: Group) -> Action:
    """What became of it. Where nothing that is known is said, it failed: else there would be no report."""
    words = group.get("action", "").lower().replace("(", " ").split()
    said = _ACTIONS.get(words[0].strip(".,;") if words else "", Action.NONE)
    if said is Action.NONE:
        return {"2": Action.DELIVERED}.get(group.get("status", "")[:1], Action.FAILED)
    return said


def recipients(group: Group) -> list[str]:
    """Its addresses, the one that was mailed first: where it was forwarded, that is the original one."""
    found = [address for name in _RECIPIENT if (address := mailbox(group.get(name, "")))]
    return list(dict.fromkeys([*map(unescaped, found), *found]))


def mailbox(value: str) -> str:
    """The address in a field of a type and an address, "" for a pipe, a file, or what is redacted."""
    address = _TYPE.sub("", value[:VALUE]).strip()
    if address.startswith('"') and "@" not in address.rpartition('"')[2]:
        return ""
    address = address.partition("<")[2].partition(">")[0] if "<" in address and "@" in address else address
    address = address.strip("<>").strip()
    if address.startswith(("|", "/", ":", '"|')) or "@" not in address:
        return ""
    address = address.partition(" (")[0].strip().strip("'\"" if not address.startswith('"') else "")
    address = _HEX.sub(lambda found: _letter(found[1]), address)
    address = address if address.startswith('"') else address.replace(" ", "")
    return _ROUTE.sub("", address).rstrip(".;,").lower()[:320]


def _letter(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 32 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "?"


def unescaped(address: str) -> str:
    """An address in xtext (RFC 3461 §4) that somebody copied as it was."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), address)


def looks_like(text: str) -> bool:
    """Whether prose holds such fields."""
    low = text.lower()
    return "final-recipient" in low and ("action" in low or "status" in low or "diagnostic-code" in low)
