"""Whatever we make of people's data is ours alone, from its first instant; no link that somebody laid is followed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from broadcaster.cli import _run
from broadcaster.custody import keep_folder, open_private, refuse_shared, staged
from broadcaster.db import open_database
from broadcaster.errors import CannotWrite, NotAllowed
from tests.conftest import Place
from tests.test_backup import PASSPHRASE, Near
from tests.test_sending import STATEMENT

PEOPLE = "email,name,city\nako@example.org,Ako,Basra\nhuda@example.org,Huda,Erbil\n"
PARTS = ("", "-wal", "-shm", "-journal")

# every command that writes, one after the other in one process, without the umask that the program sets: what is
# private must be so by itself
DRIVER = """
import os, sys
from pathlib import Path
from broadcaster.cli import _run
root, csv, word, bounce = sys.argv[1:]
os.umask(0)
statuses = []
for line in Path(word + ".commands").read_text().splitlines():
    words = line.replace("ROOT", root).replace("CSV", csv).replace("WORD", word).replace("BOUNCE", bounce).split()
    status = _run(words if words[0] in ("init", "restore") else ["-C", root, *words])
    statuses.append((line, status))
failed = [pair for pair in statuses if pair[1] not in (0, 75)]
sys.exit(repr(failed) if failed else 0)
"""
COMMANDS = """\
init ROOT
lists create news
subscribers import CSV --list news --yes --consent fair
subscribers add rana@example.org --list news --consent asked
subscribers export -o ROOT/subscribers/out.csv
subscribers export --json -o ROOT/subscribers/out.jsonl
render clean-water --as rana@example.org -o ROOT/look
test clean-water office@example.org
send clean-water --list news --yes
collect BOUNCE
run
why rana@example.org
forget
status
backup --plain
backup -o ROOT/backups/locked --passphrase-file WORD
restore ROOT/backups/locked ROOT-restored --passphrase-file WORD
suppressions add huda@example.org --reason asked
"""


CALLS = "open|openat|openat2|creat|mkdir|mkdirat|mknod|mknodat|symlink|symlinkat|unlink|unlinkat"


@dataclass(frozen=True)
class Made:
    """A file or folder as the kernel was asked for it."""

    path: str
    mode: int
    folder: bool


def traced(command: list[str], log: Path, cwd: Path) -> list[Made]:
    """Everything that a command and its children make, with the mode they ask for."""
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace is not here, or may not trace: which modes files are made with was not looked at")
    calls = f"trace={CALLS.replace('|', ',')}"
    done = subprocess.run(
        [strace, "-f", "-qq", "-s", "4000", "-o", str(log), "-e", calls, *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return list(_made(log.read_text(encoding="utf-8", errors="replace")))


def _made(log: str) -> Iterator[Made]:
    there: set[str] = set()
    for line in log.splitlines():
        call = re.search(
            r'\b(open|openat|openat2|creat|mkdir|mkdirat|mknod|symlink)\([^"]*"((?:[^"\\]|\\.)*)"(.*)', line
        )
        if not call:
            continue
        name, path, rest = call[1], call[2], call[3]
        if " = -1 " in rest and "unfinished" not in rest:
            continue
        if name.startswith("unlink"):
            there.discard(path)
            continue
        folder = name.startswith("mkdir")
        if name.startswith("open") and not re.search(r"O_CREAT|O_TMPFILE", rest):
            continue
        assert name in ("open", "openat", "mkdir", "mkdirat"), line
        mode = re.search(r", (0[0-7]*)\)?(?: |$|\))", rest)
        assert mode, line
        # SQLite asks for each file as if it were to be made
        if folder or path not in there or "O_EXCL" in rest or "O_TMPFILE" in rest:
            yield Made(path, int(mode[1], 8), folder)
        there.add(path)


def test_every_file_of_people_is_private_from_its_first_instant_whatever_the_umask(tmp_path: Path) -> None:
    root, csv, word = tmp_path / "workspace", tmp_path / "people.csv", tmp_path / "word"
    csv.write_text(PEOPLE)
    word.write_text(PASSPHRASE)
    word.chmod(0o600)
    bounce = tmp_path / "returned.eml"
    bounce.write_text("From: x@example.org\nSubject: hello\n\nhello\n")
    Path(f"{word}.commands").write_text(COMMANDS)
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    made = traced(
        [sys.executable, str(driver), str(root), str(csv), str(word), str(bounce)], tmp_path / "log", tmp_path
    )
    private = [
        each
        for each in made
        if re.search(r"/(subscribers|outbox|look|backups)(/|$)", each.path) or "/etilqs_" in each.path
    ]
    names = {Path(each.path).name for each in private}
    # what is looked for was seen
    seen = {"broadcaster.db", "broadcaster.db-wal", "broadcaster.db-shm", "backup.db", "ledger.mark", "secret.key"}
    assert seen | {"sender.lock", "backup.lock", "out.csv", "out.jsonl", "new", "tmp", "en.html"} <= names | {
        re.sub(r"^\.(.*)\.[0-9a-f]{12}$", r"\1", name) for name in names
    }
    wrong = [each for each in private if each.mode & ~(0o700 if each.folder else 0o600)]
    assert not wrong
    # and as they lie there
    for place in (
        root / "subscribers",
        root / "outbox",
        root / "backups",
        root / "look",
        Path(f"{root}-restored"),
    ):
        for path in [place, *place.rglob("*")]:
            assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_program_itself_makes_nothing_that_others_can_read(tmp_path: Path, umask: int) -> None:
    place = Place(tmp_path / "workspace")

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "broadcaster", *words]
        subprocess.run(command, check=True, capture_output=True, preexec_fn=lambda: os.umask(umask))

    run("init", str(place.root))
    run("-C", str(place.root), "new", "june", "--layout", "plain")
    run("-C", str(place.root), "lists", "create", "news")
    sample = str(place.root / "subscribers" / "sample.csv")
    run("-C", str(place.root), "subscribers", "import", sample, "--list", "news", "--yes")
    run("-C", str(place.root), "render", "clean-water", "-o", str(tmp_path / "look"))
    for folder in (place.root, tmp_path / "look"):
        for path in [folder, *folder.rglob("*")]:
            assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


# links that somebody has laid


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a mailing that is ready."""
    made = Near(tmp_path_factory.mktemp("prepared") / "workspace")
    assert _run(["init", str(made.root)]) == 0
    made.statement("june", en=STATEMENT)
    made.people(PEOPLE)
    made.run("prepare", "june", "--list", "news")
    return made.root


