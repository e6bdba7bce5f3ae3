"""The JSON of every command, as types: what programs rely on, in one place.

A test runs every command and holds what it says against these, strictly: no key is missing, and none is unknown. A
new command, or a new key, is written down here first. `docs/reference/json.md` is generated from it.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

Time = Annotated[int, "seconds since the epoch, UTC"]
Count = Annotated[int, "how many"]

MailingState = Literal["ready", "scheduled", "sending", "paused", "held", "finished", "cancelled"]
DeliveryState = Literal[
    "pending", "claimed", "handed", "deferred", "accepted", "rejected", "in_doubt", "bounced", "suppressed", "skipped",
    "expired", "cancelled",
]  # fmt: skip
Standing = Literal["active", "left", "removed"]
ReturnedKind = Literal["hard", "soft", "complaint", "unsubscribe", "auto_reply", "other", "unknown"]
Action = Literal["failed", "delayed", "relayed", "delivered", "expanded"]


# mailings


class States(TypedDict):
    """Deliveries by state: they add up to `audience`."""

    pending: Count
    claimed: Count
    handed: Count
    deferred: Count
    accepted: Count
    rejected: Count
    in_doubt: Count
    bounced: Count
    suppressed: Count
    skipped: Count
    expired: Count
    cancelled: Count


class Mailing(States):
    """One mailing."""

    mailing: Annotated[int, "its number"]
    statement: Annotated[str, "the statement's name"]
    state: MailingState
    reason: Annotated[str, 'why it is paused or held, or ""']
    audience: Annotated[int, "how many people are enrolled"]
    rehearsal: Annotated[bool, "nothing was mailed to anybody"]
    where: Annotated[str | None, "the filter that it was prepared with"]
    due: Annotated[str | None, "not before: wall time and zone"]
    due_utc: Annotated[str | None, "the moment that they mean: 2026-12-01T06:00:00Z"]
    expires_utc: Annotated[str | None, "too late after that"]
    created: Time
    by: Annotated[str, "the system user who prepared it"]
    digest: Annotated[str, "SHA-256 of what is frozen"]
    left_out: Annotated[dict[str, int], "who was left out when it was prepared: reason, how many"]
    forgotten: Annotated[int | None, "since when it is forgotten who got it (epoch seconds)"]


class Approval(TypedDict):
    """A second person's word that exactly this may go out."""

    by: Annotated[str, "the system user who approved it"]
    uid: Annotated[int, "their number"]
    at: Time
    digest: Annotated[str, "of the mailing, as it was approved"]


class Released(Mailing):
    """A mailing, and who has approved it."""

    awaits_approval: Annotated[bool, "nothing goes before somebody else approves it"]
    approvals: Annotated[list[Approval], "those that count"]


class Surprise(TypedDict):
    """What is unusual about a mailing."""

    kind: Literal["larger", "silent", "repeated", "empty"]
    message: str


class Approved(Released):
    """A mailing that was approved just now."""

    languages: Annotated[dict[str, int], "language that they get, how many"]
    fallbacks: Annotated[dict[str, int], "language that they have, and do not get; how many"]
    surprises: list[Surprise]


class Foreseen(States):
    """A mailing that is not made yet."""

    mailing: None
    statement: Annotated[str, "the statement's name"]
    state: Literal["ready", "scheduled"]
    audience: Annotated[int, "how many people would be enrolled"]
    rehearsal: Annotated[bool, "nothing would be mailed to anybody"]
    where: Annotated[str | None, "the filter"]
    due: Annotated[str | None, "not before: wall time and zone"]
    due_utc: Annotated[str | None, "the moment that they mean: 2026-12-01T06:00:00Z"]
    expires_utc: Annotated[str | None, "too late after that"]
    left_out: Annotated[dict[str, int], "who is left out: reason, how many"]
    languages: Annotated[dict[str, int], "language that they get, how many"]
    fallbacks: Annotated[dict[str, int], "language that they have, and do not get; how many"]
    surprises: list[Surprise]


