"""Bulk refreshes in the daemon's shards: decode, merge, write.

`python -m bench.refresh_work daemon|floor REDIS_URL BODY_FILE ROUNDS` prints a list of `Refresh` as JSON. The
floor decodes without types, merges nothing, and sends one HSET a symbol.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog
import trio

from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.read_schedule import Cadence
from actors.snapshot_fetcher.snapshot_fields import snapshot_fields
from actors.snapshot_fetcher.writer import SNAPSHOT_TTL_SEC, SnapshotWriter
from bench.redis_socket import BlockingRedis, Command
from brain.identifiers import FencingToken
from brain.moment import Moment
from channels import Channels
from clock import HostClock
from clocks.clock_offset import ClockOffset
from commands.run.collector import spare_the_collector
from exchange import positions_wire, wire
from exchange.protocol import PositionsRead
from store.records import SnapshotWrite
from store.redis.store import RedisStore, open_redis_store

_PREFIX = "bench-refresh"
_SHARDS = 4
_LEASE_MS = 600_000
_CADENCE = Cadence(poll_sec=5.0, audit_sec=8.0, audit_max_age_sec=60.0)


class Refresh(msgspec.Struct):
    """Milliseconds of each part, and the processor time of all."""

    decode_ms: float = 0.0
    merge_ms: float = 0.0
    write_ms: float = 0.0
    cpu_ms: float = 0.0

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        begun_sec, cpu_sec = time.perf_counter(), time.process_time()
        yield
        setattr(self, part, getattr(self, part) + (time.perf_counter() - begun_sec) * 1000)
        self.cpu_ms += (time.process_time() - cpu_sec) * 1000


class _Shards:
    """The daemon's shards, on a store with a prefix of its own."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._clock = HostClock()
        channels = Channels(_SHARDS)
        self._book = channels.book
        # One clock for both.
        clock_offset, turns = ClockOffset(lambda at: at.wall_ms, lambda at: at.wall_ms), trio.Lock()
        log = structlog.get_logger()
        self._shards = [
            ShardPositions(
                shard,
                lambda symbol, shard=shard: channels.shard_of(symbol) == shard,  # type: ignore[misc]
                cadence=_CADENCE,
                clock_offset=clock_offset,
                push_delay_sec=lambda: 0.0,
                book=channels.book,
                changes=channels.changes,
                writer=SnapshotWriter(
                    store,
                    channels.book,
                    channels.lease,
                    source="simulator",
                    ondemand_ttl_sec=SNAPSHOT_TTL_SEC,
                    turns=turns,
                    log=log,
                ),
                metrics=channels.metrics,
                clock=self._clock,
                log=log,
            )
            for shard in range(_SHARDS)
        ]
        self._of = channels.shard_of

    def now(self) -> Moment:
        return self._clock.now()

    def merge(self, read: PositionsRead) -> None:
        for shard in self._shards:
            shard.apply_read(read)

    async def write(self, fence: FencingToken) -> int:
        """Write by each shard; return the number of symbols."""
        writes: list[list[SnapshotWrite]] = [[] for _ in range(_SHARDS)]
        for symbol in self._book.symbols():
            snapshot = self._book.get(symbol)
            if snapshot is not None:
                fields = snapshot_fields(snapshot, "simulator")
                writes[self._of(symbol)].append(SnapshotWrite(symbol, SNAPSHOT_TTL_SEC, fields))
        for shard_writes in writes:
            await self._store.write_snapshots(fence, shard_writes)
        return sum(map(len, writes))


async def refresh_as_the_daemon(redis_url: str, body: bytes, rounds: int) -> list[Refresh]:
    """Measure the daemon's refresh. Raises ValueError when a symbol was not written."""
    found: list[Refresh] = []
    async with open_redis_store(redis_url, prefix=_PREFIX, consumer="bench") as store:
        fence = (await store.hold_lease("bench", None, _LEASE_MS)).fence
        shards = _Shards(store)
        for _ in range(rounds):
            # Times of a read must differ from the last one's.
            await trio.sleep(0.01)
            refresh, sent = Refresh(), shards.now()
            with refresh.timed("decode_ms"):
                raw = wire.ROWS.decode(body)
                rows = positions_wire.tradable_rows(positions_wire.position_rows(raw, sent.wall_ms, {}))
            with refresh.timed("merge_ms"):
                shards.merge(PositionsRead(rows, sent, shards.now()))
            with refresh.timed("write_ms"):
                written = await shards.write(fence)
            if written != len(rows):
                raise ValueError(f"{written} of {len(rows)} snapshots were written")
            found.append(refresh)
    return found


def refresh_as_the_floor(redis_url: str, body: bytes, rounds: int) -> list[Refresh]:
    """Measure the least work that writes the rows to Redis."""
    found: list[Refresh] = []
    with BlockingRedis(redis_url) as redis:
        for _ in range(rounds):
            refresh = Refresh()
            with refresh.timed("decode_ms"):
                rows = json.loads(body)
            now_sec = time.time()
            with refresh.timed("write_ms"):
                redis.pipeline([_write(row, now_sec) for row in rows])
            found.append(refresh)
    return found


def _write(row: dict[str, str], now_sec: float) -> Command:
    return (
        "HSET", f"{_PREFIX}:position:snapshot:{row['symbol']}", "symbol", row["symbol"],
        "position_amt", row["positionAmt"], "entry_price", row["entryPrice"], "mark_price", row["markPrice"],
        "leverage", row["leverage"], "unrealized_pnl", row["unRealizedProfit"],
        "ts_epoch", str(int(now_sec)), "ts_epoch_ms", str(int(now_sec * 1000)), "source", "simulator",
    )  # fmt: skip


def main(kind: str, redis_url: str, body_file: str, rounds: str) -> None:
    """Refresh so often, and print the times."""
    body, count = Path(body_file).read_bytes(), int(rounds)
    spare_the_collector()
    if kind == "floor":
        found = refresh_as_the_floor(redis_url, body, count)
    else:
        found = trio.run(refresh_as_the_daemon, redis_url, body, count)
    print(msgspec.json.encode(found).decode(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:5])
