"""Rules 11 to 21 on both sides of their boundaries, with the numbers they compared."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.governor.case import EquityView, GovernorCase, NeighbourView
from brain.governor.judging import judge
from brain.governor.kill_score import KillStats
from tests.brain.cases import NOW_MS
from tests.brain.governor.cases import (
    EQUITY,
    EXPOSURE,
    WARM,
    adding,
    closing,
    counts,
    exposure,
    opening,
    refusal,
)


def exit_rules(**changes: Any) -> dict[str, Any]:
    return {"z_exit_base": 1.0, **changes}


def high_exit(**changes: Any) -> GovernorCase:
    """A close whose score lies 2.5 deviations above the usual, with everything known."""
    known = {"kill_score": 0.8, "stats": WARM, "equity": EQUITY, "exposure": EXPOSURE, "rules": exit_rules()}
    return closing(**(known | changes))


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

    def within(**seen: Any) -> str:
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


def test_an_exit_passes_whose_time_of_blocks_lies_ahead() -> None:
    let_go = judge(high_exit(counts=counts(exit_blocked_since_ms=NOW_MS + 3_600_000)))
    assert let_go.granted
    assert let_go.exit_block_expired


def test_an_exit_at_its_cut_off_passes() -> None:
    z = judge(high_exit()).z
    assert z is not None
    assert refusal(high_exit(rules=exit_rules(z_exit_base=z))) == ""
    assert refusal(high_exit(rules=exit_rules(z_exit_base=z - 2**-50))) == "kill_score_exit"


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
