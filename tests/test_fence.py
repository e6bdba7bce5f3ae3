"""What may go on a wire: claimed on the disk, at its turn, and no more of it than the pace has room for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from broadcaster import broadcast
from broadcaster.delivery import Event, State
from broadcaster.engines import Claim, Later, Lot
from broadcaster.errors import CannotWrite
from broadcaster.fence import Fence
from broadcaster.flows import Flows
from broadcaster.lots import Lots
from broadcaster.pace import Backoff
from tests.test_destinations import BIG, mailing, named
from tests.test_round import Shop
from tests.test_round import shop as shop  # a fixture

NOW = 1_800_000_000.0


class Disk:
    """The way of a claim to the disk, which takes as long as the test wants."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle
        self.waits = 0
        self.begun, self.free = threading.Event(), threading.Event()
        self.broken = False

    def settle(self) -> None:
        self.waits += 1
        self.begun.set()
        assert self.free.wait(10)
        if self.broken:
            raise CannotWrite("input/output error")
        self._settle()

    async def asked(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 10)


class Gate:
    """A fence over the shop's database, whose clock stands still."""

    def __init__(self, shop: Shop, number: int) -> None:
        house = shop.house
        self.ledger = house.ledger
        self.number = number
        self.now = NOW
        self.gone: list[tuple[Event, int]] = []
        self.flows = Flows(house.ledger, house.config)
        self.lots = Lots(house.ledger, self.flows, int(NOW))
        self.fence = Fence(
            house.ledger,
            house.roster,
            house.mark,
            self.flows,
            self.lots,
            Backoff(),
            lambda: self.now,
            lambda event, number: self.gone.append((event, number)),
        )

    def draw(self, size: int = 10) -> Lot:
        while not isinstance(lot := self.lots.draw([self.number], size, self.now), Lot):
            assert lot == self.now
        self.fence.drawn()
        return lot

    @property
    def tally(self) -> dict[str, int]:
        return self.ledger.mailing(self.number).words()


@pytest.fixture
def disk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    slow = Disk(shop.house.db.settle)
    monkeypatch.setattr(shop.house.db, "settle", slow.settle)
    yield slow
    slow.free.set()


async def test_all_who_ask_at_once_share_one_transaction_and_one_wait_for_the_disk(shop: Shop, disk: Disk) -> None:
    shop.relays(("main", 1), connections=5)
    gate = Gate(shop, mailing(shop, {"small.example": 50}))
    disk.free.set()
    claims = await asyncio.gather(*(gate.fence.start(gate.draw(), "main") for _ in range(5)))
    assert [len(claim.rows) for claim in claims if isinstance(claim, Claim)] == [10] * 5
    assert disk.waits == 1
    assert gate.tally == {"claimed": 50}


