"""Reads of all positions in one request, shared with the other shards, whenever the schedule says so."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.read_schedule import NextRead
from channels import Count, DropOldest, MetricEvent
from clock import Clock
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import PositionRow, PositionsRead, Priority
from exchange.shared_read import SharedRead
from supervision import Heartbeat

#: Less than 1 ms of work between checkpoints.
_SYMBOLS_AT_A_TIME, _ROWS_AT_A_TIME = 16, 1000


class BulkRefresh:
    """Part of a snapshot fetcher that reads all positions when they are due."""

    def __init__(
        self,
        known: ShardPositions,
        positions: SharedRead,
        turns: trio.Lock,
        *,
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """`positions` and `turns` are shared with the other shards: one at a time merges some symbols."""
        self._known = known
        self._schedule = known.schedule
        self._positions = positions
        self._turns = turns
        self._metrics = metrics
        self._clock = clock
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Read all positions whenever they are due, until cancelled."""
        failures = 0
        while True:
            due = await self._until_read_is_due(heartbeat)
            try:
                with heartbeat.waiting_for("the exchange's positions"):
                    read = await self._positions.read(due.sent_after, _priority(due))
            except AskLater as error:
                self._metrics.send(Count("p33_snapshot_total", ("other", "postponed")))
                with (
                    heartbeat.waiting_for(f"the exchange: {error}"),
                    trio.move_on_at(error.until.monotonic_sec),
                ):
                    # If trust is lost before then, that read may use weight that this one may not.
                    while due.recovers or not self._schedule.next_due().recovers:
                        await self._schedule.changed()
            except ExchangeError as error:
                failures += 1
                self._metrics.send(Count("p33_snapshot_total", ("other", "error")))
                self._log.warning("Positions could not be read", error=str(error), why_due=due.reason.value)
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep(self._schedule.retry_sec(failures))
            else:
                failures = 0
                await self._take(read, heartbeat)

    async def _take(self, read: PositionsRead, heartbeat: Heartbeat) -> None:
        """Merge the read, 16 symbols at a time: messages that arrive are delayed by no more than that."""
        rows: dict[str, list[PositionRow]] = {}
        for begin in range(0, len(read.rows), _ROWS_AT_A_TIME):
            for row in read.rows[begin : begin + _ROWS_AT_A_TIME]:
                if self._known.is_mine(row.symbol):
                    rows.setdefault(row.symbol, []).append(row)
            await trio.lowlevel.checkpoint()
        symbols = list(rows)
        for begin in range(0, len(symbols), _SYMBOLS_AT_A_TIME):
            some = symbols[begin : begin + _SYMBOLS_AT_A_TIME]
            legs = tuple(row for symbol in some for row in rows[symbol])
            async with self._turns:
                self._known.apply_read(PositionsRead(legs, read.sent, read.received))
                for symbol in some:
                    self._metrics.send(Count("p33_snapshot_total", (symbol, "ok")))
            heartbeat.beat()
        self._known.apply_absence(rows.keys(), read)
        self._schedule.answered(None, read.sent)

    async def _until_read_is_due(self, heartbeat: Heartbeat) -> NextRead:
        """Wait until the next read is due, and return it."""
        while True:
            due = self._schedule.next_due()
            if due.due_sec <= self._clock.now().monotonic_sec:
                return due
            with heartbeat.idle(), trio.move_on_at(due.due_sec):
                await self._schedule.changed()


def _priority(due: NextRead) -> Priority:
    return Priority.RECOVERY if due.recovers else Priority.PERIODIC
