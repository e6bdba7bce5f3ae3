"""Reports that mail systems write for people: which of their lines name a recipient, and which words belong to whom.

There are as many forms as systems, and most do one of three things: a line that begins with the address and what
is wrong behind or below it (Postfix, Exim, qmail, Exchange), a transcript of the conversation before it (Sendmail),
or a sentence that ends in the address. They are told apart line by line, so that a system nobody knows is read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

LINES: Final = 1500
LINE: Final = 2000
RECIPIENTS: Final = 200
BLOCK: Final = 3000  # letters of the words about one recipient

_ATEXT: Final = r"\w.!#$%&'*+/=?^`{|}~-"
ADDRESS: Final = re.compile(rf"(?<![{_ATEXT}])[{_ATEXT}]++@[\w.-]++")
# what may stand before an address that begins a line: a bullet, a quotation, a reply code
_HEAD: Final = re.compile(
    r"[\s<>\"'`*•·#(\[{=:|.,;-]*+(?:\d{1,3}[).]\s)?(?:[245]\d\d[ -](?:[245]\.\d\.\d{1,3}\s)?[\s<\"']*+)?"
)
_CODE: Final = re.compile(r"^[\s>]{0,4}[245]\d\d[ -]")
_HEADER: Final = re.compile(
    r"^[\s>|]{0,6}(received|return-path|dkim-signature|delivered-to|x-original-to|mime-version|message-id|content-type"
    r"|x-mailer|authentication-results|arc-[a-z-]+|x-received|x-google-dkim-signature|domainkey-signature|x-sender"
    r"|subject|date|from|to|cc|reply-to|sender)[ \t]{0,4}:",
    re.IGNORECASE,
)
_CERTAIN: Final = ("received", "return-path", "dkim-signature", "mime-version", "x-received", "domainkey-signature")
_DECORATION: Final = " \t-=*_#|>~+[]().:\"'"

# How the copy of what was sent is announced, in small letters and without what decorates it.
_COPIES: Final = (
    "below this line is a copy", "this is a copy of the message", "this is a copy of your message", "unsent message",
    "returned message", "message text follows", "message headers follow", "message header follow", "body of message",
    "the header of the original message", "the header of the message", "included is a copy of the message",
    "below is a copy of the original", "enclosed is a copy", "here is a copy", "the original message follow",
    "original mail", "start of original", "begin of original", "copy of the original", "copy of message",
    "a copy of your message", "a copy of the original", "the following is a copy", "attached is a copy",
    "beginning of original", "message contents", "returned mail follows", "undelivered message follow",
    "headers of the original", "header of original", "headers of your message", "first part of the message",
    "the first", "the text of the original", "here are the headers", "message header:", "undelivered message",
    "returned mail:", "mensaje original", "message original", "originalnachricht", "ursprüngliche nachricht",
    "kopfzeilen der", "die ursprünglichen", "en-têtes du message", "messaggio originale", "исходное сообщение",
    "копия", "заголовки", "元のメール", "元メール", "oorspronkelijk", "original headers", "the message headers",
    "your original message", "your message was", "the original message headers", "quoted message",
    "forwarded message", "header of the returned", "returned headers", "full text of the message",
)  # fmt: skip
_NO_COPIES: Final = (
    "the original message was", "original message was", "the first error", "the first attempt", "original mail was",
    "your message was not", "your message was reject", "your message was refus", "your message was block",
    "your message was auto", "your message was una", "your message was und", "your message was delayed",
    "your message was sent to", "your message was to", "your message was for", "undelivered message returned",
    "returned message:", "the original message could", "the message headers could",
)  # fmt: skip

# Before an address at the end of a clause; small letters, the last words of what stands before.
_LEADS: Final = (
    " to", " for", " recipient", " recipients", " user", " address", " mailbox", " account", " addressed to",
    "rcpt to", "rcpt", " destination", " addressee", " member", " an", " à", " für", " an die adresse", " para", " a",
    " al", " per", " кому", " адресу", " destinataire", " destinatario", " empfänger", " destinatário", " получатель",
    " alıcı", " إلى", " به", "宛先", "受信者", "收件人", " at", " email", " e-mail", " nach", " with", " errors",
    " addresses",
)  # fmt: skip
_CONTACTS: Final = (
    "contact", "assistance", "support", "help", "question", "send mail to", "send email to", "send an email",
    "write to", "report this", "forward", "abuse", "reply", "from:", "sender", "from <", "sent by", "mail from",
    "absender", "envelope-from", "message-id:", "subject:", "reporting-mta", "expéditeur", "remitente", "mittente",
    "отправител", "you (", "received", "on behalf of", "x-postfix-sender", "return-path", "問い合わせ", "ご連絡",
)  # fmt: skip
_STAFF: Final = ("postmaster@", "support@", "abuse@", "mailer-daemon@", "helpdesk@", "admin@", "noreply@", "no-reply@")


class Mention(NamedTuple):
    """A recipient, other names of theirs in the same place, and the words about them."""

    address: str
    also: tuple[str, ...]
    words: str


class Report(NamedTuple):
    """A report without what was sent, and what was sent as far as it is quoted."""

    said: str
    returned: str


def split(text: str) -> Report:
    """A report's own words, and the copy behind them."""
    lines = text[: LINES * LINE].split("\n", LINES * 4)
    for number, line in enumerate(lines[: LINES * 2]):
        if _announces(line) or (number and _copied(lines, number)):
            return Report("\n".join(lines[:number]), "\n".join(lines[number:]))
    return Report("\n".join(lines[:LINES]), "")


