"""Closes are proposed late, once, for an excess alone, and only if the setting says so."""

from __future__ import annotations

import hashlib
import hmac
from itertools import pairwise

import pytest
import trio

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine, shown_orders
from tests.virtual_time import virtual_time

pytestmark = virtual_time

EXCESS = {"P34_CLOSE": "excess", "RECONCILE_HMAC_SECRET": "hush"}


@pytest.fixture
async def rig() -> ReconcileRig:
    return ReconcileRig(reconcile_rules(EXCESS))


async def test_an_excess_is_proposed_to_be_closed_once_it_was_held_for_long(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(55)
        assert rig.plans() == []
        await trio.sleep(10)
        (plan,) = rig.plans()
        assert (plan["decision"], plan["side"], plan["qty"]) == ("RECONCILE_CLOSE", "SELL", "0.5")
        assert (plan["reduceOnly"], plan["reason"]) == ("true", "reconcile_drift")
        text = "|".join(plan[name] for name in ("plan_id", "symbol", "qty", "ts", "signature"))
        assert plan["hmac"] == hmac.new(b"hush", text.encode(), hashlib.sha256).hexdigest()
        assert plan["plan_id"].startswith(f"reconclose:BTCUSDT:{plan['signature']}:")
        assert rig.held_by("BTCUSDT") == f"p34:{plan['signature']}"
        assert rig.redis.pttl(rig.own.hold("BTCUSDT")) > 800_000
        assert rig.told("BTCUSDT")[-1] == "CLOSE_PROPOSED"


async def test_it_is_proposed_once_in_120_s_for_as_long_as_it_lasts(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(610)
        times_ms = [int(plan["ts"]) for plan in rig.plans()]
        assert 3 <= len(times_ms) <= 5
        assert all(later - earlier >= 120_000 for earlier, later in pairwise(times_ms))


async def test_no_second_close_is_proposed_while_the_first_may_yet_be_executed(rig: ReconcileRig) -> None:
    """Both together would close more than the excess. Another drift has another signature."""
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(65)
        assert [plan["qty"] for plan in rig.plans()] == ["0.5"]
        rig.trade("BTCUSDT", "BUY", "0.25", client_order_id="web_2")
        await trio.sleep(110)
        assert len(rig.plans()) == 1
        await trio.sleep(75)
        first, second = rig.plans()
        assert second["qty"] == "0.75"
        assert second["signature"] != first["signature"]
        assert int(second["ts"]) - int(first["ts"]) >= 120_000


async def test_trades_of_an_order_that_is_not_shown_are_never_closed(
    rig: ReconcileRig,
) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.history.hidden.add(rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a"))
        await trio.sleep(200)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.plans() == []


async def test_an_excess_without_any_trade_is_proposed_to_be_closed(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.move("BTCUSDT", "1")
        await trio.sleep(100)
        (plan,) = rig.plans()
        assert (plan["side"], plan["qty"]) == ("SELL", "1")


async def test_the_rest_of_a_position_is_never_proposed_to_be_closed(rig: ReconcileRig) -> None:
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "SELL", "0.5", client_order_id="web_1")
        await trio.sleep(200)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.plans() == []


async def test_nothing_is_proposed_by_default_or_from_the_shadow() -> None:
    for settings in ({}, {**EXCESS, "P33_RECONCILE": "shadow"}):
        rig = ReconcileRig(reconcile_rules(settings))
        async with running_engine(rig):
            rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
            await trio.sleep(200)
            assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
            assert rig.plans() == []


async def test_a_close_that_worked_ends_the_case(rig: ReconcileRig) -> None:
    rig.own_order("p33-close", decision="RECONCILE_CLOSE")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(65)
        assert len(rig.plans()) == 1
        rig.trade("BTCUSDT", "SELL", "0.5", client_order_id="p33-close")
        await trio.sleep(5)
        assert rig.held_by("BTCUSDT") == ""
        assert rig.amount("BTCUSDT") == "0"
        assert rig.status("BTCUSDT") == "OK"


async def test_a_proposed_close_whose_record_is_lost_moves_no_ledger(rig: ReconcileRig) -> None:
    """The executor's record is gone with Redis's last second, or was evicted; its result never came."""
    rig.agree("BTCUSDT", "1")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "0.5", client_order_id="web_1")
        await trio.sleep(75)
        (plan,) = rig.plans()
        name = client_order_id("quantum", PlanId(plan["plan_id"]))
        rig.trade("BTCUSDT", "SELL", "0.2", client_order_id=name)
        await trio.sleep(10)
        assert rig.amount("BTCUSDT") == "1"
        causes = [each["cause"] for each in shown_orders(rig.state("BTCUSDT"))]
        assert causes == ["manual", "reconcile_close"]
