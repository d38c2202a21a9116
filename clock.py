"""Where the time comes from. Everything that needs "now" is given a `Clock`."""

from __future__ import annotations

import time
from typing import Protocol

import trio

from brain.moment import Moment


class Clock(Protocol):
    """This host's two clocks, read together."""

    def now(self) -> Moment:
        """The present moment."""


class HostClock:
    """The clocks of the machine: trio's (monotonic; virtual under a test clock) and the wall clock."""

    def now(self) -> Moment:
        return Moment(trio.current_time(), time.time_ns() // 1_000_000)


class TrioClock:
    """A wall clock that runs with trio's: for virtual time, where the machine's wall clock means nothing."""

    def __init__(self, epoch_ms: int) -> None:
        """`epoch_ms`: what the wall clock shows when trio's clock shows zero."""
        self.epoch_ms = epoch_ms

    def now(self) -> Moment:
        monotonic_sec = trio.current_time()
        return Moment(monotonic_sec, self.epoch_ms + round(monotonic_sec * 1000))
