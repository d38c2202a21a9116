"""Log lines, metrics and state of the engine."""

from __future__ import annotations

import trio
from structlog.testing import capture_logs

from channels import Count, Observe, SetGauge
from monitoring.metrics.catalogue import RECONCILE_CATALOGUE
from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def sent(rig: ReconcileRig) -> dict[tuple[str, tuple[str, ...]], float]:
    """The sum of each counter, and the last value of each gauge."""
    values: dict[tuple[str, tuple[str, ...]], float] = {}
    for event in await rig.metrics.receive_all():
        if isinstance(event, Count):
            key = event.name, event.labels
            values[key] = values.get(key, 0) + event.amount
        elif isinstance(event, SetGauge):
            values[event.name, event.labels] = event.value
        elif isinstance(event, Observe):
            values[event.name, ()] = event.seconds
    return values


async def test_the_log_has_the_lines_that_operators_search_for(rig: ReconcileRig) -> None:
    rig.agree("ETHUSDT", "-1")
    rig.own_order("p33-a")
    with capture_logs() as logs:
        async with running_engine(rig):
            order_id = rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
            rig.trade("ETHUSDT", "BUY", "3", client_order_id="web_1")
            await trio.sleep(10)
            rig.ledger("ETHUSDT", "2")
            await trio.sleep(6)
    lines = [str(each["event"]) for each in logs]
    assert lines[0].startswith("P3.4 Reconcile [")
    assert "settle_sec=2" in lines[0]
    for line in (
        "BTCUSDT: QTY MISMATCH - exchange=1 ledger=0 diff=1 (100%)",
        "ETHUSDT: SIDE MISMATCH - exchange=2 ledger=-1 diff=3 (150%)",
        "BTCUSDT: HOLD set (reason=qty_mismatch, TTL=300s)",
        "ETHUSDT: HOLD set (reason=side_mismatch, TTL=300s)",
        f"BTCUSDT: AUTO-REPAIR - ledger 0 -> 1 by BUY 1 of order {order_id} (p33-a, own_unbooked)",
        "ETHUSDT: HOLD cleared",
    ):
        assert lines.count(line) == 1, line


async def test_the_metrics_count_drifts_repairs_and_holds(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
        rig.trade("ETHUSDT", "BUY", "3", client_order_id="web_1")
        await trio.sleep(10)
        values = await sent(rig)
        assert values["p34_reconcile_drift_total", ("BTCUSDT", "qty_mismatch")] == 1
        assert values["p34_reconcile_auto_repair_total", ("BTCUSDT",)] == 1
        assert not values.get(("p34_reconcile_hold_active", ("BTCUSDT",)))
        assert values["p34_reconcile_hold_active", ("ETHUSDT",)] == 1
        assert values["p34_reconcile_diff_amt", ("ETHUSDT",)] == 3
        assert values["p34_manual_required", ("ETHUSDT",)] == 1
        assert 7 < values["p34_hold_seconds", ("ETHUSDT",)] < 8.5
        assert 7 < values["p34_reconcile_last_fix_age_sec", ("BTCUSDT",)] < 8.5
        assert 2 <= values["p34_repair_seconds", ()] < 3
        assert values["p34_evidence_lookups_total", ("repaired",)] == 1
        assert values["p34_evidence_lookups_total", ("manual",)] == 1
        rig.ledger("ETHUSDT", "3")
        await trio.sleep(6)
        values = await sent(rig)
        assert values["p34_reconcile_hold_active", ("ETHUSDT",)] == 0
        assert values["p34_manual_required", ("ETHUSDT",)] == 0
    declared = {each.name: len(each.labels) for each in RECONCILE_CATALOGUE}
    assert {name: len(labels) for name, labels in values}.items() <= declared.items()


async def test_symbols_that_share_a_label_show_the_worst_of_them(rig: ReconcileRig) -> None:
    """Those that the exchange lists no more."""
    async with running_engine(rig):
        rig.move("XRPUSDT", "-7")
        await trio.sleep(20)
        rig.trade("SOLUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(10)
        rules = dict(rig.symbol_rules.value or {})
        del rules["XRPUSDT"], rules["SOLUSDT"]
        rig.symbol_rules.send(rules)
        rig.ledger("BTCUSDT", "x")
        await sent(rig)
        await trio.sleep(5)
        values = await sent(rig)
        assert values["p34_manual_required", ("other",)] == 1
        assert values["p34_reconcile_diff_amt", ("other",)] == -7
        assert values["p34_hold_seconds", ("other",)] > 30
        # The older one is over, the other is not.
        rig.ledger("XRPUSDT", "-7")
        await trio.sleep(6)
        values = await sent(rig)
        assert values["p34_reconcile_hold_active", ("other",)] == 1
        assert values["p34_reconcile_diff_amt", ("other",)] == 1


async def test_the_state_shows_the_open_cases_oldest_first(rig: ReconcileRig) -> None:
    rig.own_order("p33-a")
    async with running_engine(rig):
        rig.trade("SOLUSDT", "BUY", "1", client_order_id="web_1")
        await trio.sleep(3)
        rig.trade("BTCUSDT", "BUY", "1", client_order_id="web_2")
        rig.trade("ETHUSDT", "BUY", "1", client_order_id="p33-a")
        await trio.sleep(10)
        assert rig.reconcile is not None
        now = rig.reconcile.value
        assert now is not None
        assert [case.symbol for case in now.cases] == ["SOLUSDT", "BTCUSDT"]
        (case, _) = now.cases
        assert (case.status, case.cause, case.held, case.held_by) == ("MANUAL_REQUIRED", "manual", True, None)
        assert case.looks == 1
        assert case.next_look_sec is not None
        assert 45 < case.next_look_sec < 60
        assert now.weight_1m == 18
        assert now.weight_per_min == 60
        assert now.compared == 4
        assert [(symbol, str(moved)) for symbol, _, moved in now.repaired] == [("ETHUSDT", "1")]
