"""Who is erased is in no byte that we wrote, gets nothing more, and comes back by nobody's word but their own."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import re
import sqlite3
import stat
import tempfile
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from quopri import decodestring

import pexpect
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from broadcaster import forgetting, intake
from broadcaster.address import Address
from broadcaster.cli.house import House
from broadcaster.consent import Proof
from broadcaster.db import open_database
from broadcaster.delimited import Csv
from broadcaster.delivery import State
from broadcaster.erasure import Erasure
from broadcaster.forgetting import Grounds, forget
from broadcaster.guise import Guise
from broadcaster.ledger import Ledger
from broadcaster.roster import Details, Roster
from broadcaster.sheet import Sheet
from tests.conftest import Place
from tests.lab.circle import RETURNS, Sent, dsn, sent
from tests.lab.server import Rule, running
from tests.lab.world import World, world
from tests.test_control import ask, started
from tests.test_sending import configured, ended, june, people, until

__all__ = ["june"]

QUOTING = "---\nsubject: For {{ subscriber.email }}\n---\nDear {{ subscriber.name }}, you are {{ subscriber.email }}.\n"
ARABIC = (
    "---\nsubject: إلى {{ subscriber.email }}\n---\nعزيزي القارئ، عنوانك هو {{ subscriber.email }} كما كتبته لنا.\n"
)
# words that stand nowhere else
NAME, CITY, OLD = "Quaxolotl Zwirbelmaier", "Xylophontal", "Ypsilonshausen"


def texts(octets: bytes) -> Iterator[bytes]:
    """What these octets say, plainly or packed in the ways that mail and we pack things; by other means than ours."""
    yield octets
    yield decodestring(octets)
    yield octets.replace(b"\0", b"")  # UTF-16
    for run in re.findall(rb"[A-Za-z0-9+/]{12,}", octets.replace(b"\r", b"").replace(b"\n", b"")):
        for begin in range(4):
            yield b64decode(run[begin : begin + (len(run) - begin) // 4 * 4])


def holds(octets: bytes, words: set[str]) -> bool:
    return any(word.encode().lower() in each.lower() for each in texts(octets) for word in words)


def rows(database: Path, words: set[str]) -> list[tuple[str, str]]:
    """Tables and columns in which one of the words is, whatever tables there are."""
    found = []
    with closing(sqlite3.connect(database)) as conn:
        tables = conn.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            cursor = conn.execute(f'select * from "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for column, value in zip(names, row, strict=True):
                    octets = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""
                    with suppress(zlib.error):
                        octets += zlib.decompress(octets)
                    if holds(octets, words):
                        found.append((table, column))
    return found


def files(root: Path, words: set[str], foreign: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Files in which one of the words is."""
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and str(path.relative_to(root)) not in foreign
        and holds(path.read_bytes() + os.fsencode(path.name), words)
    ]


def lived(root: Path, address: str) -> World:
    """A workspace in which somebody has left traces wherever there are any."""
    made = world(root, 2, QUOTING)
    (root / "people.csv").unlink()
    toml = root / "broadcaster.toml"
    text = (
        toml.read_text()
        .replace('"smtp://127.0.0.1:9"\ntls = "none"', '"maildir:outbox"')
        .replace("[returns]\n", RETURNS)
    )
    toml.write_text(text)
    (root / "statements" / "june" / "ar.md").write_text(ARABIC, encoding="utf-8")
    for layout in (root / "templates").glob("*.html"):
        # to lay out styles takes longest of all
        layout.write_text(re.sub(r"(?<=\n)<style.*?</style>", "", layout.read_text(), flags=re.DOTALL))
    shown = Address.parse(address).shown
    with tempfile.TemporaryDirectory() as folder:
        for number, city in enumerate((OLD, CITY)):
            csv = Path(folder) / f"{number} {address.replace('/', '_')}.csv"
            csv.write_text(
                f'email,name,language,city,note\n"{shown}","{NAME}",ar,{city},\n'
                f'other@else.example,Other,,Basra,"friend of {shown}, and more"\n',
                encoding="utf-8",
            )
            made.run("subscribers", "import", str(csv), "--list", "news", "--consent", f"told by {address}", "--yes")
        made.run("lists", "create", "board")
        made.run("subscribers", "add", address, "--list", "board", "--consent", f"{address} wrote: yes, please")
        made.run("subscribers", "unsubscribe", "p2@example.org", "--list", "news", "--reason", f"moved to {address}")
        made.run("send", "june", "--list", "news", "--again", "--yes")
        made.run("test", "june", address)
        # a test copy has a number that nobody gave
        copy = next(
            octets
            for path in (root / "outbox" / "new").iterdir()
            if f"Delivered-To: {address}\n".encode() in (octets := path.read_bytes()) and len(path.suffix) < 5
        )
        path = copy.split(b"\n")[0].removeprefix(b"Return-Path: <").removesuffix(b">").decode()
        for number, report in enumerate(
            (
                dsn(path, address, words=f"550 5.1.1 <{address}> unknown here"),
                dsn("bounces@water.example", address),
                dsn("bounces@water.example", "p1@example.org", words=f"550 said the friend of {address}"),
            )
        ):
            (Path(folder) / f"{number}.eml").write_text(report, encoding="utf-8")
        made.run("collect", *(str(each) for each in sorted(Path(folder).glob("*.eml"))))
    made.run("suppressions", "add", "third@else.example", "--reason", f"was told by {address}")
    with closing(sqlite3.connect(made.database)) as conn:
        # as relays have it
        conn.execute("update attempt set reply = ?", (f"2.1.5 <{address}>... recipient ok",))
        conn.execute("update mailing set reason = ? where id = 1", (f"main refuses us: 550 <{address}> no",))
        conn.commit()
    return made


