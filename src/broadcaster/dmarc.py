"""What a domain wants done with mail that only claims to be its own (DMARC, RFC 9989): its record, and whose it is.

Organisations are found by walking up the DNS and not by a list of suffixes: §4.10. Nothing is asked here; who walks
is told where (`names`), and hands over what was found there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broadcaster.taglist import tags

POLICIES: Final = ("none", "quarantine", "reject")
# RFC 9989 took them out; old verifiers may still obey them
REMOVED: Final = ("pct", "rf", "ri")
# §4.10: however long a name is, so many are asked
MOST: Final = 8
_MAILTO: Final = re.compile(r"mailto:[^@,;\s]+@(?P<domain>[A-Za-z0-9.-]{1,253})(?:![0-9]+[kmgt]?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Policy:
    """One record. What is missing or makes no sense has its default (§4.7)."""

    tags: Mapping[str, str]

    def _choice(self, name: str, options: Sequence[str], default: str) -> str:
        value = self.tags.get(name, "").lower()
        return value if value in options else default

    @property
    def p(self) -> str:
        """none, quarantine or reject."""
        return self._choice("p", POLICIES, "none")

    @property
    def below(self) -> str:
        """The policy of a subdomain that has no record of its own."""
        return self._choice("sp", POLICIES, self.p)

    @property
    def psd(self) -> str:
        """y: below it everybody registers; n: it is an organisation's own; u: unknown."""
        return self._choice("psd", ("y", "n"), "u")

    @property
    def testing(self) -> bool:
        return self._choice("t", ("y",), "n") == "y"

    def strict(self, of: str) -> bool:
        """Whether `dkim` or `spf` must speak for the very domain in From."""
        return self._choice(f"a{of}", ("s",), "r") == "s"

    @property
    def reports(self) -> list[str]:
        """The domains that reports are mailed to."""
        uris = self.tags.get("rua", "").split(",")
        return [found["domain"].lower() for uri in uris if (found := _MAILTO.fullmatch(uri.strip()))]

    @property
    def wrong(self) -> list[str]:
        """Tags whose values verifiers do not understand."""
        known = {"p": POLICIES, "sp": POLICIES, "np": POLICIES, "psd": ("y", "n", "u"), "t": ("y", "n")}
        known |= {"adkim": ("r", "s"), "aspf": ("r", "s")}
        wrong = [name for name, values in known.items() if name in self.tags and self.tags[name].lower() not in values]
        return wrong + (["rua"] if "rua" in self.tags and not self.reports else [])

    @property
    def void(self) -> bool:
        """Whether verifiers leave the whole record aside (§4.10.1): a policy that is none, and nobody to tell."""
        return bool({"p", "sp", "np"}.intersection(self.wrong)) and not self.reports


def parse(text: str) -> Policy | None:
    """The policy in a text, None where it is none: `v=DMARC1` must come first, and in capitals."""
    if not re.match(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)", text):
        return None
    found = tags(text)
    # a syntax error behind the version is ignored, and so is all of what cannot be told apart
    return Policy(found if found is not None else {"v": "DMARC1"})


def names(domain: str) -> list[str]:
    """Where to look, the longest first: the domain and those above it, eight at the most (§4.10)."""
    labels = domain.lower().rstrip(".").split(".")
    start = [labels] if len(labels) > MOST - 1 else []
    rest = labels[-(MOST - 1) :]
    return [".".join(each) for each in (*start, *(rest[at:] for at in range(len(rest))))][:MOST]


def walk(domain: str, found: Mapping[str, Policy]) -> list[str]:
    """The names that a verifier sees a record at, in the order that it asks, up to where it stops."""
    seen = []
    for number, name in enumerate(names(domain)):
        if name not in found:
            continue
        seen.append(name)
        # where the walk began, psd=y does not end it
        if found[name].psd == "n" or (found[name].psd == "y" and number):
            break
    return seen


def organisation(domain: str, found: Mapping[str, Policy]) -> str:
    """The organisational domain (§4.10.2). `found`: the single valid record at each of `names`, where there is one."""
    first = names(domain)[0]
    seen = walk(domain, found)
    for name in seen:
        if found[name].psd == "n":
            return name
        if found[name].psd == "y" and name != first:
            labels = first.split(".")
            return ".".join(labels[-(name.count(".") + 2) :])
    return seen[-1] if seen else first


def applied(domain: str, found: Mapping[str, Policy]) -> str | None:
    """The name whose record applies to mail from a domain (§4.10.1): its own, its organisation's, the suffix's."""
    seen = walk(domain, found)
    for name in (names(domain)[0], organisation(domain, found)):
        if name in seen:
            return name
    return seen[-1] if seen and found[seen[-1]].psd == "y" else None


def aligned(one: str, other: str, organisations: Mapping[str, str], *, strict: bool) -> bool:
    """Whether what speaks for one domain speaks for the other. `organisations`: of both, by domain."""
    one, other = one.lower().rstrip("."), other.lower().rstrip(".")
    return one == other or (not strict and organisations[one] == organisations[other])
