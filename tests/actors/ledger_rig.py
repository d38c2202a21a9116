"""A ledger writer on virtual time over the store's twin, and an exchange that the test controls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Protocol

import pytest
import structlog
import trio
import trio.testing

from actors.ledger_writer.actor import LedgerWriter
from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.booking import CommitPlanner
from actors.ledger_writer.fill_monitor import FillMonitor
from actors.stream_consumer import FailureCounter
from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.ledger.fill_memory import FillMemory
from brain.ledger.result import ExecutedResult
from brain.numbers import plain
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.candidates import Candidates
from brain.symbols.symbol_rules import SymbolRules
from channels import (
    BookEntry,
    Conflating,
    DropOldest,
    FillObserved,
    LatestValue,
    Lease,
    LedgerWanted,
    MetricEvent,
    OrderObserved,
    PushBack,
    ResultBook,
    RulesWanted,
    SnapshotBook,
    SnapshotChanged,
    UnknownExecution,
    WaitingResult,
)
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from exchange.book_read import BookRead
from exchange.position_reads import PositionReads
from exchange.protocol import OrderTrade, PositionRow
from exchange.read_latency import ReadLatency
from store.keys import GROUP, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.protocol import LeaseStore, ResultStore
from store.records import Entry
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange
from tests.store.backends import Outside

#: After so long no result reports a fill from before the adoption.
NO_LATE_RESULTS_SEC = 61


class ExchangeWithOrders(DictatedExchange):
    """An exchange whose fills move positions and can be looked up."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.trades: dict[str, tuple[OrderTrade, ...]] = {}
        self.lookups: list[str] = []
        self.trades_listed_after_sec = 0.0
        self.legs: dict[str, dict[Leg, tuple[Decimal, int]]] = {}

    def set_leg(self, symbol: str, leg: Leg, amount: str, update_time_ms: int) -> None:
        """Set a leg of an account in hedge mode."""
        self.legs.setdefault(symbol, {})[leg] = Decimal(amount), update_time_ms

    def symbols(self) -> list[str]:
        return [*self.rows, *self.legs]

    def rows_of(self, symbol: str) -> tuple[PositionRow, ...]:
        if symbol not in self.legs:
            return super().rows_of(symbol)
        return tuple(
            PositionRow(
                symbol,
                LegPosition(leg, amount, Decimal(100), at_ms),
                Decimal(10),
                Decimal(101),
                self.now_ms(),
            )
            for leg, (amount, at_ms) in self.legs[symbol].items()
        )

    def fill(self, symbol: str, order_id: str, side: str, quantity: str, leg: Leg = Leg.BOTH) -> None:
        """Fill more of an order, now."""
        signed = Decimal(quantity) if side == "BUY" else -Decimal(quantity)
        if leg is Leg.BOTH:
            self.set(symbol, plain(self.rows[symbol][0] + signed))
        else:
            self.set_leg(symbol, leg, plain(self.legs[symbol][leg][0] + signed), self.now_ms())
        trade = OrderTrade(Decimal(quantity), self.now_ms())
        self.trades[order_id] = (*self.trades.get(order_id, ()), trade)

    async def order_trades(self, symbol: str, order_id: str) -> tuple[OrderTrade, ...]:
        self.lookups.append(order_id)
        await trio.sleep(self.latency_sec)
        if self.failure is not None:
            raise self.failure
        if not self.trades_listed_after_sec:
            return self.trades.get(order_id, ())
        listed_until_ms = self.now_ms() - self.trades_listed_after_sec * 1000
        return tuple(trade for trade in self.trades.get(order_id, ()) if trade.time_ms <= listed_until_ms)


class ResultAndLeaseStore(ResultStore, LeaseStore, Protocol):
    """The store of a ledger writer that takes the lease itself."""


