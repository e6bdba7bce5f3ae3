"""A round of sending in this process: the real database and engine, a lab server in a thread, our clock and dice."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from broadcaster import broadcast
from broadcaster import mailing as m
from broadcaster.address import Address
from broadcaster.cli.house import House
from broadcaster.counting import Counting
from broadcaster.courier import Consignment, Courier, Journal
from broadcaster.delivery import Answer, Envelope, Event, Outcome, State
from broadcaster.engines.local import LocalEngine, Way
from broadcaster.errors import CannotWrite
from broadcaster.ledger import Ledger
from broadcaster.lock import Lock
from broadcaster.sending import Round, Turn, Watch
from broadcaster.subscriber import Subscriber
from broadcaster.transports import Transport
from tests.conftest import Place
from tests.lab.server import Lab, Rule, running

STATEMENT = "---\nsubject: Hello\npreheader: A short one\n---\nHello {{ subscriber.name | default('you') }}\n"
RELAY = (
    '[relays.{name}]\nurl = "smtp://127.0.0.1:{port}"\ntls = "none"\nlimits = {limits}\nconnections = {connections}\n'
)
HEAD = """
[sender]
name = "Water for All"
address = "news@water.example"
[links]
leave_mailto = "leave@water.example"
"""


@dataclass
class Shop:
    """A workspace, and its house in this process."""

    place: Place
    house: House

    def relays(self, *relays: tuple[str, int], limits: str = "[]", connections: int = 1, more: str = "") -> None:
        text = "".join(
            RELAY.format(name=name, port=port, limits=limits, connections=connections) for name, port in relays
        )
        (self.place.root / "broadcaster.toml").write_text(HEAD + text + more, encoding="utf-8")
        self.house.__dict__.pop("config", None)

    def mailing(self, number: int) -> int:
        """Enrol so many people in a mailing and begin it."""
        house = self.house
        with house.db.atomic() as conn:
            conn.executemany(
                "insert or ignore into subscriber (id, key, address, name, created, changed) values (?, ?, ?, ?, 1, 1)",
                [(i, f"p{i}@example.org", f"p{i}@example.org", f"Person {i}") for i in range(1, number + 1)],
            )
            conn.executemany(
                "insert or ignore into subscription values (1, ?, 1, 1)", [(i,) for i in range(1, number + 1)]
            )
        order = broadcast.Order("june", ("news",))
        plan = broadcast.plan(house.workspace, house.config, house.roster, house.ledger, order)
        made = broadcast.prepare(house.config, house.roster, house.ledger, house.mark, plan, house.now)
        return broadcast.begin(house.ledger, house.config, made.id, house.now).id

    def turn(
        self, connect: Callable[[Transport], Transport] = lambda made: made, since: int | None = None, **hands: Any
    ) -> Turn:
        """A turn whose connections are made by us, and naps are short."""

        def build(courier: Courier) -> LocalEngine[Any]:
            ways = [
                Way(relay.name, relay.connections, lambda relay=relay: connect(self.house.transport(relay)))  # type: ignore[misc]
                for relay in self.house.config.relays
            ]
            return LocalEngine(ways, courier, nap=0.01)

        return Turn(replace(self.house.hands, **hands), build, Watch(), since)

    async def work(self, turn: Turn, number: int, *, wait: bool = False) -> None:
        async with asyncio.timeout(20):
            await turn.work([number], wait=wait)

    def tally(self, number: int) -> dict[str, int]:
        return self.house.ledger.mailing(number).words()


@pytest.fixture
def shop(place: Place) -> Iterator[Shop]:
    place.statement("june", en=STATEMENT)
    with House(place.root) as house:
        house.roster.create_list("news", "water.example", {})
        yield Shop(place, house)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110  what is waited for is in a database
            await asyncio.sleep(0.01)


def once_each(number: int) -> Counter[str]:
    return Counter(f"p{i}@example.org" for i in range(1, number + 1))


async def test_what_a_dying_relay_did_not_try_goes_through_the_living_one(shop: Shop) -> None:
    with (
        running(Rule("mail", reply="421 4.3.2 shutting down", tries=tuple(range(5, 10000)))) as ill,
        running(Rule("dot", delay=0.003)) as well,
    ):
        shop.relays(("ill", ill.port), ("well", well.port), connections=2)
        number = shop.mailing(400)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 400}
        assert Counter(ill.addresses()) + Counter(well.addresses()) == once_each(400)


def asked(lab: Lab, address: str) -> int:
    """How often a relay was asked to take a message for somebody."""
    return sum(line.startswith(f"RCPT TO:<{address}>") for session in lab.sessions for line in session.lines)


async def test_what_one_relay_breaks_off_goes_through_another(shop: Shop) -> None:
    with running(Rule("data", then="close", address="p3@example.org")) as sore, running() as well:
        shop.relays(("sore", sore.port), ("well", well.port))
        number = shop.mailing(40)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 40}
        assert Counter(sore.addresses()) + Counter(well.addresses()) == once_each(40)
        assert asked(sore, "p3@example.org") in (0, 2)
        assert asked(well, "p3@example.org") == 1


async def test_what_every_relay_breaks_off_was_tried_twice_at_each_and_in_the_end_once_more(shop: Shop) -> None:
    breaks = Rule("data", then="close", address="p3@example.org")
    with running(breaks) as one, running(breaks) as other:
        shop.relays(("one", one.port), ("other", other.port))
        number = shop.mailing(40)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 39, "deferred": 1}
        assert sorted((asked(one, "p3@example.org"), asked(other, "p3@example.org"))) == [2, 4]


async def test_a_relay_that_has_had_its_share_is_not_waited_for(shop: Shop) -> None:
    with running(Rule("data", then="close", address="p3@example.org")) as sore, running() as spent:
        more = RELAY.format(name="spent", port=spent.port, limits='["1/h"]', connections=1)
        shop.relays(("sore", sore.port), more=more)
        number = shop.mailing(10)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 9, "pending": 1}
        assert (asked(sore, "p3@example.org"), len(spent.messages)) == (2, 1)


async def test_where_the_other_relay_is_dead_the_one_that_broke_off_is_asked_again(shop: Shop) -> None:
    with running(Rule("data", then="close", address="p3@example.org", tries=(1, 2))) as alone:
        with running() as gone:
            pass
        shop.relays(("alone", alone.port), ("gone", gone.port))
        number = shop.mailing(10)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 10}


@contextmanager
def elsewhere(shop: Shop) -> Iterator[House]:
    """Another process, as far as SQLite can tell: a connection of its own."""
    with House(shop.place.root) as other:
        yield other


def test_what_was_put_off_keeps_its_time_when_it_is_written_only_later(shop: Shop) -> None:
    with running(Rule("rcpt", reply="450 4.2.0 later", delay=0.2)) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(3)
        record, calls = Ledger.record, []

        def full(self: Ledger, handed: Sequence[Any], outcomes: Sequence[Any]) -> Any:
            calls.append(len(outcomes))
            if len(calls) == 1:
                raise CannotWrite("the disk is full")
            return record(self, handed, outcomes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "record", full)
            with pytest.raises(CannotWrite):
                asyncio.run(shop.turn().work([number]))
        assert calls[0] == 1
        assert shop.tally(number) == {"deferred": 3}
        # nobody was due at once, and tried again
        assert sum(session.verbs.count("MAIL") for session in lab.sessions) == 3


async def test_who_leaves_in_the_moment_after_the_claim_gets_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as lab, elsewhere(shop) as other:
        shop.relays(("main", lab.port))
        number = shop.mailing(3)
        write = shop.house.mark.write

        def claimed_and_then(stamp: m.Stamp) -> None:
            write(stamp)
            other.roster.suppress(Address.parse("p2@example.org"), "staff")

        monkeypatch.setattr(shop.house.mark, "write", claimed_and_then)
        await shop.work(shop.turn(), number)
        assert set(lab.addresses()) == {"p1@example.org", "p3@example.org"}
        assert shop.tally(number) == {"accepted": 2, "suppressed": 1}


async def test_who_leaves_while_a_connection_that_went_during_signing_is_opened_again_gets_nothing(shop: Shop) -> None:
    class Slow:
        """Signs nothing; meanwhile the relay hangs up, and somebody leaves while the next connection is made."""

        async def sealed(self, envelope: Envelope, at: float) -> Envelope:
            if envelope.recipient == "p2@example.org":
                for connection in list(lab.connections):
                    connection.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
                leave = other.roster.suppress
                asyncio.get_running_loop().call_later(0.4, leave, Address.parse("p2@example.org"), "staff")
                await asyncio.sleep(0.1)
            return envelope

    with running(Rule("connect", delay=0.8, tries=(2,))) as lab, elsewhere(shop) as other:
        shop.relays(("main", lab.port))
        number = shop.mailing(3)
        await shop.work(shop.turn(sealing=Slow()), number)
        assert len(lab.sessions) == 2
        assert set(lab.addresses()) == {"p1@example.org", "p3@example.org"}
        assert shop.tally(number) == {"accepted": 2, "suppressed": 1}


async def test_who_leaves_while_a_copy_is_signed_gets_nothing(shop: Shop) -> None:
    class Slow:
        """Signs nothing, and takes its time."""

        async def sealed(self, envelope: Envelope, at: float) -> Envelope:
            if envelope.recipient == "p2@example.org":
                other.roster.suppress(Address.parse("p2@example.org"), "staff")
            await asyncio.sleep(0.01)
            return envelope._replace(message=b"Signed: yes\r\n" + envelope.message)

    with running() as lab, elsewhere(shop) as other:
        shop.relays(("main", lab.port))
        number = shop.mailing(3)
        await shop.work(shop.turn(sealing=Slow()), number)
        assert set(lab.addresses()) == {"p1@example.org", "p3@example.org"}
        assert all(message.data.startswith(b"Signed: yes\r\n") for message in lab.messages)
        assert shop.tally(number) == {"accepted": 2, "suppressed": 1}


async def test_the_connection_stands_before_anybody_is_asked_whether_he_may_go() -> None:
    """It may take a minute to connect again, and people leave in a minute."""
    order: list[str] = []

    class Both:
        """The desk and the transport: what is asked of them, in order."""

        async def open(self) -> Answer | None:
            order.append("open")
            return None

        def barred(self, row: Consignment) -> Event | None:
            order.append("barred")
            return Event.LEAVE

        def note(self, row: Consignment, outcome: Outcome) -> None:
            order.append(outcome.event.name)

    both: Any = Both()
    await Courier(both, time.time)(Consignment(1, 1, 0, 1, Subscriber(1, "a@example.org")), both, "main")
    assert order == ["open", "barred", "LEAVE"]


async def test_waiting_does_not_knock_without_end_at_a_relay_that_refuses_us(shop: Shop) -> None:
    with running(Rule("dot", reply="451 4.3.0 later", tries=(1,))) as lab:
        shop.relays(("main", lab.port), more='[retry]\nafter = ["1h"]\n')
        number = shop.mailing(2)
        await shop.work(shop.turn(), number)
        lab.rules[:] = [Rule("connect", reply="554 5.7.1 not you")]
        shop.house.db.conn.execute("update due set at = at - 7200")
        turn, before = shop.turn(), len(lab.sessions)
        work = asyncio.ensure_future(turn.work([number], wait=True))
        await asyncio.sleep(0.5)
        turn.stop()
        await work
        assert len(lab.sessions) - before == 1


async def test_what_came_due_during_a_round_does_not_wait_once_more(shop: Shop) -> None:
    with running(Rule("dot", reply="451 4.3.0 later", tries=(1,)), Rule("dot", delay=0.05)) as lab:
        shop.relays(("main", lab.port), more='[retry]\nafter = ["1s"]\n')
        number = shop.mailing(30)
        await shop.work(shop.turn(dice=lambda: 0.0), number, wait=True)
        assert shop.tally(number) == {"accepted": 30}
        assert Counter(lab.addresses()) == once_each(30)


async def test_a_sender_that_only_waits_takes_what_is_handed_over(shop: Shop) -> None:
    with running(Rule("rcpt", reply="450 4.2.0 later", address="p1@example.org", tries=(1, 2))) as lab:
        shop.relays(("main", lab.port), more='[retry]\nafter = ["1h"]\n')
        number = shop.mailing(2)
        turn = shop.turn()
        work = asyncio.ensure_future(turn.work([number], wait=True))
        await until(lambda: shop.tally(number).get("deferred") == 1)
        with elsewhere(shop) as other:
            second = Shop(shop.place, other).mailing(2)
            await until(lambda: shop.tally(second).get("accepted", 0) >= 1)
        turn.stop()
        await asyncio.wait_for(work, 5)


async def test_cron_hands_what_waits_over_to_the_sender_at_work(shop: Shop) -> None:
    with running(Rule("rcpt", reply="450 4.2.0 later", address="p1@example.org", tries=(1, 2))) as lab:
        shop.relays(("main", lab.port), more='[retry]\nafter = ["1h"]\n')
        first, second = shop.mailing(2), shop.mailing(2)
        await shop.work(shop.turn(), first)
        shop.house.db.conn.execute("update mailing set changed = 1 where id = ?", (first,))
        lock = Lock(shop.house.workspace.lock)
        broadcast.take_over(shop.house.ledger, lock, shop.house.config, shop.house.now, shop.house.mark)
        turn = shop.turn()
        work = asyncio.ensure_future(turn.work([second], wait=True))
        await until(lambda: shop.tally(second).get("deferred") == 1)
        shop.house.db.conn.execute("update due set at = 1 where mailing = ?", (first,))
        await asyncio.to_thread(shop.place.run, "run", status=75)
        await until(lambda: shop.tally(first) == {"accepted": 2})
        assert shop.house.ledger.mailing(first).state is m.State.FINISHED
        turn.stop()
        await asyncio.wait_for(work, 5)
        lock.release()
        assert Counter(lab.addresses()) == Counter({"p1@example.org": 1, "p2@example.org": 2})


def test_what_is_handed_over_between_the_lock_and_the_first_lot_is_seen(shop: Shop) -> None:
    with running() as lab:
        shop.relays(("main", lab.port))
        first, second = shop.mailing(2), shop.mailing(3)
        locked = shop.house.now
        with elsewhere(shop) as other:
            broadcast.begin(other.ledger, other.config, second, locked)
        late = locked + 2.0
        turn = shop.turn(clock=lambda: late, since=locked)
        asyncio.run(turn.work([first]))
        assert shop.tally(second) == {"accepted": 3}


def test_the_boot_of_the_last_sender_is_known_until_what_it_left_is_settled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while recovering after a power cut, and recovering again: still a doubt, never a second mail."""
    shop.relays(("main", 1))
    number = shop.mailing(3)
    ledger = shop.house.ledger
    ledger.name_sender(1, "here", "an earlier boot", 1)
    ledger.shift(number, ledger.pending(ledger.mailing(number), 0, 3), Event.CLAIM)
    recover = Ledger.recover

    def killed(self: Ledger, now: int, *, rebooted: bool) -> tuple[int, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "recover", killed)
    lock = Lock(shop.house.workspace.lock)
    with pytest.raises(KeyboardInterrupt):
        broadcast.take_over(ledger, lock, shop.house.config, 2, shop.house.mark)
    monkeypatch.setattr(Ledger, "recover", recover)
    recovered = broadcast.take_over(ledger, lock, shop.house.config, 3, shop.house.mark)
    assert (recovered.back, recovered.doubt) == (0, 3)


