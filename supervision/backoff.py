"""Delays before a failed child is started again."""

from random import Random

from clocks.growing_delay import GrowingDelay


class Backoff(GrowingDelay, frozen=True, kw_only=True):
    """Growing delays between restarts.

    A random share of each delay, up to `jitter` (0: none, 1: all), is left out, so that children that failed
    together do not return together. After a run of `healthy_after_sec` the next failure waits `initial_sec`
    again.
    """

    jitter: float = 0.2
    healthy_after_sec: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.initial_sec <= self.maximum_sec < float("inf"):
            raise ValueError(f"back-off needs 0 <= initial_sec <= maximum_sec, both finite: {self}")
        if not 1 <= self.factor < float("inf"):
            raise ValueError(f"back-off factor must be finite and at least 1: {self}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"back-off jitter must be between 0 and 1: {self}")
        if not self.healthy_after_sec > 0:
            raise ValueError(f"back-off healthy_after_sec must be positive: {self}")


class RestartDelays:
    """The delays of one child, one after the other."""

    def __init__(self, backoff: Backoff, rng: Random) -> None:
        self._backoff = backoff
        self._rng = rng
        self._failures = 0

    def next_sec(self) -> float:
        """Return the delay before the next restart, in seconds."""
        self._failures += 1
        return self._backoff.after(self._failures) * (1 - self._backoff.jitter * self._rng.random())

    def ran(self, healthy_sec: float) -> None:
        """Begin the delays anew if an incarnation ran well for `healthy_after_sec`."""
        if healthy_sec >= self._backoff.healthy_after_sec:
            self._failures = 0
