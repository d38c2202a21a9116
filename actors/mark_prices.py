"""Mark prices: the market stream, kept open; its prices go into the book of snapshots, a frame a second.

Nothing waits for it: without it mark prices come with REST reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import trio
from structlog.typing import FilteringBoundLogger

from brain.moment import Moment
from channels import Conflating, MarkPrice, MarksChanged, ShardMessage, SnapshotBook
from exchange.connection_limit import ConnectionLimit
from exchange.errors import ExchangeError, ExchangeUnavailable
from exchange.protocol import MarkPriceConnector, MarkPriceUpdate, Priority
from supervision import Heartbeat
from supervision.backoff import Backoff, RestartDelays

#: Frames come every second: after so long a silence the connection is dead.
SILENCE_SEC = 10.0
#: Less than 1 ms of work between checkpoints.
_PRICES_AT_A_TIME = 1000
#: Only a connection that brought frames for 30 s shortens the pauses again.
_BACKOFF = Backoff(initial_sec=1.0, maximum_sec=60.0, jitter=0.5, healthy_after_sec=30.0)


class MarkPriceFeed:
    """Owns the connection to the market stream."""

    def __init__(
        self,
        connector: MarkPriceConnector,
        book: SnapshotBook,
        shards: Sequence[Conflating[ShardMessage]],
        exchange_ms: Callable[[Moment], int],
        *,
        limit: ConnectionLimit,
        rng: Random,
        log: FilteringBoundLogger,
    ) -> None:
        """`exchange_ms` returns the exchange's clock at a moment (epoch ms). `limit` outlives the actor."""
        self._connector = connector
        self._book = book
        self._shards = shards
        self._exchange_ms = exchange_ms
        self._limit = limit
        self._delays = RestartDelays(_BACKOFF, rng)
        self._log = log

    async def run(self, heartbeat: Heartbeat) -> None:
        """Listen until cancelled; connect again after each loss."""
        with heartbeat.idle():
            while True:
                error = await self._listen()
                self._log.info("Mark prices: connection lost", why=str(error))
                await trio.sleep(self._delays.next_sec())

    async def _listen(self) -> ExchangeError:
        """Listen on one connection until it ends; return the error that ended it."""
        ended: ExchangeError = ExchangeUnavailable("market stream: silent")
        first_frame_sec: float | None = None
        await self._limit.turn(Priority.PERIODIC)
        async with trio.open_nursery() as sockets:
            try:
                stream = await self._connector.connect(sockets)
                try:
                    while True:
                        with trio.fail_after(SILENCE_SEC):
                            updates, received = await stream.receive()
                        if first_frame_sec is None:
                            first_frame_sec = trio.current_time()
                        self._delays.ran(trio.current_time() - first_frame_sec)
                        await self._hand_on(updates, received)
                finally:
                    await stream.aclose()
            except ExchangeError as error:
                ended = error
            except trio.TooSlowError:
                pass
            sockets.cancel_scope.cancel()
        return ended

    async def _hand_on(self, updates: Sequence[MarkPriceUpdate], received: Moment) -> None:
        ahead_ms, latest_ms = self._exchange_ms(received) - received.wall_ms, received.wall_ms
        prices: dict[str, MarkPrice] = {}
        for begin in range(0, len(updates), _PRICES_AT_A_TIME):
            for update in updates[begin : begin + _PRICES_AT_A_TIME]:
                ts_ms = update.E - ahead_ms
                prices[update.s] = MarkPrice(update.p, ts_ms if ts_ms < latest_ms else latest_ms)
            await trio.lowlevel.checkpoint()
        self._book.mark(prices)
        for shard in self._shards:
            shard.send(MarksChanged())