def sums(database: Path) -> None:
    """The states of each mailing add up to its audience, as counted and as they are."""
    with closing(sqlite3.connect(database)) as conn:
        for number, audience in conn.execute("select id, audience from mailing").fetchall():
            tally = dict(conn.execute("select state, number from tally where mailing = ? and number", (number,)))
            found = dict(conn.execute("select state, count(*) from delivery where mailing = ? group by 1", (number,)))
            assert tally == found
            assert sum(found.values()) == audience


locals_ = st.text("abzAZ09+_%'-äØжم", min_size=6, max_size=16).filter(
    lambda text: text[0].isalpha() and sum(map(str.isalpha, text)) > 3
)
domains = st.sampled_from(["quax.example.org", "bücher.example", "پارس.example"])


# a life takes a second: one that fails is looked at as it is
@settings(max_examples=2, phases=(Phase.explicit, Phase.generate))
@given(locals_, domains)
@example("Anna.O'Neill+news", "quax.example.org")
@example("мария_%50", "bücher.example")
def test_after_erase_they_are_in_no_byte_that_we_wrote(local: str, domain: str) -> None:
    address = Address.parse(f"{local}@{domain}")
    with tempfile.TemporaryDirectory() as folder:
        made = lived(Path(folder) / "workspace", str(address))
        words = {str(address), address.shown, address.key, NAME, CITY, OLD}
        # they were in many places: this test would find them
        assert len({table for table, _ in rows(made.database, words)}) >= 8
        assert len(files(made.root, words)) >= 3
        told = made.run("subscribers", "erase", str(address), "--yes", "--json").json
        assert told["clean"]
        assert told["still_in"] == []
        assert told["rehearsals"] == 3
        assert rows(made.database, words) == []
        assert files(made.root, words) == []
        sums(made.database)
        # others are as they were
        assert made.run("subscribers", "show", "other@else.example", "--json").json["fields"] == {
            "city": "Basra",
            "note": "friend of [erased], and more",
        }
        assert [row["address"] for row in made.run("suppressions", "--json").json] == ["third@else.example"]
        assert made.run("mailings", "--json").json[0]["audience"] == 3
        assert "they were erased" in made.run("why", str(address)).out
        with closing(sqlite3.connect(made.database)) as conn:
            assert conn.execute("pragma integrity_check").fetchone() == ("ok",)
            assert conn.execute("pragma foreign_key_check").fetchall() == []
        # and again, for whatever may have come since
        assert made.run("subscribers", "erase", str(address), "--yes", "--json").json["rows"] == {}


