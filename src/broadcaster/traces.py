"""Where a token of ours may stand in what came back: as text, to be held against the key by whoever has it.

What the report was sent to is written by our own server, and comes first. What was returned may be quoted by
anybody, cut, or rewritten on the way, so a token is also sought by its shape wherever there is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from broadcaster import dsn
from broadcaster.links import TOKEN_LENGTH
from broadcaster.mime import Part, decoded, fields
from broadcaster.notice import Traces
from broadcaster.prose import ADDRESS

MANY: Final = 40  # of each kind
RAW: Final = 400_000  # octets of the whole message that are searched for shapes

_DELIVERED: Final = (
    "delivered-to", "x-original-to", "x-delivered-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "x-real-to",
    "apparently-to", "x-apparently-to", "x-failed-sender", "to", "resent-to", "cc",
)  # fmt: skip
_TOKEN: Final = rf"[a-z2-7]{{26,{TOKEN_LENGTH}}}"
_MESSAGE_ID: Final = re.compile(r"<[^\s<>]{1,400}>")
_BARE_ID: Final = re.compile(r"^[^\s<>]{1,200}@[^\s<>]{1,200}$")
_LEAVES: Final = re.compile(rf"leave(?:-|/|%2F|%2D|\?subject=leave-)({_TOKEN})(?![a-z2-7])", re.IGNORECASE)
_SHAPES: Final = re.compile(rf"(?:\+(?P<path>{_TOKEN})|<(?P<id>{_TOKEN}))@[A-Za-z0-9.-]{{1,255}}", re.IGNORECASE)
_PATH: Final = re.compile(rf"[\w.!#$%&'*/=?^`{{|}}~-]{{1,64}}\+{_TOKEN}@[A-Za-z0-9.-]{{1,255}}", re.IGNORECASE)
_LINE: Final = re.compile(
    r"^[\s>|]{0,8}(?:original-)?message-id[ \t]{0,4}:[ \t]*+(<[^\s<>]{1,400}>)", re.IGNORECASE | re.MULTILINE
)
_WITHIN: Final = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")


def read(parts: list[Part], message: bytes, texts: Iterable[str]) -> Traces:
    """All traces. `texts`: those of the parts that are not of what was returned, and what prose quotes of it."""
    top = parts[0]
    paths = [each for name in _DELIVERED for value in top.all(name)[:10] for each in _addresses(value)]
    ids: list[str] = []
    leaves = [found[1] for value in top.all("subject") for found in _LEAVES.finditer(value)]
    envelopes: list[str] = []
    for head in _heads(parts):
        _of_head(head, paths, ids, leaves)
    for part in parts:
        if part.type in ("message/delivery-status", "message/global-delivery-status", "message/feedback-report"):
            _of_report(part.text, paths, ids, envelopes)
    for text in texts:
        ids += [found[1] for found in islice(_LINE.finditer(text[:RAW]), MANY)]
        if "nvelope-id" in text.lower():
            _of_report(text, paths, ids, envelopes)
    _of_answer(top, ids)
    raw = decoded(message[:RAW]).replace("=\n", "").replace("=\r\n", "")
    for text in (raw, *texts):
        _by_shape(text, paths, ids, leaves)
    return Traces(_few(paths), _few(ids), _few(each.lower() for each in leaves), _few(envelopes))


def _heads(parts: list[Part]) -> Iterator[Part]:
    """The fields of what was returned."""
    for part in parts:
        if part.depth and part.message:
            yield part
        elif part.type in _WITHIN or (part.type.startswith("message/") and part.body and "rfc822" in part.type):
            yield Part(fields(part.text.encode("utf-8", "replace")), b"", 1, True)


def _of_head(head: Part, paths: list[str], ids: list[str], leaves: list[str]) -> None:
    for name in ("return-path", "x-envelope-from", "x-postfix-sender", "errors-to", "sender"):
        paths += [each for value in head.all(name)[:5] for each in _addresses(value)]
    for name in ("message-id", "x-original-message-id", "x-microsoft-original-message-id"):
        ids += [each for value in head.all(name)[:5] for each in _ids(value)]
    for name in ("list-unsubscribe", "subject"):
        leaves += [found[1] for value in head.all(name)[:5] for found in islice(_LEAVES.finditer(value), MANY)]


def _of_report(text: str, paths: list[str], ids: list[str], envelopes: list[str]) -> None:
    about, groups = dsn.read(text)
    for group in (about, *groups):
        if envelope := group.get("original-envelope-id", ""):
            envelopes.append(dsn.unescaped(envelope)[:200])
        ids += _ids(group.get("x-original-message-id", "") or group.get("message-id", ""))
        for name in ("original-mail-from", "x-postfix-sender", "return-path"):
            paths += _addresses(group.get(name, ""))


def _of_answer(top: Part, ids: list[str]) -> None:
    """What an answer refers to, the last one first; and the list's leave link, where a mail of ours came back whole."""
    for name in ("in-reply-to", "references", "x-original-message-id"):
        ids += [each for value in top.all(name)[:5] for each in reversed(_ids(value))]


def _by_shape(text: str, paths: list[str], ids: list[str], leaves: list[str]) -> None:
    for found in islice(_SHAPES.finditer(text), MANY):
        if found["id"]:
            ids.append(found[0] + ">")
        elif path := _PATH.search(text, max(0, found.start() - 64), found.end()):
            paths.append(path[0])
    leaves += [found[1] for found in islice(_LEAVES.finditer(text), MANY)]


def _addresses(value: str) -> list[str]:
    return [found[0].strip("'`,;") for found in islice(ADDRESS.finditer(value), MANY)]


def _ids(value: str) -> list[str]:
    found = [each[0] for each in islice(_MESSAGE_ID.finditer(value), MANY)]
    bare = value.strip()
    return found or ([f"<{bare}>"] if _BARE_ID.match(bare) else [])


def _few(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys(found), MANY))
