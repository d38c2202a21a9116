"""Trades that a look has read are not read again by the next one, but for the latest."""

from __future__ import annotations

import trio

from exchange.history_protocol import TradesPart
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def begins(rig: ReconcileRig, symbol: str = "BTCUSDT") -> list[float]:
    """How long before each request for trades by time its span began (s), from the second look on."""
    asked = [each for each in rig.history.requests if (each.method, each.symbol) == ("trades", symbol)]
    spans = [(each.at_sec, each.asked) for each in asked if isinstance(each.asked, TradesPart)]
    epoch_ms = rig.clock.now().wall_ms - trio.current_time() * 1000
    return [at_sec - (part.since_ms - epoch_ms) / 1000 for at_sec, part in spans if part.from_id is None]


async def test_later_looks_read_what_the_exchanges_lists_may_have_shown_since(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.move("BTCUSDT", "1")
        await trio.sleep(580)
        spans = begins(rig)[6:]
        assert len(spans) >= 7
        assert all(75 <= each <= 78 for each in spans)


async def test_everything_is_read_again_after_ten_minutes(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.move("BTCUSDT", "1")
        await trio.sleep(1300)
        assert sum(each > 300 for each in begins(rig)) == 2


async def test_a_trade_that_appears_late_is_found(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(60)
        rig.history.lag_sec = 14
        rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
        await trio.sleep(70)
        assert rig.amount("BTCUSDT") == "2"


async def test_an_error_of_redis_in_one_look_leaves_the_others_alone() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}))
    rig.history.page = 1
    async with running_engine(rig):
        for number in range(10):
            rig.trade("BTCUSDT", "BUY", "1", client_order_id=f"web_{number}")
        await trio.sleep(60)
        rig.trade("ETHUSDT", "BUY", "1", client_order_id="web_x")
        rig.store.faults.fail_next("after", method="booked_growth", count=1)
        await trio.sleep(400)
        assert rig.status("BTCUSDT") == rig.status("ETHUSDT") == "MANUAL_REQUIRED"
        # Each page of the first look was read once.
        assert sum(span > 100 for span in begins(rig)) <= 2
