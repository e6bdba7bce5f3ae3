"""Who gets a mailing: in a language there is, and counted by it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.audience import Audience

TAGS = st.sampled_from(["ar", "ar-IQ", "en", "en-GB", "fr", "ckb", ""])


def audience(wanted: dict[str, int]) -> Audience:
    return Audience.of(1, wanted, lambda tag: "ar" if tag.startswith("ar") else "en")


@given(st.dictionaries(TAGS, st.integers(1, 9)))
def test_everybody_is_counted_once_in_the_language_they_get(wanted: dict[str, int]) -> None:
    found = audience(wanted)
    assert found.number == sum(found.chosen.values()) == sum(wanted.values())
    assert set(found.chosen) <= {"ar", "en"}
    assert all(wanted[tag] == number for tag, number in found.fallbacks.items())


def test_who_has_no_language_of_their_own_misses_none() -> None:
    found = audience({"ar": 1, "ar-IQ": 1, "en": 1, "fr": 2, "": 1})
    assert found.chosen == {"ar": 2, "en": 4}
    assert found.fallbacks == {"fr": 2}