def test_a_rehearsal_is_never_finished_with_real_mail(shop: Shop) -> None:
    (shop.place.root / "broadcaster.toml").write_text(HEAD + '[relays.main]\nurl = "maildir:outbox"\n')
    number = shop.mailing(3)
    ledger = shop.house.ledger
    ledger.shift(number, [ledger.mailing(number).first], Event.SKIP)
    with running() as lab:
        shop.relays(("main", lab.port))
        shop.place.run("run")
        assert lab.messages == []
        other = shop.mailing(3)
        ledger.touch(number, shop.house.now)
        shop.place.run("send", str(other), "--yes")
        assert len(lab.messages) == 3
        assert shop.tally(number)["pending"] == 2


def test_a_sender_killed_before_it_could_say_finished_is_finished_by_cron(shop: Shop) -> None:
    with running() as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(2)
        running_ = Round(shop.house.hands, [number], Watch())
        asyncio.run(running_.run(shop.house.engine(running_.courier())))
        assert shop.house.ledger.mailing(number).state is m.State.SENDING
        shop.place.run("run")
        assert shop.house.ledger.mailing(number).state is m.State.FINISHED
        assert len(lab.messages) == 2


def test_after_a_kill_the_pace_counts_all_that_any_connection_may_have_sent(shop: Shop) -> None:
    with running(Rule("dot", delay=0.1)) as lab:
        shop.relays(("main", lab.port), limits='["1000/h"]', connections=3)
        number = shop.mailing(60)
        kept: list[int] = []
        keep = Ledger.keep_pace

        def noticed(self: Ledger, scope: str, state: Any) -> None:
            kept.append(sum(count for _, count in state["windows"]["3600"]) + state.get("promised", 0))
            keep(self, scope, state)
            tally = self.mailing(number).tally
            gone = 60 - tally.get(State.PENDING, 0)
            assert kept[-1] >= gone

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "keep_pace", noticed)
            asyncio.run(shop.turn().work([number]))
        assert kept[-1] == 60


