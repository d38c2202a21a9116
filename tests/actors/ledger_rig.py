"""A ledger writer on virtual time over the store's twin, and an exchange that the test controls."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
from brain.positions.position import Leg, Snapshot, VerifiedBy
from channels import BookEntry, Channels, FillObserved, Lease, SnapshotChanged
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from exchange.book_read import BookRead
from exchange.position_reads import PositionReads
from exchange.read_latency import ReadLatency
from store.keys import GROUP, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.protocol import LeaseStore, ResultStore
from store.records import Entry
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, ExchangeWithOrders
from tests.background import background
from tests.store.backends import Outside

#: After so long no result reports a fill from before the adoption.
NO_LATE_RESULTS_SEC = 61


class ResultAndLeaseStore(ResultStore, LeaseStore, Protocol):
    """The store of a ledger writer that takes the lease itself."""


class LedgerWorld(Channels):
    """A ledger writer with the service's channels, an exchange and Redis."""

    def __init__(
        self,
        store: ResultAndLeaseStore,
        redis: Outside,
        clock: Clock,
        *,
        hedge_mode: bool = False,
        fetch_mode: str = "bulk",
    ) -> None:
        super().__init__(shards=1, reconcile=True)
        self.clock = clock
        self.clocks = Clocks(clock)
        self.exchange = ExchangeWithOrders(self.clock)
        self.redis: Outside = redis
        self.keys = Keys("quantum")
        self.store: ResultAndLeaseStore = store
        self.positions = PositionReads(
            self.exchange,
            BookRead(self.book, self.candidates, self.clock),
            ReadLatency(),
            fetch_mode=fetch_mode,
            clock=self.clock,
            log=structlog.get_logger(),
        )
        self.hedge_mode.send(hedge_mode)
        self.heartbeat: Heartbeat | None = None
        self.failures = FailureCounter()
        self.fill_memory = FillMemory()
        self.reservation_life_sec = 90.0

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
                moved=self.moved_ledgers,
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

    def fill(
        self,
        symbol: str,
        order_id: str,
        side: str,
        quantity: str,
        *,
        client_order_id: str = "x",
        status: str = "FILLED",
    ) -> None:
        """Fill an order and push the fill."""
        self.exchange.fill(symbol, order_id, side, quantity)
        self.push_fill(symbol, order_id, side, client_order_id=client_order_id, status=status)

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

    def execute(self, symbol: str, order_id: str, side: str, quantity: str) -> None:
        """Fill an order, push the fill and publish the result."""
        self.fill(symbol, order_id, side, quantity)
        self.publish_result(symbol, order_id, side, quantity)

    def publish_refusal(self, symbol: str, error: str, *, plan_id: str = "plan") -> None:
        """Publish that a plan was not executed."""
        self.redis.xadd(
            self.keys.results, {"plan_id": plan_id, "symbol": symbol, "executed": "False", "error": error}
        )

    def open_permit(self, symbol: str) -> str | None:
        """Return the plan's open permit, as it is stored."""
        permit = self.redis.hgetall(self.keys.open_permits(symbol)).get(b"p:plan")
        return None if permit is None else permit.decode()

    def ledger(self, symbol: str) -> dict[str, str]:
        stored = self.redis.hgetall(self.keys.ledger(symbol))
        return {name.decode(): value.decode() for name, value in stored.items()}

    def amount(self, symbol: str) -> str | None:
        return self.ledger(symbol).get("last_known_amt")

    def events(self, kind: str | None = None) -> list[dict[str, str]]:
        """Return the events, or those of a kind."""
        entries = [fields for _, fields in self.redis.xrange(self.keys.events)]
        events = [{name.decode(): text.decode() for name, text in fields.items()} for fields in entries]
        return [event for event in events if kind in (None, event["event"])]

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

    def decided(self, symbol: str, what: str, quantity: str, *, life_sec: float = 60) -> str:
        """Store the mark of the plan, and its open permit with so much life left; return the permit."""
        permit = f"{what}|{quantity}|{self.redis.now_ms() + round(life_sec * 1000)}"
        self.redis.hset(self.keys.open_permits(symbol), {"v": "d1-0", "p:plan": permit})
        self.redis.set(self.keys.plan_mark("plan"), f"D|{what}|0")
        return permit


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
    async with background(rig.writer().run, rig.heartbeat):
        await trio.testing.wait_all_tasks_blocked()
        yield rig


async def at_rest(rig: LedgerWorld, after_sec: float = 1) -> None:
    """Fill the book, and wait until the first ledgers are adopted."""
    for symbol in rig.exchange.symbols():
        rig.observe(symbol)
    await trio.sleep(after_sec)
    assert rig.ledgers_adopted.value
