"""A workspace with a prepared mailing, made once and copied for each try; commands run in this process.

The same lines of ours run as in a process of its own, but its start: hundreds of tries are a matter of seconds.
"""

from __future__ import annotations

import functools
import io
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from broadcaster.cli import _run
from tests.conftest import CONFIG, Ran
from tests.lab.audit import Books, audit, books

STATEMENT = "---\nsubject: Hello\npreheader: A short one\n---\nHello {{ subscriber.name | default('you') }}\n"


@dataclass(frozen=True, slots=True)
class World:
    """One copy of the workspace."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "subscribers" / "broadcaster.db"

    def configure(self, port: int, connections: int = 1, more: str = "", *, limits: str = "[]") -> None:
        text = CONFIG.replace("PORT", str(port)).replace("CONNECTIONS", str(connections))
        text = text.replace("limits = []", f"limits = {limits}")
        (self.root / "broadcaster.toml").write_text(text + more, encoding="utf-8")

    def run(self, *words: str, status: int | Iterable[int] | None = 0) -> Ran:
        """A command as a person has it, without the start of a process. No traceback, whatever happens."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = _run(["-C", str(self.root), *words])
        said = Ran(ended, out.getvalue(), err.getvalue())
        assert "Traceback" not in said.err
        assert "a defect of ours" not in said.err, said
        if status is not None:
            assert ended in ((status,) if isinstance(status, int) else tuple(status)), (words, said)
        return said

    def books(self, mailing: int = 1) -> Books:
        return books(self.database, mailing)

    def audit(self, taken: Iterable[str], *, doubts: int | None = None) -> Books:
        """The books, held against what the relay took."""
        found = self.books()
        audit(found, taken, doubts=doubts)
        return found


@functools.cache
def _model(number: int, statement: str) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory()
    made = World(Path(folder.name) / "workspace")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert _run(["init", str(made.root)]) == 0
    (made.root / "statements" / "june").mkdir()
    (made.root / "statements" / "june" / "en.md").write_text(statement, encoding="utf-8")
    people = made.root / "people.csv"
    people.write_text("email,name\n" + "".join(f"p{i}@example.org,Person {i}\n" for i in range(1, number + 1)))
    made.configure(9)
    made.run("lists", "create", "news")
    made.run("subscribers", "import", str(people), "--list", "news", "--yes")
    made.run("prepare", "june", "--list", "news")
    # all of it is in the one file that is copied
    with closing(sqlite3.connect(made.database)) as conn:
        conn.execute("pragma wal_checkpoint(truncate)")
    return folder, made.root


def world(into: Path, number: int = 4, statement: str = STATEMENT) -> World:
    """A fresh copy: so many people (p1@example.org …) and mailing 1, ready."""
    _, model = _model(number, statement)
    shutil.copytree(model, into)
    return World(into)