def test_rows_that_have_moved_from_page_to_page_leave_nothing_behind(tmp_path: Path) -> None:
    """`secure_delete` does not know where a row lay before its page was split: the file is written anew."""
    roster, erasure, _ = stays(tmp_path)
    conn, dice = roster.db.conn, random.Random(3)
    everybody = [Address.parse(f"person-{number:05}@quax.example") for number in range(1500)]
    dice.shuffle(everybody)
    with roster.db.atomic():
        for each in everybody:
            conn.execute(
                "insert into subscriber (id, key, address, fields, created, changed) values (?1, ?2, ?2, ?3, 0, 0)",
                (10 + int(each.key[7:12]), each.key, f'{{"bio":"{"x" * dice.randint(1, 200)}"}}'),
            )
            roster.suppress(each, "bounced")
        for each in everybody[:900]:
            fields = f'{{"bio":"{"y" * dice.randint(1, 600)}"}}'
            conn.execute("update subscriber set fields = ? where key = ?", (fields, each.key))
    gone, last = everybody[1:700], everybody[0]
    with roster.db.atomic():
        for each in gone:
            conn.execute("delete from subscriber where key = ?", (each.key,))
            conn.execute("delete from suppression where key = ?", (each.key,))
    forget(erasure, Ledger(roster.db), Guise(last), Grounds(tmp_path, [], [roster.db.path]))
    octets = roster.db.path.read_bytes()
    assert [str(each) for each in everybody[:700] if str(each).encode() in octets] == []
    assert conn.execute("select count(*) from subscriber").fetchone() == (801,)


# they stay away


def stays(folder: Path) -> tuple[Roster, Erasure, Address]:
    db = open_database(folder / "broadcaster.db", who="tester")
    roster = Roster(db, lambda: 100)
    roster.create_list("news", "example.org", {})
    roster.create_list("board", "example.org", {})
    erasure = Erasure(db, lambda key: hashlib.blake2b(key.encode(), key=b"k").digest(), lambda: 100)
    address = Address.parse("Änna@bücher.example")
    roster.add(address, Details("Anna"), roster.list("news"), "yes")
    return roster, erasure, address


def gone(roster: Roster, erasure: Erasure, address: Address) -> None:
    root = roster.db.path.parent
    forget(erasure, Ledger(roster.db), Guise(address), Grounds(root, [root / "outbox"], [roster.db.path]))