class Slowed(TypedDict):
    """Who said that we are too fast."""

    kind: Literal["relay", "destination"]
    name: Annotated[str, "of the relay, or the domain"]
    until: Annotated[int, "nothing goes there before (epoch seconds)"]
    share: Annotated[float, "then so much of the usual pace"]


class Going(Released):
    """A mailing that is not over."""

    slowed: list[Slowed]
    quiet_until: Annotated[int | None, "quiet hours or days off, until then (epoch seconds)"]


class Status(Going):
    """A mailing, and what came back of it."""

    returned: Annotated[dict[str, int], "kind, how many"]


class Watched(Mailing):
    """How a mailing comes on; a line each time that something has changed."""

    at: Time
    rate: Annotated[float, "tried in a second, lately"]
    left: Annotated[float | None, "seconds until all is tried, at this rate"]


class Delivery(TypedDict):
    """One delivery, with its last answer. What was never tried has no answer."""

    address: Annotated[str | None, "null: the person is gone"]
    state: DeliveryState
    attempts: Annotated[int, "answered attempts"]
    code: Annotated[int | None, "SMTP; 0: no answer"]
    status: Annotated[str | None, "enhanced status code, or nothing"]
    reply: Annotated[str | None, "the relay's words"]
    relay: Annotated[str | None, "through which"]
    at: Annotated[int | None, "when it was answered (epoch seconds)"]
    next: Annotated[int | None, "when it is tried again (epoch seconds)"]
    message_id: Annotated[str, "the same on every attempt"]


class ByLog(TypedDict):
    """What a relay's log told of deliveries in doubt."""

    accepted: Count
    bounced: Count
    rejected: Count
    deferred: Count
    not_found: Annotated[int, "still in doubt"]


class Resolved(Mailing):
    """A mailing after its doubts were settled."""

    log: NotRequired[Annotated[ByLog, "with --from-log"]]


class CollectedFigures(TypedDict):
    """What `run` read from the mailboxes."""

    messages: Count
    bounces: Count
    suppressed: Count
    set_aside: Count


class Run(TypedDict):
    """What `run` did."""

    mailings: list[Mailing]
    collected: NotRequired[Annotated[CollectedFigures, "where mailboxes were read"]]
    held: NotRequired[Annotated[list[int], "mailings for which it is too late, where there are any"]]
    expired: NotRequired[Annotated[list[int], "mailings whose time is over, where there are any"]]


class WouldRun(TypedDict):
    """What `run` would do."""

    mailings: Annotated[list[int], "numbers"]


class Timetable(TypedDict):
    """What calls `run` in this workspace, and what waits for it."""

    installed: Annotated[list[Literal["cron", "systemd"]], "by `schedule install`"]
    line: Annotated[str | None, "of the crontab"]
    units: Annotated[list[str], "of systemd, by name"]
    others: Annotated[list[str], "lines of the crontab by other hands that call `run` here"]
    last_run: Annotated[int | None, "when it was seen last (epoch seconds)"]
    quiet_until: Annotated[int | None, "quiet hours or days off, until then (epoch seconds)"]
    mailings: Annotated[list[Mailing], "that have a time, the next one first"]


class Installed(TypedDict):
    """What calls `run` from now on, or would."""

    kind: Literal["cron", "systemd"]
    every: Annotated[int, "seconds"]
    changed: Annotated[bool, "it was not so before"]
    replaced: Annotated[list[Literal["cron", "systemd"]], "what called it before"]
    line: Annotated[str | None, "of the crontab"]
    units: Annotated[dict[str, str], "of systemd: name, text"]


class Uninstalled(TypedDict):
    """What calls `run` no more, or would not."""

    removed: list[Literal["cron", "systemd"]]


# people


class Person(TypedDict):
    """One subscriber."""

    address: str
    name: str
    language: Annotated[str, 'tag, or ""']
    timezone: str
    fields: Annotated[dict[str, str], "custom fields"]
    lists: dict[str, Standing]
    suppressed: Annotated[str | None, "why they must not be mailed"]


