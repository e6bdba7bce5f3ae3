"""What `check` finds of the files that go with a statement: attachments, images, and what is one person's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from broadcaster.cli.house import House
from broadcaster.errors import BadData, StatementError

if TYPE_CHECKING:
    from broadcaster.merge import MergeTemplate
    from broadcaster.statement import Part, Statement

Fault = tuple[str, BadData]
"""The name of a rule, and what is wrong."""

# people who are read at once, and how many of those without a file are named
LOT = 500
NAMED = 3
# octets of images that go with every copy
IMAGES = 1_000_000


def attached(house: House, statement: Statement, merges: Sequence[MergeTemplate]) -> tuple[dict[str, int], list[Fault]]:
    """The size of each attachment by name, and what is wrong with attachments and images that cannot go.

    What a mailbox refuses is asked as `prepare` asks it: of all together, each as often as it travels.
    """
    from broadcaster.press import too_large

    sizes: dict[str, int] = {}
    faults: list[Fault] = []
    for merge in merges:
        part = statement.parts[merge.language]
        for name in merge.attachments:
            try:
                sizes[name] = house.workspace.asset_size(f"{merge.folder}/{name}")
            except BadData as error:
                faults.append(("attachment", _at(error, part.where("attachments"))))
        images: dict[str, int] = {}
        for path in merge.images:
            try:
                digest, octets = _image(house, path)
            except BadData as error:
                faults.append(("image", _at(error, _named_in(part, path))))
            else:
                # the same bytes travel once, and with a base none do
                images |= {} if house.config.links.images else {digest: octets}
        whole = sum(images.values()) + sum(sizes.get(name, 0) for name in merge.attachments)
        try:
            too_large(whole, part.where("attachments") if merge.attachments else part.file)
        except StatementError as error:
            faults.append(("image" if images else "attachment", error))
        else:
            faults += _heavy_images(sum(images.values()), part.file)
    return sizes, faults


def _heavy_images(octets: int, file: str) -> Iterator[Fault]:
    if octets > IMAGES:
        message = f"the images have {octets / 1e6:.1f} MB for each copy"
        yield "heavy", StatementError(message, where=file, hint="save them smaller, or set links.images")


def _image(house: House, path: str) -> tuple[str, int]:
    """What an image is known by, and its octets."""
    from broadcaster import pictures

    body = house.workspace.asset(path)
    pictures.look(body, path)
    return sha256(body).hexdigest(), len(body)


def _at(error: BadData, where: str) -> StatementError:
    """The same complaint, at the line that names the file."""
    return StatementError(f"{error.where}: {error.message}", where=where, hint=error.hint)


def _named_in(part: Part, path: str) -> str:
    name = path.rpartition("/")[2]
    if path.startswith("templates/"):
        return f"templates/{part.layout}.html"
    line = next((n for n, text in enumerate(part.body.split("\n"), part.first_line) if name in text), None)
    return f"{part.file}:{line}" if line else part.file


def enclosed(house: House, statement: Statement, merges: Sequence[MergeTemplate]) -> list[Fault]:
    """Whether each person's own files are there, and are nobody else's: asked of everybody who was gathered."""
    from broadcaster.enclosure import Names
    from broadcaster.proof import ATTACHED

    concerned = {merge.language: merge for merge in merges if merge.enclosures}
    if not concerned:
        return []
    names = {tag: Names(merge.enclosures, merge.file) for tag, merge in concerned.items()}
    carried = {tag: _carried(house, merge) for tag, merge in concerned.items()}
    heavy: dict[str, list[tuple[int, str]]] = {}
    used: Counter[str] = Counter()
    missing: dict[tuple[str, str], list[str]] = {}
    faults: dict[str, Fault] = {}
    for tag, ids in _readers(house, statement):
        if tag not in concerned:
            continue
        merge = concerned[tag]
        for person in house.roster.people(ids).values():
            try:
                paths = [f"{merge.folder}/{name}" for name in names[tag].of(person)]
            except BadData as error:
                faults.setdefault(str(error), ("attachment", error))
                continue
            used.update(paths)
            whole = carried[tag]
            for path in paths:
                try:
                    whole += house.workspace.asset_size(path)
                except BadData as error:
                    missing.setdefault((tag, error.message), []).append(
                        f"{path.rpartition('/')[2]} for {person.address}"
                    )
            if paths and whole > ATTACHED:
                heavy.setdefault(tag, []).append((whole, person.address))
    return [
        *faults.values(),
        *_missing(statement, missing),
        *_heavy(statement, heavy, carried),
        *_shared(statement, concerned, used),
        *_unused(house, statement, concerned, used),
    ]


def _carried(house: House, merge: MergeTemplate) -> int:
    """The octets of what every copy of a part carries. What is not there is told elsewhere."""
    paths = [f"{merge.folder}/{name}" for name in merge.attachments]
    paths += merge.images if not house.config.links.images else ()
    octets = 0
    for path in paths:
        with suppress(BadData):
            octets += house.workspace.asset_size(path)
    return octets


def _heavy(statement: Statement, heavy: dict[str, list[tuple[int, str]]], carried: dict[str, int]) -> Iterator[Fault]:
    """A person's own files count together with what everybody gets."""
    from broadcaster.press import too_large
    from broadcaster.proof import ATTACHED

    for tag, whose in heavy.items():
        most, address = max(whose)
        where = statement.parts[tag].where("attachments")
        told = f"attachments, with files of one's own, have up to {most / 1e6:.0f} MB (for {address})"
        try:
            too_large(most, where)
        except StatementError as error:
            yield "attachment", StatementError(f"{told}: more than mailboxes take", where=where, hint=error.hint)
        else:
            # else it is told of what everybody gets
            if carried[tag] <= ATTACHED:
                people = f"{len(whose):,} {'person' if len(whose) == 1 else 'people'}"
                yield "heavy", StatementError(f"{told}; {people} would get more than many mailboxes take", where=where)


