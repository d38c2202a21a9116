"""A connection to the private stream that keeps what came, for measurements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import cast

import msgspec
import trio

from brain.error_groups import first_error
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.pace import Pace
from commands.check.measure.raw_json import RawRow, row_of
from exchange.errors import ExchangeError, ExchangeUnavailable
from exchange.protocol import Frame
from exchange.user_stream_connection import UserStreamConnection

#: After so many pings without an answer in a row, no more are sent.
_LOST_IN_A_ROW = 3


class Event(msgspec.Struct, frozen=True):
    """One frame: the event's type, and the time of its arrival on trio's clock."""

    kind: str
    row: RawRow
    received_sec: float


class PingRound(msgspec.Struct, frozen=True):
    """Round trips (s) of the pings that were answered, and the number of those sent."""

    sent: int
    trips_sec: tuple[float, ...]

    @property
    def lost(self) -> int:
        """Pings without an answer."""
        return self.sent - len(self.trips_sec)

    def __str__(self) -> str:
        answered = f"{len(self.trips_sec)} of {self.sent} answered"
        if not self.trips_sec:
            return answered
        least, middle, most = (
            f"{each * 1000:.1f}"
            for each in (min(self.trips_sec), median(self.trips_sec), max(self.trips_sec))
        )
        return f"{answered}: min {least}, median {middle}, max {most} ms"


class PrivateSocket:
    """`events` are the frames so far; `ended` is why the connection has ended, None while it stands."""

    def __init__(self, connection: UserStreamConnection) -> None:
        self._connection = connection
        self._came = trio.Event()
        self.events: list[Event] = []
        self.ended: str | None = None

    async def listen(self) -> None:
        """Keep what comes until the connection ends."""
        try:
            while True:
                came = await self._connection.receive()
                if isinstance(came, Frame):
                    self._keep(came)
        except ExchangeUnavailable as closed:
            self.ended = str(closed)
            self._came.set()

    async def until(self, fulfilled: Callable[[Sequence[Event]], bool], within_sec: float) -> None:
        """Wait until the events fulfil a condition, the connection ends, or the time is over."""
        with trio.move_on_after(within_sec):
            while not fulfilled(self.events) and self.ended is None:
                self._came = trio.Event()
                await self._came.wait()

    async def ping(self, within_sec: float) -> float | None:
        """Return the round trip of a ping (s); None where there is no answer in that time."""
        begun_sec = trio.current_time()
        with trio.move_on_after(within_sec):
            try:
                await self._connection.ping()
            except ExchangeUnavailable:
                return None
            return trio.current_time() - begun_sec
        return None

    async def proven(self, pace: Pace) -> None:
        """Raise ExchangeUnavailable unless a ping is answered."""
        if await self.ping(pace.pong_within_sec) is None:
            raise ExchangeUnavailable("private stream: no answer to a ping")

    async def ping_round(self, count: int, pace: Pace) -> PingRound:
        """Ping at the pace's interval; fewer times where the connection ends or no answer comes any more."""
        trips: list[float] = []
        sent = in_a_row = 0
        due_sec = trio.current_time()
        while sent < count and self.ended is None and in_a_row < _LOST_IN_A_ROW:
            await trio.sleep_until(due_sec)
            due_sec = trio.current_time() + pace.ping_every_sec
            sent += 1
            trip_sec = await self.ping(pace.pong_within_sec)
            in_a_row = 0 if trip_sec is not None else in_a_row + 1
            if trip_sec is not None:
                trips.append(trip_sec)
        return PingRound(sent, tuple(trips))

    def _keep(self, frame: Frame) -> None:
        try:
            row = row_of(frame.raw)
        except ExchangeUnavailable:
            row = RawRow({})
        self.events.append(Event(row.plain("e") or "unreadable", row, frame.received.monotonic_sec))
        self._came.set()


@asynccontextmanager
async def private_socket(access: ExchangeAccess, listen_key: str) -> AsyncIterator[PrivateSocket]:
    """Connect for the length of a block. Raises ExchangeError, also the first one of the block, ungrouped."""
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            connection = await access.user_streams.connect(nursery, listen_key)
            socket = PrivateSocket(connection)
            nursery.start_soon(socket.listen)
            try:
                yield socket
            finally:
                await connection.aclose()
                nursery.cancel_scope.cancel()
    except* ExchangeError as group:
        error = first_error(group)
    if error is not None:
        raise cast("ExchangeError", error)
