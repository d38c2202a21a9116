"""The settings that decisions, candidates and reads rest on, as those who decide, plan and read want them."""

from __future__ import annotations

from actors.candidate_planner.actor import PlannerRules
from brain.decisions.case import Rules
from exchange.read_pacer import ReadPace, pace_within
from exchange.weight_budget import periodic_weight_per_min
from monitoring.status.document import SettingShown
from settings import Loaded, Settings
from settings.show import shown


def decision_rules(settings: Settings) -> Rules:
    """The settings that decisions rest on."""
    return Rules(
        stale_threshold_sec=settings.stale_threshold_sec,
        cooldown_sec=settings.cooldown_sec,
        qty_tolerance_pct=settings.qty_tolerance_pct,
        plan_max_age_sec=settings.plan_max_age_sec,
        decision_ttl_sec=settings.decision_ttl_sec,
        permit_ttl_sec=settings.permit_ttl_sec,
        execution_grace_sec=settings.execution_grace_sec,
    )


def read_pace(settings: Settings) -> ReadPace:
    """How fast single reads may follow each other."""
    return pace_within(periodic_weight_per_min(settings.weight_budget_per_min), settings.stale_threshold_sec)


def planner_rules(settings: Settings) -> PlannerRules:
    """The settings that candidates and allowlist rest on."""
    return PlannerRules(
        allowlist_source=settings.allowlist_source,
        allowlist=settings.allowlist,
        universe_max_age_sec=settings.universe_max_age_sec,
        last_ok_max_age_sec=settings.universe_last_ok_max_age_sec,
        allowlist_refresh_sec=settings.allowlist_refresh_sec,
        intent_window_sec=settings.intent_window_sec,
        target_cycle_sec=settings.target_cycle_sec,
        min_top_k=settings.min_top_k,
        weight_per_min=read_pace(settings).weight_per_min,
        stale_threshold_sec=settings.stale_threshold_sec,
    )


def shown_settings(loaded: Loaded) -> list[SettingShown]:
    """Every setting with its origin, secrets masked."""
    return [
        SettingShown(name, shown(loaded.settings, name), origin) for name, origin in loaded.origins.items()
    ]