def test_what_was_answered_is_written_when_the_disk_has_room_again(shop: Shop) -> None:
    with running() as lab:
        shop.relays(("main", lab.port), connections=3)
        number = shop.mailing(100)
        record, calls = Ledger.record, []

        def full(self: Ledger, handed: Sequence[Any], outcomes: Sequence[Any]) -> Any:
            calls.append(len(outcomes))
            if len(calls) == 9:
                raise CannotWrite("the disk is full")
            return record(self, handed, outcomes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "record", full)
            with pytest.raises(CannotWrite):
                asyncio.run(shop.turn().work([number]))
        tally = shop.tally(number)
        assert tally["accepted"] == len(lab.messages)
        assert set(tally) == {"accepted", "pending"}
        asyncio.run(shop.turn().work([number]))
        assert Counter(lab.addresses()) == once_each(100)


async def test_paused_and_resumed_while_another_mailing_goes_it_goes_on(shop: Shop) -> None:
    with running(Rule("dot", delay=0.01)) as lab, elsewhere(shop) as other:
        shop.relays(("main", lab.port), connections=3)
        first, second = shop.mailing(100), shop.mailing(100)
        turn = shop.turn()
        work = asyncio.ensure_future(turn.work([first, second]))
        await until(lambda: len(lab.messages) >= 20)
        broadcast.pause(other.ledger, first, "somebody", other.now)
        at = len(lab.messages)
        await until(lambda: len(lab.messages) >= at + 20)
        broadcast.resume(other.ledger, other.config, first, other.now)
        await asyncio.wait_for(work, 20)
        assert shop.tally(first) == shop.tally(second) == {"accepted": 100}
        assert set(Counter(lab.addresses()).values()) == {2}


