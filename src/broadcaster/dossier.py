"""Everything that is kept of one person, for the person or a regulator who asks (GDPR Art. 15 and 20).

Each question is about one address: it may have a person, or only stand in what came back or must not be mailed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from broadcaster.address import Address
from broadcaster.db import Db
from broadcaster.delivery import State
from broadcaster.subscriber import CUSTOM


class Dossier:
    """All SQL that tells everything of one address, on one connection. Times are epoch seconds, UTC."""

    def __init__(self, db: Db) -> None:
        self._conn = db.conn

    def person(self, address: Address) -> dict[str, Any] | None:
        """Their row, and since when it is there."""
        found = self._one(
            "select id, address, name, language, timezone, fields, created, changed from subscriber where key = ?",
            address.key,
        )
        return None if found is None else {**found, "fields": json.loads(found["fields"])}

    def suppression(self, address: Address) -> dict[str, Any] | None:
        """Why the address must not be mailed."""
        return self._one("select reason, detail, since from suppression where key = ?", address.key)

    def imports(self, subscriber: int) -> list[dict[str, Any]]:
        """The files they came with."""
        return [
            *self._rows(
                "select i.id as import, l.name as list, i.file, i.digest, i.at, i.who, i.consent from import i"
                " join list l on l.id = i.list where i.id in (select import from consent where subscriber = ?)"
                " order by 1",
                subscriber,
            )
        ]

    def kept(self, subscriber: int) -> list[dict[str, Any]]:
        """What files changed of them, with the old values: these are kept as long as an import can be undone."""
        found = self._rows(
            "select r.import, i.at, r.said from reversal r join import i on i.id = r.import"
            " where r.subscriber = ? order by r.import",
            subscriber,
        )
        return [
            {
                "import": each["import"],
                "at": each["at"],
                "changes": [
                    {"field": name.removeprefix(CUSTOM), "before": old, "after": new}
                    for name, (old, new) in json.loads(each["said"]).items()
                ],
            }
            for each in found
        ]

    def deliveries(self, subscriber: int) -> list[dict[str, Any]]:
        """Every delivery to them, the oldest first, with each attempt and what was sent to them alone."""
        # + before the id: an expression's index knows no type, and is passed over for a column, which has one
        found = self._rows(
            "select d.id as delivery, m.id as mailing, m.statement, m.created, m.rehearsal, p.language, l.name as list,"
            " d.state from mailing m cross join delivery d on d.mailing + 0 = +m.id and d.subscriber = ?"
            " left join part p on p.mailing = m.id and p.number = d.part left join list l on l.id = d.list"
            " order by m.id",
            subscriber,
        )
        return [
            {
                **each,
                "rehearsal": bool(each["rehearsal"]),
                "state": State(each["state"]).word,
                "attempts": self._attempts(each["delivery"]),
                "files": [
                    *self._rows(
                        "select name, digest, length(body) as octets from enclosure join content using (digest)"
                        " where mailing = ? and subscriber = ? order by place",
                        each["mailing"],
                        subscriber,
                    )
                ],
            }
            for each in found
        ]

    def _attempts(self, delivery: int) -> list[dict[str, Any]]:
        return [
            {**each, "state": State(each["state"]).word}
            for each in self._rows(
                "select number, at, relay, state, code, status, reply from attempt where delivery = ? order by 1",
                delivery,
            )
        ]

    def bounces(self, address: Address, subscriber: int | None) -> list[dict[str, Any]]:
        """What came back of mail to them, or names their address; with the message itself, as long as it is kept."""
        from zlib import decompress

        found = self._rows(
            "select b.at, b.mailing, b.recipient, b.kind, b.action, b.status, b.reason, b.words, b.effect, b.source,"
            " r.raw as message from bounce b left join returned r on r.id = b.message"
            " where b.key = ?1 or b.recipient = ?1"
            " or b.delivery in (select d.id from mailing m cross join delivery d on d.mailing + 0 = +m.id"
            " and d.subscriber = ?2) order by b.id",
            address.key,
            subscriber,
        )
        return [
            # a message is what machines wrote: what is no text in it is shown as its numbers
            {**each, "message": each["message"] and decompress(each["message"]).decode("utf-8", "backslashreplace")}
            for each in found
        ]

    def audit(self, subscriber: int) -> list[dict[str, Any]]:
        """The lines of the log of changes that are about them."""
        found = self._rows(
            "select a.at, a.who, a.what, l.name as list, a.mailing, a.import, a.details from audit a"
            " left join list l on l.id = a.list where a.subscriber = ? order by a.id",
            subscriber,
        )
        return [{**each, "details": json.loads(each["details"])} for each in found]

    def _one(self, question: str, *values: object) -> dict[str, Any] | None:
        return next(self._rows(question, *values), None)

    def _rows(self, question: str, *values: object) -> Iterator[dict[str, Any]]:
        """Rows by the names of their columns."""
        cursor = self._conn.execute(question, values)
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))
