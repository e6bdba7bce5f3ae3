"""Whether receivers can tell that our mail is ours: SPF, DKIM and DMARC as the DNS has them, and who takes our mail.

Each question is one function that asks and judges. Where nobody answers nothing follows, and `dns` tells it; what
must be written into the DNS is in each finding, word by word.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from broadcaster import dmarc, spf
from broadcaster.config import Config
from broadcaster.diagnosis import Finding, Record, fine, found
from broadcaster.dkim import Key, flaws
from broadcaster.relay import Relay, is_loopback
from broadcaster.resolver import Resolver


class Provider(NamedTuple):
    """Whose relay it is: what SPF must include, "" where the return path is at a domain of theirs."""

    host: str
    include: str


# letters of a record of somebody's that are told
_SHOWN: Final = 200
# by the end of the relay's name
PROVIDERS: Final = (
    Provider("office365.com", "spf.protection.outlook.com"),
    Provider("outlook.com", "spf.protection.outlook.com"),
    Provider("gmail.com", "_spf.google.com"),
    Provider("amazonaws.com", ""),
    Provider("mailgun.org", ""),
    Provider("postmarkapp.com", ""),
    Provider("brevo.com", ""),
)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who asks. `key`: of [dkim]; `outward`: the address of this machine that the world sees, "" where unknown."""

    config: Config
    key: Key | None
    resolver: Resolver
    outward: Callable[[], str]

    @property
    def author(self) -> str:
        return self.config.sender.address.domain.lower()

    @property
    def path(self) -> str:
        """The domain of the return path."""
        return (self.config.returns.return_path or self.config.sender.address).domain.lower()

    @property
    def relays(self) -> list[Relay]:
        return [relay for relay in self.config.relays if not relay.rehearsal]


async def authenticate(of: Sender) -> list[Finding]:
    """All findings of the DNS."""
    parts: Sequence[Callable[[Sender], AsyncIterator[Finding]]] = (_spf, _dkim, _dmarc, _mail, _reverse)
    told = await asyncio.gather(*(_gathered(part(of)) for part in parts))
    findings = [finding for part in told for finding in part]
    unheard = of.resolver.unheard
    if unheard:
        some = ", ".join(unheard[:4]) + (f" and {len(unheard) - 4} more" if len(unheard) > 4 else "")
        findings.append(found("dns", "DNS", f"nobody answered: {some}"))
    return findings


async def _gathered(part: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in part]


# SPF


async def _spf(of: Sender) -> AsyncIterator[Finding]:
    domain = of.path
    texts = await of.resolver.texts(domain)
    if texts is None:
        return
    records = [text for text in texts if spf.is_record(text)]
    if len(records) != 1:
        what = f"has {len(records)} SPF records, of which none counts" if records else "has no SPF record"
        advice = "Make one record of them, with all that they name." if records else ""
        yield found("spf", domain, what, advice, write=(Record(domain, "TXT", _suggested(of)),))
        return
    yield fine("spf", domain, f"has one record: {records[0][:_SHOWN]}")
    record = spf.parse(records[0])
    if record.wrong:
        yield found("spf-syntax", domain, f'its SPF record has a word that is none: "{record.wrong[:_SHOWN]}"')
        return
    survey = await spf.survey(domain, record, _asking(of.resolver))
    for finding in (*_cost(domain, survey), *_ending(domain, survey), *_named(of, record, survey)):
        yield finding


def _asking(resolver: Resolver) -> spf.Ask:
    async def ask(kind: spf.Kind, name: str) -> Sequence[str] | None:
        if kind == "text":
            return await resolver.texts(name)
        if kind == "address":
            return await resolver.addresses(name)
        hosts = await resolver.mail(name)
        return None if hosts is None else [each.host for each in hosts]

    return ask


