"""Styles are written into the elements, nothing is lost on the way, and nothing is fetched."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from broadcaster.errors import StatementError
from tests.test_sandbox import watched
from tests.test_template import BODY, laid, page, refused


def test_styles_are_written_into_the_elements_and_the_rest_stays() -> None:
    style = (
        "<style>p{color:red}@media (max-width:9px){p{color:blue!important}}"
        "a:hover{color:green}@font-face{font-family:x;src:url(x)}</style>"
    )
    merge = laid(
        "x\n",
        page(head=style),
    )
    assert '<p style="color:red">' in merge.html
    assert "@media (max-width" in merge.html
    assert re.search(r"color:\s*blue\s*!important", merge.html)
    assert "a:hover" in merge.html
    assert "@font-face" in merge.html
    assert merge.html.startswith("<!DOCTYPE html>\n<html>")


@pytest.mark.parametrize(
    "selector", ["p + p", "h1 ~ p", "p:first-child", "li:last-child", "li:nth-child(2)", "p:only-of-type", "td:empty"]
)
def test_selectors_that_depend_on_siblings_stay_and_are_reported(selector: str) -> None:
    layout = page(head=f"<style>{selector} {{color:red}}</style>")
    merge = laid("# A\n\nx\n\ny\n\n- a\n- b\n", layout)
    assert "style=" not in merge.html
    assert re.search(r"<style[^>]*>[^<]*color:\s*red", merge.html)
    assert re.search(r"^templates/\w+\.html:\d+: " + re.escape(selector), merge.remarks[0])


def test_a_style_that_looks_like_a_selector_does_no_harm() -> None:
    layout = page('<p style="p">x</p>' + BODY, "<style>p{color:red}</style>")
    assert 'style="color:red"' in laid("y\n", layout).html


def test_text_that_the_inliner_loses_is_an_error() -> None:
    deep = "<div>" * 300 + "deep" + "</div>" * 300 + "<p>AFTER</p>{{ links.leave }}"
    assert "loses" in refused(layouts=page(deep)).message


def test_characters_and_unknown_tags_survive() -> None:
    odd = (
        '<!--[if mso]><v:roundrect href="{{ links.leave }}" fill="x"><![endif]-->'
        "<bdi>&hellip;&nbsp;&amp;&lt;&apos;&#847;&zwnj;</bdi><x-y>é</x-y>"
    )
    merge = laid("x\n", page(odd))
    assert '<v:roundrect href="{{ links.leave | as_url }}" fill="x">' in merge.html
    assert "…\xa0&amp;&lt;'\u034f\u200c" in merge.html
    assert "<x-y>é</x-y>" in merge.html


@contextmanager
def canary() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback that notes who comes."""
    calls: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    caller, address = server.accept()
                except TimeoutError:
                    continue
                calls.append(str(address))
                caller.close()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield server.getsockname()[1], calls
        finally:
            stop.set()
            thread.join()


def test_no_style_reaches_the_network_or_a_file() -> None:
    laid("warm up\n", page(head="<style>p{color:red}</style>"))
    with canary() as (port, calls):
        url = f"http://127.0.0.1:{port}/x.css"
        styles = [
            f"<style>@import url({url});</style>",
            f"<style>@import '{url}';</style>",
            f"<style>@media screen {{ @import url({url}); }}</style>",
            f"<style>\\40 import url({url});</style>",
            f'<link rel="stylesheet" href="{url}">',
            f"<style>@import url(//127.0.0.1:{port}/x.css);</style>",
            "<style>@import url(file:///etc/passwd);</style>",
            "<style>@import url(file:///dev/zero);</style>",
            f"<style>p {{ background: url({url}) }}</style>",
            f"<style>@font-face {{ src: url({url}) }}</style>",
        ]
        with watched() as events:
            for style in styles:
                layout = page(f"<p style='@import url({url})'>a</p>{BODY}", style)
                laid("x\n", layout)
        assert not calls
        assert not [event for event in events if "zero" in event or "passwd" in event or event.startswith("socket")]


@pytest.mark.parametrize(
    "style", ["p{" * 40_000, "(" * 30_000, "".join(f".c{n}{{color:red}}" for n in range(4_000)), "@media x{" * 7_000]
)
def test_styles_without_end_are_refused_or_done_soon(style: str) -> None:
    began = time.process_time()
    try:
        laid("x\n\n" * 600, page(head=f"<style>{style}</style>"))
    except StatementError as error:
        assert error.where == "templates/statement.html"  # noqa: PT017  either will do
    assert time.process_time() - began < 10
