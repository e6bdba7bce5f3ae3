"""Destinations with a pace of their own: never too fast, nearly as fast as allowed, and in nobody else's way."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from broadcaster import broadcast
from broadcaster.cli.house import House
from broadcaster.courier import Consignment, Courier
from broadcaster.engines.local import LocalEngine, Way
from broadcaster.flows import Flows
from broadcaster.ledger import Ledger
from broadcaster.lots import Lots
from broadcaster.sending import Turn, Watch
from tests.conftest import Place
from tests.lab.server import Lab, Rule, running
from tests.test_round import STATEMENT, Shop, elsewhere, until

BIG = "big.example"
BUSY = "450 4.7.28 unusual rate of mail from you"


@pytest.fixture
def shop(place: Place) -> Iterator[Shop]:
    place.statement("june", en=STATEMENT)
    with House(place.root) as house:
        house.roster.create_list("news", "water.example", {})
        yield Shop(place, house)


def named(domain: str, **settings: Any) -> str:
    """A table of [destinations]."""
    lines = "".join(f"{key} = {str(value).replace(chr(39), chr(34))}\n" for key, value in settings.items())
    return f'[destinations."{domain}"]\n{lines}'


def mailing(shop: Shop, people: Mapping[str, int]) -> int:
    """Begin a mailing to so many people of each domain, one domain after the other."""
    addresses = [f"p{i}@{domain}" for domain, number in people.items() for i in range(number)]
    with shop.house.db.atomic() as conn:
        conn.executemany(
            "insert or ignore into subscriber (id, key, address, created, changed) values (?, ?, ?, 1, 1)",
            [(i, address, address) for i, address in enumerate(addresses, start=1)],
        )
        conn.executemany(
            "insert or ignore into subscription values (1, ?, 1, 1)", [(i + 1,) for i in range(len(addresses))]
        )
    house = shop.house
    order = broadcast.Order("june", ("news",))
    plan = broadcast.plan(house.workspace, house.config, house.roster, house.ledger, order)
    made = broadcast.prepare(house.config, house.roster, house.ledger, house.mark, plan, house.now)
    return broadcast.begin(house.ledger, house.config, made.id, house.now).id


class Clock:
    """Ours, which may jump."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def turn(shop: Shop, clock: Clock | None = None) -> Turn:
    """A turn whose engine and paces go by the same clock."""
    at = clock or Clock()

    def build(courier: Courier) -> LocalEngine[Consignment]:
        config = shop.house.config
        ways = [Way(r.name, r.connections, lambda r=r: shop.house.transport(r), r.weight) for r in config.relays]  # type: ignore[misc]
        return LocalEngine(ways, courier, nap=0.01, cooling=0.2, clock=at)

    hands = shop.house.hands
    return Turn(type(hands)(*(hands.roster, hands.ledger, hands.mark, hands.config, hands.press), at), build, Watch())


def times(lab: Lab, domain: str) -> list[float]:
    """When the copies for a domain were offered."""
    return sorted(each.at for each in lab.messages if each.recipients[0].endswith("@" + domain))


def most_in_a_second(moments: list[float]) -> int:
    return max(sum(one <= other < one + 1 for other in moments) for one in moments)


