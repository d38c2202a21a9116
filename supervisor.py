"""The service: `serve` runs the tree of `wiring/actors.py` on a real Redis and a real exchange."""

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
from supervision import SupervisorSpec, Tree
from supervision.systemd import NotifySocket
from wiring.actors import ServiceActors
from wiring.edges import Edges
from wiring.roles import channels_of, order_entry_of
from wiring.signals import run_until_signalled
from wiring.systemd_reports import SystemdReports


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
        settings, monitor = loaded.settings, self.monitor
        actors = ServiceActors(settings, channels, edges, monitor, clocks=clocks, rng=rng, log=log)
        self.spec: SupervisorSpec = actors.tree()
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
    channels = channels_of(settings)
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
            settings.redis.url(),
            prefix=settings.key_prefix,
            consumer=settings.instance,
            governor_shadow=settings.governor == "shadow",
            reconcile_shadow=settings.reconcile == "shadow",
            bridge_shadow=settings.intent_bridge == "shadow",
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
            order_entry=order_entry_of(settings, exchange, clock, server_time),
            account=None if settings.governor == "off" else exchange,
            history=None if settings.reconcile == "off" else exchange.account_history(),
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
