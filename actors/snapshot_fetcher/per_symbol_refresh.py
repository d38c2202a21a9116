"""Reads of positions symbol by symbol, for accounts and proxies without bulk reads.

Only the candidates are read at the cadence, so the stream covers them alone; the snapshot of any other symbol
is as old as its latest read.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.positions import ShardPositions
from brain.moment import Moment
from brain.symbols.candidates import Candidates
from channels import Count, DropOldest, LatestValue, MetricEvent
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import Exchange, PositionsRead, Priority
from exchange.read_latency import ReadLatency
from exchange.read_pacer import ReadPacer
from supervision import Heartbeat


class PerSymbolRefresh:
    """Part of a snapshot fetcher: one task per candidate of the shard, all within one pace."""

    def __init__(
        self,
        known: ShardPositions,
        candidates: LatestValue[Candidates],
        exchange: Exchange,
        pacer: ReadPacer,
        latency: ReadLatency,
        *,
        metrics: DropOldest[MetricEvent],
        log: FilteringBoundLogger,
    ) -> None:
        """`pacer` and `latency` are shared with the other shards."""
        self._known = known
        self._schedule = known.schedule
        self._candidates = candidates
        self._exchange = exchange
        self._pacer = pacer
        self._latency = latency
        self._metrics = metrics
        self._log = log
        self._tasks: set[str] = set()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep the shard's candidates read until cancelled."""
        with heartbeat.idle():
            async with trio.open_nursery() as nursery:
                for change in (self._candidates.changed, self._schedule.changed):
                    nursery.start_soon(self._follow, change, nursery, heartbeat)

    async def _follow(
        self, change: Callable[[], Awaitable[object]], nursery: trio.Nursery, heartbeat: Heartbeat
    ) -> None:
        """Start a task for every symbol to read, now and after each change."""
        while True:
            candidates = self._candidates.value
            mine = [s for s in candidates.symbols if self._known.is_mine(s)] if candidates else []
            self._schedule.audited_symbols = dict.fromkeys(mine)
            for symbol in self._schedule.symbols_to_read():
                if symbol not in self._tasks:
                    self._tasks.add(symbol)
                    nursery.start_soon(self._keep_read, symbol, heartbeat)
            await change()

    async def _keep_read(self, symbol: str, heartbeat: Heartbeat) -> None:
        """Read a symbol whenever it is due, until it needs no reads; a new candidate at least once."""
        failures = 0
        before: Moment | None = None
        with heartbeat.task() as task:
            while True:
                due, last = self._schedule.next_due(symbol), self._schedule.last_read(symbol)
                if last is not None and not self._schedule.is_to_read(symbol):
                    break
                if last is not None and due.due_sec > trio.current_time():
                    with task.idle(), trio.move_on_at(due.due_sec):
                        await self._schedule.changed()
                    continue
                # The repeat of an ambiguous read keeps its turn, once: or it would delay all others.
                repeat = self._schedule.ambiguous_reads.repeat(symbol)
                keeps_turn = before is not None and repeat is not None and repeat.cause == last
                turn = before if keeps_turn else last
                with task.idle():
                    await self._pacer.turn(-math.inf if turn is None else turn.monotonic_sec)
                try:
                    with task.waiting_for(f"the exchange's position of {symbol}"):
                        read = await self._exchange.positions(symbol, priority=Priority.PACED)
                except AskLater as error:
                    self._metrics.send(Count("p33_snapshot_total", (symbol, "postponed")))
                    with task.waiting_for(f"the exchange: {error}"):
                        await trio.sleep_until(error.until.monotonic_sec)
                except ExchangeError as error:
                    failures += 1
                    self._metrics.send(Count("p33_snapshot_total", (symbol, "error")))
                    why_due = due.reason.value
                    self._log.warning(
                        f"{symbol}: position could not be read", error=str(error), why_due=why_due
                    )
                    with task.waiting_for(f"the exchange: {error}"):
                        await trio.sleep(self._schedule.retry_sec(failures))
                else:
                    failures, before = 0, last
                    self._take(symbol, read, last)
        self._tasks.discard(symbol)

    def _take(self, symbol: str, read: PositionsRead, last: Moment | None) -> None:
        took_ms = self._latency.observe(read)
        between_ms = 0.0 if last is None else (read.sent.monotonic_sec - last.monotonic_sec) * 1000
        self._latency.cycle_ms = max(took_ms, between_ms)
        self._known.apply_read(read)
        if not any(row.symbol == symbol for row in read.rows):
            self._known.apply_absence((), read, symbol)
        self._schedule.answered(symbol, read.sent)
        self._metrics.send(Count("p33_snapshot_total", (symbol, "ok")))
