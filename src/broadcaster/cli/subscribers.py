"""subscribers: find, show, add, edit, remove, leave; import, undo, export, dossier, erase have their own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broadcaster.cli.house import House, tried
from broadcaster.cli.people import (
    Noun,
    custom_fields,
    known,
    language_tag,
    list_option,
    mailbox_of,
    on_lists,
    pages,
    pair,
    record,
    shown,
    stream,
    where_option,
    zone_name,
)
from broadcaster.cli.say import Tint, clean, dry_run_option, dump, json_option, moment, out, say, table
from broadcaster.cli.subscribers_dossier import dossier
from broadcaster.cli.subscribers_erase import erase
from broadcaster.cli.subscribers_export import export
from broadcaster.cli.subscribers_import import import_
from broadcaster.cli.subscribers_undo import imports, undo
from broadcaster.errors import BadData

if TYPE_CHECKING:
    from broadcaster.subscriber import Subscriber

SHOWN = 1_000


@click.group(cls=Noun, subcommand_metavar="[TEXT | VERB [ARGS]...]")
def subscribers() -> None:
    """Find, add, import and export people.

    Without a verb: find those with TEXT in their address, name or a field; without TEXT, everybody.

    \b
    Examples:
      broadcaster subscribers anna
      broadcaster subscribers --list news
      broadcaster subscribers import members.csv --list news
      broadcaster subscribers unsubscribe anna@example.org

    \b
    Exit statuses: 0 done, 2 wrong usage or not confirmed, 65 bad data or nobody of that address, 73 cannot
    write, 77 not allowed, 78 configuration.
    """


set_option = click.option(
    "--set", "given", multiple=True, metavar="FIELD=VALUE", callback=pair, help="A custom field; more than once."
)
name_option = click.option("--name", metavar="NAME", help="What they want to be called.")
language_option = click.option("--language", metavar="LANGUAGE", help="A tag (ar, ckb) or a name (Arabic).")
timezone_option = click.option("--timezone", metavar="ZONE", help="Like Asia/Baghdad.")


@subscribers.command("find", short_help="Find people by part of address, name or field.")
@click.argument("text", required=False, default="")
@list_option(help="Only who is on LIST.")
@where_option
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help=f"At most N; {SHOWN:,} unless --json, 0 for no limit."
)
@json_option
@click.pass_obj
def find(house: House, text: str, of: str | None, where: str, limit: int | None, as_json: bool) -> None:
    """Find people by a part of their address, name or a field, without regard to case and accents.

    \b
    Examples:
      broadcaster subscribers müller
      broadcaster subscribers basra --list news --json
      broadcaster subscribers --where "city in (Basra, Erbil) and not has tag staff"

    \b
    Exit statuses: 0 told (also when there is nobody), 65 no such list or a filter that cannot be read,
    78 configuration.
    """
    from itertools import islice

    most = limit if limit is not None else 0 if as_json else SHOWN
    roster = house.roster
    on = roster.list(of) if of else None
    people_found = roster.search(text, on, house.condition(where, [on.id] if on else ()))
    found = pages(roster, islice(people_found, most + 1 if most else None))
    if as_json:
        stream(islice(found, most or None))
        return
    people = list(found)
    rows = [
        (
            each["address"],
            each["name"],
            each["language"],
            _standing(each),
            ", ".join(f"{field}: {value}" for field, value in each["fields"].items()),
        )
        for each in people[: most or None]
    ]
    table(
        ["address", "name", "language", "lists", "fields"],
        rows,
        keep=["address"],
        spare=["name", "language", "fields"],
    )
    if not rows:
        nobody = f"nobody has {clean(text)!r}" if text else "nobody is meant by that" if where or on else None
        say(nobody or "nobody yet: `broadcaster subscribers import FILE --list LIST`")
    elif most and len(people) > most:
        say(f"… and more: these are the first {most:,}; --limit 0 shows all")


def _standing(each: dict[str, Any]) -> Tint:
    """The lists of a person, and what stands between them and any mail."""
    lists = ", ".join(name if state == "active" else f"{name} ({state})" for name, state in each["lists"].items())
    if each["suppressed"]:
        return Tint(f"{lists} [suppressed: {each['suppressed']}]", "red")
    return Tint(lists, None if all(state == "active" for state in each["lists"].values()) else "yellow")


@subscribers.command("show", short_help="Show what is kept of one person.")
@click.argument("address")
@json_option
@click.pass_obj
def show(house: House, address: str, as_json: bool) -> None:
    """Show what is kept of one person, with the record of what they agreed to.

    \b
    Examples:
      broadcaster subscribers show anna@example.org

    \b
    Exit statuses: 0 told, 65 nobody of that address, 78 configuration.
    """
    of = known(house, address)
    consents = house.roster.consents(of)
    if as_json:
        dump({**_person(house, of), "consents": [each.as_json() for each in consents]})
        return
    for name, value in of.values().items():
        out(f"{name}: {clean(value)}")
    zone = house.config.time.zone
    for name, (standing, since) in house.roster.since(of).items():
        out(f"list {name}: {standing.word} since {moment(since, zone)}")
    for line in record(consents, zone):
        out(line)


@subscribers.command("add")
@click.argument("address")
@list_option(required=True, help="The list to put them on.")
@name_option
@language_option
@timezone_option
@set_option
@click.option("--consent", required=True, metavar="TEXT", help="How they agreed, and to what, for the record.")
@click.option("--consent-language", metavar="LANGUAGE", help="The language in which that was put to them.")
@click.option(
    "--evidence",
    metavar="FILE",
    type=click.Path(readable=False, path_type=Path),
    help="What shows it, as a scan of the form: its name and digest are recorded. Keep the file.",
)
@dry_run_option
@json_option
@click.pass_obj
def add(
    house: House,
    address: str,
    to: str,
    name: str | None,
    language: str | None,
    timezone: str | None,
    given: dict[str, str],
    consent: str,
    consent_language: str | None,
    evidence: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put one person on a list by their own word.

    Who left or was erased before may come back this way, and only this way: it is they who say so, and --consent
    is the record of it. Who complained, or whose address bounced, may not.

    \b
    Examples:
      broadcaster subscribers add anna@example.org --list news --consent "paper form, 3 May 2026"
      broadcaster subscribers add "Anna Weiß <anna@example.org>" --list news --language de \\
          --set city=Basra --consent "asked by phone"
      broadcaster subscribers add omar@example.org --list news --consent "I want the newsletter" \\
          --consent-language en --evidence forms/2026-05-03-omar.pdf

    \b
    Exit statuses: 0 done, 2 wrong usage, 65 not an address, no such list, or no such file, 77 must not be mailed,
    78 configuration.
    """
    from broadcaster.cell import mailbox, tidy_line
    from broadcaster.consent import Proof
    from broadcaster.forgetting import welcome

    found, said = mailbox(address)
    word = tidy_line(consent)
    if not word:
        raise click.BadParameter("say how they agreed", param_hint="--consent")
    details = _details(name or said, language, timezone, custom_fields(given)[0])
    file, digest = _form(evidence) if evidence is not None else ("", "")
    proof = Proof(language_tag(consent_language), file, digest)
    with tried(house.db, dry_run=dry_run):
        person, new = welcome(house.roster, house.erasure, found, details, house.roster.list(to), word, proof)
        now = _person(house, person)
    if as_json:
        dump({**now, "new": new})
    else:
        state = "would be" if dry_run else "is"
        out(f"{found.shown} {state} {'now on' if new else 'on'} {to!r}" + ("" if new else " already"))


