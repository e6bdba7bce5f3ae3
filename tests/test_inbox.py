"""Every inbox gives each message once from where it was left, changes nothing unasked, and deletes nothing."""

from __future__ import annotations

import fcntl
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster import config
from broadcaster.errors import BadData, ConfigError, MailboxUnavailable, NotFound
from broadcaster.inbox import LARGEST, Found, Inbox, Place
from broadcaster.inbox.files import Files, Maildir, Mbox, Stream
from broadcaster.inbox.imap import Imap
from tests.lab import dovecot

SMALL = '[sender]\nname = "W"\naddress = "n@w.example"\n[relays.main]\nurl = "maildir:outbox"\n'
needs_dovecot = pytest.mark.skipif(not dovecot.there(), reason="needs root and dovecot-imapd")


def mail(number: int, body: str = "Hello\n") -> bytes:
    return f"Subject: {number}\nTo: bounces@water.example\n\n{body}".encode()


def maildir(path: Path, *messages: bytes) -> Path:
    for name in ("new", "cur", "tmp"):
        (path / name).mkdir(parents=True, exist_ok=True)
    for number, message in enumerate(messages, start=len(list((path / "new").iterdir()))):
        (path / "new" / f"{1000 + number}.x.host").write_bytes(message)
    return path


def mbox(*messages: bytes) -> bytes:
    """As mail servers write it (mboxrd): each ends with a line of its own, and an empty one behind it."""
    written = (re.sub(rb"(?m)^(>*From )", rb">\1", message) for message in messages)
    return b"".join(
        b"From MAILER-DAEMON Mon Jun  1 09:00:00 2026\n" + message + b"\n" * (2 - message.endswith(b"\n"))
        for message in written
    )


def all_of(box: Inbox, place: Place = Place(), known: frozenset[str] = frozenset()) -> list[Found]:  # noqa: B008
    try:
        return list(box.messages(place, known))
    except BaseException:
        box.close()
        raise


def bodies(found: list[Found]) -> list[bytes]:
    return [each.octets.rstrip() for each in found]


# files


def test_a_maildir_is_read_in_order_and_stays_as_it_is(tmp_path: Path) -> None:
    path = maildir(tmp_path / "M", mail(1), mail(2))
    (path / "new" / "1000.x.host").rename(path / "cur" / "1000.x.host:2,S")
    (path / "new" / ".hidden").write_text("x")
    before = sorted(str(each) for each in path.rglob("*"))
    box = Maildir("maildir:M", path)
    found = all_of(box)
    assert bodies(found) == [mail(1).rstrip(), mail(2).rstrip()]
    for each in found:
        box.understood(each)
    assert sorted(str(each) for each in path.rglob("*")) == before
    # flags are no part of a name
    assert all_of(box, known=frozenset(each.name for each in found)) == []
    assert sorted(box.names() or []) == ["1000.x.host", "1001.x.host"]


def test_what_is_understood_goes_to_cur_where_that_is_asked_for(tmp_path: Path) -> None:
    path = maildir(tmp_path / "M", mail(1), mail(2))
    box = Maildir("maildir:M", path, move=True)
    first, second = all_of(box)
    box.understood(first)
    box.understood(first)  # another program was faster
    assert [each.name for each in (path / "cur").iterdir()] == [f"{first.name}:2,S"]
    assert [each.name for each in (path / "new").iterdir()] == [second.name]
    assert all_of(box, known=frozenset({second.name}))[0].name == first.name


def test_a_message_that_moves_while_it_is_read_is_found_again(tmp_path: Path) -> None:
    path = maildir(tmp_path / "M", mail(1), mail(2), mail(3))
    reading = Maildir("maildir:M", path).messages(Place(), ())
    first = next(reading)
    (path / "new" / "1001.x.host").rename(path / "cur" / "1001.x.host:2,RS")
    (path / "new" / "1002.x.host").unlink()
    assert bodies([first, *reading]) == [mail(1).rstrip(), mail(2).rstrip()]


