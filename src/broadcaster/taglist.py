"""Lists of tags in DNS texts, as DKIM keys and DMARC policies are written: `v=DKIM1; k=rsa; p=…` (RFC 6376 §3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# more than this is no record of ours or of anybody's
LONGEST: Final = 8_192


def tags(text: str) -> Mapping[str, str] | None:
    """The tags by name in the order that they are written, None for what is no such list. Names are case-sensitive.

    A name that comes twice makes a list none (RFC 6376 §3.2).
    """
    found: dict[str, str] = {}
    for part in text[:LONGEST].split(";"):
        name, equals, value = part.partition("=")
        if not part.strip():
            continue
        name = name.strip()
        if not equals or not name.isascii() or not name.replace("_", "a").isalnum() or name in found:
            return None
        found[name] = value.strip()
    return found or None
