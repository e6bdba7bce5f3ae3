"""The language of `--where`: who is meant, in words of our own → a tree, and its one spelling again.

Our own, so that nothing that a person wrote is ever SQL, and every slip is told with its column. It is short, flat
and of few words: long or deep ones are refused before anything is made of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from broadcaster.errors import FilterError

# characters, tests and brackets in one another: SQLite's parser and ours have room for them
LENGTH_LIMIT: Final = 10_000
TESTS_LIMIT: Final = 500
DEPTH_LIMIT: Final = 20

WORDS: Final = frozenset(
    ("and", "or", "not", "in", "like", "has", "tag", "is", "was", "sent", "mailing", "before", "after", "on")
)
OWN: Final = ("email", "domain", "name", "language", "timezone", "joined", "created")
# what a custom field of the same name must be told from
_OURS: Final = WORDS | {"domain", "joined", "created"}

_SIGNS: Final = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<sign><=|>=|!=|<>|==|[=<>(),])"
    r"""|(?P<quoted>"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+')"""
    r"|(?P<segment>@[\w-]*)"
    r"""|(?P<word>[^\s"'()=<>!,@\\][^\s"'()=<>!,\\]*+)""",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
# written without quotes: whatever else a value may hold would be read as something
_BARE: Final = re.compile(r"[^\s\"'()=<>!,@\\][^\s\"'()=<>!,\\]*")
_TYPOGRAPHIC: Final = "“”„‟‘’‚‛«»"
_FIRST: Final = 'like city = Basra, has tag member, joined before 2026-01-31, language is ar, or "@segment"'


class Test:
    """One thing that is true or false of each person."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field by the name that was written. `custom`: it is meant although the language has that word too."""

    name: str
    custom: bool = False
    place: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"subscriber.{self.name}" if self.custom else self.name


@dataclass(frozen=True, slots=True)
class Value:
    text: str
    place: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return self.text if _bare(self.text) else '"' + re.sub(r'(["\\])', r"\\\1", self.text) + '"'


@dataclass(frozen=True, slots=True)
class Compare(Test):
    """`sign` is one of = != < <= > >= before after on."""

    of: Field
    sign: str
    value: Value

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.value}"


