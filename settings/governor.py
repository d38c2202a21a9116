"""Environment variables of the Governor."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from settings import kinds
from settings.secret import Secret
from settings.variable import derived, optional, setting

_DAY_SEC = 86400
_MOST_USDT = 10**12 - 1
#: Of the predecessor: a name, or its begin where it ends with `_`.
NOT_CARRIED_OVER: Final = ("GOV_TESTNET_", "GOV_ACTIVE_SLOTS_", "APPLY_CONFIG_PATH")


def _deny_permits(known: Mapping[str, Any]) -> str:
    return "false" if known.get("executor", "off") == "off" else "true"


def is_carried_over(name: str) -> bool:
    """Return False for a variable of the predecessor that nothing here reads."""
    return not any(name.startswith(each) if each.endswith("_") else name == each for each in NOT_CARRIED_OVER)


@dataclass(frozen=True, kw_only=True)
class GovernorSettings:
    """Settings of the Governor. Durations are seconds, notionals USDT."""

    max_exec_per_hour: int = setting(
        "GOV_MAX_EXEC_PER_HOUR",
        kinds.whole(0, 1000),
        "3",
        "governor: grants of opens and adds of a symbol in 3600 s; 0 for no limit",
    )
    max_exec_per_5min: int = setting(
        "GOV_MAX_EXEC_PER_5MIN",
        kinds.whole(0, 1000),
        "2",
        "governor: grants of opens and adds of a symbol in 300 s; 0 for no limit",
    )
    max_open_positions: int = setting(
        "GOV_MAX_OPEN_POSITIONS",
        kinds.whole(0, 10_000),
        "10",
        "governor: symbols with a position or a granted open; 0 for no limit",
    )
    max_notional_per_trade: Decimal = setting(
        "GOV_MAX_NOTIONAL_PER_TRADE_USDT",
        kinds.amount(0, _MOST_USDT),
        "200",
        "governor: notional of an open or add; 0 for no limit",
    )
    max_total_notional: Decimal = setting(
        "GOV_MAX_TOTAL_NOTIONAL_USDT",
        kinds.amount(0, _MOST_USDT),
        "2000",
        "governor: notional of all positions and grants together; 0 for no limit",
    )
    symbol_cooldown_sec: float = setting(
        "GOV_SYMBOL_COOLDOWN_SECONDS",
        kinds.seconds(0, 3600),
        "60",
        "governor: pause of a symbol's opens and adds after an execution",
    )
    max_open_notional_per_day: Decimal | None = optional(
        "GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD",
        kinds.amount(0, _MOST_USDT),
        "governor: notional that a symbol may open in a UTC day",
    )
    max_reduce_notional_per_day: Decimal | None = optional(
        "GOV_MAX_REDUCE_NOTIONAL_PER_DAY_USD",
        kinds.amount(0, _MOST_USDT),
        "governor: reduced notional a day that is reported when it is exceeded; no close is stopped by it",
    )
    max_reduce_qty_per_day: Decimal | None = optional(
        "GOV_MAX_REDUCE_QTY_PER_DAY",
        kinds.amount(0, _MOST_USDT),
        "governor: reduced quantity a day that is reported when it is exceeded; no close is stopped by it",
    )
    kill_score_critical: Decimal = setting(
        "GOV_KILL_SCORE_CRITICAL",
        kinds.fraction(),
        "0.8",
        "governor: kill score from which on nothing is opened or added",
    )
    kill_score_open_threshold: Decimal = setting(
        "GOV_KILL_SCORE_OPEN_THRESHOLD",
        kinds.fraction(),
        "0.6",
        "governor: kill score above which opens are scaled down",
    )
    kill_score_open_qty_scale_alpha: float = setting(
        "GOV_KILL_SCORE_OPEN_QTY_SCALE_ALPHA",
        kinds.number(0, 1000),
        "2.0",
        "governor: steepness of that scaling",
    )
    kill_score_open_min_scale: Decimal = setting(
        "GOV_KILL_SCORE_OPEN_MIN_SCALE", kinds.fraction(), "0.25", "governor: least scale of an open"
    )
    kill_score_close_threshold: str | None = optional(
        "GOV_KILL_SCORE_CLOSE_THRESHOLD",
        kinds.matching(r"[ -~]{1,64}", "any text, without effect: GOV_Z_EXIT_BASE judges closes"),
        "governor: of the predecessor, without effect; GOV_Z_EXIT_BASE judges closes",
    )
    z_alpha: float = setting(
        "GOV_Z_ALPHA",
        kinds.number(0.001, 1),
        "0.1",
        "governor: weight of a new kill score in its mean and variance",
    )
    z_warmup: int = setting(
        "GOV_Z_WARMUP",
        kinds.whole(0, 10_000),
        "20",
        "governor: kill scores of a symbol before their deviation is judged",
    )
    z_max_age_sec: float = setting(
        "GOV_Z_MAX_AGE_SEC",
        kinds.seconds(1, 30 * _DAY_SEC),
        "86400",
        "governor: statistics whose last kill score is older judge nothing",
    )
    z_entry_base: float = setting(
        "GOV_Z_ENTRY_BASE", kinds.number(-1000, 1000), "1.0", "governor: cut-off of entries, its base"
    )
    z_entry_heat: float = setting(
        "GOV_Z_ENTRY_HEAT",
        kinds.number(-1000, 1000),
        "0.5",
        "governor: cut-off of entries, added at full heat; above 0 heat loosens the gate",
    )
    z_entry_drawdown: float = setting(
        "GOV_Z_ENTRY_DRAWDOWN",
        kinds.number(-1000, 1000),
        "0.3",
        "governor: cut-off of entries, taken off without drawdown; above 0 drawdown loosens the gate",
    )
    z_exit_base: float | None = setting(
        "GOV_Z_EXIT_BASE",
        kinds.number_or_off(-1000, 1000),
        "off",
        "governor: cut-off of exits, its base; off: no exit is stopped by its kill score",
    )
    z_exit_heat: float = setting(
        "GOV_Z_EXIT_HEAT", kinds.number(-1000, 1000), "0", "governor: cut-off of exits, added at full heat"
    )
    z_exit_drawdown: float = setting(
        "GOV_Z_EXIT_DRAWDOWN",
        kinds.number(-1000, 1000),
        "0",
        "governor: cut-off of exits, taken off without drawdown",
    )
    exit_block_max_sec: float = setting(
        "GOV_EXIT_BLOCK_MAX_SEC",
        kinds.seconds(0, 3600),
        "60",
        "governor: a symbol's exits are stopped by kill scores for no longer",
    )
    max_heat: float = setting(
        "GOV_MAX_HEAT",
        kinds.number(0.01, 1000),
        "2.0",
        "governor: notional of all positions, of the equity, that counts as full heat",
    )
    heat_source: Literal["computed", "capital:heat"] = setting(
        "GOV_HEAT_SOURCE",
        kinds.one_of("computed", "capital:heat"),
        "computed",
        "governor: heat from own positions and equity, or from the key capital:heat",
    )
    z_warmup_blocks_entries: bool = setting(
        "GOV_Z_WARMUP_BLOCKS_ENTRIES",
        kinds.flag(),
        "false",
        "governor: nothing is opened or added before a symbol's kill scores can be judged",
    )
    require_kill_score: bool = setting(
        "GOV_REQUIRE_KILL_SCORE", kinds.flag(), "false", "governor: opens and adds need a kill score"
    )
    max_daily_loss: Decimal = setting(
        "RISK_MAX_DAILY_LOSS_PCT",
        kinds.fraction(),
        "0.025",
        "governor: loss of a UTC day, of its first equity, that stops opens and adds; 0 for no limit",
    )
    max_drawdown: Decimal = setting(
        "RISK_MAX_DRAWDOWN_PCT",
        kinds.fraction(),
        "0.08",
        "governor: loss since the highest equity that stops opens and adds; 0 for no limit",
    )
    max_leverage: Decimal = setting(
        "RISK_MAX_LEVERAGE",
        kinds.amount(0, 1000),
        "10",
        "governor: leverage of a plan, and of the account with it; 0 for no limit",
    )
    equity_sec: float = setting(
        "GOV_EQUITY_SEC", kinds.seconds(1, 3600), "10", "governor: how often the account's equity is read"
    )
    equity_max_age_sec: float = setting(
        "GOV_EQUITY_MAX_AGE_SEC",
        kinds.seconds(1, _DAY_SEC),
        "60",
        "governor: an older equity opens and adds nothing",
    )
    auto_disarm: bool = setting(
        "GOV_ENABLE_AUTO_DISARM",
        kinds.flag(),
        "true",
        "governor: breached limits set the trading state to REDUCING, once a UTC day",
    )
    disarm_on_burst_breach: bool = setting(
        "GOV_DISARM_ON_BURST_BREACH",
        kinds.flag(),
        "true",
        "governor: GOV_MAX_EXEC_PER_5MIN is one of those limits",
    )
    disarm_on_error_count: int = setting(
        "GOV_DISARM_ON_ERROR_COUNT",
        kinds.whole(0, 1000),
        "5",
        "governor: results of errors in 300 s that are another; 0 for none",
    )
    governor_permit_ttl_sec: int = setting(
        "GOV_PERMIT_TTL", kinds.whole_seconds(1, 3600), "60", "governor: life of its permits"
    )
    deny_permits: bool = derived(
        "GOV_DENY_PERMITS",
        kinds.flag(),
        _deny_permits,
        "governor: a refusal is written as a permit that grants nothing, too; true beside our own executor",
    )
    governor_signing_key: Secret | None = optional(
        "GOV_PERMIT_SIGNING_KEY", kinds.password(), "governor: when set, its permits carry an HMAC"
    )
    efficiency_min_confidence: Decimal = setting(
        "P31_MIN_CONF", kinds.fraction(), "0.65", "governor: least confidence of a capital efficiency"
    )
    efficiency_downsize_threshold: Decimal = setting(
        "P31_DOWNSIZE_THRESHOLD",
        kinds.fraction(),
        "0.45",
        "governor: capital efficiency below which a smaller size is advised",
    )
    efficiency_min_factor: Decimal = setting(
        "P31_MIN_FACTOR", kinds.fraction(), "0.25", "governor: least factor that is advised"
    )
    efficiency_max_extra_cooldown_sec: float = setting(
        "P31_MAX_EXTRA_COOLDOWN_SEC",
        kinds.seconds(0, 3600),
        "120",
        "governor: most pause that a low capital efficiency adds",
    )
    efficiency_ttl_sec: float = setting(
        "P31_EFF_TTL_SEC", kinds.seconds(1, _DAY_SEC), "600", "governor: an older capital efficiency is none"
    )
