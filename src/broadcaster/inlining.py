"""Styles written into the elements that they are about: many mail programs drop a <style>.

premailer does it, and this is its only home: it would fetch what a style sheet imports, over the network and from
any file, wait for ever, and forget what it does not know. Whether all of a page is still there its caller looks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from broadcaster import bulk, markup
from broadcaster.errors import StatementError
from broadcaster.slips import plain_words

# Gmail drops a <style> of more than 16 KB; what is far beyond is an accident or an attack.
_STYLE_LIMIT: Final = 32_768
_MATCHES_LIMIT: Final = 2_000_000  # rules × elements, each of which costs about a microsecond
_SIBLINGS: Final = re.compile(r"[+~]|:(?:first|last|nth|only)-|:empty", re.IGNORECASE)


def bounded(page: str, file: str) -> None:
    """Styles take time in proportion to rules × elements: refuse what no mail needs, before it takes minutes."""
    if not page:
        raise StatementError("is empty", where=file, hint="{{ statement.body }} is where the text goes")
    style = sum(span.end - span.start for span in markup.spans(page) if span.element == "style")
    if len(page) > bulk.MOST or style > _STYLE_LIMIT or page.count("<") * page.count("{") > _MATCHES_LIMIT:
        raise StatementError(
            f"is too large: {len(page):,} characters, {style:,} of them styles",
            where=file,
            hint="Gmail shows 102,400 characters of a mail and 16,384 of styles",
        )


def inlined(page: str, file: str) -> tuple[str, list[str]]:
    """premailer with its traps closed, and the selectors of what stays in a <style> because it depends on siblings."""
    inliner = _inliner()(page)
    try:
        done = str(inliner.transform(pretty_print=False))
    except Exception as error:  # a library for files of one's own: it raises whatever its own libraries do
        raise StatementError(
            f"styles cannot be written into the elements: {plain_words(str(error))[:200]}", where=file
        ) from error
    doctype = re.match(r"<!doctype[^>]*>", page, re.IGNORECASE)
    if doctype and done[:9].lower() != "<!doctype":
        done = f"{doctype[0]}\n{done}"
    return done, inliner.left


@lru_cache(maxsize=1)
def _inliner() -> type[Any]:
    """A premailer that reaches nothing, forgets nothing and leaves to <style> what belongs there. Heavy to import."""
    import logging

    import cssutils
    from lxml.cssselect import CSSSelector
    from premailer import Premailer, premailer

    # its cache is shared by functions without their names in the key: <p style="p"> beside a rule for p would crash
    premailer._create_cssselector = lru_cache(maxsize=1_000)(CSSSelector)
    cssutils.log.setLevel(logging.CRITICAL)
    # @import is fetched even where the network is not allowed, http: and file: alike
    parser = cssutils.CSSParser(fetcher=lambda _url: (None, b""), validate=False, raiseExceptions=False)

    class Inliner(Premailer):  # type: ignore[misc]
        def __init__(self, page: str) -> None:
            super().__init__(
                page,
                allow_network=False,
                cache_css_parsing=False,
                disable_validation=True,
                disable_basic_attributes=["height"],
                strip_important=False,  # else @media in <style> would lose against what is inlined
            )
            self.left: list[str] = []

        def _parse_css_string(self, css_body: str, validate: bool = True) -> Any:
            return parser.parseString(css_body, validate=validate)

        def _parse_style_rules(self, css_body: str, ruleset_index: int) -> tuple[list[Any], list[Any]]:
            """Rules that are decided by siblings stay behind: a branch may or may not be there."""
            rules, left = super()._parse_style_rules(css_body, ruleset_index)
            if not css_body:
                return rules, left
            for rule in parser.parseString(css_body, validate=False):
                if rule.type not in (rule.STYLE_RULE, rule.MEDIA_RULE, rule.COMMENT):
                    left.append(rule)
            stay = [(selector, rule) for _, selector, rule in rules if _SIBLINGS.search(selector)]
            selectors = [selector for selector, _ in (each for each in [*stay, *left] if isinstance(each, tuple))]
            self.left += [each for each in selectors if _SIBLINGS.search(each)]
            return [each for each in rules if not _SIBLINGS.search(each[1])], [*stay, *left]

        def _css_rules_to_string(self, rules: list[Any]) -> str:
            """What stays behind must win against what was inlined, so it is marked as important."""
            plain = [rule for rule in rules if not isinstance(rule, tuple) and rule.type != rule.MEDIA_RULE]
            rest = [rule for rule in rules if rule not in plain]
            first = "\n".join(rule.cssText for rule in plain)
            return "\n".join(filter(None, [first, str(super()._css_rules_to_string(rest))]))

    return Inliner
