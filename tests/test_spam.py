"""What filters think of the default layout: nothing, but for what this bench lacks."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broadcaster.cli import _run
from tests.conftest import Place
from tests.test_pictures import png

SPAMASSASSIN = shutil.which("spamassassin")
RSPAMD, RSPAMC = shutil.which("rspamd"), shutil.which("rspamc")
LANGUAGES = ("en", "ar", "ckb")

# Of a copy that no server has handled yet; and MAILING_LIST_MULTI, which counts for us.
ARTEFACTS = {"NO_RECEIVED", "NO_RELAYS", "MAILING_LIST_MULTI"}
# The same (the host that hands it in has no name); text in base64, the shorter way to write Arabic; the preheader.
COSTS = {"HFILTER_HOSTNAME_UNKNOWN", "MIME_BASE64_TEXT", "MANY_INVISIBLE_PARTS"}


@pytest.fixture(params=["plain", "logo"])
def copies(place: Place, request: pytest.FixtureRequest) -> dict[str, Path]:
    """The sample statement in three languages, in the default layout without and with a logo that travels with it."""
    if request.param == "logo":
        (place.root / "templates" / "logo.png").write_bytes(png(220, 56))
        with (place.root / "broadcaster.toml").open("a") as file:
            file.write('\n[theme]\nlogo = "logo.png"\n')
    for words in (
        "lists create news",
        "subscribers add zainab@reader.example --name Zainab --set city=Basra --list news --consent asked",
        f"render clean-water --as zainab@reader.example -o {place.root / 'look'}",
    ):
        assert _run(["-C", str(place.root), *words.split()]) == 0
    return {tag: place.root / "look" / f"{tag}.eml" for tag in LANGUAGES}


@pytest.mark.skipif(SPAMASSASSIN is None, reason="needs spamassassin")
def test_spamassassin_finds_nothing_but_html(copies: dict[str, Path], tmp_path: Path) -> None:
    # local rules, no network; its own files in a home of its own
    command = [str(SPAMASSASSIN), "-L", "-t", "-x", "--siteconfigpath=/etc/spamassassin"]
    runs = {
        tag: subprocess.Popen(
            [*command, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        )
        for tag, path in copies.items()
    }
    for tag, run in runs.items():
        said, _ = run.communicate(timeout=60)
        found = re.findall(r"^ ?-?[0-9.]+ +([A-Z][A-Z0-9_]+)", said.partition("pts rule name")[2], re.MULTILINE)
        assert set(found) - ARTEFACTS == {"HTML_MESSAGE"}, (tag, said)


CONFIG = """
.include "/etc/rspamd/common.conf"
options {{
  .include "/etc/rspamd/options.inc"
  filters = "chartable,regexp";
  pidfile = "{0}/pid"; cache_file = "{0}/cache"; dynamic_conf = "{0}/dynamic"; history_file = "{0}/history";
  control_socket = "{0}/socket mode=0600"; rrd = ""; stats_file = "{0}/stats"; hs_cache_dir = "{0}/"; tempdir = "{0}";
  url_tld = "{0}/domains";
  dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.05s; retransmits = 1; }}
}}
logging {{ type = "file"; filename = "{0}/log"; level = "error"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{1}"; mime = true; count = 1; enabled = true; }}
"""


@pytest.fixture
def rspamd(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """A daemon of our own on loopback that asks nobody."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = tmp_path / "rspamd"
    place.mkdir()
    # the real list of domains takes a quarter of a minute to compile
    (place / "domains").write_text("example\norg\n")
    (place / "conf").write_text(CONFIG.format(place, port))
    user = [] if os.getuid() else ["-i", "-u", "root", "-g", "root"]
    with (place / "out").open("wb") as out:
        daemon = subprocess.Popen([str(RSPAMD), "-f", *user, "-c", str(place / "conf")], stdout=out, stderr=out)
    try:
        until = time.monotonic() + 60
        while daemon.poll() is None and time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail((place / "out").read_text()[-2000:])

        def judged(path: Path) -> str:
            command = [str(RSPAMC), "-h", f"127.0.0.1:{port}", "symbols", str(path)]
            return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True).stdout

        yield judged
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.mark.skipif(RSPAMD is None or RSPAMC is None, reason="needs rspamd")
def test_rspamd_finds_nothing_that_costs(copies: dict[str, Path], rspamd: Callable[[Path], str]) -> None:
    for tag, path in copies.items():
        said = rspamd(path)
        assert "Action: no action" in said
        scores = {name: float(score) for name, score in re.findall(r"Symbol: (\w+) \((-?[0-9.]+)\)", said)}
        assert "MIME_GOOD" in scores, said
        assert {name for name, score in scores.items() if score > 0} <= COSTS, (tag, said)
