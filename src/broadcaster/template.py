"""Statement and layouts → merge template: all that is the same for everyone happens here, once per language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from broadcaster.merge import MergeTemplate

if TYPE_CHECKING:
    from broadcaster.statement import Part

__all__ = ["MergeTemplate", "lay_out"]


def lay_out(
    part: Part,
    *,
    language: str,
    layouts: Mapping[str, str],
    settings: Mapping[str, Mapping[str, str]],
    known: frozenset[str],
) -> MergeTemplate:
    """Lay a part out. `layouts` is path below templates/ → text, the words of locale/LANG.po among them.

    `settings` has "sender" (name, address, postal_address, each in this language) and "theme". `known` is every custom
    field that any subscriber has. Raises StatementError with file, line and a way out.
    """
    raise NotImplementedError
