"""The four clocks of a simulation: true time, and those that exchange, Redis and hosts show.

True time is trio's virtual time. Every other clock is ahead of it by an offset that a fault may change at
any moment; what offsets a clock had is remembered, so that what it showed can be mapped back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import trio

from brain.moment import Moment

#: True time when a run begins (epoch ms).
EPOCH_MS = 1_760_000_000_000


@contextmanager
def beginning_at(epoch_ms: int) -> Iterator[None]:
    """Begin the run of a block at another moment."""
    with patch("tests.simulation.clocks.EPOCH_MS", epoch_ms):
        yield


def true_ms(at_sec: float | None = None) -> int:
    """True time, epoch milliseconds: now, or at a moment of trio's clock."""
    return EPOCH_MS + round((trio.current_time() if at_sec is None else at_sec) * 1000)


class SteppedClock:
    """A wall clock that can be set."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms
        #: (true ms from which it held, offset), oldest first.
        self.offsets: list[tuple[int, int]] = [(0, offset_ms)]

    def now_ms(self) -> int:
        """Return its time, epoch milliseconds."""
        return true_ms() + self.offset_ms

    def step(self, by_ms: int) -> None:
        """Set it forward, or back."""
        self.offset_ms += by_ms
        self.offsets.append((true_ms(), self.offset_ms))

    def offsets_since(self, since_ms: int) -> list[int]:
        """Return the offsets that it had at some moment since `since_ms` (true time), without repetition."""
        first = max((i for i, (held_ms, _) in enumerate(self.offsets) if held_ms <= since_ms), default=0)
        return list(dict.fromkeys(offset for _, offset in self.offsets[first:]))


class HostClock(SteppedClock):
    """A host's clocks: its monotonic one is true, its wall clock may be stepped."""

    def now(self) -> Moment:
        """Both clocks, as production asks for them."""
        return Moment(trio.current_time(), self.now_ms())