# "import" is no name in Python
_Import = TypedDict("_Import", {"import": Annotated[int | None, "number of an import"]})


class Consent(_Import):
    """An entry in the record of what somebody agreed to. An empty value says nothing."""

    list: str
    at: Time
    how: str
    wording: str
    language: Annotated[str, "of the wording"]
    file: str
    digest: Annotated[str, "SHA-256 of the file"]
    given: Annotated[str, "when they agreed, as the file has it"]
    ip: str
    message: Annotated[str, "where the mail lay in which they said so"]
    after: Annotated[str, "what they were before they came back"]
    who: Annotated[str, "the system user who wrote it down"]


class Shown(Person):
    """One subscriber, and what they agreed to."""

    consents: list[Consent]


class Added(Person):
    """One subscriber."""

    new: Annotated[bool, "they were not on that list"]


class Removed(Person):
    """One subscriber."""

    removed: Annotated[list[str], "the lists that they were taken off"]


class Left(Person):
    """One subscriber."""

    left: Annotated[list[str], "the lists that they left now"]


class Spoilt(TypedDict):
    """A row that cannot be used."""

    line: int
    reason: str
    text: Annotated[str, "the row, as far as it is shown"]


class Differs(TypedDict):
    """Somebody who is known already, and what the file would change of them."""

    address: str
    fields: Annotated[dict[str, list[str]], "field: before, after"]


class Slip(TypedDict):
    """A new address that may be a slip."""

    line: int
    address: str
    other: Annotated[str, "what it may have been meant to be, or whom it is like"]
    why: str


class Imported(_Import):
    """What a file did, or would do; `import` is null for a dry run. All but `rows` and `removed` add up to `rows`."""

    rows: Count
    new: Count
    changed: Count
    unchanged: Count
    left_before: Count
    suppressed: Count
    duplicates: Count
    erased: Count
    leaves: Annotated[int, "who left the list of another system"]
    barred: Annotated[int, "who must get nothing, says another system"]
    removed: Annotated[int, "who is on the list and not in the file, with --sync"]
    invalid: list[Spoilt]
    notes: list[str]
    columns: Annotated[dict[str, str], "heading, field"]
    changes: list[Differs]
    leaving: Annotated[list[str], "addresses of those who are removed"]
    look_alikes: list[Slip]
    typing_errors: list[Slip]
    role_addresses: list[Slip]
    disposable: list[Slip]


class Intake(_Import):
    """A file that was taken in."""

    list: str
    file: str
    at: Time
    who: str
    consent: str
    figures: dict[str, Any]
    undone: Annotated[int | None, "when it was taken back (epoch seconds)"]


class Undone(_Import):
    """An import that was taken back, or would be."""

    deleted: Annotated[int, "it had made them, and nobody has done anything with them"]
    taken_off: Annotated[int, "it had made them, and something was done since: they stay, off the list"]
    restored: Annotated[int, "they were known before"]
    kept: Annotated[int, "of whom something stays because it came later"]
    lifted: Annotated[int, "suppressions that it had brought"]


class Encrypted(TypedDict):
    """Whether the database is encrypted."""

    encrypted: bool
    changed: Annotated[bool, "it was not so before"]


class On(TypedDict):
    """How a person stands on a list."""

    list: str
    state: Standing
    since: Time


class Barred(TypedDict):
    """Why an address must not be mailed."""

    reason: str
    detail: str
    since: Time


class Suppression(Barred):
    """An address that must not be mailed."""

    address: str


class Lifted(TypedDict):
    """An address that may be mailed again."""

    address: str
    reason: Annotated[str, "why it was suppressed"]
    since: Annotated[int | None, "since when (epoch seconds)"]


class Suppressed(TypedDict):
    """An address that must not be mailed from here on."""

    address: str
    reason: str
    since: Time
    new: Annotated[bool, "it was not suppressed before"]


