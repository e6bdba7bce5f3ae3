"""What a merge template reads of a person, and which of it leaves a gap when the person lacks it.

A field that is printed with a `default`, or below a condition that looked at it first, leaves none. The
template's tree is walked; of the template nothing is rendered, of a condition what it says of who lacks a field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import nodes

_Names = frozenset[str]
_NONE: Final[_Names] = frozenset()


@dataclass(frozen=True, slots=True)
class Reads:
    """Names below `links`, `list` and `subscriber`.

    `holes`: fields that leave a gap in the text where a person lacks them.
    """

    links: frozenset[str]
    lists: frozenset[str]
    fields: frozenset[str]
    holes: frozenset[str]


# what one rule asks of a text, others ask too
@lru_cache(maxsize=16)
def tree(text: str) -> nodes.Template:
    """A merge template's text as a tree, which nobody changes."""
    from jinja2 import Environment

    return Environment(autoescape=True).parse(text)


@lru_cache(maxsize=64)
def reads(text: str) -> Reads:
    """What a merge template's text reads."""
    from jinja2 import nodes

    whole = tree(text)
    named: set[tuple[str, str]] = set()
    for node in whole.find_all((nodes.Getattr, nodes.Getitem)):
        base = getattr(node, "node", None)
        if isinstance(base, nodes.Name) and (name := _name(node)) is not None:
            named.add((base.name, name))
    return Reads(
        links=frozenset(name for base, name in named if base == "links"),
        lists=frozenset(name for base, name in named if base == "list"),
        fields=frozenset(name for base, name in named if base == "subscriber"),
        holes=_Walk().holes(whole, _NONE),
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


@dataclass(frozen=True, slots=True)
class _Set:
    """A name that was set: the fields it says nothing without, and those that are there when it is true, or is not."""

    holes: _Names = _NONE
    then: _Names = _NONE
    other: _Names = _NONE


class _Walk:
    """Goes through a tree in the order of a copy, with the names that are set on the way."""

    def __init__(self) -> None:
        self._set: dict[str, _Set] = {}

    def holes(self, node: nodes.Node, sure: _Names) -> _Names:
        """Fields below a node that may say nothing, where those in `sure` are known to be there."""
        from jinja2 import nodes

        match node:
            case nodes.If():
                return self._branches(node, sure)
            case nodes.For():
                return self._loop(node, sure)
            case nodes.CondExpr():
                then, other = self._implied(node.test)
                said = self.holes(node.expr1, sure | then)
                return said | (self.holes(node.expr2, sure | other) if node.expr2 is not None else _NONE)
            case nodes.Or():
                # what is on the right is said where there is nothing on the left
                return self.holes(node.right, sure)
            case nodes.Filter(name="default" | "d"):
                return self._all(node.args, sure)
            case nodes.Compare() | nodes.Test() | nodes.Not():
                return _NONE
            case nodes.Assign():
                self._bind(node.target, _Set(self.holes(node.node, sure), *self._implied(node.node)))
                return _NONE
            case nodes.Name():
                return self._set.get(node.name, _Set()).holes - sure
        if (name := _field(node)) is not None:
            return frozenset([name]) - sure
        return self._all(node.iter_child_nodes(), sure)

    def _all(self, children: Iterable[nodes.Node], sure: _Names) -> _Names:
        return _NONE.union(*[self.holes(child, sure) for child in children])

    def _bind(self, target: nodes.Node, held: _Set) -> None:
        from jinja2 import nodes

        self._set |= {
            each.name: held for each in [target, *target.find_all(nodes.Name)] if isinstance(each, nodes.Name)
        }

    def _branches(self, node: nodes.If, sure: _Names) -> _Names:
        before, after = self._set, list[dict[str, _Set]]()
        found = _NONE
        for test, body in [*((each.test, each.body) for each in (node, *node.elif_)), (None, node.else_)]:
            self._set = dict(before)
            then, other = self._implied(test) if test is not None else (_NONE, _NONE)
            found |= self._all(body, sure | then)
            after.append(self._set)
            sure |= other
        self._set = _either(after)
        return found

    def _loop(self, node: nodes.For, sure: _Names) -> _Names:
        """A turn is taken where there is something: what it is about is there, and so are its parts."""
        from jinja2 import nodes

        listed = isinstance(node.iter, nodes.List | nodes.Tuple)
        before = dict(self._set)
        self._bind(node.target, _Set(self.holes(node.iter, sure)) if listed else _Set())
        found = self._all(node.body, sure | self._implied(node.iter)[0])
        self._set = before
        return found | self._all(node.else_, sure)

    def _implied(self, test: nodes.Node) -> tuple[_Names, _Names]:
        """The fields that are there when a condition holds, and when it does not."""
        from jinja2 import nodes

        match test:
            case nodes.Not():
                holds, fails = self._implied(test.node)
                return fails, holds
            case nodes.And() | nodes.Or():
                (a, b), (c, d) = self._implied(test.left), self._implied(test.right)
                return (a | c, b & d) if isinstance(test, nodes.And) else (a & c, b | d)
            case nodes.Name():
                held = self._set.get(test.name, _Set())
                return held.then, held.other
            case nodes.Compare() if len(test.ops) == 1:
                sides = [_field(side) for side in (test.expr, test.ops[0].expr)]
                compared = frozenset(name for name in sides if name is not None)
                # what is lacking is unequal to everything, and false in every other comparison
                if compared:
                    return (_NONE, compared) if test.ops[0].op in ("ne", "notin") else (compared, _NONE)
        if (name := _field(test)) is not None:
            return frozenset([name]), _NONE
        return _tried(test)


def _either(ways: Sequence[dict[str, _Set]]) -> dict[str, _Set]:
    """What is known of each name where one of some ways was gone."""
    known: dict[str, _Set] = {}
    for name in dict.fromkeys(name for way in ways for name in way):
        held = [way[name] for way in ways if name in way]
        sure = len(held) == len(ways)
        known[name] = _Set(
            _NONE.union(*(each.holes for each in held)),
            held[0].then.intersection(*(each.then for each in held)),
            held[0].other.intersection(*(each.other for each in held)) if sure else _NONE,
        )
    return known


def _tried(test: nodes.Node) -> tuple[_Names, _Names]:
    """What a condition about one field says of who lacks it decides who has it."""
    from jinja2 import nodes

    from broadcaster.sandbox import Fields, for_merging

    there = [test, *test.find_all((nodes.Getattr, nodes.Getitem, nodes.Name))]
    fields = frozenset(name for each in there if (name := _field(each)) is not None)
    others = {each.name for each in there if isinstance(each, nodes.Name)} - {"subscriber"}
    if len(fields) != 1 or others:
        return _NONE, _NONE
    sandbox = for_merging()
    try:
        # compiling changes the nodes it is given
        said = nodes.CondExpr(_copied(test), nodes.Const("1"), nodes.Const(""))
        whole = nodes.Template([nodes.Output([said], lineno=1)], lineno=1)
        whole.set_environment(sandbox)
        code = sandbox.compile(whole)
        holds = sandbox.template_class.from_code(sandbox, code, {}).render({"subscriber": Fields()})
    except Exception:  # a filter that is none, or one that cannot do without: nothing follows from that
        return _NONE, _NONE
    return (_NONE, fields) if holds else (fields, _NONE)


def _copied(node: nodes.Node) -> Any:
    """A node with copies of those below it; not of its environment, which is as large as Jinja."""
    twin = copy(node)
    for name, value in node.iter_fields():
        setattr(twin, name, _copied_value(value))
    return twin


def _copied_value(value: object) -> object:
    from jinja2 import nodes

    if isinstance(value, list):
        return [_copied_value(each) for each in value]
    return _copied(value) if isinstance(value, nodes.Node) else value
