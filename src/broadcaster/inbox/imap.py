"""Returned mail over IMAP (RFC 3501): encrypted from the first byte, certificates checked, nothing marked or deleted.

A folder is opened read-only unless something is to be moved, and messages are looked at without marking them read
(BODY.PEEK). A large one is fetched in part. The standard library speaks; what it raises is translated here.
"""

from __future__ import annotations

import base64
import imaplib
import re
import ssl
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from broadcaster.config import Mailbox
from broadcaster.errors import BroadcasterError, ConfigError, MailboxUnavailable
from broadcaster.inbox import LARGEST, Found, Place

# each answer must come within so many seconds
PATIENCE: Final = 60.0
# so many messages, or octets, are asked for at once
MANY: Final = 50
MUCH: Final = 4 * LARGEST

_UID: Final = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_CODE: Final = re.compile(r"\[([A-Z][A-Z0-9-]{2,40})\b")


class Imap:
    """One folder of one mailbox. Connects when the first message is asked for."""

    def __init__(
        self, of: Mailbox, secret: Callable[[], str] | None, folder: str, *, patience: float = PATIENCE
    ) -> None:
        """`secret` gives the password or token; a relative ca_file is below `folder`."""
        self.name = of.url
        # two people may have an INBOX on one server
        self.url = f"{of.url} {of.user}"
        self._of = of
        self._secret = secret
        self._folder = folder
        self._patience = patience
        self._connection: imaplib.IMAP4_SSL | None = None
        self._moves = False

    def messages(self, place: Place, known: Container[str]) -> Iterator[Found]:
        with self._translated():
            connection, exists = self._select()
            validity, following = (_number(connection, name) for name in ("UIDVALIDITY", "UIDNEXT"))
            # another validity: the numbers that we know are those of other messages (RFC 3501 §2.3.1.1)
            last = place.last if place.validity == validity else 0
            if not exists or following == last + 1:
                return
            waiting = self._sizes(connection, last)
        while waiting:
            some, waiting = _some(waiting)
            with self._translated():
                found = self._fetched(connection, some)
            for uid in some:
                if uid in found:
                    yield Found(f"{self.name};UID={uid}", found[uid], str(uid), Place(validity, uid))

    def names(self) -> list[str] | None:
        return None

    def look(self) -> None:
        with self._translated():
            self._select()

    def understood(self, found: Found) -> None:
        if not self._of.move_to:
            return
        assert self._connection is not None
        target = _quoted(self._of.move_to)
        with self._translated():
            said, words = self._connection.uid("MOVE", found.name, target)
            if said != "OK" and "TRYCREATE" in _text(words):
                self._connection.create(target)
                said, words = self._connection.uid("MOVE", found.name, target)
            if said != "OK":
                raise ConfigError(f"{self._of.move_to!r}: nothing can be moved there{_code(words)}", where=self.name)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                connection.logout()
            with suppress(OSError):
                connection.shutdown()

    # the conversation

    def _select(self) -> tuple[imaplib.IMAP4_SSL, int]:
        """The folder, open, and how many messages lie there."""
        if self._connection is None:
            self._connection = self._entered()
        moving = bool(self._of.move_to)
        said, words = self._connection.select(_quoted(self._of.path), readonly=not moving)
        if said != "OK":
            raise ConfigError(f"there is no folder {self._of.path!r}{_code(words)}", where=self.name)
        if moving and not self._moves:
            raise ConfigError(
                "this server cannot move messages (RFC 6851)",
                where=f"{self.name}: move_to",
                hint="take move_to out: nothing needs to be moved; we never delete",
            )
        return self._connection, int(words[0] or 0)

    def _entered(self) -> imaplib.IMAP4_SSL:
        """A connection that is logged in."""
        of = self._of
        if self._secret is None:
            raise ConfigError(
                "has no user and no password",
                where=self.name,
                hint='write { url = …, user = "…", password_file = "…" }',
            )
        secret = self._secret()
        connection = imaplib.IMAP4_SSL(
            of.host, of.port, ssl_context=_context(self._folder, of.ca_file), timeout=self._patience
        )
        try:
            self._log_in(connection, secret)
            self._moves = "MOVE" in _text(connection.capability()[1]).upper().split()
        except BaseException:
            with suppress(OSError):
                connection.shutdown()
            raise
        return connection

    def _log_in(self, connection: imaplib.IMAP4_SSL, secret: str) -> None:
        of = self._of
        assert of.secret is not None
        try:
            if of.secret.token:
                answers = iter([f"user={of.user}\1auth=Bearer {secret}\1\1".encode()])
                # asked a second time, the server has refused, and wants to hear that we have (RFC 7628 §3.2.3)
                connection.authenticate("XOAUTH2", lambda _: next(answers, b""))
            elif "AUTH=PLAIN" in connection.capabilities:
                connection.authenticate("PLAIN", lambda _: f"\0{of.user}\0{secret}".encode())
            else:
                connection.login(of.user, secret)
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, UnicodeEncodeError) as error:
            # what it says may repeat what we said
            kind = "token" if of.secret.token else "password"
            raise MailboxUnavailable(
                f"does not take this user and {kind}{_code(str(error))}", where=self.name
            ) from None

    def _sizes(self, connection: imaplib.IMAP4_SSL, last: int) -> list[tuple[int, int]]:
        """UID and size of all that came since, ascending."""
        said, lines = connection.uid("FETCH", f"{last + 1}:*", "(UID RFC822.SIZE)")
        if said != "OK":
            raise MailboxUnavailable(f"does not say what is there{_code(lines)}", where=self.name)
        found = []
        for line in lines:
            text = line if isinstance(line, bytes) else b""
            if (uid := _UID.search(text)) and int(uid[1]) > last:  # n:* holds the last one in any case
                size = _SIZE.search(text)
                found.append((int(uid[1]), int(size[1]) if size else LARGEST))
        return sorted(found)

    def _fetched(self, connection: imaplib.IMAP4_SSL, uids: Sequence[int]) -> dict[int, bytes]:
        """The beginning of each message; one that was moved away meanwhile is missing."""
        said, parts = connection.uid("FETCH", ",".join(map(str, uids)), f"(UID BODY.PEEK[]<0.{LARGEST}>)")
        if said != "OK":
            raise MailboxUnavailable(f"does not give its messages{_code(parts)}", where=self.name)
        found: dict[int, bytes] = {}
        for part, behind in zip(parts, [*parts[1:], b""], strict=True):
            if isinstance(part, tuple):
                after = behind if isinstance(behind, bytes) else b""
                if uid := _UID.search(part[0]) or _UID.search(after):
                    found[int(uid[1])] = part[1][:LARGEST]
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except BroadcasterError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise MailboxUnavailable(
                f"its certificate is not to be trusted: {error.verify_message}",
                where=self.name,
                hint="ca_file names the certificate of an authority of your own",
            ) from None
        except OSError as error:
            raise MailboxUnavailable((error.strerror or str(error)).lower(), where=self.name) from None
        except imaplib.IMAP4.error as error:
            raise MailboxUnavailable(f"the conversation broke off: {str(error)[:200]}", where=self.name) from None


