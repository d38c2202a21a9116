"""Proposed closes (`P34_CLOSE=excess`): the executor closes what a person has added, and no more."""

from __future__ import annotations

import hashlib
import hmac
import signal
from collections.abc import Mapping
from decimal import Decimal

from brain.reconciliation.closing import CLOSE_COOLDOWN_SEC, CLOSE_HOLD_SEC
from tests.integration.governed_plans import asked
from tests.integration.pipeline import AUDIT, PLANS, RESULTS
from tests.integration.played_governor import PlayedGovernor, id_at_exchange
from tests.integration.reconciled import KEYS, PATIENCE_SEC, Reconciled, named
from tests.integration.test_reconcile_killed import looks
from tests.integration.waiting import until, until_async

SYMBOL = "SOLUSDT"
SECRET = "between-the-two"
CLOSE_AFTER_SEC = 10
CLOSES = {
    "P34_CLOSE": "excess",
    "P34_CLOSE_AFTER_SEC": str(CLOSE_AFTER_SEC),
    "RECONCILE_HMAC_SECRET": SECRET,
    "P34_WEIGHT_PER_MIN": "120",
}
#: From the hold to the proposal.
PROPOSED_WITHIN_SEC = CLOSE_AFTER_SEC + 5.0


def proposals(site: Reconciled) -> list[dict[str, str]]:
    return [fields for _, fields in site.entries(PLANS)]


async def proposed(site: Reconciled, count: int, within_sec: float = PROPOSED_WITHIN_SEC) -> dict[str, str]:
    """Wait for so many proposals; the latest."""
    await until(lambda: len(proposals(site)) >= count, f"proposal {count}: {site.events(SYMBOL)}", within_sec)
    return proposals(site)[-1]


def assert_signed(plan: Mapping[str, str]) -> None:
    text = "|".join(plan[name] for name in ("plan_id", "symbol", "qty", "ts", "signature"))
    assert plan["hmac"] == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def sec_after_hold(site: Reconciled, event: Mapping[str, str]) -> float:
    """Return the time from the hold to an event (seconds, Redis's clock)."""
    held = site.event(SYMBOL, "HOLD_SET")
    assert held is not None
    return (int(event["ms"]) - int(held["ms"])) / 1000


async def test_the_executor_closes_what_a_person_has_added_and_no_more(reconciled: Reconciled) -> None:
    site, governor = reconciled, PlayedGovernor(reconciled)
    site.moved(SYMBOL, "2")
    async with site.daemon({**CLOSES, "P33_EXECUTOR": "on"}) as daemon:
        await governor.executor_reads()
        await governor.has_price(SYMBOL)
        theirs = site.moved(SYMBOL, "3")
        state = await site.needs_person(SYMBOL)
        assert named(state) == [(theirs.client_order_id, "manual", "3")]
        plan = await proposed(site, 1)
        assert_signed(plan)
        assert plan["plan_id"] == f"reconclose:{SYMBOL}:{plan['signature']}:{plan['ts']}"
        assert (plan["decision"], plan["side"], plan["qty"]) == ("RECONCILE_CLOSE", "SELL", "3")
        assert (plan["exchange_amt"], plan["ledger_amt"]) == ("5", "2")

        result = await governor.result(plan["plan_id"])
        assert (result["executed"], result["order_status"], result["filled_qty"]) == ("true", "FILLED", "3")
        (order,) = [
            each for each in site.exchange.orders.of(SYMBOL) if each.client_order_id.startswith("p33-")
        ]
        assert order.client_order_id == id_at_exchange(plan["plan_id"])
        assert (order.side, order.reduce_only, order.executed) == ("SELL", True, Decimal(3))
        (decision,) = [fields for _, fields in site.entries(AUDIT) if fields["plan_id"] == plan["plan_id"]]
        assert (decision["allow"], decision["reason"]) == ("true", "reconcile_close_bypass")

        await site.released(SYMBOL)
        site.assert_agrees(SYMBOL)
        # The ledger never moved: what was closed was never in it.
        assert site.ledger_amount(SYMBOL) == "2"
        assert site.told(SYMBOL) == ["HOLD_SET", "MANUAL_REQUIRED", "CLOSE_PROPOSED", "HOLD_CLEARED"]
        event = site.event(SYMBOL, "CLOSE_PROPOSED")
        assert event is not None and event["plan_id"] == plan["plan_id"]
        assert sec_after_hold(site, event) >= CLOSE_AFTER_SEC
        assert len(proposals(site)) == 1
        await site.nothing_pends(PLANS, RESULTS)
        metrics = (await asked(await daemon.url(), "/metrics")).text
        for line in (
            f'reconcile_close_consumed_total{{symbol="{SYMBOL}"}} 1.0',
            f'reconcile_close_executed_total{{symbol="{SYMBOL}",status="FILLED"}} 1.0',
            f'p34_reconcile_close_published_total{{symbol="{SYMBOL}"}} 1.0',
        ):
            assert line in metrics.splitlines(), line
        assert f"[RECONCILE_CLOSE_AUDIT] plan={plan['plan_id']}" in daemon.output


async def test_without_an_executor_a_close_is_proposed_once_whatever_becomes_of_the_process(
    reconciled: Reconciled,
) -> None:
    site = reconciled
    async with site.daemon(CLOSES) as daemon:
        site.moved(SYMBOL, "3")
        await site.needs_person(SYMBOL)
        assert proposals(site) == []
        first = await proposed(site, 1)
        assert (first["side"], first["qty"]) == ("SELL", "3")
        assert 0 < site.redis.pttl(KEYS.hold(SYMBOL)) <= CLOSE_HOLD_SEC * 1000
        # The plan may be executed yet: another drift of the symbol is no reason for a second one.
        site.moved(SYMBOL, "1")
        await until(lambda: site.state(SYMBOL).get("exchange_amt") == "4", "another look", PATIENCE_SEC)
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    async with site.daemon(CLOSES) as daemon:
        # It looks at the case that it finds, and again when the hold is old enough by its own count.
        url = await daemon.url()

        async def looked_twice() -> bool:
            return await looks(url) >= 2

        await until_async(
            looked_twice, "a look at the time of a proposal", PROPOSED_WITHIN_SEC + PATIENCE_SEC
        )
        assert proposals(site) == [first]
        marks = [
            mark
            for kind in ("cooldown", "out")
            for mark in site.redis.scan_iter(f"quantum:reconcile:close:{kind}:*")
        ]
        assert len(marks) == 2
        assert all(0 < site.redis.pttl(mark) <= CLOSE_COOLDOWN_SEC * 1000 for mark in marks)
        # Once their time is over, the next look proposes what is there then.
        site.redis.delete(*marks)
        site.moved(SYMBOL, "1")
        second = await proposed(site, 2)
        assert_signed(second)
        assert (second["side"], second["qty"], second["ledger_amt"]) == ("SELL", "5", "0")
        assert second["signature"] != first["signature"]
        assert site.exchange.position(SYMBOL).amount == Decimal(5)
        site.accept(SYMBOL)
        await site.released(SYMBOL)
