from __future__ import annotations

from decimal import Decimal
from typing import Any

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
from simulator.external_events import move_position
from tests.simulator.clients import HttpClient, next_amounts, next_event


def move(simulator: RunningSimulator, times: int = 1) -> None:
    for _ in range(times):
        move_position(simulator.exchange, "BTCUSDT", delta=Decimal("0.001"))


async def test_a_frozen_connection_neither_pongs_nor_delivers_nor_ends(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    simulator.streams.freeze()
    move(simulator)
    with trio.move_on_after(0.1) as waited:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket.ping)
            await websocket.get_message()
    assert waited.cancelled_caught
    assert websocket.closed is None
    simulator.streams.thaw()
    assert await next_amounts(websocket, 1) == ["0.001"]
    await websocket.ping()


async def test_a_new_connection_works_while_the_old_one_is_frozen(
    client: HttpClient, websocket: WebSocketConnection
) -> None:
    client.simulator.streams.freeze()
    async with open_websocket_url(await client.stream_url()) as fresh:
        move(client.simulator)
        assert await next_amounts(fresh, 1) == ["0.001"]


async def test_freezing_one_face_leaves_the_other(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    async with open_websocket_url(f"{simulator.addresses.ws_url}/market/ws/!markPrice@arr@1s") as prices:
        simulator.streams.freeze("private")
        await prices.get_message()
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(0.05):
                await websocket.ping()


async def test_a_handshake_can_stay_unanswered(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.freeze_new_streams = True
    with trio.move_on_after(0.1) as waited:
        async with trio.open_nursery() as nursery:
            await connect_websocket_url(nursery, f"{simulator.addresses.ws_url}/public/stream")
    assert waited.cancelled_caught
    assert simulator.streams.connection_count() == 0


async def test_connections_can_be_refused(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.refuse_streams = True
    with pytest.raises(ConnectionRejected):
        async with open_websocket_url(f"{simulator.addresses.ws_url}/public/stream"):
            pass


async def test_a_connection_can_be_reset_before_its_handshake(simulator: RunningSimulator) -> None:
    simulator.exchange.faults.reset_new_streams = True
    port = int(simulator.addresses.ws_url.rpartition(":")[2])
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()


async def test_a_forced_disconnect_comes_with_a_close_frame(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(simulator.streams.disconnect)
        with pytest.raises(ConnectionClosed):
            await websocket.get_message()
    assert websocket.closed is not None
    assert websocket.closed.code == 1001
    assert simulator.streams.connection_count() == 0


async def test_a_reset_comes_without_one(simulator: RunningSimulator, websocket: WebSocketConnection) -> None:
    await simulator.streams.reset()
    with pytest.raises(ConnectionClosed) as ended:
        await websocket.get_message()
    assert ended.value.reason is None or ended.value.reason.code == 1006


async def test_a_dropped_event_is_lost_silently(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    simulator.exchange.faults.drop_events_next = 1
    simulator.exchange.faults.drop_event_types = ["ACCOUNT_UPDATE"]
    move(simulator, 2)
    assert await next_amounts(websocket, 1) == ["0.002"]
    await websocket.ping()


async def test_all_events_can_be_dropped(simulator: RunningSimulator, websocket: WebSocketConnection) -> None:
    simulator.exchange.faults.drop_event_rate = 1
    move(simulator)
    simulator.exchange.faults.clear()
    move(simulator)
    assert await next_amounts(websocket, 1) == ["0.002"]


async def test_delayed_events_come_later_and_in_order(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    simulator.exchange.faults.event_delay_ms = 40
    simulator.exchange.faults.event_jitter_ms = 40
    start = trio.current_time()
    move(simulator, 20)
    assert await next_amounts(websocket, 20) == [f"0.{number:03}" for number in range(1, 21)]
    assert trio.current_time() - start >= 0.04


async def test_events_go_on_in_order_when_a_delay_is_switched_off(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    simulator.exchange.faults.event_delay_ms = 30
    move(simulator)
    simulator.exchange.faults.event_delay_ms = 0
    move(simulator)
    assert await next_amounts(websocket, 2) == ["0.001", "0.002"]


async def test_a_reordered_event_is_overtaken_by_later_ones(
    simulator: RunningSimulator, websocket: WebSocketConnection
) -> None:
    simulator.exchange.faults.reorder_event_rate = 1
    move(simulator)
    simulator.exchange.faults.reorder_event_rate = 0
    move(simulator)
    assert await next_amounts(websocket, 2) == ["0.002", "0.001"]


async def test_an_event_can_come_twice(simulator: RunningSimulator, websocket: WebSocketConnection) -> None:
    simulator.exchange.faults.duplicate_event_rate = 1
    move(simulator)
    seen: list[dict[str, Any]] = [await next_event(websocket) for _ in range(4)]
    assert seen[0] == seen[1]
    assert seen[2] == seen[3] != seen[0]
