"""The WebSocket streams on loopback: private account events and mark prices.

Source: USDⓈ-M Futures, "User Data Streams" and "WebSocket Market Streams": the server pings every 3 minutes
and waits 10 for the pong; a connection lives for 24 hours. At most 10 incoming messages a second a connection
and 300 connections per five minutes an address. Measured on the demo exchange on 2026-10-03: a handshake with
a dead listen key, a wrong route or an unknown stream succeeds, and the socket stays silent.
"""

from __future__ import annotations

import math
from functools import partial
from random import Random

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketRequest, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from simulator.events import UserEvent
from simulator.exchange import SimulatedExchange
from simulator.faults import FaultDice
from simulator.faulty_sockets import FaultyListener, FaultySocket
from simulator.incoming_messages import IncomingMessages
from simulator.market_answers import mark_price_frames
from simulator.stream_connection import StreamConnection
from simulator.stream_delivery import EventDelivery
from simulator.subscription import NOWHERE, Face, Subscription, parse_subscription

MARK_PRICES_EVERY_SECOND = "!markPrice@arr@1s"
MARK_PRICES = "!markPrice@arr"
_HANDSHAKE_SEC = 10
_CHECK_SEC = 0.1
#: The span that the limit of connections of an address is about.
CONNECTIONS_WINDOW_SEC = 300


