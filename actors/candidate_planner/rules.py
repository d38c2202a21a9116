"""Settings of the candidate planner."""

from __future__ import annotations

import msgspec

RULES_REFRESH_SEC = 60.0
VOLUMES_REFRESH_SEC = 3600.0


class PlannerRules(msgspec.Struct, frozen=True):
    """The settings that plan candidates and the allowlist (seconds).

    `weight_per_min` is what reading candidates one by one may use of the request weight for good.
    """

    allowlist_source: str
    allowlist: tuple[str, ...]
    universe_max_age_sec: float
    last_ok_max_age_sec: float
    allowlist_refresh_sec: float
    intent_window_sec: float
    target_cycle_sec: float
    min_top_k: int
    weight_per_min: int
    stale_threshold_sec: float
    rules_refresh_sec: float = RULES_REFRESH_SEC
    volumes_refresh_sec: float = VOLUMES_REFRESH_SEC
    universe_mode: str = ""
