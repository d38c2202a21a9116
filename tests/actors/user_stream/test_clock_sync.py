from __future__ import annotations

import structlog
import trio

from actors.user_stream.clock_sync import ClockSync
from clock import TrioClock
from tests.actors.dictated_exchange import EPOCH_MS, DictatedExchange
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class AskedForTime(DictatedExchange):
    def __init__(self) -> None:
        super().__init__(TrioClock(EPOCH_MS))
        self.began_sec = trio.current_time()
        self.asked_sec: list[int] = []

    async def synchronise_clock(self) -> None:
        self.asked_sec.append(round(trio.current_time() - self.began_sec))


async def test_the_clock_is_synchronised_twice_at_first_then_every_minute() -> None:
    """The first request opens a connection: half of what that takes could be an error of the clock."""
    exchange = AskedForTime()
    with trio.move_on_after(130):
        await ClockSync(exchange, structlog.get_logger()).run()
    assert exchange.asked_sec == [0, 0, 60, 120]