async def test_who_was_moved_by_somebody_else_is_not_handed_over_and_the_rest_goes_on(shop: Shop) -> None:
    with running(Rule("data", delay=0.3, address="p2@example.org")) as lab, elsewhere(shop) as other:
        shop.relays(("main", lab.port))
        number = shop.mailing(4)
        work = asyncio.ensure_future(shop.work(shop.turn(), number))
        await until(lambda: any("p2@example.org" in line for session in lab.sessions for line in session.lines))
        claimed = other.ledger.mailing(number).first + 1
        assert other.ledger.shift(number, [claimed], Event.SKIP) == 1
        await work
        assert set(lab.addresses()) == {"p1@example.org", "p3@example.org", "p4@example.org"}
        assert shop.tally(number) == {"accepted": 3, "skipped": 1}


# refusals that are about us


async def test_a_relay_that_refuses_everyone_pauses_and_blames_nobody(shop: Shop) -> None:
    with running(Rule("rcpt", reply="550 5.1.1 recipient rejected")) as lab:
        shop.relays(("main", lab.port), connections=3)
        number = shop.mailing(50)
        await shop.work(shop.turn(), number)
        of = shop.house.ledger.mailing(number)
        assert of.state is m.State.PAUSED
        assert "main refuses everyone: 550 5.1.1 recipient rejected" in of.reason
        assert shop.tally(number) == {"pending": 50}
        lab.rules.clear()
        broadcast.resume(shop.house.ledger, shop.house.config, number, shop.house.now)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 50}
        assert Counter(lab.addresses()) == once_each(50)


