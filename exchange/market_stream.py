"""The mark prices of all symbols, once a second.

Source: Binance USDⓈ-M Futures, "Mark Price Stream for All market": `<ws>/market/ws/!markPrice@arr@1s`, each
frame an array with an entry for every symbol. Needs no key.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio
from trio_websocket import ConnectionClosed

from brain.moment import Moment
from clock import Clock
from exchange.errors import UnreadableEvent
from exchange.exact import finite
from exchange.protocol import MarkPriceUpdate
from exchange.websocket import OpenWebSocket, WebSocketHost

_TARGET = "/market/ws/!markPrice@arr@1s"
#: A reader that lags is better served by a connection that waits than by prices of minutes ago.
_FRAMES_WAITING = 2

#: To read so many takes about 1 ms; then others have a turn.
_ROWS_AT_A_TIME = 300

_ROWS = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
_UPDATE = msgspec.json.Decoder(MarkPriceUpdate)


class MarketStreamConnector:
    """Connects to the market stream at a base address such as `wss://fstream.binance.com`."""

    def __init__(self, base_url: str, *, clock: Clock, connect_timeout_sec: float = 5.0) -> None:
        """`connect_timeout_sec` bounds the whole of name resolution, TCP, TLS and WebSocket handshake."""
        self._host = WebSocketHost(
            base_url,
            name="market stream",
            frames_waiting=_FRAMES_WAITING,
            connect_timeout_sec=connect_timeout_sec,
        )
        self._clock = clock

    async def connect(self, nursery: trio.Nursery) -> MarketStreamConnection:
        """A connection that stands; its tasks run in `nursery`. Raises ExchangeUnavailable."""
        return MarketStreamConnection(await self._host.open(nursery, _TARGET), self._clock)


class MarketStreamConnection:
    """The `MarkPriceStream` of real life."""

    def __init__(self, opened: OpenWebSocket, clock: Clock) -> None:
        self._opened = opened
        self._clock = clock

    async def receive(self) -> tuple[Sequence[MarkPriceUpdate], Moment]:
        """The next frame; see `MarkPriceStream`."""
        try:
            raw = await self._opened.websocket.get_message()
        except ConnectionClosed as closed:
            raise self._opened.closed(closed) from None
        received = self._clock.now()
        updates: list[MarkPriceUpdate] = []
        try:
            rows = _ROWS.decode(raw)
            for begin in range(0, len(rows), _ROWS_AT_A_TIME):
                updates += map(_update, rows[begin : begin + _ROWS_AT_A_TIME])
                await trio.lowlevel.checkpoint()
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise UnreadableEvent(f"mark prices: {error}") from None
        return updates, received

    async def aclose(self) -> None:
        """Say goodbye, briefly, and close."""
        await self._opened.aclose()


def _update(row: msgspec.Raw) -> MarkPriceUpdate:
    update = _UPDATE.decode(row)
    finite(update.p)
    return update
