"""Laws of signatures: two verifiers that are not ours agree, and whatever is altered or added is noticed."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import message
from broadcaster.cli import _run
from broadcaster.dkim import OVERSIGNED, SIGNED, Key, Seal, relaxed_body, relaxed_fields
from broadcaster.errors import ConfigError
from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy, Mail
from broadcaster.subscriber import Subscriber
from tests.conftest import Place
from tests.lab.server import Remote

NOW = int(time.time())  # verifiers look at their own clock
OPENDKIM = shutil.which("opendkim") or shutil.which("/usr/sbin/opendkim")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, word: str = "") -> bytes:
    lock = BestAvailableEncryption(word.encode()) if word else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


PRIVATE = rsa.generate_private_key(65537, 2048)
PEM = pem(PRIVATE)
KEY = Key.parse(PEM)
SEAL = Seal("water.example", "news", KEY)
RECORD = (
    "v=DKIM1; k=rsa; p="
    + base64.b64encode(PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
)


def written(
    subject: str = "Clean water",
    name: str = "Ali",
    html: str = "<p>Hello</p>\n",
    text: str = "Hello\n",
    files: dict[str, bytes] | None = None,
) -> bytes:
    """A copy with every header field that we know of."""
    merge = MergeTemplate("statements/june/en.md", "en", "ltr", subject, "", html, text, tuple(files or ()))
    mail = Mail("الماء للجميع", "news@water.example", "office@water.example", files=files or {})
    page, box = "https://water.example/leave/" + "a" * 120, "mailto:leave@water.example?subject=leave-abc"
    return message.compile(merge, mail).render(
        Copy(
            subscriber=Subscriber(7, "ali@b.example", name),
            list_title="الأخبار",
            list_id="news.water.example",
            list_name="news",
            message_id="<abc@water.example>",
            leave=page,
            unsubscribe=(page, box),
            date=NOW,
            mailing=12,
            one_click=True,
        )
    )


def passes(octets: bytes, published: str = RECORD) -> bool:
    """What dkimpy says. It asks for the record that we would publish."""

    def record(name: bytes, timeout: int = 5) -> bytes:
        return published.encode() if name == b"news._domainkey.water.example." else b""

    return bool(dkimpy.verify(octets, dnsfunc=record))


def tags(octets: bytes) -> dict[str, str]:
    """The tags of the signature on top."""
    head = octets.partition(b"\r\n\r\n")[0].decode()
    found = re.match(r"DKIM-Signature: ((?:.|\r\n )*?)\r\n(?! )", head)
    assert found
    return dict(re.sub(r"\s", "", tag).split("=", 1) for tag in found[1].split(";"))


def test_another_verifier_agrees() -> None:
    assert passes(SEAL.sealed(written(), NOW))


@settings(max_examples=60)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{}\u2028\u2029"), max_size=120),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    st.text(st.sampled_from("a .\t\n<&=ع水🌊"), max_size=300),
)
def test_another_verifier_agrees_whatever_is_written(subject: str, name: str, body: str) -> None:
    assert passes(SEAL.sealed(written(subject, name, f"<pre>{body}</pre>\n", body + "\n"), NOW))


@pytest.mark.skipif(OPENDKIM is None, reason="opendkim is not installed (Debian: apt install opendkim)")
@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        (lambda octets: octets, "succeeded"),
        (lambda octets: octets.replace(b"\r\nSubject:", b"\r\nSUBJECT:  "), "succeeded"),
        (lambda octets: octets.replace(b"Hello", b"hello"), "failed"),
        (lambda octets: b"Subject: pay here\r\n" + octets, "failed"),
        (lambda octets: octets + b"more\r\n", "failed"),
    ],
    ids=["as it is", "spaces", "a letter", "a second subject", "appended"],
)
def test_opendkim_agrees(tmp_path: Path, changed: Callable[[bytes], bytes], verdict: str) -> None:
    keys, settings_, mail = tmp_path / "keys", tmp_path / "opendkim.conf", tmp_path / "copy.eml"
    keys.write_text(f"news._domainkey.water.example {RECORD}\n")
    settings_.write_text(f"Mode v\nSyslog no\nTestPublicKeys {keys}\nIgnoreMalformedMail no\n")
    indented = "<table>\n    <tr>  <td>\tHello</td></tr>   \n</table>\n\n\n"
    mail.write_bytes(changed(SEAL.sealed(written(name="هدى", html=indented, files={"a.pdf": b"%PDF" * 999}), NOW)))
    assert OPENDKIM is not None
    done = subprocess.run(
        [OPENDKIM, "-x", str(settings_), "-t", str(mail)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert re.search(rf"verification .*\b{verdict}\b", done.stdout), done.stdout


@pytest.mark.parametrize("name", sorted(SIGNED & set(OVERSIGNED) | {b"list-id", b"list-help", b"list-owner"}))
def test_a_signed_field_that_is_changed_is_noticed(name: bytes) -> None:
    octets = SEAL.sealed(written(), NOW)
    found = re.search(rb"^(" + name + rb": )", octets.partition(b"\r\n\r\n")[0], re.MULTILINE | re.IGNORECASE)
    if found is None:
        assert name == b"content-transfer-encoding"  # a message of parts has none of its own
        return
    assert not passes(octets.replace(found[0], found[0] + b"x", 1))


@pytest.mark.parametrize("name", OVERSIGNED)
@pytest.mark.parametrize("bottom", [False, True])
def test_no_field_can_be_added(name: bytes, bottom: bool) -> None:
    octets = SEAL.sealed(written(), NOW)
    field = name + b": <x@evil.example>\r\n"
    head, blank, body = octets.partition(b"\r\n\r\n")
    assert not passes(head + b"\r\n" + field[:-2] + blank + body if bottom else field + octets)


@given(st.data())
def test_one_changed_octet_of_a_body_is_noticed(data: st.DataObject) -> None:
    octets = SEAL.sealed(written(text="Hello\n" * 20), NOW)
    start = octets.index(b"\r\n\r\n") + 4
    at = data.draw(st.integers(start, len(octets) - 1))
    octet = data.draw(st.sampled_from(b"ABCxyz019=-"))
    if octet != octets[at]:
        assert not passes(octets[:at] + bytes([octet]) + octets[at + 1 :])


def test_what_is_appended_to_a_body_is_noticed() -> None:
    octets = SEAL.sealed(written(), NOW)
    assert not passes(octets + b"<p>pay here</p>\r\n")
    assert passes(octets + b"\r\n")  # which relays do, and shows nowhere


def test_the_tags_are_the_intended_ones() -> None:
    found = tags(SEAL.sealed(written(), NOW))
    assert set(found) == {"v", "a", "c", "d", "s", "t", "x", "h", "bh", "b"}  # no l: see RFC 6376 §8.2
    assert (found["a"], found["c"], found["d"], found["s"]) == (
        *("rsa-sha256", "relaxed/relaxed", "water.example"),
        "news",
    )
    assert int(found["t"]) == NOW < int(found["x"])
    names = found["h"].split(":")
    octets = written()
    for name in OVERSIGNED:
        there = len(re.findall(rb"^" + name + rb":", octets.partition(b"\r\n\r\n")[0], re.MULTILINE | re.IGNORECASE))
        assert names.count(name.decode()) == there + 1, name
    assert {"list-id", "list-unsubscribe", "list-unsubscribe-post", "feedback-id", "list-help"} <= set(names)
    assert not {"return-path", "received", "bcc", "dkim-signature", "x-auto-response-suppress"} & set(names)


def test_the_field_is_folded_as_any_other_and_nothing_else_changes() -> None:
    plain = written()
    octets = SEAL.sealed(plain, NOW)
    assert octets.endswith(b"\r\n" + plain)
    assert all(len(line) <= 78 for line in octets.removesuffix(plain).split(b"\r\n"))


def test_fields_of_one_name_are_signed_from_the_bottom_up() -> None:
    octets = b"To: a@b.example\r\nFrom: news@water.example\r\nTo: c@d.example\r\n\r\nHello\r\n"
    assert passes(SEAL.sealed(octets, NOW))


@given(st.text(st.sampled_from("ab \t\r:"), max_size=60).map(lambda text: text.replace("\r", "\r\n")))
def test_a_body_is_relaxed_as_others_do_it(text: str) -> None:
    body = text.encode() + b"\r\n"
    assert relaxed_body(body) == dkimpy.canonicalization.Relaxed.canonicalize_body(body)


@given(st.lists(st.tuples(st.sampled_from(["To", "SUBJECT ", "x-Y"]), st.text("a \tב:", max_size=20)), max_size=4))
def test_a_header_is_relaxed_as_others_do_it(fields: list[tuple[str, str]]) -> None:
    raw = [(name.encode(), value.encode().replace(b"a\t", b"a\r\n\t") + b"\r\n") for name, value in fields]
    head = b"".join(name + b":" + value for name, value in raw)
    theirs = dkimpy.canonicalization.Relaxed.canonicalize_headers(raw)
    assert [(name, value + b"\r\n") for name, value in relaxed_fields(head)] == theirs


def test_several_threads_sign_at_once() -> None:
    drafts = [SEAL.draft(written(subject=f"Water {number}"), NOW) for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        sealed = [draft.sealed(signature) for draft, signature in zip(drafts, pool.map(SEAL.sign, drafts), strict=True)]
    assert all(map(passes, sealed))


# keys


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed (Debian: apt install openssl)")
def test_the_manual_makes_a_key_and_the_record_that_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "subscribers").mkdir()
    page = (Path(__file__).parents[1] / "docs" / "dkim.md").read_text("utf-8")
    for command in re.findall(r"^\$ (.*)", page, re.MULTILINE):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, encoding="ascii", check=True)
    seal = Seal("water.example", "news", Key.parse((tmp_path / "subscribers" / "dkim.pem").read_bytes()))
    assert passes(seal.sealed(written(), NOW), f"v=DKIM1; k=rsa; p={done.stdout}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits: 2048 to 4096"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "no RSA key"),
        (pem(rsa.generate_private_key(65537, 2048), "word"), "passphrase"),
    ],
    ids=["empty", "broken", "small", "elliptic", "edwards", "locked"],
)
def test_a_key_that_is_no_good_is_refused_with_a_way_out(text: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Key.parse(text, where="dkim.pem")
    assert caught.value.where == "dkim.pem"
    assert "openssl genrsa" in (caught.value.hint or "")


def test_no_key_is_shown() -> None:
    assert repr(KEY) == "Key(2048 bits)"


@pytest.mark.parametrize("bad", ["a\r\nBcc: x", "a;b", "a b", "", "ü", "a\x00", "a\u2028"])
def test_a_name_that_could_end_the_field_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="is no selector"):
        Seal("water.example", bad, KEY)
    with pytest.raises(ConfigError, match="is no domain"):
        Seal(bad, "news", KEY)


# the whole way

DKIM = '\n[dkim]\ndomain = "water.example"\nselector = "news"\nkey_file = "dkim.pem"\n'
TEXT = "---\nsubject: Water\npreheader: Read on\n---\nDear {{ subscriber.name }}, come.\n"


@pytest.fixture
def signing(place: Place, server: Remote) -> Place:
    """A workspace that signs, with one person and one statement."""
    place.configure(server.port, more=DKIM)
    key = place.root / "dkim.pem"
    key.write_bytes(PEM)
    key.chmod(0o600)
    place.statement("june", en=TEXT)
    place.people("email,name\nako@a.example,Ako\n")
    return place


def test_what_is_sent_and_tested_and_rendered_is_signed(signing: Place, server: Remote, tmp_path: Path) -> None:
    config = signing.root / "broadcaster.toml"
    click = '[links]\nsite = "https://news.water.example"\none_click = true\n'
    config.write_text(config.read_text("utf-8").replace("[links]\n", click), "utf-8")
    signing.run("send", "june", "--list", "news", "--yes")
    signing.run("test", "june", "me@b.example")
    signing.run("render", "june", "-o", str(tmp_path / "look"))
    mailed = [found.data for found in server.messages]
    assert len(mailed) == 2
    for octets in (*mailed, (tmp_path / "look" / "en.eml").read_bytes()):
        assert passes(octets)
        assert re.search(rb"\r\nList-Unsubscribe: <https://news\.water\.example/leave/[a-z2-7]+>,\r\n <mailto:", octets)
        assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in octets


def test_without_one_click_the_link_is_a_mail(signing: Place, server: Remote) -> None:
    config = signing.root / "broadcaster.toml"
    config.write_text(
        config.read_text("utf-8").replace("[links]\n", '[links]\nsite = "https://news.water.example"\n'), "utf-8"
    )
    signing.run("send", "june", "--list", "news", "--yes")
    (octets,) = [found.data for found in server.messages]
    assert passes(octets)
    assert b"\r\nList-Unsubscribe: <mailto:leave@water.example?subject=leave-" in octets
    assert b"https://news.water.example" not in octets
    assert b"List-Unsubscribe-Post" not in octets.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("command", ["check june", "send june --list news --yes", "prepare june --list news"])
def test_a_key_that_is_missing_or_open_stops_everything(
    signing: Place, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    key = signing.root / "dkim.pem"
    key.chmod(0o644)
    assert _run(["-C", str(signing.root), *command.split()]) == 78
    assert "dkim.pem: can be read by others" in capsys.readouterr().err
    key.unlink()
    assert _run(["-C", str(signing.root), *command.split()]) == 78
    assert "dkim.pem: is missing" in capsys.readouterr().err
    assert _run(["-C", str(signing.root), "status"]) == 0


def test_a_key_is_inside_the_workspace_or_named_whole(
    signing: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, elsewhere = signing.root / "broadcaster.toml", tmp_path / "else.pem"
    (signing.root / "dkim.pem").rename(elsewhere)
    text = config.read_text("utf-8")
    for file, status in ((f"../{elsewhere.name}", 78), (str(elsewhere), 0)):
        config.write_text(text.replace('"dkim.pem"', f'"{file}"'), "utf-8")
        assert _run(["-C", str(signing.root), "check", "june"]) == status
    assert "lies outside the workspace" in capsys.readouterr().err
