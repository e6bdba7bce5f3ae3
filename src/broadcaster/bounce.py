"""A report of a delivery → one notice for each recipient: what machines wrote first, prose where that says nothing.

Whose it is and why are read apart: the address from fields, the reason from the words of the other side, the stage
from wherever the report tells it.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from broadcaster import dsn, herald, prose, verdict
from broadcaster.dsn import Group
from broadcaster.mime import Part, fields
from broadcaster.notice import Action, Kind, Notice
from broadcaster.prose import ADDRESS, Mention, clean
from broadcaster.reasons import REASONS
from broadcaster.verdict import Stage, Words

_DIAGNOSED: Final = re.compile(r"^\s*+[A-Za-z][\w-]{0,30}\s*+;\s*+")
_STATUS_PARTS: Final = ("message/delivery-status", "message/global-delivery-status", "message/x-delivery-status")
_HEADS: Final = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
_FOR: Final = re.compile(r"\bfor\s{1,4}<?([^\s<>;@]{1,64}@[\w.-]{1,255})")
_WARNING: Final = (
    "this is a warning message only", "this is a warning only", "you do not need to resend your message",
    "will be retried", "has been delayed", "is delayed for more", "is being delayed", "temporary failure report",
    "still being retried", "delivery is delayed", "not yet been delivered", "will keep trying",
    "no action is required on your part", "hasn't been delivered yet", "delivery incomplete",
    "wurde noch nicht zugestellt", "verzögert", "retardé", "aplazad",
)  # fmt: skip


class Report:
    """A message as a report: its parts, its own words, and the addresses that are not a recipient's."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.top = parts[0]

    @cached_property
    def text(self) -> prose.Report:
        """What it says to people, apart from the copy of what was sent."""
        plains = [part.text for part in self.parts if not part.depth and _readable(part)]
        if len(self.parts) == 1:  # its boundary never came, or what type it has is nonsense
            plains = [self.top.text]
        text = "\n".join(plains)[:200_000]
        if not any(sign.isalpha() for sign in text):
            pages = [part.text for part in self.parts if not part.depth and part.type == "text/html"]
            text = "\n".join(pages)[:200_000]
        return prose.split(text)

    @cached_property
    def returned(self) -> list[Part]:
        """The heads of what was returned, where they can be told."""
        found = [part for part in self.parts if part.depth == 1 and part.message]
        found += [
            Part(fields(part.text.encode("utf-8", "replace")), b"", 1, True)
            for part in self.parts
            if part.type in _HEADS
        ]
        quoted = self.text.returned.partition("\n")[2].lstrip("\n -=*_")
        return found or [Part(fields(quoted.encode("utf-8", "replace")), b"", 1, True)]

    @cached_property
    def ours(self) -> frozenset[str]:
        """Addresses of the sender of what was returned, and of the report."""
        names = ("to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "from", "reply-to")
        found = {address for name in names for value in self.top.all(name)[:5] for address in _all(value)}
        for head in self.returned:
            for name in ("from", "return-path", "sender", "reply-to"):
                found |= {address for value in head.all(name)[:3] for address in _all(value)}
        return frozenset(found)

    @cached_property
    def failed(self) -> list[str]:
        """X-Failed-Recipients, as Exim and Google write it."""
        return list(dict.fromkeys(each for value in self.top.all("x-failed-recipients") for each in _all(value)))

    @cached_property
    def mentions(self) -> list[Mention]:
        """Who is named in its prose."""
        return prose.mentions(self.text.said, self.ours - set(self.failed))

    @cached_property
    def words(self) -> Words:
        """All it says to people, taken apart."""
        return verdict.read(self.text.said)

    @property
    def warns(self) -> bool:
        """Whether it says that the delivery goes on."""
        low = self.text.said[:6000].lower()
        return any(phrase in low for phrase in _WARNING) or "(delay)" in self.top.get("subject").lower()


def _readable(part: Part) -> bool:
    """Whether a part is text for people: no page, and no copy under the name of text."""
    if part.type in ("text/html", "text/calendar", *_HEADS) or not part.type.startswith("text/"):
        return False
    return not part.get("content-disposition").lower().startswith("attachment") or part.type == "text/plain"


def _all(value: str) -> list[str]:
    return [address for each in ADDRESS.finditer(value) if (address := clean(each[0]))]


def machine(report: Report) -> tuple[Notice, ...]:
    """What fields say (RFC 3464), wherever they stand; nothing where there are none."""
    parts = [part for part in report.parts if part.type in _STATUS_PARTS]
    depth = min((part.depth for part in parts), default=0)
    texts = [part.text for part in parts if part.depth == depth]
    if not texts:
        texts = [part.text for part in report.parts if not part.depth and _fielded(part)]
    if not texts and dsn.looks_like(report.text.said):
        texts = [report.text.said]
    found: list[Notice] = []
    for text in texts:
        if len(found) >= dsn.GROUPS:
            break
        groups = dsn.read(text)[1]
        for group in groups:
            found += _of_group(report, group, alone=len(groups) == 1)
    return tuple(_merged(found))


def _fielded(part: Part) -> bool:
    return (
        part.type.startswith(("text/", "application/octet", "message/"))
        and part.type not in _HEADS
        and dsn.looks_like(part.text[:20_000])
    )


def _of_group(report: Report, group: Group, *, alone: bool) -> list[Notice]:
    action = dsn.action(group)
    found = dsn.recipients(group)
    if not found and alone:
        found = report.failed[:1] or [mention.address for mention in report.mentions[:1]] or _addressed(report)[:1]
    if not found:
        return []
    address, *rest = found
    diagnosis = _DIAGNOSED.sub("", group.get("diagnostic-code", "")) or _comment(group.get("status", ""))
    if action not in (Action.FAILED, Action.DELAYED):
        return [Notice(Kind.OTHER, action, address, tuple(rest), group.get("status", "")[:20], "delivered", diagnosis)]
    mention = _mentioned(report, found)
    block = mention.words if mention else report.text.said
    around = block if len(report.mentions) > 1 else report.text.said
    stage = transcribed(report.text.said, diagnosis) or verdict.staged(" ".join(around[:6000].lower().split()))
    said = verdict.read(diagnosis, stage)
    about = verdict.read(block, stage)
    judged = verdict.judge(said, group.get("status", ""), action, about)
    also = (address, *rest, *((mention.address, *mention.also) if mention and _same(mention, found) else ()))
    if mention and "original-recipient" not in group and mention.address not in found and _same(mention, found):
        address = mention.address
    return [_notice(action, address, also, judged, diagnosis or block)]


def _comment(status: str) -> str:
    """What stands in brackets behind a status, as iMS writes it."""
    return status.partition("(")[2].rpartition(")")[0]


def _mentioned(report: Report, names: list[str]) -> Mention | None:
    """The place in the prose that is about one of these addresses; where there is one place only, that."""
    mentions = report.mentions
    found = next((each for each in mentions if _same(each, names)), None)
    return found or (mentions[0] if len(mentions) == 1 else None)


def _same(mention: Mention, names: list[str]) -> bool:
    return mention.address in names or not set(mention.also).isdisjoint(names)


def transcribed(said: str, diagnosis: str) -> Stage:
    """The command to which a transcript has this answer (Sendmail): the last one before it."""
    start = " ".join(diagnosis.split())[:24].lower()
    if "<<<" not in said or not start:
        return Stage.NONE
    command = ""
    for line in said.split("\n")[: prose.LINES]:
        bare = line.strip().lower()
        if bare.startswith(">>>"):
            command = bare
        elif bare.startswith("<<<") and " ".join(bare[3:].split()).startswith(start):
            return verdict.staged(command) if command else Stage.NONE
    return Stage.NONE


def _notice(action: Action, address: str, also: tuple[str, ...], judged: verdict.Verdict, words: str) -> Notice:
    kind = REASONS[judged.reason].kind
    if action is Action.DELAYED and kind is not Kind.SOFT:
        kind = Kind.SOFT
    names = tuple(dict.fromkeys(each for each in also if each != address))
    return Notice(kind, action, address, names, judged.status, judged.reason, words)


def _addressed(report: Report) -> list[str]:
    """To whom what was returned was written, where nothing else tells it."""
    for head in report.returned:
        for name in ("x-failed-recipients", "x-rcpt-to", "to"):
            if found := [each for value in head.all(name) for each in _all(value)]:
                return found
        for value in reversed(head.all("received")):
            if found := [clean(each[1]) for each in _FOR.finditer(value[:2000])]:
                return found
    return []


def _merged(notices: list[Notice]) -> list[Notice]:
    """One notice a recipient: some write a group twice, or the same for each name that they expanded it to."""
    kept: dict[str, Notice] = {}
    for notice in notices:
        before = kept.get(notice.recipient)
        if before is None:
            kept[notice.recipient] = notice
        else:
            names = tuple(dict.fromkeys((*before.also, *notice.also)))
            graver = before if before.kind is Kind.HARD or notice.action is not Action.FAILED else notice
            kept[notice.recipient] = graver._replace(also=names)
    return list(kept.values())


def in_prose(report: Report) -> tuple[Notice, ...]:
    """What a report says to people; nothing where it is none."""
    if not herald.announces(report.top, report.text.said):
        return ()
    action = Action.DELAYED if report.warns else Action.FAILED
    mentions = report.mentions
    if report.failed:
        named = {name: each for each in mentions for name in (*each.also, each.address)}
        mentions = [named.get(each) or Mention(each, (), report.text.said) for each in report.failed]
    if not mentions:
        mentions = [Mention(each, (), report.text.said) for each in _addressed(report)[:1]]
    if not mentions:
        mentions = [Mention("", (), report.text.said)] if _bare(report) else []
    found = []
    stage = report.words.stage if len(mentions) == 1 else Stage.NONE
    for mention in mentions[: prose.RECIPIENTS]:
        said = verdict.read(mention.words, stage)
        judged = verdict.judge(said, "", action, report.words)
        found.append(_notice(action, mention.address, mention.also, judged, mention.words))
    return tuple(_merged(found))


def _bare(report: Report) -> bool:
    """Whether it is certainly a report, though it names nobody."""
    return report.top.type == "multipart/report" or any(
        part.type in _STATUS_PARTS for part in report.parts if not part.depth
    )
