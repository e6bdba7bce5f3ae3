"""No secret and nobody's address is where it was not asked for, whatever command runs and however it ends.

Every secret and one person are canaries: texts that are nowhere else. A new command needs a row in `ROWS`.
"""

from __future__ import annotations

import base64
import functools
import os
import shlex
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from socket import create_server

import click
import pytest

from broadcaster.cli import broadcaster
from broadcaster.cli.house import House
from broadcaster.delivery import Reply, Stage, told
from broadcaster.relay import unrepeated
from broadcaster.resolver import Resolver
from tests.conftest import CONFIG, Place
from tests.lab.circle import RETURNS, dsn, taken
from tests.lab.failing import Fault, files
from tests.lab.server import TLS, Rule, running
from tests.lab.world import World, world

FILE, ENV, COMMAND, TOKEN, IMAP = (f"zaunkoenig-{each}-Q7xW" for each in "fecti")
ADDRESS, NAME, FIELD = "gartenrotschwanz.q7@leser.example", "Wendelin Zilpzalp", "Vogelwarte-q7"
OTHER = "p2@example.org"
# what no terminal may be told: a title, a cleared screen, a link, text that runs backwards
HARM = "\x1b]0;owned\x07\x1b[2J\x1b]8;;https://evil.example\x1b\\\u202e\u2028\x9b31m"
# where secrets are at home; the configuration of a world may hold one by mistake
KEPT = {"relay.password", "relay.command", "relay.token", "imap.password", "secret.key", "dkim.pem", "broadcaster.toml"}
HARMFUL = frozenset("\x1b\x07\x9b\u202e\u2028")

