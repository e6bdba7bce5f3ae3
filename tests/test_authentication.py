"""What the DNS says of us: a server of our own with right and wrong records, for each thing that can be found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import config as settings
from broadcaster import dmarc, spf
from broadcaster.authentication import Sender, authenticate
from broadcaster.diagnosis import RULES, Finding, Group, Level
from broadcaster.dkim import Key, flaws
from broadcaster.resolver import Resolver
from broadcaster.taglist import tags
from tests.lab.names import serving

KEY, OTHER = (Key(rsa.generate_private_key(65537, 2048)) for _ in range(2))
PUBLIC = KEY.public[0]
SELECTOR = ("news._domainkey.water.example", "TXT")
SPF, DMARC, MX = ("water.example", "TXT"), ("_dmarc.water.example", "TXT"), ("water.example", "MX")
PTR = ("7.0.0.8.in-addr.arpa", "PTR")
OUTWARD = "8.0.0.7"

# all is well
ZONE: Mapping[tuple[str, str], Sequence[str] | None] = {
    SPF: ["some other text", "v=spf1 mx include:spf.provider.example ~all"],
    ("spf.provider.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
    MX: ["10 mail.water.example."],
    ("mail.water.example", "A"): [OUTWARD],
    SELECTOR: [f"v=DKIM1; k=rsa; p={PUBLIC}"],
    DMARC: ["v=DMARC1; p=reject; rua=mailto:dmarc@water.example"],
    PTR: ["mail.water.example."],
}
CONFIG = """
[sender]
name = "Water for All"
address = "news@water.example"
[links]
leave_mailto = "leave@water.example"
[returns]
return_path = "bounces@water.example"
[relays.main]
url = "smtp://localhost"
tls = "none"
[dkim]
domain = "water.example"
selector = "news"
key_file = "dkim.pem"
"""
NO_DKIM = CONFIG[: CONFIG.index("[dkim]")]
OFFICE = CONFIG.replace('url = "smtp://localhost"\ntls = "none"', 'url = "smtp://smtp.office365.com"')
SES = 'url = "smtp://email-smtp.eu-west-1.amazonaws.com"\nprofile = "ses"'


def judged(zone: Mapping[tuple[str, str], Any], text: str = CONFIG, *, outward: str = OUTWARD) -> list[Finding]:
    """The findings of a zone that differs from what is well."""
    with serving({**ZONE, **zone}) as port:
        config = settings.parse(text)
        resolver = Resolver(["127.0.0.1"], port, patience=0.6)
        sender = Sender(config, KEY if config.dkim else None, resolver, lambda: outward)
        return asyncio.run(authenticate(sender))


def rules(findings: Sequence[Finding]) -> set[str]:
    return {each.rule for each in findings if each.level is not Level.OK}


def test_of_what_is_well_nothing_is_said_but_what_cannot_be_known() -> None:
    findings = judged({})
    assert rules(findings) == {"spf-unknown"}
    well = {each.rule for each in findings if each.level is Level.OK}
    assert well >= {"spf", "spf-lookups", "spf-voids", "spf-end", "dkim", "dmarc", "aligned-spf", "aligned-dkim", "mx"}
    assert "reverse-name" in well


MANY = {(f"s{i}.example", "TXT"): [f"v=spf1 include:s{i + 1}.example -all"] for i in range(20)}
ELSEWHERE = CONFIG.replace('"bounces@water.example"', '"bounces@elsewhere.example"')
THEIR_MX = {("elsewhere.example", "MX"): ["10 mail.water.example."], ("elsewhere.example", "TXT"): ["v=spf1 -all"]}
# what differs from what is well → the rules that tell it
CASES: Mapping[str, tuple[Mapping[tuple[str, str], Any], str, set[str]]] = {
    "no spf": ({SPF: []}, CONFIG, {"spf"}),
    "two spf": ({SPF: ["v=spf1 -all", "v=spf1 mx -all"]}, CONFIG, {"spf"}),
    "spf of another version": ({SPF: ["v=spf10 -all"]}, CONFIG, {"spf"}),
    "a word that is none": ({SPF: ["v=spf1 mx ip4:192.0.2 -all"]}, CONFIG, {"spf-syntax"}),
    "an include of nothing": ({SPF: ["v=spf1 include:gone.example -all"]}, CONFIG, {"spf-syntax", "spf-unknown"}),
    "an include of itself": ({SPF: ["v=spf1 include:water.example -all"]}, CONFIG, {"spf-lookups", "spf-unknown"}),
    "eleven questions": (
        {SPF: ["v=spf1 include:s9.example include:s10.example -all"], **MANY},
        CONFIG,
        {"spf-lookups", "spf-syntax", "spf-unknown"},
    ),
    "ten questions": ({SPF: [f"v=spf1{' a:mail.water.example' * 10} -all"]}, CONFIG, {"spf-unknown"}),
    "one more": ({SPF: [f"v=spf1{' a:mail.water.example' * 11} -all"]}, CONFIG, {"spf-lookups", "spf-unknown"}),
    "two that lead nowhere": ({SPF: ["v=spf1 a:x.example a:y.example -all"]}, CONFIG, {"spf-unknown"}),
    "three that lead nowhere": (
        {SPF: ["v=spf1 a:x.example a:y.example mx:z.example -all"]},
        CONFIG,
        {"spf-voids", "spf-unknown"},
    ),
    "spf without an end": ({SPF: ["v=spf1 mx"]}, CONFIG, {"spf-end", "spf-unknown"}),
    "spf that doubts": ({SPF: ["v=spf1 mx ?all"]}, CONFIG, {"spf-end", "spf-unknown"}),
    "a redirect to an end": ({SPF: ["v=spf1 redirect=spf.provider.example"]}, CONFIG, {"spf-unknown"}),
    "everybody may": ({SPF: ["v=spf1 mx all"]}, CONFIG, {"spf-open", "spf-unknown"}),
    "spf without the provider": ({}, OFFICE, {"spf-relay", "reverse-unknown"}),
    "no key": ({SELECTOR: []}, CONFIG, {"dkim", "spf-unknown"}),
    "two keys": ({SELECTOR: [f"v=DKIM1; p={PUBLIC}", f"p={PUBLIC}"]}, CONFIG, {"dkim", "spf-unknown"}),
    "another key": ({SELECTOR: [f"v=DKIM1; p={OTHER.public[0]}"]}, CONFIG, {"dkim-differs", "spf-unknown"}),
    "a withdrawn key": ({SELECTOR: ["v=DKIM1; p="]}, CONFIG, {"dkim-revoked", "spf-unknown"}),
    "another hash": ({SELECTOR: [f"v=DKIM1; h=sha1; p={PUBLIC}"]}, CONFIG, {"dkim-record", "spf-unknown"}),
    "a key in test": ({SELECTOR: [f"v=DKIM1; t=s:y; p={PUBLIC}"]}, CONFIG, {"dkim-testing", "spf-unknown"}),
    "no dkim": ({}, NO_DKIM, {"dkim-relay", "spf-unknown"}),
    "no dmarc": ({DMARC: []}, CONFIG, {"dmarc", "spf-unknown"}),
    "two dmarc": ({DMARC: ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}, CONFIG, {"dmarc", "spf-unknown"}),
    "dmarc in small letters": ({DMARC: ["v=dmarc1; p=reject"]}, CONFIG, {"dmarc", "spf-unknown"}),
    "p is no policy": (
        {DMARC: ["v=DMARC1; p=rejekt; rua=mailto:d@water.example"]},
        CONFIG,
        {"dmarc-syntax", "dmarc-policy", "spf-unknown"},
    ),
    "pct": (
        {DMARC: ["v=DMARC1; p=reject; pct=50; rua=mailto:d@water.example"]},
        CONFIG,
        {"dmarc-removed", "spf-unknown"},
    ),
    "p is none": (
        {DMARC: ["v=DMARC1; p=none; rua=mailto:d@water.example"]},
        CONFIG,
        {"dmarc-policy", "spf-unknown"},
    ),
    "a subdomain without protection": (
        {
            DMARC: ["v=DMARC1; p=reject; sp=none; rua=mailto:d@water.example"],
            ("city.water.example", "MX"): ["10 mail.water.example."],
        },
        CONFIG.replace("news@water", "news@city.water"),
        {"dmarc-policy", "spf-unknown"},
    ),
    "dmarc in test": (
        {DMARC: ["v=DMARC1; p=reject; t=y; rua=mailto:d@water.example"]},
        CONFIG,
        {"dmarc-policy", "spf-unknown"},
    ),
    "no reports": ({DMARC: ["v=DMARC1; p=reject"]}, CONFIG, {"dmarc-reports", "spf-unknown"}),
    "reports to who did not ask": (
        {DMARC: ["v=DMARC1; p=reject; rua=mailto:d@reports.example"]},
        CONFIG,
        {"dmarc-reports", "spf-unknown"},
    ),
    "reports to who did": (
        {
            DMARC: ["v=DMARC1; p=reject; rua=mailto:d@reports.example"],
            ("water.example._report._dmarc.reports.example", "TXT"): ["v=DMARC1"],
        },
        CONFIG,
        {"spf-unknown"},
    ),
    "a return path elsewhere": (THEIR_MX, ELSEWHERE, {"aligned-spf", "spf-unknown"}),
    "a signature of another": (
        {("news._domainkey.other.example", "TXT"): [f"p={PUBLIC}"]},
        CONFIG.replace('domain = "water.example"', 'domain = "other.example"'),
        {"aligned-dkim", "spf-unknown"},
    ),
    "nothing speaks for us": (
        {("news._domainkey.other.example", "TXT"): [f"p={PUBLIC}"], **THEIR_MX},
        ELSEWHERE.replace('domain = "water.example"', 'domain = "other.example"'),
        {"aligned", "spf-unknown"},
    ),
    "strict": (
        {
            DMARC: ["v=DMARC1; p=reject; aspf=s; rua=mailto:d@water.example"],
            ("b.water.example", "TXT"): ["v=spf1 -all"],
            ("b.water.example", "MX"): ["10 mail.water.example."],
        },
        CONFIG.replace("bounces@water", "bounces@b.water"),
        {"aligned-spf", "spf-unknown"},
    ),
    "relaxed": (
        {("b.water.example", "TXT"): ["v=spf1 -all"], ("b.water.example", "MX"): ["10 mail.water.example."]},
        CONFIG.replace("bounces@water", "bounces@b.water"),
        {"spf-unknown"},
    ),
    "their own return path": ({}, CONFIG.replace('url = "smtp://localhost"\ntls = "none"', SES), {"reverse-unknown"}),
    "an empty MX": ({MX: ["0 ."]}, CONFIG.replace("localhost", "relay.example"), {"mx"}),
    "nobody takes mail": ({MX: [], SPF: ["v=spf1 -all"]}, CONFIG, {"mx", "spf-unknown"}),
    "a web server takes mail": (
        {MX: [], ("water.example", "A"): ["192.0.2.9"], SPF: ["v=spf1 -all"]},
        CONFIG,
        {"mx-implicit", "spf-unknown"},
    ),
    "one of two hosts is gone": (
        {MX: ["10 mail.water.example.", "20 old.water.example."]},
        CONFIG,
        {"mx-host", "spf-unknown"},
    ),
    "both are gone": ({MX: ["10 old.water.example."]}, CONFIG, {"mx", "spf-unknown"}),
    "no reverse name": ({PTR: []}, CONFIG, {"reverse-name", "spf-unknown"}),
    "a reverse name of another": (
        {PTR: ["home.provider.example."], ("home.provider.example", "A"): ["192.0.2.77"]},
        CONFIG,
        {"reverse-name", "spf-unknown"},
    ),
    "nobody answers": (dict.fromkeys(ZONE) | {("_dmarc.example", "TXT"): None}, CONFIG, {"dns"}),
    "a server that fails": ({DMARC: ["FAIL"]}, CONFIG, {"dns", "spf-unknown"}),
}
# plain-text relays beyond this machine have a key of their own in broadcaster.toml
ALLOWED = 'tls = "none"\nallow_plaintext = true'


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_told_and_nothing_else(name: str) -> None:
    zone, text, expected = CASES[name]
    if "relay.example" in text:
        text, expected = text.replace('tls = "none"', ALLOWED), expected | {"spf-unknown", "reverse-unknown"}
    told = rules(judged(zone, text))
    assert told >= expected
    # without an answer to some questions, what can be told of the others may differ
    assert told == expected or "dns" in expected


def test_every_rule_of_the_dns_has_a_case() -> None:
    tried = set().union(*(expected for _, _, expected in CASES.values())) | {"reverse-unknown"}
    assert tried == {name for name, rule in RULES.items() if rule.group is Group.DNS}


def test_an_address_behind_a_router_is_not_judged() -> None:
    assert rules(judged({}, outward="")) == {"spf-unknown", "reverse-unknown"}


@pytest.mark.parametrize(
    ("name", "text", "record"),
    [
        ("no spf", NO_DKIM, ("water.example", "TXT", f"v=spf1 ip4:{OUTWARD} ~all")),
        ("no key", CONFIG, (*SELECTOR, f"v=DKIM1; k=rsa; p={PUBLIC}")),
        ("no dmarc", CONFIG, (*DMARC, "v=DMARC1; p=none; rua=mailto:news@water.example")),
        (
            "spf without the provider",
            OFFICE,
            (*SPF, "v=spf1 mx include:spf.provider.example include:spf.protection.outlook.com ~all"),
        ),
        ("no reverse name", CONFIG, (*PTR, "mail.water.example.")),
    ],
)
def test_who_writes_what_is_told_is_found_well(name: str, text: str, record: tuple[str, str, str]) -> None:
    zone = CASES[name][0]
    told = [each for finding in judged(zone, text) for each in finding.write]
    assert record in told
    written: dict[tuple[str, str], Any] = {}
    for each in told:
        written[each.name, each.type] = [each.text]
    provider = {("spf.protection.outlook.com", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"]}
    bad = {each.rule for each in judged({**zone, **provider, **written}, text) if each.level is Level.ERROR}
    assert not bad


def test_a_key_that_is_longer_than_a_datagram_is_read_over_tcp() -> None:
    long = ["x" * 200] * 8 + [f"v=DKIM1; n={'n' * 1000}; p={PUBLIC}"]
    findings = judged({SELECTOR: long[-1:], SPF: [*long[:-1], "v=spf1 mx -all"]})
    assert rules(findings) == {"spf-unknown"}


# the nouns


def test_a_walk_asks_eight_names_at_the_most() -> None:
    assert dmarc.names("a.mail.example.com") == ["a.mail.example.com", "mail.example.com", "example.com", "com"]
    long = dmarc.names("a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert long[:2] == ["a.b.c.d.e.f.g.h.i.j.mail.example.com", "g.h.i.j.mail.example.com"]
    assert len(long) == 8


LABEL = st.text("abc", min_size=1, max_size=3)
DOMAIN = st.lists(LABEL, min_size=1, max_size=14).map(".".join)


@given(DOMAIN)
def test_every_name_of_a_walk_is_the_domain_or_above_it(domain: str) -> None:
    names = dmarc.names(domain)
    assert names[0] == domain
    assert names[-1] == domain.rpartition(".")[2]
    assert len(names) == len(set(names)) == min(8, domain.count(".") + 1)
    assert all(f".{domain}".endswith(f".{name}") for name in names)


@pytest.mark.parametrize(
    ("domain", "records", "organisation", "applied"),
    [
        # the examples of the standard
        ("a.mail.example.com", {"mail.example.com": "", "example.com": ""}, "example.com", "example.com"),
        ("a.mail.example.com", {"com": "psd=y"}, "example.com", "com"),
        ("example.com", {}, "example.com", None),
        ("a.example.com", {"a.example.com": "psd=n", "example.com": ""}, "a.example.com", "a.example.com"),
        ("org.gov.iq", {"gov.iq": "psd=y", "iq": ""}, "org.gov.iq", "gov.iq"),
        ("gov.iq", {"gov.iq": "psd=y"}, "gov.iq", "gov.iq"),
        # where the walk begins it does not end
        ("gov.iq", {"gov.iq": "psd=y", "iq": ""}, "iq", "gov.iq"),
        ("a.example.com", {"a.example.com": "", "com": "psd=y"}, "example.com", "a.example.com"),
        ("example.com", {"com": ""}, "com", "com"),
    ],
)
def test_the_organisation_and_its_policy_are_those_of_the_standard(
    domain: str, records: Mapping[str, str], organisation: str, applied: str | None
) -> None:
    found = {}
    for name, more in records.items():
        policy = dmarc.parse(f"v=DMARC1; p=none; {more}")
        assert policy is not None
        found[name] = policy
    assert dmarc.organisation(domain, found) == organisation
    assert dmarc.applied(domain, found) == applied


@given(DOMAIN, st.dictionaries(DOMAIN, st.sampled_from(["psd=y", "psd=n", "", "psd=x"]), max_size=6))
def test_an_organisation_is_its_domain_or_above_it(domain: str, records: Mapping[str, str]) -> None:
    found = {name: policy for name, more in records.items() if (policy := dmarc.parse(f"v=DMARC1;{more}"))}
    organisation = dmarc.organisation(domain, found)
    assert f".{domain}".endswith(f".{organisation}")
    # whatever the records: a domain is aligned with itself
    assert dmarc.aligned(domain, domain, {domain: organisation}, strict=True)


TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            "v=spf1 v=DMARC1 ; p = reject none rua=mailto:a@b.example t=y psd=n +all -all include: include:a.example"  # noqa: SIM905
            " a mx ptr ip4:1.2.3.4/33 ip6:::1 exists:%{i}.x redirect= redirect=b.example / a/24//64 k=rsa".split()
        ),
        max_size=12,
    ).map(" ".join),
)


@given(TEXT)
def test_no_record_is_too_odd_to_be_read(text: str) -> None:
    assert tags(text) is None or tags(text)
    assert flaws(text, KEY)
    record = spf.parse(text)
    assert record.end in ("", "-all", "~all", "?all", "+all")
    if (policy := dmarc.parse(text)) is not None:
        assert policy.p in dmarc.POLICIES
        assert policy.below in dmarc.POLICIES
        assert isinstance(policy.wrong, list)


@given(st.dictionaries(st.sampled_from(["a.example", "b.example", "c.example"]), TEXT.map(lambda t: f"v=spf1 {t}")))
def test_whoever_includes_whom_reading_ends(zone: Mapping[str, str]) -> None:
    asked = 0

    async def ask(kind: spf.Kind, name: str) -> Sequence[str] | None:
        nonlocal asked
        asked += 1
        return [zone[name]] if kind == "text" and name in zone else []

    for domain, text in zone.items():
        asyncio.run(spf.survey(domain, spf.parse(text), ask))
    assert asked <= 31 * len(zone)


def test_what_comes_after_all_is_not_read() -> None:
    record = spf.parse("v=spf1 a -all mx redirect=x.example ~all")
    assert [term.text for term in record.terms] == ["a"]
    assert (record.end, record.redirect) == ("-all", "")
