"""Delays before a failed child is started again."""

from random import Random

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential delays between restarts, in seconds.

    The first restart waits about `initial_sec`, each further one `factor` times as long, never more than
    `maximum_sec`. A random share of each delay, up to `jitter` (0: none, 1: all), is left out, so that
    children that failed together do not return together. After a run of `healthy_after_sec` the next failure
    waits `initial_sec` again.
    """

    initial_sec: float
    maximum_sec: float
    factor: float = 2.0
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
        self._longest_sec = backoff.initial_sec

    def next_sec(self) -> float:
        """Return the delay before the next restart, in seconds."""
        longest_sec = self._longest_sec
        self._longest_sec = min(self._backoff.maximum_sec, longest_sec * self._backoff.factor)
        return longest_sec * (1 - self._backoff.jitter * self._rng.random())

    def ran(self, healthy_sec: float) -> None:
        """Begin the delays anew if an incarnation ran well for `healthy_after_sec`."""
        if healthy_sec >= self._backoff.healthy_after_sec:
            self._longest_sec = self._backoff.initial_sec
