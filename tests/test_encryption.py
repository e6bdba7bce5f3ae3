"""An encrypted workspace: nobody reads it without the key, nothing is lost on the way there and back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import db as door
from broadcaster import transcript
from broadcaster.cli import _run
from broadcaster.db import left_behind, open_database, through_cipher
from broadcaster.errors import ConfigError
from broadcaster.lock import Lock
from tests.conftest import KEY, Place, Ran
from tests.lab.nursery import Nursery, nursery
from tests.lab.server import Remote
from tests.lab.world import World, world

pytest.importorskip("sqlcipher3")

OTHER = "c4" * 32
# no address of the world's is without it
ADDRESS = b"@example.org"

Table = list[tuple[object, ...]]


def settings_of(here: World, more: str) -> None:
    file = here.root / "broadcaster.toml"
    file.write_text(re.sub(r"\n\[encryption\].*", "", file.read_text(), flags=re.DOTALL) + f"\n[encryption]\n{more}\n")


def key_file(here: World) -> Path:
    return here.root.parent / f"{here.root.name}.key"


@pytest.fixture
def here(tmp_path: Path) -> World:
    """Four people and a mailing that is ready; [encryption] is written, and nothing encrypted yet."""
    made = world(tmp_path / "workspace")
    settings_of(made, f'key_file = "{key_file(made)}"')
    # it came with the workspace, and is a sample
    (made.root / "subscribers" / "sample.csv").unlink()
    return made


def dumped(path: Path, key: str = "") -> dict[str, Table]:
    """All that is in the database but the log of changes, as it lies on the disk now."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        for end in ("", "-wal"):
            if path.with_name(path.name + end).exists():
                shutil.copyfile(path.with_name(path.name + end), copy.with_name(copy.name + end))
        with closing(through_cipher(copy, key, timeout=1)) as conn:
            assert conn.execute("pragma integrity_check").fetchone() == ("ok",)
            names = [name for (name,) in conn.execute("select name from sqlite_master where type = 'table'")]
            rows = {name: conn.execute(f'select * from "{name}"').fetchall() for name in names if name != "audit"}
            return {**rows, "schema": sorted(conn.execute("select name, sql from sqlite_master"))}


def readable(folder: Path, words: bytes = ADDRESS) -> list[str]:
    """The files below a folder that hold some octets."""
    return [each.name for each in folder.rglob("*") if each.is_file() and words in each.read_bytes()]


def people(here: World) -> Path:
    return here.root / "subscribers"


def key_of(here: World) -> str:
    return key_file(here).read_text().strip()


# the law


@settings(max_examples=15)
@given(
    st.dictionaries(
        st.integers(1, 2**40),
        st.tuples(st.text(), st.sampled_from(["", "ar"]), st.text("{}\"',:x", max_size=5)),
        max_size=9,
    )
)
def test_nothing_is_lost_or_changed_by_encrypting_and_decrypting(found: dict[int, tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.db"
        with closing(open_database(path)) as db, db.atomic() as conn:
            for number, (name, language, field) in found.items():
                name = name.encode("utf-8", "replace").decode()
                conn.execute(
                    "insert into subscriber (id, key, address, name, language, fields, created, changed)"
                    " values (?1, 'k' || ?1, ?2, ?3, ?4, json_object('x', ?5), 1, 1)",
                    (number, f"Ä{number}@example.org", name, language, field),
                )
            conn.execute("insert into content values ('d', zeroblob(70000))")
            conn.execute("delete from subscriber where id % 3 = 0")
        before = dumped(path)
        for old, new in (("", KEY), (KEY, OTHER), (OTHER, "")):
            with transcript.alone(path, old) as conn:
                transcript.gather(conn, path)
                transcript.replace(path, transcript.write(conn, path, new))
            assert dumped(path, new) == before
            assert transcript.readable(path, new)
            assert old == "" or not transcript.readable(path, old)
            assert not left_behind(path)
        with closing(open_database(path)) as db:
            assert db.damage() == ""


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("delete from subscription where subscriber = 3", "other rows in subscription"),
        ("update subscriber set name = cast(x'c3' as text) where id = 2", "other rows in subscriber"),
        ("drop index consent_by_subscriber", "another schema"),
    ],
)
def test_a_copy_that_lacks_anything_is_no_copy(
    here: World, monkeypatch: pytest.MonkeyPatch, harm: str, says: str
) -> None:
    compare = transcript._compare

    def harmed(old: sqlite3.Connection, new: sqlite3.Connection, path: Path) -> None:
        new.execute(harm)
        compare(old, new, path)

    monkeypatch.setattr(transcript, "_compare", harmed)
    before = dumped(here.database)
    assert f"no true copy: it has {says}" in here.run("encrypt", status=73).err
    assert dumped(here.database) == before
    assert not left_behind(here.database)


