"""One connection to the private stream: read and pinged, its listen key kept alive, until it ends.

A pong shows that the socket lives, and a keep-alive that the key does: the exchange accepts connections with
a key that does not exist, and says nothing on them. Only both together prove a connection.

Source: Binance USDⓈ-M Futures, "Keepalive User Data Stream": weight 1, answers with the account's listen key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import trio
from structlog.typing import FilteringBoundLogger

from brain.moment import Moment
from clock import Clock
from exchange.errors import AskLater, ExchangeError, ExchangeUnavailable
from exchange.protocol import Frame, Pong, StreamConnection
from supervision import Heartbeat
from supervision.backoff import Backoff, RestartDelays

KEEP_ALIVE_SEC = 60.0
#: A proven key is relied on for so long while keep-alives get no answer. Longer than bans of minutes, which
#: need not cost a stream that is fine; shorter than the 60 min after which the exchange ends a key. A key
#: that another process deletes meanwhile is found by the audits, and without audits snapshots age anyway
#: (`P33_AUDIT_MAX_AGE_SEC`).
LISTEN_KEY_TRUSTED_SEC = 600.0
#: A pong may take this many proof intervals.
_PATIENCE = 2.0
_KEEP_ALIVE_BACKOFF = Backoff(
    initial_sec=1.0, maximum_sec=30.0, jitter=0.5, healthy_after_sec=KEEP_ALIVE_SEC / 2
)


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
        keep_alive: Callable[[str], Awaitable[None]],
        hear: Callable[[Frame], None],
        answered: Callable[[StreamLine, Moment], None],
        rng: Random,
        log: FilteringBoundLogger,
    ) -> None:
        """`keep_alive` extends the listen key; ExchangeRejected from it says that the key is dead. `hear`
        gets each frame; what ExchangeError it raises ends the line. `answered` gets, in its place among the
        frames and once the key is proven, the moment at which an answered ping was sent."""
        self.listen_key = listen_key
        self.since = since
        self.ended: str | None = None
        self._connection = connection
        self._clock = clock
        self._proof_sec = proof_sec
        self._keep_alive = keep_alive
        self._hear = hear
        self._answered = answered
        self._key_delays = RestartDelays(_KEEP_ALIVE_BACKOFF, rng)
        self._log = log
        self._answered_ping: Moment | None = None
        self._key_proven = False
        self._news = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()

    async def run(self, heartbeat: Heartbeat) -> str:
        """Read, ping and keep the key alive until the line ends; why it did."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                nursery.start_soon(self._ping, heartbeat)
                nursery.start_soon(self._keep_key)
        return self.ended or "ended"

    def end(self, why: str) -> None:
        """End the line; the first reason stays."""
        if self.ended is None:
            self.ended = why
            self._scope.cancel()
            self._news.unpark_all()

    async def proven_since(self, moment: Moment) -> bool:
        """Wait until the key is proven and a ping sent at or after `moment` is answered.

        False when the line ended before.
        """
        while self.ended is None:
            if self._key_proven and self._answered_ping is not None and self._answered_ping >= moment:
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
        self._report_proof()

    async def _keep_key(self) -> None:
        """Keep the key alive at once and every minute, so that each answer shows that it still is."""
        trusted_until_sec = trio.current_time() + LISTEN_KEY_TRUSTED_SEC
        while True:
            asked_sec = trio.current_time()
            try:
                await self._keep_alive(self.listen_key)
            except (ExchangeUnavailable, AskLater) as error:
                self._log.warning("private stream: listen key not extended", error=str(error))
                next_sec = trio.current_time() + self._key_delays.next_sec()
                if isinstance(error, AskLater):
                    next_sec = max(next_sec, error.until.monotonic_sec)
                await trio.sleep_until(min(next_sec, trusted_until_sec))
                if trio.current_time() >= trusted_until_sec:
                    self.end(f"the listen key was not kept alive for {LISTEN_KEY_TRUSTED_SEC:g} s")
            except ExchangeError as error:
                self.end(f"the listen key was not kept alive: {error}")
                await trio.lowlevel.checkpoint()
            else:
                trusted_until_sec = asked_sec + LISTEN_KEY_TRUSTED_SEC
                self._key_delays.ran(KEEP_ALIVE_SEC)
                if not self._key_proven:
                    self._key_proven = True
                    self._report_proof()
                await trio.sleep_until(asked_sec + KEEP_ALIVE_SEC)

    def _report_proof(self) -> None:
        if self._key_proven and self._answered_ping is not None and self.ended is None:
            self._answered(self, self._answered_ping)
        self._news.unpark_all()
