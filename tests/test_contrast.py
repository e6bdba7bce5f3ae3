"""Whether text can be read on what is behind it, whoever chose the colours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.contrast import NIGHT, Colour, completed, contrast, faint, parsed, readable, written
from broadcaster.page import emptied
from broadcaster.proof import prove
from tests.test_layouts import LANGUAGES, laid_out
from tests.test_proof import CONFIG, TEXT, case, found

COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#0B6470", (11, 100, 112)),
        ("#fa0", (255, 170, 0)),
        (" RebeccaPurple ", (102, 51, 153)),
        ("rgb(1, 2,3)", (1, 2, 3)),
        ("rgb(1 2 3)", (1, 2, 3)),
        ("transparent", None),
        ("rgba(0,0,0,.5)", None),
        ("#12345", None),
        ("rot", None),
        ("", None),
    ],
)
def test_a_colour_is_read_as_css_writes_it(text: str, colour: Colour | None) -> None:
    assert parsed(text) == colour


@given(COLOURS, COLOURS)
def test_contrast_is_the_same_from_both_sides_and_between_1_and_21(one: Colour, other: Colour) -> None:
    assert contrast(one, other) == contrast(other, one)
    assert 1 <= contrast(one, other) <= 21.001
    assert contrast(WHITE, BLACK) == pytest.approx(21)
    assert parsed(written(one)) == one


def test_contrast_is_that_of_wcag() -> None:
    # the nearest greys that pass and fail on white
    assert contrast((118, 118, 118), WHITE) > 4.5 > contrast((119, 119, 119), WHITE)
    assert contrast((255, 0, 0), WHITE) == pytest.approx(4.0, abs=0.01)


@given(COLOURS, COLOURS, st.sampled_from([3.0, 4.5]))
def test_the_shade_that_is_named_can_be_read(colour: Colour, ground: Colour, needed: float) -> None:
    shade = readable(colour, [(ground, needed)])
    assert shade is not None
    assert contrast(shade, ground) >= needed
    if contrast(colour, ground) >= needed:
        assert max(abs(a - b) for a, b in zip(shade, colour, strict=True)) <= 1


@given(COLOURS)
def test_letters_on_the_colour_of_a_theme_and_links_in_it_can_be_read(colour: Colour) -> None:
    theme = completed({"colour": written(colour)})
    letters, link = parsed(theme["on_colour"]), parsed(theme.get("link_colour", ""))
    assert letters is not None
    assert contrast(letters, colour) > 3.9
    assert link is None or contrast(link, WHITE) >= 4.5
    assert contrast(parsed(theme["night_colour"]) or BLACK, parsed(NIGHT) or WHITE) >= 6
    assert completed({**theme, "link_colour": "#abc"})["link_colour"] == "#aabbcc"


@pytest.mark.parametrize(
    ("html", "pairs"),
    [
        ("<p>x</p>", []),
        ('<p style="color:#999">x</p>', [("#999999", "#ffffff", 4.5)]),
        ('<p style="color:#999 !important"><img alt="x"> …</p>', []),
        ('<p style="color:#999">{{ x }}</p>', 1),
        ('<div style="color:#888"><p style="font-size:24px">x</p></div>', []),
        ('<div style="color:#888"><h1 style="font-size:19px">x</h1><p style="font-size:19px">y</p></div>', 1),
        ('<a href="#" style="background:#888 none; color:white">x</a>', []),
        ('<td class="button" bgcolor="#888"><a href="#" style="color:white">x</a></td>', []),
        ('<p style="background:#888 none; color:white">x</p>', [("#ffffff", "#888888", 4.5)]),
        ('<td bgcolor="#0b6470">x</td>', [("#000000", "#0b6470", 4.5)]),
        ('<td bgcolor="#0b6470"><a href="x">x</a></td>', [("#0000ee", "#0b6470", 4.5)]),
        ('<p style="background:url(x.png) #fff;color:#eee">x</p>', []),
        ('<p style="background-color:transparent;color:inherit">x</p>', []),
        ('<p style="display:none;color:#fff">x</p><title>x</title><style>x</style>', []),
        ('<!--[if mso]><p style="color:#fff">x</p><![endif]-->', []),
        ('<p style="color:#fff">x<p style="color:#fff">y</p>', 1),
        ("</p></div>x", []),
    ],
)
def test_what_is_hard_to_read_is_found_in_the_page(html: str, pairs: list[tuple[str, str, float]] | int) -> None:
    seen = [(written(each.colour), written(each.ground), each.needed) for each in faint(emptied(html))]
    assert seen == pairs or len(seen) == pairs


@given(st.text("<>ap/ =\"':;#styleco-rbgund fx1%", max_size=60))
def test_no_page_breaks_it(html: str) -> None:
    assert all(each.ratio < each.needed for each in faint(html))


@pytest.mark.parametrize("tag", LANGUAGES)
@pytest.mark.parametrize("colour", ["", "#f2c14e", "#00ee00", "grey", "navy"])
def test_the_default_layout_can_be_read_whatever_its_colour(tag: str, colour: str) -> None:
    merge = laid_out(tag, {"colour": colour} if colour else {})
    assert not [*faint(emptied(merge.html))]


PALE = '<p style="color:#7fb3d5">{{ links.leave }}</p>'


def test_a_setting_that_makes_text_hard_to_read_is_named_with_a_colour_that_would_do() -> None:
    theme = '\n[theme]\nlink_colour = "#7FB3D5"\nbackground = "#333"\n'
    html = PALE + '<p style="background:#333;color:#5b6168">x</p><p style="background:#333;color:#3d4349">x</p>'
    background, link = sorted(found(case(settings=CONFIG + theme, html=html)), key=lambda each: each.message)
    assert (link.rule, link.file) == ("contrast", "broadcaster.toml")
    assert link.message == (
        "theme.link_colour is #7FB3D5 on #ffffff: a contrast of 2.2, and 4.5 is needed; #377ca9 would do"
    )
    assert background.message.startswith("theme.background is #333 under #3d4349: a contrast of 1.2")
    shade = parsed(background.message[-len("#123456 would do") :][:7])
    assert shade is not None
    assert contrast(shade, (0x5B, 0x61, 0x68)) >= 4.5


def test_a_style_in_a_text_or_layout_is_found_where_it_is_written() -> None:
    (finding,) = found(case(html=PALE))
    assert (finding.file, finding.line) == ("templates/statement.html", None)
    assert "“…” is #7fb3d5" in finding.message
    text = TEXT + '\nA red door.\n\n<b style="color: Pink">x</b>\n'
    (finding,) = found(case(text=text, html='<b style="color:pink">x</b>{{ links.leave }}'))
    assert (finding.file, finding.line) == ("statements/june/en.md", 11)
    assert "“x” is #ffc0cb on #ffffff" in finding.message


def test_a_colour_that_is_none_is_told() -> None:
    findings = prove(case(settings=CONFIG + '\n[theme]\ncolour = "rot"\n'))
    assert [each.message for each in findings if each.rule == "contrast"] == [
        'theme.colour is "rot", which is no colour: write it like #0a5c8a'
    ]