class Past(TypedDict):
    """A delivery to one person."""

    mailing: int
    statement: str
    rehearsal: bool
    state: DeliveryState
    attempts: int
    code: int | None
    status: str | None
    reply: str | None
    at: Annotated[int | None, "epoch seconds"]
    delivery: int


class Returned(TypedDict):
    """What came back of mail to one person; an empty text where nothing is stated."""

    at: Time
    mailing: int | None
    kind: ReturnedKind
    action: str
    status: str
    reason: str
    words: str
    effect: str
    source: str
    address: str | None


class Why(TypedDict):
    """Everything known of an address."""

    address: str
    why: Annotated[str, "in words: whether it gets mail, and why"]
    subscriber: Person | None
    suppression: Suppression | None
    lists: list[On]
    consents: list[Consent]
    deliveries: list[Past]
    erased: Annotated[int | None, "since when (epoch seconds)"]
    returned: list[Returned]
    forgotten: Annotated[list[int], "mailings of which nobody knows any more who got them"]


class Whole(TypedDict):
    """A person as the database has them."""

    id: int
    address: str
    name: str
    language: str
    timezone: str
    fields: dict[str, str]
    created: Time
    changed: Time


class CameWith(_Import):
    """A file that somebody came with."""

    list: str
    file: str
    digest: str
    at: Time
    who: str
    consent: str


class Replaced(TypedDict):
    """A value that an import replaced."""

    field: str
    before: str
    after: str


class Kept(_Import):
    """What an import changed of a person: kept as long as that can be undone."""

    at: Time
    changes: list[Replaced]


class Attempt(TypedDict):
    """One try."""

    number: int
    at: Time
    relay: str
    state: DeliveryState
    code: int
    status: str
    reply: str


class Enclosed(TypedDict):
    """A file that one person alone was sent."""

    name: str
    digest: str
    octets: int


class Sent(TypedDict):
    """A delivery to one person, with every attempt."""

    delivery: int
    mailing: int
    statement: str
    created: Time
    rehearsal: bool
    language: str | None
    list: str | None
    state: DeliveryState
    attempts: list[Attempt]
    files: list[Enclosed]


class CameBack(TypedDict):
    """What came back, with the message as long as it is kept."""

    at: Time
    mailing: int | None
    recipient: str
    kind: ReturnedKind
    action: str
    status: str
    reason: str
    words: str
    effect: str
    source: str
    message: str | None


class Changed(_Import):
    """A line of the log about one person."""

    at: Time
    who: str
    what: str
    list: str | None
    mailing: int | None
    details: dict[str, Any]


class Dossier(TypedDict):
    """Everything that is kept of one person."""

    address: str
    at: Time
    by: Annotated[str, "the sender's domain"]
    person: Whole | None
    lists: list[On]
    consents: list[Consent]
    suppression: Barred | None
    imports: list[CameWith]
    changes: list[Kept]
    deliveries: list[Sent]
    bounces: list[CameBack]
    audit: list[Changed]


class Unseen(TypedDict):
    """A file that could not be looked into."""

    file: str
    why: str


class Erased(TypedDict):
    """What was erased, and what is left."""

    address: str
    erased: Annotated[bool, "false: a dry run"]
    subscriber: Annotated[int | None, "the number they had"]
    lists: list[str]
    deliveries: Annotated[int, "that stay as figures"]
    closed: Annotated[int, "of them waited, and are suppressed"]
    rows: Annotated[dict[str, int], "table, how many"]
    rehearsals: Annotated[int, "files of the outbox"]
    on_a_wire: Count
    clean: Annotated[bool, "no byte of it is left in the database's files"]
    quoted_in_mailings: Annotated[list[int], "whose authors wrote the address into the text"]
    still_in: Annotated[list[str], "files that still hold the address"]
    not_looked_into: list[Unseen]


