"""A service that stands still, with a day behind it that is made up, for pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from queue import Queue
from random import Random
from threading import Thread

import trio

from brain.history import MINUTE_MS, MINUTES_KEPT, Minute
from brain.positions.exposure import Exposure
from supervision import Heartbeat
from tests.background import background
from tests.monitoring.acting_desk import TOKEN
from tests.monitoring.status_rig import NOON_MS, StatusRig

#: The private stream is lost then (minutes ago).
_LOST = range(500, 540)


@contextmanager
def standing_desk() -> Iterator[str]:
    """Yield the address of a service that stands still."""
    stop = trio.Event()
    addresses: Queue[tuple[str, trio.lowlevel.TrioToken]] = Queue()

    async def serve() -> None:
        rig = StatusRig(token=TOKEN)
        await made_up_day(rig)
        async with background(rig.metrics.run, Heartbeat()):
            address = await rig.channels.http_address.changed()
            addresses.put((address, trio.lowlevel.current_trio_token()))
            await stop.wait()

    thread = Thread(target=trio.run, args=(serve,))
    thread.start()
    address, token = addresses.get(timeout=30)
    try:
        yield address
    finally:
        token.run_sync_soon(stop.set)
        thread.join()


async def made_up_day(rig: StatusRig) -> None:
    """Write the minutes of a day that has busy and quiet hours."""
    chance = Random(4)  # noqa: S311 - no secrets
    fence = (await rig.store.hold_lease("here:8045", None, 10**9)).fence
    gross, profit = 9_000.0, 0.0
    for ago in range(MINUTES_KEPT, 0, -1):
        busy = 1.2 + math.sin(ago / 160) + chance.random()
        gross = max(gross + chance.gauss(0, 220), 1_500)
        profit += chance.gauss(0.05, 6)
        denied = {"in_flight_permit": int(busy * 2), "no_position": int(chance.random() * 3)}
        if ago in _LOST:
            denied["stale_exchange_state"] = 9
        minute = Minute(
            NOON_MS // MINUTE_MS - ago,
            seen_sec=60,
            allowed={"sanity_checks_passed": int(busy * 9)},
            denied=denied,
            latency_ms=(5 + int(busy), 11 + int(busy * 4), 30 + int(chance.expovariate(0.05))),
            oldest_age_sec=round(1.5 + chance.random() + (14 if ago in _LOST else 0), 2),
            weight=180 + int(busy * 90),
            exposure=Exposure(
                Decimal(round(gross)), Decimal(round(gross * math.sin(ago / 300))), Decimal(round(profit)), 0
            ),
        )
        await rig.store.write_minute(fence, minute)
