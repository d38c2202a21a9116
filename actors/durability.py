"""Whether Redis keeps what it acknowledges: asked seldom, for those who look on."""

from __future__ import annotations

import trio

from clock import Clock
from store.errors import StoreError
from store.protocol import OnlookerStore

_PATIENCE_SEC = 0.5
_EVERY_SEC = 30.0
_AGAIN_SEC = 3.0


class Durability:
    """Remembers the last answer for half a minute, and for three seconds that there was none."""

    def __init__(self, store: OnlookerStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._append_only: bool | None = None
        self._asked_sec = float("-inf")

    async def now(self) -> bool | None:
        """Whether there is an append-only file; None while Redis does not say."""
        now_sec = self._clock.now().monotonic_sec
        lasts_sec = _AGAIN_SEC if self._append_only is None else _EVERY_SEC
        if now_sec - self._asked_sec >= lasts_sec:
            self._append_only, self._asked_sec = None, now_sec
            with trio.move_on_after(_PATIENCE_SEC):
                try:
                    self._append_only = await self._store.append_only()
                except StoreError:
                    return None
        return self._append_only