class ListFigures(TypedDict):
    """One list. `active`, `left`, `removed`: how many people."""

    name: str
    title: Annotated[str, "in the default language"]
    titles: Annotated[dict[str, str], "language, title"]
    list_id: str
    active: Count
    left: Count
    removed: Count


class Listed(TypedDict):
    """One list."""

    name: str
    list_id: str
    titles: Annotated[dict[str, str], "language, title"]


class ListDeleted(TypedDict):
    """A list that is no more."""

    name: str
    removed: Annotated[int, "how many were on it"]


class Segment(TypedDict):
    """A filter that has a name."""

    name: str
    where: str
    people: Annotated[int, "whom it means now"]
    created: Time
    changed: Time


class SegmentDeleted(TypedDict):
    """A segment that is no more."""

    name: str
    where: str


class Reached(TypedDict):
    """Somebody who would get it."""

    address: str
    name: str
    language: Annotated[str, "theirs"]
    gets: Annotated[str, "the language that they get"]
    list: str


class Without(TypedDict):
    """Somebody who would not."""

    address: str
    name: str
    reason: Annotated[str, "left, suppressed, excluded or filtered"]
    because: Annotated[str | None, "why they are suppressed"]


class Audience(TypedDict):
    """Who would get a mailing."""

    audience: Count
    languages: Annotated[dict[str, int], "language that they get, how many"]
    fallbacks: Annotated[dict[str, int], "language that they have, and do not get; how many"]
    left_out: Annotated[dict[str, int], "reason, how many"]
    people: list[Reached]
    without: list[Without]


# what came back


class Bounce(TypedDict):
    """One row of the bounce log. What is not stated is null."""

    at: Time
    recipient: str | None
    mailing: int | None
    kind: ReturnedKind
    action: Action | None
    status: str | None
    reason: str | None
    effect: Annotated[str, "what we did"]
    address: Annotated[str | None, "whom the copy went to"]
    words: str | None
    source: str | None


class Report(TypedDict):
    """One recipient of one report, just read. What is not stated is null."""

    source: Annotated[str, "the file, or the place in the mailbox"]
    recipient: str | None
    mailing: Annotated[int | None, "null: it is tied to no copy of ours"]
    kind: ReturnedKind
    action: Action | None
    status: str | None
    reason: str | None
    effect: Annotated[str, "what we did"]
    words: str


class Collected(TypedDict):
    """What was read."""

    messages: Count
    ordinary: Annotated[int, "mail that is none of our business"]
    bounces: list[Report]
    set_aside: Annotated[list[str], "what could not be understood"]
    failures: Annotated[list[str], "what could not be read, and why"]


class Believed(TypedDict):
    """Reports that were held, and are true."""

    mailing: int
    bounces: list[Report]


# the rest


class LogLine(_Import):
    """A line of the log: see [what it means](log.md)."""

    id: int
    at: Time
    who: Annotated[str, "the system user"]
    what: str
    subscriber: Annotated[int | None, "their number"]
    lists: list[str]
    mailing: int | None
    details: dict[str, Any]


class Finding(TypedDict):
    """Something that is wrong, or may be."""

    level: Literal["error", "warning"]
    rule: Annotated[str, "see [what check finds](checks.md)"]
    file: str
    line: int | None
    message: str


class Checked(TypedDict):
    """What `check` found."""

    statement: str
    findings: list[Finding]


class Written(TypedDict):
    """Files that were written."""

    statement: str
    files: list[str]


class Trial(TypedDict):
    """One test copy."""

    address: str
    language: str
    state: DeliveryState
    reply: str


class Made(TypedDict):
    """A new workspace."""

    workspace: str
    files: list[str]


_DemoImport = TypedDict("_DemoImport", {"import": Imported})


class Demo(Mailing, _DemoImport):
    """A throw-away workspace, what was imported, and the mailing that was rehearsed there."""

    workspace: str
    outbox: str
    page: Annotated[str, "to look at in a browser"]


class WouldDemo(TypedDict):
    """What `demo` would run."""

    commands: list[str]


# what came of a mailing


