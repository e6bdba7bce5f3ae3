"""All of a workspace in one file, and out of it again: nothing is lost or believed unseen, nobody is mailed twice."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import stat
import subprocess
import tarfile
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from email import message_from_bytes
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import archive, keeping
from broadcaster.archive import DATABASE, HEAD, MANIFEST, About, Item, Nowhere, Unpacking, fault, packed
from broadcaster.cli import _run
from broadcaster.cli.house import House
from broadcaster.errors import ArchiveError, BroadcasterError
from broadcaster.mark import Mark
from tests.conftest import Place, Ran
from tests.lab.clocks import time_comes
from tests.lab.server import Lab, running
from tests.test_sending import STATEMENT, configured, people, until

ABOUT = About("0.1.0", 1_700_000_000, 8)
PASSPHRASE = "correct horse battery staple"
names = st.from_regex(r"[a-zä-öب-ت][\w-]{0,60}(/[\wä-öب-ت. -]{1,80}\w){0,3}", fullmatch=True).filter(
    lambda name: not fault(name) and name not in (HEAD, MANIFEST)
)


class Shelf:
    """What was in a backup."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._name = ""

    def begin(self, name: str, size: int, at: int) -> None:
        self._name = name
        self.files[name] = b""

    def take(self, chunk: bytes) -> None:
        self.files[self._name] += chunk

    def end(self) -> None:
        pass


def made(files: dict[str, bytes]) -> bytes:
    items = (Item(name, len(body), 1_600_000_000, [body] if body else []) for name, body in files.items())
    return b"".join(packed(ABOUT, items))


def read(octets: bytes, piece: int = 4096) -> Shelf:
    shelf = Shelf()
    unpacking = Unpacking(shelf)
    for start in range(0, len(octets), piece):
        unpacking.feed(octets[start : start + piece])
    unpacking.finish()
    return shelf


# the form


@given(st.dictionaries(names, st.binary(max_size=3000), max_size=6), st.integers(1, 5000))
@settings(max_examples=60)
def test_what_goes_in_comes_out_in_whatever_pieces_it_is_read(files: dict[str, bytes], piece: int) -> None:
    folded = {archive.same(name): name for name in files}
    files = {name: files[name] for name in folded.values()}
    assert read(made(files), piece).files == files


@given(st.data())
@settings(max_examples=150)
def test_an_octet_that_was_altered_or_cut_off_is_known(data: st.DataObject) -> None:
    files = {"a.md": b"Dear friend. " * 40, "templates/b.html": bytes(range(256))}
    whole = made(files)
    with pytest.raises(ArchiveError):
        read(whole[: data.draw(st.integers(0, len(whole) - 1))])
    octets = bytearray(whole)
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = read(bytes(octets)).files
    except ArchiveError:
        return
    # the time and the system that gzip notes, and a few bits that are none of anything
    assert found == files


@given(st.binary(max_size=2000))
def test_what_is_no_backup_is_refused(octets: bytes) -> None:
    for given_ in (octets, zlib.compress(octets, wbits=31)):
        with pytest.raises(ArchiveError):
            read(given_)


def test_any_tar_unpacks_it(tmp_path: Path) -> None:
    name = "statements/" + "ماء" * 40 + ".md"
    files = {DATABASE: b"x" * 70_000, name: b"hello"}
    (tmp_path / "b.tar.gz").write_bytes(made(files))
    subprocess.run(["tar", "xzf", "b.tar.gz"], cwd=tmp_path, check=True)
    assert {each: (tmp_path / each).read_bytes() for each in files} == files
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert [file["name"] for file in manifest["files"]] == list(files)


