"""The whole status and what of it is shown: long lists are cut, what fires is computed before that."""

from __future__ import annotations

import msgspec

from brain.identifiers import PlanId
from channels import SetGauge
from monitoring.firing import firing
from monitoring.status.document import OpenExecutionShown, OpenExecutionsShown, RolesShown
from monitoring.status.reconcile import ReconcileShown
from monitoring.status.whole import cut
from tests.monitoring.status_rig import StatusRig
from tests.monitoring.test_firing import changed, with_case


def test_every_mismatch_fires_and_a_hundred_are_shown() -> None:
    rig = StatusRig()
    for number in range(150):
        rig.publish(f"S{number:03d}USDT", "1", age_sec=0.0)
        rig.monitor.registry.apply(SetGauge("p33_ledger_amt", 0.5, (f"S{number:03d}USDT",)))
    whole = rig.monitor.status.whole()
    assert len([each for each in firing(whole) if each.kind == "divergence"]) == 150
    shown = rig.monitor.status.status().ledgers
    assert (len(shown.mismatches), shown.in_flight) == (100, 0)
    assert rig.monitor.status.status() == cut(whole.document)


def test_a_case_that_is_pushed_off_the_page_by_another_goes_on_firing() -> None:
    rig = StatusRig()
    one = with_case().reconcile
    assert isinstance(one, ReconcileShown)
    (case,) = one.cases
    held = [
        msgspec.structs.replace(case, symbol=f"S{number:02d}USDT", status="HOLD", held=True)
        for number in range(50)
    ]
    roles = RolesShown(reconcile=msgspec.structs.replace(one, cases=[case, *held]))
    whole = changed(rig.monitor.status.whole(), roles=roles)
    assert {each.subject for each in firing(whole)} == {case.symbol, *(each.symbol for each in held)}
    shown = cut(whole.document).roles
    assert isinstance(shown, RolesShown) and isinstance(shown.reconcile, ReconcileShown)
    assert [each.symbol for each in shown.reconcile.cases] == [
        case.symbol,
        *(each.symbol for each in held[:49]),
    ]


def test_twenty_undecided_orders_are_shown() -> None:
    own = OpenExecutionShown(PlanId("plan-1"), "BTCUSDT", "p33-1", 12.0, True, [])
    orders = [msgspec.structs.replace(own, plan_id=PlanId(f"plan-{number}")) for number in range(30)]
    whole = changed(StatusRig().monitor.status.whole(), open_executions=OpenExecutionsShown(30, orders))
    assert len(firing(whole)) == 30
    assert cut(whole.document).open_executions == OpenExecutionsShown(30, orders[:20])
