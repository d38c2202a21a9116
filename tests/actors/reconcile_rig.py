"""A reconcile engine on virtual time over the store's twin, with a history that the test dictates."""

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

from actors.reconcile_engine.rules import ReconcileActorRules
from brain.identifiers import FencingToken, OrderId
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from brain.reconciliation.record import weigh_again
from brain.reconciliation.texts import CaseEvent
from brain.symbols.symbol_rules import SymbolRules
from channels import BookEntry, Channels, Lease, OpenCase
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from settings import load
from store.execution_protocol import ServiceStore
from store.keys import ExecutorKeys, Keys, ReconcileKeys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.dictated_history import DictatedHistory
from tests.background import background
from tests.store.backends import Outside
from wiring.reconcile import ReconcileMaking
from wiring.rules import reconcile_actor_rules

EPOCH_MS = 1_760_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
STEP = Decimal("0.001")
PREFIX = "quantum"


def reconcile_rules(changes: Mapping[str, str] | None = None, **rules: Any) -> ReconcileActorRules:
    """Rules of the settings `changes`; `rules` replace members of the engine's own."""
    own = reconcile_actor_rules(load({"P33_RECONCILE": "on", **(changes or {})}).settings)
    return replace(own, rules=replace(own.rules, **rules))


class ExchangeTime:
    """An exchange whose clock is this host's wall clock, exactly."""

    def exchange_ms(self, at: Moment) -> int:
        return at.wall_ms

    exchange_ms_at_least = exchange_ms
    exchange_ms_at_most = exchange_ms


class ReconcileWorld(Channels):
    """Every symbol is flat, proven each second, and has a ledger, unless a test says otherwise."""

    def __init__(
        self,
        store: ServiceStore,
        redis: Outside,
        clock: Clock,
        *,
        rules: ReconcileActorRules,
        symbols: tuple[str, ...] = SYMBOLS,
    ) -> None:
        super().__init__(shards=1, reconcile=True)
        self.rules = rules
        self.clock = clock
        self.redis: Outside = redis
        self.symbols = symbols
        self.keys = Keys(PREFIX)
        self.own = ReconcileKeys(self.keys, shadow=rules.shadow)
        #: Keys of real holds, in the shadow too.
        self.real = ReconcileKeys(self.keys, shadow=False)
        self.executor_keys = ExecutorKeys(self.keys)
        self.store: ServiceStore = store
        self.clocks = Clocks(clock, ExchangeTime())
        self.history = DictatedHistory(clock)
        self.symbol_rules.send({s: SymbolRules(s, True, STEP, STEP, Decimal(1000)) for s in symbols})
        self.hedge_mode.send(False)
        self.ledgers_adopted.send(True)
        self.amounts: dict[str, dict[Leg, Decimal]] = {s: {Leg.BOTH: Decimal(0)} for s in symbols}
        self.changed_ms: dict[str, int] = {}
        #: Symbols that are proven no more.
        self.unproven: set[str] = set()
        self.making = self.make()
        for symbol in symbols:
            self.ledger(symbol, "0")
        self.prove()

    def make(self, store: ServiceStore | None = None) -> ReconcileMaking:
        return ReconcileMaking(
            self,
            store or self.store,
            self.history,
            clocks=self.clocks,
            rules=self.rules,
            log=structlog.get_logger(),
        )

    async def take_lease(self, instance: str = "me") -> FencingToken:
        reply = await self.store.hold_lease(instance, None, 86_400_000)
        self.lease.send(Lease(reply.fence, instance))
        return reply.fence

    def prove(self, *symbols: str) -> None:
        """The snapshots of symbols, or of all, are proven now."""
        now = self.clock.now()
        for symbol in symbols or self.symbols:
            if symbol in self.unproven:
                continue
            legs = tuple(
                LegPosition(leg, amount, Decimal(100), self.changed_ms.get(symbol, 0))
                for leg, amount in self.amounts[symbol].items()
            )
            snapshot = Snapshot(
                symbol=symbol,
                legs=legs,
                leverage=Decimal(10),
                mark_price=Decimal(100),
                mark_ts_ms=now.wall_ms,
                verified_at=now,
                verified_by=VerifiedBy.REST,
            )
            self.book.publish(0, BookEntry(snapshot, None))

    async def keep_proving(self) -> None:
        """Prove all snapshots each 0.2 s, until cancelled."""
        while True:
            self.prove()
            await trio.sleep(0.2)

    def ledger(self, symbol: str, amount: str, **fields: str) -> None:
        """Write a ledger as P3.3 would, of version 1 unless `fields` say otherwise."""
        flat: dict[str | bytes, str | bytes] = {"last_known_amt": amount, "ledger_amt": amount}
        flat.update({"version": "1", "source": "adopted", **fields})
        self.redis.hset(self.keys.ledger(symbol), flat)

    def agree(self, symbol: str, amount: str) -> None:
        """Position and ledger have this amount."""
        self.amounts[symbol] = {Leg.BOTH: Decimal(amount)}
        self.ledger(symbol, amount)
        self.prove(symbol)

    def trade(self, symbol: str, side: str, quantity: str, *, leg: Leg = Leg.BOTH, **fill: Any) -> OrderId:
        """The account trades: position and history show it, the ledger does not."""
        order_id = self.history.fill(symbol, side, quantity, leg=leg, **fill)
        self.move(symbol, quantity if side == "BUY" else f"-{quantity}", leg=leg)
        return order_id

    def move(self, symbol: str, by: str, *, leg: Leg = Leg.BOTH) -> None:
        """The position moves, whatever the reason."""
        self.amounts[symbol][leg] += Decimal(by)
        self.changed_ms[symbol] = self.clock.now().wall_ms
        self.prove(symbol)

    def own_order(self, client_order_id: str, *, phase: str = "working", decision: str = "EXECUTE") -> str:
        """The executor has a record of an order with this client order id. Returns its plan."""
        plan_id = f"plan-of-{client_order_id}"
        self.redis.set(self.executor_keys.plan_of(client_order_id), plan_id)
        self.redis.hset(self.executor_keys.order(plan_id), {"state": phase, "decision": decision})
        return plan_id

    def hold_by(self, symbol: str, sig: str, reason: str = "a reason") -> None:
        """Another holds the symbol."""
        for key, value in (
            (self.real.hold(symbol), "1"),
            (self.real.hold_reason(symbol), reason),
            (self.real.hold_sig(symbol), sig),
        ):
            self.redis.set(key, value)

    def release(self, symbol: str) -> None:
        """Its owner lifts a hold."""
        for key in (self.real.hold(symbol), self.real.hold_reason(symbol), self.real.hold_sig(symbol)):
            self.redis.delete(key)

    def text(self, key: str) -> str:
        found = self.redis.get(key)
        return "" if found is None else found.decode()

    def held_by(self, symbol: str) -> str:
        """The owner of a hold; empty for none."""
        return self.text(self.own.hold_sig(symbol)) if self.redis.get(self.own.hold(symbol)) else ""

    def stored(self, symbol: str) -> dict[str, str]:
        """The ledger of a symbol."""
        return _texts(self.redis.hgetall(self.keys.ledger(symbol)))

    def amount(self, symbol: str) -> str:
        return self.stored(symbol).get("last_known_amt", "")

    def memory(self, symbol: str, order_id: str) -> str:
        """The booked quantity of an order, empty for none."""
        stored = _texts(self.redis.hgetall(self.keys.order_memory(symbol)))
        return stored.get(order_id, "").partition("|")[0]

    def state(self, symbol: str) -> dict[str, str]:
        return _texts(self.redis.hgetall(self.own.state(symbol)))

    def status(self, symbol: str) -> str:
        return self.state(symbol).get("status", "")

    def events(self, symbol: str = "") -> list[dict[str, str]]:
        found = [_texts(fields) for _, fields in self.redis.xrange(self.own.events)]
        return [each for each in found if symbol in ("", each["symbol"])]

    def told(self, symbol: str = "") -> list[str]:
        """The names of the events of a symbol, or of all."""
        return [each["event"] for each in self.events(symbol)]

    def case(self, symbol: str) -> OpenCase | None:
        shown = None if self.reconcile is None else self.reconcile.value
        cases = () if shown is None else shown.cases
        return next((each for each in cases if each.symbol == symbol), None)

    def position(self, symbol: str) -> str:
        return plain(sum(self.amounts[symbol].values(), Decimal(0)))

    def plans(self) -> list[dict[str, str]]:
        return [_texts(fields) for _, fields in self.redis.xrange(self.keys.plans)]


