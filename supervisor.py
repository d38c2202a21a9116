"""The tree: its actors and groups, and the rules for restarting them.

Their channels are in `channels/channels.py`, their constructors in `wiring/actors.py`. `service_tree` returns
the whole tree, and `serve` runs it on a real Redis and a real exchange until a signal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random, SystemRandom

import trio
from structlog.typing import FilteringBoundLogger

from channels import Channels, DropOldest, LatestValue, Lease, MetricEvent
from clock import Clock, HostClock
from clocks.clocks import Clocks
from exchange.account import KeyPermissions
from exchange.market_stream import MarketStreamConnector
from exchange.names import open_names
from exchange.protocol import MarkPriceConnector
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.user_stream_connection import UserStreamConnector
from exchange.weight_budget import WeightBudget
from monitoring.monitor import Monitor
from monitoring.service_log import report_supervision, say_how_we_start
from settings import Loaded, Settings
from store.errors import StoreError
from store.protocol import Store
from store.redis.store import open_redis_store
from supervision import Backoff, ChildSpec, Heartbeat, Intensity, SupervisorSpec, Tree
from supervision.specs import Strategy
from supervision.systemd import NotifySocket
from wiring.actors import ServiceActors
from wiring.edges import Edges
from wiring.signals import run_until_signalled
from wiring.systemd_reports import SystemdReports

#: An actor without progress for so long is cancelled and restarted.
STALL_LIMIT_SEC = 10.0

_BACKOFF = Backoff(initial_sec=0.02, maximum_sec=5.0)
#: Below the lease's TTL of 2 s: one failure of `metrics` does not cost us the lease.
_PRESENCE_BACKOFF = Backoff(initial_sec=0.02, maximum_sec=1.0)
#: Eleven failures make a group fail: within 20 s where an actor fails at once each time.
_GROUP_RESTARTS = 10
_GROUP_WINDOW_SEC = 600.0
#: Three failures of groups end the process: within a minute where an actor fails at once each time.
_PROCESS_INTENSITY = Intensity(restarts=2, within_sec=1800.0)


def service_tree(
    settings: Settings, actors: ServiceActors, mark_prices: MarkPriceConnector | None
) -> SupervisorSpec:
    """Return the whole tree. Without `mark_prices`, mark prices come with REST reads alone.

    Groups are one-for-one wherever a failed actor does no harm to the others: the channels keep its last
    messages. When `user_stream` ends it sends StreamLost to all shards, and they go on by REST: restarting
    them would only cancel the reads that decisions wait for. When
    `lease_holder` is away, the scripts check the fencing token of every write. `permit_evaluator` rests on no
    ledger but the one that its commit compares.
    """
    shards = [
        _actor(f"snapshot_fetcher_{shard}", partial(actors.snapshot_fetcher, shard))
        for shard in range(settings.shards)
    ]
    mark_price_feed = (
        [] if mark_prices is None else [_actor("mark_prices", partial(actors.mark_prices, mark_prices))]
    )
    return SupervisorSpec(
        name="position-state-brain",
        strategy="one_for_one",
        intensity=_PROCESS_INTENSITY,
        backoff=_BACKOFF,
        children=(
            # Rest-for-one: only the process that has the port may hold the lease. Started twice, the process
            # without the port would take the lease from the first.
            _group(
                "presence",
                _actor("metrics", actors.metrics),
                _actor("lease_holder", actors.lease_holder),
                strategy="rest_for_one",
                backoff=_PRESENCE_BACKOFF,
            ),
            _group(
                "exchange",
                _actor("ban_keeper", actors.ban_keeper),
                _actor("clock_watch", actors.clock_watch),
                _actor("candidate_planner", actors.candidate_planner),
                _actor("user_stream", actors.user_stream),
                *mark_price_feed,
            ),
            # A message that crashes one shard crashes all of them: allow one restart a shard.
            _group("snapshots", *shards, restarts=max(_GROUP_RESTARTS, settings.shards + 2)),
            _group(
                "decisions",
                _actor("ledger_writer", actors.ledger_writer, grace_sec=1.5),
                _actor("permit_evaluator", actors.permit_evaluator, grace_sec=1.5),
                _actor("gate_reporter", actors.gate_reporter, grace_sec=0.5),
                _actor("durability_watch", actors.durability_watch, grace_sec=0.5),
            ),
        ),
    )


def _group(
    name: str,
    *actors: ChildSpec,
    strategy: Strategy = "one_for_one",
    restarts: int = _GROUP_RESTARTS,
    backoff: Backoff = _BACKOFF,
) -> SupervisorSpec:
    """Return a group: its actors are restarted by one rule, and all together when that does not help."""
    return SupervisorSpec(
        name=name,
        strategy=strategy,
        intensity=Intensity(restarts=restarts, within_sec=_GROUP_WINDOW_SEC),
        backoff=backoff,
        children=actors,
    )


def _actor(name: str, run: Callable[[Heartbeat], Awaitable[None]], *, grace_sec: float = 0.0) -> ChildSpec:
    """Return a permanent child: an actor that returns has failed, unless it was asked to stop."""
    return ChildSpec(name=name, start=run, stall_limit_sec=STALL_LIMIT_SEC, stop_grace_sec=grace_sec)


class Service:
    """The tree, its channels and its monitoring, put together for given settings and edges."""

    def __init__(
        self,
        loaded: Loaded,
        channels: Channels,
        edges: Edges,
        *,
        clock: Clock,
        rng: Random,
        log: FilteringBoundLogger,
        log_lines_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        clocks = Clocks(clock, edges.exchange)
        self.channels = channels
        self.monitor = Monitor(
            loaded,
            channels,
            edges.store,
            tree=lambda: self.tree,
            clocks=clocks,
            budget=edges.budget,
            exchange_trouble=edges.exchange.trouble,
            log=log,
            log_lines_dropped=log_lines_dropped,
        )
        settings = loaded.settings
        actors = ServiceActors(settings, channels, edges, self.monitor, clocks=clocks, rng=rng, log=log)
        self.spec: SupervisorSpec = service_tree(settings, actors, edges.mark_prices)
        on_event = partial(report_supervision, channels.metrics, log)
        self.tree: Tree = Tree(self.spec, rng=rng, on_event=on_event)


async def serve(
    loaded: Loaded,
    log: FilteringBoundLogger,
    log_lines_dropped: Callable[[], int] = lambda: 0,
    notify_socket: NotifySocket | None = None,
) -> None:
    """Run the service until SIGTERM or SIGINT; returns after a clean stop, within 4.5 s.

    `log_lines_dropped` counts the lost lines of the log. `notify_socket`: systemd's, if there is one.
    Raises RestartIntensityExceeded when restarting actors does not help.
    """
    settings = loaded.settings
    credentials = settings.require_credentials()
    clock, rng = HostClock(), SystemRandom()
    channels = Channels(settings.shards)
    server_time = ServerTime()
    budget = WeightBudget(
        clock,
        settings.weight_budget_per_min,
        exchange_ms=server_time.exchange_ms,
        on_ban=channels.bans.send,
    )
    say_how_we_start(loaded, log)
    async with (
        open_redis_store(
            settings.redis.url(), prefix=settings.key_prefix, consumer=settings.instance
        ) as store,
        open_names() as names,
        BinanceRest(
            settings.binance_rest_url,
            credentials.api_key.reveal(),
            credentials.api_secret.reveal(),
            clock=clock,
            budget=budget,
            server_time=server_time,
            metrics=channels.metrics,
            rng=rng,
            names=names,
            notice=log.warning,
            ask_wallet=_wallet(settings, clock, server_time, rng),
        ) as exchange,
    ):
        edges = Edges(
            store=store,
            exchange=exchange,
            orders=exchange,
            connector=UserStreamConnector(settings.binance_ws_url, clock=clock, names=names),
            mark_prices=(
                MarketStreamConnector(settings.binance_ws_url, clock=clock, names=names)
                if settings.mark_price_stream
                else None
            ),
            budget=budget,
        )
        service = Service(
            loaded, channels, edges, clock=clock, rng=rng, log=log, log_lines_dropped=log_lines_dropped
        )
        reports = (
            None
            if notify_socket is None
            else SystemdReports(notify_socket, service.tree, service.monitor.status.readiness)
        )
        try:
            await run_until_signalled(service.tree, log, reports)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(0.5):
                await release_lease(store, channels.lease)


def _wallet(
    settings: Settings, clock: Clock, server_time: ServerTime, rng: Random
) -> Callable[[], Awaitable[KeyPermissions]] | None:
    """Return a reader of the key's permissions with a client of its own; None where there is no wallet."""
    url, credentials = settings.wallet_url, settings.require_credentials()
    if url is None:
        return None

    async def ask() -> KeyPermissions:
        async with BinanceRest(
            url,
            credentials.api_key.reveal(),
            credentials.api_secret.reveal(),
            clock=clock,
            budget=WeightBudget(clock, settings.weight_budget_per_min),
            server_time=server_time,
            metrics=DropOldest[MetricEvent]("wallet", 1),
            rng=rng,
        ) as wallet:
            return await wallet.key_permissions()

    return ask


async def release_lease(store: Store, lease: LatestValue[Lease]) -> None:
    """Release the lease, so that a standby takes over at once."""
    if lease.value is not None and lease.value.fence is not None:
        with suppress(StoreError):
            await store.release_lease(lease.value.fence)
