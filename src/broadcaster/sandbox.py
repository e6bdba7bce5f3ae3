"""The Jinja we allow: plain data, no reach into Python, bounded work.

Two of them: one lays a statement out, and fails on any name it does not know; one fills in a
recipient, where a field that a person lacks is simply empty. Jinja's own sandbox keeps a template from
our objects, but not from `'A' * 2**31` or a million nested turns: those are reckoned here, before they are done.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import FunctionLoader, StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from broadcaster import bulk, phrasing
from broadcaster.errors import StatementError
from broadcaster.merge import PLACES, ROOTS
from broadcaster.slips import near

# our own, by names that no tag can hold: what a body spends each time it runs, and what weighs a value
_SPENT: Final = "(spent)"
_SHORT: Final = "(short)"

# What a template may do with a text. Left out are methods that multiply it (center, zfill, format, translate).
TEXT_METHODS: Final = frozenset(
    "capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit islower isnumeric"  # noqa: SIM905
    " isspace istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition"
    " rsplit rstrip split splitlines startswith strip swapcase title upper".split()
)
LOOP: Final = frozenset(
    "changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0".split()  # noqa: SIM905
)
# Filters over a recipient. `safe` is not among them: nothing that came from outside is HTML. Nor is anything random.
_MERGE_FILTERS: Final = tuple(
    "abs capitalize count d default first float int join last length list lower max min reject replace reverse round"  # noqa: SIM905
    " select sort string striptags sum trim truncate unique upper wordcount".split()
)
# what these make of nothing is nothing, so that a `default` behind them is still told
_KEEP_MISSING: Final = frozenset(
    ["capitalize", "lower", "replace", "reverse", "string", "striptags", "trim", "truncate", "upper"]
)
_LAY_OUT_FILTERS: Final = _MERGE_FILTERS + tuple(
    "attr batch center dictsort e escape filesizeformat forceescape groupby indent items map rejectattr safe selectattr"  # noqa: SIM905
    " slice urlencode wordwrap".split()
)
# these give one of the values they were handed, and look into none
_CHOOSING: Final = frozenset(["d", "default", "first", "last"])
# tests that read all of a value; the others ask what kind of thing it is
_READING: Final = tuple(
    "!= < <= == > >= divisibleby eq equalto ge greaterthan gt in le lessthan lower lt ne upper".split()  # noqa: SIM905
)
# a text with so few letters is worked on without reckoning
_SMALL: Final = 32
# texts that are put together before they are weighed
_FEW: Final = 8
# parts of a template that run in one turn
_PARTS: Final = 8
# turns that a macro, a block or a layout takes to begin
_BEGIN: Final = 4
# of a power: base and exponent
_BASE: Final = 10_000
_EXPONENT: Final = 16


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be spent: turns of some ten microseconds in one rendering, letters in any text."""

    turns: int
    letters: int


# a statement takes some hundreds of turns
_LAY_OUT: Final = Allowance(turns=50_000, letters=bulk.MOST)
_MERGING: Final = Allowance(turns=10_000, letters=100_000)


class Missing(Undefined):
    """A field that this person lacks: false, unequal to everything, empty wherever it is put."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def _itself(self, *_args: object, **_options: object) -> Missing:
        return self

    def _no(self, _other: object) -> bool:
        return False

    def _other(self, other: object) -> object:
        return other

    def _no_number(self) -> Any:
        # what `int` and `float` expect of a text that is none: they use their default
        raise TypeError("no value")

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return id(type(self))

    __getitem__ = __call__ = __round__ = __abs__ = _itself  # type: ignore[assignment]
    __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _itself  # type: ignore[assignment]
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __neg__ = __pos__ = _itself  # type: ignore[assignment]
    __add__ = __radd__ = _other  # type: ignore[assignment]
    __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]
    __int__ = __float__ = __complex__ = __index__ = _no_number


class Unknown(StrictUndefined):
    """A name that nobody gave a meaning. In a condition, an attribute or a macro's parameter may lack, and is false."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        """The words, and the hint below them."""
        if self._undefined_hint:
            return self._undefined_hint
        if isinstance(self._undefined_obj, Record):
            hint = near(str(self._undefined_name), self._undefined_obj)
            return f"no such name: {self._undefined_name}\n{hint}"
        return f"no such name: {self._undefined_name}"

    def __bool__(self) -> bool:  # type: ignore[override]
        if not self._undefined_hint and not isinstance(self._undefined_obj, Record):
            self._fail_with_undefined_error()
        return False


class Record(dict[str, Any]):
    """Named values. `record.items` is the value of that name and never a method: people name fields as they like."""

    __slots__ = ()