async def test_nobody_is_given_a_claim_before_it_is_on_the_disk_and_nobody_else_waits(shop: Shop, disk: Disk) -> None:
    shop.relays(("main", 1), connections=5)
    gate = Gate(shop, mailing(shop, {"small.example": 50}))
    first = asyncio.ensure_future(gate.fence.start(gate.draw(), "main"))
    await disk.asked()
    later = [asyncio.ensure_future(gate.fence.start(gate.draw(), "main")) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not first.done()
    assert shop.house.mark.read().stamps == ()
    # only who has the first is on the way to the disk: the others share the next
    assert gate.tally == {"pending": 40, "claimed": 10}
    disk.free.set()
    claims = await asyncio.gather(first, *later)
    assert [len(claim.rows) for claim in claims if isinstance(claim, Claim)] == [10] * 4
    assert disk.waits == 2
    assert [stamp.claims for stamp in shop.house.mark.read().stamps] == [2]


async def test_a_claim_of_several_mailings_counts_as_one_and_is_marked_for_each(shop: Shop) -> None:
    shop.relays(("main", 1), connections=5)
    first, second = (Gate(shop, mailing(shop, {"small.example": 20})) for _ in range(2))
    lots = first.draw(), second.draw()
    first.fence.drawn()
    claims = await asyncio.gather(*(first.fence.start(lot, "main") for lot in lots))
    assert all(isinstance(claim, Claim) for claim in claims)
    found = shop.house.mark.read().stamps
    assert [(stamp.mailing, stamp.delivery, stamp.claims) for stamp in found] == [(1, 10, 1), (2, 30, 1)]


async def test_who_is_cut_off_while_the_disk_is_waited_for_leaves_a_lot_that_waits_again(
    shop: Shop, disk: Disk
) -> None:
    shop.relays(("main", 1), connections=5)
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    cut, stays = (asyncio.ensure_future(gate.fence.start(gate.draw(), "main")) for _ in range(2))
    await disk.asked()
    cut.cancel()
    rest = asyncio.ensure_future(gate.fence.rest())
    await asyncio.sleep(0.05)
    assert not rest.done()
    disk.free.set()
    assert isinstance(await stays, Claim)
    await rest
    assert gate.tally == {"pending": 20, "claimed": 10}
    assert len(gate.fence.tickets) == 10
    # they are drawn again, before what is behind them
    assert gate.draw().deliveries == tuple(range(1, 11))


async def test_a_claim_that_the_disk_does_not_keep_is_nobodys(shop: Shop, disk: Disk) -> None:
    shop.relays(("main", 1), connections=5)
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    disk.broken = True
    disk.free.set()
    found = await asyncio.gather(*(gate.fence.start(gate.draw(), "main") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, CannotWrite) for each in found)
    assert gate.fence.tickets == {}
    assert gate.fence.empty
    assert shop.house.mark.read().stamps == ()


async def test_a_disk_that_has_lost_something_is_not_asked_again(shop: Shop, disk: Disk) -> None:
    shop.relays(("main", 1), limits='["100/h"]')
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    first = asyncio.ensure_future(gate.fence.start(gate.draw(), "main"))
    await disk.asked()
    later = asyncio.ensure_future(gate.fence.start(gate.draw(), "main"))
    await asyncio.sleep(0)
    disk.broken = True
    disk.free.set()
    with pytest.raises(CannotWrite):
        await first
    # the system tells of a lost write once: the next time it would say that all is well
    disk.broken = False
    assert await later is None
    assert disk.waits == 1
    assert gate.tally == {"pending": 20, "claimed": 10}
    # nothing was sent, and no pace believes that it was
    assert gate.flows.relays["main"].pace.promised == 0
    assert gate.fence.empty


async def test_a_claim_does_not_wait_for_what_else_is_done_beside_the_loop(shop: Shop) -> None:
    shop.relays(("main", 1), connections=5)
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    loop, found = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    name = loop.run_in_executor(None, found.wait, 10)  # of a relay, whose server of names is dead
    try:
        async with asyncio.timeout(5):
            assert isinstance(await gate.fence.start(gate.draw(), "main"), Claim)
    finally:
        found.set()
        await name


async def test_no_more_is_claimed_than_has_its_turn_soon_and_the_rest_is_drawn_again(shop: Shop) -> None:
    shop.relays(("main", 1), limits='["4/s", "6/h"]')
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    lot = gate.draw()
    claim = await gate.fence.start(lot, "main")
    assert isinstance(claim, Claim)
    assert len(claim.rows) == 4
    assert gate.draw().deliveries[:6] == lot.deliveries[4:]
    # all that it has room for is promised
    later = await gate.fence.start(Lot(gate.number, (20,)), "main")
    assert isinstance(later, Later)
    assert NOW < later.at <= NOW + 1.1
    gate.now += 2
    assert [claim.wait(i) for i in range(4)] == [0.0, *[pytest.approx(0.2575 * i) for i in range(1, 4)]]


async def test_what_is_paused_or_stopped_meanwhile_is_not_claimed(shop: Shop) -> None:
    shop.relays(("main", 1))
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    lot = gate.draw()
    broadcast.pause(gate.ledger, gate.number, "somebody", int(NOW))
    assert await gate.fence.start(lot, "main") is None
    assert gate.fence.empty
    broadcast.resume(gate.ledger, shop.house.config, gate.number, int(NOW))
    gate.fence.closed = True
    assert await gate.fence.start(gate.draw(), "main") is None
    assert gate.tally == {"pending": 30}


async def test_a_claim_that_cannot_be_written_is_nobodys(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.relays(("main", 1))
    gate = Gate(shop, mailing(shop, {"small.example": 30}))

    def full(*_: object) -> None:
        raise CannotWrite("the disk is full")

    monkeypatch.setattr(shop.house.mark, "count", full)
    found = await asyncio.gather(*(gate.fence.start(gate.draw(), "main") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, CannotWrite) for each in found)
    assert gate.fence.tickets == {}
    assert gate.tally == {"pending": 30}


async def test_who_is_cut_off_while_asking_claims_nothing(shop: Shop) -> None:
    shop.relays(("main", 1), limits='["100/h"]')
    gate = Gate(shop, mailing(shop, {"small.example": 30}))
    asking = asyncio.ensure_future(gate.fence.start(gate.draw(), "main"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.01)
    assert gate.tally == {"pending": 30}
    assert gate.flows.relays["main"].pace.promised == 0
    assert gate.fence.empty


async def test_who_waits_for_a_destination_takes_no_turn_of_the_relays(shop: Shop) -> None:
    shop.relays(("main", 1), limits='["10/s"]', more=named(BIG, limits=["2/s"]))
    gate = Gate(shop, mailing(shop, {BIG: 4, "small.example": 10}))
    big, gate.now = await gate.fence.start(gate.draw(1), "main"), NOW + 0.001
    assert isinstance(big, Claim)
    assert big.wait(0) == 0.0
    gate.now = NOW + 0.495
    others, again = gate.draw(1), gate.draw(1)
    assert (others.destination, again.destination) == ("", BIG)
    second = await gate.fence.start(again, "main")
    rest = await gate.fence.start(others, "main")
    assert isinstance(second, Claim)
    assert isinstance(rest, Claim)
    left = second.wait(0)
    assert left is not None
    assert 0 < left < 0.03
    # the relay has not been asked for that turn: it is free
    assert rest.wait(0) == 0.0
    gate.now += left
    assert second.wait(0) == pytest.approx(0.103 - left, abs=0.001)


async def test_a_hold_sends_back_what_is_claimed_already(shop: Shop) -> None:
    shop.relays(("main", 1), more=named(BIG, limits=["20/s"]))
    gate = Gate(shop, mailing(shop, {BIG: 10}))
    claim = await gate.fence.start(gate.draw(), "main")
    assert isinstance(claim, Claim)
    flow = gate.flows.of(BIG)
    assert flow is not None
    flow.pace.slow(NOW, 20)
    assert claim.wait(0) is None
    lot = Lot(gate.number, (claim.rows[0].delivery,), BIG)
    flow.lots += 1
    flow.pace.promised += 1
    gate.fence.drawn()
    assert await gate.fence.start(lot, "main") is None
    assert gate.tally[State.CLAIMED.word] == len(claim.rows)
