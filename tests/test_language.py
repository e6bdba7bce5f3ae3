"""Language tags: one spelling, one direction, a fallback a reader can read, and names as people write them."""

from __future__ import annotations

import datetime
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import language
from broadcaster.errors import LanguageError

subtags = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=3)


@pytest.mark.parametrize(
    ("written", "tag"),
    [
        ("EN", "en"),
        (" ar_iq ", "ar-IQ"),
        ("KU-arab-iq", "ku-Arab-IQ"),
        ("iw", "he"),
        ("zh_hant_TW", "zh-Hant-TW"),
        ("es-419", "es-419"),
    ],
)
def test_a_tag_has_one_spelling(written: str, tag: str) -> None:
    assert language.normalise(written) == tag


@given(subtags, st.sampled_from(["", "-IQ", "-arab", "_LATN_tr", "-419", "-x-home"]))
def test_normalising_twice_changes_nothing(base: str, rest: str) -> None:
    once = language.normalise(base + rest)
    assert language.normalise(once) == once


@given(st.text(max_size=12))
def test_a_text_is_a_tag_or_a_plain_error(text: str) -> None:
    try:
        tag = language.normalise(text)
    except LanguageError as refusal:
        tag = "en"
        error = str(refusal)
    else:
        error = ""
    assert tag.isascii()
    assert "\n" not in error


@pytest.mark.parametrize(
    "text", ["", "e", "arabic", "e1", "en-", "-en", "en--US", "عربي", "en US", "../en", "en\n", "en.md"]
)
def test_what_is_no_tag_is_refused(text: str) -> None:
    if text == "en\n":
        assert language.normalise(text) == "en"
        return
    with pytest.raises(LanguageError):
        language.normalise(text)


NAMES = {
    "ar": "Arabic; ARABE; ara; عربي; العربية; عَرَبيّ; اللغة العربية; عەرەبی; \u200fالعربية\u200e; ar, en; Arabic/English",
    "ar-IQ": "AR_iq; Arabic (Iraq); العربية (العراق)",
    "ckb": "ckb; Kurdish (Sorani); Kurdish - Sorani; sorani; کوردی; كردي; الكردية; سۆرانی",
    "ku": "Kurdish; Kurdî; kur; Kurdish (Other)",
    "kmr": "kmr; Kurmancî; Kurdish (Kurmanji); Kurdish Badini",
    "en": "en; ENGLISH; eng; English (UK); anglais; ئینگلیزی; انگلیسی; \u00a0English\u00a0",
    "en-US": "en_us; en-US,en",
    "fa": "Farsi; per; فارسی; فارسي; زبان فارسی",
    "prs": "Dari; prs",
    "fr": "français; FRANCAIS; fre; fra",
    "ru": "русский; rus",
    "zh": "Chinese; zho",
}


@pytest.mark.parametrize(("words", "tag"), [(word, tag) for tag, words in NAMES.items() for word in words.split("; ")])
def test_a_language_is_known_by_the_names_people_write(words: str, tag: str) -> None:
    assert language.tag_of(words) == tag


@pytest.mark.parametrize(
    "words", ["", " ", "?", "-", "n/a", "none", "nan", "NaN", "yes", "42", "Basra", "und", "see notes"]
)
def test_what_names_no_language_is_none(words: str) -> None:
    assert language.tag_of(words) is None


@pytest.mark.parametrize(
    "tag",
    [
        "ar",
        "ar-IQ",
        "ckb",
        "fa",
        "prs",
        "ur",
        "he",
        "syr",
        "dv",
        "yi",
        "ku-Arab",
        "ku-IQ",
        "az-IR",
        "pa-PK",
        "ug",
        "acm",
    ],
)
def test_these_run_from_right_to_left(tag: str) -> None:
    assert language.direction(tag) == "rtl"


