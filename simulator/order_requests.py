"""Decoding of requests about orders.

Source: USDⓈ-M Futures, "New Order", "Query Order", "Cancel Order".
"""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

from simulator import errors
from simulator.exchange import SimulatedExchange
from simulator.history import PositionSide
from simulator.orders import LimitOrder, MarketOrder, NewOrder, SelfTradePrevention, Side, TimeInForce
from simulator.parameters import Parameters, boolean, decimal, integer, required

ResponseType = Literal["ACK", "RESULT"]
#: Served by ``/fapi/v1/algoOrder`` only.
_CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def new_order_of(exchange: SimulatedExchange, parameters: Parameters) -> NewOrder:
    """Read a new order; ``ApiError`` for missing, unknown and superfluous parameters."""
    symbol, side, order_type = (required(parameters, name) for name in ("symbol", "side", "type"))
    exchange.symbol(symbol)
    if side not in get_args(Side):
        raise errors.invalid_side()
    if order_type in _CONDITIONAL:
        raise errors.order_type_needs_algo_endpoint()
    if order_type not in ("LIMIT", "MARKET"):
        raise errors.invalid_order_type()
    position_side = parameters.get("positionSide", "BOTH")
    if position_side not in get_args(PositionSide):
        raise errors.invalid_position_side()
    if exchange.hedge_mode and "reduceOnly" in parameters:
        raise errors.parameter_not_required("reduceonly")
    prevention = parameters.get("selfTradePreventionMode", "EXPIRE_MAKER")
    if prevention not in get_args(SelfTradePrevention):
        raise errors.invalid_parameter("selfTradePreventionMode")
    common: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "quantity": decimal(parameters, "quantity"),
        "position_side": position_side,
        "reduce_only": boolean(parameters, "reduceOnly"),
        "client_order_id": parameters.get("newClientOrderId"),
        "self_trade_prevention": prevention,
    }
    if order_type == "LIMIT":
        in_force = required(parameters, "timeInForce")
        if in_force not in get_args(TimeInForce):
            raise errors.invalid_time_in_force()
        price = decimal(parameters, "price")
        return LimitOrder(**common, price=price, time_in_force=cast("TimeInForce", in_force))
    for name in ("price", "timeInForce"):
        if name in parameters:
            raise errors.parameter_not_required(name.lower())
    return MarketOrder(**common)


def response_type_of(parameters: Parameters) -> ResponseType:
    """Read ``newOrderRespType``; ``ApiError`` -1136 for an unknown one."""
    named = parameters.get("newOrderRespType", "ACK")
    if named not in get_args(ResponseType):
        raise errors.invalid_response_type()
    return cast("ResponseType", named)


def order_ids_of(parameters: Parameters) -> tuple[int | None, str | None]:
    """Read ``orderId`` or else ``origClientOrderId``; ``ApiError`` -1102 where both are missing."""
    if parameters.get("orderId"):
        return integer(parameters, "orderId"), None
    if parameters.get("origClientOrderId"):
        return None, parameters["origClientOrderId"]
    raise errors.mandatory_parameter("orderId")
