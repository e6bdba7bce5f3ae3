"""Laws of `check`: each rule has a case that breaks it, and a good statement breaks none."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from broadcaster import config, statement
from broadcaster.cli.check import _told
from broadcaster.draft import WORDS, draft, untouched
from broadcaster.errors import StatementError
from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy
from broadcaster.proof import RULES, Case, Finding, Level, aligned, printed, prove
from broadcaster.reads import reads
from broadcaster.subscriber import Subscriber
from broadcaster.trial import Trial

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


DKIM = '[dkim]\ndomain = "example.org"\nselector = "s"\nkey_file = "k"\n'
ONE_CLICK = CONFIG.replace("[links]", '[links]\nsite = "https://news.example.org"\none_click = true')


def test_one_click_needs_a_signature_and_https() -> None:
    assert rules(case(settings=ONE_CLICK + DKIM)) == ["leave-page"]
    assert rules(case(settings=ONE_CLICK)) == ["leave-page", "one-click"]
    plain = ONE_CLICK.replace("https://news.example.org", "http://127.0.0.1:8000")
    assert rules(case(settings=plain + DKIM)) == ["leave-page", "one-click"]


def test_one_click_alone_is_a_way_to_leave() -> None:
    assert rules(case(settings=ONE_CLICK.replace("leave_mailto", "# leave_mailto") + DKIM)) == ["leave-page"]


def test_whoever_lets_people_leave_on_the_web_is_told_once_that_something_must_answer_there() -> None:
    several = case(settings=ONE_CLICK + DKIM)
    several = replace(several, merges=[*several.merges, *several.merges])
    (finding,) = found(several)
    assert "https://news.example.org/leave/TOKEN" in finding.message
    assert "POST" in finding.message
    idle = prove(case(settings=ONE_CLICK.replace("one_click = true", "one_click = false")))
    assert [each.message for each in idle if "links.site" in each.message] == [
        "links.site has no effect without links.one_click: there are no other links to the web yet"
    ]


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
    assert [*map(printed, case().merges)] == [frozenset()]


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
        ('<a href="#nowhere">x</a>', "link"),
        ('<a href="ftp://x.example/">x</a>', "link"),
        ('<a href=" VBScript:x">x</a>', "link"),
        ('<img src="photo.jpg" alt="x">', "link"),
        ('<img src="data:image/png;base64,AA" alt="x">', "link"),
        ('<img src="https://example.org/a.png">', "image-alt"),
        ('<img src="https://example.org/a.png"/>', "image-alt"),
    ],
)
def test_links_and_images_must_work_in_a_mailbox(html: str, rule: str) -> None:
    assert rules(case(html=html + "{{ links.leave }}")) == [rule]


def test_an_image_is_told_by_the_name_that_its_author_wrote() -> None:
    source = "cid:statements/june/old%20well.png"
    html = f'<img src="{source}" alt=""><img src="{source}">{{{{ links.leave }}}}'
    of = case(TEXT + '\n![ ](<old well.png>)\n\n<img src="old well.png">\n', html=html)
    images = ("statements/june/old well.png",)
    of = replace(of, merges=[replace(of.merges[0], images=images)])
    told = [(finding.message, finding.line) for finding in found(of) if finding.rule == "image-alt"]
    assert told == [
        ('the image "old well.png" has no words between its brackets: say what it shows', 9),
        ('the image "old well.png" has no alternative text', 11),
    ]


def test_what_is_wrong_in_a_layout_has_its_line_there() -> None:
    html = "<style>p { display: flex }</style><form></form>{{ links.leave }}"
    layouts = {"statement.html": "\n<form>", "base.html": "\n\n<style>p { display: flex }"}
    told = {finding.rule: (finding.file, finding.line) for finding in found(replace(case(html=html), layouts=layouts))}
    assert told == {"css": ("templates/base.html", 3), "element": ("templates/statement.html", 2)}


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org/?q={{ subscriber.city | url }}">x</a>',
        """<a href="{{ subscriber.site | default("https://example.org/'}}") | url }}">x</a>""",
        '<a href="mailto:office@example.org">x</a>',
        '<a href="tel:+964123">x</a>',
        '<a href="#footnote-1">x</a><p id="footnote-1">y</p>',
        '<img src="https://example.org/a.png" alt="">',
        '{% if subscriber.city == "<a href=/x>" %}y{% endif %}',
    ],
)
def test_whole_addresses_are_fine(html: str) -> None:
    assert rules(case(html=html + "{{ links.leave }}")) == []