def _some(waiting: list[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """The next messages to ask for, and the rest."""
    much, number = 0, 0
    while number < min(len(waiting), MANY) and (not number or much + min(waiting[number][1], LARGEST) <= MUCH):
        much += min(waiting[number][1], LARGEST)
        number += 1
    return [uid for uid, _ in waiting[:number]], waiting[number:]


def _context(folder: str, ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(Path(folder) / ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError((error.strerror or "is no certificate").lower(), where=ca_file) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _number(connection: imaplib.IMAP4_SSL, name: str) -> int:
    """What the server said of the open folder. 0: nothing."""
    value = connection.response(name)[1][-1]
    return int(value) if isinstance(value, bytes) and value.isdigit() else 0


def _quoted(name: str) -> str:
    """A folder's name as IMAP wants it: modified UTF-7 (RFC 3501 §5.1.3) in quotes."""

    def packed(run: re.Match[str]) -> str:
        if run[0] == "&":
            return "&-"
        octets = base64.b64encode(run[0].encode("utf-16-be")).decode("ascii").rstrip("=").replace("/", ",")
        return f"&{octets}-"

    text = re.sub(r"&|[^\x20-\x7e]+", packed, name)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(words: Sequence[Any]) -> str:
    return " ".join(word.decode("ascii", "replace") for word in words if isinstance(word, bytes))


def _code(words: str | Sequence[Any]) -> str:
    """The server's own word for it, in brackets (RFC 5530); never its prose, which may hold a name."""
    found = _CODE.search(words if isinstance(words, str) else _text(words))
    return f" ({found[1]})" if found else ""
