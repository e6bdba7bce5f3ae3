"""Laws of `check`: each rule has a case that breaks it, and a good statement breaks none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broadcaster import config, statement
from broadcaster.errors import StatementError
from broadcaster.merge import MergeTemplate
from broadcaster.proof import RULES, Case, Finding, Level, fields, prove
from broadcaster.reads import reads

CONFIG = """
[sender]
name = "Water for All"
address = "news@example.org"
postal_address = "12 River Street"
[links]
leave_mailto = "leave@example.org"
[relays.main]
url = "maildir:outbox"
[returns]
mailboxes = ["maildir:returns"]
"""
TEXT = """---
subject: Water
preheader: Read on
---
Dear {{ subscriber.name }},

come.
"""


def case(
    text: str = TEXT,
    settings: str = CONFIG,
    html: str = '<p>{{ subscriber.name | default("friend") | text }}</p><a href="{{ links.leave | url }}">Leave</a>',
    plain: str = "{{ links.leave }}\n12 River\nStreet",
) -> Case:
    """A statement with one English part, as it would be laid out."""
    written = statement.parse("june", {"en.md": text}, default="en")
    part = written.parts["en"]
    merge = MergeTemplate(part.file, "en", "ltr", part.subject, part.preheader, html, plain)
    return Case(written, config.parse(settings), [merge], audience={"en": 10})


def found(of: Case) -> list[Finding]:
    """The findings but the one about keys that do nothing yet."""
    return [finding for finding in prove(of) if finding.rule != "no-effect"]


def rules(of: Case) -> list[str]:
    return [finding.rule for finding in found(of)]


def test_a_good_statement_has_no_findings() -> None:
    assert found(case()) == []


def test_every_finding_has_the_level_of_its_rule() -> None:
    bad = case(text="---\nsubject: s\n---\n", settings=CONFIG.replace("leave_mailto", "# leave_mailto"), plain="")
    assert prove(bad)
    assert all(finding.level is RULES[finding.rule].level for finding in prove(bad))


def test_errors_come_first() -> None:
    bad = case(text="---\nsubject: s\n---\n", plain="")
    levels = [finding.level is Level.ERROR for finding in prove(bad)]
    assert levels == sorted(levels, reverse=True)


def test_without_an_address_for_wishes_nobody_could_leave() -> None:
    assert rules(case(settings=CONFIG.replace("leave_mailto", "# leave_mailto"))) == ["no-way-to-leave"]


def test_a_layout_without_a_leave_link_is_an_error_in_either_part() -> None:
    assert [f.file for f in found(case(html="<p>x</p>"))] == ["templates/statement.html"]
    assert [f.file for f in found(case(plain="12 River Street"))] == ["templates/statement.txt"]


def test_a_leave_link_that_stands_only_in_a_comment_or_text_is_none() -> None:
    assert rules(case(html="<p>links.leave {# links.leave #}</p>")) == ["no-way-to-leave"]


def test_wishes_that_nobody_reads_are_told() -> None:
    unread = case(settings=CONFIG.replace('mailboxes = ["maildir:returns"]', ""))
    assert rules(unread) == ["unread-leave"]


def test_a_postal_address_must_be_set_and_shown() -> None:
    assert rules(case(settings=CONFIG.replace("postal_address", "# postal_address"))) == ["no-postal-address"]
    assert rules(case(plain="{{ links.leave }}")) == ["no-postal-address"]


def test_a_key_whose_absence_changes_the_mail_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_UNBUILT", (("some.key", lambda _: True, "error", "does nothing yet"),))
    assert rules(case()) == ["not-built"]


DKIM = '[dkim]\ndomain = "example.org"\nselector = "s"\nkey_file = "k"\n'
ONE_CLICK = CONFIG.replace("[links]", '[links]\nsite = "https://news.example.org"\none_click = true')


def test_one_click_needs_a_signature_and_https() -> None:
    assert rules(case(settings=ONE_CLICK + DKIM)) == []
    assert rules(case(settings=ONE_CLICK)) == ["one-click"]
    plain = ONE_CLICK.replace("https://news.example.org", "http://127.0.0.1:8000")
    assert rules(case(settings=plain + DKIM)) == ["one-click"]


def test_one_click_alone_is_a_way_to_leave() -> None:
    assert rules(case(settings=ONE_CLICK.replace("leave_mailto", "# leave_mailto") + DKIM)) == []


@pytest.mark.parametrize(
    ("domain", "fits"),
    [("example.org", True), ("mail.example.org", True), ("example.com", False), ("badexample.org", False)],
)
def test_whoever_signs_for_another_domain_is_told(domain: str, fits: bool) -> None:
    signed = CONFIG + DKIM.replace('"example.org"', f'"{domain}"')
    assert rules(case(settings=signed)) == ([] if fits else ["unaligned"])


def test_people_who_lack_a_printed_field_are_counted_at_its_line() -> None:
    holes = replace(case(html="{{ subscriber.name | text }}{{ links.leave }}"), lacking={"name": 3})
    (finding,) = found(holes)
    assert (finding.rule, finding.file, finding.line) == ("empty-field", "statements/june/en.md", 5)
    assert finding.message.startswith("3 of 10 people have no name")


def test_a_field_with_a_default_is_no_hole() -> None:
    assert fields(case().merges) == frozenset()


def test_who_gets_another_language_is_counted() -> None:
    (finding,) = found(replace(case(), audience={"en": 1, "en-GB": 1, "": 3, "fr": 2}))
    assert (finding.rule, finding.message) == ("missing-language", "2 people read French and would get English")


def test_no_part_in_the_default_language_is_an_error_for_those_who_need_it() -> None:
    other = CONFIG + '[languages]\ndefault = "ar"\noffered = ["ar", "en"]'
    assert rules(replace(case(settings=other), audience={"en": 5})) == []
    assert rules(replace(case(settings=other), audience={"en": 5, "ckb": 1})) == ["no-default-language"]


def test_without_a_list_the_offered_languages_are_looked_at() -> None:
    other = CONFIG + '[languages]\ndefault = "en"\noffered = ["ar", "en"]'
    assert rules(replace(case(settings=other), audience=None)) == ["missing-language"]


def test_an_empty_list_is_told() -> None:
    assert rules(replace(case(), audience={})) == ["nobody"]


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ('<a href="/donate">x</a>', "link"),
        ('<a href="www.example.org">x</a>', "link"),
        ('<a href="javascript:alert(1)">x</a>', "link"),
        ('<a href="#">x</a>', "link"),
        ('<img src="photo.jpg" alt="x">', "link"),
        ('<img src="data:image/png;base64,AA" alt="x">', "link"),
        ('<img src="https://example.org/a.png">', "image-alt"),
        ('<img src="https://example.org/a.png"/>', "image-alt"),
    ],
)
def test_links_and_images_must_work_in_a_mailbox(html: str, rule: str) -> None:
    assert rules(case(html=html + "{{ links.leave }}")) == [rule]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org/?q={{ subscriber.city | url }}">x</a>',
        """<a href="{{ subscriber.site | default("https://example.org/'}}") | url }}">x</a>""",
        '<a href="mailto:office@example.org">x</a>',
        '<a href="tel:+964123">x</a>',
        '<a href="#footnote-1">x</a>',
        '<img src="https://example.org/a.png" alt="">',
        '{% if subscriber.city == "<a href=/x>" %}y{% endif %}',
    ],
)
def test_whole_addresses_are_fine(html: str) -> None:
    assert rules(case(html=html + "{{ links.leave }}")) == []


