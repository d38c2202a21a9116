"""A candidate planner over the store's twin, and an exchange that lists what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import structlog
import trio

from actors.candidate_planner.actor import CandidatePlanner
from brain.symbols.symbol_rules import SymbolRules
from channels import Channels, SetGauge, UniverseState
from clock import Clock, TrioClock
from clocks.clocks import Clocks
from exchange.protocol import SymbolsRead
from exchange.read_latency import ReadLatency
from exchange.read_pacer import WEIGHT_PER_READ
from settings import Settings
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from store.records import Entry
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange
from tests.background import background
from wiring.rules import planner_rules

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT", "DDDUSDT")


class TradedExchange(DictatedExchange):
    """Trades `trading`, the first of them most."""

    trading: tuple[str, ...] = SYMBOLS
    rules_reads = 0

    async def symbol_rules(self) -> SymbolsRead:
        self.rules_reads += 1
        await self.answer(weight=1)
        one = Decimal(1)
        return SymbolsRead({symbol: SymbolRules(symbol, True, one, one, one) for symbol in self.trading})

    async def hedge_mode(self) -> bool:
        await self.answer(weight=30)
        return False

    async def quote_volumes(self) -> dict[str, Decimal]:
        await self.answer(weight=40)
        return {symbol: Decimal(1000 - place) for place, symbol in enumerate(self.trading)}

    async def answer(self, *, weight: int) -> None:
        """Take the time of a request, or its failure."""
        await trio.sleep(self.latency_sec)
        if self.failure is not None:
            raise self.failure


def planner_of(
    channels: Channels,
    store: MemoryStore,
    exchange: TradedExchange,
    latency: ReadLatency,
    *,
    clock: Clock,
    settings: Settings,
) -> CandidatePlanner:
    """Return a planner with these channels and settings."""
    return CandidatePlanner(
        store,
        exchange,
        channels.book,
        latency,
        symbol_rules=channels.symbol_rules,
        unreadable_rules=channels.unreadable_rules,
        rules_wanted=channels.rules_wanted,
        rules_asked_at=channels.rules_asked_at,
        hedge_mode=channels.hedge_mode,
        allowlist=channels.allowlist,
        candidates=channels.candidates,
        metrics=channels.metrics,
        clocks=Clocks(clock),
        weight_per_read=lambda: WEIGHT_PER_READ,
        rules=planner_rules(settings),
        log=structlog.get_logger(),
        universe=channels.universe_channels,
    )


class CountedStore(MemoryStore):
    """The twin, with the number of intents that each look has read."""

    def __init__(self, redis: MemoryRedis, *, keys: Keys, consumer: str) -> None:
        super().__init__(redis, keys=keys, consumer=consumer)
        self.intents_read: list[int] = []

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        entries = await super().recent_intents(after, before, count)
        self.intents_read.append(len(entries))
        return entries


class PlannerRig(Channels):
    """A planner over the store's twin; the universe is what the test writes."""

    def __init__(self, *, env: tuple[str, ...] = (), publishes: bool = False) -> None:
        """`publishes`: the same process writes the universe."""
        super().__init__(shards=1, universe=publishes)
        self.clock = TrioClock(EPOCH_MS)
        self.heartbeat = Heartbeat()
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.keys = Keys("quantum")
        self.store = CountedStore(self.redis, keys=self.keys, consumer="me")
        self.exchange = TradedExchange(self.clock)
        self.latency = ReadLatency()
        self.settings = Settings(allowlist=env, universe_last_ok_max_age_sec=1000, min_top_k=2)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        planner = planner_of(
            self, self.store, self.exchange, self.latency, clock=self.clock, settings=self.settings
        )
        async with background(planner.run, self.heartbeat):
            yield

    def universe(self, *symbols: str, age_sec: int = 0, stale: str = "0") -> None:
        """The universe service publishes, and keeps a good list as the last that was."""
        asof = self.clock.now().wall_ms // 1000 - age_sec
        listed = msgspec.json.encode({"asof_epoch": asof, "symbols": symbols})
        self.redis.set(self.keys.universe_active, listed)
        self.redis.hset(self.keys.universe_meta, {"stale": stale, "count": str(len(symbols))})
        if stale == "0":
            self.redis.set(self.keys.universe_last_ok, listed)

    def published(self, *symbols: str) -> None:
        """The publisher of this process publishes."""
        assert self.universe_channels is not None
        self.universe(*symbols)
        asof = self.clock.now().wall_ms // 1000
        state = UniverseState(count=len(symbols), asof_epoch=asof, stale=False, error="")
        self.universe_channels.state.send(state)

    def intend(self, symbol: str) -> None:
        self.redis.xadd(self.keys.intents, {"symbol": symbol})

    def warm(self) -> tuple[str, ...]:
        assert self.candidates.value is not None
        return self.candidates.value.symbols

    def allowed(self) -> set[str]:
        assert self.allowlist.value is not None
        return set(self.allowlist.value.symbols)

    async def gauge(self, name: str) -> float:
        sent = await self.metrics.receive_all()
        return [event.value for event in sent if isinstance(event, SetGauge) and event.name == name][-1]