@pytest.fixture
def here(prepared: Path, tmp_path: Path) -> Place:
    shutil.copytree(prepared, tmp_path / "workspace")
    return Near(tmp_path / "workspace")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    file = folder / "precious"
    file.write_text("keep me\n" * 2000)
    file.chmod(0o644)
    return file


def unharmed(victim: Path) -> bool:
    kept = victim.read_text() == "keep me\n" * 2000 and stat.S_IMODE(victim.stat().st_mode) == 0o644
    return kept and [*victim.parent.iterdir()] == [victim] and stat.S_IMODE(victim.parent.stat().st_mode) == 0o755


FILES = [
    *((f"subscribers/broadcaster.db{part}", ("send", "1", "--yes"), (77,)) for part in PARTS),
    ("subscribers/sender.lock", ("send", "1", "--yes"), (77,)),
    ("subscribers/ledger.mark", ("send", "1", "--yes"), (77,)),
    ("subscribers/collect.lock", ("collect",), (77,)),
    ("subscribers/backup.lock", ("backup", "--plain"), (77,)),
    # what a backup left that was killed is taken away: the name, not what it leads to
    *((f"subscribers/backup.db{part}", ("backup", "--plain"), (0,)) for part in PARTS),
    ("backups/.gitignore", ("backup", "--plain"), (0,)),
    ("out.tar.gz", ("backup", "--plain", "-o", "ROOT/out.tar.gz"), (73,)),
    ("out.csv", ("subscribers", "export", "-o", "ROOT/out.csv"), (73,)),
    ("look/en.html", ("render", "june", "-o", "ROOT/look"), (0,)),
]


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
@pytest.mark.parametrize(
    ("name", "words", "statuses"), FILES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_link_at_the_name_of_a_file_is_not_followed(
    here: Place, victim: Path, kind: str, name: str, words: tuple[str, ...], statuses: tuple[int, ...]
) -> None:
    path = here.root / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if kind == "symbolic":
        path.symlink_to(victim)
    else:
        path.hardlink_to(victim)
    done = here.run(*(word.replace("ROOT", str(here.root)) for word in words), status=None)
    assert done.status in statuses, (done.status, done.err)
    assert unharmed(victim)
    if done.status == 77:
        assert "link" in done.err
        assert name.rpartition("/")[2] in done.err
    assert not [*(here.root / "outbox").rglob("*.*.*")]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("outbox", ("send", "1", "--yes")),
        ("outbox/new", ("send", "1", "--yes")),
        ("outbox/tmp", ("send", "1", "--yes")),
        ("subscribers", ("status",)),
        ("backups", ("backup", "--plain")),
    ],
)
def test_a_link_at_the_name_of_a_folder_is_not_followed(
    here: Place, victim: Path, name: str, words: tuple[str, ...]
) -> None:
    path = here.root / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists():
        shutil.rmtree(path)
    path.symlink_to(victim.parent)
    assert "symbolic link" in here.run(*words, status=77).err
    assert unharmed(victim)


