"""Whom something is for: the words of --list, --exclude and --where → a rule, a condition, and who was gathered by it.

A rule keeps the words and what its segments meant when it was made: whoever is gathered by it is chosen by these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from broadcaster import conditions, filters, gathering, segments
from broadcaster import language as tags
from broadcaster.audience import Audience
from broadcaster.conditions import EVERYBODY, NOBODY, Condition, Scope, key_of
from broadcaster.errors import NotFound, StatementError
from broadcaster.mailing import Rule

if TYPE_CHECKING:
    from broadcaster.audience import Gathered
    from broadcaster.config import Config
    from broadcaster.ledger import Ledger
    from broadcaster.roster import Roster


def condition(
    config: Config,
    roster: Roster,
    ledger: Ledger,
    where: str,
    lists: Sequence[int] = (),
    meanings: Mapping[str, str] | None = None,
) -> Condition:
    """A filter in SQL; `lists` are those that `joined` is about, none for any.

    `meanings` of segments by their key, those saved where none are given. Raises FilterError.
    """
    if not where:
        return EVERYBODY
    scope = Scope(
        fields=roster.fields(),
        segments=segments.meanings(roster.db) if meanings is None else meanings,
        mailings=ledger.numbers(),
        forgotten=ledger.forgotten(),
        zone=config.time.zone,
        lists=lists,
    )
    return conditions.compiled(filters.parse(where), scope)


def find_rule(
    roster: Roster, ledger: Ledger, lists: Sequence[str], exclude: Sequence[str] = (), where: str = ""
) -> Rule:
    """Names → ids, a filter → its one spelling.

    Raises NotFound for a list, segment or mailing that is not there, FilterError for a filter that cannot be read.
    """
    out, mailings, used = [], [], []
    for name in exclude:
        kind, _, number = name.partition(":")
        if kind == "mailing":
            if re.fullmatch("[0-9]{1,18}", number) is None:
                raise NotFound(f"{name!r} names no mailing", where="--exclude", hint="write mailing:12")
            mailings.append(ledger.remembered(int(number)).id)
        elif name.startswith("@"):
            used.append(segments.find(roster.db, name[1:]))
        else:
            out.append(_excluded(roster, name))
    but = sorted({each.name for each in used})
    spelled = ""
    if where:
        said = filters.parse(where)
        spelled = str(said)
        there = segments.meanings(roster.db)
        # one that is not there is told with its column when the filter is made into SQL
        used += [segments.find(roster.db, each.name) for each in said.segments if key_of(each.name) in there]
    return Rule(
        lists=tuple(dict.fromkeys(roster.list(name).id for name in lists)),
        exclude=tuple(sorted(set(out))),
        exclude_mailings=tuple(sorted(set(mailings))),
        exclude_segments=tuple(but),
        where=spelled,
        segments=tuple(sorted({(key_of(each.name), each.where) for each in used})),
    )


def _excluded(roster: Roster, name: str) -> int:
    """The id of a list. Raises NotFound; a segment is not named like one."""
    try:
        return roster.list(name).id
    except NotFound as error:
        if key_of(name) not in segments.meanings(roster.db):
            raise
        raise NotFound(error.message, where="--exclude", hint=f"the segment is @{name}") from None


def gather(config: Config, roster: Roster, ledger: Ledger, rule: Rule) -> Gathered:
    """Gather those whom a rule means, for this connection alone. Raises FilterError."""
    meanings = dict(rule.segments)

    def told(where: str) -> Condition:
        return condition(config, roster, ledger, where, rule.lists, meanings)

    but = [told(f"@{name}") for name in rule.exclude_segments]
    return gathering.gather(
        roster.db,
        rule.lists,
        rule.exclude,
        rule.exclude_mailings,
        where=told(rule.where),
        but=conditions.either(but) if but else NOBODY,
    )


def audience(config: Config, roster: Roster, of: Gathered, languages: Sequence[str] | None) -> Audience:
    """Which of these languages each of those who were gathered gets; None: the one they want.

    Raises StatementError where somebody would get one that is not among them.
    """
    return Audience.of(
        of.turn,
        {tag: speakers.number for tag, speakers in gathering.languages(roster.db).items()},
        str if languages is None else _chooser(config, languages),
    )


def _chooser(config: Config, languages: Sequence[str]) -> Callable[[str], str]:
    """Language of a person → that of the statement which they get. Raises StatementError where there is none."""
    default = config.languages.default

    def choose(tag: str) -> str:
        chosen = tags.choose(tag or default, languages, default)
        if chosen not in languages:
            wanted = f"{tag!r}" if tag else "no language"
            raise StatementError(
                f"there are people with {wanted}, and no part in the default language {default!r}",
                hint=f"write {default}.md, or set languages.default to one that is there",
            )
        return chosen

    return choose


def meant_since(roster: Roster, rule: Rule) -> list[str]:
    """The segments of a rule that mean something else now, or are gone."""
    now = segments.meanings(roster.db)
    return [name for name, where in rule.segments if now.get(name) != where]