class LedgerWorld:
    """A ledger writer with its channels, exchange and Redis."""

    def __init__(
        self,
        store: ResultAndLeaseStore,
        redis: Outside,
        clock: Clock,
        *,
        hedge_mode: bool = False,
        fetch_mode: str = "bulk",
    ) -> None:
        self.clock = clock
        self.clocks = Clocks(clock)
        self.exchange = ExchangeWithOrders(self.clock)
        self.redis: Outside = redis
        self.keys = Keys("quantum")
        self.store: ResultAndLeaseStore = store
        self.book = SnapshotBook("book")
        self.candidates: LatestValue[Candidates] = LatestValue("candidates")
        self.positions = PositionReads(
            self.exchange,
            BookRead(self.book, self.candidates, self.clock),
            ReadLatency(),
            fetch_mode=fetch_mode,
            clock=self.clock,
            log=structlog.get_logger(),
        )
        self.ledgers_wanted: PushBack[LedgerWanted] = PushBack("ledgers_wanted", 64)
        self.changes: Conflating[SnapshotChanged] = Conflating("changes", lambda c: c.snapshot.symbol)
        self.fills: DropOldest[OrderObserved] = DropOldest("fills", 1000)
        self.metrics: DropOldest[MetricEvent] = DropOldest("metrics", 10_000)
        self.hedge_mode: LatestValue[bool] = LatestValue("hedge_mode")
        self.hedge_mode.send(hedge_mode)
        self.lease: LatestValue[Lease] = LatestValue("lease")
        self.ledgers_adopted: LatestValue[bool] = LatestValue("ledgers_adopted")
        self.unknown_executions: LatestValue[tuple[UnknownExecution, ...]] = LatestValue("unknown")
        self.waiting_results: LatestValue[tuple[WaitingResult, ...]] = LatestValue("waiting")
        self.symbol_rules: LatestValue[Mapping[str, SymbolRules]] = LatestValue("symbol_rules")
        self.heartbeat: Heartbeat | None = None
        self.failures = FailureCounter()
        self.fill_memory = FillMemory()
        self.results = ResultBook("results")
        self.reservation_life_sec = 90.0
        self.rules_wanted: Conflating[RulesWanted] = Conflating("rules_wanted", lambda _wish: None)

    def writer(self) -> LedgerWriter:
        log = structlog.get_logger()
        return LedgerWriter(
            self.store,
            self.changes,
            adoption=LedgerAdoption(
                self.store,
                self.book,
                self.positions,
                self.ledgers_wanted,
                symbol_rules=self.symbol_rules,
                stale_threshold_sec=10,
                metrics=self.metrics,
                clocks=self.clocks,
                log=log,
            ),
            failures=self.failures,
            results=self.results,
            rules_wanted=self.rules_wanted,
            fill_monitor=FillMonitor(
                self.fills,
                self.exchange,
                self.store,
                self.fill_memory,
                results=self.results,
                grace_sec=30,
                log=log,
            ),
            hedge_mode=self.hedge_mode,
            lease=self.lease,
            ledgers_adopted=self.ledgers_adopted,
            unknown_executions=self.unknown_executions,
            waiting_results=self.waiting_results,
            key_prefix="quantum",
            reservation_life_sec=self.reservation_life_sec,
            metrics=self.metrics,
            clocks=self.clocks,
            mark_ttl_sec=3660,
            log=log,
        )

    async def take_lease(self) -> None:
        reply = await self.store.hold_lease("me", None, 3_600_000)
        self.lease.send(Lease(reply.fence, "me"))

    def observe(self, symbol: str) -> None:
        """Publish the exchange's position to the book, as the snapshot fetchers do."""
        now = self.clock.now()
        rows = self.exchange.rows_of(symbol)
        row = rows[0]
        snapshot = Snapshot(
            symbol,
            tuple(row.position for row in rows),
            row.leverage,
            row.mark_price,
            row.mark_ts_ms,
            now,
            VerifiedBy.REST,
        )
        self.book.publish(0, BookEntry(snapshot, None))
        self.changes.send(SnapshotChanged(snapshot))

    def push_fill(
        self,
        symbol: str,
        order_id: str,
        side: str,
        *,
        client_order_id: str = "x",
        number: int = -1,
        leg: Leg = Leg.BOTH,
        status: str = "FILLED",
    ) -> None:
        """Push an order's latest fill, or the one of that number."""
        trades = self.exchange.trades[order_id]
        number %= len(trades)
        self.fills.send(
            FillObserved(
                Symbol(symbol),
                leg,
                OrderId(order_id),
                ClientOrderId(client_order_id),
                side,
                sum((trade.quantity for trade in trades[: number + 1]), Decimal(0)),
                status,
                trades[number].time_ms,
                self.clock.now(),
                trades[number].quantity,
            )
        )

    def publish_result(
        self,
        symbol: str,
        order_id: str,
        side: str,
        quantity: str,
        *,
        plan_id: str = "plan",
        status: str = "FILLED",
        entry_id: str = "*",
    ) -> str:
        """Publish a result in the flat dialect; return its entry id."""
        return self.redis.xadd(
            self.keys.results,
            {
                "plan_id": plan_id,
                "symbol": symbol,
                "executed": "True",
                "order_id": order_id,
                "side": side,
                "filled_qty": quantity,
                "order_status": status,
            },
            entry_id=entry_id,
        )

    def ledger(self, symbol: str) -> dict[str, str]:
        stored = self.redis.hgetall(self.keys.ledger(symbol))
        return {name.decode(): value.decode() for name, value in stored.items()}

    def amount(self, symbol: str) -> str | None:
        return self.ledger(symbol).get("last_known_amt")

    def events(self) -> list[dict[str, str]]:
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self.redis.xrange(self.keys.events)
        ]

    def dead(self) -> list[str]:
        return [fields[b"error"].decode() for _, fields in self.redis.xrange(self.keys.dead_results)]

    def pending(self) -> int:
        return len(self.redis.xpending(self.keys.results, GROUP))


