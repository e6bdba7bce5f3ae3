"""The merge template: a statement laid out in one language, with only the recipient left to fill in.

It is readable Jinja, and it is what "frozen" means: `render` shows it, the digest covers it, the
database keeps it. Each value passes through a filter that escapes it for its place, written where
everybody can see it, so plain Jinja renders the same text that message.py compiles.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class MergeTemplate:
    """A part after lay-out. Reads only `subscriber`, `links` and `list`.

    `subject`, `html` and `text` are Jinja; so is `preheader`, which the HTML holds already. `file` is the statement's,
    for errors. `remarks` are notes for `check`, no part of what is frozen.
    """

    file: str
    language: str
    direction: str  # "ltr" or "rtl"
    subject: str
    preheader: str
    html: str
    text: str
    attachments: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> str:
        """One text for the same template, always: it is hashed."""
        values = asdict(self)
        del values["remarks"]
        return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> MergeTemplate:
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "attachments": tuple(values["attachments"])})
