"""Texts of the Governor's reasons for operators: finding and advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from brain.decisions.reason_texts import ReasonText
from brain.governor.reasons import GovernorReason

R = GovernorReason
_ENDS = "It ends when the other service removes the key or the key expires; closes go on."

GOVERNOR_REASON_TEXTS: Final[Mapping[GovernorReason, ReasonText]] = {
    R.GRANTED: ReasonText("Every check passed: the plan may open or add."),
    R.GRANTED_CLOSE: ReasonText("The plan only closes or moves a stop loss: no limit stops it."),
    R.GRANTED_SCALED: ReasonText(
        "Every check passed, and the kill score is high: the permit advises a smaller quantity (qty_scale)."
    ),
    R.MALFORMED_PLAN: ReasonText(
        "The plan could not be understood: a field is missing, unreadable, or contradicts another.",
        "The publisher has to correct the plan and publish it under a new plan id.",
    ),
    R.PLAN_EXPIRED: ReasonText(
        "The plan was too old when it could be judged.",
        "If plans that are new expire, look for a standstill of the service or of Redis; if their timestamp "
        "is old, a publisher sends old plans again.",
    ),
    R.EVAL_TYPE_MISMATCH: ReasonText(
        "The plan's eval_type says ENTRY of a close, or EXIT of an open or add.",
        "The publisher has its view of the position wrong, or the position has changed since.",
    ),
    R.TRADING_HALTED: ReasonText(
        "An operator has halted all trading, or the trading state cannot be read.",
        "position-state-brain trading-state shows why; with a state it sets it.",
    ),
    R.KILL_SWITCH_ACTIVE: ReasonText(
        "A kill switch is on, or trading is REDUCING: nothing is opened or added.",
        "position-state-brain trading-state names the switch; after an auto-disarm it leads back to active.",
    ),
    R.RECOVERING: ReasonText(
        "Redis restarted or failed over, and what it acknowledged last may be lost: for one permit lifetime "
        "nothing is opened or added.",
        "It ends by itself; closes are not affected.",
    ),
    R.NO_PORTFOLIO_STATE: ReasonText(
        "Positions, the plan's mark price or the account's equity are not known, or the equity is too old; "
        "or a count of the Governor cannot be read (`unreadable` names its key).",
        "Look at /readyz, at bans and at the log for reads of the account that fail; repair or delete a key "
        "that is named.",
    ),
    R.CHURN_GLOBAL_FREEZE: ReasonText("Another service has frozen all opens (churn:global_freeze).", _ENDS),
    R.CHURN_BLACKLIST: ReasonText(
        "Another service has put the symbol on its blacklist (churn:blacklist).", _ENDS
    ),
    R.RISK_GUARD_DAILY_LOSS: ReasonText(
        "The day's loss is above RISK_MAX_DAILY_LOSS_PCT, or another service's guard says so.",
        "It ends with the UTC day, or with gains; closes go on.",
    ),
    R.RISK_GUARD_DRAWDOWN: ReasonText(
        "The loss since the highest equity is above RISK_MAX_DRAWDOWN_PCT, or another service's guard says "
        "so.",
        "It ends with gains, or with a higher limit; closes go on.",
    ),
    R.RISK_GUARD_EMERGENCY_FLATTEN: ReasonText("Another service's guard EMERGENCY_FLATTEN is active.", _ENDS),
    R.RISK_GUARD_CONSEC_LOSS: ReasonText("Another service's guard CONSEC_LOSS is active.", _ENDS),
    R.SYMBOL_COOLDOWN: ReasonText(
        "The symbol was executed less than GOV_SYMBOL_COOLDOWN_SECONDS ago.", "It ends by itself."
    ),
    R.HOURLY_LIMIT_EXCEEDED: ReasonText(
        "The symbol has had GOV_MAX_EXEC_PER_HOUR grants in the last hour.",
        "It ends by itself; grants that are never filled are given back.",
    ),
    R.BURST_LIMIT_EXCEEDED: ReasonText(
        "The symbol has had GOV_MAX_EXEC_PER_5MIN grants in the last five minutes.",
        "Look for a publisher that repeats itself; the breach may disarm the account.",
    ),
    R.MAX_POSITIONS_REACHED: ReasonText(
        "GOV_MAX_OPEN_POSITIONS symbols have a position or a granted open already.",
        "It ends with the next close.",
    ),
    R.NOTIONAL_PER_TRADE_EXCEEDED: ReasonText(
        "The order's notional is above GOV_MAX_NOTIONAL_PER_TRADE_USDT.",
        "The publisher has to ask for less.",
    ),
    R.TOTAL_NOTIONAL_EXCEEDED: ReasonText(
        "With this plan all positions and grants would be above GOV_MAX_TOTAL_NOTIONAL_USDT.",
        "It ends with the next close, or when grants end that are not filled.",
    ),
    R.LEVERAGE_EXCEEDED: ReasonText(
        "The plan's leverage, or the account's with it, is above RISK_MAX_LEVERAGE.",
        "The publisher has to ask for less, or positions have to be closed.",
    ),
    R.P28_BUDGET_VIOLATION: ReasonText(
        "With this plan the symbol would be above the budget of the portfolio service (P2.8).",
        "The budget is that service's; closes go on.",
    ),
    R.P29_ALLOCATION_CAP: ReasonText(
        "With this plan the symbol would be above the target of the allocation service (P2.9).",
        "The target is that service's; closes go on.",
    ),
    R.KILL_SCORE_CRITICAL_OPEN: ReasonText(
        "The plan's kill score is at or above GOV_KILL_SCORE_CRITICAL.",
        "The page shows the symbol's kill scores; closes go on.",
    ),
    R.KILL_SCORE_MISSING: ReasonText(
        "The plan has no kill score, and GOV_REQUIRE_KILL_SCORE wants one.",
        "The publisher has to send kill_score.",
    ),
    R.KILL_SCORE_WARMING_UP: ReasonText(
        "There are too few kill scores of the symbol, or the last is too old, for a verdict.",
        "It ends with GOV_Z_WARMUP kill scores; GOV_Z_WARMUP_BLOCKS_ENTRIES=false lets entries pass.",
    ),
    R.KILL_SCORE_ENTRY: ReasonText(
        "The kill score lies further above what is usual for the symbol than the cut-off allows.",
        "The page shows scores and cut-off; a score that stays high becomes usual.",
    ),
    R.KILL_SCORE_EXIT: ReasonText(
        "The kill score of a close lies further above what is usual than the cut-off of exits allows.",
        "It lets go after GOV_EXIT_BLOCK_MAX_SEC; GOV_Z_EXIT_BASE=off never stops a close.",
    ),
    R.DAILY_LIMIT_EXCEEDED: ReasonText(
        "With this plan the symbol would have opened more than GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD today.",
        "It ends with the UTC day; closes go on.",
    ),
    R.STATE_CONTENDED: ReasonText(
        "The state behind the judgement changed each time before the judgement could be written.",
        "Look for a client that writes the Governor's keys many times a second.",
    ),
    R.EVALUATION_FAILED: ReasonText(
        "Judging this plan failed three times in a row, so it was given up, that it may not stop the rest.",
        "This is a fault of the service: its log has the error, and apply.plan.dead the plan.",
    ),
}
