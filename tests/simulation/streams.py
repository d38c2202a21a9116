"""The exchange's private streams: its events on their way to every connection, and how they get lost.

Two stretches of way: from the matching engine to the gateway (`delay`, where events may be late, lost, held
back or doubled, while the gateway answers pings all the same), and from there over one connection, in order.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Literal

import msgspec
import trio
from trio_websocket import ConnectionClosed

from simulator.events import UserEvent, listen_key_expired, user_event
from simulator.history import PositionSide
from tests.simulation.clocks import true_ms
from tests.simulation.tripwire import Tripwire
from tests.simulation.venue import Venue

if TYPE_CHECKING:
    from tests.simulation.network import Reach

#: Least reach of a proof into the past; a change announced later than that may be claimed wrongly before.
_ALLOWED_DELAY_SEC = 0.25


#: At once, after up to two seconds, or by `listenKeyExpired`.
Closing = Literal["at once", "soon", "expired"]


class StreamRefusedError(Exception):
    """The exchange does not want this connection."""


class Missed(msgspec.Struct, frozen=True):
    """A change of a leg that a connection was not sent: at true time (ms), and the amount before it."""

    at_ms: int
    symbol: str
    leg: PositionSide
    before: Decimal


class Late(msgspec.Struct, frozen=True):
    """An event to hand on at `due_sec` (trio's clock); the changes of `symbols` in it are of `at_ms`."""

    due_sec: float
    event: UserEvent
    at_ms: int
    symbols: tuple[str, ...]


class WebSocket:
    """The client's end: what `UserStreamConnection` needs of a WebSocket."""

    def __init__(self, listen_key: str, reach: Reach, tripwire: Tripwire, one_way_sec: float) -> None:
        self.listen_key = listen_key
        self.frozen = False
        self.open = True
        #: The first change that its dead key kept from it: when (trio's clock), and the leg's amount before.
        self.missed: Missed | None = None
        #: When its key was first seen to be dead (trio's clock).
        self.dead_since_sec: float | None = None
        self._reach = reach
        self._tripwire = tripwire
        self._one_way_sec = one_way_sec
        self._on_the_way: deque[tuple[float, bytes | trio.Event]] = deque()
        # A channel, as in the real one: a receiver whose wait is cancelled has found nothing.
        self._arriving, self._arrived = trio.open_memory_channel[bytes](math.inf)
        self._changed = trio.lowlevel.ParkingLot()

    async def get_message(self) -> bytes:
        """Return the next frame. Raises ConnectionClosed."""
        try:
            frame = await self._arrived.receive()
        except trio.EndOfChannel:
            raise ConnectionClosed(None) from None
        self._tripwire.cross()
        return frame

    async def ping(self) -> None:
        """Return when the pong has come, behind every frame that was sent before it."""
        await trio.sleep(self._one_way_sec)
        if not self.open:
            raise ConnectionClosed(None)
        answered = trio.Event()
        self.send(answered)
        await answered.wait()
        self._tripwire.cross()
        if not self.open:
            raise ConnectionClosed(None)

    def send(self, item: bytes | trio.Event) -> None:
        """Put a frame, or a pong, on its way to the client."""
        self._on_the_way.append((trio.current_time() + self._one_way_sec, item))
        self._changed.unpark_all()

    def thaw(self) -> None:
        """Let what waited go on."""
        self.frozen = False
        self._changed.unpark_all()

    def hang_up(self, *, last_words: bool = False) -> None:
        """End the connection for both sides; frames on their way are lost, or (`last_words`) come first."""
        if last_words and self.open and not self.frozen and not self._reach.cut_off:
            for _, item in self._on_the_way:
                if isinstance(item, bytes):
                    self._arriving.send_nowait(item)
        self.open = False
        for _, item in self._on_the_way:
            if isinstance(item, trio.Event):
                item.set()
        self._on_the_way.clear()
        self._changed.unpark_all()
        self._arriving.close()

    async def carry(self) -> None:
        """Bring things to the client when they are due, until the end of the connection."""
        while self.open:
            if not self._on_the_way or self.frozen:
                await self._changed.park()
                continue
            due_sec, item = self._on_the_way[0]
            if due_sec > trio.current_time():
                await trio.sleep_until(due_sec)
                continue
            if self._reach.cut_off:
                await self._reach()
                continue
            self._on_the_way.popleft()
            if isinstance(item, trio.Event):
                item.set()
            else:
                self._arriving.send_nowait(item)


class PrivateStreams:
    """All connections to the account's stream; an `EventSink` of the exchange."""

    def __init__(self, venue: Venue, rng: Random, one_way_sec: float) -> None:
        self.refusing = False
        self.delay_sec = 0.0
        self.jitter_sec = 0.0
        self.lose_next = 0
        self.hold_share = 0.0
        self.double_share = 0.0
        #: How new connections end soon after they were accepted, if they do.
        self.closing: Closing | None = None
        #: Let another process delete the key while the next connection is made with it.
        self.delete_key_at_handshake = False
        self._venue = venue
        self._rng = rng
        self._one_way_sec = one_way_sec
        self._connections: dict[WebSocket, None] = {}
        self._due: deque[Late] = deque()
        self._held: list[Late] = []
        self._at_once_ms: int | None = None
        self._last_due_sec = 0.0
        self._delays: deque[tuple[int, float]] = deque()
        self._changed = trio.lowlevel.ParkingLot()
        venue.sinks.append(self)

    def deliver(self, event: UserEvent) -> None:
        """Take an event from the matching engine."""
        live = self._venue.listen_keys.live
        if self.lose_next:
            self.lose_next -= 1
            self._note_change(None)
            return
        deaf = [connection for connection in self._connections if connection.listen_key != live]
        if deaf:
            # Its key is gone, perhaps without a word: nothing more will come, and its pings are answered.
            self._note_change(None)
        for connection in deaf:
            if connection.missed is None:
                connection.missed = self._missed()
        now_sec = trio.current_time()
        delay_sec = (
            self.delay_sec + self._rng.uniform(0, self.jitter_sec) if self.jitter_sec else self.delay_sec
        )
        # Changes of one millisecond are dated one after the other, and none is announced before its time.
        ahead_sec = (self._venue.event_ms() - self._venue.exchange_ms()) / 1000
        due_sec = self._last_due_sec = max(now_sec + delay_sec + ahead_sec, self._last_due_sec)
        if self.hold_share and self._rng.random() < self.hold_share:
            due_sec += self._rng.uniform(0.005, 0.08)
            self._held.append(self._late(due_sec, event))
            self._changed.unpark_all()
        elif due_sec <= now_sec and not self._due:
            self._hand_on(event)
        else:
            self._due.append(self._late(due_sec, event))
            self._changed.unpark_all()
        if self.double_share and self._rng.random() < self.double_share:
            self._due.append(self._late(due_sec, event))
            self._changed.unpark_all()
        if due_sec > now_sec:
            self._delays.append((true_ms(), due_sec - now_sec))
        if due_sec - now_sec + self._one_way_sec > _ALLOWED_DELAY_SEC:
            self._note_change(due_sec - now_sec + self._one_way_sec)

    def note_lost_change(self, symbol: str) -> None:
        """Note a change of the symbol now that is never announced."""
        self._venue.unannounced[symbol].append((true_ms(), -1))

    def _note_change(self, late_sec: float | None) -> None:
        """Note that the current change is announced after `late_sec`; None: never."""
        until_ms = -1 if late_sec is None else true_ms() + round(late_sec * 1000)
        for name in self._changing():
            self._venue.unannounced[name].append((true_ms(), until_ms))

    def _changing(self) -> tuple[str, ...]:
        """Return the symbol that is changing; all of them where it is not known."""
        return (self._venue.filling[0],) if self._venue.filling else tuple(self._venue.unannounced)

    def _late(self, due_sec: float, event: UserEvent) -> Late:
        return Late(due_sec, event, true_ms(), self._changing())

    def thaw(self, connections: Iterable[WebSocket]) -> None:
        """Let what waited in frozen connections go on."""
        self.came_at_once()
        for connection in connections:
            connection.thaw()

    def came_at_once(self) -> None:
        """Note that pushes come late now, all at once: a connection was frozen, or a process cut off."""
        self._at_once_ms = true_ms()

    def came_at_once_since(self, since_ms: int) -> bool:
        """Return True if pushes have come late and all at once since then."""
        return self._at_once_ms is not None and self._at_once_ms >= since_ms

    def _missed(self) -> Missed | None:
        """Return the change that is under way."""
        if self._venue.filling is None:
            return None
        symbol, leg = self._venue.filling
        return Missed(true_ms(), symbol, leg, self._venue.amount(symbol, leg))

    def delay_most_ms(self, since_ms: int) -> int:
        """Return the longest delay from matching engine to client since then (ms), of all symbols."""
        while self._delays and self._delays[0][0] < since_ms - 200_000:
            self._delays.popleft()
        longest = max((delay for at_ms, delay in self._delays if at_ms >= since_ms), default=0.0)
        return round((longest + self._one_way_sec) * 1000)

    def connections(self) -> list[WebSocket]:
        """Return those that stand, oldest first."""
        return list(self._connections)

    async def serve(
        self, listen_key: str, reach: Reach, tripwire: Tripwire, *, task_status: trio.TaskStatus[WebSocket]
    ) -> None:
        """Serve one connection to its end. Raises StreamRefusedError."""
        await trio.sleep(2 * self._one_way_sec)
        await reach()
        self._venue.expire_listen_key()
        if self.refusing:
            raise StreamRefusedError
        if self.delete_key_at_handshake:
            self.delete_key_at_handshake = False
            self._venue.delete_listen_key(silently=True)
        # One whose key is dead is accepted like any other, and silent.
        connection = WebSocket(listen_key, reach, tripwire, self._one_way_sec)
        self._connections[connection] = None
        try:
            task_status.started(connection)
            with trio.move_on_after(self._lasts_sec(connection)):
                await connection.carry()
        finally:
            self._connections.pop(connection, None)
            connection.hang_up()

    def _lasts_sec(self, connection: WebSocket) -> float:
        """Return the time for which a new connection stays open."""
        match self.closing:
            case "at once":
                return 0.0
            case "soon":
                return self._rng.uniform(0.0, 2.0)
            case "expired":
                payload = listen_key_expired(
                    connection.listen_key, event_time_ms=self._venue.exchange_ms(), time_as_text=False
                )
                connection.send(user_event(payload).frame)
        return math.inf

    async def run(self) -> None:
        """Hand on late events when they are due, until cancelled."""
        while True:
            now_sec = trio.current_time()
            for late in sorted(self._held, key=lambda held: held.due_sec):
                if late.due_sec <= now_sec:
                    self._held.remove(late)
                    self._hand_on_late(late)
            while self._due and self._due[0].due_sec <= now_sec:
                self._hand_on_late(self._due.popleft())
            waiting = [self._due[0].due_sec] if self._due else []
            waiting += [late.due_sec for late in self._held]
            with trio.move_on_at(min(waiting, default=float("inf"))):
                await self._changed.park()

    def _hand_on_late(self, late: Late) -> None:
        live = self._venue.listen_keys.live
        if any(connection.open and connection.listen_key != live for connection in self._connections):
            # The key died while the event was under way: it is lost to that connection.
            for name in late.symbols:
                self._venue.unannounced[name].append((late.at_ms, -1))
        self._hand_on(late.event)

    def _hand_on(self, event: UserEvent) -> None:
        listen_key = event.listen_key or self._venue.listen_keys.live
        for connection in list(self._connections):
            if connection.open and connection.listen_key == listen_key:
                connection.send(event.frame)
