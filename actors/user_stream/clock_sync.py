"""Synchronisation with the exchange's clock, by which push delays are measured."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from exchange.errors import ExchangeError
from exchange.protocol import Exchange

#: A step of the exchange's clock, however small, misdates pushes for no longer. Request weight 1 each.
_EVERY_SEC = 60.0
#: Shortest interval, while pushes are dated implausibly.
_AT_MOST_EVERY_SEC = 2.0
_AFTER_FAILURE_SEC = 10.0
#: A push delay beyond it, in either direction, rather shows that a clock was stepped (seconds).
_ODD_DELAY_SEC = 1.0


class ClockSync:
    """Asks for server time twice, then every 60 s, within 2 s of an odd date, and 10 s after a failure."""

    def __init__(self, exchange: Exchange, log: FilteringBoundLogger) -> None:
        self._exchange = exchange
        self._log = log
        self._odd_date = trio.Event()

    def saw_delay(self, delay_sec: float) -> None:
        """Synchronise soon if a push was dated far from its arrival, before it or after."""
        if abs(delay_sec) > _ODD_DELAY_SEC:
            self._odd_date.set()

    async def run(self) -> None:
        """Synchronise until cancelled, twice at first. After a failure the earlier result stays in place."""
        narrowed = False
        while True:
            self._odd_date = trio.Event()
            try:
                await self._exchange.synchronise_clock()
            except ExchangeError as error:
                self._log.warning("exchange clock: not compared", error=str(error))
                await trio.sleep(_AFTER_FAILURE_SEC)
                continue
            if not narrowed:
                # The first request opened the connection, and bounds the clock by all that it took.
                narrowed = True
                continue
            await trio.sleep(_AT_MOST_EVERY_SEC)
            with trio.move_on_after(_EVERY_SEC - _AT_MOST_EVERY_SEC):
                await self._odd_date.wait()
