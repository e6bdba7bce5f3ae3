"""Segments: filters that have a name. What one means is kept as its words, and read anew each time.

What was prepared from one keeps the words of that day: to edit or delete a segment changes no mailing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from broadcaster.conditions import key_of
from broadcaster.errors import BadData, NotAllowed, NotFound
from broadcaster.slips import near

if TYPE_CHECKING:
    from broadcaster.db import Db

# as a filter names it: @NAME
_NAME = re.compile(r"(?=.*[^\W\d_])[\w-]{1,63}")


class Segment(NamedTuple):
    """A filter with a name. Times in seconds since the epoch, UTC."""

    id: int
    name: str
    where: str
    created: int
    changed: int


_ALL = "select id, name, meaning, created, changed from segment"


def every(db: Db) -> Sequence[Segment]:
    """All of them, by name."""
    return [Segment(*row) for row in db.conn.execute(f"{_ALL} order by key")]


def find(db: Db, name: str) -> Segment:
    """One by its name, in any case. Raises NotFound with the nearest names."""
    row = db.conn.execute(f"{_ALL} where key = ?", (key_of(name),)).fetchone()
    if row is None:
        names = [each.name for each in every(db)]
        hint = near(name, names) if names else f"`broadcaster segments save {name} --where …` makes it"
        raise NotFound(f"no segment {name!r}", hint=hint)
    return Segment(*row)


def meanings(db: Db) -> dict[str, str]:
    """What each of them means, by `key_of` its name."""
    return dict(db.conn.execute("select key, meaning from segment"))


def save(db: Db, name: str, where: str, now: int) -> Segment:
    """Give a filter a name. Raises BadData for one that a filter could not write, NotAllowed where there is one."""
    name = unicodedata.normalize("NFC", name)
    if _NAME.fullmatch(name) is None:
        raise BadData(
            f"{name[:80]!r} cannot be a segment's name",
            hint="up to 63 letters, digits, - and _, with at least one letter",
        )
    with db.atomic(durable=True) as conn:
        if conn.execute("select 1 from segment where key = ?", (key_of(name),)).fetchone():
            raise NotAllowed(f"there is a segment {name!r}", hint=f"`broadcaster segments edit {name}` changes it")
        # a number is not given again: the audit log names it
        number = conn.execute(
            "insert into segment (key, name, meaning, created, changed) values (?, ?, ?, ?, ?)",
            (key_of(name), name, where, now, now),
        ).lastrowid
        db.note("segment save", now, segment=number)
    return find(db, name)


def edit(db: Db, of: Segment, where: str, now: int) -> Segment:
    """Let a name mean something else from now on."""
    with db.atomic(durable=True) as conn:
        if conn.execute(
            "update segment set meaning = ?1, changed = ?2 where id = ?3 and meaning <> ?1", (where, now, of.id)
        ).rowcount:
            db.note("segment edit", now, segment=of.id)
    return find(db, of.name)


def delete(db: Db, of: Segment, now: int) -> None:
    """Forget a name and what it means."""
    with db.atomic(durable=True) as conn:
        conn.execute("delete from segment where id = ?", (of.id,))
        db.note("segment delete", now, segment=of.id)
