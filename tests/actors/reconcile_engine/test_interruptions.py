"""Outages of Redis, looks that are interrupted, and broken keys."""

from __future__ import annotations

import pytest
import trio

from store.memory.faults import Effect
from supervision import Heartbeat
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_the_symbol_with_a_key_of_a_wrong_type_does_not_stop_the_others(rig: ReconcileRig) -> None:
    for key in (
        rig.keys.order_memory("BTCUSDT"),
        rig.own.state("ETHUSDT"),
        rig.keys.open_permits("SOLUSDT"),
    ):
        rig.redis.set(key, "x")
    heartbeat = Heartbeat()
    for symbol in rig.symbols:
        rig.own_order(f"p33-{symbol}")
    async with running_engine(rig, heartbeat=heartbeat):
        for symbol in rig.symbols:
            rig.trade(symbol, "BUY", "1", client_order_id=f"p33-{symbol}")
        await trio.sleep(10)
        # What open permits cover is not known, and does not matter to what is proven.
        assert [rig.amount(symbol) for symbol in rig.symbols] == ["0", "0", "1", "1"]
        assert all(rig.held_by(symbol).startswith("p34:") for symbol in rig.symbols[:2])
        assert not heartbeat.waits()
        for key in (
            rig.keys.order_memory("BTCUSDT"),
            rig.own.state("ETHUSDT"),
            rig.keys.open_permits("SOLUSDT"),
        ):
            rig.redis.delete(key)
        await trio.sleep(120)
        assert [rig.amount(symbol) for symbol in rig.symbols] == ["1"] * 4


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["change_case", "repair_ledger", "reconcile_views", "booked_growth"])
async def test_a_call_that_fails_is_made_again_and_nothing_is_booked_twice(
    rig: ReconcileRig, when: Effect, method: str
) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.store.faults.fail_next(when, method=method)
        await trio.sleep(15)
        assert rig.amount("BTCUSDT") == "1"
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT").count("AUTO_REPAIR") == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_outage_of_redis_is_waited_out(rig: ReconcileRig, when: Effect) -> None:
    rig.own_order("p33-a")
    heartbeat = Heartbeat()
    async with running_engine(rig, heartbeat=heartbeat):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(1)
        with rig.store.faults.outage(when):
            await trio.sleep(30)
            assert any("Redis at" in wait.what for wait in heartbeat.waits())
        await trio.sleep(8)
        assert not heartbeat.waits()
        assert rig.amount("BTCUSDT") == "1"
        assert rig.held_by("BTCUSDT") == ""