@pytest.mark.parametrize(
    "written",
    ["[x](javascript:alert(1))", "[x](file:///etc/passwd)", "[x](https://example.org/my letter.pdf)", "[x](/a b)"],
)
def test_markdown_that_is_no_link_is_not_shown_with_its_brackets(written: str) -> None:
    (finding,) = found(case(text=TEXT + f"\n{written}\n", html=f"<p>{written}</p>{{{{ links.leave }}}}"))
    assert (finding.rule, finding.level, finding.line) == ("link", Level.ERROR, 9)
    assert rules(case(html=f"<p>[1](see there) <code>{written}</code></p>{{{{ links.leave }}}}")) == []


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
        ("{% for x in subscriber.a | split %}{{ x }}, {{ subscriber.a }}{% endfor %}", set()),
        ("{% for x in subscriber.a | split %}{{ subscriber.b }}{% else %}{{ subscriber.a }}{% endfor %}", {"a", "b"}),
        ("{% for x in [subscriber.a, 'y'] %}{{ x }}{% endfor %}", {"a"}),
        ("{% if subscriber.a | length > 3 %}x{% endif %}", set()),
        ("{% if subscriber.a | int > 3 %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a | int < 3 %}{{ subscriber.a }}{% endif %}", {"a"}),
        ("{% if subscriber.a | int < 3 %}x{% else %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a | lower in ['x', 'y'] %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a.startswith('x') %}{{ subscriber.a }}{% endif %}", set()),
        ("{% if subscriber.a | url %}{{ subscriber.a | url }}{% endif %}", set()),
        ("{% if subscriber.a | nothing %}{{ subscriber.a }}{% endif %}", {"a"}),
        ("{% if subscriber.a == subscriber.b %}{{ subscriber.a }}{{ subscriber.b }}{% endif %}", set()),
        ("{{ subscriber.a or 'x' }}{{ subscriber.a == 'x' }}{{ subscriber.a or subscriber.b }}", {"b"}),
        ("{% set x = subscriber.a %}{% if x %}{{ x }}{{ subscriber.a }}{% endif %}", set()),
        ("{% set x = subscriber.a | title %}{{ x }}", {"a"}),
        ("{% set x = subscriber.a or 'y' %}{{ x }}", set()),
        (
            "{% if subscriber.a %}{% set x = subscriber.a %}{% else %}{% set x = 'y' %}{% endif %}{{ x }}",
            set(),
        ),
        ("{% if subscriber.b %}{% set x = subscriber.a %}{% else %}{% set x = 'y' %}{% endif %}{{ x }}", {"a"}),
    ],
)
def test_a_field_leaves_a_gap_unless_something_looked_at_it(text: str, holes: set[str]) -> None:
    assert reads(text).holes == holes


@pytest.mark.parametrize(
    ("subject", "rule"),
    [
        ("WATER FOR EVERYBODY NOW", "shouting"),
        ("Water now!!", "shouting"),
        ("Re: your letter", "false-reply"),
        ("FWD: your letter", "false-reply"),
        ("رد: رسالتكم", "false-reply"),
        ("UNHCR in Basra: what it does", None),
        ("Really? Yes", None),
        ("{{ subscriber.city | default('X!!') }} and water", None),
        ("\U0001f4a7\U0001f4a7\U0001f4a7 Water", "shouting"),
        ("\U0001f1ee\U0001f1f6 Water … and more --- now", None),
        ("UNICEF and WASH", "shouting"),
    ],
)
def test_a_subject_neither_shouts_nor_pretends(subject: str, rule: str | None) -> None:
    assert rules(case(text=TEXT.replace("subject: Water", f"subject: {subject}"))) == ([rule] if rule else [])


def test_names_that_the_text_writes_in_capitals_do_not_shout() -> None:
    text = TEXT.replace("subject: Water", "subject: UNICEF: WASH") + "\nUNICEF has a programme, WASH.\n"
    assert rules(case(text=text)) == []


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        ("Dear *|FNAME|*,", True),
        ("Dear %%First Name%%,", True),
        ("Dear [[name]],", True),
        ("Dear <<Name>>,", True),
        ("Dear ${name},", True),
        ("Dear {first_name},", True),
        ("Dear [Name],", True),
        ("Dear %name%,", True),
        ("Lorem ipsum dolor", True),
        ("lorem ipsum dolor", True),
        ("On TBD we meet", True),
        ("TODO: the second paragraph", True),
        ("[Name](https://water.example/) and [Name][1]", False),
        ("{{ subscriber.name | default('{name}') }} 50% name 50%", False),
        ("`{name}` in code, {x}, [1], a < b >> c, 5 %% 3, $5", False),
        ("«name» XXX", False),
    ],
)
def test_what_waits_to_be_filled_in_is_told_with_its_line(waiting: str, told: bool) -> None:
    findings = found(case(text=TEXT + f"\n{waiting}\n"))
    assert [(each.rule, each.line) for each in findings] == ([("placeholder", 9)] if told else [])