_MBOX: Final = re.compile(r"^[>|\s]{0,4}From [^\s@]{1,100}@\S{1,200} {1,4}(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b")
_RECEIVED: Final = re.compile(
    r"^[\s>|]{0,6}received[ \t]{0,4}:\s{0,8}(?:from|by)\s|^return-path:\s{0,8}<", re.IGNORECASE
)


def _announces(line: str) -> bool:
    if not 6 <= len(line) <= 160:
        return False
    bare = line.strip(_DECORATION).lower()
    if bare.startswith("original message") and not bare.startswith(_NO_COPIES):
        return len(bare) < 40
    return bare.startswith(_COPIES) and len(bare) < 100 and not bare.startswith(_NO_COPIES)


def _copied(lines: list[str], number: int) -> bool:
    """Whether the fields of a message begin here: two of them, of which one stands nowhere else."""
    found = _HEADER.match(lines[number])
    if found is None or found[1].lower() not in _CERTAIN:
        return _MBOX.match(lines[number]) is not None
    if _RECEIVED.match(lines[number]):
        return True
    return any(_HEADER.match(line) for line in lines[number + 1 : number + 12])


def mentions(said: str, ours: Iterable[str]) -> list[Mention]:
    """Who is named in a report as somebody that did not get it. `ours`: addresses of the sender and of the report."""
    own = {address.lower() for address in ours}
    lines = [line[:LINE] for line in said.split("\n")[:LINES]]
    begun = _beginnings(lines)
    named = {address for _, address in begun}
    if named - own:
        begun = [(at, address) for at, address in begun if address not in own]
    if begun:
        others = [(at, address) for at, address in begun if not address.startswith(_STAFF)]
        return _blocks(lines, others or begun)
    bodies = [line for line in lines if not _HEADER.match(line)]
    for found in (_led(bodies), _to(lines), _any(bodies)):
        people = [each for each in found if each not in own]
        if people:
            readers = [each for each in people if not each.startswith(_STAFF)] or people
            unique = list(dict.fromkeys(readers))[:RECIPIENTS]
            return [Mention(address, (), _about(lines, address, unique)) for address in unique]
    return []


