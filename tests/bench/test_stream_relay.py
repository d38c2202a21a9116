from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stream_relay import Frames, StreamRelay, text_frame

_HELLO = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
_UPDATE = b'{"e":"ACCOUNT_UPDATE"}'


@given(
    st.lists(st.one_of(st.binary(max_size=300), st.sampled_from([b"x" * 70_000])), max_size=6),
    st.lists(st.integers(0, 3_000), max_size=20),
)
def test_frames_are_found_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    sent = _HELLO + b"".join(map(text_frame, payloads))
    frames = Frames()
    found: list[bytes] = []
    for begin, end in pairwise(sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})):
        found += frames.feed(sent[begin:end])
        complete = end == len(sent) or sent[:end] in {
            _HELLO + b"".join(map(text_frame, payloads[:count])) for count in range(len(payloads))
        }
        assert frames.at_boundary == complete
    assert found == payloads


class _Server:
    """Server of one connection: sends a greeting, then the given bytes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connected = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        self.connection, _ = self._listener.accept()
        self.asked = self.connection.recv(1000)
        self.connection.sendall(_HELLO)
        self.connected.set()

    def close(self) -> None:
        self.connection.close()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.close()


def _connect(relay: StreamRelay) -> socket.socket:
    host, _, port = relay.url.removeprefix("ws://").partition(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    client.sendall(b"GET /private/ws?listenKey=x HTTP/1.1\r\n\r\n")
    return client


def _receive(client: socket.socket, expected: bytes) -> None:
    received = b""
    while len(received) < len(expected):
        received += client.recv(1000)
    assert received == expected


def test_the_relay_passes_everything_on_and_dates_events_about_positions(server: _Server) -> None:
    with StreamRelay(server.url) as relay, _connect(relay) as client:
        _receive(client, _HELLO)
        others = text_frame(b'{"e":"TRADE_LITE"}')
        server.connection.sendall(others + text_frame(_UPDATE))
        _receive(client, others + text_frame(_UPDATE))
        client.sendall(b"pong")
        assert server.connection.recv(100) == b"pong"
        assert server.asked.startswith(b"GET /private/")
        assert len(relay.passed_sec) == 1


def test_an_added_frame_stands_between_frames_never_in_one(server: _Server) -> None:
    frame = text_frame(b"y" * 200)
    with StreamRelay(server.url) as relay, _connect(relay) as client:
        _receive(client, _HELLO)
        server.connection.sendall(frame[:50])
        _receive(client, frame[:50])
        adding = threading.Thread(target=relay.inject, args=([b"added"],))
        adding.start()
        server.connection.sendall(frame[50:])
        _receive(client, frame[50:] + text_frame(b"added"))
        adding.join(10)
        assert not adding.is_alive()
