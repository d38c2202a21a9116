"""The endpoints: method and path, security, weight, and the function that answers.

Source: USDⓈ-M Futures, each endpoint's page. Order requests weigh nothing and count as orders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from simulator import account_answers, errors, listen_key_answers, order_answers, order_lists
from simulator.exchange import SimulatedExchange
from simulator.market_answers import ExchangeInfo, premium_index, ticker_24hr
from simulator.parameters import Parameters
from simulator.position_rows import PositionRows

Security = Literal["none", "api_key", "signed"]
Answer = Callable[[SimulatedExchange, Parameters], bytes]
POSITION_RISK_V2 = "/fapi/v2/positionRisk"


class Endpoint(msgspec.Struct, frozen=True):
    """``without_symbol`` is the weight of a request that names no symbol, where it is another."""

    security: Security
    weight: int
    answer: Answer
    without_symbol: int | None = None
    counts_as_order: bool = False

    def weight_of(self, parameters: Parameters) -> int:
        if self.without_symbol is None or parameters.get("symbol"):
            return self.weight
        return self.without_symbol


def endpoints_of(exchange: SimulatedExchange) -> dict[tuple[str, str], Endpoint]:
    """Return the endpoints by method and path; they keep encoded answers of this exchange."""
    info, rows = ExchangeInfo(exchange), PositionRows(exchange)
    return {
        ("GET", "/fapi/v1/exchangeInfo"): Endpoint("none", 1, lambda _, __: info.answer()),
        ("GET", POSITION_RISK_V2): Endpoint("signed", 5, lambda e, p: rows.v2(_positions_of(e, p))),
        ("GET", "/fapi/v3/positionRisk"): Endpoint("signed", 5, lambda e, p: rows.v3(_positions_of(e, p))),
        **_ENDPOINTS,
    }


def _server_time(exchange: SimulatedExchange, _: Parameters) -> bytes:
    return msgspec.json.encode({"serverTime": exchange.exchange_ms()})


def _positions_of(exchange: SimulatedExchange, parameters: Parameters) -> str | None:
    """Read the symbol; ``ApiError`` -1102 without one where bulk reads are refused."""
    symbol = _symbol(parameters)
    if exchange.faults.refuse_bulk_positions and symbol is None:
        raise errors.mandatory_parameter("symbol")
    return symbol


def _symbol(parameters: Parameters) -> str | None:
    return parameters.get("symbol") or None


_ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/fapi/v1/ping"): Endpoint("none", 1, lambda _, __: b"{}"),
    ("GET", "/fapi/v1/time"): Endpoint("none", 1, _server_time),
    ("GET", "/fapi/v1/premiumIndex"): Endpoint(
        "none", 1, lambda e, p: premium_index(e, _symbol(p)), without_symbol=10
    ),
    ("GET", "/fapi/v1/ticker/24hr"): Endpoint(
        "none", 1, lambda e, p: ticker_24hr(e, _symbol(p)), without_symbol=40
    ),
    ("GET", "/fapi/v3/account"): Endpoint("signed", 5, account_answers.account_v3),
    ("GET", "/fapi/v3/balance"): Endpoint("signed", 5, account_answers.balance_v3),
    ("GET", "/fapi/v1/accountConfig"): Endpoint("signed", 5, account_answers.account_config),
    ("GET", "/fapi/v1/symbolConfig"): Endpoint("signed", 5, account_answers.symbol_config),
    ("GET", "/fapi/v1/positionSide/dual"): Endpoint("signed", 30, account_answers.position_mode),
    ("POST", "/fapi/v1/positionSide/dual"): Endpoint("signed", 1, account_answers.change_position_mode),
    ("POST", "/fapi/v1/leverage"): Endpoint("signed", 1, account_answers.change_leverage),
    ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint("signed", 1, account_answers.api_restrictions),
    ("POST", "/fapi/v1/order"): Endpoint("signed", 0, order_answers.new_order, counts_as_order=True),
    ("GET", "/fapi/v1/order"): Endpoint("signed", 1, order_answers.query_order),
    ("DELETE", "/fapi/v1/order"): Endpoint("signed", 1, order_answers.cancel_order),
    ("DELETE", "/fapi/v1/allOpenOrders"): Endpoint("signed", 1, order_answers.cancel_all_orders),
    ("GET", "/fapi/v1/openOrder"): Endpoint("signed", 1, order_answers.query_open_order),
    ("GET", "/fapi/v1/openOrders"): Endpoint("signed", 1, order_lists.open_orders, without_symbol=40),
    ("GET", "/fapi/v1/allOrders"): Endpoint("signed", 5, order_lists.all_orders),
    ("GET", "/fapi/v1/forceOrders"): Endpoint("signed", 20, order_lists.force_orders, without_symbol=50),
    ("GET", "/fapi/v1/userTrades"): Endpoint("signed", 5, order_lists.user_trades),
    ("POST", "/fapi/v1/listenKey"): Endpoint("api_key", 1, listen_key_answers.create_listen_key),
    ("PUT", "/fapi/v1/listenKey"): Endpoint("api_key", 1, listen_key_answers.extend_listen_key),
    ("DELETE", "/fapi/v1/listenKey"): Endpoint("api_key", 1, listen_key_answers.close_listen_key),
}
