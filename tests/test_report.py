"""Reports: figures that add up to the ledger, and pages, screens and tables that tell them and name nobody."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from broadcaster import catalogue, contrast, counting, drawing, report, reporting, timeline, workspace
from broadcaster.bounces import Bounces
from broadcaster.cli import report_page, report_screen, report_told
from broadcaster.cli.report_page import PageSpeech, page
from broadcaster.cli.report_screen import Screen
from broadcaster.cli.report_speech import Speech, local, rounded
from broadcaster.cli.say import clean, width
from broadcaster.counting import Counting
from broadcaster.db import Db, open_database
from broadcaster.delivery import State
from broadcaster.ledger import Ledger
from broadcaster.pace import Limit
from broadcaster.reasons import REASONS
from broadcaster.report import LEAST, NAMED, Complaints, Level, Report, flat
from broadcaster.timeline import DAY, HOUR, MINUTE, Timeline
from tests.conftest import Place
from tests.lab.server import Remote
from tests.test_mark import opened

BEGAN: Final = 1_780_000_020
UTC_CLOCK = local("UTC")
HOSTILE: Final = "\"><script>alert('x')</script><img src=http://evil.example/>\x1b[31m\u202e"

# what a copy may have gone through before: none of it moves it for good
Copy = tuple[int, int, State, list[str], str, int, str]
REPLIES: Final = (
    (550, "5.1.1", "5.1.1 <{}>: Recipient address rejected: User unknown"),
    (550, "5.7.1", "5.7.1 blocked using zen.spamhaus.org, id 8F3A77B1C2"),
    (552, "", "who knows what {} did"),
)
DELAYS: Final = ((451, "4.7.1", "4.7.1 <{}>: greylisted"), (421, "4.7.0", "4.7.0 try again later"), (450, "", "no"))

copies = st.tuples(
    st.integers(0, 3),  # of four domains
    st.integers(1, 3),  # of three languages
    st.sampled_from(list(State)),
    st.lists(st.sampled_from(["deferred", "in_doubt"]), max_size=2),
    st.sampled_from(["main", "spare"]),
    st.integers(0, 5000),  # minutes after it began
    st.sampled_from(["", "hard", "soft", "complaint", "unsubscribe"]),
)


def mailed(db: Db, audience: Sequence[Copy], *, statement: str = "june", rehearsal: bool = False) -> int:
    """Write down a mailing of which that became: its number."""
    conn = db.conn
    with db.atomic():
        (first,) = conn.execute("select coalesce(max(id), 0) + 1 from delivery").fetchone()
        tally = Counter(state for _, _, state, *_ in audience)
        rule = json.dumps({"lists": [1], "exclude": [], "exclude_mailings": []})
        number = conn.execute(
            "insert into mailing (statement, state, digest, content, rule, left_out, audience, first, last, rehearsal,"
            " created, who, changed) values (?, 2, '', '', ?, '{\"left\": 3}', ?, ?, ?, ?, ?, 'me', ?)",
            (statement, rule, len(audience), first, first + len(audience) - 1, rehearsal, BEGAN - 60, BEGAN),
        ).lastrowid
        assert number is not None
        conn.executemany("insert into tally values (?, ?, ?)", [(number, s, n) for s, n in tally.items()])
        for part, tag in enumerate(("en", "ar", "ckb"), start=1):
            conn.execute("insert into part values (?, ?, ?, '{}')", (number, part, tag))
        for delivery, copy in enumerate(audience, start=first):
            _written(db, number, delivery, delivery - first + 1, copy)
    return number


def _written(db: Db, mailing: int, delivery: int, subscriber: int, copy: Copy) -> None:
    domain, part, state, before, relay, minute, came_back = copy
    conn = db.conn
    address = f"secret{subscriber}@domain{domain}.example"
    conn.execute(
        "insert or ignore into subscriber (id, key, address, created, changed) values (?, ?, ?, 0, 0)",
        (subscriber, address, address),
    )
    (address,) = conn.execute("select key from subscriber where id = ?", (subscriber,)).fetchone()
    at = BEGAN + 60 * minute
    tries: list[tuple[State, int, str, str]] = []
    for place, each in enumerate(before):
        delay = DELAYS[(subscriber + place) % 3] if each == "deferred" else (0, "", "the line was cut")
        tries.append((State[each.upper()], *delay))
    if state is State.DEFERRED:
        tries.append((state, *DELAYS[subscriber % 3]))
    elif state is State.REJECTED:
        tries.append((state, *REPLIES[subscriber % 3]))
    elif state in (State.ACCEPTED, State.BOUNCED) and subscriber % 5:
        tries.append((State.ACCEPTED, 250, "2.0.0", "2.0.0 taken"))
    elif state is State.IN_DOUBT:
        tries.append((state, 0, "", "the line was cut"))
    conn.execute(
        "insert into delivery values (?, ?, ?, 1, ?, ?, ?)", (delivery, mailing, subscriber, part, state, len(tries))
    )
    for place, (event, code, status, reply) in enumerate(tries, start=1):
        words = reply.format(address)
        row = (delivery, place, at + 60 * place, relay, event, code, status, words)
        conn.execute("insert into attempt values (?, ?, ?, ?, ?, ?, ?, ?)", row)
    if came_back:
        message = conn.execute(
            "insert into returned (digest, at, fate, source) values (randomblob(32), ?, 1, 'x')", (at,)
        ).lastrowid
        verdict = came_back if came_back in ("complaint", "unsubscribe") else "failed"
        reason = {"hard": "unknown_user", "soft": "full"}.get(came_back, came_back)
        log = (message, at + DAY, mailing, delivery, address, address, came_back, reason, verdict)
        conn.execute(
            "insert into bounce (message, source, at, mailing, delivery, key, recipient, kind, action, status, reason,"
            " words, effect, verdict) values (?, 'x', ?, ?, ?, ?, ?, ?, 'failed', '', ?, '', 'noted', ?)",
            log,
        )


def told(db: Db, number: int, **limits: tuple[Limit, ...]) -> Report:
    return reporting.report(
        number, Ledger(db), Counting(db), Bounces(db), limits, lambda ids: ["news"], BEGAN + DAY, UTC_CLOCK
    )


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Db]:
    found = open_database(tmp_path / "people.db")
    yield found
    found.close()


def some(number: int, *, seed: int = 1) -> list[Copy]:
    """Copies that went through anything, the same ones each time."""
    dice = random.Random(seed)
    kinds = ["", "", "", "hard", "soft", "complaint", "unsubscribe"]
    found: list[Copy] = []
    for _ in range(number):
        before = [["deferred"], ["in_doubt"], []][dice.randrange(3)]
        state = dice.choice([*State, *[State.ACCEPTED] * 12])
        minute, relay = dice.randrange(300), dice.choice(["main", "spare"])
        found.append((dice.randrange(4), dice.randint(1, 3), state, before, relay, minute, dice.choice(kinds)))
    return found


def spoken(tag: str = "en", words: catalogue.Catalogue | None = None) -> PageSpeech:
    return PageSpeech("UTC", tag, UTC_CLOCK, words or catalogue.Catalogue())


def words_of(tag: str) -> catalogue.Catalogue:
    file = f"report/{tag}.po"
    text = (workspace.samples() / "templates" / file).read_text(encoding="utf-8")
    return catalogue.read(text, file, tag)


# the figures


@given(st.lists(copies, min_size=1, max_size=25))
@settings(max_examples=30)
def test_all_figures_add_up_to_the_ledger(tmp_path_factory: pytest.TempPathFactory, audience: list[Copy]) -> None:
    db = open_database(tmp_path_factory.mktemp("report") / "people.db")
    found = told(db, mailed(db, audience))
    details = found.details
    assert details is not None
    states = Counter(state for _, _, state, *_ in audience)
    assert found.whole.states == states
    for groups in (details.languages, [*details.domains.named, details.domains.rest, details.domains.gone]):
        assert sum((Counter(group.states) for group in groups), Counter()) == states
        for group in groups:
            figures = group.figures()
            assert figures.pop("audience") == sum(figures.values()) == group.audience
    homes = Counter(f"domain{domain}.example" for domain, *_ in audience)
    assert {each.name: each.audience for each in details.domains.named} == {
        name: number for name, number in homes.items() if number >= LEAST
    }
    over = details.accepted
    assert over.shown.total + over.later + over.untimed == states[State.ACCEPTED] + states[State.BOUNCED]
    assert details.rejected.number.total() == states[State.REJECTED]
    assert details.put_off.waiting.total() == states[State.DEFERRED]
    attempts = Counter(row[0] for row in db.conn.execute("select state from attempt"))
    assert details.put_off.number.total() == attempts[State.DEFERRED]
    assert sum(each.tries.total for each in details.relays) == attempts.total()
    assert sum(each.accepted for each in details.relays) == attempts[State.ACCEPTED]
    back = Counter(came_back for *_, came_back in audience if came_back)
    assert Counter(found.returned.kinds) == back
    assert sum((kinds for kinds in found.returned.days.values()), Counter()) == back
    assert found.complaints.number == back["complaint"]
    doubted = sum("in_doubt" in before and state is not State.IN_DOUBT for _, _, state, before, *_ in audience)
    assert details.doubts_settled == doubted
    db.close()


def test_pieces_of_any_size_give_the_same_figures(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    number = mailed(db, some(200))
    whole = told(db, number).figures()
    for piece in (1, 7, 199, 200, 201):
        monkeypatch.setattr(counting, "PIECE", piece)
        assert told(db, number).figures() == whole


def test_another_mailing_of_the_same_people_changes_no_figure(db: Db) -> None:
    number = mailed(db, some(60))
    before = told(db, number).figures()
    mailed(db, some(60, seed=2))
    assert told(db, number).figures() == before


def test_who_is_gone_is_counted_and_has_no_domain(db: Db) -> None:
    number = mailed(db, some(40))
    db.conn.execute("delete from subscriber where id <= 15")
    details = told(db, number).details
    assert details is not None
    assert details.domains.gone.audience == 15


def test_a_domain_is_named_only_where_several_people_share_it(db: Db) -> None:
    audience: list[Copy] = [
        (number, 1, State.ACCEPTED, [], "main", 0, "") for number in range(3) for _ in range(LEAST - 1)
    ]
    details = told(db, mailed(db, [*audience, audience[0]])).details
    assert details is not None
    assert [each.name for each in details.domains.named] == ["domain0.example"]
    assert (details.domains.others, details.domains.rest.audience) == (2, 2 * (LEAST - 1))


def test_no_more_domains_are_named_than_a_person_reads(db: Db) -> None:
    audience: list[Copy] = [(n, 1, State.ACCEPTED, [], "main", 0, "") for n in range(NAMED + 5) for _ in range(LEAST)]
    details = told(db, mailed(db, audience)).details
    assert details is not None
    assert (len(details.domains.named), details.domains.others) == (NAMED, 5)


def test_what_is_forgotten_is_said_and_never_zero(db: Db) -> None:
    number = mailed(db, some(50))
    # also when forgetting has only begun
    db.conn.execute("delete from attempt where delivery <= 10")
    db.conn.execute("delete from delivery where id <= 10")
    db.conn.execute("update bounce set delivery = null, key = null, recipient = ''")
    found = told(db, number)
    figures = found.figures()
    assert figures["forgotten"]
    assert all(figures[name] is None for name in (*report.FORGOTTEN, "duration"))
    assert figures["states"]["accepted"] > 0
    assert figures["returned"]["hard"] > 0
    keys = {each.key for each in report_told.sections(found, Speech("UTC"))}
    assert "forgotten" in keys
    assert not keys & {"languages", "domains", "accepted_over_time", "rejected", "put_off", "relays"}
    assert report_told.FORGOTTEN in page(found, spoken(), "us")
    assert any("forgotten" in line for line in Screen(100, drawn=True).lines(found, Speech("UTC")))


@given(st.integers(0, 5000), st.integers(0, 1_000_000))
def test_complaints_are_held_against_both_lines(number: int, of: int) -> None:
    found = Complaints(number, of)
    share = number / of if of else (1.0 if number else 0.0)
    expected = Level.STOP if share >= 0.003 else Level.WARN if share >= 0.001 else Level.OK
    assert found.level is expected
    assert (found.rate is None) == (of == 0)


def test_three_of_a_thousand_are_the_second_line_and_not_below_it() -> None:
    assert [Complaints(number, 1000).level for number in (0, 1, 2, 3)] == [Level.OK, Level.WARN, Level.WARN, Level.STOP]


def test_a_refusal_has_the_reason_that_the_bounce_log_has(db: Db) -> None:
    number = mailed(db, [(0, 1, State.REJECTED, [], "main", 0, "")] * 3)
    before = told(db, number).details
    db.conn.execute(
        "insert into bounce (source, at, mailing, delivery, recipient, kind, action, status, reason, words, effect,"
        " verdict) values ('relay main', 0, ?, 1, '', 'soft', 'failed', '', 'rate', '', 'noted', 'failed')",
        (number,),
    )
    after = told(db, number)
    assert before is not None
    assert after.details is not None
    assert "rate" not in before.rejected.number
    assert after.details.rejected.number["rate"] == 1
    # a refusal while sending did not come back
    assert not after.returned.kinds


def test_words_of_their_own_do_not_make_a_million_refusals_slow(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "LOOKED_INTO", 3)
    number = mailed(db, [(0, 1, State.REJECTED, [], "main", 0, "")] * 60)
    letters = random.Random(1)
    with db.atomic():
        for (delivery,) in db.conn.execute("select id from delivery").fetchall():
            own = "".join(letters.choices("ghijklmnop", k=20))
            reply = f"5.1.1 no such user here {own}"
            db.conn.execute(
                "update attempt set code = 550, status = '5.1.1', reply = ? where delivery = ?", (reply, delivery)
            )
    details = told(db, number).details
    assert details is not None
    assert details.rejected.number == {"unknown_user": 60}


def test_pace_is_held_against_each_limit(db: Db) -> None:
    # ten in the first minute, then one an hour later
    audience: list[Copy] = [(0, 1, State.ACCEPTED, [], "main", minute, "") for minute in [0] * 10 + [60]]
    limits = (Limit(1, 1), Limit(20, 60), Limit(11, 86_400))
    details = told(db, mailed(db, [copy for copy in audience for _ in range(1)]), main=limits).details
    assert details is not None
    (relay,) = details.relays
    tried = relay.tries.total
    fullest = relay.tries.busiest(MINUTE)
    assert fullest is not None
    assert [each.most for each in relay.reached] == [fullest / 60, fullest, tried]
    assert relay.reached[1].share == fullest / 20


def test_it_is_compared_with_its_like_alone(db: Db) -> None:
    sent: list[Copy] = [(0, 1, State.ACCEPTED, [], "main", 0, "")]
    waiting: list[Copy] = [(0, 1, State.PENDING, [], "main", 0, "")]
    rehearsal = mailed(db, sent, rehearsal=True)
    untouched = mailed(db, waiting)
    numbers = [mailed(db, sent) for _ in range(7)]
    later = mailed(db, sent)
    db.conn.execute("update mailing set rule = '{\"lists\": [9], \"exclude\": [], \"exclude_mailings\": []}', "
                    "statement = 'other' where id = ?", (numbers[4],))  # fmt: skip
    compared = [each.of.id for each in told(db, numbers[6]).before]
    assert compared == [numbers[5], numbers[3], numbers[2], numbers[1], numbers[0]]
    assert not {rehearsal, untouched, later, numbers[4], numbers[6]} & set(compared)


# timelines

moments = st.lists(st.tuples(st.integers(0, 4_000_000_000), st.integers(1, 1000)), min_size=1, max_size=40)


@given(moments, st.integers(2, 200), st.sampled_from([0, 10_800, 12_600, -18_000]))
def test_a_timeline_loses_nobody_and_has_no_more_steps_than_asked(
    told_of: list[tuple[int, int]], most: int, offset: int
) -> None:
    line = Timeline(most, offset)
    for at, number in told_of:
        line.add(at, number)
    whole = sum(number for _, number in told_of)
    assert line.total == whole == sum(number for _, number in line.slots)
    assert len(line.slots) <= most
    starts = [at for at, _ in line.slots]
    assert starts == list(range(starts[0], starts[-1] + 1, line.step))
    assert starts[0] <= min(told_of)[0] < starts[0] + line.step
    coarser = line.coarser(7)
    assert (coarser.total, len(coarser.slots) <= 7) == (whole, True)
    assert coarser.step % line.step == 0
    shorter = line.until(0.9, 50)
    assert 0.9 * whole <= shorter.total <= whole
    assert len(shorter.slots) <= 50


@given(moments)
def test_the_fullest_window_is_that_of_the_clock_or_not_known(told_of: list[tuple[int, int]]) -> None:
    line = Timeline(10_000)
    for at, number in told_of:
        line.add(at, number)
    for window in (MINUTE, HOUR, DAY):
        windows: Counter[int] = Counter()
        for at, number in told_of:
            windows[at // window] += number
        found = line.busiest(window)
        assert found == max(windows.values()) if window % line.step == 0 else found is None


def test_a_few_who_came_much_later_do_not_make_one_column_of_all_others() -> None:
    line = Timeline(20_000)
    for minute in range(30):
        line.add(BEGAN + 60 * minute, 100)
    line.add(BEGAN + 5 * DAY, 3)
    shown = line.until(0.95, 120)
    assert (shown.step, shown.total) == (MINUTE, 2900)
    assert line.coarser(120).step > timeline.MINUTE


def test_days_begin_at_midnight_of_the_wall_clock() -> None:
    line = Timeline(3, offset=3 * HOUR)
    for day in range(3):
        line.add(BEGAN + day * DAY)
    assert line.step == DAY
    assert {datetime.fromtimestamp(at, UTC).hour for at, _ in line.slots} == {21}


# the page


class Read(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


ALLOWED: Final = frozenset(
    {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "h1", "h2", "p"),
        *("div", "dl", "dt", "dd", "strong", "span", "bdi", "figure", "figcaption", "ul", "li", "table", "thead"),
        *("tbody", "tr", "th", "td", "svg", "rect", "path", "desc"),
    }
)


@pytest.mark.parametrize("tag", ["en", "ar", "ckb", "fa", "fr"])
def test_a_page_has_no_script_nothing_from_elsewhere_and_nobodys_address(db: Db, tag: str) -> None:
    mailed(db, some(80))
    number = mailed(db, some(80), statement=HOSTILE, rehearsal=True)
    db.conn.execute("update mailing set reason = '550 <secret1@domain0.example> rejected'")
    found = told(db, number, main=(Limit(30, 60),))
    text = page(found, spoken(tag, words_of(tag) if tag != "en" else None), HOSTILE)
    read = Read(text)
    assert {name for name, _ in read.tags} <= ALLOWED
    for name, attributes in read.tags:
        for key in attributes:
            assert not key.startswith("on")
            assert key not in ("src", "href", "srcset", "style", "action", "xlink:href", "formaction", "background")
        assert name != "meta" or attributes.get("http-equiv") in (None, "Content-Security-Policy")
    bare = text.replace(str(escape(clean(HOSTILE))), "")
    assert "secret" not in bare
    assert "@" not in bare.replace("@media", "").replace("@page", "")
    assert not re.search(r"https?:|//|url\(|@import|javascript:", bare)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert clean(HOSTILE) in "".join(read.text)
    direction = "rtl" if tag in ("ar", "ckb", "fa") else "ltr"
    assert ("html", {"lang": tag, "dir": direction}) in read.tags


def test_only_the_pages_own_style_is_allowed_and_ids_are_not_given_twice(db: Db) -> None:
    text = page(told(db, mailed(db, some(80))), spoken(), "Water for All")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(each["content"] for name, each in Read(text).tags if each.get("http-equiv"))
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    attributes = [each for _, each in Read(text).tags]
    ids = [each["id"] for each in attributes if "id" in each]
    assert len(ids) == len(set(ids))
    named = {name for each in attributes for name in (each.get("aria-labelledby") or "").split()}
    assert named <= set(ids)
    assert sum(name == "svg" and "role" in each for name, each in Read(text).tags) == 2


@pytest.mark.parametrize("tag", ["en", "ar"])
def test_a_rehearsal_says_so_everywhere(db: Db, tag: str) -> None:
    mailed(db, some(30), rehearsal=True)
    found = told(db, mailed(db, some(30), rehearsal=True))
    words = words_of(tag) if tag != "en" else catalogue.Catalogue()
    text = page(found, spoken(tag, words), "us")
    mark = words.said("rehearsal") or "rehearsal"
    headings = re.findall(r"<h2.*?</h2>", text)
    assert len(headings) > 8
    assert all(mark in each for each in headings)
    assert re.search(rf"<title>.*{mark}.*</title>", text)
    lines = list(Screen(100, drawn=False).lines(found, Speech("UTC")))
    titles = [lines[place + 1] for place, line in enumerate(lines) if not line][:-1]
    assert all("(rehearsal)" in title for title in titles)
    assert found.figures()["rehearsal"] is True


def test_what_nobody_has_translated_is_marked_as_english(db: Db) -> None:
    text = page(told(db, mailed(db, some(5))), spoken("he"), "us")
    assert '<h2 id="summary"><span lang="en" dir="ltr">In short</span></h2>' in text


def test_every_colour_can_be_seen_on_its_ground() -> None:
    for palette in (report_page._DAY, report_page._NIGHT):
        colours = dict(re.findall(r"--([a-z]+):(#[0-9a-f]+)", palette))
        seen = {name: contrast.parsed(value) for name, value in colours.items()}
        for letters in ("ink", "soft", "mark"):
            assert contrast.contrast(*_both(seen[letters], seen["paper"])) >= contrast.TEXT
        for part in ("accepted", "failed", "open", "unsent", "leave", "mark"):
            for ground in ("ground", "paper"):
                assert contrast.contrast(*_both(seen[part], seen[ground])) >= contrast.LARGE, (part, ground)


def _both(*found: contrast.Colour | None) -> tuple[contrast.Colour, contrast.Colour]:
    one, other = found
    assert one is not None
    assert other is not None
    return one, other


@given(st.lists(st.tuples(st.sampled_from(["accepted", "failed"]), st.floats(0, 1)), max_size=4), st.booleans())
def test_a_bar_stays_within_its_ground(parts: list[tuple[str, float]], rtl: bool) -> None:
    drawn = drawing.bar(parts, [0.5], rtl=rtl)
    for left, long in re.findall(r'<rect x="([-\d.e]+)" y="0" width="([-\d.e]+)"', drawn):
        assert float(left) >= -0.01
        assert float(left) + float(long) <= drawing.LONG + 0.01


def test_columns_grow_from_the_right_where_reading_does() -> None:
    stacks = [[("accepted", 4)], [("accepted", 0)], [("accepted", 1)]]
    title = "<b>&"
    drawn = {rtl: drawing.columns(stacks, "x", title=title, describes="", rtl=rtl) for rtl in (False, True)}
    places = {rtl: re.findall(r'<rect x="([\d.]+)"', text) for rtl, text in drawn.items()}
    assert places == {False: ["0.06", "2.06"], True: ["2.06", "0.06"]}
    assert "&lt;b&gt;&amp;" in drawn[False]


# the words


def sayings() -> set[str]:
    """Whatever a report may say, as it stands in the source."""
    found: set[str] = set()
    for path in Path(report_told.__file__).parent.glob("report_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
                if name in ("say", "words", "figure") and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    told_of = report_told
    tables: tuple[Any, ...] = (told_of._STATES, told_of._LEFT_OUT, told_of._KINDS, told_of._MEANT, told_of._MAILING)
    for table in (*tables, told_of._LEVELS, told_of._STEPS):
        found |= set(table.values())
    means = {each.means for each in REASONS.values() if each.kind in ("hard", "soft", "unknown")}
    return found | means | {told_of.FORGOTTEN, "Waiting", "In doubt", "Not sent"}


@pytest.mark.parametrize("tag", ["ar", "ckb", "fa", "fr"])
def test_everything_that_a_report_says_is_in_each_catalogue(tag: str) -> None:
    words = words_of(tag).words
    assert sayings() - set(words) == set()
    assert set(words) - sayings() <= {"d", "h", "min", "s"}
    for text, said in words.items():
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", said)), text


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_is_never_rounded_to_nothing_or_to_all(number: int, of: int) -> None:
    share = min(number, of) / of
    value, decimals = rounded(share)
    shown = float(f"{value:.{decimals}f}")
    assert (shown == 0) == (share == 0)
    assert (shown == 100) == (share == 1)


# the terminal


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_on_a_terminal_nothing_is_wider_than_it(db: Db, columns: int) -> None:
    mailed(db, some(90), statement="a-statement-with-quite-a-long-name-" * 3)
    found = told(db, mailed(db, some(90), statement="a-statement-with-quite-a-long-name-" * 3), main=(Limit(30, 60),))
    lines = list(Screen(columns, drawn=True).lines(found, Speech("UTC")))
    assert max(width(line) for line in lines) <= columns
    assert "\x1b" not in "".join(lines)
    assert any("█" in line for line in lines)


def test_elsewhere_there_are_neither_bars_nor_colours(db: Db) -> None:
    found = told(db, mailed(db, some(90), statement=HOSTILE))
    text = "\n".join(Screen(40, drawn=False).lines(found, Speech("UTC")))
    assert not set(text) & set("\x1b█▓▒░▁▂▃▄▅▆▇│▚\u202e")
    assert "secret" not in text


def test_numbers_stand_below_each_other(db: Db) -> None:
    found = told(db, mailed(db, some(90)))
    lines = list(Screen(100, drawn=False).lines(found, Speech("UTC")))
    start = lines.index("By language") + 1
    table = lines[start : start + 4]
    ends = [[match.end() for match in re.finditer(r"\S+( %)?(?=  |$)", line)][-4:] for line in table[1:]]
    assert len(ends) == 3
    assert len({tuple(each) for each in ends}) == 1


@given(
    st.lists(st.tuples(st.sampled_from(list(report_screen.SIGNS)), st.floats(0, 1)), max_size=5),
    st.lists(st.floats(0, 1), max_size=2),
    st.integers(10, 40),
)
def test_a_bar_is_as_wide_as_it_may_be_and_shows_every_part(
    parts: list[tuple[str, float]], lines: list[float], columns: int
) -> None:
    drawn = report_screen.bar(report_told.Row((), parts, lines), columns)
    assert len(drawn) == columns
    if not lines and sum(share for _, share in parts) <= 1:
        assert {report_screen.SIGNS[kind][0] for kind, share in parts if share > 0} <= set(drawn)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=2, max_size=2), min_size=1, max_size=60))
def test_columns_are_as_high_as_they_are_many(numbers: list[list[int]]) -> None:
    columns = [[("hard", one), ("soft", other)] for one, other in numbers]
    lines = report_screen.drawn(columns, 6, 1)
    assert {len(line) for line in lines} == {len(columns)}
    for place, pair in enumerate(numbers):
        seen = [line[place] != " " for line in lines]
        # from the ground up without a hole, and whatever is anything is seen
        assert seen == sorted(seen)
        assert any(seen) == (sum(pair) > 0)


# the command

FIGURES: Final = {
    *("mailing", "statement", "state", "rehearsal", "lists", "made", "prepared", "due", "forgotten", "duration"),
    *("audience", "states", "left_out", "returned", "complaints", "leave_wishes", "doubts", "first_answer"),
    *("last_answer", "languages", "domains", "accepted_over_time", "put_off_reasons", "rejected_reasons"),
    *("doubts_settled", "relays", "earlier"),
}
GROUP: Final = {"audience", "accepted", "bounced", "rejected", "in_doubt", "waiting", "unsent"}


def test_the_keys_of_its_json_are_a_contract(db: Db) -> None:
    mailed(db, some(60))
    for found in (told(db, mailed(db, some(60)), main=(Limit(1, 1),)), told(db, 1)):
        assert set(found.figures()) == FIGURES
    figures = told(db, 2, main=(Limit(1, 1),)).figures()
    assert set(figures["states"]) == {state.word for state in State}
    assert set(figures["languages"][0]) == {"language", *GROUP}
    assert set(figures["domains"]) == {"named", "other", "gone"}
    assert set(figures["domains"]["named"][0]) == {"domain", *GROUP}
    assert set(figures["domains"]["other"]) == {"domains", *GROUP}
    assert set(figures["accepted_over_time"]) == {"step", "series", "later", "untimed", "last"}
    assert set(figures["put_off_reasons"][0]) == {"reason", "number", "waiting", "codes"}
    assert set(figures["rejected_reasons"][0]) == {"reason", "number", "codes"}
    assert set(figures["returned"]) == {*report.KINDS, "days", "reasons"}
    assert set(figures["returned"]["days"][0]) == {"day", *report.KINDS}
    assert set(figures["complaints"]) == {"number", "of", "rate", "warn", "stop", "level"}
    busy = {"busiest_minute", "busiest_hour", "busiest_day"}
    assert set(figures["relays"][0]) == {"relay", "tries", "accepted", "limits", *busy}
    assert set(figures["relays"][0]["limits"][0]) == {"limit", "reached", "share"}
    compared = {"mailing", "statement", "state", "prepared", "complaints", "leave_wishes", *GROUP}
    assert set(figures["earlier"][0]) == compared
    assert "secret" not in json.dumps(figures)


def test_its_rows_hold_every_figure_once(db: Db) -> None:
    mailed(db, some(60))
    figures = told(db, mailed(db, some(60)), main=(Limit(1, 1),)).figures()
    rows = flat(figures)
    assert len({row[:2] for row in rows}) == len(rows)
    found = {(section, key): value for section, key, value in rows}
    assert found["states", "accepted"] == str(figures["states"]["accepted"])
    first = figures["languages"][0]
    assert found["languages", f"{first['language']}.audience"] == str(first["audience"])
    assert found["mailing", "rehearsal"] == "false"
    assert {section for section, *_ in rows} >= {"states", "languages", "domains", "relays", "returned", "earlier"}


STATEMENT: Final = "---\nsubject: =1+1\n---\nHello {{ subscriber.name }}.\n"


def test_report_tells_a_mailing_and_writes_a_page_that_only_we_can_read(place: Place, server: Remote) -> None:
    place.configure(server.port)
    place.statement("june", en=STATEMENT, ar=STATEMENT.replace("Hello", "مرحبا"))
    rows = "".join(f"p{number}@water.example,P,{'ar' if number % 3 else 'en'}\n" for number in range(9))
    place.people("email,name,language\n" + rows)
    place.run("send", "june", "--list", "news", "--yes")
    figures = place.run("report", "1", "--json").json
    assert (figures["audience"], figures["states"]["accepted"], figures["rehearsal"]) == (9, 9, False)
    assert {each["language"]: each["accepted"] for each in figures["languages"]} == {"ar": 6, "en": 3}
    assert [each["domain"] for each in figures["domains"]["named"]] == ["water.example"]
    assert figures["relays"][0]["relay"] == "main"
    shown = place.run("report", "1")
    assert "water.example" in shown.out
    assert not set(shown.out) & set("\x1b█▁")
    file = place.root / "june.html"
    dry = place.run("report", "1", "-o", str(file), "--dry-run")
    assert (dry.out, file.exists()) == ("", False)
    place.run("report", "1", "-o", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    assert "nothing is tracked" in before.decode()
    assert "is there already" in place.run("report", "1", "-o", str(file), status=73).err
    (place.root / "link.html").symlink_to(place.root / "elsewhere.html")
    place.run("report", "1", "-o", str(place.root / "link.html"), status=73)
    assert file.read_bytes() == before
    assert not (place.root / "elsewhere.html").exists()
    place.run("report", "2", status=65)
    place.run("report", "1", "--csv", "--json", status=2)


def test_its_csv_is_no_formula(place: Place) -> None:
    place.statement("june", en=STATEMENT)
    place.people("email\np@water.example\n")
    place.run("send", "june", "--list", "news", "--yes")
    with opened(place) as house:
        house.db.conn.execute("update mailing set statement = '=1+1'")
    said = place.run("report", "1", "--csv").out
    rows = list(csv.reader(io.StringIO(said)))
    assert rows[0] == ["section", "key", "value"]
    assert ["mailing", "rehearsal", "true"] in rows
    assert ["mailing", "statement", "'=1+1"] in rows
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@")]


def test_a_day_is_that_of_the_wall_clock(db: Db) -> None:
    number = mailed(db, [(0, 1, State.ACCEPTED, [], "main", 0, "hard")])
    at = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)
    db.conn.execute("update bounce set at = ?", (int(at.timestamp()),))
    for zone, day in (("UTC", date(2026, 6, 1)), ("Asia/Kathmandu", date(2026, 6, 2))):
        hands = (Ledger(db), Counting(db), Bounces(db))
        found = reporting.report(number, *hands, {}, lambda ids: [], BEGAN, local(zone))
        assert list(found.returned.days) == [day]
