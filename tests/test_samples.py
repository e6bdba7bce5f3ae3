"""The sample list is as untidy as real ones are, and our own rooms understand it."""

from __future__ import annotations

import csv
from pathlib import Path

from broadcaster import language

SAMPLE = Path(__file__).parents[1] / "subscribers" / "sample.csv"


def rows() -> list[list[str]]:
    with SAMPLE.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))[1:]


def test_there_are_hundreds_of_people_in_three_languages() -> None:
    spoken = [language.choose(language.tag_of(row[2]) or "", ["en", "ar", "ckb"], "en") for row in rows()]
    assert len(spoken) > 300
    assert all(spoken.count(tag) > 60 for tag in ("en", "ar", "ckb"))


def test_every_language_in_it_is_understood_or_empty() -> None:
    assert [row[2] for row in rows() if row[2] and language.tag_of(row[2]) is None] == []


def test_it_has_the_names_that_break_things() -> None:
    names = "\n".join(row[1] for row in rows())
    for awkward in ("'", '"', ",", "<", "&", "{{", "{%", "=SUM", "👩‍👩‍👧‍👦", "\u200f", "\n", "李", "ـ", "\u00a0"):
        assert awkward in names
    assert any(not row[1] for row in rows())
    assert max(len(row[1]) for row in rows()) > 100


def test_no_address_in_it_can_belong_to_anybody() -> None:
    # RFC 2606: nobody gets .example or these three
    for row in rows():
        for word in row[0].replace(";", " ").replace(">", " ").lower().split():
            domain = word.strip().rpartition("@")[2]
            if "@" in word and domain:
                assert domain.endswith(".example") or domain in ("example.org", "example.com", "example.net"), word