def test_a_pipe_or_folder_at_the_name_of_a_file_holds_up_nobody(here: Place) -> None:
    lock = here.root / "subscribers" / "sender.lock"
    os.mkfifo(lock)
    assert "is no file" in here.run("send", "1", "--yes", status=77).err
    lock.unlink()
    lock.mkdir()
    here.run("send", "1", "--yes", status=73)


def test_a_module_that_lies_where_somebody_happens_to_be_is_not_taken_for_the_librarys(
    here: Place, tmp_path: Path
) -> None:
    around = tmp_path / "downloads"
    around.mkdir()
    for name in ("email", "json", "zlib", "encodings", "broadcaster"):
        (around / f"{name}.py").write_text("import pathlib; pathlib.Path('planted').write_text('x')")
    (around / "returned.eml").write_text("From: x@example.org\nSubject: hello\n\nhello\n")
    subprocess.run(
        [sys.executable, "-P", "-m", "broadcaster", "-C", str(here.root), "collect", "returned.eml"],
        cwd=around,
        check=True,
        capture_output=True,
    )
    assert not (around / "planted").exists()


# folders of others


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707])
def test_a_folder_in_which_others_may_write_is_refused(here: Place, mode: int) -> None:
    for folder in (here.root / "subscribers", here.root, here.root / "statements", here.root / "templates"):
        folder.chmod(mode)
        refused = here.run("status", status=77)
        assert "can be written by others" in refused.err
        assert "chmod go-w" in refused.err
        folder.chmod(0o700)
    here.run("status")


def test_settings_that_others_may_write_are_refused_since_they_can_name_a_command(here: Place) -> None:
    (here.root / "broadcaster.toml").chmod(0o646)
    assert "broadcaster.toml: can be written by others" in here.run("run", status=77).err


def test_what_others_could_only_read_is_closed_to_them(here: Place) -> None:
    folder = here.root / "subscribers"
    folder.chmod(0o755)
    (folder / "broadcaster.db").chmod(0o644)
    here.run("status")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "broadcaster.db").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else's")
def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("x")
    for path in (tmp_path / "theirs", tmp_path / "theirs" / "file"):
        os.chown(path, 12345, 12345)
    child = os.fork()
    if not child:
        # as another user: whoever is root may work for everybody
        os.chdir(tmp_path)
        os.seteuid(54321)
        os._exit(sum(map(refused, (Path("theirs"), Path("theirs/file")))))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert not refused(tmp_path / "theirs")


def refused(path: Path) -> bool:
    try:
        refuse_shared(path)
    except NotAllowed:
        return True
    return False


def test_a_group_of_ones_own_may_write_and_another_may_not(tmp_path: Path) -> None:
    import grp
    import pwd

    us = pwd.getpwuid(os.geteuid())
    file = tmp_path / "file"
    file.write_text("x")
    file.chmod(0o660)
    if grp.getgrgid(us.pw_gid).gr_name == us.pw_name and not grp.getgrgid(us.pw_gid).gr_mem:
        os.chown(file, -1, us.pw_gid)
        refuse_shared(file)
    if os.geteuid() == 0:
        os.chown(file, -1, 12345)
        with pytest.raises(NotAllowed, match="written by others"):
            refuse_shared(file)


def test_folders_that_were_made_for_nothing_are_taken_away(tmp_path: Path) -> None:
    def broken() -> None:
        with staged(tmp_path / "a" / "b") as folder:
            assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
            (folder / "x").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert not [*tmp_path.iterdir()]


def test_looking_at_the_files_of_a_database_gives_up_no_lock_on_them(tmp_path: Path) -> None:
    """POSIX: whoever closes any descriptor of a file loses every lock of the process on it, SQLite's too."""
    path = tmp_path / "broadcaster.db"
    with closing(open_database(path)) as first, first.atomic() as conn:
        conn.execute("insert into field values ('city')")
        with closing(open_database(path)):
            pass
        said = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); c.execute('begin immediate')",
                str(path),
            ],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert "locked" in said.stderr


def test_what_is_opened_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_private(tmp_path / "none", os.O_RDONLY)
    (tmp_path / "file").write_text("x")
    with pytest.raises(CannotWrite, match="is no folder"):
        keep_folder(tmp_path / "file")
