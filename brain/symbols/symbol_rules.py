"""What `exchangeInfo` says of a symbol, as far as quantities go."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class SymbolRules(msgspec.Struct, frozen=True):
    """The MARKET_LOT_SIZE filter (contracts), and whether the symbol trades at all (`status` TRADING).

    Source: Binance USDⓈ-M Futures, GET /fapi/v1/exchangeInfo. Where MARKET_LOT_SIZE has a step of 0, the
    step of LOT_SIZE stands here.
    """

    symbol: str
    trading: bool
    market_step: Decimal
    market_min: Decimal
    market_max: Decimal
