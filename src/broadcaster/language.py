"""Language tags (BCP 47): their direction, their fallbacks, dates, digits and names.

A tag is what a person's row, a statement's file name and broadcaster.toml all speak, so they must
agree on its spelling. What Unicode's CLDR knows comes from Babel, imported only when asked for:
`normalise` and `choose` stand in the way of every command and do without it.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from broadcaster.errors import LanguageError

if TYPE_CHECKING:
    from babel import Locale

Direction = Literal["ltr", "rtl"]

# RFC 5646 §2.1 without the parts nobody mails in (extended language subtags, private tags). The first subtag has two or
# three letters: longer ones are reserved, and "arabic" must not pass as one.
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<rest>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?)",
    re.ASCII,
)

# Tags the registry has replaced (RFC 5646 §3.1.7): Java and old spreadsheets still write them.
_REPLACED = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro"}

# Registered, but in a file of people they mean "none", "several", an empty cell ("nan" is Min Nan) or a plain word.
_NO_LANGUAGE = frozenset(["und", "mul", "mis", "zxx", "nan", "yes", "non"])

# UAX #24 scripts whose letters run from right to left.
_RIGHT_TO_LEFT = frozenset(
    ["Adlm", "Arab", "Aran", "Hebr", "Mand", "Nkoo", "Rohg", "Samr", "Syrc", "Syre", "Syrj", "Syrn", "Thaa", "Yezi"]
)

# Whose text a person can read when their own is not offered: members of a macrolanguage (ISO 639-3) and close kin.
# "ku" is Kurmanji to CLDR, but in Iraqi lists it is written for Sorani too; the reverse does not hold.
_NEAR: Mapping[str, tuple[str, ...]] = {
    "ku": ("kmr", "ckb"),
    "ku-Arab": ("ckb",),
    "ku-IQ": ("ckb", "kmr"),
    "ku-IR": ("ckb", "kmr"),
    "kmr": ("ku",),
    "prs": ("fa-AF", "fa"),
    "fa-AF": ("prs",),
    "nb": ("no", "nn"),
    "nn": ("no", "nb"),
    "no": ("nb", "nn"),
    **dict.fromkeys(("acm", "aeb", "afb", "apc", "apd", "arb", "arq", "ary", "arz", "ayl"), ("ar",)),
}


@lru_cache(maxsize=4096)
def normalise(text: str) -> str:
    """A tag in its canonical case, `ar_iq` as `ar-IQ`. Raises LanguageError when it is none."""
    found = _TAG.fullmatch(text.strip().replace("_", "-").lower())
    if found is None:
        raise LanguageError(f"{text.strip()[:40]!r} is not a language tag", hint="write it like en, ar, ckb or ar-IQ")
    language = _REPLACED.get(found["language"], found["language"])
    script, region = (found["script"] or "").title(), (found["region"] or "").upper()
    return "-".join(part for part in (language, script, region) if part) + found["rest"]


@lru_cache(maxsize=4096)
def tag_of(words: str) -> str | None:
    """The tag that a cell means: a tag, or a language's name in one of several languages; None when it is neither.

    Where a cell names several, the first counts; a country in brackets is passed over.
    """
    whole = _spoken(words)
    if whole is not None:
        return whole
    parts = re.split(r"[,;/|+&(،؛]|\s-\s", words)
    return next((tag for part in parts if (tag := _spoken(part)) is not None), None) if len(parts) > 1 else None


def _spoken(words: str) -> str | None:
    """One name or tag. What is known by heart comes first: Babel's lists take a third of a second to read."""
    if (key := _fold(words)) in (names := _names_here()):
        return names[key]
    try:
        tag = normalise(words)
    except LanguageError:
        return _names_everywhere().get(key)
    language, dash, rest = tag.partition("-")
    if len(language) == 2 or language in _SPOKEN or language in _NEAR:
        return tag
    if language in _NO_LANGUAGE:
        return None
    from babel.core import get_global

    # ISO 639-2 codes ("ara", "fre") where BCP 47 wants the two letters
    if shorter := get_global("language_aliases").get(language, ""):
        return normalise(shorter + dash + rest)
    return tag if language in get_global("likely_subtags") else _names_everywhere().get(key)


