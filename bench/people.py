"""How long a million people take to come in, to be looked through, and to go out again: python -m bench.people [ROWS]

A third of the names are beyond ASCII, a fifth of the cells empty, as in the sample. Times are wall clock; memory is
the most that the process held (ru_maxrss), the making of the file left out: that is another process.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NAMES = ("Anna Müller", "محمد الكعبي", "ئاکۆ جاف", "Peter O'Brien", "Sara", '"Rosa ""R"" Almeida"', '"Doe, John"')
LANGUAGES = ("en", "ar", "ckb", "Arabic", "English", "Kurdish (Sorani)", "")
CITIES = ("Basra", "Erbil", "Mosul", "Baghdad", "")
HOSTS = ("example.org", "mail.example", "home.example", "example.net")


def write(path: Path, rows: int) -> None:
    """A file of invented people, the same each time."""
    pick = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write("email,name,language,city,chapter\n")
        for number in range(rows):
            start = f"{pick.choice('abcdefghijklmnopqrstuvwxyz')}{pick.randrange(10**6)}"
            cells = [pick.choice(choices) for choices in (NAMES, LANGUAGES, CITIES, CITIES)]
            file.write(f"{start}.p{number}@{pick.choice(HOSTS)},{','.join(cells)}\n")


def measure(path: Path, folder: Path) -> None:
    """Import the file twice and ask what mailings ask."""
    from broadcaster import intake
    from broadcaster.charset import examine
    from broadcaster.db import open_database
    from broadcaster.roster import Roster
    from broadcaster.sheet import Sheet

    db = open_database(folder / "people.db")
    roster = Roster(db, lambda: int(time.time()))
    news = roster.create_list("news", "example.org", {})

    def take_in() -> object:
        with path.open("rb") as stream, intake.opened(db, news, roster.now, folder) as job:
            text = examine(stream)
            job.stage(Sheet(stream, text.encoding or "utf-8"))
            return job.apply(file=path.name, digest=text.digest, who="bench", consent="invented")[1]

    def lap(what: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        found = work()
        spent, held = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{what:24} {spent:8.2f} s {held:6} MB  {found}")

    lots = [[*range(first, first + 500)] for first in range(1, 10_001, 500)]
    lap("import", take_in)
    lap("import again", take_in)
    lap("audience", lambda: sum(1 for _ in roster.audience([news.id])))
    lap("left_out", lambda: roster.left_out([news.id]))
    lap("languages", lambda: roster.languages([news.id]))
    lap("lacking city", lambda: roster.lacking([news.id], ["city"]))
    lap("people, 10,000 in lots", lambda: sum(len(roster.people(lot)) for lot in lots))
    lap("barred, 10,000 in lots", lambda: sum(len(roster.barred([(one, news.id) for one in lot])) for lot in lots))
    lap("search", lambda: sum(1 for _ in roster.search("almeida")))
    lap("export", lambda: sum(1 for _ in roster.members(news)))
    db.close()


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        # in a process of its own, or its memory would be counted
        code = f"from pathlib import Path; from bench.people import write; write(Path({str(path)!r}), {rows})"
        subprocess.run([sys.executable, "-c", code], check=True)
        print(f"{rows:,} people, {path.stat().st_size / 1e6:.0f} MB of CSV")
        measure(path, Path(folder))


if __name__ == "__main__":
    main()
