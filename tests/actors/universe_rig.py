"""A universe publisher over the store's twin, behind a real candidate planner."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import structlog
import trio
from structlog.testing import CapturingLogger

from actors.candidate_planner.actor import CandidatePlanner
from actors.universe_publisher.actor import UniversePublisher
from actors.universe_publisher.publications import PublisherRules
from brain.identifiers import FencingToken
from brain.symbols.symbol_rules import SymbolRules
from brain.symbols.universe import ListedContract
from channels import Channels, Count, Lease
from clock import TrioClock
from clocks.clocks import Clocks
from exchange.protocol import SymbolsRead
from exchange.read_latency import ReadLatency
from exchange.read_pacer import WEIGHT_PER_READ
from settings import Settings
from store.keys import Keys, UniverseNames
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS
from tests.actors.planner_rig import TradedExchange
from tests.background import background
from wiring.rules import planner_rules, universe_rules

NEVER_MS = 4_133_404_800_000
NAMES = UniverseNames("quantum", shadow=False)
SHADOW = UniverseNames("quantum", shadow=True)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"S{number:02}USDT" for number in range(count))


class ListingExchange(TradedExchange):
    """Lists `trading`, each of them perpetual and without an announced end but for those in `ends`."""

    ends: Mapping[str, int] = MappingProxyType({})
    volumes_reads = 0
    volumes_latency_sec = 0.0
    has_volumes = True
    listing_latency_sec = 0.0

    async def symbol_rules(self) -> SymbolsRead:
        self.rules_reads += 1
        await trio.sleep(self.listing_latency_sec)
        await self.answer(weight=1)
        one = Decimal(1)
        contracts = tuple(
            ListedContract(name, "TRADING", "PERPETUAL", "USDT", 1, self.ends.get(name, NEVER_MS))
            for name in self.trading
        )
        rules = {name: SymbolRules(name, True, one, one, one) for name in self.trading}
        return SymbolsRead(rules, contracts=contracts)

    async def quote_volumes(self) -> dict[str, Decimal]:
        self.volumes_reads += 1
        await trio.sleep(self.volumes_latency_sec)
        return await super().quote_volumes() if self.has_volumes else {}


class Rig:
    """A planner and a publisher on one Redis, whose lease this instance holds."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**{"universe": "on", **settings})
        self.channels = Channels(1, universe=self.settings.universe != "off")
        self.clock = TrioClock(EPOCH_MS)
        self.clocks = Clocks(self.clock)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.store = MemoryStore(self.redis, keys=Keys("quantum"), consumer="me")
        self.exchange = ListingExchange(self.clock)
        self.exchange.trading = names(10)
        self.logged = CapturingLogger()
        self.log = structlog.wrap_logger(self.logged, [], wrapper_class=structlog.BoundLogger)
        self.heartbeat = Heartbeat()
        self.fence = FencingToken("")

    def planner(self) -> CandidatePlanner:
        channels = self.channels
        return CandidatePlanner(
            self.store,
            self.exchange,
            channels.book,
            ReadLatency(),
            symbol_rules=channels.symbol_rules,
            unreadable_rules=channels.unreadable_rules,
            rules_wanted=channels.rules_wanted,
            rules_asked_at=channels.rules_asked_at,
            hedge_mode=channels.hedge_mode,
            allowlist=channels.allowlist,
            candidates=channels.candidates,
            metrics=channels.metrics,
            clocks=self.clocks,
            rules=planner_rules(self.settings),
            weight_per_read=lambda: WEIGHT_PER_READ,
            log=self.log,
            universe=channels.universe_channels,
        )

    def publisher(self) -> UniversePublisher:
        assert self.settings.universe != "off"
        assert self.channels.universe_channels is not None
        rules = PublisherRules(
            mode=self.settings.universe,
            refresh_sec=self.settings.universe_refresh_sec,
            listing_sec=planner_rules(self.settings).rules_refresh_sec,
            volume_sec=self.settings.universe_volume_sec,
            active_ttl_sec=self.settings.universe_active_ttl_sec,
            active_key=NAMES.active,
            instance="me",
            universe=universe_rules(self.settings),
            take_over=self.settings.take_over,
        )
        return UniversePublisher(
            self.store,
            self.channels.universe_channels,
            self.channels.lease,
            rules=rules,
            metrics=self.channels.metrics,
            clocks=self.clocks,
            log=self.log,
        )

    def use(self, redis: MemoryRedis) -> None:
        """Work on the Redis of another rig."""
        self.redis = redis
        self.store = MemoryStore(redis, keys=Keys("quantum"), consumer="me")

    async def lead(self, instance: str = "me") -> None:
        reply = await self.store.hold_lease(instance, None, 86_400_000)
        self.channels.lease.send(Lease(reply.fence, instance))

    async def regain(self) -> None:
        """Lose the lease to another instance for a moment, and take it again."""
        await self.store.release_lease(FencingToken((self.redis.get("quantum:p33:lease") or b"").decode()))
        self.channels.lease.send(Lease(None, "another"))
        await trio.sleep(1)
        await self.lead()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.lead()
        async with (
            background(self.planner().run, Heartbeat()),
            background(self.publisher().run, self.heartbeat),
        ):
            await trio.sleep(1)
            yield

    def active(self, keys: UniverseNames = NAMES) -> tuple[str, ...] | None:
        text = self.redis.get(keys.active)
        return None if text is None else tuple(json.loads(text)["symbols"])

    def meta(self, keys: UniverseNames = NAMES) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.redis.hgetall(keys.meta).items()}

    def events(self) -> list[tuple[str, str]]:
        return [
            (fields[b"event"].decode(), fields[b"symbol"].decode())
            for _, fields in self.redis.xrange(NAMES.events)
        ]

    def lines(self) -> list[str]:
        return [str(call.kwargs["event"]) for call in self.logged.calls]

    async def counted(self, name: str) -> dict[str, float]:
        counts: dict[str, float] = {}
        for event in await self.channels.metrics.receive_all():
            if isinstance(event, Count) and event.name == name:
                counts[event.labels[0]] = counts.get(event.labels[0], 0) + event.amount
        return counts