@lru_cache(maxsize=1024)
def direction(tag: str) -> Direction:
    """Which way the script of a language runs. A script named in the tag decides, else CLDR's likely one."""
    parts = tag.split("-")
    script = next((part for part in parts[1:] if len(part) == 4 and part.isalpha()), "") or _likely_script(parts)
    return "rtl" if script in _RIGHT_TO_LEFT else "ltr"


def _likely_script(parts: list[str]) -> str:
    from babel.core import get_global

    likely = get_global("likely_subtags")
    region = next((part for part in parts[1:] if len(part) == 2), "")
    names = [f"{parts[0]}-{region}", *_NEAR.get(f"{parts[0]}-{region}", ()), parts[0], *_NEAR.get(parts[0], ())]
    full = next((likely[each] for name in names if (each := name.replace("-", "_")) in likely), "")
    return next((part for part in full.split("_")[1:] if len(part) == 4), "")


def choose(tag: str, offered: Iterable[str], default: str) -> str:
    """The best of the offered languages for a reader of `tag`; the default where none will do.

    First the tag itself, then shorter ones (RFC 4647 §3.4) each with its near kin, then a sister of another region.
    """
    known = {normalise(each): each for each in offered}
    if not tag:
        return default
    tag = normalise(tag)
    base, *rest = tag.split("-")
    # a sister region will do (en-US reads en-GB), another script will not (az-Arab does not read az)
    scripted = any(len(part) == 4 and part.isalpha() for part in rest)
    for wanted in _wanted(tag):
        if wanted in known and (not scripted or direction(wanted) == direction(tag)):
            return known[wanted]
    sisters = (each for each in known if each.split("-")[0] == base and direction(each) == direction(tag))
    return known[sister] if (sister := next(sisters, None)) is not None else default


def _wanted(tag: str) -> Iterator[str]:
    """The tag, what is near it, then the same for each shorter tag."""
    while tag:
        yield tag
        yield from _NEAR.get(tag, ())
        tag = tag.rpartition("-")[0]
        if tag.rpartition("-")[2] == "x":
            tag = tag.rpartition("-")[0]


def date(value: datetime.date, tag: str) -> str:
    """A date in words, as the language writes it, with its digits."""
    from babel.dates import format_date

    return digits(format_date(value, "long", locale(tag)), tag)


def moment(value: datetime.datetime, tag: str) -> str:
    """Day and time of a wall clock, as the language writes them, with its digits."""
    from babel.dates import format_date, format_time, get_datetime_format

    here = locale(tag)
    day, time = format_date(value, "medium", here), format_time(value, "short", locale=here)
    both = str(get_datetime_format("medium", here)).replace("'", "")
    return digits(both.replace("{1}", day).replace("{0}", time), tag)


def duration(number: int, unit: str, tag: str) -> str:
    """So many of a unit ("day", "hour", "minute" or "second"), as the language says it."""
    from babel.units import format_unit

    return digits(format_unit(number, f"duration-{unit}", "short", locale=locale(tag)), tag)


def percent(value: float, tag: str, decimals: int) -> str:
    """A share of 1 in hundredths, as the language writes it."""
    from babel.numbers import format_percent

    here = locale(tag)
    pattern = here.percent_formats[None].pattern.replace("#,##0", f"#,##0.{'0' * decimals}" if decimals else "#,##0")
    return digits(format_percent(value, pattern, here, numbering_system="default"), tag)


def number(value: int | float, tag: str) -> str:
    """A number with the language's digits, grouping and decimal sign."""
    from babel.numbers import format_decimal

    return digits(format_decimal(value, locale=locale(tag), numbering_system="default"), tag)