class GroupFigures(TypedDict):
    """Part of an audience."""

    audience: Count
    accepted: Count
    bounced: Count
    rejected: Count
    in_doubt: Count
    waiting: Count
    unsent: Count


class OfLanguage(GroupFigures):
    """Who got one language."""

    language: str


class OfDomain(GroupFigures):
    """Who is at one domain."""

    domain: str


class OfRest(GroupFigures):
    """Who is at the other domains."""

    domains: Annotated[int, "how many domains"]


class OfDomains(TypedDict):
    """Where it went."""

    named: list[OfDomain]
    other: OfRest
    gone: Annotated[GroupFigures, "people who are known no more"]


class ReasonFigures(TypedDict):
    """Why, and how often: see [the reasons](reasons.md)."""

    reason: str
    number: Count
    waiting: NotRequired[Annotated[int, "of how many it is the last word so far"]]
    codes: Annotated[dict[str, int], "code, how often"]


class At(TypedDict):
    """A step of time."""

    at: Time
    number: Count


class OverTime(TypedDict):
    """What the relays took, over time."""

    step: Annotated[int, "seconds"]
    series: list[At]
    later: Annotated[int, "after the last of the steps"]
    untimed: Annotated[int, "nobody knows when"]
    last: Annotated[int | None, "epoch seconds"]


class Kinds(TypedDict):
    """What came back, by kind."""

    hard: Count
    soft: Count
    unknown: Count
    complaint: Count
    unsubscribe: Count


class Day(Kinds):
    """What came back on one day."""

    day: Annotated[str, "2026-05-04"]


class ReturnedFigures(Kinds):
    """What came back."""

    days: list[Day]
    reasons: list[ReasonFigures]


class Complaints(TypedDict):
    """How many of those whose copy was accepted reported it as unwanted."""

    number: Count
    of: Count
    rate: float | None
    warn: Annotated[float, "the line where one should worry"]
    stop: Annotated[float, "the line where one should stop"]
    level: Literal["ok", "warn", "stop"]


class LimitFigures(TypedDict):
    """How much of a limit was used."""

    limit: Annotated[str, "as it is configured"]
    reached: float | None
    share: float | None


class RelayFigures(TypedDict):
    """One relay."""

    relay: str
    tries: Count
    accepted: Count
    busiest_minute: int | None
    busiest_hour: int | None
    busiest_day: int | None
    limits: list[LimitFigures] | None


class Earlier(GroupFigures):
    """An earlier mailing, to compare with."""

    mailing: int
    statement: str
    state: MailingState
    prepared: Time
    complaints: Count
    leave_wishes: Count


class ReportFigures(TypedDict):
    """One mailing in figures. Where it is forgotten who got it, what hangs on that is null."""

    mailing: int
    statement: str
    state: MailingState
    rehearsal: bool
    lists: list[str]
    made: Time
    prepared: Time
    due: str | None
    forgotten: bool
    duration: Annotated[int | None, "seconds, from the first answer to the last"]
    audience: Count
    states: States
    left_out: Annotated[dict[str, int], "reason, how many"]
    returned: ReturnedFigures
    complaints: Complaints
    leave_wishes: Count
    doubts: Count
    first_answer: int | None
    last_answer: int | None
    languages: list[OfLanguage] | None
    domains: OfDomains | None
    accepted_over_time: OverTime | None
    put_off_reasons: list[ReasonFigures] | None
    rejected_reasons: list[ReasonFigures] | None
    doubts_settled: int | None
    relays: list[RelayFigures] | None
    earlier: list[Earlier]


# keeping


class LeftOut(TypedDict):
    """A file that is not in a backup."""

    file: str
    why: str


class BackedUp(TypedDict):
    """A backup that was made."""

    file: str
    octets: int
    locked: bool
    left_out: list[LeftOut]


class WouldBackUp(TypedDict):
    """A backup that would be made."""

    file: str
    files: list[str]
    left_out: list[LeftOut]


