"""Conditions that fire: each from its own level, and none from a service in order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.identifiers import PlanId
from brain.plans.permit import Decision, Kind, Reason
from brain.positions.position import Leg
from channels import Lease
from monitoring.firing import STARTING_SEC, Firing, NoticeKind, firing, urgency
from monitoring.status.document import (
    LeaseShown,
    LedgersShown,
    MismatchShown,
    OpenExecutionShown,
    OpenExecutionsShown,
    RolesShown,
    UnknownExecutionShown,
    UnknownExecutionsShown,
)
from monitoring.status.governor import GovernorShown
from monitoring.status.reconcile import CaseShown, ReconcileShown
from monitoring.status.whole import WholeStatus
from tests.monitoring.status_rig import StatusRig, node

_CASE = CaseShown(
    symbol="BTCUSDT",
    status="MANUAL_REQUIRED",
    reason="qty_mismatch",
    cause="manual",
    exchange="0.040",
    ledger="0.050",
    difference="-0.010",
    percent="25",
    legs=[],
    since="2026-09-21T12:00:00Z",
    for_sec=90.0,
    held=False,
    held_by=None,
    why="a person traded",
    advice="",
    orders=[],
    orders_left_out=0,
    looks=1,
    next_look_sec=None,
)


def status_of(rig: StatusRig, **changes: Any) -> WholeStatus:
    """The status of a service that started long ago, with changes of its document."""
    rig.clock.advance(STARTING_SEC)
    rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
    return changed(rig.monitor.status.whole(), **changes)


def changed(whole: WholeStatus, **changes: Any) -> WholeStatus:
    return msgspec.structs.replace(whole, document=msgspec.structs.replace(whole.document, **changes))


def decision(*, allow: bool) -> Decision:
    reason = Reason.SANITY_CHECKS_PASSED if allow else Reason.NO_POSITION
    quantity = Decimal(int(allow))
    return Decision(allow, reason, Kind.CLOSE, Leg.BOTH, "BUY", quantity, quantity, None, {})


def found(status: WholeStatus) -> list[tuple[str, str]]:
    return [each.key for each in firing(status)]


def with_case(**changes: Any) -> RolesShown:
    case = msgspec.structs.replace(_CASE, **changes)
    return RolesShown(reconcile=ReconcileShown(mode="on", doing="compares", cases=[case]))


async def test_nothing_fires_while_all_is_in_order(rig: StatusRig) -> None:
    assert found(status_of(rig)) == []


async def test_a_service_that_is_not_ready_fires_with_its_reasons(rig: StatusRig) -> None:
    rig.channels.ledgers_adopted.send(False)
    (fired,) = firing(status_of(rig))
    assert fired == Firing(NoticeKind.NOT_READY, "", "the first ledgers are not adopted yet")


async def test_of_many_reasons_three_are_named_and_the_others_counted(rig: StatusRig) -> None:
    status = msgspec.structs.replace(status_of(rig), faults=["a", "b", "c", "d", "e"])
    (fired,) = firing(status)
    assert fired.text == "a; b; c; and 2 more reasons"


async def test_a_start_a_stop_and_a_standby_are_in_order(rig: StatusRig) -> None:
    rig.channels.ledgers_adopted.send(False)
    assert found(rig.monitor.status.whole()) == []
    status = status_of(rig)
    assert found(changed(status, tree=node("brain", state="stopping"))) == []
    rig.channels.ledgers_adopted.send(True)
    rig.lease.send(Lease(None, "other:8045"))
    assert found(status_of(rig)) == []
    rig.lease.send(Lease(None, "here:8045", "trade-2/71/ab"))
    assert found(status_of(rig)) == [("not_ready", "")]


async def test_a_standby_that_waits_for_the_lease_and_has_adopted_nothing_is_in_order(rig: StatusRig) -> None:
    rig.lease.send(Lease(None, "other:8045"))
    rig.channels.ledgers_adopted.send(False)
    rig.waits.append(("brain/decisions/permit_evaluator", "the lease, held by other:8045"))
    assert len(status_of(rig).document.reasons) == 3
    assert found(status_of(rig)) == []


async def test_a_standby_that_could_not_take_over_is_not_ready(rig: StatusRig) -> None:
    rig.lease.send(Lease(None, "other:8045"))
    rig.channels.ledgers_adopted.send(False)
    rig.waits.append(("brain/decisions/permit_evaluator", "Redis at r:6379"))
    rig.channels.allowlist = type(rig.channels.allowlist)("allowlist")
    (fired,) = firing(status_of(rig))
    assert fired.text == ("waiting for Redis at r:6379 (permit_evaluator); the allowlist is not known yet")


async def test_a_wait_for_a_lease_of_nobody_is_no_standby(rig: StatusRig) -> None:
    rig.lease.send(Lease(None, ""))
    rig.waits.append(("brain/decisions/permit_evaluator", "the lease, held by "))
    assert found(status_of(rig)) == [("not_ready", "")]


async def test_a_ban_fires_until_it_is_over(rig: StatusRig) -> None:
    status = status_of(rig)
    banned = msgspec.structs.replace(status.document.weight, ban_left_sec=125.0)
    (fired,) = firing(changed(status, weight=banned))
    assert fired.kind is NoticeKind.BAN
    assert "2 min 5 s" in fired.text
    over = msgspec.structs.replace(status.document.weight, ban_left_sec=-0.5)
    assert found(changed(status, weight=over)) == []


@pytest.mark.parametrize(
    ("failures", "allowed", "fires"),
    [(6, 10, False), (7, 10, True), (1, 2, False), (2, 2, True), (9, None, False)],
)
async def test_a_restart_limit_is_near_from_seven_tenths_on(
    rig: StatusRig, failures: int, allowed: int | None, fires: bool
) -> None:
    group = node("decisions", recent_failures=failures, failures_allowed=allowed)
    tree = node("brain", *status_of(rig).document.tree.children, node("outer", group))
    assert found(status_of(rig, tree=tree)) == ([("restart_limit", "decisions")] if fires else [])


async def test_an_auto_disarm_fires_until_trading_is_active_again(rig: StatusRig) -> None:
    shown = GovernorShown(mode="on", doing="", trading_state="REDUCING", disarmed="drawdown")
    status = status_of(rig)

    def of(**changes: Any) -> list[tuple[str, str]]:
        governor = msgspec.structs.replace(shown, **changes)
        return found(changed(status, roles=RolesShown(governor=governor)))

    assert of() == [("disarm", "")]
    assert of(trading_state="ACTIVE") == []
    assert of(disarmed=None) == []
    assert of(mode="shadow") == []


async def test_a_plan_of_unknown_outcome_fires_once(rig: StatusRig) -> None:
    shown = UnknownExecutionShown(PlanId("plan-1"), "BTCUSDT", "2026-09-21T12:00:00Z", 30.0)
    own = OpenExecutionShown(PlanId("plan-1"), "BTCUSDT", "p33-1", 12.0, True, [])
    other = msgspec.structs.replace(own, plan_id=PlanId("plan-2"))
    status = status_of(
        rig,
        unknown_executions=UnknownExecutionsShown(1, [shown]),
        open_executions=OpenExecutionsShown(2, [own, other]),
    )
    assert found(status) == [("unknown_execution", "plan-1"), ("unknown_execution", "plan-2")]


@pytest.mark.parametrize(
    ("changes", "fires"),
    [
        ({}, True),
        ({"status": "DRIFT"}, False),
        ({"status": "DRIFT", "held": True}, True),
        ({"status": "DRIFT", "held_by": ""}, True),
    ],
)
async def test_a_case_fires_while_it_is_held_or_needs_a_person(
    rig: StatusRig, changes: dict[str, Any], fires: bool
) -> None:
    assert found(status_of(rig, roles=with_case(**changes))) == ([("case", "BTCUSDT")] if fires else [])


async def test_the_cases_of_a_shadow_do_not_fire(rig: StatusRig) -> None:
    shown = ReconcileShown(mode="shadow", doing="compares", cases=[_CASE])
    assert found(status_of(rig, roles=RolesShown(reconcile=shown))) == []


async def test_a_ledger_that_differs_fires_unless_its_case_does(rig: StatusRig) -> None:
    ledgers = LedgersShown(2, 0, [MismatchShown("BTCUSDT", "0.040", None, 7.0)])
    assert found(status_of(rig, ledgers=ledgers)) == [("divergence", "BTCUSDT")]
    assert found(status_of(rig, ledgers=ledgers, roles=with_case())) == [("case", "BTCUSDT")]
    unheld = with_case(status="DRIFT")
    assert found(status_of(rig, ledgers=ledgers, roles=unheld)) == [("divergence", "BTCUSDT")]


async def test_without_the_lease_nothing_of_the_account_fires(rig: StatusRig) -> None:
    ledgers = LedgersShown(2, 0, [MismatchShown("BTCUSDT", "0.040", None, 7.0)])
    status = status_of(rig, ledgers=ledgers)
    assert found(status) == [("divergence", "BTCUSDT")]
    standby = changed(status, lease=LeaseShown(False, "other:8045"))
    assert found(standby) == []


async def test_five_denied_plans_in_a_row_fire_and_one_allowed_ends_it(rig: StatusRig) -> None:
    for number in range(4):
        rig.decided(f"plan-{number}", decision=decision(allow=False))
    assert found(rig.monitor.status.whole()) == []
    rig.decided("plan-5", decision=decision(allow=False))
    (fired,) = firing(rig.monitor.status.whole())
    assert fired.text == "all 5 plans of the last 5 min were denied, 5 of them for no_position"
    rig.decided("plan-6", decision=decision(allow=True))
    assert found(rig.monitor.status.whole()) == []


def test_the_most_urgent_kind_comes_first() -> None:
    keys = [
        (NoticeKind.CASE, "B"),
        (NoticeKind.ALL_DENIED, ""),
        (NoticeKind.CASE, "A"),
        (NoticeKind.NOT_READY, ""),
    ]
    assert [kind for kind, _ in sorted(keys, key=urgency)] == ["not_ready", "case", "case", "all_denied"]
