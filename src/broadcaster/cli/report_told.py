"""What a report says: figures → sections of rows, in the words of whoever reads them. A terminal and a page draw them.

What is said and where it stands is decided here once; how a number, a day or a name is written, the speech decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from broadcaster.cli.report_speech import Speech
from broadcaster.delivery import State
from broadcaster.reasons import REASONS
from broadcaster.report import LEAST, STEPS, STOP, WARN, Complaints, Details, Group, Level, Reasons, Report
from broadcaster.timeline import DAY, HOUR, MINUTE

# how a part of a bar is drawn
ACCEPTED, FAILED, OPEN, UNSENT = "accepted", "failed", "open", "unsent"
# steps that are told in a table beside a picture
TOLD: Final = 12
DAYS: Final = 14
# columns of a timeline at the least
FEWEST: Final = 12
# days that a picture shows
MANY_DAYS: Final = 60

_KINDS_OF_STATES: Final = {
    State.ACCEPTED: ACCEPTED,
    State.REJECTED: FAILED,
    State.BOUNCED: FAILED,
    State.SUPPRESSED: UNSENT,
    State.SKIPPED: UNSENT,
    State.EXPIRED: UNSENT,
    State.CANCELLED: UNSENT,
}
_STATES: Final = {
    State.PENDING: "pending: not tried yet",
    State.CLAIMED: "claimed: a sender has it in hand",
    State.HANDED: "handed over, no answer yet",
    State.DEFERRED: "deferred: tried again later",
    State.ACCEPTED: "accepted by the relay",
    State.REJECTED: "rejected by the relay",
    State.IN_DOUBT: "in doubt: handed over, never answered",
    State.BOUNCED: "bounced: accepted, and came back",
    State.SUPPRESSED: "suppressed: left or given up meanwhile",
    State.SKIPPED: "skipped: could not be written for them",
    State.EXPIRED: "expired: too late",
    State.CANCELLED: "cancelled",
}
_LEFT_OUT: Final = {
    "left": "have left",
    "suppressed": "must not be mailed",
    "excluded": "on a list, in a mailing or of a segment that is left out",
    "filtered": "not meant by the filter",
}
_KINDS: Final = {
    "hard": "hard",
    "soft": "soft",
    "unknown": "unknown",
    "complaint": "complaint",
    "unsubscribe": "leave",
}
_MEANT: Final = {
    "hard": "hard: the address is dead",
    "soft": "soft: mailbox, time, policy or our set-up",
    "unknown": "failed, and nobody can tell why",
    "complaint": "reported as unwanted",
    "unsubscribe": "wish to leave",
}
_MAILING: Final = {
    "ready": "Ready, nothing is sent yet",
    "scheduled": "Scheduled",
    "sending": "Being sent",
    "paused": "Paused",
    "held": "Held",
    "finished": "Finished",
    "cancelled": "Cancelled",
}
_LEVELS: Final = {
    Level.OK: "Below the first line",
    Level.WARN: "Above the first line: find out who is mailed that did not ask for it",
    Level.STOP: "At or above the second line: stop, providers will refuse your mail",
}
FORGOTTEN: Final = "Who got which copy is forgotten, as [retention] deliveries says: this is not known any more."
_STEPS: Final = {
    MINUTE: "each minute",
    5 * MINUTE: "every 5 minutes",
    15 * MINUTE: "every 15 minutes",
    HOUR: "each hour",
    4 * HOUR: "every 4 hours",
    DAY: "each day",
    7 * DAY: "each week",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, and the bar that is drawn of it: parts of its whole width one after the other, and lines
    across it (0 … 1)."""

    cells: Sequence[str]
    bar: Sequence[tuple[str, float]] = ()
    lines: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """Columns over time, each a stack of parts. `ends`: what the first and the last one are called."""

    title: str
    describes: str
    columns: Sequence[Sequence[tuple[str, int]]]
    ends: tuple[str, str]
    most: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what is drawn, a table with it, and what is to be known of it. The first column is what it is about.

    `texts`: other columns that are no numbers. `key`: figures that belong to it.
    """

    key: str
    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Row] = ()
    picture: Picture | None = None
    notes: Sequence[str] = ()
    legend: Sequence[tuple[str, str]] = ()
    texts: frozenset[int] = field(default_factory=frozenset)


def heading(report: Report, speech: Speech) -> list[str]:
    """The lines above it all: which mailing, to whom, when."""
    of = report.of
    say = speech.words
    lines = []
    if of.rehearsal:
        lines.append(say("Rehearsal: nothing of this has left the machine."))
    # not why it is paused: that may quote a relay, which may quote an address
    lines.append(say(_MAILING[of.state.word]))
    if report.lists:
        lines.append(say("Lists: %(names)s", names=speech.foreign(", ".join(report.lists))))
    lines.append(
        say(
            "Prepared %(prepared)s, counted %(made)s",
            prepared=speech.moment(of.created),
            made=speech.moment(report.made),
        )
    )
    if not of.state.over:
        lines.append(say("It is not over: these figures will change."))
    return lines


def sections(report: Report, speech: Speech, most: int = STEPS) -> list[Section]:
    """All of it, in order. What there is nothing of is left out, unless that is news. `most`: columns of a picture."""
    found = [_summary(report, speech), _states(report, speech)]
    details = report.details
    if details is None:
        found.append(Section("forgotten", speech.words("Details"), notes=[speech.words(FORGOTTEN)]))
    else:
        found += [_languages(details, speech), _domains(details, speech)]
    if report.of.left_out:
        found.append(_left_out(report, speech))
    if details is not None:
        found.append(_time(details, speech, most))
        found += _answers(details, speech)
    found += [*_returned(report, speech, min(most, MANY_DAYS)), _complaints(report, speech)]
    if details is not None and details.relays:
        found.append(_pace(details, speech))
    if report.before:
        found.append(_earlier(report, speech))
    return found


def meaning(speech: Speech) -> list[str]:
    """What the figures do not say: it belongs below each report."""
    return [
        speech.words(
            "Accepted means that the relay took the copy. Whether it arrived, and whether anybody read it, we do not"
            " know: nothing is tracked."
        ),
        speech.words("Servers and providers that report nothing, as most do of complaints, are in no figure."),
    ]


def _share(number: int, of: int) -> float | None:
    return number / of if of else None


def _summary(report: Report, speech: Speech) -> Section:
    whole, say = report.whole, speech.words
    audience = whole.audience

    def figure(label: str, number: int) -> Row:
        return Row((say(label), speech.number(number), speech.percent(_share(number, audience))))

    rows = [Row((say("Audience"), speech.number(audience), ""))]
    rows += [
        figure("Accepted by the relay", whole.of(State.ACCEPTED)),
        figure("Rejected", whole.of(State.REJECTED)),
        figure("Bounced", whole.of(State.BOUNCED)),
    ]
    for label, number in (
        ("Waiting", whole.waiting),
        ("In doubt", whole.of(State.IN_DOUBT)),
        ("Not sent", whole.unsent),
    ):
        if number:
            rows.append(figure(label, number))
    settled = report.details.doubts_settled if report.details is not None else 0
    if settled:
        rows.append(figure("In doubt once, and settled", settled))
    complaints = report.complaints
    rows.append(Row((say("Complaints"), speech.number(complaints.number), speech.percent(complaints.rate))))
    rows.append(figure("Wishes to leave", report.returned.kinds["unsubscribe"]))
    notes = []
    if (lasted := _lasted(report, speech)) is not None:
        notes.append(lasted)
    return Section("summary", say("In short"), (say("what"), say("number"), say("share")), rows, notes=notes)


def _lasted(report: Report, speech: Speech) -> str | None:
    details = report.details
    if details is None or details.first is None or details.last is None:
        return None
    lasted = details.last - details.first
    return speech.words(
        "From the first answer (%(first)s) to the last one (%(last)s): %(span)s.",
        first=speech.moment(details.first),
        last=speech.moment(details.last),
        span=speech.span(lasted) if lasted else speech.words("less than a minute"),
    )


def _states(report: Report, speech: Speech) -> Section:
    whole = report.whole
    rows = [
        Row(
            (speech.words(_STATES[state]), speech.number(number), speech.percent(_share(number, whole.audience))),
            ((_KINDS_OF_STATES.get(state, OPEN), number / whole.audience),),
        )
        for state, number in sorted(whole.states.items(), key=lambda each: (-each[1], each[0]))
        if number
    ]
    say = speech.words
    return Section("states", say("What became of each copy"), (say("state"), say("number"), say("share")), rows)


def _grouped(groups: Iterable[tuple[str, Group]], speech: Speech) -> tuple[list[str], list[Row]]:
    """Rows of groups, their bars as long as they are large beside the largest."""
    listed = [(name, group) for name, group in groups if group.audience]
    largest = max((group.audience for _, group in listed), default=1)
    rows = []
    for name, group in listed:
        failed = group.of(State.REJECTED, State.BOUNCED)
        parts = (
            (ACCEPTED, group.of(State.ACCEPTED)),
            (FAILED, failed),
            (OPEN, group.waiting + group.of(State.IN_DOUBT)),
            (UNSENT, group.unsent),
        )
        cells = (
            name,
            speech.number(group.audience),
            speech.number(group.of(State.ACCEPTED)),
            speech.number(failed),
            speech.percent(_share(group.of(State.ACCEPTED), group.audience)),
        )
        rows.append(Row(cells, [(kind, number / largest) for kind, number in parts if number]))
    say = speech.words
    return [say("people"), say("accepted"), say("failed"), say("accepted, share")], rows


def _legend(speech: Speech) -> list[tuple[str, str]]:
    say = speech.words
    return [
        (ACCEPTED, say("accepted")),
        (FAILED, say("rejected or bounced")),
        (OPEN, say("waiting or in doubt")),
        (UNSENT, say("not sent")),
    ]


def _languages(details: Details, speech: Speech) -> Section:
    say = speech.words
    columns, rows = _grouped(((speech.language(each.name), each) for each in details.languages), speech)
    note = say("The language of the text that people got; where theirs is not offered, that is another one.")
    return Section(
        "languages",
        say("By language"),
        (say("language"), *columns),
        rows,
        notes=[note],
        legend=_legend(speech),
    )


def _domains(details: Details, speech: Speech) -> Section:
    say = speech.words
    of = details.domains
    groups = [(speech.technical(_readable(each.name)), each) for each in of.named]
    groups.append((say("other domains (%(number)s)", number=speech.number(of.others)), of.rest))
    groups.append((say("no longer in the lists"), of.gone))
    columns, rows = _grouped(groups, speech)
    note = say(
        "A domain is named where at least %(least)s people share it: one of a single person would name them.",
        least=speech.number(LEAST),
    )
    return Section("domains", say("By domain"), (say("domain"), *columns), rows, notes=[note], legend=_legend(speech))


def _readable(domain: str) -> str:
    """A domain in its own script."""
    from broadcaster.address import Address
    from broadcaster.errors import AddressError

    try:
        return Address.parse(f"x@{domain}").shown.partition("@")[2]
    except AddressError:
        return domain


def _left_out(report: Report, speech: Speech) -> Section:
    say = speech.words
    left = sorted(report.of.left_out.items(), key=lambda each: -each[1])
    most = max((number for _, number in left), default=1) or 1
    rows = [
        Row(
            (say(_LEFT_OUT[reason]) if reason in _LEFT_OUT else speech.foreign(reason), speech.number(number)),
            ((UNSENT, number / most),),
        )
        for reason, number in left
    ]
    note = say("They were left out when the mailing was prepared, and are not in the audience.")
    return Section("left_out", say("Left out"), (say("why"), say("number")), rows, notes=[note])


def every(step: int, speech: Speech) -> str:
    """A step in words."""
    if step in _STEPS:
        return speech.words(_STEPS[step])
    return speech.words("every %(span)s", span=speech.span(step))


def _time(details: Details, speech: Speech, most: int) -> Section:
    say = speech.words
    of = details.accepted
    title = say("Accepted over time")
    notes = []
    if of.later and of.last is not None:
        notes.append(
            say(
                "%(number)s more were accepted later, the last one %(when)s.",
                number=speech.number(of.later),
                when=speech.moment(of.last),
            )
        )
    if of.untimed:
        notes.append(
            say(
                "Of %(number)s more nobody knows the time: a person, a log or a returned copy told of them.",
                number=speech.number(of.untimed),
            )
        )
    shown = of.shown.coarser(most)
    slots = shown.slots
    if not slots:
        return Section("accepted_over_time", title, notes=[say("Nothing was accepted yet."), *notes])
    # one column alone would look like a wall
    slots += [(slots[-1][0] + shown.step * i, 0) for i in range(1, FEWEST - len(slots) + 1)]
    step = every(shown.step, speech)
    highest = speech.number(max(number for _, number in slots))
    picture = Picture(
        say("Accepted %(step)s", step=step),
        say(
            "From %(first)s to %(last)s; most at once: %(most)s.",
            first=speech.moment(slots[0][0]),
            last=speech.moment(slots[-1][0]),
            most=highest,
        ),
        [[(ACCEPTED, number)] for _, number in slots],
        (speech.moment(slots[0][0]), speech.moment(slots[-1][0])),
        highest,
    )
    told = of.shown.coarser(TOLD)
    rows = [
        Row((speech.moment(at), speech.number(number), speech.percent(_share(number, of.shown.total))))
        for at, number in told.slots
    ]
    columns = (say("from"), say("accepted %(step)s", step=every(told.step, speech)), say("share"))
    return Section("accepted_over_time", title, columns, rows, picture, notes)


def _answers(details: Details, speech: Speech) -> list[Section]:
    say = speech.words
    found = []
    if details.rejected.number:
        columns: tuple[str, ...] = (say("reason"), say("number"), say("codes"))
        rows = _reasoned(details.rejected, speech)
        found.append(Section("rejected", say("Rejected, by reason"), columns, rows, texts=frozenset({2})))
    if details.put_off.number:
        rows = _reasoned(details.put_off, speech, waiting=True)
        columns = (say("reason"), say("times"), say("waiting"), say("codes"))
        note = say("How often somebody was told to come back later, and how many still wait after such an answer.")
        found.append(Section("put_off", say("Put off, by reason"), columns, rows, notes=[note], texts=frozenset({3})))
    return found


def _reasoned(of: Reasons, speech: Speech, *, waiting: bool = False) -> list[Row]:
    most = max(of.number.values(), default=1) or 1
    rows = []
    for reason in of.most():
        codes = ", ".join(f"{code} ×{number:,}" for code, number in of.common(reason).items())
        cells = [
            speech.words(REASONS[reason].means) if reason in REASONS else speech.foreign(reason),
            speech.number(of.number[reason]),
            *([speech.number(of.waiting[reason])] if waiting else []),
            speech.technical(codes),
        ]
        rows.append(Row(cells, ((OPEN if waiting else FAILED, of.number[reason] / most),)))
    return rows


def _returned(report: Report, speech: Speech, most: int) -> list[Section]:
    say = speech.words
    of = report.returned
    title = say("What came back, by day")
    if not of.days:
        return [Section("returned", title, notes=[say("Nothing came back that could be tied to a copy.")])]
    kinds = [kind for kind in _KINDS if of.kinds[kind]]
    width, days = of.steps(most)
    labels = [(kind, say(_MEANT[kind])) for kind in kinds]
    picture = Picture(
        title if width == 1 else say("What came back, every %(days)s days", days=speech.number(width)),
        speech.joined(
            [speech.joined([label, speech.number(of.kinds[kind])], by=": ") for kind, label in labels], by="; "
        ),
        [[(kind, found[kind]) for kind in kinds] for _, found in days],
        (speech.day(days[0][0]), speech.day(days[-1][0])),
        speech.number(max(found.total() for _, found in days)),
    )
    step, told = of.steps(DAYS)
    rows = [
        Row((speech.day(day), *(speech.number(found[kind]) for kind in kinds)))
        for day, found in told
        if found.total() or len(told) <= DAYS
    ]
    first = say("day") if step == 1 else say("%(days)s days from", days=speech.number(step))
    found = [
        Section(
            "returned",
            title,
            (first, *(say(_KINDS[kind]) for kind in kinds)),
            rows,
            picture,
            [say("By the day on which it was read. What was refused while sending is not among it.")],
            labels,
        )
    ]
    if of.reasons.number:
        columns = (say("reason"), say("number"))
        reasons = [Row(row.cells[:2], row.bar) for row in _reasoned(of.reasons, speech)]
        found.append(Section("returned_reasons", say("Why it came back"), columns, reasons))
    return found


def _complaints(report: Report, speech: Speech) -> Section:
    say = speech.words
    asked = [(say("this mailing"), report.complaints)]
    asked += [(_named(each.of.id, each.of.statement, speech), each.complaints) for each in report.before]
    scale = max([STOP * 4 / 3, *(each.rate * 1.05 for _, each in asked if each.rate is not None)])
    colour = {Level.OK: ACCEPTED, Level.WARN: OPEN, Level.STOP: FAILED}
    rows = [
        Row(
            (name, speech.number(of.number), speech.number(of.of), speech.percent(of.rate)),
            ((colour[of.level], of.rate / scale),) if of.rate else (),
            (WARN / scale, STOP / scale),
        )
        for name, of in asked
    ]
    of = report.complaints
    notes = [
        say(
            "%(level)s. The lines are at %(warn)s and %(stop)s of what was accepted.",
            level=say(_LEVELS[of.level]),
            warn=speech.percent(WARN),
            stop=speech.percent(STOP),
        )
    ]
    if of.few and of.of:
        notes.append(say("Of so few copies a single complaint is above a line: look at several mailings together."))
    notes.append(
        say("Gmail reports no complaints to senders: its Postmaster Tools tell the share, for all mail of a day.")
    )
    columns = (say("mailing"), say("complaints"), say("accepted"), say("share"))
    return Section("complaints", say("Complaints"), columns, rows, notes=notes)


def _pace(details: Details, speech: Speech) -> Section:
    say = speech.words
    rows = []
    for relay in details.relays:
        name = speech.technical(relay.relay)
        fullest = relay.tries.busiest(MINUTE)
        told = speech.number(fullest) if fullest is not None else say("not known")
        if not relay.limits:
            why = say("not configured any more") if relay.limits is None else say("no limit")
            rows.append(Row((name, speech.number(relay.tries.total), told, why, "", "")))
        for reached in relay.reached:
            share = reached.share
            rows.append(
                Row(
                    (
                        name,
                        speech.number(relay.tries.total),
                        told,
                        speech.technical(str(reached.limit)),
                        say("not known") if reached.most is None else speech.number(_whole(reached.most)),
                        speech.percent(share),
                    ),
                    ((ACCEPTED if share <= 1 else FAILED, min(1.0, share)),) if share else (),
                )
            )
    columns = (say("relay"), say("tries"), say("fullest minute"), say("limit"), say("reached"), say("share"))
    notes = [
        say(
            "Limits as they are configured now. Reached: the most in a full minute, hour or day by the clock, of this"
            " mailing alone; other mailings and tests count towards a limit, too."
        )
    ]
    return Section("relays", say("Pace and limits"), columns, rows, notes=notes, texts=frozenset({3}))


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _named(number: int, statement: str, speech: Speech) -> str:
    return speech.joined([f"{number}", speech.foreign(statement)])


def _earlier(report: Report, speech: Speech) -> Section:
    say = speech.words
    listed = [(report.of, report.returned.kinds), *((each.of, each.returned) for each in report.before)]
    rows = []
    for of, returned in listed:
        group = Group("", of.tally)
        accepted = _share(group.of(State.ACCEPTED), group.audience)
        rows.append(
            Row(
                (
                    _named(of.id, of.statement, speech),
                    speech.moment(of.created),
                    speech.number(group.audience),
                    speech.percent(accepted),
                    speech.percent(_share(group.of(State.REJECTED), group.audience)),
                    speech.percent(_share(group.of(State.BOUNCED), group.audience)),
                    speech.percent(Complaints(returned.get("complaint", 0), group.of(State.ACCEPTED)).rate),
                    speech.number(returned.get("unsubscribe", 0)),
                ),
                ((ACCEPTED, accepted),) if accepted else (),
            )
        )
    columns = (say("mailing"), say("prepared"), say("people"), say("accepted"), say("rejected"), say("bounced"))
    note = say("The last mailings of the same statement, or to one of the same lists; this one is the first row.")
    return Section(
        "earlier",
        say("Beside earlier mailings"),
        (*columns, say("complaints"), say("leave")),
        rows,
        notes=[note],
        texts=frozenset({1}),
    )
