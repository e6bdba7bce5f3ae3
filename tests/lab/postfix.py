"""A real Postfix on loopback, with a queue, a log and a configuration of its own. It stops by itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DAEMONS = Path("/usr/lib/postfix/sbin")

MAIN = """
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
config_directory = {root}/etc
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{onward}
smtp_host_lookup = native
smtpd_relay_restrictions = permit_mynetworks, reject
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
enable_long_queue_ids = yes
minimal_backoff_time = 1000s
alias_maps =
alias_database =
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
"""


def there() -> bool:
    """Whether one can be started: it changes to a user of its own, so only root may."""
    return os.geteuid() == 0 and (DAEMONS / "master").exists() and (DAEMONS / "postlogd").exists()


@dataclass(frozen=True)
class Postfix:
    """A relay at work."""

    port: int
    log: Path

    def wait_for(self, words: str, times: int = 1) -> None:
        """Until the log has these words so often."""
        end = time.monotonic() + 20
        while self.log.read_text(errors="replace").count(words) < times:
            assert time.monotonic() < end, self.log.read_text(errors="replace")
            time.sleep(0.05)


@contextlib.contextmanager
def relaying(onward: int, main: str = "", master: str = "") -> Iterator[Postfix]:
    """A Postfix that hands everything on to a port of loopback. `main`, `master`: what it is told besides."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    # not under pytest's folder: Postfix's user must reach its queue
    root = Path(tempfile.mkdtemp(prefix="relay"))
    try:
        root.chmod(0o755)
        for name in ("etc", "spool", "data"):
            (root / name).mkdir(mode=0o755)
        shutil.chown(root / "data", "postfix")
        values = {"root": root, "port": port, "onward": onward, "daemons": DAEMONS}
        (root / "etc/main.cf").write_text(MAIN.format(**values) + main)
        (root / "etc/master.cf").write_text(MASTER.format(**values) + master)
        run("start", root)
        try:
            relay = Postfix(port, root / "mail.log")
            end = time.monotonic() + 20
            while not relay.log.exists() or not answers(port):
                assert time.monotonic() < end
                time.sleep(0.05)
            yield relay
        finally:
            run("stop", root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run(verb: str, root: Path) -> None:
    subprocess.run(["/usr/sbin/postfix", "-c", str(root / "etc"), verb], check=True, capture_output=True, timeout=60)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
        return connection.recv(100).startswith(b"220")
    return False
