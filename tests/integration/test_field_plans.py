"""A close published right behind the result that reports its position's fill."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
import trio

from simulator import external_events
from tests.integration.pipeline import full_close
from tests.integration.rigs import Rig, running_rig
from tests.integration.surroundings import SYMBOLS, trade
from tests.integration.test_field_freshness import quantity

CLOSES = 200
P99_MS = 50.0
#: Longest gap between result and plan.
BEHIND_SEC = 0.005
#: The push of the fill arrives after both.
PUSH_DELAY_MS, PUSH_JITTER_MS = 12.0, 8.0


@pytest.mark.timing
async def test_a_close_right_behind_the_result_of_its_fill_is_allowed_within_50_ms() -> None:
    random = Random(1)  # noqa: S311 - the same gaps each time
    async with running_rig({}) as rig:
        faults = rig.exchange.faults
        faults.event_delay_ms, faults.event_jitter_ms = PUSH_DELAY_MS, PUSH_JITTER_MS
        await rig.trusts_the_stream()
        took_ms, denied = [], []
        for number in range(CLOSES):
            symbol = SYMBOLS[number % len(SYMBOLS)]
            gap_sec = random.uniform(0.0, BEHIND_SEC)
            answered_ms, reason = await closes_behind_its_fill(rig, number, symbol, gap_sec)
            took_ms.append(answered_ms)
            if reason != "sanity_checks_passed":
                denied.append((number, symbol, reason))
        assert denied == []
        assert sorted(took_ms)[int(CLOSES * 0.99) - 1] <= P99_MS, sorted(took_ms)[-10:]
        await rig.assert_nothing_restarted()


async def closes_behind_its_fill(rig: Rig, number: int, symbol: str, gap_sec: float) -> tuple[float, str]:
    """Open, report the fill, ask for the close `gap_sec` later, close; milliseconds to the answer, reason."""
    plan_id = f"close-{number}"
    opened = trade(rig.exchange, symbol, "BUY", str(quantity(rig, symbol)))
    rig.pipeline.publish_fill(f"open-{number}", opened)
    await trio.sleep(gap_sec)
    waited_sec, began_sec = rig.daemon.run_delay_sec(), trio.current_time()
    rig.pipeline.publish_plan(plan_id, full_close(symbol))
    answer = rig.pipeline.permit_now(plan_id)
    while answer is None:
        assert trio.current_time() < began_sec + 3, f"{plan_id} has no answer"
        await trio.sleep(0.0005)
        answer = rig.pipeline.permit_now(plan_id)
    took_ms = (trio.current_time() - began_sec - (rig.daemon.run_delay_sec() - waited_sec)) * 1000
    if answer["allow"]:
        assert answer["safe_close_qty"] == opened.executed
    order = external_events.move_position(rig.exchange, symbol, target=Decimal(0))
    assert order is not None
    rig.pipeline.publish_fill(plan_id, order)
    await rig.pipeline.ledger_reaches(symbol, "0")
    return took_ms, answer["reason"]
