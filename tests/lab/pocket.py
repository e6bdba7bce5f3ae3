"""A keyring of the system for a machine that has none: entries in a file. What talks to it is the real library."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class Pocket(KeyringBackend):
    """Chosen by PYTHON_KEYRING_BACKEND; POCKET names the file."""

    priority = 1.0

    @property
    def _file(self) -> Path:
        return Path(os.environ["POCKET"])

    def _entries(self) -> dict[str, Any]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file.write_text(json.dumps({**self._entries(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("there is no such entry")
        self._file.write_text(json.dumps(entries))
