"""HTML as a browser reads it: every place is named rightly, in time that grows with the text."""

from __future__ import annotations

import itertools
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.markup import Where, content, named_characters, spans

PLACES = {
    "<p>HERE</p>": (Where.TEXT, "p", ""),
    "<title>HERE</title>": (Where.TEXT, "title", ""),
    '<a title="a > HERE">x</a>': (Where.ATTRIBUTE, "a", "title"),
    "<a title='HERE'>x</a>": (Where.ATTRIBUTE, "a", "title"),
    '<A HREF = "HERE">x</A>': (Where.ATTRIBUTE, "a", "href"),
    "<a href=HERE>x</a>": (Where.BARE, "a", "href"),
    "<a href=x/HERE/>x</a>": (Where.BARE, "a", "href"),
    "<a HERE>x</a>": (Where.TAG, "a", ""),
    "<a HERE='x'>x</a>": (Where.TAG, "a", ""),
    "<HERE>x</a>": (Where.TAG, "here", ""),
    "<!-- <p>HERE</p> -->": (Where.COMMENT, "", ""),
    "<style>p { HERE }</style>": (Where.RAW, "style", ""),
    "<script>'</p>' HERE</script>": (Where.RAW, "script", ""),
    '<!--[if mso]><a href="HERE">x</a><![endif]-->': (Where.ATTRIBUTE, "a", "href"),
    "<!--[if !mso]><!--><p>HERE</p><!--<![endif]-->": (Where.TEXT, "p", ""),
    "a < b HERE": (Where.TEXT, "", ""),
    "</p HERE>": (Where.TAG, "/p", ""),
    "<!DOCTYPE HERE>": (Where.COMMENT, "", ""),
}


@pytest.mark.parametrize("text", PLACES)
def test_a_place_is_what_a_browser_says(text: str) -> None:
    at = text.index("HERE")
    found = [span for span in spans(text) if span.start <= at < span.end]
    narrowest = min(found, key=lambda span: span.end - span.start)
    assert (narrowest.where, narrowest.element, narrowest.attribute) == PLACES[text]


OPENING = ["<p>", "<br>", "<a href='x'>", '<i title="a>b">', "<li/>", "<style>p{}</style>"]
OTHERS = ["</p>", "</a>", "text", " ", "<!-- c -->", "&amp;", "<", ">", "é"]
PIECES = st.lists(st.sampled_from([*OPENING, *OTHERS])).map("".join)


@given(PIECES | st.text())
def test_spans_are_in_order_and_inside(text: str) -> None:
    for span in spans(text):
        assert 0 <= span.start <= span.end <= len(text)
    texts = [span for span in spans(text) if span.where is Where.TEXT]
    assert all(one.end <= other.start for one, other in itertools.pairwise(texts))


class Texts(HTMLParser):
    """The library's reader, for comparison."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.lists(st.sampled_from([*OPENING[:-1], *OTHERS[:-3], "é"])).map("".join))
def test_the_text_is_that_of_another_reader(text: str) -> None:
    reader = Texts()
    reader.feed(text)
    reader.close()
    assert content(text)[0] == "".join("".join(reader.texts).split())


@pytest.mark.parametrize("piece", ["<", "<a ", "<a b='", "<!--", "<p>", "</p>", "<title>", "<a b", "<!--[if"])
def test_time_grows_with_the_text(piece: str) -> None:
    began = time.process_time()
    for _ in spans(piece * 20_000):
        pass
    assert time.process_time() - began < 2


def test_named_characters_become_characters_but_for_those_of_markup() -> None:
    assert named_characters("&hellip;&nbsp;&apos;&amp;&lt;&quot;&nosuch;") == "…\xa0&apos;&amp;&lt;&quot;&nosuch;"
