"""Binance's error answers: a code, a sentence and an HTTP status.

Source: USDⓈ-M Futures, "Error Codes"; statuses as the live service sends them.
"""

from __future__ import annotations

from functools import partial


class ApiError(Exception):
    """A refusal that reaches the client as ``{"code": …, "msg": …}``."""

    def __init__(self, code: int, message: str, http_status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


#: The code of both refusals of an address that asks too much: 429 and the 418 of a ban.
TOO_MANY_REQUESTS = -1003

#: Makers of errors: each refusal raises a new one.
timestamp_outside_window = partial(
    ApiError, -1021, "Timestamp for this request is outside of the recvWindow."
)
timestamp_ahead = partial(
    ApiError, -1021, "Timestamp for this request was 1000ms ahead of the server's time."
)
bad_signature = partial(ApiError, -1022, "Signature for this request is not valid.")
malformed_api_key = partial(ApiError, -2014, "API-key format invalid.", 401)
unknown_api_key = partial(ApiError, -2015, "Invalid API-key, IP, or permissions for action.", 401)
precision_exceeded = partial(ApiError, -1111, "Precision is over the maximum defined for this asset.")
combination_invalid = partial(ApiError, -1128, "Combination of optional parameters invalid.")
start_after_end = partial(ApiError, -1023, "Start time is greater than end time.")
interval_too_long = partial(ApiError, -1127, "More than 168 hours between startTime and endTime.")
invalid_time_in_force = partial(ApiError, -1115, "Invalid timeInForce.")
invalid_response_type = partial(ApiError, -1136, "Invalid newOrderRespType.")
invalid_order_type = partial(ApiError, -1116, "Invalid orderType.")
invalid_side = partial(ApiError, -1117, "Invalid side.")
invalid_symbol = partial(ApiError, -1121, "Invalid symbol.")
unknown_listen_key = partial(ApiError, -1125, "This listenKey does not exist.")
unknown_order_sent = partial(ApiError, -2011, "Unknown order sent.")
order_does_not_exist = partial(ApiError, -2013, "Order does not exist.")
margin_insufficient = partial(ApiError, -2019, "Margin is insufficient.")
too_many_open_orders = partial(ApiError, -2025, "Reach max open order limit.")
position_above_maximum = partial(
    ApiError, -2027, "Exceeded the maximum allowable position at current leverage."
)
leverage_too_small = partial(
    ApiError, -2028, "Leverage is smaller than permitted: insufficient margin balance."
)
reduce_only_rejected = partial(ApiError, -2022, "ReduceOnly Order is rejected.")
price_not_positive = partial(ApiError, -4001, "Price less than 0.")
price_above_maximum = partial(ApiError, -4002, "Price greater than max price.")
price_off_tick = partial(ApiError, -4014, "Price not increased by tick size.")
price_above_cap = partial(ApiError, -4016, "Price is higher than mark price multiplier cap.")
price_below_floor = partial(ApiError, -4024, "Price is lower than mark price multiplier floor.")
quantity_off_step = partial(ApiError, -4023, "Qty not increased by step size.")
quantity_not_positive = partial(ApiError, -4003, "Quantity less than or equal to zero.")
quantity_below_minimum = partial(ApiError, -4004, "Quantity less than min quantity.")
quantity_above_maximum = partial(ApiError, -4005, "Quantity greater than max quantity.")
client_order_id_invalid = partial(ApiError, -4015, "Client order id is not valid.")
client_order_id_duplicated = partial(ApiError, -4116, "ClientOrderId is duplicated.")
invalid_position_side = partial(ApiError, -4060, "Invalid position side.")
position_side_does_not_match = partial(
    ApiError, -4061, "Order's position side does not match user's setting."
)
no_need_to_change_position_side = partial(ApiError, -4059, "No need to change position side.")
position_side_change_with_orders = partial(
    ApiError, -4067, "Position side cannot be changed if there exists open orders."
)
position_side_change_with_position = partial(
    ApiError, -4068, "Position side cannot be changed if there exists position."
)
order_type_needs_algo_endpoint = partial(
    ApiError,
    -4120,
    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
)
percent_price_not_met = partial(
    ApiError, -4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."
)
not_filled_at_once = partial(
    ApiError, -5021, "Due to the order could not be filled immediately, the FOK order has been rejected."
)
not_executed_as_maker = partial(
    ApiError,
    -5022,
    "Due to the order could not be executed as maker, the Post Only order will be rejected.",
)
symbol_not_open_for_trading = partial(ApiError, -4140, "Invalid symbol status for opening position.")


def mandatory_parameter(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def parameter_not_required(name: str) -> ApiError:
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def invalid_parameter(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def leverage_exists(leverage: int, symbol: str) -> ApiError:
    """Build the other refusal of -4028: nothing is to be changed."""
    return ApiError(-4028, f"Leverage {leverage} already exist with {symbol}")


def too_many_orders(limit: int, interval: str) -> ApiError:
    return ApiError(-1015, f"Too many new orders; current limit is {limit} orders per {interval}.", 429)


def invalid_leverage(leverage: int) -> ApiError:
    return ApiError(-4028, f"Leverage {leverage} is not valid")


def notional_too_small(minimum: str) -> ApiError:
    return ApiError(
        -4164, f"Order's notional must be no smaller than {minimum} (unless you choose reduce only)."
    )


def unknown_path(method: str, path: str) -> ApiError:
    return ApiError(-5000, f"Path {path}, Method {method} is invalid", 404)


def too_many_requests(limit: int) -> ApiError:
    return ApiError(
        TOO_MANY_REQUESTS,
        f"Too many requests; current limit is {limit} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API.",
        429,
    )


def banned(until: str | None) -> ApiError:
    """Build the 418 of a ban. ``until`` is epoch milliseconds as a rule; without it no time is named."""
    moment = "" if until is None else f" until {until}"
    return ApiError(
        TOO_MANY_REQUESTS,
        f"Way too many requests; IP banned{moment}. Please use the websocket for live updates to avoid bans.",
        418,
    )


def service_unavailable(http_status: int) -> ApiError:
    return ApiError(-1001, "Internal error; unable to process your request. Please try again.", http_status)
