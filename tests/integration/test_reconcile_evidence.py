"""Evidence that is late, long, interrupted or missing: nothing is booked before the sum comes out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.integration.pipeline import RESULTS
from tests.integration.reconciled import (
    HELD_WITHIN_SEC,
    KEYS,
    PATIENCE_SEC,
    REPAIRED_WITHIN_SEC,
    Reconciled,
    named,
    orders_of,
    sec_between,
)
from tests.integration.waiting import until

USER_TRADES = "/fapi/v1/userTrades"
LAG_SEC = 5.0
#: A drift that all of the exchange's trades do not explain for so long has no evidence.
NO_EVIDENCE_AFTER_SEC = 15.0


def looks(site: Reconciled, symbol: str) -> int:
    """Return how many requests for trades of a symbol have been answered."""
    records = site.exchange.requests.records(path=USER_TRADES)
    return sum(f"symbol={symbol}&" in f"{each.query}&" and each.status == 200 for each in records)


@pytest.mark.parametrize("newest", [False, True], ids=["oldest first", "newest first"])
async def test_trades_of_one_more_than_a_page_are_all_read(reconciled: Reconciled, newest: bool) -> None:
    site = reconciled
    site.exchange.faults.full_pages_are_newest = newest
    async with site.daemon({"P34_WEIGHT_PER_MIN": "120"}):
        order = site.lost("XRPUSDT", "1001", parts=1001, announced=False)
        repair = await site.repaired("XRPUSDT")
        assert named(repair) == [(order.client_order_id, "own_orphan", "1001")]
        assert site.ledger_amount("XRPUSDT") == "1001"
        assert looks(site, "XRPUSDT") == 3


async def test_a_page_that_fails_is_no_end_of_the_trades(reconciled: Reconciled) -> None:
    site, faults = reconciled, reconciled.exchange.faults
    async with site.daemon({"P34_WEIGHT_PER_MIN": "120"}):
        order = site.lost("XRPUSDT", "1001", parts=1001, announced=False)
        faults.rest_fault_paths = [USER_TRADES]
        await until(lambda: site.held_by("XRPUSDT"), "the hold", PATIENCE_SEC)
        faults.rest_latency_ms = 200.0
        await until(lambda: looks(site, "XRPUSDT") == 1, "the first page", PATIENCE_SEC)
        faults.rest_faults_next = ["5xx"]
        await until(lambda: site.event("XRPUSDT", "EVIDENCE_INCOMPLETE"), "the gap", PATIENCE_SEC)
        assert not faults.rest_faults_next
        assert site.ledger_amount("XRPUSDT") == "0"
        assert named(await site.repaired("XRPUSDT")) == [(order.client_order_id, "own_orphan", "1001")]
        assert site.told("XRPUSDT")[:3] == ["HOLD_SET", "EVIDENCE_INCOMPLETE", "AUTO_REPAIR"]


async def test_trades_that_are_listed_5_s_late_are_waited_for(reconciled: Reconciled) -> None:
    site = reconciled
    site.exchange.faults.history_lag_ms = LAG_SEC * 1000
    async with site.daemon():
        ours, theirs = site.lost("SOLUSDT", "3"), site.moved("XRPUSDT", "10")
        repair = await site.repaired("SOLUSDT")
        assert LAG_SEC <= sec_between(ours, repair) < LAG_SEC + REPAIRED_WITHIN_SEC
        await site.needs_person("XRPUSDT")
        manual = site.event("XRPUSDT", "MANUAL_REQUIRED")
        assert manual is not None and LAG_SEC <= sec_between(theirs, manual) < LAG_SEC + REPAIRED_WITHIN_SEC
        for symbol, order in (("SOLUSDT", ours), ("XRPUSDT", theirs)):
            held = site.event(symbol, "HOLD_SET")
            assert held is not None and sec_between(order, held) < HELD_WITHIN_SEC
            assert looks(site, symbol) > 1
        assert named(site.state("XRPUSDT")) == [(theirs.client_order_id, "manual", "10")]


async def test_a_position_that_no_trade_explains_waits_for_a_person(reconciled: Reconciled) -> None:
    site, exchange = reconciled, reconciled.exchange
    site.moved("SOLUSDT", "10")
    async with site.daemon():
        before = site.ledger("SOLUSDT")
        exchange.rewind_position("SOLUSDT", "BOTH", Decimal(4), exchange.exchange_ms())
        state = await site.needs_person("SOLUSDT", NO_EVIDENCE_AFTER_SEC + PATIENCE_SEC)
        assert (state["cause"], orders_of(state)) == ("none", [])
        held, manual = site.event("SOLUSDT", "HOLD_SET"), site.event("SOLUSDT", "MANUAL_REQUIRED")
        assert held is not None and manual is not None
        waited_sec = (int(manual["ms"]) - int(held["ms"])) / 1000
        assert NO_EVIDENCE_AFTER_SEC <= waited_sec < NO_EVIDENCE_AFTER_SEC + 5
        assert site.ledger("SOLUSDT") == before
        site.accept("SOLUSDT")
        await site.released("SOLUSDT")


async def test_a_ledger_that_an_operator_corrects_in_the_middle_is_left_as_it_is(
    reconciled: Reconciled,
) -> None:
    """Of one symbol during a look, of the other between two looks."""
    site, faults = reconciled, reconciled.exchange.faults
    async with site.daemon():
        faults.rest_fault_paths, faults.rest_fault_rates = [USER_TRADES], {"5xx": 1.0}
        site.lost("SOLUSDT", "3")
        await until(lambda: site.event("SOLUSDT", "EVIDENCE_INCOMPLETE"), "a look", PATIENCE_SEC)
        site.accept("SOLUSDT")
        faults.rest_fault_rates = {}
        await site.released("SOLUSDT")

        faults.rest_latency_ms, faults.rest_latency_share_before = 1_500.0, 0.0
        site.lost("XRPUSDT", "10")
        await until(lambda: _asked(site, "XRPUSDT"), "a look", PATIENCE_SEC)
        site.accept("XRPUSDT")
        await site.released("XRPUSDT")
        for symbol, amount in (("SOLUSDT", "3"), ("XRPUSDT", "10")):
            assert "AUTO_REPAIR" not in site.told(symbol)
            assert site.told(symbol)[-1] == "HOLD_CLEARED"
            assert site.ledger_amount(symbol) == amount


def _asked(site: Reconciled, symbol: str) -> bool:
    """Say if a request for trades of a symbol has come, which may not be answered yet."""
    return any(
        f"symbol={symbol}&" in f"{each.query}&" for each in site.exchange.requests.records(path=USER_TRADES)
    )


async def test_a_hold_of_an_operator_is_left_alone_and_no_evidence_is_read_under_it(
    reconciled: Reconciled,
) -> None:
    site = reconciled
    async with site.daemon():
        site.redis.mset({KEYS.hold("SOLUSDT"): "1", KEYS.hold_sig("SOLUSDT"): "operator:me"})
        order = site.lost("SOLUSDT", "3")
        await until(lambda: site.event("SOLUSDT", "DRIFT"), "the drift", PATIENCE_SEC)
        # Another symbol, later: by its repair the first would be repaired, too.
        await site.repaired(site.lost("XRPUSDT", "10").symbol.name)
        assert site.held_by("SOLUSDT") == "operator:me"
        assert looks(site, "SOLUSDT") == 0
        assert site.state("SOLUSDT")["status"] == "DRIFT"
        site.redis.delete(KEYS.hold("SOLUSDT"), KEYS.hold_sig("SOLUSDT"))
        assert named(await site.repaired("SOLUSDT")) == [(order.client_order_id, "own_orphan", "3")]
        await site.nothing_pends(RESULTS)
