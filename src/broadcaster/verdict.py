"""From the words of the other side to a reason: the stage first, then known texts, then the enhanced status, the code.

An answer at MAIL or before is about us (RFC 5321 §3.3), one at RCPT about the recipient, a later one about the
message. "User unknown" is believed where a second thing says the same: the stage, or a status of X.1; filters say
it too, of people who are there.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple

from broadcaster import delivery
from broadcaster.notice import Action
from broadcaster.wording import ABOUT_US, LISTS, LOCAL, PROVIDERS, STRONG, TEXTS, Phrase, folded

WORDS: Final = 3000  # letters that are looked at


class Stage(IntEnum):
    """How far the conversation with the other side was, where that is told."""

    NONE = 0
    CONNECT = 1
    MAIL = 2
    RCPT = 3
    DATA = 4


_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d)\.(\d{1,3})(?![\d.]*\d)")
_CODED: Final = re.compile(r"(?<![\d.])([245]\d\d)[ -]{1,2}['\"(]?([245]\.\d\.\d{1,3})(?![\d.]*\d)")
_CODE: Final = re.compile(r"(?<![\d.#+:/=-])([45][0-5]\d)(?=[\s:'\"-]|$)(?!\.\d)")
_ADDRESS: Final = re.compile(r"<?(?<![\w.+=-])[\w.+=-]++@[\w.-]++>?")
_LINK: Final = re.compile(r"https?://\S++", re.IGNORECASE)
_NUMBERS: Final = re.compile(
    r"(?<![\d.])[245]\d\d[ -](?:#?[245]\.\d\.\d{1,3}\b)?|(?<![\d.])#?[245]\.\d\.\d{1,3}\b(?!\.)"
)
_SPACES: Final = re.compile(r"\s++")
# names of hosts hold words that nobody said; Exchange's and programs' are words
_HOST: Final = re.compile(
    r"(?<![\w.-])(?![\d.]++(?![\w.-]))(?!RESOLVER|STOREDRV|mail\.local)[a-z0-9-]++(?:\.[a-z0-9-]++)++"
)

# Where a report says at which command it was; the first that is found. Of what the MTA itself says, not the server.
_STAGES: Final[tuple[tuple[str, Stage], ...]] = (
    ("in reply to rcpt to", Stage.RCPT),
    ("in reply to end of data", Stage.DATA),
    ("in reply to data", Stage.DATA),
    ("in reply to mail from", Stage.MAIL),
    ("in reply to ehlo", Stage.CONNECT),
    ("in reply to helo", Stage.CONNECT),
    ("in reply to starttls", Stage.CONNECT),
    ("in reply to auth", Stage.CONNECT),
    ("refused to talk to me", Stage.CONNECT),
    ("after initial connection", Stage.CONNECT),
    ("after ehlo", Stage.CONNECT),
    ("after helo", Stage.CONNECT),
    ("after starttls", Stage.CONNECT),
    ("after auth", Stage.CONNECT),
    ("after pipelined mail", Stage.MAIL),
    ("after mail from", Stage.MAIL),
    ("after mail command", Stage.MAIL),
    ("after rcpt", Stage.RCPT),
    ("for rcpt to command", Stage.RCPT),
    ("for mail from command", Stage.MAIL),
    ("for text command", Stage.DATA),
    ("for data command", Stage.DATA),
    ("after pipelined rcpt", Stage.RCPT),
    ("after end of data", Stage.DATA),
    ("after sending data block", Stage.DATA),
    ("after pipelined data", Stage.DATA),
    ("after pipelined end of data", Stage.DATA),
    ("after data", Stage.DATA),
    ("but greeting failed", Stage.CONNECT),
    ("but my name was rejected", Stage.CONNECT),
    ("but sender was rejected", Stage.MAIL),
    ("does not like recipient", Stage.RCPT),
    ("failed on data command", Stage.DATA),
    ("failed after i sent the message", Stage.DATA),
    ("[rcpt_to]", Stage.RCPT),
    ("[mail_from]", Stage.MAIL),
    ("[data]", Stage.DATA),
    ("[eod]", Stage.DATA),
    ("did not like our rcpt", Stage.RCPT),
    ("did not like our mail", Stage.MAIL),
    ("did not like our data", Stage.DATA),
    ("did not like our final data", Stage.DATA),
    ("did not like our helo", Stage.CONNECT),
    ("did not like our ehlo", Stage.CONNECT),
    ("smtp:rcpt", Stage.RCPT),
    ("smtp:mail", Stage.MAIL),
    ("smtp:data", Stage.DATA),
    ("smtp:eod", Stage.DATA),
    ("accept your message (data)", Stage.DATA),
    ("accept your message (rcpt", Stage.RCPT),
    ("accept your message (mail", Stage.MAIL),
    ("smtp command data", Stage.DATA),
    ("smtp command rcpt", Stage.RCPT),
    ("smtp command mail", Stage.MAIL),
    (
        "this is the mail delivery agent at messagelabs",
        Stage.RCPT,
    ),  # which asks for each recipient while it takes the mail
)
# a transcript's last command before the server's answer
_COMMAND: Final = re.compile(
    r"(?:>>>|-->|sent <<<|sent:|command:|=>|\bc:)\s{0,3}(mail|rcpt|data|ehlo|helo|lhlo|\.(?=\s|$)|bdat)", re.IGNORECASE
)
# what was said to the server is not what it said
_SAID: Final = re.compile(r"(?:>>>|-->|sent <<<)[ \t]*+(?:mail|rcpt|data|ehlo|helo|quit|rset)\b[^\n]*+", re.IGNORECASE)
_COMMANDS: Final = {"mail": Stage.MAIL, "rcpt": Stage.RCPT, "ehlo": Stage.CONNECT, "helo": Stage.CONNECT}


class Words(NamedTuple):
    """What was said, taken apart."""

    text: str  # folded, without addresses, hosts, links and numbers
    whole: str  # in small letters
    code: str  # "550", or ""
    status: str  # "5.1.1", or ""
    stage: Stage


class Verdict(NamedTuple):
    """A reason of REASONS, and the enhanced status that tells most."""

    reason: str
    status: str


def read(text: str, stage: Stage = Stage.NONE) -> Words:
    """The words of the other side, or of a report about it, taken apart. `stage`: where it is known already."""
    spaced = _SPACES.sub(" ", text[:WORDS])
    low = spaced.lower()
    coded = _CODED.search(low)
    enhanced = _ENHANCED.search(low)
    code = _CODE.search(low)
    heard = _SPACES.sub(" ", _SAID.sub(" ", text[:WORDS])) if ">" in spaced or "<<<" in spaced else spaced
    bare = _HOST.sub(" ", _ADDRESS.sub("@", _LINK.sub(" ", heard)))
    return Words(
        folded(_NUMBERS.sub(" ", bare)),
        low,
        coded[1] if coded else code[1] if code else "",
        coded[2] if coded else enhanced[0] if enhanced else "",
        stage or staged(low),
    )


def replied(code: int, reply: str, stage: delivery.Stage | None) -> Verdict:
    """Why a relay of ours refused, or put off. `stage`: how far we were with it, where that is known."""
    if stage is None:
        return judge(read(f"{code} {reply}"))
    return judge(read(f"{code} {reply}", _HEARD.get(stage, Stage.CONNECT)))


# where a relay's reply came, as the words of reports have it
_HEARD: Final = {
    delivery.Stage.RCPT: Stage.RCPT,
    delivery.Stage.DATA: Stage.DATA,
    delivery.Stage.DOT: Stage.DATA,
    delivery.Stage.MAIL: Stage.MAIL,
}


def staged(text: str) -> Stage:
    """The stage that a text names; of a transcript the last command before its end."""
    if (found := next((stage for phrase, stage in _STAGES if phrase in text), None)) is not None:
        return found
    command = ""
    for each in _COMMAND.finditer(text):
        command = each[1].lower()
    return _COMMANDS.get(command, Stage.DATA) if command else Stage.NONE


def judge(words: Words, field: str = "", action: Action = Action.FAILED, more: Words | None = None) -> Verdict:
    """Why. `field`: the status that is stated beside the words; `more`: what is said around them, where they are"
    " few."""
    stated = found[0] if (found := _ENHANCED.search(field)) else ""
    status = _better(words.status or (more.status if more and not stated else ""), stated)
    temporary = action is Action.DELAYED or (status or words.code).startswith("4")
    if words.stage in (Stage.CONNECT, Stage.MAIL):
        reason = _about_us(words, status)
    else:
        reason = _by_text(words, status) or (_by_text(more, status) if more else "")
        reason = reason or _by_status(status) or _by_code(words)
    if temporary and reason in _DEAD:
        reason = "network" if reason in ("unknown_host", "no_mail") else "system"
    if action is Action.DELAYED and reason in ("undefined", "expired"):
        reason = "delayed"
    return Verdict(reason, status)


