"""Intents on their way through all roles, as processes: plan, permits, order, booking."""

from __future__ import annotations

import json

from tests.integration.bridged import CHAIN, EXITS, HARVESTS, INTENTS, Intents, reads
from tests.integration.governed_plans import asked, knows_the_account, prices_are_known
from tests.integration.pipeline import PLANS
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS


async def test_an_intent_becomes_a_plan_an_order_and_a_booked_position(site: Site) -> None:
    intents = Intents(site)
    async with site.daemon(CHAIN) as daemon:
        url = await daemon.ready()
        await reads(site)
        await knows_the_account(url)
        await prices_are_known(site.redis, *SYMBOLS)
        opened = intents.buy("SOLUSDT", leverage="2", kill_score="0.3")
        row = await intents.answer(opened)
        assert (row["outcome"], row["eval_type"]) == ("plan", "ENTRY")
        result = await intents.result(row["plan_id"])
        assert (result["executed"], result["order_status"], result["error"]) == ("true", "FILLED", "")
        assert result["filled_qty"] == row["qty"]
        await site.ledger_reaches("SOLUSDT", row["qty"])
        await site.snapshot_reaches("SOLUSDT", row["qty"])

        payload = {"symbol": "SOLUSDT", "action": "PARTIAL_50", "percentage": 50, "reason": "harvest"}
        halved = intents.publish(HARVESTS, {"payload": json.dumps(payload)})
        row = await intents.answer(halved, HARVESTS)
        assert (row["outcome"], row["eval_type"], row["action"]) == ("plan", "EXIT", "PARTIAL_50")
        result = await intents.result(row["plan_id"])
        assert (result["executed"], result["order_status"]) == ("true", "FILLED"), result
        left = site.exchange.position("SOLUSDT").amount
        assert left > 0
        await site.snapshot_reaches("SOLUSDT", str(left))
        await site.ledger_reaches("SOLUSDT", str(left))

        exit_fields = {
            "intent_id": "e-1", "symbol": "SOLUSDT", "action": "FULL_CLOSE", "side": "LONG",
            "qty_fraction": "1.0", "quantity": str(left), "source": "exit_management_agent",
        }  # fmt: skip
        closed = intents.publish(EXITS, exit_fields)
        row = await intents.answer(closed, EXITS)
        assert (row["outcome"], row["action"]) == ("plan", "FULL_CLOSE_PROPOSED")
        assert intents.plans()[row["plan_id"]]["source"] == "exit_management_agent"
        result = await intents.result(row["plan_id"])
        assert (result["executed"], result["order_status"]) == ("true", "FILLED"), result
        await site.ledger_reaches("SOLUSDT", "0")
        again = intents.publish(EXITS, exit_fields)
        assert await intents.outcome(again, EXITS) in ("duplicate_intent", "flat_close")

        status = (await asked(url, "/metrics")).text
        assert 'bridge_intents_total{outcome="plan"} 3' in status
        assert 'bridge_plans_total{eval_type="EXIT"} 2' in status
        assert "bridge_lag_seconds_count 4" in status
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
    assert len(site.entries(PLANS)) == 3
    assert site.entries(f"{INTENTS}.dead") == []
