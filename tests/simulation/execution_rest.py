"""Invariants (e2), (e5) and (e7) over time: what must hold between the steps of orders, and at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from store.keys import ExecutorKeys
from tests.simulation.books import Execution
from tests.simulation.clocks import true_ms
from tests.simulation.venue import ZERO
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

_LOOK_SEC = 0.5
_ALL_IS_TOLD_SEC = 1.0
#: A permit is consumed within this of its reservation (ms).
_RESERVED_MS = 70_000
#: The judges remember an execution for so long after its end (ms).
_REMEMBERED_MS = 120_000


class ExecutionRest:
    """Looks at what is under way, and at what must be over."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: Entries of plans up to here were judged at an earlier rest.
        self._judged = 0

    async def watch(self) -> None:
        """Look again and again while orders are under way. Until cancelled. Raises ViolationError."""
        while True:
            await trio.sleep(_LOOK_SEC)
            self.look()

    def look(self) -> None:
        """Raises ViolationError where an order is under way and its symbol neither reserved nor held (e5)."""
        world = self._world
        for execution in world.books.executions.values():
            if execution.order is None or execution.final or execution.lost or self._is_excused(execution):
                continue
            held = world.redis.kind(world.keys.hold(execution.symbol)) != "none"
            require(
                held or self._is_reserved(execution),
                "e5",
                f"{execution.plan_id}: {execution.order} is under way, neither reserved nor held",
            )

    def _is_reserved(self, execution: Execution) -> bool:
        open_permits = self._world.redis.hgetall(self._world.keys.open_permits(execution.symbol))
        stored = open_permits.get(f"p:{execution.plan_id}".encode())
        return stored is not None and int(stored.rpartition(b"|")[2]) > self._world.redis.now_ms()

    def _is_excused(self, execution: Execution) -> bool:
        """Return whether Redis has lost the reservation, or its clock was set."""
        world, since_ms = self._world, execution.begun_ms - _RESERVED_MS
        evicted = world.decisions.truly_evicted_ms >= since_ms
        stepped = len(world.redis_clock.offsets_since(since_ms)) > 1
        return evicted or stepped or execution.plan_id in world.books.lost

    async def all_is_told(self) -> None:
        """Wait for a moment in which the latest result had its time to be booked."""
        since_sec = trio.current_time() - (true_ms() - self._world.orders.results.last_result_ms) / 1000
        await trio.sleep_until(since_sec + _ALL_IS_TOLD_SEC)

    def all_is_over(self) -> None:
        """Raises ViolationError unless each plan that was read has one last result, and each order is booked.

        After a long quiet.
        """
        world = self._world
        pending = world.redis.xpending(world.keys.plans, ExecutorKeys(world.keys).plans.group)
        require(not pending, "e7", f"the executor has not acknowledged {list(pending.items())[:5]}")
        self._judge_results()
        if world.orders.manual_lane is not None:
            world.orders.manual_lane.all_is_over()
        for execution in list(world.books.executions.values()):
            if not execution.lost:
                self._judge_end(execution)
            if execution.begun_ms < true_ms() - _REMEMBERED_MS:
                del world.books.executions[execution.client_order_id]

    def _judge_results(self) -> None:
        world, books = self._world, self._world.books
        entries = list(books.plan_of_entry.items())
        for entry_id, plan_id in entries[self._judged :]:
            if plan_id in books.lost or not world.in_stream(world.keys.plans, entry_id):
                continue
            count = books.kept.finals.get(plan_id, 0)
            require(count == 1, "e7", f"{plan_id} ({entry_id}) has {count} last results")
        self._judged = len(entries)

    def _judge_end(self, execution: Execution) -> None:
        world, books, order = self._world, self._world.books, execution.order
        require(execution.final, "e7", f"{execution.plan_id} has no end: {order}")
        hold = world.redis.get(ExecutorKeys(world.keys).hold_sig(execution.symbol))
        ours = hold == f"exec:{execution.client_order_id}".encode()
        held = world.redis.kind(world.keys.hold(execution.symbol)) != "none"
        require(not (ours and held), "e5", f"{execution.plan_id} is over, and {execution.symbol} still held")
        if order is None or execution.plan_id in books.lost | books.unmarked.keys():
            return
        if str(order.order_id) in books.unreported:
            # An operator may have corrected the ledger instead.
            return
        booked = books.kept.booked.get(str(order.order_id), ZERO)
        require(booked == order.executed, "e2", f"{execution.plan_id}: {booked} is booked of {order}")
