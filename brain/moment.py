"""Moment in both clocks of this host."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec


class Moment(msgspec.Struct, frozen=True, order=True, gc=False):
    """Instant, by the monotonic and by the wall clock of this host.

    The two never mix: differences are taken within each clock, and an age is the larger one. So neither a
    suspended host (the monotonic clock may stand still) nor a wall clock set back makes an age too small.
    """

    monotonic_sec: float
    wall_ms: int

    def age_sec(self, now: Moment) -> float:
        """Return the age at `now` in seconds: the larger of both clocks' differences, never negative."""
        return max(now.monotonic_sec - self.monotonic_sec, (now.wall_ms - self.wall_ms) / 1000, 0.0)

    def earlier_by(self, seconds: float) -> Moment:
        """Return the moment `seconds` before this one."""
        return Moment(self.monotonic_sec - seconds, self.wall_ms - round(seconds * 1000))

    def at_exchange_ms(self, exchange_ms: int, ahead_ms: int | None) -> Moment:
        """Return the latest moment of this host that an exchange time can be: never after this one.

        `ahead_ms` is the least lead of the exchange's clock over this host's, None while unknown.
        """
        if ahead_ms is None:
            return self
        return self.earlier_by(max(0, self.wall_ms + ahead_ms - exchange_ms) / 1000)


def iso_utc(epoch_ms: int) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds."""
    text = datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def iso_or_none(moment: Moment | None) -> str | None:
    """Return the wall clock of a moment in ISO 8601, UTC; None for none."""
    return None if moment is None else iso_utc(moment.wall_ms)
