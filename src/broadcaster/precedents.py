"""What was sent before, and how a prepared mailing compares with it: all SQL about that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broadcaster import mailing as m
from broadcaster.delivery import State
from broadcaster.mailing import Rule
from broadcaster.surprise import Past

if TYPE_CHECKING:
    from broadcaster.db import Db
    from broadcaster.mailing import Mailing

# deliveries that are looked at together: to group a million at once SQLite sorts them, in all the memory of its cache
PIECE: Final = 20_000
# of these somebody may have a copy
_OUT: Final = (State.HANDED, State.ACCEPTED, State.IN_DOUBT, State.BOUNCED)


def sent(db: Db, but: int | None = None) -> list[Past]:
    """The mailings that went, or go, to real mailboxes, the newest first; not `but`."""
    rows = db.conn.execute(
        "select id, statement, content, rule, audience, coalesce(claimed_at, changed) from mailing m"
        " where rehearsal = 0 and id is not ? and (state = ? or exists"
        " (select 1 from tally where mailing = m.id and number > 0 and state in (?, ?, ?, ?))) order by id desc",
        (but, m.State.SENDING, *_OUT),
    )
    return [
        Past(number, statement, content, Rule.from_json(rule).lists, audience, at)
        for number, statement, content, rule, audience, at in rows
    ]


def shared(db: Db, of: Mailing, past: Past) -> int:
    """How many people of a mailing are in an earlier one, too."""
    number: int = db.conn.execute(
        "select count(*) from delivery d where d.id between ? and ? and exists"
        " (select 1 from delivery o where o.mailing + 0 = ? and o.subscriber = d.subscriber)",
        (of.first, of.last, past.id),
    ).fetchone()[0]
    return number


def readers(db: Db, of: Mailing) -> dict[tuple[str, int], int]:
    """How many of a mailing's people have which language ("" where none is known), by the part that they get."""
    found: dict[tuple[str, int], int] = {}
    last = of.first - 1
    while rows := db.conn.execute(
        "select coalesce(s.language, ''), d.part, count(*), max(d.id) from (select id, subscriber, part from delivery"
        " where id > ? and id <= ? order by id limit ?) d left join subscriber s on s.id = d.subscriber group by 1, 2",
        (last, of.last, PIECE),
    ).fetchall():
        for tag, part, number, _ in rows:
            found[tag, part] = found.get((tag, part), 0) + number
        last = max(row[3] for row in rows)
    return found


def named(db: Db) -> dict[int, str]:
    """What lists are called."""
    return dict(db.conn.execute("select id, name from list"))
