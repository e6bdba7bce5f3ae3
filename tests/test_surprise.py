"""What is unusual about a mailing is told in figures: asked on a terminal, and by cron held."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.surprise import DAY, Kind, Past, Prospect, surprises
from tests.conftest import Ran
from tests.lab.clocks import time_comes
from tests.lab.server import Lab, running
from tests.lab.world import World, world

NOW = 1_900_000_000
NEWS, BOARD = 1, 2


def past(number: int = 11, *, statement: str = "may", lists: Sequence[int] = (NEWS,), audience: int = 100,
         ago: int = 30 * DAY, content: str = "") -> Past:  # fmt: skip
    return Past(number, statement, content or f"text of {statement}", lists, audience, NOW - ago)


def told(before: Sequence[Past], *, shared: int = 0, factor: float | None = 3.0, **details: Any) -> dict[Kind, str]:
    """What is unusual about june, to a hundred people on news who read English, but for some details."""
    values: Mapping[str, Any] = {
        "statement": "june",
        "content": "text of june",
        "lists": (NEWS,),
        "audience": 100,
        "readers": {("en", "en"): 100},
        "empty": frozenset(),
        **details,
    }
    of = Prospect(shared=lambda _past: shared, named={NEWS: "news", BOARD: "board"}, **values)
    found = surprises(of, before, factor=factor, offered=("en", "ar", "ckb"), now=NOW)
    return {each.kind: each.words for each in found}


def test_what_is_as_always_surprises_nobody() -> None:
    assert told([past()]) == {}
    # a new workspace: all of it is new
    assert told([], audience=1_000_000) == {}


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1, 100) | st.none())
def test_an_audience_surprises_when_it_is_more_than_so_many_times_the_last_one(
    last: int, audience: int, factor: float | None
) -> None:
    found = told([past(audience=last), past(10, audience=10**9)], audience=audience, factor=factor)
    assert (Kind.LARGER in found) == (factor is not None and audience > factor * last)


def test_a_larger_audience_is_told_with_both_figures_and_beside_the_same_lists_alone() -> None:
    before = [past(12, lists=(NEWS, BOARD)), past(11, audience=318)]
    assert told(before, audience=1080)[Kind.LARGER] == (
        "1,080 people would get it, 3.4 times the 318 of mailing 11, the last one to this list"
    )
    assert Kind.LARGER in told([past(lists=(BOARD, NEWS), audience=1)], lists=(NEWS, BOARD))


def test_a_list_that_was_silent_for_a_year_is_told() -> None:
    assert told([past(ago=365 * DAY - 1)]) == {}
    assert told([past(ago=365 * DAY)]) == {Kind.SILENT: "news was not mailed for 365 days, since mailing 11"}
    assert told([past(lists=(BOARD,))]) == {Kind.SILENT: "news was never mailed before"}
    # the last time counts, in whatever order they were begun
    assert told([past(12, ago=900 * DAY), past(11, ago=DAY)]) == {}


def test_the_same_within_a_day_to_the_same_people_is_told() -> None:
    again = past(statement="june", ago=3 * 3600 + 5)
    assert told([again], shared=90) == {Kind.REPEATED: "90 of these 100 people got june 3 hours ago, as mailing 11"}
    assert told([again], shared=0) == {}
    assert told([past(statement="june", ago=DAY)], shared=90) == {}
    copy = past(statement="june-2", content="text of june", ago=60)
    assert "the same text as june-2 less than an hour ago" in told([copy], shared=1)[Kind.REPEATED]
    assert told([past(ago=60)], shared=90) == {}
    # the clock was set back
    assert "less than an hour ago" in told([past(statement="june", ago=-7200)], shared=90)[Kind.REPEATED]


def test_a_language_without_a_text_is_told_with_those_who_read_it() -> None:
    empty = told([past()], readers={("en", "en"): 99, ("ar", "ar"): 1}, empty=frozenset(["ar", "fr"]))
    assert empty == {Kind.EMPTY: "the text in Arabic is empty, and 1 person would get it"}
    lacking = told([past()], readers={("en", "en"): 60, ("ckb-IQ", "en"): 30, ("ckb", "en"): 10, ("de", "en"): 5})
    assert lacking == {Kind.EMPTY: "40 people read Sorani Kurdish, which is offered, and there is no text in it"}
    assert told([past()], readers={("", "en"): 90, ("en-GB", "en"): 10}) == {}


# the commands


@pytest.fixture
def lab() -> Iterator[Lab]:
    with running() as lab:
        yield lab


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = world(tmp_path_factory.mktemp("surprised") / "workspace")
    (made.root / "statements" / "may").mkdir()
    shutil.copy(made.root / "statements" / "june" / "en.md", made.root / "statements" / "may")
    file = made.root / "statements" / "may" / "en.md"
    file.write_text(file.read_text(encoding="utf-8").replace("Hello", "May"), encoding="utf-8")
    made.run("cancel", "1", "--yes")
    made.run("lists", "create", "board")
    with running() as lab:
        made.configure(lab.port)
        made.run("send", "may", "--list", "news", "--where", "name = 'Person 1'", "--yes")
    with closing(sqlite3.connect(made.database)) as conn:
        conn.execute("pragma wal_checkpoint(truncate)")
    return made


@pytest.fixture
def here(model: World, tmp_path: Path, lab: Lab) -> World:
    """Four people on news, of whom the first got mailing 2; mailing 1 is no more."""
    made = World(shutil.copytree(model.root, tmp_path / "workspace"))
    made.configure(lab.port, more='[safety]\nsurprise = "3x"\n')
    return made


SIZE = "4 people would get it, 4.0 times the 1 of mailing 2, the last one to this list"


def confirmed(of: World) -> list[str]:
    lines = of.run("log", "--json").json
    return [kind for line in lines if line["what"] == "mailing confirm" for kind in line["details"]["surprises"]]


def test_cron_holds_what_is_surprising_and_a_persons_word_lets_it_go(here: World, lab: Lab) -> None:
    said = here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00").err
    assert f"warning: {SIZE}" in said
    assert "`broadcaster send 3` asks about it before" in said
    time_comes(here.database)
    said = here.run("run", status=77).err
    way_on = "`broadcaster resume 3` lets it go all the same, `broadcaster cancel 3` drops it"
    assert said == f"mailing 3 of june is held ({SIZE}): {way_on}\n"
    assert here.run("run").err == ""
    assert (here.run("status", "3", "--json").json["reason"], lab.messages) == (SIZE, [])
    assert here.run("send", "3", "--yes", "--json").json["accepted"] == 4
    assert confirmed(here) == ["larger"]


def test_what_was_said_yes_to_beforehand_goes_at_its_time(here: World, lab: Lab) -> None:
    here.run("send", "june", "--list", "news", "--at", "tomorrow 9:00", status=2)
    assert here.run("send", "june", "--list", "news", "--at", "tomorrow 9:00", "--yes").err.count(SIZE) == 1
    time_comes(here.database)
    here.run("run")
    assert len(lab.messages) == 4


def test_asking_before_its_time_sends_nothing_early(here: World, lab: Lab) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    assert SIZE in here.run("send", "3", "--yes").err
    assert SIZE not in here.run("send", "3", "--yes").err
    assert (here.run("status", "3", "--json").json["state"], lab.messages) == ("scheduled", [])
    assert confirmed(here) == ["larger"]


def test_resuming_what_is_held_is_a_persons_word(here: World, lab: Lab) -> None:
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    time_comes(here.database)
    here.run("run", status=77)
    here.run("resume", "3")
    here.run("run")
    assert len(lab.messages) == 4


def test_without_the_setting_no_size_surprises_and_a_rehearsal_never(here: World, lab: Lab) -> None:
    here.configure(lab.port)
    assert "4.0 times" not in here.run("send", "june", "--list", "news", "--dry-run").err
    here.configure(lab.port, more='[safety]\nsurprise = "3x"\n')
    assert SIZE in here.run("send", "june", "--list", "news", "--dry-run").err
    assert SIZE in here.run("send", "june", "--list", "news", "--dry-run", "--json").json["surprises"][0]["message"]
    file = here.root / "broadcaster.toml"
    text = file.read_text(encoding="utf-8").replace(f'"smtp://127.0.0.1:{lab.port}"\ntls = "none"', '"maildir:outbox"')
    file.write_text(text, encoding="utf-8")
    assert "4.0 times" not in here.run("send", "june", "--list", "news", "--yes").err


def test_a_mailing_whose_like_is_begun_in_the_same_moment_is_held(here: World, lab: Lab) -> None:
    here.configure(lab.port)
    for _ in range(2):
        here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    time_comes(here.database)
    said = here.run("run", status=77).err
    assert "4 of these 4 people got june less than an hour ago, as mailing" in said
    assert len(lab.messages) == 4


def test_an_appeal_is_not_repeated_within_a_day_without_a_word(here: World, lab: Lab) -> None:
    here.configure(lab.port)
    here.run("send", "june", "--list", "news", "--yes")
    again = here.run("send", "june", "--list", "news", "--again", "--dry-run").err
    assert "4 of these 4 people got june less than an hour ago, as mailing 3" in again
    others = here.run("send", "june", "--list", "news", "--again", "--exclude", "mailing:2", "--dry-run").err
    assert "3 of these 3 people got june" in others
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute("update mailing set claimed_at = claimed_at - 86401 where id = 3")
        conn.commit()
    assert "got june" not in here.run("send", "june", "--list", "news", "--again", "--dry-run").err


def test_a_list_that_is_new_or_was_silent_is_told(here: World, lab: Lab) -> None:
    here.configure(lab.port)
    here.run("subscribers", "add", "z@example.org", "--list", "board", "--consent", "paper")
    assert "board was never mailed before" in here.run("send", "june", "--list", "board", "--dry-run").err
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute("update mailing set claimed_at = claimed_at - 400 * 86400 where id = 2")
        conn.commit()
    assert "news was not mailed for 400 days, since mailing 2" in here.run("prepare", "june", "--list", "news").err


def test_an_empty_text_is_told_when_it_is_planned_and_when_its_time_has_come(here: World, lab: Lab) -> None:
    here.configure(lab.port)
    here.run("subscribers", "edit", "p4@example.org", "--language", "ar")
    offered = "1 person reads Arabic, which is offered, and there is no text in it"
    assert offered in here.run("send", "june", "--list", "news", "--dry-run").err
    (here.root / "statements" / "june" / "ar.md").write_text("---\nsubject: Hello\npreheader: Short\n---\n\n")
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    time_comes(here.database)
    assert "the text in Arabic is empty, and 1 person would get it" in here.run("run", status=77).err
    assert not lab.messages


def test_approving_sees_what_is_surprising_and_lets_it_go(here: World, lab: Lab) -> None:
    here.configure(lab.port, more='[safety]\nsurprise = "3x"\n')
    here.run("prepare", "june", "--list", "news", "--at", "tomorrow 9:00")
    with closing(sqlite3.connect(here.database)) as conn:
        conn.execute("update preparer set uid = 7, account = 7, known = 1")
        conn.commit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("broadcaster.login._logged_in", lambda: 8)
        said = here.run("approve", "3", "--json")
    assert [each["kind"] for each in said.json["surprises"]] == ["larger"]
    assert SIZE in said.err
    time_comes(here.database)
    here.run("run")
    assert len(lab.messages) == 4


@pytest.mark.parametrize(("answers", "status"), [("n", 2), ("yn", 2), ("yy", 0)])
def test_on_a_terminal_each_surprise_is_a_question_of_its_own(here: World, lab: Lab, answers: str, status: int) -> None:
    words = ["-m", "broadcaster", "-C", str(here.root), "send", "june", "--list", "news"]
    with pexpect.spawn(sys.executable, words, encoding="utf-8", timeout=60, dimensions=(24, 200)) as child:
        for answer, question in zip(answers, ("4.0 times .* Is that meant", "Send to 4 people now"), strict=False):
            child.expect(question)
            child.sendline(answer)
        said = child.read()
    assert child.exitstatus == status, said
    assert len(lab.messages) == (4 if status == 0 else 0)
    assert len(here.run("mailings", "--all", "--json").json) == (3 if status == 0 else 2)


def test_no_question_goes_unanswered_elsewhere(here: World, lab: Lab) -> None:
    refused: Ran = here.run("send", "june", "--list", "news", status=2)
    assert "--yes" in refused.err
    assert SIZE in here.run("send", "june", "--list", "news", "--yes").err
    assert len(lab.messages) == 4
