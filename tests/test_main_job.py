"""From a CSV file to the inbox: ten thousand people, three languages, a real server, every message read again."""

from __future__ import annotations

import csv
import email
import html
import io
import random
import re
import sqlite3
from collections import Counter
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from urllib.parse import parse_qs, urlsplit

from broadcaster.language import direction
from broadcaster.links import Purpose, Signer
from tests.conftest import Place
from tests.lab.server import Remote

NUMBER = 10_000
NAMES = {
    "en": [
        "Ann O'Brien",
        "Jean-Luc & Sons",
        'The "Duke"',
        "Zoë <b>Bold</b>",
        "{{ subscriber.email }}",
        "=1+1",
        "x" * 60,
    ],
    "ar": ["سميرة العبيدي", "محمد «أبو علي»", "علي 07701234567", "نور 👩‍👩‍👧‍👦"],
    "ckb": ["ئازاد کەریم", "شیلان", "هێمن (سلێمانی)"],
}
SAID = {"en": "Dear", "ar": "عزيزي", "ckb": "بەڕێز"}
STATEMENT = """---
subject: {said} {{{{ subscriber.name | default("you") }}}}: {{{{ subscriber.city }}}}
---
{said} {{{{ subscriber.name | default("{friend}") }}}},

{{% if subscriber.city == "Basra" %}}
BASRA
{{% else %}}
ELSEWHERE
{{% endif %}}
"""


def people() -> list[tuple[str, str, str, str]]:
    dice = random.Random(7)
    rows = []
    for number in range(NUMBER):
        language = dice.choice(["en", "ar", "ckb"])
        name = dice.choice([*NAMES[language], ""])
        rows.append(
            (f"Person.{number}+tag@Example{number % 50}.org", name, language, dice.choice(["Basra", "Erbil", ""]))
        )
    return rows


def test_ten_thousand_people_get_their_own_message_once(place: Place, server: Remote) -> None:
    place.configure(server.port, connections=4)
    for language, said in SAID.items():
        place.statement("june", **{language: STATEMENT.format(said=said, friend=f"friend-{language}")})
    rows = people()
    text = io.StringIO()
    csv.writer(text).writerows([("E-mail", "Name", "Language", "City"), *rows])
    assert place.people(text.getvalue()).json["new"] == NUMBER

    done = place.run("send", "june", "--list", "news", "--yes", "--json").json
    assert (done["state"], done["accepted"], done["audience"]) == ("finished", NUMBER, NUMBER)

    signer = Signer((place.root / "subscribers/secret.key").read_bytes())
    owners = dict(
        sqlite3.connect(place.root / "subscribers/broadcaster.db").execute(
            "select d.id, s.address from delivery d join subscriber s on s.id = d.subscriber"
        )
    )
    expected = {
        address.rpartition("@")[0] + "@" + address.rpartition("@")[2].lower(): row
        for row in rows
        for address in row[:1]
    }
    got: Counter[str] = Counter()
    ids: set[str] = set()
    for message in server.messages:
        (recipient,) = message.recipients
        got[recipient] += 1
        _, name, language, city = expected[recipient]
        mail = email.message_from_bytes(message.data)
        ids.add(mail["Message-ID"])
        check_one(mail, recipient, name, language, city)
        check_leave(mail, recipient, signer, owners)
    assert len(ids) == NUMBER
    assert set(got) == set(expected)
    assert set(got.values()) == {1}


def check_one(mail: Message, recipient: str, name: str, language: str, city: str) -> None:
    friend = name or f"friend-{language}"
    assert said(mail, "To") == (name, recipient)
    assert said(mail, "From")[1] == "news@water.example"
    assert decoded(mail["Subject"]) == f"{SAID[language]} {name or 'you'}: {city}".rstrip()
    assert mail["List-Id"].endswith("<news.water.example>")
    assert mail.get_content_type() == "multipart/alternative"
    text, markup = bodies(mail)
    told = "BASRA" if city == "Basra" else "ELSEWHERE"
    (unsaid,) = {"BASRA", "ELSEWHERE"} - {told}
    for body in (text, html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", "", markup, flags=re.DOTALL))):
        assert f"{SAID[language]} {friend}" in re.sub("[\u200e\u200f\u2068\u2069]", "", body)
        assert told in body
        assert unsaid not in body
    assert re.search(rf'<html[^>]*lang="{language}"', markup)
    assert re.search(rf'<html[^>]*dir="{direction(language)}"', markup)


def check_leave(mail: Message, recipient: str, signer: Signer, owners: dict[int, str]) -> None:
    uri = re.fullmatch(r"<(mailto:[^>]+)>", mail["List-Unsubscribe"])
    assert uri
    token = parse_qs(urlsplit(uri[1]).query)["subject"][0].removeprefix("leave-")
    delivery = signer.read(Purpose.LEAVE, token)
    assert delivery is not None
    assert owners[delivery] == recipient
    assert all(token in body for body in bodies(mail))


def bodies(mail: Message) -> tuple[str, str]:
    """The two parts as text, the plain one first."""
    payload = mail.get_payload()
    assert isinstance(payload, list)
    plain, page = payload
    assert isinstance(plain, Message)
    assert isinstance(page, Message)
    assert (plain.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    one, two = plain.get_payload(decode=True), page.get_payload(decode=True)
    assert isinstance(one, bytes)
    assert isinstance(two, bytes)
    return one.decode(), two.decode()


def decoded(value: str) -> str:
    return str(make_header(decode_header(re.sub(r"\r\n(?=[ \t])", "", value))))


def said(mail: Message, field: str) -> tuple[str, str]:
    """Name and address of a field with one mailbox."""
    name, address = parseaddr(mail[field])
    return decoded(name), address