_DEAD: Final = frozenset({"unknown_user", "unknown_host", "no_mail", "bad_address", "moved", "closed"})


def _better(said: str, stated: str) -> str:
    """The status of the two that tells more. The server's own, unless it is one that says nothing."""
    if not said or (said.endswith(".0.0") and stated):
        return stated
    return said


def _about_us(words: Words, status: str) -> str:
    if any(name in words.whole for name in LISTS):
        return "blocklist"
    if found := _search(words, ABOUT_US):
        return found
    if (by_status := _by_status(status)) and by_status not in _DEAD and by_status not in ("full", "disabled"):
        return by_status
    return "sender" if words.stage is Stage.MAIL else "policy"


def _by_text(words: Words, status: str) -> str:
    if any(name in words.whole for name in LISTS):
        return "blocklist"
    for sign, phrase, reason in PROVIDERS:
        if sign in words.whole and phrase in words.text:
            return reason
    found = _search(words, TEXTS)
    if found in ("unknown_user", "closed", "moved"):
        return found if _confirmed(words, status) else "unconfirmed"
    if found in ("unknown_host", "no_mail") and words.stage is Stage.DATA and status[1:3] not in (".1", ".4"):
        return "sender"  # of what is in the message no domain is the recipient's
    return found


def _confirmed(words: Words, status: str) -> bool:
    """Whether a second thing says that there is no such user."""
    if status[1:] in _USER or any(_within(phrase, words.text) for phrase in STRONG):
        return True
    if words.stage is Stage.RCPT:
        return True
    if status[1:3] == ".7":
        return False
    return words.stage is Stage.NONE and not words.code and any(_within(phrase, words.text) for phrase in LOCAL)


