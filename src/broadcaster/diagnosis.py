"""What `doctor` looks for: a table of rules by group, each with a level, what should be, why, and what to do.

An error keeps mail from arriving, or people from being safe; a warning may; a note is what nobody can know from here.
Each rule is a law that holds or does not: so the same name tells what is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Level(StrEnum):
    """How bad it is, the worst first."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


class Group(StrEnum):
    """Where to look."""

    SETTINGS = "settings"
    FILES = "files"
    DATABASE = "database"
    RELAYS = "relays"
    DNS = "dns"
    RETURNS = "returns"
    LEAVING = "leaving"


class Rule(NamedTuple):
    """A level, a group, what should be, why it matters, and what to do."""

    level: Level
    group: Group
    about: str
    why: str
    mend: str


class Record(NamedTuple):
    """What to write in the DNS, literally."""

    name: str
    type: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `subject`: what it is about; `away`: who should have answered did not.

    `todo` is empty where there is nothing to do.
    """

    level: Level
    rule: str
    subject: str
    what: str
    todo: str = ""
    write: tuple[Record, ...] = ()
    away: bool = False

    @property
    def group(self) -> Group:
        return RULES[self.rule].group

    @property
    def why(self) -> str:
        return RULES[self.rule].why

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `doctor`."""
        return {
            "level": self.level.value,
            "rule": self.rule,
            "group": self.group.value,
            "subject": self.subject,
            "what": self.what,
            "why": self.why,
            "do": self.todo,
            "write": [each._asdict() for each in self.write],
        }


def found(
    rule: str, subject: str, what: str, todo: str = "", *, write: tuple[Record, ...] = (), away: bool = False
) -> Finding:
    """Something that should not be so, with the level of its rule and, unless better is known, its advice."""
    return Finding(RULES[rule].level, rule, subject, what, todo or RULES[rule].mend, write, away)


def fine(rule: str, subject: str, what: str) -> Finding:
    """Something that is as it should be."""
    return Finding(Level.OK, rule, subject, what)


def ranked(findings: list[Finding]) -> list[Finding]:
    """The worst first; what is alike in the order of the groups and rules."""
    levels, rules = list(Level), list(RULES)
    return sorted(findings, key=lambda each: (levels.index(each.level), rules.index(each.rule), each.subject))


_E, _W, _N = Level.ERROR, Level.WARNING, Level.NOTE
_SETTINGS, _FILES, _DATABASE, _RELAYS, _DNS, _RETURNS, _LEAVING = Group

