"""Waiting for a condition, with a deadline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")

_LOOK_SEC = 0.002


async def until(look: Callable[[], T], what: str, within_sec: float = 5.0) -> T:
    """Look again and again until something true is seen, and return that. AssertionError when it is late."""

    async def look_at_once() -> T:
        return look()

    return await until_async(look_at_once, what, within_sec)


async def until_async(look: Callable[[], Awaitable[T]], what: str, within_sec: float = 5.0) -> T:
    """Return the same for a look that waits itself."""
    deadline_sec = trio.current_time() + within_sec
    while True:
        seen = await look()
        if seen:
            return seen
        assert trio.current_time() < deadline_sec, f"not within {within_sec:g} s: {what}; last seen: {seen!r}"
        await trio.sleep(_LOOK_SEC)
