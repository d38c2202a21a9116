"""Whose turn it is to write, where the shards write to one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

from actors.snapshot_writer import SnapshotWriter
from brain.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import BookEntry
from supervision import Heartbeat
from tests.actors.fetcher_rig import FetcherRig


class Writers:
    """Two shards' writers on one store that takes 10 ms a write."""

    def __init__(self) -> None:
        self.rig = FetcherRig()
        self.rig.store.takes_sec = 0.01
        self.one, self.other = (self.rig.positions_of(shard)[1] for shard in (0, 1))

    def publish(self, symbol: str, amount: str = "1") -> None:
        snapshot = Snapshot(
            symbol,
            (LegPosition(Leg.BOTH, Decimal(amount), Decimal(100), 5),),
            Decimal(10),
            Decimal(101),
            5,
            self.rig.clock.now(),
            VerifiedBy.REST,
        )
        self.rig.book.publish(0, BookEntry(snapshot, None))

    def change(self, writer: SnapshotWriter, *symbols: str, pushed: bool = False) -> None:
        for symbol in symbols:
            self.publish(symbol)
            writer.changed(symbol, pushed=pushed)


@asynccontextmanager
async def running(*writers: SnapshotWriter) -> AsyncIterator[trio.CancelScope]:
    """The scope is that of the first."""
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def first() -> None:
            with scope:
                await writers[0].run(Heartbeat())

        nursery.start_soon(first)
        for writer in writers[1:]:
            nursery.start_soon(writer.run, Heartbeat())
        yield scope
        nursery.cancel_scope.cancel()


@pytest.fixture
def writers() -> Writers:
    return Writers()


async def test_what_may_wait_is_written_by_one_shard_at_a_time(
    writers: Writers, autojump_clock: MockClock
) -> None:
    many = [f"S{number}USDT" for number in range(120)]
    writers.change(writers.one, *many[:60])
    writers.change(writers.other, *many[60:])
    async with running(writers.one, writers.other):
        for turns in range(1, 5):
            await trio.sleep(0.0101)
            assert len(writers.rig.store.written) == turns
    assert set(writers.rig.store.hashes) == set(many)


async def test_who_waits_for_a_turn_leaves_the_line_for_what_was_pushed(
    writers: Writers, autojump_clock: MockClock
) -> None:
    writers.change(writers.one, *(f"S{number}USDT" for number in range(200)))
    async with running(writers.one, writers.other):
        await trio.sleep(0.001)
        writers.change(writers.other, "BTCUSDT")
        await trio.sleep(0.001)
        writers.change(writers.other, "ETHUSDT", pushed=True)
        await trio.sleep(0.0102)
        assert "ETHUSDT" in writers.rig.store.hashes
        assert "BTCUSDT" not in writers.rig.store.hashes
        await trio.sleep(0.1)
        assert "BTCUSDT" in writers.rig.store.hashes


async def test_a_writer_that_ends_in_its_turn_gives_it_back(
    writers: Writers, autojump_clock: MockClock
) -> None:
    writers.change(writers.one, "BTCUSDT")
    async with running(writers.one, writers.other) as first:
        await trio.sleep(0.001)
        writers.change(writers.other, "ETHUSDT")
        await trio.sleep(0.001)
        first.cancel()
        await trio.sleep(0.02)
    assert set(writers.rig.store.hashes) == {"ETHUSDT"}


async def test_while_redis_is_away_nothing_that_was_marked_is_forgotten(
    writers: Writers, autojump_clock: MockClock
) -> None:
    writers.rig.store.away = True
    writers.change(writers.one, "BTCUSDT")
    writers.change(writers.other, "ETHUSDT", pushed=True)
    async with running(writers.one, writers.other):
        await trio.sleep(1)
        writers.rig.store.away = False
        await trio.sleep(0.2)
    assert set(writers.rig.store.hashes) == {"BTCUSDT", "ETHUSDT"}
