"""Parsers of the JSON of Binance's REST answers.

Source: Binance USDⓈ-M Futures, REST API. Amounts and prices are decimal text; times are epoch ms.
An invalid body raises ExchangeUnavailable, and is read again: it may have been cut, or come from a proxy.
A single row that cannot be read affects its symbol only; see `positions_wire` and `symbols_wire`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TypeVar

import msgspec

from brain.json_text import read_json
from exchange.errors import ExchangeUnavailable
from exchange.exact import finite
from exchange.wrong_numbers import read_exchange_json

T = TypeVar("T")


class ErrorBody(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


class ServerTimeBody(msgspec.Struct, frozen=True, rename="camel"):
    server_time: int


class ListenKeyBody(msgspec.Struct, frozen=True, rename="camel"):
    listen_key: str = ""


class PositionModeBody(msgspec.Struct, frozen=True, rename="camel"):
    dual_side_position: bool


class DayTicker(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    quote_volume: Decimal


class UserTrade(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    order_id: int
    qty: Decimal
    time: int


class Body(msgspec.Struct, frozen=True):
    """Bytes of an answer with status 200."""

    raw: bytes

    def read(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Decode the body by `decoder`. Raises ExchangeUnavailable."""
        try:
            return read_exchange_json(decoder, self.raw)
        except msgspec.DecodeError as error:
            raise ExchangeUnavailable(f"unreadable answer: {error}") from None


#: Raw rows of an array, to be parsed some at a time, each by itself.
ROWS = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_DAY_TICKER = msgspec.json.Decoder(DayTicker)
POSITION_MODE = msgspec.json.Decoder(PositionModeBody)
SERVER_TIME = msgspec.json.Decoder(ServerTimeBody)
LISTEN_KEY = msgspec.json.Decoder(ListenKeyBody)
USER_TRADES = msgspec.json.Decoder(tuple[UserTrade, ...])
ERROR = msgspec.json.Decoder(ErrorBody)


def header_count(text: str) -> int | None:
    """Return the count of a header; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def day_volumes(rows: Iterable[msgspec.Raw]) -> Iterator[tuple[str, Decimal]]:
    """Return symbol and 24 h quote volume of each row of `ticker/24hr`; unreadable rows are skipped."""
    for row in rows:
        try:
            ticker = read_json(_DAY_TICKER, row)
            yield ticker.symbol, finite(ticker.quote_volume)
        except (msgspec.DecodeError, ValueError):
            continue
