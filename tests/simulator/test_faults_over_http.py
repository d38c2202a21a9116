"""Each fault is switched on and off from outside, through `/simulator/…`, while clients are connected."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    open_websocket_url,
)

from simulator import RunningSimulator
from tests.simulator.clients import HttpClient, error_code, next_amounts, next_event

POSITIONS = "/fapi/v2/positionRisk"


class Remote:
    """Controls of another process: switch faults, move positions, read."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self.http = client.http

    async def post(self, path: str, **body: object) -> None:
        (await self.http.post(f"/simulator{path}", json=body)).raise_for_status()

    async def switch(self, **faults: object) -> None:
        await self.post("/faults", **faults)

    async def all_off(self) -> None:
        (await self.http.delete("/simulator/faults")).raise_for_status()

    async def move(self, target: str, **more: object) -> None:
        await self.post("/position", symbol="BTCUSDT", target=target, **more)

    async def read(self) -> httpx.Response:
        return await self._client.signed("GET", POSITIONS, symbol="BTCUSDT")


@pytest.fixture
def remote(client: HttpClient) -> Remote:
    return Remote(client)


async def test_latency_with_jitter(remote: Remote) -> None:
    await remote.switch(rest_latency_ms=40, rest_jitter_ms=30)
    took_sec = []
    for _ in range(6):
        began_sec = trio.current_time()
        assert (await remote.read()).status_code == 200
        took_sec.append(trio.current_time() - began_sec)
    assert min(took_sec) >= 0.01
    assert max(took_sec) - min(took_sec) > 0.002
    await remote.switch(rest_latency_ms=10_000, rest_jitter_ms=0)
    with trio.move_on_after(0.05) as waited:
        await remote.read()
    assert waited.cancelled_caught
    await remote.all_off()
    assert (await remote.read()).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"), [("429", 429, "3"), ("418", 418, "30"), ("5xx", 502, None)]
)
async def test_refusals(remote: Remote, fault: str, status: int, retry_after: str | None) -> None:
    await remote.switch(rest_fault_rates={fault: 1.0}, retry_after_sec=3, ban_sec=30, server_error_status=502)
    for _ in range(2):
        refused = await remote.read()
        assert refused.status_code == status
        assert refused.headers.get("Retry-After") in (retry_after, retry_after and "29")
    await remote.all_off()
    await remote.post("/ban", seconds=0)
    assert (await remote.read()).status_code == 200


@pytest.mark.parametrize(
    ("fault", "error"),
    [("truncated", httpx.RemoteProtocolError), ("reset", httpx.ReadError), ("hang", httpx.ReadTimeout)],
)
async def test_broken_answers(remote: Remote, fault: str, error: type[httpx.HTTPError]) -> None:
    await remote.switch(rest_fault_rates={fault: 1.0}, rest_fault_paths=[POSITIONS])
    for _ in range(2):
        with pytest.raises(error):
            await remote.http.get(POSITIONS, timeout=0.1)
    await remote.all_off()
    assert (await remote.read()).status_code == 200


async def test_clock_skew(remote: Remote) -> None:
    await remote.switch(clock_skew_ms=-60_000)
    assert error_code(await remote.read()) == -1021
    await remote.all_off()
    assert (await remote.read()).status_code == 200


async def test_dropped_delayed_reordered_and_repeated_events(
    remote: Remote, websocket: WebSocketConnection
) -> None:
    await remote.switch(drop_event_rate=1.0)
    await remote.move("0.001")
    await remote.switch(drop_event_rate=0.0, event_delay_ms=30, event_jitter_ms=10)
    began_sec = trio.current_time()
    await remote.move("0.002")
    assert await next_amounts(websocket) == ["0.002"]
    assert trio.current_time() - began_sec >= 0.02
    await remote.all_off()
    await remote.switch(reorder_event_rate=1.0, reorder_hold_ms=500)
    await remote.move("0.003")
    await remote.all_off()
    await remote.move("0.004")
    assert await next_amounts(websocket, 2) == ["0.004", "0.003"]
    await remote.switch(duplicate_event_rate=1.0)
    await remote.move("0.005")
    assert await next_amounts(websocket, 2) == ["0.005", "0.005"]
    await remote.all_off()
    await remote.move("0.006")
    await websocket.ping()
    assert await next_amounts(websocket) == ["0.006"]


async def test_a_frozen_socket(remote: Remote, websocket: WebSocketConnection) -> None:
    await remote.post("/streams", action="freeze", face="private")
    with trio.move_on_after(0.05) as waited:
        await websocket.ping()
    assert waited.cancelled_caught
    await remote.post("/streams", action="thaw")
    await websocket.ping()


