"""One connection to the private stream, read and pinged until it ends."""

from __future__ import annotations

from collections.abc import Callable

import trio

from actors.heartbeat import Heartbeat
from brain.moment import Moment
from clock import Clock
from exchange.errors import ExchangeError
from exchange.protocol import Frame, Pong, StreamConnection

#: A pong may take this many proof intervals.
_PATIENCE = 2.0


class StreamLine:
    """Hands on what a connection tells, in order, and asks it again and again whether it lives."""

    def __init__(
        self,
        connection: StreamConnection,
        listen_key: str,
        since: Moment,
        *,
        clock: Clock,
        proof_sec: float,
        hear: Callable[[Frame], None],
        answered: Callable[[StreamLine, Moment], None],
    ) -> None:
        """`hear` gets each frame; what ExchangeError it raises ends the line. `answered` gets, in its place
        among the frames, the moment at which an answered ping was sent."""
        self.listen_key = listen_key
        self.since = since
        self.ended: str | None = None
        self._connection = connection
        self._clock = clock
        self._proof_sec = proof_sec
        self._hear = hear
        self._answered = answered
        self._answered_ping: Moment | None = None
        self._news = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()

    async def run(self, heartbeat: Heartbeat) -> str:
        """Read and ping until the line ends; why it did."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                nursery.start_soon(self._ping, heartbeat)
        return self.ended or "ended"

    def end(self, why: str) -> None:
        """End the line; the first reason stays."""
        if self.ended is None:
            self.ended = why
            self._scope.cancel()
            self._news.unpark_all()

    async def proven_since(self, moment: Moment) -> bool:
        """Wait until a ping sent at or after `moment` is answered. False when the line ended before."""
        while self.ended is None:
            if self._answered_ping is not None and self._answered_ping >= moment:
                return True
            await self._news.park()
        return False

    async def _read(self) -> None:
        try:
            while True:
                heard = await self._connection.receive()
                if isinstance(heard, Pong):
                    self._take_pong(heard)
                else:
                    self._hear(heard)
        except ExchangeError as error:
            self.end(str(error))

    async def _ping(self, heartbeat: Heartbeat) -> None:
        while True:
            next_sec = trio.current_time() + self._proof_sec
            try:
                with trio.fail_after(_PATIENCE * self._proof_sec):
                    await self._connection.ping()
            except trio.TooSlowError:
                self.end(f"a ping was not answered within {_PATIENCE * self._proof_sec:g} s")
            except ExchangeError as error:
                self.end(str(error))
            heartbeat.beat()
            with heartbeat.idle():
                await trio.sleep_until(next_sec)

    def _take_pong(self, pong: Pong) -> None:
        # By both clocks: the deadline above stands still while the host sleeps.
        if pong.sent.age_sec(self._clock.now()) > _PATIENCE * self._proof_sec:
            self.end(f"a ping was not answered within {_PATIENCE * self._proof_sec:g} s")
            return
        self._answered_ping = pong.sent
        self._answered(self, pong.sent)
        self._news.unpark_all()