# command → what to call it with; {name}: what `Aviary.named` says. One line for each way in, also such as must fail.
ROWS: Mapping[str, Sequence[str]] = {
    "init": ("init {new}", "init {root}"),
    "demo": ("demo {root}", "demo --dry-run"),
    "doctor": ("doctor --all", "doctor --json", "doctor --offline files"),
    "lists show": ("lists", "lists --json"),
    "lists create": ("lists create board --title {harm}", "lists create news", "lists create {harm}"),
    "lists edit": ("lists edit news --title {harm}", "lists edit nobody --title x"),
    "lists delete": ("lists delete news --yes", "lists delete news"),
    "subscribers find": ("subscribers", "subscribers --json --where {harm}", "subscribers --list nobody"),
    "subscribers show": ("subscribers show {address}", "subscribers show {other} --json", "subscribers show x"),
    "subscribers add": ("subscribers add {address} --list news --consent {harm}", "subscribers add x --list news"),
    "subscribers edit": ("subscribers edit {other} --name {harm}", "subscribers edit {other} --address {address}"),
    "subscribers remove": ("subscribers remove {other} --reason {harm}", "subscribers remove nobody@leser.example"),
    "subscribers unsubscribe": ("subscribers unsubscribe {other}", "subscribers unsubscribe rotschwanz@leser.example"),
    "subscribers export": ("subscribers export --json", "subscribers export -o {new}", "subscribers export -o {file}"),
    "subscribers import": ("subscribers import {file} --list news --yes", "subscribers import {wrong} --list news"),
    "subscribers imports": ("subscribers imports", "subscribers imports --json", "subscribers imports --list {harm}"),
    "subscribers undo": ("subscribers undo 1 --yes", "subscribers undo 1 --dry-run --json", "subscribers undo 99"),
    "subscribers erase": ("subscribers erase {address} --yes", "subscribers erase {other}", "subscribers erase x"),
    "subscribers dossier": ("subscribers dossier {address} --json", "subscribers dossier nobody@leser.example"),
    "segments show": ("segments", "segments --json"),
    "segments save": ("segments save ours --where 'city is set'", "segments save x --where {harm}"),
    "segments edit": ("segments edit saved --where 'name is set'", "segments edit saved --where {harm}"),
    "segments delete": ("segments delete saved --yes", "segments delete {harm} --yes"),
    "audience": ("audience june --list news", "audience june --list news --json", "audience june --where {harm}"),
    "suppressions show": ("suppressions", "suppressions --json"),
    "suppressions add": ("suppressions add {other} --reason {harm}", "suppressions add x --reason y"),
    "suppressions remove": ("suppressions remove {other}", "suppressions remove x"),
    "why": ("why {address}", "why {other} --json", "why nobody@leser.example"),
    "log": ("log", "log --json", "log --subscriber {address}", "log --who {harm}"),
    "new": ("new july", "new {harm}"),
    "check": ("check june", "check june --json", "check broken"),
    "render": ("render june --as {address} -o {new}", "render june -o {new}", "render broken -o {new}"),
    "test": ("test june office@water.example --as {address}", "test broken {other}", "test june x"),
    "prepare": ("prepare june --list news", "prepare broken --list news", "prepare june --list nobody"),
    "approve": ("approve 1", "approve 1 --json --dry-run", "approve 2", "approve 1 --digest {harm}"),
    "send": ("send 1 --yes", "send june --list news --again --yes --json", "send 2 --yes", "send broken --list news"),
    "mailings": ("mailings", "mailings --json"),
    "status": ("status", "status 2 --json", "status 2 --deliveries", "status 2 --deliveries --json", "status 7"),
    "report": ("report 2", "report 2 --json", "report 2 -o {new}", "report 7"),
    "pause": ("pause 2", "pause 7"),
    "resume": ("resume 2", "resume 7"),
    "cancel": ("cancel 2 --yes", "cancel 2"),
    "resolve": ("resolve 2 --accept --yes", "resolve 2 --from-log {wrong} --yes", "resolve 2 {other} --resend --yes"),
    "collect": ("collect", "collect {back} --json", "collect {wrong}", "collect --believe 2"),
    "bounces": ("bounces", "bounces --json", "bounces --csv", "bounces --kind x"),
    "run": ("run", "run --json"),
    "schedule show": ("schedule", "schedule --json"),
    "schedule install": ("schedule install --dry-run", "schedule install --systemd --dry-run --json --every 1m"),
    "schedule remove": ("schedule remove --dry-run", "schedule remove --dry-run --json"),
    "encrypt": ("encrypt", "encrypt --dry-run --json"),
    "rekey": ("rekey", "rekey --new-key-file {wrong}"),
    "decrypt": ("decrypt", "decrypt --dry-run"),
    "backup": ("backup", "backup --json --with-passwords", "backup --to {harm}", "backup --check {wrong}"),
    "restore": ("restore {wrong} {new}", "restore {file} {new} --json", "restore {wrong} {new} --mark {file}"),
    "forget": ("forget", "forget --dry-run --json"),
    "completion": ("completion bash", "completion fish --json", "completion zsh --install --dry-run"),
}
# whose very job it is to show people, unasked: what they write to standard output may name them
SHOW = {"subscribers find", "subscribers export", "subscribers import", "suppressions show", "status", "bounces"}
SHOW |= {"collect", "audience"}


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its path."""
    if not isinstance(command, click.Group):
        yield context.command_path.removeprefix("broadcaster "), command
        return
    for verb in command.list_commands(context):
        found = command.get_command(context, verb)
        assert found is not None
        yield from leaves(found, click.Context(found, info_name=verb, parent=context))


# with the settings of the program: click keeps the first help option that it makes
TOP = click.Context(broadcaster, info_name="broadcaster", **broadcaster.context_settings)
COMMANDS = dict(leaves(broadcaster, TOP))


def test_every_command_is_among_those_that_are_tried() -> None:
    assert set(ROWS) == set(COMMANDS)
    assert all(ROWS.values())
    assert set(COMMANDS) >= SHOW


def test_no_option_takes_a_secret_as_its_value() -> None:
    """Whoever lists the processes of a machine would read it."""
    for path, command in COMMANDS.items():
        for parameter in command.params:
            words = {word for each in (parameter.name or "", *parameter.opts) for word in each.strip("-").split("-")}
            secret = {"password", "passwort", "passphrase", "secret", "token", "key", "pin", "credentials"} & words
            # a file with one in it is none, nor is the wish to be asked for it, or a command that tells it
            told = isinstance(parameter.type, click.Path) or getattr(parameter, "is_flag", False) or "command" in words
            assert not secret or told, (path, parameter.name)


# the aviary


@dataclass(frozen=True)
class Aviary:
    """A workspace full of canaries, and what it was made with."""

    here: World
    keys: Sequence[bytes]  # secret.key and the private key of DKIM, as they are in their files

    @property
    def named(self) -> dict[str, str]:
        beside = self.here.root.parent
        return {
            "address": ADDRESS,
            "other": OTHER,
            "harm": HARM,
            "root": str(self.here.root),
            "new": str(beside / "new"),
            "file": str(beside / "people.csv"),
            "wrong": str(beside / f"wrong{HARM.replace('/', '')}.csv"),
            "back": str(beside / "back"),
        }

    def words(self, row: str) -> list[str]:
        return [word.format(**self.named) for word in shlex.split(row)]

    def copied(self, into: Path) -> Aviary:
        shutil.copytree(self.here.root.parent, into)
        return replace(self, here=World(into / "workspace"))

    @functools.cached_property
    def secrets(self) -> list[bytes]:
        """Every form in which a secret would be met."""
        forms = [each.encode() for each in (FILE, ENV, COMMAND, TOKEN, IMAP)]
        forms += [base64.b64encode(b"\0anna\0" + each) for each in forms]
        forms += [base64.b64encode(f"user=anna\1auth=Bearer {TOKEN}\1\1".encode())]
        signing, dkim = self.keys
        forms += [signing, signing.hex().encode(), base64.b64encode(signing), base64.urlsafe_b64encode(signing)]
        return [*forms, repr(signing)[2:-1].encode(), *(line for line in dkim.splitlines() if len(line) == 64)]

    def secrets_in(self, octets: bytes) -> list[bytes]:
        return [secret for secret in self.secrets if secret in octets]


def configured(root: Path, port: int, imap: int) -> None:
    """Four relays on one port, each with its password elsewhere; a Maildir and a mailbox; a key to sign with."""
    relays = "".join(
        f'\n[relays.{name}]\nurl = "smtp://127.0.0.1:{port}"\ntls = "none"\nlimits = []\nuser = "anna"\n{secret}\n'
        for name, secret in (
            ("file", 'password_file = "relay.password"'),
            ("env", 'password_env = "RELAY_WORD"'),
            ("command", 'password_command = "cat relay.command"'),
            ("token", 'token_command = "cat relay.token"'),
        )
    )
    box = f'url = "imaps://localhost:{imap}/INBOX", user = "anna", password_file = "imap.password"'
    text = CONFIG[: CONFIG.index("[relays.main]")].replace("[returns]\n", RETURNS)
    text = text.replace('["maildir:returns"]', f'["maildir:returns", {{ {box}, ca_file = "{TLS / "ca.pem"}" }}]')
    text += f'{relays}\n[dkim]\ndomain = "water.example"\nselector = "news"\nkey_file = "dkim.pem"\n'
    (root / "broadcaster.toml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Aviary:
    """Mailing 1 is ready; of mailing 2 the canary was refused, and somebody is in doubt. Made once."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    here = world(tmp_path_factory.mktemp("aviary") / "workspace")
    root, beside = here.root, here.root.parent
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    for name, text in (
        ("relay.password", FILE.encode()),
        ("relay.command", COMMAND.encode()),
        ("relay.token", TOKEN.encode()),
        ("imap.password", IMAP.encode()),
        ("dkim.pem", key),
    ):
        (root / name).write_bytes(text)
        (root / name).chmod(0o600)
    # styles are half of what all this costs, and nobody's secret
    (root / "templates" / "statement.html").write_text(LAYOUT, encoding="utf-8")
    shutil.rmtree(root / "statements" / "clean-water")
    (root / "statements" / "broken").mkdir()
    (root / "statements" / "broken" / "en.md").write_text("---\nsubject: x\n---\n{{ subscriber.nowhere }} {% if %}\n")
    joining = ("subscribers", "add", ADDRESS, "--list", "news", "--name", NAME, "--consent", "paper")
    here.run(*joining, "--set", f"city={FIELD}")
    here.run("subscribers", "edit", "p3@example.org", "--name", f"Ako{HARM}", "--set", f"city={HARM}")
    here.run("segments", "save", "saved", "--where", "city is set")
    here.run("subscribers", "unsubscribe", "p4@example.org", "--reason", HARM)
    here.run("suppressions", "add", "p4@example.org", "--reason", f"no{HARM}")
    with running(*REFUSED) as lab:
        here.configure(lab.port)
        file = root / "broadcaster.toml"
        file.write_text(file.read_text(encoding="utf-8").replace("[returns]\n", RETURNS), encoding="utf-8")
        here.run("send", "june", "--list", "news", "--again", "--yes", status=75)
        copies = taken(lab.messages)
    (beside / "people.csv").write_text(f"email,name,city\n{ADDRESS},{NAME} II,{FIELD}\nx,{HARM},\n", encoding="utf-8")
    (beside / Path(Aviary(here, ()).named["wrong"]).name).write_bytes(b"\x89PNG\r\n\x1a\n\0\0\xff" + ADDRESS.encode())
    (beside / "back").mkdir()
    report = dsn(copies["p1@example.org"].sender, ADDRESS, words=f"550 5.1.1 <{ADDRESS}> {HARM} {NAME}")
    (beside / "back" / "1.eml").write_text(report, encoding="utf-8")
    for folder in ("cur", "new", "tmp"):
        (root / "returns" / folder).mkdir(parents=True, exist_ok=True)
    (root / "returns" / "new" / "1000.1.host").write_text(report, encoding="utf-8")
    with closing(sqlite3.connect(here.database)) as conn:
        # somebody else has prepared mailing 1, whoever we are
        conn.execute("update preparer set uid = uid + 1, account = account + 1, known = 1")
        conn.commit()
        conn.execute("pragma wal_checkpoint(truncate)")
    return Aviary(here, ((root / "subscribers" / "secret.key").read_bytes(), key))


