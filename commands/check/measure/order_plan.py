"""The order that `--order` sends: a market order of the least size in a symbol without a position.

Sources: Binance USDⓈ-M Futures, "Exchange Information" (filters MARKET_LOT_SIZE, MIN_NOTIONAL), "Mark Price".
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import msgspec

from brain.json_text import read_json
from brain.symbols.symbol_rules import SymbolRules
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.raw_json import row_of, rows_of
from exchange import endpoints, symbols_wire, wire
from exchange.endpoints import Endpoint
from exchange.errors import EndpointGone, ExchangeUnavailable

_PREMIUM_INDEX = Endpoint("premiumIndex", "GET", "/fapi/v1/premiumIndex", 1, signed=False)
#: Between this look at the price and the order it may fall so far.
_PRICE_MARGIN = Decimal("1.05")


class OrderImpossibleError(Exception):
    """No order can be sent in that symbol; the text says why."""


class OrderPlan(msgspec.Struct, frozen=True):
    """A BUY at the market, and its close. `notional` is in the quote asset, by the mark price."""

    symbol: str
    quantity: Decimal
    notional: Decimal
    hedge_mode: bool

    def __str__(self) -> str:
        return f"BUY {self.quantity:f} {self.symbol} (about {self.notional:.2f} in the quote asset)"


class _NotionalFilter(msgspec.Struct, rename="camel"):
    filter_type: str = ""
    notional: Decimal = Decimal(0)


class _Filters(msgspec.Struct):
    filters: tuple[_NotionalFilter, ...] = ()


_FILTERS = msgspec.json.Decoder(_Filters)


async def plan_order(access: ExchangeAccess, symbol: str) -> OrderPlan:
    """Choose the least size. Raises OrderImpossibleError, ExchangeError."""
    info = wire.Body(await access.read(endpoints.EXCHANGE_INFO)).read(symbols_wire.EXCHANGE_INFO)
    raw = next((each for each in info.symbols if row_of(each).plain("symbol") == symbol), None)
    rules = None if raw is None else symbols_wire.symbol_rules([raw], {}).get(symbol)
    if raw is None or rules is None or not rules.trading:
        raise OrderImpossibleError(f"{symbol} does not trade at this exchange")
    amount = await position_size(access, symbol)
    if amount:
        raise OrderImpossibleError(f"{symbol} has a position of {amount:f}: name a symbol without one")
    price = row_of(await access.read(_PREMIUM_INDEX, {"symbol": symbol})).number("markPrice")
    if not price:
        raise OrderImpossibleError(f"{symbol} has no mark price")
    mode = wire.Body(await access.read(endpoints.POSITION_MODE)).read(wire.POSITION_MODE)
    quantity = least_quantity(rules, _least_notional(raw), price)
    return OrderPlan(symbol, quantity, quantity * price, mode.dual_side_position)


def least_quantity(rules: SymbolRules, least_notional: Decimal, price: Decimal) -> Decimal:
    """Return the least quantity (contracts) that a market order may have, 5 % above the least notional."""
    wanted = max(rules.market_min, least_notional * _PRICE_MARGIN / price)
    return (wanted / rules.market_step).to_integral_value(ROUND_CEILING) * rules.market_step


async def position_size(access: ExchangeAccess, symbol: str) -> Decimal:
    """Return the symbol's position, legs added without their signs (contracts). Raises ExchangeError."""
    params = {"symbol": symbol}
    try:
        raw = await access.read(endpoints.POSITION_RISK, params)
    except EndpointGone:
        raw = await access.read(endpoints.POSITION_RISK_V3, params)
    size = Decimal(0)
    for row in rows_of(raw):
        amount = row.number("positionAmt")
        if amount is None:
            raise ExchangeUnavailable(f"unreadable positionAmt of {symbol}")
        size += abs(amount)
    return size


def _least_notional(raw: msgspec.Raw) -> Decimal:
    try:
        filters = read_json(_FILTERS, raw).filters
    except msgspec.DecodeError:
        raise OrderImpossibleError("the symbol's filters cannot be read") from None
    return max((each.notional for each in filters if each.filter_type == "MIN_NOTIONAL"), default=Decimal(0))
