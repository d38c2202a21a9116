"""What Redis's clock shows, without asking it each time."""

from __future__ import annotations


class RedisClock:
    """Redis's clock, carried on by this host's monotonic clock from the last time Redis told it.

    Every estimate is at most one round trip behind the truth. Where being behind matters (a plan's age, a
    permit's expiry), the commit script checks again with the clock itself.
    """

    def __init__(self) -> None:
        self._told_ms: int | None = None
        self._told_at_sec = 0.0

    @property
    def known(self) -> bool:
        """Whether Redis has told its time at all."""
        return self._told_ms is not None

    def told(self, redis_ms: int, monotonic_sec: float) -> None:
        """Redis showed `redis_ms` in an answer received at `monotonic_sec`."""
        self._told_ms = redis_ms
        self._told_at_sec = monotonic_sec

    def now_ms(self, monotonic_sec: float) -> int:
        """Redis's epoch milliseconds at `monotonic_sec`. Only once it is `known`."""
        if self._told_ms is None:
            raise LookupError("Redis has not told its time yet")
        return self._told_ms + int((monotonic_sec - self._told_at_sec) * 1000)