class KeptFile(TypedDict):
    """A file in a backup."""

    name: str
    size: int
    digest: str


class Backup(TypedDict):
    """What is in a backup."""

    made: Time
    by: str
    schema: int
    octets: int
    files: list[KeptFile]


class Restored(Backup):
    """A workspace that was restored."""

    workspace: str
    people: Count
    mailings: Count
    sent_since: Annotated[list[int], "mailings of which more was sent since the backup"]
    stopped: Annotated[list[int], "mailings that would go by themselves, and are paused"]


class Forgotten(TypedDict):
    """What was forgotten, or would be."""

    mailings: Annotated[list[int], "numbers"]
    deliveries: Count
    bounces: Count
    messages: Count
    changes: Annotated[int, "of how many people it is not kept any more what an import replaced"]


class DnsRecord(TypedDict):
    """What should stand in the DNS."""

    name: str
    type: str
    text: str


class Diagnosis(TypedDict):
    """What `doctor` found: see [what it looks at](doctor.md)."""

    level: Literal["error", "warning", "note", "ok"]
    rule: str
    group: str
    subject: str
    what: str
    why: str
    do: Annotated[str, 'what to do, or ""']
    write: list[DnsRecord]


class Completion(TypedDict):
    """What lets a shell complete."""

    shell: Literal["bash", "fish", "zsh"]
    file: Annotated[str | None, "where it is written, with --install"]
    script: str


class Shape(NamedTuple):
    """One kind of output: which command says it, when, and as what. `lines`: JSON lines, each of them that."""

    command: str
    of: Any
    when: str = ""
    lines: bool = False


SHAPES: tuple[Shape, ...] = (
    Shape("init", Made),
    Shape("demo", Demo),
    Shape("demo", WouldDemo, "with --dry-run"),
    Shape("lists show", list[ListFigures]),
    Shape("lists create", Listed),
    Shape("lists edit", Listed),
    Shape("lists delete", ListDeleted),
    Shape("subscribers find", list[Person]),
    Shape("subscribers show", Shown),
    Shape("subscribers add", Added),
    Shape("subscribers edit", Person),
    Shape("subscribers remove", Removed),
    Shape("subscribers unsubscribe", Left),
    Shape("subscribers import", Imported),
    Shape("subscribers undo", Undone),
    Shape("subscribers imports", list[Intake]),
    Shape("subscribers export", Person, lines=True),
    Shape("subscribers dossier", Dossier),
    Shape("subscribers erase", Erased),
    Shape("subscribers erase", list[Erased], "with --as-in"),
    Shape("segments show", list[Segment]),
    Shape("segments save", Segment),
    Shape("segments edit", Segment),
    Shape("segments delete", SegmentDeleted),
    Shape("audience", Audience),
    Shape("suppressions show", list[Suppression]),
    Shape("suppressions add", Suppressed),
    Shape("suppressions remove", Lifted),
    Shape("why", Why),
    Shape("log", list[LogLine]),
    Shape("new", Written),
    Shape("check", Checked),
    Shape("render", Written),
    Shape("test", list[Trial]),
    Shape("prepare", Mailing),
    Shape("prepare", Foreseen, "with --dry-run"),
    Shape("approve", Approved),
    Shape("send", Mailing),
    Shape("send", Foreseen, "with --dry-run, of a statement"),
    Shape("mailings", list[Released]),
    Shape("status", Status, "of one mailing"),
    Shape("status", list[Going], "of all that go on"),
    Shape("status", Delivery, "with --deliveries", lines=True),
    Shape("status", Watched, "with --watch", lines=True),
    Shape("pause", Mailing),
    Shape("resume", Mailing),
    Shape("cancel", Mailing),
    Shape("resolve", Resolved),
    Shape("collect", Collected),
    Shape("collect", Believed, "with --believe"),
    Shape("bounces", list[Bounce]),
    Shape("run", Run),
    Shape("run", WouldRun, "with --dry-run"),
    Shape("schedule show", Timetable),
    Shape("schedule install", Installed),
    Shape("schedule remove", Uninstalled),
    Shape("encrypt", Encrypted),
    Shape("rekey", Encrypted),
    Shape("decrypt", Encrypted),
    Shape("completion", Completion),
    Shape("report", ReportFigures),
    Shape("backup", BackedUp),
    Shape("backup", WouldBackUp, "with --dry-run"),
    Shape("backup", Backup, "with --check"),
    Shape("restore", Restored),
    Shape("restore", Backup, "with --dry-run"),
    Shape("forget", Forgotten),
    Shape("doctor", list[Diagnosis]),
)


