"""A plan right behind the result of its symbol's fill, decided by evaluator and ledger writer together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
import trio
import trio.testing

from brain.identifiers import FencingToken
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.position import Leg, Snapshot, VerifiedBy
from brain.positions.symbol_state import StreamProof
from channels import BookEntry, Lease
from store.records import ResultCommit
from supervision import Heartbeat
from tests.actors.evaluator_rig import Watched, evaluator_beside
from tests.actors.ledger_rig import LedgerRig
from tests.brain.cases import RULES
from tests.virtual_time import virtual_time

pytestmark = virtual_time

NO_COOLDOWN = msgspec.structs.replace(RULES, cooldown_sec=0)


class SlowBookings(Watched):
    """The twin, which books results only after `booking_sec`."""

    booking_sec = 0.0

    async def commit_results(self, fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        await trio.sleep(self.booking_sec)
        return await super().commit_results(fence, commits)


class FillsAndExits:
    """Both actors, a stream that is proven, and an exchange that the test dictates."""

    def __init__(self, *, hedge_mode: bool = False, on_demand: bool = True) -> None:
        self.ledgers = LedgerRig(hedge_mode=hedge_mode)
        self.exchange, self.redis, self.clock = self.ledgers.exchange, self.ledgers.redis, self.ledgers.clock
        self.book, self.keys = self.ledgers.book, self.ledgers.keys
        self.store = SlowBookings(self.redis, keys=self.keys, consumer="me")
        self.permits = evaluator_beside(self.ledgers, self.store, on_demand=on_demand, rules=NO_COOLDOWN)
        self.reads = 0
        self.read_answer: str | None = None
        for symbol in ("BTCUSDT", "ETHUSDT"):
            self.exchange.set(symbol, "0", update_time_ms=0)
            if hedge_mode:
                self.exchange.set_leg(symbol, Leg.LONG, "0", 0)
                self.exchange.set_leg(symbol, Leg.SHORT, "0", 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Both run; all symbols are flat, proven, and adopted more than a minute ago."""
        reply = await self.store.hold_lease("me", None, 3_600_000)
        async with trio.open_nursery() as nursery:
            self.ledgers.lease.send(Lease(reply.fence, "me"))
            self.permits.rules_asked_at.send(self.clock.now())
            nursery.start_soon(self.ledgers.writer().run, Heartbeat())
            nursery.start_soon(self.permits.evaluator().run, Heartbeat())
            nursery.start_soon(self.permits.answer_reads, 0.005, self._read)
            await trio.sleep(1)
            for symbol in ("BTCUSDT", "ETHUSDT"):
                self.ledgers.observe(symbol)
            await trio.sleep(61)
            self.prove()
            await trio.sleep(0.25)
            yield
            nursery.cancel_scope.cancel()

    def prove(self) -> None:
        """A ping was answered: all is as it was shown last, as of now."""
        now = self.clock.now()
        for symbol in ("BTCUSDT", "ETHUSDT"):
            self.show(symbol, now, VerifiedBy.REST)
        self.book.prove(0, StreamProof(now, now))

    def show(self, symbol: str, as_of: Moment, by: VerifiedBy) -> None:
        """The book shows what the exchange does."""
        legs = tuple(row.position for row in self.exchange.rows_of(symbol))
        snapshot = Snapshot(symbol, legs, Decimal(10), Decimal(100), as_of.wall_ms, as_of, by)
        self.book.publish(0, BookEntry(snapshot, as_of))

    def _read(self, symbol: str) -> str | None:
        self.reads += 1
        if self.read_answer is None:
            self.show(symbol, self.clock.now(), VerifiedBy.ONDEMAND)
        return self.read_answer

    async def push(
        self, order_id: str, side: str, filled: Moment, after_sec: float, leg: Leg = Leg.BOTH
    ) -> None:
        """The stream reports the order's fill: dated by the exchange, `after_sec` from now."""
        await trio.sleep(after_sec)
        self.show("BTCUSDT", filled, VerifiedBy.STREAM)
        self.ledgers.push_fill("BTCUSDT", order_id, side, leg=leg)

    async def opened(self, order_id: str = "1", quantity: str = "3", **fields: str) -> Moment:
        """An entry is allowed and filled, and its result is published; the moment of the fill."""
        self.permits.publish_entry(f"entry-{order_id}", qty=quantity, **fields)
        await trio.sleep(0.02)
        assert self.permits.reason(f"entry-{order_id}") == "open_permit_granted"
        filled = self.clock.now()
        leg = Leg(fields.get("positionSide", "BOTH"))
        self.exchange.fill("BTCUSDT", order_id, fields.get("side", "BUY"), quantity, leg)
        await trio.sleep(0.001)
        self.ledgers.publish_result(
            "BTCUSDT", order_id, fields.get("side", "BUY"), quantity, plan_id=f"entry-{order_id}"
        )
        return filled

    async def ask(self, plan_id: str = "exit", **fields: str) -> float:
        """Publish an exit; return the seconds until its answer."""
        self.permits.publish(plan_id, **fields)
        return await self.answered(plan_id)

    async def answered(self, plan_id: str) -> float:
        """Seconds until the plan has its permit."""
        begun = trio.current_time()
        with trio.fail_after(5):
            while self.permits.permit(plan_id) is None:  # noqa: ASYNC110 - virtual time
                await trio.sleep(0.0005)
        return trio.current_time() - begun