def hostile(info: tarfile.TarInfo, body: bytes = b"") -> bytes:
    """A backup with an entry that we would not write, and digests that fit."""
    info.size = len(body) if info.isreg() else 0
    plain = zlib.decompress(made({"a": b"x"}), wbits=31)
    head = plain[: plain.index(b"a\0")]
    tail = plain[len(head) :]
    return zlib.compress(head + info.tobuf(tarfile.PAX_FORMAT) + body + bytes(-len(body) % 512) + tail, wbits=31)


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/evil", "a/../../evil", "a//b", "./a", "a/.", "a\\..\\evil", "a\nb", "a/\x1b[2J", "x" * 1001),
        *("subscribers/broadcaster.db-wal", "subscribers/BROADCASTER.DB-shm", "subscribers/sender.lock"),
        "subscribers/broadcaster.db/x",
    ],
)
def test_a_name_that_leads_elsewhere_or_beside_the_database_is_refused(name: str) -> None:
    assert fault(name)
    with pytest.raises(ArchiveError, match="a name in it"):
        read(hostile(tarfile.TarInfo(name), b"evil"))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_devices_and_folders_are_refused(kind: bytes) -> None:
    info = tarfile.TarInfo("statements/x")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(ArchiveError, match="no file"):
        read(hostile(info))


def test_a_name_that_some_disks_take_for_another_is_refused() -> None:
    for twin in ("A", "a"):
        with pytest.raises(ArchiveError, match="comes twice"):
            read(hostile(tarfile.TarInfo(twin), b"x"))


def test_a_backup_of_a_newer_broadcaster_says_so() -> None:
    octets = b"".join(packed(About("9.0", 1, 8, format=2), []))
    with pytest.raises(ArchiveError, match="newer broadcaster"):
        read(octets)


def test_a_database_of_a_newer_broadcaster_is_not_put_anywhere() -> None:
    items = [Item(name, 1, 1, [b"x"]) for name in ("broadcaster.toml", DATABASE)]
    octets = b"".join(packed(About("9.0", 1, 999), items))
    for given_, words in ((octets, "newer broadcaster"), (made({"a": b"x"}), "no whole workspace")):

        def pour(take: Callable[[bytes], object], given_: bytes = given_) -> None:
            take(given_)

        with pytest.raises(ArchiveError, match=words):
            keeping.check(pour, Nowhere())


def test_a_file_that_shrinks_while_it_is_read_makes_no_backup() -> None:
    with pytest.raises(ArchiveError, match="changed"):
        b"".join(packed(ABOUT, [Item("a", 10, 1, [b"short"])]))


def test_a_bomb_is_not_held() -> None:
    """A gigabyte of zeros in a megabyte: it goes through in pieces, and ends where no header is."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(squeeze.compress(bytes(1 << 20)) for _ in range(200)), squeeze.flush()])
    unpacking = Unpacking(Nowhere())
    with pytest.raises(ArchiveError):
        unpacking.feed(bomb)
    assert len(unpacking._waiting) <= archive.PIECE + 512


# by the real program


class Near(Place):
    """A workspace whose commands run in this process: many are quick."""

    def run(self, *words: str, status: int | None = 0, stdin: str | None = None, **env: str) -> Ran:
        assert stdin is None
        assert not env
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = _run(["-C", str(self.root), *words])
        assert "a defect of ours" not in err.getvalue()
        assert status in (None, ended), (words, ended, out.getvalue(), err.getvalue())
        return Ran(ended, out.getvalue(), err.getvalue())


@pytest.fixture
def june(place: Place) -> Place:
    place.statement("june", en=STATEMENT)
    return Near(place.root, place.started)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key as age-keygen writes it, and its public half beside it."""
    identity = pyrage.x25519.Identity.generate()
    file = tmp_path / "key.txt"
    file.write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    (tmp_path / "public.txt").write_text(f"# the office\n{identity.to_public()}\n")
    return file


def into(place: Place, name: str = "restored") -> Place:
    return Near(place.root.parent / name, place.started)


def restored(place: Place, backup: Path, *words: str, name: str = "restored") -> Place:
    there = into(place, name)
    place.run("restore", str(backup), str(there.root), *words)
    return there


def addressed(lab: Lab) -> Counter[str]:
    return Counter(str(message.recipients[0]) for message in lab.messages)


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as conn:
        return [line for line in conn.iterdump() if 'INTO "seen"' not in line and 'INTO "sender"' not in line]


