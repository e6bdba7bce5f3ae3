"""Files of people as they really are: whatever can be read is, and the rest is told with its line."""

from __future__ import annotations

import codecs
import csv
import io
import time
import tracemalloc
from collections.abc import Iterable, Mapping
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcaster.cell import CELL_LIMIT, mailbox, tidy, tidy_line
from broadcaster.charset import CANDIDATES, examine
from broadcaster.delimited import ROW_LIMIT, Csv
from broadcaster.errors import AddressError, SheetError
from broadcaster.formula import guarded
from broadcaster.heading import OWN, Column, columns, field_name
from broadcaster.sheet import Person, Sheet, Spoilt


def opened(
    data: bytes | str,
    *,
    encoding: str | None = None,
    delimiter: str = "",
    mapping: Mapping[str, str] | None = None,
) -> Sheet:
    raw = data.encode() if isinstance(data, str) else data
    text = examine(io.BytesIO(raw), encoding)
    assert text.encoding is not None
    return Sheet(Csv(io.BytesIO(raw), text.encoding, delimiter), mapping=mapping)


def people(data: bytes | str, **asked: object) -> list[tuple[str, str, str, dict[str, str]]]:
    """(address, name, language, fields) of every row; there is no spoilt one."""
    rows = [*opened(data, **asked)]  # type: ignore[arg-type]
    assert [row for row in rows if isinstance(row, Spoilt)] == []
    return [(row.address, row.name, row.language, row.fields) for row in rows if isinstance(row, Person)]


def spoilt(data: bytes | str, **asked: object) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in opened(data, **asked) if isinstance(row, Spoilt)]  # type: ignore[arg-type]


def fields(*header: str, mapping: Mapping[int, str] | None = None, email: int = 0) -> list[str]:
    return [column.field for column in columns(header, mapping or {}, email)]


# dialects


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_dialect_says_the_same(delimiter: str, encoding: str, end: str) -> None:
    rows = [
        ["Email", "Name", "City"],
        ["anna@example.org", "Doe, Anna; or |so|", "Ñuñoa"],
        ["b@example.org", "سارة", ""],
    ]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(rows)
    data = file.getvalue().encode(encoding)
    if encoding.endswith("-be"):
        data = codecs.BOM_UTF16_BE + data
    assert people(data) == [
        ("anna@example.org", "Doe, Anna; or |so|", "", {"city": "Ñuñoa"}),
        ("b@example.org", "سارة", "", {}),
    ]


def test_excels_own_word_for_the_delimiter_is_heard() -> None:
    assert people("sep=;\r\nemail;name\r\na@example.org;A, B\r\n") == [("a@example.org", "A, B", "", {})]
    assert people('"sep=|"\nemail|name\na@example.org|A;B\n') == [("a@example.org", "A;B", "", {})]


def test_titles_above_the_heading_and_empty_columns_are_passed_over() -> None:
    sheet = opened(
        "Members of the club;;\n;;\nas of May;;\nE-MAIL;;Naam\n\na@example.org;x;Anna\n;;\n;;\nb@example.org;;\n"
    )
    assert [row.address for row in sheet if isinstance(row, Person)] == ["a@example.org", "b@example.org"]
    assert sheet.notes == ["column 2 has no heading and is left out"]


def test_a_title_that_speaks_of_email_is_no_heading() -> None:
    assert people("Our email list\nEmail\na@example.org\n") == [("a@example.org", "", "", {})]


def test_a_cell_that_says_email_is_no_heading() -> None:
    found = people("Contact of the member,by\na@example.org,Email\nb@example.org,Phone\n")
    assert found == [("a@example.org", "", "", {"by": "Email"}), ("b@example.org", "", "", {"by": "Phone"})]


def test_bare_addresses_need_no_heading() -> None:
    assert [row[0] for row in people("a@example.org\n\nb@example.org\n")] == ["a@example.org", "b@example.org"]
    assert people("a@example.org,Anna\n") == [("a@example.org", "Anna", "", {})]


