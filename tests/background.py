"""A task beside a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
