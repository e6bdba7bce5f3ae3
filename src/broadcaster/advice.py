"""What in a staged file may be a slip: look-alikes, domains with a typing error, addresses that no one person reads.

Of new addresses only, once intake.py has compared them. A million of them are looked through once; of each no more
is remembered than one bit and eight octets, and the roster is read along its index of keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from broadcaster.db import Db
from broadcaster.likeness import DISPOSABLE, GOOGLE, ROLES, alike, form, meant, neighbours

LIMIT: Final = 20_000  # of each kind that is told; a file with more slips than that is no list of people
DOMAINS_LIMIT: Final = 100_000
SAMPLE: Final = 20_000  # of the roster, to see which domains are frequent
FREQUENT: Final = 20  # times as often as the one that is measured
BITS: Final = 1 << 26
GROUP: Final = 8  # of addresses of one form that are compared with each other


class Kind(IntEnum):
    """What there is to say of a new address."""

    LOOK_ALIKES = 1
    TYPING_ERRORS = 2
    ROLE_ADDRESSES = 3
    DISPOSABLE = 4

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS: Final = {
    Kind.LOOK_ALIKES: "look like somebody else",
    Kind.TYPING_ERRORS: "have a slip in the domain, it seems",
    Kind.ROLE_ADDRESSES: "are read by no one person",
    Kind.DISPOSABLE: "are thrown away soon",
}


class Advice(NamedTuple):
    """One row to look at: `other` is the address it looks like or probably should be, `why` says it in words."""

    line: int
    address: str
    other: str
    why: str


class Adviser:
    """Looks through the new rows of a staged file. Its findings wait in a temporary table."""

    kinds = tuple(Kind)

    def __init__(self, db: Db) -> None:
        self._conn = db.conn
        self._domains: dict[str, int] = {}
        self._forms = array("q")
        self._bits = bytearray()
        self._double = set[int]()

    def look(self, seen: Callable[[int], None] = lambda _: None) -> None:
        """Find what there is to say; `seen` is told how many rows have been looked at."""
        self._conn.execute("drop table if exists temp.advice")
        self._conn.execute(
            "create temp table advice (id integer not null, kind integer not null, other text not null,"
            " why text not null, primary key (kind, id)) strict, without rowid"
        )
        if self._conn.execute(_NEW).fetchone() is None:
            return
        self._read(seen)
        self._typing_errors()
        self._look_alikes()

    def number(self, kind: Kind) -> int:
        found: int = self._conn.execute("select count(*) from temp.advice where kind = ?", (kind,)).fetchone()[0]
        return found

    def of(self, kind: Kind, number: int = -1) -> Iterator[Advice]:
        """Some rows of a kind, in the order of the file, or all of them."""
        for row in self._conn.execute(
            "select g.line, g.address, a.other, a.why from temp.advice a join temp.staged g on g.id = a.id"
            " where a.kind = ? order by a.id limit ?",
            (kind, number),
        ):
            yield Advice(*row)

    def _read(self, seen: Callable[[int], None]) -> None:
        """Once through all new addresses: their domains, their forms, who reads them."""
        bits = self._bits = bytearray(BITS >> 3)
        domains, forms, double = self._domains, self._forms, self._double
        told: list[tuple[int, int, str, str]] = []
        for count, (number, key) in enumerate(self._conn.execute(_NEW), start=1):
            local, _, domain = key.partition("@")
            if domain in domains:
                domains[domain] += 1
            elif len(domains) < DOMAINS_LIMIT:
                domains[domain] = 1
            if local in ROLES and len(told) < 2 * LIMIT:
                told.append((number, Kind.ROLE_ADDRESSES, "", "no one person reads it"))
            if domain in DISPOSABLE and len(told) < 2 * LIMIT:
                told.append((number, Kind.DISPOSABLE, "", "a mailbox that is thrown away"))
            shape = hash(form(local, domain))
            forms.append(shape)
            place = shape & (BITS - 1)
            mask = 1 << (place & 7)
            if bits[place >> 3] & mask:
                if len(double) < 5 * LIMIT:
                    double.add(shape)
            else:
                bits[place >> 3] |= mask
            if count % 50_000 == 0:
                seen(count)
        self._tell(told)

    def _tell(self, told: list[tuple[int, int, str, str]]) -> None:
        self._conn.executemany("insert or ignore into temp.advice values (?, ?, ?, ?)", told)
        told.clear()

    def _typing_errors(self) -> None:
        """Domains that are one slip away from a great provider, or from one that is far more frequent here."""
        often: dict[str, int] = dict(self._domains)
        for (key,) in self._conn.execute("select key from subscriber order by id desc limit ?", (SAMPLE,)):
            domain = key.partition("@")[2]
            often[domain] = often.get(domain, 0) + 1
        frequent = sorted((domain for domain, n in often.items() if n >= FREQUENT), key=lambda each: -often[each])
        near = neighbours(frequent[:1_000])
        doubtful = {}
        for domain, number in self._domains.items():
            wanted = meant(domain, near)
            # what many people here have is no slip, unless a great many more have the other
            if wanted and (number < FREQUENT or number * FREQUENT <= often.get(wanted, 0)):
                doubtful[domain] = wanted
        if not doubtful:
            return
        told: list[tuple[int, int, str, str]] = []
        for number, key in self._conn.execute(_NEW):
            local, _, domain = key.partition("@")
            if domain in doubtful:
                right = f"{local}@{doubtful[domain]}"
                known = self._conn.execute(
                    "select exists (select 1 from subscriber where key = ?1)"
                    " or exists (select 1 from temp.staged where key = ?1)",
                    (right,),
                ).fetchone()[0]
                told.append(
                    (number, Kind.TYPING_ERRORS, right, "who is known already" if known else "a slip in the domain")
                )
                if len(told) >= LIMIT:
                    break
        self._tell(told)

    def _look_alikes(self) -> None:
        """Look at each new address whose form another one has, or seems to have."""
        groups = self._among_known()
        double = self._double
        if not double:
            return
        told: list[tuple[int, int, str, str]] = []
        for shape, (number, key) in zip(self._forms, self._conn.execute(_NEW), strict=True):
            if shape not in double:
                continue
            group = groups.setdefault(form(*_parts(key)), [])
            for other in group:
                if why := alike(key, other):
                    told.append((number, Kind.LOOK_ALIKES, other, why))
                    break
            if len(group) < GROUP:
                group.append(key)
            if len(told) >= LIMIT:
                break
        self._tell(told)

    def _among_known(self) -> dict[bytes, list[str]]:
        """Those in the roster who may look like somebody new, by their form."""
        bits, double = self._bits, self._double
        domains = self._domains if len(self._domains) < DOMAINS_LIMIT else None
        groups: dict[bytes, list[str]] = {}
        # the index of keys holds all that is asked
        for (key,) in self._conn.execute("select key from subscriber"):
            local, _, domain = key.partition("@")
            if domains is not None and domain not in domains and domain not in GOOGLE:
                continue
            common = form(local, domain)
            shape = hash(common)
            place = shape & (BITS - 1)
            if bits[place >> 3] & (1 << (place & 7)):
                group = groups.setdefault(common, [])
                if len(group) < GROUP:
                    group.append(key)
                double.add(shape)
                if len(groups) >= 5 * LIMIT:
                    break
        return groups


# addresses that nobody has, in the order of the file
_NEW = (
    "select g.id, g.key from temp.compared c join temp.staged g on g.id = c.id"
    " where c.verdict = 0 and c.subscriber is null order by c.id"
)


def _parts(key: str) -> tuple[str, str]:
    local, _, domain = key.partition("@")
    return local, domain
