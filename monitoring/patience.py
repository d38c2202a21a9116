"""Reads of Redis for a page, which waits no longer than half a second for each."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import trio

from store.errors import StoreError

T = TypeVar("T")

#: How long a page waits for Redis.
PATIENCE_SEC = 0.5


class UnreadError(Exception):
    """Redis could not be read for a page; the message says why."""


async def read_in_time(read: Awaitable[T]) -> T:
    """Return what is read. Raises UnreadError after 0.5 s, or where Redis answers with an error."""
    try:
        with trio.fail_after(PATIENCE_SEC):
            return await read
    except trio.TooSlowError:
        raise UnreadError(f"Redis did not answer within {PATIENCE_SEC:g} s") from None
    except StoreError as error:
        raise UnreadError(f"Redis: {error}") from error
