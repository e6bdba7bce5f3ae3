"""What one copy costs: composed with its tokens, rendered, by plain Jinja and binascii, by the library's EmailMessage.

    python -m bench.render [--times N]

A statement of some 30 kB in two parts with a dozen and a half values, in English and in Arabic, for one person after
another. CPU time of the best of many short rounds, since everything else on the machine only adds.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import itertools
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from pathlib import Path

from broadcaster import config, headers, message, statement, template
from broadcaster.courier import Consignment
from broadcaster.links import KEY_OCTETS, Signer
from broadcaster.mailing import Part
from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy, Mail
from broadcaster.press import Press, freeze
from broadcaster.sandbox import for_merging
from broadcaster.subscriber import MailingList, Subscriber

ROUNDS = 60
ASKED = 60  # microseconds for a rendered copy, at most
DATE = 1_767_225_600
CONFIG = """
[sender]
name = "Water for All"
address = "news@water.example"
postal_address = "12 River Street, Basra"
[links]
leave_mailto = "leave@water.example"
site = "https://news.water.example"
one_click = true
[relays.main]
url = "smtp://smtp.water.example"
[returns]
return_path = "bounces@water.example"
verp = "on"
"""
GREETING = {
    "en": 'Dear {{ subscriber.name | default("friend") }},\n\n',
    "ar": '{{ subscriber.name | default("صديقنا") }} العزيز،\n\n',
}
TEXT = {
    "en": "**The pumps** stopped on [Monday](https://water.example/news). Forty thousand households are cut off since, "
    "and the river is low; engineers say that nothing will change before the summer.\n\n",
    "ar": "**توقفت المضخات** يوم [الاثنين](https://water.example/news). أربعون ألف أسرة بلا ماء منذ ذلك الحين، والنهر "
    "منخفض، ويقول المهندسون إن شيئا لن يتغير قبل الصيف.\n\n",
}
PERSONAL = {
    "en": 'In {{ subscriber.city | default("your city") }} we meet at the river.\n\n'
    "{% if subscriber.chapter %}\nYour chapter is {{ subscriber.chapter }}.\n{% endif %}\n\n",
    "ar": 'في {{ subscriber.city | default("مدينتكم") }} نلتقي عند النهر.\n\n'
    "{% if subscriber.chapter %}\nفرعكم هو {{ subscriber.chapter }}.\n{% endif %}\n\n",
}
REPEATED = {"en": 21, "ar": 12}  # so often in each half that a copy has some 30 kB
NAMES = {"en": ("Alice", "Noor", "John", "Zoë", "Sean"), "ar": ("علي", "نور", "زينب", "حيدر", "سارة")}
FAMILIES = {"en": ("O'Brien", "Smith", "Hadi"), "ar": ("حسن", "العبيدي", "كريم")}
CITIES = {"en": ("Basra", "Amara", "Kut", ""), "ar": ("البصرة", "العمارة", "الكوت", "")}
CHAPTERS = {"en": ("River Street", ""), "ar": ("شارع النهر", "")}


def laid_out(language: str) -> MergeTemplate:
    """The statement in the layouts of this repository, as long as asked for."""
    folder = Path(__file__).parents[1] / "templates"
    layouts = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.*")}
    body = (
        "---\nsubject: Clean water\n---\n"
        + GREETING[language]
        + (TEXT[language] * REPEATED[language] + PERSONAL[language]) * 2
    )
    part = statement.parse("bench", {f"{language}.md": body}, default=language).parts[language]
    sender = {"name": "Water for All", "address": "news@water.example", "postal_address": "12 River Street"}
    known = frozenset(["city", "chapter"])
    return template.lay_out(part, language=language, layouts=layouts, settings={"sender": sender}, known=known)


def people(language: str) -> list[Subscriber]:
    """A hundred and twenty: some lack a value."""
    facts = itertools.product(NAMES[language], FAMILIES[language], CITIES[language], CHAPTERS[language])
    return [
        Subscriber(
            number,
            f"reader{number}@water.example",
            f"{name} {family}",
            language,
            "",
            {"city": city, "chapter": chapter},
        )
        for number, (name, family, city, chapter) in enumerate(facts, 100_000)
    ]


def copy_of(person: Subscriber) -> Copy:
    """A copy as a mailing has it, but for the tokens."""
    leave = "mailto:leave@water.example?subject=leave-" + "a" * 31
    return Copy(
        person, "News", "news.water.example", "news", f"<{'a' * 31}@water.example>", leave, (leave,), DATE, "", 7
    )


def copy_for(language: str) -> Copy:
    """One person's copy."""
    return copy_of(people(language)[0])


Work = Callable[[Copy], object]


