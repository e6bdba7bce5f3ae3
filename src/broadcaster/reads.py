"""What a merge template reads of a person, and which of it leaves a gap when the person lacks it.

A field that is printed with a `default`, or below a condition that looked at it first, leaves none. The
template's tree is walked; nothing is rendered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import nodes


@dataclass(frozen=True, slots=True)
class Reads:
    """Names below `links`, `list` and `subscriber`.

    `holes`: fields that leave a gap in the text where a person lacks them.
    """

    links: frozenset[str]
    lists: frozenset[str]
    fields: frozenset[str]
    holes: frozenset[str]


def reads(text: str) -> Reads:
    """What a merge template's text reads."""
    from jinja2 import Environment, nodes

    tree = Environment(autoescape=True).parse(text)
    named: list[tuple[str, str]] = []
    for kind in (nodes.Getattr, nodes.Getitem):
        for node in tree.find_all(kind):
            base = getattr(node, "node", None)
            if isinstance(base, nodes.Name) and (name := _name(node)) is not None:
                named.append((base.name, name))
    return Reads(
        links=frozenset(name for base, name in named if base == "links"),
        lists=frozenset(name for base, name in named if base == "list"),
        fields=frozenset(name for base, name in named if base == "subscriber"),
        holes=frozenset(_holes(tree, frozenset())),
    )


def _name(node: nodes.Node) -> str | None:
    """NAME of `x.NAME` or `x["NAME"]`."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value
    return None


def _field(node: nodes.Node) -> str | None:
    """NAME of `subscriber.NAME`."""
    from jinja2 import nodes

    base = getattr(node, "node", None)
    return _name(node) if isinstance(base, nodes.Name) and base.name == "subscriber" else None


def _holes(node: nodes.Node, sure: frozenset[str]) -> Iterator[str]:
    """Fields below a node that may print nothing, where those in `sure` are known to be there."""
    from jinja2 import nodes

    if isinstance(node, nodes.If | nodes.CondExpr):
        yield from _branches(node, sure)
    elif isinstance(node, nodes.Filter) and node.name in ("default", "d"):
        for argument in node.args:
            yield from _holes(argument, sure)
    elif isinstance(node, nodes.Compare | nodes.Test):
        return
    elif (name := _field(node)) is not None:
        if name not in sure:
            yield name
    else:
        for child in node.iter_child_nodes():
            yield from _holes(child, sure)


def _branches(node: nodes.If | nodes.CondExpr, sure: frozenset[str]) -> Iterator[str]:
    from jinja2 import nodes

    then, other = _implied(node.test)
    if isinstance(node, nodes.CondExpr):
        yield from _holes(node.expr1, sure | then)
        if node.expr2 is not None:
            yield from _holes(node.expr2, sure | other)
        return
    for child in node.body:
        yield from _holes(child, sure | then)
    for elif_ in node.elif_:
        more, less = _implied(elif_.test)
        for child in elif_.body:
            yield from _holes(child, sure | other | more)
        other |= less
    for child in node.else_:
        yield from _holes(child, sure | other)


_Names = frozenset[str]


def _implied(test: nodes.Node) -> tuple[_Names, _Names]:
    """The fields that are there when a condition holds, and when it does not.

    What is lacking is false in every comparison.
    """
    from jinja2 import nodes

    none: _Names = frozenset()
    if (name := _field(test)) is not None:
        return frozenset([name]), none
    if isinstance(test, nodes.Not):
        holds, fails = _implied(test.node)
        return fails, holds
    if isinstance(test, nodes.And | nodes.Or):
        (a, b), (c, d) = _implied(test.left), _implied(test.right)
        return (a | c, b & d) if isinstance(test, nodes.And) else (a & c, b | d)
    if isinstance(test, nodes.Compare) and len(test.ops) == 1:
        compared = frozenset(name for side in (test.expr, test.ops[0].expr) if (name := _field(side)) is not None)
        return (none, compared) if test.ops[0].op in ("ne", "notin") else (compared, none)
    if isinstance(test, nodes.Test) and test.name == "defined" and (name := _field(test.node)) is not None:
        return frozenset([name]), none
    return none, none