def test_three_columns_without_a_heading_are_asked_about() -> None:
    with pytest.raises(SheetError, match="heading"):
        opened("a@example.org,Anna,Basra\nb@example.org,Bob,Mosul\n")


def test_the_same_heading_again_is_no_person() -> None:
    assert len(people("Email,Name\na@example.org,A\nEmail,Name\nE-mail,Name\nb@example.org,B\n")) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n\n\n", "no rows"),
        (b"name,city\nAnna,Basra\n", "no column of addresses"),
        (b"PK\x03\x04....", "archive"),
        (b"\xd0\xcf\x11\xe0....", "Excel"),
        (b"\x1f\x8b....", "compressed"),
        (b"%PDF-1.7", "PDF"),
        (b"SQLite format 3\x00", "database"),
        (bytes(range(256)) * 8 + bytes(1000), "not text"),
        (b"\x00" * 10_000, "not text"),
        ("email\na@example.org\n".encode("utf-16")[:-1], "damaged"),
        (b"email," + b"x," * 2_000 + b"y\na@example.org\n", "columns"),
    ],
)
def test_what_is_no_file_of_people_is_an_error(data: bytes, reason: str) -> None:
    with pytest.raises(SheetError, match=reason):
        [*opened(data)]


# headings


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("E-mail", "email"),
        ("EMAIL ADDRESS", "email"),
        (" e-mail\u00a0address: ", "email"),
        ("Adresse électronique", "email"),
        ("Courriel", "email"),
        ("Correo Electrónico", "email"),
        ("البريد الإلكتروني", "email"),
        ("\u200fالبريد الالكتروني", "email"),
        ("ئیمەیل", "email"),
        ("ایمیل", "email"),
        ("Naam", "name"),
        ("الاسم الكامل", "name"),
        ("ناو", "name"),
        ("نام", "name"),
        ("Sprache", "language"),
        ("اللغة", "language"),
        ("زمان", "language"),
        ("Time Zone", "timezone"),
        ("Favourite City", "favourite_city"),
        ("المدينة", "المدينه"),
        ("2024", "field_2024"),
        ("Montant (€)", "montant"),
        ("İl", "il"),
        ("", ""),
        ("---", ""),
    ],
)
def test_headings_are_understood_in_any_case_and_several_languages(header: str, field: str) -> None:
    place = 0 if field == "email" else 1
    found = fields(header, email=0) if place == 0 else fields("email", header)
    if field == "المدينه":
        assert found[1] in ("المدينة", field)
    else:
        assert found[place] == field


def test_no_two_columns_fill_one_field() -> None:
    header = ["Email", "Email", "Name", "name", "City", "CITY", "e-mail", "Language", "Langue"]
    assert fields(*header) == ["email", "email_2", "name", "name_2", "city", "city_2", "e_mail", "language", "langue"]


@given(st.lists(st.text(max_size=12), max_size=8))
def test_every_field_has_one_column_and_a_usable_name(header: list[str]) -> None:
    used = [column.field for column in columns(["email", *header], {}, 0) if column.field]
    assert len(used) == len(set(used))
    assert all(field.isidentifier() for field in used)


@given(st.text())
def test_naming_a_field_twice_is_naming_it_once(text: str) -> None:
    assert field_name(field_name(text)) == field_name(text)


def test_our_own_heading_is_read_by_the_letter() -> None:
    header = [*OWN, "first_name", "naam", "mail"]
    assert fields(*header) == header


def test_a_name_in_parts_becomes_one_and_the_parts_stay() -> None:
    assert people("email,First Name,Last name\na@example.org,Anna,Weiß\n") == [
        ("a@example.org", "Anna Weiß", "", {"first_name": "Anna", "last_name": "Weiß"})
    ]
    assert people("email,Prénom,Nom\na@example.org,Anna,Weiß\n")[0][1] == "Anna Weiß"
    assert people("email,Name,First name\na@example.org,Anna Weiß,Anna\n")[0][1] == "Anna Weiß"
    assert people("email,Full name,First name,Last name\na@example.org,Dr. W,Anna,Weiß\n")[0][1] == "Dr. W"