async def test_who_is_refused_again_after_a_person_looked_is_rejected_and_the_rest_goes_on(shop: Shop) -> None:
    """A list that begins with ten dead addresses must not be paused for ever."""
    dead = [Rule("rcpt", reply="550 5.1.1 no such user", address=f"p{i}@example.org") for i in range(1, 12)]
    with running(*dead) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(30)
        await shop.work(shop.turn(), number)
        assert shop.house.ledger.mailing(number).state is m.State.PAUSED
        broadcast.resume(shop.house.ledger, shop.house.config, number, shop.house.now)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 19, "rejected": 11}


@pytest.mark.parametrize(
    "rule",
    [
        Rule("rcpt", reply="550 5.1.1 recipient rejected"),
        Rule("rcpt", reply="550 5.7.1 relay access denied"),
        Rule("mail", reply="550 5.7.1 sender rejected"),
    ],
)
async def test_where_one_relay_refuses_us_the_other_carries_all(shop: Shop, rule: Rule) -> None:
    with running(rule) as ill, running(Rule("dot", delay=0.002)) as well:
        shop.relays(("ill", ill.port), ("well", well.port), connections=2)
        number = shop.mailing(100)
        turn = shop.turn()
        await shop.work(turn, number)
        assert shop.tally(number) == {"accepted": 100}
        assert Counter(well.addresses()) == once_each(100)
        assert list(turn.down) == ["ill"]


