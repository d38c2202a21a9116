"""Writes one shard's snapshots to Redis, whatever came since the last time in one go."""

from __future__ import annotations

import trio

from actors.heartbeat import Heartbeat
from actors.lease import lease_fence
from actors.redis_trouble import REDIS_TROUBLE, told
from actors.snapshot_record import mark_write, snapshot_fields, snapshot_times
from brain.position import VerifiedBy
from channels import LatestValue, Lease, SnapshotBook
from store.errors import FencedError
from store.protocol import SnapshotStore
from store.records import SnapshotWrite

_PAUSE_SEC = 0.1
#: A burst of fills is written once: the position in the middle of it was true for no longer than its time is
#: known exactly.
_BURST_SEC = 0.001
SNAPSHOT_TTL_SEC = 3600


class SnapshotWriter:
    """Part of a snapshot fetcher: it marks what has changed or was proven, this writes it.

    What cannot be written stays marked: Redis gets it when it is back, and a new lease writes everything.
    """

    def __init__(
        self,
        store: SnapshotStore,
        book: SnapshotBook,
        lease: LatestValue[Lease],
        *,
        source: str,
        ondemand_ttl_sec: int,
        redis_address: str,
    ) -> None:
        self._store = store
        self._book = book
        self._lease = lease
        self._source = source
        self._ondemand_ttl_sec = ondemand_ttl_sec
        self._redis = f"Redis at {redis_address}"
        self._changed: dict[str, None] = {}
        self._proven: dict[str, None] = {}
        self._marked: dict[str, None] = {}
        self._written: dict[str, int] = {}
        self._in_burst = False
        self._wanted = trio.lowlevel.ParkingLot()

    def changed(self, symbol: str, *, pushed: bool = False) -> None:
        """The symbol's snapshot has to be written whole. `pushed`: as an event told, so more may follow."""
        self._changed[symbol] = None
        self._in_burst |= pushed
        self._wanted.unpark()

    def proven(self, symbols: list[str]) -> None:
        """The snapshots are what they were, and are known to be so as of a later moment."""
        self._proven.update(dict.fromkeys(symbols))
        self._wanted.unpark()

    def marked(self, symbols: list[str]) -> None:
        """The snapshots have newer mark prices, and are otherwise what they were."""
        self._marked.update(dict.fromkeys(symbols))
        self._wanted.unpark()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Write until cancelled."""
        fence = None
        while True:
            previous, fence = fence, await lease_fence(self._lease, heartbeat)
            if fence != previous:
                self._changed.update(dict.fromkeys(self._written))
            try:
                await self._write_what_is_marked(fence, heartbeat)
            except (FencedError, *REDIS_TROUBLE) as trouble:
                with heartbeat.waiting_for(told(self._redis, trouble)):
                    await trio.sleep(_PAUSE_SEC)

    async def _write_what_is_marked(self, fence: str, heartbeat: Heartbeat) -> None:
        while self._lease.value is not None and self._lease.value.fence == fence:
            if self._changed:
                if self._in_burst:
                    self._in_burst = False
                    await trio.sleep(_BURST_SEC)
                await self._write_whole(fence)
            elif self._proven:
                await self._write_proofs(fence)
            elif self._marked:
                await self._write_marks(fence)
            else:
                with heartbeat.idle():
                    await self._wanted.park()
            heartbeat.beat()

    async def _write_whole(self, fence: str) -> None:
        symbols = list(self._changed)
        self._changed.clear()
        writes: list[SnapshotWrite] = []
        times: dict[str, int] = {}
        for symbol in symbols:
            self._proven.pop(symbol, None)
            self._marked.pop(symbol, None)
            snapshot = self._book.get(symbol)
            if snapshot is None:
                continue
            on_demand = snapshot.verified_by is VerifiedBy.ONDEMAND
            ttl_sec = self._ondemand_ttl_sec if on_demand else SNAPSHOT_TTL_SEC
            writes.append(SnapshotWrite(symbol, ttl_sec, snapshot_fields(snapshot, self._source)))
            times[symbol] = snapshot.verified_at.wall_ms
        try:
            await self._store.write_snapshots(fence, writes)
        except BaseException:
            self._changed.update(dict.fromkeys(symbols))
            raise
        self._written.update(times)

    async def _write_proofs(self, fence: str) -> None:
        symbols = list(self._proven)
        self._proven.clear()
        by_time: dict[int, list[str]] = {}
        for symbol in symbols:
            snapshot = self._book.get(symbol)
            if snapshot is not None and snapshot.verified_at.wall_ms > self._written.get(symbol, 0):
                by_time.setdefault(snapshot.verified_at.wall_ms, []).append(symbol)
        for as_of_ms, proven in by_time.items():
            try:
                missing = await self._store.prove_snapshots(
                    fence,
                    {symbol: self._written.get(symbol, 0) for symbol in proven},
                    times=snapshot_times(as_of_ms),
                    verified_by=VerifiedBy.STREAM.value,
                    ttl_sec=SNAPSHOT_TTL_SEC,
                )
            except BaseException:
                self._proven.update(dict.fromkeys(symbols))
                raise
            self._written.update(dict.fromkeys(proven, as_of_ms))
            self._changed.update(dict.fromkeys(missing))

    async def _write_marks(self, fence: str) -> None:
        """Only where nothing else is to be written: position and profit always fit each other."""
        symbols = list(self._marked)
        self._marked.clear()
        marks = [
            mark_write(snapshot)
            for symbol in symbols
            if symbol in self._written and (snapshot := self._book.get(symbol)) is not None
        ]
        if marks:
            await self._store.write_marks(fence, marks)
