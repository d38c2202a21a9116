"""Frames of mark prices: each row by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

import msgspec
import pytest

from clock import HostClock
from exchange.errors import UnreadableEvent
from exchange.market_stream import MarketStreamConnection
from exchange.websocket import OpenWebSocket


class Said:
    """A WebSocket on which these frames came."""

    def __init__(self, *frames: bytes) -> None:
        self.websocket = self
        self._frames = list(frames)

    async def get_message(self) -> bytes:
        return self._frames.pop(0)


async def prices(*frames: bytes) -> dict[str, Decimal]:
    connection = MarketStreamConnection(cast("OpenWebSocket", Said(*frames)), HostClock())
    updates, _ = await connection.receive()
    return {update.s: update.p for update in updates}


def row(symbol: str, price: object = "5", **more: object) -> dict[str, object]:
    return {"e": "markPriceUpdate", "E": 1_700_000_000_000, "s": symbol, "p": price, **more}


@pytest.mark.parametrize("bad", ["", None, "NaN", "x", "0.00000000", "-1", "1e15", [], {"a": 1}])
async def test_a_row_without_a_price_is_skipped(bad: object) -> None:
    rows = [row("AUSDT"), row("BUSDT", bad), row("CUSDT")]
    assert list(await prices(msgspec.json.encode(rows))) == ["AUSDT", "CUSDT"]


@pytest.mark.parametrize("bad", [None, 17, [], {}, {"s": "BUSDT"}, {"E": "soon", "s": "BUSDT", "p": "1"}])
async def test_a_row_that_is_none_is_skipped(bad: object) -> None:
    assert list(await prices(msgspec.json.encode([row("AUSDT"), bad]))) == ["AUSDT"]


async def test_rows_of_coin_margined_contracts_are_ignored() -> None:
    rows = [row("BTCUSDT", st=1), row("BTCUSD_PERP", st=2), row("ETHUSDT"), row("XUSDT", st="1")]
    assert list(await prices(msgspec.json.encode(rows))) == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize("frame", [b"{}", b"17", b"", b"[1", b"\xff", b"[" * 50_000, b'{"a":' * 20_000])
async def test_a_frame_that_is_no_array_ends_the_connection(frame: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        await prices(frame)