def test_a_mapping_decides() -> None:
    data = "Contact,Email,Who\na@example.org,b@example.org,Anna\n"
    assert people(data, mapping={"contact": "email", "Email": "old mail", "WHO": "name"}) == [
        ("a@example.org", "Anna", "", {"old_mail": "b@example.org"})
    ]
    assert people(data, mapping={"Who": ""}) == [("b@example.org", "", "", {"contact": "a@example.org"})]
    assert people("a@example.org,x,Anna\n", mapping={"3": "name"}) == [("a@example.org", "Anna", "", {})]


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ({"nope": "name"}, "no column"),
        ({"nope": "email"}, "no column"),
        ({"a": "x", "b": "x"}, "two"),
        ({"a": "!"}, "name"),
    ],
)
def test_a_mapping_that_fits_nothing_is_an_error(mapping: dict[str, str], reason: str) -> None:
    with pytest.raises(SheetError, match=reason):
        opened("email,a,b\na@example.org,1,2\n", mapping=mapping)


# cells


@pytest.mark.parametrize(
    ("cell", "address", "name"),
    [
        (" Anna@example.org\u00a0", "Anna@example.org", ""),
        ("\u200fanna@example.org\u200e", "anna@example.org", ""),
        ("\ufeffan\u200bna@example.org", "anna@example.org", ""),
        ("mailto:anna@example.org?subject=x", "anna@example.org", ""),
        ("MAILTO:a%2Bb@example.org", "a+b@example.org", ""),
        ("Anna Weiß <anna@example.org>", "anna@example.org", "Anna Weiß"),
        ('"Weiß, Anna" <anna@example.org>', "anna@example.org", "Weiß, Anna"),
        ("<anna@example.org>", "anna@example.org", ""),
        ("anna@example.org <mailto:anna@example.org>", "anna@example.org", ""),
        ("anna@example.org (Anna)", "anna@example.org", "Anna"),
        ("Anna Weiß (anna@example.org)", "anna@example.org", "Anna Weiß"),
        ("'anna@example.org';", "anna@example.org", ""),
        ("anna＠example.org", "anna@example.org", ""),
        ("سارة <sara@مثال.example>", "sara@xn--mgbh0fb.example", "سارة"),
    ],
)
def test_the_address_is_found_among_what_surrounds_it(cell: str, address: str, name: str) -> None:
    found, said = mailbox(cell)
    assert (str(found), said) == (address, name)


@pytest.mark.parametrize("cell", ["", "anna", "a@b.org, c@d.org", "a@b.org c@d.org", "Anna <>", "<a@b.org> <c@d.org>"])
def test_a_cell_without_one_address_is_refused(cell: str) -> None:
    with pytest.raises(AddressError):
        mailbox(cell)


@given(st.text())
@example("\u200b \u0301")
@example("a\r\n\u202eb\u2069")
def test_tidying_twice_is_tidying_once(text: str) -> None:
    try:
        once = tidy(text)
    except SheetError:
        return
    assert tidy(once) == once
    assert tidy_line(tidy_line(text)) == tidy_line(text)
    assert once == once.strip()
    assert not set(once) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\r\0\x1b")
    assert "\n" not in tidy_line(text)


def test_words_that_need_joiners_keep_them() -> None:
    assert tidy("می\u200cخواهم") == "می\u200cخواهم"
    assert tidy("👩\u200d🚒\u200f ") == "👩\u200d🚒"


@pytest.mark.parametrize(
    ("words", "tag"),
    [
        ("Arabic", "ar"),
        ("عربي", "ar"),
        ("Kurdish (Sorani)", "ckb"),
        ("EN", "en"),
        ("ar_IQ", "ar-IQ"),
        (" \u200eFrançais ", "fr"),
    ],
)
def test_languages_may_be_named_in_words(words: str, tag: str) -> None:
    assert people(f"email,language\na@example.org,{words}\n")[0][2] == tag


