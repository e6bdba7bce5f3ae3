"""Which system wrote a file of people, and what that system knew of each: who left, who bounced, who agreed when.

Whoever moves from another system must not write to those who left it. What is known there of where people live,
what they opened and from which address they signed up is not taken over as fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from broadcaster.errors import SheetError
from broadcaster.jsonlines import LISTING, opened, text_of
from broadcaster.parcel import AUDIENCE

# how somebody is gone: from this list; from all; or why else nobody may write to them
LEFT, LEFT_ALL, BOUNCED, COMPLAINED, STAFF = "left", "left all", "bounced", "complained", "staff"


class Agreed(NamedTuple):
    """When and how a person agreed, as another system has it. `at` is epoch seconds, None where nobody knows."""

    at: int | None
    ip: str
    words: str


class Past(NamedTuple):
    """What another system knows of one person. `gone` is "" for who wants mail, or one of the words above."""

    gone: str = ""
    agreed: Agreed | None = None
    fields: Mapping[str, str] = {}


NOTHING: Final = Past()


@dataclass(frozen=True)
class Origin:
    """A system whose file this is: its name, "" where nobody knows; the places of columns that are no fields; and
    what a row says.
    """

    name: str
    unwanted: frozenset[int]
    past: Callable[[Sequence[str]], Past]


def recognised(
    header: Sequence[str], *, file: str = "", into: str = "", ours: bool = False, mapped: Collection[int | None] = ()
) -> Origin | None:
    """The system that wrote a heading, if it is one we know, or one that says who is gone.

    `into` is the list that the people come to, `mapped` are the places of columns of which a person has said what they
    are.
    """
    place: dict[str, int] = {}
    for number, cell in enumerate(header):
        place.setdefault(cell.strip().casefold(), number)
    if ours:
        # they come last; a field may have the same name
        last = dict(zip(LISTING, range(len(header) - len(LISTING), len(header)), strict=True))
        return Origin("broadcaster", frozenset(last.values()), _Ours(last, into).past)
    if _is_mailchimp(place, file):
        unwanted = frozenset(n for n, cell in enumerate(header) if _MAILCHIMP.fullmatch(cell.strip().casefold()))
        return Origin("Mailchimp", unwanted, _Mailchimp(place, file).past)
    attributes = next((name for name in ("attributes", "attribs") if name in place), "")
    if {"uuid", "email", "status"} <= place.keys() and (attributes or "created_at" in place):
        unwanted = frozenset(place[name] for name in _LISTMONK if name in place)
        return Origin("listmonk", unwanted, _Listmonk(place, attributes, into).past)
    status = [number for name, number in place.items() if name in _STATUS and number not in mapped]
    return Origin("", frozenset(), _Elsewhere(place, status).past) if status else None


def _is_mailchimp(place: Mapping[str, int], file: str) -> bool:
    """Whether an audience of Mailchimp's has this heading; staff may have taken columns out of it."""
    if {"unsub_time", "clean_time"} & place.keys():
        return True
    named = AUDIENCE.fullmatch(file.rpartition("/")[2].lower()) is not None
    return (named and "email address" in place) or (
        {"optin_time", "confirm_time"} <= place.keys() and bool({"member_rating", "euid", "leid"} & place.keys())
    )


# The columns of either system that say nothing a newsletter needs; --map names one to keep it.
_MAILCHIMP: Final = re.compile(
    "member_rating|optin_time|optin_ip|confirm_time|confirm_ip|latitude|longitude|gmtoff|dstoff|last_changed|leid|euid"
    "|unsub_time|unsub_campaign_title|unsub_campaign_id|unsub_reason|unsub_reason_other"
    "|clean_time|clean_campaign_title|clean_campaign_id|status"
)
_LISTMONK: Final = ("id", "uuid", "attributes", "attribs", "status", "created_at", "updated_at", "lists")


class _Columns:
    """The cells of a row by the names of their columns."""

    def __init__(self, place: Mapping[str, int]) -> None:
        self._place = place

    def cell(self, cells: Sequence[str], name: str) -> str:
        number = self._place.get(name)
        return cells[number].strip() if number is not None and number < len(cells) else ""


# Columns of systems that we do not know, and the words in them that leave no doubt: who is "inactive" may want mail.
_STATUS: Final = ("status", "subscription status", "subscription_status", "subscriber status", "email status")
_GONE: Final = {
    **dict.fromkeys(("unsubscribed", "opted out", "opt out", "optout"), LEFT),
    **dict.fromkeys(("bounced", "hard bounced", "hard bounce", "cleaned"), BOUNCED),
    **dict.fromkeys(("complained", "complaint", "spam complaint", "marked as spam"), COMPLAINED),
    **dict.fromkeys(("blocklisted", "blacklisted", "suppressed"), STAFF),
}


class _Elsewhere(_Columns):
    """Some other system: whoever left it, or must get nothing from it, stays away here too."""

    def __init__(self, place: Mapping[str, int], status: Sequence[int]) -> None:
        super().__init__(place)
        self._status = status

    def past(self, cells: Sequence[str]) -> Past:
        for number in self._status:
            if number < len(cells) and (gone := _GONE.get(re.sub(r"[\s_-]+", " ", cells[number].strip().casefold()))):
                return Past(gone)
        return NOTHING


