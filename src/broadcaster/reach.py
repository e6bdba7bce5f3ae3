"""What a merge template may read: known fields, by their names, through filters and tests that are there.

Whatever would be empty, an error, or Python's way to write something for each person is told now, with its line.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Final

from jinja2 import TemplateSyntaxError, nodes
from jinja2.filters import FILTERS

from broadcaster import phrasing
from broadcaster.errors import StatementError
from broadcaster.merge import PLACES
from broadcaster.reads import tree as parsed
from broadcaster.sandbox import LOOP, TEXT_METHODS, Sandbox
from broadcaster.slips import meant, near, told

_WRITTEN: Final[Mapping[str, str]] = {
    "default": 'write default("friend")',
    "replace": 'write replace("old", "new")',
    "truncate": "write truncate(80)",
    "join": 'write join(", ")',
    "round": "write round(2)",
}
_LISTING: Final = frozenset(["list", "reject", "select", "sort", "split", "unique"])
_PARTING: Final = frozenset(["partition", "rpartition", "rsplit", "split", "splitlines"])


class Reach:
    """What a merge template may read: known fields, by filters and tests that are there."""

    def __init__(self, sandbox: Sandbox, known: frozenset[str]) -> None:
        self._sandbox = sandbox
        self._known = known
        self._passed: set[str] = set()
        self._names = {
            "subscriber": known | {"email", "name", "language", "timezone"},
            "links": frozenset(["leave", "web_copy"]),
            "list": frozenset(["title"]),
        }

    def check(self, source: str, where: str) -> None:
        """Raises StatementError, with the nearest name as a hint."""
        if source in self._passed:
            return
        try:
            tree = parsed(source)
        except TemplateSyntaxError as error:
            words, hint = told(error.message or "")
            raise StatementError(words, where=where, hint=hint) from None
        named = set()
        parts: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
        for node in parts:
            root = _root(node)
            if root in self._names:
                named.add(id(node.node))
                self._field(root, node, where)
            elif isinstance(node, nodes.Getattr) and node.attr not in (LOOP if root == "loop" else TEXT_METHODS):
                raise StatementError(f"there is no .{node.attr} here", where=where, hint="a field is text")
        for name in tree.find_all(nodes.Name):
            if name.name in self._names and name.ctx == "load" and id(name) not in named:
                fields = ", ".join(f"{name.name}.{each}" for each in sorted(self._names[name.name])[:6])
                raise StatementError(f"{name.name} alone says nothing", where=where, hint=f"there are {fields}")
        self._filters(tree, where)
        self._shapes(tree, where)
        for comparison in tree.find_all(nodes.Compare):
            self._comparison(comparison, where)
        self._passed.add(source)

    def _shapes(self, tree: nodes.Template, where: str) -> None:
        """What Jinja takes, and what would be Python's way to write it in a mail, or an error for each person."""
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Getattr) and _root(call.node) in self._names:
                name = f"{_root(call.node)}.{call.node.attr}"
                raise StatementError(f"{name} is no function", where=where, hint=f"write {name} without brackets")
        for loop in tree.find_all(nodes.For):
            if isinstance(loop.iter, (nodes.Getattr, nodes.Getitem)) and _root(loop.iter) in self._names:
                raise StatementError(
                    "loops over the letters of a text", where=where, hint='split it into its parts: … | split(",")'
                )
        for output in tree.find_all(nodes.Output):
            for each in output.nodes:
                if isinstance(each, (nodes.Tuple, nodes.List, nodes.Dict)):
                    raise StatementError("prints a list", where=where, hint="print one value in each {{ … }}")
                if _lists(each):
                    raise StatementError("prints a list", where=where, hint='join its parts: … | join(", ")')

    def _filters(self, tree: nodes.Template, where: str) -> None:
        for node in (*tree.find_all(nodes.Filter), *tree.find_all(nodes.Test)):
            kind = "filter" if isinstance(node, nodes.Filter) else "test"
            there: Iterable[str] = self._sandbox.filters if kind == "filter" else self._sandbox.tests
            # what escapes for a place is put there by us, once
            if node.name not in there or node.name in PLACES:
                raise StatementError(
                    f"no {kind} {node.name!r} over a recipient", where=where, hint=meant(kind, node.name)
                )
            if isinstance(node, nodes.Filter):
                self._called(node, where)
                self._counted(node, where)

    def _counted(self, node: nodes.Filter, where: str) -> None:
        """What is for numbers would be an error for each person who has a text."""
        if node.name in ("abs", "round") and isinstance(node.node, (nodes.Getattr, nodes.Getitem)):
            raise StatementError(f"{node.name} of a text", where=where, hint=f"make it a number: float | {node.name}")
        if node.name == "sum" and not isinstance(node.node, nodes.List):
            raise StatementError(
                "sum of what is text", where=where, hint="add numbers: subscriber.a | float + subscriber.b | float"
            )

    def _called(self, node: nodes.Filter, where: str) -> None:
        """A filter that is called with what it cannot take would fail for every person: say so now."""
        values = [each.value if isinstance(each, nodes.Const) else None for each in node.args]
        options = {
            str(pair.key): pair.value.value if isinstance(pair.value, nodes.Const) else None
            for pair in node.find_all(nodes.Keyword)
            if pair in node.kwargs
        }
        if node.name in phrasing.NAMES:
            if wrong := phrasing.complaint(node.name, values, options):
                raise StatementError(wrong[0], where=where, hint=wrong[1])
            return
        work = FILTERS.get(node.name)
        if work is None or node.dyn_args or node.dyn_kwargs:
            return
        # one that has a twin for asyncio is marked, whether or not its own first argument is Jinja's
        passed = [None] if hasattr(inspect.unwrap(work), "jinja_pass_arg") else []
        try:
            inspect.signature(work).bind(*passed, None, *values, **options)
        except TypeError as error:
            hint = _WRITTEN.get(node.name, "it is written without brackets")
            raise StatementError(f"the filter {node.name}: {error}", where=where, hint=hint) from None

    def _field(self, root: str, node: nodes.Getattr | nodes.Getitem, where: str) -> None:
        if isinstance(node, nodes.Getattr):
            name = node.attr
        elif isinstance(node.arg, nodes.Const):
            name = str(node.arg.value)
        else:
            # which fields are read is settled before the first copy is made
            raise StatementError(
                f"reads a field of {root} whose name is only known for each person",
                where=where,
                hint='write the name itself: {% if subscriber.topic == "water" %}{{ subscriber.water }}{% endif %}',
            )
        if name not in self._names[root]:
            who = "no subscriber has" if root == "subscriber" else "there is no"
            hint = near(name, self._names[root], root)
            if root == "subscriber" and not self._known:
                hint = "fields come with people: `broadcaster subscribers import FILE --list NAME` first"
            raise StatementError(f"{who} {root}.{name}", where=where, hint=hint)

    def _comparison(self, node: nodes.Compare, where: str) -> None:
        """A field is text: compared with a number it would be unequal always, or an error for each person."""
        sides = [node.expr, *(each.expr for each in node.ops)]
        numbers = [each for each in sides if isinstance(each, nodes.Const) and type(each.value) in (int, float)]
        fields = [each for each in sides if isinstance(each, (nodes.Getattr, nodes.Getitem))]
        for field in fields if numbers else ():
            if isinstance(field.node, nodes.Name) and field.node.name in self._names:
                name = field.attr if isinstance(field, nodes.Getattr) else "field"
                raise StatementError(
                    f"compares the text {field.node.name}.{name} with a number",
                    where=where,
                    hint=f"write {field.node.name}.{name} | int, or put the number in quotes",
                )


def _root(node: nodes.Getattr | nodes.Getitem) -> str:
    return node.node.name if isinstance(node.node, nodes.Name) else ""


def _lists(node: nodes.Node) -> bool:
    """Whether a value is a list for everybody: what a filter makes of it, or a method of a text."""
    if isinstance(node, nodes.Filter):
        return node.name in _LISTING
    return isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _PARTING
