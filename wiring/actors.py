"""What each actor is given. Every incarnation is made afresh; what outlives one is made here once."""

from __future__ import annotations

from random import Random

from structlog.typing import FilteringBoundLogger

from actors.ban_keeper import BanKeeper
from actors.candidate_planner.actor import CandidatePlanner
from actors.clock_watch import ClockWatch
from actors.durability import DurabilityWatch
from actors.gate_reporter import GateReporter
from actors.lease_holder import LeaseHolder, process_name
from actors.ledger_writer.actor import LedgerWriter
from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.fill_monitor import FillWatch
from actors.mark_prices import MarkPriceFeed
from actors.metrics import Metrics
from actors.permit_evaluator.actor import PermitEvaluator
from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.plans import WhatIsKnown
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import Attempts, Failures
from actors.user_stream.actor import UserStream
from actors.waiting import present
from brain.ledger.fill_memory import FillMemory
from channels import Flows
from clocks.clocks import Clocks
from exchange.connection_limit import ConnectionLimit
from exchange.endpoints import POSITION_RISK, POSITION_RISK_V3
from exchange.protocol import Exchange, MarkPriceConnector, OrderLookup, StreamConnector
from exchange.weight_budget import WeightBudget
from monitoring.gate_distribution import GateDistribution
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.cache import LivePage
from monitoring.recent_decisions import RecentDecisions
from monitoring.service_log import build_tag
from monitoring.status.source import StatusSource
from monitoring.unreadable_symbols import UnreadableSymbols
from settings import Settings
from store.keys import Keys
from store.protocol import Store
from supervision import Heartbeat
from wiring.rules import decision_rules, planner_rules
from wiring.snapshots import SnapshotMaking


