"""An executor on virtual time over the store's twin, with an exchange that the test dictates."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import structlog
import trio
import trio.testing

from actors.executor.rules import ExecutorRules
from brain.execution.draft_record import draft_again
from brain.execution.orders import (
    OrderState,
    client_order_id,
)
from brain.execution.sizing import SizeLimits
from brain.identifiers import ClientOrderId, FencingToken, PlanId
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, Channels, Lease, OwnOrderObserved, StreamStatus
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from permit_gate.rules import GateRules
from store.execution_protocol import ServiceStore
from store.keys import ExecutorKeys, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.dictated_orders import DictatedOrders
from tests.background import background
from tests.store.backends import Outside
from wiring.executor import ExecutorMaking

EPOCH_MS = 1_760_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
STEP = Decimal("0.001")

RULES = ExecutorRules(gate=GateRules(consumer="me"), limits=SizeLimits(), instance="me")


class ExecutorWorld(Channels):
    """All is in order until a test says otherwise: symbols trade, are allowed, and are flat."""

    def __init__(
        self, store: ServiceStore, redis: Outside, clock: Clock, *, rules: ExecutorRules = RULES
    ) -> None:
        super().__init__(shards=1, executor=True)
        self.clock = clock
        self.redis: Outside = redis
        self.keys = Keys("quantum")
        self.own = ExecutorKeys(self.keys)
        self.store: ServiceStore = store
        self.exchange = DictatedOrders(self.clock)
        self.clocks = Clocks(self.clock, self.exchange)
        self.symbol_rules.send({s: SymbolRules(s, True, STEP, STEP, Decimal(1000)) for s in SYMBOLS})
        self.allowlist.send(Allowlist(AllowlistSource.ENV, False, frozenset(SYMBOLS), None, None))
        self.rules = rules
        self.making = self.make(self.store)
        for symbol in SYMBOLS:
            self.position(symbol, "0")

    def make(self, store: ServiceStore, rules: ExecutorRules | None = None) -> ExecutorMaking:
        return ExecutorMaking(
            self,
            store,
            self.exchange,
            stale_threshold_sec=10,
            clocks=self.clocks,
            rules=rules or self.rules,
            take_over=False,
            log=structlog.get_logger(),
        )

    async def take_lease(self, store: ServiceStore | None = None, instance: str = "me") -> FencingToken:
        reply = await (store or self.store).hold_lease(instance, None, 3_600_000)
        self.lease.send(Lease(reply.fence, instance))
        return reply.fence

    def position(self, symbol: str, amount: str, leverage: str | None = "10") -> None:
        now = self.clock.now()
        snapshot = Snapshot(
            symbol=symbol,
            legs=(LegPosition(Leg.BOTH, Decimal(amount), Decimal(100), now.wall_ms),),
            leverage=None if leverage is None else Decimal(leverage),
            mark_price=Decimal(100),
            mark_ts_ms=now.wall_ms,
            verified_at=now,
            verified_by=VerifiedBy.REST,
        )
        self.book.publish(0, BookEntry(snapshot, None))

    def ledger(self, symbol: str, amount: str) -> None:
        self.redis.hset(self.keys.ledger(symbol), {"last_known_amt": amount})

    def trust_stream(self) -> None:
        now = self.clock.now()
        self.stream_status.send(StreamStatus(epoch=1, connected_since=now, proven_as_of=now))

    async def prove_stream(self) -> None:
        """Prove the stream each second, until cancelled."""
        since = self.clock.now()
        while True:
            self.stream_status.send(
                StreamStatus(epoch=1, connected_since=since, proven_as_of=self.clock.now())
            )
            await trio.sleep(1)

    def publish(self, plan_id: str, symbol: str = "BTCUSDT", *, stream: str = "", **fields: str) -> str:
        """An entry to buy 0.5, unless `fields` say otherwise."""
        usual = {
            "decision": "EXECUTE", "action": "ENTRY_PROPOSED", "side": "BUY", "qty": "0.5",
            "reduceOnly": "false",
        }  # fmt: skip
        flat: dict[str | bytes, str | bytes] = {"plan_id": plan_id, "symbol": symbol}
        flat.update(usual | fields)
        return self.redis.xadd(stream or self.keys.plans, flat)

    def publish_close(self, plan_id: str, symbol: str = "BTCUSDT", **fields: str) -> str:
        usual = {"action": "FULL_CLOSE_PROPOSED", "side": "CLOSE", "qty": "", "reduceOnly": "true"}
        return self.publish(plan_id, symbol, **{**usual, **fields})

    def permit(self, plan_id: str, symbol: str = "BTCUSDT", **members: Any) -> bytes:
        """P3.3 permits an open; `members` differ."""
        permit = {
            "plan_id": plan_id, "symbol": symbol, "allow": True, "reason": "open_permit_granted",
            "kind": "open", "side": "FLAT", "order_side": "BUY", "leg": "BOTH", "safe_close_qty": 0,
            "safe_qty": 0, "plan_qty": 0.5, "created_at": self.clock.now().wall_ms / 1000,
        }  # fmt: skip
        text = json.dumps({**permit, **members}).encode()
        self.redis.set(self.keys.permit(plan_id), text, ttl_ms=60_000)
        return text

    def permit_close(self, plan_id: str, quantity: float, symbol: str = "BTCUSDT", **members: Any) -> bytes:
        close = {
            "reason": "sanity_checks_passed", "kind": "close", "side": "LONG", "order_side": "SELL",
            "safe_close_qty": quantity, "safe_qty": quantity, "plan_qty": None,
        }  # fmt: skip
        return self.permit(plan_id, symbol, **{**close, **members})

    def grant(self, plan_id: str, **members: Any) -> bytes:
        """The Governor grants, in its shortest form."""
        text = json.dumps({"granted": True, **members}).encode()
        self.redis.set(f"quantum:permit:{plan_id}", text, ttl_ms=60_000)
        return text

    def deny(self, plan_id: str, reason: str) -> None:
        """P3.3 denies."""
        self.permit(plan_id, allow=False, reason=reason)

    def block(self, plan_id: str, reason: str) -> None:
        self.redis.set(self.own.block(plan_id), json.dumps({"reason": reason}), ttl_ms=3_600_000)

    def open(self, plan_id: str, symbol: str = "BTCUSDT", **fields: str) -> None:
        """Publish an entry with both permits."""
        self.permit(plan_id, symbol)
        self.grant(plan_id)
        self.publish(plan_id, symbol, **fields)

    def observe(self, order: OrderState) -> None:
        """The private stream shows an order."""
        assert self.own_orders is not None
        self.own_orders.send(OwnOrderObserved(order, self.clock.now()))

    def exchange_is_busy(self) -> None:
        """The limits on orders leave room for closes alone."""
        self.exchange.busy_until = self.clock.now()

    def client_id(self, plan_id: str) -> ClientOrderId:
        return client_order_id("quantum", PlanId(plan_id))

    def published_results(self, plan_id: str | None = None) -> list[dict[str, str]]:
        """The results in `apply.result`, in order."""
        read = [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self.redis.xrange(self.keys.results)
        ]
        return [each for each in read if plan_id in (None, each["plan_id"])]

    def result(self, plan_id: str) -> dict[str, str]:
        (result,) = self.published_results(plan_id)
        return result

    def events(self) -> list[dict[str, str]]:
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self.redis.xrange(self.keys.events)
        ]

    def record(self, plan_id: str) -> dict[str, str]:
        stored = self.redis.hgetall(self.own.order(plan_id))
        return {name.decode(): value.decode() for name, value in stored.items()}

    def is_held(self, symbol: str = "BTCUSDT") -> bool:
        return self.redis.get(self.keys.hold(symbol)) is not None

    def pending(self) -> int:
        return len(self.redis.xpending(self.keys.plans, "intent_executor"))


class ExecutorRig(ExecutorWorld):
    """Such a world over the store's twin, on virtual time."""

    store: MemoryStore
    redis: MemoryRedis

    def __init__(self, rules: ExecutorRules = RULES) -> None:
        clock = TrioClock(EPOCH_MS)
        redis = MemoryRedis(lambda: clock.now().wall_ms)
        store = MemoryStore(redis, keys=Keys("quantum"), consumer="me")
        super().__init__(store, redis, clock, rules=rules)


@asynccontextmanager
async def running_executor(
    rig: ExecutorWorld, making: ExecutorMaking | None = None, heartbeat: Heartbeat | None = None
) -> AsyncIterator[Heartbeat]:
    """The executor runs, holds the lease, and its consumer group exists."""
    if rig.lease.value is None:
        await rig.take_lease()
    heartbeat = heartbeat or Heartbeat()
    async with background((making or rig.making).executor().run, heartbeat):
        await trio.testing.wait_all_tasks_blocked()
        yield heartbeat
    assert_drafts_replay(rig)


def assert_drafts_replay(rig: ExecutorWorld) -> None:
    """Check that each recorded draft is made identically again."""
    for stream in (rig.own.audit, rig.own.dry_run):
        if rig.redis.kind(stream) != "stream":
            continue
        for _, fields in rig.redis.xrange(stream):
            if b"record" in fields:
                assert draft_again(fields[b"record"]).identical, fields
            else:
                assert fields.get(b"step") != b"begin", fields
