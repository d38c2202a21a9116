"""The hint of capital efficiency (P3.1): a smaller quantity and a longer cooldown, never a refusal."""

from __future__ import annotations

from typing import NamedTuple

from brain.governor.case import Efficiency
from brain.governor.rules import GovernorRules


class EfficiencyHint(NamedTuple):
    """Hint for an open or add. `action` is `NONE` or `DOWNSIZE`; `factor` is at most 1.

    `reason`: `ok`, `low_efficiency`, `low_confidence`, `stale_eff` or `missing_eff`.
    """

    action: str
    reason: str
    factor: float
    extra_cooldown_sec: int
    stale: bool = False


MISSING = EfficiencyHint("NONE", "missing_eff", 1.0, 0)


def efficiency_hint(efficiency: Efficiency | None, rules: GovernorRules) -> EfficiencyHint:
    """Return the hint. A missing or stale efficiency, or one of low confidence, changes nothing."""
    if efficiency is None:
        return MISSING
    if not efficiency.age_sec <= rules.efficiency_ttl_sec:
        return EfficiencyHint("NONE", "stale_eff", 1.0, 0, stale=True)
    if efficiency.confidence < rules.min_confidence:
        return EfficiencyHint("NONE", "low_confidence", 1.0, 0)
    score = min(1.0, max(0.0, efficiency.score))
    if score >= rules.downsize_threshold:
        return EfficiencyHint("NONE", "ok", 1.0, 0)
    factor = min(1.0, max(rules.min_factor, score / rules.downsize_threshold))
    extra_sec = round((1.0 - score) * rules.max_extra_cooldown_sec)
    return EfficiencyHint("DOWNSIZE", "low_efficiency", factor, extra_sec)
