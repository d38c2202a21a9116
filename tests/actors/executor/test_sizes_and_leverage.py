"""Quantity and leverage of orders, on an executor."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
import trio

from brain.execution.sizing import SizeLimits
from brain.identifiers import Symbol
from exchange.errors import ExchangeRejected, ExchangeUnavailable
from tests.actors.executor.test_refusals import both, refusal
from tests.actors.executor_rig import RULES, ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_the_last_line_of_defence_for_an_open() -> None:
    limits = SizeLimits(max_notional=Decimal(49))
    rig = ExecutorRig(msgspec.structs.replace(RULES, limits=limits))
    assert await refusal(rig, both) == "position_too_large"


async def test_the_least_notional_of_an_open() -> None:
    limits = SizeLimits(min_notional=Decimal(51))
    rig = ExecutorRig(msgspec.structs.replace(RULES, limits=limits))
    assert await refusal(rig, both) == "min_notional_check_failed"


async def test_the_governors_hints_shrink_an_open_where_that_is_on() -> None:
    rig = ExecutorRig(msgspec.structs.replace(RULES, limits=SizeLimits(apply_downsize=True)))
    async with running_executor(rig):
        rig.permit("p1")
        rig.grant("p1", qty_scale=0.5, downsize_factor="0.25")
        rig.publish("p1")
        await trio.sleep(0.3)
    assert rig.result("p1")["qty"] == "0.062"


@pytest.mark.parametrize("known", [20, None])
async def test_the_leverage_of_an_open_is_set_before_its_permits_are_consumed(
    rig: ExecutorRig, known: int | None
) -> None:
    if known is not None:
        rig.exchange.leverages[Symbol("BTCUSDT")] = known
    rig.position("BTCUSDT", "0", leverage=None)
    async with running_executor(rig):
        rig.open("p1", leverage="5")
        await trio.sleep(0.02)
        assert rig.redis.get(rig.keys.permit("p1")) is not None
        await trio.sleep(0.5)
        rig.open("p2", leverage="5")
        await trio.sleep(0.5)
    assert rig.exchange.leverage_sets == [("BTCUSDT", 5)]
    assert [rig.result(each)["executed"] for each in ("p1", "p2")] == ["true", "true"]


async def test_a_leverage_that_the_snapshot_has_is_not_read(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1", leverage="10")
        rig.open("p2", leverage="5", symbol="ETHUSDT")
        await trio.sleep(0.5)
    assert rig.exchange.leverage_sets == [("ETHUSDT", 5)]
    assert rig.exchange.leverage_reads == []
    assert [rig.result(each)["executed"] for each in ("p1", "p2")] == ["true", "true"]


async def test_a_refused_leverage_refuses_the_plan(rig: ExecutorRig) -> None:
    rig.exchange.sets_leverage = False
    rig.exchange.leverage_failure = ExchangeRejected(-4028, "leverage")
    assert await refusal(rig, both, leverage="500") == "leverage_refused:-4028"


async def test_minus_4028_is_read_back(rig: ExecutorRig) -> None:
    """It is sent for a leverage that is not valid, and for one that is set already."""
    rig.exchange.leverage_failure = ExchangeRejected(-4028, "already exist")
    async with running_executor(rig):
        rig.open("p1", leverage="5")
        await trio.sleep(0.5)
    assert rig.result("p1")["executed"] == "true"


async def test_a_leverage_of_which_nothing_is_known_refuses_the_plan(rig: ExecutorRig) -> None:
    rig.exchange.leverage_failure = ExchangeUnavailable("reset")
    assert await refusal(rig, both, leverage="5") == "leverage_refused:no_answer"


async def test_a_position_in_a_symbol_that_is_listed_no_more_can_be_closed_and_not_opened(
    rig: ExecutorRig,
) -> None:
    rig.symbol_rules.send({})
    rig.position("BTCUSDT", "1")
    async with running_executor(rig):
        rig.permit_close("p1", 0.75)
        rig.grant("p1")
        rig.publish_close("p1")
        rig.open("p2", "ETHUSDT")
        await trio.sleep(0.3)
    assert rig.result("p1")["filled_qty"] == "0.75"
    assert rig.result("p2")["error"] == "below_min_qty"


async def test_a_close_that_waits_for_another_is_no_larger_than_what_that_leaves(rig: ExecutorRig) -> None:
    rig.exchange.latency_sec = 0.4
    rig.position("BTCUSDT", "1")
    async with running_executor(rig):
        for plan_id in ("p1", "p2"):
            rig.permit_close(plan_id, 0.6)
            rig.grant(plan_id)
            rig.publish_close(plan_id)
        await trio.sleep(0.3)
        rig.position("BTCUSDT", "0.4")
        await trio.sleep(1)
    assert [str(request.quantity) for request in rig.exchange.requests] == ["0.600", "0.400"]
