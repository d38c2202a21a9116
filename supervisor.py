"""The tree: which actors run, in which groups, and what happens when one fails.

What flows between them is in `channels/flows.py`, what each is given in `wiring/actors.py`. `service_tree` is
everything that runs, and `serve` puts it on a real Redis and a real exchange until it is told to stop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random, SystemRandom

import trio
from structlog.typing import FilteringBoundLogger

from channels import DropOldest, Flows, LatestValue, Lease, MetricEvent
from clock import Clock, HostClock
from clocks.clocks import Clocks
from exchange.account import KeyPermissions
from exchange.market_stream import MarketStreamConnector
from exchange.names import open_names
from exchange.protocol import Exchange, MarkPriceConnector, OrderLookup, StreamConnector
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.user_stream_connection import UserStreamConnector
from exchange.weight_budget import WeightBudget
from monitoring.gate_distribution import GateDistribution
from monitoring.ledger_comparison import LedgerComparison
from monitoring.metrics.families import lines_dropped, service_gauges
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.cache import LivePage
from monitoring.page_view.source import PageSource
from monitoring.recent_decisions import RecentDecisions
from monitoring.service_log import build_tag, report_supervision, say_how_we_start, version
from monitoring.status.source import StatusSource
from monitoring.unreadable_symbols import UnreadableSymbols
from settings import Loaded, Settings
from store.errors import StoreError
from store.keys import Keys
from store.protocol import Store
from store.redis.store import open_redis_store
from supervision import Backoff, ChildSpec, Heartbeat, Intensity, SupervisorSpec, Tree
from supervision.specs import Strategy
from supervision.systemd import NotifySocket
from wiring.actors import ServiceActors
from wiring.rules import shown_settings
from wiring.signals import run_until_signalled
from wiring.systemd_reports import SystemdReports

#: Work that makes no progress for so long is cancelled and begun again.
STALL_LIMIT_SEC = 10.0

_BACKOFF = Backoff(initial_sec=0.02, maximum_sec=5.0)
#: Below the lease's TTL of 2 s: one more failure of whoever goes first does not cost us the lease.
_PRESENCE_BACKOFF = Backoff(initial_sec=0.02, maximum_sec=1.0)
#: Eleven failures make a group fail: within 20 s where an actor is hopeless.
_GROUP_RESTARTS = 10
_GROUP_WINDOW_SEC = 600.0
#: Three failures of groups end the process: within a minute where an actor is hopeless.
_PROCESS_INTENSITY = Intensity(restarts=2, within_sec=1800.0)


def service_tree(
    settings: Settings, actors: ServiceActors, mark_prices: MarkPriceConnector | None
) -> SupervisorSpec:
    """Everything that runs. Without `mark_prices`, mark prices come with REST reads alone.

    Groups are one-for-one wherever channels make a failed sibling harmless, which is almost everywhere: what
    its neighbours were last told stays in the channels, and whatever they conclude from its silence they
    conclude without being restarted. When `user_stream` ends it tells all shards that the stream is lost, and
    they go on by REST: to restart them would only throw away the reads that decisions wait for. When
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
            # Rest-for-one: only who has the port may hold the lease. The same instance started twice would
            # take the lease from itself once if the one without the port asked for it.
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
            # One message that no shard can bear fells them all at once: that must not look hopeless.
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
    """Actors that are restarted by one rule, and together where restarting one of them does not help."""
    return SupervisorSpec(
        name=name,
        strategy=strategy,
        intensity=Intensity(restarts=restarts, within_sec=_GROUP_WINDOW_SEC),
        backoff=backoff,
        children=actors,
    )


def _actor(name: str, run: Callable[[Heartbeat], Awaitable[None]], *, grace_sec: float = 0.0) -> ChildSpec:
    """A permanent child: an actor that returns has failed, unless it was asked to stop."""
    return ChildSpec(name=name, start=run, stall_limit_sec=STALL_LIMIT_SEC, stop_grace_sec=grace_sec)


