"""`schedule`: the line of a crontab and the units of systemd, by the real crontab(1), systemctl(1) and shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import BadData
from broadcaster.job import Job
from tests.conftest import Place, Ran

SPOOL = "/var/spool/cron/crontabs"
MINUTE = 60

paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40).map(
    lambda text: f"/{text}"
)
crontabs = st.lists(
    st.sampled_from(
        [
            "# mine",
            "MAILTO=anna",
            "*/5 * * * * /bin/other  # broadcaster 0123456789ab",
            "",
            "@daily x\r",
            "a\x85b\u2028c",
        ]
    ),
    max_size=6,
).flatmap(lambda lines: st.sampled_from(["\n".join(lines), "\n".join([*lines, ""])]))


def held(path: str) -> bool:
    """Whether a crontab can hold it."""
    return not re.search(r"[\x00-\x1f\x7f\\]", path)


def by_cron(line: str) -> list[str]:
    """The words that a command of a crontab becomes: cron ends it at a bare %, the shell reads the rest."""
    command = line.split(None, 5)[5]
    assert not re.search(r"(?<!\\)%", command)
    command = command.replace("\\%", "%")
    said = subprocess.run(
        ["/bin/sh", "-c", f'show() {{ for word; do printf "%s\\0" "$word"; done; }}; show {command}'],
        capture_output=True,
        check=True,
    )
    return said.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def by_systemd(text: str) -> list[str]:
    """The words of an ExecStart= as systemd.syntax(7) reads them; Python's escapes in quotes are a superset."""
    (command,) = re.findall(r"^ExecStart=:(.*)$", text, re.MULTILINE)
    words = re.findall(r'"((?:[^"\\]|\\.)*)"(?: |$)', command)
    return [
        re.sub(
            r'(?:\\x[0-9a-f]{2})+|\\["\\]|%%',
            lambda found: (
                bytes.fromhex(found[0].replace("\\x", "")).decode() if found[0].startswith("\\x") else found[0][1:]
            ),
            word,
        )
        for word in words
    ]


@given(paths.filter(held), st.sampled_from([1, 5, 30, 60, 720]))
def test_a_line_of_a_crontab_calls_run_in_any_folder(path: str, minutes: int) -> None:
    job = Job(("/opt/a b/broadcaster",), path, minutes * MINUTE)
    assert by_cron(job.line) == ["/opt/a b/broadcaster", "-C", path, "run"]
    assert "\n" not in job.line


@given(paths)
def test_a_unit_calls_run_in_any_folder(path: str) -> None:
    job = Job(("/opt/a b/broadcaster",), path)
    service = job.units[f"{job.name}.service"]
    assert by_systemd(service) == ["/opt/a b/broadcaster", "-C", path, "run"]
    assert len(service.split("\n")) == 9
    assert not re.search(r"\\$", service, re.MULTILINE)


@given(crontabs, paths.filter(held))
def test_no_other_line_of_a_crontab_is_touched(crontab: str, path: str) -> None:
    job, other = Job(("/bin/broadcaster",), path), Job(("/bin/broadcaster",), f"{path}2")
    put = job.put_into(crontab)
    assert job.put_into(put) == put
    assert job.found_in(put) == job.line
    assert job.taken_from(put) in (crontab, f"{crontab}\n")
    # moved to another minute, and beside another workspace
    often = Job(("/bin/broadcaster",), path, MINUTE).put_into(other.put_into(put))
    assert (other.found_in(often), job.taken_from(other.taken_from(often))) == (other.line, job.taken_from(put))


def test_a_line_that_somebody_has_put_out_is_theirs() -> None:
    job = Job(("/bin/broadcaster",), "/srv/a b%")
    crontab = (
        f"# {job.line}\n*/5 * * * * cd / && broadcaster -C '/srv/a b\\%' run\n0 0 * * * broadcaster -C /srv/c run\n"
    )
    assert job.found_in(crontab) == ""
    assert job.taken_from(crontab) == crontab
    assert job.others_in(crontab) == ["*/5 * * * * cd / && broadcaster -C '/srv/a b\\%' run"]


@pytest.mark.parametrize("path", ["/a\nb", "/a\\b", "/a\rb", "/" + "a" * 900])
def test_what_no_crontab_can_hold_is_refused(path: str) -> None:
    with pytest.raises(BadData, match="crontab"):
        _ = Job(("/bin/broadcaster",), path).line


@pytest.mark.parametrize("every", [1, 59, 90, 7 * MINUTE, 45 * MINUTE, 90 * MINUTE, 5 * 3600, 86400])
def test_only_what_comes_at_the_same_minutes_each_day_is_taken(every: int) -> None:
    with pytest.raises(BadData, match="no part"):
        Job(("/bin/broadcaster",), "/srv", every)


def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    for number, path in enumerate(("/srv/a", "/srv/a b%c'$d\"é\n\t\\", "/srv/ends in \\")):
        for every in (MINUTE, 5 * MINUTE, 3600, 12 * 3600):
            job = Job(("/bin/true",), path, every)
            for name, text in job.units.items():
                (units / name).write_text(text)
            done = subprocess.run(
                ["systemd-analyze", "--user", "verify", *(str(units / name) for name in job.units)],
                env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, ""), number


