"""What an adopted ledger contains is no evidence, wherever its row is dated."""

from __future__ import annotations

import pytest
import trio

from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_trades_before_an_adoption_are_no_evidence(rig: ReconcileRig) -> None:
    """It was lost and adopted between two comparisons, with the version of the one before."""
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(8)
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_2")
        await trio.sleep(8)
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="web_3")
        adopted_ms = rig.changed_ms["BTCUSDT"]
        rig.ledger("BTCUSDT", "3", adopted_exchange_ms=f"BOTH:{adopted_ms}")
        await trio.sleep(0.5)
        rig.trade("BTCUSDT", "BUY", "5", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "8"


@pytest.mark.parametrize("ahead_ms", [0, 5_000, 3_600_000])
async def test_trades_before_an_adoption_as_the_ledger_was_before_are_no_evidence(
    rig: ReconcileRig, ahead_ms: int
) -> None:
    """A date ahead of the exchange's clock says nothing: then the moment of the adoption does."""
    rig.own_order("p33-a")
    rig.own_order("p33-b")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "4", client_order_id="web_1")
        await trio.sleep(8)
        rig.trade("BTCUSDT", "BUY", "4", client_order_id="p33-a")
        adopted_ms = rig.changed_ms["BTCUSDT"] + ahead_ms
        at_ms = str(rig.redis.now_ms())
        rig.ledger("BTCUSDT", "0", adopted_exchange_ms=f"BOTH:{adopted_ms}", adopted_at_ms=at_ms)
        await trio.sleep(1)
        rig.trade("BTCUSDT", "BUY", "5", client_order_id="p33-b")
        await trio.sleep(8)
        assert rig.amount("BTCUSDT") == "5"


async def test_a_trade_that_is_dated_ahead_with_the_adopted_row_is_no_evidence(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    rig.own_order("p33-b")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "4", client_order_id="web_1")
        await trio.sleep(8)
        ahead_ms, at_ms = rig.clock.now().wall_ms + 5_000, str(rig.redis.now_ms())
        rig.trade("BTCUSDT", "BUY", "4", client_order_id="p33-a", time_ms=ahead_ms)
        rig.ledger("BTCUSDT", "0", adopted_exchange_ms=f"BOTH:{ahead_ms}", adopted_at_ms=at_ms)
        await trio.sleep(1)
        rig.trade("BTCUSDT", "BUY", "5", client_order_id="p33-b")
        await trio.sleep(15)
        assert rig.amount("BTCUSDT") == "5"


@pytest.mark.parametrize(("pause_sec", "amount"), [(100, "4"), (400, "1")])
async def test_without_an_agreement_trades_of_the_window_alone_are_evidence(
    rig: ReconcileRig, pause_sec: float, amount: str
) -> None:
    """However long ago the ledger was adopted: a person may have corrected it since, which nothing tells."""
    rig.own_order("p33-a")
    rig.own_order("p33-b")
    adopted_ms, at_ms = rig.clock.now().wall_ms, str(rig.redis.now_ms())
    rig.ledger("BTCUSDT", "0", adopted_exchange_ms=f"BOTH:{adopted_ms}", adopted_at_ms=at_ms)
    await trio.sleep(1)
    rig.trade("BTCUSDT", "BUY", "3", client_order_id="p33-a")
    rig.trade("BTCUSDT", "SELL", "3", client_order_id="web_1")
    await trio.sleep(pause_sec)
    rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-b")
    async with running_engine(rig):
        await trio.sleep(8)
        assert rig.amount("BTCUSDT") == amount


async def test_an_adoption_that_is_dated_ahead_says_nothing(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    ahead_ms = rig.clock.now().wall_ms + 3_600_000
    rig.ledger("BTCUSDT", "0", adopted_exchange_ms=f"BOTH:{ahead_ms}")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "1"