def test_who_did_it_is_in_the_log(here: World) -> None:
    for verb in ("encrypt", "rekey", "decrypt"):
        here.run(verb)
    with closing(sqlite3.connect(here.database)) as conn:
        said = conn.execute("select what, who from audit where what like 'database %' order by id").fetchall()
    assert [what for what, _ in said] == ["database encrypt", "database rekey", "database decrypt"]
    assert all(who for _, who in said)


# kill -9


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with nursery(tmp_path_factory.mktemp("said")) as parent:
        yield parent


def with_log(here: World, born: Nursery) -> None:
    """Somebody joins, and the process that wrote it down is killed: it stands in the log of the database alone."""
    words = ("subscribers", "add", "late@example.org", "--list", "news", "--consent", "by phone")
    assert born.run("-C", str(here.root), *words, point=("after a commit", 1))[0] == -9
    assert here.database.with_name("broadcaster.db-wal").stat().st_size


@pytest.mark.parametrize("verb", ["encrypt", "rekey", "decrypt"])
def test_whoever_is_killed_leaves_the_old_or_the_new_and_the_next_command_cleans_up(
    verb: str, here: World, born: Nursery
) -> None:
    root, key, database = ("-C", str(here.root)), key_file(here), here.database
    settings_text = (here.root / "broadcaster.toml").read_text()
    if verb == "encrypt":
        (here.root / "broadcaster.toml").write_text(settings_text.partition("[encryption]")[0])
        with_log(here, born)
        (here.root / "broadcaster.toml").write_text(settings_text)
        start, end = "", None
    else:
        here.run("encrypt")
        start, end = key_of(here), "" if verb == "decrypt" else None
    whole = dumped(database, start)
    first = {each: each.read_bytes() for each in (*people(here).iterdir(), key) if each.exists()}
    for nth in range(1, 200):
        for each in (*people(here).iterdir(), key, key.with_name(f"{key.name}.new")):
            each.unlink(missing_ok=True)
        for each, octets in first.items():
            each.write_bytes(octets)
            each.chmod(0o600)
        status, said = born.run(*root, verb, point=("on the disk", nth))
        if status != -9:
            assert status == 0, said
            break
        # whoever comes next, whatever it is
        met = here.run("lists", status=(0, 78))
        assert met.status == 0 or "run `broadcaster encrypt`" in met.err, (nth, met)
        assert not left_behind(database), nth
        now = key_of(here) if key.exists() else ""
        changed = database.read_bytes()[:16] != door.PLAIN if verb == "encrypt" else now != start
        if verb == "decrypt":
            changed = met.status == 78
            now = "" if changed else start
        elif verb == "encrypt" and not changed:
            now = ""
        assert dumped(database, now) == whole, nth
        if changed and verb != "decrypt":
            assert not readable(people(here)), nth
        here.run(verb)
        assert dumped(database, key_of(here) if end is None else end) == whole, nth
        assert verb == "decrypt" or not readable(people(here)), nth
        assert not key.with_name(f"{key.name}.new").exists()
    else:
        raise AssertionError("it never came to its end")
    assert nth > 20


def test_what_was_plain_is_overwritten_where_it_lay(here: World, born: Nursery) -> None:
    toml = here.root / "broadcaster.toml"
    text = toml.read_text()
    toml.write_text(text.partition("[encryption]")[0])
    with_log(here, born)
    toml.write_text(text)
    old = [each.open("rb") for each in (here.database, here.database.with_name("broadcaster.db-wal"))]
    assert b"late@example.org" in old[1].read()
    here.run("encrypt")
    for file in old:
        file.seek(0)
        octets = file.read()
        assert len(octets) > 10_000
        assert ADDRESS not in octets
        assert door.PLAIN not in octets
        file.close()
    assert "late@example.org" in here.run("subscribers").out