SPELLINGS = [
    "Änna@bücher.example", "änna@BÜCHER.example", "ÄNNA@xn--bcher-kva.example", "Anna <änna@bücher.example>",
    "mailto:Änna@bücher.example", "änna@bücher.example (Anna)",
]  # fmt: skip


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["news", "board"]),
            st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=3),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_sequence_of_files_brings_them_back(imports: list[tuple[str, list[str], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        roster, erasure, address = stays(Path(folder))
        gone(roster, erasure, address)
        for to, spellings, again in imports:
            text = "email,name\n" + "".join(f'"{each}",X\n' for each in spellings) + "new@example.org,New\n"
            file = Path(folder) / "in.csv"
            file.write_text(text, encoding="utf-8")
            with (
                file.open("rb") as stream,
                intake.opened(roster.db, roster.list(to), lambda: 200, Path(folder), erasure.veil) as job,
            ):
                job.stage(Sheet(Csv(stream, "utf-8")))
                shown = job.compare()
                assert shown.erased == 1
                assert shown.rows == shown.new + shown.changed + shown.unchanged + shown.erased + shown.duplicates
                _, figures = job.apply(file="in.csv", digest="", who="tester", consent="again")
                assert figures == shown
            file.unlink()
            if again:
                gone(roster, erasure, address)
            assert roster.find(address) is None
            assert files(Path(folder), {str(address), address.shown, address.key}) == []
        roster.db.close()


def test_only_their_own_word_brings_them_back_and_the_record_says_so(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    made.run("subscribers", "erase", "p1@example.org", "--yes")
    assert "erased" in made.run("subscribers", "show", "p1@example.org", status=65).err
    assert "erased" in made.run("subscribers", "edit", "p2@example.org", "--address", "P1@example.org", status=77).err
    assert "erased" in made.run("suppressions", "add", "p1@example.org", "--reason", "x", status=77).err
    back = ("subscribers", "add", "p1@example.org", "--list", "news", "--consent", "I ask to come back")
    made.run(*back)
    consents = made.run("subscribers", "show", "p1@example.org", "--json").json["consents"]
    assert [(each["how"], each["after"]) for each in consents] == [("add", "erased")]
    assert "after having been erased" in made.run("why", "p1@example.org").out
    # from now on they are as everybody is
    csv = tmp_path / "in.csv"
    csv.write_text("email,name\np1@example.org,Peter\n")
    assert made.run("subscribers", "import", str(csv), "--list", "news", "--yes", "--json").json["changed"] == 1


@pytest.mark.parametrize("reason", ["complained", "bounced"])
def test_who_complained_before_is_not_brought_back_by_a_form(tmp_path: Path, reason: str) -> None:
    made = world(tmp_path / "workspace")
    made.run("suppressions", "add", "p1@example.org", "--reason", reason)
    made.run("subscribers", "erase", "p1@example.org", "--yes")
    made.run("subscribers", "erase", "p1@example.org", "--yes")
    back = ("subscribers", "add", "p1@example.org", "--list", "news", "--consent", "says yes")
    assert reason in made.run(*back, status=77).err
    made.run("suppressions", "remove", "p1@example.org")
    made.run("suppressions", "remove", "p1@example.org", status=65)
    made.run(*back)


def test_a_database_restored_from_before_knows_again_who_was_erased(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    (made.root / "people.csv").unlink()
    backup = made.database.read_bytes()
    made.run("subscribers", "erase", "p1@example.org", "--yes")
    made.run("subscribers", "erase", "p3@example.org", "--yes")
    newer = tmp_path / "newer.db"
    newer.write_bytes(made.database.read_bytes())
    made.database.write_bytes(backup)
    again = ("subscribers", "erase", "--as-in", str(newer))
    assert len(made.run(*again, "--dry-run", "--json").json) == 2
    made.run("subscribers", "show", "p1@example.org")
    made.run(*again, status=2)
    told = made.run(*again, "--yes", "--json").json
    assert [(each["address"], each["closed"]) for each in told] == [("p1@example.org", 1), ("p3@example.org", 1)]
    assert files(made.root, {"p1@example.org", "p3@example.org"}) == []
    assert "erased" in made.run("subscribers", "show", "p1@example.org", status=65).err
    assert made.run(*again, "--yes", "--json").json == []
    # another workspace's hashes are made with another key
    other = world(tmp_path / "other")
    with closing(sqlite3.connect(other.database)) as conn:
        conn.execute("update mark set id = 'another'")
        conn.commit()
    assert "another workspace" in other.run(*again, "--yes", status=65).err
    assert "database" in other.run("subscribers", "erase", "--as-in", "none.db", "--yes", status=65).err
    other.run("subscribers", "erase", "--yes", status=2)
    other.run("subscribers", "erase", "p1@example.org", "--as-in", "none.db", "--yes", status=2)


# the record only grows


def test_the_record_of_consents_only_grows(tmp_path: Path) -> None:
    roster, _, address = stays(tmp_path)
    other, _ = roster.add(Address.parse("other@example.org"), Details(), roster.list("news"), "yes")
    of = roster.known(str(address))
    conn = roster.db.conn
    for statement in (
        "update consent set wording = 'no'",
        "update consent set at = 0 where id = 1",
        f"delete from consent where subscriber = {of.id}",
        "delete from consent",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            conn.execute(statement)
    # of others not even while one is erased
    conn.execute("begin")
    conn.execute("insert into erasing values (?)", (of.id,))
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        conn.execute("delete from consent where subscriber = ?", (other.id,))
    conn.execute("rollback")
    before = roster.consents(of)
    roster.leave(of, roster.lists(), "by phone")
    roster.add(address, Details(), roster.list("news"), "I am back", Proof("de"))
    roster.remove(of, roster.lists(), "moved")
    record = roster.consents(of)
    assert record[: len(before)] == before
    assert [(each.how, each.proof.after, each.proof.language, each.who) for each in record[1:]] == [
        ("leave", "", "", "tester"),
        ("add", "left", "de", "tester"),
        ("remove", "", "", "tester"),
    ]


def test_a_consent_says_who_when_how_and_what_shows_it(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    form = tmp_path / "form.pdf"
    form.write_bytes(b"signed")
    words = ("--consent", "ich will", "--consent-language", "German", "--evidence", str(form))
    made.run("subscribers", "add", "eve@example.org", "--list", "news", *words)
    (entry,) = made.run("subscribers", "show", "eve@example.org", "--json").json["consents"]
    assert entry["digest"] == hashlib.sha256(b"signed").hexdigest()
    assert (entry["language"], entry["file"], entry["wording"]) == ("de", "form.pdf", "ich will")
    assert entry["who"]
    (entry,) = made.run("why", "p1@example.org", "--json").json["consents"]
    digest = hashlib.sha256((made.root / "people.csv").read_bytes()).hexdigest()
    assert (entry["how"], entry["import"], entry["digest"]) == ("import people.csv", 1, digest)
    assert (
        f"import 1, people.csv, SHA-256 {digest}, entered by " in made.run("subscribers", "show", "p1@example.org").out
    )
    made.run(
        "subscribers", "add", "x@example.org", "--list", "news", "--consent", "y", "--evidence", "no.pdf", status=65
    )


# while a sender is at work


def test_who_is_erased_while_a_relay_thinks_gets_nothing_and_nothing_of_them_is_written(june: Place) -> None:
    with running(Rule("dot", delay=2.0, address="p1@example.org")) as lab:
        configured(june, lab, connections=1)
        people(june, 6)
        (june.root / "people.csv").unlink()
        june.run("prepare", "june", "--list", "news")
        sender = started(june, lab, messages=1)
        told = june.run("subscribers", "erase", "p3@example.org", "--yes", "--json").json
        assert (told["closed"], told["clean"], told["still_in"]) == (1, True, [])
        assert ended(sender)[0] == 0
        assert Counter(lab.addresses()) == {f"p{i}@example.org": 1 for i in (0, 1, 2, 4, 5)}
    done = june.run("status", "1", "--json").json
    assert (done["accepted"], done["suppressed"], done["audience"], done["state"]) == (5, 1, 6, "finished")
    sums(june.root / "subscribers" / "broadcaster.db")
    assert files(june.root, {"p3@example.org", "Person 3"}) == []


@pytest.mark.parametrize(
    ("answer", "patience"),
    [
        ("550 5.1.1 <p0@example.org> is unknown", forgetting.PATIENCE),
        # nobody waits for the answer, which comes when all is cleaned
        ("250 2.0.0 <p0@example.org> has it", 0.0),
    ],
)
def test_whose_copy_is_on_a_wire_gets_that_one_and_the_answer_is_kept_without_their_name(
    june: Place, monkeypatch: pytest.MonkeyPatch, answer: str, patience: float
) -> None:
    monkeypatch.setattr(forgetting, "PATIENCE", patience)
    with running(Rule("dot", answer, delay=2.0, address="p0@example.org")) as lab:
        configured(june, lab, connections=1)
        people(june, 2)
        (june.root / "people.csv").unlink()
        june.run("prepare", "june", "--list", "news")
        sender = june.start("send", "1", "--yes")
        with House(june.root) as house:
            until(lambda: house.ledger.mailing(1).tally.get(State.HANDED))
            grounds = Grounds(june.root, [june.root / "outbox"], [june.root / "subscribers" / "broadcaster.db"])
            told = forget(house.erasure, house.ledger, Guise(Address.parse("p0@example.org")), grounds)
        assert (told.closed, told.on_a_wire, told.clean) == (0, int(not patience), True)
        ended(sender)
    sums(june.root / "subscribers" / "broadcaster.db")
    assert files(june.root, {"p0@example.org", "Person 0"}) == []
    june.run("run", status=None)
    assert files(june.root, {"p0@example.org", "Person 0"}) == []


def test_what_comes_back_later_of_their_mail_is_counted_and_names_nobody(tmp_path: Path) -> None:
    june: Sent = sent(tmp_path / "workspace")
    (june.world.root / "people.csv").unlink()
    june.world.run("subscribers", "erase", "p1@example.org", "--yes")
    reports = (
        dsn(june.copies["p1@example.org"].sender, "p1@example.org", words="550 <p1@example.org> is unknown"),
        dsn("bounces@water.example", "p1@example.org"),
        dsn(june.copies["p2@example.org"].sender, "p2@example.org", words="550 as p1@example.org was"),
        "From: p1@example.org\nTo: bounces@water.example\nSubject: hi\n\nhello\n",
        f"Content-Transfer-Encoding: base64\nTo: {june.copies['p1@example.org'].sender}\n"
        "Content-Type: text/plain\nFrom: MAILER-DAEMON@x.example\n\n" + b64encode(b"p1@example.org is dead").decode(),
    )
    kept = []
    for number, report in enumerate(reports):
        kept.append(june.put(f"{number}.eml", report))
    told = june.world.run("collect", *kept, "--json").json
    assert [row["recipient"] for row in told["bounces"] if row["kind"] == "hard"] == [None, None, "p2@example.org"]
    assert june.world.run("status", "1", "--json").json["bounced"] == 2
    assert rows(june.world.database, {"p1@example.org"}) == []
    assert files(june.world.root, {"p1@example.org"}, {f"back/{n}.eml" for n in range(5)}) == []


def test_a_mailing_is_held_without_those_who_were_erased(tmp_path: Path) -> None:
    june = sent(tmp_path / "workspace")
    june.world.run("collect", june.put("1.eml", dsn(june.copies["p1@example.org"].sender, "p1@example.org")))
    june.world.run("collect", june.put("2.eml", dsn(june.copies["p2@example.org"].sender, "p2@example.org")))
    june.world.run("subscribers", "erase", "p1@example.org", "--yes")
    with House(june.world.root) as house:
        assert house.bounces.hold(1) == ["p2@example.org"]


def test_while_somebody_reads_the_old_pages_it_is_not_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.erasure.PATIENCE", 50)
    made = world(tmp_path / "workspace")
    (made.root / "people.csv").unlink()
    with closing(sqlite3.connect(made.database, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from subscriber").fetchall()
        assert "still reads" in made.run("subscribers", "erase", "p1@example.org", "--yes", status=75).err
    assert made.run("subscribers", "erase", "p1@example.org", "--yes", "--json").json["clean"]
    assert files(made.root, {"p1@example.org"}) == []


# files of others


def test_files_of_others_are_named_and_left_as_they_are(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    folder, line = made.root / "subscribers", "P1@Example.org,Peter\n"
    holding = {"plain.csv", "wide.csv", "packed.csv.gz", "book.xlsx", "p1@example.org.txt", "copy.db"}
    (folder / "plain.csv").write_text(line)
    (folder / "wide.csv").write_text(line, encoding="utf-16")
    (folder / "packed.csv.gz").write_bytes(gzip.compress(b"x,\n" * 900_000 + line.encode()))
    with zipfile.ZipFile(folder / "book.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sharedStrings.xml", f"<t>{line}</t>")
    (folder / "p1@example.org.txt").write_text("")
    (folder / "copy.db").write_bytes(made.database.read_bytes())
    unseen = {"backup.age", "cut.gz", "nest.zip"}
    (folder / "backup.age").write_bytes(b"age-encryption.org/v1\n" + bytes(100))
    (folder / "cut.gz").write_bytes(gzip.compress(os.urandom(3000))[:1500])
    with zipfile.ZipFile(folder / "nest.zip", "w") as nest:
        nest.writestr("inner.gz", gzip.compress(line.encode()))
    others = {"others.csv": "joap1@example.org\n", "none.csv": "p2@example.org\n"}
    for name, text in others.items():
        (folder / name).write_text(text)
    os.mkfifo(folder / "pipe")
    (folder / "link.csv").symlink_to(folder / "plain.csv")
    before = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name in holding | unseen | others.keys()
    }
    told = made.run("subscribers", "erase", "p1@example.org", "--yes", "--json").json
    assert set(told["still_in"]) == {f"subscribers/{name}" for name in holding} | {"people.csv"}
    assert {each["file"] for each in told["not_looked_into"]} == {f"subscribers/{name}" for name in unseen}
    assert {name: (folder / name).read_bytes() for name in before} == before
    said = made.run("subscribers", "erase", "p1@example.org", "--yes").err
    assert "subscribers/plain.csv" in said
    assert "backup.age (it is encrypted" in said


# as a command


def test_it_is_asked_and_nothing_is_done_without_a_yes(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    with closing(sqlite3.connect(made.database)) as conn:
        before = [*conn.iterdump()]
    assert "p1@example.org" in made.run("subscribers", "erase", "p1@example.org", status=2).err
    told = made.run("subscribers", "erase", "p1@example.org", "--dry-run", "--json").json
    assert (told["erased"], told["closed"], told["deliveries"], told["rows"]["consent"]) == (False, 1, 1, 1)
    assert "did you mean" in made.run("subscribers", "erase", "pp1@example.org", "--yes", status=65).err
    with closing(sqlite3.connect(made.database)) as conn:
        assert [*conn.iterdump()] == before
    (made.root / "subscribers" / "secret.key").unlink()
    assert "secret.key" in made.run("subscribers", "erase", "p1@example.org", "--yes", status=78).err


def test_on_a_terminal_it_says_what_there_is_and_asks(place: Place) -> None:
    place.people("email,name\nanna@example.org,Anna\n")
    command, *words = place.command("subscribers", "erase", "anna@example.org")
    with pexpect.spawn(command, words, encoding="utf-8", timeout=30, dimensions=(24, 120)) as child:
        child.expect(r"Erase anna@example.org for ever \(on 'news'; 0 deliveries\)\? \[y/N\]")
        child.sendline("n")
        child.expect("nothing was done")
    assert place.run("subscribers", "--json").json[0]["address"] == "anna@example.org"


def test_one_who_is_no_subscriber_is_erased_from_what_came_back(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    made.run("suppressions", "add", "stranger@else.example", "--reason", "bounced")
    told = made.run("subscribers", "erase", "stranger@else.example", "--yes", "--json").json
    assert (told["subscriber"], told["rows"]) == (None, {"suppression": 1})
    assert files(made.root, {"stranger@else.example"}) == []
    made.run("suppressions", "add", "p3@example.org", "--reason", "a friend of quoted@else.example")
    assert made.run("subscribers", "erase", "quoted@else.example", "--yes", "--json").json["rows"] == {"suppression": 1}
    assert files(made.root, {"quoted@else.example"}) == []


def test_the_log_of_changes_names_the_number_and_not_the_person(tmp_path: Path) -> None:
    made = world(tmp_path / "workspace")
    made.run("subscribers", "erase", "p1@example.org", "--yes")
    with closing(sqlite3.connect(made.database)) as conn:
        (line,) = conn.execute("select what, subscriber, details from audit where what = 'subscriber erase'").fetchall()
    assert line[:2] == ("subscriber erase", 1)
    assert json.loads(line[2])["rows"]["consent"] == 1
    # and the number is given to nobody else
    made.run("subscribers", "add", "new@example.org", "--list", "news", "--consent", "yes")
    assert made.run("subscribers", "dossier", "new@example.org", "--json").json["person"]["id"] > 4


# everything on one person


def test_a_dossier_has_everything_and_is_for_our_eyes_only(tmp_path: Path) -> None:
    address = "anna@quax.example.org"
    made = lived(tmp_path / "workspace", address)
    output = tmp_path / "anna.json"
    made.run("subscribers", "dossier", address, "-o", str(output))
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    told = json.loads(output.read_text())
    assert (told["person"]["name"], told["person"]["fields"]["city"]) == (NAME, CITY)
    assert {each["list"] for each in told["lists"]} == {"news", "board"}
    assert [each["how"].split()[0] for each in told["consents"]] == ["import", "add"]
    assert told["suppression"]["reason"] == "bounced"
    assert [each["state"] for each in told["deliveries"]] == ["bounced"]
    assert told["deliveries"][0]["attempts"][0]["reply"] == f"2.1.5 <{address}>... recipient ok"
    assert len(told["bounces"]) == 2
    # old values are kept for as long as an import can be undone
    file = tmp_path / "moved.csv"
    file.write_text(f"email,city\n{address},Mosul\n", encoding="utf-8")
    made.run("suppressions", "remove", address)
    made.run("subscribers", "import", str(file), "--list", "news", "--yes")
    *_, kept = made.run("subscribers", "dossier", address, "--json").json["changes"]
    assert kept["changes"] == [{"field": "city", "before": CITY, "after": "Mosul"}]
    assert f"before: {CITY}" in made.run("subscribers", "dossier", address).out
    made.run("suppressions", "add", address, "--reason", "bounced")
    assert "unknown here" in told["bounces"][0]["message"]
    assert told["imports"][0]["consent"] == f"told by {address}"
    text = made.run("subscribers", "dossier", address).out
    for word in (NAME, CITY, "agreed, and was added, board", "unknown here", "bounced"):
        assert word in text
    made.run("subscribers", "dossier", address, "-o", str(output), status=73)
    assert "did you mean" in made.run("subscribers", "dossier", "anne@quax.example.org", status=65).err
    # of who is no subscriber
    told = made.run("subscribers", "dossier", "third@else.example", "--json").json
    assert (told["person"], told["suppression"]["detail"]) == (None, "")
    assert told["suppression"]["reason"] == f"was told by {address}"


def test_a_house_without_erased_people_needs_no_key_to_import(place: Place) -> None:
    (place.root / "subscribers" / "secret.key").unlink()
    place.people("email\na@example.org\n")
    assert place.run("why", "a@example.org").status == 0
    ask(place, lambda house: house.erasure.since("b@example.org"))
