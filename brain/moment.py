"""A moment on this host, in both of its clocks."""

from __future__ import annotations

import msgspec


class Moment(msgspec.Struct, frozen=True, order=True):
    """One instant, as the monotonic and as the wall clock of this host showed it.

    The two never mix: a difference is taken within each clock, and an age is the larger of the two, so
    that neither a suspended host (the monotonic clock may stand still) nor a clock set back (the wall
    clock lies) makes anything look younger than it is.
    """

    monotonic_sec: float
    wall_ms: int

    def age_sec(self, now: Moment) -> float:
        """Seconds from this moment to `now`: the larger of both clocks' differences, never negative."""
        return max(now.monotonic_sec - self.monotonic_sec, (now.wall_ms - self.wall_ms) / 1000, 0.0)

    def earlier_by(self, seconds: float) -> Moment:
        """The moment `seconds` before this one."""
        return Moment(self.monotonic_sec - seconds, self.wall_ms - round(seconds * 1000))
