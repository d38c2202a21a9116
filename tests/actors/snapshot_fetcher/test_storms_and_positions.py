"""Stream and snapshots together, while connections fail one after the other. Virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from actors.user_stream.actor import UserStream
from channels import DropOldest, LatestValue, OrderObserved, StreamStatus
from exchange.connection_limit import ConnectionLimit
from supervision import Heartbeat
from tests.actors.fetcher_rig import FetcherRig, running_fetcher
from tests.actors.stream_fakes import FakeBinance, FakeConnection
from tests.actors.user_stream.test_unproven import FAULTS, Fault
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time

STORM_SEC = 300
POLL_SEC = 5


@asynccontextmanager
async def running_with_stream(rig: FetcherRig, binance: FakeBinance) -> AsyncIterator[None]:
    """A fetcher of all symbols, and the private stream that feeds it."""
    stream = UserStream(
        exchange=binance,
        connector=binance,
        clock=rig.clock,
        book=rig.book,
        shards=[rig.inbox],
        shard_of=lambda _symbol: 0,
        fills=DropOldest[OrderObserved]("fills", 1000),
        metrics=rig.metrics,
        status=LatestValue[StreamStatus]("stream status"),
        limit=ConnectionLimit(),
        proof_sec=1.0,
        rng=Random(1),  # noqa: S311 - jitter
        log=rig.log,
    )
    async with running_fetcher(rig), background(stream.run, Heartbeat()):
        yield


def close_after(stands_sec: float) -> Fault:
    """Every connection is proven and closed after so long."""

    def fault(binance: FakeBinance) -> None:
        async def close(connection: FakeConnection) -> None:
            await trio.sleep(stands_sec)
            connection.hang_up()

        def on_connect(connection: FakeConnection) -> None:
            trio.lowlevel.spawn_system_task(close, connection)

        binance.on_connect = on_connect

    return fault


@pytest.mark.parametrize("fault", [*FAULTS, *map(close_after, (0.2, 0.7, 2.0, 8.0))])
async def test_positions_are_read_at_a_bounded_cost_while_connections_fail(
    rig: FetcherRig, fault: Fault
) -> None:
    binance = FakeBinance(rig.clock)
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_with_stream(rig, binance):
        await trio.sleep(60)
        assert rig.age_sec("BTCUSDT") < 2, "the stream keeps it fresh"
        fault(binance)
        binance.line.hang_up()
        before = weight_used(rig, binance)
        for _ in range(2 * STORM_SEC):
            await trio.sleep(0.5)
            assert rig.age_sec("BTCUSDT") <= POLL_SEC + 2 * rig.exchange.latency_sec
        # Without the stream: 12 reads of weight 5 a minute. A connection adds POST and PUT, and one read
        # after it stands and one after it is lost.
        attempts = len(binance.attempts_sec) - 1
        used = weight_used(rig, binance) - before
        assert used <= 60 * STORM_SEC / 60 + 12 * attempts + 25
        assert used / (STORM_SEC / 60) <= 120


@pytest.mark.parametrize(
    "silent", [FakeBinance.delete_key, lambda binance: binance.delete_key(replaced=True)]
)
async def test_a_dead_key_is_replaced_at_the_first_divergence(
    rig: FetcherRig, silent: Callable[[FakeBinance], None]
) -> None:
    binance = FakeBinance(rig.clock)
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_with_stream(rig, binance):
        await trio.sleep(64)
        silent(binance)
        rig.exchange.set("BTCUSDT", "0")
        changed_sec = trio.current_time()
        again = await binance.connected(2)
        # An audit each 8 s, and a second for an event in flight.
        assert again.opened_sec - changed_sec < 10
        assert again.listen_key == "key-2"
        assert rig.snapshot("BTCUSDT").legs[0].amount == 0
        await trio.sleep(5)
        assert rig.age_sec("BTCUSDT") < 2
        assert len(binance.connections) == 2


def weight_used(rig: FetcherRig, binance: FakeBinance) -> int:
    requests = len(binance.attempts_sec) + len(binance.kept_alive) + binance.comparisons
    return 5 * len(rig.exchange.reads) + requests
