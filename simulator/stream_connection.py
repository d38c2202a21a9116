"""One client of the stream server: its subscriptions, and its queue of outgoing frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from simulator.faulty_sockets import FaultySocket
from simulator.subscription import Subscription

_OUTBOX_FRAMES = 50_000
_CLOSE_HANDSHAKE_SEC = 0.5
_GOING_AWAY = 1001
_POLICY_VIOLATION = 1008
_encode = msgspec.json.encode


class _Command(msgspec.Struct):
    method: str
    params: list[str] = []
    id: Any = None


class StreamConnection:
    """Frames are queued without waiting and sent in order; a client that lets 50 000 pile up is dropped."""

    def __init__(
        self,
        websocket: WebSocketConnection,
        socket: FaultySocket,
        target: Subscription,
        accepts: Callable[[str], bool],
        flooded: trio.Event,
    ) -> None:
        """``flooded``, once set, ends the connection for too many incoming messages."""
        self.socket = socket
        self.target = target
        self.streams = set(target.streams)
        self._websocket = websocket
        self._accepts = accepts
        self._cancel_scope = trio.CancelScope()
        self._closed: trio.Event | None = None
        self._flooded = flooded
        self._outbox, self._to_send = trio.open_memory_channel[bytes](_OUTBOX_FRAMES)

    async def run(
        self, ping_interval_sec: float, pong_timeout_sec: float, close_after_sec: float | None = None
    ) -> None:
        """Send, read and ping until the client goes, the connection is dropped or its time is over."""
        with self._cancel_scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_frames)
                nursery.start_soon(self._refuse_flood)
                if close_after_sec is not None:
                    nursery.start_soon(self._close_after, close_after_sec)
                nursery.start_soon(self._ping, ping_interval_sec, pong_timeout_sec)
                await self._read_commands()
                nursery.cancel_scope.cancel()

    def wants(self, event_type: str) -> bool:
        return not self.target.event_types or event_type in self.target.event_types

    def queue(self, stream: str, frame: bytes) -> None:
        """Put a frame of that stream on its way. Does not wait."""
        if self.target.combined:
            frame = b'{"stream":' + _encode(stream) + b',"data":' + frame + b"}"
        self._queue_raw(frame)

    def drop(self) -> None:
        """End the connection without a closing handshake."""
        self._cancel_scope.cancel()

    async def _refuse_flood(self) -> None:
        await self._flooded.wait()
        await self.close(_POLICY_VIOLATION)

    async def _close_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        await self.close()

    async def close(self, code: int = _GOING_AWAY) -> None:
        """End the connection with a closing handshake if the client answers it within half a second."""
        self._closed = trio.Event()
        with trio.move_on_after(_CLOSE_HANDSHAKE_SEC):
            await self._websocket.aclose(code)
        self._closed.set()
        self.drop()

    def _queue_raw(self, frame: bytes) -> None:
        try:
            self._outbox.send_nowait(frame)
        except trio.WouldBlock:
            self.drop()

    async def _send_frames(self) -> None:
        try:
            async for frame in self._to_send:
                await self._websocket.send_message(_as_message(frame))
        except ConnectionClosed:
            self.drop()

    async def _read_commands(self) -> None:
        while True:
            try:
                message = await self._websocket.get_message()
            except ConnectionClosed:
                if self._closed is not None:
                    await self._closed.wait()  # the end of this method would cut the handshake short
                return
            self._queue_raw(_encode(self._obey(message)))

    async def _ping(self, interval_sec: float, timeout_sec: float) -> None:
        while True:
            await trio.sleep(interval_sec)
            try:
                with trio.fail_after(timeout_sec):
                    await self._websocket.ping()
            except (ConnectionClosed, trio.TooSlowError):
                self.drop()
                return

    def _obey(self, message: str | bytes) -> dict[str, Any]:
        try:
            command = msgspec.json.decode(message, type=_Command)
        except msgspec.DecodeError:
            return {"error": {"code": 3, "msg": "Invalid JSON: expected a request object"}, "id": None}
        if command.method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(self.streams), "id": command.id}
        if command.method == "UNSUBSCRIBE":
            self.streams.difference_update(command.params)
            return {"result": None, "id": command.id}
        if command.method == "SUBSCRIBE" and all(self._accepts(stream) for stream in command.params):
            self.streams.update(command.params)
            return {"result": None, "id": command.id}
        return {"error": {"code": 2, "msg": "Invalid request"}, "id": command.id}


def _as_message(frame: bytes) -> str | bytes:
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return frame
