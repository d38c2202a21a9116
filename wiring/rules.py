"""Converts settings to the rules of decisions, candidates and reads."""

from __future__ import annotations

from actors.candidate_planner.rules import RULES_REFRESH_SEC, VOLUMES_REFRESH_SEC, PlannerRules
from actors.executor.rules import ExecutorRules
from actors.governor.rules import GovernorActorRules
from actors.intent_bridge.rules import BridgeActorRules
from actors.reconcile_engine.rules import ReconcileActorRules
from brain.decisions.case import Rules
from brain.execution.sizing import SizeLimits
from brain.governor.rules import GovernorRules
from brain.identifiers import Symbol
from brain.intents.case import BridgeRules
from brain.intents.intent import Lane
from brain.reconciliation.rules import OWN_CAUSES, DriftCause, ReconcileRules
from brain.symbols.universe import UniverseRules
from exchange.read_pacer import ReadPace, pace_within
from exchange.weight_budget import periodic_weight_per_min
from monitoring.service_log import issuer
from permit_gate.rules import REMEMBERED_SEC, GateRules
from permit_gate.sources import PermitSource
from settings import Settings
from settings.bridge_limits import EXIT_MAX_AGE_SEC
from store.keys import Keys, ReconcileKeys


def decision_rules(settings: Settings) -> Rules:
    """Return the settings that decisions rest on."""
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
    """Return the pace of single reads."""
    return pace_within(periodic_weight_per_min(settings.weight_budget_per_min), settings.stale_threshold_sec)


def planner_rules(settings: Settings) -> PlannerRules:
    """Return the settings that candidates and allowlist rest on.

    The reads that planner and universe publisher share are as frequent as the more frequent of them needs.
    """
    refresh_sec, volume_sec = RULES_REFRESH_SEC, VOLUMES_REFRESH_SEC
    if settings.universe != "off":
        refresh_sec, volume_sec = settings.universe_refresh_sec, settings.universe_volume_sec
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
        rules_refresh_sec=min(RULES_REFRESH_SEC, refresh_sec),
        volumes_refresh_sec=min(VOLUMES_REFRESH_SEC, volume_sec),
        universe_mode=settings.usable_universe_mode,
    )


def universe_rules(settings: Settings) -> UniverseRules:
    """Return the settings that the universe is chosen by."""
    return UniverseRules(
        mode=settings.universe_mode,
        quotes=settings.universe_quotes,
        blacklist=settings.universe_blacklist,
        min_quote_volume=settings.universe_min_quote_volume,
        min_age_days=settings.universe_min_age_days,
        delist_before_sec=settings.universe_delist_before_sec,
        most=settings.universe_max,
        max_shrink_pct=settings.universe_max_shrink_pct,
    )


def executor_rules(settings: Settings) -> ExecutorRules:
    """Return the settings that orders rest on."""
    key = settings.permit_signing_key
    return ExecutorRules(
        gate=GateRules(
            consumer=settings.instance,
            prefix=settings.key_prefix,
            signing_key=None if key is None else key.reveal(),
            max_age_sec=min(settings.permit_ttl_sec, REMEMBERED_SEC - 1),
        ),
        limits=SizeLimits(
            apply_downsize=settings.apply_downsize,
            allow_upsize=settings.allow_upsize,
            min_notional=settings.min_notional_usdt,
            max_notional=settings.max_notional_usdt,
        ),
        instance=settings.instance,
        dry_run=settings.executing == "dry_run",
        permit_wait_ms=settings.permit_wait_ms,
        plan_max_age_ms=round(settings.plan_max_age_sec * 1000),
        source_allowlist=frozenset(settings.source_allowlist),
        extra_permits=tuple(map(_extra_permit, settings.extra_permits)),
        recv_window_ms=settings.recv_window_ms,
        unknown_settle_sec=settings.unknown_settle_sec,
        hold_ttl_sec=settings.hold_ttl_sec,
        max_parallel=settings.max_parallel,
        set_leverage=settings.set_leverage,
        manual_lane=settings.manual_lane,
    )


