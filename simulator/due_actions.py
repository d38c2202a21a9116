"""Actions that are due at moments of the host's clock: later fills, late requests. Nothing here sleeps."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class DueActions:
    """Actions by the moment (epoch milliseconds) at which they are due, the earlier given first at a tie."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Callable[[], object]]] = []
        self._serial = count()
        self._running = False
        #: Called whenever an action is added.
        self.on_added: Callable[[], None] = lambda: None

    def add(self, due_ms: int, act: Callable[[], object]) -> None:
        """Let ``act`` be called by the first ``run`` at ``due_ms`` or later."""
        heappush(self._waiting, (due_ms, next(self._serial), act))
        self.on_added()

    @property
    def next_ms(self) -> int | None:
        """The moment of the next action, if there is one."""
        return self._waiting[0][0] if self._waiting else None

    def run(self, now_ms: int) -> None:
        """Call what is due, and what becomes due by it; nothing while an action is running."""
        if self._running:
            return
        self._running = True
        try:
            while self._waiting and self._waiting[0][0] <= now_ms:
                heappop(self._waiting)[2]()
        finally:
            self._running = False
