"""Makes each actor with its parts: every incarnation anew, and once what outlives an incarnation."""

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
from actors.ledger_writer.fill_monitor import FillMonitor
from actors.mark_prices import MarkPriceFeed
from actors.metrics import Metrics
from actors.permit_evaluator.actor import PermitEvaluator
from actors.permit_evaluator.commit import DecisionWriter
from actors.permit_evaluator.plans import DecisionInputs
from actors.permit_evaluator.reports import DecisionReports
from actors.stream_consumer import FailureCounter
from actors.user_stream.actor import UserStream
from actors.waiting import present
from brain.ledger.fill_memory import FillMemory
from channels import Channels
from clocks.clocks import Clocks
from exchange.connection_limit import ConnectionLimit
from exchange.endpoints import POSITION_RISK, POSITION_RISK_V3
from exchange.protocol import MarkPriceConnector
from monitoring.monitor import Monitor
from monitoring.service_log import issuer
from settings import Settings
from supervision import Heartbeat
from wiring.edges import Edges
from wiring.rules import decision_rules, planner_rules
from wiring.snapshots import SnapshotMaking


class ServiceActors:
    """One method an actor: makes an incarnation with its parts, and runs it until it ends."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        edges: Edges,
        monitor: Monitor,
        *,
        clocks: Clocks,
        rng: Random,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._edges = edges
        self._store = edges.store
        self._monitor = monitor
        self._clocks = clocks
        self._rng = rng
        self._log = log
        self._rules = decision_rules(settings)
        self._snapshots = SnapshotMaking(
            settings,
            channels,
            edges.store,
            edges.exchange,
            weight_per_read=self._weight_per_read,
            clocks=clocks,
            log=log,
        )
        self._lease_holder = LeaseHolder(
            edges.store,
            channels.lease,
            instance=settings.instance,
            process=process_name(rng),
            log=log,
        )
        self._booking_failures, self._decision_failures = FailureCounter(), FailureCounter()
        self._fill_memory = FillMemory()
        self._connections = ConnectionLimit()

    def _weight_per_read(self) -> int:
        """Return the weight of a read of positions as known now, the larger of both versions."""
        weights = self._edges.budget.weights
        return max(weights.of(POSITION_RISK), weights.of(POSITION_RISK_V3))

    async def metrics(self, heartbeat: Heartbeat) -> None:
        actor = Metrics(
            self._monitor,
            self._channels.metrics,
            self._channels.http_address,
            bind=self._settings.bind,
            port=self._settings.metrics_port,
            clock=self._clocks,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def lease_holder(self, heartbeat: Heartbeat) -> None:
        # A second start by mistake finds the port in use, and must not take the lease from the first.
        await present(self._channels.http_address, "the HTTP port", heartbeat)
        await self._lease_holder.run(heartbeat)

    async def ban_keeper(self, heartbeat: Heartbeat) -> None:
        actor = BanKeeper(
            self._store,
            self._edges.budget,
            self._channels.bans,
            self._channels.ban_recalled,
            clocks=self._clocks,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def clock_watch(self, heartbeat: Heartbeat) -> None:
        actor = ClockWatch(self._store, self._clocks, log=self._log)
        await actor.run(heartbeat)

    async def candidate_planner(self, heartbeat: Heartbeat) -> None:
        await self._ban_recalled(heartbeat)
        actor = CandidatePlanner(
            self._store,
            self._edges.exchange,
            self._channels.book,
            self._snapshots.latency,
            symbol_rules=self._channels.symbol_rules,
            unreadable_rules=self._channels.unreadable_rules,
            rules_wanted=self._channels.rules_wanted,
            rules_asked_at=self._channels.rules_asked_at,
            hedge_mode=self._channels.hedge_mode,
            allowlist=self._channels.allowlist,
            candidates=self._channels.candidates,
            metrics=self._channels.metrics,
            clocks=self._clocks,
            rules=planner_rules(self._settings),
            weight_per_read=self._weight_per_read,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def user_stream(self, heartbeat: Heartbeat) -> None:
        await self._ban_recalled(heartbeat)
        actor = UserStream(
            exchange=self._edges.exchange,
            connector=self._edges.connector,
            clock=self._clocks,
            book=self._channels.book,
            shards=self._channels.shards,
            shard_of=self._channels.shard_of,
            fills=self._channels.fills,
            metrics=self._channels.metrics,
            status=self._channels.stream_status,
            limit=self._connections,
            proof_sec=self._settings.stream_proof_sec,
            rng=self._rng,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def mark_prices(self, connector: MarkPriceConnector, heartbeat: Heartbeat) -> None:
        actor = MarkPriceFeed(
            connector,
            self._channels.shards,
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
        channels = self._channels
        actor = LedgerWriter(
            self._store,
            channels.changes,
            adoption=LedgerAdoption(
                self._store,
                channels.book,
                self._snapshots.positions,
                channels.ledgers_wanted,
                symbol_rules=channels.symbol_rules,
                stale_threshold_sec=self._settings.stale_threshold_sec,
                metrics=channels.metrics,
                clocks=self._clocks,
                log=self._log,
            ),
            failures=self._booking_failures,
            fill_monitor=FillMonitor(
                channels.fills,
                self._edges.orders,
                self._store,
                self._fill_memory,
                results=channels.results,
                grace_sec=self._settings.execution_grace_sec,
                log=self._log,
            ),
            results=channels.results,
            rules_wanted=channels.rules_wanted,
            hedge_mode=channels.hedge_mode,
            lease=channels.lease,
            ledgers_adopted=channels.ledgers_adopted,
            unknown_executions=channels.unknown_executions,
            waiting_results=channels.waiting_results,
            key_prefix=self._settings.key_prefix,
            reservation_life_sec=self._rules.permit_ttl_sec + self._rules.execution_grace_sec,
            metrics=channels.metrics,
            clocks=self._clocks,
            mark_ttl_sec=self._rules.permit_ttl_sec + self._rules.decision_ttl_sec,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def permit_evaluator(self, heartbeat: Heartbeat) -> None:
        settings, channels = self._settings, self._channels
        actor = PermitEvaluator(
            self._store,
            DecisionInputs(
                book=channels.book,
                results=channels.results,
                symbol_rules=channels.symbol_rules,
                rules_wanted=channels.rules_wanted,
                rules_asked_at=channels.rules_asked_at,
                allowlist=channels.allowlist,
                hedge_mode=channels.hedge_mode,
                ledgers_adopted=channels.ledgers_adopted,
                lease=channels.lease,
            ),
            channels.on_demand_of if settings.ondemand_snapshot else None,
            channels.ledgers_wanted,
            failures=self._decision_failures,
            clocks=self._clocks,
            rules=self._rules,
            writer=DecisionWriter(
                self._rules,
                issuer(settings),
                signing_key=settings.permit_signing_key,
                key_prefix=settings.key_prefix,
            ),
            reports=DecisionReports(
                channels.metrics, channels.symbol_rules, self._monitor.gates, self._monitor.recent, self._log
            ),
            key_prefix=settings.key_prefix,
            log=self._log,
        )
        await actor.run(heartbeat)

    async def durability_watch(self, heartbeat: Heartbeat) -> None:
        await DurabilityWatch(self._store, self._channels.durability, log=self._log).run(heartbeat)

    async def gate_reporter(self, heartbeat: Heartbeat) -> None:
        await GateReporter(self._monitor.gates, self._log).run(heartbeat)

    async def _ban_recalled(self, heartbeat: Heartbeat) -> None:
        """Wait until it is known if the exchange has banned this address: no request is sent before."""
        await present(self._channels.ban_recalled, f"Redis at {self._store.address}", heartbeat)
