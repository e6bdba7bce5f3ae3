"""Which people to try a merge template with, so that every branch is taken in every combination.

A condition is decided by a few values: those it names, their neighbours among numbers, any other, and none.
All combinations of these are tried as long as they are few; beyond that, every pair of fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from broadcaster.reads import tree

if TYPE_CHECKING:
    from jinja2 import nodes

# combinations of one part that are tried; one costs about a millisecond
MOST: Final = 256
# of one field that decides alone: each value opens a branch of its own
MOST_ALONE: Final = 1_000
# a value that no condition names
OTHER: Final = "Xxxxxxxxxxxx"

Values = Mapping[str, str]  # field → value; who lacks a field has none


@dataclass(frozen=True, slots=True)
class Choices:
    """The fields that a template reads, and the values that decide its conditions ("" for none), by field."""

    deciding: Mapping[str, tuple[str, ...]]
    plain: tuple[str, ...]  # those that no condition looks at

    @property
    def number(self) -> int:
        """How many combinations there are."""
        number = 1
        for values in self.deciding.values():
            number *= len(values)
        return number

    @property
    def whole(self) -> bool:
        """Whether all combinations are tried."""
        return self.number <= (MOST_ALONE if len(self.deciding) == 1 else MOST)

    def tried(self, longest: Values) -> Iterator[Values]:
        """People to try: each combination with the other fields empty, and with the longest value each has."""
        full = {name: longest.get(name, OTHER) for name in self.plain}
        for row in self._rows():
            chosen = {name: value for name, value in row.items() if value}
            yield chosen
            if full:
                yield {**full, **chosen}

    def _rows(self) -> Iterator[Values]:
        names = list(self.deciding)
        if self.whole:
            for values in itertools.product(*self.deciding.values()):
                yield dict(zip(names, values, strict=True))
            return
        seen: set[tuple[str, ...]] = set()
        for row in itertools.islice(self._pairs(names), MOST * 4):
            key = tuple(row.values())
            if key not in seen and len(seen) < MOST:
                seen.add(key)
                yield row

    def _pairs(self, names: Sequence[str]) -> Iterator[dict[str, str]]:
        """Each value once first, then each pair of values with the rest empty."""
        empty = dict.fromkeys(names, "")
        for turn in range(max(map(len, self.deciding.values()))):
            yield {name: values[turn % len(values)] for name, values in self.deciding.items()}
        yield {name: self.deciding[name][-1] for name in names}
        for one, other in itertools.combinations(names, 2):
            for a, b in itertools.product(self.deciding[one], self.deciding[other]):
                yield {**empty, one: a, other: b}


def choices(texts: Iterable[str], longest: Values | None = None) -> Choices:
    """What decides the conditions of a part's texts. `longest` is the longest real value of each field."""
    reader = _Reader()
    for text in texts:
        reader.read(tree(text))
    deciding = {}
    for name in sorted(reader.named):
        other = (longest or {}).get(name, OTHER)
        deciding[name] = tuple(dict.fromkeys(["", *sorted(reader.named[name]), other]))
    return Choices(deciding, tuple(sorted(reader.fields - deciding.keys())))


class _Reader:
    """Collects from trees which fields are read, and which texts and numbers conditions compare them with."""

    def __init__(self) -> None:
        self.fields: set[str] = set()
        self.named: dict[str, set[str]] = {}

    def read(self, whole: nodes.Template) -> None:
        from jinja2 import nodes as n

        names = _aliases(whole)
        self.fields |= _fields(whole, {})
        tests: list[nodes.Node] = [node.test for node in whole.find_all(n.If)]
        tests += [node.test for node in whole.find_all(n.CondExpr)]
        for loop in whole.find_all(n.For):
            tests += [loop.iter, *([loop.test] if loop.test is not None else [])]
        looked_at = set().union(*(_fields(test, names) for test in tests)) if tests else set()
        # what is set may be a condition: {% set near = subscriber.city == "Basra" %}{% if near %}
        tests += [node.node for node in whole.find_all(n.Assign) if _fields(node.node, names) & looked_at]
        for test in tests:
            constants = set(_constants(test))
            for name in _fields(test, names) & looked_at:
                self.named.setdefault(name, set()).update(constants)


def _aliases(whole: nodes.Template) -> Mapping[str, frozenset[str]]:
    """Names set or looped from fields, and the fields they come from."""
    from jinja2 import nodes as n

    bound: list[tuple[nodes.Node, nodes.Node]] = [(node.target, node.node) for node in whole.find_all(n.Assign)]
    bound += [(node.target, node.iter) for node in whole.find_all(n.For)]
    names: dict[str, frozenset[str]] = {}
    while True:
        before = dict(names)
        for target, value in bound:
            for name in [target, *target.find_all(n.Name)]:
                if isinstance(name, n.Name):
                    names[name.name] = names.get(name.name, frozenset()) | _fields(value, names)
        if names == before:
            return names


def _fields(node: nodes.Node, names: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The fields of the subscriber below a node, through the names that stand for them."""
    from jinja2 import nodes as n

    found: set[str] = set()
    for each in [node, *node.find_all((n.Getattr, n.Getitem, n.Name))]:
        if isinstance(each, n.Name):
            found |= names.get(each.name, frozenset())
        elif isinstance(each, (n.Getattr, n.Getitem)) and isinstance(each.node, n.Name):
            name: Any = each.attr if isinstance(each, n.Getattr) else getattr(each.arg, "value", None)
            if each.node.name == "subscriber" and isinstance(name, str):
                found.add(name)
    return frozenset(found)


def _constants(node: nodes.Node) -> Iterator[str]:
    """The texts below a node, and each number with its neighbours."""
    from jinja2 import nodes as n

    for each in [node, *node.find_all(n.Const)]:
        if not isinstance(each, n.Const) or isinstance(each.value, bool):
            continue
        if isinstance(each.value, str):
            if each.value:
                yield each.value
        elif isinstance(each.value, int):
            yield from (str(each.value + step) for step in (-1, 0, 1))
        elif isinstance(each.value, float):
            yield from (str(each.value + step) for step in (-0.5, 0, 0.5))


def filtered(texts: Iterable[str]) -> frozenset[tuple[str, str]]:
    """(field, filter) for each filter that a field goes through."""
    from jinja2 import nodes as n

    found: set[tuple[str, str]] = set()
    for text in texts:
        names = _aliases(tree(text))
        for node in tree(text).find_all(n.Filter):
            base: Any = node.node
            while isinstance(base, n.Filter):
                base = base.node
            if isinstance(base, (n.Getattr, n.Getitem, n.Name)):
                found |= {(name, node.name) for name in _fields(base, names)}
    return frozenset(found)
