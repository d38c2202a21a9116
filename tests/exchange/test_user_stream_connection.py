"""The private stream's connection against the simulator, over real sockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from clock import HostClock
from exchange.errors import ExchangeUnavailable
from exchange.protocol import Frame, Pong
from exchange.user_stream_connection import UserStreamConnection, UserStreamConnector
from simulator import RunningSimulator, external_events
from tests.background import background
from tests.exchange.parts import Parts


@asynccontextmanager
async def connected(simulator: RunningSimulator, parts: Parts) -> AsyncIterator[UserStreamConnection]:
    connector = UserStreamConnector(simulator.addresses.ws_url, clock=HostClock())
    async with trio.open_nursery() as nursery:
        connection = await connector.connect(nursery, await parts.rest.create_listen_key())
        try:
            yield connection
        finally:
            await connection.aclose()
        nursery.cancel_scope.cancel()


async def test_frames_come_as_they_were_sent(simulator: RunningSimulator, parts: Parts) -> None:
    async with connected(simulator, parts) as connection:
        before = parts.clock.now()
        external_events.send_frame(simulator.exchange, b'{"e":"HELLO"}', "HELLO")
        frame = await connection.receive()
        assert isinstance(frame, Frame)
        assert frame.raw == '{"e":"HELLO"}'
        assert before <= frame.received <= parts.clock.now()


async def test_a_pong_comes_behind_every_frame_that_arrived_before_it(
    simulator: RunningSimulator, parts: Parts
) -> None:
    frames = 500
    heard: list[Frame | Pong] = []
    async with connected(simulator, parts) as connection, trio.open_nursery() as nursery:
        for number in range(frames):
            external_events.send_frame(simulator.exchange, b"%d" % number, "x")
        # All of them lie in the queue, none was received, and the ping is answered behind them.
        await trio.sleep(0.05)
        before = parts.clock.now()
        nursery.start_soon(connection.ping)
        await wait_all_tasks_blocked(0.05)
        while not heard or not isinstance(heard[-1], Pong):
            heard.append(await connection.receive())
    assert len(heard) == frames + 1
    pong = heard[-1]
    assert isinstance(pong, Pong)
    assert before <= pong.sent
    assert [int(frame.raw) for frame in heard[:-1] if isinstance(frame, Frame)] == list(range(frames))


async def test_a_receiver_that_already_waits_is_given_the_pong(
    simulator: RunningSimulator, parts: Parts
) -> None:
    async with connected(simulator, parts) as connection, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(connection.ping)
            assert isinstance(await connection.receive(), Pong)


async def test_a_frozen_connection_answers_no_ping_and_can_be_left_at_once(
    simulator: RunningSimulator, parts: Parts
) -> None:
    async with connected(simulator, parts) as connection, background(connection.receive):
        simulator.streams.freeze("private")
        with trio.move_on_after(0.1) as waited:
            await connection.ping()
        assert waited.cancelled_caught


async def test_frames_sent_before_the_end_are_received_before_the_end_is_reported(
    simulator: RunningSimulator, parts: Parts
) -> None:
    async with connected(simulator, parts) as connection:
        external_events.move_position(simulator.exchange, "BTCUSDT", target=Decimal(1))
        await wait_all_tasks_blocked(0.02)
        await simulator.streams.disconnect("private")
        heard: list[Frame | Pong] = []

        async def receive_all() -> None:
            while True:
                heard.append(await connection.receive())

        with pytest.raises(ExchangeUnavailable):
            await receive_all()
        assert any("ACCOUNT_UPDATE" in str(frame.raw) for frame in heard if isinstance(frame, Frame))
        with pytest.raises(ExchangeUnavailable):
            await connection.ping()


async def test_a_broken_connection_is_reported(simulator: RunningSimulator, parts: Parts) -> None:
    async with connected(simulator, parts) as connection:
        await simulator.streams.reset("private")
        with pytest.raises(ExchangeUnavailable):
            await connection.receive()


async def test_a_handshake_that_is_never_answered_ends_in_time(
    simulator: RunningSimulator, parts: Parts
) -> None:
    simulator.exchange.faults.freeze_new_streams = True
    connector = UserStreamConnector(simulator.addresses.ws_url, clock=HostClock(), connect_timeout_sec=0.1)
    key = await parts.rest.create_listen_key()
    async with trio.open_nursery() as nursery:
        with pytest.raises(ExchangeUnavailable):
            await connector.connect(nursery, key)
        nursery.cancel_scope.cancel()


async def test_a_refused_connection_reports_no_secret(
    simulator: RunningSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = UserStreamConnector(simulator.addresses.ws_url, clock=HostClock())
    simulator.exchange.faults.refuse_unknown_streams = True
    async with trio.open_nursery() as nursery:
        with pytest.raises(ExchangeUnavailable) as refused:
            await connector.connect(nursery, "no-such-listen-key")
        simulator.exchange.faults.refuse_streams = True
        with pytest.raises(ExchangeUnavailable) as reset:
            await connector.connect(nursery, "no-such-listen-key")
        nursery.cancel_scope.cancel()
    assert "no-such-listen-key" not in f"{refused.value!r} {reset.value!r} {caplog.text}"