@pytest.mark.parametrize("reply", ["550 5.7.1 this looks like spam", "552 5.3.4 too large", "554 5.6.0 no"])
async def test_a_message_that_nobody_takes_is_paused_and_said(shop: Shop, reply: str) -> None:
    with running(Rule("dot", reply=reply)) as lab:
        shop.relays(("main", lab.port), connections=2)
        number = shop.mailing(50)
        await shop.work(shop.turn(), number)
        of = shop.house.ledger.mailing(number)
        assert (of.state, reply in of.reason) == (m.State.PAUSED, True)
        assert shop.tally(number) == {"pending": 50}
        assert len(lab.messages) <= 4


async def test_an_address_that_the_relay_cannot_carry_is_about_that_address_alone(shop: Shop) -> None:
    with running(offers=("PIPELINING", "8BITMIME")) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(30)
        shop.house.db.conn.execute("update subscriber set address = 'ü' || address where id <= 15")
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 15, "rejected": 15}
        assert not list(shop.house.roster.suppressions())


async def test_to_be_told_that_we_are_too_fast_is_no_try_of_the_persons(shop: Shop) -> None:
    busy, later = "450 4.7.28 unusual rate", "450 4.2.0 greylisted"
    with running(
        Rule("rcpt", reply=busy, tries=(1, 2)), Rule("rcpt", reply=later, tries=(3,)), Rule("dot", delay=0.01)
    ) as lab:
        shop.relays(("main", lab.port), more='[retry]\nafter = ["5m", "1h"]\ngive_up = "1h"\n')
        number = shop.mailing(1)
        ledger = shop.house.ledger
        waits = []
        for _ in range(3):
            await shop.work(shop.turn(dice=lambda: 0.5), number)
            due = ledger.next_ripe(number)
            assert due is not None
            waits.append(round((due - shop.house.now) / 60))
            # a day passes, which is more than anybody waits for a person
            shop.house.db.conn.execute("update due set at = 1")
            shop.house.db.conn.execute("update attempt set at = at - 86400")
            shop.house.db.conn.execute("delete from pace")
        assert waits == [1, 1, 5]
        shop.house.db.conn.execute("update attempt set at = at + 86400 where number = 3")
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 1}


async def test_a_second_try_is_counted_and_waits_for_its_turn(shop: Shop) -> None:
    with running(Rule("rcpt", then="close", tries=(1,), address="p2@example.org")) as lab:
        shop.relays(("main", lab.port), limits='["5/s"]')
        number = shop.mailing(6)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 6}
        assert Counter(lab.addresses()) == once_each(6)
        state = shop.house.ledger.pace("relay:main")
        # seven turns of a fifth of a second were taken, the first of them long ago
        assert state["windows"]["1"] - min(message.at for message in lab.messages) >= 7 * 0.2


