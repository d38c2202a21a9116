"""Both clocks of a moment go on together, and neither stands for the other."""

from __future__ import annotations

import time

import trio
from trio.testing import MockClock

from clock import HostClock, TrioClock


async def test_the_virtual_wall_clock_runs_with_trios(autojump_clock: MockClock) -> None:
    clock = TrioClock(epoch_ms=1_000_000)
    before = clock.now()
    await trio.sleep(2.5)
    after = clock.now()
    assert after.wall_ms - before.wall_ms == 2500
    assert before.age_sec(after) == 2.5


async def test_the_host_clock_shows_the_machines_wall_clock_in_milliseconds() -> None:
    before = time.time() * 1000
    shown = HostClock().now().wall_ms
    after = time.time() * 1000
    assert int(before) <= shown <= after
