"""Postfix's log, in every form it is written: what it tells of our copies, and what nobody can make it tell."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.links import Purpose, Signer
from broadcaster.maillog import LINE, Fate, Finding, Log, Span

SIGNER = Signer(b"k" * 32)
NOW = datetime(2026, 11, 24, tzinfo=UTC).timestamp()
WANTED = range(1, 100)


def ours(token: str) -> int | None:
    found = SIGNER.read(Purpose.MESSAGE, token)
    return found if found in WANTED else None


def wall(local: datetime) -> float:
    return local.replace(tzinfo=UTC).timestamp()


def token(number: int) -> str:
    return SIGNER.token(Purpose.MESSAGE, number)


def read(text: str | bytes, *more: str | bytes, block: int = 1 << 20) -> tuple[dict[int, Finding], list[Span | None]]:
    log = Log(ours, NOW, wall)
    spans = []
    for each in (text, *more):
        octets = each.encode() if isinstance(each, str) else each
        spans.append(log.read(octets[i : i + block] for i in range(0, len(octets), block)))
    return log.findings(), spans


def fates(text: str | bytes, *more: str | bytes) -> dict[int, Fate]:
    return {delivery: finding.fate for delivery, finding in read(text, *more)[0].items()}


def lines(*words: str) -> str:
    """Lines as Postfix itself writes them, a second apart."""
    return "".join(f"Nov 22 23:{i // 60:02}:{i % 60:02} relay postfix/{word}\n" for i, word in enumerate(words))


def queued(number: int, queue: str = "4jXm1D50gjz1SdKt") -> tuple[str, ...]:
    return (
        f"smtpd[7]: {queue}: client=localhost[127.0.0.1]",
        f"cleanup[8]: {queue}: message-id=<{token(number)}@water.example>",
        f"qmgr[9]: {queue}: from=<bounces@water.example>, size=308, nrcpt=1 (queue active)",
    )


def status(word: str, queue: str = "4jXm1D50gjz1SdKt", dsn: str = "2.0.0", text: str = "250 2.0.0 Ok") -> str:
    return (
        f"smtp[10]: {queue}: to=<a@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.1,"
        f" delays=0.07/0.01/0.01/0, dsn={dsn}, status={word} ({text})"
    )


def test_what_is_in_the_queue_is_taken_and_what_bounced_later_has_bounced() -> None:
    assert fates(lines(*queued(1))) == {1: Fate.TAKEN}
    assert fates(lines(*queued(1), status("sent"))) == {1: Fate.TAKEN}
    assert fates(lines(*queued(1), status("deferred", dsn="4.2.0"))) == {1: Fate.TAKEN}
    found, _ = read(
        lines(*queued(1), status("deferred", dsn="4.2.0"), status("bounced", dsn="5.1.1", text="host said: no"))
    )
    assert (found[1].fate, found[1].status, found[1].text) == (Fate.BOUNCED, "5.1.1", "host said: no")
    assert found[1].at == datetime(2026, 11, 22, 23, 0, 4, tzinfo=UTC).timestamp()
    for word in ("expired", "force-expired"):
        expired = f"qmgr[9]: 4jXm1D50gjz1SdKt: from=<b@water.example>, status={word}, returned to sender"
        assert fates(lines(*queued(1), expired, "qmgr[9]: 4jXm1D50gjz1SdKt: removed")) == {1: Fate.BOUNCED}


def test_a_header_alone_is_no_queueing() -> None:
    """The connection broke in the body: Postfix has logged the Message-ID, and has thrown the rest away."""
    assert fates(lines(*queued(1)[:2])) == {1: Fate.SEEN}
    assert fates(lines(*queued(1)[:2], "smtpd[7]: lost connection after DATA (49 bytes) from x[192.0.2.2]")) == {
        1: Fate.SEEN
    }


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (
            "milter-reject: END-OF-MESSAGE from x[2001:db8::1]: 5.7.1 Command rejected; from=<a@b> to=<c@d>",
            "5.7.1",
            "Command rejected",
        ),
        (
            "milter-reject: END-OF-MESSAGE from x[1.2.3.4]: 4.7.1 Service unavailable; from=<a>",
            "4.7.1",
            "Service unavailable",
        ),
        (
            "reject: body 4.0.0: no from x[1.2.3.4]; from=<a> to=<c> proto=ESMTP helo=<x>: 5.7.1 content rejected",
            "5.7.1",
            "content rejected",
        ),
    ],
)
def test_what_is_refused_at_the_end_was_not_taken(line: str, code: str, text: str) -> None:
    found, _ = read(lines(*queued(1)[:2], f"cleanup[8]: 4jXm1D50gjz1SdKt: {line}"))
    assert (found[1].fate, found[1].status, found[1].text) == (Fate.REFUSED, code, text)


def test_of_several_stays_in_the_queue_the_newest_that_was_taken_decides() -> None:
    again = "5jXm1D50gjz1SdKt"
    through = status("sent", text=f"250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {again}")
    bounced = status("bounced", again, "5.1.1")
    removed = "qmgr[9]: 4jXm1D50gjz1SdKt: removed"
    # a content filter hands it back as a message of its own, before or after it says so
    assert fates(lines(*queued(1), *queued(1, again), through, removed, bounced)) == {1: Fate.BOUNCED}
    assert fates(lines(*queued(1), *queued(1, again), bounced, through, removed)) == {1: Fate.BOUNCED}
    # sent again by us after a bounce
    assert fates(lines(*queued(1), status("bounced", dsn="5.1.1"), removed, *queued(1, again))) == {1: Fate.TAKEN}
    # the filter's way back was refused: the first stay decides
    refused = f"cleanup[8]: {again}: milter-reject: END-OF-MESSAGE from x[1.2.3.4]: 5.7.1 no; from=<a>"
    assert fates(lines(*queued(1), *queued(1, again)[:2], refused)) == {1: Fate.TAKEN}


def test_an_address_that_stands_for_several_has_not_failed_when_somebody_was_reached() -> None:
    for order in (("sent", "bounced"), ("bounced", "sent")):
        said = [status(word, dsn="2.0.0" if word == "sent" else "5.1.1") for word in order]
        assert fates(lines(*queued(1), *said)) == {1: Fate.TAKEN}


def test_a_queue_id_that_is_used_again_is_another_message() -> None:
    short = "3A7F21C"
    foreign = (
        f"cleanup[8]: {short}: message-id=<CAF=x@other.example>",
        f"qmgr[9]: {short}: from=<>, size=1, nrcpt=1 (queue active)",
    )
    assert fates(lines(*queued(1, short), *foreign, status("bounced", short, "5.1.1"))) == {1: Fate.TAKEN}
    two = lines(*queued(1, short), *queued(2, short), status("bounced", short, "5.1.1"))
    assert fates(two) == {1: Fate.TAKEN, 2: Fate.BOUNCED}


FORMS = {
    "syslog": "Nov 22 23:00:07 relay postfix/{daemon}[8]: {rest}",
    "one digit": "Nov  2 03:00:07 relay postfix/{daemon}[8]: {rest}",
    "rsyslog": "2026-11-22T23:00:07.123456+00:00 relay postfix/{daemon}[8]: {rest}",
    "another zone": "2026-11-23T02:00:07.123456+03:00 relay postfix-out/{daemon}[8]: {rest}",
    "rfc 5424": "<22>1 2026-11-22T23:00:07.003Z relay postfix/{daemon} 8 - - {rest}",
    "rfc 5424 with data": '<22>1 2026-11-22T23:00:07.003Z relay postfix/submission/{daemon} 8 - [a b="c"] {rest}',
    "with a mark of UTF-8": "<22>1 2026-11-22T23:00:07.003Z relay postfix/{daemon} 8 - - \ufeff{rest}",
    "priority": "<22>Nov 22 23:00:07 relay postfix/{daemon}[8]: {rest}",
    "journalctl": "Nov 22 23:00:07.123456 relay postfix/{daemon}[8]: {rest}",
    "short-iso": "2026-11-22T23:00:07+0000 relay postfix/{daemon}[8]: {rest}",
    "short-full": "Sun 2026-11-22 23:00:07 UTC relay postfix/{daemon}[8]: {rest}",
    "short-unix": "1795388407.123456 relay postfix/{daemon}[8]: {rest}",
    "no host": "Nov 22 23:00:07 postfix/{daemon}[8]: {rest}",
    "crlf": "Nov 22 23:00:07 relay postfix/{daemon}[8]: {rest}\r",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_line_is_read(form: str) -> None:
    log = "".join(
        FORMS[form].format(daemon=word.split("[")[0], rest=word.split(": ", 1)[1]) + "\n"
        for word in (*queued(7), status("bounced", dsn="5.1.1"), "qmgr[9]: 4jXm1D50gjz1SdKt: removed")
    )
    found, (span,) = read(log)
    assert found[7].fate is Fate.BOUNCED
    assert span is not None
    day = 2 if form == "one digit" else 22
    at = datetime(2026, 11, day, 3 if day == 2 else 23, 0, 7, tzinfo=UTC).timestamp()
    assert [int(t) for t in (found[7].at, span.first, span.last)] == [at] * 3


def test_a_time_without_a_year_is_the_newest_that_does_not_lie_ahead() -> None:
    def first(text: str) -> float:
        (span,) = read(f"{text} 10:00:00 relay postfix/qmgr[1]: A: removed\n")[1]
        assert span is not None
        return span.first

    assert first("Dec 30") == datetime(2025, 12, 30, 10, tzinfo=UTC).timestamp()
    assert first("Nov 24") == datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
    assert first("Feb 29") == datetime(2024, 2, 29, 10, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "line",
    [
        "cleanup[8]: 4jXm1D50gjz1SdKt: warning: header Subject: x: A1B2C3D4: message-id=<TOKEN@water.example>",
        "smtpd[8]: NOQUEUE: reject: RCPT from x[1.2.3.4]: helo=<message-id=<TOKEN@water.example>>",
        "smtpd[8]: 4jXm1D50gjz1SdKt: message-id=<TOKEN@water.example>",
        "cleanup[8]: 4jXm1D50gjz1SdKt: message-id=<xTOKEN@water.example>",
        "cleanup[8]: 4jXm1D50gjz1SdKt: message-id=<FORGED@water.example>",
        "cleanup[8]: 4jXm1D50gjz1SdKt: message-id=<LEAVE@water.example>",
        "cleanup[8] 4jXm1D50gjz1SdKt: message-id=<TOKEN@water.example>",
    ],
)
def test_what_others_have_written_into_a_line_tells_nothing(line: str) -> None:
    forged = token(1)[:-2] + ("aa" if not token(1).endswith("aa") else "bb")
    words = line.replace("TOKEN", token(1)).replace("FORGED", forged).replace("LEAVE", SIGNER.token(Purpose.LEAVE, 1))
    queue = "qmgr[9]: {}: from=<>, size=1, nrcpt=1 (queue active)"
    assert fates(lines(words, queue.format("4jXm1D50gjz1SdKt"), queue.format("A1B2C3D4"))) == {}
    # nor is a status that stands in somebody's text the relay's
    said = "smtp[10]: 4jXm1D50gjz1SdKt: host x said: to=<a>, dsn=5.1.1, status=bounced (x)"
    assert fates(lines(*queued(1), said)) == {1: Fate.TAKEN}


def test_letters_in_any_case_and_a_missing_bracket_are_still_ours() -> None:
    assert fates(lines(f"cleanup[8]: 4jXm1D50gjz1SdKt: message-id={token(1).upper()}@water.example")) == {1: Fate.SEEN}


def test_a_line_without_end_costs_no_memory_and_the_rest_is_read() -> None:
    endless = b"Nov 22 23:00:00 relay postfix/cleanup[8]: " + b"x" * (3 * LINE)
    log = endless + b"\n" + lines(*queued(1)).encode() + endless
    found, _ = read(log, block=10_000)
    assert {delivery: finding.fate for delivery, finding in found.items()} == {1: Fate.TAKEN}


WORDS = st.sampled_from(
    [*queued(1), *queued(2, "3A7F21C"), status("sent"), status("bounced", "3A7F21C", "5.0.0"), "", "cleanup[8]: ",
     "qmgr[9]: 3A7F21C: removed", "cleanup[8]: : message-id=<>", "smtp[1]: 3A7F21C: to=<, dsn=9, status=(", ]
)  # fmt: skip


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(WORDS.map(lambda w: lines(w).encode()), st.binary(max_size=80), WORDS.map(str.encode)), max_size=20
    ),
    st.integers(1, 400),
)
def test_whatever_a_log_holds_it_is_read_and_in_blocks_of_any_size_alike(parts: list[bytes], block: int) -> None:
    log = b"\n".join(parts)
    assert read(log, block=block) == read(log)


def test_a_log_of_many_lines_is_read_in_acceptable_time() -> None:
    """A gigabyte in a minute at the most, on a slow machine that does other things too."""
    filler = lines(*(word.replace("4jXm1D50gjz1SdKt", "9zzz1D50gjz1SdKt") for word in queued(5000))) * 20_000
    log = (lines(*queued(1)) + filler).encode()
    began = time.process_time()
    assert fates(log) == {1: Fate.TAKEN}
    assert len(log) / (time.process_time() - began) > 8e6
