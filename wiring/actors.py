"""The tree: every actor with its constructor, its group, and the rules for restarting it."""

from __future__ import annotations

from functools import partial
from random import Random

from structlog.typing import FilteringBoundLogger

from actors.ban_keeper import BanKeeper
from actors.candidate_planner.actor import CandidatePlanner
from actors.clock_watch import ClockWatch
from actors.durability_watch import DurabilityWatch
from actors.gate_reporter import GateReporter
from actors.history_writer import HistoryWriter
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
from brain.plans.shared_plans import SharedPlans
from channels import Channels
from clocks.clocks import Clocks
from exchange.connection_limit import ConnectionLimit
from exchange.endpoints import POSITION_RISK, POSITION_RISK_V3
from exchange.protocol import MarkPriceConnector
from monitoring.monitor import Monitor
from monitoring.service_log import issuer
from settings import Settings
from supervision import Backoff, Intensity, SupervisorSpec
from wiring.edges import Edges
from wiring.groups import BACKOFF, GROUP_RESTARTS, UNLIMITED, actor, group
from wiring.notices import notice_children
from wiring.roles import role_children
from wiring.rules import decision_rules, planner_rules
from wiring.snapshots import SnapshotMaking

#: Below the lease's TTL of 2 s: one failure of `metrics` does not cost us the lease.
_PRESENCE_BACKOFF = Backoff(initial_sec=0.02, maximum_sec=1.0)
#: Reached within a minute where an actor fails at once each time.
_PROCESS_INTENSITY = Intensity(restarts=2, within_sec=1800.0)


class ServiceActors:
    """Actors with their parts: every incarnation anew, and once what outlives an incarnation."""

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
            edges.store, channels.lease, instance=settings.instance, process=process_name(rng), log=log
        )
        self._booking_failures, self._decision_failures = FailureCounter(), FailureCounter()
        self._fill_memory = FillMemory()
        self._shared_plans = None if settings.governor == "off" else SharedPlans()
        self._connections = ConnectionLimit(settings.connections_per_5min)

    def tree(self) -> SupervisorSpec:
        """Return the whole tree.

        Groups are one-for-one wherever a failed actor does no harm to the others: the channels keep its last
        messages. When `user_stream` ends it sends StreamLost to all shards, and they go on by REST:
        restarting them would only cancel the reads that decisions wait for. When `lease_holder` is away, the
        scripts check the fencing token of every write. `permit_evaluator` rests on no ledger but the one that
        its commit compares.
        """
        store, channels, log = self._store, self._channels, self._log
        # A second start by mistake finds the port in use, and must not take the lease from the first.
        port_open = partial(present, channels.http_address, "the HTTP port")
        # No REST request is sent before it is known if the exchange has banned this address.
        ban_known = partial(present, channels.ban_recalled, f"Redis at {store.address}")
        # Rest-for-one: only the process that has the port may hold the lease. Started twice, the process
        # without the port would take the lease from the first.
        presence = group(
            "presence",
            actor("metrics", self._metrics),
            actor("lease_holder", lambda: self._lease_holder, after=port_open),
            strategy="rest_for_one",
            backoff=_PRESENCE_BACKOFF,
        )
        market = self._edges.mark_prices
        exchange = group(
            "exchange",
            actor("ban_keeper", self._ban_keeper),
            actor("clock_watch", lambda: ClockWatch(store, self._clocks, log=log)),
            actor("candidate_planner", self._candidate_planner, after=ban_known),
            actor("user_stream", self._user_stream, after=ban_known),
            *([] if market is None else [actor("mark_prices", partial(self._mark_prices, market))]),
        )
        shards = [
            actor(f"snapshot_fetcher_{shard}", partial(self._snapshots.fetcher, shard), after=ban_known)
            for shard in range(self._settings.shards)
        ]
        # A message that crashes one shard crashes all: beyond 8 shards, allow one restart each and 2 more.
        snapshots = group("snapshots", *shards, restarts=max(GROUP_RESTARTS, len(shards) + 2))
        decisions = group(
            "decisions",
            actor("ledger_writer", self._ledger_writer, after=ban_known, grace_sec=1.5),
            actor("permit_evaluator", self._permit_evaluator, grace_sec=1.5),
            actor("gate_reporter", lambda: GateReporter(self._monitor.gates, log), grace_sec=0.5),
            actor(
                "history_writer",
                lambda: HistoryWriter(store, self._monitor.history, channels.lease, log=log),
                grace_sec=0.5,
            ),
            actor(
                "durability_watch",
                partial(DurabilityWatch, store, channels.durability, log=log),
                grace_sec=0.5,
            ),
        )
        roles = role_children(
            self._settings, channels, self._edges, self._monitor, self._clocks, log,
            before_requests=ban_known, shared_plans=self._shared_plans,
        )  # fmt: skip
        notices = notice_children(self._settings, channels, self._monitor, self._clocks, log)
        return SupervisorSpec(
            name="position-state-brain",
            strategy="one_for_one",
            intensity=_PROCESS_INTENSITY,
            backoff=BACKOFF,
            children=(
                presence,
                exchange,
                snapshots,
                decisions,
                group("notices", *notices, restarts=UNLIMITED),
                *([group("roles", *roles, restarts=UNLIMITED)] if roles else []),
            ),
        )

    def _weight_per_read(self) -> int:
        """Return the weight of a read of positions as known now, the larger of both versions."""
        weights = self._edges.budget.weights
        return max(weights.of(POSITION_RISK), weights.of(POSITION_RISK_V3))

    def _metrics(self) -> Metrics:
        return Metrics(
            self._monitor,
            self._channels.metrics,
            self._channels.http_address,
            bind=self._settings.bind,
            port=self._settings.metrics_port,
            clock=self._clocks,
            log=self._log,
        )

    def _ban_keeper(self) -> BanKeeper:
        bans, recalled = self._channels.bans, self._channels.ban_recalled
        return BanKeeper(self._store, self._edges.budget, bans, recalled, clocks=self._clocks, log=self._log)

    def _candidate_planner(self) -> CandidatePlanner:
        return CandidatePlanner(
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
            universe=self._channels.universe_channels,
        )

    def _user_stream(self) -> UserStream:
        return UserStream(
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
            own_orders=self._channels.own_orders,
            balances=self._channels.balances,
        )

    def _mark_prices(self, connector: MarkPriceConnector) -> MarkPriceFeed:
        return MarkPriceFeed(
            connector,
            self._channels.book,
            self._channels.shards,
            self._clocks.exchange_ms,
            limit=self._connections,
            rng=self._rng,
            log=self._log,
        )

    def _ledger_writer(self) -> LedgerWriter:
        channels = self._channels
        return LedgerWriter(
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
                moved=channels.moved_ledgers,
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

    def _permit_evaluator(self) -> PermitEvaluator:
        settings, channels = self._settings, self._channels
        return PermitEvaluator(
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
            shared=self._shared_plans,
        )
