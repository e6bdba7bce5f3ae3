"""Why mail comes back: each reason, what it means for whom, and what staff should do.

Hard is said of an address that is dead, and of nothing else: what a server calls permanent is most often about a
policy, a full mailbox or our own set-up, and who suppresses people for that loses them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from broadcaster.notice import Kind


class Reason(NamedTuple):
    """One reason."""

    kind: Kind
    means: str
    advice: str  # "" where nobody has to do anything


_NOTHING: Final = "nothing: the address is not mailed again"
_WAIT: Final = "nothing: it is tried again with the next mailing"
_DNS: Final = "see `doctor` for the records of your domain"

REASONS: Final[dict[str, Reason]] = {
    # the address is dead
    "unknown_user": Reason(Kind.HARD, "there is no such mailbox", _NOTHING),
    "unknown_host": Reason(Kind.HARD, "there is no such domain, or nothing that takes mail for it", _NOTHING),
    "no_mail": Reason(Kind.HARD, "the domain says that it takes no mail (RFC 7505)", _NOTHING),
    "bad_address": Reason(Kind.HARD, "the address cannot be an address there", _NOTHING),
    "moved": Reason(Kind.HARD, "the person has another address now", "if the report names it, ask the person"),
    "closed": Reason(Kind.HARD, "the mailbox is closed for good", _NOTHING),
    # the mailbox
    "unconfirmed": Reason(
        Kind.SOFT,
        "no such user, it says, but when it had seen the message, or without a code for it: filters say so too",
        _WAIT,
    ),
    "full": Reason(Kind.SOFT, "the mailbox is full", _WAIT),
    "disabled": Reason(Kind.SOFT, "the mailbox is disabled, suspended or on hold", _WAIT),
    "refused": Reason(
        Kind.SOFT, "the recipient, or a rule of theirs, does not want this mail", "if you know the person, ask them"
    ),
    "restricted": Reason(
        Kind.SOFT, "only some may write to this address: a group, a list", "ask its owner to let your address in"
    ),
    # the message
    "size": Reason(Kind.SOFT, "the message is too large", "make attachments and pictures smaller, or link to them"),
    "spam": Reason(Kind.SOFT, "the message looks like spam to them", "run `check`; mail only who asked for it"),
    "virus": Reason(Kind.SOFT, "something in the message looks like a virus", "look at attachments and links"),
    "content": Reason(Kind.SOFT, "something in the message is not allowed there", "look at attachments and links"),
    # our set-up
    "spf": Reason(Kind.SOFT, "your domain's SPF record does not allow this relay", f"add the relay to it; {_DNS}"),
    "dkim": Reason(Kind.SOFT, "the signature is missing or wrong", f"let the relay sign, or set [dkim]; {_DNS}"),
    "dmarc": Reason(
        Kind.SOFT,
        "your domain's DMARC policy says to refuse this mail",
        f"sign with your own domain, and let SPF pass for it; {_DNS}",
    ),
    "authentication": Reason(
        Kind.SOFT, "neither SPF nor DKIM shows that the mail is yours", f"set up SPF, DKIM and DMARC; {_DNS}"
    ),
    "reverse_name": Reason(
        Kind.SOFT, "the relay's number has no name, or another one", "ask whoever runs the relay for a PTR record"
    ),
    "blocklist": Reason(
        Kind.SOFT,
        "the relay's number or your domain is on a blocklist",
        "follow the link in the words, or tell the relay",
    ),
    "policy": Reason(Kind.SOFT, "a policy there refuses mail from you", "read the words; write to their postmaster"),
    "sender": Reason(Kind.SOFT, "they do not take the sender's address", "check [sender], [returns] and their domain"),
    "relaying": Reason(
        Kind.SOFT, "a server was asked that does not serve this domain", "see whether the relay is right"
    ),
    "login": Reason(Kind.SOFT, "the relay wants to know who you are first", "check user and password of [relays]"),
    "security": Reason(Kind.SOFT, "encryption or rights are wanted that are not there", "check tls of [relays]"),
    "syntax": Reason(Kind.SOFT, "one of the two sides broke the protocol", "if it is often so, tell the relay"),
    "rate": Reason(Kind.SOFT, "too much at a time", "lower the limits of the relay, or of this destination"),
    # time and the way
    "greylisted": Reason(Kind.SOFT, "they want to see it tried again", _WAIT),
    "network": Reason(Kind.SOFT, "their server could not be reached", _WAIT),
    "broken_off": Reason(
        Kind.SOFT,
        "the relay ended the connection at this message, each time",
        "ask whoever runs the relay, or a firewall on the way to it",
    ),
    "expired": Reason(Kind.SOFT, "the relay tried for days, and gave up", _WAIT),
    "loop": Reason(Kind.SOFT, "the message went in circles", "tell their postmaster, if the person is known"),
    "system": Reason(Kind.SOFT, "something is broken there", _WAIT),
    "delayed": Reason(Kind.SOFT, "not yet delivered, the relay goes on trying", ""),
    # people
    "complaint": Reason(Kind.COMPLAINT, "reported as unwanted", "nothing: the person is not mailed again"),
    "leave": Reason(Kind.UNSUBSCRIBE, "wishes to leave", "without a token of ours, unsubscribe them by hand"),
    "vacation": Reason(Kind.AUTO_REPLY, "away, or answered by a machine", ""),
    "challenge": Reason(Kind.AUTO_REPLY, "wants senders to prove themselves", "answer it, if the person is known"),
    "gone": Reason(
        Kind.AUTO_REPLY,
        "says that the person has left, or that nobody reads this address",
        "look, and remove them if so",
    ),
    # no bounce
    "delivered": Reason(Kind.OTHER, "delivered, or handed on", ""),
    "receipt": Reason(Kind.OTHER, "somebody opened or deleted it (RFC 8098)", ""),
    "not_spam": Reason(Kind.OTHER, "a complaint is taken back", ""),
    "authentication_report": Reason(Kind.OTHER, "a report about DMARC, SPF or DKIM", _DNS),
    "undefined": Reason(Kind.UNKNOWN, "failed, and nobody can tell why", "read the words"),
}