@pytest.fixture
async def world() -> AsyncIterator[FillsAndExits]:
    """Yields one that runs, in one-way mode."""
    world = FillsAndExits()
    async with world.running():
        yield world


@pytest.mark.parametrize("gap_sec", [0, 0.001, 0.003, 0.005])
@pytest.mark.parametrize("push_after_sec", [0, 0.001, 0.003, 0.080])
async def test_an_exit_right_behind_its_fills_result_waits_for_the_push(
    world: FillsAndExits, nursery: trio.Nursery, gap_sec: float, push_after_sec: float
) -> None:
    filled = await world.opened()
    nursery.start_soon(world.push, "1", "BUY", filled, push_after_sec)
    await trio.sleep(gap_sec)
    assert await world.ask() <= push_after_sec + 0.02
    permit = world.permits.answer("exit")
    assert (permit["reason"], permit["safe_close_qty"]) == ("sanity_checks_passed", 3)
    assert world.reads == 0


async def test_a_push_that_never_comes_makes_the_position_be_read(world: FillsAndExits) -> None:
    await world.opened()
    assert 0.1 <= await world.ask() < 0.2
    assert world.permits.reason("exit") == "sanity_checks_passed"
    assert world.reads == 1


async def test_without_trust_in_the_stream_no_push_is_waited_for(world: FillsAndExits) -> None:
    await world.opened()
    world.book.lose_trust(world.clock.now().earlier_by(3600))
    assert await world.ask() < 0.05
    assert world.permits.reason("exit") == "sanity_checks_passed"


@pytest.mark.parametrize("on_demand", [True, False])
async def test_a_snapshot_not_proven_to_contain_the_fill_is_stale_in_the_end(on_demand: bool) -> None:
    world = FillsAndExits(on_demand=on_demand)
    world.read_answer = "HTTP 502"
    async with world.running():
        await world.opened()
        assert await world.ask() < 1.0
        assert world.permits.reason("exit") == "stale_exchange_state"


async def test_a_result_that_no_push_explains_delays_no_plan_after_the_next_proof(
    world: FillsAndExits,
) -> None:
    await world.opened()
    await trio.sleep(1)
    world.prove()
    for number in range(3):
        assert await world.ask(f"exit-{number}", action="PARTIAL_50") < 0.01
    assert world.reads == 0


async def test_a_plan_of_another_symbol_is_not_held_up(world: FillsAndExits) -> None:
    await world.opened()
    world.permits.publish("exit")
    world.permits.publish_entry("other", "ETHUSDT")
    assert await world.answered("other") < 0.01
    assert world.permits.permit("exit") is None


async def test_an_exit_waits_until_the_result_in_hand_is_booked(world: FillsAndExits) -> None:
    """The push is here; the ledger is not, and the entry's permit would explain the difference."""
    world.store.booking_sec = 0.2
    filled = await world.opened()
    await world.push("1", "BUY", filled, 0)
    assert 0.15 < await world.ask() < 0.25
    assert world.permits.reason("exit") == "sanity_checks_passed"


async def test_a_result_that_is_never_booked_makes_no_plan_miss_its_deadline(world: FillsAndExits) -> None:
    world.store.booking_sec = 3600
    filled = await world.opened()
    await world.push("1", "BUY", filled, 0)
    assert await world.ask() < 1.0
    assert world.permits.reason("exit") == "in_flight_permit"
    await trio.sleep(2)
    world.prove()
    assert await world.ask("later") < 0.02


