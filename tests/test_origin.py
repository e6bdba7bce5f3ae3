"""Whoever moves here from another system writes to nobody who left it. Files after the systems' documented formats."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.cell import tidy
from broadcaster.cli import _run
from broadcaster.errors import SheetError
from broadcaster.jsonlines import JsonLines
from broadcaster.sheet import Person, Sheet, Spoilt
from tests.conftest import Place, Ran

Here = Callable[..., Ran]

COMMON = ["Email Address", "First Name", "Last Name", "City", "Language", "MEMBER_RATING", "OPTIN_TIME", "OPTIN_IP"]
COMMON += ["CONFIRM_TIME", "CONFIRM_IP", "LATITUDE", "LONGITUDE", "GMTOFF", "DSTOFF", "TIMEZONE", "CC", "REGION"]
ENDS = ["LEID", "EUID", "NOTES", "TAGS"]
UNSUBSCRIBED = ["UNSUB_TIME", "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON", "UNSUB_REASON_OTHER"]
CLEANED = ["CLEAN_TIME", "CLEAN_CAMPAIGN_TITLE", "CLEAN_CAMPAIGN_ID"]


def test_whoever_a_system_that_we_do_not_know_calls_gone_stays_away(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    said = {"a": "Unsubscribed", "b": "opted-out", "c": "Hard bounce", "d": "member", "e": ""}
    rows = [f"{who}@example.org,{word}" for who, word in said.items()]
    file.write_text("\n".join(["email,Status", *rows]), encoding="utf-8")
    told = json.loads(here("subscribers", "import", file, "--list", "news", "--yes", "--json").out)
    assert (told["new"], told["leaves"], told["barred"]) == (2, 2, 1)
    found = json.loads(here("subscribers", "--json", "--where", "status = member").out)
    assert [each["address"] for each in found] == ["d@example.org"]
    # whoever knows better says so
    here("lists", "create", "other")
    mapped = ("--map", "Status=membership", "--dry-run", "--json")
    assert json.loads(here("subscribers", "import", file, "--list", "other", *mapped).out)["leaves"] == 0


@pytest.fixture
def here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Here:
    """Commands in this process, in a workspace with an empty list."""
    place = Place(tmp_path / "workspace")
    assert _run(["init", str(place.root)]) == 0

    def run(*words: str | Path, status: int = 0) -> Ran:
        ended = _run(["-C", str(place.root), *map(str, words)])
        said = capsys.readouterr()
        assert ended == status, (words, ended, said)
        return Ran(ended, said.out, said.err)

    run("lists", "create", "news")
    return run


def sheet(heading: list[str], *rows: dict[str, str]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, heading)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def member(address: str, **more: str) -> dict[str, str]:
    return {
        "Email Address": address,
        "First Name": "Amal",
        "Last Name": "Haddad",
        "City": "Basra",
        "Language": "ar",
        "MEMBER_RATING": "4",
        "OPTIN_TIME": "2020-02-03 04:05:06",
        "OPTIN_IP": "192.0.2.10",
        "CONFIRM_TIME": "2020-02-03 04:06:00",
        "CONFIRM_IP": "192.0.2.11",
        "LATITUDE": "30.5",
        "LONGITUDE": "47.8",
        "TIMEZONE": "Asia/Baghdad",
        "CC": "IQ",
        "LEID": "123",
        "EUID": "ab12",
        "TAGS": '"Members","Clean water"',
        **more,
    }


def audience(folder: Path) -> Path:
    """An audience as Mailchimp packs it: one file for each standing."""
    path = folder / "audience_export_1a10653875.zip"
    files = {
        "subscribed": sheet([*COMMON, "LAST_CHANGED", *ENDS], member("amal@example.org")),
        "unsubscribed": sheet(
            [*COMMON, *UNSUBSCRIBED, *ENDS],
            member("left@example.org", UNSUB_TIME="2024-02-03 10:00:00", UNSUB_REASON="NORMAL"),
            member("angry@example.org", UNSUB_TIME="2024-02-03 10:00:00", UNSUB_REASON="ABUSE"),
        ),
        "cleaned": sheet([*COMMON, *CLEANED, *ENDS], member("dead@example.org", CLEAN_TIME="2024-03-04 10:00:00")),
        "nonsubscribed": sheet([*COMMON, "LAST_CHANGED", *ENDS], member("shop@example.org")),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for standing, text in files.items():
            file.writestr(f"{standing}_email_audience_export_1a10653875.csv", text)
    return path


def test_an_audience_of_mailchimp_comes_with_all_that_was_said_there(here: Here, tmp_path: Path) -> None:
    told = here(
        "subscribers", "import", audience(tmp_path), "--list", "news", "--consent", "moved", "--yes", "--json"
    ).json
    assert {name: told[name] for name in ("rows", "new", "leaves", "barred")} == {
        "rows": 5,
        "new": 1,
        "leaves": 1,
        "barred": 2,
    }
    assert [each["reason"].partition(" (")[0] for each in told["invalid"]] == [
        "is nonsubscribed at Mailchimp: never agreed to get this"
    ]
    people = {each["address"]: each for each in here("subscribers", "--json").json}
    assert people.keys() == {"amal@example.org", "left@example.org"}
    amal = people["amal@example.org"]
    assert (amal["name"], amal["language"], amal["timezone"]) == ("Amal Haddad", "ar", "Asia/Baghdad")
    assert amal["fields"] == {
        "city": "Basra",
        "cc": "IQ",
        "tags": "Members, Clean water",
        "first_name": "Amal",
        "last_name": "Haddad",
    }
    # of who left nothing is kept but that
    assert people["left@example.org"]["lists"] == {"news": "left"}
    assert (people["left@example.org"]["name"], people["left@example.org"]["fields"]) == ("", {})
    barred = {each["address"]: each["reason"] for each in here("suppressions", "--json").json}
    assert barred == {"angry@example.org": "complained", "dead@example.org": "bounced"}
    record = here("subscribers", "show", "amal@example.org", "--json").json["consents"]
    assert [each["wording"] for each in record] == [
        "Mailchimp: asked 2020-02-03 04:05:06 from 192.0.2.10, confirmed 2020-02-03 04:06:00 from 192.0.2.11; moved"
    ]
    # none of them comes back with a plain file
    plain = tmp_path / "plain.csv"
    plain.write_text("email\nleft@example.org\nangry@example.org\ndead@example.org\n", encoding="utf-8")
    again = here("subscribers", "import", plain, "--list", "news", "--yes", "--json").json
    assert (again["new"], again["left_before"], again["suppressed"]) == (0, 1, 2)


def test_one_file_of_an_audience_is_known_by_its_name_or_its_columns(here: Here, tmp_path: Path) -> None:
    heading = [*COMMON, "LAST_CHANGED", *ENDS]
    for name, gone in (("unsubscribed_members_export_0e633f6c70.csv", "leaves"), ("subscribers.csv", "new")):
        path = tmp_path / name
        path.write_text(sheet(heading, member(f"{gone}@example.org")), encoding="utf-8")
        assert here("subscribers", "import", path, "--list", "news", "--yes", "--json").json[gone] == 1
    path = tmp_path / "renamed.csv"
    text = sheet([*COMMON, *UNSUBSCRIBED, *ENDS], member("x@example.org", UNSUB_TIME="2024-02-03 10:00:00"))
    path.write_text(text, encoding="utf-8")
    assert here("subscribers", "import", path, "--list", "news", "--yes", "--json").json["leaves"] == 1


def test_who_left_stays_away_however_few_columns_are_left_and_in_whichever_file(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "audience.zip"
    with zipfile.ZipFile(file, "w") as audience:
        audience.writestr("subscribed_members_export_ab.csv", "Email Address\na@example.org\nboth@example.org\n")
        audience.writestr("unsubscribed_members_export_ab.csv", "Email Address\nboth@example.org\ngone@example.org\n")
        audience.writestr("cleaned_members_export_ab.csv", "Email Address,CLEAN_TIME\ndead@example.org,2025-01-01\n")
    told = json.loads(here("subscribers", "import", file, "--list", "news", "--yes", "--json").out)
    assert (told["new"], told["leaves"], told["barred"]) == (1, 2, 1)
    alone = tmp_path / "people.csv"
    alone.write_text("Email Address,UNSUB_TIME\nlate@example.org,2025-01-01 10:00:00\nok@example.org,\n")
    told = json.loads(here("subscribers", "import", alone, "--list", "news", "--yes", "--json").out)
    assert (told["new"], told["leaves"]) == (1, 1)


def test_a_column_that_is_left_out_may_be_asked_for(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "subscribed_members_export_0e633f6c70.csv"
    path.write_text(sheet([*COMMON, "LAST_CHANGED", *ENDS], member("amal@example.org")), encoding="utf-8")
    here("subscribers", "import", path, "--list", "news", "--map", "MEMBER_RATING=rating", "--yes")
    assert here("subscribers", "--json").json[0]["fields"]["rating"] == "4"


def listmonk(address: str, status: str = "enabled", attributes: str = "{}") -> dict[str, str]:
    return {
        "uuid": "5b7c2c1e-0000-4000-8000-000000000000",
        "email": address,
        "name": "Sara",
        "attributes": attributes,
        "status": status,
        "created_at": "2023-04-05 06:07:08.123456 +0000 UTC",
        "updated_at": "2024-04-05 06:07:08.123456 +0000 UTC",
    }


def test_a_listing_of_listmonk_comes_with_all_that_was_said_there(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "subscribers.csv"
    attributes = '{"city": "Erbil", "amount": 25000, "language": "ckb", "vip": true, "topics": ["water", "power"]}'
    path.write_text(
        sheet(
            list(listmonk("x")),
            listmonk("sara@example.org", attributes=attributes),
            listmonk("gone@example.org", "blocklisted"),
            listmonk("off@example.org", "disabled"),
            listmonk("odd@example.org", attributes="{oops"),
        ),
        encoding="utf-8",
    )
    told = here("subscribers", "import", path, "--list", "news", "--yes", "--json").json
    assert (told["new"], told["barred"]) == (1, 1)
    assert [each["reason"] for each in told["invalid"]] == ["is disabled in listmonk", "its attributes are no JSON"]
    (sara,) = here("subscribers", "--json").json
    assert (sara["name"], sara["language"]) == ("Sara", "ckb")
    assert sara["fields"] == {"city": "Erbil", "amount": "25000", "vip": "true", "topics": "water, power"}
    assert here("suppressions", "--json").json[0]["reason"] == "staff"
    record = here("subscribers", "show", "sara@example.org", "--json").json["consents"]
    assert record[0]["wording"] == "listmonk: there since 2023-04-05 06:07:08"


def test_objects_of_listmonks_interface_say_who_left_which_list(here: Here, tmp_path: Path) -> None:
    def one(address: str, *lists: tuple[str, str, str]) -> str:
        said = [{"name": name, "subscription_status": status, "optin": optin} for name, status, optin in lists]
        return json.dumps(
            {
                "id": 1,
                "uuid": "u",
                "email": address,
                "name": "S",
                "status": "enabled",
                "created_at": "2023-04-05T06:07:08Z",
            }
            | {"attribs": {"city": "Erbil", "deep": {"a": 1}, "status": "disabled"}, "lists": said}
        )

    path = tmp_path / "subscribers.jsonl"
    lines = [
        one("in@example.org", ("News", "confirmed", "double"), ("Board", "unsubscribed", "single")),
        one("left@example.org", ("News", "unsubscribed", "single"), ("Board", "confirmed", "single")),
        one("all@example.org", ("Other", "unsubscribed", "single")),
        one("never@example.org", ("News", "unconfirmed", "double")),
        one("single@example.org", ("News", "unconfirmed", "single")),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    told = here("subscribers", "import", path, "--list", "news", "--yes", "--json").json
    assert (told["new"], told["leaves"]) == (2, 2)
    assert [each["reason"] for each in told["invalid"]] == ["never confirmed at listmonk"]
    people = {each["address"]: each for each in here("subscribers", "--json").json}
    assert people["in@example.org"]["fields"] == {"city": "Erbil", "deep": '{"a": "1"}', "status_2": "disabled"}
    assert people["left@example.org"]["lists"] == people["all@example.org"]["lists"] == {"news": "left"}


# JSON lines


def of_json(text: str) -> list[Any]:
    return list(Sheet(JsonLines(io.BytesIO(text.encode()))))


def test_our_own_listing_comes_back_as_it_was(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "email,name,language,City,lists\na@example.org,Ä,ar,Basra,x\nb@example.org,,,,\nc@example.org,,,,\n"
    )
    here("subscribers", "import", path, "--list", "news", "--yes")
    here("subscribers", "unsubscribe", "b@example.org", "--list", "news")
    here("suppressions", "add", "c@example.org", "--reason", "they asked")
    listed = here("subscribers", "--json").out
    here("lists", "create", "board")
    (tmp_path / "listing.json").write_text(listed, encoding="utf-8")
    told = here("subscribers", "import", tmp_path / "listing.json", "--list", "news", "--yes", "--json").json
    assert (told["unchanged"], told["left_before"], told["suppressed"]) == (1, 1, 1)
    (tmp_path / "export.jsonl").write_text(here("subscribers", "export", "--json").out, encoding="utf-8")
    told = here("subscribers", "import", tmp_path / "export.jsonl", "--list", "board", "--yes", "--json").json
    assert (told["rows"], told["new"]) == (1, 1)
    assert json.loads(here("subscribers", "export", "--json").out)["fields"] == {"city": "Basra", "lists": "x"}


values = st.dictionaries(
    st.sampled_from(["city", "amount", "note", "lists", "suppressed"]),
    st.text(max_size=8).map(lambda text: tidy(text.replace("\0", ""))).filter(bool),
)


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=5), values), min_size=1, max_size=6))
def test_what_is_written_as_json_lines_is_what_is_read(people: list[tuple[str, dict[str, str]]]) -> None:
    text = "\n".join(
        json.dumps(
            {"address": f"{who}@example.org", "name": "", "language": "", "timezone": "", "fields": fields}
            | {"lists": {"news": "active"}, "suppressed": None}
        )
        for who, fields in people
    )
    assert [(row.address, row.fields) for row in of_json(text)] == [
        (f"{who}@example.org", fields) for who, fields in people
    ]


def test_each_wrong_line_is_told_and_the_rest_comes_in() -> None:
    rows = of_json(
        '{"email": "a@example.org", "n": 007}\n'
        '{"email": "b@example.org", "n": 1e400, "deep": {"x": [1]}}\n'
        "\n[1]\n"
        f"{'[' * 100_000}\n"
        f'{{"email": "c@example.org", "note": "{"x" * 1_000_001}"}}\n'
        '{"email": "d@example.org", "tags": ["a", "b"], "ok": true, "no": null},\n'
    )
    assert [(row.line, row.reason) for row in rows if isinstance(row, Spoilt)] == [
        (1, "is no JSON object on a line of its own"),
        (4, "is no JSON object on a line of its own"),
        (5, "is no JSON object on a line of its own"),
        (6, "a line of more than 1,000,000 characters"),
    ]
    assert [row.fields for row in rows if isinstance(row, Person)] == [
        {"n": "1e400", "deep_x": "1"},
        {"tags": "a, b", "ok": "true"},
    ]


def test_an_array_with_one_object_a_line_is_read() -> None:
    text = '[{"email": "a@example.org"},\n{"email": "b@example.org"}]\n'
    assert [row.address for row in of_json(text)] == ["a@example.org", "b@example.org"]
    with pytest.raises(SheetError, match="no JSON objects"):
        of_json('[\n  {\n  "email": "a@example.org"\n  }\n]\n')
