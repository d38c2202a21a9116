"""Clocks that are set wrong, and set right again: Redis's, and those of the hosts.

Between faults every host agrees with Redis to within a second, as hosts with a time service do.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import trio

from tests.simulation.clocks import HostClock, true_ms
from tests.simulation.faults import Fault
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

#: By so much a host's clock is set off Redis's, either way (ms).
_HOST_OFF_MS = (1_500, 2_500, 3_500, 7_000, 7_000, 70_000)
#: Redis's clock is set back by so much at most. Forward by less: no reservation may end before its order.
_REDIS_BACK_MS = (2_000, 7_000, 70_000)
_REDIS_FORWARD_MS = (2_000, 7_000)
#: Steps add up to so much at most: Redis's clock is never further than this from the true time.
_REDIS_FURTHEST_MS = 90_000
_BETWEEN_REDIS_STEPS_SEC = 120.0
_AGREE_MS = 900
#: Beyond this a process must not be ready (ms), a while after it could know (seconds).
_READY_WITHIN_MS = 3_000
_KNOWN_WITHIN_SEC = 9.0


class ClockFaults:
    """Sets clocks, and sets them right at the end of each fault."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = Random(f"{world.scene.seed}:clocks")
        self._redis_stepped_sec = -1000.0

    async def do_redis_clock(self, fault: Fault) -> None:
        """Redis's clock is set forward or back, and the hosts follow a while later."""
        now_sec, clock = trio.current_time(), self._world.redis_clock
        if now_sec - self._redis_stepped_sec <= _BETWEEN_REDIS_STEPS_SEC:
            return
        self._redis_stepped_sec = now_sec
        sizes = _REDIS_FORWARD_MS if fault.which % 2 else _REDIS_BACK_MS
        step_ms = round(sizes[fault.which // 2 % len(sizes)] * (0.5 + fault.size / 2))
        if fault.which % 2 == 0:
            step_ms = -step_ms
        if abs(clock.offset_ms + step_ms) > _REDIS_FURTHEST_MS:
            return
        clock.step(step_ms)
        await trio.sleep(fault.for_sec)
        for process in self._world.processes.values():
            self._agree(process.clock)

    async def do_host_clock(self, fault: Fault) -> None:
        """Set one host's clock off Redis's, and right again. Raises ViolationError."""
        processes = list(self._world.processes.values())
        process = processes[fault.which % len(processes)]
        off_ms = _HOST_OFF_MS[fault.which // 2 % len(_HOST_OFF_MS)]
        off_ms = off_ms if fault.size < 0.5 else -off_ms
        self._set(process.clock, off_ms)
        await trio.sleep(fault.for_sec)
        least_ms = self._least_off_ms(process.clock, true_ms() - round(_KNOWN_WITHIN_SEC * 1000))
        if fault.for_sec > _KNOWN_WITHIN_SEC and least_ms > _READY_WITHIN_MS:
            why_not = await process.readiness()
            require(why_not, "f", f"{process.name} is ready, and its clock is {least_ms} ms off Redis's")
        self._agree(process.clock)

    def _least_off_ms(self, clock: HostClock, since_ms: int) -> int:
        """Return the least that the clock may have been off Redis's since then (true ms)."""
        redis_ms = self._world.redis_clock.offsets_since(since_ms)
        return min(abs(host - redis) for host in clock.offsets_since(since_ms) for redis in redis_ms)

    def _agree(self, clock: HostClock) -> None:
        if abs(clock.offset_ms - self._world.redis_clock.offset_ms) > _AGREE_MS:
            self._set(clock, self._rng.randint(-_AGREE_MS, _AGREE_MS))

    def _set(self, clock: HostClock, off_redis_ms: int) -> None:
        clock.step(self._world.redis_clock.offset_ms + off_redis_ms - clock.offset_ms)
