"""Reads positions symbol by symbol, for accounts and proxies without bulk reads.

Only the candidates are read again and again, so the stream vouches for them alone; the snapshot of any other
symbol is as old as its latest read.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.positions import ShardPositions
from actors.snapshot_fetcher.read_schedule import FILL_WITHOUT_UPDATE_SEC, Cadence, retry_sec
from brain.moment import Moment
from brain.symbols.candidates import Candidates
from channels import Count, DropOldest, LatestValue, MetricEvent
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import Exchange, PositionsRead, Priority
from exchange.read_latency import ReadLatency
from exchange.read_pacer import ReadPacer
from supervision import Heartbeat


class PerSymbolRefresh:
    """Part of a snapshot fetcher: a task for each candidate of the shard, all within one pace."""

    def __init__(
        self,
        known: ShardPositions,
        candidates: LatestValue[Candidates],
        exchange: Exchange,
        pacer: ReadPacer,
        latency: ReadLatency,
        cadence: Cadence,
        *,
        metrics: DropOldest[MetricEvent],
        log: FilteringBoundLogger,
    ) -> None:
        """`pacer` and `latency` are shared with the other shards."""
        self._known = known
        self._candidates = candidates
        self._exchange = exchange
        self._pacer = pacer
        self._latency = latency
        self._cadence = cadence
        self._metrics = metrics
        self._log = log
        self._wanted: frozenset[str] = frozenset()
        self._tasks: set[str] = set()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep the shard's candidates read until cancelled."""
        with heartbeat.idle():
            async with trio.open_nursery() as nursery:
                for change in (self._candidates.changed, self._known.stirred):
                    nursery.start_soon(self._follow, change, nursery, heartbeat)

    async def _follow(
        self, change: Callable[[], Awaitable[object]], nursery: trio.Nursery, heartbeat: Heartbeat
    ) -> None:
        """Give every symbol that is wanted a task, now and after each change."""
        while True:
            candidates = self._candidates.value
            mine = [s for s in candidates.symbols if self._known.is_mine(s)] if candidates else []
            self._wanted = self._known.last_reads.audited_symbols = frozenset(mine)
            for symbol in dict.fromkeys((*mine, *sorted(self._known.withheld), *self._unmatched())):
                if symbol not in self._tasks:
                    self._tasks.add(symbol)
                    nursery.start_soon(self._keep_read, symbol, heartbeat)
            await change()

    async def _keep_read(self, symbol: str, heartbeat: Heartbeat) -> None:
        """Read a symbol whenever it is due, for as long as it is a candidate or a fill is unexplained."""
        failures = 0
        asked: Moment | None = None
        before: Moment | None = None
        reads, undated_reads = self._known.last_reads, self._known.undated_reads
        with heartbeat.strand() as strand:
            while True:
                last = max((m for m in (asked, reads.sent(symbol)) if m is not None), default=None)
                # A read that could not date the position gives its turn back, once: or it would hog them all.
                repeat = undated_reads.to_repeat(symbol)
                gives_back = before is not None and repeat is not None and repeat.cause == last
                counted = before if gives_back else last
                # Whoever waits for a candidate's first snapshot is not let down by a change of plan.
                if last is not None and not self._is_wanted(symbol):
                    break
                if last is not None and (due_sec := self._due_sec(symbol, last)) > trio.current_time():
                    with strand.idle(), trio.move_on_at(due_sec):
                        await self._known.stirred()
                    continue
                with strand.idle():
                    await self._pacer.turn(-math.inf if counted is None else counted.monotonic_sec)
                try:
                    with strand.waiting_for(f"the exchange's position of {symbol}"):
                        read = await self._exchange.positions(symbol, priority=Priority.PACED)
                except AskLater as error:
                    self._metrics.send(Count("p33_snapshot_total", (symbol, "postponed")))
                    with strand.waiting_for(f"the exchange: {error}"):
                        await trio.sleep_until(error.until.monotonic_sec)
                except ExchangeError as error:
                    failures += 1
                    self._metrics.send(Count("p33_snapshot_total", (symbol, "error")))
                    self._log.warning(f"{symbol}: position could not be read", error=str(error))
                    with strand.waiting_for(f"the exchange: {error}"):
                        await trio.sleep(retry_sec(failures, self._cadence))
                else:
                    failures, before, asked = 0, last, read.sent
                    self._take(symbol, read, last)
        self._tasks.discard(symbol)

    def _is_wanted(self, symbol: str) -> bool:
        return (
            symbol in self._wanted
            or symbol in self._known.withheld
            or self._known.unmatched_fills.oldest(symbol) is not None
        )

    def _unmatched(self) -> list[str]:
        return sorted(self._known.unmatched_fills.symbols())

    def _take(self, symbol: str, read: PositionsRead, last: Moment | None) -> None:
        took_ms = self._latency.observe(read)
        between_ms = 0.0 if last is None else (read.sent.monotonic_sec - last.monotonic_sec) * 1000
        self._latency.cycle_ms = max(took_ms, between_ms)
        self._known.apply_read(read)
        if not any(row.symbol == symbol for row in read.rows):
            self._known.apply_absence((), read, symbol)
        self._known.unmatched_fills.read(symbol, read.sent)
        self._metrics.send(Count("p33_snapshot_total", (symbol, "ok")))

    def _due_sec(self, symbol: str, last: Moment) -> float:
        """When the next read is due (trio's clock)."""
        wanted_after = self._known.read_wanted_after
        if wanted_after is not None and last < wanted_after:
            return last.monotonic_sec
        due_sec = last.monotonic_sec + self._cadence.interval_sec(stream_proven=self._known.stream_proven)
        told = self._known.unmatched_fills.oldest(symbol)
        undated = self._known.undated_reads.to_repeat(symbol)
        if told is not None:
            due_sec = min(due_sec, told.monotonic_sec + FILL_WITHOUT_UPDATE_SEC)
        if undated is not None:
            due_sec = min(due_sec, undated.due_sec)
        return due_sec
