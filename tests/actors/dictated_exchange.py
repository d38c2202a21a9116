"""An exchange whose truth the test dictates, on virtual time."""

from __future__ import annotations

from decimal import Decimal

import trio

from brain.moment import Moment
from brain.positions.position import Leg, LegPosition
from clock import Clock
from exchange.errors import ExchangeError
from exchange.protocol import PositionRow, PositionsRead, Priority, SymbolsRead

EPOCH_MS = 1_700_000_000_000


class SilentExchange:
    """An exchange that answers no request; its clock is that of the class made of it."""

    def exchange_ms(self, at: Moment) -> int:
        raise NotImplementedError

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        return self.exchange_ms(at)

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        return self.exchange_ms(at)

    def trouble(self) -> str | None:
        return None

    async def symbol_rules(self) -> SymbolsRead:
        raise NotImplementedError

    async def hedge_mode(self) -> bool:
        raise NotImplementedError

    async def quote_volumes(self) -> dict[str, Decimal]:
        raise NotImplementedError

    async def synchronise_clock(self) -> None:
        raise NotImplementedError

    async def create_listen_key(self) -> str:
        raise NotImplementedError

    async def keep_alive_listen_key(self, listen_key: str) -> None:
        raise NotImplementedError


class DictatedExchange(SilentExchange):
    """Positions as the test sets them; an answer shows what was true in the middle of its latency."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: How far its clock is ahead of the host's.
        self.ahead_ms = 0
        self.rows: dict[str, tuple[Decimal, int]] = {}
        self.latency_sec = 0.3
        self.mark_price = Decimal(101)
        self.reads: list[str | None] = []
        self.failure: ExchangeError | None = None

    def now_ms(self) -> int:
        return self.clock.now().wall_ms + self.ahead_ms

    def set(self, symbol: str, amount: str, update_time_ms: int | None = None) -> LegPosition:
        self.rows[symbol] = Decimal(amount), self.now_ms() if update_time_ms is None else update_time_ms
        return self.row(symbol).position

    def row(self, symbol: str) -> PositionRow:
        amount, update_time_ms = self.rows[symbol]
        position = LegPosition(Leg.BOTH, amount, Decimal(100), update_time_ms)
        return PositionRow(symbol, position, Decimal(10), self.mark_price, self.now_ms())

    def symbols(self) -> list[str]:
        return list(self.rows)

    def rows_of(self, symbol: str) -> tuple[PositionRow, ...]:
        return (self.row(symbol),)

    async def positions(
        self, symbol: str | None = None, *, priority: Priority = Priority.PERIODIC
    ) -> PositionsRead:
        self.reads.append(symbol)
        sent = self.clock.now()
        await trio.sleep(self.latency_sec / 2)
        if self.failure is not None:
            raise self.failure
        rows = tuple(row for name in self.symbols() if symbol in (None, name) for row in self.rows_of(name))
        await trio.sleep(self.latency_sec / 2)
        return PositionsRead(rows, sent, self.clock.now())

    def exchange_ms(self, at: Moment) -> int:
        return at.wall_ms + self.ahead_ms
