"""Each rule of the Governor on both sides of its boundary, with the numbers it compared."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.execution.switches import TradingState
from brain.governor.case import CountsView, Efficiency, EquityView, ExposureView, GovernorCase, NeighbourView
from brain.governor.judgement import Judgement
from brain.governor.judging import evaluation_failed, judge, refuse_malformed, state_contended, trail
from brain.governor.kill_score import KillStats
from brain.governor.reasons import GUARDS
from brain.identifiers import PlanId
from brain.plans.check_results import Outcome
from brain.plans.permit import Kind
from brain.plans.plan import MalformedPlan, Side
from tests.brain.cases import NOW_MS, entry, plan
from tests.brain.governor.cases import COUNTS, EQUITY, EXPOSURE, WARM, adding, closing, opening

REDUCING, HALTED = TradingState.REDUCING, TradingState.HALTED
NOW_SEC = Decimal(NOW_MS).scaleb(-3)
STOP = plan(action="UPDATE_SL", side=None, quantity=None, reduce_only=None)


def refusal(case: GovernorCase) -> str:
    """The reason of a refusal, empty for a grant; a refusal names what it compared."""
    judgement = judge(case)
    assert judgement.granted or judgement.details
    return "" if judgement.granted else judgement.reason


def counts(**changes: Any) -> CountsView:
    return msgspec.structs.replace(COUNTS, **changes)


def exposure(**changes: Any) -> ExposureView:
    return msgspec.structs.replace(EXPOSURE, **changes)


def equity(value: str, **changes: Any) -> EquityView:
    return msgspec.structs.replace(EQUITY, equity=Decimal(value), **changes)


def exit_rules(**changes: Any) -> dict[str, Any]:
    return {"z_exit_base": 1.0, **changes}


def high_exit(**changes: Any) -> GovernorCase:
    """A close whose score lies 2.5 deviations above the usual, with everything known."""
    known = {"kill_score": 0.8, "stats": WARM, "equity": EQUITY, "exposure": EXPOSURE, "rules": exit_rules()}
    return closing(**(known | changes))


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

    def told(ago_sec: int) -> Any:
        return msgspec.structs.replace(the_plan, timestamp_sec=NOW_MS / 1000 - ago_sec)

    assert refusal(make(entry_ms=NOW_MS - 30_000)) == ""
    assert refusal(make(entry_ms=NOW_MS - 30_001)) == "plan_expired"
    assert refusal(make(entry_ms=None)) == "plan_expired"
    assert refusal(make(plan=told(86_400))) == ""
    assert refusal(make(plan=told(86_401))) == "plan_expired"


# 3
def test_an_evaluation_type_must_agree_with_the_kind() -> None:
    def told(the_plan: Any, eval_type: str) -> Any:
        return msgspec.structs.replace(the_plan, eval_type=eval_type)

    for case, right, wrong in ((opening(), "ENTRY", "EXIT"), (closing(), "EXIT", "ENTRY")):
        assert refusal(msgspec.structs.replace(case, plan=told(case.plan, right))) == ""
        assert refusal(msgspec.structs.replace(case, plan=told(case.plan, wrong))) == "eval_type_mismatch"
    stop = closing(plan=told(STOP, "ENTRY"))
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


# 7
@pytest.mark.parametrize(
    "missing",
    [
        {"book_trusted": False},
        {"exposure": None},
        {"mark_price": None},
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


# 11, 12
def test_grants_of_an_hour_and_of_five_minutes_are_limited() -> None:
    assert refusal(opening(counts=counts(granted_hour=2, granted_5min=1))) == ""
    assert refusal(opening(counts=counts(granted_hour=3, granted_5min=0))) == "hourly_limit_exceeded"
    assert refusal(opening(counts=counts(granted_hour=2, granted_5min=2))) == "burst_limit_exceeded"
    assert refusal(adding(counts=counts(granted_hour=3))) == "hourly_limit_exceeded"
    assert refusal(closing(counts=counts(granted_hour=99, granted_5min=99))) == ""
    unlimited = {"max_exec_per_hour": 0, "max_exec_per_5min": 0}
    assert refusal(opening(counts=counts(granted_hour=99, granted_5min=99), rules=unlimited)) == ""


# 13
def test_symbols_with_a_position_or_an_open_grant_are_limited() -> None:
    assert refusal(opening(exposure=exposure(symbols=9))) == ""
    assert refusal(opening(exposure=exposure(symbols=10))) == "max_positions_reached"
    assert refusal(opening(exposure=exposure(symbols=10, holds_symbol=True))) == ""
    assert refusal(opening(exposure=exposure(symbols=99), rules={"max_open_positions": 0})) == ""
    assert refusal(adding(exposure=exposure(symbols=10))) == ""


# 14
def test_the_notional_of_one_trade_is_limited() -> None:
    assert refusal(opening(mark_price=Decimal(200_000))) == ""
    judgement = judge(opening(mark_price=Decimal("200000.01")))
    assert judgement.reason == "notional_per_trade_exceeded"
    assert judgement.details == {"notional": Decimal("200.00001"), "limit": Decimal(200)}


# 15
def test_the_total_notional_counts_the_plan_itself() -> None:
    assert refusal(opening(exposure=exposure(total_notional=Decimal(1940)))) == ""
    judgement = judge(opening(exposure=exposure(total_notional=Decimal("1940.01"))))
    assert judgement.reason == "total_notional_exceeded"
    assert judgement.details == {"total_notional": Decimal("2000.01"), "limit": Decimal(2000)}


# 16
def test_leverage_of_plan_and_account_is_limited() -> None:
    assert refusal(opening(leverage=Decimal(10))) == ""
    assert refusal(opening(leverage=Decimal("10.5"))) == "leverage_exceeded"
    assert refusal(opening(leverage=Decimal(50), rules={"max_leverage": Decimal(0)})) == ""
    small = EquityView(Decimal(100), Decimal(100), Decimal(100), 1.0)
    assert refusal(opening(equity=small, exposure=exposure(total_notional=Decimal(940)))) == ""
    more = exposure(total_notional=Decimal("940.01"))
    assert refusal(opening(equity=small, exposure=more)) == "leverage_exceeded"


# 17
def test_budgets_of_other_services_limit_the_symbol() -> None:
    held = exposure(symbol_notional=Decimal(40))

    def within(**seen: Decimal) -> str:
        return refusal(opening(exposure=held, neighbours=NeighbourView(**seen)))

    assert within(budget_usd=Decimal(100), target_usd=Decimal(100)) == ""
    assert within(budget_usd=Decimal("99.99"), target_usd=Decimal(1)) == "p28_budget_violation"
    assert within(target_usd=Decimal("99.99")) == "p29_allocation_cap"


# 18
def test_a_critical_kill_score_stops_entries_whatever_is_usual() -> None:
    usual = KillStats(100, 0.8, 0.01, NOW_MS)
    assert refusal(opening(kill_score=0.7999, stats=usual)) == ""
    assert refusal(opening(kill_score=0.8, stats=usual)) == "kill_score_critical_open"
    assert refusal(closing(kill_score=1.0, stats=usual)) == ""


def test_entries_without_a_kill_score_pass_unless_one_is_required() -> None:
    assert refusal(opening(kill_score=None)) == ""
    assert refusal(opening(kill_score=None, rules={"require_kill_score": True})) == "kill_score_missing"
    assert refusal(closing(kill_score=None, rules={"require_kill_score": True})) == ""


def test_entries_pass_while_warming_up_unless_that_blocks() -> None:
    cold = KillStats(19, 0.3, 0.0001, NOW_MS)
    old = KillStats(50, 0.3, 0.0001, NOW_MS - 86_400_001)
    for stats in (None, cold, old):
        assert refusal(opening(kill_score=0.79, stats=stats)) == ""
        blocking = {"warmup_blocks_entries": True}
        assert refusal(opening(kill_score=0.1, stats=stats, rules=blocking)) == "kill_score_warming_up"
        assert refusal(closing(kill_score=0.79, stats=stats, rules=blocking | exit_rules())) == ""
    assert judge(opening(stats=cold)).z is None
    assert (
        refusal(opening(stats=KillStats(20, 0.3, 0.0001, NOW_MS), rules={"warmup_blocks_entries": True}))
        == ""
    )


# 19
def test_an_entry_above_its_cut_off_is_blocked_and_an_equal_one_passes() -> None:
    case = opening(kill_score=0.5)
    z = judge(case).z
    assert z is not None
    assert refusal(case) == "kill_score_entry"
    at = {"z_entry_base": z, "z_entry_heat": 0.0, "z_entry_drawdown": 0.0}
    assert judge(opening(kill_score=0.5, rules=at)).granted
    below = at | {"z_entry_base": z - 2**-50}
    assert judge(opening(kill_score=0.5, rules=below)).reason == "kill_score_entry"


# 20
def test_exits_are_not_judged_by_their_score_by_default() -> None:
    judgement = judge(high_exit(rules={}))
    assert judgement.granted
    assert judgement.z is not None
    assert judgement.cutoff is None


def test_an_exit_above_its_cut_off_is_blocked_for_a_limited_time() -> None:
    first = judge(high_exit())
    assert first.reason == "kill_score_exit"
    assert first.exit_blocked_since_ms == NOW_MS
    since = counts(exit_blocked_since_ms=NOW_MS - 59_999)
    again = judge(high_exit(counts=since))
    assert (again.reason, again.exit_blocked_since_ms) == ("kill_score_exit", NOW_MS - 59_999)
    let_go = judge(high_exit(counts=counts(exit_blocked_since_ms=NOW_MS - 60_000)))
    assert let_go.granted
    assert let_go.exit_block_expired
    assert let_go.exit_blocked_since_ms == NOW_MS - 60_000


def test_an_exit_below_its_cut_off_ends_the_time_of_blocks() -> None:
    judgement = judge(high_exit(kill_score=0.3, counts=counts(exit_blocked_since_ms=NOW_MS - 5)))
    assert judgement.granted
    assert judgement.exit_blocked_since_ms is None
    assert not judgement.exit_block_expired


@pytest.mark.parametrize(
    "missing",
    [
        {"kill_score": None},
        {"stats": None},
        {"equity": None},
        {"equity": msgspec.structs.replace(EQUITY, age_sec=61.0)},
        {"exposure": None},
        {"observed": False},
    ],
)
def test_no_exit_is_blocked_by_an_input_that_is_missing(missing: dict[str, Any]) -> None:
    assert refusal(high_exit(**missing)) == ""


# 21
def test_the_notional_opened_in_a_day_is_limited_where_that_is_set() -> None:
    opened = counts(opened_today=Decimal(440))
    limited = {"max_open_notional_per_day": Decimal(500)}
    assert refusal(opening(counts=opened, rules=limited)) == ""
    above = counts(opened_today=Decimal("440.01"))
    assert refusal(opening(counts=above, rules=limited)) == "daily_limit_exceeded"
    assert refusal(opening(counts=above)) == ""


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
    assert evaluation_failed(3).details == {"attempts": 3}
    contended = state_contended(judge(opening()), 5)
    assert (contended.granted, contended.reason, contended.stats) == (False, "state_contended", None)


def test_the_trail_names_the_check_that_refused_and_those_behind_it() -> None:
    results = {result.name: result for result in trail(opening(counts=counts(granted_hour=3)))}
    assert results["hourly limit"].outcome is Outcome.DENIED
    assert results["hourly limit"].compared == {"granted_3600s": 3, "limit": 3}
    assert results["cooldown"].outcome is Outcome.PASSED
    assert results["burst limit"].outcome is Outcome.NOT_REACHED
    skipped = {result.name: result for result in trail(closing())}
    assert skipped["hourly limit"].outcome is Outcome.SKIPPED
