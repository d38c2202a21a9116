"""An exchange whose truth the test dictates, on virtual time."""

from __future__ import annotations

from decimal import Decimal

import trio

from brain.moment import Moment
from brain.numbers import plain
from brain.positions.position import Leg, LegPosition
from clock import Clock
from exchange.errors import ExchangeError
from exchange.protocol import OrderTrade, PositionRow, PositionsRead, Priority, SymbolsRead

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
        #: By how much the estimate of its clock is too large, within its bounds.
        self.misjudged_ms = 0
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
        return at.wall_ms + self.ahead_ms + self.misjudged_ms

    def exchange_ms_at_least(self, at: Moment) -> int | None:
        return self.exchange_ms(at) - abs(self.misjudged_ms)

    def exchange_ms_at_most(self, at: Moment) -> int | None:
        return self.exchange_ms(at) + abs(self.misjudged_ms)


class ExchangeWithOrders(DictatedExchange):
    """An exchange whose fills move positions and can be looked up."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.trades: dict[str, tuple[OrderTrade, ...]] = {}
        self.lookups: list[str] = []
        self.trades_listed_after_sec = 0.0
        self.legs: dict[str, dict[Leg, tuple[Decimal, int]]] = {}

    def set_leg(self, symbol: str, leg: Leg, amount: str, update_time_ms: int) -> None:
        """Set a leg of an account in hedge mode."""
        self.legs.setdefault(symbol, {})[leg] = Decimal(amount), update_time_ms

    def symbols(self) -> list[str]:
        return [*self.rows, *self.legs]

    def rows_of(self, symbol: str) -> tuple[PositionRow, ...]:
        if symbol not in self.legs:
            return super().rows_of(symbol)
        return tuple(
            PositionRow(
                symbol,
                LegPosition(leg, amount, Decimal(100), at_ms),
                Decimal(10),
                Decimal(101),
                self.now_ms(),
            )
            for leg, (amount, at_ms) in self.legs[symbol].items()
        )

    def fill(self, symbol: str, order_id: str, side: str, quantity: str, leg: Leg = Leg.BOTH) -> None:
        """Fill more of an order, now."""
        signed = Decimal(quantity) if side == "BUY" else -Decimal(quantity)
        if leg is Leg.BOTH:
            self.set(symbol, plain(self.rows[symbol][0] + signed))
        else:
            self.set_leg(symbol, leg, plain(self.legs[symbol][leg][0] + signed), self.now_ms())
        trade = OrderTrade(Decimal(quantity), self.now_ms())
        self.trades[order_id] = (*self.trades.get(order_id, ()), trade)

    async def order_trades(self, symbol: str, order_id: str) -> tuple[OrderTrade, ...]:
        self.lookups.append(order_id)
        await trio.sleep(self.latency_sec)
        if self.failure is not None:
            raise self.failure
        if not self.trades_listed_after_sec:
            return self.trades.get(order_id, ())
        listed_until_ms = self.now_ms() - self.trades_listed_after_sec * 1000
        return tuple(trade for trade in self.trades.get(order_id, ()) if trade.time_ms <= listed_until_ms)
