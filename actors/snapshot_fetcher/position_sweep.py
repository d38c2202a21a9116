"""Search for positions held outside the candidates, where symbols are read one by one."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from structlog.typing import FilteringBoundLogger

from actors.snapshot_fetcher.positions import ShardPositions
from brain.moment import Moment
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue
from clock import Clock
from exchange.errors import AskLater, ExchangeError
from exchange.position_reads import PositionReads
from exchange.protocol import Exchange, PositionRow, PositionsRead, Priority
from exchange.read_pacer import ReadPacer
from supervision import Heartbeat

#: Seconds between two sweeps.
SWEEP_EVERY_SEC = 600.0
#: Seconds after a sweep in which a symbol could not be read.
_RETRY_SEC = 60.0


class SweptSymbols:
    """Traded symbols, and which of them were read since the process started. Shared by all shards."""

    def __init__(
        self,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        never_read: LatestValue[tuple[str, ...]],
    ) -> None:
        """`never_read` gets the symbols whose position was never read, sorted."""
        self._symbol_rules = symbol_rules
        self._never_read = never_read
        self._read: set[str] = set()

    async def traded(self) -> list[str]:
        """Wait until the trading symbols are known, and return them sorted."""
        return _trading(await self._symbol_rules.get())

    def publish(self) -> None:
        """Publish which symbols were never read."""
        symbols = _trading(self._symbol_rules.value or {})
        self._never_read.send(tuple(symbol for symbol in symbols if symbol not in self._read))

    def read(self, *symbols: str) -> None:
        """Note that the positions of `symbols` were read."""
        if not self._read.issuperset(symbols):
            self._read.update(symbols)
            self.publish()


class PositionSweep:
    """Part of a snapshot fetcher that reads every symbol of the shard at the start and every ten minutes.

    One read of all symbols suffices if the exchange answers it (weight 5). Else each symbol is read alone,
    with the request weight that the candidates leave. A position that is found goes into the book, which
    makes its symbol a candidate; flat symbols change nothing.
    """

    def __init__(
        self,
        known: ShardPositions,
        reads: PositionReads,
        exchange: Exchange,
        pacer: ReadPacer,
        swept: SweptSymbols,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """`reads`, `pacer` and `swept` are shared with the other shards."""
        self._known = known
        self._reads = reads
        self._exchange = exchange
        self._pacer = pacer
        self._swept = swept
        self._clock = clock
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Sweep until cancelled."""
        while True:
            with heartbeat.idle():
                await self._swept.traded()
            self._swept.publish()
            begun = self._clock.now()
            with heartbeat.idle():
                pause_sec = await self._sweep_once(begun)
                await trio.sleep(pause_sec)

    async def _sweep_once(self, begun: Moment) -> float:
        """Read all symbols once; return the seconds until the next sweep."""
        try:
            recent = begun.earlier_by(SWEEP_EVERY_SEC / 2)
            read = await self._reads.survey(max(recent, self._known.schedule.begun or begun))
        except AskLater as error:
            return max(error.until.monotonic_sec - trio.current_time(), 1.0)
        except ExchangeError:
            read = None
        if read is not None:
            self._take(read)
            return SWEEP_EVERY_SEC
        failed = False
        for symbol in await self._swept.traded():
            if self._known.is_mine(symbol):
                failed |= not await self._read_alone(symbol, begun)
        return _RETRY_SEC if failed else SWEEP_EVERY_SEC

    async def _read_alone(self, symbol: str, begun: Moment) -> bool:
        """Read one symbol unless it was read since `begun`; return False if it could not be read."""
        if not self._known.schedule.read_since(symbol, begun):
            priority = Priority.PACED if await self._pacer.spare_turn() else Priority.ON_DEMAND
            try:
                self._take(await self._exchange.positions(symbol, priority=priority))
            except AskLater as error:
                await trio.sleep_until(error.until.monotonic_sec)
                return False
            except ExchangeError as error:
                self._log.warning(f"{symbol}: position could not be read", error=str(error))
                return False
        self._swept.read(symbol)
        return True

    def _take(self, read: PositionsRead) -> None:
        """Merge the symbols that hold a position, that are known already, or that were unreadable."""
        rows: dict[str, list[PositionRow]] = {}
        for row in read.rows:
            if self._known.is_mine(row.symbol):
                rows.setdefault(row.symbol, []).append(row)
        for symbol, symbol_rows in rows.items():
            wanted = self._known.is_known(symbol) or self._known.is_unreadable(symbol)
            if wanted or any(row.position.amount for row in symbol_rows):
                self._known.apply_read(PositionsRead(tuple(symbol_rows), read.sent, read.received))
        for symbol in read.unreadable:
            if symbol:
                self._known.apply_absence((), read, symbol)
        self._swept.read(*rows)


def _trading(rules: Mapping[str, SymbolRules]) -> list[str]:
    return sorted(symbol for symbol, rule in rules.items() if rule.trading)
