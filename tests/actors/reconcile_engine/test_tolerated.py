"""A difference within the tolerance is held for as short as can be: its symbol is traded on."""

from __future__ import annotations

from decimal import Decimal

import trio

from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def buy(rig: ReconcileRig, number: int, *, booked_after_sec: float) -> None:
    """Buy 1 as the executor does: permit, fill, and the booking of its result."""
    ends_ms = rig.clock.now().wall_ms + 60_000
    permit = f"BOTH|open|BUY|1|{ends_ms}"
    rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"v": "1", f"p:{number}": permit})
    await trio.sleep(1)
    order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id=f"p33-{number}")
    await trio.sleep(booked_after_sec)
    rig.redis.hset(rig.keys.order_memory("BTCUSDT"), {order_id: "1|1760000000000"})
    amount = Decimal(rig.amount("BTCUSDT")) + 1
    rig.ledger("BTCUSDT", str(amount), version=str(number + 2))
    rig.redis.delete(rig.keys.open_permits("BTCUSDT"))


async def held_sec(rig: ReconcileRig, for_sec: float) -> float:
    """Return how long the symbol was held in the next `for_sec`."""
    held = 0.0
    for _ in range(round(for_sec * 20)):
        await trio.sleep(0.05)
        held += 0.05 if rig.held_by("BTCUSDT") else 0
    return held


async def test_a_tolerated_trade_of_another_is_said_once_while_we_trade(
    rig: ReconcileRig,
) -> None:
    rig.agree("BTCUSDT", "1000")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        assert await held_sec(rig, 10) < 0.5
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(buy_at, rig, number, 20.0 * number)
            # A look after 60 s, and one after another 120 s.
            assert await held_sec(rig, 210) < 1
        assert rig.told("BTCUSDT") == ["DRIFT"]
        assert rig.status("BTCUSDT") == "DRIFT"
        assert rig.amount("BTCUSDT") == "1010"


async def buy_at(rig: ReconcileRig, number: int, after_sec: float) -> None:
    await trio.sleep(after_sec)
    await buy(rig, number, booked_after_sec=1.5 if number % 2 else 0.5)


async def test_an_own_fill_beside_a_tolerated_trade_of_another_is_booked(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "1000")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(10)
        await buy(rig, 1, booked_after_sec=1)
        rig.own_order("p33-a")
        rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
        await trio.sleep(6)
        assert rig.amount("BTCUSDT") == "1003"
        assert rig.told("BTCUSDT") == ["DRIFT", "AUTO_REPAIR"]
        assert rig.held_by("BTCUSDT") == ""


async def test_a_symbol_that_is_held_for_a_look_alone_is_not_held_while_weight_is_waited_for() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}))
    rig.agree("BTCUSDT", "1000")
    rig.history.page = 1
    seen: list[str] = []
    rig.history.on_request = lambda _request: seen.append(rig.held_by("BTCUSDT"))
    async with running_engine(rig):
        for number in range(9):
            rig.trade("BTCUSDT", "BUY", "0.1", client_order_id=f"web_{number}")
        assert await held_sec(rig, 130) < 3
        assert len(seen) > 9
        assert all(each.startswith("p34:") for each in seen)
        assert rig.told("BTCUSDT") == ["DRIFT"]


async def test_a_drift_that_grows_beyond_the_tolerance_during_such_a_wait_is_held() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}))
    rig.agree("BTCUSDT", "1000")
    rig.history.page = 1
    async with running_engine(rig):
        for number in range(9):
            rig.trade("BTCUSDT", "BUY", "0.1", client_order_id=f"web_{number}")
        await trio.sleep(10)
        assert rig.held_by("BTCUSDT") == ""
        rig.trade("BTCUSDT", "BUY", "100", client_order_id="web_x")
        await trio.sleep(1.5)
        assert rig.held_by("BTCUSDT").startswith("p34:")
        assert await held_sec(rig, 300) > 299
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"


async def test_a_hold_of_another_during_such_a_wait_ends_the_look() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}))
    rig.agree("BTCUSDT", "1000")
    rig.history.page = 1
    async with running_engine(rig):
        for number in range(9):
            rig.trade("BTCUSDT", "BUY", "0.1", client_order_id=f"web_{number}")
        await trio.sleep(10)
        rig.hold_by("BTCUSDT", "operator:jane")
        looks = len(rig.history.requests)
        await trio.sleep(120)
        assert len(rig.history.requests) == looks
        assert rig.held_by("BTCUSDT") == "operator:jane"
