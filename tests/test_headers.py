"""Header fields: what goes in comes out of other people's parsers, within the limits of the RFCs."""

from __future__ import annotations

import email
import email.header
import email.policy
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broadcaster import headers
from broadcaster.errors import StatementError

LINES = "\r\n"
ANY = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]))
AWKWARD = st.lists(
    st.sampled_from(
        [
            "كشف حساب",
            " ",
            "  ",
            "👩‍👩‍👧‍👦",
            "🇮🇶🇫🇷",
            "a",
            "=?utf-8?q?x?=",
            "=?",
            "Zürich",
            '"',
            "\\",
            ",",
            "ئاو",
            "é",
            "e\u0301" * 40,
            "x" * 90,
        ]
    )
).map("".join)
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
CONTROLS = ["\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"]


def read(field: str) -> EmailMessage:
    message = email.message_from_bytes(field.encode() + b"\r\n", policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert len(message.items()) == 1
    return message


def decoded(field: str) -> str:
    """By the old parser: unfolded, encoded-words decoded by RFC 2047 alone."""
    value = re.sub(r"\r\n(?=[ \t])", "", field[:-2]).partition(": ")[2]
    parts = email.header.decode_header(value)
    return "".join(part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in parts)


def lines_are_right(field: str) -> None:
    assert field.endswith(LINES)
    lines = field[:-2].split(LINES)
    assert not re.search(r"[\r\n]", "".join(lines))
    assert all(line.strip() for line in lines)
    for line in lines:
        assert len(line) <= headers.LONGEST
        words = re.findall(r"=\?utf-8\?[bq]\?[^?]*\?=", line)
        assert all(len(word) <= headers.WORD for word in words)
        if words:
            assert len(line) <= headers.LINE or "<" in line


@given(ANY | AWKWARD)
@example("كشف حساب 👩‍👩‍👧‍👦")
@example(" leading and trailing ")
@example("two  spaces   three")
def test_a_subject_comes_back_as_it_was(text: str) -> None:
    field = headers.unstructured("Subject", text)
    lines_are_right(field)
    assert decoded(field) == text
    assert str(read(field)["subject"]) == text


@pytest.mark.parametrize("length", range(60, 80))
@pytest.mark.parametrize("rest", ["b", "b" * 75, "b" * 76, " b", f"{' ' * 2_000}b"])
def test_a_subject_is_never_folded_right_behind_its_name(length: int, rest: str) -> None:
    text = f"{'a' * length} {rest}"
    field = headers.unstructured("Subject", text)
    lines_are_right(field)
    assert not field.startswith("Subject:\r\n")
    # by the plainest rule there is: what is unfolded is what was written (RFC 5322 §2.2.3)
    assert decoded(field) == str(read(field)["subject"]) == text


@given(ANY | AWKWARD)
def test_no_word_holds_half_a_character(text: str) -> None:
    field = headers.unstructured("Subject", text)
    for part, charset in email.header.decode_header(re.sub(r"\r\n(?= )", "", field[9:-2])):
        if charset:
            assert isinstance(part, bytes)
            part.decode(charset)


def test_what_looks_like_one_character_stays_in_one_word() -> None:
    families = " ".join(["👩‍👩‍👧‍👦", "🇮🇶", "👍🏽", "نُّ"] * 12)
    field = headers.unstructured("Subject", families)
    for word in re.findall(r"=\?utf-8\?b\?[^?]*\?=", field):
        ((part, _),) = email.header.decode_header(word)
        text = part.decode() if isinstance(part, bytes) else part
        assert not text.startswith(("\u200d", "🏽", "\u0651"))
        assert not text.endswith("\u200d")
        assert text.count("🇮") == text.count("🇶")


def test_the_shorter_encoding_is_taken() -> None:
    assert "?q?" in headers.unstructured("Subject", "Zürich is a city by the lake")
    assert "?b?" in headers.unstructured("Subject", "بيان من أجل الماء")


@pytest.mark.parametrize("sign", sorted(TURNING))
def test_a_name_cannot_turn_what_follows_it(sign: str) -> None:
    with pytest.raises(StatementError):
        headers.mailbox("From", f"Bank{sign}", "a@water.example")


@given((ANY | AWKWARD).filter(lambda name: not TURNING.intersection(name)))
@example("Water for All")
@example('O\'Brien, "Bob" <x@y>')
@example("a" * 59 + " b")
def test_a_display_name_comes_back_beside_its_address(name: str) -> None:
    name = name.strip(" ")
    field = headers.mailbox("To", name, "ali+x@water.example")
    lines_are_right(field)
    (address,) = read(field)["to"].addresses
    assert (address.addr_spec, address.domain) == ("ali+x@water.example", "water.example")
    # of encoded names the new parser joins spaces, and keeps those that RFC 2047 §6.2 drops; the old one does not
    read_name = decoded(field).rpartition("<")[0].rstrip(" ") if "=?utf-8?" in field else address.display_name
    assert read_name == name


def test_an_address_is_never_encoded() -> None:
    local = "a" * 64
    domain = ".".join(["b" * 60] * 3) + ".example"
    field = headers.mailbox("From", "الماء للجميع", f"{local}@{domain}")
    assert f"<{local}@{domain}>\r\n" in field


def test_a_list_id_is_a_phrase_and_an_identifier() -> None:
    assert headers.mailbox("List-Id", "News", "news.water.example") == "List-Id: News <news.water.example>\r\n"
    assert headers.mailbox("List-Id", "", "news.water.example") == "List-Id: <news.water.example>\r\n"
    assert headers.mailbox("List-Id", "أخبار", "news.water.example").endswith("<news.water.example>\r\n")


def test_a_long_unsubscribe_uri_is_neither_encoded_nor_broken() -> None:
    token = "https://news.water.example/leave/" + "a" * 200
    field = headers.uris("List-Unsubscribe", [token, "mailto:leave@water.example?subject=leave-x"])
    assert "=?" not in field
    unfolded = field.replace("\r\n ", " ")
    assert unfolded == f"List-Unsubscribe: <{token}>, <mailto:leave@water.example?subject=leave-x>\r\n"


@pytest.mark.parametrize("control", CONTROLS)
def test_nothing_can_begin_another_field(control: str) -> None:
    evil = f"a{control}Bcc: victim@water.example"
    makers: list[Callable[[], str]] = [
        lambda: headers.unstructured("Subject", evil),
        lambda: headers.unstructured(f"X-A{control}Bcc", "x"),
        lambda: headers.mailbox("To", evil, "a@water.example"),
        lambda: headers.mailbox("To", "Ali", f"a@water.example{control}Bcc: x"),
        lambda: headers.raw("Message-ID", evil),
        lambda: headers.raw(f"Message-ID: x{control}", "x"),
        lambda: headers.uris("List-Unsubscribe", [evil]),
        lambda: headers.file_name(evil),
    ]
    for make in makers:
        with pytest.raises(StatementError):
            make()


@pytest.mark.parametrize(
    "address",
    ["a@b.example>, <c@d.example", "a b@c.example", "a@b.example,c@d.example", "<a@b.example>", "", "a@bücher.example"],
)
def test_an_address_cannot_become_two(address: str) -> None:
    with pytest.raises(StatementError):
        headers.mailbox("To", "Ali", address)


@pytest.mark.parametrize(
    "uri", ["https://a.example/ b", "mailto:a@b.example>,<https://evil.example", "https://ü.example"]
)
def test_a_uri_cannot_become_two(uri: str) -> None:
    with pytest.raises(StatementError):
        headers.uris("List-Unsubscribe", [uri])


@given(st.integers(0, 4_000_000_000))
def test_a_date_is_that_second(seconds: int) -> None:
    field = headers.date(seconds)
    assert parsedate_to_datetime(field[6:-2]) == datetime.fromtimestamp(seconds, UTC)
    assert str(read(field)["date"]) == field[6:-2]


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=60)


@given(NAMES)
@example("بيان الماء.pdf")
@example('quote " and \\ slash.pdf')
@example("statement of the whole year, with every table in it and a very long name.pdf")
def test_a_file_name_comes_back(name: str) -> None:
    # the library takes off brackets, quotes and spaces at the ends
    name = f"a{name}.pdf"
    field = f"Content-Disposition: attachment; {headers.file_name(name)}\r\n"
    assert field.isascii()
    assert read(field).get_filename() == name
