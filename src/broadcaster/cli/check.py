"""check: everything wrong with a statement, before the first recipient finds it; `prepare` and `send` look too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from broadcaster.cli import complete
from broadcaster.cli.house import House
from broadcaster.cli.people import where_option
from broadcaster.cli.say import clean, count, dump, json_option, out, say, style
from broadcaster.cli.trials import People, Trials
from broadcaster.errors import CheckFailed, NotFound, StatementError

if TYPE_CHECKING:
    from broadcaster.broadcast import Order
    from broadcaster.merge import MergeTemplate
    from broadcaster.proof import Finding
    from broadcaster.statement import Statement


# findings of one rule in one file that are told one by one
ALIKE = 10
# with an error of these rules there is no message that could be mailed, whoever insists
UNMADE = frozenset({"template", "image", "attachment"})


@click.command()
@click.argument("statement", shell_complete=complete.statements)
@click.option(
    "--list",
    "lists",
    metavar="LIST",
    multiple=True,
    shell_complete=complete.lists,
    help="Whose fields and languages count; all by default.",
)
@where_option
@click.option("--links", is_flag=True, help="Ask every link whether it answers; nothing private is asked.")
@json_option
@click.pass_obj
def check(house: House, statement: str, lists: tuple[str, ...], where: str, links: bool, as_json: bool) -> None:
    """Find everything wrong with STATEMENT before the first recipient does.

    Tries every combination of branches, the longest and the empty value of each field in each language, and
    looks for names nobody has, stale translations, links that lead nowhere, what mail programs drop, a missing
    way to leave, and more; docs/reference/checks.md has every rule. Errors stop a mailing, unless `prepare` or
    `send` is told to --force the rule; warnings are for you to judge.

    \b
    Examples:
      broadcaster check clean-water
      broadcaster check clean-water --list news --json
      broadcaster check clean-water --list news --where "language is ar"
      broadcaster check clean-water --links

    \b
    Exit statuses: 0 no errors, 65 errors were found or there is no such statement, 78 configuration.
    """
    from broadcaster.broadcast import Order

    findings = proved(house, Order(statement, lists, where=where), links=links).findings
    if as_json:
        dump({"statement": statement, "findings": [finding.to_dict() for finding in findings]})
    else:
        for line in _told(findings):
            out(line)
    _conclude(statement, findings)


def refuse_errors(house: House, order: Order, force: Sequence[str] = ()) -> None:
    """Say what is wrong with a statement. Raises CheckFailed (65) when some of it is an error of no forced rule."""
    findings = proved(house, order).findings
    for line in _told(findings, err=True):
        say(line)
    rules = [finding.rule for finding in findings if finding.level == "error" and finding.rule not in force]
    if rules:
        ways = " ".join(f"--force {rule}" for rule in dict.fromkeys(rules))
        hint = "mend it" if UNMADE.intersection(rules) else f"mend it; or insist: {ways}"
        raise CheckFailed(f"{order.slug} has {count(len(rules), 'error')}: nothing was prepared or sent", hint=hint)


def forced(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """The rules of --force. Raises BadParameter for one that is none, or whose findings stop nothing."""
    if values:
        from broadcaster.rules import RULES
        from broadcaster.slips import near

        errors = [name for name, rule in RULES.items() if rule.level == "error"]
        for name in values:
            if name not in errors:
                raise click.BadParameter(f"{name!r} is no rule that stops a mailing: {near(name, errors)}")
    return values


class Proved:
    """What `proved` found: the statement and the parts that can be laid out, and all findings."""

    def __init__(
        self, statement: Statement | None, merges: Sequence[MergeTemplate], findings: Sequence[Finding]
    ) -> None:
        self.statement = statement
        self.merges = merges
        self.findings = findings


def proved(house: House, order: Order, *, links: bool = False) -> Proved:
    """Look at everything, with `links` on the web too. An order without lists is for all of them.

    Raises NotFound, FilterError and ConfigError; what is wrong with the statement is a finding.
    """
    from broadcaster import broadcast, choosing, gathering, proof
    from broadcaster.cli import files

    roster, slug = house.roster, order.slug
    on = [roster.list(name) for name in order.lists] or [*roster.lists()]
    rule = choosing.find_rule(roster, house.ledger, [of.name for of in on], order.exclude, order.where)
    try:
        statement = house.workspace.statement(slug)
    except NotFound:
        raise
    except StatementError as error:
        return Proved(None, (), proof.unread(error))
    merges, unmade = broadcast.laid_out(house.workspace, house.config, roster.fields(), statement)
    faults = [(proof.rule_of(error), error) for error in unmade]
    attached, missing = files.attached(house, statement, merges)
    faults += missing
    choosing.gather(house.config, roster, house.ledger, rule)
    faults += files.enclosed(house, statement, merges) if on else ()
    speakers = gathering.languages(house.db)
    people = People.of(house, speakers, [merge.language for merge in merges], proof.fields(merges))
    tried = Trials(house, slug, people)
    if not UNMADE.intersection(rule for rule, _ in missing):
        for merge in merges:
            tried.of(merge)
    case = proof.Case(
        statement=statement,
        config=house.config,
        merges=merges,
        faults=[*faults, *tried.faults],
        audience={tag: of.number for tag, of in speakers.items()} if on else None,
        lacking=people.lacking(proof.fields(merges), sum(of.number for of in speakers.values())),
        attached=attached,
        misread=people.misread(house, merges),
        tried=[*tried.findings, *(_answers(house, statement, merges) if links else ())],
        untried=tried.untried,
        changed=house.workspace.changed(statement),
        lists=on,
        layouts=house.workspace.layouts(),
    )
    return Proved(statement, merges, proof.prove(case))


def _answers(house: House, statement: Statement, merges: Sequence[MergeTemplate]) -> list[Finding]:
    """What became of the links and images on the web, each asked once whatever the languages it is in."""
    from broadcaster import page, press, probe
    from broadcaster.rules import found

    base = house.config.links.images
    where: dict[str, tuple[str, str]] = {}  # address → language, how the text names it
    for merge in merges:
        asked = {link: link for link in page.links(merge.html)}
        asked |= {press.hosted(base, path): path.rpartition("/")[2] for path in merge.images if base}
        for link, name in asked.items():
            where.setdefault(link, (merge.language, name))
    findings = []
    for link, answer in probe.probe(where).items():
        if answer.why:
            tag, name = where[link]
            part = statement.parts[tag]
            rule = "dead-link" if answer.dead else "unsure-link"
            findings.append(
                found(rule, f'"{link[:120]}": {answer.why}', part.file, page.line_of(part, re.escape(name)))
            )
    return findings


def _told(findings: Sequence[Finding], *, err: bool = False) -> Iterator[str]:
    """A line for each finding; of many that are alike the first ones, and how many there are."""
    number = Counter((finding.file, finding.rule) for finding in findings)
    told: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        kind = finding.file, finding.rule
        told[kind] += 1
        if told[kind] <= ALIKE or number[kind] == ALIKE + 1:
            yield _line(finding, err=err)
        elif told[kind] == number[kind]:
            place = f"{clean(finding.file)}: " if finding.file else ""
            yield f"{place}… and {number[kind] - ALIKE:,} more [{finding.rule}]"


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