def test_a_hole_is_shown_where_the_field_is_printed_bare() -> None:
    text = TEXT.replace("subject: Water", "subject: Water, {{ subscriber.name }}").replace(
        "subscriber.name }},\n", "subscriber.name | default('friend') }},\n"
    )
    of = case(text=text, html="{{ subscriber.name | text }}{{ links.leave }}")
    (finding,) = found(replace(of, lacking={"name": 3}))
    assert finding.line == 2
    spaced = case(text=TEXT + "{{ subscriber['first name'] }}", html="{{ subscriber['first name'] }}{{ links.leave }}")
    (finding,) = found(replace(spaced, lacking={"first name": 3}))
    assert finding.message.endswith('write {{ subscriber["first name"] | default("…") }}')
    assert finding.line == 8


def test_people_whom_no_part_is_for_are_told_together() -> None:
    of = replace(
        case(settings=CONFIG + '[languages]\ndefault = "ar"\noffered = ["ar", "en"]'), audience={"fr": 1, "": 2}
    )
    (finding,) = found(of)
    assert finding.message == (
        "2 people read no language we know, 1 person reads French, and there is no part in Arabic, the default"
    )


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ('<a href="http://water.example/">the letter</a>', "insecure-link"),
        ('<img src="http://water.example/a.png" alt="x">', "insecure-link"),
        ('<a href="https://192.0.2.1/x">the letter</a>', "link-host"),
        ('<a href="https://bank.example@evil.example/">the letter</a>', "link-host"),
        ('<a href="https://bit.ly/x">the letter</a>', "link-host"),
        ('<a href="https://user:word@water.example/x">the letter</a>', "link-host"),
        ('<a href="https://0xc0000201/x">the letter</a>', "link-host"),
        ('<a href="https://intranet/x">the letter</a>', "link-host"),
        ('<a href="https://files.local/x">the letter</a>', "link-host"),
        ('<a href="https://w\u0430ter.example/x">the letter</a>', "link-host"),
        ('<a href="https://xn--80ak6aa92e.com/">the letter</a>', "link-host"),
        ('<a href="https://water.example/">Click here</a>', "link-text"),
        ('<a href="https://water.example/">هنا</a>', "link-text"),
        ('<a href="https://water.example/"><img src="https://water.example/a.png" alt=""></a>', "link-text"),
        ('<a href="https://evil.example/">www.bank.example/login</a>', "link-text"),
        ('<p style="position:absolute">x</p>', "css"),
        ('<p style="display: flex">x</p>', "css"),
        ("<style>p { color: var(--x) }</style>", "css"),
        ('<link rel="stylesheet" href="https://x.example/a.css">', "css"),
        (f"<style>{'p{color:red}' * 2000}</style>", "css"),
        ("<form></form>", "element"),
        ("dear <name>, come", "element"),
        ('<table role="presentation" background="x.png"><tr><td>x</td></tr></table>', "link"),
        ('<p style="background: url(x.png)">x</p>', "link"),
        ('<img alt="x" src="https://water.example/x.png" srcset="https://water.example/y.png 2x, y.png 3x">', "link"),
        ("<style>p { background: url( 'http://water.example/x.png' ) }</style>", "insecure-link"),
        ("<script>x</script>", "element"),
        ('<p onclick="x()">x</p>', "element"),
        ('<meta http-equiv="refresh" content="0">', "element"),
        ("<h2>a</h2><h4>b</h4>", "headings"),
        ("<h1>a</h1><h1>b</h1>", "headings"),
        ("<html><body><p>x</p></body></html>", "markup"),
        ("<table><tr><td>x</td></tr></table>", "markup"),
        ("<div>" * 160 + "x" + "</div>" * 160, "nesting"),
    ],
)
def test_what_mail_programs_drop_or_distrust_is_told(html: str, rule: str) -> None:
    assert set(rules(case(html=html + "{{ links.leave }}"))) == {rule}


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://www.water.example/letter">water.example</a>',
        '<a href="https://water.example/letter">https://water.example/letter</a>',
        '<script type="application/ld+json">{}</script>',
        "<!--[if mso]><table><tr><td><![endif]-->x",
        '<table role="presentation"><tr><td>x</td></tr></table><table><tr><th>x</th></tr></table>',
        '<html><body><div lang="ar" dir="rtl">x</div></body></html>',
        "<h1>a</h1><h2>b</h2><h3>c</h3><h2>d</h2>",
        "<o:p>x</o:p><center><font>x</font></center><x-part>x</x-part>",
        '<p background="https://water.example/x.png" style="background: url({{ subscriber.name | url }})">x</p>',
        "<style>@media (max-width: 9px) { p { color: red } }</style>",
    ],
)
def test_what_is_well_made_is_left_alone(html: str) -> None:
    assert rules(case(html=html + "{{ links.leave }}")) == []


