"""What a command is handed: the workspace and its hands, each opened when first asked for."""

from __future__ import annotations

import os
import time
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broadcaster.config import Config
    from broadcaster.db import Db
    from broadcaster.ledger import Ledger
    from broadcaster.links import Signer
    from broadcaster.roster import Roster
    from broadcaster.workspace import Workspace


class House:
    """Lazy: `--help` opens nothing, `status` no template engine."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def __enter__(self) -> House:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        db = self.__dict__.pop("db", None)
        if db is not None:
            db.close()

    @cached_property
    def workspace(self) -> Workspace:
        from broadcaster import workspace

        return workspace.find(self._directory, os.environ)

    @cached_property
    def config(self) -> Config:
        return self.workspace.config()

    @cached_property
    def db(self) -> Db:
        from broadcaster.db import open_database

        # a workspace that cannot be read is reported before a database is made in it
        _ = self.config
        return open_database(self.workspace.database)

    @cached_property
    def roster(self) -> Roster:
        from broadcaster.roster import Roster

        return Roster(self.db, lambda: self.now)

    @cached_property
    def ledger(self) -> Ledger:
        from broadcaster.ledger import Ledger

        return Ledger(self.db)

    @cached_property
    def signer(self) -> Signer:
        from broadcaster.links import Signer

        return Signer(self.workspace.key())

    @property
    def now(self) -> int:
        """Seconds since the epoch, UTC."""
        return int(time.time())

    @cached_property
    def who(self) -> str:
        """The system user, for the record of who did what."""
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())