def test_an_unknown_language_is_told_and_keeps_nobody_out() -> None:
    sheet = opened("email,language\na@example.org,qqqqzz\nb@example.org,qqqqzz\nc@example.org,\n")
    assert [row.language for row in sheet if isinstance(row, Person)] == ["", "", ""]
    assert sheet.notes == ["'qqqqzz' is no language we know: 2 rows have none"]


# rows that are wrong


def test_each_wrong_row_is_told_with_its_line_and_the_rest_comes_in() -> None:
    data = (
        "email,name\n"
        "a@example.org,A\n"
        "nobody,B\n"
        '"c@example.org","over\r\nthree\nlines"\n'
        "d@example.org,D,surplus\n"
        "e@example.org,E,,\n"
        ",F\n"
        "g@example.org,\x00\n"
        "h@example.org\n"
    )
    rows = [*opened(data)]
    assert [row.address for row in rows if isinstance(row, Person)] == [
        "a@example.org", "c@example.org", "e@example.org", "h@example.org",
    ]  # fmt: skip
    assert [(row.line, row.reason, row.text) for row in rows if isinstance(row, Spoilt)] == [
        (3, "no @ in 'nobody'", "nobody"),
        (7, "3 cells under a heading of 2", "d@example.org"),
        (9, "no address", ""),
        (10, "a NUL character", "g@example.org"),
    ]


def test_a_stray_quotation_mark_costs_its_own_row_and_no_other() -> None:
    data = 'email,name\na@example.org,"A\nb@example.org,B\nc@example.org,"Doe, C"\nd@example.org,D\n'
    rows = [*opened(data)]
    assert [row.address for row in rows if isinstance(row, Person)] == [
        "b@example.org",
        "c@example.org",
        "d@example.org",
    ]
    assert spoilt(data) == [(2, "a quotation mark that is not closed in its row")]


def test_a_quotation_mark_that_is_never_closed_costs_its_own_row_and_no_other() -> None:
    many = "".join(f"p{n}@example.org,P\n" for n in range(60_000))
    data = f'email,name\na@example.org,"A\n{many}'
    rows = [*opened(data)]
    assert len([row for row in rows if isinstance(row, Person)]) == 60_000
    assert spoilt(data) == [(2, "a quotation mark that is never closed")]
    assert rows[-1].line == 60_002


def test_what_is_properly_quoted_is_one_cell_whatever_it_looks_like() -> None:
    data = 'email,name,note\na@example.org,A,"said\nb@example.org,B,\nand left"\n'
    assert people(data) == [("a@example.org", "A", "", {"note": "said\nb@example.org,B,\nand left"})]


def test_huge_cells_and_lines_are_told_and_passed_over() -> None:
    data = (
        f"email,note\na@example.org,{'x' * (CELL_LIMIT + 1)}\nb@example.org,{'y' * (3 * ROW_LIMIT)}\n"
        f'c@example.org,"{"z" * (CELL_LIMIT // 2)}\n{"z" * (CELL_LIMIT // 2)}"\nd@example.org,\n'
    )
    assert spoilt(f"email,name\na@example.org,{'x' * 1_001}\n") == [
        (2, "1,001 characters on one line, 1,000 are allowed")
    ]
    assert spoilt(data) == [
        (2, "32,768 characters in one cell, 32,767 are allowed"),
        (3, "a line of more than 1,000,000 characters"),
    ]
    assert [row.line for row in opened(data) if isinstance(row, Person)] == [4, 6]


def test_a_broken_byte_spoils_its_row_alone_when_the_encoding_was_named() -> None:
    data = b"email,name\na@example.org,\xe9\nb@example.org,\xc3\xa9\n"
    assert spoilt(data, encoding="utf-8") == [(2, "bytes that are not text in this encoding")]


