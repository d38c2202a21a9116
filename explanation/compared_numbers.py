"""The numbers that a check compared, in words."""

from __future__ import annotations

from decimal import Decimal

from brain.numbers import plain
from brain.plans.permit import Details

#: By the name in a decision's details; `{}` is the value.
_PHRASES = {
    "entry_age_sec": "{} old",
    "limit_sec": "limit {}",
    "timestamp_age_sec": "its timestamp {} ago",
    "timestamp_limit_sec": "limit {}",
    "settled": "a result came before: {}",
    "came_before_redis_changed": "from before Redis changed: {}",
    "in_allowlist": "on the allowlist: {}",
    "may_close": "may close a position: {}",
    "trading": "trading: {}",
    "exchange_known": "the exchange's symbols are known: {}",
    "hold": "held: {}",
    "snapshot": "known: {}",
    "snapshot_age_sec": "snapshot {} old",
    "threshold_sec": "threshold {}",
    "trust_lost": "trust in it lost: {}",
    "leg": "leg {}",
    "hedge_mode": "hedge mode: {}",
    "position_side": "positionSide {}",
    "positionSide": "positionSide {}",
    "one_way_position_amt": "one-way position {}",
    "exchange_position_amt": "exchange {}",
    "side": "side {}",
    "qty": "quantity {}",
    "action": "action {}",
    "reduce_only": "reduceOnly {}",
    "kind": "is: {}",
    "eval_type": "eval_type {}",
    "guardrail": "guardrail: {}",
    "seconds_since_redis_changed": "Redis changed {} ago",
    "seconds_since_redis_evicted": "Redis evicted keys {} ago",
    "reservations_unsure_for_sec": "what another process reserved may be evicted, for another {}",
    "ledger": "ledger: {}",
    "ledger_position_amt": "ledger {}",
    "exchange_side": "exchange {}",
    "ledger_side": "ledger {}",
    "difference": "difference {}",
    "tolerance_pct": "tolerance {} %",
    "seconds_since_exec": "last execution {} ago",
    "cooldown_sec": "cooldown {}",
    "cooldown": "cooldown key {}: delete it, or set it to epoch ms",
    "key": "key {}",
    "stored": "it holds {}",
    "open_permit": "open permit of plan {}",
    "open_permits_qty": "open permits cover {}",
    "available_qty": "available {}",
    "asked_qty": "asked {}",
    "rounded_qty": "rounded down {}",
    "market_step": "step {}",
    "market_min": "minimum {}",
    "market_max": "maximum {}",
    "attempts": "attempts {}",
    "trading_state": "trading {}",
    "kill_switch": "kill switch on: {}",
    "kind_known": "by the position: {}",
    "positions_known": "positions known: {}",
    "mark_price": "mark price {}",
    "equity": "equity {}",
    "equity_age_sec": "{} old",
    "equity_max_age_sec": "limit {}",
    "global_freeze": "all frozen: {}",
    "blacklisted": "on the blacklist: {}",
    "guard_active_daily_loss": "guard DAILY_LOSS active: {}",
    "guard_active_drawdown": "guard DRAWDOWN active: {}",
    "guard_active_emergency_flatten": "guard EMERGENCY_FLATTEN active: {}",
    "guard_active_consec_loss": "guard CONSEC_LOSS active: {}",
    "day_open": "the day's first {}",
    "least_of_day_open": "least of it {}",
    "peak": "peak {}",
    "least_of_peak": "least of it {}",
    "errors_300s": "errors in 300 s {}",
    "error_limit": "limit {}",
    "granted_3600s": "grants in 3600 s {}",
    "granted_300s": "grants in 300 s {}",
    "limit": "limit {}",
    "symbols": "symbols {}",
    "symbol_is_among_them": "this one among them: {}",
    "notional": "notional {}",
    "total_notional": "total notional {}",
    "plan_leverage": "leverage of the plan {}",
    "equity_x_limit": "equity × limit {}",
    "symbol_notional": "notional of the symbol {}",
    "budget_usd": "budget {}",
    "target_usd": "target {}",
    "opened_today": "opened today {}",
    "kill_score": "kill score {}",
    "critical": "critical {}",
    "required": "required: {}",
    "observations": "kill scores before {}",
    "warmup": "needed {}",
    "kill_z": "z {}",
    "z_cutoff": "cut-off {}",
    "blocked_for_sec": "blocked for {}",
}
#: Phrases for a missing value.
_NOTHING = {
    "entry_age_sec": "of unknown age: its id is ahead of Redis's clock",
    "seconds_since_exec": "no execution known",
    "seconds_since_redis_changed": "Redis has not changed",
    "side": "no side",
    "qty": "no quantity",
    "ledger_position_amt": "ledger unknown",
    "snapshot_age_sec": "no snapshot",
    "eval_type": "no eval_type",
    "mark_price": "no mark price",
    "equity": "equity unknown",
    "equity_age_sec": "never read",
    "plan_leverage": "no leverage in the plan",
    "budget_usd": "no budget",
    "target_usd": "no target",
    "kill_score": "no kill score",
    "kill_z": "no z",
    "z_cutoff": "no cut-off",
}


def in_words(compared: Details) -> str:
    """Format everything that a check compared, with units, in the check's order."""
    return ", ".join(_phrase(name, value) for name, value in compared.items())


def value_text(value: object) -> str:
    """Format one value: exact decimals, seconds to the millisecond, yes and no."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, float):
        text = f"{value:.3f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return str(value)


def _phrase(name: str, value: object) -> str:
    if value is None and name in _NOTHING:
        return _NOTHING[name]
    text = value_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_duration(name):
        text += " s"
    phrase = _PHRASES.get(name)
    return f"{name}: {text}" if phrase is None else phrase.format(text)


def _is_duration(name: str) -> bool:
    return name.endswith("_sec") or name.startswith("seconds_since_")
