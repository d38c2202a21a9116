"""Answers about single orders: new, queried, cancelled.

Source: USDⓈ-M Futures, "New Order", "Query Order", "Query Current Open Order", "Cancel Order", "Cancel All
Open Orders". Since 2026-06 the answers to new and cancelled orders have no ``avgPrice`` and ``cumQuote``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator import errors
from simulator.exchange import SimulatedExchange
from simulator.history import FLAT
from simulator.order_requests import new_order_of, order_ids_of, response_type_of
from simulator.orders import Order
from simulator.parameters import Parameters, required
from simulator.symbols import plain

_encode = msgspec.json.encode
_AVERAGE = ("avgPrice", "cumQuote")


def new_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Place an order. ``ACK`` (the default) answers ``NEW``, ``RESULT`` the order after its first match."""
    response_type = response_type_of(parameters)
    order = exchange.place_order(new_order_of(exchange, parameters))
    fields = _acted_on(exchange, order)
    if response_type == "ACK":
        nothing = order.symbol.quantity_text(FLAT)
        unfilled = {"status": "NEW", "executedQty": nothing, "cumQty": nothing, "updateTime": order.time_ms}
        fields |= unfilled
        if exchange.faults.order_answers_with_average:
            fields |= {"cumQuote": "0", "avgPrice": "0.00"}
    return _encode(fields)


def query_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    return _encode(shown_order(_found(exchange, parameters)))


def query_open_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    """Answer an order that has not ended; ``ApiError`` -2013 for others."""
    order = _found(exchange, parameters)
    if order.is_final:
        raise errors.order_does_not_exist()
    return _encode(shown_order(order))


def cancel_order(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    symbol = exchange.symbol(required(parameters, "symbol")).name
    order_id, client_order_id = order_ids_of(parameters)
    order = exchange.cancel_order(symbol, order_id=order_id, client_order_id=client_order_id)
    return _encode(_acted_on(exchange, order))


def cancel_all_orders(exchange: SimulatedExchange, parameters: Parameters) -> bytes:
    exchange.cancel_all_orders(required(parameters, "symbol"))
    return _encode({"code": 200, "msg": "The operation of cancel all open order is done."})


def shown_order(order: Order) -> dict[str, Any]:
    """Return the order as queries and lists show it."""
    return {**_order_fields(order), "time": order.time_ms}


def _found(exchange: SimulatedExchange, parameters: Parameters) -> Order:
    symbol = exchange.symbol(required(parameters, "symbol")).name
    order_id, client_order_id = order_ids_of(parameters)
    order = exchange.find_order(symbol, order_id=order_id, client_order_id=client_order_id)
    if order.forced and exchange.faults.forced_orders_hidden:
        raise errors.order_does_not_exist()
    return order


def _acted_on(exchange: SimulatedExchange, order: Order) -> dict[str, Any]:
    fields = _order_fields(order) | {"cumQty": order.symbol.quantity_text(order.executed)}
    if not exchange.faults.order_answers_with_average:
        for name in _AVERAGE:
            del fields[name]
    return fields


def _order_fields(order: Order) -> dict[str, Any]:
    """Return the fields of all answers. Forced orders are limit orders in them, at their average price."""
    order_type = "LIMIT" if order.forced else order.order_type
    return {
        "orderId": order.order_id,
        "symbol": order.symbol.name,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": plain(order.average_price if order.forced else order.price),
        "avgPrice": plain(order.average_price, 8) if order.executed else "0.00",
        "origQty": order.symbol.quantity_text(order.quantity),
        "executedQty": order.symbol.quantity_text(order.executed),
        "cumQuote": plain(order.executed_quote),
        "timeInForce": "IOC" if order.forced == "LIQUIDATION" else order.time_in_force,
        "type": order_type,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order_type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": 0,
        "updateTime": order.update_time_ms,
    }