def test_a_link_is_found_at_its_line() -> None:
    text = TEXT + "\nSee [there](/there).\n"
    (finding,) = found(case(text=text, html='<a href="/there">there</a>{{ links.leave }}'))
    assert finding.line == 9


def test_a_long_subject_a_missing_preheader_and_an_empty_text_are_told() -> None:
    bad = case(text=f"---\nsubject: {'long ' * 20}\n---\n")
    assert sorted(rules(bad)) == ["empty-body", "preheader", "subject"]


def test_html_that_gmail_would_cut_is_told() -> None:
    assert rules(case(html="{{ links.leave }}" + "x" * 100_000)) == ["size"]


def test_faults_of_laying_out_keep_their_place() -> None:
    fault = StatementError("nobody has a field 'citty'", where="statements/june/ar.md:7", hint="did you mean city?")
    (finding,) = found(replace(case(), faults=[("template", fault)]))
    assert (finding.file, finding.line, finding.level) == ("statements/june/ar.md", 7, Level.ERROR)
    assert "citty" in finding.message
    assert "did you mean city?" in finding.message


@pytest.mark.parametrize(
    ("text", "holes"),
    [
        ("{{ subscriber.a }}", {"a"}),
        ("{{ subscriber['a'] | upper }}", {"a"}),
        ("{{ subscriber.a | default('x') }}", set()),
        ("{{ subscriber.a | default(subscriber.b) }}", {"b"}),
        ("{{ subscriber.a | upper | default('x') | text }}", set()),
        ("{% if subscriber.a %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a %}{{ subscriber.b }}{% endif %}", {"b"}),
        ("{% if subscriber.a %}x{% else %}{{ subscriber.a }}{% endif %}", {"a"}),
        ("{% if not subscriber.a %}x{% else %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a == 'x' %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a != 'x' %}{{ subscriber.a }}{% endif %}", {"a"}),
        ("{% if subscriber.a and subscriber.b %}{{ subscriber.a }}{{ subscriber.b }}{% endif %}", set()),
        ("{% if subscriber.a or subscriber.b %}{{ subscriber.a }}{% endif %}", {"a"}),
        ("{% if x %}{% elif subscriber.a %}{{ subscriber.a }}{% else %}{{ subscriber.b }}{% endif %}", {"b"}),
        ("{{ subscriber.a if subscriber.a else 'x' }}", set()),
        ("{{ 'y' if subscriber.a == 'x' else subscriber.b }}", {"b"}),
        ("{% if subscriber.a is defined %}{{ subscriber.a }}{% endif %}", set()),
        ("{{ links.leave }} {{ 'subscriber.a' }}", set()),
    ],
)
def test_a_field_leaves_a_gap_unless_something_looked_at_it(text: str, holes: set[str]) -> None:
    assert reads(text).holes == holes
