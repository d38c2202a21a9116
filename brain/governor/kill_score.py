"""The kill score: its moving mean and variance, and the cut-offs that its deviation is compared with.

Binary64 in one order of operations: the same history gives the same bits on every machine.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from brain.governor.rules import GovernorRules

_EPSILON = 1e-6


class KillStats(msgspec.Struct, frozen=True):
    """Statistics of one symbol and evaluation type after `n` observations, the last at `ts_ms` (Redis)."""

    n: int
    mean: float
    var: float
    ts_ms: int


class Cutoffs(NamedTuple):
    """Cut-offs with their inputs, heat and drawdown (0 to 1). `exit` is None where exits are not judged."""

    entry: float
    exit: float | None
    heat: float
    drawdown: float


def observe(stats: KillStats | None, score: float, *, alpha: float, ts_ms: int) -> KillStats:
    """Return the statistics after one more observation. Its variance uses the mean just updated."""
    if stats is None:
        return KillStats(1, score, 0.0, ts_ms)
    mean = alpha * score + (1.0 - alpha) * stats.mean
    deviation = score - mean
    var = alpha * (deviation * deviation) + (1.0 - alpha) * stats.var
    return KillStats(stats.n + 1, mean, var, ts_ms)


def z_of(stats: KillStats, score: float) -> float:
    """Return the deviation of `score`, the last observation of `stats`, in standard deviations."""
    return (score - stats.mean) / (math.sqrt(stats.var) + _EPSILON)


def is_warm(stats: KillStats | None, now_ms: int, rules: GovernorRules) -> bool:
    """Return True if the statistics before an observation allow a verdict on it."""
    if stats is None or stats.n < rules.z_warmup:
        return False
    return now_ms - stats.ts_ms <= rules.z_max_age_sec * 1000


def cutoffs(rules: GovernorRules, *, portfolio_heat: float, equity: float, peak: float) -> Cutoffs:
    """Return the cut-offs. `portfolio_heat` is the notional of all positions divided by equity."""
    heat = min(1.0, max(0.0, portfolio_heat / rules.max_heat))
    drawdown = min(1.0, max(0.0, (peak - equity) / peak)) if peak > 0.0 else 0.0
    kept = 1.0 - drawdown
    entry = rules.z_entry_base + heat * rules.z_entry_heat - kept * rules.z_entry_drawdown
    leave = None
    if rules.z_exit_base is not None:
        leave = rules.z_exit_base + heat * rules.z_exit_heat - kept * rules.z_exit_drawdown
    return Cutoffs(entry, leave, heat, drawdown)


def qty_scale(rules: GovernorRules, score: float) -> float:
    """Return the part of an entry's quantity that is advised: 1 up to the threshold."""
    above = score - rules.kill_score_open_threshold
    if above <= 0.0:
        return 1.0
    scale = math.exp(-rules.kill_score_open_qty_scale_alpha * above)
    return max(rules.kill_score_open_min_scale, scale)


def stats_texts(stats: KillStats) -> tuple[str, str, str, str]:
    """Return n, mean, variance and time as stored: 17 significant digits give the same bits again."""
    return str(stats.n), f"{stats.mean:.17g}", f"{stats.var:.17g}", str(stats.ts_ms)
