"""A delivery's table of states, and whom an answer is about."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.delivery import NEXT, OPEN, About, Event, Reply, Silence, Stage, State, crowded, judge, too_fast

SETTLED = set(State) - set(OPEN)
codes = st.integers(min_value=200, max_value=599)
stages = st.sampled_from(Stage)


def test_what_is_settled_stays_but_for_a_bounce_and_for_what_was_our_fault() -> None:
    moved = {(state, event) for state, event in NEXT if state in SETTLED}
    assert moved == {(State.ACCEPTED, Event.BOUNCE), (State.REJECTED, Event.PARDON)}


def test_only_a_person_brings_back_what_was_handed_over() -> None:
    handed = {State.HANDED, State.IN_DOUBT, State.ACCEPTED, State.BOUNCED}
    back = {event for (state, event), end in NEXT.items() if state in handed and end in (State.PENDING, State.CLAIMED)}
    assert back == {Event.RESEND}


def test_nothing_is_accepted_that_was_not_handed_over() -> None:
    assert {state for (state, _), end in NEXT.items() if end is State.ACCEPTED} == {State.HANDED, State.IN_DOUBT}


def test_every_state_is_reached_from_pending() -> None:
    reached = {State.PENDING}
    for _ in State:
        reached |= {NEXT[state, event] for state, event in NEXT if state in reached}
    assert reached == set(State)


@given(stages, codes, st.text(max_size=40))
def test_up_to_mail_it_is_never_the_person(stage: Stage, code: int, text: str) -> None:
    verdict = judge(Reply(stage, code, text))
    if stage <= Stage.MAIL:
        assert verdict.about is not About.PERSON
        assert verdict.event in (Event.MISS, Event.DEFER)


@given(stages, codes, st.text(max_size=40))
def test_only_a_2yz_after_the_dot_is_acceptance(stage: Stage, code: int, text: str) -> None:
    accepted = judge(Reply(stage, code, text)).event is Event.ACCEPT
    assert accepted == (stage is Stage.DOT and code // 100 == 2)


@given(stages, codes)
def test_a_verdict_fits_the_state_its_answer_finds(stage: Stage, code: int) -> None:
    state = State.HANDED if stage is Stage.DOT else State.CLAIMED
    assert (state, judge(Reply(stage, code, "")).event) in NEXT


def test_silence_before_the_dot_is_a_miss_and_after_it_a_doubt() -> None:
    assert judge(Silence(False, "reset")).event is Event.MISS
    assert judge(Silence(True, "reset")).event is Event.LOSE


def test_policy_and_content_are_not_the_persons_fault() -> None:
    for stage, text in itertools.product(
        (Stage.RCPT, Stage.DOT), ("5.7.1 blocked", "5.7.26 unauthenticated", "5.6.0 bad")
    ):
        assert judge(Reply(stage, 550, text)).about in (About.US, About.MESSAGE)
    assert judge(Reply(Stage.RCPT, 550, "5.1.1 no such user")).about is About.PERSON


def test_too_many_recipients_is_read_as_later() -> None:
    assert judge(Reply(Stage.RCPT, 552, "too many recipients")).event is Event.DEFER


def test_an_enhanced_status_must_be_of_its_codes_class() -> None:
    assert Reply(Stage.RCPT, 550, "5.1.1 unknown").status == "5.1.1"
    assert Reply(Stage.RCPT, 450, "5.1.1 unknown").status == ""
    assert Reply(Stage.RCPT, 550, "unknown 5.1.1").status == ""


# our speed


@pytest.mark.parametrize(
    "said",
    [
        "421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address",
        "421 4.7.0 Try again later, closing connection. abc123",
        "421 4.7.26 This mail has been rate limited because it is unauthenticated",
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
        "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)",
        "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS761)",
        "451 [BS02] 192.0.2.1 is sending too many messages",
        "421 RP-001 (BAY) Unfortunately, some messages from 192.0.2.1 weren't sent",
        "421 4.1.0 192.0.2.1 Throttled - RL000010",
        "454 Throttling failure: Maximum sending rate exceeded.",
        "454 Throttling failure: Daily message quota exceeded.",
        "452 4.5.3 Too many recipients, slow down",
        "450 4.2.1 rate limited, come back later",
        "450 4.7.1 Error: too much mail from 192.0.2.1",
        "451 4.7.1 You have exceeded your hourly sending limit",
        "452 4.3.2 message quota for this minute used up",
    ],
)
def test_what_providers_say_to_whom_is_too_fast_is_about_nobody(said: str) -> None:
    code, _, text = said.partition(" ")
    for stage in (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.DOT):
        reply = Reply(stage, int(code), text)
        assert too_fast(reply)
        assert judge(reply).about is About.RATE
        if stage > Stage.MAIL:
            assert judge(reply).event is Event.DEFER
    assert not too_fast(Reply(Stage.RCPT, 550, text))


@pytest.mark.parametrize(
    "said",
    [
        "450 4.2.0 <a@x.example>: Recipient address rejected: Greylisted, try again later",
        "451 4.7.1 Greylisting in action, please come back later",
        "451 4.7.1 Please try again later",
        "452 4.2.2 The email account that you tried to reach is over quota",
        "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
        "450 4.2.1 The user you are trying to contact is receiving mail too quickly",
        "452 4.3.1 Insufficient system storage",
        "452 4.3.4 Message size exceeds the limit for messages",
        "451 4.3.0 Error: queue file write error",
        "450 4.3.2 Service currently unavailable",
        "454 4.7.0 TLS not available due to local problem, try again later",
        "454 4.7.0 Temporary authentication failure, try again later",
        "421 4.7.0 mx.example Error: too many errors",
        "451 4.4.6 Too many hops",
        "421 4.7.0 too many connections",
        "421 4.4.5 Too many concurrent SMTP connections from this IP address; please try again later",
        "421 4.7.0 enough for one connection",
        "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        "450 Trop de connexions, veuillez verifier votre configuration",
    ],
)
def test_what_sounds_alike_is_no_complaint_of_our_speed(said: str) -> None:
    code, _, text = said.partition(" ")
    assert not too_fast(Reply(Stage.RCPT, int(code), text))


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        ("421 4.7.0 too many connections", True),
        ("421 4.7.652 The mail server has exceeded the maximum number of connections", True),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", True),
        ("421 Max messages per connection reached", True),
        ("421 4.7.0 Try again later, closing connection", False),
        ("550 5.7.1 too many connections", False),
    ],
)
def test_too_many_at_once_is_told_from_too_fast(said: str, is_so: bool) -> None:
    code, _, text = said.partition(" ")
    assert crowded(Reply(Stage.MAIL, int(code), text)) is is_so


@pytest.mark.parametrize(
    ("stage", "said", "about", "event"),
    [
        (Stage.RCPT, "553 5.6.7 the relay does not offer SMTPUTF8", About.WAY, Event.REJECT),
        (Stage.DOT, "550 5.1.1 no such user, I only found out now", About.PERSON, Event.REJECT),
        (Stage.DOT, "552 5.2.2 mailbox full", About.PERSON, Event.REJECT),
        (Stage.RCPT, "552 5.2.2 mailbox full and forgotten", About.PERSON, Event.REJECT),
        (Stage.DOT, "552 5.3.4 too large", About.MESSAGE, Event.REJECT),
        (Stage.DOT, "554 5.6.0 bad content", About.MESSAGE, Event.REJECT),
        (Stage.DATA, "554 no", About.MESSAGE, Event.REJECT),
        (Stage.MAIL, "552 too large", About.MESSAGE, Event.DEFER),
        (Stage.MAIL, "552 5.3.4 too large", About.MESSAGE, Event.DEFER),
        (Stage.MAIL, "554 5.6.3 no 8BITMIME here", About.MESSAGE, Event.DEFER),
        (Stage.MAIL, "552 5.7.0 not you", About.US, Event.MISS),
        (Stage.MAIL, "550 5.4.5 Daily user sending limit exceeded", About.US, Event.MISS),
        (Stage.RCPT, "550 5.4.5 Daily user sending limit exceeded", About.US, Event.REJECT),
        (Stage.RCPT, "550 5.1.8 your domain does not exist", About.US, Event.REJECT),
    ],
)
def test_whom_a_refusal_is_about(stage: Stage, said: str, about: About, event: Event) -> None:
    code, _, text = said.partition(" ")
    verdict = judge(Reply(stage, int(code), text))
    assert (verdict.about, verdict.event) == (about, event)