def _beginnings(lines: list[str]) -> list[tuple[int, str]]:
    """Lines that begin with an address, with their number."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        if "@" not in line:
            continue
        head = _HEAD.match(line)
        start = head.end() if head else 0
        address = ADDRESS.match(line, start) or _behind_name(line)
        if address is None or len(found) >= RECIPIENTS * 4:
            continue
        after = line[address.end() :].strip(" >\"'`)").lower()
        if after.endswith(("wrote:", "writes:", "schrieb:", "a écrit :", "escribió:")):
            continue
        if after.startswith(("mailto:", "<mailto:")) or (cleaned := clean(address[0])) == "":
            cleaned = clean(address[0])
        if cleaned and not (cleaned.startswith(_STAFF) and after.startswith(("for", "if", "and", "with"))):
            found.append((number, cleaned))
    return found


_BEHIND: Final = re.compile(r"^\s{0,8}[\w.-]{1,64}:\d{1,6}:<(?=[^\s<>@]{1,64}@)")


def _behind_name(line: str) -> re.Match[str] | None:
    """An address behind its local part and a number, as SendGrid writes."""
    found = _BEHIND.match(line)
    return ADDRESS.match(line, found.end()) if found else None


def clean(address: str) -> str:
    """An address as it is compared, "" for what is none."""
    address = address.strip("'`.,;:|/=*").rstrip("-_.").lower()
    local, _, domain = address.rpartition("@")
    if not local or not domain or len(address) > 320 or "//" in local or local.startswith("="):
        return ""
    return address if domain[0].isalnum() else ""


def _blocks(lines: list[str], begun: list[tuple[int, str]]) -> list[Mention]:
    """Each address with its words: what is behind and below it, or before it where a transcript is."""
    words: dict[str, list[str]] = {}
    also: dict[str, list[str]] = {}
    places = [number for number, _ in begun]
    one = len({address for _, address in begun}) == 1
    for index, (number, address) in enumerate(begun):
        last = places[index + 1] if index + 1 < len(places) else len(lines)
        if one:
            block = lines[number:] if not index else []
        elif _CODE.match(lines[number]):
            first = places[index - 1] + 1 if index else 0
            talks = [at for at in range(first, number) if "while talking to" in lines[at].lower()]
            told = lines[talks[-1] if talks else first : number]
            block = [line for line in told if line.lstrip().startswith((">>>", "<<<")) or _CODE.match(line)]
            block.append(lines[number])
        else:
            block = lines[number : _over(lines, number, last)]
        words.setdefault(address, []).extend(block)
        also.setdefault(address, []).extend(_expanded(block, address))
    found = []
    for address, said in list(words.items())[:RECIPIENTS]:
        # of what an address was made, that was mailed
        names = dict.fromkeys((*reversed(also[address]), address))
        found.append(Mention(next(iter(names)), tuple(names)[1:], "\n".join(said)[:BLOCK]))
    return found


def _over(lines: list[str], first: int, last: int) -> int:
    """Where the words about one recipient end: at a transcript, which is about all of them."""
    for number in range(first + 1, last):
        if "transcript of session" in lines[number].lower():
            return number
    return last


_EXPANSION: Final = re.compile(
    r"(?:expanded from|generated (?:by|from)|forwarded from|originally to|ultimately generated from)"
    r"[:\s<]{1,4}([^\s<>()@]{1,64}@[\w.-]{1,255})",
    re.IGNORECASE,
)


def _expanded(block: list[str], address: str) -> list[str]:
    text = "\n".join(block)[:BLOCK].lower()
    if not any(word in text for word in ("expanded", "generated", "forwarded", "originally")):
        return []
    found = (clean(each[1]) for each in _EXPANSION.finditer(text))
    return [each for each in found if each and each != address]


def _led(lines: list[str]) -> list[str]:
    """Addresses behind a word that announces a recipient."""
    found: list[str] = []
    for line in lines:
        if "@" not in line:
            continue
        last = -1  # where an address that was found ends
        for each in ADDRESS.finditer(line):
            if last >= 0 and _BETWEEN.fullmatch(line, last, each.start()) and (address := clean(each[0])):
                found.append(address)
                last = each.end()
                continue
            before = line[max(0, each.start() - 60) : each.start()].lower().rstrip(" <\"'`(«„“[=")
            colon = before.endswith(":")
            before = f" {before.rstrip(': ')}"
            if any(word in before for word in _CONTACTS):
                continue
            if (colon or before.endswith(_LEADS)) and (address := clean(each[0])):
                found.append(address)
                last = each.end()
    return found


_BETWEEN: Final = re.compile(r"[\s,;<>\"']{1,12}(?:and|und|et|y|e|و)?[\s<\"']{0,4}")
_TO: Final = re.compile(r"^[\s>|]{0,6}(?:to|cc)[ \t]{0,4}:", re.IGNORECASE)


def _to(lines: list[str]) -> list[str]:
    """Addresses of a To that is repeated."""
    named = (each for line in lines if _TO.match(line) for each in ADDRESS.finditer(line))
    return [address for each in named if (address := clean(each[0]))]


def _any(lines: list[str]) -> list[str]:
    """Addresses that do not look like somebody to write to."""
    found = []
    for line in lines:
        if "@" in line and not any(word in line.lower() for word in _CONTACTS):
            found += [address for each in ADDRESS.finditer(line) if (address := clean(each[0]))]
    return found


def _about(lines: list[str], address: str, all_of_them: list[str]) -> str:
    """The words about one of several: the lines that name it and what follows, or all of them for the only one."""
    if len(all_of_them) == 1:
        return "\n".join(lines)[:BLOCK]
    words, on = [], False
    for line in lines:
        low = line.lower()
        if "@" in line and any(each in low for each in all_of_them):
            on = address in low
        if on:
            words.append(line)
    return "\n".join(words)[:BLOCK]
