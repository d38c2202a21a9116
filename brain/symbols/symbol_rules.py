"""Quantity rules of a symbol in `exchangeInfo`."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class SymbolRules(msgspec.Struct, frozen=True):
    """MARKET_LOT_SIZE filter (contracts) and trading status (`status` TRADING) of a symbol.

    Source: Binance USDⓈ-M Futures, GET /fapi/v1/exchangeInfo. Where MARKET_LOT_SIZE has a step of 0, the
    step of LOT_SIZE stands here.
    """

    symbol: str
    trading: bool
    market_step: Decimal
    market_min: Decimal
    market_max: Decimal
