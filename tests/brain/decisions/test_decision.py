"""Quantities beside the reason, limits at their edges, and allowed plans."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import msgspec
import pytest

from brain.decisions.case import Case
from brain.decisions.decision import decide, trail
from brain.plans.check_results import Outcome
from brain.plans.permit import Kind, OpenPermit, Reason
from brain.plans.plan import Plan, Side
from brain.positions.position import Leg, PositionSide
from tests.brain.cases import (
    BTCUSDT,
    NOW_MS,
    RULES,
    case,
    entry,
    ledger,
    open_permit,
    plan,
    reconcile_close,
    snapshot,
)


def test_the_contracts_example_rounds_down() -> None:
    decision = decide(case(plan(action="PARTIAL_75"), "0.038"))
    assert decision.quantity == decision.reserve == Decimal("0.028")
    assert (decision.kind, decision.leg, decision.order_side) == (Kind.CLOSE, Leg.BOTH, "SELL")
    assert decision.position_side is PositionSide.LONG


@pytest.mark.parametrize(
    ("action", "asked", "quantity"),
    [
        ("FULL_CLOSE_PROPOSED", None, "0.038"),
        ("PARTIAL_75", None, "0.028"),
        ("PARTIAL_50", None, "0.019"),
        ("PARTIAL_75", "0.01", "0.010"),
        ("PARTIAL_50", "0.03", "0.019"),
        ("CLOSE_PARTIAL", "0.0159", "0.015"),
        ("CLOSE_PARTIAL", "7", "0.038"),
    ],
)
def test_a_close_gets_the_smaller_of_share_and_quantity(
    action: str, asked: str | None, quantity: str
) -> None:
    wanted = plan(action=action, quantity=None if asked is None else Decimal(asked))
    assert decide(case(wanted)).quantity == Decimal(quantity)


def test_closes_share_the_position() -> None:
    permits = (open_permit(Kind.CLOSE, "SELL", "0.010"), open_permit(Kind.CLOSE, "SELL", "0.008"))
    assert decide(case(open_permits=permits)).quantity == Decimal("0.015")


def test_permits_that_have_ended_or_are_for_something_else_take_nothing() -> None:
    permits = (
        open_permit(Kind.CLOSE, "SELL", "0.038", expires_ms=NOW_MS),
        open_permit(Kind.CLOSE, "SELL", "0.038", leg=Leg.LONG),
        open_permit(Kind.OPEN, "BUY", "0.038"),
        open_permit(Kind.ADD, "BUY", "0.038"),
    )
    assert decide(case(open_permits=permits)).quantity == Decimal("0.028")


def test_a_close_does_not_hold_up_an_add() -> None:
    permits = (open_permit(Kind.CLOSE, "SELL", "0.038"),)
    assert decide(case(entry(), open_permits=permits)).reason is Reason.OPEN_PERMIT_GRANTED


def test_a_quantity_is_clamped_to_the_largest_market_order_and_still_a_multiple_of_the_step() -> None:
    rules = msgspec.structs.replace(BTCUSDT, market_step=Decimal("0.003"), market_max=Decimal("0.02"))
    assert decide(case(symbol_rules=rules)).quantity == Decimal("0.018")


def test_a_flip_is_judged_by_the_position_not_by_what_is_available() -> None:
    permits = (open_permit(Kind.CLOSE, "SELL", "0.030"),)
    decision = decide(case(entry(Side.SELL, "0.038"), open_permits=permits))
    assert (decision.reason, decision.quantity) == (Reason.SANITY_CHECKS_PASSED, Decimal("0.008"))


def test_an_open_reserves_the_plans_quantity() -> None:
    decision = decide(case(entry(Side.SELL, "0.0123"), "0"))
    assert (decision.quantity, decision.reserve) == (Decimal(0), Decimal("0.0123"))
    assert (decision.kind, decision.order_side) == (Kind.OPEN, "SELL")
    assert decision.position_side is PositionSide.FLAT


def test_a_stop_loss_update_takes_nothing() -> None:
    update = plan(action="UPDATE_SL", side=None, reduce_only=None, eval_type="EXIT")
    decision = decide(case(update, cooldown_text=str(NOW_MS), ledger=ledger("0")))
    assert (decision.allow, decision.kind) == (True, Kind.NONE)
    assert decision.quantity == decision.reserve == 0
    assert decision.order_side is None


@pytest.mark.parametrize(
    "the_case",
    [
        case(entry_ms=NOW_MS - 5000),
        case(plan(timestamp_sec=NOW_MS / 1000 - 3600)),
        case(snapshot=snapshot("0.038", age_sec=10)),
        case(snapshot=snapshot("100"), ledger=ledger("99")),
        case(cooldown_text=str(NOW_MS - 15_000)),
        case(ledger=ledger("0.038", last_order_time_epoch=str((NOW_MS - 15_000) / 1000))),
    ],
    ids=["entry age", "timestamp", "snapshot age", "tolerance", "cooldown key", "last order"],
)
def test_a_limit_itself_is_within_the_limit(the_case: Case) -> None:
    assert decide(the_case).allow


def test_the_later_of_both_times_counts_for_the_cooldown() -> None:
    long_ago, just_now = NOW_MS - 3_600_000, NOW_MS - 3000
    for order_ms, key_ms in ((long_ago, just_now), (just_now, long_ago)):
        at = ledger("0.038", last_order_time_epoch=str(order_ms / 1000))
        decision = decide(case(ledger=at, cooldown_text=str(key_ms)))
        assert decision.reason is Reason.COOLDOWN_IN_FLIGHT
        assert decision.details["seconds_since_exec"] == 3.0


def test_a_time_far_in_the_future_is_ignored_with_a_warning() -> None:
    decision = decide(case(cooldown_text=str(NOW_MS + 15_001)))
    assert decision.allow
    assert decision.warnings == ("cooldown key is 15.001 s in the future: ignored",)


def test_a_time_a_little_in_the_future_is_a_cooldown() -> None:
    decision = decide(case(cooldown_text=str(NOW_MS + 15_000)))
    assert (decision.reason, decision.warnings) == (Reason.COOLDOWN_IN_FLIGHT, ())


def test_a_future_time_does_not_hide_a_recent_one() -> None:
    at = ledger("0.038", last_order_time_epoch=str(NOW_MS / 1000 + 100))
    decision = decide(case(ledger=at, cooldown_text=str(NOW_MS - 1000)))
    assert decision.reason is Reason.COOLDOWN_IN_FLIGHT
    assert decision.warnings


UNEXPLAINED, EXPLAINED = Reason.RECONCILE_REQUIRED_QTY_MISMATCH, Reason.IN_FLIGHT_PERMIT


@pytest.mark.parametrize(
    ("permits", "reason"),
    [
        ([open_permit(Kind.CLOSE, "SELL", "0.009")], UNEXPLAINED),
        ([open_permit(Kind.ADD, "BUY", "0.038")], UNEXPLAINED),
        ([open_permit(Kind.CLOSE, "SELL", "0.038", expires_ms=NOW_MS)], UNEXPLAINED),
        ([open_permit(Kind.CLOSE, "SELL", "0.038", leg=Leg.LONG)], UNEXPLAINED),
        ([open_permit(Kind.CLOSE, "SELL", part) for part in ("0.006", "0.004")], EXPLAINED),
    ],
    ids=["less than the difference", "the other way", "ended", "another leg", "two together"],
)
def test_a_difference_needs_reconciling_unless_open_permits_explain_it(
    permits: list[OpenPermit], reason: Reason
) -> None:
    differing = case(snapshot=snapshot("0.028"), ledger=ledger("0.038"), open_permits=tuple(permits))
    assert decide(differing).reason is reason


@pytest.mark.parametrize(
    ("changes", "guardrail"),
    [
        ({"reduce_only": False}, "not reduceOnly"),
        ({"reduce_only": None}, "not reduceOnly"),
        ({"order_type": "LIMIT"}, "not a market order"),
        ({"reason": "profit"}, "reason is not reconcile_drift"),
        ({"quantity": None}, "no quantity"),
        ({"quantity": Decimal("0.0381")}, "more than the position"),
    ],
)
def test_a_reconcile_close_names_the_guardrail_it_broke(changes: dict[str, object], guardrail: str) -> None:
    decision = decide(case(reconcile_close(**changes), hold=True))
    assert decision.reason is Reason.GUARDRAIL_VIOLATION
    assert decision.details["guardrail"] == guardrail


def test_a_reconcile_close_of_nothing_breaks_a_guardrail() -> None:
    assert decide(case(reconcile_close(), "0", hold=True)).reason is Reason.GUARDRAIL_VIOLATION


def test_a_reconcile_close_takes_no_notice_of_ledger_and_cooldown() -> None:
    closing = reconcile_close(order_type="market", side=Side.CLOSE)
    decision = decide(case(closing, hold=True, ledger=ledger("-5"), cooldown_text=str(NOW_MS)))
    assert decision.reason is Reason.RECONCILE_CLOSE_BYPASS
    assert (decision.kind, decision.quantity, decision.order_side) == (Kind.CLOSE, Decimal("0.01"), "SELL")


def test_a_reconcile_close_shares_the_position_with_open_permits() -> None:
    permits = (open_permit(Kind.CLOSE, "SELL", "0.030"),)
    assert decide(case(reconcile_close(), hold=True, open_permits=permits)).quantity == Decimal("0.008")


def test_a_reconcile_close_that_would_not_reduce_is_denied() -> None:
    decision = decide(case(reconcile_close(side=Side.BUY), hold=True))
    assert decision.reason is Reason.REDUCE_ONLY_SIDE_MISMATCH


def test_a_close_of_a_position_passes_the_allowlist_even_by_a_stale_snapshot() -> None:
    outside: dict[str, Any] = {"in_allowlist": False}
    assert decide(case(plan(side=Side.CLOSE), **outside)).allow
    assert decide(case(entry(Side.SELL, "0.01"), **outside)).allow
    stale = decide(case(snapshot=snapshot("0.038", age_sec=60), **outside))
    assert stale.reason is Reason.STALE_EXCHANGE_STATE


@pytest.mark.parametrize(
    "closing",
    [
        plan(),
        plan(action="PARTIAL_75", reduce_only=None),
        plan(action="TRIM", quantity=Decimal(1)),
        plan(action="UPDATE_SL", side=None, reduce_only=None),
        reconcile_close(reduce_only=None),
    ],
)
def test_a_plan_that_can_only_close_is_looked_up_outside_the_allowlist(closing: Plan) -> None:
    unseen = case(closing, snapshot=None, in_allowlist=False)
    assert decide(unseen).reason is Reason.NO_EXCHANGE_SNAPSHOT
    nowhere = msgspec.structs.replace(unseen, symbol_rules=None)
    assert decide(nowhere).reason is Reason.SYMBOL_NOT_IN_ALLOWLIST


def test_an_order_against_a_position_passes_the_allowlist_unless_it_calls_itself_an_entry() -> None:
    against = case(entry(Side.SELL, eval_type="EXIT"), in_allowlist=False)
    assert decide(against).reason is Reason.SANITY_CHECKS_PASSED
    entering = case(entry(Side.SELL, eval_type="ENTRY"), in_allowlist=False)
    assert decide(entering).reason is Reason.SYMBOL_NOT_IN_ALLOWLIST


@pytest.mark.parametrize(
    "closing", [plan(), plan(action="UPDATE_SL", side=None, reduce_only=None), reconcile_close()]
)
def test_a_plan_that_can_only_close_is_no_entry_whatever_the_position(closing: Plan) -> None:
    unseen = case(msgspec.structs.replace(closing, eval_type="ENTRY"), snapshot=None, hold=False)
    assert decide(unseen).reason is Reason.MALFORMED_PLAN
    assert "eval_type" in decide(unseen).details


def test_nothing_is_no_order_even_where_the_exchange_names_no_minimum() -> None:
    rules = msgspec.structs.replace(BTCUSDT, market_min=Decimal(0))
    assert decide(case(plan(), "0.001", symbol_rules=rules)).reason is Reason.BELOW_MIN_QTY


def test_a_stale_flat_snapshot_does_not_keep_a_close_from_being_looked_up() -> None:
    stale = decide(case(snapshot=snapshot("0", age_sec=60), in_allowlist=False))
    assert stale.reason is Reason.STALE_EXCHANGE_STATE
    opening = decide(case(entry(), snapshot=snapshot("0", age_sec=60), in_allowlist=False))
    assert opening.reason is Reason.SYMBOL_NOT_IN_ALLOWLIST


def test_a_position_in_a_symbol_that_no_longer_trades_can_be_closed() -> None:
    rules = msgspec.structs.replace(BTCUSDT, trading=False)
    assert decide(case(symbol_rules=rules)).allow
    assert decide(case(symbol_rules=msgspec.structs.replace(BTCUSDT, market_step=Decimal(0)))).allow is False


def test_a_position_side_in_one_way_mode_must_agree() -> None:
    assert decide(case(plan(leg=Leg.LONG))).allow
    assert decide(case(plan(leg=Leg.BOTH))).allow
    assert decide(case(plan(leg=Leg.SHORT))).reason is Reason.REDUCE_ONLY_SIDE_MISMATCH
    assert decide(case(entry(leg=Leg.LONG), "0")).allow
    assert decide(case(entry(leg=Leg.SHORT), "0")).reason is Reason.MALFORMED_PLAN
    assert decide(case(entry(Side.SELL, leg=Leg.SHORT), "0")).allow
    opens_short_against_a_long = entry(Side.SELL, leg=Leg.SHORT)
    assert decide(case(opens_short_against_a_long)).reason is Reason.REDUCE_ONLY_SIDE_MISMATCH


def test_a_decision_does_not_depend_on_the_callers_decimal_context() -> None:
    rules = msgspec.structs.replace(BTCUSDT, market_step=Decimal("1E-7"))
    with localcontext() as context:
        context.prec = 3
        decision = decide(case(amount="0.1234567", symbol_rules=rules))
    assert decision.quantity == Decimal("0.0925925")


def test_the_trail_says_what_was_skipped_and_what_was_not_reached() -> None:
    results = {result.name: result for result in trail(case(reconcile_close(), "0.038", hold=True))}
    assert results["hold"].outcome is Outcome.SKIPPED
    assert results["cooldown"].outcome is Outcome.SKIPPED
    assert results["quantity"].outcome is Outcome.PASSED
    assert results["quantity"].compared["rounded_qty"] == Decimal("0.01")
    results = {result.name: result for result in trail(case(cooldown_text=str(NOW_MS)))}
    assert results["fresh"].compared == {"snapshot_age_sec": 0.5, "threshold_sec": RULES.stale_threshold_sec}
    assert results["cooldown"].outcome is Outcome.DENIED
    assert results["cooldown"].reason is Reason.COOLDOWN_IN_FLIGHT
    assert results["quantity"].outcome is Outcome.NOT_REACHED


@pytest.mark.parametrize("stored", ["", "soon", "!unreadable", "x" * 100])
def test_a_cooldown_key_that_cannot_be_read_denies_and_is_named(stored: str) -> None:
    decision = decide(case(cooldown_text=stored, key_prefix="desk"))
    assert (decision.allow, decision.reason) == (False, Reason.COOLDOWN_IN_FLIGHT)
    assert decision.details["cooldown"] == "unreadable"
    assert decision.details["key"] == "desk:cooldown:last_exec_ts:BTCUSDT"
    assert decision.details["stored"] == f"'{stored[:40]}'"


def test_a_hold_that_denies_is_named() -> None:
    decision = decide(case(hold=True))
    assert decision.details == {"hold": True, "key": "quantum:reconcile:hold:BTCUSDT"}