def test_all_of_it_comes_back_and_is_private(june: Place, tmp_path: Path) -> None:
    people(june, 20)
    (june.root / "statements" / "june" / "photo.bin").write_bytes(os.urandom(300_000))
    (june.root / "dkim.pem").write_text("key")
    (june.root / "relay.password").write_text("secret")
    (june.root / "relay.password").chmod(0o600)
    config = (june.root / "broadcaster.toml").read_text()
    config += '[relays.second]\nurl = "smtps://smtp.example.net"\nuser = "x"\npassword_file = "relay.password"\n'
    config += '[dkim]\ndomain = "water.example"\nselector = "a"\nkey_file = "dkim.pem"\n'
    (june.root / "broadcaster.toml").write_text(config)
    done = june.run("backup", "--json")
    file = Path(done.json["file"])
    assert "whoever has the file has the list" in done.err
    assert file.parent == june.root / "backups"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert done.json["left_out"] == [{"file": "relay.password", "why": "it is a password"}]
    there = restored(june, file)
    for path in there.root.rglob("*"):
        assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        name = path.relative_to(there.root)
        if path.is_file() and name != Path(DATABASE):
            assert path.read_bytes() == (june.root / name).read_bytes()
    names_ = {path.relative_to(there.root).as_posix() for path in there.root.rglob("*") if path.is_file()}
    assert {"dkim.pem", "statements/june/photo.bin", "subscribers/secret.key", ".gitignore"} <= names_
    assert not names_ & {"relay.password", "subscribers/sample.csv", "subscribers/backup.db"}
    before, after = dump(june.root / DATABASE), dump(there.root / DATABASE)
    assert [line for line in after if line not in before and "audit" not in line and 'INTO "mark"' not in line] == []
    assert len(there.run("subscribers", "--json").json) == 20
    with closing(sqlite3.connect(there.root / DATABASE)) as conn:
        assert conn.execute("select count(*) from audit where what = 'workspace restore'").fetchone() == (1,)
    passwords = june.run("backup", "--json", "--plain", "--with-passwords", "-o", str(tmp_path / "all.tar.gz"))
    assert not passwords.err
    assert (restored(june, tmp_path / "all.tar.gz", name="all").root / "relay.password").read_text() == "secret"


def test_cron_hears_nothing_and_nothing_is_overwritten(june: Place, tmp_path: Path, key: Path) -> None:
    file = tmp_path / "june.age"
    done = june.run("backup", "-o", str(file), "--to", str(tmp_path / "public.txt"))
    assert (done.out, done.err) == ("", "")
    before = file.read_bytes()
    assert "is there already" in june.run("backup", "-o", str(file), "--plain", status=73).err
    assert file.read_bytes() == before
    assert before.startswith(b"age-encryption.org/v1")
    left = [path.name for path in [*tmp_path.iterdir(), *(june.root / "subscribers").iterdir()]]
    assert not [name for name in left if "backup.db" in name or name.endswith(".part")]


def test_a_locked_backup_opens_with_its_key_alone(june: Place, tmp_path: Path, key: Path) -> None:
    people(june, 3)
    file = tmp_path / "june.age"
    june.run("backup", "-o", str(file), "--to", (tmp_path / "public.txt").read_text().split()[-1])
    assert b"example.org" not in zlib.compress(b"") + file.read_bytes()
    other = tmp_path / "other.txt"
    other.write_text(str(pyrage.x25519.Identity.generate()))
    there = into(june)
    for words in ((), ("--identity", str(other))):
        assert "is locked" in june.run("restore", str(file), str(there.root), *words, status=65).err
        assert not there.root.exists()
    assert "no file" in june.run("restore", str(file), str(there.root), "--identity", "none", status=65).err
    with file.open("rb") as locked, (tmp_path / "plain").open("wb") as plain:
        # whoever has age needs no broadcaster
        pyrage.decrypt_io(locked, plain, [pyrage.x25519.Identity.from_str(key.read_text().split()[-1])])
    with tarfile.open(tmp_path / "plain") as tar:
        assert DATABASE in tar.getnames()
    assert june.run("backup", "--check", str(file), "--identity", str(key), "--json").json["files"]
    assert len(restored(june, file, "--identity", str(key)).run("subscribers", "--json").json) == 3