async def worked(going: Turn, number: int, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        await going.work([number])


async def test_a_destination_gets_what_it_bears_and_the_others_do_not_wait(shop: Shop) -> None:
    with running() as lab:
        shop.relays(("main", lab.port), connections=3, more=named(BIG, limits=["20/s"]))
        number = mailing(shop, {BIG: 60, "small.example": 300})
        await worked(turn(shop), number)
        assert shop.tally(number) == {"accepted": 360}
        big, small = times(lab, BIG), times(lab, "small.example")
        # counted where they arrive: one that was on its way may come a moment late where the machine is busy
        assert most_in_a_second(big) <= 20 + 1
        assert 59 / (big[-1] - big[0]) >= 20 * 0.95
        assert small[-1] - big[0] < (big[-1] - big[0]) / 2


async def test_who_waits_for_minutes_holds_up_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as lab:
        shop.relays(("main", lab.port), more=named(BIG, limits=["1/m"]))
        number = mailing(shop, {BIG: 5, "small.example": 200})
        going = turn(shop)
        work = asyncio.ensure_future(going.work([number]))
        await until(lambda: len(times(lab, "small.example")) == 200)
        assert len(times(lab, BIG)) == 1
        assert shop.tally(number).get("claimed", 0) == 0
        # and who waits does nothing
        draw, asked = Lots.draw, itertools.count()
        monkeypatch.setattr(Lots, "draw", lambda *args: (next(asked), draw(*args))[1])
        await asyncio.sleep(1.2)
        assert next(asked) <= 4
        going.stop()
        await asyncio.wait_for(work, 2)


async def test_a_destination_has_at_most_its_connections(shop: Shop) -> None:
    with running(Rule("dot", delay=0.04)) as lab:
        shop.relays(("main", lab.port), connections=4, more=named(BIG, connections=1))
        number = mailing(shop, {BIG: 12, "small.example": 30})
        await worked(turn(shop), number)
        big = times(lab, BIG)
        assert shop.tally(number) == {"accepted": 42}
        assert all(later - earlier >= 0.04 for earlier, later in itertools.pairwise(big))
        assert len({each.session for each in lab.messages}) == 4


async def test_with_a_default_each_domain_has_a_pace_of_its_own(shop: Shop) -> None:
    with running() as lab:
        shop.relays(("main", lab.port), connections=2, more=named("default", limits=["10/s"]))
        number = mailing(shop, {f"d{i}.example": 12 for i in range(20)})
        begun = time.monotonic()
        await worked(turn(shop), number)
        assert shop.tally(number) == {"accepted": 240}
        assert 1.0 <= time.monotonic() - begun < 5
        assert all(most_in_a_second(times(lab, f"d{i}.example")) <= 10 for i in range(20))


async def test_a_destination_is_counted_over_runs_and_relays(shop: Shop) -> None:
    with running() as one, running() as two:
        shop.relays(("one", one.port), ("two", two.port), more=named(BIG, limits=["10/h"]))
        number = mailing(shop, {BIG: 25})
        for _ in range(2):
            going = turn(shop)
            work = asyncio.ensure_future(going.work([number]))
            await until(lambda: len(one.messages) + len(two.messages) == 10)
            await asyncio.sleep(0.2)
            going.stop()
            await work
        assert shop.tally(number) == {"accepted": 10, "pending": 15}


async def test_what_was_put_off_is_sorted_too(shop: Shop) -> None:
    with running(Rule("rcpt", reply="450 4.2.0 greylisted", tries=(1,))) as lab:
        shop.relays(("main", lab.port), more=named(BIG, limits=["1/m"]))
        number = mailing(shop, {BIG: 3, "small.example": 40})
        going = turn(shop)
        work = asyncio.ensure_future(going.work([number]))
        await until(lambda: shop.tally(number).get("deferred") == 41)
        going.stop()
        await work
        shop.house.db.conn.execute("update due set at = 1")
        clock = Clock()
        clock.ahead = 70
        going = turn(shop, clock)
        work = asyncio.ensure_future(going.work([number]))
        await until(lambda: len(times(lab, "small.example")) == 40)
        assert len(times(lab, BIG)) <= 1
        going.stop()
        await work


# complaints of our speed


async def test_a_complaint_slows_the_destination_and_no_person(shop: Shop) -> None:
    with running(Rule("dot", reply=BUSY, address=f"p3@{BIG}", tries=(1,))) as lab:
        shop.relays(("main", lab.port), more=named(BIG, limits=["40/s"]))
        number = mailing(shop, {BIG: 30, "small.example": 30})
        clock = Clock()
        going = turn(shop, clock)
        work = asyncio.ensure_future(going.work([number]))
        await until(lambda: len(times(lab, "small.example")) == 30)
        before = len(times(lab, BIG))
        assert before <= 8
        assert shop.tally(number)["deferred"] == 1
        told = shop.house.ledger.paces()
        assert [scope for scope, _ in told] == [f"destination:{BIG}"]
        said = await asyncio.to_thread(shop.place.run, "status", str(number))
        assert re.search(rf"slowed: {BIG} said we are too fast; nothing goes there until .*, then 50 %", said.out)
        (slowed,) = (await asyncio.to_thread(shop.place.run, "status", str(number), "--json")).json["slowed"]
        assert (slowed["kind"], slowed["name"], slowed["share"]) == ("destination", BIG, 0.5)
        due = shop.house.ledger.next_ripe(number)
        assert due is not None
        assert 50 <= due - time.time() <= 62
        clock.ahead = 61
        await asyncio.wait_for(work, 15)
        assert shop.tally(number) == {"accepted": 60}
        # half of 40 a second now
        assert most_in_a_second(times(lab, BIG)[before:]) <= 22
        # recorded, and no try of the person's
        ledger: Ledger = shop.house.ledger
        (row,) = [row for page in ledger.deliveries(ledger.mailing(number)) for row in page if row["attempts"] == 2]
        assert row["state"] == "accepted"


async def test_several_destinations_that_complain_mean_the_relay(shop: Shop) -> None:
    with running(Rule("dot", reply=BUSY)) as lab:
        shop.relays(("main", lab.port), more=named("default", limits=["40/s"]))
        number = mailing(shop, {f"d{i}.example": 3 for i in range(9)})
        going = turn(shop)
        work = asyncio.ensure_future(going.work([number]))
        await until(lambda: any(scope == "relay:main" for scope, _ in shop.house.ledger.paces()))
        tried = len(lab.messages)
        assert tried <= 6
        await asyncio.sleep(0.5)
        assert len(lab.messages) <= tried + 1
        going.stop()
        await asyncio.wait_for(work, 2)


async def test_a_slowed_relay_is_waited_for_and_a_pause_is_heard_meanwhile(shop: Shop) -> None:
    with running(Rule("mail", reply="451 4.7.0 try again later", tries=(3,))) as lab, elsewhere(shop) as other:
        shop.relays(("main", lab.port))
        number = mailing(shop, {"small.example": 20})
        work = asyncio.ensure_future(turn(shop).work([number]))
        await until(lambda: bool(shop.house.ledger.paces()))
        await asyncio.sleep(0.3)
        assert len(lab.messages) == 2
        broadcast.pause(other.ledger, number, "somebody", other.now)
        await asyncio.wait_for(work, 1)
        assert shop.tally(number) == {"accepted": 2, "deferred": 1, "pending": 17}


async def test_where_one_relay_is_slowed_the_other_goes_on(shop: Shop) -> None:
    with running(Rule("mail", reply="421 4.7.0 rate limited")) as ill, running() as well:
        shop.relays(("ill", ill.port), ("well", well.port), connections=2)
        number = mailing(shop, {"small.example": 100})
        await worked(turn(shop), number)
        assert shop.tally(number) == {"accepted": 100}
        assert len(well.messages) == 100


async def test_a_hold_is_kept_by_the_next_process(shop: Shop) -> None:
    with running(Rule("rcpt", reply=BUSY, tries=(1,))) as lab:
        shop.relays(("main", lab.port), more=named(BIG, limits=["40/s"]))
        number = mailing(shop, {BIG: 10})
        for _ in range(2):
            going = turn(shop)
            work = asyncio.ensure_future(going.work([number]))
            await asyncio.sleep(0.5)
            going.stop()
            await work
        assert lab.messages == []
        assert shop.tally(number)["deferred"] <= 3
        assert shop.tally(number)["deferred"] + shop.tally(number)["pending"] == 10


# reading ahead


def drawn(shop: Shop, number: int, seconds: float) -> list[tuple[str, ...]]:
    """The recipients of every lot that is drawn in so many seconds that nobody waits for, each tried at once."""
    flows = Flows(shop.house.ledger, shop.house.config)
    lots = Lots(shop.house.ledger, flows, 1)
    domains = dict(
        shop.house.db.conn.execute(
            "select d.id, s.address from delivery d join subscriber s on s.id = d.subscriber where mailing = ?",
            (number,),
        )
    )
    now, end, found = 1000.0, 1000.0 + seconds, []
    while now <= end:
        lot = lots.draw([number], 50, now)
        if lot is None:
            break
        if isinstance(lot, float):
            now = max(now, lot)
            continue
        found.append(tuple(domains[each].partition("@")[2] for each in lot.deliveries))
        assert len(set(found[-1])) == 1
        if (flow := flows.of(lot.destination)) is not None:
            for _ in lot.deliveries:
                flow.pace.promised -= 1
                flow.pace.take(flow.pace.next(now))
        lots.over(lot.destination)
    return found


def test_a_long_class_is_read_on_its_own_and_nobody_twice(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.lots.KEPT", 20)
    monkeypatch.setattr("broadcaster.lots.READ", 10)
    shop.relays(("main", 1), more=named(BIG, limits=["50/s"]) + named("mid.example", limits=["5/s"]))
    number = mailing(shop, {BIG: 200, "mid.example": 60, "small.example": 100})
    found = drawn(shop, number, 60)
    assert Counter(domain for lot in found for domain in lot) == {BIG: 200, "mid.example": 60, "small.example": 100}
    rest = [place for place, lot in enumerate(found) if lot[0] == "small.example"]
    assert rest[-1] < len(found) / 2


def test_what_is_given_back_is_drawn_again_and_first(shop: Shop) -> None:
    shop.relays(("main", 1))
    number = mailing(shop, {"small.example": 30})
    lots = Lots(shop.house.ledger, Flows(shop.house.ledger, shop.house.config), 1)
    first = lots.draw([number], 10, 1000.0)
    assert first is not None
    assert not isinstance(first, float)
    lots.give_back(number, first.destination, first.deliveries[5:])
    again = lots.draw([number], 10, 1000.0)
    assert again is not None
    assert not isinstance(again, float)
    assert again.deliveries[:5] == first.deliveries[5:]


def test_old_paces_of_destinations_are_dropped(shop: Shop) -> None:
    shop.relays(("main", 1), more=named("default", limits=["5/m"]))
    ledger = shop.house.ledger
    ledger.keep_pace("destination:old.example", {"clock": 1000.0, "windows": {}})
    ledger.keep_pace("relay:main", {"clock": 1000.0, "windows": {}})
    Flows(ledger, shop.house.config).close(1000.0 + 3 * 86400)
    assert ledger.pace("destination:old.example") is None
    assert ledger.pace("relay:main") is not None


def test_a_domain_is_found_without_a_scan(shop: Shop) -> None:
    plan = " ".join(
        row[3]
        for row in shop.house.db.conn.execute(
            "explain query plan select d.id, substr(s.address, 1) from delivery d"
            " left join subscriber s on s.id = d.subscriber"
            " where d.id > 1 and d.id <= 5 and d.state = 0 order by d.id limit 5"
        )
    )
    assert "SEARCH d USING INTEGER PRIMARY KEY" in plan
    assert "SEARCH s USING INTEGER PRIMARY KEY" in plan