class _Mailchimp(_Columns):
    """An audience is one file for each standing; what they say of each person is in other columns of each."""

    def __init__(self, place: Mapping[str, int], file: str) -> None:
        super().__init__(place)
        found = AUDIENCE.fullmatch(file.rpartition("/")[2].lower())
        self._file = found["standing"] if found else ""

    def past(self, cells: Sequence[str]) -> Past:
        cell = self.cell
        status = cell(cells, "status").lower() or self._file
        reason = f"{cell(cells, 'unsub_reason')} {cell(cells, 'unsub_reason_other')}".lower()
        if cell(cells, "clean_time") or status == "cleaned":
            gone = BOUNCED
        elif cell(cells, "unsub_time") or status in ("unsubscribed", "archived"):
            gone = COMPLAINED if "abuse" in reason or "spam" in reason else LEFT
        elif status in ("nonsubscribed", "non-subscribed", "transactional", "pending"):
            raise SheetError(f"is {status} at Mailchimp: never agreed to get this")
        else:
            gone = ""
        asked = _moment(cell(cells, "optin_time"))
        confirmed = _moment(cell(cells, "confirm_time"))
        words = [
            f"{verb} {cell(cells, f'{column}_time')}" + (f" from {ip}" if (ip := cell(cells, f"{column}_ip")) else "")
            for verb, column in (("asked", "optin"), ("confirmed", "confirm"))
            if cell(cells, f"{column}_time")
        ]
        agreed = None
        if words:
            ip = cell(cells, "confirm_ip") or cell(cells, "optin_ip")
            agreed = Agreed(asked if confirmed is None else confirmed, ip, f"Mailchimp: {', '.join(words)}")
        tags = ", ".join(part for each in cell(cells, "tags").split(",") if (part := each.strip(' "')))
        return Past(gone, agreed, {"tags": tags} if tags else {})


class _Listmonk(_Columns):
    """Enabled, disabled or blocklisted; who left one list shows in JSON alone, where lists are told."""

    def __init__(self, place: Mapping[str, int], attributes: str, into: str) -> None:
        super().__init__(place)
        self._attributes = attributes
        self._into = into.casefold()

    def past(self, cells: Sequence[str]) -> Past:
        status = self.cell(cells, "status").lower()
        if status == "disabled":
            raise SheetError("is disabled in listmonk")
        gone = STAFF if status == "blocklisted" else self._left(self.cell(cells, "lists"))
        since = self.cell(cells, "created_at")
        agreed = Agreed(_moment(since), "", f"listmonk: there since {since[:19].replace('T', ' ')}") if since else None
        return Past(gone, agreed, self._fields(cells))

    def _fields(self, cells: Sequence[str]) -> Mapping[str, str]:
        written = self.cell(cells, self._attributes)
        if not written.startswith("{"):
            return {}
        try:
            return {name: text_of(value) for name, value in opened(written).items()}
        except (ValueError, RecursionError):
            raise SheetError("its attributes are no JSON") from None

    def _left(self, written: str) -> str:
        """LEFT for who left the list of this name, or every list there. Raises SheetError for who never confirmed."""
        try:
            lists = json.loads(written) if written else []
        except (ValueError, RecursionError):
            return ""
        lists = [each for each in lists if isinstance(each, dict)] if isinstance(lists, list) else []
        same = [each for each in lists if str(each.get("name", "")).casefold() == self._into] or lists
        if same and all(each.get("subscription_status") == "unsubscribed" for each in same):
            return LEFT
        if same and all(
            each.get("subscription_status") == "unconfirmed" and each.get("optin") == "double" for each in same
        ):
            raise SheetError("never confirmed at listmonk")
        return ""


class _Ours(_Columns):
    """A listing of our own: how people stand to lists, and why they are suppressed."""

    def __init__(self, place: Mapping[str, int], into: str) -> None:
        super().__init__(place)
        self._into = into.casefold()

    def past(self, cells: Sequence[str]) -> Past:
        barred = self.cell(cells, "suppressed")
        try:
            lists = json.loads(self.cell(cells, "lists") or "{}")
        except ValueError:
            lists = {}
        standing = next((word for name, word in lists.items() if name.casefold() == self._into), "")
        if not barred and standing == "removed":
            raise SheetError("was taken off this list by staff")
        if not barred:
            return Past(LEFT if standing == "left" else "")
        return Past(LEFT_ALL if barred == "left" else barred if barred in (BOUNCED, COMPLAINED) else STAFF)


_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[ T](?P<time>\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(?P<zone>Z|[+-]\d\d:?\d\d)?.*", re.ASCII
)


def _moment(written: str) -> int | None:
    """A time as these systems write it, in seconds since the epoch; without a zone it is UTC, which is theirs."""
    found = _MOMENT.fullmatch(written)
    if found is None:
        return None
    try:
        when = datetime.fromisoformat(f"{found['day']}T{found['time']}{found['zone'] or ''}")
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