def composed(merge: MergeTemplate) -> Work:
    """All that a delivery takes until it can be handed over: three tokens, message, return path, envelope."""
    settings = config.parse(CONFIG)
    news = MailingList(1, "news", "news.water.example", {"en": "News"})
    frozen, files = freeze(merge, settings, [news], asset=str.encode)  # it has none
    part = Part(0, merge.language, frozen.to_json())
    press = Press([part], files.__getitem__, Signer(bytes(KEY_OCTETS)), settings)
    return lambda copy: press.compose(Consignment(copy.subscriber.id, 7, 0, 1, copy.subscriber), "main", DATE)


def rendered(merge: MergeTemplate) -> Callable[[Copy], bytes]:
    """The message alone."""
    return message.compile(merge, Mail("Water for All", "news@water.example")).render


def by_jinja_and_binascii(merge: MergeTemplate) -> Work:
    """Templates parsed once, each part encoded whole, as ours is; a header of three fields."""
    sandbox = for_merging()
    parts = sandbox.from_string(merge.text), sandbox.from_string(merge.html)
    encode = base64.encodebytes if merge.language == "ar" else binascii.b2a_qp

    def make(copy: Copy) -> bytes:
        person, names = copy.subscriber, message.named(copy)
        sandbox.refill()
        subject = headers.unstructured("Subject", merge.subject)
        head = subject + headers.mailbox("To", person.name, person.address) + headers.raw("Message-ID", copy.message_id)
        return head.encode() + b"\r\n--x\r\n".join([encode(each.render(names).encode()) for each in parts])

    return make


def by_email_message(merge: MergeTemplate) -> Work:
    """Templates parsed once, the message by the library, its parts encoded as ours are."""
    sandbox = for_merging()
    text, html = sandbox.from_string(merge.text), sandbox.from_string(merge.html)
    encoding = "base64" if merge.language == "ar" else "quoted-printable"

    def make(copy: Copy) -> bytes:
        person, names = copy.subscriber, message.named(copy)
        sandbox.refill()
        made = EmailMessage(policy=SMTP)
        made["Date"] = formatdate(copy.date)
        made["From"] = formataddr(("Water for All", "news@water.example"))
        made["To"] = formataddr((person.name, person.address))
        made["Subject"] = merge.subject
        made["Message-ID"] = copy.message_id
        made["List-Id"] = f"<{copy.list_id}>"
        made.set_content(text.render(names), cte=encoding)
        made.add_alternative(html.render(names), subtype="html", cte=encoding)
        return made.as_bytes()

    return make


def cost(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - began) / times)
    return best * 1e6


def once(work: Callable[[], object]) -> float:
    """The same of one time."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6


ROWS = {
    "kB": "of one message, on average",
    "values": "in both parts",
    "rendered": f"the message from its compiled template: {ASKED} at most is asked for",
    "composed": "with three tokens, return path and envelope: all that a delivery takes",
    "Jinja, binascii": "plain Jinja, each part encoded whole, a header of three fields",
    "EmailMessage": "plain Jinja, the rest by the library",
    "EmailMessage / rendered": "",
    "Jinja, binascii / rendered": "",
    "lay out": "once for each mailing and language, when it is prepared",
    "compile": "once for each mailing and language, when it is sent",
}


def figures(language: str, times: int) -> Iterator[float]:
    """What the rows say, for one language."""
    merge = laid_out(language)
    copies = [copy_of(person) for person in people(language)]
    render, turn = rendered(merge), itertools.cycle(copies)

    def each(work: Work, times: int) -> float:
        return cost(lambda: work(next(turn)), times)

    yield sum(len(render(copy)) for copy in copies) / len(copies) / 1000
    yield (merge.html + merge.text).count("{{")
    yield (fast := each(render, times))
    yield each(composed(merge), times)
    yield (middle := each(by_jinja_and_binascii(merge), max(times // 10, 4)))
    yield (slow := each(by_email_message(merge), max(times // 30, 2)))
    yield slow / fast
    yield middle / fast
    yield once(lambda: laid_out(language))
    yield once(lambda: rendered(merge))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--times", type=int, default=60, help="copies in each round")
    times = options.parse_args().times
    print(f"microseconds of CPU for one copy, in the best of {ROUNDS} rounds\n")
    print(" " * 26 + "".join(f"{language:>10}" for language in TEXT))
    for (name, meaning), *row in zip(ROWS.items(), *(figures(language, times) for language in TEXT), strict=True):
        print(f"{name:<26}" + "".join(f"{figure:>10,.1f}" for figure in row) + f"   {meaning}".rstrip())


if __name__ == "__main__":
    main()