async def test_holds_that_redis_forgot_in_an_outage_are_set_again(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        with rig.store.faults.outage():
            rig.release("BTCUSDT")
            await trio.sleep(5)
        await trio.sleep(3)
        assert rig.held_by("BTCUSDT").startswith("p34:")


async def test_a_fill_whose_booking_redis_lost_in_an_outage_is_booked_again(rig: ReconcileRig) -> None:
    """The agreement that this process has seen was about a ledger that is no more."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {order_id: "1|1760000000000"})
        rig.ledger("BTCUSDT", "1", version="2")
        await trio.sleep(5)
        with rig.store.faults.outage():
            rig.ledger("BTCUSDT", "0", version="1")
            rig.redis.delete(rig.keys.order_memory("BTCUSDT"))
            rig.redis.delete(rig.own.state("BTCUSDT"))
            await trio.sleep(1)
        await trio.sleep(8)
        assert rig.amount("BTCUSDT") == "1"


async def test_a_look_ends_with_its_hold(rig: ReconcileRig) -> None:
    """An operator takes the symbol while the exchange is slow to answer."""
    rig.own_order("p33-a")
    rig.history.latency_sec = 20
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(5)
        rig.hold_by("BTCUSDT", "operator:jane")
        await trio.sleep(60)
        assert len(rig.history.requests) == 1
        assert rig.amount("BTCUSDT") == "0"
        assert rig.status("BTCUSDT") == "DRIFT"


async def test_a_hold_is_renewed_during_a_long_look() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_HOLD_TTL_SEC": "30", "P34_WEIGHT_PER_MIN": "30"}))
    rig.history.page = 1
    least_ms = 30_000
    async with running_engine(rig):
        for number in range(20):
            rig.trade("BTCUSDT", "BUY", "1", client_order_id=f"web_{number}")
        await trio.sleep(3)
        for _ in range(300):
            await trio.sleep(1)
            least_ms = min(least_ms, rig.redis.pttl(rig.own.hold("BTCUSDT")))
    assert least_ms >= 13_000
    assert rig.history.count("trades") > 20


@pytest.mark.simulation
async def test_the_state_of_a_symbol_that_another_holds_does_not_expire(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.hold_by("BTCUSDT", "operator:jane")
        rig.trade("BTCUSDT", "BUY", "1")
        for _ in range(3):
            await trio.sleep(1000)
        await trio.sleep(550)
        assert rig.redis.pttl(rig.own.state("BTCUSDT")) > 80_000_000
        written = rig.state("BTCUSDT")["last_seen_ts"]
        await trio.sleep(100)
        assert rig.state("BTCUSDT")["last_seen_ts"] > written
        assert rig.told("BTCUSDT") == ["DRIFT"]


async def test_a_noted_agreement_counts_for_later_versions_of_the_ledger(rig: ReconcileRig) -> None:
    """A repair raises the version while another trade waits for a person: older ones do not count again."""
    rig.agree("BTCUSDT", "1")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_accepted")
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        await trio.sleep(10)
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="web_1")
        rig.own_order("p33-a")
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(10)
        assert (rig.amount("BTCUSDT"), rig.status("BTCUSDT")) == ("3", "MANUAL_REQUIRED")
    rig.own_order("p33-b")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-b")
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "4"


async def test_an_agreement_by_a_correction_is_noted_although_the_version_stays(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.agree("BTCUSDT", "1")
        await trio.sleep(10)
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="web_1")
        await trio.sleep(10)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "4"})
        await trio.sleep(10)
        assert rig.status("BTCUSDT") == "OK"
    rig.own_order("p33-a")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "5"


async def test_an_agreement_of_a_ledger_that_became_flat_is_noted(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.agree("BTCUSDT", "3")
        await trio.sleep(10)
        rig.trade("BTCUSDT", "SELL", "3", client_order_id="web_1")
        await trio.sleep(10)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0"})
        await trio.sleep(10)
    rig.own_order("p33-a")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "1"


async def test_a_symbol_is_held_although_its_state_cannot_be_written(rig: ReconcileRig) -> None:
    rig.redis.set(rig.own.state("BTCUSDT"), "x")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(4)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        rig.agree("BTCUSDT", "1")
        await trio.sleep(6)
        assert rig.held_by("BTCUSDT") == ""


async def test_an_agreement_counts_over_an_outage_for_a_ledger_that_is_the_same(rig: ReconcileRig) -> None:
    """Redis has lost the noted one; trades that an operator had accepted must not count again."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "1"})
        await trio.sleep(10)
        with rig.store.faults.outage():
            rig.redis.delete(rig.own.state("BTCUSDT"))
            rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
            await trio.sleep(1)
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "3"


async def test_an_agreement_that_redis_evicted_is_noted_again(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="web_1")
        await trio.sleep(10)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "3"})
        await trio.sleep(10)
        rig.redis.delete(rig.own.state("BTCUSDT"))
        await trio.sleep(10)
    rig.own_order("p33-a")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "4"


async def test_the_agreement_that_ends_the_first_case_of_a_flat_symbol_is_noted(rig: ReconcileRig) -> None:
    """Its trade back is booked by the ledger, so that the two do not add up to nothing."""
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="web_1")
        await trio.sleep(10)
        back = rig.trade("BTCUSDT", "SELL", "3", client_order_id="p33-b")
        rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {back: "3|1760000000000"})
        rig.ledger("BTCUSDT", "-3", version="2")
        await trio.sleep(2)
        rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "0"})
        await trio.sleep(10)
        assert rig.status("BTCUSDT") == "OK"
    rig.own_order("p33-a")
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
    async with running_engine(rig):
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "1"
