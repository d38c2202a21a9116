"""Trace of a run: a hash over everything, and text of its last part."""

from __future__ import annotations

import hashlib
from collections import deque

import trio

_REMEMBERED = 3_000


class Trace:
    """Two runs of one seed have the same hash, or they were not the same."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._recent: deque[tuple[float, str]] = deque(maxlen=_REMEMBERED)
        self.steps = 0

    def note(self, what: str) -> None:
        """Something happened now. `what` must not hold addresses, nor the order of a set."""
        now_sec = trio.current_time()
        self.steps += 1
        self._hash.update(f"{now_sec!r} {what}\n".encode())
        self._recent.append((now_sec, what))

    def say(self, what: str) -> None:
        """Something for people to read, which is no part of the hash."""
        self._recent.append((trio.current_time(), what))

    def digest(self) -> str:
        """Return the hash of all that was noted so far."""
        return self._hash.hexdigest()

    def last(self, count: int) -> list[str]:
        """Return the newest notes, a line each."""
        return [f"{at_sec:11.3f}  {what}" for at_sec, what in list(self._recent)[-count:]]