async def test_a_repeated_result_delays_no_plan(world: FillsAndExits) -> None:
    filled = await world.opened()
    await world.push("1", "BUY", filled, 0.001)
    await trio.sleep(0.5)
    world.ledgers.publish_result("BTCUSDT", "1", "BUY", "3", plan_id="entry-1")
    await trio.sleep(0.005)
    assert await world.ask() < 0.01
    assert world.reads == 0


async def test_an_older_snapshot_that_agrees_with_a_newer_ledger_by_chance_allows_nothing(
    world: FillsAndExits,
) -> None:
    """Another trader buys 3, our order buys 3, the other one sells 5: only the first was pushed in time."""
    world.permits.publish_entry("entry", qty="3")
    await world.answered("entry")
    world.exchange.set("BTCUSDT", "3")
    world.show("BTCUSDT", world.clock.now(), VerifiedBy.STREAM)
    await trio.sleep(0.005)
    world.exchange.fill("BTCUSDT", "1", "BUY", "3")
    await trio.sleep(0.005)
    world.exchange.set("BTCUSDT", "1")
    world.ledgers.publish_result("BTCUSDT", "1", "BUY", "3", plan_id="entry")
    await trio.sleep(0.01)
    assert world.ledgers.amount("BTCUSDT") == "3", "what the snapshot from before our fill shows, too"
    await world.ask()
    assert world.permits.reason("exit") == "reconcile_required_qty_mismatch"
    assert world.reads == 1


async def test_a_fill_of_the_other_leg_proves_nothing() -> None:
    world = FillsAndExits(hedge_mode=True)
    async with world.running():
        filled = await world.opened("1", positionSide="LONG")
        world.exchange.legs["BTCUSDT"][Leg.SHORT] = Decimal(-1), world.exchange.now_ms() + 5
        shown = dict(world.exchange.legs["BTCUSDT"])
        world.exchange.legs["BTCUSDT"][Leg.LONG] = Decimal(0), 0
        world.show("BTCUSDT", filled, VerifiedBy.STREAM)
        world.ledgers.push_fill("BTCUSDT", "1", "BUY", leg=Leg.LONG)
        world.exchange.legs["BTCUSDT"] = shown
        assert await world.ask(positionSide="LONG") >= 0.1
        assert world.permits.reason("exit") == "sanity_checks_passed"
        assert world.reads == 1


@pytest.mark.parametrize("leg", ["LONG", "SHORT"])
async def test_a_push_of_its_leg_is_enough_in_hedge_mode(leg: str) -> None:
    world = FillsAndExits(hedge_mode=True)
    side = "BUY" if leg == "LONG" else "SELL"
    async with world.running(), trio.open_nursery() as nursery:
        filled = await world.opened("1", positionSide=leg, side=side)
        nursery.start_soon(world.push, "1", side, filled, 0.003, Leg(leg))
        assert await world.ask(positionSide=leg) < 0.03
        assert world.permits.reason("exit") == "sanity_checks_passed"
        assert world.reads == 0


async def test_no_snapshot_older_than_the_last_booking_of_another_process_is_decided_on(
    world: FillsAndExits,
) -> None:
    """A standby takes over: its book is warm, and the ledger is newer than the book."""
    world.exchange.set("BTCUSDT", "3")
    stored: dict[str | bytes, str | bytes] = {"last_known_amt": "3", "last_order_id": "9"}
    stored["last_order_time_epoch"] = plain(Decimal(world.clock.now().wall_ms).scaleb(-3))
    world.redis.hset(world.keys.ledger("BTCUSDT"), stored)
    await trio.sleep(0.05)
    world.ledgers.results.begin(FencingToken("another"), world.clock.now())
    await world.ask()
    assert world.permits.reason("exit") == "sanity_checks_passed"
    assert world.reads == 1


async def test_an_exit_waits_for_results_that_lie_unread_behind_another_booking(world: FillsAndExits) -> None:
    world.permits.publish_entry("entry", qty="3")
    await world.answered("entry")
    world.store.booking_sec = 0.05
    world.ledgers.publish_result("ETHUSDT", "7", "BUY", "0.5", plan_id="another")
    await trio.sleep(0.01)
    filled = world.clock.now()
    world.exchange.fill("BTCUSDT", "1", "BUY", "3")
    world.ledgers.publish_result("BTCUSDT", "1", "BUY", "3", plan_id="entry")
    await world.push("1", "BUY", filled, 0)
    assert 0.08 < await world.ask() < 0.12
    assert world.permits.reason("exit") == "sanity_checks_passed"
