"""Writes one shard's snapshots to Redis: what the stream told first, and the rest some at a time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import trio

from actors.heartbeat import Heartbeat
from actors.lease import lease_fence
from actors.redis_trouble import REDIS_TROUBLE, told
from actors.snapshot_record import mark_write, snapshot_fields, snapshot_times
from brain.moment import Moment
from brain.position import VerifiedBy
from channels import LatestValue, Lease, SnapshotBook
from store.errors import FencedError
from store.protocol import SnapshotStore
from store.records import SnapshotWrite

_PAUSE_SEC = 0.1
#: So many take this process and Redis up to 1 ms each; then others have a turn, and what was pushed.
_WHOLE_AT_A_TIME = 50
_AT_A_TIME = 200
SNAPSHOT_TTL_SEC = 3600
_NEVER = Moment(float("-inf"), 0)


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
        turns: trio.Lock,
    ) -> None:
        """`turns` is shared with the other shards: what may wait is written by one of them at a time."""
        self._store = store
        self._book = book
        self._lease = lease
        self._source = source
        self._ondemand_ttl_sec = ondemand_ttl_sec
        self._redis = f"Redis at {redis_address}"
        self._pushed: dict[str, None] = {}
        self._changed: dict[str, None] = {}
        self._proven: dict[str, None] = {}
        self._marked: dict[str, None] = {}
        self._written: dict[str, Moment] = {}
        self._wanted = trio.lowlevel.ParkingLot()
        self._turns = turns
        self._in_line = trio.CancelScope()

    def changed(self, symbol: str, *, pushed: bool = False) -> None:
        """The symbol's snapshot has to be written whole. `pushed`: as an event told, before all else."""
        (self._pushed if pushed else self._changed)[symbol] = None
        if pushed:
            self._in_line.cancel()
        self._wanted.unpark()

    def proven(self, symbols: Iterable[str]) -> None:
        """The snapshots are what they were, and are known to be so as of a later moment."""
        self._proven.update(dict.fromkeys(symbols))
        self._wanted.unpark()

    def marked(self, symbols: Iterable[str]) -> None:
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
            if self._pushed:
                await self._write_whole(self._pushed, fence)
            elif self._changed or self._proven or self._marked:
                await self._write_in_turn(fence, heartbeat)
            else:
                with heartbeat.idle():
                    await self._wanted.park()
            heartbeat.beat()

    async def _write_in_turn(self, fence: str, heartbeat: Heartbeat) -> None:
        """Write some of what may wait when it is this shard's turn; leave the line for what was pushed."""
        my_turn = False
        with heartbeat.idle(), trio.CancelScope() as self._in_line:
            await self._turns.acquire()
            my_turn = True
        if not my_turn:
            return
        try:
            if self._changed:
                await self._write_whole(self._changed, fence)
            elif self._proven:
                await self._write_proofs(fence)
            else:
                await self._write_marks(fence)
        finally:
            self._turns.release()

    async def _write_whole(self, marks: dict[str, None], fence: str) -> None:
        symbols = _take(marks, _WHOLE_AT_A_TIME)
        writes: list[SnapshotWrite] = []
        times: dict[str, Moment] = {}
        for symbol in symbols:
            self._changed.pop(symbol, None)
            self._proven.pop(symbol, None)
            self._marked.pop(symbol, None)
            snapshot = self._book.get(symbol)
            if snapshot is None:
                continue
            on_demand = snapshot.verified_by is VerifiedBy.ONDEMAND
            ttl_sec = self._ondemand_ttl_sec if on_demand else SNAPSHOT_TTL_SEC
            writes.append(SnapshotWrite(symbol, ttl_sec, snapshot_fields(snapshot, self._source)))
            times[symbol] = snapshot.verified_at
        try:
            await self._store.write_snapshots(fence, writes)
        except BaseException:
            self._changed.update(dict.fromkeys(symbols))
            raise
        self._written.update(times)

    async def _write_proofs(self, fence: str) -> None:
        symbols = _take(self._proven, _AT_A_TIME)
        alike: dict[tuple[Moment, VerifiedBy], dict[str, int]] = {}
        for symbol in symbols:
            snapshot, written = self._book.get(symbol), self._written.get(symbol, _NEVER)
            if snapshot is not None and snapshot.verified_at > written:
                alike.setdefault((snapshot.verified_at, snapshot.verified_by), {})[symbol] = written.wall_ms
        for (as_of, verified_by), written_ms in alike.items():
            try:
                missing = await self._store.prove_snapshots(
                    fence,
                    written_ms,
                    times=snapshot_times(as_of.wall_ms),
                    verified_by=verified_by.value,
                    ttl_sec=SNAPSHOT_TTL_SEC,
                )
            except BaseException:
                self._proven.update(dict.fromkeys(symbols))
                raise
            self._written.update(dict.fromkeys(written_ms, as_of))
            self._changed.update(dict.fromkeys(missing))

    async def _write_marks(self, fence: str) -> None:
        """Only where nothing else is to be written: position and profit always fit each other."""
        marks = [
            mark_write(snapshot)
            for symbol in _take(self._marked, _AT_A_TIME)
            if symbol in self._written and (snapshot := self._book.get(symbol)) is not None
        ]
        if marks:
            await self._store.write_marks(fence, marks)


def _take(marks: dict[str, None], most: int) -> list[str]:
    """The symbols that were marked first, no longer marked."""
    symbols = list(islice(marks, most))
    for symbol in symbols:
        del marks[symbol]
    return symbols
