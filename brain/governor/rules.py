"""Settings that a judgement of the Governor depends on."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class GovernorRules(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the Governor (docs/contract.md, "Governor"), with the settings it shares with P3.3.

    Durations are in seconds, notionals in USDT. A limit of 0, or None, is no limit. Losses are fractions.
    `z_exit_base` is None while no exit is judged by its kill score. Weights of heat and drawdown are signed.
    """

    max_exec_per_hour: int
    max_exec_per_5min: int
    max_open_positions: int
    max_notional_per_trade: Decimal
    max_total_notional: Decimal
    symbol_cooldown_sec: float
    max_open_notional_per_day: Decimal | None
    kill_score_critical: float
    kill_score_open_threshold: float
    kill_score_open_qty_scale_alpha: float
    kill_score_open_min_scale: float
    z_alpha: float
    z_warmup: int
    z_max_age_sec: float
    z_entry_base: float
    z_entry_heat: float
    z_entry_drawdown: float
    z_exit_base: float | None
    z_exit_heat: float
    z_exit_drawdown: float
    exit_block_max_sec: float
    max_heat: float
    warmup_blocks_entries: bool
    require_kill_score: bool
    max_daily_loss: Decimal
    max_drawdown: Decimal
    max_leverage: Decimal
    equity_max_age_sec: float
    auto_disarm: bool
    disarm_on_burst_breach: bool
    disarm_on_error_count: int
    min_confidence: float
    downsize_threshold: float
    min_factor: float
    max_extra_cooldown_sec: float
    efficiency_ttl_sec: float
    plan_max_age_sec: float
    stale_threshold_sec: float
    permit_ttl_sec: float
    p33_permit_ttl_sec: float
    decision_ttl_sec: float
    execution_grace_sec: float
