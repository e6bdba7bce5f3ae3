"""What one copy costs: compiled, by plain Jinja and quopri, by the library's EmailMessage.

    python bench/render.py [--times N]

A statement of some 30 kB in two parts with a dozen and a half values, in English and in Arabic. CPU time of the
best of several rounds, since everything else on the machine only adds.
"""

from __future__ import annotations

import argparse
import binascii
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from pathlib import Path

from broadcaster import headers, message, statement, template
from broadcaster.merge import MergeTemplate
from broadcaster.message import Copy, Mail
from broadcaster.sandbox import for_merging
from broadcaster.subscriber import Subscriber

ROUNDS = 7
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
NAMES = {"en": ("Alice O'Brien", "Basra", "River Street"), "ar": ("علي حسن", "البصرة", "شارع النهر")}


def laid_out(language: str) -> MergeTemplate:
    """The statement in the layouts of this repository, as long as asked for."""
    folder = Path(__file__).parents[1] / "templates"
    layouts = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.*")}
    body = "---\nsubject: Clean water\n---\n" + GREETING[language] + (TEXT[language] * 14 + PERSONAL[language]) * 2
    part = statement.parse("bench", {f"{language}.md": body}, default=language).parts[language]
    sender = {"name": "Water for All", "address": "news@water.example", "postal_address": "12 River Street"}
    known = frozenset(["city", "chapter"])
    return template.lay_out(part, language=language, layouts=layouts, settings={"sender": sender}, known=known)


def copy_for(language: str) -> Copy:
    name, city, chapter = NAMES[language]
    token = "mailto:leave@water.example?subject=leave-" + "a" * 39
    person = Subscriber(1, "alice@water.example", name, language, "", {"city": city, "chapter": chapter})
    return Copy(person, "News", "news.water.example", "news", "<abc@water.example>", token, (token,), 1_767_225_600)


def by_jinja_and_quopri(merge: MergeTemplate, copy: Copy) -> Callable[[], object]:
    """Templates parsed once, each part encoded whole, headers of ours."""
    sandbox = for_merging()
    text, html = sandbox.from_string(merge.text), sandbox.from_string(merge.html)

    def make() -> bytes:
        names = message.named(copy)
        sandbox.refill()
        parts = [binascii.b2a_qp(each.render(names).encode(), istext=True) for each in (text, html)]
        head = headers.unstructured("Subject", merge.subject) + headers.mailbox(
            "To", copy.subscriber.name, "a@b.example"
        )
        return head.encode() + b"\r\n--x\r\n".join(parts)

    return make


def by_email_message(merge: MergeTemplate, copy: Copy) -> Callable[[], object]:
    """Templates parsed once, the message by the library."""
    sandbox = for_merging()
    text, html = sandbox.from_string(merge.text), sandbox.from_string(merge.html)

    def make() -> bytes:
        names = message.named(copy)
        sandbox.refill()
        made = EmailMessage(policy=SMTP)
        made["Date"] = formatdate(copy.date)
        made["From"] = formataddr(("Water for All", "news@water.example"))
        made["To"] = formataddr((copy.subscriber.name, copy.subscriber.address))
        made["Subject"] = merge.subject
        made["Message-ID"] = copy.message_id
        made["List-Id"] = f"<{copy.list_id}>"
        made.set_content(text.render(names), cte="quoted-printable")
        made.add_alternative(html.render(names), subtype="html", cte="quoted-printable")
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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--times", type=int, default=400, help="copies in each round")
    times = options.parse_args().times
    columns = ("values", "kB", "compiled µs", "Jinja+quopri", "EmailMessage", "lay out", "compile")
    print(" " * 8 + "".join(f"{name:>14}" for name in columns))
    for language in TEXT:
        began = time.process_time()
        merge = laid_out(language)
        laid = (time.process_time() - began) * 1e6
        began = time.process_time()
        program = message.compile(merge, Mail("Water for All", "news@water.example"))
        compiled = (time.process_time() - began) * 1e6
        copy = copy_for(language)
        size = len(program.render(copy)) / 1000
        fast = cost(lambda program=program, copy=copy: program.render(copy), times)  # type: ignore[misc]
        middle = cost(by_jinja_and_quopri(merge, copy), max(times // 5, 5))
        slow = cost(by_email_message(merge, copy), max(times // 40, 5))
        values = (merge.html + merge.text).count("{{")
        figures = (values, size, fast, middle, slow, laid, compiled)
        print(f"{language:8}" + "".join(f"{figure:14.1f}" for figure in figures))


if __name__ == "__main__":
    main()
