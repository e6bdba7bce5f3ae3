"""When a round must stop, and who is not to blame: laws, told as answers one after the other."""

from __future__ import annotations

import pytest

from broadcaster.alarm import EVERYONE, FEW, MANY, SILENCES, Alarm, Stop
from broadcaster.delivery import Answer, Outcome, Reply, Silence, Stage, judge

NOBODY = "550 5.1.1 <{}>: unknown user"


def said(text: str, stage: Stage = Stage.RCPT) -> Reply:
    code, _, words = text.partition(" ")
    return Reply(stage, int(code), words)


class Ears:
    """An alarm and what it is told."""

    def __init__(self, share: float | None = None, at_least: int = 1) -> None:
        self.alarm = Alarm(share, at_least)
        self.number = 0

    def hear(
        self, answer: Answer, relay: str = "main", domain: str = "x.example", *, again: bool = False
    ) -> Stop | None:
        self.number += 1
        outcome = Outcome(self.number, judge(answer).event, answer, relay, 0.0)
        return self.alarm.heard(1, outcome, domain, again=again)

    def refused(
        self, text: str, times: int, stage: Stage = Stage.RCPT, relay: str = "main", domain: str = "x.example"
    ) -> list[Stop | None]:
        return [self.hear(said(text.format(f"p{i}@x.example"), stage), relay, domain) for i in range(times)]

    def accepted(self, relay: str = "main", domain: str = "x.example") -> Stop | None:
        self.number += 1
        return self.alarm.accepted(1, relay, domain)


def pardoned(stop: Stop | None) -> list[int]:
    assert stop is not None
    return [each.delivery for each in stop.pardoned]


def test_who_refuses_the_first_ten_with_the_same_words_refuses_us() -> None:
    ears = Ears()
    *before, last = ears.refused(NOBODY, EVERYONE)
    assert before == [None] * (EVERYONE - 1)
    assert last is not None
    assert last.relay
    assert "refuses everyone" in last.reason
    assert pardoned(last) == list(range(1, EVERYONE + 1))
    # one that was on its way
    assert pardoned(ears.hear(said(NOBODY.format("late@x.example")))) == [EVERYONE + 1]


def test_who_takes_one_or_says_different_things_looks_at_each() -> None:
    ears = Ears()
    ears.accepted()
    assert set(ears.refused(NOBODY, 50)) == {None}
    ears = Ears()
    ears.hear(said("550 5.1.1 unknown user"))
    ears.hear(said("550 5.2.1 mailbox disabled"))
    assert set(ears.refused(NOBODY, 50)) == {None}


def test_each_relay_is_judged_on_its_own() -> None:
    ears = Ears()
    for _ in range(EVERYONE - 1):
        ears.accepted(relay="well")
        assert ears.refused(NOBODY, 1, relay="ill") == [None]
    ears.accepted(relay="well")
    (stop,) = ears.refused(NOBODY, 1, relay="ill")
    assert stop is not None
    assert stop.reason.startswith("ill ")


@pytest.mark.parametrize(
    ("text", "stage", "relay"),
    [
        ("552 5.3.4 message too big", Stage.DOT, False),
        ("552 5.3.4 message too big", Stage.MAIL, False),
        ("554 5.6.0 bad content", Stage.DOT, False),
        ("550 5.7.1 this is spam", Stage.DOT, False),
        ("554 no", Stage.DATA, False),
        ("550 5.7.1 relay access denied", Stage.RCPT, True),
    ],
)
def test_a_few_refusals_of_the_message_or_of_us_are_enough(text: str, stage: Stage, relay: bool) -> None:
    ears = Ears()
    ears.accepted()
    *before, last = ears.refused(text, FEW, stage)
    assert before == [None] * (FEW - 1)
    assert last is not None
    assert (last.relay, pardoned(last)) == (relay, [2, 3, 4])
    assert text.partition(" ")[2] in last.reason


def test_a_refusal_now_and_then_is_its_recipients() -> None:
    ears = Ears()
    for _ in range(30):
        ears.accepted()
        assert set(ears.refused("550 5.7.1 this is spam", FEW - 1, Stage.DOT, domain="strict.example")) == {None}
        ears.accepted(domain="strict.example")


def test_a_domain_that_refuses_the_message_is_noticed_among_others_that_take_it() -> None:
    ears = Ears()
    found = []
    for _ in range(MANY):
        ears.accepted()
        found += ears.refused("550 5.7.1 this is spam", 1, Stage.DOT, domain="strict.example")
    assert found[:-1] == [None] * (MANY - 1)
    assert found[-1] is not None
    assert "strict.example" in found[-1].reason
    assert len(found[-1].pardoned) == MANY


def test_an_address_that_a_relay_cannot_carry_says_nothing_of_us() -> None:
    ears = Ears()
    ears.accepted()
    assert set(ears.refused("553 5.6.7 the relay does not offer SMTPUTF8", 40)) == {None}


def test_five_hundreds_at_mail_and_before_are_about_us_at_once() -> None:
    stop = Ears().hear(said("550 5.7.1 not from you", Stage.MAIL))
    assert stop is not None
    assert stop.relay
    assert Ears().hear(said("535 5.7.8 no", Stage.AUTH)) is not None
    assert Ears().hear(said("451 4.3.0 later", Stage.MAIL)) is None


def test_silences_in_a_row_on_one_relay_stop_the_mailing() -> None:
    ears = Ears()
    lost = Silence(True, "gone")
    for _ in range(3):
        assert [ears.hear(lost) for _ in range(SILENCES - 1)] == [None] * (SILENCES - 1)
        ears.accepted(relay="other")
        ears.hear(said("451 4.3.0 later", Stage.DOT))
    assert [ears.hear(lost) is None for _ in range(SILENCES)] == [True] * (SILENCES - 1) + [False]
    assert ears.hear(Silence(False, "gone")) is None


def test_who_was_pardoned_before_and_is_refused_again_is_refused() -> None:
    ears = Ears()
    ears.refused(NOBODY, EVERYONE)
    ears.alarm.forget(1)
    assert [ears.hear(said(NOBODY), again=True) for _ in range(30)] == [None] * 30


def test_a_share_of_rejected_that_is_too_much_is_heard_whatever_comes_last() -> None:
    ears = Ears(0.2, 10)
    ears.accepted()
    assert ears.refused("550 5.1.1 no", 1) + ears.refused("550 5.2.1 no", 1) == [None, None]
    assert [ears.accepted() for _ in range(6)] == [None] * 6
    stop = ears.accepted()
    assert stop is not None
    assert stop.reason == "2 of 10 were rejected (safety.stop_after)"
    assert not stop.pardoned
