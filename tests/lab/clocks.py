"""Times that come when a test wants them to."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path


def time_comes(database: Path, *, late: int = 0) -> None:
    """The time of each scheduled mailing is now, or was so many seconds ago. Its words are what counts."""
    due = int(time.time()) - late
    words = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with closing(sqlite3.connect(database)) as conn, conn:
        conn.execute(
            "update mailing set expires = expires - due + ?1, due = ?1, due_words = ?2 where state = 1", (due, words)
        )
