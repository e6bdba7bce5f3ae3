"""Which of a template's tags read the recipient. Those are put aside under sentinels; the rest can be rendered once.

The work is done on tokens, before Jinja parses: each such tag becomes a call that yields its sentinel, and
hands over the constants that the tag reads besides, so that what is put aside needs nothing but the
recipient. Names that are set or looped from the recipient count as the recipient, in their scope.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from markupsafe import Markup

from broadcaster.errors import StatementError
from broadcaster.merge import ROOTS
from broadcaster.sentinel import Kind, Sentinels
from broadcaster.slips import told

if TYPE_CHECKING:
    from jinja2 import Environment

STAND_IN: Final = "_stand_in"  # the function that templates call instead
_WORDS = frozenset(["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"])
# Blocks by their first word. What is set within a scope is not seen outside.
_SCOPES = frozenset(["file", "for", "block", "macro", "call", "with"])
_OTHER_BLOCKS = frozenset(["block", "call", "filter", "autoescape", "macro", "with"])
# What these hold goes through a function, which would find a sentinel where it expects the value.
_CLOSED = frozenset(["filter", "set"])
# each costs a few milliseconds wherever it goes, and what is beyond is shown by no mail program
_MOST: Final = 3_000
_GETTEXT = ("_", "gettext", "ngettext")
# nobody types these (Unicode §23.7): they are marks of our own beside sentinels
_NO_CHARACTER = re.compile("[\ufdd0-\ufdef]")


@dataclass(frozen=True, slots=True)
class Token:
    """A token of Jinja's lexer, with the line it stands in."""

    line: int
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class _Unit:
    """A tag with what is in it, or a text (without inner tokens)."""

    kind: str  # "variable", "block", "text"
    begin: Token
    inner: tuple[Token, ...] = ()
    end: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A tag that was put aside: its source in pieces, where a None is a constant still to come."""

    kind: Kind
    where: str
    word: str  # "if", "for" …, "" for a value
    pieces: tuple[str | None, ...]
    simple: bool  # a filter can follow without brackets
    opening: Deferred | None = None  # of a middle or an end

    def source(self, constants: Sequence[Any]) -> str:
        values = iter(constants)
        text = "".join(_literal(next(values), self.where) if piece is None else piece for piece in self.pieces)
        return text.strip()


@dataclass(slots=True)
class _Scope:
    """An open block. `names` are those bound in it: None for a constant, else its name in the merge template."""

    word: str
    line: int
    opening: Deferred | None = None
    names: dict[str, str | None] = field(default_factory=dict)


class Deferral:
    """All that one lay-out puts aside. Give `stand_in` to the environment, and every template to `rewrite` first."""

    def __init__(self, sentinels: Sentinels, check: Callable[[str, str], None]) -> None:
        """`check(source, where)` raises StatementError for what cannot be in a merge template."""
        self._sentinels = sentinels
        self._check = check
        self._tags: list[Deferred] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._made: list[tuple[Deferred, str]] = []
        self._taken = set(ROOTS)

    def rewrite(self, source: str, file: str, environment: Environment, *, prose: bool = False) -> str:
        """A template in which only constants are left. In `prose` (Markdown) a constant tag takes its line with it.

        Raises StatementError with file and line for a tag that cannot be put aside.
        """
        from jinja2 import TemplateSyntaxError

        if found := _NO_CHARACTER.search(source):
            line = source.count("\n", 0, found.start()) + 1
            raise StatementError("holds what is no character", where=f"{file}:{line}", hint="type the line again")
        try:
            tokens = [Token(*each) for each in environment.lexer.tokeniter(source, file)]
        except TemplateSyntaxError as error:
            words, hint = told(error.message or "")
            raise StatementError(words, where=f"{file}:{error.lineno}", hint=hint) from None
        return _Reader(self, file, _units(tokens, file), prose=prose).rewritten()

    def stand_in(self, tag: int, *constants: Any) -> Markup:
        """Called by a template where it comes to a tag that was put aside: its sentinel."""
        deferred = self._tags[tag]
        source = deferred.source(constants)
        number = self._numbers.setdefault((tag, source), len(self._made))
        if number == len(self._made):
            self._made.append((deferred, source))
        return Markup(self._sentinels.make(deferred.kind, number))  # noqa: S704  letters and digits

    def read(self, sentinel: str) -> tuple[Deferred, str]:
        """The tag that a sentinel stands for, and its source with the constants in it."""
        return self._made[self._sentinels.read(sentinel)[1]]

    def add(self, deferred: Deferred) -> int:
        if deferred.kind is not Kind.END and deferred.word != "else":
            trial = _TRIALS[deferred.kind, deferred.word].format(
                "".join("none" if piece is None else piece for piece in deferred.pieces)
            )
            self._check(trial, deferred.where)
        self._tags.append(deferred)
        if len(self._tags) > _MOST:
            raise StatementError(
                f"has more than {_MOST:,} values and conditions",
                where=deferred.where,
                hint="Gmail shows 102 KB of a mail: write less, or several statements",
            )
        return len(self._tags) - 1

    def alias(self, name: str) -> str:
        """A name of its own for each scope: in the merge template all templates of a lay-out are one."""
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        free = next(each for each in itertools.chain([name], numbered) if each not in self._taken)
        self._taken.add(free)
        return free


_TRIALS = {
    (Kind.VALUE, ""): "{{{{ ({}) }}}}",
    (Kind.IF, "if"): "{{% if {} %}}{{% endif %}}",
    (Kind.MIDDLE, "elif"): "{{% if none %}}{{% elif {} %}}{{% endif %}}",
    (Kind.FOR, "for"): "{{% for {} %}}{{% endfor %}}",
    (Kind.SET, "set"): "{{% set {} %}}",
}


def _units(tokens: Sequence[Token], file: str) -> list[_Unit]:
    """Raises StatementError for a tag that does not end, at the line where it begins."""
    units: list[_Unit] = []
    stream = iter(tokens)
    for token in stream:
        if token.type not in ("variable_begin", "block_begin"):
            units.append(_Unit("text", token))
            continue
        kind = token.type.removesuffix("_begin")
        inner: list[Token] = []
        for each in stream:
            if each.type == f"{kind}_end":
                units.append(_Unit(kind, token, tuple(inner), each.text))
                break
            inner.append(each)
            # {{ or {% of the next tag: no value holds these
            if each.type == "operator" and "".join(part.text for part in inner[-2:]) in ("{{", "{%") and len(inner) > 2:
                raise _unclosed(token, file)
        else:
            raise _unclosed(token, file)
    return units


def _unclosed(begin: Token, file: str) -> StatementError:
    begins, ends = ("{{", "}}") if begin.type == "variable_begin" else ("{%", "%}")
    return StatementError(f"a {begins} is never closed", where=f"{file}:{begin.line}", hint=f"add {ends}")


class _Reader:
    """Walks through one template, with the blocks that are open."""

    def __init__(self, deferral: Deferral, file: str, units: list[_Unit], *, prose: bool) -> None:
        self._deferral = deferral
        self._file = file
        self._units = units
        self._prose = prose
        self._scopes = [_Scope("file", 1)]
        self._extends = False

    def rewritten(self) -> str:
        out: list[str] = []
        lines = 0
        cut = False  # the line end after a constant tag that stood alone
        for number, unit in enumerate(self._units):
            if unit.kind == "text":
                text = unit.begin.text
                piece = text if not cut else text.partition("\n")[2]
                cut = False
            else:
                call = self._value(unit) if unit.kind == "variable" else self._block(unit, number)
                cut = self._prose and call is None and unit.kind == "block" and self._alone(number)
                if cut and out:
                    out[-1] = out[-1].rstrip(" \t")
                # Jinja counts lines too: what was stripped or put aside must not move the rest
                pad = "\n" * (unit.begin.line - 1 - lines)
                inner = "".join(each.text for each in unit.inner)
                piece = f"{unit.begin.text}{pad}{inner}{unit.end}" if call is None else f"{{{{{pad} {call} }}}}"
            out.append(piece)
            lines += piece.count("\n")
        if len(self._scopes) > 1:
            scope = self._scopes[-1]
            self._fail(f"the {{% {scope.word} %}} is never closed", scope.line, f"add {{% end{scope.word} %}}")
        return "".join(out)

    def _alone(self, number: int) -> bool:
        """Whether nothing else stands on the line of a tag."""
        before = self._units[number - 1] if number else None
        after = self._units[number + 1] if number + 1 < len(self._units) else None
        if any(unit is not None and unit.kind != "text" for unit in (before, after)):
            return False
        start = before is None or not before.begin.text.rpartition("\n")[2].strip()
        end = after is None or not after.begin.text.partition("\n")[0].strip()
        return start and end and (before is None or "\n" in before.begin.text or number == 1)

    def _fail(self, message: str, line: int, hint: str | None = None) -> NoReturn:
        raise StatementError(message, where=self._where(line), hint=hint)

    def _where(self, line: int) -> str:
        return f"{self._file}:{line}"

    # values

    def _value(self, unit: _Unit) -> str | None:
        if not self._reads(unit.inner):
            return None
        return self._sentence(unit) or self._put(Kind.VALUE, "", unit.inner, unit.begin.line)

    def _sentence(self, unit: _Unit) -> str:
        """`_("… %(name)s …", name=subscriber.name)` with its gaps put aside: the words around them are known now."""
        tokens = [each for each in unit.inner if each.type != "whitespace"]
        texts = [each.text for each in tokens]
        if texts[0] not in _GETTEXT or texts[1:2] != ["("] or _closing(tokens, 1) != len(tokens) - 1:
            return ""
        arguments: list[str] = []
        for argument in _arguments(tokens[2:-1]):
            if not self._reads(argument):
                arguments.append(" ".join(each.text for each in argument))
            elif len(argument) > 2 and argument[1].text == "=":
                arguments.append(f"{argument[0].text}={self._put(Kind.VALUE, '', argument[2:], unit.begin.line)}")
            else:
                return ""
        return f"{texts[0]}({', '.join(arguments)})"

    def _put(
        self, kind: Kind, word: str, tokens: Sequence[Token], line: int, opening: Deferred | None = None, lead: str = ""
    ) -> str:
        """Put a tag aside, and give the call that stands for it. `lead` is source that comes before the tokens."""
        for scope in self._scopes:
            if scope.word in _CLOSED:
                self._fail(
                    f"reads the recipient inside {{% {scope.word} %}}, which works before anybody is known",
                    line,
                    f"write it without {{% {scope.word} %}}",
                )
        pieces, constants = self._parted(tokens, line)
        deferred = Deferred(kind, self._where(line), word, (lead, *pieces), _is_simple(tokens), opening)
        number = self._deferral.add(deferred)
        if kind in (Kind.IF, Kind.FOR):
            self._scopes[-1].opening = deferred
        return f"{STAND_IN}({', '.join([str(number), *constants])})"

    def _parted(self, tokens: Sequence[Token], line: int) -> tuple[list[str | None], list[str]]:
        """The source in pieces, with a None for each constant, and the constants' own sources."""
        pieces: list[str | None] = []
        constants: list[str] = []
        names = set(_names(tokens))
        at = 0
        while at < len(tokens):
            token = tokens[at]
            end = at + 1
            if at not in names:
                # a string keeps its line ends; between tokens they mean nothing
                pieces.append(" " if token.type == "whitespace" else token.text)
            elif (name := self._resolved(token.text)) is not None:
                pieces.append(name)
            else:
                end = self._chain(tokens, at)
                constants.append("".join(each.text for each in tokens[at:end]))
                pieces.append(None)
            at = end
        return pieces, constants

    def _chain(self, tokens: Sequence[Token], at: int) -> int:
        """Where `sender.name`, `words["a"]` or `_("Yes")` ends, as far as it reads no recipient."""
        end = at + 1
        while end < len(tokens):
            after = [number for number in range(end, len(tokens)) if tokens[number].type != "whitespace"][:2]
            if not after:
                break
            sign = tokens[after[0]].text
            if sign == "." and len(after) == 2:
                end = after[1] + 1
            elif sign in ("(", "["):
                close = _closing(tokens, after[0])
                if self._reads(tokens[after[0] : close]):
                    break
                end = close + 1
            else:
                break
        return end

    def _reads(self, tokens: Sequence[Token]) -> bool:
        return any(self._resolved(tokens[number].text) is not None for number in _names(tokens))

    def _resolved(self, name: str) -> str | None:
        """What a name of the recipient is called in the merge template, None for a constant."""
        for scope in reversed(self._scopes):
            if name in scope.names:
                return scope.names[name]
        return name if name in ROOTS else None

    # blocks

    def _block(self, unit: _Unit, number: int) -> str | None:
        line = unit.begin.line
        words = [each for each in unit.inner if each.type != "whitespace"]
        word = words[0].text if words else ""
        rest = unit.inner[unit.inner.index(words[0]) + 1 :] if words else ()
        if word in ("elif", "else"):
            return self._middle(word, rest, line)
        if word.startswith("end"):
            return self._end(word, line)
        if word == "if":
            deferred = self._reads(rest) or any(map(self._reads, self._branches(number)))
            self._scopes.append(_Scope("if", line))
            return self._put(Kind.IF, word, rest, line) if deferred else None
        if word == "for":
            return self._for(rest, line)
        if word == "set":
            return self._set(rest, line)
        if self._reads(rest):
            self._fail(
                f"{{% {word} %}} reads the recipient, and works before anybody is known",
                line,
                "write {{ … }}, {% if %}, {% for %} or {% set %} over the recipient instead",
            )
        self._constant(word, rest, line)
        return None

    def _constant(self, word: str, rest: Sequence[Token], line: int) -> None:
        """A block that only Jinja has to do with: note what it binds."""
        bound = dict.fromkeys((each.text for each in rest if each.type == "name"), None)
        if word == "extends":
            self._extends = True
        if word in ("import", "from"):
            self._binder().names.update(bound)
        if word == "macro" and bound:
            self._binder().names[next(iter(bound))] = None
        if word in _OTHER_BLOCKS:
            self._scopes.append(_Scope(word, line, names=bound if word in ("macro", "call", "with") else {}))

    def _branches(self, number: int) -> Iterator[Sequence[Token]]:
        """The conditions of the {% elif %} that belong to an {% if %}."""
        depth = 0
        for unit in self._units[number + 1 :]:
            words = [each for each in unit.inner if each.type != "whitespace"]
            word = words[0].text if unit.kind == "block" and words else ""
            depth += (word == "if") - (word == "endif")
            if depth < 0:
                return
            if depth == 0 and word == "elif":
                yield words[1:]

    def _middle(self, word: str, rest: Sequence[Token], line: int) -> str | None:
        scope = self._scopes[-1]
        if scope.word not in ("if", "for"):
            self._fail(f"{{% {word} %}} belongs to nothing here", line, self._still_open(scope))
        if scope.opening is not None:
            return self._put(Kind.MIDDLE, word, rest, line, scope.opening)
        if self._reads(rest):
            self._fail("{% elif %} reads the recipient, and its {% if %} does not", line, "write a second {% if %}")
        return None

    def _end(self, word: str, line: int) -> str | None:
        scope = self._scopes[-1]
        if word != f"end{scope.word}":
            self._fail(f"{{% {word} %}} closes nothing here", line, self._still_open(scope))
        put = self._put(Kind.END, word, (), line, scope.opening) if scope.opening else None
        self._scopes.pop()
        return put

    def _still_open(self, scope: _Scope) -> str:
        if scope.word == "file":
            return "no {% if %} or {% for %} is open: take it out, or begin one"
        return f"the {{% {scope.word} %}} in line {scope.line} is open: {{% end{scope.word} %}} closes it"

    def _for(self, rest: Sequence[Token], line: int) -> str | None:
        at = next((number for number, each in enumerate(rest) if each.text == "in"), len(rest))
        targets = [each.text for each in rest[:at] if each.type == "name"]
        deferred = self._reads(rest[at:])
        scope = _Scope("for", line)
        self._scopes.append(scope)
        if not deferred:
            scope.names = dict.fromkeys([*targets, "loop"])
            return None
        if any(each.text == "recursive" for each in rest[at:]):
            self._fail("a loop over the recipient cannot be recursive", line, "loop without 'recursive'")
        scope.names = {**{name: self._deferral.alias(name) for name in targets}, "loop": "loop"}
        return self._put(Kind.FOR, "for", rest, line)

    def _set(self, rest: Sequence[Token], line: int) -> str | None:
        at = _assignment(rest)
        targets = [each.text for each in rest[: at or len(rest)] if each.type == "name"]
        binder = self._binder()
        inside = self._inside_deferred()
        if at is None:
            if inside or self._reads(rest):
                self._fail("{% set %} … {% endset %} over the recipient", line, "write {% set name = … %}")
            binder.names.update(dict.fromkeys(targets[:1]))
            self._scopes.append(_Scope("set", line))
            return None
        if not (inside or self._reads(rest[at:]) or any(binder.names.get(name) for name in targets)):
            binder.names.update(dict.fromkeys(targets))
            return None
        if any(each.text == "." for each in rest[:at]):
            self._fail("an attribute cannot be set from the recipient", line, "set a name: {% set name = … %}")
        if binder.word == "file" and self._extends:
            self._fail("{% set %} outside any block of a layout that extends another", line, "move it into the block")
        if binder.word == "for" and binder.opening is None and inside:
            self._fail(
                "{% set %} under a condition over the recipient, inside a loop that is not", line, "use {% if %}"
            )
        return self._put_set(targets, rest[at:], line)

    def _put_set(self, targets: Sequence[str], rest: Sequence[Token], line: int) -> str:
        """The expression is read with the old meaning of the names, then they get the new one."""
        binder = self._binder()
        aliases = {name: binder.names.get(name) or self._deferral.alias(name) for name in targets}
        put = self._put(Kind.SET, "set", rest, line, lead=", ".join(aliases.values()) + " ")
        binder.names.update(aliases)
        return put

    def _binder(self) -> _Scope:
        """The scope in which a name is set."""
        return next(scope for scope in reversed(self._scopes) if scope.word in _SCOPES)

    def _inside_deferred(self) -> bool:
        """Whether what is set here depends on a branch or turn that is put aside."""
        for scope in reversed(self._scopes):
            if scope.opening is not None:
                return True
            if scope.word in _SCOPES:
                return False
        return False


