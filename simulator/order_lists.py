"""Lists of the account's orders and trades: ``allOrders``, ``openOrders``, ``userTrades``.

Source: USDⓈ-M Futures, "All Orders", "Current All Open Orders", "Account Trade List": 500 rows unless
``limit`` says otherwise, at most 1000, of a span of at most seven days (the last seven unless given).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from simulator import errors
from simulator.exchange import SimulatedExchange
from simulator.order_answers import shown_order
from simulator.orders import Fill, Order
from simulator.parameters import Parameters, integer, required
from simulator.symbols import plain

Row = TypeVar("Row")
_DEFAULT_ROWS, _MOST_ROWS = 500, 1000
_WEEK_MS = 7 * 24 * 3600 * 1000
_encode = msgspec.json.encode


def all_orders(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Return the symbol's orders, oldest first: from ``orderId`` or ``startTime`` on, else the latest."""
    symbol = exchange.symbol(required(parameters, "symbol")).name
    limit, (first_ms, last_ms) = _limit(parameters), _span(exchange, parameters)
    first_id = _optional(parameters, "orderId")
    now_ms = exchange.host_ms()
    orders = [
        order
        for order in exchange.orders.of(symbol)
        if order.visible_from_ms <= now_ms
        and order.order_id >= (first_id or 0)
        and first_ms <= order.time_ms <= last_ms
    ]
    from_start = first_id is not None or "startTime" in parameters
    return _encode([shown_order(order) for order in _page(orders, limit, from_start=from_start)])


def open_orders(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Return the orders of one symbol, or of all, that have not ended."""
    named = parameters.get("symbol") or None
    symbol = None if named is None else exchange.symbol(named).name
    now_ms = exchange.host_ms()
    visible = [order for order in exchange.orders.open(symbol) if order.visible_from_ms <= now_ms]
    return _encode([shown_order(order) for order in visible])


def user_trades(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Return executions of the symbol or of one order, oldest first, none if unknown.

    They are those from ``fromId`` or ``startTime`` on, else the latest. ``ApiError`` -1128 for ``fromId``
    beside a time.
    """
    symbol = exchange.symbol(required(parameters, "symbol")).name
    first_id, order_id = _optional(parameters, "fromId"), _optional(parameters, "orderId")
    if first_id is not None and ("startTime" in parameters or "endTime" in parameters):
        raise errors.combination_invalid()
    limit, (first_ms, last_ms) = _limit(parameters), _span(exchange, parameters)
    trades = sorted(
        (
            (fill.trade_id, _trade(order, fill))
            for order in exchange.orders.of(symbol)
            if order_id in (None, order.order_id)
            for fill in order.fills
            if fill.trade_id >= (first_id or 0)
            and (first_id is not None or first_ms <= fill.transaction_time_ms <= last_ms)
        ),
        key=lambda trade: trade[0],
    )
    from_start = first_id is not None or "startTime" in parameters
    return _encode([trade for _, trade in _page(trades, limit, from_start=from_start)])


def _optional(parameters: Parameters, name: str) -> int | None:
    return integer(parameters, name) if parameters.get(name) else None


def _limit(parameters: Parameters) -> int:
    limit = _optional(parameters, "limit")
    if limit is not None and not 1 <= limit <= _MOST_ROWS:
        raise errors.invalid_parameter("limit")
    return _DEFAULT_ROWS if limit is None else limit


def _span(exchange: SimulatedExchange, parameters: Parameters) -> tuple[int, int]:
    """Read the first and the last moment; ``ApiError`` -1023, -1127 for impossible and too long spans."""
    first_ms, last_ms = _optional(parameters, "startTime"), _optional(parameters, "endTime")
    if first_ms is None:
        # A burst's transaction times may be ahead of the clock.
        last_ms = exchange.event_ms() if last_ms is None else last_ms
        return last_ms - _WEEK_MS, last_ms
    if last_ms is None:
        return first_ms, first_ms + _WEEK_MS
    if first_ms > last_ms:
        raise errors.start_after_end()
    if last_ms - first_ms > _WEEK_MS:
        raise errors.interval_too_long()
    return first_ms, last_ms


def _page(rows: Sequence[Row], limit: int, *, from_start: bool) -> Sequence[Row]:
    return rows[:limit] if from_start else rows[-limit:]


def _trade(order: Order, fill: Fill) -> dict[str, Any]:
    return {
        "buyer": order.side == "BUY",
        "commission": plain(fill.commission, 8),
        "commissionAsset": "USDT",
        "id": fill.trade_id,
        "maker": fill.is_maker,
        "orderId": order.order_id,
        "price": plain(fill.price),
        "qty": order.symbol.quantity_text(fill.quantity),
        "quoteQty": plain(fill.quantity * fill.price),
        "realizedPnl": plain(fill.realized_profit, 8),
        "side": order.side,
        "positionSide": order.position_side,
        "symbol": order.symbol.name,
        "time": fill.transaction_time_ms,
    }
