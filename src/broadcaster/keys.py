"""Where the key of an encrypted database is kept, and how another takes its place.

A key is 256 random bits, written as 64 hexadecimal digits. Beside the key there may be a coming one: while a database
is written anew under it, whoever is killed leaves both, and one of them fits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from broadcaster.custody import create_private
from broadcaster.errors import CannotWrite, ConfigError
from broadcaster.relay import Secret
from broadcaster.workspace import CONFIG, Workspace, read_private

# the name that a system keyring has our keys under
SERVICE: Final = "broadcaster"
# a command may ask a person, or a token in their hand (seconds)
PATIENCE: Final = 120
LOST: Final = "nobody can read the database without it: put it there again, from your copy of it"


class Keeper(Protocol):
    """A place for keys, `where` it is. Reading raises ConfigError where it cannot be had, never where it is empty."""

    where: str

    def key(self, *, coming: bool = False) -> str | None:
        """The key, or the one that is to come; None where there is none."""

    def keep(self, key: str) -> None:
        """Keep a key as the coming one."""

    def turn(self) -> None:
        """From now on the coming one is the key."""

    def drop(self) -> None:
        """Forget the coming one. Where there is none, that is no error."""


def new_key() -> str:
    """One that nobody has."""
    import secrets

    return secrets.token_hex(32)


def needed(keeper: Keeper) -> str:
    """The key. Raises ConfigError where there is none."""
    found = keeper.key()
    if found is None:
        raise ConfigError("the key of the database is missing", where=keeper.where, hint=LOST)
    return found


def candidates(keeper: Keeper) -> Iterator[str]:
    """The keys that may fit, the likely one first."""
    found = needed(keeper)
    yield found
    coming = keeper.key(coming=True)
    if coming is not None:
        yield coming
    # another process made the coming one the key after we had asked for it
    elif (now := needed(keeper)) != found:
        yield now


def keeper(of: Secret, workspace: Workspace) -> Keeper:
    """The place that [encryption] names."""
    if of.kind == "file":
        return KeyFile(_expanded(of.source, workspace.root))
    return Keyring(of.source) if of.kind == "keyring" else KeyCommand(of.source, workspace.root)


def from_file(path: Path) -> str:
    """The key in a file of a person's own. Raises ConfigError."""
    made = "`openssl rand -hex 32` makes one"
    return _checked(read_private(path, str(path), missing="no new key", hint=made), str(path), hint=made)


class KeyFile:
    """A file that only we can read, and for a coming key another beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._coming = path.with_name(f"{path.name}.new")

    def key(self, *, coming: bool = False) -> str | None:
        path = self._coming if coming else self.path
        if not os.path.lexists(path):
            return None
        return _checked(read_private(path, str(path), missing="no key", hint=LOST), str(path))

    def keep(self, key: str) -> None:
        with self._kept():
            self._coming.unlink(missing_ok=True)
            with os.fdopen(create_private(self._coming), "w", encoding="ascii") as file:
                file.write(f"{key}\n")
                file.flush()
                os.fsync(file.fileno())

    def turn(self) -> None:
        with self._kept():
            self._coming.replace(self.path)

    def drop(self) -> None:
        with self._kept():
            self._coming.unlink(missing_ok=True)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """What is done to the names in the folder is on the disk: a key lost with the power loses everybody.

        Raises CannotWrite.
        """
        try:
            yield
            descriptor = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise CannotWrite((error.strerror or str(error)).lower(), where=self.where) from None


class KeyCommand:
    """A command of the user's own, for a shell. What it tells is not ours to change."""

    def __init__(self, command: str, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self.where = f"{CONFIG}: encryption.key_command"

    def key(self, *, coming: bool = False) -> str | None:
        if coming:
            return None
        import subprocess

        try:
            done = subprocess.run(  # noqa: S602 - the user's own command, written for a shell
                self._command, shell=True, cwd=self._folder, stdout=subprocess.PIPE, timeout=PATIENCE, check=True
            )
        except (subprocess.SubprocessError, OSError):
            raise ConfigError(
                "the command that should tell the key failed", where=self.where, hint="run it by hand to see why"
            ) from None
        return _checked(done.stdout, self.where)

    def keep(self, key: str) -> None:
        pass

    def turn(self) -> None:
        pass

    def drop(self) -> None:
        pass


class Keyring:
    """An entry of the system's keyring, and for a coming key another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.where = f"{CONFIG}: encryption.keyring"

    def key(self, *, coming: bool = False) -> str | None:
        found = self._asked("get_password", self._entry(coming))
        return None if found is None else _checked(found.encode("utf-8", "replace"), self.where)

    def keep(self, key: str) -> None:
        self._asked("set_password", self._entry(coming=True), key)

    def turn(self) -> None:
        key = self.key(coming=True)
        assert key is not None
        self._asked("set_password", self._entry(coming=False), key)
        self.drop()

    def drop(self) -> None:
        if self.key(coming=True) is not None:
            self._asked("delete_password", self._entry(coming=True))

    def _entry(self, coming: bool) -> str:
        return f"{self._name}.new" if coming else self._name

    def _asked(self, what: str, *words: str) -> Any:
        try:
            import keyring
            from keyring.errors import KeyringError
        except ImportError:
            raise ConfigError(
                "a keyring needs the library of that name, which is not installed",
                where=self.where,
                hint="pip install 'broadcaster[encrypted]'",
            ) from None
        try:
            return getattr(keyring, what)(SERVICE, *words)
        except (KeyringError, OSError) as error:
            # in other words than its own, which may quote what it was told
            raise ConfigError(
                f"the keyring of the system cannot be used ({type(error).__name__})",
                where=self.where,
                hint="is it there, and unlocked? cron has none: use key_file or key_command there",
            ) from None


def _expanded(text: str, root: Path) -> Path:
    try:
        return root / Path(text).expanduser()
    except RuntimeError:
        raise ConfigError("nobody knows where ~ is", where=f"{CONFIG}: encryption.key_file") from None


def _checked(octets: bytes, where: str, hint: str = LOST) -> str:
    """The key in a text. Raises ConfigError, which does not say what was there."""
    found = octets.decode("utf-8-sig", "replace").strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", found):
        raise ConfigError("is no key: one is 64 hexadecimal digits", where=where, hint=hint)
    return found
