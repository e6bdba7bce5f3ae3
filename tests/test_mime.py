"""Messages as parts: what the standard library finds is found, and what it stumbles over is read too."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import mime

LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=80)
TEXTS = st.lists(LETTERS, min_size=1, max_size=5).map("\n".join)


def bodies(octets: bytes) -> list[tuple[str, str]]:
    """Type and text of every leaf, as the standard library has them."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    return [
        (part.get_content_type(), str(part.get_content()).replace("\r", "").rstrip("\n"))
        for part in message.walk()
        if part.get_content_maintype() == "text"
    ]


def ours(octets: bytes) -> list[tuple[str, str]]:
    return [(part.type, part.text.rstrip("\n")) for part in mime.read(octets) if part.type.startswith("text/")]


@given(TEXTS, TEXTS, st.sampled_from(("quoted-printable", "base64", "8bit")), st.booleans())
def test_the_parts_of_a_message_are_those_that_were_put_in(one: str, two: str, encoding: str, crlf: bool) -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content(two, cte=encoding)
    message = EmailMessage()
    message["Subject"] = "outer"
    message.set_content(one, cte=encoding)
    message.add_attachment(two, filename="two.txt", cte=encoding)
    message.add_attachment(inner)
    octets = message.as_bytes(policy=email.policy.SMTP if crlf else email.policy.default)
    assert ours(octets) == bodies(octets)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=120))
def test_a_subject_is_the_one_that_was_written(subject: str) -> None:
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content("x")
    known = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)["subject"]
    assert mime.read(message.as_bytes())[0].get("subject").split() == str(known).split()


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-2022-jp", "宛先が見つかりません"), ("shift_jis", "宛先"), ("euc-jp", "宛先"), ("koi8-r", "адрес"),
        ("windows-1251", "адрес"), ("windows-1256", "العنوان"), ("iso-8859-9", "alıcı bulunamadı"), ("gb2312", "退信"),
        ("big5", "退件"), ("utf-16", "adresse"), ("utf-7", "größe"), ("iso-8859-15", "adresse à vérifier €"),
    ],
)  # fmt: skip
def test_a_text_in_any_charset_is_read(charset: str, text: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n"
    from base64 import encodebytes

    assert mime.read(head.encode() + encodebytes(text.encode(charset)))[0].text == text


@pytest.mark.parametrize(("octets", "text"), [("größe".encode(), "größe"), ("größe".encode("cp1252"), "größe")])
@pytest.mark.parametrize(
    "charset", ["", "; charset=us-ascii", "; charset=x-unknown", '; charset="', "; charset=unknown-8bit"]
)
def test_a_charset_that_is_missing_or_wrong_is_guessed(octets: bytes, text: str, charset: str) -> None:
    found = mime.read(f"Content-Type: text/plain{charset}\n\n".encode() + octets)[0].text
    assert found == text or charset == "; charset=x-unknown"


def test_a_page_is_its_text() -> None:
    page = (
        "<html><head><title>No</title><style>p { color: red }</style></head><body><p>Not&nbsp;delivered to<br>"
        "<a href='mailto:ann@a.example'>ann@a.example</a></p><script>alert(1)</script> &lt;end&gt;</body></html>"
    )
    text = mime.read(f"Content-Type: text/html\n\n{page}".encode())[0].text
    assert text.split() == ["Not", "delivered", "to", "ann@a.example", "<end>"]


def test_a_file_in_the_text_is_read_with_it() -> None:
    from binascii import b2a_uu

    body = b"see below\nbegin 644 report.txt\n" + b2a_uu(b"<ann@a.example>: user unknown\n") + b"`\nend\n"
    assert mime.read(b"Subject: x\n\n" + body)[0].text == "see below\n<ann@a.example>: user unknown\n"


@pytest.mark.parametrize(
    "head",
    [
        "From MAILER-DAEMON Sat Jun  6 10:00:00 2026\nSubject: x\n",
        "\n\nSubject: x\n",
        "\ufeffSubject: x\n",
        "Subject : x\n",
        "subject:x\n",
        "what is this\nSubject: x\n",
    ],
)
def test_a_head_that_is_not_quite_one_is_read(head: str) -> None:
    part = mime.read(f"{head}\nbody".encode())[0]
    assert (part.get("subject"), part.text) == ("x", "body")


def test_a_boundary_that_is_not_named_is_taken_from_the_body() -> None:
    parts = mime.read(b"Content-Type: multipart/mixed\n\n--q\n\none\n--q\n\ntwo\n--q--\n")
    assert [part.text.strip() for part in parts[1:]] == ["one", "two"]