class ServiceActors:
    """One method an actor: makes an incarnation with all that it can touch, and runs it until it ends."""

    def __init__(
        self,
        settings: Settings,
        flows: Flows,
        *,
        store: Store,
        exchange: Exchange,
        orders: OrderLookup,
        connector: StreamConnector,
        budget: WeightBudget,
        clocks: Clocks,
        rng: Random,
        log: FilteringBoundLogger,
        registry: MetricRegistry,
        status: StatusSource,
        gates: GateDistribution,
        recent: RecentDecisions,
        page: LivePage,
        unreadable: UnreadableSymbols,
    ) -> None:
        self._settings = settings
        self._flows = flows
        self._store = store
        self._exchange = exchange
        self._orders = orders
        self._connector = connector
        self._budget = budget
        self._clocks = clocks
        self._rng = rng
        self._log = log
        self._registry = registry
        self._status = status
        self._gates = gates
        self._recent = recent
        self._page = page
        self._unreadable = unreadable
        self._redis_address = store.address
        self._rules = decision_rules(settings)
        self._snapshots = SnapshotMaking(
            settings, flows, store, exchange, weight_per_read=self._weight_per_read, clocks=clocks, log=log
        )
        self._lease_holder = LeaseHolder(
            store,
            flows.lease,
            instance=settings.instance,
            process=process_name(rng),
            redis_address=store.address,
            log=log,
        )
        self._booking_attempts, self._decision_failures = Attempts(), Failures()
        self._fill_memory = FillMemory()
        self._connections = ConnectionLimit()

    def _weight_per_read(self) -> int:
        """Return what a read of positions costs as far as is known by now, by either version."""
        return max(self._budget.cost(POSITION_RISK), self._budget.cost(POSITION_RISK_V3))

    async def metrics(self, heartbeat: Heartbeat) -> None:
        actor = Metrics(
            events=self._flows.metrics,
            registry=self._registry,
            status=self._status,
            page=self._page,
            unreadable=self._unreadable,
            clock=self._clocks,
            address=self._flows.http_address,
            bind=self._settings.bind,
            port=self._settings.metrics_port,
            logger=self._log,
        )
        await actor.run(heartbeat)

    async def lease_holder(self, heartbeat: Heartbeat) -> None:
        # A second start by mistake finds the port taken, and must not take the lease from the first.
        await present(self._flows.http_address, "the HTTP port", heartbeat)
        await self._lease_holder.run(heartbeat)

    async def ban_keeper(self, heartbeat: Heartbeat) -> None:
        actor = BanKeeper(
            self._store,
            self._budget,
            self._flows.bans,
            self._flows.ban_recalled,
            clocks=self._clocks,
            redis_address=self._redis_address,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def clock_watch(self, heartbeat: Heartbeat) -> None:
        actor = ClockWatch(self._store, self._clocks, redis_address=self._redis_address, log=self._log)
        await actor.run(heartbeat)

    async def candidate_planner(self, heartbeat: Heartbeat) -> None:
        await self._ban_recalled(heartbeat)
        actor = CandidatePlanner(
            self._store,
            self._exchange,
            self._flows.book,
            self._snapshots.latency,
            symbol_rules=self._flows.symbol_rules,
            unreadable_rules=self._flows.unreadable_rules,
            rules_wanted=self._flows.rules_wanted,
            rules_asked_at=self._flows.rules_asked_at,
            hedge_mode=self._flows.hedge_mode,
            allowlist=self._flows.allowlist,
            candidates=self._flows.candidates,
            metrics=self._flows.metrics,
            clocks=self._clocks,
            rules=planner_rules(self._settings),
            weight_per_read=self._weight_per_read,
            redis_address=self._redis_address,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def user_stream(self, heartbeat: Heartbeat) -> None:
        await self._ban_recalled(heartbeat)
        actor = UserStream(
            exchange=self._exchange,
            connector=self._connector,
            clock=self._clocks,
            book=self._flows.book,
            shards=self._flows.shards,
            shard_of=self._flows.shard_of,
            fills=self._flows.fills,
            metrics=self._flows.metrics,
            status=self._flows.stream_status,
            limit=self._connections,
            proof_sec=self._settings.stream_proof_sec,
            rng=self._rng,
            logger=self._log,
        )
        await actor.run(heartbeat)

    async def mark_prices(self, connector: MarkPriceConnector, heartbeat: Heartbeat) -> None:
        actor = MarkPriceFeed(
            connector,
            self._flows.shards,
            self._clocks.exchange_ms,
            limit=self._connections,
            rng=self._rng,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def snapshot_fetcher(self, shard: int, heartbeat: Heartbeat) -> None:
        await self._ban_recalled(heartbeat)
        await self._snapshots.fetcher(shard).run(heartbeat)

    async def ledger_writer(self, heartbeat: Heartbeat) -> None:
        await self._ban_recalled(heartbeat)
        flows = self._flows
        actor = LedgerWriter(
            self._store,
            flows.changes,
            adoption=LedgerAdoption(
                self._store,
                flows.book,
                self._snapshots.positions,
                flows.ledgers_wanted,
                symbol_rules=flows.symbol_rules,
                stale_threshold_sec=self._settings.stale_threshold_sec,
                metrics=flows.metrics,
                clocks=self._clocks,
                log=self._log,
            ),
            attempts=self._booking_attempts,
            fill_watch=FillWatch(
                flows.fills,
                self._orders,
                self._store,
                self._fill_memory,
                results=flows.results,
                grace_sec=self._settings.execution_grace_sec,
                log=self._log,
            ),
            results=flows.results,
            rules_wanted=flows.rules_wanted,
            hedge_mode=flows.hedge_mode,
            lease=flows.lease,
            ledgers_adopted=flows.ledgers_adopted,
            unknown_executions=flows.unknown_executions,
            waiting_results=flows.waiting_results,
            key_prefix=self._settings.key_prefix,
            reservation_life_sec=self._rules.permit_ttl_sec + self._rules.execution_grace_sec,
            metrics=flows.metrics,
            clocks=self._clocks,
            mark_ttl_sec=self._rules.permit_ttl_sec + self._rules.decision_ttl_sec,
            redis_address=self._redis_address,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def permit_evaluator(self, heartbeat: Heartbeat) -> None:
        settings, flows = self._settings, self._flows
        actor = PermitEvaluator(
            self._store,
            WhatIsKnown(
                book=flows.book,
                results=flows.results,
                symbol_rules=flows.symbol_rules,
                rules_wanted=flows.rules_wanted,
                rules_asked_at=flows.rules_asked_at,
                allowlist=flows.allowlist,
                hedge_mode=flows.hedge_mode,
                ledgers_adopted=flows.ledgers_adopted,
                lease=flows.lease,
            ),
            (lambda symbol: flows.on_demand[flows.shard_of(symbol)]) if settings.ondemand_snapshot else None,
            flows.ledgers_wanted,
            failures=self._decision_failures,
            clocks=self._clocks,
            rules=self._rules,
            writer=DecisionWriter(
                self._rules,
                f"{build_tag()} {settings.instance}",
                signing_key=settings.permit_signing_key,
                key_prefix=settings.key_prefix,
            ),
            reports=DecisionReports(flows.metrics, flows.symbol_rules, self._gates, self._recent, self._log),
            keys=Keys(settings.key_prefix),
            redis_address=self._redis_address,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def durability_watch(self, heartbeat: Heartbeat) -> None:
        await DurabilityWatch(self._store, self._flows.durability, log=self._log).run(heartbeat)

    async def gate_reporter(self, heartbeat: Heartbeat) -> None:
        await GateReporter(self._gates, self._log).run(heartbeat)

    async def _ban_recalled(self, heartbeat: Heartbeat) -> None:
        """Nobody asks the exchange anything before it is known whether it has banned this address."""
        await present(self._flows.ban_recalled, f"Redis at {self._redis_address}", heartbeat)
