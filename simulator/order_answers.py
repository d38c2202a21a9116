"""``/fapi/v1/order`` and ``/fapi/v1/userTrades``: decoding of the requests, and their answers.

Source: USDⓈ-M Futures, "New Order", "Query Order" and "Account Trade List".
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from simulator import errors
from simulator.account import SimulatedExchange
from simulator.history import PositionSide
from simulator.orders import Fill, MarketOrder, Order, Side
from simulator.parameters import Parameters, boolean, decimal, integer, required
from simulator.symbols import plain

_DEFAULT_TRADES, _MOST_TRADES = 500, 1000


def new_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Place a MARKET order. ``ACK`` (the default) answers ``NEW``, ``RESULT`` the executed order."""
    symbol, side, order_type = (required(parameters, name) for name in ("symbol", "side", "type"))
    exchange.symbol(symbol)
    if side not in ("BUY", "SELL"):
        raise errors.invalid_side()
    if order_type != "MARKET":
        raise errors.invalid_order_type()
    position_side = parameters.get("positionSide", "BOTH")
    if position_side not in ("BOTH", "LONG", "SHORT"):
        raise errors.invalid_position_side()
    order = exchange.place_market_order(
        MarketOrder(
            symbol=symbol,
            side=cast("Side", side),
            quantity=decimal(parameters, "quantity"),
            position_side=cast("PositionSide", position_side),
            reduce_only=boolean(parameters, "reduceOnly"),
            client_order_id=parameters.get("newClientOrderId"),
        )
    )
    executed = parameters.get("newOrderRespType", "ACK") == "RESULT"
    return msgspec.json.encode(_new_order_answer(order, executed=executed))


def query_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    symbol = exchange.symbol(required(parameters, "symbol")).name
    if parameters.get("orderId"):
        order = exchange.orders.find(symbol, order_id=integer(parameters, "orderId"))
    elif parameters.get("origClientOrderId"):
        order = exchange.orders.find(symbol, client_order_id=parameters["origClientOrderId"])
    else:
        raise errors.mandatory_parameter("orderId")
    return msgspec.json.encode({**_order_fields(order), "time": order.time_ms})


def user_trades(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Return the latest ``limit`` (500) executions of the symbol or of one order, none if unknown."""
    symbol = exchange.symbol(required(parameters, "symbol")).name
    limit = integer(parameters, "limit") if parameters.get("limit") else _DEFAULT_TRADES
    order_id = integer(parameters, "orderId") if parameters.get("orderId") else None
    trades = sorted(
        (
            (fill.trade_id, _trade_fields(order, fill))
            for order in exchange.orders.of(symbol)
            if order_id in (None, order.order_id)
            for fill in order.fills
        ),
        key=lambda trade: trade[0],
    )
    latest = trades[-min(limit, _MOST_TRADES) :] if limit else []
    return msgspec.json.encode([fields for _, fields in latest])


def _trade_fields(order: Order, fill: Fill) -> dict[str, Any]:
    return {
        "buyer": order.side == "BUY",
        "commission": plain(fill.commission, 8),
        "commissionAsset": "USDT",
        "id": fill.trade_id,
        "maker": False,
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


def _new_order_answer(order: Order, *, executed: bool) -> dict[str, Any]:
    fields = _order_fields(order) | {"cumQty": order.symbol.quantity_text(order.executed)}
    if not executed:
        nothing = order.symbol.quantity_text(order.executed * 0)
        fields |= {
            "status": "NEW",
            "executedQty": nothing,
            "cumQty": nothing,
            "cumQuote": "0",
            "avgPrice": "0.00",
            "updateTime": order.time_ms,
        }
    return fields


def _order_fields(order: Order) -> dict[str, Any]:
    return {
        "orderId": order.order_id,
        "symbol": order.symbol.name,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": "0",
        "avgPrice": plain(order.average_price, 8) if order.executed else "0.00",
        "origQty": order.symbol.quantity_text(order.quantity),
        "executedQty": order.symbol.quantity_text(order.executed),
        "cumQuote": plain(order.executed_quote),
        "timeInForce": "GTC",
        "type": order.order_type,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.order_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "updateTime": order.update_time_ms,
    }
