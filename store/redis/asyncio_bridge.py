"""The bridge to asyncio, on which redis-py runs: trio-asyncio's loop, emptied each time it gets its turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio_asyncio

#: What schedules itself again and again lets trio's tasks run after so many callbacks.
_MOST_AT_ONCE = 100


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Within: `trio_asyncio.aio_as_trio` works.

    By itself trio-asyncio runs one callback in each round of trio's loop, and a command to Redis takes half a
    dozen. Here all that wait run in one round, as they do in asyncio's own loop.
    """
    async with trio_asyncio.open_loop() as loop:
        run_one = loop._main_loop_one

        async def run_all(no_wait: bool = False) -> None:
            await run_one(no_wait)
            if no_wait:
                return
            for _ in range(_MOST_AT_ONCE - 1):
                try:
                    await run_one(no_wait=True)
                except trio.WouldBlock:
                    return
            # Timers that are due come without one.
            await trio.lowlevel.cancel_shielded_checkpoint()

        # There is no public way to say so; the loop itself empties its queue like this at its end.
        loop._main_loop_one = run_all
        yield
