"""Children of the group `roles`: the other players of the chain that this service is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from structlog.typing import FilteringBoundLogger

from actors.universe_publisher.actor import UniversePublisher
from actors.universe_publisher.publications import PublisherRules
from brain.plans.shared_plans import SharedPlans
from channels import Channels
from clock import Clock
from clocks.clocks import Clocks
from exchange.order_counts import OrderCounts
from exchange.order_requests import OrderRequests
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from monitoring.monitor import Monitor
from settings import Settings
from store.keys import UniverseNames
from supervision import ChildSpec, Heartbeat
from wiring.edges import Edges
from wiring.executor import EXECUTOR_GRACE_SEC, ExecutorMaking
from wiring.governor import GOVERNOR_GRACE_SEC, GovernorMaking
from wiring.groups import actor
from wiring.intelligence import INTELLIGENCE_GRACE_SEC, IntelligenceMaking
from wiring.intent_bridge import BRIDGE_GRACE_SEC, BridgeMaking
from wiring.reconcile import ReconcileMaking
from wiring.rules import (
    bridge_actor_rules,
    executor_rules,
    governor_actor_rules,
    planner_rules,
    reconcile_actor_rules,
    universe_rules,
)


def channels_of(settings: Settings) -> Channels:
    """Make the channels of a service with the roles that are switched on."""
    return Channels(
        settings.shards,
        universe=settings.universe != "off",
        executor=settings.executing != "off",
        governor=settings.governor != "off",
        reconcile=settings.reconcile != "off",
        bridge=settings.intent_bridge != "off",
        intelligence=settings.decision_intelligence != "off",
    )


def order_entry_of(
    settings: Settings, exchange: BinanceRest, clock: Clock, server_time: ServerTime
) -> OrderRequests | None:
    """Return the order requests of the executor; None where its role is off."""
    if settings.executing == "off":
        return None
    counts = OrderCounts(
        clock,
        per_10s=settings.orders_per_10s,
        per_min=settings.orders_per_min,
        exchange_ms=server_time.exchange_ms,
    )
    return exchange.order_entry(counts, timeout_sec=settings.order_timeout_sec)


def role_children(
    settings: Settings,
    channels: Channels,
    edges: Edges,
    monitor: Monitor,
    clocks: Clocks,
    log: FilteringBoundLogger,
    *,
    before_requests: Callable[[Heartbeat], Awaitable[object]],
    shared_plans: SharedPlans | None,
) -> list[ChildSpec]:
    """Return the roles that are switched on, none where all are off.

    `shared_plans`: those of the permit evaluator, which the Governor judges, too.
    What sends requests to the exchange waits for `before_requests` first.
    """
    return [
        *_universe(settings, channels, edges, clocks, log),
        *_governor(settings, channels, edges, monitor, clocks, log, shared_plans),
        *_executor(settings, channels, edges, clocks, log, before_requests),
        *_reconcile(settings, channels, edges, clocks, log, before_requests),
        *_bridge(settings, channels, edges, clocks, log),
        *_intelligence(settings, channels, edges, clocks, log),
    ]


def _universe(
    settings: Settings, channels: Channels, edges: Edges, clocks: Clocks, log: FilteringBoundLogger
) -> Iterator[ChildSpec]:
    mode, universe = settings.universe, channels.universe_channels
    if mode == "off" or universe is None:
        return
    rules = PublisherRules(
        mode=mode,
        refresh_sec=settings.universe_refresh_sec,
        listing_sec=planner_rules(settings).rules_refresh_sec,
        volume_sec=settings.universe_volume_sec,
        active_ttl_sec=settings.universe_active_ttl_sec,
        active_key=UniverseNames(settings.key_prefix, shadow=mode == "shadow").active,
        instance=settings.instance,
        universe=universe_rules(settings),
        take_over=settings.take_over,
    )
    yield actor(
        "universe_publisher",
        lambda: UniversePublisher(
            edges.store,
            universe,
            channels.lease,
            rules=rules,
            metrics=channels.metrics,
            clocks=clocks,
            log=log,
        ),
    )


def _governor(
    settings: Settings,
    channels: Channels,
    edges: Edges,
    monitor: Monitor,
    clocks: Clocks,
    log: FilteringBoundLogger,
    shared_plans: SharedPlans | None,
) -> Iterator[ChildSpec]:
    """Yield the Governor. Its reads of the account alone wait for what requests wait for."""
    if settings.governor == "off" or edges.account is None:
        return
    making = GovernorMaking(
        channels,
        edges.store,
        edges.account,
        monitor.judgements,
        clocks=clocks,
        rules=governor_actor_rules(settings),
        log=log,
        shared=shared_plans,
    )
    yield actor("governor", making.governor, grace_sec=GOVERNOR_GRACE_SEC)


def _executor(
    settings: Settings,
    channels: Channels,
    edges: Edges,
    clocks: Clocks,
    log: FilteringBoundLogger,
    before_requests: Callable[[Heartbeat], Awaitable[object]],
) -> Iterator[ChildSpec]:
    if settings.executing == "off" or edges.order_entry is None:
        return
    making = ExecutorMaking(
        channels,
        edges.store,
        edges.order_entry,
        stale_threshold_sec=settings.stale_threshold_sec,
        clocks=clocks,
        rules=executor_rules(settings),
        take_over=settings.take_over,
        log=log,
    )
    yield actor("executor", making.executor, after=before_requests, grace_sec=EXECUTOR_GRACE_SEC)


def _reconcile(
    settings: Settings,
    channels: Channels,
    edges: Edges,
    clocks: Clocks,
    log: FilteringBoundLogger,
    before_requests: Callable[[Heartbeat], Awaitable[object]],
) -> Iterator[ChildSpec]:
    if settings.reconcile == "off" or edges.history is None:
        return
    making = ReconcileMaking(
        channels, edges.store, edges.history, clocks=clocks, rules=reconcile_actor_rules(settings), log=log
    )
    yield actor("reconcile_engine", making.engine, after=before_requests)


def _bridge(
    settings: Settings, channels: Channels, edges: Edges, clocks: Clocks, log: FilteringBoundLogger
) -> Iterator[ChildSpec]:
    if settings.intent_bridge == "off":
        return
    making = BridgeMaking(channels, edges.store, clocks=clocks, rules=bridge_actor_rules(settings), log=log)
    yield actor("intent_bridge", making.bridge, grace_sec=BRIDGE_GRACE_SEC)


def _intelligence(
    settings: Settings, channels: Channels, edges: Edges, clocks: Clocks, log: FilteringBoundLogger
) -> Iterator[ChildSpec]:
    if settings.decision_intelligence == "off":
        return
    making = IntelligenceMaking(channels, edges.store, settings, clocks=clocks, log=log)
    yield actor("decision_intelligence", making.intelligence, grace_sec=INTELLIGENCE_GRACE_SEC)
