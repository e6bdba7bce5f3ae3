"""Images in a page: those that are files of the workspace travel with the mail, or are shown from a web address.

A page is laid out with `cid:PATH` in their place, so that it can be read. When it is frozen, and the files
are known, each gets its final address: a Content-ID that follows from its bytes (some mail programs keep
images by that name for ever), or an address below a configured base.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from broadcaster import markup
from broadcaster.errors import StatementError
from broadcaster.markup import Where

_SCHEME: Final = "cid:"
_SOURCE: Final = ("img", "src")
# as the inliner writes one
_IMAGE: Final = re.compile(r'<img(?P<before>[^<>]*?)\ssrc="(?P<source>cid:[^"]*)"(?P<after>[^<>]*)>')
# the sizes that follow the marker of a frame in a JPEG; C4, C8 and CC are something else (ISO 10918-1 table B.1)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Picture:
    """What the first bytes of an image file say: its MIME type, and its size in pixels."""

    kind: str
    width: int
    height: int


def laid_in(page: str, folder: str, own: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
    """The page with `cid:PATH` for each image that is named by a path below `folder`, and these paths.

    `own(source)` says that an address is none of an author's: it holds a value that is filled in later.
    """
    paths: dict[str, None] = {}
    pieces: list[str] = []
    end = 0
    for span in markup.spans(page):
        if (span.element, span.attribute) != _SOURCE or span.where not in (Where.ATTRIBUTE, Where.BARE):
            continue
        source = html.unescape(page[span.start : span.end]).strip()
        if own(source) or (path := _path(source, folder)) is None:
            continue
        paths[path] = None
        pieces += [page[end : span.start], named(path)]
        end = span.end
    return "".join([*pieces, page[end:]]), tuple(paths)


def named(path: str) -> str:
    """An image by its path, as it stands in a page that is not frozen yet."""
    return _SCHEME + quote(path)


def _path(source: str, folder: str) -> str | None:
    """The path in the workspace that an image's address means; None for one that is whole, or leads elsewhere."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
        return None
    return posixpath.normpath(f"{folder}/{unquote(parts.path)}")


def settled(page: str, addresses: Mapping[str, str], pictures: Mapping[str, Picture], most: int) -> str:
    """The page with the final address of each image, by path.

    One that says nothing of its width gets its own, but at most `most` pixels: Outlook heeds the attribute alone.
    """
    whole = {named(path): path for path in addresses}

    def tag(found: re.Match[str]) -> str:
        path = whole.get(found["source"])
        if path is None:
            return found[0]
        sized = re.search(r"\s(?:width|height)=", found["before"] + found["after"])
        size = "" if sized else f' width="{min(pictures[path].width, most)}"'
        return f'<img{found["before"]} src="{addresses[path]}"{size}{found["after"]}>'

    page = _IMAGE.sub(tag, page)
    for name, path in whole.items():
        # beside a value with a > in it
        page = page.replace(f' src="{name}"', f' src="{addresses[path]}"')
    return page


def look(octets: bytes, where: str) -> Picture:
    """What an image is. Raises StatementError for what mail programs do not show."""
    found = _png(octets) or _gif(octets) or _jpeg(octets) or _webp(octets)
    if found is None or not (found.width and found.height):
        raise StatementError(
            "is no image that mail programs show", where=where, hint="save it as PNG, JPEG or GIF, and name it so"
        )
    return found


def _png(octets: bytes) -> Picture | None:
    if not octets.startswith(b"\x89PNG\r\n\x1a\n") or octets[12:16] != b"IHDR":
        return None
    return Picture("image/png", _number(octets[16:20]), _number(octets[20:24]))


def _gif(octets: bytes) -> Picture | None:
    if not re.match(rb"GIF8[79]a", octets):
        return None
    return Picture("image/gif", _number(octets[6:8][::-1]), _number(octets[8:10][::-1]))


def _jpeg(octets: bytes) -> Picture | None:
    """The first frame, found from segment to segment."""
    at = 2 if octets.startswith(b"\xff\xd8\xff") else len(octets)
    while at + 9 <= len(octets) and octets[at] == 0xFF:
        if octets[at + 1] in _FRAMES:
            return Picture("image/jpeg", _number(octets[at + 7 : at + 9]), _number(octets[at + 5 : at + 7]))
        # any number of FF may stand before a marker
        at += 1 if octets[at + 1] == 0xFF else 2 + max(_number(octets[at + 2 : at + 4]), 2)
    return None


def _webp(octets: bytes) -> Picture | None:
    if octets[:4] != b"RIFF" or octets[8:12] != b"WEBP":
        return None
    kind, body = octets[12:16], octets[20:30]
    if kind == b"VP8X":
        return Picture("image/webp", _number(body[6:3:-1]) + 1, _number(body[9:6:-1]) + 1)
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return Picture("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return Picture("image/webp", _number(body[7:5:-1]) & 0x3FFF, _number(body[9:7:-1]) & 0x3FFF)
    return None


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
