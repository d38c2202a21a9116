"""Evictions by Redis: ledgers come back from the exchange, and results end permits."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs

from brain.identifiers import PlanId
from store.keys import GROUP
from tests.actors.ledger_rig import LedgerRig, at_rest, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

SYMBOL = "BTCUSDT"


@pytest.fixture
async def stopped() -> LedgerRig:
    rig = LedgerRig()
    rig.exchange.set(SYMBOL, "4", update_time_ms=5)
    return rig


def evict(rig: LedgerRig, key: str) -> None:
    assert rig.redis.evict(key)


async def test_an_evicted_ledger_is_adopted_again_within_5_s_with_an_event_and_a_warning(
    stopped: LedgerRig,
) -> None:
    with capture_logs() as logs:
        async with running_writer(stopped):
            await at_rest(stopped)
            stopped.redis.hset(stopped.keys.ledger(SYMBOL), {"last_known_amt": "7"})
            await trio.sleep(6)
            evict(stopped, stopped.keys.ledger(SYMBOL))
            stopped.observe(SYMBOL)
            await trio.sleep(6)
            assert stopped.amount(SYMBOL) == "4"
            assert [event["event"] for event in stopped.events()] == ["LEDGER_ADOPTED"] * 2
    (warning,) = [line for line in logs if "Ledger was gone" in line["event"]]
    assert (warning["log_level"], warning["before"]) == ("warning", "7")


async def test_a_fill_that_the_newly_adopted_ledger_contains_is_not_booked_again(rig: LedgerRig) -> None:
    """The result comes after the eviction; its fill is in the adopted amount."""
    rig.fill(SYMBOL, "1", "SELL", "1")
    for key in (rig.keys.ledger(SYMBOL), rig.keys.order_memory(SYMBOL), rig.keys.order_times(SYMBOL)):
        rig.redis.evict(key)
    rig.publish_result(SYMBOL, "1", "SELL", "1")
    await trio.sleep(10)
    assert rig.amount(SYMBOL) == "3"


async def test_an_evicted_result_stream_is_read_again_when_it_is_back(rig: LedgerRig) -> None:
    evict(rig, rig.keys.results)
    await trio.sleep(1)
    rig.execute(SYMBOL, "1", "SELL", "1")
    await trio.sleep(3)
    assert rig.amount(SYMBOL) == "3"
    assert len(rig.redis.xpending(rig.keys.results, GROUP)) == 0


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"executed": "True", "order_status": "FILLED", "filled_qty": "1", "order_id": "1"}, True),
        ({"executed": "True", "order_status": "PARTIALLY_FILLED", "filled_qty": "1", "order_id": "1"}, False),
        ({"executed": "false", "error": "-2019 Margin is insufficient."}, True),
        ({"executed": "false", "error": "missing_or_denied"}, False),
        ({"executed": "false", "error": "-1007 Timeout waiting for response"}, False),
    ],
)
async def test_a_result_that_ends_a_permit_ends_it_even_if_redis_has_evicted_it(
    rig: LedgerRig, fields: dict[str | bytes, str | bytes], ended: bool
) -> None:
    rig.fill(SYMBOL, "1", "SELL", "1")
    for plan_id in ("alone", "first", "second"):
        result: dict[str | bytes, str | bytes] = {"plan_id": plan_id, "symbol": SYMBOL, "side": "SELL"}
        result.update(fields)
        rig.redis.xadd(rig.keys.results, result)
        if plan_id == "alone":
            await trio.sleep(2)
    await trio.sleep(3)
    assert {rig.results.has_ended(PlanId(plan_id)) for plan_id in ("alone", "first", "second")} == {ended}
