"""Turns of the shards to write to one Redis, and retries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest
import trio

from actors.snapshot_fetcher.writer import SnapshotWriter
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import BookEntry, MarkPrice
from supervision import Heartbeat
from tests.actors.fetcher_rig import FetcherRig
from tests.virtual_time import virtual_time

pytestmark = virtual_time


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

    def change(self, writer: SnapshotWriter, *symbols: str, amount: str = "1", pushed: bool = False) -> None:
        for symbol in symbols:
            self.publish(symbol, amount)
            writer.published(symbol, pushed=pushed)


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


async def test_snapshots_that_were_not_pushed_are_written_by_one_shard_at_a_time(writers: Writers) -> None:
    many = [f"S{number}USDT" for number in range(120)]
    writers.change(writers.one, *many[:60])
    writers.change(writers.other, *many[60:])
    async with running(writers.one, writers.other):
        for turns in range(1, 5):
            await trio.sleep(0.0101)
            assert len(writers.rig.store.written) == turns
    assert set(writers.rig.store.hashes) == set(many)


async def test_a_pushed_snapshot_is_written_without_waiting_for_a_turn(writers: Writers) -> None:
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


async def test_a_writer_that_ends_in_its_turn_gives_it_back(writers: Writers) -> None:
    writers.change(writers.one, "BTCUSDT")
    async with running(writers.one, writers.other) as first:
        await trio.sleep(0.001)
        writers.change(writers.other, "ETHUSDT")
        await trio.sleep(0.001)
        first.cancel()
        await trio.sleep(0.02)
    assert set(writers.rig.store.hashes) == {"ETHUSDT"}


async def test_while_redis_is_down_no_mark_is_lost(writers: Writers) -> None:
    writers.rig.store.away = True
    writers.change(writers.one, "BTCUSDT")
    writers.change(writers.other, "ETHUSDT", pushed=True)
    async with running(writers.one, writers.other):
        await trio.sleep(1)
        writers.rig.store.away = False
        await trio.sleep(0.2)
    assert set(writers.rig.store.hashes) == {"BTCUSDT", "ETHUSDT"}


@pytest.mark.parametrize("rounds", range(8))
@pytest.mark.parametrize("proven", [True, False])
async def test_a_proof_and_a_mark_never_meet_a_position_that_is_not_written_yet(
    writers: Writers, proven: bool, rounds: int
) -> None:
    """Whatever comes while the writer waits for its turn, free as that may be."""
    writer, rig = writers.one, writers.rig
    rig.store.takes_sec = 0.0
    writers.change(writer, "BTCUSDT")
    async with running(writer):
        await trio.sleep(1)
        rig.book.mark({"BTCUSDT": MarkPrice(Decimal(110), rig.clock.now().wall_ms)})
        if proven:
            writer.proven(["BTCUSDT"])
        else:
            writer.marks_changed()
            await trio.sleep(1.5)
        for _ in range(rounds):
            await trio.lowlevel.checkpoint()
        rig.store.refuses_whole = True
        writers.change(writer, "BTCUSDT", amount="2", pushed=True)
        await trio.sleep(0.01)
        kept = rig.store.hashes["BTCUSDT"]
        assert kept["position_amt"] == "1"
        assert kept["unrealized_pnl"] == str(Decimal(kept["mark_price"]) - 100)
        assert int(kept["ts_epoch_ms"]) <= rig.clock.now().wall_ms - 1000
        rig.store.refuses_whole = False
        await trio.sleep(0.2)
        assert rig.store.hashes["BTCUSDT"]["position_amt"] == "2"
        assert rig.store.hashes["BTCUSDT"]["unrealized_pnl"] == "20"


async def test_symbols_that_were_read_one_by_one_are_proven_in_few_round_trips(writers: Writers) -> None:
    rig, symbols = writers.rig, [f"S{number}USDT" for number in range(200)]
    writers.change(writers.one, *symbols)
    async with running(writers.one):
        await trio.sleep(1)
        rig.store.away = True
        for symbol in symbols:
            writers.change(writers.one, symbol)
            await trio.sleep(0.01)
        rig.store.away, written = False, len(rig.store.written)
        await trio.sleep(0.1 + 0.01 * (200 // 50 + 2))
        assert len(rig.store.written) - written <= 200 // 50 + 2
    assert [int(rig.store.hashes[s]["ts_epoch_ms"]) for s in symbols] == [
        rig.snapshot(s).verified_at.wall_ms for s in symbols
    ]


@pytest.mark.parametrize("lost", ["proofs", "marks"])
async def test_hundreds_of_proofs_and_marks_are_all_written_despite_failures(
    writers: Writers, lost: str
) -> None:
    rig, symbols = writers.rig, [f"S{number}USDT" for number in range(500)]
    writers.change(writers.one, *symbols)
    async with running(writers.one):
        await trio.sleep(1)
        written = len(rig.store.written)
        now = rig.clock.now()
        for symbol in symbols:
            leg = LegPosition(Leg.BOTH, Decimal(1), Decimal(100), 5)
            rig.book.publish(0, BookEntry(
                Snapshot(symbol, (leg,), Decimal(10), Decimal(120), now.wall_ms, now, VerifiedBy.REST), None
            ))  # fmt: skip
        if lost == "proofs":
            writers.one.proven(symbols)
        writers.one.marks_changed()
        await trio.sleep(0.005 if lost == "proofs" else 1.505)
        rig.store.away = True
        await trio.sleep(0.5)
        rig.store.away = False
        await trio.sleep(1)
        hashes = [rig.store.hashes[symbol] for symbol in symbols]
    assert {each["mark_price"] for each in hashes} == {"120"}
    if lost == "proofs":
        assert {each["ts_epoch_ms"] for each in hashes} == {str(now.wall_ms)}
    assert len(rig.store.written) == written


async def test_frequent_pushes_do_not_keep_the_rest_from_being_written(writers: Writers) -> None:
    writers.change(writers.one, *(f"S{number}USDT" for number in range(3000)))
    writers.change(writers.other, "BTCUSDT")
    async with running(writers.one, writers.other):
        for step in range(80):
            writers.change(writers.other, "ETHUSDT", amount=str(step + 1), pushed=True)
            await trio.sleep(0.005)
        assert len(writers.rig.store.hashes) < 3000
        assert "BTCUSDT" in writers.rig.store.hashes


async def test_snapshots_pushed_while_redis_was_down_are_written_first(writers: Writers) -> None:
    writers.rig.store.away = True
    writers.change(writers.one, *(f"S{number}USDT" for number in range(200)))
    async with running(writers.one):
        await trio.sleep(0.05)
        writers.change(writers.one, "BTCUSDT", pushed=True)
        await trio.sleep(0.5)
        writers.rig.store.away = False
        await trio.sleep(0.25)
    assert writers.rig.store.written[0] == ["BTCUSDT"]


async def test_a_clock_set_back_is_written_and_a_rounding_difference_is_not(writers: Writers) -> None:
    rig = writers.rig

    async def proven_at(wall_ms: int) -> int:
        await trio.sleep(1)
        moment = Moment(trio.current_time(), wall_ms)
        snapshot = msgspec.structs.replace(rig.snapshot("BTCUSDT"), verified_at=moment)
        rig.book.publish(0, BookEntry(snapshot, None))
        writers.one.proven(["BTCUSDT"])
        await trio.sleep(0.1)
        return int(rig.store.hashes["BTCUSDT"]["ts_epoch_ms"])

    writers.change(writers.one, "BTCUSDT")
    async with running(writers.one):
        assert await proven_at(10_000_000) == 10_000_000
        assert await proven_at(9_999_999) == 10_000_000
        assert await proven_at(6_400_000) == 6_400_000


async def test_a_snapshot_read_on_demand_expires_earlier_until_it_is_confirmed(writers: Writers) -> None:
    rig = writers.rig

    async def kept_for_sec(verified_by: VerifiedBy) -> int:
        await trio.sleep(1)
        writers.publish("BTCUSDT")
        known = msgspec.structs.replace(rig.snapshot("BTCUSDT"), verified_by=verified_by)
        rig.book.publish(0, BookEntry(known, None))
        writers.one.published("BTCUSDT")
        await trio.sleep(0.1)
        assert rig.store.hashes["BTCUSDT"]["verified_by"] == verified_by
        return rig.store.ttls_sec["BTCUSDT"]

    async with running(writers.one):
        proofs = [
            VerifiedBy.REST,
            VerifiedBy.ONDEMAND,
            VerifiedBy.STREAM,
            VerifiedBy.ONDEMAND,
            VerifiedBy.REST,
        ]
        assert [await kept_for_sec(verified_by) for verified_by in proofs] == [3600, 300, 3600, 300, 3600]


async def test_the_heartbeat_waits_for_redis_from_the_first_failure_to_the_next_success(
    writers: Writers,
) -> None:
    """In the line, too, and while an attempt is under way."""
    rig, heartbeats = writers.rig, [Heartbeat(), Heartbeat()]
    rig.store.away, rig.store.takes_sec = True, 0.2
    writers.change(writers.one, "BTCUSDT")
    writers.change(writers.other, "ETHUSDT")
    async with trio.open_nursery() as nursery:
        for writer, heartbeat in zip((writers.one, writers.other), heartbeats, strict=True):
            nursery.start_soon(writer.run, heartbeat)
        await trio.sleep(0.405)
        for _ in range(1000):
            assert all(heartbeat.waits() for heartbeat in heartbeats)
            await trio.sleep(0.001)
        rig.store.away = False
        await trio.sleep(1)
        assert not any(heartbeat.waits() for heartbeat in heartbeats)
        nursery.cancel_scope.cancel()


async def test_a_shard_that_hangs_in_its_turn_keeps_no_other_from_writing(writers: Writers) -> None:
    await writers.rig.turns.acquire()
    writers.change(writers.other, "BTCUSDT")
    async with running(writers.one, writers.other):
        await trio.sleep(0.1)
        assert set(writers.rig.store.hashes) == {"BTCUSDT"}
        writers.change(writers.other, "ETHUSDT")
        await trio.sleep(0.1)
        assert set(writers.rig.store.hashes) == {"BTCUSDT", "ETHUSDT"}
