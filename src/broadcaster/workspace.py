"""The workspace: the folder with a broadcaster.toml, found like git finds its own, and what is in it.

The only room that reads configuration, statements, layouts and the key from the disk. Everything
a name from a file could point at must lie inside the folder it belongs to: links are resolved first.
"""

from __future__ import annotations

import os
import posixpath
import stat
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from broadcaster.custody import refuse_shared
from broadcaster.errors import ConfigError, NotAllowed, NotFound, RelayUnavailable, StatementError

if TYPE_CHECKING:
    from broadcaster.config import Config
    from broadcaster.relay import Secret
    from broadcaster.statement import Statement

CONFIG = "broadcaster.toml"
KEY_BYTES = 32
# of any key's file: an RSA key of 4096 bits has 3.3 kB as text
KEY_LIMIT = 16_384
# a statement or layout larger than this is a mistake, and would cost every recipient
TEXT_LIMIT = 1_000_000
ASSET_LIMIT = 25_000_000


@dataclass(frozen=True)
class Workspace:
    """One workspace. `root` is absolute and holds a broadcaster.toml."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "subscribers" / "broadcaster.db"

    @property
    def lock(self) -> Path:
        return self.root / "subscribers" / "sender.lock"

    @property
    def collecting(self) -> Path:
        """The lock of whoever reads the configured mailboxes."""
        return self.root / "subscribers" / "collect.lock"

    @property
    def keeping(self) -> Path:
        """The lock of whoever makes a backup."""
        return self.root / "subscribers" / "backup.lock"

    @property
    def copy(self) -> Path:
        """Where the database is copied to while a backup is made."""
        return self.root / "subscribers" / "backup.db"

    @property
    def telling(self) -> Path:
        """The lock of whoever mails digests to staff."""
        return self.root / "subscribers" / "digest.lock"

    @property
    def mark(self) -> Path:
        return self.root / "subscribers" / "ledger.mark"

    def config(self) -> Config:
        """The configuration, every key of it checked. Raises ConfigError, NotAllowed where others may write it."""
        from broadcaster import config

        # whoever writes here can have any command run as us: password_command is one
        for place in (self.root, self.root / CONFIG, self.root / "templates", self.root / "statements"):
            refuse_shared(place)
        return config.parse(_text(self.root / CONFIG, ConfigError, CONFIG), file=CONFIG)

    def key(self) -> bytes:
        """The secret that signs leave links and return paths. Raises ConfigError when it is missing or open."""
        key = read_private(
            self.root / "subscribers" / "secret.key",
            "subscribers/secret.key",
            missing="nothing can be signed",
            hint="restore it from your backup: a new one would void every leave link already mailed",
        )
        if len(key) < KEY_BYTES:
            raise ConfigError(
                "is too short to be a key", where="subscribers/secret.key", hint="restore it from your backup"
            )
        return key

    def signing_key(self, file: str) -> bytes:
        """The PEM text of [dkim] key_file: below the workspace, or an absolute path. Raises ConfigError."""
        path = self.root / file
        if not Path(file).is_absolute():
            try:
                path = path.resolve()
            except (OSError, RuntimeError, ValueError):
                raise ConfigError("is no usable file name", where=f"dkim.key_file = {file[:80]!r}") from None
            if not path.is_relative_to(self.root.resolve()):
                raise ConfigError(
                    "lies outside the workspace",
                    where=file,
                    hint="write its whole path in dkim.key_file if that is meant",
                )
        hint = f"make one: openssl genrsa -out {file} 2048, see docs/dkim.md"
        return read_private(path, file, missing="nothing can be signed", hint=hint)

    def secret(self, of: Secret) -> str:
        """A password or token from where the configuration says it is; never says what it is.

        Raises ConfigError; RelayUnavailable for a command that fails: whom it asks may be back in a moment.
        """
        import subprocess

        if of.kind == "env":
            value = os.environ.get(of.source, "")
            if not value:
                # its name is not told: it may be the password itself, where somebody took the key for that
                raise ConfigError(
                    "password_env names a variable that is not set",
                    where=CONFIG,
                    hint="write the variable's name there",
                )
            return value
        if of.kind == "command":
            env = {name: value for name, value in os.environ.items() if name not in self.config().variables}
            try:
                found = subprocess.run(  # noqa: S602 - the user's own command, written for a shell
                    of.source, shell=True, cwd=self.root, env=env, stdout=subprocess.PIPE, timeout=60, check=True
                )
            except (subprocess.SubprocessError, OSError):
                raise RelayUnavailable("the command that should tell the password failed", where=CONFIG) from None
            return found.stdout.decode("utf-8", "replace").strip("\r\n")
        return self._secret_file(self.root / of.source)

    def _secret_file(self, path: Path) -> str:
        name = path.name
        try:
            with path.open("rb") as file:
                if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise ConfigError("can be read by others", where=name, hint=f"chmod 600 {path}")
                return file.read(65_536).decode("utf-8-sig", "replace").strip()
        except OSError as error:
            # nor is this one's
            words = (error.strerror or type(error).__name__).lower()
            raise ConfigError(
                f"the file that password_file names cannot be read: {words}",
                where=CONFIG,
                hint="the password stands in a file of its own; password_file is the path to that",
            ) from None

    def slugs(self) -> list[str]:
        """The statements that are there, by name."""
        folder = self.root / "statements"
        if not folder.is_dir():
            return []
        found = {p.name for p in folder.iterdir() if p.is_dir() and any(p.glob("*.md"))}
        return sorted(found | {p.stem for p in folder.glob("*.md")})

    def statement(self, slug: str) -> Statement:
        """Read a statement: statements/SLUG/LANG.md, or statements/SLUG.md in the default language.

        Raises NotFound with the nearest names, StatementError for what cannot be read.
        """
        from broadcaster import statement

        if slug.isdigit():
            raise NotFound(
                f"{slug!r} cannot be a statement's name: that is the number of a mailing", hint="a letter must be in it"
            )
        folder = self.root / "statements"
        single = folder / f"{slug}.md"
        known = slug in self.slugs()
        if known and (parts := sorted((folder / slug).glob("*.md"))):
            if single.is_file():
                raise StatementError(
                    f"is there twice: as {slug}.md and in the folder {slug}/",
                    where=f"statements/{slug}.md",
                    hint="one of them would not be read: move it away",
                )
            files = {p.name: _text_in(folder, p) for p in parts}
        elif known and single.is_file():
            files = {single.name: _text_in(folder, single)}
        else:
            import difflib

            near = difflib.get_close_matches(slug, self.slugs(), n=3)
            raise NotFound(
                f"no statement {slug!r} in statements/",
                hint=f"did you mean {' or '.join(near)}?" if near else "`broadcaster new SLUG` starts one",
            )
        config = self.config()
        return statement.parse(slug, files, default=config.languages.default)

    def changed(self, of: Statement) -> dict[str, float]:
        """When each part's file was written last, by language (seconds since the epoch)."""
        found = {}
        for language, part in of.parts.items():
            with suppress(OSError):
                found[language] = (self.root / part.file).stat().st_mtime
        return found

    def layouts(self) -> dict[str, str]:
        """Every text below templates/ by its path there; ours where the workspace has none of that name."""
        found: dict[str, str] = {}
        for folder in (samples() / "templates", self.root / "templates"):
            for path in sorted(folder.rglob("*")):
                if path.suffix in (".html", ".txt", ".po", ".css") and path.is_file():
                    found[path.relative_to(folder).as_posix()] = _text_in(folder, path)
        return found

    def asset(self, path: str) -> bytes:
        """An image or attachment: a path in the workspace, below statements/ or templates/.

        Raises StatementError when it is missing, outside its folder, no file, or too large.
        """
        descriptor = self._asset(path)
        try:
            size = os.fstat(descriptor).st_size
            if size > ASSET_LIMIT:
                raise StatementError(f"is larger than {ASSET_LIMIT // 1_000_000} MB", where=path)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                return file.read(ASSET_LIMIT)
        finally:
            os.close(descriptor)

    def asset_size(self, path: str) -> int:
        """The octets of such a file. Raises StatementError as `asset` does."""
        descriptor = self._asset(path)
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def _asset(self, path: str) -> int:
        """The open descriptor of a file beside a statement or a layout."""
        flat = posixpath.normpath(path)
        top, _, rest = flat.partition("/")
        if top not in ("statements", "templates") or not rest:
            raise StatementError("lies outside statements/ and templates/", where=path)
        folder = self.root / top
        hint = "put the file beside the statement" if top == "statements" else "put the file into templates/"
        try:
            # a Mac writes é in two signs, a statement mostly in one
            spellings = [
                self.root / each for each in (flat, *(unicodedata.normalize(form, flat) for form in ("NFC", "NFD")))
            ]
            real = _inside(next((each for each in spellings if each.exists()), spellings[0]), folder)
            # a pipe of that name would be waited for
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise StatementError(words.lower(), where=path, hint=hint) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise StatementError("is no file", where=path, hint=hint)
        return descriptor

    def beside(self, folder: str) -> list[str]:
        """The names of the files in a folder below statements/, where there is one."""
        try:
            place = _inside(self.root / folder, self.root / "statements")
            return sorted(unicodedata.normalize("NFC", each.name) for each in place.iterdir() if each.is_file())
        except OSError:
            return []


