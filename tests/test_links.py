"""Laws of tokens and of what carries them."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import ConfigError
from broadcaster.links import Purpose, Signer, base32, leave_uri, marked, message_id, ways_to_leave

SIGNER = Signer(bytes(range(32)))
ids = st.integers(min_value=0, max_value=2**63 - 1)
purposes = st.sampled_from(list(Purpose))


@given(purposes, ids)
def test_a_token_gives_its_id_back(purpose: Purpose, number: int) -> None:
    assert SIGNER.read(purpose, SIGNER.token(purpose, number)) == number


@given(ids)
def test_a_token_survives_any_case(number: int) -> None:
    assert SIGNER.read(Purpose.LEAVE, SIGNER.token(Purpose.LEAVE, number).upper()) == number


@given(purposes, purposes, ids)
def test_a_token_is_good_for_one_purpose_only(made: Purpose, read: Purpose, number: int) -> None:
    assert SIGNER.read(read, SIGNER.token(made, number)) == (number if made is read else None)


@given(ids, st.integers(0, 38), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_changed_letter_is_no_token(number: int, place: int, letter: str) -> None:
    token = SIGNER.token(Purpose.LEAVE, number)
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    assert SIGNER.read(Purpose.LEAVE, changed) == (number if changed == token else None)


@given(ids, st.integers(0, 38))
def test_a_shortened_token_is_no_token(number: int, length: int) -> None:
    token = SIGNER.token(Purpose.LEAVE, number)
    assert SIGNER.read(Purpose.LEAVE, token[: length % len(token)]) is None


@given(st.text(max_size=50))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    SIGNER.read(Purpose.RETURN, text)


@given(ids)
def test_another_key_makes_other_tokens(number: int) -> None:
    assert Signer(b"k" * 32).read(Purpose.LEAVE, SIGNER.token(Purpose.LEAVE, number)) is None


@given(ids)
def test_a_return_path_fits_in_sixty_four_octets_and_gives_its_copy_back(number: int) -> None:
    path = marked("bounces@example.org", SIGNER.token(Purpose.RETURN, number))
    local, _, domain = path.partition("@")
    assert domain == "example.org"
    assert len(local) <= 64
    assert SIGNER.read(Purpose.RETURN, local.removeprefix("bounces+")) == number


def test_a_return_path_that_would_be_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="too long"):
        marked("b" * 40 + "@example.org", "a" * 39)


def test_a_message_id_is_the_same_every_time_and_differs_by_copy() -> None:
    one, again, other = (message_id(SIGNER.token(Purpose.MESSAGE, number), "example.org") for number in (7, 7, 8))
    assert one == again != other


def test_a_leave_link_escapes_what_has_a_meaning_in_a_uri() -> None:
    assert leave_uri("a&b?c%d@example.org", "t") == "mailto:a%26b%3Fc%25d@example.org?subject=leave-t"


@given(ids)
def test_a_leave_page_carries_the_token_of_the_mail(number: int) -> None:
    page, mail = ways_to_leave(
        SIGNER.token(Purpose.LEAVE, number), site="https://news.example.org", address="leave@example.org"
    )
    token = page.removeprefix("https://news.example.org/leave/")
    assert SIGNER.read(Purpose.LEAVE, token) == number
    assert mail == leave_uri("leave@example.org", token)


def test_there_are_as_many_ways_to_leave_as_are_given() -> None:
    assert ways_to_leave("t") == ()
    assert [uri.partition(":")[0] for uri in ways_to_leave("t", site="https://a.example")] == ["https"]
    assert [uri.partition(":")[0] for uri in ways_to_leave("t", address="a@b.example")] == ["mailto"]


@given(purposes, ids, st.binary(min_size=32, max_size=100))
def test_a_token_is_its_id_and_an_hmac_in_base32(purpose: Purpose, number: int, key: bytes) -> None:
    octets = number.to_bytes(8, "big").lstrip(b"\0")
    mac = hmac.digest(key, f"broadcaster {purpose}\0".encode() + octets, "sha256")[:16]
    assert Signer(key).token(purpose, number) == base64.b32encode(octets + mac).decode().rstrip("=").lower()


@given(st.lists(st.binary(max_size=25), max_size=3))
def test_base32_is_the_one_of_the_library(several: list[bytes]) -> None:
    assert base32(*several) == [base64.b32encode(each).decode().rstrip("=").lower() for each in several]


@given(ids, st.lists(purposes, max_size=3))
def test_tokens_made_together_are_those_made_alone(number: int, several: list[Purpose]) -> None:
    assert SIGNER.tokens(number, *several) == [SIGNER.token(each, number) for each in several]


def test_a_short_key_is_refused_and_no_key_is_shown() -> None:
    with pytest.raises(ConfigError, match="32 are needed"):
        Signer(b"short")
    assert "\\x01" not in repr(SIGNER)