class Told(Record):
    """Named values, some of which are worked out when they are first read: they may read the others."""

    __slots__ = ("_later", "_work")

    def __init__(self, known: Mapping[str, Any], later: Mapping[str, str], work: Callable[[str, str], str]) -> None:
        super().__init__(known)
        self._later = {name: text for name, text in later.items() if name not in known}
        self._work = work

    def __missing__(self, name: str) -> Any:
        if name not in self._later:
            raise KeyError(name)
        value = self[name] = self._work(name, self._later[name])
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*super().__iter__(), *self._later]))

    def read_all(self) -> None:
        """Work out whatever nobody has read yet."""
        for name in self._later:
            self[name]


class Fields(Record):
    """Values of which any may be missing."""

    __slots__ = ()

    def __missing__(self, name: str) -> Missing:
        return _MISSING


_MISSING = Missing()


class _Bounds(NodeTransformer):
    """What runs again is charged each time, and what may grow is weighed; the rest passes through us anyway."""

    def __init__(self, *, lay_out: bool) -> None:
        """A template that lays out can be included, many times, and what it prints is weighed on its way."""
        self._lay_out = lay_out
        self._loops = 0
        self._parts = 0  # that were visited so far

    def visit(self, node: nodes.Node, *args: Any, **options: Any) -> Any:
        self._parts += 1
        return super().visit(node, *args, **options)

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        self._parts += len(node.data) * _PARTS // bulk.TURN
        return node

    def visit_Template(self, node: nodes.Template) -> nodes.Node:  # noqa: N802
        return self._run(node) if self._lay_out else self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self._loops += 1
        turns = self._turns(node)
        self._loops -= 1
        if node.test is not None:
            # what it refuses does not come to the body
            node.test = _spending(turns, node.test)
        node.body.insert(0, _payment(turns, node))
        return node

    def _run(self, node: nodes.Block | nodes.CallBlock | nodes.Macro | nodes.Template) -> nodes.Node:
        # to begin takes some too: it is looked up, handed its names, and what it says is put together
        node.body.insert(0, _payment(_BEGIN + self._turns(node), node))
        return node

    visit_Block = visit_CallBlock = visit_Macro = _run  # noqa: N815

    def _turns(self, body: nodes.Node) -> int:
        """Visit a body: what it spends each time, for its parts and the letters between them."""
        before = self._parts
        self.generic_visit(body)
        return 1 + (self._parts - before) // _PARTS

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802
        """A field, once, is no longer than a cell; what is printed in a loop, or was set before, may be any length."""
        self.generic_visit(node)
        if not self._lay_out:
            for each in node.nodes:
                # each value went through the filter of its place
                if isinstance(each, nodes.Filter) and each.node and (self._loops or _reads_set(each.node)):
                    each.node = _weighed(each.node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        """A few at a time: of a thousand long texts, not all are put together first."""
        self.generic_visit(node)
        parts: list[nodes.Expr] = node.nodes
        while len(parts) > 1:
            few = [parts[at : at + _FEW] for at in range(0, len(parts), _FEW)]
            parts = [_weighed(nodes.Concat(each, lineno=node.lineno)) for each in few]
        return parts[0]

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        sides: list[nodes.Compare | nodes.Operand] = [node, *node.ops]
        for side in sides:
            side.expr = side.expr if isinstance(side.expr, nodes.Const) else _weighed(side.expr)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _weighed(node) if isinstance(node.arg, nodes.Slice) else node

    def _held(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Node:
        """A list may hold one value twice, and that one too. One of constants is as long as it was typed."""
        self.generic_visit(node)
        bound = isinstance(node, nodes.Tuple) and node.ctx != "load"
        return node if bound or not any(node.find_all((nodes.Name, nodes.Filter))) else _weighed(node)

    visit_List = visit_Tuple = visit_Dict = _held  # noqa: N815


def _reads_set(value: nodes.Expr) -> bool:
    """Whether a value is made of anything but fields."""
    return any(name.name not in ROOTS for name in (value, *value.find_all(nodes.Name)) if isinstance(name, nodes.Name))


def _weighed(node: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, _SHORT, [], [], None, None, lineno=node.lineno)


def _spending(turns: int, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, _SPENT, [nodes.Const(turns)], [], None, None, lineno=node.lineno)


def _payment(turns: int, body: nodes.Node) -> nodes.ExprStmt:
    return nodes.ExprStmt(_spending(turns, nodes.Const(None)), lineno=body.lineno)


@dataclass(frozen=True, slots=True)
class Workings:
    """How a template is compiled: what becomes of its texts now, of its values later (by place), of a field's name."""

    constant: Callable[[str], str]
    values: Mapping[str, Callable[[object], str]]
    name: Callable[[str, str], str]


class _Finish(NodeTransformer):
    """Texts are replaced, each as long as no value interrupts it; a field is a variable, looked up once a copy."""

    def __init__(self, workings: Workings) -> None:
        self._workings = workings

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802
        texts: list[str] = []
        children: list[nodes.Expr] = []
        for child in [*node.nodes, None]:
            if isinstance(child, nodes.TemplateData):
                texts.append(child.data)
            elif isinstance(child, nodes.Const):
                texts.append(str(child.value))
            else:
                if text := "".join(texts):
                    children.append(nodes.TemplateData(self._workings.constant(text), lineno=node.lineno))
                texts.clear()
                if child is not None:
                    children.append(self.visit(child))
        node.nodes = children
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        return self._variable(node, node.attr)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        return self._variable(node, node.arg.value if isinstance(node.arg, nodes.Const) else None)

    def _variable(self, node: nodes.Getattr | nodes.Getitem, field: object) -> nodes.Node:
        if isinstance(node.node, nodes.Name) and node.node.name in ROOTS and isinstance(field, str):
            return nodes.Name(self._workings.name(node.node.name, field), "load", lineno=node.lineno)
        self.generic_visit(node)
        return node


def _own(work: Callable[..., Any]) -> int:
    """Where the value stands among the arguments: some of Jinja's own are handed its context first."""
    return 1 if hasattr(work, "jinja_pass_arg") else 0


def _small(values: Iterable[Any]) -> bool:
    for each in values:  # noqa: SIM110  a generator takes twice as long
        if each.__class__ is not str or len(each) > _SMALL:
            return False
    return True


def _is_missing(value: object) -> bool:
    return isinstance(value, Undefined)


def _keeping_missing(work: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, but for a value that a person lacks, which stays as it is."""
    at = _own(work)

    @functools.wraps(work)
    def kept(*args: Any, **options: Any) -> Any:
        return args[at] if isinstance(args[at], Missing) else work(*args, **options)

    return kept


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment that counts what it spends. Call `refill` before what may spend as much again."""

    intercepted_binops = frozenset(["+", "*", "**", "%", "//"])

    def __init__(
        self, language: str, *, undefined: type[Undefined], filters: Iterable[str], allowance: Allowance
    ) -> None:
        super().__init__(undefined=undefined, keep_trailing_newline=True)
        self._allowance = allowance
        self._spent = 0
        works: dict[str, Callable[..., Any]] = {name: FILTERS[name] for name in filters}
        works |= phrasing.filters(language, _is_missing, _MISSING)
        self.filters = {name: self._guarded(name, work) for name, work in works.items()}
        self.filters[_SPENT] = self._passed
        self.filters[_SHORT] = self.short
        tests: dict[str, Any] = self.tests
        tests.update({name: self._guarded(name, tests[name]) for name in _READING})
        self.globals.clear()
        self.concat = bulk.joined  # type: ignore[method-assign]

    def range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        self._charge(len(numbers))
        return numbers

    def refill(self) -> None:
        self._spent = 0

    def _charge(self, turns: int) -> None:
        # `map` can name any filter, and hand it less than nothing
        spent = self._spent + abs(turns)
        if spent > self._allowance.turns:
            raise StatementError(
                f"takes more than {self._allowance.turns:,} turns of loops, calls and long texts",
                hint="a loop in a loop, or a long text in one, multiplies",
            )
        # what was refused was not done: the compiler asks first, and goes on
        self._spent = spent

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounds(lay_out=self.loader is not None).visit(super()._parse(source, name, filename))
        return tree

    @pass_context
    def _passed(self, _context: Context, value: Any, turns: int) -> Any:
        """The value. With a context, so that the compiler does not spend it once and for all."""
        self._charge(turns)
        return value

    def short(self, value: Any) -> Any:
        """The value, which is no longer than it may be; what yields one after another as a list of them."""
        # most are the few letters of a field
        if (value.__class__ is str and len(value) < bulk.TURN) or value.__class__ is bool:
            return value
        if isinstance(value, Iterator) and not isinstance(value, LoopContext):
            value = self._listed(value)
        self._weigh(value)
        return value

    def _listed(self, values: Iterator[Any]) -> list[Any]:
        kept: list[Any] = []
        left = self._allowance.letters
        for each in values:
            kept.append(each)
            if (left := left - bulk.weight(each)) < 0:
                raise bulk.too_much(self._allowance.letters)
        return kept

    def _weigh(self, value: object) -> None:
        weight = bulk.weight(value)
        self._charge(weight // bulk.TURN)
        if weight > self._allowance.letters:
            raise bulk.too_much(self._allowance.letters)

    def _guarded(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The filter or test, of which is reckoned first what it would take and make."""
        if name in _KEEP_MISSING:
            work = _keeping_missing(work)
        if name in _CHOOSING:
            return work
        own = _own(work)
        dear = bulk.price(name, "") > 0

        # its mark for Jinja's context goes with it
        @functools.wraps(work, assigned=())
        def guarded(*args: Any, **options: Any) -> Any:
            given = args[own:]
            if options or dear or not _small(given):
                self._reckon(name, given, options)
            return self.short(work(*args, **options))

        return guarded

    def _reckon(self, step: str, given: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        """Pay for a step. Raises StatementError for one that would make too much, before it is made."""
        self._weigh((given, options))
        self._charge(bulk.price(step, *given, **options))
        if bulk.growth(step, *given, **options) > self._allowance.letters:
            raise bulk.too_much(self._allowance.letters)

    def program(self, source: str, workings: Workings) -> Callable[[dict[str, Any]], Iterator[str]]:
        """A merge template as a function from names to pieces of text. All are taken before the next are asked for."""
        self.filters.update(workings.values)
        template = self.template_class.from_code(self, self.compile(_Finish(workings).visit(self.parse(source))), {})

        context = Context(self, {}, None, {})

        def run(names: dict[str, Any]) -> Iterator[str]:
            self._spent = 0
            # two new contexts would be a tenth of what a copy costs
            context.parent, context.vars = names, {}
            return template.root_render_func(context)

        return run

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Record):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Record):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        raise SecurityError(f"no .{attribute} here")

    def wrap_str_format(self, value: Any) -> None:
        """Formats are refused like any method that is not in the list."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in TEXT_METHODS
        # (1).to_bytes(n) makes as many as it is asked for; {}.keys().mapping is a table that nobody weighs
        return not isinstance(obj, (int, float, *bulk.VIEWS)) and super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **options: Any) -> Any:
        step, given, of = "", args, getattr(obj, "__self__", None)
        if isinstance(of, bulk.BULKY):
            step = obj.__name__
            # sign.join(parts) is parts | join(sign)
            given = (*args[:1], of, *args[1:]) if step == "join" else (of, *args)
        self._reckon(step, given, options)
        return self.short(super().call(context, obj, *args, **options))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            return self.short(left + right)
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if not numbers and not isinstance(left, Missing) and not isinstance(right, Missing):
            raise SecurityError(f"{operator} is for numbers")
        if operator == "**":
            fit = abs(left) <= _BASE and abs(right) <= _EXPONENT
        else:
            fit = not numbers or bulk.multiplied(left, right)
        value = super().call_binop(context, operator, left, right) if fit else None
        if value is None or isinstance(value, complex):
            raise SecurityError(f"{operator} with such numbers")
        return value


def for_merging(language: str = "en") -> Sandbox:
    """What fills in a recipient: the filters of the places, and those that make sense over a text.

    Sums, numbers and dates are written as `language` does.
    """
    sandbox = Sandbox(language, undefined=Missing, filters=_MERGE_FILTERS, allowance=_MERGING)
    # every value is escaped for its place, so an author's own escaping has nothing to do
    sandbox.filters.update(PLACES, e=str, escape=str)
    return sandbox


def for_lay_out(
    load: Callable[[str], tuple[str, str, Callable[[], bool]] | None],
    names: Mapping[str, Any],
    *,
    pages: bool = False,
    finalize: Callable[[Any], Any] | None = None,
    language: str = "en",
) -> Sandbox:
    """What lays out: all that is known before the recipient is. Of `pages`, those named .html escape their values."""
    sandbox = Sandbox(language, undefined=Unknown, filters=_LAY_OUT_FILTERS, allowance=_LAY_OUT)
    sandbox.loader = FunctionLoader(load)
    sandbox.autoescape = _is_html if pages else True
    sandbox.trim_blocks = sandbox.lstrip_blocks = pages

    # with a context, so that the compiler does not put there what is written out in a tag, unseen
    @pass_context
    def printed(_context: Context, value: Any) -> Any:
        value = sandbox.short(_printable(value))
        return finalize(value) if finalize else value

    sandbox.finalize = printed
    sandbox.globals.update(names, range=sandbox.range, namespace=_Names, cycler=Cycler, joiner=Joiner, dict=dict)
    return sandbox


class _Names(Namespace):
    """A namespace that is written as one word, whatever it holds: others, or itself."""

    def __repr__(self) -> str:
        return "namespace"


def _printable(value: Any) -> Any:
    """The value. Raises StatementError for what would stand in the mail as Python writes it: a list, a function."""
    if value is None or isinstance(value, (str, int, float, Undefined)) or hasattr(value, "__html__"):
        return value
    if isinstance(value, Mapping):
        names = ", ".join(map(str, value))[:200]
        raise StatementError("prints a whole table", hint=f"name one of its values: {names}")
    if isinstance(value, bulk.BULKY):
        raise StatementError("prints a list", hint='join its parts: … | join(", ")')
    raise StatementError("prints a function", hint="call it with what it works on, in brackets")


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")
