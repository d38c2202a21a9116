"""Writes of one shard's snapshots to Redis: pushed ones first, the rest in slices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.snapshot_fields import mark_write, snapshot_fields, snapshot_times
from actors.waiting import RETRYABLE_REDIS_ERRORS, RedisTrouble, lease_fence
from brain.identifiers import FencingToken
from brain.moment import Moment
from brain.positions.position import Snapshot, VerifiedBy
from channels import LatestValue, Lease, SnapshotBook
from store.errors import FencedError
from store.protocol import SnapshotStore
from store.records import MarkWrite, SnapshotWrite
from supervision import Heartbeat

_PAUSE_SEC = 0.1
#: So many cost this process and Redis up to 1 ms each; then other shards and pushed snapshots have a turn.
_WHOLE_AT_A_TIME = 50
_AT_A_TIME = 200
#: Redis round trips a turn at most.
_MOST_MOMENTS = 2
#: The rest waits for pushed snapshots for no longer (seconds), however many there are.
_LONGEST_WAIT_SEC = 0.25
#: Longest wait for a turn (seconds): a shard that hangs in its own must not stop the others.
_LONGEST_TURN_WAIT_SEC = 0.05
_LARGEST_ROUNDING_MS = 1000
SNAPSHOT_TTL_SEC = 3600
#: A mark price waits for so long for a proof to be written with (seconds).
_MARK_WITHOUT_PROOF_SEC = 1.5
#: Least time between two written mark prices of a flat position (ms): no profit depends on them.
FLAT_MARK_EVERY_MS = 10_000
#: Named once: up to Python 3.11, a look into an enum takes as long as ten others.
_ON_DEMAND = VerifiedBy.ONDEMAND


class _Written:
    """A snapshot as Redis holds it: its position, the latest time and the time of its mark price.

    `on_demand`: it has the shorter life of a read on demand, which its next proof, at most once a minute,
    may not renew. `snapshot` is the published one that shows this position, as it was compared last.
    """

    __slots__ = ("flat", "mark_ts_ms", "on_demand", "snapshot", "verified_at")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.on_demand = snapshot.verified_by is _ON_DEMAND
        self.flat = not any(leg.amount for leg in snapshot.legs)
        self.verified_at = snapshot.verified_at
        self.mark_ts_ms = snapshot.mark_ts_ms

    def shows(self, published: Snapshot) -> bool:
        """Return True if a published snapshot shows the same position."""
        known = self.snapshot
        if published is not known:
            if published.legs != known.legs or published.leverage != known.leverage:
                return False
            self.snapshot = published
        return True


class SnapshotWriter:
    """Part of a snapshot fetcher that writes the snapshots which were marked as changed or proven.

    A snapshot that cannot be written stays marked until Redis is back. A new lease writes everything.
    """

    def __init__(
        self,
        store: SnapshotStore,
        book: SnapshotBook,
        lease: LatestValue[Lease],
        *,
        source: str,
        ondemand_ttl_sec: int,
        turns: trio.Lock,
        log: FilteringBoundLogger,
    ) -> None:
        """`turns` is shared with the other shards: one at a time writes what was not pushed."""
        self._store = store
        self._book = book
        self._lease = lease
        self._source = source
        self._ondemand_ttl_sec = ondemand_ttl_sec
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)
        self._pushed: dict[str, None] = {}
        self._changed: dict[str, None] = {}
        self._proven: dict[str, None] = {}
        self._marked: dict[str, None] = {}
        #: When mark prices that came without a proof are written (trio's clock).
        self._marks_due_sec = math.inf
        self._written: dict[str, _Written] = {}
        self._wanted = trio.lowlevel.ParkingLot()
        self._turns = turns
        self._waiting = trio.CancelScope()
        self._rest_since_sec = math.inf

    def published(self, symbol: str, *, pushed: bool = False) -> None:
        """Mark the symbol's snapshot as another one. `pushed`: by an event; to be written first."""
        if pushed:
            self._pushed[symbol] = None
            if not self._rest_has_waited:
                self._waiting.cancel()
            self._wanted.unpark()
        else:
            self.proven((symbol,))
            self.marks_changed()

    def proven(self, symbols: Iterable[str]) -> None:
        """Mark the snapshots as proven at a later moment."""
        self._proven.update(dict.fromkeys(symbols))
        if self._wanted:
            self._wanted.unpark()

    def marks_changed(self) -> None:
        """Have newer mark prices of the book written: with the next proof, or soon without one."""
        if self._marks_due_sec == math.inf:
            self._marks_due_sec = trio.current_time() + _MARK_WITHOUT_PROOF_SEC
            self._wanted.unpark()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Write until cancelled."""
        fence = None
        while True:
            previous, fence = fence, await lease_fence(self._lease, heartbeat, self._trouble)
            if fence != previous:
                self._changed.update(dict.fromkeys(self._written))
            try:
                await self._write_what_is_marked(fence, heartbeat)
            except (FencedError, *RETRYABLE_REDIS_ERRORS) as trouble:
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_PAUSE_SEC)

    async def _write_what_is_marked(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        while self._lease.value is not None and self._lease.value.fence == fence:
            if trio.current_time() >= self._marks_due_sec:
                self._marks_due_sec = math.inf
                self._marked.update(dict.fromkeys(self._written))
            rest = bool(self._changed or self._proven or self._marked)
            if not rest:
                self._rest_since_sec = math.inf
            elif self._rest_since_sec == math.inf:
                self._rest_since_sec = trio.current_time()
            if self._pushed or rest:
                if self._pushed and not self._rest_has_waited:
                    await self._write_whole(self._pushed, fence)
                else:
                    await self._write_in_turn(fence, heartbeat)
            else:
                with heartbeat.idle(), trio.move_on_at(self._marks_due_sec):
                    await self._wanted.park()
            heartbeat.beat()

    @property
    def _rest_has_waited(self) -> bool:
        return trio.current_time() - self._rest_since_sec > _LONGEST_WAIT_SEC

    async def _write_in_turn(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Write a slice of the rest in this shard's turn; stop waiting for it if a snapshot is pushed."""
        my_turn = False
        with heartbeat.idle(), trio.move_on_after(_LONGEST_TURN_WAIT_SEC) as self._waiting:
            await self._turns.acquire()
            my_turn = True
        if not my_turn and self._pushed and not self._rest_has_waited:
            return
        self._rest_since_sec = math.inf
        try:
            if self._proven and not self._changed:
                await self._write_proofs(fence)
            if self._changed:
                await self._write_whole(self._changed, fence)
            elif not self._proven:
                await self._write_marks(fence)
        finally:
            if my_turn:
                self._turns.release()

    async def _write_whole(self, marks: dict[str, None], fence: FencingToken) -> None:
        symbols = _take(marks, _WHOLE_AT_A_TIME)
        writes: list[SnapshotWrite] = []
        written: list[Snapshot] = []
        for symbol in symbols:
            self._changed.pop(symbol, None)
            self._proven.pop(symbol, None)
            self._marked.pop(symbol, None)
            snapshot = self._undisputed(symbol)
            if snapshot is None:
                continue
            on_demand = snapshot.verified_by is _ON_DEMAND
            ttl_sec = self._ondemand_ttl_sec if on_demand else SNAPSHOT_TTL_SEC
            writes.append(SnapshotWrite(symbol, ttl_sec, snapshot_fields(snapshot, self._source)))
            written.append(snapshot)
        with self._round_trip(marks, symbols):
            await self._store.write_snapshots(fence, writes)
        for snapshot in written:
            self._written[snapshot.symbol] = _Written(snapshot)

    async def _write_proofs(self, fence: FencingToken) -> None:
        symbols = _take(self._proven, _AT_A_TIME)
        alike = self._of_same_moment(symbols)
        if len(alike) > _MOST_MOMENTS:
            # One round trip proves many symbols, but of one moment only.
            self._changed.update(dict.fromkeys(symbol for proven in alike.values() for symbol in proven))
            return
        with self._round_trip(self._proven, symbols):
            for (as_of, verified_by), proven in alike.items():
                marks = self._newer_marks(proven, least_ms=1)
                missing = await self._store.prove_snapshots(
                    fence,
                    {symbol: written.verified_at.wall_ms for symbol, written in proven.items()},
                    marks=marks,
                    times=snapshot_times(as_of.wall_ms),
                    verified_by=verified_by.value,
                    ttl_sec=SNAPSHOT_TTL_SEC,
                )
                for written in proven.values():
                    written.verified_at = as_of
                self._marks_are_written(marks)
                self._changed.update(dict.fromkeys(missing))

    def _of_same_moment(self, symbols: Iterable[str]) -> dict[tuple[Moment, VerifiedBy], dict[str, _Written]]:
        """Return by its moment and kind which of the symbols a later proof is of; the others are changed."""
        book, alike = self._book, dict[tuple[Moment, VerifiedBy], dict[str, _Written]]()
        as_of = verified_by = verified_at = None
        later, proven = False, dict[str, _Written]()
        for symbol in symbols:
            entry, written = book.entry(symbol), self._written.get(symbol)
            if entry is None or entry.disputed:
                continue
            at, by = book.verification(entry)
            if written is None or written.on_demand or by is _ON_DEMAND or not written.shows(entry.snapshot):
                self._changed[symbol] = None
                continue
            # Most symbols share both moments, by a proof of the stream and by the one before.
            if at is not as_of or by is not verified_by or written.verified_at is not verified_at:
                as_of, verified_by, verified_at = at, by, written.verified_at
                if later := _is_later(as_of, verified_at):
                    proven = alike.setdefault((as_of, verified_by), {})
            if later:
                proven[symbol] = written
        return alike

    async def _write_marks(self, fence: FencingToken) -> None:
        symbols = _take(self._marked, _AT_A_TIME)
        proven: dict[str, _Written] = {}
        for symbol in symbols:
            entry, written = self._book.entry(symbol), self._written.get(symbol)
            if entry is None:
                continue
            if written is not None and written.shows(entry.snapshot):
                proven[symbol] = written
            else:
                # Position and profit must fit each other.
                self._changed[symbol] = None
        marks = self._newer_marks(proven, least_ms=_MARK_WITHOUT_PROOF_SEC * 1000)
        if marks:
            with self._round_trip(self._marked, symbols):
                await self._store.write_marks(fence, list(marks.values()))
            self._marks_are_written(marks)

    def _newer_marks(self, written: Mapping[str, _Written], *, least_ms: float) -> dict[str, MarkWrite]:
        """Return the book's mark prices by symbol that are `least_ms` newer than the written ones."""
        marks: dict[str, MarkWrite] = {}
        for symbol, known in written.items():
            price, ts_ms = self._book.mark_of(known.snapshot)
            newer_ms = abs(ts_ms - known.mark_ts_ms)
            if price is not None and newer_ms >= (FLAT_MARK_EVERY_MS if known.flat else least_ms):
                marks[symbol] = mark_write(symbol, known.snapshot.legs, price, ts_ms)
        return marks

    def _marks_are_written(self, marks: Mapping[str, MarkWrite]) -> None:
        for symbol, mark in marks.items():
            self._written[symbol].mark_ts_ms = int(mark.mark_ts_epoch_ms)

    def _undisputed(self, symbol: str) -> Snapshot | None:
        """Return the snapshot to write; None while it is disputed."""
        return None if self._book.is_disputed(symbol) else self._book.get(symbol)

    @contextmanager
    def _round_trip(self, marks: dict[str, None], symbols: Iterable[str]) -> Iterator[None]:
        """Mark the symbols again if the round trip within fails."""
        try:
            yield
        except BaseException:
            marks.update(dict.fromkeys(symbols))
            raise
        self._trouble.over()


def _is_later(moment: Moment, written: Moment) -> bool:
    """Return True if the time differs from the written one: later, or on a clock that was set back."""
    later_ms = moment.wall_ms - written.wall_ms
    return moment > written and (later_ms > 0 or later_ms < -_LARGEST_ROUNDING_MS)


def _take(marks: dict[str, None], most: int) -> list[str]:
    """Remove and return the `most` symbols that were marked first."""
    symbols = list(islice(marks, most))
    for symbol in symbols:
        del marks[symbol]
    return symbols
