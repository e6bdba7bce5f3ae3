"""Who gets a mailing: once, in a language there is, and not who had it before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.audience import Audience

people = st.lists(st.integers(1, 60), unique=True).map(sorted)


def audience() -> Audience:
    return Audience(["ar", "en"], lambda tag: tag.split("-")[0] if tag.startswith("ar") else "en")


@given(people, people)
def test_all_but_who_had_it_get_it_once(candidates: list[int], had: list[int]) -> None:
    found = audience()
    rows = list(found.of([(person, "ar", 7) for person in candidates], had))
    assert [row[0] for row in rows] == [person for person in candidates if person not in had]
    assert found.number == len(rows)
    assert found.excluded == len(set(candidates) & set(had))


def test_everybody_is_counted_in_the_language_they_get() -> None:
    found = audience()
    tags = ["ar", "ar-IQ", "en", "fr", "", "fr"]
    rows = list(found.of([(person, tag, 1) for person, tag in enumerate(tags)]))
    assert [part for _, _, part in rows] == [0, 0, 1, 1, 1, 1]
    assert found.chosen == {"ar": 2, "en": 4}
    assert found.fallbacks == {"fr": 2}