@pytest.mark.parametrize(
    "data",
    [
        b'email,name\n' + b'"' * 300_000,
        b'email,name\n' + b'"\n' * 150_001,
        b'email,name\n' + b'a@example.org,"""\n' * 30_001,
        b'email,name\n' + b'a@example.org,"x\n' * 30_001,
        b"email," + b"," * 900 + b"\n" + b"," * 900_000,
        b"email\n" + b"a" * 3_000_000,
        b"email\n" + b"@" * 900_000,
        b"email\n" + b"<" * 900_000,
        b"email\n" + b"(" * 30_000 + b"@" + b")" * 30_000,
        b"email\n" + "\u0301@".encode() * 100_000,
    ],
)  # fmt: skip
def test_a_hostile_file_costs_no_more_than_its_size(data: bytes) -> None:
    start = time.perf_counter()
    for _ in opened(data):
        pass
    assert time.perf_counter() - start < 5


def test_memory_does_not_grow_with_the_file() -> None:
    data = b"email,name\n" + b"".join(b"p%d@example.org,P\n" % n for n in range(20_000))
    raw = io.BytesIO(data)
    tracemalloc.start()
    try:
        assert sum(1 for _ in Sheet(Csv(raw, "utf-8"))) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


# encodings


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("windows-1252", "François Müller, José Núñez"),
        ("windows-1256", "محمد الكعبي, شهد المالكي"),
        ("windows-1251", "Ольга Иванова"),
        ("windows-1250", "Łukasz Żółć, Jiří Dvořák"),
        ("windows-1254", "Gülşah Yıldız, İbrahim Çağ"),
        ("windows-1253", "Γιώργος Παπαδόπουλος"),
        ("windows-1255", "משה כהן"),
        ("macintosh", "François Müller"),
        ("cp850", "Müller, François"),
        ("cp720", "محمد الكعبي"),
        ("koi8-r", "Ольга Иванова"),
        ("gb18030", "王小明, 李娜"),
        ("shift_jis", "山田太郎, 鈴木"),
    ],
)
def test_the_right_encoding_is_among_three_that_are_asked_about(encoding: str, words: str) -> None:
    data = "".join(["email;name\n", *(f"a@example.org;{word.strip()}\n" for word in words.split(","))])
    text = examine(io.BytesIO(data.encode(encoding)))
    assert text.encoding is None
    assert len(text.readings) == 3
    assert {reading.encoding for reading in text.readings} <= CANDIDATES.keys()
    right = [reading for reading in text.readings if words.split(",")[0] in reading.words]
    assert right, text.readings


@given(st.text().filter(lambda text: "\0" not in text and "\ufeff" not in text[:1]))
def test_utf8_is_never_asked_about(text: str) -> None:
    data = ("email" + text).encode()
    if not data.startswith((b"PK", b"%PDF")):
        assert examine(io.BytesIO(data)).encoding == "utf-8"


@pytest.mark.parametrize("name", ["rot13", "zlib", "idna", "utf-7", "undefined", "none", "\0", "unicode_escape"])
def test_only_alphabets_are_encodings(name: str) -> None:
    with pytest.raises(SheetError, match="no encoding"):
        examine(io.BytesIO(b"x"), name)


# laws


@given(st.binary(max_size=300))
@example(b"email\n\xff\xfe\x00")
def test_no_bytes_whatever_are_more_than_a_sheet_error(data: bytes) -> None:
    for encoding in (None, "utf-8", "cp1252", "gb18030", "utf-16"):
        with suppress(SheetError):
            text = examine(io.BytesIO(data), encoding)
            if text.encoding is not None:
                for _ in Sheet(Csv(io.BytesIO(data), text.encoding)):
                    pass


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(st.integers(0, 10**6), cells, cells), max_size=8), st.sampled_from(";,\t|"))
def test_what_a_careful_csv_writer_writes_is_what_is_read(rows: Iterable[tuple[int, str, str]], delimiter: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(["email", "name", "note"])
    writer.writerows(guarded([f"p{number}@example.org", name, note]) for number, name, note in rows)
    expected = [
        (f"p{number}@example.org", tidy_line(name), "", {"note": tidy(note)} if tidy(note) else {})
        for number, name, note in rows
    ]
    assert people(file.getvalue(), delimiter=delimiter) == expected


def test_a_column_knows_its_heading() -> None:
    assert columns(["email", "First name"], {}, 0)[1] == Column("First name", "first_name", "first")
