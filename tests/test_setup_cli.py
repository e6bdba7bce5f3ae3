"""init, demo, new, check, render, test: as a person runs them, rightly and wrongly."""

from __future__ import annotations

import email
import email.policy
import re
import stat
from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path

import pytest

from broadcaster.cli import _run
from tests.conftest import Here, Place, Ran

GOOD = """---
subject: Water for {{ subscriber.city | default("you") }}
preheader: Read on
---
Dear {{ subscriber.name | default("friend") }},

come to the [river](https://water.example/river).
"""
ARABIC = """---
subject: الماء
preheader: اقرأ
---
{{ subscriber.name | default("صديقنا") }}، تعال.
"""
PEOPLE = """email,name,language,city
ako@example.org,Ako,en,Erbil
huda@example.org,هدى,ar,
nobody@example.org,,en,
"""


@pytest.fixture
def here(place: Place, commands: Here) -> Here:
    """The same workspace, with commands in this process: many small ones are quick."""

    return commands


def copies(folder: Path) -> list[EmailMessage]:
    """What is in an outbox."""
    read = (email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in folder.glob("new/*"))
    return [message for message in read if isinstance(message, EmailMessage)]


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# init


def test_init_makes_a_workspace_that_is_private_where_people_are(place: Place) -> None:
    for name in ("broadcaster.toml", "templates", "statements/clean-water", "subscribers/sample.csv", ".gitignore"):
        assert (place.root / name).exists(), name
    assert stat.S_IMODE((place.root / "subscribers").stat().st_mode) == 0o700
    key = place.root / "subscribers" / "secret.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32


