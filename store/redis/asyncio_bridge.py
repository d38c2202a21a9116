"""Bridge to asyncio, for redis-py: a trio-asyncio loop that runs all ready callbacks in one Trio round."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from permit_gate.bridge import trio_asyncio

#: Most callbacks of one round, so that callbacks which reschedule themselves never starve Trio's tasks.
_MOST_AT_ONCE = 100


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Open the asyncio loop; inside, `trio_asyncio.aio_as_trio` works.

    trio-asyncio itself runs one callback in each round of Trio's loop, and a Redis command takes about six.
    Here all ready callbacks run in one round, and none is inspected first, as in asyncio's own loop.
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

        # No public API does either; the loop itself empties its queue in this way when it closes.
        loop._main_loop_one = run_all
        loop._check_callback = _unchecked
        yield


def _unchecked(_callback: object, _method: str) -> None:
    """Take any callback: asyncio's own loop looks for coroutines among them in its debug mode alone."""
