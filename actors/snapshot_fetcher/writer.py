"""Writes of one shard's snapshots to Redis: pushed ones first, the rest in slices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import TypeGuard

import trio
from structlog.typing import FilteringBoundLogger

from actors.waiting import RETRYABLE_REDIS_ERRORS, RedisTrouble, lease_fence
from brain.identifiers import FencingToken
from brain.moment import Moment
from brain.numbers import plain
from brain.positions.position import Leg, Snapshot, VerifiedBy, side_of
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
        #: Snapshots in Redis, mark prices aside.
        self._written: dict[str, Snapshot] = {}
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
            self.marked((symbol,))

    def proven(self, symbols: Iterable[str]) -> None:
        """Mark the snapshots as proven at a later moment."""
        self._proven.update(dict.fromkeys(symbols))
        self._wanted.unpark()

    def marked(self, symbols: Iterable[str]) -> None:
        """Mark the snapshots as having newer mark prices."""
        self._marked.update(dict.fromkeys(symbols))
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
                with heartbeat.idle():
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
        written: dict[str, Snapshot] = {}
        for symbol in symbols:
            self._changed.pop(symbol, None)
            self._proven.pop(symbol, None)
            self._marked.pop(symbol, None)
            snapshot = self._undisputed(symbol)
            if snapshot is None:
                continue
            on_demand = snapshot.verified_by is VerifiedBy.ONDEMAND
            ttl_sec = self._ondemand_ttl_sec if on_demand else SNAPSHOT_TTL_SEC
            writes.append(SnapshotWrite(symbol, ttl_sec, snapshot_fields(snapshot, self._source)))
            written[symbol] = snapshot
        with self._round_trip(marks, symbols):
            await self._store.write_snapshots(fence, writes)
        self._written.update(written)

    async def _write_proofs(self, fence: FencingToken) -> None:
        symbols = _take(self._proven, _AT_A_TIME)
        alike: dict[tuple[Moment, VerifiedBy], dict[str, Snapshot]] = {}
        for symbol in symbols:
            snapshot, written = self._undisputed(symbol), self._written.get(symbol)
            if snapshot is None:
                continue
            if not _is_still(written, snapshot) or snapshot.verified_by is VerifiedBy.ONDEMAND:
                self._changed[symbol] = None
            elif _is_later(snapshot.verified_at, written.verified_at):
                alike.setdefault((snapshot.verified_at, snapshot.verified_by), {})[symbol] = snapshot
        if len(alike) > _MOST_MOMENTS:
            # One round trip proves many symbols, but of one moment only.
            self._changed.update(dict.fromkeys(symbol for proven in alike.values() for symbol in proven))
            return
        with self._round_trip(self._proven, symbols):
            for (as_of, verified_by), proven in alike.items():
                missing = await self._store.prove_snapshots(
                    fence,
                    {symbol: self._written[symbol].verified_at.wall_ms for symbol in proven},
                    times=snapshot_times(as_of.wall_ms),
                    verified_by=verified_by.value,
                    ttl_sec=SNAPSHOT_TTL_SEC,
                )
                self._written.update(proven)
                self._changed.update(dict.fromkeys(missing))

    async def _write_marks(self, fence: FencingToken) -> None:
        symbols = _take(self._marked, _AT_A_TIME)
        marks: list[MarkWrite] = []
        for symbol in symbols:
            snapshot, written = self._book.get(symbol), self._written.get(symbol)
            if snapshot is None:
                continue
            if snapshot.mark_price is None:
                continue
            if _is_still(written, snapshot):
                marks.append(mark_write(snapshot))
            else:
                # Position and profit must fit each other.
                self._changed[symbol] = None
        if marks:
            with self._round_trip(self._marked, symbols):
                await self._store.write_marks(fence, marks)

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


def _is_still(written: Snapshot | None, snapshot: Snapshot) -> TypeGuard[Snapshot]:
    """Return True if the written snapshot shows the same position."""
    return written is not None and written.legs == snapshot.legs and written.leverage == snapshot.leverage


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


def snapshot_times(ts_epoch_ms: int) -> dict[str, str]:
    """Return the three forms of a snapshot's time (this host's wall clock); `ts_epoch` is in seconds."""
    moment = datetime.fromtimestamp(ts_epoch_ms / 1000, UTC)
    return {
        "ts_epoch": str(ts_epoch_ms // 1000),
        "ts_epoch_ms": str(ts_epoch_ms),
        "ts_iso": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def snapshot_fields(snapshot: Snapshot, source: str) -> tuple[str, ...]:
    """Return the flat fields of `quantum:position:snapshot:<symbol>`; amounts as text without an exponent.

    Leaves out the prices, profit and leverage that are not known.
    """
    amount = snapshot.amount
    known = {
        "symbol": snapshot.symbol,
        "position_amt": plain(amount),
        "side": side_of(amount).value,
        "entry_price": _text(snapshot.entry_price),
        "mark_price": _text(snapshot.mark_price),
        "leverage": _text(snapshot.leverage),
        "unrealized_pnl": _text(snapshot.unrealized_pnl),
        "mark_ts_epoch_ms": "" if snapshot.mark_price is None else str(snapshot.mark_ts_ms),
        **snapshot_times(snapshot.verified_at.wall_ms),
        "source": source,
        "verified_by": snapshot.verified_by.value,
    }
    fields = {name: text for name, text in known.items() if text}
    if snapshot.hedged:
        fields["long_amt"] = plain(snapshot.amount_of(Leg.LONG))
        fields["short_amt"] = plain(snapshot.amount_of(Leg.SHORT))
    return tuple(text for pair in fields.items() for text in pair)


def mark_write(snapshot: Snapshot) -> MarkWrite:
    """Return the fields that follow the mark price."""
    return MarkWrite(
        snapshot.symbol,
        _text(snapshot.mark_price),
        _text(snapshot.unrealized_pnl),
        str(snapshot.mark_ts_ms),
    )


def _text(number: Decimal | None) -> str:
    return "" if number is None else plain(number)
