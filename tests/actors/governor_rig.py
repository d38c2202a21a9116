"""A Governor on virtual time over the store's twin, with an account that the test dictates."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import structlog
import trio
import trio.testing
from msgspec.structs import replace

from actors.governor.rules import GovernorActorRules
from brain.governor.grants import utc_day
from brain.governor.rules import GovernorRules
from brain.identifiers import FencingToken
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, Channels, Lease
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from exchange.account import AccountTotals
from exchange.errors import ExchangeError
from exchange.protocol import AccountRead
from monitoring.recent_judgements import RecentJudgements
from settings import load
from store.execution_protocol import ServiceStore
from store.keys import ExecutorKeys, GovernorKeys, Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.background import background
from tests.store.backends import Outside
from wiring.governor import GovernorMaking
from wiring.rules import governor_actor_rules

EPOCH_MS = 1_760_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
PRICE = Decimal(100)
STEP = Decimal("0.001")
PREFIX = "quantum"


def actor_rules(changes: Mapping[str, str] | None = None, **rules: Any) -> GovernorActorRules:
    """Rules of the settings `changes`; `rules` replace members of the judgements' own."""
    own = governor_actor_rules(load({"P33_GOVERNOR": "on", **(changes or {})}).settings)
    judging: GovernorRules = replace(own.rules, **rules)
    return replace(own, rules=judging, issued_by="build me")


class DictatedAccount:
    """Totals of an account as the test sets them; `error` instead of an answer."""

    def __init__(self, clock: Clock) -> None:
        self.totals = AccountTotals(Decimal(10_000), Decimal(0), {"USDT": Decimal(10_000)})
        self.error: ExchangeError | None = None
        self.reads = 0
        self._clock = clock

    def set(self, equity: str) -> None:
        self.totals = AccountTotals(Decimal(equity), Decimal(0), {"USDT": Decimal(equity)})

    async def account_totals(self) -> AccountRead:
        sent = self._clock.now()
        await trio.sleep(0.01)
        self.reads += 1
        if self.error is not None:
            raise self.error
        return AccountRead(self.totals, sent, self._clock.now())