@subscribers.command("edit")
@click.argument("address")
@click.option("--address", "to", metavar="NEW", help="Their new address.")
@name_option
@language_option
@timezone_option
@set_option
@dry_run_option
@json_option
@click.pass_obj
def edit(
    house: House,
    address: str,
    to: str | None,
    name: str | None,
    language: str | None,
    timezone: str | None,
    given: dict[str, str],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Change what is kept of one person. An empty value takes it away.

    \b
    Examples:
      broadcaster subscribers edit anna@example.org --name "Anna Weiß" --set city=
      broadcaster subscribers edit anna@example.org --address anna@new.example

    \b
    Exit statuses: 0 changed, 2 wrong usage, 65 nobody of that address, 77 not allowed, 78 configuration.
    """
    if not given and (to, name, language, timezone) == (None,) * 4:
        raise click.UsageError("say what to change: --name, --language, --timezone, --set or --address")
    fields, gone = custom_fields(given)
    details = _details(name, language, timezone, fields)
    gone |= {
        column for column, value in (("name", name), ("language", language), ("timezone", timezone)) if value == ""
    }
    new = mailbox_of(to) if to is not None else None
    if new is not None:
        house.erasure.refuse(new)
    with tried(house.db, dry_run=dry_run):
        of = house.roster.edit(known(house, address), details, address=new, drop=gone)
        now = _person(house, of)
    if as_json:
        dump(now)
    else:
        out(f"{clean(of.address)} {'would be' if dry_run else 'is'} changed")


@subscribers.command("remove", short_help="Take one person off a list on your own word.")
@click.argument("address")
@list_option(multiple=True, help="From this list; more than once. Otherwise from all.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
@dry_run_option
@json_option
@click.pass_obj
def remove(house: House, address: str, lists: tuple[str, ...], reason: str, dry_run: bool, as_json: bool) -> None:
    """Take one person off a list on your own word: a later file may bring them back.

    If it is they who asked, use `unsubscribe`: no file brings them back then.

    \b
    Examples:
      broadcaster subscribers remove anna@example.org --list board

    \b
    Exit statuses: 0 removed, 65 nobody of that address, or not on that list, 78 configuration.
    """
    of = known(house, address)
    with tried(house.db, dry_run=dry_run):
        gone = house.roster.remove(of, on_lists(house, of, lists), _said(reason))
        now = _person(house, of)
    if as_json:
        dump({**now, "removed": list(gone)})
    else:
        _gone(of, list(gone), "would be taken off" if dry_run else "is taken off", "was on none of these lists")


@subscribers.command("unsubscribe", short_help="Somebody asked to leave.")
@click.argument("address")
@list_option(multiple=True, help="They leave this list only; more than once.")
@click.option("--reason", default="", metavar="TEXT", help="What they said, for the record.")
@dry_run_option
@json_option
@click.pass_obj
def unsubscribe(house: House, address: str, lists: tuple[str, ...], reason: str, dry_run: bool, as_json: bool) -> None:
    """Somebody asked to leave: all lists, and those to come, unless some are named.

    It counts from this moment, also for a mailing that is running. No file brings them back.

    \b
    Examples:
      broadcaster subscribers unsubscribe anna@example.org --reason "by phone"
      broadcaster subscribers unsubscribe anna@example.org --list news

    \b
    Exit statuses: 0 they have left, 65 nobody of that address (look-alikes are offered), or not on that list,
    78 configuration.
    """
    of = known(house, address)
    with tried(house.db, dry_run=dry_run):
        leaving = on_lists(house, of, lists)
        before = {name for name, standing in house.roster.standings([of.id])[of.id].items() if standing.word == "left"}
        if lists:
            house.roster.leave(of, leaving, _said(reason))
        else:
            house.roster.leave_all(of, _said(reason))
        now = _person(house, of)
    gone = [each.name for each in leaving if each.name not in before]
    if as_json:
        dump({**now, "left": gone})
    elif lists:
        _gone(of, gone, "would have left" if dry_run else "has left", "had left before")
    else:
        did = "would get" if dry_run else "gets"
        out(f"{clean(of.address)} {did} nothing any more, from any list")


def _person(house: House, of: Subscriber) -> dict[str, Any]:
    return shown(of, house.roster.standings([of.id])[of.id], house.roster.reasons([of.id]).get(of.id))


def _details(name: str | None, language: str | None, timezone: str | None, fields: dict[str, str]) -> Any:
    from broadcaster.cell import tidy_line
    from broadcaster.roster import Details

    return Details(tidy_line(name or ""), language_tag(language), zone_name(timezone), fields)


def _form(file: Path) -> tuple[str, str]:
    """The name of a file and its SHA-256. Raises BadData where it cannot be read."""
    import hashlib

    try:
        with file.open("rb") as stream:
            return file.name, hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no usable file name"
        raise BadData(reason.lower(), where=str(file), hint="name the file that shows their consent") from None


def _said(reason: str) -> str:
    from broadcaster.cell import tidy_line

    return tidy_line(reason)


def _gone(of: Subscriber, gone: list[str], did: str, nothing: str) -> None:
    out(f"{clean(of.address)} {did} {', '.join(gone)}" if gone else f"{clean(of.address)} {nothing}")


for verb in (import_, undo, imports, export, dossier, erase):
    subscribers.add_command(verb)
