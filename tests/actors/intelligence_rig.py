"""Decision intelligence over the store's twin, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio
from structlog.testing import CapturingLogger

from brain.identifiers import EntryId, FencingToken
from brain.intelligence.windows import minute_of
from channels import Channels, Count, IntelligenceNow, Lease, Observe
from clock import TrioClock
from clocks.clocks import Clocks
from settings import load
from store.intelligence_keys import IntelligenceNames
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.background import background
from wiring.intelligence import IntelligenceMaking

#: 2025-10-09 08:53:20 UTC.
EPOCH_MS = 1_760_000_000_000
NAMES = IntelligenceNames("quantum")
STREAM, GROUP = NAMES.results.key, NAMES.results.group


class IntelligenceRig:
    """One instance on a Redis of its own, with what it sent and logged."""

    def __init__(self, **settings: str) -> None:
        environ = {"P33_DECISION_INTELLIGENCE": "on", "P33_INSTANCE": "me", **settings}
        self.settings = load(environ).settings
        self.clock = TrioClock(EPOCH_MS)
        self.redis = MemoryRedis(lambda: self.clock.now().wall_ms)
        self.store = self.another_store("me")
        self.channels = Channels(1, intelligence=True)
        self.logged = CapturingLogger()
        self.making = self.another_making(self.store)

    def another_store(self, consumer: str) -> MemoryStore:
        return MemoryStore(self.redis, keys=Keys("quantum"), consumer=consumer)

    def another_making(self, store: MemoryStore) -> IntelligenceMaking:
        return IntelligenceMaking(
            self.channels, store, self.settings, clocks=Clocks(self.clock),
            log=structlog.wrap_logger(self.logged, []),
        )  # fmt: skip

    async def take_lease(self, instance: str = "me") -> FencingToken:
        reply = await self.store.hold_lease(instance, None, 86_400_000)
        self.channels.lease.send(Lease(reply.fence, instance))
        return reply.fence

    def publish(self, **fields: str) -> EntryId:
        """An executor publishes a result."""
        named: dict[str | bytes, str | bytes] = {"plan_id": "plan-1", "symbol": "BTCUSDT"}
        named.update(fields)
        return self.redis.xadd(STREAM, named)

    def executed(self) -> EntryId:
        return self.publish(decision="EXECUTE", executed="true")

    def denied(self, reason: str = "no_position") -> EntryId:
        return self.publish(decision="EXECUTE", executed="false", error=f"permit_denied (P3.3: {reason})")

    def counts(self, key: str) -> dict[str, int]:
        return {name.decode(): int(count) for name, count in self.redis.hgetall(key).items()}

    def bucket(self, entry_id: str) -> dict[str, int]:
        """The counts of the minute of an entry."""
        return self.counts(NAMES.bucket(minute_of(int(entry_id.partition("-")[0]))))

    def by_minute(self, kind: str) -> dict[str, int]:
        """Add up the counts of one kind in each bucket."""
        return {
            key.rpartition(":")[2]: sum(
                count for name, count in self.counts(key).items() if name.startswith(f"{kind}:")
            )
            for key in self.buckets()
        }

    def decisions(self, window: str) -> dict[str, int]:
        return self.counts(NAMES.decisions(window))

    def buckets(self) -> list[str]:
        held = self.redis.keys()
        return [key for key in held if key.startswith(NAMES.bucket(""))]

    def counted(self) -> int:
        """All results in all buckets."""
        return sum(
            count
            for key in self.buckets()
            for name, count in self.counts(key).items()
            if name.startswith("decision:")
        )

    @property
    def shown(self) -> IntelligenceNow | None:
        channel = self.channels.intelligence
        return None if channel is None else channel.value

    async def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Counters by name and labels, and how often each histogram was moved."""
        found: dict[tuple[str, tuple[str, ...]], float] = {}
        for event in await self.channels.metrics.receive_all():
            if isinstance(event, Count):
                key = event.name, event.labels
                found[key] = found.get(key, 0) + event.amount
            elif isinstance(event, Observe):
                found[event.name, ()] = found.get((event.name, ()), 0) + event.times
        return found

    def lines(self, level: str = "info") -> list[str]:
        return [
            call.args[0] if call.args else call.kwargs["event"]
            for call in self.logged.calls
            if call.method_name == level
        ]


@asynccontextmanager
async def running(
    rig: IntelligenceRig, making: IntelligenceMaking | None = None, heartbeat: Heartbeat | None = None
) -> AsyncIterator[Heartbeat]:
    """The actor runs, has the lease, and reads."""
    if rig.channels.lease.value is None:
        await rig.take_lease()
    heartbeat = heartbeat or Heartbeat()
    async with background((making or rig.making).intelligence().run, heartbeat):
        await trio.sleep(0.01)
        yield heartbeat
