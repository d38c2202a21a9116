"""Fills that no result has booked are booked from the exchange's trades."""

from __future__ import annotations

import trio

from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_an_own_fill_whose_result_was_lost_is_booked_within_5_s(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "0.5")
    rig.own_order("p33-a")
    async with running_engine(rig):
        order_id = rig.trade("BTCUSDT", "BUY", "0.3", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "0.8"
        assert rig.stored("BTCUSDT")["source"] == "reconciled"
        assert rig.stored("BTCUSDT")["version"] == "2"
        assert rig.memory("BTCUSDT", order_id) == "0.3"
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT") == ["HOLD_SET", "AUTO_REPAIR"]
        assert rig.status("BTCUSDT") == "REPAIRED"
        assert rig.case("BTCUSDT") is None
