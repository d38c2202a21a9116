"""Lists of the account's orders and trades: ``allOrders``, ``openOrders``, ``forceOrders``, ``userTrades``.

Source: USDⓈ-M Futures, "All Orders", "Current All Open Orders", "Account Trade List": 500 rows unless
``limit`` says otherwise, at most 1000, of a span of at most seven days (the last seven unless given).
"User's Force Orders": 50 rows, at most 100. The lists lag as ``HistoryFaults`` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar, get_args

import msgspec

from simulator import errors
from simulator.exchange import SimulatedExchange
from simulator.order_answers import shown_order
from simulator.orders import AutoCloseType, Fill, Order, OrderStatus
from simulator.parameters import Parameters, integer, required
from simulator.symbols import plain

Row = TypeVar("Row")
_DEFAULT_ROWS, _MOST_ROWS = 500, 1000
_DEFAULT_FORCED_ROWS, _MOST_FORCED_ROWS = 50, 100
#: Fields of other lists that rows of forced orders lack.
_NOT_OF_FORCED = ("priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate")
_WEEK_MS = 7 * 24 * 3600 * 1000
_encode = msgspec.json.encode


def all_orders(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Return the symbol's orders, oldest first: from ``orderId`` or ``startTime`` on, else the latest."""
    symbol = exchange.symbol(required(parameters, "symbol")).name
    limit, span_ms = _limit(parameters), _span(exchange, parameters)
    first_id = _optional(parameters, "orderId")
    orders = [
        order
        for order in _listed(exchange, symbol)
        if order.order_id >= (first_id or 0)
        and span_ms[0] <= order.time_ms <= span_ms[1]
        and not (order.forced and exchange.faults.forced_orders_hidden)
    ]
    page = _page(exchange, orders, limit, parameters, by_id=first_id is not None)
    return _encode([_listed_order(exchange, order) for order in page])


def force_orders(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Return the orders of liquidations and ADL, of one symbol or of all, oldest first.

    ``ApiError`` -1130 for an ``autoCloseType`` that there is not.
    """
    kind = parameters.get("autoCloseType") or None
    if kind not in (None, *get_args(AutoCloseType)):
        raise errors.invalid_parameter("autoCloseType")
    named = parameters.get("symbol") or None
    names = list(exchange.listing.symbols) if named is None else [exchange.symbol(named).name]
    limit = _limit(parameters, _DEFAULT_FORCED_ROWS, _MOST_FORCED_ROWS)
    first_ms, last_ms = _span(exchange, parameters)
    orders = [
        order
        for name in names
        for order in _listed(exchange, name)
        if order.forced is not None and kind in (None, order.forced) and first_ms <= order.time_ms <= last_ms
    ]
    orders.sort(key=lambda order: order.order_id)
    rows = [_listed_order(exchange, order) for order in _page(exchange, orders, limit, parameters)]
    return _encode([{name: row[name] for name in row if name not in _NOT_OF_FORCED} for row in rows])


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
    now_ms = exchange.host_ms()
    trades = sorted(
        (
            (fill.trade_id, _trade(order, fill))
            for order in exchange.orders.of(symbol)
            if order_id in (None, order.order_id)
            for fill in order.fills
            if fill.listed_from_ms <= now_ms
            and fill.trade_id >= (first_id or 0)
            and (first_id is not None or first_ms <= fill.transaction_time_ms <= last_ms)
        ),
        key=lambda trade: trade[0],
    )
    page = _page(exchange, trades, limit, parameters, by_id=first_id is not None)
    return _encode([trade for _, trade in page])


def _optional(parameters: Parameters, name: str) -> int | None:
    return integer(parameters, name) if parameters.get(name) else None


def _limit(parameters: Parameters, default: int = _DEFAULT_ROWS, most: int = _MOST_ROWS) -> int:
    limit = _optional(parameters, "limit")
    if limit is not None and not 1 <= limit <= most:
        raise errors.invalid_parameter("limit")
    return default if limit is None else limit


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


def _page(
    exchange: SimulatedExchange,
    rows: Sequence[Row],
    limit: int,
    parameters: Parameters,
    *,
    by_id: bool = False,
) -> Sequence[Row]:
    faults = exchange.faults
    limit = min(limit, faults.rows_at_most)
    from_start = by_id or ("startTime" in parameters and not faults.full_pages_are_newest)
    return rows[:limit] if from_start else rows[-limit:]


def _listed(exchange: SimulatedExchange, symbol: str) -> list[Order]:
    """Return the symbol's orders that lists have by now."""
    now_ms = exchange.host_ms()
    return [
        order
        for order in exchange.orders.of(symbol)
        if order.visible_from_ms <= now_ms and order.listed_from_ms <= now_ms
    ]


def _listed_order(exchange: SimulatedExchange, order: Order) -> dict[str, Any]:
    """Return a row with the fills that lists have by now."""
    now_ms = exchange.host_ms()
    fills = [fill for fill in order.fills if fill.listed_from_ms <= now_ms]
    if len(fills) == len(order.fills):
        return shown_order(order)
    executed = sum((fill.quantity for fill in fills), Decimal(0))
    status: OrderStatus = "PARTIALLY_FILLED" if fills else "NEW"
    updated_ms = fills[-1].transaction_time_ms if fills else order.time_ms
    quote = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    shown = replace(
        order, executed=executed, executed_quote=quote, status=status, update_time_ms=updated_ms, fills=fills
    )
    return shown_order(shown)


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
