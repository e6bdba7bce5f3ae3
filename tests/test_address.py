"""Addresses: nothing that parses can harm, and one person has one key."""

import re
import time

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.address import Address, fast, look_alikes
from broadcaster.errors import AddressError

ATEXT = "abcXYZ019!#$%&'*+/=?^_`{|}~-"
locals_ = st.lists(st.text(ATEXT, min_size=1, max_size=8), min_size=1, max_size=4).map(".".join)
label = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda each: not each.lower().startswith("xn--")
)
domains = st.tuples(st.lists(label, min_size=1, max_size=3).map(".".join), st.sampled_from(["org", "EXAMPLE", "co"]))
addresses = st.builds(lambda left, right: f"{left}@{right[0]}.{right[1]}", locals_, domains)


@given(addresses)
def test_parsing_what_was_written_gives_the_same_address(text: str) -> None:
    address = Address.parse(text)
    assert Address.parse(str(address)) == address


@given(st.one_of(addresses, st.text(max_size=40), st.text('a.-@xn0 \r\n<>"(),;:é\u202e', max_size=30)))
def test_the_fast_way_agrees_with_the_careful_one(text: str) -> None:
    found = fast(text)
    if found is not None:
        address = Address.parse(text)
        assert found == (str(address), address.key)


@given(addresses)
def test_plain_addresses_take_the_fast_way(text: str) -> None:
    assert (fast(text) is not None) == (len(text) <= 63)


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(max_size=20).map(lambda t: f"{t}@example.org"),
        st.text(max_size=9).map("a@{}.org".format),
    )
)
def test_whatever_parses_is_harmless_on_the_wire(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        return
    wire = str(address)
    assert not re.search(r'[\x00-\x20\x7f-\x9f<>()\[\]\\,;:"\u2028\u2029]', wire)
    assert wire.count("@") == 1
    assert len(wire.encode()) <= 254
    assert address.domain.isascii()
    assert Address.parse(wire) == address
    assert Address.parse(address.shown) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no address"),
        ("anna", "no @"),
        ("a@b@example.org", "more than one @"),
        ("a@b.org,c@d.org", "more than one @"),
        ("@example.org", "nothing before"),
        ("anna@", "nothing after"),
        ("anna@example", "no dot"),
        ("an na@example.org", "a space before"),
        ("anna@exa mple.org", "a space in the domain"),
        ("anna@example.org\r\nRCPT TO:<eve.example.org>", "a line break in the domain"),
        ("anna\n@example.org", "a line break"),
        ("anna@example.org>", "'>' in the domain"),
        ("<anna@example.org", "'<' before"),
        ('"anna b"@example.org', "quoted"),
        ("anna@[192.0.2.1]", "number"),
        ("anna@192.0.2.1", "number"),
        (".anna@example.org", "a dot"),
        ("an..na@example.org", "a dot"),
        ("anna@example..org", "a dot in the domain"),
        ("anna@example.org.", "a dot in the domain"),
        ("anna@-example.org", "hyphen"),
        ("anna@exa_mple.org", "'_' in the domain"),
        (f"{'a' * 65}@example.org", "64"),
        (f"{'é' * 33}@example.org", "64"),
        (f"a@{'b' * 64}.org", "63"),
        (f"a@{'.'.join(['bcd'] * 70)}.org", "253"),
        ("a" * 300 + "@example.org", "300"),
        ("x" * 9_000, "9000"),
        ("an\u202ena@example.org", "U+202E"),
        ("an\u00a0na@example.org", "U+00A0"),
        ("anna@exam\u200bple.org\u202e", "U+"),
        ("an\x00na@example.org", "U+0000"),
        ("\u0301anna@example.org", "U+0301"),
        ("anna@\u2764.example", "IDNA"),
        ("anna@xn--\u00e9.example", "IDNA"),
        ("anna@xn--a9999999999.example", "internationalised"),
        ("an\udc80na@example.org", "U+DC80"),
    ],
)
def test_what_cannot_be_mailed_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=re.escape(reason)):
        Address.parse(text)


def test_the_case_of_a_local_part_is_kept_but_does_not_make_another_person() -> None:
    assert str(Address.parse("Anna.Weiß@Example.ORG")) == "Anna.Weiß@example.org"
    assert Address.parse("ANNA@example.org").key == Address.parse("anna@EXAMPLE.org").key


def test_composed_and_decomposed_letters_are_one_person() -> None:
    assert Address.parse("jose\u0301@example.org").key == Address.parse("JOSÉ@example.org").key


def test_plus_tags_are_mailboxes_of_their_own() -> None:
    assert Address.parse("anna+news@example.org").key != Address.parse("anna@example.org").key


@pytest.mark.parametrize(
    "domain", ["bücher.example", "مثال.example", "例え.example", "straße.example", "ПРИМЕР.example"]
)
def test_domains_in_any_script_go_out_in_a_labels(domain: str) -> None:
    address = Address.parse(f"anna@{domain}")
    assert address.domain == idna.encode(domain.lower()).decode()
    assert address.shown == f"anna@{domain.lower()}"
    assert not address.needs_smtputf8


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert Address.parse("سارا@مثال.example").needs_smtputf8
    assert not Address.parse("sara@مثال.example").needs_smtputf8


def test_an_emoji_domain_that_exists_as_an_a_label_can_be_mailed() -> None:
    address = Address.parse("anna@XN--I-7IQ.example")
    assert str(address) == address.shown == "anna@xn--i-7iq.example"


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "a." * 500_000 + "@", "a@" + "a-" * 500_000, "@" * 1_000_000, "a@" + "é." * 120 + "é"]
)
def test_hostile_text_costs_nothing(text: str) -> None:
    start = time.perf_counter()
    assert fast(text) is None
    with pytest.raises(AddressError):
        Address.parse(text)
    assert time.perf_counter() - start < 0.5


def test_look_alikes_are_what_was_meant() -> None:
    known = ["Anna@example.org", "hannah@example.org", "peter@example.net"]
    assert look_alikes("ana@example.org", known)[0] == "Anna@example.org"
    assert look_alikes("zzz@other.test", known) == []