def _cost(domain: str, survey: spf.Survey) -> list[Finding]:
    """Whether the whole of it can be read within the bounds that verifiers keep."""
    findings = []
    if survey.broken:
        findings.append(
            found("spf-syntax", domain, f"leads to what is no valid SPF record: {', '.join(survey.broken[:5])}")
        )
    else:
        findings.append(fine("spf-syntax", domain, "the SPF record can be read"))
    if survey.costs_too_much:
        what = f"its SPF record takes {survey.lookups} questions to the DNS, and {spf.LOOKUPS} are allowed"
        findings.append(found("spf-lookups", domain, what))
    elif not survey.unheard:
        findings.append(
            fine("spf-lookups", domain, f"its SPF record takes {survey.lookups} of {spf.LOOKUPS} questions")
        )
    if len(survey.voids) > spf.VOIDS:
        what = f"its SPF record asks {len(survey.voids)} times for what is not there: {', '.join(survey.voids[:5])}"
        findings.append(found("spf-voids", domain, what))
    elif not survey.unheard:
        findings.append(fine("spf-voids", domain, f"{len(survey.voids)} of its questions lead nowhere"))
    return findings


def _ending(domain: str, survey: spf.Survey) -> list[Finding]:
    if survey.ends == "+all":
        return [found("spf-open", domain, "its SPF record ends in +all: everybody may send")]
    if survey.ends in ("-all", "~all"):
        return [fine("spf-end", domain, f"its SPF record ends in {survey.ends}")]
    if survey.unheard or survey.broken:
        return []
    return [found("spf-end", domain, f"its SPF record ends in {survey.ends or 'nothing'}")]


def _named(of: Sender, record: spf.Record, survey: spf.Survey) -> list[Finding]:
    """Whether it speaks of the relays, as far as we know whose they are."""
    findings = []
    for relay in of.relays:
        name, provider = f"relays.{relay.name}", _provider(relay)
        if provider is None:
            what = f"which addresses {relay.host} sends from is not known here"
            findings.append(found("spf-unknown", name, what))
        elif provider.include in survey.includes:
            findings.append(fine("spf-relay", name, f"SPF of {of.path} includes {provider.include}"))
        elif provider.include and not survey.unheard:
            terms = " ".join((*(term.text for term in record.terms), f"include:{provider.include}"))
            text = f"v=spf1 {terms} {record.end or '~all'}"
            what = f"SPF of {of.path} does not include {provider.include}, where {relay.host} sends from"
            findings.append(found("spf-relay", name, what, write=(Record(of.path, "TXT", text),)))
    return findings


def _provider(relay: Relay) -> Provider | None:
    host = f".{relay.host.lower()}"
    return next((each for each in PROVIDERS if host.endswith(f".{each.host}")), None)


def _suggested(of: Sender) -> str:
    """An SPF record for what we know."""
    terms = []
    for relay in of.relays:
        provider = _provider(relay)
        if provider is not None:
            terms.append(f"include:{provider.include}" if provider.include else "")
        elif is_loopback(relay.host):
            address = of.outward()
            terms.append(f"ip{ipaddress.ip_address(address).version}:{address}" if address else "mx")
        else:
            terms.append(f"a:{relay.host}")
    return " ".join(("v=spf1", *dict.fromkeys(term for term in terms if term), "~all"))


# DKIM


async def _dkim(of: Sender) -> AsyncIterator[Finding]:
    settings = of.config.dkim
    if settings is None:
        yield found("dkim-relay", of.author, "no [dkim] is set: the relay signs, or nobody does")
        return
    if of.key is None:
        return  # told by who read it
    name = f"{settings.selector}._domainkey.{settings.domain}"
    write = (Record(name, "TXT", f"v=DKIM1; k=rsa; p={of.key.public[0]}"),)
    texts = await of.resolver.texts(name)
    if texts is None:
        return
    if len(texts) != 1:
        what = f"has {len(texts)} records, and nobody knows which one counts" if texts else "is not in the DNS"
        yield found("dkim", name, what, write=write)
        return
    wrong = flaws(texts[0], of.key)
    for flaw in wrong:
        rule, what = {
            "none": ("dkim-record", "is no DKIM record"),
            "revoked": ("dkim-revoked", "says that this key was withdrawn (p= is empty)"),
            "differs": ("dkim-differs", f"holds another key than {settings.key_file}"),
            "type": ("dkim-record", "is for another kind of key than RSA"),
            "hash": ("dkim-record", "does not allow sha256"),
            "service": ("dkim-record", "is not for mail"),
            "testing": ("dkim-testing", "is marked as a test (t=y)"),
        }[flaw]
        yield found(rule, name, what, write=write)
    if not wrong:
        yield fine("dkim", name, f"holds the public key of {settings.key_file}")


