"""Amazon's notifications of bounces and complaints: JSON in a mail, as SES gives it to SNS, and SNS to a mailbox."""

from __future__ import annotations

import json
from typing import Any, Final

from broadcaster import verdict
from broadcaster.notice import Action, Kind, Notice
from broadcaster.prose import clean
from broadcaster.reasons import REASONS

SIZE: Final = 200_000

# bounceSubType, where it tells more than the diagnosis
_SUBTYPES: Final = {
    "noemail": "unknown_user",
    "suppressed": "refused",
    "onaccountsuppressionlist": "refused",
    "mailboxfull": "full",
    "messagetoolarge": "size",
    "contentrejected": "content",
    "attachmentrejected": "content",
}


def read(text: str) -> tuple[tuple[Notice, ...], str]:
    """Its notices, and what it tells of the message that was sent, as plain text."""
    value = _value(text)
    if "Message" in value and isinstance(value["Message"], str):
        value = _value(value["Message"])
    kind = str(value.get("notificationType") or value.get("eventType") or "").lower()
    mail = value.get("mail") if isinstance(value.get("mail"), dict) else {}
    about = value.get(kind)
    if not isinstance(about, dict):
        return (), ""
    reader = {"bounce": _bounced, "complaint": _complained, "delivery": _delivered}.get(kind)
    return (tuple(reader(about)) if reader else ()), json.dumps(mail, ensure_ascii=False, indent=0).replace('\\"', '"')


def _value(text: str) -> dict[str, Any]:
    start = text.find("{")
    if start < 0 or '"' not in text[start : start + 40]:
        return {}
    try:
        value, _ = json.JSONDecoder().raw_decode(text[:SIZE], start)
    except (ValueError, RecursionError):  # nested as deep as somebody liked
        return {}
    return value if isinstance(value, dict) else {}


def _people(about: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = about.get(name)
    many = found[:200] if isinstance(found, list) else []
    return [each if isinstance(each, dict) else {"emailAddress": str(each)} for each in many]


def _bounced(about: dict[str, Any]) -> list[Notice]:
    subtype = str(about.get("bounceSubType", "")).lower()
    passing = str(about.get("bounceType", "")).lower() == "transient"
    notices = []
    for each in _people(about, "bouncedRecipients"):
        words = str(each.get("diagnosticCode", ""))
        status = str(each.get("status", ""))
        judged = verdict.judge(verdict.read(words), status)
        reason = judged.reason
        if reason in ("undefined", "policy", "refused") and subtype in _SUBTYPES:
            reason = _SUBTYPES[subtype]
        if passing and REASONS[reason].kind is Kind.HARD:
            reason = "unconfirmed"
        notices.append(Notice(REASONS[reason].kind, Action.FAILED, _address(each), (), judged.status, reason, words))
    return notices


def _complained(about: dict[str, Any]) -> list[Notice]:
    words = str(about.get("complaintFeedbackType") or about.get("userAgent") or "")
    reason = "not_spam" if words.lower() == "not-spam" else "complaint"
    return [
        Notice(REASONS[reason].kind, recipient=_address(each), reason=reason, words=words)
        for each in _people(about, "complainedRecipients")
    ]


def _delivered(about: dict[str, Any]) -> list[Notice]:
    words = str(about.get("smtpResponse", ""))
    people = _people(about, "recipients")
    return [Notice(Kind.OTHER, Action.DELIVERED, _address(each), (), "", "delivered", words) for each in people]


def _address(person: dict[str, Any]) -> str:
    address = str(person.get("emailAddress", ""))[:400]
    return clean(address.rpartition("<")[2].rstrip("> "))
