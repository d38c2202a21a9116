"""An executor that ends between any two awaits, and one that follows on the same Redis and exchange.

Whatever happens: one order for a client order id at the most, a result for every plan, none that says that
nothing was executed while there is an order, and a hold or nothing unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
import trio
import trio.testing

from brain.execution.orders import Accepted, OrderOutcome, OrderRequest, Refused, Unknown
from supervision import Heartbeat
from tests.actors.executor.test_orphans import foreign
from tests.actors.executor_rig import ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


class StepByStep(trio.abc.Instrument):
    """Cancels a scope when the program has made so many steps."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps
        self.cancelled = False

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()
            self.cancelled = True


def filled(rig: ExecutorRig) -> Callable[[OrderRequest], OrderOutcome]:
    return rig.exchange.fill


def filled_unseen(rig: ExecutorRig) -> Callable[[OrderRequest], OrderOutcome]:
    def answer(request: OrderRequest) -> OrderOutcome:
        rig.exchange.fill(request)
        return Unknown("reset")

    return answer


def filled_in_parts(rig: ExecutorRig) -> Callable[[OrderRequest], OrderOutcome]:
    def answer(request: OrderRequest) -> OrderOutcome:
        first = rig.exchange.state(request, "PARTIALLY_FILLED", "0.2")
        rig.exchange.visible[request.client_order_id] = rig.exchange.state(request, "FILLED", "0.5")
        return Accepted(first)

    return answer


def refused(_rig: ExecutorRig) -> Callable[[OrderRequest], OrderOutcome]:
    return lambda _request: Refused("binance_error:-2019", "margin")


async def run_until_killed(rig: ExecutorRig, publish: Callable[[], object], steps: int) -> bool:
    """Run an executor for so many steps since `publish`; return False if it had ended before."""
    scope = trio.CancelScope()
    with scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.making.executor().run, Heartbeat())
            await trio.testing.wait_all_tasks_blocked()
            publish()
            instrument = StepByStep(scope, steps)
            trio.lowlevel.add_instrument(instrument)
            try:
                await trio.sleep(2)
            finally:
                trio.lowlevel.remove_instrument(instrument)
            nursery.cancel_scope.cancel()
    return instrument.cancelled


@pytest.mark.parametrize("outcome", [filled, filled_unseen, filled_in_parts, refused])
async def test_killed_anywhere_there_is_one_order_at_most_and_one_truth_about_it(
    outcome: Callable[[ExecutorRig], Callable[[OrderRequest], OrderOutcome]],
) -> None:
    steps, killed = 1, True
    found: set[str] = set()
    while killed:
        rig = ExecutorRig()
        rig.exchange.answer = outcome(rig)
        await rig.take_lease()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.prove_stream)
            await trio.sleep(3)
            killed = await run_until_killed(rig, partial(rig.open, "p1"), steps)
            async with running_executor(rig):
                for _ in range(80):
                    await trio.sleep(1)
                    if rig.record("p1").get("state") in ("sending", "unknown"):
                        assert rig.is_held() and not rig.published_results()
            nursery.cancel_scope.cancel()
        found.add(holds_together(rig))
        steps += 1
    assert steps > 30
    ends = {filled: {"order_not_found"}, refused: {"binance_error:-2019", "order_not_found"}}
    assert found >= ends.get(outcome, set())


def holds_together(rig: ExecutorRig) -> str:
    """Check the end of a run; return how its plan ended: an error, or `executed`."""
    assert len(rig.exchange.requests) <= 1
    assert rig.pending() == 0 and not rig.is_held()
    assert rig.redis.zrange(rig.own.open) == []
    results = rig.published_results("p1")
    assert results, "a plan without a result"
    taken = rig.exchange.visible.get(rig.client_id("p1"))
    if taken is None:
        assert [each["executed"] for each in results] == ["false"]
        return results[-1]["error"]
    assert {each["executed"] for each in results} == {"true"}
    filled = [Decimal(each["filled_qty"]) for each in results]
    assert filled == sorted(set(filled)) and filled[-1] == taken.cumulative
    return "executed"


async def test_killed_anywhere_a_plan_that_orders_nothing_has_one_result() -> None:
    steps, killed = 1, True
    while killed:
        rig = ExecutorRig()
        await rig.take_lease()

        def publish(rig: ExecutorRig = rig) -> None:
            rig.permit("p1", kind="none", reason="no_quantity_change", order_side=None, plan_qty=None)
            rig.grant("p1")
            rig.publish("p1", action="UPDATE_SL", qty="", side="")

        killed = await run_until_killed(rig, publish, steps)
        async with running_executor(rig):
            await trio.sleep(10)
        assert rig.result("p1")["error"] == "nothing_to_execute"
        assert (rig.exchange.requests, rig.pending(), rig.is_held()) == ([], 0, False)
        steps += 1
    assert steps > 15


async def test_killed_anywhere_an_orphan_is_held_with_its_record_or_not_at_all() -> None:
    """Others have undone its fill: no search finds it again, and without a record no one takes over."""
    steps, killed = 1, True
    found: set[bool] = set()
    while killed:
        rig = ExecutorRig()
        await rig.take_lease()
        order = foreign()
        killed = await run_until_killed(rig, partial(rig.observe, order), steps)
        async with running_executor(rig):
            await trio.sleep(60)
        recorded = rig.record(order.client_order_id).get("state") == "orphan"
        assert rig.is_held() is recorded
        assert [each["event"] for each in rig.events()] == ["ORPHAN_ORDER"] * recorded
        found.add(recorded)
        steps += 1
    assert found == {True, False}
