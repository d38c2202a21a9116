"""Mark prices: the market stream, kept open, one message a second for each shard.

Nothing rests on it: while it is away mark prices come with REST reads, and nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import trio
from structlog.typing import FilteringBoundLogger

from actors.heartbeat import Heartbeat
from brain.moment import Moment
from channels import Conflating, MarkPrice, MarkPrices, ShardMessage
from exchange.errors import ExchangeError, ExchangeUnavailable
from exchange.protocol import MarkPriceConnector, MarkPriceUpdate

#: Frames come every second: so long a silence is a dead connection.
SILENCE_SEC = 10.0
#: To look at so many takes less than 1 ms; then others have a turn.
_PRICES_AT_A_TIME = 1000
_SHORTEST_BACKOFF_SEC = 0.5
_LONGEST_BACKOFF_SEC = 60.0
_BACKOFF_DOUBLINGS = 8


class MarkPriceFeed:
    """Owns the connection to the market stream."""

    def __init__(
        self,
        connector: MarkPriceConnector,
        shards: Sequence[Conflating[ShardMessage]],
        exchange_ms: Callable[[Moment], int],
        *,
        rng: Random,
        log: FilteringBoundLogger,
    ) -> None:
        """`exchange_ms` tells what the exchange's clock showed at a moment."""
        self._connector = connector
        self._shards = shards
        self._exchange_ms = exchange_ms
        self._rng = rng
        self._log = log
        self._failures = 0

    async def run(self, heartbeat: Heartbeat) -> None:
        """Listen, and after each loss listen again, until cancelled."""
        with heartbeat.idle():
            while True:
                error = await self._listen()
                self._log.info("Mark prices: connection lost", why=str(error))
                self._failures = min(self._failures + 1, _BACKOFF_DOUBLINGS)
                pause_sec = min(_SHORTEST_BACKOFF_SEC * 2**self._failures, _LONGEST_BACKOFF_SEC)
                await trio.sleep(pause_sec * self._rng.uniform(0.5, 1.0))

    async def _listen(self) -> ExchangeError:
        """One connection, until it ends; why it did."""
        ended: ExchangeError = ExchangeUnavailable("market stream: silent")
        async with trio.open_nursery() as sockets:
            try:
                stream = await self._connector.connect(sockets)
                try:
                    while True:
                        with trio.fail_after(SILENCE_SEC):
                            updates, received = await stream.receive()
                        self._failures = 0
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
                prices[update.s] = MarkPrice(update.p, min(update.E - ahead_ms, latest_ms))
            await trio.lowlevel.checkpoint()
        for shard in self._shards:
            shard.send(MarkPrices(prices))
