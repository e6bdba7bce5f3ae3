"""Every error broadcaster raises on purpose, and the status it exits with.

    BroadcasterError          1   a defect of ours, unless a subclass says otherwise
    ├── Unanswered            2   a question with nobody to ask, or an answer of no
    ├── BadData              65   something that was handed to us cannot be used
    │   ├── AddressError     65   not a mailbox address
    │   ├── LanguageError    65   not a language tag
    │   ├── SheetError       65   a file of people cannot be read
    │   ├── FilterError      65   a --where cannot be read, or speaks of what is not there
    │   ├── ArchiveError     65   a backup cannot be read: damaged, not ours, or locked with another key
    │   ├── StatementError   65   a statement or layout cannot be read or compiled
    │   ├── CheckFailed      65   `check` found errors
    │   ├── NotFound         65   no such list, subscriber, statement or mailing
    │   └── EmptyAudience    65   nobody would get this mailing
    ├── RelayUnavailable     69   no relay would talk to us
    ├── MailboxUnavailable   69   a mailbox of returned mail cannot be read
    ├── CannotWrite          73   a file or folder cannot be written
    ├── Unfinished           75   deliveries wait or are in doubt; run the same command again
    │   └── SenderAtWork     75   another process is sending from this workspace
    ├── NotAllowed           77   paused, already sent, changed since
    │   └── NotApproved      77   a second person has not released this mailing
    ├── ConfigError          78   broadcaster.toml, the key or the workspace is not right
    └── Interrupted         130   somebody pressed Ctrl-C

A message is one line without a full stop and says where, what is wrong, and what is allowed;
the hint says what to do. Neither holds a secret.
"""

from __future__ import annotations

from typing import ClassVar


class BroadcasterError(Exception):
    """The root: `str(error)` is "where: message", `error.hint` what to do next."""

    status: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class Unanswered(BroadcasterError):
    status = 2


class BadData(BroadcasterError):
    status = 65


class AddressError(BadData):
    pass


class LanguageError(BadData):
    pass


class SheetError(BadData):
    pass


class FilterError(BadData):
    """Something in one line that a person wrote: `text` is the line, `place` where in it (characters, from 0)."""

    def __init__(self, message: str, *, text: str, place: int, source: str, hint: str | None = None) -> None:
        super().__init__(message, where=f"{source}:{place + 1}", hint=hint)
        self.text = text
        self.place = place


class ArchiveError(BadData):
    pass


class StatementError(BadData):
    pass


class CheckFailed(BadData):
    pass


class NotFound(BadData):
    pass


class EmptyAudience(BadData):
    pass


class RelayUnavailable(BroadcasterError):
    status = 69


class MailboxUnavailable(BroadcasterError):
    status = 69


class CannotWrite(BroadcasterError):
    status = 73


class Unfinished(BroadcasterError):
    status = 75


class SenderAtWork(Unfinished):
    pass


class NotAllowed(BroadcasterError):
    status = 77


class NotApproved(NotAllowed):
    pass


class ConfigError(BroadcasterError):
    status = 78


class Interrupted(BroadcasterError):
    status = 130