def governor_rules(settings: Settings) -> GovernorRules:
    """Return the settings that judgements of the Governor rest on."""
    return GovernorRules(
        max_exec_per_hour=settings.max_exec_per_hour,
        max_exec_per_5min=settings.max_exec_per_5min,
        max_open_positions=settings.max_open_positions,
        max_notional_per_trade=settings.max_notional_per_trade,
        max_total_notional=settings.max_total_notional,
        symbol_cooldown_sec=settings.symbol_cooldown_sec,
        max_open_notional_per_day=settings.max_open_notional_per_day,
        kill_score_critical=float(settings.kill_score_critical),
        kill_score_open_threshold=float(settings.kill_score_open_threshold),
        kill_score_open_qty_scale_alpha=settings.kill_score_open_qty_scale_alpha,
        kill_score_open_min_scale=float(settings.kill_score_open_min_scale),
        z_alpha=settings.z_alpha,
        z_warmup=settings.z_warmup,
        z_max_age_sec=settings.z_max_age_sec,
        z_entry_base=settings.z_entry_base,
        z_entry_heat=settings.z_entry_heat,
        z_entry_drawdown=settings.z_entry_drawdown,
        z_exit_base=settings.z_exit_base,
        z_exit_heat=settings.z_exit_heat,
        z_exit_drawdown=settings.z_exit_drawdown,
        exit_block_max_sec=settings.exit_block_max_sec,
        max_heat=settings.max_heat,
        warmup_blocks_entries=settings.z_warmup_blocks_entries,
        require_kill_score=settings.require_kill_score,
        max_daily_loss=settings.max_daily_loss,
        max_drawdown=settings.max_drawdown,
        max_leverage=settings.max_leverage,
        equity_max_age_sec=settings.equity_max_age_sec,
        auto_disarm=settings.auto_disarm,
        disarm_on_burst_breach=settings.disarm_on_burst_breach,
        disarm_on_error_count=settings.disarm_on_error_count,
        min_confidence=float(settings.efficiency_min_confidence),
        downsize_threshold=float(settings.efficiency_downsize_threshold),
        min_factor=float(settings.efficiency_min_factor),
        max_extra_cooldown_sec=settings.efficiency_max_extra_cooldown_sec,
        efficiency_ttl_sec=settings.efficiency_ttl_sec,
        plan_max_age_sec=settings.plan_max_age_sec,
        stale_threshold_sec=settings.stale_threshold_sec,
        permit_ttl_sec=settings.governor_permit_ttl_sec,
        p33_permit_ttl_sec=settings.permit_ttl_sec,
        decision_ttl_sec=settings.decision_ttl_sec,
        execution_grace_sec=settings.execution_grace_sec,
    )


def governor_actor_rules(settings: Settings) -> GovernorActorRules:
    """Return the settings of the Governor as an actor."""
    return GovernorActorRules(
        rules=governor_rules(settings),
        shadow=settings.governor == "shadow",
        issued_by=issuer(settings),
        key_prefix=settings.key_prefix,
        signing_key=settings.governor_signing_key,
        deny_permits=settings.deny_permits,
        equity_sec=settings.equity_sec,
        stale_threshold_sec=settings.stale_threshold_sec,
        external_heat=settings.heat_source == "capital:heat",
        max_reduce_notional=settings.max_reduce_notional_per_day,
        max_reduce_quantity=settings.max_reduce_qty_per_day,
        take_over=settings.take_over,
    )


def reconcile_actor_rules(settings: Settings) -> ReconcileActorRules:
    """Return the settings of the reconcile engine as an actor."""
    causes = {DriftCause(name) for name in settings.adopt_causes}
    keys = ReconcileKeys(Keys(settings.key_prefix), shadow=settings.reconcile == "shadow")
    return ReconcileActorRules(
        rules=ReconcileRules(
            cadence_sec=settings.loop_cadence_sec,
            exchange_freshness_sec=settings.exchange_freshness_sec,
            tolerance_pct=settings.qty_drift_tolerance_pct,
            evidence_window_sec=settings.evidence_window_sec,
            hold_ttl_sec=settings.hold_ttl_sec,
            settle_sec=settings.settle_sec,
            clear_after_sec=settings.clear_after_sec,
            adopted=OWN_CAUSES | causes,
            hold_on_stale=settings.hold_on_stale,
            closes_excess=settings.reconcile_close == "excess",
            close_after_sec=settings.close_after_sec,
            weight_per_min=settings.reconcile_weight_per_min,
        ),
        shadow=keys.shadow,
        take_over=settings.take_over,
        symbols=frozenset(map(Symbol, settings.reconcile_allowlist)),
        close_stream=settings.close_stream or keys.plans,
        close_secret=settings.close_secret,
        key_prefix=settings.key_prefix,
    )


def bridge_actor_rules(settings: Settings) -> BridgeActorRules:
    """Return the settings of the intent bridge as an actor."""
    return BridgeActorRules(
        rules=BridgeRules(
            max_age_sec=settings.intent_max_age_sec,
            exit_max_age_sec=EXIT_MAX_AGE_SEC,
            skip_flat_sell=settings.skip_flat_sell,
            min_hold_sec=settings.min_hold_sec,
            max_notional=settings.max_intent_notional,
            taker_fee_rate=settings.taker_fee_rate,
            max_exposure_pct=settings.max_exposure_pct,
        ),
        lanes=(Lane.TRADE, *map(Lane, settings.intent_exit_lanes)),
        shadow=settings.intent_bridge == "shadow",
        issued_by=issuer(settings),
        mark_ttl_sec=settings.intent_idempotency_ttl_sec,
        stale_threshold_sec=settings.stale_threshold_sec,
        take_over=settings.take_over,
    )


def _extra_permit(given: str) -> PermitSource:
    """Return the source of a permit that is given as `NAME=key`."""
    name, _, key = given.partition("=")
    return PermitSource(name, key, "granted", plain_yes="1")
