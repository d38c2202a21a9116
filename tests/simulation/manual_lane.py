"""The manual lane and its operator: its switch, plans of the other stream that are in it too, and its own."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import trio

from store.keys import ExecutorKeys
from tests.simulation.books import Published
from tests.simulation.fields import as_entry
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

_LONGEST_PAUSE_SEC = 4.0
_OPEN_MS = (300, 3_000, 20_000)
#: At rest it is open for so long: all that is in it is read, and ends.
_OPEN_AT_REST_MS = 300_000
#: The share of plans that are published in both streams at once.
_BESIDE = 0.1
_RECENT = 5


class ManualLane:
    """Publishes plans of the manual lane, and judges that each has its end."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._own = ExecutorKeys(world.keys)

    async def operate(self) -> None:
        """Open the lane for a while, or put a plan in it, again and again. Until cancelled."""
        world, rng = self._world, self._rng
        async with trio.open_nursery() as hands:
            while True:
                await trio.sleep(rng.uniform(0.0, _LONGEST_PAUSE_SEC))
                if not world.neighbours.trading:
                    continue
                draw = rng.random()
                if draw < 0.5:
                    self._open(rng.choice(_OPEN_MS))
                elif draw < 0.8 and world.books.published:
                    recent = rng.choice(list(world.books.published)[-_RECENT:])
                    self._publish(world.books.published[recent])
                else:
                    hands.start_soon(self._propose)

    async def _propose(self) -> None:
        """Publish a plan in the lane alone: P3.3 never sees it, so it ends without an order."""
        world, symbol = self._world, self._rng.choice(self._world.scene.symbols)
        plan = world.neighbours.publisher.new_plan(symbol, *world.neighbours.plans.any(symbol))
        self._publish(plan)
        if world.neighbours.governor is not None:
            await world.neighbours.governor.judge(plan)

    def beside(self, plan: Published) -> None:
        """Publish a plan that is about to be published in the other stream here, too, at times."""
        if self._rng.random() < _BESIDE:
            self._publish(plan)

    def open_at_rest(self) -> None:
        """Open the lane until all that is in it was read."""
        self._open(_OPEN_AT_REST_MS)

    def _open(self, for_ms: int) -> None:
        self._world.redis.set(self._own.manual_lane, "1", ttl_ms=for_ms)
        self._world.trace.note(f"manual lane {for_ms}")

    def _publish(self, plan: Published) -> None:
        world, stream = self._world, self._own.manual_plans.key
        entry_id = world.redis.xadd(stream, as_entry({"plan_id": plan.plan_id} | plan.fields))
        world.books.manual_ms[entry_id] = world.redis.now_ms()
        world.books.manual_entries.append((entry_id, plan.plan_id))
        world.trace.note(f"manual {plan.plan_id} {plan.symbol} {entry_id}")

    def all_is_over(self) -> None:
        """Raises ViolationError unless each plan of the lane has one last result. After a long quiet."""
        world, lane = self._world, self._own.manual_plans
        pending = world.redis.xpending(lane.key, lane.group)
        require(not pending, "e7", f"manual lane: not acknowledged {list(pending.items())[:5]}")
        for entry_id, plan_id in world.books.manual_entries:
            if plan_id in world.books.lost or not world.in_stream(lane.key, entry_id):
                continue
            count = world.books.kept.finals.get(plan_id, 0)
            require(count == 1, "e7", f"{plan_id} (manual {entry_id}) has {count} last results")
        world.books.manual_entries.clear()
