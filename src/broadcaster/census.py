"""What the people of some lists have in their fields, counted: `check` asks before a mailing is made.

Each question is one walk over the people, whatever the number of fields, and gives rows of counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broadcaster.db import Db


class Census:
    """Counts of the people a mailing would reach: on one of the lists, not suppressed."""

    def __init__(self, db: Db) -> None:
        self._conn = db.conn

    def profile(self, lists: Sequence[int]) -> Iterator[tuple[str, str, int, str]]:
        """(language, field, how many have it, the longest value), where anybody has it.

        The columns `name` and `timezone` count as fields.
        """
        # SQLite gives the other columns of the row that has the max()
        for language, field, number, value, _ in self._conn.execute(
            "with reached as materialized (select s.language, s.name, s.timezone, s.fields from subscriber s"
            " where s.id in (select subscriber from subscription where state = 1"
            " and list in (select value from json_each(?)))"
            " and not exists (select 1 from suppression p where p.key = s.key))"
            " select language, 'name', count(*), name, max(length(name)) from reached where name <> '' group by 1"
            " union all select language, 'timezone', count(*), timezone, max(length(timezone)) from reached"
            " where timezone <> '' group by 1"
            " union all select r.language, f.key, count(*), f.value, max(length(f.value))"
            " from reached r, json_each(r.fields) f where r.fields <> '{}' group by 1, 2",
            (json.dumps([*lists]),),
        ):
            yield language, field, number, value

    def values(self, lists: Sequence[int], field: str) -> Iterator[tuple[str, int]]:
        """Each value of a custom field, and how many have it."""
        yield from self._conn.execute(
            "select f.value, count(*) from subscriber s, json_each(s.fields) f"
            " where s.id in (select subscriber from subscription where state = 1"
            " and list in (select value from json_each(?)))"
            " and not exists (select 1 from suppression p where p.key = s.key) and f.key = ? group by 1",
            (json.dumps([*lists]), field),
        )
