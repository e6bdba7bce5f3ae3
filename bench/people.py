"""How long a million people take to come in, to be looked through and written down

    python -m bench.people [ROWS] [encrypted]

A third of the names are beyond ASCII, a fifth of the cells empty, as in the sample. Times are wall clock, and beside
it those of the processor; memory is the most that the process held (ru_maxrss). What is marked with a star is a
process of its own, its start and the layouts counted. The program `sqlite3`, where it is installed, writes the same
people from the same database as its own CSV, with nothing guarded: how many times its processor we take is told.
encrypted: the whole database in SQLCipher.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broadcaster.db import Db
    from broadcaster.subscriber import MailingList

NAMES = ("Anna Müller", "محمد الكعبي", "ئاکۆ جاف", "Peter O'Brien", "Sara", '"Rosa ""R"" Almeida"', '"Doe, John"')
LANGUAGES = ("en", "ar", "ckb", "Arabic", "English", "Kurdish (Sorani)", "")
CITIES = ("Basra", "Erbil", "Mosul", "Baghdad", "")
HOSTS = ("example.org", "mail.example", "home.example", "example.net")

# what `subscribers export --list news` writes of the people below
AS_WE_DO = (
    "select address as email, name, language, timezone, fields ->> '$.chapter' as chapter, fields ->> '$.city' as city"
    " from subscriber s where exists (select 1 from subscription u where u.subscriber = s.id and u.state = 1 and u.list"
    " = 1) and not exists (select 1 from suppression p where p.key = s.key) order by id"
)


def write(path: Path, rows: int) -> None:
    """A file of invented people, the same each time."""
    pick = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write("email,name,language,city,chapter\n")
        for number in range(rows):
            start = f"{pick.choice('abcdefghijklmnopqrstuvwxyz')}{pick.randrange(10**6)}"
            cells = [pick.choice(choices) for choices in (NAMES, LANGUAGES, CITIES, CITIES)]
            file.write(f"{start}.p{number}@{pick.choice(HOSTS)},{','.join(cells)}\n")
    print(f"{rows:,} people, {path.stat().st_size / 1e6:.0f} MB of CSV")


def line(what: str, wall: float, cpu: float, held: int, found: object = "") -> None:
    print(f"{what:28} {wall:8.2f} s {cpu:8.2f} s of processor {held // 1024:6} MB  {found}")


def take_in(db: Db, into: MailingList, path: Path) -> object:
    """All that a file goes through; whom it moves, and how many slips it has."""
    from broadcaster import intake
    from broadcaster.advice import Adviser
    from broadcaster.charset import examine
    from broadcaster.delimited import Csv
    from broadcaster.sheet import Sheet

    with path.open("rb") as stream, intake.opened(db, into, lambda: int(time.time()), db.path.parent) as job:
        text = examine(stream)
        job.stage(Sheet(Csv(stream, text.encoding or "utf-8")))
        job.compare()
        adviser = Adviser(db)
        adviser.look()
        slips = sum(adviser.number(kind) for kind in adviser.kinds)
        return job.apply(file=path.name, digest=text.digest, who="bench", consent="invented")[1].moves, slips


def undo(db: Db, number: int) -> object:
    from broadcaster import undoing

    with undoing.opened(db, lambda: int(time.time())) as job:
        job.plan(job.known(number))
        return job.undo(job.known(number))


def lap(what: str, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line(what, time.perf_counter() - wall, time.process_time() - cpu, held, found)


def measure(path: Path, root: Path) -> None:
    """Import the file twice and ask what mailings ask."""
    from broadcaster import filters, gathering
    from broadcaster.census import Census
    from broadcaster.cli.house import House
    from broadcaster.conditions import Condition, Scope, compiled
    from broadcaster.roster import Roster

    db = House(root).db
    roster = Roster(db, lambda: int(time.time()))
    news = roster.create_list("news", "example.org", {})

    def condition(where: str) -> Condition:
        return compiled(filters.parse(where), Scope(roster.fields(), lists=[news.id]))

    def filtered(where: str) -> object:
        return dict(gathering.gather(db, [news.id], where=condition(where)).left_out)

    lots = [[*range(first, first + 500)] for first in range(1, 10_001, 500)]
    lap("import", lambda: take_in(db, news, path))
    lap("import again", lambda: take_in(db, news, path))
    lap("gather", lambda: gathering.gather(db, [news.id]))
    for where in ("city = Basra", "name like %ros%", "joined after 2020-01-01", "not has chapter"):
        lap(f"gather … {where}", partial(filtered, where))
    lap("gather", lambda: gathering.gather(db, [news.id]))
    lap("languages", lambda: gathering.languages(db))
    lap("profile of name and city", lambda: sum(row[2] for row in Census(db).profile(["name", "city"])))
    lap("people, 10,000 in lots", lambda: sum(len(roster.people(lot)) for lot in lots))
    lap("barred, 10,000 in lots", lambda: sum(len(roster.barred([(one, news.id) for one in lot])) for lot in lots))
    lap("search", lambda: sum(1 for _ in roster.search("almeida")))
    lap("members", lambda: sum(1 for _ in roster.members(news)))
    lap("members … city = Basra", lambda: sum(1 for _ in roster.members(news, condition("city = Basra"))))
    db.close()


def take_back(path: Path, root: Path) -> None:
    """Import the file, then with other cities, and undo both."""
    from broadcaster.db import open_database
    from broadcaster.roster import Roster

    db = open_database(root / "other.db")
    news = Roster(db, lambda: int(time.time())).create_list("news", "example.org", {})
    other = root / "other.csv"
    with path.open(encoding="utf-8") as old, other.open("w", encoding="utf-8") as new:
        new.writelines(row.replace("Basra", "Kirkuk") for row in old)
    take_in(db, news, path)
    lap("import, a third changed", lambda: take_in(db, news, other))
    lap("undo of that", lambda: undo(db, 2))
    lap("undo of all", lambda: undo(db, 1))
    db.close()


def program(root: Path) -> None:
    """The same people checked, prepared for and told of, each in a process of its own."""
    prepared = f"from bench.people import prepare; prepare({str(root)!r})"
    ours = [sys.executable, "-m", "broadcaster", "-C", str(root)]
    for what, command in (
        ("* check", [*ours, "check", "clean-water", "--list", "news"]),
        ("* prepare without check", [sys.executable, "-c", prepared]),
        ("* prepare", [*ours, "prepare", "clean-water", "--list", "news"]),
        ("* status", [*ours, "status", "2"]),
        ("* why", [*ours, "why", first(root)]),
    ):
        line(what, *run(command))


def exports(root: Path) -> None:
    """The same people written down: by us, and by a program that guards nothing."""
    ours = [sys.executable, "-m", "broadcaster", "-C", str(root), "subscribers", "export", "--list", "news"]
    plain = 0.0
    if shutil.which("sqlite3") and "encrypted" not in sys.argv:
        path = root / "subscribers" / "broadcaster.db"
        wall, plain, held = run(["sqlite3", "-readonly", "-csv", "-header", str(path), AS_WE_DO])
        line("* sqlite3 -csv", wall, plain, held)
    for name in ("people.csv", "people.csv.gz", "people.jsonl", "people.xlsx"):
        file = root / f"out.{name}"
        wall, cpu, held = run([*ours, "-o", str(file)])
        times = f"  {cpu / plain:.1f} times" if plain else ""
        line(f"* export {name.partition('.')[2]}", wall, cpu, held, f"{file.stat().st_size / 1e6:.0f} MB{times}")
        file.unlink()


def run(command: list[str]) -> tuple[float, float, int]:
    """Seconds, those of the processor, and kilobytes held, of a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    words = process.stderr.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def first(root: Path) -> str:
    """Somebody's address."""
    with (root / "people.csv").open(encoding="utf-8") as file:
        return file.readlines(200)[1].partition(",")[0]