# JSON Schema, and words


def schema(of: Any) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a type of this page: no key but those that are named."""
    origin, inner = get_origin(of), get_args(of)
    if origin is Annotated:
        return {**schema(inner[0]), "description": inner[1]}
    if origin in (Union, UnionType):
        return {"anyOf": [schema(each) for each in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is list:
        return {"type": "array", "items": schema(inner[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema(inner[1])}
    if is_typeddict(of):
        hints = _hints(of)
        return {
            "type": "object",
            "properties": {key: schema(each) for key, (each, _) in hints.items()},
            "required": [key for key, (_, needed) in hints.items() if needed],
            "additionalProperties": False,
        }
    return {} if of is Any else {"type": _SIMPLE[of]}


_SIMPLE = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}


def _hints(of: Any) -> dict[str, tuple[Any, bool]]:
    """The keys of an object: type, and whether it is always there."""
    found = {}
    for key, hint in get_type_hints(of, include_extras=True).items():
        bare = get_args(hint)[0] if get_origin(hint) in (NotRequired, Required) else hint
        found[key] = bare, get_origin(hint) is not NotRequired
    return found


def written() -> str:
    """The page: every command, then every object by name."""
    intro = (
        "With `--json` a command says one JSON value on standard output; a listing is an array, and what may be long is"
        " JSON lines, one value a line. No key is ever taken away or renamed; new ones may be added, so do not refuse"
        " what you do not know. Times are seconds since the epoch, UTC."
    )
    rows = []
    for each in SHAPES:
        when = f" {each.when}" if each.when else ""
        rows.append(f"| `{each.command}`{when} | {'lines of ' if each.lines else ''}{_named(each.of)} |")
    pages = ["\n".join([f"# JSON\n\n{intro}\n", "| command | says |", "|---|---|", *rows]) + "\n"]
    for of in _objects():
        lines = [f"## {of.__name__}\n\n{_said(of)}\n", "| key | type | meaning |", "|---|---|---|"]
        for key, (hint, needed) in _hints(of).items():
            meaning = get_args(hint)[1] if get_origin(hint) is Annotated else ""
            optional = "" if needed else "only "
            lines.append(f"| `{key}` | {_named(hint)} | {optional}{meaning} |")
        pages.append("\n".join(lines) + "\n")
    return "\n".join(pages)


def _said(of: Any) -> str:
    return " ".join((of.__doc__ or "").split())


def _named(of: Any) -> str:
    """A type in words, objects as links."""
    origin, inner = get_origin(of), get_args(of)
    if origin is Annotated:
        return _named(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(_named(each) for each in inner)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if origin is list:
        return f"array of {_named(inner[0])}"
    if origin is dict:
        return f"object: text → {_named(inner[1])}"
    if is_typeddict(of):
        return f"[{of.__name__}](#{of.__name__.lower()})"
    return "anything" if of is Any else "text" if of is str else _SIMPLE[of]


def _objects() -> list[Any]:
    """Every object that is said, the first first."""
    found: dict[Any, None] = {}

    def look(of: Any) -> None:
        if is_typeddict(of):
            if of not in found:
                found[of] = None
                for hint, _ in _hints(of).values():
                    look(hint)
            return
        for each in get_args(of):
            look(each)

    for each in SHAPES:
        look(each.of)
    return list(found)