def _names(tokens: Sequence[Token]) -> Iterator[int]:
    """Which tokens are names of variables: not attributes, filters, tests, keyword arguments."""
    spoken = [number for number, each in enumerate(tokens) if each.type != "whitespace"]
    for place, number in enumerate(spoken):
        if tokens[number].type != "name" or tokens[number].text in _WORDS:
            continue
        before = [tokens[each].text for each in spoken[max(place - 2, 0) : place]]
        after = tokens[spoken[place + 1]].text if place + 1 < len(spoken) else ""
        test = before[-1:] == ["is"] or before == ["is", "not"]
        if not test and before[-1:] not in (["."], ["|"]) and not (after == "=" and before):
            yield number


def _closing(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that closes the one at `at`."""
    depth = 0
    for number in range(at, len(tokens)):
        depth += (
            (tokens[number].text in "([{") - (tokens[number].text in ")]}") if tokens[number].type == "operator" else 0
        )
        if depth == 0:
            return number
    return len(tokens)


def _arguments(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """What stands between the commas of a call."""
    depth = start = 0
    for number, each in enumerate(tokens):
        if each.type == "operator":
            depth += (each.text in "([{") - (each.text in ")]}")
            if depth == 0 and each.text == ",":
                yield tokens[start:number]
                start = number + 1
    yield tokens[start:]


def _assignment(tokens: Sequence[Token]) -> int | None:
    """The index of the `=` of a {% set %}; None in one with an {% endset %}."""
    return next((number for number, each in enumerate(tokens) if (each.type, each.text) == ("operator", "=")), None)


def _is_simple(tokens: Sequence[Token]) -> bool:
    """Whether a filter written behind the expression is applied to all of it."""
    depth = 0
    for each in tokens:
        if each.type == "operator" and each.text in "([{":
            depth += 1
        elif each.type == "operator" and each.text in ")]}":
            depth -= 1
        elif depth == 0 and (each.text in _WORDS or (each.type == "operator" and each.text not in ".|")):
            return False
    return True


def _literal(value: Any, where: str) -> str:
    """A constant as Jinja writes it."""
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_literal(each, where) for each in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(k, where)}: {_literal(v, where)}" for k, v in value.items()) + "}"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value).lower() if not isinstance(value, (int, float)) or isinstance(value, bool) else repr(value)
    if isinstance(value, str):
        return repr(str(value))
    if hasattr(value, "isoformat"):
        return repr(str(value))
    if callable(value) and not hasattr(value, "_fail_with_undefined_error"):
        raise StatementError(
            "hands a recipient to a macro or function, which works before anybody is known",
            where=where,
            hint="write it out without the macro, or use a filter",
        )
    return repr(str(value))  # an unknown name raises here
