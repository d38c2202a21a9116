"""Limits, equity and time of day of seeds in which the service's own Governor judges. Limits bind often."""

from __future__ import annotations

from random import Random

#: A midnight (UTC, epoch ms), which comes to pass in one of the first two rounds.
MIDNIGHT_MS = 1_760_054_400_000
_FIRST_ROUND_SEC, _FAULTY_SEC, _ROUND_SEC = 30.0, 300.0, 1800.0
_LIMITS = {
    "GOV_MAX_EXEC_PER_HOUR": ("0", "3", "8", "20"),
    "GOV_MAX_EXEC_PER_5MIN": ("0", "2", "4", "8"),
    "GOV_MAX_OPEN_POSITIONS": ("2", "3", "10"),
    "GOV_MAX_NOTIONAL_PER_TRADE_USDT": ("100", "2500", "10000"),
    "GOV_MAX_TOTAL_NOTIONAL_USDT": ("1000", "6000", "100000"),
    "GOV_SYMBOL_COOLDOWN_SECONDS": ("0", "1", "5", "30"),
    "GOV_KILL_SCORE_CRITICAL": ("0.8", "0.95"),
    "GOV_Z_ALPHA": ("0.1", "0.3"),
    "GOV_Z_WARMUP": ("2", "5", "20"),
    "GOV_Z_MAX_AGE_SEC": ("60", "600", "86400"),
    "GOV_Z_EXIT_BASE": ("off", "0.5", "1.5"),
    "GOV_Z_EXIT_HEAT": ("0", "0.5"),
    "GOV_Z_EXIT_DRAWDOWN": ("0", "-0.3"),
    "GOV_EXIT_BLOCK_MAX_SEC": ("3", "10", "60"),
    "GOV_Z_WARMUP_BLOCKS_ENTRIES": ("false", "false", "true"),
    "GOV_REQUIRE_KILL_SCORE": ("false", "false", "true"),
    "RISK_MAX_DAILY_LOSS_PCT": ("0", "0.025", "0.1"),
    "RISK_MAX_DRAWDOWN_PCT": ("0", "0.08", "0.2"),
    "RISK_MAX_LEVERAGE": ("0", "1", "6", "10"),
    "GOV_EQUITY_SEC": ("5", "10"),
    "GOV_EQUITY_MAX_AGE_SEC": ("30", "60"),
    "GOV_ENABLE_AUTO_DISARM": ("true", "true", "false"),
    "GOV_DISARM_ON_BURST_BREACH": ("true", "false"),
    "GOV_DISARM_ON_ERROR_COUNT": ("5", "50"),
    "GOV_PERMIT_TTL": ("15", "60"),
}
#: As the service has them, of what is not drawn.
DEFAULTS = {
    **{name: values[-1] for name, values in _LIMITS.items()},
    "GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD": "0",
    "GOV_Z_ENTRY_BASE": "1.0",
    "GOV_Z_ENTRY_HEAT": "0.5",
    "GOV_Z_ENTRY_DRAWDOWN": "0.3",
    "P31_MAX_EXTRA_COOLDOWN_SEC": "120",
}
_DAILY_NOTIONALS = (None, "3000", "20000")
_WALLETS = (6_000, 20_000, 1_000_000)


def governor_environment(rng: Random) -> dict[str, str]:
    """Draw the limits."""
    environment = {name: rng.choice(values) for name, values in _LIMITS.items()}
    daily = rng.choice(_DAILY_NOTIONALS)
    return environment if daily is None else environment | {"GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD": daily}


def begin_ms(rng: Random) -> int:
    """Draw the moment at which the run begins, so that a UTC day ends while there is trade."""
    after_sec = _FIRST_ROUND_SEC + rng.choice((0.0, _ROUND_SEC)) + rng.uniform(0.0, _FAULTY_SEC)
    return MIDNIGHT_MS - round(after_sec * 1000)


def wallet_of(rng: Random) -> int:
    """Draw what the account begins with (USDT)."""
    return rng.choice(_WALLETS)
