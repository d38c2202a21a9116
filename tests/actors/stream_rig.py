"""A user stream, and all messages that it sends to the shards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import TypeVar

import structlog
import trio

from actors.user_stream.actor import UserStream
from channels import (
    BalancesObserved,
    Conflating,
    DropOldest,
    LatestValue,
    MetricEvent,
    OrderObserved,
    OwnOrderObserved,
    ShardMessage,
    SnapshotBook,
    StreamStatus,
)
from clock import Clock
from exchange.connection_limit import ConnectionLimit
from exchange.protocol import Exchange, StreamConnector
from supervision import Heartbeat
from tests.actors.stream_fakes import FakeBinance, FakeConnection, SleepyClock

SHARDS = 3
M = TypeVar("M", bound=ShardMessage)


def shard_of(symbol: str) -> int:
    return sum(symbol.encode()) % SHARDS


class StreamRig:
    """`messages[shard]` is all that a shard received, in order."""

    def __init__(
        self,
        exchange: Exchange,
        connector: StreamConnector,
        clock: Clock,
        *,
        proof_sec: float = 1.0,
        seed: int = 1,
        within_sec: float = 4 * 3600.0,
    ) -> None:
        """A test that takes longer than `within_sec` of its clock fails."""
        self.book = SnapshotBook("book")
        # Nothing conflates here, so that the order of all messages can be seen.
        serial = count()
        self.inboxes: list[Conflating[ShardMessage]] = [
            Conflating(f"shard {shard}", lambda _message: next(serial)) for shard in range(SHARDS)
        ]
        self.messages: list[list[ShardMessage]] = [[] for _ in range(SHARDS)]
        self.fills: DropOldest[OrderObserved] = DropOldest("fills", 1000)
        #: Set by a test before the stream runs.
        self.own_orders: Conflating[OwnOrderObserved] | None = None
        self.balances: DropOldest[BalancesObserved] | None = None
        self.metrics: DropOldest[MetricEvent] = DropOldest("metrics", 100_000)
        self.status: LatestValue[StreamStatus] = LatestValue("stream status")
        self.limit = ConnectionLimit()
        self.heartbeat: Heartbeat | None = None
        self._exchange = exchange
        self._connector = connector
        self._clock = clock
        self._proof_sec = proof_sec
        self._seed = seed
        self._within_sec = within_sec
        self._news = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[UserStream]:
        """A user stream that runs until the end of the block."""
        stream = UserStream(
            exchange=self._exchange,
            connector=self._connector,
            clock=self._clock,
            book=self.book,
            shards=self.inboxes,
            shard_of=shard_of,
            fills=self.fills,
            metrics=self.metrics,
            status=self.status,
            limit=self.limit,
            proof_sec=self._proof_sec,
            rng=Random(self._seed),  # noqa: S311 - jitter
            log=structlog.get_logger(),
            own_orders=self.own_orders,
            balances=self.balances,
        )
        with trio.fail_after(self._within_sec):
            async with trio.open_nursery() as nursery:
                for shard in range(SHARDS):
                    nursery.start_soon(self._write_down, shard)
                heartbeat = self.heartbeat = Heartbeat()
                stopped = trio.CancelScope()

                async def run() -> None:
                    with stopped:
                        await stream.run(heartbeat)

                nursery.start_soon(run)
                yield stream
                stopped.cancel()
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()

    @property
    def known_status(self) -> StreamStatus:
        assert self.status.value is not None
        return self.status.value

    def messages_of(self, kind: type[M], shard: int = 0) -> list[M]:
        return [message for message in self.messages[shard] if isinstance(message, kind)]

    async def message(self, kind: type[M], number: int = 1, shard: int = 0) -> M:
        """Wait for the `number`th message of a kind that a shard receives."""
        while len(found := self.messages_of(kind, shard)) < number:
            await self._news.park()
        return found[number - 1]

    async def _write_down(self, shard: int) -> None:
        while True:
            self.messages[shard] += await self.inboxes[shard].receive_all()
            self._news.unpark_all()


class FakeRig(StreamRig):
    """A user stream on a fake exchange, whose clock the test can stop."""

    def __init__(self, *, proof_sec: float = 1.0, seed: int = 1, within_sec: float = 4 * 3600.0) -> None:
        self.clock = SleepyClock()
        self.binance = FakeBinance(self.clock)
        super().__init__(
            self.binance, self.binance, self.clock, proof_sec=proof_sec, seed=seed, within_sec=within_sec
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[FakeConnection]:
        """Run a user stream until the end of the block; yields its first connection."""
        async with self.running():
            yield await self.binance.connected()
