"""Pacing of long work for a request, so that decisions go on as if nothing else was done."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import trio

T = TypeVar("T")

#: A decision takes ten rounds of the loop: behind a checkpoint alone it waits for a piece in each of them.
_PAUSE_SEC = 0.001


async def pause() -> None:
    """Leave the loop to others for about a millisecond; called behind each piece of at most 0.3 ms."""
    await trio.sleep(_PAUSE_SEC)


async def paced(making: Generator[None, None, T]) -> T:
    """Return the result of `making`, with a pause at each of its yields."""
    while True:
        try:
            next(making)
        except StopIteration as made:
            result: T = made.value
            return result
        await pause()
