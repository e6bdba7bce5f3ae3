"""Images of the workspace: named in a statement by their file, in the mail by what they are."""

from __future__ import annotations

import re
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import config, pictures, press
from broadcaster import page as page_of
from broadcaster.errors import ConfigError, StatementError
from broadcaster.merge import MergeTemplate
from broadcaster.pictures import Picture
from broadcaster.statement import Part
from broadcaster.trial import Trial
from broadcaster.workspace import Workspace
from tests.test_message import copy_for
from tests.test_template import laid, page

SETTINGS = """
[sender]
name = "Water"
address = "news@water.example"

[relays.main]
url = "maildir:outbox"
"""


def png(width: int = 3, height: int = 2) -> bytes:
    """A small image that any program shows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# the first octets of each kind, three pixels wide and two high
KINDS = {
    "image/png": png(),
    "image/gif": b"GIF89a\x03\0\x02\0\xf0\0\0",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x04xx\xff\xff\xc2\0\x11\x08\0\x02\0\x03\x03",
    "image/webp": b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x02\0\0\x01\0\0",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_what_its_bytes_say(kind: str) -> None:
    assert pictures.look(KINDS[kind], "a") == Picture(kind, 3, 2)


@pytest.mark.parametrize(
    "octets", [b"", b"<svg/>", b"\xff\xd8\xff", b"%PDF", b"\xff\xd8\xff\xff\xff\xff\xff", png()[:15]]
)
def test_what_mail_programs_do_not_show_is_no_image(octets: bytes) -> None:
    with pytest.raises(StatementError, match="no image"):
        pictures.look(octets, "statements/june/a.png")


@given(
    st.binary(max_size=60), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF....WEBP", b""])
)
def test_any_bytes_are_an_image_or_an_error_of_ours(octets: bytes, start: bytes) -> None:
    with suppress(StatementError):
        assert pictures.look(start + octets, "a").width > 0


NAMES = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\<>[]()&\"'`%?#{}*_~!:;"), min_size=1
)


@given(NAMES.filter(lambda name: name not in (".", "..")))
def test_an_image_of_any_name_travels_with_the_mail(name: str) -> None:
    merge = laid(f"![A well]({name}.png)\n")
    path = f"statements/june/{name}.png"
    assert merge.images == (path,)
    frozen, contents = press.freeze(merge, config.parse(SETTINGS), [], {path: png()}.__getitem__)
    [(cid, (shown, kind, digest))] = frozen.images.items()
    assert f'src="cid:{cid}"' in frozen.merge.html
    assert kind == "image/png"
    assert contents == {digest: png()}
    assert re.fullmatch(r"[0-9a-f]{32}@water\.example", cid)
    assert shown


def frozen(body: str, more: str = "", theme: dict[str, str] | None = None, layout: str = "") -> press.Frozen:
    merge = laid(body, page(layout or "{{ statement.body }}"), theme=theme)
    return press.freeze(merge, config.parse(SETTINGS + more), [], lambda _path: png(900, 400))[0]


def test_with_a_base_images_are_links_and_nothing_travels() -> None:
    found = frozen("![A well](the%20well.png)\n", '[links]\nimages = "https://img.water.example/news/"\n')
    assert 'src="https://img.water.example/news/statements/june/the%20well.png"' in found.merge.html
    assert (found.images, found.files) == ({}, {})


@pytest.mark.parametrize(
    "source",
    ["https://water.example/a.png", "cid:x@y", "data:image/png;base64,aaaa", "//water.example/a.png", "/a.png"],
)
def test_whole_addresses_stay_as_they_are(source: str) -> None:
    assert laid(f'<img src="{source}" alt="">\n').images == ()


def test_a_persons_own_image_is_a_link_and_no_file() -> None:
    merge = laid('<img src="https://img.water.example/{{ subscriber.city }}.png" alt="">\n')
    assert merge.images == ()
    assert "subscriber.city" in merge.html


def told(body: str) -> list[str]:
    merge = laid(body)
    part = Part(merge.file, "en", "Hello", body)
    return [each.message for each in page_of.prove(part, merge.html, merge.images) if each.rule == "link"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ subscriber.city }}.png",
        "{{ subscriber.city }}{{ subscriber.age }}.png",
        "{% if subscriber.age %}{{ subscriber.city }}{% endif %}.png",
        "cid:abc",
        "cid:statements/june/b.png",
    ],
)
def test_an_image_that_nobody_would_see_is_an_error(source: str) -> None:
    [message] = told(f'<img src="{source}" alt="">\n\n![a](a.png)\n')
    assert message.startswith("the image ")


@pytest.mark.parametrize(
    "source",
    [
        "a.png",
        "cid:statements/june/a.png",
        "{{ subscriber.site }}",
        "{{ subscriber.site }}/a.png",
        "{{ subscriber.site }}?size=200",
        "{% if subscriber.age %}{{ subscriber.site }}{% else %}https://img.water.example/a.png{% endif %}",
        "https://img.water.example/{{ subscriber.city }}.png",
    ],
)
def test_an_image_that_can_be_seen_is_none(source: str) -> None:
    assert told(f'<img src="{source}" alt="">\n\n![a](a.png)\n') == []


@pytest.mark.parametrize("source", ["{{ subscriber.site }}/a.png", "{{ subscriber.site }}?a", "{{ subscriber.site }}"])
@pytest.mark.parametrize("element", ['<img src="{}" alt="x">\n', "[x]({})\n"])
def test_who_lacks_the_field_that_begins_an_address_is_found(element: str, source: str) -> None:
    trial = Trial(laid(element.format(source)))
    trial.look(copy_for("", {"site": "https://water.example"}))
    assert "empty-link" not in [each.rule for each in trial.findings()]
    trial.look(copy_for("", {"site": "water"}))
    assert [each.rule for each in trial.findings() if each.rule == "empty-link"] == ["empty-link"]


def test_images_of_a_layout_lie_beside_it() -> None:
    found = laid("Text.\n", page('<img src="pics/logo.png" alt="">{{ statement.body }}'))
    assert found.images == ("templates/pics/logo.png",)


def test_an_image_is_as_wide_as_it_is_but_no_wider_than_the_column() -> None:
    # Outlook heeds the attribute alone
    assert ' width="528"' in frozen("![A well](well.png)\n").merge.html
    assert ' width="328"' in frozen("![A well](well.png)\n", '[theme]\nwidth = "400"\n').merge.html
    own = frozen('<img src="well.png" width="50" alt="A > B">\n').merge.html
    assert 'width="50"' in own
    assert own.count("width=") == 1


def test_an_image_in_a_branch_is_one_too() -> None:
    found = frozen('{% if subscriber.city > "A" %}\n![{{ subscriber.name }}](well.png)\n{% endif %}\n')
    assert "cid:statements" not in found.merge.html
    assert len(found.images) == 1


def test_the_same_bytes_have_one_content_id_and_others_another() -> None:
    merge = laid("![A](a.png) ![B](b.png) ![C](c.png)\n")
    files = {"a": png(), "b": png(), "c": png(5, 5)}
    found, contents = press.freeze(merge, config.parse(SETTINGS), [], lambda path: files[path[-5]])
    assert len(found.images) == len(contents) == 2


def test_images_are_frozen_and_what_was_frozen_before_there_were_any_is_the_same() -> None:
    found = frozen("![A](a.png)\n")
    assert press.Frozen.from_json(found.to_json()).to_json() == found.to_json()
    plain = frozen("Text.\n")
    assert "images" not in plain.to_json()
    assert "enclosures" not in plain.to_json()
    assert MergeTemplate.from_json(plain.merge.to_json()) == plain.merge


def test_more_than_any_mailbox_takes_is_refused() -> None:
    merge = laid("![A](a.png)\n")
    with pytest.raises(StatementError, match="mailboxes take 18"):
        press.freeze(merge, config.parse(SETTINGS), [], lambda _path: png() + b"x" * 18_600_000)


@pytest.mark.parametrize(
    "name", ["../../secret.txt", "/etc/passwd", "out/passwd", "pipe.png", "../june", "a\0b.png", "x" * 300]
)
def test_no_name_leads_out_of_the_folders_for_it(tmp_path: Path, name: str) -> None:
    import os

    place = Workspace(tmp_path)
    (tmp_path / "statements/june").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "statements/june/out").symlink_to("/etc")
    os.mkfifo(tmp_path / "statements/june/pipe.png")
    with pytest.raises(StatementError) as error:
        place.asset(f"statements/june/{name}")
    assert "root:" not in str(error.value)


def test_a_link_that_leads_to_itself_is_an_error_that_names_it(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    folder = tmp_path / "statements/june"
    folder.mkdir(parents=True)
    (tmp_path / "broadcaster.toml").write_text(SETTINGS)
    (folder / "en.md").symlink_to("en.md")
    (folder / "a.png").symlink_to("b.png")
    (folder / "b.png").symlink_to("a.png")
    for read in (lambda: place.statement("june"), lambda: place.asset("statements/june/a.png")):
        with pytest.raises(StatementError) as error:
            read()
        assert error.value.where in ("statements/june/en.md", "statements/june/a.png")


def test_a_name_composed_or_not_is_the_same_file(tmp_path: Path) -> None:
    folder = tmp_path / "statements/june"
    folder.mkdir(parents=True)
    (folder / "cafe\u0301.png").write_bytes(png())
    assert Workspace(tmp_path).asset("statements/june/caf\u00e9.png") == png()


@pytest.mark.parametrize("logo", ["logo.png", "شعار.png", "pics/our logo.JPG", "https://img.water.example/logo.png"])
def test_a_logo_is_a_file_or_an_address(logo: str) -> None:
    assert config.parse(SETTINGS + f'[theme]\nlogo = "{logo}"\n').theme["logo"] == logo


@pytest.mark.parametrize(
    "more",
    [
        '[theme]\nlogo = "../logo.png"\n',
        '[theme]\nlogo = "/logo.png"\n',
        '[theme]\nlogo = "logo.svg"\n',
        '[theme]\nlogo = "http://img.water.example/a.png"\n',
        '[links]\nimages = "http://img.water.example"\n',
        '[links]\nimages = "img.water.example"\n',
    ],
)
def test_what_no_mail_program_would_show_is_refused(more: str) -> None:
    with pytest.raises(ConfigError):
        config.parse(SETTINGS + more)
