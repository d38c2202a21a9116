"""Connections that end, too many of them, and too much said on one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    connect_websocket_url,
    open_websocket_url,
)

from simulator import RunningSimulator
from simulator.incoming_messages import IncomingMessages
from tests.simulator.clients import HttpClient, error_code, next_event, stays_silent


@pytest.fixture
async def nursery() -> AsyncIterator[trio.Nursery]:
    """Connections opened in it are left without a closing handshake."""
    async with trio.open_nursery() as opened:
        yield opened
        opened.cancel_scope.cancel()


async def private(nursery: trio.Nursery, client: HttpClient) -> WebSocketConnection:
    return await connect_websocket_url(nursery, await client.stream_url(), message_queue_size=1000)


async def list_subscriptions(websocket: WebSocketConnection, times: int) -> None:
    for _ in range(times):
        await websocket.send_message('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await websocket.get_message()


async def refused_status(url: str) -> int:
    with pytest.raises(ConnectionRejected) as refused:
        async with open_websocket_url(url):
            pass
    status: int = refused.value.status_code
    return status


async def test_ten_messages_a_second_are_allowed_and_the_eleventh_ends_the_connection(
    client: HttpClient, nursery: trio.Nursery
) -> None:
    websocket = await private(nursery, client)
    for _ in range(10):
        await websocket.ping()
    nursery.start_soon(websocket.ping)
    with pytest.raises(ConnectionClosed):
        await websocket.get_message()
    assert websocket.closed is not None
    assert websocket.closed.code == 1008


async def test_commands_count_as_messages_and_the_limit_can_be_switched_off(
    simulator: RunningSimulator, nursery: trio.Nursery
) -> None:
    url = f"{simulator.addresses.ws_url}/public/stream"
    simulator.exchange.faults.incoming_messages_per_sec = None
    websocket = await connect_websocket_url(nursery, url, message_queue_size=1000)
    await list_subscriptions(websocket, 30)
    simulator.exchange.faults.incoming_messages_per_sec = 10
    with pytest.raises(ConnectionClosed):
        await list_subscriptions(websocket, 12)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 10_000])
async def test_frames_are_counted_whatever_the_pieces_that_their_bytes_come_in(
    simulator: RunningSimulator, piece: int
) -> None:
    floods: list[bool] = []
    counted = IncomingMessages(simulator.exchange.faults, lambda: floods.append(True))
    ping = b"\x89\x80" + b"mask"
    text = b"\x81\xfe" + (300).to_bytes(2, "big") + b"mask" + b"x" * 300
    pong, close = b"\x8a\x80" + b"mask", b"\x88\x80" + b"mask"
    data = (ping + text + pong) * 5 + close
    for start in range(0, len(data), piece):
        counted.count(data[start : start + piece])
    assert floods == []
    counted.count(ping)
    assert floods == [True]


@pytest.mark.parametrize("after_sec", [0, 0.05])
async def test_connections_can_be_accepted_and_closed(
    client: HttpClient, nursery: trio.Nursery, after_sec: float
) -> None:
    client.exchange.faults.close_streams_after_sec = after_sec
    began_sec = trio.current_time()
    websocket = await private(nursery, client)
    with pytest.raises(ConnectionClosed):
        await websocket.get_message()
    assert trio.current_time() - began_sec >= after_sec
    client.exchange.faults.clear()
    websocket = await private(nursery, client)
    await websocket.ping()


async def test_the_key_can_expire_as_soon_as_a_connection_stands(
    client: HttpClient, nursery: trio.Nursery
) -> None:
    client.exchange.faults.expire_key_on_connect = True
    websocket = await private(nursery, client)
    assert (await next_event(websocket))["e"] == "listenKeyExpired"
    await websocket.ping()
    assert error_code(await client.keyed("PUT", "/fapi/v1/listenKey")) == -1125


async def test_private_connections_can_flap_and_the_others_stay(
    client: HttpClient, nursery: trio.Nursery
) -> None:
    url = f"{client.ws_url}/market/ws/!markPrice@arr@1s"
    async with open_websocket_url(url, message_queue_size=10_000) as prices:
        client.exchange.faults.drop_streams_every_sec = 0.1
        for _ in range(3):
            websocket = await private(nursery, client)
            with pytest.raises(ConnectionClosed):
                await websocket.get_message()
        client.exchange.faults.drop_streams_every_sec = None
        await prices.get_message()
        await prices.ping()
    websocket = await private(nursery, client)
    await stays_silent(websocket, 0.3)


async def test_too_many_connections_ban_the_address(client: HttpClient, nursery: trio.Nursery) -> None:
    client.exchange.faults.connections_per_5_min = 3
    open_one = await private(nursery, client)
    client.exchange.faults.refuse_streams = True
    url = f"{client.ws_url}/public/stream"
    assert [await refused_status(url) for _ in range(4)] == [503, 503, 418, 418]
    banned = await client.keyed("GET", "/fapi/v1/time")
    assert (banned.status_code, banned.headers["Retry-After"]) == (418, "120")
    await open_one.ping()


async def test_handshakes_are_counted_by_face_and_time(client: HttpClient, nursery: trio.Nursery) -> None:
    await private(nursery, client)
    between_sec = trio.current_time()
    async with open_websocket_url(f"{client.ws_url}/public/stream"):
        pass
    streams = client.simulator.streams
    assert (streams.connections_opened("private"), streams.connections_opened("public")) == (1, 1)
    assert (streams.connections_opened(), streams.connections_opened("market")) == (2, 0)
    assert streams.connections_opened(since_sec=between_sec) == 1
    counts = (await client.http.get("/simulator/streams")).json()
    assert (counts["open"]["private"], counts["opened"]["public"]) == (1, 1)
    assert counts["opened_in_5_min"] == counts["opened"]