# DMARC


async def _records(of: Sender, domain: str) -> tuple[dict[str, dmarc.Policy], list[str]] | None:
    """The single records where a verifier looks for a domain, and the names with several. None: not all was heard."""
    names = dmarc.names(domain)
    answers = await asyncio.gather(*(of.resolver.texts(f"_dmarc.{name}") for name in names))
    single: dict[str, dmarc.Policy] = {}
    several = []
    for name, texts in zip(names, answers, strict=True):
        if texts is None:
            return None
        policies = [policy for text in texts if (policy := dmarc.parse(text)) is not None]
        if len(policies) == 1:
            single[name] = policies[0]
        elif policies:
            several.append(name)
    return single, several


async def _dmarc(of: Sender) -> AsyncIterator[Finding]:
    heard = await _records(of, of.author)
    if heard is None:
        return
    single, several = heard
    name = dmarc.applied(of.author, single)
    policy = single[name] if name else None
    for each in several:
        yield found("dmarc", each, "has several DMARC records, of which none counts", "Leave one of them.")
    if name is None or policy is None:
        if not several:
            text = f"v=DMARC1; p=none; rua=mailto:{of.config.sender.reply_to or of.config.sender.address}"
            what = "has no DMARC record, nor has a domain above it"
            yield found("dmarc", of.author, what, write=(Record(f"_dmarc.{of.author}", "TXT", text),))
        # without one nothing is checked; aligned it should be all the same
        policy = dmarc.Policy({})
    else:
        yield fine("dmarc", of.author, f"has a policy at _dmarc.{name}")
        for finding in _policy(of.author, name, policy):
            yield finding
        async for finding in _reports(of, name, policy):
            yield finding
    async for finding in _alignment(of, policy):
        yield finding


def _policy(author: str, name: str, policy: dmarc.Policy) -> list[Finding]:
    place, findings = f"_dmarc.{name}", []
    if policy.wrong:
        void = ": nobody applies it" if policy.void else ""
        findings.append(found("dmarc-syntax", place, f"verifiers do not understand {', '.join(policy.wrong)}{void}"))
    if removed := [tag for tag in dmarc.REMOVED if tag in policy.tags]:
        findings.append(found("dmarc-removed", place, f"has {', '.join(removed)}"))
    wanted = policy.p if name == author else policy.below
    if wanted == "none" or policy.testing:
        findings.append(found("dmarc-policy", place, "asks for nothing (t=y)" if policy.testing else "has p=none"))
    else:
        findings.append(fine("dmarc-policy", place, f"has p={wanted}"))
    return findings


async def _reports(of: Sender, name: str, policy: dmarc.Policy) -> AsyncIterator[Finding]:
    place = f"_dmarc.{name}"
    if not policy.reports:
        yield found("dmarc-reports", place, "names nobody who gets reports")
        return
    organisations = await _organisations(of, {name, *policy.reports})
    for domain in dict.fromkeys(policy.reports):
        if organisations is None or organisations[domain] == organisations[name]:
            continue
        # RFC 9990: who is not of us must say that they want them
        consent = f"{name}._report._dmarc.{domain}"
        texts = await of.resolver.texts(consent)
        if texts is not None and not any(dmarc.parse(text) for text in texts):
            what = f"sends reports to {domain}, which does not say that it wants them: none are sent"
            advice = f"Let {domain} write the record, or take another address."
            yield found("dmarc-reports", place, what, advice, write=(Record(consent, "TXT", "v=DMARC1"),))


async def _organisations(of: Sender, domains: set[str]) -> Mapping[str, str] | None:
    """The organisational domain of each. None where nobody answered."""
    found_: dict[str, str] = {}
    for domain in sorted(domains):
        heard = await _records(of, domain)
        if heard is None:
            return None
        found_[domain] = dmarc.organisation(domain, heard[0])
    return found_