def test_what_is_no_maildir_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such Maildir yet"):
        all_of(Maildir("maildir:M", tmp_path / "M"))
    (tmp_path / "M").mkdir()
    with pytest.raises(ConfigError, match="no folders new and cur"):
        all_of(Maildir("maildir:M", tmp_path / "M"))


letters = st.text("abFrom >\n", max_size=80).map(str.encode)


@given(st.lists(letters, max_size=6), st.integers(0, 6))
def test_an_mbox_gives_back_what_was_put_in_from_any_place(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], at: int
) -> None:
    messages = [mail(number) + text for number, text in enumerate(texts)]
    path = tmp_path_factory.mktemp("m") / "mbox"
    path.write_bytes(mbox(*messages))
    found = all_of(Mbox("mbox:m", path))
    assert [each.octets for each in found] == [message + b"\n" * (2 - message.endswith(b"\n")) for message in messages]
    if found[:at]:
        after = found[:at][-1].after
        assert after is not None
        rest = all_of(Mbox("mbox:m", path), after)
        assert [each.octets for each in rest] == [each.octets for each in found[at:]]
        # one byte before that place is another: it is another file, and read from its beginning
        changed = bytearray(path.read_bytes())
        changed[after.last - 1] ^= 1
        path.write_bytes(changed)
        assert len(all_of(Mbox("mbox:m", path), after)) >= len(rest)


def test_an_mbox_that_grows_is_read_on_and_one_that_is_written_to_waits(tmp_path: Path) -> None:
    path = tmp_path / "mbox"
    path.write_bytes(mbox(mail(1)))
    box = Mbox("mbox:mbox", path)
    (first,) = all_of(box)
    assert first.after is not None
    with path.open("ab") as writer:
        child = os.fork()
        if not child:
            try:
                # of the other process's lock this one must know nothing
                assert all_of(box, first.after) == []
                with path.open("ab") as other:
                    fcntl.lockf(other, fcntl.LOCK_EX)
                    other.write(mbox(mail(2)))
                    other.flush()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        fcntl.lockf(writer, fcntl.LOCK_EX)
        child = os.fork()
        if not child:
            os._exit(len(all_of(box, first.after)))
        assert os.waitpid(child, 0)[1] == 0
    assert bodies(all_of(box, first.after)) == [mail(2).rstrip()]
    path.write_bytes(mbox(mail(3)))
    assert bodies(all_of(box, first.after)) == [mail(3).rstrip()]


def test_files_folders_mboxes_and_maildirs_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "one.eml").write_bytes(mail(1))
    (tmp_path / "deep" / "two.EML").write_bytes(mail(2))
    (tmp_path / "deep" / "many.mbox").write_bytes(mbox(mail(3), mail(4)))
    (tmp_path / "README").write_text("not a mail")
    os.mkfifo(tmp_path / "pipe.eml")
    found = all_of(Files(tmp_path, "there"))
    assert bodies(found) == [mail(n).rstrip() for n in (3, 4, 2, 1)]
    assert [each.source for each in found] == [
        *("there/deep/many.mbox:0", found[1].source),
        *("there/deep/two.EML", "there/one.eml"),
    ]
    (single,) = all_of(Files(tmp_path / "one.eml", "one.eml"))
    assert single.source == "one.eml"
    path = maildir(tmp_path / "M", mail(9))
    assert bodies(all_of(Files(path, "M"))) == [mail(9).rstrip()]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert all_of(Files(tmp_path / "empty", "empty")) == []
    (tmp_path / "empty" / "letter.doc").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("nowhere", "no such file"), ("empty", "no mail that we know"), ("pipe", "is no file")):
        with pytest.raises(BadData, match=said):
            all_of(Files(tmp_path / name, name))


def test_standard_input_is_a_message_or_an_mbox_and_is_read_to_its_end() -> None:
    assert bodies(all_of(Stream(io.BytesIO(mail(1))))) == [mail(1).rstrip()]
    assert all_of(Stream(io.BytesIO(b"\n"))) == []
    piped = b"From bounce@x\n" + mail(1) + b"\nFrom here on it is text\n"
    (found,) = all_of(Stream(io.BytesIO(piped)))
    assert found.octets.endswith(b"From here on it is text\n")
    many = [mail(number, "x" * 5000) for number in range(50)]
    assert len(all_of(Stream(io.BytesIO(mbox(*many))))) == 50
    endless = io.BytesIO(mail(1, "x" * (3 * LARGEST)))
    (found,) = all_of(Stream(endless))
    assert len(found.octets) == LARGEST
    assert endless.read() == b""


