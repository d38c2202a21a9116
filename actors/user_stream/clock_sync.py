"""Comparisons with the exchange's clock, without which push delays mean nothing."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from exchange.errors import ExchangeError
from exchange.protocol import Exchange

#: However small a step of the exchange's clock is, it misleads for no longer. Each comparison has weight 1.
_EVERY_SEC = 60.0
#: As often at most while dates look odd.
_AT_MOST_EVERY_SEC = 2.0
_AFTER_FAILURE_SEC = 10.0


class ClockComparison:
    """Compares clocks every 60 s; within 2 s of a date that looks odd; 10 s after a failure."""

    def __init__(self, exchange: Exchange, logger: FilteringBoundLogger) -> None:
        self._exchange = exchange
        self._logger = logger
        self._odd_date = trio.Event()

    def saw_odd_date(self) -> None:
        """Compare soon: an event was dated ahead of the exchange's clock, or far from its arrival."""
        self._odd_date.set()

    async def run(self) -> None:
        """Compare until cancelled. A failure leaves the earlier result in place until the next time."""
        while True:
            self._odd_date = trio.Event()
            try:
                await self._exchange.synchronise_clock()
            except ExchangeError as error:
                self._logger.warning("exchange clock: not compared", error=str(error))
                await trio.sleep(_AFTER_FAILURE_SEC)
                continue
            await trio.sleep(_AT_MOST_EVERY_SEC)
            with trio.move_on_after(_EVERY_SEC - _AT_MOST_EVERY_SEC):
                await self._odd_date.wait()