async def _alignment(of: Sender, policy: dmarc.Policy) -> AsyncIterator[Finding]:
    """Whether SPF and DKIM speak for the domain in From."""
    signs = of.config.dkim.domain.lower() if of.config.dkim else None
    organisations = await _organisations(of, {of.author, of.path, *([signs] if signs else ())})
    if organisations is None:
        return
    # where each relay writes a return path at a domain of its own we cannot know
    theirs = of.relays and all((each := _provider(relay)) and not each.include for relay in of.relays)
    by_path = None if theirs else dmarc.aligned(of.path, of.author, organisations, strict=policy.strict("spf"))
    by_key = signs and dmarc.aligned(signs, of.author, organisations, strict=policy.strict("dkim"))
    if by_path:
        yield fine("aligned-spf", of.author, f"the return path at {of.path} speaks for it")
    if by_key:
        yield fine("aligned-dkim", of.author, f"the signature of {signs} speaks for it")
    if by_path is False and by_key is False:
        what = f"neither {of.path} in the return path nor {signs} in the signature speaks for it"
        yield found("aligned", of.author, what)
        return
    if by_path is False:
        yield found("aligned-spf", of.author, f"the return path is at {of.path}, which does not speak for it")
    if by_key is False:
        yield found("aligned-dkim", of.author, f"the signature is of {signs}, which does not speak for it")


# who takes our mail


async def _mail(of: Sender) -> AsyncIterator[Finding]:
    config = of.config
    roles = {
        "sender.address": config.sender.address,
        "sender.reply_to": config.sender.reply_to,
        "returns.return_path": config.returns.return_path,
        "links.leave_mailto": config.links.leave_mailto,
    }
    domains: dict[str, list[str]] = {}
    for role, address in roles.items():
        if address is not None:
            domains.setdefault(address.domain.lower(), []).append(role)
    for told in await asyncio.gather(*(_takes_mail(of, domain, named) for domain, named in domains.items())):
        for finding in told:
            yield finding


async def _takes_mail(of: Sender, domain: str, roles: Sequence[str]) -> list[Finding]:
    """Whether mail for a domain has somewhere to go (RFC 5321 §5.1, RFC 7505)."""
    hosts, named = await of.resolver.mail(domain), f" ({', '.join(roles)})"
    write = (Record(domain, "MX", f"10 mail.{domain}."),)
    if hosts is None:
        return []
    if any(not each.host for each in hosts):
        return [found("mx", domain, f"says that it takes no mail{named}: its MX is empty", write=write)]
    if not hosts:
        addresses = await of.resolver.addresses(domain)
        if addresses is None:
            return []
        if not addresses:
            return [found("mx", domain, f"has no mail host{named}", write=write)]
        return [found("mx-implicit", domain, f"has no MX{named}; mail goes to {addresses[0]}", write=write)]
    there: Awaitable[list[Sequence[str] | None]] = asyncio.gather(
        *(of.resolver.addresses(each.host) for each in hosts[:10])
    )
    gone = [each.host for each, addresses in zip(hosts, await there, strict=False) if addresses == []]
    if len(gone) == len(hosts):
        return [found("mx", domain, f"has mail hosts{named}, and none has an address: {', '.join(gone)}", write=write)]
    findings = [found("mx-host", domain, f"its mail host {host} has no address") for host in gone]
    return findings or [fine("mx", domain, f"takes mail{named} at {hosts[0].host}")]


async def _reverse(of: Sender) -> AsyncIterator[Finding]:
    """Whether the address that we deliver from has a name: known only where our own machine delivers."""
    if not any(is_loopback(relay.host) for relay in of.relays):
        for relay in of.relays:
            what = f"{relay.host} delivers, from addresses that only its operator knows"
            yield found("reverse-unknown", f"relays.{relay.name}", what)
        return
    address = of.outward()
    if not address:
        yield found("reverse-unknown", "this machine", "its address on the internet cannot be seen from here")
        return
    names = await of.resolver.names(address)
    if names is None:
        return
    confirmed = [name for name in names[:5] if address in (await of.resolver.addresses(name) or ())]
    if confirmed:
        yield fine("reverse-name", address, f"is called {confirmed[0]}, which leads back to it")
        return
    what = f"is called {names[0]}, which does not lead back to it" if names else "has no name in the DNS"
    reverse = ipaddress.ip_address(address).reverse_pointer
    host = names[0] if names else f"mail.{of.author}"
    kind = "AAAA" if ":" in address else "A"
    yield found("reverse-name", address, what, write=(Record(reverse, "PTR", f"{host}."), Record(host, kind, address)))