def test_a_mail_of_images_alone_is_told() -> None:
    text = TEXT.partition("Dear")[0] + "![A poster](https://water.example/poster.png)\n"
    assert rules(case(text=text)) == ["image-only"]


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("example.org", "example.org", True),
        ("mail.example.org", "EXAMPLE.org", True),
        ("mail.example.org", "news.example.org", True),
        ("a.b.example.org", "c.example.org", True),
        ("example.org", "example.com", False),
        ("badexample.org", "example.org", False),
        ("one.co.uk", "two.co.uk", False),
        ("mail.one.co.uk", "news.one.co.uk", True),
        ("one.org.iq", "two.org.iq", False),
        ("one.iq", "two.iq", False),
        ("org", "example.org", False),
    ],
)
def test_domains_are_aligned_when_one_organisation_has_registered_them(one: str, other: str, fits: bool) -> None:
    assert aligned(one, other) is aligned(other, one) is fits


def test_bounces_to_a_stranger_are_told_where_nothing_signs() -> None:
    back = CONFIG.replace("[returns]", '[returns]\nreturn_path = "bounces@relay.example"')
    assert rules(case(settings=back)) == ["unaligned"]
    assert rules(case(settings=back + DKIM)) == []


def test_free_mail_through_another_relay_is_told() -> None:
    free = CONFIG.replace("news@example.org", "water@gmail.com").replace(
        'url = "maildir:outbox"', 'url = "smtps://x.example"'
    )
    assert rules(case(settings=free)) == ["free-mail"]
    assert rules(case(settings=free.replace("smtps://x.example", "smtps://smtp.gmail.com"))) == []


def test_a_field_that_nobody_has_is_told_once() -> None:
    of = replace(case(html="{{ subscriber.city | text }}{{ links.leave }}"), lacking={"city": 10})
    assert rules(of) == ["always-empty"]


def test_files_that_servers_refuse_are_told_by_their_name() -> None:
    text = TEXT.replace("preheader", "attachments: [form.docm, a.pdf]\npreheader")
    assert rules(case(text=text)) == ["blocked-attachment"]


@pytest.mark.parametrize("tag", WORDS)
def test_the_untouched_draft_is_found_line_by_line(tag: str) -> None:
    part = statement.parse("june", {f"{tag}.md": draft(tag)}, default=tag).parts[tag]
    assert [line for _, line in untouched(part)] == [2, 3, 7]


def person(**fields: str) -> Copy:
    who = Subscriber(0, "a@b.example", fields.pop("name", ""), fields=fields)
    return Copy(who, "News", "news.b.example", "news", "<x@b.example>", "mailto:x@b.example", (), 0)


def tried(subject: str = "S", html: str = "{{ links.leave }}", text: str = "{{ links.leave }}") -> list[str]:
    trial = Trial(MergeTemplate("statements/june/en.md", "en", "ltr", subject, "", html, text))
    trial.look(person())
    trial.look(person(city="Basra", site="https://water.example/", name="N" * 40))
    return [finding.rule for finding in trial.findings()]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"subject": "{{ subscriber.city }}"}, "empty-subject"),
        ({"subject": "x{{ subscriber.name }}{{ subscriber.name }}{{ subscriber.name }}"}, "subject"),
        ({"html": '<a href="{{ subscriber.site | as_url }}">x</a>{{ links.leave }}'}, "empty-link"),
        ({"html": "{% if subscriber.city %}{{ links.leave }}{% endif %}"}, "no-way-to-leave"),
        ({"text": "{% if not subscriber.city %}{{ links.leave }}{% endif %}"}, "no-way-to-leave"),
        ({"html": "{{ links.leave }}{% if subscriber.city %}" + "x" * 95_000 + "{% endif %}"}, "size"),
        ({"html": "{{ links.leave }}{% for x in subscriber.name %}" + "x" * 3_000 + "{% endfor %}"}, "clipped"),
        ({}, None),
    ],
)
def test_what_is_wrong_only_for_somebody_is_found(options: dict[str, str], rule: str | None) -> None:
    assert tried(**options) == ([rule] if rule else [])