def find(start: Path | None, env: Mapping[str, str]) -> Workspace:
    """The workspace that a command is about: -C, else BROADCASTER_WORKSPACE, else the current folder and its parents.

    Raises ConfigError (78) when there is none.
    """
    given = start or (Path(env["BROADCASTER_WORKSPACE"]) if env.get("BROADCASTER_WORKSPACE") else None)
    try:
        place = (given or Path.cwd()).absolute()
        for folder in (place, *place.parents):
            if (folder / CONFIG).is_file():
                return Workspace(folder.resolve())
    except OSError as error:
        # a folder that is not ours to look into, a current folder that was deleted
        raise ConfigError((error.strerror or str(error)).lower(), where=str(given or ".")) from None
    raise ConfigError(
        f"no {CONFIG} in {place} or any folder above it",
        hint="`broadcaster init DIR` makes a workspace; -C DIR or BROADCASTER_WORKSPACE names one",
    )


def samples() -> Path:
    """Where our own layouts and samples are: in a checkout the repository itself, else inside the installed package."""
    here = Path(__file__).resolve().parent
    checkout = here.parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / CONFIG).is_file():
        return checkout
    return here / "samples"


def refuse_elsewhere(root: Path) -> None:
    """Raises NotAllowed (77) for a folder that is synchronised or on another machine: two copies of a ledger
    mail everyone twice.
    """
    from broadcaster import place

    mounts = Path("/proc/mounts")
    try:
        text = mounts.read_text("utf-8", "surrogateescape") if mounts.exists() else ""
    except OSError:
        text = ""
    why = place.elsewhere(root, text, os.path.lexists)
    if why is not None:
        raise NotAllowed(
            why,
            where=str(root),
            hint="take a folder on this machine's own disk: two copies of a database mail everyone twice",
        )


