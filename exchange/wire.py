"""The JSON of Binance's REST answers, as far as it is read, and what it becomes.

Source: Binance USDⓈ-M Futures, REST API. Amounts and prices are decimal text; times are epoch ms.
Every function raises ExchangeUnavailable for a body that is not what it should be: it may have been cut, or
come from something that stands before the exchange, and asking again may give the real one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from brain.numbers import ZERO
from brain.position import Leg, LegPosition
from brain.symbol_rules import SymbolRules
from exchange.errors import ExchangeUnavailable
from exchange.exact import finite
from exchange.protocol import PositionRow

T = TypeVar("T")

#: Named once: up to Python 3.11, a look into an enum takes as long as ten others.
_BOTH = Leg.BOTH


class ErrorBody(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


class ServerTimeBody(msgspec.Struct, frozen=True, rename="camel"):
    server_time: int


class ListenKeyBody(msgspec.Struct, frozen=True, rename="camel"):
    listen_key: str = ""


class PositionModeBody(msgspec.Struct, frozen=True, rename="camel"):
    dual_side_position: bool


class PositionRiskRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    leverage: Decimal
    position_side: Leg
    update_time: int


class Filter(msgspec.Struct, frozen=True, rename="camel"):
    filter_type: str
    step_size: Decimal = ZERO
    min_qty: Decimal = ZERO
    max_qty: Decimal = ZERO


class SymbolInfo(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    filters: tuple[Filter, ...]


class RateLimitInfo(msgspec.Struct, frozen=True, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class ExchangeInfoBody(msgspec.Struct, frozen=True, rename="camel"):
    symbols: tuple[SymbolInfo, ...]
    rate_limits: tuple[RateLimitInfo, ...] = ()

    @property
    def weight_per_min(self) -> int | None:
        """What one address may ask a minute (2400), if the answer says."""
        return next(
            (
                limit.limit
                for limit in self.rate_limits
                if limit.rate_limit_type == "REQUEST_WEIGHT"
                and limit.interval == "MINUTE"
                and limit.interval_num == 1
            ),
            None,
        )


class DayTicker(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    quote_volume: Decimal


class UserTrade(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    order_id: int
    qty: Decimal
    time: int


class Body(msgspec.Struct, frozen=True):
    """The bytes of an answer with status 200."""

    raw: bytes

    def read(self, decoder: msgspec.json.Decoder[T]) -> T:
        """What the body says, by `decoder`."""
        try:
            return decoder.decode(self.raw)
        except msgspec.DecodeError as error:
            raise ExchangeUnavailable(f"unreadable answer: {error}") from None


#: The rows as they came, for `position_rows`: to read thousands takes longer than others are to wait.
POSITION_RISK = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_POSITION_RISK_ROW = msgspec.json.Decoder(PositionRiskRow)
EXCHANGE_INFO = msgspec.json.Decoder(ExchangeInfoBody)
DAY_TICKERS = msgspec.json.Decoder(tuple[DayTicker, ...])
POSITION_MODE = msgspec.json.Decoder(PositionModeBody)
SERVER_TIME = msgspec.json.Decoder(ServerTimeBody)
LISTEN_KEY = msgspec.json.Decoder(ListenKeyBody)
USER_TRADES = msgspec.json.Decoder(tuple[UserTrade, ...])
ERROR = msgspec.json.Decoder(ErrorBody)


def position_rows(rows: Iterable[msgspec.Raw], mark_ts_ms: int) -> list[PositionRow]:
    """Some rows of `positionRisk`, all numbers finite."""
    try:
        return [_position_row(_POSITION_RISK_ROW.decode(row), mark_ts_ms) for row in rows]
    except (msgspec.DecodeError, ValueError) as error:
        raise ExchangeUnavailable(f"unreadable answer: positionRisk: {error}") from None


def _position_row(row: PositionRiskRow, mark_ts_ms: int) -> PositionRow:
    return PositionRow(
        symbol=row.symbol,
        position=LegPosition(
            row.position_side,
            finite(row.position_amt),
            finite(row.entry_price),
            row.update_time,
        ),
        leverage=finite(row.leverage),
        mark_price=finite(row.mark_price),
        mark_ts_ms=mark_ts_ms,
    )


def tradable_rows(rows: Sequence[PositionRow]) -> tuple[PositionRow, ...]:
    """All rows of an answer, less the flat BOTH rows that an account in hedge mode gets and cannot trade."""
    hedged = {row.symbol for row in rows if row.position.leg is not _BOTH}
    if not hedged:
        return tuple(rows)
    return tuple(
        row
        for row in rows
        if row.position.leg is not _BOTH or row.symbol not in hedged or row.position.amount != 0
    )


def rules_of(info: SymbolInfo) -> SymbolRules | None:
    """A symbol's market lot size; None for one without lot sizes, which nobody can trade.

    MARKET_LOT_SIZE comes with a step of 0 for some symbols, which means that LOT_SIZE's step holds.
    """
    filters = {entry.filter_type: entry for entry in info.filters}
    lot, market = filters.get("LOT_SIZE"), filters.get("MARKET_LOT_SIZE")
    if market is None:
        market = lot
    if market is None:
        return None
    step = market.step_size
    if step == 0 and lot is not None:
        step = lot.step_size
    try:
        finite(step), finite(market.min_qty), finite(market.max_qty)
    except ValueError as error:
        raise ExchangeUnavailable(f"unreadable answer: exchangeInfo: {error}") from None
    if step <= 0 or market.max_qty <= 0:
        return None
    return SymbolRules(info.symbol, info.status == "TRADING", step, market.min_qty, market.max_qty)