# the commands


@pytest.fixture
def cron(tmp_path: Path) -> Iterator[Callable[..., Ran]]:
    """A command beside the real crontab(1), with an empty folder of crontabs in place of the machine's.

    A container may allow nobody that. There the machine's own is taken, if it is empty.
    """
    (tmp_path / "spool").mkdir()
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    bind = f'mount --bind "$0" {SPOOL} && exec "$@"'
    alone = ["unshare", "--mount", *user, "sh", "-c", bind, str(tmp_path / "spool")]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        if subprocess.run(["crontab", "-l"], capture_output=True, check=False).returncode == 0:
            pytest.skip("a crontab of yours is here, and no other place for one")
        alone = []

    def run(*words: str, status: int = 0, **env: str) -> Ran:
        done = subprocess.run(
            [*alone, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **env},
            check=False,
        )
        assert done.returncode == status, done
        return Ran(done.returncode, done.stdout, done.stderr)

    yield run
    if not alone:
        subprocess.run(["crontab", "-r"], capture_output=True, check=False)


def test_cron_calls_it_once_however_often_it_is_installed(place: Place, cron: Callable[..., Ran]) -> None:
    def run(*words: str, **how: Any) -> Ran:
        return cron(*place.command(*words), **how)

    cron("sh", "-c", "printf '# mine\\nMAILTO=anna\\n0 3 * * * /bin/true' | crontab - || true")
    before = cron("sh", "-c", "crontab -l || true").out
    assert "nothing here calls `run`" in run("schedule").err
    would = run("schedule", "install", "--cron", "--dry-run", "--json").json
    assert (would["kind"], would["changed"]) == ("cron", True)
    assert cron("sh", "-c", "crontab -l || true").out == before
    made = run("schedule", "install")
    assert made.out.strip() == would["line"]
    assert run("schedule", "install", "--json").json["changed"] is False
    after = cron("crontab", "-l").out
    assert after.startswith(before.rstrip("\n"))
    assert after.count("broadcaster") == after.count(would["line"]) * would["line"].count("broadcaster")
    assert run("schedule", "--json").json["line"] == would["line"]
    # the line does what it says, as cron's shell reads it
    assert by_cron(would["line"])[-3:] == ["-C", str(place.root), "run"]
    done = subprocess.run(
        shlex.join(by_cron(would["line"])), shell=True, cwd="/", env=dict(os.environ), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    often = run("schedule", "install", "--every", "1m", "--json").json
    assert often["line"].startswith("* * * * * ")
    assert cron("crontab", "-l").out.count(" run  # broadcaster ") == 1
    assert run("schedule", "remove", "--json").json == {"removed": ["cron"]}
    assert cron("sh", "-c", "crontab -l || true").out.rstrip("\n") == before.rstrip("\n")
    assert "nothing to remove" in run("schedule", "remove").err


def test_a_timer_is_written_enabled_and_taken_away(place: Place, cron: Callable[..., Ran], tmp_path: Path) -> None:
    # systemctl does all but talk to a systemd: in a container there is none
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "SYSTEMD_OFFLINE": "1", "HOME": str(tmp_path)}

    def run(*words: str, **how: Any) -> Ran:
        return cron(*place.command(*words), **env, **how)

    run("schedule", "install", "--cron")
    units = run("schedule", "install", "--systemd", "--dry-run", "--json").json["units"]
    folder = tmp_path / "config" / "systemd" / "user"
    assert not folder.exists()
    made = run("schedule", "install", "--systemd", "--json")
    # one of the two is enough
    assert (made.json["changed"], made.json["replaced"]) == (True, ["cron"])
    assert {path.name: path.read_text() for path in folder.glob("broadcaster-*")} == units
    assert {oct(path.stat().st_mode & 0o777) for path in folder.glob("broadcaster-*")} == {"0o600"}
    (service, timer) = units
    assert (folder / "timers.target.wants" / timer).is_symlink()
    assert run("schedule", "install", "--systemd", "--json").json["changed"] is False
    shown = run("schedule", "--json").json
    assert (shown["installed"], shown["units"]) == (["systemd"], [service, timer])
    run("schedule", "remove")
    assert not list(folder.glob("**/broadcaster-*"))


def test_where_no_systemd_answers_nothing_is_left_behind(place: Place, tmp_path: Path) -> None:
    config, words = str(tmp_path / "config"), ("schedule", "install", "--systemd")
    nobody = {"XDG_RUNTIME_DIR": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": ""}
    said = place.run(*words, status=73, stdin=None, XDG_CONFIG_HOME=config, **nobody).err
    assert "systemctl" in said
    assert not list((tmp_path / "config").glob("**/broadcaster*"))


def test_where_there_is_no_cron_the_line_is_still_shown(place: Place, tmp_path: Path) -> None:
    bare = str(tmp_path)
    assert "neither cron nor a systemd" in place.run("schedule", "install", status=73, PATH=bare).err
    assert "no program `crontab`" in place.run("schedule", "install", "--cron", status=73, PATH=bare).err
    assert place.run("schedule", "install", "--dry-run", PATH=bare).out.startswith("*/5 * * * * ")
    assert place.run("schedule", PATH=bare).status == 0
