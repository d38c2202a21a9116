"""Checks of counts and notionals (rules 11 to 17 and 21). A limit of 0, or None, is no limit.

Each returns the reason for a refusal, or None, and the numbers it compared. `checks.py` has their order.
"""

from __future__ import annotations

from decimal import Decimal

from brain.governor.facts import Facts
from brain.governor.plan_checks import Verdict
from brain.governor.reasons import GovernorReason
from brain.plans.permit import Details

R = GovernorReason
#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_PER_TRADE, _TOTAL, _DAILY = R.NOTIONAL_PER_TRADE_EXCEEDED, R.TOTAL_NOTIONAL_EXCEEDED, R.DAILY_LIMIT_EXCEEDED


def hourly(facts: Facts) -> Verdict:
    """Refuse when the last hour has all the grants that it may have."""
    count, limit = facts.case.counts.granted_hour, facts.rules.max_exec_per_hour
    compared: Details = {"granted_3600s": count, "limit": limit}
    return (R.HOURLY_LIMIT_EXCEEDED if limit and count >= limit else None), compared


def burst(facts: Facts) -> Verdict:
    """Refuse when the last five minutes have all the grants that they may have."""
    count, limit = facts.case.counts.granted_5min, facts.rules.max_exec_per_5min
    compared: Details = {"granted_300s": count, "limit": limit}
    return (R.BURST_LIMIT_EXCEEDED if limit and count >= limit else None), compared


def positions(facts: Facts) -> Verdict:
    """Refuse one symbol more than may have positions."""
    exposure, limit = facts.exposure, facts.rules.max_open_positions
    compared: Details = {
        "symbols": exposure.symbols,
        "limit": limit,
        "symbol_is_among_them": exposure.holds_symbol,
    }
    reached = limit and exposure.symbols >= limit and not exposure.holds_symbol
    return (R.MAX_POSITIONS_REACHED if reached else None), compared


def per_trade(facts: Facts) -> Verdict:
    """Refuse an order above the notional of one trade."""
    return _at_most(_PER_TRADE, "notional", facts.order_notional, facts.rules.max_notional_per_trade)


def total(facts: Facts) -> Verdict:
    """Refuse an order with which positions and live grants are above the account's notional."""
    after = facts.exposure.total_notional + facts.order_notional
    return _at_most(_TOTAL, "total_notional", after, facts.rules.max_total_notional)


def leverage(facts: Facts) -> Verdict:
    """Refuse an order above the leverage, the plan's own or the account's with it."""
    asked, limit, equity = facts.case.leverage, facts.rules.max_leverage, facts.judged_equity.equity
    after = facts.exposure.total_notional + facts.order_notional
    most = equity * limit
    compared: Details = {
        "plan_leverage": asked,
        "total_notional": after,
        "equity_x_limit": most,
        "limit": limit,
    }
    above = limit and ((asked is not None and asked > limit) or after > most)
    return (R.LEVERAGE_EXCEEDED if above else None), compared


def budget(facts: Facts) -> Verdict:
    """Refuse an order with which its symbol is above the budget or target of another service."""
    seen = facts.case.neighbours
    after = facts.exposure.symbol_notional + facts.order_notional
    compared: Details = {
        "symbol_notional": after,
        "budget_usd": seen.budget_usd,
        "target_usd": seen.target_usd,
    }
    if seen.budget_usd is not None and after > seen.budget_usd:
        return R.P28_BUDGET_VIOLATION, compared
    if seen.target_usd is not None and after > seen.target_usd:
        return R.P29_ALLOCATION_CAP, compared
    return None, compared


def daily(facts: Facts) -> Verdict:
    """Refuse an order with which the day has opened more than it may."""
    after = facts.case.counts.opened_today + facts.order_notional
    return _at_most(_DAILY, "opened_today", after, facts.rules.max_open_notional_per_day)


def _at_most(reason: GovernorReason, name: str, value: Decimal, limit: Decimal | None) -> Verdict:
    compared: Details = {name: value, "limit": limit}
    return (reason if limit and value > limit else None), compared
