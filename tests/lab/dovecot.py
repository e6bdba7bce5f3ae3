"""A real Dovecot on loopback: one user, IMAP over TLS, a configuration, mail and log of its own. It stops by itself."""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = Path("/usr/sbin/dovecot")
TLS = Path(__file__).parent / "tls"
USER, PASSWORD, TOKEN = "bounces@water.example", "geheim, نهێنی", "a.long-token"
TYPED = PASSWORD  # what a person would write into the password's file

CONF = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{root}/{certificate}
ssl_key = <{root}/{certificate}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = yes
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
mail_location = maildir:{root}/mail/Maildir
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {root}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/users
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={root}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
{more}
"""
OAUTH = """
tokeninfo_url = http://127.0.0.1:{tokens}/token?access_token=
username_attribute = email
introspection_mode = auth
"""


def there() -> bool:
    """Whether one can be started: it changes to users of its own, so only root may."""
    return os.geteuid() == 0 and PROGRAM.exists()


@dataclass(frozen=True)
class Dovecot:
    """A mail store at work."""

    port: int
    root: Path

    @property
    def maildir(self) -> Path:
        return self.root / "mail" / "Maildir"

    def url(self, folder: str = "INBOX") -> str:
        return f"imaps://localhost:{self.port}/{folder}"

    def deliver(self, *messages: bytes, folder: str = "") -> None:
        """Put messages into a folder, as a mail server would."""
        place = self.maildir / folder
        for name in ("tmp", "new", "cur"):
            (place / name).mkdir(parents=True, exist_ok=True)
        for message in messages:
            file = place / "new" / f"{time.time_ns() // 1000}.{os.urandom(4).hex()}.lab"
            file.write_bytes(message)
        self.own()

    def own(self) -> None:
        for path in [self.root / "mail", *(self.root / "mail").rglob("*")]:
            shutil.chown(path, "dovecot", "dovecot")

    @contextlib.contextmanager
    def session(self) -> Iterator[imaplib.IMAP4_SSL]:
        """Somebody's mail program."""
        context = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
        with imaplib.IMAP4_SSL("localhost", self.port, ssl_context=context, timeout=20) as session:
            session.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
            yield session

    def flags(self, folder: str = "INBOX") -> list[str]:
        """The flags of each message there."""
        with self.session() as session:
            session.select(f'"{folder}"', readonly=True)
            _, lines = session.uid("FETCH", "1:*", "(FLAGS)")
            return [line.decode() for line in lines if isinstance(line, bytes)]


class _Tokens(BaseHTTPRequestHandler):
    """Who asks whose token this is. Others are nobody's."""

    def do_GET(self) -> None:
        good = self.path.endswith(f"access_token={TOKEN}")
        body = f'{{"email": "{USER}"}}'.encode() if good else b"{}"
        self.send_response(200 if good else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def storing(*, certificate: str = "good", mechanisms: str = "plain login xoauth2", more: str = "") -> Iterator[Dovecot]:
    """A Dovecot with an empty INBOX."""
    port = _free()
    root = Path(tempfile.mkdtemp(prefix="store"))
    tokens = ThreadingHTTPServer(("127.0.0.1", 0), _Tokens)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    try:
        root.chmod(0o755)
        for name in ("run", "state", "mail"):
            (root / name).mkdir(mode=0o755)
        shutil.copyfile(TLS / f"{certificate}.pem", root / f"{certificate}.pem")
        (root / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
        (root / "oauth2.conf").write_text(OAUTH.format(tokens=tokens.server_port))
        values = {
            "root": root,
            "port": port,
            "certificate": f"{certificate}.pem",
            "mechanisms": mechanisms,
            "more": more,
        }
        (root / "dovecot.conf").write_text(CONF.format(**values))
        server = subprocess.Popen(
            [str(PROGRAM), "-F", "-c", str(root / "dovecot.conf")], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _wait(server, port)
            store = Dovecot(port, root)
            store.deliver()
            yield store
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)
    finally:
        tokens.shutdown()
        tokens.server_close()
        shutil.rmtree(root, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    server.kill()
    raise AssertionError(server.communicate()[1].decode(errors="replace"))
