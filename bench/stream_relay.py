"""Relay between the exchange's streams and a contender: records the moment of each event, and adds bursts.

Measurements begin here, so that neither the exchange's own time nor a request to it is included. The relay
can send more events at once than the simulated exchange, with one transaction time a millisecond.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

_RECEIVE_BYTES = 1 << 16
_HANDSHAKE_END = b"\r\n\r\n"
_PRIVATE = b"GET /private/"
_UPDATE = b'"ACCOUNT_UPDATE"'
_GIVE_UP_SEC = 30.0
_SHORT, _LONG = 126, 127


def text_frame(text: bytes) -> bytes:
    """Encode a WebSocket text frame of a server: final and unmasked."""
    if len(text) < _SHORT:
        return bytes((0x81, len(text))) + text
    if len(text) < 1 << 16:
        return bytes((0x81, _SHORT)) + len(text).to_bytes(2, "big") + text
    return bytes((0x81, _LONG)) + len(text).to_bytes(8, "big") + text


class Frames:
    """Splitter of a server's bytes into frames, after the handshake."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._shaken = False

    @property
    def at_boundary(self) -> bool:
        """True if the handshake is over and no frame is incomplete."""
        return self._shaken and not self._pending

    def feed(self, received: bytes) -> list[bytes]:
        """Return the payloads of the frames that are now complete."""
        self._pending += received
        if not self._shaken:
            _, end, rest = self._pending.partition(_HANDSHAKE_END)
            if not end:
                return []
            self._shaken, self._pending = True, rest
        complete: list[bytes] = []
        while (span := self._span()) is not None and len(self._pending) >= span[1]:
            complete.append(bytes(self._pending[span[0] : span[1]]))
            del self._pending[: span[1]]
        return complete

    def _span(self) -> tuple[int, int] | None:
        """Return begin and end of the first frame's payload, if its head is complete."""
        pending = self._pending
        wide = {_SHORT: 2, _LONG: 8}.get(pending[1] & 0x7F, 0) if len(pending) > 1 else 0
        head = 2 + wide
        if len(pending) < head:
            return None
        length = int.from_bytes(pending[2:head], "big") if wide else pending[1] & 0x7F
        return head, head + length


class StreamRelay:
    """Relay of connections to `ws_url` until closed; clients connect to `url`."""

    def __init__(self, ws_url: str) -> None:
        host, _, port = urlsplit(ws_url).netloc.partition(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        #: Moments at which events about positions were passed on (`time.perf_counter`).
        self.passed_sec: list[float] = []
        self._free = threading.Condition()
        self._private: socket.socket | None = None
        self._frames = Frames()
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            # A shutdown wakes the thread that reads the socket.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def inject(self, texts: Iterable[bytes]) -> float:
        """Send events on the private stream; return the first's moment. Raises OSError, ConnectionError."""
        packed = b"".join(map(text_frame, texts))
        with self._free:
            if not self._free.wait_for(self._is_open, _GIVE_UP_SEC):
                raise ConnectionError("no client is connected to the private stream")
            begun_sec = time.perf_counter()
            if self._private is not None:
                self._private.sendall(packed)
        return begun_sec

    def _is_open(self) -> bool:
        return self._private is not None and self._frames.at_boundary

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        try:
            first = client.recv(_RECEIVE_BYTES)
            private = first.startswith(_PRIVATE)
            if private:
                with self._free:
                    self._private, self._frames = client, Frames()
            downwards = self._pass_frames if private else _pass_bytes
            threading.Thread(target=downwards, args=(server, client), daemon=True).start()
            server.sendall(first)
        except OSError:
            return
        _pass_bytes(client, server)
        with self._free:
            if self._private is client:
                self._private = None

    def _pass_frames(self, server: socket.socket, client: socket.socket) -> None:
        frames = self._frames
        with suppress(OSError):
            while received := server.recv(_RECEIVE_BYTES):
                with self._free:
                    payloads = frames.feed(received)
                    self.passed_sec += [time.perf_counter() for text in payloads if _UPDATE in text]
                    client.sendall(received)
                    self._free.notify_all()
        _end(client)


def _pass_bytes(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while received := source.recv(_RECEIVE_BYTES):
            target.sendall(received)
    _end(target)


def _end(target: socket.socket) -> None:
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
