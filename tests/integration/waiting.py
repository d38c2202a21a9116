"""Waiting for a condition, with a deadline.

The first looks are 2 ms apart. Each later pause is a fiftieth of the wait so far, 20 ms at most: looks
every 2 ms take a good part of a processor from the service and from other tests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")

_FIRST_PAUSES_SEC, _LONGEST_PAUSE_SEC = 0.002, 0.02


async def until(look: Callable[[], T], what: str, within_sec: float = 5.0) -> T:
    """Look again and again until something true is seen, and return that. AssertionError when it is late."""

    async def look_at_once() -> T:
        return look()

    return await until_async(look_at_once, what, within_sec)


async def until_async(look: Callable[[], Awaitable[T]], what: str, within_sec: float = 5.0) -> T:
    """Return the same for a look that waits itself."""
    began_sec = trio.current_time()
    while True:
        seen = await look()
        if seen:
            return seen
        waited_sec = trio.current_time() - began_sec
        assert waited_sec < within_sec, f"not within {within_sec:g} s: {what}; last seen: {seen!r}"
        await trio.sleep(min(max(_FIRST_PAUSES_SEC, waited_sec / 50), _LONGEST_PAUSE_SEC))
