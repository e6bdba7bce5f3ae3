"""What people said of a mailing before it went: who prepared it, who approved it, and what nobody need ask again.

Approvals are only ever added to. None is taken back: who has second thoughts pauses the mailing, or cancels it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from broadcaster.approval import Approval, Person

if TYPE_CHECKING:
    from broadcaster.db import Db


def preparer(db: Db, mailing: int) -> Person:
    """Who prepared a mailing; one that we know nothing of where it is older than this table."""
    row = db.conn.execute(
        "select m.who, p.uid, p.account, p.known from preparer p join mailing m on m.id = p.mailing where m.id = ?",
        (mailing,),
    ).fetchone()
    return Person(row[0], row[1], row[2], bool(row[3])) if row else Person()


def given(db: Db, mailing: int) -> list[Approval]:
    """Every approval of a mailing, the oldest first: of whatever digest, by whomever."""
    rows = db.conn.execute(
        "select who, uid, account, known, digest, at from approval where mailing = ? order by id", (mailing,)
    )
    return [
        Approval(Person(who, uid, account, bool(known)), digest, at) for who, uid, account, known, digest, at in rows
    ]


def give(db: Db, mailing: int, approval: Approval) -> None:
    """Write an approval down, with its line in the audit log: inside a transaction."""
    by = approval.person
    db.conn.execute(
        "insert into approval (mailing, digest, at, who, uid, account, known) values (?, ?, ?, ?, ?, ?, ?)",
        (mailing, approval.digest, approval.at, by.name, by.uid, by.account, by.known),
    )
    db.note("mailing approve", approval.at, mailing=mailing, digest=approval.digest, uid=by.uid)


def confirmed(db: Db, mailing: int) -> frozenset[str]:
    """The names of the surprises of a mailing that a person has said yes to."""
    return frozenset(row[0] for row in db.conn.execute("select kind from confirmed where mailing = ?", (mailing,)))


def confirm(db: Db, mailing: int, names: Iterable[str], now: int) -> None:
    """Somebody was told, and said yes. Once said, it is no news."""
    with db.atomic() as conn:
        if new := sorted(set(names) - confirmed(db, mailing)):
            conn.executemany("insert into confirmed values (?, ?)", [(mailing, name) for name in new])
            db.note("mailing confirm", now, mailing=mailing, surprises=new)
