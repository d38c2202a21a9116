"""REST endpoints in use, with their request weights. Source: Binance USDⓈ-M Futures, REST API."""

from __future__ import annotations

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """REST endpoint; `name` labels metrics.

    All of them are idempotent, those of the listen key and the leverage included, but for NEW_ORDER.
    """

    name: str
    method: str
    path: str
    weight: int
    signed: bool

    @property
    def key(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


POSITION_RISK = Endpoint("positionRisk", "GET", "/fapi/v2/positionRisk", 5, signed=True)
#: Only symbols with a position or open orders, and no leverage: that is in `SYMBOL_CONFIG`.
POSITION_RISK_V3 = Endpoint("positionRisk", "GET", "/fapi/v3/positionRisk", 5, signed=True)
SYMBOL_CONFIG = Endpoint("symbolConfig", "GET", "/fapi/v1/symbolConfig", 5, signed=True)
POSITION_MODE = Endpoint("positionSide", "GET", "/fapi/v1/positionSide/dual", 30, signed=True)
EXCHANGE_INFO = Endpoint("exchangeInfo", "GET", "/fapi/v1/exchangeInfo", 1, signed=False)
DAY_TICKERS = Endpoint("ticker", "GET", "/fapi/v1/ticker/24hr", 40, signed=False)
SERVER_TIME = Endpoint("time", "GET", "/fapi/v1/time", 1, signed=False)
CREATE_LISTEN_KEY = Endpoint("listenKey", "POST", "/fapi/v1/listenKey", 1, signed=False)
KEEP_LISTEN_KEY = Endpoint("listenKey", "PUT", "/fapi/v1/listenKey", 1, signed=False)
USER_TRADES = Endpoint("userTrades", "GET", "/fapi/v1/userTrades", 5, signed=True)
#: Of no weight at the address: it counts as an order of the account.
NEW_ORDER = Endpoint("newOrder", "POST", "/fapi/v1/order", 0, signed=True)
QUERY_ORDER = Endpoint("order", "GET", "/fapi/v1/order", 1, signed=True)
ALL_ORDERS = Endpoint("allOrders", "GET", "/fapi/v1/allOrders", 5, signed=True)
#: With a symbol; 50 without.
FORCE_ORDERS = Endpoint("forceOrders", "GET", "/fapi/v1/forceOrders", 20, signed=True)
SET_LEVERAGE = Endpoint("leverage", "POST", "/fapi/v1/leverage", 1, signed=True)
#: Totals of the account; its weight is not documented by the exchange itself.
ACCOUNT = Endpoint("account", "GET", "/fapi/v3/account", 5, signed=True)
PING = Endpoint("ping", "GET", "/fapi/v1/ping", 1, signed=False)
ACCOUNT_CONFIG = Endpoint("accountConfig", "GET", "/fapi/v1/accountConfig", 5, signed=True)
#: On the wallet's own host (`https://api.binance.com`), which the testnet does not have.
KEY_PERMISSIONS = Endpoint("apiRestrictions", "GET", "/sapi/v1/account/apiRestrictions", 1, signed=True)
