"""The roster: all SQL about people, their lists, their consents, and who must not be mailed.

Who left, complained or bounced is remembered apart from their row (a suppression, by folded address), so
that neither a file nor a forgotten row can bring them back. Files of people come in through intake.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broadcaster.address import Address, look_alikes
from broadcaster.conditions import EVERYBODY, FUNCTIONS, Condition
from broadcaster.consent import NOTHING, Consent, Proof
from broadcaster.db import LAST_GIVEN, Db, damaged
from broadcaster.errors import NotAllowed, NotFound
from broadcaster.spelling import any_value, fold
from broadcaster.subscriber import MailingList, Standing, Subscriber, Suppression, refuse_long, refuse_name

PERSON = "select id, address, name, language, timezone, fields from subscriber"

# people who are read at once
LOT = 500

# on a list, and not suppressed
_MAILED = (
    "exists (select 1 from subscription u where u.subscriber = s.id and u.state = 1 and (? is null or u.list = ?))"
    " and not exists (select 1 from suppression p where p.key = s.key)"
)

# A person with this reason left all lists of their own will; every other reason is something else that bars them.
LEFT_ALL = "left"
# the reasons with a meaning; staff may write others
REASONS = (LEFT_ALL, "complained", "bounced")


@dataclass(frozen=True, slots=True)
class Details:
    """What is known of a person beside the address; an empty value says nothing."""

    name: str = ""
    language: str = ""
    timezone: str = ""
    fields: Mapping[str, str] | None = None


class Roster:
    """All SQL about people, on one connection. Writes are transactions of their own, or part of the open one."""

    def __init__(self, db: Db, now: Callable[[], int]) -> None:
        self.db = db
        self.now = now
        self._conn = db.conn
        db.teach({**FUNCTIONS, "any_value": (2, any_value)})

    # lists

    def lists(self) -> Sequence[MailingList]:
        """Every list, by name."""
        rows = self._conn.execute("select id, name, list_id, titles from list where deleted is null order by name")
        return [_list(row) for row in rows]

    def list(self, name: str) -> MailingList:
        """A list by its name, in any case. Raises NotFound with the nearest names."""
        row = self._conn.execute(
            "select id, name, list_id, titles from list where name = ? and deleted is null", (name,)
        ).fetchone()
        if row is None:
            names = [each.name for each in self.lists()]
            near = look_alikes(name, names) or names[:3]
            hint = f"did you mean {_either(near)}? `broadcaster lists` shows them all" if near else None
            raise NotFound(
                f"no list {name!r}", hint=hint or f"`broadcaster lists create {name}` makes it, if that is its name"
            )
        return _list(row)

    def mailed(self, number: int) -> MailingList | None:
        """The list of that number, also one that is deleted: its mail is out, and is answered."""
        row = self._conn.execute("select id, name, list_id, titles from list where id = ?", (number,)).fetchone()
        return None if row is None else _list(row)

    def sizes(self) -> dict[int, dict[Standing, int]]:
        """List → how many people stand how to it. Those suppressed are still counted where they stand."""
        sizes: dict[int, dict[Standing, int]] = {}
        for list_id, state, number in self._conn.execute(
            "select list, state, count(*) from subscription group by 1, 2"
        ):
            sizes.setdefault(list_id, {})[Standing(state)] = number
        return sizes

    def create_list(self, name: str, domain: str, titles: Mapping[str, str]) -> MailingList:
        """A new list; its List-Id is its name under `domain`, for ever.

        A deleted one of that name comes back, without its people but with the memory of who left it.

        Raises BadData for a name or title that cannot be part of a List-Id, NotAllowed when there is one.
        """
        refuse_name(name)
        with self.db.atomic(durable=True) as conn:
            row = conn.execute("select id, deleted, list_id from list where name = ?", (name,)).fetchone()
            list_id = f"{name.lower()}.{domain}" if row is None else row[2]
            refuse_long(titles, list_id)
            if row is not None and row[1] is None:
                raise NotAllowed(
                    f"there is a list {name!r} already", hint=f"`broadcaster lists edit {name}` changes it"
                )
            if row is not None:
                conn.execute("update list set deleted = null, titles = ? where id = ?", (_json(titles), row[0]))
            else:
                conn.execute(
                    "insert into list (name, list_id, titles, created) values (?, ?, ?, ?)",
                    (name, list_id, _json(titles), self.now()),
                )
            made = self.list(name)
            self.db.note("list create", self.now(), on=made.id, again=row is not None)
        return made

    def edit_list(self, of: MailingList, titles: Mapping[str, str]) -> MailingList:
        """Set titles by language; an empty title takes that one away. The name and the List-Id never change.

        Raises BadData for a title that is too long.
        """
        refuse_long(titles, of.list_id)
        with self.db.atomic(durable=True) as conn:
            now = self.list(of.name).titles
            merged = {tag: title for tag, title in {**now, **titles}.items() if title}
            if changed := sum(now.get(tag) != merged.get(tag) for tag in now.keys() | merged):
                conn.execute("update list set titles = ? where id = ?", (_json(merged), of.id))
                self.db.note("list edit", self.now(), on=of.id, titles=changed)
        return self.list(of.name)

    def delete_list(self, of: MailingList) -> int:
        """Take a list and everybody on it away; how many they were. Past mailings and who left stay known."""
        with self.db.atomic(durable=True) as conn:
            conn.execute(
                "insert into consent (subscriber, list, at, how, wording, who)"
                " select subscriber, list, ?, 'delete', '', ? from subscription"
                " where list = ? and state = ?",
                (self.now(), self.db.who, of.id, Standing.ACTIVE),
            )
            gone = conn.execute(
                "update subscription set state = ?, since = ? where list = ? and state = ?",
                (Standing.REMOVED, self.now(), of.id, Standing.ACTIVE),
            ).rowcount
            # whoever makes it again, and then undoes an import, does not bring back who was on it before that
            conn.execute(
                "update reversal set given = 0 where given <> 0 and import in (select id from import where list = ?)",
                (of.id,),
            )
            conn.execute("update list set deleted = ? where id = ?", (self.now(), of.id))
            self.db.note("list delete", self.now(), on=of.id, removed=gone)
        return gone

    # people

    def find(self, address: str | Address) -> Subscriber | None:
        """The person with this address, however it is spelled. Raises AddressError for what is none."""
        key = (address if isinstance(address, Address) else Address.parse(address)).key
        row = self._conn.execute(f"{PERSON} where key = ?", (key,)).fetchone()
        return None if row is None else person(row)

    def known(self, address: str) -> Subscriber:
        """The person with this address. Raises NotFound (65) with look-alikes, AddressError for what is none."""
        found = self.find(address)
        if found is None:
            near = self.near(address)
            raise NotFound(
                f"nobody has the address {address}",
                hint=f"did you mean {_either(near)}?"
                if near
                else "`broadcaster subscribers TEXT` finds people by a part",
            )
        return found

    def near(self, address: str) -> Sequence[str]:
        """Addresses that look like this one: the same beginning, or the same domain."""
        wanted = Address.parse(address)
        start, end = wanted.key[:3], "@" + wanted.domain
        # two looks at the index of keys, one of them whole; a suppressed address may have no person
        rows = self._conn.execute(
            "select address from (select address, key from subscriber union all select address, key from suppression)"
            " where (key >= ?1 and key < ?1 || char(1114111))"
            " or (key like ?2 escape '\\' and abs(length(key) - ?3) < 3) limit 5000",
            (start, "%" + re.sub(r"([\\%_])", r"\\\1", end), len(wanted.key)),
        )
        return look_alikes(str(wanted), dict.fromkeys(row[0] for row in rows))

    def search(
        self, text: str = "", of: MailingList | None = None, where: Condition = EVERYBODY
    ) -> Iterator[Subscriber]:
        """People by a part of their address, name or a field, without regard to case and accents; streaming, by id."""
        conditions, values = [where.sql], [*where.values]
        if of is not None:
            conditions.append(
                "exists (select 1 from subscription u where u.list = ? and u.subscriber = s.id and u.state = 1)"
            )
            values.append(of.id)
        if text:
            needle = fold(text)
            conditions.append("(instr(key, ?) or instr(fold(name), ?) or (fields <> '{}' and any_value(fields, ?)))")
            values += [needle, needle, needle]
        for row in self._conn.execute(f"{PERSON} s where {' and '.join(conditions)} order by id", values):
            yield person(row)

    def members(self, of: MailingList | None = None, where: Condition = EVERYBODY) -> Generator[Subscriber, None, None]:
        """Who would be mailed: everybody on a list, or on any, who is not suppressed; streaming, by id."""
        rows = self._conn.execute(f"{PERSON} s where {_MAILED} and {where.sql} order by id", _mailed(of, where))
        while lot := rows.fetchmany(LOT):
            yield from persons(lot)

    def number(self, of: MailingList | None = None, where: Condition = EVERYBODY) -> int:
        """How many `members` there are."""
        number: int = self._conn.execute(
            f"select count(*) from subscriber s where {_MAILED} and {where.sql}",  # noqa: S608 our words
            _mailed(of, where),
        ).fetchone()[0]
        return number

    def standings(self, ids: Sequence[int]) -> dict[int, dict[str, Standing]]:
        """Subscriber → list name → standing, for a page of people."""
        found: dict[int, dict[str, Standing]] = {each: {} for each in ids}
        for subscriber, name, state in self._conn.execute(
            "select u.subscriber, l.name, u.state from subscription u join list l on l.id = u.list"
            " where u.subscriber in (select value from json_each(?)) and l.deleted is null order by l.name",
            (json.dumps([*ids]),),
        ):
            found[subscriber][name] = Standing(state)
        return found

    def reasons(self, ids: Sequence[int]) -> dict[int, str]:
        """Subscriber → why they are suppressed, of a page of people; those who are not are missing."""
        return dict(
            self._conn.execute(
                "select s.id, p.reason from subscriber s join suppression p on p.key = s.key"
                " where s.id in (select value from json_each(?))",
                (json.dumps([*ids]),),
            )
        )

    def since(self, of: Subscriber) -> dict[str, tuple[Standing, int]]:
        """List name → how the person stands to it, and since when."""
        rows = self._conn.execute(
            "select l.name, u.state, u.since from subscription u join list l on l.id = u.list"
            " where u.subscriber = ? and l.deleted is null order by l.name",
            (of.id,),
        )
        return {name: (Standing(state), since) for name, state, since in rows}

    def consents(self, of: Subscriber) -> Sequence[Consent]:
        """The record of what the person agreed to, the oldest first."""
        rows = self._conn.execute(
            "select l.name, c.at, c.how, c.wording, c.language, c.who, c.evidence,"
            " i.id, i.file, i.digest, i.who, i.consent, i.language"
            " from consent c join list l on l.id = c.list left join import i on i.id = c.import"
            " where c.subscriber = ? order by c.id",
            (of.id,),
        )
        return [Consent.read(row[:7], None if row[7] is None else row[7:]) for row in rows]

    def add(
        self, address: Address, details: Details, to: MailingList, consent: str, proof: Proof = NOTHING
    ) -> tuple[Subscriber, bool]:
        """Put a person on a list by their own word, `consent`; whether they are new to it.

        That word also undoes their having left, and the record says so. Raises NotAllowed for who is suppressed for
        another reason.
        """
        now = self.now()
        with self.db.atomic(durable=True) as conn:
            barred = self.suppression(address)
            if barred is not None and barred.reason != LEFT_ALL:
                raise NotAllowed(
                    f"{address} must not be mailed: {barred.reason}",
                    hint=f"`broadcaster suppressions remove {address}` lifts that, if you are sure",
                )
            conn.execute("delete from suppression where key = ?", (address.key,))
            new = conn.execute(
                "insert into subscriber (id, key, address, created, changed) values (? + 1, ?, ?, ?, ?)"
                " on conflict do nothing",
                (conn.execute(LAST_GIVEN).fetchone()[0], address.key, str(address), now, now),
            ).rowcount
            found = self.known(str(address))
            changed = self._write(found, details)[0]
            if new:
                conn.execute("update subscriber set changed = created where id = ?", (found.id,))
            before = conn.execute(
                "select state from subscription where list = ? and subscriber = ?", (to.id, found.id)
            ).fetchone()
            self._stand(found.id, to.id, Standing.ACTIVE)
            others = dict[int, str]()
            if barred is not None:
                # they had left all lists, also those they were never on, and come back to this one alone
                conn.execute(
                    "insert or ignore into subscription select id, ?, ?, ? from list", (found.id, Standing.LEFT, now)
                )
                wide = [each for each in self._stood(found) if each.id != to.id]
                others = self._off(found, wide, Standing.LEFT, "leave", barred.detail)
            if barred is not None or before == (Standing.LEFT,):
                proof = replace(proof, after=proof.after or "left")
            self._record(found.id, to.id, "add", consent, proof)
            new = before != (Standing.ACTIVE,)
            back = {"lifted": barred is not None, "left": len(others)}
            self.db.note("subscriber add", now, subscriber=found.id, on=to.id, new=new, **back)
        return changed, new

    def edit(
        self, of: Subscriber, details: Details, *, address: Address | None = None, drop: Iterable[str] = ()
    ) -> Subscriber:
        """Change what is known of a person; `drop` names fields to take away, the columns among them.

        Raises NotAllowed when the new address is somebody else's, or the old one is suppressed or has left a list:
        a new address would lift what their own word, a complaint or a bounce has put there, and the old one would
        be nobody's, so that a file may bring it.
        """
        with self.db.atomic(durable=True) as conn:
            of, changed = self.known(of.address), list[str]()
            if address is not None and str(address) != of.address:
                other = self.find(address)
                if other is not None and other.id != of.id:
                    raise NotAllowed(f"{address} is somebody else's address", hint=f"see `broadcaster why {address}`")
                if other is None:
                    self._refuse_gone(of, address)
                conn.execute(
                    "update subscriber set key = ?, address = ?, changed = ? where id = ?",
                    (address.key, str(address), self.now(), of.id),
                )
                of = self.known(str(address))
                changed.append("address")
            after, fields = self._write(of, details, drop)
            if changed := [*changed, *fields]:
                self.db.note("subscriber edit", self.now(), subscriber=of.id, fields=changed)
        return after

    def _refuse_gone(self, of: Subscriber, address: Address) -> None:
        """Raises NotAllowed for who must not be mailed at the address they have, or has left a list with it."""
        barred = self.suppression(Address.parse(of.address))
        if barred is not None:
            raise NotAllowed(f"{of.address} must not be mailed ({barred.reason}): its address cannot change")
        left = [name for name, (standing, _) in self.since(of).items() if standing is Standing.LEFT]
        if left:
            raise NotAllowed(
                f"{of.address} has left {', '.join(left)}, and stays known for it: its address cannot change",
                hint=f"add the new one by their own word: `broadcaster subscribers add {address} --list … --consent …`",
            )

    def _write(self, of: Subscriber, details: Details, drop: Iterable[str] = ()) -> tuple[Subscriber, Sequence[str]]:
        """Lay details over a person; the names of what that changed. `changed` moves only when something did."""
        gone = set(drop)
        fields = {**of.fields, **(details.fields or {})}
        after = Subscriber(
            of.id,
            of.address,
            details.name or ("" if "name" in gone else of.name),
            details.language or ("" if "language" in gone else of.language),
            details.timezone or ("" if "timezone" in gone else of.timezone),
            {name: value for name, value in fields.items() if value and name not in gone},
        )
        before, now = of.values(), after.values()
        changed = [name for name in now | before if before.get(name) != now.get(name)]
        if changed:
            self._conn.executemany("insert or ignore into field (name) values (?)", [(name,) for name in after.fields])
            self._conn.execute(
                # two changes within a second are told apart: whoever undoes an import asks which came after it
                "update subscriber set name = ?, language = ?, timezone = ?, fields = ?,"
                " changed = max(?, changed + 1) where id = ?",
                (after.name, after.language, after.timezone, _json(after.fields), self.now(), of.id),
            )
        return after, changed

    def remove(self, of: Subscriber, lists: Iterable[MailingList], why: str) -> Sequence[str]:
        """Take a person off lists on the staff's word; the names of those they were on. A file may bring them back."""
        with self.db.atomic(durable=True):
            gone = self._off(of, lists, Standing.REMOVED, "remove", why)
            if gone:
                self.db.note("subscriber remove", self.now(), subscriber=of.id, lists=[*gone])
        return [*gone.values()]

    def leave(
        self,
        of: Subscriber,
        lists: Iterable[MailingList],
        why: str,
        proof: Proof = NOTHING,
        *,
        mailing: int | None = None,
    ) -> Sequence[str]:
        """They asked to leave these lists; the names of those they had not left before. No file brings them back.

        `mailing`: the one that they answered.
        """
        with self.db.atomic(durable=True):
            gone = self._off(of, lists, Standing.LEFT, "leave", why, proof)
            if gone:
                self.db.note("subscriber unsubscribe", self.now(), subscriber=of.id, mailing=mailing, lists=[*gone])
        return [*gone.values()]

    def leave_all(self, of: Subscriber, why: str) -> None:
        """They asked to leave: every list there is, and every list to come."""
        with self.db.atomic(durable=True):
            gone = self._off(of, self._stood(of), Standing.LEFT, "leave", why)
            barred = self._bar(Address.parse(of.address), LEFT_ALL, why)
            if gone or barred:
                self.db.note("subscriber unsubscribe", self.now(), subscriber=of.id, lists=[*gone], all=True)

    def _off(
        self, of: Subscriber, lists: Iterable[MailingList], to: Standing, how: str, why: str, proof: Proof = NOTHING
    ) -> dict[int, str]:
        """Id → name of the lists that this took a person off."""
        gone = {}
        now = dict(self._conn.execute("select list, state from subscription where subscriber = ?", (of.id,)))
        for each in lists:
            standing = now.get(each.id)
            # who was removed may still leave; who left is not merely removed
            if standing not in (None, to, Standing.LEFT):
                self._stand(of.id, each.id, to)
                self._record(of.id, each.id, how, why, proof)
                gone[each.id] = each.name
            elif standing is not None and self._told_by_import(of.id, each.id):
                # a file had said so; now a person does, and undoing the import does not bring them back
                self._record(of.id, each.id, how, why, proof)
        return gone

    def _stood(self, of: Subscriber) -> Sequence[MailingList]:
        """The lists that a person is or was on, deleted ones too: those may be made again."""
        rows = self._conn.execute(
            "select l.id, l.name, l.list_id, l.titles from subscription u join list l on l.id = u.list"
            " where u.subscriber = ? order by l.name",
            (of.id,),
        )
        return [_list(row) for row in rows]

    def _told_by_import(self, subscriber: int, list_id: int) -> bool:
        """Whether the last entry of the record came with a file."""
        row = self._conn.execute(
            "select import from consent where subscriber = ? and list = ? order by id desc limit 1",
            (subscriber, list_id),
        ).fetchone()
        return row is not None and row[0] is not None

    def _stand(self, subscriber: int, list_id: int, state: Standing) -> None:
        self._conn.execute(
            "insert into subscription (list, subscriber, state, since) values (?, ?, ?, ?) on conflict do update"
            " set state = excluded.state, since = excluded.since where state <> excluded.state",
            (list_id, subscriber, state, self.now()),
        )

    def _record(self, subscriber: int, list_id: int, how: str, wording: str, proof: Proof) -> None:
        self._conn.execute(
            "insert into consent (subscriber, list, at, how, wording, language, who, evidence)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (subscriber, list_id, self.now(), how, wording, proof.language, self.db.who, proof.evidence),
        )

    # who must not be mailed

    def suppressions(self) -> Iterator[Suppression]:
        """Every suppression, by address."""
        for row in self._conn.execute("select address, reason, detail, since from suppression order by key"):
            yield Suppression(*row)

    def suppression(self, address: Address) -> Suppression | None:
        row = self._conn.execute(
            "select address, reason, detail, since, import from suppression where key = ?", (address.key,)
        ).fetchone()
        return None if row is None else Suppression(*row)

    def suppress(self, address: Address, reason: str, detail: str = "", *, mailing: int | None = None) -> bool:
        """Never mail this address again; False when it was so already.

        The first reason stays, unless it came with a file: an import can be undone, and this shall not be.

        `mailing`: the one that it follows from.
        """
        with self.db.atomic(durable=True):
            new = self._bar(address, reason, detail)
            if new:
                # what staff write may be about a person, and the log is for ever
                word = reason if reason in REASONS else "staff"
                self.db.note("suppression add", self.now(), subscriber=self._id(address), mailing=mailing, reason=word)
        return new

    def _bar(self, address: Address, reason: str, detail: str) -> bool:
        return bool(
            self._conn.execute(
                "insert into suppression (key, address, reason, detail, since) values (?, ?, ?, ?, ?)"
                # who complained, a file says, and now leaves, has complained all the same
                " on conflict do update set reason = iif(excluded.reason = ?, reason, excluded.reason),"
                " detail = iif(excluded.reason = ? and reason <> excluded.reason, detail, excluded.detail),"
                " since = excluded.since, import = null where import is not null",
                (address.key, str(address), reason, detail, self.now(), LEFT_ALL, LEFT_ALL),
            ).rowcount
        )

    def confirm(self, address: Address) -> None:
        """Not only a file says that it must not be mailed: to undo the import does not lift that."""
        with self.db.atomic(durable=True) as conn:
            conn.execute("update suppression set import = null where key = ?", (address.key,))

    def _id(self, address: Address) -> int | None:
        """Whose address it is, for the audit log; None where nobody has it."""
        found = self.find(address)
        return None if found is None else found.id

    def lift(self, address: Address, *, mailing: int | None = None) -> Suppression:
        """Take a suppression back; what it was. Lists the person left stay left. Raises NotFound with look-alikes.

        `mailing`: the one that it follows from.
        """
        with self.db.atomic(durable=True) as conn:
            barred = self.suppression(address)
            if barred is None:
                near = look_alikes(str(address), (each.address for each in self.suppressions()))
                raise NotFound(f"{address} is not suppressed", hint=f"did you mean {_either(near)}?" if near else None)
            conn.execute("delete from suppression where key = ?", (address.key,))
            self.db.note("suppression remove", self.now(), subscriber=self._id(address), mailing=mailing)
        return barred

    # what mailings ask

    def fields(self) -> frozenset[str]:
        """Every custom field that anybody has or had."""
        return frozenset(row[0] for row in self._conn.execute("select name from field"))

    def people(self, ids: Sequence[int]) -> dict[int, Subscriber]:
        """The people with these ids; who is gone is missing. Hot: a lot at a time."""
        rows = self._conn.execute(
            "select s.id, s.address, s.name, s.language, s.timezone, s.fields, s.key"
            " from json_each(?) a cross join subscriber s on s.id = a.value",
            (json.dumps([*ids]),),
        ).fetchall()
        for number, address, *_, key in rows:
            # a letter that changed is somebody else's address; how others than ASCII fold depends on who folds them
            if address.lower() != key and address.isascii():
                raise damaged(self.db.path, f"subscriber {number} has two addresses")
        return {each.id: each for each in persons(rows)}

    def changed(self, subscriber: int) -> int:
        """When anything of a person was changed last, their address too (epoch seconds). 0: they are gone."""
        row = self._conn.execute("select changed from subscriber where id = ?", (subscriber,)).fetchone()
        return row[0] if row else 0

    def barred(self, pairs: Iterable[tuple[int, int]]) -> set[int]:
        """Of (subscriber, list): the subscribers gone from that list, or suppressed. Hot: a lot at a time."""
        asked: dict[int, list[int]] = {}
        for subscriber, of in pairs:
            asked.setdefault(of, []).append(subscriber)
        barred: set[int] = set()
        for of, subscribers in asked.items():
            barred.update(
                row[0]
                for row in self._conn.execute(
                    "select a.value from json_each(?) a where not exists (select 1 from subscription u cross join"
                    " subscriber s on s.id = u.subscriber where u.list = ? and u.subscriber = a.value and u.state = 1"
                    " and not exists (select 1 from suppression p where p.key = s.key))",
                    (json.dumps(subscribers), of),
                )
            )
        return barred


def _mailed(of: MailingList | None, where: Condition) -> tuple[object, ...]:
    """The parameters of _MAILED and of a condition behind it."""
    return (None if of is None else of.id,) * 2 + where.values


def person(row: Sequence[Any]) -> Subscriber:
    """A row of PERSON."""
    number, address, name, language, timezone, fields = row
    return Subscriber(number, address, name, language, timezone, {} if fields == "{}" else json.loads(fields))


def persons(rows: Sequence[Sequence[Any]]) -> list[Subscriber]:
    """Rows of PERSON, whatever columns come behind: to read the fields of each alone takes four times as long."""
    fields = json.loads(f"[{','.join([row[5] for row in rows])}]")
    return [
        Subscriber(number, address, name, language, timezone, own)
        for (number, address, name, language, timezone, *_), own in zip(rows, fields, strict=True)
    ]


def _list(row: tuple[int, str, str, str]) -> MailingList:
    number, name, list_id, titles = row
    return MailingList(number, name, list_id, json.loads(titles))


def _json(value: Mapping[str, str]) -> str:
    """As SQLite's json_patch writes it, so that equal objects are equal texts."""
    return json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"))


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
