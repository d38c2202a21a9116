"""Documents that several people ask for within a second are made once, and one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import trio

from clock import Clock

_YOUNG_SEC = 0.9
_MOST = 16

D = TypeVar("D")


class DocumentCache(Generic[D]):
    """Keeps the latest 16 documents for 0.9 s, or for `young_sec`."""

    def __init__(self, clock: Clock, *, young_sec: float = _YOUNG_SEC) -> None:
        self._clock = clock
        self._young_sec = young_sec
        self._making = trio.Lock()
        self._made: dict[Hashable, tuple[float, D]] = {}

    async def document(self, make: Callable[[], Awaitable[D]], key: Hashable = None) -> D:
        """Return the document of a key, made by `make` unless one is young enough."""
        async with self._making:
            now_sec = self._clock.now().monotonic_sec
            made = self._made.get(key)
            if made is not None and now_sec - made[0] <= self._young_sec:
                return made[1]
            document = await make()
            self._made.pop(key, None)
            self._made[key] = now_sec, document
            while len(self._made) > _MOST:
                del self._made[next(iter(self._made))]
            return document
