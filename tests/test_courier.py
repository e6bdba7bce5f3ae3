"""The journal: many connections, few commits, and nobody kept waiting for somebody slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from broadcaster.courier import Fenced, Journal
from broadcaster.delivery import Event, Outcome, Reply, Stage

Written = list[tuple[list[int], list[int]]]


def accepted(slip: int) -> Outcome:
    return Outcome(slip, Event.ACCEPT, Reply(Stage.DOT, 250, "2.0.0 taken"), "main", 0.0)


def journal(written: Written, coming: set[int], refused: Sequence[int] = (), **times: float) -> Journal[int]:
    def write(handed: list[int], outcomes: list[tuple[int, Outcome]]) -> Sequence[int]:
        written.append((handed, [slip for slip, _ in outcomes]))
        return refused

    return Journal(write, lambda: len(coming), **times)


async def test_of_marks_that_are_on_their_way_one_half_shares_a_commit_and_then_the_other() -> None:
    written: Written = []
    coming = set(range(8))
    book = journal(written, coming, patience=60)

    async def connection(slip: int) -> None:
        await asyncio.sleep(0.004 * slip)
        coming.discard(slip)
        await book.hand(slip)

    await asyncio.gather(*map(connection, range(8)))
    assert written == [([0, 1, 2, 3], []), ([4, 5], []), ([6], []), ([7], [])]
    written.clear()
    coming.update(range(8))
    for slip in range(8):
        coming.discard(slip)
        book.hand(slip)
    await asyncio.sleep(0)
    # those who are ready in the same turn of the loop join, however many they are
    assert written == [(list(range(8)), [])]


async def test_a_mark_does_not_wait_for_somebody_slow() -> None:
    written: Written = []
    book = journal(written, {98, 99}, patience=0.01)
    begun = time.monotonic()
    await book.hand(1)
    assert written == [([1], [])]
    assert time.monotonic() - begun < 1


async def test_an_outcome_goes_with_the_next_mark_or_alone_after_a_moment() -> None:
    written: Written = []
    book = journal(written, set(), linger=0.01)
    book.note(1, accepted(1))
    await book.hand(2)
    book.note(2, accepted(2))
    await asyncio.sleep(0.1)
    assert written == [([2], [1]), ([], [2])]


async def test_who_may_not_go_is_told_and_the_others_go() -> None:
    written: Written = []
    book = journal(written, set(), refused=[2])
    answers = await asyncio.gather(book.hand(1), book.hand(2), return_exceptions=True)
    assert answers[0] is None
    assert isinstance(answers[1], Fenced)


async def test_after_a_failure_nothing_is_handed_over_and_what_was_answered_is_kept() -> None:
    full = [True]
    kept: list[int] = []

    def write(handed: list[int], outcomes: list[tuple[int, Outcome]]) -> Sequence[int]:
        if full[0]:
            raise OSError("no room")
        kept.extend(slip for slip, _ in outcomes)
        return ()

    book: Journal[int] = Journal(write)
    book.note(1, accepted(1))
    with pytest.raises(OSError, match="no room"):
        await book.hand(2)
    with pytest.raises(OSError, match="no room"):
        await book.hand(3)
    full[0] = False
    book.flush()
    assert kept == [1]


async def test_who_is_cut_off_while_his_mark_waits_has_sent_nothing_and_is_not_marked() -> None:
    written: Written = []
    book = journal(written, {97, 98, 99}, patience=60)
    cut, stays = asyncio.ensure_future(book.hand(1)), asyncio.ensure_future(book.hand(2))
    cut.cancel()
    book.flush()
    await stays
    assert written == [([2], [])]
