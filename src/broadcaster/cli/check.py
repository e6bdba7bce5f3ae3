"""check: everything wrong with a statement, before the first recipient finds it; `prepare` and `send` look too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from broadcaster.cli.house import House
from broadcaster.cli.say import clean, count, dump, json_option, out, say, style
from broadcaster.errors import BadData, CheckFailed, NotFound, StatementError

if TYPE_CHECKING:
    from broadcaster.merge import MergeTemplate
    from broadcaster.proof import Finding
    from broadcaster.statement import Statement

# how many people's copies are made as a trial
TRIALS = 50


@click.command()
@click.argument("statement")
@click.option(
    "--list", "lists", metavar="LIST", multiple=True, help="Whose fields and languages count; all by default."
)
@json_option
@click.pass_obj
def check(house: House, statement: str, lists: tuple[str, ...], as_json: bool) -> None:
    """Find everything wrong with STATEMENT before the first recipient does.

    Looks for names nobody has, fields that some people lack, languages without a part, links that lead
    nowhere, a missing way to leave, and more. Errors stop a mailing; warnings are for you to judge.

    \b
    Examples:
      broadcaster check clean-water
      broadcaster check clean-water --list news --json

    \b
    Exit statuses: 0 no errors, 65 errors were found or there is no such statement, 78 configuration.
    """
    findings = proved(house, statement, lists).findings
    if as_json:
        dump({"statement": statement, "findings": [finding.to_dict() for finding in findings]})
    else:
        for finding in findings:
            out(_line(finding))
    _conclude(statement, findings)


def refuse_errors(house: House, slug: str, lists: Sequence[str]) -> None:
    """Say what is wrong with a statement. Raises CheckFailed (65) when some of it is an error."""
    findings = proved(house, slug, lists).findings
    for finding in findings:
        say(_line(finding, err=True))
    errors = sum(finding.level == "error" for finding in findings)
    if errors:
        raise CheckFailed(f"{slug} has {count(errors, 'error')}: nothing was prepared or sent")


class Proved:
    """What `proved` found: the statement and the parts that can be laid out, and all findings."""

    def __init__(
        self, statement: Statement | None, merges: Sequence[MergeTemplate], findings: Sequence[Finding]
    ) -> None:
        self.statement = statement
        self.merges = merges
        self.findings = findings


def proved(house: House, slug: str, lists: Sequence[str] = ()) -> Proved:
    """Look at everything. Raises NotFound and ConfigError; what is wrong with the statement is a finding."""
    from broadcaster import proof
    from broadcaster.cli import files

    roster = house.roster
    ids = [roster.list(name).id for name in lists] or [of.id for of in roster.lists()]
    try:
        statement = house.workspace.statement(slug)
    except NotFound:
        raise
    except StatementError as error:
        return Proved(None, (), proof.unread(error))
    merges, faults = laid_out(house, statement)
    attached, missing = files.attached(house, statement, merges)
    faults += missing
    faults += files.enclosed(house, statement, merges, ids)
    if not missing:
        faults += _trials(house, slug, merges, ids)
    printed = proof.fields(merges)
    case = proof.Case(
        statement=statement,
        config=house.config,
        merges=merges,
        faults=faults,
        audience=roster.languages(ids) if ids else None,
        lacking=roster.lacking(ids, printed) if ids and printed else {},
        attached=attached,
    )
    return Proved(statement, merges, proof.prove(case))


def laid_out(house: House, statement: Statement) -> tuple[list[MergeTemplate], list[tuple[str, BadData]]]:
    """The parts that can be laid out, and what is wrong with the others."""
    from broadcaster import proof
    from broadcaster.broadcast import settings
    from broadcaster.template import lay_out

    layouts, known = house.workspace.layouts(), house.roster.fields()
    merges: list[MergeTemplate] = []
    faults: list[tuple[str, BadData]] = []
    for tag, part in sorted(statement.parts.items()):
        try:
            merge = lay_out(part, language=tag, layouts=layouts, settings=settings(house.config, tag), known=known)
            proof.printed(merge)  # a tree too deep to be walked is too deep to be compiled
            merges.append(merge)
        except BadData as error:
            faults.append(("template", error))
        except RecursionError:
            faults.append(("template", StatementError("is nested too deep", where=part.file)))
    return merges, faults


def _trials(house: House, slug: str, merges: Sequence[MergeTemplate], ids: Sequence[int]) -> list[tuple[str, BadData]]:
    """Make copies for some real people, those of rare languages too, and for a reader of whom nothing is known."""
    from broadcaster import language
    from broadcaster.cli.copies import Copies, nobody

    if not merges:
        return []
    default = house.config.languages.default
    people = [*(nobody(str(house.config.sender.address), merge.language) for merge in merges)]
    people += house.roster.sample(ids, TRIALS) if ids else []
    faults: dict[str, BadData] = {}
    for merge in merges:
        readers = [p for p in people if language.choose(p.language or default, [merge.language], "") == merge.language]
        try:
            copies = Copies(house, slug, [merge], enclosing=False)
            for person in readers:
                copies.of(person, merge.language, house.now)
        except BadData as error:
            faults.setdefault(str(error), error)
    return [("template", error) for error in faults.values()]


def _line(finding: Finding, *, err: bool = False) -> str:
    colour = "red" if finding.level == "error" else "yellow"
    level = style(finding.level.value, err=err, fg=colour)
    place = f"{clean(finding.where)}: " if finding.where else ""
    return f"{place}{level}: {clean(finding.message)} [{finding.rule}]"


def _conclude(slug: str, findings: Sequence[Finding]) -> None:
    levels = Counter(finding.level.value for finding in findings)
    errors, warnings = levels["error"], levels["warning"]
    told = ", ".join(part for part in (count(errors, "error"), count(warnings, "warning")) if not part.startswith("0"))
    if errors:
        raise CheckFailed(f"{slug} has {told}", hint="errors stop a mailing; `broadcaster test` works all the same")
    say(f"{slug}: {told or 'nothing to complain about'}")
