"""Parser of the symbols of `exchangeInfo`, one by one: an unreadable one is left out and named.

Source: Binance USDⓈ-M Futures, "Exchange Information".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TypeVar

import msgspec

from brain.json_text import read_json
from brain.numbers import ZERO
from brain.symbols.symbol_rules import SymbolRules
from brain.symbols.universe import ListedContract
from exchange.exact import finite, finite_or_none
from exchange.positions_wire import row_symbol

T = TypeVar("T")

_LONGEST_REASON = 120
_INTERVALS_SEC = {"SECOND": 1, "MINUTE": 60}


class Filter(msgspec.Struct, frozen=True, rename="camel"):
    filter_type: str
    step_size: Decimal = ZERO
    min_qty: Decimal = ZERO
    max_qty: Decimal = ZERO
    notional: object = None


class SymbolInfo(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    filters: tuple[Filter, ...]


class _Contract(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    status: str
    contract_type: msgspec.Raw = msgspec.Raw(b'""')
    quote_asset: msgspec.Raw = msgspec.Raw(b'""')
    onboard_date: msgspec.Raw = msgspec.Raw(b"0")
    delivery_date: msgspec.Raw = msgspec.Raw(b"0")


class RateLimitInfo(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class ExchangeInfoBody(msgspec.Struct, frozen=True, rename="camel"):
    symbols: tuple[msgspec.Raw, ...]
    rate_limits: msgspec.Raw = msgspec.Raw(b"[]")

    @property
    def weight_per_min(self) -> int | None:
        """Request weight limit of one address a minute (2400); None: not readable in the answer."""
        return self._limits("REQUEST_WEIGHT").get(60)

    @property
    def order_limits(self) -> dict[int, int]:
        """Limits on the orders of an account by interval (seconds), as far as readable in the answer."""
        return self._limits("ORDERS")

    def _limits(self, limit_type: str) -> dict[int, int]:
        try:
            limits = read_json(_RATE_LIMITS, self.rate_limits)
        except msgspec.DecodeError:
            return {}
        return {
            _INTERVALS_SEC[limit.interval] * limit.interval_num: limit.limit
            for limit in limits
            if limit.rate_limit_type == limit_type and limit.interval in _INTERVALS_SEC
        }


EXCHANGE_INFO = msgspec.json.Decoder(ExchangeInfoBody)
_RATE_LIMITS = msgspec.json.Decoder(tuple[RateLimitInfo, ...])
_SYMBOL = msgspec.json.Decoder(SymbolInfo)
_CONTRACT = msgspec.json.Decoder(_Contract)
_TEXT = msgspec.json.Decoder(str)
_DATE = msgspec.json.Decoder(int, strict=False)


def symbol_rules(rows: Iterable[msgspec.Raw], unreadable: dict[str, str]) -> dict[str, SymbolRules]:
    """Parse the rules of some symbols, without those that have no lot sizes and cannot be traded.

    Unreadable symbols go into `unreadable`, with a reason; "" where the name itself is unreadable.
    """
    rules: dict[str, SymbolRules] = {}
    for raw in rows:
        try:
            read = rules_of(read_json(_SYMBOL, raw))
        except (msgspec.DecodeError, ValueError) as error:
            unreadable.setdefault(row_symbol(raw), str(error)[:_LONGEST_REASON])
        else:
            if read is not None:
                rules[read.symbol] = read
    return rules


def contracts(rows: Iterable[msgspec.Raw]) -> Iterator[ListedContract]:
    """Yield the contracts of some symbols; those without a readable name and status are skipped.

    Any other text that cannot be read is empty, and such a date 0.
    """
    for raw in rows:
        try:
            row = read_json(_CONTRACT, raw)
        except msgspec.DecodeError:
            continue
        yield ListedContract(
            row.symbol,
            row.status,
            _read_or(_TEXT, row.contract_type, ""),
            _read_or(_TEXT, row.quote_asset, ""),
            _read_or(_DATE, row.onboard_date, 0),
            _read_or(_DATE, row.delivery_date, 0),
        )


def _read_or(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, default: T) -> T:
    try:
        return read_json(decoder, raw)
    except msgspec.DecodeError:
        return default


def rules_of(info: SymbolInfo) -> SymbolRules | None:
    """Return a symbol's market lot size; None for one without lot sizes, which cannot be traded.

    MARKET_LOT_SIZE comes with a step of 0 for some symbols, which means that LOT_SIZE's step holds.
    Raises ValueError for numbers that `finite` refuses.
    """
    filters = {entry.filter_type: entry for entry in info.filters}
    lot = filters.get("LOT_SIZE")
    market = filters.get("MARKET_LOT_SIZE", lot)
    if market is None:
        return None
    step = market.step_size
    if step == 0 and lot is not None:
        step = lot.step_size
    finite(step), finite(market.min_qty), finite(market.max_qty)
    if step <= 0 or market.max_qty <= 0:
        return None
    # Only the executor needs it: one that cannot be read leaves the symbol to all others.
    entry = filters.get("MIN_NOTIONAL")
    notional = ZERO if entry is None else finite_or_none(entry.notional)
    trading = info.status == "TRADING"
    return SymbolRules(info.symbol, trading, step, market.min_qty, market.max_qty, notional)
