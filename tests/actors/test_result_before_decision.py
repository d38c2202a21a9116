"""A result before its plan's decision makes that decision a deny, bookable or not."""

from __future__ import annotations

import pytest
import trio

from supervision import Heartbeat
from tests.actors.evaluator_rig import Watched, evaluator_beside
from tests.actors.ledger_rig import LedgerRig, at_rest, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

SOUND = {"order_id": "2", "filled_qty": "1", "order_status": "FILLED", "side": "SELL"}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"executed": "False", "error": "no"}, id="refused"),
        pytest.param({"executed": "True", **SOUND}, id="executed"),
        pytest.param({"executed": "True"}, id="executed, without an order id"),
        pytest.param({"executed": "True", **SOUND, "side": ""}, id="executed, without a side"),
        pytest.param({"executed": "perhaps"}, id="unreadable"),
    ],
)
async def test_an_early_result_settles_its_plan(nursery: trio.Nursery, fields: dict[str, str]) -> None:
    ledger = LedgerRig()
    evaluator = evaluator_beside(ledger, Watched(ledger.redis, keys=ledger.keys, consumer="me"))
    ledger.exchange.set("BTCUSDT", "1", update_time_ms=0)
    async with running_writer(ledger):
        await at_rest(ledger)
        early: dict[str | bytes, str | bytes] = {"plan_id": "p", "symbol": "BTCUSDT"}
        early.update(fields)
        ledger.redis.xadd(ledger.keys.results, early)
        await trio.sleep(5)
        nursery.start_soon(evaluator.evaluator().run, Heartbeat())
        await trio.sleep(0.1)
        ledger.observe("BTCUSDT")
        evaluator.publish("p")
        await trio.sleep(0.5)
        assert evaluator.reason("p") == "plan_already_settled"


async def test_in_hedge_mode_a_result_of_an_unknown_plan_is_a_dead_letter_an_event_and_settles_it() -> None:
    ledger = LedgerRig(hedge_mode=True)
    ledger.exchange.set("BTCUSDT", "0", update_time_ms=0)
    async with running_writer(ledger):
        await at_rest(ledger)
        entry_id = ledger.publish_result("BTCUSDT", "7", "SELL", "1", plan_id="unknown")
        await trio.sleep(1)
        (event,) = ledger.events()
        assert (event["event"], event["plan_id"], event["entry_id"]) == (
            "RESULT_UNJOINED",
            "unknown",
            entry_id,
        )
        assert "leg" in ledger.dead()[0]
        assert ledger.redis.get(ledger.keys.plan_mark("unknown")) == b"S"
        assert ledger.pending() == 0


async def test_a_result_that_cannot_be_booked_leaves_its_plans_decision_as_it_is() -> None:
    ledger = LedgerRig()
    ledger.exchange.set("BTCUSDT", "0", update_time_ms=0)
    async with running_writer(ledger):
        await at_rest(ledger)
        ledger.redis.set(ledger.keys.plan_mark("p"), "D|BOTH|open|BUY|0")
        ledger.redis.xadd(ledger.keys.results, {"plan_id": "p", "symbol": "BTCUSDT", "executed": "True"})
        await trio.sleep(1)
        assert ledger.redis.get(ledger.keys.plan_mark("p")) == b"D|BOTH|open|BUY|0"
        assert len(ledger.dead()) == 1