class StreamServer:
    """All stream connections of one exchange, and the verbs to make them fail. Durations in seconds."""

    def __init__(
        self,
        exchange: SimulatedExchange,
        *,
        ping_interval_sec: float = 180,
        pong_timeout_sec: float = 600,
        mark_price_interval_sec: float = 1,
        longest_connection_sec: float = 24 * 3600,
    ) -> None:
        self._exchange = exchange
        self._ping_interval_sec = ping_interval_sec
        self._pong_timeout_sec = pong_timeout_sec
        self._mark_price_interval_sec = mark_price_interval_sec
        self._longest_connection_sec = longest_connection_sec
        self._connections: set[StreamConnection] = set()
        self._sockets: set[FaultySocket] = set()
        self._handshakes: list[tuple[float, Face | None]] = []
        dice = FaultDice(exchange.faults, Random(f"{exchange.seed}:streams"))  # noqa: S311 - reproducible
        self._delivery = EventDelivery(exchange.faults, dice, self._hand_on, exchange.sec_until_shown)

    def deliver(self, event: UserEvent) -> None:
        self._delivery.deliver(event)

    def connection_count(self, face: Face | None = None) -> int:
        """Count the clients that have completed their handshake, on one face or on all."""
        return len(self._on_face(face))

    def connections_opened(self, face: Face | None = None, since_sec: float = -math.inf) -> int:
        """Count the handshakes that arrived (accepted or not) at or after ``since_sec`` on trio's clock.

        Of one face or of all; with all, those that named no face or were reset before count as well.
        """
        return sum(at_sec >= since_sec and face in (None, of_face) for at_sec, of_face in self._handshakes)

    def freeze(self, face: Face | None = None) -> None:
        """Stall the open connections: nothing in, nothing out, no FIN. Frames are queued until the thaw."""
        for connection in self._on_face(face):
            connection.socket.freeze()

    def thaw(self) -> None:
        """Let every frozen connection go on, those frozen before their handshake included."""
        for socket in self._sockets:
            socket.thaw()

    async def disconnect(self, face: Face | None = None) -> None:
        """Close the open connections with a close frame."""
        async with trio.open_nursery() as nursery:
            for connection in self._on_face(face):
                self._connections.discard(connection)
                nursery.start_soon(connection.close)

    async def reset(self, face: Face | None = None) -> None:
        """Break the open connections with a RST."""
        for connection in self._on_face(face):
            self._connections.discard(connection)
            await connection.socket.reset()
            connection.drop()

    async def serve(
        self, listener: FaultyListener, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept clients on that listener and pass the account's events to them, until cancelled."""
        self._sockets = listener.open_sockets
        self._exchange.sinks.append(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._delivery.run)
                nursery.start_soon(self._publish_mark_prices)
                nursery.start_soon(self._keep_time)
                await nursery.start(partial(trio.serve_listeners, self._serve_socket, [listener]))
                task_status.started()
        finally:
            self._exchange.sinks.remove(self)

    async def _serve_socket(self, socket: FaultySocket) -> None:
        if self._exchange.faults.reset_new_streams:
            self._count_handshake(None)
            await socket.reset()
            return
        if self._exchange.faults.freeze_new_streams:
            socket.freeze()
        await socket.thawed()
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(_HANDSHAKE_SEC):
                    request = await wrap_server_stream(nursery, socket, message_queue_size=1000)
                await self._serve_request(request, socket)
                nursery.cancel_scope.cancel()
        except* (
            ConnectionClosed,
            HandshakeError,
            LocalProtocolError,
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            trio.TooSlowError,
        ):
            # The client went, or never spoke, or pinged into our goodbye: only its connection ends.
            pass

    async def _serve_request(self, request: WebSocketRequest, socket: FaultySocket) -> None:
        faults = self._exchange.faults
        target = parse_subscription(request.path)
        self._count_handshake(None if target is None else target.face)
        if self._exchange.weights.is_banned(self._exchange.host_ms()):
            await request.reject(418)
            return
        if faults.refuse_streams:
            await request.reject(503)
            return
        if faults.refuse_unknown_streams and target is None:
            await request.reject(404)
            return
        target = NOWHERE if target is None else target
        self._exchange.expire_listen_key()
        if faults.refuse_unknown_streams and not self._may_connect(target):
            await request.reject(400, body=b'{"code":-1125,"msg":"This listenKey does not exist."}')
            return
        flooded = trio.Event()
        socket.on_read = IncomingMessages(faults, flooded.set).count  # all bytes from now on are frames
        websocket = await request.accept()
        connection = StreamConnection(websocket, socket, target, partial(self._accepts, target), flooded)
        self._connections.add(connection)
        try:
            if faults.expire_key_on_connect and self._is_subscribed(connection):
                self._exchange.expire_listen_key(now=True)
            with trio.move_on_after(self._longest_connection_sec):
                await connection.run(
                    self._ping_interval_sec, self._pong_timeout_sec, faults.close_streams_after_sec
                )
        finally:
            self._connections.discard(connection)

    def _count_handshake(self, face: Face | None) -> None:
        now_sec = trio.current_time()
        self._handshakes.append((now_sec, face))
        limit = self._exchange.faults.connections_per_5_min
        if limit is None or self.connections_opened(None, now_sec - CONNECTIONS_WINDOW_SEC) <= limit:
            return
        now_ms = self._exchange.host_ms()
        if not self._exchange.weights.is_banned(now_ms):
            self._exchange.weights.ban_longer(now_ms)

    def _accepts(self, target: Subscription, name: str) -> bool:
        """Judge a name in a SUBSCRIBE: an unknown one is accepted and silent unless refused."""
        known = target.face != "private" or self._exchange.listen_keys.is_live(name)
        return known or not self._exchange.faults.refuse_unknown_streams

    def _is_subscribed(self, connection: StreamConnection) -> bool:
        return connection.target.face == "private" and self._exchange.listen_keys.live in connection.streams

    def _may_connect(self, target: Subscription) -> bool:
        if target.face != "private":
            return True
        if not target.streams:
            return target.combined  # it may still name its listen key with SUBSCRIBE
        return all(self._exchange.listen_keys.is_live(key) for key in target.streams)

    def _on_face(self, face: Face | None) -> list[StreamConnection]:
        return [connection for connection in self._connections if face in (None, connection.target.face)]

    def _hand_on(self, event: UserEvent) -> None:
        listen_key = event.listen_key or self._exchange.listen_keys.live
        if listen_key is None:
            return
        for connection in self._on_face("private"):
            if listen_key in connection.streams and connection.wants(event.event_type):
                connection.queue(listen_key, event.frame)

    async def _publish_mark_prices(self) -> None:
        next_due = trio.current_time()
        round_number = 0
        while True:
            next_due += self._mark_price_interval_sec
            await trio.sleep_until(next_due)
            round_number += 1
            due = [MARK_PRICES_EVERY_SECOND] + ([MARK_PRICES] if round_number % 3 == 0 else [])
            subscribed = [
                (connection, stream)
                for connection in self._on_face("market")
                for stream in due
                if stream in connection.streams
            ]
            if subscribed:
                frames = mark_price_frames(self._exchange)
                for connection, stream in subscribed:
                    for frame in frames:
                        connection.queue(stream, frame)

    async def _keep_time(self) -> None:
        """Expire listen keys and, every ``drop_streams_every_sec`` from when that was set, drop connections.

        One task does both, because tests wait for moments in which nothing here is awake.
        """
        every_sec, due_sec = None, math.inf
        while True:
            await trio.sleep(_CHECK_SEC)
            self._exchange.expire_listen_key()
            now_sec = trio.current_time()
            if self._exchange.faults.drop_streams_every_sec != every_sec:
                every_sec = self._exchange.faults.drop_streams_every_sec
                due_sec = math.inf if every_sec is None else now_sec + every_sec
            if every_sec is not None and now_sec >= due_sec:
                due_sec = max(due_sec + every_sec, now_sec)
                for connection in self._on_face("private"):
                    connection.drop()