class GovernorWorld(Channels):
    """All is in order until a test says otherwise: symbols trade at 100, and are flat and proven."""

    def __init__(
        self, store: ServiceStore, redis: Outside, clock: Clock, *, rules: GovernorActorRules | None = None
    ) -> None:
        super().__init__(shards=1, governor=True)
        self.rules = rules or actor_rules()
        self.clock = clock
        self.redis: Outside = redis
        self.keys = Keys(PREFIX)
        self.own = GovernorKeys(self.keys, shadow=self.rules.shadow)
        self.executor_keys = ExecutorKeys(self.keys)
        self.store: ServiceStore = store
        self.account = DictatedAccount(clock)
        self.clocks = Clocks(clock)
        self.recent = RecentJudgements()
        self.symbol_rules.send({s: SymbolRules(s, True, STEP, STEP, Decimal(1000)) for s in SYMBOLS})
        self.hedge_mode.send(False)
        self.ban_recalled.send(True)
        self.amounts = dict.fromkeys(SYMBOLS, Decimal(0))
        self.price: Decimal | None = PRICE
        self.making = self.make()
        self.prove()

    def make(self, store: ServiceStore | None = None) -> GovernorMaking:
        return GovernorMaking(
            self,
            store or self.store,
            self.account,
            self.recent,
            clocks=self.clocks,
            rules=self.rules,
            log=structlog.get_logger(),
        )

    async def take_lease(self, store: ServiceStore | None = None, instance: str = "me") -> FencingToken:
        reply = await (store or self.store).hold_lease(instance, None, 3_600_000)
        self.lease.send(Lease(reply.fence, instance))
        return reply.fence

    def prove(self, *symbols: str, at: Moment | None = None) -> None:
        """The snapshots of symbols, or of all, are proven now."""
        now = at or self.clock.now()
        for symbol in symbols or SYMBOLS:
            leg = LegPosition(Leg.BOTH, self.amounts[symbol], PRICE, now.wall_ms)
            snapshot = Snapshot(
                symbol=symbol,
                legs=(leg,),
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
        self.amounts[symbol] = Decimal(amount)
        self.prove(symbol)

    def publish(self, plan_id: str, symbol: str = "BTCUSDT", **fields: str) -> str:
        """An entry to buy 1 (100 USDT), unless `fields` say otherwise."""
        usual = {
            "decision": "EXECUTE", "action": "ENTRY_PROPOSED", "side": "BUY", "qty": "1",
            "reduceOnly": "false",
        }  # fmt: skip
        flat: dict[str | bytes, str | bytes] = {"plan_id": plan_id, "symbol": symbol}
        flat.update({name: text for name, text in (usual | fields).items() if text})
        return self.redis.xadd(self.keys.plans, flat)

    def publish_close(self, plan_id: str, symbol: str = "BTCUSDT", **fields: str) -> str:
        usual = {"action": "FULL_CLOSE_PROPOSED", "side": "CLOSE", "qty": "", "reduceOnly": "true"}
        return self.publish(plan_id, symbol, **{**usual, **fields})

    def result(self, plan_id: str, symbol: str = "BTCUSDT", **fields: str) -> str:
        """A result of an order that was filled whole."""
        usual = {
            "executed": "true", "order_id": "7", "order_status": "FILLED", "side": "BUY", "filled_qty": "1",
            "avg_price": "100",
        }  # fmt: skip
        flat: dict[str | bytes, str | bytes] = {"plan_id": plan_id, "symbol": symbol}
        flat.update({name: text for name, text in (usual | fields).items() if text})
        return self.redis.xadd(self.keys.results, flat)

    def failed(self, plan_id: str, error: str, symbol: str = "BTCUSDT", **fields: str) -> str:
        """A result without an order."""
        none = dict.fromkeys(("order_id", "order_status", "side", "filled_qty", "avg_price"), "")
        return self.result(plan_id, symbol, **{**none, "executed": "false", "error": error, **fields})

    def permit(self, plan_id: str) -> dict[str, Any] | None:
        text = self.redis.get(f"{PREFIX}:permit:{plan_id}")
        return None if text is None else json.loads(text)

    def is_granted(self, plan_id: str) -> bool:
        permit = self.permit(plan_id)
        return permit is not None and permit["granted"] is True

    def block(self, plan_id: str) -> dict[str, Any] | None:
        text = self.redis.get(f"{PREFIX}:governor:block:{plan_id}")
        return None if text is None else json.loads(text)

    def reason(self, plan_id: str) -> str:
        """The reason of a plan's grant or refusal; empty where there is no answer."""
        answer = self.permit(plan_id) or self.block(plan_id)
        return "" if answer is None else answer["reason"]

    def reserved(self) -> dict[str, dict[str, Any]]:
        stored = self.redis.hgetall(self.own.reserved)
        return {plan.decode(): json.loads(text) for plan, text in stored.items()}

    def window(self, symbol: str = "BTCUSDT") -> list[str]:
        return [plan.decode() for plan in self.redis.zrange(self.own.window(symbol))]

    def stats(self, symbol: str = "BTCUSDT") -> dict[str, str]:
        stored = self.redis.hgetall(self.own.kill_stats(symbol))
        return {name.decode(): value.decode() for name, value in stored.items()}

    def text(self, key: str) -> str | None:
        text = self.redis.get(key)
        return None if text is None else text.decode()

    def opened(self, symbol: str = "BTCUSDT") -> str | None:
        return self.text(self.own.opened(symbol, self.date))

    @property
    def date(self) -> str:
        """The UTC day by Redis's clock."""
        return utc_day(self.clock.now().wall_ms)

    def entries(self, key: str) -> list[dict[str, str]]:
        return [
            {name.decode(): value.decode() for name, value in fields.items()}
            for _, fields in self.redis.xrange(key)
        ]

    def pending(self) -> int:
        return len(self.redis.xpending(self.keys.plans, self.store.judged_plans.group))


class GovernorRig(GovernorWorld):
    """Such a world over the store's twin, on virtual time."""

    store: MemoryStore
    redis: MemoryRedis

    def __init__(self, rules: GovernorActorRules | None = None, *, epoch_ms: int = EPOCH_MS) -> None:
        clock = TrioClock(epoch_ms)
        redis = MemoryRedis(lambda: clock.now().wall_ms)
        shadow = rules is not None and rules.shadow
        store = MemoryStore(redis, keys=Keys(PREFIX), consumer="me", governor_shadow=shadow)
        super().__init__(store, redis, clock, rules=rules)


@asynccontextmanager
async def running_governor(
    rig: GovernorWorld,
    making: GovernorMaking | None = None,
    heartbeat: Heartbeat | None = None,
    *,
    settled: bool = True,
) -> AsyncIterator[Heartbeat]:
    """The Governor runs, holds the lease, and knows equity and positions, unless they are not there."""
    if rig.lease.value is None:
        await rig.take_lease()
    heartbeat = heartbeat or Heartbeat()
    async with background((making or rig.making).governor().run, heartbeat) as nursery:
        nursery.start_soon(rig.keep_proving)
        await trio.testing.wait_all_tasks_blocked()
        if settled:
            await trio.sleep(0.4)
        yield heartbeat
