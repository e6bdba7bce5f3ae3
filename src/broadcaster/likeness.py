"""Addresses that nearly equal another: the same mailbox written otherwise, or a finger that slipped.

Advice for a person who knows better. Nothing here decides who is whom: two spellings may well be two people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final


def _all(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Mailbox providers that most of the world writes to; of their kin in other countries the name is enough.
PROVIDERS: Final = _all(
    "gmail.com googlemail.com hotmail.com outlook.com live.com msn.com yahoo.com ymail.com rocketmail.com aol.com "
    "icloud.com me.com mac.com protonmail.com proton.me pm.me tutanota.com tuta.io zoho.com mail.com email.com "
    "gmx.com gmx.net gmx.de gmx.at gmx.ch web.de t-online.de freenet.de mail.de posteo.de mailbox.org orange.fr "
    "wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it tiscali.it telenet.be skynet.be ziggo.nl "
    "kpnmail.nl btinternet.com comcast.net verizon.net yandex.ru yandex.com mail.ru rambler.ru ukr.net seznam.cz "
    "wp.pl onet.pl o2.pl interia.pl qq.com 163.com 126.com naver.com daum.net rediffmail.com uol.com.br riseup.net "
    "fastmail.com hotmail.co.uk yahoo.co.uk live.co.uk yahoo.co.in yahoo.co.jp yahoo.com.br yahoo.com.au "
    "yahoo.co.id"
)
_BRANDS: Final = _all("gmail hotmail outlook live yahoo icloud aol msn protonmail googlemail gmx yandex")
# Codes of countries that are more often .com with a letter gone
_RARE_ENDS: Final = frozenset(["co", "cm", "om", "ne", "et"])
# No domain ends in these.
_NO_ENDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(["con", "cmo", "ocm", "comm", "coom", "ccom", "vom", "xom", "cpm", "clm", "ckm", "cim"], "com"),
    **dict.fromkeys(["ogr", "rog", "orgg", "orh", "prg", "irg"], "org"),
    **dict.fromkeys(["nte", "ent", "nett", "ner"], "net"),
}

# Who reads these is no one person, or nobody at all.
ROLES: Final = _all(
    "abuse admin administrator all billing contact do-not-reply donotreply editor enquiries hello help hostmaster "
    "hr info inquiries jobs mail mailer-daemon marketing media newsletter no-reply noreply noreplies office order "
    "orders postmaster press privacy root sales secretary security service spam staff support team test unsubscribe "
    "webmaster"
)
DISPOSABLE: Final = _all(
    "10minutemail.com 33mail.com burnermail.io dispostable.com discard.email emailondeck.com fakeinbox.com "
    "getairmail.com getnada.com grr.la guerrillamail.com guerrillamail.info inboxkitten.com mailcatch.com "
    "maildrop.cc mailinator.com mailnesia.com mintemail.com mohmal.com moakt.com sharklasers.com spam4.me "
    "spamgourmet.com temp-mail.org tempail.com tempmail.com tempmailo.com throwawaymail.com trashmail.com "
    "trashmail.de yopmail.com yopmail.fr"
)

GOOGLE: Final = frozenset(["gmail.com", "googlemail.com"])
_DIGITS: Final = b"0123456789"
_OTHERS: Final = bytes(octet for octet in range(256) if octet not in _DIGITS)
SHORTEST: Final = 5  # letters; among shorter ones anything is near to anything


def form(local: str, domain: str) -> bytes:
    """What all addresses that are alike have in common: letters in any order, digits in theirs."""
    if "+" in local:
        local = local.partition("+")[0]
    if domain in GOOGLE:
        local, domain = local.replace(".", ""), "gmail.com"
    raw = local.encode()
    if local.isalpha():
        return bytes(sorted(raw)) + domain.encode()
    return bytes(sorted(raw.translate(None, _DIGITS))) + raw.translate(None, _OTHERS) + domain.encode()


def alike(one: str, other: str) -> str:
    """How two keys that are not equal are nearly so, in words; "" where they are not."""
    (a, _, here), (b, _, there) = one.partition("@"), other.partition("@")
    google = here in GOOGLE and there in GOOGLE
    if one == other or (here != there and not google):
        return ""
    plain_a, plain_b = a.partition("+")[0], b.partition("+")[0]
    if google:
        if plain_a.replace(".", "") == plain_b.replace(".", ""):
            return "the same mailbox at Google"
    elif plain_a == plain_b:
        return "the same but for what follows the +"
    return "two letters swapped" if here == there and _swapped(a, b) else ""


def _swapped(a: str, b: str) -> bool:
    if len(a) != len(b) or len(a) < SHORTEST:
        return False
    odd = [place for place in range(len(a)) if a[place] != b[place]]
    if len(odd) != 2 or odd[1] != odd[0] + 1:
        return False
    first, second = odd
    # numbers that differ are other numbers
    return a[first] == b[second] and a[second] == b[first] and not (a[first] + a[second]).isdigit()


def meant(domain: str, near: Mapping[str, str]) -> str:
    """The domain that was probably meant, "" where this one may well be right. `near` is of `neighbours`."""
    if domain in PROVIDERS:
        return ""
    rest, _, end = domain.rpartition(".")
    if end in _NO_ENDS:
        return f"{rest}.{_NO_ENDS[end]}"
    if rest in _BRANDS:
        # hotmail.gr is one of theirs, yahoo.co is not
        return f"{rest}.com" if end in _RARE_ENDS and f"{rest}.com" in PROVIDERS else ""
    for variant in (domain, *_shorter(domain)):
        found = near.get(variant)
        if found is not None and found != domain and _one_slip(domain, found):
            return found
    return ""


def neighbours(frequent: Collection[str] = ()) -> dict[str, str]:
    """Every domain to be measured against, under itself and all that is left of it with one letter gone."""
    near: dict[str, str] = {}
    for domain in (*frequent, *sorted(PROVIDERS)):
        if len(domain.partition(".")[0]) >= SHORTEST:
            for variant in (domain, *_shorter(domain)):
                near.setdefault(variant, domain)
    return near


def _shorter(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def _one_slip(a: str, b: str) -> bool:
    """Whether one letter is wrong, missing, too many, or two neighbours are swapped."""
    if len(a) == len(b):
        odd = [place for place in range(len(a)) if a[place] != b[place]]
        return len(odd) == 1 or (len(odd) == 2 and _swapped_at(a, b, odd))
    long, short = (a, b) if len(a) > len(b) else (b, a)
    return len(long) == len(short) + 1 and short in _shorter(long)


def _swapped_at(a: str, b: str, odd: list[int]) -> bool:
    return odd[1] == odd[0] + 1 and a[odd[0]] == b[odd[1]] and a[odd[1]] == b[odd[0]]
