"""The import rule of the house: look down, never up; never sideways within a family; each library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import broadcaster

HOUSE = Path(broadcaster.__file__).parent
HANDS = {"custody", "db", "roster", "gathering", "census", "enrolment", "probe", "intake", "ledger", "mark"}
HANDS |= {"doubts", "workspace", "lock", "transports", "engines", "inbox", "reader", "bounces", "audit", "vault"}
HANDS |= {"segments", "oblivion", "dossier", "erasure", "remains", "transcript", "undoing", "advice", "counting"}
HANDS |= {"resolver", "folder", "digests", "clock", "approvals", "precedents", "login"}
STORY = {"courier", "press", "sealing", "flows", "lots", "fence", "sending", "settling", "weighing", "collecting"}
STORY |= {"broadcast", "choosing", "forgetting", "keys", "encryption", "keeping", "lapsing", "reporting"}
STORY |= {"checkup", "upkeep", "visit", "authentication", "posting", "telling", "release"}
VOICE = {"cli", "__main__"}
FAMILIES = {"transports", "engines", "inbox"}
HOMES = {
    "click": {"cli"},
    "premailer": {"inlining"},
    "cssutils": {"inlining"},
    "lxml": {"inlining"},
    "aiosmtplib": {"transports"},
    "sqlite3": {"db", "roster", "intake", "enrolment", "ledger", "erasure", "transcript"},
    "sqlite_utils": {"db"},
    "sqlcipher3": {"db"},
    "keyring": {"keys"},
    "cryptography": {"dkim"},
    "dns": {"resolver"},
    "idna": {"address"},
    "openpyxl": {"workbook"},
    "imaplib": {"inbox"},
    "pyrage": {"vault"},
    "uvloop": {"cli"},
    "drawsvg": {"drawing"},
}
# what a worker of a fleet needs: no database, no layouts
WORKER = ("courier", "message", "delivery", "transports")


def level(room: str) -> int:
    """0 errors, 1 nouns, 2 hands, 3 story, 4 voice."""
    if room == "errors":
        return 0
    return next((n for n, rooms in ((2, HANDS), (3, STORY), (4, VOICE)) if room in rooms), 1)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE).with_suffix("").parts
        if parts != ("__init__",) and "samples" not in parts:
            yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path, *, typing: bool) -> Iterator[str]:
    """Dotted names that a module imports; those only a type checker sees are left out on request."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING" and not typing
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.split(".")[0] == "broadcaster":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(name: str) -> str:
    """The room of one of our modules: its first folder or file."""
    return name.removeprefix("broadcaster.").split(".")[0]


ALL = dict(modules())
EDGES = {
    (module, target.removeprefix("broadcaster."))
    for module, path in ALL.items()
    for target in imports(path, typing=True)
    if target.startswith("broadcaster.") and target.removeprefix("broadcaster.") in ALL
}


def test_rooms_look_down_and_never_up() -> None:
    up = {(a, b) for a, b in EDGES if level(rooms(a)) < level(rooms(b))}
    assert not up


def test_members_of_a_family_never_import_one_another() -> None:
    sideways = {
        (a, b) for a, b in EDGES if rooms(a) == rooms(b) and rooms(a) in FAMILIES and "." in a and "." in b and a != b
    }
    assert not sideways


def test_hands_do_not_know_each_other_but_for_the_database_file_and_whose_a_file_is() -> None:
    known = {
        (rooms(a), rooms(b))
        for a, b in EDGES
        if level(rooms(a)) == level(rooms(b)) == 2 and rooms(a) != rooms(b) and rooms(b) not in ("db", "custody")
    }
    assert known <= {("engines", "transports")}


def test_no_circle_of_rooms() -> None:
    def reaches(start: str, seen: set[str]) -> set[str]:
        for a, b in EDGES:
            if a == start and b not in seen:
                seen.add(b)
                reaches(b, seen)
        return seen

    assert not [module for module in ALL if module in reaches(module, set())]


def test_each_library_has_one_home() -> None:
    strangers = {
        (module, library)
        for module, path in ALL.items()
        for library in {name.split(".")[0] for name in imports(path, typing=False)} & set(HOMES)
        if rooms(module) not in HOMES[library]
    }
    assert not strangers


def test_nouns_touch_neither_files_nor_sockets_nor_clock_nor_dice() -> None:
    world = {"os", "socket", "subprocess", "random", "secrets", "time", "tempfile", "shutil", "pathlib", "asyncio"}
    touching = {
        (module, name)
        for module, path in ALL.items()
        if level(rooms(module)) <= 1 and module != "errors"
        for name in imports(path, typing=False)
        if name.split(".")[0] in world
    }
    # a PurePath is text
    assert not touching - {("place", "pathlib")}


def test_a_worker_needs_no_database_and_no_layouts() -> None:
    def needs(module: str, seen: set[str]) -> set[str]:
        for target in imports(ALL[module], typing=False):
            name = target.removeprefix("broadcaster.")
            if target.startswith("broadcaster.") and name in ALL and name not in seen:
                seen.add(name)
                needs(name, seen)
        return seen

    for room in WORKER:
        assert not {"db", "roster", "ledger", "template", "inlining"} & needs(room, set())