def test_a_passphrase_comes_from_a_file_or_a_command_and_shows_nowhere(june: Place, tmp_path: Path) -> None:
    people(june, 3)
    word = tmp_path / "word"
    word.write_text(PASSPHRASE + "\n")
    word.chmod(0o600)
    file = tmp_path / "june.locked"
    done = june.run("backup", "-o", str(file), "--passphrase-file", str(word))
    assert PASSPHRASE not in done.out + done.err
    wrong = june.run("restore", str(file), str(into(june).root), "--passphrase-command", "echo wrong", status=65)
    assert "another passphrase" in wrong.err
    assert "passphrase-file" in june.run("restore", str(file), str(into(june).root), status=65).err
    short = june.run("backup", "--passphrase-command", "echo short", status=65)
    assert "fewer than 12" in short.err
    assert not [*(june.root / "backups").glob("*.tar.gz*")]
    there = restored(june, file, "--passphrase-command", f"cat {word}")
    assert len(there.run("subscribers", "--json").json) == 3
    # both halves are age's own, so that age opens them: docs/backup.md
    head, _, body = file.read_bytes().partition(b"-----END AGE ENCRYPTED FILE-----\n")
    assert head.startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert body.startswith(b"age-encryption.org/v1\n-> X25519 ")


def test_damage_anywhere_in_a_locked_file_restores_nothing(june: Place, tmp_path: Path, key: Path) -> None:
    file = tmp_path / "june.age"
    june.run("backup", "-o", str(file), "--to", str(tmp_path / "public.txt"))
    whole = file.read_bytes()
    bad = tmp_path / "bad.age"
    for octets in (whole[:-1], whole[: len(whole) // 2], whole + b"x", b"", whole[:50] + b"!" + whole[51:]):
        bad.write_bytes(octets)
        june.run("restore", str(bad), str(into(june).root), "--identity", str(key), status=65)
        june.run("backup", "--check", str(bad), "--identity", str(key), status=65)
        assert not into(june).root.exists()


def test_standard_output_and_input(june: Place, tmp_path: Path) -> None:
    done = subprocess.run(june.command("backup", "-o", "-", "--plain"), capture_output=True, check=True)
    there = into(june)
    subprocess.run(june.command("restore", "-", str(there.root)), input=done.stdout, capture_output=True, check=True)
    there.run("status")


def test_only_a_new_or_empty_folder_becomes_a_workspace(june: Place, tmp_path: Path) -> None:
    file = tmp_path / "a.tar.gz"
    june.run("backup", "-o", str(file), "--plain")
    before = sorted(june.root.rglob("*"))
    assert "not empty" in june.run("restore", str(file), str(june.root), status=73).err
    assert sorted(june.root.rglob("*")) == before
    taken = tmp_path / "taken"
    taken.write_text("x")
    june.run("restore", str(file), str(taken), status=73)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "would be restored" in june.run("restore", str(file), str(empty), "--dry-run").err
    assert not [*empty.iterdir()]
    june.run("restore", str(file), str(empty))
    assert (empty / "broadcaster.toml").exists()


def test_what_leads_out_of_the_workspace_is_left_out_and_named(june: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    statements = june.root / "statements"
    (statements / "out.md").symlink_to(tmp_path / "secret")
    (statements / "june" / "away").symlink_to(tmp_path)
    (statements / "june" / "twin.md").symlink_to(statements / "june" / "en.md")
    os.mkfifo(statements / "june" / "pipe")
    done = june.run("backup", "--json", "--plain")
    left_out = {each["file"] for each in done.json["left_out"]}
    assert left_out == {"statements/out.md", "statements/june/away", "statements/june/pipe"}
    there = restored(june, Path(done.json["file"]))
    twin = there.root / "statements" / "june" / "twin.md"
    assert twin.read_text() == STATEMENT
    assert not twin.is_symlink()


def test_a_damaged_database_makes_no_backup(june: Place) -> None:
    people(june, 2000)
    june.run("status")
    path = june.root / DATABASE
    octets = bytearray(path.read_bytes())
    for page in range(20, len(octets) // 4096, 3):
        octets[page * 4096 : page * 4096 + 200] = os.urandom(200)
    path.write_bytes(octets)
    assert "damaged" in june.run("backup", status=78).err
    assert not [*(june.root / "backups").glob("*.tar.gz*")]


def test_a_second_backup_at_once_says_so_and_a_killed_one_leaves_nothing_in_the_way(june: Place) -> None:
    with House(june.root) as house:
        from broadcaster.lock import Lock

        lock = Lock(house.workspace.keeping)
        assert lock.take()
        assert "another backup" in june.run("backup", status=75).err
        lock.release()
    (june.root / "subscribers" / "backup.db").write_bytes(b"half")
    (june.root / "subscribers" / "backup.db-journal").write_bytes(b"half")
    (june.root / "backups").mkdir(mode=0o700)
    for end in ("", ".part"):
        (june.root / "backups" / f"broadcaster-1.tar.gz{end}").write_bytes(b"")
    june.run("backup", "--plain")
    assert not [*(june.root / "subscribers").glob("backup.db*")]
    assert len([*(june.root / "backups").glob("broadcaster-*")]) == 1


# encrypted


def test_an_encrypted_database_stays_so_in_a_backup_and_wants_its_key_again(june: Place, tmp_path: Path) -> None:
    pytest.importorskip("sqlcipher3")
    people(june, 3)
    with (june.root / "broadcaster.toml").open("a") as file:
        file.write('[encryption]\nkey_file = "database.key"\n')
    june.run("encrypt")
    done = june.run("backup", "--plain", "--json", "-o", str(tmp_path / "a.tar.gz"))
    assert {"file": "database.key", "why": "it is a password"} in done.json["left_out"]
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        octets = tar.extractfile(DATABASE)
        assert octets is not None
        assert b"example.org" not in octets.read()
    there = into(june)
    assert "key" in june.run("restore", str(tmp_path / "a.tar.gz"), str(there.root), status=78).err
    assert not there.root.exists()
    key = june.root / "database.key"
    june.run("restore", str(tmp_path / "a.tar.gz"), str(there.root), "--key-file", str(key))
    assert "key" in there.run("subscribers", "--json", status=78).err
    (there.root / "database.key").write_bytes(key.read_bytes())
    (there.root / "database.key").chmod(0o600)
    assert len(there.run("subscribers", "--json").json) == 3
    # and with the key in it
    june.run("backup", "--plain", "--with-passwords", "-o", str(tmp_path / "b.tar.gz"))
    assert len(restored(june, tmp_path / "b.tar.gz", name="b").run("subscribers", "--json").json) == 3


# while others work


def test_a_backup_while_people_are_written_is_of_one_moment_and_hinders_nobody(june: Place, tmp_path: Path) -> None:
    """A writer moves one unit between two rows for ever: in every copy their sum is the same."""
    people(june, 500)
    stop = threading.Event()
    moved = 0

    def write() -> None:
        nonlocal moved
        with House(june.root) as house:
            while not stop.is_set():
                with house.db.atomic() as conn:
                    conn.execute("update subscriber set changed = changed - 1 where id = 1")
                    conn.execute("update subscriber set changed = changed + 1 where id = 2")
                moved += 1

    with closing(sqlite3.connect(june.root / DATABASE)) as conn:
        whole = conn.execute("select sum(changed) from subscriber where id < 3").fetchone()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(3):
            until(lambda: moved > 20)
            seen = moved
            file = tmp_path / f"{number}.tar.gz"
            june.run("backup", "-o", str(file), "--plain")
            assert moved > seen
            there = restored(june, file, name=f"restored{number}")
            with closing(sqlite3.connect(there.root / DATABASE)) as conn:
                assert conn.execute("select sum(changed) from subscriber where id < 3").fetchone() == whole
    finally:
        stop.set()
        thread.join()


# nobody is mailed twice


def test_restored_without_the_mark_nobody_gets_it_twice(june: Place, tmp_path: Path) -> None:
    with running() as lab:
        configured(june, lab, connections=1, limits='["60/s"]')
        people(june, 60)
        sender = june.start("send", "june", "--list", "news", "--yes")
        until(lambda: len(lab.messages) > 10)
        file = tmp_path / "a.tar.gz"
        june.run("backup", "-o", str(file), "--plain")
        assert sender.wait(60) == 0
        assert len(lab.messages) == 60
        done = june.run("restore", str(file), str(into(june).root), "--json")
        assert done.json["sent_since"] == [1]
        assert "not known here" in done.err
        there = into(june)
        assert "older than the last sending" in there.run("status", "1").err
        assert "older than the last sending" in there.run("run").err
        told = there.run("status", "1", "--json").json
        assert (told["pending"], told["state"]) == (0, "paused")
        there.run("send", "1", "--yes", status=77)
        there.run("send", "june", "--list", "news", "--yes", status=77)
        assert addressed(lab) == Counter({f"p{n}@example.org": 1 for n in range(60)})
        # and on a person's word it goes on
        there.run("resolve", "1", "--accept", "--yes")
        assert there.run("status", "1", "--json").json["state"] == "finished"


def test_restored_with_the_mark_only_what_was_sent_since_is_in_doubt(june: Place, tmp_path: Path) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 30)
        june.run("prepare", "june", "--list", "news")
        file = tmp_path / "a.tar.gz"
        june.run("backup", "-o", str(file), "--plain")
        old = june.root / "subscribers" / "ledger.mark"
        # nothing was sent yet: the mark knows it, and so nothing is in doubt
        fresh = restored(june, file, "--mark", str(old), name="fresh") if old.exists() else None
        june.run("send", "1", "--yes")
        done = june.run("restore", str(file), str(into(june).root), "--mark", str(old), "--json")
        assert done.json["sent_since"] == [1]
        there = into(june)
        told = there.run("send", "1", "--yes", "--json", status=75)
        assert (told.json["in_doubt"], told.json["pending"]) == (30, 0)
        assert set(addressed(lab).values()) == {1}
        assert fresh is None or fresh.run("status", "1", "--json").json["pending"] == 30
        # a mark of somebody else, and one that is older than the backup
        june.run("backup", "-o", str(tmp_path / "b.tar.gz"), "--plain")
        (tmp_path / "empty").write_bytes(b"")
        refused = june.run(
            "restore",
            str(tmp_path / "b.tar.gz"),
            str(into(june, "b").root),
            "--mark",
            str(tmp_path / "empty"),
            status=77,
        )
        assert "another database's" in refused.err
        assert not into(june, "b").root.exists()


def test_what_was_cancelled_after_the_backup_does_not_go_from_it(june: Place, tmp_path: Path) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        june.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
        # so that there is a mark
        june.run("subscribers", "add", "z@example.org", "--list", "news", "--consent", "paper")
        june.run("send", "june", "--list", "news", "--where", "email = 'z@example.org'", "--yes")
        time_comes(june.root / "subscribers" / "broadcaster.db")
        june.run("backup", "-o", str(tmp_path / "a.tar.gz"), "--plain")
        june.run("cancel", "1", "--yes")
        mark = june.root / "subscribers" / "ledger.mark"
        done = june.run("restore", str(tmp_path / "a.tar.gz"), str(into(june).root), "--mark", str(mark), "--json")
        assert (done.json["sent_since"], done.json["stopped"]) == ([], [1])
        assert "mailing 1 is paused, for it may have been cancelled since" in done.err
        there = into(june)
        there.run("run")
        assert len(lab.messages) == 1
        assert there.run("status", "1", "--json").json["state"] == "paused"
        # a person's word lets it go
        there.run("resume", "1")
        there.run("run")
        assert len(lab.messages) == 4


def test_a_statement_that_may_have_been_sent_since_needs_a_word(june: Place, tmp_path: Path) -> None:
    with running() as lab:
        configured(june, lab)
        people(june, 3)
        file = tmp_path / "a.tar.gz"
        june.run("backup", "-o", str(file), "--plain")
        june.run("send", "june", "--list", "news", "--yes")
        there = restored(june, file)
        refused = there.run("send", "june", "--list", "news", "--yes", status=77)
        assert "may have been sent since" in refused.err
        assert len(lab.messages) == 3
        there.statement("july", en=STATEMENT)
        new = there.run("send", "july", "--list", "news", "--yes", "--json").json
        assert new["mailing"] > 1000
        again = there.run("send", "june", "--list", "news", "--yes", "--again", "--json").json
        assert again["accepted"] == 3
        # no token of the lost workspace is given again
        ids = Counter(str(message_from_bytes(message.data)["Message-ID"]) for message in lab.messages)
        assert len(ids) == 9
        assert "was sent as mailing" in there.run("send", "june", "--list", "news", "--yes", status=77).err


def test_ids_and_numbers_of_a_lost_database_are_never_given_again(june: Place, tmp_path: Path) -> None:
    people(june, 3)
    june.run("prepare", "june", "--list", "news")
    june.run("backup", "-o", str(tmp_path / "a.tar.gz"), "--plain")
    there = restored(june, tmp_path / "a.tar.gz")
    for slug in ("july", "may"):
        there.statement(slug, en=STATEMENT)
        number = there.run("prepare", slug, "--list", "news", "--json").json["mailing"]
        with House(there.root) as house:
            of = house.ledger.mailing(number)
            assert (number > keeping.MAILINGS, of.first > keeping.DELIVERIES) == (True, True)


def test_a_backup_taken_over_and_over_and_restored_over_and_over_stays_whole(june: Place, tmp_path: Path) -> None:
    people(june, 5)
    place = june
    for number in range(3):
        file = tmp_path / f"{number}.tar.gz"
        place.run("backup", "-o", str(file), "--plain")
        place = restored(place, file, name=f"r{number}")
    assert len(place.run("subscribers", "--json").json) == 5
    with House(place.root) as house, closing(Mark(house.workspace.mark, house.db)) as mark:
        assert not mark.ahead()
        assert not house.db.damage()


def test_a_full_disk_leaves_neither_half_a_backup_nor_half_a_workspace(june: Place, tmp_path: Path) -> None:
    people(june, 2000)
    june.run("backup", "-o", str(tmp_path / "a.tar.gz"), "--plain")
    for words in (
        ("backup", "-o", str(tmp_path / "b.tar.gz"), "--plain"),
        ("restore", str(tmp_path / "a.tar.gz"), str(into(june).root)),
    ):
        done = subprocess.run(
            ["bash", "-c", 'ulimit -f 40; trap "" XFSZ; exec "$@"', "-", *june.command(*words)],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 73, done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "b.tar.gz").exists()
    assert not into(june).root.exists()
    assert not [*tmp_path.glob("*.part")]
    assert not [*(june.root / "subscribers").glob("backup.db*")]


def test_an_unread_error_of_ours_is_told_as_it_was(tmp_path: Path) -> None:
    """age calls back into us, and tells what we raise in words of its own: ours are kept."""
    from broadcaster import vault

    identity = pyrage.x25519.Identity.generate()

    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ArchiveError("was changed while it was read", where="a.md")

    with pytest.raises(ArchiveError, match="changed while"):
        vault.lock(broken(), [identity.to_public()], lambda octets: None)

    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        vault.lock([b"x" * 100_000], [identity.to_public()], full)


@pytest.mark.parametrize("text", ["age1nonsense", "AGE-SECRET-KEY-1QQQQ", "ssh-rsa AAAA", "", "# only a remark"])
def test_a_recipient_that_is_none_says_so_without_quoting_it(text: str) -> None:
    from broadcaster import vault

    with pytest.raises(BroadcasterError) as told:
        vault.recipients([text], "keys.txt")
    assert not text or text.startswith("#") or text not in str(told.value)
