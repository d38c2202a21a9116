"""Reads all positions in one request, shared with the other shards: at first, to poll, and to audit."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.read_schedule import FILL_WITHOUT_UPDATE_SEC, Cadence, just_after, retry_sec
from brain.moment import Moment
from channels import Count, DropOldest, MetricEvent
from clock import Clock
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import PositionRow, PositionsRead, Priority
from exchange.shared_read import SharedRead
from supervision import Heartbeat

#: All shards are at it at the same time: together, so many of each take 2 ms.
_SYMBOLS_AT_A_TIME = 16


class BulkRefresh:
    """Part of a snapshot fetcher: when positions are due, it reads them."""

    def __init__(
        self,
        known: ShardPositions,
        positions: SharedRead,
        cadence: Cadence,
        *,
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._known = known
        self._positions = positions
        self._cadence = cadence
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._last_read: Moment | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep positions read until cancelled."""
        failures = 0
        while True:
            sent_after = await self._until_read_is_due(heartbeat)
            priority = self._priority()
            try:
                with heartbeat.waiting_for("the exchange's positions"):
                    read = await self._positions.read(sent_after, priority)
            except AskLater as error:
                self._metrics.send(Count("p33_snapshot_total", ("other", "postponed")))
                with (
                    heartbeat.waiting_for(f"the exchange: {error}"),
                    trio.move_on_at(error.until.monotonic_sec),
                ):
                    # Trust may be lost meanwhile, and there is weight left for the read after that.
                    while self._priority() <= priority:
                        await self._known.stirred()
            except ExchangeError as error:
                failures += 1
                self._metrics.send(Count("p33_snapshot_total", ("other", "error")))
                self._log.warning("Positions could not be read", error=str(error))
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep(retry_sec(failures, self._cadence))
            else:
                failures = 0
                await self._take(read, heartbeat)

    async def _take(self, read: PositionsRead, heartbeat: Heartbeat) -> None:
        """Merge the read, some symbols at a time: what comes meanwhile waits for no more than those."""
        self._last_read = read.sent
        rows: dict[str, list[PositionRow]] = {}
        for row in read.rows:
            if self._known.is_mine(row.symbol):
                rows.setdefault(row.symbol, []).append(row)
        symbols = list(rows)
        for begin in range(0, len(symbols), _SYMBOLS_AT_A_TIME):
            some = symbols[begin : begin + _SYMBOLS_AT_A_TIME]
            legs = tuple(row for symbol in some for row in rows[symbol])
            self._known.apply_read(PositionsRead(legs, read.sent, read.received))
            for symbol in some:
                self._metrics.send(Count("p33_snapshot_total", (symbol, "ok")))
            heartbeat.beat()
            await trio.lowlevel.checkpoint()
        self._known.apply_absence(rows.keys(), read)
        self._known.undated_reads.repeated(read.sent)
        # Those of symbols that the exchange no longer shows, too.
        for symbol in self._known.unmatched_fills.symbols():
            self._known.unmatched_fills.read(symbol, read.sent)

    async def _until_read_is_due(self, heartbeat: Heartbeat) -> Moment:
        """Wait; the moment after which the due read must have been sent."""
        while True:
            now = self._clock.now()
            due_sec, sent_after = self._next_read(now)
            if due_sec <= now.monotonic_sec:
                return sent_after
            with heartbeat.idle(), trio.move_on_at(due_sec):
                await self._known.stirred()

    def _priority(self) -> Priority:
        """RECOVERY while nothing was read since trust was lost, or since the stream was connected."""
        last, lost_at = self._last_read, self._known.trust_lost_at
        wanted_after = self._known.read_wanted_after
        if last is None or (wanted_after is not None and last < wanted_after):
            return Priority.RECOVERY
        return Priority.RECOVERY if lost_at is not None and last <= lost_at else Priority.PERIODIC

    def _next_read(self, now: Moment) -> tuple[float, Moment]:
        """When the next read is due (trio's clock), and after which moment it must be sent."""
        last, wanted_after = self._last_read, self._known.read_wanted_after
        if last is None:
            return now.monotonic_sec, now
        if wanted_after is not None and last < wanted_after:
            return now.monotonic_sec, wanted_after
        if (lost_at := self._known.trust_lost_at) is not None and last <= lost_at:
            # Whether the stream comes back soon or not: until this read, no snapshot is believed.
            wanted = just_after(lost_at)
            return wanted.monotonic_sec, wanted
        interval_sec = self._cadence.interval_sec(stream_proven=self._known.stream_proven)
        due = _after(last, interval_sec)
        told, undated = self._known.unmatched_fills.oldest(), self._known.undated_reads.to_repeat()
        if told is not None:
            due = min(due, (told.monotonic_sec + FILL_WITHOUT_UPDATE_SEC, told))
        if undated is not None:
            due = min(due, (undated.due_sec, undated.sent_after))
        return due


def _after(read: Moment, interval_sec: float) -> tuple[float, Moment]:
    """When to read again so long after a read, and after which moment that must be sent.

    Half an interval suffices: every shard asks for this, so that they share one request.
    """
    return read.monotonic_sec + interval_sec, read.earlier_by(-interval_sec / 2)
