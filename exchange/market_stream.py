"""The mark prices of all symbols, once a second.

Source: Binance USDⓈ-M Futures, "Mark Price Stream for All market": `<ws>/market/ws/!markPrice@arr@1s`, each
frame an array with an entry for every symbol. Needs no key.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio
from trio_websocket import ConnectionClosed

from brain.json_text import read_json
from brain.moment import Moment
from clock import Clock
from exchange.errors import UnreadableEvent
from exchange.exact import finite
from exchange.names import NameResolver
from exchange.protocol import MarkPriceUpdate
from exchange.websocket import OpenWebSocket, WebSocketHost
from exchange.wrong_numbers import read_exchange_json

_TARGET = "/market/ws/!markPrice@arr@1s"
#: A reader that lags is better served by a connection that waits than by prices of minutes ago.
_FRAMES_WAITING = 2

#: To read so many takes about 1 ms; then others have a turn.
_ROWS_AT_A_TIME = 300

_ROWS = msgspec.json.Decoder(tuple[msgspec.Raw, ...])
#: `st` since the merger of the matching engines: rows of COIN-M come in the same array.
_USDT_MARGINED = 1


class _Row(MarkPriceUpdate, frozen=True):
    st: int = _USDT_MARGINED


_ROW = msgspec.json.Decoder(_Row)


class MarketStreamConnector:
    """Connects to the market stream at a base address such as `wss://fstream.binance.com`."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        connect_timeout_sec: float = 5.0,
        names: NameResolver | None = None,
    ) -> None:
        """`connect_timeout_sec` bounds the whole of name resolution, TCP, TLS and WebSocket handshake.
        `names` looks up the host's addresses; None: each connection by itself."""
        self._host = WebSocketHost(
            base_url,
            name="market stream",
            frames_waiting=_FRAMES_WAITING,
            connect_timeout_sec=connect_timeout_sec,
            names=names,
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
        raw, received = await self.receive_raw()
        updates: list[MarkPriceUpdate] = []
        try:
            rows = read_exchange_json(_ROWS, raw)
        except msgspec.DecodeError as error:
            raise UnreadableEvent(f"mark prices: {error}") from None
        for begin in range(0, len(rows), _ROWS_AT_A_TIME):
            updates += filter(None, map(_update, rows[begin : begin + _ROWS_AT_A_TIME]))
            await trio.lowlevel.checkpoint()
        return updates, received

    async def receive_raw(self) -> tuple[str | bytes, Moment]:
        """The next frame as it came, and when. Raises ExchangeUnavailable once the connection is closed."""
        try:
            raw = await self._opened.websocket.get_message()
        except ConnectionClosed as closed:
            raise self._opened.closed(closed) from None
        return raw, self._clock.now()

    async def aclose(self) -> None:
        """Say goodbye, briefly, and close."""
        await self._opened.aclose()


def _update(raw: msgspec.Raw) -> MarkPriceUpdate | None:
    """The row's price; None for an unreadable row, one of COIN-M, and a price of 0, which is none."""
    try:
        row = read_json(_ROW, raw)
        return row if row.st == _USDT_MARGINED and finite(row.p) > 0 else None
    except (msgspec.DecodeError, ValueError):
        return None
