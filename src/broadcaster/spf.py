"""Which servers may send for a domain (SPF, RFC 7208): its record, and what it costs whoever reads it.

A verifier gives up after ten questions to the DNS, or two without an answer, and the whole record counts for nothing:
it grows by an `include` for each service until that happens. So all of it is counted, as if no term matched.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

# §4.6.4
LOOKUPS: Final = 10
VOIDS: Final = 2
# we go on for a while, to say by how much it is too many
_COUNTED: Final = 3 * LOOKUPS
_TERMS: Final = 200

_MECHANISM: Final = re.compile(
    r"(?P<sign>[+?~-])?(?P<name>all|include|a|mx|ptr|ip4|ip6|exists)(?P<rest>[:/].*)?", re.IGNORECASE
)
_MODIFIER: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_.-]*)=(?P<value>.*)")
_ASKS: Final = frozenset(("include", "a", "mx", "ptr", "exists"))


class Term(NamedTuple):
    """One word of a record. `domain`: whom it speaks of, "" for the domain itself; with a % it depends on the mail."""

    text: str
    name: str
    sign: str
    domain: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record, up to the `all` that ends it. `wrong`: the first word that makes it void (permerror)."""

    terms: tuple[Term, ...] = ()
    end: str = ""  # -all, ~all, ?all, +all, or "" where there is none
    redirect: str = ""
    wrong: str = ""


def is_record(text: str) -> bool:
    """Whether a text claims to be one (§4.5)."""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


def parse(text: str) -> Record:
    """The record in a text that claims to be one. What is wrong with it is said in it."""
    terms: list[Term] = []
    end = redirect = wrong = ""
    for word in text.split(" ")[1 : _TERMS + 1]:
        if not word:
            continue
        if modifier := _MODIFIER.fullmatch(word):
            if modifier["name"].lower() == "redirect":
                wrong = wrong or (word if redirect or not modifier["value"] else "")
                redirect = modifier["value"]
            continue
        found = _MECHANISM.fullmatch(word)
        term = _term(found, word) if found else None
        if term is None:
            wrong = wrong or word
        elif term.name == "all" and not end:
            end = f"{term.sign}all"
        elif not end:
            terms.append(term)
    # beside an `all` it means nothing (§6.1)
    return Record(tuple(terms), end, "" if end else redirect, wrong)


def _term(found: re.Match[str], word: str) -> Term | None:
    name, rest = found["name"].lower(), found["rest"] or ""
    sign = found["sign"] or "+"
    if name == "all":
        return Term(word, name, sign, "") if not rest else None
    if name in ("ip4", "ip6"):
        return Term(word, name, sign, "") if _is_network(name, rest[1:]) and rest[:1] == ":" else None
    domain, _, length = rest.removeprefix(":").partition("/")
    if (rest.startswith(":") and not domain) or (name in ("include", "exists") and not domain):
        return None
    if length and (name not in ("a", "mx") or not re.fullmatch(r"\d{0,2}(?://\d{1,3})?|/\d{1,3}", length, re.ASCII)):
        return None
    return Term(word, name, sign, domain)


def _is_network(name: str, text: str) -> bool:
    import ipaddress

    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return network.version == (4 if name == "ip4" else 6)


Kind = Literal["text", "address", "mail"]
# the values of a name in the DNS, None where nobody answered
Ask = Callable[[Kind, str], Awaitable[Sequence[str] | None]]


@dataclass(slots=True)
class Survey:
    """What reading all of a record comes to."""

    lookups: int = 0
    voids: list[str] = field(default_factory=list)  # the terms whose question had no answer
    broken: list[str] = field(default_factory=list)  # includes of what has no record, or a void one
    includes: list[str] = field(default_factory=list)
    unheard: bool = False  # nobody answered some of the questions
    ends: str = ""  # of the record, or of the one that it redirects to

    @property
    def costs_too_much(self) -> bool:
        return self.lookups > LOOKUPS


async def survey(domain: str, record: Record, ask: Ask) -> Survey:
    """Read a record and all that it includes. Bounded, whatever includes whom."""
    found = Survey()
    found.ends = await _read(domain, record, ask, found)
    return found


async def _read(domain: str, record: Record, ask: Ask, found: Survey) -> str:
    """Count one record; how it ends."""
    for term in record.terms:
        if found.lookups >= _COUNTED:
            return record.end
        if term.name in _ASKS:
            found.lookups += 1
            if term.name != "ptr" and "%" not in term.domain:
                await _ask_term(term, term.domain or domain, ask, found)
    if not record.redirect or found.lookups >= _COUNTED:
        return record.end
    found.lookups += 1
    if "%" in record.redirect:
        return ""
    return await _follow(record.redirect, f"redirect={record.redirect}", ask, found)


async def _ask_term(term: Term, domain: str, ask: Ask, found: Survey) -> None:
    if term.name == "include":
        found.includes.append(domain.lower().rstrip("."))
        await _follow(domain, term.text, ask, found)
        return
    values = await ask("mail" if term.name == "mx" else "address", domain)
    if values is None:
        found.unheard = True
    elif not values:
        found.voids.append(term.text)
    elif term.name == "mx" and len(values) > LOOKUPS:
        found.broken.append(term.text)  # §4.6.4: more names than may be asked


async def _follow(domain: str, text: str, ask: Ask, found: Survey) -> str:
    """Read the record of another domain; how it ends."""
    texts = await ask("text", domain)
    if texts is None:
        found.unheard = True
        return ""
    if not texts:
        found.voids.append(text)
    records = [each for each in texts if is_record(each)]
    if len(records) != 1 or (record := parse(records[0])).wrong:
        found.broken.append(text)
        return ""
    return await _read(domain, record, ask, found)