_USER: Final = frozenset({".1.0", ".1.1", ".1.2", ".1.3", ".1.6", ".1.10", ".1.351"})

# RFC 3463 and the registry of IANA; the class is not among them: a 4yz never makes an address dead
_STATUSES: Final[dict[str, str]] = {
    "1.1": "unknown_user",
    "1.2": "unknown_host",
    "1.3": "bad_address",
    "1.6": "moved",
    "1.7": "sender",
    "1.8": "sender",
    "1.9": "system",
    "1.10": "no_mail",
    "2.0": "refused",
    "2.1": "disabled",
    "2.2": "full",
    "2.3": "size",
    "2.4": "system",
    "3.1": "system",
    "3.2": "system",
    "3.3": "system",
    "3.4": "size",
    "3.5": "system",
    "3.0": "system",
    "4.0": "network",
    "4.1": "network",
    "4.2": "network",
    "4.3": "network",
    "4.4": "unknown_host",
    "4.5": "network",
    "4.6": "loop",
    "4.7": "expired",
    "4.14": "loop",
    "4.300": "expired",
    "4.310": "unknown_host",
    "4.312": "network",
    "4.316": "network",
    "5.3": "rate",
    "7.2": "restricted",
    "7.3": "content",
    "7.4": "security",
    "7.5": "security",
    "7.6": "security",
    "7.7": "security",
    "7.8": "login",
    "7.9": "policy",
    "7.10": "security",
    "7.17": "moved",
    "7.18": "moved",
    "7.20": "dkim",
    "7.21": "dkim",
    "7.22": "dkim",
    "7.23": "spf",
    "7.24": "spf",
    "7.25": "reverse_name",
    "7.26": "authentication",
    "7.27": "sender",
    "7.28": "rate",
    "7.29": "authentication",
    "7.30": "security",
    "7.54": "relaying",
    "7.57": "login",
    "7.60": "login",
    "7.64": "relaying",
    "7.124": "restricted",
    "7.133": "restricted",
    "7.134": "restricted",
    "7.135": "restricted",
    "7.136": "restricted",
    "7.500": "rate",
    "7.509": "dmarc",
    "7.511": "blocklist",
    "7.515": "authentication",
    "7.606": "blocklist",
    "7.650": "rate",
    "7.700": "rate",
    "7.705": "rate",
    "7.708": "blocklist",
    "7.750": "policy",
}
# by the subject alone
_SUBJECTS: Final = {"2": "refused", "3": "system", "5": "syntax", "6": "content", "7": "policy"}


def _by_status(status: str) -> str:
    """What the enhanced status says."""
    if not status:
        return ""
    detail = status[2:]
    reason = _STATUSES.get(detail, "") or ("" if detail == "5.0" else _SUBJECTS.get(detail[0], ""))
    if detail.startswith("7.6") and len(detail) == 5 and "607" <= detail[2:] <= "649":
        return "blocklist"
    return reason


def _by_code(words: Words) -> str:
    if words.code in ("530", "534", "535", "538"):
        return "login"
    if words.code in ("421", "450", "451"):
        return "system"
    if words.code in ("500", "501", "502", "503", "504"):
        return "syntax"
    if words.code == "452":
        return "full" if words.stage is Stage.RCPT else "system"
    if words.code == "556":
        return "no_mail"
    return "policy" if words.stage is Stage.DATA else "undefined"


def _search(words: Words, table: tuple[tuple[str, tuple[Phrase, ...]], ...]) -> str:
    text = words.text
    for reason, phrases in table:
        for phrase in phrases:
            if phrase[0] in text and (len(phrase) == 1 or _within(phrase, text)):
                return reason
    return ""


def _within(phrase: Phrase, text: str) -> bool:
    """Whether all pieces of a phrase stand there, in their order and near each other."""
    at = text.find(phrase[0])
    while at >= 0:
        end = at + len(phrase[0])
        for piece in phrase[1:]:
            found = text.find(piece, end, end + 80 + len(piece))
            if found < 0:
                break
            end = found + len(piece)
        else:
            return True
        at = text.find(phrase[0], at + 1)
    return False
