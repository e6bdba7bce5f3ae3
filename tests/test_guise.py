"""An address is found again in every guise that it may have, and nobody else's with it."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from quopri import encodestring
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.address import Address
from broadcaster.guise import ERASED, Guise, addresses

LETTERS = "abcXYZ019äßéøØшиСق漢"
SIGNS = "!#$%&'*+/=?^_`{|}~-"
locals_ = st.text(LETTERS + SIGNS + ".", min_size=4, max_size=24).filter(
    lambda text: "." not in (text[0], text[-1]) and ".." not in text and sum(map(str.isalpha, text)) > 2
)
domains = st.sampled_from(
    ["example.org", "mail.example.org", "EXAMPLE.net", "bücher.example", "پارس.example", "xn--bcher-kva.example"]
)
whole = st.builds(lambda local, domain: Address.parse(f"{local}@{domain}"), locals_, domains)


def mailed(text: str, cte: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message.set_content(text, cte=cte)
    return message.as_bytes()


WAYS: list[Callable[[str], bytes]] = [
    lambda text: text.encode(),
    lambda text: text.encode("utf-16"),
    lambda text: text.encode("utf-16-be"),
    lambda text: text.encode("utf-16-le"),
    lambda text: json.dumps({"words": f"a\n{text}\t"}).encode(),
    lambda text: json.dumps([text], ensure_ascii=False).encode(),
    lambda text: quote(text).encode(),
    lambda text: quote(text, safe="").encode(),
    lambda text: html.escape(text).encode(),
    # in a filter, and in the rule of a mailing that has it
    lambda text: re.sub(r"([%_\\])", r"\\\1", text).encode(),
    lambda text: json.dumps(re.sub(r"([%_\\])", r"\\\1", text), ensure_ascii=False).encode(),
    lambda text: encodestring(text.encode()),
    *(lambda text, n=n: b64encode(b"x" * n + text.encode() + b" and more") for n in range(3)),
    *(lambda text, n=n: mailed("é" * n + " " + text + " said", "base64") for n in (0, 1, 17, 36)),
    *(lambda text, n=n: mailed("é" * n + " " + text + " said", "quoted-printable") for n in (0, 7, 12)),
]  # fmt: skip


@pytest.mark.parametrize(("local", "typed"), [("a_b", r"a\_b"), ("50%off", r"50\%off"), ("a_b_c%d", r"a\_b\_c\%d")])
def test_it_goes_from_a_filter_that_has_it_as_a_pattern(local: str, typed: str) -> None:
    """A segment keeps what was typed, the rule of a mailing keeps it as JSON."""
    guise = Guise(Address.parse(f"{local}@example.org"))
    where = f'email like "{typed}@example.org"'
    assert guise.without(where) == f'email like "{ERASED}"'
    assert json.loads(guise.without(json.dumps({"where": where}))) == {"where": f'email like "{ERASED}"'}


@given(whole, st.sampled_from(WAYS), st.booleans())
def test_it_is_found_in_every_guise(address: Address, way: Callable[[str], bytes], upper: bool) -> None:
    guise = Guise(address)
    for text in {str(address), address.shown, address.key}:
        assert guise.within(b"before " + way(text) + b" after") or way(text).startswith((b"\xff\xfe", b"\xfe\xff"))
        assert guise.within(way(text))
    if upper and address.local.isascii():
        assert guise.within(str(address).upper().encode())


@given(whole, st.sampled_from(["{}", "<{}>", "'{}'", "to={}, x", "({}).", "\n{}\n", "mailto:{}", '{{"a":"{}"}}']))
def test_taken_out_of_a_text_nothing_of_it_is_left_and_all_else_is(address: Address, around: str) -> None:
    text = around.format(address)
    left = Guise(address).without(text)
    assert left == around.format(ERASED)
    assert Guise(address).without(left) == left


@pytest.mark.parametrize(
    "other",
    [
        *("joann@example.org", "jo.ann@example.org", "jo+ann@example.org", "äann@example.org"),
        *("ann@example.org.uk", "ann@example.orga", "ann@example.org-x.net", "ann@sub.example.org"),
    ],
)
def test_a_part_of_a_longer_address_is_somebody_else(other: str) -> None:
    guise = Guise(Address.parse("ann@example.org"))
    assert guise.without(f"<{other}>") == f"<{other}>"
    assert not guise.within(f"To: {other}\n".encode())
    assert guise.without("ann@example.org.csv, x/ann@example.org-2.xlsx") == "[erased].csv, x/[erased]-2.xlsx"
    assert guise.within(f"To: {other}, Ann@Example.org\n".encode())


@given(st.lists(whole, min_size=1, max_size=4), st.booleans())
def test_the_addresses_of_a_message_are_found_wherever_they_stand(found: list[Address], packed: bool) -> None:
    plain = [each for each in found if not set(each.local) & set("=%'`&")]
    text = "".join(f"<{each}>: unknown, for {each.key}.\n" for each in plain)
    octets = encodestring(text.encode()) if packed else text.encode()
    assert {each.key for each in plain} <= {*addresses(octets)}


@given(st.binary(max_size=300))
def test_any_octets_are_looked_through(octets: bytes) -> None:
    addresses(octets)
    assert not Guise(Address.parse("anna.very-long@example.org")).within(octets)