LAYOUT = """<!doctype html><html lang="{{ language }}" dir="{{ direction }}"><head><title>x</title></head><body>
{{ statement.body }} <p>{{ sender.name }}, {{ sender.postal_address }} <a href="{{ links.leave }}">Leave</a></p>
</body></html>
"""
QUOTED = (
    f"<{ADDRESS}> {FILE} {ENV} {COMMAND} {TOKEN} {base64.b64encode(f'{chr(0)}anna{chr(0)}{FILE}'.encode()).decode()}"
)
REFUSED = (
    Rule("rcpt", raw=f"550 5.1.1 <{ADDRESS}> {HARM} no such user\r\n".encode().decode("latin-1"), address=ADDRESS),
    Rule("dot", then="close", address=OTHER),
)


@contextmanager
def refusing_imap() -> Iterator[int]:
    """A mailbox that takes no password, and says which it was that it did not take. Its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "good.pem")
    listener = create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as client:
                    client.sendall(b"* OK IMAP4rev1\r\n")
                    said = client.makefile("rb")
                    while line := said.readline():
                        tag, verb = (*line.split(), b"")[:2]
                        if verb.upper() == b"AUTHENTICATE":
                            client.sendall(b"+ \r\n")
                            line = base64.b64decode(said.readline()).replace(b"\0", b" ")
                        if verb.upper() in (b"AUTHENTICATE", b"LOGIN"):
                            client.sendall(tag + b" NO [AUTHENTICATIONFAILED] not " + line.strip() + b"\r\n")
                        else:
                            client.sendall(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK\r\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


# the worlds in which each row is tried

Trouble = Callable[[Aviary], AbstractContextManager[object]]


def well(_: Aviary) -> AbstractContextManager[object]:
    return nullcontext()


def misconfigured(of: Aviary) -> AbstractContextManager[object]:
    file = of.here.root / "broadcaster.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"smtp://', f'"smtp://anna:{FILE}@') + f'\npassword = "{ENV}"\n', encoding="utf-8")
    return nullcontext()


def mistyped(of: Aviary) -> AbstractContextManager[object]:
    """A password where its place should be."""
    file = of.here.root / "broadcaster.toml"
    text = file.read_text(encoding="utf-8").replace('"relay.password"', f'"{FILE}"').replace("RELAY_WORD", ENV)
    file.write_text(text.replace("cat relay.command", f"echo {COMMAND} >&2; exit 3"), encoding="utf-8")
    return nullcontext()


def damaged(of: Aviary) -> AbstractContextManager[object]:
    whole = bytearray(of.here.database.read_bytes())
    for place in range(5000, len(whole), 997):
        whole[place] ^= 0xFF
    of.here.database.write_bytes(whole)
    return nullcontext()


def full(of: Aviary) -> AbstractContextManager[object]:
    return files(Fault(4, for_ever=True), "full", of.here.root)


WORLDS: Mapping[str, tuple[Trouble, Sequence[Rule]]] = {
    "well": (well, REFUSED),
    "refused": (well, (Rule("auth", raw=f"535 5.7.8 {QUOTED} {HARM}\r\n".encode().decode("latin-1")),)),
    "misconfigured": (misconfigured, ()),
    "damaged": (damaged, ()),
    "full": (full, REFUSED),
}


@pytest.mark.parametrize("world_", WORLDS)
def test_no_canary_is_heard(world_: str, aviary: Aviary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble, rules = WORLDS[world_]
    monkeypatch.setenv("RELAY_WORD", ENV)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    # nobody on the internet is asked anything
    monkeypatch.setattr(House, "resolver", Resolver(("127.0.0.1",), 9, patience=0.1))
    found: list[str] = []
    with running(*rules, users={"anna": FILE}) as lab, refusing_imap() as imap:
        for number, (path, row) in enumerate((path, row) for path, rows in ROWS.items() for row in rows):
            of = aviary.copied(tmp_path / str(number))
            configured(of.here.root, lab.port, imap)
            with trouble(of):
                said = of.here.run(*of.words(row), status=None)
            found += heard(of, path, row, said.out, said.err)
            shutil.rmtree(of.here.root.parent)
    assert not found, "\n".join(found)
    assert not list((tmp_path / "tmp").iterdir())
    if world_ == "well":
        assert lab.messages


def heard(of: Aviary, path: str, row: str, out: str, err: str) -> list[str]:
    """What a command should not have said or left behind, each in a line."""
    found = []
    asked = "{address}" in row
    if of.secrets_in((out + err).encode("utf-8", "replace")):
        found.append("a secret is told")
    if any(each in err for each in (NAME, FIELD)) or (ADDRESS in err and not asked):
        found.append("a person is named in what is only said")
    if any(each in out for each in (ADDRESS, NAME, FIELD)) and not asked and path not in SHOW:
        found.append("a person is shown whom nobody asked for")
    if harm := HARMFUL & set(out + err):
        found.append(f"the terminal is told {sorted(harm)}")
    left = (file for file in of.here.root.parent.rglob("*") if file.is_file() and file.name not in KEPT)
    found += [f"a secret is in {file.name}" for file in left if of.secrets_in(file.read_bytes())]
    # a damaged one is quoted by what SQLite says of it
    with suppress(sqlite3.DatabaseError, UnicodeError), closing(sqlite3.connect(of.here.database)) as conn:
        log = repr(conn.execute("select * from audit").fetchall())
        if any(each in log for each in (ADDRESS, NAME, FIELD, "owned", "@")):
            found.append("the audit log holds what a person wrote")
    return [f"{row}: {each}\n    {out[:1500]!r}\n    {err[:1500]!r}" for each in found]


def test_a_password_in_the_wrong_place_is_not_repeated(
    aviary: Aviary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_WORD", ENV)
    with running() as lab, refusing_imap() as imap:
        for number, row in enumerate(("send 1 --yes", "run", "test june office@water.example", "check june")):
            of = aviary.copied(tmp_path / str(number))
            configured(of.here.root, lab.port, imap)
            mistyped(of)
            said = of.here.run(*of.words(row), status=None)
            assert not heard(of, row.split()[0], row, said.out, said.err)


def test_what_a_relay_says_of_a_password_is_kept_but_for_the_password() -> None:
    said = "5.7.139 Authentication unsuccessful, it is switched off for anna"
    assert unrepeated(said, "anna", FILE) == said
    assert unrepeated(said, "", "") == said
    for form in (FILE, FILE.upper(), base64.b64encode(FILE.encode()).decode(), QUOTED):
        told_ = unrepeated(f"5.7.8 wrong: {form}", "anna", FILE)
        assert told_.startswith("5.7.8 ")
        assert FILE.lower() not in told_.lower()
        assert form not in told_


def test_whom_a_relay_refuses_is_not_named_in_what_is_only_said() -> None:
    reply = Reply(Stage.RCPT, 550, f"5.1.1 <{ADDRESS}>: {ADDRESS} unknown, see https://help.example/?p=NoSuchUser")
    assert told(reply) == "550 5.1.1 <…@leser.example>: …@leser.example unknown, see https://help.example/?p=NoSuchUser"


# processes


def tree(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, int] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parents[int(each.name)] = int((each / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def carried(process: int, not_yet: int) -> dict[str, bytes]:
    """What everybody on the machine, or its owner, can read of a process: nothing before it is one of its own."""
    found = {}
    with suppress(OSError):
        here = Path(f"/proc/{process}")
        # the environment first: who becomes a program of his own in between is looked at next time
        found = {f"{process} {name}": (here / name).read_bytes() for name in ("environ", "comm", "cmdline")}
        if found[f"{process} cmdline"] == Path(f"/proc/{not_yet}/cmdline").read_bytes():
            return {}
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
@pytest.mark.parametrize("row", ["send 1 --yes", "collect {back} maildir:back", "run"])
def test_no_process_carries_a_secret_in_arguments_title_or_environment(
    aviary: Aviary, tmp_path: Path, row: str
) -> None:
    of = aviary.copied(tmp_path / "a")
    with running(Rule("dot", delay=0.05), users={"anna": FILE}) as lab, refusing_imap() as imap:
        configured(of.here.root, lab.port, imap)
        file = of.here.root / "broadcaster.toml"
        file.write_text(file.read_text(encoding="utf-8").replace("cat relay.", "sleep 0.1; cat relay."))
        seen: dict[str, bytes] = {}
        started = subprocess.Popen(
            Place(of.here.root).command(*of.words(row)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "RELAY_WORD": ENV},
        )
        talk: list[bytes] = []
        listening = threading.Thread(target=lambda: talk.extend(started.communicate()))
        listening.start()
        limits = b""
        while started.poll() is None:
            with suppress(OSError):
                limits = Path(f"/proc/{started.pid}/limits").read_bytes() or limits
            for process in tree(started.pid)[1:]:
                for about, octets in carried(process, not_yet=started.pid).items():
                    seen[about] = seen.get(about, b"") + octets
            time.sleep(0.01)
        listening.join(30)
    assert seen, "nobody was started"
    assert b"Max core file size 0 0" in b" ".join(limits.split())
    for about, octets in seen.items():
        assert not of.secrets_in(octets), about
        assert ADDRESS.encode() not in octets, about
    assert not heard(of, row.split()[0], row, *(each.decode() for each in talk))
