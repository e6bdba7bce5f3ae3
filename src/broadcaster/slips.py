"""Slips of the pen in a tag: what Jinja says of them, in a writer's words, and what was probably meant.

Its messages are for who knows a parser's tokens; most of ours have never seen one. What is not in
the table is said as Jinja says it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

# those that a hint tells a writer of, the most wanted first; the rest are Jinja's odds and ends, or our own workings
_TOLD_FILTERS: Final = (
    *("default", "title", "money", "number", "date", "url", "split"),
    *("upper", "lower", "capitalize", "trim", "truncate", "replace", "first", "last", "join", "length", "int", "float"),
)
_TOLD_TESTS: Final = ("defined", "in", "upper", "lower", "even", "odd", "divisibleby")
# what the same is called elsewhere
_MEANT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("fallback", "otherwise", "if_empty", "ifempty"), "default"),
    **dict.fromkeys(("currency", "price", "format_currency"), "money"),
    **dict.fromkeys(("titlecase", "title_case", "propercase", "proper", "ucfirst"), "title"),
    **dict.fromkeys(("strftime", "format_date", "dateformat", "date_format", "datetime"), "date"),
    **dict.fromkeys(("numberformat", "format_number", "number_format", "decimal", "intcomma", "commas"), "number"),
    **dict.fromkeys(("link", "href", "safe_url", "urlize"), "url"),
    **dict.fromkeys(("uppercase", "upcase", "toupper"), "upper"),
    **dict.fromkeys(("lowercase", "downcase", "tolower"), "lower"),
    **dict.fromkeys(("strip", "chomp"), "trim"),
    **dict.fromkeys(("size", "len"), "length"),
    **dict.fromkeys(("substring", "slice", "shorten", "ellipsis"), "truncate"),
    **dict.fromkeys(("integer", "toint"), "int"),
    **dict.fromkeys(("empty", "blank", "exists", "present"), "defined"),
}
_TAGS: Final = ("if", "elif", "else", "endif", "for", "endfor", "set", "include", "extends", "block", "endblock", "raw")
_COMPARE: Final = "write == to compare two values, = only in {% set name = … %}"
_CALLED: Final = 'what a filter is given stands in brackets: default("friend")'

# what Jinja says → what we say, and what to do; {0} is what the pattern found
_SLIPS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "Expected an expression, got 'end of .*'|unexpected '[|]'",
        "something is missing in this tag",
        'write a value, like {{ subscriber.name }} or {% if subscriber.city == "Basra" %}',
    ),
    ("Missing end of comment tag", "a {# is never closed", "add #}"),
    ("Missing end of raw directive", "{% raw %} is never closed", "add {% endraw %}"),
    ("unexpected char '([“”„‟‘’‚‛«»])' at .*", "{0} is no straight quote", "write \"…\" or '…'"),
    (
        "unexpected char (?:'\"'|\"'\") at .*",
        "a quote in a tag is never closed",
        "put the same sign at the end of the text",
    ),
    ("unexpected char '&' at .*", "& means nothing here", "write and"),
    ("unexpected char '!' at .*", "! means nothing here", "write not"),
    ("unexpected char '[?]' at .*", "? means nothing here", 'write {{ "yes" if subscriber.city else "no" }}'),
    ("unexpected char '#' at .*", "{{# means nothing here", "write {% if subscriber.city %} … {% endif %}"),
    (r"unexpected char '\\[ux]([0-9a-f]+)' at .*", "a sign that nobody sees (U+{0}) stands in a tag", "type it again"),
    ("unexpected char '(.)' at .*", "{0} means nothing here", "a field is written {{ subscriber.city }}"),
    ("unexpected '='", "=== means nothing here", "write =="),
    ("unexpected '}'", "a } stands alone in a tag", "a value ends with }}, a condition with %}"),
    ("expected token '[^']*', got '}'", "there is a brace too many", "write two on each side: {{ subscriber.name }}"),
    ("expected token '[^']*', got '='", "= means nothing here", _COMPARE),
    ("expected token 'name', got '[|]'", "|| means nothing here", "write or; or default(…) for what may be lacking"),
    ("expected token 'name', got .*", "the name of a filter is missing behind |", 'like default("friend") or title'),
    (
        "expected token 'in', got .*",
        "this loop says not over what",
        "write {% for each in subscriber.topics | split %}",
    ),
    ("expected token '[^']*', got '(?:string|:|integer)'", "two values stand side by side", _CALLED),
    (
        "expected token '(?:\\)|end of [^']*)', got .*",
        "two values stand side by side",
        'a field whose name has a space is written subscriber["first name"]',
    ),
)


def told(message: str) -> tuple[str, str | None]:
    """A message of Jinja's parser as ours, with a hint."""
    message = message.removesuffix(".")
    if found := re.fullmatch("Encountered unknown tag '(.*?)'.*", message, re.DOTALL):
        tags = [tag for tag in ("if", "for", "set") if found[1].startswith(tag)]
        tags = tags or difflib.get_close_matches(found[1], _TAGS, n=1)
        hint = f"write {{% {tags[0]} … %}}" if tags else "there are {% if %}, {% for %} and {% set %}"
        return f"there is no tag {{% {found[1]} %}}", hint
    if found := re.fullmatch("No (filter|test) named '(.*)'", message):
        return f"no {found[1]} {found[2]!r}", meant(found[1], found[2])
    for pattern, words, hint in _SLIPS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return words.replace("{0}", found[1] if found.groups() else ""), hint
    return plain_words(message), None


def plain_words(message: str) -> str:
    """Jinja's words in our form: no capital, no full stop."""
    message = message.removesuffix(".")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def near(name: str, there: Iterable[str], root: str = "") -> str:
    """A hint: the nearest of the names that are there, or what there is."""
    names = sorted(there)
    found = difflib.get_close_matches(name, names, n=1)
    # {{ subscriber.first-name }} is a subtraction
    found = found or [each for each in names if not each.isidentifier() and each.startswith(name)]

    def said(each: str) -> str:
        return each if not root else f"{root}.{each}" if each.isidentifier() else f'{root}["{each}"]'

    if found:
        return f"did you mean {said(found[0])}?"
    return f"there are {', '.join(map(said, names[:12]))}" if names else "there are none"


def meant(kind: str, name: str) -> str:
    """A hint for a "filter" or "test" that is none: the one that was probably meant, else those there are."""
    if kind == "filter" and name in ("safe", "raw", "html"):
        return "a person's value is no HTML: it is shown as it is, whatever signs are in it"
    told = _TOLD_FILTERS if kind == "filter" else _TOLD_TESTS
    if (other := _MEANT.get(name.lower(), "")) in told:
        return f"did you mean {other}?"
    found = difflib.get_close_matches(name.lower(), told, n=1)
    return f"did you mean {found[0]}?" if found else f"there are {', '.join(told)}"
