"""Trades that earlier looks at one case have read."""

from __future__ import annotations

from collections.abc import Iterable

import trio

from actors.reconcile_engine.known_orders import KnownOrders
from brain.reconciliation.evidence import Trade

#: After so long everything is read again (seconds).
_READ_AGAIN_SEC = 600.0
#: The exchange's clock is known to less than this (ms).
_MARGIN_MS = 1_000


class KnownTrades:
    """Trades by id, and the span of which every trade is among them (the exchange's clock, ms).

    A trade appears in the exchange's lists within `lag_ms`: the latest ones are always read again.
    """

    def __init__(self) -> None:
        #: Orders behind them that need not be read again.
        self.orders = KnownOrders()
        self._trades: dict[int, Trade] = {}
        self._span_ms: tuple[int, int] | None = None
        self._read_sec = 0.0

    def begin_ms(self, since_ms: int) -> int:
        """Return the moment from which on trades have to be read, for all since `since_ms`."""
        if self._span_ms is None or trio.current_time() - self._read_sec >= _READ_AGAIN_SEC:
            return since_ms
        begin_ms, end_ms = self._span_ms
        return end_ms if begin_ms <= since_ms < end_ms else since_ms

    def add(
        self, found: Iterable[Trade], since_ms: int, *, begun_ms: int, asked_ms: int, lag_ms: int
    ) -> None:
        """Add what a complete search has found from `begun_ms` on, for all since `since_ms`.

        `asked_ms`: the exchange's clock when the search began.
        """
        if begun_ms == since_ms:
            self._trades.clear()
            self.orders.clear()
            self._read_sec = trio.current_time()
        self._trades |= {trade.trade_id: trade for trade in found}
        end_ms = max(asked_ms - lag_ms - _MARGIN_MS, begun_ms)
        self._span_ms = since_ms, end_ms

    def since(self, since_ms: int) -> tuple[Trade, ...]:
        """Return the trades since a moment, by id."""
        return tuple(trade for _, trade in sorted(self._trades.items()) if trade.time_ms >= since_ms)