def digits(text: str, tag: str) -> str:
    """The text with its digits as the language writes them (CLDR): ٠١٢ in ckb and ar-IQ, ۰۱۲ in fa, 012 in ar-MA."""
    zero = _ZEROS.get(locale(tag).default_numbering_system)
    return text.translate({ord("0") + value: zero + value for value in range(10)}) if zero is not None else text


_ZEROS = {
    "arab": 0x0660,
    "arabext": 0x06F0,
    "deva": 0x0966,
    "beng": 0x09E6,
    "mymr": 0x1040,
    "nkoo": 0x07C0,
    "adlm": 0x1E950,
}

# what CSS calls them (Counter Styles 3 §6.1)
_COUNTERS = {
    "arab": "arabic-indic",
    "arabext": "persian",
    "deva": "devanagari",
    "beng": "bengali",
    "mymr": "myanmar",
}


def counter(tag: str) -> str:
    """How a list is numbered in a language's digits, as a value of CSS `list-style-type`."""
    return _COUNTERS.get(locale(tag).default_numbering_system, "decimal")


# The names people here use, where CLDR has others.
_PLAIN_NAMES = {"ckb": "Sorani Kurdish", "ku": "Kurmanji Kurdish", "kmr": "Kurmanji Kurdish", "prs": "Dari"}


def name(tag: str, reader: str = "en") -> str:
    """What a language is called in the reader's language; the tag itself where nobody knows it."""
    if reader == "en" and tag in _PLAIN_NAMES:
        return _PLAIN_NAMES[tag]
    from babel import UnknownLocaleError

    try:
        return _parsed(tag).get_display_name(_parsed(reader)) or tag
    except (UnknownLocaleError, ValueError):
        return tag


@lru_cache(maxsize=256)
def locale(tag: str) -> Locale:
    """Babel's locale of a tag, else of the nearest it has, else English: a date is better than none."""
    from babel import Locale, UnknownLocaleError

    for wanted in _wanted(tag):
        try:
            return _parsed(wanted)
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse("en")


def _parsed(tag: str) -> Locale:
    from babel import Locale

    language, *rest = tag.split("-")
    return Locale.parse("_".join([language, *(part for part in rest if len(part) in (2, 4) and part.isalpha())]))


# Arabic letters that are one letter to whoever types them, and vowel signs nobody types twice alike.
_ALIKE = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ي": "ی", "ى": "ی", "ك": "ک", "ة": "ە", "ه": "ە", "ـ": None}
)

# Words around a language's name that say only that it is one.
_EMPTY_WORDS = frozenset(
    ["language", "langue", "lang", "sprache", "idioma", "taal", "dil", "dili", "زبان", "زمان", "زمانی", "لغە", "اللغە"]
)


