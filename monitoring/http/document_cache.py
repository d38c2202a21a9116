"""Documents that several people ask for within a second are made once, and one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from clock import Clock

_YOUNG_SEC = 0.9
_MOST = 16

Document = tuple[int, bytes]


class DocumentCache:
    """Keeps the latest 16 documents, each with its status, for 0.9 s."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._making = trio.Lock()
        self._made: dict[str, tuple[float, Document]] = {}

    async def document(self, key: str, make: Callable[[], Awaitable[Document]]) -> Document:
        """Return the document of a key, made by `make` unless one is young enough."""
        async with self._making:
            now_sec = self._clock.now().monotonic_sec
            made = self._made.get(key)
            if made is not None and now_sec - made[0] <= _YOUNG_SEC:
                return made[1]
            document = await make()
            self._made.pop(key, None)
            self._made[key] = now_sec, document
            while len(self._made) > _MOST:
                del self._made[next(iter(self._made))]
            return document