async def test_where_the_second_try_would_wait_long_another_one_is_made_later(shop: Shop) -> None:
    with running(Rule("rcpt", then="close", tries=(1,), address="p1@example.org")) as lab:
        shop.relays(("main", lab.port), limits='["20/m"]')
        number = shop.mailing(1)
        begun = time.monotonic()
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 1}
        assert 2.5 < time.monotonic() - begun < 6


@pytest.mark.parametrize("whom", [1, 3], ids=["the first", "the last"])
@pytest.mark.parametrize("how", ["close", "421 4.3.2 closing"])
@pytest.mark.parametrize("at", ["rcpt", "data"])
async def test_who_is_broken_off_each_time_though_others_go_is_put_off_and_in_the_end_given_up(
    at: str, how: str, whom: int, shop: Shop
) -> None:
    now = time.time()
    address = f"p{whom}@example.org"
    rule = Rule(at, then="close", address=address) if how == "close" else Rule(at, reply=how, address=address)
    with running(rule) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(3)

        async def work(later: float) -> list[int]:
            await shop.work(shop.turn(clock=lambda: now + later), number)
            return [code for _, code, _ in shop.house.ledger.deferrals(whom)]

        assert await work(0) == [0]
        assert shop.tally(number) == {"accepted": 2, "deferred": 1}
        # twice as it came, and twice when the others had gone
        assert sum(session.verbs.count("MAIL") for session in lab.sessions) == 2 + 4
        put_off = Counting(shop.house.db).put_off(shop.house.ledger.mailing(number))
        assert [(each.number, each.waiting, each.reason) for each in put_off] == [(1, 1, "broken_off")]
        assert [shop.house.ledger.broken_off(each) for each in (1, 2, 3)] == [each == whom for each in (1, 2, 3)]
        due = shop.house.ledger.next_ripe(number)
        assert due is not None
        assert now + 200 < due < now + 400
        # alone now: what it was put off for is known
        assert await work(500) == [0, 0]
        assert shop.tally(number) == {"accepted": 2, "deferred": 1}
        await work(49 * 3600)
        assert shop.tally(number) == {"accepted": 2, "expired": 1}
        assert shop.house.ledger.mailing(number).state is m.State.FINISHED


async def test_who_was_not_tried_once_more_because_we_stopped_is_known_by_those_who_went_before(shop: Shop) -> None:
    slow = Rule("dot", delay=0.3, address="p2@example.org")
    with running(Rule("rcpt", then="close", address="p1@example.org"), slow) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(2)
        turn = shop.turn()
        working = asyncio.ensure_future(turn.work([number]))
        await until(lambda: asked(lab, "p2@example.org") == 1)
        turn.stop()
        await working
        assert shop.tally(number) == {"accepted": 1, "pending": 1}
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 1, "deferred": 1}


async def test_a_mailing_of_which_nobody_was_taken_is_nobodys_fault(shop: Shop) -> None:
    with running(Rule("rcpt", then="close", address="p1@example.org")) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(1)
        for _ in range(2):
            await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"pending": 1}


async def test_any_number_that_is_broken_off_each_time_takes_no_relay_from_the_others(shop: Shop) -> None:
    ill = {7 * n for n in range(1, 9)}
    with running(*(Rule("rcpt", then="close", address=f"p{n}@example.org") for n in ill)) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(60)
        turn = shop.turn()
        await shop.work(turn, number)
        assert shop.tally(number) == {"accepted": 52, "deferred": 8}
        assert not turn.down


async def test_who_was_broken_off_by_chance_goes_when_the_others_have_gone(shop: Shop) -> None:
    rules = [Rule("rcpt", then="close", address=f"p{n}@example.org", tries=(1, 2)) for n in (2, 3)]
    with running(*rules) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(3)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 3}
        assert not any(shop.house.ledger.deferrals(delivery) for delivery in (1, 2, 3))


