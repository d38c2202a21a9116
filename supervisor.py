"""The tree: which actors run, what flows between them, and what happens when one fails.

What flows is in `channels/flows.py`. `service_tree` is everything that runs, and `serve` puts both on a real
Redis and a real exchange until it is told to stop.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random, SystemRandom

import trio
from structlog.typing import FilteringBoundLogger

from actors.attempts import Attempts
from actors.ban_keeper import BanKeeper
from actors.book_read import BookRead
from actors.bulk_refresh import BulkRefresh
from actors.cadence import Cadence
from actors.candidate_planner import CandidatePlanner
from actors.decision_reports import DecisionReports
from actors.decision_writing import DecisionWriter
from actors.exchange_lead import ExchangeLead
from actors.fill_watch import FillWatch
from actors.gate_distribution import GateDistribution, GateReporter
from actors.heartbeat import Heartbeat
from actors.lease import present
from actors.lease_holder import LeaseHolder
from actors.ledger_adoption import LedgerAdoption
from actors.ledger_writer import LedgerWriter
from actors.mark_prices import MarkPriceFeed
from actors.metric_registry import MetricRegistry
from actors.metrics import Metrics
from actors.per_symbol_refresh import PerSymbolRefresh
from actors.permit_evaluator import PermitEvaluator
from actors.plan_settling import WhatIsKnown
from actors.rules_from_settings import decision_rules, planner_rules, read_pace, shown_settings
from actors.service_log import build_tag, report_supervision, say_how_we_start
from actors.shard_positions import ShardPositions
from actors.snapshot_fetcher import Refresh, SnapshotFetcher
from actors.snapshot_writer import SnapshotWriter
from actors.status_source import StatusSource
from actors.user_stream import UserStream
from brain.fill_memory import FillMemory
from channels import Flows, LatestValue, Lease
from clock import Clock, HostClock
from exchange.market_stream import MarketStreamConnector
from exchange.protocol import Exchange, MarkPriceConnector, OrderLookup, PositionsRead, StreamConnector
from exchange.read_latency import ReadLatency
from exchange.read_pacer import ReadPacer
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.shared_read import SharedRead
from exchange.user_stream_connection import UserStreamConnector
from exchange.weight_budget import WeightBudget
from settings import Loaded, Settings
from store.errors import StoreError
from store.keys import Keys
from store.protocol import Store
from store.redis_store import open_redis_store
from supervision import (
    Backoff,
    ChildSpec,
    Intensity,
    SupervisorSpec,
    Tree,
)

SHUTDOWN_SEC = 4.5


def service_tree(
    settings: Settings,
    flows: Flows,
    *,
    store: Store,
    exchange: Exchange,
    orders: OrderLookup,
    connector: StreamConnector,
    mark_prices: MarkPriceConnector | None,
    budget: WeightBudget,
    clock: Clock,
    rng: Random,
    log: FilteringBoundLogger,
    registry: MetricRegistry,
    status: StatusSource,
    gates: GateDistribution,
) -> SupervisorSpec:
    """Everything that runs. Each actor gets in its constructor all that it can touch.

    Without `mark_prices`, mark prices come with REST reads alone.
    """
    latency = ReadLatency()
    lead = ExchangeLead(exchange.exchange_ms_at_least)

    async def read_positions() -> PositionsRead:
        read = await exchange.positions()
        latency.cycle_ms = latency.observe(read)
        return read

    one_by_one = settings.fetch_mode == "per_symbol"
    book_read = BookRead(flows.book, flows.candidates, clock)
    positions = SharedRead(book_read.read if one_by_one else read_positions, clock)
    pacer = ReadPacer(read_pace(settings))
    cadence = Cadence(settings.poll_sec, settings.audit_sec)
    redis_address = store.address
    rules = decision_rules(settings)
    booking_attempts, fill_memory = Attempts(), FillMemory()

    def metrics() -> Metrics:
        return Metrics(
            events=flows.metrics,
            registry=registry,
            status=status,
            address=flows.http_address,
            bind=settings.bind,
            port=settings.metrics_port,
            logger=log,
        )

    def lease_holder() -> LeaseHolder:
        return LeaseHolder(
            store, flows.lease, instance=settings.instance, redis_address=redis_address, log=log
        )

    async def run_lease_holder(heartbeat: Heartbeat) -> None:
        # A second start by mistake finds the port taken, and must not take the lease from the first.
        await present(flows.http_address, "the HTTP port", heartbeat)
        await lease_holder().run(heartbeat)

    def ban_keeper() -> BanKeeper:
        return BanKeeper(store, budget, flows.bans, flows.ban_recalled, redis_address=redis_address)

    def candidate_planner() -> CandidatePlanner:
        return CandidatePlanner(
            store,
            exchange,
            flows.book,
            latency,
            symbol_rules=flows.symbol_rules,
            hedge_mode=flows.hedge_mode,
            allowlist=flows.allowlist,
            candidates=flows.candidates,
            metrics=flows.metrics,
            clock=clock,
            rules=planner_rules(settings),
            redis_address=redis_address,
            log=log,
        )

    def user_stream() -> UserStream:
        return UserStream(
            exchange=exchange,
            connector=connector,
            clock=clock,
            book=flows.book,
            shards=flows.shards,
            shard_of=flows.shard_of,
            fills=flows.fills,
            metrics=flows.metrics,
            status=flows.stream_status,
            proof_sec=settings.stream_proof_sec,
            rng=rng,
            logger=log,
        )

    def snapshot_fetcher(shard: int) -> SnapshotFetcher:
        writer = SnapshotWriter(
            store,
            flows.book,
            flows.lease,
            source=settings.snapshot_source,
            ondemand_ttl_sec=settings.ondemand_ttl_sec,
            redis_address=redis_address,
        )
        known = ShardPositions(
            shard,
            lambda symbol: flows.shard_of(symbol) == shard,
            lead=lead,
            audit_max_age_sec=settings.audit_max_age_sec,
            book=flows.book,
            changes=flows.changes,
            writer=writer,
            metrics=flows.metrics,
            clock=clock,
            log=log,
        )
        refresh: Refresh
        if one_by_one:
            refresh = PerSymbolRefresh(
                known, flows.candidates, exchange, pacer, latency, cadence, metrics=flows.metrics, log=log
            )
        else:
            refresh = BulkRefresh(known, positions, cadence, metrics=flows.metrics, clock=clock, log=log)
        return SnapshotFetcher(
            known,
            refresh,
            writer,
            inbox=flows.shards[shard],
            on_demand=flows.on_demand[shard],
            exchange=exchange,
            metrics=flows.metrics,
            log=log,
        )

    def mark_price_feed(connector: MarkPriceConnector) -> MarkPriceFeed:
        return MarkPriceFeed(connector, flows.shards, exchange.exchange_ms, rng=rng, log=log)

    async def run_snapshot_fetcher(shard: int, heartbeat: Heartbeat) -> None:
        await snapshot_fetcher(shard).run(heartbeat)

    def ledger_writer() -> LedgerWriter:
        return LedgerWriter(
            store,
            flows.book,
            flows.changes,
            adoption=LedgerAdoption(
                store,
                flows.book,
                positions,
                symbol_rules=flows.symbol_rules,
                stale_threshold_sec=settings.stale_threshold_sec,
                metrics=flows.metrics,
                clock=clock,
                log=log,
            ),
            attempts=booking_attempts,
            fill_watch=FillWatch(
                flows.fills, orders, store, fill_memory, grace_sec=settings.execution_grace_sec, log=log
            ),
            hedge_mode=flows.hedge_mode,
            lease=flows.lease,
            ledgers_adopted=flows.ledgers_adopted,
            metrics=flows.metrics,
            clock=clock,
            mark_ttl_sec=rules.permit_ttl_sec + rules.decision_ttl_sec,
            redis_address=redis_address,
            log=log,
        )

    def permit_evaluator() -> PermitEvaluator:
        return PermitEvaluator(
            store,
            WhatIsKnown(
                book=flows.book,
                symbol_rules=flows.symbol_rules,
                allowlist=flows.allowlist,
                hedge_mode=flows.hedge_mode,
                ledgers_adopted=flows.ledgers_adopted,
                lease=flows.lease,
            ),
            (lambda symbol: flows.on_demand[flows.shard_of(symbol)]) if settings.ondemand_snapshot else None,
            clock=clock,
            rules=rules,
            writer=DecisionWriter(
                rules, f"{build_tag()} {settings.instance}", signing_key=settings.permit_signing_key
            ),
            reports=DecisionReports(flows.metrics, flows.symbol_rules, gates, log),
            plan_stream=Keys(settings.key_prefix).plans,
            redis_address=redis_address,
            log=log,
        )

    def once_recalled(run: Callable[[Heartbeat], Awaitable[None]]) -> Callable[[Heartbeat], Awaitable[None]]:
        """Nobody asks the exchange anything before it is known whether it has banned this address."""

        async def run_then(heartbeat: Heartbeat) -> None:
            await present(flows.ban_recalled, f"Redis at {redis_address}", heartbeat)
            await run(heartbeat)

        return run_then

    return SupervisorSpec(
        name="position-state-brain",
        strategy="one_for_one",
        # One hopeless actor alone gets here, in about 40 s, for all its back-off.
        intensity=Intensity(restarts=15, within_sec=60),
        backoff=Backoff(initial_sec=0.02, maximum_sec=5.0),
        children=(
            _actor("metrics", lambda heartbeat: metrics().run(heartbeat)),
            _actor("lease_holder", run_lease_holder),
            _actor("ban_keeper", lambda heartbeat: ban_keeper().run(heartbeat)),
            _actor("candidate_planner", once_recalled(lambda hb: candidate_planner().run(hb))),
            _actor("user_stream", once_recalled(lambda hb: user_stream().run(hb))),
            *(
                [_actor("mark_prices", lambda hb: mark_price_feed(mark_prices).run(hb))]
                if mark_prices is not None
                else []
            ),
            *(
                _actor(f"snapshot_fetcher_{shard}", once_recalled(partial(run_snapshot_fetcher, shard)))
                for shard in range(settings.shards)
            ),
            _actor("ledger_writer", once_recalled(lambda hb: ledger_writer().run(hb)), grace_sec=1.5),
            _actor("permit_evaluator", lambda hb: permit_evaluator().run(hb), grace_sec=1.5),
            _actor("gate_reporter", lambda hb: GateReporter(gates, log).run(hb), grace_sec=0.5),
        ),
    )


def _actor(name: str, run: Callable[[Heartbeat], Awaitable[None]], *, grace_sec: float = 0.0) -> ChildSpec:
    """A permanent child: an actor that returns has failed, unless it was asked to stop."""
    return ChildSpec(name=name, start=run, stall_limit_sec=10.0, stop_grace_sec=grace_sec)


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
    ) -> None:
        settings = loaded.settings
        registry = MetricRegistry(
            build_tag=build_tag(), clock=clock, book=flows.book, channels=flows.all(), logger=log
        )
        gates = GateDistribution(clock)
        status = StatusSource(
            clock=clock,
            build_tag=build_tag(),
            instance=settings.instance,
            settings=shown_settings(loaded),
            tree_status=lambda: self.tree.status(),
            waits=lambda: self.tree.waiting(),
            needed_actors=("permit_evaluator", "ledger_writer", "candidate_planner"),
            book=flows.book,
            stale_threshold_sec=settings.stale_threshold_sec,
            symbol_rules=flows.symbol_rules,
            allowlist=flows.allowlist,
            hedge_mode=flows.hedge_mode,
            ledgers_adopted=flows.ledgers_adopted,
            lease=flows.lease,
            stream=flows.stream_status,
            channels=flows.all(),
            registry=registry,
            gates=gates,
        )
        self.flows = flows
        self.spec = service_tree(
            settings,
            flows,
            store=store,
            exchange=exchange,
            orders=orders,
            connector=connector,
            mark_prices=mark_prices,
            budget=budget,
            clock=clock,
            rng=rng,
            log=log,
            registry=registry,
            status=status,
            gates=gates,
        )
        self.tree = Tree(self.spec, rng=rng, on_event=partial(report_supervision, flows.metrics, log))


async def serve(loaded: Loaded, log: FilteringBoundLogger) -> None:
    """Run the service until SIGTERM or SIGINT; returns after a clean stop, within 5 s.

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
        BinanceRest(
            settings.binance_rest_url,
            credentials.api_key.reveal(),
            credentials.api_secret.reveal(),
            clock=clock,
            budget=budget,
            server_time=server_time,
            metrics=flows.metrics,
            rng=rng,
        ) as exchange,
    ):
        service = Service(
            loaded,
            flows,
            store=store,
            exchange=exchange,
            orders=exchange,
            connector=UserStreamConnector(settings.binance_ws_url, clock=clock),
            mark_prices=(
                MarketStreamConnector(settings.binance_ws_url, clock=clock)
                if settings.mark_price_stream
                else None
            ),
            budget=budget,
            clock=clock,
            rng=rng,
            log=log,
        )
        try:
            await run_until_signalled(service.tree, log)
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(0.5):
                await release_lease(store, flows.lease)


async def run_until_signalled(tree: Tree, log: FilteringBoundLogger) -> None:
    """Run the tree; the first SIGTERM or SIGINT stops it in order, and cuts it off where that takes long."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:

            async def stop_on_signal() -> None:
                async for number in signals:
                    log.info("Stopping", signal=signal.Signals(number).name)
                    tree.stop()
                    nursery.cancel_scope.deadline = trio.current_time() + SHUTDOWN_SEC

            nursery.start_soon(stop_on_signal)
            await tree.run()
            nursery.cancel_scope.cancel()
    log.info("Stopped")


async def release_lease(store: Store, lease: LatestValue[Lease]) -> None:
    """Give the lease up, so that a standby takes over at once."""
    if lease.value is not None and lease.value.fence is not None:
        with suppress(StoreError):
            await store.release_lease(lease.value.fence)
