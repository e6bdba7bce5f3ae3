"""One entry of the record of who agreed to what, or took it back: when, how, in which words, and what shows it.

The record is only ever added to. What it says must be enough for somebody who was not there (GDPR Art. 7(1)).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final

# What an entry says that a person did, as a sentence about them. Other ways are told as they are.
WAYS: Final[Mapping[str, str]] = {
    "add": "agreed, and was added",
    "import": "agreed, says a file",
    "form": "agreed on a form",
    "leave": "asked to leave",
    "remove": "was taken off by staff",
    "delete": "was on it when it was deleted",
    "sync": "was missing in a file, and taken off",
    "undo": "is as they were before an import, which was taken back",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that an entry is true; an empty value says nothing. `language` is that of the wording.

    `file` and `digest` (SHA-256, in hex) are of a form or a scan that staff keep, or of the file that was imported,
    `given` and `ip` when and whence they agreed as that file has it, `message` where the mail lay in which they
    said so, `after` what the person was before they came back: left, or erased.
    """

    language: str = ""
    file: str = ""
    digest: str = ""
    given: str = ""
    ip: str = ""
    message: str = ""
    after: str = ""

    @property
    def evidence(self) -> str:
        """As JSON, all but the language: that has a column of its own."""
        said = {name: value for name, value in asdict(self).items() if value and name != "language"}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


NOTHING: Final = Proof()


@dataclass(frozen=True, slots=True)
class Consent:
    """An entry. `at` is when it was written (epoch seconds, UTC), `who` the system user who wrote it."""

    list: str
    at: int
    how: str  # add, import, form, leave, remove, delete, sync, undo
    wording: str
    who: str = ""
    proof: Proof = NOTHING
    intake: int | None = None  # the import that it came with

    @classmethod
    def read(
        cls,
        row: tuple[str, int, str, str, str, str, str],
        intake: tuple[int, str, str, str, str, str] | None,
    ) -> Consent:
        """From (list, at, how, wording, language, who, evidence) and, where it came with a file, from that import's
        (number, file, digest, who, consent, language): what is said of all people in a file is said once.
        """
        name, at, how, wording, language, who, evidence = row
        known = json.loads(evidence)
        proof = Proof(language, **{key: str(known[key]) for key in known.keys() & _EVIDENCE})
        if intake is None:
            return cls(name, at, how, wording, who, proof)
        number, file, digest, importer, consent, theirs = intake
        proof = replace(proof, language=language or theirs, file=proof.file or file, digest=proof.digest or digest)
        return cls(name, at, how, wording or consent, who or importer, proof, number)

    def told(self) -> str:
        """What happened, in a plain sentence without its subject and its time."""
        way = WAYS.get(self.how, self.how)
        after = f", after having {'left' if self.proof.after == 'left' else 'been erased'}" if self.proof.after else ""
        return f"{way}{after}, {self.list}"

    def shown(self) -> str:
        """What shows it, in a few words; "" where nothing does."""
        proof = self.proof
        words = (
            (f"import {self.intake}", self.intake is not None),
            (proof.file, proof.file),
            (f"SHA-256 {proof.digest}", proof.digest),
            (f"given {proof.given}", proof.given),
            (f"from {proof.ip}", proof.ip),
            (f"mail {proof.message}", proof.message),
            (f"entered by {self.who}", self.who),
        )
        return ", ".join(word for word, there in words if there)

    def as_json(self) -> dict[str, object]:
        """Every part of it, the empty ones too: a program need not ask which there are."""
        return {
            "list": self.list,
            "at": self.at,
            # with the file's name, as it was when that stood nowhere else
            "how": self.how if self.intake is None else f"{self.how} {self.proof.file}",
            "wording": self.wording,
            **asdict(self.proof),
            "who": self.who,
            "import": self.intake,
        }


_EVIDENCE: Final = frozenset(asdict(NOTHING)) - {"language"}