@dataclass(frozen=True, slots=True)
class Among(Test):
    of: Field
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.of} in ({', '.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class Like(Test):
    """In `pattern`, % is anything and _ one character; behind a backslash they are themselves, as it is."""

    of: Field
    pattern: str
    place: int = field(default=0, compare=False)

    def __str__(self) -> str:
        escaped = self.pattern.replace('"', r"\"")
        return f"{self.of} like " + (self.pattern if _bare(self.pattern) else f'"{escaped}"')


@dataclass(frozen=True, slots=True)
class Has(Test):
    """Somebody has a value there."""

    of: Field

    def __str__(self) -> str:
        return f"has {self.of}"


@dataclass(frozen=True, slots=True)
class Tagged(Test):
    tag: Value

    def __str__(self) -> str:
        return f"has tag {self.tag}"


@dataclass(frozen=True, slots=True)
class Sent(Test):
    """A copy of this mailing was accepted by a relay, or perhaps was."""

    mailing: int
    place: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"sent mailing {self.mailing}"


@dataclass(frozen=True, slots=True)
class Segment(Test):
    name: str
    place: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True, slots=True)
class Not(Test):
    test: Test

    def __str__(self) -> str:
        return f"not {_bracketed(self.test)}"


@dataclass(frozen=True, slots=True)
class All(Test):
    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return " and ".join(map(_bracketed, self.tests))


@dataclass(frozen=True, slots=True)
class Any(Test):
    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return " or ".join(map(_bracketed, self.tests))


@dataclass(frozen=True, slots=True)
class Filter:
    """What somebody wrote, and what it says. `source` is where they wrote it."""

    test: Test
    text: str
    source: str = "--where"

    def __str__(self) -> str:
        """Its one spelling: two that mean the same word for word are the same."""
        return str(self.test)

    def wrong(self, message: str, place: int, hint: str | None = None) -> FilterError:
        return FilterError(message, text=self.text, place=place, source=self.source, hint=hint)

    @property
    def segments(self) -> list[Segment]:
        """The segments that it names."""
        return [test for test in _tests(self.test) if isinstance(test, Segment)]


def parse(text: str, source: str = "--where") -> Filter:
    """Read a filter. Raises FilterError with the column and, where it can be guessed, what was meant."""
    return Filter(_Parser(text, source).whole(), text, source)


def _tests(test: Test) -> Iterator[Test]:
    yield test
    match test:
        case Not(inner):
            yield from _tests(inner)
        case All(tests) | Any(tests):
            for each in tests:
                yield from _tests(each)


def _bracketed(test: Test) -> str:
    return f"({test})" if isinstance(test, All | Any) else str(test)


def _bare(text: str) -> bool:
    return _BARE.fullmatch(text) is not None and text.lower() not in WORDS and text[0] not in _TYPOGRAPHIC


class _Token(NamedTuple):
    kind: str  # sign, quoted, segment, word, end
    text: str
    place: int

    @property
    def keyword(self) -> str:
        """The word of the language that it may be, or its sign."""
        return self.text.lower() if self.kind in ("word", "sign") else ""


class _Parser:
    """By recursive descent, a function for each rule; `or` binds less than `and`, that less than `not`."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        if len(text) > LENGTH_LIMIT:
            raise self._wrong(f"{len(text):,} characters, {LENGTH_LIMIT:,} are allowed", LENGTH_LIMIT)
        self._tokens = [*self._cut()]
        self._next = 0
        self._depth = 0
        self._number = 0

    def whole(self) -> Test:
        if self._here.kind == "end":
            raise self._wrong("says nothing", 0, f"write a test, {_FIRST}")
        test = self._any()
        if self._here.kind != "end":
            raise self._stray()
        return test

    # tokens

    def _cut(self) -> Iterator[_Token]:
        place = 0
        while place < len(self._text):
            found = _TOKEN.match(self._text, place)
            if found is None:
                raise self._unreadable(place)
            if odd := next((sign for sign in found[0] if _never(sign)), None):
                raise self._wrong(f"an invisible character (U+{ord(odd):04X})", place + found[0].index(odd), "drop it")
            kind = found.lastgroup or ""
            if kind == "word" and found[0][0] in _TYPOGRAPHIC:
                raise self._wrong(f"{found[0][0]} is no straight quote", place, "write \"…\" or '…'")
            if kind != "space":
                yield _Token(kind, found[0], place)
            place = found.end()
        yield _Token("end", "", place)

    def _unreadable(self, place: int) -> FilterError:
        sign = self._text[place]
        if sign in "\"'":
            hint = "put the same sign at the end of the text"
            if sign == "'":
                hint += '; a text with \' in it goes into "…"'
            return self._wrong("a quote is never closed", place, hint)
        if sign == "!":
            return self._wrong("! means nothing here", place, "write != or not")
        return self._wrong(f"{sign} means nothing here", place, 'put a text with such signs in quotes: "…"')

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _taken(self, *words: str) -> bool:
        """Pass over these, if they are what comes."""
        ahead = self._tokens[self._next : self._next + len(words)]
        if [token.keyword for token in ahead] != list(words):
            return False
        self._next += len(words)
        return True

    def _wrong(self, message: str, place: int, hint: str | None = None) -> FilterError:
        return FilterError(message, text=self._text, place=place, source=self._source, hint=hint)

    def _expected(self, what: str, hint: str) -> FilterError:
        token = self._here
        got = "the end" if token.kind == "end" else token.text[:40]
        return self._wrong(f"{what} is missing before {got}", token.place, hint)

    def _stray(self) -> FilterError:
        token = self._here
        if token.text == ")":
            return self._wrong("a ) closes nothing", token.place, "drop it, or open a bracket before")
        hint = "join tests by and, or; put a text of several words in quotes"
        return self._wrong(f"{token.text[:40]!r} does not belong here", token.place, hint)

    # rules

    def _any(self) -> Test:
        tests = [self._all()]
        while self._taken("or"):
            tests.append(self._all())
        return Any(tuple(tests)) if len(tests) > 1 else tests[0]

    def _all(self) -> Test:
        tests = [self._one()]
        while self._taken("and"):
            tests.append(self._one())
        return All(tuple(tests)) if len(tests) > 1 else tests[0]

    def _one(self) -> Test:
        place = self._here.place
        if self._here.keyword == "not" or self._here.text == "(":
            self._depth += 1
            if self._depth > DEPTH_LIMIT:
                raise self._wrong(f"more than {DEPTH_LIMIT} brackets in one another", place, "write it flatter")
            test = self._within()
            self._depth -= 1
            return test
        self._number += 1
        if self._number > TESTS_LIMIT:
            raise self._wrong(f"more than {TESTS_LIMIT} tests", place, "save parts of it as segments; or use in (…)")
        return self._test()

    def _within(self) -> Test:
        if self._taken("not"):
            return Not(self._one())
        opened = self._take()
        test = self._any()
        if not self._taken(")"):
            if self._here.kind == "end":
                raise self._wrong("a ( is never closed", opened.place, "add )")
            raise self._stray()
        return test

    def _test(self) -> Test:
        token = self._here
        if token.kind == "segment":
            self._take()
            if not token.text[1:]:
                raise self._wrong("the name of a segment is missing behind @", token.place, "write @NAME")
            return Segment(token.text[1:], token.place)
        if self._taken("has", "tag"):
            return self._tagged()
        if self._taken("has"):
            return Has(self._field())
        if self._taken("was", "not", "sent"):
            return Not(self._sent())
        if self._taken("was", "sent") or self._taken("sent"):
            return self._sent()
        return self._about(self._field())

    def _tagged(self) -> Test:
        if self._here.kind not in ("word", "quoted") or self._here.keyword in WORDS:
            raise self._expected("the name of a tag", 'a tag that is such a word goes into quotes: has tag "and"')
        return Tagged(self._value())

    def _sent(self) -> Test:
        if not self._taken("mailing"):
            raise self._expected("the word mailing", "write sent mailing 12")
        token = self._here
        if token.kind != "word" or not re.fullmatch("[0-9]{1,18}", token.text):
            raise self._expected("the number of a mailing", "write sent mailing 12; `broadcaster mailings` lists them")
        self._take()
        return Sent(int(token.text), token.place)

    def _field(self) -> Field:
        token = self._here
        if token.kind == "quoted":
            raise self._wrong("a field is written without quotes", token.place, f"write a test, {_FIRST}")
        name = token.text.removeprefix("subscriber.")
        if token.kind != "word" or (name == token.text and name.lower() in WORDS) or not name:
            raise self._expected("a test", f"write one, {_FIRST}")
        self._take()
        return Field(name, name != token.text and name.lower() in _OURS, token.place)

    def _about(self, of: Field) -> Test:
        """What follows a field."""
        if (sign := _SIGNS.get(self._here.keyword)) is not None:
            self._take()
            return Compare(of, sign, self._value())
        for word in ("before", "after", "on"):
            if self._taken(word):
                return Compare(of, word, self._value())
        same, negated = self._taken("is"), self._taken("not")
        if self._taken("in"):
            test: Test = Among(of, self._values())
        elif self._taken("like"):
            test = self._like(of)
        elif same:
            return Compare(of, "!=" if negated else "=", self._value())
        else:
            signs = "= != < <= > >= is, in, like, before, after or on"
            raise self._expected("a comparison", f"write {of} and one of {signs}, then a value; or has {of}")
        return Not(test) if negated else test

    def _value(self) -> Value:
        token = self._here
        if token.kind == "quoted":
            self._take()
            return Value(_ESCAPED.sub(r"\1", token.text[1:-1]), token.place)
        if token.kind == "segment":
            raise self._wrong("a value does not begin with @", token.place, 'put it in quotes: "@…"')
        if token.kind != "word" or token.keyword in WORDS:
            raise self._expected("a value", 'a value that is such a word goes into quotes; one that is empty is ""')
        self._take()
        return Value(token.text, token.place)

    def _values(self) -> tuple[Value, ...]:
        if not self._taken("("):
            raise self._expected("a (", "write in (Basra, Erbil)")
        values = [self._value()]
        while self._taken(","):
            values.append(self._value())
        if not self._taken(")"):
            raise self._expected("a comma or )", 'write in (Basra, "New York")')
        return tuple(values)

    def _like(self, of: Field) -> Like:
        token = self._here
        if token.kind != "quoted":
            return Like(of, self._value().text, token.place)
        self._take()

        def kept(found: re.Match[str]) -> str:
            return found[0] if found[1] in "%_\\" else found[1]

        return Like(of, _ESCAPED.sub(kept, token.text[1:-1]), token.place)


def _never(sign: str) -> bool:
    """What no value in the roster holds, or what no database takes."""
    return sign not in "\t\n\r" and unicodedata.category(sign) in ("Cc", "Cs")
