"""The people that `check` tries a statement with: some real ones, and one for each combination of branches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broadcaster.errors import BadData, StatementError
from broadcaster.subscriber import Subscriber

if TYPE_CHECKING:
    from broadcaster.audience import Speakers
    from broadcaster.cli.house import House
    from broadcaster.merge import MergeTemplate
    from broadcaster.message import Copy
    from broadcaster.proof import Misread
    from broadcaster.rules import Finding

# how many real people's copies are made; those of rare languages are among them
REAL = 50


@dataclass(frozen=True, slots=True)
class People:
    """What is known of the audience: how many have each field, and its longest value for each part."""

    having: Mapping[str, int]
    longest: Mapping[str, Mapping[str, str]]  # language of the part → field → value
    sample: Sequence[Subscriber]
    default: str

    @classmethod
    def of(cls, house: House, speakers: Mapping[str, Speakers], parts: Sequence[str], fields: Iterable[str]) -> People:
        """Those who were gathered, by language, are asked for these fields."""
        from broadcaster import gathering, language
        from broadcaster.census import Census

        default = house.config.languages.default
        having: dict[str, int] = {}
        longest: dict[str, dict[str, str]] = {part: {} for part in parts}
        for tag, name, number, value in Census(house.db).profile(fields):
            having[name] = having.get(name, 0) + number
            values = longest.get(language.choose(tag or default, parts, default), {})
            if len(value) > len(values.get(name, "")):
                values[name] = value
        real = house.roster.people(gathering.sample(house.db, REAL, speakers))
        return cls(having, longest, [*real.values()], default)

    def lacking(self, names: Iterable[str], everybody: int) -> dict[str, int]:
        """How many lack each field."""
        return {name: everybody - self.having.get(name, 0) for name in names}

    def readers(self, part: str) -> list[Subscriber]:
        """The real people who would get a part."""
        from broadcaster import language

        return [of for of in self.sample if language.choose(of.language or self.default, [part], "") == part]

    def misread(self, house: House, merges: Sequence[MergeTemplate]) -> list[Misread]:
        """The fields with values that a filter cannot read."""
        from broadcaster import phrasing
        from broadcaster.branches import filtered
        from broadcaster.census import Census
        from broadcaster.proof import Misread

        texts = [text for merge in merges for text in (merge.subject, merge.html, merge.text)]
        found: list[Misread] = []
        for name, by in sorted(filtered(texts)):
            if by in phrasing.READING and name in self.having and name not in ("name", "timezone"):
                wrong = [each for each in Census(house.db).values(name) if not phrasing.understood(by, each[0])]
                if wrong:
                    found.append(Misread(name, by, sum(number for _, number in wrong), wrong[0][0][:60]))
        return found


@dataclass(slots=True)
class Trials:
    """Copies made as a trial, by the press that makes the real ones, and by plain Jinja to be looked at."""

    house: House
    slug: str
    people: People
    faults: list[tuple[str, BadData]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    untried: dict[str, int] = field(default_factory=dict)  # language → combinations, where not all were tried

    def of(self, merge: MergeTemplate) -> None:
        """Try one part: with nobody, with each combination of branches, with real people."""
        from broadcaster import branches
        from broadcaster.cli.copies import Copies, nobody
        from broadcaster.trial import Trial

        address, now = str(self.house.config.sender.address), self.house.now
        longest = self.people.longest.get(merge.language, {})
        choices = branches.choices((merge.subject, merge.html, merge.text), longest)
        if not choices.whole:
            self.untried[merge.language] = choices.number
        persons = [nobody(address, merge.language)]
        persons += [made_up(address, merge.language, values) for values in choices.tried(longest)]
        seen: set[str] = set()
        try:
            copies = Copies(self.house, self.slug, [merge], enclosing=False)
            trial = Trial(merge)
        except BadData as error:
            self.faults.append(("trial", error))
            return
        for person in [*persons, *self.people.readers(merge.language)]:
            try:
                copies.of(person, merge.language, now)
                trial.look(_copy(person, merge.language))
            except BadData as error:
                # the same fault for other people says nothing new
                if str(error) not in seen:
                    seen.add(str(error))
                    self.faults.append(("trial", _for(person, error)))
            except Exception as error:  # plain Jinja raises what it likes; the press has said it in our words
                if str(error) not in seen:
                    seen.add(str(error))
                    fault = StatementError(f"cannot be written for a person: {error}"[:300], where=merge.file)
                    self.faults.append(("trial", _for(person, fault)))
        self.findings += trial.findings()


def made_up(address: str, language: str, values: Mapping[str, str]) -> Subscriber:
    """A person with some fields."""
    own = {name: values.get(name, "") for name in ("name", "timezone")}
    rest = {name: value for name, value in values.items() if name not in ("email", "language", *own)}
    return Subscriber(0, address, own["name"], language, own["timezone"], rest)


def _copy(person: Subscriber, language: str) -> Copy:
    """A copy with links as long as the real ones."""
    from broadcaster.message import Copy

    leave = f"mailto:leave@{'x' * 20}.example?subject=leave-{'x' * 40}"
    return Copy(person, language, "x.example", "x", "<x@x.example>", leave, (leave,), 0)


def _for(person: Subscriber, error: BadData) -> BadData:
    from broadcaster.trial import who

    return StatementError(f"{error.message} ({who(person.values())})", where=error.where, hint=error.hint)
