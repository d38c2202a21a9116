"""A ledger writer on virtual time over the store's twin, beside an exchange whose truth the test dictates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

import structlog
import trio
import trio.testing

from actors.attempts import Attempts
from actors.fill_watch import FillWatch
from actors.ledger_adoption import LedgerAdoption
from actors.ledger_writer import LedgerWriter
from brain.fill_memory import FillMemory
from brain.numbers import plain
from brain.position import Leg, Snapshot, VerifiedBy
from brain.symbol_rules import SymbolRules
from channels import (
    BookEntry,
    Conflating,
    DropOldest,
    FillObserved,
    LatestValue,
    Lease,
    MetricEvent,
    SnapshotBook,
    SnapshotChanged,
)
from clock import TrioClock
from exchange.errors import ExchangeRejected
from exchange.protocol import OrderFill
from exchange.shared_read import SharedRead
from store.keys import GROUP, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory_store import MemoryStore
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange


class ExchangeWithOrders(DictatedExchange):
    """Fills move positions, and can be looked up."""

    def __init__(self, clock: TrioClock) -> None:
        super().__init__(clock)
        self.orders: dict[str, OrderFill] = {}
        self.lookups: list[str] = []

    def fill(self, symbol: str, order_id: str, side: str, quantity: str) -> None:
        """One more fill of an order, now."""
        amount, _ = self.rows[symbol]
        signed = Decimal(quantity) if side == "BUY" else -Decimal(quantity)
        self.set(symbol, plain(amount + signed))
        before = self.orders.get(order_id, OrderFill(Decimal(0), 0)).cumulative
        self.orders[order_id] = OrderFill(before + Decimal(quantity), self.now_ms())

    async def order_fill(self, symbol: str, order_id: str) -> OrderFill:
        self.lookups.append(order_id)
        await trio.sleep(self.latency_sec)
        if order_id not in self.orders:
            raise ExchangeRejected(-2013, "Order does not exist.")
        return self.orders[order_id]


class LedgerRig:
    """One writer, its channels, and the world around it."""

    def __init__(self) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.exchange = ExchangeWithOrders(self.clock)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys("quantum")
        self.store = MemoryStore(self.redis, keys=self.keys, consumer="me")
        self.book = SnapshotBook("book")
        self.positions = SharedRead(self.exchange.positions, self.clock)
        self.changes: Conflating[SnapshotChanged] = Conflating("changes", lambda c: c.snapshot.symbol)
        self.fills: DropOldest[FillObserved] = DropOldest("fills", 1000)
        self.metrics: DropOldest[MetricEvent] = DropOldest("metrics", 10_000)
        self.hedge_mode: LatestValue[bool] = LatestValue("hedge_mode")
        self.hedge_mode.send(False)
        self.lease: LatestValue[Lease] = LatestValue("lease")
        self.ledgers_adopted: LatestValue[bool] = LatestValue("ledgers_adopted")
        self.symbol_rules: LatestValue[Mapping[str, SymbolRules]] = LatestValue("symbol_rules")
        self.heartbeat: Heartbeat | None = None
        self.attempts = Attempts()
        self.fill_memory = FillMemory()

    def writer(self) -> LedgerWriter:
        log = structlog.get_logger()
        return LedgerWriter(
            self.store,
            self.book,
            self.changes,
            adoption=LedgerAdoption(
                self.store,
                self.book,
                self.positions,
                symbol_rules=self.symbol_rules,
                stale_threshold_sec=10,
                metrics=self.metrics,
                clock=self.clock,
                log=log,
            ),
            attempts=self.attempts,
            fill_watch=FillWatch(
                self.fills, self.exchange, self.store, self.fill_memory, grace_sec=30, log=log
            ),
            hedge_mode=self.hedge_mode,
            lease=self.lease,
            ledgers_adopted=self.ledgers_adopted,
            metrics=self.metrics,
            clock=self.clock,
            mark_ttl_sec=3660,
            redis_address="memory",
            log=log,
        )

    async def take_lease(self) -> None:
        reply = await self.store.hold_lease("me", None, 3_600_000)
        self.lease.send(Lease(reply.fence, "me"))

    def observe(self, symbol: str) -> None:
        """The fetchers' part: the book shows what the exchange shows."""
        now = self.clock.now()
        row = self.exchange.row(symbol)
        snapshot = Snapshot(
            symbol,
            (row.position,),
            row.leverage,
            row.mark_price,
            row.mark_ts_ms,
            now,
            VerifiedBy.REST,
        )
        self.book.publish(0, BookEntry(snapshot, None))
        self.changes.send(SnapshotChanged(snapshot))

    def push_fill(self, symbol: str, order_id: str, side: str, *, client_order_id: str = "x") -> None:
        """The stream tells an order's latest fill."""
        order = self.exchange.orders[order_id]
        self.fills.send(
            FillObserved(
                symbol,
                Leg.BOTH,
                order_id,
                client_order_id,
                side,
                order.cumulative,
                "FILLED",
                order.changed_ms,
                self.clock.now(),
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
    ) -> str:
        """A result in the flat dialect."""
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


@asynccontextmanager
async def running_writer(rig: LedgerRig) -> AsyncIterator[LedgerRig]:
    """The writer runs with the lease; its first ledgers come once every symbol is in the book."""
    await rig.take_lease()
    rig.heartbeat = Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.writer().run, rig.heartbeat)
        await trio.testing.wait_all_tasks_blocked()
        yield rig
        nursery.cancel_scope.cancel()
