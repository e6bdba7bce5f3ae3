"""The contract of an engine: each claimed row once, nothing before start says yes, stop means stop."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from broadcaster.delivery import Envelope, Event, Outcome, Reply, Silence, Stage, judge
from broadcaster.engines import Claim, Engine, Later, Lot
from broadcaster.engines.local import LocalEngine, Way
from broadcaster.relay import Relay
from broadcaster.transports import Transport
from broadcaster.transports.smtp import SmtpTransport, Timeouts
from tests.lab.server import Lab, Rule, running

BODY = b"Subject: Hello\r\n\r\nHello\r\n"
DEAD = 1  # nobody listens on this port


@dataclass(frozen=True)
class Parcel:
    delivery: int


async def no_mark() -> None:
    pass


async def courier(row: Parcel, transport: Transport, relay: str) -> Outcome:
    answer = await transport.deliver(Envelope(row.delivery, "b@x.example", f"p{row.delivery}@y.example", BODY), no_mark)
    return Outcome(row.delivery, judge(answer).event, answer, relay, time.time())


def way(port: int, name: str = "main", connections: int = 3, timeouts: Timeouts | None = None) -> Way:
    relay = Relay(name, "smtp", host="127.0.0.1", port=port, tls="none", messages_per_connection=50)
    return Way(name, connections, lambda: SmtpTransport(relay, timeouts=timeouts))


@dataclass
class Fence:
    """A `start` that says yes unless told otherwise, and remembers."""

    refuse: Callable[[Lot], bool] = lambda lot: False
    wait: Callable[[int], float | None] = lambda i: 0.0
    started: list[tuple[Lot, str]] = field(default_factory=list)

    async def __call__(self, lot: Lot, relay: str) -> Claim[Parcel] | Later | None:
        if self.refuse(lot):
            return None
        self.started.append((lot, relay))
        return Claim([Parcel(number) for number in lot.deliveries], self.wait)

    @property
    def claimed(self) -> list[int]:
        return [number for lot, _ in self.started for number in lot.deliveries]


async def cut(deliveries: Iterable[int], size: int = 10) -> AsyncIterator[Lot]:
    numbers = list(deliveries)
    for first in range(0, len(numbers), size):
        yield Lot(1, tuple(numbers[first : first + size]))


def local(*ways: Way) -> LocalEngine[Parcel]:
    return LocalEngine(ways, courier, nap=0.01)


async def everything(engine: Engine[Parcel], lots: AsyncIterator[Lot], fence: Fence) -> list[Outcome]:
    return [outcome async for outcome in engine.run(lots, fence)]


def assert_each_once(outcomes: Sequence[Outcome], fence: Fence) -> None:
    assert Counter(outcome.delivery for outcome in outcomes) == Counter(fence.claimed)


def numbers(lab: Lab) -> Counter[str]:
    return Counter(lab.addresses())


async def test_every_row_is_tried_once_and_reported_once() -> None:
    with running() as one, running() as two:
        fence = Fence()
        outcomes = await everything(local(way(one.port), way(two.port, "other")), cut(range(1000)), fence)
        assert_each_once(outcomes, fence)
        assert {outcome.event for outcome in outcomes} == {Event.ACCEPT}
        assert numbers(one) + numbers(two) == Counter(f"p{number}@y.example" for number in range(1000))
        assert one.messages
        assert two.messages
        assert one.peak <= 3


async def test_nothing_goes_on_the_wire_before_start_has_said_yes() -> None:
    with running() as lab:
        fence = Fence(refuse=lambda lot: lot.deliveries[0] >= 50)
        outcomes = await everything(local(way(lab.port)), cut(range(100)), fence)
        assert len(outcomes) == 50
        assert numbers(lab) == Counter(f"p{number}@y.example" for number in range(50))


@pytest.mark.parametrize("ways", [0, 1])
async def test_without_lots_or_without_relays_nothing_happens(ways: int) -> None:
    fence = Fence()
    assert await everything(local(*[way(DEAD)] * ways), cut([]), fence) == []
    assert await everything(local(), cut([1]), fence) == []
    assert fence.started == []


async def test_after_stop_open_transactions_end_and_the_rest_is_missed() -> None:
    with running(Rule("dot", delay=0.02)) as lab:
        engine, fence, outcomes = local(way(lab.port)), Fence(), []
        async for outcome in engine.run(cut(range(1000), 100), fence):
            outcomes.append(outcome)
            if len(outcomes) == 20:
                engine.stop()
        assert_each_once(outcomes, fence)
        events = Counter(outcome.event for outcome in outcomes)
        assert 20 <= events[Event.ACCEPT] <= 26
        assert events[Event.ACCEPT] == len(lab.messages)
        assert set(events) == {Event.ACCEPT, Event.MISS}
        assert len(fence.claimed) < 1000


async def test_stop_wakes_who_waits_for_lots_or_for_his_turn() -> None:
    async def never() -> AsyncIterator[Lot]:
        yield Lot(1, (1, 2))
        await asyncio.sleep(3600)

    with running() as lab:
        engine, fence = local(way(lab.port)), Fence(wait=lambda i: 3600.0 * i)
        outcomes = []
        async with asyncio.timeout(5):
            async for outcome in engine.run(never(), fence):
                outcomes.append(outcome)
                engine.stop()
        assert [outcome.event for outcome in outcomes] == [Event.ACCEPT, Event.MISS]


async def test_a_dead_relay_claims_nobody_and_ends_the_run() -> None:
    engine, fence = local(way(DEAD)), Fence()
    assert await everything(engine, cut(range(100)), fence) == []
    assert fence.started == []
    assert isinstance(engine.down["main"], Silence)


async def test_where_one_relay_is_dead_the_other_takes_all() -> None:
    with running() as lab:
        engine, fence = local(way(DEAD, "dead"), way(lab.port, "alive")), Fence()
        outcomes = await everything(engine, cut(range(200)), fence)
        assert {outcome.relay for outcome in outcomes} == {"alive"}
        assert len(lab.messages) == 200


@pytest.mark.parametrize(
    ("at", "reply"), [("connect", "554 5.7.1 not you"), ("ehlo", "550 5.7.1 no"), ("mail", "550 5.7.1 not from you")]
)
async def test_a_relay_that_refuses_us_is_left_alone_at_once(at: str, reply: str) -> None:
    with running(Rule(at, reply=reply)) as lab:
        engine, fence = local(way(lab.port, connections=1)), Fence()
        outcomes = await everything(engine, cut(range(100)), fence)
        assert {outcome.event for outcome in outcomes} <= {Event.MISS}
        assert isinstance(engine.down["main"], Reply)
        assert len(lab.sessions) == 1


async def test_one_connection_finds_out_whether_a_relay_talks_to_us_before_others_are_made() -> None:
    with running(Rule("connect", reply="554 5.7.1 go away", delay=0.1)) as lab:
        await everything(local(way(lab.port, connections=5)), cut(range(100)), Fence())
        # five refusals of one password look like an attack, and end in a ban
        assert len(lab.sessions) == 1
    with running(Rule("connect", delay=0.1, tries=(1,))) as lab:
        await everything(local(way(lab.port, connections=5)), cut(range(1000), size=1), Fence())
        assert lab.peak == 5


@pytest.mark.parametrize(("event", "dead"), [(Event.MISS, True), (Event.DEFER, False)])
async def test_who_is_known_to_end_every_connection_is_no_sign_of_a_dead_relay(event: Event, dead: bool) -> None:
    async def broken_off(row: Parcel, transport: Transport, relay: str) -> Outcome:
        return Outcome(row.delivery, event, Silence(after_dot=False, why="closed"), relay, 0.0)

    with running() as lab:
        engine = LocalEngine([way(lab.port, connections=1)], broken_off, nap=0.01)
        outcomes = await everything(engine, cut(range(20), size=1), Fence())
        assert set(engine.down) == ({"main"} if dead else set())
        assert len(outcomes) == (3 if dead else 20)


async def test_three_silences_after_the_dot_are_enough() -> None:
    with running(Rule("dot", then="close")) as lab:
        engine, fence = local(way(lab.port, connections=1)), Fence()
        outcomes = await everything(engine, cut(range(100)), fence)
        events = Counter(outcome.event for outcome in outcomes)
        assert events[Event.LOSE] == 3 == len(lab.messages)
        assert engine.down["main"] == Silence(True, "the relay closed the connection")
        assert_each_once(outcomes, fence)


async def test_where_only_so_many_connections_are_taken_all_mail_still_goes() -> None:
    with running(Rule("dot", delay=0.005), most_connections=2) as lab:
        engine, fence = local(way(lab.port, connections=5)), Fence()
        outcomes = await everything(engine, cut(range(300), 5), fence)
        assert_each_once(outcomes, fence)
        assert engine.down == {}
        sent = [outcome for outcome in outcomes if outcome.event is Event.ACCEPT]
        assert len(sent) >= 290
        assert len(lab.sessions) < 60


async def test_a_relay_that_closes_after_some_messages_is_opened_again_at_once() -> None:
    with running(most_messages=10) as lab:
        engine, fence = local(way(lab.port, connections=1)), Fence()
        begun = time.monotonic()
        outcomes = await everything(engine, cut(range(100)), fence)
        assert_each_once(outcomes, fence)
        assert engine.down == {}
        assert len(lab.messages) >= 90
        assert time.monotonic() - begun < 2


async def test_no_mail_is_written_before_its_time() -> None:
    with running() as lab:
        begun = time.time()
        slots: dict[int, float] = {}

        def wait(i: int) -> float:
            # each row asks until its slot has come
            mine = slots.setdefault(id(asyncio.current_task()), begun + 0.05 * next(places))
            if (left := mine - time.time()) > 0:
                return left
            del slots[id(asyncio.current_task())]
            return 0.0

        places = iter(range(100))
        engine, fence = local(way(lab.port)), Fence(wait=wait)
        outcomes = await everything(engine, cut(range(12), 3), fence)
        times = sorted(message.at for message in lab.messages)
        assert len(outcomes) == 12
        assert all(at >= begun + 0.05 * number - 0.002 for number, at in enumerate(times))


@pytest.mark.parametrize("where", ["courier", "start", "lots"])
async def test_an_error_ends_the_run_after_the_others_have_finished(where: str) -> None:
    async def failing(row: Parcel, transport: Transport, relay: str) -> Outcome:
        if where == "courier" and row.delivery == 35:
            raise RuntimeError("the disk is full")
        return await courier(row, transport, relay)

    class FailingFence(Fence):
        async def __call__(self, lot: Lot, relay: str) -> Claim[Parcel] | Later | None:
            if where == "start" and lot.deliveries[0] == 30:
                raise RuntimeError("the disk is full")
            return await super().__call__(lot, relay)

    async def lots() -> AsyncIterator[Lot]:
        async for lot in cut(range(100)):
            if where == "lots" and lot.deliveries[0] == 30:
                raise RuntimeError("the disk is full")
            yield lot

    with running(Rule("dot", delay=0.005)) as lab:
        engine: LocalEngine[Parcel] = LocalEngine([way(lab.port)], failing, nap=0.01)
        fence, outcomes = FailingFence(), []
        with pytest.raises(RuntimeError, match="disk is full"):  # noqa: PT012
            async for outcome in engine.run(lots(), fence):
                outcomes.append(outcome)  # noqa: PERF401
        reported = Counter(outcome.delivery for outcome in outcomes)
        assert set(fence.claimed) - set(reported) <= {35}
        assert max(reported.values(), default=1) == 1


async def test_closing_the_run_cuts_everything_off() -> None:
    with running(Rule("dot", then="hang", tries=(2,))) as lab:
        engine, fence = local(way(lab.port)), Fence()
        before = asyncio.all_tasks()
        async with contextlib.aclosing(engine.run(cut(range(100)), fence)) as outcomes:
            async for _ in outcomes:
                break
        assert asyncio.all_tasks() == before
        assert lab.messages


async def test_a_connection_without_work_says_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broadcaster.engines.local.IDLE", 0.05)

    async def lots() -> AsyncIterator[Lot]:
        yield Lot(1, (1,))
        await asyncio.sleep(0.3)
        yield Lot(1, (2,))

    with running() as lab:
        outcomes = await everything(local(way(lab.port, connections=1)), lots(), Fence())
        assert [outcome.event for outcome in outcomes] == [Event.ACCEPT] * 2
        assert [session.verbs[-1] for session in lab.sessions] == ["QUIT", "QUIT"]


async def test_a_connection_that_cannot_be_made_ends_the_run() -> None:
    def broken() -> Transport:
        raise RuntimeError("no such ca_file")

    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="ca_file"):
            await everything(local(Way("main", 2, broken)), cut(range(10)), Fence())


async def test_stop_does_not_wait_for_who_holds_nothing() -> None:
    with running(Rule("connect", then="hang")) as lab:
        engine = local(way(lab.port))
        asyncio.get_running_loop().call_later(0.05, engine.stop)
        async with asyncio.timeout(2):
            assert await everything(engine, cut(range(10)), Fence()) == []


async def test_an_error_does_not_wait_for_the_pace_of_others() -> None:
    class Slow(Fence):
        async def __call__(self, lot: Lot, relay: str) -> Claim[Parcel] | Later | None:
            if relay == "slow":
                await asyncio.sleep(3600)
            return await super().__call__(lot, relay)

    async def failing(row: Parcel, transport: Transport, relay: str) -> Outcome:
        await asyncio.sleep(0.05)
        raise RuntimeError("the disk is full")

    with running() as lab:
        engine: LocalEngine[Parcel] = LocalEngine([way(lab.port, "slow"), way(lab.port)], failing, nap=0.01)
        async with asyncio.timeout(5):
            with pytest.raises(RuntimeError, match="disk is full"):
                await everything(engine, cut(range(100)), Slow())


# several relays


@pytest.mark.parametrize("connections", [1, 4])
async def test_two_quick_relays_share_by_weight(connections: int) -> None:
    # as quick as each other, whatever else this machine does
    with running(Rule("dot", delay=0.002)) as heavy, running(Rule("dot", delay=0.002)) as light:
        ways = (
            Way("heavy", connections, way(heavy.port).connect, weight=3),
            Way("light", connections, way(light.port).connect, weight=1),
        )
        fence = Fence()
        outcomes = await everything(local(*ways), cut(range(2000), 10), fence)
        assert_each_once(outcomes, fence)
        assert 2.4 <= len(heavy.messages) / len(light.messages) <= 3.6


async def test_a_slow_relay_takes_what_it_can_and_throttles_nobody() -> None:
    with running() as quick, running(Rule("dot", delay=0.1)) as slow:
        ways = (Way("quick", 2, way(quick.port).connect), Way("slow", 2, way(slow.port).connect, weight=5))
        fence, begun = Fence(), time.monotonic()
        outcomes = await everything(local(*ways), cut(range(600), 5), fence)
        assert_each_once(outcomes, fence)
        assert len(slow.messages) >= 10
        # alone, the slow one would take half a minute, and by its weight 25 seconds of that
        assert time.monotonic() - begun < 6


async def test_a_lot_that_one_relay_may_not_take_yet_goes_through_another() -> None:
    class Paced(Fence):
        async def __call__(self, lot: Lot, relay: str) -> Claim[Parcel] | Later | None:
            if relay == "spent":
                asked.append(time.monotonic())
                return Later(time.time() + 3600)
            return await super().__call__(lot, relay)

    asked: list[float] = []
    with running() as spent, running() as other:
        fence = Paced()
        engine = local(Way("spent", 3, way(spent.port).connect, weight=100), way(other.port, "other"))
        outcomes = await everything(engine, cut(range(300)), fence)
        assert {outcome.relay for outcome in outcomes} == {"other"}
        assert len(outcomes) == 300
        assert len(asked) <= 3
        assert engine.down == {}


async def test_a_lot_for_later_waits_for_its_relay_and_nobody_asks_meanwhile() -> None:
    class Paced(Fence):
        async def __call__(self, lot: Lot, relay: str) -> Claim[Parcel] | Later | None:
            asked.append(time.time())
            if len(asked) % 2:
                return Later(time.time() + 0.2)
            return await super().__call__(lot, relay)

    asked: list[float] = []
    with running() as lab:
        fence, begun = Paced(), time.time()
        outcomes = await everything(local(way(lab.port, connections=1)), cut(range(30)), fence)
        assert_each_once(outcomes, fence)
        assert len(outcomes) == 30
        assert len(asked) == 6
        assert time.time() - begun >= 0.6


async def test_who_waits_for_a_pace_by_both_clocks_wants_work_when_one_of_them_has_come() -> None:
    """They are not read in the same moment: between the two turns nobody may fall asleep."""
    ahead = 0.0

    class Jumping(Fence):
        asked = 0

        async def __call__(self, lot: Lot, relay: str) -> Claim[Parcel] | Later | None:
            nonlocal ahead
            self.asked += 1
            if self.asked == 1:
                ahead = 60.0
                return Later(time.time() + 50)
            # meanwhile the mailing of the lot was paused
            return None if self.asked == 2 else await super().__call__(lot, relay)

    with running() as lab:
        fence = Jumping()
        engine = LocalEngine([way(lab.port, connections=1)], courier, nap=0.01, clock=lambda: time.time() + ahead)
        async with asyncio.timeout(5):
            await everything(engine, cut(range(4), 2), fence)
        assert fence.claimed == [2, 3]


async def test_what_must_wait_too_long_after_all_goes_back() -> None:
    with running() as lab:
        fence = Fence(wait=lambda i: None if i == 3 else 0.0)
        outcomes = await everything(local(way(lab.port)), cut(range(10)), fence)
        assert_each_once(outcomes, fence)
        assert Counter(outcome.event for outcome in outcomes) == {Event.ACCEPT: 3, Event.MISS: 7}


async def test_a_dead_relay_is_tried_again_while_another_works() -> None:
    with running() as probe:
        port = probe.port
    with running(Rule("dot", delay=0.01)) as well:
        engine: LocalEngine[Parcel] = LocalEngine(
            [way(port, "dead", connections=2), way(well.port, "well", connections=2)], courier, nap=0.01, cooling=0.2
        )
        fence, outcomes, down = Fence(), [], False
        async with contextlib.AsyncExitStack() as stack:
            async for outcome in engine.run(cut(range(400), 5), fence):
                outcomes.append(outcome)
                if "dead" in engine.down and not down:
                    down = True
                    risen = stack.enter_context(running(port=port))
            assert down
            assert_each_once(outcomes, fence)
            assert engine.down == {}
            assert risen.messages


async def test_a_relay_that_is_left_is_used_no_more() -> None:
    with running(Rule("dot", delay=0.005)) as one, running(Rule("dot", delay=0.005)) as two:
        engine, fence, outcomes = local(way(one.port, "one"), way(two.port, "two")), Fence(), []
        async for outcome in engine.run(cut(range(300), 5), fence):
            outcomes.append(outcome)
            if len(outcomes) == 50:
                engine.leave("one", Reply(Stage.RCPT, 550, "5.7.1 no"))
        assert_each_once(outcomes, fence)
        assert list(engine.down) == ["one"]
        last = [outcome for outcome in outcomes if outcome.event is Event.ACCEPT][80:]
        assert {outcome.relay for outcome in last} == {"two"}


async def test_too_many_sessions_at_once_shrink_the_window_and_are_nobodys_fault() -> None:
    with running(Rule("mail", reply="432 4.3.2 concurrent connections limit exceeded", tries=(2, 3))) as lab:
        engine, fence = local(way(lab.port, connections=4)), Fence()
        outcomes = await everything(engine, cut(range(100), 5), fence)
        assert_each_once(outcomes, fence)
        assert engine.down == {}


async def test_who_rests_after_a_failure_ends_with_the_others() -> None:
    with running() as lab:
        async with asyncio.timeout(5):
            engine: LocalEngine[Parcel] = LocalEngine(
                [way(lab.port, connections=1), way(DEAD, "dead", connections=1)], courier, nap=30.0
            )
            outcomes = await everything(engine, cut(range(20)), Fence())
        assert len(outcomes) == 20
