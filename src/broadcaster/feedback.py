"""Complaints: the abuse reporting format (RFC 5965), and those of providers that write no such report.

Recipients are often taken out. Then who complained is told by what stands in the message that came with it: the
fields that providers add, and our own token in its Message-ID and its leave link.
"""

from __future__ import annotations

from typing import Final

from broadcaster import dsn
from broadcaster.mime import Part, decoded, fields
from broadcaster.notice import Kind, Notice
from broadcaster.prose import ADDRESS, clean
from broadcaster.reasons import REASONS

# Feedback-Type (RFC 5965 §7.3, RFC 6430, RFC 6591, RFC 9991): what is not among them is a complaint
_TYPES: Final = {
    "auth-failure": "authentication_report",
    "dmarc": "authentication_report",
    "not-spam": "not_spam",
    "fraud": "complaint",
    "opt-out": "complaint",
    "opt-out-list": "complaint",
}
# Fields of a returned message in which a provider says whose mailbox it was in.
_OWNERS: Final = (
    "x-hmxmroriginalrecipient",
    "x-hmxmroriginalrecipients",
    "x-original-rcpt-to",
    "x-rcpt-to",
    "x-envelope-to",
    "envelope-to",
    "delivered-to",
    "x-original-to",
    "x-apparently-to",
    "apparently-to",
    "to",
)


def read(parts: list[Part]) -> tuple[Notice, ...]:
    """What a complaint says; nothing where it is none."""
    top = parts[0]
    deepest = (
        0 if top.type == "multipart/report" else 1
    )  # one that was forwarded is read too, one that was returned not
    typed = (part for part in parts if part.type == "message/feedback-report" and part.depth <= deepest)
    report = next(typed, None)
    if report is not None:
        return _of_report(parts, report.text)
    returned = next((part for part in parts if part.depth == 1 and part.message), None)
    if returned is not None and returned.get(_OWNERS[0]):  # Microsoft's JMRP
        return _complaint(_owners(returned, _OWNERS[:1]), "jmrp")
    if top.get(_OWNERS[0]) and top.get("x-hmxmroriginalrecipient"):
        return _complaint(_owners(top, _OWNERS[:1]), "jmrp")
    if top.parameters.get("report-type", "").lower() == "feedback-report":
        # the report itself lost its type on the way
        for part in parts[1:]:
            if "feedback-type" in part.text[:4000].lower():
                return _of_report(parts, part.text)
        return _complaint(_owners(returned, _OWNERS) if returned else [], "")
    if dmarc(top, parts):
        return (Notice(Kind.OTHER, reason="authentication_report"),)
    return ()


def dmarc(top: Part, parts: list[Part]) -> bool:
    """Whether it is an aggregate report of DMARC (RFC 9990) or of TLS (RFC 8460), which come as archives."""
    subject = top.get("subject").lower()
    if "tls-report-domain" in dict(top.fields) or (
        top.type == "multipart/report" and "tlsrpt" in top.get("content-type")
    ):
        return True
    said = "report domain:" in subject or "report-domain:" in subject or "dmarc aggregate" in subject
    archive = any(
        part.type in ("application/gzip", "application/zip", "application/x-gzip", "application/x-zip-compressed")
        or part.named.lower().endswith((".xml.gz", ".zip", ".xml", ".json.gz"))
        for part in parts
    )
    return archive and (said or any("!" in part.named for part in parts))


def _of_report(parts: list[Part], text: str) -> tuple[Notice, ...]:
    about = dict(reversed(fields(text.encode("utf-8", "replace"))))
    value = {name: decoded(octets) for name, octets in about.items()}
    reason = _TYPES.get(value.get("feedback-type", "").strip().lower(), "complaint")
    many = [decoded(octets) for name, octets in fields(text.encode("utf-8", "replace")) if name == "original-rcpt-to"]
    found = [address for each in many if (address := dsn.mailbox(each))]
    if reason == "complaint" and len(found) > 1:
        words = f"{value.get('feedback-type', '')} {value.get('user-agent', '')}".strip()
        return tuple(notice for each in found[:20] for notice in _complaint([each], words))
    if not found:
        found = [
            address
            for name in ("removal-recipient", "x-original-rcpt-to")
            if (address := dsn.mailbox(value.get(name, "")))
        ]
    if not found:
        found = _owners_of_returned(parts)
    words = f"{value.get('feedback-type', '')} {value.get('user-agent', '')}".strip()
    if reason == "complaint":
        return _complaint(found, words)
    return tuple(Notice(REASONS[reason].kind, recipient=each, reason=reason, words=words) for each in found or [""])


def _owners_of_returned(parts: list[Part]) -> list[str]:
    for part in parts:
        if part.depth and part.message:
            return _owners(part, _OWNERS)
        if part.type in ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers"):
            head = Part(fields(part.text.encode("utf-8", "replace")), b"", 1, True)
            return _owners(head, _OWNERS)
    return []


def _owners(part: Part, names: tuple[str, ...]) -> list[str]:
    for name in names:
        found = [address for value in part.all(name) for each in ADDRESS.finditer(value) if (address := clean(each[0]))]
        if found:
            return list(dict.fromkeys(found))[:20]
    return []


def _complaint(found: list[str], words: str) -> tuple[Notice, ...]:
    """One complaint. Several addresses of a To are names of the one who complained, whichever it is."""
    first, *rest = found or [""]
    return (Notice(Kind.COMPLAINT, recipient=first, also=tuple(rest), reason="complaint", words=words),)
