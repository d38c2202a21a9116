"""The tradable symbols: real step and tick sizes from ``symbols.csv``, the rest derived from them.

Prices, volumes and quantity limits are invented, but the same on every machine and in every run.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal
from hashlib import sha256
from importlib.resources import files
from typing import Literal

import msgspec

MIN_NOTIONAL = Decimal(5)
#: PRICE_FILTER and PERCENT_PRICE of every symbol.
MAX_PRICE_IN_TICKS = 10_000_000
MULTIPLIER_UP, MULTIPLIER_DOWN = Decimal("1.0500"), Decimal("0.9500")
_MAX_MARKET_NOTIONAL = Decimal(5_000_000)
_LOT_SIZE_TO_MARKET_LOT_SIZE = 10
_FAMILIAR_PRICES = {"BTCUSDT": "65000", "ETHUSDT": "3200", "BNBUSDT": "600", "SOLUSDT": "150"}
_LEAST_QUOTE_VOLUME = Decimal(1_000_000)
_QUOTE_ASSETS = ("USDT", "USDC", "BUSD", "BTC")

ContractType = Literal["PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL"]


class Symbol(msgspec.Struct, frozen=True, kw_only=True):
    """One contract. Quantities in contracts of the base asset, prices in the quote asset.

    ``pair`` is the name without the date that a quarterly contract has behind it.
    """

    name: str
    base_asset: str
    quote_asset: str
    step_size: Decimal
    tick_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    first_price: Decimal
    quote_volume: Decimal
    contract_type: ContractType = "PERPETUAL"

    @property
    def pair(self) -> str:
        return self.name.partition("_")[0]

    @property
    def quantity_precision(self) -> int:
        return decimal_places(self.step_size)

    @property
    def price_precision(self) -> int:
        return decimal_places(self.tick_size)

    def quantity_text(self, quantity: Decimal) -> str:
        """Format a quantity as Binance does: a fixed number of places, never an exponent, never ``-0``."""
        return plain(quantity, self.quantity_precision)


def plain(value: Decimal, places: int | None = None) -> str:
    """Format a decimal without exponent; rounded to ``places`` digits after the point when given."""
    text = f"{value:f}" if places is None else f"{value:.{places}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def load_symbols() -> dict[str, Symbol]:
    """Return all symbols of the packaged file, by name, in the file's order."""
    text = files("simulator").joinpath("symbols.csv").read_text(encoding="ascii")
    rows = list(csv.DictReader(text.splitlines()))
    volumes = _quote_volumes([row["symbol"] for row in rows])
    return {row["symbol"]: _symbol(row, volumes) for row in rows}


def new_symbol(
    name: str,
    *,
    step_size: Decimal,
    tick_size: Decimal,
    first_price: Decimal,
    quote_volume: Decimal = _LEAST_QUOTE_VOLUME,
    contract_type: ContractType = "PERPETUAL",
) -> Symbol:
    """Build a contract with limits derived from sizes and price. ``ValueError`` unless all are above 0."""
    if min(step_size, tick_size, first_price) <= 0:
        raise ValueError(f"{name}: step size, tick size and price must be above 0")
    pair = name.partition("_")[0]
    quote_asset = next((asset for asset in _QUOTE_ASSETS if pair.endswith(asset)), "USDT")
    affordable = (_MAX_MARKET_NOTIONAL / first_price).quantize(step_size, rounding=ROUND_DOWN)
    market_max_qty = max(affordable, 1000 * step_size)
    return Symbol(
        name=name,
        base_asset=pair.removesuffix(quote_asset),
        quote_asset=quote_asset,
        step_size=step_size,
        tick_size=tick_size,
        min_qty=step_size,
        max_qty=market_max_qty * _LOT_SIZE_TO_MARKET_LOT_SIZE,
        market_max_qty=market_max_qty,
        min_notional=MIN_NOTIONAL,
        first_price=first_price,
        quote_volume=quote_volume,
        contract_type=contract_type,
    )


def _symbol(row: Mapping[str, str], quote_volumes: Mapping[str, Decimal]) -> Symbol:
    name, tick_size = row["symbol"], Decimal(row["tick_size"])
    return new_symbol(
        name,
        step_size=Decimal(row["step_size"]),
        tick_size=tick_size,
        first_price=_first_price(name, tick_size),
        quote_volume=quote_volumes[name],
    )


def _first_price(name: str, tick_size: Decimal) -> Decimal:
    if name in _FAMILIAR_PRICES:
        return Decimal(_FAMILIAR_PRICES[name]).quantize(tick_size)
    ticks = 4_000 + _fingerprint(name) % 60_000
    return ticks * tick_size


def _quote_volumes(names: list[str]) -> dict[str, Decimal]:
    ranked = sorted(names, key=lambda name: (name not in _FAMILIAR_PRICES, _fingerprint(name)))
    return {name: Decimal(9_000_000_000 // (rank + 1)) for rank, name in enumerate(ranked)}


def _fingerprint(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def decimal_places(size: Decimal) -> int:
    """Return how many digits after the point a number is written with."""
    exponent = size.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
