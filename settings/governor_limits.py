"""Settings of the Governor that contradict each other, or that another one leaves without effect."""

from __future__ import annotations

from collections.abc import Iterator

from settings.variables import Settings

#: A jump after a flat history deviates by 1/√α standard deviations at most.
_MOST_Z_MARGIN = 0.01
#: Life of `governor:last_exec:<symbol>`.
_LONGEST_COOLDOWN_SEC = 3_600


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield a line for each of them; none while the Governor is off."""
    if settings.governor == "off":
        return
    if settings.kill_score_close_threshold is not None:
        yield "GOV_KILL_SCORE_CLOSE_THRESHOLD has no effect: GOV_Z_EXIT_BASE judges closes"
    hour, burst = settings.max_exec_per_hour, settings.max_exec_per_5min
    if 0 < hour < burst:
        yield (
            f"GOV_MAX_EXEC_PER_5MIN={burst} is never reached: GOV_MAX_EXEC_PER_HOUR={hour} comes first, and "
            "no burst disarms"
        )
    trade, total = settings.max_notional_per_trade, settings.max_total_notional
    if 0 < total < trade:
        yield (
            f"GOV_MAX_NOTIONAL_PER_TRADE_USDT={trade:f} is never reached: "
            f"GOV_MAX_TOTAL_NOTIONAL_USDT={total:f} comes first"
        )
    daily = settings.max_open_notional_per_day
    if daily is not None and 0 < daily < trade:
        yield (
            f"GOV_MAX_NOTIONAL_PER_TRADE_USDT={trade:f} is never reached: "
            f"GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD={daily:f} comes first"
        )
    threshold, critical = settings.kill_score_open_threshold, settings.kill_score_critical
    if threshold >= critical:
        yield (
            f"GOV_KILL_SCORE_OPEN_THRESHOLD={threshold:f} is never passed: from "
            f"GOV_KILL_SCORE_CRITICAL={critical:f} on nothing is opened, so no open is scaled"
        )
    if settings.equity_sec >= settings.equity_max_age_sec:
        yield (
            f"GOV_EQUITY_SEC={settings.equity_sec} is not below "
            f"GOV_EQUITY_MAX_AGE_SEC={settings.equity_max_age_sec}: nothing is opened between two reads"
        )
    cooldown, extra = settings.symbol_cooldown_sec, settings.efficiency_max_extra_cooldown_sec
    if cooldown + extra > _LONGEST_COOLDOWN_SEC:
        yield (
            f"GOV_SYMBOL_COOLDOWN_SECONDS={cooldown} with up to P31_MAX_EXTRA_COOLDOWN_SEC={extra} ends "
            f"after {_LONGEST_COOLDOWN_SEC} seconds: an execution is remembered for no longer"
        )
    if settings.z_exit_base is None and (settings.z_exit_heat or settings.z_exit_drawdown):
        yield "GOV_Z_EXIT_HEAT and GOV_Z_EXIT_DRAWDOWN have no effect: GOV_Z_EXIT_BASE is off"
    least = settings.z_entry_base - max(settings.z_entry_drawdown, 0) + min(settings.z_entry_heat, 0)
    most_z = settings.z_alpha**-0.5
    if least > most_z + _MOST_Z_MARGIN:
        yield (
            f"GOV_Z_ENTRY_BASE={settings.z_entry_base} never stops an entry after a quiet history: a kill "
            f"score deviates by at most {most_z:.2f} there"
        )
