"""Account updates that arrive twice, while an old and a new connection overlap."""

from __future__ import annotations

#: More account updates than one connection can lag behind the other.
_REMEMBERED = 1_000


class RepeatedUpdates:
    """Memory of the latest account updates."""

    def __init__(self) -> None:
        self._updates: dict[str | bytes, None] = {}

    def has(self, raw: str | bytes) -> bool:
        """Return True if this update was received before, on the other connection; remember it."""
        if raw in self._updates:
            return True
        self._updates[raw] = None
        if len(self._updates) > _REMEMBERED:
            del self._updates[next(iter(self._updates))]
        return False
