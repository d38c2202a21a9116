"""An intent bridge on virtual time over the store's twin; the test dictates positions and prices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import structlog
import trio
import trio.testing

from actors.intent_bridge.rules import BridgeActorRules
from brain.identifiers import FencingToken
from brain.intents.intent import Lane
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, BridgeNow, Channels, Lease
from clock import TrioClock
from clocks.clocks import Clocks
from settings import load
from store.bridge_protocol import BridgeStore
from store.keys import BridgeNames, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.background import background
from wiring.intent_bridge import BridgeMaking
from wiring.rules import bridge_actor_rules

EPOCH_MS = 1_760_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PRICE = Decimal(100)
STEP = Decimal("0.001")
PREFIX = "quantum"


def actor_rules(**changes: str) -> BridgeActorRules:
    """Rules of the settings `changes`, with the exit lanes."""
    usual = {"P33_INTENT_BRIDGE": "on", "INTENT_BRIDGE_EXIT_LANES": "exit.intent,harvest.intent"}
    return bridge_actor_rules(load({**usual, **changes}).settings)


class BridgeRig(Channels):
    """All is in order until a test says otherwise: symbols trade at 100, and are flat and proven."""

    def __init__(self, rules: BridgeActorRules | None = None, *, consumer: str = "me") -> None:
        super().__init__(shards=1, bridge=True)
        self.rules = rules or actor_rules()
        self.clock = TrioClock(EPOCH_MS)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys(PREFIX)
        self.names = BridgeNames(PREFIX, shadow=self.rules.shadow)
        self.store = self.another_store(consumer)
        self.clocks = Clocks(self.clock)
        self.symbol_rules.send({s: SymbolRules(s, True, STEP, STEP, Decimal(1000)) for s in SYMBOLS})
        self.allow(*SYMBOLS)
        self.hedge_mode.send(False)
        self.amounts: dict[str, Mapping[Leg, Decimal]] = {s: {Leg.BOTH: Decimal(0)} for s in SYMBOLS}
        self.price: Decimal | None = PRICE
        self.log = structlog.testing.CapturingLogger()
        self.making = self.make()
        self.prove()

    def another_store(self, consumer: str) -> MemoryStore:
        return MemoryStore(self.redis, keys=Keys(PREFIX), consumer=consumer, bridge_shadow=self.rules.shadow)

    def make(self, store: BridgeStore | None = None) -> BridgeMaking:
        log = structlog.wrap_logger(self.log, [])
        return BridgeMaking(self, store or self.store, clocks=self.clocks, rules=self.rules, log=log)

    def allow(self, *symbols: str) -> None:
        self.allowlist.send(Allowlist(AllowlistSource.ENV, False, frozenset(symbols), None, None))

    async def take_lease(self, instance: str = "me") -> FencingToken:
        reply = await self.store.hold_lease(instance, None, 3_600_000)
        self.lease.send(Lease(reply.fence, instance))
        return reply.fence

    def prove(self, *symbols: str) -> None:
        """The snapshots of symbols, or of all, are proven now."""
        now = self.clock.now()
        for symbol in symbols or SYMBOLS:
            snapshot = Snapshot(
                symbol=symbol,
                legs=tuple(
                    LegPosition(leg, amount, PRICE, now.wall_ms)
                    for leg, amount in self.amounts[symbol].items()
                ),
                leverage=Decimal(10),
                mark_price=self.price,
                mark_ts_ms=now.wall_ms,
                verified_at=now,
                verified_by=VerifiedBy.REST,
            )
            self.book.publish(0, BookEntry(snapshot, None))

    async def keep_proving(self) -> None:
        """Prove all snapshots each second, until cancelled."""
        while True:
            self.prove()
            await trio.sleep(1)

    def position(self, symbol: str, amount: str) -> None:
        self.amounts[symbol] = {Leg.BOTH: Decimal(amount)}
        self.prove(symbol)

    def publish(self, symbol: str = "BTCUSDT", *, lane: Lane = Lane.TRADE, **fields: str) -> str:
        """An intent to buy 1 (100 USDT), or on the exit lanes to close all, unless `fields` say otherwise."""
        usual = {"side": "BUY", "quantity": "1"} if lane is Lane.TRADE else {"action": "FULL_CLOSE"}
        flat: dict[str | bytes, str | bytes] = {"symbol": symbol}
        flat.update({name: text for name, text in (usual | fields).items() if text})
        return self.redis.xadd(f"{PREFIX}:stream:{lane}", flat)

    def entries(self, key: str) -> list[dict[str, str]]:
        return [
            {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
            for _, fields in self.redis.xrange(key)
        ]

    @property
    def plans(self) -> list[dict[str, str]]:
        return self.entries(self.keys.plans)

    @property
    def audit(self) -> list[dict[str, str]]:
        return self.entries(self.names.audit)

    @property
    def outcomes(self) -> list[str]:
        """By the audit: `plan`, or the reason of a refusal."""
        return [entry["reason"] or entry["outcome"] for entry in self.audit]

    def pending(self, lane: Lane = Lane.TRADE) -> list[str]:
        group = self.making._group(lane)
        return list(self.redis.xpending(group.stream, group.group))

    @property
    def now(self) -> BridgeNow:
        assert self.bridge is not None
        assert self.bridge.value is not None
        return self.bridge.value

    def lines(self) -> list[str]:
        return [line for call in self.log.calls for line in str(call.kwargs.get("event")).splitlines()]

    def details(self, number: int = -1) -> dict[str, Any]:
        """The details of an answer, by the audit."""
        answer: dict[str, Any] = json.loads(self.audit[number]["record"])["answer"]
        details: dict[str, Any] = answer["details"]
        return details


@asynccontextmanager
async def running_bridge(
    rig: BridgeRig, making: BridgeMaking | None = None, heartbeat: Heartbeat | None = None
) -> AsyncIterator[Heartbeat]:
    """The bridge runs, holds the lease, and all positions are proven each second."""
    if rig.lease.value is None:
        await rig.take_lease()
    heartbeat = heartbeat or Heartbeat()
    async with background((making or rig.making).bridge().run, heartbeat) as nursery:
        nursery.start_soon(rig.keep_proving)
        await trio.testing.wait_all_tasks_blocked()
        yield heartbeat


async def answered() -> None:
    """Wait until all that was published is answered."""
    await trio.sleep(0.01)
    await trio.testing.wait_all_tasks_blocked()