def read_private(path: Path, name: str, *, missing: str, hint: str) -> bytes:
    """A key's file, which nobody else may read. Raises ConfigError; of none, it says what is `missing` without it."""
    try:
        # a pipe of that name would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ConfigError(f"is missing: {missing}", where=name, hint=hint) from None
    except (OSError, ValueError) as error:
        raise ConfigError(getattr(error, "strerror", None) or str(error), where=name) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError("is no file", where=name, hint="restore it from your backup")
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError("can be read by others", where=name, hint=f"chmod 600 {name}")
        return os.read(descriptor, KEY_LIMIT)
    finally:
        os.close(descriptor)


def _inside(path: Path, folder: Path) -> Path:
    """The path with every link resolved, if that lies inside the folder."""
    try:
        real = path.resolve()
    except RuntimeError:
        raise StatementError(
            "is a link that leads to itself", where=_named(path, folder), hint="put the file itself there"
        ) from None
    except (OSError, ValueError):
        raise StatementError("is no usable file name", where=repr(path.name)) from None
    if not real.is_relative_to(folder.resolve()):
        raise StatementError(
            f"lies outside {folder.name}/", where=_named(path, folder), hint="files must be inside the workspace"
        )
    return real


def _named(path: Path, folder: Path) -> str:
    """A path as a person knows it: statements/june/en.md."""
    return f"{folder.name}/{path.relative_to(folder).as_posix()}" if path.is_relative_to(folder) else str(path)


def _text_in(folder: Path, path: Path) -> str:
    return _text(_inside(path, folder), StatementError, _named(path, folder))


def _text(path: Path, kind: type[ConfigError] | type[StatementError], name: str) -> str:
    """A text file as UTF-8, with or without BOM. Devices and pipes are not opened."""
    try:
        if not path.is_file():
            raise kind("is no file", where=name)
        if path.stat().st_size > TEXT_LIMIT:
            raise kind("is larger than 1 MB", where=name, hint="is this the right file?")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise kind("is not UTF-8 text", where=f"{name}:{line}", hint="save it as UTF-8") from None
    except OSError as error:
        raise kind((error.strerror or str(error)).lower(), where=name) from None