def test_two_workspaces_have_two_keys(place: Place, tmp_path: Path) -> None:
    assert _run(["init", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other/subscribers/secret.key").read_bytes() != (
        place.root / "subscribers/secret.key"
    ).read_bytes()


@pytest.mark.parametrize("name", ["broadcaster.toml", "statements", "templates", "subscribers", "outbox"])
def test_init_changes_nothing_where_a_workspace_or_part_of_one_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("mine")
    assert _run(["init", str(tmp_path)]) == 73
    assert everything(tmp_path) == {f"{name}/mine": b"mine"}


def test_init_keeps_a_readme_and_adds_to_a_gitignore(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("ours")
    (tmp_path / ".gitignore").write_text("*.bak")
    assert _run(["init", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == "ours"
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert lines[0] == "*.bak"
    assert "/subscribers/*" in lines


def test_init_that_cannot_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    assert _run(["init", str(tmp_path / "a" / "b")]) == 73
    assert list(tmp_path.iterdir()) == []


def test_init_refuses_a_synchronised_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["init", str(tmp_path / "Dropbox" / "appeals")]) == 77
    assert "Dropbox" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_init_makes_nothing(tmp_path: Path) -> None:
    assert _run(["init", "--dry-run", str(tmp_path / "a")]) == 0
    assert list(tmp_path.iterdir()) == []


# new


def test_new_starts_a_part_in_every_offered_language_whose_untouched_words_check_finds(
    here: Here, place: Place
) -> None:
    assert here("new", "june", "--json").json["files"] == [f"statements/june/{tag}.md" for tag in ("en", "ar", "ckb")]
    errors = [f for f in here("check", "june", "--json", status=65).json["findings"] if f["level"] == "error"]
    assert {(f["rule"], f["line"]) for f in errors} == {("draft", 2), ("draft", 3), ("draft", 7)}
    for tag, text in (("en", GOOD), ("ar", ARABIC)):
        (place.root / "statements" / "june" / f"{tag}.md").write_text(text.replace("city", "name"), encoding="utf-8")
    (place.root / "statements" / "june" / "ckb.md").unlink()
    assert all(f["level"] == "warning" for f in here("check", "june", "--json").json["findings"])


@pytest.mark.parametrize("slug", ["../x", "a/b", "12", "", ".", "a b", "-x", "x" * 65, "a\nb", "\x1b[2J"])
def test_new_refuses_what_is_no_name(here: Here, place: Place, slug: str) -> None:
    before = everything(place.root)
    said = here("new", "--", slug, status=65)
    assert "\x1b" not in said.err
    assert everything(place.root) == before


def test_new_overwrites_nothing(here: Here, place: Place) -> None:
    here("new", "june")
    before = everything(place.root)
    here("new", "june", status=73)
    assert everything(place.root) == before


def test_a_dry_run_of_new_writes_nothing(here: Here, place: Place) -> None:
    here("new", "june", "--dry-run")
    assert not (place.root / "statements/june").exists()


# check


def test_the_sample_has_no_errors(here: Here, place: Place) -> None:
    place.run("lists", "create", "s")
    place.run("subscribers", "import", str(place.root / "subscribers/sample.csv"), "--list", "s", "--yes")
    found = here("check", "clean-water", "--json").json["findings"]
    assert [f for f in found if f["level"] == "error"] == []


def test_check_names_file_and_line_of_a_name_that_nobody_has(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD + "\n{{ subscriber.citty }}\n")
    said = here("check", "june", status=65)
    assert re.search(r"^statements/june/en\.md:9: error: .*citty", said.out, re.MULTILINE)


def test_check_counts_those_who_would_see_nothing(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD + "\nYou live in {{ subscriber.city }}.\n")
    (found,) = [f for f in here("check", "june", "--json").json["findings"] if f["rule"] == "empty-field"]
    assert (found["line"], found["level"]) == (9, "warning")
    assert found["message"].startswith("2 of 3 people have no city")


def test_check_counts_who_gets_another_language(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD)
    found = here("check", "june", "--list", "news", "--json").json["findings"]
    assert [f["message"] for f in found if f["rule"] == "missing-language"] == [
        "1 person reads Arabic and would get English"
    ]


def test_a_statement_that_is_there_twice_is_not_chosen_from(here: Here, place: Place) -> None:
    single = place.root / "statements/june.md"
    single.write_text(GOOD, encoding="utf-8")
    (place.root / "statements/june").mkdir()
    place.people(PEOPLE)
    here("check", "june")
    (place.root / "statements/june/en.md").write_text(GOOD, encoding="utf-8")
    assert "statements/june.md: error: is there twice" in here("check", "june", status=65).out
    here("render", "june", "-o", str(place.root / "look"), status=65)
    single.unlink()
    here("check", "june")


def test_check_is_told_of_an_unknown_statement_or_list(here: Here) -> None:
    assert "clean-water" in here("check", "clean-watter", status=65).err
    here("check", "clean-water", "--list", "nobody", status=65)
    here("check", "../../etc/passwd", status=65)
    here("check", "a" * 5000, status=65)


def test_check_survives_hostile_files(here: Here, place: Place) -> None:
    hostile = [
        "",
        "---\nsubject: x",
        "---\nsubject: x\n---\n{% for i in range(10**9) %}{% endfor %}",
        "---\nsubject: x\n---\n" + "{% if subscriber.name %}" * 300,
        "---\nsubject: x\n---\n{{ subscriber.name" + " | upper" * 5000 + " }}",
        "---\nsubject: x\n---\n" + "<div>" * 3000 + "x",
        "---\nsubject: x\n---\n{% include '../../subscribers/secret.key' %}",
        "---\nsubject: x\nattachments: [../../subscribers/secret.key]\n---\ny",
        "---\nsubject: {{ 7 * '7' * 9 ** 9 }}\n---\ny",
    ]
    for number, text in enumerate(hostile):
        place.statement(f"h{number}", en=text)
        said = here("check", f"h{number}", status=65)
        assert "defect" not in said.err, text[:60]


def test_a_missing_leave_address_is_an_error_and_stops_send(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    settings = place.root / "broadcaster.toml"
    settings.write_text(settings.read_text("utf-8").replace("leave_mailto", "# leave_mailto"), "utf-8")
    place.statement("june", en=GOOD)
    assert "no-way-to-leave" in here("check", "june", status=65).out
    here("send", "june", "--list", "news", "--yes", status=65)
    assert not (place.root / "outbox").exists()


def test_an_error_stops_a_mailing_unless_its_rule_is_named(here: Here, place: Place) -> None:
    here("lists", "create", "news")
    (place.root / "people.csv").write_text(PEOPLE, encoding="utf-8")
    here("subscribers", "import", str(place.root / "people.csv"), "--list", "news", "--yes")
    here("new", "june")
    for command in (("prepare", "june"), ("send", "june", "--yes")):
        assert "--force draft" in here(*command, "--list", "news", status=65).err
        assert "did you mean draft" in here(*command, "--list", "news", "--force", "drat", status=2).err
        # what is no error stops nothing, so nothing is there to be forced
        here(*command, "--list", "news", "--force", "preheader", status=2)
    here("prepare", "june", "--list", "news", "--force", "no-way-to-leave", status=65)
    here("prepare", "june", "--list", "news", "--force", "draft", "--force", "no-way-to-leave")
    place.statement("june", en="---\nsubject: x\n---\n{{ subscriber.nobody }}\n")
    assert "insist" not in here("prepare", "june", "--list", "news", status=65).err


def test_check_tries_every_combination_and_says_for_whom_it_fails(here: Here, place: Place) -> None:
    here("lists", "create", "news")
    (place.root / "people.csv").write_text(PEOPLE, encoding="utf-8")
    here("subscribers", "import", str(place.root / "people.csv"), "--list", "news", "--yes")
    folder = place.root / "statements" / "june"
    folder.mkdir()
    (folder / "en.md").write_text(
        "---\nsubject: '{% if subscriber.city != \"Basra\" %}{{ subscriber.city }}{% endif %}'\npreheader: p\n---\n"
        '{% if subscriber.city == "Basra" %}{{ 1 / (subscriber.city | length - 5) }}{% endif %} Come all of you.\n',
        encoding="utf-8",
    )
    (finding,) = [f for f in here("check", "june", "--json", status=65).json["findings"] if f["level"] == "error"]
    assert (finding["rule"], finding["file"]) == ("trial", "statements/june/en.md")
    assert 'city = "Basra"' in finding["message"]


def test_sums_that_could_be_read_in_two_ways_are_counted(here: Here, place: Place) -> None:
    here("lists", "create", "news")
    people = "email,name,amount\na@x.example,A,25000\nb@x.example,B,25.000\nc@x.example,C,1.500\n"
    (place.root / "people.csv").write_text(people, encoding="utf-8")
    here("subscribers", "import", str(place.root / "people.csv"), "--list", "news", "--yes")
    text = GOOD.replace(
        "come to", '{{ subscriber.amount | money("IQD") }} {{ subscriber.city | default("x") }} come to'
    )
    (place.root / "statements" / "june.md").write_text(text.replace("city", "name"), encoding="utf-8")
    (finding,) = [f for f in here("check", "june", "--json").json["findings"] if f["rule"] == "misread-field"]
    assert finding["message"].startswith("2 of 3 people")


def test_links_are_asked_only_on_request(here: Here, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from broadcaster import probe

    asked: list[str] = []

    def answers(links: Iterable[str]) -> dict[str, probe.Answer]:
        asked.extend(links)
        return {link: probe.Answer("the page is not there (404)", dead=True) for link in asked}

    monkeypatch.setattr(probe, "probe", answers)
    (place.root / "statements" / "june.md").write_text(GOOD.replace("city", "name"), encoding="utf-8")
    here("check", "june")
    assert not asked
    (finding,) = [
        f for f in here("check", "june", "--links", "--json", status=65).json["findings"] if f["level"] == "error"
    ]
    assert (finding["rule"], finding["line"]) == ("dead-link", 7)
    assert asked == ["https://water.example/river"]


# render


def test_render_writes_what_a_subscriber_would_get(here: Here, place: Place, tmp_path: Path) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD, ar=ARABIC)
    look = tmp_path / "look"
    here("render", "june", "--as", "ako@example.org", "-o", str(look))
    assert {path.name for path in look.iterdir()} == {
        f"{tag}.{suffix}" for tag in ("en", "ar") for suffix in ("html", "txt", "eml", "merge.html", "merge.txt")
    }
    assert "<bdi>Ako</bdi>" in (look / "en.html").read_text("utf-8")
    assert "Dear Ako" in (look / "en.txt").read_text("utf-8")
    assert 'dir="rtl"' in (look / "ar.html").read_text("utf-8")
    assert "subscriber.name" in (look / "en.merge.html").read_text("utf-8")
    message = email.message_from_bytes((look / "en.eml").read_bytes(), policy=email.policy.default)
    assert message["Subject"] == "Water for Erbil"


def test_render_for_nobody_shows_the_defaults(here: Here, place: Place, tmp_path: Path) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD)
    here("render", "june", "--language", "en", "-o", str(tmp_path))
    assert "Dear friend" in (tmp_path / "en.txt").read_text("utf-8")


def test_the_leave_link_of_a_rendered_copy_can_do_nothing(here: Here, place: Place, tmp_path: Path) -> None:
    from broadcaster.links import Purpose, Signer

    place.people(PEOPLE)
    place.statement("june", en=GOOD)
    here("render", "june", "--as", "ako@example.org", "-o", str(tmp_path))
    (token,) = set(re.findall(r"leave-([a-z2-7]+)", (tmp_path / "en.txt").read_text("utf-8")))
    signer = Signer((place.root / "subscribers/secret.key").read_bytes())
    assert [signer.read(purpose, token) for purpose in Purpose] == [None] * len(Purpose)


def test_render_replaces_its_own_files_and_follows_no_link(here: Here, place: Place, tmp_path: Path) -> None:
    place.statement("june", en="---\nsubject: s\n---\nText.\n")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    look = tmp_path / "look"
    look.mkdir()
    (look / "en.html").symlink_to(victim)
    here("render", "june", "-o", str(look))
    assert victim.read_text() == "mine"
    assert "Text." in (look / "en.html").read_text("utf-8")


def test_render_tells_what_it_cannot(here: Here, place: Place, tmp_path: Path) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD)
    (tmp_path / "file").write_text("x")
    here("render", "june", "-o", str(tmp_path / "file"), status=73)
    here("render", "june", "--as", "akko@example.org", "-o", str(tmp_path), status=65)
    here("render", "june", "--as", "no address", "-o", str(tmp_path), status=65)
    here("render", "june", "--language", "fr", "-o", str(tmp_path), status=65)
    here("render", "june", status=2)


def test_a_part_that_cannot_be_made_keeps_no_other_back(here: Here, place: Place, tmp_path: Path) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD, ar=ARABIC + "{{ subscriber.nope }}")
    look = tmp_path / "look"
    assert "nope" in here("render", "june", "-o", str(look), status=65).err
    assert (look / "en.html").exists()
    assert not (look / "ar.html").exists()


# test


def test_a_test_copy_says_so_and_counts_nowhere(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD, ar=ARABIC)
    told = here("test", "june", "office@example.org", "--json").json
    assert [(each["language"], each["state"]) for each in told] == [("ar", "accepted"), ("en", "accepted")]
    messages = copies(place.root / "outbox")
    assert sorted(str(message["Subject"]) for message in messages) == ["[Test] Water for you", "[Test] الماء"]
    assert {str(message["To"]) for message in messages} == {"office@example.org"}
    assert here("mailings", "--json").json == []


def test_a_test_copy_has_the_fields_of_whom_it_is_made_for(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD)
    here("test", "june", "office@example.org", "--as", "ako@example.org")
    (message,) = copies(place.root / "outbox")
    assert str(message["To"]) == "Ako <office@example.org>"
    assert "Dear Ako" in body(message, "plain")


def test_a_test_works_while_check_finds_errors(here: Here, place: Place) -> None:
    place.people(PEOPLE)
    place.statement("june", en=GOOD, ar=ARABIC + "{{ subscriber.nope }}")
    here("check", "june", status=65)
    here("test", "june", "office@example.org", status=65)
    assert len(copies(place.root / "outbox")) == 1


def test_nobody_who_is_suppressed_gets_a_test(here: Here, place: Place) -> None:
    place.statement("june", en="---\nsubject: s\n---\nText.\n")
    here("suppressions", "add", "office@example.org", "--reason", "complained")
    here("test", "june", "office@example.org", status=77)
    assert not (place.root / "outbox").exists()


def test_a_dry_test_mails_nothing(here: Here, place: Place) -> None:
    place.statement("june", en="---\nsubject: s\n---\nText.\n")
    here("test", "june", "office@example.org", "--dry-run")
    assert not (place.root / "outbox").exists()


@pytest.mark.parametrize("address", ["", "x", "a@b@c", "a@example.org\r\nRCPT TO:<b@example.org>", "@", "a" * 70000])
def test_a_test_goes_to_addresses_only(here: Here, place: Place, address: str) -> None:
    place.statement("june", en="---\nsubject: s\n---\nText.\n")
    here("test", "june", address, status=65)
    assert not (place.root / "outbox").exists()


def test_a_test_keeps_the_relay_s_limits_and_tells_what_waits(here: Here, place: Place) -> None:
    settings = place.root / "broadcaster.toml"
    settings.write_text(settings.read_text("utf-8").replace("limits = []", 'limits = ["1/h"]'), "utf-8")
    place.statement("june", en="---\nsubject: s\n---\nText.\n", ar=ARABIC)
    told = here("test", "june", "office@example.org", "--json", status=75)
    assert [each["state"] for each in told.json] == ["accepted", "pending"]
    assert "limits of main are used up" in told.err
    here("test", "june", "office@example.org", status=75)
    assert len(copies(place.root / "outbox")) == 1


def test_without_a_relay_a_test_says_so(here: Here, place: Place) -> None:
    place.configure(1)
    place.statement("june", en="---\nsubject: s\n---\nText.\n")
    assert "no relay would talk to us" in here("test", "june", "office@example.org", status=69).err


# demo


def test_the_demo_does_the_whole_job_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["demo", str(tmp_path / "demo"), "--json"]) == 0
    told = Ran(0, capsys.readouterr().out, "").json
    outbox = list((tmp_path / "demo/outbox/new").iterdir())
    assert told["accepted"] == told["audience"] == len(outbox) > 100
    assert told["rehearsal"] is True
    page = Path(told["page"]).read_text("utf-8")
    assert page.count("<iframe sandbox") == 3
    assert "<script" not in page


def test_the_demo_does_not_touch_what_is_there(place: Place) -> None:
    before = everything(place.root)
    assert _run(["demo", str(place.root)]) == 73
    assert everything(place.root) == before