def test_of_a_large_message_only_the_beginning_is_read(tmp_path: Path) -> None:
    large = mail(1, "x" * (2 * LARGEST))
    path = maildir(tmp_path / "M", large)
    (tmp_path / "mbox").write_bytes(mbox(large, mail(2)))
    (found,) = all_of(Maildir("maildir:M", path))
    assert found.octets == large[:LARGEST]
    assert [len(each.octets) for each in all_of(Mbox("mbox:m", tmp_path / "mbox"))] == [LARGEST, len(mail(2)) + 1]


def test_a_message_is_the_same_however_its_lines_end() -> None:
    assert Found("a", mail(1)).digest == Found("b", mail(1).replace(b"\n", b"\r\n")).digest
    assert Found("a", mail(1)).digest != Found("a", mail(2)).digest


@pytest.mark.parametrize("lines", [3, 20_000])
def test_a_message_is_the_same_in_a_maildir_an_mbox_and_over_imap(tmp_path: Path, lines: int) -> None:
    message = mail(1) + b"From here on: a line\n" * lines
    (tmp_path / "box").write_bytes(mbox(message, mail(2)))
    first = all_of(Mbox("", tmp_path / "box"))[0]
    (second,) = all_of(Maildir("maildir:x", maildir(tmp_path / "Maildir", message)))
    over = Found("imap", message.replace(b"\n", b"\r\n")[:LARGEST])
    assert first.digest == second.digest == over.digest


# IMAP, with a real Dovecot


@pytest.fixture(scope="module")
def store() -> Iterator[dovecot.Dovecot]:
    with dovecot.storing() as running:
        yield running


@pytest.fixture
def fresh(store: dovecot.Dovecot, request: pytest.FixtureRequest) -> tuple[dovecot.Dovecot, str]:
    """A folder of its own for each test."""
    return store, f"T{abs(hash(request.node.name)) % 10**8}"


def imap(store: dovecot.Dovecot, folder: str, tmp_path: Path, *, secret: str = dovecot.TYPED, more: str = "") -> Inbox:
    (tmp_path / "ca.pem").write_bytes((dovecot.TLS / "ca.pem").read_bytes())
    kind = "token_command" if "token" in more else "password_file"
    text = (
        f'{SMALL}[returns]\nmailboxes = [{{ url = "{store.url(folder)}", user = "{dovecot.USER}", {kind} = "p"'
        f', ca_file = "ca.pem"{more.replace(", token", "")} }}]\n'
    )
    (of,) = config.parse(text).returns.mailboxes
    return Imap(of, lambda: secret, str(tmp_path))


@needs_dovecot
def test_imap_resumes_where_it_was_left_and_marks_nothing(fresh: tuple[dovecot.Dovecot, str], tmp_path: Path) -> None:
    store, folder = fresh
    store.deliver(*(mail(n) for n in range(1, 121)), folder=f".{folder}")
    box = imap(store, folder, tmp_path)
    found = all_of(box)
    assert len(found) == 120
    assert sorted(bodies(found)) == sorted(mail(n).replace(b"\n", b"\r\n").rstrip() for n in range(1, 121))
    assert found[0].source == f"{store.url(folder)};UID=1"
    middle = found[59].after
    assert middle is not None
    box.close()
    box.close()
    assert bodies(all_of(box, middle)) == bodies(found[60:])
    last = found[-1].after
    assert last is not None
    assert all_of(box, last) == []
    store.deliver(mail(500), folder=f".{folder}")
    assert bodies(all_of(box, last)) == [mail(500).replace(b"\n", b"\r\n").rstrip()]
    for each in found:
        box.understood(each)
    box.close()
    assert not [line for line in store.flags(folder) if "Seen" in line or "Deleted" in line]
    assert len(store.flags(folder)) == 121