def test_who_waits_for_the_database_meanwhile_writes_into_the_new_one(
    here: World, born: Nursery, tmp_path: Path
) -> None:
    waiting, going = tmp_path / "waiting", tmp_path / "going"
    replace = transcript.replace

    def slowly(path: Path, new: Path, turn: Callable[[], None]) -> None:
        waiting.touch()
        while not going.exists():
            time.sleep(0.01)
        replace(path, new, turn)

    def late() -> bool:
        """It has the old file open, and waits."""
        files = Path(f"/proc/{child.pid}/fd")
        return any(each.resolve() == here.database for each in files.iterdir())

    pid = os.fork()
    if pid == 0:
        transcript.replace = slowly  # type: ignore[assignment]
        os._exit(_run(["-C", str(here.root), "encrypt"]))
    while not waiting.exists():
        time.sleep(0.01)
    with subprocess.Popen(
        [sys.executable, "-c", LATE, str(here.database), key_of(here)], stdout=subprocess.PIPE, text=True
    ) as child:
        end = time.monotonic() + 20
        while not late():
            assert time.monotonic() < end
            time.sleep(0.01)
        going.touch()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        said, _ = child.communicate(timeout=60)
    assert said == "done\n"
    assert "late" in here.run("lists").out


# begins with the old file, whatever the settings say: as a command that had looked a moment before
LATE = """
import sys
from pathlib import Path
from broadcaster import db
from broadcaster.roster import Roster
path, key = Path(sys.argv[1]), sys.argv[2]
opened = db._opened
def early(path, found, keys):
    return opened(path, found, None if found.plain else keys)
db._opened = early
at = db.open_database(path, keys=lambda: iter((key,)))
assert Roster(at, lambda: 7).create_list("late", "example.org", {})
at.close()
print("done")
"""


def test_a_key_that_cannot_be_kept_changes_nothing(here: World, tmp_path: Path) -> None:
    settings_of(here, f'key_file = "{tmp_path / "no stick" / "the.key"}"')
    assert "no such file or directory" in here.run("encrypt", status=73).err
    assert here.database.read_bytes()[:16] == door.PLAIN
    settings_of(here, 'key_file = "~nobody-of-that-name/the.key"')
    assert "nobody knows where ~ is" in here.run("encrypt", status=78).err


# who else is there


def test_while_somebody_sends_nothing_is_encrypted(here: World) -> None:
    before = here.database.read_bytes()
    lock = Lock(here.root / "subscribers" / "sender.lock")
    assert lock.take()
    for words in (["encrypt"], ["encrypt", "--dry-run"], ["decrypt"], ["rekey"]):
        assert "another process is sending" in here.run(*words, status=75).err
    lock.release()
    assert here.database.read_bytes() == before
    assert not key_file(here).exists()


