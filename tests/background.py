"""Tasks beside a test, and actors that crash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVarTuple

import trio

Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def background(run: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> AsyncIterator[trio.Nursery]:
    """Run `run(*args)` until the end of the block, and all that is started in the nursery."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, *args)
        yield nursery
        nursery.cancel_scope.cancel()


async def count_crashes(
    running: Callable[[], AbstractAsyncContextManager[object]],
    *,
    runs: int,
    for_sec: float,
    error: type[Exception] = ZeroDivisionError,
) -> int:
    """Run an actor `runs` times, for so long each, and count the runs that the error ends."""
    crashes = 0
    for _ in range(runs):
        try:
            async with running():
                await trio.sleep(for_sec)
        except* error:
            crashes += 1
    return crashes
