"""Stream of the mark prices of all symbols, one frame a second.

Source: Binance USDⓈ-M Futures, "Mark Price Stream for All market": `<ws>/market/ws/!markPrice@arr@1s`, each
frame an array with an entry for every symbol. Needs no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import trio
from trio_websocket import ConnectionClosed

from brain.json_text import read_json
from brain.moment import Moment
from clock import Clock
from exchange.errors import UnreadableEvent
from exchange.exact import finite
from exchange.protocol import MarkPriceUpdate
from exchange.websocket import OpenWebSocket, WebSocketConnector
from exchange.wrong_numbers import read_exchange_json

_TARGET = "/market/ws/!markPrice@arr@1s"
#: Rows parsed in one go, about 1 ms; then other tasks run.
_ROWS_AT_A_TIME = 300

_ROWS = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
#: Value of `st` for USDⓈ-M: since the matching engines merged, the array has rows of COIN-M too.
_USDT_MARGINED = 1


class _Row(MarkPriceUpdate, frozen=True, gc=False):
    st: int = _USDT_MARGINED


_ROW = msgspec.json.Decoder(_Row)
_SOME_ROWS = msgspec.json.Decoder(list[_Row])


class MarketStreamConnector(WebSocketConnector):
    """Connector to the market stream at a base address such as `wss://fstream.binance.com`."""

    name = "market stream"
    #: Beyond, the connection stops reading rather than queue prices of minutes ago.
    frames_waiting = 2

    async def connect(self, nursery: trio.Nursery) -> MarketStreamConnection:
        """Return an open connection; its tasks run in `nursery`. Raises ExchangeUnavailable."""
        return MarketStreamConnection(await self.open(nursery, _TARGET), self.clock)


class MarketStreamConnection:
    """`MarkPriceStream` over a WebSocket."""

    def __init__(self, opened: OpenWebSocket, clock: Clock) -> None:
        self._opened = opened
        self._clock = clock

    async def receive(self) -> tuple[Sequence[MarkPriceUpdate], Moment]:
        """Return the next frame; see `MarkPriceStream`."""
        raw, received = await self.receive_raw()
        updates: list[MarkPriceUpdate] = []
        try:
            rows = read_exchange_json(_ROWS, raw)
        except msgspec.DecodeError as error:
            raise UnreadableEvent(f"mark prices: {error}") from None
        for begin in range(0, len(rows), _ROWS_AT_A_TIME):
            updates += _updates(rows[begin : begin + _ROWS_AT_A_TIME])
            await trio.lowlevel.checkpoint()
        return updates, received

    async def receive_raw(self) -> tuple[str | bytes, Moment]:
        """Return the next raw frame and its arrival. Raises ExchangeUnavailable once closed."""
        try:
            raw = await self._opened.websocket.get_message()
        except ConnectionClosed as closed:
            raise self._opened.closed(closed) from None
        return raw, self._clock.now()

    async def aclose(self) -> None:
        """Send a close frame, wait at most 1 s for the answer, and close."""
        await self._opened.aclose()


def _updates(raws: Sequence[msgspec.Raw]) -> list[MarkPriceUpdate]:
    """Return the prices of rows, but for unreadable ones, those of COIN-M, and the price 0, which is none."""
    try:
        # Rows decoded together take a quarter of the time.
        rows = read_json(_SOME_ROWS, b"[%b]" % b",".join(raws))
    except msgspec.DecodeError:
        rows = list(filter(None, map(_readable, raws)))
    return [row for row in rows if row.st == _USDT_MARGINED and _is_price(row.p)]


def _readable(raw: msgspec.Raw) -> _Row | None:
    try:
        return read_json(_ROW, raw)
    except msgspec.DecodeError:
        return None


def _is_price(number: Decimal) -> bool:
    try:
        return finite(number) > 0
    except ValueError:
        return False
