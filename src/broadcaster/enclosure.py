"""What one person alone gets with the mail: the names of files, filled in with that person's fields.

The names are merge templates like the text, each value in them kept inside its folder. A name that
comes out empty is no file, so `{% if subscriber.number %}…{% endif %}` decides who gets one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broadcaster.errors import StatementError
from broadcaster.subscriber import Subscriber


@dataclass(frozen=True, slots=True)
class Enclosed:
    """One file for one person of a mailing, frozen: `place` orders several, `digest` is the SHA-256 of `body`."""

    subscriber: int
    place: int
    name: str
    digest: str
    body: bytes


class Names:
    """The names of one part's enclosures, compiled. Not for several threads at once."""

    def __init__(self, sources: Sequence[str], file: str) -> None:
        from jinja2 import TemplateSyntaxError

        from broadcaster.sandbox import for_merging

        self._file = file
        self._sandbox = for_merging()
        try:
            self._templates = [self._sandbox.from_string(source) for source in sources]
        except TemplateSyntaxError as error:
            raise StatementError(f"is no name of a file: {error.message}", where=file) from None

    def of(self, person: Subscriber) -> tuple[str, ...]:
        """The files of a person, beside the statement. Raises StatementError where there is no making them."""
        from broadcaster.sandbox import Fields

        names = {"subscriber": Fields(person.values())}
        found: list[str] = []
        for template in self._templates:
            self._sandbox.refill()
            try:
                found.append(template.render(names).strip())
            except Exception as error:  # whatever a template comes to with this person's data is about them alone
                raise StatementError(
                    f"the name of an attachment cannot be made: {error}"[:300], where=self._file
                ) from error
        for name in found:
            if ".." in name.split("/"):
                # fields that are dots, one beside the other
                raise StatementError(f"{name[:80]!r} leads into another folder", where=self._file)
        return tuple(dict.fromkeys(name for name in found if name))


def patterns(sources: Sequence[str]) -> Iterator[tuple[str, re.Pattern[str]]]:
    """For each source the folder its files lie in, and what their names have in common: to find those nobody gets."""
    from broadcaster.page import FILLED, emptied

    for source in sources:
        fixed = emptied(source).split(FILLED)
        folder = fixed[0].rpartition("/")[0]
        yield folder, re.compile(".+".join(map(re.escape, fixed)), re.DOTALL)
