"""Quantity rules of a symbol in `exchangeInfo`."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class SymbolRules(msgspec.Struct, frozen=True):
    """MARKET_LOT_SIZE filter (contracts) and trading status (`status` TRADING) of a symbol.

    Source: Binance USDⓈ-M Futures, GET /fapi/v1/exchangeInfo. Where MARKET_LOT_SIZE has a step of 0, the
    step of LOT_SIZE stands here. `min_notional` is MIN_NOTIONAL (quote currency), 0 without that filter
    and None where it cannot be read; orders that only reduce are exempt.
    """

    symbol: str
    trading: bool
    market_step: Decimal
    market_min: Decimal
    market_max: Decimal
    min_notional: Decimal | None = Decimal(0)