RULES: Final[Mapping[str, Rule]] = {
    "configuration": Rule(
        _E,
        _SETTINGS,
        "All of broadcaster.toml can be read, and each key is known and right.",
        "With a mistake in it nothing is sent.",
        "Mend the key that is named; nothing that depends on the settings was looked at.",
    ),
    "rehearsal": Rule(
        _N,
        _SETTINGS,
        "A relay carries mail off this machine.",
        "A rehearsal writes into a folder; nobody gets anything.",
        "When you are ready, put your mail server into `url` below `[relays.main]`; relays and DNS are looked at then.",
    ),
    "place": Rule(
        _E,
        _FILES,
        "The workspace lies on a disk of this machine, in no folder that is copied elsewhere.",
        "Two copies of a database mail everyone twice, and one that is copied while it is written is damaged.",
        "Move the workspace to a folder on this machine's own disk.",
    ),
    "writable": Rule(
        _E,
        _FILES,
        "Nobody else may write into the workspace, its settings, templates and statements, or a folder above it.",
        "Who writes there has commands run in your name (`password_command`), or changes what you say to everybody.",
        "Take the right away with `chmod go-w`.",
    ),
    "private": Rule(
        _E,
        _FILES,
        "Nobody else may read people, keys, passwords and mail.",
        "Another account on this machine, or a program that runs as one, has the whole list, or writes in your name.",
        "Take the right away with `chmod`, and think about who may have read it.",
    ),
    "owner": Rule(
        _E,
        _FILES,
        "The files belong to whoever works with them.",
        "Their owner can read and change them whatever their mode says, and we may not be able to write.",
        "Work as the user whose they are, or give them to the one who works: `chown`.",
    ),
    "secret-key": Rule(
        _E,
        _FILES,
        "subscribers/secret.key is there, whole and private.",
        "It signs leave links and return paths: without it nothing is sent, and a new one voids all that are out.",
        "Restore it from your backup.",
    ),
    "dkim-key": Rule(
        _E,
        _FILES,
        "The private key of [dkim] is there, private and good for signing.",
        "Without it nothing is sent.",
        "See docs/dkim.md.",
    ),
    "disk": Rule(
        _E,
        _FILES,
        "The disk has room for what a mailing writes.",
        "With a full disk a mailing stops half-way; nobody is lost, and nobody gets it.",
        "Free some space.",
    ),
    "clock": Rule(
        _E,
        _FILES,
        "The clock goes right: it is not behind what was written down, nor off by more than a minute from others.",
        "A wrong time sends at the wrong hour, tries again too soon, and makes signatures that count for nothing.",
        "Set the clock, and let the system keep it: `timedatectl set-ntp true`.",
    ),
    "database": Rule(
        _E,
        _DATABASE,
        "The database can be opened, and all of it is as it was written.",
        "Who got what is in it: sending from a damaged one may mail people twice.",
        "Restore it from a backup; nothing was changed.",
    ),
    "unread": Rule(
        _N,
        _DATABASE,
        "All of the database was looked at.",
        "A large one takes longer than `doctor` does; what was read of it is well.",
        "Look again at night, with `--patience 600`.",
    ),
    "sqlite": Rule(
        _W,
        _DATABASE,
        "SQLite is a version without known faults that damage a database.",
        "SQLite 3.7.0 to 3.51.2 can, very rarely, lose a write when two processes bring the log home at one moment.",
        "Use a Python with SQLite 3.51.3 or later (3.50.7 and 3.44.6 are mended too). An encrypted database has its"
        " own.",
    ),
    "mark": Rule(
        _E,
        _DATABASE,
        "The database knows of everything that was sent.",
        "One that was restored from before the last sending would mail the same people again.",
        "Look at docs/doubt.md: the next `send` or `run` puts who may have got it in doubt, and `resolve` settles it.",
    ),
    "encryption": Rule(
        _N,
        _DATABASE,
        "The database is encrypted.",
        "Who has the disk, or a copy of one file, has every subscriber.",
        "Encrypt the disk, and the database where people are in danger: docs/encryption.md.",
    ),
    "cron": Rule(
        _W,
        _DATABASE,
        "`broadcaster run` was here within the hour, where something waits for it.",
        "Mailings with a time, second tries and returned mail wait until somebody calls `run`.",
        "`broadcaster schedule install` lets cron call it: docs/cron.md.",
    ),
    "relay-name": Rule(
        _E,
        _RELAYS,
        "The relay's name is known to the DNS.",
        "Without an address nobody can be asked to carry the mail.",
        "Look at the spelling of `url`, and at the network.",
    ),
    "relay-silent": Rule(
        _E,
        _RELAYS,
        "The relay answers.",
        "Nothing is sent while it does not; a firewall or the provider may bar the port.",
        "Try again; ask your provider which host and port to use (587 with smtp://, 465 with smtps://).",
    ),
    "relay-tls": Rule(
        _E,
        _RELAYS,
        "The relay offers TLS, with a certificate that is valid for its name and made by a known authority.",
        "Anybody on the way could read passwords, names and addresses; so no mail goes there.",
        "Ask whoever runs the relay; is the name in `url` the one in its certificate? `ca_file` is for an authority of"
        " your own.",
    ),
    "relay-expiry": Rule(
        _W,
        _RELAYS,
        "The relay's certificate is valid for three weeks more.",
        "On the day it ends nothing is sent any more.",
        "Tell whoever runs the relay.",
    ),
    "relay-plaintext": Rule(
        _W,
        _RELAYS,
        "What goes to a relay beyond this machine is encrypted.",
        "Everybody on the way can read names, addresses and the password.",
        'Write `tls = "required"`, if the relay can.',
    ),
    "relay-login": Rule(
        _E,
        _RELAYS,
        "The relay takes user and password.",
        "Without a login nothing is sent. Many providers have switched passwords off, or want one for programs.",
        "Look at `user` and where the password comes from; ask your provider for an app password, or use"
        " `token_command`.",
    ),
    "relay-refuses": Rule(
        _E,
        _RELAYS,
        "The relay talks to us.",
        "It answers, and says no before we have said anything of the mail.",
        "Its words say why; ask whoever runs it.",
    ),
    "relay-return-path": Rule(
        _E,
        _RELAYS,
        "The relay takes our return path, marked for each copy where `verp` asks for that.",
        "MAIL FROM is refused for everybody alike, so nobody gets anything.",
        'Let the relay allow it, or write `verp = "off"`, or a `return_path` of the account that logs in.',
    ),
    "relay-own-path": Rule(
        _N,
        _RELAYS,
        "The relay keeps our return path.",
        "This provider writes its own or the account's: bounces go there, and are told apart by their Message-ID.",
        "See what your provider does with bounces, and give `doctor` and `collect` the mailbox they end in.",
    ),
    "relay-size": Rule(
        _E,
        _RELAYS,
        "The relay takes messages as large as our largest statement.",
        "A copy that is too large is refused for everybody.",
        "Make the attachments smaller, or link to them.",
    ),
    "relay-8bit": Rule(
        _N,
        _RELAYS,
        "The relay takes addresses with letters of any script before the @ (SMTPUTF8).",
        "A person with such an address cannot be mailed through this relay; others are not concerned.",
        "Nothing, unless you have such people.",
    ),
    "relay-pipelining": Rule(
        _N,
        _RELAYS,
        "The relay takes several commands at once (PIPELINING).",
        "Without it each copy waits for more answers; far away that halves the pace.",
        "Nothing; more `connections` help.",
    ),
    "relay-dsn": Rule(
        _N,
        _RELAYS,
        "The relay promises to tell what became of a copy (DSN).",
        "Without it bounces still come, but carry less that proves which copy they are about.",
        "Nothing.",
    ),
    "dns": Rule(
        _W,
        _DNS,
        "The DNS answers our questions.",
        "What nobody answered was not looked at; nothing bad follows from it.",
        "Try again; is the network there?",
    ),
    "spf": Rule(
        _E,
        _DNS,
        "The domain of the return path says in one record which servers may send for it (SPF).",
        "Gmail, Yahoo and Microsoft refuse mailings without it. Of two records none counts.",
        "Write the record; your provider says what to include.",
    ),
    "spf-syntax": Rule(
        _E,
        _DNS,
        "The SPF record and all that it includes can be read.",
        "One word that is wrong voids all of it (permerror): mail fails as if it were forged.",
        "Mend or take out the word that is named.",
    ),
    "spf-lookups": Rule(
        _E,
        _DNS,
        "Reading the SPF record takes at most ten questions to the DNS.",
        "After ten, verifiers give up and the record counts for nothing (RFC 7208 §4.6.4).",
        "Take out includes of services that no longer send for you; write ip4: for servers of your own; give bounces a"
        " subdomain with a record of its own.",
    ),
    "spf-voids": Rule(
        _E,
        _DNS,
        "At most two questions of the SPF record lead nowhere.",
        "After two, the record counts for nothing (RFC 7208 §4.6.4).",
        "Take out the words that are named: what they speak of is gone.",
    ),
    "spf-end": Rule(
        _W,
        _DNS,
        "The SPF record ends in -all or ~all.",
        "Without an end, or with ?all, it says nothing about anybody else, and forged mail looks as good as yours.",
        "End it in ~all, and in -all when you are sure.",
    ),
    "spf-open": Rule(
        _E,
        _DNS,
        "The SPF record lets not everybody send.",
        "+all tells the world that any server may write in your name; filters take it for a spammer's.",
        "Write ~all instead of +all.",
    ),
    "spf-relay": Rule(
        _W,
        _DNS,
        "The SPF record names the relay's provider.",
        "Mail through a provider that it does not name fails SPF, and Microsoft and others refuse it.",
        "Add the include.",
    ),
    "spf-unknown": Rule(
        _N,
        _DNS,
        "Whether SPF lets this relay send can be told from here.",
        "From which addresses a relay delivers only its operator knows.",
        "Mail a copy to yourself with `broadcaster test` and look whether it says SPF: PASS.",
    ),
    "dkim": Rule(
        _E,
        _DNS,
        "The public key is in the DNS under our selector, in one record.",
        "A signature that nobody can check counts for nothing: mailings are refused or go to spam.",
        "Write the record.",
    ),
    "dkim-differs": Rule(
        _E,
        _DNS,
        "The public key in the DNS belongs to the private one.",
        "Every signature is wrong, which looks worse than none.",
        "Write the record for this key, or give the key that belongs to the record.",
    ),
    "dkim-revoked": Rule(
        _E,
        _DNS,
        "The key in the DNS is in force.",
        "An empty p= says that the key was withdrawn: every signature of it is void.",
        "Write the record with the key, or sign under another selector.",
    ),
    "dkim-record": Rule(
        _E,
        _DNS,
        "The DKIM record allows what we sign with: rsa-sha256, for mail.",
        "A record for another kind of key, hash or service makes every signature void.",
        "Write the record anew.",
    ),
    "dkim-testing": Rule(
        _W,
        _DNS,
        "The DKIM record is not marked as a test.",
        "With t=y verifiers treat a message as if it were not signed.",
        "Take t=y out of the record.",
    ),
    "dkim-relay": Rule(
        _N,
        _DNS,
        "Whether mail is signed can be told from here.",
        "Without [dkim] the relay signs, or nobody does; with which domain and key we cannot see.",
        "Mail yourself a copy with `broadcaster test`: it should say DKIM: PASS with your domain. If not, see"
        " docs/dkim.md.",
    ),
    "dmarc": Rule(
        _E,
        _DNS,
        "The domain in From, or its organisation, has one DMARC record.",
        "Gmail, Yahoo and Microsoft demand one of everybody who mails thousands; p=none is enough.",
        "Write the record.",
    ),
    "dmarc-syntax": Rule(
        _W,
        _DNS,
        "Verifiers understand every tag of the DMARC record.",
        "What they do not understand is ignored, at worst the whole record (RFC 9989).",
        "Mend the tags that are named.",
    ),
    "dmarc-removed": Rule(
        _N,
        _DNS,
        "The DMARC record has no tags that RFC 9989 took out (pct, rf, ri).",
        "New verifiers ignore them and old ones obey: mail is judged differently here and there.",
        "Take them out; for trying, t=y has taken the place of pct.",
    ),
    "dmarc-policy": Rule(
        _N,
        _DNS,
        "The DMARC policy protects your name: quarantine or reject, and not in test.",
        "With p=none or t=y, mail that forges your name is delivered all the same.",
        "Read the reports for some weeks; when all that is yours passes, write p=quarantine, then p=reject.",
    ),
    "dmarc-reports": Rule(
        _N,
        _DNS,
        "DMARC reports go to somebody (rua), who may be told.",
        "Without them you do not hear who mails in your name, nor what of yours fails.",
        "Add rua=mailto: with an address of yours to the record.",
    ),
    "aligned": Rule(
        _E,
        _DNS,
        "The return path (SPF) or the signature (DKIM) speaks for the domain in From.",
        "DMARC passes only if one of them does: else the policy of your own domain is turned against you.",
        "Let dkim.domain be the domain of sender.address, and return_path one at the same domain or below it.",
    ),
    "aligned-dkim": Rule(
        _W,
        _DNS,
        "The signature speaks for the domain in From.",
        "Where mail is passed on, SPF fails, and only such a signature keeps it passing.",
        "Let dkim.domain be the domain of sender.address, with its key in the DNS there.",
    ),
    "aligned-spf": Rule(
        _W,
        _DNS,
        "The return path speaks for the domain in From.",
        "One of the two legs of DMARC is missing: a signature that breaks on the way leaves nothing.",
        "Let returns.return_path be an address at the domain of sender.address, or below it.",
    ),
    "mx": Rule(
        _E,
        _DNS,
        "Each of our own addresses can get mail.",
        "Replies, bounces and wishes to leave go nowhere, and many refuse mail from who takes none.",
        "Write an MX record with the host that takes your mail.",
    ),
    "mx-host": Rule(
        _W,
        _DNS,
        "Every host that should take our mail has an address.",
        "Mail waits for a host that is not there before it tries the next.",
        "Take the host out of the MX records, or give it an address.",
    ),
    "mx-implicit": Rule(
        _W,
        _DNS,
        "Our domains name their mail host (MX).",
        "Without one mail goes to the web server's address; some filters take that for nobody.",
        "Write an MX record with the host that takes your mail.",
    ),
    "reverse-name": Rule(
        _E,
        _DNS,
        "The address that we deliver from has a name in the DNS that leads back to it.",
        "Gmail and most others refuse mail from an address without one.",
        "Ask whoever gave you the address (your host, your provider) to set its PTR to your server's name.",
    ),
    "reverse-unknown": Rule(
        _N,
        _DNS,
        "The address that mail is delivered from can be told from here.",
        "A relay delivers from addresses of its own; a machine behind a router does not see its own.",
        "Nothing where a provider delivers. Else look at the Received lines of a copy to yourself.",
    ),
    "mailbox": Rule(
        _E,
        _RETURNS,
        "Every mailbox of [returns] can be opened and read, and what is understood can be moved where that is asked.",
        "Bounces and wishes to leave that nobody reads are people who are mailed again.",
        "Look at user, password and folder.",
    ),
    "mailbox-none": Rule(
        _W,
        _RETURNS,
        "Somebody reads what comes back.",
        "Addresses that are gone are mailed for ever, wishes to leave are not heard, and mailboxes judge by both.",
        "Name the mailbox of return_path and leave_mailto in returns.mailboxes: docs/returns.md.",
    ),
    "mailbox-unknown": Rule(
        _N,
        _RETURNS,
        "Mail to the return path, with +TOKEN in it, ends in one of these mailboxes.",
        "Only mail can show that: some hosts do not deliver an address with a +.",
        "Mail return_path yourself with +test before the @, then see that `broadcaster collect` finds it.",
    ),
    "one-click": Rule(
        _E,
        _LEAVING,
        "The leave link answers a POST at once, without leading elsewhere.",
        "Mail programs that offer Unsubscribe follow no redirection: people press it, and stay (RFC 8058 §3.1).",
        "Let the address answer the POST itself, with 2xx; or take one_click out until it does.",
    ),
    "one-click-answer": Rule(
        _W,
        _LEAVING,
        "The leave link answers a POST as something that knows our links would.",
        "An address that knows no POST, or fails, takes nobody off.",
        "See docs/dkim.md for what must answer there.",
    ),
    "one-click-away": Rule(
        _E,
        _LEAVING,
        "The leave link answers.",
        "Where nobody answers, people press Unsubscribe, and stay; then they complain.",
        "See that links.site is the right address, and that its server runs.",
    ),
}
