"""The rows of ``positionRisk``, kept encoded: of 569 rows hardly any changes between two reads.

Source: USDⓈ-M Futures, "Position Information V2" and "Position Information V3".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from simulator.exchange import SimulatedExchange
from simulator.history import PositionSide
from simulator.margin import MAINTENANCE_MARGIN_RATE
from simulator.odd_rows import odd_row
from simulator.positions import Position
from simulator.symbols import plain

_FLAT_MARK_PRICE = Decimal(0)
_encode = msgspec.json.Encoder().encode
_Version = tuple[int, Decimal, Decimal, int, Decimal, Decimal]


class RowV2(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    symbol: str
    position_amt: str
    entry_price: str
    break_even_price: str
    mark_price: str
    un_realized_profit: str
    liquidation_price: str = "0"
    leverage: str
    max_notional_value: str
    margin_type: str = "cross"
    isolated_margin: str = "0.00000000"
    is_auto_add_margin: str = "false"
    position_side: PositionSide
    notional: str
    isolated_wallet: str = "0"
    update_time: int


class RowV3(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    symbol: str
    position_side: PositionSide
    position_amt: str
    entry_price: str
    break_even_price: str
    mark_price: str
    un_realized_profit: str
    liquidation_price: str = "0"
    isolated_margin: str = "0"
    notional: str
    margin_asset: str
    isolated_wallet: str = "0"
    initial_margin: str
    maint_margin: str
    position_initial_margin: str
    open_order_initial_margin: str = "0"
    adl: int = 2
    bid_notional: str = "0"
    ask_notional: str = "0"
    update_time: int


class PositionRows:
    """Encoded answers for one exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._rows: dict[tuple[str, PositionSide], tuple[_Version, bytes]] = {}
        self._all: tuple[tuple[int, int, int, bool], bytes] | None = None

    def v2(self, symbol: str | None = None) -> bytes:
        """Return every leg of the symbol, or of all symbols, flat and untouched ones included."""
        exchange = self._exchange
        if symbol is not None:
            exchange.symbol(symbol)
            return self._legs([symbol])
        exchange.mark_prices.advance_to(exchange.host_ms())
        if exchange.odd_rows:
            return self._legs(list(exchange.listing.symbols))
        version = (
            exchange.version,
            exchange.listing.version,
            exchange.mark_prices.generation,
            exchange.faults.flat_rows_have_mark_price,
        )
        if self._all is None or self._all[0] != version:
            self._all = (version, self._legs(list(exchange.listing.symbols)))
        return self._all[1]

    def v3(self, symbol: str | None = None) -> bytes:
        """Return the legs that are not flat or have an open order."""
        exchange = self._exchange
        if symbol is not None:
            exchange.symbol(symbol)
        held = [(position.symbol.name, position.position_side) for position in exchange.open_positions()]
        ordered = sorted(exchange.orders.open_legs() - set(held))
        rows = [
            self._shown(self._row_v3(exchange.position(name, leg)), name)
            for name, leg in (*held, *ordered)
            if symbol in (None, name) and name in exchange.listing.symbols
        ]
        return _encode(rows)

    def _shown(self, row: RowV2 | RowV3, symbol: str) -> Any:
        changes = self._exchange.odd_rows.get(symbol)
        return row if changes is None else odd_row(msgspec.to_builtins(row), changes)

    def _mark_price(self, position: Position) -> Decimal:
        if not position.amount and not self._exchange.faults.flat_rows_have_mark_price:
            return _FLAT_MARK_PRICE
        return self._exchange.mark_price(position.symbol.name)

    def _legs(self, symbols: list[str]) -> bytes:
        rows = [self._row_v2(symbol, leg) for symbol in symbols for leg in self._exchange.legs]
        return b"[" + b",".join(rows) + b"]"

    def _row_v2(self, symbol: str, leg: PositionSide) -> bytes:
        exchange = self._exchange
        position = exchange.position(symbol, leg)
        mark_price, leverage = self._mark_price(position), exchange.leverage(symbol)
        step_size, limit = position.symbol.step_size, exchange.max_notional(symbol)
        version = (position.update_time_ms, position.amount, mark_price, leverage, step_size, limit)
        kept = self._rows.get((symbol, leg))
        if kept is not None and kept[0] == version and symbol not in exchange.odd_rows:
            return kept[1]
        entry_price = plain(position.entry_price) if position.amount else "0.0"
        row = RowV2(
            symbol=symbol,
            position_amt=position.symbol.quantity_text(position.amount),
            entry_price=entry_price,
            break_even_price=entry_price,
            mark_price=plain(mark_price, 8),
            un_realized_profit=plain(position.unrealized_profit(mark_price), 8),
            leverage=str(leverage),
            max_notional_value=plain(limit),
            position_side=leg,
            notional=plain(position.amount * mark_price, 8) if position.amount else "0",
            update_time=position.update_time_ms,
        )
        if symbol in exchange.odd_rows:
            return _encode(self._shown(row, symbol))
        encoded = _encode(row)
        self._rows[symbol, leg] = (version, encoded)
        return encoded

    def _row_v3(self, position: Position) -> RowV3:
        exchange, symbol = self._exchange, position.symbol
        mark_price = self._mark_price(position)
        notional = position.amount * mark_price
        initial_margin = plain(abs(notional) / exchange.leverage(symbol.name), 8)
        entry_price = plain(position.entry_price) if position.amount else "0.0"
        return RowV3(
            symbol=symbol.name,
            position_side=position.position_side,
            position_amt=symbol.quantity_text(position.amount),
            entry_price=entry_price,
            break_even_price=entry_price,
            mark_price=plain(mark_price, 8),
            un_realized_profit=plain(position.unrealized_profit(mark_price), 8),
            notional=plain(notional, 8),
            margin_asset=symbol.quote_asset,
            initial_margin=initial_margin,
            maint_margin=plain(abs(notional) * MAINTENANCE_MARGIN_RATE, 8),
            position_initial_margin=initial_margin,
            update_time=position.update_time_ms,
        )
