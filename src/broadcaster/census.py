"""What the people of some lists have in their fields, counted: `check` asks before a mailing is made.

It asks those who were gathered. Each question is one walk over them, whatever the number of fields, and
gives rows of counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from broadcaster.db import Db

# people who are looked through at once
PIECE: Final = 20_000


class Census:
    """Counts of the people on temp.gathered."""

    def __init__(self, db: Db) -> None:
        self._conn = db.conn

    def profile(self, names: Iterable[str]) -> Iterator[tuple[str, str, int, str]]:
        """(language, field, how many have it, the longest value) of the fields that are named, where anybody has it.

        There may be several rows of a language and field: each is of some thousand people. The columns `name` and
        `timezone` count as fields.
        """
        asked = sorted({*names})
        last = 0
        # in pieces: to group a million rows at once SQLite sorts them, in all the memory of its cache
        while (end := self._end(last)) is not None:
            # SQLite gives the other columns of the row that has the max(); nobody's fields are opened for columns alone
            for language, field, number, value, _ in self._conn.execute(
                "select g.language, 'name', count(*), s.name, max(length(s.name)) from temp.gathered g"
                " cross join subscriber s on s.id = g.subscriber where g.subscriber > ?3 and g.subscriber <= ?4"
                " and 'name' in (select value from json_each(?1)) and s.name <> '' group by 1"
                " union all select g.language, 'timezone', count(*), s.timezone, max(length(s.timezone))"
                " from temp.gathered g cross join subscriber s on s.id = g.subscriber where g.subscriber > ?3"
                " and g.subscriber <= ?4 and 'timezone' in (select value from json_each(?1)) and s.timezone <> ''"
                " group by 1"
                " union all select g.language, f.key, count(*), f.value, max(length(f.value)) from temp.gathered g"
                " cross join subscriber s on s.id = g.subscriber cross join json_each(s.fields) f"
                " where g.subscriber > ?3 and g.subscriber <= ?4 and ?2 and s.fields <> '{}'"
                " and f.key in (select value from json_each(?1)) group by 1, 2",
                (json.dumps(asked), any(name not in ("name", "timezone") for name in asked), last, end),
            ):
                yield language, field, number, value
            last = end

    def _end(self, after: int) -> int | None:
        """The last subscriber of the next piece."""
        end: int | None = self._conn.execute(
            "select max(subscriber) from (select subscriber from temp.gathered where subscriber > ?"
            " order by subscriber limit ?)",
            (after, PIECE),
        ).fetchone()[0]
        return end

    def values(self, field: str) -> Iterator[tuple[str, int]]:
        """Each value of a custom field, and how many have it."""
        yield from self._conn.execute(
            "select f.value, count(*) from temp.gathered g cross join subscriber s on s.id = g.subscriber"
            " cross join json_each(s.fields) f where f.key = ? group by 1",
            (field,),
        )
