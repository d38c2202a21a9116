"""Rules 1 to 10 on both sides of their boundaries, the auto-disarm, and answers without a case."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.execution.switches import TradingState
from brain.governor.case import Efficiency, EquityView, GovernorCase, NeighbourView
from brain.governor.judgement import Judgement
from brain.governor.judging import evaluation_failed, judge, refuse_malformed, state_contended, trail
from brain.governor.reasons import GUARDS
from brain.identifiers import PlanId
from brain.plans.check_results import Outcome
from brain.plans.permit import Kind
from brain.plans.plan import MalformedPlan, Side
from tests.brain.cases import NOW_MS, entry, plan
from tests.brain.governor.cases import (
    EQUITY,
    WARM,
    adding,
    closing,
    counts,
    equity,
    opening,
    refusal,
)

REDUCING, HALTED = TradingState.REDUCING, TradingState.HALTED
NOW_SEC = Decimal(NOW_MS).scaleb(-3)
STOP = plan(action="UPDATE_SL", side=None, quantity=None, reduce_only=None)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (opening(), "governor_granted"),
        (adding(), "governor_granted"),
        (closing(), "governor_granted_close"),
        (closing(plan=STOP, kind=Kind.NONE), "governor_granted_close"),
        (opening(kill_score=0.7, stats=None), "governor_granted_scaled"),
    ],
)
def test_a_plan_within_all_limits_is_granted(case: GovernorCase, reason: str) -> None:
    judgement = judge(case)
    assert judgement.granted
    assert judgement.reason == reason
    assert judgement.details == {}
    assert judgement.warnings == ()


# 1
def test_a_plan_that_contradicts_itself_is_malformed() -> None:
    assert refusal(opening(plan=entry(quantity="0.001", reduce_only=None))) == "malformed_plan"
    assert refusal(closing(plan=plan(reduce_only=False))) == "malformed_plan"


def test_an_unreadable_kill_score_refuses_entries_and_is_ignored_for_exits() -> None:
    assert refusal(opening(kill_score=None, kill_score_problem="not a number")) == "malformed_plan"
    judgement = judge(closing(kill_score=None, kill_score_problem="not a number"))
    assert judgement.granted
    assert judgement.warnings == ("kill_score ignored: not a number",)


# 2
@pytest.mark.parametrize("make", [opening, closing])
def test_a_plan_is_expired_by_its_entry_or_its_timestamp(make: Any) -> None:
    the_plan = make().plan

    def planned(ago_sec: int) -> Any:
        return msgspec.structs.replace(the_plan, timestamp_sec=NOW_MS / 1000 - ago_sec)

    assert refusal(make(entry_ms=NOW_MS - 30_000)) == ""
    assert refusal(make(entry_ms=NOW_MS - 30_001)) == "plan_expired"
    assert refusal(make(entry_ms=None)) == "plan_expired"
    assert refusal(make(plan=planned(86_400))) == ""
    assert refusal(make(plan=planned(86_401))) == "plan_expired"


# 3
def test_an_evaluation_type_must_agree_with_the_kind() -> None:
    def planned(the_plan: Any, eval_type: str) -> Any:
        return msgspec.structs.replace(the_plan, eval_type=eval_type)

    for case, right, wrong in ((opening(), "ENTRY", "EXIT"), (closing(), "EXIT", "ENTRY")):
        assert refusal(msgspec.structs.replace(case, plan=planned(case.plan, right))) == ""
        assert refusal(msgspec.structs.replace(case, plan=planned(case.plan, wrong))) == "eval_type_mismatch"
    stop = closing(plan=planned(STOP, "ENTRY"))
    assert refusal(stop) == "eval_type_mismatch"


def test_an_exit_of_unknown_kind_is_not_taken_for_a_mismatch() -> None:
    the_plan = entry(Side.SELL, "0.001", eval_type="EXIT")
    assert refusal(opening(plan=the_plan, kind_known=False, book_trusted=False)) == "no_portfolio_state"


# 4
@pytest.mark.parametrize("make", [opening, adding, closing])
def test_nothing_is_granted_while_halted(make: Any) -> None:
    assert refusal(make(trading_state=HALTED)) == "trading_halted"


# 5
@pytest.mark.parametrize("stop", [{"kill_switch": True}, {"trading_state": REDUCING}])
def test_a_kill_switch_stops_what_enters(stop: dict[str, Any]) -> None:
    assert refusal(opening(**stop)) == "kill_switch_active"
    assert refusal(adding(**stop)) == "kill_switch_active"
    assert refusal(closing(**stop)) == ""


# 6
def test_entries_wait_after_redis_has_changed() -> None:
    late = {"redis_changed_ms": NOW_MS - 60_000}
    assert refusal(opening(**late)) == ""
    assert refusal(opening(redis_changed_ms=NOW_MS - 59_999)) == "recovering"
    assert refusal(opening(evicted_ms=NOW_MS - 59_999)) == "recovering"
    assert refusal(opening(redis_changed_ms=NOW_MS - 50, entry_ms=NOW_MS - 100)) == "recovering"
    assert refusal(closing(redis_changed_ms=NOW_MS - 50, evicted_ms=NOW_MS)) == ""


def test_an_entry_from_before_the_change_waits_for_good() -> None:
    def published(entry_ms: int) -> str:
        short = {"p33_permit_ttl_sec": 0.01}
        return refusal(opening(redis_changed_ms=NOW_MS - 100, entry_ms=entry_ms, rules=short))

    assert published(NOW_MS - 100) == "recovering"
    assert published(NOW_MS - 99) == ""


def test_refusals_name_the_state_that_they_rest_on() -> None:
    def compared(case: GovernorCase) -> dict[str, Any]:
        return dict(judge(case).details)

    mismatch = compared(opening(plan=entry(quantity="0.001", eval_type="EXIT")))
    assert mismatch == {"eval_type": "EXIT", "kind": "open", "kind_known": True}
    for unknown in ({"book_trusted": False}, {"exposure": None}):
        assert compared(opening(**unknown))["positions_known"] is False
    assert compared(opening(mark_price=None))["positions_known"] is True
    assert "seconds_since_redis_evicted" not in compared(opening(redis_changed_ms=NOW_MS))
    assert compared(opening(evicted_ms=NOW_MS - 500))["seconds_since_redis_evicted"] == 0.5


# 7
@pytest.mark.parametrize(
    "missing",
    [
        {"book_trusted": False},
        {"exposure": None},
        {"mark_price": None},
        {"mark_price": Decimal(0)},
        {"equity": None},
        {"equity": msgspec.structs.replace(EQUITY, age_sec=60.1)},
        {"equity": msgspec.structs.replace(EQUITY, age_sec=float("nan"))},
        {"equity": equity("0"), "rules": {"max_daily_loss": Decimal(0), "max_drawdown": Decimal(0)}},
    ],
)
def test_an_unknown_account_stops_entries_alone(missing: dict[str, Any]) -> None:
    assert refusal(opening(**missing)) == "no_portfolio_state"
    assert refusal(closing(**missing)) == ""
    assert refusal(opening(equity=msgspec.structs.replace(EQUITY, age_sec=60.0))) == ""


# 8
def test_churn_keys_stop_entries() -> None:
    assert refusal(opening(neighbours=NeighbourView(frozen=True, blacklisted=True))) == "churn_global_freeze"
    assert refusal(opening(neighbours=NeighbourView(blacklisted=True))) == "churn_blacklist"
    assert refusal(closing(neighbours=NeighbourView(frozen=True, blacklisted=True))) == ""


# 9
@pytest.mark.parametrize("guard", GUARDS)
def test_a_risk_guard_of_another_service_stops_entries(guard: str) -> None:
    seen = NeighbourView(guards=(guard,))
    assert refusal(opening(neighbours=seen)) == f"risk_guard_{guard.lower()}"
    assert refusal(closing(neighbours=seen)) == ""


def test_the_loss_of_a_day_stops_entries_below_its_limit() -> None:
    assert refusal(opening(equity=equity("975"))) == ""
    judgement = judge(opening(equity=equity("974.99")))
    assert judgement.reason == "risk_guard_daily_loss"
    assert judgement.details["equity"] == Decimal("974.99")
    assert judgement.details["least_of_day_open"] == 975
    assert refusal(opening(equity=equity("974.99"), rules={"max_daily_loss": Decimal(0)})) == ""


def test_the_drawdown_stops_entries_below_its_limit() -> None:
    def fallen(value: str, **changes: Any) -> str:
        return refusal(opening(equity=equity(value, day_open=Decimal(value)), **changes))

    assert fallen("920") == ""
    assert fallen("919.99") == "risk_guard_drawdown"
    assert fallen("919.99", rules={"max_drawdown": Decimal(0)}) == ""


# 10
def test_a_symbol_cools_down_after_its_last_execution() -> None:
    def ago(seconds: str, **changes: Any) -> str:
        return refusal(opening(counts=counts(last_exec_sec=NOW_SEC - Decimal(seconds)), **changes))

    assert ago("59.999") == "symbol_cooldown"
    assert ago("60") == ""
    assert ago("0", rules={"symbol_cooldown_sec": 0.0}) == ""
    slow = NeighbourView(efficiency=Efficiency(0.25, 0.9, 1.0))  # 90 s more
    assert ago("149.999", neighbours=slow) == "symbol_cooldown"
    assert ago("150", neighbours=slow) == ""


def disarms(judgement: Judgement) -> str:
    assert bool(judgement.disarms) is bool(judgement.disarm_details)
    return judgement.disarms


def test_a_breach_of_the_burst_limit_disarms() -> None:
    case = {"counts": counts(granted_5min=2)}
    assert disarms(judge(opening(**case))) == "burst_limit_breach"
    assert disarms(judge(opening(**case, rules={"disarm_on_burst_breach": False}))) == ""
    assert disarms(judge(opening(**case, rules={"auto_disarm": False}))) == ""
    assert disarms(judge(opening(**case, disarmed_today=True))) == ""
    assert disarms(judge(closing(**case))) == ""


def test_repeated_errors_disarm_and_stop_the_entry_that_sees_them() -> None:
    judgement = judge(opening(errors_5min=5))
    assert judgement.reason == "kill_switch_active"
    assert disarms(judgement) == "repeated_errors"
    assert disarms(judge(closing(errors_5min=5))) == "repeated_errors"
    assert judge(closing(errors_5min=5)).granted
    assert judge(opening(errors_5min=4)).granted
    assert judge(opening(errors_5min=99, rules={"disarm_on_error_count": 0})).granted


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (equity("974"), "daily_loss"),
        (equity("900", day_open=Decimal(900)), "drawdown"),
        (equity("900", day_open=Decimal(900), age_sec=61.0), ""),
    ],
)
def test_losses_disarm_at_any_judgement(seen: EquityView, reason: str) -> None:
    assert disarms(judge(closing(equity=seen))) == reason
    assert disarms(judge(opening(equity=seen))) == reason


def test_only_active_trading_is_disarmed() -> None:
    for state in (REDUCING, HALTED):
        assert disarms(judge(closing(equity=equity("900"), trading_state=state))) == ""


def test_every_plan_with_a_score_is_observed_once_whatever_the_answer() -> None:
    for case in (opening(), opening(kill_switch=True), opening(entry_ms=None), closing(kill_score=0.4)):
        judgement = judge(msgspec.structs.replace(case, stats=WARM))
        assert judgement.stats is not None
        assert judgement.stats.n == WARM.n + 1
    assert judge(opening(observed=False)).stats is None
    assert judge(opening(kill_score=None)).stats is None


def test_an_answer_without_a_case_says_so() -> None:
    malformed = MalformedPlan(PlanId("plan-1"), None, {"qty": "missing"})
    refused = refuse_malformed(malformed, "exit", WARM)
    assert (refused.reason, refused.eval_type, refused.stats) == ("malformed_plan", "EXIT", WARM)
    assert refused.details == {"qty": "missing"}
    assert evaluation_failed(3, "exit", None).details == {"attempts": 3}
    contended = state_contended(judge(opening()), 5, None)
    assert (contended.granted, contended.reason, contended.stats) == (False, "state_contended", None)


def test_the_trail_names_the_check_that_refused_and_those_behind_it() -> None:
    results = {result.name: result for result in trail(opening(counts=counts(granted_hour=3)))}
    assert results["hourly limit"].outcome is Outcome.DENIED
    assert results["hourly limit"].compared == {"granted_3600s": 3, "limit": 3}
    assert results["cooldown"].outcome is Outcome.PASSED
    assert results["burst limit"].outcome is Outcome.NOT_REACHED
    skipped = {result.name: result for result in trail(closing())}
    assert skipped["hourly limit"].outcome is Outcome.SKIPPED
