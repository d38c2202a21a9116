from __future__ import annotations

import struct
import sys
import time
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from trio import socket as trio_socket

from simulator.faulty_sockets import FaultySocket, listen

Pair = tuple[FaultySocket, trio.SocketStream]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Both ends of one connection: the faulty server's, and the client's."""
    async with await listen("127.0.0.1", 0) as listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.port)
        async with client, await listener.accept() as server:
            yield server, client


async def test_a_read_that_already_waits_when_the_freeze_comes_stalls_too(pair: Pair) -> None:
    server, client = pair
    read: list[bytes] = []

    async def receive() -> None:
        read.append(bytes(await server.receive_some()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        server.freeze()
        await client.send_all(b"late")
        await trio.sleep(0.03)
        assert read == []
        server.thaw()
    assert read == [b"late"]


async def test_a_frozen_write_sends_nothing_until_it_is_thawed(pair: Pair) -> None:
    server, client = pair
    server.freeze()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.send_all, b"late")
        with trio.move_on_after(0.03) as waited:
            await client.receive_some()
        assert waited.cancelled_caught
        server.thaw()
        assert await client.receive_some() == b"late"


async def test_a_reset_is_an_error_for_the_peer_and_not_an_end(pair: Pair) -> None:
    server, client = pair
    await server.reset()
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()


async def test_a_cut_spares_the_head_and_ends_the_body_early(pair: Pair) -> None:
    server, client = pair
    server.cut_body_after(3)
    await server.send_all(b"HTTP/1.1 200 OK\r\n\r\nab")
    with pytest.raises(trio.BrokenResourceError):
        await server.send_all(b"cdef")
    received = b""
    while data := await client.receive_some():
        received += data
    assert received == b"HTTP/1.1 200 OK\r\n\r\nabc"


async def test_a_closed_socket_is_no_longer_among_the_open_ones() -> None:
    async with (
        await listen("127.0.0.1", 0) as listener,
        await trio.open_tcp_stream("127.0.0.1", listener.port),
    ):
        server = await listener.accept()
        assert listener.open_sockets == {server}
        await server.aclose()
        assert listener.open_sockets == set()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does not note arrivals")
async def test_bytes_that_are_read_late_arrived_when_they_were_sent(pair: Pair) -> None:
    server, client = pair
    before_ms = time.time() * 1000
    await client.send_all(b"early")
    await trio.sleep(0.05)
    late_ms = time.time() * 1000
    assert await server.receive_some() == b"early"
    assert before_ms - 1 <= server.arrived_ms < late_ms - 10


async def test_a_read_of_a_reset_connection_is_broken_and_one_of_a_closed_stream_closed(pair: Pair) -> None:
    server, client = pair
    client.setsockopt(trio_socket.SOL_SOCKET, trio_socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await server.receive_some()
    await server.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await server.receive_some()
