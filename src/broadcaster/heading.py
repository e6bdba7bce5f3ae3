"""The heading of a file of people: which column is which field, in whatever language the heading is written.

Only four fields have a meaning of their own (`email`, `name`, `language`, `timezone`); every other column becomes
a custom field, named so that a statement can say `subscriber.that_name`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from broadcaster.errors import SheetError

OWN = ("email", "name", "language", "timezone")
PARTS = ("first", "last")
NAME_LIMIT = 64
COLUMNS_LIMIT = 1_000

# Headings as people write them, folded by _fold below: no case, accents, spaces or signs.
_KNOWN: Mapping[str, str] = {
    "email": "email; email address; e-mail addr; mail; mail address; email id; primary email; contact email;"
    " subscriber email; email primary; e-mail 1; electronic mail;"
    " courriel; adresse courriel; adresse mail; adresse e-mail; adresse électronique; mél; mel;"
    " e-mail-adresse; mailadresse; emailadres; e-mailadres; mailadres; correo; correo electrónico;"
    " dirección de correo; dirección de correo electrónico; email adresi; e-posta; eposta adresi; e-posta adresi;"
    " indirizzo email; posta elettronica; e-post; epostadress; e-postadresse; sähköposti; adres e-mail;"
    " endereço de email; correio eletrônico; îmeyl; peyama elektronîk; barua pepe;"
    " البريد الإلكتروني; بريد الكتروني; البريد; الايميل; ايميل; عنوان البريد الإلكتروني; بريد إلكتروني;"
    " ئیمەیل; ئیمێل; ئیمەیڵ; پۆستی ئەلیکترۆنی; ناونیشانی ئیمەیل; ایمیل; پست الکترونیک; پست الکترونیکی; رایانامه;"
    " نشانی ایمیل; آدرس ایمیل; ای میل; электронная почта; эл. почта; почта; адрес электронной почты; имейл;"
    " електронна пошта; ηλεκτρονικό ταχυδρομείο; דואר אלקטרוני; דוא״ל; אימייל; 邮箱; 电子邮件; 电子邮箱; 電郵;"
    " メール; メールアドレス; 이메일; ईमेल; ইমেইল",
    "name": "name; full name; names; your name; display name; contact name; subscriber name; first and last name;"
    " nom; nom complet; nom et prénom; prénom et nom; nom prénom; naam; volledige naam; vollständiger name;"
    " vor- und nachname; nombre; nombre completo; nombre y apellidos; nome; nome completo; nome e cognome;"
    " ad soyad; adı soyadı; isim; ad; navn; namn; imię i nazwisko; jina; nav; nav û paşnav;"
    " الاسم; اسم; الاسم الكامل; الاسم واللقب; ناو; ناوی تەواو; ناوی سیانی; نام; نام کامل; نام و نام خانوادگی;"
    " имя; полное имя; имя и фамилия; фио; ім'я; όνομα; ονοματεπώνυμο; שם; שם מלא; 姓名; 名前; 氏名; 이름; नाम; নাম",
    "first": "first name; first; given name; given; forename; prénom; vorname; voornaam; prenume; imię; fornavn;"
    " förnamn; nombre de pila; primeiro nome; الاسم الأول; الاسم الاول; ناوی یەکەم; نام کوچک; 名",
    "last": "last name; last; surname; family name; family; nom de famille; nachname; familienname; achternaam;"
    " apellido; apellidos; cognome; sobrenome; apelido; soyad; soyadı; etternavn; efternamn; efternavn; nazwisko;"
    " фамилия; прізвище; الكنية; اللقب; اسم العائلة; اسم الأسرة; الاسم الأخير; ناوی باوک; ناوی خێزان; نازناو;"
    " نام خانوادگی; paşnav; επώνυμο; שם משפחה; 姓",
    "language": "language; lang; locale; preferred language; language code; language preference; mother tongue;"
    " correspondence language; langue; langue préférée; sprache; taal; voorkeurstaal; idioma; lengua; lingua; dil;"
    " dili; język; jezik; språk; sprog; kieli; lugha; ziman; zimanê;"
    " اللغة; لغة; اللغة المفضلة; لغة المراسلة; زمان; زمانی; زبان; زبان ترجیحی;"
    " язык; мова; γλώσσα; שפה; 语言; 語言; 言語; 언어; भाषा; ভাষা",
    "timezone": "timezone; time zone; tz; fuseau horaire; zeitzone; tijdzone; zona horaria; fuso orario;"
    " saat dilimi; المنطقة الزمنية; ناوچەی کاتی; منطقه زمانی; часовой пояс",
}

# What a heading that is none of the above still shows to hold addresses, if its cells do
_EMAIL_LIKE = ("email", "courriel", "eposta", "correo", "البريد", "ايمیل", "ئيمەیل", "почта", "邮箱")

# Letters that are one letter to whoever types them
_ALIKE = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه", "ە": "ه"})


@dataclass(frozen=True, slots=True)
class Column:
    """A heading as written, and the field it fills: one of OWN, a custom one, or "" for none.

    `part` says that it is part of a name as well: `first` or `last`.
    """

    header: str
    field: str
    part: str = ""


@lru_cache(maxsize=4096)
def meaning(header: str) -> str:
    """The field of our own that a heading means (`first` and `last` are parts of a name), or ""."""
    return _meanings().get(_fold(header), "")


def hints_at_email(header: str) -> bool:
    """Whether a heading speaks of e-mail without being one we know: its cells must decide."""
    folded = _fold(header)
    return any(_fold(word) in folded for word in _EMAIL_LIKE)


def field_name(header: str) -> str:
    """The custom field a heading names: lower case, words joined by _, to be read as `subscriber.NAME`; "" for none."""
    flat = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", header).casefold()).replace("i\u0307", "i")
    kept = "".join(sign if ("a" + sign).isidentifier() else _gap(sign) for sign in flat)
    name = unicodedata.normalize("NFC", re.sub(r"_+", "_", kept).strip("_"))[:NAME_LIMIT].strip("_")
    return name if not name or name.isidentifier() else f"field_{name}"[:NAME_LIMIT].strip("_")


def columns(header: Sequence[str], wanted: Mapping[int, str], email: int) -> tuple[Column, ...]:
    """What each column of a heading fills: `email` holds the addresses, `wanted` (place → field) was asked for.

    Raises SheetError when there are too many.
    """
    if len(header) > COLUMNS_LIMIT:
        raise SheetError(f"{len(header):,} columns, {COLUMNS_LIMIT:,} are allowed")
    # a file that we wrote ourselves is read by the letter, or a `first_name` would fill an empty name
    ours = tuple(header[: len(OWN)]) == OWN
    taken = {"email", *wanted.values()}
    parts = set[str]()
    found = []
    for place, written in enumerate(header):
        own = "" if ours and place >= len(OWN) else meaning(written)
        if place == email or place in wanted:
            found.append(Column(written, wanted.get(place, "email")))
        elif not field_name(written):
            found.append(Column(written, ""))
        elif own in OWN and own not in taken:
            taken.add(own)
            found.append(Column(written, own))
        else:
            part = own if own in PARTS and own not in parts else ""
            parts.add(part)
            found.append(Column(written, _free(written, taken), part))
    return tuple(found)


def mapped(header: Sequence[str], mapping: Mapping[str, str]) -> dict[int, str]:
    """Place → field, of a mapping from headings to fields ("" or "-" leaves a column out).

    Raises SheetError for a heading that is not there, a field that cannot be one, and two columns for one field.
    """
    wanted: dict[int, str] = {}
    for written, field in mapping.items():
        place = place_of(header, written)
        if place is None:
            raise SheetError(f"no column {written!r}", hint=f"its columns are {_named(header)}")
        name = field if field in OWN else field_name(field)
        if not name and field not in ("", "-"):
            raise SheetError(f"{field!r} cannot be a field's name", hint="use letters, digits and _")
        if name and name in wanted.values():
            raise SheetError(f"two columns are mapped to {name!r}")
        wanted[place] = name
    return wanted


def place_of(header: Sequence[str], written: str) -> int | None:
    """Where a heading is: as it is written, else without regard to case and signs."""
    exact = (place for place, cell in enumerate(header) if cell == written)
    alike = (place for place, cell in enumerate(header) if _fold(cell) == _fold(written) != "")
    return next(exact, next(alike, None))


def _free(header: str, taken: set[str]) -> str:
    """A custom field for a heading that no other column has: a second one becomes name_2."""
    name = base = field_name(header)
    number = 2
    while name in taken or name in OWN:
        name = f"{base[: NAME_LIMIT - 4]}_{number}"
        number += 1
    taken.add(name)
    return name


def _named(header: Sequence[str]) -> str:
    return ", ".join(cell[:40] for cell in header[:12] if cell) + (" …" if len(header) > 12 else "")


def _gap(sign: str) -> str:
    """What stands between the words of a heading; joiners and marks that nobody sees stand for nothing."""
    return "" if unicodedata.category(sign) == "Cf" or sign in "'’`" else "_"


def _fold(text: str) -> str:
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()).translate(_ALIKE)
    return "".join(sign for sign in flat if sign.isalnum())


@lru_cache(maxsize=1)
def _meanings() -> dict[str, str]:
    return {_fold(word): field for field, words in _KNOWN.items() for word in words.split(";")}