class LedgerRig(LedgerWorld):
    """A ledger writer over the store's twin."""

    store: MemoryStore
    redis: MemoryRedis

    def __init__(self, *, hedge_mode: bool = False, fetch_mode: str = "bulk") -> None:
        clock = TrioClock(EPOCH_MS)
        #: How far Redis's clock is ahead of the host's.
        self.redis_off_ms = 0
        redis = MemoryRedis(lambda: clock.now().wall_ms + self.redis_off_ms)
        store = MemoryStore(redis, keys=Keys("quantum"), consumer="me")
        super().__init__(store, redis, clock, hedge_mode=hedge_mode, fetch_mode=fetch_mode)


def fail_planning_of(plan_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each attempt to book a result of this plan raise ZeroDivisionError."""
    plan = CommitPlanner.plan

    def fail(planner: CommitPlanner, entry: Entry, result: ExecutedResult, *rest: Any, **named: Any) -> Any:
        if result.plan_id == plan_id:
            raise ZeroDivisionError
        return plan(planner, entry, result, *rest, **named)

    monkeypatch.setattr(CommitPlanner, "plan", fail)


@asynccontextmanager
async def running_writer(rig: LedgerWorld) -> AsyncIterator[LedgerWorld]:
    """Run the writer with the lease; its first ledgers come once every symbol is in the book."""
    await rig.take_lease()
    rig.heartbeat = Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer().run, rig.heartbeat)
        await trio.testing.wait_all_tasks_blocked()
        yield rig
        nursery.cancel_scope.cancel()


async def at_rest(rig: LedgerWorld, after_sec: float = 1) -> None:
    """Fill the book, and wait until the first ledgers are adopted."""
    for symbol in rig.exchange.symbols():
        rig.observe(symbol)
    await trio.sleep(after_sec)
    assert rig.ledgers_adopted.value