class ReconcileRig(ReconcileWorld):
    """Such a world over the store's twin, on virtual time."""

    store: MemoryStore
    redis: MemoryRedis

    def __init__(
        self, rules: ReconcileActorRules | None = None, *, symbols: tuple[str, ...] = SYMBOLS
    ) -> None:
        own = rules or reconcile_rules()
        clock = TrioClock(EPOCH_MS)
        redis = MemoryRedis(lambda: clock.now().wall_ms)
        store = MemoryStore(redis, keys=Keys(PREFIX), consumer="me", reconcile_shadow=own.shadow)
        super().__init__(store, redis, clock, rules=own, symbols=symbols)


@asynccontextmanager
async def running_engine(
    rig: ReconcileWorld, making: ReconcileMaking | None = None, heartbeat: Heartbeat | None = None
) -> AsyncIterator[Heartbeat]:
    """The engine runs, holds the lease, and has compared all symbols for 3 s."""
    if rig.lease.value is None:
        await rig.take_lease()
    heartbeat = heartbeat or Heartbeat()
    async with background(rig.keep_proving) as nursery:
        nursery.start_soon((making or rig.making).engine().run, heartbeat)
        await trio.sleep(3.05)
        yield heartbeat
    assert_weighings_replay(rig)


def assert_weighings_replay(rig: ReconcileWorld) -> None:
    """Check that evidence is weighed identically from each event that has its record."""
    for each in rig.events():
        if "record" in each:
            assert weigh_again(each["record"]).identical, each
        else:
            assert each["event"] != CaseEvent.AUTO_REPAIR or len(each["orders"]) > 1_000, each


def shown_orders(state: Mapping[str, str]) -> list[dict[str, Any]]:
    """The orders that a state or an event names."""
    found: list[dict[str, Any]] = json.loads(state["orders"])
    return found


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}
