"""Mailbox addresses: what may be mailed, how it is written on the wire, and which spellings are one person.

Ours is stricter than RFC 5322 on purpose: no quoted local parts, comments or domain literals. Whatever
parses can stand between < and > in SMTP and in a header, with no byte that means something there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from broadcaster.errors import AddressError

# RFC 5321 §4.5.3.1: octets of the local part, the domain (RFC 1035 §2.3.4), and both with the @ inside a path
LOCAL_LIMIT, DOMAIN_LIMIT, ADDRESS_LIMIT, LABEL_LIMIT = 64, 253, 254, 63

_ATEXT = "A-Za-z0-9!#$%&'*+/=?^_`{|}~-"  # RFC 5322 §3.2.3
_LABEL = r"(?!xn--)[a-z0-9]++(?:-++[a-z0-9]++)*+"
# Possessive throughout: a hostile line costs no more than a good one.
_PLAIN = re.compile(rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*+@(?:{_LABEL}\.)++(?!\d++$){_LABEL}", re.ASCII | re.IGNORECASE)
_PLAIN_LOCAL = re.compile(rf"[.{_ATEXT}]++")
_HOST_LABEL = re.compile(r"[a-z0-9]++(?:-++[a-z0-9]++)*+")


@dataclass(frozen=True)
class Address:
    """One mailbox. `local` keeps its case, in NFC; `domain` is lower-case, in A-labels (RFC 5890 §2.3.2.1)."""

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in a text that is nothing but an address. Raises AddressError with a plain reason."""
        if not text:
            raise AddressError("no address")
        if len(text) > 4 * ADDRESS_LIMIT:
            raise AddressError(f"{len(text)} characters are too many for an address")
        if (count := text.count("@")) != 1:
            raise AddressError(f"{'no' if not count else 'more than one'} @ in {text!r}")
        local, _, domain = text.partition("@")
        address = cls(_local(local), _domain(domain))
        if len(str(address).encode()) > ADDRESS_LIMIT:
            raise AddressError(f"an address has {ADDRESS_LIMIT} bytes at most (RFC 5321)")
        return address

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @cached_property
    def key(self) -> str:
        """The identity: two spellings with one key are one person, though RFC 5321 §2.4 lets a server tell case apart.

        Plus tags are kept: they are other mailboxes as far as anybody but their server knows.
        """
        return f"{unicodedata.normalize('NFC', self.local.casefold())}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server with SMTPUTF8 (RFC 6531) can take it. A domain never needs that: it has A-labels."""
        return not self.local.isascii()

    @property
    def shown(self) -> str:
        """For people to read: the domain in its own script, where that leads back to the same A-labels."""
        if "xn--" not in self.domain:
            return str(self)
        import idna

        try:
            domain = idna.decode(self.domain)
            same = _domain(domain) == self.domain
        except (idna.IDNAError, UnicodeError, AddressError):
            same = False
        return f"{self.local}@{domain}" if same else str(self)


def fast(text: str) -> tuple[str, str] | None:
    """(address, key) of a plain short ASCII address, as `Address.parse` would have it; None: ask `parse`.

    Nearly every row of a big file ends here. No longer than one label may be: then no limit can be broken.
    """
    if len(text) > LABEL_LIMIT or _PLAIN.fullmatch(text) is None:
        return None
    local, _, domain = text.partition("@")
    domain = domain.lower()
    return f"{local}@{domain}", f"{local.lower()}@{domain}"


def look_alikes(text: str, candidates: Iterable[str], number: int = 3) -> list[str]:
    """The candidates most like the text, best first: what somebody may have meant who wrote it."""
    import difflib

    folded = {each.casefold(): each for each in candidates}
    return [folded[each] for each in difflib.get_close_matches(text.casefold(), folded, n=number, cutoff=0.75)]


def _local(text: str) -> str:
    local = unicodedata.normalize("NFC", text)
    if not local:
        raise AddressError("nothing before the @")
    if local[0] == '"':
        raise AddressError("a quoted part before the @ is not supported")
    if _PLAIN_LOCAL.fullmatch(local) is None:
        for sign in local:
            _check(sign)
        if unicodedata.category(local[0])[0] == "M":
            raise AddressError(f"begins with {_named(local[0])}")
    if local[0] == "." or local[-1] == "." or ".." in local:
        raise AddressError("a dot before the @ must stand between two other characters")
    if (size := len(local.encode())) > LOCAL_LIMIT:
        raise AddressError(f"{size} bytes before the @, {LOCAL_LIMIT} are allowed (RFC 5321)")
    return local


def _check(sign: str) -> None:
    """RFC 6531 §3.3 allows any character beyond ASCII; those that nobody sees, or that reorder others, only deceive."""
    if sign.isascii():
        if _PLAIN_LOCAL.fullmatch(sign) is None:
            raise AddressError(f"{_named(sign)} before the @")
    elif unicodedata.category(sign)[0] in "CZ":
        raise AddressError(f"{_named(sign)} before the @")


def _domain(text: str) -> str:
    if not text:
        raise AddressError("nothing after the @")
    if text[0] == "[":
        raise AddressError("a number in place of a domain is not supported")
    # 4 bytes of UTF-8 a character at the most; idna's time grows with the square of the length
    if len(text) > DOMAIN_LIMIT:
        raise AddressError(f"{len(text)} characters after the @, {DOMAIN_LIMIT} are allowed")
    domain = text.lower() if text.isascii() else _a_labels(text)
    labels = domain.split(".")
    if len(labels) < 2:
        raise AddressError(f"no dot in the domain {text!r}")
    for label in labels:
        _check_label(label)
    if labels[-1].isdigit():
        raise AddressError("a number in place of a domain is not supported")
    if len(domain) > DOMAIN_LIMIT:
        raise AddressError(f"{len(domain)} bytes after the @, {DOMAIN_LIMIT} are allowed")
    return domain


def _check_label(label: str) -> None:
    if not label:
        raise AddressError("a dot in the domain must stand between two words")
    if len(label) > LABEL_LIMIT:
        raise AddressError(f"{len(label)} bytes between two dots of the domain, {LABEL_LIMIT} are allowed")
    if _HOST_LABEL.fullmatch(label) is None:
        odd = next((sign for sign in label if not (sign.isascii() and (sign.isalnum() or sign == "-"))), None)
        raise AddressError(f"{_named(odd)} in the domain" if odd else f"{label!r} begins or ends with a hyphen")
    if label.startswith("xn--"):
        try:
            label[4:].encode("ascii").decode("punycode")
        except UnicodeError:
            raise AddressError(f"{label!r} is no internationalised domain name") from None


def _a_labels(text: str) -> str:
    """A domain in any script as IDNA 2008 writes it (RFC 5891), mapped by UTS #46 first: case, width, full stops."""
    import idna

    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        odd = next((sign for sign in text if unicodedata.category(sign)[0] in "CZ"), None)
        reason = f"{_named(odd)} in the domain" if odd else f"{text!r} is no domain name (IDNA 2008)"
        raise AddressError(reason) from None


def _named(sign: str) -> str:
    """A character in words, visible whatever it is."""
    if sign == " ":
        return "a space"
    if sign in "\r\n":
        return "a line break"
    if unicodedata.category(sign)[0] in "CZM":
        return f"an invisible character (U+{ord(sign):04X})"
    return repr(sign)