def _readers(house: House, statement: Statement) -> Iterator[tuple[str, list[int]]]:
    """Those who were gathered, some hundred at a time, by the language they would get."""
    from broadcaster import gathering, language

    default = house.config.languages.default
    waiting: dict[str, list[int]] = {}
    chosen: dict[str, str] = {}
    for subscriber, tag in gathering.readers(house.db):
        if (given := chosen.get(tag)) is None:
            given = chosen[tag] = language.choose(tag or default, tuple(statement.parts), default)
        lot = waiting.setdefault(given, [])
        lot.append(subscriber)
        if len(lot) == LOT:
            yield given, waiting.pop(given)
    yield from waiting.items()


def _missing(statement: Statement, missing: dict[tuple[str, str], list[str]]) -> Iterator[Fault]:
    for (tag, why), whose in missing.items():
        named = ", ".join(whose[:NAMED]) + (f" and {len(whose) - NAMED:,} more" if len(whose) > NAMED else "")
        message = f"{len(whose):,} {'person has' if len(whose) == 1 else 'people have'} no file ({why}): {named}"
        hint = "put it there; {% if subscriber.FIELD %} … {% endif %} around the name leaves out who has none"
        yield "attachment", StatementError(message, where=statement.parts[tag].where("attachments"), hint=hint)


def _shared(statement: Statement, concerned: dict[str, MergeTemplate], used: Counter[str]) -> Iterator[Fault]:
    """One person's invoice in another's mail cannot be taken back."""
    shared = [(path, number) for path, number in used.items() if number > 1]
    if shared:
        path, number = shared[0]
        more = f", and {len(shared) - 1:,} more like it" if len(shared) > 1 else ""
        yield (
            "shared-attachment",
            StatementError(
                f"{path} would go to {number:,} people{more}",
                where=statement.parts[next(iter(concerned))].where("attachments"),
                hint="name it by something that is each person's own; what is for all goes in without a field",
            ),
        )


def _unused(
    house: House, statement: Statement, concerned: dict[str, MergeTemplate], used: Counter[str]
) -> Iterator[Fault]:
    """A file that looks like the others and reaches nobody: a typing mistake in its name, or in a field."""
    from broadcaster.enclosure import patterns

    told: set[str] = set()
    for tag, merge in concerned.items():
        for folder, pattern in patterns(merge.enclosures):
            prefix = f"{folder}/" if folder else ""
            there = [f"{prefix}{name}" for name in house.workspace.beside(f"{merge.folder}/{folder}".rstrip("/"))]
            left = [name for name in there if pattern.fullmatch(name) and f"{merge.folder}/{name}" not in used]
            left = [name for name in left if not name.endswith(".md") and name not in {*merge.attachments, *told}]
            told.update(left)
            if left:
                named = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED:,} more" if len(left) > NAMED else "")
                yield (
                    "unused-attachment",
                    StatementError(f"nobody gets {named}", where=statement.parts[tag].where("attachments")),
                )