def _fold(words: str) -> str:
    """What stays of a language's name: its letters, without case, accents, vowel signs, direction marks and article."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", words).translate(_ALIKE).casefold())
    letters = "".join(sign if sign.isalpha() else "" if _is_mark(sign) else " " for sign in flat)
    return " ".join(word.removeprefix("ال") for word in letters.split() if word not in _EMPTY_WORDS)


def _is_mark(sign: str) -> bool:
    return unicodedata.category(sign) in ("Mn", "Cf") or sign in "'’`"


# Names CLDR does not have, or has for another tag.
_SPOKEN: Mapping[str, tuple[str, ...]] = {
    "ckb": (
        "Sorani; Kurdish Sorani; Sorani Kurdish; Soranî; Kurdish Central; Central Kurdish; Kurdish Iraq",
        "Kurde sorani; Kurde central; سۆرانی; کوردی; کوردی سۆرانی; کوردیی ناوەندی; کوردی ناوەندی; کوردی ناوەڕاست",
        "سوراني; كردي; كردية; كردي سوراني; الكردية السورانية; سورانی; کردی; کردی سورانی; کردی مرکزی",
    ),
    "kmr": (
        "Kurmanji; Kurmancî; Kurdish Kurmanji; Kurmanji Kurdish; Northern Kurdish; Kurdish Northern; Kurdî Kurmancî",
        "Bahdini; Badini; Behdini; Kurdish Bahdini; Kurdish Badini; Kurde kurmandji; Kurde du Nord",
        "کرمانجی; کورمانجی; بادینی; کوردی کورمانجی; كرمانجي; كردي كرمانجي; بهديني; کردی کرمانجی",
    ),
    "ku": ("Kurdish; Kurdî; Kurde; Kurdisch; Kürtçe; Koerdisch",),
    "ar": (
        "Arabic; Standard Arabic; Modern Standard Arabic; Arabe; Arabisch; Arapça; Erebî",
        "عربي; عربية; العربية; عربي فصيح; العربية الفصحى; عەرەبی; عربی",
    ),
    "ar-IQ": ("Iraqi; Iraqi Arabic; Arabic Iraq; عراقي; عربي عراقي; اللهجة العراقية; العربية العراق",),
    "en": (
        "English; Anglais; Englisch; İngilizce; Îngilîzî; Inglés; Engels",
        "إنجليزي; إنجليزية; الإنجليزية; انكليزي; الإنكليزية; ئینگلیزی; ئینگلیسی; انگلیسی",
    ),
    "fa": ("Persian; Farsi; Fârsi; Persan; Persisch; Farsça; Farisî; فارسی; فارسية; الفارسية; پارسی",),
    "prs": ("Dari; Afghan Persian; Persan afghan; دری; فارسی دری; فارسی افغانستان",),
    "fr": (
        "French; Français; Französisch; Fransızca; Frensî; Francés; Frans; فرنسي; الفرنسية; فەرەنسی; فرانسوی; فرانسه",
    ),
    "tr": ("Turkish; Turc; Türkisch; Türkçe; Tirkî; تركي; التركية; تورکی; ترکی; ترکی استانبولی",),
    "tk": ("Turkmen; Turkmani; تركماني; التركمانية; تورکمانی; ترکمنی",),
    "syr": ("Syriac; Assyrian; Chaldean; Syriaque; سرياني; السريانية; آشوري; سوریانی; ئاشووری; ܣܘܪܝܝܐ; ܣܘܪܝܬ",),
    "he": ("Hebrew; Ivrit; Hébreu; עברית; عبري; العبرية",),
    "de": ("German; Deutsch; Allemand; Almanca; Duits; ألماني; الألمانية; ئەڵمانی; آلمانی",),
    "es": ("Spanish; Castilian; Castellano; Español; Espagnol; Spanisch; إسباني; الإسبانية; اسپانیایی",),
    "ur": ("Urdu; اردو",),
    "ps": ("Pashto; Pushto; Pachto; پښتو; پشتو; باشتو",),
}

# The languages our lists are kept in, and some whose speakers write their own name for it.
_READERS = ("en", "fr", "ar", "ckb", "fa", "tr", "de")
_OWN_NAMES = (
    "es",
    "it",
    "nl",
    "pt",
    "ru",
    "uk",
    "el",
    "hy",
    "az",
    "so",
    "sw",
    "ti",
    "am",
    "hi",
    "bn",
    "zh",
    "ja",
    "sv",
)


@lru_cache(maxsize=1)
def _names_here() -> dict[str, str]:
    return {_fold(each): tag for tag, rows in _SPOKEN.items() for row in rows for each in row.split(";")}


@lru_cache(maxsize=1)
def _names_everywhere() -> dict[str, str]:
    """Folded name → tag, for every language CLDR names."""
    from babel import Locale

    names: dict[str, str] = {}
    for reader in _READERS:
        for code, called in Locale.parse(reader).languages.items():
            names.setdefault(_fold(str(called)), code.replace("_", "-"))
    for code in _OWN_NAMES:
        names.setdefault(_fold(Locale.parse(code).get_language_name() or code), code)
    names.pop("", None)
    return names
