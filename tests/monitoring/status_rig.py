"""A service that stands still, to be looked at: real book, channels and registry, a clock set by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

import httpx
import msgspec
import structlog
import trio
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

import settings
from actors.metrics import Metrics
from brain.decisions.answer import Answer
from brain.decisions.case import Case
from brain.decisions.decision import decide
from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from brain.moment import Moment
from brain.plans.permit import Decision
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, DropOldest, Lease, MetricEvent
from clocks.clocks import Clocks
from exchange.weight_budget import WeightBudget
from monitoring.metrics.families import LiveGauge, service_gauges
from monitoring.monitor import Monitor
from monitoring.recent_decisions import RecentDecision
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat, NodeStatus
from tests.background import background
from tests.brain.cases import case
from wiring.roles import channels_of

NOON_MS = 1_790_000_000_000
ENVIRONMENT = {
    "P33_INSTANCE": "here:8045",
    "P33_SHARDS": "1",
    "P33_STALE_THRESHOLD_SEC": "10",
    "P33_COOLDOWN_SEC": "15",
    "BINANCE_API_KEY": "key",
    "BINANCE_API_SECRET": "secret",
}


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


class StandingTree(msgspec.Struct, frozen=True):
    """A tree in which nothing changes."""

    root: NodeStatus
    waits: list[tuple[str, str]]

    def status(self) -> NodeStatus:
        return self.root

    def waiting(self) -> list[tuple[str, str]]:
        return self.waits


#: Without these no plan is decided.
NEEDED = tuple(map(node, ("permit_evaluator", "ledger_writer", "candidate_planner")))


class StatusRig:
    """Ready to decide, with one snapshot; each test takes away what it is about."""

    def __init__(
        self, *, port: int = 0, snapshot: bool = True, universe: str = "off", token: str = "",
        clock: SetClock | None = None, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or SetClock()
        self.logged = CapturingLogger()
        self.log: FilteringBoundLogger = structlog.wrap_logger(self.logged, processors=[])
        self.clocks = Clocks(self.clock)
        changed = {"P33_UNIVERSE": universe, "P33_PAGE_TOKEN": token, **(environment or {})}
        loaded = settings.load({**ENVIRONMENT, **changed})
        self.channels = channels_of(loaded.settings)
        self.channels.metrics = self.events = DropOldest[MetricEvent]("metrics", 100)
        self.book, self.lease = self.channels.book, self.channels.lease
        self.waits: list[tuple[str, str]] = []
        self.tree = node("brain", *NEEDED, node("metrics"))
        self.budget = WeightBudget(self.clock, 1200)
        self.exchange_trouble: str | None = None
        self.log_lines_dropped = 0
        self.keys = Keys("quantum")
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.store = MemoryStore(self.redis, keys=self.keys, consumer="here:8045")
        self.monitor = Monitor(
            loaded,
            self.channels,
            self.store,
            tree=lambda: StandingTree(self.tree, self.waits),
            clocks=self.clocks,
            budget=self.budget,
            exchange_trouble=lambda: self.exchange_trouble,
            log=self.log,
            log_lines_dropped=lambda: self.log_lines_dropped,
        )
        self.metrics = Metrics(
            self.monitor,
            self.events,
            self.channels.http_address,
            bind="127.0.0.1",
            port=port,
            clock=self.clock,
            log=self.log,
        )
        self.lease.send(Lease(FencingToken("7"), "here:8045"))
        self.channels.symbol_rules.send({"BTCUSDT": rules_of("BTCUSDT")})
        self.channels.hedge_mode.send(False)
        self.channels.ledgers_adopted.send(True)
        self.channels.allowlist.send(
            Allowlist(AllowlistSource.UNIVERSE_ACTIVE, False, frozenset({"BTCUSDT"}), NOON_MS / 1000 - 5, 1.0)
        )
        if snapshot:
            self.publish("BTCUSDT", "-0.038", age_sec=2.0)

    def gauges(self) -> tuple[LiveGauge, ...]:
        """The gauges that the monitor shows already."""
        return service_gauges(
            self.channels,
            self.clocks,
            self.budget,
            self.monitor.unreadable,
            ready=lambda: True,
            unknown_executions=lambda: 0,
        )

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
            EntryId(entry_id),
            PlanId(plan_id),
            Symbol(symbol),
            decision,
            the_case,
            fields or {b"plan_id": plan_id.encode()},
        )
        self.monitor.gates.decided([decision])
        now_ms = self.clock.now().wall_ms
        self.monitor.recent.decided([RecentDecision(answer, now_ms, now_ms - latency_ms)])

    @property
    def log_lines(self) -> list[tuple[str, dict[str, object]]]:
        """Each line's method and keywords."""
        return [(call.method_name, dict(call.kwargs)) for call in self.logged.calls]


@asynccontextmanager
async def serving(rig: StatusRig, *, within_sec: float = 10) -> AsyncIterator[httpx.AsyncClient]:
    """The actor at work, and a client of what it serves; TooSlowError when the block takes longer."""
    with trio.fail_after(within_sec):
        async with background(rig.metrics.run, Heartbeat()):
            url = await rig.channels.http_address.changed()
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                yield client
