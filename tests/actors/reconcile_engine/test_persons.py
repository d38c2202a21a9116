"""What the evidence does not prove to be ours waits for a person, who is given the trades."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine, shown_orders
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.mark.parametrize(
    ("client_order_id", "conditional", "cause"),
    [
        ("web_abc", False, "manual"),
        ("ios_abc", False, "manual"),
        ("android_abc", False, "manual"),
        ("another-robot-7", False, "manual"),
        ("x-stop", True, "stop"),
    ],
)
async def test_a_trade_of_another_is_held_and_named_and_never_booked(
    rig: ReconcileRig, client_order_id: str, conditional: bool, cause: str
) -> None:
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        order_id = rig.trade(
            "BTCUSDT", "SELL", "0.5", client_order_id=client_order_id, conditional=conditional
        )
        await trio.sleep(5)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.state("BTCUSDT")["cause"] == cause
        (named,) = shown_orders(rig.state("BTCUSDT"))
        assert (named["order_id"], named["client_order_id"]) == (order_id, client_order_id)
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED"]
        assert rig.amount("BTCUSDT") == "2"
        case = rig.case("BTCUSDT")
        assert case is not None
        assert case.advice
        assert order_id in case.why


async def test_a_listed_cause_is_booked() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_ADOPT_CAUSES": "manual,stop"}))
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        rig.trade("ETHUSDT", "BUY", "1", client_order_id="x", conditional=True)
        await trio.sleep(6)
        assert (rig.amount("BTCUSDT"), rig.amount("ETHUSDT")) == ("1", "1")


async def test_a_drift_without_any_trade_needs_a_person_once_the_exchanges_lists_cannot_lag_any_more(
    rig: ReconcileRig,
) -> None:
    async with running_engine(rig):
        rig.move("BTCUSDT", "1")
        await trio.sleep(15)
        assert rig.status("BTCUSDT") == "HOLD"
        await trio.sleep(5)
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        assert rig.state("BTCUSDT")["cause"] == "none"
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED"]


async def test_a_case_that_nothing_explains_is_looked_at_once_a_minute_and_said_once(
    rig: ReconcileRig,
) -> None:
    async with running_engine(rig):
        rig.move("BTCUSDT", "1")
        await trio.sleep(20)
        looks = rig.history.count("trades")
        await trio.sleep(600)
        assert 9 <= rig.history.count("trades") - looks <= 11
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED"]


@pytest.mark.simulation
async def test_a_case_that_others_trades_explain_is_looked_at_less_and_less(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(4000)
        looked_sec = [each.at_sec for each in rig.history.requests if each.method == "trades"]
        pauses = [later - earlier for earlier, later in pairwise(looked_sec)]
        assert [round(each, -1) for each in pauses[:5]] == [60, 120, 240, 480, 600]
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED"]


async def test_another_trade_is_looked_at_and_said_at_once(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        rig.trade("BTCUSDT", "BUY", "2", client_order_id="web_2")
        await trio.sleep(2)
        assert rig.told("BTCUSDT") == ["HOLD_SET", "MANUAL_REQUIRED", "MANUAL_REQUIRED"]
        assert len(shown_orders(rig.events("BTCUSDT")[-1])) == 2


async def test_a_person_who_undoes_the_trade_ends_the_case(rig: ReconcileRig) -> None:
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        rig.trade("BTCUSDT", "SELL", "1", client_order_id="web_2")
        await trio.sleep(5)
        assert rig.held_by("BTCUSDT") == ""
        assert rig.told("BTCUSDT")[-1] == "HOLD_CLEARED"
        # The next drift is looked for from that agreement on.
        rig.own_order("p33-a")
        rig.trade("BTCUSDT", "BUY", "3", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "3"


async def test_an_own_late_fill_beside_an_outside_trade_is_booked_when_it_comes(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(30)
        rig.trade("BTCUSDT", "BUY", "2", client_order_id="p33-a")
        await trio.sleep(5)
        assert rig.amount("BTCUSDT") == "2"
        assert rig.status("BTCUSDT") == "MANUAL_REQUIRED"
        (named,) = shown_orders(rig.state("BTCUSDT"))
        assert named["client_order_id"] == "web_1"
