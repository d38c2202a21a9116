"""Request weight of evidence: never above the setting, and the oldest drift first."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from tests.actors.reconcile_rig import ReconcileRig, reconcile_rules, running_engine
from tests.virtual_time import virtual_time

#: Minutes of virtual time with fifty symbols.
pytestmark = [virtual_time, pytest.mark.simulation]

MANY = tuple(f"S{number:02}USDT" for number in range(50))


def heaviest_minute(rig: ReconcileRig) -> int:
    """The most weight of requests in any 60 s."""
    sent: list[tuple[float, int]] = [
        (each.at_sec, getattr(rig.history.weights, each.method)) for each in rig.history.requests
    ]
    return max(sum(weight for at_sec, weight in sent if begun <= at_sec < begun + 60) for begun, _ in sent)


async def test_50_drifts_at_once_stay_within_the_weight_of_a_minute_and_are_all_repaired() -> None:
    rig = ReconcileRig(symbols=MANY)
    async with running_engine(rig):
        for symbol in MANY:
            rig.own_order(f"p33-{symbol}")
            rig.trade(symbol, "BUY", "1", client_order_id=f"p33-{symbol}")
        await trio.sleep(3)
        assert sum(rig.held_by(symbol).startswith("p34:") for symbol in MANY) >= 40
        await trio.sleep(600)
        assert [rig.amount(symbol) for symbol in MANY] == ["1"] * 50
    assert heaviest_minute(rig) <= 60
    # One look each.
    assert rig.history.count("trades") == 50


async def test_the_oldest_drift_is_looked_at_first() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}), symbols=MANY)
    async with running_engine(rig):
        for symbol in reversed(MANY):
            rig.trade(symbol, "BUY", "1", client_order_id="web_x")
            await trio.sleep(0.3)
        await trio.sleep(400)
    first: dict[str, float] = {}
    for each in rig.history.requests:
        first.setdefault(each.symbol, each.at_sec)
    oldest_first = list(reversed(MANY))[: len(first)]
    assert len(first) > 20
    assert sorted(first) == sorted(oldest_first)
    # Looks that begin at once send their requests in any order.
    assert all(first[younger] > first[older] - 0.2 for older, younger in pairwise(oldest_first))


async def test_cases_that_wait_for_a_person_leave_the_weight_to_new_ones() -> None:
    rig = ReconcileRig(symbols=MANY)
    async with running_engine(rig):
        for symbol in MANY[:-1]:
            rig.trade(symbol, "BUY", "1", client_order_id=f"web_{symbol}")
        await trio.sleep(900)
        last = MANY[-1]
        assert all(rig.status(symbol) == "MANUAL_REQUIRED" for symbol in MANY[:-1])
        rig.own_order("p33-a")
        rig.trade(last, "BUY", "1", client_order_id="p33-a")
        await trio.sleep(20)
        assert rig.amount(last) == "1"
    assert heaviest_minute(rig) <= 60


async def test_an_own_fill_does_not_wait_for_cases_that_a_person_has() -> None:
    """Twelve cases wait for a person, some of which nothing explains, and others change all the time."""
    rig = ReconcileRig(symbols=MANY)
    async with running_engine(rig):
        for symbol in MANY[:4]:
            rig.trade(symbol, "BUY", "1", client_order_id=f"web_{symbol}")
        for symbol in MANY[4:12]:
            rig.move(symbol, "1")
        await trio.sleep(600)
        assert all(rig.status(symbol) == "MANUAL_REQUIRED" for symbol in MANY[:12])
        for number, symbol in enumerate(MANY[12:]):
            rig.trade(MANY[number % 4], "BUY", "1", client_order_id="web_x")
            rig.own_order(f"p33-{symbol}")
            rig.trade(symbol, "BUY", "1", client_order_id=f"p33-{symbol}")
            await trio.sleep(5)
            assert rig.amount(symbol) == "1", f"number {number}"
            await trio.sleep(12)
    assert heaviest_minute(rig) <= 60


async def test_the_weight_that_was_used_counts_after_a_restart_of_the_engine() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}), symbols=MANY)
    for symbol in MANY:
        rig.move(symbol, "1")
    for _ in range(5):
        async with running_engine(rig):
            await trio.sleep(4)
    assert heaviest_minute(rig) <= 30


async def test_a_request_that_weighs_more_than_a_minutes_weight_is_not_sent() -> None:
    rig = ReconcileRig(reconcile_rules({"P34_WEIGHT_PER_MIN": "30"}))
    async with running_engine(rig):
        rig.history.weights = rig.history.weights._replace(forced_orders=40)
        order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.history.hidden.add(order_id)
        await trio.sleep(30)
        assert rig.history.count("forced_orders") == 0
        assert rig.told("BTCUSDT") == ["HOLD_SET", "EVIDENCE_INCOMPLETE"]
        assert "P34_WEIGHT_PER_MIN=30" in rig.state("BTCUSDT")["why"]
