"""encrypt, rekey, decrypt: one database becomes another of the same people, and whoever is killed has one of the two.

They need the database for themselves, and everybody else to keep off sending: a copy that somebody writes into the
old file of is a copy that lacks somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from broadcaster import transcript
from broadcaster.db import Db, open_database, private, unreadable
from broadcaster.errors import ConfigError, SenderAtWork
from broadcaster.keys import Keeper, candidates, needed, new_key
from broadcaster.lock import Lock


@dataclass(frozen=True, slots=True)
class Vault:
    """What is worked with: the database's file, the lock of whoever sends, where the key is; who does it, and when."""

    path: Path
    lock: Lock
    keeper: Keeper
    who: str
    now: int


def encrypt(of: Vault, *, dry_run: bool = False) -> bool:
    """Whether the database is encrypted now and was not. Makes a key where there is none, and a database as well."""
    with _ours(of, dry_run=dry_run):
        there = of.path.exists() and of.path.stat().st_size > 0
        if there and not private(of.path, create=False).plain:
            _fitting(of)
            return False
        key = of.keeper.key()
        if dry_run:
            if there:
                _rehearsed(of, "")
            return True
        if key is None:
            of.keeper.keep(new_key())
            of.keeper.turn()
            key = needed(of.keeper)
        if there:
            _rewritten(of, "", key, lambda db: db.note("database encrypt", of.now))
        else:
            open_database(of.path, who=of.who, keys=lambda: iter((key,))).close()
        return True


def rekey(of: Vault, new: str | None, *, dry_run: bool = False) -> None:
    """Encrypt the database under another key, `new` or one of our own. Raises ConfigError where it is plain."""
    with _ours(of, dry_run=dry_run):
        old = _encrypted(of)
        key = new or new_key()
        if key == old:
            raise ConfigError("is the key already", where="--new-key-file", hint="`openssl rand -hex 32` makes another")
        if dry_run:
            _rehearsed(of, old)
            return
        of.keeper.keep(key)
        _rewritten(of, old, key, lambda db: db.note("database rekey", of.now), of.keeper.turn)


def decrypt(of: Vault, *, dry_run: bool = False) -> bool:
    """Whether the database is plain now and was not. The key stays where it is: older backups need it."""
    with _ours(of, dry_run=dry_run):
        if private(of.path, create=False).plain:
            return False
        key = _encrypted(of)
        if dry_run:
            _rehearsed(of, key)
        else:
            _rewritten(of, key, "", lambda db: db.note("database decrypt", of.now))
        return True


def clear_up(path: Path, lock: Lock, keeper: Keeper | None) -> None:
    """Finish what a killed process has left, unless somebody is at work: then it is theirs."""
    if not lock.take():
        return
    try:
        _cleared(path, keeper)
    finally:
        lock.release()


def _cleared(path: Path, keeper: Keeper | None) -> None:
    # the key first: without it nothing opens
    if keeper is not None and (coming := keeper.key(coming=True)) is not None:
        if transcript.readable(path, coming):
            keeper.turn()
        elif (key := keeper.key()) is not None and transcript.readable(path, key):
            keeper.drop()
    transcript.clear_up(path)


@contextmanager
def _ours(of: Vault, *, dry_run: bool) -> Iterator[None]:
    """Nobody sends meanwhile, and nothing is left of who was killed before."""
    if not of.lock.take():
        raise SenderAtWork(
            "another process is sending from this workspace", hint="run it again when that has ended, or pause it"
        )
    try:
        if dry_run:
            yield
            return
        _cleared(of.path, of.keeper)
        try:
            yield
        finally:
            _cleared(of.path, of.keeper)
    finally:
        of.lock.release()


def _encrypted(of: Vault) -> str:
    """The key that opens the database. Raises ConfigError where it is plain, or none fits."""
    if private(of.path, create=False).plain:
        raise ConfigError("is not encrypted", where=str(of.path), hint="run `broadcaster encrypt`")
    return _fitting(of)


def _fitting(of: Vault) -> str:
    for key in candidates(of.keeper):
        if transcript.readable(of.path, key):
            return key
    raise unreadable(of.path)


def _rehearsed(of: Vault, key: str) -> None:
    transcript.want_room(of.path)
    with transcript.alone(of.path, key):
        pass


def _rewritten(
    of: Vault, old: str, new: str, note: Callable[[Db], None], turn: Callable[[], None] = lambda: None
) -> None:
    with transcript.alone(of.path, old) as conn:
        transcript.gather(conn, of.path)
        fresh = transcript.write(conn, of.path, new, note, of.who)
        transcript.replace(of.path, fresh, turn)
