"""The guises in which an address may stand in a text or in a file: other spellings, escapes, encodings.

Who is erased must be found again wherever we or others have written their address, and nobody else with them:
ann@example.org is neither joann@example.org nor ann@example.org.uk.
"""

from __future__ import annotations

import binascii
import html
import json
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from broadcaster.address import Address
from broadcaster.errors import AddressError

# what stands in a text where the address was
ERASED: Final = "[erased]"

# between the two parts
_SIGNS: Final = ("@", "%40", "&#64;", "&#x40;")
# In a file that is not Unicode: what people's programs have written in the languages we know
_CODES: Final = ("utf-16-le", "utf-16-be", "cp1252", "cp1256", "cp1251", "cp1254", "iso-8859-2", "iso-8859-7")
# before it: nothing that could be a part of a longer address, but for what escapes leave there
_BEFORE: Final = r"(?:(?<![\w.+\-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4})|(?<=%[0-9a-f]{2})|(?<==[0-9a-f]{2}))"
# behind it: nothing that makes the domain longer; what people name their files after somebody ends in is no domain
_ENDINGS: Final = (
    "csv|tsv|tab|txt|md|json|jsonl|ndjson|xml|html?|xlsx?|ods|odt|docx?|rtf|vcf|pdf|png|jpe?g|gif|svg|eml|mbox|msg|zip|gz"
    "|bz2|xz|7z|tar|tgz|age|gpg|asc|sig|db|bak|tmp|part|log"
)
_AFTER: Final = rf"(?![^\W_]|(?:-[\w\-]+)?\.(?!(?:{_ENDINGS})(?![\w\-]))\w)"


# what may be an address, in whatever stands around it
_SHAPE: Final = re.compile(r"[^\s<>()\[\]\",;:@\\]{1,64}@[\w.-]{1,253}")


class Guise:
    """All of one address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._locals = _forms(_locals(address))
        self._domains = _forms(_domains(address))
        texts = [f"{local}{at}{domain}" for local, at, domain in product(self._locals, _SIGNS, self._domains)]
        alternatives = "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))
        self._pattern = re.compile(f"{_BEFORE}(?:{alternatives}){_AFTER}", re.IGNORECASE)
        self._needles = tuple({text.encode().lower() for text in texts})
        plain = {f"{local}@{domain}" for local, domain in product(_locals(address), _domains(address))}
        self._codes = tuple({each.lower() for text in plain for each in _encoded(text)} - {*self._needles})
        self._base64 = tuple({each for text in {*plain, address.key} for each in _base64(text)})

    def patterns(self) -> list[str]:
        """For SQL's `like … escape '\\'`: whatever `without` changes is like one of these, and little else."""
        return [f"%{_like(local)}%{_like(domain)}%" for local, domain in product(self._locals, self._domains)]

    def without(self, text: str) -> str:
        """A text with the address taken out of it."""
        return self._pattern.sub(ERASED, text)

    def within(self, octets: bytes) -> bool:
        """Whether the address stands in these octets, in any guise."""
        if any(self._plain(view) for view in _views(octets)):
            return True
        folded = octets.lower()
        if any(code in folded for code in self._codes):
            return True
        joined = octets.translate(None, b"\r\n")
        return any(each in joined for each in self._base64)

    def _plain(self, octets: bytes) -> bool:
        folded = octets.lower()
        if not any(needle in folded for needle in self._needles):
            return False
        # a part of a longer one is somebody else's
        return self._pattern.search(octets.decode("utf-8", "replace")) is not None


def _locals(address: Address) -> set[str]:
    return {
        unicodedata.normalize(form, case)
        for case in (address.local, address.local.casefold(), address.local.lower(), address.local.upper())
        for form in ("NFC", "NFD")
    }


def _domains(address: Address) -> set[str]:
    own = address.shown.rpartition("@")[2]
    return {address.domain, own, unicodedata.normalize("NFD", own), own.upper()}


def _forms(parts: Iterable[str]) -> list[str]:
    """Parts of an address as they stand in plain text, JSON, a link, HTML and a pattern of `like`; of ASCII the case is
    no matter.
    """
    ways: tuple[Callable[[str], str], ...] = (
        str,
        lambda text: json.dumps(text)[1:-1],
        lambda text: quote(text, safe=""),
        html.escape,
        lambda text: text.replace("&", "&amp;").replace("'", "&#39;"),
        # a segment has it as it was typed, the rule of a mailing as JSON
        _like,
        lambda text: json.dumps(_like(text))[1:-1],
        lambda text: json.dumps(_like(text), ensure_ascii=False)[1:-1],
    )
    forms = (way(part) for part in parts for way in ways)
    return [*dict.fromkeys(form.lower() if form.isascii() else form for form in forms)]


def _like(text: str) -> str:
    """A text in a pattern of SQL, where two signs mean something."""
    return re.sub(r"([%_\\])", r"\\\1", text)


def _encoded(text: str) -> Iterator[bytes]:
    """In other codes than UTF-8. Without the last zero, the lower half of UTF-16 is found in either order."""
    for code in _CODES:
        try:
            octets = text.encode(code)
        except UnicodeEncodeError:
            continue
        yield octets.rstrip(b"\0") if code == "utf-16-le" else octets


def _base64(text: str) -> Iterator[bytes]:
    """The letters that stand for it alone, wherever among three octets it begins."""
    octets = text.encode()
    for before in range(3):
        letters = b64encode(b"\0" * before + octets)
        begin, end = -(-before * 8 // 6), (before + len(octets)) * 8 // 6
        yield letters[begin:end]


def _views(octets: bytes) -> Iterator[bytes]:
    """As they are, and as quoted-printable and links have them."""
    yield octets
    if b"=" in octets:
        yield binascii.a2b_qp(octets)
    if b"%40" in octets:
        yield unquote_to_bytes(octets)


def addresses(octets: bytes) -> Iterable[str]:
    """The keys of all that looks like an address in a message."""
    keys = set()
    for view in _views(octets):
        for found in _SHAPE.findall(view.decode("utf-8", "replace")):
            try:
                keys.add(Address.parse(found.strip(".'")).key)
            except AddressError:
                continue  # what is no address is nobody's
    return keys
