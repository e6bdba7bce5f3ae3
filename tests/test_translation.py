"""Laws of parts beside each other: what can be counted is the same, and each is in its own script."""

from __future__ import annotations

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


def test_more_than_the_default_part_has_is_nobodys_fault() -> None:
    assert rules(arabic=ARABIC + "\n## كلمة\n") == []


def test_a_default_part_that_was_written_later_is_told_but_not_by_seconds() -> None:
    assert rules(en=1000.0, ar=1000.0) == rules(en=1030.0, ar=1000.0) == rules(en=1000.0, ar=9000.0) == []
    assert rules(en=9000.0, ar=1000.0) == ["stale-translation"]


def test_a_copied_file_is_no_translation() -> None:
    assert "untranslated" in rules(arabic=ENGLISH)
    assert rules(arabic=ARABIC.replace("ماء نظيف للبصرة", "Clean water for Basra")) == ["untranslated"]


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
    ],
)
def test_brackets_open_before_they_close(line: str, wrong: bool) -> None:
    assert ("brackets" in rules(arabic=ARABIC + f"\n{line}\n")) is wrong


def test_a_sign_that_turns_the_text_is_told_and_a_mark_is_not() -> None:
    assert rules(arabic=ARABIC + "\n\u202eكلمة\n") == ["direction-mark"]
    assert rules(arabic=ARABIC + "\n\u200fكلمة\n") == []