class Service:
    """The tree and its channels, put together for given settings, store and exchange."""

    def __init__(
        self,
        loaded: Loaded,
        flows: Flows,
        *,
        store: Store,
        exchange: Exchange,
        orders: OrderLookup,
        connector: StreamConnector,
        mark_prices: MarkPriceConnector | None = None,
        budget: WeightBudget,
        clock: Clock,
        rng: Random,
        log: FilteringBoundLogger,
        log_lines_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        settings = loaded.settings
        clocks = Clocks(clock, exchange)
        registry = MetricRegistry(
            build_tag=build_tag(), clock=clock, book=flows.book, channels=flows.all(), logger=log
        )
        gates = GateDistribution(clock)
        recent = RecentDecisions()
        comparison = LedgerComparison(settings.qty_tolerance_pct, clocks.exchange_ms)
        unreadable = UnreadableSymbols(flows.book, flows.unreadable_rules)
        self.status = StatusSource(
            clocks=clocks,
            build_tag=build_tag(),
            version=version(),
            instance=settings.instance,
            settings=shown_settings(loaded),
            tree_status=lambda: self.tree.status(),
            waits=lambda: self.tree.waiting(),
            needed_actors=("permit_evaluator", "ledger_writer", "candidate_planner"),
            book=flows.book,
            stale_threshold_sec=settings.stale_threshold_sec,
            symbol_rules=flows.symbol_rules,
            never_read=flows.never_read,
            allowlist=flows.allowlist,
            hedge_mode=flows.hedge_mode,
            ledgers_adopted=flows.ledgers_adopted,
            lease=flows.lease,
            stream=flows.stream_status,
            durability=flows.durability,
            channels=flows.all(),
            registry=registry,
            gates=gates,
            budget=budget,
            comparison=comparison,
            exchange_trouble=exchange.trouble,
            unreadable=unreadable,
            unknown_executions=flows.unknown_executions,
            waiting_results=flows.waiting_results,
        )
        for gauge in service_gauges(
            ready=lambda: self.status.readiness().ready,
            lease=flows.lease,
            ban_sec=lambda: budget.banned_for_sec,
            unreadable=lambda: unreadable.count,
            durability=flows.durability,
            clocks=clocks,
            started=clock.now(),
            unknown_executions=self.status.unknown_count,
        ):
            registry.show(gauge)
        registry.show_total(lines_dropped(log_lines_dropped))
        page_source = PageSource(
            status=self.status,
            book=flows.book,
            registry=registry,
            gates=gates,
            recent=recent,
            comparison=comparison,
            store=store,
            clock=clock,
            issued_by=f"{build_tag()} {settings.instance}",
            cooldown_sec=settings.cooldown_sec,
            keys=Keys(settings.key_prefix),
        )
        self.flows = flows
        actors = ServiceActors(
            settings,
            flows,
            store=store,
            exchange=exchange,
            orders=orders,
            connector=connector,
            budget=budget,
            clocks=clocks,
            rng=rng,
            log=log,
            registry=registry,
            status=self.status,
            gates=gates,
            recent=recent,
            page=LivePage(page_source, clock),
            unreadable=unreadable,
        )
        self.spec = service_tree(settings, actors, mark_prices)
        self.tree = Tree(self.spec, rng=rng, on_event=partial(report_supervision, flows.metrics, log))


async def serve(
    loaded: Loaded,
    log: FilteringBoundLogger,
    log_lines_dropped: Callable[[], int] = lambda: 0,
    notify_socket: NotifySocket | None = None,
) -> None:
    """Run the service until SIGTERM or SIGINT; returns after a clean stop, within 4.5 s.

    `log_lines_dropped` counts what the log lost so far. `notify_socket`: where systemd listens, if it does.
    Raises RestartIntensityExceeded when restarting actors does not help.
    """
    settings = loaded.settings
    credentials = settings.require_credentials()
    clock, rng = HostClock(), SystemRandom()
    flows = Flows(settings.shards)
    server_time = ServerTime()
    budget = WeightBudget(
        clock,
        settings.weight_budget_per_min,
        exchange_ms=server_time.exchange_ms,
        on_ban=flows.bans.send,
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
            metrics=flows.metrics,
            rng=rng,
            names=names,
            notice=log.warning,
            ask_wallet=_wallet(settings, clock, server_time, rng),
        ) as exchange,
    ):
        service = Service(
            loaded,
            flows,
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
            clock=clock,
            rng=rng,
            log=log,
            log_lines_dropped=log_lines_dropped,
        )
        reports = (
            None
            if notify_socket is None
            else SystemdReports(notify_socket, service.tree, service.status.readiness)
        )
        try:
            await run_until_signalled(service.tree, log, reports)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(0.5):
                await release_lease(store, flows.lease)


def _wallet(
    settings: Settings, clock: Clock, server_time: ServerTime, rng: Random
) -> Callable[[], Awaitable[KeyPermissions]] | None:
    """Reads the key's permissions, with a client of its own; None where no wallet can be asked."""
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
    """Give the lease up, so that a standby takes over at once."""
    if lease.value is not None and lease.value.fence is not None:
        with suppress(StoreError):
            await store.release_lease(lease.value.fence)
