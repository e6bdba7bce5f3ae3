"""What the commands about people share: nouns with verbs, options, and how a person is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from broadcaster.cli import complete
from broadcaster.cli.say import clean, encoded, moment
from broadcaster.errors import LanguageError, NotFound

if TYPE_CHECKING:
    from broadcaster.address import Address
    from broadcaster.cli.house import House
    from broadcaster.consent import Consent
    from broadcaster.roster import Roster
    from broadcaster.subscriber import MailingList, Standing, Subscriber

Command = TypeVar("Command", bound=Callable[..., Any])

PAGE = 500


class Noun(click.Group):
    """A noun with verbs. Without one, what follows is for the first of them: `subscribers anna` finds her."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)  # a shell asks which verbs there are
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def list_option(*, required: bool = False, multiple: bool = False, help: str) -> Callable[[Command], Command]:  # noqa: A002
    """--list, as every command about people takes it."""
    name = "lists" if multiple else "to" if required else "of"
    return click.option(
        "--list", name, metavar="LIST", required=required, multiple=multiple, help=help, shell_complete=complete.lists
    )


def where_option(command: Command) -> Command:
    """--where, as every command about many people takes it; "" where it was not given."""
    return click.option(
        "--where",
        metavar="FILTER",
        callback=_said,
        help='Only whom this is true of: "city = Basra and has tag member"; @NAME is a segment. See docs/audiences.md.',
    )(command)


def _said(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """A filter that is empty is a mistake, as of a script whose variable is: it must not mean everybody."""
    if value is not None and not value.strip():
        from broadcaster import filters

        filters.parse(value)
    return value or ""


def pair(_: click.Context, option: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE options as a mapping; of a name given twice, the last."""
    found = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or not name.strip():
            raise click.BadParameter(f"{value!r} is not {option.metavar}", param=option)
        found[name.strip()] = text
    return found


def custom_fields(given: dict[str, str]) -> tuple[dict[str, str], set[str]]:
    """--set as fields and their tidy values, and the names of those to take away (an empty value)."""
    from broadcaster.cell import tidy
    from broadcaster.heading import OWN, field_name

    fields, gone = {}, set()
    for name, value in given.items():
        field = field_name(name)
        if not field or field in OWN:
            hint = f"use --{field}" if field in OWN else "a field is letters, digits and _"
            raise click.BadParameter(f"{name!r} is no custom field: {hint}", param_hint="--set")
        if text := tidy(value):
            fields[field] = text
        else:
            gone.add(field)
    return fields, gone


def language_tag(words: str | None) -> str:
    """A language given as a tag or in words. Raises LanguageError (65)."""
    from broadcaster import language

    if not words:
        return ""
    tag = language.tag_of(words)
    if tag is None:
        raise LanguageError(f"{words!r} is no language we know", hint="write it like en, ar, ckb or ar-IQ")
    return tag


def zone_name(name: str | None) -> str:
    """A time zone that there is. Raises a usage error otherwise."""
    from zoneinfo import ZoneInfo

    if not name:
        return ""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise click.BadParameter(f"{name!r} is no time zone, like Asia/Baghdad", param_hint="--timezone") from None
    return name


def mailbox_of(text: str) -> Address:
    """An address as a person types or pastes it. Raises AddressError."""
    from broadcaster.cell import mailbox

    return mailbox(text)[0]


def known(house: House, text: str) -> Subscriber:
    """The person with the address in `text`. Raises NotFound with look-alikes, or where they were erased."""
    wanted = mailbox_of(text)
    found = house.roster.find(wanted)
    if found is None and (since := house.erasure.since(wanted.key)) is not None:
        raise NotFound(
            f"whoever had that address was erased, {moment(since, house.config.time.zone)}",
            hint="if they ask to come back: `broadcaster subscribers add ADDRESS --list … --consent …`",
        )
    return found or house.roster.known(str(wanted))


def on_lists(house: House, of: Subscriber, names: Sequence[str]) -> Sequence[MailingList]:
    """The lists that are named, or all the person is on. Raises NotFound for one that they never were on."""
    stands = house.roster.standings([of.id])[of.id]
    lists = [house.roster.list(name) for name in names or stands]
    for each in lists:
        if each.name not in stands:
            theirs = f"they are on {', '.join(stands)}" if stands else "they are on no list"
            raise NotFound(f"{of.address} is not on {each.name!r}", hint=theirs)
    return lists


def shown(of: Subscriber, lists: dict[str, Standing], suppressed: str | None) -> dict[str, Any]:
    """A person as JSON has them."""
    return {
        "address": of.address,
        "name": of.name,
        "language": of.language,
        "timezone": of.timezone,
        "fields": dict(of.fields),
        "lists": {name: standing.word for name, standing in lists.items()},
        "suppressed": suppressed,
    }


def record(consents: Iterable[Consent], zone: str | None) -> Iterator[str]:
    """The record of what a person agreed to, line by line: what happened, in which words, and what shows it."""
    for each in consents:
        tag = f" ({each.proof.language})" if each.proof.language else ""
        said = f": {clean(each.wording)}{tag}" if each.wording else ""
        yield f"{moment(each.at, zone)} {clean(each.told())}{said}"
        if shown := each.shown():
            yield f"    {clean(shown)}"


def pages(roster: Roster, people: Iterable[Subscriber]) -> Iterator[dict[str, Any]]:
    """People as JSON has them, looked up a page at a time."""
    from itertools import islice

    rest = iter(people)
    while page := list(islice(rest, PAGE)):
        ids = [each.id for each in page]
        lists, reasons = roster.standings(ids), roster.reasons(ids)
        for each in page:
            yield shown(each, lists[each.id], reasons.get(each.id))


def stream(values: Iterable[object]) -> None:
    """A JSON array of any length on standard output, a value a line."""
    between = ""
    sys.stdout.write("[")
    for value in values:
        sys.stdout.write(between + encoded(value))
        between = ",\n"
    sys.stdout.write("]\n")