@pytest.mark.parametrize("tag", ["en", "fr", "ku", "kmr", "tr", "az", "pa", "ar-Latn", "zh-Hant", "xx", "el"])
def test_these_run_from_left_to_right(tag: str) -> None:
    assert language.direction(tag) == "ltr"


READERS = """
ar         of en ar       reads ar
ar-IQ      of en ar       reads ar
ar_iq      of en ar       reads ar
ar-IQ      of en ar ar-IQ reads ar-IQ
ar         of en ar-IQ    reads ar-IQ
arz        of en ar       reads ar
ku         of en ckb      reads ckb
ku         of ckb kmr     reads kmr
kmr        of en ckb      reads en
ku-Arab-IQ of ku ckb      reads ckb
ckb        of en ku       reads en
prs        of en fa       reads fa
fa-AF      of en fa       reads fa
en-US      of ar en-GB    reads en-GB
az-Arab    of en az       reads en
zz         of ar en       reads en
de-x-home  of en de       reads de
"""


@pytest.mark.parametrize("row", READERS.strip().splitlines())
def test_a_reader_gets_the_nearest_language_they_can_read(row: str) -> None:
    tag, _, *offered, _, chosen = row.split()
    assert language.choose(tag, offered, "en") == chosen


def test_a_reader_without_a_language_gets_the_default() -> None:
    assert language.choose("", ["ar", "en"], "en") == "en"


@given(subtags, st.lists(subtags, max_size=4), subtags)
def test_what_is_chosen_was_offered_or_is_the_default(tag: str, offered: list[str], default: str) -> None:
    assert language.choose(tag, offered, default) in (*offered, default)


@given(subtags, st.lists(subtags, max_size=4))
def test_an_offered_language_is_always_chosen_by_its_reader(tag: str, offered: list[str]) -> None:
    chosen = language.choose(tag, [*offered, tag], "en")
    assert language.normalise(chosen) == language.normalise(tag)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("en", "July 4, 2026"),
        ("en-GB", "4 July 2026"),
        ("ar-IQ", "٤ تموز ٢٠٢٦"),
        ("ar", "4 يوليو 2026"),
        ("ckb", "٤ی تەمووزی ٢٠٢٦"),
        ("fa", "۴ ژوئیه ۲۰۲۶"),
        ("fr", "4 juillet 2026"),
    ],
)
def test_a_date_is_written_as_its_language_does(tag: str, words: str) -> None:
    assert language.date(datetime.date(2026, 7, 4), tag) == words


def test_a_language_nobody_knows_still_has_dates_numbers_and_a_name() -> None:
    assert language.date(datetime.date(2026, 5, 4), "zz") == "May 4, 2026"
    assert language.number(40000, "zz") == "40,000"
    assert language.name("zz") == "zz"


def test_numbers_have_their_languages_digits() -> None:
    assert language.number(40000.5, "ckb") == "٤٠٬٠٠٠٫٥"
    assert language.number(40000.5, "fa") == "۴۰٬۰۰۰٫۵"
    assert language.number(40000, "fr") == "40\u202f000"


def test_a_list_is_numbered_in_its_languages_digits() -> None:
    assert [language.counter(tag) for tag in ("ckb", "ar-IQ", "fa", "ar", "fr", "zz")] == [
        "arabic-indic",
        "arabic-indic",
        "persian",
        "decimal",
        "decimal",
        "decimal",
    ]


def test_a_language_has_a_name_for_staff_and_for_its_readers() -> None:
    assert language.name("ckb") == "Sorani Kurdish"
    assert language.name("ckb", "ckb") == "کوردیی ناوەندی"
    assert language.name("ar") == "Arabic"


def test_spelling_and_choosing_do_without_babel() -> None:
    code = (
        "import sys; from broadcaster import language as l; l.normalise('ar_IQ'); l.choose('ar-IQ', ['ar'], 'en');"
        " l.tag_of('Kurdish (Sorani)'); l.tag_of('en'); l.tag_of('ckb'); sys.exit('babel' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
