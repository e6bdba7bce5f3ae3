"""Laws of parts beside each other: what can be counted is the same, and each is in its own script."""

from __future__ import annotations

import time

import pytest

from broadcaster import statement, translation

ENGLISH = """---
subject: Clean water for Basra
---
## Where

See [the map](https://water.example/map) and come, all of you who can.

{% if subscriber.city %}x{% endif %}
"""
ARABIC = """---
subject: ماء نظيف للبصرة
---
## أين

انظروا [الخريطة](https://water.example/ar) وتعالوا جميعًا إن استطعتم.

{% if subscriber.city %}x{% endif %}
"""


def rules(english: str = ENGLISH, arabic: str = ARABIC, **changed: float) -> list[str]:
    written = statement.parse("june", {"en.md": english, "ar.md": arabic}, default="en")
    return [finding.rule for finding in translation.prove(written, "en", changed)]


def test_parts_that_say_the_same_have_no_findings() -> None:
    assert rules() == []


@pytest.mark.parametrize(
    "gone", ["## أين\n", "[الخريطة](https://water.example/ar)", "{% if subscriber.city %}x{% endif %}"]
)
def test_a_translation_with_less_is_told(gone: str) -> None:
    assert set(rules(arabic=ARABIC.replace(gone, "كلمة"))) == {"stale-translation"}


def test_a_paragraph_that_was_added_in_one_language_is_told() -> None:
    assert rules(english=ENGLISH + "\n**Come** on Friday.\n") == ["stale-translation"]
    # a line more or less between items, rows and tags is a matter of taste
    assert rules(english=ENGLISH + "\n- a\n\n- b\n\n> c\n\n---\n\n1. d\n\n| e |\n|---|\n\n{% set f = 1 %}\n") == []


def test_more_than_the_default_part_has_is_nobodys_fault() -> None:
    assert rules(arabic=ARABIC + "\n## كلمة\n") == []


def test_a_default_part_that_was_written_later_is_told_but_not_by_seconds() -> None:
    assert rules(en=1000.0, ar=1000.0) == rules(en=1030.0, ar=1000.0) == rules(en=1000.0, ar=9000.0) == []
    assert rules(en=9000.0, ar=1000.0) == ["stale-translation"]


def test_a_copied_file_is_no_translation() -> None:
    assert "untranslated" in rules(arabic=ENGLISH)
    assert rules(arabic=ARABIC.replace("ماء نظيف للبصرة", "Clean water for Basra")) == ["untranslated"]


def test_a_paragraph_that_was_left_in_the_first_language_is_told_with_its_line() -> None:
    left = "The pumps stopped on Monday,\nand nobody has said when they will work again in the city."
    english, arabic = f"{ENGLISH}\n{left}\n", f"{ARABIC}\n{left}\n"
    written = statement.parse("june", {"en.md": english, "ar.md": arabic}, default="en")
    told = [each for each in translation.prove(written, "en", {}) if "word for word" in each.message]
    assert [(each.rule, each.file, each.line) for each in told] == [("untranslated", "statements/june/ar.md", 10)]
    # names and addresses are the same in every language
    same = "\n[Water for All](https://water.example/a/long/address/of/some/page/that/is/the/same)\n"
    assert rules(ENGLISH + same, ARABIC + same) == []


def test_brackets_cost_no_more_than_their_number() -> None:
    began = time.process_time()
    for text in (")(" * 50_000, "(" * 100_000, " " * 100_000, ") x (" * 20_000, "[" * 50_000):
        rules(arabic=ARABIC + f"\n{text}\n")
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("قال )وزير الماء( أمس", True),
        ("قال (وزير الماء) أمس", False),
        ("1) أولًا ثم (ثانيًا)", False),
        ("شكرًا :) ثم (كلمة)", False),
        ("[رابط](https://water.example/a(b)c)", False),
        ("`)كود(`", False),
        ("قالت »كلمة« أمس", True),
        ("منظمة (يونيسف) و)الماء( اليوم", True),
        ("أ) كذا ب) كذا (انظر ج)", False),
        ("كلمة :) ثم (: كلمة", False),
        ("(كلمة\nكلمة) ثم (كلمة\nكلمة)", False),
        ("كلمة )كلمة\nكلمة( كلمة", True),
        ("```\n)كود(\n```", False),
        ("{{ subscriber.city | default(')x(') }} كلمة", False),
        ("كلمة) ثم كلمة", False),
    ],
)
def test_brackets_open_before_they_close(line: str, wrong: bool) -> None:
    assert ("brackets" in rules(arabic=ARABIC + f"\n{line}\n")) is wrong


def test_a_sign_that_turns_the_text_is_told_and_a_mark_is_not() -> None:
    assert rules(arabic=ARABIC + "\n\u202eكلمة\n") == ["direction-mark"]
    assert rules(arabic=ARABIC + "\n\u200fكلمة\n") == []
