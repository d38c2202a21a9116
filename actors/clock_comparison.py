"""Keeps the idea of the exchange's clock right, without which push delays mean nothing."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from exchange.errors import ExchangeError
from exchange.protocol import Exchange

#: A push that seems slower than this may only show that the exchange's clock is misjudged.
DOUBTFUL_DELAY_SEC = 1.0
#: However small a step of the exchange's clock is, it misleads for no longer. Each comparison has weight 1.
_EVERY_SEC = 60.0
_AT_MOST_EVERY_SEC = 10.0


class ClockComparison:
    """Compares clocks every minute, and soon after one that failed or when a push looks too slow."""

    def __init__(self, exchange: Exchange, logger: FilteringBoundLogger) -> None:
        self._exchange = exchange
        self._logger = logger
        self._doubt = trio.Event()

    def saw_delay(self, delay_sec: float) -> None:
        """An event came so long after its transaction time, as far as is known."""
        if delay_sec > DOUBTFUL_DELAY_SEC:
            self._doubt.set()

    async def run(self) -> None:
        """Compare until cancelled. A failure leaves the old idea in place until the next time."""
        while True:
            self._doubt = trio.Event()
            try:
                await self._exchange.synchronise_clock()
            except ExchangeError as error:
                self._logger.warning("exchange clock: not compared", error=str(error))
                self._doubt.set()
            await trio.sleep(_AT_MOST_EVERY_SEC)
            with trio.move_on_after(_EVERY_SEC - _AT_MOST_EVERY_SEC):
                await self._doubt.wait()
