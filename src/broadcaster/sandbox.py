"""The Jinja we allow: plain data, no reach into Python, bounded work.

Two of them: one lays a statement out, and fails on any name it does not know; one fills in a
recipient, where a field that a person lacks is simply empty. Jinja's own sandbox keeps a template from
our objects, but not from `'A' * 2**31` or a million nested turns: those are counted here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import FunctionLoader, StrictUndefined, TemplateRuntimeError, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from broadcaster import phrasing
from broadcaster.errors import StatementError
from broadcaster.merge import PLACES, ROOTS
from broadcaster.slips import near

# Turns of loops and calls in one rendering. A statement has some hundreds.
LAY_OUT_BUDGET: Final = 100_000
MERGE_BUDGET: Final = 10_000
# No text that a template builds is longer: Gmail clips a mail at 102 KB.
TEXT_LIMIT: Final = 2_000_000
_NUMBER_LIMIT: Final = 10_000

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
_COSTLY: Final = frozenset(
    ["batch", "center", "indent", "join", "replace", "round", "slice", "sum", "truncate", "wordwrap"]
)


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
    """Every loop is counted and every `~` measured: the rest of what runs or grows passes through us anyway."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "turns")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "short")


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


def _is_missing(value: object) -> bool:
    return isinstance(value, Undefined)


def _keeping_missing(work: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, but for a value that a person lacks, which stays as it is."""
    # some of Jinja's own are handed its context first
    at = 1 if hasattr(work, "jinja_pass_arg") else 0

    @functools.wraps(work)
    def kept(*args: Any, **options: Any) -> Any:
        return args[at] if isinstance(args[at], Missing) else work(*args, **options)

    return kept


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja environment that counts what it spends. Call `refill` before each rendering."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, language: str, *, undefined: type[Undefined], filters: Iterable[str], budget: int) -> None:
        super().__init__(undefined=undefined, keep_trailing_newline=True)
        self._budget = budget
        self._spent = 0
        self.filters = {name: self._guarded(name, FILTERS[name]) for name in filters}
        for name, work in phrasing.filters(language, _is_missing, _MISSING).items():
            self.filters[name] = self._measured(work)
        self.filters["turns"] = self._turns
        self.filters["short"] = self._short
        self.globals.clear()
        self.concat = self._joined  # type: ignore[method-assign]

    def range(self, *bounds: int) -> range:
        numbers = range(*bounds)
        self.charge(len(numbers))
        return numbers

    def refill(self) -> None:
        self._spent = 0

    def charge(self, turns: int = 1) -> None:
        self._spent += turns
        if self._spent > self._budget:
            raise TemplateRuntimeError(f"loops or calls more than {self._budget} times")

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounds().visit(super()._parse(source, name, filename))
        return tree

    def _turns(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.charge()
            yield item

    def _joined(self, parts: Iterable[str]) -> str:
        return str(self._short("".join(parts)))

    def _short(self, value: Any) -> Any:
        if isinstance(value, (str, list)) and len(value) > TEXT_LIMIT:
            raise TemplateRuntimeError(f"builds a text of more than {TEXT_LIMIT} characters")
        return value

    def _measured(self, work: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: self._short(work(*args, **options))

    def _guarded(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        if name in _KEEP_MISSING:
            work = _keeping_missing(work)
        if name not in _COSTLY:
            return work

        @functools.wraps(work)
        def bounded(*args: Any, **options: Any) -> Any:
            for value in (*args, *options.values()):
                if isinstance(value, int) and abs(value) > _NUMBER_LIMIT:
                    raise TemplateRuntimeError(f"{name} with {value}: at most {_NUMBER_LIMIT}")
            return self._short(work(*args, **options))

        return bounded

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
        return super().is_safe_attribute(obj, attr, value)

    def call(self, context: Context, obj: Any, /, *args: Any, **options: Any) -> Any:
        self.charge()
        return self._short(super().call(context, obj, *args, **options))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator == "+":
            return self._short(left + right)
        if not numbers and not isinstance(left, Missing) and not isinstance(right, Missing):
            raise SecurityError(f"{operator} is for numbers")
        if operator == "**" and (abs(left) > _NUMBER_LIMIT or abs(right) > 16):
            raise SecurityError("** with such numbers")
        return super().call_binop(context, operator, left, right)


def for_merging(language: str = "en") -> Sandbox:
    """What fills in a recipient: the filters of the places, and those that make sense over a text.

    Sums, numbers and dates are written as `language` does.
    """
    sandbox = Sandbox(language, undefined=Missing, filters=_MERGE_FILTERS, budget=MERGE_BUDGET)
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
    sandbox = Sandbox(language, undefined=Unknown, filters=_LAY_OUT_FILTERS, budget=LAY_OUT_BUDGET)
    sandbox.loader = FunctionLoader(load)
    sandbox.autoescape = _is_html if pages else True
    sandbox.trim_blocks = sandbox.lstrip_blocks = pages

    # with a context, so that the compiler does not put there what is written out in a tag, unseen
    @pass_context
    def printed(_context: Context, value: Any) -> Any:
        value = _printable(value)
        return finalize(value) if finalize else value

    sandbox.finalize = printed
    sandbox.globals.update(names, range=sandbox.range, namespace=Namespace, cycler=Cycler, joiner=Joiner, dict=dict)
    return sandbox


def _printable(value: Any) -> Any:
    """The value. Raises StatementError for what would stand in the mail as Python writes it: a list, a function."""
    if value is None or isinstance(value, (str, int, float, Undefined)) or hasattr(value, "__html__"):
        return value
    if isinstance(value, Mapping):
        names = ", ".join(map(str, value))[:200]
        raise StatementError("prints a whole table", hint=f"name one of its values: {names}")
    if isinstance(value, (list, tuple, set, range)):
        raise StatementError("prints a list", hint='join its parts: … | join(", ")')
    raise StatementError("prints a function", hint="call it with what it works on, in brackets")


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")