def prepare(root: str) -> None:
    """What `prepare` does when the statement has been checked."""
    from broadcaster import broadcast
    from broadcaster.cli.house import House

    with House(Path(root)) as house:
        order = broadcast.Order("clean-water", ("news",))
        plan = broadcast.plan(house.workspace, house.config, house.roster, house.ledger, order)
        broadcast.prepare(house.config, house.roster, house.ledger, house.mark, plan, house.now)


def main() -> None:
    rows = next((int(word) for word in sys.argv[1:] if word.isdigit()), 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        subprocess.run([sys.executable, "-m", "broadcaster", "init", str(root)], capture_output=True, check=True)
        if "encrypted" in sys.argv:
            with (root / "broadcaster.toml").open("a") as file:
                file.write('\n[encryption]\nkey_file = "the.key"\n')
            subprocess.run([sys.executable, "-m", "broadcaster", "-C", str(root), "encrypt"], check=True)
        path = root / "people.csv"
        for code in (f"write(path, {rows})", "measure(path, root)", "take_back(path, root)"):
            # in processes of their own: the memory of whoever starts one is counted as its own
            words = f"from pathlib import Path; from bench.people import *; root = Path({str(root)!r})"
            subprocess.run([sys.executable, "-c", f"{words}; path = Path({str(path)!r}); {code}"], check=True)
        program(root)
        exports(root)


if __name__ == "__main__":
    main()
