"""Whatever a file is packed in: what is harmless is read, what is not is refused before a byte of it is unpacked."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import parcel
from broadcaster.errors import SheetError
from broadcaster.parcel import unpacked
from broadcaster.reading import Asked, opened
from broadcaster.sheet import Person

PEOPLE = b"email,name\nanna@example.org,Anna\nbo@example.org,Bo\n"


def addresses(data: bytes, name: str = "people.csv", sheet: str = "") -> list[str]:
    stream = io.BytesIO(data)
    with unpacked(stream, name, sheet) as parts:
        file = opened(stream, parts, Asked(sheet=sheet), lambda text: text.readings[0].encoding)
        return [row.address for row in file.rows() if isinstance(row, Person)]


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as file:
        for name, data in entries:
            file.writestr(name, data)
    return made.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "data",
    [
        PEOPLE,
        gzip.compress(PEOPLE),
        gzip.compress(PEOPLE[:20]) + gzip.compress(PEOPLE[20:]),
        archive(("people.csv", PEOPLE)),
        archive(("people.csv", PEOPLE), packing=zipfile.ZIP_STORED),
        archive(
            ("files/", b""), ("files/people.csv", PEOPLE), ("__MACOSX/._people.csv", b"\0\5"), (".DS_Store", b"\0")
        ),
        archive(("people.csv", PEOPLE), ("readme.pdf", b"%PDF")),
        archive(("people.csv", PEOPLE.decode().encode("utf-16"))),
    ],
    # what is packed holds the time
    ids=lambda data: f"{len(data)} octets",
)
def test_what_is_packed_says_the_same(data: bytes) -> None:
    assert addresses(data) == ["anna@example.org", "bo@example.org"]


def test_of_several_files_one_is_chosen() -> None:
    data = archive(("a/old.csv", b"email\nold@example.org\n"), ("a/new.csv", b"email\nnew@example.org\n"))
    with pytest.raises(SheetError, match="2 files of people") as raised:
        addresses(data)
    assert "a/old.csv, a/new.csv" in (raised.value.hint or "")
    assert addresses(data, sheet="new.csv") == ["new@example.org"]
    assert addresses(data, sheet="a/old.csv") == ["old@example.org"]
    with pytest.raises(SheetError, match="no file 'none"):
        addresses(data, sheet="none.csv")


def encrypted() -> bytes:
    data = bytearray(archive(("people.csv", PEOPLE)))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + place
        data[at] |= 1
    return bytes(data)


def with_two_names() -> bytes:
    data = archive(("people.csv", PEOPLE), ("peoplx.csv", PEOPLE))
    return data.replace(b"peoplx.csv", b"people.csv")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(("../people.csv", PEOPLE)), "lead elsewhere"),
        (archive(("a/../../people.csv", PEOPLE)), "lead elsewhere"),
        (archive(("/etc/people.csv", PEOPLE)), "lead elsewhere"),
        (archive(("C:\\people.csv", PEOPLE)), "lead elsewhere"),
        (archive(("..\\people.csv", PEOPLE)), "lead elsewhere"),
        (archive(("people.csv\u202e", PEOPLE)), "lead elsewhere"),
        (archive((link("people.csv"), b"/etc/passwd")), "no file"),
        (archive(("ok.csv", PEOPLE), (link("x"), b"/etc/passwd")), "no file"),
        (encrypted(), "encrypted"),
        (with_two_names(), "two files of one name"),
        (archive(("people.csv", PEOPLE), packing=zipfile.ZIP_LZMA), "unusual"),
        (archive(("people.csv", gzip.compress(PEOPLE))), "within an archive"),
        (archive(("people.zip", archive(("people.csv", PEOPLE)))), "within an archive"),
        (gzip.compress(gzip.compress(PEOPLE)), "within an archive"),
        (gzip.compress(archive(("people.csv", PEOPLE))), "within an archive"),
        (archive(), "without a file"),
        (archive(*((f"{n}.csv", PEOPLE) for n in range(201))), "201 files"),
        (archive(("people.csv", PEOPLE))[:-30], "damaged"),
        (gzip.compress(PEOPLE * 9)[:-20], "damaged"),
        (gzip.compress(PEOPLE) + b"more", "damaged"),
        (gzip.compress(b"x" * 100_000_000), "200 times"),
        (archive(("people.csv", b"x" * 100_000_000)), "200 times"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_archive_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SheetError, match=reason):
        addresses(data)


def test_a_million_entries_cost_nothing() -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    data = b"PK\3\4" + bytes(26) + entry * 1_000_000
    data += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(entry) * 1_000_000, 30, 0)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(SheetError, match="far too many"):
        addresses(data)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 10_000_000 + len(data)
    tracemalloc.stop()


def test_zeros_without_end_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "RATIO_FROM", 1 << 20)
    data = gzip.compress(b"x" * 50_000_000)
    tracemalloc.start()
    with pytest.raises(SheetError, match="200 times"):
        addresses(data)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def lied(data: bytes) -> bytes:
    """An archive whose list says that its file is a hundred octets."""
    at = data.index(b"PK\1\2") + 24
    return data[:at] + struct.pack("<L", 100) + data[at + 4 :]


def test_a_list_of_contents_that_lies_is_damage() -> None:
    with pytest.raises(SheetError, match=r"damaged|no column|200 times"):
        addresses(lied(archive(("people.csv", PEOPLE * 10_000))))


@given(
    st.integers(0, 400), st.integers(0, 255), st.sampled_from([gzip.compress, lambda data: archive(("p.csv", data))])
)
@settings(max_examples=200, deadline=None)
def test_no_archive_whatever_is_more_than_a_sheet_error(place: int, octet: int, pack: Callable[[bytes], bytes]) -> None:
    data = bytearray(pack(PEOPLE))
    data[place % len(data)] = octet
    with suppress(SheetError):
        addresses(bytes(data))


def test_nothing_is_unpacked_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    addresses(archive(("people.csv", PEOPLE)))
    assert list(tmp_path.iterdir()) == []
