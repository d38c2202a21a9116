"""A service that stands still, to be looked at: real book, channels and registry, a clock set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import structlog
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from actors.metrics import Metrics
from brain.decisions.answer import Answer
from brain.decisions.case import Case
from brain.decisions.decision import decide
from brain.durability import Durability
from brain.moment import Moment
from brain.plans.permit import Decision
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import (
    BookEntry,
    DropOldest,
    LatestValue,
    Lease,
    MetricEvent,
    SnapshotBook,
    StreamStatus,
    UnknownExecution,
    WaitingResult,
)
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from monitoring.gate_distribution import GateDistribution
from monitoring.ledger_comparison import LedgerComparison
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.cache import LivePage
from monitoring.page_view.source import PageSource
from monitoring.recent_decisions import RecentDecision, RecentDecisions
from monitoring.status.document import SettingShown
from monitoring.status.source import StatusSource
from monitoring.unreadable_symbols import UnreadableSymbols
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import NodeStatus
from tests.brain.cases import case

NOON_MS = 1_790_000_000_000
STALE_SEC = 10.0


class SetClock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.moment = Moment(1000.0, NOON_MS)

    def now(self) -> Moment:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment = self.moment.earlier_by(-seconds)


def node(name: str, *children: NodeStatus, **changes: object) -> NodeStatus:
    """A running child, or a supervisor of `children`."""
    running = NodeStatus(
        name=name,
        state="running",
        waiting_for=(),
        restarts=0,
        last_reason=None,
        since_sec=1.0,
        children=children,
    )
    return msgspec.structs.replace(running, **changes)


def rules_of(symbol: str) -> SymbolRules:
    return SymbolRules(symbol, True, Decimal("0.001"), Decimal("0.001"), Decimal(120))


class StatusRig:
    """Ready to decide, with one snapshot; each test takes away what it is about."""

    def __init__(self, *, port: int = 0, snapshot: bool = True) -> None:
        self.clock = SetClock()
        self.log = CapturingLogger()
        logger: FilteringBoundLogger = structlog.wrap_logger(self.log, processors=[])
        self.logger = logger
        self.book = SnapshotBook("snapshots")
        self.events = DropOldest[MetricEvent]("metric_events", 100)
        self.rules = LatestValue[Mapping[str, SymbolRules]]("symbol_rules")
        self.never_read = LatestValue[tuple[str, ...]]("never_read")
        self.allowlist = LatestValue[Allowlist]("allowlist")
        self.hedge_mode = LatestValue[bool]("hedge_mode")
        self.ledgers_adopted = LatestValue[bool]("ledgers_adopted")
        self.lease = LatestValue[Lease]("lease")
        self.stream = LatestValue[StreamStatus]("stream_status")
        self.durability = LatestValue[Durability]("durability")
        self.address = LatestValue[str]("http_address")
        self.waits: list[tuple[str, str]] = []
        self.tree = node("brain", node("permit_evaluator"), node("metrics"))
        channels = (self.book, self.events, self.lease)
        self.registry = MetricRegistry(
            build_tag="1.2.3", clock=self.clock, book=self.book, channels=channels, logger=logger
        )
        self.gates = GateDistribution(self.clock)
        self.budget = WeightBudget(self.clock, 1200)
        self.comparison = LedgerComparison(Decimal("1.0"))
        self.unreadable_rules = LatestValue[Mapping[str, str]]("unreadable_rules")
        self.unreadable = UnreadableSymbols(self.book, self.unreadable_rules)
        self.unknown_executions = LatestValue[tuple[UnknownExecution, ...]]("unknown_executions")
        self.waiting_results = LatestValue[tuple[WaitingResult, ...]]("waiting_results")
        self.exchange_trouble: str | None = None
        self.clocks = Clocks(self.clock)
        self.source = StatusSource(
            clocks=self.clocks,
            build_tag="position-state-brain-1.2.3",
            version="1.2.3",
            instance="here:8045",
            settings=[SettingShown("BINANCE_API_SECRET", "***", "env")],
            tree_status=lambda: self.tree,
            waits=lambda: self.waits,
            needed_actors=["permit_evaluator"],
            book=self.book,
            stale_threshold_sec=STALE_SEC,
            symbol_rules=self.rules,
            never_read=self.never_read,
            allowlist=self.allowlist,
            hedge_mode=self.hedge_mode,
            ledgers_adopted=self.ledgers_adopted,
            lease=self.lease,
            stream=self.stream,
            durability=self.durability,
            channels=channels,
            registry=self.registry,
            gates=self.gates,
            budget=self.budget,
            comparison=self.comparison,
            exchange_trouble=lambda: self.exchange_trouble,
            unreadable=self.unreadable,
            unknown_executions=self.unknown_executions,
            waiting_results=self.waiting_results,
        )
        self.recent = RecentDecisions()
        self.keys = Keys("quantum")
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.store = MemoryStore(self.redis, keys=self.keys, consumer="here:8045")
        self.page_source = PageSource(
            status=self.source,
            book=self.book,
            registry=self.registry,
            gates=self.gates,
            recent=self.recent,
            comparison=self.comparison,
            store=self.store,
            clock=self.clock,
            issued_by="1.2.3 here:8045",
            cooldown_sec=15.0,
            keys=self.keys,
        )
        self.page = LivePage(self.page_source, self.clock)
        self.metrics = Metrics(
            events=self.events,
            registry=self.registry,
            status=self.source,
            page=self.page,
            unreadable=self.unreadable,
            clock=self.clock,
            address=self.address,
            bind="127.0.0.1",
            port=port,
            logger=logger,
        )
        self.lease.send(Lease("7", "here:8045"))
        self.rules.send({"BTCUSDT": rules_of("BTCUSDT")})
        self.hedge_mode.send(False)
        self.ledgers_adopted.send(True)
        self.allowlist.send(
            Allowlist(AllowlistSource.UNIVERSE_ACTIVE, False, frozenset({"BTCUSDT"}), NOON_MS / 1000 - 5, 1.0)
        )
        if snapshot:
            self.publish("BTCUSDT", "-0.038", age_sec=2.0)

    def publish(self, symbol: str, amount: str, *, age_sec: float) -> None:
        """Put a snapshot into the book that was true `age_sec` ago."""
        leg = LegPosition(Leg.BOTH, Decimal(amount), Decimal(60_000), NOON_MS - 60_000)
        verified_at = self.clock.now().earlier_by(age_sec)
        snapshot = Snapshot(
            symbol, (leg,), Decimal(5), Decimal(61_000), NOON_MS, verified_at, VerifiedBy.REST
        )
        self.book.publish(0, BookEntry(snapshot, verified_at))

    def decided(
        self,
        plan_id: str,
        the_case: Case | None = None,
        *,
        decision: Decision | None = None,
        symbol: str = "BTCUSDT",
        latency_ms: int = 4,
        fields: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """A plan that was published `latency_ms` ago is answered now, as its case has it or by `decision`."""
        if decision is None:
            the_case = the_case or case()
            decision = decide(the_case)
        entry_id = f"{self.clock.now().wall_ms - latency_ms}-0"
        answer = Answer(
            entry_id, plan_id, symbol, decision, the_case, fields or {b"plan_id": plan_id.encode()}
        )
        self.gates.decided([decision])
        now_ms = self.clock.now().wall_ms
        self.recent.decided([RecentDecision(answer, now_ms, now_ms - latency_ms)])

    @property
    def log_lines(self) -> list[tuple[str, dict[str, object]]]:
        """Each line's method and keywords."""
        return [(call.method_name, dict(call.kwargs)) for call in self.log.calls]