@pytest.mark.parametrize("first", [1, 2], ids=["and took nobody", "and took one"])
async def test_a_relay_that_takes_nobody_any_more_blames_nobody(first: int, shop: Shop) -> None:
    with running(*(Rule("rcpt", then="close", address=f"p{n}@example.org") for n in range(first, 11))) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(10)
        for _ in range(2):
            turn = shop.turn()
            await shop.work(turn, number)
            assert set(turn.down) == {"main"}
        taken = {"accepted": 1} if first == 2 else {}
        assert shop.tally(number) == {"pending": 11 - first, **taken}
        assert not any(shop.house.ledger.deferrals(delivery) for delivery in range(1, 11))


async def test_whose_last_try_would_wait_long_is_waited_for(shop: Shop) -> None:
    with running(Rule("rcpt", then="close", address="p3@example.org")) as lab:
        # two for the others, two for the first tries, and one of the last two
        shop.relays(("main", lab.port), limits='["5/h"]')
        number = shop.mailing(3)
        turn = shop.turn()
        working = asyncio.ensure_future(turn.work([number]))
        await until(lambda: sum(session.verbs.count("MAIL") for session in lab.sessions) == 5)
        await asyncio.sleep(0.2)
        assert not working.done()
        turn.stop()
        await working
        assert shop.tally(number) == {"accepted": 2, "pending": 1}


async def test_a_relay_that_lets_nobody_in_again_has_not_broken_off_twice(shop: Shop) -> None:
    going = Rule("rcpt", then="close", address="p2@example.org", tries=(1, 3))
    with running(going, Rule("connect", reply="421 4.3.2 shutting down", tries=(2, 4, 5, 6))) as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(2)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 1, "pending": 1}
        assert not shop.house.ledger.deferrals(2)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 2}


async def test_who_was_put_off_by_one_relay_goes_through_another_that_came_later(shop: Shop) -> None:
    now = time.time()
    with running(Rule("rcpt", then="close", address="p1@example.org")) as sore, running() as well:
        shop.relays(("sore", sore.port))
        number = shop.mailing(2)
        await shop.work(shop.turn(), number)
        assert shop.tally(number) == {"accepted": 1, "deferred": 1}
        shop.relays(("sore", sore.port), ("well", well.port))
        await shop.work(shop.turn(clock=lambda: now + 500), number)
        assert well.addresses() == ["p1@example.org"]
        assert shop.tally(number) == {"accepted": 2}


@pytest.mark.parametrize("second_try", [True, False], ids=["for a second try", "for the next of a lot"])
async def test_whoever_only_connects_does_not_hold_up_the_end(second_try: bool, shop: Shop) -> None:
    hangs = Rule("connect", then="hang", tries=(2,))
    with running(hangs, *([Rule("rcpt", then="close")] if second_try else [])) as lab:
        relay = RELAY.format(name="main", port=lab.port, limits="[]", connections=1)
        shop.relays(more=relay + ("" if second_try else "messages_per_connection = 1\n"))
        number = shop.mailing(3)
        turn = shop.turn()
        working = asyncio.ensure_future(turn.work([number]))
        await until(lambda: len(lab.sessions) == 2)
        await asyncio.sleep(0.05)
        assert not working.done()
        turn.stop()
        async with asyncio.timeout(2):
            await working
        assert shop.tally(number) == ({"pending": 3} if second_try else {"accepted": 1, "pending": 2})


async def test_whoever_is_broken_off_while_he_waits_for_the_disk_loses_no_answer(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, waits, free = shop.house.db.settle, [0], threading.Event()
    lost = {"patience": 0.001, "linger": 60.0}  # it ends before the answer is written by itself
    monkeypatch.setattr(Journal.__init__, "__kwdefaults__", lost)

    def slow() -> None:
        waits[0] += 1
        assert waits[0] == 1 or free.wait(10)
        settle()

    monkeypatch.setattr(shop.house.db, "settle", slow)
    with running() as lab:
        shop.relays(("main", lab.port))
        number = shop.mailing(6)
        working = asyncio.ensure_future(shop.turn().work([number]))
        await until(lambda: waits[0] == 2)
        working.cancel()
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not working.done()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        taken = len(lab.messages)
        assert shop.tally(number) == {"accepted": taken, "pending": 6 - taken}
        free.set()
