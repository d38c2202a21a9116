"""Orders whose results arrive are no case: nothing is held, and no evidence is read."""

from __future__ import annotations

from tests.integration.execution_load import opening
from tests.integration.pipeline import RESULTS, full_close
from tests.integration.played_governor import PlayedGovernor
from tests.integration.reconciled import Reconciled
from tests.integration.surroundings import SYMBOLS

#: Each order is filled in parts for longer than a difference needs to be a case, covered by its permit.
PARTS, EACH_MS = 3, 1_000.0
OPENED, CLOSED = SYMBOLS[:8], SYMBOLS[:4]


async def test_orders_that_are_filled_in_parts_and_reported_lead_to_no_case(reconciled: Reconciled) -> None:
    site, governor, faults = reconciled, PlayedGovernor(reconciled), reconciled.exchange.faults
    faults.fills_per_order, faults.fill_interval_ms = PARTS, EACH_MS
    async with site.daemon({"P33_EXECUTOR": "on", "P34_SETTLE_SEC": "0.5", "P34_LOOP_CADENCE_SEC": "0.1"}):
        await governor.executor_reads()
        await governor.has_price(SYMBOLS[-1])
        for symbols, turn in ((OPENED, "open"), (CLOSED, "close")):
            plans = {f"{turn}-{symbol}": symbol for symbol in symbols}
            for plan_id, symbol in plans.items():
                listed = site.exchange.symbol(symbol)
                governor.publish(plan_id, opening(listed) if turn == "open" else full_close(symbol))
            await governor.all_end(plans, 30)
            await site.nothing_pends(RESULTS)
            assert {governor.results[plan_id][-1]["order_status"] for plan_id in plans} == {"FILLED"}
        await site.agreement_noted(*OPENED)
        for symbol in SYMBOLS:
            assert site.told(symbol) == []
            assert site.held_by(symbol) is None
        for symbol in OPENED:
            site.assert_agrees(symbol)
    assert site.exchange.requests.records(path="/fapi/v1/userTrades") == []
