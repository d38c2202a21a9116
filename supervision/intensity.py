"""Restart limit of a supervisor."""

from collections import deque

import msgspec


class Intensity(msgspec.Struct, frozen=True, kw_only=True):
    """Limit: `restarts` restarts within any `within_sec` seconds, over all children of one supervisor."""

    restarts: int
    within_sec: float

    def __post_init__(self) -> None:
        if self.restarts < 0 or not self.within_sec > 0:
            raise ValueError(f"intensity needs restarts >= 0 and within_sec > 0: {self}")


class RestartWindow:
    """Sliding window over one supervisor's restarts.

    A restart leaves the window once it is `within_sec` old.
    """

    def __init__(self, intensity: Intensity) -> None:
        self._intensity = intensity
        self._times_sec: deque[float] = deque()

    def admits(self, now_sec: float) -> bool:
        """Return True, and count the restart, if one more at `now_sec` is within the limit."""
        if self.count(now_sec) >= self._intensity.restarts:
            return False
        self._times_sec.append(now_sec)
        return True

    def count(self, now_sec: float) -> int:
        """Return the number of restarts in the window that ends at `now_sec`."""
        while self._times_sec and now_sec - self._times_sec[0] >= self._intensity.within_sec:
            self._times_sec.popleft()
        return len(self._times_sec)
