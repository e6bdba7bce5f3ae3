"""A delivery's table of states, and whom an answer is about."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.delivery import NEXT, OPEN, About, Event, Reply, Silence, Stage, State, judge

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
