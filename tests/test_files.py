"""Files that go with a statement: frozen when it is prepared, each person's own to nobody else."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import statement
from broadcaster.broadcast import enclosures
from broadcaster.enclosure import Enclosed, Names, patterns
from broadcaster.errors import StatementError
from broadcaster.mailing import Roll, Rule
from broadcaster.page import emptied
from broadcaster.probe import Answer
from broadcaster.schedule import Window
from broadcaster.subscriber import Subscriber
from broadcaster.template import lay_out
from tests.conftest import Here, Place
from tests.test_pictures import png
from tests.test_template import KNOWN, LAYOUTS, SENDER

PEOPLE = "email,name,language,number\nako@example.org,Ako,en,1\nhuda@example.org,هدى,ar,2\n"
HEADING = "---\nsubject: Water\npreheader: Read on\n"
BODY = "---\nDear {{ subscriber.name | default('friend') }}, [look](https://water.example/).\n\n![A well](well.png)\n"


@pytest.fixture
def here(place: Place, commands: Here) -> Here:
    settings = place.root / "broadcaster.toml"
    settings.write_text(settings.read_text("utf-8").replace('offered = ["en", "ar", "ckb"]', 'offered = ["en", "ar"]'))
    (place.root / "people.csv").write_text(PEOPLE, "utf-8")
    commands("lists", "create", "news")
    commands("subscribers", "import", str(place.root / "people.csv"), "--list", "news", "--consent", "x", "--yes")
    return commands


def written(place: Place, attachments: str) -> Path:
    """A statement with an image and attachments, and files for two people."""
    folder = place.root / "statements" / "june"
    (folder / "private").mkdir(parents=True)
    for tag in ("en", "ar"):
        (folder / f"{tag}.md").write_text(f"{HEADING}attachments: {attachments}\n{BODY}", "utf-8")
    (folder / "well.png").write_bytes(png())
    (folder / "بيان الماء.txt").write_text("ماء", "utf-8")
    for number in (1, 2):
        (folder / "private" / f"{number}.txt").write_text(f"for {number}", "utf-8")
    return folder


def outbox(place: Place) -> dict[str, EmailMessage]:
    """What was mailed, by address."""
    found: dict[str, EmailMessage] = {}
    for file in (place.root / "outbox" / "new").iterdir():
        read = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        found[read["to"].addresses[0].addr_spec] = read
    return found


def attached(of: EmailMessage) -> dict[str | None, str]:
    return {part.get_filename(): str(part.get_content()) for part in of.iter_attachments()}


OWN = "[بيان الماء.txt, private/{{ subscriber.number }}.txt]"


def test_each_gets_what_is_theirs_as_it_was_when_it_was_prepared(place: Place, here: Here) -> None:
    folder = written(place, OWN)
    here("check", "june")
    number = str(here("prepare", "june", "--list", "news", "--json").json["mailing"])
    # what is changed or lost afterwards reaches nobody
    (folder / "private" / "1.txt").write_text("changed")
    for name in ("private/2.txt", "well.png", "بيان الماء.txt"):
        (folder / name).unlink()
    here("send", number, "--yes")
    mail = outbox(place)
    assert attached(mail["ako@example.org"]) == {"بيان الماء.txt": "ماء", "1.txt": "for 1"}
    assert attached(mail["huda@example.org"]) == {"بيان الماء.txt": "ماء", "2.txt": "for 2"}
    images = [part for part in mail["huda@example.org"].walk() if part["content-id"]]
    assert [part.get_payload(decode=True) for part in images] == [png()]
    html = mail["huda@example.org"].get_body(["html"])
    assert html is not None
    assert f'src="cid:{images[0]["content-id"].strip("<>")}"' in html.get_content()


def findings(here: Here, rule: str, status: int = 65) -> list[str]:
    found = here("check", "june", "--json", status=status).json["findings"]
    return [each["message"] for each in found if each["rule"] == rule]


def test_check_finds_who_has_no_file_and_prepare_refuses(place: Place, here: Here) -> None:
    (written(place, OWN) / "private" / "2.txt").unlink()
    [message] = findings(here, "attachment")
    assert "1 person has no file" in message
    assert "2.txt for huda@example.org" in message
    here("prepare", "june", "--list", "news", status=65)


def test_check_finds_a_file_that_two_people_would_get(place: Place, here: Here) -> None:
    folder = written(place, "private/{{ subscriber.timezone | default('all') }}.txt")
    (folder / "private" / "all.txt").write_text("x")
    [message] = findings(here, "shared-attachment")
    assert "statements/june/private/all.txt would go to 2 people" in message


def test_check_finds_a_file_that_nobody_gets(place: Place, here: Here) -> None:
    (written(place, OWN) / "private" / "22.txt").write_text("x")
    assert findings(here, "unused-attachment", status=0) == ["nobody gets private/22.txt"]


def test_what_is_ones_own_counts_together_with_what_everybody_gets(place: Place, here: Here) -> None:
    folder = written(place, OWN)
    (folder / "بيان الماء.txt").write_bytes(b"x" * 9_000_000)
    (folder / "private" / "2.txt").write_bytes(b"x" * 2_000_000)
    [message] = findings(here, "heavy", status=0)
    assert "up to 11 MB (for huda@example.org); 1 person would get" in message
    (folder / "private" / "2.txt").write_bytes(b"x" * 10_000_000)
    [message] = findings(here, "attachment")
    assert "up to 19 MB (for huda@example.org): more than mailboxes take" in message
    # whoever insists is told by `prepare`, before anything is sent
    assert "mailboxes take" in here("prepare", "june", "--list", "news", "--force", "attachment", status=65).err


@pytest.mark.parametrize(("image", "attachment"), [(18_600_000, 0), (9_400_000, 9_200_000)])
def test_check_asks_of_images_and_attachments_what_prepare_asks(
    place: Place, here: Here, image: int, attachment: int
) -> None:
    folder = written(place, "[بيان الماء.txt]")
    (folder / "well.png").write_bytes(png() + b"x" * image)
    (folder / "بيان الماء.txt").write_bytes(b"x" * attachment)
    assert all("MB: mailboxes take 18" in message for message in findings(here, "image"))
    assert "mailboxes take 18" in here("prepare", "june", "--list", "news", "--force", "image", status=65).err
    # where images are on the web none travels
    settings = place.root / "broadcaster.toml"
    text = settings.read_text("utf-8")
    assert "[links]\n" in text
    settings.write_text(text.replace("[links]\n", '[links]\nimages = "https://img.water.example"\n'), "utf-8")
    assert findings(here, "image", status=0) == []


def test_what_is_heavy_is_tried_all_the_same(place: Place, here: Here) -> None:
    folder = written(place, "")
    (folder / "well.png").write_bytes(png() + b"x" * 2_000_000)
    for tag in ("en", "ar"):
        (folder / f"{tag}.md").write_text(HEADING.replace("Water", "{{ subscriber.number }}") + BODY, "utf-8")
    assert findings(here, "heavy")
    assert findings(here, "empty-subject")


def test_a_name_that_comes_out_empty_is_no_file(place: Place, here: Here) -> None:
    written(place, '{% if subscriber.number == "1" %}private/{{ subscriber.number }}.txt{% endif %}')
    here("send", "june", "--list", "news", "--yes")
    mail = outbox(place)
    assert attached(mail["ako@example.org"]) == {"1.txt": "for 1"}
    assert attached(mail["huda@example.org"]) == {}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("well.png", None, "no such file"), ("well.png", b"<svg/>", "no image that mail programs show")],
)
def test_check_finds_an_image_that_cannot_be_shown(
    place: Place, here: Here, name: str, content: bytes | None, words: str
) -> None:
    folder = written(place, "")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    found = here("check", "june", "--json", status=65).json["findings"]
    told = [(each["file"], each["line"]) for each in found if each["rule"] == "image" and words in each["message"]]
    assert told == [("statements/june/ar.md", 8), ("statements/june/en.md", 8)]


def test_with_links_an_image_on_the_web_is_asked_for_too(
    place: Place, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = place.root / "broadcaster.toml"
    settings.write_text(settings.read_text("utf-8").replace("[links]", '[links]\nimages = "https://img.water.example"'))
    written(place, "")
    asked: list[str] = []

    def probe(links: Iterable[str]) -> dict[str, Answer]:
        asked.extend(links)
        return {link: Answer("the page is not there (404)", dead=True) for link in asked if link.endswith(".png")}

    monkeypatch.setattr("broadcaster.probe.probe", probe)
    found = here("check", "june", "--links", "--json", status=65).json["findings"]
    [dead] = [each for each in found if each["rule"] == "dead-link"]
    assert (dead["file"], dead["line"]) == ("statements/june/ar.md", 8)
    assert sorted(asked) == ["https://img.water.example/statements/june/well.png", "https://water.example/"]


def test_render_writes_a_page_that_a_browser_shows_with_its_images(place: Place, here: Here) -> None:
    written(place, OWN)
    look = place.root / "look"
    files = here("render", "june", "-o", str(look), "--json").json["files"]
    [image] = [Path(file) for file in files if file.endswith(".png")]
    assert image.read_bytes() == png()
    assert f'src="{image.name}"' in (look / "en.html").read_text("utf-8")
    assert 'src="cid:' in (look / "en.merge.html").read_text("utf-8")
    # for nobody in particular, nobody's file
    assert b'filename="1.txt"' not in (look / "en.eml").read_bytes()


def test_a_test_copy_has_the_files_of_the_person_it_shows(place: Place, here: Here) -> None:
    written(place, OWN)
    here("test", "june", "me@example.org", "--as", "huda@example.org", "--language", "ar")
    assert list(attached(outbox(place)["me@example.org"])) == ["بيان الماء.txt", "2.txt"]


# names


def part_with(attachments: str) -> statement.Part:
    text = f"---\nsubject: S\nattachments: {attachments}\n---\nx\n"
    return statement.parse("june", {"en.md": text}, default="en").parts["en"]


def laid(attachments: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    part = part_with(attachments)
    merge = lay_out(part, language="en", layouts=LAYOUTS, settings={"sender": SENDER}, known=KNOWN)
    return merge.attachments, merge.enclosures


def test_a_comma_inside_a_tag_parts_no_names() -> None:
    part = part_with('[a.pdf, {{ subscriber.city | default("x, y") }}.pdf, {% if subscriber.city %}b.pdf{% endif %}]')
    assert len(part.attachments) == 3


def test_what_everybody_gets_may_go_by_the_language() -> None:
    assert laid("[flyer-{{ language }}.pdf]") == (("flyer-en.pdf",), ())


@pytest.mark.parametrize(
    ("attachments", "words"),
    [
        ("{{ links.leave }}.pdf", "reads more than the subscriber"),
        ("{{ list.title }}.pdf", "reads more than the subscriber"),
        ("{{ subscriber.citi }}.pdf", "no subscriber has"),
        ("{{ subscriber.city", "."),
        ("a/x.pdf, b/x.pdf", "two attachments are called"),
        ("x\u202efdp.exe", "turns the direction"),
    ],
)
def test_a_name_that_cannot_be_is_an_error_with_its_line(attachments: str, words: str) -> None:
    with pytest.raises(StatementError, match=words) as error:
        laid(attachments)
    assert error.value.where == "statements/june/en.md:3"


@given(st.text(max_size=30) | st.sampled_from(["..", ".", "../../subscribers/secret.key", "a\\..\\b", "\0", "/etc"]))
def test_no_field_leads_out_of_the_folder_it_stands_in(value: str) -> None:
    _, sources = laid("[private/{{ subscriber.city }}/{{ subscriber.city }}.txt]")
    person = Subscriber(1, "a@b.example", fields={"city": value} if value else {})
    names: tuple[str, ...] = ()
    try:
        names = Names(sources, "statements/june/en.md").of(person)
    except StatementError:
        return
    for name in names:
        assert name.startswith("private/")
        assert name.count("/") == 2
        assert ".." not in name.split("/")


# memory, and what a second person approves


def test_files_of_people_are_held_one_at_a_time(tmp_path: Path) -> None:
    from broadcaster.workspace import Workspace

    folder = tmp_path / "statements" / "june"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.pdf").write_text(name)

    class Merge:
        folder = "statements/june"

    class Frozen:
        merge = Merge()

    sources = ["a.pdf", "b.pdf"]
    found = enclosures(Workspace(tmp_path), Frozen(), Names(sources, "x"), Subscriber(7, "a@b.example"))  # type: ignore[arg-type]
    assert isinstance(found, Iterator)
    assert next(found).body == b"a"
    (folder / "b.pdf").write_text("not read yet")
    assert next(found).body == b"not read yet"


def test_one_byte_of_one_persons_file_changes_the_digest_of_a_mailing() -> None:
    def sealed(*files: Enclosed) -> str:
        roll = Roll()
        roll.take("1", "1", "0")
        for file in files:
            roll.enclosed(file)
        return roll.seal("content", Rule((1,), (), ()), Window())

    one = Enclosed(1, 0, "a.pdf", "aa", b"")
    other = [Enclosed(1, 0, "a.pdf", "ab", b""), Enclosed(1, 0, "b.pdf", "aa", b""), Enclosed(2, 0, "a.pdf", "aa", b"")]
    assert len({sealed(), sealed(one), *(sealed(each) for each in other)}) == 5


@given(
    st.text(st.sampled_from("}%{#,a\\'\n")),
    st.sampled_from(["{{{{ subscriber.number | default({}) }}}}", "{{% if {} %}}"]),
)
def test_what_ends_a_tag_ends_none_within_quotes(text: str, tag: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\") + '"'
    source = tag.format(quoted)
    assert emptied(f"a{source}b", "-") == ("a-b" if source.startswith("{{") else "ab")
    [(folder, pattern)] = patterns([f"private/{source}x.pdf"])
    assert folder == "private"
    assert pattern.fullmatch("private/7x.pdf" if source.startswith("{{") else "private/x.pdf")
    heading = f"---\nsubject: a\nattachments: [{source}x.pdf, b.pdf]\n---\nText.\n"
    if "\n" not in text:
        parts = statement.parse("june", {"en.md": heading}, default="en").parts
        assert parts["en"].attachments == (f"{source}x.pdf", "b.pdf")