@needs_dovecot
def test_another_uidvalidity_begins_anew(fresh: tuple[dovecot.Dovecot, str], tmp_path: Path) -> None:
    store, folder = fresh
    store.deliver(mail(1), mail(2), folder=f".{folder}")
    box = imap(store, folder, tmp_path)
    last = all_of(box)[-1].after
    box.close()
    assert last is not None
    with store.session() as session:
        session.delete(folder)
    store.deliver(mail(3), folder=f".{folder}")
    found = all_of(box, Place(last.validity - 1 or 7, last.last))
    box.close()
    assert bodies(found) == [mail(3).replace(b"\n", b"\r\n").rstrip()]


@needs_dovecot
def test_a_large_mail_is_fetched_in_part(fresh: tuple[dovecot.Dovecot, str], tmp_path: Path) -> None:
    store, folder = fresh
    store.deliver(mail(1, "x\n" * LARGEST), mail(2), b"", folder=f".{folder}")
    box = imap(store, folder, tmp_path)
    assert sorted(len(each.octets) for each in all_of(box))[1:] == [len(mail(2)) + 4, LARGEST]
    box.close()


@needs_dovecot
def test_what_is_understood_moves_to_a_folder_of_any_name(fresh: tuple[dovecot.Dovecot, str], tmp_path: Path) -> None:
    store, folder = fresh
    store.deliver(mail(1), mail(2), folder=f".{folder}")
    box = imap(store, folder, tmp_path, more=', move_to = "گەڕاوە & \\\\ more"')
    first, second = all_of(box)
    box.understood(first)
    box.close()
    assert len(store.flags(folder)) == 1
    again = all_of(box)
    assert [each.name for each in again] == [second.name]
    box.close()
    moved = imap(store, "%DA%AF%DB%95%DA%95%D8%A7%D9%88%DB%95 & \\\\ more", tmp_path)
    assert bodies(all_of(moved)) == bodies([first])
    moved.close()
    assert "Seen" not in "".join(store.flags(folder))


@needs_dovecot
def test_a_token_opens_as_a_password_does(fresh: tuple[dovecot.Dovecot, str], tmp_path: Path) -> None:
    store, folder = fresh
    store.deliver(mail(1), folder=f".{folder}")
    box = imap(store, folder, tmp_path, secret=dovecot.TOKEN, more=", token")
    assert len(all_of(box)) == 1
    box.close()
    wrong = imap(store, folder, tmp_path, secret="another", more=", token")
    with pytest.raises(MailboxUnavailable, match="does not take this user and token"):
        all_of(wrong)


@needs_dovecot
def test_what_goes_wrong_is_said_without_what_is_secret(fresh: tuple[dovecot.Dovecot, str], tmp_path: Path) -> None:
    store, folder = fresh
    with pytest.raises(MailboxUnavailable, match="does not take this user and password") as refused:
        all_of(imap(store, folder, tmp_path, secret="wrong-secret"))
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(ConfigError, match="no folder 'Nowhere'"):
        all_of(imap(store, "Nowhere", tmp_path))
    (of,) = config.parse(f'{SMALL}[returns]\nmailboxes = ["{store.url()}"]').returns.mailboxes
    with pytest.raises(ConfigError, match="has no user and no password"):
        all_of(Imap(of, None, str(tmp_path)))


@needs_dovecot
@pytest.mark.parametrize("certificate", ["expired", "elsewhere"])
def test_a_certificate_that_is_not_good_ends_it(certificate: str, tmp_path: Path) -> None:
    with (
        dovecot.storing(certificate=certificate) as other,
        pytest.raises(MailboxUnavailable, match="not to be trusted"),
    ):
        all_of(imap(other, "INBOX", tmp_path))


@needs_dovecot
def test_a_store_that_is_gone_is_said(tmp_path: Path) -> None:
    with dovecot.storing() as other:
        box = imap(other, "INBOX", tmp_path)
        assert all_of(box) == []
    with pytest.raises(MailboxUnavailable):
        all_of(box)
    box.close()
    with pytest.raises(MailboxUnavailable, match="refused"):
        all_of(box)