@pytest.mark.parametrize(("action", "code"), [("disconnect", 1001), ("reset", 1006)])
async def test_a_forced_disconnect(
    remote: Remote, websocket: WebSocketConnection, action: str, code: int
) -> None:
    await remote.post("/streams", action=action)
    with pytest.raises(ConnectionClosed) as ended:
        await websocket.get_message()
    assert (ended.value.reason.code if ended.value.reason else 1006) == code


async def handshake(simulator: RunningSimulator) -> str:
    """Return the status line that a new stream's handshake is answered with."""
    port = int(simulator.addresses.ws_url.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(
            b"GET /public/stream HTTP/1.1\r\nHost: simulator\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        return bytes(await stream.receive_some()).split(b"\r\n")[0].decode()


async def test_new_streams_are_kept_out(simulator: RunningSimulator, remote: Remote) -> None:
    assert " 101 " in await handshake(simulator)
    await remote.switch(refuse_streams=True)
    assert " 503 " in await handshake(simulator)
    await remote.switch(refuse_streams=False, reset_new_streams=True)
    with pytest.raises(trio.BrokenResourceError):
        await handshake(simulator)
    await remote.switch(reset_new_streams=False, freeze_new_streams=True)
    with trio.move_on_after(0.05) as waited:
        await handshake(simulator)
    assert waited.cancelled_caught
    await remote.all_off()
    assert " 101 " in await handshake(simulator)


async def test_mark_prices_in_several_frames(simulator: RunningSimulator, remote: Remote) -> None:
    listed = list(simulator.exchange.listing.symbols)
    url = f"{simulator.addresses.ws_url}/market/ws/!markPrice@arr@1s"
    async with open_websocket_url(url) as prices:
        assert await symbols_in(prices) > set(listed)
        await remote.switch(mark_price_frames=2, coin_m_mark_prices=False)
        while len(first := await symbols_in(prices)) >= len(listed):
            pass
        assert await symbols_in(prices) == set(listed) - first
        assert len(first) < len(listed)
    assert (await remote.http.post("/simulator/faults", json={"mark_price_frames": 0})).status_code == 400


async def symbols_in(prices: WebSocketConnection) -> set[str]:
    return {update["s"] for update in msgspec.json.decode(await prices.get_message())}


@pytest.mark.parametrize(("as_text", "kind"), [(True, str), (False, int)])
async def test_listen_key_expiry(
    client: HttpClient, remote: Remote, websocket: WebSocketConnection, as_text: bool, kind: type[Any]
) -> None:
    await remote.switch(listen_key_expired_time_as_text=as_text)
    await remote.post("/streams", action="expire_listen_key")
    assert isinstance((await next_event(websocket, "listenKeyExpired"))["E"], kind)
    assert error_code(await client.keyed("PUT", "/fapi/v1/listenKey")) == -1125
    assert len(await client.listen_key()) == 64


async def test_hedge_mode(client: HttpClient, remote: Remote, websocket: WebSocketConnection) -> None:
    await remote.post("/position-mode", hedge_mode=True)
    assert (await client.signed("GET", "/fapi/v1/positionSide/dual")).json() == {"dualSidePosition": True}
    await remote.switch(account_update_shows_all_legs=True)
    await remote.move("-0.5", position_side="SHORT")
    rows = (await next_event(websocket, "ACCOUNT_UPDATE"))["a"]["P"]
    assert [row["ps"] for row in rows] == ["BOTH", "LONG", "SHORT"]
    await remote.all_off()
    await remote.move("0.25", position_side="LONG")
    (row,) = (await next_event(websocket, "ACCOUNT_UPDATE"))["a"]["P"]
    assert (row["ps"], Decimal(row["pa"])) == ("LONG", Decimal("0.25"))
    for leg in ("LONG", "SHORT"):
        await remote.move("0", position_side=leg)
    await remote.post("/position-mode", hedge_mode=False)
    assert {row["positionSide"] for row in (await remote.read()).json()} == {"BOTH"}


async def test_unexpected_events_are_sent_as_they_are(remote: Remote, websocket: WebSocketConnection) -> None:
    await remote.post("/balance", amount="-1.5", reason="FUNDING_FEE")
    await remote.post("/balance", amount="2", reason="MARGIN_TRANSFER", symbol="BTCUSDT")
    await remote.post("/leverage", symbol="BTCUSDT", leverage=9)
    await remote.post("/frame", text='{"e":"SOMETHING_OF_2031"}')
    events = [await next_event(websocket) for _ in range(4)]
    assert [event["e"] for event in events] == [
        "ACCOUNT_UPDATE",
        "ACCOUNT_UPDATE",
        "ACCOUNT_CONFIG_UPDATE",
        "SOMETHING_OF_2031",
    ]
    assert [len(event["a"]["P"]) for event in events[:2]] == [0, 1]
