"""Reasons of the Governor's grants and refusals, word for word as in docs/contract.md."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

#: Types of risk guards (`risk:guard_active:<TYPE>`), in the order in which they answer.
GUARDS: Final = ("DAILY_LOSS", "DRAWDOWN", "EMERGENCY_FLATTEN", "CONSEC_LOSS")


class GovernorReason(StrEnum):
    """Reason of a grant or refusal, in the order of the rules."""

    GRANTED = "governor_granted"
    GRANTED_CLOSE = "governor_granted_close"
    GRANTED_SCALED = "governor_granted_scaled"
    MALFORMED_PLAN = "malformed_plan"
    PLAN_EXPIRED = "plan_expired"
    EVAL_TYPE_MISMATCH = "eval_type_mismatch"
    TRADING_HALTED = "trading_halted"
    KILL_SWITCH_ACTIVE = "kill_switch_active"
    RECOVERING = "recovering"
    NO_PORTFOLIO_STATE = "no_portfolio_state"
    CHURN_GLOBAL_FREEZE = "churn_global_freeze"
    CHURN_BLACKLIST = "churn_blacklist"
    RISK_GUARD_DAILY_LOSS = "risk_guard_daily_loss"
    RISK_GUARD_DRAWDOWN = "risk_guard_drawdown"
    RISK_GUARD_EMERGENCY_FLATTEN = "risk_guard_emergency_flatten"
    RISK_GUARD_CONSEC_LOSS = "risk_guard_consec_loss"
    SYMBOL_COOLDOWN = "symbol_cooldown"
    HOURLY_LIMIT_EXCEEDED = "hourly_limit_exceeded"
    BURST_LIMIT_EXCEEDED = "burst_limit_exceeded"
    MAX_POSITIONS_REACHED = "max_positions_reached"
    NOTIONAL_PER_TRADE_EXCEEDED = "notional_per_trade_exceeded"
    TOTAL_NOTIONAL_EXCEEDED = "total_notional_exceeded"
    LEVERAGE_EXCEEDED = "leverage_exceeded"
    P28_BUDGET_VIOLATION = "p28_budget_violation"
    P29_ALLOCATION_CAP = "p29_allocation_cap"
    KILL_SCORE_CRITICAL_OPEN = "kill_score_critical_open"
    KILL_SCORE_MISSING = "kill_score_missing"
    KILL_SCORE_WARMING_UP = "kill_score_warming_up"
    KILL_SCORE_ENTRY = "kill_score_entry"
    KILL_SCORE_EXIT = "kill_score_exit"
    DAILY_LIMIT_EXCEEDED = "daily_limit_exceeded"
    STATE_CONTENDED = "state_contended"
    EVALUATION_FAILED = "evaluation_failed"


class DisarmReason(StrEnum):
    """Reason of an auto-disarm."""

    BURST = "burst_limit_breach"
    ERRORS = "repeated_errors"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
