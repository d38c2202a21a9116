"""The rows of ``positionRisk``, kept encoded: of 569 rows hardly any changes between two reads.

Source: USDⓈ-M Futures, "Position Information V2" and "Position Information V3".
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from simulator.account import SimulatedExchange
from simulator.history import PositionSide
from simulator.positions import Position
from simulator.symbols import plain

MAX_NOTIONAL_VALUE = "20000000"
_MAINTENANCE_MARGIN_RATE = Decimal("0.004")
_encode = msgspec.json.Encoder().encode


class RowV2(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    symbol: str
    position_amt: str
    entry_price: str
    break_even_price: str
    mark_price: str
    un_realized_profit: str
    liquidation_price: str = "0"
    leverage: str
    max_notional_value: str = MAX_NOTIONAL_VALUE
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
        self._rows: dict[tuple[str, PositionSide], tuple[tuple[int, Decimal, int], bytes]] = {}
        self._all: tuple[tuple[int, int, int], bytes] | None = None

    def v2(self, symbol: str | None = None) -> bytes:
        """Every leg of the symbol, or of all symbols, flat and untouched ones included."""
        exchange = self._exchange
        if symbol is not None:
            exchange.symbol(symbol)
            return self._legs([symbol])
        exchange.mark_prices.advance_to(exchange.host_ms())
        version = (exchange.version, exchange.listing.version, exchange.mark_prices.generation)
        if self._all is None or self._all[0] != version:
            self._all = (version, self._legs(list(exchange.listing.symbols)))
        return self._all[1]

    def v3(self, symbol: str | None = None) -> bytes:
        """The legs that are not flat."""
        if symbol is not None:
            self._exchange.symbol(symbol)
        rows = [
            self._row_v3(position)
            for position in self._exchange.open_positions()
            if symbol in (None, position.symbol.name)
            and position.symbol.name in self._exchange.listing.symbols
        ]
        return _encode(rows)

    def _legs(self, symbols: list[str]) -> bytes:
        rows = [self._row_v2(symbol, leg) for symbol in symbols for leg in self._exchange.legs]
        return b"[" + b",".join(rows) + b"]"

    def _row_v2(self, symbol: str, leg: PositionSide) -> bytes:
        exchange = self._exchange
        position, mark_price = exchange.position(symbol, leg), exchange.mark_price(symbol)
        leverage = exchange.leverage(symbol)
        version = (position.update_time_ms, mark_price, leverage)
        kept = self._rows.get((symbol, leg))
        if kept is not None and kept[0] == version:
            return kept[1]
        entry_price = plain(position.entry_price) if position.amount else "0.0"
        row = _encode(
            RowV2(
                symbol=symbol,
                position_amt=position.symbol.quantity_text(position.amount),
                entry_price=entry_price,
                break_even_price=entry_price,
                mark_price=plain(mark_price, 8),
                un_realized_profit=plain(position.unrealized_profit(mark_price), 8),
                leverage=str(leverage),
                position_side=leg,
                notional=plain(position.amount * mark_price, 8) if position.amount else "0",
                update_time=position.update_time_ms,
            )
        )
        self._rows[symbol, leg] = (version, row)
        return row

    def _row_v3(self, position: Position) -> RowV3:
        exchange, symbol = self._exchange, position.symbol
        mark_price = exchange.mark_price(symbol.name)
        notional = position.amount * mark_price
        initial_margin = plain(abs(notional) / exchange.leverage(symbol.name), 8)
        entry_price = plain(position.entry_price)
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
            maint_margin=plain(abs(notional) * _MAINTENANCE_MARGIN_RATE, 8),
            position_initial_margin=initial_margin,
            update_time=position.update_time_ms,
        )
