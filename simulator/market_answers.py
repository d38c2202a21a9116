"""Market data as REST and the mark-price stream give it.

Source: USDⓈ-M Futures, "Exchange Information", "Mark Price", "24hr Ticker Price Change Statistics",
"Mark Price Stream for All market".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from simulator.exchange import SimulatedExchange
from simulator.odd_rows import odd_row
from simulator.symbols import MAX_PRICE_IN_TICKS, MULTIPLIER_DOWN, MULTIPLIER_UP, Symbol, plain

_FUNDING_INTERVAL_MS = 8 * 3600 * 1000
_DAY_MS = 24 * 3600 * 1000
_ONBOARD_MS = 1_569_398_400_000
#: ``st`` of a mark price: the market that the contract belongs to.
_USD_M, _COIN_M = 1, 2
_COIN_M_CONTRACTS = (
    ("BTCUSD_PERP", "BTCUSDT", "65000"),
    ("ETHUSD_PERP", "ETHUSDT", "3200"),
    ("BTCUSD_261225", "BTCUSDT", "65000"),
)
_encode = msgspec.json.encode


class ExchangeInfo:
    """``exchangeInfo``, with the part that only a listing changes kept encoded."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._kept: tuple[int, bytes] | None = None

    def answer(self) -> bytes:
        exchange = self._exchange
        symbols = self._odd_symbols() if exchange.odd_symbols else self._symbols()
        head = _encode(
            {
                "timezone": "UTC",
                "serverTime": exchange.exchange_ms(),
                "exchangeFilters": [],
                "rateLimits": _rate_limits(exchange),
                "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            }
        )
        return head[:-1] + b',"symbols":' + symbols + b"}"

    def _symbols(self) -> bytes:
        version = self._exchange.listing.version
        if self._kept is None or self._kept[0] != version:
            self._kept = (version, _encode([row for _, row in self._rows()]))
        return self._kept[1]

    def _odd_symbols(self) -> bytes:
        odd = self._exchange.odd_symbols
        return _encode([odd_row(row, odd[name]) if name in odd else row for name, row in self._rows()])

    def _rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        listing = self._exchange.listing
        for name, symbol in listing.symbols.items():
            yield name, _listed_symbol(symbol, listing.status(name), listing.end_ms(name))


def _rate_limits(exchange: SimulatedExchange) -> list[dict[str, Any]]:
    counts = exchange.order_counts
    limits = (
        ("REQUEST_WEIGHT", "MINUTE", 1, exchange.weights.limit_per_minute),
        ("ORDERS", "MINUTE", 1, counts.per_minute),
        ("ORDERS", "SECOND", 10, counts.per_10_sec),
    )
    return [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
        for kind, interval, number, limit in limits
    ]


def _listed_symbol(symbol: Symbol, status: str, end_ms: int) -> dict[str, Any]:
    tick, step = plain(symbol.tick_size), plain(symbol.step_size)
    return {
        "symbol": symbol.name,
        "pair": symbol.pair,
        "contractType": symbol.contract_type,
        "deliveryDate": end_ms,
        "onboardDate": _ONBOARD_MS,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base_asset,
        "quoteAsset": symbol.quote_asset,
        "marginAsset": symbol.quote_asset,
        "pricePrecision": symbol.price_precision,
        "quantityPrecision": symbol.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.015000",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": plain(symbol.tick_size * MAX_PRICE_IN_TICKS),
                "tickSize": tick,
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": plain(symbol.min_qty),
                "maxQty": plain(symbol.max_qty),
                "stepSize": step,
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": plain(symbol.min_qty),
                "maxQty": plain(symbol.market_max_qty),
                "stepSize": step,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": plain(symbol.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": plain(MULTIPLIER_UP),
                "multiplierDown": plain(MULTIPLIER_DOWN),
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def premium_index(exchange: SimulatedExchange, symbol: str | None) -> bytes:
    """Return one object for a symbol, a list for all. ``ApiError`` -1121 for an unknown one."""
    return _one_or_all(exchange, symbol, _premium)


def _premium(exchange: SimulatedExchange, name: str, now_ms: int) -> dict[str, Any]:
    price = plain(exchange.mark_price(name), 8)
    return {
        "symbol": name,
        "markPrice": price,
        "indexPrice": price,
        "estimatedSettlePrice": price,
        "lastFundingRate": "0.00010000",
        "interestRate": "0.00010000",
        "nextFundingTime": _next_funding_ms(now_ms),
        "time": now_ms,
    }


def mark_price_frames(exchange: SimulatedExchange) -> list[bytes]:
    """Build one round of ``!markPrice@arr@1s``: an array of every symbol, or several that share them out."""
    now_ms = exchange.exchange_ms()
    funding_ms = _next_funding_ms(now_ms)
    updates: list[Any] = []
    for name in exchange.listing.symbols:
        update = _mark_price_update(name, exchange.mark_price(name), now_ms, funding_ms)
        changes = exchange.odd_marks.get(name)
        updates.append(update if changes is None else odd_row(update, changes))
    if exchange.faults.coin_m_mark_prices:
        updates += [
            _mark_price_update(name, price, now_ms, funding_ms, market=_COIN_M)
            for name, price in _coin_m_prices(exchange)
        ]
    frames = exchange.faults.mark_price_frames
    return [_encode(updates[first::frames]) for first in range(frames)]


def _coin_m_prices(exchange: SimulatedExchange) -> Iterator[tuple[str, Decimal]]:
    """Contracts of the other market with the price of their USDⓈ-M sister, or a price of their own."""
    for name, sister, price in _COIN_M_CONTRACTS:
        yield name, exchange.mark_price(sister) if sister in exchange.listing.symbols else Decimal(price)


def _mark_price_update(
    name: str, mark_price: Decimal, now_ms: int, funding_ms: int, *, market: int = _USD_M
) -> dict[str, Any]:
    price = plain(mark_price, 8)
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": name,
        "p": price,
        "ap": price,
        "P": price,
        "i": price,
        "r": "0.00010000",
        "T": funding_ms,
        "st": market,
    }


def ticker_24hr(exchange: SimulatedExchange, symbol: str | None) -> bytes:
    """Return one object for a symbol, a list for all. ``quoteVolume`` is what candidates are ranked by."""
    return _one_or_all(exchange, symbol, _ticker)


def _ticker(exchange: SimulatedExchange, name: str, now_ms: int) -> dict[str, Any]:
    price, listed = exchange.mark_price(name), exchange.listing.symbols[name]
    change = price - listed.first_price
    return {
        "symbol": name,
        "priceChange": plain(change),
        "priceChangePercent": plain(change / listed.first_price * 100, 3),
        "weightedAvgPrice": plain(price),
        "lastPrice": plain(price),
        "lastQty": listed.quantity_text(listed.min_qty),
        "openPrice": plain(listed.first_price),
        "highPrice": plain(max(price, listed.first_price)),
        "lowPrice": plain(min(price, listed.first_price)),
        "volume": plain(listed.quote_volume / price, listed.quantity_precision),
        "quoteVolume": plain(listed.quote_volume, 2),
        "openTime": now_ms - _DAY_MS,
        "closeTime": now_ms,
        "firstId": 1,
        "lastId": int(listed.quote_volume // Decimal(1000)),
        "count": int(listed.quote_volume // Decimal(1000)),
    }


def _one_or_all(
    exchange: SimulatedExchange,
    symbol: str | None,
    row: Callable[[SimulatedExchange, str, int], dict[str, Any]],
) -> bytes:
    now_ms = exchange.exchange_ms()
    if symbol is not None:
        return _encode(row(exchange, exchange.symbol(symbol).name, now_ms))
    return _encode([row(exchange, name, now_ms) for name in exchange.listing.symbols])


def _next_funding_ms(now_ms: int) -> int:
    return (now_ms // _FUNDING_INTERVAL_MS + 1) * _FUNDING_INTERVAL_MS