@pytest.mark.parametrize(("number", "lines"), [(10, 10), (11, 11), (12, 11), (1_000, 11)])
def test_of_many_that_are_alike_the_first_are_told_and_their_number(number: int, lines: int) -> None:
    text = TEXT + "".join(f"[the page {each}](http://water.example/{each})\n" for each in range(number))
    html = "{{ links.leave }}" + "".join(
        f'<a href="http://water.example/{each}">the page {each}</a>' for each in range(number)
    )
    began = time.process_time()
    findings = found(case(text=text, html=html))
    assert [each.line for each in findings] == list(range(8, 8 + number))
    told = [*_told(findings)]
    assert len(told) == lines
    assert number < 12 or told[-1] == f"statements/june/en.md: … and {number - 10:,} more [insecure-link]"
    assert time.process_time() - began < 5


def test_every_rule_says_why_and_what_to_do() -> None:
    for name, rule in RULES.items():
        assert name == name.lower()
        assert all(text.strip().endswith((".", "`", "”")) for text in (rule.about, rule.why, rule.mend)), name


LAYOUTS = {
    "statement.html": "{{ statement.title }} {{ statement.signature }}",
    "statement.txt": '{{ statement["x-y"] }}',
}


@pytest.mark.parametrize(
    ("heading", "body", "line", "words"),
    [
        ("attachment: a.pdf\n", "", 2, "did you mean attachments?"),
        ("signiture: Ali\n", "", 2, "did you mean signature?"),
        ("notes: for ourselves\n", "", 2, "statement.notes is its footnotes"),
        ("author: Ali\n", "", 2, "nothing reads “author:”"),
        ("", "Text[^1].\n\n[^1]: one\n[^2]: two\n", 11, "[^2], so nobody sees it"),
        ("", "Text[^one] and [^two].\n\n[^one]: one\n", 8, "there is no footnote [^two]"),
        ("", "| a | b |\n|---|---|\n| 1 | 2 | three |\n", 10, "“three”"),
        ("", "read [the letter][ltr] now\n", 8, "where [ltr] leads"),
        ("", "a | b\n--- | ---\n{{ x | y }} | 2 | three\n", 10, "“three”"),
    ],
)
def test_what_is_written_and_read_by_nobody_is_told(heading: str, body: str, line: int, words: str) -> None:
    text = TEXT.replace("---\n", f"---\n{heading}", 1) if heading else TEXT
    (finding,) = found(replace(case(text=text + body), layouts=LAYOUTS))
    assert (finding.rule, finding.line) == ("left-out", line)
    assert words in finding.message


@pytest.mark.parametrize(
    ("heading", "body"),
    [
        ("signature: Ali\ntitle: x\nx-y: z\n", ""),
        ("motto: Water\n", "{{ statement.motto }}\n"),
        ("", "Text[^1]. {% if subscriber.city %}[^b]{% endif %}\n\n[^1]: one\n[^b]: two\n"),
        ("", "`[^1]` and\n\n```\n[^2]: x\n| a |\n|---|\n| 1 | 2 |\n```\n"),
        ("", "| a | b |\n|---|---|\n| 1 | 2 \\| 3 |\n| {{ subscriber.city | default('x') }} | `y` |\n| 1 |\n"),
        (
            "",
            "| a | b |\n|---|---|\n| 1 | 2 |\n{% if subscriber.city %}\n| 3 | 4 |\n{% endif %}\n\nno | table | here\n",
        ),
        ("", "a\n---\nx | y | z\n"),
        ("", "[a][The letter] [b][1] `[c][d]` \\[e][f]\n\n[the  Letter]: https://water.example\n"),
    ],
)
def test_what_somebody_reads_is_not_told(heading: str, body: str) -> None:
    text = TEXT.replace("---\n", f"---\n{heading}", 1) if heading else TEXT
    assert [each for each in prove(replace(case(text=text + body), layouts=LAYOUTS)) if each.rule == "left-out"] == []
