"""``/fapi/v1/order``: what a request means and what is answered.

Source: USDⓈ-M Futures, "New Order" and "Query Order".
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from simulator import errors
from simulator.account import SimulatedExchange
from simulator.history import PositionSide
from simulator.orders import MarketOrder, Order, Side
from simulator.parameters import Parameters, boolean, decimal, integer, required
from simulator.symbols import plain


def new_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Place a MARKET order. ``ACK`` (the default) tells of it as ``NEW``, ``RESULT`` as executed."""
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