def test_while_another_command_has_the_database_nothing_is_encrypted(here: World) -> None:
    code = "import sys, time; from pathlib import Path; from broadcaster.db import open_database;"
    code += "db = open_database(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"
    with (
        mock.patch.object(transcript, "PATIENCE", 0.1),
        subprocess.Popen(
            [sys.executable, "-c", code, str(here.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other,
    ):
        assert other.stdout
        other.stdout.read(1)
        for words in (["encrypt"], ["encrypt", "--dry-run"]):
            assert "another command has the database open" in here.run(*words, status=75).err
        other.communicate()
    assert not left_behind(here.database)
    here.run("encrypt")


def test_a_dry_run_changes_nothing(here: World) -> None:
    before = here.database.read_bytes()
    assert here.run("encrypt", "--dry-run", "--json").json == {"encrypted": False, "changed": False}
    assert here.database.read_bytes() == before
    assert not key_file(here).exists()
    here.run("encrypt")
    before, key = here.database.read_bytes(), key_of(here)
    assert here.run("rekey", "--dry-run", "--json").json == {"encrypted": True, "changed": False}
    assert here.run("decrypt", "--dry-run", "--json").json == {"encrypted": True, "changed": False}
    assert (here.database.read_bytes(), key_of(here)) == (before, key)


def test_without_room_on_the_disk_nothing_is_changed(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dumped(here.database)
    full = mock.Mock(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    for words in (["encrypt", "--dry-run"], ["encrypt"]):
        assert "the disk is nearly full" in here.run(*words, status=73).err
    assert dumped(here.database) == before
    assert not left_behind(here.database)


# keys


def test_a_key_that_does_not_fit_or_is_not_there_is_said_and_nothing_happens(here: World) -> None:
    assert "run `broadcaster encrypt`" in here.run("lists", status=78).err
    assert "is not encrypted" in here.run("rekey", status=78).err
    here.run("encrypt")
    assert here.run("encrypt", "--json").json == {"encrypted": True, "changed": False}
    assert key_file(here).stat().st_mode & 0o777 == 0o600
    good, before = key_of(here), here.database.read_bytes()
    file = key_file(here)
    for text, says in (
        (OTHER, "cannot be read with the key"),
        ("hunter2", "is no key: one is 64 hexadecimal digits"),
        ("", "is no key"),
        (None, "the key of the database is missing"),
    ):
        file.unlink()
        if text is not None:
            file.touch(0o600)
            file.write_text(text)
        for words in (["lists"], ["status"], ["encrypt"], ["rekey"], ["decrypt"], ["run"]):
            said = here.run(*words, status=78)
            assert says in said.err
            assert not text or text not in said.err + said.out
        assert file.exists() == (text is not None)
        file.touch(0o600)
    file.write_text(good)
    file.chmod(0o644)
    assert "can be read by others" in here.run("lists", status=78).err
    file.chmod(0o600)
    (here.root / "broadcaster.toml").write_text(
        (here.root / "broadcaster.toml").read_text().partition("[encryption]")[0]
    )
    assert "[encryption] must say where the key is" in here.run("lists", status=78).err
    assert "there is no [encryption]" in here.run("encrypt", status=78).err
    assert here.database.read_bytes() == before


def test_without_the_library_it_says_what_to_install(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    here.run("encrypt")
    monkeypatch.setattr(door, "_cipher", door._cipher.__wrapped__)
    with mock.patch.dict(sys.modules, {"sqlcipher3": None}):
        for words in ("lists", "decrypt"):
            assert "pip install 'broadcaster[encrypted]'" in here.run(words, status=78).err
    settings_of(here, 'keyring = "news"')
    with mock.patch.dict(sys.modules, {"keyring": None}):
        assert "pip install 'broadcaster[encrypted]'" in here.run("lists", status=78).err


def test_whoever_has_no_encryption_never_loads_it(tmp_path: Path) -> None:
    plain = world(tmp_path / "workspace")
    code = "import sys; from broadcaster.cli import _run; _run(sys.argv[1:]);"
    code += "assert not {'sqlcipher3', 'keyring', 'broadcaster.keys', 'broadcaster.transcript'} & set(sys.modules)"
    for words in (["status"], ["--help"], ["lists"]):
        subprocess.run([sys.executable, "-c", code, "-C", str(plain.root), *words], check=True, capture_output=True)


def test_the_key_may_come_from_a_command(here: World, tmp_path: Path) -> None:
    told, new = tmp_path / "told", tmp_path / "new key"
    told.write_text(f"{KEY.upper()}\r\n")
    settings_of(here, f"key_command = \"cat '{told}'\"")
    here.run("encrypt")
    assert here.run("lists", "--json").json
    assert transcript.readable(here.database, KEY)
    here.run("rekey", status=2)
    assert "no new key" in here.run("rekey", "--new-key-file", str(new), status=78).err
    new.touch(0o600)
    new.write_text("short")
    assert "is no key" in here.run("rekey", "--new-key-file", str(new), status=78).err
    new.write_text(KEY)
    assert "is the key already" in here.run("rekey", "--new-key-file", str(new), status=78).err
    new.write_text(OTHER)
    assert "until key_command tells the new key" in here.run("rekey", "--new-key-file", str(new)).err
    assert "cannot be read" in here.run("lists", status=78).err
    told.write_text(OTHER)
    here.run("lists")
    settings_of(here, 'key_command = "exit 3"')
    assert "the command that should tell the key failed" in here.run("lists", status=78).err


def test_the_key_may_be_in_the_keyring_of_the_system(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring
    from keyring.backends.fail import Keyring as NoKeyring

    from tests.lab.pocket import Pocket

    monkeypatch.setenv("POCKET", str(tmp_path / "pocket"))
    before = keyring.get_keyring()
    try:
        keyring.set_keyring(Pocket())  # type: ignore[no-untyped-call]
        settings_of(here, 'keyring = "news"')
        here.run("encrypt")
        first = keyring.get_password("broadcaster", "news")
        assert first
        assert transcript.readable(here.database, first)
        here.run("rekey")
        assert keyring.get_password("broadcaster", "news") != first
        assert keyring.get_password("broadcaster", "news.new") is None
        assert here.run("lists", "--json").json
        keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
        assert "the keyring of the system cannot be used" in here.run("lists", status=78).err
    finally:
        keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs one of key_file, key_command, keyring"),
        ('key_file = "a"\nkeyring = "b"', "only one of"),
        ('key_env = "KEY"', "no such key"),
        (f'key = "{KEY}"', "no such key"),
        (f'key_file = "{KEY}"', "must say where the key is, and not the key itself"),
        (f'key_command = "echo {KEY}"', "must say where the key is, and not the key itself"),
        (f'keyring = "{KEY.upper()}"', "must say where the key is, and not the key itself"),
        ("key_file = 5", "must be text in quotes"),
    ],
)
def test_a_key_is_in_a_file_a_command_or_the_keyring_and_nowhere_else(here: World, text: str, says: str) -> None:
    settings_of(here, text)
    said = here.run("encrypt", status=78).err
    assert says in said
    assert KEY not in said.lower()


def test_no_key_is_told_or_kept_elsewhere(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: set[str] = set()
    ran = []
    kept = key_file(here)
    for verb in ("encrypt", "lists", "rekey", "run", "log", "decrypt", "encrypt", "rekey"):
        ran.append(here.run(verb))
        keys.add(key_of(here))
    full = mock.Mock(free=0)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: full)
        ran.append(here.run("rekey", status=73))
        keys.add(key_of(here))
    kept.write_text(OTHER)
    ran += [here.run(verb, status=78) for verb in ("lists", "encrypt", "rekey", "decrypt")]
    keys.add(OTHER)
    assert len(keys) == 4
    for key in keys:
        assert not any(key in each.out + each.err for each in ran)
        for form in (key.encode(), bytes.fromhex(key)):
            assert not readable(here.root, form)


# the door


def test_errors_of_the_other_driver_are_those_of_sqlite(tmp_path: Path) -> None:
    db = open_database(tmp_path / "people.db", keys=lambda: iter((KEY,)))
    db.conn.execute("insert into field values ('x')")
    with pytest.raises(sqlite3.IntegrityError) as met:
        db.conn.execute("insert into field values ('x')")
    assert met.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CONSTRAINT
    with pytest.raises(sqlite3.OperationalError):
        db.conn.execute("select nothing")
    with pytest.raises(sqlite3.ProgrammingError):
        db.conn.execute("select ?", ())
    assert (db.encrypted, db.conn.execute("pragma temp_store").fetchone()) == (True, (2,))
    assert (tmp_path / "people.db").stat().st_mode & 0o777 == 0o600
    db.close()


@pytest.mark.parametrize("at", [1, 3, 8])
def test_damage_to_an_encrypted_database_is_a_configuration_error(here: World, at: int) -> None:
    here.run("encrypt")
    whole = bytearray(here.database.read_bytes())
    for place in range(4096 * at + 99, len(whole), 4096):
        whole[place] ^= 0xFF
    here.database.write_bytes(whole)
    for words in (["lists"], ["status"], ["subscribers"], ["run"], ["decrypt"]):
        said = here.run(*words, status=(0, 65, 78))
        assert "malformed" not in said.err or "restore it from a backup" in said.err
    assert here.run("decrypt", status=78).err
    assert not left_behind(here.database)


def test_a_link_in_the_place_of_the_new_file_leads_nowhere(here: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    here.database.with_name("broadcaster.db.new").symlink_to(elsewhere)
    here.run("encrypt")
    assert elsewhere.read_text() == "mine"
    assert not here.database.is_symlink()


def test_a_database_of_a_newer_program_is_left_alone(here: World) -> None:
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute("pragma user_version = 900")
    assert "a newer broadcaster" in here.run("encrypt", status=78).err
    assert here.database.read_bytes()[:16] == door.PLAIN
    assert not left_behind(here.database)
    with pytest.raises(ConfigError):
        open_database(here.database)


def test_who_was_erased_is_learnt_from_an_encrypted_database_too(here: World, tmp_path: Path) -> None:
    here.run("encrypt")
    backup = here.database.read_bytes()
    here.run("subscribers", "erase", "p1@example.org", "--yes")
    newer = tmp_path / "newer.db"
    newer.write_bytes(here.database.read_bytes())
    here.database.write_bytes(backup)
    again = ("subscribers", "erase", "--as-in", str(newer), "--yes")
    assert [each["address"] for each in here.run(*again, "--json").json] == ["p1@example.org"]
    assert "erased" in here.run("subscribers", "show", "p1@example.org", status=65).err
    assert sorted(each.name for each in tmp_path.glob("newer.db*")) == ["newer.db"]
    # with another key it is noise
    here.run("rekey")
    assert "key" in here.run(*again, status=78).err


# the main job


def test_the_main_job_leaves_no_address_in_any_file_of_an_encrypted_workspace(place: Place, server: Remote) -> None:
    """Imported, changed, mailed, read again: nothing below subscribers/ tells an address, then or meanwhile."""
    key = place.root.parent / "the.key"
    place.configure(server.port, more=f'\n[encryption]\nkey_file = "{key}"\n')
    place.statement("june", en="---\nsubject: Hello\n---\nHello {{ subscriber.name }}, {{ subscriber.city }}\n")
    folder = place.root / "subscribers"
    (folder / "sample.csv").unlink()
    place.run("encrypt")

    def secret(when: str) -> None:
        for word in (b"@river.example", b"Somebody", b"Basra-on-sea"):
            assert not readable(folder, word), (when, word)

    rows = "".join(f"p{n}@river.example,Somebody {n},Basra-on-sea\n" for n in range(3_000))
    assert place.people(f"email,name,city\n{rows}").json["new"] == 3_000
    again = rows.replace("Somebody 7,", "Somebody Else 7,") + "P7@RIVER.EXAMPLE,,Erbil\n"
    assert place.people(f"email,name,city\n{again}").json["changed"] > 0
    secret("after the import")
    place.run("subscribers", "unsubscribe", "p5@river.example")
    sending = place.start("send", "june", "--list", "news", "--yes")
    log = folder / "broadcaster.db-wal"
    while sending.poll() is None:
        secret("while sending")
        time.sleep(0.05)
    assert (sending.returncode, log.exists()) == (0, False)
    done: Ran = place.run("status", "1", "--json")
    assert (done.json["accepted"], done.json["state"]) == (2_999, "finished")
    report = next(message for message in server.messages if "p9@river.example" in message.recipients)
    returned = place.root / "returned"
    returned.write_bytes(BOUNCE.replace(b"ORIGINAL", report.data.partition(b"\r\n\r\n")[0]))
    place.run("collect", str(returned))
    where = "city = BASRA-ON-SEA and was not sent mailing 1 or name like '%else'"
    assert "p7@river.example" in place.run("audience", "--list", "news", "--where", where).out
    assert "p9@river.example" in place.run("bounces").out
    assert "bounced" in place.run("why", "p9@river.example").out
    assert place.run("subscribers", "show", "p7@river.example", "--json").json["name"] == "Somebody Else 7"
    assert len(place.run("subscribers", "export", "--list", "news").out.splitlines()) > 2_900
    place.run("subscribers", "erase", "p11@river.example", "--yes")
    secret("in the end")
    place.run("rekey")
    secret("under a new key")
    place.run("decrypt")
    assert readable(folder, b"@river.example") == ["broadcaster.db"]


BOUNCE = b"""\
From: MAILER-DAEMON@mx.example\r
To: news@water.example\r
Subject: Undelivered\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
No such user.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example\r
\r
Final-Recipient: rfc822; p9@river.example\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 no such user\r
\r
--b\r
Content-Type: text/rfc822-headers\r
\r
ORIGINAL\r
--b--\r
"""
