"""How often work on an entry was begun and not ended. Outlives the actor whose failures it counts."""

from __future__ import annotations


class Attempts:
    """Counts by entry id; what is done, or was only interrupted, is forgotten."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin(self, entry_id: str) -> int:
        """Work on an entry begins; how many attempts at it have failed before."""
        failed = self._begun.get(entry_id, 0)
        self._begun[entry_id] = failed + 1
        return failed

    def done(self, entry_id: str) -> None:
        """The entry is dealt with."""
        self._begun.pop(entry_id, None)

    def interrupted(self) -> None:
        """What is begun was given up for a reason outside of it: a dependency is away, the lease is lost."""
        self._begun.clear()

    def __bool__(self) -> bool:
        """Whether an entry is in hand."""
        return bool(self._begun)
